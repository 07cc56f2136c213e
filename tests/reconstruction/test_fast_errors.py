"""What changes from frame to frame is taken out before the fit to the person and counted after it; and what lasts."""

from types import SimpleNamespace

import numpy as np
import pytest

from simspine.core.types import Markers, Origin
from simspine.estimation.noise import (
    BURST_TIMES_S,
    add_white_noise,
    lasting_error_share,
    smooth_positions,
    white_noise_variance,
)
from simspine.estimation.observations import USUAL_BODY_MISFIT_M, NoiseLevels

NAMES = ("Spine_01", "Spine_02", "Spine_03", "LKnee", "RKnee")
ORIGIN = (Origin.DETECTED,) * 3 + (Origin.GIVEN,) * 2


def _trial(xyz: np.ndarray, rate: float = 50.0) -> Markers:
    return Markers(NAMES, rate, xyz, "y_up", origin=ORIGIN)


def _learnt(trial: Markers, slow: float, lasting: float, fast: np.ndarray, time: float = 0.5) -> NoiseLevels:
    one = dict.fromkeys(NAMES, 1.0)
    levels = NoiseLevels(slow, slow, skin_sd=0.005, region_sd=0.04, correlation_s=time, weight_factors=one)
    return add_white_noise(levels, one, [trial], fast, lasting)


@pytest.mark.parametrize("rate", [25.0, 50.0, 100.0])
def test_independent_errors_count_once_a_frame(rate):
    """Their spectrum at low frequencies, variance times the time over which they are one error, is what it was."""
    sd = 0.005
    trial = _trial(np.random.default_rng(1).normal(0, sd, (4000, len(NAMES), 3)), rate)
    left = smooth_positions(trial)
    fast, slow = white_noise_variance(trial, left), float(np.var(left.xyz))
    learnt = _learnt(trial, slow**0.5, 0.0, fast)
    assert learnt.detected_sd == pytest.approx(sd, rel=0.03)
    assert learnt.correlation_s * rate == pytest.approx(1.0, rel=0.1)


def test_a_short_trial_is_not_smoothed():
    trial = _trial(np.random.default_rng(2).normal(0, 0.005, (6, len(NAMES), 3)))
    assert smooth_positions(trial) is trial
    learnt = _learnt(trial, 0.5 * USUAL_BODY_MISFIT_M, 0.0, np.zeros(len(NAMES)))
    assert learnt.correlation_s == pytest.approx(1 / 50.0)


def test_what_lasts_is_the_bodys_up_to_its_misfit():
    trial, none = _trial(np.zeros((100, len(NAMES), 3))), np.zeros(len(NAMES))
    learnt = _learnt(trial, 0.5 * USUAL_BODY_MISFIT_M, 1.0, none)
    assert learnt.correlation_s == 0.0
    assert learnt.misfit_sd == pytest.approx(0.5 * USUAL_BODY_MISFIT_M)


def test_what_lasts_is_the_detectors_beyond_that():
    trial, none = _trial(np.zeros((100, len(NAMES), 3))), np.zeros(len(NAMES))
    learnt = _learnt(trial, 4 * USUAL_BODY_MISFIT_M, 1.0, none, 0.5)
    assert learnt.correlation_s == pytest.approx(0.5 * 15 / 16)
    assert learnt.misfit_sd == USUAL_BODY_MISFIT_M


def test_points_that_are_missing_throughout_are_left_as_they_were():
    trial = _trial(np.full((100, len(NAMES), 3), np.nan))
    learnt = _learnt(trial, 0.01, 1.0, np.full(len(NAMES), np.nan))
    assert learnt.weight_factors == dict.fromkeys(NAMES, 1.0)
    assert learnt.correlation_s == 0.5


@pytest.mark.parametrize(("memory", "low", "high"), [(0.0, 0.0, 0.2), (1.0, 0.7, 1.0), (np.inf, 1.0, 1.0)])
def test_how_much_of_the_residuals_lasts(memory, low, high):
    """Of residuals with the autocorrelation exp(−t/memory) all lasts, at most half the trial; of others nothing."""
    rng, bursts = np.random.default_rng(3), np.arange(240).reshape(80, 3)
    alike = np.exp(-np.diff(BURST_TIMES_S) / memory) if memory else np.zeros(2)
    residual = rng.standard_normal((80, 3, len(NAMES), 3))
    for k, a in enumerate(alike, 1):
        residual[:, k] = a * residual[:, k - 1] + np.sqrt(1 - a**2) * residual[:, k]
    trial = _trial(np.zeros((240, len(NAMES), 3)))
    problem = SimpleNamespace(observations=[SimpleNamespace(markers=trial)], durations_s=[60.0])
    part, time = lasting_error_share(problem, SimpleNamespace(residual=residual.reshape(240, -1, 3)), [bursts], 2.0)
    assert low <= part <= high
    assert 0.0 < time <= 30.0
    assert np.isfinite(memory) or time == pytest.approx(30.0)


def test_without_bursts_all_lasts_as_configured():
    trial = _trial(np.zeros((9, len(NAMES), 3)))
    problem = SimpleNamespace(observations=[SimpleNamespace(markers=trial)], durations_s=[0.2])
    found = SimpleNamespace(residual=np.zeros((9, len(NAMES), 3)))
    assert lasting_error_share(problem, found, [np.zeros((0, 3), int)], 2.0) == (1.0, 1.0)
