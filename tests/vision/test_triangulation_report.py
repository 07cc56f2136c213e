"""The report on some of the points."""

import numpy as np

from simspine.vision.triangulation import TriangulationReport


def test_report_of_some_points():
    """Points with errors 1, 2, 3 px: figures of two of them are those of a report that never knew the third."""
    used = np.ones((4, 2, 3), bool)
    used[0, 1, 2] = False
    error = np.tile([1.0, 2.0, 3.0], (4, 2, 1))
    reason = np.zeros((4, 3), int)
    reason[3, 1] = 1
    whole = TriangulationReport(
        ("a", "b", "c"), ("v", "w"), used, error, ~used, reason, np.arange(3.0), np.arange(3.0) + 9
    )
    part = whole.of_points(["c", "a", "unknown"])
    assert part.names == ("a", "c")
    assert part.views == whole.views
    summary = part.summary()
    assert summary["reprojection_px_median"] == 1.0  # 8 of 1 px, 7 of 3 px
    assert summary["points_kept_share"] == 1.0
    assert summary["observations_dropped_share"] == {"v": 0.0, "w": 1 / 8}
    assert whole.summary()["points_kept_share"] == 11 / 12
    np.testing.assert_array_equal(part.limit_px, [9, 11])
