"""Low-pass and gaps: against the definition of −3 dB, straight lines, and paths with known gaps."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import PchipInterpolator

from simspine.core.errors import InputError
from simspine.core.filtering import fill_short_gaps, lowpass, smooth
from simspine.core.types import Markers

RATE = 100.0


def path(frames=200, markers=2, seed=0):
    rng = np.random.default_rng(seed)
    return Markers([f"m{i}" for i in range(markers)], RATE, rng.normal(0, 0.1, (frames, markers, 3)).cumsum(0))


def gain(frequency, cutoff, order, rate=RATE):
    """Amplitude and phase (rad) of a sine after filtering, measured in the middle of a long run."""
    t = np.arange(4000) / rate
    middle = slice(1000, 3000)
    out = lowpass(np.sin(2 * np.pi * frequency * t), rate, cutoff_hz=cutoff, order=order)[middle]
    basis = np.stack([np.sin(2 * np.pi * frequency * t), np.cos(2 * np.pi * frequency * t)], 1)[middle]
    a, b = np.linalg.lstsq(basis, out, rcond=None)[0]
    return np.hypot(a, b), np.arctan2(b, a)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("cutoff", [3.0, 6.0, 20.0, 40.0])
def test_minus_3_db_at_the_stated_cutoff_without_delay(order, cutoff):
    amplitude, phase = gain(cutoff, cutoff, order)
    assert amplitude == pytest.approx(1 / np.sqrt(2), rel=2e-3)
    assert abs(phase) < 1e-3


@pytest.mark.parametrize(("order", "frequency"), [(2, 20), (4, 10), (6, 8)])
def test_the_slope_is_that_of_the_net_order(order, frequency):
    """6 dB per octave and order, far above the cut-off and far below the Nyquist frequency."""
    octave = gain(frequency, 2, order, rate=1000)[0] / gain(2 * frequency, 2, order, rate=1000)[0]
    assert np.log2(octave) == pytest.approx(order, abs=0.1)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 80),
    st.floats(-5, 5),
    st.floats(-5, 5),
    st.sampled_from([2, 4, 6]),
    st.floats(0.5, 45),
)
def test_straight_lines_pass_unchanged(frames, slope, offset, order, cutoff):
    line = offset + slope * np.arange(frames) / RATE
    assert np.allclose(lowpass(line, RATE, cutoff_hz=cutoff, order=order), line, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(0, 119), max_size=30))
def test_gaps_stay_and_separate(seed, missing):
    """Each run comes out as if the others did not exist."""
    xyz = np.array(path(120, 1, seed).xyz)
    xyz[missing] = np.nan
    out = lowpass(xyz, RATE, cutoff_hz=8)
    assert np.array_equal(np.isnan(out), np.isnan(xyz))
    other = np.where(np.arange(120)[:, None, None] < 60, xyz, xyz + 100)
    if missing and 60 in missing:
        assert np.allclose(lowpass(other, RATE, cutoff_hz=8)[:60], out[:60], equal_nan=True)


def test_nothing_leaks_across_a_gap():
    signal = np.zeros(101)
    signal[50], signal[51:] = np.nan, 1.0
    assert np.array_equal(lowpass(signal, RATE, cutoff_hz=5), signal, equal_nan=True)


def test_time_reversal_and_first_and_last_frame():
    markers = path(151)
    out = lowpass(markers, cutoff_hz=6)
    turned = lowpass(markers.with_(xyz=markers.xyz[::-1]), cutoff_hz=6)
    assert out.frames == 151
    assert np.isfinite(out.xyz).all()
    # equal but for how the ends are continued, which is not the same forward and backward
    assert np.allclose(out.xyz[40:-40], turned.xyz[::-1][40:-40], atol=1e-3)
    assert np.allclose(out.xyz[-1], markers.xyz[-1], atol=0.5)
    assert out.covariance is None


def test_short_runs():
    for frames in (1, 2):
        signal = np.arange(float(frames)) ** 2
        assert np.array_equal(lowpass(signal, RATE, cutoff_hz=6), signal)
    assert np.ptp(lowpass(np.array([0, 1.0, 0, 1, 0]), RATE, cutoff_hz=6)) < 0.6


def test_covariance_and_marks_are_untouched():
    markers = path()
    covariance = np.tile(np.eye(3), (*markers.xyz.shape[:2], 1, 1))
    markers = markers.with_(covariance=covariance, weight=np.ones(markers.xyz.shape[:2]))
    out = lowpass(markers, cutoff_hz=6)
    assert out.with_(xyz=markers.xyz) == markers


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cutoff_hz": 50}, r"between 0 and 50 Hz, half the rate of 100 frames/s"),
        ({"cutoff_hz": 0}, "cut-off 0 Hz"),
        ({"cutoff_hz": 6, "order": 3}, "net order is 3"),
        ({"cutoff_hz": 6, "order": 0}, "net order is 0"),
    ],
)
def test_impossible_filters(arguments, message):
    with pytest.raises(InputError, match=message):
        lowpass(path(), **arguments)


def test_an_array_needs_its_rate():
    with pytest.raises(InputError, match="rate"):
        lowpass(np.zeros(10), cutoff_hz=5)


def with_gap(start, stop, frames=60):
    """A marker on a parabola with a gap, one without."""
    t = np.arange(frames) / RATE
    xyz = np.stack([np.stack([t, 3 * t**2, 1 - t], -1)] * 2, 1)
    broken = xyz.copy()
    broken[start:stop, 0] = np.nan
    shape = xyz.shape[:2]
    covariance = np.tile(1e-4 * np.eye(3), (*shape, 1, 1))
    covariance[start:stop, 0] = np.nan
    weight = np.full(shape, 0.8)
    weight[stop:, 0] = 0.6
    weight[start:stop, 0] = 0
    return xyz, Markers(["gap", "whole"], RATE, broken, weight=weight, covariance=covariance)


def test_short_gaps_are_filled_and_marked():
    truth, markers = with_gap(20, 30)
    out = fill_short_gaps(markers, 0.1)
    assert np.allclose(out.xyz, truth, atol=6e-3)
    assert np.array_equal(np.argwhere(out.filled), [[f, 0] for f in range(20, 30)])
    assert np.array_equal(out.xyz[:20], markers.xyz[:20])
    assert np.allclose(out.weight[20:30, 0], 0.3)
    assert np.array_equal(out.weight[:, 1], markers.weight[:, 1])


def test_a_place_of_weight_0_does_not_reach_its_neighbours():
    _, markers = with_gap(20, 24)
    wrong = markers.with_(xyz=np.where(np.isnan(markers.xyz), 5.0, markers.xyz))
    for cutoff_hz in (None, 6.0):
        assert smooth(wrong, cutoff_hz=cutoff_hz) == smooth(markers, cutoff_hz=cutoff_hz)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 0.8), st.integers(1, 12))
def test_gaps_are_filled_by_the_pchip_through_all_known_frames(seed, missing, longest):
    """However close together the gaps lie, and at the ends of the path; longer gaps stay."""
    rng = np.random.default_rng(seed)
    xyz = np.array(path(60, 1, seed).xyz)
    xyz[rng.random(60) < missing] = np.nan
    known = np.flatnonzero(np.isfinite(xyz[:, 0, 0]))
    out = fill_short_gaps(Markers(["m"], RATE, xyz), longest / RATE).xyz[:, 0]
    wanted = xyz[:, 0].copy()
    for a, b in pairwise(known):
        if b - a <= longest + 1:
            wanted[a : b + 1] = PchipInterpolator(known, xyz[known, 0])(np.arange(a, b + 1))
    np.testing.assert_allclose(out, wanted, rtol=0, atol=1e-12)


def test_covariance_grows_towards_the_middle_of_a_gap():
    _, markers = with_gap(20, 31)
    size = fill_short_gaps(markers, 0.2).covariance[:, 0, 0, 0]
    assert (np.diff(size[19:26]) > 0).all()
    assert (np.diff(size[25:32]) < 0).all()
    tau = 6 / RATE
    assert size[25] == pytest.approx(1e-4 + (0.5 * 10 * tau * tau) ** 2)
    assert np.isfinite(size).all()


def test_the_growth_covers_what_interpolation_misses():
    """Positions of a circling hand (10 m/s² at 0.4 m) lie within two standard deviations of the interpolated ones."""
    t, omega = np.arange(200) / RATE, 5.0
    xyz = 0.4 * np.stack([np.cos(omega * t), np.sin(omega * t), 0 * t], -1)[:, None]
    for start in range(20, 150, 7):
        broken = np.array(xyz)
        broken[start : start + 20] = np.nan
        markers = Markers(["hand"], RATE, broken, covariance=np.tile(1e-12 * np.eye(3), (200, 1, 1, 1)))
        out = fill_short_gaps(markers, 0.2)
        error = np.linalg.norm(out.xyz - xyz, axis=-1)
        assert (error <= 2 * np.sqrt(out.covariance[..., 0, 0]) + 1e-6).all()


@pytest.mark.parametrize(("start", "stop"), [(20, 31), (0, 3), (57, 60)])
def test_long_gaps_and_ends_stay(start, stop):
    _, markers = with_gap(start, stop)
    out = fill_short_gaps(markers, 0.1)
    assert np.isnan(out.xyz[start:stop, 0]).all()
    assert not out.filled.any()
    assert out.with_(filled=None) == markers


def test_interpolation_does_not_overshoot():
    xyz = np.zeros((20, 1, 3))
    xyz[12:] = 1.0
    xyz[8:12] = np.nan
    out = fill_short_gaps(Markers(["step"], RATE, xyz), 1.0).xyz
    assert out.min() == 0
    assert out.max() == 1


def test_an_empty_marker_stays_empty_and_marks_add_up():
    _, markers = with_gap(20, 25)
    before = np.zeros((60, 2), bool)
    before[3, 1] = True
    xyz = np.array(markers.xyz)
    xyz[:, 1] = np.nan
    out = fill_short_gaps(markers.with_(xyz=xyz, filled=before), 1)
    assert np.isnan(out.xyz[:, 1]).all()
    assert out.filled[3, 1]
    assert out.filled[20:25, 0].all()


def test_a_negative_horizon_is_refused():
    with pytest.raises(InputError, match="-1"):
        fill_short_gaps(path(), -1)


def test_smooth_fills_first_and_filters_over_what_was_filled():
    _, markers = with_gap(20, 25)
    assert smooth(markers, cutoff_hz=None) == fill_short_gaps(markers, 0.2)
    assert smooth(markers, cutoff_hz=6, order=4, max_gap_s=0.2) == lowpass(fill_short_gaps(markers, 0.2), cutoff_hz=6)


@pytest.mark.parametrize("options", [{"order": 1000}, {"order": "4"}, {"cutoff_hz": 1e-9}, {"cutoff_hz": "6"}])
def test_filters_that_no_arithmetic_can_do_are_refused(options):
    markers = Markers(("A",), 50.0, np.zeros((20, 1, 3)))
    with pytest.raises(InputError, match=r"order|cut-off|cutoff"):
        smooth(markers, **options)


def test_no_frames_stay_no_frames():
    none = Markers(("a",), RATE, np.zeros((0, 1, 3)))
    assert smooth(none).frames == 0
