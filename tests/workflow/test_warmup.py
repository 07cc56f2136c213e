"""What `simspine warmup` compiles."""

import numpy as np

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.recipes import build_body
from simspine.core.geometry import markers_in_frame
from simspine.core.types import Motion
from simspine.synthesis.virtual_trial import virtual_rig
from simspine.vision.triangulation import triangulate
from simspine.workflow import setup


def test_the_cameras_see_the_person_who_stands():
    """Else the triangulation's kernel is never called, and not compiled."""
    body = build_body("coupled", "centres")
    c = body.coordinates
    still = Motion(c.names, setup.WARMUP_RATE_HZ, np.tile(c.default, (3, 1)), c.rotational)
    markers = forward_kinematics(body, still)
    cameras = virtual_rig(seed=1, subject="S1")
    seen = setup.keypoints_of_markers(markers, cameras)
    assert (seen.xy > 0).all()
    assert (seen.xy < 1000).all()
    found = triangulate(seen, cameras)
    np.testing.assert_allclose(found.xyz, markers_in_frame(markers, "z_up").xyz, atol=1e-6)
