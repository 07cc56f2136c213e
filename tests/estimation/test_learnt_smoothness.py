"""How fast coordinates move, learnt: against the dense marginal likelihood, and on motions of known speed."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from simspine.anatomy.priors import likeliest_variance
from simspine.estimation.banded import BandedSystem
from simspine.estimation.levenberg_marquardt import (
    MIN_SMOOTHNESS_FACTOR,
    MIN_STRETCH_FRAMES,
    STRETCH_COUNT,
    learnt_factor,
    sample_stretches,
)
from simspine.estimation.path_basis import path_basis
from simspine.estimation.terms import Objective

RATE, NOISE = 50.0, 0.01
ASSUMED = 3.0  # rad/s²


@dataclass(frozen=True, eq=False)
class Seen:
    """Coordinates themselves, with noise; weight (free,)."""

    y: np.ndarray
    weight: np.ndarray

    def cost(self, z, gradient=None):
        if gradient is not None:
            gradient += self.weight * (z - self.y)
        return (self.weight * (z - self.y) ** 2).sum(1)

    def curve(self, z, system: BandedSystem):
        system.add_diagonal(np.tile(self.weight, (len(z), 1)))


def _moving(rng, frames: int, sd: float) -> np.ndarray:
    """(frames,) rad, with independent accelerations of this standard deviation, rad/s²."""
    return np.cumsum(np.cumsum(rng.normal(0, sd / RATE**2, frames)))


def _learnt(seen: Seen, which: np.ndarray, path: np.ndarray, spacing: int = 1) -> np.ndarray:
    basis = path_basis(len(path), spacing)
    objective = Objective((seen,), np.full(path.shape[1], RATE**4 / ASSUMED**2), basis)
    return learnt_factor([objective], [basis.fit(path)], which)


def _likeliest_factor(y: np.ndarray) -> float:
    """Of the density of the second differences of y, dense, and of the factor's own prior: its logarithm is 0 ± 1."""
    D = np.diff(np.eye(len(y)), 2, axis=0)
    seen = D @ y

    def minus_log(log):
        C = (np.exp(log) * ASSUMED / RATE**2) ** 2 * np.eye(len(D)) + NOISE**2 * D @ D.T
        return 0.5 * (np.linalg.slogdet(C)[1] + seen @ np.linalg.solve(C, seen) + log**2)

    return float(np.exp(minimize_scalar(minus_log, bounds=(-4, 4), method="bounded").x))


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0, 10.0, 100.0])
def test_is_where_the_dense_marginal_likelihood_is_largest(true):
    rng = np.random.default_rng(3)
    y = np.column_stack([_moving(rng, 200, true) for _ in range(6)]) + rng.normal(0, NOISE, (200, 6))
    seen = Seen(y, np.full(6, 1 / NOISE**2))
    found = _learnt(seen, np.ones(6, bool), y)
    wanted = np.maximum([_likeliest_factor(column) for column in y.T], MIN_SMOOTHNESS_FACTOR)
    np.testing.assert_allclose(np.log(found), np.log(wanted), atol=0.06)


def test_each_coordinate_has_its_own_and_only_those_asked_for():
    rng = np.random.default_rng(4)
    speeds = np.array([1.0, 10.0, 1.0])
    y = np.column_stack([_moving(rng, 200, sd) for sd in speeds]) + rng.normal(0, NOISE, (200, 3))
    found = _learnt(Seen(y, np.full(3, 1 / NOISE**2)), np.array([True, True, False]), y)
    np.testing.assert_allclose(found[:2], speeds[:2] / ASSUMED, rtol=0.4)
    assert found[2] == 1.0


def test_noise_alone_is_not_taken_for_motion():
    rng = np.random.default_rng(5)
    y = rng.normal(0, NOISE, (200, 2))
    found = _learnt(Seen(y, np.full(2, 1 / NOISE**2)), np.ones(2, bool), np.zeros_like(y))
    np.testing.assert_allclose(found, MIN_SMOOTHNESS_FACTOR)


def test_what_nothing_shows_stays_as_assumed():
    y = np.zeros((150, 2))
    found = _learnt(Seen(y, np.array([1 / NOISE**2, 1e-9])), np.ones(2, bool), y)
    assert abs(np.log(found[1])) < 0.1


def test_no_frames_to_learn_from():
    y = np.zeros((2, 1))
    assert _learnt(Seen(y, np.ones(1)), np.ones(1, bool), y) == 1.0


def test_a_long_trial_is_learnt_from_where_it_moves_most():
    short = np.zeros((STRETCH_COUNT * MIN_STRETCH_FRAMES, 1))
    assert sample_stretches(short, RATE) == [slice(0, len(short))]
    path = np.zeros((3000, 1))
    path[2000:2040, 0] = np.sin(np.arange(40))
    parts = sample_stretches(path, RATE)
    assert len(parts) == STRETCH_COUNT
    assert any(part.start <= 2010 and part.stop >= 2030 for part in parts)
    assert all(a.stop <= b.start for a, b in pairwise(parts))


@pytest.mark.parametrize("mean_square", [0.0, 1e-6, 0.3, 2.0, 50.0])
@pytest.mark.parametrize("count", [0.0, 0.1, 7.0, 4000.0])
def test_the_likeliest_variance_maximises_the_posterior(mean_square, count):
    """Of normal numbers, and of a standard deviation whose logarithm is that of the assumed one ± 1; searched for."""
    assumed = 2.0
    counted = max(mean_square, 1e-9 * assumed)  # the least share

    def minus_log(log):
        return 0.5 * count * (log + counted / np.exp(log)) + 0.5 * (0.5 * (log - np.log(assumed))) ** 2

    sought = minimize_scalar(minus_log, bounds=(-25.0, 6.0), method="bounded", options={"xatol": 1e-9}).x
    assert np.log(likeliest_variance(mean_square, count, assumed)) == pytest.approx(sought, abs=1e-4)
