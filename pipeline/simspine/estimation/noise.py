"""Noise of the points, learnt from all trials of a person; and the choice of the frames for the fit to the person.

The fit estimates a posture in each of a few frames. A noisy frame would bend the spine, and so lengthen it. Positions
are therefore smoothed first (`smooth_positions`). The noise levels are learnt from the smoothed positions; the variance
that smoothing removed is then added (`add_white_noise`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy

from simspine.anatomy.body import Body
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.priors import SharedError, likeliest_variance
from simspine.anatomy.recipes import fit_markers
from simspine.core.arrays import columns_by_name, mean_of_known
from simspine.core.geometry import off_vertical
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.observations import (
    ON_SKIN,
    USUAL_BODY_MISFIT_M,
    NoiseLevels,
    are_of_kind,
    detector_error_share,
    observation_weights,
)
from simspine.estimation.person_solver import PersonFit, PersonProblem
from simspine.estimation.result import Solver

# Noise levels from the residuals of a fit, by empirical Bayes. Each step takes the standard deviations that maximise
# their posterior; its prior is log-normal about the configured value (Dempster, Laird & Rubin 1977).

# {field of `NoiseLevels`: kinds of points}
KINDS_OF_LEVEL = {"detected_sd": FROM_DETECTOR, "given_sd": (Origin.GIVEN,), "skin_sd": (ON_SKIN,)}
SMOOTHING_WINDOW_S, SMOOTHING_DEGREE = 0.3, 3
# s: three frames close together, whose smoothing windows do not overlap, show how long errors last.
BURST_TIMES_S = (0.0, SMOOTHING_WINDOW_S, 3 * SMOOTHING_WINDOW_S)
# Largest factor on a marker's weight in its marker set, and inverse of the smallest. Points whose places are fitted
# would otherwise take the weight of all others: over 100 for those of the head.
MAX_WEIGHT_FACTOR = 4.0
MIN_BODY_MISFIT_M = 0.001  # m: smallest misfit of any body


def learnt_noise(
    levels: NoiseLevels, problem: PersonProblem, fit: PersonFit, configured: NoiseLevels, correlation_s: float
) -> NoiseLevels:
    """Noise levels that are likeliest given the fit: a step of expectation maximisation.

    levels: those of the fit. configured: centre of the prior of the kinds' levels (see `likeliest_variance`); a kind's
    level is the centre of its markers' prior. correlation_s: the new one, s.
    """
    learnt = _learnt_marker_noise(levels, problem, fit, configured)
    regions = [i for i, error in enumerate(problem.errors.shared_errors) if error.in_ground_frame]
    if regions:
        shape = (len(problem.observations), -1, 3)
        squares = (fit.solution.offsets**2 + fit.offset_variance).reshape(shape)[:, regions].ravel()
        variance = likeliest_variance(float(squares.mean()), squares.size, configured.region_sd**2)
        learnt = replace(learnt, region_sd=float(max(MIN_BODY_MISFIT_M, np.sqrt(variance))))
    return replace(learnt, correlation_s=float(min(correlation_s, SharedError.correlation_time)))


def _learnt_marker_noise(
    levels: NoiseLevels, problem: PersonProblem, fit: PersonFit, configured: NoiseLevels
) -> NoiseLevels:
    """Levels with the likeliest standard deviation of each kind of points, and the likeliest factor of each marker."""
    first = problem.observations[0].markers
    count, total = _scores_by_marker(problem, fit)
    update: dict[str, Any] = {}
    change = dict.fromkeys(first.names, 1.0)
    for level, kinds in KINDS_OF_LEVEL.items():
        group = np.flatnonzero(are_of_kind(first, *kinds) & (count > 0))
        if not group.size:
            continue
        used_sd, configured_sd = getattr(levels, level), getattr(configured, level)
        group_count = count[group].sum()
        variance = likeliest_variance(total[group].sum() / group_count, group_count, (configured_sd / used_sd) ** 2)
        update[level] = float(max(MIN_BODY_MISFIT_M, used_sd * np.sqrt(variance)))
        each = likeliest_variance(total[group] / count[group], count[group], variance)
        change |= {first.names[i]: float(variance / v) for i, v in zip(group, each, strict=True)}
    factors = {
        name: float(np.clip(levels.weight_factors.get(name, 1.0) * factor, 1 / MAX_WEIGHT_FACTOR, MAX_WEIGHT_FACTOR))
        for name, factor in change.items()
    }
    return replace(levels, weight_factors=factors, **update)


def _scores_by_marker(problem: PersonProblem, fit: PersonFit) -> tuple[np.ndarray, np.ndarray]:
    """(markers,): count of independent coordinates; sum of their squared residuals over the assumed variances."""
    w = np.where(problem.precision > 0, problem.precision, np.nan)[:, :, None]
    score = w * (np.minimum(fit.residual**2, problem.errors.loss_threshold_sd**2 / w) + fit.marker_variance)
    sharing = max(1.0, len(score) / float(problem.independent.sum()))
    return np.isfinite(score).sum((0, 2)) / sharing, np.nansum(score, (0, 2)) / sharing


def lasting_error_share(
    problem: PersonProblem, fit: PersonFit, bursts: Sequence[np.ndarray], default: float
) -> tuple[float, float]:
    """Share of the detected points' variance that lasts, 0…1, and the time, s, in which its autocorrelation falls to
    1/e. The rest of the variance is independent in frames that are 0.3 s apart.

    bursts: for each trial (bursts, 3), indices of frames that are `BURST_TIMES_S` apart. The residuals of the spine's
    points in these frames are correlated. Without detected points or bursts, or with gaps in these, all variance lasts,
    and the integral of its autocorrelation is `default`, s.
    """
    first = problem.observations[0].markers
    detected = are_of_kind(first, *FROM_DETECTOR)
    on_spine = np.isin(first.names, SPINE_CHAIN_MARKERS) & detected
    group = on_spine if on_spine.any() else detected  # a detector without points of the spine
    starts = np.cumsum([0, *(recording.markers.frames for recording in problem.observations)])
    frames = np.concatenate([start + burst_frames for start, burst_frames in zip(starts[:-1], bursts, strict=True)])
    if not group.any() or not len(frames):
        return 1.0, default / 2
    burst = fit.residual[:, group][frames]  # (bursts, 3, markers, 3)
    products = mean_of_known(burst[:, :1] * burst, (0, 3))  # (lags, markers)
    products = products[:, products[0] > 0]
    if not np.isfinite(products).any(1).all():
        return 1.0, default / 2  # because of gaps, a lag has no product
    near, far = np.maximum(np.nanmedian(products[1:] / products[0], axis=1), 1e-3)
    longest = float(np.mean(problem.durations_s)) / 2
    apart = BURST_TIMES_S[2] - BURST_TIMES_S[1]
    time = apart / max(np.log(max(near, far) / far), apart / longest)
    return min(1.0, max(near, far) * np.exp(BURST_TIMES_S[1] / time)), time


# Smoothing by polynomials over a window removes errors that change from frame to frame (Savitzky & Golay 1964).


def smooth_positions(markers: Markers) -> Markers:
    """Smoothed positions. They stay as they are where the window reaches over a gap or over an end of the trial."""
    window = _window_frames(markers)
    if window == 1:
        return markers
    smooth = scipy.signal.savgol_filter(markers.xyz, window, SMOOTHING_DEGREE, axis=0, mode="nearest")
    smooth[: window // 2] = smooth[-(window // 2) :] = np.nan
    return markers.with_(xyz=np.where(np.isfinite(smooth), smooth, markers.xyz))


def _window_frames(markers: Markers) -> int:
    """Frames in the window of `smooth_positions`; 1 if the trial is too short to be smoothed."""
    window = 2 * int(SMOOTHING_WINDOW_S * markers.rate / 2) + 1
    return window if SMOOTHING_DEGREE < window <= markers.frames else 1


def _smoothed_error_duration(markers: Markers) -> float:
    """s: how long an independent error lasts after `smooth_positions`. The remaining variance times this duration is
    the original variance times the duration of a frame."""
    if (window := _window_frames(markers)) == 1:
        return 1 / markers.rate
    return float(1 / (markers.rate * np.sum(scipy.signal.savgol_coeffs(window, SMOOTHING_DEGREE) ** 2)))


def white_noise_variance(markers: Markers, smooth: Markers) -> np.ndarray:
    """(markers,) m²: variance of a coordinate that `smooth_positions` removed."""
    return mean_of_known((markers.xyz - smooth.xyz) ** 2, (0, 2))


def add_white_noise(
    levels: NoiseLevels,
    marker_weights: Mapping[str, float],
    trials: Sequence[Markers],
    fast_variance: np.ndarray,
    detected_lasting_share: float,
) -> NoiseLevels:
    """Noise levels of the positions before smoothing, from those of smoothed positions.

    marker_weights: of the marker set. fast_variance: (markers,) m², removed by smoothing. detected_lasting_share: see
    `lasting_error_share`. Lasting errors up to `USUAL_BODY_MISFIT_M` come from the body's misfit, the rest from the
    detector, with its own correlation time.
    """
    update: dict[str, Any] = {}
    smoothed_duration = np.mean([_smoothed_error_duration(trial) for trial in trials])
    factors = dict(levels.weight_factors)
    for level, kinds in KINDS_OF_LEVEL.items():
        group = np.flatnonzero(are_of_kind(trials[0], *kinds) & np.isfinite(fast_variance))
        if not group.size:
            continue
        names = [trials[0].names[i] for i in group]
        slow = getattr(levels, level) ** 2 / np.array([factors[name] for name in names])  # of a marker of weight 1
        total = slow + np.array([marker_weights.get(name, 1.0) for name in names]) * fast_variance[group]
        update[level] = float(np.sqrt(total.mean()))
        factors.update(zip(names, (total.mean() / total).tolist(), strict=True))
        lasts = detected_lasting_share if level == "detected_sd" else 1.0
        time = levels.correlation_s * detector_error_share(getattr(levels, level)) + (1 - lasts) * smoothed_duration
        update.setdefault("correlation_s", float((slow / total).mean() * time))  # those of the first kind there is
        update.setdefault("misfit_sd", float(min(USUAL_BODY_MISFIT_M, np.sqrt(lasts) * getattr(levels, level))))
    return replace(levels, **update, weight_factors=factors)


# The postures that the fit to the person uses: some frames of each smoothed trial, far apart.

MAX_POSTURES = 150  # of all trials together
MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL = 6, 60
MAX_THIGH_TILT_RAD, MAX_TRUNK_TILT_RAD = np.radians(20.0), np.radians(15.0)  # against the vertical, in standing
UPRIGHT_POINTS = tuple(side + name for side in "LR" for name in ("Knee", "Hip", "Shoulder"))
FrameCheck = Callable[[Markers], np.ndarray]  # (frames,) bool: left and right, or head and feet, are exchanged


@dataclass(frozen=True, eq=False)
class PostureRecording:
    """A trial and its postures for the fit. markers: the trial. fast_variance: (markers,) m², removed by smoothing.
    postures: some frames of the smoothed trial. bursts: (bursts, 3), indices of postures `BURST_TIMES_S` apart."""

    markers: Markers
    fast_variance: np.ndarray
    postures: Markers
    bursts: np.ndarray


def sampled_recordings(
    body: Body, trials: Sequence[Markers], weights: Mapping[str, float], levels: NoiseLevels, exchanged: FrameCheck
) -> list[PostureRecording]:
    """The trials in which some frame has enough markers, with their postures for the fit.

    All have the same marker names: a marker that a trial lacks is missing in all its frames. Frames in which left and
    right, or head and feet, are exchanged are left out, unless no other frame has enough markers.
    """
    fitted = [fit_markers(body, trial) for trial in trials]
    origins = {name: origin for trial in fitted for name, origin in zip(trial.names, trial.origins, strict=True)}
    usable, recordings = [], []
    for trial in (_with_all_names(trial, origins) for trial in fitted):
        measured = (observation_weights(trial, weights, levels) > 0) & trial.present
        usable.append((trial, np.flatnonzero(measured.sum(1) >= Solver.min_markers)))
    sound = [(trial, frames[~exchanged(trial)[frames]]) for trial, frames in usable]
    chosen = [pair for pair in sound if pair[1].size] or [pair for pair in usable if pair[1].size]
    for trial, frames in chosen:
        smooth = smooth_positions(trial)
        postures, bursts = _sampled_in_bursts(smooth, frames, len(chosen))
        recordings.append(PostureRecording(trial, white_noise_variance(trial, smooth), postures, bursts))
    return recordings


def is_standing(markers: Markers) -> np.ndarray:
    """(frames,) bool: thighs and trunk are within `MAX_THIGH_TILT_RAD` and `MAX_TRUNK_TILT_RAD` of the vertical; False
    where their points are missing."""
    if not set(UPRIGHT_POINTS) <= set(markers.names):
        return np.zeros(markers.frames, bool)
    thighs, trunk = (
        np.maximum(*(off_vertical(markers, side + lower, side + upper) for side in "LR"))
        for lower, upper in (("Knee", "Hip"), ("Hip", "Shoulder"))
    )
    return (thighs < MAX_THIGH_TILT_RAD) & (trunk < MAX_TRUNK_TILT_RAD)


def _sampled_in_bursts(markers: Markers, usable: np.ndarray, trials: int) -> tuple[Markers, np.ndarray]:
    """A sample of the `usable` frames, evenly spaced, in bursts if the trial is long enough; and the indices of the
    frames of each burst in the sample, (bursts, 3). trials: how many share `MAX_POSTURES`."""
    wanted = int(np.clip(MAX_POSTURES // trials, MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL))
    steps = np.round(np.array(BURST_TIMES_S) * markers.rate).astype(int)
    begin = usable[usable < markers.frames - steps[-1]]
    if not begin.size or markers.frames <= wanted:
        chosen = usable[np.unique(np.linspace(0, usable.size - 1, min(wanted, usable.size)).astype(int))]
        bursts = np.zeros((0, len(steps)), int)
    else:
        evenly = np.linspace(0, begin.size - 1, max(1, wanted // len(steps))).astype(int)
        burst_frames = begin[evenly][:, None] + steps
        chosen = np.unique(burst_frames)
        bursts = np.searchsorted(chosen, burst_frames)
    arrays = {"xyz": markers.xyz[chosen]}
    for name in ("weight", "filled", "covariance"):
        values = getattr(markers, name)
        arrays[name] = None if values is None else values[chosen]
    spacing = (markers.frames - 1) / markers.rate / max(1, len(chosen) - 1)
    return markers.with_(**arrays, rate=1 / max(spacing, 1 / markers.rate)), bursts


def _with_all_names(markers: Markers, origin_by_name: Mapping[str, Origin]) -> Markers:
    names, arrays = tuple(origin_by_name), {}
    for field, fill in {"xyz": np.nan, "weight": 0.0, "covariance": np.nan, "filled": False}.items():
        values = getattr(markers, field)
        arrays[field] = None if values is None else columns_by_name(values, markers.names, names, fill)
    origins = {**origin_by_name, **dict(zip(markers.names, markers.origins, strict=True))}
    return markers.with_(names=names, origin=tuple(origins.values()), **arrays)
