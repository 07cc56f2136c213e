"""Views whose points repeat themselves or another view's, as no detector's do."""

import re
import warnings

import numpy as np
import pytest
from small_project import ring

from simspine.core.skeletons import load_skeleton
from simspine.core.types import Keypoints, Markers
from simspine.estimation.options import BodyOptions
from simspine.reconstruction.detection import TrialSource, detect_person
from simspine.reconstruction.stages import given_markers
from simspine.vision.options import DetectionOptions

NAMES = load_skeleton("coco17").names


def found_in(change) -> tuple[Keypoints, str]:
    """Points of four views in 40 frames, after a change of (frames, views, points, 2) px, and warnings about them."""
    xy = np.random.default_rng(4).uniform(100, 900, (40, 4, len(NAMES), 2))
    change(xy)
    keypoints = Keypoints(NAMES, 30.0, xy, np.where(np.isfinite(xy).all(-1), 0.9, 0.0))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = detect_person(DetectionOptions(), recording=TrialSource(ring(), keypoints=keypoints))
    return found["keypoints"], " ".join(str(one.message) for one in caught)


def stand_still(xy):
    xy[12:, 2] = xy[12, 2]


def show_twice(xy):
    xy[1::2, 1] = xy[::2, 1]


def copy_view(xy):
    xy[:, 3] = xy[:, 0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (stand_still, r"cam03: in 27 of 40 frames \(13–39\)"),
        (show_twice, r"cam02: in 20 of 40 frames \(1, 3, 5,.*fewer frames a second"),
        (copy_view, r"cam01 and cam04 have exactly the same points"),
    ],
)
def test_repeated_points_are_named(change, words):
    assert re.search(words, found_in(change)[1])


def test_points_of_a_frozen_view_are_missing_and_others_kept():
    """One view that stands still from frame 12 on; all four that do; every second frame twice."""

    def all_stand_still(xy):
        xy[12:] = xy[12]

    moving, _ = found_in(lambda xy: None)
    frozen, said = found_in(stand_still)
    assert "taken as missing" in said
    assert np.isnan(frozen.xy[13:, 2]).all()
    assert not frozen.confidence[13:, 2].any()
    np.testing.assert_array_equal(frozen.xy[:13], moving.xy[:13])
    np.testing.assert_array_equal(np.delete(frozen.xy, 2, 1), np.delete(moving.xy, 2, 1))
    for change in (all_stand_still, show_twice):
        kept, said = found_in(change)
        assert "missing" not in said
        np.testing.assert_array_equal(np.isfinite(kept.xy), np.isfinite(moving.xy))


def test_a_person_out_of_view_or_still_for_a_moment_is_no_repeat():
    def leave(xy):
        xy[20:, :2] = np.nan
        xy[4:8, 3] = xy[4, 3]

    assert found_in(leave)[1] == ""


def test_a_marker_held_in_its_last_place_is_named():
    """As programs write hidden markers; one that never moves, and short stays, are left alone."""
    rng = np.random.default_rng(4)
    xyz = np.cumsum(rng.normal(0, 0.01, (60, 5, 3)), 0)
    xyz[22:41, 1] = xyz[22, 1]
    xyz[30:36, 2] = xyz[30, 2]
    xyz[:, 3] = xyz[0, 3]
    markers = Markers(("LKnee", "RKnee", "LAnkle", "RAnkle", "Head"), 50, xyz, "y_up")
    said_so = "RKnee in frames 22–40: exactly in one place"
    with pytest.warns(UserWarning, match=said_so) as said:
        given_markers(markers, BodyOptions())
    assert not any(re.search("LKnee|Ankle|Head", str(warning.message)) for warning in said)


@pytest.mark.parametrize(
    ("still", "words"), [(slice(21, 45), "in frames 21–44"), (slice(30, 38), ""), (slice(0, 60), "")]
)
def test_a_recording_that_stops_is_named(still, words, recwarn):
    """Not where the stop is short, nor where nobody moves at all, as in a standing trial of one frame repeated."""
    xyz = np.cumsum(np.random.default_rng(5).normal(0, 0.01, (60, 4, 3)), 0)
    xyz[still] = xyz[still.start or 0]
    given_markers(Markers(("LKnee", "RKnee", "LAnkle", "RAnkle"), 50, xyz, "y_up"), BodyOptions())
    stopped = [str(warning.message) for warning in recwarn if "no marker moves" in str(warning.message)]
    assert [words in text for text in stopped] == [True] * bool(words)


@pytest.mark.parametrize(("times", "named"), [(1, False), (2, True), (4, True)])
def test_frames_written_several_times_are_named(times, named, recwarn):
    """As where a program holds each frame until the next one comes: of 4 · 30 frames, 90 repeat the one before."""
    xyz = np.cumsum(np.random.default_rng(5).normal(0, 0.01, (30, 4, 3)), 0).repeat(times, 0)
    given_markers(Markers(("LKnee", "RKnee", "LAnkle", "RAnkle"), 200, xyz, "y_up"), BodyOptions())
    said = f"{30 * (times - 1)} of {30 * times} frames repeat the one before. Were fewer than 200 frames a second"
    assert any(said in str(warning.message) for warning in recwarn) == named
    assert named or not any("repeat" in str(warning.message) for warning in recwarn)


def test_points_far_outside_the_image_are_missing_and_named():
    """Where they are few; a joint a little beyond the edge stays, and so do points of a much larger image."""

    def lose(xy):
        xy[3:9, 1, 5] = 5000, -3000
        xy[7, 2, 4] = -80, 500

    def enlarge(xy):
        xy[:, 3] *= 8

    whole, _ = found_in(lambda xy: None)
    found, said = found_in(lose)
    assert "cam02: 6 points lie far outside the image; taken as missing" in said
    gone = np.argwhere(np.isnan(found.xy).any(-1) & np.isfinite(whole.xy).all(-1))
    assert sorted(map(tuple, gone)) == [(frame, 1, found.names.index("LShoulder")) for frame in range(3, 9)]
    assert not found.confidence[tuple(gone.T)].any()
    large, said = found_in(enlarge)
    assert "far outside" not in said
    np.testing.assert_array_equal(np.isfinite(large.xy), np.isfinite(whole.xy))


def test_of_no_frames_nothing_is_said(recwarn):
    """Not even by NumPy, whose share of nothing is no number."""
    keypoints = Keypoints(NAMES, 30.0, np.zeros((0, 4, len(NAMES), 2)), np.zeros((0, 4, len(NAMES))))
    found = detect_person(DetectionOptions(), recording=TrialSource(ring(), keypoints=keypoints))
    assert found["keypoints"].frames == 0
    assert not recwarn.list
