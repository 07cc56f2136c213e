"""A ring of distorted cameras around a moving person of a few points."""

import numpy as np
import pytest
from aimed import aimed

from simspine.core.geometry import project_points
from simspine.core.types import Camera, Keypoints

_LIMBS = ("Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "BigToe")
NAMES = ("Hip", "Neck", "Nose", *(side + limb for limb in _LIMBS for side in "LR"))
_RIGHT = {
    "Shoulder": (0.0, 0.20, 1.45),
    "Elbow": (0.05, 0.35, 1.20),
    "Wrist": (0.20, 0.45, 1.00),
    "Hip": (0.0, 0.12, 0.95),
    "Knee": (0.05, 0.14, 0.52),
    "Ankle": (0.0, 0.13, 0.10),
    "BigToe": (0.18, 0.14, 0.03),
}
_MIDDLE = {"Hip": (-0.05, 0, 1.0), "Neck": (-0.03, 0, 1.5), "Nose": (0.1, 0, 1.65)}


def look_at(name, centre, target=(0.0, 0.0, 1.0), distortion=(-0.05, 0.14, 6e-4, -5e-4, 0.01), focal=1100.0):
    """A camera at `centre` that looks at `target`, image upright."""
    R = aimed(centre, target)
    K = [[focal, 0, 950.0], [0, focal + 5, 545.0], [0, 0, 1]]
    return Camera(name, (1920, 1080), K, distortion, R, -R @ np.asarray(centre, float))


def ring(views, radius=4.0):
    angles = 2 * np.pi * np.arange(views) / views + 0.2
    return [
        look_at(f"cam{i}", (radius * np.cos(a), radius * np.sin(a), 1.2 + 0.4 * (i % 3))) for i, a in enumerate(angles)
    ]


def person(frames, rate=60.0):
    """World positions (frames, points, 3) m of someone who sways and swings arms and legs."""
    still = np.array(
        [_MIDDLE[n] if n in _MIDDLE else np.multiply(_RIGHT[n[1:]], [1, -1 if n[0] == "R" else 1, 1]) for n in NAMES]
    )
    t = np.arange(frames) / rate
    side = np.array([{"L": 1.0, "R": -1.0}.get(n[0], 0.0) if n not in _MIDDLE else 0.0 for n in NAMES])
    swing = 0.15 * np.sin(2 * np.pi * t)[:, None] * side
    sway = 0.1 * np.sin(2 * np.pi * 0.3 * t)[:, None, None] * np.array([0.3, 1.0, 0.1])
    return still + swing[..., None] * np.array([1.0, 0, 0.2]) + sway


def see(cameras, xyz, noise=0.0, confidence=1.0, rng=None, rate=60.0, names=NAMES):
    """Keypoints of xyz (frames, points, 3) in the cameras."""
    xy = project_points(cameras, xyz).transpose(1, 0, 2, 3)
    if noise:
        xy = xy + rng.normal(0, noise, xy.shape)
    return Keypoints(names, rate, xy, np.broadcast_to(confidence, xy.shape[:3]))


@pytest.fixture
def rig():
    """The functions of this file, for tests."""

    class Rig:
        names = NAMES

    Rig.look_at, Rig.ring, Rig.person, Rig.see = map(staticmethod, (look_at, ring, person, see))
    return Rig


@pytest.fixture
def rng():
    return np.random.default_rng(20240611)
