"""The z-buffer against geometry that is known in closed form, and against rays."""

import numpy as np
import pytest
from ray_hits import ray_hits

from simspine.core.geometry import project_one
from simspine.core.types import Camera
from simspine.synthesis.raster import NO_TRIANGLE, barycentric_weights_at, rasterise_triangles

SIZE = (120, 90)


@pytest.fixture
def camera():
    K = np.array([[100.0, 0, 59.5], [0, 100.0, 44.5], [0, 0, 1]])
    return Camera("c", SIZE, K, np.zeros(5), np.eye(3), np.zeros(3))


def seen_by(camera, points, triangles):
    return rasterise_triangles(project_one(camera, points), points[:, 2], triangles, camera.size)


def sphere(radius, centre, rows=80, columns=160):
    """Points and triangles of a sphere."""
    theta, phi = np.meshgrid(np.linspace(0, np.pi, rows), np.linspace(0, 2 * np.pi, columns), indexing="ij")
    points = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1).reshape(-1, 3)
    i = np.arange((rows - 1) * columns).reshape(rows - 1, columns)[:, :-1].ravel()
    triangles = np.concatenate(
        [np.stack([i, i + 1, i + columns], 1), np.stack([i + 1, i + columns + 1, i + columns], 1)]
    )
    return radius * points + centre, triangles


def ways(camera):
    x, y = np.meshgrid(np.arange(camera.size[0]), np.arange(camera.size[1]))
    return np.stack([(x - camera.K[0, 2]) / 100, (y - camera.K[1, 2]) / 100, np.ones(x.shape)], -1)


def test_a_sphere_is_as_far_as_its_equation_says(camera):
    centre, radius = np.array([0.1, -0.05, 3.0]), 0.8
    seen = seen_by(camera, *sphere(radius, centre))
    way = ways(camera)
    a, b, c = (way**2).sum(-1), -2 * way @ centre, centre @ centre - radius**2
    root = b * b - 4 * a * c
    depth = (-b - np.sqrt(np.where(root > 0, root, np.nan))) / (2 * a)
    inner = root > 0.6  # off the rim, where facets and sphere part
    np.testing.assert_allclose(seen.depth[inner], depth[inner], atol=2e-3)
    assert (seen.triangle[root < -0.1] == NO_TRIANGLE).all()
    assert np.isinf(seen.depth[seen.triangle == NO_TRIANGLE]).all()


def test_a_slanted_plane_is_as_far_as_its_equation_says(camera):
    """Two triangles from edge to edge: depth is interpolated as perspective wants it, not as the picture would."""
    corners = np.array([[-4, -3, 3.0], [4, -3, 7.0], [-4, 3, 3.0], [4, 3, 7.0]])  # z = 5 + x / 2
    seen = seen_by(camera, corners, np.array([[0, 1, 2], [1, 3, 2]]))
    way = ways(camera)
    depth = 5 / (1 - way[..., 0] / 2)
    filled = seen.triangle != NO_TRIANGLE
    assert filled.mean() > 0.9
    np.testing.assert_allclose(seen.depth[filled], depth[filled], rtol=1e-5)


def test_what_is_seen_is_what_a_ray_meets_first(camera):
    rng = np.random.default_rng(3)
    points = rng.uniform([-1.5, -1, 2], [1.5, 1, 6], (60, 3))
    triangles = rng.permutation(60).reshape(20, 3)
    seen = seen_by(camera, points, triangles)
    way, missed = ways(camera), 0
    for row, column in rng.integers((0, 0), (SIZE[1], SIZE[0]), (200, 2)):
        hits = ray_hits(np.zeros(3), way[row, column], points, triangles)
        if len(hits):
            np.testing.assert_allclose(seen.depth[row, column], hits[0], rtol=1e-4)
        else:
            missed += 1
            assert seen.triangle[row, column] == NO_TRIANGLE
    assert 20 < missed < 180


def test_shares_of_the_corners_are_perspectively_right(camera):
    corners = np.array([[-1, -1, 2.0], [1.5, 0, 6.0], [0, 1.2, 4.0]])
    shares = np.array([0.2, 0.5, 0.3])
    x, y = project_one(camera, shares @ corners)
    px = project_one(camera, corners)
    np.testing.assert_allclose(barycentric_weights_at(px, corners[:, 2], np.array([0, 1, 2]), x, y), shares, atol=1e-9)


def test_triangles_behind_or_through_the_camera_are_left_out(camera):
    points = np.array([[-1, -1, -2.0], [1, -1, -2.0], [0, 1, -2.0], [0, 1, 3.0], [1, 1, 3.0], [0, -1, 3.0]])
    seen = seen_by(camera, points, np.array([[0, 1, 2], [0, 1, 3], [3, 4, 5]]))
    assert set(np.unique(seen.triangle)) == {NO_TRIANGLE, 2}
