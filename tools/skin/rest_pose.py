"""The pose of our body that is Anny's: limbs point where its limbs do, soles are level, the spine is neutral."""

import numpy as np
from scipy.optimize import least_squares
from tools.skin.landmarks import Landmarks

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.skin import SKIN_KNUCKLE_PLACE, SKIN_THUMB_PLACE
from simspine.synthesis.bodies import unscaled_body

_RIGHT = (
    "hip_flexion", "hip_adduction", "hip_rotation", "knee_angle", "ankle_angle", "subtalar_angle",
    "arm_flex", "arm_add", "arm_rot", "elbow_flex", "pro_sup", "wrist_flex", "wrist_dev",
)  # fmt: skip
_FREE = 0.03  # how much a radian of a joint counts beside a unit of direction, so that what nothing says stays put


def rest_pose(places: np.ndarray) -> dict[str, float]:
    """Coordinates (rad) by name. places: (landmarks, 3) m."""
    at = dict(zip(Landmarks.names(), places, strict=True))
    body = unscaled_body()[1]
    start = np.array([body.coordinates.default[body.coordinates.index(f"{name}_r")] for name in _RIGHT])
    start[_RIGHT.index("arm_add")] = -0.8

    def both(x: np.ndarray) -> dict[str, float]:
        return {f"{name}_{side}": float(v) for name, v in zip(_RIGHT, x, strict=True) for side in "rl"}

    def residual(x: np.ndarray) -> np.ndarray:
        poses = neutral_poses(body, both(x))
        joint = {name: poses[f"{part}_r"][:3, 3] for name, part in _JOINTS.items()}
        hand = poses["hand_r"]
        joint |= {"knuckle": (hand @ [*SKIN_KNUCKLE_PLACE, 1])[:3], "thumb": (hand @ [*SKIN_THUMB_PLACE, 1])[:3]}
        off = [_way(joint, a, b) - _way({k: at[f"{k}_r"] for k in (a, b)}, a, b) for a, b in _WAYS]
        foot = _way({k: at[f"{k}_r"] for k in ("ankle", "toes")}, "ankle", "toes") * [1, 0, 1]
        level = poses["calcn_r"][:3, :3]
        off += [level[:, 1] - [0, 1, 0], level[:, 0] - foot / np.linalg.norm(foot)]
        return np.concatenate([*off, _FREE * (x - start)])

    found = least_squares(residual, start)
    print("rest pose, degrees:", dict(zip(_RIGHT, np.degrees(found.x).round(1), strict=True)), "cost", found.cost)
    return both(found.x)


_JOINTS = {"hip": "femur", "knee": "tibia", "ankle": "talus", "toes": "toes", "shoulder": "humerus", "elbow": "ulna"}
_JOINTS |= {"wrist": "hand"}
_WAYS = (
    ("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"),
    ("wrist", "knuckle"), ("wrist", "thumb"),
)  # fmt: skip


def _way(joint: dict[str, np.ndarray], a: str, b: str) -> np.ndarray:
    along = joint[b] - joint[a]
    return along / np.linalg.norm(along)
