"""Skeletons in motion as BVH (Biovision hierarchy), which animation programs read.

What is written is in centimetres and degrees. Every joint has a place and a rotation of its own, since joints of the
body slide as well as turn; angles are intrinsic Z, X, Y. The format has no gaps: a frame that is not known repeats the
one before, with a warning.
"""

import os
import warnings
from collections.abc import Iterator

import numpy as np

from simspine.arrays import frame_ranges
from simspine.formats.atomic import write_text
from simspine.formats.skeleton_motion import SkeletonMotion

_CM = 100.0
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
