"""Boxes of a person whose joints are known."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from simspine.core.geometry import project_points
from simspine.core.types import Camera
from simspine.vision.detector import boxes_around_points, boxes_of_joints


def camera(name="front", size=(1000, 800), t=(0, 0, 5.0), distortion=(0, 0, 0, 0, 0)):
    return Camera(name, size, [[1000, 0, 500], [0, 1000, 400], [0, 0, 1]], distortion, np.eye(3), t)


def test_a_box_by_hand():
    """Five metres away, 1000 px focal length: 0.2 px per mm."""
    joints = np.array([[[-0.3, -0.9, 0], [0.3, 0.8, 0], [0, 0, 0]]])
    boxes = boxes_of_joints([camera()], joints)
    assert boxes.shape == (1, 1, 4)
    assert_allclose(boxes[0, 0], [440 - 12, 220 - 34, 560 + 12, 560 + 34])


def test_all_joints_lie_in_their_box():
    rng = np.random.default_rng(0)
    cameras = [camera("a", distortion=(-0.2, 0.2, 1e-3, 1e-3, 0)), camera("b", t=(0.2, 0.1, 6))]
    joints = rng.uniform(-0.5, 0.5, (20, 17, 3))
    joints[3, 5] = np.nan
    boxes = boxes_of_joints(cameras, joints)
    pixels = project_points(cameras, joints).transpose(1, 0, 2, 3)
    known = np.isfinite(pixels).all(-1)
    inside = (pixels > boxes[:, :, None, :2]) & (pixels < boxes[:, :, None, 2:])
    assert inside[known].all()
    size = np.nanmax(pixels, 2) - np.nanmin(pixels, 2)
    assert_allclose(boxes[..., 2:] - boxes[..., :2], 1.2 * size)


def test_boxes_end_with_the_image_and_with_what_is_known():
    leaving = np.array([[[-3.0, 0, 0], [0.2, 0.5, 0]]])
    assert_allclose(boxes_of_joints([camera()], leaving)[0, 0, [0, 3]], [0, 510])
    gone = leaving + np.array([20.0, 0, 0])
    behind = leaving - np.array([0, 0, 9.0])
    for nobody in (gone, behind, np.full((1, 2, 3), np.nan)):
        assert np.isnan(boxes_of_joints([camera()], nobody)).all()
    assert np.isnan(boxes_around_points(np.full((2, 5, 2), 7.0), (100, 100), 0.1)).all(), "a point is no box"


@pytest.mark.parametrize("margin", [0, 0.2])
def test_extent_of_many_at_once_is_that_of_each(margin):
    xy = np.random.default_rng(1).uniform(0, 100, (3, 4, 6, 2))
    together = boxes_around_points(xy, (90, 110), margin)
    assert_allclose(together, [[boxes_around_points(points, (90, 110), margin) for points in row] for row in xy])
