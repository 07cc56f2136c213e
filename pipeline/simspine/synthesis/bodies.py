"""A subject's body: the articulated model with the subject's sizes, standing curve and disc motion, as an `.osim`.

Bodies and coordinates keep their names; each level gets three translations (`L5_S1_shift_forward`, `…_up`,
`…_right`). Angles of levels are 0 in the generic model's neutral pose, not in the subject's standing posture, which is
the default pose. So true and estimated angles of the same name are the same rotation of one vertebra on the other.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache

import numpy as np

from simspine.anatomy import osim as _opensim
from simspine.anatomy.body import Body, neutral_poses
from simspine.anatomy.curvature import Endplate, PointTuple, Vertebra, VertebraeOfBody, read_endplates, tilt_endplate
from simspine.anatomy.marker_sets import Place, read_marker_set
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES
from simspine.anatomy.recipes import VIRTUAL_SUFFIX, Recipe, build_body, read_recipe
from simspine.anatomy.split_torso import CLAVICLE_MOTIONS, carried_vertebrae, girdle_angle
from simspine.core.skeletons import VERTEBRA_OF
from simspine.synthesis import standing_posture
from simspine.synthesis.population import SHIFT_DIRECTIONS, SyntheticSubject, population_articulation
from simspine.synthesis.signals import read_sided_table


@cache
def body_landmarks() -> dict[str, tuple[str, tuple[float, float, float]]]:
    """{landmark: (body, offset in m)}. Names of sided ones end in `_r` or `_l`, or begin with R or L (eyes and ears at
    their anatomical places, not where detectors place them)."""
    landmarks = {}
    for name, (body, forward, up, right) in read_sided_table("landmarks.yaml").items():
        sign = -1.0 if name.endswith("_l") or name.startswith("L") else 1.0
        landmarks[name] = (body, (forward, up, sign * right))
    return landmarks


FLOOR_CONTACTS = tuple(
    f"{name}_{side}" for name in ("sole_heel", "sole_inner", "sole_outer", "sole_toes", "seat") for side in "rl"
)
HIP_POINTS = ("RHip", "LHip")  # points on the pelvis that move with the hip centres
MAX_SHIFT_M = 0.006  # m; largest translation of a level in either direction


@dataclass(frozen=True, eq=False)
class TruthBody:
    """A subject's true body. body: the model; its default pose is the standing posture. vertebrae: centres and
    endplates in its bodies. sizes, posture: from which it was made.
    """

    body: Body
    vertebrae: VertebraeOfBody
    sizes: standing_posture.BodySizes
    posture: standing_posture.StandingPosture


@lru_cache(maxsize=16)
def truth_body(subject: SyntheticSubject) -> TruthBody:
    """Make the body of a subject; equal subjects give equal files. Takes about two seconds."""
    recipe, base = unscaled_body()
    generic = unscaled_measures(recipe, base)
    sizes = standing_posture.sizes_of(subject, generic)
    vertebrae = {level: _own_vertebra(v, sizes) for level, v in generic.vertebrae.items()}
    posture = standing_posture.find_standing_posture(subject, generic, sizes, vertebrae)
    sizes = standing_posture.with_leg_lengths(subject, generic, sizes, posture)
    scaled = _opensim.load_opensim_model(base.osim)
    scaled.initSystem()
    _opensim.scale_opensim_model(scaled, sizes.factors, subject.mass)
    root = ET.fromstring(_opensim.opensim_model_xml(scaled))
    model = _child_element(root, "Model")
    model.set("name", f"virtual_{subject.name}")
    joints = _child_element(model, "JointSet/objects")
    for k, level in enumerate(generic.levels):
        _edit_level(joints, level, sizes.below[k], sizes.above[k])
    for side in "rl":
        joint = _joint_of(joints, girdle_angle(CLAVICLE_MOTIONS[0], side))
        _joint_centre(joint, "parent").text = _numbers_text(generic.breastbone[side] * sizes.thorax)
        hip = _joint_centre(_joint_of(joints, f"hip_flexion_{side}"), "parent")
        hip.text = _numbers_text(np.array((hip.text or "").split(), float) + sizes.hips)
    _set_standing_defaults(joints, posture.pose, generic)
    places = _marker_places(recipe, sizes, vertebrae)
    _child_element(model, "MarkerSet/objects")[:] = [_marker_element(name, place) for name, place in places.items()]
    ET.indent(root, "\t")
    osim = ET.tostring(root, encoding="unicode", xml_declaration=True)
    return TruthBody(Body.from_text(osim, f"the body of {subject.name}"), vertebrae, sizes, posture)


@cache
def unscaled_body() -> tuple[Recipe, Body]:
    """The articulated recipe, and its body with spine points at vertebral centres; takes four seconds, once."""
    recipe = read_recipe("articulated")
    return recipe, build_body(recipe, "vertebral")


def unscaled_measures(recipe: Recipe, base: Body) -> standing_posture.Generic:
    """Measures of the unscaled articulated body."""
    joints = _child_element(ET.fromstring(base.osim), "Model/JointSet/objects")
    plan, poses = population_articulation(), neutral_poses(base)

    def centre(coordinate: str, which: str) -> np.ndarray:
        return np.array((_joint_centre(_joint_of(joints, coordinate), which).text or "").split(), float)

    def height(name: str) -> float:
        return float(poses[name][1, 3])

    ranges = {}
    for coordinate in joints.iter("Coordinate"):
        low, high = (float(v) for v in coordinate.findtext("range", "").split())
        ranges[coordinate.attrib["name"]] = (low, high)
    return standing_posture.Generic(
        levels=plan.levels,
        chain=plan.chain,
        below=np.array([centre(f"{level}_{LEVEL_AXIS_COORDINATES[0]}", "parent") for level in plan.levels]),
        above=np.array([centre(f"{level}_{LEVEL_AXIS_COORDINATES[0]}", "child") for level in plan.levels]),
        vertebrae=carried_vertebrae(plan, read_endplates()),
        sacrum=(poses["sacrum"] @ [0, 0, 0, 1] - poses["pelvis"] @ [0, 0, 0, 1])[:3],
        hips=centre("hip_flexion_r", "parent") * [1, 1, 0],
        breastbone={side: centre(girdle_angle(CLAVICLE_MOTIONS[0], side), "parent") for side in "rl"},
        vertex=np.array(recipe.stature_top.offset),
        thigh=height("femur_r") - height("tibia_r"),
        shank=height("tibia_r") - height("talus_r"),
        foot=height("talus_r") - height("calcn_r"),
        stature=float((poses["head"] @ [*recipe.stature_top.offset, 1])[1]) - height("calcn_r"),
        ranges=ranges,
        segments={segment.name: segment.bodies for segment in recipe.segments},
    )


def _own_vertebra(vertebra: Vertebra, sizes: standing_posture.BodySizes) -> Vertebra:
    """The vertebra in the subject's size, with its endplates tilted."""
    factor = sizes.factors[vertebra.body]
    inferior, superior = sizes.wedge.get(vertebra.body, np.zeros(2))

    def own(plate: Endplate | None, tilt: float) -> Endplate | None:
        return (
            None if plate is None else replace(tilt_endplate(plate, tilt), centre=_scaled_point(factor, plate.centre))
        )

    return replace(
        vertebra,
        centroid=_scaled_point(factor, vertebra.centroid),
        superior=own(vertebra.superior, superior),
        inferior=own(vertebra.inferior, inferior),
    )


def _edit_level(joints: ET.Element, level: str, below: np.ndarray, above: np.ndarray) -> None:
    """Set a level's joint centre in both vertebrae, and add three translations."""
    joint = _joint_of(joints, f"{level}_{LEVEL_AXIS_COORDINATES[0]}")
    for which, point in (("parent", below), ("child", above)):
        _joint_centre(joint, which).text = _numbers_text(point)
    for number, direction in enumerate(SHIFT_DIRECTIONS, start=1):
        name = f"{level}_shift_{direction}"
        _child_element(joint, "coordinates").append(
            ET.fromstring(
                f'<Coordinate name="{name}"><default_value>0</default_value>'
                f"<range>{-MAX_SHIFT_M} {MAX_SHIFT_M}</range><clamped>true</clamped><locked>false</locked></Coordinate>"
            )
        )
        axis = _child_element(joint, f"SpatialTransform/*[@name='translation{number}']")
        coordinates = _child_element(axis, "coordinates")
        coordinates.text = name
        straight = '<LinearFunction name="function"><coefficients>1 0</coefficients></LinearFunction>'
        axis[:] = [coordinates, _child_element(axis, "axis"), ET.fromstring(straight)]


def _set_standing_defaults(joints: ET.Element, pose: Mapping[str, float], generic: standing_posture.Generic) -> None:
    """Make standing the default pose. Ranges of levels and clavicles are shifted by the subject's standing angles."""
    for coordinate in joints.iter("Coordinate"):
        name = coordinate.attrib["name"]
        if name not in pose:
            continue
        _child_element(coordinate, "default_value").text = _numbers_text(pose[name])
        if name.startswith((*generic.levels, "clavicle")):
            _child_element(coordinate, "range").text = _numbers_text(np.add(generic.ranges[name], pose[name]))


def _marker_places(recipe: Recipe, sizes: standing_posture.BodySizes, vertebrae: VertebraeOfBody) -> dict[str, Place]:
    """Places of the 37 points, vertebral centres, the released spine points (`_virtual`) and landmarks."""
    plan = population_articulation()

    def scaled(name: str, place: Place) -> Place:
        body, offset = plan.relocate(place.body, place.offset, name)
        if name in HIP_POINTS:
            return Place(body, tuple(np.add(_scaled_point(sizes.factors[body], offset), sizes.hips)))
        # points of the torso that are on no vertebra or clavicle are scaled with the rib cage
        ribs = place.body == plan.split and body in plan.chain
        return Place(body, _scaled_point(sizes.thorax if ribs else sizes.factors[body], offset))

    landmarks = {name: scaled(name, Place(body, offset)) for name, (body, offset) in body_landmarks().items()}
    points = {name: scaled(name, place) for name, place in read_marker_set("vertebral").places.items()}
    centres = {level: Place(v.body, v.centroid) for level, v in vertebrae.items()}
    points |= {name: centres[level] for name, level in VERTEBRA_OF.items()}
    released = {name + VIRTUAL_SUFFIX: scaled(name, place) for name, place in recipe.virtual.items()}
    return points | centres | released | landmarks


def _marker_element(name: str, place: Place) -> ET.Element:
    return ET.fromstring(
        f'<Marker name="{name}"><socket_parent_frame>/bodyset/{place.body}</socket_parent_frame>'
        f"<location>{_numbers_text(place.offset)}</location><fixed>true</fixed></Marker>"
    )


def _joint_of(joints: ET.Element, coordinate: str) -> ET.Element:
    return next(joint for joint in joints if any(c.get("name") == coordinate for c in joint.iter("Coordinate")))


def _joint_centre(joint: ET.Element, which: str) -> ET.Element:
    """The element of a joint's centre in its 'parent' or 'child' body."""
    name = joint.findtext(f"socket_{which}_frame", "").strip()
    return _child_element(joint, f"frames/PhysicalOffsetFrame[@name='{name}']/translation")


def _child_element(element: ET.Element, path: str) -> ET.Element:
    found = element.find(path)
    assert found is not None, path  # the package's own model file has all of them
    return found


def _scaled_point(factor: float, point: PointTuple) -> PointTuple:
    x, y, z = point
    return factor * x, factor * y, factor * z


def _numbers_text(values) -> str:
    """Numbers in a model file's format, without rounding."""
    return " ".join(repr(float(v)) for v in np.atleast_1d(values))
