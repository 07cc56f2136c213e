"""A symmetric positive definite system whose unknowns are coupled over two frames: block pentadiagonal in time.

n unknowns per frame. Blocks on the diagonal and one frame beside it may be full; those two frames beside it are
diagonal, as acceleration terms make them, so the band reaches 2 n below the diagonal and one Cholesky sweep by LAPACK
costs O(frames · n³). The same factor gives the blocks of the inverse inside the band (Takahashi, Fagan & Chin 1973),
hence marginal variances.
"""

from functools import cached_property

import numpy as np

from simspine.ik.banded_kernels import add_blocks, add_same, diagonal_inverses, mean_diagonal, selected_inverse
from simspine.ik.lapack import band_factorise, band_solve

Precision = type[float] | type[np.float32]


class BandedSystem:
    """H x = b with H of (frames · n)²; band[d, i] = H[i + d, i], lower triangle, d = 0…2 n. dtype: double or single."""

    def __init__(self, frames: int, n: int, dtype: Precision = float):
        self.frames, self.n = frames, n
        # Fortran order, as LAPACK wants it: a column of H is contiguous.
        self.band: np.ndarray = np.zeros((2 * n + 1, frames * n), dtype, order="F")

    def clear(self) -> None:
        self.band[:] = 0.0

    def add_diagonal(self, values: np.ndarray, lag: int = 0) -> None:
        """Add values (frames − lag, n) between each unknown and itself `lag` frames later."""
        self.band[lag * self.n, : (self.frames - lag) * self.n] += values.reshape(-1)

    def add_blocks(self, blocks: np.ndarray, first: int = 0) -> None:
        """Add blocks (frames, n or more, n) on the diagonal, from frame `first` on; their upper triangles count."""
        add_blocks(self.band, blocks, first)

    def add_same(self, block: np.ndarray, lag: int = 0, frames: slice = slice(None)) -> None:
        """Add (n, n) between each of `frames` (columns) and the frame `lag` (0 or 1) later (rows), alike for all."""
        first, last, _ = frames.indices(self.frames - lag)
        add_same(self.band, np.ascontiguousarray(block, float), lag, first, last)

    def factorise(self, damping: np.ndarray | None = None, sweeps: Precision = float) -> "Factor | None":
        """Cholesky factor of H + diag(damping (frames, n)), or None if that is not positive definite. sweeps: see
        `Factor`.

        It takes the place of H, which must be cleared and filled again: a band is far larger than a processor's cache,
        and a copy would cost a fifth of the factorisation, more with two threads.
        """
        if damping is not None:
            self.band[0] += damping.reshape(-1)
        return Factor(self.band, self.frames, self.n, sweeps) if band_factorise(self.band) else None

    def dense(self) -> np.ndarray:
        """H in full, for tests on small problems."""
        size = self.frames * self.n
        H = np.zeros((size, size))
        for d in range(min(2 * self.n + 1, size)):
            H[np.arange(d, size), np.arange(size - d)] = self.band[d, : size - d]
        return H + np.tril(H, -1).T


class Factor:
    """L of H = L Lᵀ, in the band's layout. sweeps: the precision of what is computed of the inverse."""

    def __init__(self, lower: np.ndarray, frames: int, n: int, sweeps: Precision = float):
        self.lower, self.frames, self.n, self._sweeps = lower, frames, n, sweeps

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b; b (frames, n) or (frames, n, k)."""
        x = np.array(b.reshape(self.frames * self.n, -1), self.lower.dtype, order="F")
        band_solve(self.lower, x)
        return x.astype(float).reshape(b.shape)

    @cached_property
    def _inverses(self) -> np.ndarray:
        found = np.empty((self.frames, self.n, self.n), self._sweeps)
        diagonal_inverses(self.lower, found)
        return found

    def mean_diagonal(self, blocks: np.ndarray) -> np.ndarray:
        """(n,): x_i[t, i] averaged over the frames t, where H x_i = b_i and b_i holds column i of each frame's block.

        blocks: (frames, n or more, n), symmetric; their upper triangles count.
        """
        return mean_diagonal(self.lower, self._inverses, blocks)

    def inverse_blocks(self, begin: int = 0) -> np.ndarray:
        """Diagonal blocks (frames − begin, n, n) of H⁻¹: the posterior covariance of each frame's unknowns, from frame
        `begin` on.

        Backwards in time: with M = [L_{t+1,t}; L_{t+2,t}] L_tt⁻¹ and W the inverse's block of frames t+1, t+2,
        (H⁻¹)_{later,t} = −W M and (H⁻¹)_tt = L_tt⁻ᵀ L_tt⁻¹ + Mᵀ W M. The recursion adds positive matrices, so that
        sweeps in single precision from a factor in double leave variances good to some four digits at 50 Hz.
        """
        return selected_inverse(self.lower, self._inverses, begin)
