"""The multi-view protocol on points whose errors are known by construction."""

from dataclasses import replace

import numpy as np
import pytest
from small_points import ALL, moved, truth

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.evaluation.point_protocols import evaluate_multiview
from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import POINT_COLUMNS, in_row_order, trial_key


def test_columns_are_the_papers():
    assert {name: len(points) for name, points in POINT_COLUMNS.items()} == {
        "cervical": 5, "thoracic": 6, "lumbar": 4, "spine": 15, "body": 22, "all": 37,
    }  # fmt: skip
    assert set(POINT_COLUMNS["spine"]) | set(POINT_COLUMNS["body"]) == set(ALL)


def test_a_known_error_of_each_region_comes_back():
    """Every point is off by as many mm as its region says, along x in the world: columns are means over points."""
    true = truth()
    regions = ("cervical", "thoracic", "lumbar", "body")
    size = {name: 3.0 * k for k, region in enumerate(regions, 1) for name in POINT_COLUMNS[region]}
    shift = 1e-3 * np.array([[size[name], 0, 0] for name in ALL])
    world, aligned = evaluate_multiview({"ours": moved(true, lambda s: s.values + shift)}, true)
    row = [world.value("ours", "mean over frames", column) for column in POINT_COLUMNS]
    spine = (5 * 3 + 6 * 6 + 4 * 9) / 15
    np.testing.assert_allclose(row, [3, 6, 9, spine, 12, (15 * spine + 22 * 12) / 37])
    for region in regions:  # a shift of all points of a column is taken out
        assert aligned.value("ours", "mean over frames", region) == pytest.approx(0, abs=1e-9)
    assert aligned.value("ours", "mean over frames", "spine") > 1


def test_rows_by_hand_with_both_means_and_intervals():
    """Off by 1 mm in Walking of S9 (4 frames), 4 mm in Sitting (2), 7 mm in Walking of S11 (6)."""
    off = {"Walking_1": 1e-3, "Sitting_1": 4e-3, "Walking_2": 7e-3}
    true = truth()
    found = moved(true, lambda s: s.values + np.array([0, off[s.trial], 0]))
    world, _ = evaluate_multiview({"ours": found}, true)

    def cell(row):
        return world.value("ours", row, "all")

    assert cell("Walking") == pytest.approx((4 * 1 + 6 * 7) / 10)
    assert cell("Sitting") == pytest.approx(4)
    assert cell("mean over frames") == pytest.approx((4 * 1 + 2 * 4 + 6 * 7) / 12)
    assert cell("mean over actions") == pytest.approx((4.6 + 4) / 2)
    assert cell("95 % by subject") == pytest.approx((2, 7))  # S9: (4 · 1 + 2 · 4) / 6
    rows = [row.label for row in world.rows if row.method == "ours"]
    assert rows == ["mean over frames", "mean over actions", "95 % by subject", "Sitting", "Walking"]
    assert sum(row.source != "" for row in world.rows) == 18


def test_what_is_not_predicted_is_said_and_counts_nowhere():
    true = truth()
    found = moved(true, lambda s: s.values + np.array([0, 2e-3, 0]))[:2]
    world, _ = evaluate_multiview({"ours": found}, true)
    assert world.value("ours", "mean over frames", "all") == pytest.approx(2)
    assert "12 frames; 50.0 % of the true places predicted" in world.notes[-1]


def test_a_column_needs_all_of_its_points():
    true = truth()
    spine = [s.select(POINT_COLUMNS["spine"]) for s in true]
    world, aligned = evaluate_multiview({"spine only": spine}, true)
    for table in (world, aligned):
        assert table.value("spine only", "mean over frames", "spine") == pytest.approx(0, abs=1e-9)
        assert np.isnan(table.value("spine only", "mean over frames", "body"))
        assert np.isnan(table.value("spine only", "mean over frames", "all"))


def test_other_axes_and_spellings_are_understood():
    true = truth()
    turned = [
        PointSequence(
            s.subject, s.trial.replace("_", " "), s.frames, s.names, change_frame(s.values, "z_up", "y_up"), "y_up"
        )
        for s in true
    ]
    world, _ = evaluate_multiview({"ours": turned}, true)
    assert world.value("ours", "mean over frames", "all") == pytest.approx(0, abs=1e-9)
    assert trial_key("Walking 1") == trial_key("walking-1") == trial_key("Walking_1")
    assert in_row_order(["Walking", "Posing", "Photo", "Reaching", "WalkDog", "Directions"]) == [
        "Directions", "TakingPhoto", "Posing", "WalkingDog", "Walking", "Reaching",
    ]  # fmt: skip


def test_frames_counted_from_1_are_refused():
    """As in simspine's own npz export: each frame was compared with the next."""
    true = truth()
    later = [replace(sequence, frames=sequence.frames + 1) for sequence in true]
    with pytest.raises(InputError, match=r"predicted are frames 1 to \d+, true are 0 to \d+\. Subtract 1"):
        evaluate_multiview({"ours": later}, true)


def other_side(name, names):
    other = {"L": "R", "R": "L"}.get(name[0], "") + name[1:]
    return other if other in names else name


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: change_frame(s.values, "z_up", "y_up"), "turned by 120°"),
        (lambda s: s.values * [-1, -1, 1], "turned by 180°"),
        (lambda s: s.values[:, [s.names.index(other_side(name, s.names)) for name in s.names]], "left and right of"),
    ],
    ids=["axes", "half a turn", "sides"],
)
def test_predictions_in_other_axes_or_with_sides_exchanged_are_named(change, said):
    with pytest.warns(UserWarning, match=f"S9/Walking_1.*{said}"):
        evaluate_multiview({"ours": moved(truth(), change)}, truth())


def test_predictions_that_belong_to_nothing_are_refused():
    true = truth()
    other = truth((("S1", "Eating_1", 2),))
    with pytest.raises(InputError, match="S1/Eating_1; true are S9/Walking_1"):
        evaluate_multiview({"ours": other}, true)
    with pytest.raises(InputError, match="predicted twice"):
        evaluate_multiview({"ours": (*true, true[0])}, true)
    seen = [PointSequence(s.subject, s.trial, s.frames, s.names, s.values, "camera") for s in true]
    with pytest.raises(InputError, match="in the axes 'camera', true in 'z_up'"):
        evaluate_multiview({"ours": seen}, true)
    with pytest.raises(InputError, match="none of the predicted points Tail is one"):
        evaluate_multiview({"ours": [PointSequence("S9", "Walking_1", [0], ["Tail"], np.zeros((1, 1, 3)))]}, true)


def test_predictions_that_cannot_be_compared_are_refused_with_the_methods_name():
    true = truth()
    for factor, unit in ((1e3, "millimetres"), (1e2, "centimetres")):
        with pytest.raises(InputError, match=f"^ours: the points of S9/Walking_1 .* seem to be in {unit}"):
            evaluate_multiview({"good": true, "ours": moved(true, lambda s, f=factor: f * s.values)}, true)
    evaluate_multiview({"small and far": moved(true, lambda s: 0.1 * s.values + 50.0)}, true)
    named = [PointSequence(s.subject, s.trial, s.frames, [f"p{i}" for i in range(37)], s.values) for s in true]
    with pytest.raises(InputError, match=r"^ours: none of the predicted points p0, p1, p2 and 34 more is one of"):
        evaluate_multiview({"ours": named}, true)
    later = [PointSequence(s.subject, s.trial, s.frames + 1000, s.names, s.values) for s in true]
    with pytest.raises(InputError, match="S9/Walking_1 are predicted 4 frames from 1000 to 1150; true are 4 frames"):
        evaluate_multiview({"ours": later}, true)
    with pytest.raises(InputError, match="are predicted no frames, only NaN"):
        evaluate_multiview({"ours": moved(true, lambda s: np.nan * s.values)}, true)


def test_points_that_were_never_predicted_are_named():
    true = truth()
    world, _ = evaluate_multiview({"ours": [s.select(ALL[:-1]) for s in true]}, true)
    assert world.notes[-1].endswith(f"Not predicted at all: {ALL[-1]}; columns with these points are empty.")
