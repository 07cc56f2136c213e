"""Virtual cameras: a rig of the size and layout of Human3.6M's, with values of its own, or any calibration file's."""

import os

import numpy as np

from simspine.capture.random_streams import stream
from simspine.types import Camera

# Name and image size as in the data set, whose readers look for them; azimuth (degrees) about where its cameras stand:
# two pairs on the long sides of a hall, so that depth across the hall is the worst seen direction.
LAYOUT = (
    ("54138969", (1000, 1002), 68.0),
    ("55011271", (1000, 1000), -69.0),
    ("58860488", (1000, 1000), 108.0),
    ("60457274", (1000, 1002), -113.0),
)
DISTANCE = (5.0, 5.8)  # m from the middle of the hall, on the floor
HEIGHT = (1.42, 1.68)  # m
# Means and deviations of the order of the real cameras'; the values drawn are nobody's.
FOCAL, ASPECT = (1147.0, 2.5), (0.9990, 0.0006)  # px; fy / fx
CENTRE = ((513.0, 4.0), (507.0, 5.0))  # px
DISTORTION = ((-0.202, 0.006), (0.242, 0.015), (-0.0014, 0.0008), (-0.0004, 0.0012), (0.0, 0.006))  # k1 k2 p1 p2 k3


def rig(seed: int, subject: str, calibration: str | os.PathLike | None = None) -> list[Camera]:
    """The cameras that see a subject; world z up, m, the origin on the floor in the middle of the hall.

    Without `calibration` four cameras like Human3.6M's: lenses are the same for all subjects, places differ by
    centimetres and degrees from subject to subject, as if the rig had been put up anew. Equal arguments give equal
    cameras. calibration: a file with any other rig (`read_calibration`), the same for all subjects unless a JSON file
    holds one for each.
    """
    if calibration is not None:
        from simspine.formats.calibration import read_calibration

        return read_calibration(calibration, subject)
    hall, own = stream(seed, "rig"), stream(seed, "rig", subject)
    return [_camera(hall, own, *row) for row in LAYOUT]


def _camera(hall: np.random.Generator, own: np.random.Generator, name: str, size: tuple[int, int], azimuth: float):
    focal, aspect = hall.normal(*FOCAL), hall.normal(*ASPECT)
    cx, cy = (hall.normal(*axis) for axis in CENTRE)
    distortion = [hall.normal(*coefficient) for coefficient in DISTORTION]
    distance, height = hall.uniform(*DISTANCE), hall.uniform(*HEIGHT)
    # Put up anew for each subject: a few centimetres, a degree or two.
    distance += own.normal(0, 0.05)
    height = np.clip(height + own.normal(0, 0.02), 1.4, 1.7)
    turn = np.radians(azimuth + own.normal(0, 1.5))
    centre = np.array([distance * np.cos(turn), distance * np.sin(turn), height])
    aim = np.array([own.normal(0, 0.15), own.normal(0, 0.1), 0.55 + own.normal(0, 0.04)])
    R = looking(centre, aim, np.radians(own.normal(0, 2.0)))
    K = np.array([[focal, 0, cx], [0, focal * aspect, cy], [0, 0, 1]])
    return Camera(name, size, K, np.array(distortion), R, -R @ centre)


def looking(centre: np.ndarray, aim: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """(3, 3) rotation world → camera of a camera at `centre` that looks at `aim`, z up; roll: rad about its axis."""
    forward = (aim - centre) / np.linalg.norm(aim - centre)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    level = np.stack([right, np.cross(forward, right), forward])
    c, s = np.cos(roll), np.sin(roll)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]) @ level
