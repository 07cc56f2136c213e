import pytest

from simspine.benchmark.walking import walk, walking_markers
from simspine.ik.solve import inverse_kinematics

NOISE = 0.005  # m


@pytest.mark.slow
def test_any_single_frame_is_found_from_the_neutral_pose(release, fit_names):
    """No frame before it to start from: none may end beside the minimum, with an arm wound up."""
    motion = walk(release, 1200)
    markers = walking_markers(release, fit_names, motion, NOISE)
    for t in range(0, 1200, 60):
        one = markers.with_(xyz=markers.xyz[t : t + 1])
        found = inverse_kinematics(release, one)
        assert found.cost[0] < 2.0 * len(fit_names) * 3 * NOISE**2, t
