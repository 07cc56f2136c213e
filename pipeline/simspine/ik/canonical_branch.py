"""Three rotations about perpendicular axes reach each orientation twice: (a, b, c) and (a + π, π − b, c + π).

A solver may end on either. The one inside the coordinates' ranges is what a reader expects: an arm flexed by −1°, not
by 179° with the other two turned over.
"""

import numpy as np

from simspine.body.model import Body
from simspine.body.tree import Tree
from simspine.spine.rotations import other_branch


def canonical_branch(body: Body, z: np.ndarray, continuous: bool = True) -> np.ndarray:
    """z (frames, free) on the branch nearer to the ranges, joint by joint, for the trial as a whole; the same poses.

    NaN frames stay. Of a joint to ground only the second angle counts: a person may face anywhere. continuous: take
    whole turns off all frames alike; else off each frame, for joints with ranges, as frames that were solved one by one
    may have wound an arm up.
    """
    tree = body.tree
    z = z.copy()
    for joint, columns in _triples(tree):
        lower, upper = body.coordinates.lower[tree.free[columns]], body.coordinates.upper[tree.free[columns]]
        if tree.parent[joint] == 0:
            lower, upper = np.array([-np.inf, -np.pi / 2, -np.inf]), np.array([np.inf, np.pi / 2, np.inf])
        now, other = z[:, columns], other_branch(z[:, columns])
        singly = [_turned(angles, lower, upper, False) for angles in (now, other)]
        better = int(_beyond(singly[1], lower, upper) < _beyond(singly[0], lower, upper))
        together = continuous or tree.parent[joint] == 0
        z[:, columns] = _turned((now, other)[better], lower, upper, True) if together else singly[better]
    return z


def _triples(tree: Tree):
    """Joints that turn about three perpendicular axes, each freely and by a coordinate of its own; their columns."""
    for j in range(len(tree.parent)):
        columns = [int(tree.column[c]) if c >= 0 else -1 for c in tree.argument[j, :3]]
        if min(columns) < 0 or len(set(columns)) < 3 or not tree.periodic[columns].all():
            continue
        axes = tree.axes[j, :3]
        if np.allclose(axes @ axes.T, np.eye(3)):
            yield j, columns


def _turned(angles: np.ndarray, lower: np.ndarray, upper: np.ndarray, together: bool) -> np.ndarray:
    """Whole turns off each frame, or the same off all, so that it (their median) lies nearest to the range's middle."""
    middle = (np.clip(lower, -np.pi, np.pi) + np.clip(upper, -np.pi, np.pi)) / 2
    known = angles[np.isfinite(angles).all(1)]
    if not len(known):
        return angles
    where = np.median(known, axis=0) if together else angles
    return angles - 2 * np.pi * np.round((where - middle) / (2 * np.pi))


def _beyond(angles: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> float:
    """Mean square of how far the angles lie outside their ranges."""
    excess = np.maximum(angles - upper, 0) + np.maximum(lower - angles, 0)
    return float(np.nanmean(excess**2)) if np.isfinite(excess).any() else 0.0
