"""TRC marker files: tolerant reading, strict writing.

Layout: SIMM/OpenSim (five header lines, a blank line or none, then frame number, time and X Y Z of each marker).
"""

import os
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.formats import _text
from simspine.formats.atomic import write_text
from simspine.geometry import change_frame
from simspine.types import Markers

UNITS = {"m": 1.0, "mm": 1e-3, "cm": 1e-2}
_SPELLINGS = {"meters": "m", "metres": "m", "meter": "m", "metre": "m", "millimeters": "mm", "millimetres": "mm"}
PLAUSIBLE = (0.05, 50.0)  # m, extent of a person in a frame: outside, the unit is wrong
TYPICAL = (0.4, 3.0)  # m, decides between readings that are all plausible
_KEYS = ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
         "OrigNumFrames")  # fmt: skip


def read_trc(path: str | os.PathLike, frame: str = "y_up") -> Markers:
    """Marker trajectories in metres, whatever unit the header claims.

    frame: the frame the file's coordinates are in, 'y_up' (OpenSim, the usual) or 'z_up'; it becomes `Markers.frame`.

    Accepted: LF and CRLF, tabs or spaces, a blank line before the data or none, trailing tabs, UTF-8 and Windows-1252
    labels, frame numbers from anywhere, blank and NaN cells (missing). A coordinate of 0 is data. Wrong counts in the
    header, a rate that contradicts the Time column and a unit that contradicts the size of the person are corrected
    with a warning: the released SIMSPINE files say mm and hold metres.

    Raises `InputError` for a file that is empty or not TRC, rows of wrong length, text among numbers, markers without
    or with the same name, and a Time column that is not uniform.
    """
    lines = _text.read_lines(path)
    if not lines:
        raise InputError(f"{path}: the file is empty.")
    if not lines[0].lstrip().lower().startswith("pathfiletype"):
        raise InputError(
            f"{path}: not a TRC file; its first line should start with PathFileType, not {lines[0][:30]!r}."
        )
    if len(lines) < 5:
        raise InputError(f"{path}: the header ends after line {len(lines)}; a TRC file has five header lines.")
    header = dict(zip(_text.cells(lines[1]), _text.cells(lines[2]), strict=False))
    names = _names(lines[3], path)
    rows = [(n, line) for n, line in enumerate(lines[5:], 6) if line.strip()]
    if not rows:
        raise InputError(f"{path}: a header without data; no row after line 5.")
    time, xyz, step = _numbers(rows, len(names), path)
    for key, found in (("NumMarkers", len(names)), ("NumFrames", len(rows))):
        if _number(header.get(key)) != found:
            _text.notice(f"{path}: the header says {key} {header.get(key, 'nothing')}, the file holds {found}.")
    return Markers(names, _rate(time, header, step, path), xyz * _scale(xyz, header, path), frame, start=float(time[0]))


def write_trc(path: str | os.PathLike, markers: Markers) -> None:
    """Write marker trajectories as strict TRC: metres, OpenSim's Y-up frame, tabs, frame numbers from 1.

    `z_up` markers are turned to `y_up` first, since TRC has no field for the frame and every reader assumes Y up.
    Missing points are written as NaN: OpenSim 4.6 reads that in both of its readers, whereas blank cells at the end of
    a row make its TRCFileAdapter fail. Weight, covariance, origin and `filled` have no place in TRC (see `store`).
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
        "\t".join(_KEYS),
        "\t".join([rate, rate, str(frames), str(count), "m", rate, "1", str(frames)]),
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in markers.names).removesuffix("\t"),
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, count + 1) for axis in "XYZ"),
    ]
    present = np.where(markers.present[..., None], xyz.round(8), np.nan) + 0.0  # + 0.0: no "-0.00000000"
    for i, (time, row) in enumerate(zip(markers.time, present.reshape(frames, -1), strict=True), 1):
        lines.append(f"{i}\t{time:.9f}\t" + "\t".join("NaN" if v != v else f"{v:.8f}" for v in row.tolist()))
    write_text(path, "\n".join(lines) + "\n")


def _names(line: str, path) -> tuple[str, ...]:
    cells = _text.cells(line)
    if len(cells) < 2 or not cells[0].lower().startswith("frame"):
        raise InputError(f"{path}, line 4: expected 'Frame#', 'Time' and the marker names, found {line[:40]!r}.")
    names = tuple(name for name in cells[2:] if name)
    if not names:
        raise InputError(f"{path}, line 4: no marker names.")
    if repeated := _text.repeated(names):
        raise InputError(f"{path}, line 4: several markers are called {repeated}. Rename or remove all but one.")
    return names


def _numbers(rows: list[tuple[int, str]], markers: int, path) -> tuple[np.ndarray, np.ndarray, float]:
    """Time (rows,) s, coordinates (rows, markers, 3) in the file's unit, rounding step of the time column."""
    expected = f" (frame, time and 3 for each of {markers} markers). Is the row cut short, or a name missing in line 4?"
    values, step = _text.table(rows, 2 + 3 * markers, 1, path, expected)
    xyz = values[:, 2:].reshape(len(rows), markers, 3)
    if np.isinf(xyz).any():
        raise InputError(f"{path}: infinite coordinates; mark missing points with blank cells or NaN.")
    missing = np.isnan(xyz).any(-1, keepdims=True)
    incomplete = int((missing & ~np.isnan(xyz).all(-1, keepdims=True)).sum())
    if incomplete:
        _text.notice(f"{path}: {incomplete} points lack one or two of their coordinates; taken as missing.")
    return values[:, 1], np.where(missing, np.nan, xyz), step


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if np.isfinite(value) else None


def _rate(time: np.ndarray, header: dict, step: float, path) -> float:
    claimed = _number(header.get("DataRate"))
    found = _text.rate_of(time, step, str(path))
    if found is None:
        if not claimed or claimed < 0:
            raise InputError(f"{path}: one frame and no DataRate in the header; the rate is unknown.")
        return claimed
    if claimed and claimed > 0 and _text.same_rate(claimed, time, step):
        return claimed
    if not claimed or abs(claimed - found) > 1e-3 * found:
        _text.notice(
            f"{path}: the header says DataRate {header.get('DataRate')}, the Time column {found:g}; took the latter."
        )
    return found


def _scale(xyz: np.ndarray, header: dict, path) -> float:
    """Metres per unit of the file: the header's, unless the size of the person contradicts it."""
    said = header.get("Units", "")
    unit = said.lower()
    unit = _SPELLINGS.get(unit, unit)
    extent = extent_of(xyz)
    if unit in UNITS:
        others = [u for u in UNITS if u != unit]
        if np.isnan(extent) or _within(extent * UNITS[unit], PLAUSIBLE):
            return UNITS[unit]
        claim = f"{path}: the header says {said}, which makes the person {extent * UNITS[unit]:.3g} m across"
    else:
        others = list(UNITS)
        claim = f"{path}: the header's unit is {said or 'missing'!r}"
        if np.isnan(extent):
            raise InputError(f"{claim}, expected one of {', '.join(UNITS)}, and too little data to tell from.")
    readings = [u for u in others if _within(extent * UNITS[u], PLAUSIBLE)]
    if len(readings) > 1:
        readings = [u for u in readings if _within(extent * UNITS[u], TYPICAL)]
    if len(readings) == 1:
        _text.notice(f"{claim}; read as {readings[0]}, {extent * UNITS[readings[0]]:.3g} m.")
        return UNITS[readings[0]]
    if unit not in UNITS:
        raise InputError(f"{claim}, expected one of {', '.join(UNITS)}; values span {extent:.3g} in a frame.")
    _text.notice(f"{claim}; kept, as no other unit fits better. Check the file.")
    return UNITS[unit]


def extent_of(xyz: np.ndarray) -> float:
    """Median over the frames of the diagonal of the box around all points; NaN if no frame has three of them."""
    enough = np.isfinite(xyz).all(-1).sum(-1) >= 3
    if not enough.any():
        return np.nan
    xyz = xyz[enough]
    return float(np.median(np.linalg.norm(np.nanmax(xyz, 1) - np.nanmin(xyz, 1), axis=-1)))


def _within(value: float, span: tuple[float, float]) -> bool:
    return span[0] <= value <= span[1]
