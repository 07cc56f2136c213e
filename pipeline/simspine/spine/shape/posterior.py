"""Where all centres are, given some: Gaussian shape, flat prior on place, flat or Gaussian on orientation, both
integrated out.

Observation of a centre k:  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k),  t unknown and equally likely
everywhere (Lebesgue's measure), R as well (Haar's) or by an `OrientationPrior`; so the result moves with both.

For a fixed spin ψ about the line through the points, the rest (t, the two tilts of R, z) is solved by `modes`, and its
evidence by Laplace's method.

The spin itself is often hardly observed, because a spine is nearly straight: it is then integrated around the full
circle on an even grid, and the result is mean and covariance of that mixture. For a flat prior on pose the posterior
mean is the best equivariant estimate in mean square (Pitman's), given the shape's distribution.
"""

from dataclasses import replace

import numpy as np

from simspine.geometry import kabsch
from simspine.spine.shape.chain import derivatives, from_vectors
from simspine.spine.shape.modes import STEP, WORTH, Modes, Stopping, circle, modes
from simspine.spine.shape.observed_chain import ObservedChain, best_effects
from simspine.spine.shape.orientation import OrientationPrior, rotations

SPINS = 24  # nodes on the circle; the even grid is exact to 1e-5 where its spread is NARROW or more
NARROW = 0.2  # rad: below this spread of the spin, one Gaussian around the mode is as good
RIVAL = 7.0  # log evidence: another spin this close to the best calls for the full circle as well
NEGLIGIBLE = 14.0  # log evidence below the best spin's: left out, one in a million
COARSE = 1e-3  # rad, log length: last step where it is only to be seen how well the spin is known
MIXED = 3e-5  # and for the spins of the mixture
FAR = 1.0  # rad, log length: more than this from the typical shape there may be several minima
LOOSE = 0.02  # m: noise that smooths them away
CHUNK = 8  # frames at a time: what fits into the cache


def complete(
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
    parts = [slice(i, i + CHUNK) for i in range(0, len(y), CHUNK)]
    pieces = [problem.complete(y[part], C[part], None if prior is None else prior[part]) for part in parts]
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))


class ShapePosterior:
    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, mix: np.ndarray | None = None):
        self.observed, n = ObservedChain(mean, cov, levels, mix), len(mean) // 3
        first, last = self.observed.levels.min(), self.observed.levels.max()
        # points tell nothing of vectors above and below all of them but by the prior: what is sought are those between
        kind = np.arange(3 * n) % n  # the vector of each parameter
        self.inner = (kind >= first) & (kind < last)
        inside = cov[np.ix_(self.inner, self.inner)]
        self.between = ObservedChain(mean[self.inner], inside, self.observed.levels - first, mix)
        self.axes = self.between.axes(mean[None, self.inner])[0]
        self.spins = rotations(self.axes[2] * (np.arange(SPINS) * 2 * np.pi / SPINS)[:, None])  # about the typical line
        self.others = cov[:, self.inner] @ self.between.precision
        self.above = np.where(kind[:, None] < kind, cov, 0.0)  # of parameters with those of vectors below

    def complete(self, y, C, prior=None):
        def of(frames):
            return None if prior is None else prior[frames]

        n = len(self.above) // 3 + 1
        x, X = np.empty((len(y), n, 3)), np.empty((len(y), n, 3, 3))
        R0 = self.across(y, C)
        if prior is not None and prior.sharp:
            first, wide = prior.rotation, np.zeros(len(y), bool)
        else:
            first, wide = self.best_spins(R0, y, C, prior)
        known = np.flatnonzero(~wide)
        if len(known):
            fit = self.solve(y[known], C[known], first[known], Stopping(STEP, NARROW, COARSE), of(known))
            if prior is None or not prior.sharp:
                doubt = ~fit.converged | (fit.spin_sd > NARROW)
                doubt |= self.best_spins(fit.R, y[known], C[known], of(known))[1]
                wide[known[doubt]], known, fit = True, known[~doubt], fit[~doubt]
        if len(known):
            x[known], X[known] = self.predict(y[known], C[known], fit, of(known))
        if wide.any():
            x[wide], X[wide] = self.around(R0[wide], y[wide], C[wide], of(wide))
        return x, X

    def across(self, y, C):
        """Rotations (B, 3, 3) that best turn the typical shape onto the points."""
        w = 1 / np.trace(C, axis1=-2, axis2=-1)
        w = (w / w.sum(-1, keepdims=True))[..., None]
        shape, points = (a - (w * a).sum(-2, keepdims=True) for a in (self.between.typical, y))
        return kabsch((w * points).swapaxes(-1, -2) @ shape)

    def best_spins(self, R0, y, C, prior=None):
        """Of SPINS spins from R0 (B, 3, 3) the best (B, 3, 3) as far as the typical shape tells, by the evidence
        linearised there; and has it a rival (B,): is there another, 60° or more from it, with nearly its evidence?
        """
        R = R0[:, None] @ self.spins
        evidence = self._typical_evidence(y, C, R, prior)
        best = evidence.argmax(1)
        apart = np.abs((np.arange(SPINS) - best[:, None] + SPINS / 2) % SPINS - SPINS / 2)
        rival = np.where(apart > SPINS / 6, evidence, -np.inf).max(1)
        return R[np.arange(len(y)), best], rival > evidence.max(1) - RIVAL

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

    def solve(self, y, C, R, stopping: Stopping, prior=None) -> Modes:
        """`modes` from rotations R and the typical shape, with all vectors; for shapes far from it once more, from what
        the points tell with noise added, and the better of both.
        """
        fit = modes(self.between, y, C, R, prior, stopping=stopping)
        far = np.flatnonzero(np.abs(fit.z - self.between.mean).max(1) > FAR)
        if len(far):
            y, C, R, prior = y[far], C[far], R[far], None if prior is None else prior[far]
            loose = modes(self.between, y, C + LOOSE**2 * np.eye(3), R, prior, stopping=Stopping(COARSE))
            again = modes(self.between, y, C, R, prior, np.concatenate([loose.beta, loose.z], 1), stopping=stopping)
            lower = again.cost < fit.cost[far] - WORTH
            fit.put(far[lower], again[lower])
        return self.whole(fit)

    def whole(self, fit: Modes) -> Modes:
        """With all vectors, where the fit has those between the points observed."""
        z = self.observed.mean + (fit.z - self.between.mean) @ self.others.T
        z[:, self.inner] = fit.z
        return replace(fit, z=z)

    def predict(self, y, C, fit: Modes, prior=None):
        """Mean and covariance of all centres at a solution, linearised there; the translation is solved exactly."""
        origin, z, R = y.mean(1), fit.z, fit.R
        PJ, A, S, r = self.observed.system(y - origin[:, None], C, z, R, fit.axes)
        D = derivatives(z)  # (B, kinds, vectors, xyz)
        x = from_vectors(D[:, 0])
        K = from_vectors(np.moveaxis(D, 1, -1) @ np.moveaxis(PJ.reshape(*D.shape[:3], -1), 1, 2), 1)  # (B, n, 3, 3m)
        K, k = K.reshape(len(y), -1, K.shape[-1]), A.shape[-1]
        solved = np.linalg.solve(S, np.concatenate([A, r[..., None], K.swapaxes(-1, -2)], -1))
        pull = None if prior is None else prior.at(R, fit.axes)
        G, beta = best_effects(A, solved[..., :k], solved[..., k], pull)
        M = self.observed.effects(x, fit.axes) - K @ solved[..., :k]
        blocks = self._prior_blocks(D) - _blocks(K, solved[..., k + 1 :].swapaxes(-1, -2))
        blocks += _blocks(M, np.linalg.solve(G, M.swapaxes(-1, -2)).swapaxes(-1, -2))
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
        return from_vectors(left @ own @ right + cross + cross.swapaxes(-1, -2), 1)

    def around(self, R0, y, C, prior=None):
        """The mixture over the whole circle of spins, from R0 (B, 3, 3).

        The circle lies, and each search begins, where the points alone put them: three points are alike on both sides
        of their plane, and rounding would choose between a mode there and its mirror image. Laplace's evidence is worth
        nothing away from a mode: a spin that did not converge is left out, unless none did.
        """
        B = len(y)
        fit = self.whole(circle(self.between, y, C, R0[:, None] @ self.spins, prior, MIXED))
        y, C = np.repeat(y, SPINS, 0), np.repeat(C, SPINS, 0)
        prior = None if prior is None else prior.repeated(SPINS)
        evidence, found = fit.evidence.reshape(B, SPINS), fit.converged.reshape(B, SPINS)
        evidence = np.where(found | ~found.any(1, keepdims=True), evidence, -np.inf)
        w = np.exp(evidence - evidence.max(1, keepdims=True))
        use = w.ravel() > np.exp(-NEGLIGIBLE)
        n = len(self.above) // 3 + 1
        x, X = np.zeros((len(y), n, 3)), np.zeros((len(y), n, 3, 3))
        x[use], X[use] = self.predict(y[use], C[use], fit[use], None if prior is None else prior[use])
        x, X = x.reshape(B, SPINS, -1, 3), X.reshape(B, SPINS, -1, 3, 3)
        w = np.where(use.reshape(B, SPINS), w, 0.0)
        w = (w / w.sum(1, keepdims=True))[..., None, None]
        centre = (w * x).sum(1)
        d = x - centre[:, None]
        return centre, (w[..., None] * (X + d[..., :, None] * d[..., None, :])).sum(1)


def _blocks(left, right):
    """The (3, 3) blocks (B, n, 3, 3) on the diagonal of left @ rightᵀ, both (B, 3n, k)."""
    left, right = (side.reshape(len(side), -1, 3, side.shape[-1]) for side in (left, right))
    return left @ right.swapaxes(-1, -2)
