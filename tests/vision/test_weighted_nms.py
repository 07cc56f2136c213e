import numpy as np
from numpy.testing import assert_allclose

from simspine.vision.blazepose import intersection_over_union, weighted_nms


def test_overlap_by_counting_cells():
    """Whole-numbered boxes on a grid of unit cells."""
    rng = np.random.default_rng(0)
    low = rng.integers(0, 8, (30, 2))
    boxes = np.column_stack([low, low + rng.integers(1, 8, (30, 2))]).astype(float)

    def cells(box):
        grid = np.zeros((16, 16), bool)
        x0, y0, x1, y1 = box.astype(int)
        grid[y0:y1, x0:x1] = True
        return grid

    expected = [(cells(boxes[0]) & cells(b)).sum() / (cells(boxes[0]) | cells(b)).sum() for b in boxes]
    assert_allclose(intersection_over_union(boxes[0], boxes), expected)


def test_who_overlaps_becomes_one_by_hand():
    found = np.array(
        [
            [0.6, 0, 0, 10, 10, 100],
            [0.9, 1, 0, 11, 10, 103],  # the surest; overlaps the first by 9/11
            [0.7, 50, 50, 60, 60, 7],
        ]
    )
    mean = (0.9 * found[1, 1:] + 0.6 * found[0, 1:]) / 1.5
    assert_allclose(weighted_nms(found, 0.3), [[0.9, *mean], found[2]])
    assert weighted_nms(np.empty((0, 6)), 0.3).shape == (0, 6)
