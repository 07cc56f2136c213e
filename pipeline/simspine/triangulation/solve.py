"""Triangulation of a trial: seeds, robust refinement, noise, swaps, and once more with what was learnt."""

from collections.abc import Sequence

import numpy as np

from simspine.errors import InputError
from simspine.geometry import project_one
from simspine.triangulation.continuity import expected_position
from simspine.triangulation.noise import inflation, pooled_noise
from simspine.triangulation.rays import Rays, observe
from simspine.triangulation.refine import Fit, inverse3, refine
from simspine.triangulation.report import DISAGREE, KEPT, TOO_FEW, TriangulationReport
from simspine.triangulation.seeds import best_seed
from simspine.triangulation.swaps import exchange, find_swaps, limb_groups
from simspine.types import Camera, Keypoints, Markers, Origin

_CHUNK = 40_000  # observations solved at a time: what fits into a processor's cache
_HUBER = 2.15  # × noise: nine in ten clean observations keep their full weight (χ² with 2 degrees of freedom)
_LIMIT = 4.5  # × noise: one clean observation in 25,000 lies beyond
_LEAST_LIMIT = 3.0  # px; below this a disagreement is not worth losing a view
_IMAGE_SHARE = 0.03  # of the longer image side: a detection further off than this is of something else


def triangulate(keypoints: Keypoints, cameras: Sequence[Camera], **options) -> Markers:
    """3D points of the keypoints, with covariance; options and errors as in `triangulate_with_report`."""
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
    """3D points (m, z_up) of the keypoints with covariance, and what was used to get them.

    cameras: one per view, in the order of the views. min_confidence: detected points below it are not used (points
    that were inferred by a rule have low confidences by design and only need one above 0). huber_px: where a residual
    starts to lose influence; default 2.15 × the noise found. max_error_px: an observation further off is never used;
    default 3 % of the longer image side. Within it, the limit is 4.5 × the noise found for the point. min_views:
    consistent views a point needs. fix_swaps: exchange left and right where a view has them the wrong way round; by
    the names (`LKnee` ↔ `RKnee`).

    `Markers.weight` is the mean confidence of the used views, 0 where missing. Method and equations:
    docs/triangulation.md. Raises InputError where cameras and views differ in number or an option makes no sense.
    """
    _check(keypoints, cameras, min_confidence, huber_px, max_error_px, min_views)
    cap = max_error_px or _IMAGE_SHARE * float(np.median([max(camera.size) for camera in cameras]))
    grid = (keypoints.frames, len(keypoints.names))
    confidence = _usable(keypoints, min_confidence)
    rays = observe(cameras, keypoints.xy, _relative(confidence))

    wide = np.full(grid, cap)
    fit = _solve(rays, wide if huber_px is None else np.full(grid, huber_px), wide)
    noise, huber, limit = _tune(rays, fit, grid, cap, huber_px)

    swapped = np.zeros(confidence.shape, bool)
    if fix_swaps:
        swapped = _swapped(keypoints, rays, fit, limit)
        if swapped.any():
            keypoints = exchange(keypoints, swapped)
            confidence = _usable(keypoints, min_confidence)
            del rays  # of a long trial each of these takes hundreds of megabytes
            rays = observe(cameras, keypoints.xy, _relative(confidence))

    support = fit.used.sum(0).reshape(grid)
    trusted = (support >= 3) | ((support == 2) & (rays.seen.sum(0).reshape(grid) == 2))
    expected = expected_position(fit.xyz.reshape(3, *grid), trusted, keypoints.rate)
    del fit
    fit = _solve(rays, np.broadcast_to(huber, grid), np.broadcast_to(limit, grid), expected)
    noise, *_ = _tune(rays, fit, grid, cap, huber_px)
    squares, too_few = _squares(rays, fit).reshape(grid), rays.seen.sum(0).reshape(grid) < min_views
    del rays, expected

    used = fit.used.reshape(len(cameras), *grid).transpose(1, 0, 2)
    found = (used.sum(1) >= min_views) & np.isfinite(fit.xyz).all(0).reshape(grid)
    markers = _markers(keypoints, fit, np.where(used, confidence, 0.0), found, _variance(squares, used.sum(1), noise))
    del fit
    error_px = np.empty(confidence.shape)
    for view, camera in enumerate(cameras):
        error_px[:, view] = np.linalg.norm(project_one(camera, markers.xyz) - keypoints.xy[:, view], axis=-1)
    return markers, TriangulationReport(
        names=keypoints.names,
        views=tuple(camera.name for camera in cameras),
        used=used & found[:, None],
        error_px=error_px,
        swapped=swapped,
        reason=np.where(found, KEPT, np.where(too_few, TOO_FEW, DISAGREE)),
        noise_px=noise,
        limit_px=limit,
    )


def _check(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence, huber_px, max_error_px, min_views) -> None:
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


def _usable(keypoints: Keypoints, min_confidence: float) -> np.ndarray:
    """Confidences (frames, views, points), 0 for observations not to be used."""
    detected = ~keypoints.of_origin(Origin.INFERRED)
    floor = np.where(detected, min_confidence, 0.0)
    return np.where(keypoints.confidence >= floor, keypoints.confidence, 0.0)


def _relative(confidence: np.ndarray) -> np.ndarray:
    """Confidences over their mean for the point, so that its noise is that of an observation of its usual quality."""
    seen = confidence > 0
    mean = confidence.sum((0, 1)) / np.maximum(seen.sum((0, 1)), 1)
    return confidence / np.where(mean > 0, mean, 1.0)


def _solve(rays: Rays, huber: np.ndarray, limit: np.ndarray, expected=None) -> Fit:
    """Seeds and refinement of all points, in chunks; huber, limit: (frames, points) px."""
    views, n = rays.weight.shape
    huber, limit = huber.reshape(-1), limit.reshape(-1)
    size = max(1, _CHUNK // views)
    found = Fit(np.empty((3, n)), np.empty((views, n)), np.empty((views, n)), np.empty((3, 3, n)))
    for start in range(0, n, size):
        part = slice(start, start + size)
        near = None if expected is None else (expected[0].reshape(3, n)[:, part], expected[1].reshape(n)[part])
        some = rays.take(part)
        fit = refine(some, best_seed(some, limit[part], near), huber[part], limit[part])
        for field in ("xyz", "error", "weight", "information"):
            getattr(found, field)[..., part] = getattr(fit, field)
    return found


def _tune(rays: Rays, fit: Fit, grid: tuple[int, int], cap: float, huber_px: float | None):
    """Noise, Huber's threshold and the limit, each (points,) px, from the residuals of a fit."""
    noise = pooled_noise(_squares(rays, fit).reshape(grid), fit.used.sum(0).reshape(grid))
    huber = _HUBER * noise if huber_px is None else np.full(grid[1], huber_px)
    return noise, huber, np.clip(_LIMIT * noise, min(_LEAST_LIMIT, cap), cap)


def _squares(rays: Rays, fit: Fit) -> np.ndarray:
    """Squared residuals (n,) px² summed over the used views, weighted by confidence only."""
    return (rays.weight * np.where(fit.used, fit.error, 0.0) ** 2).sum(0)


def _swapped(keypoints: Keypoints, rays: Rays, fit: Fit, limit: np.ndarray) -> np.ndarray:
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
            found = find_swaps(rays, xyz, witnesses, suspect, limit, keypoints.rate)
            swapped[:, :, sides.ravel()] = found[..., None]
    return swapped


def _variance(squares: np.ndarray, count: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """(frames, points) px²: of one image coordinate, from squared residuals and the number of views used."""
    return noise**2 * inflation(squares, count, noise)


def _markers(
    keypoints: Keypoints, fit: Fit, confidence: np.ndarray, found: np.ndarray, variance: np.ndarray
) -> Markers:
    """The points found. confidence: (frames, views, points) of the views used, else 0. found: (frames, points) bool.

    variance: (frames, points) px² of an image coordinate.
    """
    count = fit.used.sum(0).reshape(found.shape)
    covariance = np.empty((*found.shape, 3, 3))
    np.copyto(covariance, inverse3(fit.information).transpose(2, 0, 1).reshape(covariance.shape))
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
