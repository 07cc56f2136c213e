"""Base models whose rigid torso is split: the bodies that replace it, what they carry, and the levels of the spine.

The models are `opensim_models/articulated.osim` and `paper.osim`; `tools/split_models.py` made them of Pose2Sim's.
Recipes give places on the model with a rigid torso: `Partition` takes them to the new bodies.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.anatomy.curvature import Level, PointTuple, Vertebra, VertebraeOfBody, parse_point
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES, LevelRegion, region_from
from simspine.core.errors import InputError, require_known

RIGHT_SIDE, LEFT_SIDE = "r", "l"
CLAVICLE_MOTIONS = ("protraction", "elevation")  # in the order of the joint's rotations
ARTICULATION_KEYS = (
    "split", "chain", "girdle", "carries", "clavicle", "centres", "published_spacing_mm", "neutral_pitch",
)  # fmt: skip


def clavicle_body(side: str) -> str:
    """Name of the body that stands for clavicle and scapula. side: 'r' or 'l'.

    Its angles describe the position of the shoulder, not the orientation of the scapula on the ribs. Rotations are
    named and ordered as the ISB recommends for the sternoclavicular joint (Wu et al. 2005), but with the same sign on
    both sides: elevation is positive upwards, protraction forwards.
    """
    return f"clavicle_{side}"


def girdle_angle(motion: str, side: str) -> str:
    """Name of an angle: 'clavicle_elevation_r'."""
    return f"clavicle_{motion}_{side}"


@dataclass(frozen=True)
class Partition:
    """The rigid body `split` as several bodies, whose axes are parallel to its own.

    origins: {new body: its origin, m, in the frame of `split`}. carries: {point: new body}. vertebrae: {vertebra: new
    body that carries its bone}. rest: the new body that carries everything else.
    """

    split: str
    origins: Mapping[str, PointTuple]
    rest: str
    carries: Mapping[str, str]
    vertebrae: Mapping[str, str]

    def __post_init__(self):
        require_known("part of the split body", (self.rest, *self.carries.values()), self.origins)

    def carrier(self, body: str, point: str) -> str:
        """The body that carries a point of the unsplit model's `body`."""
        return self.carries.get(point, self.rest) if body == self.split else body

    def relocate(self, body: str, offset: PointTuple, point: str) -> tuple[str, PointTuple]:
        """(body, offset) on the split model of a point of the unsplit one. point: its name, see `carries`."""
        return self._place(body, offset, self.carrier(body, point))

    def relocate_on_bone(self, vertebra: str, body: str, offset: PointTuple) -> tuple[str, PointTuple]:
        """`relocate` for a point on the bone of a vertebra."""
        return self._place(body, offset, self.vertebrae.get(vertebra, self.rest))

    def bodies_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of bodies of the split model that replace those of the unsplit one."""
        return tuple(new for name in names for new in (self.origins if name == self.split else (name,)))

    def carried(self, vertebra: Vertebra) -> Vertebra:
        """The vertebra on the body that carries it."""
        if vertebra.body != self.split:
            return vertebra
        carrier = self.vertebrae.get(vertebra.level, self.rest)
        return vertebra.moved(carrier, lambda point: self._place(self.split, point, carrier)[1])

    def _place(self, body: str, offset: PointTuple, carrier: str) -> tuple[str, PointTuple]:
        if body != self.split:
            return body, offset
        x, y, z = self.origins[carrier]
        return carrier, (offset[0] - x, offset[1] - y, offset[2] - z)


WHOLE = Partition("", origins={"": (0.0, 0.0, 0.0)}, rest="", carries={}, vertebrae={})  # no body has this name


@dataclass(frozen=True)
class Articulation(Partition):
    """A torso that is split into single vertebrae and clavicles. Points (m) are in the frame of `split`.

    chain: bodies from the sacrum to the head; between neighbours a level. endplates: the vertebrae of the unsplit body.
    centres: joint centres that are not discs. spacing: {'T1-T2': published distance of the centroids (mean, sd), m}.
    neutral_pitch: (24,) rad, pitches of the inter-centroid vectors in the neutral pose, from the head down
    (`simspine.anatomy.shape_model`).
    """

    chain: tuple[str, ...]
    endplates: VertebraeOfBody
    centres: Mapping[str, PointTuple]
    regions: tuple[LevelRegion, ...]
    spacing: Mapping[str, tuple[float, float]]
    neutral_pitch: tuple[float, ...]

    def __post_init__(self):
        super().__post_init__()
        if len(self.levels) != len(self.chain) - 1:
            raise InputError(f"the chain of {len(self.chain)} bodies has {len(self.levels)} levels between them.")

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Prefixes of the levels' coordinates, from below."""
        return tuple(level for region in self.regions for level in region.levels)

    def centre(self, level: str) -> np.ndarray:
        """(3,) centre of a joint between two of the new bodies, or below the head."""
        if level in self.centres:
            return np.array(self.centres[level])
        below, above = self.pair(level)
        lower, upper = self.endplates[below].superior, self.endplates[above].inferior
        if lower is None or upper is None:
            raise InputError(f"level {level!r} has no disc between two endplates; give its centre in `centres`.")
        return np.mean([lower.centre, upper.centre], axis=0)

    def pair(self, level: str) -> tuple[str, str]:
        """The body below and the body above a level."""
        i = self.levels.index(level)
        return self.chain[i], self.chain[i + 1]


def carried_vertebrae(partition: Partition, vertebrae: Mapping[str, Vertebra]) -> VertebraeOfBody:
    """Vertebrae (`simspine.anatomy.curvature`) on the bodies that carry them after the split; same place when neutral.

    Scale them afterwards, by the factors of the new bodies.
    """
    return {level: partition.carried(vertebra) for level, vertebra in vertebrae.items()}


def spine_levels(articulation: Articulation) -> tuple[Level, ...]:
    """Levels for `simspine.anatomy.vertebrae.spine_kinematics`: the joints, then sums, then segments in space."""
    short = {"sacrum": "S1", "head": "skull"} | {f"lumbar{i}": f"L{i}" for i in range(1, 6)}
    joints = []
    for level in articulation.levels:
        below, above = articulation.pair(level)
        coordinates = tuple(f"{level}_{axis}" for axis in LEVEL_AXIS_COORDINATES)
        joints.append(Level(f"{short.get(above, above)}-{short.get(below, below)}", below, above, coordinates))
    girdle = articulation.rest
    sums = (Level("lumbar", "sacrum", "lumbar1"), Level("thoracic", "T12", "T1"), Level("neck", "T1", "head"))
    segments = (Level("pelvis", None, "pelvis"), Level("thorax", None, girdle))
    return (*joints, *sums, Level("thorax-pelvis", "pelvis", girdle), *segments)


def articulation_from(data: Mapping, regions: Mapping, vertebrae: VertebraeOfBody) -> Articulation:
    """From the entries `articulation` and `regions` of a recipe (degrees and mm) and the unsplit model's vertebrae."""
    require_known("key", data, ARTICULATION_KEYS, "articulation")
    split, chain, (x, y, z) = str(data["split"]), tuple(data["chain"]), parse_point(data["clavicle"])
    endplates = {level: vertebra for level, vertebra in vertebrae.items() if vertebra.body == split}
    vertebral = {name: endplates[name].centroid for name in chain if name in endplates}
    clavicles = {clavicle_body(RIGHT_SIDE): (x, y, z), clavicle_body(LEFT_SIDE): (x, y, -z)}
    return Articulation(
        split=split,
        origins=vertebral | clavicles,
        rest=str(data["girdle"]),
        carries=dict(data["carries"]),
        vertebrae={name: name for name in vertebral},
        chain=chain,
        endplates=endplates,
        centres={level: parse_point(place) for level, place in data["centres"].items()},
        regions=tuple(region_from(name, entry) for name, entry in regions.items()),
        spacing={key: (mean / 1e3, sd / 1e3) for key, (mean, sd) in data["published_spacing_mm"].items()},
        neutral_pitch=tuple(np.radians(data["neutral_pitch"]).tolist()),
    )


def neck_from(split: str, body: str, vertebrae: Sequence[str], carries: Sequence[str]) -> Partition:
    """A neck in one piece, from the entry `neck` of a recipe: `split` keeps its frame, which is the neck's as well."""
    return Partition(
        split=split,
        origins=dict.fromkeys((split, body), (0.0, 0.0, 0.0)),
        rest=split,
        carries=dict.fromkeys(carries, body),
        vertebrae=dict.fromkeys(vertebrae, body),
    )
