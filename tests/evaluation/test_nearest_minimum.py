"""Downhill to the nearest minimum, against scipy and against two minima that are known."""

import numpy as np
import pytest
from benchmarks.agreement.cases import walking_case
from benchmarks.agreement.nearest_minimum import nearest_minimum
from scipy.optimize import least_squares
from tools.bench.engines import walking_motion

from simspine.anatomy.tree import markers_and_jacobian
from simspine.estimation import frame_engine
from simspine.estimation.frame_engine import Frames


@pytest.fixture(scope="module")
def trial():
    case = walking_case(7, seed=1)
    tree, y, w, _ = frame_engine.usable_observations(case.body, case.markers, case.frame_weights, 3)
    names = [case.body.coordinates.names[i] for i in tree.free]
    truth = walking_motion(case.body, 7, seed=1).values[:, tree.free]
    return tree, y, w, truth, names


@pytest.mark.parametrize("t", [0, 3])
def test_scipys_bounded_least_squares_finds_nothing_lower_beside_it(trial, t):
    """From our end scipy stays; from afar two descents may end beside different minima, so that is not asked."""
    tree, y, w, truth, names = trial
    n = len(names)
    ridge, target = np.zeros(n), np.zeros(n)
    ridge[names.index("L5_S1_Flex_Ext")], target[names.index("L5_S1_Flex_Ext")] = 0.3, 0.1
    start = truth[t] + np.random.default_rng(t).normal(0, 0.02, n)
    z, cost = nearest_minimum(tree, start, Frames(y[t], w[t], ridge, target))

    def residuals(z):
        return np.r_[(markers_and_jacobian(tree, z)[0] - y[t]).ravel(), np.sqrt(ridge) * (z - target)]

    def jacobian(z):
        J = markers_and_jacobian(tree, z)[1].transpose(0, 2, 1).reshape(-1, n)
        return np.r_[J, np.diag(np.sqrt(ridge))]

    assert cost == pytest.approx(np.sum(residuals(z) ** 2), rel=1e-12)
    assert cost < 0.5 * np.sum(residuals(start) ** 2)
    inside = np.clip(z, tree.lower + 1e-6, tree.upper - 1e-6)
    found = least_squares(
        residuals, inside, jacobian, bounds=(tree.lower, tree.upper), xtol=1e-12, ftol=1e-12, gtol=1e-12
    )
    assert cost == pytest.approx(2 * found.cost, rel=1e-5)
    assert (z >= tree.lower).all()
    assert (z <= tree.upper).all()


def test_stays_at_the_minimum_it_is_put_beside(trial):
    """The right forearm of this frame has two: turned as far as it goes, and halfway with the arm turned back."""
    tree, y, w, truth, names = trial
    none, i = np.zeros(len(names)), names.index("pro_sup_r")
    first, cost_first = nearest_minimum(tree, truth[6], Frames(y[6], w[6], none, none))
    turned = first.copy()
    turned[[i, names.index("arm_rot_r")]] += [tree.lower[i] - first[i], 0.3]
    second, cost_second = nearest_minimum(tree, turned, Frames(y[6], w[6], none, none))
    assert abs(first[i] - second[i]) > 0.5
    assert abs(cost_first / cost_second - 1) > 1e-5
    for z, cost in ((first, cost_first), (second, cost_second)):
        near = z + np.random.default_rng(0).normal(0, 1e-3, z.size)
        again, at = nearest_minimum(tree, near, Frames(y[6], w[6], none, none))
        assert at == pytest.approx(cost, rel=1e-7)
        assert abs(again[i] - z[i]) < 0.05
