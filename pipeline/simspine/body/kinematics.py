"""Forward kinematics: coordinates → poses of bodies and places of markers, by the compiled tree.

Coordinates are taken as given, those driven by couplers too, so that what comes out is exactly the model at these
values.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.body.kernels import all_poses, apply_couplers
from simspine.body.model import Body
from simspine.errors import InputError, unknown_name
from simspine.threads import map_on_threads
from simspine.types import Markers, Motion

CHUNK = 1000  # frames; poses of all bodies in all frames would take most of the memory


def forward_kinematics(body: Body, motion: Motion, threads: int = 1, names: Sequence[str] | None = None) -> Markers:
    """Markers of `body` at the motion's values: `Markers` in frame y_up, m; NaN in frames with NaN values.

    Coordinates that `motion` lacks are at their default, or follow their coupler. Frames are shared among `threads`.
    names: the markers wanted, in this order; all of the body by default. Raises `InputError` for a coordinate or a
    marker that the body does not have.
    """
    values = _all_values(body, motion)
    names = body.marker_names if names is None else tuple(names)
    at = [body.marker_index(name) for name in names]
    xyz = np.empty((motion.frames, len(at), 3))

    def place(start: int) -> None:
        part = slice(start, start + CHUNK)
        xyz[part] = all_poses(body.tree, values[part])[2][:, at]

    map_on_threads(place, range(0, motion.frames, CHUNK), threads)
    xyz.setflags(write=False)
    return Markers(names, motion.rate, xyz, "y_up", start=motion.start)


def body_poses(body: Body, motion: Motion, threads: int = 1) -> dict[str, np.ndarray]:
    """Pose of each body in ground (y_up): {name: (frames, 4, 4)}, `x_ground = pose @ x_body`.

    NaN in frames with NaN values, read-only. Coordinates that `motion` lacks, threads, and errors, as in
    `forward_kinematics`.
    """
    values = _all_values(body, motion)
    poses = np.zeros((motion.frames, body.tree.bodies, 4, 4))

    def place(start: int) -> None:
        part = slice(start, start + CHUNK)
        R, p, _ = all_poses(body.tree, values[part])
        poses[part, :, :3, :3], poses[part, :, :3, 3], poses[part, :, 3, 3] = R, p, 1.0
        poses[part][~np.isfinite(p).all(-1)] = np.nan

    map_on_threads(place, range(0, motion.frames, CHUNK), threads)
    poses.setflags(write=False)
    return {name: poses[:, i + 1] for i, name in enumerate(body.bodies)}


def neutral_motion(body: Body, values: Mapping[str, float] | None = None) -> Motion:
    """One frame with all coordinates at their default, except those in `values` (rad, m); couplers are followed."""
    row = body.coordinates.default.copy()
    for name, value in (values or {}).items():
        row[body.coordinates.index(name)] = value
    return Motion(body.coordinates.names, 1.0, follow_couplers(body, row[None]), body.coordinates.rotational)


def neutral_poses(body: Body, values: Mapping[str, float] | None = None) -> dict[str, np.ndarray]:
    """Poses (4, 4) of the bodies in the neutral pose: {name: pose}."""
    return {name: pose[0] for name, pose in body_poses(body, neutral_motion(body, values)).items()}


def neutral_markers(body: Body, poses: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
    """Markers (markers, 3) m in the neutral pose, or in the pose of `poses` (as from `neutral_poses`)."""
    poses = neutral_poses(body) if poses is None else poses
    carried = zip((poses[name] for name in body.marker_bodies), body.marker_offsets, strict=True)
    return np.array([pose[:3, :3] @ offset + pose[:3, 3] for pose, offset in carried]).reshape(-1, 3)


def follow_couplers(body: Body, values: np.ndarray) -> np.ndarray:
    """A copy of `values` (frames, coordinates) with the driven coordinates at exactly what their couplers say."""
    followed = np.array(values, float)
    apply_couplers(body.tree, followed)
    return followed


def _all_values(body: Body, motion: Motion) -> np.ndarray:
    """Values (frames, coordinates) for all coordinates of `body`, in its order.

    Where `motion` has none, the default, or for a driven coordinate what its coupler says. Frames with a NaN are NaN.
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
    for i in np.flatnonzero(body.coordinates.locked):
        moved = followed[np.isfinite(followed[:, i]) & (followed[:, i] != body.coordinates.default[i]), i]
        if moved.size:
            raise InputError(
                f"the coordinate {names[i]!r} is locked at {body.coordinates.default[i]:g} in the model, but the "
                f"motion has {moved[0]:g}. Unlock it in the model or leave it out of the motion."
            )
    followed[~np.isfinite(followed).all(1)] = np.nan  # a pose is known as a whole or not
    return followed
