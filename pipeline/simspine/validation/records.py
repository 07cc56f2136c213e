"""A data set as the tables see it: one record per trial, with what is needed and no more."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from simspine.dataset.actions import action_of
from simspine.formats.dataset_tree import Dataset, Trial
from simspine.quality.decided import level_shares
from simspine.spine.levels import LEVELS, Level

PLANE_ENDINGS = ("Flex_Ext", "Lat_Bending", "axial_rotation")


@dataclass(frozen=True, eq=False)
class Record:
    """One trial. Angles rad, NaN = not solved. kept: (frames,) bool, all but the rejected.

    levels, angles (frames, levels, 3), lla, tka (frames,) and their standard deviations: as in
    `simspine.formats.dataset_tree.Trial`; empty or NaN where the file holds none. shares: (levels, 3) that the data
    decided, NaN = not known. forced: {level, 'lla' or 'tka': why the model leaves it no freedom}. table: the levels'
    coordinates.
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
    forced: dict[str, str] = field(default_factory=dict)
    table: tuple[Level, ...] = ()

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
    """Records of all trials of a data set: a `Dataset`, or an open `DatasetFile`, read trial by trial."""
    return tuple(_record(subject, name, trial) for subject, name, trial in _trials(dataset))


def _trials(dataset) -> Iterator[tuple[str, str, Trial]]:
    dataset = getattr(dataset, "file", dataset)  # an opened `Recordings`
    if isinstance(dataset, Dataset):
        for subject, content in dataset.subjects.items():
            yield from ((subject, name, trial) for name, trial in content.trials.items())
        return
    for subject in dataset.subjects:
        yield from ((subject, name, dataset.trial(subject, name)) for name in dataset.trials(subject))


def _record(subject: str, name: str, trial: Trial) -> Record:
    frames = trial.markers.frames
    known = trial.angles is not None
    levels = trial.levels if known else ()
    table = level_coordinates(levels, trial.motion.names)
    missing = np.full(frames, np.nan)
    return Record(
        subject,
        name,
        trial.markers.rate,
        np.ones(frames, bool) if trial.status is None else np.array([s != "rejected" for s in trial.status], bool),
        levels,
        trial.angles if known else np.empty((frames, 0, 3)),
        missing if trial.lla is None else trial.lla,
        missing if trial.tka is None else trial.tka,
        trial.angles_sd,
        trial.lla_sd,
        trial.tka_sd,
        level_shares(levels, table, trial.motion.names, trial.response),
        dict(trial.forced),
        table,
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
