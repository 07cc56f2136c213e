"""Cameras, lenses, frames, angles and rigid fits: pure functions on arrays; metres, pixels, radians.

*Perspective lens* (docs.opencv.org, calib3d): with r² = x² + y² for ideal normalised coordinates x, y::

    u = x f + 2 p1 x y + p2 (r² + 2 x²) + s1 r² + s2 r⁴      f = (1 + k1 r² + k2 r⁴ + k3 r⁶) /
    v = y f + p1 (r² + 2 y²) + 2 p2 x y + s3 r² + s4 r⁴          (1 + k4 r² + k5 r⁴ + k6 r⁶)

*Fisheye lens* (Kannala & Brandt 2006, as OpenCV has it): with the angle θ = atan r from the optical axis::

    (u, v) = (x, y) θd / r        θd = θ (1 + k1 θ² + k2 θ⁴ + k3 θ⁶ + k4 θ⁸)

`Camera` keeps the coefficients at OpenCV's lengths: 5, 8 or 12, fisheye 4. Angles from the axis are below 90°.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations, pairwise

import numpy as np

from simspine.core.arrays import median_of_known
from simspine.core.errors import InputError
from simspine.core.types import WORLD_FRAMES, Camera, Markers

_NEAR_AXIS = 1e-8  # r² below which the fisheye's θd / r is taken from its series
_NEWTON_CONVERGED = 1e-7  # normalised coordinates: Newton's method stops, as its next step would be this squared
_MAX_RESIDUAL = 1e-9  # normalised coordinates: with a larger residual Newton's method has failed
LEAST_RAY_ANGLE_RAD = np.radians(8)  # rays nearer to parallel than this do not tell a depth


def distort_points(camera: Camera, ideal: np.ndarray) -> np.ndarray:
    """Ideal normalised coordinates (..., 2) → distorted by the camera's lens (..., 2)."""
    return np.stack(_distorted(camera, *_components(ideal)), -1)


def distortion_derivative(camera: Camera, ideal: np.ndarray) -> np.ndarray:
    """Derivative (2, 2, ...) of `distort_points` at ideal coordinates (..., 2): [[du/dx, du/dy], [dv/dx, dv/dy]]."""
    along_x, x_by_y, y_by_x, along_y = _distortion_slopes(camera, *_components(ideal))
    return np.array([[along_x, x_by_y], [y_by_x, along_y]])


def _components(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y of points (..., 2), each contiguous in memory."""
    return points[..., 0].copy(), points[..., 1].copy()


def _distorted(camera: Camera, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x2, y2 = x * x, y * y
    r2 = x2 + y2
    if camera.lens == "fisheye":
        factor = _fisheye_factor(r2, camera.distortion)[0]
        return x * factor, y * factor
    p1, p2 = camera.distortion[2:4]
    radial, twice_xy = _radial_factor(r2, camera.distortion), 2 * x * y
    u = x * radial + p1 * twice_xy + p2 * (r2 + 2 * x2)
    v = y * radial + p1 * (r2 + 2 * y2) + p2 * twice_xy
    if camera.distortion.size == 12:
        s1, s2, s3, s4 = camera.distortion[8:]
        u, v = u + r2 * (s1 + r2 * s2), v + r2 * (s3 + r2 * s4)
    return u, v


def _distortion_slopes(camera: Camera, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    """du/dx, du/dy, dv/dx, dv/dy of `_distorted`."""
    x2, y2 = x * x, y * y
    r2 = x2 + y2
    if camera.lens == "fisheye":
        stretch, slope = _fisheye_factor(r2, camera.distortion)
        across = 2 * x * y * slope
        return stretch + 2 * x2 * slope, across, across, stretch + 2 * y2 * slope
    p1, p2 = camera.distortion[2:4]
    radial, slope = _radial_factor(r2, camera.distortion), 2 * _radial_slope(r2, camera.distortion)
    across = x * y * slope + 2 * (p1 * x + p2 * y)
    along_x, along_y = radial + x2 * slope + 2 * (p1 * y + 3 * p2 * x), radial + y2 * slope + 2 * (3 * p1 * y + p2 * x)
    if camera.distortion.size < 12:
        return along_x, across, across, along_y
    s1, s2, s3, s4 = camera.distortion[8:]
    of_u, of_v = 2 * (s1 + 2 * s2 * r2), 2 * (s3 + 2 * s4 * r2)  # twice the prism terms' derivative by r²
    return along_x + of_u * x, across + of_u * y, across + of_v * x, along_y + of_v * y


def distortion_reach(camera: Camera) -> float:
    """Largest r² of ideal coordinates up to which the distorted radius grows with r; infinite where it always does.

    Beyond it the model folds distant points back into the image, which no lens does.
    """
    d = camera.distortion
    if camera.lens == "fisheye":
        root = _smallest_root(1, *(d * [3, 5, 7, 9]))  # of dθd / dθ, a polynomial in θ²
        return np.inf if root >= (np.pi / 2) ** 2 else float(np.tan(np.sqrt(root)) ** 2)
    numerator = np.array([1, d[0], d[1], d[4]])
    growth = numerator * [1, 3, 5, 7]  # d(r · numerator) / dr, a polynomial in r²
    if d.size == 5:
        return _smallest_root(*growth)
    denominator = np.array([1, *d[5:8]])
    fall = 2 * np.arange(4) * denominator  # r · d(denominator) / dr
    folds = np.convolve(growth, denominator) - np.convolve(numerator, fall)
    return min(_smallest_root(*folds), _smallest_root(*denominator))


def _undistort_fisheye(camera: Camera, seen: np.ndarray, iterations: int) -> np.ndarray:
    """Ideal coordinates of a fisheye lens: Newton's method on the angle from the axis, which alone changes."""
    radius = np.linalg.norm(seen, axis=-1)
    edge = min(float(np.arctan(np.sqrt(distortion_reach(camera)))), np.pi / 2)
    angle = np.minimum(radius, edge)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(iterations):
            distorted, slope = _fisheye_angle(angle, camera.distortion)
            step = (distorted - radius) / slope
            angle = np.clip(angle - step, 0.0, np.pi / 2)
            if not (np.abs(step) > _NEWTON_CONVERGED).any():
                break
        converged = (np.abs(_fisheye_angle(angle, camera.distortion)[0] - radius) < _MAX_RESIDUAL) & (angle < edge)
        stretch = np.where(radius > 0, np.tan(angle) / radius, 1.0)
    return np.where(converged[..., None], seen * stretch[..., None], np.nan)


def _radial_factor(r2: np.ndarray, d: np.ndarray) -> np.ndarray:
    numerator = 1 + r2 * (d[0] + r2 * (d[1] + r2 * d[4]))
    return numerator if d.size == 5 else numerator / (1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7])))


def _radial_slope(r2: np.ndarray, d: np.ndarray) -> np.ndarray:
    """Derivative of `_radial_factor` by r²."""
    slope = d[0] + r2 * (2 * d[1] + 3 * r2 * d[4])
    if d.size == 5:
        return slope
    denominator = 1 + r2 * (d[5] + r2 * (d[6] + r2 * d[7]))
    return (slope - _radial_factor(r2, d) * (d[5] + r2 * (2 * d[6] + 3 * r2 * d[7]))) / denominator


def _fisheye_angle(angle: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """θd of angles θ, and its derivative."""
    a2 = angle * angle
    distorted = angle * (1 + a2 * (d[0] + a2 * (d[1] + a2 * (d[2] + a2 * d[3]))))
    return distorted, 1 + a2 * (3 * d[0] + a2 * (5 * d[1] + a2 * (7 * d[2] + 9 * a2 * d[3])))


def _fisheye_factor(r2: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """θd / r, and its derivative by r²."""
    r = np.sqrt(r2)
    distorted, slope = _fisheye_angle(np.arctan(r), d)
    near = r2 < _NEAR_AXIS
    safe = np.where(near, 1.0, r)
    stretch = np.where(near, 1 + r2 * (d[0] - 1 / 3), distorted / safe)
    return stretch, np.where(near, d[0] - 1 / 3, (slope / (1 + r2) - stretch) / (2 * safe * safe))


@lru_cache
def _smallest_root(*rising: float) -> float:
    """Smallest positive real root of a polynomial, its coefficients from the constant on; infinite without one."""
    roots = np.roots(rising[::-1])
    real = roots.real[(np.abs(roots.imag) < 1e-9 * np.maximum(1.0, np.abs(roots.real))) & (roots.real > 0)]
    return float(real.min(initial=np.inf))


# OpenSim (x, y, z) = world (Y, Z, X): a cyclic permutation, determinant +1 (Pose2Sim's zup2yup).
_FROM_Z_UP = {"z_up": [0, 1, 2], "y_up": [1, 2, 0]}
_TO_Z_UP = {"z_up": [0, 1, 2], "y_up": [2, 0, 1]}


def frame_rotation(source: str, target: str) -> np.ndarray:
    """(3, 3) rotation taking vectors of the frame `source` to the frame `target`."""
    for frame in (source, target):
        if frame not in WORLD_FRAMES:
            raise InputError(f"unknown frame {frame!r}; expected one of {', '.join(WORLD_FRAMES)}.")
    return np.eye(3)[_TO_Z_UP[source]][_FROM_Z_UP[target]]


def change_frame(xyz: np.ndarray, source: str, target: str) -> np.ndarray:
    """Vectors (..., 3) of the frame `source`, expressed in `target`."""
    return np.asarray(xyz) @ frame_rotation(source, target).T


def markers_in_frame(markers: Markers, frame: str) -> Markers:
    """The markers, covariances included, expressed in another named frame ('z_up', 'y_up')."""
    R = frame_rotation(markers.frame, frame)
    covariance = None if markers.covariance is None else R @ markers.covariance @ R.T
    return markers.with_(xyz=markers.xyz @ R.T, covariance=covariance, frame=frame)


def project_points(cameras: Sequence[Camera], xyz: np.ndarray) -> np.ndarray:
    """World points (..., 3) m in each camera's image, with distortion: (views, ..., 2) px; NaN behind a camera.

    Models of the lens: `simspine.core.geometry`.
    """
    xyz = np.asarray(xyz, float)
    return np.stack([project_one(camera, xyz) for camera in cameras])


def project_one(camera: Camera, xyz: np.ndarray) -> np.ndarray:
    """World points (..., 3) m in one camera's image: (..., 2) px; NaN behind the camera."""
    local = camera.R @ xyz.reshape(-1, 3).T + camera.t[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        x, y = np.where(local[2] > 1e-9, local[:2] / local[2], np.nan)
    return to_pixels(camera, np.stack(_distorted(camera, x, y), -1)).reshape(*xyz.shape[:-1], 2)


def points_in_images(cameras: Sequence[Camera], xyz: np.ndarray) -> np.ndarray:
    """(views, ...) bool: whether world points (..., 3) m are in each camera's image."""
    return np.stack(
        [in_image(px, camera.size) for px, camera in zip(project_points(cameras, xyz), cameras, strict=True)]
    )


def in_image(px: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """(...) bool: whether places (..., 2) px are in an image of `size`, whose pixel centres are whole numbers."""
    return np.asarray(((px >= -0.5) & (px < np.array(size) - 0.5)).all(-1))


def nearest_to_rays(centre: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Points (..., landmarks, 3) nearest in least squares to rays (..., n, landmarks, 3) from centres (..., n, 3).

    NaN where fewer than two rays saw the landmark or they are nearly parallel.
    """
    across = np.eye(3) - direction[..., :, None] * direction[..., None, :]
    across = np.where(np.isfinite(across), across, 0.0)
    matrix = across.sum(-4)
    right = np.einsum("...nlij,...nj->...li", across, centre)
    # of two rays at an angle θ the least eigenvalue of Σ (I − d dᵀ) is 1 − |cos θ|; of one ray it is 0
    solvable = np.linalg.eigvalsh(matrix)[..., 0] > 1 - np.cos(LEAST_RAY_ANGLE_RAD)
    solution = np.linalg.solve(np.where(solvable[..., None, None], matrix, np.eye(3)), right[..., None])[..., 0]
    return np.where(solvable[..., None], solution, np.nan)


def to_pixels(camera: Camera, normal: np.ndarray) -> np.ndarray:
    """Normalised image coordinates (..., 2) → pixels, skew included."""
    return normal @ camera.K[:2, :2].T + camera.K[:2, 2]


def undistort_pixels(camera: Camera, pixels: np.ndarray, iterations: int = 50) -> np.ndarray:
    """Pixels (..., 2) → ideal normalised coordinates (..., 2), undoing K and the lens.

    Newton's method; NaN where it does not converge, or converges beyond `distortion_reach`.
    """
    seen = (np.asarray(pixels, float) - camera.K[:2, 2]) @ np.linalg.inv(camera.K[:2, :2]).T
    if camera.lens == "fisheye":
        return _undistort_fisheye(camera, seen, iterations)
    if not camera.distortion.any():
        return seen
    x, y = u, v = _components(seen)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(iterations):
            a, b, c, d = _distortion_slopes(camera, x, y)
            e, f = _distorted(camera, x, y)
            e, f = e - u, f - v
            per_determinant = 1 / (a * d - b * c)
            step_x, step_y = (d * e - b * f) * per_determinant, (a * f - c * e) * per_determinant
            x, y = x - step_x, y - step_y
            if not ((np.abs(step_x) > _NEWTON_CONVERGED) | (np.abs(step_y) > _NEWTON_CONVERGED)).any():
                break
        e, f = _distorted(camera, x, y)
        converged = np.maximum(np.abs(e - u), np.abs(f - v)) < _MAX_RESIDUAL
        converged &= x * x + y * y < distortion_reach(camera)
    return np.where(converged[..., None], np.stack([x, y], -1), np.nan)


def wrap_angles(angles: np.ndarray) -> np.ndarray:
    """Angles (rad) by the shorter way round: in [−π, π)."""
    return (np.asarray(angles, float) + np.pi) % (2 * np.pi) - np.pi


def kabsch(covariance: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) R with the largest trace(Rᵀ covariance): Kabsch 1976, with the reflection excluded.

    covariance: (..., 3, 3) Σ w target sourceᵀ of centred points.
    """
    u, _, vt = np.linalg.svd(covariance)
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def rigid_fit(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (..., 3, 3) and translation (..., 3) with `R @ source + t ≈ target` in weighted least squares.

    source, target: (..., points, 3); points with NaN in either are left out.
    """
    source, target = np.broadcast_arrays(np.asarray(source, float), np.asarray(target, float))
    present = np.isfinite(source).all(-1) & np.isfinite(target).all(-1)
    w = present.astype(float) if weights is None else np.where(present, weights, 0.0)
    if (np.count_nonzero(w, axis=-1) < 3).any():
        raise InputError("a rigid fit needs at least three points present in both sets.")
    source, target = np.where(present[..., None], source, 0.0), np.where(present[..., None], target, 0.0)
    total = w.sum(-1)[..., None]
    a = (w[..., None] * source).sum(-2) / total
    b = (w[..., None] * target).sum(-2) / total
    covariance = np.einsum("...p,...pi,...pj->...ij", w, target - b[..., None, :], source - a[..., None, :])
    rotation = kabsch(covariance)
    return rotation, b - np.einsum("...ij,...j->...i", rotation, a)


_OTHER_UNITS = (  # ratios to metres: least, largest
    ("feet", 2.7, 4.0), ("decimetres", 7.0, 14.0), ("centimetres", 30.0, 300.0), ("millimetres", 300.0, 3000.0),
)  # fmt: skip


def angle_between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between vectors (..., 3): rad, 0…π."""
    return np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(-1))


def rotation_angle(rotation: np.ndarray) -> np.ndarray:
    """Angle of rotations (..., 3, 3) about their axis: rad, 0…π."""
    return np.arccos(np.clip((np.trace(rotation, axis1=-2, axis2=-1) - 1) / 2, -1, 1))


def off_vertical(markers: Markers, lower: str, upper: str) -> np.ndarray:
    """(frames,) rad: angle between the vertical and the line from marker `lower` to marker `upper`. markers: y_up."""
    up = markers.xyz[:, markers.index(upper)] - markers.xyz[:, markers.index(lower)]
    return np.arccos(np.clip(up[:, 1] / np.linalg.norm(up, axis=-1), -1, 1))


def unit_of_ratio(ratio: float) -> str | None:
    """The probable unit of lengths that are `ratio` times as large as in metres; None where no unit fits."""
    return next((name for name, low, high in _OTHER_UNITS if low < ratio < high), None)


def rms_radius(xyz: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(frames,) m: RMS distance of points (frames, points, 3) from their centroid, where `present` (frames, points)."""
    xyz, count = np.where(present[..., None], xyz, 0.0), present.sum(1)[:, None]
    centre = xyz.sum(1) / count
    off = np.where(present, np.linalg.norm(xyz - centre[:, None], axis=-1), 0.0)
    return np.sqrt((off**2).sum(1) / count[:, 0])


# Rotations as angles about body-fixed axes, continuous in time. Axes of the model: x forward, y up, z right.
# Z-X-Y for a child on its parent, as the model's spinal joints are built. Y-X-Z for a segment in space, whose first
# angle is then the heading and whose others do not depend on it (Baker 2001, Gait Posture 13:1). Both lose
# one angle only where the second reaches ±90°.
NEAR_GIMBAL_LOCK_RAD = np.radians(60.0)  # the other angle triple is considered only beyond this second angle
GIMBAL_LOCK_COSINE = 1e-7  # of the second angle; below it only the first ± third angle is defined
CHANGED_TOLERANCE_RAD = 1e-6  # a smaller difference from the principal value is rounding


def as_rotations(poses: np.ndarray, name: str = "poses") -> np.ndarray:
    """Rotations (frames, 3, 3) of poses (frames, 4, 4) or (frames, 3, 3); one frame may lack its axis."""
    poses = np.asarray(poses, float)
    if poses.ndim == 2:
        poses = poses[None]
    if poses.ndim != 3 or poses.shape[1:] not in ((3, 3), (4, 4)):
        raise InputError(f"{name} have shape {poses.shape}, expected (frames, 4, 4) or (frames, 3, 3).")
    return poses[:, :3, :3]


def zxy_angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (frames, 3) rad about z, x, y of R = Rz Rx Ry, continuous in time; (frames,) bool: changed for that."""
    r = as_rotations(rotation, "rotations")
    first, third = np.arctan2(-r[:, 0, 1], r[:, 1, 1]), np.arctan2(-r[:, 2, 0], r[:, 2, 2])
    # At lock R depends on first ± third only: R00, R10 are the cosine and sine of that sum.
    return _continuous_triple(first, r[:, 2, 1], third, (r[:, 1, 0], r[:, 0, 0]), sign=1.0)


def yxz_angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (frames, 3) rad about y, x, z of R = Ry Rx Rz, continuous in time; (frames,) bool: changed for that."""
    r = as_rotations(rotation, "rotations")
    first, third = np.arctan2(r[:, 0, 2], r[:, 2, 2]), np.arctan2(r[:, 1, 0], r[:, 1, 1])
    return _continuous_triple(first, -r[:, 1, 2], third, (-r[:, 2, 0], r[:, 0, 0]), sign=-1.0)


def _continuous_triple(first: np.ndarray, sine: np.ndarray, third: np.ndarray, total: tuple, sign: float):
    """Continuous triple from its parts. At lock the third angle keeps its last value, and the first is the rest of
    first ± third, whose sine and cosine are `total`."""
    second = np.arcsin(np.clip(sine, -1.0, 1.0))
    locked = np.abs(np.cos(second)) < GIMBAL_LOCK_COSINE
    if locked.any():
        last = np.maximum.accumulate(np.where(locked | np.isnan(third), -1, np.arange(len(third))))
        kept = np.where(last >= 0, third[last], 0.0)
        first = np.where(locked, np.arctan2(*total) - sign * np.sign(second) * kept, first)
        third = np.where(locked, kept, third)
    return continuous_angles(np.stack([first, second, third], -1))


def other_angle_branch(angles: np.ndarray) -> np.ndarray:
    """The other triple (..., 3) rad of the same rotation about three perpendicular axes: (a + π, π − b, c + π)."""
    a, b, c = np.moveaxis(np.asarray(angles, float), -1, 0)
    return np.stack([a + np.pi, np.pi - b, c + np.pi], -1)


def nearest_angle_branch(angles: np.ndarray, may_change: np.ndarray | bool = True) -> np.ndarray:
    """Angle triples (frames, 3) rad: of the two of each rotation, the one nearer to the frame before.

    may_change: (frames − 1,) bool, the steps in which the branch may change."""
    other = other_angle_branch(angles)
    stay = np.abs(wrap_angles(angles[1:] - angles[:-1])).sum(-1)
    swap = np.abs(wrap_angles(other[1:] - angles[:-1])).sum(-1)
    # Both triples take the same steps, so a change of branch does not depend on the current branch: a parity.
    parity = np.concatenate([[False], np.cumsum((swap < stay) & may_change) % 2 == 1])[: len(angles)]
    return np.where(parity[:, None], other, angles)


def continuous_angles(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angle triples (frames, 3) rad without gimbal wraps, NaN gaps kept; (frames,) bool: which frames were changed.

    A rotation has two triples (`other_angle_branch`). Near lock (|b| > 60° on both sides of a step) the one nearer to
    the frame before is taken; elsewhere a large step is motion or a fault, and left for quality control to see. Then
    whole turns are removed.
    """
    angles = np.asarray(angles, float)
    out = angles.copy()
    valid = np.isfinite(angles).all(-1)
    a = angles[valid]
    if (
        len(a) == len(angles)
        and np.abs(a[:, 1]).max(initial=0.0) <= NEAR_GIMBAL_LOCK_RAD
        and np.abs(np.diff(a, axis=0)).max(initial=0.0) <= np.pi
    ):
        return out, np.zeros(len(out), bool)
    near = np.minimum(np.abs(a[1:, 1]), np.abs(a[:-1, 1])) > NEAR_GIMBAL_LOCK_RAD
    out[valid] = np.unwrap(nearest_angle_branch(a, near), axis=0)
    changed = valid & (np.nan_to_num(np.abs(out - angles)).max(-1) > CHANGED_TOLERANCE_RAD)
    return out, changed


def smooth_curve(points: np.ndarray, per_span: int = 12) -> np.ndarray:
    """(n, 2) points joined by a natural cubic spline over chord length: ((n − 1)·per_span + 1, 2)."""
    points = np.asarray(points, float).reshape(-1, 2)
    length = distances_along(points)
    keep = np.concatenate([[True], np.diff(length) > 1e-9])
    points, length = points[keep[: len(points)]], length[keep[: len(length)]]
    if len(points) < 3:
        return points
    from scipy.interpolate import CubicSpline

    stations = np.concatenate([np.linspace(a, b, per_span, endpoint=False) for a, b in pairwise(length)])
    return CubicSpline(length, points, bc_type="natural")(np.append(stations, length[-1]))


def evenly_along(points: np.ndarray, count: int) -> np.ndarray:
    """(count, axes) points at equal distances along a polyline (n, axes), both ends included."""
    along = distances_along(points)
    stations = np.linspace(0.0, along[-1], count)
    return np.column_stack([np.interp(stations, along, axis) for axis in points.T])


def thinned_line(points: np.ndarray, parts: int) -> np.ndarray:
    """Ends of a line (n, axes), and means of `parts` equal stretches: errors of dense points lengthen a line."""
    chord = points[-1] - points[0]
    share = (points[1:-1] - points[0]) @ chord / np.maximum(chord @ chord, 1e-300)
    stretch = np.clip(parts * share, 0, parts - 1).astype(int)
    return np.vstack([points[0], *(points[1:-1][stretch == k].mean(0) for k in np.unique(stretch)), points[-1]])


def distances_along(points: np.ndarray) -> np.ndarray:
    """(n,) distances along a polyline (n, axes) from its first point, in the points' unit."""
    return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])


def distance_from_segment(places: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Distances (...) of places, or colours, (..., axes) from the segments between two others."""
    along = second - first
    share = np.clip(((places - first) * along).sum(-1) / np.maximum((along * along).sum(-1), 1e-9), 0.0, 1.0)
    return np.linalg.norm(places - first - share[..., None] * along, axis=-1)


def triples_out_of_order(points: np.ndarray, slack: float = 0.0) -> list[tuple[int, int, int]]:
    """Indices of three points of a chain (frames, points, 3) m whose outer two are not the farthest apart, by the
    median over frames and by more than `slack`, m. They do not lie in this order, unless the chain turns back."""
    count = points.shape[1]
    distances = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    apart = median_of_known(distances.reshape(len(points), count**2).T).reshape(count, count)
    return [
        (i, j, k) for i, j, k in combinations(range(count), 3) if apart[i, k] + slack < max(apart[i, j], apart[j, k])
    ]
