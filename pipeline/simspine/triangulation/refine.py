"""Robust least squares: from a seed to the point that the consistent views agree on."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from simspine.triangulation.rays import NEAREST, Rays

_LONGEST_STEP = 0.5  # m; a longer Gauss–Newton step leaves the region where the linearisation means anything
_CONVERGED = 1e-9  # m


@dataclass(frozen=True)
class Fit:
    """Points and what supports them. xyz: (3, n) m. error: (views, n) px, infinite where not seen or behind the camera.
    weight: (views, n), final weights of the views. information: (3, 3, n) = Jᵀ W J, 1/m² per px⁻²."""

    xyz: np.ndarray
    error: np.ndarray
    weight: np.ndarray
    information: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """(views, n) bool."""
        return self.weight > 0


def refine(rays: Rays, xyz: np.ndarray, huber: np.ndarray, limit: np.ndarray, iterations: int = 12) -> Fit:
    """Iteratively reweighted Gauss–Newton from the seeds xyz (3, n); huber, limit: (n,) px.

    Points with fewer than two views inside the limit stay where they are.
    """
    found = np.array(xyz)
    error, weight = np.empty(rays.weight.shape), np.empty(rays.weight.shape)
    information = np.empty((3, 3, found.shape[1]))
    views = (rays.R, rays.t, rays.normal, rays.lens, rays.weight)
    _refine(
        *views, np.ascontiguousarray(huber), np.ascontiguousarray(limit), iterations, found, error, weight, information
    )
    return Fit(found, error, weight, information)


@njit(cache=True, inline="always")
def robust_weight(error: float, huber: float, limit: float) -> float:
    """Weight of an observation `error` px from the point: Huber's up to half the limit, then falling to 0 at the limit.

    1 up to `huber`, huber/error beyond; the last part (Hampel 1974) lets a wrong view lose all influence, which Huber's
    alone never does, and without a jump that would make the iteration cycle.
    """
    half = limit / 2
    tail = min(max((limit - error) / (limit - half), 0.0), 1.0)
    return min(1.0, huber / max(error, 1e-12)) * tail


@njit(cache=True, nogil=True, error_model="numpy")
def _refine(R, t, normal, lens, weight, huber, limit, iterations: int, xyz, error, final, information) -> None:
    """Moves xyz (3, n) and fills the other arrays of the `Fit`; the rest as in `Rays` and `refine`. Point by point:
    what one takes stays in registers, and most have arrived after a few steps.
    """
    J, A, g, step = (np.empty(3), np.empty(3)), np.empty((3, 3)), np.empty(3), np.empty(3)
    for n in range(xyz.shape[1]):
        for _ in range(iterations):
            _linearise(R, t, normal, lens, weight, huber[n], limit[n], n, xyz, error, final, J, A, g)
            length = _step(A, g, step)
            share = min(1.0, _LONGEST_STEP / max(length, _LONGEST_STEP))
            for i in range(3):
                xyz[i, n] -= step[i] * share
            if length <= _CONVERGED:
                break
        _linearise(R, t, normal, lens, weight, huber[n], limit[n], n, xyz, error, final, J, A, g)
        for i in range(3):
            for k in range(3):
                information[i, k, n] = A[i, k]


@njit(cache=True, error_model="numpy", inline="always")
def _linearise(R, t, normal, lens, weight, huber: float, limit: float, n: int, xyz, error, final, J, A, g) -> None:
    """Set point n's errors and weights (views, n), A = Jᵀ W J (3, 3) and g = Jᵀ W r (3,). J: room for two rows."""
    A[:] = 0.0
    g[:] = 0.0
    p, q = J
    x, y, z = xyz[0, n], xyz[1, n], xyz[2, n]
    for v in range(weight.shape[0]):
        depth = R[v, 2, 0] * x + R[v, 2, 1] * y + R[v, 2, 2] * z + t[v, 2]
        if not (depth > NEAREST and weight[v, n] > 0.0):
            error[v, n], final[v, n] = np.inf, 0.0
            continue
        near = 1.0 / depth
        a = (R[v, 0, 0] * x + R[v, 0, 1] * y + R[v, 0, 2] * z + t[v, 0]) * near
        b = (R[v, 1, 0] * x + R[v, 1, 1] * y + R[v, 1, 2] * z + t[v, 1]) * near
        l00, l01, l10, l11 = lens[v, 0, 0, n], lens[v, 0, 1, n], lens[v, 1, 0, n], lens[v, 1, 1, n]
        off_a, off_b = a - normal[v, 0, n], b - normal[v, 1, n]
        r0, r1 = l00 * off_a + l01 * off_b, l10 * off_a + l11 * off_b
        error[v, n] = np.sqrt(r0 * r0 + r1 * r1)
        w = final[v, n] = weight[v, n] * robust_weight(error[v, n], huber, limit)
        if w == 0.0:
            continue
        # d(x/z) = (R_x − (x/z) R_z) / z, and the lens on top.
        for i in range(3):
            s, u = (R[v, 0, i] - a * R[v, 2, i]) * near, (R[v, 1, i] - b * R[v, 2, i]) * near
            p[i], q[i] = l00 * s + l01 * u, l10 * s + l11 * u
        for i in range(3):
            g[i] += w * (p[i] * r0 + q[i] * r1)
            for k in range(i + 1):
                A[i, k] += w * (p[i] * p[k] + q[i] * q[k])
    A[0, 1], A[0, 2], A[1, 2] = A[1, 0], A[2, 0], A[2, 1]


@njit(cache=True, error_model="numpy", inline="always")
def _step(A: np.ndarray, g: np.ndarray, step: np.ndarray) -> float:
    """Set step (3,), A step = g, 0 where that cannot be solved; its length."""
    c0 = A[1, 1] * A[2, 2] - A[1, 2] * A[2, 1]
    c1 = A[1, 2] * A[2, 0] - A[1, 0] * A[2, 2]
    c2 = A[1, 0] * A[2, 1] - A[1, 1] * A[2, 0]
    det = A[0, 0] * c0 + A[0, 1] * c1 + A[0, 2] * c2
    step[0] = (c0 * g[0] + c1 * g[1] + c2 * g[2]) / det
    step[1] = (c1 * g[0] + (A[0, 0] * A[2, 2] - A[0, 2] * A[2, 0]) * g[1]) / det
    step[1] += (A[0, 2] * A[1, 0] - A[0, 0] * A[1, 2]) * g[2] / det
    step[2] = (c2 * g[0] + (A[0, 1] * A[2, 0] - A[0, 0] * A[2, 1]) * g[1]) / det
    step[2] += (A[0, 0] * A[1, 1] - A[0, 1] * A[1, 0]) * g[2] / det
    length = np.sqrt(step[0] ** 2 + step[1] ** 2 + step[2] ** 2)
    if not np.isfinite(length):
        step[:] = 0.0
        return 0.0
    return length


def inverse3(a: np.ndarray) -> np.ndarray:
    """Inverse of symmetric matrices (3, 3, n) by cofactors; infinite or NaN where singular."""
    (a00, a01, a02), (_, a11, a12), (_, _, a22) = a
    c00, c01, c02 = a11 * a22 - a12 * a12, a02 * a12 - a01 * a22, a01 * a12 - a02 * a11
    c11, c12, c22 = a00 * a22 - a02 * a02, a01 * a02 - a00 * a12, a00 * a11 - a01 * a01
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.array([[c00, c01, c02], [c01, c11, c12], [c02, c12, c22]]) / (a00 * c00 + a01 * c01 + a02 * c02)
