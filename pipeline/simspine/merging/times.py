"""One clock for two recordings: resampling, and whether their movements coincide."""

import math
from typing import NamedTuple

import numpy as np

from simspine.errors import InputError
from simspine.filtering import lowpass
from simspine.types import Markers

CUTOFF_HZ = 4.0  # of the speeds that are compared: everyday movement lies below, most of a detector's jitter above
_SLOWEST_HZ = 0.05  # speeds that vary slower place no peak


def resample(markers: Markers, rate: float, start: float, frames: int) -> Markers:
    """The markers at times start + k / rate, linear between two frames, NaN where one of the two is missing or outside.

    A time within a thousandth of a frame of a given frame takes that frame's values unchanged. Nothing is smoothed:
    filter first when going to a lower rate.
    """
    place = (start + np.arange(frames) / rate - markers.start) * markers.rate
    near = np.round(place)
    place = np.where(np.abs(place - near) < 1e-3, near, place)
    inside = (place >= 0) & (place <= markers.frames - 1)
    early = np.clip(np.floor(place), 0, markers.frames - 1).astype(int)
    late = np.clip(np.ceil(place), 0, markers.frames - 1).astype(int)
    share = np.where(inside, place - early, 0.0)

    def between(values, missing):
        extra = (1,) * (values.ndim - 1)
        s = share.reshape(-1, *extra)
        mixed = np.where(s == 0, values[early], (1 - s) * values[early] + s * values[late])
        return np.where(inside.reshape(-1, *extra), mixed, missing)

    return markers.with_(
        rate=rate,
        start=start,
        xyz=between(markers.xyz, np.nan),
        weight=None if markers.weight is None else between(markers.weight, 0.0),
        covariance=None if markers.covariance is None else between(markers.covariance, np.nan),
        filled=None if markers.filled is None else inside[:, None] & (markers.filled[early] | markers.filled[late]),
    )


def overlap(points: Markers, mocap: Markers) -> tuple[int, int]:
    """First frame and number of frames of `mocap` that lie within the times of `points`."""
    slack = 1e-3 / points.rate
    inside = np.flatnonzero((mocap.time >= points.time[0] - slack) & (mocap.time <= points.time[-1] + slack))
    if not len(inside):
        raise InputError(
            f"motion capture ({mocap.time[0]:.3f}…{mocap.time[-1]:.3f} s) and points ({points.time[0]:.3f}…"
            f"{points.time[-1]:.3f} s) share no time. Set the start times (`mocap_start`) so that the same moment has "
            "the same time."
        )
    return int(inside[0]), len(inside)


class Shift(NamedTuple):
    """By how much the clock of `mocap` runs late.

    seconds: the same movement happens at t in `points` and at t + seconds in `mocap`; NaN if it cannot be told.
    deviation: its standard deviation, s. correlation: of the speeds, once shifted.
    """

    seconds: float
    deviation: float
    correlation: float

    def certain(self, least: float) -> bool:
        """Whether it is larger than `least` s beyond doubt: by three standard deviations, of speeds much alike."""
        sure = self.correlation > 0.5 and abs(self.seconds) > 3 * self.deviation
        return bool(sure and abs(self.seconds) > least)


UNKNOWN = Shift(math.nan, math.nan, math.nan)


def time_shift(points: Markers, mocap: Markers, max_shift_s: float = 1.0) -> Shift:
    """The shift in time at which the speeds of the markers (both sets in the same order) agree best.

    Cross-correlation of the speeds, all markers together, after a low-pass of 4 Hz. Speeds do not depend on where
    origin and axes lie, so clocks are compared before places are. Between frames: the cosine through three
    correlations (Céspedes et al. 1995, Ultrasonic Imaging 17). The deviation is the bound for the delay of a signal in
    noise of the same band (Carter 1987, Proc. IEEE 75): √((1/ρ² − 1) / n) / ω with n independent samples; or, if
    larger, the jackknife's over markers. Unknown without movement, or with the best agreement at the largest shift
    tried.
    """
    rate = mocap.rate
    start = min(points.start, mocap.start)
    frames = 1 + math.ceil((max(points.time[-1], mocap.time[-1]) - start) * rate - 1e-6)
    whole = (mocap.start - start) * rate  # the grid keeps the frames of `mocap` and interpolates the points
    start += (whole - math.floor(whole)) / rate
    a = _speeds(resample(points, rate, start, frames))
    b = _speeds(resample(mocap, rate, start, frames))
    lags = min(round(max_shift_s * rate), frames // 3)
    if lags < 2:
        return UNKNOWN
    sums = np.stack([_sums(a, b, lag) for lag in range(-lags, lags + 1)])
    curve = _correlations(sums.sum(-1))
    if not np.isfinite(curve).any():
        return UNKNOWN
    peak = int(np.nanargmax(curve))
    if peak in (0, 2 * lags):
        return UNKNOWN
    around = sums[peak - 1 : peak + 2]
    between, omega, rho = _vertex(_correlations(around.sum(-1)), rate)
    if not np.isfinite(between):
        return UNKNOWN
    samples = max(1.0, around[1, 0].sum() * 2 * CUTOFF_HZ / rate)
    deviation = max(math.sqrt(max(1 / rho**2 - 1, 0.0) / samples) / omega, _jackknife(around, rate))
    return Shift((peak - lags + between) / rate, deviation / rate, rho)


def _vertex(three: np.ndarray, rate: float) -> tuple[float, float, float]:
    """The cosine through three correlations: place (frames from the middle), frequency (rad/frame) and height.

    NaN where they are no peak, or one too flat to be placed.
    """
    before, best, after = three
    cosine = (before + after) / (2 * best) if best > 0 else math.nan
    if not -1 < cosine < math.cos(2 * math.pi * _SLOWEST_HZ / rate):
        return math.nan, math.nan, math.nan
    omega = math.acos(cosine)
    between = -math.atan2(before - after, 2 * best * math.sin(omega)) / omega
    return between, omega, min(float(best) / math.cos(omega * between), 1.0)


def _jackknife(around: np.ndarray, rate: float) -> float:
    """Standard deviation (frames) of the shift, from what it is without each marker in turn; 0 with fewer than three.

    Errors of one marker last, so that they count less often than there are frames.
    """
    n = around.shape[-1]
    if n < 3:
        return 0.0
    without = [_vertex(_correlations(around.sum(-1) - around[..., i]), rate)[0] for i in range(n)]
    spread = np.array([value for value in without if np.isfinite(value)])
    return math.inf if len(spread) < n else math.sqrt((n - 1) / n * float(((spread - spread.mean()) ** 2).sum()))


def _speeds(markers: Markers) -> np.ndarray:
    """(frames, markers) m/s, each about its mean; NaN beside gaps."""
    calm = lowpass(markers, cutoff_hz=min(CUTOFF_HZ, 0.4 * markers.rate))
    speed = np.linalg.norm(np.gradient(calm.xyz, 1 / markers.rate, axis=0), axis=-1)
    count = np.isfinite(speed).sum(0)
    return speed - np.nansum(speed, axis=0) / np.maximum(count, 1)


def _sums(a: np.ndarray, b: np.ndarray, lag: int) -> np.ndarray:
    """(4, markers): samples that a(t) and b(t + lag) both have, and the sums of ab, aa and bb over them."""
    a, b = (a[: len(a) - lag], b[lag:]) if lag >= 0 else (a[-lag:], b[:lag])
    both = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
    return np.stack([both.sum(0), (a * b).sum(0), (a * a).sum(0), (b * b).sum(0)])


def _correlations(sums: np.ndarray) -> np.ndarray:
    """From sums (lags, 4); NaN where nothing moves."""
    size = np.sqrt(sums[:, 2] * sums[:, 3])
    return np.divide(sums[:, 1], size, out=np.full(len(sums), np.nan), where=size > 0)
