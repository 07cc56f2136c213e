"""`SkeletonMotion`: joints with poses over time and meshes fixed to them, for files of animation programs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError


@dataclass(frozen=True, eq=False)
class JointMesh:
    """A triangle mesh fixed to a joint. points: (n, 3) m in its frame; triangles: (t, 3). colour: (r, g, b), 0…1."""

    joint: int
    points: np.ndarray
    triangles: np.ndarray
    material: str
    colour: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class SkeletonMotion:
    """A skeleton in motion, y up, metres.

    names, parents: of each joint; a parent stands before its children, −1 = none. poses: (frames, joints, 4, 4) in
    ground, NaN = not known. rate: frames/s. meshes: what stands fixed to the joints.
    """

    names: Sequence[str]
    parents: Sequence[int]
    poses: np.ndarray
    rate: float
    meshes: Sequence[JointMesh] = ()

    def __post_init__(self):
        if self.poses.shape[1:] != (len(self.names), 4, 4) or len(self.parents) != len(self.names):
            raise InputError(
                f"SkeletonMotion: poses {self.poses.shape} and {len(self.parents)} parents, expected (frames, joints, "
                f"4, 4) and a parent for each of {len(self.names)} joints."
            )
        if any(parent >= child for child, parent in enumerate(self.parents)):
            raise InputError("SkeletonMotion: a joint stands before its parent; sort them from the root outwards.")
        if not self.known.any():
            raise InputError("SkeletonMotion: no frame has the poses of all joints; there is nothing to write.")

    @property
    def known(self) -> np.ndarray:
        """(frames,) bool: the poses of all joints are there."""
        return np.isfinite(self.poses).all((1, 2, 3))

    @property
    def local(self) -> np.ndarray:
        """(frames, joints, 4, 4): poses in the parent's frame; a root's in ground."""
        out = np.array(self.poses)
        for child, parent in enumerate(self.parents):
            if parent >= 0:
                out[:, child] = _inverse(self.poses[:, parent]) @ self.poses[:, child]
        return out


def _inverse(poses: np.ndarray) -> np.ndarray:
    """Of rigid poses (frames, 4, 4); NaN stays NaN."""
    out = np.zeros_like(poses)
    turn = poses[:, :3, :3].swapaxes(1, 2)
    out[:, :3, :3] = turn
    out[:, :3, 3] = -np.einsum("fij,fj->fi", turn, poses[:, :3, 3])
    out[:, 3, 3] = 1.0
    return out


def ordered(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names with each parent before its children, and the number of each one's parent.

    pairs: (parent, child); those of other names are left out, and of a child's several parents the first counts.
    """
    parent_of: dict[str, str] = {}
    for parent, child in pairs:
        if parent in names and child in names:
            parent_of.setdefault(child, parent)
    done: list[str] = []
    while len(done) < len(names):
        ready = [name for name in names if name not in done and parent_of.get(name, "") in ("", *done)]
        if not ready:
            raise InputError(f"joints form a circle: {', '.join(name for name in names if name not in done)}.")
        done += ready
    return tuple(done), tuple(done.index(parent_of[name]) if name in parent_of else -1 for name in done)


def turned_quaternions(rotations: np.ndarray) -> np.ndarray:
    """(keys…, 3, 3) → (keys…, 4) x y z w, each nearest to the one before along the first axis."""
    from scipy.spatial.transform import Rotation

    out = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat().reshape(*rotations.shape[:-2], 4)
    if out.ndim > 2:  # over time: opposite quaternions are one rotation, and a reader goes straight between keys
        flips = np.cumprod(np.where((out[1:] * out[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0), axis=0)
        out[1:] *= flips
    return out
