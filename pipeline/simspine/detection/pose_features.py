"""What a network of the spine sees of a person: BlazePose's points and mask, in the frame of the trunk.

A share is a place in the square crop that BlazePose looked in, 0 … 1 across and down: the person's size in the image is
gone. The frame of the trunk has its origin in the middle between mid-hips and mid-shoulders, the shoulders straight
above (y down, as in images), and keeps the scale of shares: a trunk that is bent towards the camera looks short.
"""

from typing import NamedTuple

import numpy as np

from simspine.detection.pose_networks import LANDMARK_SIZE, Pose
from simspine.skeletons import load

MASK = 64  # px, side of the mask of the whole crop
WINDOW, SIDE = 40, 0.625  # px, and share of the crop: the part of the mask about the trunk, at the same resolution
_NAMES = load("blazepose33").names
HIPS = (_NAMES.index("left_hip"), _NAMES.index("right_hip"))
SHOULDERS = (_NAMES.index("left_shoulder"), _NAMES.index("right_shoulder"))
SPINE_POINTS = (
    "hip", "spine_01", "spine_02", "spine_03", "spine_04", "spine_05", "neck", "neck_02", "neck_03",
    "left_latissimus", "right_latissimus", "left_clavicle", "right_clavicle",
)  # fmt: skip
"""What the network places, by SpineTrack's names."""


class PoseFeatures(NamedTuple):
    """points: (33, 4) x, y shares, depth as a share of the crop's side, visibility. mask: (64, 64) 0…1, of the body."""

    points: np.ndarray
    mask: np.ndarray


class TrunkFrame(NamedTuple):
    """share = origin + turn @ place. origin: (..., 2) shares; turn: (..., 2, 2)."""

    origin: np.ndarray
    turn: np.ndarray

    def places(self, shares: np.ndarray) -> np.ndarray:
        """Points (..., n, 2) shares in the frame of the trunk."""
        return (shares - self.origin[..., None, :]) @ self.turn

    def shares(self, places: np.ndarray) -> np.ndarray:
        """The inverse."""
        return places @ np.swapaxes(self.turn, -1, -2) + self.origin[..., None, :]


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


def trunk_frame(points: np.ndarray) -> TrunkFrame:
    """Of points (..., 33, 2 or more), shares."""
    low, high = points[..., HIPS, :2].mean(-2), points[..., SHOULDERS, :2].mean(-2)
    down = low - high
    down = down / np.maximum(np.linalg.norm(down, axis=-1, keepdims=True), 1e-6)
    turn = np.stack([np.stack([down[..., 1], -down[..., 0]], -1), down], -1)
    return TrunkFrame((low + high) / 2, turn)


def in_trunk(features: PoseFeatures) -> PoseFeatures:
    """Points in the frame of the trunk, and the part of the mask about it: (40, 40)."""
    frame = trunk_frame(features.points)
    points = features.points.copy()
    points[:, :2] = frame.places(features.points[:, :2])
    return PoseFeatures(points, window(features.mask, frame))


def window(image: np.ndarray, frame: TrunkFrame) -> np.ndarray:
    """The part of an image of the whole crop (n, n, …) about the trunk, (40, 40, …); 0 beyond it."""
    import cv2

    pixel = SIDE / WINDOW * frame.turn  # shares for a px of the window
    corner = frame.origin + pixel @ np.full(2, (1 - WINDOW) / 2)
    to_image = len(image) * np.column_stack([pixel, corner]) - [[0, 0, 0.5], [0, 0, 0.5]]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_image, (WINDOW, WINDOW), flags=flags)
