"""Compiled loops over the blocks of a banded system: filling it, many right sides, selected inversion; see `banded`."""

import numpy as np
from numba import njit

from simspine.ik.body_columns import ENTRY, INNER


@njit(**ENTRY)
def lower_blocks(band: np.ndarray, frames: int, n: int) -> np.ndarray:
    """Diagonal blocks (frames, n, n) of a symmetric banded matrix whose lower triangle is in band (n…, frames · n)."""
    blocks = np.empty((frames, n, n))
    for t in range(frames):
        for j in range(n):
            for i in range(j, n):
                blocks[t, i, j] = blocks[t, j, i] = band[i - j, t * n + j]
    return blocks


@njit(**ENTRY)
def add_same(band: np.ndarray, block: np.ndarray, lag: int, first: int, last: int) -> None:
    """band += block (n, n) between each of the frames first…last − 1 (columns) and the frame `lag` later (rows).

    Of lag 0 only the lower triangle is read. Zeros, which are most, cost nothing.
    """
    n = block.shape[0]
    columns, rows = np.nonzero(block.T)  # along the band's columns, which lie together
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
    for i in range(n):
        for k in range(i):
            for j in range(k + 1):  # along rows, which lie together
                X[i, j] -= L[i, k] * X[k, j]
        for j in range(i):
            X[i, j] /= L[i, i]
        X[i, i] = 1.0 / L[i, i]


@njit(**ENTRY)
def selected_inverse(lower: np.ndarray, frames: int, n: int) -> np.ndarray:
    """Diagonal blocks (frames, n, n) of the inverse from the banded Cholesky factor lower (2 n + 1, frames · n)."""
    blocks = np.empty((frames, n, n))
    later = np.zeros((2 * n, n))  # L below the diagonal block of frame t
    diagonal = np.zeros((n, n))
    inverse = np.empty((n, n))
    W = np.zeros((2 * n, 2 * n))
    M = np.empty((2 * n, n))
    cross = np.empty((2 * n, n))  # W M
    own = np.empty((n, n))
    carried = np.empty((n, n))
    for t in range(frames - 1, -1, -1):
        start = t * n
        reach = min(2, frames - 1 - t) * n
        for j in range(n):
            for i in range(j, n):
                diagonal[i, j] = lower[i - j, start + j]
            for i in range(2 * n):
                inside = i < reach and n + i - j <= 2 * n
                later[i, j] = lower[n + i - j, start + j] if inside else 0.0
        _inverse_lower(diagonal, inverse)
        np.dot(later, inverse, M)
        np.dot(W, M, cross)
        np.dot(inverse.T, inverse, own)
        np.dot(M.T, cross, carried)
        block = blocks[t]
        for i in range(n):
            for j in range(n):
                block[i, j] = 0.5 * (own[i, j] + own[j, i] + carried[i, j] + carried[j, i])
        for i in range(n):
            for j in range(n):
                W[n + i, n + j] = W[i, j]
                W[n + i, j] = -cross[i, j]
                W[j, n + i] = -cross[i, j]
        for i in range(n):
            for j in range(n):
                W[i, j] = block[i, j]
    return blocks


@njit(**ENTRY)
def solve_blocks(lower: np.ndarray, frames: int, n: int, x: np.ndarray) -> None:
    """x of L Lᵀ x = b, in place, x (frames, n, k), from the banded Cholesky factor lower (2 n + 1, frames · n).

    Whole blocks are multiplied, so that the factor is read twice in all and not twice for each of the k columns.
    """
    diagonal = np.zeros((n, n))
    inverse = np.empty((frames, n, n))  # of the diagonal blocks
    left = np.zeros((n, 2 * n))  # L of frame t left of the diagonal block
    below = np.zeros((n, 2 * n))  # Lᵀ of the frames after t
    for t in range(frames):
        start = t * n
        for j in range(n):
            for i in range(j, n):
                diagonal[i, j] = lower[i - j, start + j]
        _inverse_lower(diagonal, inverse[t])
        reach = min(2, t)
        for j in range(2 * n - reach * n, 2 * n):
            for i in range(n):
                d = 2 * n + i - j
                left[i, j] = lower[d, start - 2 * n + j] if d <= 2 * n else 0.0
        if reach > 0:
            before = x[t - reach : t].reshape(reach * n, -1)
            x[t] -= np.dot(np.ascontiguousarray(left[:, 2 * n - reach * n :]), before)
        x[t] = np.dot(inverse[t], x[t])
    for t in range(frames - 1, -1, -1):
        start = t * n
        reach = min(2, frames - 1 - t)
        for j in range(n):
            for i in range(reach * n):
                d = n + i - j
                below[j, i] = lower[d, start + j] if d <= 2 * n else 0.0
        if reach > 0:
            after = x[t + 1 : t + 1 + reach].reshape(reach * n, -1)
            x[t] -= np.dot(np.ascontiguousarray(below[:, : reach * n]), after)
        x[t] = np.dot(inverse[t].T, x[t])
