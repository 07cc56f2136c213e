"""Images of a recording as JPEG, in any order: the page jumps between frames, a video is decoded forwards."""

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from simspine.annotation.recording import RecordedViews
from simspine.errors import InputError
from simspine.sources.stills import Stills
from simspine.sources.video import Video

QUALITY = 92  # of the JPEG: edges of clothes and markers stay sharp
KEPT_BYTES = 256 << 20  # of images in memory
STEP = 120  # frames that are faster decoded one by one than sought


class Images:
    """Encoded images of a recording, the latest kept in memory. One decoder per view, used by one thread at a time."""

    def __init__(self, recording: RecordedViews):
        self._recording = recording
        self._decoders = [_decoder(source) for source in recording.sources]
        self._locks = [threading.Lock() for _ in recording.sources]
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._size = 0
        self._closed = False
        self._guard = threading.Lock()

    def jpeg(self, frame: int, view: int) -> bytes:
        """An image of the recording; `InputError` where there is no such frame or view, or it cannot be decoded."""
        rows = self._recording.rows
        if not (0 <= frame < rows.shape[0] and 0 <= view < rows.shape[1]):
            raise InputError(
                f"no frame {frame} in view {view}: there are {rows.shape[0]} frames, {rows.shape[1]} views."
            )
        key = int(rows[frame, view]), view
        with self._guard:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        with self._locks[view]:
            if self._closed:
                raise InputError("the recording is closed: the program is about to end.")
            encoded = encode(self._decoders[view].at(key[0]))
        self._keep(key, encoded)
        return encoded

    def close(self) -> None:
        """Let go of the videos, each when the image that is being decoded is done; later requests are refused."""
        for lock, decoder in zip(self._locks, self._decoders, strict=True):
            with lock:
                self._closed = True
                decoder.close()

    def _keep(self, key: tuple[int, int], encoded: bytes) -> None:
        with self._guard:
            if key not in self._kept:
                self._kept[key] = encoded
                self._size += len(encoded)
            while self._size > KEPT_BYTES and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1])


def encode(image: np.ndarray) -> bytes:
    """(height, width, 3) BGR as JPEG."""
    import cv2

    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


class _StillImages:
    def __init__(self, source: Stills):
        self._source = source

    def at(self, row: int) -> np.ndarray:
        return next(self._source.at([row]))

    def close(self) -> None:
        pass


class _VideoImages:
    """Frames of a video in any order. A position that the decoder does not confirm is reached from the start."""

    def __init__(self, source: Video):
        self._source = source
        self._capture: Any = None
        self._next = 0

    def at(self, row: int) -> np.ndarray:
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


def _decoder(source: Video | Stills) -> _StillImages | _VideoImages:
    return _StillImages(source) if isinstance(source, Stills) else _VideoImages(source)
