"""Compiled Newton's method, frame by frame: Σ_m w_m ρ(|x_m(q) − y_m|), the objective of OpenSim's tool.

Clamped coordinates stay inside their range by an active set: a coordinate at a bound whose gradient points outwards
does not take part in the step (projected Newton, Bertsekas 1982). Damping as in Levenberg–Marquardt.
"""

import numpy as np
from numba import njit

from simspine.body.tree import Tree
from simspine.ik.marker_kernels import SQUARE, evaluate_frame, gather, marker_cost, spread

CONVERGED, STALLED, OUT_OF_ITERATIONS, UNSOLVED = 0, 1, 2, 3
MAX_TURN = 0.5  # rad, of any angle in one step
REORDER = {"reassoc", "contract", "arcp"}  # lets sums run in vector registers; NaN and infinity keep their meaning


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def cholesky_solve(H: np.ndarray, b: np.ndarray, n: int) -> bool:
    """Solve H x = b in place for the leading n unknowns; overwrites H's lower triangle. False if not positive."""
    for i in range(n):
        for j in range(i):
            s = H[i, j]
            for k in range(j):
                s -= H[i, k] * H[j, k]
            H[i, j] = s / H[j, j]
        d = H[i, i]
        for k in range(i):
            d -= H[i, k] * H[i, k]
        if not d > 1e-14 * abs(H[i, i]):
            return False
        H[i, i] = np.sqrt(d)
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= H[i, k] * b[k]
        b[i] = s / H[i, i]
    for i in range(n - 1, -1, -1):
        b[i] /= H[i, i]
        for k in range(i):
            b[k] -= H[i, k] * b[i]
    return True


@njit(cache=True, fastmath=REORDER, error_model="numpy")
def box_step(tree: Tree, H, C, newton: float, damping: float, g, z, active, count: int, A, step, trial) -> bool:
    """Minimise the quadratic model inside the bounds: trial = z + step. False where the model is not positive.

    Of the coordinates `active[:count]` those that would leave their range are put on the bound and the others solved
    again, until none leaves; `active` is overwritten. The rest stay.
    """
    trial[:] = z
    for _ in range(count + 1):
        for a in range(count):
            i = active[a]
            step[a] = -g[i]
            for k in range(z.size):
                moved = trial[k] - z[k]
                if moved != 0.0:
                    r, c = max(i, k), min(i, k)
                    step[a] -= (H[r, c] + newton * C[r, c]) * moved
            for b in range(a + 1):
                A[a, b] = H[i, active[b]] + newton * C[i, active[b]]
            A[a, a] += damping * H[i, i] + 1e-9
        if not cholesky_solve(A, step, count):
            return False
        kept = 0
        for a in range(count):
            i = active[a]
            there = z[i] + step[a]
            if there < tree.lower[i]:
                trial[i] = tree.lower[i]
            elif there > tree.upper[i]:
                trial[i] = tree.upper[i]
            else:
                active[kept] = i
                kept += 1
        if kept == count:
            for a in range(count):
                trial[active[a]] = z[active[a]] + step[a]
            return True
        count = kept
    return True


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def fit_frame(tree: Tree, ridge, target, y, w, z, x, iterations: int, tolerance: float):
    """Fit one frame, from and into z (free,); x (markers, 3) receives the markers. Returns cost, status, steps.

    ridge (free,), target (free,): Σ ridge (z − target)², OpenSim's coordinate tasks; it is part of the cost.
    Converged when a step promises to lower the cost by less than `tolerance` times the cost (or 1e-16 m²).
    """
    n = z.size
    slots = tree.slot_kind.size
    q = tree.rest.copy()
    factor = np.empty(q.size)
    R = np.empty((tree.bodies, 3, 3))
    p = np.empty((tree.bodies, 3))
    direction = np.empty((slots, 3))
    centre = np.empty((slots, 3))
    rate = np.empty(slots)
    K = np.empty((tree.bodies, 6, 6))
    F = np.empty((tree.bodies, 6))
    S = np.empty((tree.bodies, 3, 3))
    H = np.empty((n, n))
    C = np.empty((n, n))
    A = np.empty((n, n))
    g = np.empty(n)
    step = np.empty(n)
    free = np.empty(n, np.int64)
    active = np.empty(n, np.int64)
    trial = np.empty(n)
    trial_x = np.empty_like(x)
    P = np.empty((0, 3, 3))

    for i in range(n):
        z[i] = min(max(z[i], tree.lower[i]), tree.upper[i])
    evaluate_frame(tree, z, q, factor, R, p, direction, centre, rate, x)
    cost = marker_cost(x, y, w, P, SQUARE, 0.0)
    for i in range(n):
        cost += ridge[i] * (z[i] - target[i]) ** 2
    damping = 1e-8
    near = False
    status = OUT_OF_ITERATIONS
    steps = 0
    while steps < iterations and status == OUT_OF_ITERATIONS:
        steps += 1
        gather(tree, x, y, w, P, SQUARE, 0.0, K, F, S)
        H[:] = 0.0
        C[:] = 0.0
        g[:] = 0.0
        spread(tree, direction, centre, rate, factor, K, F, S, g, H, C)
        count = 0
        for i in range(n):
            H[i, i] += ridge[i]
            g[i] += ridge[i] * (z[i] - target[i])
            held = (z[i] <= tree.lower[i] and g[i] > 0.0) or (z[i] >= tree.upper[i] and g[i] < 0.0)
            if not held:
                free[count] = i
                count += 1
        # Far away Gauss–Newton is the safer guide; near the end the full Hessian needs fewer steps.
        newton = 1.0 if near else 0.0
        improved = False
        for _ in range(25):
            active[:count] = free[:count]
            if not box_step(tree, H, C, newton, damping, g, z, active, count, A, step, trial):
                if newton > 0.0:
                    newton = 0.0
                else:
                    damping = max(10.0 * damping, 1e-6)
                continue
            largest = MAX_TURN
            for i in range(n):
                if tree.turning[i]:
                    largest = max(largest, abs(trial[i] - z[i]))
            if largest > MAX_TURN:  # near a gimbal lock two angles could otherwise wind up against each other
                damping = max(10.0 * damping, 1e-6)
                continue
            promise = 0.0
            for i in range(n):
                promise -= g[i] * (trial[i] - z[i])
            done = promise <= tolerance * cost + 1e-16
            if done:
                status = CONVERGED
            evaluate_frame(tree, trial, q, factor, R, p, direction, centre, rate, trial_x)
            new = marker_cost(trial_x, y, w, P, SQUARE, 0.0)
            for i in range(n):
                new += ridge[i] * (trial[i] - target[i]) ** 2
            if new < cost:
                near = cost - new < 0.3 * cost
                cost = new
                z[:] = trial
                x[:] = trial_x
                damping = 0.1 * damping
                improved = True
                break
            if done:
                break
            damping = max(10.0 * damping, 1e-6)
            if damping > 1e-2:
                newton = 0.0
        if not improved and status == OUT_OF_ITERATIONS:
            status = STALLED
    return cost, status, steps


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def fit_best(
    tree: Tree, ridge, target, y, w, starts, z, x, cost: float, status: int, iterations: int, tolerance: float
):
    """Try every start (starts, free) on one frame; z keeps the best solution, if better than `cost`."""
    trial = np.empty(z.size)
    for k in range(starts.shape[0]):
        trial[:] = starts[k]
        new, how, _ = fit_frame(tree, ridge, target, y, w, trial, x, iterations, tolerance)
        if np.isnan(cost) or new < cost:
            cost = new
            status = how
            z[:] = trial
    return cost, status


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def fit_frames(tree: Tree, ridge, target, hold: float, y, w, starts, iterations: int, tolerance: float, jump: float):
    """Fit frames one after another, each from the one before, then look back where that may have gone wrong.

    ridge (frames, free), target (free,): coordinate tasks. hold: weight that ties every coordinate to where the frame's
    fit began; 0 for OpenSim's objective, more for a calm start of a trajectory. y (frames, markers, 3); w (frames,
    markers); starts (starts, free): all are tried on the first frame and on frames that stay much worse than the
    trial's median. On the way back a frame is tried from its successor's solution where the two differ by more than
    `jump` in any coordinate, where its cost is clearly higher, or where it did not converge. The best solution stays.
    Returns z (frames, free), cost, status (frames,). A frame with all w = 0 is NaN, UNSOLVED.
    """
    frames = y.shape[0]
    n = starts.shape[1]
    z = np.full((frames, n), np.nan)
    x = np.empty((y.shape[1], 3))
    cost = np.full(frames, np.nan)
    status = np.full(frames, UNSOLVED)
    current = starts[0].copy()
    pull = np.empty(n)
    aim = np.empty(n)
    begun = False
    for t in range(frames):
        if not np.any(w[t] > 0.0):
            continue
        if not begun:
            begun = True
            fit_best(
                tree, ridge[t], target, y[t], w[t], starts, current, x, np.nan, UNSOLVED, 4 * iterations, tolerance
            )
        before = current.copy()
        for i in range(n):
            pull[i] = ridge[t, i] + hold
            aim[i] = (ridge[t, i] * target[i] + hold * before[i]) / pull[i] if pull[i] > 0.0 else 0.0
        cost[t], status[t], _ = fit_frame(tree, pull, aim, y[t], w[t], current, x, iterations, tolerance)
        for i in range(n):
            if tree.periodic[i]:
                current[i] -= 2 * np.pi * np.round((current[i] - before[i]) / (2 * np.pi))
        z[t] = current
    if hold > 0.0:
        return z, cost, status
    usual = np.nanmedian(cost)
    for t in range(frames - 1, -1, -1):
        if status[t] == UNSOLVED:
            continue
        if t + 1 < frames and status[t + 1] != UNSOLVED:
            suspicious = status[t] != CONVERGED or cost[t] > 1.5 * cost[t + 1]
            for i in range(n):
                suspicious = suspicious or abs(z[t, i] - z[t + 1, i]) > jump
            if suspicious:
                cost[t], status[t] = fit_best(
                    tree,
                    ridge[t],
                    target,
                    y[t],
                    w[t],
                    z[t + 1 : t + 2],
                    z[t],
                    x,
                    cost[t],
                    status[t],
                    iterations,
                    tolerance,
                )
        if cost[t] > 4.0 * usual or status[t] == STALLED:
            cost[t], status[t] = fit_best(
                tree, ridge[t], target, y[t], w[t], starts, z[t], x, cost[t], status[t], iterations, tolerance
            )
    return z, cost, status
