"""From damaged bytes to frames: what lies at a place in a file, by its kind."""

import re
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

from simspine.errors import InputError
from simspine.formats._text import frame_ranges

Ranges = Sequence[tuple[int, int]]


def locate(path: Path, kind: str, ranges: Ranges) -> str:
    """Words for what lies in the byte ranges [first, end) of a file of this kind: 'frames 10–19'; '' if unknown."""
    finder = {
        "trc": _trc, "mot": _table, "sto": _table, "npz": _npz, "parquet": _parquet, "c3d": _c3d, "coco": _coco,
    }.get(kind)  # fmt: skip
    if finder is None:
        return ""
    try:
        return finder(path, ranges)
    except (OSError, ValueError, KeyError, IndexError, struct.error, zipfile.BadZipFile, InputError):
        return ""  # too damaged to say more than the bytes


def _lines(path: Path, ranges: Ranges) -> list[int]:
    """Numbers, from 0, of the lines of a text that the ranges touch."""
    content = path.read_bytes()
    found: set[int] = set()
    for first, end in ranges:
        before = content.count(b"\n", 0, first)
        found |= set(range(before, before + content.count(b"\n", first, max(first, end - 1)) + 1))
    return sorted(found)


def _rows(lines: Sequence[int], header: int) -> str:
    rows = [line - header for line in lines if line >= header]
    parts = ["the header"] if any(line < header for line in lines) else []
    return " and ".join([*parts, *([f"frames {frame_ranges(rows)}"] if rows else [])])


def _trc(path: Path, ranges: Ranges) -> str:
    return _rows(_lines(path, ranges), 5)


def _table(path: Path, ranges: Ranges) -> str:
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    header = next(i for i, text in enumerate(texts) if text.strip() == "endheader") + 2
    return _rows(_lines(path, ranges), header)


def _coco(path: Path, ranges: Ranges) -> str:
    """One image or annotation stands on each line; images name file and frame."""
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    touched = [texts[i] for i in _lines(path, ranges) if i < len(texts)]
    images = {int(i) for text in touched for i in re.findall(r'"image_id": ?(\d+)', text)}
    wanted = [
        text for text in texts if (found := re.match(r'\{"id": ?(\d+), ?"width"', text)) and int(found[1]) in images
    ]
    names = [m for text in [*touched, *wanted] for m in re.findall(r'"file_name": ?"([^"]*)"', text)]
    names = sorted(dict.fromkeys(names))
    return "" if not names else names[0] if len(names) == 1 else f"{names[0]} … {names[-1]} ({len(names)} images)"


def _npz(path: Path, ranges: Ranges) -> str:
    import numpy as np

    found = []
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for member in archive.infolist():
            file.seek(member.header_offset + 26)
            names, extra = struct.unpack("<HH", file.read(4))
            start = member.header_offset + 30 + names + extra
            file.seek(start)
            version = np.lib.format.read_magic(file)
            reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = reader(file)
            data = file.tell()
            if not shape or dtype.hasobject:
                continue
            row = dtype.itemsize * int(np.prod(shape[1:], dtype=int))
            rows: set[int] = set()
            for first, end in ranges:
                a, b = max(first, data), min(end, data + row * shape[0])
                if a < b:
                    rows |= set(range((a - data) // row, (b - 1 - data) // row + 1))
            if rows:
                found.append(f"{member.filename.removesuffix('.npy')} rows {frame_ranges(rows)}")
    return "; ".join(found)


def _parquet(path: Path, ranges: Ranges) -> str:
    from pyarrow.parquet import ParquetFile

    found = []
    file = ParquetFile(path)
    for group in range(file.num_row_groups):
        meta = file.metadata.row_group(group)
        columns = []
        for i in range(meta.num_columns):
            column = meta.column(i)
            start = column.dictionary_page_offset or column.data_page_offset
            if any(a < start + column.total_compressed_size and b > start for a, b in ranges):
                columns.append(column.path_in_schema.split(".")[0])
        if columns:
            names = ", ".join(dict.fromkeys(columns))
            try:
                rows = file.read_row_group(group, columns=["subject", "trial", "frame"]).to_pydict()
                trials: dict[str, list[int]] = {}
                for subject, trial, frame in zip(rows["subject"], rows["trial"], rows["frame"], strict=True):
                    trials.setdefault(f"{subject}/{trial}", []).append(frame)
                where = "; ".join(f"{trial} frames {frame_ranges(frames)}" for trial, frames in trials.items())
            except OSError:
                where = f"row group {group}"
            found.append(f"{names} of {where}")
    return "; ".join(found)


def _c3d(path: Path, ranges: Ranges) -> str:
    with open(path, "rb") as file:
        header = file.read(512)
    points, analogs, first, last = struct.unpack("<HHHH", header[2:10])
    (data_block,) = struct.unpack("<H", header[16:18])
    (scale,) = struct.unpack("<f", header[12:16])
    start = (data_block - 1) * 512
    size = 4 if scale < 0 else 2
    row = size * (4 * points + analogs)
    frames: set[int] = set()
    parts = []
    for a, b in ranges:
        if a < start:
            parts = ["the header"]
        if b > start:
            frames |= set(range((max(a, start) - start) // row, (b - 1 - start) // row + 1))
    if last > first:  # what follows the last frame pads the block
        frames = {frame for frame in frames if frame <= last - first}
    return " and ".join([*parts, *([f"frames {frame_ranges(frames)}"] if frames else [])])
