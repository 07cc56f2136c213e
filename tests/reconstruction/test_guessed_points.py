"""Points that a detector gives without seeing them are estimated ones, never detected."""

import numpy as np
import pytest

from simspine.core.skeletons import load_skeleton
from simspine.core.types import Markers, Origin
from simspine.vision.blazepose_spine import CROP_SIDE, HALF_CONFIDENCE_SD, SPINE_POINTS, stated_deviation
from simspine.vision.one_camera import FILE_POINT_NAMES, FILE_POINT_ORDER, PeopleWatcher, WatchSettings
from simspine.vision.options import DetectionOptions
from simspine.vision.points import with_shared_errors

POINTS = load_skeleton("blazepose_spine46")


class StillPerson:
    """Gives the same person in each image, every point sure."""

    skeleton, people, estimated = POINTS.name, 1, SPINE_POINTS

    def detect(self, images, boxes=None):
        points = np.ones((len(POINTS.names), 3))
        points[:, 0], points[:, 1] = np.arange(len(points)) * 7 % 50 * 10, np.arange(len(points)) * 15
        return [points[None] for _ in images]

    def forget(self):
        pass

    def close(self):
        pass


@pytest.mark.parametrize("infer", [True, False])
def test_estimates_of_the_detector_are_marked_and_left_out_with_inferred_points(monkeypatch, infer):
    monkeypatch.setattr("simspine.vision.one_camera.detector_of_options", lambda options: StillPerson())
    options = DetectionOptions(detector="blazepose_spine")
    watcher = PeopleWatcher(WatchSettings(options, smooth=False, infer_spine=infer))
    [seen] = watcher.watch_image(np.zeros((8, 8, 3), np.uint8), 0.0)
    guessed = np.isin(FILE_POINT_ORDER.names, SPINE_POINTS)
    assert guessed.sum() == 13
    assert len(FILE_POINT_NAMES) == 37
    assert not seen.detected[guessed].any()
    assert seen.detected[~guessed].any()
    assert seen.estimated[guessed].all() == infer
    assert not seen.estimated[~guessed].any()
    assert not seen.inferred.any()
    assert np.isfinite(seen.points[guessed]).all() == infer
    assert not watcher.sees_spine
    assert watcher.estimates_spine


def test_a_confidence_stands_for_a_deviation():
    assert stated_deviation(np.array([1.0, 0.5, 0.2])) == pytest.approx(
        CROP_SIDE * HALF_CONFIDENCE_SD * np.array([0, 1, 2])
    )
    assert stated_deviation(np.array(0.0)) == np.inf


def test_guesses_are_known_in_space_no_better_than_one_view_states():
    """Two frames of a guessed point, the second of which the views disagree on more, and of one that is seen."""
    names, covariance = ("Spine_03", "LKnee", "Neck"), np.zeros((2, 3, 3, 3))
    covariance[0], covariance[1] = np.diag([1e-6, 4e-6, 1e-6]), np.diag([0.01, 0.01, 0.01])
    covariance[0, 2] = np.nan
    origin = (Origin.ESTIMATED, Origin.DETECTED, Origin.ESTIMATED)
    weight = np.full((2, 3), 1 / (1 + (0.02 / (CROP_SIDE * HALF_CONFIDENCE_SD)) ** 2))  # 20 mm
    points = Markers(
        names, 50.0, np.zeros((2, 3, 3)), frame="z_up", weight=weight, covariance=covariance, origin=origin
    )
    found = with_shared_errors(points).covariance
    np.testing.assert_allclose(found[0, 0], np.diag([1e-6, 4e-6, 1e-6]) + (4e-4 - 2e-6) * np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(found[1], covariance[1])
    np.testing.assert_array_equal(found[:, 1], covariance[:, 1])
    assert np.isnan(found[0, 2]).all()
    seen = points.with_(origin=None)
    assert with_shared_errors(seen) is seen
