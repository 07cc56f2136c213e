"""NumPy's archives (.npz), also with dictionaries in them, which NumPy keeps as pickles.

A pickle may run any code when it is read. Only NumPy arrays, numbers and texts in dictionaries and lists are let in.
"""

import pickle
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError


def read_npz(path: Path, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The arrays by name, only `names` if given; an object without axes, such as a dictionary, comes as itself.

    Raises `InputError` for a file that is missing or damaged, an array that is not there, and a pickle of other things.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            there = [name.removesuffix(".npy") for name in archive.namelist()]
            for name in names or ():
                if name not in there:
                    raise InputError(f"{path}: no array {name!r}; found {', '.join(there) or 'nothing'}.")
            return {name: _array(archive, f"{name}.npy") for name in names or there}
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except InputError:
        raise
    except Exception as error:  # damaged archives end in many ways
        raise InputError(f"{path}: not a readable archive; cut short or damaged? ({error})") from None


def _array(archive: zipfile.ZipFile, member: str) -> Any:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}[version[0]]
        _, _, dtype = read_header(stream)
        if dtype.hasobject:
            content = _ArraysOnly(stream).load()
            return content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


class _ArraysOnly(pickle.Unpickler):
    """Refuses everything but what NumPy arrays are pickled with."""

    _ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")} | {
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"the file wants to run {module}.{name}, which no data set needs")
        return super().find_class(module, name)
