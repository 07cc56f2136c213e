"""Views brought in step: against movements that are known at every instant."""

import numpy as np
import pytest

from simspine.core.errors import InputError
from simspine.core.filtering import at_frames
from simspine.core.types import Keypoints
from simspine.vision.synchronise import per_view, synchronised_rows, timing_of, whole_rows

VIEWS = ("cam01", "cam02", "cam03")
LENGTHS, LATE, DRIFT = (60, 50, 70), np.array([0.0, -3.25, 12.0]), np.array([0.0, 0.0, 25.0])


def place(instant: np.ndarray) -> np.ndarray:
    """Where a point is in all images at an instant, in frames of the first view: a straight line."""
    return np.stack([100 + 3.0 * instant, 500 - 2.0 * instant], -1)


def recorded() -> np.ndarray:
    """(rows, views, 1 person, 2 points, 3) as each view shows the line in its own frames; NaN where it has ended."""
    people = np.full((max(LENGTHS), 3, 1, 2, 3), np.nan)
    for view, length in enumerate(LENGTHS):
        instant = (np.arange(length) - LATE[view]) / (1 + DRIFT[view] / 1000)
        people[:length, view, 0, :, :2] = place(instant)[:, None]
        people[:length, view, 0, :, 2] = 1.0
    return people


def alone(people: np.ndarray) -> Keypoints:
    return Keypoints(("RHip", "LHip"), 50.0, people[:, :, 0, :, :2], np.nan_to_num(people[:, :, 0, :, 2]))


def between_frames(points, timing, rows):
    """As detections become one person's points."""
    return at_frames(points, timing.frame_positions(), whole_rows(timing, rows))


def test_shared_frames_are_those_that_every_view_has():
    timing = timing_of(VIEWS, LENGTHS, LATE, DRIFT)
    shown = [
        t for t in range(-100, 200)
        if all(0 <= t * (1 + d / 1000) + late <= n - 1 for n, late, d in zip(LENGTHS, LATE, DRIFT, strict=True))
    ]  # fmt: skip
    assert (timing.first, timing.frames) == (shown[0], len(shown))


def test_fractions_and_drift_are_undone():
    people, timing = recorded(), timing_of(VIEWS, LENGTHS, LATE, DRIFT)
    found = at_frames(
        alone(synchronised_rows(people, timing)), timing.frame_positions(), whole_rows(timing, len(people))
    )
    wanted = place(timing.first + np.arange(timing.frames))
    for view in range(3):
        np.testing.assert_allclose(found.xy[:, view, 0], wanted, atol=1e-9)
    assert (found.confidence == 1).all()


def test_simultaneous_to_half_a_frame_before_anybody_is_followed():
    people, timing = recorded(), timing_of(VIEWS, LENGTHS, LATE, DRIFT)
    apart = (
        synchronised_rows(people, timing)[1:-1, :, 0, 0, :2] - place(timing.first + np.arange(timing.frames))[:, None]
    )
    assert np.abs(apart[..., 0] / 3.0).max() <= 0.5 + 1e-9


def test_whole_frames_are_taken_as_they_are():
    people = np.random.default_rng(0).uniform(0, 1, (40, 2, 1, 2, 3))
    timing = timing_of(VIEWS[:2], (40, 40), [0, 7])
    found = between_frames(alone(synchronised_rows(people, timing)), timing, 40)
    np.testing.assert_array_equal(found.xy[:, 0], people[:33, 0, 0, :, :2])
    np.testing.assert_array_equal(found.xy[:, 1], people[7:, 1, 0, :, :2])


def test_a_gap_stays_one():
    people = recorded()
    people[30, 1] = np.nan
    timing = timing_of(VIEWS, LENGTHS, LATE, DRIFT)
    found = at_frames(
        alone(synchronised_rows(people, timing)), timing.frame_positions(), whole_rows(timing, len(people))
    )
    missing = np.isnan(found.xy[:, 1, 0, 0])
    places = timing.frame_positions()[:, 1]
    np.testing.assert_array_equal(missing, np.abs(places - 30) < 1)
    assert np.isfinite(found.xy[:, 0]).all()


def test_the_nearest_frame_of_a_video():
    timing = timing_of(VIEWS, LENGTHS, LATE, DRIFT)
    for view in range(3):
        assert np.abs(timing.nearest_frames(view) - timing.frame_positions()[:, view]).max() <= 0.5
    np.testing.assert_array_equal(timing.nearest_frames(0), timing.first + np.arange(timing.frames))


def test_delays_count_from_the_first_view():
    same = timing_of(VIEWS, LENGTHS, LATE + 5), timing_of(VIEWS, LENGTHS, LATE)
    np.testing.assert_array_equal(same[0].frame_positions(), same[1].frame_positions())
    assert (same[0].first, same[0].frames) == (same[1].first, same[1].frames)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cam2": 3.0}, "unknown view 'cam2' in delays. Did you mean 'cam02'"),
        ([0, 1], "2 values for 3 views"),
        ([0, np.nan, 1], "not finite"),
    ],
)
def test_delays_that_do_not_fit_the_views(values, message):
    with pytest.raises(InputError, match=message):
        per_view(values, VIEWS)


def test_views_left_out_are_not_late():
    np.testing.assert_array_equal(per_view({"cam03": -2}, VIEWS), [0, 0, -2])


def test_too_few_frames_are_refused():
    with pytest.raises(InputError, match=r"share 5 frames, at least 10 are needed.*cam02: 50 frames, -45 late"):
        timing_of(VIEWS[:2], (50, 50), [0, -45])
    with pytest.raises(InputError, match="share 0 frames"):
        timing_of(VIEWS[:2], (50, 50), [0, -500])
