"""Compiled value, gradient and Hessian of the marker term, frame by frame.

A joint axis has a twist ξ at the ground's origin; it moves a marker at x by X ξ, X = [−[x]×, I]. For two axes, one of
which carries the other, the Gauss–Newton Hessian is ξᵢᵀ (Σ w Xᵀ X) ξⱼ, summed over the markers that the distal axis
carries. A marker with weight w thus acts like a point mass in the composite-rigid-body algorithm of dynamics
(Featherstone 2008, ch. 6): once the sums are made, the cost does not depend on the number of markers. The same sums
give the second-order part of the Hessian, residual · ∂²x/∂qᵢ∂qⱼ: see `propagate_hessian`.
"""

from typing import NamedTuple

import numpy as np

from simspine.anatomy.tree import (
    SLOT_SLIDE_IN_GROUND,
    SLOT_TURN,
    Tree,
    apply_couplers_to_frame,
    bodies_pose,
    marker_slide,
    place_markers,
)
from simspine.core.kernels import ENTRY_KERNEL_OPTIONS, INNER_KERNEL_OPTIONS, njit

# Lets the compiler vectorise sums; NaN and infinity keep their meaning.
FAST_MATH_FLAGS = {"reassoc", "contract", "arcp"}


class BodyColumns(NamedTuple):
    """Entries: pairs of a body and a free coordinate (column) that moves it, listed body by body."""

    first: np.ndarray  # (bodies + 1,) index of each body's first entry
    column: np.ndarray  # (entries,) free coordinate
    parent: np.ndarray  # (entries,) entry of the parent body with the same column, −1 if there is none
    slot_entry: np.ndarray  # (slots,) entry of the body that the slot moves, −1 where no free column drives the slot
    slot_first: np.ndarray  # (joints + 1,) index of each joint's first slot


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
ORDER_VALUE, ORDER_GRADIENT, ORDER_GAUSS_NEWTON, ORDER_NEWTON = 0, 1, 2, 3  # what `frames_terms` computes


class PosedBodies(NamedTuple):
    """All bodies, axes and markers in one pose, in the ground's frame."""

    q: np.ndarray  # (coordinates,) all coordinates, free or not
    factor: np.ndarray  # (coordinates,) derivative of each by the free coordinate that drives it
    R: np.ndarray  # (bodies, 3, 3) orientations of the bodies
    p: np.ndarray  # (bodies, 3) origins of the bodies, m
    direction: np.ndarray  # (slots, 3) the axes
    centre: np.ndarray  # (slots, 3) m, a point on each axis; the displacement of SLOT_SLIDE_IN_GROUND
    rate: np.ndarray  # (slots,) derivative of a slot's value by its own coordinate
    x: np.ndarray  # (markers, 3) places of the markers, m


class Sums(NamedTuple):
    """Sums over the markers on each body and on all bodies distal to it; r: residual, w: weight times loss slope."""

    K: np.ndarray  # (bodies, 6, 6) Σ w XᵀX
    F: np.ndarray  # (bodies, 6) Σ w Xᵀr
    combinations: np.ndarray  # (bodies, 3, 3) Σ w x rᵀ
    T: np.ndarray  # (entries, 6) working memory of `propagate_hessian`
    axis: np.ndarray  # (3, 6) the same, of one axis: a kernel that allocates none does not count references either


class MarkerData(NamedTuple):
    """A trial's observed markers. w = 0: missing."""

    y: np.ndarray  # (frames, markers, 3) m
    w: np.ndarray  # (frames, markers)
    loss: int  # LOSS_HUBER or LOSS_SQUARE
    scale: np.ndarray  # (frames, markers) m, distance beyond which Huber's loss is linear


@njit(cache=True, inline="always")
def robust_loss(d2: float, loss: int, scale: float):
    """ρ and dρ/d(d²) for a squared distance d2; near 0, ρ = d² for both losses."""
    if loss == LOSS_HUBER and d2 > scale * scale:
        d = np.sqrt(d2)
        return 2.0 * scale * d - scale * scale, scale / d
    return d2, 1.0


@njit(**INNER_KERNEL_OPTIONS)
def marker_cost(x, y, w, loss: int, scale) -> float:
    """Σ w ρ(|x − y|²) over the markers with w > 0. scale: (markers,) m, not used by the square loss."""
    total = 0.0
    for m in range(w.size):
        if w[m] > 0.0:
            a, b, c = x[m, 0] - y[m, 0], x[m, 1] - y[m, 1], x[m, 2] - y[m, 2]
            d2 = a * a + b * b + c * c
            total += w[m] * robust_loss(d2, loss, scale[m])[0]
    return total


@njit(cache=True, inline="always")
def _moment_component(a: tuple, x0: float, x1: float, x2: float, i: int) -> float:
    """Component i of x × a."""
    if i == 0:
        return x1 * a[2] - x2 * a[1]
    if i == 1:
        return x2 * a[0] - x0 * a[2]
    return x0 * a[1] - x1 * a[0]


@njit(inline="always")
def _add_mass(K: np.ndarray, weighted: tuple, x0: float, x1: float, x2: float) -> None:
    """Add Xᵀ W X (lower triangle) to K (6, 6) for a marker at x with the weight matrix W, `weighted`."""
    for i in range(3):
        for k in range(3):
            K[3 + i, 3 + k] += weighted[i][k]
    for k in range(3):  # lower left block: W X_ω = (−W [x]×), row k of it from x × (row k of W)
        for i in range(3):
            K[3 + k, i] += _moment_component(weighted[k], x0, x1, x2, i)
    for k in range(3):  # upper left block: −[x]×ᵀ (−W [x]×), from x × each column of the lower left block
        c0 = _moment_component(weighted[0], x0, x1, x2, k)
        c1 = _moment_component(weighted[1], x0, x1, x2, k)
        c2 = _moment_component(weighted[2], x0, x1, x2, k)
        column = (c0, c1, c2)
        for i in range(k, 3):
            K[i, k] += _moment_component(column, x0, x1, x2, i)


@njit(**INNER_KERNEL_OPTIONS)
def accumulate_sums(tree: Tree, posed: PosedBodies, y, w, loss: int, scale, order: int, sums: Sums) -> None:
    """Set F of `sums`, and for a Hessian also K and the combinations S.

    Rotations do not turn offsets along the ground's axes, so these are subtracted from a marker's lever arm. NEWTON:
    where the loss is linear, a marker's weight in K is ρ' (I − r rᵀ / d²), which includes ρ'': no curvature along the
    residual. So Newton steps near the minimum are right with outliers too."""
    x = posed.x
    K, F, S, _, _ = sums
    second = order >= ORDER_GAUSS_NEWTON
    F[:] = 0.0
    if second:
        K[:] = 0.0
        S[:] = 0.0
    for m in range(w.size):
        if w[m] <= 0.0:
            continue
        body = tree.marker_body[m]
        r0, r1, r2 = x[m, 0] - y[m, 0], x[m, 1] - y[m, 1], x[m, 2] - y[m, 2]
        s0, s1, s2 = marker_slide(tree, posed.centre, body)
        x0, x1, x2 = x[m, 0] - s0, x[m, 1] - s1, x[m, 2] - s2
        d2 = r0 * r0 + r1 * r1 + r2 * r2
        weight = w[m] * robust_loss(d2, loss, scale[m])[1]
        force = (weight * r0, weight * r1, weight * r2)
        for i in range(3):
            F[body, 3 + i] += force[i]
            F[body, i] += _moment_component(force, x0, x1, x2, i)
        if not second:
            continue
        linear = order == ORDER_NEWTON and loss == LOSS_HUBER and d2 > scale[m] * scale[m]
        b0, b1, b2 = (r0 * weight / d2, r1 * weight / d2, r2 * weight / d2) if linear else (0.0, 0.0, 0.0)
        weighted = (
            (weight - b0 * r0, -b0 * r1, -b0 * r2),
            (-b1 * r0, weight - b1 * r1, -b1 * r2),
            (-b2 * r0, -b2 * r1, weight - b2 * r2),
        )
        for i in range(3):
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
                K[b, k, i] = K[b, i, k]  # fill the upper triangle: this body's sum is complete
        for i in range(3 if second else 0):
            for k in range(3):
                S[a, i, k] += S[b, i, k]


@njit(**INNER_KERNEL_OPTIONS)
def accumulate_gradient(tree: Tree, posed: PosedBodies, F, g) -> None:
    """Add half the gradient of Σ w ρ to g (free,): for each column, Σ twist · F over the axes that it drives."""
    _, factor, _, _, direction, centre, rate, _ = posed
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
def propagate_hessian(tree: Tree, columns: BodyColumns, posed: PosedBodies, sums: Sums, g, H, C) -> None:
    """Set the gradient g (free,), the Gauss–Newton Hessian H and the second-order part C (lower triangles).

    All are half the derivatives of Σ w ρ, so that H is Σ w JᵀJ. Let a rotation i about wᵢ carry an axis j, and f = w r.
    Their second-order part is Σ f · (wᵢ × ∂x/∂qⱼ) = wᵢ · v. For a rotation j about wⱼ through oⱼ, v = (G − tr G) wⱼ
    with G = S − oⱼ Fᵀ; for a translation, v = wⱼ × F. Curvature of the axes' own functions (splines only) is left out.

    sums.T: for each body and column, the sum of the twists of all axes between ground and body that this column drives.
    Both parts are linear in the twist of the carrying axis, so one product per column serves all its axes.
    """
    g[:] = 0.0
    H[:] = 0.0
    C[:] = 0.0
    _, factor, _, _, direction, centre, rate, _ = posed
    K, F, S, T, _ = sums
    twist, h, v = sums.axis[0], sums.axis[1], sums.axis[2]
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
                if tree.slot_kind[s] == SLOT_SLIDE_IN_GROUND:  # no rotation turns this direction
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
    """Empty arrays for `evaluate_frame`, `accumulate_sums` and `propagate_hessian`."""
    bodies, slots, entries = tree.bodies, tree.slot_kind.size, columns.column.size
    R, p, x = np.empty((bodies, 3, 3)), np.empty((bodies, 3)), np.empty((tree.marker_body.size, 3))
    direction, centre = np.empty((slots, 3)), np.empty((slots, 3))
    posed = PosedBodies(
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
    return posed, Sums(K, F, S, T, axis=np.empty((3, 6)))


@njit(**INNER_KERNEL_OPTIONS)
def evaluate_frame(tree: Tree, z, posed: PosedBodies) -> None:
    """Set all fields of `posed` from the free coordinates z (free,)."""
    q, factor, R, p, direction, centre, rate, x = posed
    for i in range(z.size):
        q[tree.free[i]] = z[i]
    apply_couplers_to_frame(tree, q, factor)
    bodies_pose(tree, q, R, p, direction, centre, rate)
    place_markers(tree, R, p, centre, x)


@njit(**ENTRY_KERNEL_OPTIONS)
def frames_terms(tree: Tree, columns: BodyColumns, z, data: MarkerData, order: int, gradient, information):
    """Σ_m w ρ of each frame, (frames,), at the coordinates z (frames, free).

    order: GRADIENT also adds half the gradient to `gradient` (frames, free); GAUSS_NEWTON and NEWTON instead set
    `information` (frames, free, free) to half that Hessian.
    """
    n = z.shape[1]
    y, w, loss, scale = data
    posed, sums = frame_space(tree, columns)
    C = np.empty((n, n))
    g = np.empty(n)
    cost = np.empty(z.shape[0])
    for t in range(z.shape[0]):
        evaluate_frame(tree, z[t], posed)
        cost[t] = marker_cost(posed.x, y[t], w[t], loss, scale[t])
        if order == ORDER_VALUE:
            continue
        accumulate_sums(tree, posed, y[t], w[t], loss, scale[t], order, sums)
        if order == ORDER_GRADIENT:
            accumulate_gradient(tree, posed, sums.F, gradient[t])
            continue
        H = information[t]
        propagate_hessian(tree, columns, posed, sums, g, H, C)
        for i in range(n):
            for j in range(i + 1):
                if order == ORDER_NEWTON:
                    H[i, j] += C[i, j]
                H[j, i] = H[i, j]
    return cost
