"""Two views of one point: how far they are from agreeing."""

import numpy as np

from simspine.types import Camera


def essential(a: Camera, b: Camera) -> np.ndarray:
    """(3, 3) E with x_b' E x_a = 0 for normalised points of one instant."""
    R = b.R @ a.R.T
    x, y, z = b.t - R @ a.t
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ R


def apart_px(a: Camera, b: Camera, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(...) px, signed: `sampson` of normalised points (..., 2) in both views, as long as in an image of either."""
    focal = float(np.sqrt(a.K[0, 0] * b.K[0, 0]))
    return focal * sampson(essential(a, b), first, second)


def usually_apart_px(a: Camera, b: Camera, first: np.ndarray, second: np.ndarray) -> float:
    """Median of `apart_px`, which is the calibration's; 0 where nothing is seen in both views."""
    apart = apart_px(a, b, first, second)
    return float(np.nanmedian(apart)) if np.isfinite(apart).any() else 0.0


def sampson(matrix: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Signed Sampson distances of normalised points (..., 2) in two views (Hartley, Zisserman 2004, section 11.4.3)."""
    first, second = (np.concatenate([p, np.ones((*p.shape[:-1], 1))], -1) for p in (a, b))
    line_b, line_a = first @ matrix.T, second @ matrix
    product = (second * line_b).sum(-1)
    return product / np.sqrt((line_b[..., :2] ** 2).sum(-1) + (line_a[..., :2] ** 2).sum(-1))
