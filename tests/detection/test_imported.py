import numpy as np
import pytest

from simspine import skeletons
from simspine.detection.imported import read_detections
from simspine.errors import InputError
from simspine.formats.keypoint_json import write_keypoints
from simspine.types import Keypoints


def _keypoints(points=26):
    rng = np.random.default_rng(0)
    names = skeletons.by_size(points).names
    return Keypoints(names, 60, rng.uniform(0, 900, (4, 2, points, 2)), rng.uniform(0.2, 1, (4, 2, points)))


@pytest.mark.parametrize("points", [17, 25, 26, 37])
def test_json_folders_keep_values_and_name_the_skeleton(tmp_path, points):
    keypoints = _keypoints(points)
    folders = write_keypoints(tmp_path, keypoints)
    found, skeleton = read_detections(folders, rate=60)
    assert skeleton is skeletons.by_size(points)
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
