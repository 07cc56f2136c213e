"""What text formats share: tolerant lines in, numbers out, names of columns, the frame rate behind printed times."""

import json
import os
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from simspine.core.errors import InputError, Remark, reason_of, require_path

C = TypeVar("C")
T = TypeVar("T")
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Not a number: as Python, C, Microsoft's C library (1.#QNAN, -nan(ind)) and spreadsheets print it.
_MISSING_NUMBER = re.compile(r"|[+-]?(nan(\(\w*\))?|1\.#(qnan|snan|ind|nan)\d*)|n/?a|#n/a|null|none|-")
_INFINITE_NUMBER = re.compile(r"[+-]?1\.#inf\d*")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS_SEPARATED = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")
_MOST_TOML_BYTES = 1 << 20
# A dotted key of more than 16 parts: tomllib keeps each of its beginnings, in all the square of its length.
_LONG_TOML_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"(?:\\.|[^"\\\n])*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){16}""")


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
    """Content as text: UTF-8, UTF-16 with its byte order mark, else Windows-1252.

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
    """What `loads` makes of a file's content; `InputError` if it is not what `kind` says, such as 'valid JSON'."""
    try:
        return loads(content)
    except (ValueError, SyntaxError, LookupError, RecursionError) as error:
        raise InputError(f"{path}: not {kind} ({reason_of(error)}).") from None


def parse_toml(text: str, path: str | os.PathLike) -> dict[str, Any]:
    """Content of a TOML file. Raises `InputError` also for one that takes very long."""
    if len(text) > _MOST_TOML_BYTES or _LONG_TOML_KEY.search(text):
        raise InputError(f"{path}: larger than 1 MiB, or with a key of more than 16 parts; not written by a program.")
    return parse_content(tomllib.loads, text, "valid TOML", path)


def load_json(content: str | bytes) -> Any:
    """As `json.loads`; `ValueError` for a name that an object has twice, of which that keeps the last."""
    return json.loads(content, object_pairs_hook=_unique_names)


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has {repeated_names(name for name, _ in pairs)} twice")
    return found


def read_lines(path: str | os.PathLike) -> list[tuple[int, str]]:
    """Lines that are not blank, each with its number and without its end (LF, CRLF or CR).

    Separators alone are a row of a CSV file, and a blank line elsewhere. Raises `InputError` where there is no line.
    """
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    blank = " \t" if Path(path).suffix.lower() == ".csv" else " \t,;"
    filled = [(n, line) for n, line in enumerate(lines, 1) if line.strip(blank)]
    if not filled:
        raise InputError(f"{path}: the file is empty.")
    return filled


def cell_separator(labels: str) -> str | None:
    """What separates the cells of a table, by its labels: tab, semicolon, comma; None for white space."""
    return next((mark for mark in "\t;," if mark in labels), None)


def split_cells(line: str, mark: str | None = "\t") -> list[str]:
    """Cells of a table row: separated by `mark` where there is any (so a blank cell is one), else by white space."""
    return [cell.strip() for cell in line.split(mark)] if mark and mark in line else line.split()


def parse_number(cell: str, where: str) -> float:
    """A cell as a number, NaN if it says that there is none. `where` (file, line) goes into the error."""
    lower = cell.lower()
    if _MISSING_NUMBER.fullmatch(lower):
        return np.nan
    if _INFINITE_NUMBER.fullmatch(lower):
        return np.inf
    try:
        if "_" not in cell:
            return float(cell)
    except ValueError:
        pass
    mixed = " Other numbers of the table have a decimal point." if _DECIMAL_COMMA.fullmatch(cell) else ""
    raise InputError(f"{where}: {cell!r} is not a number.{mixed}")


def parse_table(
    rows: Sequence[tuple[int, str]], labels: str, width: int, time: int, path: str | os.PathLike, expected: str
) -> TimedRows:
    """Numbers of rows (line number, text), laid out as the row of `labels`; `width` columns, `time` among them.

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
    """Columns that have a name, each once: those without, and exact repetitions, are left out with a warning.

    values: (rows, columns, …). Raises `InputError` naming those of equal name and different content.
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
        raise InputError(
            f"{where}: several {what}s are called {list_names(contradicting)} and hold different values. "
            "Rename or remove all but one."
        )
    if repetitions:
        warn_left_out(
            f"{where}: several {what}s are called {list_names(repetitions)} and hold equal values; kept once."
        )
    if kept.pop("", None) is not None:
        warn_left_out(f"{where}: {sum(not name for name in names)} {what}s have no name; left out.")
    return tuple(kept), values[:, list(kept.values())]


def positive_number(text: str | None) -> float | None:
    """A number of a header, None if it is none above 0."""
    try:
        value = float((text or "nan").replace(",", "."))
    except ValueError:
        return None
    return value if 0 < value < np.inf else None


def repeated_names(names: Iterable[str]) -> str:
    """The names that occur more than once, sorted, as a text."""
    return list_names(name for name, count in Counter(names).items() if count > 1)


def list_names(names: Iterable[str], most: int = 8) -> str:
    """Different names as a text; only the first of very many."""
    unique = sorted(set(names))
    return ", ".join(unique[:most]) + (f" and {len(unique) - most} more" if len(unique) > most else "")


def warn_assumed(message: str) -> None:
    """Tell the caller of a reader that something was assumed."""
    warnings.warn(message, UserWarning, stacklevel=3)


def warn_left_out(message: str) -> None:
    """Tell the caller of a reader what was left out, or done as asked."""
    warnings.warn(message, Remark, stacklevel=3)


def rounding_step(texts: Sequence[str]) -> float:
    """The rounding step of printed numbers: 10^-decimals of the one with most decimals."""
    decimals = 0
    for text in texts:
        mantissa, _, exponent = text.lower().partition("e")
        if exponent:
            return 1e-12
        decimals = max(decimals, len(mantissa.partition(".")[2]))
    return 10.0**-decimals


def _row_numbers(row: list[str], where: str) -> np.ndarray | list[float]:
    try:
        if not any("_" in cell for cell in row):  # Python takes 1_000 for a number
            return np.array(row, float)
    except ValueError:
        pass
    return [parse_number(cell, where) for cell in row]


def _decimal_comma(rows: Sequence[tuple[int, str]], mark: str | None, path) -> bool:
    """Whether numbers are printed with a decimal comma, in a table whose cells something else separates.

    They are if some have one comma and none has a point. Raises `InputError` where commas may as well group thousands.
    """
    if not any("," in line for _, line in rows):
        return False
    found = [
        cell for _, line in rows for cell in split_cells(line, mark if mark and mark in line else "\t") if "," in cell
    ]
    printed = [re.sub(r"1[.,]#", "", line) for _, line in rows]
    if any("." in line for line in printed) or not all(_DECIMAL_COMMA.fullmatch(c) or "#" in c for c in found):
        return False  # the reader of the numbers names the first that is none
    if all(_THOUSANDS_SEPARATED.fullmatch(cell) for cell in found):
        raise InputError(
            f"{path}, line {rows[0][0]}: in numbers such as {found[0]!r} the comma may mark decimals or thousands. "
            "Write the file with decimal points."
        )
    return True


ASSUMED_RATE = 60.0  # frames/s, where nothing tells it: what Pose2Sim falls back to
# Frame rates of cameras and of motion capture: which one is meant where a coarse time column fits several; those of
# television where none of the first fits.
_CUSTOMARY_RATES_HZ = (
    10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 64, 72, 75, 80, 90, 100, 120, 125, 128, 144, 150, 160, 180, 200, 240, 250,
    256, 300, 320, 360, 400, 480, 500, 512, 600, 800, 1000, 1024, 1200, 1500, 2000,
)  # fmt: skip
_TELEVISION_RATES_HZ = (23.976, 29.97, 59.94, 119.88, 239.76)
_MAX_TIME_JITTER = 0.15  # of a frame: how far times of a uniform column may lie off a line, besides rounding
_MAX_ROUNDING_RESOLVED = 0.3  # of a frame: times rounded to less than this show each frame that was dropped
_MAX_BRIDGED_GAP_S = 0.1  # rows farther apart than this, and than twice the usual step, are not bridged by resampling
_MOST_FRAMES = 1e7  # by resampling: a day at 100 frames/s; beyond, times or rate are not in seconds


@dataclass(frozen=True)
class StatedRate:
    """Frames/s as stated besides the time column, None where they are not.

    header: by the file. given: by the caller. resample: wanted by the caller, whatever the file's own is.
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

    The rate that the caller states, or else the header, counts if the times, as coarsely as they are printed, fit it. A
    last row that repeats the one before it is left out with a warning.
    """
    missing = np.flatnonzero(~np.isfinite(rows.time))
    if len(missing):
        raise InputError(f"{where}: row {missing[0] + 1} of the data has no time.")
    if stated.resample is not None:
        return _resampled_rows(rows, stated.resample, where), stated.resample
    if known := _stated_rate(rows, stated, where):
        return rows, known
    if len(rows.time) > 1 and rows.time[-1] == rows.time[-2] and _rows_are_equal(rows, -1, -2):
        warn_assumed(f"{where}: the last row is there twice; kept once.")  # some integrators write it again
        rows = rows.keep(slice(-1))
    if known := _stated_rate(rows, stated, where):
        return rows, known
    said = stated.given or stated.header or np.inf
    for unit, seconds in (("milliseconds", 1e-3), ("frames", 1 / said)):
        scaled = replace(rows, time=seconds * rows.time, step=seconds * rows.step)
        if said < np.inf and _explains_times(said, scaled):
            warn_assumed(f"{where}: its times are not seconds; taken as {unit}, at {said:g} frames/s as stated.")
            return scaled, said
    if len(rows.time) == 1:
        warn_assumed(
            f"{where}: a single frame and nothing that tells the rate; {ASSUMED_RATE:g} frames/s assumed (rate=…)."
        )
        return rows, ASSUMED_RATE
    found = _rate_of_column(rows, where, warn=not (stated.given or stated.header))
    if found < 1:
        raise InputError(f"{where}: {found:.3g} frames/s by its times. Are they milliseconds? Name the rate (rate=…).")
    if stated.given:
        raise InputError(
            f"{where}: rate={stated.given:g}, but its time column has {found:.5g} frames/s. Leave rate out, or "
            "resample the file (resample=…)."
        )
    if stated.header:
        warn_assumed(
            f"{where}: the header says DataRate {stated.header:g}, the Time column {found:g}; took the latter."
        )
    return rows, found


def _stated_rate(rows: TimedRows, stated: StatedRate, where: str) -> float | None:
    """The rate of the caller, or else of the header, if the times fit it."""
    known = stated.given or stated.header
    if not known or not _explains_times(known, rows):
        return None
    if stated.header and abs(known - stated.header) > 1e-3 * stated.header:
        warn_assumed(f"{where}: the header says DataRate {stated.header:g}; took {known:g} as stated (rate=…).")
    return known


def _time_spread_s(interval: float, time: np.ndarray) -> float:
    """How far the times lie apart from a line of that slope: greatest less least distance, s."""
    return float(np.ptp(time - interval * np.arange(len(time))))


def _closest_interval(time: np.ndarray) -> float:
    """The interval of the line from which the times lie apart least."""
    from scipy.optimize import minimize_scalar  # not loaded with every reader

    line = float(np.polyfit(np.arange(len(time)), time, 1)[0])
    reach = 2 * _time_spread_s(line, time) / (len(time) - 1)  # beyond, they lie farther apart
    bounds, options = (line - reach, line + reach), {"xatol": 1e-9 * reach}
    return float(minimize_scalar(_time_spread_s, bounds=bounds, args=(time,), method="bounded", options=options).x)


def _time_rounding(time: np.ndarray) -> float:
    return 4 * float(np.spacing(np.abs(time).max())) + 1e-12


def _explains_times(rate: float, rows: TimedRows) -> bool:
    """Whether the column is that of a uniform rate, printed as coarsely as it is."""
    interval, step = 1 / rate, rows.step
    if step <= _MAX_ROUNDING_RESOLVED * interval:
        allowed = _MAX_TIME_JITTER * interval + step
    else:  # rounding shifts no row of a rate whose frames fall on printed times: one that is shifted was dropped
        allowed = step if abs(interval / step - round(interval / step)) > 1e-6 else 0.0
    return _time_spread_s(interval, rows.time) <= allowed * (1 + 1e-6) + _time_rounding(rows.time)


def _rate_of_column(rows: TimedRows, where: str, warn: bool) -> float:
    """The customary or round rate that is within the rounding of the times. warn: where several customary ones are."""
    time, rounding = rows.time, _time_rounding(rows.time)
    if not time[-1] - time[0] > len(time) * np.finfo(float).tiny:
        raise InputError(f"{where}: the time column does not increase (from {time[0]:g} s to {time[-1]:g} s).")
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
    found = float([*customary, *television, *rounded, mean][0])
    # Other rates that fit as well, though their last frame is more than a printed step away.
    end = 1.01 * rows.step / (len(time) - 1)
    whole = np.floor(found / (1 + found * end)), np.ceil(found / max(1 - found * end, 1e-3))
    others = fitting([*television, *whole], printed)
    others = customary[1:] + [rate for rate in others if abs(1 / rate - 1 / found) > end]
    if others and warn:
        warn_assumed(
            f"{where}: the times are printed to {rows.step:g} s and fit {found:g} and {others[0]:g} frames/s; "
            f"took {found:g} (rate=…)."
        )
    return found


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
    """The rows interpolated linearly at a uniform rate, from the first time on. What lies in a gap is missing."""
    again = np.flatnonzero(np.diff(rows.time) == 0).tolist()
    if all(_rows_are_equal(rows, i, i + 1) for i in again):
        rows = rows.keep(np.setdiff1d(np.arange(len(rows.time)), again))
    time, steps = rows.time, np.diff(rows.time)
    if not (steps > 0).all():
        i = int(np.argmax(steps <= 0))
        raise InputError(f"{where}: {time[i]:g} s is followed by {time[i + 1]:g} s; times must increase to resample.")
    if (frames := (time[-1] - time[0]) * rate + 1) > _MOST_FRAMES:
        raise InputError(f"{where}: {frames:.3g} frames at resample={rate:g}; at most {_MOST_FRAMES:g} are made.")
    grid = time[0] + np.arange(int(frames + 1e-6)) / rate
    if len(time) == 1:
        return TimedRows(grid, rows.values, 0.0)
    before = np.clip(np.searchsorted(time, grid, "right") - 1, 0, len(time) - 2)
    part = (grid - time[before]) / steps[before]
    part = np.where(np.abs(part - np.round(part)) < 1e-6, np.round(part), part)[:, None]
    first, second = rows.values[before], rows.values[before + 1]
    values = np.where(part == 0, first, np.where(part == 1, second, (1 - part) * first + part * second))
    far = (steps[before] > max(_MAX_BRIDGED_GAP_S, 2 * float(np.median(steps))))[:, None] & (part > 0) & (part < 1)
    if far.any():
        warn_assumed(
            f"{where}: {int(far.sum())} frames lie in gaps of more than {_MAX_BRIDGED_GAP_S:g} s; left missing."
        )
    return TimedRows(grid, np.where(far, np.nan, values), 0.0)
