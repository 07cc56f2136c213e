"""Bones as one mesh: points go where the poses take them, gaps stay gaps."""

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.geometry import change_frame
from simspine.core.types import Camera
from simspine.report.people_pictures import bones_solid


def test_bones_go_with_their_bodies(scene):
    solid = bones_solid(scene.bones, scene.poses)
    for frame in (0, 7, 25):
        expected = []
        for bone in scene.bones:
            pose = scene.poses[bone.body][frame]
            expected.append(change_frame(bone.points @ pose[:3, :3].T + pose[:3, 3], "y_up", "z_up"))
        np.testing.assert_allclose(solid.at(frame), np.concatenate(expected), atol=1e-12)
    assert len(solid.triangles) == sum(len(bone.triangles) for bone in scene.bones)
    lost = np.isnan(solid.at(12)).any(1)  # a body that was not solved there
    assert lost.sum() == sum(len(bone.points) for bone in scene.bones if bone.body == "T6")


def test_a_body_that_is_not_known_is_left_out_of_the_picture(scene):
    solid = bones_solid(scene.bones, scene.poses)
    camera = Camera("c", (200, 200), [[150, 0, 100], [0, 150, 100], [0, 0, 1]], np.zeros(5), np.eye(3), [0, 0, 4])
    pictures = [np.zeros((200, 200, 3), np.uint8) for _ in range(2)]
    for picture, frame in zip(pictures, (11, 12), strict=True):
        solid.draw(picture, camera, frame)
    seen = [picture.any(-1).sum() for picture in pictures]
    assert 0 < seen[1] < seen[0]


def test_without_bones_it_says_so(scene):
    with pytest.raises(InputError, match="no bones"):
        bones_solid((), scene.poses)
