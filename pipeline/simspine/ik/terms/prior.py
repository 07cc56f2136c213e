"""Posture and rhythm: Σ_t |S z_t − μ|²_Λ, Gaussian beliefs about linear combinations of coordinates."""

from dataclasses import dataclass

import numpy as np

from simspine.ik.banded import BandedSystem


@dataclass(frozen=True, eq=False)
class PriorTerm:
    """S: (beliefs, free). mean: (beliefs,). precision: (beliefs, beliefs), symmetric, not negative."""

    S: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    data = False

    def cost(self, z: np.ndarray) -> np.ndarray:
        difference = z @ self.S.T - self.mean
        return np.einsum("ti,ij,tj->t", difference, self.precision, difference)

    def add(self, z: np.ndarray, system: BandedSystem, gradient: np.ndarray, newton: bool) -> None:
        pull = self.S.T @ self.precision
        system.add_blocks(np.broadcast_to(pull @ self.S, (len(z), *2 * (z.shape[1],))))
        gradient += (z @ self.S.T - self.mean) @ pull.T

    def window(self, frames: slice) -> "PriorTerm":
        return self
