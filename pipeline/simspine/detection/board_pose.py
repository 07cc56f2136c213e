"""Where a board is by its corners in one image."""

from dataclasses import dataclass

import numpy as np

from simspine.detection.board import Board
from simspine.geometry import project_one, undistort
from simspine.types import Camera


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


_NOWHERE = BoardPose(np.eye(3), np.array([0, 0, 1.0]), np.inf)


def poses_alone(camera: Camera, xy: np.ndarray, board: Board) -> list[BoardPose]:
    """Where the board is in a camera's frame by its corners (corners, 2) px alone, best first.

    A plane seen in perspective leaves two places, of which the second is nearly as good where perspective is weak
    (Collins & Bartoli 2014).
    """
    import cv2

    centred = camera.with_(R=np.eye(3), t=np.zeros(3))
    ideal = undistort(camera, xy)
    good = np.isfinite(ideal).all(-1)
    if good.sum() < 4:
        return [_NOWHERE]
    _, turns, moves, _ = cv2.solvePnPGeneric(board.corners[good], ideal[good], np.eye(3), None, flags=cv2.SOLVEPNP_IPPE)
    found = []
    for turn, move in zip(turns, moves, strict=True):
        R, t = cv2.Rodrigues(turn)[0], move.ravel()
        miss = np.linalg.norm(project_one(centred, board.corners @ R.T + t) - xy, axis=-1)[np.isfinite(xy).all(-1)]
        found.append(BoardPose(R, t, float(np.sqrt(np.mean(np.nan_to_num(miss, nan=1e6) ** 2)))))
    return sorted(found, key=lambda pose: pose.error_px) or [_NOWHERE]
