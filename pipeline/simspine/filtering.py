"""Gaps and noise in the paths of markers.

Short gaps are interpolated and marked, long ones stay missing. The low-pass is a Butterworth filter run forward and
backward, so that it does not delay; every run of frames between gaps is filtered by itself.
"""

from typing import TypeVar

import numpy as np
from scipy.interpolate import PchipInterpolator

from simspine.errors import InputError
from simspine.types import Markers

ACCELERATION = 10.0  # m/s²; of a limb in everyday movement. Decides how fast an interpolated position loses its worth
_FILLED_WEIGHT = 0.5  # of the lower weight at the two ends of the gap

Data = TypeVar("Data", Markers, np.ndarray)


def smooth(markers: Markers, *, cutoff_hz: float | None = 6.0, order: int = 4, max_gap_s: float = 0.2) -> Markers:
    """Short gaps filled (`fill_gaps`), then paths low-passed (`lowpass`); `cutoff_hz` None leaves out the filter."""
    markers = fill_gaps(markers, max_gap_s)
    return markers if cutoff_hz is None else lowpass(markers, cutoff_hz=cutoff_hz, order=order)


def lowpass(data: Data, rate: float | None = None, *, cutoff_hz: float, order: int = 4) -> Data:
    """Zero-phase Butterworth low-pass along the first axis: Markers, or an array (frames, …) with its `rate` in Hz.

    `order` and `cutoff_hz` are those of the net filter: a design of half the order runs forward and backward, its
    cut-off raised so that the net gain is −3 dB (1/√2) at `cutoff_hz`. NaN frames stay NaN and separate runs; each run
    is filtered by itself, with its ends continued by point reflection. Straight lines pass unchanged, all frames are
    kept, and a run of fewer than three frames is returned as it is. Covariances stay as they are: a detector's errors
    persist from frame to frame, so the filter removes less of them than of white noise, and how much less is not
    known. Winter 2009, Biomechanics and Motor Control of Human Movement, ch. 3; Robertson & Dowling 2003 (order and
    cut-off).
    """
    if isinstance(data, Markers):
        return data.with_(xyz=lowpass(data.xyz, data.rate, cutoff_hz=cutoff_hz, order=order))
    if rate is None:
        raise InputError("lowpass of an array needs its rate in frames per second.")
    sos = design(rate, cutoff_hz, order)
    paths = np.array(data, float)
    flat = paths.reshape(len(paths), -1)
    pad = int(np.ceil(3 * rate / cutoff_hz))  # long enough for the filter to forget its start
    for (start, stop), columns in _runs(np.isfinite(flat)).items():
        if stop - start > 2:
            flat[start:stop, columns] = _filter_run(sos, flat[start:stop, columns], pad)
    return flat.reshape(paths.shape)


def design(rate: float, cutoff_hz: float, order: int) -> np.ndarray:
    """Second-order sections of the filter to run forward and backward, for the net `order` and −3 dB frequency."""
    if order < 2 or order % 2:
        raise InputError(f"the net order is {order}; forward and backward filtering gives even orders: 2, 4, 6, …")
    if not 0 < cutoff_hz < rate / 2:
        raise InputError(
            f"cut-off {cutoff_hz:g} Hz must lie between 0 and {rate / 2:g} Hz, half the rate of {rate:g} frames/s."
        )
    from scipy.signal import butter  # here, since loading it takes a second

    # Two passes of a half-order design have gain 1 / (1 + w^order), w = tan(π f / rate) / tan(π f_design / rate) in the
    # bilinear transform's warped frequency; 1/√2 at the cut-off makes w^order = √2 − 1 there.
    warped = np.tan(np.pi * cutoff_hz / rate) / (np.sqrt(2) - 1) ** (1 / order)
    return butter(order // 2, np.arctan(warped) * 2 / np.pi, output="sos")


def _filter_run(sos: np.ndarray, run: np.ndarray, pad: int) -> np.ndarray:
    """One run (frames, columns) without gaps. Its chord is taken off first, which makes straight lines exact."""
    from scipy.signal import sosfiltfilt

    chord = run[0] + np.linspace(0, 1, len(run))[:, None] * (run[-1] - run[0])
    return chord + sosfiltfilt(sos, run - chord, axis=0, padlen=min(pad, len(run) - 1))


def _runs(present: np.ndarray) -> dict[tuple[int, int], list[int]]:
    """{(start, stop): columns} of the runs of True in present (frames, columns); columns with the same run together."""
    edge = np.zeros((1, present.shape[1]), bool)
    change = np.diff(np.concatenate([edge, present, edge]).astype(np.int8), axis=0).T  # (columns, frames + 1)
    column, start = np.nonzero(change == 1)
    _, stop = np.nonzero(change == -1)
    runs: dict[tuple[int, int], list[int]] = {}
    for c, a, b in zip(column.tolist(), start.tolist(), stop.tolist(), strict=True):
        runs.setdefault((a, b), []).append(c)
    return runs


def fill_gaps(markers: Markers, horizon_s: float) -> Markers:
    """Gaps inside a path interpolated where they last at most `horizon_s` (missing frames / rate); marked in `filled`.

    Monotone cubic interpolation (PCHIP: Fritsch & Carlson 1980), which never overshoots. Longer gaps, and those at the
    ends of the trial, stay NaN. Covariances are interpolated and grow by (½ a τ₁ τ₂)², the error of interpolation with
    an acceleration of a = 10 m/s² unseen, at τ₁ and τ₂ s from the ends of the gap. Weights are half the lower one at
    the two ends.
    """
    if not (np.isfinite(horizon_s) and horizon_s >= 0):
        raise InputError(f"the horizon for gaps is {horizon_s} s, expected 0 or more.")
    present, frames = markers.present, np.arange(markers.frames)
    xyz = np.array(markers.xyz)
    weight = None if markers.weight is None else np.array(markers.weight)
    covariance = None if markers.covariance is None else np.array(markers.covariance)
    filled = np.zeros(present.shape, bool) if markers.filled is None else np.array(markers.filled)
    for (start, stop), columns in _runs(~present).items():
        if start == 0 or stop == markers.frames or (stop - start) / markers.rate > horizon_s * (1 + 1e-9):
            continue
        gap, a, b = slice(start, stop), start - 1, stop
        filled[gap, columns] = True
        for m in columns:
            known = frames[present[:, m]]
            after = int(np.searchsorted(known, b))
            near = known[max(after - 2, 0) : after + 2]  # two on either side, on which a PCHIP in the gap depends
            xyz[gap, m] = PchipInterpolator(near, markers.xyz[near, m])(frames[gap])
        if weight is not None:
            weight[gap, columns] = _FILLED_WEIGHT * np.minimum(weight[a, columns], weight[b, columns])
        if covariance is not None:
            share = ((frames[gap] - a) / (b - a))[:, None, None, None]
            error = 0.5 * ACCELERATION * (frames[gap] - a) * (b - frames[gap]) / markers.rate**2
            between = (1 - share) * covariance[a, columns] + share * covariance[b, columns]
            covariance[gap, columns] = between + (error**2)[:, None, None, None] * np.eye(3)
    return markers.with_(xyz=xyz, weight=weight, covariance=covariance, filled=filled)
