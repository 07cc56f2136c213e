"""The standing curve: unknown, it is the prior of anyone; known, only the motion is left."""

from itertools import pairwise

import numpy as np
import pytest

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.curvature import cobb_angle
from simspine.anatomy.person_variation import (
    LOWEST_LEVEL_MEAN_NAME,
    OWN_LIST_NAME,
    OWN_TILT_NAME,
    SACRAL_TILT,
    curve_names,
    curve_prior,
    in_coronal_plane,
    is_flexion_prior,
    levels_given_curve,
    levels_given_known_curve,
    standing_pelvis_from,
)
from simspine.anatomy.priors import LevelPrior, LinearPrior, Prior, level_priors, rhythm_and_posture
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.errors import InputError
from simspine.estimation.fit_person import SizedBody

RECIPE = read_recipe("articulated")
LEVELS = level_priors(RECIPE.articulation.regions)
NAMES = curve_names(LEVELS)
HIPS = ("hip_flexion_r", "hip_flexion_l")
LUMBAR = [f"{level}_Flex_Ext" for level in ("L5_S1", "L4_L5", "L3_L4", "L2_L3", "L1_L2")]


def _anyone() -> np.ndarray:
    """Covariance of the curve, of people whose incidence differs as published; hips that carry nothing."""
    return _covariance([*NAMES, *RECIPE.pelvis.incidence], curve_prior(LEVELS, RECIPE.pelvis.incidence))[
        : len(NAMES), : len(NAMES)
    ]


def _covariance(names: list[str], priors: list) -> np.ndarray:
    """Of what stays, with the variations of the body that the recipe has."""
    varied = [LinearPrior({v.name: 1.0}, 0.0, v.sd) for v in RECIPE.anatomy if v.name in names]
    S, _, precision, _ = Prior([*priors, *varied]).arrays(names, 1.0)
    return np.linalg.inv((S.T * precision) @ S)


def test_people_stand_with_the_published_lordosis():
    """At an incidence of 50.5°, 4° below the model's: 21.6, 12.7, 9.1, 5.9, 1.2 from endplate to endplate (n = 324)."""
    of = {n: p for p in LEVELS if is_flexion_prior(p) and len(p.combination) == 1 for n in p.combination}
    sized = SizedBody(build_body("articulated", "centres"), RECIPE, {})
    poses = {name: pose[None] for name, pose in neutral_poses(sized.body).items()}
    chain = [sized.vertebrae[level].superior for level in ("S1", "L5", "L4", "L3", "L2", "L1")]
    model = [float(np.degrees(cobb_angle(poses, upper, lower)[0])) for lower, upper in pairwise(chain)]
    stands = [m + np.degrees(of[n].mean) - 4.0 * of[n].on_incidence for m, n in zip(model, LUMBAR, strict=True)]
    np.testing.assert_allclose(stands, [21.6, 12.7, 9.1, 5.9, 1.2], atol=0.15)


def test_curve_pelvis_and_sacrum_differ_together_as_in_people():
    """Sacral slope and lordosis go with the pelvic incidence, and that with the tilt of the sacrum's endplate."""
    pelvis = RECIPE.pelvis
    names = [*NAMES, *pelvis.incidence, OWN_TILT_NAME]
    covariance = _covariance(names, [*curve_prior(LEVELS, pelvis.incidence), pelvis.population_prior()])
    tilt = np.array([name == SACRAL_TILT for name in names], float)
    incidence = tilt + np.array([pelvis.incidence.get(name, 0.0) for name in names])
    lordosis = tilt + np.array([name.removeprefix("own ") in LUMBAR for name in names])
    slope = tilt + np.array([name == OWN_TILT_NAME for name in names])
    both = np.array([incidence, lordosis, slope, tilt])
    both = both @ covariance @ both.T
    sd = np.degrees(np.sqrt(np.diag(both)))
    np.testing.assert_allclose(sd, [10.5, 11.2, 7.9, 6.9], rtol=0.06)  # Mac-Thiong 2011; Asian Spine J 2019; Ru 2023
    r = np.degrees(np.degrees(both)) / np.outer(sd, sd)
    assert r[0, 1] == pytest.approx(0.62 * sd[0] / sd[1], abs=0.03)  # 15.4° in 25.0° (Sci Rep 2022, n = 324)
    assert r[0, 2] == pytest.approx(0.8, abs=0.05)  # Vialle 2005
    assert r[0, 3] == pytest.approx(0.69, abs=0.03)  # Ru 2023


def test_one_unknown_a_level():
    assert len(NAMES) == 2 * 25 + 2  # two planes; the mean of the lowest disc, and the sacrum's endplate
    assert len(set(NAMES)) == 52
    assert in_coronal_plane(NAMES).sum() == 25


def test_a_curve_of_which_nothing_is_known_gives_the_priors_of_anyone():
    anyone = rhythm_and_posture(read_recipe("articulated").articulation.regions).terms
    known = levels_given_known_curve(LEVELS, NAMES, np.zeros(len(NAMES)), _anyone(), _anyone())
    assert [dict(p.combination) for p in known] == [dict(p.combination) for p in anyone]
    np.testing.assert_allclose([p.sd for p in known], [p.sd for p in anyone], rtol=1e-9)
    np.testing.assert_allclose([p.mean for p in known], [p.mean for p in anyone], atol=1e-15)


def test_a_curve_that_is_known_exactly_leaves_the_motion_about_it():
    curve = np.linspace(-0.1, 0.1, len(NAMES))
    known = levels_given_known_curve(LEVELS, NAMES, curve, 1e-12 * np.eye(len(NAMES)), _anyone())
    single = next(i for i, p in enumerate(LEVELS) if is_flexion_prior(p) and len(p.combination) == 1)
    (name,) = LEVELS[single].combination
    np.testing.assert_allclose(known[single].mean, LEVELS[single].mean + curve[NAMES.index(f"own {name}")])
    np.testing.assert_allclose(known[single].sd, LEVELS[single].motion, rtol=1e-6)


def test_a_crooked_person_may_be_more_crooked_than_people():
    """The coronal plane alone scales with the person's own spread."""
    people, crooked = (np.diag(_covariance(list(NAMES), curve_prior(LEVELS, {}, scale))) for scale in (1.0, 3.0))
    ratio = np.sqrt(crooked / people)
    np.testing.assert_allclose(ratio, np.where(in_coronal_plane(NAMES), 3.0, 1.0), rtol=1e-9)


def test_postures_scatter_about_the_unknown_curve():
    """A posture equal to people's mean curve and the person's own difference to it departs from nothing in flexion."""
    coordinates = list(dict.fromkeys(n for p in LEVELS for n in p.combination))
    S, mean, _, _ = Prior(levels_given_curve(LEVELS)).arrays([*coordinates, *NAMES, *HIPS], 1.0)
    curve = np.linspace(-0.2, 0.3, len(NAMES))
    own = dict(zip(NAMES, curve, strict=True))
    people = {name: p.mean for p in LEVELS if len(p.combination) == 1 for name in p.combination}
    z = np.array([people[name] + own.get(f"own {name}", 0.0) for name in coordinates] + list(curve) + [0.0, 0.0])
    np.testing.assert_allclose(S @ z - mean, 0.0, atol=1e-12)


def test_who_sits_is_expected_to_have_a_flatter_spine():
    """Hips bent by 71° take 0.23 times that from the lumbar levels' sum (Endo 2012: 16.6°), and 2° from the thoracic's,
    in the regions' own shares: that posture departs from nothing."""
    regions = read_recipe("articulated").articulation.regions
    prior = rhythm_and_posture(regions)
    names = list(dict.fromkeys(n for p in prior.terms for n in p.combination))
    S, mean, _, _ = prior.arrays(names, 1.0)
    standing = {
        name: m for p, m in zip(prior.terms, mean, strict=True) for name in p.combination if "posture" in p.source
    }
    z = np.array([standing[name] if name not in HIPS else 0.0 for name in names])
    np.testing.assert_allclose(S @ z, mean, atol=1e-12)
    bent = {"lumbar": 0.0, "thoracic": 0.0}
    for region in regions[:2]:
        motion = region.axes[0]
        for level, share in zip(region.levels, motion.shares, strict=True):
            change = -share * sum(motion.goes_with.values()) * np.radians(71)
            z[names.index(f"{level}_Flex_Ext")] += change
            bent[region.name] -= np.degrees(change)
    z[[names.index(hip) for hip in HIPS]] = np.radians(71)
    np.testing.assert_allclose(S @ z, mean, atol=1e-12)
    assert bent["lumbar"] == pytest.approx(16.6, abs=0.4)
    assert bent["thoracic"] == pytest.approx(16.6 * 8 / 60, abs=0.2)


def test_a_spine_that_leaves_the_sacrum_steeply_tells_of_a_steep_endplate():
    """Of a lowest level that differs from people's, the endplate has what its variance is of both, in the mean. Of a
    steeper endplate the level makes up for all but what lordosis grows with the incidence."""
    covariance, by = _anyone(), _lowest().on_incidence
    tilt, own = len(NAMES) - 1, NAMES.index("own L5_S1_Flex_Ext")
    assert NAMES[tilt] == SACRAL_TILT
    assert np.degrees(np.sqrt(covariance[tilt, tilt])) == pytest.approx(6.9, rel=1e-6)
    assert covariance[tilt, own] == pytest.approx(-(1 - by) * covariance[tilt, tilt], rel=1e-6)
    assert 0.3 < -covariance[tilt, own] / covariance[own, own] < 0.6


def test_a_mean_that_publications_disagree_on_leaves_the_endplate_as_unsure_as_it_makes_it():
    """The lowest level seen exactly: the endplate is the part of it that neither disc nor the discs' mean explain."""
    covariance, by = _anyone(), _lowest().on_incidence
    tilt, mean, own = (NAMES.index(name) for name in (SACRAL_TILT, LOWEST_LEVEL_MEAN_NAME, "own L5_S1_Flex_Ext"))
    assert np.degrees(np.sqrt(covariance[mean, mean])) == pytest.approx(2.0, rel=1e-6)
    assert covariance[mean, tilt] == pytest.approx(0.0, abs=1e-12)
    others = covariance[own, own] - (1 - by) ** 2 * covariance[tilt, tilt]
    left = covariance[tilt, tilt] - covariance[tilt, own] ** 2 / covariance[own, own]
    assert left == pytest.approx(1 / (1 / covariance[tilt, tilt] + (1 - by) ** 2 / others), rel=1e-6)
    surely = 1 / (1 / covariance[tilt, tilt] + (1 - by) ** 2 / (others - covariance[mean, mean]))  # with a known mean
    assert left > 1.02 * surely


def _lowest() -> LevelPrior:
    return next(p for p in LEVELS if list(p.combination) == ["L5_S1_Flex_Ext"])


TILT = {"combination": {"hip_flexion_r": 1.0}, "mean": 0, "on_incidence": 0.6, "sd": 5, "sway": 5, "source": "x"}
LIST = RECIPE.pelvis.list_priors
SAME_SIDES = LinearPrior({"hip_adduction_r": 1.0, "hip_adduction_l": 1.0}, 0.0, 0.1)


def _pelvis(variation: str, standing: dict) -> dict:
    return {"incidence": {variation: 8.5}, "standing": standing, "list": []}


@pytest.mark.parametrize(("key", "value"), [("sd", 0.0), ("sway", -1.0), ("source", None)])
def test_a_pelvis_that_is_told_in_part_is_refused(key, value):
    entry = TILT | {key: value} if value is not None else {k: v for k, v in TILT.items() if k != key}
    with pytest.raises(InputError, match="pelvis"):
        standing_pelvis_from(_pelvis("depth of the hips", entry), ["depth of the hips"], LIST)


def test_a_list_that_is_told_in_part_is_refused():
    with pytest.raises(InputError, match="list"):
        standing_pelvis_from(_pelvis("depth of the hips", TILT), ["depth of the hips"], LIST[:1])


def test_the_list_of_a_frame_is_the_persons_own_and_sway():
    covariance = _covariance(["hip_adduction_r", "hip_adduction_l", OWN_LIST_NAME], [*LIST, SAME_SIDES])
    of_list = np.array([0.5, -0.5, 0.0])
    assert np.degrees(np.sqrt(of_list @ covariance @ of_list)) == pytest.approx(np.hypot(2.2, 4.0))
    assert np.degrees(np.sqrt(covariance[2, 2])) == pytest.approx(2.2)


def test_an_endplate_that_does_not_tilt_is_no_unknown():
    assert SACRAL_TILT in RECIPE.pelvis.population_prior().combination
    assert SACRAL_TILT not in RECIPE.pelvis.population_prior(tilts=False).combination


def test_an_incidence_of_what_does_not_vary_is_refused():
    with pytest.raises(InputError, match="width of the hips"):
        standing_pelvis_from(_pelvis("width of the hips", TILT), ["depth of the hips"], LIST)
