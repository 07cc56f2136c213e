"""Shapes and runs of frames."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simspine.core.arrays import frame_ranges, require_shape, rms_of_known, runs_of_frames
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
    assert require_shape("angles", [[1, 2]], (1, 2)).dtype == float
    with pytest.raises(InputError, match=r"angles has shape \(1, 2\), expected \(2,\)"):
        require_shape("angles", [[1, 2]], (2,))


def test_rmse_by_hand():
    error = np.array([[3.0, 1, np.nan], [4.0, 1, np.nan]])
    np.testing.assert_allclose(rms_of_known(error, 0), [np.sqrt(12.5), 1, np.nan])
    np.testing.assert_allclose(rms_of_known(error, 1), [np.sqrt(5), np.sqrt(8.5)])
