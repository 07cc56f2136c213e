"""What the text formats share: tolerant lines in, numbers out, names of columns, and what a reader had to assume."""

import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from simspine.errors import InputError, Remark, require_path

C = TypeVar("C")
T = TypeVar("T")
_MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
# Not a number: as Python, C, Microsoft's C library (1.#QNAN, -nan(ind)) and spreadsheets print it.
_MISSING = re.compile(r"|[+-]?(nan(\(\w*\))?|1\.#(qnan|snan|ind|nan)\d*)|n/?a|#n/a|null|none|-")
_INFINITE = re.compile(r"[+-]?1\.#inf\d*")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+(e[+-]?\d+)?", re.IGNORECASE)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2},\d{3}")


@dataclass(frozen=True, eq=False)
class TimedRows:
    """Numbers of a text table. time: (rows,) s. values: (rows, columns) beside the time. step: s, rounding of time."""

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
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}).") from None


def read_text(path: str | os.PathLike) -> str:
    """Content as text: UTF-8, UTF-16 with its byte order mark, else Windows-1252.

    Older motion-capture software writes labels in Windows-1252. Raises `InputError` for what is no text.
    """
    return decoded(read_bytes(path), path)[0]


def decoded(content: bytes, path: str | os.PathLike) -> tuple[str, str]:
    """Text of a file's content, and the encoding found; as `read_text`."""
    encodings = [name for mark, name in _MARKS if content.startswith(mark)] or ["utf-8", "cp1252", "latin-1"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text, encoding
    raise InputError(f"{path}: no text, or in an encoding that cannot be told. Save it as UTF-8.")


def parsed(loads: Callable[[C], T], content: C, kind: str, path: str | os.PathLike) -> T:
    """What `loads` makes of a file's content; `InputError` if it is not what `kind` says, such as 'valid JSON'."""
    try:
        return loads(content)
    except (ValueError, SyntaxError, LookupError, RecursionError) as error:
        raise InputError(f"{path}: not {kind} ({error}).") from None


def read_lines(path: str | os.PathLike) -> list[tuple[int, str]]:
    """Lines that are not blank, each with its number and without its end (LF, CRLF or CR).

    Not `str.splitlines`, which also breaks at form feeds and the like. Raises `InputError` for a file without any.
    """
    lines = read_text(path).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    filled = [(n, line) for n, line in enumerate(lines, 1) if line.strip(" \t,;")]
    if not filled:
        raise InputError(f"{path}: the file is empty.")
    return filled


def separator(labels: str) -> str | None:
    """What separates the cells of a table, told from its labels: tab, semicolon, comma; None for white space."""
    return next((mark for mark in "\t;," if mark in labels), None)


def cells(line: str, mark: str | None = "\t") -> list[str]:
    """Cells of a table row: separated by `mark` where there is any (so a blank cell is one), else by white space."""
    return [cell.strip() for cell in line.split(mark)] if mark and mark in line else line.split()


def number(cell: str, where: str) -> float:
    """A cell as a number, NaN if it says that there is none. `where` (file, line) goes into the error."""
    lower = cell.lower()
    if _MISSING.fullmatch(lower):
        return np.nan
    if _INFINITE.fullmatch(lower):
        return np.inf
    try:
        if "_" not in cell:
            return float(cell)
    except ValueError:
        pass
    mixed = " Other numbers of the table have a decimal point." if _DECIMAL_COMMA.fullmatch(cell) else ""
    raise InputError(f"{where}: {cell!r} is not a number.{mixed}")


def table(
    rows: Sequence[tuple[int, str]], labels: str, width: int, time: int, path: str | os.PathLike, expected: str
) -> TimedRows:
    """Numbers of rows (line number, text), laid out as the row of `labels`; `width` columns, `time` among them.

    Infinite values are missing, with a warning. Raises `InputError` naming the line for text among the numbers and for
    other than `width` cells, which `expected` explains.
    """
    mark = separator(labels)
    comma = mark != "," and _decimal_comma(rows, mark, path)
    values, stamps = np.empty((len(rows), width)), []
    for i, (n, line) in enumerate(rows):
        row = cells(line.replace(",", ".") if comma else line, mark if mark and mark in line else "\t")
        if len(row) < width or any(row[width:]):
            raise InputError(f"{path}, line {n}: {len(row)} cells, expected {width}{expected}")
        values[i] = _numbers(row[:width], f"{path}, line {n}")
        stamps.append(row[time])
    others = np.delete(values, time, axis=1)
    if infinite := int(np.isinf(others).sum()):
        notice(f"{path}: {infinite} infinite values; taken as missing.")
        others[np.isinf(others)] = np.nan
    return TimedRows(values[:, time], others, resolution(stamps))


def named(names: Sequence[str], values: np.ndarray, what: str, where: str) -> tuple[tuple[str, ...], np.ndarray]:
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
            f"{where}: several {what}s are called {listed(contradicting)} and hold different values. "
            "Rename or remove all but one."
        )
    if repetitions:
        remark(f"{where}: several {what}s are called {listed(repetitions)} and hold equal values; kept once.")
    if kept.pop("", None) is not None:
        remark(f"{where}: {sum(not name for name in names)} {what}s have no name; left out.")
    return tuple(kept), values[:, list(kept.values())]


def positive(text: str | None) -> float | None:
    """A number of a header, None if it is none above 0."""
    try:
        value = float((text or "nan").replace(",", "."))
    except ValueError:
        return None
    return value if 0 < value < np.inf else None


def repeated(names: Iterable[str]) -> str:
    """The names that occur more than once, sorted, as a text."""
    return listed(name for name, count in Counter(names).items() if count > 1)


def listed(names: Iterable[str], most: int = 8) -> str:
    """Different names as a text; only the first of very many."""
    unique = sorted(set(names))
    return ", ".join(unique[:most]) + (f" and {len(unique) - most} more" if len(unique) > most else "")


def notice(message: str) -> None:
    """Tell the caller of a reader that something was assumed."""
    warnings.warn(message, UserWarning, stacklevel=3)


def remark(message: str) -> None:
    """Tell the caller of a reader what was left out, or done as told."""
    warnings.warn(message, Remark, stacklevel=3)


def resolution(texts: Sequence[str]) -> float:
    """The rounding step of printed numbers: 10^-decimals of the one with most decimals."""
    decimals = 0
    for text in texts:
        mantissa, _, exponent = text.lower().partition("e")
        if exponent:
            return 1e-12
        decimals = max(decimals, len(mantissa.partition(".")[2]))
    return 10.0**-decimals


def _numbers(row: list[str], where: str) -> np.ndarray | list[float]:
    try:
        if not any("_" in cell for cell in row):  # Python takes 1_000 for a number
            return np.array(row, float)
    except ValueError:
        pass
    return [number(cell, where) for cell in row]


def _decimal_comma(rows: Sequence[tuple[int, str]], mark: str | None, path) -> bool:
    """Whether numbers are printed with a decimal comma, in a table whose cells something else separates.

    They are if some have one comma and none has a point. Raises `InputError` where commas may as well group thousands.
    """
    if not any("," in line for _, line in rows):
        return False
    found = [cell for _, line in rows for cell in cells(line, mark if mark and mark in line else "\t") if "," in cell]
    printed = [re.sub(r"1[.,]#", "", line) for _, line in rows]
    if any("." in line for line in printed) or not all(_DECIMAL_COMMA.fullmatch(c) or "#" in c for c in found):
        return False  # the reader of the numbers names the first that is none
    if all(_THOUSANDS.fullmatch(cell) for cell in found):
        raise InputError(
            f"{path}, line {rows[0][0]}: in numbers such as {found[0]!r} the comma may mark decimals or thousands. "
            "Write the file with decimal points."
        )
    return True
