"""Files from anywhere in three dimensions: markers, and a motion with its model, stand where the files say."""

import numpy as np
import pytest

from simspine.body.kinematics import body_poses
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.formats.mot import read_mot
from simspine.formats.trc import write_trc
from simspine.types import Markers
from simspine.workflow.loose_files import scene_of_file


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
