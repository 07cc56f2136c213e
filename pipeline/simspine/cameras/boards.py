"""Cameras from what they saw of a calibration board: lenses from each camera's own views, places from common ones."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.cameras.board_bundle import POSE, BoardFit, Placed, adjust_boards
from simspine.cameras.board_places import place_cameras
from simspine.cameras.board_views import BoardViews, coverage, frames_to_use, well_spread
from simspine.detection.board_pose import poses_alone
from simspine.errors import InputError
from simspine.types import Camera

LENS_VIEWS, PAIR_VIEWS = 50, 30  # of each camera, of each pair of cameras: more say little that is new
LEAST_VIEWS = 4  # of one camera, for its lens
LEAST_FOCAL = 0.05  # a focal length known less exactly than this share of it is not known
DISAGREEING = 0.1  # share of corners that are wrong in common views of a camera: a warning
MODELS = {"perspective": 5, "rational": 8, "fisheye": 4}  # coefficients that are sought
_FOCALS = np.geomspace(0.2, 4.0, 19)  # tried, of the longer image side
_TINY = 1e-9  # a coefficient to start from that is not 0, so that the camera keeps it


@dataclass(frozen=True)
class CalibratedCameras:
    """Cameras with what is known of their exactness, each (cameras,).

    cameras: world z up, metres. error_px: root mean square of the distances between corners seen and projected, without
    the wrong ones. wrong: number of corners so far off that they are others. seen: views of the board used. coverage:
    share of the image in which corners were seen, over all views. Standard
    deviations: focal, of the focal length, relative; position (m) and rotation (rad), root of the summed variances of
    the three axes, relative to what defines the world. NaN where nothing was sought, 0 for what defines the world.
    """

    cameras: tuple[Camera, ...]
    error_px: np.ndarray
    wrong: np.ndarray
    seen: np.ndarray
    coverage: np.ndarray
    focal: np.ndarray
    position: np.ndarray
    rotation: np.ndarray


def calibrate_lenses(views: BoardViews, lens: str = "perspective") -> CalibratedCameras:
    """Each camera's lens from its own views of the board; all of them stand in the origin.

    lens: 'perspective' (5 coefficients), 'rational' (8) or 'fisheye' (4). Raises `InputError` for a camera that shows
    the board in fewer than four frames, or always in the same way, so that its focal length cannot be told.
    """
    fits = [_lens(views, v, lens) for v in range(len(views.names))]
    cameras = tuple(fit.placed.cameras[0].with_(R=np.eye(3), t=np.zeros(3)) for fit in fits)
    nothing = np.full(len(fits), np.nan)
    return CalibratedCameras(
        cameras,
        np.array([_rms(fit) for fit in fits]),
        np.array([fit.wrong.sum() for fit in fits]),
        np.array([len(fit.error_px) for fit in fits]),
        np.array([coverage(views, v) for v in range(len(fits))]),
        np.array([np.sqrt(fit.covariance[POSE, POSE]) for fit in fits]),
        nothing,
        nothing,
    )


def calibrate_boards(
    views: BoardViews,
    *,
    lens: str = "perspective",
    known: Sequence[Camera] | None = None,
    floor: int | None = None,
) -> CalibratedCameras:
    """Lenses and places of cameras from their views of one board: bundle adjustment over cameras and board.

    lens: as in `calibrate_lenses`. known: cameras, in the order of the views, whose lenses are kept as they are. floor:
    a frame in which the board lay on the floor, its printed side up: it gives the world its origin (the board's upper
    left corner as printed), x (to the right along the board) and z (up). Without it the first camera is the origin, x
    points horizontally where it looks, and up is where all cameras have it if none is turned about its axis.

    Frames are chosen: those that differ most. Raises `InputError` where a lens cannot be told (`calibrate_lenses`),
    where cameras share no view of the board with the others, where a board that looks the same after half a turn leaves
    open how two cameras stand, and where the board is not seen in the floor's frame.
    """
    count = len(views.names)
    if known is not None and len(known) != count:
        raise InputError(f"{count} cameras saw the board, but the lenses of {len(known)} are given.")
    if floor is not None and not (0 <= floor < len(views.xy) and views.seen[floor].any()):
        raise InputError(f"no camera shows the board in frame {floor}, which is to give the floor.")
    fits = None if known is not None else [_lens(views, v, lens) for v in range(count)]
    start = known if fits is None else [fit.placed.cameras[0] for fit in fits]
    assert start is not None
    rows = np.unique(np.r_[frames_to_use(views, LENS_VIEWS if fits else 5, PAIR_VIEWS), [] if floor is None else floor])
    some = views.frames(rows)
    placed = place_cameras(some, start)
    frame = None if floor is None else int(np.flatnonzero(rows == floor)[0])
    fit = adjust_boards(some, placed, lenses=fits is not None, camera=0 if floor is None else None, frame=frame)
    _warn_of_worse(some, fit)
    return _described(views, some, fit, frame, fits is not None)


def _lens(views: BoardViews, index: int, lens: str) -> BoardFit:
    """One camera's lens, from its own views."""
    if lens not in MODELS:
        raise InputError(f"unknown lens {lens!r}; expected one of {', '.join(MODELS)}.")
    name, rows = views.names[index], well_spread(views, index, LENS_VIEWS)
    if len(rows) < LEAST_VIEWS:
        raise InputError(
            f"camera {name!r} shows the board in {len(rows)} of {len(views.xy)} frames looked at; its lens needs at "
            f"least {LEAST_VIEWS}, better 20, in all parts of the image and at several slants. Or give its lens."
        )
    own = views.camera(index).frames(rows)
    start = min((_guess(own, focal, lens) for focal in _FOCALS), key=lambda found: found[1])[0]
    fit = adjust_boards(own, start, lenses=True, camera=0)
    deviation = float(np.sqrt(fit.covariance[POSE, POSE]))
    if deviation > LEAST_FOCAL:
        raise InputError(
            f"the focal length of camera {name!r} is known to {100 * deviation:.0f} % only: in its {len(rows)} views "
            "the board is held too much alike. Tilt it by 30° and more towards and away from the camera, near and far."
        )
    return fit


def _guess(views: BoardViews, focal: float, lens: str) -> tuple[Placed, float]:
    """A camera without distortion and of this focal length, the board's places, and how badly they fit."""
    (width, height), (name,) = views.sizes[0], views.names
    f = focal * max(width, height)
    K = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])
    model = "fisheye" if lens == "fisheye" else "perspective"
    camera = Camera(name, (width, height), K, np.r_[np.zeros(MODELS[lens] - 1), _TINY], np.eye(3), np.zeros(3), model)
    poses = [poses_alone(camera, xy, views.board)[0] for xy in views.xy[:, 0]]
    error = np.minimum([pose.error_px for pose in poses], max(width, height))
    R, t = np.stack([pose.R for pose in poses]), np.stack([pose.t for pose in poses])
    return Placed((camera,), R, t, np.zeros((len(poses), 1), bool)), float(np.median(error))


def _described(
    views: BoardViews, used: BoardViews, fit: BoardFit, frame: int | None, lenses: bool
) -> CalibratedCameras:
    count = len(views.names)
    variance = np.diag(fit.covariance).reshape(count, -1)
    return CalibratedCameras(
        in_world(fit.placed, frame),
        np.array([_rms(fit, v) for v in range(count)]),
        fit.wrong.sum((0, 2)),
        used.seen.sum(0),
        np.array([coverage(views, v) for v in range(count)]),
        np.sqrt(variance[:, POSE]) if lenses else np.full(count, np.nan),
        np.sqrt(variance[:, 3:6].sum(1)),
        np.sqrt(variance[:, :3].sum(1)),
    )


def in_world(placed: Placed, frame: int | None) -> tuple[Camera, ...]:
    """The cameras in a world with z up: that of the board on the floor in a frame, or that of the cameras."""
    if frame is not None:
        half_turn = np.diag([1.0, -1.0, -1.0])  # the board's z points into it, its y to its lower edge
        R = half_turn @ placed.R[frame].T
        t = -R @ placed.t[frame]
    else:
        first, up = placed.cameras[0], _up(placed.cameras)
        x = first.R[2] - (first.R[2] @ up) * up
        if np.linalg.norm(x) < 0.1:  # it looks straight down or up: what is above in its image lies ahead
            x = -first.R[1] + (first.R[1] @ up) * up
        x /= np.linalg.norm(x)
        R = np.stack([x, np.cross(up, x), up])
        t = -R @ first.centre
    return tuple(camera.with_(R=camera.R @ R.T, t=camera.t - camera.R @ R.T @ t) for camera in placed.cameras)


def _up(cameras: Sequence[Camera]) -> np.ndarray:
    """Upwards, if no camera is turned about its axis: at a right angle to where all of them have their right."""
    above = -np.mean([camera.R[1] for camera in cameras], 0)
    _, spread, axes = np.linalg.svd(np.stack([camera.R[0] for camera in cameras]))
    if len(cameras) > 1 and spread[1] > 0.3 and abs(axes[2] @ above) > 0.5 * np.linalg.norm(above):
        return axes[2] * np.sign(axes[2] @ above)
    return above / np.linalg.norm(above)


def _warn_of_worse(views: BoardViews, fit: BoardFit) -> None:
    """Where a camera does not see the board where the others have it at the same instant."""
    common = views.seen.sum(1) > 1
    for v, name in enumerate(views.names):
        seen = np.isfinite(fit.error_px[common, v]).sum()
        if fit.wrong[common, v].sum() > DISAGREEING * max(seen, 1):
            warnings.warn(
                f"camera {name!r}: {100 * fit.wrong[common, v].sum() / seen:.0f} % of the corners that it saw together "
                "with other cameras are not where these have them. Do all videos start at the same instant (simspine "
                "does not synchronise), and did no camera move?",
                stacklevel=3,
            )


def _rms(fit: BoardFit, camera: int = 0) -> float:
    """Root mean square of a camera's errors, px, without wrong corners."""
    good = fit.error_px[:, camera][~fit.wrong[:, camera]]
    return float(np.sqrt(np.nanmean(good**2))) if np.isfinite(good).any() else np.nan
