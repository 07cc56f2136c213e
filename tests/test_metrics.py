import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from simspine.errors import InputError
from simspine.metrics import aligned, angle_rmse, distances, marker_rmse, mpjpe, p_mpjpe

SQUARE = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]])


def test_mpjpe_by_hand():
    shifted = SQUARE + np.array([[[0, 0, 3], [0, 4, 0], [0, 0, 0], [0, 3, 4]]])
    np.testing.assert_allclose(distances(shifted, SQUARE), [[3, 4, 0, 5]])
    assert mpjpe(shifted, SQUARE) == pytest.approx(3.0)
    shifted[0, 3] = np.nan
    assert mpjpe(shifted, SQUARE) == pytest.approx(7 / 3)
    assert np.isnan(mpjpe(SQUARE * np.nan, SQUARE))


@settings(max_examples=40)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.2, 5), st.tuples(*[st.floats(-10, 10)] * 3))
def test_similarity_does_not_count(turn, scale, shift):
    points = np.random.default_rng(3).normal(size=(2, 8, 3))
    moved = scale * points @ Rotation.from_euler("xyz", turn).as_matrix().T + np.array(shift)
    np.testing.assert_allclose(aligned(points, moved), moved, atol=1e-8)
    assert p_mpjpe(points, moved) < 1e-8
    holed = points.copy()
    holed[0, 2] = np.nan
    assert p_mpjpe(holed, moved) < 1e-8


def test_p_mpjpe_by_hand():
    """A square against a rectangle twice as wide: by symmetry no turn or shift, scale 3/2 · 1/1 by least squares."""
    a = SQUARE - [0.5, 0.5, 0]
    b = a * [2, 1, 1]
    assert p_mpjpe(a, b) == pytest.approx(np.hypot(0.25, 0.25))  # 1.5 · (½, ½) against (1, ½)


def test_a_mirror_image_is_not_the_same():
    points = np.random.default_rng(4).normal(size=(1, 8, 3))
    assert p_mpjpe(points * [-1, 1, 1], points) > 0.3


def test_frames_with_two_points_are_left_out():
    few = np.repeat(SQUARE, 2, 0).copy()
    few[1, 2:] = np.nan
    assert np.isnan(aligned(few, np.repeat(SQUARE, 2, 0))[1]).all()
    assert p_mpjpe(few, np.repeat(SQUARE, 2, 0)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(p_mpjpe(few[1:], SQUARE))


def test_rmse_by_hand():
    error = np.array([[3.0, 1, np.nan], [4.0, 1, np.nan]])
    np.testing.assert_allclose(marker_rmse(error, 0), [np.sqrt(12.5), 1, np.nan])
    np.testing.assert_allclose(marker_rmse(error, 1), [np.sqrt(5), np.sqrt(8.5)])


def test_angles_ignore_whole_turns():
    a = np.array([[0.1, 3.1], [np.nan, -3.1]])
    b = np.array([[0.1 + 2 * np.pi, -3.1], [1.0, 3.1]])
    np.testing.assert_allclose(angle_rmse(a, b), [0, 2 * np.pi - 6.2], atol=1e-12)
    assert angle_rmse(np.full(4, 0.3), np.full(4, 0.1)) == pytest.approx(0.2)


def test_shapes_are_checked():
    with pytest.raises(InputError, match=r"\(1, 4, 3\) and \(1, 3, 3\)"):
        mpjpe(SQUARE, SQUARE[:, :3])
    with pytest.raises(InputError, match=r"\(2,\) and \(3,\)"):
        angle_rmse(np.zeros(2), np.zeros(3))
