"""A run with the body of the paper: its 62 axes in the data set, both places of the spine's points, its own export."""

import h5py
import numpy as np
import pytest
from command_line import call, succeeded
from scipy.spatial.transform import Rotation

from simspine.dataset.verify import verify_dataset
from simspine.io.mot import read_mot
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths

pytestmark = pytest.mark.usefixtures("two_rounds")

STAGES = ("scale", "ik", "vertebrae", "quality", "export")


def test_a_run_with_the_papers_body(copied, truth):
    copied.change(body={"recipe": "paper"})
    copied.run(*STAGES)
    found = read_trial(RunPaths(copied.results, "S01"), "bow")
    assert len(found.motion.names) == 62
    assert verify_dataset(copied.results, kinematics=True) == []
    true = truth.markers  # exact points of another body, the coupled one: limbs and lumbar spine are placed alike
    for name in ("LKnee", "RElbow", "Spine_02"):
        at = found.model_markers.xyz[:, found.model_markers.index(name)]
        assert np.median(np.linalg.norm(at - true.xyz[:, true.index(name)], axis=-1)) < 0.01, name
    with h5py.File(copied.results / "synthetic.h5") as file:
        trial = file["S01/bow"]
        assert trial["kinematics"].shape[1] == 62
        assert trial["simspine/centres"].shape == (*trial["markers"].shape[:1], 25, 3)
        assert "neck" in trial["simspine/poses"]
    out = copied.folder / "axes"
    succeeded(call("export", "--config", copied.file, "--axes", "62", "--out", out))
    axes = read_mot(out / "S01/S01_bow.mot")
    lumbar = [name for name in axes.names if name.endswith("_Flex_Ext")]
    for name in ("neck_flexion", *lumbar):
        np.testing.assert_allclose(axes.column(name), found.motion.column(name), atol=1e-8)
    sacrum, torso = (found.poses[name][:, :3, :3] for name in ("sacrum", "torso"))
    whole = Rotation.from_matrix(np.swapaxes(sacrum, 1, 2) @ torso).as_euler("ZXY")
    np.testing.assert_allclose(axes.column("Abs_r3"), whole[:, 0], atol=1e-7)
    succeeded(call("report", "--config", copied.file))
