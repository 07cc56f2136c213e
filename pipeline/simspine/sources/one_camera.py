"""What one camera sees: a photograph, a folder of them, a video, or a webcam, image by image."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from simspine.errors import InputError, require_path
from simspine.sources.stills import ENDINGS, ImageFiles, images_in, read_image
from simspine.sources.video import Video, open_video

WEBCAM = "webcam"  # another word for webcam 0
USUAL_RATE = 30.0  # frames/s of a webcam that does not say
MOST = 999  # the highest number of a webcam that is tried
LOST = 30  # frames in a row that a webcam may fail to deliver


class Shot(NamedTuple):
    """time: s since the first image. number: from 0. name: what files are called after."""

    image: np.ndarray
    time: float
    number: int
    name: str


class Photographs(ImageFiles):
    """Separate pictures, of any sizes."""

    def __iter__(self) -> Iterator[Shot]:
        for i, file in enumerate(self.files):
            yield Shot(read_image(file), 0.0, i, file.stem)


@dataclass(frozen=True)
class Webcam:
    """A camera of this computer. rate: frames/s as it says. frames: None, it has no end."""

    number: int
    rate: float
    frames: None = None

    @property
    def name(self) -> str:
        return f"{WEBCAM}{self.number}"

    def __iter__(self) -> Iterator[Shot]:
        """Until nobody asks any more; times are those of the clock. `InputError` where the camera falls silent."""
        with _opened(self.number) as capture:
            start, count, lost = time.monotonic(), 0, 0
            while lost < LOST:
                ok, image = capture.read()
                lost = 0 if ok else lost + 1
                if ok:
                    yield Shot(image, time.monotonic() - start, count, frame_name(count))
                    count += 1
        raise InputError(f"webcam {self.number} gives no images any more. Is it still plugged in?")


@dataclass(frozen=True)
class VideoShots:
    """A video."""

    video: Video

    @property
    def name(self) -> str:
        return self.video.name

    @property
    def rate(self) -> float:
        return self.video.rate

    @property
    def frames(self) -> int:
        return self.video.frames

    def __iter__(self) -> Iterator[Shot]:
        for i, image in enumerate(self.video):
            yield Shot(image, i / self.video.rate, i, frame_name(i))


OneCamera = Photographs | VideoShots | Webcam


def frame_name(number: int) -> str:
    """'frame_00000', as SpinePose calls its files."""
    return f"frame_{number:05d}"


def open_camera(source: str) -> OneCamera:
    """A photograph, a folder of them, a video, or a webcam by its number ('webcam' is number 0).

    Raises `InputError` for what is not there or cannot be read.
    """
    require_path(source)
    if source.isdecimal() or source.lower() == WEBCAM:
        return open_webcam(int(source) if source.isdecimal() else 0)
    path = Path(source)
    if path.is_dir():
        return Photographs(path, _of_different_names(images_in(path)))
    if not path.exists():
        raise InputError(
            f"{source} does not exist. Name an image, a folder of images, a video, or a webcam by its number (0)."
        )
    if path.suffix.lower() in ENDINGS:
        read_image(path)
        return Photographs(path, (path,))
    return VideoShots(open_video(path))


def _of_different_names(files: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files, whose names without ending must differ: what is made of each is called after it."""
    known: dict[str, Path] = {}
    for file in files:
        if file.stem in known:
            raise InputError(f"{file.parent} holds {known[file.stem].name} and {file.name}; rename one of them.")
        known[file.stem] = file
    return files


def open_webcam(number: int) -> Webcam:
    """`InputError` where there is no such camera, or it gives no image."""
    import cv2

    with _opened(number) as capture:
        if not capture.read()[0]:
            raise InputError(f"webcam {number} gives no image. Does another program use it?")
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    return Webcam(number, rate if np.isfinite(rate) and rate > 0 else USUAL_RATE)


@contextmanager
def _opened(number: int):
    capture = _capture(min(number, MOST))
    try:
        if number > MOST or not capture.isOpened():
            raise InputError(
                f"there is no webcam {number}, or it may not be used by this program. Webcams are numbered from 0; to "
                "look at a file, say its path."
            )
        yield capture
    finally:
        capture.release()


def _capture(number: int):
    """OpenCV's, silent: our message names the fault."""
    import cv2
    from cv2.utils import logging

    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        return cv2.VideoCapture(number)
    finally:
        logging.setLogLevel(before)
