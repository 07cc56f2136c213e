"""Cameras that hardly contribute, contradict the others, or show the body beside the person."""

import math
from dataclasses import replace

import numpy as np
import pytest

from simspine.quality.assess import ViewFit, check_view_fits
from simspine.quality.findings import Severity
from simspine.quality.marker_checks import check_points_of_views
from simspine.vision.triangulation import TriangulationReport

GOOD = ViewFit("cam01", 0.9, 0.95, 12.0)


@pytest.mark.parametrize(
    ("fit", "codes"),
    [
        (GOOD, []),
        (ViewFit("cam02", 0.0, math.nan, math.nan), ["view_absent"]),
        (ViewFit("cam02", 0.11, 0.2, 43.0), ["view_absent", "view_unused", "view_off"]),
        (ViewFit("cam02", 0.4, 0.45, 12.0), ["view_unused"]),
        (ViewFit("cam02", 0.2, 0.5, 30.0), []),  # at the limits
    ],
)
def test_each_limit(fit, codes):
    found = list(check_view_fits([GOOD, GOOD, fit]))
    assert [finding.code for finding in found] == codes
    assert all(finding.where == "cam02" and finding.severity is Severity.WARNING for finding in found)
    assert all(finding.frames == () for finding in found), "they concern the trial and reject no frame"


def report_with_a_hidden_knee(kept: int) -> TriangulationReport:
    """Ten frames, three cameras, two points; the second camera's knee fits the others in `kept` frames."""
    used = np.ones((10, 3, 2), bool)
    used[kept:, 1, 1] = False
    none, shape = np.zeros((10, 3, 2), bool), np.zeros((10, 2), int)
    error = np.where(used, 4.0, 90.0)
    return TriangulationReport(
        ("RHip", "RKnee"), ("cam01", "cam02", "cam03"), used, error, none, shape, np.full(2, 4.0), np.full(2, 20.0)
    )


@pytest.mark.parametrize(("kept", "said"), [(4, ["cam02, RKnee"]), (5, []), (10, [])])
def test_a_point_that_one_camera_shows_elsewhere(kept, said):
    found = list(check_points_of_views(report_with_a_hidden_knee(kept)))
    assert [finding.where for finding in found] == said
    assert all(f"RKnee {10 * kept} %" in finding.message and "RHip" not in finding.message for finding in found)
    assert all(finding.severity is Severity.INFO and finding.frames == () for finding in found)


@pytest.mark.parametrize(("moved_at", "said"), [(6, True), (9, False)])
def test_a_camera_that_is_knocked_in_mid_trial(moved_at, said):
    report = report_with_a_hidden_knee(10)
    used = report.used.copy()
    used[moved_at:, 2] = False
    found = [finding for finding in check_points_of_views(replace(report, used=used)) if finding.code == "view_unused"]
    assert [(finding.where, finding.frames) for finding in found] == [("cam03", (6, 7, 8, 9))][: int(said)]


def test_a_point_seen_in_few_frames_is_no_finding():
    report = report_with_a_hidden_knee(0)
    error = report.error_px.copy()
    error[1:, 1, 1] = np.nan
    assert not list(check_points_of_views(replace(report, error_px=error)))


def test_two_cameras_are_a_finding():
    (finding,) = check_view_fits([GOOD, ViewFit("cam02", 0.9, 0.95, 12.0)])
    assert (finding.code, finding.severity) == ("two_cameras", Severity.WARNING)
    assert finding.message.startswith("cam01, cam02 alone")
