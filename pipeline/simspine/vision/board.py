"""ChArUco boards for calibration: their corners in an image, and the pose of a board from its corners."""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import undistort_pixels
from simspine.core.types import Camera

LEAST_CORNERS = 6  # of a board seen in part; fewer determine lens and pose poorly


@dataclass(frozen=True)
class Board:
    """A flat ChArUco board, seen from its printed side.

    columns, rows: of squares. square: side of a square, m. marker: side of a marker, m. dictionary: of the markers,
    such as 4X4_50. legacy: the layout of OpenCV before 4.6, which differs for an even number of rows.
    """

    columns: int
    rows: int
    square: float
    marker: float
    dictionary: str = "4X4_50"
    legacy: bool = False

    def __post_init__(self):
        if min(self.columns, self.rows) < 3:
            raise InputError(f"a board of {self.columns}x{self.rows} squares has too few corners; 3x4 at least.")
        if not (np.isfinite(self.square) and self.square > self.marker > 0):
            sides = f"squares of {1000 * self.square:g} mm with markers of {1000 * self.marker:g} mm"
            raise InputError(f"{sides}: both must be positive, and a marker must fit into its square.")
        markers, available = self.columns * self.rows // 2, len(_aruco_dictionary(self.dictionary).bytesList)
        if markers > available:
            needs = f"a ChArUco board of {self.columns}x{self.rows} squares needs {markers} markers"
            larger = f"{self.dictionary.split('_')[0]}_250"
            raise InputError(f"{needs}, {self.dictionary} has {available}. Name a larger dictionary, such as {larger}.")

    @property
    def corners(self) -> np.ndarray:
        """(corners, 3) m, row by row: x to the right, y down as printed, z into the board."""
        x, y = np.meshgrid(np.arange(1, self.columns), np.arange(1, self.rows))
        return self.square * np.stack([x, y, 0 * x], -1).reshape(-1, 3)

    def __str__(self) -> str:
        return f"ChArUco board ({self.dictionary}) of {self.columns}x{self.rows} squares"


def find_board(board: Board, image: np.ndarray) -> np.ndarray:
    """Pixels (corners, 2) of the board's corners in an image (h, w, 3) uint8 BGR, or (h, w); NaN where not seen."""
    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    found = np.full((len(board.corners), 2), np.nan)
    corners, ids, _, _ = _charuco_detector(board).detectBoard(grey)
    if ids is not None and len(ids) >= LEAST_CORNERS:
        gap = (1 - board.marker / board.square) / 2  # from a corner to the next marker, in squares
        found[ids.ravel()] = _refined_corners(grey, corners.reshape(-1, 2), gap)
    return found


def _refined_corners(grey: np.ndarray, corners: np.ndarray, gap: float) -> np.ndarray:
    """Corners (n, 2) px to a hundredth of a pixel. gap: distance from a corner to the next marker, in squares."""
    distances = np.linalg.norm(corners[:, None] - corners, axis=-1) + np.where(np.eye(len(corners)) > 0, np.inf, 0.0)
    half = int(np.clip(gap * distances.min(), 2, 11))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-3)
    start = np.array(corners[:, None], np.float32, order="C")
    return cv2.cornerSubPix(grey, start, (half, half), (-1, -1), criteria).reshape(-1, 2)


def opencv_board(board: Board):
    size = (board.columns, board.rows)
    charuco = cv2.aruco.CharucoBoard(size, board.square, board.marker, _aruco_dictionary(board.dictionary))
    charuco.setLegacyPattern(board.legacy)
    return charuco


@lru_cache(maxsize=8)
def _charuco_detector(board: Board):
    return cv2.aruco.CharucoDetector(opencv_board(board))


def _aruco_dictionary(name: str):
    known = [key.removeprefix("DICT_") for key in dir(cv2.aruco) if key.startswith("DICT_")]
    match = next((key for key in known if key.lower() == name.lower()), None)
    if match is None:
        raise InputError(f"unknown dictionary of ArUco markers {name!r}. Available: {', '.join(sorted(known))}.")
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{match}"))


_LAST_ROW = [np.zeros(3), np.ones(1)]  # of a pose (4, 4)
_ANYWHERE_IN_FRONT = np.block([[np.eye(3), np.array([[0], [0], [1.0]])], _LAST_ROW])


def board_poses_by_view(camera: Camera, xy: np.ndarray, board: Board) -> list[np.ndarray]:
    """Poses (4, 4) of the board in a camera's frame from its corners (corners, 2) px in one image, best first.

    The perspective image of a plane allows two poses; where perspective is weak, both fit nearly equally well
    (Collins & Bartoli 2014).
    """
    ideal = undistort_pixels(camera, xy)
    seen = np.isfinite(ideal).all(-1)
    if seen.sum() < 4:
        return [_ANYWHERE_IN_FRONT]
    _, turns, moves, _ = cv2.solvePnPGeneric(board.corners[seen], ideal[seen], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    found = [np.block([[cv2.Rodrigues(turn)[0], move], _LAST_ROW]) for turn, move in zip(turns, moves, strict=True)]
    return found or [_ANYWHERE_IN_FRONT]
