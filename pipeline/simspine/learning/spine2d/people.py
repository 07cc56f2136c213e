"""Labelled people in images: rendered ones, SpineTrack's, MMPose-style sets, as one type. Pixels."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.capture.random_streams import stream
from simspine.errors import InputError
from simspine.evaluation.images import read_labels
from simspine.formats.labelled_images import to_simspine, to_spinetrack
from simspine.formats.mmpose_labels import read_mmpose_labels
from simspine.learning.spine2d.options import SKELETON, LabelledSet
from simspine.skeletons import load


@dataclass(frozen=True, eq=False)
class LabelledPeople:
    """One row a person.

    files: of the images, one a person. names: of the points. keypoints: (people, points, 3) x, y px and v, 0 where not
    labelled. box: (people, 4) x0 y0 x1 y1 px. area: (people,) px².
    """

    files: tuple[Path, ...]
    names: tuple[str, ...]
    keypoints: np.ndarray
    box: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    def rows(self, chosen: np.ndarray) -> "LabelledPeople":
        """Only these people, by index."""
        files = tuple(self.files[i] for i in chosen)
        return LabelledPeople(files, self.names, self.keypoints[chosen], self.box[chosen], self.area[chosen])

    @property
    def digest(self) -> str:
        """sha256 of labels and names of images; the images themselves are not read."""
        found = hashlib.sha256("\x1f".join((*self.names, *(file.name for file in self.files))).encode())
        for array in (self.keypoints, self.box):
            found.update(np.ascontiguousarray(array, "<f8").tobytes())
        return found.hexdigest()


def read_people(where: LabelledSet, names: tuple[str, ...], seed: int) -> LabelledPeople:
    """The people of a set with these points of SpineTrack's, drawn by `where.fraction` and the seed.

    Groups of people, and people without a labelled point or an area, are left out. Raises `InputError` for files that
    cannot be read, for a set without people, and naming the first image that is missing.
    """
    labels, images = _places(where)
    found = _mmpose(labels, images) if labels.suffix == ".npz" else _coco(labels, images)
    columns = [load(SKELETON).index(name) for name in names]
    every = LabelledPeople(found.files, names, found.keypoints[:, columns], found.box, found.area)
    good = (every.keypoints[..., 2] > 0).any(1) & (every.box[:, 2:] - every.box[:, :2] >= 1).all(1)
    kept = np.flatnonzero(good)
    if where.fraction < 1:
        count = max(round(where.fraction * len(kept)), 1)
        kept = np.sort(stream(seed, "fraction", labels.name).permutation(kept)[:count])
    if not len(kept):
        raise InputError(f"{labels}: nobody in it has a labelled point of the {len(names)} that are asked for.")
    chosen = every.rows(kept)
    missing = next((file for file in chosen.files if not file.is_file()), None)
    if missing is not None:
        raise InputError(f"{labels} names the image {missing}, which does not exist. Name the folder of the images.")
    return chosen


def _places(where: LabelledSet) -> tuple[Path, Path]:
    """The file of labels, and the folder of the images."""
    folder = Path(where.folder)
    if where.labels is not None:
        return Path(where.labels), folder
    labels = folder / "annotations" / f"person_keypoints_{where.split}.json"
    if not labels.is_file():
        there = sorted(file.stem.removeprefix("person_keypoints_") for file in labels.parent.glob("*.json"))
        said = f"splits there: {', '.join(there)}" if there else "expected a folder of `simspine capture render`"
        raise InputError(f"{labels} does not exist; {said}, or name a file of labels (`labels`).")
    return labels, folder / "images" / where.split


def _coco(labels: Path, images: Path) -> LabelledPeople:
    found = read_labels(labels)
    own = np.flatnonzero(~found.crowd)
    files = tuple(images / found.image[i] for i in own)
    corners = np.concatenate([found.box[own, :2], found.box[own, :2] + found.box[own, 2:]], 1)
    return LabelledPeople(files, load(SKELETON).names, found.keypoints[own], corners, found.area[own])


def _mmpose(labels: Path, images: Path) -> LabelledPeople:
    found = to_spinetrack(to_simspine(read_mmpose_labels(labels)))
    own = np.flatnonzero((found.points[..., 2] > 0).any(1))
    points = found.points[own]
    seen = points[..., 2:] > 0
    low = np.where(seen, points[..., :2], np.inf).min(1)
    high = np.where(seen, points[..., :2], -np.inf).max(1)
    files = tuple(images / found.file_names[i] for i in own)
    return LabelledPeople(files, found.names, points, np.concatenate([low, high], 1), np.prod(high - low, 1))
