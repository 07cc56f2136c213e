"""How far points are off, learnt from all trials of a person; and the frames that teach it.

The fit to a person takes a posture from each of a few frames. A single noisy frame would bend the spine, and so
lengthen it; so positions are smoothed first (`smooth_positions`), and the noise taken out is
added to what the fit learns of the rest (`add_white_noise`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.priors import likeliest_variance
from simspine.anatomy.recipes import fit_markers
from simspine.core.arrays import mean_of_known
from simspine.core.geometry import off_vertical
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.observations import (
    NoiseLevels,
    PointKind,
    are_of_kind,
    detector_error_share,
    observation_weights,
)
from simspine.estimation.person_solver import PersonFit, PersonProblem

# The noise of a person's recordings, learnt from the residuals of a fit: empirical Bayes. Each step takes the standard
# deviations and the correlation time that make what was found likeliest, under priors that hold what was configured to
# be right within a factor (expectation maximisation: Dempster, Laird & Rubin 1977).

KINDS_OF_LEVEL = {  # of `NoiseLevels`
    "detected_sd": (PointKind.DETECTED, PointKind.ESTIMATED),
    "given_sd": (PointKind.MOTION_CAPTURE,),
    "skin_sd": (PointKind.SKIN,),
}
BURST_TIMES_S = (0.0, 0.3, 0.9)  # s: frames close together show how long errors last
MAX_WEIGHT_FACTOR = 4.0  # a marker is worth at most so many times more or less than its marker set says
MIN_BODY_MISFIT_M = 0.001  # m: bodies are wrong by as much at the least


def learnt_noise(
    levels: NoiseLevels,
    problem: PersonProblem,
    fit: PersonFit,
    configured: NoiseLevels,
    correlation_s: float,
    squared_bias: np.ndarray,
) -> NoiseLevels:
    """Levels that make what the fit found likeliest: a step of expectation maximisation.

    levels: those of the fit. configured: assumed to be right within a factor (see `likeliest_variance`); a marker is
    assumed to be like its group. correlation_s: see `lasting_error_share`. squared_bias: m², squares of the regions'
    bias in all trials, as far as they tell of their errors in one.
    """
    found = _learnt_marker_noise(levels, problem, fit, configured)
    regions = [i for i, error in enumerate(problem.errors.shared_errors) if len(error.markers) > 1]
    if regions:
        shape = (len(problem.observations), -1, 3)
        squares = (fit.solution.offsets**2 + fit.offset_variance).reshape(shape)[:, regions].ravel()
        squares = np.append(squares, squared_bias)
        variance = likeliest_variance(float(squares.mean()), squares.size, configured.region_sd**2)
        found = replace(found, region_sd=float(max(MIN_BODY_MISFIT_M, np.sqrt(variance))))
    return replace(found, correlation_s=float(np.clip(correlation_s, 0.02, 30.0)))


def _learnt_marker_noise(
    levels: NoiseLevels, problem: PersonProblem, fit: PersonFit, configured: NoiseLevels
) -> NoiseLevels:
    """Standard deviations of points by kind, and factors on the weights of each."""
    first = problem.observations[0].markers
    count, total = _scores_by_marker(problem, fit)
    update: dict[str, Any] = {}
    change = dict.fromkeys(first.names, 1.0)
    for level, kinds in KINDS_OF_LEVEL.items():
        group = np.flatnonzero(are_of_kind(first, *kinds) & (count > 0))
        if not group.size:
            continue
        own, assumed = getattr(levels, level), getattr(configured, level)
        shown = count[group].sum()
        variance = likeliest_variance(total[group].sum() / shown, shown, (assumed / own) ** 2)
        update[level] = float(max(MIN_BODY_MISFIT_M, own * np.sqrt(variance)))
        each = [likeliest_variance(total[i] / max(count[i], 1e-9), count[i], variance) for i in group]
        change |= {first.names[i]: float(variance / v) for i, v in zip(group, each, strict=True)}
    factors = {
        name: float(np.clip(levels.weight_factors.get(name, 1.0) * by, 1 / MAX_WEIGHT_FACTOR, MAX_WEIGHT_FACTOR))
        for name, by in change.items()
    }
    return replace(levels, weight_factors=factors, **update)


def _scores_by_marker(problem: PersonProblem, fit: PersonFit) -> tuple[np.ndarray, np.ndarray]:
    """(markers,) independent coordinates of each, and the sum of their squared residuals in assumed variances."""
    w = np.where(problem.precision > 0, problem.precision, np.nan)[:, :, None]
    score = w * (np.minimum(fit.residual**2, problem.errors.loss_threshold_sd**2 / w) + fit.marker_variance)
    sharing = max(1.0, len(score) / float(problem.independent.sum()))
    return np.isfinite(score).sum((0, 2)) / sharing, np.nansum(score, (0, 2)) / sharing


def seen_shares_by_marker(problem: PersonProblem, fit: PersonFit) -> tuple[np.ndarray, float]:
    """(markers,) and of errors that regions share: the share of the assumed variances that residuals show, 0…1.

    Variances are not learnt below `MIN_BODY_MISFIT_M`; residuals may be smaller. They are compared with the variance
    less that of the fit itself, over all markers of a kind (the variance factor of adjustment theory: Birge 1932).
    """
    first = problem.observations[0].markers
    precision = problem.precision[:, :, None]
    w = np.where((precision > 0) & np.isfinite(fit.residual), precision, np.nan)
    scale = problem.errors.loss_threshold_sd if problem.errors.loss == "huber" else np.inf
    square, wanted = np.minimum(w * fit.residual**2, scale**2), 1 - np.minimum(w * fit.marker_variance, 0.99)
    shares = np.ones(len(first.names))
    for kinds in KINDS_OF_LEVEL.values():
        group = are_of_kind(first, *kinds)
        if np.isfinite(w[:, group]).any():
            shares[group] = min(1.0, float(np.nansum(square[:, group]) / np.nansum(wanted[:, group])))
    sd = np.array([sd for error in problem.errors.shared_errors for sd in error.sd_by_axis])
    found = fit.solution.offsets**2
    left = sd**2 - np.minimum(fit.offset_variance, 0.99 * sd**2)
    return shares, min(1.0, float(found.sum() / left.sum())) if sd.size else 1.0


def lasting_error_share(
    problem: PersonProblem, fit: PersonFit, bursts: Sequence[np.ndarray], default: float
) -> tuple[float, float]:
    """The share of the variance of a detector's points that lasts, 0…1, and the time, s, in which its autocorrelation
    falls to 1/e. The rest is new in frames that are 0.3 s apart.

    bursts: (bursts, 3) of each trial, which of its frames are `BURST_TIMES_S` apart; residuals of the spine's points in
    them decide. Without bursts, or with gaps in them, all of it lasts and its autocorrelation has the integral
    `default`.
    """
    first = problem.observations[0].markers
    detected = first.of_origin(*FROM_DETECTOR)
    along = np.isin(first.names, SPINE_CHAIN_MARKERS) & detected
    group = along if along.any() else detected  # a detector that does not see the spine
    firsts = np.cumsum([0, *(seen.markers.frames for seen in problem.observations)])
    frames = np.concatenate([first + own for first, own in zip(firsts[:-1], bursts, strict=True)])
    if not group.any() or not len(frames):
        return 1.0, default / 2
    burst = fit.residual[:, group][frames]  # (bursts, 3, markers, 3)
    products = mean_of_known(burst[:, :1] * burst, (0, 3))  # (lags, markers)
    products = products[:, products[0] > 0]
    if not np.isfinite(products).any(1).all():
        return 1.0, default / 2  # gaps leave one of the lags out
    near, far = np.clip(np.nanmedian(products[1:] / products[0], axis=1), 1e-3, 0.999)
    longest = float(np.mean(problem.durations_s)) / 2
    time = min(longest, (BURST_TIMES_S[2] - BURST_TIMES_S[1]) / max(np.log(max(near, far) / far), 1e-2))
    return min(1.0, max(near, far) * np.exp(BURST_TIMES_S[1] / time)), time


# Errors that change from frame to frame: polynomials over a window take them out (Savitzky & Golay 1964).

SMOOTHING_WINDOW_S, SMOOTHING_DEGREE = 0.3, 3


def smooth_positions(markers: Markers) -> Markers:
    """Positions without what changes from frame to frame; as they are where the window reaches over a gap or an end."""
    window = _window_frames(markers)
    if window == 1:
        return markers
    from scipy.signal import savgol_filter  # loading it takes a second

    smooth = savgol_filter(markers.xyz, window, SMOOTHING_DEGREE, axis=0, mode="nearest")
    smooth[: window // 2] = smooth[-(window // 2) :] = np.nan
    return markers.with_(xyz=np.where(np.isfinite(smooth), smooth, markers.xyz))


def _window_frames(markers: Markers) -> int:
    """Frames over which `smooth_positions` smooths; 1 where there are too few."""
    window = 2 * int(SMOOTHING_WINDOW_S * markers.rate / 2) + 1
    return window if SMOOTHING_DEGREE < window <= markers.frames else 1


def _is_new_after(markers: Markers) -> float:
    """s: independent errors that `smooth_positions` has smoothed are one error over so long a time: their remaining
    variance times this is their variance times one frame."""
    if (window := _window_frames(markers)) == 1:
        return 1 / markers.rate
    from scipy.signal import savgol_coeffs

    return float(1 / (markers.rate * np.sum(savgol_coeffs(window, SMOOTHING_DEGREE) ** 2)))


def white_noise_variance(markers: Markers, smooth: Markers) -> np.ndarray:
    """(markers,) m²: variance of a coordinate that `smooth_positions` took out."""
    return mean_of_known((markers.xyz - smooth.xyz) ** 2, (0, 2))


def add_white_noise(
    levels: NoiseLevels,
    marker_weights: Mapping[str, float],
    trials: Sequence[Markers],
    fast_variance: np.ndarray,
    seen: np.ndarray,
    lasting: float,
) -> NoiseLevels:
    """The levels with the errors that smoothing had taken out, of (markers,) `fast_variance`, m².

    levels: of smoothed positions. marker_weights: of the marker set. seen: (markers,), the share of their variances
    that residuals show. lasting: the share of that which is not new after 0.3 s, of a detector's points. What lasts is
    the body's up to `USUAL_BODY_MISFIT_M`, and the detector's beyond it, with a time of its own.
    """
    update: dict[str, Any] = {}
    times, smoothed = [], np.mean([_is_new_after(trial) for trial in trials])
    factors = dict(levels.weight_factors)
    lasting_share = dict(zip(trials[0].names, seen.tolist(), strict=True))
    misfit_share = dict(lasting_share)
    for level, kinds in KINDS_OF_LEVEL.items():
        group = np.flatnonzero(are_of_kind(trials[0], *kinds) & np.isfinite(fast_variance))
        if not group.size:
            continue
        names = [trials[0].names[i] for i in group]
        slow = getattr(levels, level) ** 2 / np.array([factors[name] for name in names])  # of a marker of weight 1
        total = slow + np.array([marker_weights.get(name, 1.0) for name in names]) * fast_variance[group]
        update[level] = float(np.sqrt(total.mean()))
        factors.update(zip(names, (total.mean() / total).tolist(), strict=True))
        part, detectors = lasting if level == "detected_sd" else 1.0, detector_error_share(getattr(levels, level))
        lasting_share.update(zip(names, (part * seen[group] * slow / total).tolist(), strict=True))
        misfit_share.update({name: lasting_share[name] * (1 - detectors) for name in names})
        times.append(float((slow / total).mean() * (levels.correlation_s * detectors + (1 - part) * smoothed)))
    return replace(
        levels,
        **update,
        correlation_s=times[0] if times else levels.correlation_s,
        weight_factors=factors,
        lasting_share=lasting_share,
        misfit_share=misfit_share,
    )


# Which postures of a person's trials the fit of the body uses: some frames of each, far apart, smoothed.


MAX_POSTURES = 150  # of all trials together
MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL = 6, 60
MIN_MARKERS_PER_POSTURE = 3
MAX_THIGH_TILT_RAD, MAX_TRUNK_TILT_RAD = np.radians(20.0), np.radians(15.0)  # from upright, of a person who stands
UPRIGHT_POINTS = tuple(side + name for side in "LR" for name in ("Knee", "Hip", "Shoulder"))
FrameCheck = Callable[[Markers], np.ndarray]  # of markers to frames, (frames,) bool


@dataclass(frozen=True, eq=False)
class PostureRecording:
    """markers: a trial. fast_variance: (markers,) m², of what smoothing took out of it. postures: some frames of the
    smoothed trial. bursts: (bursts, 3), which of the postures are `BURST_TIMES_S` apart."""

    markers: Markers
    fast_variance: np.ndarray
    postures: Markers
    bursts: np.ndarray


def sampled_recordings(
    body: Body,
    trials: Sequence[Markers],
    weights: Mapping[str, float],
    levels: NoiseLevels,
    exchanged: FrameCheck,
) -> list[PostureRecording]:
    """The trials that show a posture."""
    padded = _padded_to_common_markers([fit_markers(body, trial) for trial in trials])
    shown = [(trial, _frames_with_enough_markers(trial, weights, levels)) for trial in padded]
    recordings, chosen = [], _without_swapped_frames(shown, exchanged)
    for trial, frames in chosen:
        smooth = smooth_positions(trial)
        postures, bursts = _sampled_in_bursts(smooth, frames, len(chosen))
        recordings.append(PostureRecording(trial, white_noise_variance(trial, smooth), postures, bursts))
    return recordings


def is_standing(markers: Markers) -> np.ndarray:
    """(frames,) bool: thighs and trunk upright, within `MAX_THIGH_TILT_RAD` and `MAX_TRUNK_TILT_RAD`; where they are
    not seen, not."""
    if not set(UPRIGHT_POINTS) <= set(markers.names):
        return np.zeros(markers.frames, bool)
    thighs, trunk = (
        np.maximum(*(off_vertical(markers, side + lower, side + upper) for side in "LR"))
        for lower, upper in (("Knee", "Hip"), ("Hip", "Shoulder"))
    )
    return (thighs < MAX_THIGH_TILT_RAD) & (trunk < MAX_TRUNK_TILT_RAD)


def _sampled_in_bursts(markers: Markers, shown: np.ndarray, trials: int) -> tuple[Markers, np.ndarray]:
    """Frames evenly over those that show a posture, in bursts where the trial is long enough; and which of them make a
    burst, (bursts, 3).
    """
    wanted = int(np.clip(MAX_POSTURES // trials, MIN_POSTURES_PER_TRIAL, MAX_POSTURES_PER_TRIAL))
    steps = np.round(np.array(BURST_TIMES_S) * markers.rate).astype(int)
    begin = shown[shown < markers.frames - steps[-1]]
    if not begin.size or markers.frames <= wanted:
        chosen = shown[np.unique(np.linspace(0, shown.size - 1, min(wanted, shown.size)).astype(int))]
        bursts = np.zeros((0, len(steps)), int)
    else:
        evenly = np.linspace(0, begin.size - 1, max(1, wanted // len(steps))).astype(int)
        together = begin[evenly][:, None] + steps
        chosen = np.unique(together)
        bursts = np.searchsorted(chosen, together)
    part = {"xyz": markers.xyz[chosen]}
    for name in ("weight", "filled", "covariance"):
        values = getattr(markers, name)
        part[name] = None if values is None else values[chosen]
    spacing = (markers.frames - 1) / markers.rate / max(1, len(chosen) - 1)
    return markers.with_(**part, rate=1 / max(spacing, 1 / markers.rate)), bursts


def _frames_with_enough_markers(
    markers: Markers, marker_weights: Mapping[str, float], levels: NoiseLevels
) -> np.ndarray:
    """Indices of the frames that show enough for a posture."""
    w = observation_weights(markers, marker_weights, levels)
    return np.flatnonzero(((w > 0) & markers.present).sum(1) >= MIN_MARKERS_PER_POSTURE)


def _without_swapped_frames(
    seen: Sequence[tuple[Markers, np.ndarray]], exchanged: FrameCheck
) -> list[tuple[Markers, np.ndarray]]:
    """Trials with the indices of the frames to fit, if any: those in which left and right, or head and feet, are
    exchanged tell of another body than the person's. Where all are such, all are left."""
    sound = [(trial, shown[~exchanged(trial)[shown]]) for trial, shown in seen]
    return [pair for pair in sound if pair[1].size] or [pair for pair in seen if pair[1].size]


def _padded_to_common_markers(trials: Sequence[Markers]) -> list[Markers]:
    """With the same names: a marker that a trial lacks is missing in all its frames."""
    origin = {name: of for trial in trials for name, of in zip(trial.names, trial.origins, strict=True)}
    return [_with_all_names(trial, origin) for trial in trials]


def _with_all_names(markers: Markers, origin: Mapping[str, Origin]) -> Markers:
    lacking = [name for name in origin if name not in markers.names]

    def padded(values: np.ndarray | None, fill: float) -> np.ndarray | None:
        if values is None:
            return None
        return np.concatenate([values, np.full((len(values), len(lacking), *values.shape[2:]), fill, values.dtype)], 1)

    fills = {"xyz": np.nan, "weight": 0.0, "covariance": np.nan, "filled": False}
    arrays = {field: padded(getattr(markers, field), fill) for field, fill in fills.items()}
    origins = (*markers.origins, *(origin[name] for name in lacking))
    return markers.with_(names=(*markers.names, *lacking), origin=origins, **arrays).select(list(origin))
