import numpy as np
import pytest
from opensim_poses import assert_poses_are_opensims

from simspine.anatomy.body import body_poses, follow_couplers, forward_kinematics, neutral_motion
from simspine.anatomy.recipes import build_body
from simspine.anatomy.tree import all_coordinates, all_poses, moved_poses
from simspine.core.errors import InputError
from simspine.core.types import Motion


@pytest.mark.parametrize("recipe", ["coupled", "articulated", "paper"])
def test_markers_and_poses_are_opensims(recipe):
    """At random poses, within the limits where there are any; the oracle is the model file in OpenSim itself."""
    body, rng = build_body(recipe, "simspine37"), np.random.default_rng(1)
    c = body.coordinates
    low, high = (np.where(c.clamped, limit, side) for limit, side in ((c.lower, -0.5), (c.upper, 0.5)))
    values = np.where(c.locked, c.default, rng.uniform(low, high, (5, len(c))))
    motion = Motion(c.names, 50.0, values, c.rotational, start=2.5)
    assert_poses_are_opensims(body, motion, atol=1e-10)
    markers = forward_kinematics(body, motion)
    assert (markers.names, markers.frame, markers.rate, markers.start) == (body.marker_names, "y_up", 50.0, 2.5)


@pytest.mark.parametrize("step", [1e-3, 1e-5])
def test_a_small_step_of_a_coordinate_moves_bodies_as_its_poses_do(release, wiggle, step):
    tree = release.tree
    z = wiggle(release).values[:, tree.free]
    # Second order only: of bending, which one coordinate shares out to all lumbar levels, 10.78 times as far in sum,
    # about half the square of that; of all others less.
    allowed = 70 * step**2
    body, column = np.meshgrid(np.arange(tree.bodies), np.arange(-1, len(tree.free)), indexing="ij")
    found = moved_poses(tree, z, body.ravel(), column.ravel(), step).reshape(len(z), *body.shape, 4, 4)
    for k in range(-1, len(tree.free)):
        there = z.copy()
        if k >= 0:
            there[:, k] += step
        R, p, _ = all_poses(tree, all_coordinates(tree, there)[0])
        np.testing.assert_allclose(found[:, :, k + 1, :3, :3], R, atol=allowed)
        np.testing.assert_allclose(found[:, :, k + 1, :3, 3], p, atol=allowed)
    np.testing.assert_array_equal(found[..., 3, :], np.broadcast_to([0.0, 0.0, 0.0, 1.0], found[..., 3, :].shape))


def test_batches_change_nothing(blazepose, wiggle, monkeypatch):
    motion = wiggle(blazepose, frames=8)
    values = np.array(motion.values)
    values[4] = np.nan
    motion = motion.with_(values=values)
    markers, poses = forward_kinematics(blazepose, motion), body_poses(blazepose, motion)
    monkeypatch.setattr("simspine.anatomy.body.FRAMES_PER_POSE_BATCH", 3)
    np.testing.assert_array_equal(forward_kinematics(blazepose, motion).xyz, markers.xyz)
    for name, pose in body_poses(blazepose, motion).items():
        assert np.isnan(pose[4]).all()
        np.testing.assert_array_equal(poses[name], pose)


def test_missing_coordinates_are_default_or_follow_their_coupler(release):
    names = ("knee_angle_r", "L5_S1_Flex_Ext")
    short = Motion(names, 50, [[0.7, -0.1]], [True, True])
    full = neutral_motion(release, {"knee_angle_r": 0.7, "L5_S1_Flex_Ext": -0.1})
    np.testing.assert_allclose(
        forward_kinematics(release, short).xyz, forward_kinematics(release, full).xyz, atol=1e-12
    )
    assert full.column("knee_angle_r_beta")[0] == pytest.approx(0.7)
    assert full.column("L4_L5_Flex_Ext")[0] == pytest.approx(-0.18571)
    assert full.column("L1_T12_Flex_Ext")[0] == pytest.approx(-0.05714)


def test_couplers_have_the_models_ratios(release):
    values = np.tile(release.coordinates.default, (2, 1))
    c = release.coordinates
    values[:, c.index("L5_S1_Lat_Bending")] = [0.01, np.nan]
    values[:, c.index("L5_S1_axial_rotation")] = [0.1, 0.2]
    followed = follow_couplers(release, values)
    lateral = [followed[0, c.index(f"{level}_Lat_Bending")] / 0.01 for level in ("L4_L5", "L3_L4", "L1_L2", "L1_T12")]
    np.testing.assert_allclose(lateral, [1.33, 2.4314, 2.0392, 1.549], rtol=1e-9)
    assert followed[1, c.index("L2_L3_axial_rotation")] == pytest.approx(0.175)
    assert np.isnan(followed[1, c.index("L4_L5_Lat_Bending")])


def test_nan_frames_stay_nan(blazepose, wiggle):
    motion = wiggle(blazepose)
    values = motion.values.copy()
    values[1, 7] = np.nan
    gap = motion.with_(values=values)
    xyz = forward_kinematics(blazepose, gap).xyz
    assert np.isnan(xyz[1]).all()
    np.testing.assert_array_equal(xyz[[0, 2]], forward_kinematics(blazepose, motion).xyz[[0, 2]])


def test_unknown_and_locked_coordinates(blazepose):
    with pytest.raises(InputError, match="Did you mean 'knee_angle_r'"):
        forward_kinematics(blazepose, Motion(("knee_angel_r",), 50, [[0.1]], [True]))
    with pytest.raises(InputError, match=r"Abs_t1.*locked at 0.*0\.01"):
        forward_kinematics(blazepose, Motion(("Abs_t1",), 50, [[0.01]], [False]))
