"""Bundle adjustment over the places of a board and the cameras that saw it: Gauss–Newton with robust weights.

Lenses have weak priors, which hold what the views do not show: square pixels, the principal point in the middle of the
image, no distortion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from simspine.core.arrays import Unchanging
from simspine.core.geometry import project_one
from simspine.core.types import Camera, read_only_array
from simspine.vision.board import LEAST_CORNERS, Board
from simspine.vision.bundle_adjustment import changed_camera

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
        """(frames, cameras) bool: enough corners to say where the board is, not all of one row or column."""
        squares = (self.board.rows - 1, self.board.columns - 1)
        there = np.isfinite(self.xy).all(-1).reshape(*self.xy.shape[:2], *squares)
        return (there.sum((2, 3)) >= LEAST_CORNERS) & (there.any(2).sum(-1) > 1) & (there.any(3).sum(-1) > 1)

    def frames(self, rows: Sequence[int] | np.ndarray) -> "BoardViews":
        """Some of the frames."""
        return BoardViews(self.board, self.names, self.sizes, self.xy[np.asarray(rows, int)])


def image_coverage(views: BoardViews, index: int) -> float:
    """Share of the cells of a camera's image in which a corner was seen."""
    width, height = views.sizes[index]
    columns, rows = COVERAGE_GRID if width >= height else COVERAGE_GRID[::-1]
    x, y = np.clip(views.xy[:, index].reshape(-1, 2), 0, [width, height]).T
    counts = np.histogram2d(x, y, [columns, rows], [[0, width], [0, height]])[0]
    return float((counts > 0).mean())


# Parameters of a camera: those of `changed_camera` to the principal point, distortion, logarithm of fx / fy. Of a
# board: rotation (rad), position (m). All are changes of the start.
ROTATION, POSITION, FOCAL, CENTRE, DISTORTION = slice(3), slice(3, 6), 6, slice(7, 9), slice(9, -1)
ASPECT_SD, CENTRE_SD = 0.005, 0.05  # priors: of log fx / fy; of the principal point, in image sides
DISTORTION_SD = {"perspective": (1.0, 1.0, 0.01, 0.01, 1.0, 1.0, 1.0, 1.0), "fisheye": (1.0, 1.0, 1.0, 1.0)}  # priors
CAUCHY_SCALE = 3.0  # noise: from here an observation's pull declines (Cauchy)
WRONG_CORNER_NOISE_FACTOR, MIN_WRONG_CORNER_PX = 6.0, 1.0  # noise, px: a corner farther off than both is another one
MIN_CORNER_NOISE_PX = 0.02  # px
BEHIND_CAMERA_PX = 1e6  # error of a corner that was seen and would be behind its camera
MAX_STEPS, CONVERGED_SD = 60, 0.01  # at most; done when all parameters together move by less, in deviations
LEAST_DAMPING = 1e-12  # keeps equations solvable that do not separate a focal length from a distance
DIFFERENCE_STEP = 1e-5  # of difference quotients


class PlacedBoards(NamedTuple):
    """Cameras, and where the board was in their world: poses (frames, 4, 4), m."""

    cameras: tuple[Camera, ...]
    poses: np.ndarray


class BoardFit(NamedTuple):
    """The result. deviation: (cameras, parameters), standard deviations. error_px: (frames, cameras, corners), NaN =
    not seen. wrong: the same shape, so far off that another corner was found."""

    cameras: tuple[Camera, ...]
    deviation: np.ndarray
    error_px: np.ndarray
    wrong: np.ndarray


def adjust_boards(views: BoardViews, start: PlacedBoards, frame: int) -> BoardFit:
    """The most probable cameras and places of the board: Levenberg–Marquardt.

    start: its cameras have as many coefficients of distortion as are sought. frame: in which the board's place, as it
    is, defines the world.
    """
    problem = _BoardProblem(views, start, frame, count=DISTORTION.start + start.cameras[0].distortion.size + 1)
    values, damping = np.zeros(problem.shared + 6 * len(views.xy)), 1e-4
    equations = problem.equations(values)
    for _ in range(MAX_STEPS):
        step = equations.solved(damping, equations.side)
        if problem.cost(values + step, equations.noise) <= problem.cost(values, equations.noise):
            values, damping, size = values + step, max(damping / 10, 1e-9), step @ equations.side
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
        deviation=np.sqrt(np.diag(equations.covariance(problem.shared))).reshape(-1, problem.count),
        error_px=error,
        wrong=error > max(limit, MIN_WRONG_CORNER_PX),
    )


def corner_residuals(xy: np.ndarray, corners: np.ndarray, placed: PlacedBoards) -> np.ndarray:
    """Observed minus projected corners (frames, cameras, corners, 2) px, NaN = not seen."""
    world = corners @ placed.poses[:, :3, :3].swapaxes(-1, -2) + placed.poses[:, None, :3, 3]
    residual = xy - np.stack([project_one(camera, world) for camera in placed.cameras], 1)
    return np.where(np.isnan(xy), np.nan, np.nan_to_num(residual, nan=BEHIND_CAMERA_PX))


class _BoardEquations(NamedTuple):
    """Normal equations of a step. frame_sides: (frames, values), what each frame adds to the side. precision: of the
    priors. squares: (corners seen,) of errors, over that where the pull declines. noise: px."""

    normal: csr_array
    side: np.ndarray
    frame_sides: np.ndarray
    precision: np.ndarray
    squares: np.ndarray
    noise: float

    def solved(self, damping: float, side: np.ndarray) -> np.ndarray:
        """With a share more of the diagonal. The board that defines the world has none, and stays."""
        diagonal = self.normal.diagonal()
        return splu((self.normal + diags_array(damping * diagonal + (diagonal == 0))).tocsc()).solve(side)

    def covariance(self, shared: int) -> np.ndarray:
        """Of so many values, the cameras': larger than that of independent normal errors, or equal.

        By the scatter of what the frames say of the cameras, over what the weights promise, for corners of a frame
        share errors (a board bends, or moves); and by the loss of slope where the robust loss flattens (Huber &
        Ronchetti 2009, ch. 7).
        """
        inverse = self.solved(LEAST_DAMPING, np.eye(len(self.side), shared))[:shared]
        scatter = np.einsum("fi,ij,fj->", self.frame_sides[:, :shared], inverse, self.frame_sides[:, :shared])
        by_data = shared - float(np.diag(inverse) @ self.precision[:shared])  # what the priors do not hold
        weight = 1 / (1 + self.squares)
        slope = float(((1 - self.squares) * weight**2 + weight).sum() / (2 * weight.sum()))
        return inverse * max(1.0, float(scatter) / max(by_data, 1.0) / max(slope, 0.1) ** 2)


@dataclass(frozen=True)
class _BoardProblem:
    """Of `adjust_boards`, for values: `count` parameters of each camera, `shared` ones of all, then of each board."""

    views: BoardViews
    start: PlacedBoards
    frame: int
    count: int

    @property
    def shared(self) -> int:
        return len(self.start.cameras) * self.count

    def placed(self, values: np.ndarray) -> PlacedBoards:
        pairs = zip(self.start.cameras, values[: self.shared].reshape(-1, self.count), strict=True)
        moves, poses = values[self.shared :].reshape(-1, 6).copy(), self.start.poses.copy()
        moves[self.frame] = 0.0
        poses[:, :3, :3] = Rotation.from_rotvec(moves[:, ROTATION]).as_matrix() @ poses[:, :3, :3]
        poses[:, :3, 3] += moves[:, POSITION]
        return PlacedBoards(tuple(_camera_after_step(camera, row) for camera, row in pairs), poses)

    def cost(self, values: np.ndarray, noise: float) -> float:
        """Minus twice the logarithm of the probability."""
        off, precision = self._priors(values)
        squares = (self._residual(values) ** 2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
        return CAUCHY_SCALE**2 * float(np.log1p(squares).sum()) + float(precision @ off**2)

    def equations(self, values: np.ndarray) -> _BoardEquations:
        """Of one step from there."""
        frame, view, _ = np.nonzero(np.isfinite(self.views.xy).all(-1))
        columns = view[:, None] * self.count + np.arange(self.count)
        columns = np.c_[columns, self.shared + 6 * frame[:, None] + np.arange(6)]  # values on which a corner depends
        residual, slopes = self._residual(values), []
        for moved in columns.T:
            step = np.zeros_like(values)
            step[moved] = DIFFERENCE_STEP
            slopes.append((self._residual(values - step) - self._residual(values + step)) / (2 * DIFFERENCE_STEP))
        noise = max(MIN_CORNER_NOISE_PX, 1.4826 * float(np.median(np.abs(residual))))
        squares = (residual**2).sum(-1) / (CAUCHY_SCALE * noise) ** 2
        root = 1 / (noise * np.sqrt(1 + squares))[:, None]
        weighted = root[..., None] * np.stack(slopes, -1)
        parts = weighted.ravel(), np.repeat(columns, 2, axis=0).ravel(), np.arange(0, weighted.size + 1, len(columns.T))
        jacobian = csr_array(parts, shape=(residual.size, len(values)))
        frame_sides = np.zeros((len(self.views.xy), len(values)))
        np.add.at(frame_sides, (frame[:, None], columns), np.einsum("nxi,nx->ni", weighted, root * residual))
        off, precision = self._priors(values)
        normal, side = jacobian.T @ jacobian + diags_array(precision), frame_sides.sum(0) - precision * off
        return _BoardEquations(normal, side, frame_sides, precision=precision, squares=squares, noise=noise)

    def _residual(self, values: np.ndarray) -> np.ndarray:
        """(corners seen, 2) px."""
        xy = self.views.xy
        return corner_residuals(xy, self.views.board.corners, self.placed(values))[np.isfinite(xy).all(-1)]

    def _priors(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the values are from the priors' means, and 1 / variance, 0 where nothing is known beforehand."""
        off, precision = np.zeros((2, len(values)))
        for v, camera in enumerate(self.placed(values).cameras):
            own = slice(v * self.count + CENTRE.start, (v + 1) * self.count)
            centre = camera.K[:2, 2] - (np.array(camera.size) - 1) / 2
            off[own] = np.r_[centre, camera.distortion, np.log(camera.K[0, 0] / camera.K[1, 1])]
            distortion_sd = DISTORTION_SD[camera.lens][: camera.distortion.size]
            precision[own] = np.r_[np.full(2, CENTRE_SD * max(camera.size)), distortion_sd, ASPECT_SD] ** -2
        return off, precision


def _camera_after_step(start: Camera, change: np.ndarray) -> Camera:
    moved = changed_camera(start, change)
    K = moved.K.copy()
    K[[0, 1], [0, 1]] *= np.exp(change[-1] * np.array([0.5, -0.5]))
    return moved.with_unchecked(K=K, distortion=start.distortion + change[DISTORTION])
