"""Checks of a trial's numbers that need no checksum: clock, repeated frames, size of the person."""

import numpy as np

from simspine.arrays import frame_ranges
from simspine.formats.trc import extent_of

CLOCK = 1e-3  # of the step between frames: times are stored with at least six decimals
# Greatest extent of the points in a frame, m: a trunk lying curled up is 0.3, a tall person with raised arms 2.5.
EXTENT = (0.15, 3.5)
UNITS = {"mm": 1e-3, "cm": 1e-2, "m": 1.0, "km": 1e3}


def clock_faults(time: np.ndarray, rate: float | None) -> list[tuple[str, str]]:
    """(frames, what) where the times (frames,) s do not go on by 1/rate; rate: taken from the median step if None."""
    if len(time) < 2:
        return []
    steps = np.diff(time)
    step = 1 / rate if rate else float(np.median(steps))
    found = []
    still = np.flatnonzero(~(steps > CLOCK * step)) + 1
    if still.size:
        found.append((frame_ranges(still), "time stands still or goes back: frames are repeated or out of order"))
    gaps = np.flatnonzero(steps > (1 + CLOCK) * step) + 1
    if gaps.size:
        found.append((frame_ranges(gaps), f"time jumps by more than 1/{1 / step:g} s before them: frames are missing"))
    fast = np.flatnonzero((steps > CLOCK * step) & (steps < (1 - CLOCK) * step)) + 1
    if fast.size and not gaps.size:
        found.append((frame_ranges(fast), f"time goes on by less than 1/{1 / step:g} s before them"))
    return found


def repeated_frames(values: np.ndarray) -> np.ndarray:
    """Frames whose numbers (frames, …) equal the frame's before bit for bit, in a trial that otherwise moves."""
    if len(values) < 3:
        return np.empty(0, int)
    flat = np.asarray(values).reshape(len(values), -1)
    same = (flat[1:] == flat[:-1]).all(1)  # NaN equals nothing: frames without solution do not repeat
    return np.flatnonzero(same) + 1 if same.mean() < 0.5 else np.empty(0, int)


def unit_doubt(xyz: np.ndarray) -> str:
    """Why points (frames, points, 3) cannot be metres, with the unit that would fit; '' if they can."""
    extent = extent_of(xyz)
    if np.isnan(extent) or EXTENT[0] <= extent <= EXTENT[1]:
        return ""
    fits = [name for name, size in UNITS.items() if EXTENT[0] <= extent * size <= EXTENT[1]]
    return f"the points are {extent:.3g} m apart, no person; the numbers look like {fits[0] if fits else 'no length'}"
