"""The study of numbers of cameras: where they stand, and what of a person each way of recording shows."""

from argparse import Namespace

import numpy as np
import pytest
from benchmarks.cameras import AIM, Way, people, ring, seen

from simspine.geometry import project

SMALL = Namespace(subjects=1, frames=20, seed=1, preset="exact")


@pytest.mark.parametrize("count", [2, 3, 8])
def test_cameras_look_at_the_middle_from_equal_angles(count):
    cameras = ring(count)
    for camera in cameras:
        np.testing.assert_allclose(project([camera], np.array(AIM))[0], [500.0, 500.0], atol=1e-9)
        assert np.linalg.norm(camera.centre[:2]) == pytest.approx(5.4)
        higher = project([camera], np.add(AIM, [0.0, 0.0, 0.5]))[0]
        assert higher[1] < 500.0 - 50.0  # upright: up in the room is up in the image
    turns = np.degrees([np.arctan2(camera.centre[1], camera.centre[0]) for camera in cameras])
    apart = np.diff(np.unwrap(turns, period=360))
    np.testing.assert_allclose(apart, 90.0 if count == 2 else 360 / count)


def test_a_detector_of_limbs_sees_no_spine():
    (trials,) = people(SMALL)
    both, limbs = (seen(trials[:1], Way(3, spine, False), SMALL)[0].observed.keypoints for spine in (True, False))
    assert len(both.names) == 37
    assert not {"Hip", "Neck", "Spine_01", "Spine_05"} & set(limbs.names)
    assert {"LShoulder", "RHip", "LKnee", "RWrist", "Nose"} <= set(limbs.names)
    assert limbs.xy.shape[1] == 3
    column = both.names.index("RHip")
    np.testing.assert_array_equal(limbs.xy[:, :, limbs.names.index("RHip")], both.xy[:, :, column])
