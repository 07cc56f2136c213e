"""Cycles of a movement: an angle between events that repeat, such as the contacts of one foot, over 0 to 100 %."""

from collections.abc import Sequence

import numpy as np

from simspine.errors import InputError

PERCENT = np.linspace(0.0, 100.0, 101)


def cycles(time: np.ndarray, values: np.ndarray, events: Sequence[float]) -> np.ndarray:
    """(events − 1, 101): values (frames,) at every percent between one event and the next, linear between frames.

    time: (frames,) s, ascending. events: s, ascending. NaN where a frame on either side is NaN. Raises `InputError` for
    fewer than two events, events that do not ascend, or that lie outside the trial.
    """
    at = np.asarray(events, float)
    if len(at) < 2 or not (np.diff(at) > 0).all():
        found = ", ".join(f"{event:g}" for event in at) or "none"
        raise InputError(f"cycles run from event to event: expected two or more times (s) that ascend, found {found}.")
    if at[0] < time[0] or at[-1] > time[-1]:
        raise InputError(
            f"events from {at[0]:g} to {at[-1]:g} s: the trial lasts from {time[0]:.3f} to {time[-1]:.3f} s."
        )
    places = at[:-1, None] + PERCENT / 100 * np.diff(at)[:, None]
    return np.interp(places, time, values)
