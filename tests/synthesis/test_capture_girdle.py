"""Synthetic people's shoulders and hips: where they are, and how the shoulders go with the arms."""

import numpy as np
import pytest

from simspine.anatomy.body import neutral_poses
from simspine.anatomy.recipes import read_prior
from simspine.anatomy.split_torso import CLAVICLE_MOTIONS, girdle_angle
from simspine.synthesis.bodies import truth_body, unscaled_body, unscaled_measures
from simspine.synthesis.population import read_population
from simspine.synthesis.virtual_trial import make_trial


@pytest.fixture(scope="module")
def subject(people):
    """Somebody whose shoulders are neither where the generic body's are nor at the same height."""
    return next(p for p in people if min(abs(v) for v in p.girdle.rest.values()) > np.radians(4))


def test_shoulders_and_hips_have_the_tables_spread(people):
    table = read_population()
    for motion in CLAVICLE_MOTIONS:
        mean, sd = table["girdle"][f"rest_{motion}"]
        drawn = np.degrees([p.girdle.rest[motion] for p in people])
        assert drawn.mean() == pytest.approx(mean, abs=4 * sd / np.sqrt(len(people)))
        assert drawn.std() == pytest.approx(sd, rel=0.15)
    assert np.std([p.girdle.width for p in people]) == pytest.approx(0.05, rel=0.15)
    spread = np.std([p.hips for p in people], axis=0)
    np.testing.assert_allclose(spread, [table["hips_m"][way][1] for way in ("forward", "up")], rtol=0.15)


def test_the_body_rests_as_drawn(subject):
    truth = truth_body(subject)
    body, poses = truth.body, neutral_poses(truth.body)
    generic = neutral_poses(unscaled_body()[1])
    for side, sign in (("r", 1.0), ("l", -1.0)):
        for motion in CLAVICLE_MOTIONS:
            index = body.coordinates.index(girdle_angle(motion, side))
            assert body.coordinates.default[index] == subject.girdle.rest[motion]
        arm = (poses[f"humerus_{side}"] - poses[f"clavicle_{side}"])[:3, 3]
        own = (generic[f"humerus_{side}"] - generic[f"clavicle_{side}"])[:3, 3]
        assert np.linalg.norm(arm) == pytest.approx(truth.sizes.thorax * subject.girdle.width * np.linalg.norm(own))
        # up and forward of where the unturned clavicle has the shoulder, in the thorax
        in_thorax = poses["T4"][:3, :3].T @ arm / (truth.sizes.thorax * subject.girdle.width)
        assert np.sign(in_thorax[1] - own[1]) == np.sign(subject.girdle.rest["elevation"])
        assert np.sign(in_thorax[0] - own[0]) == np.sign(subject.girdle.rest["protraction"])
        outwards = poses["T4"][:3, :3].T @ poses[f"humerus_{side}"][:3, 1]  # of a hanging arm, upwards
        assert np.degrees(np.arcsin(-sign * outwards[2])) == pytest.approx(7.0, abs=1.0)  # the elbow, out by 7°


def test_hips_are_where_drawn(subject):
    truth = truth_body(subject)
    poses = neutral_poses(truth.body)
    in_pelvis = np.linalg.inv(poses["pelvis"]) @ (poses["femur_r"] + poses["femur_l"])[:, 3] / 2
    place = in_pelvis[:2] - truth.sizes.factors["pelvis"] * unscaled_measures(*unscaled_body()).hips[:2]
    np.testing.assert_allclose(place, subject.hips, atol=1e-9)


def test_arms_take_the_shoulders_up_back_and_forward(people):
    girdle = people[0].girdle
    hang, side, front = np.radians([[0.0, -7.0], [0.0, -120.0], [90.0, 0.0]])
    rest, out, ahead = (girdle.at("r", *np.array([pose]).T) for pose in (hang, side, front))
    assert all(abs(np.degrees(v[0])) < 0.5 for v in rest.values())
    up = np.degrees([p.girdle.at("r", *np.array([side]).T)[girdle_angle("elevation", "r")][0] for p in people])
    back = -np.degrees([p.girdle.at("r", *np.array([side]).T)[girdle_angle("protraction", "r")][0] for p in people])
    assert up.mean() == pytest.approx(15.0, abs=1.5)  # see population.yaml
    assert back.mean() == pytest.approx(16.0, abs=1.5)
    assert up.std() > 2
    assert out[girdle_angle("protraction", "r")][0] < 0 < ahead[girdle_angle("protraction", "r")][0]


def test_the_truth_is_not_the_estimators_prior(subject):
    """Its mean is the generic rest; the subject's shoulders rest elsewhere and move with the arms."""
    motion = make_trial(subject, "Posing", 1, 600).motion
    for term in read_prior("articulated").terms:
        if any("clavicle" in name for name in term.combination):
            departure = sum(k * motion.column(name) for name, k in term.combination.items()) - term.mean
            assert np.abs(departure).max() > 0.3 * term.sd
            assert departure.std() > np.radians(0.5)
