"""A tape with dots along the spine, followed through one view's video from the clicks on a few of them.

Each dot is carried by optical flow and held in place by its own centre, as a single marker is. What is known beside is
that the dots are a row: one that is not where its neighbours have it is dropped, and one that was covered is found
again where they have it. So a dot keeps its number.
"""

from collections.abc import Mapping

import numpy as np

from simspine.detection.blob_centre import find_centre
from simspine.detection.crops import Crops
from simspine.detection.dot_row import Dots, find_row
from simspine.detection.skin_markers import FAINT, flowed, joined, within
from simspine.errors import InputError

REACH = 3  # neighbours on either side that tell where a dot is
LEAST_NEIGHBOURS = 3
OUT_OF_ROW = 0.3  # of a step: a dot that far from where its neighbours have it is another thing
LIKE_THE_OTHERS = 0.4  # share of the usual contrast of the others from which a dot is found again

TapeClicks = Mapping[int, Mapping[int, tuple[float, float]]]  # number of a dot, from 1 → {frame: x, y px}


def track_tape(crops: Crops, clicks: TapeClicks, dots: int, radius: float) -> np.ndarray:
    """(frames, dots, 3) x px, y px, confidence 0…1; NaN and 0 where a dot is not seen.

    crops: the images. clicks: of this view, two dots or more in a frame that has any. radius: of a dot, px. Raises
    `InputError` for a click outside the images, and where no row of dots lies between the clicks.
    """
    rows = clicked_rows(crops, clicks, radius)
    ways = [_one_way(crops, rows, dots, radius, step) for step in (1, -1)]
    found = np.empty((len(crops), dots, 3))
    for k in range(dots):
        seen = {frame: tuple(row[k + 1]) for frame, row in rows.items() if k + 1 in row}
        anchors = seen or dict.fromkeys(rows, (0.0, 0.0))  # covered in all clicked images: only their frames count
        found[:, k] = joined(ways[0][:, k], ways[1][:, k], anchors, radius)
    return found


def clicked_rows(crops: Crops, clicks: TapeClicks, radius: float) -> dict[int, Dots]:
    """{frame: the dots from the first to the last one clicked} of each frame with clicks; raises as `track_tape`."""
    return {frame: find_row(crops, frame, at, radius) for frame, at in _by_frame(crops, clicks).items()}


def _by_frame(crops: Crops, clicks: TapeClicks) -> dict[int, dict[int, tuple[float, float]]]:
    """{frame: {number: (x, y) px}}, checked."""
    found: dict[int, dict[int, tuple[float, float]]] = {}
    for number, at in clicks.items():
        for frame, xy in at.items():
            if not crops.inside(frame, np.asarray(xy)):
                raise InputError(
                    f"dot {number} of the tape is clicked at {xy[0]:g}, {xy[1]:g} px in frame {frame}, which is not on "
                    "the trunk of the person followed. Clicks are x right, y down in the image, frames from 0."
                )
            found.setdefault(frame, {})[number] = xy
    for frame, row in found.items():
        if len(row) < 2:
            raise InputError(
                f"frame {frame} has a click on dot {next(iter(row))} of the tape only; click two dots or more in the "
                "same frame, the first and the last one in sight."
            )
    return found


def _one_way(crops: Crops, rows: Mapping[int, Dots], dots: int, radius: float, step: int) -> np.ndarray:
    """From the clicked frames on, in one direction: (frames, dots, 3)."""
    found = np.tile([np.nan, np.nan, 0.0], (len(crops), dots, 1))
    places, motion, usual = np.full((dots, 2), np.nan), np.zeros((dots, 2)), 0.0
    for frame in range(len(crops))[::step]:
        before = places.copy()
        if frame in rows:
            places[:] = np.nan
            for number, xy in rows[frame].items():
                places[number - 1] = xy
            usual = float(np.median([_mass(crops, frame, xy, radius) for xy in rows[frame].values()]))
        else:
            for k in np.flatnonzero(np.isfinite(before[:, 0])):
                places[k] = _carried(crops, frame, step, before[k], motion[k], (radius, usual))
        places = _refound(crops, frame, _in_row(places), radius, usual)
        moved = places - before
        motion = np.where(np.isfinite(moved), moved, 0.0)
        seen = np.isfinite(places[:, 0])
        found[frame, seen] = np.column_stack([places[seen], np.ones(seen.sum())])
    return found


def _mass(crops: Crops, frame: int, place: np.ndarray, radius: float) -> float:
    return find_centre(lambda p, half: crops.window(frame, p, half), place, radius).mass


def _carried(
    crops: Crops, frame: int, step: int, place: np.ndarray, motion: np.ndarray, dot: tuple[float, float]
) -> np.ndarray:
    """(2,) px where the flow takes a dot that is still there; NaN otherwise. dot: its radius and usual contrast."""
    radius, usual = dot
    start = flowed(crops, frame - step, frame, place, place + motion)
    if start is None:
        return np.full(2, np.nan)
    blob = find_centre(lambda p, half: crops.window(frame, p, half), start, radius)
    there = blob.mass >= FAINT * usual and within(blob.xy, start, radius)
    return blob.xy if there else np.full(2, np.nan)


def _in_row(places: np.ndarray) -> np.ndarray:
    """Places (dots, 2) px without those that are not where their neighbours have them, the farthest off first."""
    places = places.copy()
    while True:
        off = np.full(len(places), -np.inf)
        for k in np.flatnonzero(np.isfinite(places[:, 0])):
            expected = _from_neighbours(places, int(k))
            if expected is not None:
                off[k] = np.hypot(*(places[k] - expected[0])) / expected[1]
        if off.max(initial=0.0) <= OUT_OF_ROW:
            return places
        places[off.argmax()] = np.nan


def _refound(crops: Crops, frame: int, places: np.ndarray, radius: float, usual: float) -> np.ndarray:
    """The places with those of dots that are seen where their neighbours have them, nearest to the known ones first."""
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
        blob = find_centre(lambda p, half: crops.window(frame, p, half), place, radius)
        alone = np.nanmin(np.hypot(*(places - blob.xy).T)) > length / 2
        if alone and within(blob.xy, place, OUT_OF_ROW * length) and _usual(blob.mass, usual):
            places[k] = blob.xy
            tried.clear()


def _usual(mass: float, usual: float) -> bool:
    return LIKE_THE_OTHERS * usual <= mass <= usual / LIKE_THE_OTHERS


def _from_neighbours(places: np.ndarray, k: int) -> tuple[np.ndarray, float, float] | None:
    """Where the nearest seen dots have dot k (2,) px, the length of a step there, and how far they are in dots.

    A parabola through them; None where fewer than three are near, or none is next to it.
    """
    near = [
        n for n in range(max(0, k - REACH), min(len(places), k + REACH + 1)) if n != k and np.isfinite(places[n, 0])
    ]
    if len(near) < LEAST_NEIGHBOURS or min(abs(n - k) for n in near) > 1:
        return None
    away = np.array(near) - k
    both_sides = away.min() < 0 < away.max()
    degree = 2 if both_sides and len(near) > LEAST_NEIGHBOURS else 1
    nearest = np.argsort(np.abs(away))[: 2 * REACH if both_sides else LEAST_NEIGHBOURS]
    fit = np.polynomial.polynomial.polyfit(away[nearest], places[near][nearest], degree)
    return fit[0], float(np.hypot(*fit[1])), float(np.abs(away).mean())
