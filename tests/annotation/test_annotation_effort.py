"""The scripted user, and what its actions would take a person."""

import numpy as np
import pytest
from benchmarks.annotation_effort import PACES, Actions, Pace, measure, pair_of_views, true_points, with_error
from drawn_recording import true_points as drawn_points

from simspine.annotation.recording import Target, open_target


def test_seconds_are_those_of_fitts_and_the_keystroke_level_model():
    done = Actions(moves=[(300.0, 20.0), (12.0, 4.0)], buttons=2, keys=3, decisions=1, looks=2)
    bits = np.log2(16.0) + np.log2(4.0)
    assert done.seconds(Pace(2.0, 0.25, 0.1, 1.35), False) == pytest.approx(bits / 2 + 0.2 + 0.75 + 2.7)
    assert done.seconds(Pace(2.0, 0.25, 0.1, 1.35), True) == pytest.approx(bits / 2 + 0.2 + 0.75 + 4.05)
    assert done.seconds(PACES["slow"], True) > done.seconds(PACES["quick"], True)


def test_the_truth_of_the_study_is_where_the_points_project(drawn, tmp_path):
    recording = open_target(Target(str(drawn[0]), home=tmp_path))
    truth = true_points(recording)
    known = np.isfinite(truth.xy).all(-1)
    off = np.linalg.norm(truth.xy - drawn_points().select(truth.names).xy, axis=-1)[known]
    assert np.median(off) < 6.0  # four views with 6 px of noise each, in x and y
    assert len(set(pair_of_views(recording))) == 2


@pytest.mark.slow
def test_a_scripted_user_corrects_points_within_the_time(browser, drawn, tmp_path):
    """A frame of 37 points in four views. 1,000 points: python -m benchmarks.annotation_effort."""
    recording = open_target(Target(str(drawn[0]), home=tmp_path))
    truth = drawn_points().select(recording.start.names)
    found = measure(browser, with_error(recording, truth, 6.0), truth, 60, tolerance=2.5)
    assert found["corrected"] >= 60
    assert found["moved_by_hand"] < 0.8 * found["corrected"]  # the other views and the curve do the rest
    assert found["error_px_before"]["50 %"] > 5
    assert found["error_px_after"]["90 %"] < 4
    assert found["minutes_per_1000"]["slow, a thought before every view"] < 20
