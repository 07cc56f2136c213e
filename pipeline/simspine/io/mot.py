"""Motion files (.mot): radians and metres inside, degrees and metres in the file; OpenSim's storage files (.sto)."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from simspine.core.arrays import frame_ranges
from simspine.core.errors import InputError
from simspine.core.types import MOST_RADIANS, Motion
from simspine.io import text_tables
from simspine.io.atomic import write_table
from simspine.io.text_tables import StatedRate, uniform_rows, warn_assumed, warn_left_out

# Storage files: a header up to `endheader`, labels, rows. Layout: OpenSim 4 (`version=1`), as its STOFileAdapter and
# Storage read and write it.
SIMM_KEYS = {"datacolumns", "datarows"}  # of the older header without "=", whose angles are degrees
_PADDING_CHARACTERS = " \t,;"  # a spreadsheet pads the lines of the header with separators


@dataclass(frozen=True, eq=False)
class StorageTable:
    """Columns over time, in the units of the file.

    values: (rows, columns) without the time; NaN where a cell is blank. time: (rows,) s. in_degrees: as the header
    states, None if it does not. header: every `key=value` of the header, and SIMM's counts. step: s, rounding of the
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
    """
    lines = text_tables.read_lines(path)
    end = next((i for i, (_, line) in enumerate(lines) if line.strip(_PADDING_CHARACTERS).lower() == "endheader"), None)
    if end is None:
        raise InputError(f"{path}: not an OpenSim storage file (.mot, .sto): no line 'endheader'.")
    header: dict[str, str] = {}
    for _, line in lines[:end]:
        key, equals, value = line.strip(_PADDING_CHARACTERS).partition("=" if "=" in line else " ")
        if equals and (" " not in key.strip() if "=" in line else key in SIMM_KEYS):
            if key.strip() == "inDegrees" and header.get("inDegrees", value.strip()).lower() != value.strip().lower():
                raise InputError(f"{path}: inDegrees is yes in one line of the header and no in another; keep one.")
            header[key.strip()] = value.strip()
    if (kind := header.get("DataType", "double")).lower() != "double":
        raise InputError(f"{path}: each cell is a {kind}, expected one number (DataType=double). Export joint angles.")
    if len(lines) == end + 1:
        raise InputError(f"{path}: nothing after 'endheader'; expected a row of labels.")
    line_number, row = lines[end + 1]
    labels = _column_labels(row, [line for _, line in lines[end + 2 : end + 3]])
    if labels[0].lower() != "time":
        raise InputError(f"{path}, line {line_number}: the first column is {labels[0]!r}, expected 'time'.")
    if len(lines) == end + 2:
        raise InputError(f"{path}: labels but no rows.")
    expected = " as in the row of labels."
    rows = text_tables.parse_table(lines[end + 2 :], row, len(labels), time=0, path=path, expected=expected)
    names, values = text_tables.named_columns(labels[1:], rows.values, "column", f"{path}, line {line_number}")
    for key, found in (("nRows", len(values)), ("nColumns", len(labels))):
        if header.get(key, str(found)) != str(found):
            warn_assumed(f"{path}: the header says {key}={header[key]}, the file holds {found}.")
    flag = header.get("inDegrees", "").lower()
    title = "" if "=" in lines[0][1] or end == 0 else lines[0][1].strip(_PADDING_CHARACTERS)
    in_degrees = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(flag)
    return StorageTable(title, names, rows.time, values, in_degrees=in_degrees, header=header, step=rows.step)


def _column_labels(row: str, first_row: list[str]) -> list[str]:
    """Names of the columns, '' for one without; first_row: the first row of data in a list, empty if there is none."""
    separator = text_tables.cell_separator(row)
    labels = text_tables.split_cells(row.rstrip(_PADDING_CHARACTERS), separator)
    filled = [label for label in labels if label]
    return filled if any(len(text_tables.split_cells(line, separator)) == len(filled) for line in first_row) else labels


def write_sto(
    path: str | os.PathLike,
    title: str,
    names: tuple[str, ...],
    time: np.ndarray,
    values: np.ndarray,
    in_degrees: bool = False,
    header: dict[str, str] | None = None,
) -> None:
    """Write a storage file. values: (rows, columns) in the header's units. header: further `key=value` lines."""
    values, time = np.asarray(values, float), np.asarray(time, float)
    if values.shape != (len(time), len(names)) or not values.size:
        raise InputError(f"{path}: values of shape {values.shape}, expected ({len(time)}, {len(names)}) and not empty.")
    for name in names:
        if not name or any(c.isspace() for c in name):
            raise InputError(f"{path}: column name {name!r} cannot stand in a storage file (empty, or with blanks).")
    lines = [title, "version=1", f"nRows={len(time)}", f"nColumns={len(names) + 1}"]
    lines.append(f"inDegrees={'yes' if in_degrees else 'no'}")
    lines += [f"{key}={value}" for key, value in (header or {}).items()]
    lines += ["endheader", "\t".join(("time", *names))]
    write_table(path, lines, "%.9f" + "\t%.12f" * len(names), np.column_stack([time, values]))


def write_marker_errors(path: str | os.PathLike, time: np.ndarray, error: np.ndarray) -> None:
    """Write `_ik_marker_errors.sto` as OpenSim's InverseKinematicsTool lays it out.

    error: (frames, markers) m, distance of each model marker to its target, NaN = no target (left out). Columns: sum of
    the squared distances in m², unweighted; root of their mean in m; greatest distance in m. NaN without any marker.
    OpenSim divides the sum by all markers, also those without target in the frame; this function by those with one.
    """
    error = np.asarray(error, float)
    present = np.isfinite(error)
    squared = np.where(present, error, 0.0) ** 2
    count = present.sum(1)
    total = np.where(count > 0, squared.sum(1), np.nan)
    rms = np.sqrt(total / np.maximum(count, 1))
    greatest = np.where(count > 0, np.sqrt(squared.max(1, initial=0.0)), np.nan)
    names = ("total_squared_error", "marker_error_RMS", "marker_error_max")
    write_sto(path, "Model Marker Errors from IK", names, time=time, values=np.stack([total, rms, greatest], 1))


# Names of lengths: OpenSim's translations, the lumbar model's abdomen, body positions, levels of a virtual capture.
_TRANSLATION_NAME = re.compile(r"(_t[xyz]|^Abs_t[123]|_[XYZ]|_shift_(forward|up|right))$")
# Quantities of OpenSim's other storage files, to which inDegrees does not apply, by the column's name or file's title.
_NO_ANGLE_NAME = re.compile(
    r"force|torque|moment|activation|excitation|control|fiber|tendon|length|power|reserve|residual|actuator|grf|emg"
    r"|error|muscle|grm|pressure|stiff|damping|imped|stress|strain|energy|work|mass|speed|velocity|acceleration"
    r"|_(vel|acc|dot)$"
    r"|(^|[_.])cop(_|\d|[xyz]|$)|([_.][pvfm]|^[lr][pvf]|^[fmpt]p?\d?)[xyz](_?\d|_[rl])?$",
    re.IGNORECASE,
)
# Parts of the names that models give to angles; a column of any other name is read as an angle with a warning.
_ANGLE_NAME = re.compile(
    r"flex|ext|bend|rot|tilt|list|angle|add|abd|(?<!p)ele?v|tract|dev|pro|sup|inver|beta|lat_|yaw|pitch|roll|_r\d|_o[xyz]$",
    re.IGNORECASE,
)
# Parts of names of coordinates that names of muscles, sensors and force plates do not contain.
_PLAIN_ANGLE_NAME = re.compile(
    r"flexion|flex_?ext|tilt|list|rot|angle|bend|adduction|abduction|elev|deviation|pitch|roll|yaw|_o[xyz]$",
    re.IGNORECASE,
)
_COUPLED_KNEE_NAME = re.compile(r"^knee_angle_[rl]_beta$")
_NO_ANGLES_TITLE = re.compile(
    r"inverse ?dynamics.*|.*(generalized ?|joint ?reaction ?|^model ?|^)forces?|.*(activation|excitation|control)s"
    r"|static ?optimi[sz]ation.*|moment ?arm.*|.*marker errors.*|.*activation|length|(norm\w*|active|passive)?fiber\w+"
    r"|tendon\w+|.*(speed|velocit(y|ie)|acceleration)s?"
    r"|(muscle|actuator|actuation|joint)[ _]?(length|velocit|speed|power)\w*|.*(moment|torque|power)s",
    re.IGNORECASE,
)
# OpenSim 4's names of states and outputs: /jointset/hip_r/hip_flexion_r/value, /forceset/soleus_r/activation.
_STATE_NAME = re.compile(r"(?:.*/)?(?P<name>[^/|]+)[/|](?P<kind>value|speed)|/.*")
_OWN_HEADER_KEY = "coupledInDegrees"  # header key of `write_mot` that states the unit of coupled angles
_MANY_ANGLES = 6  # as many angles exceed 3° somewhere
_MOST_METRES = 30.0  # farther from the origin goes no person in a laboratory, but the pelvis does in cm or mm
_COUPLED_MATCH_RAD = 0.02  # rad, largest difference of a coupled knee column from the knee's that identifies its unit


def is_rotational(name: str) -> bool:
    """Whether a column is an angle, by its name; other columns, such as lengths and forces, keep their unit."""
    return not (_TRANSLATION_NAME.search(name) or _NO_ANGLE_NAME.search(name))


def read_mot(
    path: str | os.PathLike,
    rotational: Mapping[str, bool] | None = None,
    rate: float | None = None,
    resample: float | None = None,
) -> Motion:
    """Read coordinates in radians and metres, whatever unit the header states.

    Forces, moments, lengths and activations stay as they are.

    OpenSim writes coordinates of the motion type 'coupled' (`knee_angle_r_beta`) in radians under a header that states
    degrees (opensim-core#2088, #3936). Such a column is compared, in both units, with `knee_angle_r`, which it follows.
    Without `knee_angle_r` a column within ±2π is read as radians. A warning reports this. Files of `write_mot` state
    their unit. Of OpenSim's states (`/jointset/hip_r/hip_flexion_r/value`, …) the values are read under the
    coordinate's name. Without `inDegrees` states are in radians; SIMM's header (`datacolumns`) means degrees.

    Parameters
    ----------
    path : path
    rotational : {str: bool}, optional
        Whether a coordinate is an angle, where its name does not show it.
    rate : float, optional
        Frames/s, where the time column does not show it (a single row; times printed too coarsely).
    resample : float, optional
        Frames/s to interpolate at linearly, for a time column of varying step.

    Returns
    -------
    Motion

    Raises
    ------
    InputError
        For a file that `read_sto` refuses, and for a time column that is not uniform.

    Examples
    --------
    >>> motion = ss.Motion(["knee_angle_r"], rate=60, values=[[0.1], [0.2]], rotational=[True])
    >>> ss.write_mot("walk.mot", motion)
    >>> ss.read_mot("walk.mot").column("knee_angle_r").round(3)
    array([0.1, 0.2])
    """
    table, states = _coordinate_columns(read_sto(path), path)
    given, no_angles = rotational or {}, _NO_ANGLES_TITLE.fullmatch(table.title)
    is_angle = np.array([given.get(name, not no_angles and is_rotational(name)) for name in table.names], bool)
    non_angles = [name for name in table.names if name not in given and (no_angles or _NO_ANGLE_NAME.search(name))]
    if non_angles and not any(_PLAIN_ANGLE_NAME.search(name) for name in table.names if name not in non_angles):
        non_angles = [name for name in table.names if name not in given]  # also muscles, force plates, sensors
        is_angle &= np.isin(table.names, list(given))
    if non_angles:
        warn_left_out(f"{path}: {text_tables.list_names(non_angles, 3)} are no coordinates; kept in the file's units.")
    angles = [name for name, angle in zip(table.names, is_angle, strict=True) if angle and name not in given]
    guessed = [name for name in angles if not _ANGLE_NAME.search(name)]
    if guessed and not states:
        warn_assumed(f"{path}: {text_tables.list_names(guessed, 3)} are read as angles, a guess (rotational=…).")
    degrees = True if table.in_degrees is None and table.header.keys() & SIMM_KEYS else table.in_degrees
    if degrees is None:
        degrees = not states
        unit = "degrees, which OpenSim writes by default" if degrees else "radians, as OpenSim keeps its states"
        warn_assumed(f"{path}: the header has no inDegrees; read as {unit}.")
    _warn_of_unit(table, is_angle, degrees, path)
    factor = np.where(is_angle & degrees, np.pi / 180, 1.0)
    if degrees:
        factor[_coupled_in_radians(table, path)] = 1.0
    values = table.values * factor
    if resample is not None and (jumps := np.abs(np.diff(values[:, is_angle], axis=0)) > np.pi).any():
        names = text_tables.list_names(np.array(table.names)[is_angle][jumps.any(0)])
        raise InputError(f"{path}: {names} jump by more than half a turn between rows, so nothing lies between them.")
    stated = StatedRate(text_tables.positive_number(table.header.get("DataRate")), rate, resample)
    rows, rate = uniform_rows(text_tables.TimedRows(table.time, values, table.step), stated, str(path))
    return Motion(table.names, rate, rows.values, is_angle, start=float(rows.time[0]))


def _warn_of_unit(table: StorageTable, is_angle: np.ndarray, degrees: bool, path) -> None:
    """Warn where a trial's angles, as written, hardly fit the unit that the header states, or lengths are no metres."""
    lengths = [bool(_TRANSLATION_NAME.search(n)) and not _NO_ANGLE_NAME.search(n) for n in table.names]
    if (farthest := float(np.nanmax(np.abs(table.values[:, lengths]), initial=0.0))) > _MOST_METRES:
        warn_assumed(f"{path}: lengths reach {farthest:.4g} m. Are they millimetres or centimetres?")
    angles = table.values[:, is_angle]
    largest = float(np.nanmax(np.abs(angles), initial=0.0))
    if degrees and angles.shape[1] >= _MANY_ANGLES and 0 < largest < np.pi:
        warn_assumed(f"{path}: read as degrees, and no angle exceeds {largest:.2g}. Are they radians?")
    if not degrees and largest > MOST_RADIANS:
        warn_assumed(f"{path}: read as radians, and angles reach {largest:.3g}. Are they degrees?")


def write_mot(
    path: str | os.PathLike, motion: Motion, coupled_in_degrees: bool = True, inferred: Iterable[int] = ()
) -> None:
    """Write coordinates as OpenSim's tools do, but with every angle in degrees, coupled ones included.

    `deviation` has no place in a .mot. Frames not solved are NaN: OpenSim's TimeSeriesTable reads them, but its older
    Storage (and its GUI) stops at the first without an error; a warning says so.

    Parameters
    ----------
    path : path
    motion : Motion
    coupled_in_degrees : bool
        False leaves coupled angles in radians, as OpenSim's tools and GUI expect; the header says which.
    inferred : iterable of int
        Frames, from 0, that were filled in; the header lists them (`inferredFrames=12-20 31`).

    Examples
    --------
    >>> motion = ss.Motion(["knee_angle_r"], rate=60, values=[[0.1], [0.2]], rotational=[True])
    >>> ss.write_mot("walk.mot", motion)
    >>> ss.read_mot("walk.mot").time.round(3)
    array([0.   , 0.017])
    """
    factor = np.where(motion.rotational, 180 / np.pi, 1.0)
    if unsolved := int(np.isnan(motion.values).any(1).sum()):
        warn_assumed(f"{path}: {unsolved} frames hold NaN; OpenSim's Storage and GUI read only up to the first.")
    filled = frame_ranges(inferred).replace("–", "-").replace(",", "")
    header = {_OWN_HEADER_KEY: "yes" if coupled_in_degrees else "no"} | ({"inferredFrames": filled} if filled else {})
    if not coupled_in_degrees:
        factor[[_COUPLED_KNEE_NAME.match(name) is not None for name in motion.names]] = 1.0
    values = motion.values * factor
    write_sto(path, "Coordinates", motion.names, time=motion.time, values=values, in_degrees=True, header=header)


def _coordinate_columns(table: StorageTable, path) -> tuple[StorageTable, bool]:
    """The columns that are coordinates, under the coordinates' names; and whether the file holds OpenSim's states."""
    present = set(table.names)
    states = [_STATE_NAME.fullmatch(name) for name in table.names]
    if any(states):
        coordinates = {i: state["name"] for i, state in enumerate(states) if state and state["kind"] == "value"}
    else:  # OpenSim 3: hip_flexion_r, hip_flexion_r_u, soleus_r.activation
        is_state = [
            name.endswith((".activation", ".fiber_length")) or (name[-2:] == "_u" and name[:-2] in present)
            for name in table.names
        ]
        if not any(is_state):
            return table, False
        coordinates = {i: name for i, name in enumerate(table.names) if not is_state[i]}
    left_out = [name for i, name in enumerate(table.names) if i not in coordinates]
    if not coordinates:
        raise InputError(f"{path}: no column is the value of a coordinate, only {text_tables.list_names(left_out, 3)}.")
    if left_out:
        warn_assumed(f"{path}: left out what is no coordinate's value: {text_tables.list_names(left_out, 3)}.")
    names, values = text_tables.named_columns(
        list(coordinates.values()), table.values[:, list(coordinates)], "coordinate", str(path)
    )
    return replace(table, names=names, values=values), True


def _coupled_in_radians(table: StorageTable, path) -> list[int]:
    """Indices of coupled columns that hold radians although the header states degrees."""
    coupled = [i for i, name in enumerate(table.names) if _COUPLED_KNEE_NAME.match(name)]
    if _OWN_HEADER_KEY in table.header:
        return [] if table.header[_OWN_HEADER_KEY].lower() == "yes" else coupled
    columns = []
    for i in coupled:
        name, beta = table.names[i], table.values[:, i]
        knee = name.removesuffix("_beta")
        if not np.isfinite(beta).any():
            continue
        evidence = None
        if knee in table.names:
            target = np.radians(table.values[:, table.names.index(knee)])
            both = np.isfinite(beta) & np.isfinite(target)
            if both.any():
                as_radians = np.abs(beta - target)[both].max()
                as_degrees = np.abs(np.radians(beta) - target)[both].max()
                if min(as_radians, as_degrees) <= _COUPLED_MATCH_RAD:
                    evidence = f"off {knee} by {as_radians:.2g} rad, but by {as_degrees:.2g} rad if degrees"
                    if as_degrees <= as_radians:
                        continue
        if evidence is None:
            largest = np.nanmax(np.abs(beta))
            if largest > 2 * np.pi:  # more than a turn of the knee
                continue
            evidence = f"its values stay within ±{largest:.3g}"
        columns.append(i)
        warn_assumed(f"{path}: {name} is read as radians, not the header's degrees (opensim-core#2088): {evidence}.")
    return columns
