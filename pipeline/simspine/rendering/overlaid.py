"""A lit mesh drawn over a picture. Only the pixels about the mesh are touched, so that a large picture costs no more.

Light comes from the camera: what faces it is bright. Edges are softened by the share of neighbours that show the mesh.
"""

import numpy as np
from numba import njit

from simspine.geometry import project_one
from simspine.rendering.raster import rasterise, weights_at
from simspine.types import Camera

_DIM = 0.32  # brightness of a surface seen from its edge


def draw_over(
    picture: np.ndarray,
    camera: Camera,
    points: np.ndarray,
    normals: np.ndarray,
    triangles: np.ndarray,
    colours: np.ndarray,
    opacity: float = 1.0,
) -> None:
    """Draw a mesh into `picture` (height, width, 3) uint8, the camera's image.

    points: (n, 3) m and normals: (n, 3) unit, in the camera's world. triangles: (t, 3). colours: (t, 3) 0…255, in the
    order of the picture's. Triangles with a corner that is not known, or behind the camera, are left out.
    """
    px = project_one(camera, points)
    known = np.isfinite(px).all(1)
    inside = px[known]
    if not len(inside):
        return
    size = np.array(picture.shape[1::-1])
    low = np.clip(np.floor(inside.min(0)) - 1, 0, size).astype(int)
    high = np.clip(np.ceil(inside.max(0)) + 2, 0, size).astype(int)
    if (high <= low).any():
        return
    depth = np.where(known, points @ camera.R[2] + camera.t[2], -1.0)
    corner = (px - low).astype(np.float32)
    seen = rasterise(corner, depth, triangles, (int(high[0] - low[0]), int(high[1] - low[1])))
    ways = camera.centre - points
    facing = np.abs(np.einsum("ij,ij->i", normals, ways)) / np.linalg.norm(ways, axis=1)
    bright = (_DIM + (1 - _DIM) * facing).astype(np.float32)
    part = picture[low[1] : high[1], low[0] : high[0]]
    _blend(
        part, seen.triangle, corner, depth.astype(np.float32), triangles, bright, colours.astype(np.float32), opacity
    )


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _blend(part, seen, px, depth, triangles, bright, colours, opacity):
    height, width = seen.shape
    for y in range(height):
        for x in range(width):
            t = seen[y, x]
            if t < 0:
                continue
            around = 4
            around -= x == 0 or seen[y, x - 1] < 0
            around -= x + 1 == width or seen[y, x + 1] < 0
            around -= y == 0 or seen[y - 1, x] < 0
            around -= y + 1 == height or seen[y + 1, x] < 0
            share = opacity * (1 + around) / 5
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            wa, wb, wc = weights_at(px, depth, triangles[t], x, y)
            light = share * (wa * bright[a] + wb * bright[b] + wc * bright[c])
            for k in range(3):
                value = light * colours[t, k] + (1.0 - share) * part[y, x, k]
                part[y, x, k] = np.uint8(min(max(value, 0.0), 255.0) + 0.5)
