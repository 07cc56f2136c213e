"""How far markers are off, as configured and as learnt from all trials of a person; and the frames that teach it.

The fit to a person takes a posture from each of a few frames. A single noisy frame would bend the spine, and so
lengthen it; so positions are smoothed first (`smooth_positions`), and the noise taken out is
added to what the fit learns of the rest (`add_white_noise`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simspine.anatomy.body import Body
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.marker_sets import pelvis_skin_pair, read_skin_table
from simspine.anatomy.priors import MarkerErrors, SharedError, likeliest_variance
from simspine.anatomy.recipes import fit_markers
from simspine.core.arrays import mean_of_known
from simspine.core.geometry import off_vertical
from simspine.core.skeletons import SPINE_REGIONS, is_skin_marker, is_tape_dot
from simspine.core.types import FROM_DETECTOR, Markers, Origin
from simspine.estimation.options import KinematicsOptions
from simspine.estimation.person_solver import PersonFit, PersonProblem

# Weights and errors of markers as configured.

# Views that agree to a millimetre come from a source that knows its points (marked by hand, projected), not from a
# detector whose idea of a point is centimetres off. Three times what their disagreement says, since some errors are
# common to all views; and never less than what bodies are wrong by as a rule, unless a fit to the person learns better.
VIEW_DISAGREEMENT_FACTOR = 3.0
USUAL_BODY_MISFIT_M = 0.003  # m


def tightened_by_view_agreement(options: KinematicsOptions, markers: Markers) -> KinematicsOptions:
    """The options with smaller standard deviations of a detector's points where views agree better than these say."""
    detected = markers.of_origin(*FROM_DETECTOR) & ~_is_on_skin(markers)
    if markers.covariance is None or not detected.any():
        return options
    variance = np.einsum("tmii->tm", markers.covariance[:, detected]) / 3
    if not np.isfinite(variance).any():
        return options
    sd = max(USUAL_BODY_MISFIT_M, VIEW_DISAGREEMENT_FACTOR * float(np.sqrt(np.nanmedian(variance))))
    smaller = {"marker_sd_m": min(sd, options.marker_sd_m), "region_sd_m": min(sd, options.region_sd_m)}
    return options.model_copy(update=smaller)


def marker_errors_of(
    options: KinematicsOptions, markers: Markers, body_misfit_time: float = 0.0, places_fitted: bool = False
) -> MarkerErrors:
    """How far the markers are off, for the trajectory engine. body_misfit_time: see `MarkerErrors`. places_fitted: the
    places of markers on the skin are fitted to the person; otherwise they are unknown in each recording."""
    return MarkerErrors(
        sd=options.marker_sd_m,
        correlation_time=options.error_correlation_s,
        slow_markers=_spine_points(markers),
        body_misfit_time=body_misfit_time,
        shared_errors=(*shared_errors(options, markers), *(() if places_fitted else skin_place_errors(markers))),
        loss=options.loss,
        loss_threshold_sd=options.loss_from_sd,
    )


def _spine_points(markers: Markers) -> tuple[str, ...]:
    """Points of the spine from a detector, whose levels turn slowly."""
    spine = {name for names in SPINE_REGIONS.values() for name in names}
    return tuple(name for name in markers.names_of(*FROM_DETECTOR) if name in spine)


def shared_errors(options: KinematicsOptions, markers: Markers) -> tuple[SharedError, ...]:
    """Errors that a detector's points share throughout a recording; markers of motion capture share none.

    Points of one region of the spine err together, about the systematic detector error where that is known; dots of a
    tape by how well the bone under them is known.
    """
    detected = markers.names_of(*FROM_DETECTOR)
    members = {region: tuple(n for n in detected if n in names) for region, names in SPINE_REGIONS.items()}
    sd = options.region_sd_m
    found = [
        SharedError(region, names, sd, mean=options.known_detector_offset(region), in_ground_frame=True)
        for region, names in members.items()
        if len(names) > 1 and sd > 0
    ]
    return (*found, *_tape_errors(is_tape_dot(detected)))


def skin_place_errors(markers: Markers) -> tuple[SharedError, ...]:
    """How far the bone under each single marker on the skin may be from its place in the table.

    Both posterior superior iliac spines of a person lie elsewhere on the sacrum than the model's; so they show where
    the pelvis faces and which side is higher, and hardly how it is tilted.
    """
    table = read_skin_table()
    places = table.of_single_markers(markers.names)
    found = [SharedError(name, (name,), place.sd) for name, place in places.items()]
    if pelvis := pelvis_skin_pair(places):
        found.append(SharedError("pelvis", pelvis, table.pelvis_sd, shares=(1.0,) * len(pelvis)))
    return tuple(found)


def _tape_errors(dots: Sequence[str]) -> Iterator[SharedError]:
    """Dots of a tape err alike with their neighbours: errors at knots along it, and in between a mixture of both."""
    if not dots:
        return
    table, knots = read_skin_table(), _tape_knots(dots)
    along = np.array([table.along(name) for name in dots])
    for k, knot in enumerate(knots):
        shares = np.interp(along, knots, np.eye(len(knots))[k])
        level = table.landmark_at(float(knot))
        (place,) = table.of([level]).values()
        chosen = np.flatnonzero(shares)
        if chosen.size:
            names = tuple(dots[int(i)] for i in chosen)
            yield SharedError(f"tape at {level}", names, place.sd, shares=tuple(float(shares[i]) for i in chosen))


def _tape_knots(dots: Sequence[str]) -> np.ndarray:
    """(knots,) m along the skin, from the first dot to the last, about one correlation length apart."""
    table = read_skin_table()
    along = [table.along(name) for name in dots]
    first, last = min(along), max(along)
    return np.linspace(first, last, max(2, round((last - first) / table.correlation) + 1))


def fit_weights(options: KinematicsOptions, markers: Markers, by_name: Mapping[str, float]) -> np.ndarray:
    """(frames, markers): weight of the marker set × confidence.

    A marker from motion capture is worth more by the ratio of the variances. An inferred marker is no measurement: the
    trajectory engine, which has priors for what is not observed, leaves it out; the frame-wise ones, which have none,
    keep it with its low weight. In the trajectory engine a marker on the skin is worth what its own error
    says; the frame-wise engines take the marker set's word instead.
    """
    weights = np.tile([by_name.get(name, 1.0) for name in markers.names], (markers.frames, 1))
    confidence = np.ones(weights.shape) if markers.weight is None else markers.weight
    inferred = markers.of_origin(Origin.INFERRED)
    given = (options.marker_sd_m / options.given_sd_m) ** 2
    worth = np.where(markers.of_origin(Origin.GIVEN), given, 1.0)
    if options.engine != "trajectory":
        return np.where(inferred, weights, worth * weights * confidence)
    worth[inferred] = 0.0
    worth[_is_on_skin(markers)] = (options.marker_sd_m / read_skin_table().noise) ** 2
    dots = is_tape_dot(markers.names)
    if dots:  # the skin moves over the bone with all dots of a knot, which together count as one marker
        worth[np.isin(markers.names, dots)] *= min(1.0, len(_tape_knots(dots)) / len(dots))
    return worth * weights * confidence


def _is_on_skin(markers: Markers) -> np.ndarray:
    """(markers,) bool."""
    return np.isin(markers.names, is_skin_marker(markers.names))


# The noise of a person's recordings, learnt from the residuals of a fit: empirical Bayes. Each step takes the standard
# deviations and the correlation time that make what was found likeliest, under priors that hold what was configured to
# be right within a factor (expectation maximisation: Dempster, Laird & Rubin 1977).

SD_OPTION_ORIGINS = {"marker_sd_m": FROM_DETECTOR, "given_sd_m": (Origin.GIVEN,)}
BURST_TIMES_S = (0.0, 0.3, 0.9)  # s: frames close together show how long errors last
MAX_WEIGHT_FACTOR = 4.0  # a marker is worth at most so many times more or less than its marker set says
MIN_BODY_MISFIT_M = 0.001  # m: bodies are wrong by as much at the least


def learnt_noise(
    options: KinematicsOptions,
    problem: PersonProblem,
    fit: PersonFit,
    configured: KinematicsOptions,
    correlation_s: float,
    squared_bias: np.ndarray,
) -> tuple[KinematicsOptions, dict[str, float]]:
    """Standard deviations and correlation time that make what was found likeliest, a step of expectation maximisation;
    and by which factor the weight of each marker changes.

    options: those of the fit. configured: assumed to be right within a factor (see `likeliest_variance`); a marker is
    assumed to be like its group. correlation_s: see `lasting_error_share`. squared_bias: m², squares of the regions'
    bias in all trials, as far as they tell of their errors in one.
    """
    update, factor = _learnt_marker_noise(options, problem, fit, configured)
    regions = [i for i, e in enumerate(problem.errors.shared_errors) if len(e.markers) > 1]
    if regions:
        shape = (len(problem.trials), -1, 3)
        squares = (fit.solution.offsets**2 + fit.offset_variance).reshape(shape)[:, regions].ravel()
        squares = np.append(squares, squared_bias)
        variance = likeliest_variance(float(squares.mean()), squares.size, configured.region_sd_m**2)
        update["region_sd_m"] = float(max(MIN_BODY_MISFIT_M, np.sqrt(variance)))
    update["error_correlation_s"] = float(np.clip(correlation_s, 0.02, 30.0))
    return options.model_copy(update=update), factor


def _learnt_marker_noise(
    options: KinematicsOptions, problem: PersonProblem, fit: PersonFit, configured: KinematicsOptions
) -> tuple[dict[str, float], dict[str, float]]:
    """Standard deviations of detected and given markers by the name of the option, and factors on the weights."""
    first = problem.trials[0]
    weights = np.concatenate(problem.weights) / problem.errors.sd**2
    w = np.where(weights > 0, weights, np.nan)[:, :, None]
    score = w * (np.minimum(fit.residual**2, options.loss_from_sd**2 / w) + fit.marker_variance)
    sharing = max(1.0, len(score) / float(problem.independent.sum()))
    update, factor = {}, dict.fromkeys(first.names, 1.0)
    for name, origins in SD_OPTION_ORIGINS.items():
        group = np.flatnonzero(first.of_origin(*origins) & np.isfinite(score).any((0, 2)))
        if not group.size:
            continue
        count = np.isfinite(score[:, group]).sum((0, 2)) / sharing
        total = np.nansum(score[:, group], (0, 2)) / sharing
        own, assumed = getattr(options, name), getattr(configured, name)
        variance = likeliest_variance(total.sum() / count.sum(), count.sum(), (assumed / own) ** 2)
        update[name] = float(max(MIN_BODY_MISFIT_M, own * np.sqrt(variance)))
        each = [likeliest_variance(t / max(n, 1e-9), n, variance) for t, n in zip(total, count, strict=True)]
        factor |= {first.names[i]: float(variance / v) for i, v in zip(group, each, strict=True)}
    return update, factor


def detector_error_share(marker_sd: float) -> float:
    """The detector's share in the variance of a marker's lasting errors; the rest, `USUAL_BODY_MISFIT_M`, is the
    body's."""
    return max(0.0, 1 - (USUAL_BODY_MISFIT_M / marker_sd) ** 2)


def seen_shares_by_marker(problem: PersonProblem, fit: PersonFit) -> tuple[np.ndarray, float]:
    """(markers,) and of errors that regions share: the share of the assumed variances that residuals show, 0…1.

    Variances are not learnt below `MIN_BODY_MISFIT_M`; residuals may be smaller. They are compared with the variance
    less that of the fit itself, over all markers of an origin (the variance factor of adjustment theory: Birge 1932).
    """
    first = problem.trials[0]
    weights = np.concatenate(problem.weights) / problem.errors.sd**2
    w = np.where((weights > 0)[:, :, None] & np.isfinite(fit.residual), weights[:, :, None], np.nan)
    scale = problem.errors.loss_threshold_sd if problem.errors.loss == "huber" else np.inf
    square, wanted = np.minimum(w * fit.residual**2, scale**2), 1 - np.minimum(w * fit.marker_variance, 0.99)
    shares = np.ones(len(first.names))
    for origins in SD_OPTION_ORIGINS.values():
        group = first.of_origin(*origins)
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
    first = problem.trials[0]
    detected = first.of_origin(*FROM_DETECTOR)
    along = np.isin(first.names, SPINE_CHAIN_MARKERS) & detected
    group = along if along.any() else detected  # a detector that does not see the spine
    firsts = np.cumsum([0, *(trial.frames for trial in problem.trials)])
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


class WholeNoise(NamedTuple):
    """options: that were learnt. By marker: weight_factors; lasting_share and misfit_share of its variance, the part
    that lasts, and the body's."""

    options: dict[str, float]
    weight_factors: dict[str, float]
    lasting_share: dict[str, float]
    misfit_share: dict[str, float]


def add_white_noise(
    noise: KinematicsOptions,
    weight_factors: Mapping[str, float],
    weights: Mapping[str, float],
    trials: Sequence[Markers],
    fast_variance: np.ndarray,
    seen: np.ndarray,
    lasting: float,
) -> WholeNoise:
    """The noise with the errors that smoothing had taken out, of (markers,) `fast_variance`, m².

    noise, weight_factors: of smoothed positions. weights: of the marker set. seen: (markers,), the share of their
    variances that residuals show. lasting: the share of that which is not new after 0.3 s, of a detector's points. What
    lasts is the body's up to `USUAL_BODY_MISFIT_M`, and the detector's beyond it, with a time of its own.
    """
    lasting_share = dict(zip(trials[0].names, seen.tolist(), strict=True))
    learnt = {"region_sd_m": noise.region_sd_m}
    whole = WholeNoise(learnt, dict(weight_factors), lasting_share, dict(lasting_share))
    for option, origins in SD_OPTION_ORIGINS.items():
        slow_sd = learnt[option] = getattr(noise, option)
        group = np.flatnonzero(trials[0].of_origin(*origins) & np.isfinite(fast_variance))
        if not group.size:
            continue
        names = [trials[0].names[i] for i in group]
        slow = slow_sd**2 / np.array([weight_factors[name] for name in names])  # of a marker of weight 1
        total = slow + np.array([weights.get(name, 1.0) for name in names]) * fast_variance[group]
        learnt[option] = float(np.sqrt(total.mean()))
        whole.weight_factors.update(zip(names, (total.mean() / total).tolist(), strict=True))
        part, detectors = lasting if option == "marker_sd_m" else 1.0, detector_error_share(slow_sd)
        lasting_share |= dict(zip(names, (part * seen[group] * slow / total).tolist(), strict=True))
        whole.misfit_share.update({name: lasting_share[name] * (1 - detectors) for name in names})
        time = noise.error_correlation_s * detectors + (1 - part) * np.mean([_is_new_after(trial) for trial in trials])
        learnt.setdefault("error_correlation_s", float((slow / total).mean() * time))
    learnt.setdefault("error_correlation_s", noise.error_correlation_s)
    return whole


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
    options: KinematicsOptions,
    exchanged: FrameCheck,
) -> list[PostureRecording]:
    """The trials that show a posture."""
    padded = _padded_to_common_markers([fit_markers(body, trial) for trial in trials])
    shown = [(trial, _frames_with_enough_markers(options, trial, weights)) for trial in padded]
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
    options: KinematicsOptions, markers: Markers, weights: Mapping[str, float]
) -> np.ndarray:
    """Indices of the frames that show enough for a posture."""
    w = fit_weights(options, markers, weights)
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
