"""A simple person of 37 points and capsules, who turns round, swings arms and nods: no model, no files."""

import numpy as np

from simspine.core.skeletons import load_skeleton
from simspine.core.types import Markers

# (forward, left, up) m, standing.
STANDING = {
    "Hip": (-0.11, 0, 1.0), "Spine_01": (-0.09, 0, 1.06), "Spine_02": (-0.08, 0, 1.12), "Spine_03": (-0.09, 0, 1.18),
    "Spine_04": (-0.12, 0, 1.33), "Spine_05": (-0.11, 0, 1.45), "Neck": (-0.07, 0, 1.53), "Neck_02": (-0.04, 0, 1.58),
    "Neck_03": (-0.03, 0, 1.62), "Head": (0, 0, 1.78), "Nose": (0.1, 0, 1.64),
    "LEye": (0.08, 0.03, 1.67), "LEar": (0, 0.07, 1.66), "LLatissimus": (-0.11, 0.1, 1.38),
    "LClavicle": (0, 0.03, 1.47), "LShoulder": (-0.04, 0.19, 1.46), "LElbow": (-0.04, 0.22, 1.17),
    "LWrist": (0.1, 0.22, 0.97), "LHip": (0, 0.1, 0.93), "LKnee": (0.02, 0.1, 0.5), "LAnkle": (0, 0.1, 0.09),
    "LBigToe": (0.2, 0.09, 0.02), "LSmallToe": (0.15, 0.16, 0.02), "LHeel": (-0.05, 0.1, 0.03),
}  # fmt: skip
PARTS = (
    ("LHip", "LKnee", 0.075), ("LKnee", "LAnkle", 0.05), ("LShoulder", "LElbow", 0.045), ("LElbow", "LWrist", 0.035),
    ("LHip", "Spine_02", 0.11), ("RHip", "RKnee", 0.075), ("RKnee", "RAnkle", 0.05), ("RShoulder", "RElbow", 0.045),
    ("RElbow", "RWrist", 0.035), ("RHip", "Spine_02", 0.11), ("LClavicle", "Spine_04", 0.12), ("Neck_02", "Head", 0.08),
)  # fmt: skip


def stick_person(frames: int, rate: float = 50.0, turn_s: float = 6.0) -> tuple[Markers, np.ndarray, np.ndarray]:
    """The 37 points (z_up), capsules (frames, parts, 2, 3) and radii (parts,) m."""
    names = load_skeleton("simspine37").names
    at = {name: np.tile(np.array(place, float), (frames, 1)) for name, place in STANDING.items()}
    for name in [n for n in at if n.startswith("L")]:
        at["R" + name[1:]] = at[name] * [1, -1, 1]
    time = np.arange(frames) / rate
    for side, sign in (("L", 1), ("R", -1)):
        swing = 0.5 * sign * np.sin(2 * np.pi * time / 1.3)
        for joint, moved in (
            ("Shoulder", ("Elbow", "Wrist")),
            ("Hip", ("Knee", "Ankle", "BigToe", "SmallToe", "Heel")),
        ):
            angle = swing if joint == "Shoulder" else -0.7 * swing
            for name in moved:
                at[side + name] = _about_left(at[side + name], at[side + joint], angle)
    nod = 0.3 * np.sin(2 * np.pi * time / 2.1)
    for name in ("Head", "Nose", "LEye", "REye", "LEar", "REar"):
        at[name] = _about_left(at[name], at["Neck_03"], nod)
    xyz = np.stack([at[name] for name in names], 1)
    angle = 2 * np.pi * time / turn_s
    c, s, zero, one = np.cos(angle), np.sin(angle), np.zeros(frames), np.ones(frames)
    turn = np.stack([c, -s, zero, s, c, zero, zero, zero, one], -1).reshape(frames, 3, 3)
    markers = Markers(names, rate, np.einsum("fij,fpj->fpi", turn, xyz) + np.stack([s, -c, zero], -1)[:, None] * 0.7)
    ends = [[markers.xyz[:, markers.index(end)] for end in part[:2]] for part in PARTS]
    return markers, np.moveaxis(np.array(ends), 2, 0), np.array([part[2] for part in PARTS])


def _about_left(point: np.ndarray, centre: np.ndarray, angle: np.ndarray) -> np.ndarray:
    x, y, z = (point - centre).T
    return centre + np.stack([np.cos(angle) * x - np.sin(angle) * z, y, np.sin(angle) * x + np.cos(angle) * z], -1)
