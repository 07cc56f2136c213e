"""The body as the SIMSPINE paper describes it: its 62 axes, lumbar levels free, thorax rigid, neck and head in one."""

from itertools import pairwise

import numpy as np
import pytest
import yaml

from simspine import fit_trials
from simspine.anatomy.body import body_poses, forward_kinematics, neutral_markers, neutral_motion, neutral_poses
from simspine.anatomy.curvature import read_endplates
from simspine.anatomy.priors import LEVEL_AXIS_COORDINATES
from simspine.anatomy.recipes import build_body, read_prior, read_recipe
from simspine.core.errors import InputError
from simspine.core.settings import models_folder
from simspine.core.types import Motion, Origin
from simspine.estimation.fit_person import SizedBody

LUMBAR = ("L5_S1", "L4_L5", "L3_L4", "L2_L3", "L1_L2", "L1_T12")
NECK = ("neck_flexion", "neck_bending", "neck_rotation")


@pytest.fixture(scope="module")
def paper():
    return build_body("paper", "simspine37")


def moved(body, **values):
    return {name: pose[0] for name, pose in body_poses(body, neutral_motion(body, values)).items()}


def test_62_axes_as_the_paper_counts(paper, release):
    """The paper: 62 axes, three at each joint T12–L1 … L5–S1, three at the cervicothoracic joint. Names and order are
    the release's, whose `kinematic_axes` are those of the coupled body."""
    c = paper.coordinates
    assert len(c) == 62
    assert c.names == release.coordinates.names
    np.testing.assert_array_equal(c.rotational, release.coordinates.rotational)
    assert c.rotational.sum() == 57  # five are lengths: the pelvis' place and two of the Abdomen
    free = {name for name, moves in zip(c.names, c.free, strict=True) if moves}
    assert {f"{level}_{axis}" for level in LUMBAR for axis in LEVEL_AXIS_COORDINATES} | set(NECK) <= free
    held = set(c.names) - free
    assert held == {"knee_angle_r_beta", "knee_angle_l_beta", "Abs_r1", "Abs_r2", "Abs_r3", "Abs_t1", "Abs_t2"}
    assert {coupler.dependent for coupler in paper.couplers} == {"knee_angle_r_beta", "knee_angle_l_beta"}


def test_nothing_moves_in_the_neutral_pose(paper, release):
    split, whole = neutral_poses(paper), neutral_poses(release)
    assert set(split) - set(whole) == {"neck"}
    for name in whole:
        np.testing.assert_allclose(split[name], whole[name], atol=1e-9, err_msg=name)
    np.testing.assert_allclose(split["neck"], whole["torso"], atol=1e-9)
    assert paper.marker_names == release.marker_names
    np.testing.assert_allclose(neutral_markers(paper), neutral_markers(release), atol=1e-9)


def test_neck_and_head_turn_together_about_the_disc_of_c7(paper):
    rest, bent = neutral_poses(paper), moved(paper, neck_flexion=-0.4, neck_bending=0.2, neck_rotation=0.3)
    for name in ("torso", "lumbar1", "humerus_r"):
        np.testing.assert_allclose(bent[name], rest[name], atol=1e-12)
    relative = [np.linalg.inv(poses["neck"]) @ poses["head"] for poses in (rest, bent)]
    np.testing.assert_allclose(*relative, atol=1e-12)
    plates = read_endplates()
    disc = np.append(np.mean([plates["T1"].superior.centre, plates["C7"].inferior.centre], 0), 1)
    np.testing.assert_allclose(bent["neck"] @ disc, rest["torso"] @ disc, atol=1e-12)
    carriers = dict(zip(paper.marker_names, paper.marker_bodies, strict=True))
    for name in ("Neck", "Neck_02", "Neck_03", "Neck_02_virtual", "C1_virtual", "C7_virtual"):
        assert carriers[name] == "neck", name
    assert carriers["T1_virtual"] == carriers["Spine_05"] == "torso"
    assert carriers["Head"] == "head"


@pytest.mark.parametrize("level", LUMBAR)
def test_each_lumbar_level_moves_by_itself(paper, level):
    bodies = ("sacrum", "lumbar5", "lumbar4", "lumbar3", "lumbar2", "lumbar1", "torso")
    rest, bent = neutral_poses(paper), moved(paper, **{f"{level}_{axis}": 0.1 for axis in LEVEL_AXIS_COORDINATES})
    turned = [
        not np.allclose(*(np.linalg.inv(p[below]) @ p[above] for p in (rest, bent)), atol=1e-9)
        for below, above in pairwise(bodies)
    ]
    assert turned == [name == level for name in LUMBAR]


def test_priors_and_limits_are_the_articulated_bodys(paper):
    whole, ours = (
        {tuple(sorted(term.combination.items())): term for term in read_prior(name).terms}
        for name in ("articulated", "paper")
    )
    lumbar = {key: term for key, term in whole.items() if key[0][0].startswith(LUMBAR)}
    assert len(lumbar) == 2 * 18
    assert {key: ours[key] for key in lumbar} == lumbar
    assert len(ours) == 36 + 3
    region = read_recipe("articulated").articulation.regions[0]
    c = paper.coordinates
    for axis, motions in zip(LEVEL_AXIS_COORDINATES, region.axes, strict=True):
        at = [c.index(f"{level}_{axis}") for level in region.levels]
        np.testing.assert_allclose(c.lower[at], motions.lower)
        np.testing.assert_allclose(c.upper[at], motions.upper)
        assert c.clamped[at].all()


def test_only_what_is_rigid_is_forced(paper):
    sized = SizedBody(paper, read_recipe("paper"), {})
    forced = {level for level, facts in sized.forced.items() if facts}
    assert forced == {"tka"}  # the thorax


def test_a_person_is_fitted(paper):
    """Exact markers of a bent person, whose levels are off any rhythm: vertebrae come back within the priors' pull."""
    values = {"L4_L5_Flex_Ext": -0.12, "L2_L3_Flex_Ext": 0.03, "L1_L2_Lat_Bending": 0.05, "neck_flexion": -0.3}
    values |= {"arm_add_r": 0.0, "arm_add_l": 0.0, "pelvis_ty": 0.95}
    rows = np.tile(neutral_motion(paper, values).values, (12, 1))
    motion = Motion(paper.coordinates.names, 50, rows, paper.coordinates.rotational)
    places = [n for n in paper.marker_names if n.isalpha() or n.startswith(("Spine_0", "Neck_0"))]
    names = [name for name in places if not name.endswith(("_virtual", "_inferred"))]
    true = forward_kinematics(paper, motion)
    seen = true.select(names).with_(origin=(Origin.DETECTED,) * len(names))
    sure = np.broadcast_to(1e-8 * np.eye(3), (*seen.xyz.shape, 3))  # views that agree, so markers weigh more
    found = fit_trials({"bent": seen.with_(covariance=sure)}, "paper", "simspine37")["bent"]
    centres = found.spine.centres
    wanted = true.xyz[:, true.indices([f"{level}_virtual" for level in centres.names])]
    assert np.linalg.norm(centres.xyz - wanted, axis=-1).max() < 0.008
    assert found.spine.levels[:7] == ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1", "neck")


@pytest.mark.parametrize(("changes", "message"), [
    ({"free": {"regions": ["lumbal"], "of": "articulated"}}, "Did you mean 'lumbar'"),
    ({"neck": {"split": "torso"}}, "not a body recipe"),
])  # fmt: skip
def test_a_recipe_that_is_wrong_says_where(tmp_path, changes, message):
    data = yaml.safe_load((models_folder() / "paper.yaml").read_text()) | changes
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(data))
    with pytest.raises(InputError, match=message):
        read_recipe(str(path))


@pytest.mark.parametrize(
    ("base", "regions", "said"),
    [
        ("articulated", [], "go without `articulation`"),
        ("coupled", ["thoracic"], "no free coordinate T11_T12_Flex_Ext"),
        ("coupled", ["lumbar"], "no free coordinate L4_L5_Flex_Ext"),
    ],
)
def test_a_neck_in_one_piece_or_a_level_that_the_model_does_not_allow(tmp_path, base, regions, said):
    path, free = tmp_path / "mine.yaml", {"regions": regions, "of": "articulated"}
    path.write_text(yaml.safe_dump({"name": "mine", "from": base, "free": free}))
    with pytest.raises(InputError, match=said):
        build_body(str(path), "simspine37")
