"""Records of a data set for validation tables, and the published values that they are compared with.

Published values stand in `published.csv`, in degrees, as printed. Grade A: read in an abstract or table; B: transcribed
in public code that cites the source. Where a source lists one side, the total is twice that.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from simspine.anatomy.curvature import JOINT_LEVELS, MOTION_PLANES, NEUTRAL_LLA, SPINE_LEVELS, Level
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES
from simspine.core.types import Forced, ForcedKind, Motion
from simspine.dataset.recordings import action_of
from simspine.evaluation.tables import published_values
from simspine.io.dataset_read import DatasetFile
from simspine.io.dataset_write import is_rejected
from simspine.quality.observability import estimated_of_spine, level_shares

# Angles of a data set that holds coordinates only, as the released SIMSPINE file does. They are those of the full-body
# model with lumbar detail, whose spinal joints turn about the axes of simspine's level angles in the same order
# (docs/spine.md). So each level's angles are its coordinates up to sign. Sums over levels, and LLA, are exact for
# rotation about one axis.


RELEASED_SIGNS = np.array([-1.0, 1.0, 1.0])  # the model's flexion coordinates are positive in extension
LORDOSIS_LEVELS = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2")
CONSTANT_RATIO_TOLERANCE = np.radians(0.01)  # largest residual of an angle that is a multiple of another


def level_angles_of_coordinates(motion: Motion) -> tuple[tuple[str, ...], np.ndarray]:
    """Levels with coordinates in the motion, with 'lumbar' where L1 to S1 are; their angles (frames, levels, 3) rad."""
    levels = [level for level in JOINT_LEVELS if set(level.coordinates) <= set(motion.names)]
    names = [level.name for level in levels]
    parts = [RELEASED_SIGNS * motion.values[:, motion.indices(level.coordinates)] for level in levels]
    if set(LORDOSIS_LEVELS) <= set(names):
        parts.append(np.sum([parts[names.index(name)] for name in LORDOSIS_LEVELS], axis=0))
        names.append("lumbar")
    return tuple(names), np.stack(parts, 1) if parts else np.empty((motion.frames, 0, 3))


def lordosis_of_levels(levels: Sequence[str], angles: np.ndarray) -> np.ndarray:
    """LLA (frames,) rad of the model in the pose; NaN where the lumbar levels are not complete."""
    if "lumbar" not in levels:
        return np.full(len(angles), np.nan)
    return NEUTRAL_LLA - angles[:, list(levels).index("lumbar"), 0]


def forced_by_ratio(levels: Sequence[str], angles: np.ndarray) -> dict[str, tuple[Forced, ...]]:
    """Levels whose angles are a constant multiple of L5–S1's in all frames, and so coupled to it by the model.

    Planes in which L5–S1 hardly moves are skipped.
    """
    if "L5-S1" not in levels:
        return {}
    first = angles[:, list(levels).index("L5-S1")]
    drivers = next(level.coordinates for level in JOINT_LEVELS if level.name == "L5-S1")
    solved = np.isfinite(angles).all((1, 2))
    facts_by_level: dict[str, list[Forced]] = {}
    for k, plane in enumerate(MOTION_PLANES):
        x = first[solved, k]
        if not x.size or np.ptp(x) < 10 * CONSTANT_RATIO_TOLERANCE:
            continue
        for i, level in enumerate(levels):
            y = angles[solved, i, k]
            slope = float(x @ y / (x @ x))
            if level not in ("L5-S1", "lumbar", "neck") and np.abs(y - slope * x).max() < CONSTANT_RATIO_TOLERANCE:
                facts_by_level.setdefault(level, []).append(Forced(ForcedKind.COUPLED, (plane,), drivers[k], slope))
    return {level: tuple(facts) for level, facts in facts_by_level.items()}


LUMBAR_LEVEL_NAMES = ("T12-L1", "L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1", "lumbar")
NECK_LEVEL_NAMES = ("neck",)


@dataclass(frozen=True, eq=False)
class TrialRecord:
    """One trial. Angles rad, NaN = not solved. kept: (frames,) bool, False where rejected, even if filled in.

    levels: those of `LUMBAR_LEVEL_NAMES` and `NECK_LEVEL_NAMES` in the file. angles (frames, levels, 3), lla, tka
    (frames,) and their standard deviations: as in `TrialData`; empty or NaN where the file holds none. shares: (levels,
    3) that the data decided, NaN = not known. forced: {level, 'lla' or 'tka': what the model forces there}. table: the
    levels' coordinates. estimated: whether fitted points of the spine were estimated.
    """

    subject: str
    trial: str
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


def trial_records(dataset) -> tuple[TrialRecord, ...]:
    """Records of all trials of a data set opened by `simspine.open_dataset`, or of its file.

    Only what the tables need is read, trial by trial: some 0.4 kB a frame. Where the file holds no angles (the released
    one), they are made from the coordinates.
    """
    file: DatasetFile = getattr(dataset, "file", dataset)
    return tuple(_trial_record(file, subject, name) for subject in file.subjects for name in file.trials(subject))


def _trial_record(file: DatasetFile, subject: str, name: str) -> TrialRecord:
    # No frame: the fields in the file, and values for all frames.
    trial = file.trial(subject, name, slice(0, 0), poses=False)

    def get(field: str) -> np.ndarray | None:
        stored = field.replace("angles", "level_angles")
        return None if getattr(trial, field) is None else file.array(subject, name, f"simspine/{stored}")

    frames = file.frames(subject, name)
    angles, status, lla, tka = (get(field) for field in ("angles", "status", "lla", "tka"))
    names, forced = trial.levels, dict(trial.forced)
    if angles is None:
        names, angles = level_angles_of_coordinates(file.trial(subject, name, poses=False).motion)
        forced = forced_by_ratio(names, angles)
        lla = lordosis_of_levels(names, angles) if lla is None else lla
    columns = [i for i, level in enumerate(names) if level in (*LUMBAR_LEVEL_NAMES, *NECK_LEVEL_NAMES)]
    levels = tuple(names[i] for i in columns)
    table = level_coordinates(levels, trial.motion.names)
    angles_sd = get("angles_sd")
    missing = np.full(frames, np.nan)
    return TrialRecord(
        subject=subject,
        trial=name,
        kept=~is_rejected(status, frames),
        levels=levels,
        angles=angles[:, columns],
        lla=missing if lla is None else lla,
        tka=missing if tka is None else tka,
        angles_sd=None if angles_sd is None else angles_sd[:, columns],
        lla_sd=get("lla_sd"),
        tka_sd=get("tka_sd"),
        shares=level_shares(levels, table, trial.motion.names, trial.response)
        if trial.level_share is None
        else trial.level_share[columns],
        forced=forced,
        table=table,
        estimated=bool(estimated_of_spine(trial.fitted, trial.fitted_origin)),
    )


def level_coordinates(levels: tuple[str, ...], coordinates: tuple[str, ...]) -> tuple[Level, ...]:
    """The levels with the names of their own coordinates, as far as the motion has them.

    A data set names levels and coordinates but not which belong together; their names show it: 'L5-S1' turns by
    'L5_S1_Flex_Ext', 'T12-L1' by 'L1_T12_Flex_Ext'.
    """
    available, fixed = set(coordinates), {level.name: level for level in SPINE_LEVELS}
    matched = []
    for name in levels:
        upper, _, lower = name.partition("-")
        for joint in (f"{upper}_{lower}", f"{lower}_{upper}"):
            names = tuple(f"{joint}_{ending}" for ending in LEVEL_AXIS_COORDINATES)
            if available.issuperset(names):
                matched.append(Level(name, lower, upper, names))
                break
        else:
            level = fixed.get(name)
            if level is not None and level.coordinates and available.issuperset(level.coordinates):
                matched.append(level)
    return tuple(matched)


def published_range(level: str, plane: str) -> tuple[float, float, str]:
    """Smallest and largest published total range of a level (both directions together), degrees, and the sources;
    (NaN, NaN, '') if none.

    plane: as in `simspine.anatomy.curvature.MOTION_PLANES`. People bend as far as they can in these studies; in daily
    actions less is to be expected.
    """
    rows = [row for row in published_values("range_of_motion") if (row["row"], row["column"]) == (level, plane)]
    if not rows:
        return float("nan"), float("nan"), ""
    values = [float(row["value"]) for row in rows]
    return min(values), max(values), "; ".join(row["source"] for row in rows)
