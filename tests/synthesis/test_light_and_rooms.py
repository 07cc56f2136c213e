"""Shadows against a ball above a floor, and rooms against the camera that sees them."""

import numpy as np
import pytest
from test_raster import sphere

from simspine.core.geometry import project_one
from simspine.core.types import Camera
from simspine.synthesis.shading import (
    Room,
    light_share_at,
    noise_gradient,
    pixel_rays,
    see_room,
    shadow_map,
)


@pytest.fixture
def camera():
    """Two metres up in a room, looking along x and down, through a bent lens."""
    down = 0.3
    forward, right = np.array([np.cos(down), 0, -np.sin(down)]), np.array([0, -1.0, 0])
    R = np.stack([right, np.cross(forward, right), forward])
    K = np.array([[230.0, 0, 160], [0, 230.0, 118], [0, 0, 1]])
    return Camera("c", (320, 240), K, np.array([-0.2, 0.1, 1e-3, -1e-3, 0]), R, -R @ [0.5, 0.2, 2.0])


@pytest.fixture
def room():
    return Room(
        np.array([-3.0, -3, 0]), np.array([4.0, 3, 3]), np.full((6, 3), 0.5), np.full((6, 3), 0.2), np.zeros(6),
        np.zeros((0, 8)),
    )  # fmt: skip


def test_rays_through_the_lens_lead_back_to_their_pixels(camera):
    points = camera.centre + 3.0 * pixel_rays(camera)
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    np.testing.assert_allclose(project_one(camera, points), np.stack([x, y], -1), atol=0.1)


def test_a_room_is_where_its_walls_are(camera, room):
    view = see_room(room, camera, np.ones(3), np.ones(3))
    outside = np.maximum(room.low - view.places, view.places - room.high).max(-1)
    np.testing.assert_allclose(outside, 0, atol=1e-5)  # every place is on the box, none beyond it
    np.testing.assert_allclose(view.places[view.floor][:, 2], 0, atol=1e-5)
    assert 0.2 < view.floor.mean() < 0.8
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    np.testing.assert_allclose(project_one(camera, view.places), np.stack([x, y], -1), atol=0.1)


def test_the_floor_below_a_ball_is_dark_as_far_as_its_shadow_reaches():
    points, triangles = sphere(0.5, np.array([0.0, 0.0, 1.5]))
    points = np.concatenate([points, [[-3, -3, 0], [3, 3, 0.0]]])  # so that the map reaches over the floor
    way = np.array([0.6, 0.0, 0.8])
    shadow = shadow_map(points, triangles, way)
    centre = np.array([0, 0, 1.5]) - 1.5 / way[2] * way  # where the ray through the middle meets the floor
    for off, lit in ((0.0, 0.0), (0.4, 0.0), (0.6, 1.0), (1.5, 1.0)):
        assert light_share_at(centre[0], off, 0.0, *shadow) == pytest.approx(lit, abs=0.05)
    assert light_share_at(*(np.array([0, 0, 1.5]) + 0.5 * way), *shadow) == 1.0  # the ball's lit side


def test_the_slope_is_the_noise_by_finite_differences():
    rng, step = np.random.default_rng(0), 1e-5
    for x in rng.uniform(-20, 20, (50, 3)):
        numeric = [
            (noise_gradient(*(x + step * e))[0] - noise_gradient(*(x - step * e))[0]) / (2 * step) for e in np.eye(3)
        ]
        np.testing.assert_allclose(noise_gradient(*x)[1:], numeric, atol=1e-4)
        assert 0 <= noise_gradient(*x)[0] <= 1
