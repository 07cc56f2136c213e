"""Motion files (.mot): coordinates over time, radians and metres inside, degrees and metres in the file."""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from simspine.arrays import frame_ranges
from simspine.errors import InputError
from simspine.formats import _text
from simspine.formats._time import ToldRate, uniform
from simspine.formats.sto import SIMM_KEYS, StorageTable, read_sto, write_sto
from simspine.types import Motion

# Lengths by name: OpenSim's habit (_tx _ty _tz) and the abdomen of the lumbar model (Abs_t1, Abs_t2).
_TRANSLATION = re.compile(r"(_t[xyz]|^Abs_t[123])$")
_COUPLED = re.compile(r"^knee_angle_[rl]_beta$")
# OpenSim 4's names of states and outputs: /jointset/hip_r/hip_flexion_r/value, /forceset/soleus_r/activation.
_STATE = re.compile(r"(?:.*/)?(?P<name>[^/|]+)[/|](?P<kind>value|speed)|/.*")
_OURS = "coupledInDegrees"  # header key of our own files: nothing to guess
_MATCH = 0.02  # rad, how near a coupled knee column must be to the knee's own to identify its unit


def is_rotational(name: str) -> bool:
    """Whether a coordinate is an angle, told from its name."""
    return _TRANSLATION.search(name) is None


def read_mot(
    path: str | os.PathLike,
    rotational: Mapping[str, bool] | None = None,
    rate: float | None = None,
    resample: float | None = None,
) -> Motion:
    """Coordinates in radians and metres, whatever the header says.

    rotational: name → is an angle, for coordinates whose name does not tell (`is_rotational`). rate: frames/s, where
    the time column does not tell it (a single row, which else counts as 60 frames/s; times printed too coarsely).
    resample: frames/s to interpolate at linearly, for a time column of varying step.

    OpenSim writes coordinates of the motion type 'coupled' (`knee_angle_r_beta`, `knee_angle_l_beta`) in radians under
    a header that says degrees (opensim-core#2088, #3936). Such a column is compared with `knee_angle_[rl]`, which it
    follows, in both readings; without that, a column that stays within a turn of ±2π is read as radians. A warning
    says so. Files of `write_mot` say what they hold and are never guessed at.

    Of OpenSim's states (`/jointset/hip_r/hip_flexion_r/value`, `…/speed`, `/forceset/…`) the values are taken, under
    the coordinate's name, and a warning says what was left out. States without `inDegrees` are radians, unless under
    SIMM's header (`datacolumns`), which means degrees.

    Raises `InputError` for everything `read_sto` does, and for a time column that is not uniform.
    """
    table, states = _coordinates(read_sto(path), path)
    turning = np.array([(rotational or {}).get(name, is_rotational(name)) for name in table.names], bool)
    degrees = True if table.in_degrees is None and table.header.keys() & SIMM_KEYS else table.in_degrees
    if degrees is None:
        degrees = not states
        unit = "degrees, which OpenSim writes by default" if degrees else "radians, as OpenSim keeps its states"
        _text.notice(f"{path}: the header has no inDegrees; read as {unit}.")
    factor = np.where(turning & degrees, np.pi / 180, 1.0)
    if degrees:
        factor[_coupled_in_radians(table, path)] = 1.0
    values = table.values * factor
    if resample is not None and (jumps := np.abs(np.diff(values[:, turning], axis=0)) > np.pi).any():
        names = _text.listed(np.array(table.names)[turning][jumps.any(0)])
        raise InputError(f"{path}: {names} jump by more than half a turn between rows, so nothing lies between them.")
    told = ToldRate(_text.positive(table.header.get("DataRate")), rate, resample)
    rows, rate = uniform(_text.TimedRows(table.time, values, table.step), told, str(path))
    return Motion(table.names, rate, rows.values, turning, start=float(rows.time[0]))


def write_mot(
    path: str | os.PathLike,
    motion: Motion,
    degrees: bool = True,
    coupled_in_degrees: bool = True,
    inferred: Iterable[int] = (),
) -> None:
    """Write coordinates as OpenSim's tools do, but with *every* angle in degrees, coupled ones included.

    The header says so (`coupledInDegrees=yes`). OpenSim itself neither writes nor reads coupled angles in degrees: a
    file meant for its tools or its GUI has `coupled_in_degrees=False` (radians in those columns, as OpenSim has them).

    inferred: frames, from 0, that were filled in; the header lists them (`inferredFrames=12-20 31`).
    `deviation` has no place in a .mot (see `store`). Frames not solved are NaN, which OpenSim's TimeSeriesTable
    reads, whereas its older Storage (and so its GUI) stops at them without an error: a warning says so.
    """
    factor = np.where(motion.rotational & degrees, 180 / np.pi, 1.0)
    unsolved = int(np.isnan(motion.values).any(1).sum())
    if unsolved:
        _text.notice(
            f"{path}: {unsolved} frames hold NaN; OpenSim's Storage and GUI read only up to the first of them."
        )
    filled = frame_ranges(inferred).replace("–", "-").replace(",", "")
    header = {"inferredFrames": filled} if filled else {}
    if degrees:
        header = {_OURS: "yes" if coupled_in_degrees else "no"} | header
        if not coupled_in_degrees:
            factor[[_COUPLED.match(name) is not None for name in motion.names]] = 1.0
    write_sto(path, "Coordinates", motion.names, motion.time, motion.values * factor, degrees, header)


def _coordinates(table: StorageTable, path) -> tuple[StorageTable, bool]:
    """The columns that are coordinates, under their own names; and whether the file holds OpenSim's states."""
    present = set(table.names)
    states = [_STATE.fullmatch(name) for name in table.names]
    if any(states):
        coordinates = {i: state["name"] for i, state in enumerate(states) if state and state["kind"] == "value"}
    else:  # OpenSim 3: hip_flexion_r, hip_flexion_r_u, soleus_r.activation
        others = [
            name.endswith((".activation", ".fiber_length")) or (name[-2:] == "_u" and name[:-2] in present)
            for name in table.names
        ]
        if not any(others):
            return table, False
        coordinates = {i: name for i, name in enumerate(table.names) if not others[i]}
    left_out = [name for i, name in enumerate(table.names) if i not in coordinates]
    if not coordinates:
        raise InputError(f"{path}: no column is the value of a coordinate, only {_text.listed(left_out, 3)}.")
    if left_out:
        _text.notice(f"{path}: left out what is no value of a coordinate: {_text.listed(left_out, 3)}.")
    names, values = _text.named(list(coordinates.values()), table.values[:, list(coordinates)], "coordinate", str(path))
    return replace(table, names=names, values=values), True


def _coupled_in_radians(table: StorageTable, path) -> list[int]:
    """Columns that hold radians although the header says degrees."""
    coupled = [i for i, name in enumerate(table.names) if _COUPLED.match(name)]
    if _OURS in table.header:
        return [] if table.header[_OURS].lower() == "yes" else coupled
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
                if min(as_radians, as_degrees) <= _MATCH:
                    evidence = f"off {knee} by {as_radians:.2g} rad, but by {as_degrees:.2g} rad if degrees"
                    if as_degrees <= as_radians:
                        continue
        if evidence is None:
            largest = np.nanmax(np.abs(beta))
            if largest > 2 * np.pi:  # more than a turn of the knee
                continue
            evidence = f"its values stay within ±{largest:.3g}"
        columns.append(i)
        _text.notice(
            f"{path}: {name} is read as radians although the header says degrees ({evidence}); "
            "OpenSim writes coupled coordinates so (opensim-core#2088)."
        )
    return columns
