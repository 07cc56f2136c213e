"""First guesses: each pair of views proposes a point, all views judge it.

Trying every subset of views costs 2^views. A pair is the smallest subset that gives a point, and one pair of good
views suffices to expose all bad ones, so it is enough to try pairs: all of them up to `RANKS` views, beyond that those
of the `RANKS` most confident views of each point. The cost is then linear in the number of views, and up to RANKS − 2
bad views are survived wherever they are.
"""

from itertools import combinations

import numpy as np

from simspine.triangulation.rays import NEAREST, Rays, centres, directions, errors

RANKS = 7
_PARALLEL = 1e-8  # sin² of the smallest angle between two rays (0.006°) that still gives a depth


def midpoint(centre_a, ray_a, centre_b, ray_b) -> np.ndarray:
    """The point (3, n) halfway between two rays where they pass closest; NaN if parallel or behind a camera.

    centre: (3, n) or (3, 1) m. ray: (3, n), of depth one.
    """
    between = centre_a - centre_b
    aa, bb, ab = (np.einsum("in,in->n", p, q) for p, q in ((ray_a, ray_a), (ray_b, ray_b), (ray_a, ray_b)))
    a, b = (ray_a * between).sum(0), (ray_b * between).sum(0)
    area = aa * bb - ab * ab
    crossing = area > _PARALLEL * aa * bb
    area = np.where(crossing, area, 1.0)
    depth_a, depth_b = (ab * b - bb * a) / area, (aa * b - ab * a) / area
    point = (centre_a + depth_a * ray_a + centre_b + depth_b * ray_b) / 2
    return np.where(crossing & (depth_a > NEAREST) & (depth_b > NEAREST), point, np.nan)


def misfit(rays: Rays, xyz: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Cost (views, n) of xyz (3, n): weight × min(error² / limit², 1), a wrong view costs its weight at most."""
    return rays.weight * np.minimum((errors(rays, xyz) / limit) ** 2, 1.0)


def pairs(rays: Rays):
    """Yields, pair by pair, what each of the n points gets proposed: (centre_a, ray_a, centre_b, ray_b, both seen)."""
    views = len(rays.weight)
    ray, centre, seen = directions(rays), centres(rays), rays.seen
    if views <= RANKS:
        for a, b in combinations(range(views), 2):
            yield centre[a][:, None], ray[a], centre[b][:, None], ray[b], seen[a] & seen[b]
        return
    # Pick for each point its own most confident views; ties keep the order of the cameras.
    rank = np.argsort(-rays.weight, axis=0, kind="stable")[:RANKS]  # (RANKS, n)
    ray = np.take_along_axis(ray, rank[:, None, :], 0)
    centre = centre[rank].transpose(0, 2, 1)  # (RANKS, 3, n)
    seen = np.take_along_axis(seen, rank, 0)
    for a, b in combinations(range(RANKS), 2):
        yield centre[a], ray[a], centre[b], ray[b], seen[a] & seen[b]


def best_seed(rays: Rays, limit: np.ndarray, expected: tuple[np.ndarray, np.ndarray] | None = None) -> np.ndarray:
    """The pair's point (3, n) that the views together like best; NaN where no two views propose one.

    limit: (n,) px, where an error counts as wrong. expected: position (3, n) and tolerance (n,) m from the neighbouring
    frames; it counts as one more view of mean weight, no more (NaN = no opinion). It decides where the views are split.
    """
    n = rays.weight.shape[1]
    best, lowest = np.full((3, n), np.nan), np.full(n, np.inf)
    for centre_a, ray_a, centre_b, ray_b, both in pairs(rays):
        xyz = midpoint(centre_a, ray_a, centre_b, ray_b)
        proposed = both & np.isfinite(xyz[0])
        cost = misfit(rays, xyz, limit).sum(0)
        if expected is not None:
            place, tolerance = expected
            cost = cost + np.nan_to_num(np.minimum(((xyz - place) ** 2).sum(0) / tolerance**2, 1.0), nan=1.0)
        better = proposed & (cost < lowest)
        best, lowest = np.where(better, xyz, best), np.where(better, cost, lowest)
    return best
