"""Errors that a user can act on, and checks of names and paths that all rooms use.

A message says what was found, what was wanted, where, and what to do. The command line prints it without a traceback
and exits with code 2; library callers catch :class:`InputError`.
"""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import SequenceMatcher, get_close_matches
from glob import escape, glob
from os import PathLike, fspath, stat
from os.path import abspath, basename, exists, isdir, isfile, split, splitext

_MAX_NAME_CHARACTERS = 80  # characters of a name that a message repeats
# What some file system refuses in a name: Windows' list, lone surrogates, dots and spaces at either end.
_NOT_IN_FILE_NAMES = re.compile(r'[\x00-\x1f\x7f\ud800-\udfff<>:"/\\|?*%]|^[. ]|[. ]\Z')
_DEVICE_NAMES = re.compile(r"(con|prn|aux|nul|con(in|out)\$|(com|lpt)[\d\u00b9\u00b2\u00b3])\s*(\..*)?", re.I | re.S)
_MAX_FILE_NAME_BYTES = 120  # leaves room for file extensions, frame numbers and temporary suffixes


class InputError(ValueError):
    """Something handed in (a file, a configuration, an array) cannot be used as it is.

    The message says what was found, what was expected, where, and what to do.
    """


class Remark(UserWarning):
    """A notice that a reader left something out or followed a caller's request; it is no sign of a fault."""


def printable(text: object) -> str:
    """The text without control characters: a name in a foreign file could send commands to the terminal."""
    shown = (c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" for c in str(text))  # Zs: all spaces
    return "".join(c if keep else "\N{REPLACEMENT CHARACTER}" for c, keep in zip(str(text), shown, strict=True))


def require_path(path: str | PathLike) -> None:
    """Raise for an empty path (the working folder), a pipe or device (it may never end), and a name that is no UTF-8,
    at which OpenCV crashes."""
    if not isinstance(path, str | PathLike):
        raise InputError(f"{path!r:.80} is no path; name a file.")
    if not fspath(path):
        raise InputError("the path handed in is empty; name a file.")
    if re.search("[\ud800-\udfff]", str(path)):
        raise InputError(f"{str(path)!r}: the name is no UTF-8; rename the file or folder.")
    if re.search("[\x01-\x1f]", str(path)) and not exists(path):
        cure = "In double quotes \\ begins an escape, \\n a new line: write paths in single quotes, or with /."
        raise InputError(f"{str(path)!r}: no such file. {cure}")
    if exists(path) and not (isfile(path) or isdir(path)):
        raise InputError(f"{path}: a pipe or device, where a file is wanted; save its content as a file.")


def without_formula(text: str) -> str:
    """The text; after an apostrophe where a spreadsheet would take it, such as a foreign name, for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def safe_file_name(name: str, most_bytes: int = _MAX_FILE_NAME_BYTES) -> str:
    """The name as part of a path that every system can store: characters that are not allowed become %XX.

    It is never a path itself. Ordinary names stay as they are, and different names stay different. Names that differ
    in upper and lower case only: `require_distinct_files`. most_bytes: beyond which it is shortened.
    """
    text = _NOT_IN_FILE_NAMES.sub(
        lambda match: "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "surrogatepass")), name
    )
    text = text or "%"
    if _DEVICE_NAMES.fullmatch(text):
        text = f"%{ord(text[0]):02X}{text[1:]}"
    if len(text.encode()) > most_bytes:
        text = f"{text[: most_bytes // 5]}%{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    return text


def require_file_name(name: str, most_bytes: int = _MAX_FILE_NAME_BYTES) -> str:
    """The name; raises where it is not its own `safe_file_name`."""
    if safe_file_name(name, most_bytes) != name:
        raise InputError(f"{name!r:.100} cannot be the name of a file on every system; choose another.")
    return name


def require_inside(name: str) -> str:
    """The relative path that a file names; raises where it leads out of a folder, on any system."""
    parts = re.split(r"[/\\]", name)
    if ".." in parts or not parts[0] or re.match("[A-Za-z]:", name):
        raise InputError(f"{name!r:.100} leads out of the folder; name files below it.")
    return name


def as_file_systems_compare(name: str) -> str:
    """The name without upper case and in one form of Unicode: an ä may be one character (NFC) or two (NFD)."""
    return unicodedata.normalize("NFC", name).casefold()


def require_distinct_files(kind: str, names: Iterable[str]) -> None:
    """Raise where two names would be one file on systems that ignore upper and lower case."""
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(as_file_systems_compare(name), name)
        if other != name:
            raise InputError(f"{kind} {other!r} and {name!r} are one file on Windows and macOS; rename one of them.")


def require_ending(path: str | PathLike | None, what: str, endings: Iterable[str]) -> None:
    """Raise where the file to write, if any, has another ending than those, or is a folder. what: for its message."""
    if path is not None and splitext(path)[1].lower() not in endings:
        raise InputError(f"{path}: the ending for {what} is {' or '.join(endings)}; name the file so.")
    if path is not None and isdir(path):
        raise InputError(f"{path} is a folder, and {what} is a file; name one.")


def require_file(path: str | PathLike) -> None:
    """`require_path`, and raise where there is no file."""
    require_path(path)
    if not isfile(path):
        raise InputError(f"{path}: {missing_file(path)}.")


def missing_file(path: str | PathLike) -> str:
    """Why `path` is not a file, for an error message; a file of nearly the same name is shown by its characters."""
    if isdir(path):
        return "a folder, where a file is wanted"
    folder, name = split(abspath(path))
    names = (basename(file) for file in glob(f"{escape(folder)}/*"))
    alike = [one for one in names if as_file_systems_compare(one) == as_file_systems_compare(name)]
    return f"no such file, but {alike[0]!a}; write the name so, or rename the file" if alike else "no such file"


def file_version(path: str | PathLike) -> tuple[int, ...]:
    """Time, size and inode of a file, a cache key that changes when it is rewritten; () where there is no file."""
    try:
        status = stat(path)
    except (OSError, ValueError):
        return ()
    return status.st_mtime_ns, status.st_size, status.st_ino


@contextmanager
def needing_extra(what: str, extra: str) -> Iterator[None]:
    """Context that turns a failed import into an `InputError`: `what` needs the package, and `extra` installs it."""
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"{what} needs the package {error.name}, which is not installed: pip install 'simspine[{extra}]'."
        ) from None


@contextmanager
def naming_content(path: object, expected: str) -> Iterator[None]:
    """Context that turns any error of a file reader into an `InputError` with the path and what was expected.
    Readers of damaged files raise exceptions of many kinds."""
    try:
        yield
    except InputError as error:
        raise error if str(path) in str(error) else InputError(f"{path}: {error}") from None
    except Exception as error:
        raise InputError(f"{path}: not {expected} ({reason_of(error)}).") from None


_REASONS = {  # words in messages of the HDF5 library and of NumPy, and their meaning
    "signature not found": "it does not begin as an HDF5 file does",
    "truncated file": "it is cut short",
    "inhomogeneous shape": "its rows differ in length; are there decimal commas?",
    "found <U": "it holds texts; are there decimal commas?",
}


def reason_of(error: Exception) -> str:
    """Why a library could not read something, in words without names of Python types."""
    if isinstance(error, json.JSONDecodeError):
        return f"line {error.lineno}, column {error.colno}: {error.msg}"
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing" if error.args else "an entry is missing"
    if isinstance(error, RecursionError):
        return "it leads back to itself, or is nested without end"
    if isinstance(error, TypeError | AttributeError):
        return "an entry is of another kind than expected"
    text = str(error)
    return next((reason for words, reason in _REASONS.items() if words in text), text)


def names_text(names: Iterable[str], most: int = 5) -> str:
    """'a, b and 3 more'."""
    names = list(names)
    return ", ".join(names) if len(names) <= most else f"{', '.join(names[:most])} and {len(names) - most} more"


def nearest_name(found: str, names: Sequence[str]) -> str | None:
    """The most similar of `names`; None where none is similar or two are equally so ('cam9': 'cam01', 'cam02')."""
    near = get_close_matches(found, names, n=2, cutoff=0.6)
    distances = [SequenceMatcher(None, name, found).ratio() for name in near]
    return near[0] if len(set(distances)) == len(near) > 0 else None


def unknown_name(kind: str, found: str, available: Iterable[str], where: str = "") -> InputError:
    """The error for a name that does not exist; lists those that do and proposes the `nearest_name`."""
    names, found = list(available), found if len(found) <= _MAX_NAME_CHARACTERS else f"{found[:_MAX_NAME_CHARACTERS]}…"
    meant = nearest_name(found, names)
    place = f" in {where}" if where else ""
    alike = as_file_systems_compare(meant or "") == as_file_systems_compare(found)
    show = ascii if alike else repr  # accents as characters of their own look as others do
    hint = f" Did you mean {show(meant)}?" if meant is not None else ""
    return InputError(f"unknown {kind} {show(found)}{place}.{hint} Available: {', '.join(names) or 'none'}.")


def require_known(kind: str, wanted: Iterable[object], available: Iterable[str], where: str = "") -> None:
    """Raises `unknown_name` for the first of the wanted names that is not available."""
    available = list(available)
    for name in wanted:
        if name not in available:
            raise unknown_name(kind, str(name), available, where)


def index_of_name(name: str, names: Sequence[str], kind: str, where: str = "") -> int:
    """Index of `name` among `names`; raises `unknown_name` where it is none of them."""
    require_known(kind, (name,), names, where)
    return names.index(name)
