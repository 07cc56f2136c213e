"""The fit of one body to several trials: its gradient by differences, and bodies that are known."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.body.anatomy import moves_of, varied
from simspine.body.kinematics import forward_kinematics, neutral_motion
from simspine.body.recipes import build, default_weights, read_recipe
from simspine.ik import person_fit
from simspine.ik.person_fit import PersonProblem, Unknowns, fit_person
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


def test_the_gradient_is_that_of_the_cost(body, recipe):
    problem = _problem(body, recipe, noise=0.004, frames=3)
    system = person_fit._system(problem)
    at = person_fit._start(problem, system)
    rng = np.random.default_rng(0)

    def some(size: float) -> Unknowns:
        return Unknowns(*(rng.normal(0, size, part.shape) for part in (at.q, at.stays, at.offsets)))

    def total(where: Unknowns) -> float:
        frames, held = system.cost(where)
        return frames.sum() + held

    at = at.moved(some(3e-3))
    g = person_fit._bordered(system, at, np.zeros(len(at.q))).gradient
    step = some(1e-6)
    back = Unknowns(-step.q, -step.stays, -step.offsets)
    slope = (g.q * step.q).sum() + g.stays @ step.stays + (g.offsets * step.offsets).sum()
    np.testing.assert_allclose((total(at.moved(step)) - total(at.moved(back))) / 4, slope, rtol=1e-5)


def test_a_step_solves_the_whole_system_at_once(body, recipe):
    """The bordered solution against a dense one, of the Gauss–Newton Hessian that its own parts make."""
    problem = _problem(body, recipe, noise=0.004, frames=2)
    system = person_fit._system(problem)
    at = person_fit._start(problem, system)
    parts = person_fit._bordered(system, at, np.zeros(len(at.q)))
    frames, n, (k, m) = len(at.q), at.q.shape[1], (at.stays.size, at.offsets.shape[1])
    size = frames * n
    H = np.zeros((size + len(parts.corner),) * 2)
    H[size:, size:] = parts.corner
    for t in range(frames):
        own = slice(t * n, (t + 1) * n)
        H[own, own] = parts.lower[t] @ parts.lower[t].T
        i = size + k + system.trial[t] * m
        H[own, size : size + k], H[own, i : i + m] = parts.border[t, :, :k], parts.border[t, :, k:]
    H = np.triu(H) + np.triu(H, 1).T
    g = np.concatenate([parts.gradient.q.ravel(), parts.gradient.stays, parts.gradient.offsets.ravel()])
    dense = -np.linalg.solve(H, g)
    step, promise = person_fit._step(system, at, np.zeros(frames))
    np.testing.assert_allclose(step.stays, dense[size : size + k], atol=1e-9)
    np.testing.assert_allclose(promise, -g @ dense, rtol=1e-8)
    fit = person_fit._posterior(system, at)
    exact = np.linalg.inv(H)[size : size + k, size : size + k] * system.sharing.mean()
    np.testing.assert_allclose(fit.covariance, exact, rtol=1e-6, atol=1e-12)


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
