"""results/<name>/export/{cameras,models,markers,kinematics}: TRC, MOT, marker errors, model, calibration.

Trials that share a calibration share the exported one, as in the release; otherwise each has its own. Points that are
not the forward kinematics of the angles are refused.
"""

from functools import cache
from pathlib import Path

from simspine.body.model import Body
from simspine.dataset.invariant import check_points
from simspine.formats.atomic import write_text
from simspine.formats.calibration import write_calibration
from simspine.formats.mot import write_mot
from simspine.formats.sto import write_marker_errors
from simspine.formats.trc import write_trc
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.trials import load_result, load_spine


def plan(context: Context) -> list[Task]:
    root, subject, paths = Path(context.config.results) / "export", context.subject, context.paths
    captures = {trial: context.capture(trial) for trial in context.trials}
    calibrations = {trial: capture.calibration for trial, capture in captures.items()}
    shared = len(set(calibrations.values())) == 1
    body = cache(lambda: Body.from_osim(paths.model))
    tasks = []
    for trial, calibration in calibrations.items():
        stem = f"{subject}_{trial}"
        folder = root / "kinematics" / subject / stem
        trc = root / "markers" / subject / f"{stem}.trc"
        mot, sto = folder / f"{stem}.mot", folder / f"{stem}_ik_marker_errors.sto"
        model = root / "models" / f"{subject}.osim"
        cameras = root / "cameras" / f"Calib_{subject if shared else stem}.toml"

        def work(trial=trial, trc=trc, mot=mot, sto=sto, model=model, cameras=cameras) -> dict:
            solved, spine = load_result(paths.kinematics(trial)), load_spine(paths.vertebrae(trial))
            deviation = check_points(body(), solved.motion, spine.markers, f"{subject}/{trial}")
            write_trc(trc, spine.markers)
            write_mot(mot, solved.motion)
            write_marker_errors(sto, solved.motion.time, solved.marker_error)
            write_text(model, paths.model.read_text(encoding="utf-8"))
            write_calibration(cameras, captures[trial].cameras())
            return {"fk_deviation_m": deviation}

        inputs = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.model, calibration)
        tasks.append(Task(trial, inputs, (trc, mot, sto, model, cameras), {}, work))
    return tasks
