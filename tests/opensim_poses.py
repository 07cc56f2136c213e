"""Poses of a body's model file in OpenSim itself: the oracle of our kinematics."""

import numpy as np

from simspine.anatomy import osim
from simspine.anatomy.body import body_poses, forward_kinematics


def poses_by_opensim(body, values):
    """Rotations (frames, bodies, 3, 3), origins and places of markers (frames, bodies or markers, 3), m."""
    model = osim.load_opensim_model(body.osim)
    state = model.initSystem()
    coordinates = [model.getCoordinateSet().get(name) for name in body.coordinates.names]
    frames = [model.getBodySet().get(name) for name in body.bodies]
    markers = [model.getMarkerSet().get(name) for name in body.marker_names]
    R, p = np.empty((len(values), len(frames), 3, 3)), np.empty((len(values), len(frames), 3))
    x = np.empty((len(values), len(markers), 3))
    for t, row in enumerate(values.tolist()):
        for coordinate, value in zip(coordinates, row, strict=True):
            if not coordinate.getLocked(state):
                coordinate.setValue(state, value, False)
        model.realizePosition(state)
        for i, frame in enumerate(frames):
            transform = frame.getTransformInGround(state)
            mat = transform.R().asMat33()
            R[t, i] = [[mat.get(a, b) for b in range(3)] for a in range(3)]
            p[t, i] = transform.p().to_numpy()
        for i, marker in enumerate(markers):
            x[t, i] = marker.getLocationInGround(state).to_numpy()
    return R, p, x


def assert_poses_are_opensims(body, motion, atol=1e-8):
    R, p, x = poses_by_opensim(body, motion.values)
    poses = body_poses(body, motion)
    for i, name in enumerate(body.bodies):
        np.testing.assert_allclose(poses[name][:, :3, :3], R[:, i], atol=atol, err_msg=name)
        np.testing.assert_allclose(poses[name][:, :3, 3], p[:, i], atol=atol, err_msg=name)
    np.testing.assert_allclose(forward_kinematics(body, motion).xyz, x, atol=atol)
