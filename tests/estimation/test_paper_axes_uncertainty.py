"""Deviations of the paper's 62 axes: equal to the scatter of many motions drawn with those of the coordinates."""

import numpy as np
import pytest

from simspine.anatomy.alignment import lumbar_flexion
from simspine.anatomy.body import body_poses, follow_couplers, neutral_motion
from simspine.anatomy.curvature import read_endplates
from simspine.anatomy.paper_axes import AXIS_AS_SOLVED, AXIS_COMPOSED, AXIS_LOCKED, paper_axes_of, to_paper_axes
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.anatomy.split_torso import carried_vertebrae, spine_levels
from simspine.anatomy.vertebrae import angles_of_level
from simspine.estimation.uncertainty import PAPER_NECK_AXES, known_deviations, paper_axes_deviation

DRAWS = 3000


@pytest.fixture(scope="module")
def body():
    return build_body("articulated", "simspine-release")


@pytest.fixture(scope="module")
def posed(body):
    """Two equal poses with everything bent, the first without solution; and different deviations."""
    c, rng = body.coordinates, np.random.default_rng(3)
    rest = neutral_motion(body, {"arm_add_r": -0.4, "arm_add_l": -0.3, "pelvis_ty": 0.95})
    pose = rest.values[0] + np.where(c.free, rng.uniform(-0.2, 0.2, len(c)), 0)
    values = follow_couplers(body, np.tile(pose, (2, 1)))
    deviation = np.tile(np.where(c.free, rng.uniform(0.005, 0.03, len(c)), 0.0), (2, 1))
    values[0] = np.nan
    return rest.with_(values=values, deviation=deviation)


def test_composed_axes_scatter_as_said(body, posed):
    found = paper_axes_deviation(body, posed, {})
    assert found.shape == (2, 62)
    assert np.isnan(found[0]).all()
    rng = np.random.default_rng(0)
    drawn = posed.values[1] + posed.deviation[1] * rng.normal(size=(DRAWS, len(posed.names)))
    many = posed.with_(values=follow_couplers(body, drawn), deviation=None)
    scatter = to_paper_axes(body, many).values.std(0)
    for i, axis in enumerate(paper_axes_of(body)):
        if axis.how == AXIS_COMPOSED:
            assert found[1, i] == pytest.approx(scatter[i], rel=0.06), axis.name
        elif axis.how == AXIS_AS_SOLVED:
            assert found[1, i] == posed.deviation[1, posed.names.index(axis.name)]
        else:
            assert axis.how == AXIS_LOCKED
            assert found[1, i] == 0


def test_deviations_with_all_covariances_take_their_place(body, posed):
    neck, lumbar = np.full((2, 3), 0.3) * [1, 2, 3], np.full(2, 0.7)
    known = known_deviations(body, {"neck": neck, "lumbar": neck}, lumbar)
    found = paper_axes_deviation(body, posed, known)
    names = [axis.name for axis in paper_axes_of(body)]
    np.testing.assert_allclose(
        found[1, [names.index(name) for name in (*PAPER_NECK_AXES, "Abs_r3")]], [0.3, 0.6, 0.9, 0.7]
    )
    plain = paper_axes_deviation(body, posed, {})
    others = [i for i, name in enumerate(names) if name not in known]
    np.testing.assert_array_equal(found[1, others], plain[1, others])
    assert np.isnan(found[0]).all()


def test_the_neck_is_the_level_neck_and_the_abdomens_flexion_the_lumbar_one(body, posed):
    """The same angles up to sign, so that their deviations are the axes'."""
    poses = body_poses(body, posed)
    vertebrae = carried_vertebrae(read_recipe("articulated").articulation, read_endplates())
    axes = dict(zip(to_paper_axes(body, posed).names, to_paper_axes(body, posed).values[1], strict=True))
    level = next(level for level in spine_levels(read_recipe("articulated").articulation) if level.name == "neck")
    angles = angles_of_level(level, poses)[0][1]
    np.testing.assert_allclose(np.abs([axes[name] for name in PAPER_NECK_AXES]), np.abs(angles), atol=1e-9)
    assert abs(axes["Abs_r3"]) == pytest.approx(abs(lumbar_flexion(poses, vertebrae)[1]))


def test_a_body_whose_neck_is_its_own_joint_has_none_known():
    paper = build_body("paper", "simspine-release")
    assert known_deviations(paper, {"neck": np.zeros((2, 3))}, None) == {}


def test_without_deviations_there_are_none(body, posed):
    assert paper_axes_deviation(body, posed.with_(deviation=None), {}) is None
