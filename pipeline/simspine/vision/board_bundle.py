"""Bundle adjustment over the places of a board and the cameras that saw it: Gauss–Newton with robust weights.

The board's places are eliminated frame by frame (Schur complement), so that a step costs what its cameras cost. Lenses
have weak priors, which hold what the views do not show: square pixels, the principal point in the middle of the image,
no distortion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError, Unchanging
from simspine.core.geometry import distort_points, distortion_derivative, project_one
from simspine.core.types import Camera, read_only_array
from simspine.vision.board import LEAST_CORNERS, Board

# What cameras saw of a calibration board: corners per frame and camera, how they cover images, which views to
# use.


COVERAGE_GRID = (
    8,
    6,
)  # of the grid that tells how much of an image was covered: along its longer side, its shorter one


@dataclass(frozen=True)
class BoardViews(Unchanging):
    """Corners of one board in the images of several cameras. Frame k of all cameras shows the same instant.

    names, sizes: of the cameras; sizes (width, height) px. xy: (frames, cameras, corners, 2) px, NaN = not seen; the
    corners as `Board.corners` orders them.
    """

    board: Board
    names: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    xy: np.ndarray

    def __post_init__(self):
        shape = (len(self.xy), len(self.names), len(self.board.corners), 2)
        object.__setattr__(self, "xy", read_only_array("BoardViews", "xy", self.xy, shape))
        if len(self.sizes) != len(self.names):
            raise InputError(f"{len(self.names)} cameras but {len(self.sizes)} image sizes.")

    @property
    def seen(self) -> np.ndarray:
        """(frames, cameras) bool: enough corners to say where the board is."""
        return np.isfinite(self.xy).all(-1).sum(-1) >= LEAST_CORNERS

    def frames(self, rows: Sequence[int] | np.ndarray) -> "BoardViews":
        """Some of the frames."""
        return BoardViews(self.board, self.names, self.sizes, self.xy[np.asarray(rows, int)])

    def camera(self, index: int) -> "BoardViews":
        """One camera alone."""
        some = slice(index, index + 1)
        return BoardViews(self.board, self.names[some], self.sizes[some], self.xy[:, some])


def image_coverage(views: BoardViews, index: int) -> float:
    """Share of the cells of a camera's image in which a corner was seen."""
    width, height = views.sizes[index]
    columns, rows = COVERAGE_GRID if width >= height else COVERAGE_GRID[::-1]
    points = views.xy[:, index].reshape(-1, 2)
    points = points[np.isfinite(points).all(-1)]
    cell = np.clip(points / [width, height] * [columns, rows], 0, [columns - 1e-9, rows - 1e-9]).astype(int)
    return len(np.unique(cell, axis=0)) / (columns * rows)


def well_spread(views: BoardViews, index: int, most: int) -> np.ndarray:
    """Frames in which one camera's views of the board differ most in place, size and slant; at most so many.

    Farthest-point selection, from the view with the most corners, the largest first.
    """
    rows = np.flatnonzero(views.seen[:, index])
    if len(rows) <= most:
        return rows
    features = np.array([_view_features(views.xy[row, index], views.board, views.sizes[index]) for row in rows])
    first = int(np.lexsort((features[:, 2], np.isfinite(views.xy[rows, index, :, 0]).sum(1)))[-1])
    chosen, apart = [first], np.linalg.norm(features - features[first], axis=1)
    while len(chosen) < most:
        chosen.append(int(np.argmax(apart)))
        apart = np.minimum(apart, np.linalg.norm(features - features[chosen[-1]], axis=1))
    return np.sort(rows[chosen])


def frames_to_use(views: BoardViews, alone: int, together: int) -> np.ndarray:
    """Frames for a calibration: well-spread views of each camera, and of each pair of cameras that see the board."""
    chosen: set[int] = set()
    for a in range(len(views.names)):
        chosen |= set(well_spread(views, a, alone).tolist())
        for b in range(a):
            both = np.flatnonzero(views.seen[:, [a, b]].all(1))
            chosen |= set(both[well_spread(views.frames(both), a, together)].tolist())
    return np.array(sorted(chosen), int)


def _view_features(xy: np.ndarray, board: Board, size: tuple[int, int]) -> np.ndarray:
    """Where the board is in the image, how large, and how it is slanted: (6,), each of the order of 1."""
    seen = np.isfinite(xy).all(-1)
    flat = board.corners[seen, :2]
    flat = flat / board.square / max(board.shape)
    # The affine map from the board to the image, and what is left over, which tells perspective.
    basis = np.c_[flat, np.ones(len(flat))]
    affine, *_ = np.linalg.lstsq(basis, xy[seen] / max(size), rcond=None)
    middle = affine[:2].T @ np.array([0.5, 0.5 * board.shape[1] / max(board.shape)]) + affine[2]
    return np.r_[middle, affine[:2].ravel()]


POSE_PARAMETERS = 6  # of a camera's parameters: rotation (rad) and translation (m) along its own axes
INTRINSIC_PARAMETERS = 4  # then: log of the focal length, log of fx / fy, principal point (px)
ASPECT_SD, CENTRE_SD = 0.005, 0.05  # priors: of log fx / fy; of the principal point, in image sides
RADIAL_SD, TANGENTIAL_SD = 1.0, 0.01  # priors of coefficients of distortion
CAUCHY_SCALE = 3.0  # noise: from here an observation's pull declines (Cauchy)
WRONG_CORNER_NOISE_FACTOR, MIN_WRONG_CORNER_PX = 6.0, 1.0  # noise, px: a corner farther off than both is another one
MIN_CORNER_NOISE_PX = 0.02  # px
MAX_STEPS, CONVERGED_SHARE = 60, 1e-3  # at most; done when no parameter moves by more than this share of its deviation
_LENS_STEP = 1e-6  # of difference quotients of coefficients, in which the models are all but linear


@dataclass(frozen=True)
class PlacedBoards:
    """Cameras, and where the board was in their world: R (frames, 3, 3), t (frames, 3) m, x_world = R x_board + t.

    turned: (frames, cameras) bool, where a board that looks the same after half a turn was seen so.
    """

    cameras: tuple[Camera, ...]
    R: np.ndarray
    t: np.ndarray
    turned: np.ndarray


@dataclass(frozen=True)
class BoardFit:
    """The result. covariance: (cameras · parameters)², 0 where a parameter was held. error_px: (frames, cameras,
    corners), NaN = not seen. noise_px: standard deviation of one image coordinate. repeated: how many corners of a
    frame say the same, because their errors are shared (a board that is bent, or moves); it is in the covariance."""

    placed: PlacedBoards
    covariance: np.ndarray
    error_px: np.ndarray
    noise_px: float
    repeated: float

    @property
    def wrong(self) -> np.ndarray:
        """(frames, cameras, corners) bool: so far off that another corner was found."""
        return self.error_px > max(WRONG_CORNER_NOISE_FACTOR * np.sqrt(2) * self.noise_px, MIN_WRONG_CORNER_PX)


def observed_corners(views: BoardViews, turned: np.ndarray) -> np.ndarray:
    """Corners (frames, cameras, corners, 2) px, those of boards seen after half a turn put back in order."""
    return np.where(turned[..., None, None], views.xy[:, :, ::-1], views.xy)


def corner_residuals(xy: np.ndarray, corners: np.ndarray, placed: PlacedBoards) -> np.ndarray:
    """Observed minus projected corners (frames, cameras, corners, 2) px."""
    world = corners @ placed.R.swapaxes(-1, -2) + placed.t[:, None]
    return xy - np.stack([project_one(camera, world) for camera in placed.cameras], 1)


def adjust_boards(
    views: BoardViews, placed: PlacedBoards, *, lenses: bool, camera: int | None = None, frame: int | None = None
) -> BoardFit:
    """The most probable cameras and places of the board, from a start.

    lenses: whether they are unknown. camera, frame: what defines the world, a camera that stays where it is, or the
    place of the board in a frame; one of them.
    """
    xy, corners = observed_corners(views, placed.turned), views.board.corners
    free = _free_parameters(placed.cameras, lenses, camera)
    damping, last = 1e-4, np.inf
    system: tuple | None = None
    noise = np.inf
    for _ in range(MAX_STEPS):
        if system is None:
            noise = _corner_noise(corner_residuals(xy, corners, placed))
            last = _minus_two_log_posterior(
                corner_residuals(xy, corners, placed), xy, placed.cameras if lenses else (), noise
            )
            system = _normal_equations(xy, corners, placed, noise=noise, lenses=lenses, frame=frame)
        step, moves, size = _solve_step(system, free, damping)
        ahead = _step_taken(placed, step, moves)
        cost = np.inf
        if ahead is not None:
            cost = _minus_two_log_posterior(
                corner_residuals(xy, corners, ahead), xy, ahead.cameras if lenses else (), noise
            )
        if ahead is not None and cost <= last:
            placed, system, damping = ahead, None, max(damping / 10, 1e-9)
            if size < CONVERGED_SHARE:
                break
        elif damping > 1e6:
            break
        else:
            damping *= 10
    left = corner_residuals(xy, corners, placed)
    noise = _corner_noise(left)
    system = _normal_equations(xy, corners, placed, noise=noise, lenses=lenses, frame=frame)
    whole, _, _, own = _reduced_camera_system(system, 0.0)
    inverse = np.linalg.pinv(whole[np.ix_(free, free)], hermitian=True)
    squares = (left**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
    repeated = _variance_inflation(system, own, inverse, free=free, squares=squares[np.isfinite(squares)])
    covariance = np.zeros_like(whole)
    covariance[np.ix_(free, free)] = inverse * repeated
    return BoardFit(
        placed=placed, covariance=covariance, error_px=np.linalg.norm(left, axis=-1), noise_px=noise, repeated=repeated
    )


def _variance_inflation(
    system: tuple, own: np.ndarray, inverse: np.ndarray, free: np.ndarray, squares: np.ndarray
) -> float:
    """By how much the variance is larger than that of independent normal errors; at least 1.

    The scatter of what the frames say of the cameras, over what the weights promise; and the loss of slope where the
    robust loss flattens (Huber & Ronchetti 2009, ch. 7). squares: of errors, over that where the pull declines.
    """
    _, sides, _, _, between, prior = system
    scores = sides.reshape(len(sides), -1) - np.einsum("fvpi,fi->fvp", between, own).reshape(len(sides), -1)
    scores = scores[:, free]
    scatter = np.einsum("fi,ij,fj->", scores, inverse, scores)
    by_data = len(inverse) - float(np.diag(inverse) @ prior[1].ravel()[free])  # parameters that the priors do not hold
    weight = 1 / (1 + squares)
    slope = float(((1 - squares) * weight**2 + weight).sum() / (2 * weight.sum())) if squares.size else 1.0
    return max(1.0, float(scatter) / max(by_data, 1.0) / max(slope, 0.1) ** 2)


def parameter_count(cameras: Sequence[Camera]) -> int:
    """Of each camera; those with fewer coefficients of distortion have the last ones held."""
    return POSE_PARAMETERS + INTRINSIC_PARAMETERS + max(camera.distortion.size for camera in cameras)


def _free_parameters(cameras: Sequence[Camera], lenses: bool, fixed: int | None) -> np.ndarray:
    free = np.zeros((len(cameras), parameter_count(cameras)), bool)
    free[:, :POSE_PARAMETERS] = True
    if fixed is not None:
        free[fixed, :POSE_PARAMETERS] = False
    if lenses:
        for row, camera in zip(free, cameras, strict=True):
            row[POSE_PARAMETERS : POSE_PARAMETERS + INTRINSIC_PARAMETERS + camera.distortion.size] = True
    return free.ravel()


def _lens_prior_terms(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """How far aspect, principal point and distortion are from the prior's mean, and 1 / variance of each."""
    middle = (np.array(camera.size) - 1) / 2
    off = np.r_[np.log(camera.K[0, 0] / camera.K[1, 1]), camera.K[:2, 2] - middle, camera.distortion]
    radial = np.full(camera.distortion.size, RADIAL_SD)
    if camera.lens == "perspective":
        radial[2:4] = TANGENTIAL_SD
        radial[8:] = TANGENTIAL_SD
    sd = np.r_[ASPECT_SD, np.full(2, CENTRE_SD * max(camera.size)), radial]
    return off, 1 / sd**2


def _corner_noise(residual: np.ndarray) -> float:
    spread = np.abs(residual[np.isfinite(residual)])
    return max(MIN_CORNER_NOISE_PX, 1.4826 * float(np.median(spread))) if spread.size else np.inf


def _minus_two_log_posterior(residual: np.ndarray, xy: np.ndarray, unknown: Sequence[Camera], noise: float) -> float:
    """Minus twice the logarithm of the probability. unknown: cameras whose lenses have priors. A corner that was seen
    and is behind its camera counts as far off."""
    square = (residual**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
    square = np.where(np.isfinite(xy).all(-1), np.nan_to_num(square, nan=1e9), 0.0)
    return CAUCHY_SCALE**2 * float(np.log1p(square).sum()) + sum(
        float((off**2 * p).sum()) for off, p in map(_lens_prior_terms, unknown)
    )


def _corner_derivatives(
    camera: Camera, world: np.ndarray, arm: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of pixels (f, c, 2): by the camera's pose (.., 6), by its lens (.., 4 + coefficients), by the board's (.., 6)."""
    local = world @ camera.R.T + camera.t
    ideal = local[..., :2] / local[..., 2:]
    zoom = (
        np.einsum("ij,jkfc->fcik", camera.K[:2, :2], distortion_derivative(camera, ideal)) / local[..., 2, None, None]
    )
    flat = np.concatenate([zoom, -np.einsum("fcik,fck->fci", zoom, ideal)[..., None]], -1)  # by the local point
    by_pose = np.concatenate([-_times_cross_matrix(flat, local), flat], -1)
    turned = flat @ camera.R
    by_board = np.concatenate([-_times_cross_matrix(turned, arm), turned], -1)
    shown = distort_points(camera, ideal)
    K = camera.K[:2, :2]
    columns = [shown * np.diag(K), shown[..., :1] * [0.5 * K[0, 0], 0] - shown[..., 1:] * [0, 0.5 * K[1, 1]]]
    columns += [np.broadcast_to(axis, shown.shape) for axis in np.eye(2)]
    for step in _LENS_STEP * np.eye(camera.distortion.size):
        sides = [distort_points(camera.with_(distortion=camera.distortion + sign * step), ideal) for sign in (1, -1)]
        columns.append((sides[0] - sides[1]) / (2 * _LENS_STEP) @ K.T)
    return by_pose, np.stack(columns, -1), by_board


def _times_cross_matrix(rows: np.ndarray, points: np.ndarray) -> np.ndarray:
    """rows (.., 2, 3) times the cross-product matrix of points (.., 3)."""
    return np.cross(rows, points[..., None, :])


def _normal_equations(xy, corners, placed: PlacedBoards, noise: float, lenses: bool, frame: int | None) -> tuple:
    """Normal equations: by cameras (v, p, p), frame by frame (f, v, p); by boards (f, 6, 6), (f, 6); between them
    (f, v, p, 6); the priors of the cameras (2, v, p): what they say, and
    how firmly."""
    frames, count, p = len(xy), len(placed.cameras), parameter_count(placed.cameras)
    whole, sides, prior = np.zeros((count, p, p)), np.zeros((frames, count, p)), np.zeros((2, count, p))
    boards, board_side = np.zeros((frames, 6, 6)), np.zeros((frames, 6))
    between = np.zeros((frames, count, p, 6))
    arm = corners @ placed.R.swapaxes(-1, -2)
    world = arm + placed.t[:, None]
    residual = corner_residuals(xy, corners, placed)
    weight = np.nan_to_num(1 / (noise**2 * (1 + (residual**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2)))
    for v, camera in enumerate(placed.cameras):
        rows = np.flatnonzero(weight[:, v].any(1))
        by_pose, by_lens, by_board = _corner_derivatives(camera, world[rows], arm[rows])
        J = np.zeros((*by_pose.shape[:3], p))
        J[..., :POSE_PARAMETERS] = by_pose
        J[..., POSE_PARAMETERS : POSE_PARAMETERS + by_lens.shape[-1]] = by_lens
        J, by_board = np.nan_to_num(J), np.nan_to_num(by_board)
        w, r = weight[rows, v][..., None, None], np.nan_to_num(residual[rows, v])
        weighted, board_weighted = (w * J).reshape(len(rows), -1, p), (w * by_board).reshape(len(rows), -1, 6)
        J, by_board, r = J.reshape(len(rows), -1, p), by_board.reshape(len(rows), -1, 6), r.reshape(len(rows), -1)
        whole[v] = np.tensordot(weighted, J, ([0, 1], [0, 1]))
        sides[rows, v] = (weighted.swapaxes(-1, -2) @ r[..., None])[..., 0]
        boards[rows] += board_weighted.swapaxes(-1, -2) @ by_board
        board_side[rows] += (board_weighted.swapaxes(-1, -2) @ r[..., None])[..., 0]
        between[rows, v] = weighted.swapaxes(-1, -2) @ by_board
        if lenses:
            off, precision = _lens_prior_terms(camera)
            some = np.arange(POSE_PARAMETERS + 1, POSE_PARAMETERS + INTRINSIC_PARAMETERS + camera.distortion.size)
            whole[v][some, some] += precision
            prior[:, v, some] = -precision * off, precision
    if frame is not None:
        boards[frame], board_side[frame], between[frame] = np.eye(6), 0.0, 0.0
    return whole, sides, boards, board_side, between, prior


def _reduced_camera_system(system: tuple, damping: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Matrix and side of the cameras alone, and how the boards follow: (f, 6, v · p), (f, 6)."""
    whole, sides, boards, board_side, between, prior = system
    count, p = prior[0].shape
    scale = np.maximum(np.einsum("fii->fi", boards), 1e-12)
    inverse = np.linalg.pinv(boards + damping * scale[:, None] * np.eye(6), hermitian=True)
    flat = between.reshape(len(boards), count * p, 6)
    follow = inverse @ flat.swapaxes(-1, -2)
    own = (inverse @ board_side[..., None])[..., 0]
    matrix = -np.tensordot(flat, follow, ([0, 2], [0, 1]))
    for v in range(count):
        rows = slice(v * p, (v + 1) * p)
        matrix[rows, rows] += whole[v] + damping * np.diag(np.diag(whole[v]))
    return matrix, (sides.sum(0) + prior[0]).ravel() - np.einsum("fki,fi->k", flat, own), follow, own


def _solve_step(system: tuple, free: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Steps of cameras (v, p) and boards (f, 6), and the largest in deviations of a camera's parameter."""
    matrix, side, follow, own = _reduced_camera_system(system, damping)
    step = np.zeros(len(side))
    some = matrix[np.ix_(free, free)]
    inverse = np.linalg.pinv(some, hermitian=True)
    step[free] = inverse @ side[free]
    size = float(np.max(np.abs(step[free]) / np.sqrt(np.maximum(np.diag(inverse), 1e-30)), initial=0.0))
    return step.reshape(system[-1][0].shape), own - follow @ step, size


def _step_taken(placed: PlacedBoards, step: np.ndarray, moves: np.ndarray) -> PlacedBoards | None:
    """After a step; None where a camera would not be one."""
    if not (np.isfinite(step).all() and np.isfinite(moves).all() and np.abs(step[:, POSE_PARAMETERS]).max() < 1):
        return None
    turn = Rotation.from_rotvec(moves[:, :3]).as_matrix()
    cameras = tuple(_camera_after_step(camera, row) for camera, row in zip(placed.cameras, step, strict=True))
    return replace(placed, cameras=cameras, R=turn @ placed.R, t=placed.t + moves[:, 3:])


def _camera_after_step(camera: Camera, step: np.ndarray) -> Camera:
    turn = Rotation.from_rotvec(step[:3]).as_matrix()
    K = camera.K.copy()
    K[0, 0] *= np.exp(step[POSE_PARAMETERS] + step[POSE_PARAMETERS + 1] / 2)
    K[1, 1] *= np.exp(step[POSE_PARAMETERS] - step[POSE_PARAMETERS + 1] / 2)
    K[:2, 2] += step[POSE_PARAMETERS + 2 : POSE_PARAMETERS + 4]
    own = step[POSE_PARAMETERS + INTRINSIC_PARAMETERS :][: camera.distortion.size]
    return camera.with_(K=K, distortion=camera.distortion + own, R=turn @ camera.R, t=turn @ camera.t + step[3:6])
