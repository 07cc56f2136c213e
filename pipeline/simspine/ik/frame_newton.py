"""Compiled Newton's method for one frame: Σ_m w_m ρ(|x_m(q) − y_m|), the objective of OpenSim's tool.

Clamped coordinates stay inside their range by an active set: a coordinate at a bound whose gradient points outwards
does not take part in the step (projected Newton, Bertsekas 1982). Angles move by no more than a trust radius.
"""

import numpy as np
from numba import njit

from simspine.body.tree import Tree
from simspine.ik.marker_kernels import SQUARE, evaluate_frame, gather, marker_cost, pose_space, spread, sum_space
from simspine.ik.sparsity import INNER, REORDER, Sparsity, solve_packed

CONVERGED, STALLED, OUT_OF_ITERATIONS, UNSOLVED, GIVEN_UP = 0, 1, 2, 3, 4
RIDGE = 1e-8  # of the diagonal, for directions that no marker sees
SIDESTEP = 0.1  # rad
FAST = 0.1  # of what the step before promised: Newton's method converges as it should
NEAR = 0.3  # a step that lowered the cost by less than this share was taken near the minimum


@njit(**INNER, fastmath=REORDER)
def box_step(
    pattern: Sparsity, turning, lower, upper, H, C, newton: float, radius: float, g, z, held, fixed, A, rhs, step, trial
) -> float:
    """Lower the quadratic model inside the bounds, angles by at most `radius`: trial, and what it promises to lower.

    Goes towards the model's minimum up to the first bound, stays on it, and on with the others, so that each part of
    the way lowers the model. Coordinates that are `held` stay. −1 where the model is not positive; step is then a
    way along which it is not. fixed, A, rhs: scratch.
    """
    n = z.size
    promise = 0.0
    for c in range(n):
        trial[c] = z[c]
        fixed[c] = held[c]
        rhs[c] = -g[c]
    for _ in range(n + 1):
        for c in range(n):
            step[c] = rhs[c]
            depth = pattern.depth[c]
            for e in range(depth):
                A[c, e] = 0.0 if fixed[pattern.chain[c, e]] else H[c, e] + newton * C[c, e]
            A[c, depth] = (1.0 + RIDGE) * H[c, depth] + newton * C[c, depth] + 1e-9
        if not solve_packed(pattern, A, fixed, step):
            return -1.0
        share = 1.0
        first = -1
        gain = 0.0
        for i in range(n):
            if not fixed[i]:
                gain += rhs[i] * step[i]
                reach = radius if turning[i] else np.inf
                if step[i] > 0.0:
                    room = min(upper[i], z[i] + reach) - trial[i]
                else:
                    room = max(lower[i], z[i] - reach) - trial[i]
                if share * abs(step[i]) > abs(room):
                    share = room / step[i]
                    first = i
        for i in range(n):
            if not fixed[i]:
                trial[i] += share * step[i]
                rhs[i] *= 1.0 - share  # what is left of the slope there
        promise += gain * share * (2.0 - share)
        if first < 0:
            break
        fixed[first] = True
    for i in range(n):
        trial[i] = min(max(trial[i], lower[i]), upper[i])
    return promise


@njit(inline="always")
def with_tasks(cost: float, z, ridge, target) -> float:
    """The objective: the markers' cost and Σ ridge (z − target)²."""
    for i in range(z.size):
        cost += ridge[i] * (z[i] - target[i]) ** 2
    return cost


@njit(inline="always")
def aside(z, way, turning, lower, upper, size: float, trial) -> None:
    """trial = z and `size` rad (of the angle that turns most) along `way`, inside the bounds."""
    largest = 1e-12
    for i in range(z.size):
        if turning[i]:
            largest = max(largest, abs(way[i]))
    for i in range(z.size):
        trial[i] = min(max(z[i] + size / largest * way[i], lower[i]), upper[i])


@njit(inline="always")
def fit_frame(
    tree: Tree, pattern: Sparsity, ridge, target, y, w, z, sharp, iterations: int, tolerance: float, longest: float,
    beat: float,
):  # fmt: skip
    """Fit one frame, from and into z (free,); sharp (free,) receives the cost's curvature along each coordinate where
    the last step began. Returns cost, status.

    ridge (free,), target (free,): Σ ridge (z − target)², OpenSim's coordinate tasks; it is part of the cost.
    Converged when less than `tolerance` times the cost (or 1e-16 m²) is left to gain, as steps promise. Given
    up when it seems to end above `beat`. longest: rad, of any angle in one step.
    """
    n = z.size
    turning, lower, upper = tree.turning, tree.lower, tree.upper
    q, factor, R, p, direction, centre, rate = pose_space(tree.rest, tree.bodies, tree.slot_kind.size)
    K, F, S, T = sum_space(tree.bodies, pattern.entry_column.size)
    H = np.empty(pattern.chain.shape)
    C = np.empty(pattern.chain.shape)
    A = np.empty(pattern.chain.shape)
    g = np.empty(n)
    rhs = np.empty(n)
    step = np.empty(n)
    held = np.empty(n, np.bool_)
    fixed = np.empty(n, np.bool_)
    trial = np.empty(n)
    x = np.empty((w.size, 3))

    for i in range(n):
        z[i] = min(max(z[i], lower[i]), upper[i])
    evaluate_frame(tree, z, q, factor, R, p, direction, centre, rate, x)
    cost = with_tasks(marker_cost(x, y, w, None, np.int64(SQUARE), 0.0), z, ridge, target)
    radius = longest
    near = False
    last = np.inf  # what the step before promised
    escapes = 0
    status = OUT_OF_ITERATIONS
    for _ in range(iterations):
        gather(tree, x, y, w, None, np.int64(SQUARE), 0.0, K, F, S)
        spread(tree, pattern, direction, centre, rate, factor, K, F, S, T, g, H, C)
        for i in range(n):
            H[i, pattern.depth[i]] += ridge[i]
            sharp[i] = H[i, pattern.depth[i]]
            g[i] += ridge[i] * (z[i] - target[i])
            held[i] = (z[i] <= lower[i] and g[i] > 0.0) or (z[i] >= upper[i] and g[i] < 0.0)
        newton = 1.0 if near else 0.0
        improved = False
        for _ in range(25):
            promise = box_step(
                pattern, turning, lower, upper, H, C, newton, radius, g, z, held, fixed, A, rhs, step, trial
            )
            if promise < 0.0:
                if newton == 0.0:
                    break
                newton = 0.0
                continue
            largest = 0.0
            for i in range(n):
                if turning[i]:
                    largest = max(largest, abs(trial[i] - z[i]))
            if near and cost - 2.0 * promise > beat:
                return cost, GIVEN_UP
            # Newton's steps gain on each other, unless the cost bends (hence tenfold); one that the radius cuts short
            # promises too little.
            left = 10.0 * promise * promise / last if newton > 0.0 and promise < FAST * last else promise
            done = left <= tolerance * cost + 1e-16 and largest < 0.999 * radius
            if done:
                status = CONVERGED
            evaluate_frame(tree, trial, q, factor, R, p, direction, centre, rate, x)
            new = with_tasks(marker_cost(x, y, w, None, np.int64(SQUARE), 0.0), trial, ridge, target)
            if new < cost:
                near = cost - new < NEAR * cost
                cost, last = new, promise
                for i in range(n):
                    z[i] = trial[i]
                radius = min(2.0 * radius, longest)
                improved = True
                break
            if done:
                break
            radius = 0.25 * largest
        if not improved and status == OUT_OF_ITERATIONS:
            status = STALLED
        # Where the cost bends down along some way, its slope may be nought without a minimum: a step aside, either way.
        for side in (SIDESTEP, -SIDESTEP):
            if status != CONVERGED or newton > 0.0 or escapes >= 4:
                break
            promise = box_step(
                pattern, turning, lower, upper, H, C, 1.0, radius, g, z, held, fixed, A, rhs, step, trial
            )
            if promise >= 0.0:
                break
            escapes += 1
            aside(z, step, turning, lower, upper, side, trial)
            evaluate_frame(tree, trial, q, factor, R, p, direction, centre, rate, x)
            new = with_tasks(marker_cost(x, y, w, None, np.int64(SQUARE), 0.0), trial, ridge, target)
            if new < cost:
                cost, status, near = new, OUT_OF_ITERATIONS, True
                for i in range(n):
                    z[i] = trial[i]
        if status != OUT_OF_ITERATIONS:
            break
    return cost, status
