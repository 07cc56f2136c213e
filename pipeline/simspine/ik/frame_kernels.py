"""Compiled Levenberg–Marquardt, frame by frame: Σ_m w_m |x_m(q) − y_m|², the objective of OpenSim's tool.

Clamped coordinates stay inside their range by an active set: a coordinate at a bound whose gradient points outwards
does not take part in the step (projected Newton, Bertsekas 1982).
"""

import numpy as np
from numba import njit

from simspine.body.kernels import couple, differentiate, place, pose
from simspine.body.tree import Tree

CONVERGED, STALLED, OUT_OF_ITERATIONS = 0, 1, 2


@njit(cache=True)
def cholesky_solve(H: np.ndarray, b: np.ndarray, n: int) -> bool:
    """Solve H x = b in place for the leading n unknowns; overwrites H's lower triangle. False if not positive."""
    for j in range(n):
        d = H[j, j]
        for k in range(j):
            d -= H[j, k] * H[j, k]
        if not d > 0.0:
            return False
        d = np.sqrt(d)
        H[j, j] = d
        for i in range(j + 1, n):
            s = H[i, j]
            for k in range(j):
                s -= H[i, k] * H[j, k]
            H[i, j] = s / d
    for i in range(n):
        s = b[i]
        for k in range(i):
            s -= H[i, k] * b[k]
        b[i] = s / H[i, i]
    for i in range(n - 1, -1, -1):
        s = b[i]
        for k in range(i + 1, n):
            s -= H[k, i] * b[k]
        b[i] = s / H[i, i]
    return True


@njit(cache=True)
def marker_cost(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> float:
    """Σ w |x − y|² over the markers with w > 0."""
    total = 0.0
    for m in range(w.size):
        if w[m] > 0.0:
            total += w[m] * ((x[m, 0] - y[m, 0]) ** 2 + (x[m, 1] - y[m, 1]) ** 2 + (x[m, 2] - y[m, 2]) ** 2)
    return total


@njit(cache=True)
def normal_equations(first, columns, J, x, y, w, H, g) -> None:
    """Add Σ w JᵀJ to H's lower triangle (free, free), and Σ w Jᵀ (x − y) to g (free,); markers with w = 0 are left out.

    first, columns: the free coordinates that move each marker, ascending (marker m: columns[first[m]:first[m + 1]]).
    """
    for m in range(w.size):
        if w[m] <= 0.0:
            continue
        r0, r1, r2 = x[m, 0] - y[m, 0], x[m, 1] - y[m, 1], x[m, 2] - y[m, 2]
        for a in range(first[m], first[m + 1]):
            i = columns[a]
            j0, j1, j2 = w[m] * J[m, i, 0], w[m] * J[m, i, 1], w[m] * J[m, i, 2]
            g[i] += j0 * r0 + j1 * r1 + j2 * r2
            for b in range(first[m], a + 1):
                k = columns[b]
                H[i, k] += j0 * J[m, k, 0] + j1 * J[m, k, 1] + j2 * J[m, k, 2]


@njit(cache=True, nogil=True)
def fit_frame(tree: Tree, first, columns, ridge, target, y, w, z, x, iterations: int, tolerance: float):
    """Fit one frame, from and into z (free,); x (markers, 3) receives the markers. Returns cost, status, steps.

    ridge (free,), target (free,): Σ ridge (z − target)², OpenSim's coordinate tasks; it is part of the cost.
    Converged when a step promises to lower the cost by less than `tolerance` times the cost (or 1e-18 m²).
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
    J = np.empty((w.size, n, 3))
    H = np.empty((n, n))
    A = np.empty((n, n))
    g = np.empty(n)
    step = np.empty(n)
    active = np.empty(n, np.int64)
    trial = np.empty(n)
    trial_x = np.empty_like(x)

    for i in range(n):
        z[i] = min(max(z[i], tree.lower[i]), tree.upper[i])
    q[tree.free] = z
    couple(tree, q, factor)
    pose(tree, q, R, p, direction, centre, rate)
    place(tree, R, p, x)
    cost = marker_cost(x, y, w)
    for i in range(n):
        cost += ridge[i] * (z[i] - target[i]) ** 2
    damping = 1e-6
    status = OUT_OF_ITERATIONS
    steps = 0
    while steps < iterations and status == OUT_OF_ITERATIONS:
        steps += 1
        differentiate(tree, x, direction, centre, rate, factor, J)
        H[:] = 0.0
        g[:] = 0.0
        normal_equations(first, columns, J, x, y, w, H, g)
        count = 0
        for i in range(n):
            H[i, i] += ridge[i]
            g[i] += ridge[i] * (z[i] - target[i])
            held = (z[i] <= tree.lower[i] and g[i] > 0.0) or (z[i] >= tree.upper[i] and g[i] < 0.0)
            if not held:
                active[count] = i
                count += 1
        improved = False
        for _ in range(12):
            for a in range(count):
                i = active[a]
                step[a] = -g[i]
                for b in range(a + 1):
                    A[a, b] = H[i, active[b]]
                A[a, a] += damping * (H[i, i] + 1e-6)
            if not cholesky_solve(A, step, count):
                damping = max(10.0 * damping, 1e-9)
                continue
            trial[:] = z
            promise = 0.0
            for a in range(count):
                i = active[a]
                trial[i] = min(max(z[i] + step[a], tree.lower[i]), tree.upper[i])
                promise -= g[i] * step[a]
            if promise <= tolerance * cost + 1e-18:
                status = CONVERGED
                break
            q[tree.free] = trial
            couple(tree, q, factor)
            pose(tree, q, R, p, direction, centre, rate)
            place(tree, R, p, trial_x)
            new = marker_cost(trial_x, y, w)
            for i in range(n):
                new += ridge[i] * (trial[i] - target[i]) ** 2
            if new < cost:
                cost = new
                z[:] = trial
                x[:] = trial_x
                damping = max(0.1 * damping, 1e-12)
                improved = True
                break
            damping = max(10.0 * damping, 1e-9)
        if not improved and status == OUT_OF_ITERATIONS:
            status = STALLED
    return cost, status, steps


@njit(cache=True, nogil=True)
def fit_frames(tree: Tree, first, columns, ridge, target, y, w, start, iterations: int, tolerance: float, jump: float):
    """Fit frames one after another, each from the one before, then look back where that may have gone wrong.

    ridge (frames, free); y (frames, markers, 3); w (frames, markers); start (free,). On the way back a frame is tried
    from its successor's solution where the two differ by more than `jump` in any coordinate, where its cost is clearly
    higher, or where it did not converge; and from `start` where it is still much worse than the trial's median. The
    better solution stays. Returns z (frames, free), cost, status (frames,). A frame with all w = 0 is NaN.
    """
    frames = y.shape[0]
    z = np.empty((frames, start.size))
    x = np.empty((y.shape[1], 3))
    cost = np.full(frames, np.nan)
    status = np.full(frames, OUT_OF_ITERATIONS)
    current = start.copy()
    for t in range(frames):
        if not np.any(w[t] > 0.0):
            z[t] = np.nan
            continue
        cost[t], status[t], _ = fit_frame(
            tree, first, columns, ridge[t], target, y[t], w[t], current, x, iterations, tolerance
        )
        z[t] = current
    usual = np.nanmedian(cost)
    for t in range(frames - 1, -1, -1):
        if np.isnan(cost[t]):
            continue
        after = t + 1 if t + 1 < frames and not np.isnan(cost[t + 1]) else -1
        for attempt in range(2):
            if attempt == 0:
                if after < 0:
                    continue
                suspicious = status[t] != CONVERGED or cost[t] > 1.2 * cost[after]
                for i in range(start.size):
                    suspicious = suspicious or abs(z[t, i] - z[after, i]) > jump
                if not suspicious:
                    continue
                current[:] = z[after]
            else:
                if cost[t] < 4.0 * usual and status[t] != STALLED:
                    continue
                current[:] = start
            new, how, _ = fit_frame(
                tree, first, columns, ridge[t], target, y[t], w[t], current, x, iterations, tolerance
            )
            if new < cost[t]:
                cost[t] = new
                status[t] = how
                z[t] = current
    return z, cost, status
