"""A symmetric positive definite system whose unknowns are coupled over a few control points of a path.

n unknowns in each control point (`path_basis`). Every control point is coupled to the next ones, so one Cholesky sweep
by LAPACK costs O(points · n³). The same factor gives the blocks of the inverse inside the band (Takahashi, Fagan & Chin
1973), hence marginal variances.
"""

import ctypes
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from numba import njit
from numba.extending import get_cython_function_address

from simspine.anatomy.tree import ENTRY_KERNEL_OPTIONS, INNER_KERNEL_OPTIONS
from simspine.estimation.path_basis import Basis

# Cholesky factors by LAPACK and BLAS. `scipy.linalg.lapack` holds the interpreter's lock while it computes, so windows
# solved in two threads would take turns. The same routines, reached through SciPy's Cython interface by ctypes, let it
# go.

_LAPACK_LETTER = {"d": "d", "f": "s"}  # LAPACK's letters for NumPy's types
_LOWER_TRIANGLE, _RIGHT = ctypes.c_char(b"L"), ctypes.c_char(b"R")
_TRANSPOSED, _PLAIN = ctypes.c_char(b"T"), ctypes.c_char(b"N")


@cache
def _fortran_routine(module: str, name: str):
    return ctypes.CFUNCTYPE(None)(get_cython_function_address(f"scipy.linalg.{module}", name))


def _call_lapack(name: str, arguments: Sequence[Any]) -> int:
    """Fortran passes everything by reference; returns LAPACK's `info`."""
    info = ctypes.c_int(0)
    _fortran_routine("cython_lapack", name)(*[_by_reference(value) for value in (*arguments, info)])
    return info.value


def _call_blas(name: str, arguments: Sequence[Any]) -> None:
    _fortran_routine("cython_blas", name)(*map(_by_reference, arguments))


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


def band_factorise(band: np.ndarray, n: int) -> bool:
    """L of a positive definite H = L Lᵀ, in place; False if it is not. band (width, size), Fortran order, lower,
    in double or single precision, of n unknowns in each control point.

    A band of whole blocks is factorised block by block, which takes three quarters of the operations of LAPACK's
    routine and larger matrices.
    """
    assert band.flags.f_contiguous
    width, size = band.shape
    if width % n == 0:
        return _factorise_blocks(band, n)
    routine = f"{_LAPACK_LETTER[band.dtype.char]}pbtrf"
    return _call_lapack(routine, (_LOWER_TRIANGLE, size, width - 1, band, width)) == 0


def _factorise_blocks(band: np.ndarray, n: int) -> bool:
    """Right-looking Cholesky: each diagonal block, the blocks below it, and what they take off all later ones.

    With one row less between its columns the band's memory is H itself, column by column.
    """
    width, size = band.shape
    letter, stride = _LAPACK_LETTER[band.dtype.char], width - 1
    one, minus_one = (np.full((), value, band.dtype) for value in (1.0, -1.0))
    for first in range(0, size, n):
        block, below = band[:, first:], band[n:, first:]
        if _call_lapack(f"{letter}potrf", (_LOWER_TRIANGLE, n, block, stride)) != 0:
            return False
        later = min(width, size - first) - n
        if later > 0:
            solved = (_RIGHT, _LOWER_TRIANGLE, _TRANSPOSED, _PLAIN, later, n, one, block, stride, below, stride)
            _call_blas(f"{letter}trsm", solved)
            next_block = band[:, first + n :]
            taken_off = (_LOWER_TRIANGLE, _PLAIN, later, n, minus_one, below, stride, one, next_block, stride)
            _call_blas(f"{letter}syrk", taken_off)
    return True


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


# Compiled loops over the blocks of a banded system: filling it, selected inversion, mean response. An assignment of one
# array to another takes Numba seconds to compile, as it may fail; loops over the elements do not.

ROWS_INVERTED_BY_LOOP = 31  # of a triangular matrix, inverted by a loop; more are faster by products of matrices


@njit(**ENTRY_KERNEL_OPTIONS)
def add_blocks(band: np.ndarray, blocks: np.ndarray, first: np.ndarray, weights: np.ndarray) -> None:
    """band += Bᵀ H B, H of blocks (frames, n or more, n) on the diagonal, of which the upper triangles are read.

    first, weights: how these frames depend on control points, see `path_basis.Basis`.
    """
    frames, size, n = blocks.shape
    reach = weights.shape[1]
    flat = blocks.reshape(frames, size * n)
    begin = 0
    while begin < frames:
        point, end = first[begin], begin + 1
        while end < frames and first[end] == point:
            end += 1
        pairs = np.empty((reach * (reach + 1) // 2, end - begin), band.dtype)
        row = 0
        for a in range(reach):
            for b in range(a, reach):
                for t in range(begin, end):
                    pairs[row, t - begin] = weights[t, a] * weights[t, b]
                row += 1
        sums = np.dot(pairs, flat[begin:end]).reshape(len(pairs), size, n)
        row = 0
        for a in range(reach):
            for b in range(a, reach):
                _add_symmetric(band, sums[row], point + a, b - a)
                row += 1
        begin = end


@njit(inline="always")
def _add_symmetric(band: np.ndarray, upper: np.ndarray, point: int, lag: int) -> None:
    """band += a symmetric block, given by its upper triangle, between a control point and the one `lag` later."""
    n = upper.shape[1]
    for j in range(n):
        column = point * n + j
        if lag > 0:
            for i in range(j):
                band[lag * n + i - j, column] += upper[i, j]
        for i in range(j, n):
            band[lag * n + i - j, column] += upper[j, i]


@njit(**ENTRY_KERNEL_OPTIONS)
def add_form(band: np.ndarray, form: np.ndarray, block: np.ndarray) -> None:
    """band += block (n, n), symmetric, times form (lags + 1, points) between each control point and the ones after it.

    Zeros, which are most, cost nothing.
    """
    n = block.shape[0]
    columns, rows = np.nonzero(block.T)  # along the band's columns, which lie together
    for lag in range(form.shape[0]):
        for point in range(form.shape[1] - lag):
            if form[lag, point] == 0.0:
                continue
            for k in range(rows.size):
                i, j = rows[k], columns[k]
                if lag > 0 or i >= j:
                    band[lag * n + i - j, point * n + j] += form[lag, point] * block[i, j]


@njit(inline="always")
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
            after = np.dot(X[a:b, a:b].copy(), before)
            for i in range(a, b):
                for j in range(a):
                    X[i, j] = -after[i - a, j]


@njit(**ENTRY_KERNEL_OPTIONS)
def diagonal_inverses(lower: np.ndarray, found: np.ndarray) -> None:
    """found (points, n, n), in double or single precision = inverses of the blocks on the diagonal of lower (width,
    points · n).

    With one row less between its columns the band's memory is L itself, column by column: entry i, j of the columns of
    a control point lies (width − 1) · j + i behind its first.
    """
    flat, width = lower.T.reshape(-1), lower.shape[0]
    points, n = found.shape[:2]
    own = np.empty((n, n), found.dtype)
    for t in range(points):
        for j in range(n):
            column = t * n * width + (width - 1) * j
            for i in range(j, n):
                own[i, j] = flat[column + i]
        _inverse_lower(own, found[t])


@njit(**INNER_KERNEL_OPTIONS)
def _later_blocks(lower: np.ndarray, t: int, later: np.ndarray) -> None:
    """later (lags · n, n) = the blocks of L below the diagonal one of control point t."""
    width, n = lower.shape[0], later.shape[1]
    for j in range(n):
        last = min(later.shape[0], width - n + j)
        for i in range(last):
            later[i, j] = lower[n + i - j, t * n + j]
        later[last:, j] = 0.0


@njit(**ENTRY_KERNEL_OPTIONS)
def selected_inverse(
    lower: np.ndarray, inverses: np.ndarray, lags: int, first: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Covariances (frames, n, n) of some frames, from the inverse's blocks inside the band.

    lower (width, points · n): the banded Cholesky factor. inverses: its `diagonal_inverses`, whose precision this
    has: all that is added here is positive but for extrapolating over a control point, so that errors fade as the
    motion does. first, weights: how these frames depend on control points, in their order.

    Backwards in time: with M the blocks of L below L_tt, times L_tt⁻¹, and W the inverse's block of the control points
    after t, (H⁻¹)_{later,t} = −W M and (H⁻¹)_tt = L_tt⁻ᵀ L_tt⁻¹ + Mᵀ W M.
    """
    kind, (points, n) = inverses.dtype, inverses.shape[:2]
    frames, reach = weights.shape
    found = np.zeros((frames, n, n))
    W = np.zeros((lags * n, lags * n), kind)
    around = np.zeros(((lags + 1) * n, (lags + 1) * n), kind)  # the inverse's block of t and those after it
    later, M, cross = np.zeros((lags * n, n), kind), np.zeros((lags * n, n), kind), np.zeros((lags * n, n), kind)
    own, carried = np.empty((n, n), kind), np.empty((n, n), kind)
    frame = frames - 1
    for t in range(points - 1, first[0] - 1, -1):
        inverse = inverses[t]
        np.dot(inverse.T, inverse, own)
        _later_blocks(lower, t, later)
        np.dot(later, inverse, M)
        np.dot(W, M, cross)
        np.dot(M.T, cross, carried)
        for i in range(lags * n):
            for j in range(lags * n):
                around[n + i, n + j] = W[i, j]
            for j in range(n):
                around[n + i, j] = around[j, n + i] = -cross[i, j]
        for i in range(n):
            for j in range(n):
                around[i, j] = 0.5 * (own[i, j] + own[j, i] + carried[i, j] + carried[j, i])
        while frame >= 0 and first[frame] == t:
            for a in range(reach):
                for b in range(reach):
                    share = weights[frame, a] * weights[frame, b]
                    if share != 0.0:
                        for i in range(n):
                            for j in range(i + 1):
                                found[frame, i, j] += share * around[a * n + i, b * n + j]
            for i in range(n):
                for j in range(i):
                    found[frame, j, i] = found[frame, i, j]
            frame -= 1
        for i in range(lags * n):
            for j in range(lags * n):
                W[i, j] = around[i, j]
    return found


@njit(**ENTRY_KERNEL_OPTIONS)
def mean_diagonal(lower: np.ndarray, inverses: np.ndarray, lags: int, D: np.ndarray, share: np.ndarray) -> np.ndarray:
    """(n,): diagonal of Eᵀ H⁻¹ D, E = unit matrices times share (points,), one below the other, D (points, n or more,
    n) blocks below each other, of which the upper triangles are read.

    With the factor that is the sum over rows of L⁻¹E times L⁻¹D, so one sweep forward does, both side by side.
    lower, inverses: as of `selected_inverse`.
    """
    kind, (points, n) = inverses.dtype, inverses.shape[:2]
    later = np.zeros((lags * n, n), kind)
    x, product = np.empty((n, 2 * n), kind), np.empty((n, 2 * n), kind)
    pending, change = np.zeros((lags * n, 2 * n), kind), np.zeros((lags * n, 2 * n), kind)  # to be taken off later
    total = np.zeros(n)
    for t in range(points):
        for i in range(n):
            for k in range(n):
                x[i, k] = -pending[i, k]
                x[i, n + k] = (D[t, i, k] if i <= k else D[t, k, i]) - pending[i, n + k]
            x[i, i] += share[t]
        np.dot(inverses[t], x, product)
        for i in range(n):
            for k in range(n):
                total[k] += product[i, k] * product[i, n + k]
        _later_blocks(lower, t, later)
        np.dot(later, product, change)
        for i in range((lags - 1) * n):
            for k in range(2 * n):
                change[i, k] += pending[n + i, k]
        pending, change = change, pending
    return total


FloatType = type[float] | type[np.float32]


class BandedSystem:
    """H x = b over control points of a basis; band[d, i] = H[i + d, i], lower triangle. dtype: double or single."""

    def __init__(self, basis: Basis, n: int, dtype: FloatType = float):
        self.basis, self.n = basis, n
        # Fortran order, as LAPACK wants it: a column of H is contiguous.
        self.band: np.ndarray = np.zeros((basis.band_width(n), basis.points * n), dtype, order="F")

    def clear(self) -> None:
        self.band[:] = 0.0

    def add_diagonal(self, values: np.ndarray) -> None:
        """Add values (frames, n): what each coordinate is held by in each frame."""
        for lag, squares in enumerate(self.basis.lagged_squares):
            points = self.basis.points - lag
            self.band[lag * self.n, : points * self.n] += (squares @ values)[:points].reshape(-1)

    def add_blocks(self, blocks: np.ndarray, frames: slice = slice(None)) -> None:
        """Add blocks (frames, n or more, n) of these frames; their upper triangles count."""
        kind = self.band.dtype
        weights = self.basis.weights[frames].astype(kind)
        add_blocks(self.band, blocks.astype(kind, copy=False), self.basis.first[frames], weights)

    def add_form(self, form: np.ndarray, block: np.ndarray) -> None:
        """Add block (n, n), symmetric, times a form of the basis, (lags + 1, points)."""
        add_form(self.band, form, np.ascontiguousarray(block, float))

    def factorise(self, damping: np.ndarray | None = None, sweeps: FloatType = float) -> "Factor | None":
        """Cholesky factor of H + diag(damping (points, n)), or None if that is not positive definite. sweeps: see
        `Factor`.

        It takes the place of H, which must be cleared and filled again: a band is far larger than a processor's cache,
        and a copy would cost a fifth of the factorisation, more with two threads.
        """
        if damping is not None:
            self.band[0] += damping.reshape(-1)
        return Factor(self.band, self.basis, self.n, sweeps) if band_factorise(self.band, self.n) else None


class Factor:
    """L of H = L Lᵀ, in the band's layout. sweeps: the precision of what is computed of the inverse."""

    def __init__(self, lower: np.ndarray, basis: Basis, n: int, sweeps: FloatType = float):
        self.lower, self.basis, self.n, self._sweeps = lower, basis, n, sweeps

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b; b (points, n) or (points, n, k)."""
        x = np.array(b.reshape(self.basis.points * self.n, -1), self.lower.dtype, order="F")
        band_solve(self.lower, x)
        return x.astype(float).reshape(b.shape)

    @cached_property
    def _inverses(self) -> np.ndarray:
        found = np.empty((self.basis.points, self.n, self.n), self._sweeps)
        diagonal_inverses(self.lower, found)
        return found

    def mean_response(self, blocks: np.ndarray) -> np.ndarray:
        """(n,): x_i[t, i] averaged over the frames t, where x_i = B H⁻¹ Bᵀ b_i and b_i holds column i of each frame's
        block.

        blocks: (frames, n or more, n), symmetric; their upper triangles count.
        """
        frames, points = self.basis.frames, self.basis.points
        of_points = (self.basis.values.T @ blocks.reshape(frames, -1)).reshape(points, *blocks.shape[1:])
        share = self.basis.share_of_points
        return mean_diagonal(self.lower, self._inverses, self.basis.lags, of_points, share) / frames

    def covariances(self, frames: np.ndarray) -> np.ndarray:
        """(frames, n, n): of the coordinates in these frames, in their order.

        The recursion adds positive matrices, so that sweeps in single precision from a factor in double leave variances
        good to some four digits at 50 Hz.
        """
        first, weights = self.basis.first[frames], self.basis.weights[frames]
        return selected_inverse(self.lower, self._inverses, self.basis.lags, first, weights)

    def acceleration_variances(self) -> np.ndarray:
        """(rows, n): of the coordinates' accelerations, per frame², see `Basis.accelerations`."""
        first, weights = self.basis.acceleration_rows
        covariances = selected_inverse(self.lower, self._inverses, self.basis.lags, first, weights)
        return np.einsum("tii->ti", covariances)
