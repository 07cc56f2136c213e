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
from dataclasses import dataclass, replace
from math import radians

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.core.geometry import project_one
from simspine.core.types import Camera

# What may be wrong with a calibrated camera, as numbers: how each changes it, and how far off each usually is.


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

    It turns and moves along its own axes: right, down, forward.
    """
    change = np.asarray(change, float)
    R = Rotation.from_rotvec(change[:3]).as_matrix() @ camera.R
    centre = camera.centre + camera.R.T @ change[3:6]
    K = camera.K.copy()
    K[:2, :2] *= np.exp(change[6])
    K[:2, 2] += change[7:9]
    distortion = camera.distortion.copy()
    distortion[0] += change[9]
    return replace(camera, K=K, distortion=distortion, R=R, t=-R @ centre)


ROBUST_TAIL_SD = 2.0  # standard deviations from which an observation's pull declines (Cauchy)
LIMB_LENGTH_SD_M = 0.015  # m: how far a detected limb's length wanders about its mean
BONE_LENGTH_SD_M = 0.3  # m: what is known of a limb's length beforehand
MAX_BUNDLE_ITERATIONS, BUNDLE_CONVERGED_SHARE = (
    20,
    0.01,
)  # steps at most; done when no parameter moves by more than this share of its deviation
MAX_POINT_MOVE_M, MAX_PARAMETER_STEP_SD = (
    0.1,
    1.0,
)  # m, deviations: how far a step moves a point that little holds, and a parameter at most
DIFFERENCE_STEPS = np.array([1e-5] * 3 + [1e-4] * 3 + [1e-5, 1e-2, 1e-2, 1e-4])  # of difference quotients
MIN_POINT_CORRELATION = 0.2  # correlation of two points' residuals that does not come about by chance
MIN_BUNDLE_NOISE_PX = 0.05  # px: nothing detects better


@dataclass(frozen=True)
class Observations:
    """What several cameras saw of points, of frames that need not follow one another closely.

    xy: (frames, views, points, 2) px, NaN = nothing. velocity: the same shape, px per frame, of what was seen. frame:
    (frames,) from -0.5 for the recording's first to 0.5 for its last. limbs: pairs of points at a constant distance.
    """

    xy: np.ndarray
    velocity: np.ndarray
    frame: np.ndarray
    limbs: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Adjustment:
    """Cameras and points that agree.

    change: (views, parameters) in the order of `CAMERA_PARAMETER_NAMES`. covariance: of all changes, flattened. xyz:
    (frames, points, 3)
    m. noise_px: standard deviation of one image coordinate. repeated: how many observations say the same, over frames
    and points. error_px: (frames, views, points) left over.
    """

    cameras: list[Camera]
    change: np.ndarray
    covariance: np.ndarray
    xyz: np.ndarray
    noise_px: float
    repeated: float
    error_px: np.ndarray


def adjust_bundle(
    seen: Observations,
    cameras: Sequence[Camera],
    xyz: np.ndarray,
    prior: CameraPrior,
    fixed: Sequence[int] = (),
    start: np.ndarray | None = None,
) -> Adjustment:
    """The most probable cameras and points, starting from points (frames, points, 3) m, NaN = none.

    fixed: views whose clock is the reference. start: changes of the cameras to begin with (default: none).
    Observations of points without a start do not count.
    """
    deviation = np.tile(prior.deviations(), (len(cameras), 1))
    deviation[list(fixed), GEOMETRY_PARAMETERS:] = 0.0
    change = np.zeros_like(deviation) if start is None else start.copy()
    there = np.isfinite(seen.xy).all(-1) & np.isfinite(xyz).all(-1)[:, None]
    xyz = np.nan_to_num(xyz)
    lengths = np.array([_typical_length(xyz, there, a, b) for a, b in seen.limbs])
    free = deviation.ravel() > 0
    noise, repeated = np.inf, 1.0
    for _ in range(MAX_BUNDLE_ITERATIONS):
        residual, by_camera, by_point = linearised_residuals(seen, cameras, change, xyz=xyz, deviation=deviation)
        there &= np.isfinite(residual).all(-1)  # not behind a camera
        residual[~there] = 0.0
        noise, weight = _noise_and_weight(residual, there)
        repeated = _autocorrelation_time(residual / noise, there) * _points_erring_together(residual / noise, there)
        system = _System.of(residual, by_camera, by_point, weight, seen.limbs, xyz, lengths).divided(repeated)
        step, moves, lengthened = system.solve(change / np.where(deviation > 0, deviation, 1.0), free)
        change = change + np.clip(step, -MAX_PARAMETER_STEP_SD, MAX_PARAMETER_STEP_SD) * deviation
        xyz, lengths = xyz + moves, lengths + lengthened
        if np.abs(step).max(initial=0.0) < BUNDLE_CONVERGED_SHARE:
            break
    residual, by_camera, by_point = linearised_residuals(seen, cameras, change, xyz=xyz, deviation=deviation)
    residual[~there] = 0.0
    system = _System.of(residual, by_camera, by_point, weight, seen.limbs, xyz, lengths, 0.0).divided(repeated)
    covariance = system.covariance(free) * np.outer(deviation, deviation)
    error = np.where(there, np.linalg.norm(residual, axis=-1), np.nan)
    refined = [changed_camera(camera, row) for camera, row in zip(cameras, change, strict=True)]
    points = np.where(there.any(1)[..., None], xyz, np.nan)
    return Adjustment(
        cameras=refined,
        change=change,
        covariance=covariance,
        xyz=points,
        noise_px=noise,
        repeated=repeated,
        error_px=error,
    )


def predicted_pixels(camera: Camera, change: np.ndarray, seen: Observations, view: int, xyz: np.ndarray) -> np.ndarray:
    """Where a camera shows points (frames, points, 3) m after a change of it and of its clock: (frames, points, 2)."""
    late = change[GEOMETRY_PARAMETERS] + change[GEOMETRY_PARAMETERS + 1] * seen.frame
    return project_one(changed_camera(camera, change), xyz) - late[:, None, None] * np.nan_to_num(
        seen.velocity[:, view]
    )


def linearised_residuals(
    seen: Observations, cameras: Sequence[Camera], change: np.ndarray, xyz: np.ndarray, deviation: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residuals (f, v, p, 2), and derivatives of what is predicted: by cameras (f, v, p, 2, parameters), per deviation,
    and by points (f, v, p, 2, 3)."""
    shape = seen.xy.shape
    residual, by_camera, by_point = (
        np.empty(shape),
        np.zeros((*shape, len(CAMERA_PARAMETER_NAMES))),
        np.empty((*shape, 3)),
    )
    for view, (camera, now) in enumerate(zip(cameras, change, strict=True)):
        residual[:, view] = seen.xy[:, view] - predicted_pixels(camera, now, seen, view=view, xyz=xyz)
        moved = changed_camera(camera, now)
        for i, step in enumerate(DIFFERENCE_STEPS):
            if deviation[view, i] > 0:
                ahead, behind = (
                    changed_camera(camera, now + sign * step * np.eye(len(CAMERA_PARAMETER_NAMES))[i])
                    for sign in (1, -1)
                )
                slope = (project_one(ahead, xyz) - project_one(behind, xyz)) / (2 * step)
                by_camera[:, view, ..., i] = slope * deviation[view, i]
        velocity = np.nan_to_num(seen.velocity[:, view])
        by_camera[:, view, ..., GEOMETRY_PARAMETERS] = -velocity * deviation[view, GEOMETRY_PARAMETERS]
        by_camera[:, view, ..., GEOMETRY_PARAMETERS + 1] = (
            -velocity * seen.frame[:, None, None] * deviation[view, GEOMETRY_PARAMETERS + 1]
        )
        for i in range(3):
            step = 1e-4 * np.eye(3)[i]
            by_point[:, view, ..., i] = (project_one(moved, xyz + step) - project_one(moved, xyz - step)) / 2e-4
    return residual, np.nan_to_num(by_camera), np.nan_to_num(by_point)


def _noise_and_weight(residual: np.ndarray, there: np.ndarray) -> tuple[float, np.ndarray]:
    """Standard deviation of one image coordinate, robustly; 1 / variance of each observation, 0 = none.

    One for all views: with one each, points can be laid onto a view whose noise then vanishes. What the three
    coordinates of each point take up is given back.
    """
    views = there.sum(1)
    left = 1 - 3 * (views > 0).sum() / max(2 * views.sum(), 1)
    spread = np.median(np.abs(residual[there])) if there.any() else np.inf
    noise = max(MIN_BUNDLE_NOISE_PX, 1.4826 * float(spread) / np.sqrt(max(left, 0.1)))
    size = np.linalg.norm(residual, axis=-1) / noise
    return noise, there / (noise**2 * (1 + (size / ROBUST_TAIL_SD) ** 2))


def _autocorrelation_time(scaled: np.ndarray, there: np.ndarray) -> float:
    """Integrated autocorrelation time of residuals in frames, from 1 to as many as there are.

    Residuals are cut at `ROBUST_TAIL_SD`, and their mean is not taken off: an error that lasts is one error.
    """
    values = np.where(there[..., None], np.clip(scaled, -ROBUST_TAIL_SD, ROBUST_TAIL_SD), 0.0)
    frames, pairs = len(values), there.astype(float)
    spread = (values**2).sum() / max(2 * pairs.sum(), 1.0)
    total = 1.0
    for lag in range(1, frames):
        both = 2 * (pairs[lag:] * pairs[:-lag]).sum()
        correlation = (values[lag:] * values[:-lag]).sum() / both / spread if both and spread else 0.0
        if correlation < 0.05:
            break
        total += 2 * (1 - lag / frames) * correlation
    return float(np.clip(total, 1.0, frames))


def _points_erring_together(scaled: np.ndarray, there: np.ndarray) -> float:
    """How many points of a view err together: mean row sum of their correlations above `MIN_POINT_CORRELATION`, at
    least 1."""
    values = (
        np.where(there[..., None], np.clip(scaled, -ROBUST_TAIL_SD, ROBUST_TAIL_SD), 0.0)
        .swapaxes(2, 3)
        .reshape(-1, there.shape[2])
    )
    product = values.T @ values
    size = np.sqrt(np.maximum(np.diag(product), 1e-12))
    correlation = product / np.outer(size, size)
    return max(1.0, float(np.where(correlation > MIN_POINT_CORRELATION, correlation, 0.0).sum(1).mean()))


def _typical_length(xyz: np.ndarray, there: np.ndarray, a: int, b: int) -> float:
    both = (there[:, :, a].any(1)) & (there[:, :, b].any(1))
    return float(np.median(np.linalg.norm(xyz[both, a] - xyz[both, b], axis=-1))) if both.any() else 0.0


@dataclass(frozen=True)
class _System:
    """Normal equations of one step: points of each frame (f, p, 3, p, 3), their coupling (f, p, 3, g) to what is global
    (parameters of all cameras, lengths of limbs), and that (g, g). tied: points of limbs; the others of a frame do not
    know of one another.
    """

    frames: np.ndarray
    coupling: np.ndarray
    whole: np.ndarray
    frame_side: np.ndarray
    whole_side: np.ndarray
    tied: tuple[int, ...]
    views: int

    @classmethod
    def of(
        cls, residual, by_camera, by_point, weight, limbs, xyz, lengths, damping=1 / MAX_POINT_MOVE_M**2
    ) -> "_System":
        f, v, p, _ = residual.shape
        k = by_camera.shape[-1]
        g = v * k + len(limbs)
        weighted = weight[..., None, None] * by_point
        frames = np.zeros((f, p, 3, p, 3))
        each = np.arange(p)
        normal = np.einsum("fvpxi,fvpxj->pfij", weighted, by_point, optimize=True)
        frames[:, each, :, each] = normal + (damping + 1e-3) * np.eye(3)
        coupling = np.zeros((f, p, 3, g))
        coupled = weighted.swapaxes(-1, -2) @ by_camera  # (f, v, p, 3, parameters)
        coupling[..., : v * k] = coupled.transpose(0, 2, 3, 1, 4).reshape(f, p, 3, v * k)
        frame_side = np.einsum("fvpxi,fvpx->fpi", weighted, residual)
        whole, whole_side = np.zeros((g, g)), np.zeros(g)
        for view in range(v):
            rows = slice(view * k, (view + 1) * k)
            part = weight[:, view, ..., None, None] * by_camera[:, view]
            flat = part.reshape(-1, k)
            whole[rows, rows] = flat.T @ by_camera[:, view].reshape(-1, k)
            whole_side[rows] = flat.T @ residual[:, view].ravel()
        there = weight.sum(1) > 0
        for i, (a, b) in enumerate(limbs):
            difference = xyz[:, a] - xyz[:, b]
            distance = np.maximum(np.linalg.norm(difference, axis=-1), 1e-6)
            n = difference / distance[:, None]
            strength = (there[:, a] & there[:, b]) / LIMB_LENGTH_SD_M**2
            outer = strength[:, None, None] * n[:, :, None] * n[:, None]
            frames[:, a, :, a] += outer
            frames[:, b, :, b] += outer
            frames[:, a, :, b] -= outer
            frames[:, b, :, a] -= outer
            miss = strength * (lengths[i] - distance)
            frame_side[:, a] += miss[:, None] * n
            frame_side[:, b] -= miss[:, None] * n
            column = v * k + i
            coupling[:, a, :, column] -= strength[:, None] * n
            coupling[:, b, :, column] += strength[:, None] * n
            whole[column, column] += strength.sum()
            whole_side[column] -= miss.sum()
        tied = tuple(sorted({i for pair in limbs for i in pair}))
        return cls(
            frames=frames,
            coupling=coupling,
            whole=whole,
            frame_side=frame_side,
            whole_side=whole_side,
            tied=tied,
            views=v,
        )

    def divided(self, by: float) -> "_System":
        """Of observations of which so many say the same."""
        names = ("frames", "coupling", "whole", "frame_side", "whole_side")
        return replace(self, **{name: getattr(self, name) / by for name in names})

    def _reduced(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Matrix and side of what is global without the points; and how these follow: (f, p, 3, g), (f, p, 3)."""
        f, p, _, g = self.coupling.shape
        right = np.concatenate([self.coupling, self.frame_side[..., None]], -1)
        solved = np.empty_like(right)
        tied = list(self.tied)
        loose = [i for i in range(p) if i not in self.tied]
        solved[:, loose] = np.linalg.solve(self.frames[:, loose, :, loose].swapaxes(0, 1), right[:, loose])
        block = self.frames[:, tied][:, :, :, tied].reshape(f, 3 * len(tied), -1)
        solved[:, tied] = np.linalg.solve(block, right[:, tied].reshape(f, -1, g + 1)).reshape(f, -1, 3, g + 1)
        spread, own = solved[..., :-1], solved[..., -1]
        flat = self.coupling.reshape(-1, g)
        matrix = self.whole - flat.T @ spread.reshape(-1, g)
        return matrix, self.whole_side - flat.T @ own.ravel(), spread, own

    def _with_prior(self, matrix: np.ndarray) -> np.ndarray:
        """The priors: of cameras in their deviations, and next to nothing of limbs' lengths."""
        n = len(matrix) - self.limbs
        return matrix + np.diag(np.r_[np.ones(n), np.full(self.limbs, 1 / BONE_LENGTH_SD_M**2)])

    @property
    def limbs(self) -> int:
        return len(self.whole) - self.views * len(CAMERA_PARAMETER_NAMES)

    def solve(self, scaled: np.ndarray, free: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Step of the cameras (views, parameters) in prior deviations, of the points (f, p, 3), and of the lengths."""
        matrix, side, spread, own = self._reduced()
        matrix, n = self._with_prior(matrix), self.views * len(CAMERA_PARAMETER_NAMES)
        side[:n] -= scaled.ravel()
        used = np.r_[free, np.ones(len(matrix) - n, bool)]
        step = np.zeros(len(matrix))
        step[used] = np.linalg.solve(matrix[np.ix_(used, used)], side[used])
        return step[:n].reshape(self.views, -1), own - spread @ step, step[n:]

    def covariance(self, free: np.ndarray) -> np.ndarray:
        """Of the cameras' parameters in prior deviations; 0 of those that are kept."""
        matrix = self._with_prior(self._reduced()[0])
        n = self.views * len(CAMERA_PARAMETER_NAMES)
        used = np.r_[free, np.ones(len(matrix) - n, bool)]
        inverse = np.linalg.inv(matrix[np.ix_(used, used)])
        found = np.zeros((n, n))
        found[np.ix_(free, free)] = inverse[: free.sum(), : free.sum()]
        return found
