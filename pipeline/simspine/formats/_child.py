"""The child of `guarded`: reads files with a library of others and leaves plain arrays. Imports what it needs."""

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from simspine.errors import InputError

REFUSED = 2  # exit code beside a message for the user
_ROOM = 512 << 20  # bytes of address space for Python and the libraries, which take 120 MB before a file is opened


def main() -> None:
    """Arguments: kind of file, the .npz to write, bytes of memory, seconds, the files. On failure a line on stderr,
    code 1."""
    kind, out, memory, seconds, *paths = sys.argv[1:]
    try:
        readers: dict[str, Callable[..., tuple[dict[str, np.ndarray], dict[str, Any]]]]
        readers = {"C3D": _c3d, "netCDF": _netcdf, "CDF": _cdf}
        _limit(int(memory), int(seconds))
        arrays, said = readers[kind](*paths)
        text = np.frombuffer(json.dumps(said).encode(), np.uint8)
        np.savez(out, said=text, **arrays)  # type: ignore[arg-type]
    except InputError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        sys.exit(REFUSED)
    except Exception as error:  # damaged files end in many ways
        print(_reason(error), file=sys.stderr)
        sys.exit(1)


def _reason(error: Exception) -> str:
    """The library's words; behind the name of the error's kind only where they are none, or one: KeyError: 'LABELS'."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    return text if " " in text else f"{type(error).__name__}: {text}".rstrip(": ")


def _limit(memory: int, seconds: int) -> None:
    """Bound memory, core files and time of the processor where the system can (not on Windows).

    The parent looks at the clock as well; but a parent may be killed, and its child must end all the same.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_AS, (_ROOM + memory, _ROOM + memory))


def _c3d(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """points (4, points, frames), residuals (1, points, frames); header and parameters as ezc3d has them."""
    import ezc3d

    file = ezc3d.c3d(path)
    parameters = {
        group: {
            name: {"value": _plain(entry["value"])}
            for name, entry in entries.items()
            if isinstance(entry, dict) and "value" in entry
        }
        for group, entries in file["parameters"].items()
    }
    header = {
        group: {key: _plain(value) for key, value in entries.items()} for group, entries in file["header"].items()
    }
    arrays = {"points": file["data"]["points"], "residuals": file["data"]["meta_points"]["residuals"]}
    return arrays, {"parameters": parameters, "header": header}


def _netcdf(path: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """position, time, and the names and attributes that a file of pose tracks has."""
    import h5netcdf

    from simspine.formats.hdf5 import check_heaps, opened

    with opened(path):
        check_heaps(path)
    with h5netcdf.File(path, "r") as file:
        arrays = {name: np.asarray(file.variables[name][...], float) for name in ("position", "time")}
        names = [text.decode() if isinstance(text, bytes) else str(text) for text in file.variables["keypoints"][...]]
        attributes = {key: _plain(value) for key, value in file.attrs.items()}
        dims = list(file.variables["position"].dimensions)
    return arrays, {"keypoints": names, "dims": dims, "attributes": attributes}


def _cdf(*paths: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The variable `Pose` of each file, under the file's number."""
    poses = {}
    for number, path in enumerate(paths):
        try:
            poses[str(number)] = _pose(path)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        except Exception as error:  # damaged files end in many ways
            raise InputError(
                f"{path}: not a readable CDF file ({_reason(error)}). It may be cut short: unpack the archive again."
            ) from None
    return poses, {}


def _pose(path: str) -> np.ndarray:
    import cdflib

    file = cdflib.CDF(Path(path))
    _check_length(file)
    names = [*file.cdf_info().rVariables, *file.cdf_info().zVariables]
    if "Pose" not in names:
        raise InputError(f"no variable 'Pose' in the file; found {', '.join(names) or 'none'}.")
    values = file.varget("Pose")
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        raise ValueError("its variable 'Pose' holds no numbers")
    return values.astype(float)


def _check_length(file: Any) -> None:
    """cdflib reads zeros beyond the end of a file that was cut short; the end stands in the file's second record."""
    content, width = Path(file.file).read_bytes(), 8 if file.cdfversion == 3 else 4
    start = int.from_bytes(content[12 + width : 12 + 2 * width], "big")
    end = int.from_bytes(content[start + 4 + 4 * width : start + 4 + 5 * width], "big")
    if max(start, end) > len(content):
        raise ValueError(f"{len(content)} of {max(start, end)} bytes are there")


def _plain(value: Any) -> Any:
    """What JSON can say."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
