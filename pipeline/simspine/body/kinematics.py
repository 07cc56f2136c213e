"""Forward kinematics: coordinates → poses of bodies and places of markers, through OpenSim, without assembly.

Coordinates are set as given, those driven by couplers too, so that what comes out is exactly the model at these values.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.body import _opensim
from simspine.body.model import Body, couplers, independent_name
from simspine.errors import InputError, unknown_name
from simspine.types import Markers, Motion


def forward_kinematics(body: Body, motion: Motion) -> Markers:
    """All markers of `body` at the motion's values: `Markers` in frame y_up, m; NaN in frames with NaN values.

    Coordinates that `motion` lacks are at their default, or follow their coupler. Raises `InputError` for a coordinate
    that the body does not have.
    """
    poses = _poses(body, motion, sorted(set(body.marker_bodies), key=body.bodies.index))
    xyz = np.empty((motion.frames, len(body.marker_names), 3))
    for i, (carrier, offset) in enumerate(zip(body.marker_bodies, body.marker_offsets, strict=True)):
        xyz[:, i] = poses[carrier][:, :3, :3] @ offset + poses[carrier][:, :3, 3]
    return Markers(body.marker_names, motion.rate, xyz, "y_up", start=motion.start)


def body_poses(body: Body, motion: Motion) -> dict[str, np.ndarray]:
    """Pose of each body in ground (y_up): {name: (frames, 4, 4)}, `x_ground = pose @ x_body`.

    NaN in frames with NaN values. Coordinates that `motion` lacks, and errors, as in `forward_kinematics`.
    """
    return _poses(body, motion, body.bodies)


def neutral_motion(body: Body, values: Mapping[str, float] | None = None) -> Motion:
    """One frame with all coordinates at their default, except those in `values` (rad, m); couplers are followed."""
    named = values or {}
    row = body.coordinates.default.copy()
    for name, value in named.items():
        row[body.coordinates.index(name)] = value
    row = follow_couplers(body, row[None])
    return Motion(body.coordinates.names, 1.0, row, body.coordinates.rotational)


def neutral_poses(body: Body, values: Mapping[str, float] | None = None) -> dict[str, np.ndarray]:
    """Poses (4, 4) of the bodies in the neutral pose: {name: pose}."""
    return {name: pose[0] for name, pose in body_poses(body, neutral_motion(body, values)).items()}


def neutral_markers(body: Body, poses: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Markers (markers, 3) m in the neutral pose, or in the pose of `poses` (as from `neutral_poses`)."""
    poses = neutral_poses(body) if poses is None else poses
    carried = zip((poses[name] for name in body.marker_bodies), body.marker_offsets, strict=True)
    return np.array([pose[:3, :3] @ offset + pose[:3, 3] for pose, offset in carried]).reshape(-1, 3)


def follow_couplers(body: Body, values: np.ndarray, model=None) -> np.ndarray:
    """A copy of `values` (frames, coordinates) with the driven coordinates at exactly what their couplers say.

    model: the body's `opensim.Model` if it is loaded already.
    """
    values = np.array(values, float)
    if not body.coordinates.dependent.any():
        return values
    osim = _opensim.api()
    model = model or _opensim.load(body.osim)
    for coupler in couplers(model):
        i = body.coordinates.index(coupler.getDependentCoordinateName())
        if not body.coordinates.dependent[i]:
            continue  # not enforced
        j = body.coordinates.index(independent_name(coupler))
        scale = float(coupler.getPropertyByName("scale_factor").toString())
        function = coupler.getFunction()
        values[:, i] = [scale * function.calcValue(osim.Vector(1, float(x))) if x == x else x for x in values[:, j]]
    return values


def complete(body: Body, motion: Motion) -> np.ndarray:
    """Values (frames, coordinates) for all coordinates of `body`, in its order.

    Where `motion` has none, the default, or for a driven coordinate what its coupler says.
    """
    names = body.coordinates.names
    unknown = [name for name in motion.names if name not in names]
    if unknown:
        raise unknown_name("coordinate", unknown[0], names, f"body {body.name!r}")
    values = np.tile(body.coordinates.default, (motion.frames, 1))
    given = [body.coordinates.index(name) for name in motion.names]
    values[:, given] = motion.values
    followed = follow_couplers(body, values)
    followed[:, given] = motion.values
    return followed


def _poses(body: Body, motion: Motion, wanted: Sequence[str]) -> dict[str, np.ndarray]:
    values = complete(body, motion)
    model = _opensim.load(body.osim)
    state = model.initSystem()
    coordinates = list(model.getCoordinateSet())
    frames = [model.getBodySet().get(name) for name in wanted]
    poses = {name: np.full((motion.frames, 4, 4), np.nan) for name in wanted}
    for t, row in enumerate(values.tolist()):
        if any(x != x for x in row):
            continue
        place(coordinates, row, state)
        model.realizePosition(state)
        for name, frame in zip(wanted, frames, strict=True):
            poses[name][t] = pose_matrix(frame.getTransformInGround(state))
    return poses


def place(coordinates: Sequence, row: Sequence[float], state) -> None:
    """Set `opensim.Coordinate`s to values (rad, m) without enforcing constraints; locked ones too."""
    for coordinate, value in zip(coordinates, row, strict=True):
        if coordinate.getLocked(state):
            if value == coordinate.getDefaultValue():
                continue
            raise InputError(
                f"the coordinate {coordinate.getName()!r} is locked at {coordinate.getDefaultValue():g} in the model, "
                f"but the motion has {value:g}. Unlock it in the model or leave it out of the motion."
            )
        coordinate.setValue(state, value, False)


def pose_matrix(transform) -> np.ndarray:
    """An `opensim.Transform` as (4, 4)."""
    rotation, pose = transform.R(), np.eye(4)
    pose[:3, :3] = [[rotation.get(i, j) for j in range(3)] for i in range(3)]
    pose[:3, 3] = transform.p().to_numpy()
    return pose
