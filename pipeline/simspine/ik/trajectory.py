"""The whole trial at once: markers, smoothness, beliefs and limits in one problem, solved in overlapping windows.

A frame far away says almost nothing about this one, so a long trial is cut into windows that overlap by `overlap`
frames on each side; only their inner parts are kept. That makes memory constant and windows independent (threads).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from threadpoolctl import threadpool_limits

from simspine.body.tree import Tree
from simspine.ik.banded import BandedSystem
from simspine.ik.frame_kernels import fit_frames
from simspine.ik.minimise import assemble, minimise
from simspine.ik.terms import Term
from simspine.ik.terms.markers import MarkerTerm

SMOOTHING = 3.0  # frames; takes the jitter out of the starting path


@dataclass(frozen=True, eq=False)
class Stretch:
    """What a window found out about its inner frames. z, cost, blocks as in `Trajectory`; response (free,)."""

    z: np.ndarray
    cost: np.ndarray
    blocks: np.ndarray | None
    response: np.ndarray | None
    reason: str


@dataclass(frozen=True, eq=False)
class Trajectory:
    """z: (frames, free). cost: (frames,). blocks: (frames, free, free) posterior covariance, or None.

    response: (free,) how much of a lasting change of a coordinate the estimate would show: 1 = measured, 0 = assumed.
    reason: (frames,) '' where the window converged.
    """

    z: np.ndarray
    cost: np.ndarray
    blocks: np.ndarray | None
    response: np.ndarray | None
    reason: tuple[str, ...]


def solve_trajectory(
    terms: Sequence[Term],
    starts: np.ndarray,
    *,
    hold: float,
    window: int = 600,
    overlap: int = 60,
    tolerance: float = 1e-6,
    iterations: int = 50,
    uncertainty: bool = True,
    threads: int = 1,
) -> Trajectory:
    """Minimise the sum of terms over all frames.

    terms: the first is the `MarkerTerm`. starts: (starts, free) poses to begin from. hold: 1/sd² that ties
    each frame to the one before while the windows' start is found (see `fit_frames`). Other arguments: see the module.
    """
    markers = terms[0]
    assert isinstance(markers, MarkerTerm)
    frames = len(markers.y)
    first = starting_path(markers, starts, hold)
    edges = list(range(0, frames, window)) or [0]

    def work(begin: int) -> Stretch:
        end = min(begin + window, frames)
        low, high = max(0, begin - overlap), min(frames, end + overlap)
        part = [term.window(slice(low, high)) for term in terms]
        return _stretch(part, first[low:high], slice(begin - low, end - low), tolerance, iterations, uncertainty)

    with threadpool_limits(1, "blas"):  # the blocks are small: BLAS threads would only wait for each other
        if threads > 1 and len(edges) > 1:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(work, edges))
        else:
            parts = [work(begin) for begin in edges]
    reasons = [r for part in parts for r in [part.reason] * len(part.z)]
    return Trajectory(
        np.concatenate([part.z for part in parts]),
        np.concatenate([part.cost for part in parts]),
        np.concatenate([part.blocks for part in parts]) if uncertainty else None,
        np.average([part.response for part in parts], axis=0, weights=[len(p.z) for p in parts])
        if uncertainty
        else None,
        tuple(reasons),
    )


def starting_path(markers: MarkerTerm, starts: np.ndarray, hold: float) -> np.ndarray:
    """A rough path (frames, free): frame by frame, each held near the one before; frames without markers in between
    are interpolated. Scaled so that a marker's weight is about 1, as the frame solver expects."""
    tree: Tree = markers.tree
    frames, n = len(markers.y), starts.shape[1]
    scale = float(np.median(markers.w[markers.w > 0]))
    ridge = np.zeros((frames, n))
    z, _, _ = fit_frames(tree, ridge, np.zeros(n), hold / scale, markers.y, markers.w / scale, starts, 15, 1e-3, 0.5)
    known = np.isfinite(z).all(1)
    time = np.arange(frames)
    whole = np.column_stack([np.interp(time, time[known], z[known, i]) for i in range(n)])
    seen = {c for body in set(tree.marker_body.tolist()) for c in tree.columns_of(body).tolist()}
    unseen = [i for i in range(n) if i not in seen]
    whole[:, unseen] = tree.rest[tree.free[unseen]]
    return gaussian_filter1d(whole, SMOOTHING, axis=0, mode="nearest")


def _stretch(terms, z, inner: slice, tolerance: float, iterations: int, uncertainty: bool) -> Stretch:
    found = minimise(terms, z, iterations, tolerance)
    blocks = response = None
    if uncertainty:
        system = BandedSystem(*z.shape)
        assemble(terms, found.z, system, newton=False)
        factor = system.factorise()
        if factor is None:
            blocks, response = np.full((len(z), z.shape[1], z.shape[1]), np.nan)[inner], np.full(z.shape[1], np.nan)
        else:
            blocks = factor.inverse_blocks()[inner]
            response = _response(terms, found.z, factor)
    return Stretch(found.z[inner], found.cost[inner], blocks, response, found.reason)


def _response(terms, z: np.ndarray, factor) -> np.ndarray:
    """(free,): change of the estimate, mean over frames, when the truth of one coordinate changes by one for good.

    The estimate changes by H⁻¹ D 1 if the data's part of the precision H is D (the measurement response of retrieval
    theory: Rodgers 2000, Inverse Methods for Atmospheric Sounding, ch. 3).
    """
    frames, n = z.shape
    system = BandedSystem(frames, n)
    assemble([term for term in terms if term.data], z, system, newton=False)
    D = np.zeros((frames, n, n))
    columns = system.band.reshape(2 * n + 1, n, frames, order="F")
    for i in range(n):
        D[:, i:, i] = columns[: n - i, i].T
        D[:, i, i:] = D[:, i:, i]
    change = factor.solve(D)  # column i: the data's pull for a change of coordinate i
    return np.clip(np.einsum("tii->ti", change).mean(0), 0.0, 1.0)
