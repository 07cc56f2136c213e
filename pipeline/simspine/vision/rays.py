"""Points from rays: lines of sight, initial points, robust refinement, pixel noise, and neighbouring frames."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy

from simspine.core.geometry import distortion_derivative, undistort_pixels
from simspine.core.kernels import njit
from simspine.core.types import Camera

# Observations as rays, and the reprojection error of a 3D point in pixels.
# Arrays here have the points last, (views, components, n) with n = frames × points, so that every operation runs
# over long contiguous rows.
# The lens model is evaluated once. Each observation is undistorted, and the map from ideal image coordinates to pixels
# is linearised at the observation, `lens_derivative`; the residual
# `lens_derivative @ (ideal projection − ideal observation)` is then in pixels of the distorted image, exact at zero and
# to first order around it. Reported errors do not use this approximation.


MIN_RAY_DEPTH_M = 1e-3  # m; a point closer to the camera plane than this counts as behind it
_OBSERVATIONS_PER_BATCH = 8000  # observations of a view undistorted at a time, which fit into a processor's cache
_NEWTON_STEPS = 20  # far more than any lens needs inside its image; limits the time spent on pixels outside it


@dataclass(frozen=True)
class Rays:
    """Observations of n points in several views.

    R: (views, 3, 3), t: (views, 3) m: world → camera. normal: (views, 2, n) ideal image coordinates, 0 where not seen.
    lens_derivative: (views, 2, 2, n) px, derivative of pixels by ideal coordinates at the observation. weight: (views,
    n) ≥ 0, 0 = not seen.
    """

    R: np.ndarray
    t: np.ndarray
    normal: np.ndarray
    lens_derivative: np.ndarray
    weight: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        """(views, n) bool: views that observed the point."""
        return self.weight > 0

    def of_points(self, columns) -> "Rays":
        """Rays of the points `columns` (an index array or a slice)."""
        # Indexing by an array would leave points first in memory.
        selected = (
            np.ascontiguousarray(values[..., columns]) for values in (self.normal, self.lens_derivative, self.weight)
        )
        return Rays(self.R, self.t, *selected)

    def weighted(self, weight: np.ndarray) -> "Rays":
        """With weights (frames, views, points) where this one's are not 0."""
        return replace(self, weight=weight.transpose(1, 0, 2).reshape(self.weight.shape) * self.seen)

    def with_exchanged(self, swapped: np.ndarray, mirrors: np.ndarray) -> "Rays":
        """Observations `swapped` (frames, views, points) bool handed to their mirror images, (points,) indices."""
        frame, view, point = np.nonzero(swapped)
        here, there = frame * swapped.shape[2] + point, frame * swapped.shape[2] + mirrors[point]
        exchanged = [values.copy() for values in (self.normal, self.lens_derivative, self.weight)]
        for values in exchanged:
            values[view, ..., here] = values[view, ..., there]
        return Rays(self.R, self.t, *exchanged)


def rays_of_pixels(cameras: Sequence[Camera], xy: np.ndarray) -> Rays:
    """Rays of the pixels xy (frames, views, points, 2); n = frames × points.

    The weight is 1, or 0 for pixels that are NaN or outside the range of the lens model.
    """
    frames, views, points = xy.shape[:3]
    normal, lens = np.empty((views, 2, frames * points)), np.empty((views, 2, 2, frames * points))
    weights = np.empty((views, frames * points))
    step = max(1, _OBSERVATIONS_PER_BATCH // points)
    for view, camera in enumerate(cameras):
        for start in range(0, frames, step):
            part = slice(start * points, (start + step) * points)
            ideal = undistort_pixels(camera, xy[start : start + step, view].reshape(-1, 2), iterations=_NEWTON_STEPS)
            seen = np.isfinite(ideal).all(-1)
            ideal[~seen] = 0.0
            normal[view, :, part] = ideal.T
            lens[view, :, :, part] = np.einsum("ij,jkn->ikn", camera.K[:2, :2], distortion_derivative(camera, ideal))
            weights[view, part] = seen
    R, t = np.stack([c.R for c in cameras]), np.stack([c.t for c in cameras])
    return Rays(R=R, t=t, normal=normal, lens_derivative=lens, weight=weights)


def ray_directions(rays: Rays) -> np.ndarray:
    """World directions (views, 3, n) of the rays, of depth one along the optical axis."""
    return np.einsum("vji,vjn->vin", rays.R[:, :2], rays.normal) + rays.R[:, 2][:, :, None]


def camera_centres(rays: Rays) -> np.ndarray:
    """Optical centres (views, 3) m."""
    return -np.einsum("vji,vj->vi", rays.R, rays.t)


# Seeds: each pair of views proposes a point, all views evaluate it.
# Trying every subset of views costs 2^views. A pair is the smallest subset that determines a point, and one pair of
# correct views suffices to find all wrong ones. Pairs are therefore enough: all of them up to `SEED_RANKS` views; of
# more views, pairs of the `SEED_RANKS` most confident ones of each point. The cost is then linear in the number of
# views, and up to SEED_RANKS − 2 of the views tried may be wrong.


SEED_RANKS = 7
_PARALLEL_SIN_SQUARED = 1e-8  # sin² of the smallest angle between two rays (0.006°) that still gives a depth


def ray_midpoint(centre_a, ray_a, centre_b, ray_b) -> np.ndarray:
    """The point (3, n) halfway between two rays where they pass closest; NaN if parallel or behind a camera.

    centre: (3, n) or (3, 1) m. ray: (3, n), of depth one.
    """
    baseline = centre_a - centre_b
    aa, bb, ab = (np.einsum("in,in->n", p, q) for p, q in ((ray_a, ray_a), (ray_b, ray_b), (ray_a, ray_b)))
    a, b = (ray_a * baseline).sum(0), (ray_b * baseline).sum(0)
    area = aa * bb - ab * ab
    crossing = area > _PARALLEL_SIN_SQUARED * aa * bb
    area = np.where(crossing, area, 1.0)
    depth_a, depth_b = (ab * b - bb * a) / area, (aa * b - ab * a) / area
    point = (centre_a + depth_a * ray_a + centre_b + depth_b * ray_b) / 2
    return np.where(crossing & (depth_a > MIN_RAY_DEPTH_M) & (depth_b > MIN_RAY_DEPTH_M), point, np.nan)


def truncated_misfit(rays: Rays, xyz: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """Cost (views, n) of xyz (3, n): weight × min(error² / limit², 1). A wrong view costs at most its weight."""
    local = rays.R @ xyz + rays.t[:, :, None]
    ahead = local[:, 2] > MIN_RAY_DEPTH_M
    image = local[:, :2] / np.where(ahead, local[:, 2], 1.0)[:, None]
    residual = np.einsum("vijn,vjn->vin", rays.lens_derivative, image - rays.normal)
    squared = np.einsum("vin,vin->vn", residual, residual) / limit**2
    return rays.weight * np.where(ahead, np.minimum(squared, 1.0), 1.0)


# Robust least squares: from a seed to the point that the consistent views agree on.


_AGREEING = 0.25  # squared error / limit²: half the limit, up to which `robust_weight` does not fall to 0
_MAX_STEP_M = 0.5  # m; a longer Gauss–Newton step leaves the region where the linearisation is valid
_CONVERGED_STEP_M = 1e-6  # m
_MAX_ITERATIONS = 12


@dataclass(frozen=True)
class RefinedPoints:
    """Points and their residuals. xyz: (3, n) m. error: (views, n) px, infinite where not seen or behind the camera.
    weight: (views, n), final weights of the views. information: (3, 3, n) = Jᵀ W J, px²/m²."""

    xyz: np.ndarray
    error: np.ndarray
    weight: np.ndarray
    information: np.ndarray

    @property
    def used(self) -> np.ndarray:
        """(views, n) bool: views of non-zero weight."""
        return self.weight > 0

    @cached_property
    def covariance(self) -> np.ndarray:
        """(3, 3, n) m²/px²: inverse of the information, by cofactors; infinite or NaN where singular."""
        (a00, a01, a02), (_, a11, a12), (_, _, a22) = self.information
        c00, c01, c02 = a11 * a22 - a12 * a12, a02 * a12 - a01 * a22, a01 * a12 - a02 * a11
        c11, c12, c22 = a00 * a22 - a02 * a02, a01 * a02 - a00 * a12, a00 * a11 - a01 * a01
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.array([[c00, c01, c02], [c01, c11, c12], [c02, c12, c22]]) / (a00 * c00 + a01 * c01 + a02 * c02)


def solve_points(
    rays: Rays,
    huber: np.ndarray,
    limit: np.ndarray,
    expected: tuple[np.ndarray, np.ndarray] | None = None,
    start: np.ndarray | None = None,
) -> RefinedPoints:
    """Seeds, refined by iteratively reweighted Gauss–Newton steps. huber, limit: (points,) px, the same in each frame.

    start: (3, n) m, the first proposals, such as the points of an earlier fit. A proposal with all views within half
    the limit is the seed at once. expected: position (3, n) and tolerance (n,) m from the neighbouring frames, with the
    weight of one more view (NaN = unknown). It decides where views are split evenly. Points without a seed are NaN;
    those with fewer than two views inside the limit stay at their seeds.
    """
    views, n = rays.weight.shape
    xyz, error, weight, information = (np.empty((*shape, n)) for shape in ((3,), (views,), (views,), (3, 3)))
    position, tolerance = (np.empty((3, 0)), np.empty(0)) if expected is None else expected
    xyz[:] = np.nan if start is None else start
    limits = np.ascontiguousarray(huber), np.ascontiguousarray(limit), position, tolerance
    rank = np.arange(views)[:, None]
    if views > SEED_RANKS:  # the most confident views of each point; ties keep the order of the cameras
        rank = np.ascontiguousarray(np.argsort(-rays.weight, axis=0, kind="stable")[:SEED_RANKS])
    observed = rays.R, rays.t, camera_centres(rays), rays.normal, rays.lens_derivative, rays.weight, rank
    _solve_kernel(*observed, *limits, xyz, error, weight, information)
    return RefinedPoints(xyz, error, weight, information)


@njit(cache=True, inline="always")
def robust_weight(error: float, huber: float, limit: float) -> float:
    """Weight of an observation `error` px from the point: Huber's up to half the limit, then falling to 0 at the limit.

    1 up to `huber`, huber/error beyond; the last part (Hampel 1974) lets a wrong view lose all influence, which Huber's
    alone never does, and without a jump that would make the iteration cycle.
    """
    half = limit / 2
    tail = min(max((limit - error) / (limit - half), 0.0), 1.0)
    return min(1.0, huber / max(error, 1e-12)) * tail


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_kernel(
    R, t, centre, normal, lens, weight, rank, huber, limit, position, tolerance, xyz, error, final, information
) -> None:
    """Fills the arrays of the `RefinedPoints`, point by point; the rest as in `Rays` and `solve_points`.

    xyz: first proposals, NaN where there are none.
    """
    views = weight.shape[0]
    rays = np.empty((views, 3))
    for n in range(xyz.shape[1]):
        of_point = n % len(limit)
        for v in range(views):  # world directions, of depth one along the optical axes
            for i in range(3):
                rays[v, i] = R[v, 0, i] * normal[v, 0, n] + R[v, 1, i] * normal[v, 1, n] + R[v, 2, i]
        x, y, z = xyz[0, n], xyz[1, n], xyz[2, n]
        _, worst = _misfit(R, t, normal, lens, weight, limit[of_point], n, x, y, z)
        if not worst < _AGREEING:
            x, y, z = _best_seed(
                R, t, centre, normal, lens, weight, limit[of_point], position, tolerance, n, rays, rank
            )
        length, steps_left = np.inf, _MAX_ITERATIONS
        while True:
            a00, a01, a02, a11, a12, a22, g0, g1, g2 = _linearise_point(
                R, t, normal, lens, weight, huber[of_point], limit[of_point], n, x, y, z, error, final
            )
            if length <= _CONVERGED_STEP_M or steps_left == 0:
                break
            c00, c01, c02 = a11 * a22 - a12 * a12, a02 * a12 - a01 * a22, a01 * a12 - a02 * a11
            det = a00 * c00 + a01 * c01 + a02 * c02
            step_x = (c00 * g0 + c01 * g1 + c02 * g2) / det
            step_y = (c01 * g0 + (a00 * a22 - a02 * a02) * g1 + (a01 * a02 - a00 * a12) * g2) / det
            step_z = (c02 * g0 + (a01 * a02 - a00 * a12) * g1 + (a00 * a11 - a01 * a01) * g2) / det
            length = np.sqrt(step_x * step_x + step_y * step_y + step_z * step_z)
            steps_left -= 1
            if not np.isfinite(length):  # the point stays where it is
                length = 0.0
                continue
            share = min(1.0, _MAX_STEP_M / max(length, _MAX_STEP_M))
            x, y, z = x - share * step_x, y - share * step_y, z - share * step_z
        xyz[0, n], xyz[1, n], xyz[2, n] = x, y, z
        information[0, 0, n], information[1, 1, n], information[2, 2, n] = a00, a11, a22
        information[0, 1, n] = information[1, 0, n] = a01
        information[0, 2, n] = information[2, 0, n] = a02
        information[1, 2, n] = information[2, 1, n] = a12


@njit(cache=True, error_model="numpy", inline="always")
def _best_seed(R, t, centre, normal, lens, weight, limit: float, position, tolerance, n: int, rays, rank):
    """x, y, z of the proposal of a pair of views that has the least `truncated_misfit`; NaN where there is none."""
    best_x = best_y = best_z = np.nan
    lowest = np.inf
    column = n % rank.shape[1]
    for first in range(len(rank)):
        a = rank[first, column]
        for second in range(first + 1, len(rank)):
            b = rank[second, column]
            if not (weight[a, n] > 0.0 and weight[b, n] > 0.0):
                continue
            aa = bb = ab = to_a = to_b = 0.0
            for i in range(3):
                p, q, baseline = rays[a, i], rays[b, i], centre[a, i] - centre[b, i]
                aa, bb, ab, to_a, to_b = aa + p * p, bb + q * q, ab + p * q, to_a + p * baseline, to_b + q * baseline
            area = aa * bb - ab * ab
            per_area = 1.0 / area
            far_a, far_b = (ab * to_b - bb * to_a) * per_area, (aa * to_b - ab * to_a) * per_area
            if not (area > _PARALLEL_SIN_SQUARED * aa * bb and far_a > MIN_RAY_DEPTH_M and far_b > MIN_RAY_DEPTH_M):
                continue
            x = (centre[a, 0] + far_a * rays[a, 0] + centre[b, 0] + far_b * rays[b, 0]) / 2
            y = (centre[a, 1] + far_a * rays[a, 1] + centre[b, 1] + far_b * rays[b, 1]) / 2
            z = (centre[a, 2] + far_a * rays[a, 2] + centre[b, 2] + far_b * rays[b, 2]) / 2
            cost, worst = _misfit(R, t, normal, lens, weight, limit, n, x, y, z)
            if worst < _AGREEING:
                return x, y, z
            if len(tolerance):
                dx, dy, dz = x - position[0, n], y - position[1, n], z - position[2, n]
                apart = (dx * dx + dy * dy + dz * dz) / (tolerance[n] * tolerance[n])
                cost += apart if apart < 1.0 else 1.0  # 1 where it is NaN
            if cost < lowest:
                best_x, best_y, best_z, lowest = x, y, z, cost
    return best_x, best_y, best_z


@njit(cache=True, error_model="numpy", inline="always")
def _misfit(R, t, normal, lens, weight, limit: float, n: int, x: float, y: float, z: float):
    """`truncated_misfit` of a point, summed over the views; the largest squared error of those that saw it / limit²."""
    cost, worst, per_limit = 0.0, 0.0, 1.0 / (limit * limit)
    for v in range(weight.shape[0]):
        _, off_a, off_b = _image_offset(R, t, normal, v, n, x, y, z)
        r0 = lens[v, 0, 0, n] * off_a + lens[v, 0, 1, n] * off_b
        r1 = lens[v, 1, 0, n] * off_a + lens[v, 1, 1, n] * off_b
        squared = (r0 * r0 + r1 * r1) * per_limit
        squared = squared if squared < 1.0 else 1.0
        cost += weight[v, n] * squared
        if weight[v, n] > 0.0 and squared > worst:
            worst = squared
    return cost, worst


@njit(cache=True, error_model="numpy", inline="always")
def _image_offset(R, t, normal, v: int, n: int, x: float, y: float, z: float):
    """1 / depth of a point in a view (infinite behind it), and its offset from the observation, ideal coordinates."""
    depth = R[v, 2, 0] * x + R[v, 2, 1] * y + R[v, 2, 2] * z + t[v, 2]
    near = 1.0 / depth if depth > MIN_RAY_DEPTH_M else np.inf
    off_a = (R[v, 0, 0] * x + R[v, 0, 1] * y + R[v, 0, 2] * z + t[v, 0]) * near - normal[v, 0, n]
    off_b = (R[v, 1, 0] * x + R[v, 1, 1] * y + R[v, 1, 2] * z + t[v, 1]) * near - normal[v, 1, n]
    return near, off_a, off_b


@njit(cache=True, error_model="numpy", inline="always")
def _linearise_point(R, t, normal, lens, weight, huber: float, limit: float, n: int, x, y, z, error, final):
    """Set point n's errors and weights (views, n). Returns A = Jᵀ W J, its upper triangle, and g = Jᵀ W r (3,)."""
    a00 = a01 = a02 = a11 = a12 = a22 = g0 = g1 = g2 = 0.0
    for v in range(weight.shape[0]):
        near, off_a, off_b = _image_offset(R, t, normal, v, n, x, y, z)
        if not np.isfinite(near) or weight[v, n] == 0.0:
            error[v, n], final[v, n] = np.inf, 0.0
            continue
        l00, l01, l10, l11 = lens[v, 0, 0, n], lens[v, 0, 1, n], lens[v, 1, 0, n], lens[v, 1, 1, n]
        r0, r1 = l00 * off_a + l01 * off_b, l10 * off_a + l11 * off_b
        off = error[v, n] = np.sqrt(r0 * r0 + r1 * r1)
        w = weight[v, n]
        if off > huber or 2.0 * off > limit:
            w *= robust_weight(off, huber, limit)
        final[v, n] = w
        # d(x/z) = (R_x − (x/z) R_z) / z, and the lens on top.
        a, b = off_a + normal[v, 0, n], off_b + normal[v, 1, n]
        s0, u0 = (R[v, 0, 0] - a * R[v, 2, 0]) * near, (R[v, 1, 0] - b * R[v, 2, 0]) * near
        s1, u1 = (R[v, 0, 1] - a * R[v, 2, 1]) * near, (R[v, 1, 1] - b * R[v, 2, 1]) * near
        s2, u2 = (R[v, 0, 2] - a * R[v, 2, 2]) * near, (R[v, 1, 2] - b * R[v, 2, 2]) * near
        p0, p1, p2 = l00 * s0 + l01 * u0, l00 * s1 + l01 * u1, l00 * s2 + l01 * u2
        q0, q1, q2 = l10 * s0 + l11 * u0, l10 * s1 + l11 * u1, l10 * s2 + l11 * u2
        r0, r1 = w * r0, w * r1
        g0, g1, g2 = g0 + p0 * r0 + q0 * r1, g1 + p1 * r0 + q1 * r1, g2 + p2 * r0 + q2 * r1
        a00, a01, a02 = a00 + w * (p0 * p0 + q0 * q0), a01 + w * (p0 * p1 + q0 * q1), a02 + w * (p0 * p2 + q0 * q2)
        a11, a12, a22 = a11 + w * (p1 * p1 + q1 * q1), a12 + w * (p1 * p2 + q1 * q2), a22 + w * (p2 * p2 + q2 * q2)
    return a00, a01, a02, a11, a12, a22, g0, g1, g2


MIN_PIXEL_NOISE_PX = 12**-0.5  # px; rounding to whole pixels alone has this standard deviation
_MIN_FRAMES_PER_POINT = 10  # frames that a point needs for its own estimate
_CLEAN_SHARE = 0.99  # share of clean observations whose variance is not inflated


def pooled_noise(squares: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Standard deviation (points,) px of one image coordinate, pooled over the frames.

    squares: (frames, points) px², weighted squared residuals summed over the used views; views: (frames, points) number
    of used views. With noise σ, `squares` is σ² χ² with 2·views − 3 degrees of freedom. Its median over the frames,
    each divided by the median of its χ², gives σ², robust to outliers in up to half the frames. Points with few frames
    get the value of all points together. The least value is that of rounding to whole pixels.
    """
    known = np.isfinite(squares) & (views >= 2)
    ratio = np.where(known, squares / chi2_quantile(0.5, views), np.nan)
    overall = np.median(ratio[known]) if known.any() else 0.0
    enough = known.sum(0) >= _MIN_FRAMES_PER_POINT
    variance = np.full(squares.shape[1], overall)
    if enough.any():
        variance[enough] = np.nanmedian(ratio[:, enough], axis=0)
    return np.maximum(np.sqrt(variance), MIN_PIXEL_NOISE_PX)


def variance_inflation(squares: np.ndarray, views: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Factor ≥ 1 (frames, points) on the variance of frames whose residuals are too large for the pooled noise.

    1 for 99 % of clean observations; for others, their χ² over its 99 % quantile (similar to Birge's ratio, 1932).
    """
    return np.maximum(1.0, squares / (chi2_quantile(_CLEAN_SHARE, views) * noise**2))


def chi2_quantile(share: float, views: np.ndarray) -> np.ndarray:
    """Quantile of χ² with 2·views − 3 degrees of freedom, those of a point seen by `views` (≥ 2) views."""
    freedom = np.maximum(2 * np.arange(int(views.max(initial=0)) + 1) - 3, 1)
    return 2 * scipy.special.gammaincinv(freedom / 2, share)[views]


_NEIGHBOUR_HORIZON_S = 0.5  # s; frames farther away are not used
_POSITION_SLACK_M = 0.05  # m; tolerance of the expected position at no distance in time
_MAX_POINT_SPEED_M_S = 2.0  # m/s; a walker's foot swings at about 4, a trunk moves at less than 1


def expected_position(xyz: np.ndarray, trusted: np.ndarray, rate: float) -> tuple[np.ndarray, np.ndarray]:
    """Positions (3, frames, points) m between each frame's trusted neighbours, and tolerances (frames, points) m.

    xyz: (3, frames, points) m. trusted: (frames, points) bool. A trusted frame is interpolated from its neighbours as
    well. NaN where there is no trusted frame within half a second on either side.
    """
    frames = trusted.shape[0]
    index = np.arange(frames)[:, None]
    before = np.maximum.accumulate(np.where(trusted, index, -1), axis=0)
    after = np.minimum.accumulate(np.where(trusted, index, frames)[::-1], axis=0)[::-1]
    before = np.concatenate([np.full_like(before[:1], -1), before[:-1]])  # strictly before, strictly after
    after = np.concatenate([after[1:], np.full_like(after[:1], frames)])
    reach = _NEIGHBOUR_HORIZON_S * rate
    has_before, has_after = (before >= 0) & (index - before <= reach), (after < frames) & (after - index <= reach)
    early = np.take_along_axis(xyz, np.clip(before, 0, frames - 1)[None], 1)
    late = np.take_along_axis(xyz, np.clip(after, 0, frames - 1)[None], 1)
    share = (index - before) / (after - before)
    position = np.where(has_before & has_after, early + share * (late - early), np.where(has_before, early, late))
    distance = np.minimum(np.where(has_before, index - before, np.inf), np.where(has_after, after - index, np.inf))
    known = has_before | has_after
    tolerance = _POSITION_SLACK_M + _MAX_POINT_SPEED_M_S * np.where(known, distance, np.nan) / rate
    return np.where(known, position, np.nan), tolerance
