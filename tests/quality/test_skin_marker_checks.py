"""Markers on the skin that are lost for most of a recording, or carry another vertebra's name."""

import numpy as np
import pytest

from simspine.core.types import Markers
from simspine.quality.findings import Severity, sum_up_findings
from simspine.quality.marker_checks import check_front_and_back, check_skin_marker_order, check_skin_markers_lost


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


TRUNK = {  # x forward, y to the left, z up, m: as a person stands who faces x
    "LASI": (0.1, 0.12, 1.0), "RASI": (0.1, -0.12, 1.0), "LPSIS_skin": (-0.08, 0.04, 1.02),
    "RPSIS_skin": (-0.08, -0.04, 1.02), "LSHO": (0.0, 0.2, 1.45), "RSHO": (0.0, -0.2, 1.45), "CLAV": (0.06, 0.0, 1.42),
    "STRN": (0.11, 0.0, 1.25), "C7_skin": (-0.07, 0.0, 1.5), "T10_skin": (-0.1, 0.0, 1.2),
}  # fmt: skip


def trunk(bent_deg=0.0, turned_deg=0.0, **named):
    """Five frames of a trunk. named: {marker: the one whose place it has}."""
    bend, turn = np.radians(bent_deg), np.radians(turned_deg)
    pitch = np.array([[np.cos(bend), 0, np.sin(bend)], [0, 1, 0], [-np.sin(bend), 0, np.cos(bend)]])
    yaw = np.array([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]])
    hips = np.array([0.0, 0.0, 1.0])
    places = {name: np.array(TRUNK[named.get(name, name)]) for name in TRUNK}
    upper = {name: "SI" not in name for name in TRUNK}  # the pelvis stays upright
    xyz = [yaw @ (hips + pitch @ (place - hips) if upper[name] else place) for name, place in places.items()]
    return Markers(tuple(TRUNK), 50.0, np.tile(np.array(xyz), (5, 1, 1)), "z_up")


def test_a_trunk_whose_front_is_in_front_says_nothing():
    """Upright, bent forward or back, turned, in both frames, with a missing marker."""
    for bent in (-30, 0, 45, 85):
        for turned in (0, 130):
            assert not list(check_front_and_back(trunk(bent, turned)))
    xyz = np.array(trunk().xyz)
    xyz[:, 0] = np.nan
    assert not list(check_front_and_back(trunk().with_(xyz=xyz)))
    assert not list(check_front_and_back(trunk().select(["CLAV", "C7_skin"])))


@pytest.mark.parametrize("bent", [0, 45])
@pytest.mark.parametrize(
    ("exchanged", "said"),
    [
        ([("CLAV", "C7_skin"), ("STRN", "T10_skin")], "CLAV behind C7, STRN behind T10 in 5 frames."),
        ([("CLAV", "C7_skin")], "CLAV behind C7 in 5 frames."),
        ([("LASI", "LPSIS_skin"), ("RASI", "RPSIS_skin")], "LASI behind "),
    ],
)
def test_a_trunk_whose_front_is_behind_is_named(bent, exchanged, said):
    names = dict(exchanged) | {b: a for a, b in exchanged}
    (finding,) = check_front_and_back(trunk(bent, 70, **names))
    assert finding.code == "trunk_front_back"
    assert finding.message.startswith(said)


def test_a_chest_mirrored_to_the_back_is_named():
    """No marker of the back moved, so that these still lie in their order."""
    xyz = np.array(trunk().xyz)
    for name in ("CLAV", "STRN"):
        xyz[:, trunk().index(name), 0] *= -2
    (finding,) = check_front_and_back(trunk().with_(xyz=xyz))
    assert finding.where == "CLAV, STRN, C7, T10"
