"""HDF5 files: those of other people opened so that nothing beside the file is read, and nothing larger than it can be;
new ones made so that a full disk is an error.

HDF5 can keep numbers in other files (external storage, virtual data sets, links), announce arrays of any size, and
repeat folders without end. Its library walks a damaged heap of texts for ever, so heaps are checked before it does.
"""

import io
import math
import mmap
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import h5py
import numpy as np

from simspine.errors import InputError, require_path
from simspine.formats.limits import ATTRIBUTE, DEPTH, ENTRIES, check_announced

_HEAP = b"GCOL\x01\0\0\0"  # HDF5 File Format Specification 3.0, III.E "Global Heap"
_FILTERS = {1: "gzip", 2: "shuffle", 3: "Fletcher-32", 32000: "LZF"}
_CHECKSUM = 4  # bytes that Fletcher-32 adds
_PIECE = 1 << 22  # bytes looked through at a time
_HEADER = 16  # bytes of a heap and of each of its objects


def open_file(path: str | os.PathLike, **options: Any) -> h5py.File:
    """An HDF5 file for reading. Raises `InputError` naming it if it is missing, a folder, or not HDF5."""
    require_path(path)
    if not Path(path).exists():
        raise InputError(f"{path}: no such file.")
    if not Path(path).is_file():
        raise InputError(f"{path}: not a file, but a folder or device; expected an HDF5 file.")
    try:
        return h5py.File(path, "r", **options)
    except Exception as error:
        raise damaged(path, error) from None


@contextmanager
def opened(path: str | os.PathLike) -> Iterator[h5py.File]:
    """A file whose whole tree is sound, closed after the block; what goes wrong in it is an `InputError` naming it."""
    file = open_file(path)
    try:
        check_tree(file)
        yield file
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except Exception as error:  # damaged files end in many ways
        raise damaged(path, error) from None
    finally:
        file.close()


def damaged(where: str | os.PathLike, error: Exception) -> InputError:
    """What to say of a file whose reading ended with `error`."""
    return InputError(f"{where}: cannot be read as HDF5; cut short or damaged? ({error})")


def member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A group's entry; `InputError` if it is a link to another place or another file."""
    *above, last = name.split("/")
    for part in above:
        group = member(group, part)
    if not isinstance(group.get(last, getlink=True), h5py.HardLink):
        raise InputError(
            f"{group.file.filename}: {group.name.rstrip('/')}/{last} is a link, which may lead to any file. Copy what "
            "it leads to into the file (h5repack, h5copy)."
        )
    return group[last]


def check_tree(top: h5py.Group) -> None:
    """Raise `InputError` unless all below a group lies in its file and together is no larger than the file can hold."""
    path = top.file.filename
    total = count = 0
    waiting: list[tuple[h5py.Group, int]] = [(top, 0)]
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            item = member(group, name)
            count += 1
            if count > ENTRIES or depth > DEPTH:
                raise InputError(f"{path}: more than {ENTRIES:,} entries or {DEPTH} levels; does a group hold itself?")
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                total += announced(item)
    check_announced(path, total, os.path.getsize(path))


def announced(data: h5py.Dataset) -> int:
    """Bytes an array says it has. Raises `InputError` if it keeps them in another file, or its pieces are damaged."""
    if data.is_virtual or data.external:
        raise InputError(
            f"{data.file.filename}: {data.name} keeps its numbers in another file, which is not followed. Copy the "
            "data into one file (h5repack)."
        )
    _check_chunks(data)
    return data.nbytes


def _check_chunks(data: h5py.Dataset) -> None:
    """Raise where a piece of an array is stored in a way, or a size, that the library's filters stumble over."""
    if data.chunks is None:
        return
    properties = data.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if odd := set(filters) - set(_FILTERS):
        raise InputError(
            f"{data.file.filename}: {data.name} is packed by the filters {sorted(odd)}; known are "
            f"{', '.join(_FILTERS.values())}. Pack it anew (h5repack -f GZIP=4)."
        )
    end = os.path.getsize(data.file.filename)
    most = 1024 + 1.01 * math.prod(data.chunks) * data.dtype.itemsize  # what cannot be packed grows a little
    least = _CHECKSUM + 1 if h5py.h5z.FILTER_FLETCHER32 in filters else 1

    def damaged_piece(piece: Any) -> bool | None:
        return True if not least <= piece.size <= most or piece.byte_offset + piece.size > end else None

    if data.id.chunk_iter(damaged_piece):
        raise InputError(f"{data.file.filename}: a piece of {data.name} has an impossible size; damaged?")


def values(data: h5py.Dataset, frames: Any = ()) -> np.ndarray:
    """An array, or a part of it, after the checks that the library leaves out."""
    check_announced(f"{data.file.filename}: {data.name}", announced(data), os.path.getsize(data.file.filename))
    if data.dtype.hasobject:
        check_heaps(data.file.filename)
    return data[frames]


def arrays_in(file: h5py.File, most: int = 5) -> str:
    """The arrays of a file in words: place, shape and type of the first ones."""
    found: list[str] = []

    def note(name: str, node: h5py.Group | h5py.Dataset) -> None:
        if isinstance(node, h5py.Dataset):
            found.append(f"{name} ({' × '.join(map(str, node.shape)) or 'one value'}, {node.dtype})")

    file.visititems(note)
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return (", ".join(found[:most]) or "no arrays") + more


def attribute(node: h5py.Group | h5py.Dataset, name: str, default: Any = None) -> Any:
    """An attribute of a group or array."""
    if name not in node.attrs:
        return default
    stored = node.attrs.get_id(name)
    if math.prod(stored.shape) * stored.dtype.itemsize > ATTRIBUTE:
        raise InputError(
            f"{node.file.filename}: the attribute {name!r} of {node.name} is larger than attributes can be."
        )
    kind = stored.get_type()
    if kind.get_class() == h5py.h5t.VLEN or (isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()):
        check_heaps(node.file.filename)
    found = node.attrs[name]
    return found.decode("utf-8") if isinstance(found, bytes) else found


class _Output(io.RawIOBase):
    """What HDF5 writes goes to a file, until the disk refuses: then nowhere, and the error is kept.

    HDF5 ends the process where it cannot write what it still holds, so it is told that all was written.
    """

    def __init__(self, file: io.FileIO):
        super().__init__()
        self._file = file
        self.error: OSError | None = None

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: Any, /) -> int | None:
        return self._file.readinto(buffer)

    def write(self, content: Any, /) -> int:
        left = memoryview(content)
        self._try(lambda: self._write_all(left))
        return len(left)

    def truncate(self, size: int | None = None, /) -> int:
        self._try(lambda: self._file.truncate(size))
        return size or 0

    def _write_all(self, left: memoryview) -> None:
        while left:
            left = left[self._file.write(left) :]

    def _try(self, work: Callable[[], object]) -> None:
        if self.error is None:
            try:
                work()
            except OSError as error:
                self.error = error


@contextmanager
def created(path: str | os.PathLike) -> Iterator[h5py.File]:
    """A new HDF5 file that remembers the order of its entries, written as it grows: it is never in memory as a whole.

    Raises what the system says where it cannot be made or, at the end of the block, where the disk was full.
    """
    with open(path, "w+b", buffering=0) as file:
        output = _Output(file)
        try:
            with h5py.File(output, "w", track_order=True) as made:
                yield made
        finally:
            if output.error is not None:
                raise output.error


def put_text(node: h5py.Group | h5py.Dataset, name: str, text: str) -> None:
    """A text attribute of fixed length: it needs no heap, which damage could lead the library astray in."""
    content = text.encode("utf-8")
    node.attrs.create(name, np.bytes_(content), dtype=h5py.string_dtype("utf-8", max(len(content), 1)))


def check_heaps(path: str | os.PathLike) -> None:
    """Raise `InputError` if a heap, in which texts of any length lie, is damaged. Looks once at an unchanged file."""
    found = os.stat(path)
    _check_heaps(os.fspath(path), found.st_mtime_ns, found.st_size, found.st_ino)


@lru_cache(maxsize=64)
def _check_heaps(path: str, *_: int) -> None:
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        at = _next_heap(file, 0)
        while at >= 0:
            end = at + int.from_bytes(content[at + 8 : at + 16], "little")
            if end > len(content):
                raise InputError(f"{path}: a heap of texts reaches beyond the end of the file; cut short or damaged?")
            _check_heap(content, at + _HEADER, end, path)
            at = _next_heap(file, max(end, at + _HEADER))


def _next_heap(file: IO[bytes], start: int) -> int:
    """Place of the first heap from `start` on, -1 for none; read piece by piece, for files larger than the memory."""
    while True:
        file.seek(start)
        piece = file.read(_PIECE + len(_HEAP) - 1)  # a heap's mark may lie across two pieces
        found = piece.find(_HEAP)
        if found >= 0 or len(piece) < _PIECE:
            return start + found if found >= 0 else -1
        start += _PIECE


def _check_heap(content: mmap.mmap, at: int, end: int, path: str) -> None:
    """Each object must end behind its beginning and within the heap. Object 0 is free space, its header counted."""
    while at + _HEADER <= end:
        size = int.from_bytes(content[at + 8 : at + _HEADER], "little")
        step = size if content[at : at + 2] == b"\0\0" else _HEADER + (size + 7) // 8 * 8
        if step < _HEADER or at + step > end:
            raise InputError(f"{path}: the heap of texts at byte {at} is damaged.")
        at += step
