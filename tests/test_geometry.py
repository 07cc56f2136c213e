"""Rigid fits against SciPy, frames, angles; lenses have tests of their own (test_lenses.py)."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.core.geometry import (
    change_frame,
    frame_rotation,
    markers_in_frame,
    off_vertical,
    rigid_fit,
    wrap_angles,
)
from simspine.core.types import Markers


def test_rigid_fit_is_scipys():
    rng = np.random.default_rng(4)
    source, weights = rng.normal(size=(12, 3)), rng.uniform(0.1, 2, 12)
    turn = Rotation.random(random_state=5)
    target = turn.apply(source) + np.array([1, 2, 3]) + rng.normal(0, 0.05, (12, 3))
    R, t = rigid_fit(source, target, weights)
    a = source - np.average(source, axis=0, weights=weights)
    b = target - np.average(target, axis=0, weights=weights)
    expected, _ = Rotation.align_vectors(b, a, weights)
    assert np.allclose(R, expected.as_matrix(), atol=1e-10)
    assert np.allclose(t, np.average(target - source @ R.T, axis=0, weights=weights))


def test_rigid_fit_in_batches_with_missing_points():
    rng = np.random.default_rng(6)
    source = rng.normal(size=(7, 5, 3))
    turn = Rotation.random(7, random_state=7)
    target = np.einsum("fij,fpj->fpi", turn.as_matrix(), source) + rng.normal(size=(7, 1, 3))
    target[:, 2] = np.nan
    R, t = rigid_fit(source, target)
    assert np.allclose(R, turn.as_matrix())
    keep = [0, 1, 3, 4]
    assert np.allclose((np.einsum("fij,fpj->fpi", R, source) + t[:, None])[:, keep], target[:, keep])


def test_rigid_fit_never_mirrors():
    rng = np.random.default_rng(8)
    source = rng.normal(size=(10, 3))
    R, _ = rigid_fit(source, source * [-1, 1, 1])
    assert np.linalg.det(R) == pytest.approx(1)
    flat = source * [1, 1, 0]
    assert np.allclose(rigid_fit(flat, flat)[0] @ flat.T, flat.T)


def test_rigid_fit_needs_three_points():
    source = np.ones((4, 3))
    target = np.array([[1.0, 0, 0], [0, 1, 0], [np.nan] * 3, [np.nan] * 3])
    with pytest.raises(InputError, match="three points"):
        rigid_fit(source, target)


def test_frames():
    assert np.array_equal(change_frame([1, 2, 3], "z_up", "y_up"), [2, 3, 1])
    assert np.array_equal(change_frame([0, 0, 1], "z_up", "y_up"), [0, 1, 0])  # up is up
    xyz = np.random.default_rng(9).normal(size=(4, 5, 3))
    assert np.array_equal(change_frame(change_frame(xyz, "z_up", "y_up"), "y_up", "z_up"), xyz)
    for source in ("z_up", "y_up"):
        assert np.array_equal(frame_rotation(source, source), np.eye(3))
        for target in ("z_up", "y_up"):
            assert np.linalg.det(frame_rotation(source, target)) == pytest.approx(1)
    with pytest.raises(InputError, match=r"unknown frame 'up'.*z_up, y_up"):
        change_frame(xyz, "z_up", "up")


def test_wrapped_angles_point_the_same_way_and_lie_in_the_half_open_turn():
    angles = np.concatenate([np.random.default_rng(0).uniform(-50, 50, 500), np.pi * np.arange(-5, 6)])
    got = wrap_angles(angles)
    assert (got >= -np.pi).all()
    assert (got < np.pi).all()
    np.testing.assert_allclose(np.exp(1j * got), np.exp(1j * angles), atol=1e-13)


def test_how_far_a_segment_leans_whichever_way_it_leans():
    """A rod turned by known angles about level axes of any heading."""
    lean, heading = np.radians([0, 10, 45, 90, 170]), np.radians([0, 30, 100, 200, 300])
    ends = 0.4 * np.stack([np.sin(lean) * np.cos(heading), np.cos(lean), np.sin(lean) * np.sin(heading)], -1)
    xyz = np.stack([0 * ends, ends], 1) + np.array([1.0, 0.5, -2.0])
    np.testing.assert_allclose(
        off_vertical(Markers(("RKnee", "RHip"), 50.0, xyz, "y_up"), "RKnee", "RHip"), lean, atol=1e-7
    )


def test_covariances_turn_with_their_points():
    """The covariance of points scattered along the world's x lies along OpenSim's z."""
    along_x = np.diag([4.0, 1.0, 0.0])
    markers = Markers(("a",), 50.0, np.ones((1, 1, 3)), "z_up", covariance=along_x[None, None])
    np.testing.assert_allclose(markers_in_frame(markers, "y_up").covariance[0, 0], np.diag([1.0, 0.0, 4.0]))
