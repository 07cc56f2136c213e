"""Where all centres are, given some: Gaussian shape, flat prior on pose, pose integrated out.

Observation of a centre k:  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k),  t and R unknown and equally
likely everywhere (Lebesgue and Haar measure), so that the result moves with the points.

For a fixed spin ψ about the line through the points, the rest (t, the two tilts of R, z) is solved by Gauss–Newton,
each step a generalised least-squares problem with t and the tilts as fixed effects (universal kriging; Rasmussen &
Williams 2006, sec. 2.7), and its evidence by Laplace's method.

The spin itself is often hardly seen, because a spine is nearly straight: it is then integrated around the full circle on
an even grid, and the result is mean and covariance of that mixture. For a flat prior on pose the posterior mean is the
best equivariant estimate in mean square (Pitman's), given the shape's distribution.
"""

from dataclasses import dataclass

import numpy as np

from simspine.spine.shape.chain import jacobian, positions

SPINS = 24  # nodes on the circle; the even grid is exact to 1e-5 where its spread is NARROW or more
NARROW = 0.2  # rad: below this spread of the spin, one Gaussian around the mode is as good
RIVAL = 7.0  # log evidence: another spin this close to the best calls for the full circle as well
NEGLIGIBLE = 14.0  # log evidence below the best spin's: left out, one in a million
ITERATIONS = 15
STEP = 1e-7  # rad, log length: converged
COARSE = 1e-4  # the same for the spins of the mixture
CHUNK = 16  # frames at a time, to bound memory
DAMPING = 0.1  # 1/rad²
TURN = 0.5  # rad: largest turn of one step


@dataclass(frozen=True)
class _Fit:
    """Solutions of B problems: z (B, 3n), R (B, 3, 3), log evidence (B,), standard deviation of the spin (B,) rad,
    converged (B,).
    """

    z: np.ndarray
    R: np.ndarray
    evidence: np.ndarray
    spin_sd: np.ndarray
    converged: np.ndarray


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
        self.axis = _unit(_long_axis(seen))
        self.centre = seen.mean(0)
        tilts = np.linalg.svd(self.axis[None])[2][1:]
        self.turns = np.concatenate([tilts, self.axis[None]])  # two tilts, spin

    def complete(self, y, C):
        mode = self.solve(y, C, self.first_rotations(y, C), free_spin=True)
        wide = ~mode.converged | (mode.spin_sd > NARROW) | self.has_rival(y, C, mode)
        x, X = np.empty((len(y), len(self.all), 3)), np.empty((len(y), len(self.all), 3, 3))
        if wide.any():
            x[wide], X[wide] = self.around(y[wide], C[wide], mode.R[wide])
        if not wide.all():
            x[~wide], X[~wide] = self.predict(y[~wide], C[~wide], mode.z[~wide], mode.R[~wide], free_spin=True)
        return x, X

    def first_rotations(self, y, C):
        """The best of SPINS spins of the typical shape, by the evidence linearised there."""
        R0 = _kabsch(self.typical[self.levels], y, 1 / np.trace(C, axis1=-2, axis2=-1))
        spins = _rotations(self.axis * (np.arange(SPINS) * 2 * np.pi / SPINS)[:, None])
        R = R0[:, None] @ spins
        best = self._typical_evidence(y, C, R).argmax(1)
        return R[np.arange(len(y)), best]

    def has_rival(self, y, C, mode):
        """Is there a spin more than 60° from the mode with nearly its evidence? Judged with the mode's own shape."""
        spins = _rotations(self.axis * (np.arange(SPINS) * 2 * np.pi / SPINS)[:, None])
        evidence = self._typical_evidence(y, C, mode.R[:, None] @ spins)
        away = np.abs((np.arange(SPINS) + SPINS / 2) % SPINS - SPINS / 2) > SPINS / 6
        return evidence[:, away].max(1) > evidence.max(1) - RIVAL

    def _typical_evidence(self, y, C, R):
        """Log evidence (B, spins) of rotations R (B, spins, 3, 3), linearised at the typical shape; noise averaged over
        directions, so that one factorisation serves all spins.
        """
        noise = np.trace(C, axis1=-2, axis2=-1).repeat(3, axis=-1) / 3  # (B, 3m)
        J, A, p = self._linear(self.mean[None], free_spin=False)
        S = (J @ self.cov @ J.swapaxes(-1, -2)) + noise[:, None] * np.eye(noise.shape[-1])
        r = (np.einsum("bkji,bmj->bkmi", R, y) - p[0].reshape(-1, 3)).reshape(*R.shape[:2], -1)
        both = np.linalg.solve(S, np.concatenate([np.broadcast_to(A, (len(S), *A.shape[1:])), r.swapaxes(1, 2)], -1))
        SA, Sr = both[..., :5], both[..., 5:].swapaxes(1, 2)
        u = r @ SA
        return -0.5 * (
            (r * Sr).sum(-1) - (u * np.linalg.solve(A.swapaxes(-1, -2) @ SA, u.swapaxes(1, 2)).swapaxes(1, 2)).sum(-1)
        )

    def _linear(self, z, free_spin: bool, levels=None):
        """Jacobian in z (B, 3k, 3n), effects of translation and turns (B, 3k, 5 or 6), positions (B, 3k)."""
        levels = self.levels if levels is None else levels
        x = positions(z)[:, levels] - self.centre
        turns = self.turns if free_spin else self.turns[:2]
        A = np.zeros((*x.shape, 3 + len(turns)))
        A[..., :3] = np.eye(3)
        A[..., 3:] = np.cross(turns, x[..., None, :]).swapaxes(-1, -2)
        J = jacobian(z, levels)
        return (
            J.reshape(len(z), -1, J.shape[-1]),
            A.reshape(len(z), -1, A.shape[-1]),
            (x + self.centre).reshape(len(z), -1),
        )

    def _system(self, y, C, z, R, free_spin):
        J, A, p = self._linear(z, free_spin)
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

    def solve(self, y, C, R, free_spin: bool, tolerance: float = STEP) -> _Fit:
        B = len(y)
        y = y - y.mean(1, keepdims=True)  # far from the origin digits would be lost
        z = np.repeat(self.mean[None], B, 0)
        spin_sd = np.full(B, np.pi)
        for _ in range(ITERATIONS):
            PJ, A, S, r = self._system(y, C, z, R, free_spin)
            both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
            G = self._information(A, both[..., :-1])
            beta = np.linalg.solve(G, (A.swapaxes(-1, -2) @ both[..., -1:]))[..., 0]
            residual = both[..., -1] - np.einsum("bij,bj->bi", both[..., :-1], beta)  # S⁻¹ (r − A β)
            new = self.mean + np.einsum("bij,bj->bi", PJ, residual)
            turn = beta[:, 3:] @ self.turns[: beta.shape[1] - 3]
            size = np.linalg.norm(turn, axis=-1, keepdims=True)
            step = np.minimum(1.0, TURN / np.maximum(size, 1e-12))
            change = np.maximum(np.abs(new - z).max(-1), size[:, 0])
            R = R @ _rotations(turn * step)
            z = z + step * (new - z)
            if change.max() < tolerance:
                break
        misfit = np.einsum("bi,bi->b", r - np.einsum("bij,bj->bi", A, beta), residual)
        evidence = -0.5 * (misfit + np.linalg.slogdet(S)[1] + np.linalg.slogdet(G)[1])
        if free_spin:
            spin_sd = np.sqrt(np.linalg.inv(G)[:, -1, -1])
        return _Fit(z, R, evidence, spin_sd, change < tolerance)

    def predict(self, y, C, z, R, free_spin: bool):
        """Mean and covariance of all centres at a solution, linearised there; the translation is solved exactly."""
        origin = y.mean(1)
        PJ, A, S, r = self._system(y - origin[:, None], C, z, R, free_spin)
        both = np.linalg.solve(S, np.concatenate([A, r[..., None]], -1))
        G = self._information(A, both[..., :-1])
        beta = np.linalg.solve(G, A.swapaxes(-1, -2) @ both[..., -1:])[..., 0]
        Jn, An, p = self._linear(z, free_spin, self.all)
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

    def around(self, y, C, R):
        """The mixture over the whole circle of spins, starting from poses R (B, 3, 3)."""
        B = len(y)
        spins = _rotations(self.axis * (np.arange(SPINS) * 2 * np.pi / SPINS)[:, None])
        many = (R[:, None] @ spins).reshape(-1, 3, 3)
        y, C = np.repeat(y, SPINS, 0), np.repeat(C, SPINS, 0)
        fit = self.solve(y, C, many, free_spin=False, tolerance=COARSE)
        evidence = fit.evidence.reshape(B, SPINS)
        w = np.exp(evidence - evidence.max(1, keepdims=True))
        use = w.ravel() > np.exp(-NEGLIGIBLE)
        x, X = np.zeros((len(y), len(self.all), 3)), np.zeros((len(y), len(self.all), 3, 3))
        x[use], X[use] = self.predict(y[use], C[use], fit.z[use], fit.R[use], free_spin=False)
        x, X = x.reshape(B, SPINS, -1, 3), X.reshape(B, SPINS, -1, 3, 3)
        w = np.where(use.reshape(B, SPINS), w, 0.0)
        w = (w / w.sum(1, keepdims=True))[..., None, None]
        centre = (w * x).sum(1)
        d = x - centre[:, None]
        return centre, (w[..., None] * (X + d[..., :, None] * d[..., None, :])).sum(1)


def _long_axis(points):
    """Direction of the straight line nearest to the points, pointing down the spine."""
    axis = np.linalg.svd(points - points.mean(0))[2][0]
    return axis * np.sign(axis @ (points[-1] - points[0]))


def _unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


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
