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
_I, _J, _K = np.uint32(374761393), np.uint32(668265263), np.uint32(974634777)  # steps of the noise's seeds


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


class Drawn(NamedTuple):
    """px: (n, 2) float32, of a mesh's points in the image. depth: (n,) float32 m. seen: what the z-buffer shows."""

    px: np.ndarray
    depth: np.ndarray
    seen: Visible


def shade(
    mesh: Mesh, drawn: Drawn, eye: np.ndarray, light: Light, shadow: ShadowMap, behind: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(height, width, 3) float32 linear colours of what is seen before `behind`, and (parts, height, width) uint8: in
    how many samples of a pixel each part is seen.

    drawn: of the mesh, with as many samples a pixel as it is larger than `behind` (height, width, 3). eye: (3,) m, the
    camera's centre. first: (parts + 1,) the first triangle of each part, ascending, and the end of the last. A pixel
    gets the colour of the first of its samples in which something is seen, by the share of those in which anything is.
    """
    out, step = np.empty_like(behind), len(drawn.seen.triangle) // len(behind)
    count = np.zeros((len(first) - 1, *behind.shape[:2]), np.uint8)
    lamp = np.stack([light.way, light.strength, light.sky, light.ground]).astype(np.float32)
    _shade(
        mesh.points, mesh.normals, mesh.looks, drawn.px, drawn.depth, mesh.triangles, mesh.material,
        table(mesh.materials), drawn.seen.triangle, eye.astype(np.float32), lamp, *shadow, behind, step, first,
        out, count,
    )  # fmt: skip
    return out, count


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _shade(
    points, normals, looks, px, depth, triangles, material, materials, seen, eye, lamp, map_depth, frame, origin,
    behind, step, first, out, count,
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
                        for part in range(len(count)):
                            count[part, row, column] += first[part] <= t < first[part + 1]
            if t < 0:
                for c in range(3):
                    out[row, column, c] = behind[row, column, c]
                continue
            over = np.float32(anything) * share
            corner = triangles[t]
            wa, wb, wc = weights_at(px, depth, corner, x, y)
            p, q, r = corner[0], corner[1], corner[2]
            for i in range(3):
                v[i] = wa * points[p, i] + wb * points[q, i] + wc * points[r, i]
                v[3 + i] = wa * normals[p, i] + wb * normals[q, i] + wc * normals[r, i]
            for i in range(7):
                v[6 + i] = wa * looks[p, i] + wb * looks[q, i] + wc * looks[r, i]
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
                drawn = np.float32(colour * (lamp[1, c] * lit + ambient) + gloss * lamp[1, c])
                out[row, column, c] = over * drawn + (np.float32(1.0) - over) * behind[row, column, c]


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
    h = _seed(int(i), int(j), int(k))
    low = (_mixed(h) * (1 - a) + _mixed(h + _I) * a) * (1 - b)
    low += (_mixed(h + _J) * (1 - a) + _mixed(h + _I + _J) * a) * b
    h += _K
    high = (_mixed(h) * (1 - a) + _mixed(h + _I) * a) * (1 - b)
    high += (_mixed(h + _J) * (1 - a) + _mixed(h + _I + _J) * a) * b
    return low * (1 - c) + high * c


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def slope(x, y, z):
    """`noise`, and its gradient in three numbers."""
    i, j, k = np.floor(x), np.floor(y), np.floor(z)
    a, b, c = x - i, y - j, z - k
    h = _seed(int(i), int(j), int(k))
    v000, v100, v010, v110 = _mixed(h), _mixed(h + _I), _mixed(h + _J), _mixed(h + _I + _J)
    h += _K
    v001, v101, v011, v111 = _mixed(h), _mixed(h + _I), _mixed(h + _J), _mixed(h + _I + _J)
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
    h = _seed(int(i), int(j), int(layer))
    low = _mixed(h) * (1 - a) + _mixed(h + _I) * a
    return low * (1 - b) + (_mixed(h + _J) * (1 - a) + _mixed(h + _I + _J) * a) * b


@njit(cache=True, nogil=True)
def _seed(i, j, k):
    """Of three whole numbers; that of the next along an axis is `_I`, `_J` or `_K` more."""
    return np.uint32(i) * _I + np.uint32(j) * _J + np.uint32(k) * _K


@njit(cache=True, nogil=True)
def _mixed(seed):
    """0…1, of a seed: the mixing of xxHash's last step."""
    h = np.uint32(seed)
    h = np.uint32((h ^ (h >> np.uint32(15))) * np.uint32(2246822519))
    h = np.uint32((h ^ (h >> np.uint32(13))) * np.uint32(3266489917))
    return np.float32(h ^ (h >> np.uint32(16))) * np.float32(2.3283064e-10)
