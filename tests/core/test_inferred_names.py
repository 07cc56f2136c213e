"""Frames that were filled in, for formats that cannot mark a frame."""

import numpy as np

from simspine.core.skeletons import split_inferred_suffix
from simspine.core.types import Markers

POINTS = Markers(("Hip", "Neck"), 50, np.arange(24.0).reshape(4, 2, 3), "y_up", start=0.3)


def test_filled_frames_move_to_columns_that_say_so():
    frames = np.array([False, True, True, False])
    found = split_inferred_suffix(POINTS, frames)
    assert found.names == ("Hip", "Neck", "Hip_inferred", "Neck_inferred")
    assert (found.rate, found.start, found.frame) == (50, 0.3, "y_up")
    np.testing.assert_array_equal(found.xyz[~frames, :2], POINTS.xyz[~frames])
    np.testing.assert_array_equal(found.xyz[frames, 2:], POINTS.xyz[frames])
    assert np.isnan(found.xyz[frames, :2]).all()
    assert np.isnan(found.xyz[~frames, 2:]).all()


def test_nothing_filled_changes_nothing():
    assert split_inferred_suffix(POINTS, np.zeros(4, bool)) is POINTS
