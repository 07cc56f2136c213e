"""Posture and rhythm: |S z_t − μ|²_Λ, Gaussian priors on linear combinations of coordinates.

A departure d from the mean is correlated in time: somebody's stiff level is stiff in the next frame too. Counting the
prior anew in each frame would make it surer the more frames there are, so departures are a stationary process
(Ornstein and Uhlenbeck 1930) with standard deviation s and decay a = exp(−Δt/τ) per frame:
E = d₀²/s² + Σ_t (d_t − a d_{t−1})² / (s² (1 − a²)). Each frame by itself then has d ~ N(0, s²), whatever their number.

Where markers' errors are correlated as well, k frames share one error, so that of a departure that stays the markers
say k times less than they seem to. The prior is then repeated in each frame, so often that of a constant departure it
says k times as much; of how a departure changes neither says more or less than before.
"""

from dataclasses import dataclass, replace

import numpy as np

from simspine.ik.banded import BandedSystem


@dataclass(frozen=True, eq=False)
class PriorTerm:
    """S: (priors, free). mean, precision 1/s², decay a in 0…1 (0 = anew each frame), repeated: (priors,).

    repeated: share of the precision that each frame has besides; see `repetition`.
    """

    S: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    decay: np.ndarray
    repeated: np.ndarray | float = 0.0

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        departure = z @ self.S.T - self.mean
        added = departure.copy()  # what each frame adds to it
        added[1:] -= self.decay * departure[:-1]
        weight = np.tile(self._later, (len(z), 1))
        weight[0] = self.precision
        pull, held = weight * added, self.repeated * self.precision * departure
        cost = (pull * added).sum(1) + (held * departure).sum(1)
        if gradient is not None:
            pull[:-1] -= self.decay * pull[1:]
            gradient += (pull + held) @ self.S
        return cost

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        later, held, last = self._later, self.repeated * self.precision, len(z) - 1
        before = later * self.decay**2  # of a frame, in what the one after it adds
        system.add_same(self._block(held + self.precision + (before if last else 0.0)), frames=slice(1))
        system.add_same(self._block(held + later + before), frames=slice(1, last))
        system.add_same(self._block(held + later), frames=slice(max(last, 1), None))
        system.add_same(-self._block(later * self.decay), lag=1)

    @property
    def _later(self) -> np.ndarray:
        """Precision (priors,) of what a frame adds to the departure of the one before."""
        return self.precision / (1 - self.decay**2)

    def information(self) -> np.ndarray:
        """(free, free): what the priors say about a single frame."""
        return self._block(self.precision)

    def _block(self, weight: np.ndarray) -> np.ndarray:
        return (self.S.T * weight) @ self.S

    def window(self, frames: slice) -> "PriorTerm":
        return self

    def sampled(self, frames: slice, count: int) -> "PriorTerm":
        """Of a process fewer frames say the same."""
        return replace(self, decay=self.decay**count, repeated=self.repeated * count)


def of_one_coordinate(S: np.ndarray) -> np.ndarray:
    """(priors,) bool: S (priors, free) are about one coordinate, others that its posture goes with count for little."""
    size = np.abs(S)
    return size.max(1, initial=0.0) > 0.9 * size.sum(1)


def held_and_drawn(S: np.ndarray, mean: np.ndarray, precision: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(free,) precision with which priors about one coordinate hold it, and (free,) the value they draw it to."""
    single = of_one_coordinate(S)
    S, precision = S[single], precision[single]
    held = (S**2).T @ precision
    return held, (S.T @ (precision * mean[single])) / np.where(held > 0.0, held, 1.0)


def repetition(decay: np.ndarray, frames: int, shared: float) -> np.ndarray:
    """How often each frame must repeat priors (priors,) that all together they say `shared` times as much of a
    departure that stays the same over the trial; 0 for errors that are new in each frame (shared 1).
    """
    once = 1 + (frames - 1) * (1 - decay) / (1 + decay)  # what the process says of it, in units of its precision
    return (shared - 1) * once / frames
