"""What the text formats share: tolerant lines in, numbers out, the rate behind a time column."""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from simspine.errors import InputError

C = TypeVar("C")
T = TypeVar("T")
_MISSING = {"", "nan", "-nan", "na", "n/a", "null", "-nan(ind)", "1.#qnan", "-1.#ind"}


def read_bytes(path: str | os.PathLike) -> bytes:
    """Content of a file; `InputError` naming it if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None


def read_text(path: str | os.PathLike) -> str:
    """Content as text: UTF-8, else Windows-1252, which older motion-capture software writes labels in."""
    content = read_bytes(path)
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    return content.decode("latin-1")  # every byte means something there


def parsed(loads: Callable[[C], T], content: C, kind: str, path: str | os.PathLike) -> T:
    """What `loads` makes of a file's content; `InputError` if it is not what `kind` says, such as 'valid JSON'."""
    try:
        return loads(content)
    except (ValueError, SyntaxError, LookupError, RecursionError) as error:
        raise InputError(f"{path}: not {kind} ({error}).") from None


def read_lines(path: str | os.PathLike) -> list[str]:
    """Lines without their ends (LF, CRLF or CR). Not `str.splitlines`, which also breaks at form feeds and the like."""
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return lines


def cells(line: str) -> list[str]:
    """Cells of a table row: separated by tabs where there are any (so a blank cell is one), else by white space."""
    return [cell.strip() for cell in line.split("\t")] if "\t" in line else line.split()


def number(cell: str, where: str) -> float:
    """A cell as a number, NaN if blank. `where` (file, line) goes into the error."""
    try:
        return float(cell)
    except ValueError:
        if cell.lower() in _MISSING:
            return np.nan
        raise InputError(f"{where}: {cell!r} is not a number.") from None


def table(rows: Sequence[tuple[int, str]], width: int, time: int, path, expected: str) -> tuple[np.ndarray, float]:
    """Numbers (rows, width) of rows (line number, text), and the rounding step of the column `time`.

    Raises `InputError` naming the line for text among the numbers and for other than `width` cells, which `expected`
    explains.
    """
    values, stamps = np.empty((len(rows), width)), []
    for i, (n, line) in enumerate(rows):
        where, row = f"{path}, line {n}", cells(line)
        if len(row) < width or any(row[width:]):
            raise InputError(f"{where}: {len(row)} cells, expected {width}{expected}")
        try:
            values[i] = row[:width]
        except ValueError:
            values[i] = [number(cell, where) for cell in row[:width]]
        stamps.append(row[time])
    return values, resolution(stamps)


def repeated(names: Iterable[str]) -> str:
    """The names that occur more than once, sorted, as a text."""
    return ", ".join(sorted(name for name, count in Counter(names).items() if count > 1))


def notice(message: str) -> None:
    """Tell the caller of a reader that something was assumed."""
    warnings.warn(message, UserWarning, stacklevel=3)


def resolution(texts: Sequence[str]) -> float:
    """The rounding step of printed numbers: 10^-decimals of the one with most decimals."""
    decimals = 0
    for text in texts:
        mantissa, _, exponent = text.lower().partition("e")
        if exponent:
            return 1e-12
        decimals = max(decimals, len(mantissa.partition(".")[2]))
    return 10.0**-decimals


def rate_of(time: np.ndarray, step: float, where: str) -> float | None:
    """Frames per second of a uniform time column that was rounded to `step` seconds; None for a single frame.

    The roundest number that the rounding of the column cannot tell from the rate of the first and last time.

    Raises `InputError` naming the first frame that is out of step (dropped or repeated frames, variable step).
    """
    if not np.isfinite(time).all():
        raise InputError(f"{where}: row {int(np.flatnonzero(~np.isfinite(time))[0]) + 1} of the data has no time.")
    if len(time) < 2:
        return None
    steps = np.diff(time)
    interval = float((time[-1] - time[0]) / len(steps))
    if interval <= 0:
        raise InputError(f"{where}: the time column does not increase (from {time[0]:g} s to {time[-1]:g} s).")
    late = np.abs(time - time[0] - interval * np.arange(len(time))) > 0.1 * interval + 1.01 * step
    if late.any():
        i = int(np.argmax(np.abs(steps - np.median(steps))))
        raise InputError(
            f"{where}: the time column is not uniform: {time[i]:g} s is followed by {time[i + 1]:g} s, where the usual "
            f"step is {np.median(steps):g} s. Resample the trial, or give its dropped frames rows with missing values."
        )
    for rate in (float(round(1 / interval)), round(1 / interval, 3), round(1 / interval, 6)):
        if rate > 0 and same_rate(rate, time, step):
            return rate
    return 1.0 / interval


def same_rate(rate: float, time: np.ndarray, step: float) -> bool:
    """Whether `rate` explains the length of a time column rounded to `step` seconds."""
    return bool(abs((len(time) - 1) / rate - (time[-1] - time[0])) <= 1.01 * step + 1e-12)
