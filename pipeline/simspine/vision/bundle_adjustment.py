"""Bundle adjustment over the points of a moving person: robust estimate of cameras and points about a calibration.

Triggs et al. 2000, "Bundle adjustment — a modern synthesis". Points are eliminated frame by frame (Schur complement):
the cost is linear in the number of frames. Three things are particular:

- The calibration is a prior, so that parameters which the recording does not determine keep their values: the
  world's frame and scale are the calibration's.
- Limbs keep their lengths, which are unknown. That constrains depth where views are few.
- Errors of detected points last for many frames, and neighbours share them. Observations are therefore weighted as the
  number of independent observations that they are worth, in the estimate and in its covariance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import radians
from typing import NamedTuple

import numpy as np
import scipy

from simspine.core.errors import InputError
from simspine.core.geometry import distort_points, distortion_derivative, to_pixels
from simspine.core.types import Camera

CAMERA_PARAMETER_NAMES = (
    "rotation_x", "rotation_y", "rotation_z", "position_x", "position_y", "position_z", "focal", "centre_x", "centre_y",
    "radial", "time", "drift",
)  # fmt: skip
GEOMETRY_PARAMETERS = 10  # number of parameters of the camera itself; the last two are those of its clock


@dataclass(frozen=True)
class CameraPrior:
    """Standard deviations of a calibration's errors about zero. 0 keeps the calibration's value.

    Attributes
    ----------
    rotation : float
        About each of the camera's axes (right, down, forward), rad.
    position : float
        Along each of these axes, m.
    focal : float
        Relative change of both focal lengths.
    centre_px : float
        Of the principal point, px.
    radial : float
        Of the distortion coefficient k1.
    time, drift : float
        Delay of the view, and the increase of that delay from the first to the last frame, frames.
    """

    rotation: float = radians(0.5)
    position: float = 0.02
    focal: float = 0.01
    centre_px: float = 10.0
    radial: float = 0.01
    time: float = 0.0
    drift: float = 0.0

    def __post_init__(self):
        values = self.deviations()
        if not np.isfinite(values).all() or (values < 0).any():
            raise InputError(f"standard deviations of cameras must be at least 0 and finite; got {self}.")

    def deviations(self) -> np.ndarray:
        """Standard deviations in the order of `CAMERA_PARAMETER_NAMES`."""
        pose = [self.rotation] * 3 + [self.position] * 3
        return np.array([*pose, self.focal, self.centre_px, self.centre_px, self.radial, self.time, self.drift], float)


def changed_camera(camera: Camera, change: np.ndarray) -> Camera:
    """A camera after a change (in the order of `CAMERA_PARAMETER_NAMES`; those of the clock are ignored).

    It turns about and moves along its own axes: right, down, forward. Values are not checked, unlike `Camera.with_`.
    """
    change = np.asarray(change, float)
    R = scipy.spatial.transform.Rotation.from_rotvec(change[:3]).as_matrix() @ camera.R
    centre = camera.centre + camera.R.T @ change[3:6]
    K = camera.K.copy()
    K[:2, :2] *= np.exp(change[6])
    K[:2, 2] += change[7:9]
    distortion = camera.distortion.copy()
    distortion[0] += change[9]
    return camera.with_unchecked(K=K, distortion=distortion, R=R, t=-R @ centre)


ROBUST_TAIL_SD = 2.0  # standard deviations from which an observation's influence declines (Cauchy)
LIMB_LENGTH_SD_M = 0.015  # m: standard deviation of a detected limb's length about its mean
BONE_LENGTH_SD_M = 0.3  # m: prior standard deviation of a limb's length
MAX_BUNDLE_ITERATIONS = 20
BUNDLE_CONVERGED_SHARE = 0.01  # converged when no parameter moves by more than this share of its prior deviation
MAX_POINT_MOVE_M = 0.1  # m: standard deviation of a point's move in a step (damping)
MAX_PARAMETER_STEP_SD = 1.0  # prior standard deviations: largest step of a parameter
TURN_STEP, RADIAL_STEP = 1e-5, 1e-4  # of difference quotients, rad and of k1
MIN_POINT_CORRELATION = 0.2  # correlation of two points' residuals that is more than chance
MIN_BUNDLE_NOISE_PX = 0.05  # px: no detector is more precise
MIN_POINT_INFORMATION = 1e-3  # 1/m²: keeps the equations of unseen points solvable


@dataclass(frozen=True)
class SeenImagePoints:
    """Observations of points by several cameras, in frames that need not be consecutive.

    xy: (frames, views, points, 2) px, NaN = not seen. velocity: of xy, the same shape, px per frame. frame: (frames,)
    position in the recording, -0.5 for its first to 0.5 for its last. limb_pairs: pairs of points at constant distance.
    """

    xy: np.ndarray
    velocity: np.ndarray
    frame: np.ndarray
    limb_pairs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Adjustment:
    """Cameras and points after bundle adjustment.

    parameter_change: (views, parameters) in the order of `CAMERA_PARAMETER_NAMES`. covariance: of all changes,
    flattened. xyz: (frames, points, 3) m. noise_px: standard deviation of one image coordinate. variance_inflation:
    number of observations, over frames and points, that share an error. error_px: (frames, views, points) residuals.
    """

    cameras: list[Camera]
    parameter_change: np.ndarray
    covariance: np.ndarray
    xyz: np.ndarray
    noise_px: float
    variance_inflation: float
    error_px: np.ndarray


def adjust_bundle(
    seen: SeenImagePoints,
    cameras: Sequence[Camera],
    xyz: np.ndarray,
    prior: CameraPrior,
    start: np.ndarray | None = None,
) -> Adjustment:
    """The most probable cameras and points, starting from points (frames, points, 3) m, NaN = none.

    The first view's clock is the reference. start: initial changes of the cameras (default: none). Observations of
    points without a start do not count.
    """
    deviation = np.tile(prior.deviations(), (len(cameras), 1))
    deviation[0, GEOMETRY_PARAMETERS:] = 0.0
    change = np.zeros_like(deviation) if start is None else start.copy()
    there = np.isfinite(seen.xy).all(-1) & np.isfinite(xyz).all(-1)[:, None]
    xyz = np.nan_to_num(xyz)
    lengths = np.array([_typical_length(xyz, there, a, b) for a, b in seen.limb_pairs])
    for _ in range(MAX_BUNDLE_ITERATIONS):
        slopes = linearised_residuals(seen, cameras, change, xyz=xyz, deviation=deviation)
        there &= np.isfinite(slopes.residual).all(-1)  # not behind a camera
        slopes.residual[~there] = 0.0
        weights = _observation_weights(slopes.residual, there)
        limbs = _Limbs(seen.limb_pairs, xyz, lengths)
        system = _bundle_equations(slopes, weights, limbs, damping=1 / MAX_POINT_MOVE_M**2)
        step, moves, lengthened = _bundle_step(system, change, deviation)
        change = change + np.clip(step, -MAX_PARAMETER_STEP_SD, MAX_PARAMETER_STEP_SD) * deviation
        xyz, lengths = xyz + moves, lengths + lengthened
        if np.abs(step).max(initial=0.0) < BUNDLE_CONVERGED_SHARE:
            break
    slopes = linearised_residuals(seen, cameras, change, xyz=xyz, deviation=deviation)
    slopes.residual[~there] = 0.0
    system = _bundle_equations(slopes, weights, _Limbs(seen.limb_pairs, xyz, lengths), damping=0.0)
    return Adjustment(
        cameras=[changed_camera(camera, row).with_() for camera, row in zip(cameras, change, strict=True)],
        parameter_change=change,
        covariance=_camera_covariance(system, deviation),
        xyz=np.where(there.any(1)[..., None], xyz, np.nan),
        noise_px=weights.noise_px,
        variance_inflation=weights.variance_inflation,
        error_px=np.where(there, np.linalg.norm(slopes.residual, axis=-1), np.nan),
    )


class LinearisedResiduals(NamedTuple):
    """residual: (frames, views, points, 2) px, observed minus predicted. Derivatives of predicted points: by_camera (f,
    v, p, 2, parameters), per prior deviation of the parameter; by_point (f, v, p, 2, 3), px/m."""

    residual: np.ndarray
    by_camera: np.ndarray
    by_point: np.ndarray


def linearised_residuals(
    seen: SeenImagePoints, cameras: Sequence[Camera], change: np.ndarray, xyz: np.ndarray, deviation: np.ndarray
) -> LinearisedResiduals:
    """Residuals of points (f, p, 3) m after a change of the cameras (v, parameters), and their derivatives."""
    clock = np.stack([np.ones_like(seen.frame), seen.frame], -1)
    by_clock = -np.nan_to_num(seen.velocity)[..., None] * clock[:, None, None, None]
    views = [_linearised_view(camera, row, xyz) for camera, row in zip(cameras, change, strict=True)]
    image, by_camera, by_point = (np.stack(values, 1) for values in zip(*views, strict=True))
    predicted = image + np.einsum("fvpxk,vk->fvpx", by_clock, change[:, GEOMETRY_PARAMETERS:])
    by_camera = np.nan_to_num(np.concatenate([by_camera, by_clock], -1)) * deviation[:, None, None]
    return LinearisedResiduals(seen.xy - predicted, by_camera, np.nan_to_num(by_point))


def _linearised_view(camera: Camera, change: np.ndarray, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (f, p, 2) of the points in one camera after a change of it; derivatives as above, without the clock's."""
    moved = changed_camera(camera, change).with_()
    local = xyz @ moved.R.T + moved.t
    depth = np.where(local[..., 2:] > 1e-9, local[..., 2:], np.nan)
    normal = local[..., :2] / depth
    image = to_pixels(moved, distort_points(moved, normal))
    lens = moved.K[:2, :2] @ np.moveaxis(distortion_derivative(moved, normal), (0, 1), (-2, -1))
    by_point = np.concatenate([lens, -(lens @ normal[..., None])], -1) / depth[..., None] @ moved.R
    by_camera, rows = np.zeros((*image.shape, GEOMETRY_PARAMETERS)), np.eye(len(CAMERA_PARAMETER_NAMES))
    for axis in range(3):  # a turn of the camera moves the points the other way
        ahead, behind = (changed_camera(camera, change + step * rows[axis]).R for step in (TURN_STEP, -TURN_STEP))
        shift = (xyz - moved.centre) @ (ahead - behind).T @ moved.R / (2 * TURN_STEP)
        by_camera[..., axis] = (by_point @ shift[..., None])[..., 0]
    by_camera[..., 3:6] = -by_point @ camera.R.T
    by_camera[..., 6] = image - moved.K[:2, 2]
    by_camera[..., 7:9] = np.eye(2)
    more, less = (distort_points(changed_camera(moved, k1 * rows[9]), normal) for k1 in (RADIAL_STEP, -RADIAL_STEP))
    by_camera[..., 9] = (more - less) @ moved.K[:2, :2].T / (2 * RADIAL_STEP)
    return image, by_camera, by_point


class _Weights(NamedTuple):
    """weight: (f, v, p), 1 / variance of each observation, 0 = none."""

    weight: np.ndarray
    noise_px: float
    variance_inflation: float


def _observation_weights(residual: np.ndarray, there: np.ndarray) -> _Weights:
    """Robust weights, the noise that they are from, and the variance inflation.

    All views have one noise: with one each, points can fit a view exactly, so that its noise vanishes. The noise is
    corrected for the degrees of freedom that the three coordinates of each point use.
    """
    views = there.sum(1)
    free_share = 1 - 3 * (views > 0).sum() / max(2 * views.sum(), 1)
    median = np.median(np.abs(residual[there])) if there.any() else np.inf
    noise = max(MIN_BUNDLE_NOISE_PX, 1.4826 * float(median) / np.sqrt(max(free_share, 0.1)))
    size = np.linalg.norm(residual, axis=-1) / noise
    weight = there / (noise**2 * (1 + (size / ROBUST_TAIL_SD) ** 2))
    clipped = np.where(there[..., None], np.clip(residual / noise, -ROBUST_TAIL_SD, ROBUST_TAIL_SD), 0.0)
    return _Weights(weight, noise, _autocorrelation_time(clipped, there) * _points_erring_together(clipped))


def _autocorrelation_time(residual: np.ndarray, there: np.ndarray) -> float:
    """Integrated autocorrelation time of clipped residuals, from 1 to the number of frames.

    The mean is not subtracted: a lasting error is one error.
    """
    frames, present = len(residual), there.astype(float)
    variance = (residual**2).sum() / max(2 * present.sum(), 1.0)
    total = 1.0
    for lag in range(1, frames):
        both = 2 * (present[lag:] * present[:-lag]).sum()
        correlation = (residual[lag:] * residual[:-lag]).sum() / both / variance if both and variance else 0.0
        if correlation < 0.05:
            break
        total += 2 * (1 - lag / frames) * correlation
    return float(np.clip(total, 1.0, frames))


def _points_erring_together(residual: np.ndarray) -> float:
    """Number of points of a view that share an error: mean row sum of their correlations, without small ones; ≥ 1."""
    values = residual.swapaxes(2, 3).reshape(-1, residual.shape[2])
    product = values.T @ values
    size = np.sqrt(np.maximum(np.diag(product), 1e-12))
    correlation = product / np.outer(size, size)
    return max(1.0, float(np.where(correlation > MIN_POINT_CORRELATION, correlation, 0.0).sum(1).mean()))


def _typical_length(xyz: np.ndarray, there: np.ndarray, a: int, b: int) -> float:
    """Median distance (m) of two points; 0 where never seen together."""
    both = (there[:, :, a].any(1)) & (there[:, :, b].any(1))
    return float(np.median(np.linalg.norm(xyz[both, a] - xyz[both, b], axis=-1))) if both.any() else 0.0


# The equations of a step. Unknowns of a frame (places of points) are eliminated frame by frame.


@dataclass(frozen=True)
class _BlockSystem:
    """Normal equations with m unknowns of each frame and g unknowns shared by all frames; side: right-hand side.

    frames: (f, m, m) of each frame's unknowns, frame_side: (f, m). whole: (g, g) of the shared ones, whole_side: (g,).
    coupling: (f, m, g). groups: arrays (n, size) of a frame's unknowns; those of different rows share no equation.
    """

    frames: np.ndarray
    frame_side: np.ndarray
    coupling: np.ndarray
    whole: np.ndarray
    whole_side: np.ndarray
    groups: tuple[np.ndarray, ...]

    def reduced(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Matrix and right-hand side of the shared unknowns alone (Schur complement), then `follow` and `own`. The
        frames' unknowns are own (f, m) − follow (f, m, g) @ shared unknowns."""
        right = np.concatenate([self.coupling, self.frame_side[..., None]], -1)
        solved = np.empty_like(right)
        for rows in self.groups:
            solved[:, rows] = np.linalg.solve(self.frames[:, rows[:, :, None], rows[:, None]], right[:, rows])
        follow, own = solved[..., :-1], solved[..., -1]
        flat = self.coupling.reshape(-1, len(self.whole))
        matrix = self.whole - flat.T @ follow.reshape(-1, len(self.whole))
        return matrix, self.whole_side - flat.T @ own.ravel(), follow, own


class _Limbs(NamedTuple):
    """pairs: indices of points. xyz: (f, p, 3) m, of all points. lengths: (pairs,) m, current estimates."""

    pairs: tuple[tuple[int, int], ...]
    xyz: np.ndarray
    lengths: np.ndarray


def _bundle_equations(slopes: LinearisedResiduals, weights: _Weights, limbs: _Limbs, damping: float) -> _BlockSystem:
    """Equations of one step. A frame's unknowns are points; shared ones are cameras' parameters and limbs' lengths."""
    f, v, p, _ = slopes.residual.shape
    k = slopes.by_camera.shape[-1]
    weight = weights.weight / weights.variance_inflation
    weighted = weight[..., None, None] * slopes.by_point
    shared = v * k + len(limbs.pairs)
    system = _BlockSystem(
        frames=np.zeros((f, 3 * p, 3 * p)),
        frame_side=np.einsum("fvpxi,fvpx->fpi", weighted, slopes.residual).reshape(f, -1),
        coupling=np.zeros((f, 3 * p, shared)),
        whole=np.zeros((shared, shared)),
        whole_side=np.zeros(shared),
        groups=_groups_of_points(p, limbs.pairs),
    )
    normal = np.einsum("fvpxi,fvpxj->pfij", weighted, slopes.by_point, optimize=True)
    normal += (damping + MIN_POINT_INFORMATION) / weights.variance_inflation * np.eye(3)
    system.frames.reshape(f, p, 3, p, 3)[:, range(p), :, range(p)] = normal
    coupled = weighted.swapaxes(-1, -2) @ slopes.by_camera  # (f, v, p, 3, parameters)
    system.coupling[..., : v * k] = coupled.transpose(0, 2, 3, 1, 4).reshape(f, 3 * p, v * k)
    for view in range(v):
        rows, slope = slice(view * k, (view + 1) * k), slopes.by_camera[:, view].reshape(-1, k)
        flat = np.repeat(weight[:, view].ravel(), 2)[:, None] * slope
        system.whole[rows, rows] = flat.T @ slope
        system.whole_side[rows] = flat.T @ slopes.residual[:, view].ravel()
    precision = (weight.sum(1) > 0) / (LIMB_LENGTH_SD_M**2 * weights.variance_inflation)
    for limb in range(len(limbs.pairs)):
        _add_limb(system, limbs, limb, column=v * k + limb, precision=precision)
    return system


def _groups_of_points(points: int, pairs: Sequence[tuple[int, int]]) -> tuple[np.ndarray, ...]:
    """Groups of a frame's coordinates: those of all points of limbs as one, each other point as one."""
    on_limbs = sorted({i for pair in pairs for i in pair})
    others = [i for i in range(points) if i not in on_limbs]
    coordinates = np.arange(3 * points).reshape(points, 3)
    groups = (coordinates[on_limbs].reshape(1, -1), coordinates[others])
    return tuple(group for group in groups if group.size)


def _add_limb(system: _BlockSystem, limbs: _Limbs, limb: int, column: int, precision: np.ndarray) -> None:
    """Add the equations of a limb of constant length. column: of the length among the shared unknowns. precision:
    (f, p) 1 / variance, 0 where a point was not seen."""
    ends = limbs.pairs[limb]
    strength = precision[:, ends].min(1)
    difference = limbs.xyz[:, ends[0]] - limbs.xyz[:, ends[1]]
    distance = np.maximum(np.linalg.norm(difference, axis=-1), 1e-6)
    direction = difference / distance[:, None]
    outer = strength[:, None, None] * direction[:, :, None] * direction[:, None]
    miss = strength * (limbs.lengths[limb] - distance)
    a, b = (slice(3 * end, 3 * end + 3) for end in ends)
    for own, other, sign in ((a, b, 1), (b, a, -1)):
        system.frames[:, own, own] += outer
        system.frames[:, own, other] -= outer
        system.frame_side[:, own] += sign * miss[:, None] * direction
        system.coupling[:, own, column] -= sign * strength[:, None] * direction
    system.whole[column, column] += strength.sum()
    system.whole_side[column] -= miss.sum()


def _bundle_step(
    system: _BlockSystem, change: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Step of the cameras (views, parameters) in prior deviations, of the points (f, p, 3) m, of the lengths, m."""
    matrix, side, follow, own = system.reduced()
    used = _add_priors(matrix, deviation)
    side[: change.size] -= (change / np.where(deviation > 0, deviation, 1.0)).ravel()
    step = np.zeros(len(matrix))
    step[used] = np.linalg.solve(matrix[np.ix_(used, used)], side[used])
    moves = (own - follow @ step).reshape(len(own), -1, 3)
    return step[: change.size].reshape(change.shape), moves, step[change.size :]


def _camera_covariance(system: _BlockSystem, deviation: np.ndarray) -> np.ndarray:
    """Covariance of the cameras' parameters; 0 for those that are not estimated."""
    matrix = system.reduced()[0]
    used = _add_priors(matrix, deviation)
    inverse = np.linalg.inv(matrix[np.ix_(used, used)])
    free = used[: deviation.size]
    covariance = np.zeros((deviation.size, deviation.size))
    covariance[np.ix_(free, free)] = inverse[: free.sum(), : free.sum()]
    return covariance * np.outer(deviation, deviation)


def _add_priors(matrix: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Add priors of the cameras' parameters and weak ones of lengths; gives (unknowns,) bool: parameters estimated."""
    lengths = len(matrix) - deviation.size
    matrix += np.diag(np.r_[np.ones(deviation.size), np.full(lengths, 1 / BONE_LENGTH_SD_M**2)])
    return np.r_[deviation.ravel() > 0, np.ones(lengths, bool)]
