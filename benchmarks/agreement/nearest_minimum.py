"""The minimum of the frame engines' cost beside a given pose, by plain dense steps: a judge that is no engine.

Levenberg and Marquardt's method with the active set of projected Newton (Bertsekas 1982), short steps, and no other
start: it goes downhill from where it is put. It shares with the engines the tree and its Jacobian, nothing else.
"""

import numpy as np

from simspine.anatomy.tree import Tree, markers_and_jacobian
from simspine.estimation.frame_engine import Frames

LONGEST = 0.05  # rad or m in one step: short, so as to end beside the start
ENOUGH = 1e-10  # of the cost: what the last step promised to gain
STEPS = 2000


def nearest_minimum(tree: Tree, z: np.ndarray, frame: Frames) -> tuple[np.ndarray, float]:
    """Free coordinates (free,) and cost Σ w d² + Σ ridge (z − target)² of one frame, downhill from z (free,).

    tree: with the markers of `frame`, whose arrays have no first axis.
    """
    y, w, ridge, target = frame
    weight = np.repeat(w, 3)

    def terms(z):
        x, J = markers_and_jacobian(tree, z)
        residual = (x - y).ravel()
        aside = z - target
        return residual, J.transpose(0, 2, 1).reshape(-1, z.size), weight @ residual**2 + ridge @ aside**2

    z = np.clip(z, tree.lower, tree.upper)
    residual, J, cost = terms(z)
    damping = 1e-6
    for _ in range(STEPS):
        H = (J * weight[:, None]).T @ J + np.diag(ridge)
        slope = J.T @ (weight * residual) + ridge * (z - target)
        free = ~((z <= tree.lower) & (slope > 0) | (z >= tree.upper) & (slope < 0))
        for _ in range(60):
            step = np.zeros(z.size)
            damped = H[np.ix_(free, free)] + np.diag(damping * (np.diag(H)[free] + 1e-6))
            step[free] = -np.linalg.solve(damped, slope[free])
            trial = np.clip(z + step, tree.lower, tree.upper)
            new = terms(trial)
            if new[2] < cost and np.abs(trial - z).max() <= LONGEST:
                break
            damping = 10.0 * damping + 1e-12
        else:
            break
        gained, z, (residual, J, cost) = cost - new[2], trial, new
        damping = max(0.2 * damping, 1e-9)
        if gained < ENOUGH * cost:
            break
    return z, cost
