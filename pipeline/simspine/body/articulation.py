"""A spine of single vertebrae: which bodies and joints it has, and which regions its levels form. Data only.

The file that makes a model of it is `articulate`; the figures and their sources are in opensim_models/articulated.yaml.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from simspine.errors import InputError
from simspine.priors.rhythm import AXES, LevelRegion, region_from
from simspine.spine.endplates import Vertebra, Vertebrae
from simspine.spine.levels import Level
from simspine.types import Motion

NECK = ("neck_flexion", "neck_bending", "neck_rotation")  # the coupled body's, by axis
ABDOMEN = ("Abs_r3", "Abs_r2", "Abs_r1")
Point = tuple[float, float, float]


@dataclass(frozen=True)
class Articulation:
    """How a rigid body `split` becomes vertebrae. Points (m) are in the frame of `split`, whose axes they keep.

    chain: bodies from the sacrum to the head; between neighbours a level. girdle: the vertebra that gets what the
    rigid body carried, `carries` {point: vertebra} excepted. vertebrae: as measured on the unsplit model. centres:
    joint centres that are not discs. weld: {body: vertebra it is fixed to}. replaced_joint: removed with its neck.
    spacing: {'T1-T2': published distance of the centroids (mean, sd), m}. neutral_pitch: (24,) rad, pitches of the
    inter-centroid vectors in the neutral pose, from the head down (`simspine.spine.shape.chain`).
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

    def __post_init__(self):
        if len(self.levels) != len(self.chain) - 1:
            raise InputError(f"the chain of {len(self.chain)} bodies has {len(self.levels)} levels between them.")
        unknown = {self.girdle, *self.carries.values()} - set(self.origins)
        if unknown:
            raise InputError(f"{', '.join(sorted(unknown))} is none of the split body's: {', '.join(self.origins)}.")

    @cached_property
    def levels(self) -> tuple[str, ...]:
        """Prefixes of the levels' coordinates, from below."""
        return tuple(level for region in self.regions for level in region.levels)

    @cached_property
    def origins(self) -> dict[str, Point]:
        """{body that the rigid one is split into: its origin}, from below."""
        return {name: self.vertebrae[name].centroid for name in self.chain if name in self.vertebrae}

    def centre(self, level: str) -> np.ndarray:
        """(3,) centre of a joint between two of the new bodies, or below the head."""
        if level in self.centres:
            return np.array(self.centres[level])
        below, above = self.pair(level)
        plates = self.vertebrae[below].superior, self.vertebrae[above].inferior
        if None in plates:
            raise InputError(f"level {level!r} has no disc between two endplates; give its centre in `centres`.")
        return np.mean([plate.centre for plate in plates], axis=0)

    def pair(self, level: str) -> tuple[str, str]:
        """The body below and the body above a level."""
        i = self.levels.index(level)
        return self.chain[i], self.chain[i + 1]

    def relocate(self, body: str, offset: Sequence[float], point: str = "") -> tuple[str, Point]:
        """Where a point of the unsplit model is on the split one: (body, offset). point: its name, see `carries`."""
        if body != self.split:
            return body, tuple(offset)
        carrier = self.carries.get(point, self.girdle)
        return carrier, tuple(float(v) for v in np.subtract(offset, self.origins[carrier]))

    def bodies_of(self, names: Sequence[str]) -> tuple[str, ...]:
        """Names of bodies of the unsplit model → of the split one."""
        return tuple(new for name in names for new in (self.origins if name == self.split else (name,)))


def carried_vertebrae(articulation: Articulation | None, vertebrae: Mapping[str, Vertebra]) -> Vertebrae:
    """Vertebrae (`simspine.spine.endplates`) on the bodies that carry them after the split; same place when neutral.

    Unchanged where nothing is split (None). Scale them afterwards, by the factors of the new bodies.
    """
    if articulation is None:
        return dict(vertebrae)
    return {level: _carried(articulation, vertebra) for level, vertebra in vertebrae.items()}


def _carried(articulation: Articulation, vertebra: Vertebra) -> Vertebra:
    if vertebra.body != articulation.split:
        return vertebra
    origin = articulation.origins[vertebra.level]

    def moved(point):
        return tuple(float(v) for v in np.subtract(point, origin))

    plates = {
        side: replace(plate, body=vertebra.level, centre=moved(plate.centre))
        for side in ("superior", "inferior")
        if (plate := getattr(vertebra, side)) is not None
    }
    return replace(vertebra, body=vertebra.level, centroid=moved(vertebra.centroid), **plates)


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


def in_coupled_names(articulation: Articulation, motion: Motion) -> Motion:
    """A motion of the articulated body by the 62 names of the coupled one, for comparisons.

    57 names are shared. The neck's three are the sums over C7–T1 to C1–skull, the Abdomen's rotations those over the
    lumbar levels, as its couplers have it, its locked translations 0: exact if one axis turns, else to first order.
    Thoracic levels, which the coupled body lacks, are dropped.
    """
    above = tuple(level for level in articulation.levels if level.startswith(("T", "C")))
    added = {f"{level}_{axis}" for level in above for axis in AXES}
    columns = {name: motion.column(name) for name in motion.names if name not in added}

    def total(levels: Sequence[str], axis: str) -> np.ndarray:
        return np.sum([motion.column(f"{level}_{axis}") for level in levels], axis=0)

    neck = [level for level in above if level.startswith("C")]
    lumbar = [level for level in articulation.levels if level not in above]
    for axis, of_neck, of_abdomen in zip(AXES, NECK, ABDOMEN, strict=True):
        columns |= {of_neck: total(neck, axis), of_abdomen: total(lumbar, axis)}
    columns |= {name: np.zeros(motion.frames) for name in ("Abs_t1", "Abs_t2")}
    lengths = {name for name, turns in zip(motion.names, motion.rotational, strict=True) if not turns}
    rotational = [name not in lengths | {"Abs_t1", "Abs_t2"} for name in columns]
    return Motion(tuple(columns), motion.rate, np.column_stack(list(columns.values())), rotational, start=motion.start)


def articulation_from(data: Mapping, regions: Mapping, vertebrae: Vertebrae) -> Articulation:
    """From the entries `articulation` and `regions` of a recipe (degrees and mm) and the unsplit model's vertebrae."""
    return Articulation(
        split=str(data["split"]),
        chain=tuple(data["chain"]),
        girdle=str(data["girdle"]),
        carries=dict(data["carries"]),
        vertebrae={level: v for level, v in vertebrae.items() if v.body == data["split"]},
        centres={level: tuple(float(v) for v in point) for level, point in data["centres"].items()},
        weld=dict(data["weld"]),
        replaced_joint=str(data["replaced_joint"]),
        neck_mass_share=float(data["neck_mass_share"]),
        regions=tuple(region_from(name, entry) for name, entry in regions.items()),
        spacing={key: (mean / 1e3, sd / 1e3) for key, (mean, sd) in data["published_spacing_mm"].items()},
        neutral_pitch=tuple(np.radians(data["neutral_pitch"]).tolist()),
    )
