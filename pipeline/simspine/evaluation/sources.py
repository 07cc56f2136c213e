"""Points from whatever holds them: tables of points, data sets, TRC files, virtual captures; people to be tested."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

import h5py
import numpy as np

from simspine.dataset.recordings import Recording, open_dataset
from simspine.errors import InputError, require_path
from simspine.evaluation.points import PointSequence, load_points
from simspine.evaluation.protocol import TEST
from simspine.formats.store import load
from simspine.formats.trc import read_trc
from simspine.geometry import change_frame
from simspine.types import Camera, Markers

EVERYBODY = "all"
KINDS = (
    "a table of points (.npz, .h5; docs/benchmarks.md), a data set (.h5, or its folder), TRC files "
    "(<subject>_<trial>.trc, or a folder of them) or a virtual capture (a folder with truth/)"
)


def read_points(path: str | os.PathLike, step: int = 1) -> tuple[PointSequence, ...]:
    """Points of all trials of a file or folder, in the world; of each camera where a table says so.

    step: of data sets, TRC files and captures only the frames whose number is a multiple of it. Of a data set the
    frames it keeps. Raises `InputError` for what is none of `KINDS`.
    """
    require_path(path)
    path = Path(path)
    kind = kind_of(path)
    if kind == "table":
        found = load_points(path)
    elif kind == "dataset":
        found = tuple(_of_dataset(path, step))
    elif kind == "capture":
        found = tuple(_of_capture(path, step))
    else:
        files = [path] if path.is_file() else sorted(path.rglob("*.trc"))
        found = tuple(_of_trc(file, step) for file in files)
    if not found:
        raise InputError(f"{path}: holds no trial.")
    return found


def read_detected(path: str | os.PathLike) -> tuple[PointSequence, ...]:
    """As `read_points`, but of a run's results folder the triangulated points, not those of the fitted body."""
    require_path(path)
    files = sorted(Path(path).glob("*/points/*.h5"))
    if not files:
        return read_points(path)
    return tuple(_of_stored(file, file.parents[1].name, file.stem) for file in files)


def kind_of(path: Path) -> str:
    """'table', 'dataset', 'capture' or 'trc'; `InputError` for anything else."""
    if path.is_dir():
        if (path / "truth").is_dir():
            return "capture"
        if any(path.glob("*.h5")) or any(path.glob("*.hdf5")):
            return "dataset"
        if any(path.rglob("*.trc")):
            return "trc"
    elif not path.exists():
        raise InputError(f"{path}: no such file. Expected {KINDS}.")
    elif path.suffix == ".trc":
        return "trc"
    elif path.suffix == ".npz":
        return "table"
    elif path.suffix in (".h5", ".hdf5"):
        return "dataset" if _has_metadata(path) else "table"
    raise InputError(f"{path}: neither points nor a folder with them. Expected {KINDS}.")


def _has_metadata(path: Path) -> bool:
    """Whether an HDF5 file is a data set and not a table; the readers say what is wrong with one that is neither."""
    try:
        with h5py.File(path, "r") as file:
            return "metadata" in file
    except OSError:
        return False


def _of_dataset(path: Path, step: int) -> Iterator[PointSequence]:
    with open_dataset(path) as data:
        for recording in data.trials():
            yield _kept(recording, step)


def _kept(recording: Recording, step: int) -> PointSequence:
    frames = np.flatnonzero(recording.array("valid"))
    frames = frames[frames % step == 0]
    xyz = recording.array("markers")[frames]
    names, rate = recording.data.marker_names, recording.rate
    return PointSequence(recording.subject, recording.name, frames, names, xyz, "y_up", rate=rate)


def _of_capture(folder: Path, step: int) -> Iterator[PointSequence]:
    for path in sorted((folder / "truth").glob("*/*.h5")):
        subject = path.parent.name
        yield _of_stored(path, subject, path.stem.removeprefix(f"{subject}_"), step)


def _of_stored(path: Path, subject: str, trial: str, step: int = 1) -> PointSequence:
    points = load(path, ["points"])["points"]
    if not isinstance(points, Markers):
        raise InputError(f"{path}: no points of a trial in it.")
    return _of_markers(points, subject, trial, step)


def _of_trc(path: Path, step: int) -> PointSequence:
    """The subject is what stands before the first '_', or the folder's name where that begins the file's name."""
    subject, _, trial = path.stem.partition("_")
    if path.stem.startswith(f"{path.parent.name}_"):
        subject, trial = path.parent.name, path.stem.removeprefix(f"{path.parent.name}_")
    if not trial:
        raise InputError(f"{path}: whose trial is it? Name the file <subject>_<trial>.trc.")
    return _of_markers(read_trc(path), subject, trial, step)


def _of_markers(markers: Markers, subject: str, trial: str, step: int) -> PointSequence:
    numbers = round(markers.start * markers.rate) + np.arange(markers.frames)
    keep = numbers % step == 0
    return PointSequence(
        subject, trial, numbers[keep], markers.names, markers.xyz[keep], markers.frame, rate=markers.rate
    )


class OfSubject(Protocol):
    """What belongs to one person."""

    @property
    def subject(self) -> str: ...


S = TypeVar("S", bound=OfSubject)


def of_subjects(sequences: Sequence[S], subjects: Sequence[str] = TEST) -> tuple[S, ...]:
    """Those of the people named, or of everybody (`EVERYBODY`); `InputError` where nobody of them is there."""
    there = tuple(dict.fromkeys(sequence.subject for sequence in sequences))
    found = tuple(s for s in sequences if EVERYBODY in subjects or s.subject in subjects)
    if not found:
        raise InputError(
            f"none of the subjects {', '.join(subjects)}, who are tested in this protocol, is in the truth; it has "
            f"{', '.join(there) or 'nobody'}. Name them with --subjects, or take all."
        )
    return found


def cameras_of(path: str | os.PathLike) -> dict[str, tuple[Camera, ...]]:
    """{subject: cameras} of a data set or a virtual capture; empty for everything else."""
    path = Path(path)
    kind = kind_of(path)
    if kind == "dataset":
        with open_dataset(path) as data:
            return {recording.subject: recording.cameras for recording in data.trials()}
    if kind == "capture":
        files = sorted((path / "detections").glob("*/*.h5"))
        return {file.parent.name: tuple(load(file, ["cameras"])["cameras"]) for file in files}
    return {}


def in_views(sequences: Iterable[PointSequence], cameras: dict[str, tuple[Camera, ...]]) -> tuple[PointSequence, ...]:
    """Points of the world as each camera has them: m, in its own axes. `InputError` for a subject without cameras."""
    found = []
    for sequence in sequences:
        if sequence.axes == "camera":
            raise InputError(f"{'/'.join(filter(None, sequence.key))} is in a camera's axes already.")
        if not cameras.get(sequence.subject):
            raise InputError(
                f"{sequence.subject}: the truth holds no cameras, which predictions in a camera's axes are compared "
                "through. Give a data set or a virtual capture as the truth, or predict in the world."
            )
        world = change_frame(sequence.xyz, sequence.axes, "z_up")
        for camera in cameras[sequence.subject]:
            found.append(
                PointSequence(
                    sequence.subject, sequence.trial, sequence.frames, sequence.names, world @ camera.R.T + camera.t,
                    "camera", camera.name, sequence.action, None, sequence.rate,
                )
            )  # fmt: skip
    return tuple(found)


def truth_for(
    path: str | os.PathLike, predictions: Iterable[PointSequence], subjects: Sequence[str] = TEST, step: int = 1
) -> tuple[PointSequence, ...]:
    """The true points of the people tested, in the axes of the predictions: of each camera, or of the world."""
    truth = of_subjects(read_points(path, step), subjects)
    seen = any(sequence.axes == "camera" for sequence in predictions)
    if seen and all(sequence.axes != "camera" for sequence in truth):
        return in_views(truth, cameras_of(path))
    return truth
