"""Our articulated body as the angle lifter needs it: markers that are the lifted points, and who shares a size."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simspine.body.model import Body
from simspine.body.recipes import VIRTUAL, build, read_recipe
from simspine.body.tree import Tree
from simspine.capture.body_landmarks import face
from simspine.errors import InputError

RECIPE, MARKERS = "articulated", "vertebral"
UNBOUNDED = np.pi / 2  # range (rad; m) assumed of a coordinate without limits


@dataclass(frozen=True, eq=False)
class AngleBody:
    """tree: with one marker a point, in their order. names: of the free coordinates. posed: (free,) bool, those that
    pose the body in itself; the others place the pelvis in the world. spread: (free,) a quarter of each range.
    segments: names of the groups of bodies that share a size; group: (bodies,) its number, −1 for the ground.
    """

    tree: Tree
    names: tuple[str, ...]
    posed: np.ndarray
    spread: np.ndarray
    segments: tuple[str, ...]
    group: np.ndarray


@lru_cache(maxsize=4)
def angle_body(points: tuple[str, ...], family: str) -> AngleBody:
    """The body whose markers are the named points, at vertebral centres or at the released places; some seconds.

    Raises `InputError` for a point that the body does not have.
    """
    recipe = read_recipe(RECIPE)
    body = build(recipe, MARKERS)
    places = [_place(body, name, family) for name in points]
    tree = body.tree._replace(
        marker_body=np.array([carrier for carrier, _ in places]),
        marker_offset=np.array([offset for _, offset in places]),
    )
    names = tuple(body.coordinates.names[c] for c in tree.free)
    ranges = np.where(np.isfinite(tree.upper - tree.lower), tree.upper - tree.lower, UNBOUNDED)
    group = np.full(tree.bodies, -1)
    for number, segment in enumerate(recipe.segments):
        for name in segment.bodies:
            group[1 + body.bodies.index(name)] = number
    return AngleBody(
        tree=tree,
        names=names,
        posed=np.array([not name.startswith("pelvis_") for name in names]),
        spread=ranges / 4,
        segments=tuple(segment.name for segment in recipe.segments),
        group=group,
    )


def _place(body: Body, name: str, family: str) -> tuple[int, np.ndarray]:
    """Number of the carrying body, and the offset on it, m."""
    own = name + VIRTUAL if family == "released" and name + VIRTUAL in body.marker_names else name
    if own in body.marker_names:
        marker = body.marker_index(own)
        return int(body.tree.marker_body[marker]), body.tree.marker_offset[marker]
    if name in face():
        carrier, offset = face()[name]
        return 1 + body.bodies.index(carrier), np.array(offset)
    raise InputError(f"the articulated body has no point {name!r}; the angle lifter cannot lift it.")
