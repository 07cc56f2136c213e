"""How cameras fit: counted by hand on the small project, and after one camera is spoilt."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.core.types import Keypoints
from simspine.reconstruction.solved_trial import limb_distance, view_fits
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths


@pytest.fixture(scope="module")
def found(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


def test_shares_are_counts(found):
    used = found.triangulation.used.copy()
    used[:4, 2] = False  # a quarter of the frames of one camera
    fits = view_fits(replace(found, triangulation=replace(found.triangulation, used=used)))
    assert [fit.name for fit in fits] == [camera.name for camera in found.cameras]
    for view, fit in enumerate(fits):
        assert fit.contributed == pytest.approx(used[:, view].mean())
        assert fit.used == pytest.approx(used[:, view].sum() / np.isfinite(found.triangulation.error_px[:, view]).sum())
    assert fits[2].contributed <= 0.75


def test_a_body_beside_the_person_is_as_far_as_they_were_moved(found):
    near = view_fits(found)
    xy = found.keypoints.xy.copy()
    xy[:, 1, :, 0] += 80.0
    moved = replace(
        found, keypoints=Keypoints(found.keypoints.names, found.keypoints.rate, xy, found.keypoints.confidence)
    )
    fits = view_fits(moved)
    assert fits[1].distance_px == pytest.approx(80, abs=near[1].distance_px + 1)
    assert [fit.distance_px for fit in fits[2:]] == [fit.distance_px for fit in near[2:]]
    assert np.isfinite(limb_distance(found)).any()


def test_a_trial_without_images_has_none(found):
    assert view_fits(replace(found, keypoints=None, triangulation=None)) == ()
