"""What the views say: observations as rays, and the reprojection error of a 3D point in pixels.

Arrays here have the points last, (views, components, n) with n = frames × points, so that every operation runs over
long contiguous rows.

The lens enters once. Each observation is undistorted, and the map from ideal image coordinates to pixels is replaced
by its tangent at the observation, `lens`; the residual `lens @ (ideal projection − ideal observation)` is then in
pixels of the distorted image, exact at zero and to first order around it. Reported errors do not use this shortcut.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.geometry import undistort
from simspine.lenses import tangent
from simspine.types import Camera

NEAREST = 1e-3  # m; a point closer to the camera plane than this counts as behind it
_CHUNK = 15_000  # observations of a view undistorted at a time: what fits into a processor's cache
_NEWTON_STEPS = 20  # far more than any lens needs inside its image; bounds the time spent on pixels outside it


@dataclass(frozen=True)
class Rays:
    """Observations of n points in several views.

    R: (views, 3, 3), t: (views, 3) m: world → camera. normal: (views, 2, n) ideal image coordinates, 0 where not seen.
    lens: (views, 2, 2, n) px, tangent of lens and pixel grid at the observation. weight: (views, n) ≥ 0, 0 = not seen.
    """

    R: np.ndarray
    t: np.ndarray
    normal: np.ndarray
    lens: np.ndarray
    weight: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """(views, n) bool."""
        return self.weight > 0

    def take(self, columns) -> "Rays":
        """The points `columns` (an index array or a slice)."""
        of_points = (self.normal, self.lens, self.weight)  # indexing by an array would leave points first in memory
        return Rays(self.R, self.t, *(np.ascontiguousarray(values[..., columns]) for values in of_points))


def observe(cameras: Sequence[Camera], xy: np.ndarray, weight: np.ndarray) -> Rays:
    """Rays of the pixels xy (frames, views, points, 2) with weights (frames, views, points); n = frames × points.

    Pixels that are NaN, or outside what the lens model can show, count as not seen.
    """
    frames, views, points = weight.shape
    normal, lens = np.empty((views, 2, frames * points)), np.empty((views, 2, 2, frames * points))
    weights = weight.transpose(1, 0, 2).reshape(views, -1).astype(float)
    step = max(1, _CHUNK // points)
    for view, camera in enumerate(cameras):
        for start in range(0, frames, step):
            part = slice(start * points, (start + step) * points)
            ideal = undistort(camera, xy[start : start + step, view].reshape(-1, 2), iterations=_NEWTON_STEPS)
            seen = np.isfinite(ideal).all(-1)
            ideal[~seen] = 0.0
            normal[view, :, part] = ideal.T
            lens[view, :, :, part] = np.einsum("ij,jkn->ikn", camera.K[:2, :2], tangent(camera, ideal))
            weights[view, part] *= seen
    R, t = np.stack([c.R for c in cameras]), np.stack([c.t for c in cameras])
    return Rays(R, t, normal, lens, weights)


def residuals(rays: Rays, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (views, 2, n) px of points xyz (3, n), their image coordinates (views, 2, n), depths (views, n) m.

    Only meaningful where the depth exceeds `NEAREST`.
    """
    local = rays.R @ xyz + rays.t[:, :, None]
    depth = local[:, 2]
    image = local[:, :2] / np.where(depth > NEAREST, depth, 1.0)[:, None]
    return np.einsum("vijn,vjn->vin", rays.lens, image - rays.normal), image, depth


def errors(rays: Rays, xyz: np.ndarray) -> np.ndarray:
    """Reprojection errors (views, n) px of xyz (3, n); infinite behind a camera or where xyz is NaN."""
    residual, _, depth = residuals(rays, xyz)
    return np.where(depth > NEAREST, np.sqrt(np.einsum("vin,vin->vn", residual, residual)), np.inf)


def directions(rays: Rays) -> np.ndarray:
    """World directions (views, 3, n) of the rays, of depth one along the optical axis."""
    return np.einsum("vji,vjn->vin", rays.R[:, :2], rays.normal) + rays.R[:, 2][:, :, None]


def centres(rays: Rays) -> np.ndarray:
    """Optical centres (views, 3) m."""
    return -np.einsum("vji,vj->vi", rays.R, rays.t)
