"""results/<name>/export/: TRC (three kinds of places), MOT, marker errors, model, calibration.

Trials that share a calibration share the exported one, as in the release; otherwise each has its own. Points that are
not the forward kinematics of the angles are refused. Frames that were filled in are in columns of their own (TRC, names
end in `_inferred`), or listed in the header (MOT).
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
from simspine.quality.findings import where_true
from simspine.skeletons.inferred_names import part_inferred
from simspine.skeletons.vertebrae import at_vertebrae
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task
from simspine.workflow.trials import read_trial

# Of export/: the points at the released places, those along the spine at their vertebrae's centroids, all centroids.
TRC_FOLDERS = ("markers", "markers_vertebral", "centres")


def plan(context: Context) -> list[Task]:
    root, subject, paths = Path(context.config.results) / "export", context.subject, context.paths
    captures = {trial: context.capture(trial) for trial in context.trials}
    calibrations = {trial: capture.calibration for trial, capture in captures.items()}
    shared = len(set(calibrations.values())) == 1
    body = cache(lambda: Body.from_osim(paths.model))
    tasks = []
    for trial, calibration in calibrations.items():
        stem = f"{subject}_{trial}"
        *trcs, mot, sto = files_of(Path(context.config.results), subject, trial)
        model = root / "models" / f"{subject}.osim"
        cameras = root / "cameras" / f"Calib_{subject if shared else stem}.toml"

        def work(trial=trial, trcs=trcs, mot=mot, sto=sto, model=model, cameras=cameras) -> dict:
            found = read_trial(paths, trial, images=False)
            solved, spine, inferred = found.result, found.spine, found.inferred
            assert spine.centres is not None  # the stage vertebrae finds them
            deviations = [
                check_points(body(), solved.motion, points, f"{subject}/{trial}")
                for points in (spine.markers, spine.centres)
            ]
            places = (spine.markers, at_vertebrae(spine.markers, spine.centres), spine.centres)
            for trc, points in zip(trcs, places, strict=True):
                write_trc(trc, part_inferred(points, inferred))
            write_mot(mot, solved.motion, inferred=where_true(inferred))
            write_marker_errors(sto, solved.motion.time, solved.marker_error)
            write_text(model, paths.model.read_text(encoding="utf-8"))
            write_calibration(cameras, captures[trial].cameras())
            return {"fk_deviation_m": max(deviations)}

        inputs = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.model, calibration)
        tasks.append(Task(trial, inputs, (*trcs, mot, sto, model, cameras), {}, work))
    return tasks


def files_of(results: Path, subject: str, trial: str) -> tuple[Path, ...]:
    """A trial's own files: points at three kinds of places, coordinates, marker errors."""
    root, stem = results / "export", f"{subject}_{trial}"
    folder = root / "kinematics" / subject / stem
    trcs = (root / kind / subject / f"{stem}.trc" for kind in TRC_FOLDERS)
    return (*trcs, folder / f"{stem}.mot", folder / f"{stem}_ik_marker_errors.sto")
