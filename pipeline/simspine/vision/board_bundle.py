"""Bundle adjustment over the places of a board and the cameras that saw it: Gauss–Newton with robust weights.

The board's places are eliminated frame by frame (Schur complement), so that a step costs what its cameras cost. Lenses
have weak priors, which hold what the views do not show: square pixels, the principal point in the middle of the image,
no distortion.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.arrays import Unchanging
from simspine.core.geometry import project_one
from simspine.core.types import Camera, read_only_array
from simspine.vision.board import LEAST_CORNERS, Board
from simspine.vision.bundle_adjustment import BlockSystem

COVERAGE_GRID = (8, 6)  # cells by which the coverage of an image is counted: along its longer side, its shorter one


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

    @property
    def seen(self) -> np.ndarray:
        """(frames, cameras) bool: enough corners to say where the board is."""
        return np.isfinite(self.xy).all(-1).sum(-1) >= LEAST_CORNERS

    def frames(self, rows: Sequence[int] | np.ndarray) -> "BoardViews":
        """Some of the frames."""
        return BoardViews(self.board, self.names, self.sizes, self.xy[np.asarray(rows, int)])

    def of_camera(self, index: int) -> "BoardViews":
        """One camera alone, in the frames in which it shows the board."""
        some = slice(index, index + 1)
        return BoardViews(self.board, self.names[some], self.sizes[some], self.xy[self.seen[:, index], some])


def image_coverage(views: BoardViews, index: int) -> float:
    """Share of the cells of a camera's image in which a corner was seen."""
    width, height = views.sizes[index]
    columns, rows = COVERAGE_GRID if width >= height else COVERAGE_GRID[::-1]
    x, y = np.clip(views.xy[:, index].reshape(-1, 2), 0, [width, height]).T
    counts = np.histogram2d(x, y, [columns, rows], [[0, width], [0, height]])[0]
    return float((counts > 0).mean())


POSE_PARAMETERS = 6  # of a camera's parameters: rotation (rad) and translation (m) along its own axes
INTRINSIC_PARAMETERS = 4  # then: log of the focal length, log of fx / fy, principal point (px)
ASPECT_SD, CENTRE_SD = 0.005, 0.05  # priors: of log fx / fy; of the principal point, in image sides
RADIAL_SD, TANGENTIAL_SD = 1.0, 0.01  # priors of coefficients of distortion
CAUCHY_SCALE = 3.0  # noise: from here an observation's pull declines (Cauchy)
WRONG_CORNER_NOISE_FACTOR, MIN_WRONG_CORNER_PX = 6.0, 1.0  # noise, px: a corner farther off than both is another one
MIN_CORNER_NOISE_PX = 0.02  # px
MAX_STEPS, CONVERGED_SHARE = 60, 1e-3  # at most; done when no parameter moves by more than this share of its deviation
LEAST_DAMPING = 1e-12  # keeps places solvable of which the corners seen, all in a line, do not tell everything
# Of difference quotients: rotation and translation, log focal length and aspect, principal point, distortion.
_POSE_STEP, _FOCAL_STEP, _CENTRE_STEP_PX, _LENS_STEP = 1e-5, 1e-5, 1e-2, 1e-5


@dataclass(frozen=True)
class PlacedBoards:
    """Cameras, and where the board was in their world: R (frames, 3, 3), t (frames, 3) m, x_world = R x_board + t."""

    cameras: tuple[Camera, ...]
    R: np.ndarray
    t: np.ndarray


@dataclass(frozen=True)
class BoardFit:
    """The result. covariance: (cameras · parameters)², 0 where a parameter was held. error_px: (frames, cameras,
    corners), NaN = not seen. noise_px: standard deviation of one image coordinate. variance_inflation: how many corners
    of a frame say the same, because they share errors (a board that is bent, or moves); it is in the covariance."""

    placed: PlacedBoards
    covariance: np.ndarray
    error_px: np.ndarray
    noise_px: float
    variance_inflation: float

    @property
    def wrong(self) -> np.ndarray:
        """(frames, cameras, corners) bool: so far off that another corner was found."""
        return self.error_px > max(WRONG_CORNER_NOISE_FACTOR * np.sqrt(2) * self.noise_px, MIN_WRONG_CORNER_PX)


def adjust_boards(
    views: BoardViews, placed: PlacedBoards, *, camera: int | None = None, frame: int | None = None
) -> BoardFit:
    """The most probable cameras and places of the board, from a start.

    camera, frame: what defines the world, a camera that stays where it is, or the place of the board in a frame; one
    of them.
    """
    xy, free = views.xy, _free_parameters(placed.cameras, camera)
    problem = _BoardProblem(xy=xy, corners=views.board.corners, free=free, frame=frame)
    placed = _most_probable(problem, placed)
    left = corner_residuals(xy, problem.corners, placed)
    noise = _corner_noise(left)
    equations = problem.equations(placed, noise)
    matrix, _, _, own = _damped(equations.system, LEAST_DAMPING).reduced()
    inverse = np.linalg.pinv(matrix[np.ix_(free, free)], hermitian=True)
    squares = (left**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
    inflation = _variance_inflation(equations, own, inverse, free=free, squares=squares[np.isfinite(squares)])
    covariance = np.zeros_like(matrix)
    covariance[np.ix_(free, free)] = inverse * inflation
    error = np.linalg.norm(left, axis=-1)
    return BoardFit(placed=placed, covariance=covariance, error_px=error, noise_px=noise, variance_inflation=inflation)


def _most_probable(problem: "_BoardProblem", placed: PlacedBoards) -> PlacedBoards:
    """Levenberg–Marquardt; noise and weights are those of the last place accepted."""
    damping, equations, noise, last = 1e-4, None, np.inf, np.inf
    for _ in range(MAX_STEPS):
        if equations is None:
            noise = _corner_noise(corner_residuals(problem.xy, problem.corners, placed))
            last = problem.cost(placed, noise)
            equations = problem.equations(placed, noise)
        step, moves, size = _board_step(equations.system, problem.free, damping)
        ahead = _step_taken(placed, step.reshape(len(placed.cameras), -1), moves)
        if ahead is not None and problem.cost(ahead, noise) <= last:
            ahead = replace(ahead, cameras=tuple(camera.with_() for camera in ahead.cameras))
            placed, equations, damping = ahead, None, max(damping / 10, 1e-9)
            if size < CONVERGED_SHARE:
                break
        elif damping > 1e6:
            break
        else:
            damping *= 10
    return placed


def corner_residuals(xy: np.ndarray, corners: np.ndarray, placed: PlacedBoards) -> np.ndarray:
    """Observed minus projected corners (frames, cameras, corners, 2) px."""
    world = corners @ placed.R.swapaxes(-1, -2) + placed.t[:, None]
    return xy - np.stack([project_one(camera, world) for camera in placed.cameras], 1)


def parameter_count(cameras: Sequence[Camera]) -> int:
    """Of each camera; those with fewer coefficients of distortion have the last ones held."""
    return POSE_PARAMETERS + INTRINSIC_PARAMETERS + max(camera.distortion.size for camera in cameras)


def _free_parameters(cameras: Sequence[Camera], fixed: int | None) -> np.ndarray:
    """(cameras · parameters,) bool."""
    free = np.zeros((len(cameras), parameter_count(cameras)), bool)
    free[:, :POSE_PARAMETERS] = True
    if fixed is not None:
        free[fixed, :POSE_PARAMETERS] = False
    for row, camera in zip(free, cameras, strict=True):
        row[POSE_PARAMETERS : POSE_PARAMETERS + INTRINSIC_PARAMETERS + camera.distortion.size] = True
    return free.ravel()


class _BoardEquations(NamedTuple):
    """system: its own unknowns are the board's place in a frame, the shared ones the cameras' parameters. camera_sides:
    (frames, shared), the side of these frame by frame. prior_precision: (shared,)."""

    system: BlockSystem
    camera_sides: np.ndarray
    prior_precision: np.ndarray


@dataclass(frozen=True)
class _BoardProblem:
    """xy: (frames, cameras, corners, 2) px, in order. corners: (corners, 3) m on the board. free: (cameras ·
    parameters,) bool. frame: in which the board's place defines the world, or None."""

    xy: np.ndarray
    corners: np.ndarray
    free: np.ndarray
    frame: int | None

    def cost(self, placed: PlacedBoards, noise: float) -> float:
        """Minus twice the logarithm of the probability. A corner that was seen and is behind its camera counts as far
        off."""
        residual = corner_residuals(self.xy, self.corners, placed)
        square = (residual**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
        square = np.where(np.isfinite(self.xy).all(-1), np.nan_to_num(square, nan=1e9), 0.0)
        priors = map(_lens_prior_terms, placed.cameras)
        return CAUCHY_SCALE**2 * float(np.log1p(square).sum()) + sum(float((off**2 * p).sum()) for off, p in priors)

    def equations(self, placed: PlacedBoards, noise: float) -> _BoardEquations:
        """Of one step from there."""
        count = parameter_count(placed.cameras)
        residual = corner_residuals(self.xy, self.corners, placed)
        weight = np.nan_to_num(1 / (noise**2 * (1 + (residual**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2)))
        by_camera, by_board = self._derivatives(placed)
        residual, frames = np.nan_to_num(residual), len(residual)
        system = BlockSystem.empty(frames, 6, len(self.free), groups=(np.arange(6)[None],))
        camera_sides = np.zeros((frames, len(self.free)))
        for v in range(len(placed.cameras)):
            columns = slice(v * count, (v + 1) * count)
            camera, board = by_camera[:, v], by_board[:, v]
            weighted_camera, weighted_board = (weight[:, v, :, None, None] * slopes for slopes in (camera, board))
            system.whole[columns, columns] = np.einsum("fcxi,fcxj->ij", weighted_camera, camera, optimize=True)
            camera_sides[:, columns] = np.einsum("fcxi,fcx->fi", weighted_camera, residual[:, v])
            system.frames[...] += np.einsum("fcxi,fcxj->fij", weighted_board, board)
            system.frame_side[...] += np.einsum("fcxi,fcx->fi", weighted_board, residual[:, v])
            system.coupling[:, :, columns] = np.einsum("fcxi,fcxj->fij", weighted_board, camera)
        prior_side, precision = self._priors(placed.cameras, count)
        system.whole[...] += np.diag(precision)
        system.whole_side[:] = camera_sides.sum(0) + prior_side
        held = np.asarray(~system.frames.any((1, 2)))  # nobody saw the board
        if self.frame is not None:
            held[self.frame] = True
        system.frames[held], system.frame_side[held], system.coupling[held] = np.eye(6), 0.0, 0.0
        return _BoardEquations(system, camera_sides, precision)

    def _derivatives(self, placed: PlacedBoards) -> tuple[np.ndarray, np.ndarray]:
        """Of pixels by the camera's parameters (frames, cameras, corners, 2, count) and the board's place (…, 6)."""
        count = parameter_count(placed.cameras)
        steps = np.full(count + 6, _POSE_STEP)
        steps[POSE_PARAMETERS:count] = _LENS_STEP
        steps[POSE_PARAMETERS : POSE_PARAMETERS + 2] = _FOCAL_STEP
        steps[POSE_PARAMETERS + 2 : POSE_PARAMETERS + 4] = _CENTRE_STEP_PX
        slopes = np.zeros((*self.xy.shape, count + 6))
        used = np.r_[self.free.reshape(-1, count).any(0), np.ones(6, bool)]
        for i in np.flatnonzero(used):
            shown = []
            for change in (steps[i], -steps[i]):
                of_cameras, of_boards = np.zeros((len(placed.cameras), count)), np.zeros((len(placed.R), 6))
                if i < count:
                    of_cameras[:, i] = change
                else:
                    of_boards[:, i - count] = change
                moved = _step_taken(placed, of_cameras, of_boards)
                assert moved is not None  # it hardly moves
                shown.append(corner_residuals(self.xy, self.corners, moved))
            slopes[..., i] = np.nan_to_num(shown[1] - shown[0]) / (2 * steps[i])
        return slopes[..., :count], slopes[..., count:]

    def _priors(self, cameras: Sequence[Camera], count: int) -> tuple[np.ndarray, np.ndarray]:
        """What the lenses' priors add to side and diagonal of the cameras' equations: (cameras · parameters,) each."""
        side, precision = np.zeros((2, len(cameras), count))
        for v, camera in enumerate(cameras):
            off, own = _lens_prior_terms(camera)
            first = POSE_PARAMETERS + 1
            side[v, first : first + len(off)], precision[v, first : first + len(off)] = -own * off, own
        return side.ravel(), precision.ravel()


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


def _damped(system: BlockSystem, damping: float) -> BlockSystem:
    """With a share more of each diagonal (Levenberg–Marquardt)."""
    scale = np.maximum(np.einsum("fii->fi", system.frames), 1e-12)
    frames = system.frames + damping * scale[:, None] * np.eye(6)
    return replace(system, frames=frames, whole=system.whole + damping * np.diag(np.diag(system.whole)))


def _board_step(system: BlockSystem, free: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Steps of cameras (shared,) and boards (f, 6), and the largest in deviations of a camera's parameter."""
    matrix, side, follow, own = _damped(system, damping).reduced()
    step = np.zeros(len(side))
    inverse = np.linalg.pinv(matrix[np.ix_(free, free)], hermitian=True)
    step[free] = inverse @ side[free]
    size = float(np.max(np.abs(step[free]) / np.sqrt(np.maximum(np.diag(inverse), 1e-30)), initial=0.0))
    return step, own - follow @ step, size


def _variance_inflation(
    equations: _BoardEquations, own: np.ndarray, inverse: np.ndarray, free: np.ndarray, squares: np.ndarray
) -> float:
    """By how much the variance is larger than that of independent normal errors; at least 1.

    The scatter of what the frames say of the cameras, over what the weights promise; and the loss of slope where the
    robust loss flattens (Huber & Ronchetti 2009, ch. 7). squares: of errors, over that where the pull declines.
    """
    scores = (equations.camera_sides - np.einsum("fig,fi->fg", equations.system.coupling, own))[:, free]
    scatter = np.einsum("fi,ij,fj->", scores, inverse, scores)
    by_data = len(inverse) - float(np.diag(inverse) @ equations.prior_precision[free])  # what the priors do not hold
    weight = 1 / (1 + squares)
    slope = float(((1 - squares) * weight**2 + weight).sum() / (2 * weight.sum())) if squares.size else 1.0
    return max(1.0, float(scatter) / max(by_data, 1.0) / max(slope, 0.1) ** 2)


def _step_taken(placed: PlacedBoards, step: np.ndarray, moves: np.ndarray) -> PlacedBoards | None:
    """After a step; None where a camera would not be one. The cameras' numbers are not checked."""
    if not (np.isfinite(step).all() and np.isfinite(moves).all() and np.abs(step[:, POSE_PARAMETERS]).max() < 1):
        return None
    turn = Rotation.from_rotvec(moves[:, :3]).as_matrix()
    cameras = tuple(_camera_after_step(camera, row) for camera, row in zip(placed.cameras, step, strict=True))
    return replace(placed, cameras=cameras, R=turn @ placed.R, t=placed.t + moves[:, 3:])


def _camera_after_step(camera: Camera, step: np.ndarray) -> Camera:
    if not step.any():
        return camera
    turn = Rotation.from_rotvec(step[:3]).as_matrix()
    K = camera.K.copy()
    K[0, 0] *= np.exp(step[POSE_PARAMETERS] + step[POSE_PARAMETERS + 1] / 2)
    K[1, 1] *= np.exp(step[POSE_PARAMETERS] - step[POSE_PARAMETERS + 1] / 2)
    K[:2, 2] += step[POSE_PARAMETERS + 2 : POSE_PARAMETERS + 4]
    own = step[POSE_PARAMETERS + INTRINSIC_PARAMETERS :][: camera.distortion.size]
    R, t = turn @ camera.R, turn @ camera.t + step[3:6]
    return camera.with_unchecked(K=K, distortion=camera.distortion + own, R=R, t=t)
