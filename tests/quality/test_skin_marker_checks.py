"""Markers on the skin that are lost for most of a recording, or carry another vertebra's name."""

import numpy as np

from simspine.core.types import Markers
from simspine.quality.findings import Severity, sum_up_findings
from simspine.quality.marker_checks import check_skin_marker_order, check_skin_markers_lost


def test_a_marker_that_is_mostly_missing_is_named_with_its_frames():
    xyz = np.zeros((20, 3, 3))
    xyz[8:, 1] = np.nan  # 8 of 20
    xyz[15:, 2] = np.nan
    (finding,) = check_skin_markers_lost(Markers(("LHip", "LPSIS_skin", "T7_skin"), 50.0, xyz))
    assert (finding.code, finding.where) == ("skin_marker_lost", "LPSIS")
    assert "missing in 12 of 20 frames" in finding.message
    assert finding.frames == tuple(range(8, 20))


def test_a_lost_marker_corrects_no_frame():
    xyz = np.zeros((10, 3, 3))
    xyz[1:, 1:] = np.nan  # a marker, and a dot of a tape
    found = list(check_skin_markers_lost(Markers(("LHip", "LPSIS_skin", "T2.50_skin"), 50.0, xyz)))
    assert [finding.severity for finding in found] == [Severity.WARNING] * 2
    assert sum_up_findings(10, found).counts == {"kept": 10, "corrected": 0, "rejected": 0, "inferred": 0}


def on_a_back(**heights):
    """Markers at heights (m) along a rounded back, for three frames."""
    names = tuple(f"{name}_skin" for name in heights)
    z = np.array(list(heights.values()))
    xyz = np.stack([0.5 * (z - 1.3) ** 2, np.zeros_like(z), z], 1)
    return Markers(names, 50.0, np.tile(xyz, (3, 1, 1)))


def test_markers_that_follow_one_another_as_their_names_do_pass():
    assert not list(check_skin_marker_order(on_a_back(T10=1.21, C7=1.45, T7=1.27, LPSIS=1.0)))


def test_a_marker_with_the_name_of_another_vertebra_is_named():
    """T12 above T10, as on a person whose T7 was called T12."""
    (finding,) = check_skin_marker_order(on_a_back(C7=1.45, T12=1.27, T10=1.21))
    assert (finding.code, finding.where) == ("skin_marker_order", "C7, T10, T12")


def test_markers_never_seen_together_say_nothing():
    markers = on_a_back(C7=1.45, T12=1.27, T10=1.21)
    xyz = np.array(markers.xyz)
    xyz[:, 1] = np.nan
    assert not list(check_skin_marker_order(markers.with_(xyz=xyz)))


def test_lost_dots_of_a_tape_are_one_finding():
    xyz = np.zeros((10, 4, 3))
    xyz[3:, 1:3] = np.nan
    (finding,) = check_skin_markers_lost(Markers(("C7.00_skin", "T2.50_skin", "T5.00_skin", "T7_skin"), 50.0, xyz))
    assert finding.where == "tape"
    assert "2 of 3 dots of the tape (number 2, 3)" in finding.message
    assert finding.frames == tuple(range(3, 10))


def test_dots_of_a_tape_follow_one_another():
    assert not list(check_skin_marker_order(on_a_back(**{"C7.00": 1.45, "T3.20": 1.36, "T7": 1.27, "T10.40": 1.20})))
    (finding,) = check_skin_marker_order(on_a_back(**{"C7.00": 1.45, "T3.20": 1.20, "T7": 1.27}))
    assert finding.where == "C7.00, T3.20, T7"
