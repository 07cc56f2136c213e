"""Points of many trials, predicted or true: what the protocols compare, and the one file it is kept in.

A file is a table with a row per frame (`simspine.evaluation.frame_table`) and these columns:

- `names`: (points,) texts, SIMSPINE's; `xyz`: (rows, points, 3) m, NaN = missing; `deviation`: the same shape, standard
  deviations, or left out.
- `axes`: one text, 'z_up', 'y_up' or 'camera'.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.dataset.actions import action_of
from simspine.errors import InputError
from simspine.evaluation.frame_table import array_of, check_deviations, common, frame_numbers, read_rows, write_rows
from simspine.types import FRAMES, read_only

AXES = (*FRAMES, "camera")  # camera: x right, y down, z away from the camera, whose centre is the origin


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
        frames = frame_numbers(where, self.frames)
        shape = (len(frames), len(names), 3)
        values = {"frames": frames, "names": names, "xyz": read_only(where, "xyz", self.xyz, shape)}
        if np.isinf(values["xyz"]).any():
            raise InputError(f"{where}: infinite values; mark missing points with NaN.")
        if self.deviation is not None:
            values["deviation"] = read_only(where, "deviation", self.deviation, shape)
            check_deviations(where, values["deviation"], names, frames)
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
    columns = {"names": np.array(common(path, some, "names")), "axes": np.array([common(path, some, "axes")])}
    write_rows(path, some, columns, ("xyz", "deviation"))


def load_points(path: str | os.PathLike) -> tuple[PointSequence, ...]:
    """What `save_points` or another program wrote: sequences in the order of their first rows, frames sorted.

    Raises `InputError` naming the file where it is damaged, a column is missing, or shapes do not agree.
    """
    columns, parts = read_rows(path, ("names", "xyz", "axes"), ("deviation",))
    names = tuple(str(name) for name in np.asarray(columns["names"]).tolist())
    axes = str(np.ravel(columns["axes"])[0])
    shape = (len(names), 3)
    xyz, deviation = (array_of(path, columns, name, shape) for name in ("xyz", "deviation"))
    assert xyz is not None
    found = []
    for part in parts:
        spread = None if deviation is None else deviation[part.rows]
        try:
            found.append(
                PointSequence(
                    subject=part.subject,
                    trial=part.trial,
                    frames=part.frames,
                    names=names,
                    xyz=xyz[part.rows],
                    axes=axes,
                    camera=part.camera,
                    action=part.action,
                    deviation=spread,
                    rate=part.rate,
                )
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    return tuple(found)
