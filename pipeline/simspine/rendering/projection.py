"""Points into an image and back, compiled: as `project_one` and `undistort` of `simspine.geometry`, some ten times as
fast. The equations are those of `simspine.lenses`."""

import numpy as np
from numba import njit

from simspine.geometry import project_one, undistort
from simspine.lenses import reach
from simspine.types import Camera

_LEAST = 1e-9  # m before the camera
_ALL = 12  # coefficients of OpenCV's perspective lens
_STEPS, _SETTLED, _FOUND = 20, 1e-12, 1e-9  # of Newton's method, in normalised coordinates


def projected(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """px (n, 2) and depth (n,) m along the optical axis, both float32, of points (n, 3) m in the world.

    Depth is −1 behind the camera and where the image is not finite.
    """
    px, depth = np.empty((len(points), 2), np.float32), np.empty(len(points), np.float32)
    if camera.lens == "perspective":
        _perspective(points, camera.R, camera.t, camera.K, _coefficients(camera), px, depth)
        return px, depth
    px[:] = project_one(camera, points)
    depth[:] = np.where(np.isfinite(px).all(1), points @ camera.R[2] + camera.t[2], -1.0)
    return px, depth


def straightened(camera: Camera, px: np.ndarray) -> np.ndarray:
    """Pixels (n, 2) → ideal normalised coordinates (n, 2); NaN where the lens model folds."""
    if camera.lens != "perspective":
        return undistort(camera, px)
    inverse = np.linalg.inv(camera.K[:2, :2])
    seen = (px - camera.K[:2, 2]) @ inverse.T
    _straighten(seen, _coefficients(camera), reach(camera))
    return seen


def _coefficients(camera: Camera) -> np.ndarray:
    lens = np.zeros(_ALL)
    lens[: camera.distortion.size] = camera.distortion
    return lens


@njit(cache=True, error_model="numpy", nogil=True)
def _lens(x, y, d):
    """Where a lens shows (x, y)."""
    r2 = x * x + y * y
    radial = (1 + r2 * (d[0] + r2 * (d[1] + r2 * d[4]))) / (1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7])))
    u = x * radial + 2 * d[2] * x * y + d[3] * (r2 + 2 * x * x) + r2 * (d[8] + r2 * d[9])
    v = y * radial + d[2] * (r2 + 2 * y * y) + 2 * d[3] * x * y + r2 * (d[10] + r2 * d[11])
    return u, v


@njit(cache=True, error_model="numpy", nogil=True)
def _perspective(points, R, t, K, d, px, depth):
    for i in range(len(points)):
        a, b, c = points[i, 0], points[i, 1], points[i, 2]
        z = R[2, 0] * a + R[2, 1] * b + R[2, 2] * c + t[2]
        if not z > _LEAST:
            px[i, 0], px[i, 1], depth[i] = np.nan, np.nan, -1.0
            continue
        x = (R[0, 0] * a + R[0, 1] * b + R[0, 2] * c + t[0]) / z
        y = (R[1, 0] * a + R[1, 1] * b + R[1, 2] * c + t[1]) / z
        u, v = _lens(x, y, d)
        px[i, 0] = K[0, 0] * u + K[0, 1] * v + K[0, 2]
        px[i, 1] = K[1, 0] * u + K[1, 1] * v + K[1, 2]
        depth[i] = z if np.isfinite(px[i, 0]) and np.isfinite(px[i, 1]) else -1.0


@njit(cache=True, error_model="numpy", nogil=True)
def _straighten(seen, d, reach):
    """Invert the lens in place, (n, 2): Newton's method with differences for derivatives."""
    h = 1e-6
    for i in range(len(seen)):
        x, y = seen[i, 0], seen[i, 1]
        for _ in range(_STEPS):
            u, v = _lens(x, y, d)
            ux, vx = _lens(x + h, y, d)
            uy, vy = _lens(x, y + h, d)
            a, b, c, e = (ux - u) / h, (uy - u) / h, (vx - v) / h, (vy - v) / h
            p, q, determinant = u - seen[i, 0], v - seen[i, 1], a * e - b * c
            dx, dy = (e * p - b * q) / determinant, (a * q - c * p) / determinant
            x, y = x - dx, y - dy
            if abs(dx) < _SETTLED and abs(dy) < _SETTLED:
                break
        u, v = _lens(x, y, d)
        right = abs(u - seen[i, 0]) < _FOUND and abs(v - seen[i, 1]) < _FOUND and x * x + y * y < reach
        seen[i, 0], seen[i, 1] = (x, y) if right else (np.nan, np.nan)
