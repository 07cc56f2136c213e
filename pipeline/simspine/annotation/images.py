"""Images of a recording as JPEG, in any order: the page jumps between frames, a video is decoded forwards."""

import threading
from collections import OrderedDict

import numpy as np

from simspine.annotation.recording import RecordedViews
from simspine.errors import InputError
from simspine.sources.any_order import decoded, decoder_of, jpeg

KEPT_BYTES = 256 << 20  # of images in memory


class Images:
    """Encoded images of a recording, the latest kept in memory. One decoder per view, used by one thread at a time."""

    def __init__(self, recording: RecordedViews):
        self._recording = recording
        self._decoders = [decoder_of(source) for source in recording.sources]
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
            encoded = jpeg(self._decoders[view].at(key[0]))
        self._keep(key, encoded)
        return encoded

    def decoded(self, frame: int, view: int) -> np.ndarray:
        """The same, (height, width, 3) uint8 BGR."""
        return decoded(self.jpeg(frame, view))

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
