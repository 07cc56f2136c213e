"""Markers: Σ_tm w_tm ρ(|x_m(q_t) − y_tm|), distances in metres or, with a precision, in standard deviations."""

from dataclasses import dataclass, replace

import numpy as np

from simspine.body.tree import Tree
from simspine.errors import unknown_name
from simspine.ik.banded import BandedSystem
from simspine.ik.body_columns import BodyColumns, body_columns
from simspine.ik.lapack import mirrored
from simspine.ik.marker_kernels import FIRST, GAUSS_NEWTON, HUBER, NEWTON, SQUARE, VALUE, Data, frames_terms

CHUNK = 32  # frames whose blocks are made and added together: they stay in the cache
LOSSES = {"square": SQUARE, "huber": HUBER}
UNUSED, UNUSED_BAND = np.empty((2, 2)), np.empty((2, 2), order="F")  # typed like what is used


@dataclass(frozen=True, eq=False)
class MarkerTerm:
    """y: (frames, markers, 3) m. w: (frames, markers), 0 if missing. precision: (frames, markers, 3, 3) m⁻², or None.

    loss: 'square' or 'huber', from `scale` on, (frames, markers) or one for all (m, or standard deviations with a
    precision). columns: `body_columns(tree)`, made where it is not given.
    """

    tree: Tree
    y: np.ndarray
    w: np.ndarray
    precision: np.ndarray | None = None
    loss: str = "square"
    scale: np.ndarray | float = 1.0
    columns: BodyColumns | None = None

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise unknown_name("loss", self.loss, LOSSES)
        if self.columns is None:
            object.__setattr__(self, "columns", body_columns(self.tree))
        object.__setattr__(self, "scale", np.ascontiguousarray(np.broadcast_to(self.scale, self.w.shape), float))

    @property
    def seen(self) -> np.ndarray:
        """(frames,) bool: in which any marker counts."""
        return np.any(self.w > 0.0, axis=1)

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        if gradient is None:
            return self._terms(z, VALUE)
        return self._terms(z, FIRST, gradient=gradient)

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        for start in range(0, len(z), CHUNK):
            part = slice(start, start + CHUNK)
            system.add_blocks(self.window(part).upper_information(z[part], newton), start)

    def information(self, z: np.ndarray, newton: bool = False) -> np.ndarray:
        """(frames, free, free): what the markers say about each frame, Σ w JᵀPJ; newton: with the second-order part."""
        return mirrored(self.upper_information(z, newton)[:, : z.shape[1]])

    def upper_information(self, z: np.ndarray, newton: bool = False) -> np.ndarray:
        """(frames, free + 1, free): the same, upper triangles above zeros; newton: with the second-order part.

        With one row more than columns, the memory is that of a band whose columns are as long as a row.
        """
        frames, n = z.shape
        blocks = np.zeros((frames, n + 1, n))
        self._terms(z, NEWTON if newton else GAUSS_NEWTON, band=blocks.reshape(frames * n, n + 1).T)
        return blocks

    def _terms(self, z: np.ndarray, order: int, gradient: np.ndarray = UNUSED, band: np.ndarray = UNUSED_BAND):
        data = Data(self.y, self.w, LOSSES[self.loss], np.asarray(self.scale))
        return frames_terms(self.tree, self.columns, z, data, self.precision, order, gradient, band)

    def window(self, frames: slice | np.ndarray) -> "MarkerTerm":
        precision = None if self.precision is None else self.precision[frames]
        scale = np.asarray(self.scale)[frames]
        return replace(self, y=self.y[frames], w=self.w[frames], precision=precision, scale=scale)

    def sampled(self, frames: slice, count: int) -> "MarkerTerm":
        part = self.window(frames)
        return replace(part, w=part.w * count)
