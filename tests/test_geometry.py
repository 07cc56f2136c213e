"""Cameras against OpenCV, rigid fits against SciPy."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simspine.core.errors import InputError
from simspine.core.geometry import (
    change_frame,
    frame_rotation,
    markers_in_frame,
    off_vertical,
    project_points,
    rigid_fit,
    undistort_pixels,
    wrap_angles,
)
from simspine.core.types import Camera, Markers

LENSES = [
    (0, 0, 0, 0, 0),
    (-0.05, 0.14, 6e-4, -5e-4, 0.01),
    (-0.28, 0.09, 1e-3, -1e-3, -0.012),  # an action camera's barrel
    (-0.207, 0.247, -0.00093, -0.0016, -0.0029),  # of the size of Human3.6M's
]


def camera(distortion, seed=0):
    R = Rotation.random(random_state=seed).as_matrix()
    return Camera("c", (1920, 1080), [[1100, 0, 950], [0, 1105, 545], [0, 0, 1]], distortion, R, [0.1, -0.2, 4.0])


def in_front(cam, rng, n=200, spread=0.8):
    """World points that project into or near the image."""
    local = np.c_[rng.uniform(-spread, spread, (n, 2)), np.ones(n)] * rng.uniform(1, 8, (n, 1))
    return (local - cam.t) @ cam.R


@pytest.mark.parametrize("distortion", LENSES)
def test_project_is_opencvs(distortion):
    cam = camera(distortion)
    xyz = in_front(cam, np.random.default_rng(1))
    expected, _ = cv2.projectPoints(xyz, cv2.Rodrigues(cam.R)[0], cam.t, cam.K, cam.distortion)
    assert np.allclose(project_points([cam], xyz)[0], expected[:, 0], atol=1e-7)


@pytest.mark.parametrize("distortion", LENSES)
def test_undistort_is_opencvs(distortion):
    cam = camera(distortion)
    rng = np.random.default_rng(2)
    pixels = rng.uniform([0, 0], cam.size, (300, 2))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 1000, 1e-14)
    expected = cv2.undistortPointsIter(pixels, cam.K, cam.distortion, None, None, criteria)[:, 0]
    assert np.allclose(undistort_pixels(cam, pixels), expected, atol=1e-8)


@pytest.mark.parametrize("distortion", LENSES)
def test_undistort_undoes_project(distortion):
    cam = camera(distortion)
    xyz = in_front(cam, np.random.default_rng(3), spread=0.6)
    local = xyz @ cam.R.T + cam.t
    assert np.allclose(undistort_pixels(cam, project_points([cam], xyz)[0]), local[:, :2] / local[:, 2:], atol=1e-10)


def test_shapes_and_points_without_an_image():
    cam = camera(LENSES[1])
    behind = (np.array([0, 0, -2.0]) - cam.t) @ cam.R
    xyz = np.array([[behind, [np.nan, 0, 0]]])
    out = project_points([cam, cam, cam], xyz)
    assert out.shape == (3, 1, 2, 2)
    assert np.isnan(out).all()
    assert np.isnan(undistort_pixels(cam, np.array([np.nan, 3.0]))).all()


def test_undistort_gives_up_where_the_lens_folds():
    """With strong barrel distortion no ray reaches a pixel far outside; a made-up ray would be worse than none."""
    cam = camera((-0.4, 0, 0, 0, 0))
    far = np.array([[950 + 4 * 1100, 545.0], [960, 550]])
    out = undistort_pixels(cam, far)
    assert np.isnan(out[0]).all()
    assert np.isfinite(out[1]).all()


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


def test_the_centre_of_a_camera_is_its_own_origin():
    cam = camera(LENSES[0])
    np.testing.assert_allclose(cam.R @ cam.centre + cam.t, 0, atol=1e-12)
