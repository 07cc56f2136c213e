"""What is computed stays what it was at commit c8fa1fd (`python tests/reference/reference.py --check` says more)."""

import numpy as np
import pytest
from reference import TOLERANCE, allowed, computed, difference, differences, stored, too_large

SLOW = [pytest.param("demo", marks=pytest.mark.slow), pytest.param("virtual", marks=pytest.mark.long)]


@pytest.mark.parametrize("case", ["inverse_kinematics", "fit_trials", *SLOW])
def test_results_are_those_of_the_reference(case):
    apart = differences(stored(case), computed(case))
    assert len(apart) > 10
    assert too_large(case, apart) == {}


def test_a_difference_is_relative_to_the_size_of_what_is_compared():
    reference = np.array([100.0, -1.0, 0.0, np.nan])
    large, zero = np.array([1e-3, 0.0, 0.0, 0.0]), np.array([0.0, 0.0, 5e-4, 0.0])
    assert difference(reference, reference.copy()) == 0
    assert difference(reference, reference + large) == pytest.approx(1e-5)
    assert difference(reference, reference + zero) == pytest.approx(5e-4 / np.sqrt((100**2 + 1) / 3))


@pytest.mark.parametrize("found", [[1.0, 2.0], [np.nan, 2.0, 3.0], ["1", "2", "3"]])
def test_another_shape_gap_or_kind_is_no_small_difference(found):
    assert difference(np.array([1.0, 2.0, 3.0]), np.array(found)) == np.inf


def test_text_that_changed_an_array_that_is_missing_and_a_figure_of_a_summary_are_told():
    reference = {"findings": np.array(["a", "b"]), "lla": np.ones(3), "summary": np.array('{"S1": {"lla": 2.0}}')}
    found = {"findings": np.array(["a", "c"]), "new": np.ones(3), "summary": np.array('{"S1": {"lla": 3.0}}')}
    assert differences(reference, found) == {"findings": np.inf, "lla": np.inf, "summary/S1/lla": 0.5}


def test_what_is_allowed_of_an_array():
    assert allowed("virtual", "truth/lla") == TOLERANCE
    assert allowed("fit_trials", "sitting/lla") == 1e-7
    assert too_large("fit_trials", {"sitting/lla": 2e-7, "sitting/body_marker_offsets": 2e-7}) == {"sitting/lla": 2e-7}
