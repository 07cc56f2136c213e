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
    data = False

    def cost(self, z: np.ndarray) -> np.ndarray:
        """A difference counts in the frame where it ends."""
        cost = np.zeros(len(z))
        cost[1:] += (self.velocity * (np.diff(z, axis=0) * self.rate) ** 2).sum(1)
        cost[2:] += (self.acceleration * (np.diff(z, n=2, axis=0) * self.rate**2) ** 2).sum(1)
        return cost

    def add(self, z: np.ndarray, system: BandedSystem, gradient: np.ndarray, newton: bool) -> None:
        for order, weight in ((1, self.velocity * self.rate**2), (2, self.acceleration * self.rate**4)):
            if len(z) <= order or not weight.any():
                continue
            stencil = ((-1.0, 1.0), (1.0, -2.0, 1.0))[order - 1]
            difference = weight * np.diff(z, n=order, axis=0)
            terms = len(z) - order
            for i, a in enumerate(stencil):
                gradient[i : i + terms] += a * difference
                for k, b in enumerate(stencil[: i + 1]):  # frame k before frame i: lag i − k
                    values = np.zeros((len(z) - (i - k), z.shape[1]))
                    values[k : k + terms] = a * b * weight
                    system.add_diagonal(values, i - k)

    def window(self, frames: slice) -> "SmoothnessTerm":
        return self
