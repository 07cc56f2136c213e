"""Spots on the trunk in a drawn image: the markers come first, and nothing beside the person is offered."""

import cv2
import numpy as np

from simspine.detection.back_spots import MOST, spots_on_trunk

RADIUS = 5.0
TRUNK = np.array([[120, 80], [220, 80], [135, 260], [205, 260]], float)
MARKERS = np.array([[168, 92], [165, 150], [166, 200]], float)
MOLE, BESIDE = (195, 170), (40, 150)


def image():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:320, :340]
    skin = np.array([120, 150, 200]) + (6 * np.sin(x / 21) * np.cos(y / 17))[..., None]
    picture = skin.astype(np.uint8)
    for place in MARKERS:
        cv2.circle(picture, tuple(int(v) for v in place), 5, (40, 40, 45), -1)
    cv2.circle(picture, MOLE, 2, (90, 110, 160), -1)
    cv2.circle(picture, BESIDE, 5, (40, 40, 45), -1)
    return np.clip(picture + rng.normal(0, 2, picture.shape), 0, 255).astype(np.uint8)


def test_markers_stand_out_most():
    found = spots_on_trunk(image(), TRUNK, RADIUS)
    assert len(found) <= MOST
    assert (np.diff(found[:, 2]) <= 0).all()
    first = found[:3, :2]
    assert sorted(np.argmin(np.linalg.norm(first[:, None] - MARKERS, axis=-1), 1)) == [0, 1, 2]
    assert np.linalg.norm(first[:, None] - MARKERS, axis=-1).min(1).max() < 0.5
    assert np.linalg.norm(found[:, :2] - BESIDE, axis=1).min() > 50


def test_no_spots_where_the_trunk_is_not_known():
    trunk = TRUNK.copy()
    trunk[2] = np.nan
    assert spots_on_trunk(image(), trunk, RADIUS).shape == (0, 3)
