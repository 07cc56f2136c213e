"""Curves over time from which motions are composed: transitions, pulses, band-limited noise, gait cycle, paths.

All curves are twice continuously differentiable, so that velocities and accelerations at 50 Hz have no jumps. Functions
have no side effects; times in s, angles in rad. This module also reads the tables of the package.
"""

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
import scipy
import yaml

from simspine.core.geometry import evenly_along


def read_table(name: str) -> dict[str, Any]:
    return yaml.safe_load(_table_text(name))


def read_sided_table(name: str) -> dict[str, Any]:
    """A table whose rows are repeated for right and left: `{s}` and `{S}` become r and R, then l and L."""
    text = _table_text(name)
    right, left = (yaml.safe_load(text.replace("{s}", side).replace("{S}", side.upper())) for side in "rl")
    return {key: value for row in zip(right.items(), left.items(), strict=True) for key, value in row}


def _table_text(name: str) -> str:
    return files(__package__).joinpath("tables", name).read_text(encoding="utf-8")


# Each quantity has an independent random stream. Correlated sequences: drift, and spells of rare events.


def random_stream(seed: int, *labels: str) -> np.random.Generator:
    """A separate generator for each set of labels, so that a new quantity does not change the others.

    seed: of the capture. labels: quantity, subject and trial, such as 'detections', 'S1', 'Walking_1', 'swaps'.
    """
    digest = hashlib.sha256("\x1f".join(labels).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, *np.frombuffer(digest, "<u4").tolist()]))


def correlated_drift(
    rng: np.random.Generator, frames: int, shape: tuple[int, ...], rate: float, correlation_time: float
) -> np.ndarray:
    """Ornstein–Uhlenbeck processes of variance one, stationary from the first frame: (frames, *shape).

    rate: frames/s. correlation_time: s, after which the correlation is 1/e; 0 gives white noise.
    """
    steps = rng.standard_normal((frames, *shape))
    if correlation_time <= 0:
        return steps
    decay = np.exp(-1 / (rate * correlation_time))
    steps[1:] *= np.sqrt(1 - decay**2)
    return scipy.signal.lfilter([1.0], [1.0, -decay], steps, axis=0)


def rare_spells(rng: np.random.Generator, likely: np.ndarray, share: float, rate: float, duration: float) -> np.ndarray:
    """Spells of a rare event: bool, shaped as `likely` (frames, …).

    likely: relative likelihood that a spell starts in a frame, any scale. share: mean share of frames in spells, over
    the array. rate: frames/s. duration: mean length of a spell, s (at least one frame). Lengths are geometric and
    spells may overlap, so the share is 1 − exp(−starts per frame · length).
    """
    if share <= 0 or likely.size == 0:
        return np.zeros(likely.shape, bool)
    length = max(rate * duration, 1.0)
    expected = -np.log1p(-share) * likely / likely.mean()  # mean number of spells that cover a frame
    starts = rng.random(likely.shape) < 1 - np.exp(-expected / length)
    starts[0] |= rng.random(likely.shape[1:]) < 1 - np.exp(-expected[0])  # spells that began before the first frame
    ends = np.where(starts, rng.geometric(1 / length, likely.shape), 0)
    frame = np.arange(len(likely)).reshape(-1, *[1] * (likely.ndim - 1))
    return np.maximum.accumulate(np.where(starts, frame + ends, 0), 0) > frame


def uniform_per_spell(rng: np.random.Generator, spells: np.ndarray) -> np.ndarray:
    """Uniform numbers (*spells.shape, 2) in 0…1, constant within a spell."""
    values = rng.random((*spells.shape, 2))
    first = spells.copy()
    first[1:] &= ~spells[:-1]
    frame = np.arange(len(spells)).reshape(-1, *[1] * (spells.ndim - 1))
    source = np.maximum.accumulate(np.where(first, frame, 0), 0)
    return np.take_along_axis(values, source[..., None], 0)


def minimum_jerk_step(u: np.ndarray) -> np.ndarray:
    """0 before u = 0, 1 after u = 1, a minimum-jerk transition between (Flash & Hogan 1985)."""
    u = np.clip(u, 0.0, 1.0)
    return u**3 * (10 - 15 * u + 6 * u**2)


def minimum_jerk_pulse(time: np.ndarray, start: float, rise: float, hold: float, fall: float) -> np.ndarray:
    """A pulse: from 0 to 1 in `rise` s from `start`, 1 for `hold` s, back to 0 in `fall` s."""
    return minimum_jerk_step((time - start) / rise) - minimum_jerk_step((time - start - rise - hold) / fall)


def band_limited_noise(rng: np.random.Generator, time: np.ndarray, knot: float) -> np.ndarray:
    """Noise of variance about one: a cubic B-spline of white noise with knots every `knot` s."""
    count = int(np.ceil((time[-1] - time[0]) / knot)) + 4
    knots = time[0] + knot * (np.arange(count + 4) - 3)
    height = rng.standard_normal(count) / 0.69  # the spline's standard deviation for unit noise
    return scipy.interpolate.BSpline(knots, height, 3)(time)


def minimum_jerk_course(
    time: np.ndarray, at: Sequence[float] | np.ndarray, values: np.ndarray, duration: float
) -> np.ndarray:
    """A sequence of values: values[0], then at each time at[i] a minimum-jerk change to values[i + 1]."""
    out = np.full(len(time), float(values[0]))
    for start, before, after in zip(at, values, values[1:], strict=False):
        out += (after - before) * minimum_jerk_step((time - start) / duration)
    return out


def gait_cycle(phase: np.ndarray) -> dict[str, np.ndarray]:
    """{leg coordinate without side: rad} at phases of the stride from heel strike (one stride = 1)."""
    cycle = {}
    for name, points in read_table("gait.yaml").items():
        at, degrees = np.array([*points, (1.0, points[0][1])]).T
        cycle[name] = scipy.interpolate.CubicSpline(at, np.radians(degrees), bc_type="periodic")(np.mod(phase, 1.0))
    return cycle


def closed_path(rng: np.random.Generator, reach: tuple[float, float]) -> np.ndarray:
    """A closed smooth curve round the origin, within ± reach: (points, 2) m, equally spaced, in a random sense."""
    angle = np.linspace(0, 2 * np.pi, 2001)
    radius = np.ones_like(angle)
    for order, size in ((2, 0.10), (3, 0.05)):
        radius += size * rng.uniform(0.3, 1.0) * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    curve = np.column_stack([np.cos(angle), np.sin(angle)]) * radius[:, None]
    curve *= np.array(reach) * rng.uniform(0.8, 1.0, 2) / np.abs(curve).max(0)
    if rng.random() < 0.5:
        curve = curve[::-1]
    return evenly_along(curve, 1201)


def along_path(curve: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Position (n, 2) m and direction (n,) rad, unwrapped, at distances (n,) m along a curve of `closed_path`."""
    total = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    at = np.linspace(0, total, len(curve))
    # few knots keep the third derivative smooth
    spline = scipy.interpolate.CubicSpline(at[::25], np.vstack([curve[:-1:25], curve[:1]]), bc_type="periodic")
    place, slope = spline(np.mod(distance, total)), spline(np.mod(distance, total), 1)
    return place, np.unwrap(np.arctan2(slope[:, 1], slope[:, 0]))


def soft_limit(values: np.ndarray, low: np.ndarray, high: np.ndarray, margin: float = 0.15) -> np.ndarray:
    """Limit values to low … high; they change only within `margin` (share of the range) of either end.

    There v → edge + m tanh((v − edge) / m), which is twice continuously differentiable at the edge.
    """
    m = margin * (high - low)
    top, bottom = high - m, low + m
    values = np.where(values > top, top + m * np.tanh((values - top) / m), values)
    return np.where(values < bottom, bottom - m * np.tanh((bottom - values) / m), values)


def smooth_envelope(required: np.ndarray, frames: int) -> np.ndarray:
    """A smooth curve (n,) nowhere below `required` and little above it; `frames` is the half width of its smoothing.

    `required` is smoothed; then the running maximum of what it lacks is added, smoothed by the same kernel.
    """
    # three uniform averages in sequence: twice differentiable, of finite width
    width = max(frames // 3, 1)
    kernel = np.ones(1)
    for _ in range(3):
        kernel = np.convolve(kernel, np.ones(2 * width + 1) / (2 * width + 1))
    level = scipy.ndimage.convolve1d(required, kernel, mode="nearest")
    lacking = scipy.ndimage.maximum_filter1d(required - level, 6 * width + 1, mode="nearest")
    return level + scipy.ndimage.convolve1d(lacking, kernel, mode="nearest")
