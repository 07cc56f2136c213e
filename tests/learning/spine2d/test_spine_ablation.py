"""Which settings are compared."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import spine_ablation
from benchmarks.spine_ablation import (
    DATA_FRACTIONS,
    DRAWN_FIGURES,
    ablation_figure,
    mixing_figure,
    run_ablations,
    variants_by_curriculum,
    variants_by_fractions,
    variants_by_losses,
    variants_by_mixing,
    variants_by_network,
    variants_by_teacher,
)
from figure_text import texts

from simspine.core.errors import InputError
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.learning.options import CurriculumStage, spine_options


@pytest.fixture
def options(dotted):
    data = {
        "train": [{"folder": str(dotted), "split": "val2017"}, {"folder": str(dotted)}], "points": "trunk",
        "test": {"folder": str(dotted), "split": "val2017"},
    }  # fmt: skip
    return spine_options("tiny", data=data, teacher="body.pt")


def switched_off(losses):
    return {name for name in ("position", "distill", "structure", "spine", "spread") if getattr(losses, name) == 0}


def test_losses_are_switched_off_as_in_the_papers_rows(options):
    found = {name: switched_off(own.losses) for name, own in variants_by_losses(options).items()}
    assert found == {
        "position": {"distill", "structure", "spine"}, "+ distill": {"structure", "spine"},
        "+ distill + spine": {"structure"}, "+ distill + structure": {"spine"}, "all": set(),
    }  # fmt: skip
    alone = variants_by_losses(options.model_copy(update={"teacher": None}))
    assert list(alone) == ["position", "+ spine", "+ structure", "all"]


def test_fractions_are_of_the_last_set(options):
    found = [[own.fraction for own in changed.data.train] for changed in variants_by_fractions(options).values()]
    assert found == [[1.0, fraction] for fraction in DATA_FRACTIONS]


def test_fractions_that_are_the_same_people_are_named(options, tmp_path, monkeypatch):
    """Of 40 people 1 and 2 % are one person."""
    monkeypatch.setattr(
        spine_ablation, "train_detector", lambda own, *rest: max(1, round(40 * own.data.train[-1].fraction))
    )
    monkeypatch.setattr(spine_ablation, "_ablation_cells", lambda people: (float(people),) * 12)
    (table,) = run_ablations(options, ("mixing",), tmp_path)
    remarks = {row.method: row.remark for row in table.rows if row.remark}
    assert remarks["2 %, each batch"] == "as 1 %, each batch: of this set the same people"
    assert "5 %, each batch" not in remarks


def test_stages_are_taken_alone(options):
    found = {name: own.curriculum for name, own in variants_by_curriculum(options).items()}
    first, second, third = options.curriculum
    assert found == {
        "mirroring alone": (CurriculumStage(),), "stage 1 alone": (first,), "stage 2 alone": (second,),
        "stage 3 alone": (third,), "stages in turn": options.curriculum,
    }  # fmt: skip


def test_networks_are_named_by_their_files(options):
    found = variants_by_network(options, [Path("some/hrnet.pt2")])
    assert {name: own.network.start for name, own in found.items()} == {"own": None, "hrnet": "some/hrnet.pt2"}


def test_each_way_of_mixing_has_a_curve_on_each_test_set(options):
    columns = tuple(TableColumn(f"spine {figure}, {name}", "") for name in ("far", "near") for figure in ("AUC", "AP"))
    rows = [
        TableRow(name, "all", (0.1 + i / 100, 0.2 + i / 100, 0.3 + i / 100, 0.4 + i / 100))
        for i, name in enumerate(variants_by_mixing(options))
    ]
    figure = mixing_figure(EvaluationTable("m", "Mixing", columns, tuple(rows)), ["far", "near"])
    for axes, low in zip(figure.axes, ((0.1, 0.3), (0.2, 0.4)), strict=True):
        assert [line.get_label() for line in axes.lines] == [
            "far, each batch", "far, each epoch", "near, each batch", "near, each epoch"
        ]  # fmt: skip
        for line, first, step in zip(axes.lines, np.repeat(low, 2), (1, 2, 1, 2), strict=True):
            np.testing.assert_array_equal(line.get_xdata(), [0, 1, 2, 5, 10])
            np.testing.assert_allclose(line.get_ydata(), first + np.r_[0, step + 2 * np.arange(4)] / 100)


def test_a_student_is_compared_with_and_without_its_teacher(options):
    found = {name: (own.teacher, own.losses.distill) for name, own in variants_by_teacher(options).items()}
    assert found == {
        "no teacher": (None, 2.5), "teacher's weights": ("body.pt", 0.0), "teacher's weights and maps": ("body.pt", 2.5)
    }  # fmt: skip
    with pytest.raises(InputError, match="a teacher is needed"):
        variants_by_teacher(options.model_copy(update={"teacher": None}))


def test_the_figure_has_what_the_tables_have():
    columns = (TableColumn("spine: median error", "%", 1), TableColumn("all: median error", "%", 1))
    rows = tuple(TableRow(name, "all", (value, value + 1)) for name, value in (("1 %", 9.0), ("100 %", 4.0)))
    other = tuple(TableRow(name, "all", (value, value + 1)) for name, value in (("position", 5.0), ("all", 4.5)))
    tables = [EvaluationTable("a", "By fractions", columns, rows), EvaluationTable("b", "By losses", columns, other)]
    figure = ablation_figure(tables, DRAWN_FIGURES)
    curve, dots = figure.axes
    assert [(list(line.get_xdata()), list(line.get_ydata())) for line in curve.lines] == [
        ([1, 100], [9, 4]), ([1, 100], [10, 5])
    ]  # fmt: skip
    assert [list(line.get_xdata()) for line in dots.lines] == [[5, 4.5], [6, 5.5]]
    assert curve.get_ylim()[0] == dots.get_xlim()[0] == 0
    assert curve.get_ylim()[1] > 10  # the second column is within the axes as well
    assert dots.get_xlim()[1] > 6
    for part in ("By fractions", "By losses", "position", "spine: median error", "error (%)"):
        assert part in texts(figure)


def test_faults_come_before_any_work(options, tmp_path):
    without = options.model_copy(update={"data": options.data.model_copy(update={"test": ()})})
    with pytest.raises(InputError, match=r"data\.train and data\.test are needed"):
        run_ablations(without, ("losses",), tmp_path)
