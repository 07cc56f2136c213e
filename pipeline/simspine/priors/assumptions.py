"""What is assumed beside the markers: how fast coordinates change, how a body is held, which errors markers share.

By name, in rad, m and s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from simspine.errors import InputError, unknown_name


@dataclass(frozen=True)
class Smoothness:
    """Standard deviations of the coordinates' rates of change; the smaller, the calmer the motion.

    velocity: rad/s or m/s, acceleration: rad/s² or m/s², one number for all angles, or {coordinate: sd} with the key
    '*' for all others. None leaves the term out. Lengths (the pelvis' path) use `length` × the number: 0.3 m per rad.
    learnt: coordinates of which the trial itself says by which factor their accelerations differ from what is assumed.
    """

    velocity: float | Mapping[str, float] | None = None
    acceleration: float | Mapping[str, float] | None = 20.0
    length: float = 0.3
    learnt: Sequence[str] = ()

    def weights(self, which: str, names: Sequence[str], rotational: Sequence[bool]) -> np.ndarray:
        """1/sd² for each coordinate; 0 where it is free. which: 'velocity' or 'acceleration'."""
        given = getattr(self, which)
        if given is None:
            return np.zeros(len(names))
        table = dict(given) if isinstance(given, Mapping) else {"*": given}
        for name, sd in table.items():
            if name != "*" and name not in names:
                raise unknown_name("coordinate", name, names, f"smoothness.{which}")
            if not sd > 0:
                raise InputError(f"smoothness.{which} of {name!r} is {sd}, expected a positive standard deviation.")
        sd = np.array([table.get(name, table.get("*", np.inf)) for name in names], float)
        scale = np.where(rotational, 1.0, self.length)
        listed = np.array([name in table for name in names])
        return 1.0 / np.where(listed, sd, sd * scale) ** 2


@dataclass(frozen=True)
class LinearPrior:
    """Σ coefficient × coordinate = mean ± sd (rad, m).

    A Gaussian prior on a linear combination of coordinates. source: where the numbers are from. correlation_time: s,
    of departures from the mean; long for a person's way of moving, short for a posture. The prior counts about once in
    that time, not in each frame.
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
    """A systematic error that `markers` share: sd of its three components, m, along the axes of the bodies that carry
    them, or of the ground; one number stands for all three.

    shares: by how much of it each marker is off, as many as markers; () is all of it for each. mean: m, along the axes
    of the bodies, of an error that is known in part. in_space: what is not known of it stays as it is in space, however
    the bodies turn, as errors of cameras do.
    correlation_time: s; what a detector means by a point does not change within a trial.
    """

    name: str
    markers: tuple[str, ...]
    sd: float | tuple[float, float, float]
    correlation_time: float = 30.0
    shares: tuple[float, ...] = ()
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    in_space: bool = False

    def __post_init__(self):
        if self.shares and len(self.shares) != len(self.markers):
            raise InputError(
                f"the shared error {self.name!r} has {len(self.markers)} markers and {len(self.shares)} shares; "
                "expected as many."
            )
        if not (np.isfinite(self.sd).all() and min(self.by_axis) > 0 and self.correlation_time > 0 and self.markers):
            raise InputError(
                f"the shared error {self.name!r} has {len(self.markers)} markers, sd {self.sd} and correlation time "
                f"{self.correlation_time} s; expected markers, a positive sd and a positive time."
            )

    @property
    def share_of(self) -> dict[str, float]:
        """{marker: by how much of the error it is off}."""
        return dict(zip(self.markers, self.shares or (1.0,) * len(self.markers), strict=True))

    @property
    def by_axis(self) -> tuple[float, float, float]:
        return self.sd if isinstance(self.sd, tuple) else (self.sd, self.sd, self.sd)


@dataclass(frozen=True)
class MarkerErrors:
    """How far markers are off, for the trajectory engine.

    sd: m, standard deviation of a coordinate of a marker of weight 1. correlation_time: s, of a marker's error; what
    is correlated does not average out over frames. counted_once: markers on parts that move more slowly than their
    errors change, so that such errors hide a motion as well: all frames within a correlation time count as one.
    misfit_time: s, for how long the body itself is wrong in the same way, where that is longer. lasting: {marker: share
    of its variance that lasts}, misfit: {marker: share that the body's misfit makes}, and lasting_shared: share of the
    variance of `shared` that is there; 1 where absent. The rest of the markers' variance is new in each frame.
    shared: what neighbouring markers are off by together.
    use_covariance: take `Markers.covariance` plus sd² instead of sd². loss: 'square' or 'huber', from loss_from
    standard deviations on.
    """

    sd: float = 0.02
    correlation_time: float = 0.0
    counted_once: tuple[str, ...] = ()
    misfit_time: float = 0.0
    lasting: Mapping[str, float] = field(default_factory=dict)
    misfit: Mapping[str, float] = field(default_factory=dict)
    lasting_shared: float = 1.0
    shared: tuple[SharedError, ...] = ()
    use_covariance: bool = False
    loss: str = "square"
    loss_from: float = 3.0

    def __post_init__(self):
        for name in ("sd", "loss_from"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise InputError(f"MarkerErrors.{name} is {value}, expected a positive number.")
        for name in ("correlation_time", "misfit_time"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise InputError(f"MarkerErrors.{name} is {value} s, expected 0 or more.")

    def linear_from(self, precision: np.ndarray) -> np.ndarray:
        """m: distance from which on 'huber' is linear, for markers of this precision, 1/m²; 0 where there is none.

        It is `loss_from` standard deviations of each one: one distance for all, three of the surest ones', would be
        within what the others err by, and would give up wrists where the spine is known to a millimetre.
        """
        return self.loss_from / np.sqrt(np.where(precision > 0, precision, np.inf))


@dataclass(frozen=True)
class Prior:
    """Independent Gaussian priors on a posture: rhythm between the levels, ranges, neutral position.

    carried: {coordinate: (r,) rad or m}, by how much it would change with each of r independent ways in which the body
    itself may be wrong, one standard deviation each; added to the covariance of the coordinates. Empty: it is right.
    """

    terms: Sequence[LinearPrior] = ()
    carried: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def ways(self, names: Sequence[str]) -> np.ndarray:
        """(coordinates `names`, r): `carried` as an array; zero for those it does not name."""
        count = len(next(iter(self.carried.values()), ()))
        return np.array([self.carried.get(name, np.zeros(count)) for name in names], float).reshape(len(names), count)

    def arrays(self, names: Sequence[str], rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """S (terms, coordinates `names`), mean, precision and decay per frame (terms,)."""
        S = np.zeros((len(self.terms), len(names)))
        for row, term in zip(S, self.terms, strict=True):
            for name, coefficient in term.combination.items():
                if name not in names:
                    raise unknown_name("coordinate", name, names, "the prior")
                row[list(names).index(name)] = coefficient
        mean = np.array([term.mean for term in self.terms])
        time = np.array([term.correlation_time for term in self.terms])
        with np.errstate(divide="ignore"):
            decay = np.exp(-1.0 / (rate * time))  # 0 at no time
        return S, mean, np.array([1.0 / term.sd**2 for term in self.terms]), decay
