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
    """

    velocity: float | Mapping[str, float] | None = None
    acceleration: float | Mapping[str, float] | None = 20.0
    length: float = 0.3

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
class Belief:
    """Σ coefficient × coordinate = mean ± sd (rad, m).

    source: where the numbers are from. lasts: s, how long a departure lasts; long for a person's way of moving, short
    for a posture. The belief counts about once in that time, not in each frame.
    """

    combination: Mapping[str, float]
    mean: float
    sd: float
    source: str = ""
    lasts: float = 1.0

    def __post_init__(self):
        if not (np.isfinite(self.mean) and np.isfinite(self.sd) and self.sd > 0 and self.lasts >= 0):
            raise InputError(
                f"a belief about {dict(self.combination)} has mean {self.mean}, sd {self.sd} and lasts {self.lasts} s; "
                "expected finite numbers, a positive sd and a time of 0 or more."
            )


@dataclass(frozen=True)
class CommonError:
    """What `markers` may be off by together: sd of each component, m, along the axes of the bodies that carry them.

    lasts: s, how long such an error lasts; what a detector means by a point does not change within a trial.
    """

    name: str
    markers: tuple[str, ...]
    sd: float
    lasts: float = 30.0

    def __post_init__(self):
        if not (np.isfinite(self.sd) and self.sd > 0 and self.lasts > 0 and self.markers):
            raise InputError(
                f"the common error {self.name!r} has {len(self.markers)} markers, sd {self.sd} and lasts {self.lasts} "
                "s; expected markers, a positive sd and a positive time."
            )


@dataclass(frozen=True)
class Prior:
    """Independent Gaussian beliefs about a posture: rhythm between the levels, ranges, neutral position."""

    beliefs: Sequence[Belief] = field(default_factory=tuple)

    def arrays(self, names: Sequence[str], rate: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """S (beliefs, coordinates `names`), mean, precision and decay per frame (beliefs,)."""
        S = np.zeros((len(self.beliefs), len(names)))
        for row, belief in zip(S, self.beliefs, strict=True):
            for name, coefficient in belief.combination.items():
                if name not in names:
                    raise unknown_name("coordinate", name, names, "the prior")
                row[list(names).index(name)] = coefficient
        mean = np.array([belief.mean for belief in self.beliefs])
        lasts = np.array([belief.lasts for belief in self.beliefs])
        with np.errstate(divide="ignore"):
            decay = np.where(lasts > 0, np.exp(-1.0 / (rate * lasts)), 0.0)
        return S, mean, np.array([1.0 / belief.sd**2 for belief in self.beliefs]), decay
