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
    subject, paths = context.subject, context.paths
    body = cache(lambda: Body.from_osim(paths.model))
    tasks = []
    for trial in context.trials:
        *trcs, mot, sto = files_of(paths.results, subject, trial)

        def work(trial=trial, trcs=trcs, mot=mot, sto=sto) -> dict:
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
            return {"fk_deviation_m": max(deviations)}

        inputs = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.model)
        tasks.append(Task(trial, inputs, (*trcs, mot, sto), {}, work))
    return [*tasks, _body_and_cameras(context)]


def _body_and_cameras(context: Context) -> Task:
    """One task for the subject, since the trials share the body, and the cameras where they share a calibration."""
    root, subject, paths = context.paths.results / "export", context.subject, context.paths
    captures = {trial: context.capture(trial) for trial in context.trials}
    if len({(capture.calibration, capture.rig) for capture in captures.values()}) == 1:
        named = {f"Calib_{subject}.toml": next(iter(captures.values()))}
    else:
        named = {f"Calib_{subject}_{trial}.toml": capture for trial, capture in captures.items()}
    model = root / "models" / f"{subject}.osim"
    cameras = {root / "cameras" / name: capture for name, capture in named.items()}

    def work() -> dict:
        write_text(model, paths.model.read_text(encoding="utf-8"))
        for path, capture in cameras.items():
            write_calibration(path, capture.cameras())
        return {}

    inputs = (paths.model, *(capture.calibration for capture in cameras.values()))
    settings = {"rigs": [capture.rig for capture in cameras.values()]}
    return Task(subject, inputs, (model, *cameras), settings, work, whole=True)


def files_of(results: Path, subject: str, trial: str) -> tuple[Path, ...]:
    """A trial's own files: points at three kinds of places, coordinates, marker errors."""
    root, stem = results / "export", f"{subject}_{trial}"
    folder = root / "kinematics" / subject / stem
    trcs = (root / kind / subject / f"{stem}.trc" for kind in TRC_FOLDERS)
    return (*trcs, folder / f"{stem}.mot", folder / f"{stem}_ik_marker_errors.sto")
