import numpy as np

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


def test_an_arm_wound_up_in_part_of_a_trial_is_unwound_frame_by_frame(release):
    """On the other branch, and a third of the frames a whole turn further: the branch is still told by the ranges."""
    z = np.repeat(release.tree.rest[release.tree.free][None], 9, 0)
    arm = columns(release, ARM)
    z[:, arm] = [0.3, -0.2, 0.1]
    turned = z.copy()
    turned[:, arm] = [0.3 - np.pi, np.pi + 0.2, 0.1 + np.pi]
    turned[6:, arm[2]] -= 2 * np.pi
    np.testing.assert_allclose(canonical_branch(release, turned, continuous=False), z, atol=1e-12)
    together = canonical_branch(release, turned)[:, arm]
    np.testing.assert_allclose(together[:6], z[:6, arm], atol=1e-12)
    np.testing.assert_allclose(together[6:, 2], 0.1 - 2 * np.pi, atol=1e-12)


def test_the_branch_of_frames_solved_singly_is_told_in_each(release):
    z = np.repeat(release.tree.rest[release.tree.free][None], 9, 0)
    arm = columns(release, ARM)
    z[:, arm] = [0.3, -0.2, 0.1]
    turned = z.copy()
    turned[::2, arm] = [0.3 - np.pi, np.pi + 0.2, 0.1 + np.pi]
    np.testing.assert_allclose(canonical_branch(release, turned, continuous=False), z, atol=1e-12)
