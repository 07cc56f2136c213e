"""The engine 'frames': OpenSim's objective in each frame, by Levenberg–Marquardt inside the ranges."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.tree import Tree, all_coordinates
from simspine.core.kernels import ENTRY_KERNEL_OPTIONS, INNER_KERNEL_OPTIONS, njit
from simspine.core.types import Markers
from simspine.estimation.marker_kernels import (
    FAST_MATH_FLAGS,
    LOSS_SQUARE,
    ORDER_GAUSS_NEWTON,
    BodyColumns,
    PosedBodies,
    accumulate_sums,
    body_columns,
    evaluate_frame,
    frame_space,
    marker_cost,
    propagate_hessian,
)
from simspine.estimation.result import Result, Solver, canonical_branch, first_pose, result_of, root_joint

# Compiled Levenberg–Marquardt for OpenSim's objective, frame by frame: Σ w |x(z) − y|² + Σ ridge (z − target)².
# Coordinates at a bound whose slope points outwards do not take part in a step (projected Newton, Bertsekas
# 1982). One that a step would take beyond a bound stops there, and the step is computed again for the others.


STATUS_CONVERGED, STATUS_OUT_OF_ITERATIONS, STATUS_UNSOLVED = 0, 1, 2
# Damping of each coordinate at the beginning and at the least, in m² per rad² (or m²) and unit of weight: a turn of
# 1 rad is damped like a shift of all markers by 1 cm, and by 0.3 mm.
INITIAL_DAMPING, MIN_DAMPING = 1e-4, 1e-7
MAX_ITERATIONS = 100  # of a frame: a few suffice
NEGLIGIBLE_GAIN_M2 = 1e-16  # m² per unit of weight: what is left to gain from markers without errors
# rad or m: on the way back, a frame is fitted again only from a start that far from its first one.
MAX_FRAME_JUMP = 0.5


class Frames(NamedTuple):
    """The problems of a trial, or of one frame without the first axis."""

    y: np.ndarray  # (frames, markers, 3) m
    w: np.ndarray  # (frames, markers), 0 = missing
    ridge: np.ndarray  # (frames, free) weights of coordinate tasks
    target: np.ndarray  # (frames, free)


@njit(**INNER_KERNEL_OPTIONS)
def frame_cost(tree: Tree, frame: Frames, z, at: PosedBodies) -> float:
    """The objective at z (free,); sets `at`."""
    evaluate_frame(tree, z, at)
    cost = marker_cost(at.x, frame.y, frame.w, np.int64(LOSS_SQUARE), frame.w)  # the last is not used
    for i in range(z.size):
        cost += frame.ridge[i] * (z[i] - frame.target[i]) ** 2
    return cost


@njit(**INNER_KERNEL_OPTIONS, fastmath=FAST_MATH_FLAGS)
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


@njit(**INNER_KERNEL_OPTIONS, fastmath=FAST_MATH_FLAGS)
def step_inside(tree: Tree, z, g, H, trial) -> float:
    """Set trial (free,) to where a step from z leads inside the bounds. Returns the predicted decrease of the cost.

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
    predicted = 0.0
    for i in range(n):
        predicted -= g[i] * (trial[i] - z[i])
    return predicted


@njit(inline="always")
def fit_frame(tree: Tree, columns: BodyColumns, frame: Frames, z, iterations: int, tolerance: float):
    """Fit one frame, from and into z (free,). Returns cost and status.

    Steps are Newton's where its Hessian is positive, as it is around a minimum, else Gauss–Newton's. Converged when a
    Newton step's predicted decrease of the cost is less than `tolerance` of it.
    """
    n = z.size
    at, sums = frame_space(tree, columns)
    g, H, C, damped, trial = np.empty(n), np.empty((n, n)), np.empty((n, n)), np.empty((n, n)), np.empty(n)
    for i in range(n):
        z[i] = min(max(z[i], tree.lower[i]), tree.upper[i])
    cost, weight = frame_cost(tree, frame, z, at), frame.w.sum()
    damping, newton, moved = INITIAL_DAMPING, True, True
    for _ in range(iterations):
        if moved:
            order = np.int64(ORDER_GAUSS_NEWTON)
            accumulate_sums(tree, at, frame.y, frame.w, np.int64(LOSS_SQUARE), frame.w, order, sums)
            propagate_hessian(tree, columns, at, sums, g, H, C)
            for i in range(n):
                g[i] += frame.ridge[i] * (z[i] - frame.target[i])
        for i in range(n):
            for j in range(i + 1):
                damped[i, j] = H[i, j] + C[i, j] if newton else H[i, j]
            damped[i, i] += frame.ridge[i] + damping * weight
        predicted = step_inside(tree, z, g, damped, trial)
        moved = False
        if predicted < 0.0:
            damping = damping if newton else 10.0 * damping
            newton = False
            continue
        new = frame_cost(tree, frame, trial, at)
        done = newton and damping <= INITIAL_DAMPING and predicted <= tolerance * cost + NEGLIGIBLE_GAIN_M2 * weight
        moved = new < cost
        if moved:
            cost, newton = new, True
            for i in range(n):
                z[i] = trial[i]
        if done:
            return cost, STATUS_CONVERGED
        damping = max(0.1 * damping, MIN_DAMPING) if moved else 10.0 * damping
    return cost, STATUS_OUT_OF_ITERATIONS


@njit(**ENTRY_KERNEL_OPTIONS)
def fit_frames(tree: Tree, columns: BodyColumns, frames: Frames, start, begin, iterations: int, tolerance: float):
    """Fit frames one after another, forwards and then backwards; in each the lower solution stays.

    Returns z (frames, free), cost and status (frames,); NaN and UNSOLVED where all weights are zero. start (free,): of
    the first frame. Any other begins where its neighbour ended, but at `begin` (free,) where that is a number.
    """
    count, n = frames.y.shape[0], start.size
    z = np.full((count, n), np.nan)
    cost = np.full(count, np.inf)
    status = np.full(count, STATUS_UNSOLVED)
    begun = np.full((count, n), np.inf)
    before, trial = start.copy(), np.empty(n)
    first = True
    for step in range(2 * count):
        t = step if step < count else 2 * count - 1 - step
        if not np.any(frames.w[t]):
            continue
        jump = 0.0
        for i in range(n):
            trial[i] = before[i] if first or np.isnan(begin[i]) else begin[i]
            jump = max(jump, abs(trial[i] - begun[t, i]))
            begun[t, i] = trial[i]
        if jump > MAX_FRAME_JUMP:
            frame = Frames(frames.y[t], frames.w[t], frames.ridge[t], frames.target[t])
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


REASON_OF_STATUS = {STATUS_OUT_OF_ITERATIONS: "out of iterations"}


def solve_frames(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    coordinate_tasks: Mapping[str, tuple[float, float]] | None = None,
    tolerance: float = 1e-5,
    min_markers: int = 3,
) -> Result:
    """Coordinates that minimise Σ w d² (and OpenSim's coordinate tasks) in each frame.

    markers: y_up, names all in `body`. weights: (frames, markers). coordinate_tasks: {coordinate: (target, weight)}
    pull with weight × Σ weights of the markers present, as OpenSim's do. tolerance: relative decrease of the cost that
    the last step predicted. Frames with fewer than `min_markers` usable markers are NaN.
    """
    tree, y, w, usable = usable_observations(body, markers, weights, min_markers)
    frames = Frames(y, w, *coordinate_task_terms(body, coordinate_tasks, w))
    start, begin = first_pose(body, markers, weights), range_middles(body)
    z, _, status = fit_frames(tree, body_columns(tree), frames, start, begin, MAX_ITERATIONS, tolerance)
    values = np.full((markers.frames, len(body.coordinates)), np.nan)
    solved = status != STATUS_UNSOLVED
    values[solved] = all_coordinates(tree, canonical_branch(body, z)[solved])[0]
    few = f"fewer than {min_markers} markers present"
    reasons = [REASON_OF_STATUS.get(int(s), "") if ok else few for s, ok in zip(status, usable, strict=True)]
    return result_of(body, markers, values, weights=weights, reasons=reasons, tasks=coordinate_tasks or {})


def range_middles(body: Body) -> np.ndarray:
    """(free,) middles of the joints' ranges; NaN for the root, and for ranges of a whole turn.

    Each frame begins there: a coordinate that has come to a bound would stay, although a lower minimum lies inside.
    """
    tree = body.tree
    with np.errstate(invalid="ignore"):
        middle = np.where(tree.upper - tree.lower < 2 * np.pi, (tree.lower + tree.upper) / 2, np.nan)
    root = root_joint(tree)
    if root is not None:
        columns = tree.column[tree.argument[root]]
        middle[columns[columns >= 0]] = np.nan  # −1: a locked coordinate
    return middle


def usable_observations(body: Body, markers: Markers, weights: np.ndarray, min_markers: int = Solver.min_markers):
    """The tree restricted to the markers given, their positions and weights (0 = missing), and the usable frames."""
    index = [body.marker_index(name) for name in markers.names]
    tree: Tree = body.tree._replace(
        marker_body=body.tree.marker_body[index], marker_offset=body.tree.marker_offset[index]
    )
    w = np.where(markers.present, weights, 0.0)
    usable = (w > 0).sum(1) >= min_markers
    w[~usable] = 0.0
    return tree, np.nan_to_num(markers.xyz), w, usable


def coordinate_task_terms(body: Body, coordinate_tasks, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ridge weights and targets (frames, free) of coordinate tasks."""
    free = body.tree.free.tolist()
    ridge, target = np.zeros((len(w), len(free))), np.zeros((len(w), len(free)))
    for name, (aim, weight) in (coordinate_tasks or {}).items():
        i = body.coordinates.index(name)
        if i in free:
            ridge[:, free.index(i)] = weight * w.sum(1)
            target[:, free.index(i)] = aim
    return ridge, target
