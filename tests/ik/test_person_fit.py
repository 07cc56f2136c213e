"""The fit of one body to several trials: its gradient by differences, and bodies that are known."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.body.anatomy import moves_of, varied
from simspine.body.kinematics import forward_kinematics, neutral_motion
from simspine.body.recipes import build, default_weights, read_recipe
from simspine.ik import person_fit
from simspine.ik.person_fit import PersonProblem, fit_person
from simspine.ik.person_minimum import minimum
from simspine.ik.person_system import UNSEEN, factorised
from simspine.ik.trajectory import BEGINS
from simspine.priors.assumptions import LinearPrior, MarkerErrors, Prior, SharedError
from simspine.priors.rhythm import level_priors
from simspine.priors.standing_curve import about_curve, curve_names, on_curve
from simspine.types import Motion

SPINE = ("Hip", "Spine_01", "Spine_02", "Spine_03", "Spine_04", "Spine_05", "Neck")
TRUE = {"lumbar height": 0.08, "thoracic height": -0.06, "height of the shoulders": -0.03, "depth of the hips": 0.015}


@pytest.fixture(scope="module")
def recipe():
    return read_recipe("articulated")


@pytest.fixture(scope="module")
def body(recipe):
    return build(recipe, "centres")


def _problem(body, recipe, noise: float = 0.0, trials: int = 2, frames: int = 6) -> PersonProblem:
    """Exact markers of a body that is varied by `TRUE`, in random postures."""
    rng = np.random.default_rng(3)
    moves = moves_of(body, recipe.anatomy, recipe.articulation.chain)
    person = varied(body, moves, [TRUE.get(v.name, 0.0) for v in recipe.anatomy])
    listed = [n for n in default_weights(recipe, "centres") if n in body.marker_names and "inferred" not in n]
    levels = level_priors(recipe.articulation.regions)
    own = curve_names(levels)
    observed, weights = [], []
    for _ in range(trials):
        q = np.repeat(neutral_motion(body).values, frames, axis=0)
        for name, sd in (("Flex_Ext", 0.04), ("Lat_Bending", 0.02), ("hip_flexion", 0.3), ("arm_flex", 0.3)):
            chosen = [i for i, n in enumerate(body.coordinates.names) if name in n]
            q[:, chosen] += rng.normal(0, sd, (frames, len(chosen)))
        motion = Motion(body.coordinates.names, 1.0, q, body.coordinates.rotational)
        seen = forward_kinematics(person, motion).select(listed)
        observed.append(seen.with_(xyz=seen.xyz + rng.normal(0, noise, seen.xyz.shape)))
        weights.append(np.ones(seen.xyz.shape[:2]))
    anatomy = [LinearPrior({v.name: 1.0}, 0.0, v.sd) for v in recipe.anatomy]
    return PersonProblem(
        body, observed, weights, moves, ("LKnee",), (*(v.name for v in recipe.anatomy), "x", "y", "z", *own),
        Prior([*anatomy, *(LinearPrior({a: 1.0}, 0.0, 0.01) for a in "xyz"), *on_curve(levels)]),
        Prior([*recipe.priors, *about_curve(levels)]),
        MarkerErrors(sd=0.002, shared=(SharedError("spine", SPINE, 0.002),)), [10.0] * trials,
    )  # fmt: skip


def _some(rng, at, size: float) -> np.ndarray:
    """Numbers of this size for all unknowns."""
    return rng.normal(0, size, at.flat.size)


@pytest.fixture(scope="module")
def noisy(body, recipe):
    """(system, start) of two trials whose markers have noise."""
    problem = _problem(body, recipe, noise=0.004, frames=2)
    system = person_fit._system(problem)
    return system, person_fit._start(problem, system)


def test_the_gradient_is_that_of_the_cost(noisy):
    system, at = noisy
    rng = np.random.default_rng(0)
    at = at.like(at.flat + _some(rng, at, 3e-3))
    step = _some(rng, at, 1e-6)
    ahead, behind = (system.total(at.like(at.flat + sign * step)) for sign in (1, -1))
    np.testing.assert_allclose((ahead - behind) / 4, system.gradient(at).flat @ step, rtol=1e-5)


def test_a_step_solves_the_whole_system_at_once(noisy):
    """Newton's, by the bordered factor, against a dense Hessian: differences of the gradient."""
    system, at = noisy
    at = minimum(system, at)
    h, size = 1e-5, at.flat.size
    columns = []
    for i in range(size):
        unit = np.zeros(size)
        unit[i] = h
        columns.append(
            (system.gradient(at.like(at.flat + unit)).flat - system.gradient(at.like(at.flat - unit)).flat) / (2 * h)
        )
    H = np.array(columns) + np.diag(np.where(np.arange(size) < at.q.size, UNSEEN, 0.0))
    right = H @ _some(np.random.default_rng(1), at, 1e-3)
    factor = factorised(system, at, np.zeros(len(at.q)), newton=True)
    x = factor.solve(right)
    np.testing.assert_allclose(H @ x, right, atol=1e-4 * np.abs(right).max())


def test_the_covariance_is_that_of_the_whole_system(noisy):
    """Its columns are what a unit of each thing that stays is answered with."""
    system, at = noisy
    factor = factorised(system, at, np.zeros(len(at.q)))
    stays = slice(at.q.size, at.q.size + at.stays.size)
    columns = [factor.solve(np.eye(at.flat.size)[i])[stays] for i in range(stays.start, stays.stop)]
    fit = person_fit._posterior(system, at)
    np.testing.assert_allclose(fit.covariance, system.sharing.mean() * np.array(columns), rtol=1e-6, atol=1e-12)


def test_the_minimum_is_the_same_from_starts_beside_it(noisy):
    """And no step in a random direction lowers the cost."""
    system, start = noisy
    rng = np.random.default_rng(2)
    one, *others = (minimum(system, start.like(start.flat + _some(rng, start, size))) for size in (0.0, 0.003, 0.01))
    for other in others:
        np.testing.assert_allclose(other.flat, one.flat, atol=1e-5)
        np.testing.assert_allclose(other.stays, one.stays, atol=1e-6)
    for size in (1e-5, 1e-4, 1e-3):
        assert system.total(one.like(one.flat + _some(rng, one, size))) > system.total(one)


def test_one_awkward_frame_does_not_hold_up_the_rest(body, noisy):
    """An elbow bent the wrong way, far outside its limits, in one frame: all end where they would without it."""
    system, start = noisy
    lowest = system.total(minimum(system, start))
    q = start.q.copy()
    q[1, [body.coordinates.names[k] for k in body.tree.free].index("elbow_flex_r")] = -2.0
    assert system.total(minimum(system, replace(start, q=q))) == pytest.approx(lowest, abs=1e-6)


def test_an_arm_that_a_rough_path_winds_up_is_not_believed(body, recipe, monkeypatch):
    """The first rough path of each trial turns both arms once around; the fit is the same as without that."""
    problem = _problem(body, recipe, noise=0.002, frames=3)
    expected = fit_person(problem)
    arms = [i for i, k in enumerate(body.tree.free) if body.coordinates.names[k].startswith(("arm_add", "arm_rot"))]
    path, began = person_fit.starting_path, []

    def wound(*args, begin, **named):
        z = path(*args, begin=begin, **named)
        began.append(begin)
        if begin == BEGINS[0]:
            z[:, arms] += np.radians(150)
        return z

    monkeypatch.setattr(person_fit, "starting_path", wound)
    found = fit_person(problem)
    assert began.count(BEGINS[0]) == 2
    np.testing.assert_allclose(found.found.stays, expected.found.stays, atol=1e-6)
    np.testing.assert_allclose(found.found.q, expected.found.q, atol=1e-3)
    monkeypatch.setattr(person_fit, "PATHS", 1)
    system = person_fit._system(problem)
    assert system.total(fit_person(problem).found) > system.total(found.found) + 10.0


def test_a_body_that_is_known_is_found_from_exact_markers(body, recipe):
    problem = _problem(body, recipe, trials=3, frames=8)
    fit = fit_person(problem)
    sd = np.sqrt(np.diag(fit.covariance))
    for i, variation in enumerate(recipe.anatomy):
        off = abs(fit.found.stays[i] - TRUE.get(variation.name, 0.0))
        assert off < 2.5 * sd[i], variation.name
        assert off < 0.5 * variation.sd, variation.name
    assert np.sqrt(np.nanmean(fit.residual**2)) < 1e-3


def test_where_nothing_is_seen_the_prior_is_left(body, recipe):
    """The place of a marker that never appears has its prior's standard deviation."""
    problem = _problem(body, recipe, frames=3)
    knee = problem.trials[0].index("LKnee")
    for weight in problem.weights:
        weight[:, knee] = 0.0
    fit = fit_person(problem)
    first = len(recipe.anatomy)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.covariance))[first : first + 3], 0.01, rtol=1e-6)
    assert np.isnan(fit.residual[:, knee]).all()


def test_how_unsure_a_place_is_hangs_not_on_where_people_face(body, recipe):
    """Heading is free, so a trial turned about the vertical says the same; places on the trunk are surer than the parts
    of the body that they are made of, since postures answer."""
    problem = replace(_problem(body, recipe, noise=0.002), followed={"Spine_03": (), "L3_virtual": ()})
    first, second = problem.trials
    turn = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])  # a quarter, about the vertical
    turned = replace(problem, trials=[first, second.with_(xyz=second.xyz @ turn.T)])
    here, there = fit_person(problem), fit_person(turned)
    np.testing.assert_allclose(there.unsure, here.unsure, rtol=0.1, atol=(1e-4) ** 2)
    sd = np.sqrt(np.einsum("mii->mi", here.unsure))
    lumbar = next(i for i, v in enumerate(recipe.anatomy) if v.name == "lumbar height")
    height = np.sqrt(here.covariance[lumbar, lumbar]) * 0.1  # m, of some 0.1 m below L3
    assert (sd > 0).all()
    assert sd[0].max() < height  # a point that is seen to 2 mm
