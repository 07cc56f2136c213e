"""Samples as the numbers that a method sees: points beside the root, standardised, gaps at the mean.

The root's entry in the image is where the root itself is seen, all other points are relative to it. A root that was not
detected is taken to be at the mean of the points next to it in the skeleton, or of all points where they lack too.
In space the root is left out: it is 0 by definition, and put back by `Encoding.points`.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from simspine.learning.views import Samples
from simspine.skeletons import TARGET, load

LEAST = 1e-6  # a standard deviation below which a number is a constant, and is only shifted


@dataclass(frozen=True, eq=False)
class Encoding:
    """Means and standard deviations over the training data, per coordinate of each point.

    names: root first. image_mean, image_sd: (points, 2). space_mean, space_sd: (points − 1, 3) m.
    """

    names: tuple[str, ...]
    image_mean: np.ndarray
    image_sd: np.ndarray
    space_mean: np.ndarray
    space_sd: np.ndarray

    @classmethod
    def of(cls, data: Samples) -> "Encoding":
        """From samples to learn from; each sample's own frame counts once."""
        image = relative_to_root(data.names, data.seen[:, data.seen.shape[1] // 2])
        present = np.isfinite(image)
        count = np.maximum(present.sum(0), 1)
        mean = np.where(present, image, 0).sum(0) / count
        sd = np.sqrt((np.where(present, image - mean, 0) ** 2).sum(0) / count)
        space = data.xyz[:, 1:]
        return cls(data.names, mean, np.maximum(sd, LEAST), space.mean(0), np.maximum(space.std(0), LEAST))

    def features(self, data: Samples) -> np.ndarray:
        """(samples, frames, 2 points) standardised image points; 0 where one is missing."""
        image = (relative_to_root(self.names, data.seen) - self.image_mean) / self.image_sd
        return np.nan_to_num(image).reshape(*image.shape[:2], -1)

    def targets(self, data: Samples) -> np.ndarray:
        """(samples, 3 (points − 1)) standardised points in space, without the root."""
        return ((data.xyz[:, 1:] - self.space_mean) / self.space_sd).reshape(len(data), -1)

    def points(self, targets: np.ndarray) -> np.ndarray:
        """(samples, points, 3) m from standardised targets, the root put back at 0."""
        space = np.asarray(targets, float).reshape(len(targets), *self.space_mean.shape)
        return self._with_root(space * self.space_sd + self.space_mean)

    @property
    def beside_root(self) -> list[int]:
        """Positions of the points next to the root in the skeleton: it is at their mean where it is missing."""
        return _beside_root(self.names)

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """All figures by name."""
        return {name: getattr(self, name) for name in ("image_mean", "image_sd", "space_mean", "space_sd")}

    @staticmethod
    def _with_root(space: np.ndarray) -> np.ndarray:
        return np.concatenate([np.zeros((len(space), 1, 3)), space], 1)


def relative_to_root(names: tuple[str, ...], image: np.ndarray) -> np.ndarray:
    """Image points (…, points, 2), NaN = missing, relative to the first; in the first's place where it is seen."""
    root = _filled_root(names, image)
    return np.concatenate([root[..., None, :], image[..., 1:, :] - root[..., None, :]], -2)


def _filled_root(names: tuple[str, ...], image: np.ndarray) -> np.ndarray:
    """(…, 2) where the root is, or what stands for it; NaN where no point is seen."""
    place = image[..., 0, :]
    for others in (image[..., _beside_root(names), :], image[..., 1:, :]):
        place = np.where(np.isfinite(place), place, _mean(others))
    return place


def _beside_root(names: tuple[str, ...]) -> list[int]:
    skeleton = load(TARGET)
    root = skeleton.index(names[0])
    return [i for i, name in enumerate(names) if skeleton.parents[skeleton.index(name)] == root]


def _mean(points: np.ndarray) -> np.ndarray:
    """Mean over the points (…, points, 2) that are there; NaN for none."""
    present = np.isfinite(points)
    count = present.sum(-2)
    return np.where(present, points, 0).sum(-2) / np.where(count > 0, count, np.nan)
