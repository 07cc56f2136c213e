"""Calibration of cameras by a board: first each camera's lens, then the cameras' poses, then all at once."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from simspine.core.errors import InputError
from simspine.core.types import Camera
from simspine.vision.board import board_poses_by_view
from simspine.vision.board_bundle import (
    FOCAL,
    POSITION,
    ROTATION,
    BoardFit,
    BoardViews,
    PlacedBoards,
    adjust_boards,
    corner_residuals,
    image_coverage,
)

AGREEING_POSES_SHARE = 0.2  # of the poses proposed for a pair of cameras; one of the four of a frame is right
_FLOOR = np.diag([1.0, -1.0, -1.0, 1.0])  # a board on the floor, z up: its z points into it, its y to its lower edge


def place_cameras(views: BoardViews, lenses: Sequence[Camera], floor: int) -> PlacedBoards:
    """Initial poses of cameras and boards, in the world of the board in the frame `floor`: first the board's pose in
    each image, then poses of cameras relative to one another, along the pairs with the most common frames.

    Raises `InputError` where the cameras fall into groups that share no view of the board.
    """
    board_poses = {
        (f, v): board_poses_by_view(lenses[v], views.xy[f, v], views.board) for f, v in np.argwhere(views.seen).tolist()
    }
    shared = views.seen.T.astype(int) @ views.seen.astype(int)
    placed = {0: np.eye(4)}  # world → camera
    while len(placed) < len(lenses):
        _, a, b = max((shared[a, b], a, b) for a in placed for b in range(len(lenses)) if b not in placed)
        if not shared[a, b]:
            raise _unconnected_error(views, shared)
        placed[b] = _relative_pose(views, board_poses, a, b) @ placed[a]
    cameras, boards = tuple(_camera_at(lens, placed[v]) for v, lens in enumerate(lenses)), []
    for f, seen in enumerate(views.seen):
        proposed = np.stack([np.linalg.inv(placed[v]) @ pose for v in placed if seen[v] for pose in board_poses[f, v]])
        residuals = corner_residuals(views.xy[f], views.board.corners, PlacedBoards(cameras, proposed))
        boards.append(proposed[np.nansum(np.linalg.norm(residuals, axis=-1), axis=(1, 2)).argmin()])
    world = boards[floor] @ _FLOOR
    cameras = tuple(_camera_at(lens, placed[v] @ world) for v, lens in enumerate(lenses))
    return PlacedBoards(cameras, np.linalg.inv(world) @ boards)


def _camera_at(lens: Camera, pose: np.ndarray) -> Camera:
    return lens.with_unchecked(R=pose[:3, :3], t=pose[:3, 3])


def _unconnected_error(views: BoardViews, shared: np.ndarray) -> InputError:
    count, label = connected_components(shared > 0, directed=False)
    groups = sorted((np.flatnonzero(label == k).tolist() for k in range(count)), key=lambda group: -len(group))
    listed = " | ".join(", ".join(views.names[v] for v in group) for group in groups)
    separate = ", ".join(repr(views.names[v]) for group in groups[1:] for v in group)
    return InputError(
        f"no frame shows the board to {separate} and another camera at once, so their positions are unknown. Cameras "
        f"that share views: {listed}. Hold the board where both sides see it; a camera that does not see it at all may "
        "have another name, or show another board."
    )


def _relative_pose(views: BoardViews, board_poses: dict, a: int, b: int) -> np.ndarray:
    """From camera a's frame to camera b's (4, 4): the pose from common frames that agrees best with the others."""
    common = np.flatnonzero(views.seen[:, [a, b]].all(1)).tolist()
    poses = [to_b @ np.linalg.inv(to_a) for f in common for to_a in board_poses[f, a] for to_b in board_poses[f, b]]
    distances = [np.quantile(np.linalg.norm(pose - poses, axis=(1, 2)), AGREEING_POSES_SHARE) for pose in poses]
    return poses[int(np.argmin(distances))]


MIN_BOARD_VIEWS = 4  # of one camera, for its lens
MAX_FOCAL_RELATIVE_SD = 0.05  # relative standard deviation above which a focal length counts as unknown
MAX_WRONG_CORNERS_SHARE = 0.1  # share of wrong corners, in a camera's frames common with others, above which to warn
FLAT_LENS_TOLERANCE = 0.01  # image sides: largest distance of a corner from its place by a homography, at first
LENS_MODELS = {"perspective": ("perspective", 5), "rational": ("perspective", 8), "fisheye": ("fisheye", 4)}


@dataclass(frozen=True)
class CalibratedCameras:
    """Cameras and their accuracy; arrays are (cameras,).

    cameras: world z up, metres. error_px: root mean square of the distances between corners seen and projected, without
    the wrong ones. wrong: number of corners taken for another corner. seen: number of views of the board used.
    coverage: share of the image in which corners were seen, over all views. Standard deviations: focal, of the focal
    length, relative; position (m) and rotation (rad), root of the summed variances of the three axes, relative to the
    floor."""

    cameras: tuple[Camera, ...]
    error_px: np.ndarray
    wrong: np.ndarray
    seen: np.ndarray
    coverage: np.ndarray
    focal: np.ndarray
    position: np.ndarray
    rotation: np.ndarray


def calibrate_boards(views: BoardViews, floor: int, lens: str = "perspective") -> CalibratedCameras:
    """Lenses and poses of cameras from their views of one board: bundle adjustment over cameras and board.

    floor: a frame in which the board lay on the floor, its printed side up: it gives the world its origin (the board's
    upper left corner as printed), x (to the right along the board) and z (up). lens: 'perspective' (5 coefficients),
    'rational' (8) or 'fisheye' (4).

    Raises `InputError` for a camera that shows the board in fewer than four frames, or at too similar slants to
    determine its focal length; for cameras that cannot be placed (`place_cameras`); and if no camera sees the board in
    the frame `floor`.
    """
    likely = _without_unlikely_corners(views)
    rows = np.flatnonzero(likely.seen.any(1))
    if floor not in rows:
        raise InputError(f"no camera shows the board in frame {floor}, which is to give the floor.")
    if lens not in LENS_MODELS:
        raise InputError(f"unknown lens {lens!r}; expected one of {', '.join(LENS_MODELS)}.")
    lenses = [_first_lens(likely, v, lens) for v in range(len(views.names))]
    used, frame = views.frames(rows), int(np.flatnonzero(rows == floor)[0])
    fit = adjust_boards(used, place_cameras(likely.frames(rows), lenses, frame), frame)
    _check_fit(used, fit)
    right = np.isfinite(fit.error_px) & ~fit.wrong
    with np.errstate(invalid="ignore"):
        error = np.sqrt(np.square(fit.error_px, where=right, out=0.0 * right).sum((0, 2)) / right.sum((0, 2)))
    return CalibratedCameras(
        cameras=fit.cameras,
        error_px=error,
        wrong=fit.wrong.sum((0, 2)),
        seen=used.seen.sum(0),
        coverage=np.array([image_coverage(views, v) for v in range(len(views.names))]),
        focal=fit.deviation[:, FOCAL],
        position=np.linalg.norm(fit.deviation[:, POSITION], axis=1),
        rotation=np.linalg.norm(fit.deviation[:, ROTATION], axis=1),
    )


def _without_unlikely_corners(views: BoardViews) -> BoardViews:
    """The views without corners far from their places by a homography of the board, which has no distortion."""
    import cv2

    xy = views.xy.copy()
    for f, v in np.argwhere(views.seen):
        found = np.flatnonzero(np.isfinite(xy[f, v]).all(-1))
        tolerance = FLAT_LENS_TOLERANCE * max(views.sizes[v])
        plane, inlier = cv2.findHomography(views.board.corners[found, :2], xy[f, v, found], cv2.RANSAC, tolerance)
        xy[f, v, found if plane is None else found[inlier.ravel() == 0]] = np.nan
    return BoardViews(views.board, views.names, views.sizes, xy)


def _first_lens(views: BoardViews, index: int, lens: str) -> Camera:
    """One camera's lens from its own views by OpenCV: focal length, and two coefficients unless it is a fisheye."""
    import cv2

    name, corners = views.names[index], views.xy[views.seen[:, index], index]
    if len(corners) < MIN_BOARD_VIEWS:
        raise InputError(
            f"camera {name!r} shows the board in {len(corners)} of {len(views.xy)} frames looked at; its lens needs at "
            f"least {MIN_BOARD_VIEWS}, better 20, in all parts of the image and at several slants."
        )
    found_by_view = np.isfinite(corners).all(-1)
    points = [views.board.corners[found].astype(np.float32) for found in found_by_view]
    pixels = [xy[found].astype(np.float32) for xy, found in zip(corners, found_by_view, strict=True)]
    kept = cv2.CALIB_FIX_ASPECT_RATIO | cv2.CALIB_FIX_PRINCIPAL_POINT | cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K3
    _, K, coefficients, *_ = cv2.calibrateCamera(points, pixels, views.sizes[index], np.eye(3), None, flags=kept)
    model, count = LENS_MODELS[lens]
    distortion = np.zeros(count) if model == "fisheye" else np.pad(coefficients.ravel()[:5], (0, count - 5))
    camera = Camera(name, views.sizes[index], K, distortion, R=np.eye(3), t=np.zeros(3), lens=model)
    return camera.with_unchecked(distortion=distortion)  # keeps coefficients that are 0


def _check_fit(views: BoardViews, fit: BoardFit) -> None:
    """Warn where a camera's corners disagree with the other cameras' at the same instant; raise `InputError` where a
    focal length is not known."""
    together = views.seen.sum(1) > 1
    for v, name in enumerate(views.names):
        seen, wrong = np.isfinite(fit.error_px[together, v]).sum(), fit.wrong[together, v].sum()
        if wrong > MAX_WRONG_CORNERS_SHARE * max(seen, 1):
            warnings.warn(
                f"camera {name!r}: {100 * wrong / seen:.0f} % of the corners that it saw together with other cameras "
                "disagree with these. Do all videos start at the same instant (simspine does not synchronise), and did "
                "no camera move?",
                stacklevel=3,
            )
        if not fit.deviation[v, FOCAL] <= MAX_FOCAL_RELATIVE_SD:
            raise InputError(
                f"the focal length of camera {name!r} is known to {100 * fit.deviation[v, FOCAL]:.0f} % only: in its "
                f"{views.seen[:, v].sum()} views the board has too similar slants. Tilt it by 30° and more towards and "
                "away from the camera, near and far."
            )
