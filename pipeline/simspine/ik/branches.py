"""Three rotations about perpendicular axes reach each orientation twice: (a, b, c) and (a + π, π − b, c + π).

A solver may end on either. The one inside the coordinates' ranges is what a reader expects: an arm flexed by −1°, not
by 179° with the other two turned over.
"""

import numpy as np

from simspine.body.model import Body
from simspine.body.tree import Tree


def readable(body: Body, z: np.ndarray, blocks: np.ndarray | None = None):
    """z (frames, free) on the branch nearer to the ranges, joint by joint, for the trial as a whole; the same poses.

    Also the covariance blocks (frames, free, free) that go with it. NaN frames stay. The root is left alone.
    """
    tree = body.tree
    lower, upper = body.coordinates.lower[tree.free], body.coordinates.upper[tree.free]
    z, sign = z.copy(), np.ones(z.shape[1])
    for columns in _triples(tree):
        now = _turned(z[:, columns], lower[columns], upper[columns])
        other = _turned(_other(z[:, columns]), lower[columns], upper[columns])
        beyond = [_beyond(angles, lower[columns], upper[columns]) for angles in (now, other)]
        if beyond[1] < beyond[0]:
            sign[columns[1]] = -1.0
            now = other
        z[:, columns] = now
    return z, None if blocks is None else sign[:, None] * blocks * sign


def _triples(tree: Tree):
    """Free columns of joints that turn about three perpendicular axes, each freely and by a coordinate of its own."""
    for j in range(len(tree.parent)):
        columns = [int(tree.column[c]) if c >= 0 else -1 for c in tree.argument[j, :3]]
        if tree.parent[j] == 0 or min(columns) < 0 or len(set(columns)) < 3 or not tree.periodic[columns].all():
            continue
        axes = tree.axes[j, :3]
        if np.allclose(axes @ axes.T, np.eye(3)):
            yield columns


def _other(angles: np.ndarray) -> np.ndarray:
    return np.column_stack([angles[:, 0] + np.pi, np.pi - angles[:, 1], angles[:, 2] + np.pi])


def _turned(angles: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Whole turns off, the same for all frames, so that the median lies nearest to the middle of the range."""
    middle = (np.clip(lower, -np.pi, np.pi) + np.clip(upper, -np.pi, np.pi)) / 2
    known = angles[np.isfinite(angles).all(1)]
    if not len(known):
        return angles
    return angles - 2 * np.pi * np.round((np.median(known, axis=0) - middle) / (2 * np.pi))


def _beyond(angles: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Mean square of how far the angles lie outside their ranges."""
    excess = np.maximum(angles - upper, 0) + np.maximum(lower - angles, 0)
    return float(np.nanmean(excess**2)) if np.isfinite(excess).any() else 0.0
