"""Our own lossless container: cameras, keypoints, markers, motions, arrays and diagnostics in one HDF5 file.

Layout: docs/formats.md. Equal content gives equal bytes: no timestamps, order of creation, sorted JSON.
"""

import json
import os
from collections.abc import Collection, Iterable
from typing import Any

import h5py
import numpy as np

from simspine.errors import InputError, require_known
from simspine.formats.atomic import atomic_path
from simspine.formats.hdf5 import arrays_in, attribute, created, opened, put_text, values
from simspine.formats.versions import check_version
from simspine.types import Camera, Keypoints, Markers, Motion

SCHEMA = 4  # 1: texts of any length in the attributes; 2: cameras without a lens; 3: no origin `estimated`
_MARK = "simspine_schema"
_SMALL = 4096  # bytes; smaller arrays are neither chunked nor compressed

# Per type: fields kept as attributes, and arrays with their unit (None: texts or booleans). A None is left out.
_ATTRIBUTES: dict[type, tuple[str, ...]] = {
    Camera: ("name", "size", "lens"),
    Keypoints: ("rate",),
    Markers: ("rate", "frame", "start"),
    Motion: ("rate", "start"),
}
_ARRAYS: dict[type, dict[str, str | None]] = {
    Camera: {"K": "px", "distortion": "1", "R": "1", "t": "m"},
    Keypoints: {"names": None, "xy": "px", "confidence": "1", "origin": None},
    Markers: {"names": None, "xyz": "m", "weight": "1", "covariance": "m2", "origin": None, "filled": None},
    Motion: {"names": None, "values": "rad; m", "rotational": None, "deviation": "rad; m"},  # rad where rotational
}
_TYPES = {kind.__name__: kind for kind in _ARRAYS}


def save(path: str | os.PathLike, **items: Any) -> None:
    """Write the items under their names, atomically.

    An item is a `Camera`, `Keypoints`, `Markers`, `Motion`; an array of floats, integers, booleans or strings; anything
    JSON can say (NaN included); or a list or dictionary of such items.
    """
    with atomic_path(path) as temporary, created(temporary) as file:
        file.attrs[_MARK] = SCHEMA
        for name, item in items.items():
            _write(file, name, item, f"{path}: {name}")


def load(path: str | os.PathLike, names: Iterable[str] | None = None, without: Collection[str] = ()) -> dict[str, Any]:
    """What `save` wrote, by name; only `names` if given. without: entries of dictionaries to leave out, 'item/entry'.

    Raises `InputError` naming the file if it is missing, cut short, damaged, not ours, or from a newer schema.
    """
    with opened(path) as file:
        found = attribute(file, _MARK)
        if found is None:
            raise InputError(f"{path}: an HDF5 file, but not written by simspine (no attribute {_MARK}).")
        check_version(found, SCHEMA, path)
        require_known("item", names or (), file, str(path))
        skipped = {f"/{entry}" for entry in without}
        return {name: _read(file[name], skipped) for name in (file if names is None else names)}


def foreign_contents(path: str | os.PathLike) -> str | None:
    """What an HDF5 file that `save` did not write holds, in words; None for one that it did write."""
    with opened(path) as file:
        return arrays_in(file) if attribute(file, _MARK) is None else None


def _write(parent: h5py.Group, name: object, item: Any, where: str) -> None:
    if not isinstance(name, str) or "/" in name or name in ("", "."):
        raise InputError(f"{where}: {name!r} cannot name an item (not a text, empty, or with '/').")
    kind = type(item)
    if kind in _ARRAYS:
        group = parent.create_group(name, track_order=True)
        put_text(group, "type", kind.__name__)
        for key in _ATTRIBUTES[kind]:
            value = getattr(item, key)
            if isinstance(value, str):
                put_text(group, key, value)
            else:
                group.attrs[key] = value
        for key, unit in _ARRAYS[kind].items():
            if getattr(item, key) is not None:
                dataset = _write_array(group, key, np.asarray(getattr(item, key)), where)
                if unit:
                    put_text(dataset, "units", unit)
    elif isinstance(item, np.ndarray):
        put_text(_write_array(parent, name, item, where), "type", "array")
    elif (text := _json(item)) is not None:
        dataset = parent.create_dataset(name, data=np.bytes_(text.encode("ascii")))
        put_text(dataset, "type", "json")
    elif isinstance(item, list | tuple | dict):
        group = parent.create_group(name, track_order=True)
        put_text(group, "type", "dict" if isinstance(item, dict) else "list")
        entries: Iterable[tuple[object, Any]] = item.items() if isinstance(item, dict) else enumerate(item)
        for label, value in entries:
            _write(group, label if isinstance(item, dict) else str(label), value, f"{where}/{label}")
    else:
        raise InputError(f"{where}: cannot store a {kind.__name__}.")


def _write_array(parent: h5py.Group, name: str, array: np.ndarray, where: str) -> h5py.Dataset:
    if array.dtype.kind == "U":
        encoded = np.char.encode(array, "utf-8")
        dtype = h5py.string_dtype("utf-8", max(encoded.dtype.itemsize, 1))  # fixed length: no heap, equal bytes
        return parent.create_dataset(name, data=encoded.astype(dtype), dtype=dtype)
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"{where}: cannot store an array of {array.dtype}; floats, integers, booleans and texts can be."
        )
    if array.nbytes < _SMALL:
        return parent.create_dataset(name, data=array)
    return parent.create_dataset(name, data=array, compression="gzip", shuffle=True, fletcher32=True)


def _json(item: Any) -> str | None:
    """The item as JSON, None if it is more than JSON can say."""
    try:
        text = json.dumps(item, default=_plain)
    except (TypeError, ValueError):
        return None
    return text if _text_keys(item) else None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError


def _text_keys(item: Any) -> bool:
    """JSON would turn other keys into texts without a word."""
    if isinstance(item, dict):
        return all(isinstance(key, str) for key in item) and all(map(_text_keys, item.values()))
    return not isinstance(item, list | tuple) or all(map(_text_keys, item))


def _read(node: h5py.Group | h5py.Dataset, skipped: Collection[str] = ()) -> Any:
    tag = attribute(node, "type")
    if tag in _TYPES:
        kind = _TYPES[tag]
        found = {key: _read_attribute(attribute(node, key)) for key in _ATTRIBUTES[kind]}
        fields = {key: value for key, value in found.items() if value is not None or key != "lens"}  # schema 2 has none
        arrays = {key: _read_array(node[key]) for key in _ARRAYS[kind] if key in node}
        for array in arrays.values():
            array.setflags(write=False)  # so that the type keeps them, and does not copy them
        fields |= {key: tuple(a.tolist()) if a.dtype.kind == "U" else a for key, a in arrays.items()}
        return kind(**fields)
    if tag == "array":
        return _read_array(node)
    if tag == "json":
        return json.loads(bytes(values(node)))
    if tag == "dict":
        return {key: _read(child, skipped) for key, child in node.items() if child.name not in skipped}
    if tag == "list":
        return [_read(child, skipped) for child in node.values()]
    raise InputError(f"{node.file.filename}: {node.name} is of the unknown type {tag!r}.")


def _read_array(dataset: h5py.Dataset) -> np.ndarray:
    if h5py.check_string_dtype(dataset.dtype):
        return np.char.decode(np.asarray(values(dataset), dtype=f"S{dataset.dtype.itemsize}"), "utf-8")
    return np.asarray(values(dataset))


def _read_attribute(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
