"""Clinical parameters: which there are besides lordosis and kyphosis, of which bodies each is a figure, and what is
published of standing adults (`published_adults.json`, with sources and grades).
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
from simspine.core.errors import unknown_name


@dataclass(frozen=True)
class PublishedAdults:
    """Mean and standard deviation of a parameter of `simspine.anatomy.clinical` among standing adults, degrees or mm.

    population: of whom, where the source has our definition, so that it is a norm; '' where it only tells how far
    people differ.
    """

    mean: float
    sd: float
    source: str
    grade: str
    population: str = ""


@dataclass(frozen=True)
class PublishedBand:
    """A normal range of 'lla' or 'tka', degrees. span: the endplates it was measured between."""

    quantity: str
    low: float
    high: float
    span: str
    source: str
    grade: str
    note: str = ""


_PUBLISHED = json.loads(Path(__file__).with_name("published_adults.json").read_text(encoding="utf-8"))
PUBLISHED_ADULTS = {name: PublishedAdults(**entry) for name, entry in _PUBLISHED["parameters"].items()}
PUBLISHED_BANDS = tuple(PublishedBand(**entry) for entry in _PUBLISHED["curvature"])


def published_bands(quantity: str) -> tuple[PublishedBand, ...]:
    """The bands of 'lla' or 'tka'; the first is the one to draw if only one is drawn."""
    return tuple(band for band in PUBLISHED_BANDS if band.quantity == quantity)


@dataclass(frozen=True)
class ClinicalDefinition:
    """What a parameter is called, its unit ('rad' or 'm'), and what a positive value means."""

    label: str
    unit: str
    positive: str


SPINAL_DEFINITIONS = {
    "pelvic_incidence": ClinicalDefinition("Pelvic incidence", "rad", "always"),
    "pelvic_tilt": ClinicalDefinition("Pelvic tilt", "rad", "sacrum behind the hips"),
    "sacral_slope": ClinicalDefinition("Sacral slope", "rad", "endplate down forwards"),
    "t1_slope": ClinicalDefinition("T1 slope", "rad", "endplate down forwards"),
    "cervical_lordosis": ClinicalDefinition("Cervical lordosis, C2–C7", "rad", "lordosis"),
    "sagittal_vertical_axis": ClinicalDefinition("Sagittal vertical axis, C7 to S1's rear corner", "m", "C7 in front"),
    "coronal_balance": ClinicalDefinition("C7 plumb line, sideways from S1", "m", "to the right"),
    "trunk_inclination": ClinicalDefinition("Trunk inclination", "rad", "forwards"),
    "coronal_cobb": ClinicalDefinition(
        "Sideways bend of the spine, T1–L5 (largest Cobb angle)", "rad", "never negative"
    ),
    "lumbar_flexion": ClinicalDefinition("Lumbar flexion, T12 on S1", "rad", "bending forward"),
}
SIDE_WORDS = {"r": "right", "l": "left"}
# Of each joint: bodies (proximal, distal; T4 stands for the body that carries the thorax), and its angles with their
# names and what is positive.
JOINT_DEFINITIONS = {
    "hip": (
        ("pelvis", "femur"),
        (("flexion", "flexion"), ("adduction", "adduction"), ("rotation", "inwards")),
    ),
    "knee": (
        ("femur", "tibia"),
        (("flexion", "flexion"), ("adduction", "adduction (varus)"), ("rotation", "tibia inwards")),
    ),
    "ankle": (
        ("tibia", "calcn"),
        (("dorsiflexion", "toes up"), ("inversion", "sole inwards"), ("rotation", "toes inwards")),
    ),
    "shoulder": (
        ("T4", "humerus"),
        (
            ("plane", "in front of the frontal plane (0: abduction, 90: forward)"),
            ("elevation", "never negative (0: hanging)"),
            ("rotation", "inwards"),
        ),
    ),
}
CLINICAL_DEFINITIONS = SPINAL_DEFINITIONS | {
    f"{joint}_{angle}_{s}": ClinicalDefinition(f"{joint.capitalize()} {angle}, {side}", "rad", positive)
    for joint, (_, angles) in JOINT_DEFINITIONS.items()
    for s, side in SIDE_WORDS.items()
    for angle, positive in angles
}


def compute_clinical_angles() -> set[str]:
    """Names of the parameters that are angles, with their side and without."""
    names = {name for name, definition in CLINICAL_DEFINITIONS.items() if definition.unit == "rad"}
    return names | {name[:-2] for name in names if name.endswith(("_r", "_l"))}


@dataclass(frozen=True)
class ClinicalMeasure:
    """Some parameters that are figures of the same bodies.

    of: poses {body: (frames, 4, 4)} → (frames, names). grounded: also of how the bodies stand to the ground, not
    only to one another.
    """

    names: tuple[str, ...]
    bodies: tuple[str, ...]
    of: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    grounded: bool = False


def clinical_measures(vertebrae: Mapping[str, Vertebra], bodies: Sequence[str]) -> tuple[ClinicalMeasure, ...]:
    """All parameters of a body with these vertebrae, in the order of `CLINICAL_DEFINITIONS`.

    bodies: the body's own; parameters that need one, or a vertebra, that it lacks are left out, and so is the sagittal
    vertical axis where S1 has no rear corner.
    """
    pelvis, trunk = ("S1",), ("S1", "C7")
    spinal = (
        ("pelvic_incidence", pelvis, alignment.HIP_BODIES, False),
        ("pelvic_tilt", pelvis, alignment.HIP_BODIES, True),
        ("sacral_slope", pelvis, (), True),
        ("t1_slope", ("T1",), (), True),
        ("cervical_lordosis", ("C2", "C7"), (), False),
        ("sagittal_vertical_axis", trunk, (), True),
        ("coronal_balance", trunk, (), True),
        ("trunk_inclination", trunk, (), True),
        ("coronal_cobb", alignment.TRUNK_VERTEBRAE, (), False),
        ("lumbar_flexion", ("S1", "T12"), (), False),
    )
    found = [
        ClinicalMeasure(
            (name,),
            (*alignment.bodies_needed_by(vertebrae, levels), *others),
            partial(_spine_angle_alone, getattr(alignment, name), vertebrae),
            grounded,
        )
        for name, levels, others, grounded in spinal
        if all(level in vertebrae for level in levels) and (name != SVA_PARAMETER or _has_corner(vertebrae["S1"]))
    ]
    for joint, ((proximal, distal), angles) in JOINT_DEFINITIONS.items():
        for side in SIDE_WORDS:
            ends = (_body_of_level(proximal, side, vertebrae), f"{distal}_{side}")
            names = tuple(f"{joint}_{angle}_{side}" for angle, _ in angles)
            found.append(ClinicalMeasure(names, ends, partial(_of_joint, joint, ends, side)))
    return tuple(measure for measure in found if set(measure.bodies) <= set(bodies))


def clinical_parameters(some: Sequence[ClinicalMeasure], poses: Mapping[str, np.ndarray]) -> ClinicalParameters:
    """The parameters of these poses {body: (frames, 4, 4)}, y_up; without standard deviations."""
    missing = [body for measure in some for body in measure.bodies if body not in poses]
    if missing:
        raise unknown_name("body", missing[0], poses, "the poses")
    names = tuple(name for measure in some for name in measure.names)
    units = tuple(CLINICAL_DEFINITIONS[name].unit for name in names)
    frames = len(next(iter(poses.values()))) if poses else 0
    return ClinicalParameters(names, units, np.concatenate([np.empty((frames, 0)), *(m.of(poses) for m in some)], 1))


def _has_corner(sacrum: Vertebra) -> bool:
    return sacrum.superior is not None and sacrum.superior.rear is not None


def _body_of_level(name: str, side: str, vertebrae: Mapping[str, Vertebra]) -> str:
    if name in vertebrae:
        return vertebrae[name].body
    return name if name == "pelvis" else f"{name}_{side}"


def _spine_angle_alone(
    function: Callable, vertebrae: Mapping[str, Vertebra], poses: Mapping[str, np.ndarray]
) -> np.ndarray:
    return function(poses, vertebrae)[:, None]


def _of_joint(joint: str, ends: tuple[str, str], side: str, poses: Mapping[str, np.ndarray]) -> np.ndarray:
    proximal, distal = (poses[body] for body in ends)
    if joint == "shoulder":
        return shoulder_angles(proximal, distal, side)
    return joint_angles(proximal, distal, joint, side)
