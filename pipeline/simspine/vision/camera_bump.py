"""Cameras that were moved in the middle of a recording: a lasting jump of their reprojection errors."""

from collections.abc import Sequence

import numpy as np

from simspine.core.arrays import median_of_known
from simspine.core.geometry import nearest_to_rays, project_points, undistort_pixels
from simspine.core.types import Camera, Keypoints

BLOCK_S, BLOCK_FRAMES = 0.1, 5  # duration of a block, s, and its number of frames, fewer than the recording's
FITTED_BLOCKS = 6  # on either side of a jump, each fitted by a line: nobody turns around in half a second
LEAST_POINTS = 30  # of a view in a block
CLEAR_RATIO = 0.7  # largest ratio of the others' jump without a camera to that without any other, if it was moved

Bump = tuple[tuple[str, ...], int, float]  # the camera moved, or those of which one was; first frame after; jump, px


def find_bump(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float, least_px: float) -> Bump | None:
    """The largest jump that lasts, seen by three cameras or more; None where it is below `least_px`.

    An inexact calibration changes errors gradually as people walk, so lines are fitted on both sides of a jump.
    """
    if len(cameras) < 3 or len(cameras) != keypoints.xy.shape[1]:  # triangulation refuses other views
        return None
    rows = np.arange(0, keypoints.frames, max(1, round(keypoints.rate * BLOCK_S / BLOCK_FRAMES)))
    rows = rows[: len(rows) // BLOCK_FRAMES * BLOCK_FRAMES]
    seen = np.where((keypoints.confidence[rows] >= min_confidence)[..., None], keypoints.xy[rows], np.nan)
    jumps = _lasting_jumps(seen, cameras)
    if not (jumps >= least_px).any():
        return None
    block = int(np.nanargmax(jumps.max(1)))
    left = []
    for view in range(len(cameras)):
        others = [other for other in range(len(cameras)) if other != view]
        left.append(_lasting_jumps(seen[:, others], [cameras[other] for other in others])[block].max())
    moved = CLEAR_RATIO * np.array(left) <= min(left)
    frame = int(rows[(block + FITTED_BLOCKS) * BLOCK_FRAMES])
    return tuple(cameras[int(view)].name for view in np.flatnonzero(moved)), frame, float(jumps[block].max())


def _lasting_jumps(seen: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """(blocks, views) px: jumps in blocks with enough others around them, or what lasts of them; 0 where not known.

    seen: (frames, views, points, 2) px, NaN where not seen.
    """
    errors = _errors_of_blocks(seen, cameras)
    steps = np.arange(1, FITTED_BLOCKS + 1)
    line_at_jump = np.linalg.pinv(np.stack([np.ones(FITTED_BLOCKS), steps], 1))[0]
    jumps = [np.zeros((0, len(cameras)))]
    for block in range(FITTED_BLOCKS, len(errors) - FITTED_BLOCKS):
        jump = np.einsum("b,bvx->vx", line_at_jump, errors[block + steps] - errors[block - steps])
        before, after = (median_of_known(part.transpose(1, 2, 0)) for part in (errors[:block], errors[block + 1 :]))
        size = np.linalg.norm(jump, axis=-1)
        lasting = ((after - before) * jump).sum(-1) / np.maximum(size, 1e-9)
        jumps.append(np.nan_to_num(np.minimum(size, np.maximum(lasting, 0)))[None])
    return np.concatenate(jumps)


def _errors_of_blocks(seen: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """(blocks, views, 2) px: medians over the points of a block; NaN where a view has few."""
    rays = []
    for view, camera in enumerate(cameras):
        ray = undistort_pixels(camera, seen[:, view]) @ camera.R[:2] + camera.R[2]
        rays.append(ray / np.linalg.norm(ray, axis=-1, keepdims=True))
    points = nearest_to_rays(np.array([camera.centre for camera in cameras]), np.stack(rays, 1))
    errors = np.moveaxis(seen, 1, 0) - project_points(cameras, points)
    errors = errors.reshape(len(cameras), -1, BLOCK_FRAMES * seen.shape[2], 2)
    few = np.isfinite(errors).all(-1).sum(-1) < LEAST_POINTS
    return np.where(few[..., None], np.nan, median_of_known(errors.swapaxes(2, 3))).swapaxes(0, 1)
