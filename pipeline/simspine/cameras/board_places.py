"""First places of cameras and board: the board in each image, cameras in pairs, all of them along the best pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.cameras.board_bundle import Placed
from simspine.cameras.board_views import BoardViews
from simspine.detection.board import Board
from simspine.errors import InputError
from simspine.geometry import project_one, undistort
from simspine.types import Camera

PROPOSALS = 12  # common frames that propose how two cameras stand; all of them judge
APART = np.radians(5.0)  # two proposals that differ by more are different
CLEAR = 3.0  # times worse must the second way of standing fit, where a board looks the same after half a turn


@dataclass(frozen=True)
class Pose:
    """x_target = R x_source + t, and how badly it fits."""

    R: np.ndarray
    t: np.ndarray
    error_px: float = 0.0

    def after(self, other: "Pose") -> "Pose":
        """This one after another."""
        return Pose(self.R @ other.R, self.R @ other.t + self.t)

    @property
    def inverse(self) -> "Pose":
        return Pose(self.R.T, -self.R.T @ self.t)


_NOWHERE = Pose(np.eye(3), np.array([0, 0, 1.0]), np.inf)


def poses_alone(camera: Camera, xy: np.ndarray, board: Board) -> list[Pose]:
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
        found.append(Pose(R, t, float(np.sqrt(np.mean(np.nan_to_num(miss, nan=1e6) ** 2)))))
    return sorted(found, key=lambda pose: pose.error_px) or [_NOWHERE]


def place_cameras(views: BoardViews, lenses: Sequence[Camera]) -> Placed:
    """Cameras and boards in the frame of the first camera, to start from.

    Raises `InputError` where the cameras fall into groups that share no view of the board.
    """
    alone = {(f, v): poses_alone(lenses[v], views.xy[f, v], views.board) for f, v in np.argwhere(views.seen).tolist()}
    shared = views.seen.T.astype(int) @ views.seen.astype(int)
    placed = {0: Pose(np.eye(3), np.zeros(3))}  # world → camera
    while len(placed) < len(lenses):
        _, a, b = max((shared[a, b], a, b) for a in placed for b in range(len(lenses)) if b not in placed)
        if not shared[a, b]:
            raise _unconnected(views, shared)
        placed[b] = _between(views, lenses, alone, a, b).after(placed[a])
    cameras = tuple(lens.with_(R=placed[v].R, t=placed[v].t) for v, lens in enumerate(lenses))
    boards = [_board(views, cameras, alone, f) for f in range(len(views.xy))]
    R, t = np.stack([board.R for board in boards]), np.stack([board.t for board in boards])
    turned = np.zeros(views.seen.shape, bool)
    if views.board.half_turn:
        for f, v in alone:
            ways = [_miss(cameras[v], xy, boards[f], views.board) for xy in (views.xy[f, v], views.xy[f, v, ::-1])]
            turned[f, v] = ways[1] < ways[0]
    return Placed(cameras, R, t, turned)


def _unconnected(views: BoardViews, shared: np.ndarray) -> InputError:
    groups: list[set[int]] = []
    for v in range(len(shared)):
        mates = {v, *np.flatnonzero(shared[v]).tolist()}
        mates |= {w for group in groups if group & mates for w in group}
        groups = [group for group in groups if not group & mates] + [mates]
    groups.sort(key=lambda group: (-len(group), min(group)))
    told = " | ".join(", ".join(views.names[v] for v in sorted(group)) for group in groups)
    odd = ", ".join(repr(views.names[v]) for group in groups[1:] for v in sorted(group))
    return InputError(
        f"no frame shows the board to {odd} and another camera at once, so it cannot be told where they stand. Cameras "
        f"that share views: {told}. Hold the board where both sides see it; a camera that does not see it at all may "
        "have another name, or show another board."
    )


def _ways(pose: Pose, board: Board) -> list[Pose]:
    """A place of the board, and where it looks the same after half a turn the one with its corners in reverse."""
    if not board.half_turn:
        return [pose]
    turn = Pose(np.diag([-1.0, -1.0, 1.0]), board.corners[0] + board.corners[-1])
    return [pose, pose.after(turn)]


def _between(views: BoardViews, lenses: Sequence[Camera], alone: dict, a: int, b: int) -> Pose:
    """From camera a's frame to camera b's: of what the common frames propose, what most of them agree with."""
    common = np.flatnonzero(views.seen[:, [a, b]].all(1)).tolist()
    judges = [(views.xy[f, b], [way for pose in alone[f, a] for way in _ways(pose, views.board)]) for f in common]
    some = sorted(common, key=lambda f: alone[f, a][0].error_px + alone[f, b][0].error_px)[:PROPOSALS]
    proposals = [
        second.after(first.inverse)
        for f in some
        for first in alone[f, a]
        for pose in alone[f, b]
        for second in _ways(pose, views.board)
    ]
    scores = [_judged(lenses[b], proposal, judges, views.board) for proposal in proposals]
    best = int(np.argmin(scores))
    if views.board.half_turn:
        others = [s for s, p in zip(scores, proposals, strict=True) if _angle(p.R, proposals[best].R) > APART]
        if min(others, default=np.inf) < CLEAR * max(scores[best], 0.5):
            raise InputError(
                f"the {views.board} looks the same after half a turn, and the {len(common)} frames that cameras "
                f"{views.names[a]!r} and {views.names[b]!r} share do not tell which way it was held. Use a board with "
                "one even and one odd number of squares, or a ChArUco board; or show this one in more places."
            )
    return proposals[best]


def _judged(camera: Camera, proposal: Pose, judges: list, board: Board) -> float:
    """Median over frames of the errors, px, of the board where camera a saw it."""
    centred = camera.with_(R=proposal.R, t=proposal.t)
    return float(np.median([min(_miss(centred, xy, pose, board) for pose in poses) for xy, poses in judges]))


def _board(views: BoardViews, cameras: Sequence[Camera], alone: dict, frame: int) -> Pose:
    """Where the board was in a frame: of what the cameras propose, what fits all of them best."""
    who = np.flatnonzero(views.seen[frame])
    proposals = [
        way
        for v in who.tolist()
        for pose in alone[frame, v]
        for way in _ways(Pose(cameras[v].R, cameras[v].t).inverse.after(pose), views.board)
    ]

    def cost(pose: Pose) -> float:
        ways = (views.xy[frame], views.xy[frame, :, ::-1]) if views.board.half_turn else (views.xy[frame],)
        return sum(min(_miss(cameras[v], xy[v], pose, views.board) for xy in ways) for v in who)

    return min(proposals, key=cost)


def _miss(camera: Camera, xy: np.ndarray, pose: Pose, board: Board) -> float:
    """Root mean square distance of corners, px; large where one is behind the camera."""
    shown = project_one(camera, board.corners @ pose.R.T + pose.t)
    miss = np.linalg.norm(shown - xy, axis=-1)[np.isfinite(xy).all(-1)]
    return float(np.sqrt(np.mean(np.nan_to_num(miss, nan=1e6) ** 2)))


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    """Between two rotations, rad."""
    return float(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1)))
