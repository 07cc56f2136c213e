"""A symmetric positive definite, banded system for the control points of a path.

Each control point (`path_basis`) has n unknowns and is coupled to the next few only, so a Cholesky factorisation by
LAPACK costs O(points · n³). The same factor gives the blocks of the inverse inside the band (Takahashi, Fagan & Chin
1973), hence marginal variances.
"""

import ctypes
from collections.abc import Iterator, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from simspine.core.kernels import ENTRY_KERNEL_OPTIONS, njit
from simspine.estimation.path_basis import Basis

# Cholesky factors by LAPACK and BLAS. `scipy.linalg.lapack` holds the interpreter's lock while it computes, so windows
# solved in two threads would take turns. Called through SciPy's Cython interface by ctypes, the same routines release
# the lock.

MATRICES_PER_BATCH = 16  # small matrices that are factorised together stay in the processor's cache
_LAPACK_LETTER = {"d": "d", "f": "s"}  # LAPACK's letters for NumPy's types
_LOWER_TRIANGLE, _RIGHT = ctypes.c_char(b"L"), ctypes.c_char(b"R")
_TRANSPOSED, _PLAIN = ctypes.c_char(b"T"), ctypes.c_char(b"N")
_SIDE_BELOW = tuple(map(ctypes.byref, (_RIGHT, _LOWER_TRIANGLE, _TRANSPOSED, _PLAIN)))
_SIDE_LATER = tuple(map(ctypes.byref, (_LOWER_TRIANGLE, _PLAIN)))
_BLOCK_ROUTINES = (("cython_lapack", "potrf"), ("cython_blas", "trsm"), ("cython_blas", "syrk"))


@cache
def _fortran_routine(module: str, name: str):
    from numba.extending import get_cython_function_address

    return ctypes.CFUNCTYPE(None)(get_cython_function_address(f"scipy.linalg.{module}", name))


def _call_lapack(name: str, arguments: Sequence[Any]) -> int:
    """Call a routine with all arguments by reference, as Fortran expects; returns LAPACK's `info`."""
    info = ctypes.c_int(0)
    _fortran_routine("cython_lapack", name)(*[_by_reference(value) for value in (*arguments, info)])
    return info.value


def _by_reference(value):
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.byref(ctypes.c_int(value) if isinstance(value, int) else value)


def inverses_of_blocks(blocks: np.ndarray) -> np.ndarray:
    """Inverses (k, n, n) of positive definite matrices (k, n, n).

    Raises `LinAlgError` where one is not positive definite.
    """
    upper = np.triu(blocks)
    n = upper.shape[-1]
    for block in upper:  # NumPy's rows are Fortran's columns, so this is Fortran's lower triangle
        if any(_call_lapack(routine, (_LOWER_TRIANGLE, n, block, n)) for routine in ("dpotrf", "dpotri")):
            raise np.linalg.LinAlgError("a matrix is not positive definite")
    return upper + np.triu(upper, 1).transpose(0, 2, 1)


def band_factorise(band: np.ndarray, n: int) -> bool:
    """Replace a positive definite H by its Cholesky factor L, H = L Lᵀ; False if H is not positive definite.

    band: (width, size) lower triangle of H in Fortran order, double or single precision. n: unknowns in each control
    point. A band of whole blocks is factorised block by block: three quarters of the operations of LAPACK's banded
    routine, and on larger matrices.
    """
    assert band.flags.f_contiguous
    width, size = band.shape
    if width % n == 0:
        return _factorise_blocks(band, n)
    routine = f"{_LAPACK_LETTER[band.dtype.char]}pbtrf"
    return _call_lapack(routine, (_LOWER_TRIANGLE, size, width - 1, band, width)) == 0


def _factorise_blocks(band: np.ndarray, n: int) -> bool:
    """Right-looking Cholesky: factorise each diagonal block, solve the blocks below it, and update all later blocks.

    Read with a column stride of width − 1 instead of width, the band's memory is H itself, column by column.
    """
    (width, size), letter, start = band.shape, _LAPACK_LETTER[band.dtype.char], band.ctypes.data
    factorise, solve, update = (_fortran_routine(module, letter + name) for module, name in _BLOCK_ROUTINES)
    later, failed, unknowns = ctypes.c_int(0), ctypes.c_int(0), _by_reference(n)
    rows = ctypes.byref(later)
    one, minus_one = map(ctypes.byref, map(np.ctypeslib.as_ctypes_type(band.dtype), (1.0, -1.0)))
    stride = ctypes.byref(ctypes.c_int(width - 1))  # made once, not for each block
    for first in range(0, size, n):
        block, below, next_block = (  # addresses: slices of arrays would cost more time
            ctypes.c_void_p(start + place * band.itemsize)
            for place in (first * width, first * width + n, (first + n) * width)
        )
        factorise(_SIDE_LATER[0], unknowns, block, stride, ctypes.byref(failed))
        if failed.value:
            return False
        later.value = min(width, size - first) - n
        if later.value > 0:
            solve(*_SIDE_BELOW, rows, unknowns, one, block, stride, below, stride)
            update(*_SIDE_LATER, rows, unknowns, minus_one, below, stride, one, next_block, stride)
    return True


def blocks_of_band(band: np.ndarray, n: int, lag: int, lags: int = 1) -> np.ndarray:
    """View (points, n, lags · n) of a band: entry [t, j, i] is H[(t + lag) n + i, t n + j], where that is in the band.

    Read with a column stride of width − 1 instead of width, the band's memory is H itself, column by column.
    """
    (width, size), item = band.shape, band.itemsize
    shape, strides = (size // n, n, lags * n), (n * width * item, (width - 1) * item, item)
    return np.lib.stride_tricks.as_strided(band.T.reshape(-1)[lag * n :], shape, strides)


@njit(**ENTRY_KERNEL_OPTIONS)
def add_blocks(band: np.ndarray, blocks: np.ndarray, first: int, shares: np.ndarray) -> None:
    """Add the symmetric block k (n, n), times shares[k, a, b], between the control points first + k + a and … + b.

    blocks: (blocks, n, n). shares: (blocks, reach, reach), symmetric. Each part of the band is visited once."""
    count, n, _ = blocks.shape
    reach = shares.shape[1]
    for point in range(count + reach - 1):
        for j in range(n):
            for lag in range(reach):
                low = 0 if lag > 0 else j  # of the diagonal blocks, the lower triangle
                entries = band[lag * n + low - j : (lag + 1) * n - j, (first + point) * n + j]
                for a in range(max(0, point - count + 1), min(reach - lag, point + 1)):
                    share, column = shares[point - a, a, a + lag], blocks[point - a, j, low:]
                    for i in range(entries.size):
                        entries[i] += share * column[i]


@njit(**ENTRY_KERNEL_OPTIONS)
def add_forms(band: np.ndarray, forms: np.ndarray, blocks: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    """Add Σ_k forms[k, lag, t] · blocks[k] between the control points t and t + lag.

    forms: (k, lags + 1, points). blocks: (k, n, n), symmetric. rows, columns: of the entries to add; most are zero
    in every block. Each part of the band is visited once."""
    n = blocks.shape[1]
    for point in range(forms.shape[2]):
        for entry in range(rows.size):
            i, j = rows[entry], columns[entry]
            for lag in range(0 if i >= j else 1, min(forms.shape[1], forms.shape[2] - point)):
                value = 0.0
                for k in range(forms.shape[0]):
                    value += forms[k, lag, point] * blocks[k, i, j]
                if value != 0.0:  # in the last lag there may be no row for it
                    band[lag * n + i - j, point * n + j] += value


FloatType = type[float] | type[np.float32]


class BandedSystem:
    """H of H x = b over a basis's control points; band[d, i] = H[i + d, i], lower triangle. dtype: double or single."""

    def __init__(self, basis: Basis, n: int, dtype: FloatType = float):
        self.basis, self.n = basis, n
        width = basis.lags * n + 1 if basis.diagonal_last_lag else (basis.lags + 1) * n
        # Fortran order, as LAPACK wants it: a column of H is contiguous.
        self.band: np.ndarray = np.zeros((width, basis.points * n), dtype, order="F")

    def clear(self) -> None:
        self.band[:] = 0.0

    def add_diagonal(self, values: np.ndarray) -> None:
        """Add diagonal entries of H, values (frames, n): one for each coordinate in each frame."""
        B, n, columns = self.basis.values, self.n, np.flatnonzero(values.any(0))
        for lag in range(self.basis.weights.shape[1] if columns.size else 0):
            points = self.basis.points - lag
            entries = self.band[lag * n, : points * n].reshape(points, n)
            entries[:, columns] += B[:, :points].multiply(B[:, lag:]).T @ values[:, columns]

    def add_blocks(self, blocks: np.ndarray, first: int = 0) -> None:
        """Add symmetric blocks (intervals, n, n) of consecutive intervals between knots, from the interval `first`.

        A block is the sum over the interval's frames."""
        dtype = self.band.dtype
        shares = self.basis.interval_shares[first : first + len(blocks)].astype(dtype)
        add_blocks(self.band, blocks.astype(dtype, copy=False), first, shares)

    def add_forms(self, forms: Sequence[np.ndarray], blocks: Sequence[np.ndarray]) -> None:
        """Add symmetric blocks (n, n), each times a quadratic form of the basis, (lags + 1, points)."""
        stacked = np.stack(blocks)
        columns, rows = np.nonzero(np.abs(stacked).sum(0))  # along the band's columns
        add_forms(self.band, np.stack(forms), stacked, rows, columns)

    def factorise(self, damping: np.ndarray | None = None, sweeps: FloatType = float) -> "Factor | None":
        """Cholesky factor of H + diag(damping (points, n)), or None if that is not positive definite.

        sweeps: see `Factor`. The factor overwrites H, which must be cleared and filled again: a band is far larger than
        a processor's cache. Copying it would cost a fifth of the factorisation's time, more with two threads.
        """
        if damping is not None:
            self.band[0] += damping.reshape(-1)
        return Factor(self.band, self.basis, self.n, sweeps) if band_factorise(self.band, self.n) else None


class Factor:
    """L of H = L Lᵀ, in the band's layout. sweeps: floating-point type in which parts of the inverse are computed."""

    def __init__(self, lower: np.ndarray, basis: Basis, n: int, sweeps: FloatType = float):
        self.lower, self.basis, self.n, self._sweeps = lower, basis, n, sweeps

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b; b (points, n) or (points, n, k)."""
        (width, size), letter = self.lower.shape, _LAPACK_LETTER[self.lower.dtype.char]
        x = np.array(b.reshape(size, -1), self.lower.dtype, order="F")
        _call_lapack(f"{letter}pbtrs", (_LOWER_TRIANGLE, size, width - 1, x.shape[1], self.lower, width, x, size))
        return x.astype(float).reshape(b.shape)

    @cached_property
    def _inverses(self) -> np.ndarray:
        """(points, n, n): inverses of the blocks on L's diagonal."""
        upper, letter = np.triu(blocks_of_band(self.lower, self.n, 0)), _LAPACK_LETTER[self.lower.dtype.char]
        for block in upper:  # NumPy's rows are Fortran's columns, so this is Fortran's lower triangle
            _call_lapack(f"{letter}trtri", (_LOWER_TRIANGLE, _PLAIN, self.n, block, self.n))
        return upper.astype(self._sweeps, copy=False).transpose(0, 2, 1)

    def _blocks_below(self, t: int) -> np.ndarray:
        """(lags · n, n): the blocks of L below the diagonal one of control point t."""
        n = self.n
        transposed = blocks_of_band(self.lower, n, 1, self.basis.lags)[t].astype(self._sweeps, copy=False)
        if self.basis.diagonal_last_lag:  # the factor's last block is then triangular
            transposed = np.hstack([transposed[:, :-n], np.tril(transposed[:, -n:])])
        return transposed.T

    def mean_response(self, blocks: np.ndarray) -> np.ndarray:
        """(n,): mean over the frames t of x_i[t, i], where x_i = B H⁻¹ Bᵀ b_i and b_i stacks column i of all intervals'
        symmetric blocks. With the markers' information, it is the change of a coordinate's estimate if its true value
        changed by one in all frames (Rodgers 2000, Inverse Methods for Atmospheric Sounding, ch. 3).

        With E = Bᵀ I and D = Bᵀ blocks, the diagonal of Eᵀ H⁻¹ D is that of (L⁻¹ E)ᵀ (L⁻¹ D). So one forward
        substitution for [E, D] is enough.
        """
        (points, n, _), lags = self._inverses.shape, self.basis.lags
        D = (self.basis.interval_values.T @ blocks.reshape(len(blocks), -1)).reshape(points, n, n).astype(self._sweeps)
        E, total = np.eye(n, dtype=self._sweeps), np.zeros(n)
        pending = np.zeros(((lags + 1) * n, 2 * n), self._sweeps)  # to subtract from the next right-hand sides
        for t, share in enumerate(self.basis.values.sum(0)):
            x = self._inverses[t] @ (np.hstack([E.dtype.type(share) * E, D[t]]) - pending[:n])
            total += (x[:, :n] * x[:, n:]).sum(0)
            pending[:-n] = pending[n:]
            pending[:-n] += self._blocks_below(t) @ x
        return total / self.basis.frames

    def covariances(self, frames: np.ndarray) -> np.ndarray:
        """(frames, n, n): covariance of the coordinates in each of these frames, given in ascending order.

        The recursion adds positive matrices. So single-precision sweeps over a double-precision factor give variances
        to about four digits at 50 Hz.
        """
        weights = self.basis.weights[frames]
        covariances = np.empty((len(frames), self.n, self.n))
        for some, around in self._inverse_around(self.basis.first[frames]):
            share = weights[some].astype(around.dtype)
            reach = share.shape[1]
            rows = np.tensordot(share, around[:reach], 1)[:, :, :reach]  # (some, n, reach, n)
            covariances[some] = (share[:, None, None] @ rows)[:, :, 0]
        return covariances

    def acceleration_variances(self) -> np.ndarray:
        """(rows, n): variances of the coordinates' accelerations, per frame², see `Basis.accelerations`."""
        first, weights = self.basis.acceleration_rows
        variances = np.empty((len(first), self.n))
        for some, around in self._inverse_around(first):
            of_coordinates = np.einsum("aibi->iab", around)
            variances[some] = np.einsum("ta,iab,tb->ti", weights[some], of_coordinates, weights[some])
        return variances

    def _inverse_around(self, first: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """For each control point, the last first: which of `first`, in ascending order, are this point, and the
        inverse's block (lags + 1, n, lags + 1, n) of it and those after it, valid until the next.

        The sweep runs backwards in time. M is the blocks of L below L_tt, times L_tt⁻¹; W is the inverse's block for
        the control points after t. Then (H⁻¹)_{later,t} = −W M and (H⁻¹)_tt = L_tt⁻ᵀ L_tt⁻¹ + Mᵀ W M. Both terms of
        the sum are positive semidefinite, so rounding errors fade over the sweep.
        """
        (points, n, _), lags = self._inverses.shape, self.basis.lags
        ends = np.searchsorted(first, np.arange(points + 1))
        # The inverse's block of t and those after it, in two arrays by turns: new ones would take a sixth of the time.
        around, before = (np.zeros(((lags + 1) * n, (lags + 1) * n), self._sweeps) for _ in range(2))
        for t in range(points - 1, first[0] - 1, -1):
            around, before = before, around
            W, inverse = before[:-n, :-n], self._inverses[t]
            M = self._blocks_below(t) @ inverse
            cross = W @ M
            diagonal = inverse.T @ inverse + M.T @ cross
            around[:n, :n] = 0.5 * (diagonal + diagonal.T)
            around[:n, n:], around[n:, :n], around[n:, n:] = -cross.T, -cross, W
            if ends[t] < ends[t + 1]:
                yield slice(ends[t], ends[t + 1]), around.reshape(lags + 1, n, lags + 1, n)
