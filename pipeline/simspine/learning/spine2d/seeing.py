"""What a network sees in labelled crops: places and covariances, in px of the crop and of the image. Needs PyTorch."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from simspine.learning.gaussians import covariances
from simspine.learning.spine2d.augmentation import mirror_order, plain_view
from simspine.learning.spine2d.batches import CropReader
from simspine.learning.spine2d.network import Found
from simspine.learning.spine2d.simcc import SimccMaps, best_places
from simspine.learning.spine2d.training import tensors_of

AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Sightings:
    """Of everybody in a set. places, labels: (people, points, 2) px of the crop, labels NaN where there is none or it
    is outside the crop. covariance: (people, points, 2, 2) px². confidence: (people, points) 0…1.
    """

    places: np.ndarray
    labels: np.ndarray
    covariance: np.ndarray
    confidence: np.ndarray

    @property
    def error_px(self) -> np.ndarray:
        """(people, points) px of the crop; NaN without label."""
        return np.linalg.norm(self.places - self.labels, axis=-1)

    def in_images(self, reader: CropReader, which: int = 0) -> np.ndarray:
        """Places (people, points, 2) in px of the images of the reader's set."""
        return to_images(self.places, reader.sets[which].box, reader.size)


def to_images(places: np.ndarray, box: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Px of plain crops → px of the images. places: (people, points, 2); box: (people, 4) x0 y0 x1 y1 px."""
    found = []
    for own, corners in zip(places, box, strict=True):
        matrix = plain_view(corners, size).matrix(size)
        found.append((own - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T)
    return np.array(found).reshape(places.shape)


def look(network: nn.Module, reader: CropReader, which: int = 0, flip: bool = False) -> Sightings:
    """What a network sees of everybody in a set. flip: mean of the maps of a crop and of its mirror image (for networks
    that take nothing but the crop).
    """
    device = str(next(network.parameters()).device)
    parts: list[tuple[np.ndarray, ...]] = []
    network.eval()
    with torch.no_grad():
        for batch in reader.plain(AT_ONCE, which):
            crops, numbers = tensors_of(batch, device)
            found: Found = network(crops, numbers)
            maps = found.maps
            if flip:
                maps = _mean(maps, _mirrored(network(crops.flip(3), numbers).maps, reader.names))
            height = torch.stack([maps.x.amax(-1), maps.y.amax(-1)]).mean(0).clamp(0, 1)
            labels = np.where(batch.weight[..., None] > 0, batch.places, np.nan)
            arrays = best_places(maps), covariances(found.spread), height
            parts.append((labels, *(array.double().cpu().numpy() for array in arrays)))
    labels, places, covariance, confidence = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Sightings(places, labels, covariance, confidence)


def _mirrored(maps: SimccMaps, names: tuple[str, ...]) -> SimccMaps:
    """Maps of mirrored crops as if the crops had not been. Pixel u of the mirrored crop is width − 1 − u, so bins, of
    which there are two a pixel, are turned round and the last is put before them.
    """
    order = mirror_order(names).tolist()
    x = maps.x[:, order].flip(-1).roll(-1, -1)
    return SimccMaps(x, maps.y[:, order])


def _mean(first: SimccMaps, second: SimccMaps) -> SimccMaps:
    return SimccMaps((first.x + second.x) / 2, (first.y + second.y) / 2)


def mean_places(reader: CropReader, which: int = 0) -> np.ndarray:
    """(points, 2) px: mean place of each point in the plain crops of a set, what any network must beat; NaN without."""
    people = reader.sets[which]
    total, count = np.zeros((len(reader.names), 2)), np.zeros(len(reader.names))
    for row in range(len(people)):
        matrix = plain_view(people.box[row], reader.size).matrix(reader.size)
        known = people.keypoints[row, :, 2] > 0
        total += np.where(known[:, None], people.keypoints[row, :, :2] @ matrix[:, :2].T + matrix[:, 2], 0)
        count += known
    return np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.nan)
