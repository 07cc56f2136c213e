"""Write pictures as a video that browsers play."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.detection.quiet import quiet
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path

if TYPE_CHECKING:
    import cv2

# In order of preference. VP9 in MP4 is played by Chromium, Firefox and Safari, and its encoder comes with every build
# of OpenCV; H.264 is read by more programs, but OpenCV's wheels lack an encoder for it. MPEG-4 part 2: players only.
# VP8 in WebM is written five times as fast as VP9, and browsers play it as well.
CODECS = {".mp4": ("avc1", "vp09", "mp4v"), ".webm": ("VP80",)}


class Writer:
    """An open video; `add` takes pictures (height, width, 3) uint8, BGR, all of one size. codec: the one found."""

    def __init__(self, path: Path, rate: float):
        self._path, self._rate = path, rate
        self._file: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self.codec, self.frames = "", 0

    def add(self, image: np.ndarray) -> None:
        image = _even(image)
        size = (image.shape[1], image.shape[0])
        if self._file is None:
            self._file, self._size = self._opened(size), size
        if size != self._size:
            raise InputError(f"{self._path}: frame {self.frames} is {size}, the ones before are {self._size}.")
        self._file.write(image)
        self.frames += 1

    def _opened(self, size: tuple[int, int]) -> "cv2.VideoWriter":
        import cv2

        codecs = CODECS[self._path.suffix.lower()]
        for codec in codecs:
            letters = int.from_bytes(codec.encode(), "little")
            with quiet():  # it says that it dislikes the letters of VP8, and writes it
                file = cv2.VideoWriter(str(self._path), letters, self._rate, size)
            if file.isOpened():
                self.codec = codec
                return file
            file.release()
        raise InputError(f"the installed OpenCV can write none of {', '.join(codecs)}; install opencv-python-headless.")

    def close(self) -> None:
        if self._file is not None:
            self._file.release()


@contextmanager
def video_writer(path: str | os.PathLike, rate: float) -> Iterator[Writer]:
    """A `Writer` whose file becomes `path` when the block ends well. rate: frames/s."""
    path = Path(path)
    if path.suffix.lower() not in CODECS:
        raise InputError(f"{path}: videos are written as {' or '.join(CODECS)}; name the file so.")
    with atomic_path(path) as temporary, _quiet():
        writer = Writer(temporary, rate)
        try:
            yield writer
        finally:
            writer.close()
        if not writer.frames:
            raise InputError(f"{path}: there are no frames to write.")


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV says on the terminal which encoders it lacks; the next one is tried anyway."""
    from cv2.utils import logging

    before = logging.getLogLevel()
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _even(image: np.ndarray) -> np.ndarray:
    """Encoders want even widths and heights: a row or column at the edge goes."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])
