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

from simspine.anatomy.tree import ENTRY_KERNEL_OPTIONS
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
    """Inverses (k, n, n) of positive definite matrices (k, n, n).

    Raises `LinAlgError` where one is not positive definite.
    """
    found = np.triu(blocks)
    n = found.shape[-1]
    for block in found:  # rows are Fortran's columns
        if any(_call_lapack(routine, (_LOWER_TRIANGLE, n, block, n)) for routine in ("dpotrf", "dpotri")):
            raise np.linalg.LinAlgError("a matrix is not positive definite")
    return found + np.triu(found, 1).transpose(0, 2, 1)


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


def blocks_of_band(band: np.ndarray, n: int, lag: int, lags: int = 1) -> np.ndarray:
    """View (points, n, lags · n) of a band: entry [t, j, i] is H[(t + lag) n + i, t n + j], where that is in the band.

    With one row less between its columns the band's memory is H itself, column by column.
    """
    (width, size), item = band.shape, band.itemsize
    shape, strides = (size // n, n, lags * n), (n * width * item, (width - 1) * item, item)
    return np.lib.stride_tricks.as_strided(band.T.reshape(-1)[lag * n :], shape, strides)


@njit(**ENTRY_KERNEL_OPTIONS)
def add_blocks(band: np.ndarray, blocks: np.ndarray, first: np.ndarray, weights: np.ndarray) -> None:
    """band += Bᵀ H B, H of symmetric blocks (frames, n, n) on the diagonal. first, weights: of these frames, see
    `path_basis.Basis`.
    """
    frames, n, _ = blocks.shape
    reach, begin = weights.shape[1], 0
    while begin < frames:
        point, end = first[begin], begin + 1
        while end < frames and first[end] == point:
            end += 1
        of_frames = blocks[begin:end].reshape(end - begin, n * n)
        for a in range(reach):
            shares = np.empty((reach - a, end - begin), band.dtype)
            for lag in range(reach - a):
                shares[lag] = weights[begin:end, a] * weights[begin:end, a + lag]
            sums = np.dot(shares, of_frames).reshape(reach - a, n, n)
            for lag in range(reach - a):
                for j in range(n):  # along the band's columns, which lie together
                    for i in range(0 if lag > 0 else j, n):
                        band[lag * n + i - j, (point + a) * n + j] += sums[lag, j, i]
        begin = end


@njit(**ENTRY_KERNEL_OPTIONS)
def add_form(band: np.ndarray, form: np.ndarray, block: np.ndarray) -> None:
    """band += block (n, n), symmetric, times form (lags + 1, points) between each control point and the ones after it.

    Zeros, which are most, cost nothing.
    """
    n = block.shape[0]
    columns, rows = np.nonzero(block.T)  # along the band's columns
    for lag in range(form.shape[0]):
        for point in range(form.shape[1] - lag):
            if form[lag, point] == 0.0:
                continue
            for k in range(rows.size):
                i, j = rows[k], columns[k]
                if lag > 0 or i >= j:
                    band[lag * n + i - j, point * n + j] += form[lag, point] * block[i, j]


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
        B, n = self.basis.values, self.n
        for lag in range(self.basis.weights.shape[1]):
            points = self.basis.points - lag
            self.band[lag * n, : points * n] += (B[:, :points].multiply(B[:, lag:]).T @ values).reshape(-1)

    def add_blocks(self, blocks: np.ndarray, frames: slice = slice(None)) -> None:
        """Add symmetric blocks (frames, n, n) of these frames."""
        weights, kind = self.basis.weights[frames], self.band.dtype
        add_blocks(self.band, blocks.astype(kind, copy=False), self.basis.first[frames], weights.astype(kind))

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
        (width, size), letter = self.lower.shape, _LAPACK_LETTER[self.lower.dtype.char]
        x = np.array(b.reshape(size, -1), self.lower.dtype, order="F")
        arguments = (_LOWER_TRIANGLE, size, width - 1, x.shape[1], self.lower, width, x, size)
        if info := _call_lapack(f"{letter}pbtrs", arguments):
            raise np.linalg.LinAlgError(f"LAPACK pbtrs failed ({info})")
        return x.astype(float).reshape(b.shape)

    @cached_property
    def _inverses(self) -> np.ndarray:
        """(points, n, n): inverses of the blocks on L's diagonal."""
        found, letter = np.triu(blocks_of_band(self.lower, self.n, 0)), _LAPACK_LETTER[self.lower.dtype.char]
        for block in found:  # rows are Fortran's columns
            _call_lapack(f"{letter}trtri", (_LOWER_TRIANGLE, _PLAIN, self.n, block, self.n))
        return found.astype(self._sweeps, copy=False).transpose(0, 2, 1)

    def _later(self, t: int) -> np.ndarray:
        """(lags · n, n): the blocks of L below the diagonal one of control point t."""
        n = self.n
        found = blocks_of_band(self.lower, n, 1, self.basis.lags)[t].astype(self._sweeps, copy=False)
        if self.basis.diagonal_last_lag:  # of its factor the last block is a triangle
            found = np.hstack([found[:, :-n], np.tril(found[:, -n:])])
        return found.T

    def mean_response(self, blocks: np.ndarray) -> np.ndarray:
        """(n,): x_i[t, i] averaged over the frames t, where x_i = B H⁻¹ Bᵀ b_i and b_i holds column i of each frame's
        block, symmetric.

        The diagonal of Eᵀ H⁻¹ D, with E and D the sums over frames of unit matrices and of blocks, is that of the
        product of L⁻¹ E and L⁻¹ D; so one sweep forward does, both side by side.
        """
        (points, n, _), lags = self._inverses.shape, self.basis.lags
        D = (self.basis.values.T @ blocks.reshape(len(blocks), -1)).reshape(points, n, n).astype(self._sweeps)
        E, total = np.eye(n, dtype=self._sweeps), np.zeros(n)
        pending = np.zeros(((lags + 1) * n, 2 * n), self._sweeps)  # to be taken off later
        for t, share in enumerate(self.basis.values.sum(0)):
            x = self._inverses[t] @ (np.hstack([E.dtype.type(share) * E, D[t]]) - pending[:n])
            total += (x[:, :n] * x[:, n:]).sum(0)
            pending[:-n] = pending[n:]
            pending[:-n] += self._later(t) @ x
        return total / self.basis.frames

    def covariances(self, frames: np.ndarray) -> np.ndarray:
        """(frames, n, n): of the coordinates in these frames, in their order.

        The recursion adds positive matrices, so that sweeps in single precision from a factor in double leave variances
        good to some four digits at 50 Hz.
        """
        return self._selected_inverse(self.basis.first[frames], self.basis.weights[frames])

    def acceleration_variances(self) -> np.ndarray:
        """(rows, n): of the coordinates' accelerations, per frame², see `Basis.accelerations`."""
        return np.einsum("tii->ti", self._selected_inverse(*self.basis.acceleration_rows))

    def _selected_inverse(self, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Covariances (frames, n, n) of some frames, from the inverse's blocks inside the band.

        first, weights: how these frames depend on control points, in their order. All that is added here is positive
        but for extrapolating over a control point, so that errors fade as the motion does.

        Backwards in time: with M the blocks of L below L_tt, times L_tt⁻¹, and W the inverse's block of the control
        points after t, (H⁻¹)_{later,t} = −W M and (H⁻¹)_tt = L_tt⁻ᵀ L_tt⁻¹ + Mᵀ W M.
        """
        (points, n, _), lags, reach = self._inverses.shape, self.basis.lags, weights.shape[1]
        shares = (weights[:, :, None] * weights[:, None, :]).astype(self._sweeps)
        ends = np.searchsorted(first, np.arange(points + 1))
        found = np.zeros((len(first), n, n))
        around = np.zeros(((lags + 1) * n, (lags + 1) * n), self._sweeps)  # the inverse's block of t and those after it
        for t in range(points - 1, first[0] - 1, -1):
            W, inverse = around[:-n, :-n], self._inverses[t]
            M = self._later(t) @ inverse
            cross = W @ M
            own = inverse.T @ inverse + M.T @ cross
            around = np.block([[0.5 * (own + own.T), -cross.T], [-cross, W]])
            own_frames = slice(ends[t], ends[t + 1])
            parts = around.reshape(lags + 1, n, lags + 1, n)[:reach, :, :reach]
            found[own_frames] = np.tensordot(shares[own_frames], parts, ((1, 2), (0, 2)))
        return found
