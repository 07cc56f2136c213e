"""The part of each image around a person, kept in a temporary file: images can be looked at in any order, and memory
does not grow with a video's length.
"""

from collections.abc import Iterable
from tempfile import TemporaryFile
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np

FASTEST = 1  # level of compression


class _Entry(NamedTuple):
    start: int
    length: int
    x: int
    y: int


class Crops:
    """Images by frame, compressed without loss. Coordinates are those of the whole image, px."""

    def __init__(self) -> None:
        self._file = TemporaryFile()  # noqa: SIM115 - closed with the object
        self._entries: dict[int, _Entry] = {}
        self._latest: dict[int, np.ndarray] = {}  # the two looked at last, decoded

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, image: np.ndarray, box: Iterable[float] | None, frame: int | None = None) -> None:
        """Keep a frame's part inside `box` (x0 y0 x1 y1 px), or all of it (None). image: (height, width, 3) BGR.

        frame: its number; the one after the last if left out.
        """
        import cv2

        height, width = image.shape[:2]
        x0, y0, x1, y1 = (0, 0, width, height) if box is None else (round(float(v)) for v in box)
        x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
        part = np.ascontiguousarray(image[y0 : max(min(y1, height), y0 + 1), x0 : max(min(x1, width), x0 + 1)])
        packed = cv2.imencode(".png", part, [cv2.IMWRITE_PNG_COMPRESSION, FASTEST])[1].tobytes()
        number = len(self) if frame is None else frame
        self._entries[number] = _Entry(self._file.seek(0, 2), len(packed), x0, y0)
        self._file.write(packed)

    def window(self, frame: int, centre: np.ndarray, half: int) -> np.ndarray:
        """(2 half + 1, 2 half + 1, 3) Lab around `centre` (2,) px, between pixels by linear interpolation.

        What lies outside the part kept repeats its edge.
        """
        import cv2

        image, entry = self._decoded(frame), self._entries[frame]
        side = 2 * half + 1
        return cv2.getRectSubPix(image, (side, side), (float(centre[0] - entry.x), float(centre[1] - entry.y)))

    def inside(self, frame: int, xy: np.ndarray) -> bool:
        """Whether the part kept shows a point (2,) px."""
        height, width = self._decoded(frame).shape[:2]
        x, y = xy[0] - self._entries[frame].x, xy[1] - self._entries[frame].y
        return bool(0 <= x <= width - 1 and 0 <= y <= height - 1)

    def _decoded(self, frame: int) -> np.ndarray:
        import cv2

        if frame not in self._latest:
            entry = self._entries[frame]
            self._file.seek(entry.start)
            packed = np.frombuffer(self._file.read(entry.length), np.uint8)
            image = cv2.imdecode(packed, cv2.IMREAD_COLOR)
            assert image is not None  # it was encoded above
            self._latest = {**dict(list(self._latest.items())[-1:]), frame: cv2.cvtColor(image, cv2.COLOR_BGR2LAB)}
        return self._latest[frame]
