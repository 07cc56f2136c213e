"""A bound skin in motion: linear blending of the segments' maps."""

from collections.abc import Mapping

import numpy as np
from numba import njit

from simspine.surface.asset import skin_asset
from simspine.surface.binding import BoundSkin


def segment_maps(skin: BoundSkin, poses: Mapping[str, np.ndarray]) -> np.ndarray:
    """(frames, segments, 3, 4): rest → the frame of `poses`, {body: (frames, 4, 4)}."""
    return np.stack(
        [poses[name][:, :3] @ homogeneous(map) for name, map in zip(skin.segments, skin.maps, strict=True)], 1
    )


def homogeneous(affine: np.ndarray) -> np.ndarray:
    """(4, 4) of a map (3, 4)."""
    return np.concatenate([affine, [[0.0, 0.0, 0.0, 1.0]]])


def posed_points(skin: BoundSkin, maps: np.ndarray) -> np.ndarray:
    """(n, 3) m: the skin where the segments' maps (segments, 3, 4) take it."""
    asset = skin_asset()
    return blend(skin.points, asset.carriers, asset.weights, np.ascontiguousarray(maps))


def posed_skin(skin: BoundSkin, poses: Mapping[str, np.ndarray]) -> np.ndarray:
    """(frames, n, 3) m: the skin in the poses {body: (frames, 4, 4)}, in their frame."""
    return np.stack([posed_points(skin, maps) for maps in segment_maps(skin, poses)])


@njit(cache=True, error_model="numpy", nogil=True)
def blend(points, carriers, weights, maps):
    """points (n, 3) by the maps (segments, 3, 4) of their carriers (n, k), weighted (n, k): (n, 3)."""
    out = np.empty_like(points)
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        a, b, c = 0.0, 0.0, 0.0
        for k in range(carriers.shape[1]):
            w = weights[i, k]
            if w == 0.0:
                break
            m = maps[carriers[i, k]]
            a += w * (m[0, 0] * x + m[0, 1] * y + m[0, 2] * z + m[0, 3])
            b += w * (m[1, 0] * x + m[1, 1] * y + m[1, 2] * z + m[1, 3])
            c += w * (m[2, 0] * x + m[2, 1] * y + m[2, 2] * z + m[2, 3])
        out[i, 0], out[i, 1], out[i, 2] = a, b, c
    return out


@njit(cache=True, error_model="numpy", nogil=True)
def normals(points, triangles):
    """Unit normals (n, 3) of points (n, 3), the areas of their triangles (t, 3) weighing; outwards."""
    out = np.zeros_like(points)
    for t in range(len(triangles)):
        a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        x, y, z = points[a, 0], points[a, 1], points[a, 2]
        ux, uy, uz = points[b, 0] - x, points[b, 1] - y, points[b, 2] - z
        vx, vy, vz = points[c, 0] - x, points[c, 1] - y, points[c, 2] - z
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in range(3):
            i = triangles[t, k]
            out[i, 0] += nx
            out[i, 1] += ny
            out[i, 2] += nz
    for i in range(len(out)):
        length = np.sqrt(out[i, 0] ** 2 + out[i, 1] ** 2 + out[i, 2] ** 2)
        if length > 0.0:
            out[i, 0] /= length
            out[i, 1] /= length
            out[i, 2] /= length
    return out
