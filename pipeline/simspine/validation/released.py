"""Angles of a data set that holds coordinates only, as the released SIMSPINE file does.

Its coordinates are those of the full-body model with lumbar detail, whose spinal joints turn about the axes of our
level angles in the same order (docs/spine.md), so each level's angles are its coordinates up to sign. Sums over levels,
and LLA from them, are exact if one axis turns, else to first order.
"""

from collections.abc import Sequence

import numpy as np

from simspine.spine.endplates import NEUTRAL_LLA
from simspine.spine.levels import JOINTS, PLANES
from simspine.types import Forced, ForcedKind, Motion

SIGNS = np.array([-1.0, 1.0, 1.0])  # the model's flexion coordinates are positive in extension
L1_TO_S1 = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2")
CONSTANT = np.radians(0.01)  # two curves whose ratio leaves no more than this are one


def angles_of(motion: Motion) -> tuple[tuple[str, ...], np.ndarray]:
    """Levels whose coordinates there are, with 'lumbar' where L1 to S1 is complete, and (frames, levels, 3) rad."""
    there = [level for level in JOINTS if set(level.coordinates) <= set(motion.names)]
    names = [level.name for level in there]
    parts = [SIGNS * motion.values[:, motion.indices(level.coordinates)] for level in there]
    if set(L1_TO_S1) <= set(names):
        parts.append(np.sum([parts[names.index(name)] for name in L1_TO_S1], axis=0))
        names.append("lumbar")
    return tuple(names), np.stack(parts, 1) if parts else np.empty((motion.frames, 0, 3))


def lordosis_of(levels: Sequence[str], angles: np.ndarray) -> np.ndarray:
    """LLA (frames,) rad of the model in the pose; NaN where the lumbar levels are not complete."""
    if "lumbar" not in levels:
        return np.full(len(angles), np.nan)
    return NEUTRAL_LLA - angles[:, list(levels).index("lumbar"), 0]


def forced_by_ratio(levels: Sequence[str], angles: np.ndarray) -> dict[str, tuple[Forced, ...]]:
    """Levels that are one and the same multiple of L5–S1 in all frames: a coupler, read off the data.

    A plane in which L5–S1 hardly moves says nothing.
    """
    if "L5-S1" not in levels:
        return {}
    first = angles[:, list(levels).index("L5-S1")]
    drivers = next(level.coordinates for level in JOINTS if level.name == "L5-S1")
    solved = np.isfinite(angles).all((1, 2))
    found: dict[str, list[Forced]] = {}
    for k, plane in enumerate(PLANES):
        x = first[solved, k]
        if not x.size or np.ptp(x) < 10 * CONSTANT:
            continue
        for i, level in enumerate(levels):
            y = angles[solved, i, k]
            slope = float(x @ y / (x @ x))
            if level not in ("L5-S1", "lumbar", "neck") and np.abs(y - slope * x).max() < CONSTANT:
                found.setdefault(level, []).append(Forced(ForcedKind.COUPLED, (plane,), drivers[k], slope))
    return {level: tuple(facts) for level, facts in found.items()}
