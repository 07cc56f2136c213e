"""Left and right exchanged by a detector: found per view and limb group, and undone.

A detector that takes a back for a front exchanges both sides at once, so the decision is made for a whole group of
points (legs, arms, face) in one view and frame. As in `seeds`, pairs of views propose, now in two versions (the two
views agree on left and right, or not), and every other view joins with the labelling that suits it better. A labelling
and its complement fit equally well; the majority of the views and the continuity with neighbouring frames decide
between the two.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from simspine.triangulation.rays import Rays, centres, directions
from simspine.triangulation.seeds import RANKS, midpoint, misfit
from simspine.types import Keypoints

GROUPS = {
    "legs": ("hip", "knee", "ankle", "toe", "heel", "foot"),
    "face": ("eye", "ear", "mouth"),
    "arms": ("",),  # shoulders, collar bones and what else is mirrored
}
_CLEAR = 1.0  # observations that must come right before a view counts as swapped …
_RATIO = 0.5  # … and the share of its misfit that may remain
_WINDOW = 1.0  # s over which the choice between a labelling and its complement is made


def mirror_indices(names: Sequence[str]) -> np.ndarray:
    """(points,) index of each point's mirror image (`LKnee` ↔ `RKnee`, `left_knee` ↔ `right_knee`), or its own."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(_mirrored(name), i) for i, name in enumerate(names)], dtype=int)


def _mirrored(name: str) -> str:
    for left, right in (("left", "right"), ("Left", "Right"), ("L", "R")):
        for here, there in ((left, right), (right, left)):
            rest = name.removeprefix(here)
            if rest != name and (len(here) > 1 or rest[:1].isupper()):
                return there + rest
    return name


def limb_groups(names: Sequence[str]) -> dict[str, np.ndarray]:
    """{group: (2, pairs) indices of its mirrored points}, one row per side; groups without points are left out."""
    rows: dict[str, list] = {group: [] for group in GROUPS}
    for i, j in enumerate(mirror_indices(names)):
        if i < j:
            group = next(g for g, words in GROUPS.items() if any(word in names[i].lower() for word in words))
            rows[group].append((i, j))
    return {group: np.array(pairs).T for group, pairs in rows.items() if pairs}


def exchange(keypoints: Keypoints, swapped: np.ndarray) -> Keypoints:
    """Keypoints with the observations `swapped` (frames, views, points) bool handed to their mirror images."""
    if not swapped.any():
        return keypoints
    mirrors = mirror_indices(keypoints.names)
    xy = np.where(swapped[..., None], keypoints.xy[:, :, mirrors], keypoints.xy)
    return keypoints.with_(
        xy=xy, confidence=np.where(swapped, keypoints.confidence[:, :, mirrors], keypoints.confidence)
    )


def find_swaps(
    rays: Rays, xyz: np.ndarray, sides: np.ndarray, suspect: np.ndarray, limit: np.ndarray, rate: float
) -> np.ndarray:
    """Which views exchange left and right of one group: (frames, views) bool.

    rays: of the whole trial. xyz: (3, frames, points) m as found without exchanging. sides: (2, pairs) point indices.
    suspect: (frames,) bool, where views disagree; the others are left alone. limit: (points,) px.
    """
    frames, points = xyz.shape[1:]
    swapped = np.zeros((frames, len(rays.R)), bool)
    where = np.flatnonzero(suspect)
    if not len(where):
        return swapped
    labels, gain, proposed = _label(rays, where, sides, limit, points)
    clear = np.abs(gain) > 0  # (views, suspects): the view has an opinion
    vote = np.zeros(frames)
    vote[where] = (clear * np.where(labels, -1.0, 1.0)).sum(0)
    group = xyz[:, :, sides]  # (3, frames, 2, pairs)
    group[:, where] = proposed
    known = np.isfinite(group).all((0, 2))
    vote[~suspect & known.any(-1)] = len(rays.R)
    complement = _against_the_run(group, vote, rate)[where]
    swapped[where] = (clear & (labels ^ complement)).T
    return swapped


def _label(rays: Rays, frames: np.ndarray, sides: np.ndarray, limit: np.ndarray, points: int):
    """The labelling of the views (views, m) that fits best, how clearly (views, m), and its points (3, m, 2, pairs)."""
    pairs = sides.shape[1]
    shape = (len(frames), 2, pairs)
    columns = (frames[:, None, None] * points + sides).reshape(-1)
    keep, swap = rays.take(columns), rays.take((frames[:, None, None] * points + sides[::-1]).reshape(-1))
    tolerance = np.broadcast_to(limit[sides], shape).reshape(-1)
    # A side alone, or two sides no further apart than the noise, say nothing about which is which.
    apart = np.einsum("vijn,vjn->vin", keep.lens, keep.normal - swap.normal)
    both = keep.seen & swap.seen & (np.sqrt((apart**2).sum(1)) > tolerance)
    keep, swap = replace(keep, weight=keep.weight * both), replace(swap, weight=swap.weight * both)
    ray, other, centre = directions(keep), directions(swap), centres(keep)

    views, m = len(rays.R), len(frames)
    lowest, unswapped = np.full(m, np.inf), np.full(m, np.inf)
    labels, gain, best = np.zeros((views, m), bool), np.zeros((views, m)), np.full((3, *shape), np.nan)
    # All views propose; beyond `RANKS`, those that see most of the group.
    proposers = np.sort(np.argsort(-both.sum(1), kind="stable")[:RANKS])
    for a, b in combinations(proposers, 2):
        for second in (ray, other):
            xyz = midpoint(centre[a][:, None], ray[a], centre[b][:, None], second[b])
            xyz = np.where(both[a] & both[b], xyz, np.nan)
            costs = [misfit(r, xyz, tolerance).reshape(views, *shape).sum((2, 3)) for r in (keep, swap)]
            low, high = np.minimum(*costs), np.maximum(*costs)
            better = low.sum(0) < lowest
            lowest = np.where(better, low.sum(0), lowest)
            labels = np.where(better, costs[1] < costs[0], labels)
            gain = np.where(better, np.where(low > _RATIO * high, 0.0, costs[0] - costs[1]), gain)
            best = np.where(better[:, None, None], xyz.reshape(3, *shape), best)
            unswapped = np.minimum(unswapped, costs[0].sum(0))
    gain = np.where(np.abs(gain) >= _CLEAR, gain, 0.0)
    worthwhile = unswapped - lowest >= _CLEAR
    return labels & worthwhile & (gain != 0), gain, best


def _against_the_run(group: np.ndarray, vote: np.ndarray, rate: float) -> np.ndarray:
    """Where the complement of the labelling fits better into the run of frames: (frames,) bool.

    group: (3, frames, 2, pairs) m. vote: (frames,), views for the labelling less views for its complement. From frame
    to frame the nearer of the two labellings continues; the votes of a whole window, carried along so, decide.
    """
    filled = _hold(group)
    stay = np.nansum((filled[:, 1:] - filled[:, :-1]) ** 2, axis=(0, 2, 3))
    turn = np.nansum((filled[:, 1:, ::-1] - filled[:, :-1]) ** 2, axis=(0, 2, 3))
    side = np.cumprod(np.concatenate([[1.0], np.where(turn < stay, -1.0, 1.0)]))
    total = np.concatenate([[0.0], np.cumsum(vote * side)])
    reach, index = max(1, round(_WINDOW * rate)), np.arange(len(vote))
    window = total[np.minimum(index + reach + 1, len(vote))] - total[np.maximum(index - reach, 0)]
    return window * side < 0


def _hold(group: np.ndarray) -> np.ndarray:
    """Gaps in (3, frames, 2, pairs) bridged with the last position, so that a run continues across them."""
    known = np.isfinite(group).all(0)
    last = np.maximum.accumulate(np.where(known, np.arange(len(known))[:, None, None], 0), axis=0)
    return np.take_along_axis(group, last[None], 1)
