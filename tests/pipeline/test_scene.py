"""Curves of the player: what the model sets is not what is very uncertain."""

import numpy as np

from simspine.pipeline.scene import curves
from simspine.spine.levels import PLANES
from simspine.types import Forced


def test_a_note_says_why_a_curve_says_little():
    angles = {key: (np.full(5, 0.8), np.full(5, np.radians(sd))) for key, sd in (("lla", 2.0), ("tka", 25.0))}
    rigid = {"tka": (Forced("rigid", PLANES, spans=("T3", "T12"), body="torso"),)}
    shared = {"lla": (Forced("sum", ("flexion",), "L5_S1_Flex_Ext", 7.57, ("L5-S1", "L4-L5")),)}
    assert [(c.note, c.forced) for c in curves(angles, {})] == [("", False), ("very uncertain", False)]
    lumbar, thoracic = curves(angles, rigid | shared)
    assert (lumbar.note, lumbar.forced) == ("", False)  # a shared coordinate leaves the sum to the data
    assert (thoracic.note, thoracic.forced, thoracic.sd) == ("set by the model", True, None)
    np.testing.assert_allclose(lumbar.sd, 2.0)


def test_an_assumed_curve_says_so_and_rejected_frames_do_not_count():
    sd = np.radians([9.5, 9.5, 9.5, 1.0, 1.0, 1.0, 1.0])  # adults differ by 10 degrees
    kept = np.arange(7) < 3
    (thoracic,) = curves({"tka": (np.full(7, 0.8), sd)}, {}, kept)
    assert thoracic.note == "assumed"
    assert curves({"tka": (np.full(7, 0.8), sd)}, {})[0].note == ""
