"""Delays put into a synthetic walk are found again, whole frames and fractions."""

import numpy as np
import pytest
from rigs import shift_views, walk

from simspine.core.errors import InputError
from simspine.vision.synchronise import find_delays, whole_frames_of_people


def whole_frames(keypoints, cameras):
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    return whole_frames_of_people(people, cameras, keypoints.rate)


@pytest.mark.parametrize("late", [[0, 0, 0, 0], [0, 7, -12, 3], [0, -25, 14, -2]])
def test_whole_frames(late):
    keypoints, cameras, _ = walk("finetuned", 3)
    np.testing.assert_allclose(whole_frames(shift_views(keypoints, np.negative(late)), cameras), late, atol=1)


@pytest.mark.slow
@pytest.mark.parametrize("late", [pytest.param([0, 0.5, -0.5, 0.25], marks=pytest.mark.long), [0, 6.4, -11.7, 2.5]])
def test_fractions_of_a_frame(late):
    keypoints, cameras, _ = walk("finetuned", 3)
    clocks = find_delays(shift_views(keypoints, np.negative(late)), cameras)
    errors = clocks.delays_frames - late
    assert np.abs(errors).max() < 0.35
    assert (np.abs(errors[1:]) < 2.5 * clocks.deviation[1:]).all()


def test_shifting_there_and_back():
    keypoints = walk("exact")[0]
    back = shift_views(shift_views(keypoints, [0, 3, -2, 5]), [0, -3, 2, -5])
    inner = slice(8, -8)
    np.testing.assert_allclose(back.xy[inner], keypoints.xy[inner])
    np.testing.assert_allclose(back.confidence[inner], keypoints.confidence[inner])


def test_what_lies_outside_the_recording_is_missing():
    moved = shift_views(walk("exact")[0], [0, 2.5, 0, 0])
    assert np.isnan(moved.xy[-3:, 1]).all()
    assert np.isfinite(moved.xy[:-3, 1]).all()
    assert (moved.confidence[-3:, 1] == 0).all()


def test_a_short_recording_is_refused():
    keypoints, cameras, _ = walk("exact")
    short = keypoints.with_(xy=keypoints.xy[:20], confidence=keypoints.confidence[:20])
    with pytest.raises(InputError, match="20 frames are too few"):
        whole_frames(short, cameras)
