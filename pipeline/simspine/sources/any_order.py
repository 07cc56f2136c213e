"""Images of a recording in any order, where `Video` itself goes forwards."""

from typing import Any

import numpy as np

from simspine.errors import InputError
from simspine.sources.stills import Stills
from simspine.sources.video import Video

QUALITY = 92  # of a JPEG: edges of clothes and markers stay sharp
STEP = 120  # frames that are faster decoded one by one than sought


def decoder_of(source: Video | Stills) -> "StillImages | VideoImages":
    """What gives its images in any order; for one thread at a time."""
    return StillImages(source) if isinstance(source, Stills) else VideoImages(source)


class StillImages:
    """Photographs."""

    def __init__(self, source: Stills):
        self._source = source

    def at(self, row: int) -> np.ndarray:
        """One of them, (h, w, 3) uint8 BGR."""
        return next(self._source.at([row]))

    def close(self) -> None:
        """Nothing is held."""


class VideoImages:
    """Frames of a video in any order. A position that the decoder does not confirm is reached from the start."""

    def __init__(self, source: Video):
        self._source = source
        self._capture: Any = None
        self._next = 0

    def at(self, row: int) -> np.ndarray:
        """A frame, (h, w, 3) uint8 BGR; `InputError` where it cannot be decoded."""
        if self._capture is None or not self._next <= row <= self._next + STEP:
            self._go_to(row)
        while self._next < row and self._capture.grab():
            self._next += 1
        ok, image = self._capture.read() if self._next == row else (False, None)
        if not ok or image is None:
            self.close()
            raise InputError(f"video {self._source.path}: frame {row} of {self._source.frames} cannot be decoded.")
        self._next += 1
        return image

    def close(self) -> None:
        """Let go of the file; the next frame opens it again."""
        if self._capture is not None:
            self._capture.release()
        self._capture, self._next = None, 0

    def _go_to(self, row: int) -> None:
        import cv2

        self._open()
        if row > STEP and self._capture.set(cv2.CAP_PROP_POS_FRAMES, row):
            if round(self._capture.get(cv2.CAP_PROP_POS_FRAMES)) == row:
                self._next = row
            else:
                self._open()

    def _open(self) -> None:
        """From the first frame on."""
        import cv2

        self.close()
        self._capture = cv2.VideoCapture(str(self._source.path))
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)


def jpeg(image: np.ndarray) -> bytes:
    """(height, width, 3) BGR as JPEG."""
    import cv2

    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def decoded(encoded: bytes) -> np.ndarray:
    """The image of a JPEG, (h, w, 3) uint8 BGR."""
    import cv2

    return np.asarray(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR))
