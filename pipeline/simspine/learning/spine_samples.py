"""Batches of labelled crops, one person each; seed and epoch alone determine a batch."""

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

import cv2
import numpy as np

from simspine.core.errors import InputError, naming_content, require_inside
from simspine.core.skeletons import load_skeleton
from simspine.evaluation.point_protocols import read_labelled_people
from simspine.io.atomic import sha256_of_file
from simspine.io.image_streams import read_image
from simspine.learning.options import CROP_SIZE_PX, DETECTOR_SKELETON, CurriculumStage, LabelledSet
from simspine.synthesis.population import truncated_normal
from simspine.synthesis.signals import random_stream
from simspine.vision.side_swaps import mirror_indices
from simspine.vision.spinepose import frame_box, normalised_crop

# Labelled people in images, of rendered, SpineTrack's and COCO-style sets, in one type. Pixels.


@dataclass(frozen=True, eq=False)
class LabelledPeople:
    """Labelled people, one row per person.

    files: the image of each person. names: of the points. keypoints: (people, points, 3) x, y px and v, 0 where not
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
        """sha256 of labels, image names and images."""
        digest = hashlib.sha256("\x1f".join((*self.names, *(file.name for file in self.files))).encode())
        for file in dict.fromkeys(self.files):
            digest.update(sha256_of_file(file).encode())
        for array in (self.keypoints, self.box):
            digest.update(np.ascontiguousarray(array, "<f8").tobytes())
        return digest.hexdigest()


def read_labelled_set(where: LabelledSet, names: tuple[str, ...], seed: int) -> LabelledPeople:
    """Read the people of a set, with these points; the seed decides which share `where.fraction` is kept.

    Crowds, and people without a labelled point or an area, are left out. Raises `InputError` for files that cannot be
    read, for a set without people, and for a missing image.
    """
    labels, images = _label_and_image_paths(where)
    found = read_labelled_people(labels)
    keypoints = found.keypoints[:, [load_skeleton(DETECTOR_SKELETON).index(name) for name in names]]
    kept = np.flatnonzero(~found.crowd & (keypoints[..., 2] > 0).any(1) & (found.box[:, 2:] >= 1).all(1))
    if where.fraction < 1:
        count = max(round(where.fraction * len(kept)), 1)
        kept = np.sort(random_stream(seed, "fraction", labels.name).permutation(kept)[:count])
    if not len(kept):
        raise InputError(f"{labels}: no person has a label of one of the {len(names)} points asked for.")
    with naming_content(labels, "labels of images below their folder"):
        files = tuple(images / require_inside(found.image[i]) for i in kept)
    missing = next((file for file in files if not file.is_file()), None)
    if missing is not None:
        raise InputError(f"{labels} names the image {missing}, which does not exist. Name the folder of the images.")
    sizes = ["×".join(map(str, size)) for size in (read_image(files[0]).shape[1::-1], found.size[kept[0]])]
    if sizes[0] != sizes[1]:
        raise InputError(f"{files[0]} is {sizes[0]} px, and was labelled at {sizes[1]} px. Were images scaled?")
    box = np.concatenate([found.box[kept, :2], found.box[kept, :2] + found.box[kept, 2:]], 1)
    return LabelledPeople(files, names, keypoints=keypoints[kept], box=box, area=found.area[kept])


def _label_and_image_paths(where: LabelledSet) -> tuple[Path, Path]:
    """Paths of the file of labels, and of the folder of images."""
    folder = Path(where.folder)
    if where.labels is not None:
        return Path(where.labels), folder
    labels = folder / "annotations" / f"person_keypoints_{where.split}.json"
    if not labels.is_file():
        splits = sorted(file.stem.removeprefix("person_keypoints_") for file in labels.parent.glob("*.json"))
        advice = f"splits there: {', '.join(splits)}" if splits else "expected a folder of `simspine capture render`"
        raise InputError(f"{labels} does not exist; {advice}, or name a file of labels (`labels`).")
    return labels, folder / "images" / where.split


_LEAST_POINTS, _LEAST_HALF = 9, 3  # labelled points required for half a body: of the body, of that half (MMPose)
_UPPER_HALF_PROBABILITY, _HALF_PADDING = 0.7, 1.5  # probability of the upper half; factor of its box's size (MMPose)
_ROTATION_PROBABILITY, _SHIFT_PROBABILITY = 0.6, 0.3  # probabilities of a rotation and of a shift (MMPose)
_LOWER_BODY_WORDS = ("hip", "knee", "ankle", "toe", "heel")
_MAX_COLOUR_GAINS = np.array([5.0, 0.3, 0.3])  # largest changes: hue (of 180), saturation and value (shares)
_HOLE_SIDE_SHARES = (0.2, 0.4)  # of the crop's sides
_GREY_VALUE = 114


@dataclass(frozen=True)
class CropView:
    """Position of a crop in its image. centre: x, y px; width: px (the height follows from the crop's aspect); turn:
    rotation, rad; mirrored: left and right exchanged.
    """

    centre: tuple[float, float]
    width: float
    turn: float = 0.0
    mirrored: bool = False

    @property
    def matrix(self) -> np.ndarray:
        """(2, 3) affine map from px of the image to px of the crop."""
        height, width = CROP_SIZE_PX
        c, s = np.cos(self.turn), np.sin(self.turn)
        linear = np.array([[c, s], [-s, c]]) * (width / self.width)
        matrix = np.column_stack([linear, np.array([width, height]) / 2 - linear @ self.centre])
        if self.mirrored:
            matrix[0] = [0, 0, width - 1] - matrix[0]
        return matrix


def plain_view(box: np.ndarray) -> CropView:
    """The crop that a detector uses: the box (x0 y0 x1 y1 px), padded and widened to the crop's aspect."""
    x, y, width, height = frame_box(np.asarray(box, float), CROP_SIZE_PX)
    return CropView((float(x + width / 2), float(y + height / 2)), float(width))


def drawn_view(
    box: np.ndarray, keypoints: np.ndarray, names: tuple[str, ...], stage: CurriculumStage, rng: np.random.Generator
) -> CropView:
    """A random crop, augmented as the stage says. keypoints: (points, 3) px of the image."""

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
    """The box around the labelled points of the upper or the lower half; `box` itself where too few are labelled."""
    labelled = keypoints[:, 2] > 0
    lower = np.array([name.endswith(_LOWER_BODY_WORDS) for name in names])
    chosen = labelled & (lower if rng.random() > _UPPER_HALF_PROBABILITY else ~lower)
    if labelled.sum() < _LEAST_POINTS or chosen.sum() < _LEAST_HALF:
        return box
    low, high = keypoints[chosen, :2].min(0), keypoints[chosen, :2].max(0)
    grown = np.maximum((high - low) * (_HALF_PADDING - 1) / 2, 1.0)
    return np.concatenate([low - grown, high + grown])


def cut_out(image: np.ndarray, view: CropView) -> np.ndarray:
    """The crop (height, width, channels) of an image; black beyond its edges."""
    return cv2.warpAffine(image, view.matrix, CROP_SIZE_PX[::-1], flags=cv2.INTER_LINEAR)


def moved_labels(keypoints: np.ndarray, names: tuple[str, ...], view: CropView) -> tuple[np.ndarray, np.ndarray]:
    """Labels in a crop: (points, 2) px of the crop, and (points,) bool, whether labelled and inside the crop.

    keypoints: (points, 3) px of the image. In a mirrored crop, left and right points are exchanged."""
    xy = keypoints[:, :2] @ view.matrix[:, :2].T + view.matrix[:, 2]
    known = (keypoints[:, 2] > 0) & (xy >= 0).all(1) & (xy <= np.array(CROP_SIZE_PX[::-1]) - 1).all(1)
    if view.mirrored:
        order = mirror_indices(names)
        xy, known = xy[order], known[order]
    return np.where(known[:, None], xy, 0.0), known


def changed_colours(crop: np.ndarray, stage: CurriculumStage, rng: np.random.Generator) -> np.ndarray:
    """The crop (height, width, 3) uint8 BGR with random colours, blur and a grey rectangle, as the stage says."""
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
        rows, columns = (round(side * rng.uniform(*_HOLE_SIDE_SHARES)) for side in (height, width))
        top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
        crop = crop.copy()
        crop[top : top + rows, left : left + columns] = _GREY_VALUE
    return crop


BATCHES_AHEAD = 2  # per process, cropped before they are requested


@dataclass(frozen=True, eq=False)
class CropBatch:
    """Crops with labels. crops: (n, 3, height, width) float32, by `normalised_crop`. places: (n, points, 2) px of the
    crop. weight: (n, points), 0 without label.
    """

    crops: np.ndarray
    places: np.ndarray
    weight: np.ndarray

    def __len__(self) -> int:
        return len(self.crops)


@dataclass(frozen=True, eq=False)
class CropReader:
    """Crops people from their images. sets: one or two, with the same points. shown: number of crops of each set in an
    epoch; by default each person once. mixing: of two sets, see `SpineData`. processes: the number that `start` starts.
    """

    sets: tuple[LabelledPeople, ...]
    seed: int
    processes: int = 0
    shown: tuple[int, ...] = ()
    mixing: str = "batch"

    def count(self, batch: int) -> int:
        return len(self._rows(0, batch))

    def _rows(self, epoch: int, batch: int) -> list[np.ndarray]:
        rows = shuffled_rows if self.mixing == "epoch" else epoch_rows
        sizes = [len(people) for people in self.sets]
        return rows(sizes, batch, random_stream(self.seed, "order", str(epoch)), self.shown or sizes)

    @property
    def names(self) -> tuple[str, ...]:
        return self.sets[0].names

    def start(self) -> AbstractContextManager[Executor | None]:
        """Start the processes that crop images for `epoch`; None if `processes` is 0."""
        if not self.processes:
            return nullcontext()
        return ProcessPoolExecutor(self.processes, get_context("spawn"), initializer=_keep_reader, initargs=(self,))

    def epoch(
        self, number: int, stage: CurriculumStage, batch: int, pool: Executor | None = None
    ) -> Iterator[CropBatch]:
        """The batches of an epoch, augmented, in random order. An incomplete last batch is left out.

        pool: from `start`; without it, crops are made when they are requested."""
        rows = self._rows(number, batch)
        if pool is None:
            yield from (self.drawn_batch(number, stage, batch_rows) for batch_rows in rows)
            return
        ahead = BATCHES_AHEAD * self.processes
        waiting = deque(pool.submit(_worker_batch, number, stage, batch_rows) for batch_rows in rows[:ahead])
        try:
            for following in [*rows[ahead:], *[None] * len(waiting)]:
                yield waiting.popleft().result()
                if following is not None:
                    waiting.append(pool.submit(_worker_batch, number, stage, following))
        except BrokenProcessPool:
            raise InputError(
                "a process that crops images has ended, perhaps without memory. Lower training.processes."
            ) from None

    def drawn_batch(self, epoch: int, stage: CurriculumStage, rows: np.ndarray) -> CropBatch:
        """Augmented crops, one for each row (number of the set, person in it, position in the epoch)."""
        return _stacked_batch([self._drawn(epoch, stage, row) for row in rows])

    def plain(self, batch: int) -> Iterator[CropBatch]:
        """All people of the first set in order, without augmentation, as a detector sees them."""
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


_WORKER: dict[str, CropReader] = {}  # the reader of a process that crops images


def _keep_reader(reader: CropReader) -> None:
    _WORKER["reader"] = reader
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent process
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent ends; a killed parent does not tell its children."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _worker_batch(epoch: int, stage: CurriculumStage, rows: np.ndarray) -> CropBatch:
    return _WORKER["reader"].drawn_batch(epoch, stage, rows)


def _cut_person(
    people: LabelledPeople, row: int, view: CropView, change: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A crop, its labels (px of the crop) and their weights. change: changes the crop's colours."""
    crop = normalised_crop(change(cut_out(read_image(people.files[row]), view)))
    places, known = moved_labels(people.keypoints[row], people.names, view)
    return crop, places, known * point_weights(people.names)


def epoch_rows(sizes: Sequence[int], batch: int, rng: np.random.Generator, shown: Sequence[int]) -> list[np.ndarray]:
    """For each batch (batch, 3): number of the set, person in it, position in the epoch.

    People of one set come once. With two sets, each gives half of every batch: people of the larger come once, those of
    the smaller again and again, in a new order each time. shown: sizes that decide the number of batches, the sets' own
    or others; people repeat until these are filled. Raises `InputError` where no batch can be filled."""
    shares = _batch_shares(shown, batch)
    count = max(size // share for size, share in zip(shown, shares, strict=True))
    drawn = _drawn_people(sizes, [count * share for share in shares], rng)
    return _numbered_batches(
        np.concatenate([rows.reshape(count, share, 2) for rows, share in zip(drawn, shares, strict=True)], 1),
        sizes,
        batch,
    )


def shuffled_rows(sizes: Sequence[int], batch: int, rng: np.random.Generator, shown: Sequence[int]) -> list[np.ndarray]:
    """As `epoch_rows`, with all sets in one random order: a batch has people of each in proportion to the sizes."""
    count = sum(shown) // batch
    rows = rng.permutation(np.concatenate(_drawn_people(sizes, shown, rng)))
    return _numbered_batches(rows[: count * batch].reshape(count, batch, 2), sizes, batch)


def _drawn_people(sizes: Sequence[int], wanted: Sequence[int], rng: np.random.Generator) -> list[np.ndarray]:
    """For each set (wanted, 2): number of the set and people in random order, repeated until there are enough."""
    drawn = []
    for which, (size, count) in enumerate(zip(sizes, wanted, strict=True)):
        rows = np.concatenate([np.empty(0, int), *(rng.permutation(size) for _ in range(-(-count // size)))])[:count]
        drawn.append(np.column_stack([np.full(count, which), rows]))
    return drawn


def _numbered_batches(rows: np.ndarray, sizes: Sequence[int], batch: int) -> list[np.ndarray]:
    """Add the position in the epoch as a third column to batches (count, batch, 2)."""
    if not len(rows):
        raise InputError(f"{' and '.join(map(str, sizes))} people fill no batch of {batch}; lower training.batch.")
    return list(np.dstack([rows, np.arange(rows[..., 0].size).reshape(rows.shape[:2])]))


def _batch_shares(sizes: Sequence[int], batch: int) -> tuple[int, ...]:
    """Number of people of each set in a batch; the larger set gives one more where `batch` is odd."""
    if len(sizes) == 1:
        return (batch,)
    most, least = batch - batch // 2, batch // 2
    return (least, most) if sizes[1] > sizes[0] else (most, least)


def point_weights(names: tuple[str, ...]) -> np.ndarray:
    """(points,) SpineTrack's training weights of the points."""
    table = load_skeleton(DETECTOR_SKELETON)
    return np.array([table.weights[table.index(name)] for name in names])


def _stacked_batch(items: Sequence[tuple]) -> CropBatch:
    return CropBatch(*(np.stack(column) for column in zip(*items, strict=True)))
