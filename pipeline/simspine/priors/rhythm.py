"""How levels share a motion out, and how postures vary: published figures of a region as independent priors.

The figures and their sources are in opensim_models/articulated.yaml, which also has the formulas.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simspine.errors import InputError
from simspine.priors.assumptions import LinearPrior, Prior

AXES = ("Flex_Ext", "Lat_Bending", "axial_rotation")  # of a level's joint: about z, x, y of the vertebra below
RHYTHM_TIME = 10.0  # s, correlation time: how a person shares a motion out over the levels is a trait
EVERYDAY = 0.4  # of the published motion, which is the most people can do: one standard deviation of what they do
INCIDENCE_SD = float(np.radians(10.5))  # of people's pelvic incidence (n = 709, Mac-Thiong 2011)


@dataclass(frozen=True)
class AxisMotion:
    """What is known of one axis of a region's levels. rad, per level from below.

    mean: published motion. standing: people's mean angle when standing, from the model's neutral pose. whole: half the
    flexion–extension range of the whole region, or its motion to one side. spread: sd of a level's share of it,
    relative. shape: sd of a level's standing angle between people of one pelvic incidence, independent of the other
    levels'. on_incidence: by how much of the incidence it grows. tilt: sd of the endplate, in its vertebra, that the
    lowest level's angle counts from. mean_sd: how unsure the mean standing angle of the lowest level is; rad. lower,
    upper: limits. goes_with: {other coordinate: by how many times it the whole region turns the other way}.
    """

    mean: tuple[float, ...]
    standing: tuple[float, ...]
    whole: float
    spread: float
    shape: tuple[float, ...]
    on_incidence: tuple[float, ...]
    tilt: float
    mean_sd: float
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    source: str
    goes_with: Mapping[str, float] = field(default_factory=dict)

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


@dataclass(frozen=True)
class LevelPrior:
    """A prior on levels, and what of its variance is the person's own: motion and curve have independent spreads.

    combination: of the levels' coordinates. goes_with: of other coordinates, added to it: the posture that goes with
    theirs. mean: rad, of people's mean standing curve. motion: rad, sd of the posture of the moment, or of how it is
    shared out. curve: rad, sd of what the person's own standing curve adds to it, between endplates, at one pelvic
    incidence; on_incidence: what that adds, of itself. tilt: rad, sd of what the lowest of these endplates adds, which
    is the combination's own from person to person. mean_sd: rad, how unsure people's mean curve is there, which is the
    same error in all people. correlation_time: s.
    """

    combination: Mapping[str, float]
    mean: float
    motion: float
    curve: float
    on_incidence: float
    tilt: float
    mean_sd: float
    source: str
    correlation_time: float = 1.0
    goes_with: Mapping[str, float] = field(default_factory=dict)

    def of_anyone(self) -> LinearPrior:
        """With a standing curve that nobody has measured."""
        return self.about(self.mean, float(np.hypot(self.motion, self.lasting)))

    def about(self, mean: float, sd: float) -> LinearPrior:
        """The same levels, and what goes with them, around another mean; rad."""
        return LinearPrior({**self.combination, **self.goes_with}, mean, sd, self.source, self.correlation_time)

    @property
    def lasting(self) -> float:
        """rad, sd of what stays in all of a person's trials."""
        return float(np.linalg.norm([self.curve, self.on_incidence * INCIDENCE_SD, self.tilt, self.mean_sd]))


def level_priors(regions: Sequence[LevelRegion]) -> list[LevelPrior]:
    """Priors on the rhythm within regions and on the posture of each level."""
    found = []
    for region in regions:
        for axis, motion in zip(AXES, region.axes, strict=True):
            names = [f"{level}_{axis}" for level in region.levels]
            for name, share, standing in zip(names, motion.shares, motion.standing, strict=True):
                own = share * EVERYDAY * motion.whole
                rhythm = {other: (1.0 if other == name else 0.0) - share for other in names}
                source = f"{region.name} rhythm: {motion.source}"
                differs = standing - float(share * sum(motion.standing))
                part = abs(rhythm[names[0]])
                lowest = (part * motion.tilt, part * motion.mean_sd)
                parts = np.array([rhythm[other] for other in names])
                curve = (float(np.linalg.norm(parts * motion.shape)), float(parts @ motion.on_incidence))
                shared_out = motion.spread * own
                found.append(LevelPrior(rhythm, differs, shared_out, *curve, *lowest, source, RHYTHM_TIME))
                posture = float(np.sqrt(len(names)) * share * EVERYDAY * motion.whole)
                at = names.index(name)
                curve = (motion.shape[at], motion.on_incidence[at])
                lowest = (motion.tilt, motion.mean_sd) if name == names[0] else (0.0, 0.0)
                along = {other: float(share * ratio) for other, ratio in motion.goes_with.items()}
                source = f"posture: {motion.source}"
                found.append(LevelPrior({name: 1.0}, standing, posture, *curve, *lowest, source, goes_with=along))
    return found


def rhythm_and_posture(regions: Sequence[LevelRegion]) -> Prior:
    """Priors on the rhythm within regions and on the posture of each level, of a person of whom nothing is known."""
    return Prior(tuple(prior.of_anyone() for prior in level_priors(regions)))


def region_from(name: str, entry: Mapping) -> LevelRegion:
    """A region out of a recipe's entry (degrees). Raises `InputError` where its lists differ in length."""
    levels = tuple(entry["levels"])
    first, second, third = (_axis(f"{name}: {axis}", axis, entry[axis], len(levels)) for axis in AXES)
    return LevelRegion(name, levels, (first, second, third))


def _axis(where: str, axis: str, entry: Mapping, count: int) -> AxisMotion:
    upper = entry["extension"] if axis == "Flex_Ext" else entry["limits"]
    lower = entry["flexion"] if axis == "Flex_Ext" else [-v for v in entry["limits"]]
    standing = entry.get("standing", [0.0] * count)
    on_incidence = entry.get("on_incidence", [0.0] * count)
    shape = entry["shape"] if isinstance(entry["shape"], list) else [entry["shape"]] * count
    if {len(each) for each in (entry["mean"], standing, shape, on_incidence, lower, upper)} != {count}:
        raise InputError(f"{where} has lists of other lengths than its {count} levels.")
    rad = np.radians
    return AxisMotion(
        mean=tuple(rad(entry["mean"])),
        standing=tuple(rad(standing)),
        whole=float(rad(entry["whole"])) * (0.5 if axis == "Flex_Ext" else 1.0),
        spread=float(entry["spread"]),
        shape=tuple(rad(shape).tolist()),
        on_incidence=tuple(float(part) for part in on_incidence),
        tilt=float(rad(entry.get("tilt", 0.0))),
        mean_sd=float(rad(entry.get("mean_sd", 0.0))),
        lower=tuple(rad(lower)),
        upper=tuple(rad(upper)),
        source=str(entry["source"]),
        goes_with={str(name): float(ratio) for name, ratio in entry.get("goes_with", {}).items()},
    )
