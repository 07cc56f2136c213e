"""The tables of cameras and points: counts and errors that are known."""

import numpy as np

from simspine.core.types import Markers
from simspine.report.tables import camera_table, point_table
from simspine.vision.triangulation import REASON_KEPT, REASON_TOO_FEW, TriangulationReport

NAMES = ("LHip", "C7_skin", "Spine_01")


def report():
    """Ten frames of three views: C7 in two of them, Spine_01 seldom and never used, one view with exchanged sides."""
    error = np.full((10, 3, 3), np.nan)
    error[:, :, 0] = 7.0
    error[9, 2, 0] = 300.0
    error[:, :2, 1] = 1.6
    error[:4, 0, 2] = 2.5
    used = np.isfinite(error) & (error < 100)
    used[..., 2] = False
    swapped = np.zeros(error.shape, bool)
    swapped[:5, 1, 0] = True
    reason = np.where(used.any(1), REASON_KEPT, REASON_TOO_FEW)
    return TriangulationReport(NAMES, ("left", "right", "front"), used, error, swapped, reason, np.ones(3), np.ones(3))


def markers():
    xyz = np.zeros((10, 3, 3))
    xyz[:2, 1] = np.nan
    names = ("LHip", "C7_skin", "Spine_01_inferred")
    return Markers(names, 50, xyz, "y_up", origin=["detected", "detected", "inferred"])


def test_a_row_for_each_camera():
    table = camera_table(report().of_points(["LHip"]), "640 × 480 px", {}, {}, 50.0)
    assert "1 points of one person in 10 frames, skin markers excluded; images of 640 × 480 px." in table.caption
    assert table.rows == (
        ("left", "100 % of 10", "0 %", "7.0", "7.0"),
        ("right", "100 % of 10", "50 %", "7.0", "7.0"),
        ("front", "90 % of 10", "0 %", "7.0", "7.0"),
    )


def test_a_refined_camera_says_how_it_changed_and_how_late_it_is():
    """One that saw too little to be refined has no residual as calibrated; of one not judged nothing is said."""
    changed = {"moved_mm": 12.3, "turned_deg": 0.46, "focal_percent": -0.21, "principal_px": 3.2}
    changes = {"left": changed | {"calibrated_px": 13.1}, "right": changed}
    delays = {"left": {"delay_frames": 0, "sd_frames": 0}, "right": {"delay_frames": -0.5, "sd_frames": 0.25}}
    table = camera_table(report().of_points(["LHip"]), "", changes, delays, 50.0)
    moved = ("12 mm, 0.5°", "−0.2 %, 3 px")
    wanted = [("13.1", *moved, "0"), ("–", *moved, "−10 ± 10"), ("–", "–", "–", "–")]
    assert [row[5:] for row in table.rows] == wanted
    assert table.columns[-1] == "Delay behind left, ms"
    assert len(table.columns) == 9
    assert "no independent check" in table.caption


def test_a_row_for_each_point_the_worst_of_the_body_first():
    fitted = {"LHip": np.full(10, 0.004), "C7_skin": np.r_[np.full(8, 0.011), np.nan, 0.030]}
    table = point_table(report(), markers(), fitted)
    assert table.columns[3:6] == ("left, px", "right, px", "front, px")
    assert table.rows == (
        ("C7", "on the skin", "80 %", "2", "2", "–", "11 (15)"),
        ("LHip", "the detector", "100 %", "7", "7", "7 (90 %)", "4 (4)"),
        ("Spine_01", "inferred", "100 %", "– (0 %)", "–", "–", "–"),
    )


def test_markers_alone_have_no_cameras():
    table = point_table(None, markers(), {"LHip": np.full(10, 0.004)})
    assert table.columns == ("Point", "Where from", "Frames known", "From the body, mm")
    assert [row[0] for row in table.rows] == ["LHip", "C7"]  # nothing is known of Spine_01, which was inferred
    assert [note.name for note in table.notes] == ["From the body"]


def test_nothing_seen_is_a_dash():
    nothing = report()
    nothing = TriangulationReport(
        NAMES, nothing.views, np.zeros((4, 3, 3), bool), np.full((4, 3, 3), np.nan), np.zeros((4, 3, 3), bool),
        np.zeros((4, 3), int), np.ones(3), np.ones(3),
    )  # fmt: skip
    assert {row[1:] for row in camera_table(nothing, "", {}, {}, 50.0).rows} == {("–",) * 4}
    assert {cell for row in point_table(nothing, markers(), {}).rows for cell in row[3:]} == {"–"}
