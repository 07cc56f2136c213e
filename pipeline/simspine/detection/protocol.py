"""What a detector is."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Detector(Protocol):
    """Finds people in simultaneous images of several views.

    skeleton: name of the skeleton (see `simspine.skeletons`) whose points it gives, in that order. people: the most
    it gives for one image.
    """

    skeleton: str
    people: int

    def detect(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """Points of the people in each image.

        images: (height, width, 3) uint8, BGR; one per view, always in the same order, one call per instant: a detector
        may follow a person from call to call. boxes: where people are known to be, (people, 4) x0 y0 x1 y1 px for
        each view, None = find them. Returns per view (people, points, 3): x px, y px, confidence 0…1; people may be 0.
        """
        ...

    def forget(self) -> None:
        """Follow nobody any more: the next images are looked at as a new detector's first ones, of any number."""
        ...

    def close(self) -> None:
        """Release networks and threads."""
        ...


@runtime_checkable
class EstimatingDetector(Detector, Protocol):
    """A detector that gives points which it does not see.

    estimated: names of those points of its skeleton that it places by other evidence, such as pose and outline. What
    becomes of them has the origin `estimated` to the last file.
    """

    estimated: tuple[str, ...]


def estimated_by(detector: Detector) -> tuple[str, ...]:
    """Names of the points that a detector gives without seeing them."""
    return detector.estimated if isinstance(detector, EstimatingDetector) else ()
