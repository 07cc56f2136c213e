"""Points of the spine estimated from BlazePose's 33 points and its mask of a person's outline."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.core.settings import packaged_file
from simspine.core.skeletons import load_skeleton
from simspine.vision.blazepose import LANDMARK_SIZE, BlazePose, Pose
from simspine.vision.options import DEFAULT_MODELS
from simspine.vision.spinepose import open_session

# Inputs of the network of the spine: BlazePose's points and mask of a person, in the frame of the trunk.
# A share is a position in the square crop that BlazePose saw, 0 … 1 across and down, independent of the person's size
# in the image. The frame of the trunk has its origin in the middle between mid-hips and mid-shoulders, and the
# shoulders straight above (y down, as in images). It keeps the scale of shares: a trunk bent towards the camera looks
# short.


MASK_PX = 64  # px, side of the mask of the whole crop
TRUNK_WINDOW_PX, TRUNK_WINDOW_SHARE = 40, 0.625  # side of the part of the mask about the trunk; as a share of the crop
_BLAZEPOSE_NAMES = load_skeleton("blazepose33").names
HIP_INDICES = (_BLAZEPOSE_NAMES.index("left_hip"), _BLAZEPOSE_NAMES.index("right_hip"))
SHOULDER_INDICES = (_BLAZEPOSE_NAMES.index("left_shoulder"), _BLAZEPOSE_NAMES.index("right_shoulder"))
SPINE_POINTS = (
    "hip", "spine_01", "spine_02", "spine_03", "spine_04", "spine_05", "neck", "neck_02", "neck_03",
    "left_latissimus", "right_latissimus", "left_clavicle", "right_clavicle",
)  # fmt: skip
"""Points that the network estimates, by SpineTrack's names."""


class PoseFeatures(NamedTuple):
    """points: (33, 4) x, y and depth as shares of the crop's side, visibility. mask: (64, 64) 0…1, 1 on the body."""

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
        """Points (..., n, 2) of the frame of the trunk in shares: the inverse of `places`."""
        return places @ np.swapaxes(self.turn, -1, -2) + self.origin[..., None, :]


def features_of(pose: Pose) -> PoseFeatures:
    import cv2

    shares = to_crop_shares(pose, pose.points[:, :2])
    points = np.column_stack([shares, pose.depth / LANDMARK_SIZE, pose.points[:, 2]]).astype(np.float32)
    body = 1 / (1 + np.exp(-np.clip(pose.mask.astype(np.float32), -30, 30)))
    return PoseFeatures(points, cv2.resize(body, (MASK_PX, MASK_PX), interpolation=cv2.INTER_AREA))


def to_crop_shares(pose: Pose, xy: np.ndarray) -> np.ndarray:
    """Points (..., 2) px of the image as shares of the crop that the network saw."""
    to_crop = pose.looked_in.to_crop(1)
    return xy @ to_crop[:, :2].T + to_crop[:, 2]


def trunk_frame(points: np.ndarray) -> TrunkFrame:
    """Frame of the trunk of BlazePose's points (..., 33, 2 or more), shares."""
    low, high = points[..., HIP_INDICES, :2].mean(-2), points[..., SHOULDER_INDICES, :2].mean(-2)
    down = low - high
    down = down / np.maximum(np.linalg.norm(down, axis=-1, keepdims=True), 1e-6)
    turn = np.stack([np.stack([down[..., 1], -down[..., 0]], -1), down], -1)
    return TrunkFrame((low + high) / 2, turn)


def to_trunk_frame(features: PoseFeatures) -> PoseFeatures:
    """Points in the frame of the trunk, and the part of the mask about it: (40, 40)."""
    frame = trunk_frame(features.points)
    points = features.points.copy()
    points[:, :2] = frame.places(features.points[:, :2])
    return PoseFeatures(points, trunk_window(features.mask, frame))


def trunk_window(image: np.ndarray, frame: TrunkFrame) -> np.ndarray:
    """The part of an image of the whole crop (n, n, …) about the trunk, (40, 40, …); 0 beyond it."""
    import cv2

    pixel = TRUNK_WINDOW_SHARE / TRUNK_WINDOW_PX * frame.turn  # shares for a px of the window
    corner = frame.origin + pixel @ np.full(2, (1 - TRUNK_WINDOW_PX) / 2)
    to_image = len(image) * np.column_stack([pixel, corner]) - [[0, 0, 0.5], [0, 0, 0.5]]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_image, (TRUNK_WINDOW_PX, TRUNK_WINDOW_PX), flags=flags)


# BlazePose and, after its points, thirteen of the trunk: the spine's nine, both latissimus and clavicle points.
# Experimental. A small network (`networks/README.md`) estimates them from BlazePose's 33 points and its mask. It was
# trained on rendered people; points and mask are alike in rendered and real images. Its estimates are guesses with a
# covariance: the network does not see the spine itself. Errors on real images: docs/detector.md.


HALF_CONFIDENCE_SD = 0.03  # of the crop's side, some 7 cm: standard deviation of a point of the confidence one half
CROP_SIDE = 2.2  # m, of a person of usual height


class PlacedSpine(NamedTuple):
    """Points of one person in the order of `SPINE_POINTS`. xy: (13, 2) px; covariance: (13, 2, 2) px²;
    confidence: (13,) 0…1, lower for a larger standard deviation relative to the person's size."""

    xy: np.ndarray
    covariance: np.ndarray
    confidence: np.ndarray


class SpinePlacer:
    """The network that estimates the points of the spine from a person's pose."""

    def __init__(self, weights: str | Path | None = None):
        """weights: an ONNX file in place of the packaged one; `InputError` for another kind of file."""
        shipped = packaged_file(Path(__file__).with_name("networks") / "spine.onnx")
        self._session = open_session(shipped if weights is None else weights)

    def place(self, pose: Pose) -> PlacedSpine:
        features = to_trunk_frame(features_of(pose))
        arrays = {"points": features.points, "mask": features.mask[None]}
        inputs = {entry.name: arrays[entry.name][None].astype(np.float32) for entry in self._session.get_inputs()}
        output = self._session.run(None, inputs)[0][0].astype(float)
        frame, region = trunk_frame(to_crop_shares(pose, pose.points[:, :2])), pose.looked_in
        xy = region.to_image(frame.shares(output[:, :2]))
        covariance = _covariance_of_whitening(output[:, 2:])
        c, s = np.cos(region.turn), np.sin(region.turn)
        to_image = region.side * np.array([[c, -s], [s, c]]) @ frame.turn
        variance = np.sqrt(np.linalg.det(covariance))  # of a circle as large as the ellipse
        return PlacedSpine(xy, to_image @ covariance @ to_image.T, 1 / (1 + variance / HALF_CONFIDENCE_SD**2))


class BlazePoseSpine(BlazePose):
    """As `BlazePose`, with the points of the trunk after its own; their confidence follows from the covariance."""

    skeleton = "blazepose_spine46"
    estimated = SPINE_POINTS

    def __init__(self, people: int = 4, threads: int = 2):
        super().__init__(people, threads, model=DEFAULT_MODELS["blazepose_spine"])
        self._placer = SpinePlacer()

    def points_of(self, pose: Pose) -> np.ndarray:
        spine = self._placer.place(pose)
        return np.concatenate([pose.points, np.column_stack([spine.xy, spine.confidence])])


def stated_deviation(confidence: np.ndarray) -> np.ndarray:
    """Standard deviation along one axis, m, that a confidence 0…1 stands for; infinite for a confidence of 0."""
    with np.errstate(divide="ignore"):
        return CROP_SIDE * HALF_CONFIDENCE_SD * np.sqrt(1 / np.asarray(confidence, float) - 1)


def _covariance_of_whitening(whitening: np.ndarray) -> np.ndarray:
    """Covariances (n, 2, 2) from a, b, c (n, 3) of the whitening matrices [[exp a, 0], [c, exp b]]."""
    a, b, c = whitening.T
    matrix = np.zeros((len(a), 2, 2))
    matrix[:, 0, 0], matrix[:, 1, 0], matrix[:, 1, 1] = np.exp(a), c, np.exp(b)
    inverse = np.linalg.inv(matrix)
    return inverse @ np.swapaxes(inverse, 1, 2)
