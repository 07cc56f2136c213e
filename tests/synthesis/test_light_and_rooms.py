"""Shadows against a ball above a floor, and rooms against the camera that sees them."""

from dataclasses import replace

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
    wall_hit,
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
    ways = pixel_rays(camera)[::8, ::8]
    hits = [wall_hit(camera.centre, way, np.stack([room.low, room.high])) for way in ways.reshape(-1, 3)]
    far, wall = (np.array(values).reshape(ways.shape[:2]) for values in zip(*hits, strict=True))
    places = camera.centre + far[..., None] * ways
    outside = np.maximum(room.low - places, places - room.high).max(-1)
    np.testing.assert_allclose(outside, 0, atol=1e-5)  # every place is on the box, none beyond it
    np.testing.assert_allclose(places[wall == 2][:, 2], 0, atol=1e-5)
    assert 0.2 < (wall == 2).mean() < 0.8
    x, y = np.meshgrid(np.arange(0, 320, 8), np.arange(0, 240, 8))
    np.testing.assert_allclose(project_one(camera, places), np.stack([x, y], -1), atol=0.1)


def test_a_shadow_darkens_the_floor_alone(camera, room):
    """Light of the lamp alone: on the floor as much as the shadow map lets through, on walls a fixed share."""
    room = replace(room, second=room.colours)  # of one colour, however it is textured
    points, triangles = sphere(0.5, np.array([2.0, 0.0, 1.0]))
    shadow = shadow_map(np.concatenate([points, [[-3, -3, 0], [4, 3, 0.0]]]), triangles, np.array([0.0, 0.0, 1.0]))
    seen = see_room(room, camera, np.zeros(3), lamp=np.ones(3), shadow=shadow)
    box, ways = np.stack([room.low, room.high]), pixel_rays(camera)
    for row, column in np.ndindex(12, 16):
        way = ways[20 * row, 20 * column]
        far, wall = wall_hit(camera.centre, way, box)
        place = camera.centre + far * way
        bright = 1.0 if wall % 3 == 2 else 0.7 + 0.375 * min(place[2], 0.8)
        share = light_share_at(*place, *shadow) if wall == 2 else 0.6
        assert seen[20 * row, 20 * column] == pytest.approx(0.5 * bright * share, abs=2e-3)


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
