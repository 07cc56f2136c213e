"""Views that run late: found from what several cameras saw of a moving person, to a fraction of a frame.

First the epipolar constraint over whole frames, pair by pair (points of the same instant lie on one plane with both
cameras), then bundle adjustment with each view's clock as an unknown (`cameras.bundle`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from simspine.cameras.parameters import GEOMETRY, CameraPrior
from simspine.cameras.refine import refine_cameras
from simspine.errors import InputError
from simspine.geometry import undistort
from simspine.types import Camera, Keypoints

FARTHEST = 60  # frames looked at on either side
LEAST_OVERLAP = 30  # frames two views must share
ROUNDS, SETTLED = 4, 0.02  # frames


@dataclass(frozen=True)
class Clocks:
    """late, deviation: (views,) frames each view is behind the first, and standard deviations. drift, drift_deviation:
    frames it gets later from the first to the last frame."""

    views: tuple[str, ...]
    late: np.ndarray
    deviation: np.ndarray
    drift: np.ndarray
    drift_deviation: np.ndarray


def find_delays(
    keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3, farthest: int = FARTHEST
) -> Clocks:
    """How late each view is. keypoints: of one person, in the cameras' order and SIMSPINE names.

    Raises `InputError` where the person moves too little for a clock to be told: its standard deviation says so.
    """
    coarse = whole_frames(keypoints, cameras, min_confidence, farthest)
    prior = replace(CameraPrior(), time=2.0, drift=1.0)
    late, refined = coarse.astype(float), None
    for _ in range(ROUNDS):
        refined = refine_cameras(shifted(keypoints, late), cameras, prior, min_confidence)
        more = refined.change[:, GEOMETRY]
        late = late + more
        if np.abs(more).max() < SETTLED:
            break
    assert refined is not None
    names = tuple(camera.name for camera in cameras)
    deviation, drift = refined.deviation, refined.change[:, GEOMETRY + 1]
    return Clocks(names, late, deviation[:, GEOMETRY], drift, deviation[:, GEOMETRY + 1])


def shifted(keypoints: Keypoints, late: Sequence[float] | np.ndarray) -> Keypoints:
    """Keypoints as if no view were late (frames): between two frames by linear interpolation; NaN outside."""
    xy, confidence = np.full_like(keypoints.xy, np.nan), np.zeros_like(keypoints.confidence)
    frames = np.arange(keypoints.frames)
    for view, delay in enumerate(late):
        time = frames + delay
        below = np.floor(time).astype(int)
        share = time - below
        inside = (below >= 0) & (below + (share > 0) < keypoints.frames)
        a, b = below[inside], np.minimum(below[inside] + 1, keypoints.frames - 1)
        part = share[inside][:, None]
        first, second = keypoints.xy[a, view], keypoints.xy[b, view]
        second = np.where(part[..., None] > 0, second, first)
        xy[inside, view] = (1 - part[..., None]) * first + part[..., None] * second
        both = np.where(part > 0, np.minimum(keypoints.confidence[a, view], keypoints.confidence[b, view]),
                        keypoints.confidence[a, view])  # fmt: skip
        confidence[inside, view] = np.where(np.isfinite(xy[inside, view]).all(-1), both, 0.0)
    return keypoints.with_(xy=xy, confidence=confidence)


def whole_frames(
    keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3, farthest: int = FARTHEST
) -> np.ndarray:
    """(views,) int: whole frames each view is behind the first, by epipolar distances of all pairs of views."""
    views, frames = len(cameras), keypoints.frames
    farthest = min(farthest, frames - LEAST_OVERLAP)
    if farthest < 0:
        raise InputError(f"{frames} frames are too few to compare clocks; at least {LEAST_OVERLAP} are needed.")
    rays = np.stack([undistort(camera, keypoints.xy[:, v]) for v, camera in enumerate(cameras)], 1)
    rays[keypoints.confidence < min_confidence] = np.nan
    shifts = np.arange(-farthest, farthest + 1)
    cost = np.full((views, views, len(shifts)), np.nan)
    for a, b in combinations(range(views), 2):
        matrix = _essential(cameras[a], cameras[b])
        focal = np.sqrt(cameras[a].K[0, 0] * cameras[b].K[0, 0])
        for i, shift in enumerate(shifts.tolist()):
            first = rays[max(0, -shift) : frames - max(0, shift), a]
            second = rays[max(0, shift) : frames - max(0, -shift), b]
            distance = focal * _epipolar(matrix, first, second)
            if np.isfinite(distance).sum() >= LEAST_OVERLAP:
                cost[a, b, i] = np.nanmedian(distance)
                cost[b, a, len(shifts) - 1 - i] = cost[a, b, i]
    return _consistent(cost, shifts)


def _consistent(cost: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Shifts (views,) of least summed cost over all pairs, the first view's 0: coordinate descent."""
    views = len(cost)
    middle = len(shifts) // 2

    def total(late: np.ndarray) -> float:
        index = late[None] - late[:, None] + middle
        inside = (index >= 0) & (index < len(shifts))
        values = [cost[a, b, index[a, b]] if inside[a, b] else np.inf for a, b in combinations(range(views), 2)]
        return float(np.nansum(values)) if np.isfinite(values).any() else np.inf

    known = np.isfinite(cost[0]).any(-1)
    start = [shifts[np.nanargmin(cost[0, v])] if known[v] else 0 for v in range(views)]
    best = np.array([0, *start[1:]])
    improved = True
    while improved:
        improved = False
        for view in range(1, views):
            for shift in shifts:
                trial = best.copy()
                trial[view] = shift
                if total(trial) < total(best) - 1e-12:
                    best, improved = trial, True
    return best


def _essential(a: Camera, b: Camera) -> np.ndarray:
    """E with x_b' E x_a = 0 for normalised points of one instant."""
    R = b.R @ a.R.T
    t = b.t - R @ a.t
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    return cross @ R


def _epipolar(matrix: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sampson distances of normalised points (..., 2) in two views (Hartley, Zisserman 2004, section 11.4.3)."""
    first, second = (np.concatenate([p, np.ones((*p.shape[:-1], 1))], -1) for p in (a, b))
    line_b, line_a = first @ matrix.T, second @ matrix
    product = (second * line_b).sum(-1)
    return np.abs(product) / np.sqrt((line_b[..., :2] ** 2).sum(-1) + (line_a[..., :2] ** 2).sum(-1))
