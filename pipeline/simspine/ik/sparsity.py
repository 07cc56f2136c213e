"""Which free coordinates share a marker, and a Cholesky factorisation that works on those pairs only.

The marker term couples two coordinates only where one carries the other: a knee says nothing about an elbow that the
pelvis does not. Eliminated from the tips of the tree to its root, such a matrix keeps its zeros (Featherstone 2005,
"Efficient factorization of the joint-space inertia matrix for branched kinematic trees"). Couplers and odd orders
of coordinates may add pairs, so the tree here is the elimination tree of the pairs, not that of the bodies.

A packed matrix (free, width) has in row c, place d the entry between column c and its ancestor at depth d in that tree;
its own diagonal is at place depth[c]. Ancestors of an ancestor fill the first places of a row, so that the inner loops
run over neighbouring numbers.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from simspine.body.tree import Tree

REORDER = {"reassoc", "contract", "arcp"}  # lets sums run in vector registers; NaN and infinity keep their meaning
# Called from Python, or by compiled code only: every wrapper that takes a tree costs seconds of compilation.
ENTRY = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER = {"cache": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


class Sparsity(NamedTuple):
    """See the module. An entry is a pair of a body and one of the columns that move it."""

    order: np.ndarray  # (free,) columns, ancestors first
    depth: np.ndarray  # (free,) number of ancestors
    chain: np.ndarray  # (free, width) ancestors by depth, then the column itself, then −1
    entry_first: np.ndarray  # (bodies + 1,) entries of a body
    entry_column: np.ndarray  # (entries,)
    entry_parent: np.ndarray  # (entries,) the same column's entry of the parent body, −1 where it has none
    slot_entry: np.ndarray  # (slots,) entry of the body that the slot moves, −1 where no free column drives the slot
    slot_first: np.ndarray  # (joints + 1,) slots of a joint


def sparsity(tree: Tree) -> Sparsity:
    """The structure of the marker term of `tree` with its markers."""
    n = tree.free.size
    columns = [tree.columns_of(body).tolist() for body in range(tree.bodies)]
    linked = [set() for _ in range(n)]
    for body in set(tree.marker_body.tolist()):
        for c in columns[body]:
            linked[c].update(columns[body])
    driven = tree.column[tree.slot_coordinate]
    order = list(dict.fromkeys([*driven[driven >= 0].tolist(), *range(n)]))
    rank = {c: k for k, c in enumerate(order)}
    parent = np.full(n, -1)
    for c in reversed(order):
        nearer = {a for a in linked[c] if rank[a] < rank[c]}
        if nearer:
            parent[c] = max(nearer, key=rank.get)
            linked[parent[c]] |= nearer  # what elimination of c fills in
    ancestors = [[] for _ in range(n)]
    for c in order:
        ancestors[c] = [*(ancestors[parent[c]] if parent[c] >= 0 else []), c]
    width = max(map(len, ancestors), default=1)
    chain = np.array([row + [-1] * (width - len(row)) for row in ancestors]).reshape(n, width)
    first = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    index = [{c: int(first[b]) + k for k, c in enumerate(columns[b])} for b in range(tree.bodies)]
    before = np.full(first[-1], -1)
    for a, b in zip(tree.parent.tolist(), tree.child.tolist(), strict=True):
        for c, e in index[b].items():
            before[e] = index[a].get(c, -1)
    moved = tree.child[tree.slot_joint]
    slot_entry = [index[b].get(c, -1) for b, c in zip(moved.tolist(), driven.tolist(), strict=True)]
    return Sparsity(
        np.array(order, int),
        np.array([len(row) - 1 for row in ancestors], int),
        chain,
        first,
        np.array([c for row in columns for c in row], int),
        before,
        np.array(slot_entry, int),
        np.searchsorted(tree.slot_joint, np.arange(tree.parent.size + 1)),
    )


@njit(**INNER, fastmath=REORDER)
def substitute(pattern: Sparsity, A: np.ndarray, fixed: np.ndarray, b: np.ndarray, first: int) -> None:
    """x of Lᵀ x = b in place, L the packed factor in A, from place `first` of the order on."""
    for k in range(first, b.size):
        c = pattern.order[k]
        if not fixed[c]:
            s = b[c]
            for e in range(pattern.depth[c]):
                if A[c, e] != 0.0:
                    s -= A[c, e] * b[pattern.chain[c, e]]
            b[c] = s * A[c, pattern.depth[c]]


@njit(**INNER, fastmath=REORDER)
def solve_packed(pattern: Sparsity, A: np.ndarray, fixed: np.ndarray, b: np.ndarray) -> bool:
    """Solve A x = b in place for the columns that are not `fixed`; overwrites the packed A.

    Rows and columns of fixed ones must be zero off the diagonal; their b stays as it is. False if A is not positive: b
    is then a direction along which it is not, xᵀ A x ≤ 0.
    """
    n = b.size
    whole = np.empty(n)
    for c in range(n):
        whole[c] = A[c, pattern.depth[c]]
    for k in range(n - 1, -1, -1):
        c = pattern.order[k]
        if fixed[c]:
            continue
        row = A[c]
        depth = pattern.depth[c]
        d = row[depth]
        if not d > 1e-14 * abs(whole[c]):
            # What is eliminated so far follows this column so as to add least: xᵀ A x is what is left on its diagonal.
            b[:] = 0.0
            b[c] = 1.0
            substitute(pattern, A, fixed, b, k + 1)
            return False
        inverse = 1.0 / np.sqrt(d)
        row[depth] = inverse
        b[c] *= inverse
        for e in range(depth):
            row[e] *= inverse
        for e in range(depth):
            f = row[e]
            if f != 0.0:
                other = pattern.chain[c, e]
                b[other] -= f * b[c]
                target = A[other]
                for i in range(e + 1):
                    target[i] -= f * row[i]
    substitute(pattern, A, fixed, b, 0)
    return True
