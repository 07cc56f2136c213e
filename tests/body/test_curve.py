"""What is believed of a person's standing curve: the beliefs together are the Gaussian they are made of."""

from dataclasses import replace

import numpy as np
import pytest
import yaml

from simspine.body.articulation import AXES, EVERYDAY, RHYTHM_LASTS, prior_of
from simspine.body.curve import CURVES, POSTURE_LASTS, curve_prior, scanned_curve
from simspine.body.recipes import build, read_prior, read_recipe
from simspine.errors import InputError
from simspine.spine.shape.model import shipped
from simspine.spine.shape.turning import SEEN, angle_statistics


@pytest.fixture(scope="module")
def plan():
    return read_recipe("articulated").articulation


def motion(plan):
    """Covariances of moment and rhythm, level by level from the recipe."""
    levels = [(region, i) for region in plan.regions for i in range(len(region.levels))]
    n = len(levels)
    moment, rhythm = np.zeros((n, n)), np.zeros((n, n))
    for a, (region, i) in enumerate(levels):
        m = region.axes[0]
        share = np.array(m.mean) / sum(m.mean)
        rhythm[a, a] = (m.spread * share[i] * EVERYDAY * m.whole) ** 2
        for b, (other, j) in enumerate(levels):
            if other is region:
                moment[a, b] = share[i] * share[j] * (EVERYDAY * m.whole) ** 2
    return moment, rhythm


def flexion(plan, prior):
    """(S, mean, precision, lasts) of the beliefs about flexion."""
    names = [f"{level}_{AXES[0]}" for level in plan.levels]
    own = [b for b in prior.beliefs if set(b.combination) <= set(names)]
    S = np.array([[b.combination.get(n, 0.0) for n in names] for b in own])
    return S, *(np.array(v) for v in zip(*((b.mean, b.sd**-2, b.lasts) for b in own), strict=True))


@pytest.mark.parametrize("curve", [name for name, kind in CURVES.items() if kind])
def test_beliefs_add_up_to_the_inverse_covariance(plan, curve):
    prior = curve_prior(plan, curve)
    S, mean, precision, lasts = flexion(plan, prior)
    believed = scanned_curve(plan, shipped(), *CURVES[curve])
    moment, rhythm = motion(plan)
    total = moment + rhythm + believed.covariance
    H = (S.T * precision) @ S
    np.testing.assert_allclose(H @ total, np.eye(len(total)), atol=1e-8)
    np.testing.assert_allclose(np.linalg.solve(H, S.T @ (precision * mean)), believed.mean, atol=1e-10)
    # in a short time dt the variance of the departures grows by 2 dt · Σ precision / lasts: as that of the parts
    grows = total @ ((S.T * (precision / lasts)) @ S) @ total
    parts = moment / POSTURE_LASTS + (rhythm + believed.covariance) / RHYTHM_LASTS
    np.testing.assert_allclose(grows, parts, atol=1e-8 * parts.max())


def test_a_person_is_believed_to_be_as_the_curve_says(plan):
    """The spread that each level and the lumbar spine may have is what its three parts add up to."""
    curve = scanned_curve(plan, shipped())
    sd = np.array([region.axes[0].shape for region in plan.regions for _ in region.levels])
    np.testing.assert_allclose(np.sqrt(np.diag(curve.covariance)), sd)  # published, whatever the scans say
    seen = [plan.levels.index(level) for level in plan.levels[1:-2]]
    _, scans = angle_statistics(shipped())
    own = np.sqrt(np.diag(scans[0]))
    np.testing.assert_allclose(
        curve.covariance[np.ix_(seen, seen)] / np.outer(sd[seen], sd[seen]), scans[0] / np.outer(own, own)
    )
    outside = [i for i in range(len(sd)) if i not in seen]
    assert [plan.levels[i] for i in outside] == ["L5_S1", "C1_C2", "C1_skull"]
    np.testing.assert_array_equal(curve.covariance[np.ix_(outside, seen)], 0)
    assert not curve.mean.any()
    wide = scanned_curve(plan, shipped(), spread="scans").covariance
    np.testing.assert_allclose(wide[np.ix_(seen, seen)], scans[0])


def test_means_of_the_scans(plan):
    """Lying patients are rounder than the model between T3 and T12; standing up changes the lumbar spine only."""
    lying, standing = (scanned_curve(plan, shipped(), mean, "scans").mean for mean in ("lying", "standing"))
    between = slice(plan.levels.index("T11_T12"), plan.levels.index("T3_T4") + 1)
    assert np.degrees(lying[between].sum()) == pytest.approx(-4.6, abs=0.1)
    difference = np.degrees(standing - lying)
    assert difference[:6].sum() == pytest.approx(13.0)
    np.testing.assert_array_equal(difference[6:], 0)
    assert not lying[[0, -2, -1]].any()  # what scans do not have


def test_bending_and_rotation_stay_as_published(plan):
    def rest(prior):
        return [b for b in prior.beliefs if not any(n.endswith(AXES[0]) for n in b.combination)]

    assert rest(curve_prior(plan, "scans")) == rest(prior_of(plan))
    assert len(rest(prior_of(plan))) == 100
    assert len(SEEN) + 3 == len(plan.levels)


def test_a_recipe_says_which(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("from: articulated\nname: own\ncurve: scans-wide\n")
    recipe = read_recipe(str(own))
    assert recipe.curve == "scans-wide"
    assert recipe.articulation == read_recipe("articulated").articulation
    assert read_prior(recipe) == curve_prior(recipe.articulation, "scans-wide")
    own.write_text("from: articulated\nname: own\ncurve: straight\n")
    with pytest.raises(InputError, match=r"straight.*published, scans"):
        read_recipe(str(own))
    with pytest.raises(InputError, match="straight"):
        curve_prior(recipe.articulation, "straight")


def test_a_recipe_that_is_from_itself_is_refused(tmp_path):
    a, b = tmp_path / "a.yaml", tmp_path / "b.yaml"
    a.write_text(yaml.safe_dump({"from": str(b), "name": "a"}))
    b.write_text(yaml.safe_dump({"from": str(a), "name": "b"}))
    with pytest.raises(InputError, match=r"a\.yaml is `from` itself"):
        read_recipe(str(a))


@pytest.mark.slow
def test_no_bone_moves_for_a_belief():
    recipe = read_recipe("articulated")
    bodies = [build(replace(recipe, curve=curve), "centres").osim for curve in ("published", "scans-standing")]
    assert bodies[0] == bodies[1]
