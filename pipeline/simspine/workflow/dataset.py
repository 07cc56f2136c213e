"""The stage export: files per subject in the release's layout, one HDF5 per data set, summary and provenance."""

import json
import platform
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from simspine.body.model import Body
from simspine.config import Config
from simspine.dataset.invariant import check_points
from simspine.dataset.licence import notice
from simspine.dataset.manifest import HDF5_UNITS, Entry, manifest_header, write_manifest
from simspine.dataset.origin import point_origins
from simspine.formats.atomic import write_text
from simspine.formats.calibration import write_calibration
from simspine.formats.dataset import Dataset, LazyTrials, SubjectData, TrialData, write_dataset
from simspine.formats.mot import write_mot
from simspine.formats.sto import write_marker_errors
from simspine.formats.trc import write_trc
from simspine.spine.levels import Level
from simspine.workflow.checking import write_quality
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task, read_manifest
from simspine.workflow.paths import Paths
from simspine.workflow.results import TrialResults, level_table
from simspine.workflow.summary import summarise

PACKAGES = ("simspine", "opensim", "pose2sim", "mediapipe", "numpy", "scipy", "opencv-python-headless", "rtmlib")


def export(context: Context) -> list[Task]:
    """results/<name>/export/{cameras,models,markers,kinematics}: TRC, MOT, marker errors, model, calibration.

    Trials that share a calibration share the exported one, as in the release; otherwise each has its own. Points that
    are not the forward kinematics of the angles are refused.
    """
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

        def work(trial=trial, trc=trc, mot=mot, sto=sto, model=model, cameras=cameras):
            results = TrialResults(paths, trial)
            solved = results.result
            deviation = check_points(body(), solved.motion, results.spine.markers, f"{subject}/{trial}")
            write_trc(trc, results.spine.markers)
            write_mot(mot, solved.motion)
            write_marker_errors(sto, solved.motion.time, solved.marker_error)
            write_text(model, paths.model.read_text(encoding="utf-8"))
            write_calibration(cameras, captures[trial].cameras())
            return {"fk_deviation_m": deviation}

        inputs = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.model, calibration)
        tasks.append(Task(trial, inputs, (trc, mot, sto, model, cameras), {}, work))
    return tasks


def export_dataset(config: Config) -> Path:
    """Write <name>.h5, summary.json, provenance.json and manifest.json of the whole data set; returns the HDF5's path.

    Nothing is written where a trial's points are not the forward kinematics of its angles.
    """
    results = Path(config.results)
    origin = provenance(config)
    deviations: dict[str, float] = {}
    frames: dict[str, int] = {}
    subjects = {
        subject: _subject(Paths(results, subject), config, deviations, frames) for subject in config.subjects
    }  # fmt: skip
    path = results / f"{config.name}.h5"
    write_dataset(path, Dataset(subjects, origin))
    write_text(results / "provenance.json", json.dumps(origin, indent=1, sort_keys=True) + "\n")
    write_quality(config)
    write_text(results / "summary.json", json.dumps(summarise(config), indent=1) + "\n")
    files = {
        path.name: Entry("hdf5", sum(frames.values()), HDF5_UNITS, frames),
        "provenance.json": Entry("json"),
        "summary.json": Entry("json"),
    }
    if origin["notice"]:
        write_text(results / "NOTICE.txt", origin["notice"] + "\n")
        files["NOTICE.txt"] = Entry("text")
    files |= {name: Entry("quality") for name in ("quality.json", "quality.csv") if (results / name).is_file()}
    for subject in config.subjects:
        files |= _release_files(results, subject, {k: n for k, n in frames.items() if k.startswith(f"{subject}/")})
    write_manifest(results, files, manifest_header(config.name, "hdf5", origin, deviations))
    return path


def _release_files(results: Path, subject: str, frames: dict[str, int]) -> dict[str, Entry]:
    """The subject's files in the release's layout that are there (see `export`)."""
    found = {
        f"export/models/{subject}.osim": Entry("osim"),
        f"export/cameras/Calib_{subject}.toml": Entry("toml", units={"t": "m"}),
    }
    for key, count in frames.items():
        stem, of = key.replace("/", "_"), {key: count}
        folder = f"export/kinematics/{subject}/{stem}/{stem}"
        found |= {
            f"export/cameras/Calib_{stem}.toml": Entry("toml", units={"t": "m"}),
            f"export/markers/{subject}/{stem}.trc": Entry("trc", count, {"markers": "m", "time": "s"}, of),
            f"{folder}.mot": Entry("mot", count, {"kinematics": "deg; m", "time": "s"}, of),
            f"{folder}_ik_marker_errors.sto": Entry("sto", count, {"error": "m", "time": "s"}, of),
        }
    return {name: entry for name, entry in found.items() if (results / name).is_file()}


def provenance(config: Config) -> dict:
    """Where the numbers come from: configuration and its hash, checksums of the inputs, versions."""
    inputs: dict[str, dict] = {}
    for subject in config.subjects:
        for stage in ("detect", "merge"):  # merge: motion capture, beside the points made by the stage before
            for trial, entry in read_manifest(Paths(Path(config.results), subject).manifest(stage)).items():
                own = f"{trial}.h5" if stage == "merge" else None
                files = {name: digest for name, digest in entry["fingerprint"]["inputs"] if name != own}
                inputs.setdefault(f"{subject}/{trial}", {}).update(files)
    return {
        "configuration": config.model_dump(mode="json"),
        "configuration_hash": config.hash,
        "inputs_sha256": inputs,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "known_faults": config.known_faults,
        "trials_left_out": config.skipped,
        "seed": None if config.virtual is None else config.virtual.seed,  # of the capture; no stage draws any
        "notice": notice(config.model_dump(mode="json"), _is_virtual(config)),
    }


def _is_virtual(config: Config) -> bool:
    """Whether the copy of Human3.6M that the configuration names is a virtual capture: its record says so."""
    if config.capture is None:
        return False
    try:
        record = json.loads((Path(config.capture.human36m) / "capture.json").read_text(encoding="utf-8"))
        return record.get("virtual") is True
    except (OSError, ValueError, AttributeError):
        return False


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _subject(paths: Paths, config: Config, deviations: dict[str, float], frames: dict[str, int]) -> SubjectData:
    """The subject with trials that are read one by one; fills in what each trial's check gives."""
    body, levels, trials = Body.from_osim(paths.model), level_table(config.body.recipe), config.trials(paths.subject)

    def read(name: str) -> TrialData:
        trial, key = _trial(TrialResults(paths, name), body, levels), f"{paths.subject}/{name}"
        deviations[key], frames[key] = trial.fk_deviation, trial.markers.frames
        return trial

    cameras = tuple(TrialResults(paths, trials[0]).cameras)
    return SubjectData(cameras, LazyTrials(trials, read), body.osim, f"models/{paths.subject}.osim")


def _trial(results: TrialResults, body: Body, levels: Sequence[Level]) -> TrialData:
    spine, solved, verdict = results.spine, results.result, results.verdict
    fitted = results.markers.select(solved.marker_names)
    where = f"{results.paths.subject}/{results.name}"
    origin = point_origins(spine.markers.names, solved.marker_names, fitted.origin)
    return TrialData(
        markers=spine.markers.with_(origin=origin),
        motion=solved.motion,
        levels=spine.levels,
        angles=spine.angles,
        lla=spine.lla,
        tka=spine.tka,
        angles_sd=spine.angles_sd,
        lla_sd=spine.lla_sd,
        tka_sd=spine.tka_sd,
        response=results.response,
        level_share=None if results.response is None else results.shares(levels),
        forced=spine.forced,
        status=tuple(map(str, verdict.status)),
        reasons=tuple(", ".join(codes) for codes in verdict.reasons),
        fitted=solved.marker_names,
        fitted_origin=fitted.origin,
        marker_error=solved.marker_error,
        filled=fitted.filled,
        poses=results.poses,
        fk_deviation=check_points(body, solved.motion, spine.markers, where),
    )
