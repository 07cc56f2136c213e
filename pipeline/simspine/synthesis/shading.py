"""Shading of people, objects and the walls of a room, pixel by pixel, in compiled code."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from simspine.core.geometry import undistort_pixels
from simspine.core.kernels import njit
from simspine.core.types import Camera
from simspine.synthesis.raster import Light, Mesh, Visible, barycentric_weights_at, material_table, rasterise_triangles

# Shading of meshes: one pass over the pixels.
# It adds diffuse light of a lamp (with shadow), of the sky above and of the ground below (weaker where the surface sees
# little sky), and a soft highlight. Colours are linear.


_SHADOW_SIZE = 192  # px of a side of the shadow map
_SHADOW_BIAS_M = 0.012  # m; points up to this far behind the shadow map's depth are lit
_LIGHT_WRAP = 0.25  # diffuse light ends where the cosine of normal and lamp is minus this
_NOISE_SIZE = 32  # period of the noise along an axis
_NOISE = np.random.default_rng(0).random((_NOISE_SIZE,) * 3, np.float32)


class ShadowMap(NamedTuple):
    """What the lamp sees along parallel rays. frame @ x + origin: px (column, row) and depth of a point x."""

    depth: np.ndarray
    frame: np.ndarray
    origin: np.ndarray


def shadow_map(points: np.ndarray, triangles: np.ndarray, way: np.ndarray) -> ShadowMap:
    """The shadow map of a mesh for a distant lamp in direction `way` (3,)."""
    across = np.cross(way, [0.11, 0.27, 0.95] if abs(way[2]) < 0.9 else [1.0, 0, 0])
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(way, across), -way])
    placed = (frame @ points.T).astype(np.float32).T
    low = np.array([axis.min() for axis in placed.T])
    wide = max(float(axis.max() - least) for axis, least in zip(placed.T[:2], low, strict=False))
    scale = (_SHADOW_SIZE - 5) / wide
    scaled = frame * np.array([scale, scale, 1.0])[:, None]
    origin = np.array([2 - scale * low[0], 2 - scale * low[1], 1 - low[2]])
    placed.T[:2] *= np.float32(scale)
    placed += origin.astype(np.float32)
    seen = rasterise_triangles(placed[:, :2], placed[:, 2], triangles, (_SHADOW_SIZE, _SHADOW_SIZE))
    return ShadowMap(seen.depth, scaled.astype(np.float32), origin.astype(np.float32))


class DrawnPixels(NamedTuple):
    """A rasterised mesh. px: (n, 2) float32, of its points in the image. depth: (n,) float32 m. seen: the z-buffer."""

    px: np.ndarray
    depth: np.ndarray
    seen: Visible


def shade_pixels(
    mesh: Mesh, drawn: DrawnPixels, eye: np.ndarray, light: Light, shadow: ShadowMap, behind: np.ndarray, person: int
) -> tuple[np.ndarray, np.ndarray]:
    """Linear colours (height, width, 3) float32 of a mesh in front of `behind`, and (height, width) uint8: number of a
    pixel's samples that show the person (the mesh's first `person` triangles).

    drawn: the rasterised mesh, larger than `behind` (height, width, 3) by the number of samples per side of a pixel.
    eye: (3,) m, the camera's centre. A pixel has the colour of its first sample that shows the mesh, blended with
    `behind` by the share of such samples.
    """
    out, step = np.empty_like(behind), len(drawn.seen.triangle) // len(behind)
    count = np.zeros(behind.shape[:2], np.uint8)
    lamp = np.stack([light.way, light.strength, light.sky, light.ground]).astype(np.float32)
    _shade_triangles(
        mesh.points, mesh.normals, mesh.looks, drawn.px, drawn.depth, mesh.triangles, mesh.material,
        material_table(mesh.materials), drawn.seen.triangle, eye.astype(np.float32), lamp, *shadow, behind, step,
        person, out, count,
    )  # fmt: skip
    return out, count


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _shade_triangles(
    points, normals, looks, px, depth, triangles, material, materials, seen, eye, lamp, map_depth, frame, origin,
    behind, step, person, out, count,
):  # fmt: skip
    # v: place 0–2, normal 3–5, texture 6–8, tint 9–11, open sky 12
    v, share = np.empty(13, np.float32), np.float32(1.0) / np.float32(step * step)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y, t, anything = 0, 0, -1, 0
            for j in range((row + 1) * step - 1, row * step - 1, -1):
                for i in range((column + 1) * step - 1, column * step - 1, -1):
                    if seen[j, i] >= 0:
                        x, y, t = i, j, seen[j, i]
                        anything += 1
                        count[row, column] += t < person
            if t < 0:
                for c in range(3):
                    out[row, column, c] = behind[row, column, c]
                continue
            over = np.float32(anything) * share
            corner = triangles[t]
            wa, wb, wc = barycentric_weights_at(px, depth, corner, x, y)
            p, q, r = corner[0], corner[1], corner[2]
            for i in range(3):
                v[i] = wa * points[p, i] + wb * points[q, i] + wc * points[r, i]
                v[3 + i] = wa * normals[p, i] + wb * normals[q, i] + wc * normals[r, i]
            for i in range(7):
                v[6 + i] = wa * looks[p, i] + wb * looks[q, i] + wc * looks[r, i]
            m = materials[material[t]]
            nx, ny, nz, mottled = _bumped_normal(v, m)
            ex, ey, ez = eye[0] - v[0], eye[1] - v[1], eye[2] - v[2]
            far = np.sqrt(ex * ex + ey * ey + ez * ez)
            if nx * ex + ny * ey + nz * ez < 0.0:  # the inner side of a hem
                nx, ny, nz = -nx, -ny, -nz
            facing = nx * lamp[0, 0] + ny * lamp[0, 1] + nz * lamp[0, 2]
            lit = max((facing + _LIGHT_WRAP) / (1.0 + _LIGHT_WRAP), 0.0)
            if lit > 0.0:
                lit *= light_share_at(v[0], v[1], v[2], map_depth, frame, origin)
            hx, hy, hz = lamp[0, 0] + ex / far, lamp[0, 1] + ey / far, lamp[0, 2] + ez / far
            half = max((nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz), 0.0)
            half *= half
            half *= half
            half *= half
            gloss = m[11] * half * half * half * lit  # the 24th power
            up = 0.5 + 0.5 * nz
            shade_of = pattern_at(v[6], v[7], v[8], m) if m[6] > 0.0 else np.float32(0.0)
            for c in range(3):
                colour = (m[c] * (1.0 - shade_of) + m[3 + c] * shade_of) * mottled * v[9 + c]
                ambient = (lamp[2, c] * up + lamp[3, c] * (1.0 - up)) * v[12]
                drawn = np.float32(colour * (lamp[1, c] * lit + ambient) + gloss * lamp[1, c])
                out[row, column, c] = over * drawn + (np.float32(1.0) - over) * behind[row, column, c]


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _bumped_normal(v, m):
    """The normal at a pixel with the material's folds, and the factor of its colour, from the same noise."""
    nx, ny, nz = v[3], v[4], v[5]
    height = np.float32(0.5)
    if m[8] > 0.0 or m[9] > 0.0:
        # Folds hang: they are longer along the body (world z) than across.
        height, gx, gy, gz = noise_gradient(v[6] / m[10], v[7] / (np.float32(2.5) * m[10]), v[8] / m[10])
        nx, ny, nz = nx + m[9] * gx, ny + m[9] * gz, nz + m[9] * gy
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length, 1 + m[8] * (2 * height - 1)


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def light_share_at(x, y, z, map_depth, frame, origin):
    """Share (0…1) of the lamp's light that reaches a point: weighted mean of 2 × 2 samples of the shadow map."""
    u = frame[0, 0] * x + frame[0, 1] * y + frame[0, 2] * z + origin[0]
    v = frame[1, 0] * x + frame[1, 1] * y + frame[1, 2] * z + origin[1]
    far = frame[2, 0] * x + frame[2, 1] * y + frame[2, 2] * z + origin[2]
    i, j = int(np.floor(u)), int(np.floor(v))
    if i < 0 or j < 0 or i + 1 >= map_depth.shape[1] or j + 1 >= map_depth.shape[0]:
        return 1.0
    a, b = u - i, v - j
    free = 0.0
    for dj in range(2):
        for di in range(2):
            if far < map_depth[j + dj, i + di] + _SHADOW_BIAS_M:
                free += (a if di else 1.0 - a) * (b if dj else 1.0 - b)
    return free


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def pattern_at(x, y, z, m):
    """Share (0…1) of the second colour at texture coordinates (x forward, y up, z right, m)."""
    kind, size = int(m[6]), m[7]
    if kind == 1:
        return 1.0 if y / size - np.floor(y / size) < 0.5 else 0.0
    if kind == 2:
        along = (x + z) / size
        return 1.0 if along - np.floor(along) < 0.35 else 0.0
    if kind == 3:
        a, b = y / size, (x + z) / size
        one = 0.5 if a - np.floor(a) < 0.5 else 0.0
        return one + (0.5 if b - np.floor(b) < 0.5 else 0.0)
    if kind == 4:
        return 1.0 if noise_gradient(x / size, y / size, z / size)[0] > 0.58 else 0.0
    return 0.0


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def noise_gradient(x, y, z):
    """Smooth noise 0…1 (interpolated between random values on a grid of spacing 1), and its gradient."""
    i, j, k = np.floor(x), np.floor(y), np.floor(z)
    a, b, c = x - i, y - j, z - k
    i0, j0, k0 = int(i) % _NOISE_SIZE, int(j) % _NOISE_SIZE, int(k) % _NOISE_SIZE
    i1, j1, k1 = (i0 + 1) % _NOISE_SIZE, (j0 + 1) % _NOISE_SIZE, (k0 + 1) % _NOISE_SIZE
    v000, v100, v010, v110 = _NOISE[i0, j0, k0], _NOISE[i1, j0, k0], _NOISE[i0, j1, k0], _NOISE[i1, j1, k0]
    v001, v101, v011, v111 = _NOISE[i0, j0, k1], _NOISE[i1, j0, k1], _NOISE[i0, j1, k1], _NOISE[i1, j1, k1]
    d, e, f = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
    x00, x10, x01, x11 = v100 - v000, v110 - v010, v101 - v001, v111 - v011
    low0, low1 = v000 + d * x00, v010 + d * x10
    high0, high1 = v001 + d * x01, v011 + d * x11
    dx = ((x00 * (1 - e) + x10 * e) * (1 - f) + (x01 * (1 - e) + x11 * e) * f) * 6 * a * (1 - a)
    dy = ((low1 - low0) * (1 - f) + (high1 - high0) * f) * 6 * b * (1 - b)
    dz = ((high0 + e * (high1 - high0)) - (low0 + e * (low1 - low0))) * 6 * c * (1 - c)
    value = (low0 + e * (low1 - low0)) * (1 - f) + (high0 + e * (high1 - high0)) * f
    return value, dx, dy, dz


# The background of a person: the inside of a room, by ray casting.


_ON_WALLS = 0.6  # share of the lamp's light on walls
_RAY_GRID_PX = 16  # px between rays computed through the lens; other rays are interpolated linearly


@dataclass(frozen=True, eq=False)
class Room:
    """A room: a box, z up. low, high: (3,) m, its corners. colours: (6, 3) linear RGB, walls at low x, y, z (floor),
    high x, y, z (ceiling). second: (6, 3), colour of joints, planks and stains. tile: (6,) m, size of the pattern;
    0: none. posters: (k, 8) number of the wall; left, bottom, width, height (m along the wall); linear RGB.
    """

    low: np.ndarray
    high: np.ndarray
    colours: np.ndarray
    second: np.ndarray
    tile: np.ndarray
    posters: np.ndarray


def pixel_rays(camera: Camera) -> np.ndarray:
    """(height, width, 3) float32: directions of the pixels' rays in the world, not normalised."""
    width, height = camera.size
    columns, rows = np.meshgrid(
        np.arange(0, width + _RAY_GRID_PX, _RAY_GRID_PX), np.arange(0, height + _RAY_GRID_PX, _RAY_GRID_PX)
    )
    grid = np.column_stack([columns.ravel(), rows.ravel()]).astype(float)
    normal = undistort_pixels(camera, grid)
    if not np.isfinite(normal).all():  # the lens model folds outside the image
        pinhole = Camera(name=camera.name, size=camera.size, K=camera.K, distortion=np.zeros(5), R=camera.R, t=camera.t)
        normal = np.where(np.isfinite(normal), normal, undistort_pixels(pinhole, grid))
    ways = (np.column_stack([normal, np.ones(len(normal))]) @ camera.R).reshape(*columns.shape, 3)
    x, y = np.meshgrid(np.arange(width) / _RAY_GRID_PX, np.arange(height) / _RAY_GRID_PX)
    return cv2.remap(ways.astype(np.float32), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)


def see_room(room: Room, camera: Camera, light: np.ndarray, lamp: np.ndarray, shadow: ShadowMap) -> np.ndarray:
    """(height, width, 3) float32 linear colours of a room in a camera, with a person's shadow on its floor.

    light: (3,) linear RGB of the ambient light; lamp: (3,) linear RGB that the lamp adds.
    """
    out = np.empty((camera.size[1], camera.size[0], 3), np.float32)
    box = np.stack([room.low, room.high]).astype(np.float32)
    _shade_room(
        pixel_rays(camera), camera.centre.astype(np.float32), box, room.colours.astype(np.float32),
        room.second.astype(np.float32), room.tile.astype(np.float32), room.posters.astype(np.float32),
        light.astype(np.float32), lamp.astype(np.float32), *shadow, out,
    )  # fmt: skip
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def wall_hit(eye, way, box):
    """Distance, in lengths of `way`, of a ray from inside a box to a wall, and the number of that wall."""
    nearest, wall = np.float32(np.inf), 0
    for axis in range(3):
        side = 1 if way[axis] > 0.0 else 0
        far = (box[side, axis] - eye[axis]) / way[axis]
        if far < nearest:
            nearest, wall = far, axis + 3 * side
    return nearest, wall


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _shade_room(
    ways, eye, box, colours, second, tile, posters, light, lamp, map_depth, frame, origin, out
):  # fmt: skip
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            way = ways[row, column]
            nearest, wall = wall_hit(eye, way, box)
            x, y, z = eye[0] + nearest * way[0], eye[1] + nearest * way[1], eye[2] + nearest * way[2]
            reached = light_share_at(x, y, z, map_depth, frame, origin) if wall == 2 else _ON_WALLS
            axis = wall % 3
            u, v = (y if axis == 0 else x), (y if axis == 2 else z)
            amount = _wall_texture(u, v, wall, tile[wall])
            poster = -1
            for k in range(len(posters)):
                p = posters[k]
                if p[0] == wall and p[1] < u < p[1] + p[3] and p[2] < v < p[2] + p[4]:
                    poster = k
            bright = np.float32(1.0)
            if axis != 2:  # darker towards floor and corners
                bright = np.float32(0.7) + np.float32(0.375) * min(z - box[0, 2], np.float32(0.8))
            stain = noise_gradient(u * 4.0, v * 4.0, np.float32(poster))[0] if poster >= 0 else 0.0
            for c in range(3):
                colour = colours[wall, c] * (1 - amount) + second[wall, c] * amount
                if poster >= 0:
                    colour = posters[poster, 5 + c] * (0.55 + 0.9 * stain)
                lamps = np.float32(colour * bright * lamp[c])
                out[row, column, c] = np.float32(colour * bright * light[c]) + reached * lamps


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _wall_texture(u, v, wall, tile):
    """Share of the second colour at a point (u, v) m of a wall."""
    if tile <= 0.0:
        return np.float32(0.25) * noise_gradient(u * 6, v * 6, np.float32(wall))[0]
    a, b, grain, joint = u / tile, v / tile, np.float32(0.1), np.float32(0.03)
    if wall == 2:  # planks: joints along one direction, ends offset between rows
        grain = np.float32(0.5) * noise_gradient(a * 9, np.float32(1.2) * b, np.floor(a))[0]
        b = b / 5 + np.float32(0.37) * np.floor(a)
        joint = np.float32(0.006)
    if a - np.floor(a) < np.float32(0.03) or b - np.floor(b) < joint:
        return np.float32(1.0)
    return grain
