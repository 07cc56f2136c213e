"""A row of dots in one image: perforated tape along the spine, of which two dots or more are clicked.

Spots are where the colour of a disk differs from that around it as it does at the clicked dots. Between two clicked
dots the row is the chain of as many spots as there are dots, whose steps change least from one to the next (dynamic
programming over chains; a dot may be covered, and then two steps make one).
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from simspine.detection.blob_centre import find_centre
from simspine.detection.crops import Crops
from simspine.errors import InputError

DISK, AROUND = 0.6, 1.6  # widths of the two Gaussians, in radii of a dot
FAINTEST = 0.35  # of the clicked dots' contrast, from which something is a spot
BESIDE = 0.45  # of the distance of two clicked dots: how far the row may swing out between them
SHORTEST, LONGEST = 0.45, 2.0  # of the mean step between two clicked dots
EVEN = 0.2  # of a step: by how much the next one differs, one standard deviation
COVERED_COST = 4.0  # of a dot that is not there
MOST_COVERED = 2  # neighbouring dots, in the clicked image
UNEVEN = 1.45  # ratio of two neighbouring steps from which spots are no row
PASSED = 0.3  # of a step: a spot that near the row, and not in it, is a dot that was passed over

Dots = dict[int, np.ndarray]  # number along the row, from 1 → (2,) px


class _Chain(NamedTuple):
    """The best way to a spot: cost, the step per dot that led there (2,), and where it came from."""

    cost: float
    step: np.ndarray
    before: tuple[int, int, int] | None  # key of the chain before: (dot, spot, dots passed)


def find_row(crops: Crops, frame: int, clicked: Mapping[int, tuple[float, float]], radius: float) -> Dots:
    """Places of the dots from the first to the last one clicked, without those that are covered.

    clicked: {number: (x, y) px}, two or more. radius: of a dot, px. Raises `InputError` where the spots between two
    clicks are not as many dots in a row.
    """
    numbers = sorted(clicked)
    ends = {n: _centred(crops, frame, np.asarray(clicked[n], float), radius) for n in numbers}
    found = dict(ends)
    for first, last in pairwise(numbers):
        if last - first > 1:
            found |= _between(crops, frame, (ends[first], ends[last]), (first, last), radius)
    return found


def _between(
    crops: Crops, frame: int, ends: tuple[np.ndarray, np.ndarray], dots: tuple[int, int], radius: float
) -> Dots:
    count = dots[1] - dots[0]
    spots = np.array([ends[0], *_spots(crops, frame, ends, radius), ends[1]])
    chosen = _best_chain(spots, count)
    if chosen is None or not _is_even(spots, chosen):
        raise InputError(
            f"between the clicks on dots {dots[0]} and {dots[1]} of the tape in frame {frame}, {len(spots) - 2} spots "
            f"were found, but no even row of {count - 1} dots. Are these the dots' numbers, and is radius_px right? "
            f"If so, click one more dot between them; more than {MOST_COVERED} neighbours may not be covered there."
        )
    return {dots[0] + number: spots[i] for number, i in chosen[1:-1]}


def _is_even(spots: np.ndarray, chain: list[tuple[int, int]]) -> bool:
    """Whether neighbouring steps are alike, and no other spot lies in the row."""
    steps = [np.hypot(*(spots[j] - spots[i])) / (n - m) for (m, i), (n, j) in pairwise(chain)]
    if any(max(a, b) > UNEVEN * min(a, b) for a, b in pairwise(steps)):
        return False
    others = np.delete(spots, [i for _, i in chain], 0)
    for ((_, i), (_, j)), step in zip(pairwise(chain), steps, strict=True):
        way = spots[j] - spots[i]
        share = np.clip((others - spots[i]) @ way / (way @ way), 0, 1)
        if (np.hypot(*(others - spots[i] - share[:, None] * way).T) < PASSED * step).any():
            return False
    return True


def _spots(crops: Crops, frame: int, ends: tuple[np.ndarray, np.ndarray], radius: float) -> Iterator[np.ndarray]:
    """Places (2,) px that look like the two ends and lie near the line between them."""
    import cv2

    centre, chord = np.round((ends[0] + ends[1]) / 2), ends[1] - ends[0]
    length = float(np.hypot(*chord))
    half = int(np.ceil((0.5 + BESIDE) * length + 4 * radius))
    image = crops.window(frame, centre, half).astype(np.float32)
    blurred = [cv2.GaussianBlur(image, (0, 0), width * radius) for width in (DISK, AROUND)]
    colours = blurred[0] - blurred[1]
    inside = [np.round(end - centre + half).astype(int) for end in ends]
    as_clicked = np.mean([colours[y, x] for x, y in inside], 0)
    contrast = colours @ as_clicked / max(float(np.linalg.norm(as_clicked)), 1e-9)
    peak = cv2.dilate(contrast, np.ones((2 * int(radius) + 1,) * 2, np.uint8))
    least = FAINTEST * min(float(peak[y, x]) for x, y in inside)
    y, x = np.nonzero((contrast == peak) & (contrast >= least))
    places = np.stack([x, y], 1) + centre - half
    along, beside = (places - ends[0]) @ chord / length, np.abs((places - ends[0]) @ [-chord[1], chord[0]]) / length
    near = (along > -BESIDE * length) & (along < (1 + BESIDE) * length) & (beside < BESIDE * length)
    for place in places[near]:
        spot = _centred(crops, frame, place, radius)
        if min(np.hypot(*(spot - end)) for end in ends) > 1.5 * radius:
            yield spot


def _centred(crops: Crops, frame: int, place: np.ndarray, radius: float) -> np.ndarray:
    blob = find_centre(lambda p, half: crops.window(frame, p, half), place, radius)
    return blob.xy if np.hypot(*(blob.xy - place)) <= radius else place


def _best_chain(spots: np.ndarray, count: int) -> list[tuple[int, int]] | None:
    """[(number, spot)] from the first spot, number 0, to the last one, number `count`; None if none leads there."""
    last, mean = len(spots) - 1, float(np.hypot(*(spots[-1] - spots[0]))) / count
    ways = _steps(spots, mean)
    chains: list[dict[tuple[int, int], _Chain]] = [{} for _ in range(count + 1)]  # {(spot, steps taken at once): best}
    chains[0][0, 1] = _Chain(0.0, np.zeros(2), None)
    for number in range(count):
        for (i, passed), chain in chains[number].items():
            for j, at_once, step in ways[i]:
                after = number + at_once
                if after > count or (j == last) != (after == count):
                    continue
                change = float(np.hypot(*(step - chain.step)) if number else abs(np.hypot(*step) - mean) / 2)
                cost = chain.cost + (change / (EVEN * mean)) ** 2 + COVERED_COST * (at_once - 1)
                known = chains[after].get((j, at_once))
                if known is None or cost < known.cost:
                    chains[after][j, at_once] = _Chain(cost, step, (number, i, passed))
    if not chains[count]:
        return None
    key: tuple[int, int, int] | None = (count, *min(chains[count], key=lambda way: chains[count][way].cost))
    found = []
    while key is not None:
        number, spot, passed = key
        found.append((number, spot))
        key = chains[number][spot, passed].before
    return found[::-1]


def _steps(spots: np.ndarray, mean: float) -> list[list[tuple[int, int, np.ndarray]]]:
    """For each spot the spots that may follow: (spot, as how many steps, one such step (2,) px)."""
    apart = spots[None] - spots[:, None]
    lengths = np.hypot(apart[..., 0], apart[..., 1])
    return [
        [
            (int(j), at_once, apart[i, j] / at_once)
            for at_once in range(1, MOST_COVERED + 2)
            for j in np.flatnonzero((lengths[i] > SHORTEST * at_once * mean) & (lengths[i] < LONGEST * at_once * mean))
        ]
        for i in range(len(spots))
    ]
