"""HDF5: foreign files opened safely, new files written safely, and simspine's own lossless container.

HDF5 can keep numbers in other files (external storage, virtual data sets, links), announce arrays of any size, and
nest groups without end. Its library loops for ever in a damaged heap of texts, and makes room for any length that a
text states, so a child process reads texts first.
The container holds cameras, keypoints, markers, motions, arrays and diagnostics (layout: docs/formats.md). Equal
content gives equal bytes: no timestamps, order of creation, sorted JSON.
"""

import io
import json
import math
import os
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import h5py
import numpy as np

from simspine.core.errors import InputError, file_version, reason_of, require_file, require_known
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.io import atomic
from simspine.io.atomic import atomic_path, check_announced_bytes
from simspine.io.guarded import read_guarded

_KNOWN_FILTERS = {1, 2, 3, 32000}  # gzip, shuffle, Fletcher-32, LZF
_CHECKSUM_BYTES = 4  # bytes that Fletcher-32 adds


def open_hdf5_file(path: str | os.PathLike, **options: Any) -> h5py.File:
    """An HDF5 file for reading. Raises `InputError` naming it if it is missing, a folder, or not HDF5."""
    require_file(path)
    try:
        return h5py.File(path, "r", **options)
    except Exception as error:
        raise damaged_error(path, error) from None


@contextmanager
def open_checked(path: str | os.PathLike) -> Iterator[h5py.File]:
    """A file whose whole tree is checked, closed after the block; errors in the block become `InputError` naming it."""
    file = open_hdf5_file(path)
    try:
        check_hdf5_tree(file)
        yield file
    except Exception as error:  # damaged files end in many ways
        raise damaged_error(path, error) from None
    finally:
        file.close()


def damaged_error(where: str | os.PathLike, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error if str(where).partition(": ")[0] in str(error) else InputError(f"{where}: {error}")
    return InputError(f"{where}: cannot be read as HDF5; cut short or damaged? ({reason_of(error)})")


def checked_member(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset:
    """A group's entry; `InputError` if it is a link to another place or another file."""
    *above, last = name.split("/")
    for part in above:
        group = checked_member(group, part)
    if not isinstance(group.get(last, getlink=True), h5py.HardLink):
        place = f"{group.file.filename}: {group.name.rstrip('/')}/{last}"
        raise InputError(f"{place} is a link, which may lead to any file. Copy its target into the file (h5copy).")
    return group[last]


def check_hdf5_tree(top: h5py.Group) -> None:
    """Raise `InputError` unless everything below a group lies in its file and is no larger than the file can hold."""
    path = top.file.filename
    total = count = 0
    waiting: list[tuple[h5py.Group, int]] = [(top, 0)]
    while waiting:
        group, depth = waiting.pop()
        for name in group:
            item = checked_member(group, name)
            count += 1
            if count > atomic.MAX_HDF5_ENTRIES or depth > atomic.MAX_GROUP_DEPTH:
                most = f"{atomic.MAX_HDF5_ENTRIES:,} entries or {atomic.MAX_GROUP_DEPTH} levels"
                raise InputError(f"{path}: more than {most}; does a group hold itself?")
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                total += announced_bytes(item)
    check_announced_bytes(path, total, os.path.getsize(path))


def announced_bytes(data: h5py.Dataset) -> int:
    """Bytes that an array announces. Raises `InputError` if they are in another file or shared with another array, or
    its chunks are damaged."""
    if h5py.h5o.get_info(data.id).rc > 1:
        raise InputError(f"{data.file.filename}: {data.name} is the same as another array (a link). Copy it (h5copy).")
    if data.is_virtual or data.external:
        raise InputError(f"{data.file.filename}: {data.name} has its numbers in another file. Make it one (h5repack).")
    _check_chunks(data)
    if data.dtype.hasobject:  # texts of any length may all be the same one, as long as the file
        return data.size * os.path.getsize(data.file.filename)
    return atomic.shape_bytes(data)


def _check_chunks(data: h5py.Dataset) -> None:
    """Raise `InputError` where a chunk of an array has a filter or a size that the library's filters cannot read."""
    if data.chunks is None:
        return
    properties = data.id.get_create_plist()
    filters = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    if foreign := set(filters) - _KNOWN_FILTERS:
        raise InputError(f"{data.file.filename}: {data.name} has unknown filters {foreign}. Use h5repack -f GZIP=4.")
    file_bytes = os.path.getsize(data.file.filename)
    most = 1024 + 1.01 * math.prod(data.chunks) * data.dtype.itemsize  # incompressible data grow a little
    least = _CHECKSUM_BYTES + 1 if h5py.h5z.FILTER_FLETCHER32 in filters else 1

    def damaged_piece(piece: Any) -> bool | None:
        return True if not least <= piece.size <= most or piece.byte_offset + piece.size > file_bytes else None

    if data.id.chunk_iter(damaged_piece):
        raise InputError(f"{data.file.filename}: a piece of {data.name} has an impossible size; damaged?")


def checked_values(data: h5py.Dataset) -> np.ndarray:
    """An array after the checks that the library leaves out."""
    path = data.file.filename
    check_announced_bytes(f"{path}: {data.name}", announced_bytes(data), os.path.getsize(path))
    if data.dtype.hasobject:
        check_texts(path)
    return data[()]


def checked_attribute(node: h5py.Group | h5py.Dataset, name: str, default: Any = None) -> Any:
    if name not in node.attrs:
        return default
    stored = node.attrs.get_id(name)
    if math.prod(stored.shape) * stored.dtype.itemsize > atomic.MAX_ATTRIBUTE_BYTES:
        raise InputError(f"{node.file.filename}: attribute {name!r} of {node.name} is larger than attributes can be.")
    kind = stored.get_type()
    if kind.get_class() == h5py.h5t.VLEN or (isinstance(kind, h5py.h5t.TypeStringID) and kind.is_variable_str()):
        check_texts(node.file.filename)
        size = os.path.getsize(node.file.filename)  # of each text, at most
        check_announced_bytes(f"{node.file.filename}: {name}", math.prod(stored.shape) * size, size)
    found = node.attrs[name]
    return found.decode("utf-8") if isinstance(found, bytes) else found


class _Output(io.FileIO):
    """The file that HDF5 writes to. After an error of the disk, which would end the process, data are discarded."""

    error: OSError | None = None

    def write(self, content: Any, /) -> int:
        rest = memoryview(content)
        try:
            while rest and self.error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = error
        return len(content)

    def truncate(self, size: int | None = None, /) -> int:
        try:
            return super().truncate(size) if self.error is None else size or 0
        except OSError as error:
            self.error = error
            return size or 0


@contextmanager
def create_file(path: str | os.PathLike) -> Iterator[h5py.File]:
    """A new HDF5 file, written as it grows. Raises the system's `OSError`, also at the end if the disk was full."""
    with _Output(path, "w+") as output:
        try:
            with h5py.File(output, "w", track_order=True) as made:
                yield made
        finally:
            if output.error is not None:
                raise output.error


def put_text(node: h5py.Group | h5py.Dataset, name: str, text: str) -> None:
    """Write a text attribute of fixed length, which needs no heap (see `check_texts`)."""
    content = text.encode("utf-8")
    node.attrs.create(name, np.bytes_(content), dtype=h5py.string_dtype("utf-8", max(len(content), 1)))


def check_texts(path: str | os.PathLike) -> None:
    """Raise `InputError` if the library finds no end of a text of any length, or no room. Caches unchanged files."""
    _check_texts(os.fspath(path), *file_version(path))


@lru_cache(maxsize=64)
def _check_texts(path: str, *_: int) -> None:
    read_guarded("HDF5", path)


STORE_SCHEMA = 4  # 1: texts of any length in the attributes; 2: cameras without a lens; 3: no origin `estimated`
_SCHEMA_ATTRIBUTE = "simspine_schema"
_MIN_CHECKED_BYTES = 4096  # smaller arrays have no checksum, which would need chunks

# Per type: fields kept as attributes, and arrays with their unit (None: texts or booleans). A None is left out.
_ATTRIBUTES_OF_TYPE: dict[type, tuple[str, ...]] = {
    Camera: ("name", "size", "lens"),
    Keypoints: ("rate",),
    Markers: ("rate", "frame", "start"),
    Motion: ("rate", "start"),
}
_ARRAYS_OF_TYPE: dict[type, dict[str, str | None]] = {
    Camera: {"K": "px", "distortion": "1", "R": "1", "t": "m"},
    Keypoints: {"names": None, "xy": "px", "confidence": "1", "origin": None},
    Markers: {"names": None, "xyz": "m", "weight": "1", "covariance": "m2", "origin": None, "filled": None},
    Motion: {"names": None, "values": "rad; m", "rotational": None, "deviation": "rad; m"},  # rad where rotational
}
_TYPES_BY_NAME = {kind.__name__: kind for kind in _ARRAYS_OF_TYPE}


def write_store(path: str | os.PathLike, **items: Any) -> None:
    """Write the items under their names: `Camera`, `Keypoints`, `Markers`, `Motion`, arrays of numbers or texts,
    values that JSON can hold, lists and dictionaries of such items."""
    with atomic_path(path) as temporary, create_file(temporary) as file:
        file.attrs[_SCHEMA_ATTRIBUTE] = STORE_SCHEMA
        for name, item in items.items():
            _write_item(file, name, item, f"{path}: {name}")


def read_store(
    path: str | os.PathLike, names: Iterable[str] | None = None, without: Collection[str] = ()
) -> dict[str, Any]:
    """Items of `write_store` by name, only `names` if given; without: 'item/entry' of dictionaries to leave out."""
    with open_checked(path) as file:
        found = checked_attribute(file, _SCHEMA_ATTRIBUTE)
        if found is None:
            raise InputError(f"{path}: an HDF5 file, but not written by simspine (no attribute {_SCHEMA_ATTRIBUTE}).")
        atomic.check_version(found, STORE_SCHEMA, path)
        require_known("item", names or (), file, str(path))
        skipped = {f"/{entry}" for entry in without}
        return {name: _read_item(file[name], skipped) for name in (file if names is None else names)}


def _write_item(parent: h5py.Group, name: object, item: Any, where: str) -> None:
    if not isinstance(name, str) or "/" in name or name in ("", "."):
        raise InputError(f"{where}: {name!r} cannot name an item (not a text, empty, or with '/').")
    kind = type(item)
    if kind in _ARRAYS_OF_TYPE:
        group = parent.create_group(name, track_order=True)
        put_text(group, "type", kind.__name__)
        for key in _ATTRIBUTES_OF_TYPE[kind]:
            value = getattr(item, key)
            if isinstance(value, str):
                put_text(group, key, value)
            else:
                group.attrs[key] = value
        for key, unit in _ARRAYS_OF_TYPE[kind].items():
            if getattr(item, key) is not None:
                dataset = _write_array(group, key, np.asarray(getattr(item, key)), where)
                if unit:
                    put_text(dataset, "units", unit)
    elif isinstance(item, np.ndarray):
        put_text(_write_array(parent, name, item, where), "type", "array")
    elif (text := _json_or_none(item)) is not None:
        dataset = parent.create_dataset(name, data=np.bytes_(text.encode("ascii")))
        put_text(dataset, "type", "json")
    elif isinstance(item, list | tuple | dict):
        group = parent.create_group(name, track_order=True)
        put_text(group, "type", "dict" if isinstance(item, dict) else "list")
        entries: Iterable[tuple[object, Any]] = item.items() if isinstance(item, dict) else enumerate(item)
        for label, value in entries:
            _write_item(group, label if isinstance(item, dict) else str(label), value, f"{where}/{label}")
    else:
        raise InputError(f"{where}: cannot store a {kind.__name__}.")


def _write_array(parent: h5py.Group, name: str, array: np.ndarray, where: str) -> h5py.Dataset:
    if array.dtype.kind == "U":
        encoded = np.char.encode(array, "utf-8")
        dtype = h5py.string_dtype("utf-8", max(encoded.dtype.itemsize, 1))  # fixed length: no heap, equal bytes
        return parent.create_dataset(name, data=encoded.astype(dtype), dtype=dtype)
    if array.dtype.kind not in "fiub":
        raise InputError(f"{where}: an array of {array.dtype}; expected floats, integers, booleans or texts.")
    if array.nbytes < _MIN_CHECKED_BYTES:
        return parent.create_dataset(name, data=array)
    # Compressed, motion is a quarter smaller, but takes five times as long to write and thrice as long to read.
    return parent.create_dataset(name, data=array, fletcher32=True)


def _json_or_none(item: Any) -> str | None:
    try:
        text = json.dumps(item, default=np.generic.item)
    except (TypeError, ValueError):
        return None
    return text if _has_text_keys(item) else None


def _has_text_keys(item: Any) -> bool:
    """Whether all keys are texts; JSON would turn other keys into texts silently."""
    if isinstance(item, dict):
        return all(isinstance(key, str) for key in item) and all(map(_has_text_keys, item.values()))
    return not isinstance(item, list | tuple) or all(map(_has_text_keys, item))


def _read_item(node: h5py.Group | h5py.Dataset, skipped: Collection[str] = ()) -> Any:
    tag = checked_attribute(node, "type")
    if tag in _TYPES_BY_NAME:
        kind = _TYPES_BY_NAME[tag]
        stored = {key: np.asarray(checked_attribute(node, key)).tolist() for key in _ATTRIBUTES_OF_TYPE[kind]}
        fields = {key: value for key, value in stored.items() if value is not None or key != "lens"}  # not in schema 2
        arrays = {key: _read_array(node[key]) for key in _ARRAYS_OF_TYPE[kind] if key in node}
        for array in arrays.values():
            array.setflags(write=False)  # so that the type keeps them, and does not copy them
        fields |= {key: tuple(a.tolist()) if a.dtype.kind == "U" else a for key, a in arrays.items()}
        return kind(**fields)
    if tag == "array":
        return _read_array(node)
    if tag == "json":
        return json.loads(bytes(checked_values(node)))
    if tag == "dict":
        return {key: _read_item(child, skipped) for key, child in node.items() if child.name not in skipped}
    if tag == "list":
        return [_read_item(child, skipped) for child in node.values()]
    raise InputError(f"{node.file.filename}: {node.name} is of the unknown type {tag!r}.")


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    if h5py.check_string_dtype(dataset.dtype):
        return np.char.decode(np.asarray(checked_values(dataset), dtype=f"S{dataset.dtype.itemsize}"), "utf-8")
    return np.asarray(checked_values(dataset))
