"""A z-buffer: which triangle each pixel shows, and how far away it is.

Pixel (column, row) is sampled at its middle (column, row) in image coordinates, as OpenCV counts them. Depth is along
the optical axis. Corners are projected through the lens; between them an edge is straight in the image, and depth and
what else is interpolated is perspectively right for a pinhole. With triangles of a body's size the lens bends an edge
by far less than a pixel.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

NEAR = 0.05  # m; triangles with a corner nearer to the camera, or behind it, are left out
NONE = -1  # triangle where nothing is seen


class Visible(NamedTuple):
    """depth: (height, width) m along the optical axis, infinite where nothing is seen. triangle: (height, width) int32
    number of the one seen, `NONE` where there is none.
    """

    depth: np.ndarray
    triangle: np.ndarray


def rasterise(px: np.ndarray, depth: np.ndarray, triangles: np.ndarray, size: tuple[int, int]) -> Visible:
    """What is seen of triangles (t, 3) with corners at px (points, 2) and depth (points,) m. size: (width, height) px.

    Both sides of a triangle are seen. Where two are equally near, the one that stands first counts.
    """
    width, height = size
    inverse = np.zeros((height, width), np.float32)
    seen = np.full((height, width), NONE, np.int32)
    _fill(px.astype(np.float32, copy=False), depth.astype(np.float32, copy=False), triangles, inverse, seen)
    with np.errstate(divide="ignore"):
        return Visible(1.0 / inverse, seen)


@njit(cache=True, error_model="numpy", fastmath=True, nogil=True)
def _fill(px, depth, triangles, inverse, seen):
    height, width = inverse.shape
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if not (depth[a] > NEAR and depth[b] > NEAR and depth[c] > NEAR):
            continue
        ax, ay, bx, by, cx, cy = px[a, 0], px[a, 1], px[b, 0], px[b, 1], px[c, 0], px[c, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if not (abs(area) > 1e-9):  # seen from its edge, or not a number
            continue
        left, right = max(np.ceil(min(ax, bx, cx)), 0.0), min(np.floor(max(ax, bx, cx)), width - 1.0)
        top, bottom = max(np.ceil(min(ay, by, cy)), 0.0), min(np.floor(max(ay, by, cy)), height - 1.0)
        if left > right or top > bottom:
            continue
        ia, ib, ic = np.float32(1.0) / depth[a], np.float32(1.0) / depth[b], np.float32(1.0) / depth[c]
        scale = np.float32(1.0) / area
        # weights of b and c are affine in x and y; a has the rest
        bdx, bdy = (cy - ay) * scale, (ax - cx) * scale
        cdx, cdy = (ay - by) * scale, (bx - ax) * scale
        zx, zy = (ib - ia) * bdx + (ic - ia) * cdx, (ib - ia) * bdy + (ic - ia) * cdy
        for y in range(int(top), int(bottom) + 1):
            x0, y0 = np.float32(left) - ax, np.float32(y) - ay
            wb, wc = x0 * bdx + y0 * bdy, x0 * cdx + y0 * cdy
            z = ia + x0 * zx + y0 * zy
            for x in range(int(left), int(right) + 1):
                if wb >= 0.0 and wc >= 0.0 and wb + wc <= 1.0 and z > inverse[y, x]:
                    inverse[y, x] = z
                    seen[y, x] = t
                wb += bdx
                wc += cdx
                z += zx


@njit(cache=True, error_model="numpy", nogil=True)
def weights_at(px, depth, corners, x, y):
    """Shares (3,) of a triangle's corners in what is seen at pixel (x, y), perspectively right. corners: (3,)."""
    a, b, c = corners[0], corners[1], corners[2]
    ax, ay = px[a, 0], px[a, 1]
    area = (px[b, 0] - ax) * (px[c, 1] - ay) - (px[b, 1] - ay) * (px[c, 0] - ax)
    wb = ((x - ax) * (px[c, 1] - ay) - (y - ay) * (px[c, 0] - ax)) / area
    wc = ((px[b, 0] - ax) * (y - ay) - (px[b, 1] - ay) * (x - ax)) / area
    wa = (1.0 - wb - wc) / depth[a]
    wb, wc = wb / depth[b], wc / depth[c]
    total = wa + wb + wc
    return wa / total, wb / total, wc / total
