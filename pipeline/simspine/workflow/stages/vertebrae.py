"""Kinematics and body → vertebrae/<trial>.h5, .trc: spine points, angles per level, LLA and TKA, vertebral centres."""

import numpy as np

from simspine.formats.trc import write_trc
from simspine.pipeline.solving import VERTEBRAE
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.stage_results import load_result, read_sized_body, save_spine


def plan(context: Context) -> list[Task]:
    config, paths = context.config, context.paths
    tasks = []
    for name in context.trials:
        source = paths.kinematics(name)
        out, trc = paths.vertebrae(name), paths.vertebrae(name, ".trc")

        def work(source=source, out=out, trc=trc) -> dict:
            found = VERTEBRAE(config, sized=read_sized_body(paths), result=load_result(source))
            spine = found["spine"]
            save_spine(out, spine, found["poses"])
            write_trc(trc, spine.markers)
            return {"lla_deg_mean": _degrees(spine.lla), "tka_deg_mean": _degrees(spine.tka)}

        tasks.append(Task(name, (source, paths.model, paths.scaling), (out, trc), config.body.model_dump(), work))
    return tasks


def _degrees(angle: np.ndarray) -> float | None:
    return round(float(np.degrees(np.nanmean(angle))), 2) if np.isfinite(angle).any() else None
