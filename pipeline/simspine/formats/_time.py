"""The frame rate behind a printed time column, and rows brought to a uniform one."""

from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError
from simspine.formats._text import TimedRows, notice

ASSUMED_RATE = 60.0  # frames/s, where nothing tells it: what Pose2Sim falls back to
# Frame rates of cameras and of motion capture: which one is meant where a coarse time column fits several; those of
# television where none of the first fits.
_CUSTOMARY = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 64, 72, 75, 80, 90, 100, 120, 125, 128, 144, 150, 160, 180, 200,
              240, 250, 256, 300, 320, 360, 400, 480, 500, 512, 600, 800, 1000, 1024, 1200, 1500, 2000)  # fmt: skip
_TELEVISION = (23.976, 29.97, 59.94, 119.88, 239.76)
_JITTER = 0.15  # of a frame: how far the times of a uniform column may lie apart from a line, beside their rounding
_RESOLVED = 0.3  # of a frame: times rounded to less than this show each frame that was dropped
_FARTHEST = 0.1  # s: rows farther apart than this, and than twice the usual step, are not bridged by resampling
_MOST_FRAMES = 1e7  # by resampling: a day at 100 frames/s; beyond, times or rate are not in seconds


@dataclass(frozen=True)
class ToldRate:
    """Frames/s as told beside the time column, None where they are not.

    header: by the file. given: by the caller. resample: wanted by the caller, whatever the file's own is.
    """

    header: float | None = None
    given: float | None = None
    resample: float | None = None

    def __post_init__(self):
        for name, rate in (("rate", self.given), ("resample", self.resample)):
            if rate is not None and not 0 < rate < np.inf:
                raise InputError(f"{name}={rate!r}: expected a positive number of frames per second.")


def uniform(rows: TimedRows, told: ToldRate, where: str) -> tuple[TimedRows, float]:
    """The rows of a uniform time column, and its frame rate.

    The rate told by the caller or the header counts if the time column, as coarsely as it is printed, fits it. A last
    row that repeats the one before it is left out with a warning.

    Raises `InputError` for times that are missing or do not increase, for steps that vary unless `told.resample` is
    there, for a rate of the caller that contradicts the column, and for a column that fits any rate.
    """
    missing = np.flatnonzero(~np.isfinite(rows.time))
    if len(missing):
        raise InputError(f"{where}: row {missing[0] + 1} of the data has no time.")
    if told.resample is not None:
        return _resampled(rows, told.resample, where), told.resample
    if len(rows.time) == 1:
        return rows, _rate_of_one(told, where)
    if any(rate and _explains(rate, rows) for rate in (told.given, told.header)):
        return rows, _told(rows, told, where)
    rows = _without_repeated_end(rows, where)
    if len(rows.time) == 1:
        return rows, _rate_of_one(told, where)
    told_by = rows.keep(slice(-1)) if len(rows.time) > 2 and rows.time[-1] == rows.time[-2] and _coarse(rows) else rows
    rate = _told(told_by, told, where)
    if told_by is not rows and not _explains(rate, rows):
        notice(
            f"{where}: the last row has the time of the row before it; taken as the next frame at {rate:g} frames/s."
        )
    return rows, rate


def _rate_of_one(told: ToldRate, where: str) -> float:
    if told.given and told.header and abs(told.given - told.header) > 1e-3 * told.header:
        raise InputError(f"{where}: rate={told.given:g}, but the header says DataRate {told.header:g}.")
    rate = told.header or told.given
    if not rate:
        notice(f"{where}: a single frame and nothing that tells the rate; {ASSUMED_RATE:g} frames/s assumed (rate=…).")
    return rate or ASSUMED_RATE


def _told(rows: TimedRows, told: ToldRate, where: str) -> float:
    """The rate of a uniform column: as told where it fits, else by the column."""
    _check_uniform(rows, where)
    if told.given and not _explains(told.given, rows):
        lowest, highest = _fitting(rows)
        raise InputError(
            f"{where}: rate={told.given:g}, but its time column fits {lowest:.5g} to {highest:.5g} frames/s. "
            "Leave rate out, or resample the file (resample=…)."
        )
    if told.header and _explains(told.header, rows):
        if told.given and abs(told.given - told.header) > 1e-3 * told.header:
            notice(f"{where}: the header says DataRate {told.header:g}; took {told.given:g} as told (rate=…).")
        return told.given or told.header
    if told.given:
        return told.given
    found = _by_column(rows, where, warn=not told.header)
    if told.header:
        notice(f"{where}: the header says DataRate {told.header:g}, the Time column {found:g}; took the latter.")
    return found


def _spread(interval: float, time: np.ndarray) -> float:
    """How far the times lie apart from a line of that slope: greatest less least distance, s."""
    return float(np.ptp(time - interval * np.arange(len(time))))


def _noise(time: np.ndarray) -> float:
    return 4 * float(np.spacing(np.abs(time).max())) + 1e-12


def _coarse(rows: TimedRows) -> bool:
    """Whether the rounding of the times hides how they follow one another."""
    return rows.step > _RESOLVED * (rows.time[-1] - rows.time[0]) / (len(rows.time) - 1)


def _explains(rate: float, rows: TimedRows) -> bool:
    """Whether the column is that of a uniform rate, printed as coarsely as it is."""
    interval, step = 1 / rate, rows.step
    if step <= _RESOLVED * interval:
        allowed = _JITTER * interval + step
    else:  # rounding shifts no row of a rate whose frames fall on printed times: one that is shifted was dropped
        allowed = step if abs(interval / step - round(interval / step)) > 1e-6 else 0.0
    return _spread(interval, rows.time) <= allowed * (1 + 1e-6) + _noise(rows.time)


def _best_interval(time: np.ndarray) -> float:
    """The slope whose line is nearest to the times, s: `_spread` is convex in it."""
    mean = float(time[-1] - time[0]) / (len(time) - 1)
    reach = _spread(mean, time) / (len(time) - 1)
    low, high = mean - reach, mean + reach
    for _ in range(60):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if _spread(a, time) <= _spread(b, time) else (a, high)
    return (low + high) / 2


def _check_uniform(rows: TimedRows, where: str) -> None:
    time = rows.time
    if time[-1] <= time[0]:
        raise InputError(f"{where}: the time column does not increase (from {time[0]:g} s to {time[-1]:g} s).")
    interval = _best_interval(time)
    allowed = rows.step + (0.0 if _coarse(rows) else _JITTER * interval)
    if interval <= 0 or _spread(interval, time) > allowed * (1 + 1e-6) + _noise(time):
        raise _uneven(time, where)


def _uneven(time: np.ndarray, where: str) -> InputError:
    steps = np.diff(time)
    usual = float(np.median(steps))
    i = int(np.argmax(np.abs(steps - usual)))
    return InputError(
        f"{where}: the time column is not uniform: {time[i]:g} s is followed by {time[i + 1]:g} s, where the usual "
        f"step is {usual:g} s. Give dropped frames rows with missing values, or have the file interpolated at a "
        "uniform rate (resample=<frames/s>; mocap_resample in a configuration)."
    )


def _fitting(rows: TimedRows) -> tuple[float, float]:
    """The least and the greatest rate that the column, as it is rounded, fits."""
    time, last = rows.time, len(rows.time) - 1
    best, mean = _best_interval(time), float(time[-1] - time[0]) / last
    nearest, band = _spread(best, time), rows.step * (1 + 1e-6) + _noise(time)
    band = band if nearest <= band else 2 * nearest
    shortest, longest = (_edge(best, mean + sign * band / last, band, time) for sign in (-1, 1))
    return 1 / longest, 1 / shortest if shortest > 0 else np.inf


def _by_column(rows: TimedRows, where: str, warn: bool) -> float:
    """The rate of a uniform column. A warning says so if the column, as it is rounded, fits several."""
    time = rows.time
    mean = (len(time) - 1) / float(time[-1] - time[0])
    lowest, highest = _fitting(rows)
    even = bool(np.ptp(np.diff(time)) <= _noise(time))
    if highest > 1.5 * lowest and not even:
        raise InputError(
            f"{where}: the time column is too coarse to tell the rate: {lowest:.4g} frames/s fit it, and {highest:.4g} "
            "as well. Say which (rate=…)."
        )
    choices = [
        [rate for rate in known if lowest <= rate <= highest and _explains(rate, rows)]
        for known in (_CUSTOMARY, _TELEVISION)
    ]
    rates = choices[0] or choices[1]
    if not rates and _coarse(rows) and not even:
        raise _uneven(time, where)
    if not rates:
        rounded = (float(round(mean)), round(mean, 3), round(mean, 6))
        rates = [next((rate for rate in rounded if lowest <= rate <= highest), mean)]
    rate = float(min(rates, key=lambda rate: abs(rate - mean)))
    several = len(rates) > 1 or np.floor(highest) - np.ceil(lowest) >= 1
    exact = even and abs(rate / mean - 1) < 1e-6 and highest <= 1.1 * lowest
    if warn and several and not exact:
        notice(
            f"{where}: the time column is printed to {rows.step:g} s and fits {lowest:.5g} to {highest:.5g} frames/s; "
            f"took {rate:g} (rate=…)."
        )
    return rate


def _edge(inside: float, outside: float, band: float, time: np.ndarray) -> float:
    """Where between two slopes the times leave a band, by bisection."""
    for _ in range(60):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if _spread(middle, time) <= band else (inside, middle)
    return inside


def _without_repeated_end(rows: TimedRows, where: str) -> TimedRows:
    """Without a last row that is the one before it once more, as some integrators write their final state."""
    if rows.time[-1] != rows.time[-2] or not _equal(rows, -1, -2):
        return rows
    notice(f"{where}: the last row is there twice; kept once.")
    return rows.keep(slice(-1))


def _equal(rows: TimedRows, i: int, j: int) -> bool:
    return np.array_equal(rows.values[i], rows.values[j], equal_nan=True)


def _resampled(rows: TimedRows, rate: float, where: str) -> TimedRows:
    """The rows interpolated linearly at a uniform rate, from the first time on. What lies beside a gap is missing."""
    again = np.flatnonzero(np.diff(rows.time) == 0).tolist()
    if all(_equal(rows, i, i + 1) for i in again):
        rows = rows.keep(np.setdiff1d(np.arange(len(rows.time)), again))
    time, steps = rows.time, np.diff(rows.time)
    if not (steps > 0).all():
        i = int(np.argmax(steps <= 0))
        raise InputError(f"{where}: {time[i]:g} s is followed by {time[i + 1]:g} s; times must increase to resample.")
    if (frames := (time[-1] - time[0]) * rate + 1) > _MOST_FRAMES:
        raise InputError(f"{where}: {frames:.3g} frames at resample={rate:g}; at most {_MOST_FRAMES:g} are made.")
    grid = time[0] + np.arange(int(frames + 1e-6)) / rate
    if len(time) == 1:
        return TimedRows(grid, rows.values, 0.0)
    before = np.clip(np.searchsorted(time, grid, "right") - 1, 0, len(time) - 2)
    part = (grid - time[before]) / steps[before]
    part = np.where(np.abs(part - np.round(part)) < 1e-6, np.round(part), part)[:, None]
    first, second = rows.values[before], rows.values[before + 1]
    values = np.where(part == 0, first, np.where(part == 1, second, (1 - part) * first + part * second))
    far = (steps[before] > max(_FARTHEST, 2 * float(np.median(steps))))[:, None] & (part > 0) & (part < 1)
    if far.any():
        notice(f"{where}: {int(far.sum())} frames lie in gaps of more than {_FARTHEST:g} s; left missing.")
    return TimedRows(grid, np.where(far, np.nan, values), 0.0)
