"""The benchmarks run and say what they must; how fast is not a test's business."""

import json

import numpy as np
import pytest
from command_line import call, succeeded
from tools.bench.engines import synthetic_views, triangulate_plainly, walking_markers, walking_motion
from tools.bench.figures import Metric, benchmark_json, metrics_table

from simspine.anatomy.recipes import build_body
from simspine.cli import research
from simspine.core.geometry import project_points
from simspine.core.types import Keypoints


@pytest.mark.parametrize(
    ("better", "value", "met"),
    [("higher", 2.0, True), ("higher", 0.5, False), ("lower", 0.5, True), ("lower", 2, False)],
)
def test_goals(better, value, met):
    metric = Metric("speed", value, "×", better, 1.0)
    assert metric.met is met
    assert ("not met" in metrics_table([metric])) is not met
    assert benchmark_json([metric], {})["metrics"]["speed"]["met"] is met


def test_no_goal_is_neither_met_nor_not():
    metric = Metric("speed", 1.0, "×", "higher")
    assert metric.met is None
    assert "met" not in metrics_table([metric])


@pytest.mark.parametrize("words", [["ik"], ["--help"]])
def test_measurements_need_the_source_code(words, monkeypatch):
    """As in an installed wheel; predictions can be evaluated there."""
    monkeypatch.setattr(research, "__file__", "/site-packages/simspine/cli/research.py")
    done = call("bench", *words)
    assert done.exit_code == 2
    assert done.stderr == "error: `simspine bench` needs the source code: `pip install -e .` in a clone.\n"
    assert call("benchmark", "--help").exit_code == 0


def test_a_walk_is_smooth_and_inside_the_limits():
    body = build_body("coupled", "simspine-release")
    motion = walking_motion(body, 200)
    c = body.coordinates
    held = c.clamped & ~c.dependent
    assert (motion.values[:, held] >= c.lower[held]).all()
    assert (motion.values[:, held] <= c.upper[held]).all()
    inside = motion.column("hip_flexion_r")
    assert 0.5 < np.ptp(inside) < 1.5
    assert np.abs(np.diff(motion.values[:, c.rotational & ~c.dependent], n=2, axis=0)).max() * 60**2 < 60  # rad/s²
    markers = walking_markers(body, ["LKnee", "Head"], motion)
    exact = walking_markers(body, ["LKnee", "Head"], motion, noise=0.0)
    assert np.std(markers.xyz - exact.xyz) == pytest.approx(0.005, rel=0.1)
    assert exact.xyz[:, 1, 1].min() > exact.xyz[:, 0, 1].max() + 0.5  # upright: the head above the knee


@pytest.mark.slow
@pytest.mark.long
def test_bench_ik(tmp_path):
    said = succeeded(call("bench", "ik", "--quick", "--json", tmp_path / "ik.json", catch_exceptions=False))
    written = json.loads((tmp_path / "ik.json").read_text())
    assert {"date", "machine", "settings", "metrics"} == set(written)
    goals = {key: m["goal"] for key, m in written["metrics"].items() if m["goal"] is not None}
    assert goals == {
        "frames_to_opensim": 400,
        "trajectory_to_opensim": 400,
        "trajectory_with_uncertainty_to_opensim": 350,
        "frames_cost_to_opensim_max": 1.001,
        "articulated_to_opensim_on_coupled": 100,
        "trajectory_memory_ratio": 1.2,
        "trajectory_with_uncertainty_memory_ratio": 1.2,
    }
    assert all(np.isfinite(m["value"]) and m["value"] > 0 for m in written["metrics"].values())
    assert "| frames_to_opensim" in said


def test_bench_triangulation(tmp_path):
    out = tmp_path / "triangulation.json"
    succeeded(call("bench", "triangulation", "--quick", "--json", out, catch_exceptions=False))
    metrics = json.loads(out.read_text())["metrics"]
    assert metrics["synthetic: 4 views: kept"]["value"] > 0.9
    assert metrics["synthetic: 4 views: error_mm_p50"]["value"] < 20


def test_exact_points_are_triangulated_exactly():
    cameras, keypoints, truth = synthetic_views(4, frames=5, points=3)
    exact = Keypoints(keypoints.names, 50, project_points(cameras, truth).transpose(1, 0, 2, 3), keypoints.confidence)
    found = triangulate_plainly(exact, cameras)
    assert found.frame == "z_up"
    np.testing.assert_allclose(found.xyz, truth, atol=1e-8)


def test_a_view_counts_by_its_confidence_and_one_view_is_none():
    cameras, keypoints, truth = synthetic_views(3, frames=1, points=2)
    xy = project_points(cameras, truth).transpose(1, 0, 2, 3)
    xy[0, 0] += 60.0  # the first view is wrong …
    confidence = np.ones(xy.shape[:3])
    confidence[0, 0] = 1e-6  # … and says so
    confidence[0, 1:, 1] = 0.0  # the second point is seen by the first view only
    found = triangulate_plainly(Keypoints(keypoints.names, 50, xy, confidence), cameras)
    np.testing.assert_allclose(found.xyz[0, 0], truth[0, 0], atol=1e-3)
    assert np.isnan(found.xyz[0, 1]).all()
