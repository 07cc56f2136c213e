"""Edits of a model file's XML that recipes ask for: couplers off, a neck in one piece, clavicles; and their parts.

Bodies, joints, couplers and ranges are found by name; `InputError` says what the model lacks. In the neutral pose
nothing moves. The figures and their sources are in opensim_models/articulated.yaml.
"""

import xml.etree.ElementTree as ET
from collections.abc import Container, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.anatomy.curvature import MESH_LEVELS, PointTuple, Vertebra, VertebraeOfBody, parse_point
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelRegion
from simspine.core.errors import InputError
from simspine.io.guarded import opensim_text, opensim_xml


def massless_body(name: str) -> ET.Element:
    """A body whose mass is in its neighbours' already; what hangs from it has inertia, as equations of motion need."""
    return ET.fromstring(
        f'<Body name="{name}"><mass>0</mass><mass_center>0 0 0</mass_center><inertia>0 0 0 0 0 0</inertia></Body>'
    )


def joint_frames(*places: tuple[str, str]) -> str:
    """Frames of a joint in (body, place); their axes are the body's."""
    return "".join(
        f'<PhysicalOffsetFrame name="{body}_offset"><socket_parent>/bodyset/{body}</socket_parent>'
        f"<translation>{place}</translation><orientation>0 0 0</orientation></PhysicalOffsetFrame>"
        for body, place in places
    )


def neutral_offset(neutral: Mapping[str, np.ndarray], parent: str, body: str) -> np.ndarray:
    """Place (3,) of a body in `parent` in the neutral pose. They must be parallel, as all along the spine are."""
    pose = np.linalg.inv(neutral[parent]) @ neutral[body]
    if not np.allclose(pose[:3, :3], np.eye(3), atol=1e-8):
        raise InputError(f"bodies {parent!r} and {body!r} are turned against one another in the neutral pose.")
    return pose[:3, 3]


def weld_joint(name: str, carrier: str, place: np.ndarray) -> ET.Element:
    """A joint that fixes a body to its carrier, axes parallel; place: (3,) m in the carrier's frame."""
    both = joint_frames((carrier, numbers_text(place)), (name, "0 0 0"))
    return ET.fromstring(
        f'<WeldJoint name="{name}_weld"><socket_parent_frame>{carrier}_offset</socket_parent_frame>'
        f"<socket_child_frame>{name}_offset</socket_child_frame><frames>{both}</frames></WeldJoint>"
    )


def remove_couplers(constraints: ET.Element, levels: Sequence[str], coordinates: Container[str]) -> list[str]:
    """Remove the couplers of the levels, of coordinates that are gone, and those by which a level drives another
    coordinate: since levels move by themselves, none of them stands for the whole. Returns what was driven so."""
    freed = {f"{level}_{axis}" for level in levels for axis in LEVEL_AXIS_COORDINATES}
    driven = []
    for coupler in list(constraints):
        dependent = coupler.findtext("dependent_coordinate_name", "").strip()
        drivers = coupler.findtext("independent_coordinate_names", "").split()
        if dependent in freed or (dependent and dependent not in coordinates):
            constraints.remove(coupler)
        elif freed & set(drivers):
            constraints.remove(coupler)
            driven.append(dependent)
    return driven


def limit_levels(joints: ET.Element, regions: Sequence[LevelRegion]) -> None:
    """Ranges of the regions' levels, clamped; 0 in the neutral pose."""
    found = {c.get("name"): c for c in joints.iter("Coordinate")}
    for region in regions:
        for axis, motions in zip(LEVEL_AXIS_COORDINATES, region.axes, strict=True):
            for level, low, high in zip(region.levels, motions.lower, motions.upper, strict=True):
                coordinate = found[f"{level}_{axis}"]
                set_child_numbers(coordinate, "range", (low, high))
                child_element(coordinate, "clamped").text = "true"
                child_element(coordinate, "default_value").text = "0"


def free_levels(osim: str, regions: Sequence[LevelRegion]) -> str:
    """The text of an `.osim` file in which each level of the regions moves by itself, within the regions' ranges.

    A coordinate that followed one of the levels as if it were all of them is locked at its default. Raises
    `InputError` for a level that the model lacks.
    """
    root = opensim_xml(osim)
    joints = child_element(root, "Model/JointSet/objects")
    coordinates = {c.get("name", ""): c for c in joints.iter("Coordinate")}
    levels = [level for region in regions for level in region.levels]
    for level in levels:
        flexion = f"{level}_{LEVEL_AXIS_COORDINATES[0]}"
        if flexion not in coordinates:
            raise InputError(f"the model has no coordinate {flexion} to free; is the base model another one?")
    for name in remove_couplers(child_element(root, "Model/ConstraintSet/objects"), levels, coordinates):
        child_element(coordinates[name], "locked").text = "true"
    limit_levels(joints, regions)
    return opensim_text(root)


def joint_below(joints: ET.Element, body: str) -> ET.Element:
    """The joint whose child is `body`."""
    for joint in joints:
        own = child_text(joint, "socket_child_frame")
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if frame.get("name") == own and child_text(frame, "socket_parent") == f"/bodyset/{body}":
                return joint
    raise InputError(f"the model has no joint that carries the body {body!r}; is the base model another one?")


def named_object(objects: ET.Element, name: str) -> ET.Element:
    """The object of this name; raises `InputError` if there is none."""
    for element in objects:
        if element.get("name") == name:
            return element
    raise InputError(f"the model has no {name!r}; is the base model another one?")


def child_element(element: ET.Element, path: str) -> ET.Element:
    """The element at a path below another; raises `InputError` if there is none."""
    found = element.find(path)
    if found is None:
        raise InputError(
            f"the model's {element.get('name', element.tag)!r} has no {path}; is the base model another one?"
        )
    return found


def child_text(element: ET.Element, tag: str) -> str:
    """The text of a child, without blanks around it."""
    return (child_element(element, tag).text or "").strip()


def set_child_numbers(element: ET.Element, tag: str, values) -> None:
    """Replace the text of a child by numbers."""
    child_element(element, tag).text = numbers_text(values)


def child_numbers(element: ET.Element, tag: str) -> np.ndarray:
    """The numbers in a child's text."""
    return np.array(child_text(element, tag).split(), float)


def numbers_text(values) -> str:
    """Numbers as a model file has them, to the last bit."""
    return " ".join(repr(float(v)) for v in np.atleast_1d(values))


# A neck in one piece: one joint between C7 and T1 carries the neck's vertebrae and the head. The neck's frame is that
# of the body it was part of.
VERTEBRA_BELOW_NECK = "T1"


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
    centre: PointTuple

    def carrier(self, body: str, point: str) -> str:
        """The body that carries a point of the model in which the neck is part of `split`."""
        return self.name if body == self.split and point in self.carries else body

    def relocate(self, body: str, offset: PointTuple, point: str) -> tuple[str, PointTuple]:
        """Where a point of the unsplit model is: (body, offset)."""
        return self.carrier(body, point), offset

    def relocate_to(self, vertebra: str, body: str, offset: PointTuple) -> tuple[str, PointTuple]:
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


def neck_from(data: Mapping, vertebrae: VertebraeOfBody) -> NeckPiece:
    """From the entry `neck` of a recipe and the vertebrae of the unsplit model."""
    levels = tuple(data["vertebrae"])
    lower, upper = vertebrae[VERTEBRA_BELOW_NECK].superior, vertebrae[levels[0]].inferior
    if lower is None or upper is None:
        raise InputError(
            f"the joint is in the disc between {VERTEBRA_BELOW_NECK} and {levels[0]}, which lack endplates."
        )
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
    root = opensim_xml(osim)
    bodies, joints = child_element(root, "Model/BodySet/objects"), child_element(root, "Model/JointSet/objects")
    whole, body = named_object(bodies, neck.split), massless_body(neck.name)
    own, kept = ET.SubElement(body, "components"), child_element(whole, "components")
    for frame in list(kept.findall("PhysicalOffsetFrame")):
        if MESH_LEVELS.get(frame.findtext(".//mesh_file", "").strip()) in neck.vertebrae:
            kept.remove(frame)
            own.append(deepcopy(frame))
    bodies.insert(list(bodies).index(whole) + 1, body)
    joint = named_object(joints, neck.joint)
    for which, carrier in (("parent", neck.split), ("child", neck.name)):
        name = child_text(joint, f"socket_{which}_frame")
        frame = named_object(child_element(joint, "frames"), name)
        frame.set("name", f"{carrier}_offset")
        child_element(joint, f"socket_{which}_frame").text = f"{carrier}_offset"
        child_element(frame, "socket_parent").text = f"/bodyset/{carrier}"
        set_child_numbers(frame, "translation", neck.centre)
        child_element(frame, "orientation").text = "0 0 0"
    joints.append(weld_joint(neck.head, neck.name, neutral_offset(neutral, neck.split, neck.head)))
    return opensim_text(root)


# The shoulder girdle: a clavicle on either side, which turns about the sternoclavicular joint and carries the arm.
# One body stands for clavicle and scapula together, so its angles say where the shoulder is, not how the scapula lies
# on the ribs. Two rotations, named and ordered as the ISB recommends for this joint (Wu et al. 2005: protraction
# about the thorax' upward axis, then elevation about the forward axis of the turned clavicle), but with the same sign
# on both sides: elevation is positive upwards, protraction forwards. Both are 0 in the neutral pose.
RIGHT_SIDE, LEFT_SIDE = "r", "l"
CLAVICLE_MOTIONS = ("protraction", "elevation")  # in the order of the joint's rotations
# of the thorax: forward, up, right
CLAVICLE_AXES_RIGHT = {"protraction": (0.0, 1.0, 0.0), "elevation": (-1.0, 0.0, 0.0)}


def clavicle_body(side: str) -> str:
    """Name of the body. side: 'r' or 'l'."""
    return f"clavicle_{side}"


def girdle_angle(motion: str, side: str) -> str:
    """Name of an angle: 'clavicle_elevation_r'."""
    return f"clavicle_{motion}_{side}"


@dataclass(frozen=True)
class Clavicles:
    """The clavicles of both sides.

    joint: the arm's joint with the thorax without its side (`acromial` of acromial_r, acromial_l). centre: of the
    right sternoclavicular joint, m, in the frame of the rigid torso; the left one mirrors it. ranges: {motion: (lower,
    upper)}, rad, for each of `CLAVICLE_MOTIONS`.
    """

    joint: str
    centre: PointTuple
    ranges: Mapping[str, tuple[float, float]]

    def __post_init__(self):
        for motion in CLAVICLE_MOTIONS:
            low, high = self.ranges[motion]
            if not low < 0 < high:
                raise InputError(f"clavicles: {motion} has the range {low} to {high} rad; expected 0 within it.")

    @cached_property
    def origins(self) -> dict[str, PointTuple]:
        """{clavicle: centre of its joint with the sternum}."""
        x, y, z = self.centre
        return {clavicle_body(RIGHT_SIDE): (x, y, z), clavicle_body(LEFT_SIDE): (x, y, -z)}

    @cached_property
    def arms(self) -> dict[str, str]:
        """{joint of an arm: the clavicle it hangs from}."""
        return {f"{self.joint}_{side}": clavicle_body(side) for side in (RIGHT_SIDE, LEFT_SIDE)}

    def axes(self, side: str) -> dict[str, tuple[float, float, float]]:
        """{motion: its axis}: a turn by a positive angle about it takes that side's shoulder forwards or upwards."""
        sign = 1.0 if side == RIGHT_SIDE else -1.0
        return {motion: (sign * x, sign * y, sign * z) for motion, (x, y, z) in CLAVICLE_AXES_RIGHT.items()}


def clavicles_from(data: Mapping) -> Clavicles:
    """From the entry `clavicles` of a recipe; degrees."""
    ranges = {motion: tuple(np.radians(data[motion]).tolist()) for motion in CLAVICLE_MOTIONS}
    return Clavicles(str(data["joint"]), parse_point(data["centre"]), ranges)
