"""Points that a detector gives without seeing them are estimated ones, never detected."""

import numpy as np
import pytest

from simspine.detection.pose_features import SPINE_POINTS
from simspine.pipeline.one_camera import NAMES, ORDER, Looking, Watcher
from simspine.pipeline.options import DetectionOptions
from simspine.skeletons import load

POINTS = load("blazepose_spine46")


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
    monkeypatch.setattr("simspine.pipeline.one_camera.detector_of", lambda options: StillPerson())
    options = DetectionOptions(detector="blazepose_spine")
    watcher = Watcher(Looking(options, smooth=False, infer_spine=infer))
    [seen] = watcher.see(np.zeros((8, 8, 3), np.uint8), 0.0)
    guessed = np.isin(ORDER.names, SPINE_POINTS)
    assert guessed.sum() == 13
    assert len(NAMES) == 37
    assert not seen.detected[guessed].any()
    assert seen.detected[~guessed].any()
    assert seen.estimated[guessed].all() == infer
    assert not seen.estimated[~guessed].any()
    assert not seen.inferred.any()
    assert np.isfinite(seen.xy[guessed]).all() == infer
    assert not watcher.sees_spine
    assert watcher.estimates_spine
