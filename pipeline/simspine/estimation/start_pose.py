"""Where the solver starts: the neutral pose, moved and turned as a whole to where the person is."""

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.anatomy.body import Body, neutral_markers, neutral_motion, neutral_poses
from simspine.anatomy.tree import Tree
from simspine.core.geometry import rigid_fit
from simspine.core.types import Markers

# rad. A straight elbow leaves open how the upper arm is turned about its length; begun the wrong way, the joint's limit
# holds it there. Of 180 arm postures 39 are not found from straight elbows, 4 from bent ones
# (tests/estimation/test_start.py).
BENT_HINGE_RAD = np.radians(45.0)
TRUNK_BODIES = ("pelvis", "sacrum", "lumbar5", "lumbar4", "lumbar3", "lumbar2", "lumbar1", "torso", "head")


class StartPose:
    """Start values for a body and a selection of its markers (`markers`: their indices in the body)."""

    def __init__(self, body: Body, markers: list[int]):
        self._default = neutral_motion(body).values[0].copy()
        poses = neutral_poses(body)
        self._neutral = neutral_markers(body, poses)[markers]
        carriers = [body.marker_bodies[i] for i in markers]
        self._trunk = np.array(
            [name in TRUNK_BODIES or (name[:1] in "TC" and name[1:].isdigit()) for name in carriers], bool
        )
        self._tree = body.tree
        self.root = root_joint(body.tree)
        self._child = None if self.root is None else poses[body.bodies[body.tree.child[self.root] - 1]]

    def values(self, observed: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Coordinates (coordinates,) for observed markers (markers, 3) m, NaN = missing.

        A rigid fit of the trunk's markers gives place and heading whichever way the person faces; limbs stay neutral.
        With fewer than three trunk markers all take part; with fewer than three at all the default pose is returned.
        """
        values = self._default.copy()
        usable = np.isfinite(observed).all(-1) & (weights > 0)
        chosen = usable & self._trunk if (usable & self._trunk).sum() >= 3 else usable
        if self.root is None or self._child is None or chosen.sum() < 3:
            return values
        rotation, translation = rigid_fit(self._neutral[chosen], observed[chosen], weights[chosen])
        moved = np.column_stack([rotation @ self._child[:3, :3], rotation @ self._child[:3, 3] + translation])
        place_root(self._tree, self.root, moved, values)
        return values


def with_bent_hinges(body: Body, values: np.ndarray) -> np.ndarray:
    """Values (coordinates,), but elbows, knees and what else rests at an end of its range by `BENT_HINGE_RAD` inside
    it."""
    c = body.coordinates
    free = np.isin(np.arange(len(c)), body.tree.free) & c.rotational & (c.upper - c.lower > 2 * BENT_HINGE_RAD)
    low, high = (free & (np.abs(values - end) < np.radians(1.0)) for end in (c.lower, c.upper))
    return values + BENT_HINGE_RAD * low - BENT_HINGE_RAD * high


def root_joint(tree: Tree) -> int | None:
    """The joint to ground that turns about three axes and moves along three, each by a coordinate of its own, as it
    is; None where the model has no such root."""
    for j in np.flatnonzero(tree.parent == 0):
        f = tree.function[j]
        single = (tree.argument[j] >= 0).all() and len(set(tree.argument[j])) == 6
        if single and all(_is_plain(tree, int(i)) for i in f):
            return int(j)
    return None


def place_root(tree: Tree, j: int, pose: np.ndarray, values: np.ndarray) -> None:
    """Set the root's coordinates in `values` (coordinates,) so that its child has the pose (3, 4) in ground."""
    F, M = tree.to_joint[j], tree.from_joint[j]
    turned = F[:, :3].T @ pose[:, :3] @ M[:, :3].T
    moved = F[:, :3].T @ (pose[:, 3] - F[:, 3]) - turned @ M[:, 3]
    axes, directions = tree.axes[j, :3], tree.axes[j, 3:]
    values[tree.argument[j, :3]] = Rotation.from_matrix(turned).as_davenport(axes, "intrinsic")
    values[tree.argument[j, 3:]] = np.linalg.solve(directions.T, moved)


def _is_plain(tree: Tree, f: int) -> bool:
    """The function is its argument."""
    functions = tree.functions
    piece = functions.first[f]
    wanted = np.zeros(functions.coefficients.shape[1])
    wanted[1] = 1.0
    return functions.first[f + 1] - piece == 1 and np.array_equal(functions.coefficients[piece], wanted)


def first_pose(body: Body, markers: Markers, weights: np.ndarray) -> np.ndarray:
    """Free coordinates (free,) to begin with: a rigid fit of the trunk in a frame that shows most of the body, limbs
    neutral but for bent elbows and knees."""
    begin = StartPose(body, [body.marker_index(name) for name in markers.names])
    seen = np.where(markers.present, weights, 0.0) > 0
    count = seen.sum(1)
    frame = int(np.argmax(count >= max(1, 0.8 * count.max())))
    values = begin.values(markers.xyz[frame], np.where(seen[frame], weights[frame], 0.0))
    return with_bent_hinges(body, values)[body.tree.free]
