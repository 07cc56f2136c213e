"""Points that a detector guesses are never shown as detected."""

import numpy as np
import pytest

from simspine.detection.blazepose_spine import CROP_SIDE, HALF, stated_deviation
from simspine.detection.pose_features import SPINE_POINTS
from simspine.pipeline.one_camera import NAMES, ORDER, Looking, Watcher, sees_spine
from simspine.pipeline.options import DetectionOptions
from simspine.pipeline.points import SKELETONS, with_shared_errors
from simspine.skeletons import load
from simspine.types import Markers

POINTS = load(SKELETONS["blazepose_spine"])


class StillPerson:
    """Gives the same person in each image, every point sure."""

    skeleton, people = POINTS.name, 1

    def detect(self, images, boxes=None):
        points = np.ones((len(POINTS.names), 3))
        points[:, 0], points[:, 1] = np.arange(len(points)) * 7 % 50 * 10, np.arange(len(points)) * 15
        return [points[None] for _ in images]

    def close(self):
        pass


@pytest.mark.parametrize("infer", [True, False])
def test_guesses_of_the_detector_are_inferred_points_and_left_out_with_these(monkeypatch, infer):
    monkeypatch.setattr("simspine.pipeline.one_camera.detector_of", lambda options: StillPerson())
    options = DetectionOptions(detector="blazepose_spine")
    watcher = Watcher(Looking(options, smooth=False, infer_spine=infer))
    [seen] = watcher.see(np.zeros((8, 8, 3), np.uint8), 0.0)
    guessed = np.isin(ORDER.names, SPINE_POINTS)
    assert guessed.sum() == 13
    assert not seen.detected[guessed].any()
    assert seen.detected[~guessed].any()
    assert seen.inferred[guessed].all() == infer
    assert np.isfinite(seen.xy[guessed]).all() == infer
    assert not watcher.sees_spine


def test_which_detectors_see_the_spine():
    assert {name for name in SKELETONS if sees_spine(name)} == {"spinepose"}
    assert len(NAMES) == 37


def test_a_confidence_stands_for_a_deviation():
    assert stated_deviation(np.array([1.0, 0.5, 0.2])) == pytest.approx(CROP_SIDE * HALF * np.array([0, 1, 2]))
    assert stated_deviation(np.array(0.0)) == np.inf


def test_guesses_are_known_in_space_no_better_than_one_view_states():
    """Two frames of a guessed point, the second of which the views disagree on more, and of one that is seen."""
    names, covariance = ("Spine_03", "LKnee", "Neck"), np.zeros((2, 3, 3, 3))
    covariance[0], covariance[1] = np.diag([1e-6, 4e-6, 1e-6]), np.diag([0.01, 0.01, 0.01])
    covariance[0, 2] = np.nan
    weight = np.full((2, 3), 1 / (1 + (0.02 / (CROP_SIDE * HALF)) ** 2))  # 20 mm
    points = Markers(names, 50.0, np.zeros((2, 3, 3)), frame="z_up", weight=weight, covariance=covariance)
    found = with_shared_errors(points, SPINE_POINTS).covariance
    np.testing.assert_allclose(found[0, 0], np.diag([1e-6, 4e-6, 1e-6]) + (4e-4 - 2e-6) * np.eye(3), atol=1e-12)
    np.testing.assert_array_equal(found[1], covariance[1])
    np.testing.assert_array_equal(found[:, 1], covariance[:, 1])
    assert np.isnan(found[0, 2]).all()
    assert with_shared_errors(points, ()) is points
