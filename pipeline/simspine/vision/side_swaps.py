"""Left and right exchanged by a detector: found per view and limb group, and undone.

A detector that takes a back for a front exchanges both sides at once, so that the decision is made for a whole group of
points (legs, arms, face) in one view and frame. As for seeds (`rays`), pairs of views propose points, here in two
versions (both views agree on left and right, or not); every other view takes the labelling that fits better. A
labelling and its complement fit equally well; the majority of the views and the continuity with neighbouring frames
decide between them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from simspine.core.types import Keypoints
from simspine.vision.rays import SEED_RANKS, Rays, camera_centres, ray_directions, ray_midpoint, truncated_misfit

SWAP_GROUPS = {
    "legs": ("hip", "knee", "ankle", "toe", "heel", "foot"),
    "face": ("eye", "ear", "mouth"),
    "arms": ("",),  # shoulders, collar bones and all other points with a side
}
_MIN_SWAP_GAIN = 1.0  # least fall of the misfit, in observations, for which a view counts as swapped …
_MAX_SWAP_MISFIT_RATIO = 0.5  # … and largest share of its misfit that remains
_LASTING_MISFIT_RATIO = 0.25  # of the squared misfit: a smaller share left means an exchange in most frames
_SAMPLED_FRAMES = 60  # frames of a trial in which an exchange in most frames is looked for
_LABELLING_WINDOW_S = 1.0  # s before and after a frame, for the choice between a labelling and its complement


def mirror_indices(names: Sequence[str]) -> np.ndarray:
    """(points,) index of each point's mirror image (`LKnee` ↔ `RKnee`, `left_knee` ↔ `right_knee`), or its own."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(_mirrored_name(name), i) for i, name in enumerate(names)], dtype=int)


def _mirrored_name(name: str) -> str:
    for left, right in (("left", "right"), ("Left", "Right"), ("L", "R")):
        for side, other in ((left, right), (right, left)):
            rest = name.removeprefix(side)
            if rest != name and (len(side) > 1 or rest[:1].isupper()):
                return other + rest
    return name


def limb_groups(names: Sequence[str]) -> dict[str, np.ndarray]:
    """{group: (2, pairs) indices of its mirrored points}, one row per side; groups without points are left out."""
    rows: dict[str, list] = {group: [] for group in SWAP_GROUPS}
    for i, j in enumerate(mirror_indices(names)):
        if i < j:
            group = next(g for g, words in SWAP_GROUPS.items() if any(word in names[i].lower() for word in words))
            rows[group].append((i, j))
    return {group: np.array(pairs).T for group, pairs in rows.items() if pairs}


def exchange_sides(keypoints: Keypoints, swapped: np.ndarray) -> Keypoints:
    """Keypoints with observations `swapped` (frames, views, points) bool replaced by those of their mirror images."""
    if not swapped.any():
        return keypoints
    at = np.nonzero(swapped)
    mirrored = (*at[:2], mirror_indices(keypoints.names)[at[2]])
    xy, confidence = keypoints.xy.copy(), keypoints.confidence.copy()
    xy[at], confidence[at] = keypoints.xy[mirrored], keypoints.confidence[mirrored]
    return keypoints.with_(xy=xy, confidence=confidence)


def find_swaps(
    rays: Rays, xyz: np.ndarray, sides: np.ndarray, suspect: np.ndarray, limit: np.ndarray, rate: float
) -> np.ndarray:
    """Views that exchange left and right of one group: (frames, views) bool.

    rays: of the whole trial. xyz: (3, frames, points) m, triangulated as observed. sides: (2, pairs) point indices.
    suspect: (frames,) bool, frames in which views disagree; others are not changed. limit: (points,) px.
    """
    frames = xyz.shape[1]
    swapped = np.zeros((frames, len(rays.R)), bool)
    rows = np.flatnonzero(suspect)
    if not len(rows):
        return swapped
    best = _best_labelling(rays, rows, sides, limit)
    clear = np.abs(best.gain) >= _MIN_SWAP_GAIN  # (views, suspects): one labelling of the view fits clearly better
    labels = best.labels & (best.unswapped - best.lowest >= _MIN_SWAP_GAIN) & clear
    vote = np.zeros(frames)
    vote[rows] = (clear * np.where(labels, -1.0, 1.0)).sum(0)
    group = xyz[:, :, sides]  # (3, frames, 2, pairs)
    group[:, rows] = best.places
    vote[~suspect & np.isfinite(group).all((0, 2)).any(-1)] = len(rays.R)
    complement = _complement_continues(group, vote, rate)[rows]
    swapped[rows] = (clear & (labels ^ complement)).T
    return swapped


def limit_without_swaps(rays: Rays, sides: np.ndarray, limit: np.ndarray, frames: int, least: float) -> np.ndarray:
    """Limits (points,) px of a group without exchanged sides; lower than `limit` if a view exchanges them mostly.

    A lasting exchange looks like noise, which raises the limits until they accept it. least: smallest limit, px.
    """
    sample = np.unique(np.linspace(0, frames - 1, _SAMPLED_FRAMES).astype(int))
    widest = np.full_like(limit, limit[sides].max())
    best = _best_labelling(rays, sample, sides, widest, least_apart_px=0.0)
    known = np.isfinite(best.lowest) & (best.unswapped > 0)
    if not known.any():
        return limit
    share = float(np.median(best.lowest[known] / best.unswapped[known]))
    return np.minimum(limit, np.maximum(widest * np.sqrt(share), least)) if share < _LASTING_MISFIT_RATIO else limit


@dataclass
class _Labelling:
    """The best labelling so far, of m frames. lowest: (m,) its cost. unswapped: (m,) lowest cost without any exchange.
    labels: (views, m) bool, swapped. gain: (views, m), fall of the cost by the swap. places: (3, m, 2, pairs) m."""

    lowest: np.ndarray
    unswapped: np.ndarray
    labels: np.ndarray
    gain: np.ndarray
    places: np.ndarray

    def consider(self, places: np.ndarray, kept: np.ndarray, swapped: np.ndarray) -> None:
        """Compare with proposed points and their costs (views, m): as observed (`kept`), and with sides exchanged."""
        low, high = np.minimum(kept, swapped), np.maximum(kept, swapped)
        better = low.sum(0) < self.lowest
        self.lowest = np.where(better, low.sum(0), self.lowest)
        self.labels = np.where(better, swapped < kept, self.labels)
        gain = np.where(low > _MAX_SWAP_MISFIT_RATIO * high, 0.0, kept - swapped)
        self.gain = np.where(better, gain, self.gain)
        self.places = np.where(better[:, None, None], places, self.places)
        self.unswapped = np.minimum(self.unswapped, kept.sum(0))


def _best_labelling(
    rays: Rays, frames: np.ndarray, sides: np.ndarray, limit: np.ndarray, least_apart_px: float | None = None
) -> _Labelling:
    """The best labelling in some frames. least_apart_px: least distance of the two sides, by default the limit."""
    shape, points = (len(frames), *sides.shape), len(limit)
    tolerance = np.broadcast_to(limit[sides], shape).reshape(-1)
    keep, swap = (
        rays.of_points((frames[:, None, None] * points + columns).reshape(-1)) for columns in (sides, sides[::-1])
    )
    # A side alone, or two sides no farther apart than the noise, do not distinguish left and right.
    apart = np.einsum("vijn,vjn->vin", keep.lens_derivative, keep.normal - swap.normal)
    least = tolerance if least_apart_px is None else least_apart_px
    both = keep.seen & swap.seen & (np.sqrt((apart**2).sum(1)) > least)
    versions = replace(keep, weight=keep.weight * both), replace(swap, weight=swap.weight * both)
    return _labelling_of_pairs(*versions, tolerance=tolerance, shape=shape)


def _labelling_of_pairs(keep: Rays, swap: Rays, tolerance: np.ndarray, shape: tuple[int, ...]) -> _Labelling:
    """The best labelling that pairs of views propose: of all views, or the `SEED_RANKS` that see most of the group."""
    directions, centre, both = (ray_directions(keep), ray_directions(swap)), camera_centres(keep), keep.seen
    views, m = len(keep.R), shape[0]
    best = _Labelling(
        lowest=np.full(m, np.inf),
        unswapped=np.full(m, np.inf),
        labels=np.zeros((views, m), bool),
        gain=np.zeros((views, m)),
        places=np.full((3, *shape), np.nan),
    )
    proposers = np.sort(np.argsort(-both.sum(1), kind="stable")[:SEED_RANKS])
    for a, b in combinations(proposers, 2):
        for second in directions:
            xyz = ray_midpoint(centre[a][:, None], directions[0][a], centre[b][:, None], second[b])
            xyz = np.where(both[a] & both[b], xyz, np.nan)
            costs = [truncated_misfit(r, xyz, tolerance).reshape(views, *shape).sum((2, 3)) for r in (keep, swap)]
            best.consider(xyz.reshape(3, *shape), *costs)
    return best


def _complement_continues(group: np.ndarray, vote: np.ndarray, rate: float) -> np.ndarray:
    """Frames in which the complement of the labelling continues the neighbouring frames better: (frames,) bool.

    group: (3, frames, 2, pairs) m. vote: (frames,), views for the labelling less views for its complement. Each frame
    takes the labelling nearer to the frame before. The sum of the votes for it over a window of frames decides.
    """
    known = np.isfinite(group).all(0)
    last = np.maximum.accumulate(np.where(known, np.arange(len(known))[:, None, None], 0), axis=0)
    filled = np.take_along_axis(group, last[None], 1)  # gaps have the last known position: labels continue across
    stay = np.nansum((filled[:, 1:] - filled[:, :-1]) ** 2, axis=(0, 2, 3))
    turn = np.nansum((filled[:, 1:, ::-1] - filled[:, :-1]) ** 2, axis=(0, 2, 3))
    side = np.cumprod(np.concatenate([[1.0], np.where(turn < stay, -1.0, 1.0)]))
    total = np.concatenate([[0.0], np.cumsum(vote * side)])
    reach, index = max(1, round(_LABELLING_WINDOW_S * rate)), np.arange(len(vote))
    window = total[np.minimum(index + reach + 1, len(vote))] - total[np.maximum(index - reach, 0)]
    return window * side < 0
