"""Checks of what the kinematics rest on: markers, images, the solver. Pure functions → findings."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.errors import InputError
from simspine.metrics import marker_rmse
from simspine.quality.findings import Finding, Severity, listed, where_true
from simspine.quality.thresholds import THRESHOLDS, Threshold
from simspine.spine.levels import CHAIN
from simspine.types import Markers, Origin

Thresholds = Mapping[str, Threshold]

SEGMENTS = {
    "right thigh": ("RHip", "RKnee"),
    "left thigh": ("LHip", "LKnee"),
    "right shank": ("RKnee", "RAnkle"),
    "left shank": ("LKnee", "LAnkle"),
    "right upper arm": ("RShoulder", "RElbow"),
    "left upper arm": ("LShoulder", "LElbow"),
    "right forearm": ("RElbow", "RWrist"),
    "left forearm": ("LElbow", "LWrist"),
}


def solver(converged: np.ndarray, reason: Sequence[str] | None = None) -> list[Finding]:
    """Frames that inverse kinematics did not solve: rejected. converged: (frames,) bool. reason: (frames,) text."""
    failed = ~np.asarray(converged, bool)
    if not failed.any():
        return []
    why = sorted({text for text in (reason[k] for k in np.flatnonzero(failed)) if text}) if reason is not None else []
    return [
        Finding(
            "not_solved",
            Severity.ERROR,
            f"inverse kinematics did not solve {failed.sum()} of {failed.size} frames"
            + (f": {listed(why, 3)}." if why else "."),
            "See which markers are missing or far off in these frames.",
            where_true(failed),
        )
    ]


def marker_distance(names: Sequence[str], error: np.ndarray, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """The RMSE protocol. error: (frames, markers) m, distance between a marker and the model's, NaN = missing.

    A frame whose RMSE over its markers is above `marker_flagged` (10 cm) is rejected. A marker whose RMSE over the
    trial is above it is flagged, one above `marker_expected` (4 cm) noted; both only warn: the frames may be good
    without it.
    """
    error = _checked("marker errors", error, len(names))
    expected, flagged = thresholds["marker_expected"], thresholds["marker_flagged"]
    findings = []
    per_frame = marker_rmse(error, axis=1)
    with np.errstate(invalid="ignore"):
        far = per_frame > flagged.si
    if far.any():
        findings.append(
            Finding(
                "frame_rmse",
                Severity.ERROR,
                f"markers are up to {100 * np.nanmax(per_frame):.1f} cm (RMS) from the model in {far.sum()} frames, "
                f"expected below {flagged.value:g} cm.",
                "Look for swapped sides or another person in these frames.",
                where_true(far),
            )
        )
    per_marker = marker_rmse(error, axis=0)
    for name, rmse, column in zip(names, per_marker, error.T, strict=True):
        if not rmse > expected.si:
            continue
        bad = rmse > flagged.si
        with np.errstate(invalid="ignore"):
            frames = where_true(column > flagged.si)
        findings.append(
            Finding(
                "marker_flagged" if bad else "marker_far",
                Severity.WARNING,
                f"{name} is {100 * rmse:.1f} cm (RMS over the trial) from the model, expected "
                + (f"below {flagged.value:g} cm." if bad else f"2 to {expected.value:g} cm."),
                "Detect this point anew, check its place on the model, or give it no weight."
                if bad
                else "Check its place on the model and the scaling of its segment.",
                frames,
                name,
            )
        )
    return findings


def reprojection(names: Sequence[str], error: np.ndarray, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """Frames whose points lie, in the median, far from their images: a warning. error: (frames, points) px, NaN =
    missing.
    """
    error = _checked("reprojection errors", error, len(names))
    limit = thresholds["reprojection"]
    findings = []
    median = _nanmedian(error, 1)
    with np.errstate(invalid="ignore"):
        far = median > limit.si
    if far.any():
        findings.append(
            Finding(
                "reprojection",
                Severity.WARNING,
                f"the median point is up to {np.nanmax(median):.0f} px from its images in {far.sum()} frames, expected "
                f"below {limit.value:g} px.",
                "Check synchronisation and calibration, and whether all cameras see the same person.",
                where_true(far),
            )
        )
    over_trial = _nanmedian(error, 0)
    with np.errstate(invalid="ignore"):
        points = [name for name, value in zip(names, over_trial, strict=True) if value > limit.si]
    if points:
        findings.append(
            Finding(
                "reprojection_point",
                Severity.WARNING,
                f"{listed(points)} lie more than {limit.value:g} px from their images in the median over the trial.",
                "The detector places these points differently in each view: give them less weight.",
                where=listed(points),
            )
        )
    return findings


def presence(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> list[Finding]:
    """Missing, interpolated and inferred markers. Missing many warns; interpolated marks the frame corrected."""
    findings = []
    present = measured.present
    ever = present.any(0)
    never = [name for name, seen in zip(measured.names, ever, strict=True) if not seen]
    if never:
        findings.append(
            Finding(
                "marker_never_seen",
                Severity.WARNING,
                f"never seen: {listed(never)}.",
                "Check that the detector and the marker set name these points alike.",
                where=listed(never),
            )
        )
    missing = 1 - present[:, ever].mean(1) if ever.any() else np.ones(measured.frames)
    limit = thresholds["missing"]
    many = missing > limit.si
    if many.any():
        findings.append(
            Finding(
                "markers_missing",
                Severity.WARNING,
                f"up to {100 * missing.max():.0f} % of the markers are missing in {many.sum()} frames, expected below "
                f"{limit.value:g} %.",
                "The pose of these frames hangs on few points; its angles are less sure.",
                where_true(many),
            )
        )
    if measured.filled is not None and measured.filled.any():
        frames = measured.filled.any(1)
        findings.append(
            Finding(
                "gap_filled",
                Severity.INFO,
                f"{measured.filled.sum()} missing positions in {frames.sum()} frames were interpolated.",
                "Shorten the horizon of the filter if these gaps should stay open.",
                where_true(frames),
            )
        )
    return findings + _inferred(measured, thresholds["inferred"])


def _inferred(measured: Markers, limit: Threshold) -> list[Finding]:
    """One finding where many of all points, or of those along the spine, are inferred."""
    if measured.origin is None:
        return []
    origin = dict(zip(measured.names, measured.origin, strict=True))
    parts, most = [], 0.0
    for group, names in (("all", measured.names), ("the spine's", [name for name in CHAIN if name in origin])):
        inferred = sum(origin[name] is Origin.INFERRED for name in names)
        if names:
            parts.append(f"{inferred} of {group} {len(names)} points")
            most = max(most, inferred / len(names))
    if most <= limit.si:
        return []
    return [
        Finding(
            "inferred_points",
            Severity.WARNING,
            f"{', '.join(parts)} are inferred from others, not seen; expected at most {limit.value:g} %.",
            "They add no evidence: where the spine itself is the question, use a detector that sees it.",
            where=listed([name for name in measured.names if origin[name] is Origin.INFERRED]),
        )
    ]


def bone_lengths(
    measured: Markers,
    segments: Mapping[str, tuple[str, str]] = SEGMENTS,
    thresholds: Thresholds = THRESHOLDS,
) -> list[Finding]:
    """Segments that change their length, and pairs that differ left to right: warnings. Segments without markers are
    skipped.
    """
    spread_limit, deviation_limit = thresholds["segment_spread"], thresholds["segment_deviation"]
    findings, medians = [], {}
    for segment, ends in segments.items():
        if not set(ends) <= set(measured.names):
            continue
        a, b = measured.indices(ends)
        length = np.linalg.norm(measured.xyz[:, a] - measured.xyz[:, b], axis=-1)
        if not np.isfinite(length).any():
            continue
        medians[segment] = median = float(np.nanmedian(length))
        if median == 0:
            continue
        relative = np.abs(length / median - 1)
        spread = 1.4826 * float(np.nanmedian(relative))  # of a normal distribution, its standard deviation
        with np.errstate(invalid="ignore"):
            odd = relative > deviation_limit.si
        if spread > spread_limit.si or odd.any():
            findings.append(
                Finding(
                    "bone_length",
                    Severity.WARNING,
                    f"{segment}: median {100 * median:.1f} cm, spread {100 * spread:.1f} %, in one frame up to "
                    f"{100 * np.nanmax(relative):.0f} % off; expected below {spread_limit.value:g} % and "
                    f"{deviation_limit.value:g} %.",
                    "Bones do not stretch: one of the two points is wrong where this happens.",
                    where_true(odd),
                    segment,
                )
            )
    return findings + _symmetry(medians, thresholds["symmetry"])


def _symmetry(medians: Mapping[str, float], limit: Threshold) -> list[Finding]:
    findings = []
    for segment, right in medians.items():
        left = medians.get(segment.replace("right", "left"))
        if not segment.startswith("right") or left is None or right + left == 0:
            continue
        difference = abs(right - left) / (right + left) * 2
        if difference > limit.si:
            findings.append(
                Finding(
                    "asymmetry",
                    Severity.WARNING,
                    f"{segment[6:]}: right {100 * right:.1f} cm, left {100 * left:.1f} cm, "
                    f"{100 * difference:.0f} % apart, expected within {limit.value:g} %.",
                    "Check for a camera that sees one side badly, and for swapped sides.",
                    where=segment[6:],
                )
            )
    return findings


def _checked(what: str, error: np.ndarray, columns: int) -> np.ndarray:
    """As floats (frames, columns)."""
    error = np.asarray(error, float)
    if error.ndim != 2 or error.shape[1] != columns:
        raise InputError(f"{what} have shape {error.shape}, expected (frames, {columns}).")
    return error


def _nanmedian(values: np.ndarray, axis: int) -> np.ndarray:
    """NaN, without a warning, where nothing is there."""
    out = np.full(values.shape[1 - axis], np.nan)
    some = np.isfinite(values).any(axis)
    if some.any():
        chosen = values[some] if axis == 1 else values[:, some]
        out[some] = np.nanmedian(chosen, axis)
    return out
