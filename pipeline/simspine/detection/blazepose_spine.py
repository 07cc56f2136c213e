"""BlazePose and, after its points, thirteen of the trunk: the spine's nine, both latissimus and clavicle points.

Experimental. A small network (`networks/README.md`) places them from BlazePose's 33 points and its mask, which carry
over from rendered people, whom it was trained on, to real ones. What it gives is a guess with a spread: nothing of the
spine itself is seen. How far off it is on real images: docs/detector.md.
"""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.detection.blazepose import BlazePose
from simspine.detection.onnx_session import open_session
from simspine.detection.pose_features import SPINE_POINTS, features_of, in_trunk, to_shares, trunk_frame
from simspine.detection.pose_networks import Pose

HALF = 0.03  # share of the crop's side, some 7 cm: a point known to this standard deviation has the confidence one half
CROP_SIDE = 2.2  # m, of a person of usual height


class PlacedSpine(NamedTuple):
    """Of one person, in the order of `pose_features.SPINE_POINTS`. xy: (13, 2) px; covariance: (13, 2, 2) px²;
    confidence: (13,) 0…1, less the wider the spread is for the person's size."""

    xy: np.ndarray
    covariance: np.ndarray
    confidence: np.ndarray


class SpinePlacer:
    """The network that goes from a person's pose to the points of the spine."""

    def __init__(self, weights: str | Path | None = None):
        """weights: an ONNX file in place of the one that comes with simspine; `InputError` where it is none."""
        shipped = Path(str(files("simspine.detection") / "networks" / "spine.onnx"))
        self._session = open_session(shipped if weights is None else weights)

    @property
    def channels(self) -> int:
        """Of the picture that the network is given: 1, the mask; 3 for a network of colours; 0 for one of points."""
        return next((entry.shape[1] for entry in self._session.get_inputs() if entry.name == "mask"), 0)

    def place(self, pose: Pose) -> PlacedSpine:
        """The points of one person."""
        seen = in_trunk(features_of(pose))
        return self.placed_by(pose, {"points": seen.points, "mask": seen.mask[None]})

    def placed_by(self, pose: Pose, given: Mapping[str, np.ndarray]) -> PlacedSpine:
        """The points of one person from what their network is given, in the frame of their trunk."""
        inputs = {entry.name: given[entry.name][None].astype(np.float32) for entry in self._session.get_inputs()}
        found = self._session.run(None, inputs)[0][0].astype(float)
        frame, region = trunk_frame(to_shares(pose, pose.points[:, :2])), pose.looked_in
        xy = region.to_image(frame.shares(found[:, :2]))
        spread = _covariance(found[:, 2:])
        c, s = np.cos(region.turn), np.sin(region.turn)
        to_image = region.side * np.array([[c, -s], [s, c]]) @ frame.turn
        variance = np.sqrt(np.linalg.det(spread))  # of a circle as large as the ellipse
        return PlacedSpine(xy, to_image @ spread @ to_image.T, 1 / (1 + variance / HALF**2))


class BlazePoseSpine(BlazePose):
    """As `BlazePose`, with the points of the trunk after its own; the confidence of these says how sure they are."""

    skeleton = "blazepose_spine46"
    estimated = SPINE_POINTS

    def __init__(self, people: int = 4, threads: int = 2, weights: str | Path | None = None):
        super().__init__(people, threads)
        self._placer = SpinePlacer(weights)

    def points_of(self, pose: Pose) -> np.ndarray:
        spine = self._placer.place(pose)
        return np.concatenate([pose.points, np.column_stack([spine.xy, spine.confidence])])


def stated_deviation(confidence: np.ndarray) -> np.ndarray:
    """Standard deviation along one axis, m, that a confidence 0…1 stands for; infinite where that is 0."""
    with np.errstate(divide="ignore"):
        return CROP_SIDE * HALF * np.sqrt(1 / np.asarray(confidence, float) - 1)


def _covariance(whitening: np.ndarray) -> np.ndarray:
    """(n, 2, 2) from a, b, c (n, 3) of the matrices [[exp a, 0], [c, exp b]] that make errors white."""
    a, b, c = whitening.T
    matrix = np.zeros((len(a), 2, 2))
    matrix[:, 0, 0], matrix[:, 1, 0], matrix[:, 1, 1] = np.exp(a), c, np.exp(b)
    inverse = np.linalg.inv(matrix)
    return inverse @ np.swapaxes(inverse, 1, 2)
