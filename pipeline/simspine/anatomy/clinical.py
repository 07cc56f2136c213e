"""Clinical parameters besides lordosis and kyphosis: definitions, the bodies that they depend on, and published values
of standing adults (`published_adults.json`, with sources and grades).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from simspine.anatomy import alignment
from simspine.anatomy.alignment import joint_angles, shoulder_angles
from simspine.anatomy.curvature import SVA_PARAMETER, Vertebra
from simspine.anatomy.vertebrae import ClinicalParameters
from simspine.core.errors import require_known


@dataclass(frozen=True)
class PublishedAdults:
    """Mean and standard deviation of a parameter of `simspine.anatomy.clinical` among standing adults, degrees or mm.

    population: people studied, where the source's definition is simspine's; '' where only its spread is used.
    """

    mean: float
    sd: float
    source: str
    grade: str
    population: str = ""

    @property
    def short_source(self) -> str:
        """Author and year; 'not checked' for a value from memory."""
        return self.source.partition(",")[0] + ", not checked" * (self.grade == "C")


_PUBLISHED = json.loads(Path(__file__).with_name("published_adults.json").read_text(encoding="utf-8"))
_OF_LIMBS = {f"{name}_{side}": entry for name, entry in _PUBLISHED["limbs"].items() for side in "rl"}
PUBLISHED_ADULTS = {name: PublishedAdults(**entry) for name, entry in (_PUBLISHED["parameters"] | _OF_LIMBS).items()}
CURVATURE_OF_ADULTS = {name: PublishedAdults(**entry) for name, entry in _PUBLISHED["curvature"].items()}  # lla, tka


@dataclass(frozen=True)
class ClinicalDefinition:
    """Label of a parameter, its unit ('rad' or 'm'), and the meaning of a positive value.

    vertebrae, bodies: those that it depends on, where a function of `simspine.anatomy.alignment` computes it. grounded:
    whether it depends on their orientation to the ground, not only to one another.
    """

    label: str
    unit: str
    positive: str
    vertebrae: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    grounded: bool = False


_PARAMETERS = json.loads(Path(__file__).with_name("clinical_parameters.json").read_text(encoding="utf-8"))
SPINAL_DEFINITIONS = {name: ClinicalDefinition(**entry) for name, entry in _PARAMETERS["spinal"].items()}
SIDE_WORDS = {"r": "right", "l": "left"}
# {joint: ((proximal, distal body), ((name of an angle, what a positive value means), …))}.
JOINT_DEFINITIONS = {
    joint: (tuple(entry["bodies"]), tuple(entry["angles"].items())) for joint, entry in _PARAMETERS["joints"].items()
}
# {joint: (points that show its bones, those by which only the axial rotation is seen)}, of its own side.
JOINT_POINTS = {joint: (entry["points"], entry["turned_by"]) for joint, entry in _PARAMETERS["joints"].items()}
CLINICAL_DEFINITIONS = SPINAL_DEFINITIONS | {
    f"{joint}_{angle}_{s}": ClinicalDefinition(f"{joint.capitalize()} {angle}, {side}", "rad", positive)
    for joint, (_, angles) in JOINT_DEFINITIONS.items()
    for s, side in SIDE_WORDS.items()
    for angle, positive in angles
}


@dataclass(frozen=True)
class ClinicalMeasure:
    """Parameters that are computed from the same bodies.

    of: poses {body: (frames, 4, 4)} → (frames, names), of one name (frames,). grounded: as in `ClinicalDefinition`.
    """

    names: tuple[str, ...]
    bodies: tuple[str, ...]
    of: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    grounded: bool = False


def clinical_measures(vertebrae: Mapping[str, Vertebra], bodies: Sequence[str]) -> tuple[ClinicalMeasure, ...]:
    """All parameters of a body with these vertebrae, in the order of `CLINICAL_DEFINITIONS`.

    bodies: names of the body's rigid bodies. Parameters that need a missing body or vertebra are left out, and so is
    the sagittal vertical axis where S1 has no rear corner.
    """
    measures = []
    endplate = vertebrae["S1"].superior if "S1" in vertebrae else None
    for name, one in SPINAL_DEFINITIONS.items():
        complete = set(one.vertebrae) <= set(vertebrae)
        if complete and (name != SVA_PARAMETER or (endplate is not None and endplate.rear is not None)):
            carriers = dict.fromkeys(vertebrae[level].body for level in one.vertebrae)
            function = partial(getattr(alignment, name), vertebrae=vertebrae)
            measures.append(ClinicalMeasure((name,), (*carriers, *one.bodies), function, one.grounded))
    for joint, ((proximal, distal), angles) in JOINT_DEFINITIONS.items():
        for side in SIDE_WORDS:
            ends = (_body_of_level(proximal, side, vertebrae), f"{distal}_{side}")
            names = tuple(f"{joint}_{angle}_{side}" for angle, _ in angles)
            measures.append(ClinicalMeasure(names, ends, partial(_limb_angles, joint, ends, side)))
    return tuple(measure for measure in measures if set(measure.bodies) <= set(bodies))


def clinical_parameters(some: Sequence[ClinicalMeasure], poses: Mapping[str, np.ndarray]) -> ClinicalParameters:
    """The parameters of these poses {body: (frames, 4, 4)}, y_up; without standard deviations."""
    require_known("body", (body for measure in some for body in measure.bodies), poses, "the poses")
    names = tuple(name for measure in some for name in measure.names)
    units = tuple(CLINICAL_DEFINITIONS[name].unit for name in names)
    frames = len(next(iter(poses.values()))) if poses else 0
    return ClinicalParameters(names, units, np.column_stack([np.empty((frames, 0)), *(m.of(poses) for m in some)]))


def _body_of_level(name: str, side: str, vertebrae: Mapping[str, Vertebra]) -> str:
    if name in vertebrae:
        return vertebrae[name].body
    return name if name == "pelvis" else f"{name}_{side}"


def _limb_angles(joint: str, ends: tuple[str, str], side: str, poses: Mapping[str, np.ndarray]) -> np.ndarray:
    proximal, distal = (poses[body] for body in ends)
    if joint == "shoulder":
        return shoulder_angles(proximal, distal, side)
    return joint_angles(proximal, distal, joint, side)
