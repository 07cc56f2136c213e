import numpy as np
from scipy.spatial import cKDTree
from tools.lifting_baselines import lifters
from tools.lifting_baselines.lifters import (
    RIDGE_PENALTIES,
    best_ridge_penalty,
    fit_mean_pose,
    fit_nearest_neighbour,
    fit_ridge,
    ridge_weights,
)

RNG = np.random.default_rng(3)
FEATURES, TARGETS, QUERIES = RNG.normal(size=(300, 6)), RNG.normal(size=(300, 4)), RNG.normal(size=(70, 6))


def test_mean_pose():
    found = fit_mean_pose(FEATURES, TARGETS)(QUERIES)
    np.testing.assert_allclose(found, np.tile(TARGETS.mean(0), (70, 1)))


def test_nearest_neighbour_is_that_of_a_tree(monkeypatch):
    monkeypatch.setattr(lifters, "QUERY_BLOCK_SIZE", 32)
    expected = TARGETS[cKDTree(FEATURES).query(QUERIES)[1]]
    np.testing.assert_array_equal(fit_nearest_neighbour(FEATURES, TARGETS)(QUERIES), expected)


def test_ridge_finds_a_line_and_its_constant():
    weights, constant = RNG.normal(size=(6, 4)), np.array([5.0, -2.0, 0.0, 1.0])
    targets = FEATURES @ weights + constant
    np.testing.assert_allclose(fit_ridge(FEATURES, targets)(QUERIES), QUERIES @ weights + constant, atol=1e-2)
    assert best_ridge_penalty(FEATURES, targets) == min(RIDGE_PENALTIES)


def test_ridge_penalises_what_tells_nothing():
    """Many features of pure noise: held-out fifths ask for the largest penalty; little more than the mean is left."""
    features, targets = RNG.normal(size=(60, 50)), RNG.normal(size=(60, 3))
    assert best_ridge_penalty(features, targets) == max(RIDGE_PENALTIES)
    np.testing.assert_allclose(fit_ridge(features, targets)(features), np.tile(targets.mean(0), (60, 1)), atol=0.1)
    plain = np.linalg.lstsq(np.c_[features, np.ones(60)], targets, rcond=None)[0]
    assert np.abs(np.c_[features, np.ones(60)] @ plain - targets.mean(0)).mean() > 0.3


def test_ridge_solves_its_normal_equations():
    constant = np.c_[FEATURES, np.ones(300)]
    found = ridge_weights(constant.T @ constant, constant.T @ TARGETS, 0.1)
    centred = FEATURES - FEATURES.mean(0)
    expected = np.linalg.solve(centred.T @ centred + 30 * np.eye(6), centred.T @ TARGETS)
    np.testing.assert_allclose(found[:-1], expected, atol=1e-12)
