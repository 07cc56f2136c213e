"""What a virtual detector is off by in everybody, as measured in recordings, is what its preset says."""

import numpy as np

from simspine.benchmark.known_detector import EXACTLY, offsets_in_recordings, offsets_of_one
from simspine.benchmark.virtual_trials import StudySize, recorded_subjects
from simspine.capture.detections import INDIVIDUAL
from simspine.capture.presets import read_preset

SMALL = StudySize(subjects=4, actions=("Walking",), frames=20, seed=3)


def test_offsets_in_recordings_are_the_presets():
    found = offsets_in_recordings("finetuned", SMALL)
    for region, offset in found.items():
        size = read_preset("finetuned").regions[region].offset_m
        away = 3 * np.hypot(INDIVIDUAL, 0.5) * size / SMALL.subjects**0.5  # a half: biases of views, and what wanders
        assert abs(np.linalg.norm(offset.mean_m[:2]) - size) < away
        assert offset.mean_m[0] > 0  # forward
        assert offset.mean_m[1] > 0  # up
        assert 0.2 * INDIVIDUAL * size < offset.sd_m < 4 * INDIVIDUAL * size


def test_a_detector_that_is_exact_is_off_by_nothing():
    (trials,) = recorded_subjects("exact", StudySize(1, ("Walking",), 20, 3))
    for offset in offsets_of_one(trials).values():
        np.testing.assert_allclose(offset.mean_m, 0.0, atol=0.001)
        assert offset.sd_m == EXACTLY
