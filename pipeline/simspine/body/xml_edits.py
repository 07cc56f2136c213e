"""Edits of a model file's XML that several recipes need: bodies, joints, couplers and ranges by name."""

import xml.etree.ElementTree as ET
from collections.abc import Container, Mapping, Sequence

import numpy as np

from simspine.errors import InputError
from simspine.priors.rhythm import AXES, LevelRegion


def massless_body(name: str) -> ET.Element:
    """A body whose mass is in its neighbours' already; what hangs from it has inertia, as equations of motion need."""
    return ET.fromstring(
        f'<Body name="{name}"><mass>0</mass><mass_center>0 0 0</mass_center><inertia>0 0 0 0 0 0</inertia></Body>'
    )


def frames(*places: tuple[str, str]) -> str:
    """Frames of a joint in (body, place); their axes are the body's."""
    return "".join(
        f'<PhysicalOffsetFrame name="{body}_offset"><socket_parent>/bodyset/{body}</socket_parent>'
        f"<translation>{place}</translation><orientation>0 0 0</orientation></PhysicalOffsetFrame>"
        for body, place in places
    )


def offset(neutral: Mapping[str, np.ndarray], parent: str, body: str) -> np.ndarray:
    """Place (3,) of a body in `parent` in the neutral pose. They must be parallel, as all along the spine are."""
    pose = np.linalg.inv(neutral[parent]) @ neutral[body]
    if not np.allclose(pose[:3, :3], np.eye(3), atol=1e-8):
        raise InputError(f"bodies {parent!r} and {body!r} are turned against one another in the neutral pose.")
    return pose[:3, 3]


def weld(name: str, carrier: str, place: np.ndarray) -> ET.Element:
    """A joint that fixes a body to its carrier, axes parallel; place: (3,) m in the carrier's frame."""
    both = frames((carrier, text(place)), (name, "0 0 0"))
    return ET.fromstring(
        f'<WeldJoint name="{name}_weld"><socket_parent_frame>{carrier}_offset</socket_parent_frame>'
        f"<socket_child_frame>{name}_offset</socket_child_frame><frames>{both}</frames></WeldJoint>"
    )


def uncouple(constraints: ET.Element, levels: Sequence[str], coordinates: Container[str]) -> list[str]:
    """Remove the couplers of the levels, of coordinates that are gone, and those by which a level drives another
    coordinate: since levels move by themselves, none of them stands for the whole. Returns what was driven so."""
    freed = {f"{level}_{axis}" for level in levels for axis in AXES}
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


def limit(joints: ET.Element, regions: Sequence[LevelRegion]) -> None:
    """Ranges of the regions' levels, clamped; 0 in the neutral pose."""
    found = {c.get("name"): c for c in joints.iter("Coordinate")}
    for region in regions:
        for axis, motions in zip(AXES, region.axes, strict=True):
            for level, low, high in zip(region.levels, motions.lower, motions.upper, strict=True):
                coordinate = found[f"{level}_{axis}"]
                write(coordinate, "range", (low, high))
                child(coordinate, "clamped").text = "true"
                child(coordinate, "default_value").text = "0"


def free_levels(osim: str, regions: Sequence[LevelRegion]) -> str:
    """The text of an `.osim` file in which each level of the regions moves by itself, within the regions' ranges.

    A coordinate that followed one of the levels as if it were all of them is locked at its default. Raises
    `InputError` for a level that the model lacks.
    """
    root = ET.fromstring(osim)
    joints = child(root, "Model/JointSet/objects")
    coordinates = {c.get("name", ""): c for c in joints.iter("Coordinate")}
    levels = [level for region in regions for level in region.levels]
    for level in levels:
        if f"{level}_{AXES[0]}" not in coordinates:
            raise InputError(f"the model has no coordinate {level}_{AXES[0]} to free; is the base model another one?")
    for name in uncouple(child(root, "Model/ConstraintSet/objects"), levels, coordinates):
        child(coordinates[name], "locked").text = "true"
    limit(joints, regions)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def joint_below(joints: ET.Element, body: str) -> ET.Element:
    """The joint whose child is `body`."""
    for joint in joints:
        own = read(joint, "socket_child_frame")
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if frame.get("name") == own and read(frame, "socket_parent") == f"/bodyset/{body}":
                return joint
    raise InputError(f"the model has no joint that carries the body {body!r}; is the base model another one?")


def named(objects: ET.Element, name: str) -> ET.Element:
    """The object of this name; raises `InputError` if there is none."""
    for element in objects:
        if element.get("name") == name:
            return element
    raise InputError(f"the model has no {name!r}; is the base model another one?")


def child(element: ET.Element, path: str) -> ET.Element:
    """The element at a path below another; raises `InputError` if there is none."""
    found = element.find(path)
    if found is None:
        raise InputError(
            f"the model's {element.get('name', element.tag)!r} has no {path}; is the base model another one?"
        )
    return found


def read(element: ET.Element, tag: str) -> str:
    """The text of a child, without blanks around it."""
    return (child(element, tag).text or "").strip()


def write(element: ET.Element, tag: str, values) -> None:
    """Replace the text of a child by numbers."""
    child(element, tag).text = text(values)


def numbers(element: ET.Element, tag: str) -> np.ndarray:
    """The numbers in a child's text."""
    return np.array(read(element, tag).split(), float)


def text(values) -> str:
    """Numbers as a model file has them, to the last bit."""
    return " ".join(repr(float(v)) for v in np.atleast_1d(values))
