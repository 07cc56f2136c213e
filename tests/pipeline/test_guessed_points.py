"""Points that a detector guesses are never shown as detected."""

import numpy as np
import pytest

from simspine.detection.pose_features import SPINE_POINTS
from simspine.pipeline.one_camera import NAMES, ORDER, Looking, Watcher, sees_spine
from simspine.pipeline.options import DetectionOptions
from simspine.pipeline.points import SKELETONS
from simspine.skeletons import load

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
