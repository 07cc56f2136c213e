"""Errors that a user can act on, and what every room asks of names and paths.

A message says what was found, what was wanted, where, and what to do. The command line prints it without a traceback
and exits with code 2; library callers catch :class:`InputError`.
"""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches
from os import PathLike, fspath
from os.path import isdir

_MAX_NAME_CHARACTERS = 80  # characters of a name that a message repeats


class InputError(ValueError):
    """Something handed in (a file, a configuration, an array) cannot be used as it is.

    The message says what was found, what was expected, where, and what to do.
    """


class Remark(UserWarning):
    """What a reader left out, or did because the caller asked for it: worth a line, and no sign of a fault."""


def require_path(path: str | PathLike) -> None:
    """Raise for an empty path, which the system takes for the working folder and no message can name."""
    if not fspath(path):
        raise InputError("the path handed in is empty; name a file.")


def missing_file(path: str | PathLike) -> str:
    """What is to be said of a path at which there is no file."""
    return "a folder, where a file is wanted" if isdir(path) else "no such file"


def nearest_name(found: str, names: Sequence[str]) -> str | None:
    """The one of `names` that was probably meant. Of names that are equally near none is: 'cam9' is no more 'cam01'
    than 'cam02'."""
    near = get_close_matches(found, names, n=2, cutoff=0.6)
    distances = [SequenceMatcher(None, name, found).ratio() for name in near]
    return near[0] if len(set(distances)) == len(near) > 0 else None


def unknown_name(kind: str, found: str, available: Iterable[str], where: str = "") -> InputError:
    """The error for a name that does not exist; lists those that do and proposes the `nearest_name`."""
    names, found = list(available), found if len(found) <= _MAX_NAME_CHARACTERS else f"{found[:_MAX_NAME_CHARACTERS]}…"
    meant = nearest_name(found, names)
    place = f" in {where}" if where else ""
    hint = f" Did you mean {meant!r}?" if meant is not None else ""
    return InputError(f"unknown {kind} {found!r}{place}.{hint} Available: {', '.join(names) or 'none'}.")


def require_known(kind: str, wanted: Iterable[object], available: Iterable[str], where: str = "") -> None:
    """Raises `unknown_name` for the first of the wanted names that is not available."""
    available = list(available)
    for name in wanted:
        if name not in available:
            raise unknown_name(kind, str(name), available, where)


def index_of_name(name: str, names: Sequence[str], kind: str, where: str = "") -> int:
    """Index of `name` among `names`; raises `unknown_name` where it is none of them."""
    if name not in names:
        raise unknown_name(kind, name, names, where)
    return names.index(name)
