"""What the header of an MP4 or MOV file says and FFmpeg does not check: mirrored images, damaged tables of times."""

import re
import struct
from pathlib import Path

import numpy as np

_MOST_HEADER_BYTES = 64 << 20  # two hours at 240 frames/s take 40 MB
_IMAGES_AND_ROOM = (b"mdat", b"free", b"skip", b"wide")  # boxes that hold no header
_MATRIX_AT = {b"mvhd": (40, 52), b"tkhd": (44, 56)}  # bytes after the box's name begins, for times of 32 or 64 bits
_WIDE = 1  # version of a box with times of 64 bits
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
    for track in header.split(b"mdhd")[1:]:
        if b"vide" in track[:200] and not _times_fit(track):
            return "states two lengths: the times of its frames do not add up to it. Copy it again from its source."
    return ""


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
    place, size = (24, 8) if track[0] == _WIDE else (16, 4)
    length = int.from_bytes(track[place : place + size], "big")
    table = track.partition(b"stts")[2]
    numbers = np.frombuffer(table[8 : len(table) // 8 * 8], ">u4").astype(float).reshape(-1, 2)
    counts, steps = numbers[: int.from_bytes(table[4:8], "big")].T
    total = float(counts @ steps)
    allowed = max(_MAX_TIME_DIFFERENCE * total, 2 * steps.max(initial=0.0))
    return not total or length in (0, 2 ** (8 * size) - 1) or abs(total - length) <= allowed
