"""The differentiable layer against the compiled kernels and finite differences."""

import numpy as np
import pytest
import torch

from simspine.body.kernels import all_poses, expand, markers_and_jacobian
from simspine.body.recipes import build, read_recipe
from simspine.body.tree import scaled_tree
from simspine.learning.kinematics import TreeKinematics, orthonormal, rotations

pytestmark = pytest.mark.learn
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module", params=["articulated", "coupled"])
def tree(request):
    recipe = read_recipe(request.param)
    return build(recipe, "vertebral").tree if request.param == "articulated" else build(recipe).tree


@pytest.fixture(scope="module")
def poses(tree):
    return tree.rest[tree.free] + RNG.normal(0, 0.4, (12, len(tree.free)))


def test_places_are_those_of_the_kernels(tree, poses):
    expected = all_poses(tree, expand(tree, poses)[0])[2]
    found = TreeKinematics(tree)(torch.tensor(poses)).numpy()
    assert np.abs(found - expected).max() < 1e-9


def test_sizes_are_those_of_a_scaled_tree(tree, poses):
    factors = np.exp(RNG.normal(0, 0.2, tree.bodies))
    expected = all_poses(scaled_tree(tree, factors), expand(tree, poses)[0])[2]
    found = TreeKinematics(tree)(torch.tensor(poses), torch.tensor(factors).expand(12, -1)).numpy()
    assert np.abs(found - expected).max() < 1e-9


def test_gradients_by_coordinates_are_the_kernels_jacobian(tree, poses):
    layer = TreeKinematics(tree)
    _, expected = markers_and_jacobian(tree, poses[0])
    found = torch.autograd.functional.jacobian(lambda free: layer(free[None])[0], torch.tensor(poses[0]))
    np.testing.assert_allclose(found.numpy().transpose(0, 2, 1), expected, atol=1e-9)


def test_gradients_are_finite_differences(tree, poses):
    """By coordinates and by sizes, along random directions; central differences of 1e-5 err by about 1e-9."""
    layer = TreeKinematics(tree)
    weights = torch.tensor(RNG.normal(size=(1, len(tree.marker_body), 3)))
    free = torch.tensor(poses[:1], requires_grad=True)
    factors = torch.tensor(np.exp(RNG.normal(0, 0.1, (1, tree.bodies))), requires_grad=True)

    def value(a, b):
        return (weights * layer(a, b)).sum()

    value(free, factors).backward()
    for which, gradient in ((0, free.grad), (1, factors.grad)):
        for _ in range(5):
            at = [free.detach(), factors.detach()]
            way = torch.tensor(RNG.normal(size=at[which].shape))
            ahead, behind = list(at), list(at)
            ahead[which], behind[which] = at[which] + 1e-5 * way, at[which] - 1e-5 * way
            difference = float(value(*ahead) - value(*behind)) / 2e-5
            assert float((gradient * way).sum()) == pytest.approx(difference, rel=1e-6, abs=1e-7)


def test_six_numbers_are_a_rotation():
    found = orthonormal(torch.tensor(RNG.normal(size=(50, 6))))
    np.testing.assert_allclose((found @ found.transpose(1, 2)).numpy(), np.tile(np.eye(3), (50, 1, 1)), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(found).numpy(), 1, atol=1e-12)


def test_rotations_are_scipys():
    from scipy.spatial.transform import Rotation

    axis = np.array([0.6, 0.0, 0.8])
    angles = RNG.normal(size=7)
    found = rotations(torch.tensor(axis[None]), torch.tensor(angles[:, None]))[:, 0]
    np.testing.assert_allclose(found.numpy(), Rotation.from_rotvec(angles[:, None] * axis).as_matrix(), atol=1e-12)
