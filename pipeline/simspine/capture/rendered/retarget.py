"""Somebody else's motion on a body of ours: rotations of a BVH file's joints carried over to our segments.

Segments turn as the file's joints do, from a common rest: in the pose in which the file's rotations are 0 each limb of
ours is laid along the file's by the least turn. Our own lengths stay, the root's path is scaled by the length of the
legs. Turns between pelvis and chest, and chest and head, are spread evenly over the levels. Files that we wrote have
every segment, and then each takes its own rotation.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.body.kinematics import neutral_poses
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.formats.bvh import BvhMotion
from simspine.formats.skeleton_motion import SkeletonMotion
from simspine.surface.segments import SEGMENTS, SPINE

# Names of a joint, small letters, without what all begin with up to ':' or '_': Mixamo, CMU as Hahne converted it,
# Poser.
_SIDED = {
    "femur": ("upleg", "thigh", "upperleg"), "tibia": ("leg", "shin", "lowerleg", "knee"),
    "talus": ("foot", "ankle"), "toes": ("toebase", "toe", "toes"), "clavicle": ("shoulder", "collar"),
    "humerus": ("arm", "shldr", "upperarm"), "ulna": ("forearm", "lowerarm", "elbow"), "hand": ("hand", "wrist"),
}  # fmt: skip
_MIDDLE = {"pelvis": ("hips", "hip", "pelvis", "root"), "head": ("head",)}
_LIMBS = ("femur", "tibia", "talus", "humerus", "ulna", "hand")
_NEEDED = ("pelvis", "head", *(f"{name}_{side}" for side in "rl" for name in _LIMBS))
_PARENTS = {
    "sacrum": "pelvis", **dict(zip(SPINE[1:], SPINE, strict=False)),
    **{f"{child}_{side}": parent if parent in SPINE else f"{parent}_{side}" for side in "rl" for child, parent in (
        ("femur", "pelvis"), ("tibia", "femur"), ("patella", "tibia"), ("talus", "tibia"), ("calcn", "talus"),
        ("toes", "calcn"), ("clavicle", "T1"), ("humerus", "clavicle"), ("ulna", "humerus"), ("radius", "ulna"),
        ("hand", "radius"))},
}  # fmt: skip
_WITH = {"sacrum": "pelvis", "patella": "tibia", "calcn": "talus", "radius": "ulna"}  # turn as another does
_ALONG = {"femur": "tibia", "tibia": "talus", "talus": "toes", "humerus": "ulna", "ulna": "hand"}
_CHEST = SPINE.index("T1")


def retargeted(body: Body, found: BvhMotion, path: str | Path = "BVH") -> dict[str, np.ndarray]:
    """Poses {segment: (frames, 4, 4)} of our body, y up, m, in the motion of a BVH file.

    Raises `InputError` naming the joints found and those that are wanted.
    """
    motion = found.motion
    own = set(SEGMENTS) <= set(motion.names)
    joint = {name: motion.names.index(name) for name in motion.names} if own else joints_of(motion.names, path)
    neutral = neutral_poses(body)
    if own:
        turns = _own_turns(motion.poses, joint)
    else:
        rest = _rest(found)
        _check_rest(rest, joint, path)
        turns = _turns(motion, rest, joint, neutral)
    ours = _length([neutral[f"{name}_r"][:3, 3] for name in ("femur", "tibia", "talus")])
    theirs = _length([motion.poses[0, joint[f"{name}_r"], :3, 3] for name in ("femur", "tibia", "talus")])
    poses: dict[str, np.ndarray] = {}
    for name in ("pelvis", *_PARENTS):
        if name not in neutral:
            continue
        pose = np.tile(np.eye(4), (len(motion.poses), 1, 1))
        pose[:, :3, :3] = turns[name]
        if name == "pelvis":
            hips = motion.poses[:, [joint["femur_r"], joint["femur_l"]]][:, :, :3, 3].mean(1) * (ours / theirs)
            middle = (neutral["femur_r"][:3, 3] + neutral["femur_l"][:3, 3]) / 2 - neutral["pelvis"][:3, 3]
            pose[:, :3, 3] = hips - turns[name] @ (neutral["pelvis"][:3, :3].T @ middle)
        else:
            parent = _PARENTS[name]
            start = neutral[parent][:3, :3].T @ (neutral[name][:3, 3] - neutral[parent][:3, 3])
            pose[:, :3, 3] = poses[parent][:, :3, 3] + poses[parent][:, :3, :3] @ start
        poses[name] = pose
    return poses


def _check_rest(rest: np.ndarray, joint: Mapping[str, int], path: str | Path) -> None:
    """`InputError` unless the skeleton (joints, 3) stands up along y where all rotations are 0, and limbs are long."""
    up = rest[joint["head"]] - rest[joint["pelvis"]]
    if not up[1] > 0.7 * np.linalg.norm(up):
        axis = "xyz"[int(np.abs(up).argmax())]
        raise InputError(
            f"{path}: where all rotations are 0, the head lies along {axis} from the hips ({up[0]:g}, {up[1]:g}, "
            f"{up[2]:g}); expected y up. Export it anew with y as the vertical."
        )
    for name in _LIMBS[:2]:
        if _length([rest[joint[f"{name}_r"]], rest[joint[f"{_ALONG[name]}_r"]]]) == 0.0:
            raise InputError(f"{path}: {name} and {_ALONG[name]} lie in one place; expected offsets between joints.")


def joints_of(names: Sequence[str], path: str | Path = "BVH") -> dict[str, int]:
    """{our segment: number of the joint} of a skeleton whose joints are named as Mixamo's, CMU's or Poser's."""
    first = names[0]
    begins = [first[: i + 1] for i, letter in enumerate(first) if letter in ":_"]
    common = max((begin for begin in begins if all(name.startswith(begin) for name in names)), key=len, default="")
    plain = [name.removeprefix(common).lower().replace("_", "").replace(" ", "") for name in names]
    joint: dict[str, int] = {}
    for segment, words in _MIDDLE.items():
        hits = [plain.index(word) for word in words if word in plain]
        if hits:
            joint[segment] = hits[0]
    for segment, words in _SIDED.items():
        for side, starts in (("r", ("right", "r")), ("l", ("left", "l"))):
            hits = [plain.index(start + word) for word in words for start in starts if start + word in plain]
            if hits:
                joint[f"{segment}_{side}"] = hits[0]
    lacking = [name for name in _NEEDED if name not in joint]
    if lacking:
        raise InputError(
            f"{path}: no joint for {', '.join(lacking)}; found {', '.join(names[:30])}. Wanted: Mixamo's or CMU's "
            "names (Hips, LeftUpLeg, LeftLeg, LeftFoot, LeftArm, LeftForeArm, LeftHand, Head …), or a file of ours."
        )
    return joint


def _own_turns(poses: np.ndarray, joint: Mapping[str, int]) -> dict[str, np.ndarray]:
    return {name: poses[:, number, :3, :3] for name, number in joint.items()} | {
        name: poses[:, joint[other], :3, :3] for name, other in _followers() if name not in joint
    }


def _followers() -> list[tuple[str, str]]:
    sided = [(f"{name}_{s}", f"{other}_{s}") for s in "rl" for name, other in _WITH.items() if name != "sacrum"]
    return [("sacrum", "pelvis"), *sided]


def _turns(
    motion: SkeletonMotion, rest: np.ndarray, joint: Mapping[str, int], neutral: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """{segment: (frames, 3, 3)}. rest: (joints, 3) of `_rest`."""
    poses = motion.poses
    right = rest[joint["femur_r"]] - rest[joint["femur_l"]]
    facing = Rotation.from_rotvec([0, np.arctan2(right[0], right[2]), 0]).as_matrix()  # our right is +z
    out: dict[str, np.ndarray] = {}
    for name in ("pelvis", "head", *(f"{n}_{s}" for s in "rl" for n in _SIDED)):
        base = facing @ neutral[name][:3, :3]
        stem, side = name[:-2], name[-2:]
        if name in joint and stem in _ALONG and f"{_ALONG[stem]}{side}" in joint:
            to = f"{_ALONG[stem]}{side}"
            ours = facing @ (neutral[to][:3, 3] - neutral[name][:3, 3])
            base = _least(ours, rest[joint[to]] - rest[joint[name]]) @ base
        if name in joint:
            out[name] = poses[:, joint[name], :3, :3] @ base
    chest = motion.parents[_first_of_neck(motion, joint)]
    chest_turn = poses[:, chest, :3, :3] @ facing @ neutral["T1"][:3, :3]
    ends = {"pelvis": (0, out["pelvis"]), "T1": (_CHEST, chest_turn), "head": (len(SPINE) - 1, out["head"])}
    for low, high in (("pelvis", "T1"), ("T1", "head")):
        (i, start), (k, end) = ends[low], ends[high]
        first, last = start @ neutral[low][:3, :3].T, end @ neutral[high][:3, :3].T
        way = Rotation.from_matrix(first.swapaxes(1, 2) @ last).as_rotvec()
        for number in range(i + 1, k + (high == "T1")):
            part = Rotation.from_rotvec(way * (number - i) / (k - i)).as_matrix()
            out[SPINE[number]] = first @ part @ neutral[SPINE[number]][:3, :3]
    for side in "rl":  # what a file may lack goes with what carries it
        for name, other in (("clavicle", "T1"), ("toes", f"talus_{side}")):
            base = neutral[other][:3, :3].T @ neutral[f"{name}_{side}"][:3, :3]
            out.setdefault(f"{name}_{side}", out[other] @ base)
    for name, other in _followers():
        if name in neutral:
            out[name] = out[other] @ neutral[other][:3, :3].T @ neutral[name][:3, :3]
    return out


def _first_of_neck(motion: SkeletonMotion, joint: Mapping[str, int]) -> int:
    """The lowest joint between head and chest that is named a neck; the head where there is none."""
    at = joint["head"]
    while "neck" in motion.names[motion.parents[at]].lower():
        at = motion.parents[at]
    return at


def _rest(found: BvhMotion) -> np.ndarray:
    """(joints, 3): places where all rotations are 0, the root at its offset."""
    out = np.array(found.offsets, float)
    for child, parent in enumerate(found.motion.parents):
        if parent >= 0:
            out[child] += out[parent]
    return out


def _least(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(3, 3) the least rotation that takes one direction to another."""
    u, v = start / np.linalg.norm(start), end / np.linalg.norm(end)
    axis = np.cross(u, v)
    sine, cosine = float(np.linalg.norm(axis)), float(u @ v)
    if sine < 1e-9:
        axis, sine = np.cross(u, [0.0, 0.0, 1.0] if abs(u[2]) < 0.9 else [1.0, 0, 0]), 0.0
    return Rotation.from_rotvec(axis / np.linalg.norm(axis) * np.arctan2(sine, cosine)).as_matrix()


def _length(points: list[np.ndarray]) -> float:
    return float(np.linalg.norm(np.diff(points, axis=0), axis=1).sum())
