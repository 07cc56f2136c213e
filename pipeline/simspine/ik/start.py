"""Where the solver starts: the neutral pose, moved and turned as a whole to where the person is."""

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.body import _opensim
from simspine.body.kinematics import neutral_markers, neutral_poses, pose_matrix
from simspine.body.model import Body, coordinate_names
from simspine.geometry import rigid_fit

TRUNK = ("pelvis", "sacrum", "lumbar5", "lumbar4", "lumbar3", "lumbar2", "lumbar1", "torso", "head")


class Start:
    """Start values for a body and a selection of its markers (`markers`: their indices in the body)."""

    def __init__(self, body: Body, markers: list[int]):
        self._default = body.coordinates.default.copy()
        self._neutral = neutral_markers(body)[markers]
        self._trunk = np.array([body.marker_bodies[i] in TRUNK for i in markers], bool)
        self._root = _root_joint(body)

    def values(self, observed: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Coordinates (coordinates,) for observed markers (markers, 3) m, NaN = missing.

        A rigid fit of the trunk's markers gives place and heading whichever way the person faces; limbs stay neutral.
        With fewer than three trunk markers all take part; with fewer than three at all the default pose is returned.
        """
        values = self._default.copy()
        usable = np.isfinite(observed).all(-1) & (weights > 0)
        chosen = usable & self._trunk if (usable & self._trunk).sum() >= 3 else usable
        if self._root is None or chosen.sum() < 3:
            return values
        rotation, translation = rigid_fit(self._neutral[chosen], observed[chosen], weights[chosen])
        self._root.place(values, rotation, translation)
        return values


class _RootJoint:
    """A joint to ground that turns about three axes, one after the other, and moves along three."""

    def __init__(self, rotations, translations, axes, directions, pose):
        self.rotations, self.translations = rotations, translations  # indices of coordinates
        self.axes, self.directions = axes, directions
        self.pose = pose  # (4, 4) of the joint's child in ground, all coordinates at their default

    def place(self, values: np.ndarray, rotation: np.ndarray, translation: np.ndarray) -> None:
        """Set the root's coordinates in `values` so that its child is moved rigidly from the neutral pose."""
        turned = rotation @ self.pose[:3, :3]
        moved = rotation @ self.pose[:3, 3] + translation
        values[self.rotations] = Rotation.from_matrix(turned).as_davenport(self.axes, "intrinsic")
        values[self.translations] = np.linalg.solve(self.directions.T, moved)


def _root_joint(body: Body) -> _RootJoint | None:
    """The root of the tree, or None where it is not a CustomJoint with six linear axes straight on ground."""
    osim = _opensim.api()
    model = _opensim.load(body.osim)
    state = model.initSystem()
    for joint in model.getJointSet():
        if joint.getParentFrame().findBaseFrame().getName() != "ground":
            continue
        custom = osim.CustomJoint.safeDownCast(joint)
        if custom is None or joint.numCoordinates() != 6:
            return None
        model.realizePosition(state)
        frames = (joint.getParentFrame(), joint.getChildFrame())
        offsets = [frame.findTransformInBaseFrame() for frame in frames]
        if not all(np.allclose(pose_matrix(offset), np.eye(4)) for offset in offsets):
            return None
        axes = [custom.getSpatialTransform().getTransformAxis(i) for i in range(6)]
        if not all(_is_plain(osim, axis) for axis in axes):
            return None
        indices = [body.coordinates.index(coordinate_names(axis)[0]) for axis in axes]
        directions = np.array([axis.get_axis().to_numpy() for axis in axes])
        child = joint.getChildFrame().findBaseFrame().getName()
        return _RootJoint(indices[:3], indices[3:], directions[:3], directions[3:], neutral_poses(body)[child])
    return None


def _is_plain(osim, axis) -> bool:
    """Driven by one coordinate, as it is."""
    function = axis.getFunction()
    values = [function.calcValue(osim.Vector(1, x)) for x in (0.0, 1.0)]
    return len(coordinate_names(axis)) == 1 and np.allclose(values, [0.0, 1.0])
