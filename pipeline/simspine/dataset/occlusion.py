"""Which points the body hides from a camera: its parts as capsules along the bones of the solved body."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.body.capsules import RADII, cover
from simspine.body.kinematics import body_poses
from simspine.body.model import Body
from simspine.dataset.invariant import body_points
from simspine.geometry import change_frame
from simspine.types import Camera, Markers, Motion

HIDDEN_FROM = 0.03  # m of flesh in front of a point, beyond what always covers it: half of what hides it fully (0.06)
THIGH = 0.41  # m, hip to knee of a person of 1.7 m, for whom the radii are
LANDMARKS = ("Spine_05", "Neck", "Neck_03", "Head", "Nose", "LClavicle", "RClavicle")

# Part: places at its two ends (their mean; bodies stand for their origins).
_MIDDLE = {
    "pelvis": (("femur_r",), ("femur_l",)),
    "belly": (("femur_r", "femur_l"), ("lumbar1",)),
    "chest": (("lumbar1", "RClavicle", "LClavicle"), ("Spine_05", "RClavicle", "LClavicle")),
    "shoulders": (("humerus_r",), ("humerus_l",)),
    "neck": (("Neck",), ("Neck_03",)),
    "head": (("Neck_03", "Nose"), ("Head",)),
}
_SIDED = {
    "flank": (("femur_{s}", "lumbar3"), ("humerus_{s}", "Spine_05", "Spine_05")),
    "upper_arm": (("humerus_{s}",), ("ulna_{s}",)),
    "forearm": (("ulna_{s}",), ("hand_{s}",)),
    "thigh": (("femur_{s}",), ("tibia_{s}",)),
    "shank": (("tibia_{s}",), ("talus_{s}",)),
    "foot": (("calcn_{s}", "talus_{s}"), ("toes_{s}",)),
}


def capsules(places: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(ends of the axes (frames, parts, 2, 3) m, radii (parts,) m). places: {body or landmark: (frames, 3) m}.

    Parts of which a place is unknown are left out; radii grow with the length of the thighs.
    """
    sided = [(name, [[p.format(s=s) for p in end] for end in ends]) for s in "rl" for name, ends in _SIDED.items()]
    known = [part for part in (*_MIDDLE.items(), *sided) if all(place in places for end in part[1] for place in end)]
    axes = [np.stack([np.mean([places[p] for p in end], axis=0) for end in ends], 1) for _, ends in known]
    thighs = [
        np.linalg.norm(places[f"femur_{s}"] - places[f"tibia_{s}"], axis=-1)
        for s in "rl" if f"femur_{s}" in places and f"tibia_{s}" in places
    ]  # fmt: skip
    size = np.nanmedian(thighs) / THIGH if thighs and np.isfinite(thighs).any() else 1.0
    return np.stack(axes, 1), np.array([RADII[name] for name, _ in known]) * size


def hidden_points(body: Body, motion: Motion, markers: Markers, cameras: Sequence[Camera]) -> np.ndarray:
    """(views, frames, points) bool: where more than `HIDDEN_FROM` of flesh lies between camera and point.

    markers: y_up, of this body at this motion. Clothes, furniture and other people are unknown.
    """
    places = {name: pose[:, :3, 3] for name, pose in body_poses(body, motion).items()}
    landmarks = body_points(body, motion, LANDMARKS)
    for i, name in enumerate(LANDMARKS):
        if landmarks.present[:, i].any():
            places[name] = landmarks.xyz[:, i]
    ends, radii = capsules(places)
    centres = change_frame(np.stack([camera.centre for camera in cameras]), "z_up", "y_up")
    flesh = cover(centres, markers.xyz, ends, radii)
    return np.nan_to_num(flesh, nan=0.0).transpose(1, 0, 2) > HIDDEN_FROM
