"""Rotation matrices to angles, continuous in time. Body-fixed sequences; angles in radians.

Frames of the model: x forward, y up, z right. Two sequences are used: Z-X-Y for a child on its parent, as the model's
spinal joints are built, and Y-X-Z for a segment in space, whose first angle is then the heading and whose others do
not depend on it (Baker 2001, Human Movement Science 20:655). Both lose one angle only where the second reaches ±90°.
"""

import numpy as np

from simspine.errors import InputError
from simspine.geometry import wrap

NEAR_LOCK = np.radians(60.0)  # the other branch of a solution is only considered beyond this second angle
LOCKED = 1e-7  # cosine of the second angle below which the first and third are one angle
CHANGED = 1e-6  # rad; a smaller difference from the principal value is rounding


def as_rotations(poses: np.ndarray, name: str = "poses") -> np.ndarray:
    """Rotations (frames, 3, 3) of poses (frames, 4, 4) or (frames, 3, 3); one frame may lack its axis."""
    poses = np.asarray(poses, float)
    if poses.ndim == 2:
        poses = poses[None]
    if poses.ndim != 3 or poses.shape[1:] not in ((3, 3), (4, 4)):
        raise InputError(f"{name} have shape {poses.shape}, expected (frames, 4, 4) or (frames, 3, 3).")
    return poses[:, :3, :3]


def zxy_angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (frames, 3) rad about z, x, y of R = Rz Rx Ry, continuous in time; (frames,) where that took a repair."""
    r = as_rotations(rotation, "rotations")
    first, third = np.arctan2(-r[:, 0, 1], r[:, 1, 1]), np.arctan2(-r[:, 2, 0], r[:, 2, 2])
    # At lock R depends on first ± third only: R00, R10 are the cosine and sine of that sum.
    return _of_sequence(first, r[:, 2, 1], third, (r[:, 1, 0], r[:, 0, 0]), sign=1.0)


def yxz_angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles (frames, 3) rad about y, x, z of R = Ry Rx Rz, continuous in time; (frames,) where that took a repair."""
    r = as_rotations(rotation, "rotations")
    first, third = np.arctan2(r[:, 0, 2], r[:, 2, 2]), np.arctan2(r[:, 1, 0], r[:, 1, 1])
    return _of_sequence(first, -r[:, 1, 2], third, (-r[:, 2, 0], r[:, 0, 0]), sign=-1.0)


def _of_sequence(first: np.ndarray, sine: np.ndarray, third: np.ndarray, total: tuple, sign: float):
    """Where the second angle is ±90°, the third stays as it last was and the first is what remains of their `total`,
    of which sine and cosine are given."""
    second = np.arcsin(np.clip(sine, -1.0, 1.0))
    locked = np.abs(np.cos(second)) < LOCKED
    if locked.any():
        last = np.maximum.accumulate(np.where(locked | np.isnan(third), -1, np.arange(len(third))))
        kept = np.where(last >= 0, third[last], 0.0)
        first = np.where(locked, np.arctan2(*total) - sign * np.sign(second) * kept, first)
        third = np.where(locked, kept, third)
    return continuous(np.stack([first, second, third], -1))


def other_branch(angles: np.ndarray) -> np.ndarray:
    """The other triple (..., 3) rad of the same rotation about three perpendicular axes: (a + π, π − b, c + π)."""
    a, b, c = np.moveaxis(np.asarray(angles, float), -1, 0)
    return np.stack([a + np.pi, np.pi - b, c + np.pi], -1)


def continuous(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An angle triple (frames, 3) rad without gimbal wraps, NaN gaps kept, and (frames,) which frames were changed.

    A rotation has two triples (`other_branch`). Near lock (|b| > 60° on both sides of a step) the one nearer to the
    frame before is taken; elsewhere a large step is motion or a fault, and left for quality control to see. Then whole
    turns are removed.
    """
    angles = np.asarray(angles, float)
    out = angles.copy()
    valid = np.isfinite(angles).all(-1)
    a = angles[valid]
    if len(a) == len(angles) and np.abs(a[:, 1]).max(initial=0.0) <= NEAR_LOCK and not _jumps(a).any():
        return out, np.zeros(len(out), bool)
    near = np.minimum(np.abs(a[1:, 1]), np.abs(a[:-1, 1])) > NEAR_LOCK
    if near.any():
        other = other_branch(a)
        stay = np.abs(wrap(a[1:] - a[:-1])).sum(-1)
        swap = np.abs(wrap(other[1:] - a[:-1])).sum(-1)
        # Both triples move alike, so whether to change branch does not depend on the branch one is on: a parity.
        parity = np.concatenate([[False], np.cumsum((swap < stay) & near) % 2 == 1])
        out[valid] = np.where(parity[:, None], other, a)
    out = unwrap(out)
    changed = valid & (np.nan_to_num(np.abs(out - angles)).max(-1) > CHANGED)
    return out, changed


def unwrap(angles: np.ndarray) -> np.ndarray:
    """Angles (frames, angles) rad without whole turns in time; NaN gaps stay and are bridged."""
    out = angles.copy()
    for column in out.T:
        valid = np.isfinite(column)
        column[valid] = np.unwrap(column[valid])
    return out


def _jumps(angles: np.ndarray) -> np.ndarray:
    """Where an angle steps by more than half a turn, of (frames, angles) rad."""
    return np.abs(angles[1:] - angles[:-1]) > np.pi
