"""The term of the objective on velocities, from the options to the solution."""

import numpy as np

from simspine import Options, fit_trials
from simspine.anatomy.body import follow_couplers, forward_kinematics, neutral_motion
from simspine.anatomy.recipes import build_body
from simspine.core.types import Motion, Origin

FRAMES = 16


def test_velocities_are_held_back_as_asked():
    """A knee that swings at up to 2 rad/s: free as it is, nearly still where 0.01 rad/s is one standard deviation."""
    body = build_body("coupled", "simspine37")
    c = body.coordinates
    values = np.tile(neutral_motion(body, {"arm_add_r": 0.0, "arm_add_l": 0.0}).values, (FRAMES, 1))
    values[:, c.index("knee_angle_r")] = 0.5 - 0.4 * np.cos(np.linspace(0, np.pi, FRAMES))
    motion = Motion(c.names, 30, follow_couplers(body, values), c.rotational)
    names = [n for n in body.marker_names if not n.endswith(("_virtual", "_inferred"))]
    markers = forward_kinematics(body, motion).select(names)
    markers = markers.with_(origin=(Origin.DETECTED,) * len(names))
    ranges = {}
    for velocity in (None, 0.01):
        options = Options(ik={"velocity_sd": velocity, "error_correlation_s": 0})
        found = fit_trials({"swing": markers}, "coupled", "simspine37", options=options)["swing"].motion
        ranges[velocity] = np.ptp(found.column("knee_angle_r"))
    assert abs(ranges[None] - 0.8) < 0.1
    assert ranges[0.01] < 0.5 * ranges[None]
