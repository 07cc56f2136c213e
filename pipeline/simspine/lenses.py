"""How a lens bends the image of a pinhole: OpenCV's models, their derivatives and their inverses.

*Perspective* (docs.opencv.org, calib3d): with r² = x² + y² for ideal normalised coordinates x, y

    u = x f + 2 p1 x y + p2 (r² + 2 x²) + s1 r² + s2 r⁴      f = (1 + k1 r² + k2 r⁴ + k3 r⁶) /
    v = y f + p1 (r² + 2 y²) + 2 p2 x y + s3 r² + s4 r⁴          (1 + k4 r² + k5 r⁴ + k6 r⁶)

*Fisheye* (Kannala & Brandt 2006, as OpenCV has it): with the angle θ = atan r from the optical axis

    (u, v) = (x, y) θd / r        θd = θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸)

`Camera` keeps the coefficients at OpenCV's lengths: 5, 8 or 12, fisheye 4. So no angle from the axis reaches 90°.
"""

import numpy as np

from simspine.types import Camera

_NEAR_AXIS = 1e-8  # r² below which the fisheye's θd / r is taken from its series
_SETTLED = 1e-13  # normalised coordinates: Newton's method stops
_FOUND = 1e-9  # and this far from what was seen it has failed


def distort(camera: Camera, ideal: np.ndarray) -> np.ndarray:
    """Ideal normalised coordinates (..., 2) → as the camera's lens shows them (..., 2)."""
    x, y = ideal[..., 0], ideal[..., 1]
    r2 = x * x + y * y
    if camera.lens == "fisheye":
        return ideal * _fisheye(r2, camera.distortion)[0][..., None]
    p1, p2 = camera.distortion[2:4]
    radial = _radial(r2, camera.distortion)
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    if camera.distortion.size == 12:
        s1, s2, s3, s4 = camera.distortion[8:]
        u, v = u + r2 * (s1 + r2 * s2), v + r2 * (s3 + r2 * s4)
    return np.stack([u, v], -1)


def tangent(camera: Camera, ideal: np.ndarray) -> np.ndarray:
    """Derivative (2, 2, ...) of `distort` at ideal coordinates (..., 2): [[du/dx, du/dy], [dv/dx, dv/dy]]."""
    x, y = ideal[..., 0], ideal[..., 1]
    r2 = x * x + y * y
    if camera.lens == "fisheye":
        stretch, slope = _fisheye(r2, camera.distortion)
        across = 2 * x * y * slope
        return np.stack(
            [np.stack([stretch + 2 * x * x * slope, across]), np.stack([across, stretch + 2 * y * y * slope])]
        )
    p1, p2 = camera.distortion[2:4]
    radial, slope = _radial(r2, camera.distortion), _radial_slope(r2, camera.distortion)
    a = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
    b = c = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y
    d = radial + 2 * y * y * slope + 6 * p1 * y + 2 * p2 * x
    if camera.distortion.size == 12:
        s1, s2, s3, s4 = camera.distortion[8:]
        right, down = 2 * (s1 + 2 * s2 * r2), 2 * (s3 + 2 * s4 * r2)
        a, b, c, d = a + x * right, b + y * right, c + x * down, d + y * down
    return np.stack([np.stack([a, b]), np.stack([c, d])])


def reach(camera: Camera) -> float:
    """Largest r² of ideal coordinates up to which the radial part grows outwards; infinite where it always does.

    Beyond it the model folds: far-off points come back into the image, and no lens does so.
    """
    d = camera.distortion
    if camera.lens == "fisheye":
        edge = _smallest_root([1, *(d * [3, 5, 7, 9])])  # of dθd / dθ, a polynomial in θ²
        return np.inf if edge >= (np.pi / 2) ** 2 else float(np.tan(np.sqrt(edge)) ** 2)
    above = np.array([1, d[0], d[1], d[4]])
    growth = above * [1, 3, 5, 7]  # of r · above, a polynomial in r²
    if d.size == 5:
        return _smallest_root(growth)
    below = np.array([1, *d[5:8]])
    fall = 2 * np.arange(4) * below  # r · d below / dr
    return min(_smallest_root(np.convolve(growth, below) - np.convolve(above, fall)), _smallest_root(below))


def straighten(camera: Camera, seen: np.ndarray, iterations: int = 50) -> np.ndarray:
    """What the lens shows (..., 2) → ideal normalised coordinates (..., 2), the inverse of `distort`.

    Newton's method; NaN where it does not converge, or not on the branch of the image's middle (`reach`).
    """
    if camera.lens == "fisheye":
        return _straighten_fisheye(camera, seen, iterations)
    if not camera.distortion.any():
        return seen
    ideal = seen.copy()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(iterations):
            (a, b), (c, d) = tangent(camera, ideal)
            residual = distort(camera, ideal) - seen
            e, f = residual[..., 0], residual[..., 1]
            determinant = a * d - b * c
            step = np.stack([(d * e - b * f) / determinant, (a * f - c * e) / determinant], -1)
            ideal = ideal - step
            if not (np.abs(step) > _SETTLED).any():
                break
        right = np.abs(distort(camera, ideal) - seen).max(-1) < _FOUND
        right &= (ideal * ideal).sum(-1) < reach(camera)
    return np.where(right[..., None], ideal, np.nan)


def _straighten_fisheye(camera: Camera, seen: np.ndarray, iterations: int) -> np.ndarray:
    """Only the angle from the axis changes, so Newton's method runs on that alone."""
    shown = np.linalg.norm(seen, axis=-1)
    edge = min(float(np.arctan(np.sqrt(reach(camera)))), np.pi / 2)
    angle = np.minimum(shown, edge)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(iterations):
            bent, slope = _bent(angle, camera.distortion)
            step = (bent - shown) / slope
            angle = np.clip(angle - step, 0.0, np.pi / 2)
            if not (np.abs(step) > _SETTLED).any():
                break
        right = (np.abs(_bent(angle, camera.distortion)[0] - shown) < _FOUND) & (angle < edge)
        stretch = np.where(shown > 0, np.tan(angle) / shown, 1.0)
    return np.where(right[..., None], seen * stretch[..., None], np.nan)


def _radial(r2: np.ndarray, d: np.ndarray) -> np.ndarray:
    above = 1 + r2 * (d[0] + r2 * (d[1] + r2 * d[4]))
    return above if d.size == 5 else above / (1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7])))


def _radial_slope(r2: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Derivative of `_radial` by r²."""
    slope = d[0] + r2 * (2 * d[1] + 3 * r2 * d[4])
    if d.size == 5:
        return slope
    below = 1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7]))
    return (slope - _radial(r2, d) * (d[5] + r2 * (2 * d[6] + 3 * r2 * d[7]))) / below


def _bent(angle: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """θd of angles θ, and its derivative."""
    a2 = angle * angle
    bent = angle * (1 + a2 * (d[0] + a2 * (d[1] + a2 * (d[2] + a2 * d[3]))))
    return bent, 1 + a2 * (3 * d[0] + a2 * (5 * d[1] + a2 * (7 * d[2] + 9 * a2 * d[3])))


def _fisheye(r2: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """θd / r, and its derivative by r²."""
    r = np.sqrt(r2)
    bent, slope = _bent(np.arctan(r), d)
    near = r2 < _NEAR_AXIS
    safe = np.where(near, 1.0, r)
    stretch = np.where(near, 1 + r2 * (d[0] - 1 / 3), bent / safe)
    return stretch, np.where(near, d[0] - 1 / 3, (slope / (1 + r2) - stretch) / (2 * safe * safe))


def _smallest_root(rising: np.ndarray | list[float]) -> float:
    """Smallest positive real root of a polynomial, its coefficients from the constant on; infinite without one."""
    roots = np.roots(np.asarray(rising, float)[::-1])
    real = roots.real[(np.abs(roots.imag) < 1e-9 * np.maximum(1.0, np.abs(roots.real))) & (roots.real > 0)]
    return float(real.min(initial=np.inf))
