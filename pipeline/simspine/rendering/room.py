"""What stands behind a person: the inside of a room, seen by rays; or a picture."""

from dataclasses import dataclass

import numpy as np
from numba import njit

from simspine.rendering.projection import straightened
from simspine.rendering.shade import ShadowMap, flat_noise, lit_at
from simspine.types import Camera

_ON_WALLS = 0.6  # share of the lamp that walls get
_GRID = 16  # px between the rays that are worked out through the lens; linear between them


@dataclass(frozen=True, eq=False)
class Room:
    """A box, z up. low, high: (3,) m, its corners. colours: (6, 3) linear RGB of the walls at low x, y, z (the floor)
    and high x, y, z (the ceiling). second: (6, 3) the colour of joints, planks and stains. tile: (6,) m, of the
    pattern; 0 for none. posters: (k, 8) wall, its left, bottom, width, height (m along the wall), linear RGB.
    """

    low: np.ndarray
    high: np.ndarray
    colours: np.ndarray
    second: np.ndarray
    tile: np.ndarray
    posters: np.ndarray


def rays(camera: Camera) -> np.ndarray:
    """(height, width, 3) float32: ways in the world through the pixels, of any length."""
    import cv2

    width, height = camera.size
    columns, rows = np.meshgrid(np.arange(0, width + _GRID, _GRID), np.arange(0, height + _GRID, _GRID))
    grid = np.column_stack([columns.ravel(), rows.ravel()]).astype(float)
    normal = straightened(camera, grid)
    if not np.isfinite(normal).all():  # the lens model folds outside the image
        pinhole = Camera(camera.name, camera.size, camera.K, np.zeros(5), camera.R, camera.t)
        normal = np.where(np.isfinite(normal), normal, straightened(pinhole, grid))
    ways = (np.column_stack([normal, np.ones(len(normal))]) @ camera.R).reshape(*columns.shape, 3)
    x, y = np.meshgrid(np.arange(width) / _GRID, np.arange(height) / _GRID)
    return cv2.remap(ways.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)


@dataclass(frozen=True, eq=False)
class RoomView:
    """A room in one camera, but for shadows. dark: (height, width, 3) float32 linear colours without the lamp; lamp:
    what the lamp adds. places: (height, width, 3) m, of what is seen. floor: (height, width) bool.
    """

    dark: np.ndarray
    lamp: np.ndarray
    places: np.ndarray
    floor: np.ndarray


def room_seen(room: Room, camera: Camera, light: np.ndarray, lamp: np.ndarray) -> RoomView:
    """A room in a camera. light, lamp: (3,) linear RGB that everything gets, and that the lamp adds."""
    shape = (camera.size[1], camera.size[0])
    dark, bright, places = (np.empty((*shape, 3), np.float32) for _ in range(3))
    floor = np.zeros(shape, np.bool_)
    box = np.stack([room.low, room.high]).astype(np.float32)
    _room(
        rays(camera), camera.centre.astype(np.float32), box, room.colours.astype(np.float32),
        room.second.astype(np.float32), room.tile.astype(np.float32), room.posters.astype(np.float32),
        light.astype(np.float32), lamp.astype(np.float32), dark, bright, places, floor,
    )  # fmt: skip
    return RoomView(dark, bright, places, floor)


def with_shadow(view: RoomView, shadow: ShadowMap) -> np.ndarray:
    """(height, width, 3) float32 linear colours of a room, with a person's shadow on its floor."""
    out = np.empty_like(view.dark)
    _shadowed(view.dark, view.lamp, view.places, view.floor, *shadow, out)
    return out


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _shadowed(dark, lamp, places, floor, map_depth, frame, origin, out):
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            reached = np.float32(_ON_WALLS)
            if floor[y, x]:
                reached = lit_at(places[y, x, 0], places[y, x, 1], places[y, x, 2], map_depth, frame, origin)
            for c in range(3):
                out[y, x, c] = dark[y, x, c] + reached * lamp[y, x, c]


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _room(ways, eye, box, colours, second, tile, posters, light, lamp, dark, bright_part, places, floor):
    x0, y0, z0 = eye[0], eye[1], eye[2]
    for row in range(dark.shape[0]):
        for column in range(dark.shape[1]):
            wx, wy, wz = ways[row, column, 0], ways[row, column, 1], ways[row, column, 2]
            # the eye is inside, so each way leaves through the nearest of three planes
            sx, sy, sz = 1 if wx > 0.0 else 0, 1 if wy > 0.0 else 0, 1 if wz > 0.0 else 0
            tx, ty, tz = (box[sx, 0] - x0) / wx, (box[sy, 1] - y0) / wy, (box[sz, 2] - z0) / wz
            nearest, wall = tx, 3 * sx
            if ty < nearest:
                nearest, wall = ty, 1 + 3 * sy
            if tz < nearest:
                nearest, wall = tz, 2 + 3 * sz
            x, y, z = x0 + nearest * wx, y0 + nearest * wy, z0 + nearest * wz
            places[row, column, 0], places[row, column, 1], places[row, column, 2] = x, y, z
            floor[row, column] = wall == 2
            axis = wall % 3
            u, v = (y if axis == 0 else x), (y if axis == 2 else z)
            amount = _texture(u, v, wall, tile[wall])
            poster = -1
            for k in range(len(posters)):
                p = posters[k]
                if p[0] == wall and p[1] < u < p[1] + p[3] and p[2] < v < p[2] + p[4]:
                    poster = k
            bright = np.float32(1.0)
            if axis != 2:  # darker towards floor and corners
                bright = np.float32(0.7) + np.float32(0.375) * min(z - box[0, 2], np.float32(0.8))
            for c in range(3):
                colour = colours[wall, c] * (1 - amount) + second[wall, c] * amount
                if poster >= 0:
                    colour = posters[poster, 5 + c] * (0.55 + 0.9 * flat_noise(u * 4.0, v * 4.0, poster))
                dark[row, column, c] = colour * bright * light[c]
                bright_part[row, column, c] = colour * bright * lamp[c]


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _texture(u, v, wall, tile):
    """Share of the second colour at a place of a wall."""
    if tile <= 0.0:
        return np.float32(0.25) * flat_noise(u * 6, v * 6, wall)
    a, b, grain, joint = u / tile, v / tile, np.float32(0.1), np.float32(0.03)
    if wall == 2:  # planks: joints along one way, ends displaced from row to row
        grain = np.float32(0.5) * flat_noise(a * 9, np.float32(1.2) * b, np.floor(a))
        b = b / 5 + np.float32(0.37) * np.floor(a)
        joint = np.float32(0.006)
    if a - np.floor(a) < np.float32(0.03) or b - np.floor(b) < joint:
        return np.float32(1.0)
    return grain
