"""Cameras that hardly contribute, contradict the others, or show the body beside the person."""

import math

import pytest

from simspine.quality.assess import ViewFit, check_view_fits
from simspine.quality.findings import Severity

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


def test_two_cameras_are_a_finding():
    (finding,) = check_view_fits([GOOD, ViewFit("cam02", 0.9, 0.95, 12.0)])
    assert (finding.code, finding.severity) == ("two_cameras", Severity.WARNING)
    assert finding.message.startswith("cam01, cam02 alone")
