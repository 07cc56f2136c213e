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
    """Rotation part (frames, 3, 3) of poses (frames, 4, 4) or rotations (frames, 3, 3); one frame may be given
    without its axis.
    """
    poses = np.asarray(poses, float)
    if poses.ndim == 2:
        poses = poses[None]
    if poses.ndim != 3 or poses.shape[1:] not in ((3, 3), (4, 4)):
        raise InputError(f"{name} have shape {poses.shape}, expected (frames, 4, 4) or (frames, 3, 3).")
    return poses[:, :3, :3]


def zxy_angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles about z, x, y of R = Rz Rx Ry: (frames, 3) rad, continuous in time, and where that took a repair,
    (frames,) bool.
    """
    r = as_rotations(rotation, "rotations")
    angles = _sequence(np.arctan2(-r[:, 0, 1], r[:, 1, 1]), r[:, 2, 1], np.arctan2(-r[:, 2, 0], r[:, 2, 2]))
    # At lock R depends on first ± third only: R00, R10 are the cosine and sine of that sum.
    return continuous(_through_lock(angles, np.arctan2(r[:, 1, 0], r[:, 0, 0]), sign=1.0))


def yxz_angles(rotation: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Angles about y, x, z of R = Ry Rx Rz: (frames, 3) rad, continuous in time, and where that took a repair,
    (frames,) bool.
    """
    r = as_rotations(rotation, "rotations")
    angles = _sequence(np.arctan2(r[:, 0, 2], r[:, 2, 2]), -r[:, 1, 2], np.arctan2(r[:, 1, 0], r[:, 1, 1]))
    return continuous(_through_lock(angles, np.arctan2(-r[:, 2, 0], r[:, 0, 0]), sign=-1.0))


def _sequence(first: np.ndarray, sine: np.ndarray, third: np.ndarray) -> np.ndarray:
    return np.stack([first, np.arcsin(np.clip(sine, -1.0, 1.0)), third], -1)


def _through_lock(angles: np.ndarray, total: np.ndarray, sign: float) -> np.ndarray:
    """Where the second angle is ±90°, keep the last third angle and give the first what remains of their sum."""
    locked = np.abs(np.cos(angles[:, 1])) < LOCKED
    if not locked.any():
        return angles
    angles = angles.copy()
    known = np.where(locked | np.isnan(angles[:, 2]), -1, np.arange(len(angles)))
    last = np.maximum.accumulate(known)
    third = np.where(last >= 0, angles[last, 2], 0.0)
    side = sign * np.sign(angles[:, 1])
    angles[locked, 2] = third[locked]
    angles[locked, 0] = (total - side * third)[locked]
    return angles


def other_branch(angles: np.ndarray) -> np.ndarray:
    """The other triple (..., 3) rad of the same rotation about three perpendicular axes: (a + π, π − b, c + π)."""
    a, b, c = np.moveaxis(np.asarray(angles, float), -1, 0)
    return np.stack([a + np.pi, np.pi - b, c + np.pi], -1)


def continuous(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Undo gimbal wraps of an angle triple (frames, 3) rad; NaN gaps stay. Also (frames,) bool: which frames were
    changed.

    A rotation has two triples (`other_branch`). Near lock (|b| > 60° on both sides of a step) the
    one nearer to the frame before is taken; elsewhere a large step is motion or a fault, and left for quality control
    to see. Then whole turns are removed.
    """
    angles = np.asarray(angles, float)
    out = angles.copy()
    valid = np.isfinite(angles).all(-1)
    a = angles[valid]
    if len(a) > 1:
        other = other_branch(a)
        stay = np.abs(wrap(a[1:] - a[:-1])).sum(-1)
        swap = np.abs(wrap(other[1:] - a[:-1])).sum(-1)
        near = np.minimum(np.abs(a[1:, 1]), np.abs(a[:-1, 1])) > NEAR_LOCK
        # Both triples move alike, so whether to change branch does not depend on the branch one is on: a running
        # parity.
        parity = np.concatenate([[False], np.cumsum((swap < stay) & near) % 2 == 1])
        out[valid] = np.where(parity[:, None], other, a)
    out, _ = unwrap(out)
    changed = valid & (np.nan_to_num(np.abs(out - angles)).max(-1) > CHANGED)
    return out, changed


def unwrap(angles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Remove whole turns along axis 0; NaN gaps stay and are bridged. angles: (frames, ...) rad.

    Also returns a bool array of the same shape: True where a value was changed.
    """
    angles = np.asarray(angles, float)
    columns = angles.reshape(len(angles), int(np.prod(angles.shape[1:])))
    out = columns.copy()
    for k in range(columns.shape[1]):
        valid = np.isfinite(columns[:, k])
        out[valid, k] = np.unwrap(columns[valid, k])
    out = out.reshape(angles.shape)
    return out, np.nan_to_num(np.abs(out - angles)) > CHANGED


def from_zxy(angles: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of angles (..., 3) about z, x, y (rad): the inverse of `zxy_angles`."""
    a, b, c = np.moveaxis(np.asarray(angles, float), -1, 0)
    return _about(2, a) @ _about(0, b) @ _about(1, c)


def from_yxz(angles: np.ndarray) -> np.ndarray:
    """Rotations (..., 3, 3) of angles (..., 3) about y, x, z (rad): the inverse of `yxz_angles`."""
    a, b, c = np.moveaxis(np.asarray(angles, float), -1, 0)
    return _about(1, a) @ _about(0, b) @ _about(2, c)


def _about(axis: int, angle: np.ndarray) -> np.ndarray:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    rotation = np.zeros((*np.shape(angle), 3, 3))
    rotation[..., axis, axis] = 1.0
    rotation[..., i, i] = rotation[..., j, j] = np.cos(angle)
    rotation[..., j, i] = np.sin(angle)
    rotation[..., i, j] = -np.sin(angle)
    return rotation
