import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_distances import mpjpe, p_mpjpe
from scipy.linalg import orthogonal_procrustes
from scipy.spatial import procrustes
from scipy.spatial.transform import Rotation

from simspine.evaluation.metrics import point_distances, scale_aligned, similarity_aligned

SQUARE = np.array([[[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]])


def test_mpjpe_by_hand():
    shifted = SQUARE + np.array([[[0, 0, 3], [0, 4, 0], [0, 0, 0], [0, 3, 4]]])
    np.testing.assert_allclose(point_distances(shifted, SQUARE), [[3, 4, 0, 5]])
    assert mpjpe(shifted, SQUARE) == pytest.approx(3.0)
    shifted[0, 3] = np.nan
    assert mpjpe(shifted, SQUARE) == pytest.approx(7 / 3)
    assert np.isnan(mpjpe(SQUARE * np.nan, SQUARE))


@settings(max_examples=40)
@given(st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.2, 5), st.tuples(*[st.floats(-10, 10)] * 3))
def test_similarity_does_not_count(turn, scale, shift):
    points = np.random.default_rng(3).normal(size=(2, 8, 3))
    moved = scale * points @ Rotation.from_euler("xyz", turn).as_matrix().T + np.array(shift)
    np.testing.assert_allclose(similarity_aligned(points, moved), moved, atol=1e-8)
    assert p_mpjpe(points, moved) < 1e-8
    holed = points.copy()
    holed[0, 2] = np.nan
    assert p_mpjpe(holed, moved) < 1e-8


def test_a_mirror_image_is_not_the_same():
    points = np.random.default_rng(4).normal(size=(1, 8, 3))
    assert p_mpjpe(points * [-1, 1, 1], points) > 0.3


def test_frames_with_two_points_are_left_out():
    few = np.repeat(SQUARE, 2, 0).copy()
    few[1, 2:] = np.nan
    assert np.isnan(similarity_aligned(few, np.repeat(SQUARE, 2, 0))[1]).all()
    assert p_mpjpe(few, np.repeat(SQUARE, 2, 0)) == pytest.approx(0, abs=1e-12)
    assert np.isnan(p_mpjpe(few[1:], SQUARE))


def test_a_scale_does_not_count_and_a_shift_does():
    points = np.random.default_rng(5).normal(size=(3, 6, 3))
    sizes = np.array([0.5, 2.0, 3.0])[:, None, None]
    np.testing.assert_allclose(scale_aligned(points, sizes * points), sizes * points)
    one = np.array([[[1.0, 0, 0], [0, 1, 0]]])  # scale (2 + 0) / 2 = 1 to (2, 0, 0) and (1, 0, 0)
    other = np.array([[[2.0, 0, 0], [1, 0, 0]]])
    assert mpjpe(scale_aligned(one, other), other) == pytest.approx((1 + np.sqrt(2)) / 2)
    assert np.isnan(mpjpe(scale_aligned(np.zeros((1, 2, 3)), other), other))


def test_procrustes_agrees_with_scipy():
    """SciPy scales both to unit size first: its disparity is the squared rest over the reference's squared size."""
    random = np.random.default_rng(6)
    a, b = random.normal(size=(2, 12, 3))
    if np.linalg.det((a - a.mean(0)).T @ (b - b.mean(0))) < 0:  # SciPy allows mirror images, we do not
        a = a * [-1, 1, 1]
    _, _, disparity = procrustes(b, a)
    rest = ((similarity_aligned(a[None], b[None])[0] - b) ** 2).sum()
    assert rest / ((b - b.mean(0)) ** 2).sum() == pytest.approx(disparity)
    rigid = similarity_aligned(a[None], b[None], scaled=False)[0]
    turn, _ = orthogonal_procrustes(a - a.mean(0), b - b.mean(0))
    np.testing.assert_allclose(rigid, (a - a.mean(0)) @ turn + b.mean(0), atol=1e-12)
