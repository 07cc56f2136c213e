import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

import simspine as ss
from simspine.anatomy.shape_model import (
    CHAIN_LEVELS,
    OrientationPrior,
    ShapeModel,
    chain_positions,
    packaged_shape_model,
)
from simspine.core.errors import InputError

FIVE = ("T3", "T8", "L1", "L3", "L5")
GIVEN = [CHAIN_LEVELS.index(level) for level in FIVE]
TYPICAL = chain_positions(packaged_shape_model().mean)
KNOWN = ShapeModel(packaged_shape_model().mean, 1e-12 * np.eye(len(packaged_shape_model().mean)), {}, {})


def samples(count, seed, posture="supine"):
    return chain_positions(
        np.random.default_rng(seed).multivariate_normal(*packaged_shape_model().prior(posture), count)
    )


def points_of(x, levels=FIVE):
    return {level: x[..., CHAIN_LEVELS.index(level), :] for level in levels}


def stacked(values):
    return np.stack([values[level] for level in CHAIN_LEVELS])


SPINE = samples(1, 5)[0]


def turned(*degrees):
    return Rotation.from_rotvec(degrees, degrees=True).as_matrix()


# --- the prior


def test_term_of_a_prior_equals_differences_of_its_cost():
    rng = np.random.default_rng(1)
    R0, R = Rotation.random(5, rng=rng).as_matrix(), Rotation.random(5, rng=rng).as_matrix()
    root = rng.normal(size=(5, 3, 3))
    prior = OrientationPrior(R0, root @ root.swapaxes(1, 2))
    term = prior.term(R)

    def half_cost(beta):
        w = Rotation.from_matrix(R0.swapaxes(1, 2) @ R @ Rotation.from_rotvec(beta).as_matrix()).as_rotvec()
        return np.einsum("bi,bij,bj->b", w, prior.precision, w) / 2

    np.testing.assert_allclose(half_cost(np.zeros(3)), term.cost / 2, rtol=1e-9)
    for i, step in enumerate(1e-5 * np.eye(3)):
        np.testing.assert_allclose((half_cost(step) - half_cost(-step)) / 2e-5, term.gradient[:, i], atol=1e-6)
    # where the prior is met, its precision is the curvature
    np.testing.assert_allclose(prior.term(R0).precision, prior.precision, atol=1e-12)


# --- completion


@settings(max_examples=20, deadline=None)
@given(
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(-100, 100)] * 3),
    st.sampled_from([FIVE, ("T1", "L5"), ("C2", "C7", "T4", "T12"), ("L1", "L2", "L3")]),
    st.sampled_from([0.0, 0.1, np.inf, (np.inf, 0.15, np.inf), (0.05, 1.0, 0.3)]),
)
def test_result_moves_with_points_and_orientation(turn, shift, levels, sd):
    R = Rotation.from_rotvec(turn).as_matrix()
    noisy = SPINE + np.random.default_rng(1).normal(0, 0.01, SPINE.shape)
    here = ss.complete_spine(points_of(noisy, levels), 1e-4, orientation=turned(5, -8, 3), orientation_sd=sd)
    there = ss.complete_spine(
        points_of(noisy @ R.T + shift, levels), 1e-4, orientation=R @ turned(5, -8, 3), orientation_sd=sd
    )
    for level in CHAIN_LEVELS:
        np.testing.assert_allclose(there.positions[level], R @ here.positions[level] + shift, atol=2e-5, err_msg=level)
        expected = R @ here.covariance[level] @ R.T
        np.testing.assert_allclose(there.covariance[level], expected, atol=2e-3 * np.trace(expected), err_msg=level)


@pytest.mark.parametrize("levels", [FIVE, ("T1", "L5")])
def test_an_orientation_wholly_unknown_is_none(levels):
    points = points_of(SPINE, levels)
    without = ss.complete_spine(points, 1e-4)
    with_infinite = ss.complete_spine(points, 1e-4, orientation=turned(90, 0, 0), orientation_sd=np.inf)
    with_large = ss.complete_spine(points, 1e-4, orientation=turned(90, 0, 0), orientation_sd=1e5)
    for level in CHAIN_LEVELS:
        np.testing.assert_array_equal(with_infinite.positions[level], without.positions[level])
        np.testing.assert_array_equal(with_infinite.covariance[level], without.covariance[level])
        np.testing.assert_allclose(with_large.positions[level], without.positions[level], atol=1e-6)
        np.testing.assert_allclose(with_large.covariance[level], without.covariance[level], atol=1e-7)


def test_known_shape_and_orientation_leave_the_mean_shift():
    """Oracle: the best translation is the mean of the differences, with a variance of sd² / m."""
    R, sd = turned(20, 130, -40), 0.015
    y = TYPICAL[GIVEN] @ R.T + np.random.default_rng(3).normal(0, sd, (5, 3)) + [3, 0, 1]
    spine = ss.complete_spine(dict(zip(FIVE, y, strict=True)), sd**2, "supine", KNOWN, orientation=R, orientation_sd=0)
    expected = TYPICAL @ R.T + (y - TYPICAL[GIVEN] @ R.T).mean(0)
    np.testing.assert_allclose(stacked(spine.positions), expected, atol=2e-5)
    np.testing.assert_allclose(stacked(spine.covariance), np.tile(sd**2 / 5 * np.eye(3), (25, 1, 1)), atol=5e-8)


@pytest.mark.parametrize("sd", [0.08, (0.15, 0.2, 0.1), (np.inf, 0.15, np.inf), (0.3, 1.0, 0.3), np.inf])
def test_posterior_equals_an_integral_over_all_rotations(sd):
    """Shape known exactly: mean over a fine grid of all rotations weighed by points and prior, without any of the
    module's steps.
    """
    noise, c = 0.015, TYPICAL[GIVEN].mean(0)
    y = TYPICAL[GIVEN] + np.random.default_rng(8).normal(0, noise, (5, 3))
    R0 = turned(4, -12, 5)
    along = np.linalg.svd(TYPICAL[GIVEN] - c)[2]
    spins, tilts = np.arange(-36, 36) * np.pi / 36, np.linspace(-0.24, 0.24, 25)
    s, u, v = (g.ravel() for g in np.meshgrid(spins, tilts, tilts, indexing="ij"))
    tilted = Rotation.from_rotvec(u[:, None] * along[1] + v[:, None] * along[2])
    R = (tilted * Rotation.from_rotvec(s[:, None] * along[0])).as_matrix()
    log = np.einsum("nij,kj,ki->n", R, TYPICAL[GIVEN] - c, y - y.mean(0)) / noise**2
    log -= 0.5 * ((Rotation.from_matrix(R0.T @ R).as_rotvec() / sd) ** 2).sum(1)
    w = np.exp(log - log.max()) * np.sinc(np.hypot(u, v) / np.pi)  # area on the sphere
    x = np.einsum("nij,kj->nki", R, TYPICAL - c) + y.mean(0)
    w /= w.sum()
    expected = np.einsum("n,nki->ki", w, x)
    spread = np.einsum("n,nki,nkj->kij", w, x - expected, x - expected) + noise**2 / 5 * np.eye(3)
    spine = ss.complete_spine(
        dict(zip(FIVE, y, strict=True)), noise**2, "supine", KNOWN, orientation=R0, orientation_sd=sd
    )
    size = np.sqrt(np.trace(spread, axis1=1, axis2=2))
    assert (np.linalg.norm(stacked(spine.positions) - expected, axis=1) < 0.1 * size).all()
    found = np.sqrt(np.trace(stacked(spine.covariance), axis1=1, axis2=2))
    np.testing.assert_allclose(found / size, 1.0, atol=0.06)


@pytest.mark.parametrize(("posture", "levels"), [("supine", FIVE), ("any", FIVE), ("supine", ("T1", "S1"))])
@pytest.mark.parametrize("sd", [0.0, 0.1, (0.6, 0.15, 0.6)])
def test_ellipsoids_cover_samples_of_the_model(sd, posture, levels):
    rng, noise = np.random.default_rng(4), 0.015
    x = samples(120, 3, posture)
    R = Rotation.random(120, rng=rng).as_matrix()
    given_R = R @ Rotation.from_rotvec(rng.normal(0, sd, (120, 3))).as_matrix()
    seen = np.einsum("fij,fkj->fki", R, x)
    noisy = seen + rng.normal(0, noise, x.shape)
    spine = ss.complete_spine(points_of(noisy, levels), noise**2, posture, orientation=given_R, orientation_sd=sd)
    trunk = [level for level in CHAIN_LEVELS if level[0] in "TL" and level not in levels]
    d = np.stack([spine.positions[level] - seen[:, CHAIN_LEVELS.index(level)] for level in trunk])
    q = np.einsum("lfi,lfij,lfj->lf", d, np.linalg.inv([spine.covariance[level] for level in trunk]), d)
    assert 0.85 < (q < chi2.ppf(0.9, 3)).mean() < 0.95


def test_forward_alone_ends_the_doubt_of_two_points():
    """Spin known, tilts not: the thoracic spine lies behind the line of T1 and L5, whatever the axis given as up."""
    points = {"T1": np.array([0.0, 0.45, 0.0]), "L5": np.zeros(3)}
    for tilt in (0, 30):
        spine = ss.complete_spine(
            points, 1e-6, "supine", orientation=turned(0, 0, tilt), orientation_sd=(np.inf, 0.05, np.inf)
        )
        assert spine.positions["T8"][0] < -0.01
        assert abs(spine.positions["T8"][2]) < 0.002
        assert np.sqrt(spine.covariance["T8"][2, 2]) < 0.02


def test_frames_are_done_one_by_one():
    frames = np.stack([SPINE, SPINE + 0.01 * np.sin(np.arange(25))[:, None], 1.05 * SPINE])
    R = np.stack([turned(0, a, 5) for a in (0, 5, -10)])
    sd = np.array([[0.1, 0.1, 0.1], [0.5, 0.1, 0.1], [0.1, 0.2, 0.1]])
    batch = ss.complete_spine(points_of(frames), 1e-4, orientation=R, orientation_sd=sd)
    for f in range(3):
        one = ss.complete_spine(points_of(frames[f]), 1e-4, orientation=R[f], orientation_sd=sd[f])
        for level in CHAIN_LEVELS:
            np.testing.assert_allclose(batch.positions[level][f], one.positions[level], atol=5e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orientation": np.eye(3)}, r"without orientation_sd.*in rad"),
        ({"orientation_sd": 0.1}, r"orientation_sd without orientation"),
        ({"orientation": np.eye(2), "orientation_sd": 0.1}, r"shape \(2, 2\); expected \(3, 3\) or \(1, 3, 3\)"),
        ({"orientation": np.diag([1, 1, -1.0]), "orientation_sd": 0.1}, r"not a rotation matrix \(.*mirror"),
        ({"orientation": 2 * np.eye(3), "orientation_sd": 0.1}, r"not a rotation matrix"),
        ({"orientation": np.full((3, 3), np.nan), "orientation_sd": 0.1}, r"not a rotation matrix"),
        ({"orientation": np.eye(3), "orientation_sd": -0.1}, r"orientation_sd is -0.1"),
        ({"orientation": np.eye(3), "orientation_sd": np.nan}, r"orientation_sd is nan"),
        ({"orientation": np.eye(3), "orientation_sd": [0.1, 0.2]}, r"orientation_sd has shape \(2,\)"),
        ({"orientation": "up", "orientation_sd": 0.1}, r"orientation is not made of numbers"),
    ],
)
def test_bad_input_is_named(options, message):
    with pytest.raises(InputError, match=message):
        ss.complete_spine(points_of(SPINE), **options)
