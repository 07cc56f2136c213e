"""Two clocks: known shifts found, below a frame, and none claimed where nothing tells."""

import re
import warnings

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.synthesis.signals import correlated_drift, minimum_jerk_pulse
from simspine.vision.merge_mocap import merge_with_report, time_shift

NAMES = ("LKnee", "RKnee", "LWrist", "RWrist", "LAnkle", "RAnkle")
RATE = 50.0


def body(t, seed=0):
    """(times, 6, 3) m: limbs that swing at 0.4…2 Hz about different places."""
    rng = np.random.default_rng(seed)
    place = rng.uniform(-0.5, 0.5, (6, 3)) + np.array([0, 0, 1])
    size, phase = rng.uniform(0.02, 0.12, (6, 3, 4)), rng.uniform(0, 6.28, (6, 3, 4))
    f = np.array([0.4, 0.9, 1.4, 2.0])
    waves = np.sin(2 * np.pi * f * np.asarray(t)[:, None, None, None] + phase)
    return place + (size * waves).sum(-1)


def recording(rate=RATE, start=0.0, frames=300, late=0.0, noise=0.0, seed=1, **changes):
    """What a clock that runs late by `late` s says about it."""
    t = start + np.arange(frames) / rate
    xyz = body(t - late) + np.random.default_rng(seed).normal(0, noise, (frames, 6, 3)) if noise else body(t - late)
    return Markers(NAMES, rate, xyz, start=start, **changes)


@pytest.mark.parametrize("late", [-0.4, -0.063, -0.011, 0.0, 0.004, 0.013, 0.02, 0.25])
def test_known_shifts_are_found_far_below_a_frame(late):
    found = time_shift(recording(), recording(late=late))
    assert found.seconds == pytest.approx(late, abs=0.02 / RATE)
    assert found.correlation > 0.99


def test_other_rates_and_starts():
    """Cameras at 60 Hz from 3.01 s on, motion capture at 100 Hz from 2.5 s on."""
    found = time_shift(recording(60.0, 3.01, 360), recording(100.0, 2.5, 700, late=0.037))
    assert found.seconds == pytest.approx(0.037, abs=0.1 / 100)


def test_the_deviation_is_that_of_the_errors():
    """Detections with 15 mm of noise, motion capture with 2 mm: errors over 40 recordings against what is said."""
    z = []
    for seed in range(40):
        found = time_shift(recording(noise=0.015, seed=seed), recording(late=0.007, noise=0.002, seed=100 + seed))
        z.append((found.seconds - 0.007) / found.deviation)
        assert abs(found.seconds - 0.007) < 0.25 / RATE
    assert 0.4 < np.sqrt(np.mean(np.square(z))) < 1.6


def slow_bow(seed):
    """One bow of 4 s within 6 s as a detector sees it, whose errors last 1 s and are partly common, and as markers."""
    rng = np.random.default_rng(seed)
    time = np.arange(300) / RATE
    start, rise, fall = rng.uniform(0.3, 1.2), rng.uniform(1.4, 2.2), rng.uniform(1.4, 2.2)
    bent = rng.uniform(0.6, 1.2) * (minimum_jerk_pulse(time, start, rise, 0.5, fall))[:, None]
    height = np.array([0.05, 0.1, 0.3, 0.35, 0.5, 0.55])
    true = np.stack([height * np.sin(bent) - 0.1 * bent, 0 * bent * height, height * np.cos(bent)], -1)
    own, common = (correlated_drift(rng, 300, (n, 3), rate=RATE, correlation_time=1.0) for n in (6, 1))
    tissue = correlated_drift(rng, 300, (6, 3), rate=RATE, correlation_time=0.5)
    seen = true * rng.normal(1, 0.04) + rng.normal(0, 0.015, (6, 3)) + 0.007 * (own + common)
    return Markers(NAMES, RATE, seen), Markers(NAMES, RATE, true + 0.002 * tissue)


def test_slow_bows_are_no_late_clocks():
    """In 100 bows the shift 0 lies within the 90 % interval in 85 to 95 %, and at most one is called late."""
    found = [time_shift(*slow_bow(seed)) for seed in range(100)]
    known = [shift for shift in found if np.isfinite(shift.seconds)]
    assert sum(shift.is_certain(0.005) for shift in found) <= 1
    assert len(known) > 90
    assert 0.85 < np.mean([abs(shift.seconds) < 1.645 * shift.deviation for shift in known]) < 0.95


def test_a_movement_that_repeats_itself_does_not_tell_which_cycle():
    def arm(late, seed):
        time = np.arange(300) / RATE - late
        noise = np.random.default_rng(seed).normal(0, 0.005, (300, 6, 3))
        return Markers(NAMES, RATE, noise + 0.2 * np.sin(2 * np.pi * 1.25 * time)[:, None, None])

    found = [time_shift(arm(0.0, seed), arm(0.02, 100 + seed)) for seed in range(20)]
    assert not any(shift.is_certain(0.1) for shift in found)


def test_places_do_not_matter():
    """Another origin, other axes, a mirror, 30 mm between joint and point: clocks are compared by speeds."""
    moved = recording(late=0.03)
    moved = moved.with_(xyz=moved.xyz[..., [1, 2, 0]] * [1, -1, 1] + [3, 0.03, 0])
    assert time_shift(recording(), moved).seconds == pytest.approx(0.03, abs=0.02 / RATE)


def test_gaps_are_left_out():
    points, mocap = recording(), recording(late=0.03)
    a, b = np.array(points.xyz), np.array(mocap.xyz)
    a[50:80, 1], b[100:150, 4], b[:, 2] = np.nan, np.nan, np.nan
    found = time_shift(points.with_(xyz=a), mocap.with_(xyz=b))
    assert found.seconds == pytest.approx(0.03, abs=0.1 / RATE)


def test_nothing_is_claimed_where_nothing_moves():
    still = recording(noise=0.003)
    still = still.with_(xyz=still.xyz - body(still.time) + PLACES)
    other = still.with_(xyz=PLACES + np.random.default_rng(9).normal(0, 0.002, still.xyz.shape))
    assert not time_shift(still, other).is_certain(0.5 / RATE)
    flat = still.with_(xyz=np.broadcast_to(PLACES, still.xyz.shape))
    assert np.isnan(time_shift(flat, flat).seconds)
    assert not time_shift(flat, flat).is_certain(0.0)
    assert np.isnan(time_shift(recording(frames=4), recording(frames=4)).seconds)


def test_a_shift_beyond_those_tried_is_unknown():
    assert not time_shift(recording(), recording(late=0.4), max_shift_s=0.2).correlation > 0.9


PLACES = body(np.zeros(1))


def test_a_late_clock_is_a_warning():
    """Beyond half a frame; an exact recording and one a third of a frame late say nothing."""
    with pytest.warns(UserWarning, match=r"runs 0\.030 s ± 0\.00\d s late \(1\.5 frames\).*mocap_start"):
        merge_with_report(recording(), recording(late=0.03))
    _, report = merge_with_report(recording(), recording(late=0.3 / RATE))
    assert report.shift.seconds == pytest.approx(0.3 / RATE, abs=0.02 / RATE)
    assert report.misfit < 0.01


def test_a_lag_of_soft_tissue_is_no_late_clock():
    """4 ms: most of a frame of the motion capture, a fifth of one of the video."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, report = merge_with_report(recording(), recording(200.0, frames=1200, late=0.004))
    assert report.shift.is_certain(0.5 / 200)


@pytest.mark.parametrize("late", [0.2, -0.115])
def test_the_start_that_is_named_undoes_a_shift(late):
    """The result is the movement at the points' times, without the lag."""
    mocap = recording(late=late)
    with pytest.raises(InputError, match="mocap_start") as refused:
        merge_with_report(recording(), mocap)
    start = float(re.search(r"`mocap_start: (-?[\d.]+)` undoes it", str(refused.value))[1])
    merged, report = merge_with_report(recording(), mocap.with_(start=start))
    assert np.abs(merged.xyz - body(merged.time)).max() < 2e-3
    assert report.misfit < 2e-3


def test_a_shift_that_moves_bodies_apart_is_named():
    run = [3.0, 0, 0]  # m/s: 0.3 s are 0.9 m
    points, mocap = recording(), recording(late=0.3)
    points = points.with_(xyz=points.xyz + points.time[:, None, None] * run)
    mocap = mocap.with_(xyz=mocap.xyz + (mocap.time - 0.3)[:, None, None] * run)
    with pytest.raises(InputError, match=r"The motion capture's clock runs 0\.300 s"):
        merge_with_report(points, mocap)
