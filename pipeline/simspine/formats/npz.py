"""NumPy's archives (.npz), also with dictionaries in them, which NumPy keeps as pickles.

A pickle may run any code when it is read. These are taken apart without any: arrays, numbers and texts in dictionaries
and lists are made here from what they say, and nothing else is let in.
"""

import io
import os
import pickle
import pickletools
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError, require_path
from simspine.formats.limits import DEPTH, check_announced

_PLAIN = re.compile(r"[<>|=]?([fiub]\d{1,2}|[SU]\d{1,4}|O8?)")  # types of numbers and texts
_PACKED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED  # what NumPy writes


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The arrays by name, only `names` if given; an object without axes, such as a dictionary, comes as itself.

    Raises `InputError` for a file that is missing or damaged, an array that is not there, one larger than the file can
    hold, and a pickle of other things.
    """
    require_path(path)
    try:
        with zipfile.ZipFile(path) as archive:
            there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            for name in names or ():
                if name not in there:
                    raise InputError(f"{path}: no array {name!r}; found {', '.join(there) or 'nothing'}.")
            members = {name: there[name] for name in names or there}
            check_announced(str(path), sum(info.file_size for info in members.values()), os.path.getsize(path))
            return {name: _array(archive, info) for name, info in members.items()}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except IsADirectoryError:
        raise InputError(f"{path}: a folder; expected an archive (.npz).") from None
    except InputError:
        raise
    except Exception as error:  # damaged archives end in many ways
        raise InputError(f"{path}: not a readable archive; cut short or damaged? ({error})") from None


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    if info.compress_type not in _PACKED:
        raise ValueError(f"{info.filename} is packed in a way that NumPy does not write")
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        shape, _, dtype = read_header(stream)
        if dtype.hasobject:
            content = _unpickled(stream.read())
            return content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    count = 1
    for length in shape:
        count *= length
    if min(shape, default=0) < 0 or count * dtype.itemsize > info.file_size:
        raise ValueError(f"{info.filename} announces the shape {shape}, more than is there")
    with archive.open(info) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _unpickled(content: bytes) -> Any:
    """What a pickle says, of the kinds that data sets hold."""
    for code, argument, position in pickletools.genops(content):
        if "PUT" in code.name and argument is not None and argument > len(content):
            raise pickle.UnpicklingError(f"a mark of {argument} at byte {position}, more than the file has bytes")
    return _plain(_Parts(io.BytesIO(content)).load(), 0, {})


class _Type:
    """In the place of a NumPy type: its code, and the order of its bytes, which comes later."""

    def __init__(self, code: str, *_: object):
        if isinstance(code, bytes):
            code = code.decode("ascii")
        if not _PLAIN.fullmatch(code):
            raise pickle.UnpicklingError(f"an array of the type {code!r}, expected numbers or texts")
        self.code, self.order = code.lstrip("<>|="), code[0] if code[0] in "<>" else "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.order + self.code)


class _Values:
    """In the place of a NumPy array: what the pickle says of it."""

    content: np.ndarray | list

    def __init__(self, *_: object):
        self.content, self.shape = [], ()

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, kind, fortran, content = state
        if not isinstance(kind, _Type):
            raise pickle.UnpicklingError("an array without a type")
        if kind.code[0] == "O":
            self.content = list(content)
        else:
            content = content.encode("latin-1") if isinstance(content, str) else content
            self.content = np.frombuffer(content, kind.dtype).reshape(self.shape, order="F" if fortran else "C")


def _buffered(content: bytes, kind: _Type, shape: tuple, order: str = "C") -> _Values:
    values = _Values()
    values.__setstate__((1, shape, kind, order == "F", content))
    return values


def _number(kind: _Type, content: bytes) -> Any:
    return np.frombuffer(content.encode("latin-1") if isinstance(content, str) else content, kind.dtype)[0]


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    return text.encode("latin-1" if encoding == "latin1" else "utf-8")


def _empty() -> bytes:
    """Older pickles call `bytes` for no bytes; with an argument it would make as many as one likes."""
    return b""


class _Parts(pickle.Unpickler):
    """Puts parts of ours in the places of NumPy's, and refuses everything else."""

    _PARTS = {
        ("numpy", "ndarray"): _Values, ("numpy", "dtype"): _Type, ("_codecs", "encode"): _encoded,
        ("__builtin__", "bytes"): _empty, ("builtins", "bytes"): _empty,
    } | {
        (f"numpy.{core}.{module}", name): part
        for core in ("core", "_core")
        for module, name, part in (
            ("multiarray", "_reconstruct", _Values), ("multiarray", "scalar", _number),
            ("numeric", "_frombuffer", _buffered),
        )
    }  # fmt: skip

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._PARTS:
            raise pickle.UnpicklingError(f"the file wants to run {module}.{name}, which no data set needs")
        return self._PARTS[module, name]


def _plain(item: Any, depth: int, known: dict[int, Any]) -> Any:
    """The item with arrays in the places of our parts. known: what was made of parts met before, by their identity."""
    if item is None or isinstance(item, bool | int | float | str | bytes | np.generic):
        return item
    if id(item) in known:
        return known[id(item)]
    if depth > DEPTH:
        raise pickle.UnpicklingError(f"more than {DEPTH} levels of dictionaries and lists")
    made: Any
    if isinstance(item, dict):
        made = {key: _plain(value, depth + 1, known) for key, value in item.items()}
    elif isinstance(item, list | tuple):
        made = type(item)(_plain(value, depth + 1, known) for value in item)
    elif isinstance(item, _Values) and isinstance(item.content, np.ndarray):
        made = item.content.copy()
    elif isinstance(item, _Values):
        made = np.empty(len(item.content), object)
        for i, value in enumerate(item.content):
            made[i] = _plain(value, depth + 1, known)
        made = made.reshape(item.shape)
    else:
        raise pickle.UnpicklingError(f"a {type(item).__name__}, expected arrays, numbers and texts")
    known[id(item)] = made
    return made
