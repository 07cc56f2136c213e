"""Markers: Σ_tm w_tm ρ(|x_m(q_t) − y_tm|), distances in metres or, with a precision, in standard deviations."""

from dataclasses import dataclass, replace

import numpy as np

from simspine.body.tree import Tree
from simspine.errors import unknown_name
from simspine.ik.banded import BandedSystem
from simspine.ik.banded_kernels import lower_blocks
from simspine.ik.body_columns import BodyColumns, body_columns
from simspine.ik.marker_kernels import FIRST, GAUSS_NEWTON, HUBER, NEWTON, SQUARE, VALUE, Data, frames_terms

LOSSES = {"square": SQUARE, "huber": HUBER}
UNUSED, UNUSED_BAND = np.empty((2, 2)), np.empty((2, 2), order="F")  # typed like what is used


@dataclass(frozen=True, eq=False)
class MarkerTerm:
    """y: (frames, markers, 3) m. w: (frames, markers), 0 if missing. precision: (frames, markers, 3, 3) m⁻², or None.

    loss: 'square' or 'huber', from `scale` on (m, or standard deviations with a precision). columns:
    `body_columns(tree)`, made where it is not given.
    """

    tree: Tree
    y: np.ndarray
    w: np.ndarray
    precision: np.ndarray | None = None
    loss: str = "square"
    scale: float = 1.0
    columns: BodyColumns | None = None

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if self.columns is None:
            object.__setattr__(self, "columns", body_columns(self.tree))

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        if gradient is None:
            return self._terms(z, VALUE)
        return self._terms(z, FIRST, gradient=gradient)

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        self._terms(z, NEWTON if newton else GAUSS_NEWTON, band=system.band)

    def information(self, z: np.ndarray) -> np.ndarray:
        """(frames, free, free): what the markers say about each frame, Σ w JᵀPJ."""
        frames, n = z.shape
        band = np.zeros((n, frames * n), order="F")
        self._terms(z, GAUSS_NEWTON, band=band)
        return lower_blocks(band, frames, n)

    def _terms(self, z: np.ndarray, order: int, gradient: np.ndarray = UNUSED, band: np.ndarray = UNUSED_BAND):
        data = Data(self.y, self.w, LOSSES[self.loss], float(self.scale))
        return frames_terms(self.tree, self.columns, z, data, self.precision, order, gradient, band)

    def window(self, frames: slice) -> "MarkerTerm":
        precision = None if self.precision is None else self.precision[frames]
        return replace(self, y=self.y[frames], w=self.w[frames], precision=precision)
