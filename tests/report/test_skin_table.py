"""The table of markers on the skin: counts and errors by view that are known."""

from types import SimpleNamespace

import numpy as np

from simspine.report.tables import skin_table
from simspine.vision.triangulation import REASON_KEPT, REASON_TOO_FEW, TriangulationReport

NAMES = ("LHip", "C7_skin", "T3.20_skin", "T5.40_skin")


def report():
    """Ten frames of three views: C7 in two of them, the dots half of the time, no marker in the third view."""
    error = np.full((10, 3, 4), np.nan)
    error[:, :, 0] = 7.0
    error[:, :2, 1] = 1.5
    error[:5, :2, 2], error[:4, :2, 3] = 0.5, 2.5
    reason = np.where(np.isfinite(error).any(1), REASON_KEPT, REASON_TOO_FEW)
    seen = np.isfinite(error)
    return TriangulationReport(
        NAMES, ("left", "right", "front"), seen, error, np.zeros(seen.shape, bool), reason, np.ones(4), np.ones(4)
    )


def test_a_row_for_each_marker_and_one_for_the_tape():
    ik = SimpleNamespace(marker_names=("LHip", "C7_skin"), marker_error=np.tile([0.5, 0.004], (10, 1)))
    (table,) = skin_table(report(), ik)
    assert table.rows[0] == ("C7", "10 of 10", "left 10, right 10", "1.5", "4 (4)")
    label, frames, views, error, beside = table.rows[1]
    assert label == "tape, 2 dots, T3.20 to T5.40"
    assert (frames, views, error, beside) == ("4 of 10", "left 4, right 4", "0.5", "–")


def test_no_table_where_there_is_nothing_on_the_skin():
    assert skin_table(report().of_points(["LHip"]), None) == ()
    assert skin_table(None, None) == ()
