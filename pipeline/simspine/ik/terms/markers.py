"""Markers: Σ_tm w_tm ρ(|x_m(q_t) − y_tm|), distances in metres or, with a precision, in standard deviations."""

from dataclasses import dataclass, replace

import numpy as np

from simspine.body.tree import Tree
from simspine.errors import unknown_name
from simspine.ik.banded import BandedSystem
from simspine.ik.marker_kernels import GEMAN_MCCLURE, HUBER, SQUARE, frames_cost, frames_normal

LOSSES = {"square": SQUARE, "huber": HUBER, "geman-mcclure": GEMAN_MCCLURE}


@dataclass(frozen=True, eq=False)
class MarkerTerm:
    """y: (frames, markers, 3) m. w: (frames, markers), 0 if missing. precision: (frames, markers, 3, 3) m⁻², or None.

    loss: 'square', 'huber' or 'geman-mcclure', from `scale` on (m, or standard deviations with a precision).
    """

    tree: Tree
    y: np.ndarray
    w: np.ndarray
    precision: np.ndarray | None = None
    loss: str = "square"
    scale: float = 1.0
    data = True

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)

    def _arguments(self):
        P = np.empty((self.w.shape[0], 0, 3, 3)) if self.precision is None else self.precision
        return self.y, self.w, P, LOSSES[self.loss], float(self.scale)

    def cost(self, z: np.ndarray) -> np.ndarray:
        return frames_cost(self.tree, z, *self._arguments())

    def add(self, z: np.ndarray, system: BandedSystem, gradient: np.ndarray, newton: bool) -> None:
        H, g = frames_normal(self.tree, z, *self._arguments(), newton)
        system.add_blocks(H)
        gradient += g

    def information(self, z: np.ndarray) -> np.ndarray:
        """(frames, free, free): what the markers say about each frame, Σ w JᵀPJ."""
        H, _ = frames_normal(self.tree, z, *self._arguments(), False)
        return np.tril(H) + np.tril(H, -1).transpose(0, 2, 1)

    def window(self, frames: slice) -> "MarkerTerm":
        precision = None if self.precision is None else self.precision[frames]
        return replace(self, y=self.y[frames], w=self.w[frames], precision=precision)
