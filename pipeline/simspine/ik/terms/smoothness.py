"""Smoothness: λ_v Σ_t |Δz_t/Δt|²_W + λ_a Σ_t |Δ²z_t/Δt²|²_W, with a standard deviation for each coordinate."""

from dataclasses import dataclass

import numpy as np

from simspine.ik.banded import BandedSystem


@dataclass(frozen=True, eq=False)
class SmoothnessTerm:
    """velocity, acceleration: (free,) weights, 1/sd² with sd in rad/s, m/s and rad/s², m/s²; 0 leaves one free."""

    rate: float
    velocity: np.ndarray
    acceleration: np.ndarray

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        """A difference counts in the frame where it ends."""
        cost = np.zeros(len(z))
        for order, weight, stencil in self._differences(len(z)):
            difference = np.diff(z, n=order, axis=0)
            pull = weight * difference
            cost[order:] += (pull * difference).sum(1)
            if gradient is not None:
                for i, a in enumerate(stencil):
                    gradient[i : i + len(pull)] += a * pull
        return cost

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        for order, weight, stencil in self._differences(len(z)):
            terms = len(z) - order
            for i, a in enumerate(stencil):
                for k, b in enumerate(stencil[: i + 1]):  # frame k before frame i: lag i − k
                    values = np.zeros((len(z) - (i - k), z.shape[1]))
                    values[k : k + terms] = a * b * weight
                    system.add_diagonal(values, i - k)

    def _differences(self, frames: int):
        """Order, weight (free,) and stencil of each kind of difference that counts in so many frames."""
        velocity, acceleration = self.velocity * self.rate**2, self.acceleration * self.rate**4
        for order, weight in ((1, velocity), (2, acceleration)):
            if frames > order and weight.any():
                yield order, weight, ((-1.0, 1.0), (1.0, -2.0, 1.0))[order - 1]

    def window(self, frames: slice) -> "SmoothnessTerm":
        return self

    def sampled(self, frames: slice, count: int) -> "SmoothnessTerm":
        return SmoothnessTerm(self.rate / count, self.velocity * count, self.acceleration * count)
