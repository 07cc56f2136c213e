"""Curves of the player: what the model sets is not what is very uncertain."""

import numpy as np

from simspine.anatomy.curvature import MOTION_PLANES
from simspine.core.types import Forced
from simspine.report.trial_sections import curvature_curves


def test_a_note_says_why_a_curve_says_little():
    angles = {key: (np.full(5, 0.8), np.full(5, np.radians(sd))) for key, sd in (("lla", 2.0), ("tka", 25.0))}
    rigid = {"tka": (Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso"),)}
    shared = {"lla": (Forced("sum", ("flexion",), "L5_S1_Flex_Ext", 7.57, ("L5-S1", "L4-L5")),)}
    assert [(c.note, c.forced) for c in curvature_curves(angles, {})] == [("", False), ("very uncertain", False)]
    lumbar, thoracic = curvature_curves(angles, rigid | shared)
    assert (lumbar.note, lumbar.forced) == ("", False)  # a shared coordinate leaves the sum to the data
    assert (thoracic.note, thoracic.forced, thoracic.sd) == ("set by the model", True, None)
    np.testing.assert_allclose(lumbar.sd, 2.0)


def test_an_assumed_curve_says_so_and_rejected_frames_do_not_count():
    sd = np.radians([9.5, 9.5, 9.5, 1.0, 1.0, 1.0, 1.0])  # adults differ by 10 degrees
    kept = np.arange(7) < 3
    (thoracic,) = curvature_curves({"tka": (np.full(7, 0.8), sd)}, {}, kept)
    assert thoracic.note == "assumed"
    assert curvature_curves({"tka": (np.full(7, 0.8), sd)}, {})[0].note == ""
