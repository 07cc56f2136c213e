"""Split the rigid torso of Pose2Sim's model (run once; results: `opensim_models/articulated.osim` and `paper.osim`).

    python -m tools.split_models

`articulate_torso` makes single vertebrae with a joint per level, and clavicles. `carry_neck` makes a neck in one piece.
Lumbar couplers go. In the neutral pose nothing moves: new frames are parallel to the old one, and what the torso
carried keeps its place. Bodies, joints, couplers and ranges are found by name; `InputError` says what a model lacks.
Which vertebrae there are, where their joints are and what carries which point is in the recipes.
"""

import re
import xml.etree.ElementTree as ET
from collections.abc import Container, Mapping, Sequence
from copy import deepcopy
from hashlib import sha256

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.curvature import MESH_LEVELS, PointTuple, VertebraeOfBody, read_endplates
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelRegion
from simspine.anatomy.recipes import build_body, finished_body, read_recipe
from simspine.anatomy.split_torso import (
    CLAVICLE_MOTIONS,
    LEFT_SIDE,
    RIGHT_SIDE,
    Articulation,
    Partition,
    clavicle_body,
    girdle_angle,
)
from simspine.core.errors import InputError
from simspine.core.settings import models_folder
from simspine.io.guarded import opensim_xml

WHOLE_MODEL_NAME = "Pose2Sim_without_muscles"
REPLACED_JOINT = "head_torso"  # the one joint of neck and skull
# Bodies that only followed the spine are welded to a vertebra: the Abdomen (1 g, no mesh; its Abs_* coordinates were
# tied to L5-S1) to the middle of the lumbar spine.
WELDED_BODIES = {"Abdomen": "lumbar3"}
# The neck's vertebrae get this share of the torso's mass (our estimate: 1.1 of 22.5 kg), the thoracic ones the rest,
# within each part in proportion to their spacing. Total mass, its centre and inertia are those of the torso.
NECK_MASS_SHARE = 0.05
# The clavicles carry the arms, at the same place: acromial_r and acromial_l hang from them instead of the torso. The
# drawn bones stay on T4.
ARM_JOINT = "acromial"
# Depression 10, elevation 45, protraction and retraction up to 30 degrees (textbook ranges: Neumann, Kinesiology; C),
# each wider by about two standard deviations of where people's shoulders rest.
CLAVICLE_RANGES = {"protraction": np.radians([-40.0, 40.0]), "elevation": np.radians([-25.0, 60.0])}
# Axes of the right clavicle in the thorax: forward, up, right. Those of the left one have the other sign.
CLAVICLE_AXES_RIGHT = {"protraction": (0.0, 1.0, 0.0), "elevation": (-1.0, 0.0, 0.0)}


def opensim_text(root: ET.Element) -> str:
    """A model's text as OpenSim reads it; `simspine.io.guarded.strict_xml` undone."""
    ET.indent(root, "\t")
    text = ET.tostring(root, encoding="unicode", xml_declaration=True)
    return re.sub(r"(</?\w+)\.\.(?=\w)", r"\1::", text)


def articulate_torso(osim: str, plan: Articulation, neutral: Mapping[str, np.ndarray]) -> str:
    """The text of an `.osim` file with the plan carried out.

    osim: a model without muscles, as OpenSim 4 writes it. neutral: {body: (4, 4)} poses in its neutral pose. Raises
    `InputError` naming what the model lacks.
    """
    root = opensim_xml(osim)
    bodies, joints = child_element(root, "Model/BodySet/objects"), child_element(root, "Model/JointSet/objects")
    template = deepcopy(joint_below(joints, plan.split))
    joints.remove(named_object(joints, REPLACED_JOINT))
    _split_body(bodies, plan)
    _rehang_joints(joints, plan)
    for side in (RIGHT_SIDE, LEFT_SIDE):
        bodies.append(massless_body(clavicle_body(side)))
        joints.append(_sternoclavicular_joint(plan, side))
    for level in plan.levels:
        if plan.pair(level)[0] in plan.vertebrae:
            joints.append(_level_joint(deepcopy(template), plan, level, neutral))
    for name, carrier in WELDED_BODIES.items():
        joints.remove(joint_below(joints, name))
        joints.append(weld_joint(name, carrier, neutral_offset(neutral, carrier, name)))
    coordinates = {c.get("name", "") for c in joints.iter("Coordinate")}
    remove_couplers(child_element(root, "Model/ConstraintSet/objects"), plan.levels, coordinates)
    limit_levels(joints, plan.regions)
    return opensim_text(root)


def _split_body(bodies: ET.Element, plan: Articulation) -> None:
    whole = named_object(bodies, plan.split)
    first = list(bodies).index(whole)
    bodies.remove(whole)
    frames = whole.findall("components/PhysicalOffsetFrame")
    masses = split_mass(plan, *(child_numbers(whole, key) for key in ("mass", "mass_center", "inertia")))
    for at, (name, origin) in enumerate(_vertebral_origins(plan).items(), first):
        body = deepcopy(whole)
        body.set("name", name)
        components = child_element(body, "components")
        components[:] = [deepcopy(f) for f in frames if _carrier_of_frame(f, plan) == name]
        for frame in components:
            _shift_frame(frame, origin)
        for child in body.findall("WrapObjectSet"):  # the muscles that wrapped around it are gone
            body.remove(child)
        for key, value in zip(("mass", "mass_center", "inertia"), masses[name], strict=True):
            set_child_numbers(body, key, value)
        bodies.insert(at, body)


def split_mass(plan: Articulation, mass, centre, inertia) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Mass (kg), its centre (m, own frame), inertia (6,) about it, for each new body.

    Each slice hangs by the same vector from its vertebra, as ribs and what they hold hang forwards and down, so that
    the whole keeps its centre; what inertia the slices' places leave over is shared like the mass.
    """
    names = list(plan.vertebrae)
    places = np.array(list(_vertebral_origins(plan).values()))
    spacing = np.gradient(places[:, 1])
    neck = np.array([name.startswith("C") for name in names])
    share = np.where(neck, NECK_MASS_SHARE, 1 - NECK_MASS_SHARE) * spacing
    share = share / np.where(neck, spacing[neck].sum(), spacing[~neck].sum())
    hang = np.asarray(centre, float) - share @ places
    x, y, z = (places + hang - centre).T
    moments = (y**2 + z**2, x**2 + z**2, x**2 + y**2, -x * y, -x * z, -y * z)
    spread = np.array([(share * moment).sum() for moment in moments])
    left = np.asarray(inertia, float) - float(mass[0]) * spread
    return {name: (s * float(mass[0]), hang, s * left) for name, s in zip(names, share, strict=True)}


def _vertebral_origins(plan: Articulation) -> dict[str, PointTuple]:
    return {name: plan.origins[name] for name in plan.vertebrae}


def _carrier_of_frame(frame: ET.Element, plan: Articulation) -> str:
    """The new body for a frame with a mesh: that of the mesh's vertebra, else the girdle."""
    level = MESH_LEVELS.get(frame.findtext(".//mesh_file", "").strip())
    return plan.rest if level is None else plan.vertebrae.get(level, plan.rest)


def _rehang_joints(joints: ET.Element, plan: Articulation) -> None:
    """Joints that the split body hung from, or that hung from it, get one of the new ones."""
    lowest = next(iter(plan.vertebrae))
    arms = {f"{ARM_JOINT}_{side}": clavicle_body(side) for side in (RIGHT_SIDE, LEFT_SIDE)}
    for arm in arms:
        named_object(joints, arm)
    for joint in joints:
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if child_text(frame, "socket_parent") == f"/bodyset/{plan.split}":
                child = child_text(joint, "socket_child_frame") == frame.get("name")
                name = lowest if child else arms.get(joint.get("name", ""), plan.rest)
                child_element(frame, "socket_parent").text = f"/bodyset/{name}"
                _shift_frame(frame, plan.origins[name])


def _sternoclavicular_joint(plan: Articulation, side: str) -> ET.Element:
    """The joint of a clavicle with the vertebra that carries the rib cage: protraction, then elevation."""
    body, sign = clavicle_body(side), 1.0 if side == RIGHT_SIDE else -1.0
    axes = {motion: sign * np.array(axis) for motion, axis in CLAVICLE_AXES_RIGHT.items()}
    angles, turns = "", ""
    for number, motion in enumerate(CLAVICLE_MOTIONS, start=1):
        name, limits = girdle_angle(motion, side), numbers_text(CLAVICLE_RANGES[motion])
        angles += (
            f'<Coordinate name="{name}"><default_value>0</default_value><range>{limits}</range>'
            "<clamped>true</clamped><locked>false</locked></Coordinate>"
        )
        turns += (
            f'<TransformAxis name="rotation{number}"><coordinates>{name}</coordinates>'
            f"<axis>{numbers_text(axes[motion])}</axis>"
            '<LinearFunction name="function"><coefficients>1 0</coefficients></LinearFunction></TransformAxis>'
        )
    third = numbers_text(np.cross(axes[CLAVICLE_MOTIONS[0]], axes[CLAVICLE_MOTIONS[1]]))
    turns += _fixed_axis("rotation3", third)
    turns += "".join(_fixed_axis(f"translation{i + 1}", numbers_text(axis)) for i, axis in enumerate(np.eye(3)))
    place = np.subtract(plan.origins[body], plan.origins[plan.rest])
    return ET.fromstring(
        f'<CustomJoint name="sternoclavicular_{side}"><socket_parent_frame>{plan.rest}_offset</socket_parent_frame>'
        f"<socket_child_frame>{body}_offset</socket_child_frame><coordinates>{angles}</coordinates>"
        f"<frames>{joint_frames((plan.rest, numbers_text(place)), (body, '0 0 0'))}</frames>"
        f"<SpatialTransform>{turns}</SpatialTransform></CustomJoint>"
    )


def _level_joint(joint: ET.Element, plan: Articulation, level: str, neutral: Mapping[str, np.ndarray]) -> ET.Element:
    """The template with the level's name, bodies, centre and coordinates."""
    below, above = plan.pair(level)
    old = joint.get("name", "").split("_IVD")[0]
    joint.set("name", f"{level}_IVDjnt")
    for coordinate, axis in zip(joint.iter("Coordinate"), LEVEL_AXIS_COORDINATES, strict=True):
        coordinate.set("name", f"{level}_{axis}")
    for listed in joint.iterfind("SpatialTransform/TransformAxis/coordinates"):
        listed.text = (listed.text or "").replace(old, level)
    centre = plan.centre(level)
    for which, body in (("parent", below), ("child", above)):
        name = child_text(joint, f"socket_{which}_frame")
        frame = next(f for f in joint.iter("PhysicalOffsetFrame") if f.get("name") == name)
        frame.set("name", f"{body}_offset")
        child_element(joint, f"socket_{which}_frame").text = f"{body}_offset"
        child_element(frame, "socket_parent").text = f"/bodyset/{body}"
        origin = plan.origins[body] if body in plan.vertebrae else neutral_offset(neutral, plan.split, body)
        set_child_numbers(frame, "translation", centre - origin)
        child_element(frame, "orientation").text = "0 0 0"
    return joint


def _fixed_axis(name: str, axis: str) -> str:
    return (
        f'<TransformAxis name="{name}"><coordinates /><axis>{axis}</axis>'
        '<Constant name="function"><value>0</value></Constant></TransformAxis>'
    )


def _shift_frame(frame: ET.Element, origin: Sequence[float]) -> None:
    """Express a frame's place from a new origin."""
    set_child_numbers(frame, "translation", child_numbers(frame, "translation") - np.asarray(origin))


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


def numbers_text(values) -> str:
    """Numbers as a model file has them, to the last bit."""
    return " ".join(repr(float(v)) for v in np.atleast_1d(values))


def set_child_numbers(element: ET.Element, tag: str, values) -> None:
    """Replace the text of a child by numbers."""
    child_element(element, tag).text = numbers_text(values)


def child_numbers(element: ET.Element, tag: str) -> np.ndarray:
    """The numbers in a child's text."""
    return np.array(child_text(element, tag).split(), float)


def named_object(objects: ET.Element, name: str) -> ET.Element:
    """The object of this name; raises `InputError` if there is none."""
    for element in objects:
        if element.get("name") == name:
            return element
    raise InputError(f"the model has no {name!r}; is the base model another one?")


def disc_between(lower: str, upper: str, vertebrae: VertebraeOfBody) -> np.ndarray:
    """(3,) m, middle of the disc between two vertebrae."""
    below, above = vertebrae[lower].superior, vertebrae[upper].inferior
    assert below is not None
    assert above is not None
    return np.mean([below.centre, above.centre], axis=0)


def carry_neck(osim: str, plan: Partition, neutral: Mapping[str, np.ndarray]) -> str:
    """The text of an `.osim` file whose neck is a body of its own, with its joint at C7–T1. Masses stay where they are.

    neutral: {body: (4, 4)} poses in the neutral pose. Raises `InputError` naming what the model lacks.
    """
    root = opensim_xml(osim)
    bodies, joints = child_element(root, "Model/BodySet/objects"), child_element(root, "Model/JointSet/objects")
    (name,) = set(plan.vertebrae.values())
    whole, body = named_object(bodies, plan.split), massless_body(name)
    own, kept = ET.SubElement(body, "components"), child_element(whole, "components")
    for frame in list(kept.findall("PhysicalOffsetFrame")):
        if MESH_LEVELS.get(frame.findtext(".//mesh_file", "").strip()) in plan.vertebrae:
            kept.remove(frame)
            own.append(deepcopy(frame))
    bodies.insert(list(bodies).index(whole) + 1, body)
    joint, centre = named_object(joints, REPLACED_JOINT), disc_between("T1", "C7", read_endplates())
    for which, carrier in (("parent", plan.split), ("child", name)):
        frame = named_object(child_element(joint, "frames"), child_text(joint, f"socket_{which}_frame"))
        frame.set("name", f"{carrier}_offset")
        child_element(joint, f"socket_{which}_frame").text = f"{carrier}_offset"
        child_element(frame, "socket_parent").text = f"/bodyset/{carrier}"
        set_child_numbers(frame, "translation", centre)
        child_element(frame, "orientation").text = "0 0 0"
    joints.append(weld_joint("head", name, neutral_offset(neutral, plan.split, "head")))
    return opensim_text(root)


def split_models() -> dict[str, str]:
    """{file: text of the model}."""
    whole = model_without_markers()
    articulation, paper = read_recipe("articulated").articulation, read_recipe("paper")
    assert articulation is not None
    assert paper.neck is not None
    freed = Body.from_text(free_levels(whole.osim, paper.freed))
    return {
        "articulated.osim": articulate_torso(whole.osim, articulation, neutral_poses(whole)),
        "paper.osim": carry_neck(freed.osim, paper.neck, neutral_poses(freed)),
    }


def model_without_markers() -> Body:
    """Pose2Sim's model as the recipe `coupled` uses it, without muscles and markers, as OpenSim writes it."""
    body = build_body("coupled", "blazepose")
    model = _opensim.load_opensim_model(body.osim)
    model.updMarkerSet().clearAndDestroy()
    model.setName(WHOLE_MODEL_NAME)
    return finished_body(model)


if __name__ == "__main__":
    for file, text in split_models().items():
        (models_folder() / file).write_text(text, encoding="utf-8")
        print(sha256(text.encode()).hexdigest(), file)  # lines of simspine/core/packaged.sha256
