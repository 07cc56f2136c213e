"""The One-Euro filter: smoothing of points while they come, strong at rest and weak in movement.

Casiez, Roussel and Vogel 2012, "1 € filter: a simple speed-based low-pass filter for noisy input in interactive
systems". A low-pass of first order whose cut-off grows with the speed. It looks at the past alone, and so lags:
for kinematics the workflow filters without lag (`simspine.filtering`).
"""

import numpy as np

MIN_CUTOFF = 1.0  # Hz at rest
BETA = 40.0  # Hz for each person's height per second
SPEED_CUTOFF = 1.0  # Hz, of the speed; as the paper


class OneEuro:
    """The points of one person over time. Speeds count in their extents, so that the distance from the camera does
    not matter."""

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA, speed_cutoff: float = SPEED_CUTOFF):
        self._min_cutoff, self._beta, self._speed_cutoff = min_cutoff, beta, speed_cutoff
        self._xy: np.ndarray | None = None
        self._speed = np.zeros(0)
        self._time = 0.0

    def step(self, xy: np.ndarray, time: float, extent: float) -> np.ndarray:
        """Points (points, 2) px at `time` s, smoothed. NaN stays NaN, and the filter begins anew after it.

        extent: px, of the person.
        """
        xy = np.array(xy, float)
        if self._xy is None or time <= self._time:
            self._xy, self._speed, self._time = xy, np.zeros_like(xy), time
            return xy
        step = time - self._time
        speed = np.where(np.isfinite(self._xy), (xy - self._xy) / step, 0.0)
        self._speed = self._speed + _share(self._speed_cutoff, step) * (np.nan_to_num(speed) - self._speed)
        cutoff = self._min_cutoff + self._beta * np.abs(self._speed) / max(extent, 1.0)
        smooth = self._xy + _share(cutoff, step) * (xy - self._xy)
        fresh = ~np.isfinite(self._xy)
        self._xy = np.where(fresh, xy, smooth)
        self._speed = np.where(np.isfinite(xy), self._speed, 0.0)
        self._time = time
        return self._xy


def _share(cutoff, step: float):
    """How far a low-pass of first order goes towards a new value; cutoff Hz, step s."""
    rate = 2 * np.pi * cutoff * step
    return rate / (rate + 1)
