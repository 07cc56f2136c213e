"""Compiled loops over the blocks of a banded system: filling it, and selected inversion; see `banded`."""

import numpy as np
from numba import njit

from simspine.ik.sparsity import INNER


@njit(cache=True, nogil=True, error_model="numpy")
def add_lower(band: np.ndarray, blocks: np.ndarray) -> None:
    """band (2 n + 1, frames · n) += the lower triangles of blocks (frames, n, n); one frame's part fits the cache."""
    frames, n = blocks.shape[:2]
    for t in range(frames):
        for i in range(n):
            for j in range(i, n):
                band[j - i, t * n + i] += blocks[t, j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def add_same(band: np.ndarray, block: np.ndarray, lag: int, first: int, last: int) -> None:
    """band += block (n, n) between each of the frames first…last − 1 (columns) and the frame `lag` later (rows).

    Of lag 0 only the lower triangle is read. Zeros, which are most, cost nothing.
    """
    n = block.shape[0]
    rows, columns = np.nonzero(block)
    for t in range(first, last):
        for k in range(rows.size):
            i, j = rows[k], columns[k]
            if lag > 0 or i >= j:
                band[lag * n + i - j, t * n + j] += block[i, j]


@njit(**INNER)
def _inverse_lower(L: np.ndarray, X: np.ndarray) -> None:
    """X = L⁻¹ of a lower triangular matrix."""
    n = L.shape[0]
    X[:] = 0.0
    for j in range(n):
        X[j, j] = 1.0 / L[j, j]
        for i in range(j + 1, n):
            s = 0.0
            for k in range(j, i):
                s -= L[i, k] * X[k, j]
            X[i, j] = s / L[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def selected_inverse(lower: np.ndarray, frames: int, n: int) -> np.ndarray:
    """Diagonal blocks (frames, n, n) of the inverse from the banded Cholesky factor lower (2 n + 1, frames · n)."""
    blocks = np.empty((frames, n, n))
    later = np.zeros((2 * n, n))  # L below the diagonal block of frame t
    diagonal = np.zeros((n, n))
    inverse = np.empty((n, n))
    W = np.zeros((2 * n, 2 * n))
    for t in range(frames - 1, -1, -1):
        start = t * n
        reach = min(2, frames - 1 - t) * n
        later[:] = 0.0
        diagonal[:] = 0.0
        for j in range(n):
            for i in range(j, n):
                diagonal[i, j] = lower[i - j, start + j]
            for i in range(reach):
                offset = n + i - j
                if offset <= 2 * n:
                    later[i, j] = lower[offset, start + j]
        _inverse_lower(diagonal, inverse)
        M = np.dot(later, inverse)
        cross = -np.dot(W, M)
        block = np.dot(inverse.T, inverse) - np.dot(M.T, cross)
        blocks[t] = 0.5 * (block + block.T)
        W[n:, n:] = W[:n, :n].copy()
        W[n:, :n] = cross[:n]
        W[:n, n:] = cross[:n].T
        W[:n, :n] = blocks[t]
    return blocks
