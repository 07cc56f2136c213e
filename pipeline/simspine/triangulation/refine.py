"""Robust least squares: from a seed to the point that the consistent views agree on."""

from dataclasses import dataclass

import numpy as np

from simspine.triangulation.rays import NEAREST, Rays, residuals

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


def robust_weight(error: np.ndarray, huber: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Weight of an observation `error` px from the point: Huber's up to half the limit, then falling to 0 at the limit.

    1 up to `huber`, huber/error beyond; the last part (Hampel 1974) lets a wrong view lose all influence, which Huber's
    alone never does, and without a jump that would make the iteration cycle.
    """
    half = limit / 2
    tail = np.clip((limit - error) / (limit - half), 0.0, 1.0)
    return np.minimum(1.0, huber / np.maximum(error, 1e-12)) * tail


def linearise(rays: Rays, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (views, 2, n) px, Jacobian (views, 2, 3, n) px/m, errors (views, n) px at xyz (3, n)."""
    residual, image, depth = residuals(rays, xyz)
    front = depth > NEAREST
    # d(x/z) = (R_x − (x/z) R_z) / z, and the lens on top.
    slope = rays.R[:, :2, :, None] - image[:, :, None, :] * rays.R[:, 2][:, None, :, None]
    slope /= np.where(front, depth, 1.0)[:, None, None]
    error = np.sqrt(np.einsum("vin,vin->vn", residual, residual))
    return residual, np.einsum("vijn,vjkn->vikn", rays.lens, slope), np.where(front & rays.seen, error, np.inf)


def refine(rays: Rays, xyz: np.ndarray, huber: np.ndarray, limit: np.ndarray, iterations: int = 12) -> Fit:
    """Iteratively reweighted Gauss–Newton from the seeds xyz (3, n); huber, limit: (n,) px.

    Points with fewer than two views inside the limit stay where they are.
    """
    xyz = xyz.copy()
    moving = np.arange(xyz.shape[1])  # most points have arrived after a few steps, and a few take them all
    for _ in range(iterations):
        some, there = rays.take(moving), np.take(xyz, moving, axis=1)
        residual, jacobian, error = linearise(some, there)
        weight = some.weight * robust_weight(error, huber[moving], limit[moving])
        _, step = _normal_equations(jacobian, residual, weight)
        length = np.sqrt((step**2).sum(0))
        xyz[:, moving] = there - step * np.minimum(1.0, _LONGEST_STEP / np.maximum(length, _LONGEST_STEP))
        moving = moving[length > _CONVERGED]
        if not moving.size:
            break
    residual, jacobian, error = linearise(rays, xyz)
    weight = rays.weight * robust_weight(error, huber, limit)
    return Fit(xyz, error, weight, _normal_equations(jacobian, residual, weight)[0])


def _normal_equations(jacobian, residual, weight) -> tuple[np.ndarray, np.ndarray]:
    """Jᵀ W J (3, 3, n) and the step (3, n) that solves Jᵀ W J step = Jᵀ W r; a step of 0 where it cannot be solved."""
    weighted = jacobian * weight[:, None, None]
    information = np.einsum("vijn,vikn->jkn", weighted, jacobian)
    gradient = np.einsum("vijn,vin->jn", weighted, residual)
    inverse = inverse3(information)
    step = np.einsum("jkn,kn->jn", inverse, gradient)
    return information, np.where(np.isfinite(step).all(0), step, 0.0)


def inverse3(a: np.ndarray) -> np.ndarray:
    """Inverse of symmetric matrices (3, 3, n) by cofactors; infinite or NaN where singular."""
    rows = [np.cross(a[1], a[2], axis=0), np.cross(a[2], a[0], axis=0), np.cross(a[0], a[1], axis=0)]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.stack(rows) / (a[0] * rows[0]).sum(0)
