"""The 62 axes of the paper out of other bodies: composed rotations against those of the bodies at their ends."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from simspine.anatomy.body import Body, body_poses, neutral_motion
from simspine.anatomy.paper_axes import (
    AXIS_AS_SOLVED,
    AXIS_COMPOSED,
    AXIS_LOCKED,
    paper_axes_of,
    thorax_left_out,
    to_paper_axes,
)
from simspine.anatomy.recipes import build_body
from simspine.core.errors import InputError
from simspine.core.types import Motion

FRAMES = 12
NECK = ("neck_flexion", "neck_bending", "neck_rotation")
ABDOMEN = ("Abs_r3", "Abs_r2", "Abs_r1")
ARMS = {side: tuple(f"arm_{axis}_{side}" for axis in ("flex", "add", "rot")) for side in "rl"}


@pytest.fixture(scope="module")
def bodies():
    return {name: build_body(name, "simspine-release") for name in ("coupled", "paper", "articulated")}


@pytest.fixture(scope="module")
def moving(bodies):
    """Slow movements of everything at once, three rotations at each level; one frame without solution."""
    body, rng = bodies["articulated"], np.random.default_rng(4)
    c = body.coordinates
    rest = neutral_motion(body, {"arm_add_r": -0.2, "arm_add_l": -0.2, "pelvis_ty": 0.95}).values[0]
    size = np.where(c.free, np.minimum(0.4 * (c.upper - c.lower), 0.35), 0.0)
    swing = np.sin(np.linspace(0, 2, FRAMES)[:, None] + rng.uniform(0, 6, len(c))) * size
    values = rest + swing
    values[5] = np.nan
    for side in "rl":
        values[:, c.index(f"knee_angle_{side}_beta")] = values[:, c.index(f"knee_angle_{side}")]
    return Motion(c.names, 50, values, c.rotational, start=0.3)


def relative(poses, parent, child):
    return np.swapaxes(poses[parent][:, :3, :3], 1, 2) @ poses[child][:, :3, :3]


def columns(motion, names):
    return motion.values[:, [motion.names.index(name) for name in names]]


def test_names_units_and_where_axes_come_from(bodies):
    reference = bodies["coupled"].coordinates
    for name, body in bodies.items():
        axes = paper_axes_of(body)
        assert tuple(axis.name for axis in axes) == reference.names
        assert [axis.unit == "deg" for axis in axes] == reference.rotational.tolist()
        composed = {axis.name for axis in axes if axis.how == AXIS_COMPOSED}
        assert composed == {
            "coupled": set(), "paper": set(ABDOMEN),
            "articulated": {*ABDOMEN, *NECK, *ARMS["r"], *ARMS["l"]},
        }[name]  # fmt: skip
        assert {axis.name for axis in axes if axis.how == AXIS_LOCKED} == {"Abs_t1", "Abs_t2"}
        spans = {axis.name: axis.spans for axis in axes}
        if name == "articulated":
            assert (spans["neck_flexion"], spans["arm_rot_l"]) == (("T1", "head"), ("T4", "humerus_l"))
            assert (spans["Abs_r3"], spans["L1_T12_Flex_Ext"]) == (("sacrum", "T12"), None)


def test_the_coupled_body_has_them_as_they_are(bodies):
    body = bodies["coupled"]
    motion = neutral_motion(body, {"L5_S1_Flex_Ext": -0.1, "neck_flexion": 0.2, "arm_flex_r": 0.4})
    found = to_paper_axes(body, motion)
    assert found.names == motion.names
    np.testing.assert_array_equal(found.values, motion.values)


def test_what_is_composed_turns_the_paper_body_as_the_ends_turn(bodies, moving):
    """Put into the paper's body, the axes give its head, arms and lumbar vertebrae the rotations of the articulated
    body's, each on the body it counts from: another model, its own joints, forward kinematics by the compiled tree."""
    found = to_paper_axes(bodies["articulated"], moving)
    known = [i for i, name in enumerate(found.names) if name not in ABDOMEN]  # locked in the paper's body
    put = Motion([found.names[i] for i in known], 50, found.values[:, known], found.rotational[known])
    paper, source = body_poses(bodies["paper"], put), body_poses(bodies["articulated"], moving)
    solved = np.arange(FRAMES) != 5
    pairs = {("torso", "head"): ("T1", "head"), ("lumbar1", "torso"): ("lumbar1", "T12")}
    pairs |= {("torso", f"humerus_{side}"): ("T4", f"humerus_{side}") for side in "rl"}
    lumbar = ("sacrum", "lumbar5", "lumbar4", "lumbar3", "lumbar2", "lumbar1")
    pairs |= {pair: pair for pair in pairwise(lumbar)}
    pairs |= {("pelvis", "femur_r"): ("pelvis", "femur_r"), ("ulna_l", "radius_l"): ("ulna_l", "radius_l")}
    for ours, theirs in pairs.items():
        np.testing.assert_allclose(
            relative(paper, *ours)[solved], relative(source, *theirs)[solved], atol=1e-9, err_msg=str(ours)
        )
    np.testing.assert_allclose(paper["pelvis"][solved], source["pelvis"][solved], atol=1e-12)
    lumbar_turn = Rotation.from_euler("ZXY", columns(found, ABDOMEN)[solved]).as_matrix()
    np.testing.assert_allclose(lumbar_turn, relative(source, "sacrum", "T12")[solved], atol=1e-9)


def test_a_gap_stays_a_gap(bodies, moving):
    found = to_paper_axes(bodies["articulated"], moving)
    assert np.isnan(found.values[5]).all()
    assert np.isfinite(np.delete(found.values, 5, 0)).all()
    assert (found.rate, found.start, found.frames) == (50, 0.3, FRAMES)
    assert found.deviation is None


def test_angles_add_up_only_where_one_axis_turns(bodies):
    body = bodies["articulated"]
    levels = ("C7_T1", "C6_C7", "C5_C6", "C4_C5", "C3_C4", "C2_C3", "C1_C2", "C1_skull")
    bent = neutral_motion(body, {f"{level}_Flex_Ext": 0.08 for level in levels})
    np.testing.assert_allclose(columns(to_paper_axes(body, bent), NECK)[0], [0.64, 0, 0], atol=1e-9)
    turned = {f"{level}_Flex_Ext": 0.08 for level in levels} | {"C1_C2_axial_rotation": 0.6, "C5_C6_Lat_Bending": 0.2}
    found = columns(to_paper_axes(body, neutral_motion(body, turned)), NECK)[0]
    assert np.degrees(np.abs(found - [0.64, 0.2, 0.6])).max() > 2


def test_arms_count_from_the_rib_cage(bodies):
    """A shrug moves the clavicle on T4, and the arm with it; alone it is what the arm's axes show."""
    body = bodies["articulated"]
    still = neutral_motion(body, {"arm_add_r": 0.0})
    shrug = neutral_motion(body, {"arm_add_r": 0.0, "clavicle_elevation_r": 0.2})
    change = columns(to_paper_axes(body, shrug), ARMS["r"]) - columns(to_paper_axes(body, still), ARMS["r"])
    assert np.abs(change).max() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_allclose(columns(to_paper_axes(body, still), ARMS["r"]), columns(still, ARMS["r"]), atol=1e-9)


def test_what_a_rigid_thorax_cannot_hold_is_told(bodies):
    body = bodies["articulated"]
    levels = ("T8_T9", "T7_T8", "T6_T7")
    bent = neutral_motion(body, {f"{level}_Flex_Ext": -0.05 for level in levels})
    assert thorax_left_out(body, bent) == pytest.approx(0.15)
    still = to_paper_axes(body, neutral_motion(body))
    np.testing.assert_allclose(to_paper_axes(body, bent).values, still.values, atol=1e-9)
    assert thorax_left_out(bodies["paper"], neutral_motion(bodies["paper"])) == 0.0


def test_a_body_of_another_kind_is_refused(bodies):
    stranger = Body.from_text(bodies["coupled"].osim.replace("hip_flexion_r", "hip_flex_right"))
    with pytest.raises(InputError, match="has no hip_flexion_r, which the 62 axes need"):
        paper_axes_of(stranger)


def test_axes_as_solved_are_copied(bodies, moving):
    axes, found = paper_axes_of(bodies["articulated"]), to_paper_axes(bodies["articulated"], moving)
    copied = [axis.name for axis in axes if axis.how == AXIS_AS_SOLVED]
    assert len(copied) == 62 - 12 - 2
    np.testing.assert_array_equal(columns(found, copied), columns(moving, copied))
