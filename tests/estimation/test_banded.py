import numpy as np
import pytest
from dense_band import dense

from simspine.estimation.banded import BandedSystem


def fill(system, blocks):
    for t, block in enumerate(blocks):
        system.add_same(block, frames=slice(t, t + 1))


def random_system(frames, n, rng):
    system = BandedSystem(frames, n)
    A = rng.normal(size=(frames, n, n))
    fill(system, A @ A.transpose(0, 2, 1) + 4 * n * np.eye(n))
    for lag in (1, 2):
        if frames > lag:
            system.add_diagonal(rng.normal(size=(frames - lag, n)), lag)
    return system


@pytest.mark.parametrize(("frames", "n"), [(1, 3), (2, 4), (3, 2), (9, 5), (3, 40)])  # above 31 by products of blocks
def test_solution_and_inverse_are_those_of_the_dense_system(frames, n):
    rng = np.random.default_rng(frames)
    system = random_system(frames, n, rng)
    H, b = dense(system), rng.normal(size=(frames, n))
    factor = system.factorise()
    np.testing.assert_allclose(factor.solve(b).ravel(), np.linalg.solve(H, b.ravel()), atol=1e-12)
    many = rng.normal(size=(frames, n, 3))
    expected = np.linalg.solve(H, many.reshape(frames * n, 3)).reshape(many.shape)
    np.testing.assert_allclose(factor.solve(many), expected, atol=1e-12)
    inverse = np.linalg.inv(H)
    blocks = [inverse[t * n : (t + 1) * n, t * n : (t + 1) * n] for t in range(frames)]
    np.testing.assert_allclose(factor.inverse_blocks(), blocks, atol=1e-6 * np.abs(inverse).max())
    np.testing.assert_array_equal(factor.inverse_blocks(1), factor.inverse_blocks()[1:])


@pytest.mark.parametrize(("frames", "n"), [(1, 3), (2, 4), (3, 2), (9, 5)])
def test_mean_diagonal_is_that_of_solutions_of_the_dense_system(frames, n):
    rng = np.random.default_rng(frames)
    system = random_system(frames, n, rng)
    blocks = rng.normal(size=(frames, n, n))
    blocks += blocks.transpose(0, 2, 1)
    solved = np.linalg.solve(dense(system), blocks.reshape(frames * n, n)).reshape(frames, n, n)
    expected = solved.diagonal(axis1=1, axis2=2).mean(0)
    np.testing.assert_allclose(system.factorise().mean_diagonal(blocks), expected, atol=1e-6)


def test_only_lower_triangles_of_blocks_count():
    system, other = BandedSystem(2, 3), BandedSystem(2, 3)
    blocks = np.random.default_rng(0).normal(size=(2, 3, 3))
    fill(system, blocks)
    fill(other, np.tril(blocks))
    np.testing.assert_array_equal(system.band, other.band)


def test_blocks_are_added_from_a_frame_on():
    system, blocks = BandedSystem(3, 4), np.random.default_rng(0).normal(size=(2, 5, 4))
    system.add_blocks(blocks, 1)
    whole = dense(system).reshape(3, 4, 3, 4)
    for t, block in enumerate(blocks[:, :4], 1):
        np.testing.assert_array_equal(np.triu(whole[t, :, t]), np.triu(block))
    np.testing.assert_array_equal(whole[0], 0.0)


@pytest.mark.parametrize(("lag", "chosen"), [(0, slice(None)), (0, slice(1, 3)), (0, slice(1)), (1, slice(None))])
def test_the_same_block_for_many_frames(lag, chosen):
    frames, n = 4, 3
    block = np.random.default_rng(lag).normal(size=(n, n))
    block[0, 1] = 0.0
    block = block if lag else block + block.T
    system = BandedSystem(frames, n)
    system.add_same(block, lag, chosen)
    expected = np.zeros((frames, n, frames, n))
    for t in range(frames - lag)[chosen]:
        expected[t + lag, :, t] = block
        expected[t, :, t + lag] = block.T
    np.testing.assert_array_equal(dense(system), expected.reshape(frames * n, frames * n))


def test_a_system_that_is_not_positive_has_no_factor():
    system, blocks = BandedSystem(3, 2), np.tile(np.diag([1.0, -1.0]), (3, 1, 1))
    fill(system, blocks)
    assert system.factorise() is None
    system.clear()
    fill(system, blocks)
    assert system.factorise(np.full((3, 2), 2.0)) is not None
