"""Errors that neighbouring markers share, as unknown coordinates of the body's tree.

With one lumbar point too high, all of them are. Taken for independent, such errors look like a bent spine: over a
lumbar spine of 15 cm, 1 cm of depth is some 30° of lordosis. So each group of markers gets an offset of its own, three
coordinates along the axes of the bodies that carry them, unknown like a joint angle, with a prior about zero. A tree
with offsets is a tree: each body that carries markers of a group gets a massless child that slides, all children of a
group by the same three coordinates, or by a share of them: an error that changes along a row of markers is a few
errors, of which each marker has its shares.

Vertebrae are turned against each other. Points of a region that are all off by the same in space are not by the same
along the axes of their vertebrae: of 15 mm, L5 turned by 25° on the sacrum makes 6 mm between the two, and over a
lumbar spine 5 mm is 15° of lordosis. Such offsets are along the ground's axes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.anatomy.priors import LinearPrior, SharedError
from simspine.anatomy.tree import SLOT_SLIDE, SLOT_SLIDE_IN_GROUND, Tree, with_identity_function
from simspine.core.errors import InputError, unknown_name

OFFSET_AXES = "xyz"
MarkerShares = Mapping[int, float]  # index of a marker → its share of an error


def tree_with_marker_offsets(tree: Tree, groups: Sequence[MarkerShares], in_ground_frame: Sequence[bool] = ()) -> Tree:
    """The tree with three more free coordinates (m, after the others) per group of markers.

    in_ground_frame: of each group, whether it is moved along the ground's axes; by default none. All groups of a
    marker after
    such a one must be such as well.
    """
    for k, group in enumerate(groups):
        tree = _tree_with_offset(
            tree, group, SLOT_SLIDE_IN_GROUND if k < len(in_ground_frame) and in_ground_frame[k] else SLOT_SLIDE
        )
    return tree


def tree_with_shared_errors(tree: Tree, errors: Sequence[SharedError], markers: Sequence[str]) -> Tree:
    """`tree_with_marker_offsets` for these errors of the tree's markers. Their mean in space turns with the bodies that
    carry them: it is added to the markers' places."""
    groups = marker_shares_of(errors, markers)
    offset = tree.marker_offset.copy()
    for error, group in zip(errors, groups, strict=True):
        if error.in_ground_frame:
            for m, share in group.items():
                offset[m] += share * np.array(error.mean)
    return tree_with_marker_offsets(
        tree._replace(marker_offset=offset), groups, [error.in_ground_frame for error in errors]
    )


def marker_shares_of(errors: Sequence[SharedError], markers: Sequence[str]) -> list[MarkerShares]:
    """Indices and shares of the markers of each error among `markers`.

    Raises `InputError` where two errors have all of one marker.
    """
    index: Mapping[str, int] = {name: i for i, name in enumerate(markers)}
    taken: dict[str, str] = {}
    for error in errors:
        for name in error.markers:
            if name not in index:
                raise unknown_name("marker", name, markers, f"the shared error {error.name!r}")
            if not error.shares and taken.setdefault(name, error.name) != error.name:
                raise InputError(f"marker {name!r} is in two shared errors, {taken[name]!r} and {error.name!r}.")
    return [{index[name]: share for name, share in error.share_by_marker.items()} for error in errors]


def offset_coordinate_names(errors: Sequence[SharedError]) -> list[str]:
    """Names of the coordinates that `tree_with_marker_offsets` adds."""
    return [f"shared error of {error.name}, {axis}" for error in errors for axis in OFFSET_AXES]


def offset_priors(errors: Sequence[SharedError]) -> list[LinearPrior]:
    """Each offset is its mean, more or less; in space zero, see `tree_with_shared_errors`."""
    about = [(0.0, 0.0, 0.0) if e.in_ground_frame else e.mean for e in errors]
    each = [
        (*of, e.correlation_time)
        for e, m in zip(errors, about, strict=True)
        for of in zip(m, e.sd_by_axis, strict=True)
    ]
    named = zip(offset_coordinate_names(errors), each, strict=True)
    return [
        LinearPrior(combination={name: 1.0}, mean=mean, sd=sd, source="shared error", correlation_time=time)
        for name, (mean, sd, time) in named
    ]


def _tree_with_offset(tree: Tree, group: MarkerShares, kind: int) -> Tree:
    children = sorted({(int(tree.marker_body[m]), share) for m, share in group.items()})
    carriers, shares = [carrier for carrier, _ in children], np.array([share for _, share in children])
    count = len(carriers)
    bodies, coordinates = tree.bodies + np.arange(count), len(tree.rest) + np.arange(3)
    own_slots = (len(tree.slot_kind) + np.arange(3 * count)).reshape(count, 3)
    functions, itself = with_identity_function(tree.functions)
    marker_body = tree.marker_body.copy()
    for m, share in group.items():
        marker_body[m] = bodies[children.index((int(tree.marker_body[m]), share))]
    ways = [
        np.concatenate([tree.path[tree.path_first[b] : tree.path_first[b + 1]], slots])
        for b, slots in zip(carriers, own_slots, strict=True)
    ]
    added = {
        "parent": carriers,
        "child": bodies,
        "to_joint": np.tile(np.eye(3, 4), (count, 1, 1)),
        "from_joint": np.tile(np.eye(3, 4), (count, 1, 1)),
        "axes": np.pad(shares[:, None, None] * np.eye(3), ((0, 0), (3, 0), (0, 0))),
        "function": _after_rotations(np.full((count, 3), itself)),
        "argument": _after_rotations(np.tile(coordinates, (count, 1))),
        "slot": _after_rotations(own_slots),
        "slot_kind": np.full(3 * count, kind, tree.slot_kind.dtype),
        "slot_coordinate": np.tile(coordinates, count),
        "slot_joint": len(tree.parent) + np.repeat(np.arange(count), 3),
        "path_first": tree.path_first[-1] + np.cumsum([len(way) for way in ways]),
        "path": np.concatenate(ways),
        "column": len(tree.free) + np.arange(3),
        "free": coordinates,
        "rest": np.zeros(3),
        "lower": np.full(3, -np.inf),
        "upper": np.full(3, np.inf),
        "turning": np.zeros(3, bool),
        "periodic": np.zeros(3, bool),
    }
    joined = {name: np.concatenate([getattr(tree, name), values]) for name, values in added.items()}
    return tree._replace(**joined, functions=functions, marker_body=marker_body, bodies=tree.bodies + count)


def _after_rotations(values: np.ndarray) -> np.ndarray:
    """(joints, 6) of a joint's axes: three rotations without any, then `values` (joints, 3)."""
    return np.pad(values, ((0, 0), (3, 0)), constant_values=-1)
