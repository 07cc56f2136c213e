"""Files from anywhere in three dimensions: markers, and a motion with its model, stand where the files say."""

import numpy as np
import pytest

from simspine.anatomy.body import Body, body_poses
from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.io.mot import read_mot
from simspine.io.trc import write_trc
from simspine.workflow.results import scene_of_file


def test_markers_of_anyone(tmp_path):
    xyz = np.arange(5 * 3 * 3, dtype=float).reshape(5, 3, 3) / 20
    xyz[2, 1] = np.nan
    write_trc(tmp_path / "cgm.trc", Markers(("LASI", "RASI", "C7"), 100.0, xyz, "y_up"))
    scene = scene_of_file(tmp_path / "cgm.trc")
    assert (scene.name, scene.points.names, scene.spine.names) == ("cgm", ("LASI", "RASI", "C7"), ())
    np.testing.assert_allclose(scene.points.xyz, xyz, atol=1e-6)
    with pytest.raises(InputError, match="holds markers; --model"):
        scene_of_file(tmp_path / "cgm.trc", tmp_path / "x.osim")


def test_a_motion_with_its_model(finished):
    motion = finished.results / "S01/kinematics/bow.mot"
    model = finished.results / "S01/model/S01.osim"
    scene = scene_of_file(motion, model)
    expected = body_poses(Body.from_osim(model), read_mot(motion))
    assert scene.bones
    for body in ("pelvis", "femur_l", "tibia_r"):
        np.testing.assert_allclose(scene.poses[body], expected[body], atol=1e-9)
    with pytest.raises(InputError, match="name it with --model"):
        scene_of_file(motion)


def test_markers_that_are_never_known_are_refused(tmp_path):
    write_trc(tmp_path / "none.trc", Markers(("LASI", "C7"), 100.0, np.full((3, 2, 3), np.nan), "y_up"))
    with pytest.raises(InputError, match="no marker is known in any of 3 frames"):
        scene_of_file(tmp_path / "none.trc")


def test_lines_join_what_a_skeleton_joins(tmp_path):
    """Nobody said that a camera found these points: they are given."""
    names = ("RHip", "LKnee", "RKnee", "LHip", "LASI")
    write_trc(tmp_path / "legs.trc", Markers(names, 50.0, np.random.default_rng(0).random((4, 5, 3)), "y_up"))
    scene = scene_of_file(tmp_path / "legs.trc")
    joined = {frozenset(pair) for pair in scene.links}
    assert {frozenset(("RHip", "RKnee")), frozenset(("LHip", "LKnee"))} <= joined
    assert not any("LASI" in pair for pair in joined)
    assert {str(origin) for origin in scene.points.origins} == {"given"}


def test_angles_of_a_motion_are_curves(finished):
    path, model = finished.results / "S01/kinematics/bow.mot", finished.results / "S01/model/S01.osim"
    motion = read_mot(path)
    curves = {(curve.panel, curve.name): curve for curve in scene_of_file(path, model).curves}
    knee = curves["knee angle", "left"]
    np.testing.assert_allclose(knee.values, np.degrees(motion.column("knee_angle_l")))
    assert knee.chosen
    assert ("", "pelvis tilt") in curves
    assert not any("pelvis t" in name for _, name in curves if name != "pelvis tilt")  # no lengths among angles
