"""Compiled value, gradient and Hessian of the marker term of one frame.

A marker with weight w acts like a point mass: with the twist ξ of a joint axis taken at the ground's origin, the marker
x moves by X ξ, X = [−[x]×, I]. So the Gauss–Newton Hessian between two axes, one of which carries the other, is
ξᵢᵀ (Σ w Xᵀ X) ξⱼ, summed over the markers that the distal one carries: the composite-rigid-body algorithm of dynamics
(Featherstone 2008, ch. 6) with markers for masses, whose cost does not depend on the number of markers. The
second-order part of the Hessian, residual · ∂²x/∂qᵢ∂qⱼ, falls out of the same sums: see `propagate_hessian`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from simspine.anatomy.tree import (
    ENTRY_KERNEL_OPTIONS,
    INNER_KERNEL_OPTIONS,
    SLOT_SLIDE_IN_GROUND,
    SLOT_TURN,
    Tree,
    apply_couplers_to_frame,
    bodies_pose,
    marker_slide,
    place_markers,
)

# Lets sums run in vector registers; NaN and infinity keep their meaning.
FAST_MATH_FLAGS = {"reassoc", "contract", "arcp"}


class BodyColumns(NamedTuple):
    """An entry is a pair of a body and one of the free coordinates (columns) that move it."""

    first: np.ndarray  # (bodies + 1,) entries of a body
    column: np.ndarray  # (entries,)
    parent: np.ndarray  # (entries,) the same column's entry of the parent body, −1 where it has none
    slot_entry: np.ndarray  # (slots,) entry of the body that the slot moves, −1 where no free column drives the slot
    slot_first: np.ndarray  # (joints + 1,) slots of a joint


def body_columns(tree: Tree) -> BodyColumns:
    columns = [tree.columns_of(body).tolist() for body in range(tree.bodies)]
    first = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    index = [{c: int(first[b]) + k for k, c in enumerate(columns[b])} for b in range(tree.bodies)]
    parent = np.full(first[-1], -1)
    for a, b in zip(tree.parent.tolist(), tree.child.tolist(), strict=True):
        for c, e in index[b].items():
            parent[e] = index[a].get(c, -1)
    driven = tree.column[tree.slot_coordinate]
    moved = tree.child[tree.slot_joint]
    slot_entry = [index[b].get(c, -1) for b, c in zip(moved.tolist(), driven.tolist(), strict=True)]
    return BodyColumns(
        first=first,
        column=np.array([c for row in columns for c in row], int),
        parent=parent,
        slot_entry=np.array(slot_entry, int),
        slot_first=np.searchsorted(tree.slot_joint, np.arange(tree.parent.size + 1)),
    )


LOSS_HUBER, LOSS_SQUARE = 1, 0
ORDER_VALUE, ORDER_GRADIENT, ORDER_GAUSS_NEWTON, ORDER_NEWTON = 0, 1, 2, 3  # what is asked of `frames_terms`


class PosedBodies(NamedTuple):
    """The body in one pose."""

    q: np.ndarray  # (coordinates,) all of them
    factor: np.ndarray  # (coordinates,) derivative of each by the free coordinate that drives it
    R: np.ndarray  # (bodies, 3, 3) poses of the bodies in the ground
    p: np.ndarray  # (bodies, 3)
    direction: np.ndarray  # (slots, 3) axes in the ground
    centre: np.ndarray  # (slots, 3)
    rate: np.ndarray  # (slots,) of a slot's value by its own coordinate
    x: np.ndarray  # (markers, 3)


class Sums(NamedTuple):
    """Sums over the markers that each body carries, directly or further out."""

    K: np.ndarray  # (bodies, 6, 6) Σ w XᵀX
    F: np.ndarray  # (bodies, 6) Σ w Xᵀr
    combinations: np.ndarray  # (bodies, 3, 3) Σ w x rᵀ
    T: np.ndarray  # (entries, 6) scratch of `propagate_hessian`


class MarkerData(NamedTuple):
    """What a trial's markers say. w = 0: missing."""

    y: np.ndarray  # (frames, markers, 3) m
    w: np.ndarray  # (frames, markers)
    loss: int
    scale: np.ndarray  # (frames, markers) m, distance from which on the loss is linear


@njit(cache=True, inline="always")
def robust_loss(d2: float, loss: int, scale: float):
    """ρ and dρ/d(d²) for a squared distance; ρ = d² near 0 for each loss."""
    if loss == LOSS_HUBER and d2 > scale * scale:
        d = np.sqrt(d2)
        return 2.0 * scale * d - scale * scale, scale / d
    return d2, 1.0


@njit(**INNER_KERNEL_OPTIONS)
def marker_cost(x, y, w, loss: int, scale) -> float:
    """Σ w ρ(|x − y|²) over the markers with w > 0. scale: (markers,), which 'square' does not look at."""
    total = 0.0
    for m in range(w.size):
        if w[m] > 0.0:
            a, b, c = x[m, 0] - y[m, 0], x[m, 1] - y[m, 1], x[m, 2] - y[m, 2]
            d2 = a * a + b * b + c * c
            total += w[m] * robust_loss(d2, loss, scale[m])[0]
    return total


@njit(cache=True, inline="always")
def _moment_component(a: np.ndarray, x0: float, x1: float, x2: float, i: int) -> float:
    """Component i of x × a."""
    if i == 0:
        return x1 * a[2] - x2 * a[1]
    if i == 1:
        return x2 * a[0] - x0 * a[2]
    return x0 * a[1] - x1 * a[0]


@njit(inline="always")
def _add_mass(K: np.ndarray, weighted: np.ndarray, x0: float, x1: float, x2: float) -> None:
    """Add Xᵀ W X (lower triangle) to K (6, 6), of a marker at x with a weight W (3, 3)."""
    column = np.empty(3)
    for i in range(3):
        for k in range(3):
            K[3 + i, 3 + k] += weighted[i, k]
    for k in range(3):  # lower left block: W X_ω = (−W [x]×), row k of it from x × (row k of W)
        for i in range(3):
            K[3 + k, i] += _moment_component(weighted[k], x0, x1, x2, i)
    for k in range(3):  # upper left block: −[x]×ᵀ … from x × each column of the block above
        for i in range(3):
            column[i] = _moment_component(weighted[i], x0, x1, x2, k)
        for i in range(k, 3):
            K[i, k] += _moment_component(column, x0, x1, x2, i)


@njit(**INNER_KERNEL_OPTIONS)
def accumulate_sums(tree: Tree, at: PosedBodies, y, w, loss: int, scale, order: int, sums: Sums) -> None:
    """Set F of `sums`, and for a Hessian K and S. What slides in space is no lever of a rotation.

    NEWTON: where the loss is linear, K has no curvature along the residual, ρ' (I − r rᵀ / d²): with ρ'' the
    Hessian's own, so that steps near the minimum are right in the presence of outliers too.
    """
    x = at.x
    K, F, S, _ = sums
    second = order >= ORDER_GAUSS_NEWTON
    F[:] = 0.0
    if second:
        K[:] = 0.0
        S[:] = 0.0
    weighted = np.empty((3, 3))
    force = np.empty(3)
    for m in range(w.size):
        if w[m] <= 0.0:
            continue
        body = tree.marker_body[m]
        r0, r1, r2 = x[m, 0] - y[m, 0], x[m, 1] - y[m, 1], x[m, 2] - y[m, 2]
        s0, s1, s2 = marker_slide(tree, at.centre, body)
        x0, x1, x2 = x[m, 0] - s0, x[m, 1] - s1, x[m, 2] - s2
        d2 = r0 * r0 + r1 * r1 + r2 * r2
        weight = w[m] * robust_loss(d2, loss, scale[m])[1]
        force[0], force[1], force[2] = weight * r0, weight * r1, weight * r2
        for i in range(3):
            F[body, 3 + i] += force[i]
            F[body, i] += _moment_component(force, x0, x1, x2, i)
        if not second:
            continue
        linear = order == ORDER_NEWTON and loss == LOSS_HUBER and d2 > scale[m] * scale[m]
        for i in range(3):
            for k in range(3):
                weighted[i, k] = weight if i == k else 0.0
                if linear:
                    weighted[i, k] -= force[i] * force[k] / (weight * d2)
            S[body, 0, i] += x0 * force[i]
            S[body, 1, i] += x1 * force[i]
            S[body, 2, i] += x2 * force[i]
        _add_mass(K[body], weighted, x0, x1, x2)
    for j in range(tree.parent.size - 1, -1, -1):
        a, b = tree.parent[j], tree.child[j]
        for i in range(6):
            F[a, i] += F[b, i]
            for k in range(i + 1 if second else 0):
                K[a, i, k] += K[b, i, k]
                K[b, k, i] = K[b, i, k]  # this body's sum is complete
        for i in range(3 if second else 0):
            for k in range(3):
                S[a, i, k] += S[b, i, k]


@njit(**INNER_KERNEL_OPTIONS)
def accumulate_gradient(tree: Tree, at: PosedBodies, F, g) -> None:
    """Add to g (free,) half the gradient of Σ w ρ: Σ of twist · F over the axes that a column drives."""
    _, factor, _, _, direction, centre, rate, _ = at
    for s in range(tree.slot_kind.size):
        column = tree.column[tree.slot_coordinate[s]]
        if column < 0:
            continue
        b = tree.child[tree.slot_joint[s]]
        d = rate[s] * factor[tree.slot_coordinate[s]]
        w0, w1, w2 = d * direction[s, 0], d * direction[s, 1], d * direction[s, 2]
        if tree.slot_kind[s] == SLOT_TURN:
            o0, o1, o2 = centre[s, 0], centre[s, 1], centre[s, 2]
            g[column] += w0 * (F[b, 0] - o1 * F[b, 5] + o2 * F[b, 4])
            g[column] += w1 * (F[b, 1] - o2 * F[b, 3] + o0 * F[b, 5])
            g[column] += w2 * (F[b, 2] - o0 * F[b, 4] + o1 * F[b, 3])
        else:
            g[column] += w0 * F[b, 3] + w1 * F[b, 4] + w2 * F[b, 5]


@njit(**INNER_KERNEL_OPTIONS, fastmath=FAST_MATH_FLAGS)
def propagate_hessian(tree: Tree, columns: BodyColumns, at: PosedBodies, sums: Sums, g, H, C) -> None:
    """Set the gradient g (free,), the Gauss–Newton Hessian H and its second-order part C (lower triangles).

    Half the derivative of Σ w ρ, so that H is Σ w JᵀJ. The second-order part between a rotation i and an axis j that it
    carries is Σ f · (wᵢ × ∂x/∂qⱼ), f = w r, which is wᵢ · v with v = (G − tr G) wⱼ, G = S − oⱼ Fᵀ, for a rotation j,
    and v = wⱼ × F for a translation. The curvature of the axes' own functions is left out (zero unless splines).

    sums.T: for each body and column, the sum of the twists of the axes on the way that this column drives. Both parts
    are linear in the carrying axis' twist, so one product per column serves all its axes.
    """
    g[:] = 0.0
    H[:] = 0.0
    C[:] = 0.0
    _, factor, _, _, direction, centre, rate, _ = at
    K, F, S, T = sums
    twist = np.empty(6)
    h = np.empty(6)
    v = np.empty(3)
    for j in range(tree.parent.size):
        b = tree.child[j]
        if K[b, 5, 5] == 0.0:
            continue  # carries no marker
        first, last = columns.first[b], columns.first[b + 1]
        for e in range(first, last):
            before = columns.parent[e]
            for i in range(6):
                T[e, i] = T[before, i] if before >= 0 else 0.0
        for s in range(columns.slot_first[j], columns.slot_first[j + 1]):
            own = columns.slot_entry[s]
            d = rate[s] * factor[tree.slot_coordinate[s]]
            if own < 0 or d == 0.0:
                continue
            w0, w1, w2 = d * direction[s, 0], d * direction[s, 1], d * direction[s, 2]
            if tree.slot_kind[s] == SLOT_TURN:
                o0, o1, o2 = centre[s, 0], centre[s, 1], centre[s, 2]
                twist[0], twist[1], twist[2] = w0, w1, w2
                twist[3], twist[4], twist[5] = o1 * w2 - o2 * w1, o2 * w0 - o0 * w2, o0 * w1 - o1 * w0
                along = w0 * F[b, 3] + w1 * F[b, 4] + w2 * F[b, 5]
                trace = S[b, 0, 0] + S[b, 1, 1] + S[b, 2, 2] - o0 * F[b, 3] - o1 * F[b, 4] - o2 * F[b, 5]
                for i in range(3):
                    v[i] = S[b, i, 0] * w0 + S[b, i, 1] * w1 + S[b, i, 2] * w2
                    v[i] -= centre[s, i] * along + trace * twist[i]
            else:
                twist[0] = twist[1] = twist[2] = 0.0
                twist[3], twist[4], twist[5] = w0, w1, w2
                if tree.slot_kind[s] == SLOT_SLIDE_IN_GROUND:  # no rotation turns it
                    w0 = w1 = w2 = 0.0
                v[0] = w1 * F[b, 5] - w2 * F[b, 4]
                v[1] = w2 * F[b, 3] - w0 * F[b, 5]
                v[2] = w0 * F[b, 4] - w1 * F[b, 3]
            column = columns.column[own]
            for i in range(6):
                h[i] = 0.0
            for k in range(6):
                for i in range(6):
                    h[i] += K[b, k, i] * twist[k]
            for i in range(6):
                g[column] += twist[i] * F[b, i]
                H[column, column] += twist[i] * h[i]
            C[column, column] += twist[0] * v[0] + twist[1] * v[1] + twist[2] * v[2]
            for e in range(first, last):
                bend = T[e, 0] * v[0] + T[e, 1] * v[1] + T[e, 2] * v[2]
                value = T[e, 0] * h[0] + T[e, 1] * h[1] + T[e, 2] * h[2]
                value += T[e, 3] * h[3] + T[e, 4] * h[4] + T[e, 5] * h[5]
                other = columns.column[e]
                twice = 2.0 if other == column else 1.0
                H[max(column, other), min(column, other)] += twice * value
                C[max(column, other), min(column, other)] += twice * bend
            for i in range(6):
                T[own, i] += twist[i]


@njit(inline="always")
def frame_space(tree: Tree, columns: BodyColumns):
    """Room for `evaluate_frame`, and for `accumulate_sums` and `propagate_hessian`."""
    bodies, slots, entries = tree.bodies, tree.slot_kind.size, columns.column.size
    R, p, x = np.empty((bodies, 3, 3)), np.empty((bodies, 3)), np.empty((tree.marker_body.size, 3))
    direction, centre = np.empty((slots, 3)), np.empty((slots, 3))
    at = PosedBodies(
        q=tree.rest.copy(),
        factor=np.empty(tree.rest.size),
        R=R,
        p=p,
        direction=direction,
        centre=centre,
        rate=np.empty(slots),
        x=x,
    )
    K, F, S, T = np.empty((bodies, 6, 6)), np.empty((bodies, 6)), np.empty((bodies, 3, 3)), np.empty((entries, 6))
    return at, Sums(K, F, S, T)


@njit(**INNER_KERNEL_OPTIONS)
def evaluate_frame(tree: Tree, z, at: PosedBodies) -> None:
    """Set everything that depends on the free coordinates z (free,)."""
    q, factor, R, p, direction, centre, rate, x = at
    for i in range(z.size):
        q[tree.free[i]] = z[i]
    apply_couplers_to_frame(tree, q, factor)
    bodies_pose(tree, q, R, p, direction, centre, rate)
    place_markers(tree, R, p, centre, x)


@njit(**ENTRY_KERNEL_OPTIONS)
def frames_terms(tree: Tree, columns: BodyColumns, z, data: MarkerData, order: int, gradient, information):
    """Σ_m w ρ of each frame, (frames,). z (frames, free).

    order GRADIENT: adds half the gradient to gradient (frames, free). GAUSS_NEWTON, NEWTON: sets information (frames,
    free, free) to half that Hessian.
    """
    n = z.shape[1]
    y, w, loss, scale = data
    at, sums = frame_space(tree, columns)
    H = np.empty((n, n))
    C = np.empty((n, n))
    g = np.empty(n)
    cost = np.empty(z.shape[0])
    for t in range(z.shape[0]):
        evaluate_frame(tree, z[t], at)
        cost[t] = marker_cost(at.x, y[t], w[t], loss, scale[t])
        if order == ORDER_VALUE:
            continue
        accumulate_sums(tree, at, y[t], w[t], loss, scale[t], order, sums)
        if order == ORDER_GRADIENT:
            accumulate_gradient(tree, at, sums.F, gradient[t])
            continue
        propagate_hessian(tree, columns, at, sums, g, H, C)
        for i in range(n):
            for j in range(i + 1):
                value = H[i, j] + C[i, j] if order == ORDER_NEWTON else H[i, j]
                information[t, i, j] = value
                information[t, j, i] = value
    return cost
