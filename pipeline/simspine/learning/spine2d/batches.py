"""Batches of crops: what is in each is decided by seed and epoch alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from simspine.capture.random_streams import stream
from simspine.detection.spinepose import DEVIATION, MEAN
from simspine.errors import InputError
from simspine.learning.spine2d.augmentation import (
    CropView,
    changed_colours,
    cut_out,
    drawn_view,
    moved_labels,
    plain_view,
)
from simspine.learning.spine2d.options import SKELETON, CurriculumStage
from simspine.learning.spine2d.people import LabelledPeople
from simspine.skeletons import load
from simspine.threads import map_on_threads

SIZE = (256, 192)  # px, height and width of crops
AHEAD = 2  # batches that are cut out at once
Extras = Callable[[int, int, CropView], tuple["np.ndarray | None", "np.ndarray | None"]]


@dataclass(frozen=True, eq=False)
class CropBatch:
    """crops: (n, 3 + channels, height, width) float32, as `normalised`. places: (n, points, 2) px of the crop. weight:
    (n, points), 0 without label. numbers: (n, count) that come with crops, or None.
    """

    crops: np.ndarray
    places: np.ndarray
    weight: np.ndarray
    numbers: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True, eq=False)
class CropReader:
    """Cuts people out of their images. sets: one or two, with the same points. extras: from set, row and view to what
    a network sees besides: channels (c, height, width) float32, numbers (count,) float32; or None. shown: how many
    crops of each set an epoch goes through, as if it had so many people; everybody once if left out.
    """

    sets: tuple[LabelledPeople, ...]
    seed: int
    threads: int = 1
    size: tuple[int, int] = SIZE
    extras: Extras | None = None
    shown: tuple[int, ...] = ()

    def count(self, batch: int) -> int:
        """How many batches an epoch has."""
        return batches_in(self._shown, batch)

    @property
    def _shown(self) -> tuple[int, ...]:
        return self.shown or tuple(len(people) for people in self.sets)

    @property
    def names(self) -> tuple[str, ...]:
        """The points' names."""
        return self.sets[0].names

    def epoch(self, number: int, stage: CurriculumStage, batch: int) -> Iterator[CropBatch]:
        """The batches of an epoch, in random order, augmented. A last batch that is not full is left out."""
        sizes = [len(people) for people in self.sets]
        rows = epoch_rows(sizes, batch, stream(self.seed, "order", str(number)), self._shown)
        for start in range(0, len(rows), AHEAD):
            whole = np.concatenate(rows[start : start + AHEAD])
            made = map_on_threads(partial(self._drawn, number, stage), [tuple(row) for row in whole], self.threads)
            for i in range(0, len(made), batch):
                yield _stacked(made[i : i + batch])

    def plain(self, batch: int, which: int = 0) -> Iterator[CropBatch]:
        """Everybody of a set in order, not augmented: what a detector sees."""
        for start in range(0, len(self.sets[which]), batch):
            items = [(which, row) for row in range(start, min(start + batch, len(self.sets[which])))]
            yield _stacked(map_on_threads(self._plain, items, self.threads))

    def _drawn(self, epoch: int, stage: CurriculumStage, item: tuple[int, int, int]) -> tuple:
        which, row, place = (int(value) for value in item)
        people, rng = self.sets[which], stream(self.seed, "crop", str(epoch), str(place))
        view = drawn_view(people.box[row], people.keypoints[row], people.names, stage, self.size, rng)
        return self._cut(which, row, view, partial(changed_colours, stage=stage, rng=rng))

    def _plain(self, item: tuple[int, int]) -> tuple:
        which, row = item
        return self._cut(which, row, plain_view(self.sets[which].box[row], self.size), lambda crop: crop)

    def _cut(self, which: int, row: int, view: CropView, change: Callable[[np.ndarray], np.ndarray]) -> tuple:
        people = self.sets[which]
        crop = normalised(change(cut_out(read_image(people.files[row]), view, self.size)))
        places, known = moved_labels(people.keypoints[row], people.names, view, self.size)
        numbers = None
        if self.extras is not None:
            channels, numbers = self.extras(which, row, view)
            crop = crop if channels is None else np.concatenate([crop, channels.astype(np.float32)])
        return crop, places, known * point_weights(people.names), numbers


def epoch_rows(
    sizes: Sequence[int], batch: int, rng: np.random.Generator, shown: Sequence[int] = ()
) -> list[np.ndarray]:
    """For each batch (batch, 3): set, row in it, place in the epoch.

    Of one set everybody comes once. Of two sets the larger comes once, and half of every batch is from either: the
    smaller is gone through again, in another order each time. shown: sizes that decide how many batches there are, in
    place of the sets' own; people come again until these are filled. Raises `InputError` where no batch can be filled.
    """
    count, made = batches_in(shown or sizes, batch), []
    if count == 0:
        raise InputError(f"{' and '.join(map(str, sizes))} people fill no batch of {batch}; lower training.batch.")
    for which, (size, share) in enumerate(zip(sizes, _shares(shown or sizes, batch), strict=True)):
        rounds = -(-count * share // size)
        rows = np.concatenate([rng.permutation(size) for _ in range(rounds)])[: count * share]
        made.append(np.column_stack([np.full(len(rows), which), rows]).reshape(count, share, 2))
    rows = np.concatenate(made, 1)
    places = np.arange(count * batch).reshape(count, batch, 1)
    return list(np.concatenate([rows, places], 2))


def batches_in(sizes: Sequence[int], batch: int) -> int:
    """How many batches an epoch of one or two sets has."""
    return max(size // share for size, share in zip(sizes, _shares(sizes, batch), strict=True))


def _shares(sizes: Sequence[int], batch: int) -> tuple[int, ...]:
    """How many of a batch are from each set; an odd one is from the larger."""
    if len(sizes) == 1:
        return (batch,)
    most, least = batch - batch // 2, batch // 2
    return (least, most) if sizes[1] > sizes[0] else (most, least)


def normalised(crop: np.ndarray) -> np.ndarray:
    """(height, width, 3) uint8 BGR → (3, height, width) float32 RGB, less ImageNet's mean, over its deviation."""
    return ((crop[..., ::-1].astype(np.float32) - MEAN) / DEVIATION).transpose(2, 0, 1)


def point_weights(names: tuple[str, ...]) -> np.ndarray:
    """(points,) SpineTrack's weights of points in training."""
    table = load(SKELETON)
    return np.array([table.weights[table.index(name)] for name in names])


def read_image(path) -> np.ndarray:
    """(height, width, 3) uint8 BGR; `InputError` naming the file where it is none."""
    import cv2

    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"{path} cannot be read as an image. Mend it, or take it out of the labels.")
    return image


def _stacked(items: Sequence[tuple]) -> CropBatch:
    crops, places, weight, numbers = zip(*items, strict=True)
    more = None if numbers[0] is None else np.stack(numbers).astype(np.float32)
    return CropBatch(np.stack(crops), np.stack(places), np.stack(weight), more)
