"""What cameras saw of a calibration board: corners per frame and camera, how they cover images, which views to use."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.arrays import Unchanging
from simspine.detection.board import LEAST_CORNERS, Board
from simspine.errors import InputError
from simspine.types import read_only

CELLS = (8, 6)  # of the grid that tells how much of an image was covered: along its longer side, its shorter one


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
        object.__setattr__(self, "xy", read_only("BoardViews", "xy", self.xy, shape))
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


def coverage(views: BoardViews, index: int) -> float:
    """Share of the cells of a camera's image in which a corner was seen."""
    width, height = views.sizes[index]
    columns, rows = CELLS if width >= height else CELLS[::-1]
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
    features = np.array([_feature(views.xy[row, index], views.board, views.sizes[index]) for row in rows])
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


def _feature(xy: np.ndarray, board: Board, size: tuple[int, int]) -> np.ndarray:
    """Where the board is in the image, how large, and how it is slanted: (6,), each of the order of 1."""
    seen = np.isfinite(xy).all(-1)
    flat = board.corners[seen, :2]
    flat = flat / board.square / max(board.shape)
    # The affine map from the board to the image, and what is left over, which tells perspective.
    basis = np.c_[flat, np.ones(len(flat))]
    affine, *_ = np.linalg.lstsq(basis, xy[seen] / max(size), rcond=None)
    middle = affine[:2].T @ np.array([0.5, 0.5 * board.shape[1] / max(board.shape)]) + affine[2]
    return np.r_[middle, affine[:2].ravel()]
