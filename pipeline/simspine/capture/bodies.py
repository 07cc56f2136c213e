"""A subject's body: the articulated model with this person's sizes, standing curve and moving discs, as an `.osim`.

Bodies and coordinates keep their names; each level gets three translations (`L5_S1_shift_forward`, `…_up`,
`…_right`). A level's angles are 0 where the generic model's are, not where this person stands: the standing curve is
the default pose. So a true angle and an estimated one of the same name mean the same rotation of one vertebra on the
other.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from simspine.body import _opensim
from simspine.body.articulation import Point, carried_vertebrae
from simspine.body.girdle import MOTIONS, girdle_angle
from simspine.body.kinematics import neutral_poses
from simspine.body.marker_sets import Place, read_marker_set
from simspine.body.model import Body
from simspine.body.recipes import VIRTUAL, Recipe, build, read_recipe
from simspine.capture.body_landmarks import face, landmarks
from simspine.capture.population import AXES, SHIFTS, articulation
from simspine.capture.standing_posture import (
    BodySizes,
    Generic,
    StandingPosture,
    sizes_of,
    standing_posture,
    with_legs,
)
from simspine.capture.subjects import SyntheticSubject
from simspine.skeletons.vertebrae import VERTEBRA_OF
from simspine.spine.endplates import Endplate, Vertebra, Vertebrae, read_endplates, tilted

HIPS = ("RHip", "LHip")  # points on the pelvis beside the hip centres
SHIFT_LIMIT = 0.006  # m; of a level's translation either way


@dataclass(frozen=True, eq=False)
class TruthBody:
    """body: the model, in whose default pose the subject stands. vertebrae: centres and endplates on it. sizes,
    posture: how it was made.
    """

    body: Body
    vertebrae: Vertebrae
    sizes: BodySizes
    posture: StandingPosture


@lru_cache(maxsize=16)
def truth_body(subject: SyntheticSubject) -> TruthBody:
    """The body of a subject; equal subjects give equal files. Takes about two seconds."""
    recipe, base = unscaled()
    generic = measured(recipe, base)
    sizes = sizes_of(subject, generic)
    vertebrae = {level: _own_vertebra(v, sizes) for level, v in generic.vertebrae.items()}
    posture = standing_posture(subject, generic, sizes, vertebrae)
    sizes = with_legs(subject, generic, sizes, posture)
    root = ET.fromstring(_scaled(base, sizes.factors, subject.mass))
    model = _child(root, "Model")
    model.set("name", f"virtual_{subject.name}")
    joints = _child(model, "JointSet/objects")
    for k, level in enumerate(generic.levels):
        _edit_level(joints, level, sizes.below[k], sizes.above[k])
    for side in "rl":
        joint = _joint_of(joints, girdle_angle(MOTIONS[0], side))
        _centre(joint, "parent").text = _text(generic.breastbone[side] * sizes.thorax)
        hip = _centre(_joint_of(joints, f"hip_flexion_{side}"), "parent")
        hip.text = _text(np.array((hip.text or "").split(), float) + sizes.hips)
    _stand(joints, posture.pose, generic)
    places = _places(recipe, sizes, vertebrae)
    _child(model, "MarkerSet/objects")[:] = [_marker(name, place) for name, place in places.items()]
    ET.indent(root, "\t")
    osim = ET.tostring(root, encoding="unicode", xml_declaration=True)
    return TruthBody(Body.from_text(osim, f"the body of {subject.name}"), vertebrae, sizes, posture)


@cache
def unscaled() -> tuple[Recipe, Body]:
    """The articulated recipe and its body with spine points in vertebral centres; four seconds, once."""
    recipe = read_recipe("articulated")
    return recipe, build(recipe, "vertebral")


def measured(recipe: Recipe, base: Body) -> Generic:
    """Measures of the unscaled articulated body."""
    joints = _child(ET.fromstring(base.osim), "Model/JointSet/objects")
    plan, poses = articulation(), neutral_poses(base)

    def centre(coordinate: str, which: str) -> np.ndarray:
        return np.array((_centre(_joint_of(joints, coordinate), which).text or "").split(), float)

    def height(name: str) -> float:
        return float(poses[name][1, 3])

    ranges = {}
    for coordinate in joints.iter("Coordinate"):
        low, high = (float(v) for v in coordinate.findtext("range", "").split())
        ranges[coordinate.attrib["name"]] = (low, high)
    return Generic(
        levels=plan.levels,
        chain=plan.chain,
        below=np.array([centre(f"{level}_{AXES[0]}", "parent") for level in plan.levels]),
        above=np.array([centre(f"{level}_{AXES[0]}", "child") for level in plan.levels]),
        vertebrae=carried_vertebrae(plan, read_endplates()),
        sacrum=(poses["sacrum"] @ [0, 0, 0, 1] - poses["pelvis"] @ [0, 0, 0, 1])[:3],
        hips=centre("hip_flexion_r", "parent") * [1, 1, 0],
        breastbone={side: centre(girdle_angle(MOTIONS[0], side), "parent") for side in "rl"},
        vertex=np.array(recipe.stature_top.offset),
        thigh=height("femur_r") - height("tibia_r"),
        shank=height("tibia_r") - height("talus_r"),
        foot=height("talus_r") - height("calcn_r"),
        stature=float((poses["head"] @ [*recipe.stature_top.offset, 1])[1]) - height("calcn_r"),
        ranges=ranges,
        segments={segment.name: segment.bodies for segment in recipe.segments},
    )


def _own_vertebra(vertebra: Vertebra, sizes: BodySizes) -> Vertebra:
    """Grown, and with its endplates tilted as this person's are."""
    factor = sizes.factors[vertebra.body]
    inferior, superior = sizes.wedge.get(vertebra.body, np.zeros(2))

    def own(plate: Endplate | None, tilt: float) -> Endplate | None:
        return None if plate is None else replace(tilted(plate, tilt), centre=_times(factor, plate.centre))

    return replace(
        vertebra,
        centroid=_times(factor, vertebra.centroid),
        superior=own(vertebra.superior, superior),
        inferior=own(vertebra.inferior, inferior),
    )


def _scaled(base: Body, factors: Mapping[str, float], mass: float) -> str:
    osim = _opensim.api()
    model = _opensim.load(base.osim)
    state = model.initSystem()
    scales = osim.ScaleSet()
    for name, factor in factors.items():
        scale = osim.Scale()
        scale.setSegmentName(name)
        scale.setScaleFactors(osim.Vec3(factor, factor, factor))
        scale.setApply(True)
        scales.cloneAndAppend(scale)
    model.scale(state, scales, True, float(mass))
    return _opensim.text(model)


def _edit_level(joints: ET.Element, level: str, below: np.ndarray, above: np.ndarray) -> None:
    """Put the joint's centre where it is in both vertebrae, and give it three translations."""
    joint = _joint_of(joints, f"{level}_{AXES[0]}")
    for which, point in (("parent", below), ("child", above)):
        _centre(joint, which).text = _text(point)
    for number, direction in enumerate(SHIFTS, start=1):
        name = f"{level}_shift_{direction}"
        _child(joint, "coordinates").append(
            ET.fromstring(
                f'<Coordinate name="{name}"><default_value>0</default_value>'
                f"<range>{-SHIFT_LIMIT} {SHIFT_LIMIT}</range><clamped>true</clamped><locked>false</locked></Coordinate>"
            )
        )
        axis = _child(joint, f"SpatialTransform/*[@name='translation{number}']")
        coordinates = _child(axis, "coordinates")
        coordinates.text = name
        straight = '<LinearFunction name="function"><coefficients>1 0</coefficients></LinearFunction>'
        axis[:] = [coordinates, _child(axis, "axis"), ET.fromstring(straight)]


def _stand(joints: ET.Element, pose: Mapping[str, float], generic: Generic) -> None:
    """Defaults: standing, arms hanging. The ranges of levels and shoulders count from this person's own rest."""
    for coordinate in joints.iter("Coordinate"):
        name = coordinate.attrib["name"]
        if name not in pose:
            continue
        _child(coordinate, "default_value").text = _text(pose[name])
        if name.startswith((*generic.levels, "clavicle")):
            _child(coordinate, "range").text = _text(np.add(generic.ranges[name], pose[name]))


def _places(recipe: Recipe, sizes: BodySizes, vertebrae: Vertebrae) -> dict[str, Place]:
    """The 37 points, vertebral centres by level, the released places of the spine's points (`_virtual`), landmarks."""
    plan = articulation()

    def grown(name: str, place: Place) -> Place:
        body, offset = plan.relocate(place.body, place.offset, name)
        if name in HIPS:
            return Place(body, tuple(np.add(_times(sizes.factors[body], offset), sizes.hips)))
        # what is neither vertebra nor clavicle grows with the rib cage
        ribs = place.body == plan.split and body in plan.origins
        return Place(body, _times(sizes.thorax if ribs else sizes.factors[body], offset))

    ears_and_eyes = {name: Place(body, offset) for name, (body, offset) in face().items()}
    points = {name: grown(name, p) for name, p in {**read_marker_set("vertebral").places, **ears_and_eyes}.items()}
    centres = {level: Place(v.body, v.centroid) for level, v in vertebrae.items()}
    points |= {name: centres[level] for name, level in VERTEBRA_OF.items()}
    released = {name + VIRTUAL: grown(name, place) for name, place in recipe.virtual.items()}
    others = {name: grown(name, Place(body, offset)) for name, (body, offset) in landmarks().items()}
    return points | centres | released | others


def _marker(name: str, place: Place) -> ET.Element:
    return ET.fromstring(
        f'<Marker name="{name}"><socket_parent_frame>/bodyset/{place.body}</socket_parent_frame>'
        f"<location>{_text(place.offset)}</location><fixed>true</fixed></Marker>"
    )


def _joint_of(joints: ET.Element, coordinate: str) -> ET.Element:
    return next(joint for joint in joints if any(c.get("name") == coordinate for c in joint.iter("Coordinate")))


def _centre(joint: ET.Element, which: str) -> ET.Element:
    """A joint's centre in its 'parent' or 'child' body."""
    name = joint.findtext(f"socket_{which}_frame", "").strip()
    return _child(joint, f"frames/PhysicalOffsetFrame[@name='{name}']/translation")


def _child(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path)
    assert found is not None, path  # our own model's file has them all
    return found


def _times(factor: float, point: Point) -> Point:
    x, y, z = point
    return factor * x, factor * y, factor * z


def _text(values) -> str:
    return " ".join(repr(float(v)) for v in np.atleast_1d(values))
