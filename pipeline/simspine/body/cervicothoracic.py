"""A neck in one piece: one joint between C7 and T1 carries the neck's vertebrae and the head.

In the neutral pose nothing moves: the neck's frame is the body's it was part of.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np

from simspine.body import xml_edits as xml
from simspine.errors import InputError
from simspine.spine.endplates import MESH_LEVELS, Point, Vertebra, Vertebrae

BELOW = "T1"


@dataclass(frozen=True)
class NeckPiece:
    """How the neck leaves the rigid body `split`. Points (m) are in the frame of `split`, which is the neck's as well.

    name: the new body. joint: of the head on `split`, which moves to C7–T1 with its coordinates. head: welded to the
    neck. vertebrae: that the neck carries, from below. carries: points that it carries. centre: of the joint.
    """

    split: str
    name: str
    joint: str
    head: str
    vertebrae: tuple[str, ...]
    carries: tuple[str, ...]
    centre: Point

    def carrier(self, body: str, point: str) -> str:
        """The body that carries a point of the model in which the neck is part of `split`."""
        return self.name if body == self.split and point in self.carries else body

    def relocate(self, body: str, offset: Point, point: str) -> tuple[str, Point]:
        """Where a point of the unsplit model is: (body, offset)."""
        return self.carrier(body, point), offset

    def relocate_to(self, vertebra: str, body: str, offset: Point) -> tuple[str, Point]:
        """The same for a point on the bone of a vertebra."""
        return (self.name if body == self.split and vertebra in self.vertebrae else body), offset

    def bodies_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of bodies of the unsplit model → of the split one."""
        return tuple(new for name in names for new in ((name, self.name) if name == self.split else (name,)))

    def carried(self, vertebra: Vertebra) -> Vertebra:
        """The vertebra on the body that carries it."""
        if vertebra.body != self.split or vertebra.level not in self.vertebrae:
            return vertebra
        return vertebra.moved(self.name, lambda point: point)


def neck_from(data: Mapping, vertebrae: Vertebrae) -> NeckPiece:
    """From the entry `neck` of a recipe and the vertebrae of the unsplit model."""
    levels = tuple(data["vertebrae"])
    lower, upper = vertebrae[BELOW].superior, vertebrae[levels[0]].inferior
    if lower is None or upper is None:
        raise InputError(f"the joint is in the disc between {BELOW} and {levels[0]}, which lack endplates.")
    x, y, z = np.mean([lower.centre, upper.centre], axis=0).tolist()
    return NeckPiece(
        split=str(data["split"]),
        name=str(data["body"]),
        joint=str(data["joint"]),
        head=str(data["head"]),
        vertebrae=levels,
        carries=tuple(data["carries"]),
        centre=(x, y, z),
    )


def carry_neck(osim: str, neck: NeckPiece, neutral: Mapping[str, np.ndarray]) -> str:
    """The text of an `.osim` file whose neck is a body of its own. Masses stay where they are.

    neutral: {body: (4, 4)} poses in the neutral pose. Raises `InputError` naming what the model lacks.
    """
    root = ET.fromstring(osim)
    bodies, joints = xml.child(root, "Model/BodySet/objects"), xml.child(root, "Model/JointSet/objects")
    whole, body = xml.named(bodies, neck.split), xml.massless_body(neck.name)
    own, kept = ET.SubElement(body, "components"), xml.child(whole, "components")
    for frame in list(kept.findall("PhysicalOffsetFrame")):
        if MESH_LEVELS.get(frame.findtext(".//mesh_file", "").strip()) in neck.vertebrae:
            kept.remove(frame)
            own.append(deepcopy(frame))
    bodies.insert(list(bodies).index(whole) + 1, body)
    joint = xml.named(joints, neck.joint)
    for which, carrier in (("parent", neck.split), ("child", neck.name)):
        name = xml.read(joint, f"socket_{which}_frame")
        frame = xml.named(xml.child(joint, "frames"), name)
        frame.set("name", f"{carrier}_offset")
        xml.child(joint, f"socket_{which}_frame").text = f"{carrier}_offset"
        xml.child(frame, "socket_parent").text = f"/bodyset/{carrier}"
        xml.write(frame, "translation", neck.centre)
        xml.child(frame, "orientation").text = "0 0 0"
    joints.append(xml.weld(neck.head, neck.name, xml.offset(neutral, neck.split, neck.head)))
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)
