"""Each check stays silent on a clean trial and fires, on the right frames, where one fault is put in."""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS, SPINE_LEVELS, SPINE_MARKERS
from simspine.anatomy.recipes import read_recipe
from simspine.anatomy.shape_model import CHAIN_LEVELS as SHAPE_LEVELS
from simspine.anatomy.shape_model import chain_positions, packaged_shape_model
from simspine.anatomy.split_torso import spine_levels
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import InputError
from simspine.core.types import Forced, Markers, Motion, Origin
from simspine.estimation.result import Posterior, Result
from simspine.quality.assess import check_solved_trial
from simspine.quality.findings import (
    LEVEL_ENVELOPES,
    REJECTED_FILLED_CODE,
    THRESHOLDS,
    Finding,
    Severity,
    Status,
    Verdict,
    sum_up_findings,
)
from simspine.quality.marker_checks import BONES, check_limbs_seen
from simspine.quality.spine_checks import LEVEL_OF, check_level_ranges, jump_frames, level_extents
from simspine.vision.triangulation import TriangulationReport

FRAMES, RATE = 60, 50.0
NAMES = tuple(level.name for level in SPINE_LEVELS)
LIMBS = tuple(dict.fromkeys(side + name for ends in BONES.values() for side in "RL" for name in ends))
ALL = SPINE_MARKERS + LIMBS
t = np.arange(FRAMES) / RATE


def clean():
    """A person bending forward and back once, all markers 2 cm from the model."""
    bend = np.radians(20) * np.sin(2 * np.pi * t / 1.2)
    angles = np.zeros((FRAMES, len(NAMES), 3))
    for level, share in {"L5-S1": 0.2, "L4-L5": 0.4, "L3-L4": 0.4, "lumbar": 1.0, "thorax": 1.5}.items():
        angles[:, NAMES.index(level), 0] = share * (bend if level != "lumbar" else np.abs(bend))
    spine = SpineKinematics(
        RATE, 0.0, NAMES, angles, np.radians(45) - bend, np.full(FRAMES, np.radians(45)),
        Markers(SPINE_MARKERS, RATE, np.tile(np.arange(15.0)[:, None] * 0.05, (FRAMES, 1, 3)), "y_up"),
        np.zeros((FRAMES, len(NAMES)), bool),
    )  # fmt: skip
    xyz = np.zeros((FRAMES, len(ALL), 3))
    centres = chain_positions(packaged_shape_model().mean)  # of a typical spine
    for point, level in LEVEL_OF.items():
        xyz[:, ALL.index(point)] = centres[SHAPE_LEVELS.index(level)]
    for k, name in enumerate(LIMBS):
        xyz[:, len(SPINE_MARKERS) + k] = [0, 0.4 * ("Knee" in name or "Elbow" in name), 0]
    return {
        "spine": spine,
        "converged": np.ones(FRAMES, bool),
        "solver_reason": ("",) * FRAMES,
        "marker_names": ALL,
        "marker_error": np.full((FRAMES, len(ALL)), 0.02),
        "measured": Markers(
            ALL, RATE, xyz, origin=(Origin.DETECTED,) * len(ALL), filled=np.zeros((FRAMES, len(ALL)), bool)
        ),
        "reprojection_names": ALL,
        "reprojection_px": np.full((FRAMES, len(ALL)), 12.0),
        "motion": Motion(("L5_S1_Flex_Ext", "pelvis_tx"), RATE, np.stack([-0.2 * bend, 9 + t], 1), (True, False)),
        "ranges": {"L5_S1_Flex_Ext": (-0.2, 0.2), "pelvis_tx": (-5, 5)},
    }


def changed(**fields):
    """The clean trial's spine with some arrays changed."""
    spine = clean()["spine"]
    values = {name: getattr(spine, name) for name in spine.__dataclass_fields__}
    return SpineKinematics(**(values | fields))


def check(**changes):
    """The verdict on the clean trial with some of its parts changed."""
    parts = clean() | changes
    converged, error = parts["converged"], parts["marker_error"]
    solved = Result(parts["motion"], parts["marker_names"], error, np.zeros(len(error)), converged,
                    parts["solver_reason"], posterior(parts))  # fmt: skip
    px = np.asarray(parts["reprojection_px"])
    used = np.isfinite(px)[:, None]
    report = TriangulationReport(
        parts["reprojection_names"], ("cam",), used, px[:, None], ~used & used, np.where(used[:, 0], 0, 1),
        np.ones(px.shape[1]), np.ones(px.shape[1]),
    )  # fmt: skip
    spine = parts["spine"] if "centres" not in parts else replace(parts["spine"], centres=parts["centres"])
    sized = SimpleNamespace(ranges=parts["ranges"], levels=(), person=None, doubt="")
    return check_solved_trial(sized, solved, spine, parts["measured"], triangulation=report)


def posterior(parts) -> Posterior | None:
    """What the data decided of each coordinate, where the test says so."""
    if "response" not in parts:
        return None
    return Posterior(np.array([parts["response"].get(name, np.nan) for name in parts["motion"].names]), {})


def found(verdict, code):
    return [finding for finding in verdict.findings if finding.code == code]


def put(array, where, value):
    array = np.array(array, float)
    array[where] = value
    return array


def test_clean_trial_has_no_findings():
    result = check()
    assert result.findings == ()
    assert result.counts == {"kept": FRAMES, "corrected": 0, "rejected": 0, "inferred": 0}
    assert not result.rejected.any()


# --- what rejects


@pytest.mark.parametrize(("name", "degrees"), [("lla", 95), ("lla", -30), ("tka", 90), ("tka", 0)])
def test_implausible_curvature_rejects_its_frames(name, degrees):
    values = getattr(clean()["spine"], name) + 0
    values[20:40] = np.radians(degrees)
    result = check(spine=changed(**{name: values}))
    (finding,) = found(result, f"{name}_implausible")
    assert finding.frames == tuple(range(20, 40))
    assert f"{degrees}.0°" in finding.message
    assert result.rejected[20:40].all()
    assert result.reason_counts["rejected"][f"{name}_implausible"] == 20


def test_a_spike_rejects_only_itself():
    level = NAMES.index("L4-L5")
    spine = clean()["spine"]
    result = check(spine=changed(angles=put(spine.angles, (30, level, 0), spine.angles[30, level, 0] + 0.2)))
    (finding,) = found(result, "jump")
    assert finding.frames == (30,)
    assert "flexion of L4-L5" in finding.message
    assert result.rejected.sum() == 1
    assert result.reasons[30] == ("jump",)


def test_levels_that_jump_together_make_one_finding():
    spine = clean()["spine"]
    lumbar = [NAMES.index(level) for level in ("L5-S1", "L4-L5", "L3-L4")]
    result = check(spine=changed(angles=put(spine.angles, (30, lumbar, 1), 0.15)))
    (finding,) = found(result, "jump")
    assert all(level in finding.message for level in ("L5-S1", "L4-L5", "L3-L4"))


def test_a_step_rejects_both_sides():
    values = np.array(clean()["spine"].tka)
    values[25:] += np.radians(12)
    result = check(spine=changed(tka=values))
    assert found(result, "jump")[0].frames == (24, 25)
    assert found(result, "tka_fast")


def test_a_person_who_teleports_is_rejected():
    spine = clean()["spine"]
    xyz = np.array(spine.markers.xyz)
    xyz[40:] += [0.5, 0, 0]
    result = check(spine=changed(markers=spine.markers.with_(xyz=xyz)))
    assert found(result, "jump")[0].frames == (39, 40)
    assert "position" in found(result, "jump")[0].message


@given(st.integers(1, 3), st.integers(3, 20), st.floats(-0.005, 0.005))
def test_jump_rule(length, start, slope):
    """A smooth line with one excursion of up to three frames: just these frames; a gap is no jump."""
    values = slope * np.arange(30)
    values[start : start + length] += 1.0
    faulty, speed = jump_frames(values, 50.0, 5.0)
    assert set(np.flatnonzero(faulty)) == set(range(start, start + length))
    np.testing.assert_allclose(speed, 50 * (1 + abs(slope)), rtol=1e-9)
    values[[start - 1, start + length]] = np.nan
    assert not jump_frames(values, 50.0, 5.0)[0].any()


def test_four_frames_away_are_two_steps():
    values = np.zeros(20)
    values[10:14] = 1.0
    assert list(np.flatnonzero(jump_frames(values, 50.0, 5.0)[0])) == [9, 10, 13, 14]


def test_unsolved_frames_are_rejected_with_their_reason():
    converged = np.ones(FRAMES, bool)
    converged[[4, 5]] = False
    reason = ["" if ok else "no pelvis marker" for ok in converged]
    result = check(converged=converged, solver_reason=reason)
    assert found(result, "not_solved")[0].frames == (4, 5)
    assert "no pelvis marker" in found(result, "not_solved")[0].message
    assert result.status[4] is Status.REJECTED


def test_frames_without_kinematics_are_rejected_even_if_nobody_says_so():
    result = check(spine=changed(lla=put(clean()["spine"].lla, 7, np.nan)))
    assert found(result, "not_solved")[0].frames == (7,)
    assert result.rejected.sum() == 1


def test_frame_rmse_above_ten_centimetres_rejects():
    result = check(marker_error=put(clean()["marker_error"], (12,), 0.11))
    (finding,) = found(result, "frame_rmse")
    assert finding.frames == (12,)
    assert "11.0 cm" in finding.message
    assert result.rejected.sum() == 1


# --- what only corrects or warns


def test_wrap_repairs_mark_frames_corrected_but_turning_round_does_not():
    repaired = np.zeros((FRAMES, len(NAMES)), bool)
    repaired[10:12, NAMES.index("neck")] = True
    repaired[30:, NAMES.index("pelvis")] = True
    result = check(spine=changed(repaired=repaired))
    assert [finding.code for finding in result.findings] == ["wrap_repaired"]
    np.testing.assert_array_equal([k for k, status in enumerate(result.status) if status is Status.CORRECTED], [10, 11])


def test_interpolated_gaps_mark_frames_corrected():
    trial = clean()
    filled = np.zeros((FRAMES, len(ALL)), bool)
    filled[5:8, 3] = True
    result = check(measured=trial["measured"].with_(filled=filled))
    assert found(result, "gap_filled")[0].frames == (5, 6, 7)
    assert result.reason_counts == {"corrected": {"gap_filled": 3}, "rejected": {}}


def test_fast_curvature_warns():
    lla = np.radians(45) + np.radians(35) * np.sin(2 * np.pi * t)  # peak 220 °/s
    result = check(spine=changed(lla=lla))
    assert found(result, "lla_fast")
    assert not found(result, "jump")
    assert result.counts["kept"] == FRAMES


def test_level_beyond_published_range_warns_and_says_if_forced():
    angles = put(clean()["spine"].angles, (slice(None), NAMES.index("L4-L5"), 2), np.radians(4))
    for forced, words in (
        ({}, "Check the points"),
        ({"L4-L5": (Forced("coupled", ("axial rotation",), "L5_S1", 1.06),)}, "model forces"),
    ):
        result = check(spine=changed(angles=angles, forced=forced))
        (finding,) = found(result, "level_range")
        assert finding.where == "L4-L5"
        assert len(finding.frames) == FRAMES
        assert words in finding.suggestion
        assert result.counts["kept"] == FRAMES


def test_assumed_angles_are_not_held_against_ranges():
    """4° of rotation at L4-L5 is beyond 1.25 × 2°: by how much depends on the standard deviation."""
    k = NAMES.index("L4-L5")
    angles = put(clean()["spine"].angles, (slice(None), k, 2), np.radians(4))
    shares = np.full((len(NAMES), 3), np.nan)
    for share, warned in ((0.19, 0), (0.21, 1), (np.nan, 1)):
        shares[k, 2] = share
        assert len(list(check_level_ranges(changed(angles=angles), shares))) == warned, share
    for sd, warned in ((0.74, 1), (0.76, 0)):  # 4° − 2 sd against 2.5°
        spine = changed(angles=angles, angles_sd=np.full(angles.shape, np.radians(sd)))
        assert len(found(check(spine=spine), "level_range")) == warned, sd
    for share, warned in ((0.1, 0), (0.5, 1)):
        result = check(ranges={"L5_S1_Flex_Ext": (-0.03, 0.2)}, response={"L5_S1_Flex_Ext": share})
        assert len(found(result, "coordinate_range")) == warned


def test_coordinate_outside_the_models_range_warns():
    result = check(ranges={"L5_S1_Flex_Ext": (-0.03, 0.2), "pelvis_tx": (-5, 5)})
    (finding,) = found(result, "coordinate_range")  # and not the pelvis, which is at 9 m
    values = clean()["motion"].values[:, 0]
    assert finding.frames == tuple(np.flatnonzero(values < -0.03 - np.radians(1)))
    assert result.counts["rejected"] == 0


def test_which_way_the_subject_faces_is_no_matter_of_range():
    motion = Motion(("pelvis_rotation",), RATE, np.full((FRAMES, 1), 3.0), (True,))
    assert check(motion=motion, ranges={"pelvis_rotation": (-1.57, 1.57)}).findings == ()


@pytest.mark.parametrize(("metres", "code"), [(0.05, "marker_far"), (0.12, "marker_flagged")])
def test_marker_rmse_protocol(metres, code):
    result = check(marker_error=put(clean()["marker_error"], (slice(None), 4), metres))
    (finding,) = result.findings
    assert (finding.code, finding.where) == (code, ALL[4])
    assert f"{100 * metres:.1f} cm" in finding.message
    assert result.counts["kept"] == FRAMES


def test_markers_that_nothing_knows_are_named_with_what_was_meant():
    """A point of SIMSPINE's that the body lacks (an eye) is no mistake; a wrong spelling is, and is left out silently
    otherwise."""
    measured = clean()["measured"]
    more = ("L_Knee", "REye", "*17")
    xyz = np.concatenate([measured.xyz, np.zeros((FRAMES, len(more), 3))], 1)
    given = Markers((*ALL, *more), RATE, xyz)
    (finding,) = found(check(measured=given), "marker_unknown")
    assert finding.severity is Severity.WARNING
    assert "2 of 30 markers" in finding.message
    assert "L_Knee, *17" in finding.message
    assert "L_Knee: LKnee?" in finding.suggestion
    assert not found(check(), "marker_unknown")


def test_reprojection_warns_for_frames_and_points():
    error = put(clean()["reprojection_px"], (slice(10, 15),), 60.0)
    assert found(check(reprojection_px=error), "reprojection")[0].frames == tuple(range(10, 15))
    error = put(clean()["reprojection_px"], (slice(None), 2), 40.0)
    assert found(check(reprojection_px=error), "reprojection_point")[0].where == ALL[2]
    error[:, 5] = np.nan
    error[3] = np.nan
    assert not found(check(reprojection_px=error), "reprojection")


def test_missing_markers_warn():
    xyz = np.array(clean()["measured"].xyz)
    xyz[20:22, ::2] = np.nan
    xyz[:, 0] = np.nan
    result = check(measured=clean()["measured"].with_(xyz=xyz))
    assert found(result, "markers_missing")[0].frames == (20, 21)
    assert found(result, "marker_never_seen")[0].where == ALL[0]
    nothing = check(measured=clean()["measured"].with_(xyz=xyz * np.nan))
    assert len(found(nothing, "markers_missing")[0].frames) == FRAMES


def test_inferred_spine_points_warn():
    origin = tuple(Origin.INFERRED if name in SPINE_CHAIN_MARKERS else Origin.DETECTED for name in ALL)
    (finding,) = check(measured=clean()["measured"].with_(origin=origin)).findings
    assert finding.code == "inferred_points"
    assert "9 of the spine's 9 points" in finding.message
    few = tuple(Origin.INFERRED if name == "Spine_02" else Origin.DETECTED for name in ALL)
    assert not check(measured=clean()["measured"].with_(origin=few)).findings


def test_estimated_spine_points_warn_by_themselves():
    origin = tuple(Origin.ESTIMATED if name in SPINE_CHAIN_MARKERS else Origin.DETECTED for name in ALL)
    (finding,) = check(measured=clean()["measured"].with_(origin=origin)).findings
    assert finding.code == "estimated_points"
    assert "9 of the spine's 9 points are estimated by a network" in finding.message


def test_stretching_bone_and_asymmetry_warn():
    xyz = np.array(clean()["measured"].xyz)
    knee = ALL.index("RKnee")
    xyz[8, knee, 1] = 0.6
    result = check(measured=clean()["measured"].with_(xyz=xyz))
    assert {finding.where: finding.frames for finding in found(result, "bone_length")} == {
        "right thigh": (8,),
        "right shank": (8,),
    }
    assert not found(result, "asymmetry")
    xyz = np.array(clean()["measured"].xyz)
    xyz[:, knee, 1] = 0.5
    result = check(measured=clean()["measured"].with_(xyz=xyz))
    assert {finding.where for finding in found(result, "asymmetry")} == {"thigh", "shank"}
    xyz[::2, knee, 1] = 0.44  # 6 % about its median
    assert found(check(measured=clean()["measured"].with_(xyz=xyz)), "bone_length")


# --- limbs that nothing was seen of


def solved_limbs(spread_deg):
    """Coordinates of limbs and one of the spine, with standard deviations (frames, coordinates) in degrees."""
    names = ("hip_flexion_r", "knee_angle_l", "elbow_flex_r", "ankle_angle_r", "L5_S1_Flex_Ext")
    spread = np.radians(np.broadcast_to(spread_deg, (12, len(names))))
    return Motion(names, 50.0, np.zeros((12, 5)), np.ones(5, bool), deviation=spread)


def test_legs_out_of_view_are_named():
    """A seated person: hips and knees are left to the prior in all frames. Other joints are not judged here."""
    (finding,) = check_limbs_seen(solved_limbs([75.0, 82.0, 3.0, 90.0, 25.0]))
    assert (finding.code, finding.severity) == ("limb_unseen", Severity.WARNING)
    assert finding.where == "hip_flexion_r, knee_angle_l"
    assert "12 of 12 frames (standard deviation up to 82°" in finding.message
    assert finding.frames == tuple(range(12))


def test_a_limb_that_leaves_the_view_is_named_in_those_frames():
    spread = np.full((12, 5), 2.0)
    spread[7:, 2] = 45.0
    (finding,) = check_limbs_seen(solved_limbs(spread))
    assert (finding.where, finding.frames) == ("elbow_flex_r", (7, 8, 9, 10, 11))


def test_seen_limbs_and_engines_without_deviations_say_nothing():
    assert not list(check_limbs_seen(solved_limbs([5.0, 12.0, 19.0, 60.0, 30.0])))
    seen = solved_limbs(1.0)
    assert not list(check_limbs_seen(Motion(seen.names, 50.0, seen.values, seen.rotational)))


# --- verdict and thresholds


def test_an_error_outweighs_an_info_and_reasons_are_counted():
    findings = [
        Finding("a", Severity.INFO, "m", "s", (1, 2)),
        Finding("b", Severity.ERROR, "m", "s", (2, 3)),
        Finding("c", Severity.ERROR, "m", "s", (3,)),
        Finding("d", Severity.WARNING, "m", "s", (0, 1, 2, 3)),
        Finding("e", Severity.ERROR, "m", "s"),
    ]
    result = sum_up_findings(5, findings)
    assert [str(s) for s in result.status] == ["kept", "corrected", "rejected", "rejected", "kept"]
    assert result.reasons == ((), ("a",), ("b",), ("b", "c"), ())
    assert result.counts == {"kept": 2, "corrected": 1, "rejected": 2, "inferred": 0}
    assert result.reason_counts == {"corrected": {"a": 1}, "rejected": {"b": 2, "c": 1}}


@pytest.mark.parametrize(
    ("frames", "runs", "message"),
    [
        (9_999_999, [[0, 3]], "outside the trial's 9999999"),
        (5, [[0, 6]], "outside the trial's 5"),
        (5, [[3, 2]], "outside the trial's 5"),
        (3_000_000, [[0, 3_000_000]] * 20, "name 60000000 frames in all"),
    ],
)
def test_stored_findings_do_not_fill_the_memory(frames, runs, message):
    entries = [Finding("a", Severity.ERROR, "m", "s").to_dict() | {"frames": [run]} for run in runs]
    with pytest.raises(InputError, match=message):
        Verdict.from_dict({"frames": frames, "findings": entries})


def test_the_verdict_of_three_hours_at_100_frames_a_second_is_read():
    found = Finding("a", Severity.ERROR, "m", "s", np.arange(1_080_000) > 9)
    stored = sum_up_findings(1_080_000, [found, found]).to_dict()
    assert Verdict.from_dict(stored).counts == {"kept": 10, "corrected": 0, "rejected": 1_079_990, "inferred": 0}


def test_rejected_frames_that_were_filled_are_inferred_and_still_among_the_rejected():
    findings = [
        Finding("b", Severity.ERROR, "m", "s", (1, 2, 4)),
        Finding(REJECTED_FILLED_CODE, Severity.INFO, "m", "s", (1, 2)),
    ]
    result = sum_up_findings(6, findings)
    assert [str(s) for s in result.status] == ["kept", "inferred", "inferred", "kept", "rejected", "kept"]
    assert result.rejected.tolist() == [False, True, True, False, True, False]
    assert result.inferred.tolist() == [False, True, True, False, False, False]
    assert result.reason_counts == {"corrected": {}, "rejected": {"b": 3}}
    assert result.to_dict()["status"] == {"corrected": [], "rejected": [[4, 5]], "inferred": [[1, 3]]}
    assert Verdict.from_dict(json.loads(json.dumps(result.to_dict()))) == result
    assert result.filled
    assert not sum_up_findings(6, findings[:1]).filled


def test_thresholds_say_why_and_know_their_unit():
    for threshold in THRESHOLDS.values():
        assert threshold.reason
        assert threshold.source
        assert np.isfinite(threshold.value_si)
    assert THRESHOLDS["marker_flagged"].value_si == pytest.approx(0.1)  # 10 cm
    assert THRESHOLDS["jump_level"].value_si == pytest.approx(np.radians(250))
    assert THRESHOLDS["missing"].value_si == pytest.approx(0.3)  # 30 %


def test_every_joint_has_a_published_range():
    assert {level.name for level in SPINE_LEVELS if level.coordinates} <= set(LEVEL_ENVELOPES)
    articulated = spine_levels(read_recipe("articulated").articulation)
    assert {level.name for level in articulated if level.coordinates} <= set(LEVEL_ENVELOPES)
    for envelope in LEVEL_ENVELOPES.values():
        low, high = envelope.limits.T
        assert (low < 0).all()
        assert (high > 0).all()
        assert envelope.source
    np.testing.assert_allclose(LEVEL_ENVELOPES["neck"].limits[1], np.radians([-49, 49]))


def test_the_documentation_gives_thresholds_their_values_and_links_to_all():
    page = Path(__file__).parents[2] / "docs" / "spine.md"
    text = page.read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (-?[\d.]+)", text, re.MULTILINE)
    rejecting = {"lla_low", "lla_high", "tka_low", "tka_high", "marker_flagged"}
    assert rejecting | {name for name in THRESHOLDS if name.startswith("jump_")} <= {name for name, _ in rows}
    assert {name: float(value) for name, value in rows} == {name: THRESHOLDS[name].value for name, _ in rows}
    for table in ("thresholds.csv", "ranges_of_motion.csv"):
        [target] = re.findall(rf"\]\(([^)]*/{table})\)", text)
        assert (page.parent / target).is_file()


def test_a_level_that_travels_too_far_warns_though_no_angle_is_out_of_range():
    """L4-L5 from −20° to 20°: each within the bounds about an unknown neutral pose, together twice 21°."""
    spine = clean()["spine"]
    values = np.radians(20) * np.linspace(-1, 1, FRAMES)
    level = NAMES.index("L4-L5")
    angles = put(spine.angles, (slice(None), level, 0), values)
    (finding,) = found(check(spine=changed(angles=angles)), "level_extent")
    assert "flexion of L4-L5 travels 39.2°" in finding.message
    assert not found(check(spine=changed(angles=angles)), "level_range")
    forced = changed(angles=angles, forced={"L4-L5": (Forced("coupled", ("flexion",), "L5_S1", 1.857),)})
    assert not found(check(spine=forced), "level_extent")
    shares = np.full((len(NAMES), 3), 0.1)
    assert not list(level_extents(changed(angles=angles), shares))


def test_published_extents_are_both_directions_together():
    np.testing.assert_allclose(np.degrees(LEVEL_ENVELOPES["L4-L5"].extent), [21, 12, 4])
    np.testing.assert_allclose(np.degrees(LEVEL_ENVELOPES["lumbar"].extent), [67, 35, 10])
