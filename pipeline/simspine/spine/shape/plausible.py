"""How unlikely a spine is: distance of points from what real spines look like, whole and point by point.

With the posterior's linearisation at the best pose and shape (docs/spine-shape.md),

    r = A β + e,  e ~ N(0, S),  S = J P Jᵀ + C,        Q = S⁻¹ − S⁻¹A (Aᵀ S⁻¹ A)⁻¹ Aᵀ S⁻¹

rᵀ Q r is the squared Mahalanobis distance with the pose free. Of a point k, with g = Q r, (Q_kk)⁻¹ g_k is where it lies
from where the others put it, and g_kᵀ (Q_kk)⁻¹ g_k that in its own spread
(leave-one-out residuals of generalised least squares; Cook & Weisberg 1982, Residuals and Influence, ch. 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.spine.shape.chain import LEVELS
from simspine.spine.shape.complete import checked_covariances, checked_points
from simspine.spine.shape.model import ShapeModel, shipped
from simspine.spine.shape.modes import Stopping
from simspine.spine.shape.posterior import COARSE, ShapePosterior

FEWEST = 4  # points: three make a triangle that nearly any spine can hold
CHUNK = 32  # frames at a time, to bound memory


@dataclass(frozen=True)
class Plausibility:
    """Distances of points from real spines, in standard deviations of a normal distribution of equal chance.

    levels: names, in order from the head. whole: (frames,) of all points together; large is unlikely, below zero is
    nearer to the mean than most. each: (frames, levels) of one point given the others. apart: (frames, levels, 3) m
    from where the others put it to where it is, to first order: some 20 % off where a point is far out.
    """

    levels: tuple[str, ...]
    whole: np.ndarray
    each: np.ndarray
    apart: np.ndarray


def shape_plausibility(
    points: Mapping[str, np.ndarray],
    covariance: float | np.ndarray | Mapping[str, np.ndarray | float] | None = None,
    posture: str = "any",
    model: ShapeModel | None = None,
) -> Plausibility:
    """How unlikely the points are for a human spine, whatever its pose in space.

    points: {level: (3,) or (frames, 3)} m, at least `FEWEST` levels; covariance and posture as in `complete_spine`.
    What a turn of the whole could explain is never unlikely: that a spine faces backwards does not show. Raises
    `InputError` as `complete_spine` does.
    """
    levels, y = checked_points(points, FEWEST)
    C = checked_covariances(covariance, levels, len(y))
    at = np.array([LEVELS.index(level) for level in levels])
    problem = ShapePosterior(*(model or shipped()).prior(posture), at)
    parts = [_distances(problem, y[i : i + CHUNK], C[i : i + CHUNK]) for i in range(0, len(y), CHUNK)]
    whole, each, apart = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Plausibility(tuple(levels), normal_of(whole, 3 * len(levels) - 6), normal_of(each, 3), apart)


def _distances(problem: ShapePosterior, y: np.ndarray, C: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance (B,), by point (B, m), and what each point is apart (B, m, 3) m in space."""
    y = y - y.mean(1, keepdims=True)
    fit = problem.solve(y, C, problem.best_spins(problem.across(y, C), y, C)[0], Stopping(COARSE))
    _, A, S, r = problem.observed.system(y, C, fit.z, fit.R, fit.axes)
    SA = np.linalg.solve(S, A)
    Q = np.linalg.inv(S) - SA @ np.linalg.solve(A.swapaxes(-1, -2) @ SA, SA.swapaxes(-1, -2))
    B, m = y.shape[:2]
    g = np.einsum("bij,bj->bi", Q, r).reshape(B, m, 3)
    own = Q.reshape(B, m, 3, m, 3)[:, np.arange(m), :, np.arange(m), :].swapaxes(0, 1)
    apart = np.linalg.solve(own, g[..., None])[..., 0]
    whole, each = np.einsum("bmi,bmi->b", r.reshape(B, m, 3), g), np.einsum("bmi,bmi->bm", g, apart)
    return whole, each, np.einsum("bij,bmj->bmi", fit.R, apart)


def normal_of(squared: np.ndarray, freedom: int) -> np.ndarray:
    """χ² values as standard deviations of a normal distribution of about equal chance (Wilson & Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    return (np.cbrt(np.maximum(squared, 0) / freedom) - (1 - spread)) / np.sqrt(spread)
