import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.core.geometry import continuous_angles, yxz_angles, zxy_angles

small = st.floats(-1.5, 1.5)
any_angle = st.floats(-3.1, 3.1)


@given(any_angle, small, any_angle)
def test_angles_equal_scipys_intrinsic_sequences(a, b, c):
    want = np.array([a, b, c])
    np.testing.assert_allclose(zxy_angles(Rotation.from_euler("ZXY", want).as_matrix())[0][0], want, atol=1e-7)
    np.testing.assert_allclose(yxz_angles(Rotation.from_euler("YXZ", want).as_matrix())[0][0], want, atol=1e-7)


def from_zxy(angles):
    return Rotation.from_euler("ZXY", angles).as_matrix()


def from_yxz(angles):
    return Rotation.from_euler("YXZ", angles).as_matrix()


@pytest.mark.parametrize(("decompose", "compose"), [(zxy_angles, from_zxy), (yxz_angles, from_yxz)])
@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("frames", [61, 60])  # the odd one passes through ±90° exactly
def test_a_smooth_motion_through_gimbal_lock_comes_back_smooth(decompose, compose, side, frames):
    t = np.linspace(-1, 1, frames)
    want = np.stack([0.4 + 0.1 * t, side * (np.pi / 2 + 0.6 * t), -0.3 + 0.05 * t], -1)
    got, repaired = decompose(compose(want))
    np.testing.assert_allclose(got, want, atol=0.02)  # at lock itself the split between first and third is a choice
    np.testing.assert_allclose(compose(got), compose(want), atol=1e-7)
    assert repaired[t > 0.1].all()
    assert not repaired[t < -0.1].any()


def test_returning_from_beyond_lock_returns_to_the_principal_angles():
    b = np.pi / 2 + 0.5 * np.sin(np.linspace(-np.pi / 2, 2 * np.pi + 0.3, 200) * 1.0)
    want = np.stack([np.full_like(b, 0.2), b, np.full_like(b, 0.1)], -1)
    np.testing.assert_allclose(zxy_angles(from_zxy(want))[0], want, atol=1e-6)


def test_a_fault_far_from_lock_is_left_visible():
    want = np.zeros((20, 3))
    want[10] = [np.pi - 0.1, 0.2, np.pi - 0.1]  # as a solver's other solution would look
    got, _ = continuous_angles(want)
    assert np.abs(got[10]).max() > 3
    np.testing.assert_array_equal(got[11:], 0)


@settings(max_examples=50)
@given(st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=30), st.sets(st.integers(0, 29)))
def test_whole_turns_are_removed_across_gaps(steps, gaps):
    true = np.cumsum(np.array(steps) / 3)
    wrapped = (true + np.pi) % (2 * np.pi) - np.pi
    for k in gaps:
        if 0 < k < len(true) - 1 and k % 3 == 1:  # gaps of one frame, so steps across stay below half a turn
            wrapped[k] = np.nan
    got = continuous_angles(np.outer(wrapped, [1, 0, 0]))[0][:, 0]
    valid = np.isfinite(wrapped)
    np.testing.assert_array_equal(np.isfinite(got), valid)
    first = np.round((true[0] - wrapped[0]) / (2 * np.pi)) * 2 * np.pi
    np.testing.assert_allclose(got[valid], true[valid] - first, atol=1e-9)


def test_frames_without_a_pose_stay_missing():
    want = np.linspace([0, 0, 2.8], [0.2, 0.1, 3.6], 20)
    rotations = from_zxy(want)
    rotations[7:9] = np.nan
    got, repaired = zxy_angles(rotations)
    assert np.isnan(got[7:9]).all()
    assert not repaired[7:9].any()
    np.testing.assert_allclose(np.delete(got, [7, 8], 0), np.delete(want, [7, 8], 0), atol=1e-9)


def test_wrong_shapes_are_named():
    with pytest.raises(InputError, match=r"\(5, 2, 2\)"):
        zxy_angles(np.zeros((5, 2, 2)))
