"""Exports in other formats: from the data set's HDF5 file into a folder of their own, with a manifest."""

import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from simspine.body.model import Body
from simspine.body.paper_axes import COMPOSED, LOCKED, PaperAxis, paper_axes, thorax_left_out, to_paper_axes
from simspine.config import Config
from simspine.config.compare import differences, told
from simspine.dataset.invariant import body_points, check_trial
from simspine.dataset.licence import NOTICE, refuse_public, without_places, without_points
from simspine.dataset.manifest import HDF5_UNITS, NAME, Entry, manifest_header, read_manifest, write_manifest
from simspine.dataset.occlusion import hidden_points
from simspine.dataset.origin import point_origins
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.dataset import Dataset, DatasetFile, write_dataset
from simspine.formats.dataset_tree import LazyTrials, SubjectData, TrialData
from simspine.formats.dataset_write import permutation
from simspine.formats.mot import write_mot
from simspine.formats.sto import write_sto
from simspine.formats.takes import Take, other_points
from simspine.ik.paper_axes_uncertainty import known_deviations, paper_axes_deviation
from simspine.skeletons import load as load_skeleton
from simspine.types import Markers

FORMATS = ("hdf5", "npz", "coco", "parquet", "netcdf", "c3d")
AXES = "axes62"  # the motion alone, in the 62 axes of the paper
ORDERS = {15: "simspine15", 37: "simspine37"}
TEST = ("S9", "S11")  # Human3.6M's usual test subjects, as in the release


@dataclass(frozen=True)
class Choice:
    """What to export. points: 15 or 37. contents: 'all', or 'angles' without points. public: to be given away.

    test: subjects of the test split. every: use each n-th frame (coco).
    """

    points: int = 15
    contents: str = "all"
    public: bool = False
    test: tuple[str, ...] | None = None
    every: int = 1


@dataclass
class _Source:
    """The data set's trials on their way out; every one is checked against its body."""

    file: DatasetFile
    choice: Choice
    names: tuple[str, ...]
    deviations: dict[str, float] = field(default_factory=dict)
    frames: dict[str, int] = field(default_factory=dict)
    levels: tuple[str, ...] = ()
    clinical: tuple[str, ...] = ()
    notes: dict[str, Any] = field(default_factory=dict)  # what the manifest says besides
    _bodies: dict[str, Body] = field(default_factory=dict)

    @property
    def centres(self) -> tuple[str, ...]:
        """Names of the vertebrae whose centroids the file has; () where it has none."""
        subject = self.file.subjects[0]
        return self.file.centre_names(subject, self.file.trials(subject)[0])

    def body(self, subject: str) -> Body:
        if subject not in self._bodies:
            self._bodies = {subject: Body.from_text(self.file.model(subject), f"model of {subject}")}
        return self._bodies[subject]

    def trial(self, subject: str, name: str) -> TrialData:
        """The trial with the points chosen."""
        key, body, trial = f"{subject}/{name}", self.body(subject), self.file.trial(subject, name)
        self.deviations[key] = check_trial(body, trial, key)
        self.frames[key], self.levels, self.clinical = trial.markers.frames, trial.levels, trial.clinical_names
        if self.choice.contents == "angles":
            return without_points(trial)
        if self.names != trial.markers.names:
            markers = _more_points(trial.markers, body_points(body, trial.motion, self.names))
            origin = point_origins(self.names, trial.fitted, trial.fitted_origin)
            trial = replace(trial, markers=markers.with_(origin=origin))
        return trial

    def takes(self, subjects: Sequence[str], pictures: bool = False) -> Iterator[Take]:
        """pictures: with what the body hides."""
        for subject in subjects:
            cameras = () if self.choice.contents == "angles" else self.file.cameras(subject)
            for name in self.file.trials(subject):
                trial = self.trial(subject, name)
                hidden, others = None, {}
                if pictures and cameras:
                    hides = partial(hidden_points, self.body(subject), trial.motion, cameras=cameras)
                    hidden = hides(trial.markers)
                    others = {kind: hides(points) for kind, points in other_points(trial).items()}
                yield Take(subject, name, trial, cameras, hidden, others)


def _more_points(known: Markers, wanted: Markers) -> Markers:
    """`wanted` with what is known of those points: covariances; NaN for the others."""
    if known.covariance is None:
        return wanted
    covariance = np.full((*wanted.xyz.shape, 3), np.nan)
    for i, name in enumerate(wanted.names):
        if name in known.names:
            covariance[:, i] = known.covariance[:, known.index(name)]
    return wanted.with_(covariance=covariance)


def export_format(config: Config, kind: str, choice: Choice, out: Path | None = None) -> Path:
    """Write the data set as `kind` into a folder (results/<name>/exchange/<kind> if None); returns it.

    The folder appears whole or not at all; an older export of ours in its place is replaced, unless it holds other
    files. Raises `InputError` where the stage export has not run, where points are not the forward kinematics of their
    angles, and where a public copy would hold what a licence keeps back.
    """
    results = Path(config.results)
    path = results / f"{config.name}.h5"
    if not path.is_file():
        raise InputError(f"{path} does not exist. Run `simspine export` with the same configuration first.")
    if kind == AXES:
        choice = replace(choice, contents="angles")
    elif choice.contents == "angles" and kind not in ("hdf5", "parquet"):
        raise InputError(f"{kind} holds points; `--contents angles` goes with hdf5 and parquet.")
    with DatasetFile(path) as file:
        origin = {"notice": ""} | file.provenance
        if origin.get("configuration_hash") != config.hash:
            found = differences(origin.get("configuration", {}), config.model_dump(mode="json"))
            warnings.warn(
                f"{path} was made with another configuration ({told(found)}); run `simspine export` again.",
                stacklevel=2,
            )
        if choice.public:
            refuse_public(origin["notice"], kind, choice.contents)
        order = "simspine37" if kind == "coco" else ORDERS[choice.points]
        source = _Source(file, choice, load_skeleton(order).names)
        target = results / "exchange" / kind if out is None else out
        with _new_folder(target) as folder:
            splits = _splits(file.subjects, choice.test)
            files = _WRITERS[kind](folder, source, splits, origin["notice"], config.name)
            if origin["notice"]:
                write_text(folder / "NOTICE.txt", NOTICE + "\n")
                files["NOTICE.txt"] = Entry("text")
            header = manifest_header(config.name, kind, origin, source.deviations) | source.notes
            header |= {"order": order, "from_release_order": permutation(load_skeleton("simspine15").names, order)}
            write_manifest(folder, files, header | {"splits": splits, "contents": choice.contents})
    return target


def _splits(subjects: Sequence[str], test: tuple[str, ...] | None) -> dict[str, list[str]]:
    """{'train': subjects, 'test': subjects}; only those that have any."""
    chosen = TEST if test is None else test
    for name in () if test is None else test:
        if name not in subjects:
            raise InputError(f"subject {name!r} of the test split is not in the data set: {', '.join(subjects)}.")
    parts = {"train": [s for s in subjects if s not in chosen], "test": [s for s in subjects if s in chosen]}
    return {split: names for split, names in parts.items() if names}


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place when the block ends well."""
    if target.exists() and not (target.is_dir() and ((target / NAME).is_file() or not any(target.iterdir()))):
        raise InputError(f"{target} exists and is no export of ours (no {NAME} in it); name another folder with --out.")
    if (target / NAME).is_file() and (others := _not_exported(target)):
        raise InputError(
            f"{target} holds files that its {NAME} does not name, {others[0]} for one ({len(others)} in all): results, "
            "or files of yours. It would be replaced as a whole; name another folder with --out."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(6)}.tmp")
    temporary.mkdir()
    try:
        yield temporary
        old = temporary.with_suffix(".old")
        if target.exists():
            target.rename(old)
        temporary.rename(target)
        if old.exists():
            shutil.rmtree(old)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _not_exported(folder: Path) -> list[str]:
    """Files in a folder that its manifest does not name."""
    files = read_manifest(folder)["files"]
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    others = (name for name in there if name not in files and name != NAME)
    return sorted(others, key=lambda name: (name.startswith("."), name))


Splits = Mapping[str, Sequence[str]]


def _of(source: _Source, subjects: Sequence[str]) -> dict[str, int]:
    return {key: count for key, count in source.frames.items() if key.split("/")[0] in subjects}


def _hdf5(folder: Path, source: _Source, splits: Splits, notice: str, name: str) -> dict[str, Entry]:
    file = source.file
    subjects = {
        subject: SubjectData(
            () if source.choice.contents == "angles" else file.cameras(subject),
            LazyTrials(file.trials(subject), partial(source.trial, subject)),
            file.model(subject),
            file.model_file(subject),
        )
        for subject in file.subjects
    }
    origin = without_places(file.provenance) if source.choice.public else file.provenance
    write_dataset(folder / f"{name}.h5", Dataset(subjects, origin))
    return {f"{name}.h5": Entry("hdf5", sum(source.frames.values()), HDF5_UNITS, dict(source.frames))}


def _npz(folder: Path, source: _Source, splits: Splits, notice: str, name: str) -> dict[str, Entry]:
    from simspine.formats.mmpose_npz import UNITS, write_mmpose

    files = {}
    for split, subjects in splits.items():
        rows = write_mmpose(folder, split, partial(source.takes, subjects, pictures=True), notice=notice)
        files[f"annotations/simspine_{split}.npz"] = Entry("npz", rows, UNITS, _of(source, subjects))
    for path in sorted(folder.glob("annotations/*.pkl")):
        files[f"annotations/{path.name}"] = Entry("pickle", units=UNITS)
    return files


def _coco(folder: Path, source: _Source, splits: Splits, notice: str, name: str) -> dict[str, Entry]:
    from simspine.formats.coco import write_coco

    files = {}
    for split, subjects in splits.items():
        path = f"annotations/person_keypoints_{split}.json"
        takes = partial(source.takes, subjects, pictures=True)
        rows = write_coco(folder / path, takes, notice=notice, every=source.choice.every, centres=source.centres)
        files[path] = Entry("coco", rows, {"keypoints": "px", "bbox": "px"}, _of(source, subjects))
    return files


def _parquet(folder: Path, source: _Source, splits: Splits, notice: str, name: str) -> dict[str, Entry]:
    from simspine.formats.parquet import UNITS, write_card, write_parquet

    files, counts, points = {}, {}, source.choice.contents == "all"
    for split, subjects in splits.items():
        shards = write_parquet(folder, split, partial(source.takes, subjects), points=points)
        counts[split] = sum(shards)
        for i, rows in enumerate(shards):
            files[f"data/{split}-{i:05d}-of-{len(shards):05d}.parquet"] = Entry("parquet", rows, UNITS)
    names = {
        "markers": list(source.names) if points else [], "kinematics": list(source.file.coordinate_names),
        "level_angles": list(source.levels), "centres": list(source.centres) if points else [],
        "clinical": list(source.clinical),
    }  # fmt: skip
    write_card(folder, name, counts, names, notice)
    return files | {"README.md": Entry("text")}


def _single(suffix: str, kind: str, units: Mapping[str, str]):
    """A writer of one file for each trial."""

    def write(folder: Path, source: _Source, splits: Splits, notice: str, name: str) -> dict[str, Entry]:
        from simspine.formats.c3d_write import write_c3d
        from simspine.formats.netcdf import write_netcdf

        files = {}
        for take in source.takes(source.file.subjects):
            path, count = f"{take.subject}/{take.subject}_{take.name}.{suffix}", take.trial.markers.frames
            (write_c3d if kind == "c3d" else write_netcdf)(folder / path, take, notice=notice)
            files[path] = Entry(kind, count, units, {take.path: count})
        return files

    return write


def _known_deviations(body: Body, trial: TrialData) -> dict[str, np.ndarray]:
    """Of composed axes that the data set has as figures."""
    levels = {} if trial.angles_sd is None else dict(zip(trial.levels, trial.angles_sd.swapaxes(0, 1), strict=True))
    clinical = {} if trial.clinical_sd is None else dict(zip(trial.clinical_names, trial.clinical_sd.T, strict=True))
    return known_deviations(body, levels, clinical.get("lumbar_flexion"))


def _deviation_from(axis: PaperAxis, known: Mapping[str, np.ndarray]) -> str:
    """Where the standard deviation of an axis comes from."""
    if axis.how == COMPOSED:
        return "covariances of the joints between" if axis.name in known else "joints between taken as independent"
    return "none: locked" if axis.how == LOCKED else "as solved"


def _axes62(folder: Path, source: _Source, splits: Splits, notice: str, name: str) -> dict[str, Entry]:
    """A motion for each trial in the 62 axes of the paper, its standard deviations, and what each axis is made of."""
    files: dict[str, Entry] = {}
    left_out: dict[str, float] = {}
    axes: tuple[PaperAxis, ...] = ()
    known: dict[str, np.ndarray] = {}
    for take in source.takes(source.file.subjects):
        body, motion = source.body(take.subject), take.trial.motion
        path, count = f"{take.subject}/{take.subject}_{take.name}.mot", motion.frames
        axes_of = to_paper_axes(body, motion)
        write_mot(folder / path, axes_of, inferred=np.flatnonzero(take.trial.inferred))
        files[path] = Entry("mot", count, {"kinematics": "deg; m", "time": "s"}, {take.path: count})
        known = _known_deviations(body, take.trial)
        sd = paper_axes_deviation(body, motion, known)
        if sd is not None:
            path = path.replace(".mot", "_sd.sto")
            sd = np.where(axes_of.rotational, np.degrees(sd), sd)
            write_sto(folder / path, "Standard deviations", axes_of.names, axes_of.time, sd, in_degrees=True)
            files[path] = Entry("sto", count, {"deviation": "deg; m", "time": "s"}, {take.path: count})
        left_out[take.path] = round(float(np.degrees(thorax_left_out(body, motion))), 3)
        axes = paper_axes(body)  # the same of all people: the recipe's
    rows = [("axis", "unit", "how", "from", "to", "deviation")]
    rows += [(axis.name, axis.unit, axis.how, *(axis.spans or ("", "")), _deviation_from(axis, known)) for axis in axes]
    write_text(folder / "axes.csv", "".join(",".join(row) + "\n" for row in rows))
    source.notes["thorax_left_out_deg"] = left_out
    return files | {"axes.csv": Entry("text")}


_WRITERS = {
    "hdf5": _hdf5, "npz": _npz, "coco": _coco, "parquet": _parquet,
    "netcdf": _single("nc", "netcdf", {"position": "m", "kinematics": "deg; m", "time": "s"}),
    "c3d": _single("c3d", "c3d", {"points": "mm"}),
    AXES: _axes62,
}  # fmt: skip
