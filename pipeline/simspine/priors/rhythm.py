"""How levels share a motion out, and how postures vary: published figures of a region as independent priors.

The figures and their sources are in opensim_models/articulated.yaml, which also has the formulas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError
from simspine.priors.assumptions import LinearPrior, Prior

AXES = ("Flex_Ext", "Lat_Bending", "axial_rotation")  # of a level's joint: about z, x, y of the vertebra below
RHYTHM_TIME = 10.0  # s, correlation time: how a person shares a motion out over the levels is a trait
EVERYDAY = 0.4  # of the published motion, which is the most people can do: one standard deviation of what they do


@dataclass(frozen=True)
class AxisMotion:
    """What is known of one axis of a region's levels. rad, per level from below.

    mean: published motion. whole: half the flexion–extension range of the whole region, or its motion to one side.
    spread: sd of a level's share of it, relative. shape: sd of the neutral angle between people. lower, upper: limits.
    """

    mean: tuple[float, ...]
    whole: float
    spread: float
    shape: float
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    source: str

    @property
    def shares(self) -> np.ndarray:
        """(levels,) share of each level in the region's motion; sum 1."""
        return np.array(self.mean) / sum(self.mean)


@dataclass(frozen=True)
class LevelRegion:
    """Neighbouring levels that move together; `levels` are prefixes of coordinates. axes: in the order of `AXES`."""

    name: str
    levels: tuple[str, ...]
    axes: tuple[AxisMotion, AxisMotion, AxisMotion]


def rhythm_and_posture(regions: Sequence[LevelRegion]) -> Prior:
    """Priors on the rhythm within regions and on the posture of each level."""
    terms = []
    for region in regions:
        for axis, motion in zip(AXES, region.axes, strict=True):
            names = [f"{level}_{axis}" for level in region.levels]
            for name, share in zip(names, motion.shares, strict=True):
                own = share * EVERYDAY * motion.whole
                rhythm = {other: (1.0 if other == name else 0.0) - share for other in names}
                sd = float(np.hypot(motion.spread * own, motion.shape))
                terms.append(LinearPrior(rhythm, 0.0, sd, f"{region.name} rhythm: {motion.source}", RHYTHM_TIME))
                # The standing curve differs between people by shape · √levels in all.
                region_sd = np.hypot(EVERYDAY * motion.whole, motion.shape * np.sqrt(len(names)))
                posture = float(np.sqrt(len(names)) * share * region_sd)
                terms.append(LinearPrior({name: 1.0}, 0.0, posture, f"posture: {motion.source}"))
    return Prior(tuple(terms))


def region_from(name: str, entry: Mapping) -> LevelRegion:
    """A region out of a recipe's entry (degrees). Raises `InputError` where its lists differ in length."""
    levels = tuple(entry["levels"])
    first, second, third = (_axis(f"{name}: {axis}", axis, entry[axis], len(levels)) for axis in AXES)
    return LevelRegion(name, levels, (first, second, third))


def _axis(where: str, axis: str, entry: Mapping, count: int) -> AxisMotion:
    upper = entry["extension"] if axis == "Flex_Ext" else entry["limits"]
    lower = entry["flexion"] if axis == "Flex_Ext" else [-v for v in entry["limits"]]
    if {len(entry["mean"]), len(lower), len(upper)} != {count}:
        raise InputError(f"{where} has lists of other lengths than its {count} levels.")
    rad = np.radians
    return AxisMotion(
        mean=tuple(rad(entry["mean"])),
        whole=float(rad(entry["whole"])) * (0.5 if axis == "Flex_Ext" else 1.0),
        spread=float(entry["spread"]),
        shape=float(rad(entry["shape"])),
        lower=tuple(rad(lower)),
        upper=tuple(rad(upper)),
        source=str(entry["source"]),
    )
