"""Gaps and noise in the paths of points.

Short gaps are interpolated and marked, long ones stay missing. The low-pass is a Butterworth filter run forward and
backward, so that it does not delay; every run of frames between gaps is filtered by itself. `OneEuro` smooths points
frame by frame, from past frames only. `at_frames` interpolates points of each view at instants between frames.
"""

from typing import TypeVar

import numpy as np
import scipy

from simspine.core.arrays import require_numbers
from simspine.core.errors import InputError
from simspine.core.types import Keypoints, Markers

# Of a limb in everyday movement; the error of an interpolated position is taken from it.
LIMB_ACCELERATION_M_S2 = 10.0
WHOLE_FRAME_TOLERANCE = 1e-6  # frames: an instant nearer to a frame than this takes that frame
_FILLED_WEIGHT = 0.5  # weight of a filled position, as a share of the lower weight at the two ends of its gap

Data = TypeVar("Data", Markers, np.ndarray)


def smooth(markers: Markers, *, cutoff_hz: float | None = 6.0, order: int = 4, max_gap_s: float = 0.2) -> Markers:
    """Fill short gaps, then low-pass the paths.

    Covariances stay as they are. Method: zero-phase Butterworth filter (Winter 2009, Biomechanics and Motor Control of
    Human Movement, ch. 3), see `lowpass`.

    Parameters
    ----------
    markers : Markers
    cutoff_hz : float or None
        Cut-off (-3 dB) of the net filter; None only fills gaps.
    order : int
        Order of the net filter, even.
    max_gap_s : float
        Longest gap that is interpolated, s.

    Returns
    -------
    Markers
        In the frame given; interpolated positions are marked in `filled` and weigh less.

    Raises
    ------
    InputError
        For a cut-off that the frame rate cannot carry, or an odd order.
    """
    markers = fill_short_gaps(markers.without_zero_weights(), max_gap_s)
    return markers if cutoff_hz is None else lowpass(markers, cutoff_hz=cutoff_hz, order=order)


def lowpass(data: Data, rate: float | None = None, *, cutoff_hz: float, order: int = 4) -> Data:
    """Zero-phase Butterworth low-pass along the first axis: Markers, or an array (frames, …) with its `rate` in Hz.

    `order` and `cutoff_hz` are those of the net filter: a design of half the order runs forward and backward, its
    cut-off raised so that the net gain is −3 dB (1/√2) at `cutoff_hz`. NaN frames stay NaN and separate runs; each run
    is filtered by itself, with its ends continued by point reflection. Straight lines pass unchanged, all frames are
    kept, and a run of fewer than three frames is returned as it is. Covariances stay as they are: a detector's errors
    persist from frame to frame, so the filter removes less of them than of white noise, and how much less is not known.
    Winter 2009, Biomechanics and Motor Control of Human Movement, ch. 3; Robertson & Dowling 2003.
    """
    if isinstance(data, Markers):
        return data.with_(xyz=lowpass(data.xyz, data.rate, cutoff_hz=cutoff_hz, order=order))
    if rate is None:
        raise InputError("lowpass of an array needs its rate in frames per second.")
    sos = butterworth_sections(rate, cutoff_hz, order)
    paths = np.array(data, float)
    flat = paths.reshape(len(paths), int(np.prod(paths.shape[1:])))
    pad = int(np.ceil(3 * rate / cutoff_hz))  # long enough for the filter to forget its start
    for (start, stop), columns in _runs_by_columns(np.isfinite(flat)).items():
        if stop - start > 2:  # the chord is not filtered, so straight lines stay exact
            run = flat[start:stop, columns]
            chord = run[0] + np.linspace(0, 1, len(run))[:, None] * (run[-1] - run[0])
            bent = scipy.signal.sosfiltfilt(sos, run - chord, axis=0, padlen=min(pad, len(run) - 1))
            flat[start:stop, columns] = chord + bent
    return flat.reshape(paths.shape)


def butterworth_sections(rate: float, cutoff_hz: float, order: int) -> np.ndarray:
    """Second-order sections of the filter to run forward and backward, for the net `order` and −3 dB frequency."""
    if order not in range(2, 21, 2):
        raise InputError(f"the net order is {order}; forward and backward filtering gives even orders: 2, 4, … 20.")
    if not 1e-5 * rate < require_numbers("cutoff_hz", cutoff_hz, ()) < rate / 2:
        raise InputError(
            f"cut-off {cutoff_hz:g} Hz must lie between 0 and {rate / 2:g} Hz, half the rate of {rate:g} frames/s."
        )
    # Two passes of a half-order design have gain 1 / (1 + w^order), w = tan(π f / rate) / tan(π f_design / rate) in the
    # bilinear transform's warped frequency; 1/√2 at the cut-off makes w^order = √2 − 1 there.
    warped = np.tan(np.pi * cutoff_hz / rate) / (np.sqrt(2) - 1) ** (1 / order)
    return scipy.signal.butter(order // 2, np.arctan(warped) * 2 / np.pi, output="sos")


def _runs_by_columns(present: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """{(start, stop): columns} of the runs of True in present (frames, columns); columns with the same run together."""
    edge = np.zeros((1, present.shape[1]), bool)
    change = np.diff(np.concatenate([edge, present, edge]).astype(np.int8), axis=0).T  # (columns, frames + 1)
    column, start = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    runs: dict[tuple[int, int], list[int]] = {}
    for c, a, b in zip(column.tolist(), start.tolist(), stop.tolist(), strict=True):
        runs.setdefault((a, b), []).append(c)
    return runs


def short_gaps(missing: np.ndarray, rate: float, horizon_s: float) -> dict[tuple[int, int], list[int]]:
    """The `_runs_by_columns` of at most `horizon_s` (frames / rate) with known frames on both sides."""
    most = rate * horizon_s * (1 + 1e-9)
    runs = _runs_by_columns(missing).items()
    return {(a, b): columns for (a, b), columns in runs if a > 0 and b < len(missing) and b - a <= most}


def fill_short_gaps(markers: Markers, horizon_s: float) -> Markers:
    """Interpolate gaps inside a path of at most `horizon_s` (missing frames / rate), and mark them in `filled`.

    Monotone cubic interpolation (PCHIP: Fritsch & Carlson 1980), which never overshoots. Longer gaps, and those at the
    ends of the trial, stay NaN. Covariances are interpolated and grow by (½ a τ₁ τ₂)², the error of interpolation under
    an acceleration a = 10 m/s², at τ₁ and τ₂ s from the ends of the gap. Weights are half the lower one at the ends.
    """
    if not (np.isfinite(horizon_s) and horizon_s >= 0):
        raise InputError(f"the longest gap to fill is {horizon_s} s, expected 0 or more.")
    present = markers.present
    xyz = np.array(markers.xyz)
    weight = None if markers.weight is None else np.array(markers.weight)
    covariance = None if markers.covariance is None else np.array(markers.covariance)
    filled = np.zeros(present.shape, bool) if markers.filled is None else np.array(markers.filled)
    for (start, stop), columns in short_gaps(~present, markers.rate, horizon_s).items():
        gap, a, b = np.arange(start, stop), start - 1, stop
        filled[start:stop, columns] = True
        for m in columns:
            known = np.flatnonzero(present[:, m])
            after = int(np.searchsorted(known, b))
            near = known[max(after - 2, 0) : after + 2]  # a PCHIP depends on two frames on either side
            xyz[gap, m] = scipy.interpolate.PchipInterpolator(near, markers.xyz[near, m])(gap)
        if weight is not None:
            weight[start:stop, columns] = _FILLED_WEIGHT * np.minimum(weight[a, columns], weight[b, columns])
        if covariance is not None:
            share = ((gap - a) / (b - a))[:, None, None, None]
            error = 0.5 * LIMB_ACCELERATION_M_S2 * (gap - a) * (b - gap) / markers.rate**2
            between = (1 - share) * covariance[a, columns] + share * covariance[b, columns]
            covariance[start:stop, columns] = between + (error**2)[:, None, None, None] * np.eye(3)
    return markers.with_(xyz=xyz, weight=weight, covariance=covariance, filled=filled)


MIN_CUTOFF = 1.0  # Hz at rest
SPEED_COEFFICIENT = 40.0  # Hz for a speed of one extent of the person per second
SPEED_CUTOFF = 1.0  # Hz, of the low-pass for the speed; value of the paper


class OneEuro:
    """The One-Euro filter for the points of one person: strong at rest and weak in movement.

    A low-pass of first order whose cut-off grows with the speed (Casiez, Roussel and Vogel 2012, CHI). It uses
    past frames only, and so lags. Speeds are in the person's extents, so distance from the camera does not matter.
    """

    def __init__(self) -> None:
        self._xy: np.ndarray | None = None
        self._speed = np.zeros(0)
        self._time = 0.0

    def step(self, xy: np.ndarray, time: float, extent: float) -> np.ndarray:
        """Points (points, 2) px at `time` s, smoothed. NaN stays NaN, and the filter begins anew after it.

        extent: size of the person in the image, px.
        """
        xy = np.array(xy, float)
        if self._xy is None or time <= self._time:
            self._xy, self._speed, self._time = xy, np.zeros_like(xy), time
            return xy
        step = time - self._time
        speed = np.where(np.isfinite(self._xy), (xy - self._xy) / step, 0.0)
        self._speed = self._speed + _smoothing_share(SPEED_CUTOFF, step) * (np.nan_to_num(speed) - self._speed)
        cutoff = MIN_CUTOFF + SPEED_COEFFICIENT * np.abs(self._speed) / max(extent, 1.0)
        smooth = self._xy + _smoothing_share(cutoff, step) * (xy - self._xy)
        self._xy = np.where(np.isfinite(self._xy), smooth, xy)
        self._speed = np.where(np.isfinite(xy), self._speed, 0.0)
        self._time = time
        return self._xy


def _smoothing_share(cutoff, step: float):
    """Weight of a new value in a first-order low-pass; cutoff Hz, step s."""
    rate = 2 * np.pi * cutoff * step
    return rate / (rate + 1)


def at_frames(keypoints: Keypoints, positions: np.ndarray, row_frames: np.ndarray | None = None) -> Keypoints:
    """Keypoints at frame `positions` (frames, views) of each view's video: linear between the frames before and after,
    missing where one of them is missing. row_frames: (rows, views) int, frame of each row, -1: none; default: each.
    """
    if row_frames is None:
        row_frames = np.repeat(np.arange(keypoints.frames)[:, None], keypoints.views, 1)
    shape = (len(positions), *keypoints.xy.shape[1:])
    xy, confidence = np.full(shape, np.nan), np.zeros(shape[:-1])
    nearest = np.round(positions)
    positions = np.where(np.abs(positions - nearest) < WHOLE_FRAME_TOLERANCE, nearest, positions)
    for view, frames in enumerate(positions.T):
        known, row = np.unique(row_frames[:, view], return_index=True)
        known, row = known[known >= 0], row[known >= 0]
        before = np.searchsorted(known, frames, "right") - 1
        after = np.searchsorted(known, frames, "left")  # equal to `before` at a known frame
        inside = (before >= 0) & (after < len(known))
        before, after = before[inside], after[inside]
        share = ((frames[inside] - known[before]) / np.maximum(known[after] - known[before], 1))[:, None, None]
        early, late = row[before], row[after]
        xy[inside, view] = (1 - share) * keypoints.xy[early, view] + share * keypoints.xy[late, view]
        confidence[inside, view] = np.minimum(keypoints.confidence[early, view], keypoints.confidence[late, view])
    return keypoints.with_(xy=xy, confidence=confidence)
