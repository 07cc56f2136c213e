"""All vertebral centres from some of them, and how unlikely given ones are for a human spine.

The shape is Gaussian, the prior on place flat, that on orientation flat or Gaussian, and both are integrated out.
A centre k is observed as  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k),  t unknown and equally likely
everywhere (Lebesgue's measure), R as well (Haar's) or by an `OrientationPrior`; so the result moves with both.
For a fixed spin ψ about the line through the points, the rest (t, the two tilts of R, z) is solved by `find_modes`,
and its evidence by Laplace's method. The spin itself is often hardly observed, because a spine is nearly straight: it
is then integrated around the full circle on an even grid, and the result is mean and covariance of that mixture. For a
flat prior on pose the posterior mean is the best equivariant estimate in mean square (Pitman's), given the shape's
distribution.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from simspine.anatomy.shape_fit import (
    MIN_PROMISED_COST_SHARE,
    MODE_CONVERGED_STEP,
    ObservedChain,
    OrientationPrior,
    ShapeModes,
    StoppingRule,
    find_modes,
    generalised_least_squares,
    modes_on_circle,
    orientation_prior,
    prior_of,
    rotation_matrices,
)
from simspine.anatomy.shape_model import (
    CHAIN_LEVELS,
    ShapeModel,
    chain_derivatives,
    packaged_shape_model,
    parameters_from_vectors,
)
from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import kabsch

SPIN_NODES = 24  # nodes on the circle; the even grid is exact to 1e-5 where its spread is NARROW or more
NARROW_SPIN_SD_RAD = 0.2  # rad: below this spread of the spin, one Gaussian around the mode is as good
RIVAL_LOG_EVIDENCE = 7.0  # log evidence: another spin this close to the best calls for the full circle as well
NEGLIGIBLE_LOG_EVIDENCE = 14.0  # log evidence below the best spin's: left out, one in a million
COARSE_LAST_STEP = 1e-3  # rad, log length: last step where it is only to be seen how well the spin is known
MIXTURE_LAST_STEP = 3e-5  # and for the spins of the mixture
FAR_FROM_TYPICAL = 1.0  # rad, log length: more than this from the typical shape there may be several minima
SMOOTHING_NOISE_SD_M = 0.02  # m: noise that smooths them away
FRAMES_SOLVED_TOGETHER = 8  # frames at a time: what fits into the cache


def complete_centres(
    mean: np.ndarray,
    cov: np.ndarray,
    levels: np.ndarray,
    y: np.ndarray,
    C: np.ndarray,
    prior: OrientationPrior | None = None,
    mix: np.ndarray | None = None,
):
    """Posterior mean (B, n, 3) and covariance (B, n, 3, 3) of all n centres.

    mean (3(n − 1),), cov: prior of the shape parameters. levels: indices (m,) of the centres observed, m ≥ 2.
    y: (B, m, 3) m. C: (B, m, 3, 3) m², positive definite. prior: about the orientations of the B trunks (default:
    none). mix: (3m, 3k) where not centres are observed but m points that go along with k of them: observed = mix @
    centres at `levels` (k,), in the trunk's frame. The (3, 3) blocks of a row add up to 1, so that the points move
    with the body.
    """
    problem = ShapePosterior(mean, cov, levels, mix)
    parts = [slice(i, i + FRAMES_SOLVED_TOGETHER) for i in range(0, len(y), FRAMES_SOLVED_TOGETHER)]
    pieces = [problem.complete(y[part], C[part], prior_of(prior, part)) for part in parts]
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))


class ShapePosterior:
    """Shape and pose of a chain of which the same centres are observed in many frames."""

    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, mix: np.ndarray | None = None):
        self.observed, n = ObservedChain(mean, cov, levels, mix), len(mean) // 3
        first, last = self.observed.levels.min(), self.observed.levels.max()
        # only the prior knows of vectors above and below all points: what is sought are those between
        kind = np.arange(3 * n) % n  # the vector of each parameter
        self.inner = (kind >= first) & (kind < last)
        inside = cov[np.ix_(self.inner, self.inner)]
        self.between = ObservedChain(mean[self.inner], inside, self.observed.levels - first, mix)
        self.axes = self.between.axes(mean[None, self.inner])[0]
        # about the typical line
        self.spins = rotation_matrices(self.axes[2] * (np.arange(SPIN_NODES) * 2 * np.pi / SPIN_NODES)[:, None])
        self.others = cov[:, self.inner] @ self.between.precision
        self.above = np.where(kind[:, None] < kind, cov, 0.0)  # of parameters with those of vectors below

    def complete(self, y, C, prior=None):
        n = len(self.above) // 3 + 1
        x, X = np.empty((len(y), n, 3)), np.empty((len(y), n, 3, 3))
        R0 = self.across(y, C)
        if prior is not None and prior.sharp:
            first, wide = prior.rotation, np.zeros(len(y), bool)
        else:
            first, wide = self.best_spins(R0, y, C, prior)
        known = np.flatnonzero(~wide)
        if len(known):
            rule = StoppingRule(MODE_CONVERGED_STEP, NARROW_SPIN_SD_RAD, COARSE_LAST_STEP)
            fit = self.solve(y[known], C[known], first[known], stopping=rule, prior=prior_of(prior, known))
            if prior is None or not prior.sharp:
                doubt = ~fit.converged | (fit.spin_sd > NARROW_SPIN_SD_RAD)
                doubt |= self.best_spins(fit.R, y[known], C[known], prior_of(prior, known))[1]
                wide[known[doubt]], known, fit = True, known[~doubt], fit[~doubt]
        if len(known):
            x[known], X[known] = self.predict(y[known], C[known], fit, prior_of(prior, known))
        if wide.any():
            x[wide], X[wide] = self.around(R0[wide], y[wide], C[wide], prior_of(prior, wide))
        return x, X

    def across(self, y, C):
        """Rotations (B, 3, 3) that best turn the typical shape onto the points."""
        w = 1 / np.trace(C, axis1=-2, axis2=-1)
        w = (w / w.sum(-1, keepdims=True))[..., None]
        shape, points = (a - (w * a).sum(-2, keepdims=True) for a in (self.between.typical, y))
        return kabsch((w * points).swapaxes(-1, -2) @ shape)

    def best_spins(self, R0, y, C, prior=None):
        """The best (B, 3, 3) of `SPIN_NODES` spins from R0 (B, 3, 3) by the evidence linearised at the typical shape,
        and whether another, 60° or more from it, has nearly its evidence (B,).
        """
        R = R0[:, None] @ self.spins
        evidence = self._typical_evidence(y, C, R, prior)
        best = evidence.argmax(1)
        apart = np.abs((np.arange(SPIN_NODES) - best[:, None] + SPIN_NODES / 2) % SPIN_NODES - SPIN_NODES / 2)
        rival = np.where(apart > SPIN_NODES / 6, evidence, -np.inf).max(1)
        return R[np.arange(len(y)), best], rival > evidence.max(1) - RIVAL_LOG_EVIDENCE

    def _typical_evidence(self, y, C, R, prior):
        """Log evidence (B, spins) of rotations R (B, spins, 3, 3), linearised at the typical shape; noise averaged over
        directions, so that one factorisation serves all spins.
        """
        noise = np.trace(C, axis1=-2, axis2=-1).repeat(3, axis=-1) / 3  # (B, 3m)
        tilts = self.axes[None, :2]
        J, A, p = self.between.linear(self.between.mean[None], tilts)
        S = (J @ self.between.cov @ J.swapaxes(-1, -2)) + noise[:, None] * np.eye(noise.shape[-1])
        r = (np.einsum("bkji,bmj->bkmi", R, y) - p[0].reshape(-1, 3)).reshape(*R.shape[:2], -1)
        both = np.linalg.solve(S, np.concatenate([np.broadcast_to(A, (len(S), *A.shape[1:])), r.swapaxes(1, 2)], -1))
        SA, Sr = both[..., :5], both[..., 5:].swapaxes(1, 2)
        u, G, cost = r @ SA, A.swapaxes(-1, -2) @ SA, 0.0
        if prior is None:
            v = np.linalg.solve(G, u.swapaxes(1, 2)).swapaxes(1, 2)
        else:
            pull = prior.at(R, tilts)
            G = np.repeat(G[:, None], R.shape[1], 1)
            G[..., 3:, 3:] += pull.precision
            u[..., 3:] -= pull.gradient
            v, cost = np.linalg.solve(G, u[..., None])[..., 0], pull.cost
        return -0.5 * ((r * Sr).sum(-1) - (u * v).sum(-1) + cost)

    def solve(self, y, C, R, stopping: StoppingRule, prior=None) -> ShapeModes:
        """`find_modes` from rotations R and the typical shape, with all vectors.

        For shapes far from it once more, from what the points tell with noise added, and the better of both.
        """
        fit = find_modes(self.between, y, C, R=R, prior=prior, stopping=stopping)
        far = np.flatnonzero(np.abs(fit.z - self.between.mean).max(1) > FAR_FROM_TYPICAL)
        if len(far):
            y, C, R, prior = y[far], C[far], R[far], prior_of(prior, far)
            smooth = C + SMOOTHING_NOISE_SD_M**2 * np.eye(3)
            loose = find_modes(self.between, y, smooth, R=R, prior=prior, stopping=StoppingRule(COARSE_LAST_STEP))
            start = np.concatenate([loose.beta, loose.z], 1)
            again = find_modes(self.between, y, C, R=R, prior=prior, start=start, stopping=stopping)
            lower = again.cost < fit.cost[far] - MIN_PROMISED_COST_SHARE
            fit.put(far[lower], again[lower])
        return self.whole(fit)

    def whole(self, fit: ShapeModes) -> ShapeModes:
        """With all vectors, where the fit has those between the points observed."""
        z = self.observed.mean + (fit.z - self.between.mean) @ self.others.T
        z[:, self.inner] = fit.z
        return replace(fit, z=z)

    def predict(self, y, C, fit: ShapeModes, prior=None):
        """Mean and covariance of all centres at a solution, linearised there; the translation is solved exactly."""
        origin, R = y.mean(1), fit.R
        PJ, A, S, r = self.observed.system(y - origin[:, None], C, fit.z, R=R, axes=fit.axes)
        D = chain_derivatives(fit.z)  # (B, kinds, vectors, xyz)
        x = parameters_from_vectors(D[:, 0])
        K = parameters_from_vectors(
            np.moveaxis(D, 1, -1) @ np.moveaxis(PJ.reshape(*D.shape[:3], -1), 1, 2), 1
        )  # (B, n, 3, 3m)
        K, k = K.reshape(len(y), -1, K.shape[-1]), A.shape[-1]
        solved = np.linalg.solve(S, np.concatenate([A, r[..., None], K.swapaxes(-1, -2)], -1))
        pull = None if prior is None else prior.at(R, fit.axes)
        G, beta = generalised_least_squares(A, solved[..., :k], solved[..., k], pull)
        M = self.observed.effects(x, fit.axes) - K @ solved[..., :k]
        blocks = self._prior_blocks(D) - _diagonal_blocks(K, solved[..., k + 1 :].swapaxes(-1, -2))
        blocks += _diagonal_blocks(M, np.linalg.solve(G, M.swapaxes(-1, -2)).swapaxes(-1, -2))
        blocks = R[:, None] @ blocks @ R.swapaxes(-1, -2)[:, None]
        x = np.einsum("bij,bnj->bni", R, x + beta[:, None, :3]) + origin[:, None]
        return x, (blocks + blocks.swapaxes(-1, -2)) / 2

    def _prior_blocks(self, D):
        """Prior covariances (B, n, 3, 3) of all centres: each vector adds its own and, twice, its with all above it."""
        rows = D.transpose(0, 3, 1, 2)  # (B, xyz, kinds, vectors): derivative of the last centre
        with_above = (rows.reshape(-1, len(self.observed.cov)) @ self.above).reshape(rows.shape)
        kinds = self.observed.cov.reshape(rows.shape[2:] * 2)
        own = np.einsum("piqi->ipq", kinds)  # (vectors, kinds, kinds)
        # (B, vectors, xyz, kinds) and (B, vectors, kinds, xyz)
        left, right = np.moveaxis(rows, -1, 1), np.moveaxis(D, 1, 2)
        cross = np.moveaxis(with_above, -1, 1) @ right
        return parameters_from_vectors(left @ own @ right + cross + cross.swapaxes(-1, -2), 1)

    def around(self, R0, y, C, prior=None):
        """The mixture over the whole circle of spins, from R0 (B, 3, 3).

        The circle lies, and each search begins, where the points alone put them: three points are alike on both sides
        of their plane, and rounding would choose between a mode there and its mirror image. Laplace's evidence is worth
        nothing away from a mode: a spin that did not converge is left out, unless none did.
        """
        B, R = len(y), R0[:, None] @ self.spins
        fit = self.whole(modes_on_circle(self.between, y, C, R=R, prior=prior, tolerance=MIXTURE_LAST_STEP))
        y, C = np.repeat(y, SPIN_NODES, 0), np.repeat(C, SPIN_NODES, 0)
        prior = None if prior is None else prior.repeated(SPIN_NODES)
        evidence, found = fit.evidence.reshape(B, SPIN_NODES), fit.converged.reshape(B, SPIN_NODES)
        evidence = np.where(found | ~found.any(1, keepdims=True), evidence, -np.inf)
        w = np.exp(evidence - evidence.max(1, keepdims=True))
        use = w.ravel() > np.exp(-NEGLIGIBLE_LOG_EVIDENCE)
        n = len(self.above) // 3 + 1
        x, X = np.zeros((len(y), n, 3)), np.zeros((len(y), n, 3, 3))
        x[use], X[use] = self.predict(y[use], C[use], fit[use], prior_of(prior, use))
        x, X = x.reshape(B, SPIN_NODES, -1, 3), X.reshape(B, SPIN_NODES, -1, 3, 3)
        w = np.where(use.reshape(B, SPIN_NODES), w, 0.0)
        w = (w / w.sum(1, keepdims=True))[..., None, None]
        centre = (w * x).sum(1)
        d = x - centre[:, None]
        return centre, (w[..., None] * (X + d[..., :, None] * d[..., None, :])).sum(1)


def _diagonal_blocks(left, right):
    """The (3, 3) blocks (B, n, 3, 3) on the diagonal of left @ rightᵀ, both (B, 3n, k)."""
    left, right = (side.reshape(len(side), -1, 3, side.shape[-1]) for side in (left, right))
    return left @ right.swapaxes(-1, -2)


DEFAULT_POINT_SD_M = 0.001  # m, per axis: centres marked by hand in a CT scan
MIN_POINT_SD_M = 0.00005  # m: added to every point; below it the marked centre of a bone means nothing
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
    model: ShapeModel | None = None,
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
        'any' (what was learned lying, widened by what movement adds), 'standing' or 'supine' (as learned).
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
        spanning less than 0.01 m or more than 2 m, a covariance that is not symmetric positive definite, an orientation
        that is no rotation or lacks its standard deviation.

    Examples
    --------
    >>> spine = ss.complete_spine({"T1": [0.0, 0.40, -0.02], "T8": [-0.04, 0.22, 0.0], "L3": [0.02, 0.0, 0.0]})
    >>> len(spine.positions), spine.covariance["T12"].shape
    (25, (3, 3))
    """
    mean, cov = (model or packaged_shape_model()).prior(posture)
    levels, y = checked_points(points, fewest=2)
    C = checked_covariances(covariance, levels, len(y))
    prior = orientation_prior(orientation, orientation_sd, len(y))
    x, X = complete_centres(mean, cov, np.array([CHAIN_LEVELS.index(level) for level in levels]), y=y, C=C, prior=prior)
    if np.ndim(points[levels[0]]) == 1:
        x, X = x[0], X[0]
    return CompletedSpine(
        {level: x[..., i, :] for i, level in enumerate(CHAIN_LEVELS)},
        {level: X[..., i, :, :] for i, level in enumerate(CHAIN_LEVELS)},
    )


def checked_points(points: Mapping[str, np.ndarray], fewest: int) -> tuple[list[str], np.ndarray]:
    """The levels given, from the head down, and their points (frames, levels, 3)."""
    require_known("vertebral level", points, CHAIN_LEVELS, "points")
    levels = [level for level in CHAIN_LEVELS if level in points]
    if len(levels) < fewest:
        given = f"{len(levels)} vertebral centre(s) given ({', '.join(levels) or 'none'})"
        raise InputError(f"{given}; at least {fewest} levels are needed.")
    arrays = [require_numbers(f"points[{level!r}]", points[level]) for level in levels]
    shape = arrays[0].shape
    for level, array in zip(levels, arrays, strict=True):
        if array.ndim not in (1, 2) or array.shape[-1] != 3 or array.shape != shape:
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
        require_known("vertebral level", covariance, CHAIN_LEVELS, "covariance")
        absent = [level for level in levels if level not in covariance]
        if absent:
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
    good = np.isfinite(C).all() and np.allclose(C, C.swapaxes(-1, -2), rtol=1e-6, atol=0)
    if not good or np.linalg.eigvalsh(C).min() <= 0:
        found = C.tolist() if C.ndim == 2 else "in some frame"
        raise InputError(f"{name} is not symmetric positive definite: {found}; variances are in m², above 0.")
    return np.broadcast_to(C, (frames, 3, 3))


# How unlikely points are. With the posterior's linearisation at the best pose and shape (docs/spine-shape.md),
#     r = A β + e,  e ~ N(0, S),  S = J P Jᵀ + C,        Q = S⁻¹ − S⁻¹A (Aᵀ S⁻¹ A)⁻¹ Aᵀ S⁻¹
# rᵀ Q r is the squared Mahalanobis distance with the pose free. Of a point k, with g = Q r, (Q_kk)⁻¹ g_k is where it
# lies from where the others put it, and g_kᵀ (Q_kk)⁻¹ g_k that in its own spread (leave-one-out residuals of
# generalised least squares; Cook & Weisberg 1982, Residuals and Influence, ch. 2).
MIN_POINTS_FOR_SHAPE = 4  # points: three make a triangle that nearly any spine can hold
FRAMES_AT_A_TIME = 32  # frames at a time, to bound memory


@dataclass(frozen=True)
class Plausibility:
    """Distances of points from real spines, in standard deviations of a normal distribution of equal chance.

    levels: names, in order from the head. whole: (frames,) of all points together; large is unlikely, below zero is
    nearer to the mean than most. each: (frames, levels) of one point given the others. apart: (frames, levels, 3) m
    from where the others put it to where it is, to first order: some 20 % off where a point is far out.
    """

    levels: tuple[str, ...]
    whole: np.ndarray
    each: np.ndarray
    apart: np.ndarray


def shape_plausibility(
    points: Mapping[str, np.ndarray],
    covariance: float | np.ndarray | Mapping[str, np.ndarray | float] | None = None,
) -> Plausibility:
    """How unlikely the points are for a human spine, whatever its pose in space.

    points: {level: (3,) or (frames, 3)} m, at least `MIN_POINTS_FOR_SHAPE` levels; covariance as in `complete_spine`.
    What a turn of the whole could explain is never unlikely: that a spine faces backwards does not show. Raises
    `InputError` as `complete_spine` does.
    """
    levels, y = checked_points(points, MIN_POINTS_FOR_SHAPE)
    C = checked_covariances(covariance, levels, len(y))
    at = np.array([CHAIN_LEVELS.index(level) for level in levels])
    problem = ShapePosterior(*packaged_shape_model().prior("any"), at)
    parts = [
        _shape_distances(problem, y[i : i + FRAMES_AT_A_TIME], C[i : i + FRAMES_AT_A_TIME])
        for i in range(0, len(y), FRAMES_AT_A_TIME)
    ]
    whole, each, apart = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Plausibility(
        tuple(levels), standard_normal_of(whole, 3 * len(levels) - 6), standard_normal_of(each, 3), apart
    )


def _shape_distances(
    problem: ShapePosterior, y: np.ndarray, C: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squared distance (B,), by point (B, m), and what each point is apart (B, m, 3) m in space."""
    y = y - y.mean(1, keepdims=True)
    fit = problem.solve(y, C, problem.best_spins(problem.across(y, C), y, C)[0], StoppingRule(COARSE_LAST_STEP))
    _, A, S, r = problem.observed.system(y, C, fit.z, R=fit.R, axes=fit.axes)
    SA = np.linalg.solve(S, A)
    Q = np.linalg.inv(S) - SA @ np.linalg.solve(A.swapaxes(-1, -2) @ SA, SA.swapaxes(-1, -2))
    B, m = y.shape[:2]
    g = np.einsum("bij,bj->bi", Q, r).reshape(B, m, 3)
    own = Q.reshape(B, m, 3, m, 3)[:, np.arange(m), :, np.arange(m), :].swapaxes(0, 1)
    apart = np.linalg.solve(own, g[..., None])[..., 0]
    whole, each = np.einsum("bmi,bmi->b", r.reshape(B, m, 3), g), np.einsum("bmi,bmi->bm", g, apart)
    return whole, each, np.einsum("bij,bmj->bmi", fit.R, apart)


def standard_normal_of(squared: np.ndarray, freedom: int) -> np.ndarray:
    """χ² values as standard deviations of a normal distribution of about equal chance (Wilson & Hilferty 1931)."""
    spread = 2 / (9 * freedom)
    return (np.cbrt(np.maximum(squared, 0) / freedom) - (1 - spread)) / np.sqrt(spread)
