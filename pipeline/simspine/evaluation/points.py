"""Points of many trials, predicted or true: what all protocols compare, and the one file it is kept in.

A file (.npz, or HDF5 by any other ending) is a table with a row per frame, so that any program can write one:

- `subject`, `trial`: (rows,) texts, 'S9' and 'Walking_1'; `camera`: (rows,) texts, '' or left out where points are
  of no view; `action`: (rows,) texts, or left out, then from the trial's name.
- `frame`: (rows,) whole numbers from 0, of the data set's frames.
- `names`: (points,) texts, SIMSPINE's; `xyz`: (rows, points, 3) m, NaN = missing; `deviation`: the same shape, standard
  deviations, or left out.
- `axes`: one text, 'z_up', 'y_up' or 'camera'; `rate`: one number, frames/s of the data set's frames, or left out.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from simspine.dataset.actions import action_of
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path
from simspine.formats.npz import read_npz
from simspine.formats.store import load, save
from simspine.types import FRAMES, read_only

AXES = (*FRAMES, "camera")  # camera: x right, y down, z away from the camera, whose centre is the origin
_NEEDED = ("subject", "trial", "frame", "names", "xyz", "axes")
_OPTIONAL = ("camera", "action", "deviation", "rate")


@dataclass(frozen=True, eq=False)
class PointSequence:
    """Points of one subject in some frames of one trial, as one camera sees them or in the world.

    subject, trial: as the data set names them; action: of the trial ('' takes it from the trial's name). camera: its
    name, None for points of no view. frames: (n,) whole numbers from 0, increasing. names: (points,). xyz: (n, points,
    3) m, NaN = missing. axes: of `AXES`. deviation: standard deviations, shape and unit of xyz, or None. rate: frames/s
    that the numbers count, or None where it is not known.
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
        where, names = f"points of {self.subject}/{self.trial}", tuple(str(name) for name in self.names)
        if self.axes not in AXES:
            raise InputError(f"{where}: axes are {self.axes!r}, expected one of {', '.join(AXES)}.")
        if len(set(names)) != len(names):
            raise InputError(f"{where}: a point's name is there twice; names must be unique.")
        frames = read_only(where, "frames", self.frames, (None,), int)
        if (frames[:1] < 0).any() or (np.diff(frames) <= 0).any():
            raise InputError(f"{where}: frame numbers must start at 0 or later and increase; each may be there once.")
        shape = (len(frames), len(names), 3)
        values = {"frames": frames, "names": names, "xyz": read_only(where, "xyz", self.xyz, shape)}
        if np.isinf(values["xyz"]).any():
            raise InputError(f"{where}: infinite values; mark missing points with NaN.")
        if self.deviation is not None:
            values["deviation"] = read_only(where, "deviation", self.deviation, shape)
        if self.rate is not None and not (np.isfinite(self.rate) and self.rate > 0):
            raise InputError(f"{where}: rate is {self.rate}, expected a positive number of frames per second.")
        values["action"] = self.action or action_of(self.trial, self.subject)
        for name, value in values.items():
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


def save_points(path: str | os.PathLike, sequences: Iterable[PointSequence]) -> None:
    """Write sequences as one table: .npz, or HDF5 by any other ending. Layout: this module's text.

    All must have the same points, axes, rate, and deviations or none; `InputError` otherwise, and for none at all.
    """
    some = tuple(sequences)
    if not some:
        raise InputError(f"{path}: no points to write.")
    for name in ("names", "axes", "rate"):
        if len({getattr(sequence, name) for sequence in some}) > 1:
            raise InputError(f"{path}: sequences with different {name} cannot stand in one file.")
    if len({sequence.deviation is None for sequence in some}) > 1:
        raise InputError(f"{path}: some sequences have deviations and some none; give all of them or none.")

    def repeated(values: Iterable[str]) -> np.ndarray:
        return np.concatenate([np.full(len(s.frames), value) for s, value in zip(some, values, strict=True)])

    columns: dict[str, Any] = {
        "subject": repeated(s.subject for s in some),
        "trial": repeated(s.trial for s in some),
        "action": repeated(s.action for s in some),
        "camera": repeated(s.camera or "" for s in some),
        "frame": np.concatenate([s.frames for s in some]),
        "names": np.array(some[0].names),
        "xyz": np.concatenate([s.xyz for s in some]),
        "axes": np.array([some[0].axes]),
    }
    if some[0].deviation is not None:
        columns["deviation"] = np.concatenate([s.deviation for s in some if s.deviation is not None])
    if some[0].rate is not None:
        columns["rate"] = np.array([some[0].rate])
    if Path(path).suffix == ".npz":
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **columns)
    else:
        save(path, **columns)


def load_points(path: str | os.PathLike) -> tuple[PointSequence, ...]:
    """What `save_points` or another program wrote: sequences in the order of their first rows, frames sorted.

    Raises `InputError` naming the file where it is damaged, a column is missing, or shapes do not agree.
    """
    columns = read_npz(Path(path)) if Path(path).suffix == ".npz" else load(path)
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise InputError(
            f"{path}: no {', '.join(missing)}; points are kept in the arrays {', '.join(_NEEDED)} and, where known, "
            f"{', '.join(_OPTIONAL)}. See docs/benchmarks.md."
        )
    try:
        return _sequences(columns)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (ValueError, TypeError, IndexError) as error:
        raise InputError(f"{path}: not a table of points ({error}).") from None


def _sequences(columns: Mapping[str, Any]) -> tuple[PointSequence, ...]:
    frame = np.asarray(columns["frame"])
    if frame.ndim != 1 or frame.dtype.kind not in "iu":
        raise InputError(f"frame is {frame.dtype} of shape {frame.shape}, expected whole numbers, one a row.")
    rows = len(frame)
    texts = {name: _texts(name, columns.get(name), rows) for name in ("subject", "trial", "camera", "action")}
    names = tuple(str(name) for name in np.asarray(columns["names"]).tolist())
    xyz = np.asarray(columns["xyz"], float)
    deviation = None if "deviation" not in columns else np.asarray(columns["deviation"], float)
    for label, array in (("xyz", xyz), ("deviation", deviation)):
        if array is not None and array.shape != (rows, len(names), 3):
            raise InputError(f"{label} has shape {array.shape}, expected {(rows, len(names), 3)}.")
    axes = str(np.ravel(columns["axes"])[0])
    rate = float(np.ravel(columns["rate"])[0]) if "rate" in columns else None
    of: dict[tuple[str, str, str], list[int]] = {}
    for i, key in enumerate(zip(texts["subject"], texts["trial"], texts["camera"], strict=True)):
        of.setdefault(key, []).append(i)
    found = []
    for (subject, trial, camera), own in of.items():
        order = np.array(own)[np.argsort(frame[own], kind="stable")]
        spread = None if deviation is None else deviation[order]
        found.append(
            PointSequence(
                subject=subject,
                trial=trial,
                frames=frame[order],
                names=names,
                xyz=xyz[order],
                axes=axes,
                camera=camera or None,
                action=texts["action"][order[0]],
                deviation=spread,
                rate=rate,
            )
        )
    return tuple(found)


def _texts(name: str, column: Any, rows: int) -> list[str]:
    """A column of texts; empty ones where it was left out."""
    if column is None:
        return [""] * rows
    texts = [t.decode("utf-8") if isinstance(t, bytes) else str(t) for t in np.asarray(column).tolist()]
    if len(texts) != rows:
        raise InputError(f"{name} has {len(texts)} rows, frame has {rows}.")
    return texts
