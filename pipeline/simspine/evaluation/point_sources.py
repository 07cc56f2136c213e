"""Predicted and true points of many trials, read from tables, data sets, TRC files and virtual captures.

A table (.npz) has a row per frame of many trials, so that any program can write one (docs/benchmarks.md).
"""

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError, index_of_name, naming_content, require_path
from simspine.core.geometry import change_frame
from simspine.core.types import WORLD_FRAMES, Camera, Markers, read_only_array
from simspine.dataset.recordings import action_of, open_dataset
from simspine.evaluation.tables import TEST_SUBJECTS
from simspine.io.hdf5 import read_store
from simspine.io.npz import read_npz
from simspine.io.trc import read_trc

KEY_COLUMNS = ["subject", "trial", "camera"]


def read_point_sequences(path: str | os.PathLike, value: str = "xyz") -> tuple["PointSequence", ...]:
    """Points of a table (angles where `value` is 'angle'): sequences in the order of their first rows, frames sorted.

    Raises `InputError` naming the file where it is damaged, a column is missing, or shapes do not agree.
    """
    columns = read_npz(Path(path))
    wanted = ("subject", "trial", "frame", "names", value, *(("axes",) if value == "xyz" else ()))
    if missing := [name for name in wanted if name not in columns]:
        raise InputError(
            f"{path}: no {', '.join(missing)}; expected are the arrays {', '.join(wanted)} and, where known, camera, "
            "action, deviation. See docs/benchmarks.md."
        )
    names = tuple(str(name) for name in np.asarray(columns["names"]).tolist())
    rows = _key_rows(path, columns)
    shape = (len(rows), len(names), *((3,) if value == "xyz" else ()))
    values = require_numbers(f"{path}: {value}", columns[value], shape)
    deviation = columns.get("deviation")
    if deviation is not None:
        deviation = require_numbers(f"{path}: deviation", deviation, shape)
    axes = ", ".join(sorted(set(map(str, np.ravel(columns["axes"]).tolist())))) if value == "xyz" else ANGLE_AXES
    sequences = []
    for (subject, trial, camera), part in rows.groupby(KEY_COLUMNS, sort=False):
        part = part.sort_values("frame", kind="stable")
        spread = None if deviation is None else deviation[part.index]
        about = (axes, camera or None, part["action"].iloc[0], spread)
        with naming_content(path, "points of people"):
            sequences.append(PointSequence(subject, trial, part["frame"].to_numpy(), names, values[part.index], *about))
    return tuple(sequences)


def _key_rows(path: str | os.PathLike, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Subject, trial, camera, action and frame of each row; empty texts where a column was left out."""
    frame = np.asarray(columns["frame"])
    if frame.ndim != 1 or frame.dtype.kind not in "iu":
        raise InputError(f"{path}: frame is {frame.dtype} of shape {frame.shape}, expected whole numbers, one a row.")
    rows: dict[str, Any] = {"frame": frame.astype(int)}
    for name in (*KEY_COLUMNS, "action"):
        texts = np.ravel(columns.get(name, [""] * len(frame))).tolist()
        if len(texts) != len(frame):
            raise InputError(f"{path}: {name} has {len(texts)} rows, frame has {len(frame)}.")
        encoded = [text if isinstance(text, bytes) else str(text).encode("utf-8", "replace") for text in texts]
        rows[name] = [text.decode("utf-8", "replace") for text in encoded]  # pandas refuses undecodable texts
    return pd.DataFrame(rows)


CURVATURE_NAMES = ("LLA", "TKA")
ANGLE_AXES = "angles"  # value of `axes` where the values are angles
POINT_AXES = (*WORLD_FRAMES, "camera")  # camera: x right, y down, z away from the camera, whose centre is the origin


@dataclass(frozen=True, eq=False)
class PointSequence:
    """Points of one subject in some frames of one trial, as one camera sees them or in the world; or angles.

    subject, trial: as the data set names them; action: of the trial ('' takes it from the trial's name). camera: its
    name, None for points of no view. frames: (n,) whole numbers from 0, increasing. names: (points,). values: (n,
    points, 3) m, or (n, angles) rad with LLA and TKA within ±2π; NaN = missing. axes: of `POINT_AXES`, or
    `ANGLE_AXES`. deviation: standard deviations, shape and unit of values, NaN = not known; or None. rate: frames/s
    that the frame numbers count; None is not known.
    `InputError` for anything else.
    """

    subject: str
    trial: str
    frames: np.ndarray
    names: tuple[str, ...]
    values: np.ndarray
    axes: str = "z_up"
    camera: str | None = None
    action: str = ""
    deviation: np.ndarray | None = None
    rate: float | None = None

    def __post_init__(self):
        of_angles = self.axes == ANGLE_AXES
        where = f"{'angles' if of_angles else 'points'} of {self.subject}/{self.trial}"
        if not of_angles and self.axes not in POINT_AXES:
            raise InputError(f"{where}: axes are {self.axes!r}, expected one of {', '.join(POINT_AXES)}.")
        names = tuple(str(name) for name in self.names)
        if len(set(names)) != len(names):
            raise InputError(f"{where}: a name is there twice; names must be unique.")
        frames = read_only_array(where, "frames", self.frames, shape=(None,), dtype=int)
        if (frames[:1] < 0).any() or (np.diff(frames) <= 0).any():
            raise InputError(f"{where}: frame numbers must start at 0 or later and increase; each may be there once.")
        shape = (len(frames), len(names), *(() if of_angles else (3,)))
        values = read_only_array(where, "values", self.values, shape)
        if np.isinf(values).any():
            raise InputError(f"{where}: infinite values; mark missing ones with NaN.")
        if of_angles:
            _check_turn(where, values, names)
        deviation = self.deviation
        if deviation is not None:
            deviation = read_only_array(where, "deviation", deviation, shape)
            _check_deviation(where, deviation, names, frames)
        action = self.action or action_of(self.trial, self.subject)
        checked = {"frames": frames, "names": names, "values": values, "deviation": deviation, "action": action}
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def key(self) -> tuple[str, str, str | None]:
        """(subject, trial, camera): which sequence of a data set this is."""
        return self.subject, self.trial, self.camera

    def select(self, names: Sequence[str], frames: np.ndarray | None = None) -> "PointSequence":
        """The named points in the order given, and only these frame numbers; `InputError` for one not there."""
        columns = [index_of_name(name, self.names, "point", f"{self.subject}/{self.trial}") for name in names]
        rows = np.arange(len(self.frames)) if frames is None else np.searchsorted(self.frames, frames)
        wanted = self.frames[rows] if frames is None else np.asarray(frames, int)
        if (rows >= len(self.frames)).any() or (self.frames[rows] != wanted).any():
            raise InputError(f"points of {self.subject}/{self.trial} lack some of the frames asked for.")
        spread = None if self.deviation is None else self.deviation[rows][:, columns]
        return replace(self, frames=wanted, names=tuple(names), values=self.values[rows][:, columns], deviation=spread)


def _check_turn(where: str, angle: np.ndarray, names: Sequence[str]) -> None:
    """`InputError` for LLA or TKA beyond a whole turn; angle: (frames, angles) rad.

    Rotations are not checked: those of a person who walks in circles count the turns.
    """
    curves = np.array([name in CURVATURE_NAMES for name in names], bool)
    beyond = np.argwhere((np.abs(angle) > 2 * np.pi) & curves)
    if len(beyond):
        row, column = beyond[0]
        raise InputError(
            f"{where}: {names[column]} is {angle[row, column]:.4g}, more than a whole turn in radians (2π). Angles in "
            "degrees? Hand them in in radians, within ±2π."
        )


def _check_deviation(where: str, deviation: np.ndarray, names: Sequence[str], frames: np.ndarray) -> None:
    wrong = np.argwhere((deviation < 0) | np.isinf(deviation))
    if len(wrong):
        row, column, *axis = wrong[0]
        along = f" along {'xyz'[axis[0]]}" if axis else ""
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise InputError(
            f"{where}: the standard deviation of {names[column]}{along} in frame {frames[row]} is "
            f"{deviation[tuple(wrong[0])]:g}{more}; expected are 0 or more, and NaN where it is not known."
        )


ALL_SUBJECTS = "all"
SOURCE_KINDS = (
    "a table (.npz; docs/benchmarks.md), a data set (.h5, or its folder), TRC files "
    "(<subject>_<trial>.trc, or a folder of them) or a virtual capture (a folder with truth/)"
)


def read_points(path: str | os.PathLike, step: int = 1) -> tuple[PointSequence, ...]:
    """Points of all trials of a file or folder, in world axes; in camera axes where a table has these.

    step: of data sets, TRC files and captures only frames whose number is a multiple of it are read. Rejected frames
    of data sets are left out. Raises `InputError` for any other source than `SOURCE_KINDS`.
    """
    require_path(path)
    path = Path(path)
    kind = kind_of_source(path)
    if kind == "table":
        sequences = read_point_sequences(path)
    elif kind == "dataset":
        sequences = tuple(_points_of_dataset(path, step))
    elif kind == "capture":
        sequences = tuple(_points_of_capture(path, step))
    else:
        files = [path] if path.is_file() else sorted(path.rglob("*.trc"))
        sequences = tuple(_points_of_trc(file, step) for file in files)
    if not sequences:
        raise InputError(f"{path}: holds no trial.")
    return sequences


def kind_of_source(path: Path) -> str:
    """'table', 'dataset', 'capture' or 'trc'; `InputError` for anything else."""
    if path.is_dir():
        patterns = {"truth/": "capture", "*.h5": "dataset", "*.hdf5": "dataset", "**/*.trc": "trc"}
        kind = next((kind for pattern, kind in patterns.items() if any(path.glob(pattern))), None)
    else:
        kind = {".trc": "trc", ".npz": "table", ".h5": "dataset", ".hdf5": "dataset"}.get(path.suffix)
    if kind is None or not path.exists():
        fault = "neither points nor a folder with them" if path.exists() else "no such file"
        raise InputError(f"{path}: {fault}. Expected {SOURCE_KINDS}.")
    return kind


def _points_of_dataset(path: Path, step: int) -> Iterator[PointSequence]:
    with open_dataset(path) as data:
        for recording in data.trials():
            frames = np.flatnonzero(recording.array("valid"))
            frames = frames[frames % step == 0]
            xyz, names = recording.array("markers")[frames], recording.data.marker_names
            whose = recording.subject, recording.name
            yield PointSequence(*whose, frames, names, xyz, "y_up", rate=recording.rate)


def _points_of_capture(folder: Path, step: int) -> Iterator[PointSequence]:
    for path in sorted((folder / "truth").glob("*/*.h5")):
        points, subject = read_store(path, ["points"])["points"], path.parent.name
        if not isinstance(points, Markers):
            raise InputError(f"{path}: no points of a trial in it.")
        yield _points_of_markers(points, subject, path.stem.removeprefix(f"{subject}_"), step)


def _points_of_trc(path: Path, step: int) -> PointSequence:
    """The subject is the text before the first '_', or the folder's name where the file's name begins with it."""
    subject, _, trial = path.stem.partition("_")
    if path.stem.startswith(f"{path.parent.name}_"):
        subject, trial = path.parent.name, path.stem.removeprefix(f"{path.parent.name}_")
    if not trial:
        raise InputError(f"{path}: whose trial is it? Name the file <subject>_<trial>.trc.")
    return _points_of_markers(read_trc(path), subject, trial, step)


def _points_of_markers(markers: Markers, subject: str, trial: str, step: int) -> PointSequence:
    numbers = round(markers.start * markers.rate) + np.arange(markers.frames)
    keep = numbers % step == 0
    about = (numbers[keep], markers.names, markers.xyz[keep], markers.frame)
    return PointSequence(subject, trial, *about, rate=markers.rate)


def sequences_of_subjects(
    sequences: Sequence[PointSequence], subjects: Sequence[str] = TEST_SUBJECTS
) -> tuple[PointSequence, ...]:
    """The sequences of the named subjects, or of all (`ALL_SUBJECTS`); `InputError` where there are none."""
    available = tuple(dict.fromkeys(sequence.subject for sequence in sequences))
    chosen = tuple(s for s in sequences if ALL_SUBJECTS in subjects or s.subject in subjects)
    if not chosen:
        raise InputError(
            f"none of the subjects {', '.join(subjects)}, who are tested in this protocol, is in the truth; it has "
            f"{', '.join(available) or 'nobody'}. Name them with --subjects, or take all."
        )
    if lacking := {*subjects} - {*available, ALL_SUBJECTS}:
        warnings.warn(f"the truth has no {', '.join(sorted(lacking))}; tested are the others.", stacklevel=2)
    return chosen


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
) -> Iterator[PointSequence]:
    """Points of the world as each camera has them: m, in its own axes. `InputError` for a subject without cameras."""
    for sequence in sequences:
        if sequence.axes == "camera":
            raise InputError(f"{'/'.join(filter(None, sequence.key))} is in a camera's axes already.")
        if not cameras.get(sequence.subject):
            raise InputError(
                f"{sequence.subject}: the truth holds no cameras, which predictions in a camera's axes are compared "
                "through. Give a data set or a virtual capture as the truth, or predict in the world."
            )
        world = change_frame(sequence.values, sequence.axes, "z_up")
        for camera in cameras[sequence.subject]:
            xyz = world @ camera.R.T + camera.t
            yield replace(sequence, values=xyz, axes="camera", camera=camera.name, deviation=None)


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
        return tuple(points_in_views(truth, cameras_of(path)))
    return truth
