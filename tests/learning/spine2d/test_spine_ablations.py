"""Which settings are compared."""

from pathlib import Path

import numpy as np
import pytest
from figure_text import texts

from simspine.core.errors import InputError
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.learning.options import POINT_CHOICES, CurriculumStage, LabelledSet, spine_preset
from simspine.learning.spine_runs import (
    DATA_FRACTIONS,
    DRAWN_FIGURES,
    crops_per_epoch,
    exchanged_share,
    run_detector_ablation,
    variants_by_curriculum,
    variants_by_fractions,
    variants_by_losses,
    variants_by_teacher,
)
from simspine.learning.spine_samples import CropReader, LabelledPeople, epoch_rows, read_labelled_set
from simspine.report.dataset_figures import ablation_figure


@pytest.fixture
def options(dotted):
    data = {
        "train": [{"folder": str(dotted), "split": "val2017"}, {"folder": str(dotted)}], "points": "trunk",
        "test": {"folder": str(dotted), "split": "val2017"},
    }  # fmt: skip
    return spine_preset("tiny", data=data, teacher="body.pt")


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


def test_fractions_have_equal_steps(dotted):
    """4 of 18 people, gone through as often as all of them would be: a batch of eight has each of them twice."""
    half = LabelledSet(folder=str(dotted), fraction=0.25, whole_epochs=True)
    reader = CropReader((read_labelled_set(half, POINT_CHOICES["trunk"], 1),), seed=1, shown=(18,))
    rows = epoch_rows([4], 8, np.random.default_rng(1), (18,))
    assert reader.count(8) == len(rows) == 2
    assert [sorted(batch[:, 1]) for batch in rows] == [[0, 0, 1, 1, 2, 2, 3, 3]] * 2
    assert crops_per_epoch(half, reader.sets[0]) == 16
    assert crops_per_epoch(half.model_copy(update={"whole_epochs": False}), reader.sets[0]) == 4


def test_stages_are_taken_alone(options):
    found = {name: own.curriculum for name, own in variants_by_curriculum(options).items()}
    first, second, third = options.curriculum
    assert found == {
        "mirroring alone": (CurriculumStage(),), "stage 1 alone": (first,), "stage 2 alone": (second,),
        "stage 3 alone": (third,), "stages in turn": options.curriculum,
    }  # fmt: skip


def test_a_student_is_compared_with_and_without_its_teacher(options):
    found = {name: (own.teacher, own.losses.distill) for name, own in variants_by_teacher(options).items()}
    assert found == {
        "no teacher": (None, 2.5), "teacher's weights": ("body.pt", 0.0), "teacher's weights and maps": ("body.pt", 2.5)
    }  # fmt: skip
    with pytest.raises(InputError, match="a teacher is needed"):
        variants_by_teacher(options.model_copy(update={"teacher": None}))


def test_exchanged_sides_are_counted_where_they_are_apart():
    names = POINT_CHOICES["trunk"]
    keypoints = np.full((2, len(names), 3), 2.0)
    keypoints[..., :2] = 50
    left, right = (names.index(f"{side}_clavicle") for side in ("left", "right"))
    keypoints[0, left, 0], keypoints[0, right, 0] = 80, 20
    keypoints[1, left, 0], keypoints[1, right, 0] = 52, 48  # nearer than a tenth of the side
    people = LabelledPeople((Path("a"), Path("b")), names, keypoints, np.array([[0, 0, 100.0, 200]] * 2), np.ones(2))
    side, found = np.array([100.0, 100]), keypoints[..., :2].copy()
    assert exchanged_share(found, people, side) == 0
    found[:, [left, right]] = found[:, [right, left]]
    assert exchanged_share(found, people, side) == 100
    found[0, left, 0] = 55  # nearer to its own
    assert exchanged_share(found, people, side) == 50


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
    with pytest.raises(InputError, match="unknown setting to change 'colour'"):
        run_detector_ablation(options, "colour", tmp_path)
    without = options.model_copy(update={"data": options.data.model_copy(update={"test": None})})
    with pytest.raises(InputError, match=r"data\.train and data\.test are needed"):
        run_detector_ablation(without, "losses", tmp_path)
