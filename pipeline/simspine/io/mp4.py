"""What FFmpeg does not check: mirrored images and damaged tables of times in MP4 or MOV files; time stamps of all."""

import re
import struct
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from simspine.core.errors import file_version

_MOST_HEADER_BYTES = 64 << 20  # two hours at 240 frames/s take 40 MB
_IMAGES_AND_ROOM = (b"mdat", b"free", b"skip", b"wide")  # boxes that hold no header
_MATRIX_AT = {b"mvhd": (40, 52), b"tkhd": (44, 56)}  # bytes after the box's name begins, for times of 32 or 64 bits
_CAPTURE_RATE_KEY = b"com.android.capture.fps"
_WIDE = 1  # version of a box with times of 64 bits
_NO_LENGTH = (0, 2**32 - 1, 2**64 - 1)  # lengths that mean: not known
_MAX_EDITED_SHARE = 1.2  # what is shown of a track, as a share of its length; delays of a few frames pass
_MAX_TIME_DIFFERENCE = 0.01  # between the sum of all frames' times and the length that a track states


def fault_of_header(path: Path) -> str:
    """What is wrong with the header, and what to do; '' where nothing is, or the file is of another kind.

    Boxes are found wherever in the header they are, since FFmpeg finds them there too.
    """
    header = _header_of(path)
    for box in re.finditer(b"mvhd|tkhd", header):
        at = box.start() + _MATRIX_AT[box[0]][header[box.end()] == _WIDE]
        a, b, _, c, d = struct.unpack(">5i", header[at : at + 20])
        if a * d < b * c:
            text = "says that a player should mirror its images, which is not done here. Write it anew with mirrored"
            return f"{text} images: ffmpeg -i {path.name} NEW.mp4."
    for above, track in pairwise(header.split(b"mdhd")):
        if b"vide" in track[:200] and not (_times_fit(track) and _edit_fits(header, above, track)):
            return "states two lengths: the times of its frames do not add up to it. Copy it again from its source."
    return ""


def capture_rate(path: Path) -> float:
    """Frames/s at which images were taken, where an Android camera states it (MediaRecorder.setCaptureRate); else 0."""
    header = _header_of(path)
    stated = re.search(rb"data\0\0\0\x17\0{4}(.{4})", header, re.DOTALL) if _CAPTURE_RATE_KEY in header else None
    return struct.unpack(">f", stated[1])[0] if stated else 0.0


def _header_of(path: Path) -> bytes:
    """All boxes at the top of a file that hold no images."""
    offset, end, header = 0, path.stat().st_size, b""
    with path.open("rb") as file:
        while offset + 16 <= end and len(header) < _MOST_HEADER_BYTES:
            file.seek(offset)
            size, kind, long_size = struct.unpack(">I4sQ", file.read(16))
            size = long_size if size == 1 else size or end - offset
            if kind not in _IMAGES_AND_ROOM and size <= end - offset:
                file.seek(offset)
                header += file.read(min(size, _MOST_HEADER_BYTES))
            offset += max(size, 8)
    return header + bytes(128)


def _times_fit(track: bytes) -> bool:
    """Whether the times of all frames add up to the length of a track. track: from the content of its box mdhd on."""
    length = _length_and_scale(track)[0]
    table = track.partition(b"stts")[2]
    numbers = np.frombuffer(table[8 : len(table) // 8 * 8], ">u4").astype(float).reshape(-1, 2)
    counts, steps = numbers[: int.from_bytes(table[4:8], "big")].T
    total = float(counts @ steps)
    allowed = max(_MAX_TIME_DIFFERENCE * total, 2 * steps.max(initial=0.0))
    return not total or length in _NO_LENGTH or abs(total - length) <= allowed


def _edit_fits(header: bytes, above: bytes, track: bytes) -> bool:
    """Whether a track's only edit, by the movie's clock, is no longer than the track by its own, the frame rate's."""
    edits = above.rpartition(b"trak")[2].partition(b"edts")[2]
    size = 8 if edits[8:9] == b"\1" else 4
    one_edit = edits[4:8] == b"elst" and edits[12:16] == b"\0\0\0\1"
    as_filmed = edits[16 + 2 * size :][:4] == b"\0\1\0\0"  # not shown faster or slower
    shown = int.from_bytes(edits[16 : 16 + size], "big") - 1  # it may be rounded up
    (_, movie_scale), (length, scale) = _length_and_scale(header.partition(b"mvhd")[2]), _length_and_scale(track)
    known = one_edit and as_filmed and movie_scale and scale and length not in _NO_LENGTH
    return not known or shown / movie_scale <= _MAX_EDITED_SHARE * length / scale


def _length_and_scale(box: bytes) -> tuple[int, int]:
    """Length and units per second in a box mvhd or mdhd, given without its name."""
    at, size = (20, 8) if box[:1] == b"\1" else (12, 4)
    return int.from_bytes(box[at + 4 : at + 4 + size], "big"), int.from_bytes(box[at : at + 4], "big")


def frame_times(path: Path) -> np.ndarray:
    """Time stamps of the container (frames,), s after the first, without decoding; empty if missing or repeated."""
    times = packet_stamps(path, file_version(path))
    return times - times[0] if len(times) > 1 and (np.diff(times) > 0).all() else np.zeros(0)


@lru_cache(maxsize=64)  # all views of a recording, which are read side by side
def packet_stamps(path: Path, _version: tuple[int, ...]) -> np.ndarray:
    """Time stamps of all packets of images, s, ascending."""
    import cv2

    packets = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_FORMAT, -1])
    stamps = []
    while packets.grab():
        stamps.append(packets.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    packets.release()
    return np.sort(stamps)
