"""Labelled people cut out of their images, in batches; what is in a batch is decided by seed and epoch alone."""

import hashlib
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import numpy as np

from simspine.core.errors import InputError
from simspine.core.skeletons import load_skeleton
from simspine.evaluation.point_protocols import read_labelled_people
from simspine.io.image_streams import read_image
from simspine.learning.options import CROP_SIZE_PX, DETECTOR_SKELETON, CurriculumStage, LabelledSet
from simspine.synthesis.population import truncated_normal
from simspine.synthesis.signals import random_stream
from simspine.vision.side_swaps import mirror_indices
from simspine.vision.spinepose import frame_box, normalised_crop

# Labelled people in images: rendered ones, SpineTrack's, MMPose-style sets, as one type. Pixels.


@dataclass(frozen=True, eq=False)
class LabelledPeople:
    """One row a person.

    files: of the images, one a person. names: of the points. keypoints: (people, points, 3) x, y px and v, 0 where not
    labelled. box: (people, 4) x0 y0 x1 y1 px. area: (people,) px²."""

    files: tuple[Path, ...]
    names: tuple[str, ...]
    keypoints: np.ndarray
    box: np.ndarray
    area: np.ndarray

    def __len__(self) -> int:
        return len(self.files)

    @property
    def digest(self) -> str:
        """sha256 of labels and names of images; the images themselves are not read."""
        found = hashlib.sha256("\x1f".join((*self.names, *(file.name for file in self.files))).encode())
        for array in (self.keypoints, self.box):
            found.update(np.ascontiguousarray(array, "<f8").tobytes())
        return found.hexdigest()


def read_labelled_set(where: LabelledSet, names: tuple[str, ...], seed: int) -> LabelledPeople:
    """The people of a set with these points of SpineTrack's, drawn by `where.fraction` and the seed.

    Groups of people, and people without a labelled point or an area, are left out. Raises `InputError` for files that
    cannot be read, for a set without people, and naming the first image that is missing.
    """
    labels, images = _label_and_image_paths(where)
    found = read_labelled_people(labels)
    keypoints = found.keypoints[:, [load_skeleton(DETECTOR_SKELETON).index(name) for name in names]]
    kept = np.flatnonzero(~found.crowd & (keypoints[..., 2] > 0).any(1) & (found.box[:, 2:] >= 1).all(1))
    if where.fraction < 1:
        count = max(round(where.fraction * len(kept)), 1)
        kept = np.sort(random_stream(seed, "fraction", labels.name).permutation(kept)[:count])
    if not len(kept):
        raise InputError(f"{labels}: nobody in it has a labelled point of the {len(names)} that are asked for.")
    files = tuple(images / found.image[i] for i in kept)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise InputError(f"{labels} names the image {missing}, which does not exist. Name the folder of the images.")
    box = np.concatenate([found.box[kept, :2], found.box[kept, :2] + found.box[kept, 2:]], 1)
    return LabelledPeople(files, names, keypoints=keypoints[kept], box=box, area=found.area[kept])


def _label_and_image_paths(where: LabelledSet) -> tuple[Path, Path]:
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


# Crops of people: where they are cut out, turned, mirrored, and what is done to their colours. All by a
# generator.


_LEAST_POINTS, _LEAST_HALF = 9, 3  # labelled points for showing half a body, and in that half (MMPose)
_UPPER_HALF_PROBABILITY, _HALF_PADDING = 0.7, 1.5  # probability of the upper half, and of its box's size (MMPose)
_ROTATION_PROBABILITY, _SHIFT_PROBABILITY = 0.6, 0.3  # probabilities of a rotation and of a shift (MMPose)
_LOWER_BODY_WORDS = ("hip", "knee", "ankle", "toe", "heel")
_MAX_COLOUR_GAINS = np.array([5.0, 0.3, 0.3])  # largest changes: hue (of 180), saturation and value (shares)
_HOLE_SIDE_SHARES = (0.2, 0.4)  # of the crop's sides
_GREY_VALUE = 114


@dataclass(frozen=True)
class CropView:
    """Where a crop looks. centre: x, y px of the image; width: px, the height follows from the crop's aspect; turn:
    rad; mirrored: left for right.
    """

    centre: tuple[float, float]
    width: float
    turn: float = 0.0
    mirrored: bool = False

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3) from px of the image to px of the crop."""
        height, width = CROP_SIZE_PX
        c, s = np.cos(self.turn), np.sin(self.turn)
        linear = np.array([[c, s], [-s, c]]) * (width / self.width)
        found = np.column_stack([linear, np.array([width, height]) / 2 - linear @ self.centre])
        if self.mirrored:
            found[0] = [0, 0, width - 1] - found[0]
        return found


def plain_view(box: np.ndarray) -> CropView:
    """The crop that a detector looks at: the box (x0 y0 x1 y1 px), padded and widened to the crop's aspect."""
    x, y, width, height = frame_box(np.asarray(box, float), CROP_SIZE_PX)
    return CropView((float(x + width / 2), float(y + height / 2)), float(width))


def drawn_view(
    box: np.ndarray, keypoints: np.ndarray, names: tuple[str, ...], stage: CurriculumStage, rng: np.random.Generator
) -> CropView:
    """A crop with the augmentation of a stage. keypoints: (points, 3) px of the image."""

    def normal() -> float:
        return float(truncated_normal(rng, 0.0, 1.0, limit=1.0))

    if rng.random() < stage.half_body:
        box = _half_body_box(box, keypoints, names, rng)
    view = plain_view(box)
    if rng.random() < _SHIFT_PROBABILITY:
        height = view.width * CROP_SIZE_PX[0] / CROP_SIZE_PX[1]
        right, down = stage.shift * normal(), stage.shift * normal()
        view = replace(view, centre=(view.centre[0] + right * view.width, view.centre[1] + down * height))
    low, high = stage.scale
    view = replace(view, width=view.width * ((low + high) / 2 + (high - low) / 2 * normal()))
    if rng.random() < _ROTATION_PROBABILITY:
        view = replace(view, turn=np.deg2rad(stage.rotation_deg) * normal())
    return replace(view, mirrored=bool(rng.random() < stage.flip))


def _half_body_box(
    box: np.ndarray, keypoints: np.ndarray, names: tuple[str, ...], rng: np.random.Generator
) -> np.ndarray:
    """The box of the labelled points of the upper or the lower half; the whole one where too few are labelled."""
    labelled = keypoints[:, 2] > 0
    lower = np.array([name.endswith(_LOWER_BODY_WORDS) for name in names])
    chosen = labelled & (lower if rng.random() > _UPPER_HALF_PROBABILITY else ~lower)
    if labelled.sum() < _LEAST_POINTS or chosen.sum() < _LEAST_HALF:
        return box
    low, high = keypoints[chosen, :2].min(0), keypoints[chosen, :2].max(0)
    grown = np.maximum((high - low) * (_HALF_PADDING - 1) / 2, 1.0)
    return np.concatenate([low - grown, high + grown])


def cut_out(image: np.ndarray, view: CropView) -> np.ndarray:
    """(height, width, channels) of the image; black beyond its edges."""
    import cv2

    return cv2.warpAffine(image, view.matrix, CROP_SIZE_PX[::-1], flags=cv2.INTER_LINEAR)


def moved_labels(keypoints: np.ndarray, names: tuple[str, ...], view: CropView) -> tuple[np.ndarray, np.ndarray]:
    """(points, 2) px of the crop, and (points,) bool: labelled and inside the crop. Left and right change places where
    the crop is mirrored. keypoints: (points, 3) px of the image.
    """
    xy = keypoints[:, :2] @ view.matrix[:, :2].T + view.matrix[:, 2]
    known = (keypoints[:, 2] > 0) & (xy >= 0).all(1) & (xy <= np.array(CROP_SIZE_PX[::-1]) - 1).all(1)
    if view.mirrored:
        order = mirror_indices(names)
        xy, known = xy[order], known[order]
    return np.where(known[:, None], xy, 0.0), known


def changed_colours(crop: np.ndarray, stage: CurriculumStage, rng: np.random.Generator) -> np.ndarray:
    """The crop (height, width, 3) uint8 BGR with other colours, blurred, with a hole, as the stage says."""
    import cv2

    if stage.colour:
        hsv = cv2.cvtColor(crop, cv2.COLOR_BGR2HSV).astype(np.float32)
        gains = rng.uniform(-1, 1, 3) * _MAX_COLOUR_GAINS
        hsv[..., 0] = (hsv[..., 0] + gains[0]) % 180
        hsv[..., 1:] = np.clip(hsv[..., 1:] * (1 + gains[1:]), 0, 255)
        crop = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)
    if rng.random() < stage.blur:
        crop = cv2.blur(crop, (int(rng.integers(3, 8)),) * 2)
    if rng.random() < stage.blur:
        crop = cv2.medianBlur(crop, 2 * int(rng.integers(1, 4)) + 1)
    if rng.random() < stage.hole:
        height, width = crop.shape[:2]
        high, wide = (round(side * rng.uniform(*_HOLE_SIDE_SHARES)) for side in (height, width))
        top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
        crop = crop.copy()
        crop[top : top + high, left : left + wide] = _GREY_VALUE
    return crop


BATCHES_AHEAD = 2  # of each process, cut out before they are asked for


@dataclass(frozen=True, eq=False)
class CropBatch:
    """crops: (n, 3, height, width) float32, as `normalised_crop`. places: (n, points, 2) px of the crop. weight:
    (n, points), 0 without label.
    """

    crops: np.ndarray
    places: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True, eq=False)
class CropReader:
    """Cuts people out of their images. sets: one or two, with the same points. shown: how many crops of each set an
    epoch goes through, as if it had so many people; everybody once if left out. mixing: of two sets, see `SpineData`.
    processes: how many `start` starts.
    """

    sets: tuple[LabelledPeople, ...]
    seed: int
    processes: int = 0
    shown: tuple[int, ...] = ()
    mixing: str = "batch"

    def count(self, batch: int) -> int:
        """How many batches an epoch has."""
        return sum(self._shown) // batch if self.mixing == "epoch" else batches_in(self._shown, batch)

    @property
    def _shown(self) -> tuple[int, ...]:
        return self.shown or tuple(len(people) for people in self.sets)

    @property
    def names(self) -> tuple[str, ...]:
        """The points' names."""
        return self.sets[0].names

    def start(self) -> AbstractContextManager[Executor | None]:
        """Processes that cut out crops, for `epoch`; None where there are to be none."""
        if not self.processes:
            return nullcontext()
        return ProcessPoolExecutor(self.processes, get_context("spawn"), initializer=_keep_reader, initargs=(self,))

    def epoch(
        self, number: int, stage: CurriculumStage, batch: int, pool: Executor | None = None
    ) -> Iterator[CropBatch]:
        """The batches of an epoch, in random order, augmented. A last batch that is not full is left out.

        pool: of `start`; without it crops are cut out when they are asked for."""
        sizes = [len(people) for people in self.sets]
        rng = random_stream(self.seed, "order", str(number))
        rows = (shuffled_rows if self.mixing == "epoch" else epoch_rows)(sizes, batch, rng, self._shown)
        if pool is None:
            yield from (self.drawn_batch(number, stage, own) for own in rows)
            return
        ahead = BATCHES_AHEAD * self.processes
        waiting = deque(pool.submit(_kept_batch, number, stage, own) for own in rows[:ahead])
        try:
            for following in [*rows[ahead:], *[None] * len(waiting)]:
                yield waiting.popleft().result()
                if following is not None:
                    waiting.append(pool.submit(_kept_batch, number, stage, following))
        except BrokenProcessPool:
            raise InputError("a process that cuts out crops has ended: no memory? Lower training.processes.") from None

    def drawn_batch(self, epoch: int, stage: CurriculumStage, rows: np.ndarray) -> CropBatch:
        """Crops of a row each (set, row in it, place in the epoch), augmented."""
        return _stacked_batch([self._drawn(epoch, stage, row) for row in rows])

    def plain(self, batch: int) -> Iterator[CropBatch]:
        """Everybody of the first set in order, not augmented: what a detector sees."""
        people = self.sets[0]
        crops = [plain_view(box) for box in people.box]
        for start in range(0, len(people), batch):
            rows = range(start, min(start + batch, len(people)))
            yield _stacked_batch([_cut_person(people, row, crops[row], lambda crop: crop) for row in rows])

    def _drawn(self, epoch: int, stage: CurriculumStage, item: Iterable[int]) -> tuple:
        which, row, place = (int(value) for value in item)
        people, rng = self.sets[which], random_stream(self.seed, "crop", str(epoch), str(place))
        view = drawn_view(people.box[row], people.keypoints[row], people.names, stage=stage, rng=rng)
        return _cut_person(people, row, view, partial(changed_colours, stage=stage, rng=rng))


_KEPT: dict[str, CropReader] = {}  # of a process that cuts out crops


def _keep_reader(reader: CropReader) -> None:
    import cv2

    _KEPT["reader"] = reader
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C ends the process that asks
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A parent that is killed says nothing to those that wait for it."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _kept_batch(epoch: int, stage: CurriculumStage, rows: np.ndarray) -> CropBatch:
    return _KEPT["reader"].drawn_batch(epoch, stage, rows)


def _cut_person(
    people: LabelledPeople, row: int, view: CropView, change: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crop, its places and their weights. change: of its colours."""
    crop = normalised_crop(change(cut_out(read_image(people.files[row]), view)))
    places, known = moved_labels(people.keypoints[row], people.names, view)
    return crop, places, known * point_weights(people.names)


def epoch_rows(
    sizes: Sequence[int], batch: int, rng: np.random.Generator, shown: Sequence[int] = ()
) -> list[np.ndarray]:
    """For each batch (batch, 3): set, row in it, place in the epoch.

    Of one set everybody comes once. Of two sets the larger comes once, and half of every batch is from either: the
    smaller is gone through again, in another order each time. shown: sizes that decide how many batches there are, in
    place of the sets' own; people come again until these are filled. Raises `InputError` where no batch can be filled.
    """
    count, shares = batches_in(shown or sizes, batch), _batch_shares(shown or sizes, batch)
    drawn = _drawn_people(sizes, [count * share for share in shares], rng)
    return _numbered_batches(
        np.concatenate([rows.reshape(count, share, 2) for rows, share in zip(drawn, shares, strict=True)], 1),
        sizes,
        batch,
    )


def shuffled_rows(
    sizes: Sequence[int], batch: int, rng: np.random.Generator, shown: Sequence[int] = ()
) -> list[np.ndarray]:
    """As `epoch_rows`, of all sets in one random order: batches have what comes of each, in proportion to the sizes."""
    count = sum(shown or sizes) // batch
    rows = rng.permutation(np.concatenate(_drawn_people(sizes, shown or sizes, rng)))
    return _numbered_batches(rows[: count * batch].reshape(count, batch, 2), sizes, batch)


def _drawn_people(sizes: Sequence[int], wanted: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """Of each set (wanted, 2): its number and people in random order, gone through again until there are enough."""
    made = []
    for which, (size, count) in enumerate(zip(sizes, wanted, strict=True)):
        rows = np.concatenate([np.empty(0, int), *(rng.permutation(size) for _ in range(-(-count // size)))])[:count]
        made.append(np.column_stack([np.full(count, which), rows]))
    return made


def _numbered_batches(rows: np.ndarray, sizes: Sequence[int], batch: int) -> list[np.ndarray]:
    """Batches (count, batch, 2) with the place in the epoch in a third column."""
    if not len(rows):
        raise InputError(f"{' and '.join(map(str, sizes))} people fill no batch of {batch}; lower training.batch.")
    return list(np.dstack([rows, np.arange(rows[..., 0].size).reshape(rows.shape[:2])]))


def batches_in(sizes: Sequence[int], batch: int) -> int:
    """How many batches an epoch of one or two sets has."""
    return max(size // share for size, share in zip(sizes, _batch_shares(sizes, batch), strict=True))


def _batch_shares(sizes: Sequence[int], batch: int) -> tuple[int, ...]:
    """How many of a batch are from each set; an odd one is from the larger."""
    if len(sizes) == 1:
        return (batch,)
    most, least = batch - batch // 2, batch // 2
    return (least, most) if sizes[1] > sizes[0] else (most, least)


def point_weights(names: tuple[str, ...]) -> np.ndarray:
    """(points,) SpineTrack's weights of points in training."""
    table = load_skeleton(DETECTOR_SKELETON)
    return np.array([table.weights[table.index(name)] for name in names])


def _stacked_batch(items: Sequence[tuple]) -> CropBatch:
    return CropBatch(*(np.stack(column) for column in zip(*items, strict=True)))
