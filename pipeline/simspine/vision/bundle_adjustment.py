"""Bundle adjustment over the points of a moving person: cameras and points together, robustly, about a calibration.

Triggs et al. 2000, "Bundle adjustment — a modern synthesis". Points are eliminated frame by frame (Schur complement):
the cost grows with the number of frames only. Three things are particular:

- What the calibration says is a prior, so that directions which the recording does not show stay where they were: the
  world's frame and scale are the calibration's.
- Limbs keep their lengths, which are unknown. That ties depth where views are few.
- Errors of detected points last for many frames, and neighbours share them. What the images say therefore counts as
  the number of independent observations they amount to, in the estimate and in its covariance.
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
GEOMETRY_PARAMETERS = 10  # of them are the camera's own; the last two are its clock's


@dataclass(frozen=True)
class CameraPrior:
    """Standard deviations of a calibration's errors about zero. 0 keeps what the calibration says.

    Attributes
    ----------
    rotation : float
        About each of the camera's axes (right, down, forward), rad.
    position : float
        Along them, m.
    focal : float
        Relative change of both focal lengths.
    centre_px : float
        Of the principal point, px.
    radial : float
        Of k1.
    time, drift : float
        Frames that the view is late, and that it gets later from the first to the last frame.
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
        """In the order of `CAMERA_PARAMETER_NAMES`."""
        three = [self.rotation] * 3 + [self.position] * 3
        return np.array([*three, self.focal, self.centre_px, self.centre_px, self.radial, self.time, self.drift], float)


def changed_camera(camera: Camera, change: np.ndarray) -> Camera:
    """A camera after a change (in the order of `CAMERA_PARAMETER_NAMES`; those of the clock do not matter here).

    It turns and moves along its own axes: right, down, forward. Its numbers are not checked (`Camera.with_`).
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


ROBUST_TAIL_SD = 2.0  # standard deviations from which an observation's pull declines (Cauchy)
LIMB_LENGTH_SD_M = 0.015  # m: how far a detected limb's length wanders about its mean
BONE_LENGTH_SD_M = 0.3  # m: what is known of a limb's length beforehand
MAX_BUNDLE_ITERATIONS = 20
BUNDLE_CONVERGED_SHARE = 0.01  # done when no parameter moves by more than this share of its deviation
MAX_POINT_MOVE_M = 0.1  # m: how far a step moves a point that little holds
MAX_PARAMETER_STEP_SD = 1.0  # deviations: how far a step moves a parameter at most
TURN_STEP, RADIAL_STEP = 1e-5, 1e-4  # of difference quotients, rad and of k1
MIN_POINT_CORRELATION = 0.2  # correlation of two points' residuals that does not come about by chance
MIN_BUNDLE_NOISE_PX = 0.05  # px: nothing detects better
MIN_POINT_INFORMATION = 1e-3  # 1/m²: keeps the equations of unseen points solvable


@dataclass(frozen=True)
class SeenImagePoints:
    """What several cameras saw of points, of frames that need not follow one another closely.

    xy: (frames, views, points, 2) px, NaN = nothing. velocity: the same shape, px per frame, of what was seen. frame:
    (frames,) from -0.5 for the recording's first to 0.5 for its last. limb_pairs: of points at a constant distance.
    """

    xy: np.ndarray
    velocity: np.ndarray
    frame: np.ndarray
    limb_pairs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Adjustment:
    """Cameras and points that agree.

    parameter_change: (views, parameters) in the order of `CAMERA_PARAMETER_NAMES`. covariance: of all changes,
    flattened. xyz: (frames, points, 3) m. noise_px: standard deviation of one image coordinate. variance_inflation: how
    many observations say the same, over frames and points. error_px: (frames, views, points) left over.
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

    The first view's clock is the reference. start: changes of the cameras to begin with (default: none). Observations
    of points without a start do not count.
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
    """residual: (f, v, p, 2) px, observed minus predicted. by_camera: (f, v, p, 2, parameters), derivatives of what is
    predicted, per deviation of the parameter. by_point: (f, v, p, 2, 3), px/m."""

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
    shown = image + np.einsum("fvpxk,vk->fvpx", by_clock, change[:, GEOMETRY_PARAMETERS:])
    by_camera = np.nan_to_num(np.concatenate([by_camera, by_clock], -1)) * deviation[:, None, None]
    return LinearisedResiduals(seen.xy - shown, by_camera, np.nan_to_num(by_point))


def _linearised_view(camera: Camera, change: np.ndarray, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where one camera shows the points (f, p, 2) after a change of it; derivatives as above, without the clock's."""
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
    """Robust weights, the noise that they are from, and how many observations say the same.

    One noise for all views: with one each, points can be laid onto a view whose noise then vanishes. What the three
    coordinates of each point take up is given back.
    """
    views = there.sum(1)
    left = 1 - 3 * (views > 0).sum() / max(2 * views.sum(), 1)
    spread = np.median(np.abs(residual[there])) if there.any() else np.inf
    noise = max(MIN_BUNDLE_NOISE_PX, 1.4826 * float(spread) / np.sqrt(max(left, 0.1)))
    size = np.linalg.norm(residual, axis=-1) / noise
    weight = there / (noise**2 * (1 + (size / ROBUST_TAIL_SD) ** 2))
    cut = np.where(there[..., None], np.clip(residual / noise, -ROBUST_TAIL_SD, ROBUST_TAIL_SD), 0.0)
    return _Weights(weight, noise, _autocorrelation_time(cut, there) * _points_erring_together(cut))


def _autocorrelation_time(residual: np.ndarray, there: np.ndarray) -> float:
    """Integrated autocorrelation time of cut residuals in frames, from 1 to as many as there are.

    Their mean is not taken off: an error that lasts is one error.
    """
    frames, pairs = len(residual), there.astype(float)
    spread = (residual**2).sum() / max(2 * pairs.sum(), 1.0)
    total = 1.0
    for lag in range(1, frames):
        both = 2 * (pairs[lag:] * pairs[:-lag]).sum()
        correlation = (residual[lag:] * residual[:-lag]).sum() / both / spread if both and spread else 0.0
        if correlation < 0.05:
            break
        total += 2 * (1 - lag / frames) * correlation
    return float(np.clip(total, 1.0, frames))


def _points_erring_together(residual: np.ndarray) -> float:
    """How many points of a view err together: mean row sum of their correlations above `MIN_POINT_CORRELATION`, at
    least 1."""
    values = residual.swapaxes(2, 3).reshape(-1, residual.shape[2])
    product = values.T @ values
    size = np.sqrt(np.maximum(np.diag(product), 1e-12))
    correlation = product / np.outer(size, size)
    return max(1.0, float(np.where(correlation > MIN_POINT_CORRELATION, correlation, 0.0).sum(1).mean()))


def _typical_length(xyz: np.ndarray, there: np.ndarray, a: int, b: int) -> float:
    both = (there[:, :, a].any(1)) & (there[:, :, b].any(1))
    return float(np.median(np.linalg.norm(xyz[both, a] - xyz[both, b], axis=-1))) if both.any() else 0.0


# The equations of a step. Unknowns of a frame (places of points) are eliminated frame by frame.


@dataclass(frozen=True)
class _BlockSystem:
    """Normal equations with unknowns of each frame and unknowns of all frames together.

    frames: (f, m, m) of the former, frame_side: (f, m). whole: (g, g) of the latter, whole_side: (g,). coupling:
    (f, m, g). groups: arrays (n, size) of unknowns of a frame; those of different rows share no equation.
    """

    frames: np.ndarray
    frame_side: np.ndarray
    coupling: np.ndarray
    whole: np.ndarray
    whole_side: np.ndarray
    groups: tuple[np.ndarray, ...]

    def reduced(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Matrix and side of the shared unknowns alone (Schur complement); and how those of the frames follow:
        own (f, m) − follow (f, m, g) @ shared, in the order (…, follow, own)."""
        right = np.concatenate([self.coupling, self.frame_side[..., None]], -1)
        solved = np.empty_like(right)
        for rows in self.groups:
            solved[:, rows] = np.linalg.solve(self.frames[:, rows[:, :, None], rows[:, None]], right[:, rows])
        follow, own = solved[..., :-1], solved[..., -1]
        flat = self.coupling.reshape(-1, len(self.whole))
        matrix = self.whole - flat.T @ follow.reshape(-1, len(self.whole))
        return matrix, self.whole_side - flat.T @ own.ravel(), follow, own


class _Limbs(NamedTuple):
    """pairs: of points. xyz: (f, p, 3) m, of all points. lengths: (pairs,) m, as they are estimated now."""

    pairs: tuple[tuple[int, int], ...]
    xyz: np.ndarray
    lengths: np.ndarray


def _bundle_equations(slopes: LinearisedResiduals, weights: _Weights, limbs: _Limbs, damping: float) -> _BlockSystem:
    """Of one step: own unknowns are the points' places, shared ones the cameras' parameters and the limbs' lengths."""
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
    there = (weight.sum(1) > 0) / (LIMB_LENGTH_SD_M**2 * weights.variance_inflation)
    for limb in range(len(limbs.pairs)):
        _add_limb(system, limbs, limb, column=v * k + limb, there=there)
    return system


def _groups_of_points(points: int, pairs: Sequence[tuple[int, int]]) -> tuple[np.ndarray, ...]:
    """Coordinates of a frame's points: those of limbs together, each other point for itself."""
    tied = sorted({i for pair in pairs for i in pair})
    loose = [i for i in range(points) if i not in tied]
    coordinates = np.arange(3 * points).reshape(points, 3)
    groups = (coordinates[tied].reshape(1, -1), coordinates[loose])
    return tuple(group for group in groups if group.size)


def _add_limb(system: _BlockSystem, limbs: _Limbs, limb: int, column: int, there: np.ndarray) -> None:
    """Equations of a limb that keeps its length. column: of the length among the shared unknowns. there: (f, p)
    1 / variance, 0 where a point was not seen."""
    ends = limbs.pairs[limb]
    strength = there[:, ends].min(1)
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
    """Step of the cameras (views, parameters) in prior deviations, of the points (f, p, 3), and of the lengths."""
    matrix, side, follow, own = system.reduced()
    used = _add_priors(matrix, deviation)
    side[: change.size] -= (change / np.where(deviation > 0, deviation, 1.0)).ravel()
    step = np.zeros(len(matrix))
    step[used] = np.linalg.solve(matrix[np.ix_(used, used)], side[used])
    moves = (own - follow @ step).reshape(len(own), -1, 3)
    return step[: change.size].reshape(change.shape), moves, step[change.size :]


def _camera_covariance(system: _BlockSystem, deviation: np.ndarray) -> np.ndarray:
    """Of the cameras' parameters; 0 of those that are kept."""
    matrix = system.reduced()[0]
    used = _add_priors(matrix, deviation)
    inverse = np.linalg.inv(matrix[np.ix_(used, used)])
    free = used[: deviation.size]
    found = np.zeros((deviation.size, deviation.size))
    found[np.ix_(free, free)] = inverse[: free.sum(), : free.sum()]
    return found * np.outer(deviation, deviation)


def _add_priors(matrix: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Priors of cameras, in their deviations, and next to nothing of limbs' lengths; (unknowns,) bool: those sought."""
    lengths = len(matrix) - deviation.size
    matrix += np.diag(np.r_[np.ones(deviation.size), np.full(lengths, 1 / BONE_LENGTH_SD_M**2)])
    return np.r_[deviation.ravel() > 0, np.ones(lengths, bool)]
