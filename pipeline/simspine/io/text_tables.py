"""Shared by text formats: tolerant reading of lines and numbers, names of columns, the frame rate of printed times."""

import json
import math
import os
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simspine.core.errors import InputError, Remark, names_text, reason_of, require_path
from simspine.core.settings import often_wrong
from simspine.io.atomic import ALWAYS_ALLOWED_BYTES, MAX_EXPANSION_FACTOR, check_announced_bytes

C = TypeVar("C")
T = TypeVar("T")
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Not a number: as Python, C, Microsoft's C library (1.#QNAN, -nan(ind)) and spreadsheets print it.
_MISSING_NUMBER = re.compile(r"|[+-]?(nan(\(\w*\))?|1\.#(qnan|snan|ind|nan)\d*)|n/?a|#n/a|null|none|-")
_INFINITE_NUMBER = re.compile(r"[+-]?1\.#inf\d*")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS_SEPARATED = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_MOST_TOML_BYTES = 1 << 20
# A dotted key of more than 16 parts: tomllib stores every leading part of it, quadratic in its length.
_LONG_TOML_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){16}""")
_LONG_TOML_NUMBER = re.compile(r"\b0[xob]\w{100}")  # which Python reads, but cannot write; of base 10 it reads none


@dataclass(frozen=True, eq=False)
class TimedRows:
    """Numbers of a text table. time: (rows,) s. values: (rows, columns) besides the time. step: s, rounding of time."""

    time: np.ndarray
    values: np.ndarray
    step: float

    def keep(self, rows) -> "TimedRows":
        """The chosen rows: an index or a mask of NumPy."""
        return replace(self, time=self.time[rows], values=self.values[rows])


def read_bytes(path: str | os.PathLike) -> bytes:
    """Content of a file; `InputError` naming it if it cannot be read."""
    require_path(path)
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:  # the latter: characters that no path can have
        raise InputError(f"{path!s:.200}: cannot be read ({getattr(error, 'strerror', None) or error}).") from None


def read_text(path: str | os.PathLike) -> str:
    """Content of a file as text: UTF-8, UTF-16 with its byte order mark, else Windows-1252.

    Older motion-capture software writes labels in Windows-1252. Raises `InputError` for what is no text.
    """
    return decode_text(read_bytes(path), path)[0]


def decode_text(content: bytes, path: str | os.PathLike) -> tuple[str, str]:
    """Text of a file's content, and the encoding found; as `read_text`."""
    encodings = [name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)] or ["utf-8", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise InputError(f"{path}: no text, or in an encoding that cannot be told. Save it as UTF-8.")


def parse_content(loads: Callable[[C], T], content: C, kind: str, path: str | os.PathLike) -> T:
    """`loads(content)` of a file; where that fails, `InputError` that the file is not `kind`, such as 'valid JSON'."""
    try:
        return loads(content)
    except (ValueError, SyntaxError, LookupError, RecursionError) as error:
        hint = often_wrong(content) if isinstance(content, str) and kind.startswith("valid") else ""
        raise InputError(f"{path}: not {kind} ({reason_of(error)}).{hint}") from None


def parse_toml(text: str, path: str | os.PathLike) -> dict[str, Any]:
    """Content of a TOML file. Raises `InputError` also for one that would take very long to read."""
    if len(text) > _MOST_TOML_BYTES or _LONG_TOML_KEY.search(text) or _LONG_TOML_NUMBER.search(text):
        found = "larger than 1 MiB, or with a key of more than 16 parts or a number of more than 100 digits"
        raise InputError(f"{path}: {found}; not written by a program.")
    return parse_content(tomllib.loads, text, "valid TOML", path)


def load_json(content: str | bytes) -> Any:
    """As `json.loads`, but `ValueError` for a repeated name in an object, of which `json.loads` keeps the last."""
    return json.loads(content, object_pairs_hook=_unique_names)


def require_same_figures(path: Path, keys: Iterable[str]) -> None:
    """`InputError` where the file is there and is no JSON object with just these keys: it would be replaced."""
    if path.exists() and json_or_empty(path).keys() != {*keys}:
        raise InputError(f"{path} exists already, and is no file of these figures. Name another one, or remove it.")


def json_or_empty(path: Path) -> dict[str, Any]:
    """The object in a JSON file of simspine's; {} where there is none, or it is damaged."""
    try:
        content = load_json(read_bytes(path))
    except (ValueError, RecursionError):  # `InputError` among them
        return {}
    return content if isinstance(content, dict) else {}


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    entries = dict(pairs)
    if len(entries) < len(pairs):
        raise ValueError(f"an object has {repeated_names(name for name, _ in pairs)} twice")
    return entries


def read_lines(path: str | os.PathLike) -> list[tuple[int, str]]:
    """Lines that are not blank, each with its number and without its end (LF, CRLF or CR).

    A line of separators is a row in a CSV file, and blank elsewhere. Raises `InputError` where all lines are blank.
    """
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blank = " \t" if Path(path).suffix.lower() == ".csv" else " \t,;"
    filled = [(n, line) for n, line in enumerate(lines, 1) if line.strip(blank)]
    if not filled:
        raise InputError(f"{path}: the file is empty.")
    return filled


def cell_separator(labels: str) -> str | None:
    """The separator of a table's cells, by its row of labels: tab, semicolon, comma; None for white space."""
    return next((mark for mark in "\t;," if mark in labels), None)


def split_cells(line: str, mark: str | None = "\t") -> list[str]:
    """Cells of a table row: separated by `mark` if the line has it (blank cells count), else by white space."""
    return [cell.strip() for cell in line.split(mark)] if mark and mark in line else line.split()


def missing_numbers(shape: tuple[int, ...], files: Sequence[str | os.PathLike]) -> np.ndarray:
    """An array of NaN for numbers of some files. Raises `InputError` where they are too small to fill it."""
    check_announced_bytes(str(files[0]), 8 * math.prod(shape), sum(map(os.path.getsize, files)))
    return np.full(shape, np.nan)


def parse_number(cell: str, where: str) -> float:
    """A cell as a number, NaN if it marks a missing one. `where` (file, line) goes into the error."""
    lower = cell.lower()
    if _MISSING_NUMBER.fullmatch(lower):
        return np.nan
    if _INFINITE_NUMBER.fullmatch(lower):
        return np.inf
    with suppress(ValueError):
        if "_" not in cell:
            return float(cell)
    mixed = " Other numbers of the table have a decimal point." if _DECIMAL_COMMA.fullmatch(cell) else ""
    raise InputError(f"{where}: {cell!r} is not a number.{mixed}")


def parse_table(
    rows: Sequence[tuple[int, str]], labels: str, width: int, time: int, path: str | os.PathLike, expected: str
) -> TimedRows:
    """Numbers of rows (line number, text) separated like `labels`; `width` columns, of which `time` holds the times.

    Infinite values are missing, with a warning.
    """
    mark = cell_separator(labels)
    comma = mark != "," and _decimal_comma(rows, mark, path)
    values, stamps = np.empty((len(rows), width)), []
    for i, (n, line) in enumerate(rows):
        row = split_cells(line.replace(",", ".") if comma else line, mark if mark and mark in line else "\t")
        if len(row) < width or any(row[width:]):
            raise InputError(f"{path}, line {n}: {len(row)} cells, expected {width}{expected}")
        values[i] = _row_numbers(row[:width], f"{path}, line {n}")
        stamps.append(row[time])
    others = np.delete(values, time, axis=1)
    if infinite := int(np.isinf(others).sum()):
        warn_assumed(f"{path}: {infinite} infinite values; taken as missing.")
        others[np.isinf(others)] = np.nan
    return TimedRows(values[:, time], others, rounding_step(stamps))


def named_columns(
    names: Sequence[str], values: np.ndarray, what: str, where: str
) -> tuple[tuple[str, ...], np.ndarray]:
    """Columns with a name, each once; those without a name, and exact repetitions, are left out with a warning.

    values: (rows, columns, …). Raises `InputError` for columns of equal name and different content.
    """
    kept: dict[str, int] = {}
    contradicting: list[str] = []
    repetitions: list[str] = []
    for i, name in enumerate(names):
        first = kept.setdefault(name, i)
        if name and first != i:
            same = np.array_equal(values[:, first], values[:, i], equal_nan=True)
            (repetitions if same else contradicting).append(name)
    if contradicting:
        raise InputError(f"{where}: several {what}s called {list_names(contradicting)} differ. Rename all but one.")
    if repetitions:
        warn_left_out(f"{where}: several {what}s called {list_names(repetitions)} hold equal values; kept once.")
    if kept.pop("", None) is not None:
        warn_left_out(f"{where}: {sum(not name for name in names)} {what}s have no name; left out.")
    return tuple(kept), values[:, list(kept.values())]


def positive_number(text: str | None) -> float | None:
    """An entry of a header as a number, None if it is no positive one."""
    try:
        value = float((text or "nan").replace(",", "."))
    except ValueError:
        return None
    return value if 0 < value < np.inf else None


def repeated_names(names: Iterable[str]) -> str:
    """The names that occur more than once, sorted, as a text."""
    return list_names(name for name, count in Counter(names).items() if count > 1)


def natural_order_key(name: str) -> list[str]:
    """Key that sorts cam_2 before cam_10, and numbers of over 20 digits as texts."""
    parts = re.split(r"(\d+)", name.lower())
    return [part.lstrip("0").rjust(20) if part.isdecimal() else part for part in parts]


def list_names(names: Iterable[str], most: int = 8) -> str:
    """The distinct names, sorted, as a text; of more than `most` the first, and how many more there are."""
    return names_text(sorted(set(names)), most)


def warn_assumed(message: str) -> None:
    """Warn the caller of a reader that something was assumed."""
    warnings.warn(message, UserWarning, stacklevel=3)


def warn_left_out(message: str) -> None:
    """Issue a remark to the caller of a reader on what was left out, or done as asked."""
    warnings.warn(message, Remark, stacklevel=3)


def rounding_step(texts: Sequence[str]) -> float:
    """The rounding step of printed numbers: 10^-d for d decimals of the number with most decimals."""
    decimals = 0
    for text in texts:
        mantissa, _, exponent = text.lower().partition("e")
        if exponent:
            return 1e-12
        decimals = max(decimals, len(mantissa.partition(".")[2]))
    return 10.0**-decimals


def _row_numbers(row: list[str], where: str) -> np.ndarray | list[float]:
    with suppress(ValueError):
        if not any("_" in cell for cell in row):  # Python takes 1_000 for a number
            return np.array(row, float)
    return [parse_number(cell, where) for cell in row]


def _decimal_comma(rows: Sequence[tuple[int, str]], mark: str | None, path) -> bool:
    """Whether numbers have decimal commas, in a table whose cells are not separated by commas.

    They have if some contain one comma and none a point. Raises `InputError` where commas may also group thousands.
    """
    if not any("," in line for _, line in rows):
        return False
    cells = [
        cell for _, line in rows for cell in split_cells(line, mark if mark and mark in line else "\t") if "," in cell
    ]
    stripped = [re.sub(r"1[.,]#", "", line) for _, line in rows]
    if any("." in line for line in stripped) or not all(_DECIMAL_COMMA.fullmatch(c) or "#" in c for c in cells):
        return False  # `parse_number` names the first cell that is no number
    if all(_THOUSANDS_SEPARATED.fullmatch(cell) for cell in cells):
        where = f"{path}, line {rows[0][0]}"
        raise InputError(f"{where}: the comma in {cells[0]!r} may mark decimals or thousands. Write decimal points.")
    return True


ASSUMED_RATE = 60.0  # frames/s where none is stated, as in Pose2Sim
# Usual frame rates of cameras and of motion capture, preferred where a coarse time column fits several rates; those of
# television are taken where none of the first fits.
_CUSTOMARY_RATES_HZ = (
    10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 64, 72, 75, 80, 90, 100, 120, 125, 128, 144, 150, 160, 180, 200, 240, 250,
    256, 300, 320, 360, 400, 480, 500, 512, 600, 800, 1000, 1024, 1200, 1500, 2000,
)  # fmt: skip
_TELEVISION_RATES_HZ = (23.976, 29.97, 59.94, 119.88, 239.76)
_MAX_TIME_JITTER = 0.15  # of a frame interval: largest spread of uniform times about a line, without that of rounding
_MAX_ROUNDING_RESOLVED = 0.3  # of a frame interval: times rounded to less than this show each dropped frame
_RATE_ROUNDING_SHARE = 2e-5  # of a rate printed with five digits: 29.97 for 30000/1001 frames/s
_MAX_BRIDGED_GAP_S = 0.1  # s; resampling bridges no rows farther apart than this and than twice the usual step
_MAX_TIME = 1e30  # in the file's unit; sums of larger numbers overflow


@dataclass(frozen=True)
class StatedRate:
    """Frame rates (frames/s) that are stated outside the time column, None if not.

    header: of the file. given: by the caller. resample: rate at which the caller wants the rows interpolated.
    """

    header: float | None = None
    given: float | None = None
    resample: float | None = None

    def __post_init__(self):
        for name, rate in (("rate", self.given), ("resample", self.resample)):
            if rate is not None and not 0 < rate < np.inf:
                raise InputError(f"{name}={rate!r}: expected a positive number of frames per second.")


def uniform_rows(rows: TimedRows, stated: StatedRate, where: str) -> tuple[TimedRows, float]:
    """The rows of a uniform time column, and its frame rate.

    The rate that the caller, or else the header, states is taken if the times fit it within their rounding. A last row
    that repeats the one before it is left out with a warning.
    """
    largest = _MAX_TIME if stated.resample is None else np.inf  # resampling counts the rows that it would make
    missing = np.flatnonzero(~(np.abs(rows.time) < largest))
    if len(missing):
        raise InputError(f"{where}: row {missing[0] + 1} of the data has no time ({rows.time[missing[0]]:g}).")
    if stated.resample is not None:
        return _resampled_rows(rows, stated.resample, where), stated.resample
    repeated = len(rows.time) > 1 and rows.time[-1] == rows.time[-2] and _rows_are_equal(rows, -1, -2)
    if repeated and not _stated_rate(rows, stated, where):
        warn_assumed(f"{where}: the last row is there twice; kept once.")  # some integrators write it again
        rows = rows.keep(slice(-1))
    if confirmed := _stated_rate(rows, stated, where):
        return rows, confirmed
    nominal = stated.given or stated.header or np.inf
    if len(rows.time) > 1:
        _require_increase(rows.time, where)
    for unit, seconds in (("milliseconds", 1e-3), ("frames", 1 / nominal), ("minutes", 60.0)):
        scaled = replace(rows, time=seconds * rows.time, step=seconds * rows.step)
        if nominal < np.inf and _explains_times(nominal, scaled):
            warn_assumed(f"{where}: its times are not seconds; taken as {unit}, at {nominal:g} frames/s as stated.")
            return scaled, nominal
    if len(rows.time) == 1:
        warn_assumed(f"{where}: a single frame and no rate; {ASSUMED_RATE:g} frames/s assumed (rate=…).")
        return rows, ASSUMED_RATE
    fitted = _rate_of_column(rows, where, warn=not (stated.given or stated.header))
    if fitted <= 1:
        unit = "milliseconds" if fitted < 1 else "frame numbers"
        raise InputError(f"{where}: {fitted:.3g} frames/s by its times. Are they {unit}? Name the rate (rate=…).")
    if stated.given:
        raise InputError(f"{where}: rate={stated.given:g}, by its times {fitted:.5g}. Leave rate out, or set resample.")
    if stated.header:
        warn_assumed(
            f"{where}: the header says DataRate {stated.header:g}, the Time column {fitted:g}; took the latter."
        )
    return rows, fitted


def _stated_rate(rows: TimedRows, stated: StatedRate, where: str) -> float | None:
    """The rate of the caller, or else of the header, if the times fit it.

    Times may jitter, but where they are uniform to the last digit, a header's rate must fit them as well.
    """
    rate = stated.given or stated.header
    if not rate or not _explains_times(rate, rows):
        return None
    if not stated.given and len(rows.time) > 2 and rows.step <= _MAX_ROUNDING_RESOLVED / rate:
        interval, rounding = _closest_interval(rows.time), rows.step + _time_rounding(rows.time)
        is_uniform = _time_spread_s(interval, rows.time) <= rounding
        is_of_stated_rate = _time_spread_s(1 / rate, rows.time) <= rounding
        if is_uniform and not is_of_stated_rate and abs(interval * rate - 1) > _RATE_ROUNDING_SHARE:
            return None
    if stated.header and abs(rate - stated.header) > 1e-3 * stated.header:
        warn_assumed(f"{where}: the header says DataRate {stated.header:g}; took {rate:g} as stated (rate=…).")
    return rate


def _time_spread_s(interval: float, time: np.ndarray) -> float:
    """Spread of the times about a line with slope `interval`: largest less smallest deviation, s."""
    return float(np.ptp(time - interval * np.arange(len(time))))


def _closest_interval(time: np.ndarray) -> float:
    """The interval with the smallest `_time_spread_s`."""
    from scipy.optimize import minimize_scalar  # not loaded with every reader

    line = float(np.polyfit(np.arange(len(time)), time, 1)[0])
    reach = 2 * _time_spread_s(line, time) / (len(time) - 1)  # beyond it the spread is larger
    bounds, options = (line - reach, line + reach), {"xatol": 1e-9 * reach}
    return float(minimize_scalar(_time_spread_s, bounds=bounds, args=(time,), method="bounded", options=options).x)


def _time_rounding(time: np.ndarray) -> float:
    return 4 * float(np.spacing(np.abs(time).max())) + 1e-12


def _explains_times(rate: float, rows: TimedRows) -> bool:
    """Whether the time column can be of this uniform rate, within the rounding of its times."""
    interval, step = 1 / rate, rows.step
    if step <= _MAX_ROUNDING_RESOLVED * interval:
        allowed = _MAX_TIME_JITTER * interval + step
    else:  # rounding shifts no frame that falls on a printed time, so a shift means a dropped frame
        allowed = step if abs(interval / step - round(interval / step)) > 1e-6 else 0.0
    return _time_spread_s(interval, rows.time) <= allowed * (1 + 1e-6) + _time_rounding(rows.time)


def _require_increase(time: np.ndarray, where: str) -> None:
    if not time[-1] - time[0] > len(time) * np.finfo(float).tiny:
        raise InputError(f"{where}: the time column does not increase (from {time[0]:g} s to {time[-1]:g} s).")


def _rate_of_column(rows: TimedRows, where: str, warn: bool) -> float:
    """The customary or round rate that fits the times within their rounding. warn: if several customary ones fit."""
    time, rounding = rows.time, _time_rounding(rows.time)
    interval = _closest_interval(time)
    spread, steps = _time_spread_s(interval, time), np.diff(time)
    if np.ptp(steps) > rounding:
        coarse = rows.step > _MAX_ROUNDING_RESOLVED * interval
        if coarse or spread > (rows.step + _MAX_TIME_JITTER * interval) * (1 + 1e-6) + rounding:
            raise _uneven_error(time, where, coarse)
    mean = (len(time) - 1) / float(time[-1] - time[0])
    printed = rows.step * (1 + 1e-6) + rounding
    band = printed if spread <= printed else 2 * spread

    def fitting(rates: Iterable[float], band: float) -> list[float]:
        nearest = sorted((rate for rate in rates if rate > 0), key=lambda rate: abs(rate - mean))
        return [rate for rate in nearest if _time_spread_s(1 / rate, time) <= band]

    customary, television = fitting(_CUSTOMARY_RATES_HZ, band), fitting(_TELEVISION_RATES_HZ, band)
    rounded = [rate for digits in (0, 3, 6) for rate in fitting([round(mean, digits)], band)]
    chosen = float([*customary, *television, *rounded, mean][0])
    # Other rates that fit as well, though their last frame is more than a printed step away.
    end = 1.01 * rows.step / (len(time) - 1)
    whole = np.floor(chosen / (1 + chosen * end)), np.ceil(chosen / max(1 - chosen * end, 1e-3))
    others = fitting([*television, *whole], printed)
    others = customary[1:] + [rate for rate in others if abs(1 / rate - 1 / chosen) > end]
    if others and warn:
        warn_assumed(f"{where}: its rounded times fit {chosen:g} and {others[0]:g} frames/s; took the former (rate=…).")
    return chosen


def _uneven_error(time: np.ndarray, where: str, coarse: bool) -> InputError:
    steps = np.diff(time)
    usual = float(np.median(steps))
    i = int(np.argmax(np.abs(steps - usual)))
    hint = "If the times are only printed too coarsely, say the rate (rate=…). " if coarse else ""
    return InputError(
        f"{where}: the time column is not uniform: {time[i]:g} s is followed by {time[i + 1]:g} s, where the usual "
        f"step is {usual:g} s. {hint}Give dropped frames rows with missing values, or have the file interpolated at a "
        "uniform rate (resample=<frames/s>; mocap_resample in a configuration)."
    )


def _rows_are_equal(rows: TimedRows, i: int, j: int) -> bool:
    return np.array_equal(rows.values[i], rows.values[j], equal_nan=True)


def _resampled_rows(rows: TimedRows, rate: float, where: str) -> TimedRows:
    """The rows interpolated linearly at a uniform rate, from the first time on. Rows in a gap are missing."""
    repeated = np.flatnonzero(np.diff(rows.time) == 0).tolist()
    if all(_rows_are_equal(rows, i, i + 1) for i in repeated):
        rows = rows.keep(np.setdiff1d(np.arange(len(rows.time)), repeated))
    time, steps = rows.time, np.diff(rows.time)
    if not (steps > 0).all():
        i = int(np.argmax(steps <= 0))
        raise InputError(f"{where}: {time[i]:g} s is followed by {time[i + 1]:g} s; times must increase to resample.")
    frames = int(min((time[-1].item() - time[0].item()) * rate + 1 + 1e-6, 1e15))  # the product can be infinite
    frame_bytes = 4 * 8 * max(rows.values.shape[1], 1)  # of four arrays at a time
    if frames > (most := max(ALWAYS_ALLOWED_BYTES, MAX_EXPANSION_FACTOR * rows.values.nbytes) // frame_bytes):
        made = f"{frames:.3g} frames at resample={rate:g}; at most {most:.3g} are made of {len(time)} rows"
        raise InputError(f"{where}: {made}. Are its times in s, and is the rate in frames/s?")
    grid = time[0] + np.arange(frames) / rate
    if len(time) == 1:
        return TimedRows(grid, rows.values, 0.0)
    before = np.clip(np.searchsorted(time, grid, "right") - 1, 0, len(time) - 2)
    share = (grid - time[before]) / steps[before]
    share = np.where(np.abs(share - np.round(share)) < 1e-6, np.round(share), share)[:, None]
    first, second = rows.values[before], rows.values[before + 1]
    values = np.where(share == 0, first, np.where(share == 1, second, (1 - share) * first + share * second))
    in_gap = (steps[before] > max(_MAX_BRIDGED_GAP_S, 2 * float(np.median(steps))))[:, None] & (share > 0) & (share < 1)
    if in_gap.any():
        warn_assumed(f"{where}: {int(in_gap.sum())} frames in gaps of over {_MAX_BRIDGED_GAP_S:g} s; left missing.")
    return TimedRows(grid, np.where(in_gap, np.nan, values), 0.0)
