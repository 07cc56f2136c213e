"""The data set out of the trials' results: one HDF5 file, summary, provenance, manifest."""

import json
from collections.abc import Sequence
from pathlib import Path

from simspine.config import Config
from simspine.dataset.licence import notice
from simspine.dataset.manifest import HDF5_UNITS, NAME, Entry, manifest_header, write_manifest
from simspine.formats.atomic import write_text
from simspine.formats.dataset import Dataset, LazyTrials, SubjectData, TrialData, write_dataset
from simspine.formats.store import load
from simspine.pipeline.publish import publish, versions
from simspine.workflow.checking import write_quality
from simspine.workflow.manifest import Task, read_manifest
from simspine.workflow.paths import Paths
from simspine.workflow.stages import export
from simspine.workflow.stages.export import TRC_FOLDERS
from simspine.workflow.summary import clinical_csv, summarise, timings
from simspine.workflow.trials import read_trial

_TRC = {"markers": "m", "time": "s"}


def export_dataset(config: Config) -> Path:
    """Write <name>.h5, summary.json, clinical.csv, provenance.json and manifest.json of the whole data set.

    Returns the HDF5's path. Equal results give equal bytes; computing times, which differ from run to run, go to
    timings.json, which the manifest does not list.

    Nothing is written where a trial's points are not the forward kinematics of its angles.
    """
    results = Path(config.results)
    origin = provenance(config)
    deviations: dict[str, float] = {}
    frames: dict[str, int] = {}
    subjects = {
        subject: _subject(Paths(results, subject), config.trials(subject), deviations, frames)
        for subject in config.subjects
    }
    path = results / f"{config.name}.h5"
    write_dataset(path, Dataset(subjects, origin))
    write_text(results / "provenance.json", json.dumps(origin, indent=1, sort_keys=True) + "\n")
    write_quality(config)
    summary = summarise(config)
    write_text(results / "summary.json", json.dumps(summary, indent=1) + "\n")
    write_text(results / "timings.json", json.dumps(timings(config), indent=1) + "\n")
    write_text(results / "clinical.csv", clinical_csv(summary["trials"]))
    files = {
        path.name: Entry("hdf5", sum(frames.values()), HDF5_UNITS, frames),
        "provenance.json": Entry("json"),
        "summary.json": Entry("json"),
        "clinical.csv": Entry("csv"),
    }
    if origin["notice"]:
        write_text(results / "NOTICE.txt", origin["notice"] + "\n")
        files["NOTICE.txt"] = Entry("text")
    files |= {name: Entry("quality") for name in ("quality.json", "quality.csv")}  # of `write_quality`
    for subject in config.subjects:
        files |= _release_files(results, subject, {k: n for k, n in frames.items() if k.startswith(f"{subject}/")})
    write_manifest(results, files, manifest_header(config.name, "hdf5", origin, deviations))
    return path


def dataset_task(config: Config) -> Task:
    """`export_dataset` as a task; timings.json is not among its files, for it differs from run to run."""
    results, origin = Path(config.results), provenance(config)
    names = [f"{config.name}.h5", "provenance.json", "summary.json", "clinical.csv", "quality.json", "quality.csv"]
    names += [NAME, *(["NOTICE.txt"] if origin["notice"] else [])]

    def work() -> dict:
        export_dataset(config)
        return {}

    inputs = [file for subject in config.subjects for file in files_of(config, subject)]
    return Task(config.name, tuple(inputs), tuple(results / name for name in names), origin, work)


def files_of(config: Config, subject: str) -> list[Path]:
    """Files of a subject that data set and page are made of."""
    paths, trials = Paths(Path(config.results), subject), config.trials(subject)
    fill = config.quality.fill_gaps
    return [paths.model, paths.scaling] + [
        file
        for trial in trials
        for file in (
            paths.keypoints(trial), paths.cameras(trial), paths.points(trial), paths.markers(trial),
            paths.kinematics(trial), paths.vertebrae(trial), paths.quality(trial),
            *((paths.filled(trial, "kinematics"), paths.filled(trial, "vertebrae")) if fill else ()),
            *export.files_of(paths.results, subject, trial),
        )
    ]  # fmt: skip


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
            **{f"export/{kind}/{subject}/{stem}.trc": Entry("trc", count, _TRC, of) for kind in TRC_FOLDERS},
            f"{folder}.mot": Entry("mot", count, {"kinematics": "deg; m", "time": "s"}, of),
            f"{folder}_ik_marker_errors.sto": Entry("sto", count, {"error": "m", "time": "s"}, of),
        }
    return {name: entry for name, entry in found.items() if (results / name).is_file()}


def provenance(config: Config) -> dict:
    """Where the numbers come from: configuration and its hash, checksums of the inputs, versions."""
    inputs: dict[str, dict] = {}
    for subject in config.subjects:
        for stage in ("detect", "merge"):  # merge: motion capture, beside the points made by the stage before
            for trial in config.trials(subject):
                entry = read_manifest(Paths(Path(config.results), subject).manifest(stage, trial))
                own = f"{trial}.h5" if stage == "merge" else None
                given = entry["fingerprint"]["inputs"] if entry else ()
                files = {name: digest for name, digest in given if name != own}
                inputs.setdefault(f"{subject}/{trial}", {}).update(files)
    return {
        "configuration": config.model_dump(mode="json"),
        "configuration_hash": config.hash,
        "inputs_sha256": inputs,
        "versions": dict(versions()),
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
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _subject(paths: Paths, trials: Sequence[str], deviations: dict[str, float], frames: dict[str, int]) -> SubjectData:
    """The subject with trials that are read one by one; fills in what each trial's check gives."""

    def read(name: str) -> TrialData:
        trial, key = publish(read_trial(paths, name, images=False)), f"{paths.subject}/{name}"
        frames[key] = trial.markers.frames
        if trial.fk_deviation is not None:
            deviations[key] = trial.fk_deviation
        return trial

    cameras = tuple(load(paths.cameras(trials[0]), ["cameras"])["cameras"])
    model = paths.model.read_text(encoding="utf-8")
    return SubjectData(cameras, LazyTrials(trials, read), model, f"models/{paths.subject}.osim")
