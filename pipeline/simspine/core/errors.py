"""Errors that a user can act on, and what every room asks of names, arrays, frames and threads.

A message says what was found, what was wanted, where, and what to do. The command line prints it without a traceback
and exits with code 2; library callers catch :class:`InputError`.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import SequenceMatcher, get_close_matches
from numbers import Integral
from os import PathLike, fspath
from os.path import isdir
from types import MappingProxyType
from typing import Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

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


# Arrays and frame numbers.


def require_shape(name: str, value: ArrayLike, shape: tuple[int, ...], dtype: DTypeLike = float) -> np.ndarray:
    """`value` as an array of exactly `shape`, or an error that names both shapes."""
    array = np.asarray(value, dtype)
    if array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, expected {shape}.")
    return array


def evenly_spread(frames: int, most: int) -> np.ndarray:
    """Indices of at most so many of the frames, from the first to the last."""
    return np.unique(np.linspace(0, frames - 1, min(most, frames)).round().astype(int))


def runs_of_frames(frames: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of consecutive frame numbers as (first, after last)."""
    numbers = np.array(sorted(set(frames)), int)
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1)
    return [(int(part[0]), int(part[-1]) + 1) for part in parts if part.size]


def frame_ranges(frames: Iterable[int]) -> str:
    """Frame numbers as people write them: '3–7, 12'."""
    return ", ".join(str(a) if b == a + 1 else f"{a}–{b - 1}" for a, b in runs_of_frames(frames))


def median_of_known(values: np.ndarray) -> np.ndarray:
    """Median over the last axis of what is not NaN; NaN where nothing is."""
    ordered = np.sort(values, -1)  # NaN last
    count = (~np.isnan(values)).sum(-1)
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, values.shape[-1] - 1)
    pick = (np.take_along_axis(ordered, k[..., None], -1)[..., 0] for k in (low, high))
    return np.where(count > 0, sum(pick) / 2, np.nan)


def mean_of_known(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Mean of what is there; NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.where(known, values, 0.0).sum(axis) / np.where(count > 0, count, np.nan)


def rms_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    """Root mean square of what is there; NaN where nothing is."""
    values = np.asarray(values, float)
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.sqrt((np.where(known, values, 0.0) ** 2).sum(axis) / np.where(count > 0, count, np.nan))


class Unchanging:
    """What never changes: a copy is the thing itself, and what comes out of a pickle is as read-only as before."""

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo) -> Self:
        return self

    def __getstate__(self) -> tuple[dict, list[str]]:
        """The fields, and which of them are read-only mappings: pickle knows none."""
        mappings = [name for name, value in vars(self).items() if isinstance(value, MappingProxyType)]
        return vars(self) | {name: dict(vars(self)[name]) for name in mappings}, mappings

    def __setstate__(self, state: tuple[dict, list[str]]) -> None:
        values, mappings = state
        for name, value in values.items():
            for array in value.values() if isinstance(value, dict) else (value,):
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)
            object.__setattr__(self, name, MappingProxyType(value) if name in mappings else value)


T = TypeVar("T")
R = TypeVar("R")


def map_on_threads(work: Callable[[T], R], items: Sequence[T], threads: int = 1) -> list[R]:
    """`work` of every item, in the items' order. Worth it where the work is compiled and releases Python's lock.

    Raises `InputError` where threads are not a whole number from 1 on.
    """
    if not isinstance(threads, Integral) or threads < 1:
        raise InputError(f"threads is {threads!r}, expected a whole number from 1 on.")
    if threads == 1 or len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(work, items))
