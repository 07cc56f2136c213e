"""Helpers for arrays, arguments, frame numbers and threads that all rooms use."""

import inspect
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from numbers import Integral
from types import MappingProxyType, UnionType
from typing import Any, Self, TypeVar, Union, get_args, get_origin

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from simspine.core.errors import InputError, reason_of

NORMAL_95 = 1.96  # standard deviations on either side of a mean: every ± of report and terminal is this 95 % interval


def _join_masked_arrays(value: ArrayLike) -> ArrayLike:
    """Join masked arrays in a (nested) list into one masked array; NumPy would drop their masks."""
    if not isinstance(value, (list, tuple)) or not isinstance(value[:1] and value[0], (list, tuple, np.ndarray)):
        return value
    items: list[Any] = [_join_masked_arrays(item) for item in value]
    return np.ma.array(items) if any(isinstance(item, np.ma.MaskedArray) for item in items) else items


def require_numbers(
    name: str, value: ArrayLike, shape: tuple[int, ...] | None = None, *, dtype: DTypeLike = float
) -> np.ndarray:
    """Return `value` as a plain array of exactly `shape`, if one is given. Masked values become NaN (missing).

    Raises `InputError` for another shape, and for anything but real numbers: texts, dates, complex numbers.
    """
    try:
        given = np.asanyarray(_join_masked_arrays(value))
        if given.dtype.kind not in "biufO":
            raise ValueError(f"found {given.dtype}")
        if isinstance(given, np.ma.MaskedArray) and given.mask.any():
            if dtype is not float:
                raise ValueError("masked values need an array of float, where they are NaN")
            given = np.ma.filled(given.astype(float), np.nan)
        array = np.asarray(given, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} is not made of numbers ({reason_of(error)}).") from None
    if shape is not None and array.shape != shape:
        raise InputError(f"{name} has shape {array.shape}, expected {shape}.")
    return array


def require_finite_number(name: str, value: Any) -> float:
    with suppress(TypeError, ValueError, OverflowError):
        number = float(value)
        if np.isfinite(number) and not isinstance(value, bool | np.bool_):
            return number
    raise InputError(f"{name} is {value!s:.80}, expected a finite number.")


def require_texts_in_one_line(name: str, values: Any) -> tuple[str, ...]:
    """Names as texts. Line ends would break tables and pictures; surrogates cannot be written to a file.

    Sets have no order, and `str` of bytes is no name.
    """
    if np.iterable(values) and not isinstance(values, str | bytes | set | frozenset):
        texts = tuple("" if isinstance(value, bytes) else str(value) for value in values)
        if all(re.fullmatch(r"[^\x00-\x1f\ud800-\udfff]+", text) for text in texts):
            return texts
    raise InputError(f"{name} is {values!r:.80}, expected texts in one line and in an order, none of them empty.")


def with_checked_arguments(function: Callable) -> Callable:
    """The function; it raises `InputError` for an argument that is not of the type in its annotation."""
    parameters = inspect.signature(function).parameters

    @wraps(function)
    def checked(*args, **kwargs):
        given = dict(zip(parameters, args, strict=False)) | kwargs
        for name, value in given.items():
            annotation = parameters[name].annotation if name in parameters else Any
            if not _fits(value, annotation):
                wanted = re.sub(r"\w+\.", "", inspect.formatannotation(annotation))  # without names of modules
                raise InputError(f"{function.__name__}: {name} is a {_type_text(value)}, expected {wanted}.")
        return function(*args, **kwargs)

    return checked


def _type_text(value: Any) -> str:
    """'float', or 'list of Camera, str'."""
    types_of_items = sorted({type(item).__name__ for item in value}) if isinstance(value, list | tuple) else []
    return type(value).__name__ + (f" of {', '.join(types_of_items)}" if types_of_items else "")


def _fits(value: Any, annotation: Any) -> bool:
    """Whether a value is of the annotated type. Any value may be an array or a truth value: NumPy converts it."""
    kind, parts = get_origin(annotation) or annotation, get_args(annotation)
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is float:
        return hasattr(value, "__float__")
    if kind is int:
        return hasattr(value, "__index__")
    if kind is Sequence:
        is_array = isinstance(value, np.ndarray) and value.ndim > 0
        is_list = isinstance(value, Sequence) and not isinstance(value, str)
        return (is_array or is_list) and all(_fits(item, parts[0]) for item in value)
    is_open = kind in (Any, bool, np.ndarray, inspect.Parameter.empty) or not isinstance(kind, type)
    return is_open or isinstance(value, kind)


def columns_by_name(
    values: np.ndarray, names: Sequence[str], wanted: Sequence[str], missing: float = np.nan
) -> np.ndarray:
    """Columns of `values` (rows, names, …) in the order of `wanted`; `missing` in columns of names that are absent."""
    ordered = np.full((len(values), len(wanted), *values.shape[2:]), missing, values.dtype)
    for i, name in enumerate(wanted):
        if name in names:
            ordered[:, i] = values[:, names.index(name)]
    return ordered


def evenly_spread(frames: int, most: int) -> np.ndarray:
    """At most `most` frame indices, evenly spread from the first frame to the last."""
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
    """Median over the last axis of the values that are not NaN; NaN where there are none."""
    ordered = np.sort(values, -1)  # NaN last
    count = (~np.isnan(values)).sum(-1)
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, values.shape[-1] - 1)
    pick = (np.take_along_axis(ordered, k[..., None], -1)[..., 0] for k in (low, high))
    return np.where(count > 0, sum(pick) / 2, np.nan)


def mean_of_known(values: np.ndarray, axis: int | tuple[int, ...] | None) -> np.ndarray:
    """Mean of the finite values; NaN where there are none."""
    known = np.isfinite(values)
    count = known.sum(axis)
    return np.where(known, values, 0.0).sum(axis) / np.where(count > 0, count, np.nan)


def rms_of_known(values: np.ndarray, axis: int) -> np.ndarray:
    """Root mean square of the finite values; NaN where there are none."""
    return np.sqrt(mean_of_known(np.square(np.asarray(values, float)), axis))


def autocorrelation_time(values: np.ndarray) -> float:
    """Integrated autocorrelation time of values (frames, …), from 1 to the number of frames; NaN = missing.

    The mean is not subtracted: a lasting error is one error. Small correlations, below 0.05, end the sum.
    """
    frames, variance, total = len(values), mean_of_known(values**2, None) or np.inf, 1.0
    for lag in range(1, frames):
        correlation = mean_of_known(values[lag:] * values[:-lag], None) / variance
        if not correlation >= 0.05:
            break
        total += 2 * (1 - lag / frames) * float(correlation)
    return min(total, float(frames))


class Unchanging:
    """Base of immutable objects: a copy is the object itself; unpickled arrays and mappings are read-only again."""

    def _set(self, **values) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo) -> Self:
        return self

    def __getstate__(self) -> tuple[dict, list[str]]:
        """The fields, and the names of those that are read-only mappings, which pickle cannot store."""
        mappings = [name for name, value in vars(self).items() if isinstance(value, MappingProxyType)]
        return vars(self) | {name: dict(vars(self)[name]) for name in mappings}, mappings

    def __setstate__(self, state: tuple[dict, list[str]]) -> None:
        values, mappings = state
        for value in values.values():
            for array in value.values() if isinstance(value, dict) else (value,):
                if isinstance(array, np.ndarray):
                    array.setflags(write=False)
        self._set(**values | {name: MappingProxyType(values[name]) for name in mappings})


T = TypeVar("T")
R = TypeVar("R")


def map_on_threads(work: Callable[[T], R], items: Sequence[T], threads: int = 1) -> list[R]:
    """Apply `work` to every item, results in the items' order. It is faster where `work` is compiled and frees the GIL.

    Raises `InputError` where threads are not a whole number from 1 on.
    """
    if not isinstance(threads, Integral) or threads < 1:
        raise InputError(f"threads is {threads!r}, expected a whole number from 1 on.")
    if threads == 1 or len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(work, items))
