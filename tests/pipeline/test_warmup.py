"""What `simspine warmup` compiles."""

import numpy as np

from simspine.body.kinematics import forward_kinematics
from simspine.body.recipes import build
from simspine.geometry import in_frame
from simspine.pipeline import warmup
from simspine.triangulation import triangulate
from simspine.types import Motion


def test_the_cameras_see_the_person_who_stands():
    """Else the triangulation's kernel is never called, and not compiled."""
    body = build("coupled", "centres")
    c = body.coordinates
    still = Motion(c.names, warmup.RATE, np.tile(c.default, (3, 1)), c.rotational)
    markers = forward_kinematics(body, still)
    seen = warmup._seen(markers)
    assert (seen.xy > 0).all()
    assert (seen.xy < 1000).all()
    found = triangulate(seen, warmup.CAMERAS)
    np.testing.assert_allclose(found.xyz, in_frame(markers, "z_up").xyz, atol=1e-6)
