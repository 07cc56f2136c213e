"""A spine of single vertebrae: which bodies, joints and regions it has, and a model file rewritten to have them.

`articulate_torso` takes XML and gives XML: a rigid torso becomes vertebrae with a joint per level and clavicles, lumbar
couplers go. In the neutral pose nothing moves: new frames are parallel to the old one, what it carried keeps its place.
The figures and their sources are in opensim_models/articulated.yaml.
"""

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.anatomy import model_edits as xml
from simspine.anatomy.curvature import MESH_LEVELS, Level, PointTuple, Vertebra, VertebraeOfBody, parse_point
from simspine.anatomy.model_edits import (
    CLAVICLE_MOTIONS,
    LEFT_SIDE,
    RIGHT_SIDE,
    Clavicles,
    NeckPiece,
    clavicle_body,
    clavicles_from,
    girdle_angle,
)
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelRegion, region_from
from simspine.core.errors import InputError
from simspine.io.guarded import opensim_text, opensim_xml


@dataclass(frozen=True)
class Articulation:
    """How a rigid body `split` becomes vertebrae. Points (m) are in the frame of `split`, whose axes they keep.

    chain: bodies from the sacrum to the head; between neighbours a level. girdle: the vertebra that gets what the
    rigid body carried, `carries` {point: new body} excepted. vertebrae: as measured on the unsplit model. centres:
    joint centres that are not discs. weld: {body: vertebra it is fixed to}. replaced_joint: removed with its neck.
    spacing: {'T1-T2': published distance of the centroids (mean, sd), m}. neutral_pitch: (24,) rad, pitches of the
    inter-centroid vectors in the neutral pose, from the head down (`simspine.anatomy.shape_model`). clavicles: what the
    arms hang from; None: from the girdle's vertebra.
    """

    split: str
    chain: tuple[str, ...]
    girdle: str
    carries: Mapping[str, str]
    vertebrae: VertebraeOfBody
    centres: Mapping[str, PointTuple]
    weld: Mapping[str, str]
    replaced_joint: str
    neck_mass_share: float
    regions: tuple[LevelRegion, ...]
    spacing: Mapping[str, tuple[float, float]]
    neutral_pitch: tuple[float, ...]
    clavicles: Clavicles | None = None

    def __post_init__(self):
        if len(self.levels) != len(self.chain) - 1:
            raise InputError(f"the chain of {len(self.chain)} bodies has {len(self.levels)} levels between them.")
        for used, known in (({self.girdle}, self.origins), (set(self.carries.values()), self.new_bodies)):
            if unknown := used - set(known):
                raise InputError(f"{', '.join(sorted(unknown))} is none of the split body's: {', '.join(known)}.")

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Prefixes of the levels' coordinates, from below."""
        return tuple(level for region in self.regions for level in region.levels)

    @cached_property
    def origins(self) -> dict[str, PointTuple]:
        """{vertebra that the rigid body is split into: its origin}, from below."""
        return {name: self.vertebrae[name].centroid for name in self.chain if name in self.vertebrae}

    @cached_property
    def new_bodies(self) -> dict[str, PointTuple]:
        """{body that replaces a part of the rigid one: its origin}: the vertebrae from below, then the clavicles."""
        return self.origins | ({} if self.clavicles is None else self.clavicles.origins)

    def centre(self, level: str) -> np.ndarray:
        """(3,) centre of a joint between two of the new bodies, or below the head."""
        if level in self.centres:
            return np.array(self.centres[level])
        below, above = self.pair(level)
        lower, upper = self.vertebrae[below].superior, self.vertebrae[above].inferior
        if lower is None or upper is None:
            raise InputError(f"level {level!r} has no disc between two endplates; give its centre in `centres`.")
        return np.mean([lower.centre, upper.centre], axis=0)

    def pair(self, level: str) -> tuple[str, str]:
        """The body below and the body above a level."""
        i = self.levels.index(level)
        return self.chain[i], self.chain[i + 1]

    def carrier(self, body: str, point: str) -> str:
        """The body that carries a point where `body` of the unsplit model may have been split."""
        return self.carries.get(point, self.girdle) if body == self.split else body

    def relocate(self, body: str, offset: PointTuple, point: str) -> tuple[str, PointTuple]:
        """Where a point of the unsplit model is on the split one: (body, offset). point: its name, see `carries`."""
        return self.relocate_to(self.carrier(body, point), body, offset)

    def relocate_to(self, carrier: str, body: str, offset: PointTuple) -> tuple[str, PointTuple]:
        """The same for a point whose `carrier` is known; it counts only where `body` was split."""
        return (carrier, _point_difference(offset, self.new_bodies[carrier])) if body == self.split else (body, offset)

    def bodies_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of bodies of the unsplit model → of the split one."""
        return tuple(new for name in names for new in (self.new_bodies if name == self.split else (name,)))

    def carried(self, vertebra: Vertebra) -> Vertebra:
        """The vertebra on the body that carries it."""
        if vertebra.body != self.split:
            return vertebra
        body, origin = vertebra.level, self.origins[vertebra.level]
        return vertebra.moved(body, lambda point: _point_difference(point, origin))

    def holder(self, joint: str) -> str:
        """The new body that a joint hangs from where it hung from the rigid one: a clavicle for an arm's."""
        return self.girdle if self.clavicles is None else self.clavicles.arms.get(joint, self.girdle)


def _point_difference(a: PointTuple, b: PointTuple) -> PointTuple:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


Partition = Articulation | NeckPiece  # how a rigid body of a model becomes several, and where that takes its points


def carried_vertebrae(partition: Partition | None, vertebrae: Mapping[str, Vertebra]) -> VertebraeOfBody:
    """Vertebrae (`simspine.anatomy.curvature`) on the bodies that carry them after the split; same place when neutral.

    Unchanged where nothing is split (None). Scale them afterwards, by the factors of the new bodies.
    """
    if partition is None:
        return dict(vertebrae)
    return {level: partition.carried(vertebra) for level, vertebra in vertebrae.items()}


def spine_levels(articulation: Articulation) -> tuple[Level, ...]:
    """Levels for `simspine.anatomy.vertebrae.spine_kinematics`: the joints, then sums, then segments in space."""
    short = {"sacrum": "S1", "head": "skull"} | {f"lumbar{i}": f"L{i}" for i in range(1, 6)}
    joints = []
    for level in articulation.levels:
        below, above = articulation.pair(level)
        coordinates = tuple(f"{level}_{axis}" for axis in LEVEL_AXIS_COORDINATES)
        joints.append(Level(f"{short.get(above, above)}-{short.get(below, below)}", below, above, coordinates))
    girdle = articulation.girdle
    sums = (Level("lumbar", "sacrum", "lumbar1"), Level("thoracic", "T12", "T1"), Level("neck", "T1", "head"))
    segments = (Level("pelvis", None, "pelvis"), Level("thorax", None, girdle))
    return (*joints, *sums, Level("thorax-pelvis", "pelvis", girdle), *segments)


def articulation_from(data: Mapping, regions: Mapping, vertebrae: VertebraeOfBody) -> Articulation:
    """From the entries `articulation` and `regions` of a recipe (degrees and mm) and the unsplit model's vertebrae."""
    return Articulation(
        split=str(data["split"]),
        chain=tuple(data["chain"]),
        girdle=str(data["girdle"]),
        carries=dict(data["carries"]),
        vertebrae={level: v for level, v in vertebrae.items() if v.body == data["split"]},
        centres={level: parse_point(place) for level, place in data["centres"].items()},
        weld=dict(data["weld"]),
        replaced_joint=str(data["replaced_joint"]),
        neck_mass_share=float(data["neck_mass_share"]),
        regions=tuple(region_from(name, entry) for name, entry in regions.items()),
        spacing={key: (mean / 1e3, sd / 1e3) for key, (mean, sd) in data["published_spacing_mm"].items()},
        neutral_pitch=tuple(np.radians(data["neutral_pitch"]).tolist()),
        clavicles=clavicles_from(data["clavicles"]) if "clavicles" in data else None,
    )


def articulate_torso(osim: str, plan: Articulation, neutral: Mapping[str, np.ndarray]) -> str:
    """The text of an `.osim` file with the plan carried out.

    osim: a model without muscles, as OpenSim 4 writes it. neutral: {body: (4, 4)} poses in its neutral pose. Raises
    `InputError` naming what the model lacks.
    """
    root = opensim_xml(osim)
    bodies, joints = xml.child_element(root, "Model/BodySet/objects"), xml.child_element(root, "Model/JointSet/objects")
    template = deepcopy(xml.joint_below(joints, plan.split))
    joints.remove(xml.named_object(joints, plan.replaced_joint))
    _split_body(bodies, plan)
    _rehang_joints(joints, plan)
    if plan.clavicles is not None:
        for side in (RIGHT_SIDE, LEFT_SIDE):
            bodies.append(xml.massless_body(clavicle_body(side)))
            joints.append(_sternoclavicular_joint(plan, plan.clavicles, side))
    for level in plan.levels:
        if plan.pair(level)[0] in plan.origins:
            joints.append(_level_joint(deepcopy(template), plan, level, neutral))
    for name, carrier in plan.weld.items():
        joints.remove(xml.joint_below(joints, name))
        joints.append(xml.weld_joint(name, carrier, xml.neutral_offset(neutral, carrier, name)))
    coordinates = {c.get("name", "") for c in joints.iter("Coordinate")}
    xml.remove_couplers(xml.child_element(root, "Model/ConstraintSet/objects"), plan.levels, coordinates)
    xml.limit_levels(joints, plan.regions)
    return opensim_text(root)


def _split_body(bodies: ET.Element, plan: Articulation) -> None:
    whole = xml.named_object(bodies, plan.split)
    first = list(bodies).index(whole)
    bodies.remove(whole)
    frames = whole.findall("components/PhysicalOffsetFrame")
    masses = split_mass(plan, *(xml.child_numbers(whole, key) for key in ("mass", "mass_center", "inertia")))
    for at, (name, origin) in enumerate(plan.origins.items(), first):
        body = deepcopy(whole)
        body.set("name", name)
        components = xml.child_element(body, "components")
        components[:] = [deepcopy(f) for f in frames if _carrier_of_frame(f, plan) == name]
        for frame in components:
            _shift_frame(frame, origin)
        for child in body.findall("WrapObjectSet"):  # the muscles that wrapped around it are gone
            body.remove(child)
        for key, value in zip(("mass", "mass_center", "inertia"), masses[name], strict=True):
            xml.set_child_numbers(body, key, value)
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
    x, y, z = (places + hang - centre).T
    moments = (y**2 + z**2, x**2 + z**2, x**2 + y**2, -x * y, -x * z, -y * z)
    spread = np.array([(share * moment).sum() for moment in moments])
    left = np.asarray(inertia, float) - float(mass[0]) * spread
    return {name: (s * float(mass[0]), hang, s * left) for name, s in zip(names, share, strict=True)}


def _carrier_of_frame(frame: ET.Element, plan: Articulation) -> str:
    """The new body for a frame with a mesh: that of the mesh's vertebra, else the girdle."""
    level = MESH_LEVELS.get(frame.findtext(".//mesh_file", "").strip())
    return level if level in plan.origins else plan.girdle


def _rehang_joints(joints: ET.Element, plan: Articulation) -> None:
    """Joints that the split body hung from, or that hung from it, get one of the new ones."""
    lowest = next(iter(plan.origins))
    if plan.clavicles is not None:
        for arm in plan.clavicles.arms:
            xml.named_object(joints, arm)
    for joint in joints:
        for frame in joint.findall("frames/PhysicalOffsetFrame"):
            if xml.child_text(frame, "socket_parent") == f"/bodyset/{plan.split}":
                child = xml.child_text(joint, "socket_child_frame") == frame.get("name")
                name = lowest if child else plan.holder(joint.get("name", ""))
                xml.child_element(frame, "socket_parent").text = f"/bodyset/{name}"
                _shift_frame(frame, plan.new_bodies[name])


def _sternoclavicular_joint(plan: Articulation, clavicles: Clavicles, side: str) -> ET.Element:
    """The joint of a clavicle with the vertebra that carries the rib cage."""
    body, axes = clavicle_body(side), clavicles.axes(side)
    angles, turns = "", ""
    for number, motion in enumerate(CLAVICLE_MOTIONS, start=1):
        name, limits = girdle_angle(motion, side), xml.numbers_text(clavicles.ranges[motion])
        angles += (
            f'<Coordinate name="{name}"><default_value>0</default_value><range>{limits}</range>'
            "<clamped>true</clamped><locked>false</locked></Coordinate>"
        )
        turns += (
            f'<TransformAxis name="rotation{number}"><coordinates>{name}</coordinates>'
            f"<axis>{xml.numbers_text(axes[motion])}</axis>"
            '<LinearFunction name="function"><coefficients>1 0</coefficients></LinearFunction></TransformAxis>'
        )
    third = xml.numbers_text(np.cross(axes[CLAVICLE_MOTIONS[0]], axes[CLAVICLE_MOTIONS[1]]))
    turns += _fixed_axis("rotation3", third)
    turns += "".join(_fixed_axis(f"translation{i + 1}", xml.numbers_text(axis)) for i, axis in enumerate(np.eye(3)))
    place = np.subtract(clavicles.origins[body], plan.origins[plan.girdle])
    return ET.fromstring(
        f'<CustomJoint name="sternoclavicular_{side}"><socket_parent_frame>{plan.girdle}_offset</socket_parent_frame>'
        f"<socket_child_frame>{body}_offset</socket_child_frame><coordinates>{angles}</coordinates>"
        f"<frames>{xml.joint_frames((plan.girdle, xml.numbers_text(place)), (body, '0 0 0'))}</frames>"
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
        name = xml.child_text(joint, f"socket_{which}_frame")
        frame = next(f for f in joint.iter("PhysicalOffsetFrame") if f.get("name") == name)
        frame.set("name", f"{body}_offset")
        xml.child_element(joint, f"socket_{which}_frame").text = f"{body}_offset"
        xml.child_element(frame, "socket_parent").text = f"/bodyset/{body}"
        origin = plan.origins[body] if body in plan.origins else xml.neutral_offset(neutral, plan.split, body)
        xml.set_child_numbers(frame, "translation", centre - origin)
        xml.child_element(frame, "orientation").text = "0 0 0"
    return joint


def _fixed_axis(name: str, axis: str) -> str:
    return (
        f'<TransformAxis name="{name}"><coordinates /><axis>{axis}</axis>'
        '<Constant name="function"><value>0</value></Constant></TransformAxis>'
    )


def _shift_frame(frame: ET.Element, origin: Sequence[float]) -> None:
    """Express a frame's place from a new origin."""
    xml.set_child_numbers(frame, "translation", xml.child_numbers(frame, "translation") - np.asarray(origin))
