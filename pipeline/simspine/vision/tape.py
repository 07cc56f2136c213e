"""A tape with dots along the spine, followed through one view's video from the clicks on a few of them.

Each dot is tracked by optical flow and corrected to its centre, as a single marker is. The dots are also known to be an
evenly spaced row: a dot away from the position that its neighbours predict is dropped, and a covered dot is found again
at that position. Each dot therefore keeps its number.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import distance_from_segment
from simspine.vision.detector import Crops
from simspine.vision.skin_markers import (
    LOST_CONTRAST_SHARE,
    find_centre,
    follow_by_flow,
    join_both_ways,
    require_on_trunk,
    within_distance,
)

# A row of dots in one image: perforated tape along the spine, of which two dots or more are clicked.
# Spots are places where a disk differs in colour from its surroundings as it does at the clicked dots. Between two
# clicked dots the row is the chain of as many spots as there are dots, whose steps change least from one to the
# next (dynamic programming over chains; a covered dot makes a step of double length).


DOT_DISK_WIDTH, DOT_SURROUND_WIDTH = 0.6, 1.6  # widths of the two Gaussians, in radii of a dot
MIN_DOT_CONTRAST = 0.35  # least contrast of a spot, relative to the clicked dots
MAX_ROW_SWING = 0.45  # of the distance of two clicked dots: largest deviation of the row from the line between them
MIN_DOT_STEP, MAX_DOT_STEP = 0.45, 2.0  # of the mean step between two clicked dots
STEP_CHANGE_SD = 0.2  # of a step: standard deviation of the change from one step to the next
COVERED_COST = 4.0  # of a covered dot
MAX_COVERED_DOTS = 2  # neighbouring dots, in the clicked image
MAX_STEP_RATIO = 1.45  # largest ratio of two neighbouring steps in a row
PASSED_DOT_DISTANCE = 0.3  # of a step: a spot nearer to the row, but not in it, is a dot that the chain left out

DotPlaces = dict[int, np.ndarray]  # number along the row, from 1 → (2,) px


class _Chain(NamedTuple):
    """The best chain to a spot: cost, last step (2,) px per dot, and key of the chain without it."""

    cost: float
    step: np.ndarray
    before: tuple[int, int, int] | None  # (dot, spot, number of dots of the step before)


def find_dot_row(crops: Crops, frame: int, clicked: Mapping[int, tuple[float, float]], radius: float) -> DotPlaces:
    """Positions of the dots from the first to the last one clicked, without those that are covered.

    clicked: {number: (x, y) px}, two or more. radius: of a dot, px. Raises `InputError` where the spots between two
    clicks are not as many dots in a row.
    """
    numbers = sorted(clicked)
    ends = {n: _centred_dot(crops, frame, np.asarray(clicked[n], float), radius) for n in numbers}
    found = dict(ends)
    for first, last in pairwise(numbers):
        if last - first == 1:
            continue
        pair = ends[first], ends[last]
        spots = np.array([pair[0], *_dot_like_spots(crops, frame, pair, radius), pair[1]])
        chosen = _best_chain(spots, last - first)
        if chosen is None or not _is_even(spots, chosen):
            raise InputError(
                f"between the clicks on dots {first} and {last} of the tape in frame {frame}, {len(spots) - 2} spots "
                f"were found, but no even row of {last - first - 1} dots. Are these the dots' numbers, and is "
                "radius_px right? If so, click one more dot between them; more than "
                f"{MAX_COVERED_DOTS} neighbours may not be covered there."
            )
        found |= {first + number: spots[i] for number, i in chosen[1:-1]}
    return found


def _is_even(spots: np.ndarray, chain: list[tuple[int, int]]) -> bool:
    """Whether neighbouring steps are similar, and no other spot lies in the row."""
    steps = [np.hypot(*(spots[j] - spots[i])) / (n - m) for (m, i), (n, j) in pairwise(chain)]
    if any(max(a, b) > MAX_STEP_RATIO * min(a, b) for a, b in pairwise(steps)):
        return False
    others = np.delete(spots, [i for _, i in chain], 0)
    for ((_, i), (_, j)), step in zip(pairwise(chain), steps, strict=True):
        if (distance_from_segment(others, spots[i], spots[j]) < PASSED_DOT_DISTANCE * step).any():
            return False
    return True


def _dot_like_spots(
    crops: Crops, frame: int, ends: tuple[np.ndarray, np.ndarray], radius: float
) -> Iterator[np.ndarray]:
    """Spots (2,) px that look like the two ends and lie near the line between them."""
    centre, chord = np.round((ends[0] + ends[1]) / 2), ends[1] - ends[0]
    length = float(np.hypot(*chord))
    half = int(np.ceil((0.5 + MAX_ROW_SWING) * length + 4 * radius))
    image = crops.window(frame, centre, half).astype(np.float32)
    inside = [np.round(end - centre + half).astype(int) for end in ends]
    places = _contrast_peaks(image, inside, radius) + centre - half
    along, across = (places - ends[0]) @ chord / length, np.abs((places - ends[0]) @ [-chord[1], chord[0]]) / length
    swing = MAX_ROW_SWING * length
    near = (along > -swing) & (along < length + swing) & (across < swing)
    for place in places[near]:
        spot = _centred_dot(crops, frame, place, radius)
        if min(np.hypot(*(spot - end)) for end in ends) > 1.5 * radius:
            yield spot


def _contrast_peaks(image: np.ndarray, clicked: list[np.ndarray], radius: float) -> np.ndarray:
    """Positions (n, 2) px of disks with locally greatest contrast of the kind that the clicked dots have."""
    import cv2

    blurred = [cv2.GaussianBlur(image, (0, 0), width * radius) for width in (DOT_DISK_WIDTH, DOT_SURROUND_WIDTH)]
    colours = blurred[0] - blurred[1]
    clicked_colour = np.mean([colours[y, x] for x, y in clicked], 0)
    contrast = colours @ clicked_colour / max(float(np.linalg.norm(clicked_colour)), 1e-9)
    peak = cv2.dilate(contrast, np.ones((2 * int(radius) + 1,) * 2, np.uint8))
    least = MIN_DOT_CONTRAST * min(float(peak[y, x]) for x, y in clicked)
    y, x = np.nonzero((contrast == peak) & (contrast >= least))
    return np.stack([x, y], 1)


def _centred_dot(crops: Crops, frame: int, place: np.ndarray, radius: float) -> np.ndarray:
    blob = find_centre(crops, frame, place, radius)
    return blob.xy if np.hypot(*(blob.xy - place)) <= radius else place


def _best_chain(spots: np.ndarray, count: int) -> list[tuple[int, int]] | None:
    """[(number, spot)] from the first spot, number 0, to the last one, number `count`; None if none leads there."""
    last, mean = len(spots) - 1, float(np.hypot(*(spots[-1] - spots[0]))) / count
    steps = _possible_steps(spots, mean)
    chains: list[dict[tuple[int, int], _Chain]] = [{} for _ in range(count + 1)]  # {(spot, dots of its step): best}
    chains[0][0, 1] = _Chain(0.0, np.zeros(2), None)
    for number in range(count):
        for (i, last_dots), chain in chains[number].items():
            for j, dots, step in steps[i]:
                after = number + dots
                if after > count or (j == last) != (after == count):
                    continue
                change = float(np.hypot(*(step - chain.step)) if number else abs(np.hypot(*step) - mean) / 2)
                cost = chain.cost + (change / (STEP_CHANGE_SD * mean)) ** 2 + COVERED_COST * (dots - 1)
                known = chains[after].get((j, dots))
                if known is None or cost < known.cost:
                    chains[after][j, dots] = _Chain(cost, step, (number, i, last_dots))
    if not chains[count]:
        return None
    key: tuple[int, int, int] | None = (count, *min(chains[count], key=lambda end: chains[count][end].cost))
    found = []
    while key is not None:
        number, spot, last_dots = key
        found.append((number, spot))
        key = chains[number][spot, last_dots].before
    return found[::-1]


def _possible_steps(spots: np.ndarray, mean: float) -> list[list[tuple[int, int, np.ndarray]]]:
    """For each spot the spots that may follow: (spot, number of dots of the step, step per dot (2,) px)."""
    differences = spots[None] - spots[:, None]
    lengths = np.hypot(differences[..., 0], differences[..., 1])
    return [
        [
            (int(j), dots, differences[i, j] / dots)
            for dots in range(1, MAX_COVERED_DOTS + 2)
            for j in np.flatnonzero(
                (lengths[i] > MIN_DOT_STEP * dots * mean) & (lengths[i] < MAX_DOT_STEP * dots * mean)
            )
        ]
        for i in range(len(spots))
    ]


NEIGHBOUR_REACH = 3  # neighbours on either side that predict a dot's position
MIN_NEIGHBOURS = 3
MAX_ROW_DEVIATION = 0.3  # of a step: largest distance of a dot from the position that its neighbours predict
SIMILAR_CONTRAST_SHARE = 0.4  # least contrast of a dot found again, relative to the usual contrast; 1 / greatest

TapeClicks = Mapping[int, Mapping[int, tuple[float, float]]]  # number of a dot, from 1 → {frame: x, y px}


def track_tape(crops: Crops, clicks: TapeClicks, dots: int, radius: float) -> np.ndarray:
    """(frames, dots, 3) x px, y px, confidence 0…1; NaN and 0 where a dot is not seen.

    crops: the images. clicks: of this view, two dots or more in a frame that has any. radius: of a dot, px. Raises
    `InputError` for a click outside the images, and where no row of dots lies between the clicks.
    """
    rows = clicked_rows(crops, clicks, radius)
    forward, backward = (_track_one_way(crops, rows, dots, radius=radius, step=step) for step in (1, -1))
    tracks = np.empty((len(crops), dots, 3))
    for k in range(dots):
        seen = {frame: tuple(row[k + 1]) for frame, row in rows.items() if k + 1 in row}
        anchors = seen or dict.fromkeys(rows, (0.0, 0.0))  # covered in all clicked images: only their frames are used
        tracks[:, k] = join_both_ways(forward[:, k], backward[:, k], anchors, radius)
    return tracks


def clicked_rows(crops: Crops, clicks: TapeClicks, radius: float) -> dict[int, DotPlaces]:
    """{frame: dots from the first to the last one clicked} for frames with clicks. Errors as of `track_tape`."""
    by_frame: dict[int, dict[int, tuple[float, float]]] = {}
    for number, clicked in clicks.items():
        for frame, xy in clicked.items():
            require_on_trunk(crops, f"dot {number} of the tape", frame, xy)
            by_frame.setdefault(frame, {})[number] = xy
    for frame, row in by_frame.items():
        if len(row) < 2:
            raise InputError(
                f"frame {frame} has a click on dot {next(iter(row))} of the tape only; click two dots or more in the "
                "same frame, the first and the last one in sight."
            )
    return {frame: find_dot_row(crops, frame, row, radius) for frame, row in by_frame.items()}


def _track_one_way(crops: Crops, rows: Mapping[int, DotPlaces], dots: int, radius: float, step: int) -> np.ndarray:
    """Tracks (frames, dots, 3) from the clicked frames on, in one direction of time."""
    found = np.tile([np.nan, np.nan, 0.0], (len(crops), dots, 1))
    places, motion, usual = np.full((dots, 2), np.nan), np.zeros((dots, 2)), 0.0
    for frame in range(len(crops))[::step]:
        before = places.copy()
        if frame in rows:
            places[:] = np.nan
            for number, xy in rows[frame].items():
                places[number - 1] = xy
            usual = float(np.median([find_centre(crops, frame, xy, radius).mass for xy in rows[frame].values()]))
        else:
            for k in np.flatnonzero(np.isfinite(before[:, 0])):
                places[k] = _dot_by_flow(crops, frame, step, place=before[k], motion=motion[k], dot=(radius, usual))
        places = _find_dots_again(crops, frame, _in_row(places), radius=radius, usual=usual)
        moved = places - before
        motion = np.where(np.isfinite(moved), moved, 0.0)
        seen = np.isfinite(places[:, 0])
        found[frame, seen] = np.column_stack([places[seen], np.ones(seen.sum())])
    return found


def _dot_by_flow(
    crops: Crops, frame: int, step: int, place: np.ndarray, motion: np.ndarray, dot: tuple[float, float]
) -> np.ndarray:
    """Position (2,) px of a dot by optical flow; NaN where it is lost. dot: its radius and usual contrast."""
    radius, usual = dot
    start = follow_by_flow(crops, frame - step, frame, place=place, guess=place + motion)
    if start is None:
        return np.full(2, np.nan)
    blob = find_centre(crops, frame, start, radius)
    seen = blob.mass >= LOST_CONTRAST_SHARE * usual and within_distance(blob.xy, start, radius)
    return blob.xy if seen else np.full(2, np.nan)


def _in_row(places: np.ndarray) -> np.ndarray:
    """Places (dots, 2) px without dots away from the positions that their neighbours predict, the farthest first."""
    places = places.copy()
    while True:
        deviation = np.full(len(places), -np.inf)
        for k in np.flatnonzero(np.isfinite(places[:, 0])):
            expected = _from_neighbours(places, int(k))
            if expected is not None:
                deviation[k] = np.hypot(*(places[k] - expected[0])) / expected[1]
        if deviation.max(initial=0.0) <= MAX_ROW_DEVIATION:
            return places
        places[deviation.argmax()] = np.nan


def _find_dots_again(crops: Crops, frame: int, places: np.ndarray, radius: float, usual: float) -> np.ndarray:
    """The places with missing dots found at the positions that neighbours predict, nearest to known dots first."""
    places, tried = places.copy(), set()
    while True:
        missing = [k for k in range(len(places)) if np.isnan(places[k, 0]) and k not in tried]
        expected = {k: found for k in missing if (found := _from_neighbours(places, k)) is not None}
        if not expected:
            return places
        k = min(expected, key=lambda k: expected[k][2])
        tried.add(k)
        place, length, _ = expected[k]
        if not crops.inside(frame, place):
            continue
        blob = find_centre(crops, frame, place, radius)
        alone = np.nanmin(np.hypot(*(places - blob.xy).T)) > length / 2
        if (
            alone
            and within_distance(blob.xy, place, MAX_ROW_DEVIATION * length)
            and SIMILAR_CONTRAST_SHARE * usual <= blob.mass <= usual / SIMILAR_CONTRAST_SHARE
        ):
            places[k] = blob.xy
            tried.clear()


def _from_neighbours(places: np.ndarray, k: int) -> tuple[np.ndarray, float, float] | None:
    """Position (2,) px of dot k predicted by its neighbours, length of a step there, mean distance to them in dots.

    A parabola, or a line for few or one-sided neighbours. None for fewer than three, or none next to the dot.
    """
    near = [
        n
        for n in range(max(0, k - NEIGHBOUR_REACH), min(len(places), k + NEIGHBOUR_REACH + 1))
        if n != k and np.isfinite(places[n, 0])
    ]
    if len(near) < MIN_NEIGHBOURS or min(abs(n - k) for n in near) > 1:
        return None
    offsets = np.array(near) - k
    both_sides = offsets.min() < 0 < offsets.max()
    degree = 2 if both_sides and len(near) > MIN_NEIGHBOURS else 1
    nearest = np.argsort(np.abs(offsets))[: 2 * NEIGHBOUR_REACH if both_sides else MIN_NEIGHBOURS]
    fit = np.polynomial.polynomial.polyfit(offsets[nearest], places[near][nearest], degree)
    return fit[0], float(np.hypot(*fit[1])), float(np.abs(offsets).mean())
