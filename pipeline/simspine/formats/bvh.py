"""Skeletons in motion as BVH (Biovision hierarchy), which animation programs write and read.

What is written is in centimetres and degrees. Every joint has a place and a rotation of its own, since joints of the
body slide as well as turn; angles are intrinsic Z, X, Y. The format has no gaps: a frame that is not known repeats the
one before, with a warning.
"""

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.arrays import frame_ranges
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.skeleton_motion import SkeletonMotion

_CM = 100.0
_KNOWN_CHANNELS = {f"{axis}{kind}" for axis in "xyz" for kind in ("position", "rotation")}
_CHANNELS = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
_END = 5.0  # cm: length of what has no joint at its end


def write_bvh(path: str | os.PathLike, motion: SkeletonMotion) -> None:
    """Write `motion` to `path` (.bvh). Joints without a parent, other than the first, hang on the first.

    Warns of frames that are not known.
    """
    parents = [0 if parent < 0 and i else parent for i, parent in enumerate(motion.parents)]
    motion = SkeletonMotion(motion.names, parents, motion.poses, motion.rate)
    known = motion.known
    if not known.all():
        warnings.warn(
            f"{path}: BVH has no gaps; frames {frame_ranges(np.flatnonzero(~known))} repeat the known frame before.",
            stacklevel=2,
        )
    latest = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    local = motion.local[np.where(latest < 0, np.flatnonzero(known)[0], latest)]
    lines = ["HIERARCHY", *_joint(motion, local[0], 0, 0), "MOTION", f"Frames: {len(local)}"]
    lines.append(f"Frame Time: {1 / motion.rate:.9g}")
    order = list(_outwards(motion, 0))
    values = np.concatenate([_CM * local[..., :3, 3], _angles(local[..., :3, :3])], -1)[:, order]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in values.reshape(len(local), -1)]
    write_text(path, "\n".join(lines) + "\n")


def _angles(rotations: np.ndarray) -> np.ndarray:
    """(…, 3, 3) → (…, 3) degrees about Z, X, Y, the axes turning along."""
    from scipy.spatial.transform import Rotation

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a gimbal lock has many answers, each of them right
        angles = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_euler("ZXY", degrees=True)
    return angles.reshape(*rotations.shape[:-2], 3)


def _children(motion: SkeletonMotion, joint: int) -> list[int]:
    return [child for child, parent in enumerate(motion.parents) if parent == joint]


def _outwards(motion: SkeletonMotion, joint: int) -> Iterator[int]:
    """Joints in the order of the hierarchy."""
    yield joint
    for child in _children(motion, joint):
        yield from _outwards(motion, child)


def _joint(motion: SkeletonMotion, rest: np.ndarray, joint: int, depth: int) -> Iterator[str]:
    """Lines of the hierarchy. rest: (joints, 4, 4) local, of the first frame."""
    indent, inner = "\t" * depth, "\t" * (depth + 1)
    yield f"{indent}{'JOINT' if depth else 'ROOT'} {motion.names[joint]}"
    yield f"{indent}{{"
    yield f"{inner}OFFSET {' '.join(f'{_CM * value:.6f}' for value in rest[joint, :3, 3])}"
    yield f"{inner}{_CHANNELS}"
    children = _children(motion, joint)
    for child in children:
        yield from _joint(motion, rest, child, depth + 1)
    if not children:
        yield from (f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET 0.0 {_END} 0.0", f"{inner}}}")
    yield f"{indent}}}"


@dataclass(frozen=True, eq=False)
class BvhMotion:
    """What a BVH file says, in its own unit, which the format does not name. motion: poses in ground. offsets: (joints,
    3), of each joint in its parent's frame, in the pose in which all rotations are 0.
    """

    motion: SkeletonMotion
    offsets: np.ndarray


def read_bvh(path: str | os.PathLike) -> BvhMotion:
    """Read a BVH file. Positions among a joint's channels take the place of its offset; rotations are intrinsic, in the
    channels' order. Raises `InputError` for what is no BVH file, or a damaged one.
    """
    try:
        words = Path(path).read_text(encoding="utf-8-sig", errors="replace").split()
        joints, at = _hierarchy(words)
        if [word.lower() for word in words[at : at + 2]] != ["motion", "frames:"]:
            raise ValueError("no MOTION after the hierarchy")
        frames, step = int(words[at + 2]), float(words[at + 5])
        values = np.array(words[at + 6 :], float)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, IndexError) as error:
        why = "it ends too early" if isinstance(error, IndexError) else error
        raise InputError(f"{path} is not a whole BVH file: {why}. Expected HIERARCHY, then MOTION.") from None
    width = sum(len(joint[3]) for joint in joints)
    if frames < 1 or not step > 0 or values.size != frames * width or not np.isfinite(values).all():
        raise InputError(
            f"{path}: {values.size} numbers in MOTION and a frame time of {step:g} s, expected {frames} frames of "
            f"{width} finite numbers and a time above 0."
        )
    poses = _posed(joints, values.reshape(frames, width))
    motion = SkeletonMotion([joint[0] for joint in joints], [joint[1] for joint in joints], poses, 1 / step)
    return BvhMotion(motion, np.array([joint[2] for joint in joints]))


def _hierarchy(words: list[str]) -> tuple[list[tuple[str, int, list[float], list[str]]], int]:
    """(name, parent, offset, channels) of each joint, and the word after them; names before `{` may have blanks."""
    if not words or words[0].upper() != "HIERARCHY":
        raise ValueError("it does not begin with HIERARCHY")
    joints: list[tuple[str, int, list[float], list[str]]] = []
    stack: list[int] = []
    at = 1
    while words[at].upper() != "MOTION":
        word = words[at].upper()
        if word in ("ROOT", "JOINT", "END"):
            opened = words.index("{", at)
            stack.append(-1 if word == "END" else len(joints))
            if word != "END":
                parent = stack[-2] if len(stack) > 1 else -1
                joints.append((" ".join(words[at + 1 : opened]), parent, [0.0, 0.0, 0.0], []))
            at = opened + 1
        elif word in ("OFFSET", "CHANNELS", "}") and not stack:
            raise ValueError(f"{words[at]!r} stands outside of a joint")
        elif word == "OFFSET":
            if stack[-1] >= 0:
                joints[stack[-1]][2][:] = [float(value) for value in words[at + 1 : at + 4]]
            at += 4
        elif word == "CHANNELS":
            count = int(words[at + 1])
            joints[stack[-1]][3][:] = _channels(words[at + 2 : at + 2 + count])
            at += 2 + count
        elif word == "}":
            stack.pop()
            at += 1
        else:
            raise ValueError(f"{words[at]!r} stands in the hierarchy")
    return joints, at


def _channels(words: list[str]) -> list[str]:
    names = [word.lower() for word in words]
    turns = [name for name in names if name.endswith("rotation")]
    unknown = [word for word, name in zip(words, names, strict=True) if name not in _KNOWN_CHANNELS]
    if unknown or len(set(turns)) < len(turns):
        raise ValueError(f"channels {' '.join(words)}: expected X, Y and Z, each once, of position or rotation")
    return names


def _posed(joints: list[tuple[str, int, list[float], list[str]]], values: np.ndarray) -> np.ndarray:
    """(frames, joints, 4, 4) in ground, of the channels' values (frames, channels)."""
    from scipy.spatial.transform import Rotation

    poses, column = np.zeros((len(values), len(joints), 4, 4)), 0
    for number, (_, parent, offset, channels) in enumerate(joints):
        local = np.tile(np.eye(4), (len(values), 1, 1))
        local[:, :3, 3] = offset
        turns = []
        for channel in channels:
            if channel.endswith("position"):
                local[:, "xyz".index(channel[0]), 3] = values[:, column]
            else:
                turns.append(column)
            column += 1
        if turns:
            order = "".join(channel[0] for channel in channels if not channel.endswith("position")).upper()
            angles = values[:, turns]
            local[:, :3, :3] = Rotation.from_euler(order, angles, degrees=True).as_matrix()
        poses[:, number] = local if parent < 0 else poses[:, parent] @ local
    return poses
