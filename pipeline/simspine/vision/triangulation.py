"""Triangulation of a trial: first guesses, robust refinement, noise, swaps, and once more with what was learnt."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError, Unchanging
from simspine.core.geometry import project_one
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.vision.rays import (
    SEED_RANKS,
    Rays,
    RefinedPoints,
    best_seed,
    camera_centres,
    expected_position,
    inverse_3x3,
    pooled_noise,
    ray_directions,
    ray_midpoint,
    rays_of_pixels,
    refine_points,
    truncated_misfit,
    variance_inflation,
)

# What the triangulation used, how well it fits, and why points are missing.


TRIANGULATION_REASONS = ("kept", "seen by too few views", "views disagree")
REASON_KEPT, REASON_TOO_FEW, REASON_DISAGREE = range(len(TRIANGULATION_REASONS))


@dataclass(frozen=True)
class TriangulationReport(Unchanging):
    """How well the points of a trial fit the images. All arrays are read-only.

    Attributes
    ----------
    names, views : tuple of str
        Of the points and of the cameras.
    used : (frames, views, points) array of bool
        Observations that support the point.
    error_px : (frames, views, points) array
        Distance in the distorted image between observation (after undoing swaps) and projected point, px, of used and
        dropped observations alike; NaN where either is missing.
    swapped : (frames, views, points) array of bool
        Observations exchanged with their mirror image.
    reason : (frames, points) array of int
        Index into `TRIANGULATION_REASONS`.
    noise_px : (points,) array
        Standard deviation of one image coordinate over the trial, px.
    limit_px : (points,) array
        Error beyond which an observation is dropped, px.
    """

    names: tuple[str, ...]
    views: tuple[str, ...]
    used: np.ndarray
    error_px: np.ndarray
    swapped: np.ndarray
    reason: np.ndarray
    noise_px: np.ndarray
    limit_px: np.ndarray

    def __post_init__(self):
        for array in (self.used, self.error_px, self.swapped, self.reason, self.noise_px, self.limit_px):
            array.setflags(write=False)

    @property
    def kept(self) -> np.ndarray:
        """(frames, points) bool: points that were found."""
        return self.reason == REASON_KEPT

    @property
    def point_error_px(self) -> np.ndarray:
        """(frames, points): mean reprojection error over the used views; NaN where missing."""
        count = self.used.sum(1)
        total = np.where(self.used, self.error_px, 0.0).sum(1)
        return np.where(self.kept, total / np.maximum(count, 1), np.nan)

    def of_points(self, names: Iterable[str]) -> "TriangulationReport":
        """The report on some of the points, in the order of the report; names it lacks are skipped."""
        wanted = set(names)
        keep = [i for i, name in enumerate(self.names) if name in wanted]
        arrays = ("used", "error_px", "swapped", "reason", "noise_px", "limit_px")
        some = {field: getattr(self, field)[..., keep] for field in arrays}
        return replace(self, names=tuple(self.names[i] for i in keep), **some)

    def summary(self) -> dict:
        """Figures for a table. `reprojection_px` is per used observation, `…_all` counts the dropped ones as well,
        `…_point` is per (frame, point) the mean over its used views. Shares are of what was observed."""
        observed = np.isfinite(self.error_px)
        kept, every = self.error_px[self.used], self.error_px[observed]
        point = self.point_error_px[self.kept]
        dropped = observed & ~self.used
        errors = {
            f"reprojection_px_{name}{of}": _percentile_of_known(values, q)
            for of, values in (("", kept), ("_point", point), ("_all", every))
            for name, q in (("median", 50), ("p90", 90))
        }
        return errors | {
            "points_kept_share": _share_or_none(self.kept.sum(), self.kept.size),
            "noise_px_median": _percentile_of_known(self.noise_px, 50),
            "observations_dropped_share": self._by_view(dropped, observed),
            "observations_swapped_share": self._by_view(self.swapped, np.ones_like(self.swapped)),
            "missing": {
                TRIANGULATION_REASONS[code]: int((self.reason == code).sum())
                for code in (REASON_TOO_FEW, REASON_DISAGREE)
            },
        }

    def _by_view(self, part: np.ndarray, whole: np.ndarray) -> dict[str, float | None]:
        """Share of the observations (frames, views, points) bool, by view."""
        counts = zip(self.views, part.sum((0, 2)), whole.sum((0, 2)), strict=True)
        return {view: _share_or_none(some, every) for view, some, every in counts}


def _percentile_of_known(values: np.ndarray, q: float) -> float | None:
    return float(np.percentile(values, q)) if values.size else None


def _share_or_none(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


# Left and right exchanged by a detector: found per view and limb group, and undone.
# A detector that takes a back for a front exchanges both sides at once, so the decision is made for a whole group
# of points (legs, arms, face) in one view and frame. As for first guesses, pairs of views propose, now in two versions
# (the two views agree on left and right, or not), and every other view joins with the labelling that suits it
# better. A labelling and its complement fit equally well; the majority of the views and the continuity with
# neighbouring frames decide between the two.


SWAP_GROUPS = {
    "legs": ("hip", "knee", "ankle", "toe", "heel", "foot"),
    "face": ("eye", "ear", "mouth"),
    "arms": ("",),  # shoulders, collar bones and what else is mirrored
}
_MIN_SWAP_GAIN = 1.0  # observations that must come right before a view counts as swapped …
_MAX_SWAP_MISFIT_RATIO = 0.5  # … and the share of its misfit that may remain
_LABELLING_WINDOW_S = 1.0  # s over which the choice between a labelling and its complement is made


def mirror_indices(names: Sequence[str]) -> np.ndarray:
    """(points,) index of each point's mirror image (`LKnee` ↔ `RKnee`, `left_knee` ↔ `right_knee`), or its own."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index.get(_mirrored_name(name), i) for i, name in enumerate(names)], dtype=int)


def _mirrored_name(name: str) -> str:
    for left, right in (("left", "right"), ("Left", "Right"), ("L", "R")):
        for here, there in ((left, right), (right, left)):
            rest = name.removeprefix(here)
            if rest != name and (len(here) > 1 or rest[:1].isupper()):
                return there + rest
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
    labels, gain, proposed = _label_views(rays, where, sides, limit=limit, points=points)
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


@dataclass
class _Labelling:
    """The best so far, of m frames. lowest: (m,) cost. unswapped: (m,) lowest cost of leaving all views as they are.
    labels: (views, m) bool, swapped. gain: (views, m), how clearly. places: (3, m, 2, pairs) m."""

    lowest: np.ndarray
    unswapped: np.ndarray
    labels: np.ndarray
    gain: np.ndarray
    places: np.ndarray

    def consider(self, places: np.ndarray, kept: np.ndarray, swapped: np.ndarray) -> None:
        """Points that were proposed, and what they cost each view (views, m) as it is, and with sides exchanged."""
        low, high = np.minimum(kept, swapped), np.maximum(kept, swapped)
        better = low.sum(0) < self.lowest
        self.lowest = np.where(better, low.sum(0), self.lowest)
        self.labels = np.where(better, swapped < kept, self.labels)
        gain = np.where(low > _MAX_SWAP_MISFIT_RATIO * high, 0.0, kept - swapped)
        self.gain = np.where(better, gain, self.gain)
        self.places = np.where(better[:, None, None], places, self.places)
        self.unswapped = np.minimum(self.unswapped, kept.sum(0))


def _label_views(
    rays: Rays, frames: np.ndarray, sides: np.ndarray, limit: np.ndarray, points: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The labelling of the views (views, m) that fits best, how clearly (views, m), and its points (3, m, 2, pairs)."""
    shape = (len(frames), *sides.shape)
    tolerance = np.broadcast_to(limit[sides], shape).reshape(-1)
    keep, swap = (
        rays.of_points((frames[:, None, None] * points + columns).reshape(-1)) for columns in (sides, sides[::-1])
    )
    # A side alone, or two sides no further apart than the noise, say nothing about which is which.
    apart = np.einsum("vijn,vjn->vin", keep.lens_derivative, keep.normal - swap.normal)
    both = keep.seen & swap.seen & (np.sqrt((apart**2).sum(1)) > tolerance)
    versions = replace(keep, weight=keep.weight * both), replace(swap, weight=swap.weight * both)
    best = _best_labelling(*versions, tolerance=tolerance, shape=shape)
    gain = np.where(np.abs(best.gain) >= _MIN_SWAP_GAIN, best.gain, 0.0)
    worthwhile = best.unswapped - best.lowest >= _MIN_SWAP_GAIN
    return best.labels & worthwhile & (gain != 0), gain, best.places


def _best_labelling(keep: Rays, swap: Rays, tolerance: np.ndarray, shape: tuple[int, ...]) -> _Labelling:
    """Of what pairs of views propose. All views do; beyond `SEED_RANKS`, those that see most of the group."""
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


def _against_the_run(group: np.ndarray, vote: np.ndarray, rate: float) -> np.ndarray:
    """Where the complement of the labelling fits better into the run of frames: (frames,) bool.

    group: (3, frames, 2, pairs) m. vote: (frames,), views for the labelling less views for its complement. From frame
    to frame the nearer of the two labellings continues; the votes of a whole window, carried along so, decide.
    """
    filled = _bridge_gaps(group)
    stay = np.nansum((filled[:, 1:] - filled[:, :-1]) ** 2, axis=(0, 2, 3))
    turn = np.nansum((filled[:, 1:, ::-1] - filled[:, :-1]) ** 2, axis=(0, 2, 3))
    side = np.cumprod(np.concatenate([[1.0], np.where(turn < stay, -1.0, 1.0)]))
    total = np.concatenate([[0.0], np.cumsum(vote * side)])
    reach, index = max(1, round(_LABELLING_WINDOW_S * rate)), np.arange(len(vote))
    window = total[np.minimum(index + reach + 1, len(vote))] - total[np.maximum(index - reach, 0)]
    return window * side < 0


def _bridge_gaps(group: np.ndarray) -> np.ndarray:
    """Gaps in (3, frames, 2, pairs) bridged with the last position, so that a run continues across them."""
    known = np.isfinite(group).all(0)
    last = np.maximum.accumulate(np.where(known, np.arange(len(known))[:, None, None], 0), axis=0)
    return np.take_along_axis(group, last[None], 1)


_POINTS_PER_BATCH = 40_000  # observations solved at a time: what fits into a processor's cache
_HUBER_NOISE_FACTOR = (
    2.15  # × noise: nine in ten clean observations keep their full weight (χ² with 2 degrees of freedom)
)
_LIMIT_NOISE_FACTOR = 4.5  # × noise: one clean observation in 25,000 lies beyond
_MIN_LIMIT_PX = 3.0  # px; below this a disagreement is not worth losing a view
_IMAGE_SHARE = 0.03  # of the longer image side: a detection further off than this is of something else


def triangulate(keypoints: Keypoints, cameras: Sequence[Camera], **options) -> Markers:
    """Points in space from 2D points of several views, with covariance.

    Robust least squares of the reprojection errors. Method and equations: docs/triangulation.md.
    `simspine.vision.triangulation.triangulate_with_report` returns a `TriangulationReport` as well.

    Parameters
    ----------
    keypoints : Keypoints
    cameras : sequence of Camera
        One per view, in the order of the views.
    **options
        min_confidence (0.3): detected points below it are not used; inferred ones need one above 0. huber_px: where a
        residual starts to lose influence, 2.15 × the noise found by default. max_error_px: an observation further off
        is never used, 3 % of the longer image side by default; within it the limit is 4.5 × the noise found. min_views
        (2): consistent views that a point needs. fix_swaps (True): exchange left and right where a view has them the
        wrong way round, by the names.

    Returns
    -------
    Markers
        m, z_up, with covariance; NaN = missing. `weight` is the mean confidence of the used views, 0 where missing.

    Raises
    ------
    InputError
        Where cameras and views differ in number, or an option makes no sense.

    Examples
    --------
    >>> K, R = [[1000, 0, 500], [0, 1000, 500], [0, 0, 1]], [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    >>> cameras = [ss.Camera(f"cam{x}", (1000, 1000), K, np.zeros(5), R, t=(-x, 1, 4)) for x in (0, 1)]
    >>> seen = ss.Keypoints(["LKnee"], rate=60, xy=[[[[600, 500]], [[400, 500]]]], confidence=np.ones((1, 2, 1)))
    >>> ss.triangulate(seen, cameras).xyz.round(3)
    array([[[0.5, 1. , 1. ]]])
    """
    return triangulate_with_report(keypoints, cameras, **options)[0]


def triangulate_with_report(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    *,
    min_confidence: float = 0.3,
    huber_px: float | None = None,
    max_error_px: float | None = None,
    min_views: int = 2,
    fix_swaps: bool = True,
) -> tuple[Markers, TriangulationReport]:
    """`triangulate`, and what was used to get there; options as of `triangulate`."""
    _check_input(keypoints, cameras, min_confidence, huber_px=huber_px, max_error_px=max_error_px, min_views=min_views)
    cap = max_error_px or _IMAGE_SHARE * float(np.median([max(camera.size) for camera in cameras]))
    grid = (keypoints.frames, len(keypoints.names))
    confidence = _usable_confidence(keypoints, min_confidence)
    rays = rays_of_pixels(cameras, keypoints.xy, _relative_confidence(confidence))
    fit = _solve_in_batches(rays, np.full(grid, huber_px or cap), np.full(grid, cap))
    limits = _tuned_limits(rays, fit, grid, cap=cap, huber_px=huber_px)

    swapped = np.zeros(confidence.shape, bool)
    if fix_swaps:
        swapped = _swapped_observations(keypoints, rays, fit, limits.limit)
        if swapped.any():
            keypoints = exchange_sides(keypoints, swapped)
            confidence = _usable_confidence(keypoints, min_confidence)
            del rays  # of a long trial each of these takes hundreds of megabytes
            rays = rays_of_pixels(cameras, keypoints.xy, _relative_confidence(confidence))

    expected = _expected_positions(rays, fit, grid, keypoints.rate)
    del fit
    fit = _solve_in_batches(rays, np.broadcast_to(limits.huber, grid), np.broadcast_to(limits.limit, grid), expected)
    noise = _tuned_limits(rays, fit, grid, cap=cap, huber_px=huber_px).noise
    used = fit.used.reshape(len(cameras), *grid).transpose(1, 0, 2)
    inflation = variance_inflation(_summed_squares(rays, fit).reshape(grid), used.sum(1), noise)
    reason = np.where(rays.seen.sum(0).reshape(grid) < min_views, REASON_TOO_FEW, REASON_DISAGREE)
    reason[(used.sum(1) >= min_views) & np.isfinite(fit.xyz).all(0).reshape(grid)] = REASON_KEPT
    del rays, expected
    markers = _markers_found(
        keypoints, fit, np.where(used, confidence, 0.0), found=reason == REASON_KEPT, variance=noise**2 * inflation
    )
    del fit
    return markers, TriangulationReport(
        names=keypoints.names,
        views=tuple(camera.name for camera in cameras),
        used=used & (reason == REASON_KEPT)[:, None],
        error_px=_reprojection_distances(keypoints, cameras, markers.xyz),
        swapped=swapped,
        reason=reason,
        noise_px=noise,
        limit_px=limits.limit,
    )


def _check_input(
    keypoints: Keypoints, cameras: Sequence[Camera], min_confidence, huber_px, max_error_px, min_views
) -> None:
    if len(cameras) != keypoints.views:
        names = ", ".join(camera.name for camera in cameras) or "none"
        raise InputError(
            f"{keypoints.views} views of keypoints but {len(cameras)} cameras ({names}). Give one camera per view, in "
            "the order of the views."
        )
    if keypoints.views < 2:
        raise InputError("triangulation needs at least two views; got one. Depth cannot be had from a single camera.")
    if keypoints.frames == 0 or not keypoints.names:
        raise InputError(f"nothing to triangulate: {keypoints.frames} frames, {len(keypoints.names)} points.")
    if not 0 <= min_confidence <= 1:
        raise InputError(f"min_confidence is {min_confidence}, expected 0…1.")
    for name, value in (("huber_px", huber_px), ("max_error_px", max_error_px)):
        if value is not None and not value > 0:
            raise InputError(f"{name} is {value}, expected a positive number of pixels, or None to have it chosen.")
    if not 2 <= min_views <= keypoints.views:
        raise InputError(f"min_views is {min_views}, expected 2…{keypoints.views} (the views there are).")


def _usable_confidence(keypoints: Keypoints, min_confidence: float) -> np.ndarray:
    """Confidences (frames, views, points), 0 for observations not to be used."""
    detected = ~keypoints.of_origin(Origin.INFERRED)
    floor = np.where(detected, min_confidence, 0.0)
    return np.where(keypoints.confidence >= floor, keypoints.confidence, 0.0)


def _relative_confidence(confidence: np.ndarray) -> np.ndarray:
    """Confidences over their mean for the point, so that its noise is that of an observation of its usual quality."""
    seen = confidence > 0
    mean = confidence.sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
    return confidence / np.where(mean > 0, mean, 1.0)


def _solve_in_batches(rays: Rays, huber: np.ndarray, limit: np.ndarray, expected=None) -> RefinedPoints:
    """Seeds and refinement of all points, in chunks; huber, limit: (frames, points) px."""
    views, n = rays.weight.shape
    huber, limit = huber.reshape(-1), limit.reshape(-1)
    size = max(1, _POINTS_PER_BATCH // views)
    found = RefinedPoints(np.empty((3, n)), np.empty((views, n)), np.empty((views, n)), np.empty((3, 3, n)))
    for start in range(0, n, size):
        part = slice(start, start + size)
        near = None if expected is None else (expected[0].reshape(3, n)[:, part], expected[1].reshape(n)[part])
        some = rays.of_points(part)
        fit = refine_points(some, best_seed(some, limit[part], near), huber[part], limit[part])
        for field in ("xyz", "error", "weight", "information"):
            getattr(found, field)[..., part] = getattr(fit, field)
    return found


class _Limits(NamedTuple):
    """Noise, where a residual starts to lose influence, and the error beyond which none counts: (points,) px."""

    noise: np.ndarray
    huber: np.ndarray
    limit: np.ndarray


def _tuned_limits(rays: Rays, fit: RefinedPoints, grid: tuple[int, int], cap: float, huber_px: float | None) -> _Limits:
    """From the residuals of a fit."""
    noise = pooled_noise(_summed_squares(rays, fit).reshape(grid), fit.used.sum(0).reshape(grid))
    huber = _HUBER_NOISE_FACTOR * noise if huber_px is None else np.full(grid[1], huber_px)
    return _Limits(noise, huber, np.clip(_LIMIT_NOISE_FACTOR * noise, min(_MIN_LIMIT_PX, cap), cap))


def _expected_positions(
    rays: Rays, fit: RefinedPoints, grid: tuple[int, int], rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """As `expected_position`; trusted are points of three views, or of two that are all who saw it."""
    support = fit.used.sum(0).reshape(grid)
    trusted = (support >= 3) | ((support == 2) & (rays.seen.sum(0).reshape(grid) == 2))
    return expected_position(fit.xyz.reshape(3, *grid), trusted, rate)


def _reprojection_distances(keypoints: Keypoints, cameras: Sequence[Camera], xyz: np.ndarray) -> np.ndarray:
    """(frames, views, points) px between what was observed and where points (frames, points, 3) m are shown."""
    distances = np.empty(keypoints.confidence.shape)
    for view, camera in enumerate(cameras):
        distances[:, view] = np.linalg.norm(project_one(camera, xyz) - keypoints.xy[:, view], axis=-1)
    return distances


def _summed_squares(rays: Rays, fit: RefinedPoints) -> np.ndarray:
    """Squared residuals (n,) px² summed over the used views, weighted by confidence only."""
    return (rays.weight * np.where(fit.used, fit.error, 0.0) ** 2).sum(0)


def _swapped_observations(keypoints: Keypoints, rays: Rays, fit: RefinedPoints, limit: np.ndarray) -> np.ndarray:
    """Observations with left and right exchanged: (frames, views, points) bool."""
    frames, views, points = keypoints.confidence.shape
    disagree = (rays.seen & (fit.error > np.tile(limit, frames))).any(0).reshape(frames, points)
    xyz = fit.xyz.reshape(3, frames, points)
    detected = ~keypoints.of_origin(Origin.INFERRED)
    swapped = np.zeros((frames, views, points), bool)
    for sides in limb_groups(keypoints.names).values():
        witnesses = sides[:, detected[sides].all(0)]  # inferred points follow the others, they have nothing to say
        if witnesses.size:
            suspect = np.any(disagree[:, witnesses], axis=(1, 2))
            found = find_swaps(rays, xyz, witnesses, suspect=suspect, limit=limit, rate=keypoints.rate)
            swapped[:, :, sides.ravel()] = found[..., None]
    return swapped


def _markers_found(
    keypoints: Keypoints, fit: RefinedPoints, confidence: np.ndarray, found: np.ndarray, variance: np.ndarray
) -> Markers:
    """The points found. confidence: (frames, views, points) of the views used, else 0. found: (frames, points) bool.

    variance: (frames, points) px² of an image coordinate.
    """
    count = fit.used.sum(0).reshape(found.shape)
    covariance = np.empty((*found.shape, 3, 3))
    np.copyto(covariance, inverse_3x3(fit.information).transpose(2, 0, 1).reshape(covariance.shape))
    covariance *= variance[..., None, None]
    covariance[~found] = np.nan
    covariance.setflags(write=False)  # so that the type keeps it, and does not copy it
    return Markers(
        names=keypoints.names,
        rate=keypoints.rate,
        xyz=np.where(found[..., None], fit.xyz.T.reshape(*found.shape, 3), np.nan),
        frame="z_up",
        weight=np.where(found, confidence.sum(1) / np.maximum(count, 1), 0.0),
        covariance=covariance,
        origin=keypoints.origin,
    )
