"""Videos through a detector, all views in lockstep; only the points are kept."""

from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice, zip_longest
from typing import NamedTuple

import numpy as np

from simspine import skeletons
from simspine.detection.protocol import Detector, estimated_by
from simspine.errors import InputError
from simspine.sources.video import Video, check_synchronised


class Detections(NamedTuple):
    """Everybody seen. people: (frames, views, people, points, 3) float32 x px, y px, confidence; NaN = nobody.

    names: of a skeleton's points.
    lengths: (views,) frames each view has, where they may differ. estimated: names of points that the detector gave
    without seeing them. skeleton: its name, where the detector said it.
    """

    names: tuple[str, ...]
    rate: float
    people: np.ndarray
    lengths: tuple[int, ...] = ()
    estimated: tuple[str, ...] = ()
    skeleton: str = ""


def detect_videos(
    videos: Sequence[Video],
    make_detector: Callable[[], Detector],
    progress: Callable[[int, int], None] | None = None,
    boxes: np.ndarray | None = None,
    frames: int | None = None,
    together: bool = True,
) -> Detections:
    """Run a detector over videos of one recording.

    The detector is made after the videos were checked (a network loads slowly) and closed in the end. `progress` is
    called with (frames done, frames in all). boxes: (frames, views, 4) x0 y0 x1 y1 px where the one person is known to
    be, NaN = not known; the last one holds for frames beyond. frames: how many to look at, of videos that start
    together but may differ in length. together: False for videos that start and end at different instants: each is
    looked at to its end, and views that have ended see nobody. Raises `InputError` for videos that do not go together
    or break off; a last frame or two that the decoder delivers for some views only are left out.
    """
    check_synchronised(videos, lengths_agree=frames is None and together)
    shortest, longest = (choose(video.frames for video in videos) for choose in (min, max))
    expected = (shortest if together else longest) if frames is None else frames
    lengths = [0] * len(videos)
    with closing(make_detector()) as detector:
        skeleton = skeletons.load(detector.skeleton)
        names = skeleton.names
        estimated, points = estimated_by(detector), len(names)
        rows: list[np.ndarray] = []
        for images in islice(zip_longest(*videos), frames):  # to the end of each: a video cut short is noticed
            if together and any(image is None for image in images):
                continue
            lengths = [n + (image is not None) for n, image in zip(lengths, images, strict=True)]
            seen = [_black(video) if image is None else image for video, image in zip(videos, images, strict=True)]
            row = np.full((len(videos), detector.people, points, 3), np.nan, np.float32)
            for view, found in enumerate(detector.detect(seen, _boxes_at(boxes, len(rows)))):
                if found.shape[1:] != (points, 3):
                    raise InputError(
                        f"the detector gave points of shape {found.shape}, expected (people, {points}, 3) "
                        f"for its skeleton {detector.skeleton!r}."
                    )
                if images[view] is not None:
                    row[view, : len(found)] = found[: detector.people]
            rows.append(row)
            if progress is not None:
                progress(len(rows), expected)
    rate = float(np.mean([video.rate for video in videos]))
    return Detections(names, rate, np.stack(rows), tuple(lengths), estimated, skeleton.name)


def _black(video: Video) -> np.ndarray:
    """What a view that has ended shows to a detector, which wants an image of each view."""
    return np.zeros((video.size[1], video.size[0], 3), np.uint8)


def _boxes_at(boxes: np.ndarray | None, frame: int) -> list[np.ndarray | None] | None:
    """What a detector is told about one frame: a box per view, or nothing."""
    if boxes is None or not len(boxes):
        return None
    now = boxes[min(frame, len(boxes) - 1)]
    return [box[None] if np.isfinite(box).all() else None for box in now]
