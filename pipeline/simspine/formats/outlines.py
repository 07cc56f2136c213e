"""Outlines of a person in an image: rings of corners, as masks of pixels and as COCO's files have them.

Corners are px whose whole numbers are middles of pixels, as everywhere here; files count from the corner of the first
pixel, half a px before. A place is inside where it is within an odd number of rings, so a ring within another is a
hole.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from simspine.errors import InputError
from simspine.formats.coco import run_lengths

HALF = 0.5
DIGITS = 3  # of px in files
# Of a pixel: row and column of the one beyond an edge, and its ends with the pixel on the right, x and y.
EDGES = (
    ((-1, 0), (0, 0), (1, 0)), ((1, 0), (1, 1), (0, 1)), ((0, -1), (0, 1), (0, 0)), ((0, 1), (1, 0), (1, 1)),
)  # fmt: skip
MOST_PX = 1 << 28  # of a mask: no camera has more
Ring = tuple[tuple[float, float], ...]


class PersonOutline(NamedTuple):
    """rings: of corners x, y px. status: number of what a person did about it, as of a point."""

    rings: tuple[Ring, ...]
    status: int


def filled(rings: Sequence[Ring], size: tuple[int, int]) -> np.ndarray:
    """(height, width) bool: pixels whose middle is inside. size: (width, height) px."""
    width, height = size
    flips = np.zeros((height, width + 1), np.uint8)
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring, (*ring[1:], ring[0]), strict=True):
            low, high = (max(math.ceil(min(y0, y1)), 0), min(math.ceil(max(y0, y1)), height))
            if low < high:
                rows = np.arange(low, high)
                across = np.ceil(x0 + (rows - y0) * (x1 - x0) / (y1 - y0)).astype(int)
                flips[rows, np.clip(across, 0, width)] ^= 1
    return np.bitwise_xor.accumulate(flips, 1)[:, :width].astype(bool)


def traced(mask: np.ndarray) -> tuple[Ring, ...]:
    """The outline of a mask (height, width) bool along the edges of its pixels, so that `filled` gives it back; () for
    an empty one."""
    inside = np.pad(np.asarray(mask, bool), 1)
    after: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for way, start, end in EDGES:
        rows, columns = np.nonzero(inside & ~np.roll(inside, (-way[0], -way[1]), (0, 1)))
        for x, y in zip((columns - 1).tolist(), (rows - 1).tolist(), strict=True):
            after.setdefault((x + start[0], y + start[1]), []).append((x + end[0], y + end[1]))
    rings = []
    while after:
        ring = [next(iter(after))]
        while len(ring) == 1 or ring[-1] != ring[0]:
            ends = after[ring[-1]]
            here, there = ring[-1], ends.pop()
            if not ends:
                del after[here]
            ring.append(there)
        rings.append(_corners(ring[:-1]))
    return tuple(rings)


def _corners(ring: list[tuple[int, int]]) -> Ring:
    """Where a way along the edges of pixels turns."""
    beside = zip(ring[-1:] + ring[:-1], ring, ring[1:] + ring[:1], strict=True)
    return tuple((x - HALF, y - HALF) for a, (x, y), b in beside if (x - a[0], y - a[1]) != (b[0] - x, b[1] - y))


def has_holes(rings: Sequence[Ring], size: tuple[int, int]) -> bool:
    """Whether rings lie within one another."""
    return len(rings) > 1 and int(filled(rings, size).sum()) < sum(int(filled([ring], size).sum()) for ring in rings)


def to_file(ring: Ring) -> list[tuple[float, float]]:
    """Corners as files count them."""
    return [(round(x + HALF, DIGITS), round(y + HALF, DIGITS)) for x, y in ring]


def from_file(corners: Sequence[Sequence[float | str]], where: str) -> Ring:
    """Corners of a file, three or more; `InputError` for anything else."""
    try:
        ring = tuple((float(x) - HALF, float(y) - HALF) for x, y in corners)
    except (TypeError, ValueError):
        ring = ()
    if len(ring) < 3 or not np.isfinite(ring).all():
        raise InputError(f"{where}: the outline {str(corners)[:60]} has no three corners of two numbers.")
    return ring


def to_coco(rings: Sequence[Ring], size: tuple[int, int]) -> list[list[float]] | dict[str, Any]:
    """COCO's `segmentation`: polygons; runs of pixels for an outline with holes, which polygons cannot say."""
    if has_holes(rings, size):
        return run_lengths(filled(rings, size))
    return [[v for corner in to_file(ring) for v in corner] for ring in rings]


def from_coco(segmentation: Any, where: str) -> tuple[Ring, ...]:
    """Rings of COCO's `segmentation`: polygons, or runs of pixels, also packed into a text as pycocotools writes them.

    () where there is none. Raises `InputError` for anything else.
    """
    if not segmentation:
        return ()
    if isinstance(segmentation, list):
        if any(not isinstance(flat, list) or len(flat) % 2 for flat in segmentation):
            raise InputError(f"{where}: `segmentation` is {str(segmentation)[:60]}; expected polygons x1 y1 x2 y2 ….")
        return tuple(from_file(list(zip(flat[::2], flat[1::2], strict=True)), where) for flat in segmentation)
    try:
        height, width = (int(side) for side in segmentation["size"])
        counts = segmentation["counts"]
        runs = _unpacked(counts) if isinstance(counts, str) else counts
    except (TypeError, LookupError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: `segmentation` is neither polygons nor runs of pixels ({error!r}).") from None
    return traced(unrolled(runs, (width, height), where).T)


def unrolled(runs: Sequence[Any], shape: tuple[int, int], where: str) -> np.ndarray:
    """(rows, columns) bool of runs of 0 and 1 in turn, row by row; `InputError` where they do not fill the shape."""
    try:
        lengths = np.array([int(run) for run in runs])
    except (TypeError, ValueError, OverflowError):
        lengths = np.array([-1])
    rows, columns = shape
    if min(shape) < 0 or (lengths < 0).any() or lengths.sum() != rows * columns or rows * columns > MOST_PX:
        raise InputError(f"{where}: runs of a mask do not fill its {rows} × {columns} px.")
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(rows, columns)


def _unpacked(text: str) -> list[int]:
    """Runs of COCO's packed text: five bits a letter, lowest first, from the third on as differences (rleFrString of
    its maskApi.c)."""
    runs: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"the letter {letter!r} in packed runs")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return runs
