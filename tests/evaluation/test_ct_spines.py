"""The second family of people: spines as scans have them, bodies that can be built."""

from dataclasses import fields

import numpy as np
import pytest
from scipy.stats import norm
from tools.bench.ct_spines import make_ct_subject, sample_curve, sample_shape, spacing_of
from tools.spine_shape_statistics import (
    angle_statistics,
    intervertebral_angles,
    intervertebral_matrix,
    supine_to_standing_shift,
    vector_parameters,
)

from simspine.anatomy.body import body_poses, neutral_motion
from simspine.anatomy.shape_model import CHAIN_LEVELS, packaged_shape_model
from simspine.anatomy.vertebrae import vertebra_centroids
from simspine.synthesis.bodies import truth_body
from simspine.synthesis.population import (
    make_subject,
    read_levels,
    truncated_normal,
)
from simspine.synthesis.signals import random_stream

PEOPLE = 800
SPREAD = 0.054  # of stature, relative
CUT = 1 - 2 * 2.5 * norm.pdf(2.5) / (norm.cdf(2.5) - norm.cdf(-2.5))  # variance of a normal number cut at 2.5


@pytest.fixture(scope="module")
def shapes():
    def one(k):
        def draw(quantity):
            return random_stream(7, str(k), quantity)

        tall = np.exp(float(truncated_normal(draw("stature"), 0.0, SPREAD)))
        shape = sample_shape(draw, tall, SPREAD)
        return shape, sample_curve(draw, shape, 0.0)

    return [np.array(v) for v in zip(*map(one, range(PEOPLE)), strict=True)]


def test_shapes_have_the_models_mean_and_covariance(shapes):
    mean, covariance = packaged_shape_model().prior("supine")
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(shapes[0].mean(0) - mean) < 4.5 * sd / np.sqrt(PEOPLE)).all()
    found = np.cov(shapes[0].T) / np.outer(sd, sd)
    np.testing.assert_allclose(found, CUT * covariance / np.outer(sd, sd), atol=4.5 / np.sqrt(PEOPLE))


def test_spacings_are_the_scans(shapes):
    spacing = np.array([spacing_of(z) for z in shapes[0]])
    assert np.isfinite(spacing).sum(1).tolist() == [22] * PEOPLE
    levels = read_levels()
    known = np.isfinite(levels.spacing)  # the same scans, level by level
    np.testing.assert_allclose(spacing.mean(0)[known], levels.spacing[known], rtol=0.035)
    np.testing.assert_allclose(spacing.std(0)[known], levels.spacing_sd[known], rtol=0.45)


def test_curves_are_the_scans_stood_up(shapes):
    from simspine.anatomy.recipes import read_recipe

    mean, covariance = angle_statistics(packaged_shape_model())
    wanted = mean[:, 0] - intervertebral_matrix() @ read_recipe("articulated").articulation.neutral_pitch
    shift = list(supine_to_standing_shift().values())[::-1]  # from below
    wanted[:5] += shift[1:]
    sd = np.sqrt(np.diag(covariance[0]))
    curve = shapes[1]
    assert (np.abs(curve[:, 1:23].mean(0) - wanted) < 4.5 * sd / np.sqrt(PEOPLE)).all()
    np.testing.assert_allclose(np.cov(curve[:, 1:23].T), CUT * covariance[0], atol=4.5 * sd.max() ** 2 / PEOPLE**0.5)
    lordosis = 64.3 + np.degrees(curve[:, :5].sum(1))  # L5–S1, which scans do not have, makes it the published one
    assert lordosis.mean() == pytest.approx(49.8, abs=4.5 * lordosis.std() / PEOPLE**0.5)
    assert np.degrees(curve[:, 0].std()) == pytest.approx(5.0, rel=0.1)  # 32.4 of 72.6 parts of 11.2°
    assert not curve[:, 23:].any()


def test_only_spacing_and_curve_differ_between_the_families():
    a, b, again = (make(5, 2) for make in (make_subject, make_ct_subject, make_ct_subject))
    assert (a.stature, a.mass, a.proportions) == (b.stature, b.mass, b.proportions)
    differ = {f.name for f in fields(a.spine) if not np.array_equal(getattr(a.spine, f.name), getattr(b.spine, f.name))}
    assert differ == {"spacing", "curve"}
    np.testing.assert_array_equal(b.spine.curve, again.spine.curve)
    np.testing.assert_array_equal(b.spine.spacing, again.spine.spacing)
    assert a.spine.curve is None


@pytest.mark.slow
def test_a_body_can_be_built_and_has_that_spine():
    subject = make_ct_subject(3, 2)
    truth = truth_body(subject)
    c = truth.body.coordinates
    assert ((c.lower <= c.default) & (c.default <= c.upper)).all()
    motion = neutral_motion(truth.body)
    poses = body_poses(truth.body, motion)
    centres = vertebra_centroids(poses, truth.vertebrae, 50.0).select(CHAIN_LEVELS).xyz[0]
    apart = np.linalg.norm(np.diff(centres, axis=0), axis=1)[::-1]
    np.testing.assert_allclose(apart[1:23], subject.spine.spacing[1:23], rtol=0.04)
    own = [c.default[c.index(f"{level}_Flex_Ext")] for level in read_levels().names]
    curve = np.array(own[1:17])  # L4–L5 to T1–T2; the neck is held as the gaze wants it
    np.testing.assert_allclose(curve, subject.spine.curve[1:17])
    from simspine.anatomy.recipes import read_recipe

    generic = intervertebral_matrix() @ read_recipe("articulated").articulation.neutral_pitch
    shown = intervertebral_angles(vector_parameters(centres))[1:15, 0] - generic[1:15]
    smooth = (curve[:-2] + 2 * curve[1:-1] + curve[2:]) / 4
    assert np.degrees(np.abs(shown - smooth)).max() < 2.0
