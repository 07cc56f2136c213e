"""Lens models against OpenCV's functions, their derivatives against differences, their inverses against themselves."""

import cv2
import numpy as np
import pytest
from aimed import aimed
from scipy.spatial.transform import Rotation

from simspine.core.geometry import (
    distort_points,
    distortion_derivative,
    distortion_reach,
    project_points,
    undistort_pixels,
)
from simspine.core.types import Camera, Keypoints
from simspine.vision.triangulation import triangulate

PLAIN = (-0.207, 0.247, -0.00093, -0.0016, -0.0029)
RATIONAL = (6.2, 3.4, 4e-4, -3e-4, 0.11, 6.55, 5.1, 0.93)  # as OpenCV finds for a phone's wide lens
PRISM = (*PLAIN, 0, 0, 0, 2e-3, -1e-3, -3e-3, 5e-4)
FULL = (*RATIONAL, 2e-4, -1e-4, -3e-4, 5e-5)
ACTION_CAMERA = (0.05, -0.012, 0.004, -0.0009)
LENSES = {
    "none": ("perspective", ()),
    "plain": ("perspective", PLAIN),
    "barrel": ("perspective", (-0.28, 0.09, 1e-3, -1e-3, -0.012)),  # of an action camera
    "rational": ("perspective", RATIONAL),
    "prism": ("perspective", PRISM),
    "rational and prism": ("perspective", FULL),
    "fisheye": ("fisheye", ACTION_CAMERA),
    "fisheye without coefficients": ("fisheye", ()),
}


def camera(name, centre=(0.0, 0.0, -4.0), focal=900.0):
    lens, distortion = LENSES[name]
    R = Rotation.from_rotvec([0.1, -0.2, 0.05]).as_matrix()
    return Camera("c", (1920, 1080), [[focal, 1.5, 950], [0, focal + 5, 545], [0, 0, 1]], distortion, R,
                  -R @ np.asarray(centre), lens)  # fmt: skip


def opencvs(cam, xyz):
    turn = cv2.Rodrigues(cam.R)[0]
    if cam.lens == "fisheye":  # skew over focal length is a parameter of its own there
        K = cam.K * [[1, 0, 1], [1, 1, 1], [1, 1, 1]]
        alpha = cam.K[0, 1] / cam.K[0, 0]
        return cv2.fisheye.projectPoints(xyz[:, None], turn, cam.t, K, cam.distortion, alpha=alpha)[0][:, 0]
    plain, _ = cv2.projectPoints(xyz, turn, cam.t, np.eye(3), cam.distortion)  # OpenCV leaves skew out here
    return plain[:, 0] @ cam.K[:2, :2].T + cam.K[:2, 2]


def rays(cam, degrees, n=400):
    """World points on rays up to so far from the optical axis."""
    rng = np.random.default_rng(1)
    angle, turn = np.radians(degrees) * np.sqrt(rng.uniform(0, 1, n)), rng.uniform(0, 2 * np.pi, n)
    angle[0] = 0.0
    local = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], 1)
    return (local * rng.uniform(1, 8, (n, 1)) - cam.t) @ cam.R


def widest(name):
    return 85 if "fisheye" in name else 70 if "rational" in name else 40


@pytest.mark.parametrize("name", LENSES)
def test_projection_is_opencvs(name):
    cam = camera(name)
    xyz = rays(cam, widest(name))
    np.testing.assert_allclose(project_points([cam], xyz)[0], opencvs(cam, xyz), atol=1e-6)


@pytest.mark.parametrize("name", ["none", "plain", "barrel"])
def test_undistortion_is_opencvs(name):
    cam = camera(name, focal=1100.0)
    pixels = np.random.default_rng(2).uniform([0, 0], cam.size, (300, 2))
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 1000, 1e-14)
    plain = np.c_[pixels, np.ones(len(pixels))] @ np.linalg.inv(cam.K).T  # OpenCV leaves skew out here
    expected = cv2.undistortPointsIter(plain[:, :2].copy(), np.eye(3), cam.distortion, None, None, criteria)[:, 0]
    np.testing.assert_allclose(undistort_pixels(cam, pixels), expected, atol=1e-8)


@pytest.mark.parametrize("name", LENSES)
def test_undistortion_undoes_it(name):
    cam = camera(name)
    xyz = rays(cam, widest(name))
    local = xyz @ cam.R.T + cam.t
    ideal = local[:, :2] / local[:, 2:]
    assert (ideal**2).sum(1).max() < distortion_reach(cam)
    found = undistort_pixels(cam, project_points([cam], xyz)[0])
    np.testing.assert_allclose(np.arctan(found), np.arctan(ideal), atol=1e-9)  # at 85° the image hardly moves


@pytest.mark.parametrize("name", LENSES)
def test_tangent_is_the_difference_quotient(name):
    cam = camera(name)
    local = rays(cam, widest(name) - 20) @ cam.R.T + cam.t
    ideal = np.r_[local[:, :2] / local[:, 2:], [[0, 0], [1e-6, 2e-6], [3e-4, 0]]]
    step = 1e-6
    for axis in range(2):
        move = step * np.eye(2)[axis]
        expected = (distort_points(cam, ideal + move) - distort_points(cam, ideal - move)) / (2 * step)
        np.testing.assert_allclose(distortion_derivative(cam, ideal)[:, axis].T, expected, atol=2e-9)


@pytest.mark.parametrize("name", LENSES)
def test_nothing_is_seen_behind_the_camera(name):
    cam = camera(name)
    behind = (np.array([[0, 0, -2.0], [1, 1, -0.1], [1, 0, 0]]) - cam.t) @ cam.R
    seen = project_points([cam, cam, cam], np.array([[*behind, [np.nan, 0, 0]]]))
    assert seen.shape == (3, 1, 4, 2)
    assert np.isnan(seen).all()
    np.testing.assert_allclose(cam.R @ cam.centre + cam.t, 0, atol=1e-12)
    assert np.isnan(undistort_pixels(cam, np.array([np.nan, 3.0]))).all()


@pytest.mark.parametrize(
    ("lens", "distortion", "edge"),
    [
        ("perspective", (-0.4,), np.sqrt(1 / 1.2)),
        ("perspective", (0.3, -0.2), None),
        ("perspective", (-0.9, 0.1, 0, 0, 0, 0.2, 0.1, 0.05), None),
        ("fisheye", (-0.3,), np.tan(np.sqrt(1 / 0.9))),
        ("fisheye", (-1 / 6,), np.tan(np.sqrt(2))),  # at 81°, where it is still ahead
        ("fisheye", (0.1, -0.2, 0.01), None),
    ],
)
def test_folds_are_known_and_nothing_comes_back_from_beyond(lens, distortion, edge):
    """The first radius at which the image of a ray turns round, found by walking along it."""
    cam = Camera("c", (1920, 1080), np.diag([1000.0, 1000, 1]), distortion, np.eye(3), [0, 0, 4], lens)
    radius = np.tan(np.linspace(1e-4, 1.5, 200_001))
    shown = distort_points(cam, np.c_[radius, 0 * radius])[:, 0]
    turns = radius[np.argmax(np.diff(shown) < 0)]
    assert np.sqrt(distortion_reach(cam)) == pytest.approx(turns, rel=1e-4)
    if edge is not None:
        assert np.sqrt(distortion_reach(cam)) == pytest.approx(edge)
    rim = 1000 * shown[radius < turns].max()
    assert np.isnan(undistort_pixels(cam, np.array([[1.01 * rim, 0.0], [0, 3 * rim]]))).all()
    inside = undistort_pixels(cam, np.array([[0.98 * rim, 0.0], [0, -0.5 * rim]]))
    assert np.isfinite(inside).all()
    assert ((inside**2).sum(-1) < distortion_reach(cam)).all()


@pytest.mark.parametrize("lens", ["perspective", "fisheye"])
def test_a_lens_that_only_grows_has_no_edge(lens):
    cam = Camera("c", (1920, 1080), np.eye(3), (0.1, 0.02), np.eye(3), [0, 0, 4], lens)
    assert distortion_reach(cam) == np.inf


@pytest.mark.parametrize("name", LENSES)
def test_exact_points_triangulate_to_the_truth(name):
    rig = []
    for i, angle in enumerate(np.radians([20, 110, 200, 290])):
        centre = np.array([2.5 * np.cos(angle), 2.5 * np.sin(angle), 1.2])
        R = aimed(centre, [0, 0, 1.0])
        rig.append(camera(name, focal=700.0).with_(name=f"c{i}", R=R, t=-R @ centre))
    room = np.random.default_rng(4).uniform([-0.8, -0.8, 0], [0.8, 0.8, 1.9], (9, 4, 3))
    xy = project_points(rig, room).swapaxes(0, 1)
    found = triangulate(Keypoints(tuple("abcd"), 50, xy, np.ones(xy.shape[:3])), rig)
    np.testing.assert_allclose(found.xyz, room, atol=1e-8)
