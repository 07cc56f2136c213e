"""The solver of `tools.bench.opensim_engine` against OpenSim's own tool, and on hard input."""

import numpy as np
import pytest
from benchmarks.agreement.opensim_tool import run_tool
from tools.bench.opensim_engine import solve_with_opensim

from simspine.anatomy.body import forward_kinematics
from simspine.estimation.result import rigid_start

TASKS = {"L5_S1_Flex_Ext": (0.0, 0.1)}


@pytest.mark.slow
def test_equals_opensims_tool(release, walk, seen, tmp_path):
    """Rounded markers, so that the tool reads the very same numbers: at this accuracy a difference of 1e-13 m in them
    changes the coordinates that no marker sees well by tenths of a radian."""
    markers = seen(walk(frames=10), noise=0.01)
    markers = markers.with_(xyz=np.round(markers.xyz, 6))
    weights = np.random.default_rng(1).choice([0.5, 1.0, 2.0], len(markers.names))
    default = release.coordinates.default.copy()
    ours = solve_with_opensim(release, markers, np.tile(weights, (10, 1)), TASKS, accuracy=1e-5, start=default)
    assert ours.converged.all()
    tool = run_tool(release, markers, weights, tmp_path, TASKS, accuracy=1e-5)
    np.testing.assert_allclose(ours.motion.values, tool.values, atol=1e-4)


@pytest.mark.parametrize("heading", [0.0, 1.6, 3.1, -2.3])
def test_start_finds_person_and_heading(release, walk, seen, fit_names, heading):
    markers = seen(walk(frames=1, heading=heading, at=(2.0, 1.1, -1.0)))
    values = rigid_start(release, fit_names, markers.xyz[0], np.ones(len(fit_names)))
    c = release.coordinates
    turned = values[c.index("pelvis_rotation")] - heading
    assert abs((turned + np.pi) % (2 * np.pi) - np.pi) < 0.25
    place = [values[c.index(f"pelvis_t{axis}")] for axis in "xyz"]
    np.testing.assert_allclose(place, [2.0, 1.1, -1.0], atol=0.1)


def test_start_is_exact_for_a_rigid_pose(release, fit_names):
    from simspine.anatomy.body import neutral_motion

    pose = {"pelvis_tilt": 0.4, "pelvis_list": -0.3, "pelvis_rotation": 2.0, "pelvis_tx": 1.0, "pelvis_tz": -2.0}
    motion = neutral_motion(release, pose)
    markers = forward_kinematics(release, motion).select(fit_names)
    found = rigid_start(release, fit_names, markers.xyz[0], np.ones(len(fit_names)))
    np.testing.assert_allclose(found, motion.values[0], atol=1e-6)
    missing = np.full_like(markers.xyz[0], np.nan)
    np.testing.assert_array_equal(
        rigid_start(release, fit_names, missing, np.ones(len(fit_names))), release.coordinates.default
    )


def test_errors_and_cost_are_those_of_the_given_markers(release, walk, seen):
    markers = seen(walk(frames=2), noise=0.02)
    weights = np.random.default_rng(0).uniform(0.5, 2, markers.xyz.shape[:2])
    weights[:, 3] = 0
    result = solve_with_opensim(release, markers, weights, TASKS)
    fitted = forward_kinematics(release, result.motion).select(markers.names).xyz
    np.testing.assert_allclose(result.marker_error, np.linalg.norm(fitted - markers.xyz, axis=-1), atol=1e-12)
    flexion = result.motion.column("L5_S1_Flex_Ext")
    cost = (weights * result.marker_error**2).sum(1) + 0.1 * weights.sum(1) * flexion**2
    np.testing.assert_allclose(result.cost, cost, rtol=1e-9)
