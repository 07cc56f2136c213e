"""The noise of a person's recordings, learnt from what a fit leaves over: empirical Bayes.

Each step takes the standard deviations and the correlation time that make what was found likeliest, under priors that
hold what was configured to be right within a factor (expectation maximisation: Dempster, Laird & Rubin 1977).
"""

from collections.abc import Sequence

import numpy as np

from simspine.arrays import mean_of_known
from simspine.ik.options import KinematicsOptions
from simspine.ik.person_fit import PersonFit, PersonProblem
from simspine.pipeline.weights import MISFIT
from simspine.priors.likeliest import likeliest
from simspine.spine.levels import CHAIN
from simspine.types import FROM_DETECTOR, Origin

BURST = (0.0, 0.3, 0.9)  # s: frames close together show how long errors last
RANGE = 4.0  # a marker is worth at most so many times more or less than its marker set says
FLOOR = 0.001  # m: bodies are wrong by as much at the least


def learnt_noise(
    options: KinematicsOptions,
    problem: PersonProblem,
    fit: PersonFit,
    configured: KinematicsOptions,
    correlation_s: float,
    always: np.ndarray,
) -> tuple[KinematicsOptions, dict[str, float]]:
    """Standard deviations and correlation time that make what was found likeliest, a step of expectation maximisation;
    and by which factor the weight of each marker changes. options: those of the fit. correlation_s: what residuals say
    of it, see `lasting_part`. always: m², squares of what regions are off by in all trials, as far as they tell of what
    regions are off by in one.

    What was configured is assumed to be right within a factor (see `likeliest`), and a marker to be like its group.
    """
    first = problem.trials[0]
    weights = np.concatenate(problem.weights) / problem.errors.sd**2
    w = np.where(weights > 0, weights, np.nan)[:, :, None]
    score = w * (np.minimum(fit.residual**2, options.loss_from_sd**2 / w) + fit.spread)
    frames = sum(trial.frames for trial in problem.trials)
    sharing = max(1.0, frames / float(problem.independent.sum()))
    update, factor = {}, dict.fromkeys(first.names, 1.0)
    for name, origins in (("marker_sd_m", FROM_DETECTOR), ("given_sd_m", (Origin.GIVEN,))):
        group = np.flatnonzero(first.of_origin(*origins) & np.isfinite(score).any((0, 2)))
        if group.size:
            own, assumed = getattr(options, name), getattr(configured, name)
            count = np.isfinite(score[:, group]).sum((0, 2)) / sharing
            total = np.nansum(score[:, group], (0, 2)) / sharing
            variance = likeliest(total.sum() / count.sum(), count.sum(), (assumed / own) ** 2)
            update[name] = float(max(FLOOR, own * np.sqrt(variance)))
            each = [likeliest(t / max(n, 1e-9), n, variance) for t, n in zip(total, count, strict=True)]
            factor |= {first.names[i]: float(variance / v) for i, v in zip(group, each, strict=True)}
    regions = [i for i, e in enumerate(problem.errors.shared) if len(e.markers) > 1]
    if regions:
        shape = (len(problem.trials), -1, 3)
        squares = (fit.found.offsets**2 + fit.offset_variance).reshape(shape)[:, regions].ravel()
        squares = np.append(squares, always)
        variance = likeliest(float(squares.mean()), squares.size, configured.region_sd_m**2)
        update["region_sd_m"] = float(max(FLOOR, np.sqrt(variance)))
    update["error_correlation_s"] = float(np.clip(correlation_s, 0.02, 30.0))
    return options.model_copy(update=update), factor


def detectors_share(marker_sd: float) -> float:
    """Which part of the variance of a marker's errors that last is the detector's; the rest is the body's, `MISFIT`."""
    return max(0.0, 1 - (MISFIT / marker_sd) ** 2)


def seen_shares(problem: PersonProblem, fit: PersonFit) -> tuple[np.ndarray, float]:
    """(markers,) and of what regions share: which part of the assumed variances what the fit leaves over shows, 0…1.

    Variances are not learnt below `FLOOR`; what a fit leaves over may be less all the same. It is compared with what
    it should be, the variance less what the fit itself is unsure of, over all markers of an origin (the variance factor
    of adjustment theory: Birge 1932).
    """
    first = problem.trials[0]
    weights = np.concatenate(problem.weights) / problem.errors.sd**2
    w = np.where((weights > 0)[:, :, None] & np.isfinite(fit.residual), weights[:, :, None], np.nan)
    scale = problem.errors.loss_from if problem.errors.loss == "huber" else np.inf
    square, wanted = np.minimum(w * fit.residual**2, scale**2), 1 - np.minimum(w * fit.spread, 0.99)
    shares = np.ones(len(first.names))
    for origins in (FROM_DETECTOR, (Origin.GIVEN,)):
        group = first.of_origin(*origins)
        if np.isfinite(w[:, group]).any():
            shares[group] = min(1.0, float(np.nansum(square[:, group]) / np.nansum(wanted[:, group])))
    sd = np.array([sd for error in problem.errors.shared for sd in error.by_axis])
    found = fit.found.offsets**2
    left = sd**2 - np.minimum(fit.offset_variance, 0.99 * sd**2)
    return shares, min(1.0, float(found.sum() / left.sum())) if sd.size else 1.0


def lasting_part(
    problem: PersonProblem, fit: PersonFit, bursts: Sequence[np.ndarray], default: float
) -> tuple[float, float]:
    """Which part of the variance of a detector's points lasts, 0…1, and s, for how long: its autocorrelation falls to
    1/e. The rest is new in frames that are 0.3 s apart.

    bursts: (bursts, 3) of each trial, which of its frames are `BURST` apart; from residuals in them, along the spine.
    Without bursts, or with gaps in them, all of it lasts and its autocorrelation has the integral `default`.
    """
    first = problem.trials[0]
    detected = first.of_origin(*FROM_DETECTOR)
    along = np.isin(first.names, CHAIN) & detected
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
    longest = float(np.mean(problem.seconds)) / 2
    time = min(longest, (BURST[2] - BURST[1]) / max(np.log(max(near, far) / far), 1e-2))
    return min(1.0, max(near, far) * np.exp(BURST[1] / time)), time
