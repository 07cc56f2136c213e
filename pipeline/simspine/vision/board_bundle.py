"""Bundle adjustment over the poses of a board and the cameras that saw it: Levenberg–Marquardt with robust weights.

Lenses have weak priors for parameters that the views do not determine: square pixels, the principal point in the middle
of the image, no distortion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from simspine.core.geometry import project_one
from simspine.core.types import Camera, HoldsArrays
from simspine.vision.board import LEAST_CORNERS, Board
from simspine.vision.bundle_adjustment import changed_camera

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
        """Some of the frames."""
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
    """Normal equations of a step. side: right-hand side; frame_sides: (frames, values), each frame's part of it.
    precision: of the priors. squares: (corners seen,) errors² / (Cauchy scale · noise)². noise: px."""

    normal: csr_array
    side: np.ndarray
    frame_sides: np.ndarray
    precision: np.ndarray
    squares: np.ndarray
    noise: float

    def solved(self, damping: float, side: np.ndarray) -> np.ndarray:
        """Solution with `damping` times the diagonal added. The board that defines the world has zeros, and stays."""
        diagonal = self.normal.diagonal()
        return splu((self.normal + diags_array(damping * diagonal + (diagonal == 0))).tocsc()).solve(side)

    def covariance(self, shared: int) -> np.ndarray:
        """Covariance of the cameras' values, the first `shared`; at least that of independent normal errors.

        Corners of a frame share errors (a board bends, or moves). The covariance is therefore multiplied by the scatter
        of the frames' gradients relative to that expected from the weights, and divided by the squared mean slope of
        the influence function, which falls for large errors (Huber & Ronchetti 2009, ch. 7)."""
        inverse = self.solved(LEAST_DAMPING, np.eye(len(self.side), shared))[:shared]
        scatter = np.einsum("fi,ij,fj->", self.frame_sides[:, :shared], inverse, self.frame_sides[:, :shared])
        by_data = shared - float(np.diag(inverse) @ self.precision[:shared])  # parameters that the data determine
        weight = 1 / (1 + self.squares)
        slope = float(((1 - self.squares) * weight**2 + weight).sum() / (2 * weight.sum()))
        return inverse * max(1.0, float(scatter) / max(by_data, 1.0) / max(slope, 0.1) ** 2)


@dataclass(frozen=True)
class _BoardProblem:
    """Problem of `adjust_boards`. Values: `count` parameters of each camera (`shared` in all), then 6 of each board."""

    views: BoardViews
    start: PlacedBoards
    frame: int
    count: int

    @property
    def shared(self) -> int:
        return len(self.start.cameras) * self.count

    def placed(self, values: np.ndarray) -> PlacedBoards:
        """Cameras and boards at the values."""
        pairs = zip(self.start.cameras, values[: self.shared].reshape(-1, self.count), strict=True)
        moves, poses = values[self.shared :].reshape(-1, 6).copy(), self.start.poses.copy()
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
        """Observed minus projected corners (corners seen, 2) px."""
        xy = self.views.xy
        return corner_residuals(xy, self.views.board.corners, self.placed(values))[np.isfinite(xy).all(-1)]

    def _priors(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Differences of values from the priors' means, and 1 / variance, 0 for values without a prior."""
        off, precision = np.zeros((2, len(values)))
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
