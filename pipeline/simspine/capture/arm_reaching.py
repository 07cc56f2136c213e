"""Where the hand goes: angles of an arm that bring it to a place on or before the body, on this person's body."""

from collections.abc import Sequence

import numpy as np

from simspine.body.kernels import all_poses
from simspine.capture.bodies import TruthBody
from simspine.capture.shoulder_girdle import SyntheticGirdle

JOINTS = ("arm_flex", "arm_add", "arm_rot", "elbow_flex")
_EASY = np.radians([15.0, -8.0, 0.0, 60.0])  # drawn to, where the place leaves the arm a choice


def reach(
    truth: TruthBody, girdle: SyntheticGirdle, side: str, place: str, offset: Sequence[float] = (0.0, 0.0, 0.0)
) -> dict[str, float]:
    """Change of the arm's coordinates (rad) from standing that brings the knuckles to a place.

    girdle: how the shoulder goes with the arm. side: 'r' or 'l'. place: a marker of the body, where the standing body
    has it. offset: from there (forward, up, outwards), in arm lengths. What is out of reach is approached.
    """
    from scipy.optimize import least_squares

    body = truth.body
    names = body.coordinates.names
    at = [names.index(f"{joint}_{side}") for joint in JOINTS]
    row = body.coordinates.default[None].copy()
    markers = all_poses(body.tree, row)[2][0]
    hand, shoulder, elbow, wrist = (
        body.marker_index(f"{name}_{side}") for name in ("knuckles", "joint_shoulder", "joint_elbow", "joint_wrist")
    )
    length = np.linalg.norm(markers[shoulder] - markers[elbow]) + np.linalg.norm(markers[elbow] - markers[wrist])
    out = 1.0 if side == "r" else -1.0
    target = markers[body.marker_index(place)] + length * np.array(offset) * [1.0, 1.0, out]
    room = 0.05 * (body.coordinates.upper[at] - body.coordinates.lower[at])

    def miss(angles: np.ndarray) -> np.ndarray:
        row[0, at] = angles
        for name, moved in girdle.at(side, angles[0], angles[1]).items():
            row[0, names.index(name)] = body.coordinates.default[names.index(name)] + moved
        return np.concatenate([(all_poses(body.tree, row)[2][0, hand] - target) / 0.02, 0.4 * (angles - _EASY)])

    bounds = body.coordinates.lower[at] + room, body.coordinates.upper[at] - room
    found = least_squares(miss, np.clip(_EASY, *bounds), bounds=bounds, max_nfev=60).x
    change = found - body.coordinates.default[at]
    return {f"{joint}_{side}": float(v) for joint, v in zip(JOINTS, change, strict=True)}


def raised(pose: dict[str, float], side: str) -> float:
    """How far an arm pose of `reach` lifts the upper arm: 0 hanging, 1 level or higher."""
    flex, add = pose[f"arm_flex_{side}"], pose[f"arm_add_{side}"]
    return float(np.clip(1 - np.cos(flex) * np.cos(add), 0.0, 1.5))
