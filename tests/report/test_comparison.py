"""Trials beside each other: the difference, its error, and what is left out."""

import pytest

from simspine.quality.observability import GIVEN_BY_MODEL, ClinicalFigure
from simspine.report.dataset_figures import BEYOND_ERROR, ERROR_UNKNOWN, WITHIN_ERROR, comparison_table


def figure(name, mean, sd=None, unit="deg", decided="measured"):
    return ClinicalFigure(name, name.capitalize(), unit, mean, sd, mean - 5, mean + 5, 1.0, decided)


def rows(**trials):
    return {row[0]: row[1:] for row in comparison_table(trials).rows}


def test_a_difference_is_judged_by_the_errors_of_both():
    """3 and 4 degrees make 5: 95 % reach 9.8."""
    found = rows(
        before=(figure("knee", 10.0, 3.0), figure("hip", 10.0, 3.0)),
        after=(figure("knee", 20.0, 4.0), figure("hip", 19.0, 4.0)),
    )
    assert found["Knee"][2:4] == ("+10.0\u00a0±\u00a09.8°", BEYOND_ERROR)
    assert found["Hip"][2:4] == ("+9.0\u00a0±\u00a09.8°", WITHIN_ERROR)
    assert found["Knee"][0] == "10.0\u00a0±\u00a05.9°\u00a0(5\u00a0…\u00a015)"


def test_three_visits_the_last_less_the_first():
    found = rows(**{f"v{i}": (figure("plumb", -10.0 * i, 2.0, "mm"),) for i in range(3)})
    assert found["Plumb"][1].startswith("−10\u00a0±\u00a04\u00a0mm")
    assert found["Plumb"][3] == "−20\u00a0±\u00a06\u00a0mm"


def test_what_the_model_gives_is_no_comparison_and_what_has_no_error_no_verdict():
    both = (figure("incidence", 50.0, 1.0, decided=GIVEN_BY_MODEL), figure("tilt", 3.0))
    found = rows(a=both, b=both)
    assert list(found) == ["Tilt"]
    assert found["Tilt"][3] == ERROR_UNKNOWN


def test_ranges_are_subtracted_as_well():
    """From 0…60° to 5…53° it is 12° less, although the mean is the same."""
    before = ClinicalFigure("knee_flexion_r", "Knee", "deg", 30.0, 1.0, 0.0, 60.0, 1.0, "measured")
    after = ClinicalFigure("knee_flexion_r", "Knee", "deg", 30.0, 1.0, 5.0, 53.0, 1.0, "measured")
    table = comparison_table({"before": (before,), "after": (after,)})
    found = dict(zip(table.columns, table.rows[0], strict=True))
    assert (found["Change of range"], found["Difference"][:3]) == ("−12.0°", "0.0")


def test_one_trial_known_is_not_compared():
    assert comparison_table({"a": (figure("knee", 1.0),), "b": ()}) is None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_one_trial_or_many_have_no_table(count):
    assert comparison_table({str(i): (figure("knee", 1.0),) for i in range(count)}) is None
