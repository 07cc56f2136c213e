"""All checks of a trial, and the verdict on each frame."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.errors import InputError
from simspine.quality import marker_checks, shape_checks, side_checks, spine_checks
from simspine.quality.findings import Verdict, verdict
from simspine.quality.thresholds import THRESHOLDS, Threshold
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Markers, Motion


def assess(
    spine: SpineKinematics,
    *,
    converged: np.ndarray | None = None,
    solver_reason: Sequence[str] | None = None,
    marker_names: Sequence[str] = (),
    marker_error: np.ndarray | None = None,
    measured: Markers | None = None,
    reprojection_names: Sequence[str] = (),
    reprojection_px: np.ndarray | None = None,
    motion: Motion | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    response: Mapping[str, float] | None = None,
    level_shares: np.ndarray | None = None,
    centres: Markers | None = None,
    segments: Mapping[str, tuple[str, str]] = marker_checks.SEGMENTS,
    thresholds: Mapping[str, Threshold] = THRESHOLDS,
    subject: str = "",
    trial: str = "",
) -> Verdict:
    """Check a trial; what is not handed in is not checked.

    spine: `spine_kinematics`. converged, solver_reason: (frames,) of inverse kinematics. marker_error: (frames,
    markers) m, of `marker_names`. measured: the markers inverse kinematics fitted (any frame), with origin and
    filled. reprojection_px: (frames, points) of `reprojection_names`. motion with ranges {coordinate: (lower, upper)}
    rad. response: {coordinate: share that the data decided}, level_shares: the same per level and plane, (levels, 3)
    (`quality.observability.level_shares`); what was mostly assumed is not held against ranges. centres: of the fitted
    vertebrae, by level. subject, trial: written into the findings. Rejected frames are masked, not removed. Raises
    `InputError` where lengths differ.
    """
    lengths = {
        "converged": converged,
        "solver_reason": solver_reason,
        "marker_error": marker_error,
        "reprojection_px": reprojection_px,
        "measured": None if measured is None else measured.xyz,
        "motion": None if motion is None else motion.values,
        "centres": None if centres is None else centres.xyz,
    }
    for name, value in lengths.items():
        if value is not None and len(value) != spine.frames:
            raise InputError(f"{name} has {len(value)} frames, the spine kinematics {spine.frames}.")
    solved = np.isfinite(spine.lla) & np.isfinite(spine.angles).all((1, 2))
    findings = marker_checks.solver(
        solved if converged is None else solved & np.asarray(converged, bool), solver_reason
    )
    if marker_error is not None:
        findings += marker_checks.marker_distance(marker_names, marker_error, thresholds)
    findings += spine_checks.curvature_bounds(spine, thresholds)
    findings += spine_checks.jumps(spine, thresholds)
    findings += spine_checks.curvature_speed(spine, thresholds)
    findings += spine_checks.wraps(spine, thresholds)
    findings += spine_checks.level_ranges(spine, thresholds, level_shares)
    findings += spine_checks.level_extents(spine, thresholds, level_shares)
    if centres is not None:
        findings += shape_checks.fitted_shape(centres, thresholds)
    if motion is not None and ranges:
        findings += spine_checks.coordinate_ranges(motion, ranges, thresholds, response)
    if measured is not None:
        findings += marker_checks.presence(measured, thresholds)
        findings += marker_checks.bone_lengths(measured, segments, thresholds)
        findings += side_checks.sides(measured, thresholds)
        findings += shape_checks.measured_shape(measured, thresholds)
    if reprojection_px is not None:
        findings += marker_checks.reprojection(reprojection_names, reprojection_px, thresholds)
    return verdict(spine.frames, findings).of(subject, trial)
