"""A data set as the tables see it: one record per trial, with what is needed and no more."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from simspine.dataset.actions import action_of
from simspine.formats.dataset_tree import Dataset, TrialData
from simspine.quality.observability import is_estimated, level_shares
from simspine.spine.levels import LEVELS, Level
from simspine.types import Forced
from simspine.validation.released import angles_of, forced_by_ratio, lordosis_of

if TYPE_CHECKING:
    from simspine.formats.dataset_read import DatasetFile

LUMBAR = ("T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1", "lumbar")
NECK = ("neck",)
PLANE_ENDINGS = ("Flex_Ext", "Lat_Bending", "axial_rotation")


@dataclass(frozen=True, eq=False)
class Record:
    """One trial. Angles rad, NaN = not solved. kept: (frames,) bool, all but the rejected, filled in or not.

    levels: those of `LUMBAR` and `NECK` that there are. angles (frames, levels, 3), lla, tka (frames,) and their
    standard deviations: as in `formats.dataset_tree.TrialData`; empty or NaN where the file holds none. shares:
    (levels, 3) that the data decided, NaN = not known. forced: {level, 'lla' or 'tka': what the model forces there}.
    table: the levels' coordinates. estimated: points of the spine that were fitted were.
    """

    subject: str
    trial: str
    rate: float
    kept: np.ndarray
    levels: tuple[str, ...]
    angles: np.ndarray
    lla: np.ndarray
    tka: np.ndarray
    angles_sd: np.ndarray | None
    lla_sd: np.ndarray | None
    tka_sd: np.ndarray | None
    shares: np.ndarray
    forced: dict[str, tuple[Forced, ...]] = field(default_factory=dict)
    table: tuple[Level, ...] = ()
    estimated: bool = False

    @cached_property
    def action(self) -> str:
        return action_of(self.trial, self.subject)

    @property
    def frames(self) -> int:
        return len(self.kept)

    @property
    def time(self) -> np.ndarray:
        """(frames,) s from the trial's first frame."""
        return np.arange(self.frames) / self.rate


def records(dataset) -> tuple[Record, ...]:
    """Records of all trials of a data set: a `Dataset`, a data set opened by `simspine.open_dataset`, or its file.

    Of a file only what the tables need is read, trial by trial: some 0.4 kB a frame.
    Where it holds no angles (the released one), they are made from the coordinates (`simspine.validation.released`).
    """
    if isinstance(dataset, Dataset):
        return tuple(
            _record(subject, name, trial, lambda field, trial=trial: getattr(trial, field))
            for subject, content in dataset.subjects.items()
            for name, trial in content.trials.items()
        )
    file: DatasetFile = getattr(dataset, "file", dataset)
    return tuple(_stored(file, subject, name) for subject in file.subjects for name in file.trials(subject))


_FILED = {"angles": "level_angles", "angles_sd": "level_angles_sd"}  # where a field of `TrialData` has another name


def _stored(file: "DatasetFile", subject: str, name: str) -> Record:
    head = file.trial(subject, name, slice(0, 1))  # which fields there are, and what does not depend on the frame

    if head.angles is None:  # a released file: small, and its angles are to be made from all coordinates
        whole = file.trial(subject, name)
        return _record(subject, name, whole, lambda field: getattr(whole, field))

    def get(field: str):
        there = getattr(head, field) is not None
        return file.array(subject, name, f"simspine/{_FILED.get(field, field)}") if there else None

    return _record(subject, name, head, get, file.frames(subject, name))


def _record(subject: str, name: str, trial: TrialData, get: Callable, frames: int | None = None) -> Record:
    """get: a field of the trial for all its frames, None where there is none. trial: the whole, or its beginning."""
    frames = trial.markers.frames if frames is None else frames
    angles, status, lla, tka = (get(field) for field in ("angles", "status", "lla", "tka"))
    names, forced = trial.levels, dict(trial.forced)
    if angles is None:
        names, angles = angles_of(trial.motion)
        forced = forced_by_ratio(names, angles)
        lla = lordosis_of(names, angles) if lla is None else lla
    there = [i for i, level in enumerate(names) if level in (*LUMBAR, *NECK)]
    levels = tuple(names[i] for i in there)
    table = level_coordinates(levels, trial.motion.names)
    angles_sd = get("angles_sd")
    missing = np.full(frames, np.nan)
    return Record(
        subject,
        name,
        trial.markers.rate,
        np.ones(frames, bool) if status is None else ~np.isin(status, ("rejected", "inferred")),
        levels,
        angles[:, there],
        missing if lla is None else lla,
        missing if tka is None else tka,
        None if angles_sd is None else angles_sd[:, there],
        get("lla_sd"),
        get("tka_sd"),
        level_shares(levels, table, trial.motion.names, trial.response),
        forced,
        table,
        is_estimated(trial.fitted, trial.fitted_origin),
    )


def level_coordinates(levels: tuple[str, ...], coordinates: tuple[str, ...]) -> tuple[Level, ...]:
    """The levels with the names of their own coordinates, as far as the motion has them.

    A data set names levels and coordinates but not which belong together; the names tell: 'L5-S1' turns by
    'L5_S1_Flex_Ext', 'T12-L1' by 'L1_T12_Flex_Ext'.
    """
    there, fixed = set(coordinates), {level.name: level for level in LEVELS}
    found = []
    for name in levels:
        upper, _, lower = name.partition("-")
        for joint in (f"{upper}_{lower}", f"{lower}_{upper}"):
            own = tuple(f"{joint}_{ending}" for ending in PLANE_ENDINGS)
            if there.issuperset(own):
                found.append(Level(name, lower, upper, own))
                break
        else:
            level = fixed.get(name)
            if level is not None and level.coordinates and there.issuperset(level.coordinates):
                found.append(level)
    return tuple(found)
