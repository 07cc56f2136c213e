"""A line on the skin of the back from a file: CSV, markers (TRC, C3D) or points of a scan (PLY)."""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy

from simspine.core.errors import InputError, naming_content, require_known, unknown_name
from simspine.core.geometry import distances_along, evenly_along, thinned_line
from simspine.core.skeletons import SKIN_SUFFIX
from simspine.io.c3d import MARKER_FILES, read_markers
from simspine.io.text_tables import cell_separator, parse_number, read_bytes, read_text, warn_assumed, warn_left_out

UNITS_PER_METRE = {"m": 1.0, "dm": 10.0, "cm": 100.0, "mm": 1000.0, "in": 1 / 0.0254}
BACK_LENGTHS_M = (0.25, 0.75)  # C7 to S1 along the skin, from small children to the tallest adults
LANDMARKS = ("C7", "LPSIS", "RPSIS")
LANDMARK_ALIASES = {"LPSI": "LPSIS", "RPSI": "RPSIS", "L_PSIS": "LPSIS", "R_PSIS": "RPSIS", "CV7": "C7"}
# Markers on the back's midline by Plug-in Gait and others, downwards.
MIDLINE_MARKERS = (
    "C7", *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1", "S2", "SACR", "SACRUM",
)  # fmt: skip
PLY_TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4",
    "double": "f8", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float32": "f4", "float64": "f8",
}  # fmt: skip
SCAN_ENDING = ".ply"
MAX_HEADER_BYTES = 100_000
MAX_COORDINATE = 1e9  # of a scan's points, in any unit; a larger one means damage
MAX_OFF_SCAN_M = 0.05  # of a line drawn on a scan, whose points are a few mm apart
LINE_STRETCHES = 48  # of a line, in which dense points are averaged: some 1 cm, in which a back is straight to 0.1 mm
MAX_BESIDE_SHARE = 0.033  # of the line's length, 15 mm: half the width of what is painted
MOST_POINTS_BESIDE = 0.1  # share of the painted points
MARKED_RED_RATIO = 2  # least ratio of red to green and to blue of scan points that mark the midline


@dataclass(frozen=True, eq=False)
class BackLine:
    """Points of a line on the back: (frames, n, 3) m, from C7 down. c7: (frames, 3), psis: (frames, 2, 3), None if
    missing. unit: of the file, as detected or given. rate: frames per second, None for a single frame."""

    points: np.ndarray
    c7: np.ndarray | None
    psis: np.ndarray | None
    unit: str
    frame: str | None = None
    rate: float | None = None


def read_back_line(path: Path, unit: str | None = None, line: Path | None = None, y_down: bool = False) -> BackLine:
    """Read a line on the back. .csv: columns x, y, z (or x_mm …), and name if landmarks are among them. .trc, .c3d:
    markers named by levels (C7, T1 … L5, S1, SACR), LPSIS and RPSIS, or in the order of the line. .ply: points of a
    scan; red ones are the line, or each point of the CSV file `line` is moved to the nearest one of the scan. y_down:
    of a scan with the axes of a depth camera (x right, y down, z ahead), which is turned upright."""
    readers = {".csv": _line_of_csv, ".trc": _line_of_markers, ".c3d": _line_of_markers}
    ending = path.suffix.lower()
    require_known("ending of a line on the back", (ending,), (*readers, SCAN_ENDING), str(path))
    require_known("unit", () if unit is None else (unit,), UNITS_PER_METRE)
    if line is not None and ending != SCAN_ENDING:
        raise InputError(f"{path} is no scan; a line of its own goes with a .ply file. Leave one of the two out.")
    if y_down and (ending != SCAN_ENDING or line is not None):
        raise InputError("y_down is for a painted scan (.ply). Turn a line so that y or z points up.")
    if ending == SCAN_ENDING:
        return _line_of_scan(path, unit, line, y_down)
    return readers[ending](path, unit)


def _line_of_csv(path: Path, unit: str | None) -> BackLine:
    lines = read_text(path).splitlines()
    separator = cell_separator(lines[0] if lines else "") or ","
    if separator != ",":  # then commas are decimal marks
        lines = [line.replace(",", ".") for line in lines]
    with naming_content(path, "a readable table of cells; save it anew as CSV"):
        table = csv.DictReader(lines, delimiter=separator)
        rows = list(table)
    header = table.fieldnames if rows and table.fieldnames else ()
    columns = {name.strip().lower(): name for name in header}
    if len(columns) < len(header):
        raise InputError(f"{path}: a column is there twice ({', '.join(header)}); keep those of one line.")
    stated = next((end for end in UNITS_PER_METRE if {f"{axis}_{end}" for axis in "xyz"} <= set(columns)), None)
    axis_columns = [f"{axis}_{stated}" if stated else axis for axis in "xyz"]
    if not set(axis_columns) <= set(columns):
        found = ", ".join(columns) or "none"
        raise InputError(f"{path}: columns are {found}; expected x, y, z (or x_mm, y_mm, z_mm), perhaps name.")
    require_known("column", columns, (*axis_columns, "name"), str(path))
    points, names = [], []
    for number, row in enumerate(rows, 2):
        if None in row:
            raise InputError(f"{path}, line {number}: more cells than columns. Are decimal commas between them?")
        points.append([parse_number(row[columns[name]] or "", f"{path}, line {number}") for name in axis_columns])
        names.append((row[columns["name"]] or "").strip() if "name" in columns else "")
        if names[-1] and _landmark(names[-1]) not in (*LANDMARKS, *MIDLINE_MARKERS):
            raise unknown_name("landmark", names[-1], (*LANDMARKS, *MIDLINE_MARKERS), f"{path}, line {number}")
    xyz = np.array(points, float)
    if missing := [str(number) for number, complete in enumerate(np.isfinite(xyz).all(1), 2) if not complete]:
        warn_left_out(f"{path}: {len(missing)} of {len(xyz)} points lack a coordinate (line {', '.join(missing[:8])}).")
        xyz[~np.isfinite(xyz)] = np.nan
    return _in_metres(path, xyz[None], names, unit or stated)


def _line_of_markers(path: Path, unit: str | None) -> BackLine:
    if unit is not None:
        raise InputError(f"{path}: the unit of markers is read from the file and the size of the person; leave it out.")
    markers = read_markers(path)
    names = [_landmark(name.split(":")[-1].removesuffix(SKIN_SUFFIX)) for name in markers.names]
    midline = [names.index(level) for level in MIDLINE_MARKERS if level in names]
    line_indices = midline if len(midline) >= 2 else [i for i, name in enumerate(names) if name not in LANDMARKS[1:]]
    order = [*line_indices, *(i for i, name in enumerate(names) if name in LANDMARKS[1:])]
    line = _in_metres(path, markers.xyz[:, order], [names[i] for i in order], "m")
    return BackLine(line.points, line.c7, line.psis, unit="m", frame=markers.frame, rate=markers.rate)


def _line_of_scan(path: Path, unit: str | None, line: Path | None, y_down: bool) -> BackLine:
    vertices = _scan_vertices(path)
    cloud = np.column_stack([vertices[axis] for axis in "xyz"]).astype(float)
    if line is None:
        if not {"red", "green", "blue"} <= set(vertices.dtype.names or ()):
            raise InputError(f"{path} has no colours; paint the midline red, or hand in the line as CSV (`--line`).")
        red, green, blue = (vertices[colour].astype(float) for colour in ("red", "green", "blue"))
        marked = (red > 0) & (red >= MARKED_RED_RATIO * green) & (red >= MARKED_RED_RATIO * blue)
        points = _in_order(cloud[marked] * ((1, -1, -1) if y_down else 1))
        if not y_down:
            warn_assumed(
                f"{path}: the end of the painted line with the greater y or z counts as C7. If y points down, as in "
                "the axes of a depth camera, add --frame y_down."
            )
        return _in_metres(path, points[None], [""] * len(points), unit)
    drawn = _line_of_csv(line, unit)
    cloud = cloud[(np.abs(cloud) < MAX_COORDINATE).all(1)] / UNITS_PER_METRE[drawn.unit]  # leaves out NaN, too
    if not len(cloud):
        raise InputError(f"{path}: no points with three coordinates; cut short?")
    targets = drawn.points[0][np.isfinite(drawn.points[0]).all(1)]
    off, nearest = scipy.spatial.cKDTree(cloud).query(targets)
    if off.max() > MAX_OFF_SCAN_M:
        text = f"{line}: a point is {off.max():.3g} m from the scan {path}, expected up to {MAX_OFF_SCAN_M:g} m"
        raise InputError(f"{text}. Was the line drawn on this scan, in its axes and unit ({drawn.unit})?")
    return BackLine(cloud[None, nearest], drawn.c7, drawn.psis, drawn.unit)


def _scan_vertices(path: Path) -> np.ndarray:
    """The vertices of a PLY file (Turk 1994), ASCII or binary, as a structured array; other elements are not read."""
    content = read_bytes(path)
    head, mark, body = content[:MAX_HEADER_BYTES].partition(b"end_header")
    lines = [line.split() for line in head.decode("ascii", "replace").splitlines()]
    if not mark or not lines or lines[0] != ["ply"]:
        raise InputError(f"{path}: no PLY file; expected 'ply' in its first line and 'end_header' after the header.")
    body = content[len(head) + len(mark) :].split(b"\n", 1)[-1]
    elements = [i for i, line in enumerate(lines) if line[:1] == ["element"]]
    if not elements or lines[elements[0]][1:2] != ["vertex"] or not re.fullmatch(r"\d{1,12}", lines[elements[0]][-1]):
        raise InputError(f"{path}: the first element of the PLY file is no vertex; expected points with x, y and z.")
    end = elements[1] if len(elements) > 1 else len(lines)
    properties = [line[1:] for line in lines[elements[0] + 1 : end] if line[:1] == ["property"]]
    unknown = [" ".join(line) for line in properties if len(line) != 2 or line[0] not in PLY_TYPES]
    named = [line[-1] for line in properties if len(line) == 2]
    if unknown or len(set(named)) < len(named) or not {"x", "y", "z"} <= set(named):
        raise InputError(f"{path}: vertices without x, y, z, or repeated or unknown properties: {', '.join(unknown)}.")
    count = int(lines[elements[0]][-1])
    encoding = next((line[1] for line in lines if line[:1] == ["format"] and line[1:]), "")
    order = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "<"}.get(encoding)
    if order is None:
        raise InputError(f"{path}: format {encoding!r} of a PLY file; expected ascii or binary.")
    layout = np.dtype([(name, order + PLY_TYPES[ply_type]) for ply_type, name in properties])
    if encoding != "ascii":
        if (room := len(body) // layout.itemsize) < count:
            raise InputError(f"{path}: {count} vertices are announced, {room} are there; cut short?")
        return np.frombuffer(body, layout, count)
    rows = body.split(b"\n")[:count]
    with naming_content(path, "as many vertices of numbers as announced; cut short?"):
        found = [tuple(float(cell) for cell in row.split()[: len(properties)]) for row in rows]
        if len(found) < count:
            raise ValueError(f"{len(found)} of {count} are there")
        return np.array(found, layout)


def _in_order(points: np.ndarray) -> np.ndarray:
    """Middle of a painted line, along its longest direction; from the top if that direction is upright."""
    points = points[(np.abs(points) < MAX_COORDINATE).all(1)]  # leaves out NaN, too
    if len(points) < 2:
        return points
    centred = points - points.mean(0)
    direction = np.linalg.svd(centred, full_matrices=False)[2][0]
    direction *= -np.sign(direction[np.argmax(np.abs(direction))])
    line = thinned_line(points[np.argsort(centred @ direction)], LINE_STRETCHES)
    off, _ = scipy.spatial.cKDTree(evenly_along(line, 10 * LINE_STRETCHES)).query(points)
    beside = (off > MAX_BESIDE_SHARE * np.linalg.norm(line[-1] - line[0])).mean()
    if beside > MOST_POINTS_BESIDE:
        warn_assumed(f"{beside:.0%} of the painted points lie beside the line through them. Is only the midline red?")
    return line


def _landmark(name: str) -> str:
    plain = name.strip().upper()
    return LANDMARK_ALIASES.get(plain, plain)


def _in_metres(path: Path, xyz: np.ndarray, names: Sequence[str], unit: str | None) -> BackLine:
    """Convert xyz (frames, points, 3) from the file's unit; if that is unknown, the length of the line shows it."""
    labels = [_landmark(name) for name in names]
    if repeated := [label for label in LANDMARKS if labels.count(label) > 1]:
        raise InputError(f"{path}: several points are {repeated[0]}; keep one.")
    on_line = [i for i, label in enumerate(labels) if label not in LANDMARKS[1:]]
    length, step = _line_length(xyz[:, on_line])
    if np.isnan(length):
        raise InputError(f"{path}: fewer than two points of the line have three coordinates; expected a dense line.")
    fitting = [u for u, per in UNITS_PER_METRE.items() if BACK_LENGTHS_M[0] <= length / per <= BACK_LENGTHS_M[1]]
    if unit not in fitting and (unit is not None or len(fitting) != 1):
        may_name = fitting and path.suffix.lower() not in MARKER_FILES
        least, most = BACK_LENGTHS_M
        raise InputError(
            f"{path}: the line is {length:.4g} {unit or 'units'} long, which is a back in "
            f"{' or '.join(fitting) or 'no unit'}; expected {least} to {most} m from C7 to the sacrum. Its longest "
            f"step is {step:.4g}: is a point off the line, or are dense points not smoothed?"
            + (f" Name the unit (`--unit {fitting[0]}`)." if may_name else "")
        )
    for level, end, others in (("C7", 0, MIDLINE_MARKERS[1:]), ("S1", -1, MIDLINE_MARKERS[:18])):
        if level not in labels and labels[on_line[end]] in others:
            warn_assumed(f"{path}: the line ends at {labels[on_line[end]]}, which counts as {level}. Add the rest.")
    unit = unit or fitting[0]
    metres = xyz / UNITS_PER_METRE[unit]
    landmarks = {label: metres[:, labels.index(label)] for label in LANDMARKS if label in labels}
    psis_sides = {"LPSIS", "RPSIS"} & set(landmarks)
    if len(psis_sides) == 1:
        raise InputError(f"{path} has {psis_sides.pop()} alone; expected both LPSIS and RPSIS, or neither.")
    psis = np.stack([landmarks["LPSIS"], landmarks["RPSIS"]], axis=1) if psis_sides else None
    return BackLine(metres[:, on_line], landmarks.get("C7"), psis, unit)


def _line_length(xyz: np.ndarray) -> tuple[float, float]:
    """Length of the line and of its longest step, by the points that are not missing: medians over the frames."""
    present = (points[np.isfinite(points).all(1)] for points in xyz)
    steps = [np.diff(distances_along(points)) for points in present if len(points) > 1]
    length, step = np.median([(one.sum(), one.max()) for one in steps], axis=0) if steps else (np.nan, np.nan)
    return float(length), float(step)
