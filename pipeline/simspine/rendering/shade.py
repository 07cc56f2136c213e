"""Light on what is seen: one pass over the pixels of a person or thing, compiled.

Diffuse light of a lamp with its shadow, of the sky above and the ground below, weakened where the surface sees little
sky; a soft highlight. Colours are linear.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from simspine.rendering.mesh import Light, Mesh, table
from simspine.rendering.raster import Visible, rasterise, weights_at

_SHADOW_SIZE = 192  # px of the map of what the lamp sees
_BIAS = 0.012  # m behind what the lamp sees that still counts as lit
_SOFT = 0.25  # how far light goes round an edge


class ShadowMap(NamedTuple):
    """What the lamp sees, along parallel rays: a point x is at px frame[:2] @ x + origin, frame[2] @ x m from it."""

    depth: np.ndarray
    frame: np.ndarray
    origin: np.ndarray


def shadow_map(points: np.ndarray, triangles: np.ndarray, way: np.ndarray) -> ShadowMap:
    """What a lamp far away in direction `way` (3,) sees of a mesh."""
    across = np.cross(way, [0.11, 0.27, 0.95] if abs(way[2]) < 0.9 else [1.0, 0, 0])
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(way, across), -way])
    placed = turned(points, frame)
    low = np.array([axis.min() for axis in placed.T])
    wide = max(float(axis.max() - least) for axis, least in zip(placed.T[:2], low, strict=False))
    scale = (_SHADOW_SIZE - 5) / wide
    scaled = frame * np.array([scale, scale, 1.0])[:, None]
    origin = np.array([2 - scale * low[0], 2 - scale * low[1], 1 - low[2]])
    placed.T[:2] *= np.float32(scale)
    placed += origin.astype(np.float32)
    seen = rasterise(placed[:, :2], placed[:, 2], triangles, (_SHADOW_SIZE, _SHADOW_SIZE))
    return ShadowMap(seen.depth, scaled.astype(np.float32), origin.astype(np.float32))


@njit(cache=True, error_model="numpy", nogil=True)
def turned(points, frame):
    """frame @ x of points (n, 3): (n, 3) float32, stored axis by axis."""
    out = np.empty((3, len(points)), np.float32)
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for k in range(3):
            out[k, i] = frame[k, 0] * x + frame[k, 1] * y + frame[k, 2] * z
    return out.T


def shade(
    mesh: Mesh,
    px: np.ndarray,
    depth: np.ndarray,
    seen: Visible,
    eye: np.ndarray,
    light: Light,
    shadow: ShadowMap,
    step: int = 1,
) -> np.ndarray:
    """(height / step, width / step, 3) float32 linear colours of what is seen; 0 where nothing is.

    px (n, 2), depth (n,): of the mesh's points in the image. eye: (3,) m, the camera's centre. step: one colour for
    each block of step × step samples, that of the first in which something is seen.
    """
    height, width = seen.triangle.shape
    out = np.zeros((height // step, width // step, 3), np.float32)
    lamp = np.stack([light.way, light.strength, light.sky, light.ground]).astype(np.float32)
    _shade(
        _vertices(mesh), px.astype(np.float32), depth.astype(np.float32), mesh.triangles, mesh.material,
        table(mesh.materials), seen.triangle, eye.astype(np.float32), lamp, *shadow, step, out,
    )  # fmt: skip
    return out


def _vertices(mesh: Mesh) -> np.ndarray:
    """(n, 13) float32: place, normal, texture, tint, open sky."""
    out = np.empty((len(mesh.points), 13), np.float32)
    parts = (mesh.points, mesh.normals, mesh.texture, mesh.tint, mesh.open_sky[:, None])
    start = 0
    for part in parts:
        out[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return out


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _shade(vertices, px, depth, triangles, material, materials, seen, eye, lamp, map_depth, frame, origin, step, out):
    v = np.empty(13, np.float32)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y, t = column * step, row * step, -1
            for k in range(step * step):
                if t < 0:
                    x, y = column * step + k % step, row * step + k // step
                    t = seen[y, x]
            if t < 0:
                continue
            corner = triangles[t]
            wa, wb, wc = weights_at(px, depth, corner, x, y)
            for i in range(13):
                v[i] = wa * vertices[corner[0], i] + wb * vertices[corner[1], i] + wc * vertices[corner[2], i]
            m = materials[material[t]]
            nx, ny, nz, mottled = _bumped(v, m)
            ex, ey, ez = eye[0] - v[0], eye[1] - v[1], eye[2] - v[2]
            far = np.sqrt(ex * ex + ey * ey + ez * ez)
            if nx * ex + ny * ey + nz * ez < 0.0:  # the inner side of a hem
                nx, ny, nz = -nx, -ny, -nz
            facing = nx * lamp[0, 0] + ny * lamp[0, 1] + nz * lamp[0, 2]
            lit = max((facing + _SOFT) / (1.0 + _SOFT), 0.0)
            if lit > 0.0:
                lit *= lit_at(v[0], v[1], v[2], map_depth, frame, origin)
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
                out[row, column, c] = colour * (lamp[1, c] * lit + ambient) + gloss * lamp[1, c]


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _bumped(v, m):
    """The normal at a pixel, turned by the material's bumps, and the factor of its colour, which goes with them."""
    nx, ny, nz = v[3], v[4], v[5]
    height = np.float32(0.5)
    if m[8] > 0.0 or m[9] > 0.0:
        # Folds hang: longer along the body than across. World axes stand for the body's; the bumps are nobody's anyway.
        height, gx, gy, gz = slope(v[6] / m[10], v[7] / (np.float32(2.5) * m[10]), v[8] / m[10])
        nx, ny, nz = nx + m[9] * gx, ny + m[9] * gz, nz + m[9] * gy
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    return nx / length, ny / length, nz / length, 1 + m[8] * (2 * height - 1)


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def lit_at(x, y, z, map_depth, frame, origin):
    """Share (0…1) of the lamp's light that reaches a point: mean of 2 × 2 looks into the shadow map, weighted."""
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
            if far < map_depth[j + dj, i + di] + _BIAS:
                free += (a if di else 1.0 - a) * (b if dj else 1.0 - b)
    return free


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def pattern_at(x, y, z, m):
    """How much of the second colour (0…1) is at a place of the texture (x forward, y up, z right, m)."""
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
        return 1.0 if noise(x / size, y / size, z / size) > 0.58 else 0.0
    return 0.0


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def noise(x, y, z):
    """Smooth noise 0…1 with features of length 1: values at the corners of a grid, blended."""
    i, j, k = np.floor(x), np.floor(y), np.floor(z)
    a, b, c = x - i, y - j, z - k
    a, b, c = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
    p, q, r = int(i), int(j), int(k)
    low = (_hash(p, q, r) * (1 - a) + _hash(p + 1, q, r) * a) * (1 - b)
    low += (_hash(p, q + 1, r) * (1 - a) + _hash(p + 1, q + 1, r) * a) * b
    high = (_hash(p, q, r + 1) * (1 - a) + _hash(p + 1, q, r + 1) * a) * (1 - b)
    high += (_hash(p, q + 1, r + 1) * (1 - a) + _hash(p + 1, q + 1, r + 1) * a) * b
    return low * (1 - c) + high * c


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def slope(x, y, z):
    """`noise`, and its gradient in three numbers."""
    i, j, k = np.floor(x), np.floor(y), np.floor(z)
    a, b, c = x - i, y - j, z - k
    p, q, r = int(i), int(j), int(k)
    v000, v100, v010, v110 = _hash(p, q, r), _hash(p + 1, q, r), _hash(p, q + 1, r), _hash(p + 1, q + 1, r)
    r += 1
    v001, v101, v011, v111 = _hash(p, q, r), _hash(p + 1, q, r), _hash(p, q + 1, r), _hash(p + 1, q + 1, r)
    d, e, f = a * a * (3 - 2 * a), b * b * (3 - 2 * b), c * c * (3 - 2 * c)
    x00, x10, x01, x11 = v100 - v000, v110 - v010, v101 - v001, v111 - v011
    low0, low1 = v000 + d * x00, v010 + d * x10
    high0, high1 = v001 + d * x01, v011 + d * x11
    dx = ((x00 * (1 - e) + x10 * e) * (1 - f) + (x01 * (1 - e) + x11 * e) * f) * 6 * a * (1 - a)
    dy = ((low1 - low0) * (1 - f) + (high1 - high0) * f) * 6 * b * (1 - b)
    dz = ((high0 + e * (high1 - high0)) - (low0 + e * (low1 - low0))) * 6 * c * (1 - c)
    value = (low0 + e * (low1 - low0)) * (1 - f) + (high0 + e * (high1 - high0)) * f
    return value, dx, dy, dz


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def flat_noise(x, y, layer):
    """Smooth noise 0…1 in a plane; each whole number `layer` has its own."""
    i, j = np.floor(x), np.floor(y)
    a, b = x - i, y - j
    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)
    p, q, r = int(i), int(j), int(layer)
    low = _hash(p, q, r) * (1 - a) + _hash(p + 1, q, r) * a
    return low * (1 - b) + (_hash(p, q + 1, r) * (1 - a) + _hash(p + 1, q + 1, r) * a) * b


@njit(cache=True, inline="always")
def _hash(i, j, k):
    """0…1, of three whole numbers: the mixing of xxHash's last step."""
    h = np.uint32(i * 374761393 + j * 668265263 + k * 974634777)
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(2246822519))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(3266489917))
    return np.float32(h ^ (h >> np.uint32(16))) * np.float32(2.3283064e-10)
