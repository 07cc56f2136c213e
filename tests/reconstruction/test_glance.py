"""The statements that come first: they say what the figures behind them say."""

from dataclasses import replace

import numpy as np
import pytest

from simspine.core.types import Origin
from simspine.quality.findings import Finding
from simspine.quality.observability import TILT_UNSEEN, Observability
from simspine.reconstruction.cameras import REFINEMENT_REMOVED_IT
from simspine.report.body_video import films_of_trial, shown_in
from simspine.report.page import interval_text, page_words
from simspine.report.statements import methods_text, recorded_sentence, summary_statements
from simspine.report.tables import clinical_tables, held_still
from simspine.report.trial_sections import (
    level_pictures,
    region_figures,
    scene_of_trial,
    segment_figures,
    segment_sources,
    short_name,
    side_of,
    trial_tables,
    usable_figures,
    usable_table,
)
from simspine.vision.person_frame import limb_stature
from simspine.workflow.results import read_trial
from simspine.workflow.up_to_date import RunPaths


@pytest.fixture(scope="module")
def found(finished):
    return read_trial(RunPaths(finished.results, "S01"), "bow")


def said(found, name):
    return {statement.name: statement.reason for statement in summary_statements(found)}[name]


def test_it_counts_what_there_is(found):
    measured = said(found, "What was recorded")
    seconds = found.spine.frames / found.spine.rate
    frames = f"{found.spine.frames} frames at {found.spine.rate:g} Hz ({seconds:.1f} s), no frame rejected"
    assert recorded_sentence(found).startswith(
        f"S01, trial bow: {len(found.cameras)} cameras, {frames}; date, task, age"
    )
    stature = measured.partition("The model is ")[2].partition(" m tall")[0]
    assert float(stature) == pytest.approx(limb_stature(found.markers.names, found.markers.xyz), rel=0.08)
    unseen = found.markers.with_(origin=(*[Origin.INFERRED] * 2, *found.markers.origins[2:]))
    assert "2 unseen points of the spine are inferred" in said(replace(found, markers=unseen), "What was recorded")


def test_angles_in_the_room_name_the_points_that_show_them(found):
    """Hips lie on the axis of the pelvis' tilt. A point counts that is known in half of the frames."""
    points = found.markers
    keep = [name for name in points.names if name[1:] in ("Hip", "Shoulder")]
    plain = replace(found, markers=points.select(keep))
    assert segment_sources(plain) == {
        "pelvis": ("inferred from thighs and trunk", "detected: RHip, LHip"),
        "thorax": ("inferred from hips and shoulders", "detected: RShoulder, LShoulder"),
    }
    for part, known in ((0.4, False), (0.6, True)):
        xyz = points.select([*keep, "Spine_04"]).xyz.copy()
        xyz[: round((1 - part) * len(xyz)), -1] = np.nan
        seen = replace(found, markers=points.select([*keep, "Spine_04"]).with_(xyz=xyz))
        assert ["Spine_04" in source for source in segment_sources(seen)["thorax"]] == [known, known]
    figures = segment_figures(found.spine, ~found.rejected, segment_sources(plain))
    sources = {short_name(figure): figure.decided_by for figure in figures}
    assert sources["Pelvis tilt in the room"] == "inferred from thighs and trunk"
    assert sources["Pelvis obliquity in the room"] == "detected: RHip, LHip"


def test_results_that_rest_on_detected_hips_or_shoulders_say_what_their_interval_leaves_out(found):
    hips, shoulders = "hips misplaced by the detector", "shoulders that move on the thorax"
    for origin, is_said in ((Origin.DETECTED, True), (Origin.GIVEN, False)):
        trial = replace(found, markers=found.markers.with_(origin=(origin,) * len(found.markers.names)))
        rows = [row for table in trial_tables(trial) if not table.folded for row in table.rows]
        assert any(row[0].startswith("Hip, ") for row in rows)
        for row in rows:
            of_hips, of_thorax = row[0].startswith(("Pelvis ", "Trunk ", "Hip, ")), row[0].startswith("Thorax ")
            assert ((hips in row[-1]), (shoulders in row[-1])) == (of_hips and is_said, of_thorax and is_said), row


@pytest.mark.parametrize(("part", "known"), [(0.4, False), (0.6, True)])
def test_flexions_that_count_from_the_pelvis_say_that_nothing_shows_its_tilt(found, part, known):
    """Another point of the pelvis shows it, if it was seen in half of the frames."""
    points = found.markers
    limbs = [name for name in points.names if name[1:] in ("Hip", "Knee", "Shoulder")]
    with_sacrum = points.select([*limbs, "Spine_01"]).with_(names=(*limbs, "Hip_virtual"))
    xyz = with_sacrum.xyz.copy()
    xyz[: round((1 - part) * len(xyz)), -1] = np.nan
    trial = replace(found, markers=with_sacrum.with_(xyz=xyz))
    figures = (*trial.clinical_figures, *region_figures(trial))
    unseen = {figure.label for figure in figures if figure.decided_by.endswith(TILT_UNSEEN)}
    decided = {figure.label for figure in figures if figure.is_decided}
    counted = {"Hip flexion, right", "Hip flexion, left", "Trunk flexion, T4 on the pelvis"}
    assert unseen == (set() if known else decided & counted)
    assert known or unseen
    notes = [note.name for table in clinical_tables(trial.clinical_figures, None) for note in table.notes]
    assert ("Pelvis tilt not seen" in notes) is not known


def test_without_a_lumbar_marker_the_lumbar_spine_has_one_verdict(found):
    """The finding says that its share of the trunk's bend is assumed; so says its bending in every plane."""
    points = found.markers
    limbs = [name for name in points.names if name[1:] in ("Hip", "Knee", "Shoulder")]
    marked = points.select([*limbs, "Spine_04"]).with_(names=(*limbs, "T7_skin"))
    trial = replace(found, markers=marked, spine=replace(found.spine, lla_sd=np.full(found.spine.frames, 0.3)))
    lumbar = [figure for figure in region_figures(trial) if figure.label.startswith("Lumbar")]
    assert len(lumbar) == 2
    assert all(figure.is_assumed for figure in lumbar)
    assert segment_sources(trial)["pelvis"][0] == "assumed, from thighs and trunk"
    rows = [row[0] for table in trial_tables(trial) if not table.folded for row in table.rows]
    assert not any(row.startswith("Lumbar") for row in rows)


def test_the_ranges_to_use_are_those_of_the_arrays_with_their_moments(found, monkeypatch):
    """Graded angles, those in the room, then limbs: largest range over ± first, ends and times of the frames."""
    assert 0 < len(usable_table(found).rows) <= 5
    monkeypatch.setattr("simspine.report.trial_sections.MOST_USABLE", 50)
    table, spine = usable_table(found), found.spine
    rows = {row[0].partition(":")[0]: [cell.replace("\u00a0", " ") for cell in row[1:]] for row in table.rows}
    ranks = [(bool(side_of(one)), one.verdict is not Observability.MEASURED) for one in usable_figures(found)]
    assert ranks == sorted(ranks)
    moved, checked = [], 0
    for segment, names in (("thorax", ("tilt", "bending", "rotation")), ("pelvis", ("tilt", "obliquity", "rotation"))):
        place = spine.levels.index(segment)
        for k, plane in enumerate(names):
            values, sd = (np.degrees(each[:, place, k]) for each in (spine.angles, spine.angles_sd))
            low, high = values.argmin(), values.argmax()
            span, spread = values[high] - values[low], np.hypot(sd[low], sd[high])
            label = f"{segment.capitalize()} {plane} in the room"
            moved.append((span / spread, label))
            if label in rows:
                checked += 1
                _, at, stated = rows[label]
                assert stated.removeprefix("at least ") == interval_text(span, spread, "deg").replace("\u00a0", " ")
                edges = {0: " (start)", 1: " (start)", spine.frames - 2: " (end)", spine.frames - 1: " (end)"}
                ends = (f"{spine.time[end]:.2f}{edges.get(int(end), '')}" for end in (low, high))
                assert at == f"{' … '.join(ends)} s"
                assert stated.startswith("at least") == (min(low, high) < 2 or max(low, high) > spine.frames - 3)
    assert checked
    named = [label for label in rows if label in dict(map(reversed, moved))]
    assert named == [label for _, label in sorted(moved, reverse=True) if label in rows]
    rows = [row[0] for row in trial_tables(found)[0].rows]
    assert rows[0] == "Trunk flexion, T4 on the pelvis"


def test_rotation_in_the_room_counts_from_its_mean(found):
    """The calibration's axes turned by 100° change nothing."""
    spine, place = found.spine, [found.spine.levels.index(name) for name in ("pelvis", "thorax")]
    angles = spine.angles.copy()
    angles[:, place, 2] += np.radians(100)
    turned = replace(spine, angles=angles)
    first, second = (scene_of_trial(replace(found, spine=one)).curves for one in (spine, turned))
    assert any("Thorax rotation in the room" in curve.label for curve in first)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.values, other.values, atol=1e-9)


def test_a_rotation_in_the_room_has_mean_zero_and_the_deviations_of_its_frames(found):
    spine, place = found.spine, found.spine.levels.index("thorax")
    (curve,) = [one for one in scene_of_trial(found).curves if one.label.startswith("Thorax rotation in")]
    assert curve.values.mean() == pytest.approx(0.0, abs=1e-9)
    np.testing.assert_allclose(curve.sd, np.degrees(spine.angles_sd[:, place, 2]))


def test_the_figure_of_levels_is_left_out_where_no_level_is_a_result(found):
    trial = replace(found)
    for share, count in ((0.1, 0), (0.9, 1)):
        vars(trial)["observed_shares"] = np.full_like(found.observed_shares, share)
        assert len(level_pictures(trial)) == count


def test_a_movement_is_called_one_and_standing_is_advised(found):
    """Still is who changes by less than adults differ, 26 mm of SVA, or by less than the ±. The person bows."""
    trial = replace(found)
    (sva,) = [one for one in found.clinical_figures if one.name == "sagittal_vertical_axis"]
    for reach, range_sd, still in ((20.0, 1.0, True), (30.0, 1.0, False), (30.0, 20.0, True)):
        figure = replace(sva, minimum=0.0, maximum=reach, range_sd=range_sd)
        assert held_still([figure]) == still
        vars(trial)["curvature_figures"], vars(trial)["clinical_figures"] = (), (figure,)
        assert ("posture at rest is not given" in said(trial, "What was recorded")) != still
        assert ("quiet standing" in said(trial, "Better next time")) != still
    assert not held_still(found.clinical_figures)


def test_the_player_begins_with_the_ranges_to_use(found):
    """Every panel shown first is of a range in the table at the top, without what is not a result."""
    curves = scene_of_trial(found).curves
    chosen = list(dict.fromkeys(curve.panel or curve.label for curve in curves if curve.chosen))
    rows = [row[0].partition(":")[0] for row in usable_table(found).rows]
    plain = [name.lower().removeprefix("left ").removeprefix("right ").partition(",")[0] for name in rows]
    assert chosen
    for title in chosen:
        assert title.partition(" (")[0].partition(",")[0].lower() in plain
    assert all(curve.stated.startswith("range ") for curve in curves if curve.chosen)
    assert not any(curve.assumed for curve in curves)


def test_errors_are_named_before_warnings(found):
    findings = (Finding("camera_shift", "warning", "a", "b"), Finding("upside_down", "error", "c", "d"))
    careful = said(replace(found, verdict=replace(found.verdict, findings=findings)), "Be careful with")
    error, warning = "Errors: the shoulders are below the ankles.", "cameras disagree about where the person is"
    assert -1 < careful.find(error) < careful.find("Warnings: ") < careful.find(warning)


def test_a_wide_interval_says_little(found):
    """24 of 25 parts of the variance of adults' lordosis, 11°, and a hundredth of it."""
    wide = replace(found.spine, lla_sd=np.full(found.spine.frames, np.radians(12.0)), tka_sd=None)
    sure = said(replace(found, spine=wide), "What may be used")
    assert sure.startswith(f"To describe this trial: yes, by {len(usable_figures(found))} ranges of motion that stand")
    assert (
        "Lumbar lordosis, and so lumbar flexion: not measured. The model uses the average of healthy people (the "
        "recording narrowed its uncertainty by 0 %)."
    ) in sure
    assert "Thoracic kyphosis" in sure
    lumbar = found.spine.levels.index("lumbar")
    assert replace(found, spine=wide).observed_shares[lumbar, 0] == 0, "flexion is lordosis mirrored"
    assert {"Hip", "Spine_02"} <= scene_of_trial(replace(found, spine=wide)).assumed
    narrow = replace(found.spine, lla_sd=np.full(found.spine.frames, np.radians(1.0)))
    assert replace(found, spine=narrow).observed_shares[lumbar, 0] > 0
    assert "Spine_02" not in scene_of_trial(replace(found, spine=narrow)).assumed
    sure = said(replace(found, spine=narrow), "What may be used")
    partly = "Lumbar lordosis: not to be used, partly measured"  # ± 16°, the error in real people
    assert f"{partly} (the recording narrowed its uncertainty by 27 %)." in sure


@pytest.mark.parametrize("seen", [False, True])
def test_a_level_is_a_finding_only_with_markers_on_both_vertebrae(found, seen):
    """One level at 50 %, all others at 10 %, with and without markers on its vertebrae."""
    shares = np.where(np.isfinite(found.observed_shares), 0.1, np.nan)
    free = int(np.flatnonzero(np.isfinite(shares).all(1))[0])
    shares[free] = 0.5
    points, skin = found.markers, [f"{vertebra}_skin" for vertebra in found.spine.levels[free].split("-")]
    names, origin = (*points.names[:-2], *skin), (*points.origins[:-2], Origin.GIVEN, Origin.GIVEN)
    trial = replace(found, markers=points.with_(names=names, origin=origin) if seen else points)
    vars(trial)["observed_shares"] = shares
    assert ("Single vertebral levels: no, none is a result." in said(trial, "What may be used")) != seen


def test_causes_are_named_once(found):
    warnings = tuple(Finding("bone_length", "warning", f"bone {i}", "Look.") for i in range(5))
    other = Finding("camera_shift", "info", "mended", "None.")
    careful = said(replace(found, verdict=replace(found.verdict, findings=(*warnings, other))), "Be careful with")
    assert careful.count("triangulated segments change their length") == 1
    assert "cameras" not in careful


def test_refined_cameras_are_a_caution_though_no_warning(found):
    asked_for = Finding("camera_refined", "info", "cameras were refined: 9 → 5 px")
    misfit = Finding("camera_refined", "warning", "cameras were refined: 9 → 5 px")
    for refined, failed in ((asked_for, False), (misfit, True)):
        trial = replace(found, verdict=replace(found.verdict, findings=(refined,)))
        careful = said(trial, "Be careful with")
        assert "without an independent check" in careful
        assert ("The calibration did not fit" in careful) == failed
        used = said(trial, "What may be used")
        assert used.startswith("To describe this trial: " + ("roughly" if failed else "yes"))
        assert ("To compare with another visit: no" in used) == failed
        assert ("The given calibration did not fit the images" in methods_text(trial)) == failed
        assert ("any true error may be larger than its ±" in usable_table(trial).caption) == failed
    for where, message, first in (
        ("cam01", "cam01: the person appears 9 px below. More.", ": in cam01, the person appears 9 px below. Ref"),
        ("", "views are in another order. More.", ": views are in another order. Ref"),
    ):
        gone = Finding("camera_shift", "info", message, REFINEMENT_REMOVED_IT, where=where)
        careful = said(replace(found, verdict=replace(found.verdict, findings=(misfit, gone))), "Be careful with")
        assert careful.startswith(f"The calibration did not fit{first}")
    careful = said(replace(found, verdict=replace(found.verdict, findings=())), "Be careful with")
    assert "refined" not in careful


def test_what_was_not_decided_is_listed_and_what_the_model_sets_is_named(found):
    """An assumed curvature has a sentence; any other assumed angle has a row under Numbers, or is set by the model."""
    excluded = said(found, "What may be used")
    rows = {row[0] for table in trial_tables(found) for row in table.rows}
    for figure in (*found.curvature_figures, *found.clinical_figures):
        if figure.verdict is Observability.FORCED:
            assert short_name(figure).removeprefix("Right ").removeprefix("Left ").lower() in excluded.lower()
        elif figure.is_assumed:
            assert any(row.startswith(short_name(figure).removeprefix("Left ").removeprefix("Right ")) for row in rows)
    assert "Left" not in excluded.partition("Set by the model: ")[2].partition(".")[0], "both sides in one"


def test_the_methods_text_has_model_solver_and_sources_and_counts_fitted_markers_only(found):
    """Most markers inferred, and half a metre off: the root mean square is that of the others."""
    names, fitted = found.result.marker_names, found.result.marker_names[:5]
    origin = [Origin.DETECTED if name in fitted else Origin.INFERRED for name in found.markers.names]
    error = np.where([name in fitted for name in names], 0.005, np.full_like(found.result.marker_error, 0.5))
    markers, result = found.markers.with_(origin=origin), replace(found.result, marker_error=error)
    text = methods_text(replace(found, markers=markers, result=result))
    assert "RMS distance from points in space to the fitted body: 5 mm." in text
    for wanted in (
        "Pagnon 2021",
        "Seth 2018",
        "The simspine developers",
        "simspine's own solver",
        "White & Panjabi 1978",
    ):
        assert wanted in text
    assert "not checked" not in text
    for name in ("Pagnon 2021", "Seth 2018", "The simspine developers"):
        assert name in page_words("references")


@pytest.mark.parametrize("frames", [slice(5, 6), slice(None, None, 3)])
def test_points_of_some_frames_are_those_of_the_whole_trial(found, frames):
    shown = (shown_in(found, frames), shown_in(found, slice(None)))
    for some, whole in ((found.used_keypoints_of(frames), found.used_keypoints), shown):
        assert (some.names, some.origin) == (whole.names, whole.origin)
        np.testing.assert_array_equal(some.xy, whole.xy[frames])
        np.testing.assert_array_equal(some.confidence, whole.confidence[frames])


def test_without_videos_there_are_no_pictures(found):
    assert films_of_trial(replace(found, videos=()), 1, 10**6) == ()
    assert scene_of_trial(found).films == ()
