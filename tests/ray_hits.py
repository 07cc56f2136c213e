"""Rays against triangles, one by one: slow and exact. For measuring surfaces, and to judge the z-buffer by."""

import numpy as np


def ray_hits(origin: np.ndarray, way: np.ndarray, points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Distances (hits,), ascending, in lengths of `way`, at which a ray meets triangles (Möller & Trumbore 1997).

    origin, way: (3,) m. points: (n, 3) m. triangles: (t, 3). Both sides of a triangle count.
    """
    a, b, c = (points[triangles[:, i]] for i in range(3))
    first, second = b - a, c - a
    across = np.cross(way, second)
    with np.errstate(divide="ignore", invalid="ignore"):
        inverse = 1.0 / (first * across).sum(1)
        off = origin - a
        u = (off * across).sum(1) * inverse
        other = np.cross(off, first)
        v = other @ way * inverse
        t = (second * other).sum(1) * inverse
    inside = (u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)
    return np.sort(t[inside])
