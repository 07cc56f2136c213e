"""Errors that change from frame to frame: taken out before the fit to the person, counted after it.

A posture is fitted to each of a few frames. From a single noisy one the spine would be taken for bent, and so for
longer than it is; so positions are smoothed first, and what was taken out is added to what the fit learns of the noise.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.arrays import mean_of_known
from simspine.ik.options import KinematicsOptions
from simspine.pipeline.noise import detectors_share
from simspine.types import FROM_DETECTOR, Markers, Origin

SMOOTH, DEGREE = 0.3, 3  # s, of the polynomials that take out what changes from frame to frame (Savitzky & Golay 1964)


def smoothed(markers: Markers) -> Markers:
    """Positions without what changes from frame to frame; as they are where the window reaches over a gap or an end."""
    window = _window(markers)
    if window == 1:
        return markers
    from scipy.signal import savgol_filter  # loading it takes a second

    smooth = savgol_filter(markers.xyz, window, DEGREE, axis=0, mode="nearest")
    smooth[: window // 2] = smooth[-(window // 2) :] = np.nan
    return markers.with_(xyz=np.where(np.isfinite(smooth), smooth, markers.xyz))


def _window(markers: Markers) -> int:
    """Frames over which `smoothed` smooths; 1 where there are too few."""
    window = 2 * int(SMOOTH * markers.rate / 2) + 1
    return window if DEGREE < window <= markers.frames else 1


def _new_after(markers: Markers) -> float:
    """s: over so long a time independent errors, once `smoothed` has been over them, are one error: what is left of
    their variance, times this, is their variance times one frame."""
    if (window := _window(markers)) == 1:
        return 1 / markers.rate
    from scipy.signal import savgol_coeffs

    return float(1 / (markers.rate * np.sum(savgol_coeffs(window, DEGREE) ** 2)))


def fast_variance(markers: Markers, smooth: Markers) -> np.ndarray:
    """(markers,) m²: variance of a coordinate that `smoothed` took out."""
    return mean_of_known((markers.xyz - smooth.xyz) ** 2, (0, 2))


def with_fast(
    noise: KinematicsOptions,
    worth: Mapping[str, float],
    base: Mapping[str, float],
    trials: Sequence[Markers],
    fast: np.ndarray,
    seen: np.ndarray,
    lasting: float,
) -> tuple[dict[str, float], dict[str, float], dict[str, float], dict[str, float]]:
    """The options that were learnt, and factors on the weights, with the errors that had been taken out; and by marker,
    which part of its variance lasts, and which of it is the body's. seen: (markers,) of what was not taken out, the
    part that is there. lasting: of a detector's points, the part of that which is not new after 0.3 s.

    What lasts is the body's up to `MISFIT`, and the detector's beyond it, with a time of its own.
    """
    markers, new_after = trials[0], float(np.mean([_new_after(trial) for trial in trials]))
    learnt = {"region_sd_m": noise.region_sd_m}
    found = dict(worth)
    lasts = dict(zip(markers.names, seen.tolist(), strict=True))
    misfit = dict(lasts)
    times = []
    for name, origins, part in (("marker_sd_m", FROM_DETECTOR, lasting), ("given_sd_m", (Origin.GIVEN,), 1.0)):
        slow = getattr(noise, name) ** 2
        learnt[name] = slow**0.5
        group = np.flatnonzero(markers.of_origin(*origins) & np.isfinite(fast))
        if group.size:
            weight = np.array([base.get(markers.names[i], 1.0) for i in group])
            own = slow / np.array([worth[markers.names[i]] for i in group])  # of a marker of weight 1
            total = own + weight * fast[group]
            names, left, detectors = [markers.names[i] for i in group], own / total, detectors_share(slow**0.5)
            learnt[name] = float(np.sqrt(total.mean()))
            found |= dict(zip(names, (total.mean() / total).tolist(), strict=True))
            lasts |= dict(zip(names, (part * seen[group] * left).tolist(), strict=True))
            misfit |= {marker: lasts[marker] * (1 - detectors) for marker in names}
            times.append(float(left.mean() * (noise.error_correlation_s * detectors + (1 - part) * new_after)))
    learnt["error_correlation_s"] = times[0] if times else noise.error_correlation_s
    return learnt, found, lasts, misfit
