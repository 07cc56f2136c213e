"""Curves in time: what they promise about smoothness, size and limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simspine.synthesis import signals as p


def derivatives_meet(curve, at: float, order: int = 2, step: float = 1e-4) -> bool:
    """Whether the derivatives up to an order are the same on both sides of a point."""
    left = [curve(np.array(at - step * np.arange(4)))]
    right = [curve(np.array(at + step * np.arange(4)))]
    for _ in range(order):
        left.append(-np.diff(left[-1]) / step)
        right.append(np.diff(right[-1]) / step)
    size = 1 + max(abs(v[0]) for v in left)
    return all(abs(a[0] - b[0]) < 0.02 * size for a, b in zip(left, right, strict=True))


def test_easing_is_twice_differentiable_at_its_ends():
    assert p.minimum_jerk_step(np.array([-1.0, 0.0, 0.5, 1.0, 3.0])).tolist() == [0, 0, 0.5, 1, 1]
    assert derivatives_meet(p.minimum_jerk_step, 0.0)
    assert derivatives_meet(p.minimum_jerk_step, 1.0)
    assert not derivatives_meet(lambda u: np.clip(u, 0, 1), 0.0)  # the check itself can fail


def test_pulse_holds():
    time = np.linspace(0, 10, 501)
    done = p.minimum_jerk_pulse(time, 1.0, 1.0, 2.0, 1.5)
    assert done[time < 1].max() == 0
    assert (done[(time >= 2) & (time <= 4)] == 1).all()
    assert done[time > 5.5].max() == 0


def test_wandering_has_unit_variance_and_no_fast_parts():
    time = np.arange(200_000) / 50
    noise = p.band_limited_noise(np.random.default_rng(0), time, 1.0)
    assert noise.std() == pytest.approx(1.0, abs=0.05)
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / 50)
    assert power[frequency > 1.0].sum() < 0.002 * power[1:].sum()


def test_passing_goes_from_value_to_value():
    time = np.linspace(0, 10, 1001)
    out = p.minimum_jerk_course(time, [2.0, 5.0], [1.0, 3.0, -1.0], 1.0)
    assert out[0] == 1
    assert out[400] == pytest.approx(3)
    assert out[-1] == pytest.approx(-1)


def test_the_cycle_of_walking_closes_and_has_known_extremes():
    phase = np.linspace(0, 1, 401)
    cycle = {name: np.degrees(values) for name, values in p.gait_cycle(phase).items()}
    for name, values in cycle.items():
        assert values[0] == pytest.approx(values[-1], abs=1e-9), name
        assert derivatives_meet(lambda u, name=name: p.gait_cycle(np.atleast_1d(u))[name], 1.0), name
    knee = cycle["knee_angle"]
    assert 58 < knee.max() < 68
    assert 0.65 < phase[knee.argmax()] < 0.8
    assert knee.min() > 0


def test_limits_are_soft_and_kept():
    x = np.linspace(-5, 5, 2001)
    y = p.soft_limit(x, -1.0, 2.0)
    assert y.min() >= -1.0
    assert y.max() <= 2.0
    inner = (x > -0.5) & (x < 1.5)
    np.testing.assert_array_equal(y[inner], x[inner])
    assert (np.diff(y) >= 0).all()
    for edge in (2.0 - 0.45, -1.0 + 0.45):
        assert derivatives_meet(lambda v: p.soft_limit(v, -1.0, 2.0), edge)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=80), st.integers(1, 12))
def test_the_lift_is_nowhere_too_low(required, frames):
    required = np.array(required)
    assert (p.smooth_envelope(required, frames) >= required - 1e-9).all()


def test_the_lift_follows_slow_changes_closely():
    slow = np.sin(np.arange(500) / 50 * 2 * np.pi * 0.5)
    above = p.smooth_envelope(slow, 3) - slow
    assert above[10:-10].max() < 5e-3
    assert above.max() < 0.05  # at the ends, where the curve goes on as it ended


@pytest.mark.parametrize("seed", range(5))
def test_paths_close_within_their_reach(seed):
    curve = p.closed_path(np.random.default_rng(seed), (1.1, 1.6))
    assert np.abs(curve).max(0)[0] <= 1.1
    assert np.abs(curve).max(0)[1] <= 1.6
    np.testing.assert_allclose(curve[0], curve[-1], atol=1e-9)
    total = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    distance = np.linspace(0, 2.5 * total, 3000)
    place, direction = p.along_path(curve, distance)
    step = np.diff(place, axis=0)
    np.testing.assert_allclose(np.linalg.norm(step, axis=1), np.diff(distance), rtol=0.02)
    heading = np.stack([np.cos(direction), np.sin(direction)], 1)[:-1]
    assert ((step * heading).sum(1) / np.linalg.norm(step, axis=1)).min() > 0.999
    assert np.abs(np.diff(direction)).max() < 0.05  # unwrapped
