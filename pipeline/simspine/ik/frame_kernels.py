"""Compiled loops over the frames of a trial, engine 'frames': which starts to try, and which solution to keep."""

import numpy as np
from numba import njit

from simspine.body.tree import Tree
from simspine.ik.frame_newton import CONVERGED, GIVEN_UP, OUT_OF_ITERATIONS, STALLED, UNSOLVED, fit_frame
from simspine.ik.sparsity import INNER, REORDER, Sparsity, sparsity

__all__ = ["OUT_OF_ITERATIONS", "STALLED", "UNSOLVED", "fit_frames"]

# rad, of any angle in one step. From afar longer steps end beside the minimum, with an arm wound up: of 76 frames of a
# walk, each by itself from the neutral pose, in none with 0.25, 2 with 0.5, 14 with 1.0.
CAREFUL, BOLD = 0.25, 1.0
SHOWN = 1.0  # times the cost: what a jump along one coordinate would add, if it is more than noise there
GAIN = 1e-3  # of its cost that another start must save to be followed to the end


@njit(**INNER, fastmath=REORDER)
def fit_best(
    tree: Tree, pattern: Sparsity, ridge, target, y, w, starts, z, x, sharp, cost: float, status: int, iterations: int,
    tolerance: float, longest: float,
):  # fmt: skip
    """Try every start (starts, free) on one frame; z, with `sharp`, keeps the best solution, if better than `cost`."""
    trial = np.empty(z.size)
    curvature = np.empty(z.size)
    for k in range(starts.shape[0]):
        trial[:] = starts[k]
        beat = np.inf if np.isnan(cost) else (1.0 - GAIN) * cost
        new, how, _ = fit_frame(
            tree, pattern, ridge, target, y, w, trial, x, curvature, iterations, tolerance, longest, beat
        )
        if how != GIVEN_UP and (np.isnan(cost) or new < cost):
            cost = new
            status = how
            z[:] = trial
            sharp[:] = curvature
    return cost, status


def fit_frames(tree: Tree, ridge, target, hold: float, y, w, starts, iterations: int, tolerance: float, jump: float):
    """Fit frames one after another, each from the one before, then look back where that may have gone wrong.

    ridge (frames, free), target (free,): coordinate tasks. hold: weight that ties every coordinate to where the frame's
    fit began; 0 for OpenSim's objective, more for a calm start of a trajectory. y (frames, markers, 3); w (frames,
    markers); starts (starts, free): all are tried on the first frame and on frames that stay much worse than the
    trial's median. On the way back a frame is tried from its successor's solution where the two differ by more than
    `jump` in any coordinate, by more than noise explains, where its cost is clearly higher, or where it did
    not converge. The best solution stays. Returns z (frames, free), cost, status (frames,). A frame with all w = 0 is
    NaN, UNSOLVED.
    """
    pattern = sparsity(tree)
    z, sharp, cost, status, usual = fit_forward(tree, pattern, ridge, target, hold, y, w, starts, iterations, tolerance)
    if hold == 0.0:
        look_back(
            tree, pattern, ridge, target, y, w, starts, z, sharp, cost, status, usual, iterations, tolerance, jump
        )
    return z, cost, status


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def fit_forward(
    tree: Tree, pattern: Sparsity, ridge, target, hold: float, y, w, starts, iterations: int, tolerance: float
):
    """The way forward of `fit_frames`. Also returns sharp (frames, free), the cost's curvature along each coordinate,
    and the trial's usual cost, about the median."""
    frames = y.shape[0]
    n = starts.shape[1]
    z = np.full((frames, n), np.nan)
    sharp = np.zeros((frames, n))
    x = np.empty((y.shape[1], 3))
    cost = np.full(frames, np.nan)
    status = np.full(frames, UNSOLVED)
    current = starts[0].copy()
    before = np.empty(n)
    pull = np.empty(n)
    aim = np.empty(n)
    tries = np.empty(starts.shape)
    usual = 0.0
    begun = False
    for t in range(frames):
        if not seen(w[t]):
            continue
        before[:] = current
        for i in range(n):
            pull[i] = ridge[t, i] + hold
            aim[i] = (ridge[t, i] * target[i] + hold * before[i]) / pull[i] if pull[i] > 0.0 else 0.0
        tries[:] = starts
        count, effort, longest = starts.shape[0], 4 * iterations, CAREFUL
        if begun:
            tries[0] = current
            count, effort, longest = 1, iterations, BOLD
        for _ in range(2):
            cost[t], status[t] = fit_best(
                tree, pattern, pull, aim, y[t], w[t], tries[:count], current, x, sharp[t], cost[t], status[t],
                effort, tolerance, longest,
            )  # fmt: skip
            if hold > 0.0 or not begun or cost[t] <= 2.0 * usual:
                break
            # Stuck beside the minimum (an arm wound up), the frames that follow would be too: limbs begin anew.
            count, effort, longest = starts.shape[0], 4 * iterations, CAREFUL
            for k in range(count):
                for i in range(n):
                    tries[k, i] = starts[k, i] if starts[k, i] != starts[-1, i] else current[i]
        usual = usual * (1.01 if cost[t] > usual else 0.99) if begun else cost[t]
        begun = True
        for i in range(n):
            if tree.periodic[i]:
                current[i] -= 2 * np.pi * np.round((current[i] - before[i]) / (2 * np.pi))
        z[t] = current
    return z, sharp, cost, status, usual


@njit(cache=True, nogil=True, fastmath=REORDER, error_model="numpy")
def look_back(
    tree: Tree,
    pattern: Sparsity,
    ridge,
    target,
    y,
    w,
    starts,
    z,
    sharp,
    cost,
    status,
    usual,
    iterations,
    tolerance,
    jump,
) -> None:
    """The way back of `fit_frames`: improves z, sharp, cost and status of single frames."""
    x = np.empty((y.shape[1], 3))
    tries = np.empty(starts.shape)
    for t in range(z.shape[0] - 1, -1, -1):
        if status[t] == UNSOLVED:
            continue
        for way in range(2):
            if way == 0:
                if t + 1 == z.shape[0] or status[t + 1] == UNSOLVED:
                    continue
                doubtful = status[t] != CONVERGED or cost[t] > 1.5 * cost[t + 1]
                for i in range(z.shape[1]):
                    gap = abs(z[t, i] - z[t + 1, i])
                    shown = gap * gap * min(sharp[t, i], sharp[t + 1, i]) > SHOWN * cost[t]
                    doubtful = doubtful or (gap > jump and shown)
                tries[0] = z[t + 1]
                count, effort, longest = 1, iterations, BOLD
            else:
                doubtful = cost[t] > 4.0 * usual or status[t] == STALLED
                tries[:] = starts
                count, effort, longest = starts.shape[0], 4 * iterations, CAREFUL
            if doubtful:
                cost[t], status[t] = fit_best(
                    tree, pattern, ridge[t], target, y[t], w[t], tries[:count], z[t], x, sharp[t], cost[t], status[t],
                    effort, tolerance, longest,
                )  # fmt: skip


@njit(**INNER)
def seen(w) -> bool:
    """Any marker counts."""
    count = 0
    for m in range(w.size):
        count += w[m] > 0.0
    return count > 0
