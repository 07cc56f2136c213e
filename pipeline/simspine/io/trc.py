"""TRC marker files: tolerant reading, strict writing.

Layout: SIMM/OpenSim (five header lines, a blank line or none, then frame number, time and X Y Z of each marker).
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simspine.core.arrays import median_of_known
from simspine.core.errors import InputError, safe_file_name
from simspine.core.geometry import change_frame
from simspine.core.skeletons import subject_prefix
from simspine.core.types import Markers
from simspine.io import text_tables
from simspine.io.atomic import write_table
from simspine.io.text_tables import StatedRate, uniform_rows, warn_assumed, warn_left_out

TRC_UNITS = {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "dm": 0.1, "in": 0.0254, "ft": 0.3048}
_RARE_UNITS = {"um": 1e-6, "µm": 1e-6, "km": 1e3, "yd": 0.9144}  # read where a file names them, never guessed
_UNIT_SPELLINGS = {"inch": "in", "inche": "in", '"': "in", "foot": "ft", "feet": "ft", "'": "ft", "yard": "yd"}
_UNIT_SPELLINGS |= {
    prefix + metre: short
    for prefix, short in (("", "m"), ("milli", "mm"), ("centi", "cm"), ("deci", "dm"), ("micro", "um"), ("kilo", "km"))
    for metre in ("meter", "metre")
}
PLAUSIBLE_TRC_EXTENTS_M = (0.05, 10.0)  # m, extents of a person in a frame; outside this range the unit is wrong
_USUAL_EXTENTS_M = (0.25, 3.0)  # m, extents of six or more markers; outside this range a warning
_SMALL_EXTENT_M = 0.75  # m, of six or more markers; below it a warning if in another unit they are a standing person
_MIN_PLACEHOLDER, MAX_COORDINATE = 900.0, 1e9  # in the file's unit: least x = y = z of a placeholder; largest number
_MANY_MARKERS = 6
# A person's markers lie up to four times as far from the middle as usual, other things in the room some ten times.
_MAX_DISTANCE_RATIO = 30
_MAX_EXTENT_RATIO = 90  # between two rows, each with half of the points or more: from centimetres to metres is 100
_EXPECTED_COLUMNS_TEXT = " (frame, time and 3 for each of {} markers). Is the row cut short, or a name missing?"
# m, ranges that decide between units that are all plausible; at most one unit fits the second range.
TYPICAL_EXTENTS_M, STANDING_EXTENTS_M = (0.4, 3.0), (0.9, 2.28)
_HEADER_KEYS = ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame",
         "OrigNumFrames")  # fmt: skip


def read_trc(
    path: str | os.PathLike, frame: str = "y_up", rate: float | None = None, resample: float | None = None
) -> Markers:
    """Read marker trajectories, in metres whatever unit the header claims.

    Accepted: tabs, spaces, commas or semicolons; decimal commas; with or without a blank line and a row X1 Y1 Z1;
    UTF-8, UTF-16 and Windows-1252; any first frame number; blank and NaN cells (missing). A coordinate of 0 is data; a
    point at 0 0 0 counts as missing, with a warning. Counts, a rate or a unit in the header that contradict the data
    are corrected with a warning (released SIMSPINE files state mm and hold metres). Points without a name and
    repetitions of a marker are left out with a warning.

    Parameters
    ----------
    path : path
    frame : str
        Frame of the file's coordinates: 'y_up' (OpenSim, the usual) or 'z_up'.
    rate : float, optional
        Frames/s, where neither header nor Time column state it. A single frame of unknown rate counts as 60.
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
    if rows and _is_row_of_axes(rows[0][1]):
        rows = lines[5:]
        axes = re.findall(r"\b[XYZ]\d*\b", lines[4][1], re.IGNORECASE)
        if any(axis[0].upper() != "XYZ"[place % 3] for place, axis in enumerate(axes)):
            found = f"{path}, line {lines[4][0]}: the axes are {' '.join(axes[:3])} …"
            raise InputError(f"{found}, expected X Y Z. Reorder the columns.")
    if not rows:
        raise InputError(f"{path}: a header without data; no row after line {lines[-1][0]}.")
    table = text_tables.parse_table(
        rows, lines[3][1], 2 + 3 * len(names), time=1, path=path, expected=_EXPECTED_COLUMNS_TEXT.format(len(names))
    )
    for key, count in (("NumMarkers", len(names)), ("NumFrames", len(rows))):
        if text_tables.positive_number(header.get(key)) != count:
            warn_assumed(f"{path}: the header says {key} {header.get(key, 'nothing')}, the file holds {count}.")
    header_rate = text_tables.positive_number(header.get("DataRate"))
    if header_rate is None and rate is None and len(rows) > 1:
        warn_assumed(f"{path}: the header's DataRate is {header.get('DataRate') or 'missing'}; the Time column counts.")
    if len(set(np.diff(table.values[:, 0]).tolist())) > 1 and len(set(np.diff(table.time).round(3))) == 1:
        warn_assumed(f"{path}: Frame# jumps, the Time column does not; took the latter. Are frames missing?")
    table, rate = uniform_rows(table, StatedRate(header_rate, rate, resample), str(path))
    xyz = _without_incomplete_points(table.values[:, 1:].reshape(len(table.time), -1, 3), path)
    names, xyz = text_tables.named_columns(names, xyz, "marker", f"{path}, line {lines[3][0]}")
    xyz = xyz * metres_per_unit(xyz, header.get("Units", ""), path)
    return Markers(names, rate, xyz, frame, start=float(table.time[0]))


def write_trc(path: str | os.PathLike, markers: Markers) -> None:
    """Write marker trajectories as strict TRC: metres, y up, tabs, frame numbers from 1.

    Weight, covariance, origin and `filled` have no place in TRC. Missing points are NaN: both readers of OpenSim 4.6
    take that, while blank cells at the end of a row make its TRCFileAdapter fail.

    Parameters
    ----------
    path : path
    markers : Markers
        Those of frame z_up are rotated to y_up, since TRC has no field for the frame.

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
        f"PathFileType\t4\t(X/Y/Z)\t{safe_file_name(Path(path).name)}",
        "\t".join(_HEADER_KEYS),
        "\t".join([rate, rate, str(frames), str(count), "m", rate, "1", str(frames)]),
        "Frame#\tTime\t" + "".join(f"{name}\t\t\t" for name in markers.names).removesuffix("\t"),
        "\t\t" + "\t".join(f"{axis}{i}" for i in range(1, count + 1) for axis in "XYZ"),
    ]
    points = np.where(markers.present[..., None], xyz.round(8), np.nan).reshape(frames, -1)
    table = np.column_stack([np.arange(1, frames + 1), markers.time, points])
    write_table(path, lines, "%d\t%.9f" + "\t%.8f" * (3 * count), table)


def _marker_names(n: int, line: str, path) -> tuple[str, ...]:
    """Names of the markers in line n, '' for one without a name."""
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
    """Whether the line is a row such as X1 Y1 Z1 …: none of its cells is a number."""
    cells = re.split(r"[\s,;]+", line)
    return not any(text_tables.positive_number(cell) or re.fullmatch(r"-?[0.]+", cell) for cell in cells)


def _without_incomplete_points(xyz: np.ndarray, path) -> np.ndarray:
    missing = np.isnan(xyz).any(-1, keepdims=True)
    if incomplete := int((missing & ~np.isnan(xyz).all(-1, keepdims=True)).sum()):
        warn_assumed(f"{path}: {incomplete} points lack one or two of their coordinates; taken as missing.")
    return without_placeholders(np.where(missing, np.nan, xyz), path)


def without_placeholders(xyz: np.ndarray, path) -> np.ndarray:
    """The points (frames, points, 3) with placeholders of hidden markers set to NaN, with a warning. Placeholders are 0
    0 0, −1 −1 −1, 9999 9999 9999 and similar, and impossibly large numbers (Optotrak's −3.7e28)."""
    with np.errstate(invalid="ignore"):
        size = np.abs(xyz)
        equal = (xyz == xyz[..., :1]).all(-1)
        hidden = equal & (np.isin(xyz[..., 0], (0, -1)) | (size[..., 0] > _MIN_PLACEHOLDER))
        hidden |= (size > MAX_COORDINATE).any(-1)
    if hidden.any():
        place = " ".join(f"{value:g}" for value in xyz[hidden][0])
        points = f"{hidden.any(0).sum()} of {hidden.shape[1]} points"
        warn_assumed(f"{path}: {hidden.sum()} times a point is at {place} ({points}), as if unseen; taken as missing.")
    return _without_far_points(np.where(hidden[..., None], np.nan, xyz), path)


def _without_far_points(xyz: np.ndarray, path) -> np.ndarray:
    """The points with those set to NaN, with a warning, that are of no person: another unit, or damage."""
    middle = median_of_known(np.moveaxis(xyz, 1, -1))[:, None]
    distance = np.linalg.norm(xyz - middle, axis=-1)
    usual = median_of_known(distance)[:, None]
    many = np.isfinite(distance).sum(1, keepdims=True) >= _MANY_MARKERS
    far = (distance > _MAX_DISTANCE_RATIO * usual) & (usual > 0) & many
    if far.any():
        points = ", ".join(str(1 + index) for index in np.flatnonzero(far.any(0)))
        text = f"{path}: {far.sum()} times a point is over {_MAX_DISTANCE_RATIO} times as far from the middle as others"
        warn_assumed(f"{text} (of {far.shape[1]} points: {points}); taken as missing. Has it another unit?")
        xyz = np.where(far[..., None], np.nan, xyz)
    return xyz


def without_subject_name(markers: Markers, where: str | os.PathLike, known: Iterable[str] = ()) -> Markers:
    """The markers without the beginning of all names, such as a subject's, unless a `known` name begins so."""
    prefix = subject_prefix(markers.names)
    if not prefix or any(name.startswith(prefix) for name in known):
        return markers
    warn_left_out(f"{where}: all names begin with {prefix!r}, which was left out.")
    return markers.with_(names=[name.removeprefix(prefix) for name in markers.names])


def metres_per_unit(xyz: np.ndarray, stated: str, path: str | os.PathLike) -> float:
    """Metres per unit of the file: of the stated unit, or if that is missing or implausible, of one that fits a person.
    xyz: (frames, points, 3) in the file's unit. A warning names a unit taken instead; `InputError` if none fits."""
    unit = stated.strip().strip(".").lower()
    unit = _UNIT_SPELLINGS.get(unit.removesuffix("s"), unit.removesuffix("s") or unit)
    extent = _extent_of_points(xyz, path)
    known, others = TRC_UNITS | _RARE_UNITS, [u for u in TRC_UNITS if u != unit]
    if unit in known:
        size = extent * known[unit]
        few = np.isfinite(xyz).all(-1).any(0).sum() < _MANY_MARKERS
        lowest = PLAUSIBLE_TRC_EXTENTS_M[0] if few else _USUAL_EXTENTS_M[0]
        if np.isnan(extent) or lowest <= size <= PLAUSIBLE_TRC_EXTENTS_M[1]:
            standing = any(_is_within(extent * TRC_UNITS[u], STANDING_EXTENTS_M) for u in others)
            small = size < (_SMALL_EXTENT_M if standing else TYPICAL_EXTENTS_M[0]) and not few
            if size > _USUAL_EXTENTS_M[1] or small:
                text = f"{path}: the header says {stated}, which makes the markers {size:.3g} m across in a frame"
                warn_assumed(f"{text}. Is that one person, in the unit that the header says?")
            return known[unit]
        claim = f"{path}: the header says {stated}, which makes the person {size:.3g} m across"
    else:
        claim = f"{path}: the header's unit is {repr(stated) if stated.strip() else 'missing'}"
        if np.isnan(extent):
            raise InputError(f"{claim}, expected one of {', '.join(TRC_UNITS)}, and too little data to tell from.")
    sizes = {u: extent * TRC_UNITS[u] for u in others}
    candidates = [u for u in others if _is_within(sizes[u], PLAUSIBLE_TRC_EXTENTS_M)]
    for extents in (TYPICAL_EXTENTS_M, STANDING_EXTENTS_M):
        if len(candidates) > 1:
            candidates = [u for u in candidates if _is_within(sizes[u], extents)]
    if len(candidates) == 1:
        found, typical = candidates[0], [u for u in others if _is_within(sizes[u], TYPICAL_EXTENTS_M)]
        also = "".join(f", but {sizes[u]:.3g} m if in {u}" for u in typical if u != found)
        warn_assumed(f"{claim}; read as {found}, {sizes[found]:.3g} m{also}.")
        return TRC_UNITS[found]
    if unit not in known:
        raise InputError(f"{claim}, expected one of {', '.join(TRC_UNITS)}; values span {extent:.3g} in a frame.")
    warn_assumed(f"{claim}; kept, as no other unit fits better. Check the file.")
    return known[unit]


def require_size_of_person(where: str, xyz: np.ndarray) -> None:
    """`InputError` for points (frames, points, 3) that are no person's, if they are in metres."""
    extent = _extent_of_points(xyz, where)
    if extent > 0 and not _is_within(extent, PLAUSIBLE_TRC_EXTENTS_M):
        raise InputError(f"{where}: the points are {extent:.3g} m across in a frame, no person's. Are these metres?")


def _extent_of_points(xyz: np.ndarray, path: str | os.PathLike) -> float:
    """Median over the frames of the diagonal of the box around all points; NaN if no frame has three of them.

    Raises `InputError` where the diagonal changes as if the unit did.
    """
    seen = np.isfinite(xyz).all(-1).sum(-1)
    frames = np.flatnonzero(seen >= 3)
    if not len(frames):
        return np.nan
    extents = np.linalg.norm(np.nanmax(xyz[frames], 1) - np.nanmin(xyz[frames], 1), axis=-1)
    whole = np.flatnonzero(seen[frames] >= max(_MANY_MARKERS, seen.max() / 2))
    if len(whole):
        least, most = whole[extents[whole].argmin()], whole[extents[whole].argmax()]
        if extents[most] > _MAX_EXTENT_RATIO * extents[least] > 0:
            raise InputError(
                f"{path}: all points together are {extents[least]:.3g} across in row {1 + frames[least]} and "
                f"{extents[most]:.3g} in row {1 + frames[most]}. Does the unit change within the file?"
            )
    return float(np.median(extents))


def _is_within(value: float, span: tuple[float, float]) -> bool:
    return span[0] <= value <= span[1]
