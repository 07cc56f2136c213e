"""Each term's gradient and Hessian against difference quotients of its cost."""

from dataclasses import replace

import numpy as np
import pytest
from dense_band import dense

from simspine.anatomy.priors import MarkerErrors
from simspine.estimation.banded import BandedSystem
from simspine.estimation.frame_engine import usable_observations
from simspine.estimation.path_basis import path_basis
from simspine.estimation.terms import LimitTerm, MarkerTerm, Objective, PriorTerm, prior_repetition
from simspine.estimation.trajectory import tree_with_marker_offsets

FRAMES = 4
SPATIAL = {"Spine_02": 1.0, "Spine_03": 1.0, "RWrist": 0.7}  # moved along the ground's axes


def marker_term(body, names, rng, **options):
    from simspine.anatomy.body import forward_kinematics, neutral_motion

    markers = forward_kinematics(body, neutral_motion(body)).select(names)
    tree, y, w, _ = usable_observations(body, markers, np.ones((1, len(names))), 3)
    y = np.repeat(y, FRAMES, 0) + rng.normal(0, 0.1, (FRAMES, len(names), 3))
    w = np.repeat(w, FRAMES, 0) * rng.uniform(0.5, 2, (FRAMES, len(names)))
    w[1, 3] = 0.0  # a missing marker
    return MarkerTerm(tree, y, w, **options)


@pytest.fixture(params=["square", "huber", "offsets", "huber offsets", "prior", "limits"])
def term_and_z(request, release, fit_names):
    rng = np.random.default_rng(7)
    n = release.tree.free.size
    z = release.tree.rest[release.tree.free] + rng.normal(0, 0.2, (FRAMES, n))
    kind = request.param
    if kind == "prior":
        return PriorTerm(
            rng.normal(size=(3, n)), rng.normal(size=3), rng.uniform(0.5, 2, 3), np.array([0, 0.5, 0.9])
        ), z
    if kind == "limits":
        return LimitTerm(np.full(n, -0.05), np.full(n, 0.1), 0.3), z
    options = {}
    if "huber" in kind:
        options = {"loss": "huber", "scale": rng.uniform(0.05, 0.2, (FRAMES, len(fit_names)))}
    term = marker_term(release, fit_names, rng, **options)
    if not kind.endswith("offsets"):
        return term, z
    groups = [{fit_names.index(n): share for n, share in g.items()} for g in ({"Hip": 1.0, "Spine_02": 0.5}, SPATIAL)]
    tree = tree_with_marker_offsets(term.tree, groups, in_ground_frame=[False, True])
    offsets = rng.normal(0, 0.05, (FRAMES, 6))
    return replace(term, tree=tree, columns=None), np.hstack([z, offsets])


def filled(term, z, newton=False):
    """Half the Hessian, dense, and half the gradient. newton: with the second-order part, which only markers have."""
    system, gradient = BandedSystem(path_basis(len(z), 1), z.shape[1]), np.zeros(z.shape)
    term.cost(z, gradient)
    if newton and isinstance(term, MarkerTerm):
        system.add_blocks(term.information(z, newton=True))
    else:
        term.curve(z, system)
    return dense(system), gradient


def test_gradient_is_half_the_difference_quotient(term_and_z):
    term, z = term_and_z
    _, gradient = filled(term, z)
    h = 1e-6
    for i in range(z.shape[1]):
        for t in (0, 1, FRAMES - 1):
            step = np.zeros_like(z)
            step[t, i] = h
            slope = (term.cost(z + step).sum() - term.cost(z - step).sum()) / (4 * h)
            assert gradient[t, i] == pytest.approx(slope, rel=1e-5, abs=1e-6), f"frame {t}, column {i}"


def test_hessian_is_the_difference_quotient_of_the_gradient(term_and_z, release):
    """With the second-order part. Splines (the knees) leave out their own curvature, so those are not asked."""
    term, z = term_and_z
    H, _ = filled(term, z, True)
    h, n = 1e-6, z.shape[1]
    names = [release.coordinates.names[c] for c in release.tree.free]
    for i in range(n):
        if i < len(names) and names[i].startswith("knee"):
            continue
        step = np.zeros_like(z)
        step[1, i] = h
        difference = (filled(term, z + step)[1] - filled(term, z - step)[1]).ravel() / (2 * h)
        np.testing.assert_allclose(H[:, n + i], difference, atol=1e-5 * max(1, np.abs(H).max()), err_msg=f"column {i}")


def test_gauss_newton_hessian_is_never_negative(term_and_z):
    term, z = term_and_z
    eigenvalues = np.linalg.eigvalsh(filled(term, z)[0])
    assert eigenvalues.min() >= -1e-9 * eigenvalues.max()


def test_hubers_loss_is_square_near_zero_and_flat_far_away(release, fit_names):
    z = np.repeat(release.tree.rest[release.tree.free][None], FRAMES, 0)
    square = marker_term(release, fit_names, np.random.default_rng(0))
    near = MarkerTerm(square.tree, square.y, square.w, "huber", 1e3)
    np.testing.assert_allclose(near.cost(z), square.cost(z), rtol=1e-5)
    far = MarkerTerm(square.tree, square.y + 10.0, square.w, "huber", 0.01)
    assert (far.cost(z) < 1e-2 * MarkerTerm(square.tree, square.y + 10.0, square.w).cost(z)).all()


def test_each_marker_is_far_away_by_its_own_standard_deviation(release, fit_names):
    """The same as a sum over markers, each with one threshold for all of them."""
    rng = np.random.default_rng(2)
    z = release.tree.rest[release.tree.free] + rng.normal(0, 0.05, (FRAMES, release.tree.free.size))
    term = marker_term(release, fit_names, rng)
    w = term.w * rng.choice([1.0, 100.0, 1e4], len(fit_names))
    plain = MarkerTerm(term.tree, term.y, w, "huber", MarkerErrors(loss_threshold_sd=1.5).huber_threshold(w))
    alone = np.zeros(FRAMES)
    for marker in range(len(fit_names)):
        for frame in np.flatnonzero(w[:, marker]):
            only = np.zeros(w.shape)
            only[frame, marker] = w[frame, marker]
            scale = 1.5 / np.sqrt(w[frame, marker])
            alone += MarkerTerm(term.tree, term.y, only, "huber", scale).cost(z)
    np.testing.assert_allclose(plain.cost(z), alone, rtol=1e-12)
    assert (plain.cost(z) < 0.9 * MarkerTerm(term.tree, term.y, w).cost(z)).all()  # many are far away


def test_a_prior_is_as_sure_in_long_trials_as_in_short_ones():
    """Without data, each frame's standard deviation is the prior's, however many frames there are."""
    for frames in (1, 7, 60):
        term = PriorTerm(np.eye(2), np.zeros(2), np.array([4.0, 25.0]), np.array([0.9, 0.0]))
        H, _ = filled(term, np.zeros((frames, 2)), False)
        deviation = np.sqrt(np.diag(np.linalg.inv(H))).reshape(frames, 2)
        np.testing.assert_allclose(deviation, np.tile([0.5, 0.2], (frames, 1)))


def test_repeated_beliefs_hold_what_stays_and_let_go_what_changes():
    """Of a constant departure they say `shared` times what the process says; of a step from frame to frame the same."""
    frames, shared, a = 40, 30.0, np.array([0.95])
    term = PriorTerm(np.eye(1), np.zeros(1), np.array([4.0]), a)
    again = PriorTerm(np.eye(1), np.zeros(1), np.array([4.0]), a, prior_repetition(a, frames, shared))
    constant = np.full((frames, 1), 0.3)
    assert again.cost(constant).sum() == pytest.approx(shared * term.cost(constant).sum())
    zigzag = 0.3 * (-1.0) ** np.arange(frames)[:, None]
    assert again.cost(zigzag).sum() < 1.3 * term.cost(zigzag).sum()
    np.testing.assert_array_equal(prior_repetition(a, frames, 1.0), 0)


@pytest.mark.parametrize(("spacing", "motion", "error"), [(1, 0.2, 1e-5), (3, 0.001, 1e-3)])
def test_an_objective_of_control_points_is_consistent(release, fit_names, spacing, motion, error):
    """Gradient by differences of the cost, Hessian by differences of the gradient, and the same cost frame by frame.
    Between knots the Hessian is that of the mean posture, so it is exact for small motion."""
    rng, frames = np.random.default_rng(9), 11
    n = release.tree.free.size
    basis = path_basis(frames, spacing)
    S, decay = rng.normal(size=(3, n)), np.array([0.0, 0.9, 0.999])
    terms = (
        marker_term(release, fit_names, rng).of_window(np.zeros(frames, int)),
        PriorTerm(S, rng.normal(size=3), rng.uniform(0.5, 2, 3), decay, np.array([0.0, 0.2, 0.3])),
        LimitTerm(np.full(n, -0.05), np.full(n, 0.1), 0.3),
    )
    objective = Objective(terms, rng.uniform(0, 10, n), basis)
    points = release.tree.rest[release.tree.free] + rng.normal(0, 0.2, n) + rng.normal(0, motion, (basis.points, n))
    here = objective.evaluated(points)
    assert here.cost == pytest.approx(objective.frame_costs(points).sum())
    way, h = rng.normal(size=points.shape), 1e-6
    names = [release.coordinates.names[c] for c in release.tree.free]
    way[:, [name.startswith("knee") for name in names]] = 0.0  # splines leave out their own curvature
    after, before = (objective.evaluated(points + sign * h * way) for sign in (1, -1))
    slope = (after.cost - before.cost) / (4 * h)
    assert (here.gradient * way).sum() == pytest.approx(slope, rel=1e-6)
    system = BandedSystem(basis, n)
    objective.curve(points, system)
    markers, means = terms[0].of_intervals(basis), basis.means_of_intervals(basis.values @ points)
    system.add_blocks(markers.information(means, newton=True) - markers.information(means))
    change = ((after.gradient - before.gradient) / (2 * h)).ravel()
    np.testing.assert_allclose(dense(system) @ way.ravel(), change, atol=error * np.abs(change).max())


def test_a_limit_informs_only_where_markers_say_more_than_the_range():
    """Of a range of 1 rad a uniform distribution has the precision 12: a limit counts where markers say more."""
    term = LimitTerm(np.array([0.0, 0.0, -np.inf]), np.array([1.0, 1.0, np.inf]), 0.25)
    outside = np.array([[-0.01, 1.02, 5.0]] * 2)
    precision = np.array([[13.0, 11.0, 1.0], [0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(term.curvature(outside), [[16.0, 16.0, 0.0]] * 2)
    np.testing.assert_array_equal(term.where_measured(precision).curvature(outside), [[16.0, 0, 0], [0, 0, 0]])
