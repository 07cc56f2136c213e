"""A z-buffer, and the meshes, materials and lights of rendered scenes."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from simspine.core.kernels import njit

# A z-buffer holds the visible triangle of each pixel, and its depth along the optical axis.
# Pixel (column, row) is sampled at its middle, which is (column, row) in image coordinates (as in OpenCV). Corners are
# projected through the lens. Edges between them are straight in the image, and interpolation is perspectively correct
# for a pinhole. In triangles as small as those of a body, the lens bends an edge by far less than a pixel.


NEAR_PLANE_M = 0.05  # m; triangles with a corner nearer to the camera, or behind it, are left out
NO_TRIANGLE = -1  # in place of a triangle's number where nothing is visible
_ZERO, _ONE, _EDGE_TOLERANCE = np.float32(0.0), np.float32(1.0), np.float32(1e-9)
_TRIANGLE_BITS = 0xFFFFFFFF  # the bits of a key that hold the triangle


class Visible(NamedTuple):
    """The visible triangles. depth: (height, width) m along the optical axis, infinite where there is none. triangle:
    (height, width) int32, number of the visible triangle, `NO_TRIANGLE` where there is none.
    """

    depth: np.ndarray
    triangle: np.ndarray


def rasterise_triangles(px: np.ndarray, depth: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> Visible:
    """Visible ones of triangles (t, 3) with corners at px (points, 2) and depth (points,) m. size: (width, height) px.

    Both sides of a triangle are visible. Of two triangles at equal depth, the first is visible.
    """
    nearest = np.zeros(size[::-1], np.int64)
    depth = np.asarray(depth, np.float32)
    inverse = np.where(depth > NEAR_PLANE_M, _ONE / np.where(depth > NEAR_PLANE_M, depth, _ONE), _ZERO)
    _fill_nearest(np.ascontiguousarray(px, np.float32), inverse, triangles, nearest)
    number = np.where(nearest > _TRIANGLE_BITS, _TRIANGLE_BITS - (nearest & _TRIANGLE_BITS), NO_TRIANGLE)
    with np.errstate(divide="ignore"):
        near = _ONE / (nearest >> 32).astype(np.int32).view(np.float32)
    return Visible(near, number.astype(np.int32))


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _fill_nearest(px, inverse, triangles, nearest):
    """Draw into `nearest` (height, width) int64: the bits of 1 / depth above those of the triangle's number.

    inverse: (points,) 1 / depth, 0 for points that are not in front of the camera.

    Positive floats have the order of their bits, so the larger key is the nearer triangle; at equal depth it is the
    first, since the number is complemented. One maximum in place of a branch makes small triangles cheap.
    """
    height, width = nearest.shape
    most_x, most_y = np.float32(width - 1), np.float32(height - 1)
    for t in range(len(triangles)):
        a, b, c = np.uint32(triangles[t, 0]), np.uint32(triangles[t, 1]), np.uint32(triangles[t, 2])
        ax, ay, bx, by, cx, cy = px[a, 0], px[a, 1], px[b, 0], px[b, 1], px[c, 0], px[c, 1]
        left, right = max(np.ceil(min(ax, bx, cx)), _ZERO), min(np.floor(max(ax, bx, cx)), most_x)
        top, bottom = max(np.ceil(min(ay, by, cy)), _ZERO), min(np.floor(max(ay, by, cy)), most_y)
        if not (left <= right and top <= bottom):  # contains no sample, is outside the image, or has NaN
            continue
        ia, ib, ic = inverse[a], inverse[b], inverse[c]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not (ia > _ZERO and ib > _ZERO and ic > _ZERO and abs(area) > _EDGE_TOLERANCE):
            continue
        scale = _ONE / area
        # weights of b and c are affine in x and y; a has the rest
        bdx, bdy = (cy - ay) * scale, (ax - cx) * scale
        cdx, cdy = (ay - by) * scale, (bx - ax) * scale
        zx, zy = (ib - ia) * bdx + (ic - ia) * cdx, (ib - ia) * bdy + (ic - ia) * cdy
        x0, first, count, number = left - ax, np.uint32(left), int(right) - int(left) + 1, _TRIANGLE_BITS - np.int64(t)
        for y in range(int(top), int(bottom) + 1):
            y0 = np.float32(y) - ay
            wb, wc = x0 * bdx + y0 * bdy, x0 * cdx + y0 * cdy
            z = ia + x0 * zx + y0 * zy
            row, x = nearest[y], first
            for _ in range(count):
                over = (wb >= _ZERO) & (wc >= _ZERO) & (wb + wc <= _ONE)
                bits = np.int64(np.float32(z if over else _ZERO).view(np.int32))
                row[x] = max(row[x], (bits << 32) | number)
                x += np.uint32(1)
                wb += bdx
                wc += cdx
                z += zx


@njit(cache=True, error_model="numpy", nogil=True)
def barycentric_weights_at(px, depth, corners, x, y):
    """Weights of a triangle's three corners at pixel (x, y), perspectively correct. corners: (3,) indices of points."""
    a, b, c = corners[0], corners[1], corners[2]
    ax, ay = px[a, 0], px[a, 1]
    area = (px[b, 0] - ax) * (px[c, 1] - ay) - (px[b, 1] - ay) * (px[c, 0] - ax)
    wb = ((x - ax) * (px[c, 1] - ay) - (y - ay) * (px[c, 0] - ax)) / area
    wc = ((px[b, 0] - ax) * (y - ay) - (px[b, 1] - ay) * (x - ax)) / area
    wa = (1.0 - wb - wc) / depth[a]
    wb, wc = wb / depth[b], wc / depth[c]
    total = wa + wb + wc
    return wa / total, wb / total, wc / total


class Pattern(IntEnum):
    """Pattern of a material's second colour."""

    PLAIN = 0  # no second colour
    RINGS = 1  # stripes across the body
    STRIPES = 2  # stripes along the body
    CHECKS = 3
    BLOTCHES = 4


@dataclass(frozen=True)
class Material:
    """A surface material. colour, second: linear RGB 0…1. size: m, of the pattern. mottle: random variation of the
    colour, as a share. fold: rotation of the normal by folds, rad; fold_size: m. gloss: of the highlight, 0…1.
    """

    colour: tuple[float, float, float]
    second: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern: Pattern = Pattern.PLAIN
    size: float = 0.04
    mottle: float = 0.05
    fold: float = 0.0
    fold_size: float = 0.05
    gloss: float = 0.05


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh. points, normals: (n, 3), m in the world. looks: (n, 7) float32, surface attributes independent
    of the pose, see `surface_looks`. triangles: (t, 3) int32. material: (t,) number in `materials`.
    """

    points: np.ndarray
    normals: np.ndarray
    looks: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    materials: tuple[Material, ...]


def surface_looks(texture: np.ndarray, tint: np.ndarray, open_sky: np.ndarray) -> np.ndarray:
    """(n, 7) float32: texture (n, 3) m, coordinates of patterns; tint (n, 3), colour factors; open_sky (n,) 0…1."""
    return np.column_stack([texture, tint, open_sky]).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Light:
    """Light of a scene. way: (3,) unit vector towards the lamp or sun. strength: of the lamp; sky: light from above;
    ground: light from below; each (3,) linear RGB."""

    way: np.ndarray
    strength: np.ndarray
    sky: np.ndarray
    ground: np.ndarray


def join_meshes(parts: Sequence[Mesh]) -> Mesh:
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.points) for part in parts)])
    firsts = np.cumsum([0, *(len(part.materials) for part in parts)])
    return Mesh(
        points=np.concatenate([p.points for p in parts]),
        normals=np.concatenate([p.normals for p in parts]),
        looks=np.concatenate([p.looks for p in parts]),
        triangles=np.concatenate([p.triangles + np.int32(start) for p, start in zip(parts, starts[:-1], strict=True)]),
        material=np.concatenate([p.material + first for p, first in zip(parts, firsts[:-1], strict=True)]),
        materials=tuple(material for part in parts for material in part.materials),
    )  # fmt: skip


def material_table(materials: Sequence[Material]) -> np.ndarray:
    """(materials, 12) float32, the layout that the compiled shader reads."""
    return np.array(
        [[*m.colour, *m.second, float(m.pattern), m.size, m.mottle, m.fold, m.fold_size, m.gloss] for m in materials],
        np.float32,
    )
