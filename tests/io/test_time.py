"""Time columns printed from a known rate: that rate comes back, or the reader says that it cannot know."""

import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simspine.core.errors import InputError
from simspine.io.text_tables import StatedRate, TimedRows, uniform_rows

RATES = st.sampled_from([25.0, 29.97, 30.0, 50.0, 59.94, 60.0, 90.0, 100.0, 119.88, 120.0, 143.0, 200.0, 240.0, 250.0])


def printed(time, decimals) -> TimedRows:
    values = np.arange(len(time), dtype=float)[:, None]
    return TimedRows(np.array([float(f"{t:.{decimals}f}") for t in time]), values, 10.0**-decimals)


def read(rows, **told):
    """Rate, and whether something was said."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, rate = uniform_rows(rows, StatedRate(**told), "x.mot")
    return rate, bool(caught)


@settings(max_examples=300, deadline=None)
@given(RATES, st.integers(2, 6), st.sampled_from([2, 3, 5, 20, 100, 700]), st.floats(0, 20))
def test_a_rate_is_never_wrong_without_a_word(rate, decimals, frames, start):
    """Silence means: no frame is farther than the printed step from its time at the true rate."""
    rows = printed(start + np.arange(frames) / rate, decimals)
    if decimals == 2:
        try:
            found, said = read(rows)
        except InputError:  # too coarse
            return
    else:
        found, said = read(rows)
    late = np.abs(np.arange(frames) / found - np.arange(frames) / rate).max()
    assert said or late <= 1.01 * 10.0**-decimals


@settings(max_examples=300, deadline=None)
@given(RATES, st.integers(2, 9), st.integers(2, 700), st.floats(0, 20), st.sampled_from(["header", "given"]))
def test_a_rate_that_is_told_comes_back(rate, decimals, frames, start, by):
    ticks = start * 10**decimals
    assume(abs(ticks - np.floor(ticks) - 0.5) > 1e-3)  # frames just between two printed times go up or down by chance
    rows = printed(start + np.arange(frames) / rate, decimals)
    assume(rows.time[-1] > rows.time[0])
    assert read(rows, **{by: rate}) == (rate, False)


@settings(max_examples=200, deadline=None)
@given(RATES, st.integers(3, 6), st.integers(4, 300), st.data())
def test_a_dropped_row_is_found(rate, decimals, frames, data):
    """Where times are printed finely enough: to less than a third of a frame."""
    assume(10.0**-decimals < 0.25 / rate)
    dropped = data.draw(st.integers(1, frames - 1))
    rows = printed(np.delete(np.arange(frames + 1), dropped) / rate, decimals)
    for told in ({}, {"header": rate}):
        with pytest.raises(InputError, match=r"not uniform.*resample="):
            read(rows, **told)


def test_few_rows_that_fit_several_rates_give_a_warning():
    assert read(printed(np.arange(4) / 100, 2)) == (100.0, True)  # 75 and 120 frames/s fit as well
    assert read(printed(np.arange(40) / 100, 2)) == (100.0, False)
    assert read(printed(np.arange(4) / 100, 2), given=100.0) == (100.0, False)


@pytest.mark.parametrize(
    ("true", "frames", "start"), [(59.94, 100, 15.629523494298121), (143.0, 30, 0.1096), (29.97, 1300, 7.2)]
)
def test_rates_that_differ_by_less_than_the_printed_step_shows(true, frames, start):
    """Whatever rate is taken, a warning names another one, or the times exclude all that lie a step away."""
    rows = printed(start + np.arange(frames) / true, 3)
    found, warned = read(rows)
    assert warned or abs(1 / found - 1 / true) * (frames - 1) <= 1.01e-3
    assert read(rows, header=true) == (true, False)
    assert read(rows, given=true) == (true, False)


def test_the_warning_names_both_rates():
    rows = printed(0.1096 + np.arange(30) / 143, 3)
    with pytest.warns(UserWarning, match=r"rounded times fit 144 and 143 frames/s; took the former \(rate=…\)"):
        uniform_rows(rows, StatedRate(), "x.mot")


@pytest.mark.parametrize("frames", [5, 40, 100, 1000])
@pytest.mark.parametrize("rate", [30.0, 50.0, 60.0, 100.0, 120.0])
def test_times_printed_to_a_millisecond_mostly_tell_the_rate(rate, frames):
    """A warning in every file would be overlooked."""
    found, warned = read(printed(np.arange(frames) / rate, 3))
    assert found == rate
    assert not warned or frames == 5


def test_a_column_of_one_time_is_no_column_of_minutes():
    with pytest.raises(InputError, match="time column does not increase"):
        uniform_rows(printed(np.zeros(40), 3), StatedRate(header=50.0), "x.trc")


@pytest.mark.parametrize(
    ("rate", "unit", "named"), [(120.0, 1e3, "milliseconds"), (59.94, 59.94, "frames"), (25.0, 1 / 60, "minutes")]
)
def test_times_in_other_units_than_seconds(rate, unit, named):
    rows = printed(unit * np.arange(40) / rate, 3 if unit > 1 else 8)
    for how in ("header", "given"):
        with pytest.warns(UserWarning, match=f"its times are not seconds; taken as {named}, at {rate:g} frames/s"):
            found, again = uniform_rows(rows, StatedRate(**{how: rate}), "x.trc")
        assert again == rate
        np.testing.assert_allclose(found.time, np.arange(40) / rate, atol=1e-5)


def test_less_than_a_frame_a_second_is_refused_unless_it_is_stated():
    rows = printed(8.0 * np.arange(10), 1)
    with pytest.raises(InputError, match=r"0\.125 frames/s by its times. Are they milliseconds"):
        read(rows)
    assert read(rows, given=0.125) == (0.125, False)


def test_a_stated_rate_that_is_not_the_headers_gives_a_warning():
    assert read(printed(np.arange(1) / 50, 2), header=50.0, given=25.0) == (25.0, True)


@pytest.mark.parametrize("time", [np.nan, np.inf, -1e308])
def test_times_that_are_none(time):
    """Sums of the largest numbers overflow."""
    rows = TimedRows(np.array([0.5, 0.52, time, 0.56]), np.arange(4.0)[:, None], 1e-9)
    with pytest.raises(InputError, match=r"x\.mot: row 3 of the data has no time \("):
        read(rows)


def test_a_coarse_column_with_a_hole_is_no_other_rate():
    rows = printed(np.delete(np.arange(200), 90) / 100, 2)
    for told in ({}, {"header": 100.0}):
        with pytest.raises(InputError, match=r"0\.89 s is followed by 0\.91 s"):
            read(rows, **told)


def test_jitter_of_a_clock_is_no_other_rate():
    time = np.arange(400) / 100 + np.random.default_rng(0).uniform(-5e-4, 5e-4, 400)
    assert read(printed(time, 6), header=100.0) == (100.0, False)
    assert read(printed(time, 6))[0] == 100.0


@pytest.mark.parametrize("rate", [0, -5, np.nan, np.inf])
def test_rates_that_are_none(rate):
    for name in ("given", "resample"):
        with pytest.raises(InputError, match="expected a positive number of frames per second"):
            StatedRate(**{name: rate})


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([25.0, 100.0, 333.0]))
def test_resampling_is_linear(seed, rate):
    """numpy.interp is the oracle, where nothing is missing and no gap is long."""
    rng = np.random.default_rng(seed)
    time = 3 + np.cumsum(rng.uniform(0.001, 0.05, 50))
    values = rng.normal(size=(50, 2))
    rows, found = uniform_rows(TimedRows(time, values, 1e-9), StatedRate(resample=rate), "x.trc")
    assert found == rate
    np.testing.assert_allclose(rows.time, time[0] + np.arange(len(rows.time)) / rate)
    assert time[-1] - 1 / rate < rows.time[-1] <= time[-1] + 1e-6 / rate
    expected = np.stack([np.interp(rows.time, time, column) for column in values.T], 1)
    np.testing.assert_allclose(rows.values, expected, atol=1e-4)


def test_resampling_leaves_gaps():
    time = np.array([0, 0.01, 0.02, 0.03, 0.25, 0.26])
    values = np.array([0, 1, np.nan, 3, 25, 26])[:, None]
    with pytest.warns(UserWarning, match=r"21 frames in gaps of over 0\.1 s; left missing"):
        rows, _ = uniform_rows(TimedRows(time, values, 0.01), StatedRate(resample=100.0), "x.trc")
    assert np.flatnonzero(np.isfinite(rows.values[:, 0])).tolist() == [0, 1, 3, 25, 26]
    np.testing.assert_allclose(rows.values[[0, 1, 3, 25, 26], 0], [0, 1, 3, 25, 26])
    with pytest.warns(UserWarning, match="left missing"):
        rows, _ = uniform_rows(TimedRows(time, values, 0.01), StatedRate(resample=200.0), "x.trc")
    assert np.flatnonzero(np.isfinite(rows.values[:, 0])).tolist() == [0, 1, 2, 6, 50, 51, 52]  # none beside a gap


@pytest.mark.parametrize(("end", "columns"), [(1e10, 1), (1e5, 120), (1e308, 1)])
def test_resampling_makes_no_table_that_fills_the_memory(end, columns):
    rows = TimedRows(np.array([0, end]), np.zeros((2, columns)), 1.0)
    with pytest.raises(InputError, match=r"x.trc: 1e\+\d+ frames at resample=100; at most .* are made of 2 rows"):
        uniform_rows(rows, StatedRate(resample=100.0), "x.trc")


def test_resampling_wants_times_that_increase():
    rows = TimedRows(np.array([0, 0.01, 0.01, 0.02]), np.array([[0.0], [1], [2], [3]]), 0.01)
    with pytest.raises(InputError, match=r"0\.01 s is followed by 0\.01 s; times must increase"):
        uniform_rows(rows, StatedRate(resample=100.0), "x.trc")
    same = TimedRows(rows.time, np.array([[0.0], [1], [1], [2]]), 0.01)
    np.testing.assert_allclose(uniform_rows(same, StatedRate(resample=100.0), "x.trc")[0].values[:, 0], [0, 1, 2])
