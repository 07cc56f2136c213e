"""Where people are filmed: light, rooms, things in the way. Drawn from a random stream."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.capture.rendered.appearance import linear
from simspine.rendering.mesh import Light, Material, Mesh, Pattern, looks
from simspine.rendering.room import Room


def draw_light(rng: np.random.Generator) -> Light:
    """A lamp or sun from above, and what comes from everywhere; between warm and cool."""
    height, round_about = np.radians(rng.uniform(25, 75)), rng.uniform(0, 2 * np.pi)
    way = np.array([np.cos(height) * np.cos(round_about), np.cos(height) * np.sin(round_about), np.sin(height)])
    warm = rng.normal(0, 0.1)
    lamp = rng.uniform(0.35, 1.5) * np.array([1 + warm, 1.0, 1 - warm])
    cool = rng.normal(0, 0.06)
    sky = rng.uniform(0.35, 0.9) * np.array([1 - cool, 1.0, 1 + cool])
    ground = sky * rng.uniform(0.35, 0.8) * np.array([1.04, 1.0, 0.95])
    return Light(way, lamp, sky, ground)


def draw_room(rng: np.random.Generator, eyes: np.ndarray, floor: float) -> Room:
    """A room around cameras at `eyes` (n, 3) m, whose floor is at height `floor`."""
    reach = np.abs(eyes[:, :2]).max(0) + 0.5
    half = np.maximum(reach, rng.uniform(2.5, 6.0, 2))
    low = np.array([-half[0], -half[1], floor])
    high = np.array([half[0], half[1], max(floor + rng.uniform(2.4, 4.5), eyes[:, 2].max() + 0.3)])
    wall, ground = _wall(rng), _wall(rng)
    colours = np.array([wall, wall, ground, wall, wall, np.clip(np.array(wall) * 0.3 + 0.6, 0, 0.9)])
    colours *= rng.uniform(0.85, 1.1, (6, 1))
    second = colours * rng.uniform(0.4, 1.2, (6, 1))
    tile = np.where(rng.random(6) < 0.25, rng.uniform(0.15, 0.9, 6), 0.0)
    tile[2] = rng.choice([0.0, rng.uniform(0.1, 0.25), rng.uniform(0.3, 0.6)])
    posters = [_poster(rng, low, high) for _ in range(rng.integers(0, 14))]
    return Room(low, high, colours, second, tile, np.array(posters).reshape(-1, 8))


def _wall(rng: np.random.Generator) -> tuple[float, float, float]:
    base = rng.uniform(70, 245)
    return linear(np.clip(base + rng.normal(0, 14, 3), 20, 250))


def _poster(rng: np.random.Generator, low: np.ndarray, high: np.ndarray) -> list[float]:
    """A picture, door, window or cupboard: a rectangle on a wall."""
    wall = int(rng.choice([0, 1, 3, 4]))
    along = 1 if wall % 3 == 0 else 0
    width, height = rng.uniform(0.3, 1.6), rng.uniform(0.3, 2.1)
    left = rng.uniform(low[along], high[along] - width)
    bottom = low[2] + (0.0 if rng.random() < 0.4 else rng.uniform(0.3, 1.6))
    return [wall, left, bottom, width, height, *linear((rng.uniform(20, 235) + rng.normal(0, 40, 3)).clip(5, 250))]


def box(centre: np.ndarray, size: np.ndarray, turn: np.ndarray, material: Material) -> Mesh:
    """A thing to stand in the way: a block with edges `size` (3,) m, turned by `turn` (3, 3)."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float) / 2
    points, way = [], []
    triangles: list[list[int]] = []
    for axis in range(3):
        for sign in (-1, 1):
            face = corners[corners[:, axis] == sign / 2]
            start = 4 * len(triangles) // 2
            points.append(face)
            way.append(np.tile(np.eye(3)[axis] * sign, (4, 1)))
            one = [[start, start + 1, start + 3], [start, start + 3, start + 2]]
            triangles += one if (axis == 1) == (sign > 0) else [triangle[::-1] for triangle in one]  # outwards
    local = np.concatenate(points)
    count = len(local)
    return Mesh(
        centre + (local * size) @ turn.T, np.concatenate(way) @ turn.T,
        looks(local * size, np.ones((count, 3)), np.full(count, 0.9)), np.array(triangles, np.int32),
        np.zeros(len(triangles), np.int64), (material,),
    )  # fmt: skip


def draw_things(rng: np.random.Generator, eye: np.ndarray, body: np.ndarray, most: int = 2) -> Sequence[Mesh]:
    """Things between a camera at `eye` (3,) m and points of a person (n, 3) m; in a third of cases there are any."""
    if rng.random() > 0.35:
        return ()
    found = []
    for _ in range(rng.integers(1, most + 1)):
        target = body[rng.integers(len(body))]
        near = rng.uniform(0.2, 0.75)
        size = rng.uniform(0.05, 0.4, 3) * (1 - near)
        turn = Rotation.random(random_state=rng).as_matrix()
        place = target + near * (eye - target) + rng.normal(0, 0.12, 3)
        if np.linalg.norm(body - place, axis=1).min() > 0.5 * np.linalg.norm(size) + 0.05:
            one, two = (linear((rng.uniform(20, 230) + rng.normal(0, 35, 3)).clip(5, 250)) for _ in range(2))
            pattern = Pattern(rng.choice([0, 0, 1, 3, 4]))
            found.append(box(place, size, turn, Material(one, two, pattern, size=0.08, mottle=0.15)))
    return found
