"""What markers show, against linear problems solved densely, and against OpenSim's objective."""

import numpy as np
import pytest
from benchmarks.agreement.cases import walking_case
from benchmarks.agreement.observability import (
    change_shown,
    driven_spread,
    noise_deviation,
    observability,
    slope_left,
    stopping_distance,
)
from scipy.optimize import brentq
from tools.bench.engines import walking_motion

from simspine.anatomy.body import follow_couplers
from simspine.anatomy.tree import all_coordinates
from simspine.estimation import frame_engine
from simspine.estimation.frame_engine import Frames
from simspine.estimation.result import result_of

N, ROWS, NOISE = 5, 30, 0.004
OPEN = np.full(N, np.inf)


@pytest.fixture(scope="module")
def linear():
    rng = np.random.default_rng(3)
    J = rng.normal(size=(ROWS, N)) * [1.0, 0.5, 0.2, 1.0, 0.05]
    J[:, 3] = 0.98 * J[:, 0] + 0.02 * J[:, 3]  # two that nearly say the same
    return J


def test_noise_is_what_estimates_scatter_by(linear):
    estimates = np.linalg.pinv(linear) @ np.random.default_rng(0).normal(0, NOISE, (ROWS, 40_000))
    np.testing.assert_allclose(noise_deviation(linear.T @ linear, OPEN, NOISE), estimates.std(1), rtol=0.02)


def test_change_shown_costs_what_was_asked(linear):
    rise = 1e-3
    shown = change_shown(linear.T @ linear, OPEN, rise)
    for i in range(N):
        others = np.delete(linear, i, axis=1)
        moved = linear[:, i] * shown[i]
        left = moved - others @ np.linalg.lstsq(others, moved, rcond=None)[0]
        assert left @ left == pytest.approx(rise, rel=1e-5)


def test_stopping_distance_is_the_scatter_of_minima_under_slopes_left(linear):
    H, left, spread = linear.T @ linear, 1e-5, np.array([1.0, 7.0, 1.0, 1.0, 2.0])
    signs = np.random.default_rng(1).choice([-1.0, 1.0], (N, 40_000))
    moved = np.linalg.solve(H, signs * (left * spread)[:, None])
    np.testing.assert_allclose(stopping_distance(H, OPEN, OPEN, spread, left), moved.std(1), rtol=0.02)


@pytest.mark.parametrize("room", [0.0, 0.01, 0.7])
def test_a_barrier_pushes_off_its_bound(room):
    h, left = 0.02, 1e-5
    expected = brentq(lambda d: h * d - left / (room + d), 1e-12, 1.0)
    wide = np.array([1e6])  # so wide that the range itself says nothing
    found = stopping_distance(np.array([[h]]), wide, np.array([room]), np.zeros(1), left)
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_a_range_bounds_what_an_unseen_direction_carries_along():
    """As a forearm: the second coordinate turns unseen if the first goes along a little."""
    direction = np.array([1.0, 0.02])  # the only thing seen: first + 0.02 × second
    H = np.outer(direction, direction)
    free, ranged = (change_shown(H, np.array([np.inf, width]), 1e-6)[0] for width in (np.inf, 2.0))
    assert free > 0.1
    assert ranged == pytest.approx(np.hypot(1e-3, 0.02 * 2.0), rel=0.01)
    sd = noise_deviation(H, np.array([np.inf, 2.0]), 1e-3)[0]
    assert sd == pytest.approx(np.hypot(1e-3, 0.02 * 2.0 / np.sqrt(12)), rel=1e-3)


def test_what_no_marker_sees_is_not_observable():
    seen = noise_deviation(np.diag([1.0, 0.0]), np.array([np.inf, np.inf]), 0.005)
    assert seen[0] == pytest.approx(0.005)
    assert seen[1] > 100


@pytest.fixture(scope="module")
def frame():
    case = walking_case(2, seed=5)
    tree, y, w, _ = frame_engine.usable_observations(case.body, case.markers, case.frame_weights, 3)
    tasks = {"L5_S1_Flex_Ext": (0.0, 0.01)}
    frames = Frames(y, w, *frame_engine.coordinate_task_terms(case.body, tasks, w))
    return case, tasks, (tree, walking_motion(case.body, 2, seed=5).values[:, tree.free], frames)


def test_slope_is_that_of_opensims_objective(frame):
    """By difference quotients, couplers and the coordinate task included; of coordinates without range."""
    case, tasks, (tree, z, frames) = frame

    def cost(z):
        return result_of(
            case.body, case.markers, all_coordinates(tree, z)[0], case.frame_weights, [""] * 2, tasks=tasks
        ).cost

    step, slopes = 1e-5, np.zeros(z.shape)
    for i in np.flatnonzero(np.isinf(tree.upper)):
        up, down = z.copy(), z.copy()
        up[:, i] += step
        down[:, i] -= step
        slopes[:, i] = (cost(up) - cost(down)) / (2 * step)
    # OpenSim's function is E / (2 Σ w), and each coordinate that is driven may be off as well.
    allowed = 1e-6 * driven_spread(tree, z)
    expected = np.abs(slopes / (2 * frames.w.sum(1)[:, None]) / allowed).max(1)
    np.testing.assert_allclose(slope_left(tree, z, frames, 1e-6), expected, rtol=1e-4)


def test_a_coupler_spreads_the_slope(frame):
    """L5–S1 flexion drives the levels above: by difference quotients of what OpenSim's couplers, followed, say."""
    case, _, (tree, z, *_) = frame
    spread = driven_spread(tree, z)[0]
    names = [case.body.coordinates.names[i] for i in tree.free]
    base = walking_motion(case.body, 1, seed=5).values
    for name in ("L5_S1_Flex_Ext", "knee_angle_r", "arm_flex_r"):
        moved = base.copy()
        moved[:, case.body.coordinates.index(name)] += 1e-6
        expected = np.abs(follow_couplers(case.body, moved) - base).sum() / 1e-6
        assert spread[names.index(name)] == pytest.approx(expected, rel=1e-4), name
    assert spread[names.index("L5_S1_Flex_Ext")] > 7


def test_more_noise_shows_less_and_less_accuracy_stops_further_off(frame):
    *_, (tree, z, frames) = frame
    fine = observability(tree, z, frames)
    coarse = observability(tree, z, frames, noise=0.01, rise=4e-3, accuracy=1e-5)
    assert (coarse.noise > fine.noise).all()
    assert (coarse.shown > fine.shown).all()
    assert (coarse.stop > fine.stop).all()
    open_ended = np.isinf(tree.upper)
    pelvis = np.flatnonzero(open_ended)[:6]
    np.testing.assert_allclose(coarse.noise[:, pelvis] / fine.noise[:, pelvis], 2.0, rtol=0.02)
