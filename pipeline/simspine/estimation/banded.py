"""A symmetric positive definite system whose unknowns are coupled over two frames: block pentadiagonal in time.

n unknowns per frame. Blocks on the diagonal and one frame off it may be full; those two frames off it are diagonal, as
acceleration terms make them, so the band reaches 2 n below the diagonal and one Cholesky sweep by LAPACK costs
O(frames · n³). The same factor gives the blocks of the inverse inside the band (Takahashi, Fagan & Chin 1973), hence
marginal variances.
"""

import ctypes
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from numba import njit
from numba.extending import get_cython_function_address

from simspine.anatomy.tree import ENTRY_KERNEL_OPTIONS, INNER_KERNEL_OPTIONS

# Cholesky factors by LAPACK. `scipy.linalg.lapack` holds the interpreter's lock while it computes, so windows solved in
# two threads would take turns. The same routines, reached through SciPy's Cython interface by ctypes, let it go.

_LAPACK_LETTER = {"d": "d", "f": "s"}  # LAPACK's letters for NumPy's types
_LOWER_TRIANGLE = ctypes.c_char(b"L")


@cache
def _lapack_routine(name: str):
    return ctypes.CFUNCTYPE(None)(get_cython_function_address("scipy.linalg.cython_lapack", name))


def _call_lapack(name: str, arguments: Sequence[Any]) -> int:
    """Fortran passes everything by reference; returns LAPACK's `info`."""
    info = ctypes.c_int(0)
    _lapack_routine(name)(*[_by_reference(value) for value in (*arguments, info)])
    return info.value


def _by_reference(value):
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.byref(ctypes.c_int(value) if isinstance(value, int) else value)


def inverses_of_blocks(blocks: np.ndarray) -> np.ndarray:
    """Inverses (k, n, n) of positive definite matrices (k, n, n), of which the upper triangles are read.

    Raises `LinAlgError` where one is not positive definite.
    """
    found = np.triu(blocks)
    n = found.shape[-1]
    for block in found:  # rows are Fortran's columns
        if any(_call_lapack(routine, (_LOWER_TRIANGLE, n, block, n)) for routine in ("dpotrf", "dpotri")):
            raise np.linalg.LinAlgError("a matrix is not positive definite")
    return symmetric_from_upper(found)


def symmetric_from_upper(upper: np.ndarray) -> np.ndarray:
    """Symmetric matrices (k, n, n) from their upper triangles, above zeros."""
    full = upper + upper.transpose(0, 2, 1)
    np.einsum("tii->ti", full)[:] *= 0.5
    return full


def band_factorise(band: np.ndarray) -> bool:
    """L of a positive definite H = L Lᵀ, in place; False if it is not. band (width + 1, size), Fortran order, lower,
    in double or single precision."""
    assert band.flags.f_contiguous
    width, size = band.shape
    routine = f"{_LAPACK_LETTER[band.dtype.char]}pbtrf"
    return _call_lapack(routine, (_LOWER_TRIANGLE, size, width - 1, band, width)) == 0


def band_solve(lower: np.ndarray, b: np.ndarray) -> None:
    """x of L Lᵀ x = b, in place. lower as `band_factorise` leaves it; b (size, k), Fortran order."""
    assert lower.flags.f_contiguous
    assert b.flags.f_contiguous
    assert b.dtype == lower.dtype
    width, size = lower.shape
    routine = f"{_LAPACK_LETTER[lower.dtype.char]}pbtrs"
    info = _call_lapack(routine, (_LOWER_TRIANGLE, size, width - 1, b.shape[1], lower, width, b, size))
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK pbtrs failed ({info})")


# Compiled loops over the blocks of a banded system: filling it, selected inversion, mean response.

ROWS_INVERTED_BY_LOOP = 31  # of a triangular matrix, inverted by a loop; more are faster by products of matrices


@njit(**ENTRY_KERNEL_OPTIONS)
def add_blocks(band: np.ndarray, blocks: np.ndarray, first: int) -> None:
    """band += blocks (frames, n or more, n) on the diagonal, from frame `first` on; their upper triangles are read."""
    n = blocks.shape[2]
    for t in range(blocks.shape[0]):
        for j in range(n):
            column = (first + t) * n + j
            for i in range(j, n):
                band[i - j, column] += blocks[t, j, i]


@njit(**ENTRY_KERNEL_OPTIONS)
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


@njit(**INNER_KERNEL_OPTIONS)
def _inverse_lower(L: np.ndarray, X: np.ndarray) -> None:
    """X = L⁻¹ of a lower triangular matrix, some rows after the other: X_bb = L_bb⁻¹, X_ba = −X_bb L_ba X_aa."""
    n = L.shape[0]
    X[:] = 0.0
    for a in range(0, n, ROWS_INVERTED_BY_LOOP):
        b = min(a + ROWS_INVERTED_BY_LOOP, n)
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


@njit(**ENTRY_KERNEL_OPTIONS)
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


@njit(**INNER_KERNEL_OPTIONS)
def _next_frame_blocks(flat: np.ndarray, t: int, n: int, next_one: np.ndarray, second: np.ndarray) -> None:
    """Set next_one (n, n), the transpose of L_{t+1,t}, and second (n,), the diagonal of H two frames after frame t's:
    L_{t+2,t} is it times L_tt⁻ᵀ. flat: the band's memory, see `diagonal_inverses`."""
    for j in range(n):
        column = t * n * (2 * n + 1) + 2 * n * j
        for i in range(n):
            next_one[j, i] = flat[column + n + i]
        second[j] = flat[column + 2 * n + j] * flat[column + j]


@njit(**ENTRY_KERNEL_OPTIONS)
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
            _next_frame_blocks(flat, t, n, next_one, second)
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


@njit(**ENTRY_KERNEL_OPTIONS)
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
            _next_frame_blocks(flat, t, n, next_one, second)
            np.dot(next_one.T, product, soon)
            soon += after
            np.dot(inverses[t].T, product, later)
            for i in range(n):
                for k in range(2 * n):
                    after[i, k] = second[i] * later[i, k]
    return total / frames


FloatType = type[float] | type[np.float32]


class BandedSystem:
    """H x = b with H of (frames · n)²; band[d, i] = H[i + d, i], lower triangle, d = 0…2 n. dtype: double or single."""

    def __init__(self, frames: int, n: int, dtype: FloatType = float):
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

    def factorise(self, damping: np.ndarray | None = None, sweeps: FloatType = float) -> "Factor | None":
        """Cholesky factor of H + diag(damping (frames, n)), or None if that is not positive definite. sweeps: see
        `Factor`.

        It takes the place of H, which must be cleared and filled again: a band is far larger than a processor's cache,
        and a copy would cost a fifth of the factorisation, more with two threads.
        """
        if damping is not None:
            self.band[0] += damping.reshape(-1)
        return Factor(self.band, self.frames, self.n, sweeps) if band_factorise(self.band) else None


class Factor:
    """L of H = L Lᵀ, in the band's layout. sweeps: the precision of what is computed of the inverse."""

    def __init__(self, lower: np.ndarray, frames: int, n: int, sweeps: FloatType = float):
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
