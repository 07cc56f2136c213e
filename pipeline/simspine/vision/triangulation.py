"""Triangulation of a trial: seeds, robust refinement, noise and swaps, then once more with the limits estimated."""

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from simspine.core.arrays import Unchanging
from simspine.core.errors import InputError
from simspine.core.geometry import project_one
from simspine.core.skeletons import skeleton_of_names
from simspine.core.types import MAX_CAMERA_DISTANCE_M, Camera, Keypoints, Markers, Origin
from simspine.io.calibration import check_arrangement
from simspine.vision.options import TriangulationOptions
from simspine.vision.person_frame import PLAUSIBLE_PERSON_HEIGHTS_M, limb_stature
from simspine.vision.rays import (
    Rays,
    RefinedPoints,
    expected_position,
    pooled_noise,
    rays_of_pixels,
    solve_points,
    variance_inflation,
)
from simspine.vision.side_swaps import exchange_sides, find_swaps, limb_groups, limit_without_swaps, mirror_indices

TRIANGULATION_REASONS = ("kept", "seen by too few views", "views disagree")
REASON_KEPT, REASON_TOO_FEW, REASON_DISAGREE = range(len(TRIANGULATION_REASONS))


@dataclass(frozen=True)
class TriangulationReport(Unchanging):
    """Fit of the points of a trial to the images. All arrays are read-only.

    Attributes
    ----------
    names, views : tuple of str
        Names of the points and of the cameras.
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
        """The report on some of the points, in the order of the report; unknown names are ignored."""
        wanted = set(names)
        keep = [i for i, name in enumerate(self.names) if name in wanted]
        arrays = ("used", "error_px", "swapped", "reason", "noise_px", "limit_px")
        selected = {field: getattr(self, field)[..., keep] for field in arrays}
        return replace(self, names=tuple(self.names[i] for i in keep), **selected)

    def summary(self) -> dict:
        """Figures for a table: errors (px) of the used observations, and shares of points and observations."""
        observed, kept = np.isfinite(self.error_px), self.error_px[self.used]
        return {
            "reprojection_px_median": float(np.percentile(kept, 50)) if kept.size else None,
            "reprojection_px_p90": float(np.percentile(kept, 90)) if kept.size else None,
            "points_kept_share": _share_or_none(self.kept.sum(), self.kept.size),
            "observations_dropped_share": self._by_view(observed & ~self.used, observed),
            "observations_swapped_share": self._by_view(self.swapped, np.ones_like(self.swapped)),
        }

    def _by_view(self, part: np.ndarray, whole: np.ndarray) -> dict[str, float | None]:
        """Share of the observations (frames, views, points) bool, by view."""
        counts = zip(self.views, part.sum((0, 2)), whole.sum((0, 2)), strict=True)
        return {view: _share_or_none(count, total) for view, count, total in counts}


def _share_or_none(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


_HUBER_NOISE_FACTOR = 2.15  # × noise: nine in ten clean observations keep their full weight (χ², 2 degrees of freedom)
_LIMIT_NOISE_FACTOR = 4.5  # × noise: one clean observation in 25,000 has a larger error
_MIN_LIMIT_PX = 3.0  # px; smaller errors never exclude an observation
_LASTING_SWAP_SHARE = 0.25  # of the frames: swaps in more of them have raised the noise and limits
_IMAGE_SHARE = 0.03  # of the longer image side: a detection with a larger error shows something else


def triangulate(keypoints: Keypoints, cameras: Sequence[Camera], **options) -> Markers:
    """Points in space from 2D points of several views, with covariance.

    Robust least squares of the reprojection errors. Method and equations: docs/cameras.md. Cameras and their order are
    taken as right, by the covariance too: `check_cameras` compares them.
    `simspine.vision.triangulation.triangulate_with_report` returns a `TriangulationReport` as well.

    Parameters
    ----------
    keypoints : Keypoints
    cameras : sequence of Camera
        One per view, in the order of the views.
    **options
        min_confidence (0.3): detected points below it are not used; inferred ones need more than 0. huber_px: residual
        above which influence declines, by default 2.15 × the estimated noise. max_error_px: largest error of a used
        observation, by default 3 % of the longer image side; the limit is 4.5 × the estimated noise, if that is less.
        min_views (2): consistent views that a point needs. fix_swaps (True): exchange left and right points, by their
        names, where a view has them exchanged.

    Returns
    -------
    Markers
        m, z_up, with covariance; NaN = missing. `weight` is the mean confidence of the used views, 0 where missing.

    Raises
    ------
    InputError
        Where cameras and views differ in number, or an option is invalid.

    Examples
    --------
    >>> K, R = [[1000, 0, 500], [0, 1000, 500], [0, 0, 1]], [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    >>> cameras = [ss.Camera(f"cam{x}", (1000, 1000), K, np.zeros(5), R, t=(-x, 1, 4)) for x in (0, 1)]
    >>> seen = ss.Keypoints(["LKnee"], rate=60, xy=[[[[600, 500]], [[400, 500]]]], confidence=np.ones((1, 2, 1)))
    >>> ss.triangulate(seen, cameras).xyz.round(3)
    array([[[0.5, 1. , 1. ]]])
    """
    markers, report = triangulate_with_report(keypoints, cameras, **options)
    check_arrangement(cameras)
    warn_of_sizes(markers)
    found, few, disagreeing = np.bincount(report.reason.ravel(), minlength=len(TRIANGULATION_REASONS))
    if disagreeing >= found:
        text = f"{found} points were triangulated, {few} are seen surely by too few views, the views disagree about"
        cure = "Are they in the order of the cameras, the points pixels of images of the calibrated size?"
        warnings.warn(f"{text} {disagreeing}. {cure}", stacklevel=2)
    return markers


def warn_of_sizes(markers: Markers) -> None:
    """Warn of limbs that no person has: positions of the cameras are in another unit than metres."""
    try:
        simspine_names = skeleton_of_names(markers.names).to_simspine
    except InputError:
        return  # points that are no person's joints
    stature = limb_stature([simspine_names.get(name, "") for name in markers.names], markers.xyz)
    shortest, tallest = PLAUSIBLE_PERSON_HEIGHTS_M
    if stature is not None and not shortest <= stature <= tallest:
        warnings.warn(
            f"arms and legs are those of a person of {stature:.3g} m, as in no person. Are the places of the cameras "
            "in metres, and the views in the order of the cameras? Translations in another unit, or counted in "
            "squares of a board, must be multiplied by that length in metres.",
            stacklevel=3,
        )


def triangulate_with_report(
    keypoints: Keypoints, cameras: Sequence[Camera], **options
) -> tuple[Markers, TriangulationReport]:
    """`triangulate`, and a report on it; options as of `triangulate`."""
    chosen = TriangulationOptions(**options)
    _check_input(keypoints, cameras, chosen.min_views)
    cap = chosen.max_error_px or _IMAGE_SHARE * float(np.median([max(camera.size) for camera in cameras]))
    grid = (keypoints.frames, len(keypoints.names))
    confidence = usable_confidence(keypoints, chosen.min_confidence)
    lines = rays_of_pixels(cameras, keypoints.xy)
    rays = lines.weighted(_relative_confidence(confidence))
    fit = solve_points(rays, np.full(grid[1], chosen.huber_px or cap), np.full(grid[1], cap))
    limits = _tuned_limits(rays, fit, grid, cap=cap, huber_px=chosen.huber_px)

    swapped = np.zeros(confidence.shape, bool)
    if chosen.fix_swaps:
        swapped = _swapped_observations(keypoints, rays, fit, limits.limit)
        if swapped.any():
            keypoints = exchange_sides(keypoints, swapped)
            confidence = usable_confidence(keypoints, chosen.min_confidence)
            del rays  # of a long trial each of these takes hundreds of megabytes
            lines = lines.with_exchanged(swapped, mirror_indices(keypoints.names))
            rays = lines.weighted(_relative_confidence(confidence))
            if swapped.any(2).mean(0).max() > _LASTING_SWAP_SHARE:
                fit = solve_points(rays, limits.huber, limits.limit)
                limits = _tuned_limits(rays, fit, grid, cap=cap, huber_px=chosen.huber_px)

    del lines
    expected = _expected_positions(rays, fit, grid, keypoints.rate)
    fit = solve_points(rays, limits.huber, limits.limit, expected, start=fit.xyz)
    noise = _tuned_limits(rays, fit, grid, cap=cap, huber_px=chosen.huber_px).noise
    used = fit.used.reshape(len(cameras), *grid).transpose(1, 0, 2)
    inflation = variance_inflation(_summed_squares(rays, fit).reshape(grid), used.sum(1), noise)
    reason = np.where(rays.seen.sum(0).reshape(grid) < chosen.min_views, REASON_TOO_FEW, REASON_DISAGREE)
    variance = np.einsum("iin->in", fit.covariance)
    located = ((variance > 0) & (variance < np.inf)).all(0)  # not by parallel rays alone
    reason[(used.sum(1) >= chosen.min_views) & (located & np.isfinite(fit.xyz).all(0)).reshape(grid)] = REASON_KEPT
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


def _check_input(keypoints: Keypoints, cameras: Sequence[Camera], min_views: int) -> None:
    if len(cameras) != keypoints.views:
        names = ", ".join(camera.name for camera in cameras) or "none"
        text = f"{keypoints.views} views of keypoints but {len(cameras)} cameras ({names})"
        raise InputError(f"{text}. Give one camera per view, in the order of the views.")
    if far := [camera.name for camera in cameras if not np.linalg.norm(camera.centre) <= MAX_CAMERA_DISTANCE_M]:
        text = f"camera {far[0]!r} is over {MAX_CAMERA_DISTANCE_M:g} m from the origin"
        raise InputError(
            f"{text}; its translation seems to be in millimetres or centimetres. Divide all by 1000 or 100."
        )
    if keypoints.views < 2:
        raise InputError("triangulation needs at least two views; got one. A single camera gives no depth.")
    if keypoints.frames == 0 or not keypoints.names:
        raise InputError(f"nothing to triangulate: {keypoints.frames} frames, {len(keypoints.names)} points.")
    if min_views > keypoints.views:
        raise InputError(f"min_views is {min_views}, expected 2…{keypoints.views} (the views there are).")


def usable_confidence(keypoints: Keypoints, min_confidence: float) -> np.ndarray:
    """Confidences (frames, views, points), 0 for observations not to be used."""
    detected = ~keypoints.of_origin(Origin.INFERRED)
    floor = np.where(detected, min_confidence, 0.0)
    return np.where(keypoints.confidence >= floor, keypoints.confidence, 0.0)


def _relative_confidence(confidence: np.ndarray) -> np.ndarray:
    """Confidences relative to each point's mean, so that a point's noise is that of its average observation."""
    seen = confidence > 0
    mean = confidence.sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
    return confidence / np.where(mean > 0, mean, 1.0)


class _Limits(NamedTuple):
    """(points,) px: noise; residual above which influence declines; largest error of an observation used."""

    noise: np.ndarray
    huber: np.ndarray
    limit: np.ndarray


def _tuned_limits(rays: Rays, fit: RefinedPoints, grid: tuple[int, int], cap: float, huber_px: float | None) -> _Limits:
    """Noise and limits estimated from the residuals of a fit."""
    noise = pooled_noise(_summed_squares(rays, fit).reshape(grid), fit.used.sum(0).reshape(grid))
    huber = _HUBER_NOISE_FACTOR * noise if huber_px is None else np.full(grid[1], huber_px)
    return _Limits(noise, huber, np.clip(_LIMIT_NOISE_FACTOR * noise, min(_MIN_LIMIT_PX, cap), cap))


def _expected_positions(
    rays: Rays, fit: RefinedPoints, grid: tuple[int, int], rate: float
) -> tuple[np.ndarray, np.ndarray]:
    """`expected_position` of all n points, with trust in those used in three or more views, or in the only two."""
    support = fit.used.sum(0).reshape(grid)
    trusted = (support >= 3) | ((support == 2) & (rays.seen.sum(0).reshape(grid) == 2))
    position, tolerance = expected_position(fit.xyz.reshape(3, *grid), trusted, rate)
    return position.reshape(3, -1), tolerance.reshape(-1)


def _reprojection_distances(keypoints: Keypoints, cameras: Sequence[Camera], xyz: np.ndarray) -> np.ndarray:
    """Distances (frames, views, points) px between observations and projected points (frames, points, 3) m."""
    distances = np.empty(keypoints.confidence.shape)
    for view, camera in enumerate(cameras):
        off = project_one(camera, xyz) - keypoints.xy[:, view]
        distances[:, view] = np.sqrt(np.einsum("fpi,fpi->fp", off, off))
    return distances


def _summed_squares(rays: Rays, fit: RefinedPoints) -> np.ndarray:
    """Squared residuals (n,) px² summed over the used views, weighted by confidence only."""
    return (rays.weight * np.where(fit.used, fit.error, 0.0) ** 2).sum(0)


def _swapped_observations(keypoints: Keypoints, rays: Rays, fit: RefinedPoints, limit: np.ndarray) -> np.ndarray:
    """Observations with left and right exchanged: (frames, views, points) bool."""
    frames, views, points = keypoints.confidence.shape
    xyz = fit.xyz.reshape(3, frames, points)
    detected = ~keypoints.of_origin(Origin.INFERRED)
    swapped = np.zeros((frames, views, points), bool)
    for sides in limb_groups(keypoints.names).values():
        evidence = sides[:, detected[sides].all(0)]  # without inferred points, which follow from detected ones
        if evidence.size:
            lower = limit_without_swaps(rays, evidence, limit=limit, frames=frames, least=_MIN_LIMIT_PX)
            disagree = (rays.seen & (fit.error > np.tile(lower, frames))).any(0).reshape(frames, points)
            suspect = np.any(disagree[:, evidence], axis=(1, 2))
            found = find_swaps(rays, xyz, evidence, suspect=suspect, limit=lower, rate=keypoints.rate)
            swapped[:, :, sides.ravel()] = found[..., None]
    return swapped


def _markers_found(
    keypoints: Keypoints, fit: RefinedPoints, confidence: np.ndarray, found: np.ndarray, variance: np.ndarray
) -> Markers:
    """Markers of the points found. confidence: (frames, views, points), 0 for views not used. found: (frames, points).

    variance: (frames, points) px² of an image coordinate.
    """
    count = fit.used.sum(0).reshape(found.shape)
    covariance = np.empty((*found.shape, 3, 3))
    np.copyto(covariance, fit.covariance.transpose(2, 0, 1).reshape(covariance.shape))
    covariance *= variance[..., None, None]
    covariance[~found] = np.nan
    covariance.setflags(write=False)  # `Markers` copies writable arrays
    return Markers(
        names=keypoints.names,
        rate=keypoints.rate,
        xyz=np.where(found[..., None], fit.xyz.T.reshape(*found.shape, 3), np.nan),
        frame="z_up",
        weight=np.where(found, confidence.sum(1) / np.maximum(count, 1), 0.0),
        covariance=covariance,
        origin=keypoints.origin,
    )
