"""Calibration boards (ChArUco boards and checkerboards): their corners in an image, and where a board is by these."""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import project_one, undistort_pixels
from simspine.core.types import Camera

LEAST_CORNERS = 6  # of a ChArUco board, of which parts are seen; fewer say little about lens or place
_GROWTH_START_SIZES = ((3, 3), (3, 4), (5, 4))  # inner corners from which OpenCV's detector grows to the board there is
_CLEAR_CORNER_SQUARES = 0.4  # squares around a checkerboard's corner in which there is no other
_IMAGE_SIDES_TRIED = (640, 1280)  # px, of images in which that is tried


@dataclass(frozen=True)
class Board:
    """A flat board of squares, seen from its printed side.

    columns, rows: of squares. square: m, their side. marker: m, side of the markers of a ChArUco board; 0 is a
    checkerboard. dictionary: of its markers, such as 4X4_50. legacy: laid out as by OpenCV before 4.6, which differs
    for an even number of rows.
    """

    columns: int
    rows: int
    square: float
    marker: float = 0.0
    dictionary: str = "4X4_50"
    legacy: bool = False

    def __post_init__(self):
        if min(self.columns, self.rows) < 3:
            raise InputError(f"a board of {self.columns}x{self.rows} squares has too few corners; 3x4 at least.")
        if not (np.isfinite(self.square) and self.square > 0 and 0 <= self.marker < self.square):
            raise InputError(
                f"squares of {1000 * self.square:g} mm with markers of {1000 * self.marker:g} mm: both must be "
                "positive, and a marker must fit into its square."
            )
        if self.marker:
            room = len(_aruco_dictionary(self.dictionary).bytesList)
            if self.markers > room:
                raise InputError(
                    f"a ChArUco board of {self.columns}x{self.rows} squares has {self.markers} markers, the dictionary "
                    f"{self.dictionary} only {room}. Name a larger one, such as {self.dictionary.split('_')[0]}_250."
                )

    @property
    def markers(self) -> int:
        """Of a ChArUco board: one in each white square."""
        return self.columns * self.rows // 2

    @property
    def shape(self) -> tuple[int, int]:
        """Inner corners: along a row, along a column."""
        return self.columns - 1, self.rows - 1

    @cached_property
    def corners(self) -> np.ndarray:
        """(corners, 3) m, row by row: x to the right, y down as printed, z into the board."""
        across, down = self.shape
        x, y = np.meshgrid(np.arange(1, across + 1), np.arange(1, down + 1))
        places = self.square * np.stack([x, y, 0 * x], -1).reshape(-1, 3).astype(float)
        places.setflags(write=False)
        return places

    @property
    def half_turn(self) -> bool:
        """Whether it looks the same after half a turn: a checkerboard with both counts even, or both odd."""
        return not self.marker and (self.columns + self.rows) % 2 == 0

    def __str__(self) -> str:
        kind = f"ChArUco board ({self.dictionary})" if self.marker else "checkerboard"
        return f"{kind} of {self.columns}x{self.rows} squares"


def find_board(board: Board, image: np.ndarray) -> np.ndarray:
    """Pixels (corners, 2) of the board's corners in an image (h, w, 3) uint8 BGR, or (h, w); NaN where not seen.

    Of a ChArUco board parts may be seen, of a checkerboard all corners or none.
    """
    import cv2

    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    found = np.full((len(board.corners), 2), np.nan)
    if board.marker:
        corners, ids, _, _ = _charuco_detector(board).detectBoard(grey)
        if ids is not None and len(ids) >= LEAST_CORNERS:
            clear = (1 - board.marker / board.square) / 2  # from a corner to the next marker, in squares
            found[ids.ravel()] = _refined_corners(grey, corners.reshape(-1, 2), clear)
        return found
    corners = _find_checkerboard(board, grey)
    return found if corners is None else corners_in_board_order(board, corners, grey)


def corners_in_board_order(board: Board, corners: np.ndarray, grey: np.ndarray) -> np.ndarray:
    """Corners (n, 2) px of a checkerboard in the order of `Board.corners`.

    Rows and columns run clockwise, as printed; the square between the first four corners is black. Where the board
    looks the same after half a turn, its upper side is the upper one in the image.
    """
    across, down = board.shape
    grid = corners.reshape(down, across, 2)
    right, below = grid[0, -1] - grid[0, 0], grid[-1, 0] - grid[0, 0]
    if right[0] * below[1] - right[1] * below[0] < 0:
        grid = grid[:, ::-1]
    if board.half_turn:
        turned = grid[-1].mean(0)[1] < grid[0].mean(0)[1]
    else:
        turned = _square_brightness(grey, grid[:2, :2]) > _square_brightness(grey, grid[:2, 1:3])
    return (grid[::-1, ::-1] if turned else grid).reshape(-1, 2).astype(float)


def checkerboard_in(image: np.ndarray) -> tuple[int, int] | None:
    """How many squares the checkerboard in an image has, the larger number first; None if there is none."""
    import cv2

    grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    flags = cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_LARGER
    found: list[tuple[int, int]] = [(0, 0)]
    for side in _IMAGE_SIDES_TRIED:  # the detector stops growing early now and then
        scale = min(1.0, side / max(grey.shape))
        small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for shape in _GROWTH_START_SIZES:
            good, _, cells = cv2.findChessboardCornersSBWithMeta(small, shape, flags)
            if good:
                found.append((max(cells.shape), min(cells.shape)))
    across, down = max(found, key=lambda corners: corners[0] * corners[1])
    return (across + 1, down + 1) if down else None


def _find_checkerboard(board: Board, grey: np.ndarray) -> np.ndarray | None:
    """By the sector-based detector, which hardly misses a sharp image with a margin; where it fails, the older one."""
    import cv2

    good, corners = cv2.findChessboardCornersSB(grey, board.shape, flags=cv2.CALIB_CB_NORMALIZE_IMAGE)
    if not good:
        flags = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_FAST_CHECK
        good, corners = cv2.findChessboardCorners(grey, board.shape, flags=flags)
    return _refined_corners(grey, corners.reshape(-1, 2), _CLEAR_CORNER_SQUARES) if good else None


def _refined_corners(grey: np.ndarray, corners: np.ndarray, clear: float) -> np.ndarray:
    """Corners (n, 2) px to a hundredth of a pixel. clear: how far around them nothing else is, in squares."""
    import cv2

    apart = np.linalg.norm(corners[:, None] - corners, axis=-1) + np.where(np.eye(len(corners)) > 0, np.inf, 0.0)
    half = int(np.clip(clear * apart.min(), 2, 11))
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-3)
    start = np.array(corners[:, None], np.float32, order="C")
    return cv2.cornerSubPix(grey, start, (half, half), (-1, -1), criteria).reshape(-1, 2)


def _square_brightness(grey: np.ndarray, cell: np.ndarray) -> float:
    """Mean of the middle of a square between four corners (2, 2, 2) px."""
    (a, b), (c, d) = cell
    steps = np.linspace(0.3, 0.7, 5)
    u, v = np.meshgrid(steps, steps)
    u, v = u[..., None], v[..., None]
    places = (1 - v) * ((1 - u) * a + u * b) + v * ((1 - u) * c + u * d)
    x, y = np.rint(places).astype(int).transpose(2, 0, 1)
    height, width = grey.shape
    return float(grey[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)].mean())


def opencv_board(board: Board):
    """OpenCV's ChArUco board."""
    import cv2

    size = (board.columns, board.rows)
    made = cv2.aruco.CharucoBoard(size, board.square, board.marker, _aruco_dictionary(board.dictionary))
    made.setLegacyPattern(board.legacy)
    return made


@lru_cache(maxsize=8)
def _charuco_detector(board: Board):
    import cv2

    return cv2.aruco.CharucoDetector(opencv_board(board))


def _aruco_dictionary(name: str):
    import cv2

    known = [key.removeprefix("DICT_") for key in dir(cv2.aruco) if key.startswith("DICT_")]
    match = next((key for key in known if key.lower() == name.lower()), None)
    if match is None:
        raise InputError(f"unknown dictionary of ArUco markers {name!r}. Available: {', '.join(sorted(known))}.")
    return cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{match}"))


@dataclass(frozen=True)
class BoardPose:
    """x_target = R x_source + t, and how badly it fits."""

    R: np.ndarray
    t: np.ndarray
    error_px: float = 0.0

    def after(self, other: "BoardPose") -> "BoardPose":
        """This one after another."""
        return BoardPose(self.R @ other.R, self.R @ other.t + self.t)

    @property
    def inverse(self) -> "BoardPose":
        return BoardPose(self.R.T, -self.R.T @ self.t)


_NO_BOARD_POSE = BoardPose(np.eye(3), np.array([0, 0, 1.0]), np.inf)


def corner_rms_px(camera: Camera, pose: BoardPose, board: Board, xy: np.ndarray) -> float:
    """Root mean square distance of corners, px; large where one is behind the camera."""
    shown = project_one(camera, board.corners @ pose.R.T + pose.t)
    miss = np.linalg.norm(shown - xy, axis=-1)[np.isfinite(xy).all(-1)]
    return float(np.sqrt(np.mean(np.nan_to_num(miss, nan=1e6) ** 2)))


def board_poses_by_view(camera: Camera, xy: np.ndarray, board: Board) -> list[BoardPose]:
    """Where the board is in a camera's frame by its corners (corners, 2) px alone, best first.

    A plane seen in perspective leaves two places, of which the second is nearly as good where perspective is weak
    (Collins & Bartoli 2014).
    """
    import cv2

    centred = camera.with_(R=np.eye(3), t=np.zeros(3))
    ideal = undistort_pixels(camera, xy)
    good = np.isfinite(ideal).all(-1)
    if good.sum() < 4:
        return [_NO_BOARD_POSE]
    _, turns, moves, _ = cv2.solvePnPGeneric(board.corners[good], ideal[good], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    found = []
    for turn, move in zip(turns, moves, strict=True):
        pose = BoardPose(cv2.Rodrigues(turn)[0], move.ravel())
        found.append(replace(pose, error_px=corner_rms_px(centred, pose, board, xy)))
    return sorted(found, key=lambda pose: pose.error_px) or [_NO_BOARD_POSE]
