"""Assumptions besides the markers: smoothness, errors that markers share, rhythm between levels, postures.

Coordinates and markers are given by name; rad, m and s. Figures of levels, their sources and the formulas are in
opensim_models/articulated.yaml.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy

from simspine.core.arrays import require_finite_number, require_numbers
from simspine.core.errors import InputError, require_known


@dataclass(frozen=True)
class Smoothness:
    """Standard deviations of the coordinates' accelerations; the smaller, the calmer the motion.

    Attributes
    ----------
    acceleration : float or {coordinate: float}
        rad/s² or m/s²: one number for all angles, or by coordinate, '*' being all others.
    metres_per_rad : float
        Factor from the number for angles to that for lengths (the pelvis's path), m per rad.
    learn_from_trial : sequence of str
        Coordinates whose accelerations are scaled, each by its own factor, which is learnt from the trial.
    """

    acceleration: float | Mapping[str, float] = 20.0
    metres_per_rad: float = 0.3
    learn_from_trial: Sequence[str] = ()

    def precisions(self, names: Sequence[str], rotational: Sequence[bool]) -> np.ndarray:
        """1/sd² for each coordinate; 0 where it is free."""
        given = self.acceleration
        table = dict(given) if isinstance(given, Mapping) else {"*": given}
        require_known("coordinate", table, ("*", *names), "smoothness.acceleration")
        for name, sd in (table | {"metres_per_rad": self.metres_per_rad}).items():
            if not require_numbers(f"smoothness of {name!r}", sd, ()) > 0:
                raise InputError(f"smoothness of {name!r} is {sd}, expected a positive number.")
        require_known("coordinate", self.learn_from_trial, names, "smoothness.learn_from_trial")
        sds = np.array([table.get(name, table.get("*", np.inf)) for name in names], float)
        scale = np.where(rotational, 1.0, self.metres_per_rad)
        listed = np.array([name in table for name in names])
        return 1.0 / np.where(listed, sds, sds * scale) ** 2


@dataclass(frozen=True)
class LinearPrior:
    """A Gaussian prior on a linear combination of coordinates: Σ coefficient × coordinate = mean ± sd (rad or m).

    Attributes
    ----------
    combination : {coordinate: coefficient}
    mean, sd : float
    source : str
        Source of the numbers.
    correlation_time : float
        Of deviations from the mean, s: long for a person's way of moving, short for a posture. The prior counts about
        once in that time, not in each frame.
    """

    combination: Mapping[str, float]
    mean: float
    sd: float
    source: str = ""
    correlation_time: float = 1.0

    def __post_init__(self):
        if not (np.isfinite(self.mean) and np.isfinite(self.sd) and self.sd > 0 and self.correlation_time >= 0):
            raise InputError(
                f"a prior on {dict(self.combination)} has mean {self.mean}, sd {self.sd} and correlation time "
                f"{self.correlation_time} s; expected finite numbers, a positive sd and a time of 0 or more."
            )


@dataclass(frozen=True)
class SharedError:
    """A systematic error that several markers share.

    Attributes
    ----------
    name : str
    markers : tuple of str
    sd : float or (float, float, float)
        Standard deviation along the axes of the bodies that carry the markers, or of the ground, m.
    correlation_time : float
        s; long, since a detector's definition of a point does not change within a trial.
    shares : tuple of float
        Share of the error that each marker has; () means 1 for all.
    mean : (float, float, float)
        Known part of the error along the axes of the bodies, m.
    in_ground_frame : bool
        Whether the unknown part keeps its direction in space when bodies turn, as errors of cameras do.
    """

    name: str
    markers: tuple[str, ...]
    sd: float | tuple[float, float, float]
    correlation_time: float = 30.0
    shares: tuple[float, ...] = ()
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    in_ground_frame: bool = False

    def __post_init__(self):
        if self.shares and len(self.shares) != len(self.markers):
            raise InputError(
                f"the shared error {self.name!r} has {len(self.markers)} markers and {len(self.shares)} shares; "
                "expected as many."
            )
        if not (np.isfinite(self.sd).all() and min(self.sd_by_axis) > 0 and self.correlation_time > 0 and self.markers):
            raise InputError(
                f"the shared error {self.name!r} has {len(self.markers)} markers, sd {self.sd} and correlation time "
                f"{self.correlation_time} s; expected markers, a positive sd and a positive time."
            )

    @property
    def share_by_marker(self) -> dict[str, float]:
        """{marker: its part of the error}."""
        return dict(zip(self.markers, self.shares or (1.0,) * len(self.markers), strict=True))

    @property
    def sd_by_axis(self) -> tuple[float, float, float]:
        return self.sd if isinstance(self.sd, tuple) else (self.sd, self.sd, self.sd)


@dataclass(frozen=True)
class MarkerErrors:
    """Errors of markers, for the trajectory engine. The part that no field describes is independent in each frame.

    Attributes
    ----------
    sd : float
        Standard deviation of a coordinate of a marker of weight 1, m.
    correlation_time : float
        Of a marker's error, s; a correlated error does not average out over frames.
    slow_markers : tuple of str
        Markers on parts that move more slowly than their errors change, so that errors look like motion: all frames
        within a correlation time count as one.
    body_misfit_time : float
        Correlation time of errors from the body's misfit, where that is longer, s.
    body_misfit_sd : float
        Standard deviation of the body's misfit, m, as far as it changes with the posture.
    shared_errors : tuple of SharedError
        Errors that markers have in common.
    loss : str
        'square' or 'huber'.
    loss_threshold_sd : float
        Standard deviations from which 'huber' is linear.
    """

    sd: float = 0.02
    correlation_time: float = 0.0
    slow_markers: tuple[str, ...] = ()
    body_misfit_time: float = 0.0
    body_misfit_sd: float = 0.0
    shared_errors: tuple[SharedError, ...] = ()
    loss: str = "square"
    loss_threshold_sd: float = 3.0

    def __post_init__(self):
        for name in ("sd", "loss_threshold_sd"):
            value = require_finite_number(f"MarkerErrors.{name}", getattr(self, name))
            if value <= 0:
                raise InputError(f"MarkerErrors.{name} is {value}, expected a positive number.")
        for name in ("correlation_time", "body_misfit_time", "body_misfit_sd"):
            value = require_finite_number(f"MarkerErrors.{name}", getattr(self, name))
            if value < 0:
                raise InputError(f"MarkerErrors.{name} is {value}, expected 0 or more.")

    def huber_threshold(self, precision: np.ndarray) -> np.ndarray:
        """Distance (m) from which 'huber' is linear, for markers of this precision, 1/m²; 0 where that is 0.

        It is `loss_threshold_sd` standard deviations of each marker. A common distance, from the most precise markers,
        would reject usual errors of the others: of wrists, where the spine is known to a millimetre.
        """
        return self.loss_threshold_sd / np.sqrt(np.where(precision > 0, precision, np.inf))


@dataclass(frozen=True)
class Prior:
    """Independent Gaussian priors on a posture: rhythm between the levels, ranges, neutral position.

    Attributes
    ----------
    terms : sequence of LinearPrior
    body_error_modes : {coordinate: (r,) sequence}
        Change of each coordinate (rad or m) with each of r independent errors of the body, of one standard deviation;
        added to the covariance of the coordinates. Empty: a body without error.
    """

    terms: Sequence[LinearPrior] = ()
    body_error_modes: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def body_error_mode_matrix(self, names: Sequence[str]) -> np.ndarray:
        """(coordinates `names`, r): `body_error_modes` as an array; zero for those it does not name."""
        count = len(next(iter(self.body_error_modes.values()), ()))
        given: list[Any] = [self.body_error_modes.get(name, np.zeros(count)) for name in names]
        modes = require_numbers("body_error_modes", given, (len(names), count))
        if not np.isfinite(modes).all():
            raise InputError("body_error_modes hold values that are not finite.")
        return modes

    def deviation_of_sum(self, names: Sequence[str], given: Sequence[str] = ()) -> float:
        """Standard deviation of the sum of coordinates, rad, without data; NaN if the priors leave one of them free.
        given: coordinates whose sum is known."""
        known, covariance = self._covariance
        if not {*names, *given} <= set(known):
            return float("nan")
        summed = np.array([np.isin(known, names), np.isin(known, given)], float)
        (variance, common), (_, of_given) = summed @ covariance @ summed.T
        return float(np.sqrt(variance - (common**2 / of_given if given else 0.0)))

    @cached_property
    def _covariance(self) -> tuple[list[str], np.ndarray]:
        """Coordinates that the priors name, and their covariance without data."""
        known = list(dict.fromkeys(name for term in self.terms for name in term.combination))
        combinations, _, precision, _ = self.arrays(known, rate=1.0)
        return known, np.linalg.pinv((combinations.T * precision) @ combinations, hermitian=True)

    def arrays(self, names: Sequence[str], rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """S (terms, coordinates `names`), mean, precision and decay per frame (terms,)."""
        S = np.zeros((len(self.terms), len(names)))
        for row, term in zip(S, self.terms, strict=True):
            for name, coefficient in term.combination.items():
                require_known("coordinate", (name,), names, "the prior")
                row[list(names).index(name)] = coefficient
        mean = np.array([term.mean for term in self.terms])
        time = np.array([term.correlation_time for term in self.terms])
        with np.errstate(divide="ignore"):
            decay = np.exp(-1.0 / (rate * time))  # 0 at no time
        return S, mean, np.array([1.0 / term.sd**2 for term in self.terms]), decay


LEVEL_AXIS_COORDINATES = ("Flex_Ext", "Lat_Bending", "axial_rotation")  # of a joint: about z, x, y of the bone below
RHYTHM_TIME = 10.0  # s, correlation time: how a person shares a motion out over the levels is a trait
# One standard deviation of everyday motion, as a share of the published motion, which is the most that people can do.
EVERYDAY_MOTION_SHARE = 0.4
INCIDENCE_SD = float(np.radians(10.5))  # of people's pelvic incidence (n = 709, Mac-Thiong 2011)


@dataclass(frozen=True)
class AxisMotion:
    """Published motion and posture of a region's levels about one axis. rad, per level from below.

    mean: published motion. standing: people's mean angle when standing, from the model's neutral pose.
    region_half_range: half the flexion–extension range of the whole region, or its motion to one side. level_share_sd:
    sd of a level's share of it, relative. standing_angle_sd: sd of a level's angle between people of one pelvic
    incidence, independent between levels. on_incidence: change of that angle per rad of incidence. tilt: sd of the
    tilt, in its vertebra, of the endplate from which the lowest level's angle counts. mean_sd: sd of the error of the
    lowest level's mean standing angle. lower, upper: limits. together: number of levels, with those of other regions,
    that share one motion. goes_with: {other coordinate: ratio}; the region's expected angle changes by −ratio times
    that coordinate.
    """

    mean: tuple[float, ...]
    standing: tuple[float, ...]
    region_half_range: float
    level_share_sd: float
    standing_angle_sd: tuple[float, ...]
    on_incidence: tuple[float, ...]
    tilt: float
    mean_sd: float
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    together: int
    source: str
    goes_with: Mapping[str, float] = field(default_factory=dict)

    @property
    def shares(self) -> np.ndarray:
        """(levels,) share of each level in the region's motion; sum 1."""
        return np.array(self.mean) / sum(self.mean)


@dataclass(frozen=True)
class LevelRegion:
    """Levels that move together. levels: prefixes of coordinates. axes: in the order of `LEVEL_AXIS_COORDINATES`."""

    name: str
    levels: tuple[str, ...]
    axes: tuple[AxisMotion, ...]


@dataclass(frozen=True)
class LevelPrior:
    """A prior on a combination of levels' angles. Its variance is the sum of the current posture's and the person's.

    combination: {level's coordinate: factor}. goes_with: {other coordinate: factor}, added where the levels' posture
    depends on it. mean: of people's mean standing curve, rad. motion: sd of the current posture, or of its distribution
    over the levels, rad. curve: sd of the person's own standing curve between endplates, at one pelvic incidence, rad;
    on_incidence: its change per rad of incidence. tilt: sd from the tilt of the lowest endplate, another one in each
    person, rad. mean_sd: sd from the error of people's mean curve, one for all people, rad. correlation_time: s.
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

    def population_prior(self) -> LinearPrior:
        """The prior on a person whose standing curve is unknown."""
        return self.prior_about_mean(self.mean, float(np.hypot(self.motion, self.lasting_sd)))

    def prior_about_mean(self, mean: float, sd: float) -> LinearPrior:
        """The prior on the same coordinates with another mean and sd, rad."""
        return LinearPrior(
            combination={**self.combination, **self.goes_with},
            mean=mean,
            sd=sd,
            source=self.source,
            correlation_time=self.correlation_time,
        )

    @property
    def lasting_sd(self) -> float:
        """Standard deviation of the part that is constant in all trials of a person, rad."""
        return float(np.linalg.norm([self.curve, self.on_incidence * INCIDENCE_SD, self.tilt, self.mean_sd]))


def level_priors(regions: Sequence[LevelRegion]) -> list[LevelPrior]:
    """Priors on the rhythm within regions and on the posture of each level."""
    return [
        _level_prior(region, motion, [f"{level}_{axis}" for level in region.levels], index=index, rhythm=rhythm)
        for region in regions
        for axis, motion in zip(LEVEL_AXIS_COORDINATES, region.axes, strict=True)
        for index in range(len(region.levels))
        for rhythm in (True, False)
    ]


def _level_prior(region: LevelRegion, motion: AxisMotion, names: Sequence[str], index: int, rhythm: bool) -> LevelPrior:
    """The prior on a level's angle (posture), or on the angle minus its share of the region's (rhythm)."""
    share = motion.shares[index]
    row = np.eye(len(names))[index] - (share if rhythm else 0.0)
    spread = motion.level_share_sd if rhythm else np.sqrt(motion.together)
    return LevelPrior(
        combination={name: factor for name, factor in zip(names, row.tolist(), strict=True) if rhythm or factor},
        mean=float(row @ motion.standing),
        motion=float(spread * share * EVERYDAY_MOTION_SHARE * motion.region_half_range),
        curve=float(np.linalg.norm(row * motion.standing_angle_sd)),
        on_incidence=float(row @ motion.on_incidence),
        tilt=abs(float(row[0])) * motion.tilt,
        mean_sd=abs(float(row[0])) * motion.mean_sd,
        source=f"{region.name} rhythm: {motion.source}" if rhythm else f"posture: {motion.source}",
        correlation_time=RHYTHM_TIME if rhythm else LevelPrior.correlation_time,
        goes_with={} if rhythm else {other: float(share * ratio) for other, ratio in motion.goes_with.items()},
    )


def widened_regions(regions: Sequence[LevelRegion], factor: float, kept: Sequence[str] = ()) -> tuple[LevelRegion, ...]:
    """The regions with `factor` times the spread of motion and of people's standing curves, in flexion and lateral
    bending; the curves of levels `kept` keep their spread."""
    widened = []
    for region in regions:
        factors = [1.0 if level in kept else factor for level in region.levels]
        flexion, lateral = (
            replace(
                motion,
                region_half_range=factor * motion.region_half_range,
                standing_angle_sd=tuple(f * sd for f, sd in zip(factors, motion.standing_angle_sd, strict=True)),
            )
            for motion in region.axes[:2]
        )
        widened.append(replace(region, axes=(flexion, lateral, region.axes[2])))
    return tuple(widened)


def rhythm_and_posture(regions: Sequence[LevelRegion]) -> Prior:
    """Priors on the rhythm within regions and on the posture of each level, for a person of whom nothing is known."""
    return Prior(tuple(prior.population_prior() for prior in level_priors(regions)))


def region_from(name: str, entry: Mapping) -> LevelRegion:
    """A region out of a recipe's entry (degrees). Raises `InputError` where its lists differ in length."""
    levels = tuple(entry["levels"])
    return LevelRegion(
        name, levels, tuple(_axis_motion(f"{name}: {a}", a, entry[a], len(levels)) for a in LEVEL_AXIS_COORDINATES)
    )


def _axis_motion(where: str, axis: str, entry: Mapping, count: int) -> AxisMotion:
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
        region_half_range=float(rad(entry["whole"])) * (0.5 if axis == "Flex_Ext" else 1.0),
        level_share_sd=float(entry["spread"]),
        standing_angle_sd=tuple(rad(shape).tolist()),
        on_incidence=tuple(float(part) for part in on_incidence),
        tilt=float(rad(entry.get("tilt", 0.0))),
        mean_sd=float(rad(entry.get("mean_sd", 0.0))),
        lower=tuple(rad(lower)),
        upper=tuple(rad(upper)),
        together=int(entry.get("together", count)),
        source=str(entry["source"]),
        goes_with={str(name): float(ratio) for name, ratio in entry.get("goes_with", {}).items()},
    )


LOG_VARIANCE_FACTOR = np.e  # factor of a standard deviation that is one standard deviation of its logarithm


def likeliest_variance(
    mean_square: float | np.ndarray, count: float | np.ndarray, assumed: float | np.ndarray
) -> np.ndarray:
    """The likeliest variance of `count` normal numbers of this mean square: empirical Bayes with a weak prior.

    The prior is log-normal about `assumed`: its standard deviation is right within a factor `LOG_VARIANCE_FACTOR`. The
    posterior's maximum is at Wright's ω(x), which solves ω + ln ω = x (Corless & Jeffrey 2002).
    """
    least = np.finfo(float).tiny  # logarithms of zero are none
    weight = np.maximum(2 * np.log(LOG_VARIANCE_FACTOR) ** 2 * np.asarray(count), least)
    log_ratio = np.log(np.maximum(np.divide(mean_square, assumed), least))
    return assumed * np.exp(scipy.special.wrightomega(weight + np.log(weight) + log_ratio) - weight)
