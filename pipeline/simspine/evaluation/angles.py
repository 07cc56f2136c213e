"""Angles of many trials, predicted or true, and how good they are: levels of the spine, lordosis, kyphosis.

A file is a table with a row per frame (`simspine.evaluation.frame_table`) and these columns:

- `names`: (angles,) texts: 'LLA', 'TKA', and 'L4-L5 flexion', 'L4-L5 lateral bending', 'L4-L5 axial rotation' of each
  level; `angle`: (rows, angles) rad, NaN = missing; `deviation`: the same shape, standard deviations, or
  left out.

The papers publish no such benchmark; this protocol is ours.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.dataset.actions import action_of
from simspine.dataset.recordings import open_dataset
from simspine.errors import InputError
from simspine.evaluation.frame_table import array_of, check_deviations, common, frame_numbers, read_rows, write_rows
from simspine.evaluation.sources import kind_of
from simspine.formats.store import load
from simspine.spine.levels import PLANES
from simspine.types import read_only

CURVES = ("LLA", "TKA")


@dataclass(frozen=True, eq=False)
class AngleSequence:
    """Angles of one subject in some frames of one trial.

    subject, trial, action, frames, rate: as of `PointSequence`. names: (angles,), as in a file. angle: (n, angles) rad,
    LLA and TKA within ±2π, NaN = missing. deviation: standard deviations, shape and unit of angle, or None.
    """

    subject: str
    trial: str
    frames: np.ndarray
    names: tuple[str, ...]
    angle: np.ndarray
    action: str = ""
    deviation: np.ndarray | None = None
    rate: float | None = None

    def __post_init__(self):
        where, names = f"angles of {self.subject}/{self.trial}", tuple(str(name) for name in self.names)
        if len(set(names)) != len(names):
            raise InputError(f"{where}: an angle's name is there twice; names must be unique.")
        frames = frame_numbers(where, self.frames)
        shape = (len(frames), len(names))
        values = {"frames": frames, "names": names, "angle": read_only(where, "angle", self.angle, shape)}
        if np.isinf(values["angle"]).any():
            raise InputError(f"{where}: infinite values; mark missing angles with NaN.")
        _check_turn(where, values["angle"], names)
        if self.deviation is not None:
            values["deviation"] = read_only(where, "deviation", self.deviation, shape)
            check_deviations(where, values["deviation"], names, frames)
        values["action"] = self.action or action_of(self.trial, self.subject)
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _check_turn(where: str, angle: np.ndarray, names: Sequence[str]) -> None:
    """`InputError` for LLA or TKA beyond a whole turn; angle: (frames, angles) rad.

    Rotations are not asked: those of a person who walks in circles count the turns.
    """
    curves = np.array([name in CURVES for name in names], bool)
    beyond = np.argwhere((np.abs(angle) > 2 * np.pi) & curves)
    if len(beyond):
        row, column = beyond[0]
        raise InputError(
            f"{where}: {names[column]} is {angle[row, column]:.4g}, more than a whole turn in radians (2π). Angles in "
            "degrees? Hand them in in radians, within ±2π."
        )


def save_angles(path: str | os.PathLike, sequences: Iterable[AngleSequence]) -> None:
    """Write sequences as one table: .npz, or HDF5 by any other ending. All must have the same angles and rate."""
    some = tuple(sequences)
    write_rows(path, some, {"names": np.array(common(path, some, "names"))}, ("angle", "deviation"))


def read_angles(path: str | os.PathLike) -> tuple[AngleSequence, ...]:
    """Angles of all trials of a table, a data set (the frames it keeps) or a virtual capture (what is true).

    Raises `InputError` for anything else, and for files that are damaged.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == "trc":
        raise InputError(f"{path}: TRC files hold no angles. Give a table of angles, a data set or a virtual capture.")
    read = {"table": _of_table, "dataset": _of_dataset, "capture": _of_capture}[kind]
    found = tuple(read(path))
    if not found:
        raise InputError(f"{path}: holds no trial with angles.")
    return found


def _of_table(path: Path) -> Iterator[AngleSequence]:
    columns, parts = read_rows(path, ("names", "angle"), ("deviation",))
    names = tuple(str(name) for name in np.asarray(columns["names"]).tolist())
    angle, deviation = (array_of(path, columns, name, (len(names),)) for name in ("angle", "deviation"))
    assert angle is not None
    for part in parts:
        spread = None if deviation is None else deviation[part.rows]
        try:
            yield AngleSequence(
                part.subject, part.trial, part.frames, names, angle[part.rows], part.action, spread, part.rate
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def _of_dataset(path: Path) -> Iterator[AngleSequence]:
    with open_dataset(path) as data:
        for recording in data.trials():
            trial = recording.read()
            if trial.lla is None or trial.tka is None:
                raise InputError(f"{path}: {recording.subject}/{recording.name} holds no LLA and TKA.")
            frames = np.flatnonzero(recording.array("valid"))
            angle = joined(trial.lla, trial.tka, trial.angles)[frames]
            spread = None
            if trial.lla_sd is not None and trial.tka_sd is not None:
                spread = joined(trial.lla_sd, trial.tka_sd, trial.angles_sd, len(trial.levels))[frames]
            yield AngleSequence(
                recording.subject, recording.name, frames, angle_names(trial.levels), angle, "", spread, recording.rate
            )


def _of_capture(folder: Path) -> Iterator[AngleSequence]:
    for path in sorted((folder / "truth").glob("*/*.h5")):
        found = load(path, ["levels", "angles", "lla", "tka", "motion"])
        subject = path.parent.name
        yield AngleSequence(
            subject,
            path.stem.removeprefix(f"{subject}_"),
            np.arange(len(found["lla"])),
            angle_names(found["levels"]),
            joined(found["lla"], found["tka"], found["angles"]),
            rate=found["motion"].rate,
        )


def angle_names(levels: Sequence[str]) -> tuple[str, ...]:
    """Names of LLA, TKA and the three angles of each level, in the order of `joined`."""
    return (*CURVES, *(f"{level} {plane}" for level in levels for plane in PLANES))


def joined(lla: np.ndarray, tka: np.ndarray, levels: np.ndarray | None, count: int = 0) -> np.ndarray:
    """(frames, 2 + 3 levels): LLA, TKA and levels (frames, levels, 3); `count` levels of NaN where they are None."""
    own = np.full((len(lla), count, 3), np.nan) if levels is None else np.asarray(levels)
    return np.column_stack([lla, tka, own.reshape(len(lla), -1)])


def series(sequences: Mapping[tuple, AngleSequence], truth: AngleSequence, key: tuple, name: str) -> tuple:
    """(estimate, deviation or None): (frames,) rad of one angle in the truth's frames, NaN where there is none."""
    estimate = np.full(len(truth.frames), np.nan)
    found = sequences.get(key)
    if found is None or name not in found.names:
        return estimate, None
    column = found.names.index(name)
    _, rows, own = np.intersect1d(truth.frames, found.frames, return_indices=True)
    estimate[rows] = found.angle[own, column]
    if found.deviation is None:
        return estimate, None
    deviation = np.full(len(truth.frames), np.nan)
    deviation[rows] = found.deviation[own, column]
    return estimate, deviation
