"""OpenSim storage files (.sto, and the table inside a .mot): a header up to `endheader`, labels, rows.

Layout: OpenSim 4 (`version=1`), as its STOFileAdapter and Storage read and write it.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from simspine.errors import InputError
from simspine.formats import _text
from simspine.formats.atomic import write_lines

SIMM_KEYS = {"datacolumns", "datarows"}  # of the older header without "=", whose angles are degrees
_BLANK = " \t,;"  # a spreadsheet pads the lines of the header with separators


@dataclass(frozen=True, eq=False)
class StorageTable:
    """Columns over time, in the units of the file.

    values: (rows, columns) without the time; NaN where a cell is blank. time: (rows,) s. in_degrees: what the header
    says, None where it does not. header: every `key=value` of the header, and SIMM's counts. step: s, rounding of the
    printed times.
    """

    title: str
    names: tuple[str, ...]
    time: np.ndarray
    values: np.ndarray
    in_degrees: bool | None
    header: dict[str, str] = field(default_factory=dict)
    step: float = 0.0


def read_sto(path: str | os.PathLike) -> StorageTable:
    """Read a storage file without converting anything.

    Accepted: tabs, spaces, commas or semicolons between the cells; decimal commas; any line ends; UTF-8, UTF-16 and
    Windows-1252. Wrong nRows and nColumns, columns without a name and exact repetitions of a column (left out) are
    reported as warnings.

    Raises `InputError` for a file without `endheader`, labels or rows, for rows of wrong length, and for columns of the
    same name that differ.
    """
    lines = _text.read_lines(path)
    end = next((i for i, (_, line) in enumerate(lines) if line.strip(_BLANK).lower() == "endheader"), None)
    if end is None:
        raise InputError(f"{path}: not an OpenSim storage file (.mot, .sto): no line 'endheader'.")
    header = {}
    for _, line in lines[:end]:
        key, equals, value = line.strip(_BLANK).partition("=" if "=" in line else " ")
        if equals and (" " not in key.strip() if "=" in line else key in SIMM_KEYS):
            header[key.strip()] = value.strip()
    if len(lines) == end + 1:
        raise InputError(f"{path}: nothing after 'endheader'; expected a row of labels.")
    n, row = lines[end + 1]
    labels = _labels(row, [line for _, line in lines[end + 2 : end + 3]])
    if labels[0].lower() != "time":
        raise InputError(f"{path}, line {n}: the first column is {labels[0]!r}, expected 'time'.")
    if len(lines) == end + 2:
        raise InputError(f"{path}: labels but no rows.")
    rows = _text.table(lines[end + 2 :], row, len(labels), 0, path, " as in the row of labels.")
    names, values = _text.named(labels[1:], rows.values, "column", f"{path}, line {n}")
    for key, found in (("nRows", len(values)), ("nColumns", len(labels))):
        if header.get(key, str(found)) != str(found):
            _text.notice(f"{path}: the header says {key}={header[key]}, the file holds {found}.")
    flag = header.get("inDegrees", "").lower()
    title = "" if "=" in lines[0][1] or end == 0 else lines[0][1].strip(_BLANK)
    in_degrees = {"yes": True, "no": False}.get(flag)
    return StorageTable(title, names, rows.time, values, in_degrees, header, rows.step)


def _labels(row: str, first: list[str]) -> list[str]:
    """Names of the columns, '' for one without; `first` holds the first row below, if there is one."""
    mark = _text.separator(row)
    labels = _text.cells(row.rstrip(_BLANK), mark)
    filled = [label for label in labels if label]
    return filled if any(len(_text.cells(line, mark)) == len(filled) for line in first) else labels


def write_sto(
    path: str | os.PathLike,
    title: str,
    names: tuple[str, ...],
    time: np.ndarray,
    values: np.ndarray,
    in_degrees: bool = False,
    header: dict[str, str] | None = None,
) -> None:
    """Write a storage file. values: (rows, columns) in the units the header states; NaN is written as NaN.

    header: further `key=value` lines; OpenSim keeps them as metadata.
    """
    values, time = np.asarray(values, float), np.asarray(time, float)
    if values.shape != (len(time), len(names)) or not values.size:
        raise InputError(
            f"{path}: values have shape {values.shape}, expected ({len(time)} times, {len(names)} names) and not empty."
        )
    for name in names:
        if not name or any(c.isspace() for c in name):
            raise InputError(f"{path}: column name {name!r} cannot stand in a storage file (empty, or with blanks).")
    lines = [title, "version=1", f"nRows={len(time)}", f"nColumns={len(names) + 1}"]
    lines.append(f"inDegrees={'yes' if in_degrees else 'no'}")
    lines += [f"{key}={value}" for key, value in (header or {}).items()]
    lines += ["endheader", "\t".join(("time", *names))]
    write_lines(path, chain(lines, _rows(time, values)))


def _rows(time: np.ndarray, values: np.ndarray) -> Iterator[str]:
    """One after another: as Python's own floats the numbers of a long trial would take four times their memory."""
    for t, row in zip(time.tolist(), values, strict=True):
        yield f"{t:.9f}\t" + "\t".join("NaN" if v != v else f"{v:.12f}" for v in (row + 0.0).tolist())


def write_marker_errors(path: str | os.PathLike, time: np.ndarray, error: np.ndarray) -> None:
    """Write `_ik_marker_errors.sto` as OpenSim's InverseKinematicsTool lays it out.

    error: (frames, markers) m, distance of each model marker to its target, NaN = no target (left out). Columns: sum of
    the squared distances in m², unweighted; root of their mean in m; greatest distance in m. NaN without any marker.
    OpenSim divides the sum by all markers, also those without target in the frame; we divide by those that have one.
    """
    error = np.asarray(error, float)
    present = np.isfinite(error)
    squared = np.where(present, error, 0.0) ** 2
    count = present.sum(1)
    total = np.where(count > 0, squared.sum(1), np.nan)
    rms = np.sqrt(total / np.maximum(count, 1))
    greatest = np.where(count > 0, np.sqrt(squared.max(1, initial=0.0)), np.nan)
    names = ("total_squared_error", "marker_error_RMS", "marker_error_max")
    write_sto(path, "Model Marker Errors from IK", names, time, np.stack([total, rms, greatest], 1))
