"""Compiled loops over the blocks of a banded system: filling it, selected inversion, mean response; see `banded`."""

import numpy as np
from numba import njit

from simspine.ik.body_columns import ENTRY, INNER

ROWS = 31  # of a triangular matrix, inverted by a loop; more are faster by products of matrices


@njit(**ENTRY)
def add_blocks(band: np.ndarray, blocks: np.ndarray, first: int) -> None:
    """band += blocks (frames, n or more, n) on the diagonal, from frame `first` on; their upper triangles are read."""
    n = blocks.shape[2]
    for t in range(blocks.shape[0]):
        for j in range(n):
            column = (first + t) * n + j
            for i in range(j, n):
                band[i - j, column] += blocks[t, j, i]


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
    """X = L⁻¹ of a lower triangular matrix, some rows after the other: X_bb = L_bb⁻¹, X_ba = −X_bb L_ba X_aa."""
    n = L.shape[0]
    X[:] = 0.0
    for a in range(0, n, ROWS):
        b = min(a + ROWS, n)
        for i in range(a, b):
            for k in range(a, i):
                for j in range(a, k + 1):  # along rows, which lie together
                    X[i, j] -= L[i, k] * X[k, j]
            for j in range(a, i):
                X[i, j] /= L[i, i]
            X[i, i] = 1.0 / L[i, i]
        if a > 0:
            before = np.dot(L[a:b, :a].copy(), X[:a, :a].copy())
            X[a:b, :a] = -np.dot(X[a:b, a:b].copy(), before)


@njit(**ENTRY)
def diagonal_inverses(lower: np.ndarray, found: np.ndarray) -> None:
    """found (frames, n, n), in double or single precision = inverses of the blocks on the diagonal of lower (2 n + 1,
    frames · n).

    With one row less between its columns the band's memory is L itself, column by column: entry i, j of the columns of
    a frame lies 2 n · j + i behind its first.
    """
    flat = lower.T.reshape(-1)
    frames, n = found.shape[:2]
    own, inverse = np.empty((n, n), found.dtype), np.empty((n, n), found.dtype)
    for t in range(frames):
        for j in range(n):
            column = t * n * (2 * n + 1) + 2 * n * j
            for i in range(j, n):
                own[i, j] = flat[column + i]
        _inverse_lower(own, inverse)
        found[t] = inverse


@njit(**INNER)
def _beside(flat: np.ndarray, t: int, n: int, next_one: np.ndarray, second: np.ndarray) -> None:
    """Set next_one (n, n), the transpose of L_{t+1,t}, and second (n,), the diagonal of H two frames beside frame t's:
    L_{t+2,t} is it times L_tt⁻ᵀ. flat: the band's memory, see `diagonal_inverses`."""
    for j in range(n):
        column = t * n * (2 * n + 1) + 2 * n * j
        for i in range(n):
            next_one[j, i] = flat[column + n + i]
        second[j] = flat[column + 2 * n + j] * flat[column + j]


@njit(**ENTRY)
def selected_inverse(lower: np.ndarray, inverses: np.ndarray, begin: int) -> np.ndarray:
    """Blocks (frames − begin, n, n) on the diagonal of the inverse, of the frames from `begin` on.

    lower (2 n + 1, frames · n): the banded Cholesky factor. inverses: its `diagonal_inverses`, whose precision this
    has: all that is added here is positive but for extrapolating over a frame, so that errors fade as the motion does,
    and grow with the frame rate.
    """
    flat = lower.T.reshape(-1)
    kind, (frames, n) = inverses.dtype, inverses.shape[:2]
    blocks = np.empty((frames - begin, n, n))
    next_one, second = np.empty((n, n), kind), np.empty(n, kind)
    W, M = np.zeros((2 * n, 2 * n), kind), np.zeros((2 * n, n), kind)
    cross = np.empty((2 * n, n), kind)  # W M
    own, carried = np.empty((n, n), kind), np.empty((n, n), kind)
    for t in range(frames - 1, begin - 1, -1):
        inverse = inverses[t]
        np.dot(inverse.T, inverse, own)
        if t + 1 < frames:
            _beside(flat, t, n, next_one, second)
            np.dot(next_one.T, inverse, M[:n])
        if t + 2 < frames:
            for i in range(n):
                for j in range(n):
                    M[n + i, j] = second[i] * own[i, j]
        np.dot(W, M, cross)
        np.dot(M.T, cross, carried)
        block = blocks[t - begin]
        W[n:, n:] = W[:n, :n]
        for i in range(n):
            for j in range(n):
                W[i, j] = block[i, j] = 0.5 * (own[i, j] + own[j, i] + carried[i, j] + carried[j, i])
                W[n + i, j] = -cross[i, j]
                W[j, n + i] = -cross[i, j]
    return blocks


@njit(**ENTRY)
def mean_diagonal(lower: np.ndarray, inverses: np.ndarray, D: np.ndarray) -> np.ndarray:
    """(n,): diagonal of 1/frames · Eᵀ H⁻¹ D E, E = one unit matrix below the other, D block diagonal (frames, n or
    more, n), of which the upper triangles are read.

    With the factor that is the sum over rows of L⁻¹E times L⁻¹DE, so one sweep forward does, both side by side.
    lower, inverses: as of `selected_inverse`.
    """
    flat = lower.T.reshape(-1)
    kind, (frames, n) = inverses.dtype, inverses.shape[:2]
    next_one, second = np.empty((n, n), kind), np.empty(n, kind)
    x, product, later = np.empty((n, 2 * n), kind), np.empty((n, 2 * n), kind), np.empty((n, 2 * n), kind)
    soon, after = np.zeros((n, 2 * n), kind), np.zeros((n, 2 * n), kind)  # to be taken off next, and then
    total = np.zeros(n)
    for t in range(frames):
        for i in range(n):
            for k in range(n):
                x[i, k] = -soon[i, k]
                x[i, n + k] = (D[t, i, k] if i <= k else D[t, k, i]) - soon[i, n + k]
            x[i, i] += 1.0
        np.dot(inverses[t], x, product)
        for i in range(n):
            for k in range(n):
                total[k] += product[i, k] * product[i, n + k]
        if t + 1 < frames:
            _beside(flat, t, n, next_one, second)
            np.dot(next_one.T, product, soon)
            soon += after
            np.dot(inverses[t].T, product, later)
            for i in range(n):
                for k in range(2 * n):
                    after[i, k] = second[i] * later[i, k]
    return total / frames
