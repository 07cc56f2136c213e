"""Clinical parameters beside lordosis and kyphosis: which there are, and of which bodies each is a figure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from simspine.errors import unknown_name
from simspine.spine import alignment
from simspine.spine.curvature import SVA
from simspine.spine.endplates import Vertebra
from simspine.spine.limb_angles import joint_angles, shoulder_angles
from simspine.spine.parameters import ClinicalParameters

Poses = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Definition:
    """What a parameter is called, its unit ('rad' or 'm'), and what a positive value means."""

    label: str
    unit: str
    positive: str


SPINAL = {
    "pelvic_incidence": Definition("Pelvic incidence", "rad", "always"),
    "pelvic_tilt": Definition("Pelvic tilt", "rad", "sacrum behind the hips"),
    "sacral_slope": Definition("Sacral slope", "rad", "endplate down forwards"),
    "t1_slope": Definition("T1 slope", "rad", "endplate down forwards"),
    "cervical_lordosis": Definition("Cervical lordosis, C2–C7", "rad", "lordosis"),
    "sagittal_vertical_axis": Definition("Sagittal vertical axis, C7 to S1's rear corner", "m", "C7 in front"),
    "coronal_balance": Definition("C7 plumb line, sideways from S1", "m", "to the right"),
    "trunk_inclination": Definition("Trunk inclination", "rad", "forwards"),
    "coronal_cobb": Definition("Coronal Cobb angle, T1–L5", "rad", "never negative"),
    "lumbar_flexion": Definition("Lumbar flexion, T12 on S1", "rad", "bending forward"),
}
SIDES = {"r": "right", "l": "left"}
# Of each joint: bodies (proximal, distal; T4 stands for the body that carries the thorax), and its angles with their
# names and what is positive.
JOINTS = {
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
DEFINITIONS = SPINAL | {
    f"{joint}_{angle}_{s}": Definition(f"{joint.capitalize()} {angle}, {side}", "rad", positive)
    for joint, (_, angles) in JOINTS.items()
    for s, side in SIDES.items()
    for angle, positive in angles
}


def clinical_angles() -> set[str]:
    """Names of the parameters that are angles, with their side and without."""
    names = {name for name, definition in DEFINITIONS.items() if definition.unit == "rad"}
    return names | {name[:-2] for name in names if name.endswith(("_r", "_l"))}


@dataclass(frozen=True)
class Measure:
    """Some parameters that are figures of the same bodies.

    of: poses {body: (frames, 4, 4)} → (frames, names). grounded: also of how the bodies stand to the ground, not
    only to one another.
    """

    names: tuple[str, ...]
    bodies: tuple[str, ...]
    of: Callable[[Poses], np.ndarray]
    grounded: bool = False


def measures(vertebrae: Mapping[str, Vertebra], bodies: Sequence[str]) -> tuple[Measure, ...]:
    """All parameters of a body with these vertebrae, in the order of `DEFINITIONS`.

    bodies: the body's own; parameters that need one, or a vertebra, that it lacks are left out, and so is the sagittal
    vertical axis where S1 has no rear corner.
    """
    pelvis, trunk = ("S1",), ("S1", "C7")
    spinal = (
        ("pelvic_incidence", pelvis, alignment.HIPS, False),
        ("pelvic_tilt", pelvis, alignment.HIPS, True),
        ("sacral_slope", pelvis, (), True),
        ("t1_slope", ("T1",), (), True),
        ("cervical_lordosis", ("C2", "C7"), (), False),
        ("sagittal_vertical_axis", trunk, (), True),
        ("coronal_balance", trunk, (), True),
        ("trunk_inclination", trunk, (), True),
        ("coronal_cobb", alignment.TRUNK, (), False),
        ("lumbar_flexion", ("S1", "T12"), (), False),
    )
    found = [
        Measure(
            (name,),
            (*alignment.bodies_of(vertebrae, levels), *others),
            partial(_alone, getattr(alignment, name), vertebrae),
            grounded,
        )
        for name, levels, others, grounded in spinal
        if all(level in vertebrae for level in levels) and (name != SVA or _has_corner(vertebrae["S1"]))
    ]
    for joint, ((proximal, distal), angles) in JOINTS.items():
        for side in SIDES:
            ends = (_body(proximal, side, vertebrae), f"{distal}_{side}")
            names = tuple(f"{joint}_{angle}_{side}" for angle, _ in angles)
            found.append(Measure(names, ends, partial(_of_joint, joint, ends, side)))
    return tuple(measure for measure in found if set(measure.bodies) <= set(bodies))


def clinical_parameters(some: Sequence[Measure], poses: Poses) -> ClinicalParameters:
    """The parameters of these poses {body: (frames, 4, 4)}, y_up; without standard deviations."""
    missing = [body for measure in some for body in measure.bodies if body not in poses]
    if missing:
        raise unknown_name("body", missing[0], poses, "the poses")
    names = tuple(name for measure in some for name in measure.names)
    units = tuple(DEFINITIONS[name].unit for name in names)
    frames = len(next(iter(poses.values()))) if poses else 0
    return ClinicalParameters(names, units, np.concatenate([np.empty((frames, 0)), *(m.of(poses) for m in some)], 1))


def _has_corner(sacrum: Vertebra) -> bool:
    return sacrum.superior is not None and sacrum.superior.rear is not None


def _body(name: str, side: str, vertebrae: Mapping[str, Vertebra]) -> str:
    if name in vertebrae:
        return vertebrae[name].body
    return name if name == "pelvis" else f"{name}_{side}"


def _alone(function: Callable, vertebrae: Mapping[str, Vertebra], poses: Poses) -> np.ndarray:
    return function(poses, vertebrae)[:, None]


def _of_joint(joint: str, ends: tuple[str, str], side: str, poses: Poses) -> np.ndarray:
    proximal, distal = (poses[body] for body in ends)
    if joint == "shoulder":
        return shoulder_angles(proximal, distal, side)
    return joint_angles(proximal, distal, joint, side)
