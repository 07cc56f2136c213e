"""Compiled Levenberg–Marquardt for OpenSim's objective, frame by frame: Σ w |x(z) − y|² + Σ ridge (z − target)².

Coordinates at a bound whose slope points outwards do not take part in a step (projected Newton, Bertsekas 1982). One
that a step would take beyond a bound stops there, and the step is computed again for the others.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from simspine.body.tree import Tree
from simspine.ik.body_columns import ENTRY, INNER, REORDER, BodyColumns
from simspine.ik.marker_kernels import SQUARE, Posed, evaluate_frame, frame_space, gather, marker_cost, spread

CONVERGED, OUT_OF_ITERATIONS, UNSOLVED = 0, 1, 2
# Damping of each coordinate at the beginning and at the least, in m² per rad² (or m²) and unit of weight: a turn of
# 1 rad is damped like a shift of all markers by 1 cm, and by 0.3 mm.
DAMPING, LEAST = 1e-4, 1e-7
NOTHING = 1e-16  # m² per unit of weight: what is left to gain from markers without errors
JUMP = 0.5  # rad or m: backwards, a frame is fitted again only if it begins that far from where it began forwards


class Frames(NamedTuple):
    """The problems of a trial, or of one frame without the first axis."""

    y: np.ndarray  # (frames, markers, 3) m
    w: np.ndarray  # (frames, markers), 0 = missing
    ridge: np.ndarray  # (frames, free) weights of coordinate tasks
    target: np.ndarray  # (frames, free)


@njit(**INNER)
def frame_cost(tree: Tree, frame: Frames, z, at: Posed) -> float:
    """The objective at z (free,); sets `at`."""
    evaluate_frame(tree, z, at)
    cost = marker_cost(at.x, frame.y, frame.w, None, np.int64(SQUARE), frame.w)  # the last is not looked at
    for i in range(z.size):
        cost += frame.ridge[i] * (z[i] - frame.target[i]) ** 2
    return cost


@njit(**INNER, fastmath=REORDER)
def solve_positive(A: np.ndarray, b: np.ndarray) -> bool:
    """x of A x = b in place, A symmetric (lower triangle, overwritten); False if it is not positive definite.

    A = LᵀL, from the last row to the first: where parents come before children, the zeros between limbs stay zeros
    (Featherstone 2005, "Efficient factorization of the joint-space inertia matrix for branched kinematic trees").
    """
    n = b.size
    for k in range(n - 1, -1, -1):
        if not A[k, k] > 0.0:
            return False
        A[k, k] = 1.0 / np.sqrt(A[k, k])
        b[k] *= A[k, k]
        for i in range(k):
            A[k, i] *= A[k, k]
        for i in range(k):
            if A[k, i] != 0.0:
                b[i] -= A[k, i] * b[k]
                for j in range(i + 1):
                    A[i, j] -= A[k, i] * A[k, j]
    for k in range(n):
        for i in range(k):
            b[k] -= A[k, i] * b[i]
        b[k] *= A[k, k]
    return True


@njit(**INNER, fastmath=REORDER)
def step_inside(tree: Tree, z, g, H, trial) -> float:
    """Set trial (free,) to where a step from z leads inside the bounds. Returns what it promises to gain.

    g: (free,) half the gradient. H: (free, free) half the damped Hessian, lower triangle; −1 if it is not positive.
    """
    n = z.size
    held = np.empty(n, np.bool_)
    for i in range(n):
        trial[i] = z[i]
        held[i] = (z[i] <= tree.lower[i] and g[i] > 0.0) or (z[i] >= tree.upper[i] and g[i] < 0.0)
    stopped = True
    while stopped:
        A, step = H.copy(), g.copy()
        for k in range(n):
            if held[k]:
                for i in range(n):
                    row, column = max(i, k), min(i, k)
                    step[i] += A[row, column] * (trial[k] - z[k])
                    A[row, column] = 0.0
                A[k, k] = 1.0
        for i in range(n):
            step[i] = trial[i] - z[i] if held[i] else -step[i]
        if not solve_positive(A, step):
            return -1.0
        stopped = False
        for i in range(n):
            if not held[i]:
                trial[i] = min(max(z[i] + step[i], tree.lower[i]), tree.upper[i])
                held[i] = trial[i] != z[i] + step[i]
                stopped = stopped or held[i]
    promise = 0.0
    for i in range(n):
        promise -= g[i] * (trial[i] - z[i])
    return promise


@njit(**INNER)
def fit_frame(tree: Tree, columns: BodyColumns, frame: Frames, z, iterations: int, tolerance: float):
    """Fit one frame, from and into z (free,). Returns cost and status.

    Steps are Newton's where its Hessian is positive, as it is around a minimum, else Gauss–Newton's. Converged when a
    Newton step promises to lower the cost by less than `tolerance` of it.
    """
    n = z.size
    at, sums = frame_space(tree, columns)
    g, H, C, damped, trial = np.empty(n), np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty(n)
    for i in range(n):
        z[i] = min(max(z[i], tree.lower[i]), tree.upper[i])
    cost, weight = frame_cost(tree, frame, z, at), frame.w.sum()
    damping, newton, moved = DAMPING, True, True
    for _ in range(iterations):
        if moved:
            gather(tree, at, frame.y, frame.w, None, np.int64(SQUARE), frame.w, False, sums)
            spread(tree, columns, at, sums, g, H, C)
            for i in range(n):
                g[i] += frame.ridge[i] * (z[i] - frame.target[i])
        for i in range(n):
            for j in range(i + 1):
                damped[i, j] = H[i, j] + C[i, j] if newton else H[i, j]
            damped[i, i] += frame.ridge[i] + damping * weight
        promise = step_inside(tree, z, g, damped, trial)
        moved = False
        if promise < 0.0:
            damping = damping if newton else 10.0 * damping
            newton = False
            continue
        new = frame_cost(tree, frame, trial, at)
        done = newton and damping <= DAMPING and promise <= tolerance * cost + NOTHING * weight
        moved = new < cost
        if moved:
            cost, newton = new, True
            for i in range(n):
                z[i] = trial[i]
        if done:
            return cost, CONVERGED
        damping = max(0.1 * damping, LEAST) if moved else 10.0 * damping
    return cost, OUT_OF_ITERATIONS


@njit(**ENTRY)
def fit_frames(
    tree: Tree, columns: BodyColumns, frames: Frames, start, begin, hold: float, iterations: int, tolerance: float
):
    """Fit frames one after another, forwards and then backwards; in each the lower solution stays.

    Returns z (frames, free), cost and status (frames,); NaN and UNSOLVED where all weights are zero. start (free,): of
    the first frame. Any other begins where its neighbour ended, but at `begin` (free,) where that is a number. hold:
    weight that ties every coordinate to the frame before, forwards only, for a calm path; 0 for OpenSim's objective.
    """
    count, n = frames.y.shape[0], start.size
    z = np.full((count, n), np.nan)
    cost = np.full(count, np.inf)
    status = np.full(count, UNSOLVED)
    begun = np.full((count, n), np.inf)
    before, trial, ridge, target = start.copy(), np.empty(n), np.empty(n), np.empty(n)
    first = True
    for step in range(count if hold > 0.0 else 2 * count):
        t = step if step < count else 2 * count - 1 - step
        if frames.w[t].sum() == 0.0:
            continue
        jump = 0.0
        for i in range(n):
            trial[i] = before[i] if first or np.isnan(begin[i]) else begin[i]
            jump = max(jump, abs(trial[i] - begun[t, i]))
            begun[t, i] = trial[i]
            ridge[i] = frames.ridge[t, i] + hold
            drawn = frames.ridge[t, i] * frames.target[t, i] + hold * before[i]
            target[i] = drawn / ridge[i] if ridge[i] > 0.0 else 0.0
        if jump > JUMP:
            frame = Frames(frames.y[t], frames.w[t], ridge, target)
            new, how = fit_frame(tree, columns, frame, trial, iterations, tolerance)
            if new < cost[t]:
                cost[t], status[t] = new, how
                for i in range(n):
                    turns = np.floor((trial[i] - before[i]) / (2.0 * np.pi) + 0.5) if tree.periodic[i] else 0.0
                    z[t, i] = trial[i] - 2.0 * np.pi * turns
        for i in range(n):
            before[i] = z[t, i]
        first = False
    return z, cost, status
