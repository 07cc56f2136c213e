"""Recordings of one set-up, joined."""

import numpy as np

from simspine.core.types import Keypoints
from simspine.vision.camera_check import FRAMES_BETWEEN_RECORDINGS, join_recordings


def test_a_recording_without_markers_on_the_skin_goes_with_one_that_has_them():
    rng = np.random.default_rng(0)
    with_skin = Keypoints(("LHip", "RHip", "C7_skin"), 50.0, rng.uniform(0, 9, (4, 2, 3, 2)), np.ones((4, 2, 3)))
    without = Keypoints(("LHip", "RHip"), 50.0, rng.uniform(0, 9, (3, 2, 2, 2)), np.ones((3, 2, 2)))
    for first, second in ((with_skin, without), (without, with_skin)):
        found = join_recordings([first, second])
        assert found.names == ("LHip", "RHip")
        np.testing.assert_array_equal(found.xy[: first.frames], first.xy[:, :, :2])
        np.testing.assert_array_equal(found.xy[first.frames + FRAMES_BETWEEN_RECORDINGS :], second.xy[:, :, :2])
        assert np.isnan(found.xy[first.frames : first.frames + FRAMES_BETWEEN_RECORDINGS]).all()
