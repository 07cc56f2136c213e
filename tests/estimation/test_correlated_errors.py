"""Covariance of errors that last: against samples of the weighted mean that the estimate is, in one frame."""

import numpy as np
import pytest
from scipy.signal import fftconvolve

from simspine.anatomy.tree import markers_and_jacobian
from simspine.estimation.terms import MarkerTerm, PriorTerm
from simspine.estimation.uncertainty import covariance_of_correlated_errors, covariance_of_single_frames


@pytest.fixture(scope="module")
def frame(release):
    """One frame of the release's body, seen by all its markers, each with a weight of its own; and priors."""
    tree, rng = release.tree, np.random.default_rng(5)
    n, count = tree.free.size, len(tree.marker_body)
    z = tree.rest[tree.free] + rng.normal(0, 0.05, n)
    w = rng.uniform(0.5, 2.0, count) / 0.01**2
    markers = MarkerTerm(tree, np.zeros((1, count, 3)), w[None])
    prior = PriorTerm(np.eye(n), np.zeros(n), 1 / rng.uniform(0.05, 0.2, n) ** 2, np.zeros(n))
    return markers, prior, z


def _sampled(frame, sd: np.ndarray, of_priors: float) -> np.ndarray:
    """Variances of the errors of z, of samples of markers' errors and of departures from the priors.

    sd: (markers,) m, of the errors. of_priors: departures, in standard deviations."""
    markers, prior, z = frame
    rng, J = np.random.default_rng(6), markers_and_jacobian(markers.tree, z)[1]
    rows, w = J.transpose(0, 2, 1).reshape(-1, z.size), np.repeat(markers.w[0], 3)
    A = (rows.T * w) @ rows + np.diag(prior.precision)
    noise = rng.standard_normal((20000, w.size)) * np.repeat(sd, 3)
    departure = of_priors * rng.standard_normal((20000, z.size)) / np.sqrt(prior.precision)
    errors = np.linalg.solve(A, rows.T @ (w * noise).T - (prior.precision * departure).T)
    return (errors**2).mean(1)


def test_errors_that_last_for_ever_are_those_of_a_single_frame(frame):
    markers, prior, z = frame
    wide, _ = covariance_of_correlated_errors(markers, prior, z[None], np.eye(z.size)[None], 1e9, 0.0)
    np.testing.assert_allclose(np.diag(wide[0]), _sampled(frame, 1 / np.sqrt(markers.w[0]), 1.0), rtol=0.05)


@pytest.mark.parametrize("misfit", [0.003, 0.01])
def test_changes_have_the_misfit_of_the_body(frame, misfit):
    """In addition to the trajectory's errors, and at no marker more than its own."""
    markers, prior, z = frame
    own = np.eye(z.size)[None] * 1e-4
    _, changes = covariance_of_correlated_errors(markers, prior, z[None], own, 1e9, misfit)
    sd = np.minimum(misfit, 1 / np.sqrt(markers.w[0]))
    np.testing.assert_allclose(np.diag(changes[0] - own[0]), _sampled(frame, sd, 0.0), rtol=0.05)


def test_a_frame_without_markers_concerns_no_other(frame):
    """Of 20 frames two show nothing: the others are as if all had been seen, those two as the trajectory says."""
    markers, prior, z = frame
    path, blocks = np.tile(z, (20, 1)), np.tile(np.eye(z.size) * 1e-2, (20, 1, 1))
    w = np.repeat(markers.w, 20, axis=0)
    shown = np.ones(20, bool)
    shown[[3, 17]] = False
    unsaid = PriorTerm(
        prior.combinations, prior.mean, np.where(np.arange(z.size) > 0, prior.precision, 0.0), prior.decay
    )
    found = []
    for weights in (w, w * shown[:, None]):
        term = MarkerTerm(markers.tree, np.zeros((20, w.shape[1], 3)), weights)
        found.append(covariance_of_correlated_errors(term, unsaid, path, blocks, 50.0, 0.01))
    for whole, gap in zip(*found, strict=True):
        np.testing.assert_allclose(gap[shown], whole[shown], rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found[1][0][~shown], 50.0 * blocks[~shown])


def test_between_a_single_frame_and_all_that_share_an_error(frame):
    """A coordinate's variance is less than the single frame's, and than the trajectory's times the frames that share an
    error; both are met at the ends."""
    markers, prior, z = frame
    alone = np.diag(covariance_of_correlated_errors(markers, prior, z[None], np.eye(z.size)[None], 1e9, 0.0)[0][0])
    for ratio, part in ((1e-4, 1e-4), (0.5, 0.375), (2.0, 0.72), (1e4, 1.0)):
        blocks = np.diag(alone * ratio / 10.0)[None]
        both = covariance_of_correlated_errors(markers, prior, z[None], blocks, 10.0, 0.0)[0][0]
        np.testing.assert_allclose(np.diag(both), part * alone, rtol=1e-3)


@pytest.mark.parametrize("reach", [0.1, 0.5, 1.0, 3.0, 20.0])
def test_weighted_means_of_errors_that_last(reach):
    """Sums over the autocorrelation, of a mean whose weights fall off over `reach` times what errors last."""
    last = 200.0  # frames
    lags = np.arange(-20 * int(last * max(reach, 1)), 20 * int(last * max(reach, 1)) + 1)
    weights = np.exp(-np.abs(lags) / (reach * last))
    weights /= weights.sum()
    pairs = fftconvolve(weights, weights[::-1], "same")
    left = (pairs * np.exp(-np.abs(lags) / last)).sum()
    ratio = 2 * last * (weights**2).sum()
    assert covariance_of_single_frames(ratio) == pytest.approx(left, rel=0.02)


@pytest.mark.parametrize("duration", [0.03, 0.3, 1.0, 3.0, 10.0, 30.0])
def test_smoothed_errors_that_last_are_hardly_larger(duration):
    """Spectra, of penalised accelerations: errors that last, against the share by the variance of the posterior."""
    frequency = np.logspace(-5, 5, 20001)  # rad/s; smoothing halves amplitudes at 1

    def integral(spectrum: np.ndarray) -> float:
        return float(np.trapezoid(spectrum * frequency, np.log(frequency)) / np.pi)

    kept, errors = 1 / (1 + frequency**4), 2 * duration / (1 + (frequency * duration) ** 2)
    share = covariance_of_single_frames(2 * duration * integral(kept))
    assert 0.74 * share < integral(kept**2 * errors) < 1.012 * share
