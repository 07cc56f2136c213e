"""Compiled loops over the frames of a trial, engine 'frames': which starts to try, and which solution to keep."""

import numpy as np
from numba import njit

from simspine.body.tree import Tree
from simspine.ik.frame_newton import CONVERGED, GIVEN_UP, OUT_OF_ITERATIONS, STALLED, UNSOLVED, fit_frame
from simspine.ik.sparsity import ENTRY, REORDER, Sparsity

__all__ = ["OUT_OF_ITERATIONS", "STALLED", "UNSOLVED", "fit_frames"]

# rad, of any angle in one step. From afar longer steps end beside the minimum, with an arm wound up: of 76 frames of a
# walk, each by itself from the neutral pose, in none with 0.25, 2 with 0.5, 14 with 1.0.
CAREFUL, BOLD = 0.25, 1.0
SHOWN = 1.0  # times the cost: what a jump along one coordinate would add, if it is more than noise there
GAIN = 1e-3  # of its cost that another start must save to be followed to the end
# Times the cost: what is at stake over the whole range of a coordinate that markers hardly show, or over half a turn of
# one without a range.
WEAK, WEAK_TURN = 10.0, 30.0
WOUND = 1.0  # rad from neutral: such a turn, hardly shown, is tried at neutral too
BENT = 0.35  # rad inside its range: where a joint at its bound is tried again


@njit(inline="always")
def off_bounds(value: float, lower: float, upper: float, curvature: float, cost: float) -> float:
    """Where a coordinate with a range begins that the last frame left at `value`, with this curvature of its cost."""
    width = upper - lower
    if np.isfinite(width) and curvature * width * width < WEAK * cost:
        return 0.5 * value + 0.25 * (lower + upper)
    return value


@njit(inline="always")
def unwind(z, curvature, cost: float, neutral, turning, lowest, highest, begin) -> bool:
    """Is an arm wound up? Then begin (free,) is where to try again.

    A straight elbow hardly shows the upper arm's rotation: noise turns it far from neutral, with the elbow at its
    bound, and the frames that follow stay there. So such a rotation begins at neutral, and what is at a bound bent.
    """
    wound = False
    for i in range(z.size):
        begin[i] = z[i]
        lower, upper = lowest[i], highest[i]
        if np.isfinite(upper - lower):
            if turning[i]:
                begin[i] = min(max(z[i], lower + BENT), upper - BENT)
        elif turning[i] and abs(z[i] - neutral[i]) > WOUND and curvature[i] * np.pi**2 < WEAK_TURN * cost:
            begin[i] = neutral[i]
            wound = True
    return wound


@njit(inline="always")
def apart(z, other, sharp, other_sharp, cost: float, jump: float) -> bool:
    """Two neighbouring frames differ by more than `jump` in a coordinate, and by more than noise explains."""
    found = False
    for i in range(z.size):
        gap = abs(z[i] - other[i])
        found = found or (gap > jump and gap * gap * max(sharp[i], other_sharp[i]) > SHOWN * cost)
    return found


@njit(inline="always")
def doubtful(t: int, anew: bool, z, sharp, cost, status, usual: float, jump: float, first: bool) -> bool:
    """On the way back: should frame t be tried anew from all starts, or else from its successor's solution?"""
    if anew:
        return cost[t] > 4.0 * usual or status[t] == STALLED
    if t + 1 == cost.size or status[t + 1] == UNSOLVED:
        return False
    if first or status[t] != CONVERGED or cost[t] > 1.5 * cost[t + 1]:
        return True
    return apart(z[t], z[t + 1], sharp[t], sharp[t + 1], cost[t], jump)


@njit(**ENTRY, fastmath=REORDER)
def fit_frames(
    tree: Tree, pattern: Sparsity, ridge, target, hold: float, y, w, starts, iterations: int, tolerance: float,
    jump: float,
):  # fmt: skip
    """Fit frames one after another, each from the one before, then look back where that may have gone wrong.

    ridge (frames, free), target (free,): coordinate tasks. hold: weight that ties every coordinate to where the frame's
    fit began; 0 for OpenSim's objective, more for a calm start of a trajectory. y (frames, markers, 3); w (frames,
    markers); starts (starts, free): all are tried on the first frame and on frames that stay much worse than the
    trial's median. Returns z (frames, free), cost, status (frames,). A frame with all w = 0 is NaN, UNSOLVED.

    A coordinate that markers hardly show begins half way back to the middle of its range: a forearm or a toe that noise
    has taken to a bound would stay there for good, beside a lower minimum inside. On the way back a frame is tried from
    its successor's solution where the two differ by more than `jump` in any coordinate, by more than noise explains,
    where its cost is clearly higher, or where it did not converge. The best solution stays.

    Both ways are one loop with one place that calls the frame's solver, and helpers do without the tree: every copy of
    either takes a second to compile.
    """
    frames = y.shape[0]
    n = starts.shape[1]
    z = np.full((frames, n), np.nan)
    sharp = np.zeros((frames, n))  # the cost's curvature along each coordinate
    cost = np.full(frames, np.nan)
    status = np.full(frames, UNSOLVED)
    current = starts[0].copy()
    before = np.empty(n)
    pull = np.empty(n)
    aim = np.empty(n)
    trial = np.empty(n)
    curvature = np.empty(n)
    tries = np.empty(starts.shape)
    usual = 0.0  # cost, about the median
    begun, first, last = False, 0, 0
    for step in range(frames if hold > 0.0 else 2 * frames):
        back = step >= frames
        t = 2 * frames - 1 - step if back else step
        if not seen(w[t]):
            continue
        for i in range(n):
            before[i] = z[t, i] if back else current[i]
            current[i] = before[i]
            pull[i] = ridge[t, i] + hold
            aim[i] = (ridge[t, i] * target[i] + hold * before[i]) / pull[i] if pull[i] > 0.0 else 0.0
        for attempt in range(2):
            if back:
                anew = attempt == 1
                if not doubtful(t, anew, z, sharp, cost, status, usual, jump, t == first):
                    continue
                for k in range(starts.shape[0]):
                    for i in range(n):
                        tries[k, i] = starts[k, i] if anew else z[t + 1, i]
            else:
                if attempt == 1 and (hold > 0.0 or not begun):
                    break
                # Stuck beside the minimum, the frames that follow would be too: limbs begin anew.
                stuck = attempt == 1 and cost[t] > 2.0 * usual
                anew = stuck or not begun
                for k in range(starts.shape[0]):
                    for i in range(n):
                        shared = begun and (attempt == 0 or starts[k, i] == starts[-1, i])
                        tries[k, i] = current[i] if shared else starts[k, i]
                if begun and attempt == 0 and hold == 0.0:
                    for i in range(n):
                        tries[0, i] = off_bounds(current[i], tree.lower[i], tree.upper[i], sharp[last, i], cost[last])
                elif attempt == 1 and not stuck:
                    lower, upper = tree.lower, tree.upper
                    if not unwind(current, sharp[t], cost[t], starts[0], tree.turning, lower, upper, tries[0]):
                        break
            for k in range(starts.shape[0] if anew else 1):
                effort, longest = (4 * iterations, CAREFUL) if anew else (iterations, BOLD)
                beat = np.inf if np.isnan(cost[t]) else (1.0 - GAIN) * cost[t]
                for i in range(n):
                    trial[i] = tries[k, i]
                new, how = fit_frame(
                    tree, pattern, pull, aim, y[t], w[t], trial, curvature, effort, tolerance, longest, beat
                )
                if how != GIVEN_UP and (np.isnan(cost[t]) or new < cost[t]):
                    cost[t], status[t] = new, how
                    for i in range(n):
                        current[i] = trial[i]
                        sharp[t, i] = curvature[i]
        if not back:
            usual = usual * (1.01 if cost[t] > usual else 0.99) if begun else cost[t]
            first = first if begun else t
            begun, last = True, t
        for i in range(n):
            if tree.periodic[i] and not back:
                current[i] -= 2 * np.pi * np.floor((current[i] - before[i]) / (2 * np.pi) + 0.5)
            z[t, i] = current[i]
    return z, cost, status


@njit(inline="always")
def seen(w) -> bool:
    """Any marker counts."""
    count = 0
    for m in range(w.size):
        count += w[m] > 0.0
    return count > 0
