"""Trials compared with one another: differences, their errors, verdicts, and what is left out."""

from dataclasses import replace

import pytest

from simspine.quality.observability import GIVEN_BY_MODEL, ClinicalFigure
from simspine.report.figures import (
    ERROR_UNKNOWN,
    NOT_DECIDED,
    Change,
    beyond_error,
    changes_between,
    comparison_table,
)


def figure(name, mean, sd=None, unit="deg", decided="measured", reach=5.0, range_sd=None):
    return ClinicalFigure(name, name.capitalize(), unit, mean, sd, mean - reach, mean + reach, 1.0, decided, range_sd)


def rows(**trials):
    return {row[0]: row[1:] for row in comparison_table(trials).rows}


def test_a_difference_is_judged_by_the_errors_of_both():
    """3 and 4 degrees make 5: 95 % reach 9.8."""
    found = rows(
        before=(figure("knee", 10.0, 3.0), figure("hip", 10.0, 3.0)),
        after=(figure("knee", 21.0, 4.0), figure("hip", 19.0, 4.0)),
    )
    assert found["Knee"][2] == "+11\u00a0±\u00a010"
    assert found["Hip"][2] == "(+9\u00a0±\u00a010)"
    assert found["Knee"][0] == "10\u00a0±\u00a06,\u00a05\u00a0…\u00a015"


def test_three_visits_the_last_less_the_first():
    found = rows(**{f"v{i}": (figure("plumb", -10.0 * i, 2.0, "mm"),) for i in range(3)})
    assert found["Plumb, mm"][1].startswith("−10\u00a0±\u00a04,")
    assert found["Plumb, mm"][3] == "−20\u00a0±\u00a06"


def test_what_the_model_gives_is_no_comparison_and_what_has_no_error_no_verdict():
    both = (figure("incidence", 50.0, 1.0, decided=GIVEN_BY_MODEL), figure("tilt", 3.0))
    found = rows(a=both, b=both)
    assert list(found) == ["Tilt"]
    assert found["Tilt"][2] == f"(0.0), {ERROR_UNKNOWN}"


def test_a_constant_of_the_body_has_no_range_that_could_change():
    """Pelvic incidence is the same in every posture: nothing is said of its range, and single frames have no ranges."""
    knee = figure("knee", 10.0, 3.0, range_sd=1.0)
    one, other = (figure("incidence", mean, 8.0, reach=0.0, range_sd=8.0) for mean in (50.0, 52.0))
    assert [change.what for change in changes_between(one, other)] == ["mean"]
    assert rows(a=(one, knee), b=(other, knee))["Incidence"][-1] == "constant"
    still = comparison_table({"a": (one,), "b": (other,)})
    assert still.columns == ("In degrees, unless mm is named", "a", "b", "Difference of means")
    assert still.rows[0][-1] == "(+2\u00a0±\u00a022)"


def test_a_constant_of_one_body_is_not_compared():
    """All trials of a run share the fitted body, so that its pelvic incidence has the difference 0 by construction."""
    both = (figure("incidence", 50.0, 8.0, reach=0.0), figure("knee", 10.0, 3.0))
    assert list(rows(a=both, b=both)) == ["Knee"]


@pytest.mark.parametrize("assumed", ["before", "after"])
def test_what_one_trial_assumed_did_not_change(assumed):
    """However large the difference of two assumptions is, it is not a result."""
    words = {trial: "assumed" if trial == assumed else "measured" for trial in ("before", "after")}
    found = rows(
        before=(figure("cobb", 10.0, 0.1, decided=words["before"]),),
        after=(figure("cobb", 90.0, 0.1, decided=words["after"]),),
    )
    assert found["Cobb"][2:] == (NOT_DECIDED, NOT_DECIDED)
    of_assumed, of_measured = (0, 1) if assumed == "before" else (1, 0)
    assert found["Cobb"][of_assumed].startswith("(")
    assert not found["Cobb"][of_measured].startswith("(")


def test_ranges_are_subtracted_with_the_errors_of_their_ends():
    """From 0…60° to 6…54° it is 12° less, although the mean is the same; 3 and 4 degrees make 5, 95 % reach 9.8."""
    before = figure("knee_flexion_r", 30.0, 1.0, reach=30.0, range_sd=3.0)
    after = figure("knee_flexion_r", 30.0, 1.0, reach=24.0, range_sd=4.0)
    table = comparison_table({"before": (before,), "after": (after,)})
    found = dict(zip(table.columns, table.rows[0], strict=True))
    assert found["Difference of ranges"] == "−12\u00a0±\u00a010"
    assert found["Difference of means"] == "(0.0\u00a0±\u00a02.8)"
    said = beyond_error(changes_between(before, after))
    assert said == "Larger than the measurement error: Knee_flexion_r, range −12\u00a0±\u00a010°."


def test_one_trial_known_is_not_compared():
    assert comparison_table({"a": (figure("knee", 1.0),), "b": ()}) is None


@pytest.mark.parametrize("count", [0, 1, 5])
def test_one_trial_or_many_have_no_table(count):
    assert comparison_table({str(i): (figure("knee", 1.0),) for i in range(count)}) is None


@pytest.mark.parametrize(
    ("by", "reach", "unit", "text", "beyond"),
    [(15.4, 15.2, "mm", "+15\u00a0±\u00a015\u00a0mm", False), (2.5, 2.0, "deg", "+2.5\u00a0±\u00a02.0°", True)],
)
def test_the_verdict_is_that_of_the_numbers_as_written(by, reach, unit, text, beyond):
    change = Change("Knee", "mean", unit, by=by, sd=reach / 1.96, undecided=False)
    assert (change.size, change.exceeds_error) == (text, beyond)


def test_a_range_that_was_partly_measured_did_not_change():
    """Its change looks too small, so that the page of either trial has it in brackets; the mean is a result."""
    before, after = (
        figure("knee", 30.0, 1.0, decided="partly measured", reach=reach, range_sd=1.0) for reach in (5, 40)
    )
    mean, span = rows(a=(before,), b=(after,))["Knee"][2:]
    assert (mean, span) == ("(0.0\u00a0±\u00a02.8)", NOT_DECIDED)


def test_the_sentence_names_the_largest_changes_for_their_errors_and_counts_the_rest():
    """From 10° by 10, 20 … 60°, each ± 2°: the last four are named, the largest first."""
    first = [figure(f"angle{i}", 10.0, 1.0, reach=0.0) for i in range(1, 7)]
    last = [figure(f"angle{i}", 10.0 + 10 * i, 1.0, reach=0.0) for i in range(1, 7)]
    changes = [change for pair in zip(first, last, strict=True) for change in changes_between(*pair)]
    said = beyond_error(changes)
    assert said.index("Angle6") < said.index("Angle5") < said.index("Angle3")
    assert "Angle2" not in said
    assert said.endswith("; and 2 more, below.")


def test_a_comparison_has_the_marks_of_the_findings():
    knee, other = (replace(figure("knee", mean, 1.0, range_sd=1.0), doubts=("left shank",)) for mean in (10.0, 20.0))
    cells = _plain(rows(a=(knee,), b=(other,))["Knee"])
    assert cells[0] == "10.0 ± 2.0, 5 … 15 ▲ left shank"
    assert cells[2] == "+10.0 ± 2.8 ▲ left shank"


def _plain(cells):
    return [cell.replace("\u00a0", " ") for cell in cells]
