"""Compiled loops over the blocks of a banded system: filling it, selected inversion, mean response; see `banded`."""

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


@njit(**INNER)
def _lower_blocks(flat: np.ndarray, t: int, n: int, own: np.ndarray, next_one: np.ndarray, second: np.ndarray) -> None:
    """Set the transposes (n, n) of L's blocks below frame t's diagonal and on it: L_tt, L_{t+1,t}, L_{t+2,t}.

    flat: the band's memory. With one row less between columns it is L itself, column by column: entry i, j of the
    columns of frame t lies 2 n · j + i behind its first.
    """
    start = t * n * (2 * n + 1)
    for j in range(n):
        column = start + 2 * n * j
        for i in range(n):
            own[j, i] = flat[column + i] if i >= j else 0.0
            next_one[j, i] = flat[column + n + i]
            second[j, i] = flat[column + 2 * n + i] if i <= j else 0.0


@njit(**ENTRY)
def selected_inverse(lower: np.ndarray, frames: int, n: int) -> np.ndarray:
    """Diagonal blocks (frames, n, n) of the inverse from the banded Cholesky factor lower (2 n + 1, frames · n)."""
    flat = lower.T.reshape(-1)
    blocks = np.empty((frames, n, n))
    ahead, next_one, second = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    diagonal = np.zeros((n, n))
    inverse = np.empty((n, n))
    W = np.zeros((2 * n, 2 * n))
    M = np.zeros((2 * n, n))
    cross = np.empty((2 * n, n))  # W M
    own = np.empty((n, n))
    carried = np.empty((n, n))
    for t in range(frames - 1, -1, -1):
        _lower_blocks(flat, t, n, ahead, next_one, second)
        for i in range(n):
            for j in range(i + 1):
                diagonal[i, j] = ahead[j, i]
        _inverse_lower(diagonal, inverse)
        np.dot(inverse.T, inverse, own)
        if t + 1 < frames:
            np.dot(next_one.T, inverse, M[:n])
        if t + 2 < frames:  # H is diagonal two frames ahead, so that L there is it times L_tt⁻ᵀ
            for i in range(n):
                for j in range(n):
                    M[n + i, j] = second[i, i] * ahead[i, i] * own[i, j]
        np.dot(W, M, cross)
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
def mean_diagonal(lower: np.ndarray, frames: int, n: int, D: np.ndarray) -> np.ndarray:
    """(n,): diagonal of 1/frames · Eᵀ H⁻¹ D E, E = one unit matrix below the other, D block diagonal (frames, n, n).

    With the factor that is the sum over rows of L⁻¹E times L⁻¹DE, so one sweep forward does, both side by side.
    """
    flat = lower.T.reshape(-1)
    own, next_one, second = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    inverse, diagonal = np.empty((n, n)), np.empty((n, n))
    x, product = np.empty((n, 2 * n)), np.empty((n, 2 * n))
    soon, later = np.zeros((n, 2 * n)), np.zeros((n, 2 * n))  # what is to be taken off in the next frame, and after it
    total = np.zeros(n)
    for t in range(frames):
        for i in range(n):
            for k in range(n):
                x[i, k] = -soon[i, k]
                x[i, n + k] = D[t, i, k] - soon[i, n + k]
            x[i, i] += 1.0
        _lower_blocks(flat, t, n, own, next_one, second)
        for i in range(n):
            for k in range(i + 1):
                diagonal[i, k] = own[k, i]
        _inverse_lower(diagonal, inverse)
        np.dot(inverse, x, product)
        for i in range(n):
            for k in range(n):
                total[k] += product[i, k] * product[i, n + k]
        if t + 1 < frames:
            np.dot(next_one.T, product, soon)
            soon += later
        if t + 2 < frames:
            np.dot(second.T, product, later)
    return total / frames
