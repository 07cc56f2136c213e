import numpy as np

from simspine.body.kernels import all_poses, expand
from simspine.ik.branches import readable


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
    poses = [all_poses(release.tree, expand(release.tree, q)[0])[2] for q in (z, turned)]
    np.testing.assert_allclose(*poses, atol=1e-12)
    back, _ = readable(release, turned)
    np.testing.assert_allclose(back, z, atol=1e-12)


def test_the_covariance_goes_along(release):
    rng = np.random.default_rng(1)
    n = release.tree.free.size
    arm = columns(release, ARM)
    z = np.tile(release.tree.rest[release.tree.free], (2, 1))
    z[:, arm] = [np.pi, np.pi + 0.3, np.pi]
    A = rng.normal(size=(2, n, n))
    blocks = A @ A.transpose(0, 2, 1)
    _, turned = readable(release, z, blocks)
    np.testing.assert_allclose(np.einsum("tii->ti", turned), np.einsum("tii->ti", blocks))
    np.testing.assert_allclose(turned[:, arm[1], arm[0]], -blocks[:, arm[1], arm[0]])
    np.testing.assert_allclose(turned[:, arm[1], arm[1]], blocks[:, arm[1], arm[1]])


def test_what_lies_in_range_and_missing_frames_stay(release):
    z = np.tile(release.tree.rest[release.tree.free], (3, 1))
    z[1] = np.nan
    same, _ = readable(release, z)
    np.testing.assert_array_equal(same, z)
