"""The interface of detectors, boxes and crops around people, and detection in videos."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from itertools import islice, zip_longest
from tempfile import TemporaryFile
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.geometry import project_points
from simspine.core.types import Camera
from simspine.io.video import Video, check_synchronised, frames_at_rate, rates_differ


@runtime_checkable
class Detector(Protocol):
    """Finds people in simultaneous images of several views.

    skeleton: name of the skeleton (see `simspine.core.skeletons`) whose points it gives, in that order. people: the
    largest number in one image. A detector may also have `estimated`: names of points of its skeleton that it does not
    see, but estimates from other evidence, such as pose and outline. They have the origin `estimated` in all files.
    """

    skeleton: str
    people: int

    def detect(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray | None] | None = None
    ) -> list[np.ndarray]:
        """Points of the people in each image.

        images: (height, width, 3) uint8, BGR; one per view, always in the same order, one call per instant: a detector
        may follow a person from call to call. boxes: known places of people, (people, 4) x0 y0 x1 y1 px for each view,
        None = find them. Returns per view (people, points, 3): x px, y px, confidence 0…1; people may be 0.
        """
        ...

    def forget(self) -> None:
        """Stop following people: the next images, of any number of views, are treated as the first ones."""
        ...

    def close(self) -> None:
        """Release networks and threads."""
        ...


def estimated_by(detector: Detector) -> tuple[str, ...]:
    """Names of the points that a detector estimates without seeing them."""
    return getattr(detector, "estimated", ())


EXTENT_MARGIN = 0.1  # of the extent of a person's points, on each side: joints lie inside the body
MIN_EXTENT_CONFIDENCE = 0.3  # least confidence of points that a box encloses


def boxes_around_points(xy: np.ndarray, size: tuple[int, int], margin: float) -> np.ndarray:
    """Boxes (..., 4) around points (..., points, 2) px, widened by a share of their extent on each side.

    Cut to the image of size (w, h); NaN where less than a pixel of the box is left, or no point is known.
    """
    known = np.isfinite(xy).all(-1, keepdims=True)
    low, high = np.where(known, xy, np.inf).min(-2), np.where(known, xy, -np.inf).max(-2)
    with np.errstate(invalid="ignore"):
        border = margin * (high - low)
        low, high = np.clip(low - border, 0, size), np.clip(high + border, 0, size)
        visible = known.any((-2, -1)) & (high - low > 1).all(-1)
    return np.where(visible[..., None], np.concatenate([low, high], -1), np.nan)


def boxes_of_joints(cameras: Sequence[Camera], xyz: np.ndarray) -> np.ndarray:
    """Boxes (frames, views, 4) px around a person's joints (frames, joints, 3) m in each camera; NaN where not seen."""
    pixels = project_points(cameras, xyz)
    boxes = [boxes_around_points(xy, c.size, EXTENT_MARGIN) for xy, c in zip(pixels, cameras, strict=True)]
    return np.stack(boxes, axis=1)


def extent_boxes(people: Sequence[np.ndarray] | np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Boxes (people, 4) x0 y0 x1 y1 px around people, (points, 3) each, in an image of size (w, h), with a margin.

    The whole image for a person without a known box, and one such box if there is nobody.
    """
    boxes = np.tile([0.0, 0.0, *size], (max(len(people), 1), 1))
    for row, person in zip(boxes, people, strict=False):
        confident = person[person[:, 2] >= MIN_EXTENT_CONFIDENCE, :2]
        box = boxes_around_points(confident if len(confident) > 1 else person[:, :2], size, EXTENT_MARGIN)
        row[:] = np.where(np.isfinite(box), box, row)
    return boxes


# The part of each image around a person, kept in a temporary file: images can be read in any order, and memory does not
# grow with a video's length.


class Crops(AbstractContextManager):
    """Images by frame, compressed without loss. Coordinates are those of the whole image, px."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the object
        self._parts: dict[int, tuple[int, int]] = {}  # start and length of each frame's part in the file
        self._corners: dict[int, np.ndarray] = {}  # px, its upper left corner
        self._latest: dict[int, np.ndarray] = {}  # the two images read last, decoded

    def __exit__(self, *error) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._parts)

    def add(self, frame: int, image: np.ndarray, box: Iterable[float] | None) -> None:
        """Keep a frame's part inside `box` (x0 y0 x1 y1 px), or all of it (None). image: (height, width, 3) BGR."""
        import cv2

        height, width = image.shape[:2]
        x0, y0, x1, y1 = (0, 0, width, height) if box is None else (round(float(v)) for v in box)
        x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
        part = np.ascontiguousarray(image[y0 : max(min(y1, height), y0 + 1), x0 : max(min(x1, width), x0 + 1)])
        level, strategy, filters = cv2.IMWRITE_PNG_COMPRESSION, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_FILTER
        parameters = [level, 1, strategy, cv2.IMWRITE_PNG_STRATEGY_RLE, filters, cv2.IMWRITE_PNG_FAST_FILTERS]
        packed = cv2.imencode(".png", part, parameters)[1].tobytes()
        self._corners[frame], self._parts[frame] = np.array([x0, y0]), (self._file.seek(0, 2), len(packed))
        self._file.write(packed)

    def window(self, frame: int, centre: np.ndarray, half: int) -> np.ndarray:
        """(2 half + 1, 2 half + 1, 3) Lab around `centre` (2,) px, linearly interpolated between pixels.

        Outside the part kept, its edge is repeated.
        """
        import cv2

        x, y = centre - self._corners[frame]
        return cv2.getRectSubPix(self._decoded(frame), (2 * half + 1, 2 * half + 1), (float(x), float(y)))

    def inside(self, frame: int, xy: np.ndarray) -> bool:
        """Whether a point (2,) px lies in the part kept."""
        height, width = self._decoded(frame).shape[:2]
        x, y = xy - self._corners[frame]
        return bool(0 <= x <= width - 1 and 0 <= y <= height - 1)

    def _decoded(self, frame: int) -> np.ndarray:
        import cv2

        if frame not in self._latest:
            start, length = self._parts[frame]
            self._file.seek(start)
            image = cv2.imdecode(np.frombuffer(self._file.read(length), np.uint8), cv2.IMREAD_COLOR)
            assert image is not None  # it was encoded above
            self._latest = {**dict(list(self._latest.items())[-1:]), frame: cv2.cvtColor(image, cv2.COLOR_BGR2LAB)}
        return self._latest[frame]


class Detections(NamedTuple):
    """All people detected. people: (frames, views, people, points, 3) float32 x px, y px, confidence; NaN = nobody.

    names: of a skeleton's points. lengths: (views,) number of frames of each view, where they may differ. estimated:
    names of points that the detector estimated without seeing them. skeleton: its name, where the detector states it.
    native: for each resampled view, its frame numbers, with fractions, at the instants of `rate`. rates: frames/s of
    each view, where they differ.
    """

    names: tuple[str, ...]
    rate: float
    people: np.ndarray
    lengths: tuple[int, ...] = ()
    estimated: tuple[str, ...] = ()
    skeleton: str = ""
    native: tuple[np.ndarray, ...] = ()
    rates: tuple[float, ...] = ()


def detect_videos(
    videos: Sequence[Video],
    make_detector: Callable[[], Detector],
    progress: Callable[[int, int], None] | None = None,
    boxes: np.ndarray | None = None,
    frames: int | None = None,
    together: bool = True,
    resample: float | None = None,
) -> Detections:
    """Run a detector over videos of one recording.

    The detector is made after the videos were checked (a network loads slowly) and closed at the end. `progress` is
    called with (frames done, frames in all). boxes: (frames, views, 4) x0 y0 x1 y1 px around the one person, NaN = not
    known; the last box also serves all later frames. frames: number of frames to process, for videos that start
    together but may differ in length. together: False for videos that start and end at different instants: each is
    processed to its end, and views that have ended see nobody. resample: of `DetectionOptions`; each video is then
    processed to its end as well. Raises `InputError` for videos that do not belong together or break off. Last frames
    that the decoder delivers for some views only are left out.
    """
    check_synchronised(videos, lengths_agree=frames is None and together, resample=resample, delayed=not together)
    rates = tuple(video.rate for video in videos if rates_differ(videos) and not resample)
    native = frames_at_rate(videos, resample) if resample else ()
    together = together and not native
    expected = frames or (min if together else max)(video.frames for video in videos)
    lengths = np.zeros(len(videos), int)
    rows: list[np.ndarray] = []
    with closing(make_detector()) as detector:
        skeleton, estimated = skeletons.load_skeleton(detector.skeleton), estimated_by(detector)
        # Each video is read to its end: reading raises an error for one that breaks off.
        for images in islice(one_ahead(zip_longest(*videos)), frames):
            running = np.array([image is not None for image in images])
            if together and not running.all():
                continue
            lengths += running
            shown = zip(images, videos, strict=True)  # black where a view has ended
            filled = [np.zeros((*v.size[::-1], 3), np.uint8) if image is None else image for image, v in shown]
            people = _people_in_images(detector, filled, _boxes_at(boxes, len(rows)), len(skeleton.names))
            rows.append(np.where(running[:, None, None, None], people, np.float32(np.nan)))
            if progress is not None:
                progress(len(rows), expected)
    return Detections(
        names=skeleton.names,
        rate=resample or float(rates[0] if rates else np.mean([video.rate for video in videos])),
        people=np.stack(rows),
        lengths=tuple(lengths.tolist()),
        estimated=estimated,
        skeleton=skeleton.name,
        native=native,
        rates=rates,
    )


def one_ahead(items: Iterable[Any]) -> Iterator[Any]:
    """The same items, of which none may be None; a thread fetches the next item while one is used."""
    waiting = iter(items)
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, waiting, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, waiting, None)
            yield item


def _people_in_images(
    detector: Detector, images: Sequence[np.ndarray], boxes: list[np.ndarray | None] | None, points: int
) -> np.ndarray:
    """Points (views, people, points, 3) float32 of the people in images of one instant; padded with NaN."""
    row = np.full((len(images), detector.people, points, 3), np.nan, np.float32)
    for view, found in enumerate(detector.detect(images, boxes)):
        if found.shape[1:] != (points, 3):
            raise InputError(
                f"the detector gave points of shape {found.shape}, expected (people, {points}, 3) "
                f"for its skeleton {detector.skeleton!r}."
            )
        row[view, : len(found)] = found[: detector.people]
    return row


def _boxes_at(boxes: np.ndarray | None, frame: int) -> list[np.ndarray | None] | None:
    """Boxes of one frame as `Detector.detect` takes them: one per view, or None."""
    if boxes is None or not len(boxes):
        return None
    boxes_of_frame = boxes[min(frame, len(boxes) - 1)]
    return [box[None] if np.isfinite(box).all() else None for box in boxes_of_frame]


def read_detections(
    folders: Sequence[str | os.PathLike], rate: float, skeleton: str | None = None
) -> tuple[Detections, skeletons.Skeleton]:
    """All people in one folder of JSON files (or one table) per view, and the skeleton of their points.

    rate: frames/s, which the files do not contain. skeleton: its name; by default the one with as many points.
    Raises `InputError` for a skeleton that simspine does not have.
    """
    from simspine.io.keypoint_json import TABLE_ENDINGS, read_people_json

    tables = str(folders[0]).lower().endswith(TABLE_ENDINGS)
    wanted = skeletons.load_skeleton(skeleton).names if skeleton and not tables else skeleton
    names, people = read_people_json(folders, wanted)
    known = skeletons.load_skeleton(skeleton) if skeleton else skeletons.skeleton_of_names(names)
    return Detections(names, rate, people), known
