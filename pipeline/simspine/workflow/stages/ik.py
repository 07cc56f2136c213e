"""Markers and body → kinematics/<trial>.h5, .mot, _ik_marker_errors.sto: coordinates with uncertainty."""

import numpy as np

from simspine.formats.mot import write_mot
from simspine.formats.sto import write_marker_errors
from simspine.formats.store import load
from simspine.pipeline.solving import IK
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.stage_results import read_sized_body, save_result
from simspine.workflow.stages.scale import body_files


def plan(context: Context) -> list[Task]:
    config, paths = context.config, context.paths
    made_from = body_files(config.body)
    tasks = []
    for name in context.trials:
        source = paths.markers(name)
        out, mot = paths.kinematics(name), paths.kinematics(name, ".mot")
        sto = paths.kinematics(name, "_ik_marker_errors.sto")

        def work(source=source, out=out, mot=mot, sto=sto) -> dict:
            stored = load(source)
            sized = read_sized_body(paths)
            result = IK(config, sized=sized, markers=stored["markers"], skeleton=stored["skeleton"])["result"]
            save_result(out, result)
            write_mot(mot, result.motion)
            write_marker_errors(sto, result.motion.time, result.marker_error)
            return {
                "converged_share": round(float(result.converged.mean()), 4),
                "marker_rms_m": round(float(np.sqrt(np.nanmean(result.marker_error**2))), 5),
            }

        settings = {"ik": config.ik.model_dump(), "body": config.body.model_dump()}
        inputs = (source, paths.model, paths.scaling, *made_from)
        tasks.append(Task(name, inputs, (out, mot, sto), settings, work))
    return tasks
