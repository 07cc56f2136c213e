"""Cameras from what they saw of a calibration board: lenses from each camera's own views, places from common ones."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components

from simspine.core.errors import InputError
from simspine.core.types import Camera
from simspine.vision.board import Board, BoardPose, board_poses_by_view, corner_rms_px
from simspine.vision.board_bundle import (
    POSE_PARAMETERS,
    BoardFit,
    BoardViews,
    PlacedBoards,
    adjust_boards,
    image_coverage,
)

# First places of cameras and board: the board in each image, cameras in pairs, all of them along the best pairs.


FRAMES_PROPOSING = 12  # common frames that propose how two cameras stand; all of them judge


def place_cameras(views: BoardViews, lenses: Sequence[Camera]) -> PlacedBoards:
    """Cameras and boards in the frame of the first camera, to start from.

    Raises `InputError` where the cameras fall into groups that share no view of the board.
    """
    alone = {
        (f, v): board_poses_by_view(lenses[v], views.xy[f, v], views.board) for f, v in np.argwhere(views.seen).tolist()
    }
    shared = views.seen.T.astype(int) @ views.seen.astype(int)
    placed = {0: BoardPose(np.eye(3), np.zeros(3))}  # world → camera
    while len(placed) < len(lenses):
        _, a, b = max((shared[a, b], a, b) for a in placed for b in range(len(lenses)) if b not in placed)
        if not shared[a, b]:
            raise _unconnected_error(views, shared)
        placed[b] = _relative_pose(views, lenses, alone, a=a, b=b).after(placed[a])
    cameras = tuple(lens.with_(R=placed[v].R, t=placed[v].t) for v, lens in enumerate(lenses))
    boards = [_best_board_pose(views, cameras, alone, f) for f in range(len(views.xy))]
    return PlacedBoards(cameras, np.stack([board.R for board in boards]), np.stack([board.t for board in boards]))


def _unconnected_error(views: BoardViews, shared: np.ndarray) -> InputError:
    count, label = connected_components(shared > 0, directed=False)
    groups = sorted((np.flatnonzero(label == k).tolist() for k in range(count)), key=lambda group: -len(group))
    listed = " | ".join(", ".join(views.names[v] for v in group) for group in groups)
    odd = ", ".join(repr(views.names[v]) for group in groups[1:] for v in group)
    return InputError(
        f"no frame shows the board to {odd} and another camera at once, so it remains open where they stand. Cameras "
        f"that share views: {listed}. Hold the board where both sides see it; a camera that does not see it at all may "
        "have another name, or show another board."
    )


def _relative_pose(views: BoardViews, lenses: Sequence[Camera], alone: dict, a: int, b: int) -> BoardPose:
    """From camera a's frame to camera b's: of what the common frames propose, what most of them agree with."""
    common = np.flatnonzero(views.seen[:, [a, b]].all(1)).tolist()
    judges = [(views.xy[f, b], alone[f, a]) for f in common]
    some = sorted(common, key=lambda f: alone[f, a][0].error_px + alone[f, b][0].error_px)[:FRAMES_PROPOSING]
    proposals = [second.after(first.inverse) for f in some for first in alone[f, a] for second in alone[f, b]]
    scores = [_median_board_error(lenses[b], proposal, judges, views.board) for proposal in proposals]
    return proposals[int(np.argmin(scores))]


def _median_board_error(camera: Camera, proposal: BoardPose, judges: list, board: Board) -> float:
    """Median over frames of the errors, px, of the board where camera a saw it."""
    centred = camera.with_(R=proposal.R, t=proposal.t)
    return float(np.median([min(corner_rms_px(centred, pose, board, xy) for pose in poses) for xy, poses in judges]))


def _best_board_pose(views: BoardViews, cameras: Sequence[Camera], alone: dict, frame: int) -> BoardPose:
    """Where the board was in a frame: of what the cameras propose, what fits all of them best."""
    who = np.flatnonzero(views.seen[frame]).tolist()
    proposals = [BoardPose(cameras[v].R, cameras[v].t).inverse.after(pose) for v in who for pose in alone[frame, v]]

    def cost(pose: BoardPose) -> float:
        return sum(corner_rms_px(cameras[v], pose, views.board, views.xy[frame, v]) for v in who)

    return min(proposals, key=cost)


MIN_BOARD_VIEWS = 4  # of one camera, for its lens
MAX_FOCAL_RELATIVE_SD = 0.05  # a focal length known less exactly than this share of it is not known
MAX_WRONG_CORNERS_SHARE = 0.1  # share of corners that are wrong in common views of a camera: a warning
LENS_MODEL_COEFFICIENTS = {"perspective": 5, "rational": 8, "fisheye": 4}  # coefficients that are sought
_FOCAL_LENGTHS_TRIED = np.geomspace(0.2, 4.0, 19)  # tried, of the longer image side
_TINY_COEFFICIENT = 1e-9  # a coefficient to start from that is not 0, so that the camera keeps it


@dataclass(frozen=True)
class CalibratedCameras:
    """Cameras with what is known of their exactness, each (cameras,).

    cameras: world z up, metres. error_px: root mean square of the distances between corners seen and projected, without
    the wrong ones. wrong: number of corners so far off that they are others. seen: views of the board used. coverage:
    share of the image in which corners were seen, over all views. Standard
    deviations: focal, of the focal length, relative; position (m) and rotation (rad), root of the summed variances of
    the three axes, relative to what defines the world. 0 for what defines the world.
    """

    cameras: tuple[Camera, ...]
    error_px: np.ndarray
    wrong: np.ndarray
    seen: np.ndarray
    coverage: np.ndarray
    focal: np.ndarray
    position: np.ndarray
    rotation: np.ndarray


def calibrate_boards(views: BoardViews, floor: int, lens: str = "perspective") -> CalibratedCameras:
    """Lenses and places of cameras from their views of one board: bundle adjustment over cameras and board.

    floor: a frame in which the board lay on the floor, its printed side up: it gives the world its origin (the board's
    upper left corner as printed), x (to the right along the board) and z (up). lens: 'perspective' (5 coefficients),
    'rational' (8) or 'fisheye' (4).

    Raises `InputError` for a camera that shows the board in fewer than four frames, or always in the same way, so that
    its focal length is not known; where cameras cannot be placed (`place_cameras`); and where the board is not seen in
    the floor's frame.
    """
    if not (0 <= floor < len(views.xy) and views.seen[floor].any()):
        raise InputError(f"no camera shows the board in frame {floor}, which is to give the floor.")
    start = [_camera_lens(views, v, lens) for v in range(len(views.names))]
    rows = np.flatnonzero(views.seen.any(1))
    some, frame = views.frames(rows), int(np.flatnonzero(rows == floor)[0])
    fit = adjust_boards(some, place_cameras(some, start), frame=frame)
    _warn_of_worse(some, fit)
    count = len(views.names)
    variance = np.diag(fit.covariance).reshape(count, -1)
    return CalibratedCameras(
        cameras=cameras_on_the_floor(fit.placed, frame),
        error_px=np.array([_camera_rms_px(fit, v) for v in range(count)]),
        wrong=fit.wrong.sum((0, 2)),
        seen=some.seen.sum(0),
        coverage=np.array([image_coverage(views, v) for v in range(count)]),
        focal=np.sqrt(variance[:, POSE_PARAMETERS]),
        position=np.sqrt(variance[:, 3:6].sum(1)),
        rotation=np.sqrt(variance[:, :3].sum(1)),
    )


def _camera_lens(views: BoardViews, index: int, lens: str) -> Camera:
    """One camera's lens, from its own views."""
    if lens not in LENS_MODEL_COEFFICIENTS:
        raise InputError(f"unknown lens {lens!r}; expected one of {', '.join(LENS_MODEL_COEFFICIENTS)}.")
    name, own = views.names[index], views.of_camera(index)
    if len(own.xy) < MIN_BOARD_VIEWS:
        raise InputError(
            f"camera {name!r} shows the board in {len(own.xy)} of {len(views.xy)} frames looked at; its lens needs at "
            f"least {MIN_BOARD_VIEWS}, better 20, in all parts of the image and at several slants."
        )
    start = min((_first_lens_guess(own, focal, lens) for focal in _FOCAL_LENGTHS_TRIED), key=lambda found: found[1])[0]
    fit = adjust_boards(own, start, camera=0)
    deviation = float(np.sqrt(fit.covariance[POSE_PARAMETERS, POSE_PARAMETERS]))
    if deviation > MAX_FOCAL_RELATIVE_SD:
        raise InputError(
            f"the focal length of camera {name!r} is known to {100 * deviation:.0f} % only: in its {len(own.xy)} views "
            "the board is held too much alike. Tilt it by 30° and more towards and away from the camera, near and far."
        )
    return fit.placed.cameras[0]


def _first_lens_guess(views: BoardViews, focal: float, lens: str) -> tuple[PlacedBoards, float]:
    """A camera without distortion and of this focal length, the board's places, and how badly they fit."""
    (width, height), (name,) = views.sizes[0], views.names
    f = focal * max(width, height)
    K = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])
    model = "fisheye" if lens == "fisheye" else "perspective"
    camera = Camera(
        name=name,
        size=(width, height),
        K=K,
        distortion=np.r_[np.zeros(LENS_MODEL_COEFFICIENTS[lens] - 1), _TINY_COEFFICIENT],
        R=np.eye(3),
        t=np.zeros(3),
        lens=model,
    )
    poses = [board_poses_by_view(camera, xy, views.board)[0] for xy in views.xy[:, 0]]
    error = np.minimum([pose.error_px for pose in poses], max(width, height))
    R, t = np.stack([pose.R for pose in poses]), np.stack([pose.t for pose in poses])
    return PlacedBoards((camera,), R, t), float(np.median(error))


def cameras_on_the_floor(placed: PlacedBoards, frame: int) -> tuple[Camera, ...]:
    """The cameras in a world with z up: that of the board on the floor in a frame."""
    R = np.diag([1.0, -1.0, -1.0]) @ placed.R[frame].T  # the board's z points into it, its y to its lower edge
    t = -R @ placed.t[frame]
    return tuple(camera.with_(R=camera.R @ R.T, t=camera.t - camera.R @ R.T @ t) for camera in placed.cameras)


def _warn_of_worse(views: BoardViews, fit: BoardFit) -> None:
    """Where a camera does not see the board where the others have it at the same instant."""
    common = views.seen.sum(1) > 1
    for v, name in enumerate(views.names):
        seen = np.isfinite(fit.error_px[common, v]).sum()
        if fit.wrong[common, v].sum() > MAX_WRONG_CORNERS_SHARE * max(seen, 1):
            warnings.warn(
                f"camera {name!r}: {100 * fit.wrong[common, v].sum() / seen:.0f} % of the corners that it saw together "
                "with other cameras are not where these have them. Do all videos start at the same instant (simspine "
                "does not synchronise), and did no camera move?",
                stacklevel=3,
            )


def _camera_rms_px(fit: BoardFit, camera: int) -> float:
    """Root mean square of a camera's errors, px, without wrong corners."""
    good = fit.error_px[:, camera][~fit.wrong[:, camera]]
    return float(np.sqrt(np.nanmean(good**2))) if np.isfinite(good).any() else np.nan
