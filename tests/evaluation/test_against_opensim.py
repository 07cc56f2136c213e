"""The frame engine beside OpenSim's own tool at accuracy 1e-6, on twelve frames of a walk with 5 mm noise."""

from types import SimpleNamespace

import numpy as np
import pytest
from benchmarks.agreement import comparison, opensim_tool
from benchmarks.agreement.cases import NOISE, walking_case
from benchmarks.agreement.comparison import compare, distance, metrics, noise_deviation, side_by_side

from simspine.core.types import Markers
from simspine.estimation.frame_engine import Frames

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
def test_cost_is_never_higher_and_both_count_alike(compared):
    assert (compared.ratio <= 1.001).all(), compared.ratio
    np.testing.assert_allclose(compared.tool_account, 1.0, atol=2e-5)  # the tool writes six digits
    rows = {m.key: m for m in metrics(compared)}
    assert rows["cost_ratio_max"].value == pytest.approx(compared.ratio.max())
    assert rows["cost_ratio_max"].met
    assert rows["frames"].value == FRAMES
    assert "| cost_ratio_max | " in side_by_side({"walk": list(rows.values())})


@pytest.mark.slow
@pytest.mark.long
def test_ours_is_a_minimum_by_anothers_steps_and_has_the_same_coordinates(compared):
    """0.5°, 1 mm, where noise leaves them certain."""
    assert compared.same.sum() >= FRAMES // 2
    assert (compared.our_minimum >= compared.ours * (1 - 1e-3)).all()
    certain = compared.certain & compared.same[:, None]
    assert certain.sum() > 10 * compared.same.sum()
    assert compared.minima_apart[certain].max() < 1
    assert np.quantile(compared.apart[certain], 0.9) < 1


@pytest.mark.parametrize("width", [np.inf, 2.0])
def test_noise_is_what_estimates_scatter_by(monkeypatch, width):
    """A linear problem: markers that move by J z. What nothing shows is as uncertain as its range is wide."""
    rng = np.random.default_rng(3)
    J = rng.normal(size=(10, 5, 3)) * np.array([1.0, 0.5, 0.2, 1.0, 0.05])[:, None]
    J[:, 3] = 0.98 * J[:, 0] + 0.02 * J[:, 3]  # two that nearly say the same
    J = np.concatenate([J, np.zeros((10, 1, 3))], axis=1)
    monkeypatch.setattr(comparison, "markers_and_jacobian", lambda tree, z: (None, J))
    ranges = SimpleNamespace(lower=np.full(6, -np.inf), upper=np.r_[np.full(5, np.inf), -np.inf])
    ranges.lower[5], ranges.upper[5] = 0.0, width
    found = noise_deviation(ranges, np.zeros(6), Frames(None, np.ones(10), np.zeros(6), np.zeros(6)))
    scatter = np.linalg.pinv(J[:, :5].transpose(0, 2, 1).reshape(30, 5)) @ rng.normal(0, NOISE, (30, 40_000))
    np.testing.assert_allclose(found[:5], scatter.std(1), rtol=0.02)
    assert found[5] == pytest.approx(width / np.sqrt(12), rel=1e-3) if np.isfinite(width) else found[5] > 100


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


def test_distances_count_angles_by_the_shorter_way():
    found = distance(np.array([[2 * np.pi - np.radians(1), 0.002]]), np.array([True, False]))
    np.testing.assert_allclose(found, [[2.0, 2.0]])
