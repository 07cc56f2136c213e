"""The data set's own lens, and its points in the images of OpenCV cameras.

For ideal normalised coordinates u = (x, y), r² = x² + y² and q = (p2, p1) the data set projects with

    u' = u (1 + k1 r² + k2 r⁴ + k3 r⁶ + q·u) + q r²        (ProjectPointRadial of its release code)

where OpenCV, with the same numbers, has `2 q·u`. The radial part is the same. The missing factor 2 cannot be made up by
other values of k1 k2 p1 p2 k3: it needs OpenCV's thin prism terms (p1/2, p2/2, s1 = p2/2, s3 = p1/2). Our `Camera` has
none, so not the camera but the points are converted: `to_camera` gives, for a pixel in an image of the data set, the
pixel in which our `Camera` with the same numbers sees the same ray. This is exact. How much it costs to take one lens
for the other: docs/human36m.md.

In all functions `camera` holds the numbers of the data set as they stand in its metadata.xml.
"""

import numpy as np

from simspine.geometry import distort, to_pixels
from simspine.types import Camera

_STEPS, _TOLERANCE = 50, 1e-13


def project(camera: Camera, xyz: np.ndarray) -> np.ndarray:
    """World points (..., 3) m → pixels (..., 2) by the data set's formula; NaN behind the camera."""
    local = np.asarray(xyz, float) @ camera.R.T + camera.t
    with np.errstate(divide="ignore", invalid="ignore"):
        ideal = np.where(local[..., 2:] > 1e-9, local[..., :2] / local[..., 2:], np.nan)
    return to_pixels(camera, distort_human36m(ideal, camera.distortion))


def distort_human36m(ideal: np.ndarray, distortion: np.ndarray) -> np.ndarray:
    """Ideal normalised coordinates (..., 2) → as the data set's lens shows them. distortion: k1 k2 p1 p2 k3."""
    k1, k2, p1, p2, k3 = distortion
    q = np.array([p2, p1])
    r2 = (ideal * ideal).sum(-1, keepdims=True)
    stretch = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)) + (ideal * q).sum(-1, keepdims=True)
    return ideal * stretch + q * r2


def undistort_human36m(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) of the data set → ideal normalised coordinates (..., 2); NaN where the lens folds."""
    pixels = np.asarray(pixels, float)
    k1, k2, p1, p2, k3 = camera.distortion
    q = np.array([p2, p1])
    seen = (pixels - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
    ideal = seen.copy()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(_STEPS):  # Newton; Jacobian = stretch · 1 + u ∇stretchᵀ + 2 q uᵀ
            r2 = (ideal * ideal).sum(-1, keepdims=True)
            stretch = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)) + (ideal * q).sum(-1, keepdims=True)
            gradient = 2 * ideal * (k1 + r2 * (2 * k2 + 3 * r2 * k3)) + q
            jacobian = stretch[..., None] * np.eye(2) + ideal[..., :, None] * gradient[..., None, :]
            jacobian = jacobian + 2 * q[:, None] * ideal[..., None, :]
            (a, b), (c, d) = np.moveaxis(jacobian, (-2, -1), (0, 1))
            e, f = np.moveaxis(ideal * stretch + q * r2 - seen, -1, 0)
            step = np.stack([d * e - b * f, a * f - c * e], -1) / (a * d - b * c)[..., None]
            ideal = ideal - step
            if not (np.abs(step) > _TOLERANCE).any():
                break
        wrong = np.abs(distort_human36m(ideal, camera.distortion) - seen).max(-1, keepdims=True) > 1e-9
        folded = (np.abs(ideal - seen) > 1).any(-1, keepdims=True)  # another branch of the polynomial
    return np.where(wrong | folded, np.nan, ideal)


def to_camera(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    """Pixels (..., 2) in images of the data set → pixels (..., 2) where `camera` (OpenCV's lens) sees the same rays."""
    return to_pixels(camera, distort(undistort_human36m(camera, pixels), camera.distortion))
