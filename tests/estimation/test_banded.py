import numpy as np
import pytest
from dense_band import dense

from simspine.estimation.banded import BandedSystem
from simspine.estimation.path_basis import path_basis
from simspine.estimation.trajectory import BIAS_TERMS, WindowPosterior

BASES = [(1, 1), (2, 1), (3, 1), (9, 1), (2, 3), (10, 3), (13, 4), (15, 4)]  # frames, spacing of knots


def random_system(frames, spacing, n, rng):
    """All that a band can hold, positive definite."""
    basis = path_basis(frames, spacing)
    system = BandedSystem(basis, n)
    A = rng.normal(size=(3, n, n))
    blocks = rng.normal(size=(len(basis.interval_starts), n, n))
    system.add_blocks(blocks @ blocks.transpose(0, 2, 1))
    system.add_forms([basis.value_form], [A[0] @ A[0].T + np.eye(n)])
    system.add_forms([basis.change_form], [A[1] @ A[1].T])
    system.add_forms([basis.acceleration_form], [np.diag(rng.uniform(1, 2, n))])
    system.add_diagonal(rng.uniform(1, 2, (frames, n)))
    system.band[0] += 0.1
    return system


def random_symmetric_blocks(basis, n, rng):
    blocks = rng.normal(size=(len(basis.interval_starts), n, n))
    return blocks + blocks.transpose(0, 2, 1)


def of_frames(blocks, basis):
    """(frames, n, n): equal shares of the intervals' blocks."""
    counts = basis.frames_of_intervals
    return np.repeat(blocks / counts[:, None, None], counts, axis=0)


@pytest.mark.parametrize(("frames", "spacing"), BASES)
def test_what_is_added_is_the_form_of_all_frames(frames, spacing):
    """Oracle: dense matrices. Every frame of a path is a combination of control points. The frames of an interval share
    its block equally."""
    rng, n = np.random.default_rng(frames), 3
    basis = path_basis(frames, spacing)
    B, A = np.kron(basis.values.toarray(), np.eye(n)), basis.accelerations.toarray()
    blocks = random_symmetric_blocks(basis, n, rng)
    system = BandedSystem(basis, n)
    for first in range(0, len(blocks), 2):
        system.add_blocks(blocks[first : first + 2], first)
    np.testing.assert_allclose(dense(system), B.T @ _block_diagonal(of_frames(blocks, basis)) @ B, atol=1e-12)
    system.clear()
    values = rng.normal(size=(frames, n))
    system.add_diagonal(values)
    np.testing.assert_allclose(dense(system), B.T @ np.diag(values.ravel()) @ B, atol=1e-12)
    system.clear()
    weight = np.diag(rng.uniform(1, 2, n))
    system.add_forms([basis.acceleration_form], [weight])
    np.testing.assert_allclose(dense(system), np.kron(A.T @ A, weight), atol=1e-12)


def _block_diagonal(blocks):
    frames, n = blocks.shape[:2]
    whole = np.zeros((frames, n, frames, n))
    for t, block in enumerate(blocks):
        whole[t, :, t] = block
    return whole.reshape(frames * n, frames * n)


@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize(("frames", "spacing"), BASES)
def test_solution_and_covariances_are_those_of_the_dense_system(frames, spacing, n):
    rng = np.random.default_rng(frames)
    system = random_system(frames, spacing, n, rng)
    basis = system.basis
    H, many = dense(system), rng.normal(size=(basis.points, n, 3))
    factor = system.factorise()
    expected = np.linalg.solve(H, many.reshape(-1, 3)).reshape(many.shape)
    np.testing.assert_allclose(factor.solve(many), expected, atol=1e-10)
    np.testing.assert_allclose(factor.solve(many[..., 0]), expected[..., 0], atol=1e-10)
    B = np.kron(basis.values.toarray(), np.eye(n))
    whole = (B @ np.linalg.inv(H) @ B.T).reshape(frames, n, frames, n)
    wanted = np.array([whole[t, :, t] for t in range(frames)])
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(factor.covariances(np.arange(frames)), wanted, atol=1e-8 * scale)
    some = np.unique([frames // 2, frames - 1])
    np.testing.assert_allclose(factor.covariances(some), wanted[some], atol=1e-8 * scale)
    A = np.kron(basis.accelerations.toarray(), np.eye(n))
    accelerations = (A @ np.linalg.inv(H) @ A.T).diagonal().reshape(-1, n)
    if len(accelerations):
        np.testing.assert_allclose(factor.acceleration_variances(), accelerations, atol=1e-8 * scale)
    blocks = random_symmetric_blocks(basis, n, rng)
    moved = B @ np.linalg.solve(H, B.T @ of_frames(blocks, basis).reshape(frames * n, n))
    response = moved.reshape(frames, n, n).diagonal(axis1=1, axis2=2).mean(0)
    np.testing.assert_allclose(factor.mean_response(blocks), response, atol=1e-6)


@pytest.mark.parametrize("spacing", [1, 3])
def test_lost_motion_is_the_bias_of_the_estimate(spacing):
    """Oracle: dense matrices. A true motion d appears as R d; what is lost of it follows from R d alone."""
    rng, frames, n = np.random.default_rng(4), 12 * spacing, 3
    basis = path_basis(frames, spacing)
    blocks = random_symmetric_blocks(basis, n, rng)
    information = blocks @ blocks + 4 * np.eye(n)
    of_markers, system = BandedSystem(basis, n), BandedSystem(basis, n)
    for each in (of_markers, system):
        each.add_blocks(information)
    system.add_forms([basis.value_form], [2 / spacing * np.eye(n)])
    response = np.linalg.solve(dense(system), dense(of_markers))
    true = basis.values @ (rng.normal(size=(basis.points, n)) * np.array([1.0, 1.0, 0.0]))
    true -= true.mean(0)
    estimate = basis.values @ (response @ basis.fit(true).ravel()).reshape(-1, n)
    window = 0.3 + np.where([True, True, False], estimate - estimate.mean(0), 5.0)
    found = WindowPosterior(window, information, system.factorise(), slice(0, frames)).lost_motion(np.array([0, 1]))
    lost, moved = np.eye(basis.points * n) - response, basis.fit(window - window.mean(0)).ravel()
    wanted = sum(np.linalg.matrix_power(lost, k + 1) for k in range(BIAS_TERMS)) @ moved
    np.testing.assert_allclose(found, basis.values @ wanted.reshape(-1, n), atol=1e-10)
    bias = np.abs(true - estimate)[:, :2]
    assert np.abs(found[:, :2] - (true - estimate)[:, :2]).mean() < 0.2 * bias.mean()


def test_a_system_that_is_not_positive_has_no_factor():
    for spacing in (1, 3):
        basis = path_basis(7, spacing)
        system, blocks = BandedSystem(basis, 2), np.tile(np.diag([1.0, -1.0]), (len(basis.interval_starts), 1, 1))
        system.add_blocks(blocks)
        assert system.factorise() is None
        system.clear()
        system.add_blocks(blocks)
        assert system.factorise(np.full((basis.points, 2), 4.0)) is not None
