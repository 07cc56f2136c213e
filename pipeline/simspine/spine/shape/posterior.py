"""Where all centres are, given some: Gaussian shape, flat prior on place, flat or Gaussian on orientation, both
integrated out.

Observation of a centre k:  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k),  t unknown and equally likely
everywhere (Lebesgue's measure), R as well (Haar's) or by a `Belief`; so the result moves with points and belief.

For a fixed spin ψ about the line through the points, the rest (t, the two tilts of R, z) is solved by Gauss–Newton,
each step a generalised least-squares problem with t and the tilts as fixed effects (universal kriging; Rasmussen &
Williams 2006, sec. 2.7), and its evidence by Laplace's method.

The spin itself is often hardly seen, because a spine is nearly straight: it is then integrated around the full circle
on an even grid, and the result is mean and covariance of that mixture. For a flat prior on pose the posterior mean is
the best equivariant estimate in mean square (Pitman's), given the shape's distribution.
"""

from dataclasses import dataclass

import numpy as np

from simspine.spine.shape.chain import derivatives, jacobian, positions
from simspine.spine.shape.orientation import Belief, Pull, rotations, skew

SPINS = 24  # nodes on the circle; the even grid is exact to 1e-5 where its spread is NARROW or more
NARROW = 0.2  # rad: below this spread of the spin, one Gaussian around the mode is as good
RIVAL = 7.0  # log evidence: another spin this close to the best calls for the full circle as well
NEGLIGIBLE = 14.0  # log evidence below the best spin's: left out, one in a million
ITERATIONS = 25
STEP = 1e-6  # rad, log length: converged
COARSE = 1e-3  # the same where it is only to be seen how well the spin is known
MIXED = 3e-5  # and for the spins of the mixture
CHUNK = 16  # frames at a time, to bound memory
DAMPING = 0.1  # 1/rad²
LOOSE = 0.02  # m, where full steps overshoot
TURN = 0.5  # rad: largest turn of one step


@dataclass(frozen=True)
class _Fit:
    """Solutions of B problems: z (B, 3n), R (B, 3, 3), log evidence (B,), standard deviation of the spin (B,) rad,
    converged (B,), axes of the turns it was free to make (B, 2 or 3, 3).
    """

    z: np.ndarray
    R: np.ndarray
    evidence: np.ndarray
    spin_sd: np.ndarray
    converged: np.ndarray
    turns: np.ndarray


def complete(
    mean: np.ndarray,
    cov: np.ndarray,
    levels: np.ndarray,
    y: np.ndarray,
    C: np.ndarray,
    belief: Belief | None = None,
    mix: np.ndarray | None = None,
):
    """Posterior mean (B, n, 3) and covariance (B, n, 3, 3) of all n centres.

    mean (3(n − 1),), cov: prior of the shape parameters. levels: indices (m,) of the centres seen, m ≥ 2. y: (B, m, 3)
    m. C: (B, m, 3, 3) m², positive definite. belief: about the orientations of the B trunks (default: none).
    mix: (3m, 3k) where not centres are seen but m points that go along with k of them: seen = mix @ centres at `levels`
    (k,), in the trunk's frame. The (3, 3) blocks of a row add up to 1, so that the points move with the body.
    """
    problem = _Problem(mean, cov, levels, mix)
    parts = [slice(i, i + CHUNK) for i in range(0, len(y), CHUNK)]
    pieces = [problem.complete(y[part], C[part], None if belief is None else belief[part]) for part in parts]
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))


class _Problem:
    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, mix: np.ndarray | None = None):
        self.mean, self.cov, self.levels, self.mix = mean, cov, np.asarray(levels), mix
        self.all = np.arange(len(mean) // 3 + 1)
        self.typical = positions(mean)
        self.typical_seen = self.seen(self.typical[None])[0]
        self.centre = self.typical_seen.mean(0)
        kind = np.arange(len(mean)) % (len(mean) // 3)  # the bond of each parameter
        self.above = np.where(kind[:, None] < kind, cov, 0.0)  # of parameters with those of bonds below

    def seen(self, x):
        """The points seen (B, m, 3) of all centres (B, n, 3)."""
        x = x[:, self.levels]
        return x if self.mix is None else (x.reshape(len(x), -1) @ self.mix.T).reshape(len(x), -1, 3)

    def complete(self, y, C, belief=None):
        def of(frames):
            return None if belief is None else belief[frames]

        sharp = belief is not None and belief.sharp
        first = belief.rotation if sharp else self.first_rotations(y, C, belief)
        mode = self.solve(y, C, first, tolerance=STEP if sharp else COARSE, belief=belief)
        lost = ~mode.converged & (mode.spin_sd < NARROW)
        if lost.any():  # exact points on a shape far from the typical one: full steps overshoot
            again = self.solve(y[lost], C[lost], first[lost], tolerance=COARSE, loose=LOOSE, belief=of(lost))
            for old, new in zip(vars(mode).values(), vars(again).values(), strict=True):
                old[lost] = new
        wide = ~mode.converged | (mode.spin_sd > NARROW)
        if not sharp:
            wide |= self.has_rival(y, C, mode, belief)
        x, X = np.empty((len(y), len(self.all), 3)), np.empty((len(y), len(self.all), 3, 3))
        if wide.any():
            x[wide], X[wide] = self.around(y[wide], C[wide], mode.R[wide], mode.z[wide], of(wide))
        known = ~wide
        if known.any():
            y, C, belief = y[known], C[known], of(known)
            z, R, turns = mode.z[known], mode.R[known], mode.turns[known]
            if not sharp:
                fit = self.solve(y, C, R, z, belief=belief)
                z, R, turns = fit.z, fit.R, fit.turns
            x[known], X[known] = self.predict(y, C, z, R, turns, belief)
        return x, X

    def turns(self, z):
        """Axes (B, 3, 3) of turns in the rows: two tilts, and the spin about the straight line nearest to the points
        seen.
        """
        seen = self.seen(positions(z))
        return np.linalg.svd(seen - seen.mean(1, keepdims=True))[2][:, [1, 2, 0]]

    def spins(self, z):
        """The grid of spins (B, SPINS, 3, 3) about the points' line."""
        return rotations(self.turns(z)[:, None, 2] * (np.arange(SPINS) * 2 * np.pi / SPINS)[:, None])

    def first_rotations(self, y, C, belief=None):
        """The best of SPINS spins of the typical shape, by the evidence linearised there."""
        R0 = _kabsch(self.typical_seen, y, 1 / np.trace(C, axis1=-2, axis2=-1))
        R = R0[:, None] @ self.spins(self.mean[None])
        best = self._typical_evidence(y, C, R, belief).argmax(1)
        return R[np.arange(len(y)), best]

    def has_rival(self, y, C, mode, belief=None):
        """Is there a spin more than 60° from the mode with nearly its evidence, as far as the typical shape tells?"""
        evidence = self._typical_evidence(y, C, mode.R[:, None] @ self.spins(self.mean[None]), belief)
        away = np.abs((np.arange(SPINS) + SPINS / 2) % SPINS - SPINS / 2) > SPINS / 6
        return evidence[:, away].max(1) > evidence.max(1) - RIVAL

    def _typical_evidence(self, y, C, R, belief):
        """Log evidence (B, spins) of rotations R (B, spins, 3, 3), linearised at the typical shape; noise averaged over
        directions, so that one factorisation serves all spins.
        """
        noise = np.trace(C, axis1=-2, axis2=-1).repeat(3, axis=-1) / 3  # (B, 3m)
        tilts = self.turns(self.mean[None])[:, :2]
        J, A, p = self._linear(self.mean[None], tilts)
        S = (J @ self.cov @ J.swapaxes(-1, -2)) + noise[:, None] * np.eye(noise.shape[-1])
        r = (np.einsum("bkji,bmj->bkmi", R, y) - p[0].reshape(-1, 3)).reshape(*R.shape[:2], -1)
        both = np.linalg.solve(S, np.concatenate([np.broadcast_to(A, (len(S), *A.shape[1:])), r.swapaxes(1, 2)], -1))
        SA, Sr = both[..., :5], both[..., 5:].swapaxes(1, 2)
        u, G, cost = r @ SA, A.swapaxes(-1, -2) @ SA, 0.0
        if belief is None:
            v = np.linalg.solve(G, u.swapaxes(1, 2)).swapaxes(1, 2)
        else:
            pull = belief.at(R, tilts)
            G = np.repeat(G[:, None], R.shape[1], 1)
            G[..., 3:, 3:] += pull.precision
            u[..., 3:] -= pull.gradient
            v, cost = np.linalg.solve(G, u[..., None])[..., 0], pull.cost
        return -0.5 * ((r * Sr).sum(-1) - (u * v).sum(-1) + cost)

    def _linear(self, z, turns):
        """Of the points seen: Jacobian in z (B, 3m, 3n), effects of translation and turns (B, 3m, 5 or 6),
        positions (B, 3m).
        """
        x = self.seen(positions(z))
        J = jacobian(z, self.levels).reshape(len(z), 3 * len(self.levels), -1)
        if self.mix is not None:
            J = self.mix @ J
        return J, self._effects(x, turns), x.reshape(len(z), -1)

    def _effects(self, x, turns):
        """What translation, and turns about the axes in the rows (B, 2 or 3, 3), do to centres x (B, k, 3):
        (B, 3k, 5 or 6).
        """
        A = np.zeros((*x.shape, 3 + turns.shape[1]))
        A[..., :3] = np.eye(3)
        A[..., 3:] = skew(self.centre - x) @ turns.swapaxes(-1, -2)[:, None]
        return A.reshape(len(x), -1, A.shape[-1])

    def _system(self, y, C, z, R, turns):
        J, A, p = self._linear(z, turns)
        B, m = y.shape[:2]
        JP = (J.reshape(B * 3 * m, -1) @ self.cov).reshape(J.shape)  # one large product is faster than B small ones
        PJ = JP.swapaxes(-1, -2)  # (B, 3n, 3m)
        S = (J @ PJ).reshape(B, m, 3, m, 3)
        k = np.arange(m)
        S[:, k, :, k, :] += (R.swapaxes(-1, -2)[:, None] @ C @ R[:, None]).swapaxes(0, 1)
        S = S.reshape(B, 3 * m, 3 * m)
        r = np.einsum("bji,bmj->bmi", R, y).reshape(B, -1) - p - np.einsum("bij,bj->bi", J, self.mean - z)
        return PJ, A, S, r

    @staticmethod
    def _best_effects(A, SA, Sr, pull: Pull | None):
        """Information (B, k, k) of translation and turns, and their best values (B, k).

        The spin's entry of Aᵀ S⁻¹ A is damped: two points do not see the spin. No influence on where the steps end.
        """
        G, u = A.swapaxes(-1, -2) @ SA, (A.swapaxes(-1, -2) @ Sr[..., None])[..., 0]
        if G.shape[-1] == 6:
            G[:, 5, 5] += DAMPING
        if pull is not None:
            G[:, 3:, 3:] += pull.precision
            u[:, 3:] -= pull.gradient
        return G, np.linalg.solve(G, u[..., None])[..., 0]

    def solve(self, y, C, R, z=None, free_spin=True, tolerance=STEP, loose=0.0, belief=None) -> _Fit:
        """Gauss–Newton from rotations R and shapes z (the typical one). loose: m, noise added at first, halved at every
        step.
        """
        z = np.repeat(self.mean[None], len(y), 0) if z is None else z
        turns = self.turns(z) if free_spin else self.turns(z)[:, :2]
        y = y - y.mean(1, keepdims=True)  # far from the origin digits would be lost
        added = [loose * 0.5**k for k in range(ITERATIONS)] if loose else []
        for extra in (*added, *[0.0] * ITERATIONS):
            PJ, A, S, r = self._system(y, C + extra**2 * np.eye(3), z, R, turns)
            both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
            pull = None if belief is None else belief.at(R, turns)
            G, beta = self._best_effects(A, both[..., :-1], both[..., -1], pull)
            residual = both[..., -1] - np.einsum("bij,bj->bi", both[..., :-1], beta)  # S⁻¹ (r − A β)
            new = self.mean + np.einsum("bij,bj->bi", PJ, residual)
            turn = np.einsum("bi,bij->bj", beta[:, 3:], turns)
            size = np.linalg.norm(turn, axis=-1, keepdims=True)
            step = np.minimum(1.0, TURN / np.maximum(size, 1e-12))
            change = np.maximum(np.abs(new - z).max(-1), size[:, 0])
            R = R @ rotations(turn * step)
            z = z + step * (new - z)
            if extra == 0 and change.max() < tolerance:
                break
        misfit = np.einsum("bi,bi->b", r - np.einsum("bij,bj->bi", A, beta), residual)
        if pull is not None:
            misfit += pull.cost_after(beta[:, 3:])
        evidence = -0.5 * (misfit + np.linalg.slogdet(S)[1] + np.linalg.slogdet(G)[1])
        spin_sd = np.sqrt(np.linalg.inv(G)[:, -1, -1]) if free_spin else np.full(len(y), np.nan)
        return _Fit(z, R, evidence, spin_sd, change < tolerance, turns)

    def predict(self, y, C, z, R, turns, belief=None):
        """Mean and covariance of all centres at a solution, linearised there; the translation is solved exactly."""
        origin = y.mean(1)
        PJ, A, S, r = self._system(y - origin[:, None], C, z, R, turns)
        both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
        pull = None if belief is None else belief.at(R, turns)
        G, beta = self._best_effects(A, both[..., :-1], both[..., -1], pull)
        x = positions(z)
        D = derivatives(z)  # (B, kinds, bonds, xyz)
        K = _summed(np.moveaxis(D, 1, -1) @ np.moveaxis(PJ.reshape(*D.shape[:3], -1), 1, 2))  # (B, n, 3, 3m)
        K = K.reshape(len(y), -1, K.shape[-1])
        M = self._effects(x, turns) - K @ both[..., :-1]
        blocks = self._prior_blocks(D) - _blocks(K, np.linalg.solve(S, K.swapaxes(-1, -2)).swapaxes(-1, -2))
        blocks += _blocks(M, np.linalg.solve(G, M.swapaxes(-1, -2)).swapaxes(-1, -2))
        blocks = R[:, None] @ blocks @ R.swapaxes(-1, -2)[:, None]
        x = np.einsum("bij,bnj->bni", R, x + beta[:, None, :3]) + origin[:, None]
        return x, (blocks + blocks.swapaxes(-1, -2)) / 2

    def _prior_blocks(self, D):
        """Prior covariances (B, n, 3, 3) of all centres: each bond adds its own and, twice, its with all above it."""
        rows = D.transpose(0, 3, 1, 2)  # (B, xyz, kinds, bonds): derivative of the last centre
        with_above = (rows.reshape(-1, len(self.cov)) @ self.above).reshape(rows.shape)
        kinds = self.cov.reshape(rows.shape[2:] * 2)
        own = np.einsum("piqi->ipq", kinds)  # (bonds, kinds, kinds)
        left, right = np.moveaxis(rows, -1, 1), np.moveaxis(D, 1, 2)  # (B, bonds, xyz, kinds), (B, bonds, kinds, xyz)
        cross = np.moveaxis(with_above, -1, 1) @ right
        return _summed(left @ own @ right + cross + cross.swapaxes(-1, -2))

    def around(self, y, C, R, z, belief=None):
        """The mixture over the whole circle of spins, starting from poses R (B, 3, 3) and shapes z (B, 3n)."""
        B = len(y)
        many = (R[:, None] @ self.spins(z)).reshape(-1, 3, 3)
        z = np.repeat(z, SPINS, 0)
        y, C = np.repeat(y, SPINS, 0), np.repeat(C, SPINS, 0)
        belief = None if belief is None else belief.repeated(SPINS)
        fit = self.solve(y, C, many, z, free_spin=False, tolerance=MIXED, belief=belief)
        evidence = fit.evidence.reshape(B, SPINS)
        w = np.exp(evidence - evidence.max(1, keepdims=True))
        use = w.ravel() > np.exp(-NEGLIGIBLE)
        x, X = np.zeros((len(y), len(self.all), 3)), np.zeros((len(y), len(self.all), 3, 3))
        used = None if belief is None else belief[use]
        x[use], X[use] = self.predict(y[use], C[use], fit.z[use], fit.R[use], fit.turns[use], used)
        x, X = x.reshape(B, SPINS, -1, 3), X.reshape(B, SPINS, -1, 3, 3)
        w = np.where(use.reshape(B, SPINS), w, 0.0)
        w = (w / w.sum(1, keepdims=True))[..., None, None]
        centre = (w * x).sum(1)
        d = x - centre[:, None]
        return centre, (w[..., None] * (X + d[..., :, None] * d[..., None, :])).sum(1)


def _kabsch(source, target, weight):
    """Rotations (B, 3, 3) that best turn source (m, 3) onto target (B, m, 3), weights (B, m)."""
    w = (weight / weight.sum(-1, keepdims=True))[..., None]
    s, t = source - (w * source).sum(-2, keepdims=True), target - (w * target).sum(-2, keepdims=True)
    U, _, Vt = np.linalg.svd((w * t).swapaxes(-1, -2) @ s)
    U[..., -1] *= np.sign(np.linalg.det(U @ Vt))[..., None]
    return U @ Vt


def _summed(bonds):
    """What bonds (B, n − 1, …) add up to at the centres (B, n, …), the first at zero."""
    return np.concatenate([np.zeros_like(bonds[:, :1]), np.cumsum(bonds, 1)], 1)


def _blocks(left, right):
    """The (3, 3) blocks (B, n, 3, 3) on the diagonal of left @ rightᵀ, both (B, 3n, k)."""
    left, right = (side.reshape(len(side), -1, 3, side.shape[-1]) for side in (left, right))
    return left @ right.swapaxes(-1, -2)
