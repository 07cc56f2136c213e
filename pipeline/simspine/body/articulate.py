"""Rewrite a model file: a rigid torso becomes vertebrae with a joint per level and clavicles, lumbar couplers go.

XML in, XML out. In the neutral pose nothing moves: new frames are parallel to the old one, what it carried keeps its
place.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from copy import deepcopy

import numpy as np

from simspine.body.articulation import Articulation
from simspine.body.girdle import LEFT, MOTIONS, RIGHT, Clavicles, clavicle, girdle_angle
from simspine.errors import InputError
from simspine.priors.rhythm import AXES
from simspine.spine.endplates import MESH_LEVELS


def articulate(osim: str, plan: Articulation, neutral: Mapping[str, np.ndarray]) -> str:
    """The text of an `.osim` file with the plan carried out.

    osim: a model without muscles, as OpenSim 4 writes it. neutral: {body: (4, 4)} poses in its neutral pose. Raises
    `InputError` naming what the model lacks.
    """
    root = ET.fromstring(osim)
    bodies, joints = _child(root, "Model/BodySet/objects"), _child(root, "Model/JointSet/objects")
    template = deepcopy(joint_below(joints, plan.split))
    joints.remove(_named(joints, plan.replaced_joint))
    _split_body(bodies, plan)
    _rehang(joints, plan)
    if plan.clavicles is not None:
        for side in (RIGHT, LEFT):
            bodies.append(_massless_body(clavicle(side)))
            joints.append(_sternoclavicular(plan, plan.clavicles, side))
    for level in plan.levels:
        if plan.pair(level)[0] in plan.origins:
            joints.append(_level_joint(deepcopy(template), plan, level, neutral))
    for name, carrier in plan.weld.items():
        _weld(joints, name, carrier, neutral)
    _uncouple(_child(root, "Model/ConstraintSet/objects"), {c.get("name", "") for c in joints.iter("Coordinate")}, plan)
    _limit(joints, plan)
    ET.indent(root, "\t")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def _split_body(bodies: ET.Element, plan: Articulation) -> None:
    whole = _named(bodies, plan.split)
    first = list(bodies).index(whole)
    bodies.remove(whole)
    frames = whole.findall("components/PhysicalOffsetFrame")
    masses = split_mass(plan, *(_numbers(whole, key) for key in ("mass", "mass_center", "inertia")))
    for at, (name, origin) in enumerate(plan.origins.items(), first):
        body = deepcopy(whole)
        body.set("name", name)
        components = _child(body, "components")
        components[:] = [deepcopy(f) for f in frames if _carrier(f, plan) == name]
        for frame in components:
            _shift(frame, origin)
        for child in body.findall("WrapObjectSet"):  # the muscles that wrapped around it are gone
            body.remove(child)
        for key, value in zip(("mass", "mass_center", "inertia"), masses[name], strict=True):
            _write(body, key, value)
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
            _named(joints, arm)
    for joint in joints:
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if _read(frame, "socket_parent") == f"/bodyset/{plan.split}":
                child = _read(joint, "socket_child_frame") == frame.get("name")
                name = lowest if child else plan.holder(joint.get("name", ""))
                _child(frame, "socket_parent").text = f"/bodyset/{name}"
                _shift(frame, plan.new_bodies[name])


def _massless_body(name: str) -> ET.Element:
    """Its mass is in the vertebrae's already; what hangs from it has inertia, as equations of motion need."""
    return ET.fromstring(
        f'<Body name="{name}"><mass>0</mass><mass_center>0 0 0</mass_center><inertia>0 0 0 0 0 0</inertia></Body>'
    )


def _sternoclavicular(plan: Articulation, clavicles: Clavicles, side: str) -> ET.Element:
    """The joint of a clavicle with the vertebra that carries the rib cage."""
    body, axes = clavicle(side), clavicles.axes(side)
    angles, turns = "", ""
    for number, motion in enumerate(MOTIONS, start=1):
        name, limits = girdle_angle(motion, side), _text(clavicles.ranges[motion])
        angles += (
            f'<Coordinate name="{name}"><default_value>0</default_value><range>{limits}</range>'
            "<clamped>true</clamped><locked>false</locked></Coordinate>"
        )
        turns += (
            f'<TransformAxis name="rotation{number}"><coordinates>{name}</coordinates>'
            f"<axis>{_text(axes[motion])}</axis>"
            '<LinearFunction name="function"><coefficients>1 0</coefficients></LinearFunction></TransformAxis>'
        )
    third = _text(np.cross(axes[MOTIONS[0]], axes[MOTIONS[1]]))
    turns += _fixed_axis("rotation3", third)
    turns += "".join(_fixed_axis(f"translation{i + 1}", _text(axis)) for i, axis in enumerate(np.eye(3)))
    place = np.subtract(clavicles.origins[body], plan.origins[plan.girdle])
    return ET.fromstring(
        f'<CustomJoint name="sternoclavicular_{side}"><socket_parent_frame>{plan.girdle}_offset</socket_parent_frame>'
        f"<socket_child_frame>{body}_offset</socket_child_frame><coordinates>{angles}</coordinates>"
        f"<frames>{_frames((plan.girdle, _text(place)), (body, '0 0 0'))}</frames>"
        f"<SpatialTransform>{turns}</SpatialTransform></CustomJoint>"
    )


def _fixed_axis(name: str, axis: str) -> str:
    return (
        f'<TransformAxis name="{name}"><coordinates /><axis>{axis}</axis>'
        '<Constant name="function"><value>0</value></Constant></TransformAxis>'
    )


def _frames(*places: tuple[str, str]) -> str:
    """Frames of a joint in (body, place); their axes are the body's."""
    return "".join(
        f'<PhysicalOffsetFrame name="{body}_offset"><socket_parent>/bodyset/{body}</socket_parent>'
        f"<translation>{place}</translation><orientation>0 0 0</orientation></PhysicalOffsetFrame>"
        for body, place in places
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
        name = _read(joint, f"socket_{which}_frame")
        frame = next(f for f in joint.iter("PhysicalOffsetFrame") if f.get("name") == name)
        frame.set("name", f"{body}_offset")
        _child(joint, f"socket_{which}_frame").text = f"{body}_offset"
        _child(frame, "socket_parent").text = f"/bodyset/{body}"
        origin = plan.origins[body] if body in plan.origins else _offset(neutral, plan.split, body)
        _write(frame, "translation", centre - origin)
        _child(frame, "orientation").text = "0 0 0"
    return joint


def _offset(neutral: Mapping[str, np.ndarray], parent: str, child: str) -> np.ndarray:
    """Place (3,) of a body in another in the neutral pose. They must be parallel, as all along the spine are."""
    pose = np.linalg.inv(neutral[parent]) @ neutral[child]
    if not np.allclose(pose[:3, :3], np.eye(3), atol=1e-8):
        raise InputError(f"bodies {parent!r} and {child!r} are turned against one another in the neutral pose.")
    return pose[:3, 3]


def _weld(joints: ET.Element, name: str, carrier: str, neutral: Mapping[str, np.ndarray]) -> None:
    """Fix a body to another where it is in the neutral pose."""
    joints.remove(joint_below(joints, name))
    offset = _text(_offset(neutral, carrier, name))
    frames = _frames((carrier, offset), (name, "0 0 0"))
    weld = (
        f'<WeldJoint name="{name}_weld"><socket_parent_frame>{carrier}_offset</socket_parent_frame>'
        f"<socket_child_frame>{name}_offset</socket_child_frame><frames>{frames}</frames></WeldJoint>"
    )
    joints.append(ET.fromstring(weld))


def _uncouple(constraints: ET.Element, coordinates: set[str], plan: Articulation) -> None:
    """Remove the couplers of the levels, and of coordinates that are gone."""
    freed = {f"{level}_{axis}" for level in plan.levels for axis in AXES}
    for coupler in list(constraints):
        dependent = coupler.findtext("dependent_coordinate_name", "").strip()
        if dependent in freed or (dependent and dependent not in coordinates):
            constraints.remove(coupler)


def _limit(joints: ET.Element, plan: Articulation) -> None:
    found = {c.get("name"): c for c in joints.iter("Coordinate")}
    for region in plan.regions:
        for axis, motions in zip(AXES, region.axes, strict=True):
            for level, low, high in zip(region.levels, motions.lower, motions.upper, strict=True):
                coordinate = found[f"{level}_{axis}"]
                _write(coordinate, "range", (low, high))
                _child(coordinate, "clamped").text = "true"
                _child(coordinate, "default_value").text = "0"


def joint_below(joints: ET.Element, body: str) -> ET.Element:
    """The joint whose child is `body`."""
    for joint in joints:
        child = _read(joint, "socket_child_frame")
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if frame.get("name") == child and _read(frame, "socket_parent") == f"/bodyset/{body}":
                return joint
    raise InputError(f"the model has no joint that carries the body {body!r}; is the base model another one?")


def _named(objects: ET.Element, name: str) -> ET.Element:
    for element in objects:
        if element.get("name") == name:
            return element
    raise InputError(f"the model has no {name!r}; is the base model another one?")


def _shift(frame: ET.Element, origin: Sequence[float]) -> None:
    """Express a frame's place from a new origin."""
    _write(frame, "translation", _numbers(frame, "translation") - np.asarray(origin))


def _child(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path)
    if found is None:
        raise InputError(
            f"the model's {element.get('name', element.tag)!r} has no {path}; is the base model another one?"
        )
    return found


def _read(element: ET.Element, tag: str) -> str:
    return (_child(element, tag).text or "").strip()


def _write(element: ET.Element, tag: str, values) -> None:
    _child(element, tag).text = _text(values)


def _numbers(element: ET.Element, tag: str) -> np.ndarray:
    return np.array(_read(element, tag).split(), float)


def _text(values) -> str:
    return " ".join(repr(float(v)) for v in np.atleast_1d(values))
