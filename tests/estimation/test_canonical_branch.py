import numpy as np
import pytest

from simspine.anatomy.tree import all_coordinates, all_poses
from simspine.estimation.result import canonical_branch


def columns(body, names):
    free = [body.coordinates.names[c] for c in body.tree.free]
    return [free.index(name) for name in names]


ARM = ("arm_flex_r", "arm_add_r", "arm_rot_r")


def test_the_other_branch_is_the_same_pose_and_comes_back(release):
    rng = np.random.default_rng(0)
    z = np.repeat(release.tree.rest[release.tree.free][None], 20, 0)
    arm = columns(release, ARM)
    z[:, arm] = np.array([0.3, -0.4, 0.2]) + rng.normal(0, 0.05, (20, 3))
    turned = z.copy()
    turned[:, arm] = np.column_stack([z[:, arm[0]] - np.pi, np.pi - z[:, arm[1]], z[:, arm[2]] + 3 * np.pi])
    poses = [all_poses(release.tree, all_coordinates(release.tree, q)[0])[2] for q in (z, turned)]
    np.testing.assert_allclose(*poses, atol=1e-12)
    back = canonical_branch(release, turned)
    np.testing.assert_allclose(back, z, atol=1e-12)


def test_what_lies_in_range_and_missing_frames_stay(release):
    z = np.tile(release.tree.rest[release.tree.free], (3, 1))
    z[1] = np.nan
    same = canonical_branch(release, z)
    np.testing.assert_array_equal(same, z)


def test_a_pelvis_on_the_other_branch_comes_back_whatever_the_heading(release):
    z = np.tile(release.tree.rest[release.tree.free], (4, 1))
    pelvis = columns(release, ("pelvis_tilt", "pelvis_list", "pelvis_rotation"))
    z[:, pelvis] = [0.2, -0.1, 2.9]
    turned = z.copy()
    turned[:, pelvis] = [0.2 + np.pi, np.pi + 0.1, 2.9 - np.pi]
    poses = [
        all_poses(release.tree, all_coordinates(release.tree, q)[0])[2]
        for q in (z, turned, canonical_branch(release, turned))
    ]
    np.testing.assert_allclose(poses[1], poses[0], atol=1e-12)
    np.testing.assert_allclose(poses[2], poses[0], atol=1e-12)
    assert np.abs(canonical_branch(release, turned)[:, pelvis[1]]).max() < np.pi / 2
    np.testing.assert_allclose(np.sin(canonical_branch(release, turned)[:, pelvis]), np.sin(z[:, pelvis]), atol=1e-12)


def arm_overhead(body):
    """(frames, free): the arm is raised from the side to 145 degrees, beyond its range of 90; and the arm's columns."""
    z = np.repeat(body.tree.rest[body.tree.free][None], 30, 0)
    arm = columns(body, ARM)
    z[:, arm] = [0.0, -0.2, 0.1]
    z[:, arm[0]] = np.radians(np.linspace(0, 145, 30))
    return z, arm


@pytest.mark.parametrize(
    ("frames", "missing"),
    [(slice(None, None, 2), ()), (slice(14, None), ()), (slice(20, 25), ()), (slice(20, None), (17, 18, 19, 20))],
)
def test_frames_solved_singly_end_on_one_branch(release, frames, missing):
    """Some frames are on the other branch, and some whole turns further; missing ones do not interrupt it."""
    z, arm = arm_overhead(release)
    z[list(missing)] = np.nan
    turned = z.copy()
    turned[frames, arm[0]] -= np.pi
    turned[frames, arm[1]] = np.pi - z[frames, arm[1]]
    turned[frames, arm[2]] += np.pi
    turned[6:9, arm[2]] -= 2 * np.pi
    np.testing.assert_allclose(canonical_branch(release, turned), z, atol=1e-12)
