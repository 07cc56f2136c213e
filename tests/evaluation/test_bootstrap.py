import numpy as np
import pytest
from scipy.stats import bootstrap

from simspine.core.errors import InputError
from simspine.evaluation.metrics import bootstrap_mean


def test_single_values_agree_with_scipy():
    values = np.random.default_rng(2).normal(3, 1, 40)
    theirs = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    ours = bootstrap_mean(values, range(40))
    np.testing.assert_allclose(ours, [theirs.low, theirs.high], atol=0.03)


def test_copies_of_a_frame_teach_nothing():
    values, people = np.array([1.0, 2.0, 4.0, 5.0]), ["a", "b", "c", "d"]
    once = bootstrap_mean(values, people)
    assert bootstrap_mean(np.repeat(values, 100), np.repeat(people, 100)) == pytest.approx(once)
    narrow = bootstrap_mean(np.repeat(values, 100), range(400))
    assert narrow[1] - narrow[0] < 0.2 * (once[1] - once[0])


def test_weights_stand_for_copies():
    values, people, copies = np.array([1.0, 2.0, 4.0, np.nan]), ["a", "b", "b", "c"], [3, 1, 2, 5]
    apart = bootstrap_mean(np.repeat(values, copies), np.repeat(people, copies))
    assert bootstrap_mean(values, people, copies) == pytest.approx(apart)


def test_two_people_span_from_one_to_the_other():
    """A quarter of the draws is one person twice, a quarter the other."""
    assert bootstrap_mean([1.0, 1.0, 3.0], ["S9", "S9", "S11"]) == (1.0, 3.0)


def test_of_one_person_there_is_no_interval():
    assert np.isnan(bootstrap_mean([1.0, 2.0], ["S9", "S9"])).all()
    assert np.isnan(bootstrap_mean([1.0, np.nan], ["S9", "S11"])).all()


def test_nonsense_is_refused():
    with pytest.raises(InputError, match="label for each value"):
        bootstrap_mean([1.0, 2.0], ["S9"])
