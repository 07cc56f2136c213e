"""Who is judged by what: totals, people, means of people, and losses against baselines, by hand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from simspine.cli.main import main
from simspine.core.errors import InputError
from simspine.evaluation import points_in_space
from simspine.evaluation.baselines import BASELINE_NAMES
from simspine.evaluation.bench_accuracy import ACCURACY_LEVELS, estimates_from_points
from simspine.evaluation.points_in_space import (
    FIGURES_BY_METHOD,
    OUR_METHOD,
    POINT_ERRORS_BY_NAME,
    PointOutcome,
    PointStudySize,
    StudyCell,
    coverage_table,
    error_table,
    lost_comparisons,
    measure_point_study,
    observed_markers,
    person_table,
    point_study_metrics,
    run_point_study,
    trials_of_people,
)
from simspine.evaluation.spine_errors import SpineErrors, spine_errors_of

SIZE = PointStudySize(1, 60, actions=("Directions", "Sitting"))
CELL = StudyCell("foreign", "white", OUR_METHOD)


@pytest.fixture(scope="module")
def trials():
    return next(trials_of_people("published", SIZE))


@pytest.fixture(scope="module")
def perfect(trials):
    """No error anywhere, 60 frames, deviations of 1 rad for LLA."""
    truth = trials[0].truth
    sd = np.ones(60)
    kinematics = replace(
        truth.kinematics,
        lla_sd=sd,
        tka_sd=sd,
        lla_change_sd=sd,
        tka_change_sd=sd,
        angles_sd=np.ones(truth.kinematics.angles.shape),
    )
    return spine_errors_of(replace(truth, kinematics=kinematics), truth, ACCURACY_LEVELS)


def off_by(trial: SpineErrors, degrees: float, score: float = 0.0) -> SpineErrors:
    """LLA off by as much, and by as many standard deviations."""
    scores = {name: np.full(values.shape, score) for name, values in trial.score.items()}
    return replace(trial, lla=np.full(len(trial.lla), np.radians(degrees)), score=scores)


def outcome(trials: dict[StudyCell, dict[tuple[str, str], SpineErrors]]) -> PointOutcome:
    return PointOutcome(trials, {})


def test_people_are_judged_by_the_mean_of_their_trials(perfect):
    """A: +3° and +5°, B: −4°. Frame by frame √((9 + 25 + 16) / 3), by person √((16 + 16) / 2)."""
    own = {("A", "x"): off_by(perfect, 3), ("A", "y"): off_by(perfect, 5), ("B", "x"): off_by(perfect, -4)}
    found = outcome({CELL: own})
    assert found.people(CELL)["A"]["lla_offset_deg"] == pytest.approx(4)
    total = found.total(CELL)
    assert total["lla_rmse_deg"] == pytest.approx(np.sqrt(50 / 3))
    assert total["person_lla_rmse_deg"] == pytest.approx(4)
    assert total["person_tka_rmse_deg"] == pytest.approx(0)


def test_coverage_names_the_worst_and_the_best_person(perfect):
    own = {("A", "x"): off_by(perfect, 1, score=1.6), ("B", "x"): off_by(perfect, 1, score=1.7)}
    total = outcome({CELL: own}).total(CELL)
    assert (total["coverage_lla_min"], total["coverage_lla"], total["coverage_lla_max"]) == (0, 0.5, 1)
    rng = np.random.default_rng(4)
    normal = {
        (str(person), "x"): replace(perfect, score={n: rng.standard_normal(v.shape) for n, v in perfect.score.items()})
        for person in range(100)
    }
    assert outcome({CELL: normal}).total(CELL)["coverage_tka"] == pytest.approx(0.9, abs=0.01)
    assert outcome({CELL: normal}).total(CELL)["normalised_tka"] == pytest.approx(1, abs=0.01)


def test_losses_are_to_the_best_baseline_and_only_in_what_it_is_judged_by():
    low = dict.fromkeys(FIGURES_BY_METHOD[OUR_METHOD], 0.1)
    totals = {
        CELL: low | {"lla_rmse_deg": 5.0, "lla_correlation": 0.5, "lla_motion_rmse_deg": 2.0},
        CELL._replace(method="curve"): {"lla_rmse_deg": 4.0, "lla_correlation": 0.7, "lla_motion_rmse_deg": 3.0},
        CELL._replace(method="mean"): {"lla_rmse_deg": 3.0, "lla_motion_rmse_deg": 0.0},  # its motion is not judged
        CELL._replace(method="constant"): {"lla_rmse_deg": 0.0, "lla_motion_rmse_deg": np.nan},  # an oracle of means
    }
    found = {loss.figure: (loss.baseline, loss.value) for loss in lost_comparisons(totals)}
    assert found == {"lla_rmse_deg": ("mean", 3.0), "lla_correlation": ("curve", 0.7)}
    heading, _, ours, *_ = error_table(totals).splitlines()
    cells = dict(zip(*([c.strip() for c in row.split("|")] for row in (heading, ours)), strict=True))
    assert cells["LLA °"] == "5.0 loses"
    assert cells["LLA motion"] == "2.00"
    totals[CELL] = totals[CELL] | {"lla_rmse_deg": np.nan}
    assert "lla_rmse_deg" in {loss.figure for loss in lost_comparisons(totals)}  # no result is no victory


def test_tables_by_person(perfect):
    own = {("A", "x"): off_by(perfect, 3, 1.0), ("B", "x"): off_by(perfect, -4, 2.0)}
    found = outcome({CELL: own})
    assert "0.50 (0.00–1.00)" in coverage_table(found.totals())
    assert "1.58 (1.00–2.00)" in coverage_table(found.totals(), "normalised")  # √((1² + 2²) / 2)
    rows = person_table(found).splitlines()
    assert [row.split("|")[3].strip() for row in rows[2:]] == ["A", "B"]
    assert "-4.00" in rows[3]


def test_goals_count_losses_and_coverage(perfect):
    curve = CELL._replace(method="curve")
    own = outcome({CELL: {("A", "x"): off_by(perfect, 5, 0.5)}, curve: {("A", "x"): off_by(perfect, 4, 0.5)}})
    beaten, coverage, refused = point_study_metrics(own)
    assert beaten.key == "foreign: white: figures in which a baseline is better"
    assert (beaten.value, beaten.met) == (2, False)  # all frames and person
    assert coverage.value == pytest.approx(0.1)
    assert refused.met


@pytest.mark.slow
def test_the_study_is_the_stages_the_published_procedure_and_the_baselines():
    """The estimate of the study is that of the stages on the same points, every other frame of it."""
    small = PointStudySize(1, 30, every=2, actions=("Sitting",))
    trials = next(trials_of_people("published", small))
    found = run_point_study(["published"], ["white"], small)
    assert [cell.method for cell in found.found] == [OUR_METHOD, "peer", *BASELINE_NAMES]
    given = [observed_markers(trial, POINT_ERRORS_BY_NAME["white"], small.seed) for trial in trials]
    estimates = estimates_from_points(given)
    for trial, spine in zip(trials, estimates, strict=True):
        own = found.found["published", "white", OUR_METHOD][trial.subject, trial.trial]
        np.testing.assert_allclose(own.lla, (spine.kinematics.lla - trial.truth.kinematics.lla)[::2], atol=1e-9)
    total = found.total(StudyCell("published", "white", OUR_METHOD))
    assert total["vertebrae_mm"] < 8
    assert total["failed_share"] == 0
    written = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert {row["subject"] for row in written["by_person"]} == {trials[0].subject}


def test_a_person_who_is_refused_is_named(monkeypatch):
    def refuse(trials):
        raise InputError("segment 'forearm' measures nonsense")

    monkeypatch.setattr(points_in_space, "estimates_from_points", refuse)
    found = run_point_study(["published"], ["white"], replace(SIZE, frames=20, actions=("Sitting",)))
    assert list(found.refused.values()) == ["segment 'forearm' measures nonsense"]
    assert StudyCell("published", "white", "curve") in found.found
    assert point_study_metrics(found)[-1].met is False


@pytest.mark.parametrize(
    ("families", "points", "size", "named"),
    [
        (("straight",), ("white",), SIZE, "published"),
        (("scans",), ("pink",), SIZE, "detector"),
        (("scans",), ("white",), replace(SIZE, frames=5), "5 frames"),
        (("scans",), ("white",), replace(SIZE, every=0), "every 0"),
        (("scans",), (), SIZE, "0 errors"),
    ],
)
def test_bad_input_is_named(families, points, size, named):
    with pytest.raises(InputError, match=named):
        measure_point_study(size, families, points)


@pytest.mark.slow
@pytest.mark.long
def test_bench_accuracy_from_points(tmp_path):
    out = tmp_path / "accuracy.json"
    chosen = ["--quick", "--presets", "none", "--families", "foreign", "--points", "white", "--json", str(out)]
    done = CliRunner().invoke(main, ["bench", "accuracy", *chosen], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    written = json.loads(out.read_text())
    assert written["settings"]["from_points"]["subjects"] == 1
    [row] = [row for row in written["from_points"]["by_person"] if row["method"] == OUR_METHOD]
    assert row["family"] == "foreign"
    assert np.isfinite(row["coverage_centres"])
    assert "| foreign | white  | articulated" in done.output


def test_nothing_to_measure_is_said():
    done = CliRunner().invoke(main, ["bench", "accuracy", "--presets", "none", "--families", "none"])
    assert done.exit_code == 2
    assert "--families" in done.output
