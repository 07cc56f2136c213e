"""Checks of what the kinematics rest on: markers, images, the solver. Pure functions → findings."""

from collections.abc import Iterator, Sequence

import numpy as np

from simspine.arrays import median_of_rows, rms_of_known
from simspine.errors import InputError, nearest
from simspine.quality.findings import Finding, Severity, listed, where_true
from simspine.quality.spine_checks import jump_frames
from simspine.quality.thresholds import THRESHOLDS, Threshold, Thresholds
from simspine.skeletons import TARGET, load
from simspine.skeletons.skin_names import on_skin
from simspine.spine.levels import CHAIN
from simspine.types import Markers, Origin

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


def solver(converged: np.ndarray, reason: Sequence[str] = ()) -> Iterator[Finding]:
    """Frames that inverse kinematics did not solve: rejected. converged: (frames,) bool. reason: (frames,) text."""
    failed = ~np.asarray(converged, bool)
    if not failed.any():
        return
    why = sorted({text for text, odd in zip(reason, failed, strict=False) if text and odd})
    yield Finding(
        "not_solved",
        Severity.ERROR,
        f"inverse kinematics did not solve {failed.sum()} of {failed.size} frames"
        + (f": {listed(why, 3)}." if why else "."),
        "See which markers are missing or far off in these frames.",
        where_true(failed),
    )


def unknown_names(names: Sequence[str], fitted: Sequence[str]) -> Iterator[Finding]:
    """Markers that took no part since nothing has their name. names: those given; fitted: those of inverse kinematics.

    A point of SIMSPINE's skeleton that the body lacks, such as the eyes, is left out as well, and known.
    """
    known = load(TARGET).names
    odd = [name for name in names if name not in fitted and name not in known]
    if not odd:
        return
    meant = [f"{name}: {guess}?" for name in odd if (guess := nearest(name, known))]
    yield Finding(
        "marker_unknown",
        Severity.WARNING,
        f"{len(odd)} of {len(names)} markers have names that neither the body nor SIMSPINE's skeleton has, and are "
        f"left out: {listed(odd)}.",
        "Give them SIMSPINE's names"
        + (f" ({listed(meant, 3)})" if meant else "")
        + ", or take out those that the spine does not need.",
    )


def marker_distance(names: Sequence[str], error: np.ndarray, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """The RMSE protocol. error: (frames, markers) m, distance between a marker and the model's, NaN = missing.

    A frame whose RMSE over its markers is above `marker_flagged` (10 cm) is rejected. A marker whose RMSE over the
    trial is above it is flagged, one above `marker_expected` (4 cm) noted; both only warn: the frames may be good
    without it.
    """
    error = _checked("marker errors", error, len(names))
    expected, flagged = thresholds["marker_expected"], thresholds["marker_flagged"]
    per_frame = rms_of_known(error, axis=1)
    far = per_frame > flagged.si
    if far.any():
        yield Finding(
            "frame_rmse",
            Severity.ERROR,
            f"markers are up to {100 * np.nanmax(per_frame):.1f} cm (RMS) from the model in {far.sum()} frames, "
            f"expected below {flagged.value:g} cm.",
            "Look for swapped sides or another person in these frames.",
            where_true(far),
        )
    for name, rmse, column in zip(names, rms_of_known(error, axis=0), error.T, strict=True):
        if not rmse > expected.si:
            continue
        code, limit, advice = (
            "marker_far",
            f"2 to {expected.value:g} cm",
            "Check its place on the model and the scaling of its segment.",
        )
        if rmse > flagged.si:
            code, limit = "marker_flagged", f"below {flagged.value:g} cm"
            advice = "Detect this point anew, check its place on the model, or give it no weight."
        text = f"{name} is {100 * rmse:.1f} cm (RMS over the trial) from the model, expected {limit}."
        yield Finding(code, Severity.WARNING, text, advice, where_true(column > flagged.si), name)


def reprojection(names: Sequence[str], error: np.ndarray, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Frames, and points, that in the median lie far from their images: a warning. error: (frames, points) px, NaN =
    missing.
    """
    error = _checked("reprojection errors", error, len(names))
    limit = thresholds["reprojection"]
    median = median_of_rows(error)
    far = median > limit.si
    if far.any():
        yield Finding(
            "reprojection",
            Severity.WARNING,
            f"the median point is up to {np.nanmax(median):.0f} px from its images in {far.sum()} frames, expected "
            f"below {limit.value:g} px.",
            "Check synchronisation and calibration, and whether all cameras see the same person.",
            where_true(far),
        )
    points = [name for name, value in zip(names, median_of_rows(error.T), strict=True) if value > limit.si]
    if points:
        text = f"{listed(points)} lie more than {limit.value:g} px from their images in the median over the trial."
        advice = "The detector places these points differently in each view: give them less weight."
        yield Finding("reprojection_point", Severity.WARNING, text, advice, where=listed(points))


def presence(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Missing, interpolated and inferred markers. Missing many warns; interpolated marks the frame corrected."""
    present = measured.present
    ever = np.any(present, axis=0)
    skin = on_skin(measured.names)  # those have a check of their own
    never = [name for name, seen in zip(measured.names, ever, strict=True) if not seen and name not in skin]
    if never:
        advice = "Check that the detector and the marker set name these points alike."
        text = f"never seen: {listed(never)}."
        yield Finding("marker_never_seen", Severity.WARNING, text, advice, where=listed(never))
    missing = 1 - present[:, ever].mean(1) if ever.any() else np.ones(measured.frames)
    limit = thresholds["missing"]
    many = missing > limit.si
    if many.any():
        yield Finding(
            "markers_missing",
            Severity.WARNING,
            f"up to {100 * missing.max():.0f} % of the markers are missing in {many.sum()} frames, expected below "
            f"{limit.value:g} %.",
            "The pose of these frames hangs on few points; its angles are less sure.",
            where_true(many),
        )
    if measured.filled is not None and measured.filled.any():
        frames = np.any(measured.filled, axis=1)
        text = f"{measured.filled.sum()} missing positions in {frames.sum()} frames were interpolated."
        advice = "Shorten the horizon of the filter if these gaps should stay open."
        yield Finding("gap_filled", Severity.INFO, text, advice, where_true(frames))


def inferred(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """A finding where many of all points, or of those along the spine, are inferred; another where estimated."""
    how = {
        Origin.INFERRED: "inferred from others, not seen",
        Origin.ESTIMATED: "estimated by a network from other evidence, not seen",
    }
    for origin, words in how.items():
        yield from _unseen(measured, origin, words, thresholds["inferred"])


def _unseen(measured: Markers, origin: Origin, words: str, limit: Threshold) -> Iterator[Finding]:
    names = measured.names_of(origin)
    parts, most = [], 0.0
    for group, of in (("all", measured.names), ("the spine's", [name for name in CHAIN if name in measured.names])):
        if of:
            count = len(set(names) & set(of))
            parts.append(f"{count} of {group} {len(of)} points")
            most = max(most, count / len(of))
    if most > limit.si:
        text = f"{', '.join(parts)} are {words}; expected at most {limit.value:g} %."
        advice = "They add no evidence: where the spine itself is the question, use a detector that sees it."
        yield Finding(f"{origin}_points", Severity.WARNING, text, advice, where=listed(names))


def bone_lengths(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Segments that change their length, and pairs that differ left to right: warnings. Segments without markers are
    skipped.
    """
    spread_limit, deviation_limit = thresholds["segment_spread"], thresholds["segment_deviation"]
    medians: dict[str, float] = {}
    for segment, ends in SEGMENTS.items():
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
        odd = relative > deviation_limit.si
        if spread > spread_limit.si or odd.any():
            yield Finding(
                "bone_length",
                Severity.WARNING,
                f"{segment}: median {100 * median:.1f} cm, spread {100 * spread:.1f} %, in one frame up to "
                f"{100 * np.nanmax(relative):.0f} % off; expected below {spread_limit.value:g} % and "
                f"{deviation_limit.value:g} %.",
                "Bones do not stretch: one of the two points is wrong where this happens.",
                where_true(odd),
                segment,
            )
    limit = thresholds["symmetry"]
    for segment, right in medians.items():
        side, _, name = segment.partition(" ")
        left = medians.get(f"left {name}")
        if side == "left" or left is None or right + left == 0:
            continue
        difference = abs(right - left) / (right + left) * 2
        if difference > limit.si:
            yield Finding(
                "asymmetry",
                Severity.WARNING,
                f"{name}: right {100 * right:.1f} cm, left {100 * left:.1f} cm, {100 * difference:.0f} % apart, "
                f"expected within {limit.value:g} %.",
                "Check for a camera that sees one side badly, and for swapped sides.",
                where=name,
            )


def marker_jumps(measured: Markers, thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Markers that are elsewhere from one frame to the next: a warning each, one for all if most of them jump."""
    limit, spike = thresholds["marker_jump"], int(thresholds["spike_frames"].si)
    found = {}
    for k, name in enumerate(measured.names):
        faulty, speed = jump_frames(measured.xyz[:, k], measured.rate, limit.si, spike)
        if faulty.any():
            found[name] = faulty, speed
    if not found:
        return
    everything = len(found) > 1 and len(found) >= measured.present.any(0).sum() / 2
    groups = [tuple(found)] if everything else [(name,) for name in found]
    for names in groups:
        frames = np.any([found[name][0] for name in names], axis=0)
        who = f"{len(names)} of {len(measured.names)} markers jump" if everything else f"{names[0]} jumps"
        yield Finding(
            "marker_jump",
            Severity.WARNING,
            f"{who} at up to {max(found[name][1] for name in names):.0f} m/s from one frame to the next in "
            f"{frames.sum()} frames, expected below {limit.value:g} m/s.",
            "Look for another person, or a wrong point, in these frames.",
            where_true(frames),
            listed(names),
        )


def _checked(what: str, error: np.ndarray, columns: int) -> np.ndarray:
    """As floats (frames, columns)."""
    error = np.asarray(error, float)
    if error.ndim != 2 or error.shape[1] != columns:
        raise InputError(f"{what} have shape {error.shape}, expected (frames, {columns}).")
    return error
