"""Cholesky factors by LAPACK, with other threads running meanwhile.

`scipy.linalg.lapack` holds the interpreter's lock while it computes, so windows solved in two threads would take turns.
The same routines, reached through SciPy's Cython interface by ctypes, let it go.
"""

import ctypes
from functools import cache

import numpy as np
from numba.extending import get_cython_function_address

_KIND = {"d": "d", "f": "s"}  # LAPACK's letters for NumPy's types
_LOWER = ctypes.c_char(b"L")


@cache
def _routine(name: str):
    return ctypes.CFUNCTYPE(None)(get_cython_function_address("scipy.linalg.cython_lapack", name))


def _call(name: str, *arguments) -> int:
    """Fortran passes everything by reference; returns LAPACK's `info`."""
    info = ctypes.c_int(0)
    _routine(name)(*[_reference(value) for value in (*arguments, info)])
    return info.value


def _reference(value):
    if isinstance(value, np.ndarray):
        return ctypes.c_void_p(value.ctypes.data)
    return ctypes.byref(ctypes.c_int(value) if isinstance(value, int) else value)


def inverses(blocks: np.ndarray) -> np.ndarray:
    """Inverses (k, n, n) of positive definite matrices (k, n, n), of which the upper triangles are read.

    Raises `LinAlgError` where one is not positive definite.
    """
    found = np.triu(blocks)
    n = found.shape[-1]
    for block in found:  # rows are Fortran's columns
        if _call("dpotrf", _LOWER, n, block, n) or _call("dpotri", _LOWER, n, block, n):
            raise np.linalg.LinAlgError("a matrix is not positive definite")
    return mirrored(found)


def mirrored(upper: np.ndarray) -> np.ndarray:
    """Symmetric matrices (k, n, n) from their upper triangles, above zeros."""
    full = upper + upper.transpose(0, 2, 1)
    np.einsum("tii->ti", full)[:] *= 0.5
    return full


def band_factorise(band: np.ndarray) -> bool:
    """L of a positive definite H = L Lᵀ, in place; False if it is not. band (width + 1, size), Fortran order, lower,
    in double or single precision."""
    assert band.flags.f_contiguous
    width, size = band.shape
    return _call(f"{_KIND[band.dtype.char]}pbtrf", _LOWER, size, width - 1, band, width) == 0


def band_solve(lower: np.ndarray, b: np.ndarray) -> None:
    """x of L Lᵀ x = b, in place. lower as `band_factorise` leaves it; b (size, k), Fortran order."""
    assert lower.flags.f_contiguous
    assert b.flags.f_contiguous
    assert b.dtype == lower.dtype
    width, size = lower.shape
    info = _call(f"{_KIND[lower.dtype.char]}pbtrs", _LOWER, size, width - 1, b.shape[1], lower, width, b, size)
    if info != 0:
        raise np.linalg.LinAlgError(f"LAPACK pbtrs failed ({info})")
