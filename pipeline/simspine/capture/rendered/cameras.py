"""Cameras that look at somebody: from anywhere, cut to the person as a detector's crop is."""

import numpy as np

from simspine.capture.rig import looking
from simspine.geometry import project_one
from simspine.types import Camera

_DISTANCE = (2.0, 8.0)  # m
_HEIGHT = (0.3, 2.4)  # m above the floor
_OFF_AXIS = np.radians(9.0)  # of the person from the middle of the full image, one standard deviation
_CLOSE = 0.15  # share of pictures that show only a part of the person


def draw_camera(rng: np.random.Generator, points: np.ndarray, floor: float, size: tuple[int, int]) -> Camera:
    """A camera of `size` px that sees points (n, 3) m of a person, z up.

    It stands anywhere around, looks somewhat beside the person, and what is kept of its image is the part around them:
    the principal point may lie outside. The lens is bent as much as those of Human3.6M.
    """
    middle = (points.min(0) + points.max(0)) / 2
    turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(*_DISTANCE)
    eye = np.array([*(middle[:2] + far * np.array([np.cos(turn), np.sin(turn)])), floor + rng.uniform(*_HEIGHT)])
    aim = middle + np.linalg.norm(eye - middle) * np.tan(rng.normal(0, _OFF_AXIS, 3).clip(-0.35, 0.35))
    R = looking(eye, aim, np.radians(rng.normal(0, 5.0)))
    k1 = rng.normal(-0.12, 0.08)
    distortion = np.array([k1, -k1 * rng.uniform(0.5, 1.2), rng.normal(0, 1e-3), rng.normal(0, 1e-3), 0.0])
    unit = Camera("unit", size, np.eye(3), distortion, R, -R @ eye)
    seen = points
    if rng.random() < _CLOSE:  # head to hips, or a part about one point
        seen = points[points[:, 2] > np.quantile(points[:, 2], rng.uniform(0.25, 0.55))]
    at = project_one(unit, seen)
    low, high = at.min(0), at.max(0)
    fill = rng.uniform(0.6, 0.92)
    focal = fill * float(np.min(np.array(size) / (high - low)))
    shift = rng.normal(0, 0.03, 2) * size
    centre = np.array(size) / 2 + shift - focal * (low + high) / 2
    K = np.array([[focal, 0, centre[0]], [0, focal, centre[1]], [0, 0, 1.0]])
    return Camera("crop", size, K, distortion, R, -R @ eye)
