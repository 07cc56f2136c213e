"""All checks of a trial, and the verdict on each frame."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.errors import InputError
from simspine.ik.result import Result
from simspine.quality import marker_checks, shape_checks, side_checks, skin_checks, spine_checks, view_checks
from simspine.quality.findings import Finding, Verdict, verdict
from simspine.quality.thresholds import THRESHOLDS, Thresholds
from simspine.quality.view_checks import ViewFit
from simspine.spine.vertebrae import SpineKinematics
from simspine.triangulation.report import TriangulationReport
from simspine.types import Markers


def assess(
    spine: SpineKinematics,
    *,
    solved: Result | None = None,
    measured: Markers | None = None,
    triangulation: TriangulationReport | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    level_shares: np.ndarray | None = None,
    views: Sequence[ViewFit] = (),
    thresholds: Thresholds = THRESHOLDS,
) -> Verdict:
    """Check a trial; what is not handed in is not checked.

    spine: `spine_kinematics`. solved: of inverse kinematics. measured: the markers it was given (any frame), with
    origin and filled. triangulation: how well the points fit the images. ranges: {coordinate: (lower, upper)} rad.
    level_shares: (levels, 3) share of each angle that the data decided (`quality.observability.level_shares`); what was
    mostly assumed is not held against ranges. views: how each camera fits the others. Rejected frames are masked, not
    removed. Raises `InputError` where lengths differ.
    """
    lengths = {
        "the solution": None if solved is None else solved.motion.frames,
        "measured": None if measured is None else measured.frames,
        "the triangulation": None if triangulation is None else len(triangulation.reason),
    }
    for name, frames in lengths.items():
        if frames is not None and frames != spine.frames:
            raise InputError(f"{name} has {frames} frames, the spine kinematics {spine.frames}.")
    findings = _of_solution(spine, solved, ranges, thresholds)
    for check in (spine_checks.curvature_bounds, spine_checks.jumps, spine_checks.curvature_speed):
        findings += check(spine, thresholds)
    findings += spine_checks.wraps(spine)
    findings += spine_checks.level_ranges(spine, thresholds, level_shares)
    findings += spine_checks.level_extents(spine, thresholds, level_shares)
    if spine.centres is not None:
        findings += shape_checks.fitted_shape(spine.centres, thresholds)
    if measured is not None:
        if solved is not None:
            findings += marker_checks.unknown_names(measured.names, solved.marker_names)
        findings += marker_checks.presence(measured, thresholds)
        findings += skin_checks.lost(measured, thresholds)
        findings += skin_checks.order(measured)
        findings += marker_checks.inferred(measured, thresholds)
        findings += marker_checks.marker_jumps(measured, thresholds)
        findings += marker_checks.bone_lengths(measured, thresholds)
        findings += side_checks.sides(measured, thresholds)
        findings += shape_checks.measured_shape(measured, thresholds)
    if triangulation is not None:
        findings += marker_checks.reprojection(triangulation.names, triangulation.point_error_px, thresholds)
    findings += view_checks.views(views, thresholds)
    return verdict(spine.frames, findings)


def _of_solution(
    spine: SpineKinematics,
    solved: Result | None,
    ranges: Mapping[str, tuple[float, float]] | None,
    thresholds: Thresholds,
) -> list[Finding]:
    """Frames that were not solved, markers far off, coordinates out of range."""
    known = np.isfinite(spine.lla) & np.isfinite(spine.angles).all((1, 2))
    if solved is None:
        return list(marker_checks.solver(known))
    findings = list(marker_checks.solver(known & solved.converged, solved.reason))
    findings += marker_checks.marker_distance(solved.marker_names, solved.marker_error, thresholds)
    if ranges:
        response = None
        if solved.posterior is not None:
            response = dict(zip(solved.motion.names, solved.posterior.response, strict=True))
        findings += spine_checks.coordinate_ranges(solved.motion, ranges, thresholds, response)
    return findings
