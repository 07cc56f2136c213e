"""The compiled projection against the one of `simspine.core.geometry`, for each model of a lens."""

import numpy as np
import pytest

from simspine.core.geometry import project_one, undistort_pixels
from simspine.core.types import Camera
from simspine.synthesis.raster import project_float32, undistort_float32

K = np.array([[900.0, 0.7, 310.0], [0, 880.0, 255.0], [0, 0, 1.0]])
TURN = np.array([[0.8, 0.0, 0.6], [0.0, 1.0, 0.0], [-0.6, 0.0, 0.8]])
LENSES = {
    "five": ([-0.2, 0.15, 1e-3, -2e-3, 0.03], "perspective"),
    "rational": ([-0.2, 0.1, 1e-3, 2e-3, 0.01, 0.02, -0.01, 0.003], "perspective"),
    "prism": ([-0.1, 0.05, 1e-3, 1e-3, 0, 0, 0, 0, 2e-3, -1e-3, 1e-3, 2e-3], "perspective"),
    "fisheye": ([-0.02, 0.01, 0.0, 0.001], "fisheye"),
}


@pytest.fixture(params=LENSES)
def camera(request):
    distortion, lens = LENSES[request.param]
    return Camera("c", (640, 480), K, np.array(distortion), TURN, np.array([0.1, -0.2, 3.0]), lens)


def test_points_come_where_geometry_has_them(camera):
    points = np.random.default_rng(0).normal(0, 0.6, (500, 3))
    px, depth = project_float32(camera, points)
    np.testing.assert_allclose(px, project_one(camera, points), atol=2e-3)  # float32
    np.testing.assert_allclose(depth, points @ TURN[2] + 3.0, rtol=1e-6)


def test_what_is_behind_has_no_depth(camera):
    behind = camera.centre - TURN[2]
    assert project_float32(camera, np.stack([behind, behind]))[1].tolist() == [-1.0, -1.0]


def test_pixels_come_back_as_geometry_has_them(camera):
    px = np.random.default_rng(1).uniform(0, 480, (200, 2))
    wanted = undistort_pixels(camera, px)
    found = undistort_float32(camera, px)
    assert np.isfinite(wanted).mean() > 0.9
    np.testing.assert_allclose(found, wanted, atol=1e-8)
