"""Shapes and runs of frames."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simspine.core.arrays import frame_ranges, median_of_known, require_numbers, rms_of_known, runs_of_frames
from simspine.core.errors import InputError


@given(st.lists(st.integers(0, 50)))
def test_runs_give_back_their_frames(frames):
    spans = runs_of_frames(frames)
    assert [k for a, b in spans for k in range(a, b)] == sorted(set(frames))
    assert all(b < c for (_, b), (c, _) in itertools.pairwise(spans))


def test_ranges_are_written_as_people_do():
    assert frame_ranges(np.flatnonzero([1, 0, 1, 1, 1, 0, 0, 1])) == "0, 2–4, 7"
    assert frame_ranges(()) == ""


def test_a_wrong_shape_is_named():
    assert require_numbers("angles", [[1, 2]], (1, 2)).dtype == float
    with pytest.raises(InputError, match=r"angles has shape \(1, 2\), expected \(2,\)"):
        require_numbers("angles", [[1, 2]], (2,))


def test_rmse_by_hand():
    error = np.array([[3.0, 1, np.nan], [4.0, 1, np.nan]])
    np.testing.assert_allclose(rms_of_known(error, 0), [np.sqrt(12.5), 1, np.nan])
    np.testing.assert_allclose(rms_of_known(error, 1), [np.sqrt(5), np.sqrt(8.5)])


@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
def test_medians_are_numpys_and_nan_of_nothing(count):
    values = np.random.default_rng(count).normal(size=(40, count))
    values[np.random.default_rng(1).random(values.shape) < 0.3] = np.nan
    values[0] = np.nan
    known = np.isfinite(values).any(-1)
    np.testing.assert_allclose(median_of_known(values)[known], np.nanmedian(values[known], -1))
    assert np.isnan(median_of_known(values)[~known]).all()


@pytest.mark.parametrize("given", [[1 + 1j], ["1"], [[1], [1, 2]], np.array(["2026-01-01"], "M8[D]"), None])
def test_what_is_no_number_is_refused_by_name(given):
    with pytest.raises(InputError, match=r"angles is not made of numbers|angles has shape"):
        require_numbers("angles", given, (1,))


def test_masked_numbers_are_missing():
    given = [np.ma.array([1.0, 9.0], mask=[False, True])] * 2
    np.testing.assert_array_equal(require_numbers("points", given), [[1.0, np.nan]] * 2)
