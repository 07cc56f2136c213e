"""`simspine export --format`: the data set in other formats, in a folder of its own with a manifest."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simspine.anatomy import paper_axes
from simspine.anatomy.body import Body
from simspine.anatomy.occlusion import hidden_points
from simspine.core.arrays import columns_by_name
from simspine.core.errors import InputError, require_known
from simspine.core.skeletons import load_skeleton
from simspine.dataset import recordings
from simspine.dataset.recordings import HDF5_UNITS, MANIFEST_FILE, ManifestEntry, write_dataset_manifest
from simspine.estimation.uncertainty import known_deviations, paper_axes_deviation
from simspine.io.atomic import atomic_folder, atomic_path, write_text
from simspine.io.c3d import write_c3d
from simspine.io.coco import write_coco
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import Dataset, SubjectData, TrialData, skeleton_indices, write_dataset
from simspine.io.exchange import BIDS_IGNORE_FILE, ExportTrial, write_bids, write_nwb
from simspine.io.mot import write_mot, write_sto
from simspine.io.npz import MMPOSE_UNITS, write_mmpose
from simspine.io.text_tables import warn_left_out
from simspine.reconstruction import publish
from simspine.workflow.config import Config
from simspine.workflow.dataset import dataset_file, warn_of_other_configuration
from simspine.workflow.jobs import warn_if_stale

PAPER_AXES_CHOICE = "axes62"  # the motion alone, in the 62 axes of the paper
POINT_ORDER_OF_COUNT = {15: "simspine15", 37: "simspine37"}
RELEASE_TEST_SUBJECTS = ("S9", "S11")  # Human3.6M's usual test subjects, as in the release


@dataclass(frozen=True)
class ExportChoice:
    """What to export. points: 15 or 37. contents: 'all', or 'angles' without points. public: to be shared. test:
    subjects of the test split. every: use each n-th frame (coco)."""

    points: int = 15
    contents: str = "all"
    public: bool = False
    test: tuple[str, ...] | None = None
    every: int = 1


@dataclass
class _Source:
    """The data set's trials for export; each is checked against the forward kinematics of its body."""

    file: DatasetFile
    name: str
    notice: str
    choice: ExportChoice
    splits: Mapping[str, Sequence[str]]
    names: tuple[str, ...]
    deviations: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)  # further entries of the manifest
    _bodies: dict[str, Body] = field(default_factory=dict)

    def frames_of(self, subjects: Sequence[str]) -> dict[str, int]:
        """{'subject/trial': number of frames} of the trials of these subjects that were read."""
        return {key: count for key, count in self.frames.items() if key.split("/")[0] in subjects}

    def body(self, subject: str) -> Body:
        if subject not in self._bodies:
            self._bodies = {subject: Body.from_text(self.file.model(subject), f"model of {subject}")}
        return self._bodies[subject]

    def trial(self, subject: str, name: str) -> TrialData:
        key, body, trial = f"{subject}/{name}", self.body(subject), self.file.trial(subject, name)
        self.deviations[key] = publish.check_forward_kinematics(body, trial, key)
        self.frames[key] = trial.markers.frames
        if self.choice.contents == "angles":
            return recordings.drop_licensed_points(trial)
        if self.names != trial.markers.names:
            stored, markers = trial.markers, publish.body_points(body, trial.motion, self.names)
            if stored.covariance is not None:
                markers = markers.with_(covariance=columns_by_name(stored.covariance, stored.names, self.names))
            origin = publish.point_origins(self.names, trial.fitted, trial.fitted_origin)
            trial = replace(trial, markers=markers.with_(origin=origin))
        return trial

    def takes(self, subjects: Sequence[str], pictures: bool = False) -> Iterator[ExportTrial]:
        """All trials of the subjects. pictures: with the points that the body hides from each camera."""
        for subject in subjects:
            for name in self.file.trials(subject):
                cameras = () if self.choice.contents == "angles" else self.file.cameras(subject, name)
                if pictures and not cameras and self.file.cameras(subject):
                    warn_left_out(f"{subject}/{name} is of no cameras, so it has no images; left out.")
                    continue
                trial = self.trial(subject, name)
                take = ExportTrial(subject=subject, name=name, trial=trial, cameras=cameras)
                if pictures and cameras:
                    hides = partial(hidden_points, self.body(subject), trial.motion, cameras=cameras)
                    hidden_vertebral = None if trial.vertebral is None else hides(trial.vertebral)
                    take = replace(take, hidden=hides(trial.markers), hidden_vertebral=hidden_vertebral)
                yield take


def export_format(config: Config, kind: str, choice: ExportChoice, out: Path | None = None) -> Path:
    """Write the data set as `kind` into a folder (results/<name>/exchange/<kind> if None), whole or not at all; returns
    it. An older export in its place is replaced, unless it holds other files."""
    results = Path(config.results)
    path = dataset_file(results, f"{config.name}.h5")
    if not path.is_file():
        raise InputError(f"{path} does not exist: the data set is not made yet. Run `simspine run` first.")
    if kind == PAPER_AXES_CHOICE:
        choice = replace(choice, contents="angles")
    elif choice.contents == "angles" and kind != "hdf5":
        raise InputError(f"{kind} holds points; `--contents angles` goes with hdf5.")
    with DatasetFile(path) as file:
        origin = {"notice": ""} | file.provenance
        warn_of_other_configuration(path, origin, config)
        warn_if_stale(config)
        if choice.public:
            recordings.refuse_public(origin["notice"], kind, choice.contents)
        order = "simspine37" if kind == "coco" else POINT_ORDER_OF_COUNT[choice.points]
        source = _Source(
            file=file, name=config.name, notice=origin["notice"], choice=choice,
            splits=_splits(file.subjects, choice.test), names=load_skeleton(order).names,
        )  # fmt: skip
        if kind in ("coco", "npz"):
            _warn_of_image_numbers(config)
        target = results / "exchange" / kind if out is None else out
        _check_replaceable(target, config.name, kind)
        with atomic_folder(target, ours=re.compile(".*")) as folder:
            files = _WRITER_OF_FORMAT[kind](folder, source)
            if origin["notice"]:
                write_text(folder / "NOTICE.txt", recordings.HUMAN36M_NOTICE + "\n")
                files["NOTICE.txt"] = ManifestEntry("text")
            header = recordings.manifest_header(config.name, kind, origin, source.deviations) | source.notes
            header |= {"order": order, "from_release_order": skeleton_indices(load_skeleton("simspine15").names, order)}
            write_dataset_manifest(folder, files, header | {"splits": source.splits, "contents": choice.contents})
    return target


def _warn_of_image_numbers(config: Config) -> None:
    """Warn of trials whose frames may not be the videos': names of images count the result's frames."""
    moved = [
        f"{subject}/{name}"
        for subject, recorded in config.subjects.items()
        for name, trial in recorded.trials.items()
        if trial.delays is not None or trial.mocap is not None or config.detection.resample is not None
    ]
    if moved:
        cause = "With delays, resampling or motion capture, these may not be the frames of the videos"
        warn_left_out(f"names of images count the result's frames. {cause}: {', '.join(moved)}.")


def _splits(subjects: Sequence[str], test: tuple[str, ...] | None) -> dict[str, list[str]]:
    """{'train': subjects, 'test': subjects}; a split without subjects is left out."""
    chosen = RELEASE_TEST_SUBJECTS if test is None else test
    require_known("subject of the test split", test or (), subjects)
    parts = {"train": [s for s in subjects if s not in chosen], "test": [s for s in subjects if s in chosen]}
    return {split: names for split, names in parts.items() if names}


def _check_replaceable(target: Path, name: str, kind: str) -> None:
    """Raise `InputError` unless the target is absent, empty, or an export of the same name and format without other
    files."""
    if (target / MANIFEST_FILE).is_file():
        manifest = recordings.read_dataset_manifest(target)
        is_data_set = "provenance.json" in manifest["files"]  # as a run makes it
        if is_data_set or (manifest.get("name"), manifest.get("format")) != (name, kind):
            found = f"the data set {manifest.get('name')}" if is_data_set else f"an export {manifest.get('format')}"
            raise InputError(f"{target} holds {found}, and would be replaced. Name another folder with --out.")
        listed = {MANIFEST_FILE, *manifest["files"], *([BIDS_IGNORE_FILE] if manifest.get("format") == "bids" else [])}
        existing = {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir()}
        if others := sorted(existing - listed, key=lambda name: (name.startswith("."), name)):
            text = f"{target} would be replaced as a whole, and holds {others[0]}, which its {MANIFEST_FILE} lacks"
            raise InputError(f"{text} ({len(others)} such files). Name another folder with --out.")
    elif target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InputError(f"{target} is no export of ours: it has no {MANIFEST_FILE}; name another folder with --out.")


def _export_hdf5(folder: Path, source: _Source) -> dict[str, ManifestEntry]:
    file = source.file
    subjects = {
        subject: SubjectData(
            () if source.choice.contents == "angles" else file.cameras(subject),
            {trial: partial(source.trial, subject, trial) for trial in file.trials(subject)},
            file.model(subject),
            file.model_file(subject),
        )
        for subject in file.subjects
    }
    origin = recordings.drop_licensed_places(file.provenance) if source.choice.public else file.provenance
    write_dataset(folder / f"{source.name}.h5", Dataset(subjects, origin))
    return {f"{source.name}.h5": ManifestEntry("hdf5", sum(source.frames.values()), HDF5_UNITS, dict(source.frames))}


def _export_npz(folder: Path, source: _Source) -> dict[str, ManifestEntry]:
    files = {}
    for split, subjects in source.splits.items():
        name, takes = f"annotations/simspine_{split}.npz", partial(source.takes, subjects, pictures=True)
        rows = write_mmpose(folder, split, takes, notice=source.notice)
        files[name] = ManifestEntry("npz", rows, MMPOSE_UNITS, source.frames_of(subjects))
    for path in sorted(folder.glob("annotations/*.pkl")):
        files[f"annotations/{path.name}"] = ManifestEntry("pickle", units=MMPOSE_UNITS)
    return files


def _export_coco(folder: Path, source: _Source) -> dict[str, ManifestEntry]:
    files = {}
    for split, subjects in source.splits.items():
        path, takes = f"annotations/person_keypoints_{split}.json", partial(source.takes, subjects, pictures=True)
        rows = write_coco(folder / path, takes, notice=source.notice, every=source.choice.every)
        files[path] = ManifestEntry("coco", rows, {"keypoints": "px", "bbox": "px"}, source.frames_of(subjects))
    return files


def _export_trials(
    folder: Path, source: _Source, kind: str, write: Callable[..., None], units: dict[str, str]
) -> dict[str, ManifestEntry]:
    files = {}
    for take in source.takes(source.file.subjects):
        path, count = f"{take.file_stem}.{kind}", take.trial.markers.frames
        write(folder / path, take, notice=source.notice)
        files[path] = ManifestEntry(kind, count, units, {take.path: count})
    return files


def _export_csv(folder: Path, source: _Source) -> dict[str, ManifestEntry]:
    """One tidy table: a row for each frame of all trials, in degrees and mm, with standard deviations and verdicts."""
    table = publish.tidy_table((take.subject, take.name, take.trial) for take in source.takes(source.file.subjects))
    with atomic_path(folder / "frames.csv") as temporary:
        table.round(publish.TABLE_DECIMALS).to_csv(temporary.absolute(), index=False, lineterminator="\n")
    units = {"columns ending in _deg": "deg", "in _mm": "mm", "in _s": "s"}
    return {"frames.csv": ManifestEntry("csv", len(table), units, dict(source.frames))}


def _export_bids(folder: Path, source: _Source) -> dict[str, ManifestEntry]:
    written = write_bids(folder, source.takes(source.file.subjects), name=source.name, notice=source.notice)
    return {path: ManifestEntry("text" if not rows else "bids", rows) for path, rows in written.items()}


def _deviation_from(axis: paper_axes.PaperAxis, known: Mapping[str, np.ndarray]) -> str:
    if axis.how == paper_axes.AXIS_COMPOSED:
        return "covariances of the joints between" if axis.name in known else "joints between taken as independent"
    return "none: locked" if axis.how == paper_axes.AXIS_LOCKED else "as solved"


def _export_paper_axes(folder: Path, source: _Source) -> dict[str, ManifestEntry]:
    """A motion for each trial in the 62 axes of the paper, its standard deviations, and a table of the axes."""
    files: dict[str, ManifestEntry] = {}
    left_out: dict[str, float] = {}
    axes: tuple[paper_axes.PaperAxis, ...] = ()
    known: dict[str, np.ndarray] = {}
    for take in source.takes(source.file.subjects):
        body, trial, motion = source.body(take.subject), take.trial, take.trial.motion
        path, count = f"{take.file_stem}.mot", motion.frames
        in_axes = paper_axes.to_paper_axes(body, motion)
        write_mot(folder / path, in_axes, inferred=np.flatnonzero(trial.inferred))
        files[path] = ManifestEntry("mot", count, {"kinematics": "deg; m", "time": "s"}, {take.path: count})
        levels = {} if trial.angles_sd is None else dict(zip(trial.levels, trial.angles_sd.swapaxes(0, 1), strict=True))
        clinical = () if trial.clinical_sd is None else zip(trial.clinical_names, trial.clinical_sd.T, strict=True)
        known = known_deviations(body, levels, dict(clinical).get("lumbar_flexion"))
        sd = paper_axes_deviation(body, motion, known)
        if sd is not None:
            path = path.replace(".mot", "_sd.sto")
            sd = np.where(in_axes.rotational, np.degrees(sd), sd)
            title, names = "Standard deviations", in_axes.names
            write_sto(folder / path, title, names, time=in_axes.time, values=sd, in_degrees=True)
            files[path] = ManifestEntry("sto", count, {"deviation": "deg; m", "time": "s"}, {take.path: count})
        left_out[take.path] = round(float(np.degrees(paper_axes.thorax_left_out(body, motion))), 3)
        axes = paper_axes.paper_axes_of(body)  # set by the recipe, so the same for all people
    rows = [("axis", "unit", "how", "from", "to", "deviation")]
    rows += [(axis.name, axis.unit, axis.how, *(axis.spans or ("", "")), _deviation_from(axis, known)) for axis in axes]
    write_text(folder / "axes.csv", "".join(",".join(row) + "\n" for row in rows))
    source.notes["thorax_left_out_deg"] = left_out
    return files | {"axes.csv": ManifestEntry("text")}


_WRITER_OF_FORMAT: dict[str, Callable[[Path, _Source], dict[str, ManifestEntry]]] = {
    "hdf5": _export_hdf5,
    "npz": _export_npz,
    "coco": _export_coco,
    "c3d": partial(_export_trials, kind="c3d", write=write_c3d, units={"points": "mm"}),
    "csv": _export_csv,
    "nwb": partial(_export_trials, kind="nwb", write=write_nwb, units={"points": "m", "angles": "rad"}),
    "bids": _export_bids,
    PAPER_AXES_CHOICE: _export_paper_axes,
}
