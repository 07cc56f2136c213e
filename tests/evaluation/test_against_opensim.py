"""The frame engine beside OpenSim's own tool at accuracy 1e-6, on twelve frames of a walk with 5 mm noise."""

from types import SimpleNamespace

import numpy as np
import pytest
from benchmarks.agreement import opensim_tool
from benchmarks.agreement.cases import walking_case
from benchmarks.agreement.comparison import (
    Comparison,
    by_coordinate,
    compare,
    coordinates_table,
    joined,
    metrics,
    other_minima,
    restarted,
    shorter,
    side_by_side,
)
from benchmarks.agreement.observability import ObservedCoordinates

from simspine.core.types import Markers

FRAMES = 12


@pytest.fixture(scope="module")
def case():
    return walking_case(FRAMES, seed=2)


@pytest.fixture(scope="module")
def compared(case, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tool")
    return compare(case, opensim_tool.run_tool(case.body, case.markers, case.weights, folder))


@pytest.mark.slow
@pytest.mark.long
def test_cost_is_never_higher(compared):
    assert (compared.ratio <= 1.001).all(), compared.ratio


@pytest.mark.slow
@pytest.mark.long
def test_ours_is_a_minimum_by_anothers_steps(compared):
    assert compared.same.sum() >= FRAMES // 2
    assert (compared.our_minimum >= compared.ours * (1 - 1e-3)).all()


@pytest.mark.slow
@pytest.mark.long
def test_both_count_alike(compared):
    np.testing.assert_allclose(compared.tool_account, 1.0, atol=2e-5)  # the tool writes six digits


@pytest.mark.slow
@pytest.mark.long
def test_what_the_markers_show_is_the_same(compared):
    """Where both are beside one minimum and the tool has reached it: 0.5°, 1 mm."""
    apart = np.abs(compared.difference) / compared.limit
    arrived = (
        np.abs(compared.minima_difference) / compared.limit > 1
    )  # not explained by the tool's having stopped short
    wrong = compared.observable & compared.same[:, None] & (apart > 1) & arrived
    assert not wrong.any(), [(int(t), compared.names[i]) for t, i in np.argwhere(wrong)]
    assert np.quantile(apart[compared.observable & compared.same[:, None]], 0.9) < 1
    always = {name for name, row in by_coordinate(compared).items() if row["observable"] == 1}
    assert {"pelvis_tilt", "hip_adduction_r", "hip_adduction_l", "L5_S1_Flex_Ext", "L5_S1_axial_rotation"} <= always
    never = {name for name, row in by_coordinate(compared).items() if row["observable"] == 0}
    assert {"pro_sup_r", "pro_sup_l", "wrist_flex_r", "wrist_dev_l", "mtp_angle_r", "arm_rot_l"} <= never


@pytest.mark.slow
@pytest.mark.long
def test_opensim_finds_nothing_lower_from_our_solution(case, compared):
    frame = np.flatnonzero(compared.same)[0]
    assert restarted(case, [frame])[0] > 1 - 1e-6


@pytest.mark.slow
@pytest.mark.long
def test_figures_say_whether_goals_are_met(compared):
    rows = {m.key: m for m in metrics(compared)}
    assert rows["cost_ratio_max"].value == pytest.approx(compared.ratio.max())
    assert rows["frames"].value == FRAMES
    parts = ("beyond_where_minima_differ", "beyond_where_tool_stopped_short", "beyond_for_another_reason")
    assert sum(rows[part].value for part in parts) == rows["observable_beyond"].value
    twice = {m.key: m.value for m in metrics(joined([compared, compared]))}
    assert twice["frames"] == 2 * FRAMES
    assert twice["observable_values"] == 2 * rows["observable_values"].value
    assert "| cost_ratio_max | " in side_by_side({"walk": list(rows.values())})
    assert "wrist_flex_r (" in coordinates_table(by_coordinate(compared)).splitlines()[-1]


def test_a_difference_is_put_down_to_what_explains_it():
    """Four frames, one angle (limit 0.5°): agreed; another minimum; tool short of the same minimum; neither."""
    wide, tiny = np.radians([0.1, 2.0, 2.0, 2.0])[:, None], np.radians([0.1, 2.0, 0.1, 2.0])[:, None]
    cost = np.ones(4)
    known = ObservedCoordinates(*np.full((3, 4, 1), 1e-3))
    found = Comparison(
        ("knee",), np.array([True]), cost, cost, cost, np.array([1.0, 0.9, 1.0, 1.0]), wide, tiny, known, cost, cost
    )
    rows = {m.key: m.value for m in metrics(found)}
    assert rows["observable_max"] == pytest.approx(4.0)
    assert rows["observable_beyond"] == 3
    assert rows["beyond_where_minima_differ"] == 1
    assert rows["beyond_where_tool_stopped_short"] == 1
    assert rows["beyond_for_another_reason"] == 1
    assert rows["tool_minimum_lower"] == 1
    assert other_minima(found) == [{"frame": 1, "minima_ratio": 1.11111, "cost_ratio": 1.0, "apart": {"knee": 0.03}}]


@pytest.mark.parametrize(("name", "value"), [("noise", 0.04), ("shown", 0.01), ("stop", 0.01)])
def test_each_limit_takes_a_coordinate_out(name, value):
    sizes = {"noise": 1e-3, "shown": 1e-3, "stop": 1e-3} | {name: value}
    known = ObservedCoordinates(**{key: np.full((1, 1), size) for key, size in sizes.items()})
    one, nothing = np.ones(1), np.zeros((1, 1))
    found = Comparison(("knee",), np.array([True]), one, one, one, one, nothing, nothing, known, one, one)
    assert not found.pinned.any()
    assert found.observable.all() == (name == "stop")
    assert found.certain.all() == (name != "noise")


def test_the_tools_result_is_kept_for_the_very_same_problem(tmp_path, monkeypatch):
    runs = []

    def run(body, markers, weights, folder, tasks, accuracy):
        runs.append(accuracy)
        return opensim_tool.ToolResult(markers.xyz[:, 0], np.zeros(markers.frames), 1.5)

    monkeypatch.setattr(opensim_tool, "run_tool", run)
    body, ones = SimpleNamespace(osim="<Model/>"), np.ones(4)
    markers = Markers(tuple("abcd"), 60.0, np.arange(24.0).reshape(2, 4, 3), frame="y_up")
    first = opensim_tool.tool_result(body, markers, ones, tmp_path)
    again = opensim_tool.tool_result(body, markers, ones, tmp_path)
    np.testing.assert_array_equal(first.values, again.values)
    assert again.seconds == 1.5
    assert len(runs) == 1
    opensim_tool.tool_result(body, markers.with_(xyz=markers.xyz + 1e-9), ones, tmp_path)
    opensim_tool.tool_result(body, markers, 2 * ones, tmp_path)
    opensim_tool.tool_result(body, markers, ones, tmp_path, {"knee_angle_r": (0.0, 1.0)})
    opensim_tool.tool_result(body, markers, ones, tmp_path, accuracy=1e-5)
    opensim_tool.tool_result(SimpleNamespace(osim="<Model></Model>"), markers, ones, tmp_path)
    assert len(runs) == 6


def test_angles_differ_by_the_shorter_way():
    found = shorter(np.array([[3.5, 3.5, -6.2]]), np.array([True, False, True]))
    np.testing.assert_allclose(found, [[3.5 - 2 * np.pi, 3.5, 2 * np.pi - 6.2]])
