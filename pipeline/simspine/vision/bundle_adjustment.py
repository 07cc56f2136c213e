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

from simspine.core.arrays import autocorrelation_time, mean_of_known, median_of_known
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
    rotation, position : float
        About each of the camera's axes (right, down, forward), rad, and along it, m.
    focal : float
        Relative change of both focal lengths.
    centre_px, radial : float
        Of the principal point, px, and of the distortion coefficient k1.
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
MAX_VELOCITY_ERROR_SD = 3.0  # views disagree more about a velocity: a jump of detections, which is no movement
MIN_VELOCITY_M = 1e-6  # m per frame: standard deviation of velocities that is nothing
MIN_BUNDLE_NOISE_PX = 0.05  # px: no detector is more precise
MIN_POINT_INFORMATION = 1e-3  # 1/m²: keeps the equations of unseen points solvable


@dataclass(frozen=True)
class SeenImagePoints:
    """Observations of points by several cameras, in frames that need not be consecutive.

    xy: (frames, views, points, 2) px, NaN = not seen. velocity: of xy, the same shape, px per frame. frame: (frames,)
    position in the recording, -0.5 for its first to 0.5 for its last. late: (frames, views) frames by which the points
    of each view are of later frames. limb_pairs: pairs of points at constant distance.
    """

    xy: np.ndarray
    velocity: np.ndarray
    frame: np.ndarray
    late: np.ndarray
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
    pairs = np.reshape(seen.limb_pairs, (-1, 2)).astype(int)
    lengths = np.array([_typical_length(xyz, there, a, b) for a, b in pairs])
    for _ in range(MAX_BUNDLE_ITERATIONS):
        slopes = linearised_residuals(seen, cameras, change, xyz=xyz, deviation=deviation)
        there &= np.isfinite(slopes.residual).all(-1)  # not behind a camera
        slopes.residual[~there] = 0.0
        weights = _observation_weights(slopes.residual, there)
        limbs, off = _Limbs(pairs, xyz, lengths), change / np.where(deviation > 0, deviation, 1.0)
        moves, step, lengthened = _step(slopes, weights, limbs, off)
        change = change + np.clip(step, -MAX_PARAMETER_STEP_SD, MAX_PARAMETER_STEP_SD) * deviation
        xyz, lengths = xyz + moves, lengths + lengthened
        if np.abs(step).max(initial=0.0) < BUNDLE_CONVERGED_SHARE:
            break
    slopes = linearised_residuals(seen, cameras, change, xyz=xyz, deviation=deviation)
    slopes.residual[~there] = 0.0
    system = _step_equations(slopes, weights, _Limbs(pairs, xyz, lengths), off, damping=0.0)
    covariance = system.border_covariance()[: change.size, : change.size]
    return Adjustment(
        cameras=[changed_camera(camera, row).with_() for camera, row in zip(cameras, change, strict=True)],
        parameter_change=change,
        covariance=covariance * np.outer(deviation, deviation),
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
    views = [_linearised_view(camera, row, xyz) for camera, row in zip(cameras, change, strict=True)]
    image, by_camera, by_point = (np.stack(values, 1) for values in zip(*views, strict=True))
    velocity = _image_velocities(seen.velocity, np.nan_to_num(by_point))
    behind = clock @ change[:, GEOMETRY_PARAMETERS:].T - seen.late
    predicted = image - velocity * behind[..., None, None]
    by_clock = -velocity[..., None] * clock[:, None, None, None]
    by_camera = np.nan_to_num(np.concatenate([by_camera, by_clock], -1)) * deviation[:, None, None]
    return LinearisedResiduals(seen.xy - predicted, by_camera, np.nan_to_num(by_point))


def _image_velocities(measured: np.ndarray, by_point: np.ndarray) -> np.ndarray:
    """Velocities of images (f, v, p, 2), px per frame: those of one velocity in space of each point and frame.

    measured: those of each view by itself, NaN = unknown. by_point: as of `LinearisedResiduals`. No image shows whether
    all views are late alike; velocities that disagree would seem to show that they are not. What the views disagree
    about is noise; a velocity with a jump in one view is 0. Each point's velocities about their mean are multiplied by
    the share of their variance that is motion, so that noise makes no delay too small (regression calibration: Carroll
    et al. 2006, Measurement Error in Nonlinear Models, ch. 4).
    """
    known = np.isfinite(measured).all(-1)
    slopes = np.where(known[..., None, None], by_point, 0.0)
    inverse = np.linalg.pinv(np.einsum("fvpxi,fvpxj->fpij", slopes, slopes), rcond=1e-6, hermitian=True)
    in_space = np.einsum("fpij,fvpxj,fvpx->fpi", inverse, slopes, np.nan_to_num(measured), optimize=True)
    free = np.maximum(2 * known.sum(1) - 3, 0)
    error = np.where(free[:, None, :, None] > 0, measured - np.einsum("fvpxi,fpi->fvpx", by_point, in_space), np.nan)
    square = np.nansum(error**2, (1, 3)) / np.maximum(free, 1)
    usual = np.fmax(median_of_known(np.where(free > 0, square, np.nan).T), MIN_BUNDLE_NOISE_PX**2)
    steady = (free > 0) & (square <= MAX_VELOCITY_ERROR_SD**2 * usual)
    noise = (steady * free * square).sum(0) / np.maximum((steady * free).sum(0), 1)
    mean = mean_of_known(np.where(steady[..., None], in_space, np.nan), 0)
    apart = np.where(steady[..., None], in_space - mean, 0.0)
    variance = np.einsum("fpi,fpj->pij", apart, apart) + MIN_VELOCITY_M**2 * len(known) * np.eye(3)
    of_noise = np.einsum("p,fp,fpij->pij", noise, steady, inverse)
    motion = np.eye(3) - of_noise @ np.linalg.inv(variance)
    in_space = np.where(steady[..., None], mean + np.einsum("pij,fpj->fpi", motion, apart), 0.0)
    return np.einsum("fvpxi,fpi->fvpx", by_point, in_space)


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
    clipped = np.where(there[..., None], np.clip(residual / noise, -ROBUST_TAIL_SD, ROBUST_TAIL_SD), np.nan)
    inflation = autocorrelation_time(clipped) * _points_erring_together(np.nan_to_num(clipped))
    return _Weights(weight, noise, inflation)


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


class EquationBlocks(NamedTuple):
    """Equations of n groups of c unknowns that share no equation with one another, only with a border of m unknowns.

    matrix: (n, c, c). coupling: (n, c, m), with the border. side: (n, c), right-hand side.
    """

    matrix: np.ndarray
    coupling: np.ndarray
    side: np.ndarray


class ArrowheadEquations(NamedTuple):
    """Normal equations of blocks and of their border, solved by the Schur complement. border: (m, m). side: (m,)."""

    blocks: tuple[EquationBlocks, ...]
    border: np.ndarray
    side: np.ndarray

    def damped(self, damping: float) -> "ArrowheadEquations":
        """With `damping` times the diagonal added; an unknown without equations stays 0."""

        def damped(matrix: np.ndarray) -> np.ndarray:
            diagonal = np.diagonal(matrix, axis1=-2, axis2=-1)
            return matrix + np.eye(matrix.shape[-1]) * (damping * diagonal + (diagonal == 0))[..., None]

        blocks = tuple(block._replace(matrix=damped(block.matrix)) for block in self.blocks)
        return self._replace(blocks=blocks, border=damped(self.border))

    def solved(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Unknowns of the blocks (n, c), and of the border (m,)."""
        eliminated, complement = self._eliminated()
        border = np.linalg.solve(complement[:, :-1], complement[:, -1])
        return [block[..., -1] - block[..., :-1] @ border for block in eliminated], border

    def border_covariance(self) -> np.ndarray:
        """Covariance (m, m) of the border's unknowns."""
        return np.linalg.inv(self._eliminated()[1][:, :-1])

    def _eliminated(self) -> tuple[list[np.ndarray], np.ndarray]:
        """Blocks solved for their coupling and side (n, c, m + 1); the border's equations without them (m, m + 1), the
        last column its right-hand side."""
        solved, left = [], np.c_[self.border, self.side]
        for block in self.blocks:
            solved.append(np.linalg.solve(block.matrix, np.concatenate([block.coupling, block.side[..., None]], -1)))
            left = left - np.tensordot(block.coupling, solved[-1], ((0, 1), (0, 1)))
        return solved, left


class _Limbs(NamedTuple):
    """pairs: (limbs, 2) indices of points. xyz: (f, p, 3) m, of all points. lengths: (limbs,) m, current estimates."""

    pairs: np.ndarray
    xyz: np.ndarray
    lengths: np.ndarray

    @property
    def points(self) -> np.ndarray:
        """Indices of the points at an end of a limb."""
        return np.unique(self.pairs)

    @property
    def others(self) -> np.ndarray:
        """Indices of the other points."""
        return np.setdiff1d(np.arange(self.xyz.shape[1]), self.pairs)


def _step(
    slopes: LinearisedResiduals, weights: _Weights, limbs: _Limbs, off: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves of the points (f, p, 3), changes of the cameras (views, parameters) and of the limbs' lengths."""
    (of_others, of_limbs), border = _step_equations(
        slopes, weights, limbs, off, damping=1 / MAX_POINT_MOVE_M**2
    ).solved()
    moves = np.empty_like(limbs.xyz)
    moves[:, limbs.others] = of_others.reshape(len(moves), -1, 3)
    moves[:, limbs.points] = of_limbs.reshape(len(moves), -1, 3)
    return moves, border[: off.size].reshape(off.shape), border[off.size :]


def _step_equations(
    slopes: LinearisedResiduals, weights: _Weights, limbs: _Limbs, off: np.ndarray, damping: float
) -> ArrowheadEquations:
    """Equations of a step: blocks of a point, blocks of a frame's limbs, and the border: cameras, lengths of limbs.

    off: (views, parameters) present changes of the cameras, in prior deviations.
    """
    inflation, seen = weights.variance_inflation, np.any(weights.weight > 0, axis=1)
    weight = (weights.weight / inflation)[..., None, None]
    points = _point_equations(
        slopes, weight, off.size + len(limbs.pairs), (damping + MIN_POINT_INFORMATION) / inflation
    )
    of_cameras, camera_side = _camera_equations(slopes, weight, off)
    by_end, root, short = _limb_equations(limbs, seen, inflation)
    singles = (values[:, limbs.others].reshape(-1, *values.shape[2:]) for values in points)
    ends = EquationBlocks(*(values[:, limbs.points] for values in points))
    return ArrowheadEquations(
        blocks=(EquationBlocks(*singles), _blocks_of_limbs(ends, by_end, root, short)),
        border=scipy.linalg.block_diag(of_cameras, np.diag((root**2).sum(0) + 1 / BONE_LENGTH_SD_M**2)),
        side=np.r_[camera_side, -(root * short).sum(0)],
    )


def _point_equations(slopes: LinearisedResiduals, weight: np.ndarray, border: int, precision: float) -> EquationBlocks:
    """Equations of each point, without limbs; arrays (f, p, …). border: number of its unknowns. precision: 1/m²."""
    by_point = weight * slopes.by_point
    side = np.einsum("fvpxi,fvpx->fpi", by_point, slopes.residual)
    by_camera = np.einsum("fvpxi,fvpxk->fpivk", by_point, slopes.by_camera).reshape(*side.shape, -1)
    coupling = np.zeros((*side.shape, border))
    coupling[..., : by_camera.shape[-1]] = by_camera
    return EquationBlocks(
        np.einsum("fvpxi,fvpxj->fpij", by_point, slopes.by_point) + precision * np.eye(3), coupling, side
    )


def _camera_equations(
    slopes: LinearisedResiduals, weight: np.ndarray, off: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and right-hand side of the cameras' parameters, with their priors."""
    by_camera, each = weight * slopes.by_camera, np.arange(len(off))
    matrix = np.zeros((*off.shape, *off.shape))
    matrix[each, :, each] = np.einsum("fvpxk,fvpxl->vkl", by_camera, slopes.by_camera, optimize=True)
    side = np.einsum("fvpxk,fvpx->vk", by_camera, slopes.residual, optimize=True) - off
    return matrix.reshape(off.size, off.size) + np.eye(off.size), side.ravel()


def _blocks_of_limbs(ends: EquationBlocks, by_end: np.ndarray, root: np.ndarray, short: np.ndarray) -> EquationBlocks:
    """Equations of all points at an end of a limb, a block for each frame. The rest as of `_limb_equations`."""
    frames, points = ends.matrix.shape[:2]
    matrix, every = np.zeros((frames, points, 3, points, 3)), np.arange(points)
    matrix[:, every, :, every] = ends.matrix.swapaxes(0, 1)
    coupling = ends.coupling.reshape(frames, 3 * points, ends.coupling.shape[-1])
    coupling[..., coupling.shape[-1] - root.shape[1] :] -= by_end.swapaxes(1, 2) * root[:, None]
    return EquationBlocks(
        matrix.reshape(frames, 3 * points, 3 * points) + by_end.swapaxes(1, 2) @ by_end,
        coupling,
        ends.side.reshape(frames, 3 * points) + np.einsum("flc,fl->fc", by_end, short),
    )


def _limb_equations(limbs: _Limbs, seen: np.ndarray, inflation: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weighted derivatives (f, limbs, c) of limbs of constant length by the coordinates of `limbs.points`; by that
    length, negated (f, limbs); and residuals (f, limbs). They are 0 in frames that do not show both ends.

    seen: (f, p) bool.
    """
    first, second = limbs.pairs.T
    difference = limbs.xyz[:, first] - limbs.xyz[:, second]
    distance = np.maximum(np.linalg.norm(difference, axis=-1), 1e-6)
    root = (seen[:, first] & seen[:, second]) / (LIMB_LENGTH_SD_M * np.sqrt(inflation))
    pull, limb = difference * (root / distance)[..., None], np.arange(len(first))
    by_end = np.zeros((*root.shape, len(limbs.points), 3))
    by_end[:, limb, np.searchsorted(limbs.points, first)] = pull
    by_end[:, limb, np.searchsorted(limbs.points, second)] = -pull
    return by_end.reshape(*root.shape, 3 * len(limbs.points)), root, root * (limbs.lengths - distance)
