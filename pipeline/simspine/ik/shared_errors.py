"""Systematic errors that neighbouring markers share: with one lumbar point too high, all of them are.

Taken for independent, such errors look like a bent spine: over a lumbar spine of 15 cm, 1 cm of depth is some 30° of
lordosis. So each group of markers gets an offset of its own, three coordinates along the axes of the bodies that carry
them, unknown like a joint angle, with a prior about zero. A tree with offsets is a tree: each body that carries markers
of a group gets a massless child that slides, all children of a group by the same three coordinates, or by a share of
them: an error that changes along a row of markers is a few errors, of which each marker has its shares.

Vertebrae are turned against each other. Points of a region that are all off by the same in space are not by the same
along the axes of their vertebrae: of 15 mm, L5 turned by 25° on the sacrum makes 6 mm between the two, and over a
lumbar spine 5 mm is 15° of lordosis. Such offsets are along the ground's axes.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.body.tree import SLIDE, SLIDE_IN_SPACE, Tree, with_identity
from simspine.errors import InputError, unknown_name
from simspine.priors.assumptions import LinearPrior, SharedError

AXES = "xyz"


Group = Mapping[int, float]  # index of a marker → its share of an error


def with_offsets(tree: Tree, groups: Sequence[Group], in_space: Sequence[bool] = ()) -> Tree:
    """The tree with three more free coordinates (m, after the others) per group of markers.

    in_space: of each group, whether it is moved along the ground's axes; by default none. All groups of a marker after
    such a one must be such as well.
    """
    for k, group in enumerate(groups):
        tree = _with_offset(tree, group, SLIDE_IN_SPACE if k < len(in_space) and in_space[k] else SLIDE)
    return tree


def with_errors(tree: Tree, errors: Sequence[SharedError], markers: Sequence[str]) -> Tree:
    """`with_offsets` for these errors of the tree's markers. What markers are off by in space on average turns with the
    bodies that carry them: it is put to where the tree has them."""
    groups = groups_of(errors, markers)
    offset = tree.marker_offset.copy()
    for error, group in zip(errors, groups, strict=True):
        if error.in_space:
            for m, share in group.items():
                offset[m] += share * np.array(error.mean)
    return with_offsets(tree._replace(marker_offset=offset), groups, [error.in_space for error in errors])


def groups_of(errors: Sequence[SharedError], markers: Sequence[str]) -> list[Group]:
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
    return [{index[name]: share for name, share in error.share_of.items()} for error in errors]


def coordinate_names(errors: Sequence[SharedError]) -> list[str]:
    """Names of the coordinates that `with_offsets` adds."""
    return [f"shared error of {error.name}, {axis}" for error in errors for axis in AXES]


def offset_priors(errors: Sequence[SharedError]) -> list[LinearPrior]:
    """Each offset is its mean, more or less; in space zero, see `with_errors`."""
    about = [(0.0, 0.0, 0.0) if e.in_space else e.mean for e in errors]
    each = [
        (*of, e.correlation_time) for e, m in zip(errors, about, strict=True) for of in zip(m, e.by_axis, strict=True)
    ]
    named = zip(coordinate_names(errors), each, strict=True)
    return [LinearPrior({name: 1.0}, mean, sd, "shared error", time) for name, (mean, sd, time) in named]


def _with_offset(tree: Tree, group: Group, kind: int) -> Tree:
    children = sorted({(int(tree.marker_body[m]), share) for m, share in group.items()})
    carriers, shares = [carrier for carrier, _ in children], np.array([share for _, share in children])
    count, joints, slots = len(carriers), len(tree.parent), len(tree.slot_kind)
    first = len(tree.rest)
    coordinates = np.arange(first, first + 3)
    bodies = tree.bodies + np.arange(count)
    functions, itself = with_identity(tree.functions)

    function, argument, slot = (np.full((count, 6), -1) for _ in range(3))
    function[:, 3:] = itself
    argument[:, 3:] = coordinates
    slot[:, 3:] = slots + np.arange(3 * count).reshape(count, 3)
    axes = np.zeros((count, 6, 3))
    axes[:, 3:] = shares[:, None, None] * np.eye(3)
    here = np.tile(np.eye(3, 4), (count, 1, 1))
    marker_body = tree.marker_body.copy()
    for m, share in group.items():
        marker_body[m] = bodies[children.index((int(tree.marker_body[m]), share))]
    ways = [
        np.concatenate([tree.path[tree.path_first[b] : tree.path_first[b + 1]], slot[k, 3:]])
        for k, b in enumerate(carriers)
    ]
    n = len(tree.free)
    return tree._replace(
        parent=np.concatenate([tree.parent, carriers]),
        child=np.concatenate([tree.child, bodies]),
        to_joint=np.concatenate([tree.to_joint, here]),
        from_joint=np.concatenate([tree.from_joint, here]),
        axes=np.concatenate([tree.axes, axes]),
        function=np.concatenate([tree.function, function]),
        argument=np.concatenate([tree.argument, argument]),
        slot=np.concatenate([tree.slot, slot]),
        slot_kind=np.concatenate([tree.slot_kind, np.full(3 * count, kind, tree.slot_kind.dtype)]),
        slot_coordinate=np.concatenate([tree.slot_coordinate, np.tile(coordinates, count)]),
        slot_joint=np.concatenate([tree.slot_joint, joints + np.repeat(np.arange(count), 3)]),
        path_first=np.concatenate([tree.path_first, tree.path_first[-1] + np.cumsum([len(way) for way in ways])]),
        path=np.concatenate([tree.path, *ways]),
        column=np.concatenate([tree.column, np.arange(n, n + 3)]),
        functions=functions,
        marker_body=marker_body,
        bodies=tree.bodies + count,
        free=np.concatenate([tree.free, coordinates]),
        rest=np.concatenate([tree.rest, np.zeros(3)]),
        lower=np.concatenate([tree.lower, np.full(3, -np.inf)]),
        upper=np.concatenate([tree.upper, np.full(3, np.inf)]),
        turning=np.concatenate([tree.turning, np.zeros(3, bool)]),
        periodic=np.concatenate([tree.periodic, np.zeros(3, bool)]),
    )
