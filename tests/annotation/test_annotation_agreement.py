import numpy as np
import pytest

from simspine.annotation.labels import (
    Edit,
    PointStatus,
    Visibility,
    agreement_text,
    annotator_agreement,
    apply_edits,
    pseudo_labels,
)
from simspine.core.errors import InputError
from simspine.core.types import Keypoints

CORNERS = np.array([[0.0, 0.0], [30.0, 0.0], [30.0, 120.0]])  # a box of 30 × 120: size 60 px


def start():
    xy = np.tile(CORNERS, (4, 1, 1, 1))
    return pseudo_labels(Keypoints(("a", "b", "c"), 30.0, xy, np.ones(xy.shape[:3])))


def person(offsets, status=PointStatus.CORRECTED, see=Visibility.SEEN):
    """Point b placed with an offset in each frame."""
    return apply_edits(start(), [Edit(f, 0, "b", 30.0 + x, y, see, status) for f, (x, y) in enumerate(offsets)])


def test_distances_in_px_and_as_share_of_the_size():
    found = annotator_agreement({"anna": person([(0, 0)] * 4), "ben": person([(0, 3), (0, 3), (0, 5), (0, 9)])})
    row = {entry.point: entry for entry in found}["b"]
    assert row.count == 4
    assert row.median_px == pytest.approx(4.0)
    assert row.same_visibility == 1
    sizes = [np.sqrt(30 * 120.0)] * 4  # the middle of both has the same box
    assert row.share == pytest.approx(np.median(np.array([3, 3, 5, 9]) / sizes), rel=1e-9)
    assert [entry.count for entry in found if entry.point != "b"] == [0, 0]


def test_all_pairs_of_three_count():
    three = {name: person([(dx, 0)] * 4) for name, dx in (("a", 0), ("b", 2), ("c", 6))}
    row = {entry.point: entry for entry in annotator_agreement(three)}["b"]
    assert row.count == 12
    assert row.median_px == pytest.approx(4.0)  # of 2, 4 and 6


def test_what_others_moved_says_nothing_about_a_person():
    found = annotator_agreement({"anna": person([(0, 0)]), "ben": person([(9, 0)], PointStatus.DERIVED)})
    assert all(row.count == 0 for row in found)
    assert "no point" in agreement_text(found)


def test_flags_are_compared_too():
    found = annotator_agreement({"anna": person([(0, 0)] * 2), "ben": person([(0, 0)] * 2, see=Visibility.HIDDEN)})
    assert {row.point: row.same_visibility for row in found}["b"] == 0


def test_one_person_cannot_agree():
    with pytest.raises(InputError, match="two annotators"):
        annotator_agreement({"anna": start()})
