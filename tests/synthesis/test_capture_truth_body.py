"""The bodies of synthetic subjects: as tall and as curved as sampled, read alike by OpenSim, unlike the estimator's."""

import numpy as np
import pytest
from opensim_poses import assert_poses_are_opensims

from simspine.anatomy import osim
from simspine.anatomy.body import body_poses, forward_kinematics, neutral_motion, neutral_poses
from simspine.anatomy.curvature import lumbar_lordosis, thoracic_kyphosis
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES
from simspine.anatomy.vertebrae import vertebra_centroids
from simspine.core.types import Motion
from simspine.synthesis.bodies import truth_body, unscaled_body, unscaled_measures
from simspine.synthesis.population import SHIFT_DIRECTIONS, make_subject, read_levels
from simspine.synthesis.standing_posture import sizes_of


@pytest.fixture(scope="module")
def truth(subject):
    return truth_body(subject)


@pytest.fixture(scope="module")
def standing(truth):
    motion = neutral_motion(truth.body)
    return body_poses(truth.body, motion), forward_kinematics(truth.body, motion)


def spacings(truth, poses) -> np.ndarray:
    """(levels − 2,) m between neighbouring centres, from L5–L4 up to C2–C1."""
    centres = vertebra_centroids(poses, truth.vertebrae, 50.0).xyz[0, ::-1]
    return np.linalg.norm(np.diff(centres[1:], axis=0), axis=1)


def test_stands_as_tall_as_sampled(subject, truth, standing):
    poses, markers = standing
    height = markers.xyz[0, markers.index("vertex"), 1] - poses["calcn_r"][0, 1, 3]
    assert height == pytest.approx(subject.stature, abs=2e-3)
    thigh = poses["femur_r"][0, :3, 3] - poses["tibia_r"][0, :3, 3]
    assert abs(thigh[0]) < 0.02  # upright


def test_curves_are_as_sampled(subject, truth, standing):
    poses, markers = standing
    lla, tka = lumbar_lordosis(poses, truth.vertebrae), thoracic_kyphosis(poses, truth.vertebrae)
    # measured in three dimensions, with the spine's own slight bends to the side
    np.testing.assert_allclose(np.degrees(lla), np.degrees(subject.spine.lordosis), atol=0.2)
    np.testing.assert_allclose(np.degrees(tka), np.degrees(subject.spine.kyphosis), atol=0.2)
    behind = markers.xyz[0, markers.index("joint_hip_r"), 0] - markers.xyz[0, markers.index("C7"), 0]
    assert behind == pytest.approx(subject.spine.c7_behind_hips, abs=3e-3)


def test_vertebrae_are_as_far_apart_as_sampled(subject, truth, standing):
    found = spacings(truth, standing[0])
    wanted = subject.spine.spacing[1:-1]
    error = (found / wanted - 1)[np.isfinite(wanted)]
    assert np.abs(error).max() < 0.05  # the standing curve tilts discs about centres that are not their middles
    assert np.median(np.abs(error)) < 0.01


def test_vertebrae_keep_their_order_and_discs_their_height(truth):
    for level, vertebra in truth.vertebrae.items():
        if vertebra.superior and vertebra.inferior:
            height = np.subtract(vertebra.superior.centre, vertebra.inferior.centre)[1]
            assert 0.008 < height < 0.035, level


def test_disc_heights_are_of_published_size():
    """Thoracic, by CT: men 4.0 ± 1.4, women 3.6 ± 1.3 mm (Fletcher 2015, n = 128). Ours are what spacings leave."""
    generic = unscaled_measures(*unscaled_body())
    names = generic.levels
    first, last = names.index("T11_T12"), names.index("T1_T2")
    heights = []
    for index in range(40):
        sizes = sizes_of(make_subject(4, index), generic)
        for k in range(first, last + 1):
            low, high = (generic.carried.get(name) for name in generic.chain[k : k + 2])
            top = sizes.factors[low.body] * np.array(low.superior.centre)
            bottom = sizes.factors[high.body] * np.array(high.inferior.centre)
            gap = (sizes.below[k] - top) - (sizes.above[k] - bottom)
            heights.append(1e3 * gap @ low.superior.normal)
    assert 3.0 < np.mean(heights) < 4.5
    assert 0.7 < np.std(heights) < 1.8


def test_mass_is_the_subjects(subject, truth):
    model = osim.load_opensim_model(truth.body.osim)
    assert model.getTotalMass(model.initSystem()) == pytest.approx(subject.mass, rel=1e-6)


def test_coordinates(truth):
    c = truth.body.coordinates
    names = {f"{level}_{axis}" for level in read_levels().names for axis in LEVEL_AXIS_COORDINATES}
    shifts = {f"{level}_shift_{way}" for level in read_levels().names for way in SHIFT_DIRECTIONS}
    assert names | shifts <= set(c.names)
    assert not c.rotational[[c.index(name) for name in shifts]].any()
    assert c.rotational[[c.index(name) for name in names]].all()
    assert ((c.lower <= c.default) & (c.default <= c.upper)).all()


def test_bodies_and_markers_are_where_opensim_places_them(truth):
    body = truth.body
    rng = np.random.default_rng(0)
    size = np.where(body.coordinates.rotational, 0.2, 0.005)
    values = body.coordinates.default + size * rng.uniform(-1, 1, (3, len(body.coordinates)))
    motion = Motion(body.coordinates.names, 50.0, values, body.coordinates.rotational)
    assert_poses_are_opensims(body, motion, atol=1e-10)


def test_shifts_move_along_the_vertebra_below(truth):
    still = neutral_poses(truth.body)
    moved = neutral_poses(truth.body, {"L3_L4_shift_forward": 2e-3, "L3_L4_shift_up": -1e-3})
    np.testing.assert_allclose(moved["lumbar4"], still["lumbar4"])
    step = still["lumbar4"][:3, :3].T @ (moved["lumbar3"] - still["lumbar3"])[:3, 3]
    np.testing.assert_allclose(step, [2e-3, -1e-3, 0], atol=1e-12)


def test_no_scaling_of_the_estimators_body_is_this_body(subject, truth, standing):
    """Standing is another curve, and vertebrae have other proportions than one factor for the torso can give."""
    curve = np.array([truth.body.coordinates.default[truth.body.coordinates.index(f"{level}_Flex_Ext")]
                      for level in read_levels().names])  # fmt: skip
    assert np.degrees(np.sqrt((curve**2).mean())) > 1.0  # 0 in the estimator's
    base = unscaled_body()[1]
    generic = vertebra_centroids(
        {name: pose[None] for name, pose in neutral_poses(base).items()},
        unscaled_measures(*unscaled_body()).vertebrae,
        50.0,
    ).xyz[0, ::-1]
    ratio = spacings(truth, standing[0]) / np.linalg.norm(np.diff(generic[1:], axis=0), axis=1)
    assert ratio.std() / ratio.mean() > 0.03
