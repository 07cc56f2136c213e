"""All vertebral centres from some of them, and how unlikely given ones are for a human spine.

`shape_model` has the model of the points. Their pose is integrated out: the prior on place is flat, that on orientation
flat too (Haar's measure) or an `OrientationPrior`, so the result moves with both. For a fixed spin ψ about the line
through the points, the rest (t, the two tilts of R, z) is solved by `find_modes`, and its evidence by Laplace's method.
The spin itself is often hardly observed, because a spine is nearly straight: it is then integrated around the full
circle on an even grid, and the result is mean and covariance of that mixture. For a flat prior on pose the posterior
mean is the best equivariant estimate in mean square (Pitman's).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy

from simspine.anatomy import shape_model
from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import kabsch, triples_out_of_order

SPIN_NODES = 24  # spins about the line through the points, evenly on the circle, where the spin is hardly observed
FIXED_SPIN_SD_RAD = 1e-3  # rad: standard deviation that holds a spin at its node
# rad: a spin with a smaller spread is described by one Gaussian around the mode. A given orientation with a smaller
# spread about every axis is itself the start of the search.
NARROW_SPIN_SD_RAD = 0.2
RIVAL_LOG_EVIDENCE = 7.0  # a distant spin whose log evidence is this close to the best calls for the full circle
MIN_COST_DECREASE = 0.01  # half a squared distance: least decrease of the cost at which a search restarts
MIXTURE_LAST_STEP = 3e-5  # rad, log length: last step of the spins of the mixture
COARSE_LAST_STEP = 1e-3  # rad, log length: last step where distances alone are sought
FAR_FROM_TYPICAL = 1.0  # rad, log length: shapes farther from the typical one may have several minima
SMOOTHING_NOISE_SD_M = 0.02  # m: noise added to the points, so that only one minimum is left
FRAMES_SOLVED_TOGETHER = 8  # frames at a time, as many as fit into the cache


def complete_centres(
    mean: np.ndarray,
    cov: np.ndarray,
    levels: np.ndarray,
    y: np.ndarray,
    C: np.ndarray,
    prior: shape_model.OrientationPrior | None = None,
    mix: np.ndarray | None = None,
):
    """Posterior mean (B, n, 3) and covariance (B, n, 3, 3) of all n centres.

    mean (3(n − 1),), cov: prior of the shape parameters. levels: indices (m,) of the centres observed, m ≥ 2.
    y: (B, m, 3) m. C: (B, m, 3, 3) m², positive definite. prior: about the orientations of the B trunks (default:
    none). mix: (3m, 3k) where not centres are observed but m points that go along with k of them: observed = mix @
    centres at `levels` (k,), in the trunk's frame. The (3, 3) blocks of a row add up to 1, so that the points move
    with the body.
    """
    problem = ShapePosterior(shape_model.ObservedChain(mean, cov, levels, mix))
    seen = shape_model.SeenPoints(y, C, () if prior is None else (prior,))
    parts = [slice(i, i + FRAMES_SOLVED_TOGETHER) for i in range(0, len(y), FRAMES_SOLVED_TOGETHER)]
    pieces = [problem.complete(seen[part]) for part in parts]
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))


class CompletedShapes(NamedTuple):
    """Results of B problems: centres (B, n, 3) m with covariance (B, n, 3, 3) m², log evidence (B,), and the standard
    deviation of the spin (B,) rad."""

    centres: np.ndarray
    covariance: np.ndarray
    log_evidence: np.ndarray
    spin_sd: np.ndarray


@dataclass(frozen=True)
class ShapePosterior:
    """Shape and pose of a chain of which the same centres are observed in many frames."""

    chain: shape_model.ObservedChain

    @cached_property
    def spin_axis(self) -> np.ndarray:
        """(3,) in the trunk's frame: along the typical points."""
        return np.linalg.svd(self.chain.typical - self.chain.centre)[2][0]

    @cached_property
    def spins(self) -> np.ndarray:
        """(SPIN_NODES, 3, 3): turns about `spin_axis`."""
        return scipy.spatial.transform.Rotation.from_rotvec(
            (2 * np.pi / SPIN_NODES) * np.arange(SPIN_NODES)[:, None] * self.spin_axis
        ).as_matrix()

    def complete(self, seen: shape_model.SeenPoints) -> tuple[np.ndarray, np.ndarray]:
        """Centres (B, n, 3) and their covariances (B, n, 3, 3)."""
        origin = seen.y.mean(1, keepdims=True)
        seen = replace(seen, y=seen.y - origin)  # far from the origin digits would be lost
        start, wide = self.best_spins(seen)
        shapes = self.predict(seen, self.solve(seen, start))
        wide |= shapes.spin_sd > NARROW_SPIN_SD_RAD
        if wide.any():
            shapes.centres[wide], shapes.covariance[wide] = self._mixture_over_spins(seen[wide])
        return shapes.centres + origin, shapes.covariance

    def around_line(self, seen: shape_model.SeenPoints) -> tuple[shape_model.SeenPoints, np.ndarray]:
        """The points repeated for each of `SPIN_NODES` spins, with a prior that holds the spin; and rotations
        (B · SPIN_NODES, 3, 3), which turn the typical shape onto the points, and then by the spin."""
        weight = 1 / np.trace(seen.covariance, axis1=-2, axis2=-1)
        weight = (weight / weight.sum(-1, keepdims=True))[..., None]
        shape, points = (a - (weight * a).sum(-2, keepdims=True) for a in (self.chain.typical, seen.y))
        across = kabsch((weight * points).swapaxes(-1, -2) @ shape)
        R = (across[:, None] @ self.spins).reshape(-1, 3, 3)
        precision = np.outer(self.spin_axis, self.spin_axis) / FIXED_SPIN_SD_RAD**2
        again = seen[np.repeat(np.arange(len(seen)), SPIN_NODES)]
        held = shape_model.OrientationPrior(R, np.broadcast_to(precision, R.shape))
        return replace(again, priors=(*again.priors, held)), R

    def best_spins(self, seen: shape_model.SeenPoints) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (B, 3, 3) to start from, and whether another spin, 60° or more from it, is nearly as likely (B,)
        bool; by the evidence linearised at the typical shape."""
        if seen.priors and (np.diagonal(seen.priors[0].precision, 0, 1, 2) > NARROW_SPIN_SD_RAD**-2).all():
            return seen.priors[0].rotation, np.zeros(len(seen), bool)
        again, R = self.around_line(seen)
        problem = self.chain.linearised(again, self.chain.mean[None], R, np.zeros(1))
        evidence = problem.log_evidence(problem.best_effects(problem.whitened())).reshape(-1, SPIN_NODES)
        best = evidence.argmax(1)
        apart = np.abs((np.arange(SPIN_NODES) - best[:, None] + SPIN_NODES / 2) % SPIN_NODES - SPIN_NODES / 2)
        rival = np.where(apart > SPIN_NODES / 6, evidence, -np.inf).max(1)
        return R[SPIN_NODES * np.arange(len(seen)) + best], rival > evidence.max(1) - RIVAL_LOG_EVIDENCE

    def solve(
        self, seen: shape_model.SeenPoints, R: np.ndarray, tolerance: float = shape_model.MODE_CONVERGED_STEP
    ) -> shape_model.ShapeModes:
        """`find_modes` from rotations R (B, 3, 3) and the typical shape.

        A shape far from it is searched again, from the solution for points with noise added; the better one is kept.
        """
        fit = shape_model.find_modes(self.chain, seen, R, tolerance=tolerance)
        far = np.flatnonzero(np.abs(fit.z - self.chain.mean).max(1) > FAR_FROM_TYPICAL)
        if len(far):
            points = seen[far]
            smooth = replace(points, covariance=points.covariance + SMOOTHING_NOISE_SD_M**2 * np.eye(3))
            loose = shape_model.find_modes(self.chain, smooth, R[far], tolerance=COARSE_LAST_STEP)
            again = shape_model.find_modes(self.chain, points, loose.R, loose.z, tolerance=tolerance)
            lower = again.cost < fit.cost[far]
            for old, new in zip(fit, again, strict=True):
                old[far[lower]] = new[lower]
        return fit

    def predict(self, seen: shape_model.SeenPoints, fit: shape_model.ShapeModes) -> CompletedShapes:
        """Mean and covariance of all centres at a solution, linearised there."""
        R = fit.R
        problem = self.chain.linearised(seen, fit.z, R, np.zeros(len(seen)))
        derivatives = shape_model.chain_derivatives(fit.z)
        x = shape_model.centres_from_vectors(derivatives[:, 0])
        J = shape_model.chain_jacobian(derivatives, np.arange(x.shape[1])).reshape(len(x), 3 * x.shape[1], -1)
        with_points = J @ problem.PJ
        solved = problem.whitened(with_points.swapaxes(-1, -2))
        best = problem.best_effects(solved)
        by_effects = self.chain.effects(x) - with_points @ solved[..., :6]
        spread = np.linalg.inv(best.information)
        blocks = _diagonal_blocks(J @ self.chain.cov, J)
        blocks -= _diagonal_blocks(with_points, solved[..., 7:].swapaxes(-1, -2))
        blocks += _diagonal_blocks(by_effects @ spread, by_effects)
        blocks = R[:, None] @ blocks @ R.swapaxes(-1, -2)[:, None]
        return CompletedShapes(
            centres=(x + best.effects[:, None, :3]) @ R.swapaxes(-1, -2),
            covariance=(blocks + blocks.swapaxes(-1, -2)) / 2,
            log_evidence=problem.log_evidence(best),
            spin_sd=np.sqrt(self.spin_axis @ spread[:, 3:, 3:] @ self.spin_axis),
        )

    def _modes_on_circle(self, again: shape_model.SeenPoints, R: np.ndarray) -> shape_model.ShapeModes:
        """Modes at all spins of `around_line`.

        A search may end in a worse minimum than those of neighbouring spins. Where a neighbour's tilt and shape cost
        less than the mode found, the search restarts from them, until no spin improves.
        """
        fit = shape_model.find_modes(self.chain, again, R, tolerance=MIXTURE_LAST_STEP)
        spins = np.arange(len(R)).reshape(-1, SPIN_NODES)
        for turn in range(2 * SPIN_NODES):
            other = np.roll(spins, 1 if turn % 2 else -1, axis=1).ravel()
            start = R @ R[other].swapaxes(-1, -2) @ fit.R[other]
            better = self.chain.cost(again, fit.z[other], start) < fit.cost - MIN_COST_DECREASE
            if better.any():
                restarted = shape_model.find_modes(
                    self.chain, again[better], start[better], fit.z[other][better], tolerance=MIXTURE_LAST_STEP
                )
                for old, new in zip(fit, restarted, strict=True):
                    old[better] = new
        return fit

    def _mixture_over_spins(self, seen: shape_model.SeenPoints) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the mixture over all spins about the line through the points.

        Searches start where the points alone put them. Three points are the same on both sides of their plane, and
        rounding would choose between a mode and its mirror image.
        """
        again, R = self.around_line(seen)
        fit = self._modes_on_circle(again, R)
        shapes = self.predict(again, fit)
        n = shapes.centres.shape[1]
        # Measure of spins: where the trunk is tilted, the turn that the prior holds grows slower than the spin.
        half_tilt = np.maximum(np.linalg.norm(again.priors[-1].turned_from(fit.R), axis=1) / 2, 1e-9)
        evidence = (shapes.log_evidence + np.log(half_tilt / np.tan(half_tilt))).reshape(-1, SPIN_NODES)
        weight = np.exp(evidence - evidence.max(1, keepdims=True))
        weight = (weight / weight.sum(1, keepdims=True))[..., None, None]
        x = shapes.centres.reshape(-1, SPIN_NODES, n, 3)
        covariance = shapes.covariance.reshape(-1, SPIN_NODES, n, 3, 3)
        mean = (weight * x).sum(1)
        d = x - mean[:, None]
        return mean, (weight[..., None] * (covariance + d[..., :, None] * d[..., None, :])).sum(1)


def _diagonal_blocks(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The (3, 3) blocks (B, n, 3, 3) on the diagonal of left @ rightᵀ, both (B, 3n, k)."""
    left, right = (side.reshape(len(side), -1, 3, side.shape[-1]) for side in (left, right))
    return left @ right.swapaxes(-1, -2)


DEFAULT_POINT_SD_M = 0.001  # m, per axis: centres marked by hand in a CT scan
MIN_POINT_SD_M = 0.00005  # m: added to every point; the centre of a bone is not defined more exactly
MAX_POINT_SD_M = 1000.0  # m: a point known less well must be left out
PLAUSIBLE_SPINE_SPAN_M = (0.01, 2.0)  # m: largest distance between points of one spine


@dataclass(frozen=True)
class CompletedSpine:
    """Centres of the vertebral bodies C1…L5, S1 in the frame of the points given.

    Attributes
    ----------
    positions : {level: (3,) or (frames, 3) array}
        Posterior means, m.
    covariance : {level: (3, 3) or (frames, 3, 3) array}
        Uncertainty of shape, size and pose together, m².
    """

    positions: dict[str, np.ndarray]
    covariance: dict[str, np.ndarray]


def complete_spine(
    points: Mapping[str, np.ndarray],
    covariance: float | np.ndarray | Mapping[str, np.ndarray | float] | None = None,
    posture: str = "any",
    model: shape_model.ShapeModel | None = None,
    *,
    orientation: np.ndarray | None = None,
    orientation_sd: float | np.ndarray | None = None,
) -> CompletedSpine:
    """Centres of all vertebrae C1…L5 and S1, with covariance, from two or more of them.

    A Gaussian model of the shape of real spines, conditioned on the points; see docs/spine-shape.md. A given centre
    comes back as its best estimate too. With two points, or nearly straight ones, the spin about their line is unknown:
    positions are means over the circle and their covariance says so. S1 was not in the data: the full-body model places
    it, with a wide spread.

    Parameters
    ----------
    points : {level: (3,) or (frames, 3) array}
        m, in any frame; frames are independent of each other.
    covariance : float, (3, 3) array, or {level: either, or (frames, 3, 3)}, optional
        Of the points' errors, m² (a number is the variance per axis); (1 mm)² by default.
    posture : str
        'any' (learned from lying people, widened for movement), 'standing' or 'supine' (as learned).
    model : ShapeModel, optional
        Other statistics than those shipped.
    orientation : (3, 3) or (frames, 3, 3) array, optional
        The trunk's axes, forward, up and right in the columns, in the frame of the points: those of the body lying in
        the scanner, or of its pelvis with 'standing' and 'any'. All are equally likely by default.
    orientation_sd : float, (3,) or (frames, 3) array, optional
        About each of these axes, rad; 0 = exact, inf = unknown.

    Returns
    -------
    CompletedSpine

    Raises
    ------
    InputError
        For an unknown level or posture, fewer than two points, wrong shapes, values that are not finite, points
        spanning less than 0.01 m or more than 2 m or not in the order of their levels, a covariance that is not
        symmetric positive definite, an orientation that is no rotation or lacks its standard deviation.

    Examples
    --------
    >>> spine = ss.complete_spine({"T1": [0.0, 0.40, -0.02], "T8": [-0.04, 0.22, 0.0], "L3": [0.02, 0.0, 0.0]})
    >>> len(spine.positions), spine.covariance["T12"].shape
    (25, (3, 3))
    """
    mean, cov = (model or shape_model.packaged_shape_model()).prior(posture)
    levels, y = checked_points(points, fewest=2)
    C = checked_covariances(covariance, levels, len(y))
    largest_sd = np.sqrt(np.linalg.eigvalsh(C).max())
    for triple in triples_out_of_order(y, slack=3 * largest_sd)[:1]:
        raise InputError(
            f"points: {', '.join(levels[n] for n in triple)} do not lie along the spine in this order; are levels "
            "exchanged?"
        )
    prior = shape_model.orientation_prior(orientation, orientation_sd, len(y))
    x, X = complete_centres(
        mean, cov, np.array([shape_model.CHAIN_LEVELS.index(level) for level in levels]), y=y, C=C, prior=prior
    )
    if np.ndim(points[levels[0]]) == 1:
        x, X = x[0], X[0]
    return CompletedSpine(
        {level: x[..., i, :] for i, level in enumerate(shape_model.CHAIN_LEVELS)},
        {level: X[..., i, :, :] for i, level in enumerate(shape_model.CHAIN_LEVELS)},
    )


def checked_points(points: Mapping[str, np.ndarray], fewest: int) -> tuple[list[str], np.ndarray]:
    """The levels given, from the head down, and their points (frames, levels, 3)."""
    require_known("vertebral level", points, shape_model.CHAIN_LEVELS, "points")
    levels = [level for level in shape_model.CHAIN_LEVELS if level in points]
    if len(levels) < fewest:
        given = f"{len(levels)} vertebral centre(s) given ({', '.join(levels) or 'none'})"
        raise InputError(f"{given}; at least {fewest} levels are needed.")
    arrays = [require_numbers(f"points[{level!r}]", points[level]) for level in levels]
    shape = arrays[0].shape
    for level, array in zip(levels, arrays, strict=True):
        if array.ndim not in (1, 2) or array.shape[-1] != 3 or array.shape != shape or not array.size:
            raise InputError(
                f"points[{level!r}] has shape {array.shape}; expected (3,) for each level, or (frames, 3) for each, "
                f"with the same number of frames ({levels[0]} has shape {shape})."
            )
        if not np.isfinite(array).all():
            raise InputError(
                f"points[{level!r}] is not finite: {array.tolist() if array.ndim == 1 else 'in some frame'}"
                "; leave levels out that are unknown."
            )
    y = np.stack([array.reshape(-1, 3) for array in arrays], 1)
    span = np.linalg.norm(y[:, :, None] - y[:, None], axis=-1).max((1, 2))
    for bad in span[(span < PLAUSIBLE_SPINE_SPAN_M[0]) | (span > PLAUSIBLE_SPINE_SPAN_M[1])][:1]:
        raise InputError(
            f"the points span {bad:.4g} m, expected {PLAUSIBLE_SPINE_SPAN_M[0]} to {PLAUSIBLE_SPINE_SPAN_M[1]} m: are "
            "they metres, of different vertebrae?"
        )
    return levels, y


def checked_covariances(covariance, levels: list[str], frames: int) -> np.ndarray:
    """(frames, levels, 3, 3) m² from the argument of `complete_spine`, with the least variance added."""
    if covariance is None:
        covariance = DEFAULT_POINT_SD_M**2
    if isinstance(covariance, Mapping):
        require_known("vertebral level", covariance, shape_model.CHAIN_LEVELS, "covariance")
        if absent := [level for level in levels if level not in covariance]:
            raise InputError(f"covariance lacks {', '.join(absent)}; give one for each point, or a single one for all.")
        each = [_one_covariance(covariance[level], f"covariance[{level!r}]", frames) for level in levels]
    else:
        each = [_one_covariance(covariance, "covariance", frames)] * len(levels)
    return np.stack(each, 1) + MIN_POINT_SD_M**2 * np.eye(3)


def _one_covariance(value, name: str, frames: int) -> np.ndarray:
    C = require_numbers(name, value)
    if C.ndim == 0:
        C = C * np.eye(3)
    if C.shape not in ((3, 3), (frames, 3, 3)):
        raise InputError(f"{name} has shape {C.shape}; expected a variance, (3, 3) or ({frames}, 3, 3), in m².")
    rounding = 1e-6 * np.abs(C).max((-1, -2), keepdims=True)
    good = np.isfinite(C).all() and (np.abs(C - C.swapaxes(-1, -2)) <= rounding).all()
    spread = np.linalg.eigvalsh(C) if good else np.zeros(1)
    if not 0 < spread.min() <= spread.max() <= MAX_POINT_SD_M**2:
        shown = C.tolist() if C.ndim == 2 else "in some frame"
        raise InputError(f"{name} is not symmetric positive definite: {shown}; variances are in m², above 0.")
    return np.broadcast_to(C, (frames, 3, 3))


# How unlikely points are. With the posterior's linearisation at the best pose and shape (docs/spine-shape.md),
#     r = A β + e,  e ~ N(0, S),  S = J P Jᵀ + C,        Q = S⁻¹ − S⁻¹A (Aᵀ S⁻¹ A)⁻¹ Aᵀ S⁻¹
# rᵀ Q r is the squared Mahalanobis distance with the pose free. For a point k, with g = Q r, (Q_kk)⁻¹ g_k is its
# offset from where the others predict it, and g_kᵀ (Q_kk)⁻¹ g_k the square of that in its own spread (leave-one-out
# residuals of generalised least squares; Cook & Weisberg 1982, Residuals and Influence, ch. 2).
MIN_POINTS_FOR_SHAPE = 4  # points: three make a triangle that nearly any spine can hold


@dataclass(frozen=True)
class Plausibility:
    """Distances of points from real spines, in standard deviations of a normal distribution of equal chance.

    levels: names, in order from the head. whole: (frames,) of all points together; large is unlikely, below zero is
    nearer to the mean than most. each: (frames, levels) of one point given the others. apart: (frames, levels, 3) m
    offset from the place that the others predict, to first order: some 20 % off for large offsets.
    """

    levels: tuple[str, ...]
    whole: np.ndarray
    each: np.ndarray
    apart: np.ndarray


def shape_plausibility(
    points: Mapping[str, np.ndarray], covariance: float | np.ndarray | Mapping[str, np.ndarray | float] | None = None
) -> Plausibility:
    """How unlikely the points are for a human spine, whatever its pose in space.

    points: {level: (3,) or (frames, 3)} m, at least `MIN_POINTS_FOR_SHAPE` levels; covariance as in `complete_spine`.
    The pose is free, so a spine that faces backwards is as likely as one that faces forwards. Raises
    `InputError` as `complete_spine` does.
    """
    levels, y = checked_points(points, MIN_POINTS_FOR_SHAPE)
    C = checked_covariances(covariance, levels, len(y))
    indices = np.array([shape_model.CHAIN_LEVELS.index(level) for level in levels])
    problem = ShapePosterior(shape_model.ObservedChain(*shape_model.packaged_shape_model().prior("any"), indices))
    seen = shape_model.SeenPoints(y, C)
    parts = [seen[i : i + FRAMES_SOLVED_TOGETHER] for i in range(0, len(y), FRAMES_SOLVED_TOGETHER)]
    whole, each, apart = (
        np.concatenate(part) for part in zip(*(_shape_distances(problem, part) for part in parts), strict=True)
    )
    return Plausibility(
        tuple(levels), standard_normal_of(whole, 3 * len(levels) - 6), standard_normal_of(each, 3), apart
    )


def _shape_distances(
    problem: ShapePosterior, seen: shape_model.SeenPoints
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance (B,), that of each point (B, m), and the offset of each point (B, m, 3) m in space."""
    seen = replace(seen, y=seen.y - seen.y.mean(1, keepdims=True))
    fit = problem.solve(seen, problem.best_spins(seen)[0], COARSE_LAST_STEP)
    linear = problem.chain.linearised(seen, fit.z, fit.R, np.zeros(len(seen)))
    SA = np.linalg.solve(linear.S, linear.A)
    Q = np.linalg.inv(linear.S) - SA @ np.linalg.solve(linear.A.swapaxes(-1, -2) @ SA, SA.swapaxes(-1, -2))
    B, m = seen.y.shape[:2]
    g = np.einsum("bij,bj->bi", Q, linear.r).reshape(B, m, 3)
    own_blocks = Q.reshape(B, m, 3, m, 3)[:, np.arange(m), :, np.arange(m), :].swapaxes(0, 1)
    apart = np.linalg.solve(own_blocks, g[..., None])[..., 0]
    whole, each = np.einsum("bmi,bmi->b", linear.r.reshape(B, m, 3), g), np.einsum("bmi,bmi->bm", g, apart)
    return whole, each, np.einsum("bij,bmj->bmi", fit.R, apart)


def standard_normal_of(squared: np.ndarray, freedom: int) -> np.ndarray:
    """χ² values as standard deviations of a normal distribution of about equal chance (Wilson & Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    return (np.cbrt(np.maximum(squared, 0) / freedom) - (1 - spread)) / np.sqrt(spread)
