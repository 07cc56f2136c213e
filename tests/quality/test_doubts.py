"""A figure names the findings on which it rests, and is unreadable where their advice is to leave it out."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.quality.doubts import UNREADABLE_CODES, with_doubts
from simspine.quality.findings import ADVICE, Finding
from simspine.quality.observability import ClinicalFigure
from simspine.report.page import ReportContent, TrialSection, render_page
from simspine.report.tables import clinical_tables, is_result, mean_cell, range_cell, stated_mean
from simspine.report.trial_sections import angle_curves


def figure(name, ends=(10, 40), **more):
    label = name.replace("_l", ", left").replace("_r", ", right").replace("_", " ").capitalize()
    known = {"sd": 2.0, "minimum": 10.0, "maximum": 60.0, "range_sd": 3.0, "decided_by": "measured"} | more
    return ClinicalFigure(name, label, "deg", mean=30.0, known_share=1.0, ends=ends, **known)


def doubted(findings, **names):
    return {one.name: one for one in with_doubts([figure(name, **more) for name, more in names.items()], findings)}


LIMBS = {f"{name}_{side}": {} for name in ("hip_flexion", "hip_rotation", "knee_flexion", "ankle_dorsiflexion",
                                           "shoulder_elevation", "shoulder_rotation") for side in "rl"}  # fmt: skip


@pytest.mark.parametrize(
    ("code", "where", "rests"),
    [
        ("bone_length", "left forearm", {"shoulder_elevation_l", "shoulder_rotation_l"}),
        ("bone_length", "right shank", {"hip_flexion_r", "hip_rotation_r", "knee_flexion_r", "ankle_dorsiflexion_r"}),
        ("asymmetry", "upper arm", {f"shoulder_{angle}_{s}" for angle in ("elevation", "rotation") for s in "rl"}),
        ("marker_jump", "LWrist", {"shoulder_rotation_l"}),
        ("reprojection_point", "Nose, RAnkle", {"hip_rotation_r", "knee_flexion_r", "ankle_dorsiflexion_r"}),
        ("limb_unseen", "elbow_flex_r", {"shoulder_rotation_r"}),
        ("limbs_exchanged", "elbows", {f"shoulder_{angle}_{s}" for angle in ("elevation", "rotation") for s in "rl"}),
        ("camera_late", "cam01", set()),
    ],
)
def test_a_limb_rests_on_its_bones_and_a_rotation_also_on_the_next_point(code, where, rests):
    found = doubted([Finding(code, "warning", "a", "b", where=where)], **LIMBS)
    assert {name for name, one in found.items() if one.doubts} == rests
    informed = doubted([Finding(code, "info", "a", "b", where=where)], **LIMBS)
    assert not any(one.doubts for one in informed.values()), "it was put right"


def test_the_trunk_rests_on_the_points_that_its_source_names():
    hips = {"decided_by": "detected: RHip, LHip"}
    found = doubted(
        [Finding("marker_jump", "warning", "a", "b", where="LHip")], **{"pelvis obliquity": hips, "lla": {}}
    )
    assert [one.doubts for one in found.values()] == [("LHip",), ()]
    bone = doubted([Finding("bone_length", "warning", "a", "b", where="left thigh")], **{"pelvis obliquity": hips})
    assert not bone["pelvis obliquity"].doubts, "its advice is about the limb"
    for code in ("skin_marker_order", "trunk_front_back"):
        wrong = Finding(code, "warning", "a", "b", where="C7, T7, T10")
        found = doubted([wrong], lla={}, tka={"decided_by": "assumed"}, knee_flexion_l={})
        assert [one.is_unreadable for one in found.values()] == [True, True, False]
        assert [one.decided_by for one in found.values()] == ["contradicted by markers", "assumed", "measured"]
        assert [is_result(one, still=True) for one in found.values()] == [False, False, True], "a mean is none either"
        assert stated_mean(found["lla"], still=True).startswith("(")


def test_what_a_finding_says_to_ignore_is_no_result():
    """The forearm is wrong in frames 40 to 44: an angle is largest in frame 40, or in frame 39."""
    finding = Finding("bone_length", "warning", "a", "b", frames=range(40, 45), where="left forearm")
    (inside,), (outside,) = (with_doubts([figure("shoulder_elevation_l", (10, end))], [finding]) for end in (40, 39))
    cells = [range_cell(one).replace("\u00a0", " ") for one in (inside, outside)]
    assert cells == ["(50 ± 6°) ▲ left forearm", "50 ± 6° ▲ left forearm"]
    assert [is_result(one, still=False) for one in (inside, outside)] == [False, True]
    assert stated_mean(inside, still=False).startswith("(")
    curves = angle_curves({"shoulder_elevation_l": (np.zeros(50), None)}, [inside, outside], still=False)
    assert [(curve.result, curve.doubts) for curve in curves] == [(False, ("left forearm",)), (True, ("left forearm",))]
    for code in UNREADABLE_CODES:
        assert any(word in ADVICE[code] for word in ("ignore this limb", "Do not read", "angles are wrong"))


def test_a_difference_of_sides_has_the_mark_of_either_and_links_to_the_finding():
    finding = Finding("bone_length", "warning", "a", "b", where="left forearm")
    right, left = figure("shoulder_elevation_r"), figure("shoulder_elevation_l", maximum=90.0)
    *_, table = clinical_tables(with_doubts([right, left], [finding]), None)
    cells = dict(zip(table.columns, (cell.replace("\u00a0", " ") for cell in table.rows[0]), strict=True))
    assert cells["Left minus right"] == "+30 ± 8° ▲ left forearm"
    assert "▲" not in cells["Right, range"]
    page = render_page(ReportContent("t", trials=(TrialSection("t", findings=(finding,), tables=(table,)),)))
    link = '<a href="#check-bone_length">▲&nbsp;left forearm</a>'
    assert page.count(link) == 2
    assert page.count('id="check-bone_length"') == 1
    assert link not in render_page(ReportContent("t", trials=(TrialSection("t", tables=(table,)),)))


@pytest.mark.parametrize(("mean", "shown"), [(4.4, False), (4.6, True), (-30.0, True)])
def test_a_change_within_its_error_is_in_brackets(mean, shown):
    """± 3.92°, written 4°. Other angles are measured at zero as elsewhere."""
    turned = replace(figure("pelvis rotation"), mean=mean, is_change=True)
    assert mean_cell(turned).startswith("(") != shown
    assert not mean_cell(replace(turned, is_change=False)).startswith("(")


def test_a_point_that_a_camera_shows_elsewhere_marks_the_angles_of_its_joint():
    """The finding is information, since other cameras see the point. The shoulder's angles do not rest on a knee."""
    found = doubted([Finding("view_point_unused", "info", "a", "b", where="cam03, RKnee")], **LIMBS)
    marked = {name: one.doubts for name, one in found.items() if one.doubts}
    assert marked == {
        f"{name}_r": ("RKnee",) for name in ("hip_flexion", "hip_rotation", "knee_flexion", "ankle_dorsiflexion")
    }
