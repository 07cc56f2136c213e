"""Markers on the skin that are lost for most of a recording are named."""

import numpy as np

from simspine.quality.marker_checks import skin_markers
from simspine.types import Markers


def test_a_marker_that_is_mostly_missing_is_named_with_its_frames():
    xyz = np.zeros((20, 3, 3))
    xyz[8:, 1] = np.nan  # 8 of 20
    xyz[15:, 2] = np.nan
    (finding,) = skin_markers(Markers(("LHip", "LPSIS_skin", "T7_skin"), 50.0, xyz))
    assert (finding.code, finding.where) == ("skin_marker_lost", "LPSIS")
    assert "8 of 20 frames" in finding.message
    assert finding.frames == tuple(range(8, 20))
