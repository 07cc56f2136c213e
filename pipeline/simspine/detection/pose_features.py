"""What a network of the spine sees of a person: BlazePose's points and mask, in the frame of its crop.

A share is a place in the square crop that BlazePose looked in: 0 … 1 across and down. The crop turns and grows with
the person, so that size, place and, mostly, tilt of the person in the image are gone.
"""

from typing import NamedTuple

import numpy as np

from simspine.detection.pose_networks import LANDMARK_SIZE, Pose
from simspine.skeletons import load

MASK = 64  # px, side of the mask
_NAMES = load("blazepose33").names
SWAPS = np.array(load("blazepose33").swaps)
HIPS = (_NAMES.index("left_hip"), _NAMES.index("right_hip"))
SHOULDERS = (_NAMES.index("left_shoulder"), _NAMES.index("right_shoulder"))


class PoseFeatures(NamedTuple):
    """points: (33, 4) x, y shares, depth as a share of the crop's side, visibility. mask: (64, 64) 0…1, of the body."""

    points: np.ndarray
    mask: np.ndarray


def features_of(pose: Pose) -> PoseFeatures:
    """Of one person."""
    import cv2

    shares = to_shares(pose, pose.points[:, :2])
    points = np.column_stack([shares, pose.depth / LANDMARK_SIZE, pose.points[:, 2]]).astype(np.float32)
    body = 1 / (1 + np.exp(-np.clip(pose.mask.astype(np.float32), -30, 30)))
    return PoseFeatures(points, cv2.resize(body, (MASK, MASK), interpolation=cv2.INTER_AREA))


def to_shares(pose: Pose, xy: np.ndarray) -> np.ndarray:
    """Points (..., 2) px of the image as shares of the crop that was looked in."""
    to_crop = pose.looked_in.to_crop(1)
    return xy @ to_crop[:, :2].T + to_crop[:, 2]


def trunk(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mid-hips and mid-shoulders (..., 2) of points (..., 33, 2 or more), shares."""
    return points[..., HIPS, :2].mean(-2), points[..., SHOULDERS, :2].mean(-2)
