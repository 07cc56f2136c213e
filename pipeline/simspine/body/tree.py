"""A body as flat arrays: the joint tree that the compiled kernels walk.

Every OpenSim joint with explicit coordinates is one of a kind: from the parent's joint frame F, three rotations about
given axes one after another, and a translation along three given axes, each driven by a function of one coordinate
(Seth et al. 2010, "Minimal formulation of joint motion for biomechanisms", the form of OpenSim's CustomJoint). Pin,
slider, universal, gimbal, ball, planar, free and weld joints are special cases. Functions are piecewise polynomials.
"""

from itertools import product
from typing import NamedTuple

import numpy as np


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


# Kinds of slots. The last moves the markers of its body along the ground's axes, as no joint does.
TURN, SLIDE, SLIDE_IN_SPACE = 0, 1, 2


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
    function: np.ndarray  # (joints, 6)
    argument: np.ndarray  # (joints, 6) coordinate, −1 for a constant
    slot: np.ndarray  # (joints, 6) number of the slot, −1 where nothing moves
    slot_kind: np.ndarray  # (slots,) `TURN`, `SLIDE` or `SLIDE_IN_SPACE`
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
    turning: np.ndarray  # (free,) bool: angles; a step of the solver may not take them far
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


def numbered_slots(argument: np.ndarray):
    """Number of each moving axis, and per slot: kind (`TURN` or `SLIDE`), coordinate, joint.

    Within a joint the translations are numbered first, since its rotations turn about the shifted origin.
    """
    slot = np.full(argument.shape, -1)
    listed: list[tuple[int, int, int]] = []
    for j, m in product(range(len(argument)), (3, 4, 5, 0, 1, 2)):
        if argument[j, m] >= 0:
            slot[j, m] = len(listed)
            listed.append((SLIDE if m >= 3 else TURN, argument[j, m], j))
    return slot, *np.array(listed, int).reshape(-1, 3).T.copy()


def slot_paths(parent, child, slot_joint, bodies: int):
    """Slots between the ground and each body."""
    chains: dict[int, list[int]] = {0: []}
    for j in range(len(parent)):
        chains[child[j]] = chains[parent[j]] + list(np.flatnonzero(slot_joint == j))
    lists = [chains.get(b, []) for b in range(bodies)]
    first = np.cumsum([0, *map(len, lists)])
    return first, np.array([s for chain in lists for s in chain], int)


def with_identity(functions: Functions) -> tuple[Functions, int]:
    """The functions and f(x) = x, and its number."""
    coefficients = np.zeros((1, max(2, functions.coefficients.shape[1])))
    coefficients[0, 1] = 1.0
    wide = np.zeros((len(functions.left), coefficients.shape[1]))
    wide[:, : functions.coefficients.shape[1]] = functions.coefficients
    grown = Functions(
        np.concatenate([functions.first, [functions.first[-1] + 1]]),
        np.concatenate([functions.left, [-np.inf]]),
        np.concatenate([functions.anchor, [0.0]]),
        np.concatenate([wide, coefficients]),
    )
    return grown, len(functions.first) - 1
