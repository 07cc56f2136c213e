"""The flip test: each image is looked at twice, as it is and mirrored, and the points are averaged.

Usual since Newell et al. 2016 ("Stacked hourglass networks"). There the maps of one network are averaged; here points
are, each weighted by its confidence, so that it serves any detector. It takes twice the time.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from simspine import skeletons
from simspine.detection.identities import distance
from simspine.detection.protocol import Detector, estimated_by

SAME = 0.15  # of a person's extent: people of both looks whose points lie nearer than this on average are one


class FlipTest:
    """A detector of two equal ones: the second sees mirrored images. Points of an outline are left out.

    Who is seen only in the image as it is stays as found there; who is seen only in the mirror is left out.
    """

    def __init__(self, plain: Detector, mirrored: Detector):
        self.skeleton = plain.skeleton
        self.people = plain.people
        self.estimated = estimated_by(plain)
        self._plain, self._mirrored = plain, mirrored
        self._swaps = list(skeletons.load(plain.skeleton).swaps)

    def detect(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """See `Detector.detect`."""
        widths = [image.shape[1] for image in images]
        flipped = None
        if boxes is not None:
            flipped = [None if b is None else mirrored_boxes(b, w) for b, w in zip(boxes, widths, strict=True)]
        seen = self._plain.detect(images, boxes)
        again = self._mirrored.detect([np.ascontiguousarray(image[:, ::-1]) for image in images], flipped)
        points = len(self._swaps)
        return [
            averaged(a[:, :points], self.mirrored_points(b[:, :points], width))
            for a, b, width in zip(seen, again, widths, strict=True)
        ]

    def mirrored_points(self, people: np.ndarray, width: int) -> np.ndarray:
        """(people, points, 3) of a mirrored image as points of the image: left is right, and x counts from the end."""
        found = people[:, self._swaps].copy()
        found[..., 0] = width - 1 - found[..., 0]
        return found

    def forget(self) -> None:
        """See `Detector.forget`."""
        self._plain.forget()
        self._mirrored.forget()

    def close(self) -> None:
        self._plain.close()
        self._mirrored.close()


def mirrored_boxes(boxes: np.ndarray, width: int) -> np.ndarray:
    """(people, 4) x0 y0 x1 y1 px where they are in the mirrored image."""
    boxes = np.asarray(boxes, float)
    return np.stack([width - 1 - boxes[:, 2], boxes[:, 1], width - 1 - boxes[:, 0], boxes[:, 3]], 1)


def averaged(people: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(people, points, 3): each person with the nearest of the others, points weighted by confidence, confidences
    averaged; points that only one look found are as it found them."""
    found = np.array(people, float)
    if not len(people) or not len(others):
        return found
    apart = np.array([[distance(b[:, :2], a[:, :2]) for b in others] for a in people])
    for i, j in zip(*linear_sum_assignment(apart), strict=True):
        if apart[i, j] < SAME:
            found[i] = _mean(people[i], others[j])
    return found


def _mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    pair = np.stack([a, b]).astype(float)
    there = np.isfinite(pair[..., :2]).all(-1)
    weight = np.where(there, np.maximum(pair[..., 2], 1e-9), 0.0)
    total = weight.sum(0)
    xy = (np.where(there[..., None], pair[..., :2], 0.0) * weight[..., None]).sum(0)
    xy = np.where(total[:, None] > 0, xy / np.maximum(total, 1e-12)[:, None], np.nan)
    return np.column_stack([xy, np.where(there.any(0), np.nan_to_num(pair[..., 2]).sum(0) / 2, 0.0)])
