"""Independent pieces of work on several threads. Worth it where the work is compiled and lets go of Python's lock."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from numbers import Integral
from typing import TypeVar

from simspine.errors import InputError

T = TypeVar("T")
R = TypeVar("R")


def map_on_threads(work: Callable[[T], R], items: Sequence[T], threads: int = 1) -> list[R]:
    """`work` of every item, in the items' order. Raises `InputError` where threads are not a whole number from 1 on."""
    if not isinstance(threads, Integral) or threads < 1:
        raise InputError(f"threads is {threads!r}, expected a whole number from 1 on.")
    if threads == 1 or len(items) <= 1:
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        return list(pool.map(work, items))
