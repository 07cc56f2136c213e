"""What figures say of a detector, and how many crops of a fraction an epoch shows."""

from pathlib import Path

import numpy as np

from simspine.learning.options import POINT_CHOICES, LabelledSet
from simspine.learning.spine_runs import crops_per_epoch, exchanged_share
from simspine.learning.spine_samples import CropReader, LabelledPeople, epoch_rows, read_labelled_set


def test_fractions_have_equal_steps(dotted):
    """4 of 18 people, gone through as often as all of them would be: a batch of eight has each of them twice."""
    half = LabelledSet(folder=str(dotted), fraction=0.25, whole_epochs=True)
    reader = CropReader((read_labelled_set(half, POINT_CHOICES["trunk"], 1),), seed=1, shown=(18,))
    rows = epoch_rows([4], 8, np.random.default_rng(1), (18,))
    assert reader.count(8) == len(rows) == 2
    assert [sorted(batch[:, 1]) for batch in rows] == [[0, 0, 1, 1, 2, 2, 3, 3]] * 2
    assert crops_per_epoch(half, reader.sets[0]) == 16
    assert crops_per_epoch(half.model_copy(update={"whole_epochs": False}), reader.sets[0]) == 4


def test_exchanged_sides_are_counted_where_they_are_apart():
    names = POINT_CHOICES["trunk"]
    keypoints = np.full((2, len(names), 3), 2.0)
    keypoints[..., :2] = 50
    left, right = (names.index(f"{side}_clavicle") for side in ("left", "right"))
    keypoints[0, left, 0], keypoints[0, right, 0] = 80, 20
    keypoints[1, left, 0], keypoints[1, right, 0] = 52, 48  # nearer than a tenth of the side
    people = LabelledPeople((Path("a"), Path("b")), names, keypoints, np.array([[0, 0, 100.0, 200]] * 2), np.ones(2))
    side, found = np.array([100.0, 100]), keypoints[..., :2].copy()
    assert exchanged_share(found, people, side) == 0
    found[:, [left, right]] = found[:, [right, left]]
    assert exchanged_share(found, people, side) == 100
    found[0, left, 0] = 55  # nearer to its own
    assert exchanged_share(found, people, side) == 50
