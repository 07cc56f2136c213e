"""A body as flat arrays, the joint tree, and compiled walks over it: poses, marker positions, their derivatives.

Every OpenSim joint with explicit coordinates is one of a kind: from the parent's joint frame F, three rotations about
given axes one after another, and a translation along three given axes, each driven by a function of one coordinate
(Seth et al. 2010, "Minimal formulation of joint motion for biomechanisms", the form of OpenSim's CustomJoint). Pin,
slider, universal, gimbal, ball, planar, free and weld joints are special cases.

The derivative of a point x on a body by a rotation slot with direction w and centre o is w × (x − o); by a translation
slot with direction w it is w. Chain factors come from the slot's function and from couplers.
"""

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from simspine.core.kernels import ENTRY_KERNEL_OPTIONS, INNER_KERNEL_OPTIONS, njit


class Functions(NamedTuple):
    """Piecewise polynomials.

    Function f owns pieces first[f]…first[f+1]; piece p applies from left[p] on, which is −∞ for
    a function's first, and is Σ_k coefficients[p, k] (x − anchor[p])^k.
    """

    first: np.ndarray  # (functions + 1,)
    left: np.ndarray  # (pieces,) where the piece begins
    anchor: np.ndarray  # (pieces,) where its polynomial is expanded
    coefficients: np.ndarray  # (pieces, degree + 1)

    def slope(self, f: int) -> float | None:
        """Slope of a function that is one straight line; None of any other."""
        first, end = self.first[f : f + 2]
        straight = end - first == 1 and not self.coefficients[first, 2:].any()
        return float(self.coefficients[first, 1]) if straight else None


IDENTITY_FUNCTION = 0  # number of f(x) = x, the first function of every tree

# Kinds of slots. The last moves the markers of its body along the ground's axes, as no joint does.
SLOT_TURN, SLOT_SLIDE, SLOT_SLIDE_IN_GROUND = 0, 1, 2


class Tree(NamedTuple):
    """Joints in an order in which parents come first. Body 0 is the ground; joint j moves body child[j].

    A slot is one moving axis of a joint. A joint translates first, then turns about the shifted origin. A slot's
    function takes a coordinate; `column` is the free coordinate that drives that coordinate, directly or through
    couplers, or −1.
    """

    parent: np.ndarray  # (joints,) body
    child: np.ndarray  # (joints,) body
    to_joint: np.ndarray  # (joints, 3, 4) parent body → F
    from_joint: np.ndarray  # (joints, 3, 4) M → child body
    axes: np.ndarray  # (joints, 6, 3)
    function: np.ndarray  # (joints, 6), −1 where the axis stays at 0
    argument: np.ndarray  # (joints, 6) coordinate, −1 for a constant
    slot: np.ndarray  # (joints, 6) number of the slot, −1 where nothing moves
    slot_kind: np.ndarray  # (slots,) `SLOT_TURN`, `SLOT_SLIDE` or `SLOT_SLIDE_IN_GROUND`
    slot_coordinate: np.ndarray  # (slots,)
    slot_joint: np.ndarray  # (slots,)
    path_first: np.ndarray  # (bodies + 1,) slots from ground to a body, in order: path[path_first[b]:path_first[b+1]]
    path: np.ndarray
    column: np.ndarray  # (coordinates,) free coordinate that drives it, −1 if none
    coupled: np.ndarray  # (couplers,) dependent coordinates, in an order in which drivers come first
    driver: np.ndarray  # (couplers,)
    coupling: np.ndarray  # (couplers,) function
    functions: Functions
    marker_body: np.ndarray  # (markers,)
    marker_offset: np.ndarray  # (markers, 3) m
    bodies: int
    free: np.ndarray  # (free,) coordinates to solve for
    rest: np.ndarray  # (coordinates,) defaults; locked coordinates stay there
    lower: np.ndarray  # (free,) bounds, ±inf where not clamped
    upper: np.ndarray
    turning: np.ndarray  # (free,) bool: angles, whose steps in the solver are limited
    periodic: np.ndarray  # (free,) bool: angles that mean the same after a full turn

    def columns_of(self, body: int) -> np.ndarray:
        """Free coordinates that move a body, ascending."""
        slots = self.path[self.path_first[body] : self.path_first[body + 1]]
        columns = np.unique(self.column[self.slot_coordinate[slots]])
        return columns[columns >= 0]


def scaled_tree(tree: Tree, factors: np.ndarray) -> Tree:
    """The tree with each body (and what it carries) grown by factors (bodies,), ground first.

    A joint's place in its parent, and the paths it moves along, grow with the parent; its place in the child with the
    child; markers with their carrier. Angles stay. The same as OpenSim's `Model.scale` with isotropic factors.
    """
    to_joint, from_joint, axes = tree.to_joint.copy(), tree.from_joint.copy(), tree.axes.copy()
    to_joint[:, :, 3] *= factors[tree.parent][:, None]
    from_joint[:, :, 3] *= factors[tree.child][:, None]
    axes[:, 3:] *= factors[tree.parent][:, None, None]
    offsets = tree.marker_offset * factors[tree.marker_body][:, None]
    return tree._replace(to_joint=to_joint, from_joint=from_joint, axes=axes, marker_offset=offsets)


def slots_of_joints(parent: np.ndarray, child: np.ndarray, argument: np.ndarray, bodies: int) -> dict[str, Any]:
    """The fields of `Tree` that number the moving axes of the joints, and lead from the ground to each body.

    Within a joint the translations are numbered first, since its rotations turn about the shifted origin.
    """
    slot = np.full(argument.shape, -1)
    listed: list[tuple[int, int, int]] = []
    for j, m in product(range(len(argument)), (3, 4, 5, 0, 1, 2)):
        if argument[j, m] >= 0:
            slot[j, m] = len(listed)
            listed.append((SLOT_SLIDE if m >= 3 else SLOT_TURN, argument[j, m], j))
    kind, coordinate, joint = np.array(listed, int).reshape(-1, 3).T.copy()
    chains: dict[int, list[int]] = {0: []}
    for j in range(len(parent)):
        chains[child[j]] = chains[parent[j]] + list(np.flatnonzero(joint == j))
    paths = [chains.get(body, []) for body in range(bodies)]
    return {
        "slot": slot,
        "slot_kind": kind,
        "slot_coordinate": coordinate,
        "slot_joint": joint,
        "path_first": np.cumsum([0, *map(len, paths)]),
        "path": np.array([number for path in paths for number in path], int),
    }


@njit(cache=True, inline="always")
def evaluate_function(functions: Functions, f: int, x: float):
    """Value and first derivative of function `f` at `x`."""
    piece = functions.first[f]
    last = functions.first[f + 1] - 1
    while piece < last and x >= functions.left[piece + 1]:
        piece += 1
    local = x - functions.anchor[piece]
    value = 0.0
    slope = 0.0
    for k in range(functions.coefficients.shape[1] - 1, -1, -1):
        slope = slope * local + value
        value = value * local + functions.coefficients[piece, k]
    return value, slope


@njit(**INNER_KERNEL_OPTIONS)
def apply_couplers_to_frame(tree: Tree, q: np.ndarray, factor: np.ndarray) -> None:
    """Set dependent coordinates of q (coordinates,) from their drivers; factor = d q[c] / d (its free coordinate)."""
    for c in range(q.size):
        factor[c] = 1.0
    for i in range(tree.coupled.size):
        value, slope = evaluate_function(tree.functions, tree.coupling[i], q[tree.driver[i]])
        q[tree.coupled[i]] = value
        factor[tree.coupled[i]] = slope * factor[tree.driver[i]]


@njit(cache=True, inline="always")
def _turn_about_axis(R: np.ndarray, axis: np.ndarray, angle: float) -> None:
    """R ← R · rotation(axis, angle), Rodrigues' formula."""
    c = np.cos(angle)
    s = np.sin(angle)
    v = 1.0 - c
    x, y, z = axis[0], axis[1], axis[2]
    a00, a01, a02 = c + v * x * x, v * x * y - s * z, v * x * z + s * y
    a10, a11, a12 = v * x * y + s * z, c + v * y * y, v * y * z - s * x
    a20, a21, a22 = v * x * z - s * y, v * y * z + s * x, c + v * z * z
    for i in range(3):
        r0, r1, r2 = R[i, 0], R[i, 1], R[i, 2]
        R[i, 0] = r0 * a00 + r1 * a10 + r2 * a20
        R[i, 1] = r0 * a01 + r1 * a11 + r2 * a21
        R[i, 2] = r0 * a02 + r1 * a12 + r2 * a22


@njit(**INNER_KERNEL_OPTIONS)
def bodies_pose(
    tree: Tree, q: np.ndarray, R: np.ndarray, p: np.ndarray, direction: np.ndarray, centre: np.ndarray, rate
) -> None:
    """Poses of all bodies at q (coordinates,): R (bodies, 3, 3), p (bodies, 3).

    Per slot: direction and centre in the ground, (slots, 3), and the rate (slots,) of its value by its own coordinate.
    For a slot `SLOT_SLIDE_IN_GROUND` the centre is its displacement.
    """
    for i in range(3):
        p[0, i] = 0.0
        for k in range(3):
            R[0, i, k] = 1.0 if i == k else 0.0
    for j in range(tree.parent.size):
        a = tree.parent[j]
        b = tree.child[j]
        F, o = R[b], p[b]  # the joint's frame, until all of its axes have moved it
        for i in range(3):
            o[i] = p[a, i]
            for k in range(3):
                o[i] += R[a, i, k] * tree.to_joint[j, k, 3]
                F[i, k] = (
                    R[a, i, 0] * tree.to_joint[j, 0, k]
                    + R[a, i, 1] * tree.to_joint[j, 1, k]
                    + R[a, i, 2] * tree.to_joint[j, 2, k]
                )
        # The translation comes first: rotations turn about the shifted origin.
        for n in range(6):
            m = (n + 3) % 6
            f = tree.function[j, m]
            if f < 0:
                continue
            c = tree.argument[j, m]
            value, slope = evaluate_function(tree.functions, f, q[c] if c >= 0 else 0.0)
            s = tree.slot[j, m]
            if (
                s >= 0 and tree.slot_kind[s] == SLOT_SLIDE_IN_GROUND
            ):  # the body stays; `place_markers` adds it to its markers
                rate[s] = slope
                for i in range(3):
                    direction[s, i] = tree.axes[j, m, i]
                    centre[s, i] = value * tree.axes[j, m, i]
                continue
            for i in range(3):
                w = F[i, 0] * tree.axes[j, m, 0] + F[i, 1] * tree.axes[j, m, 1] + F[i, 2] * tree.axes[j, m, 2]
                if s >= 0:
                    direction[s, i] = w
                    centre[s, i] = o[i]
                if m >= 3:
                    o[i] += value * w
            if s >= 0:
                rate[s] = slope
            if m < 3:
                _turn_about_axis(F, tree.axes[j, m], value)
        for i in range(3):
            f0, f1, f2 = F[i, 0], F[i, 1], F[i, 2]
            for k in range(3):
                o[i] += F[i, k] * tree.from_joint[j, k, 3]
            for k in range(3):
                F[i, k] = f0 * tree.from_joint[j, 0, k] + f1 * tree.from_joint[j, 1, k] + f2 * tree.from_joint[j, 2, k]


@njit(cache=True, inline="always")
def marker_slide(tree: Tree, centre: np.ndarray, b: int):
    """Displacement (x, y, z) of a body's markers by its slots `SLOT_SLIDE_IN_GROUND`, which come last in its path."""
    x, y, z = 0.0, 0.0, 0.0
    k = tree.path_first[b + 1] - 1
    while k >= tree.path_first[b] and tree.slot_kind[tree.path[k]] == SLOT_SLIDE_IN_GROUND:
        s = tree.path[k]
        x, y, z = x + centre[s, 0], y + centre[s, 1], z + centre[s, 2]
        k -= 1
    return x, y, z


@njit(**INNER_KERNEL_OPTIONS)
def place_markers(tree: Tree, R: np.ndarray, p: np.ndarray, centre: np.ndarray, x: np.ndarray) -> None:
    """Marker positions x (markers, 3) in the ground from the bodies' poses and `marker_slide`."""
    for m in range(tree.marker_body.size):
        b = tree.marker_body[m]
        x[m, 0], x[m, 1], x[m, 2] = marker_slide(tree, centre, b)
        for i in range(3):
            x[m, i] += (
                p[b, i]
                + R[b, i, 0] * tree.marker_offset[m, 0]
                + R[b, i, 1] * tree.marker_offset[m, 1]
                + R[b, i, 2] * tree.marker_offset[m, 2]
            )


def all_poses(tree: Tree, q: np.ndarray):
    """Poses R (frames, bodies, 3, 3), p (frames, bodies, 3) and marker positions (frames, markers, 3) at q (frames,
    coordinates), taken as it is: couplers are not applied, so that any motion can be drawn."""
    return _all_poses(tree, _as_compiled(q))


def _as_compiled(values: np.ndarray) -> np.ndarray:
    """The values in the memory layout that kernels are compiled for; a copy where they have another."""
    return np.require(values, float, ["C", "W"])


@njit(**ENTRY_KERNEL_OPTIONS)
def _all_poses(tree: Tree, q: np.ndarray):
    frames = q.shape[0]
    slots = tree.slot_kind.size
    R = np.empty((frames, tree.bodies, 3, 3))
    p = np.empty((frames, tree.bodies, 3))
    x = np.empty((frames, tree.marker_body.size, 3))
    direction = np.empty((slots, 3))
    centre = np.empty((slots, 3))
    rate = np.empty(slots)
    for t in range(frames):
        bodies_pose(tree, q[t], R[t], p[t], direction, centre, rate)
        place_markers(tree, R[t], p[t], centre, x[t])
    return R, p, x


@njit(**ENTRY_KERNEL_OPTIONS)
def markers_and_jacobian(tree: Tree, z: np.ndarray):
    """Marker positions (markers, 3) m and Jacobian (markers, free, 3) at the free coordinates z (free,)."""
    slots = tree.slot_kind.size
    q = tree.rest.copy()
    for i in range(z.size):  # an assignment at an array of indices takes two seconds more to compile
        q[tree.free[i]] = z[i]
    factor = np.empty(q.size)
    apply_couplers_to_frame(tree, q, factor)
    R, p, x = np.empty((tree.bodies, 3, 3)), np.empty((tree.bodies, 3)), np.empty((tree.marker_body.size, 3))
    direction, centre, rate = np.empty((slots, 3)), np.empty((slots, 3)), np.empty(slots)
    J = np.zeros((tree.marker_body.size, z.size, 3))
    bodies_pose(tree, q, R, p, direction, centre, rate)
    place_markers(tree, R, p, centre, x)
    for m in range(tree.marker_body.size):
        b = tree.marker_body[m]
        s0, s1, s2 = marker_slide(tree, centre, b)
        for k in range(tree.path_first[b], tree.path_first[b + 1]):
            s = tree.path[k]
            c = tree.slot_coordinate[s]
            column = tree.column[c]
            if column < 0:
                continue
            d = rate[s] * factor[c]
            w0, w1, w2 = direction[s, 0], direction[s, 1], direction[s, 2]
            if tree.slot_kind[s] == SLOT_TURN:
                r0, r1, r2 = x[m, 0] - s0 - centre[s, 0], x[m, 1] - s1 - centre[s, 1], x[m, 2] - s2 - centre[s, 2]
                J[m, column, 0] += d * (w1 * r2 - w2 * r1)
                J[m, column, 1] += d * (w2 * r0 - w0 * r2)
                J[m, column, 2] += d * (w0 * r1 - w1 * r0)
            else:
                J[m, column, 0] += d * w0
                J[m, column, 1] += d * w1
                J[m, column, 2] += d * w2
    return x, J


@njit(**ENTRY_KERNEL_OPTIONS)
def moved_poses(tree: Tree, z: np.ndarray, body: np.ndarray, column: np.ndarray, step: float) -> np.ndarray:
    """Poses (frames, pairs, 4, 4) in the ground of the bodies (pairs,) at the free coordinates z (frames, free), with
    one coordinate each, column (pairs,), moved by a small step, rad or m; −1 for none.

    A step is taken along the derivative, so the error of a pose is of the order of step².
    """
    slots = tree.slot_kind.size
    q, factor = tree.rest.copy(), np.empty(tree.rest.size)
    R, p = np.empty((tree.bodies, 3, 3)), np.empty((tree.bodies, 3))
    direction, centre, rate = np.empty((slots, 3)), np.empty((slots, 3)), np.empty(slots)
    out = np.zeros((z.shape[0], body.size, 4, 4))
    for t in range(z.shape[0]):
        for i in range(z.shape[1]):
            q[tree.free[i]] = z[t, i]
        apply_couplers_to_frame(tree, q, factor)
        bodies_pose(tree, q, R, p, direction, centre, rate)
        for i in range(body.size):
            b = body[i]
            w0 = w1 = w2 = v0 = v1 = v2 = 0.0  # how the body turns, and where its origin goes
            first, last = tree.path_first[b], tree.path_first[b + 1] if column[i] >= 0 else tree.path_first[b]
            for k in range(first, last):
                s = tree.path[k]
                c = tree.slot_coordinate[s]
                if tree.column[c] != column[i]:
                    continue
                d = step * rate[s] * factor[c]
                a0, a1, a2 = d * direction[s, 0], d * direction[s, 1], d * direction[s, 2]
                if tree.slot_kind[s] == SLOT_TURN:
                    r0, r1, r2 = p[b, 0] - centre[s, 0], p[b, 1] - centre[s, 1], p[b, 2] - centre[s, 2]
                    w0, w1, w2 = w0 + a0, w1 + a1, w2 + a2
                    v0, v1, v2 = v0 + a1 * r2 - a2 * r1, v1 + a2 * r0 - a0 * r2, v2 + a0 * r1 - a1 * r0
                else:
                    v0, v1, v2 = v0 + a0, v1 + a1, v2 + a2
            for j in range(3):
                x, y, u = R[b, 0, j], R[b, 1, j], R[b, 2, j]
                out[t, i, 0, j] = x + w1 * u - w2 * y
                out[t, i, 1, j] = y + w2 * x - w0 * u
                out[t, i, 2, j] = u + w0 * y - w1 * x
            out[t, i, 0, 3], out[t, i, 1, 3], out[t, i, 2, 3] = p[b, 0] + v0, p[b, 1] + v1, p[b, 2] + v2
            out[t, i, 3, 3] = 1.0
    return out


@njit(**ENTRY_KERNEL_OPTIONS)
def apply_couplers_to_frames(tree: Tree, q: np.ndarray) -> None:
    """Set the driven coordinates of q (frames, coordinates) by their couplers."""
    factor = np.empty(tree.rest.size)
    for t in range(q.shape[0]):
        apply_couplers_to_frame(tree, q[t], factor)


def all_coordinates(tree: Tree, z: np.ndarray):
    """All coordinates (frames, coordinates) from the free ones z (frames, free): locked at rest, couplers applied.

    Also (frames, coordinates) the derivative of each by the free coordinate that drives it (0 where none does).
    """
    return _all_coordinates(tree, _as_compiled(z))


@njit(**ENTRY_KERNEL_OPTIONS)
def _all_coordinates(tree: Tree, z: np.ndarray):
    q = np.empty((z.shape[0], tree.rest.size))
    factor = np.empty(q.shape)
    for t in range(z.shape[0]):  # loops compile in a tenth of the time that indexing by arrays takes
        for c in range(tree.rest.size):
            q[t, c] = tree.rest[c]
        for i in range(tree.free.size):
            q[t, tree.free[i]] = z[t, i]
        apply_couplers_to_frame(tree, q[t], factor[t])
        for c in range(tree.rest.size):
            if tree.column[c] < 0:
                factor[t, c] = 0.0
    return q, factor
