"""From the stages' results to the page: sections, summaries, samples, layers."""

from types import SimpleNamespace

import numpy as np
import pytest

from simspine.anatomy.curvature import MOTION_PLANES
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_points
from simspine.core.skeletons import add_inferred_suffix
from simspine.core.types import Camera, Forced, Keypoints, Markers, Origin
from simspine.quality.findings import Finding, Severity, sum_up_findings
from simspine.reconstruction.headline import detected_points
from simspine.reconstruction.solved_trial import limb_distance
from simspine.report.body_video import layer_of_image, shown_in
from simspine.report.overlay import sample_frames
from simspine.report.summary import summary_rows
from simspine.report.tables import angle_table
from simspine.report.trial_sections import page_findings, rejected_frames
from simspine.vision.triangulation import TriangulationReport

FRAMES = 20
NAMES = ("LHip", "RHip", "LKnee", "Spine_01")
ORIGIN = ("detected", "detected", "given", "inferred")
FORCED = {
    "L5-S1": (),
    "L4-L5": (Forced("coupled", ("flexion",), "L5_S1_Flex_Ext", 1.857),),
    "tka": (Forced("rigid", MOTION_PLANES, spans=("T3", "T12"), body="torso"),),
    "lla": (Forced("sum", ("flexion",), "L5_S1_Flex_Ext", 7.57, ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2")),),
}


def triangulation(names, errors, used=None, swapped=None):
    yes = np.ones(errors.shape, bool)
    points = len(names)
    return TriangulationReport(
        names, ("c0", "c1"), yes if used is None else used, errors, ~yes if swapped is None else swapped,
        np.zeros((FRAMES, points), int), np.ones(points), np.ones(points),
    )  # fmt: skip


@pytest.fixture
def measured():
    xyz = np.random.default_rng(0).uniform(-0.5, 0.5, (FRAMES, 4, 3))
    return Markers(NAMES, 50, xyz, "z_up", origin=ORIGIN)


@pytest.fixture
def turned(measured):
    return measured.with_(xyz=change_frame(measured.xyz, "z_up", "y_up"), frame="y_up")


@pytest.fixture
def spine(measured):
    levels = ("L5-S1", "L4-L5", "pelvis")
    angles = np.zeros((FRAMES, 3, 3))
    angles[:, 2] = 2.0  # a segment in space: must not squash the curves of the joints
    return SpineKinematics(
        50, 0, levels, angles, np.full(FRAMES, 0.8), np.full(FRAMES, 0.6), measured, np.zeros((FRAMES, 3), bool), FORCED
    )


@pytest.fixture
def assessed():
    findings = [
        Finding("curvature_speed", Severity.ERROR, "Too fast: 180 °/s.", "Look.", (3, 4, 9)),
        Finding("jump_level", Severity.ERROR, "A jump.", "Look.", (4,), "L5-S1"),
        Finding("wrap", Severity.INFO, "A wrap was undone.", "Nothing to do.", (12,)),
    ]
    return sum_up_findings(FRAMES, findings)


@pytest.fixture
def cameras():
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # looks along world y, z up
    K = [[1000, 0, 500], [0, 1000, 400], [0, 0, 1]]
    return [Camera(f"c{i}", (1000, 800), K, [0.1, 0, 0, 0, 0], turn, [0.1 * i, 0, 4]) for i in range(2)]


def test_points_inferred_by_a_rule_do_not_count_for_the_cameras():
    """Triangulation knows 'Spine_01', the fit 'Spine_01_inferred': its 90 px must not enter the distribution. Nor may
    the 0.5 px of a marker on the skin: the median is the detector's."""
    errors = np.tile([3.0, 90.0, 0.5], (FRAMES, 2, 1))
    report = triangulation(("LHip", "Spine_01", "C7_skin"), errors)
    names, origins = ("LHip", "Spine_01_inferred", "C7_skin"), ("detected", "inferred", "detected")
    markers = Markers(names, 50, np.zeros((FRAMES, 3, 3)), origin=origins)
    assert (detected_points(report, markers).error_px == 3.0).all()
    assert detected_points(report, markers).names == ("LHip",)


def test_what_the_model_sets_stands_below_the_levels_with_its_reason(spine):
    forced = angle_table(spine, np.full((3, 3), np.nan)).notes
    names = [statement.name.removeprefix("Set by the model: ") for statement in forced]
    assert names == ["L4-L5", "TKA", "LLA"]
    assert forced[0].reason == "flexion = 1.857 × L5_S1_Flex_Ext"
    assert forced[2].reason.startswith("the sum follows the images")


def test_rejections_have_their_frames_and_reasons(assessed):
    assert rejected_frames(assessed) == (
        ("3, 9", "curvature speed"),
        ("4", "curvature speed; jump level"),
    )
    found = [*page_findings(assessed.findings)]
    assert [finding.light for finding in found] == ["bad", "bad", "info"]
    assert found[0].span == "3–4, 9"


def test_rejections_of_nothing():
    assert rejected_frames(sum_up_findings(5, [])) == ()


def test_summary_rows():
    rows = summary_rows(
        {
            "frames": 100, "frames_rejected": 3, "views": 4, "reprojection_px_p90": 31.26, "points_kept_share": 0.984,
            "marker_rms_mm": 24.4, "marker_rms_mm_by_group": {"limbs": 24.4, "spine": None},
            "model_reprojection_px_median": 13.4, "model_reprojection_px_by_camera": {"a": 9.0, "b": 31.0},
            "femur_m": {"left": 0.41, "right": 0.61},
            "lla_deg_mean": 41.23, "lla_deg_sd": 16.74, "tka_deg_mean": float("nan"), "something else": 1,
        },
        "31–33 jump",
    )  # fmt: skip
    found = {row.label: (row.value, row.light) for row in rows}
    assert found == {
        "Frames": ("100", ""),
        "Frames rejected": ("3 of 100", "check"),
        "Cameras": ("4", ""),
        "Reprojection, 90th percentile": ("31.3 px", "check"),
        "Detected points placed in space": ("98.4 %", "good"),
        "Points in space to the fitted body, RMS": ("24 mm", "good"),
        "Fitted body to detected limb points, median": ("13.4 px", "check"),  # one camera is beyond the limit
        "Lumbar lordosis, L1–S1": ("not measured", "check"),
        "Thoracic kyphosis, T3–T12": ("–", ""),
        "Femur length": ("0.410 / 0.610 m", "check"),
    }
    notes = {row.label: row.note for row in rows}
    assert notes["Points in space to the fitted body, RMS"].startswith(
        "limbs 24, spine –; misfit of the body model to filtered points"
    )
    assert notes["Fitted body to detected limb points, median"].endswith("Limit: 30 px")
    assert notes["Lumbar lordosis, L1–S1"] == (
        "assumed: the recording narrowed the spread of people who stand, ± 22° (Yukawa 2019), by 0 %"
    )
    assert next(row.note for row in rows if row.label == "Frames rejected") == "31–33 jump"
    assert summary_rows({}) == ()


def test_angles_in_the_summary_have_their_interval():
    (partly,) = summary_rows({"lla_deg_mean": 41.23, "lla_deg_sd": 8.96})
    assert (partly.value, partly.note, partly.light) == (
        "41\u00a0±\u00a018°",
        "partly measured: the recording narrowed the spread of people who stand, ± 22° (Yukawa 2019), by 20 %",
        "",
    )
    (assumed,) = summary_rows({"tka_deg_mean": 38.6, "tka_deg_sd": 9.06})
    assert (assumed.note, assumed.light) == (
        "assumed: the recording narrowed the spread of people who stand, ± 20° (Yukawa 2018), by 10 %",
        "check",
    )
    (given,) = summary_rows({"tka_deg_mean": 45.0, "tka_deg_sd": None, "set_by_model": ["tka"]})
    assert (given.value, given.note) == ("45.0°", "set by the model, cannot change")
    equal = summary_rows({"femur_m": {"left": 0.4047, "right": 0.4047}})
    assert equal[0].value == "0.405 m"


def test_sample_frames():
    assert sample_frames(99, 3) == (16, 49, 82)  # the middles of three thirds
    assert sample_frames(2, 5) == (0, 1)
    assert sample_frames(0) == ()
    avoid = np.ones(10, bool)
    avoid[[1, 8]] = False
    assert sample_frames(10, 3, avoid) == (1, 8)
    assert len(sample_frames(10, 3, np.ones(10, bool))) == 3  # all rejected: show them all the same


def test_layer_and_limb_distance(measured, turned, cameras):
    """Detections made by projecting the model and moving them by (3, 4) px lie 5 px off, in whatever frame it is."""
    xy = np.moveaxis(project_points(cameras, measured.xyz), 0, 1) + np.array([3, 4])
    xy[0, 1, 2] = np.nan
    keypoints = Keypoints(NAMES, 50, xy, np.ones(xy.shape[:3]), ORIGIN)
    for model in (measured, turned):
        distance = limb_distance(SimpleNamespace(cameras=cameras, model_markers=model, used_keypoints=keypoints))
        assert np.isnan(distance[0, 1, 1])  # of hip, knee, hip
        np.testing.assert_allclose(distance[np.isfinite(distance)], 5.0)
    used, swapped = np.ones(xy.shape[:3], bool), np.zeros(xy.shape[:3], bool)
    used[5, 1, [0, 3]] = False
    swapped[5, 1, 1] = True
    report = triangulation(NAMES, np.zeros(used.shape), used, swapped)
    found = SimpleNamespace(cameras=cameras, model_points=turned, keypoints_and_triangulation=(keypoints, report))
    fifth = keypoints.with_(xy=xy[5:6], confidence=keypoints.confidence[5:6])
    layer = layer_of_image(found, fifth, 5, 1)
    assert layer.inferred == {"Spine_01"}
    assert layer.pruned == {"LHip"}  # an inferred point is never 'left out': it was not detected in the first place
    assert layer.swapped == {"RHip"}
    for name in NAMES:
        np.testing.assert_allclose(layer.points[name] - layer.body[name], [3, 4])
    assert keypoints.origin[3] is Origin.INFERRED
    with pytest.raises(InputError, match="1 cameras"):
        limb_distance(SimpleNamespace(cameras=cameras[:1], model_markers=measured, used_keypoints=keypoints))


def test_inferred_points_are_shown_where_they_are_in_space(measured, turned, cameras):
    """They were not detected: pictures show their projections."""
    xy = np.moveaxis(project_points(cameras, measured.xyz), 0, 1) + np.array([3, 4])
    keypoints = Keypoints(NAMES, 50, xy, np.ones(xy.shape[:3]), ORIGIN)

    def shown_of(points, markers):
        used = SimpleNamespace(used_keypoints_of=lambda frames: points, cameras=cameras, markers=markers)
        return shown_in(used, slice(None))

    shown = shown_of(keypoints, add_inferred_suffix(turned.with_(origin=ORIGIN)))
    np.testing.assert_array_equal(shown.xy[:, :, :3], xy[:, :, :3])  # detections are
    np.testing.assert_allclose(shown.xy[:, :, 3], xy[:, :, 3] - [3, 4])
    assert shown.names_of(Origin.INFERRED) == ("Spine_01",)
    assert (shown.confidence[:, :, 3] == 0).all()
    detected = keypoints.select(NAMES[:3])
    assert shown_of(detected, turned.select(NAMES[:3])) == detected


def test_lost_markers_are_named():
    ways = {"on the skin": ["C7", "T7", "LPSIS (seen in 14 % of the frames)"]}
    (row,) = summary_rows({"spine_seen_by": ways, "skin_markers_lost": ["LPSIS"]})
    assert row.value == "3 on the skin"
    assert row.note == "C7, T7, LPSIS (seen in 14 % of the frames); lost for most of the trial: LPSIS"
