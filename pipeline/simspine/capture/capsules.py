"""The body as capsules, for what hides what: a segment with a radius for each part."""

from dataclasses import dataclass

import numpy as np

from simspine.capture.subjects import SyntheticSubject
from simspine.types import Markers

# Part: ends (means of markers), radius (m) at a body-mass index of 23, how far it grows with that index.
_SIDED = {
    "flank": (("joint_hip_{s}", "L3"), ("joint_shoulder_{s}", "T4", "T4"), 0.095, 1.0),
    "upper_arm": (("joint_shoulder_{s}",), ("joint_elbow_{s}",), 0.047, 0.7),
    "forearm": (("joint_elbow_{s}",), ("joint_wrist_{s}",), 0.037, 0.4),
    "hand": (("joint_wrist_{s}",), ("tip_hand_{s}",), 0.028, 0.0),
    "thigh": (("joint_hip_{s}",), ("joint_knee_{s}",), 0.078, 0.8),
    "shank": (("joint_knee_{s}",), ("joint_ankle_{s}",), 0.050, 0.5),
    "foot": (("sole_heel_{s}", "joint_ankle_{s}"), ("joint_toes_{s}",), 0.036, 0.0),
}
_MIDDLE = {
    "pelvis": (("joint_hip_r",), ("joint_hip_l",), 0.100, 0.8),
    "belly": (("joint_hip_r", "joint_hip_l"), ("T12",), 0.105, 1.2),
    "chest": (("T12", "RClavicle", "LClavicle"), ("T4", "RClavicle", "LClavicle"), 0.105, 0.7),
    "shoulders": (("joint_shoulder_r",), ("joint_shoulder_l",), 0.058, 0.5),
    "neck": (("C7",), ("C2",), 0.055, 0.4),
    "head": (("C1", "head_front"), ("vertex",), 0.085, 0.0),
}


@dataclass(frozen=True, eq=False)
class Capsules:
    """names (n,); ends: (frames, n, 2, 3) m, of the axes; radii: (n,) m."""

    names: tuple[str, ...]
    ends: np.ndarray
    radii: np.ndarray


def capsules_of(subject: SyntheticSubject, markers: Markers) -> Capsules:
    """markers: all of the truth body's, in any frame."""
    parts = {name: (a, b, r, g) for name, (a, b, r, g) in _MIDDLE.items()}
    for name, (a, b, r, g) in _SIDED.items():
        for s in "rl":
            parts[f"{name}_{s}"] = ([m.format(s=s) for m in a], [m.format(s=s) for m in b], r, g)
    size = subject.stature / 1.7
    stout = subject.mass / subject.stature**2 / 23.0
    ends = np.stack(
        [np.stack([markers.xyz[:, markers.indices(m)].mean(1) for m in part[:2]], 1) for part in parts.values()], 1
    )
    radii = np.array([r * size * stout ** (0.5 * g) for _, _, r, g in parts.values()])
    return Capsules(tuple(parts), ends, radii)
