"""A spine of single vertebrae: which bodies and joints it has, and which regions its levels form. Data only.

The file that makes a model of it is `articulate`; the figures and their sources are in opensim_models/articulated.yaml.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from simspine.body.girdle import Clavicles, clavicles_from
from simspine.errors import InputError
from simspine.priors.rhythm import AXES, LevelRegion, region_from
from simspine.spine.endplates import Point, Vertebra, Vertebrae, point_from
from simspine.spine.levels import Level


@dataclass(frozen=True)
class Articulation:
    """How a rigid body `split` becomes vertebrae. Points (m) are in the frame of `split`, whose axes they keep.

    chain: bodies from the sacrum to the head; between neighbours a level. girdle: the vertebra that gets what the
    rigid body carried, `carries` {point: new body} excepted. vertebrae: as measured on the unsplit model. centres:
    joint centres that are not discs. weld: {body: vertebra it is fixed to}. replaced_joint: removed with its neck.
    spacing: {'T1-T2': published distance of the centroids (mean, sd), m}. neutral_pitch: (24,) rad, pitches of the
    inter-centroid vectors in the neutral pose, from the head down (`simspine.spine.shape.chain`). clavicles: what the
    arms hang from; None: from the girdle's vertebra.
    """

    split: str
    chain: tuple[str, ...]
    girdle: str
    carries: Mapping[str, str]
    vertebrae: Vertebrae
    centres: Mapping[str, Point]
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
    def origins(self) -> dict[str, Point]:
        """{vertebra that the rigid body is split into: its origin}, from below."""
        return {name: self.vertebrae[name].centroid for name in self.chain if name in self.vertebrae}

    @cached_property
    def new_bodies(self) -> dict[str, Point]:
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

    def relocate(self, body: str, offset: Point, point: str) -> tuple[str, Point]:
        """Where a point of the unsplit model is on the split one: (body, offset). point: its name, see `carries`."""
        return self.relocate_to(self.carrier(body, point), body, offset)

    def relocate_to(self, carrier: str, body: str, offset: Point) -> tuple[str, Point]:
        """The same for a point whose `carrier` is known; it counts only where `body` was split."""
        return (carrier, _difference(offset, self.new_bodies[carrier])) if body == self.split else (body, offset)

    def bodies_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of bodies of the unsplit model → of the split one."""
        return tuple(new for name in names for new in (self.new_bodies if name == self.split else (name,)))

    def carried(self, vertebra: Vertebra) -> Vertebra:
        """The vertebra on the body that carries it."""
        if vertebra.body != self.split:
            return vertebra
        body, origin = vertebra.level, self.origins[vertebra.level]
        return vertebra.moved(body, lambda point: _difference(point, origin))

    def holder(self, joint: str) -> str:
        """The new body that a joint hangs from where it hung from the rigid one: a clavicle for an arm's."""
        return self.girdle if self.clavicles is None else self.clavicles.arms.get(joint, self.girdle)


def _difference(a: Point, b: Point) -> Point:
    return a[0] - b[0], a[1] - b[1], a[2] - b[2]


class Partition(Protocol):
    """How a rigid body of a model becomes several, and where that takes its points."""

    def carrier(self, body: str, point: str) -> str:
        """The body that carries a point."""

    def relocate(self, body: str, offset: Point, point: str) -> tuple[str, Point]:
        """Where a point of the unsplit model is: (body, offset)."""

    def relocate_to(self, vertebra: str, body: str, offset: Point) -> tuple[str, Point]:
        """The same for a point on the bone of a vertebra."""

    def bodies_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of bodies of the unsplit model → of the split one."""

    def carried(self, vertebra: Vertebra) -> Vertebra:
        """The vertebra on the body that carries it."""


def carried_vertebrae(partition: Partition | None, vertebrae: Mapping[str, Vertebra]) -> Vertebrae:
    """Vertebrae (`simspine.spine.endplates`) on the bodies that carry them after the split; same place when neutral.

    Unchanged where nothing is split (None). Scale them afterwards, by the factors of the new bodies.
    """
    if partition is None:
        return dict(vertebrae)
    return {level: partition.carried(vertebra) for level, vertebra in vertebrae.items()}


def spine_levels(articulation: Articulation) -> tuple[Level, ...]:
    """Levels for `simspine.spine.vertebrae.spine_kinematics`: the joints, then sums, then segments in space."""
    short = {"sacrum": "S1", "head": "skull"} | {f"lumbar{i}": f"L{i}" for i in range(1, 6)}
    joints = []
    for level in articulation.levels:
        below, above = articulation.pair(level)
        coordinates = tuple(f"{level}_{axis}" for axis in AXES)
        joints.append(Level(f"{short.get(above, above)}-{short.get(below, below)}", below, above, coordinates))
    girdle = articulation.girdle
    sums = (Level("lumbar", "sacrum", "lumbar1"), Level("thoracic", "T12", "T1"), Level("neck", "T1", "head"))
    segments = (Level("pelvis", None, "pelvis"), Level("thorax", None, girdle))
    return (*joints, *sums, Level("thorax-pelvis", "pelvis", girdle), *segments)


def articulation_from(data: Mapping, regions: Mapping, vertebrae: Vertebrae) -> Articulation:
    """From the entries `articulation` and `regions` of a recipe (degrees and mm) and the unsplit model's vertebrae."""
    return Articulation(
        split=str(data["split"]),
        chain=tuple(data["chain"]),
        girdle=str(data["girdle"]),
        carries=dict(data["carries"]),
        vertebrae={level: v for level, v in vertebrae.items() if v.body == data["split"]},
        centres={level: point_from(place) for level, place in data["centres"].items()},
        weld=dict(data["weld"]),
        replaced_joint=str(data["replaced_joint"]),
        neck_mass_share=float(data["neck_mass_share"]),
        regions=tuple(region_from(name, entry) for name, entry in regions.items()),
        spacing={key: (mean / 1e3, sd / 1e3) for key, (mean, sd) in data["published_spacing_mm"].items()},
        neutral_pitch=tuple(np.radians(data["neutral_pitch"]).tolist()),
        clavicles=clavicles_from(data["clavicles"]) if "clavicles" in data else None,
    )
