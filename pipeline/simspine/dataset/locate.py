"""From damaged bytes to frames: what lies at a place in a file, by its kind."""

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

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
    except (OSError, ValueError, KeyError, IndexError, struct.error, InputError):
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
    headed = (re.match(r'\{"id": ?(\d+), ?"width".*"file_name": ?"([^"]*)"', text) for text in texts)
    images = {int(match[1]): match[2] for match in headed if match}
    touched = "\n".join(texts[i] for i in _lines(path, ranges) if i < len(texts))
    found = {int(i) for i in re.findall(r'"image_id": ?(\d+)', touched)}
    names = {*re.findall(r'"file_name": ?"([^"]*)"', touched), *(images[i] for i in found if i in images)}
    if ranges[-1][1] > path.stat().st_size:  # lines are lost: those of images without annotation
        annotated = {int(m[1]) for text in texts if (m := re.search(r'"image_id": ?(\d+), .*"iscrowd"', text))}
        names |= {name for i, name in images.items() if i not in annotated}
    ordered = sorted(names)
    few = ordered if len(ordered) < 2 else [f"{ordered[0]} … {ordered[-1]} ({len(ordered)} images)"]
    return few[0] if few else ""


def _npz(path: Path, ranges: Ranges) -> str:
    """Arrays and rows; found from the members' own headers, since the list of members at the end may be gone."""
    found = []
    with open(path, "rb") as file:
        for name, start, row, shape in _arrays(file):
            rows: set[int] = set()
            for first, end in ranges:
                a, b = max(first, start), min(end, start + row * shape[0])
                if a < b:
                    rows |= set(range((a - start) // row, (b - 1 - start) // row + 1))
            if rows:
                found.append(f"{name} rows {frame_ranges(rows)}")
    return "; ".join(found)


def _arrays(file) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
    """(name, first byte of the numbers, bytes in a row, shape) of each array of an npz that is not compressed."""
    at = 0
    while True:
        file.seek(at)
        header = file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            return
        _, _, _, _, _, _, size, _, names, extra = struct.unpack("<5HL2L2H", header[4:])
        name, more = file.read(names).decode(), file.read(extra)
        if size == 0xFFFFFFFF:  # zip64: the sizes are in the extra field
            size = struct.unpack("<Q", more[12:20])[0]
        begin = file.tell()
        version = np.lib.format.read_magic(file)
        reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = reader(file)
        if shape and not dtype.hasobject:
            yield name.removesuffix(".npy"), file.tell(), dtype.itemsize * int(np.prod(shape[1:], dtype=int)), shape
        at = begin + size


def _parquet(path: Path, ranges: Ranges) -> str:
    from pyarrow.parquet import ParquetFile

    found = []
    try:
        file = ParquetFile(path)
    except (OSError, ValueError):
        return "the index at the end, without which no frame can be read"
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
