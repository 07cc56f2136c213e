"""The stage that checks a trial: which frames can be trusted, and what is odd about the others."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np

from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.estimation.fit_person import SizedBody
from simspine.estimation.result import Result
from simspine.quality import camera_checks, marker_checks, spine_checks
from simspine.quality.camera_checks import ViewFit
from simspine.quality.findings import (
    THRESHOLDS,
    Finding,
    Severity,
    Status,
    Verdict,
    sum_up_findings,
    warning,
    worst_severity,
)
from simspine.quality.observability import level_shares
from simspine.vision.triangulation import TriangulationReport


def assess_trial(
    spine: SpineKinematics,
    *,
    solved: Result | None = None,
    measured: Markers | None = None,
    triangulation: TriangulationReport | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    level_shares: np.ndarray | None = None,
    views: Sequence[ViewFit] = (),
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
    findings = _solution_findings(spine, solved, ranges)
    for check in (spine_checks.check_curvature_bounds, spine_checks.check_jumps, spine_checks.check_curvature_speed):
        findings += check(spine)
    findings += spine_checks.check_wraps(spine)
    findings += spine_checks.check_level_ranges(spine, level_shares)
    findings += spine_checks.level_extents(spine, level_shares)
    if spine.centres is not None:
        findings += spine_checks.check_fitted_shape(spine.centres)
    if measured is not None:
        if solved is not None:
            findings += marker_checks.check_unknown_names(measured.names, solved.marker_names)
        findings += marker_checks.check_presence(measured)
        findings += marker_checks.check_skin_markers_lost(measured)
        findings += marker_checks.check_skin_marker_order(measured)
        findings += marker_checks.check_inferred(measured)
        findings += marker_checks.check_marker_jumps(measured)
        findings += marker_checks.check_bone_lengths(measured)
        findings += marker_checks.check_sides(measured)
        findings += spine_checks.check_measured_shape(measured)
    if triangulation is not None:
        findings += marker_checks.check_reprojection(triangulation.names, triangulation.point_error_px)
    findings += camera_checks.check_view_fits(views)
    return sum_up_findings(spine.frames, findings)


def _solution_findings(
    spine: SpineKinematics,
    solved: Result | None,
    ranges: Mapping[str, tuple[float, float]] | None,
) -> list[Finding]:
    """Frames that were not solved, markers far off, coordinates out of range."""
    known = np.isfinite(spine.lla) & np.isfinite(spine.angles).all((1, 2))
    if solved is None:
        return list(marker_checks.check_solver(known))
    findings = list(marker_checks.check_solver(known & solved.converged, solved.reason))
    findings += marker_checks.check_marker_distance(solved.marker_names, solved.marker_error)
    if ranges:
        response = None
        if solved.posterior is not None:
            response = dict(zip(solved.motion.names, solved.posterior.response, strict=True))
        findings += spine_checks.check_coordinate_ranges(solved.motion, ranges, response)
    return findings


# The verdicts of a whole data set, as CSV and JSON.


# What a program may rely on. 2 is taken: bad input, as everywhere on the command line.
EXIT_CODES = {None: 0, Severity.INFO: 0, Severity.WARNING: 3, Severity.ERROR: 1}
FINDING_COLUMNS = ("subject", "trial", "severity", "code", "where", "frames", "of", "span", "message", "suggestion")

VerdictsByTrial = Mapping[tuple[str, str], Verdict]


def gravest_severity(verdicts: VerdictsByTrial) -> Severity | None:
    """The worst severity among all findings."""
    return worst_severity(finding for verdict in verdicts.values() for finding in verdict.findings)


def severity_exit_code(verdicts: VerdictsByTrial) -> int:
    """0: nothing worse than an info; 3: warnings; 1: errors, so frames were rejected."""
    return EXIT_CODES[gravest_severity(verdicts)]


def verdicts_csv(verdicts: VerdictsByTrial) -> str:
    """One line per finding; columns as `FINDING_COLUMNS`. frames: how many it concerns, 0 = the trial as a whole;
    of: frames of the trial; span: which, counted from 0.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(FINDING_COLUMNS)
    for (subject, trial), verdict in verdicts.items():
        for f in verdict.findings:
            which = (len(f.frames), verdict.frames, f.span)
            writer.writerow((subject, trial, f.severity, f.code, f.where, *which, f.message, f.suggestion))
    return out.getvalue()


def verdicts_dict(verdicts: VerdictsByTrial) -> dict:
    """JSON-able: severity, exit code, counts and reasons over all, by trial, by code; findings; every threshold."""
    findings = [finding for key, verdict in verdicts.items() for finding in verdict.of(*key).findings]
    counts = Counter({str(status): 0 for status in Status})
    reasons: dict[str, Counter[str]] = {str(Status.CORRECTED): Counter(), str(Status.REJECTED): Counter()}
    for verdict in verdicts.values():
        counts.update(verdict.counts)
        for status, found in verdict.reason_counts.items():
            reasons[status].update(found)
    return {
        "severity": str(gravest_severity(verdicts) or "none"),
        "exit_code": severity_exit_code(verdicts),
        "frames": counts.total(),
        "counts": dict(counts),
        "reasons": reasons,
        "findings_by_code": Counter(finding.code for finding in findings),
        "trials": [
            {"subject": subject, "trial": trial, "frames": verdict.frames}
            | verdict.counts
            | {"severity": str(verdict.worst or "none")}
            for (subject, trial), verdict in verdicts.items()
        ],
        "findings": [finding.to_dict() for finding in findings],
        "thresholds": {
            name: {key: value for key, value in asdict(limit).items() if key != "name"}
            for name, limit in THRESHOLDS.items()
        },
    }


MAX_UNFINISHED_GAIN = 0.01  # squared standard deviations: no result is off by more than a tenth of its own for it


def check_solved_trial(
    sized: SizedBody,
    result: Result,
    spine: SpineKinematics,
    markers: Markers,
    triangulation: TriangulationReport | None = None,
    views: Sequence[ViewFit] = (),
    recording: Sequence[Finding] = (),
) -> Verdict:
    """All checks of a trial. markers: those that inverse kinematics was given, y_up. views: of `view_fits`. recording:
    findings of stages before, about cameras (`judge_cameras`) and motion capture."""
    found = assess_trial(
        spine,
        solved=result,
        measured=markers,
        triangulation=triangulation,
        ranges=sized.ranges,
        level_shares=observed_angle_shares(sized, result, spine),
        views=views,
    )
    return replace(found, findings=(*found.findings, *_body_findings(sized), *recording))


def _body_findings(sized: SizedBody) -> Iterator[Finding]:
    """A fit to the person that did not reach its minimum."""
    left = 0.0 if sized.person is None else sized.person.unconverged_cost
    if left > MAX_UNFINISHED_GAIN:
        yield warning(
            "person_fit",
            "the fit of the body to the person's trials ran out of steps before its minimum: results may be off by "
            f"up to {left**0.5:.1g} of their standard deviations.",
            "Look for a trial whose markers are far off or exchanged and leave it out of the subject's trials; without "
            "the fit (`scaling.anatomy: false`) the body is sized by the limbs alone.",
        )


def observed_angle_shares(sized: SizedBody, result: Result, spine: SpineKinematics) -> np.ndarray:
    """(levels, 3) share of each level's angle that the data decided; NaN where that is not known."""
    response = None if result.posterior is None else result.posterior.response
    return level_shares(spine.levels, sized.levels, result.motion.names, response)
