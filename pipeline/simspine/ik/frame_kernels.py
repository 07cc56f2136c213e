"""Compiled Levenberg–Marquardt for OpenSim's objective, frame by frame: Σ w |x(z) − y|² + Σ ridge (z − target)².

Coordinates at a bound whose slope points outwards do not take part in a step (projected Newton, Bertsekas 1982). One
that a step would take beyond a bound stops there, and the step is computed again for the others.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from simspine.body.tree import Tree
from simspine.ik.body_columns import ENTRY, INNER, REORDER, BodyColumns
from simspine.ik.marker_kernels import (
    SQUARE,
    Posed,
    evaluate_frame,
    gather,
    marker_cost,
    posed_space,
    spread,
    sum_space,
)

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
    cost = marker_cost(at.x, frame.y, frame.w, None, np.int64(SQUARE), 0.0)
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
def step_inside(tree: Tree, z, g, H):
    """Where a step from z (free,) leads inside the bounds, and what it promises to gain; −1 if H is not positive.

    g: (free,) half the gradient. H: (free, free) half the damped Hessian, lower triangle.
    """
    held = ((z <= tree.lower) & (g > 0.0)) | ((z >= tree.upper) & (g < 0.0))
    trial = z.copy()
    stopped = True
    while stopped:
        A, step = H.copy(), -g
        for k in np.flatnonzero(held):
            for i in range(z.size):
                row, column = max(i, k), min(i, k)
                step[i] -= A[row, column] * (trial[k] - z[k])
                A[row, column] = 0.0
            A[k, k] = 1.0
        step = np.where(held, trial - z, step)
        if not solve_positive(A, step):
            return trial, -1.0
        stopped = False
        for i in range(z.size):
            if not held[i]:
                trial[i] = min(max(z[i] + step[i], tree.lower[i]), tree.upper[i])
                held[i] = trial[i] != z[i] + step[i]
                stopped = stopped or held[i]
    return trial, -np.sum(g * (trial - z))


@njit(**INNER)
def fit_frame(tree: Tree, columns: BodyColumns, frame: Frames, z, iterations: int, tolerance: float):
    """Fit one frame from z (free,). Returns z, cost and status.

    Steps are Newton's where its Hessian is positive, as it is around a minimum, else Gauss–Newton's. Converged when a
    Newton step promises to lower the cost by less than `tolerance` of it.
    """
    n = z.size
    at, sums = posed_space(tree), sum_space(tree.bodies, columns.column.size)
    g, H, C = np.empty(n), np.empty((n, n)), np.empty((n, n))
    z = np.minimum(np.maximum(z, tree.lower), tree.upper)
    cost = frame_cost(tree, frame, z, at)
    damping, newton, moved = DAMPING, True, True
    for _ in range(iterations):
        if moved:
            gather(tree, at.x, frame.y, frame.w, None, np.int64(SQUARE), 0.0, sums)
            spread(tree, columns, at, sums, g, H, C)
            g += frame.ridge * (z - frame.target)
        damped = H + C if newton else H.copy()
        for i in range(n):
            damped[i, i] += frame.ridge[i] + damping * frame.w.sum()
        trial, promise = step_inside(tree, z, g, damped)
        moved = False
        if promise < 0.0:
            damping = damping if newton else 10.0 * damping
            newton = False
            continue
        new = frame_cost(tree, frame, trial, at)
        done = newton and damping <= DAMPING and promise <= tolerance * cost + NOTHING * frame.w.sum()
        moved = new < cost
        if moved:
            z, cost, newton = trial, new, True
        if done:
            return z, cost, CONVERGED
        damping = max(0.1 * damping, LEAST) if moved else 10.0 * damping
    return z, cost, OUT_OF_ITERATIONS


@njit(**ENTRY)
def fit_frames(
    tree: Tree, columns: BodyColumns, frames: Frames, start, begin, hold: float, iterations: int, tolerance: float
):
    """Fit frames one after another, forwards and then backwards; in each the lower solution stays.

    Returns z (frames, free), cost and status (frames,); NaN and UNSOLVED where all weights are zero. start (free,): of
    the first frame. Any other begins where its neighbour ended, but at `begin` (free,) where that is a number. hold:
    weight that ties every coordinate to the frame before, forwards only, for a calm path; 0 for OpenSim's objective.
    """
    count = frames.y.shape[0]
    z = np.full((count, start.size), np.nan)
    cost = np.full(count, np.inf)
    status = np.full(count, UNSOLVED)
    begun = np.full(z.shape, np.inf)
    before, first = start.copy(), True
    for step in range(count if hold > 0.0 else 2 * count):
        t = step if step < count else 2 * count - 1 - step
        if frames.w[t].sum() == 0.0:
            continue
        here = before if first else np.where(np.isnan(begin), before, begin)
        if np.abs(here - begun[t]).max() > JUMP:
            ridge = frames.ridge[t] + hold
            target = (frames.ridge[t] * frames.target[t] + hold * before) / np.maximum(ridge, 1e-300)
            frame = Frames(frames.y[t], frames.w[t], ridge, target)
            found, new, how = fit_frame(tree, columns, frame, here, iterations, tolerance)
            if new < cost[t]:
                turns = np.floor((found - before) / (2.0 * np.pi) + 0.5)
                z[t] = np.where(tree.periodic, found - 2.0 * np.pi * turns, found)
                cost[t], status[t] = new, how
            begun[t] = here
        before, first = z[t].copy(), False
    return z, cost, status
