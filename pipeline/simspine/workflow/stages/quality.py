"""Everything of a trial → quality/<trial>.json: findings, and a status for each frame.

Where rejected frames are to be filled in: also quality/<trial>_kinematics.h5 and _vertebrae.h5, which take the place of
those of the stages before.
"""

import json

from simspine.body.kinematics import body_poses
from simspine.formats.atomic import write_text
from simspine.formats.store import load
from simspine.pipeline.judging import OF_TRIAL, QUALITY
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.stage_results import camera_findings, mocap_findings, save_result, save_spine
from simspine.workflow.trials import read_trial


def plan(context: Context) -> list[Task]:
    config, paths = context.config, context.paths
    fill = config.quality.fill_gaps
    # What else decides the result if the trial is solved once more.
    settings = {name: getattr(config, name).model_dump() for name in ("quality", "ik", "body")} if fill else {}
    tasks = []
    for name in context.trials:
        inputs = (
            paths.vertebrae(name), paths.kinematics(name), paths.markers(name), paths.points(name),
            paths.keypoints(name), paths.cameras(name), paths.model,
        )  # fmt: skip
        out = paths.quality(name)
        others = tuple(paths.filled(name, kind) for kind in ("kinematics", "vertebrae")) if fill else ()

        def work(name=name, out=out, others=others) -> dict:
            found = read_trial(paths, name, judged=False, derived=bool(others))
            judged = QUALITY(
                config,
                **{field: getattr(found, field) for field in OF_TRIAL},
                skeleton=load(paths.markers(name), ["skeleton"])["skeleton"],
                findings=(*camera_findings(paths.cameras(name)), *mocap_findings(paths.markers(name))),
            )
            verdict = judged["verdict"]
            if others:
                save_result(others[0], judged["result"])
                save_spine(others[1], judged["spine"], body_poses(found.body, judged["result"].motion))
            write_text(out, json.dumps(verdict.to_dict(), indent=1) + "\n")
            return {"counts": verdict.counts, "reasons": verdict.reason_counts}

        tasks.append(Task(name, inputs, (out, *others), settings, work))
    return tasks
