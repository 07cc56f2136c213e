import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.evaluation.metrics import motion_errors


def test_velocity_and_acceleration_by_hand():
    """A point at rest, estimated at 0, 1, 4, 9 cm: velocities of 1, 3, 5 cm a frame, accelerations of 2."""
    truth = np.zeros((4, 1, 3))
    found = truth.copy()
    found[:, 0, 1] = [0, 0.01, 0.04, 0.09]
    np.testing.assert_allclose(motion_errors(found, truth, 50.0, 1)[:, 0], [0.5, 1.5, 2.5])
    np.testing.assert_allclose(motion_errors(found, truth, 50.0, 2)[:, 0], [50, 50])


def test_a_constant_offset_does_not_move():
    truth = np.random.default_rng(1).normal(size=(9, 4, 3))
    assert np.abs(motion_errors(truth + np.array([1, 2, 3]), truth, 25.0, 1)).max() < 1e-10


def test_frames_left_out_and_points_missing_give_nothing():
    truth = np.zeros((5, 2, 3))
    found = truth.copy()
    found[1, 1] = np.nan
    velocity = motion_errors(found, truth, 50.0, 1, frames=np.array([0, 1, 2, 10, 11]))
    assert np.isfinite(velocity).tolist() == [[True, False], [True, False], [False, False], [True, True]]
    acceleration = motion_errors(found, truth, 50.0, 2, frames=np.array([0, 1, 2, 10, 11]))
    assert np.isfinite(acceleration).tolist() == [[True, False], [False, False], [False, False]]
    assert motion_errors(found[:1], truth[:1], 50.0, 1).shape == (0, 2)


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="rate is 0"):
        motion_errors(np.zeros((3, 1, 3)), np.zeros((3, 1, 3)), 0, 1)
    with pytest.raises(InputError, match="shapes"):
        motion_errors(np.zeros((3, 1, 3)), np.zeros((4, 1, 3)), 1, 1)
