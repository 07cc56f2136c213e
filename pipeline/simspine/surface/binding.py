"""A surface at rest laid onto the bones of a body: an affine map for each segment that carries skin.

In the pose in which our body stands as the surface does (`SkinAsset.pose`) each segment's map takes the surface's joint
to the body's, the way to the next joint to the body's way, and stretches the part to the body's length; across, the
whole person has one scale. From then on the part goes with its segment.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.body.kinematics import body_poses, follow_couplers
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.surface.asset import RestSurface, skin_asset
from simspine.surface.segments import KNUCKLE, SEGMENTS, SPINE, THUMB
from simspine.types import Motion

_FACE = {"nose": "Nose", "eye_r": "REye", "eye_l": "LEye", "vertex": "Head"}
_VIRTUAL = "_virtual"
_FOOT_HIGH = 0.85  # the surface's ankle is 85 mm above its sole; with what is left 10 mm lie under the heel bone
_HEEL_BEHIND, _TOE_BEFORE = 0.012, 0.006  # m: skin beyond the points of heel and big toe, which lie on the bone


@dataclass(frozen=True, eq=False)
class BoundSkin:
    """A person's skin. points: (n, 3) m, at rest. maps: (segments, 3, 4), rest → the frame of the body that carries it.

    landmarks: {name: (3,)} m, at rest; segments: bodies in the order of `maps`.
    """

    points: np.ndarray
    landmarks: Mapping[str, np.ndarray]
    segments: tuple[str, ...]
    maps: np.ndarray


def bind(rest: RestSurface, body: Body) -> BoundSkin:
    """The surface on a body's bones, at the body's sizes. Raises `InputError` for a body without single vertebrae."""
    lacking = [name for name in SEGMENTS if name not in body.bodies]
    if lacking:
        raise InputError(
            f"body {body.name!r} has no {', '.join(lacking[:3])}; a skin needs a body with every vertebra, such as the "
            "articulated one."
        )
    poses = poses_at_rest(body)
    joints = {name: poses[name][:3, 3] for name in body.bodies}
    at = rest.landmarks
    trunk, rest_trunk = joints["T1"] - _hips(joints), at["T1"] - _middle(at, "hip")
    across = float(np.linalg.norm(trunk) / np.linalg.norm(rest_trunk))
    maps = _spine_maps(joints, at, across)
    maps["head"] = _head_map(body, poses["head"], at, joints)
    for side in "rl":
        maps |= _arm_maps(side, poses, at, across)
        maps |= _leg_maps(side, body, poses, at, across)
    local = [np.linalg.inv(poses[name]) @ maps[name] for name in SEGMENTS]
    return BoundSkin(rest.points, at, SEGMENTS, np.array(local)[:, :3])


def poses_at_rest(body: Body) -> dict[str, np.ndarray]:
    """Poses (4, 4) in which the body stands as the surface does: spine neutral, limbs as the asset says."""
    coordinates, asked = body.coordinates, skin_asset().pose
    values = np.where(coordinates.locked, coordinates.default, 0.0)
    for name, value in asked.items():
        values[coordinates.index(name)] = value
    motion = Motion(coordinates.names, 1.0, follow_couplers(body, values[None]), coordinates.rotational)
    return {name: pose[0] for name, pose in body_poses(body, motion).items()}


def _spine_maps(joints: Mapping, at: Mapping, across: float) -> dict[str, np.ndarray]:
    """Of pelvis and vertebrae: frames of both curves laid on each other."""
    ours = np.array([_hips(joints), *(joints[name] for name in SPINE[1:])])
    theirs = np.array([_middle(at, "hip"), *(at[name] for name in SPINE[1:])])
    along, rest_along = _tangents(ours), _tangents(theirs)
    length = np.linalg.norm(along, axis=1) / np.linalg.norm(rest_along, axis=1)
    out = {}
    for k, name in enumerate(SPINE[:-1]):
        target, source = _sagittal(along[k]), _sagittal(rest_along[k])
        A = target @ np.diag([across, length[k], across]) @ source.T
        out[name] = _about(A, theirs[k], ours[k])
    return out


def _tangents(curve: np.ndarray) -> np.ndarray:
    """(points, 3): from the point below to the one above, smoothed over neighbours."""
    steps = np.gradient(curve, axis=0)
    padded = np.concatenate([steps[:1], steps, steps[-1:]])
    return (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4


def _sagittal(up: np.ndarray) -> np.ndarray:
    """(3, 3) axes as columns: forward, up along the curve, right."""
    up = up * [1, 1, 0]
    up = up / np.linalg.norm(up)
    return np.stack([[up[1], -up[0], 0.0], up, [0.0, 0.0, 1.0]], 1)


def _head_map(body: Body, pose: np.ndarray, at: Mapping, joints: Mapping) -> np.ndarray:
    """The similarity that takes nose, eyes and vertex to the body's, and the joint to the body's."""
    source, target = [at["head"]], [joints["head"]]
    for landmark, marker in _FACE.items():
        name = marker if marker in body.marker_names and f"{marker}{_VIRTUAL}" not in body.marker_names else ""
        name = name or f"{marker}{_VIRTUAL}"
        if name in body.marker_names:
            offset = body.marker_offsets[body.marker_index(name)]
            source.append(at[landmark])
            target.append((pose @ [*offset, 1])[:3])
    if len(source) < 3:
        raise InputError(f"body {body.name!r} has no points Nose, REye, LEye, Head; the skin of the head needs them.")
    return _similar(np.array(source), np.array(target))


def _similar(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4) similarity in the sagittal plane, least squares (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    turn = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1]).sum())
    c, s = np.cos(turn), np.sin(turn)
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    scale = (b * (a @ R.T)).sum() / (a * a).sum()
    return _about(scale * R, source.mean(0), target.mean(0))


def _arm_maps(side: str, poses: Mapping, at: Mapping, across: float) -> dict[str, np.ndarray]:
    joint = {name: poses[f"{name}_{side}"][:3, 3] for name in ("clavicle", "humerus", "ulna", "hand")}
    rest = {name: at[f"{name}_{side}"] for name in ("clavicle", "shoulder", "elbow", "wrist", "knuckle", "thumb")}
    upper = _stretched(rest["shoulder"], rest["elbow"], joint["humerus"], joint["ulna"], across)
    lower = _stretched(rest["elbow"], rest["wrist"], joint["ulna"], joint["hand"], across)
    girdle = _stretched(rest["clavicle"], rest["shoulder"], joint["clavicle"], joint["humerus"], across)
    mirror = np.array([1, 1, 1 if side == "r" else -1])
    hand = poses[f"hand_{side}"][:3, :3]
    target = _frame(hand @ (mirror * KNUCKLE), hand @ (mirror * THUMB))
    source = _frame(rest["knuckle"] - rest["wrist"], rest["thumb"] - rest["wrist"])
    palm = _about(across * target @ source.T, rest["wrist"], joint["hand"])
    found = {"clavicle": girdle, "humerus": upper, "ulna": lower, "radius": lower, "hand": palm}
    return {f"{name}_{side}": value for name, value in found.items()}


def _leg_maps(side: str, body: Body, poses: Mapping, at: Mapping, across: float) -> dict[str, np.ndarray]:
    joint = {name: poses[f"{name}_{side}"][:3, 3] for name in ("femur", "tibia", "talus")}
    rest = {name: at[f"{name}_{side}"] for name in ("hip", "knee", "ankle", "heel", "big_toe")}
    thigh = _stretched(rest["hip"], rest["knee"], joint["femur"], joint["tibia"], across)
    shank = _stretched(rest["knee"], rest["ankle"], joint["tibia"], joint["talus"], across)
    foot = _foot_map(side, body, poses, rest, across)
    return {f"femur_{side}": thigh, f"tibia_{side}": shank, f"calcn_{side}": foot, f"toes_{side}": foot}


def _foot_map(side: str, body: Body, poses: Mapping, rest: Mapping, across: float) -> np.ndarray:
    """Heel and toe to the body's, the ankle to the ankle; the sole is level."""
    marks = {}
    for name, carrier in (("Heel", "calcn"), ("BigToe", "toes")):
        marker = f"{side.upper()}{name}"
        offset = body.marker_offsets[body.marker_index(marker)]
        marks[name] = (poses[f"{carrier}_{side}"] @ [*offset, 1])[:3]
    ankle = poses[f"talus_{side}"][:3, 3]
    up = np.array([0, 1.0, 0])
    target = _sole_frame(marks["BigToe"] - marks["Heel"], up)
    source = _sole_frame(rest["big_toe"] - rest["heel"], up)
    behind, before = _HEEL_BEHIND * across, _TOE_BEFORE * across
    length = (marks["BigToe"] - marks["Heel"]) @ target[:, 0] + behind + before
    long = length / ((rest["big_toe"] - rest["heel"]) @ source[:, 0])
    A = target @ np.diag([long, _FOOT_HIGH * across, across]) @ source.T
    heel = marks["Heel"] - behind * target[:, 0]
    at = heel * [1, 0, 1] + ankle * up
    return _about(A, rest["heel"] * [1, 0, 1] + rest["ankle"] * up, at)


def _sole_frame(toe: np.ndarray, up: np.ndarray) -> np.ndarray:
    forward = toe * [1, 0, 1]
    forward = forward / np.linalg.norm(forward)
    return np.stack([forward, up, np.cross(forward, up)], 1)


def _stretched(
    start: np.ndarray, end: np.ndarray, new_start: np.ndarray, new_end: np.ndarray, across: float
) -> np.ndarray:
    """(4, 4): start and end to the new ones by the least turn, as long as they ask for, `across` times as thick."""
    a, b = end - start, new_end - new_start
    length, new_length = np.linalg.norm(a), np.linalg.norm(b)
    u, v = a / length, b / new_length
    axis, cosine = np.cross(u, v), float(u @ v)
    skew = np.cross(np.eye(3), axis)
    R = np.eye(3) + skew + skew @ skew / (1 + cosine)
    stretch = across * np.eye(3) + (new_length / length - across) * np.outer(u, u)
    return _about(R @ stretch, start, new_start)


def _frame(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(3, 3) orthonormal columns: along the first, towards the second, and across both."""
    x = first / np.linalg.norm(first)
    z = np.cross(x, second)
    z = z / np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z], 1)


def _about(A: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(4, 4): x ↦ target + A (x − source)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = A, target - A @ source
    return out


def _hips(joints: Mapping) -> np.ndarray:
    return (joints["femur_r"] + joints["femur_l"]) / 2


def _middle(at: Mapping, name: str) -> np.ndarray:
    return (at[f"{name}_r"] + at[f"{name}_l"]) / 2
