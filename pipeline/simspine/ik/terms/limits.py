"""Joint limits, soft: Σ_t (how far outside its range)² / sd², nothing inside."""

from dataclasses import dataclass, replace

import numpy as np

from simspine.ik.banded import BandedSystem


@dataclass(frozen=True, eq=False)
class LimitTerm:
    """lower, upper: (free,) rad or m, ±inf for none. sd: what an excess is measured in, same units."""

    lower: np.ndarray
    upper: np.ndarray
    sd: float = np.radians(1.0)

    def _excess(self, z: np.ndarray) -> np.ndarray:
        return np.minimum(z - self.lower, 0.0) + np.maximum(z - self.upper, 0.0)

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        excess = self._excess(z)
        if gradient is not None:
            gradient += excess / self.sd**2
        return (excess**2).sum(1) / self.sd**2

    def curvature(self, z: np.ndarray) -> np.ndarray:
        """(frames, free): half the second derivatives."""
        return (self._excess(z) != 0.0) / self.sd**2

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        system.add_diagonal(self.curvature(z))

    def window(self, frames: slice) -> "LimitTerm":
        return self

    def sampled(self, frames: slice, count: int) -> "LimitTerm":
        return replace(self, sd=self.sd / count**0.5)
