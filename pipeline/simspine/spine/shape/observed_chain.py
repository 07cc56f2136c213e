"""Points observed of a chain, and the generalised least-squares problem they make of its shape and pose.

A point observed is  y_k = t + R x_k(z) + e_k,  z ~ N(μ, P),  e_k ~ N(0, C_k). Linearised, in the trunk's frame, with
translation and turns as fixed effects β (universal kriging; Rasmussen & Williams 2006, sec. 2.7):

    r = A β + ε,   ε ~ N(0, S),   S = J P Jᵀ + RᵀCR
"""

import numpy as np

from simspine.spine.shape.chain import derivatives, from_vectors, jacobian, positions
from simspine.spine.shape.orientation import OrientationPrior, Pull, skew

DAMPING = 0.1  # 1/rad²


class ObservedChain:
    """mean (3(n − 1),), cov: prior of the shape. levels: indices (m,) of the centres observed. mix: see `complete`."""

    def __init__(self, mean: np.ndarray, cov: np.ndarray, levels: np.ndarray, mix: np.ndarray | None = None):
        self.mean, self.cov, self.levels, self.mix = mean, cov, levels, mix
        self.precision = np.linalg.inv(cov)
        self.typical = self.points(mean[None])[0]
        self.centre = self.typical.mean(0)

    def points(self, z: np.ndarray) -> np.ndarray:
        """The points (B, m, 3) of shapes z (B, 3(n − 1)), the chain's first centre at the origin."""
        return self._of(positions(z))

    def _of(self, centres):
        x = centres[:, self.levels]
        return x if self.mix is None else (x.reshape(len(x), -1) @ self.mix.T).reshape(len(x), -1, 3)

    def axes(self, z: np.ndarray) -> np.ndarray:
        """Axes (B, 3, 3) of turns in the rows: two tilts, and the spin about the line nearest to the points seen."""
        points = self.points(z)
        return np.linalg.svd(points - points.mean(1, keepdims=True))[2][:, [1, 2, 0]]

    def linear(self, z, axes):
        """Jacobian in z (B, 3m, 3(n − 1)), effects of translation and turns (B, 3m, 5 or 6), points (B, 3m)."""
        D = derivatives(z)
        x = self._of(from_vectors(D[:, 0]))
        J = jacobian(D, self.levels).reshape(len(z), 3 * len(self.levels), -1)
        if self.mix is not None:
            J = self.mix @ J
        return J, self.effects(x, axes), x.reshape(len(z), -1)

    def effects(self, x, axes):
        """What translation and turns about axes in rows (B, 2 or 3, 3) do to centres (B, k, 3): (B, 3k, 5 or 6)."""
        A = np.zeros((*x.shape, 3 + axes.shape[1]))
        A[..., :3] = np.eye(3)
        A[..., 3:] = skew(self.centre - x) @ axes.swapaxes(-1, -2)[:, None]
        return A.reshape(len(x), -1, A.shape[-1])

    def system(self, y, C, z, R, axes):
        """P Jᵀ (B, 3(n − 1), 3m), A, S and r at shapes z and rotations R, free to turn about the axes."""
        J, A, p = self.linear(z, axes)
        B, m = y.shape[:2]
        JP = (J.reshape(B * 3 * m, -1) @ self.cov).reshape(J.shape)  # one large product is faster than B small ones
        PJ = JP.swapaxes(-1, -2)
        S = (J @ PJ).reshape(B, m, 3, m, 3)
        k = np.arange(m)
        S[:, k, :, k, :] += (R.swapaxes(-1, -2)[:, None] @ C @ R[:, None]).swapaxes(0, 1)
        S = S.reshape(B, 3 * m, 3 * m)
        r = (y @ R).reshape(B, -1) - p - (J @ (self.mean - z)[..., None])[..., 0]
        return PJ, A, S, r

    def cost(self, y, weight, z, R, prior: OrientationPrior | None):
        """Half the squared distance (B,) of z and R from prior and points, best moved. weight: C⁻¹ (B, m, 3, 3)."""
        e = y - self.points(z) @ R.swapaxes(-1, -2)
        we = (weight @ e[..., None])[..., 0]
        shift = np.linalg.solve(weight.sum(1), we.sum(1)[..., None])[..., 0]
        d = z - self.mean
        total = ((d @ self.precision) * d).sum(1) + (we * e).sum((1, 2)) - (we.sum(1) * shift).sum(1)
        return 0.5 * (total if prior is None else total + prior.cost(R))


def best_effects(A, SA, Sr, pull: Pull | None):
    """Information (B, k, k) of translation and turns, and their best values (B, k).

    The spin's entry of Aᵀ S⁻¹ A is damped: two points do not show the spin. No influence on where the steps end.
    """
    G, u = A.swapaxes(-1, -2) @ SA, (A.swapaxes(-1, -2) @ Sr[..., None])[..., 0]
    if G.shape[-1] == 6:
        G[:, 5, 5] += DAMPING
    if pull is not None:
        G[:, 3:, 3:] += pull.precision
        u[:, 3:] -= pull.gradient
    return G, np.linalg.solve(G, u[..., None])[..., 0]
