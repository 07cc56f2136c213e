"""The lifting protocol on points whose errors are known by construction."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_points import moved, truth

from simspine.evaluation.point_protocols import evaluate_lifting
from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import PROTOCOL_SPINE_POINTS, ROOT_POINT

REST = tuple(name for name in PROTOCOL_SPINE_POINTS if name != ROOT_POINT)


def spine_errors(shift, true):
    """Predicted without the root, as networks do: relative to it, and every point off by `shift` m."""
    return [
        PointSequence(
            s.subject,
            s.trial,
            s.frames,
            REST,
            s.select(REST).values - s.select([ROOT_POINT]).values + shift,
            s.axes,
            s.camera,
        )
        for s in true
    ]


def test_the_root_put_back_counts_with_zero_error():
    """Fourteen points 15 mm off: 14 in the mean over fifteen, 15 without the root; lumbar 11.25 of four."""
    true = truth()
    regions, _ = evaluate_lifting({"net": spine_errors([0.015, 0, 0], true)}, true)
    assert regions.value("net", "all", "MPJPE spine") == pytest.approx(14)
    assert regions.value("net", "all", "MPJPE spine, no root") == pytest.approx(15)
    assert regions.value("net", "all", "MPJPE lumbar") == pytest.approx(15 * 3 / 4)
    assert regions.value("net", "all", "MPJPE lumbar, no root") == pytest.approx(15)
    assert regions.value("net", "all", "MPJPE cervical") == pytest.approx(15)
    assert regions.value("net", "all", "P-MPJPE cervical") == pytest.approx(0, abs=1e-9)
    assert regions.value("net", "all", "P-MPJPE spine") > 1


def test_scale_and_turn_are_taken_out_by_the_measures_that_should():
    true = truth()
    turn = Rotation.from_euler("xyz", (0.3, -0.2, 0.9)).as_matrix().T
    larger, _ = evaluate_lifting({"net": moved(true, lambda s: 1.2 * s.values)}, true)
    turned, _ = evaluate_lifting({"net": moved(true, lambda s: s.values @ turn + 3)}, true)
    assert larger.value("net", "all", "N-MPJPE spine") == pytest.approx(0, abs=1e-9)
    assert larger.value("net", "all", "MPJPE spine") > 100
    assert turned.value("net", "all", "N-MPJPE spine") > 100
    for table in (larger, turned):
        assert table.value("net", "all", "P-MPJPE spine") == pytest.approx(0, abs=1e-9)


def test_frames_at_one_hertz_count():
    """Every 50th frame is exact, all others are far off."""
    true = truth((("S9", "Walking_1", 120),), step=1)
    off = moved(true, lambda s: s.values + np.where(s.frames % 50 == 0, 0, 1)[:, None, None] * s.values)
    regions, actions = evaluate_lifting({"net": off}, true)
    assert regions.value("net", "all", "MPJPE spine") == 0
    assert "3 frames" in regions.notes[-1]
    assert actions.value("net", "all", "Walking") == pytest.approx(0, abs=1e-9)
    whole, _ = evaluate_lifting({"net": off}, true, step=1)
    assert whole.value("net", "all", "MPJPE spine") > 100


def test_both_means_and_the_published_rows():
    """P-MPJPE by action: what one trial has, frames weigh; the paper's rows stand below with their averages."""
    true = truth()
    noise = np.random.default_rng(3).normal(scale=0.02, size=(37, 3))
    size = {"Walking_1": 1.0, "Sitting_1": 2.0, "Walking_2": 1.0}
    _, actions = evaluate_lifting({"net": moved(true, lambda s: s.values + size[s.trial] * noise)}, true)
    walking, sitting = (actions.value("net", "all", name) for name in ("Walking", "Sitting"))
    assert actions.value("net", "all", "mean over frames") == pytest.approx((10 * walking + 2 * sitting) / 12)
    assert actions.value("net", "all", "mean over actions") == pytest.approx((walking + sitting) / 2)
    theirs = {row.method: row for row in actions.rows if row.source}
    averages = [theirs[f"SimpleBaseline3D, {kind}"].cells[15] for kind in (
        "spine-only, detected 2D", "full-body, detected 2D", "spine-only, GT 2D", "full-body, GT 2D",
    )]  # fmt: skip
    assert averages == [18.58, 16.28, 17.52, 13.48]
    assert all(np.isfinite(np.array(row.cells[:16], float)).all() for row in theirs.values())


def test_several_methods_and_cameras_stand_side_by_side():
    true = (*truth(camera="a"), *truth(camera="b"))
    good, poor = (spine_errors([x, 0, 0], true) for x in (0.001, 0.03))
    regions, _ = evaluate_lifting({"good": good, "poor": poor}, true)
    assert regions.value("good", "all", "MPJPE spine, no root") == pytest.approx(1)
    assert regions.value("poor", "all", "MPJPE spine, no root") == pytest.approx(30)
    assert sum("6 sequences" in note for note in regions.notes) == 1
    assert any(note.startswith("All methods: ") for note in regions.notes)
