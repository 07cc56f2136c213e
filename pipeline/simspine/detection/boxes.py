"""Where the people are in an image: sources of boxes for detectors that look at one person at a time."""

from collections.abc import Callable, Sequence

import numpy as np

from simspine.detection.protocol import Detector
from simspine.geometry import project
from simspine.types import Camera

BoxSource = Callable[[Sequence[np.ndarray]], list[np.ndarray]]
"""Images of all views → (people, 4) x0 y0 x1 y1 px for each."""


def whole_image(images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """One box per image: all of it. Fit for one person who fills the picture."""
    return [np.array([[0.0, 0.0, image.shape[1], image.shape[0]]]) for image in images]


def extent(xy: np.ndarray, size: tuple[int, int], margin: float) -> np.ndarray:
    """Boxes (..., 4) around points (..., points, 2) px, widened by a share of their extent on each side.

    Cut to the image of size (w, h); NaN where less than a pixel of it is left, or no point is known.
    """
    known = np.isfinite(xy).all(-1, keepdims=True)
    low, high = np.where(known, xy, np.inf).min(-2), np.where(known, xy, -np.inf).max(-2)
    with np.errstate(invalid="ignore"):
        widen = margin * (high - low)
        low, high = np.clip(low - widen, 0, size), np.clip(high + widen, 0, size)
        seen = known.any((-2, -1)) & (high - low > 1).all(-1)
    return np.where(seen[..., None], np.concatenate([low, high], -1), np.nan)


def boxes_of_joints(cameras: Sequence[Camera], xyz: np.ndarray, margin: float = 0.1) -> np.ndarray:
    """(frames, views, 4) px: where each camera sees a person whose joints (frames, joints, 3) m are known.

    Joints lie inside the body, hence the margin, a share of the box on each side. NaN where no joint is known, or none
    in the image.
    """
    pixels = project(cameras, xyz)
    return np.stack([extent(p, c.size, margin) for p, c in zip(pixels, cameras, strict=True)], axis=1)


class ExtentBoxes:
    """The extent of another detector's points, widened on each side; the whole image where it sees nobody."""

    def __init__(self, detector: Detector, margin: float = 0.1, min_confidence: float = 0.3):
        self._detector, self._margin, self._min_confidence = detector, margin, min_confidence

    def __call__(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        found = self._detector.detect(images)
        return [
            np.array([self._box(person, image) for person in people]) if len(people) else whole_image([image])[0]
            for people, image in zip(found, images, strict=True)
        ]

    def _box(self, person: np.ndarray, image: np.ndarray) -> np.ndarray:
        sure = person[person[:, 2] >= self._min_confidence, :2]
        if len(sure) < 2:
            sure = person[:, :2]
        box = extent(sure, image.shape[1::-1], self._margin)
        return box if np.isfinite(box).all() else whole_image([image])[0][0]

    def forget(self) -> None:
        """Follow nobody any more."""
        self._detector.forget()

    def close(self) -> None:
        self._detector.close()
