"""Everything of a trial → quality/<trial>.json: findings, and kept, corrected or rejected for each frame."""

import json

from simspine.formats.atomic import write_text
from simspine.pipeline.verdict import judge
from simspine.pipeline.view_fit import view_fits
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.trials import camera_findings, read_trial


def plan(context: Context) -> list[Task]:
    paths = context.paths
    tasks = []
    for name in context.trials:
        inputs = (
            paths.vertebrae(name), paths.kinematics(name), paths.markers(name), paths.points(name),
            paths.keypoints(name), paths.cameras(name), paths.model,
        )  # fmt: skip
        out = paths.quality(name)

        def work(name=name, out=out) -> dict:
            found = read_trial(paths, name, judged=False)
            verdict = judge(
                found.sized,
                found.result,
                found.spine,
                found.markers,
                found.triangulation,
                view_fits(found),
                camera_findings(paths.cameras(name)),
            ).of(context.subject, name)
            write_text(out, json.dumps(verdict.to_dict(), indent=1) + "\n")
            return {"counts": verdict.counts, "reasons": verdict.reason_counts}

        tasks.append(Task(name, inputs, (out,), {}, work))
    return tasks
