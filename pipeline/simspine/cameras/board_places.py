"""First places of cameras and board: the board in each image, cameras in pairs, all of them along the best pairs."""

from collections.abc import Sequence

import numpy as np

from simspine.cameras.board_bundle import Placed
from simspine.cameras.board_views import BoardViews
from simspine.detection.board import Board
from simspine.detection.board_pose import BoardPose, poses_alone
from simspine.errors import InputError
from simspine.geometry import project_one
from simspine.types import Camera

PROPOSALS = 12  # common frames that propose how two cameras stand; all of them judge
APART = np.radians(5.0)  # two proposals that differ by more are different
CLEAR = 3.0  # times worse must the second way of standing fit, where a board looks the same after half a turn


def place_cameras(views: BoardViews, lenses: Sequence[Camera]) -> Placed:
    """Cameras and boards in the frame of the first camera, to start from.

    Raises `InputError` where the cameras fall into groups that share no view of the board.
    """
    alone = {(f, v): poses_alone(lenses[v], views.xy[f, v], views.board) for f, v in np.argwhere(views.seen).tolist()}
    shared = views.seen.T.astype(int) @ views.seen.astype(int)
    placed = {0: BoardPose(np.eye(3), np.zeros(3))}  # world → camera
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


def _ways(pose: BoardPose, board: Board) -> list[BoardPose]:
    """A place of the board, and where it looks the same after half a turn the one with its corners in reverse."""
    if not board.half_turn:
        return [pose]
    turn = BoardPose(np.diag([-1.0, -1.0, 1.0]), board.corners[0] + board.corners[-1])
    return [pose, pose.after(turn)]


def _between(views: BoardViews, lenses: Sequence[Camera], alone: dict, a: int, b: int) -> BoardPose:
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


def _judged(camera: Camera, proposal: BoardPose, judges: list, board: Board) -> float:
    """Median over frames of the errors, px, of the board where camera a saw it."""
    centred = camera.with_(R=proposal.R, t=proposal.t)
    return float(np.median([min(_miss(centred, xy, pose, board) for pose in poses) for xy, poses in judges]))


def _board(views: BoardViews, cameras: Sequence[Camera], alone: dict, frame: int) -> BoardPose:
    """Where the board was in a frame: of what the cameras propose, what fits all of them best."""
    who = np.flatnonzero(views.seen[frame]).tolist()
    proposals = [
        way
        for v in who
        for pose in alone[frame, v]
        for way in _ways(BoardPose(cameras[v].R, cameras[v].t).inverse.after(pose), views.board)
    ]

    def cost(pose: BoardPose) -> float:
        ways = (views.xy[frame], views.xy[frame, :, ::-1]) if views.board.half_turn else (views.xy[frame],)
        return float(sum(min(_miss(cameras[v], xy[v], pose, views.board) for xy in ways) for v in who))

    return min(proposals, key=cost)


def _miss(camera: Camera, xy: np.ndarray, pose: BoardPose, board: Board) -> float:
    """Root mean square distance of corners, px; large where one is behind the camera."""
    shown = project_one(camera, board.corners @ pose.R.T + pose.t)
    miss = np.linalg.norm(shown - xy, axis=-1)[np.isfinite(xy).all(-1)]
    return float(np.sqrt(np.mean(np.nan_to_num(miss, nan=1e6) ** 2)))


def _angle(a: np.ndarray, b: np.ndarray) -> float:
    """Between two rotations, rad."""
    return float(np.arccos(np.clip((np.trace(a @ b.T) - 1) / 2, -1, 1)))
