"""Where all centres are, given some: Gaussian shape, flat prior on pose, pose integrated out.

Observation of a centre k:  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k),  t and R unknown and equally
likely everywhere (Lebesgue and Haar measure), so that the result moves with the points.

For a fixed spin ψ about the line through the points, the rest (t, the two tilts of R, z) is solved by Gauss–Newton,
each step a generalised least-squares problem with t and the tilts as fixed effects (universal kriging; Rasmussen &
Williams 2006, sec. 2.7), and its evidence by Laplace's method.

The spin itself is often hardly seen, because a spine is nearly straight: it is then integrated around the full circle
on an even grid, and the result is mean and covariance of that mixture. For a flat prior on pose the posterior mean is
the best equivariant estimate in mean square (Pitman's), given the shape's distribution.
"""

from dataclasses import dataclass

import numpy as np

from simspine.spine.shape.chain import jacobian, positions

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


def complete(mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, y: np.ndarray, C: np.ndarray):
    """Posterior mean (B, n, 3) and covariance (B, n, 3, 3) of all n centres.

    mean (3(n − 1),), cov: prior of the shape parameters. levels: indices (m,) of the centres seen, m ≥ 2. y: (B, m, 3)
    m. C: (B, m, 3, 3) m², positive definite.
    """
    problem = _Problem(mean, cov, levels)
    pieces = [problem.complete(y[i : i + CHUNK], C[i : i + CHUNK]) for i in range(0, len(y), CHUNK)]
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))


class _Problem:
    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray):
        self.mean, self.cov, self.levels = mean, cov, np.asarray(levels)
        self.all = np.arange(len(mean) // 3 + 1)
        self.typical = positions(mean)
        seen = self.typical[self.levels]
        self.centre = seen.mean(0)

    def complete(self, y, C):
        first = self.first_rotations(y, C)
        mode = self.solve(y, C, first, tolerance=COARSE)
        lost = ~mode.converged & (mode.spin_sd < NARROW)
        if lost.any():  # exact points on a shape far from the typical one: full steps overshoot
            again = self.solve(y[lost], C[lost], first[lost], tolerance=COARSE, loose=LOOSE)
            for old, new in zip(vars(mode).values(), vars(again).values(), strict=True):
                old[lost] = new
        wide = ~mode.converged | (mode.spin_sd > NARROW) | self.has_rival(y, C, mode)
        x, X = np.empty((len(y), len(self.all), 3)), np.empty((len(y), len(self.all), 3, 3))
        if wide.any():
            x[wide], X[wide] = self.around(y[wide], C[wide], mode.R[wide], mode.z[wide])
        known = ~wide
        if known.any():
            y, C = y[known], C[known]
            fit = self.solve(y, C, mode.R[known], mode.z[known])
            x[known], X[known] = self.predict(y, C, fit.z, fit.R, fit.turns)
        return x, X

    def turns(self, z):
        """Axes (B, 3, 3) of turns in the rows: two tilts, and the spin about the straight line nearest to the points
        seen.
        """
        seen = positions(z)[:, self.levels]
        return np.linalg.svd(seen - seen.mean(1, keepdims=True))[2][:, [1, 2, 0]]

    def spins(self, z):
        """The grid of spins (B, SPINS, 3, 3) about the points' line."""
        return _rotations(self.turns(z)[:, None, 2] * (np.arange(SPINS) * 2 * np.pi / SPINS)[:, None])

    def first_rotations(self, y, C):
        """The best of SPINS spins of the typical shape, by the evidence linearised there."""
        R0 = _kabsch(self.typical[self.levels], y, 1 / np.trace(C, axis1=-2, axis2=-1))
        R = R0[:, None] @ self.spins(self.mean[None])
        best = self._typical_evidence(y, C, R).argmax(1)
        return R[np.arange(len(y)), best]

    def has_rival(self, y, C, mode):
        """Is there a spin more than 60° from the mode with nearly its evidence, as far as the typical shape tells?"""
        evidence = self._typical_evidence(y, C, mode.R[:, None] @ self.spins(self.mean[None]))
        away = np.abs((np.arange(SPINS) + SPINS / 2) % SPINS - SPINS / 2) > SPINS / 6
        return evidence[:, away].max(1) > evidence.max(1) - RIVAL

    def _typical_evidence(self, y, C, R):
        """Log evidence (B, spins) of rotations R (B, spins, 3, 3), linearised at the typical shape; noise averaged over
        directions, so that one factorisation serves all spins.
        """
        noise = np.trace(C, axis1=-2, axis2=-1).repeat(3, axis=-1) / 3  # (B, 3m)
        J, A, p = self._linear(self.mean[None], self.turns(self.mean[None])[:, :2])
        S = (J @ self.cov @ J.swapaxes(-1, -2)) + noise[:, None] * np.eye(noise.shape[-1])
        r = (np.einsum("bkji,bmj->bkmi", R, y) - p[0].reshape(-1, 3)).reshape(*R.shape[:2], -1)
        both = np.linalg.solve(S, np.concatenate([np.broadcast_to(A, (len(S), *A.shape[1:])), r.swapaxes(1, 2)], -1))
        SA, Sr = both[..., :5], both[..., 5:].swapaxes(1, 2)
        u = r @ SA
        v = np.linalg.solve(A.swapaxes(-1, -2) @ SA, u.swapaxes(1, 2)).swapaxes(1, 2)
        return -0.5 * ((r * Sr).sum(-1) - (u * v).sum(-1))

    def _linear(self, z, turns, levels=None):
        """Jacobian in z (B, 3k, 3n), effects of translation and of turns (B, 2 or 3, 3)
        about axes in the rows (B, 3k, 5 or 6), positions (B, 3k)."""
        levels = self.levels if levels is None else levels
        x = positions(z)[:, levels] - self.centre
        A = np.zeros((*x.shape, 3 + turns.shape[1]))
        A[..., :3] = np.eye(3)
        A[..., 3:] = np.cross(turns[:, None], x[..., None, :]).swapaxes(-1, -2)
        J = jacobian(z, levels)
        rows = (len(z), 3 * len(levels))
        return J.reshape(*rows, -1), A.reshape(*rows, -1), (x + self.centre).reshape(rows)

    def _system(self, y, C, z, R, turns):
        J, A, p = self._linear(z, turns)
        B, m = y.shape[:2]
        PJ = self.cov @ J.swapaxes(-1, -2)  # (B, 3n, 3m)
        S = (J @ PJ).reshape(B, m, 3, m, 3)
        k = np.arange(m)
        S[:, k, :, k, :] += (R.swapaxes(-1, -2)[:, None] @ C @ R[:, None]).swapaxes(0, 1)
        S = S.reshape(B, 3 * m, 3 * m)
        r = np.einsum("bji,bmj->bmi", R, y).reshape(B, -1) - p - np.einsum("bij,bj->bi", J, self.mean - z)
        return PJ, A, S, r

    @staticmethod
    def _information(A, SA):
        """Aᵀ S⁻¹ A, the spin's entry damped: two points do not see the spin. No influence on where the steps end."""
        G = A.swapaxes(-1, -2) @ SA
        if G.shape[-1] == 6:
            G[:, 5, 5] += DAMPING
        return G

    def solve(self, y, C, R, z=None, free_spin=True, tolerance=STEP, loose=0.0) -> _Fit:
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
            G = self._information(A, both[..., :-1])
            beta = np.linalg.solve(G, (A.swapaxes(-1, -2) @ both[..., -1:]))[..., 0]
            residual = both[..., -1] - np.einsum("bij,bj->bi", both[..., :-1], beta)  # S⁻¹ (r − A β)
            new = self.mean + np.einsum("bij,bj->bi", PJ, residual)
            turn = np.einsum("bi,bij->bj", beta[:, 3:], turns)
            size = np.linalg.norm(turn, axis=-1, keepdims=True)
            step = np.minimum(1.0, TURN / np.maximum(size, 1e-12))
            change = np.maximum(np.abs(new - z).max(-1), size[:, 0])
            R = R @ _rotations(turn * step)
            z = z + step * (new - z)
            if extra == 0 and change.max() < tolerance:
                break
        misfit = np.einsum("bi,bi->b", r - np.einsum("bij,bj->bi", A, beta), residual)
        evidence = -0.5 * (misfit + np.linalg.slogdet(S)[1] + np.linalg.slogdet(G)[1])
        spin_sd = np.sqrt(np.linalg.inv(G)[:, -1, -1]) if free_spin else np.full(len(y), np.nan)
        return _Fit(z, R, evidence, spin_sd, change < tolerance, turns)

    def predict(self, y, C, z, R, turns):
        """Mean and covariance of all centres at a solution, linearised there; the translation is solved exactly."""
        origin = y.mean(1)
        PJ, A, S, r = self._system(y - origin[:, None], C, z, R, turns)
        both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
        G = self._information(A, both[..., :-1])
        beta = np.linalg.solve(G, A.swapaxes(-1, -2) @ both[..., -1:])[..., 0]
        Jn, An, p = self._linear(z, turns, self.all)
        K = Jn @ PJ  # (B, 3n, 3m)
        M = An - K @ both[..., :-1]
        n = len(self.all)

        def blocks_of(left, right):  # the (3, 3) blocks on the diagonal of left @ rightᵀ
            left, right = (side.reshape(len(y), n, 3, -1) for side in (left, right))
            return left @ right.swapaxes(-1, -2)

        blocks = blocks_of(Jn @ self.cov, Jn) - blocks_of(K, np.linalg.solve(S, K.swapaxes(-1, -2)).swapaxes(-1, -2))
        blocks += blocks_of(M, np.linalg.solve(G, M.swapaxes(-1, -2)).swapaxes(-1, -2))
        blocks = R[:, None] @ blocks @ R.swapaxes(-1, -2)[:, None]
        x = np.einsum("bij,bnj->bni", R, p.reshape(len(y), n, 3) + beta[:, None, :3]) + origin[:, None]
        return x, (blocks + blocks.swapaxes(-1, -2)) / 2

    def around(self, y, C, R, z):
        """The mixture over the whole circle of spins, starting from poses R (B, 3, 3) and shapes z (B, 3n)."""
        B = len(y)
        many = (R[:, None] @ self.spins(z)).reshape(-1, 3, 3)
        z = np.repeat(z, SPINS, 0)
        y, C = np.repeat(y, SPINS, 0), np.repeat(C, SPINS, 0)
        fit = self.solve(y, C, many, z, free_spin=False, tolerance=MIXED)
        evidence = fit.evidence.reshape(B, SPINS)
        w = np.exp(evidence - evidence.max(1, keepdims=True))
        use = w.ravel() > np.exp(-NEGLIGIBLE)
        x, X = np.zeros((len(y), len(self.all), 3)), np.zeros((len(y), len(self.all), 3, 3))
        x[use], X[use] = self.predict(y[use], C[use], fit.z[use], fit.R[use], fit.turns[use])
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


def _rotations(v):
    """Rotation vectors (..., 3) → matrices (Rodrigues)."""
    v = np.asarray(v, float)
    angle = np.linalg.norm(v, axis=-1)[..., None, None]
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2], k[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    k = k - k.swapaxes(-1, -2)
    return np.eye(3) + np.sinc(angle / np.pi) * k + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (k @ k)
