"""Calibration of cameras by a board: first each camera's lens, then the cameras' poses, then all at once.

All at once is a bundle adjustment over the cameras and the poses of the board: Levenberg–Marquardt with robust weights.
Lenses have weak priors for parameters that the views do not determine: square pixels, the principal point in the middle
of the image, no distortion.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.core.geometry import project_one
from simspine.core.types import Camera, HoldsArrays
from simspine.vision.board import LEAST_CORNERS, Board, board_poses_by_view
from simspine.vision.bundle_adjustment import ArrowheadEquations, EquationBlocks, changed_camera

COVERAGE_GRID = (8, 6)  # cells along the longer and the shorter side of an image, for its coverage


@dataclass(frozen=True)
class BoardViews(HoldsArrays):
    """Corners of one board in the images of several cameras. Frame k of all cameras shows the same instant.

    names, sizes: of the cameras; sizes (width, height) px. xy: (frames, cameras, corners, 2) px, NaN = not seen; the
    corners as `Board.corners` orders them.
    """

    board: Board
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    xy: np.ndarray

    def __post_init__(self):
        self._set_arrays({"xy": (len(self.xy), len(self.names), len(self.board.corners), 2)})

    @property
    def seen(self) -> np.ndarray:
        """(frames, cameras) bool: enough corners for the board's pose, not all in one row or column."""
        grid = (self.board.rows - 1, self.board.columns - 1)
        found = np.isfinite(self.xy).all(-1).reshape(*self.xy.shape[:2], *grid)
        return (found.sum((2, 3)) >= LEAST_CORNERS) & (found.any(2).sum(-1) > 1) & (found.any(3).sum(-1) > 1)

    def frames(self, rows: Sequence[int] | np.ndarray) -> "BoardViews":
        return BoardViews(self.board, self.names, self.sizes, self.xy[np.asarray(rows, int)])


def image_coverage(views: BoardViews, index: int) -> float:
    """Share of the cells of a camera's image in which a corner was seen."""
    width, height = views.sizes[index]
    columns, rows = COVERAGE_GRID if width >= height else COVERAGE_GRID[::-1]
    x, y = np.clip(views.xy[:, index].reshape(-1, 2), 0, [width, height]).T
    counts = np.histogram2d(x, y, [columns, rows], [[0, width], [0, height]])[0]
    return float((counts > 0).mean())


# Parameters of a camera: those of `changed_camera` up to the principal point, distortion, logarithm of fx / fy. Of a
# board: rotation (rad), position (m). All are changes from the initial values.
ROTATION, POSITION, FOCAL, CENTRE, DISTORTION = slice(3), slice(3, 6), 6, slice(7, 9), slice(9, -1)
ASPECT_SD, CENTRE_SD = 0.005, 0.05  # priors: of log fx / fy; of the principal point, in image sides
DISTORTION_SD = {"perspective": (1.0, 1.0, 0.01, 0.01, 1.0, 1.0, 1.0, 1.0), "fisheye": (1.0, 1.0, 1.0, 1.0)}  # priors
CAUCHY_SCALE = 3.0  # scale of the Cauchy loss, times the noise: the influence of larger errors declines
WRONG_CORNER_NOISE_FACTOR, MIN_WRONG_CORNER_PX = 6.0, 1.0  # times the noise; px: a larger error than both is a mistake
MIN_CORNER_NOISE_PX = 0.02  # px
BEHIND_CAMERA_PX = 1e6  # error of a corner that was seen, but whose estimate is behind the camera
MAX_STEPS, CONVERGED_SD = 60, 0.01  # iterations; converged if the whole step is shorter, in standard deviations
LEAST_DAMPING = 1e-12  # keeps equations solvable that do not separate a focal length from a distance
DIFFERENCE_STEP = 1e-5  # of difference quotients


class PlacedBoards(NamedTuple):
    """Cameras, and poses (frames, 4, 4), m, of the board in their world."""

    cameras: tuple[Camera, ...]
    poses: np.ndarray


class BoardFit(NamedTuple):
    """Cameras adjusted. deviation: (cameras, parameters), standard deviations. error_px: (frames, cameras, corners),
    NaN = not seen. wrong: (frames, cameras, corners) bool, an error so large that another corner was found."""

    cameras: tuple[Camera, ...]
    deviation: np.ndarray
    error_px: np.ndarray
    wrong: np.ndarray


def adjust_boards(views: BoardViews, start: PlacedBoards, frame: int) -> BoardFit:
    """The most probable cameras and poses of the board: Levenberg–Marquardt.

    start: initial values; all distortion coefficients of its cameras are estimated. frame: the frame whose pose of the
    board stays fixed and defines the world.
    """
    problem = _BoardProblem(views, start, frame, count=DISTORTION.start + start.cameras[0].distortion.size + 1)
    values, damping = np.zeros(problem.cameras.stop), 1e-4
    equations = problem.equations(values)
    for _ in range(MAX_STEPS):
        step, decrease = equations.step(damping)
        if problem.cost(values + step, equations.noise) <= problem.cost(values, equations.noise):
            values, damping, size = values + step, max(damping / 10, 1e-9), decrease
            equations = problem.equations(values)
            if size < CONVERGED_SD**2:
                break
        elif damping > 1e6:
            break
        else:
            damping *= 10
    placed, limit = problem.placed(values), WRONG_CORNER_NOISE_FACTOR * np.sqrt(2) * equations.noise
    error = np.linalg.norm(corner_residuals(views.xy, views.board.corners, placed), axis=-1)
    return BoardFit(
        cameras=tuple(camera.with_() for camera in placed.cameras),
        deviation=np.sqrt(np.diag(equations.covariance())).reshape(-1, problem.count),
        error_px=error,
        wrong=error > max(limit, MIN_WRONG_CORNER_PX),
    )


def corner_residuals(xy: np.ndarray, corners: np.ndarray, placed: PlacedBoards) -> np.ndarray:
    """Observed minus projected corners (frames, cameras, corners, 2) px, NaN = not seen."""
    world = corners @ placed.poses[:, :3, :3].swapaxes(-1, -2) + placed.poses[:, None, :3, 3]
    residual = xy - np.stack([project_one(camera, world) for camera in placed.cameras], 1)
    return np.where(np.isnan(xy), np.nan, np.nan_to_num(residual, nan=BEHIND_CAMERA_PX))


class _BoardEquations(NamedTuple):
    """Normal equations of a step: the board's values in each frame, and the cameras' values as their border.

    camera_sides: (frames, camera values), each frame's part of the border's right side. precision: (camera values,) of
    the priors. squares: (corners seen,) errors² / (Cauchy scale · noise)². noise: px.
    """

    system: ArrowheadEquations
    camera_sides: np.ndarray
    precision: np.ndarray
    squares: np.ndarray
    noise: float

    def step(self, damping: float) -> tuple[np.ndarray, float]:
        """Step of all values, and the decrease of the cost that it promises."""
        (boards,), cameras = self.system.damped(damping).solved()
        decrease = float((boards * self.system.blocks[0].side).sum() + cameras @ self.system.side)
        return np.r_[boards.ravel(), cameras], decrease

    def covariance(self) -> np.ndarray:
        """Covariance of the cameras' values; at least that of independent normal errors.

        Corners of a frame share errors (a board bends, or moves). The covariance is therefore multiplied by the scatter
        of the frames' gradients relative to that expected from the weights, and divided by the squared mean slope of
        the influence function, which falls for large errors (Huber & Ronchetti 2009, ch. 7)."""
        inverse = self.system.damped(LEAST_DAMPING).border_covariance()
        scatter = np.einsum("fi,ij,fj->", self.camera_sides, inverse, self.camera_sides)
        by_data = len(inverse) - float(np.diag(inverse) @ self.precision)  # parameters that data determine
        weight = 1 / (1 + self.squares)
        slope = float(((1 - self.squares) * weight**2 + weight).sum() / (2 * weight.sum()))
        return inverse * max(1.0, float(scatter) / max(by_data, 1.0) / max(slope, 0.1) ** 2)


@dataclass(frozen=True)
class _BoardProblem:
    """Problem of `adjust_boards`. Values: 6 of each board, then `count` parameters of each camera."""

    views: BoardViews
    start: PlacedBoards
    frame: int
    count: int

    @property
    def cameras(self) -> slice:
        """The cameras' parameters among the values."""
        first = 6 * len(self.views.xy)
        return slice(first, first + len(self.start.cameras) * self.count)

    def placed(self, values: np.ndarray) -> PlacedBoards:
        pairs = zip(self.start.cameras, values[self.cameras].reshape(-1, self.count), strict=True)
        moves, poses = values[: self.cameras.start].reshape(-1, 6).copy(), self.start.poses.copy()
        moves[self.frame] = 0.0
        poses[:, :3, :3] = Rotation.from_rotvec(moves[:, ROTATION]).as_matrix() @ poses[:, :3, :3]
        poses[:, :3, 3] += moves[:, POSITION]
        return PlacedBoards(tuple(_camera_after_step(camera, row) for camera, row in pairs), poses)

    def cost(self, values: np.ndarray, noise: float) -> float:
        """Minus twice the logarithm of the probability, up to a constant."""
        off, precision = self._priors(values)
        squares = (self._residual(values) ** 2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
        return CAUCHY_SCALE**2 * float(np.log1p(squares).sum()) + float(precision @ off**2)

    def equations(self, values: np.ndarray) -> _BoardEquations:
        """Normal equations of a step from the values."""
        columns = self._columns()
        residual, slopes = self._residual(values), []
        for moved in columns.T:
            step = np.zeros_like(values)
            step[moved] = DIFFERENCE_STEP
            slopes.append((self._residual(values - step) - self._residual(values + step)) / (2 * DIFFERENCE_STEP))
        noise = max(MIN_CORNER_NOISE_PX, 1.4826 * float(np.median(np.abs(residual))))
        squares = (residual**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
        root = 1 / (noise * np.sqrt(1 + squares))[:, None]
        products, sides = self._by_frame(columns, root[..., None] * np.stack(slopes, -1), root * residual)
        off, precision = self._priors(values)
        system = ArrowheadEquations(
            blocks=(EquationBlocks(products[:, :6, :6], products[:, :6, 6:], sides[:, :6]),),
            border=products[:, 6:, 6:].sum(0) + np.diag(precision),
            side=sides[:, 6:].sum(0) - precision * off,
        )
        return _BoardEquations(system, sides[:, 6:], precision=precision, squares=squares, noise=noise)

    def _columns(self) -> np.ndarray:
        """Values (corners seen, 6 + count) on which a corner depends: of its frame's board, of its camera."""
        frame, view, _ = np.nonzero(np.isfinite(self.views.xy).all(-1))
        of_camera = self.cameras.start + view[:, None] * self.count + np.arange(self.count)
        return np.c_[6 * frame[:, None] + np.arange(6), of_camera]

    def _by_frame(self, columns: np.ndarray, slopes: np.ndarray, residual: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Products JᵀJ (frames, k, k) and Jᵀr (frames, k) of each frame, by its board's 6 values and all cameras'."""
        boards, k = len(self.views.xy), 6 + self.cameras.stop - self.cameras.start
        jacobian = np.zeros((*residual.shape, k))
        jacobian[..., :6] = slopes[..., :6]
        np.put_along_axis(jacobian, 6 + columns[:, None, 6:] - self.cameras.start, slopes[..., 6:], -1)
        products, sides = np.zeros((boards, k, k)), np.zeros((boards, k))
        for board in range(boards):
            of_board = columns[:, 0] == 6 * board
            rows = jacobian[of_board].reshape(-1, k)
            products[board], sides[board] = rows.T @ rows, rows.T @ residual[of_board].ravel()
        return products, sides

    def _residual(self, values: np.ndarray) -> np.ndarray:
        """Observed minus projected corners (corners seen, 2) px."""
        xy = self.views.xy
        return corner_residuals(xy, self.views.board.corners, self.placed(values))[np.isfinite(xy).all(-1)]

    def _priors(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Differences of the cameras' values from the priors' means, and 1 / variance, 0 for those without a prior."""
        off, precision = np.zeros((2, len(self.start.cameras) * self.count))
        for v, camera in enumerate(self.placed(values).cameras):
            columns = slice(v * self.count + CENTRE.start, (v + 1) * self.count)
            centre = camera.K[:2, 2] - (np.array(camera.size) - 1) / 2
            off[columns] = np.r_[centre, camera.distortion, np.log(camera.K[0, 0] / camera.K[1, 1])]
            distortion_sd = DISTORTION_SD[camera.lens][: camera.distortion.size]
            precision[columns] = np.r_[np.full(2, CENTRE_SD * max(camera.size)), distortion_sd, ASPECT_SD] ** -2
        return off, precision


def _camera_after_step(start: Camera, change: np.ndarray) -> Camera:
    moved = changed_camera(start, change)
    K = moved.K.copy()
    K[[0, 1], [0, 1]] *= np.exp(change[-1] * np.array([0.5, -0.5]))
    return moved.with_unchecked(K=K, distortion=start.distortion + change[DISTORTION])


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
    xy = views.xy.copy()
    for f, v in np.argwhere(views.seen):
        found = np.flatnonzero(np.isfinite(xy[f, v]).all(-1))
        tolerance = FLAT_LENS_TOLERANCE * max(views.sizes[v])
        plane, inlier = cv2.findHomography(views.board.corners[found, :2], xy[f, v, found], cv2.RANSAC, tolerance)
        xy[f, v, found if plane is None else found[inlier.ravel() == 0]] = np.nan
    return BoardViews(views.board, views.names, views.sizes, xy)


def _first_lens(views: BoardViews, index: int, lens: str) -> Camera:
    """One camera's lens from its own views by OpenCV: focal length, and two coefficients unless it is a fisheye."""
    name, corners = views.names[index], views.xy[views.seen[:, index], index]
    if len(corners) < MIN_BOARD_VIEWS:
        where = f"camera {name!r} shows the board in {len(corners)} of {len(views.xy)} frames looked at"
        raise InputError(f"{where}; {MIN_BOARD_VIEWS} are needed, better 20, all over the image and slanted.")
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
    """Warn where a camera's corners disagree with the other cameras' at the same instant; raise `InputError` where that
    may come from too few common views, and where a focal length is not known."""
    together, common = views.seen.sum(1) > 1, views.seen.T.astype(int) @ views.seen.astype(int)
    for v, name in enumerate(views.names):
        seen, wrong = np.isfinite(fit.error_px[together, v]).sum(), fit.wrong[together, v].sum()
        if wrong > MAX_WRONG_CORNERS_SHARE * max(seen, 1):
            disagree = f"camera {name!r}: {100 * wrong / seen:.0f} % of the corners seen with other cameras"
            most = np.delete(common[v], v).max()
            if most < MIN_BOARD_VIEWS:
                shared = f"{disagree} disagree with these. Only {most} views of the board are shared with another one"
                raise InputError(f"{shared}; show it to both in {MIN_BOARD_VIEWS} frames or more, better 10.")
            warnings.warn(
                f"{disagree} disagree with these. Do all videos start at the same instant (simspine does not "
                "synchronise), and did no camera move?",
                stacklevel=3,
            )
        if not fit.deviation[v, FOCAL] <= MAX_FOCAL_RELATIVE_SD:
            known = f"{100 * fit.deviation[v, FOCAL]:.0f} % only, by {views.seen[:, v].sum()} views of similar slants"
            raise InputError(
                f"the focal length of camera {name!r} is known to {known}. Tilt the board by 30° and more."
            )
