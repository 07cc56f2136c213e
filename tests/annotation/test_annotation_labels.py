import numpy as np
import pytest

from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    apply_edits,
    finished_frames,
    pseudo_labels,
)
from simspine.core.errors import InputError
from simspine.core.types import Keypoints, Origin


def labels():
    xy = np.arange(2 * 2 * 3 * 2, dtype=float).reshape(2, 2, 3, 2)
    xy[1, 1, 2] = np.nan
    return pseudo_labels(Keypoints(("a", "b", "c"), 30.0, xy, np.full((2, 2, 3), 0.5)))


def test_pseudo_labels_are_not_looked_at_and_absent_without_a_place():
    found = labels()
    assert not found.decided.any()
    assert found.visibility[1, 1, 2] == Visibility.ABSENT
    assert found.labelled.sum() == 11


def test_the_last_decision_about_a_point_counts_and_others_stay():
    before = labels()
    after = apply_edits(
        before,
        [
            Edit(0, 1, "b", 5.0, 6.0, Visibility.SEEN, PointStatus.CORRECTED),
            Edit(0, 1, "b", 7.0, 8.0, Visibility.HIDDEN, PointStatus.CORRECTED),
            Edit(1, 0, "a", None, None, Visibility.ABSENT, PointStatus.CORRECTED),
            Edit(1, 1, "c", 1.0, 2.0, Visibility.SEEN, PointStatus.DERIVED),
        ],
    )
    np.testing.assert_array_equal(after.xy[0, 1, 1], [7.0, 8.0])
    assert after.visibility[0, 1, 1] == Visibility.HIDDEN
    assert np.isnan(after.xy[1, 0, 0]).all()
    assert (after.status == PointStatus.CORRECTED).sum() == 2
    assert (after.status == PointStatus.DERIVED).sum() == 1
    untouched = ~after.decided
    np.testing.assert_array_equal(after.xy[untouched], before.xy[untouched])


@pytest.mark.parametrize(
    ("frame", "view", "point", "message"), [(2, 0, "a", "no frame 2"), (0, -1, "a", "2 views"), (0, 0, "aa", "'a'")]
)
def test_a_decision_about_nothing_is_refused(frame, view, point, message):
    with pytest.raises(InputError, match=message):
        apply_edits(labels(), [Edit(frame, view, point, 1.0, 1.0, Visibility.SEEN, PointStatus.CORRECTED)])


def test_a_frame_is_finished_without_its_inferred_points():
    """These stay guesses until somebody decides about each; a detected point that nobody looked at keeps it open."""
    kinds = (Origin.DETECTED, Origin.INFERRED, Origin.ESTIMATED)
    start = pseudo_labels(Keypoints(("a", "b", "c"), 30.0, np.ones((2, 1, 3, 2)), np.ones((2, 1, 3)), origin=kinds))
    assert start.guessed[0, 0].tolist() == [False, True, True]
    seen = Edit(0, 0, "a", 1.0, 1.0, Visibility.SEEN, PointStatus.ACCEPTED)
    guess = Edit(1, 0, "b", 1.0, 1.0, Visibility.SEEN, PointStatus.ACCEPTED)
    after = apply_edits(start, [seen, guess])
    assert finished_frames(after).tolist() == [True, False]
    assert after.guessed[1, 0].tolist() == [False, False, True]
