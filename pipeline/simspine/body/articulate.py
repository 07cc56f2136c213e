"""Rewrite a model file: a rigid torso becomes vertebrae with a joint per level and clavicles, lumbar couplers go.

XML in, XML out. In the neutral pose nothing moves: new frames are parallel to the old one, what it carried keeps its
place.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np

from simspine.body import xml_edits as xml
from simspine.body.articulation import Articulation
from simspine.body.girdle import LEFT, MOTIONS, RIGHT, Clavicles, clavicle, girdle_angle
from simspine.priors.rhythm import AXES
from simspine.spine.endplates import MESH_LEVELS


def articulate(osim: str, plan: Articulation, neutral: Mapping[str, np.ndarray]) -> str:
    """The text of an `.osim` file with the plan carried out.

    osim: a model without muscles, as OpenSim 4 writes it. neutral: {body: (4, 4)} poses in its neutral pose. Raises
    `InputError` naming what the model lacks.
    """
    root = ET.fromstring(osim)
    bodies, joints = xml.child(root, "Model/BodySet/objects"), xml.child(root, "Model/JointSet/objects")
    template = deepcopy(xml.joint_below(joints, plan.split))
    joints.remove(xml.named(joints, plan.replaced_joint))
    _split_body(bodies, plan)
    _rehang(joints, plan)
    if plan.clavicles is not None:
        for side in (RIGHT, LEFT):
            bodies.append(xml.massless_body(clavicle(side)))
            joints.append(_sternoclavicular(plan, plan.clavicles, side))
    for level in plan.levels:
        if plan.pair(level)[0] in plan.origins:
            joints.append(_level_joint(deepcopy(template), plan, level, neutral))
    for name, carrier in plan.weld.items():
        joints.remove(xml.joint_below(joints, name))
        joints.append(xml.weld(name, carrier, xml.offset(neutral, carrier, name)))
    coordinates = {c.get("name", "") for c in joints.iter("Coordinate")}
    xml.uncouple(xml.child(root, "Model/ConstraintSet/objects"), plan.levels, coordinates)
    xml.limit(joints, plan.regions)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _split_body(bodies: ET.Element, plan: Articulation) -> None:
    whole = xml.named(bodies, plan.split)
    first = list(bodies).index(whole)
    bodies.remove(whole)
    frames = whole.findall("components/PhysicalOffsetFrame")
    masses = split_mass(plan, *(xml.numbers(whole, key) for key in ("mass", "mass_center", "inertia")))
    for at, (name, origin) in enumerate(plan.origins.items(), first):
        body = deepcopy(whole)
        body.set("name", name)
        components = xml.child(body, "components")
        components[:] = [deepcopy(f) for f in frames if _carrier(f, plan) == name]
        for frame in components:
            _shift(frame, origin)
        for child in body.findall("WrapObjectSet"):  # the muscles that wrapped around it are gone
            body.remove(child)
        for key, value in zip(("mass", "mass_center", "inertia"), masses[name], strict=True):
            xml.write(body, key, value)
        bodies.insert(at, body)


def split_mass(plan: Articulation, mass, centre, inertia) -> dict[str, tuple[float, np.ndarray, np.ndarray]]:
    """Mass (kg), its centre (m, own frame), inertia (6,) about it, for each new body.

    Each slice hangs by the same vector from its vertebra, as ribs and what they hold hang forwards and down, so that
    the whole keeps its centre; what inertia the slices' places leave over is shared like the mass.
    """
    names = list(plan.origins)
    places = np.array(list(plan.origins.values()))
    spacing = np.gradient(places[:, 1])
    neck = np.array([name.startswith("C") for name in names])
    share = np.where(neck, plan.neck_mass_share, 1 - plan.neck_mass_share) * spacing
    share = share / np.where(neck, spacing[neck].sum(), spacing[~neck].sum())
    hang = np.asarray(centre, float) - share @ places
    d = places + hang - centre
    spread = np.array([(share * v).sum() for v in (
        d[:, 1] ** 2 + d[:, 2] ** 2, d[:, 0] ** 2 + d[:, 2] ** 2, d[:, 0] ** 2 + d[:, 1] ** 2,
        -d[:, 0] * d[:, 1], -d[:, 0] * d[:, 2], -d[:, 1] * d[:, 2],
    )])  # fmt: skip
    left = np.asarray(inertia, float) - float(mass[0]) * spread
    return {name: (s * float(mass[0]), hang, s * left) for name, s in zip(names, share, strict=True)}


def _carrier(frame: ET.Element, plan: Articulation) -> str:
    """The new body for a frame with a mesh: that of the mesh's vertebra, else the girdle."""
    level = MESH_LEVELS.get(frame.findtext(".//mesh_file", "").strip())
    return level if level in plan.origins else plan.girdle


def _rehang(joints: ET.Element, plan: Articulation) -> None:
    """Joints that the split body hung from, or that hung from it, get one of the new ones."""
    lowest = next(iter(plan.origins))
    if plan.clavicles is not None:
        for arm in plan.clavicles.arms:
            xml.named(joints, arm)
    for joint in joints:
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if xml.read(frame, "socket_parent") == f"/bodyset/{plan.split}":
                child = xml.read(joint, "socket_child_frame") == frame.get("name")
                name = lowest if child else plan.holder(joint.get("name", ""))
                xml.child(frame, "socket_parent").text = f"/bodyset/{name}"
                _shift(frame, plan.new_bodies[name])


def _sternoclavicular(plan: Articulation, clavicles: Clavicles, side: str) -> ET.Element:
    """The joint of a clavicle with the vertebra that carries the rib cage."""
    body, axes = clavicle(side), clavicles.axes(side)
    angles, turns = "", ""
    for number, motion in enumerate(MOTIONS, start=1):
        name, limits = girdle_angle(motion, side), xml.text(clavicles.ranges[motion])
        angles += (
            f'<Coordinate name="{name}"><default_value>0</default_value><range>{limits}</range>'
            "<clamped>true</clamped><locked>false</locked></Coordinate>"
        )
        turns += (
            f'<TransformAxis name="rotation{number}"><coordinates>{name}</coordinates>'
            f"<axis>{xml.text(axes[motion])}</axis>"
            '<LinearFunction name="function"><coefficients>1 0</coefficients></LinearFunction></TransformAxis>'
        )
    third = xml.text(np.cross(axes[MOTIONS[0]], axes[MOTIONS[1]]))
    turns += _fixed_axis("rotation3", third)
    turns += "".join(_fixed_axis(f"translation{i + 1}", xml.text(axis)) for i, axis in enumerate(np.eye(3)))
    place = np.subtract(clavicles.origins[body], plan.origins[plan.girdle])
    return ET.fromstring(
        f'<CustomJoint name="sternoclavicular_{side}"><socket_parent_frame>{plan.girdle}_offset</socket_parent_frame>'
        f"<socket_child_frame>{body}_offset</socket_child_frame><coordinates>{angles}</coordinates>"
        f"<frames>{xml.frames((plan.girdle, xml.text(place)), (body, '0 0 0'))}</frames>"
        f"<SpatialTransform>{turns}</SpatialTransform></CustomJoint>"
    )


def _level_joint(joint: ET.Element, plan: Articulation, level: str, neutral: Mapping[str, np.ndarray]) -> ET.Element:
    """The template with the level's name, bodies, centre and coordinates."""
    below, above = plan.pair(level)
    old = joint.get("name", "").split("_IVD")[0]
    joint.set("name", f"{level}_IVDjnt")
    for coordinate, axis in zip(joint.iter("Coordinate"), AXES, strict=True):
        coordinate.set("name", f"{level}_{axis}")
    for listed in joint.iterfind("SpatialTransform/TransformAxis/coordinates"):
        listed.text = (listed.text or "").replace(old, level)
    centre = plan.centre(level)
    for which, body in (("parent", below), ("child", above)):
        name = xml.read(joint, f"socket_{which}_frame")
        frame = next(f for f in joint.iter("PhysicalOffsetFrame") if f.get("name") == name)
        frame.set("name", f"{body}_offset")
        xml.child(joint, f"socket_{which}_frame").text = f"{body}_offset"
        xml.child(frame, "socket_parent").text = f"/bodyset/{body}"
        origin = plan.origins[body] if body in plan.origins else xml.offset(neutral, plan.split, body)
        xml.write(frame, "translation", centre - origin)
        xml.child(frame, "orientation").text = "0 0 0"
    return joint


def _fixed_axis(name: str, axis: str) -> str:
    return (
        f'<TransformAxis name="{name}"><coordinates /><axis>{axis}</axis>'
        '<Constant name="function"><value>0</value></Constant></TransformAxis>'
    )


def _shift(frame: ET.Element, origin: Sequence[float]) -> None:
    """Express a frame's place from a new origin."""
    xml.write(frame, "translation", xml.numbers(frame, "translation") - np.asarray(origin))
