"""The body as capsules, for what hides what: a segment with a radius for each part."""

from dataclasses import dataclass

import numpy as np

from simspine.body.capsules import RADII
from simspine.capture.subjects import SyntheticSubject
from simspine.types import Markers

# Part: ends (means of markers), how far its radius grows with the body-mass index.
_SIDED = {
    "flank": (("joint_hip_{s}", "L3"), ("joint_shoulder_{s}", "T4", "T4"), 1.0),
    "upper_arm": (("joint_shoulder_{s}",), ("joint_elbow_{s}",), 0.7),
    "forearm": (("joint_elbow_{s}",), ("joint_wrist_{s}",), 0.4),
    "hand": (("joint_wrist_{s}",), ("tip_hand_{s}",), 0.0),
    "thigh": (("joint_hip_{s}",), ("joint_knee_{s}",), 0.8),
    "shank": (("joint_knee_{s}",), ("joint_ankle_{s}",), 0.5),
    "foot": (("sole_heel_{s}", "joint_ankle_{s}"), ("joint_toes_{s}",), 0.0),
}
_MIDDLE = {
    "pelvis": (("joint_hip_r",), ("joint_hip_l",), 0.8),
    "belly": (("joint_hip_r", "joint_hip_l"), ("T12",), 1.2),
    "chest": (("T12", "RClavicle", "LClavicle"), ("T4", "RClavicle", "LClavicle"), 0.7),
    "shoulders": (("joint_shoulder_r",), ("joint_shoulder_l",), 0.5),
    "neck": (("C7",), ("C2",), 0.4),
    "head": (("C1", "head_front"), ("vertex",), 0.0),
}


@dataclass(frozen=True, eq=False)
class Capsules:
    """names (n,); ends: (frames, n, 2, 3) m, of the axes; radii: (n,) m."""

    names: tuple[str, ...]
    ends: np.ndarray
    radii: np.ndarray


def capsules_of(subject: SyntheticSubject, markers: Markers) -> Capsules:
    """markers: all of the truth body's, in any frame."""
    parts = {name: (a, b, RADII[name], g) for name, (a, b, g) in _MIDDLE.items()}
    for name, (a, b, g) in _SIDED.items():
        for s in "rl":
            start, end = (tuple(m.format(s=s) for m in ends) for ends in (a, b))
            parts[f"{name}_{s}"] = (start, end, RADII[name], g)
    size = subject.stature / 1.7
    stout = subject.mass / subject.stature**2 / 23.0
    ends = np.stack(
        [np.stack([markers.xyz[:, markers.indices(m)].mean(1) for m in part[:2]], 1) for part in parts.values()], 1
    )
    radii = np.array([r * size * stout ** (0.5 * g) for _, _, r, g in parts.values()])
    return Capsules(tuple(parts), ends, radii)
