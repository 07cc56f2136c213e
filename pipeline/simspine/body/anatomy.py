"""How people's bodies differ beyond the sizes of segments: joints that lie elsewhere in the body that carries them.

Each variation is one number, zero in the body as it was scaled. In a tree it is a coordinate that slides joints
(`with_variations`), so that a solver can find it; in a model file it is where these joints are (`varied`).
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.body.model import Body
from simspine.body.tree import Functions, Tree, numbered_slots, slot_paths, with_identity
from simspine.body.xml_edits import joint_below
from simspine.errors import InputError
from simspine.spine.endplates import Point, point_from


@dataclass(frozen=True)
class Variation:
    """A number that differs between people, 0 ± sd.

    stretch: bodies that grow along the chain by that share of their height, so that the joint above each moves away
    from the one below. shift: {body: (forward, up, right) in the body that carries it}: its joint moves that way by
    that many metres. source: where sd is from.
    """

    name: str
    sd: float
    stretch: tuple[str, ...] = ()
    shift: Mapping[str, Point] | None = None
    source: str = ""


def variation_from(name: str, entry: Mapping) -> Variation:
    """From an entry of a recipe's `anatomy`; raises `InputError` unless it says one way to vary, and how much."""
    kind, unit = ("stretch", "sd") if "stretch" in entry else ("shift", "sd_mm")
    if set(entry) != {kind, unit, "source"} or not float(entry[unit]) > 0:
        raise InputError(
            f"anatomy {name!r} has {', '.join(entry)}; expected stretch with a positive sd (a share), or shift with a "
            "positive sd_mm; and source."
        )
    source = str(entry["source"])
    if kind == "stretch":
        return Variation(name, float(entry[unit]), stretch=tuple(entry[kind]), source=source)
    shift = {body: point_from(direction) for body, direction in entry[kind].items()}
    return Variation(name, float(entry[unit]) / 1e3, shift=shift, source=source)


Moves = Mapping[int, np.ndarray]  # {joint: (3,) m in its parent body, for a variation of one}


def moves_of(body: Body, variations: Sequence[Variation], chain: Sequence[str]) -> list[Moves]:
    """Which joints of a sized body each variation moves, and where to. chain: bodies along which parts stretch.

    Raises `InputError` for a body that does not exist.
    """
    tree = body.tree
    index = {name: i + 1 for i, name in enumerate(body.bodies)}
    joint_of = {int(child): j for j, child in enumerate(tree.child)}

    def carried(name: str) -> int:
        if name not in index:
            raise InputError(f"the recipe's anatomy names the body {name!r}, which {body.name!r} lacks.")
        return joint_of[index[name]]

    found: list[Moves] = []
    for variation in variations:
        moves: dict[int, np.ndarray] = {}
        for name in variation.stretch:
            own = tree.from_joint[carried(name)]
            below = -own[:, :3].T @ own[:, 3]
            for j in np.flatnonzero(tree.parent == index[name]):
                if body.bodies[tree.child[j] - 1] in chain:
                    moves[int(j)] = tree.to_joint[j, :, 3] - below
        for name, direction in (variation.shift or {}).items():
            moves[carried(name)] = np.array(direction, float)
        found.append(moves)
    return found


def with_variations(tree: Tree, moves: Sequence[Moves]) -> Tree:
    """The tree with one more free coordinate per variation, after the others.

    Raises `InputError` where a joint has no translation left that could slide it.
    """
    count, first = len(moves), len(tree.rest)
    functions, itself = with_identity(tree.functions)
    function, argument, axes = tree.function.copy(), tree.argument.copy(), tree.axes.copy()
    for k, own in enumerate(moves):
        for j, vector in own.items():
            spare = [m for m in (3, 4, 5) if argument[j, m] < 0 and _is_zero(tree.functions, function[j, m])]
            if not spare:
                raise InputError("a joint that slides by itself cannot be moved by the recipe's anatomy as well.")
            m = spare[0]
            function[j, m], argument[j, m] = itself, first + k
            axes[j, m] = tree.to_joint[j, :, :3].T @ vector
    slot, kind, coordinate, joint = numbered_slots(argument)
    path_first, path = slot_paths(tree.parent, tree.child, joint, tree.bodies)
    return tree._replace(
        function=function,
        argument=argument,
        axes=axes,
        functions=functions,
        slot=slot,
        slot_kind=kind,
        slot_coordinate=coordinate,
        slot_joint=joint,
        path_first=path_first,
        path=path,
        column=np.concatenate([tree.column, len(tree.free) + np.arange(count)]),
        free=np.concatenate([tree.free, first + np.arange(count)]),
        rest=np.concatenate([tree.rest, np.zeros(count)]),
        lower=np.concatenate([tree.lower, np.full(count, -np.inf)]),
        upper=np.concatenate([tree.upper, np.full(count, np.inf)]),
        turning=np.concatenate([tree.turning, np.zeros(count, bool)]),
        periodic=np.concatenate([tree.periodic, np.zeros(count, bool)]),
    )


def varied(
    body: Body, moves: Sequence[Moves], values: Sequence[float], markers: Mapping[str, np.ndarray] | None = None
) -> Body:
    """The body whose joints lie where variations of these values put them. Bodies and their sizes stay.

    markers: {name: (3,) m}, how far markers lie from where they were, along the axes of the bodies that carry them.
    """
    shift = np.zeros((len(body.tree.parent), 3))
    for own, value in zip(moves, values, strict=True):
        for j, vector in own.items():
            shift[j] += value * vector
    root = ET.fromstring(body.osim)
    for j in np.flatnonzero(shift.any(1)).tolist():
        place = _place_in_parent(root, body.bodies[body.tree.child[j] - 1])
        here = np.array((place.text or "").split(), float)
        place.text = _text(here + shift[j])
    listed = {marker.get("name"): marker for marker in root.iterfind("Model/MarkerSet/objects/Marker")}
    for name, offset in (markers or {}).items():
        location = listed[name].find("location")
        assert location is not None  # as OpenSim writes markers
        location.text = _text(np.array((location.text or "").split(), float) + offset)
    text = ET.tostring(root, encoding="unicode", xml_declaration=True)
    return Body.from_text(text, f"the body {body.name!r} of this person")


def _place_in_parent(root: ET.Element, child: str) -> ET.Element:
    """Where the joint that carries a body is in the body that it hangs from. Models built here have a frame for it."""
    joints = root.find("Model/JointSet/objects")
    assert joints is not None  # as OpenSim writes models
    joint = joint_below(joints, child)
    name = joint.findtext("socket_parent_frame", "").strip()
    place = joint.find(f"frames/PhysicalOffsetFrame[@name='{name}']/translation")
    assert place is not None  # what such a frame is for
    return place


def _is_zero(functions: Functions, f: int) -> bool:
    if f < 0:
        return True
    piece = functions.first[f]
    return functions.slope(f) == 0.0 and functions.coefficients[piece, 0] == 0.0


def _text(values: np.ndarray) -> str:
    return " ".join(repr(float(v)) for v in values)
