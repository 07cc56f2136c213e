"""TRC marker files: tolerant reading, strict writing.

Layout: SIMM/OpenSim (five header lines, a blank line or none, then frame number, time and X Y Z of each marker).
"""

import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.types import Markers
from simspine.io import text_tables
from simspine.io.atomic import write_lines
from simspine.io.text_tables import StatedRate, uniform_rows

TRC_UNITS = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "dm": 0.1, "in": 0.0254, "ft": 0.3048}
_RARE_UNITS = {"um": 1e-6, "µm": 1e-6, "km": 1e3, "yd": 0.9144}  # read where a file names them, never guessed
_UNIT_SPELLINGS = {"inch": "in", "inche": "in", '"': "in", "foot": "ft", "feet": "ft", "'": "ft", "yard": "yd"}
_UNIT_SPELLINGS |= {
    prefix + metre: short
    for prefix, short in (("", "m"), ("milli", "mm"), ("centi", "cm"), ("deci", "dm"), ("micro", "um"), ("kilo", "km"))
    for metre in ("meter", "metre")
}
PLAUSIBLE_TRC_EXTENTS_M = (0.05, 10.0)  # m, extent of a person in a frame: outside, the unit is wrong
_USUAL_EXTENTS_M = (0.25, 3.0)  # m, of six markers and more: outside, a warning
_SMALL_EXTENT_M = 0.75  # m, of six markers and more: a warning where another unit makes it a standing person
_LEAST_PLACEHOLDER, _FARTHEST = 900.0, 1e9  # in a file's unit: x = y = z from here on, any coordinate beyond
_MANY_MARKERS = 6
_EXPECTED_COLUMNS_TEXT = (
    " (frame, time and 3 for each of {} markers). Is the row cut short, or a name missing in its header?"
)
# m, decide between readings that are all plausible; within the second there is one unit at most.
TYPICAL_EXTENTS_M, STANDING_EXTENTS_M = (0.4, 3.0), (0.9, 2.28)
_HEADER_KEYS = ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
         "OrigNumFrames")  # fmt: skip


def read_trc(
    path: str | os.PathLike, frame: str = "y_up", rate: float | None = None, resample: float | None = None
) -> Markers:
    """Read marker trajectories, in metres whatever unit the header claims.

    Tabs, spaces, commas or semicolons; decimal commas; a blank line and a row X1 Y1 Z1 or none; UTF-8, UTF-16 and
    Windows-1252; frame numbers from anywhere; blank and NaN cells (missing). A coordinate of 0 is data; a point at
    0 0 0 counts as missing, with a warning. What contradicts the data is corrected with a warning: counts, a rate, a
    unit (released SIMSPINE files say mm and hold metres). Points without a name and repetitions of a marker are left
    out with a warning.

    Parameters
    ----------
    path : path
    frame : str
        Frame of the file's coordinates: 'y_up' (OpenSim, the usual) or 'z_up'.
    rate : float, optional
        Frames/s, where neither header nor Time column say it. A single frame of unknown rate counts as 60.
    resample : float, optional
        Frames/s to interpolate at linearly, for a Time column of varying step; points next to a missing one stay
        missing.

    Returns
    -------
    Markers
        m, in `frame`.

    Raises
    ------
    InputError
        For a file that is empty or not TRC, rows of wrong length, text among numbers, no markers or different ones of
        one name, and a Time column that is not uniform.

    Examples
    --------
    >>> knee = ss.Markers(["LKnee"], rate=60, xyz=np.full((5, 1, 3), 0.5), frame="y_up")
    >>> ss.write_trc("walk.trc", knee)
    >>> ss.read_trc("walk.trc").xyz.shape
    (5, 1, 3)
    """
    lines = text_tables.read_lines(path)
    first = lines[0][1]
    if not first.lstrip().lower().startswith("pathfiletype"):
        raise InputError(f"{path}: not a TRC file; its first line should start with PathFileType, not {first[:30]!r}.")
    if len(lines) < 4:
        raise InputError(f"{path}: the header ends after line {lines[-1][0]}; a TRC file has five header lines.")
    mark = text_tables.cell_separator(lines[1][1]) or "\t"
    header = dict(zip(*(text_tables.split_cells(line, mark) for _, line in lines[1:3]), strict=False))
    names = _marker_names(*lines[3], path)
    rows = lines[4:]
    if len(lines) > 4 and _is_row_of_axes(lines[4][1]):
        rows = lines[5:]
        axes = re.findall(r"\b[XYZ]\d*\b", lines[4][1], re.IGNORECASE)
        if any(axis[0].upper() != "XYZ"[place % 3] for place, axis in enumerate(axes)):
            raise InputError(
                f"{path}, line {lines[4][0]}: the axes are {' '.join(axes[:3])} …, expected X Y Z. Reorder the columns."
            )
    if not rows:
        raise InputError(f"{path}: a header without data; no row after line {lines[-1][0]}.")
    found = text_tables.parse_table(
        rows, lines[3][1], 2 + 3 * len(names), time=1, path=path, expected=_EXPECTED_COLUMNS_TEXT.format(len(names))
    )
    for key, count in (("NumMarkers", len(names)), ("NumFrames", len(rows))):
        if text_tables.positive_number(header.get(key)) != count:
            text_tables.warn_assumed(
                f"{path}: the header says {key} {header.get(key, 'nothing')}, the file holds {count}."
            )
    said = text_tables.positive_number(header.get("DataRate"))
    if said is None and rate is None and len(rows) > 1:
        text_tables.warn_assumed(
            f"{path}: the header's DataRate is {header.get('DataRate') or 'missing'}, expected frames per second; the "
            "Time column tells them."
        )
    found, rate = uniform_rows(found, StatedRate(said, rate, resample), str(path))
    xyz = _whole_points(found.values[:, 1:].reshape(len(found.time), -1, 3), path)
    names, xyz = text_tables.named_columns(names, xyz, "marker", f"{path}, line {lines[3][0]}")
    xyz = xyz * metres_per_unit(xyz, header.get("Units", ""), path)
    return Markers(names, rate, xyz, frame, start=float(found.time[0]))


def write_trc(path: str | os.PathLike, markers: Markers) -> None:
    """Write marker trajectories as strict TRC: metres, y up, tabs, frame numbers from 1.

    Weight, covariance, origin and `filled` have no place in TRC. Missing points are NaN: both readers of OpenSim 4.6
    take that, while blank cells at the end of a row make its TRCFileAdapter fail.

    Parameters
    ----------
    path : path
    markers : Markers
        Of frame z_up they are turned to y_up, since TRC has no field for the frame.

    Raises
    ------
    InputError
        For no markers, no frames, or a name that cannot stand in the file.
    """
    if not (markers.frames and markers.names):
        raise InputError(f"{path}: nothing to write, {markers.frames} frames of {len(markers.names)} markers.")
    for name in markers.names:
        if not name or name != name.strip() or any(c in name for c in "\t\r\n"):
            raise InputError(f"{path}: marker name {name!r} cannot stand in a TRC file (empty, tabs, outer blanks).")
    rate, frames, count = repr(markers.rate), markers.frames, len(markers.names)
    xyz = change_frame(markers.xyz, markers.frame, "y_up")
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "\t".join(_HEADER_KEYS),
        "\t".join([rate, rate, str(frames), str(count), "m", rate, "1", str(frames)]),
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in markers.names).removesuffix("\t"),
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, count + 1) for axis in "XYZ"),
    ]
    write_lines(path, chain(lines, _trc_rows(markers.time, xyz, markers.present)))


def _trc_rows(time: np.ndarray, xyz: np.ndarray, present: np.ndarray) -> Iterator[str]:
    """Lines of the table, one after another."""
    line = "%d\t%.9f" + "\t%.8f" * (3 * xyz.shape[1])
    for i, (t, points, there) in enumerate(zip(time, xyz, present, strict=True), 1):
        row = np.where(there[:, None], points.round(8), np.nan) + 0.0  # + 0.0: no "-0.00000000"
        yield (line % (i, t, *row.ravel().tolist())).replace("nan", "NaN")


def _marker_names(n: int, line: str, path) -> tuple[str, ...]:
    """A name for each point of the rows, '' for one without."""
    mark = text_tables.cell_separator(line)
    cells = text_tables.split_cells(line, mark)
    if len(cells) < 2 or not cells[0].lower().startswith("frame"):
        raise InputError(f"{path}, line {n}: expected 'Frame#', 'Time' and the marker names, found {line[:40]!r}.")
    filled = [i for i, name in enumerate(cells) if name and i >= 2]
    if not filled:
        raise InputError(f"{path}, line {n}: no marker names.")
    if mark and all(i % 3 == 2 for i in filled):  # each name above its X
        return tuple(cells[2 : filled[-1] + 1 : 3])
    return tuple(cells[i] for i in filled)


def _is_row_of_axes(line: str) -> bool:
    """Whether the line is X1 Y1 Z1 … or the like: no cell of it is a number."""
    return not any(
        text_tables.positive_number(cell) or re.fullmatch(r"-?[0.]+", cell) for cell in re.split(r"[\s,;]+", line)
    )


def _whole_points(xyz: np.ndarray, path) -> np.ndarray:
    missing = np.isnan(xyz).any(-1, keepdims=True)
    incomplete = int((missing & ~np.isnan(xyz).all(-1, keepdims=True)).sum())
    if incomplete:
        text_tables.warn_assumed(f"{path}: {incomplete} points lack one or two of their coordinates; taken as missing.")
    return without_placeholders(np.where(missing, np.nan, xyz), path)


def without_placeholders(xyz: np.ndarray, path) -> np.ndarray:
    """Points (frames, points, 3) where many programs put hidden markers, as missing: a warning.

    These are 0 0 0, −1 −1 −1, 9999 9999 9999 and the like, and numbers beyond all lengths (Optotrak's −3.7e28).
    """
    with np.errstate(invalid="ignore"):
        size = np.abs(xyz)
        equal = (xyz == xyz[..., :1]).all(-1)
        hidden = equal & (np.isin(xyz[..., 0], (0, -1)) | (size[..., 0] > _LEAST_PLACEHOLDER))
        hidden |= (size > _FARTHEST).any(-1)
    if hidden.any():
        place = " ".join(f"{value:g}" for value in xyz[hidden][0])
        text_tables.warn_assumed(
            f"{path}: {hidden.sum()} times a point is at {place} ({hidden.any(0).sum()} of {hidden.shape[1]} points), "
            "where programs put markers that they do not see; taken as missing."
        )
    return np.where(hidden[..., None], np.nan, xyz)


def metres_per_unit(xyz: np.ndarray, said: str, path: str | os.PathLike) -> float:
    """The unit that the file says, unless the size of the person contradicts it or nothing is said: then by that size.

    xyz: (frames, points, 3) in the file's unit. A warning tells what was taken instead; `InputError` if no unit can be.
    """
    unit = said.strip().strip(".").lower()
    unit = _UNIT_SPELLINGS.get(unit.removesuffix("s"), unit.removesuffix("s") or unit)
    extent = extent_of_points(xyz)
    if unit in _RARE_UNITS:
        return _RARE_UNITS[unit]
    if unit in TRC_UNITS:
        others = [u for u in TRC_UNITS if u != unit]
        size = extent * TRC_UNITS[unit]
        few = np.isfinite(xyz).all(-1).any(0).sum() < _MANY_MARKERS
        lowest = PLAUSIBLE_TRC_EXTENTS_M[0] if few else _USUAL_EXTENTS_M[0]
        if np.isnan(extent) or lowest <= size <= PLAUSIBLE_TRC_EXTENTS_M[1]:
            standing = any(_is_within(extent * TRC_UNITS[u], STANDING_EXTENTS_M) for u in others)
            small = size < (_SMALL_EXTENT_M if standing else TYPICAL_EXTENTS_M[0]) and not few
            if size > _USUAL_EXTENTS_M[1] or small:
                text_tables.warn_assumed(
                    f"{path}: the header says {said}, which makes the markers {size:.3g} m across in a frame. Is that "
                    "one person, in the unit that the header says?"
                )
            return TRC_UNITS[unit]
        claim = f"{path}: the header says {said}, which makes the person {extent * TRC_UNITS[unit]:.3g} m across"
    else:
        others = list(TRC_UNITS)
        claim = f"{path}: the header's unit is {repr(said) if said.strip() else 'missing'}"
        if np.isnan(extent):
            raise InputError(f"{claim}, expected one of {', '.join(TRC_UNITS)}, and too little data to tell from.")
    readings = [u for u in others if _is_within(extent * TRC_UNITS[u], PLAUSIBLE_TRC_EXTENTS_M)]
    for span in (TYPICAL_EXTENTS_M, STANDING_EXTENTS_M):
        if len(readings) > 1:
            readings = [u for u in readings if _is_within(extent * TRC_UNITS[u], span)]
    if len(readings) == 1:
        text_tables.warn_assumed(f"{claim}; read as {readings[0]}, {extent * TRC_UNITS[readings[0]]:.3g} m.")
        return TRC_UNITS[readings[0]]
    if unit not in TRC_UNITS:
        raise InputError(f"{claim}, expected one of {', '.join(TRC_UNITS)}; values span {extent:.3g} in a frame.")
    text_tables.warn_assumed(f"{claim}; kept, as no other unit fits better. Check the file.")
    return TRC_UNITS[unit]


def extent_of_points(xyz: np.ndarray) -> float:
    """Median over the frames of the diagonal of the box around all points; NaN if no frame has three of them."""
    enough = np.isfinite(xyz).all(-1).sum(-1) >= 3
    if not enough.any():
        return np.nan
    xyz = xyz[enough]
    return float(np.median(np.linalg.norm(np.nanmax(xyz, 1) - np.nanmin(xyz, 1), axis=-1)))


def _is_within(value: float, span: tuple[float, float]) -> bool:
    return span[0] <= value <= span[1]
