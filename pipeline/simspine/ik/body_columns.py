"""The columns that move each body, as flat arrays for the compiled marker term."""

from typing import Any, NamedTuple

import numpy as np

from simspine.body.tree import Tree

REORDER = {"reassoc", "contract", "arcp"}  # lets sums run in vector registers; NaN and infinity keep their meaning
# Called from Python, or by compiled code only: every wrapper that takes a tree costs seconds of compilation.
ENTRY: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
INNER: dict[str, Any] = {"cache": True, "error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


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
        first,
        np.array([c for row in columns for c in row], int),
        parent,
        np.array(slot_entry, int),
        np.searchsorted(tree.slot_joint, np.arange(tree.parent.size + 1)),
    )
