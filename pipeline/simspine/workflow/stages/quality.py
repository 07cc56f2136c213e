"""Everything of a trial → quality/<trial>.json: findings, and kept, corrected or rejected for each frame."""

import json

from simspine.formats.atomic import write_text
from simspine.formats.store import load
from simspine.pipeline.verdict import judge
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.trials import load_report, load_result, load_spine, read_sized_body


def plan(context: Context) -> list[Task]:
    paths = context.paths
    tasks = []
    for name in context.trials:
        inputs = paths.vertebrae(name), paths.kinematics(name), paths.markers(name), paths.points(name), paths.model
        out = paths.quality(name)

        def work(name=name, out=out) -> dict:
            found = judge(
                read_sized_body(paths),
                load_result(paths.kinematics(name)),
                load_spine(paths.vertebrae(name)),
                load(paths.markers(name), ["markers"])["markers"],
                load_report(paths.points(name)),
            ).of(context.subject, name)
            write_text(out, json.dumps(found.to_dict(), indent=1) + "\n")
            return {"counts": found.counts, "reasons": found.reason_counts}

        tasks.append(Task(name, inputs, (out,), {}, work))
    return tasks
