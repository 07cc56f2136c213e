"""Predicted and true points of many trials, out of tables, data sets, TRC files and virtual captures.

A table (.npz) has a row per frame of many trials, so that any program can write one. All tables have the
columns

- `subject`, `trial`: (rows,) texts, 'S9' and 'Walking_1'; `camera`: (rows,) texts, '' or left out where a row is of no
  view; `action`: (rows,) texts, or left out, then from the trial's name;
- `frame`: (rows,) whole numbers from 0, of the data set's frames, in any order; `rate`: frames/s, or left out.

Tables of points have `names`: (points,) texts, SIMSPINE's; `xyz`: (rows, points, 3) m, NaN = missing; `deviation`:
standard deviations of the same shape, or left out; `axes`: one text, 'z_up', 'y_up' or 'camera'.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from simspine.core.errors import InputError, require_path
from simspine.core.geometry import change_frame
from simspine.core.types import WORLD_FRAMES, Camera, Markers, read_only_array
from simspine.dataset.recordings import Recording, action_of, open_dataset
from simspine.evaluation.tables import TEST_SUBJECTS
from simspine.io.atomic import atomic_path
from simspine.io.hdf5 import read_store
from simspine.io.npz import read_npz
from simspine.io.trc import read_trc

REQUIRED_COLUMNS, OPTIONAL_COLUMNS = ("subject", "trial", "frame"), ("camera", "action", "rate")


@dataclass(frozen=True)
class TablePart:
    """The rows of one trial and view. rows: their indices in the table, by frame; frames: (n,) their numbers."""

    subject: str
    trial: str
    rows: np.ndarray
    frames: np.ndarray
    camera: str | None
    action: str
    rate: float | None


def shared_value(path: str | os.PathLike, sequences: Sequence[Any], name: str) -> Any:
    """What all sequences have under this name; `InputError` where they differ, and for no sequence at all."""
    if not sequences:
        raise InputError(f"{path}: no frames to write.")
    if len({getattr(sequence, name) for sequence in sequences}) > 1:
        raise InputError(f"{path}: sequences with different {name} cannot stand in one file.")
    return getattr(sequences[0], name)


def write_frame_table(
    path: str | os.PathLike, sequences: Sequence[Any], columns: Mapping[str, np.ndarray], arrays: Sequence[str]
) -> None:
    """Write sequences one below the other, as .npz. columns: those that are not per row.

    arrays: names of the sequences' fields with a row per frame; a field must be None in all of them or in none.
    """
    rate = shared_value(path, sequences, "rate")
    table: dict[str, Any] = dict(columns) if rate is None else dict(columns) | {"rate": np.array([rate])}
    for name in ("subject", "trial", "action", "camera"):
        texts = [getattr(sequence, name, None) or "" for sequence in sequences]
        table[name] = np.concatenate([np.full(len(s.frames), t) for s, t in zip(sequences, texts, strict=True)])
    table["frame"] = np.concatenate([sequence.frames for sequence in sequences])
    for name in arrays:
        parts = [getattr(sequence, name) for sequence in sequences]
        if len({part is None for part in parts}) > 1:
            raise InputError(f"{path}: some sequences have {name} and some none; give all of them or none.")
        if parts[0] is not None:
            table[name] = np.concatenate(parts)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, **table)


def read_frame_table(
    path: str | os.PathLike, needed: Sequence[str], optional: Sequence[str] = ()
) -> tuple[dict[str, Any], tuple[TablePart, ...]]:
    """All columns, and the rows of each trial and view in the order of their first rows.

    Raises `InputError` naming the file where it is damaged, a column is missing, or columns differ in length.
    """
    columns = read_npz(Path(path))
    missing = [name for name in (*REQUIRED_COLUMNS, *needed) if name not in columns]
    if missing:
        raise InputError(
            f"{path}: no {', '.join(missing)}; expected are the arrays {', '.join((*REQUIRED_COLUMNS, *needed))} and, "
            f"where known, {', '.join((*OPTIONAL_COLUMNS, *optional))}. See docs/benchmarks.md."
        )
    frame = np.asarray(columns["frame"])
    if frame.ndim != 1 or frame.dtype.kind not in "iu":
        raise InputError(f"{path}: frame is {frame.dtype} of shape {frame.shape}, expected whole numbers, one a row.")
    try:
        rate = float(np.ravel(columns["rate"])[0]) if "rate" in columns else None
    except (IndexError, ValueError, TypeError):
        raise InputError(f"{path}: rate is no number of frames per second.") from None
    keys = [_text_column(path, name, columns.get(name), len(frame)) for name in ("subject", "trial", "camera")]
    action = _text_column(path, "action", columns.get("action"), len(frame))
    of: dict[tuple[str, ...], list[int]] = {}
    for i, key in enumerate(zip(*keys, strict=True)):
        of.setdefault(key, []).append(i)
    parts = []
    for (subject, trial, camera), own in of.items():
        rows = np.array(own)[np.argsort(frame[own], kind="stable")]
        numbers, name = frame[rows].astype(int), action[rows[0]]
        parts.append(TablePart(subject, trial, rows, numbers, camera=camera or None, action=name, rate=rate))
    return columns, tuple(parts)


def column_as_array(
    path: str | os.PathLike, columns: Mapping[str, Any], name: str, shape: tuple[int, ...]
) -> np.ndarray | None:
    """A column of numbers, (rows, `*shape`); None where it was left out. `InputError` for another shape."""
    if name not in columns:
        return None
    wanted = (len(columns["frame"]), *shape)
    try:
        array = np.asarray(columns[name], float)
    except (ValueError, TypeError):
        raise InputError(f"{path}: {name} is not made of numbers.") from None
    if array.shape != wanted:
        raise InputError(f"{path}: {name} has shape {array.shape}, expected {wanted}.")
    return array


def _text_column(path: str | os.PathLike, name: str, column: Any, rows: int) -> list[str]:
    """A column of texts; empty ones where it was left out."""
    if column is None:
        return [""] * rows
    texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else str(t) for t in np.ravel(column).tolist()]
    if len(texts) != rows:
        raise InputError(f"{path}: {name} has {len(texts)} rows, frame has {rows}.")
    return texts


def check_deviations(where: str, deviation: np.ndarray, names: Sequence[str], frames: np.ndarray) -> None:
    """Raise `InputError` for a standard deviation that is negative or infinite; NaN is one that is not known.

    deviation: (frames, names) or (frames, names, 3).
    """
    wrong = np.argwhere((deviation < 0) | np.isinf(deviation))
    if not len(wrong):
        return
    row, column, *axis = wrong[0]
    along = f" along {'xyz'[axis[0]]}" if axis else ""
    more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    raise InputError(
        f"{where}: the standard deviation of {names[column]}{along} in frame {frames[row]} is "
        f"{deviation[tuple(wrong[0])]:g}{more}; expected are 0 or more, and NaN where it is not known."
    )


def frame_numbers(where: str, frames: np.ndarray) -> np.ndarray:
    """(n,) whole numbers, read-only. Raises `InputError` unless they start at 0 or later and increase."""
    found = read_only_array(where, "frames", frames, shape=(None,), dtype=int)
    if (found[:1] < 0).any() or (np.diff(found) <= 0).any():
        raise InputError(f"{where}: frame numbers must start at 0 or later and increase; each may be there once.")
    return found


def checked_fields(where: str, sequence: Any, value: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Fields of a sequence as arrays and texts. value: its field of `(frames, names, *shape)` numbers.

    Raises `InputError` for names or frames that are there twice, other shapes, infinite values and wrong deviations.
    """
    names = tuple(str(name) for name in sequence.names)
    if len(set(names)) != len(names):
        raise InputError(f"{where}: a name is there twice; names must be unique.")
    frames = frame_numbers(where, sequence.frames)
    shape = (len(frames), len(names), *shape)
    values = read_only_array(where, value, getattr(sequence, value), shape)
    if np.isinf(values).any():
        raise InputError(f"{where}: infinite values; mark missing ones with NaN.")
    deviation = sequence.deviation
    if deviation is not None:
        deviation = read_only_array(where, "deviation", deviation, shape)
        check_deviations(where, deviation, names, frames)
    action = sequence.action or action_of(sequence.trial, sequence.subject)
    return {"frames": frames, "names": names, value: values, "deviation": deviation, "action": action}


POINT_AXES = (*WORLD_FRAMES, "camera")  # camera: x right, y down, z away from the camera, whose centre is the origin


@dataclass(frozen=True, eq=False)
class PointSequence:
    """Points of one subject in some frames of one trial, as one camera sees them or in the world.

    subject, trial: as the data set names them; action: of the trial ('' takes it from the trial's name). camera: its
    name, None for points of no view. frames: (n,) whole numbers from 0, increasing. names: (points,). xyz: (n, points,
    3) m, NaN = missing. axes: of `POINT_AXES`. deviation: standard deviations, shape and unit of xyz, or None. rate:
    frames/s that the numbers count, or None where it is not known.
    """

    subject: str
    trial: str
    frames: np.ndarray
    names: tuple[str, ...]
    xyz: np.ndarray
    axes: str = "z_up"
    camera: str | None = None
    action: str = ""
    deviation: np.ndarray | None = None
    rate: float | None = None

    def __post_init__(self):
        where = f"points of {self.subject}/{self.trial}"
        if self.axes not in POINT_AXES:
            raise InputError(f"{where}: axes are {self.axes!r}, expected one of {', '.join(POINT_AXES)}.")
        if self.rate is not None and not (np.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"{where}: rate is {self.rate}, expected a positive number of frames per second.")
        for name, value in checked_fields(where, self, "xyz", (3,)).items():
            object.__setattr__(self, name, value)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """(subject, trial, camera): which sequence of a data set this is."""
        return self.subject, self.trial, self.camera

    def select(self, names: Sequence[str], frames: np.ndarray | None = None) -> "PointSequence":
        """The named points in the order given, and only these frame numbers; `InputError` for one not there."""
        missing = [name for name in names if name not in self.names]
        if missing:
            raise InputError(f"points of {self.subject}/{self.trial} lack {', '.join(missing)}.")
        columns = [self.names.index(name) for name in names]
        rows = np.arange(len(self.frames)) if frames is None else np.searchsorted(self.frames, frames)
        wanted = self.frames[rows] if frames is None else np.asarray(frames, int)
        if (rows >= len(self.frames)).any() or (self.frames[rows] != wanted).any():
            raise InputError(f"points of {self.subject}/{self.trial} lack some of the frames asked for.")
        spread = None if self.deviation is None else self.deviation[rows][:, columns]
        return replace(self, frames=wanted, names=tuple(names), xyz=self.xyz[rows][:, columns], deviation=spread)


def write_point_sequences(path: str | os.PathLike, sequences: Iterable[PointSequence]) -> None:
    """Write sequences as one table (.npz). Layout: this module's text.

    All must have the same points, axes, rate, and deviations or none; `InputError` otherwise, and for none at all.
    """
    some = tuple(sequences)
    columns = {
        "names": np.array(shared_value(path, some, "names")),
        "axes": np.array([shared_value(path, some, "axes")]),
    }
    write_frame_table(path, some, columns, ("xyz", "deviation"))


T = TypeVar("T")


def sequences_of_table(
    path: str | os.PathLike, value: str, shape: tuple[int, ...], needed: Sequence[str], make: Callable[..., T]
) -> tuple[T, ...]:
    """Sequences in the order of their first rows, frames sorted. value: the column of `(rows, names, *shape)` numbers;
    `deviation` has its shape. needed: of further columns, texts that `make` takes.

    Raises `InputError` naming the file where it is damaged, a column is missing, or shapes do not agree.
    """
    columns, parts = read_frame_table(path, ("names", value, *needed), ("deviation",))
    names = tuple(str(name) for name in np.asarray(columns["names"]).tolist())
    arrays = {name: column_as_array(path, columns, name, (len(names), *shape)) for name in (value, "deviation")}
    texts = {name: str(next(iter(np.ravel(columns[name])), "")) for name in needed}
    found = []
    for part in parts:
        own = {name: None if array is None else array[part.rows] for name, array in arrays.items()}
        view = {} if part.camera is None else {"camera": part.camera}
        rest = {"action": part.action, "rate": part.rate} | own | texts | view
        try:
            found.append(make(part.subject, part.trial, part.frames, names, **rest))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return tuple(found)


def read_point_sequences(path: str | os.PathLike) -> tuple[PointSequence, ...]:
    """What `write_point_sequences` or another program wrote."""
    return sequences_of_table(path, "xyz", (3,), needed=("axes",), make=PointSequence)


ALL_SUBJECTS = "all"
SOURCE_KINDS = (
    "a table of points (.npz; docs/benchmarks.md), a data set (.h5, or its folder), TRC files "
    "(<subject>_<trial>.trc, or a folder of them) or a virtual capture (a folder with truth/)"
)


def read_points(path: str | os.PathLike, step: int = 1) -> tuple[PointSequence, ...]:
    """Points of all trials of a file or folder, in the world; of each camera where a table says so.

    step: of data sets, TRC files and captures only the frames whose number is a multiple of it. Of a data set the
    frames it keeps. Raises `InputError` for what is none of `SOURCE_KINDS`.
    """
    require_path(path)
    path = Path(path)
    kind = kind_of_source(path)
    if kind == "table":
        found = read_point_sequences(path)
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


def read_detected_points(path: str | os.PathLike) -> tuple[PointSequence, ...]:
    """As `read_points`, but of a run's results folder the triangulated points, not those of the fitted body."""
    require_path(path)
    files = sorted(Path(path).glob("*/points/*.h5"))
    if not files:
        return read_points(path)
    return tuple(_of_stored(file, file.parents[1].name, file.stem) for file in files)


def kind_of_source(path: Path) -> str:
    """'table', 'dataset', 'capture' or 'trc'; `InputError` for anything else."""
    if path.is_dir():
        if (path / "truth").is_dir():
            return "capture"
        if any(path.glob("*.h5")) or any(path.glob("*.hdf5")):
            return "dataset"
        if any(path.rglob("*.trc")):
            return "trc"
    elif not path.exists():
        raise InputError(f"{path}: no such file. Expected {SOURCE_KINDS}.")
    elif path.suffix == ".trc":
        return "trc"
    elif path.suffix == ".npz":
        return "table"
    elif path.suffix in (".h5", ".hdf5"):
        return "dataset"
    raise InputError(f"{path}: neither points nor a folder with them. Expected {SOURCE_KINDS}.")


def _of_dataset(path: Path, step: int) -> Iterator[PointSequence]:
    with open_dataset(path) as data:
        for recording in data.trials():
            yield _kept_frames(recording, step)


def _kept_frames(recording: Recording, step: int) -> PointSequence:
    frames = np.flatnonzero(recording.array("valid"))
    frames = frames[frames % step == 0]
    xyz, names = recording.array("markers")[frames], recording.data.marker_names
    return PointSequence(recording.subject, recording.name, frames, names, xyz=xyz, axes="y_up", rate=recording.rate)


def _of_capture(folder: Path, step: int) -> Iterator[PointSequence]:
    for path in sorted((folder / "truth").glob("*/*.h5")):
        subject = path.parent.name
        yield _of_stored(path, subject, path.stem.removeprefix(f"{subject}_"), step)


def _of_stored(path: Path, subject: str, trial: str, step: int = 1) -> PointSequence:
    points = read_store(path, ["points"])["points"]
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
    xyz = markers.xyz[keep]
    return PointSequence(subject, trial, numbers[keep], markers.names, xyz=xyz, axes=markers.frame, rate=markers.rate)


class SubjectItem(Protocol):
    """What belongs to one person."""

    @property
    def subject(self) -> str: ...


S = TypeVar("S", bound=SubjectItem)


def sequences_of_subjects(sequences: Sequence[S], subjects: Sequence[str] = TEST_SUBJECTS) -> tuple[S, ...]:
    """Those of the people named, or of everybody (`ALL_SUBJECTS`); `InputError` where nobody of them is there."""
    there = tuple(dict.fromkeys(sequence.subject for sequence in sequences))
    found = tuple(s for s in sequences if ALL_SUBJECTS in subjects or s.subject in subjects)
    if not found:
        raise InputError(
            f"none of the subjects {', '.join(subjects)}, who are tested in this protocol, is in the truth; it has "
            f"{', '.join(there) or 'nobody'}. Name them with --subjects, or take all."
        )
    return found


def cameras_of(path: str | os.PathLike) -> dict[str, tuple[Camera, ...]]:
    """{subject: cameras} of a data set or a virtual capture; empty for everything else."""
    path = Path(path)
    kind = kind_of_source(path)
    if kind == "dataset":
        with open_dataset(path) as data:
            return {recording.subject: recording.cameras for recording in data.trials()}
    if kind == "capture":
        files = sorted((path / "detections").glob("*/*.h5"))
        return {file.parent.name: tuple(read_store(file, ["cameras"])["cameras"]) for file in files}
    return {}


def points_in_views(
    sequences: Iterable[PointSequence], cameras: dict[str, tuple[Camera, ...]]
) -> tuple[PointSequence, ...]:
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
            xyz = world @ camera.R.T + camera.t
            found.append(replace(sequence, xyz=xyz, axes="camera", camera=camera.name, deviation=None))
    return tuple(found)


def truth_for(
    path: str | os.PathLike,
    predictions: Iterable[PointSequence],
    subjects: Sequence[str] = TEST_SUBJECTS,
    step: int = 1,
) -> tuple[PointSequence, ...]:
    """The true points of the people tested, in the axes of the predictions: of each camera, or of the world."""
    truth = sequences_of_subjects(read_points(path, step), subjects)
    seen = any(sequence.axes == "camera" for sequence in predictions)
    if seen and all(sequence.axes != "camera" for sequence in truth):
        return points_in_views(truth, cameras_of(path))
    return truth
