"""Axes that turn with each of the 37 points' part of the body, from the points alone: columns forward, up, right.

Trunk and head: from landmarks. Limbs: the trunk's axes carried along the chain by the least rotation from one segment
to the next, which has no jumps as long as no joint folds flat on itself.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

# Frame: (below, above) of its up axis, (left, right) of its right axis.
_TRUNK = {
    "pelvis": ("Hip", "Spine_03", "LHip", "RHip"),
    "thorax": ("Spine_03", "Neck", "LShoulder", "RShoulder"),
    "head": ("Neck_03", "Head", "LEar", "REar"),
}
_OF = {name: "pelvis" for name in ("Hip", "Spine_01", "Spine_02", "Spine_03", "LHip", "RHip")}
_OF |= {name: "head" for name in ("Neck_03", "Head", "Nose", "LEye", "REye", "LEar", "REar")}
# Limb: the frame it hangs on, where its first segment points when the frames agree (forward, up, right), joints.
_LIMBS = {
    "arm": ("thorax", (0.5**0.5, -(0.5**0.5), 0.0), ("Shoulder", "Elbow", "Wrist")),
    "leg": ("pelvis", (0.0, -1.0, 0.0), ("Hip", "Knee", "Ankle")),
}
_FEET = ("BigToe", "SmallToe", "Heel")  # turn with the shank: toes bend too little to matter


def trunk_axes(names: Sequence[str], xyz: np.ndarray, least: float = 0.0) -> dict[str, np.ndarray]:
    """{'pelvis', 'thorax', 'head': (frames, 3, 3)}, of those whose landmarks are among the points.

    xyz: (frames, points, 3) m. least: m; NaN in frames in which a part is not as high, or as wide across that.
    """
    at = {name: xyz[:, i] for i, name in enumerate(names)}
    found = {}
    for part, (below, above, left, right) in _TRUNK.items():
        if at.keys() >= {below, above, left, right}:
            up, across = at[above] - at[below], at[right] - at[left]
            high = np.linalg.norm(up, axis=-1)
            flat = (high < least) | (np.linalg.norm(np.cross(up, across), axis=-1) < least * high)
            found[part] = upright(np.where(flat[:, None], np.nan, up), across)
    return found


def trunk_part(point: str) -> str:
    """'pelvis', 'thorax' or 'head': with whose axes a point of trunk or head turns."""
    return _OF.get(point, "thorax")


def point_axes(names: Sequence[str], xyz: np.ndarray) -> np.ndarray:
    """(frames, points, 3, 3), columns forward, up, right, in the frame of xyz (frames, points, 3), all 37 points."""
    at = {name: xyz[:, i] for i, name in enumerate(names)}
    trunk = trunk_axes(names, xyz)
    axes = {name: trunk[trunk_part(name)] for name in names}
    for frame, start, joints in _LIMBS.values():
        for side in "LR":
            turned, before = trunk[frame], trunk[frame] @ np.array(start)
            for near, far in pairwise(joints):
                along = unit(at[side + far] - at[side + near])
                turned, before = carried(turned, before, along), along
                axes[side + far] = turned
    for side in "LR":
        axes |= {side + part: axes[f"{side}Ankle"] for part in _FEET}
    return np.stack([axes[name] for name in names], 1)


def upright(up: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(frames, 3, 3) columns forward, up, right; up (frames, 3) is kept, right made perpendicular to it."""
    up = unit(up)
    right = unit(right - (right * up).sum(-1, keepdims=True) * up)
    return np.stack([np.cross(up, right), up, right], -1)


def carried(axes: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Axes (frames, 3, 3) after the least rotation that takes the unit vectors source (frames, 3) to target."""
    v, cosine = np.cross(source, target), (source * target).sum(-1)[:, None, None]
    skew = np.cross(np.eye(3), v[:, None, :]).transpose(0, 2, 1) * -1
    # Rodrigues: R = 1 + [v] + [v]²/(1 + cos)
    return axes + skew @ axes + skew @ (skew @ axes) / np.maximum(1 + cosine, 1e-6)


def unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)
