"""The line about the calibration is green only where nothing was found of any camera."""

import pytest

from simspine.report.summary import summary_rows

CLEAN = {"cameras_off": [], "cameras_off_as_used": [], "cameras_unjudged": [], "cameras_refined": False}


REFINED = "refined from the same detections, without an independent check"


def calibration(**found):
    (row,) = [row for row in summary_rows({"views": 4} | CLEAN | found) if row.label == "Calibration"]
    return row


@pytest.mark.parametrize(
    ("found", "light", "words"),
    [
        ({}, "good", "they agree with what they saw"),
        ({"cameras_refined": True}, "good", "they agree with what they saw"),
        ({"cameras_off": ["cam02"], "cameras_off_as_used": ["cam02"]}, "check", "cam02 is off. See the findings."),
        ({"cameras_off": ["cam02"], "cameras_refined": True}, "check", REFINED),
        (
            {"cameras_off": ["cam02"], "cameras_off_as_used": ["cam02"], "cameras_refined": True},
            "check",
            "After refinement: cam02 is off. See the findings.",
        ),
        (
            {"cameras_off": ["cam03"], "cameras_at_odds": ["cam01", "cam02"], "cameras_refined": True},
            "check",
            REFINED,
        ),
        (
            {"cameras_at_odds": ["cam01", "cam02"], "cameras_at_odds_as_used": ["cam01", "cam02"]},
            "check",
            "cam01, cam02 disagree with one another. See the findings.",
        ),
        ({"cameras_off_as_used": ["cam03"]}, "check", "cam03 is off. See the findings."),  # contradicts the others
        ({"cameras_unjudged": ["all"]}, "", "the cameras could not be compared; see the findings"),
        ({"cameras_unjudged": ["cam01"]}, "", "cam01 could not be compared; see the findings"),
    ],
)
def test_the_light_follows_the_findings(found, light, words):
    row = calibration(**found)
    assert (row.light, row.note) == (light, words)


@pytest.mark.parametrize(
    ("found", "lights"),
    [
        ({}, ("good", "check")),
        ({"cameras_at_odds": ["cam01"], "cameras_refined": True}, ("info", "check")),
        ({"cameras_off_as_used": ["cam01"]}, ("info", "check")),
    ],
)
def test_limits_that_assume_a_failed_calibration_are_not_tested(found, lights):
    """25 px and 40 mm are the limits: 5 px are within, 50 mm are beyond whatever the calibration."""
    rows = summary_rows({"reprojection_px_p90": 5.0, "marker_rms_mm": 50.0} | CLEAN | found)
    light_of = {row.label: row.light for row in rows}
    labels = ("Reprojection, 90th percentile", "Points in space to the fitted body, RMS")
    assert tuple(light_of[label] for label in labels) == lights
