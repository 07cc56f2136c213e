"""The stage export: files per subject in the release's layout, one HDF5 per data set, summary and provenance."""

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from simspine.body.kinematics import forward_kinematics
from simspine.body.model import Body
from simspine.body.recipes import virtual_spine_markers
from simspine.config import Config
from simspine.formats.atomic import write_text
from simspine.formats.calibration import read_calibration, write_calibration
from simspine.formats.dataset import Dataset, Subject, Trial, write_dataset
from simspine.formats.mot import write_mot
from simspine.formats.sto import write_marker_errors
from simspine.formats.trc import write_trc
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task, read_manifest
from simspine.workflow.paths import Paths
from simspine.workflow.results import TrialResults
from simspine.workflow.summary import summarise

PACKAGES = ("simspine", "opensim", "pose2sim", "mediapipe", "numpy", "scipy", "opencv-python-headless", "rtmlib")


def export(context: Context) -> list[Task]:
    """results/<name>/export/{cameras,models,markers,kinematics}: TRC, MOT, marker errors, model, calibration.

    Trials that share a calibration share the exported one, as in the release; otherwise each has its own.
    """
    root, subject, paths = Path(context.config.results) / "export", context.subject, context.paths
    calibrations = {trial: context.capture(trial).calibration for trial in context.trials}
    shared = len(set(calibrations.values())) == 1
    tasks = []
    for trial, calibration in calibrations.items():
        stem = f"{subject}_{trial}"
        folder = root / "kinematics" / subject / stem
        trc = root / "markers" / subject / f"{stem}.trc"
        mot, sto = folder / f"{stem}.mot", folder / f"{stem}_ik_marker_errors.sto"
        model = root / "models" / f"{subject}.osim"
        cameras = root / "cameras" / f"Calib_{subject if shared else stem}.toml"

        def work(trial=trial, trc=trc, mot=mot, sto=sto, model=model, cameras=cameras, calibration=calibration):
            results = TrialResults(paths, trial)
            solved = results.result
            write_trc(trc, results.spine.markers)
            write_mot(mot, solved.motion)
            write_marker_errors(sto, solved.motion.time, solved.marker_error)
            write_text(model, paths.model.read_text(encoding="utf-8"))
            write_calibration(cameras, read_calibration(calibration))
            return {}

        inputs = (paths.quality(trial), paths.vertebrae(trial), paths.kinematics(trial), paths.model, calibration)
        tasks.append(Task(trial, inputs, (trc, mot, sto, model, cameras), {}, work))
    return tasks


def export_dataset(config: Config) -> Path:
    """Write <name>.h5, summary.json and provenance.json of the whole data set; returns the HDF5's path."""
    results = Path(config.results)
    origin = provenance(config)
    subjects = {subject: _subject(Paths(results, subject), config.trials(subject)) for subject in config.subjects}
    path = results / f"{config.name}.h5"
    write_dataset(path, Dataset(subjects, origin))
    write_text(results / "provenance.json", json.dumps(origin, indent=1, sort_keys=True) + "\n")
    write_text(results / "summary.json", json.dumps(summarise(config), indent=1) + "\n")
    return path


def provenance(config: Config) -> dict:
    """Where the numbers come from: configuration and its hash, checksums of the inputs, versions."""
    inputs = {}
    for subject in config.subjects:
        for trial, entry in read_manifest(Paths(Path(config.results), subject).manifest("detect")).items():
            inputs[f"{subject}/{trial}"] = dict(entry["fingerprint"]["inputs"])
    return {
        "configuration": config.model_dump(mode="json"),
        "configuration_hash": config.hash,
        "inputs_sha256": inputs,
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "seed": None,  # no stage draws random numbers
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _subject(paths: Paths, trials: list[str]) -> Subject:
    body = Body.from_osim(paths.model)
    entries = {name: _trial(TrialResults(paths, name), body) for name in trials}
    cameras = tuple(TrialResults(paths, trials[0]).cameras)
    return Subject(cameras, entries, body.osim, f"models/{paths.subject}.osim")


def _trial(results: TrialResults, body: Body) -> Trial:
    spine, solved, verdict = results.spine, results.result, results.verdict
    fitted = results.markers.select(solved.marker_names)
    again = forward_kinematics(body, solved.motion)
    chosen = virtual_spine_markers(body)
    points = again.select([chosen[name] for name in spine.markers.names]).xyz
    deviation = np.linalg.norm(points - spine.markers.xyz, axis=-1)
    return Trial(
        markers=spine.markers,
        motion=solved.motion,
        levels=spine.levels,
        angles=spine.angles,
        lla=spine.lla,
        tka=spine.tka,
        angles_sd=spine.angles_sd,
        lla_sd=spine.lla_sd,
        tka_sd=spine.tka_sd,
        response=results.response,
        forced=spine.forced,
        status=tuple(map(str, verdict.status)),
        reasons=tuple(", ".join(codes) for codes in verdict.reasons),
        fitted=solved.marker_names,
        fitted_origin=fitted.origin,
        marker_error=solved.marker_error,
        filled=fitted.filled,
        poses=results.poses,
        fk_deviation=float(np.nanmax(deviation)) if np.isfinite(deviation).any() else None,
    )
