"""Findings of cameras say which camera, which way, how far, and beside whom."""

from dataclasses import replace

import pytest

from simspine.quality.assess import REFINE_HINT, WHICH_CAMERA_OPEN_HINT, check_camera_images, check_least_errors
from simspine.quality.findings import Severity
from simspine.vision.camera_check import IMAGE_ERROR_QUANTITIES, CameraCheck, MixUp

NONE = dict.fromkeys(IMAGE_ERROR_QUANTITIES, 0.0)
SMALL = dict.fromkeys(IMAGE_ERROR_QUANTITIES, 0.001) | {"shift_x_px": 1.0, "shift_y_px": 2.0, "late": 0.1}
GOOD = CameraCheck("cam01", NONE, SMALL, ("cam03", "cam04"), 5.0, 1.0, 0.0)
JUDGES = [
    GOOD,
    replace(GOOD, camera="cam03", judging_views=("cam01", "cam04")),
    replace(GOOD, camera="cam04", judging_views=("cam01", "cam03")),
]


def compared(**values: float) -> CameraCheck:
    return replace(GOOD, camera="cam02", value=NONE | values, judging_views=("cam01", "cam03", "cam04"))


@pytest.mark.parametrize(
    ("values", "code", "words"),
    [
        ({"shift_x_px": 22.4, "shift_y_px": -9.0}, "camera_shift", "22 ± 2 px to the right and 9 ± 4 px above,"),
        ({"shift_x_px": -22.4, "shift_y_px": 9.0}, "camera_shift", "22 ± 2 px to the left and 9 ± 4 px below,"),
        ({"shift_x_px": 22.4, "shift_y_px": -4.0}, "camera_shift", "22 ± 2 px to the right, compared"),
        ({"shift_x_px": 4.9, "shift_y_px": 9.0}, "camera_shift", "the person appears 9 ± 4 px below, compared"),
        ({"shift_x_px": 5.0, "shift_y_px": -5.0}, "camera_shift", "5 ± 2 px to the right and 5 ± 4 px above,"),
        ({"roll": -0.02}, "camera_roll", "turned by 1.1 ± 0.1° counter-clockwise, compared with cam01, cam03, cam04"),
        ({"scale": 0.03}, "camera_scale", "is 3.0 ± 0.2 % too large, compared with cam01, cam03, cam04"),
        ({"late": 2.0}, "camera_late", "+2.0 ± 0.2 frames later than the first camera"),
    ],
)
def test_one_camera_is_named_with_signed_figures(values, code, words):
    (found,) = check_camera_images([*JUDGES, compared(**values)], [])
    assert (found.code, found.where, found.severity) == (code, "cam02", Severity.WARNING)
    assert words in found.message
    assert WHICH_CAMERA_OPEN_HINT not in found.message


@pytest.mark.parametrize("late", [0.4, -0.6])  # frames; the limit is 0.5
def test_what_a_delay_may_cause_is_said_beside_a_shift_and_a_turn(late):
    """A person who moves lies elsewhere in the images of a camera that starts late."""
    found = list(check_camera_images([*JUDGES, compared(shift_x_px=-6.0, roll=-0.015, late=late)], []))
    is_late = abs(late) > 0.5
    assert [one.code for one in found] == ["camera_shift", "camera_roll", *["camera_late"] * is_late]
    assert ["`delays: find`), and check again." in one.message for one in found[:2]] == [is_late] * 2
    assert {one.suggestion for one in found[:2]} == {REFINE_HINT}


@pytest.mark.parametrize(
    "values",
    [
        {"shift_x_px": 4.9},
        {"shift_y_px": 5.9},
        {"shift_x_px": 3.4, "shift_y_px": 3.4},  # 4.8 px in all
        {"roll": 0.008},
        {"scale": 0.014},
    ],
)
def test_what_is_within_a_usual_error_or_chance_is_no_finding(values):
    assert list(check_camera_images([*JUDGES, compared(**values)], [])) == []


@pytest.mark.parametrize(
    ("shift_sd", "scale_sd", "said"),
    [(5.1, 0.001, "cam02 15 px, 0.2° or 0.3 %."), (2.0, 0.016, "cam02 6 px, 0.2° or 4.8 %."), (4.9, 0.0149, "")],
)
def test_what_a_recording_cannot_show_is_said(shift_sd, scale_sd, said):
    """Three standard deviations; up to three times what is tolerated in a calibration, 5 px and 1.5 %, nothing is."""
    unsure = replace(compared(), deviation=SMALL | {"shift_y_px": shift_sd, "scale": scale_sd})
    found = list(check_least_errors([*JUDGES, unsure]))
    assert [(one.code, one.severity, one.where) for one in found] == [("camera_coarse", Severity.INFO, "")] * bool(said)
    assert not said or found[0].message.endswith(f"only from these sizes on: {said}")


def test_cameras_that_judge_one_another_and_disagree_leave_open_which_is_off():
    at_odds = [replace(check, value=NONE | {"shift_x_px": 12.0}) for check in JUDGES[:2]]
    found = list(check_camera_images([*at_odds, JUDGES[2], compared(shift_x_px=40.0)], []))
    assert [WHICH_CAMERA_OPEN_HINT in finding.message for finding in found] == [True, True, False]


@pytest.mark.parametrize(
    ("kind", "cure"),
    [
        ("mirrored", "-vf hflip OUT"),
        ("turned", "-vf hflip,vflip OUT"),
        ("turned_left", "-vf transpose=clock OUT"),
        ("turned_right", "-vf transpose=cclock OUT"),
        ("scaled", "Multiply these points by 2"),
        ("cropped", "as calibrated"),
        ("axes_exchanged", "Exchange the two columns"),
        ("y_upwards", "Subtract y"),
        ("centred", "upper left corner"),
        ("transposed", "Transpose it"),
        ("centre", "Give t = −R · place"),
        ("inverse", "Give their inverse"),
        ("graphics", "y down"),
        ("order", "in one order"),
        ("exchanged", "Exchange the"),
    ],
)
def test_a_mix_up_names_the_views_and_the_cure(kind, cure):
    views = ("cam02", "cam03") if kind == "exchanged" else ("cam02",)
    (found,) = check_camera_images([], [MixUp(kind, views, 0.1, 0.9, size_ratio=0.5)])
    assert (found.code, found.severity) == (f"camera_{kind}", Severity.ERROR)
    assert all(view in found.message for view in views)
    assert cure in found.suggestion
