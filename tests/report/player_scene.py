"""A small scene with known truth: a swinging chain of boxes, a curve through it, two cameras, rejected frames."""

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.types import Camera, Markers
from simspine.report.bones import Bone
from simspine.report.scene import Curve, Scene

FRAMES, RATE = 40, 20.0
HOSTILE = "<script>alert('x')</script> & \"S1\" </style>"


def box(body, size, kind="bone"):
    """A box of `size` m centred on its body's origin, wound outwards."""
    corners = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size
    faces = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    triangles = [t for a, b, c, d in faces for t in ((a, b, c), (a, c, d))]
    return Bone(body, corners, np.array(triangles), kind)


def swinging(heights):
    """(frames, points, 3) m, y up: points at these heights lean forward and back."""
    lean = 0.4 * np.sin(2 * np.pi * np.arange(FRAMES) / FRAMES)
    heights = np.asarray(heights)
    x = (heights - 0.9) * np.tan(lean)[:, None]
    return np.stack([x, np.broadcast_to(heights, x.shape), 0.1 * x], -1)


def make_scene():
    """The scene all tests of the player share."""
    spine_points = swinging(np.linspace(0.95, 1.5, 9))
    sd = np.linspace(0.005, 0.03, 9)
    covariance = np.broadcast_to(np.eye(3) * sd[:, None, None] ** 2, (FRAMES, 9, 3, 3))
    spine = Markers([f"P{i}" for i in range(9)], RATE, spine_points, "y_up", covariance=covariance)
    bodies = {"pelvis": 0.9, "lumbar3": 1.1, "T6": 1.3, "head": 1.6, "calcn_r": 0.05}
    poses = {}
    for name, height in bodies.items():
        pose = np.tile(np.eye(4), (FRAMES, 1, 1))
        pose[:, :3, 3] = swinging([height])[:, 0] if height > 0.5 else [0, height, 0]
        pose[:, :3, :3] = Rotation.from_euler("z", 0.02 * np.arange(FRAMES)[:, None]).as_matrix()
        poses[name] = pose
    poses["T6"][12] = np.nan  # a frame without solution
    xyz = swinging([0.9, 1.3, 1.55, 1.1])
    xyz[5:9, 1] = np.nan
    filled = np.zeros((FRAMES, 4), bool)
    filled[20:24, 0] = True
    points = Markers(
        ("LHip", "RShoulder", "Nose", HOSTILE), RATE, xyz, "y_up", filled=filled,
        origin=("detected", "detected", "given", "inferred"),
    )  # fmt: skip
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # looks along world y
    K = [[1000, 0, 500], [0, 1000, 400], [0, 0, 1]]
    cameras = tuple(Camera(f"cam{i}", (1000, 800), K, np.zeros(5), turn, [0.5 * i, 1.2, 3]) for i in range(2))
    status = ["kept"] * FRAMES
    status[10:14], status[30] = ["rejected"] * 4, "corrected"
    reasons = ["curvature_speed" if s == "rejected" else "" for s in status]
    values = 40 + 10 * np.sin(np.arange(FRAMES) / 6)
    curves = (
        Curve(
            "LLA",
            "Lumbar lordosis",
            values,
            np.full(FRAMES, 3.0),
            (38.0, 61.0, "standing adults"),
            stated="mean 41 ± 6°",
        ),
        Curve(
            "TKA",
            "Thoracic kyphosis",
            np.where(np.arange(FRAMES) == 7, np.nan, values - 5),
            None,
            None,
            "set",
            True,
            result=False,
        ),
    )
    bones = tuple(box(name, (0.08, 0.12, 0.08), "vertebra" if name in ("lumbar3", "T6") else "bone") for name in poses)
    return Scene(
        HOSTILE, spine, points, poses, bones, (("pelvis", "lumbar3"), ("lumbar3", "T6"), ("T6", "head")), cameras,
        status, reasons, curves,
    )  # fmt: skip
