"""The fit of one body to several trials: its gradient by differences, and bodies that are known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simspine.anatomy.body import forward_kinematics, neutral_motion
from simspine.anatomy.person_variation import (
    OWN_TILT_NAME,
    curve_names,
    curve_prior,
    joint_moves_of,
    levels_given_curve,
    vary_joint_places,
)
from simspine.anatomy.priors import LinearPrior, MarkerErrors, Prior, SharedError, level_priors
from simspine.anatomy.recipes import build_body, default_weights, read_recipe
from simspine.anatomy.tree import all_coordinates, all_poses, markers_and_jacobian
from simspine.core.types import Motion
from simspine.estimation import person_solver, person_system
from simspine.estimation.observations import Observations
from simspine.estimation.person_solver import PersonProblem, solve_person
from simspine.estimation.person_system import UNSEEN_FRAME_PRECISION, factorise_person_system, find_person_minimum
from simspine.estimation.trajectory_engine import wide_priors
from simspine.estimation.uncertainty import along_root_axes

SPINE = ("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck")
TRUE = {"lumbar height": 0.08, "thoracic height": -0.06, "height of the shoulders": -0.03, "depth of the hips": 0.015}


@pytest.fixture(scope="module")
def recipe():
    return read_recipe("articulated")


@pytest.fixture(scope="module")
def body(recipe):
    return build_body(recipe, "centres")


def _problem(body, recipe, noise: float = 0.0, trials: int = 2, frames: int = 6, raised: float = 0.0) -> PersonProblem:
    """Markers of a body that is varied by `TRUE`, in random postures with arms raised forwards by so many rad."""
    rng = np.random.default_rng(3)
    moves = joint_moves_of(body, recipe.anatomy, recipe.articulation.chain)
    person = vary_joint_places(body, moves, [TRUE.get(v.name, 0.0) for v in recipe.anatomy])
    listed = [n for n in default_weights(recipe, "centres") if n in body.marker_names and "inferred" not in n]
    levels = level_priors(recipe.articulation.regions)
    own = curve_names(levels)
    observed = []
    errors = MarkerErrors(sd=0.002, shared_errors=(SharedError("spine", SPINE, 0.002),))
    for _ in range(trials):
        q = np.repeat(neutral_motion(body).values, frames, axis=0)
        for name, sd in (("Flex_Ext", 0.04), ("Lat_Bending", 0.02), ("hip_flexion", 0.3), ("arm_flex", 0.3)):
            chosen = [i for i, n in enumerate(body.coordinates.names) if name in n]
            q[:, chosen] += rng.normal(raised if name == "arm_flex" else 0.0, sd, (frames, len(chosen)))
        motion = Motion(body.coordinates.names, 1.0, q, body.coordinates.rotational)
        seen = forward_kinematics(person, motion).select(listed)
        noisy = seen.with_(xyz=seen.xyz + rng.normal(0, noise, seen.xyz.shape))
        observed.append(Observations(noisy, np.ones(seen.xyz.shape[:2]), errors))
    anatomy = [LinearPrior({v.name: 1.0}, 0.0, v.sd) for v in recipe.anatomy]
    curve = [*curve_prior(levels, recipe.pelvis.incidence), recipe.pelvis.population_prior()]
    return PersonProblem(
        body,
        observed,
        moves,
        ("LKnee",),
        (*(v.name for v in recipe.anatomy), "x", "y", "z", *own, OWN_TILT_NAME),
        Prior([*anatomy, *(LinearPrior({a: 1.0}, 0.0, 0.01) for a in "xyz"), *curve]),
        Prior([*recipe.priors, *levels_given_curve(levels)]),
        [10.0] * trials,
        standing_prior=Prior([recipe.pelvis.prior_about_own_tilt()]),
        standing_frames=[np.arange(frames) % 2 == 0] * trials,
    )


def _with_errors(problem: PersonProblem, **changes) -> PersonProblem:
    errors = replace(problem.errors, **changes)
    return replace(problem, observations=[replace(seen, errors=errors) for seen in problem.observations])


def _with_second_xyz(problem: PersonProblem, change) -> PersonProblem:
    """The places of the second trial's markers (frames, markers, 3) changed."""
    first, second = problem.observations
    markers = second.markers.with_(xyz=change(second.markers.xyz.copy()))
    return replace(problem, observations=[first, replace(second, markers=markers)])


def _total(system, at) -> float:
    frame_costs, shared_cost = system.cost(at)
    return frame_costs.sum() + shared_cost


def _some(rng, at, size: float) -> np.ndarray:
    """Numbers of this size for all unknowns."""
    return rng.normal(0, size, at.flat.size)


@pytest.fixture(scope="module")
def noisy(body, recipe):
    """(system, start) of two trials whose markers have noise."""
    problem = _problem(body, recipe, noise=0.004, frames=2)
    system = person_solver._person_system(problem)
    return system, person_solver._starting_point(problem, system)


def test_the_gradient_is_that_of_the_cost(noisy):
    system, at = noisy
    rng = np.random.default_rng(0)
    at = at.from_flat(at.flat + _some(rng, at, 3e-3))
    step = _some(rng, at, 1e-6)
    ahead, behind = (_total(system, at.from_flat(at.flat + sign * step)) for sign in (1, -1))
    np.testing.assert_allclose((ahead - behind) / 4, system.gradient(at).flat @ step, rtol=1e-5)


def test_a_step_solves_the_whole_system_at_once(noisy):
    """Newton's, by the bordered factor, against a dense Hessian: differences of the gradient."""
    system, at = noisy
    at = find_person_minimum(system, at).unknowns
    h, size = 1e-5, at.flat.size
    columns = []
    for i in range(size):
        unit = np.zeros(size)
        unit[i] = h
        columns.append(
            (system.gradient(at.from_flat(at.flat + unit)).flat - system.gradient(at.from_flat(at.flat - unit)).flat)
            / (2 * h)
        )
    H = np.array(columns) + np.diag(np.where(np.arange(size) < at.q.size, UNSEEN_FRAME_PRECISION, 0.0))
    right = H @ _some(np.random.default_rng(1), at, 1e-3)
    factor = factorise_person_system(system, at, np.zeros(len(at.q)), newton=True)
    x = factor.solve(right)
    np.testing.assert_allclose(H @ x, right, atol=1e-4 * np.abs(right).max())


def test_the_minimum_is_the_same_from_starts_beside_it(noisy):
    """And no step in a random direction lowers the cost. (Straight arms have other minima, 0.1 and 0.8 higher.)"""
    system, start = noisy
    beside = start.from_flat(start.flat + _some(np.random.default_rng(5), start, 0.003))
    start = find_person_minimum(system, beside).unknowns  # arms are not straight
    rng = np.random.default_rng(3)
    one, *others = (
        find_person_minimum(system, start.from_flat(start.flat + _some(rng, start, size))).unknowns
        for size in (0.0, 0.003, 0.005)
    )
    for other in others:
        np.testing.assert_allclose(other.flat, one.flat, atol=1e-5)
        np.testing.assert_allclose(other.constants, one.constants, atol=1e-5)
    for size in (1e-5, 1e-4, 1e-3):
        assert _total(system, one.from_flat(one.flat + _some(rng, one, size))) > _total(system, one)


def test_too_few_steps_are_told(noisy, monkeypatch):
    """By as much as the cost is above the minimum: near it, half of what Newton's step predicts and more."""
    system, start = noisy
    done = find_person_minimum(system, start)
    assert done.unconverged_cost < person_system.MAX_REMAINING_GAIN
    monkeypatch.setattr(person_system, "MAX_PERSON_STEPS", 2)
    cut = find_person_minimum(system, start)
    assert cut.unconverged_cost > max(0.01, 0.5 * (_total(system, cut.unknowns) - _total(system, done.unknowns)))


def test_one_awkward_frame_does_not_hold_up_the_rest(body, noisy):
    """An elbow bent the wrong way, far outside its limits, in one frame: all end no higher than without it."""
    system, start = noisy
    lowest = _total(system, find_person_minimum(system, start).unknowns)
    q = start.q.copy()
    q[2, [body.coordinates.names[k] for k in body.tree.free].index("elbow_flex_r")] = -2.0
    assert _total(system, find_person_minimum(system, replace(start, q=q)).unknowns) < lowest + 1e-6


def test_a_body_that_is_known_is_found_from_exact_markers(body, recipe):
    problem = _problem(body, recipe, trials=3, frames=8)
    fit = solve_person(problem)
    sd = np.sqrt(np.diag(fit.covariance))
    for i, variation in enumerate(recipe.anatomy):
        off = abs(fit.solution.constants[i] - TRUE.get(variation.name, 0.0))
        assert off < 2.5 * sd[i], variation.name
        assert off < 0.5 * variation.sd, variation.name
    assert np.sqrt(np.nanmean(fit.residual**2)) < 1e-3


def test_where_nothing_is_seen_the_prior_is_left(body, recipe):
    """The place of a marker that never appears has its prior's standard deviation."""
    problem = _problem(body, recipe, frames=3)
    knee = problem.observations[0].markers.index("LKnee")
    for seen in problem.observations:
        seen.weights[:, knee] = 0.0
    fit = solve_person(problem)
    first = len(recipe.anatomy)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance))[first : first + 3], 0.01, rtol=1e-6)
    assert np.isnan(fit.residual[:, knee]).all()


def test_how_unsure_a_place_is_hangs_not_on_where_people_face(body, recipe):
    """Heading is free, so a trial turned about the vertical says the same; places on the trunk are surer than the parts
    of the body that they are made of, since postures answer."""
    problem = replace(_problem(body, recipe, noise=0.002), followed_markers={"Spine_03": (), "L3_virtual": ()})
    turn = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # a quarter, about the vertical
    turned = _with_second_xyz(problem, lambda xyz: xyz @ turn.T)
    here, there = solve_person(problem), solve_person(turned)
    np.testing.assert_allclose(there.place_covariance, here.place_covariance, rtol=0.1, atol=(1e-4) ** 2)
    sd = np.sqrt(np.einsum("mii->mi", here.place_covariance))
    lumbar = next(i for i, v in enumerate(recipe.anatomy) if v.name == "lumbar height")
    height = np.sqrt(here.covariance[lumbar, lumbar]) * 0.1  # m, of some 0.1 m below L3
    assert (sd > 0).all()
    assert sd[0].max() < height  # a point that is seen to 2 mm


def _lasting(problem: PersonProblem, seconds: tuple[float, ...], loss: str = "huber") -> PersonProblem:
    """The same, with errors that last a second, in trials of these lengths."""
    return replace(_with_errors(problem, correlation_time=1.0, loss=loss), durations_s=list(seconds))


def test_what_is_unsure_is_what_the_dense_hessian_says(body, recipe):
    """Trials of different lengths, errors that last, outliers; the followed points with what is taken off from them."""
    problem = _lasting(_problem(body, recipe, noise=0.004, frames=4), (0.5, 2.0))
    problem = replace(problem, followed_markers={"Spine_03": ("x", "y", "z"), "L3_virtual": ()})
    elbow = problem.observations[1].markers.index("RElbow")
    outlier = np.zeros_like(problem.observations[1].markers.xyz)
    outlier[2, elbow] = 0.1
    problem = _with_second_xyz(problem, lambda xyz: xyz + outlier)
    system = person_solver._person_system(problem)
    at = find_person_minimum(system, person_solver._starting_point(problem, system)).unknowns
    fit = person_solver._person_posterior(system, at, 0.0)
    factor = factorise_person_system(system, at, np.zeros(len(at.q)))
    V = np.array([factor.solve(unit) for unit in np.eye(at.flat.size)])
    n, k = at.q.shape[1], at.constants.size
    constants = slice(at.q.size, at.q.size + k)
    np.testing.assert_allclose(fit.covariance, V[constants, constants], rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(fit.offset_variance.ravel(), np.diag(V)[at.q.size + k :], rtol=1e-6)
    moved = np.r_[constants.start : constants.start + system.visible_count]
    each = np.array([V[t * n : (t + 1) * n, moved] for t in range(len(at.q))])
    carried = along_root_axes(body.tree, at.q, each).mean(0)
    both = carried @ np.linalg.solve(V[np.ix_(moved, moved)], carried.T)
    np.testing.assert_allclose(fit.body_error_modes @ fit.body_error_modes.T, both, atol=1e-3 * np.diag(both).max())
    unsure, tree = np.zeros((2, 3, 3)), system.followed_tree
    for t, z in enumerate(system.columns(at)):
        own = np.r_[t * n : (t + 1) * n, moved, at.q.size + k + 3 * system.trial[t] + np.arange(3)]
        J = markers_and_jacobian(system.markers.tree, z)[1]  # (markers, free, 3)
        spread = np.einsum("mia,ij,mja->ma", J, V[np.ix_(own, own)], J)
        np.testing.assert_allclose(fit.marker_variance[t], spread / system.frames_per_error[t], rtol=1e-6)
        J, R = markers_and_jacobian(tree, z)[1], all_poses(tree, all_coordinates(tree, z[None])[0])[0][0]
        answer = V[np.ix_(own, moved)]
        for m, carrier in enumerate(tree.marker_body):
            seen = R[carrier].T @ (J[m].T @ answer)
            if m == 0:
                seen = seen - V[np.ix_(constants.start + np.array([problem.names.index(a) for a in "xyz"]), moved)]
            unsure[m] += seen @ np.linalg.solve(V[np.ix_(moved, moved)], seen.T) / len(at.q)
    np.testing.assert_allclose(fit.place_covariance, unsure, rtol=1e-6, atol=1e-12)
    assert (system.frames_per_error[:4] > 2.0).all()
    assert (system.frames_per_error[4:] < 2.0).all()


def test_a_larger_error_than_its_prior_says_is_in_what_is_unsure(body, recipe):
    """The knee's point is displaced by more than its prior allows. The estimate's error is what the hidden variance
    states, as far as Gauss–Newton's Hessian is that of the cost."""
    aside = 0.0003
    problem = _problem(body, recipe)
    terms = [replace(p, source="aside") if "x" in p.combination else p for p in problem.person_prior.terms]
    hidden = replace(problem, person_prior=Prior(terms), hidden_variance={"aside": aside**2})
    start = solve_person(problem).solution
    plain, wide = (solve_person(one, start) for one in (problem, hidden))
    np.testing.assert_array_equal(plain.solution.flat, wide.solution.flat)
    system = person_solver._person_system(problem)
    z, tree = system.columns(start), system.markers.tree
    knee = problem.observations[0].markers.index("LKnee")
    forward = all_poses(tree, all_coordinates(tree, z)[0])[0][:, tree.marker_body[knee], :, 0]

    def moved(seen: Observations, by: np.ndarray) -> Observations:
        xyz = seen.markers.xyz.copy()
        xyz[:, knee] += by
        return replace(seen, markers=seen.markers.with_(xyz=xyz))

    parts = np.split(aside * forward, len(problem.observations))
    shifted = replace(problem, observations=[moved(s, p) for s, p in zip(problem.observations, parts, strict=True)])
    off = (solve_person(shifted, start).solution.q - plain.solution.q).mean(0)
    added = wide.body_error_modes @ wide.body_error_modes.T - plain.body_error_modes @ plain.body_error_modes.T
    np.testing.assert_allclose(added, np.outer(off, off), atol=0.2 * np.abs(off).max() ** 2)


def test_errors_of_the_body_turn_with_the_person(body, recipe):
    """Remaining errors of the body do not depend on where the person faces, nor do those of a trial's posture."""
    problem = _problem(body, recipe)
    turn = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    fits = solve_person(problem), solve_person(_with_second_xyz(problem, lambda xyz: xyz @ turn.T))
    ahead, aside = (fit.body_error_modes @ fit.body_error_modes.T for fit in fits)
    np.testing.assert_allclose(aside, ahead, atol=0.02 * np.diag(ahead).max())
    z = fits[1].solution.q
    modes = along_root_axes(body.tree, z, fits[1].body_error_modes, back=True)
    np.testing.assert_allclose(along_root_axes(body.tree, z, modes)[0], fits[1].body_error_modes, atol=1e-9)
    tilt, list_ = (body.free_names.index(name) for name in ("pelvis_tilt", "pelvis_list"))
    assert np.linalg.norm(modes[-1, list_]) == pytest.approx(np.linalg.norm(modes[0, tilt]), rel=0.1)


def test_another_trial_makes_no_one_less_sure(body, recipe):
    """A short one and a long one: together they say more than either; what nobody sees is as unsure as before."""
    problem = _problem(body, recipe, noise=0.002, frames=12)
    knees = SharedError("knees", ("LKnee",), 0.003)
    problem = _with_errors(problem, shared_errors=(*problem.errors.shared_errors, knees))
    problem = _lasting(problem, (0.5, 60.0), "square")
    for seen in problem.observations:
        seen.weights[:, seen.markers.index("LKnee")] = 0.0
    of_trials = ("observations", "durations_s", "standing_frames")
    both, *alone = (
        solve_person(replace(problem, **{name: getattr(problem, name)[p] for name in of_trials}))
        for p in (slice(None), slice(1), slice(1, None))
    )
    for one in alone:
        assert (np.diag(both.covariance) < 1.05 * np.diag(one.covariance)).all()
    np.testing.assert_allclose(both.offset_variance[:, 3:], 0.003**2, rtol=1e-6)


def test_limbs_pull_at_nothing_in_the_end(body, recipe, monkeypatch):
    """Limbs are held about where they were found: after some fits the body is as if nothing had held them. But for the
    shoulders' place: straight arms leave open how they are turned."""
    problem = _lasting(_problem(body, recipe, noise=0.002, frames=8, raised=2.0), (0.5, 0.5), "square")
    problem = _with_errors(problem, sd=0.01)
    first = last = solve_person(problem).solution
    for _ in range(4):
        last = solve_person(problem, last).solution

    def freed(*args):
        return [replace(prior, sd=100.0) for prior in wide_priors(*args)]

    monkeypatch.setattr(person_solver, "wide_priors", freed)
    free = find_person_minimum(person_solver._person_system(problem), last).unknowns
    others = np.array(["shoulders" not in name for name in problem.names])
    pulled, left = (np.abs(at.constants - free.constants)[others] for at in (first, last))
    sd = np.sqrt(np.diag(solve_person(problem, last).covariance))[others]
    assert (pulled / sd).max() > 0.03
    assert (left / sd).max() < 0.01


def test_levels_are_held_about_the_persons_own_curve_alone(body, recipe):
    """Not about the model's neutral pose, whose last disc is wedged by twice as much as people's."""
    problem = _problem(body, recipe)
    posture = person_solver._person_system(problem).postures[0]
    at = [body.coordinates.names[i] for i in body.tree.free].index("L5_S1_Flex_Ext")
    single = (posture.Q[:, at] == 1.0) & (np.abs(posture.Q).sum(1) < 1.3)  # bent hips go with it by 0.04
    assert single.sum() == 1
    assert posture.C[single, problem.names.index("own L5_S1_Flex_Ext")] == -1.0


@pytest.mark.parametrize("frames", [0, 6])
def test_legs_stay_about_their_defaults_where_nobody_is_seen_to_stand(body, recipe, frames):
    """Where somebody is, only the prior on standing holds the pelvis; arms are held by nothing in either case."""
    problem = _problem(body, recipe)
    standing = [np.arange(len(own)) < frames / 2 for own in problem.standing_frames]
    problem = replace(problem, standing_frames=standing)
    system = person_solver._person_system(problem)
    start = person_solver._starting_point(problem, system)
    start.q[:] += 0.1
    posture = person_solver._person_system(problem, start).postures[0]
    listed = [body.coordinates.names[i] for i in body.tree.free]
    for name, follows in (("hip_flexion_r", frames > 0), ("knee_angle_l", frames > 0), ("arm_flex_r", True)):
        at = listed.index(name)
        row = np.flatnonzero((posture.Q[:, at] == 1.0) & (np.abs(posture.Q).sum(1) == 1.0))
        assert row.size == 1
        default = body.coordinates.default[body.coordinates.index(name)]
        wanted = start.q[:, at] if follows else np.full(len(start.q), default)
        np.testing.assert_allclose(posture.mean[:, row[0]], wanted)
