import numpy as np
import pytest

from simspine.core import skeletons
from simspine.core.errors import InputError
from simspine.core.types import Keypoints
from simspine.io.keypoint_json import write_keypoints
from simspine.vision.detector import read_detections


def _keypoints(points=26):
    rng = np.random.default_rng(0)
    names = skeletons.skeleton_of_size(points).names
    return Keypoints(names, 60, rng.uniform(0, 900, (4, 2, points, 2)), rng.uniform(0.2, 1, (4, 2, points)))


@pytest.mark.parametrize("points", [17, 26, 37])  # 25 points are told apart by a person's, not by any
def test_json_folders_keep_values_and_name_the_skeleton(tmp_path, points):
    keypoints = _keypoints(points)
    folders = write_keypoints(tmp_path, keypoints)
    found, skeleton = read_detections(folders, rate=60)
    assert skeleton is skeletons.skeleton_of_size(points)
    assert (found.names, found.rate, found.people.shape) == (keypoints.names, 60, (4, 2, 1, points, 3))
    np.testing.assert_allclose(found.people[:, :, 0, :, :2], keypoints.xy, atol=1e-6)
    np.testing.assert_allclose(found.people[:, :, 0, :, 2], keypoints.confidence, atol=1e-6)


def test_the_skeleton_can_be_named(tmp_path):
    folders = write_keypoints(tmp_path, _keypoints(37))
    _, skeleton = read_detections(folders, rate=60, skeleton="simspine37")
    assert skeleton.name == "simspine37"
    with pytest.raises(InputError, match="37 points"):
        read_detections(folders, rate=60, skeleton="halpe26")
    with pytest.raises(InputError, match="Available"):
        read_detections(folders, rate=60, skeleton="halpe")
