"""The standing curve: unknown, it is the prior of anyone; known, only the motion is left."""

import numpy as np
import pytest

from simspine.body.recipes import read_recipe
from simspine.priors.assumptions import Prior
from simspine.priors.rhythm import level_priors, rhythm_and_posture
from simspine.priors.standing_curve import (
    LOWEST_MEAN,
    SACRAL_TILT,
    about_curve,
    about_known_curve,
    curve_names,
    in_flexion,
    on_curve,
)

LEVELS = level_priors(read_recipe("articulated").articulation.regions)
NAMES = curve_names(LEVELS)
HIPS = ("hip_flexion_r", "hip_flexion_l")


def _anyone() -> np.ndarray:
    S, _, precision, _ = Prior(on_curve(LEVELS)).arrays(NAMES, 1.0)
    return np.linalg.inv((S.T * precision) @ S)


def test_people_stand_with_the_published_lordosis():
    """The model's 64.3° and the mean curve from L5–S1 to L1–L2 make 55°; the rest of the curve is the model's."""
    lumbar = ("L5_S1", "L4_L5", "L3_L4", "L2_L3", "L1_L2")
    mean = {n: p.mean for p in LEVELS if in_flexion(p) and len(p.combination) == 1 for n in p.combination}
    assert np.isclose(64.3 + np.degrees(sum(mean[f"{level}_Flex_Ext"] for level in lumbar)), 55.0)
    assert sum(value != 0.0 for value in mean.values()) == 1


def test_one_unknown_a_level():
    assert len(NAMES) == 25 + 2  # the mean of the lowest disc, and the sacrum's endplate
    assert len(set(NAMES)) == 27


def test_a_curve_of_which_nothing_is_known_gives_the_priors_of_anyone():
    anyone = rhythm_and_posture(read_recipe("articulated").articulation.regions).terms
    known = about_known_curve(LEVELS, NAMES, np.zeros(27), _anyone(), _anyone())
    assert [dict(p.combination) for p in known] == [dict(p.combination) for p in anyone]
    np.testing.assert_allclose([p.sd for p in known], [p.sd for p in anyone], rtol=1e-9)
    np.testing.assert_allclose([p.mean for p in known], [p.mean for p in anyone], atol=1e-15)


def test_a_curve_that_is_known_exactly_leaves_the_motion_about_it():
    curve = np.linspace(-0.1, 0.1, 27)
    known = about_known_curve(LEVELS, NAMES, curve, 1e-12 * np.eye(27), _anyone())
    single = next(i for i, p in enumerate(LEVELS) if in_flexion(p) and len(p.combination) == 1)
    (name,) = LEVELS[single].combination
    np.testing.assert_allclose(known[single].mean, LEVELS[single].mean + curve[NAMES.index(f"own {name}")])
    np.testing.assert_allclose(known[single].sd, LEVELS[single].motion, rtol=1e-6)


def test_postures_scatter_about_the_unknown_curve():
    """A posture equal to people's mean curve and the person's own difference to it departs from nothing in flexion."""
    coordinates = list(dict.fromkeys(n for p in LEVELS for n in p.combination))
    S, mean, _, _ = Prior(about_curve(LEVELS)).arrays([*coordinates, *NAMES, *HIPS], 1.0)
    curve = np.linspace(-0.2, 0.3, 27)
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
    """Of a lowest level that differs from people's, the endplate has what its variance is of both, in the mean."""
    covariance = _anyone()
    tilt, own = len(NAMES) - 1, NAMES.index("own L5_S1_Flex_Ext")
    assert NAMES[tilt] == SACRAL_TILT
    assert np.degrees(np.sqrt(covariance[tilt, tilt])) == pytest.approx(8.0, rel=1e-6)
    share = -covariance[tilt, own] / covariance[own, own]
    disc = covariance[own, own] - covariance[tilt, tilt]  # what the standing angle between endplates varies by
    assert disc > 0
    assert share == pytest.approx(covariance[tilt, tilt] / (covariance[tilt, tilt] + disc), rel=1e-6)
    assert 0.5 < share < 0.9


def test_a_mean_that_publications_disagree_on_leaves_the_endplate_as_unsure_as_it_makes_it():
    """The lowest level seen exactly: the endplate is the part of it that neither disc nor the discs' mean explain."""
    covariance = _anyone()
    tilt, mean, own = (NAMES.index(name) for name in (SACRAL_TILT, LOWEST_MEAN, "own L5_S1_Flex_Ext"))
    assert np.degrees(np.sqrt(covariance[mean, mean])) == pytest.approx(4.0, rel=1e-6)
    assert covariance[mean, tilt] == pytest.approx(0.0, abs=1e-12)
    both = covariance[tilt, tilt] + covariance[mean, mean]
    disc = covariance[own, own] - both
    left = covariance[tilt, tilt] - covariance[tilt, own] ** 2 / covariance[own, own]
    assert left == pytest.approx(1 / (1 / covariance[tilt, tilt] + 1 / (disc + covariance[mean, mean])), rel=1e-6)
    surely = 1 / (1 / covariance[tilt, tilt] + 1 / disc)  # with a mean that is known
    assert left > 1.2 * surely
