"""The stages cameras, triangulate and merge: from 2D points to the markers that inverse kinematics fits."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np

from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError
from simspine.core.geometry import rotation_angle
from simspine.core.skeletons import read_correspondence
from simspine.core.types import Camera, Keypoints, Markers
from simspine.quality import assess
from simspine.quality.findings import THRESHOLDS, Finding, Severity, warning
from simspine.reconstruction.stage import Known, Stage
from simspine.vision.camera_bump import find_bump
from simspine.vision.camera_check import CameraCheck, check_cameras, join_recordings, same_rig, select_views
from simspine.vision.camera_refine import MIN_OBSERVATIONS_PER_VIEW, Refined, refine_cameras, sample_frames_seen
from simspine.vision.options import CameraOptions, DetectionOptions, FilterOptions, MergeOptions, TriangulationOptions
from simspine.vision.person_frame import vertical_of_world
from simspine.vision.points import locate_points, make_markers
from simspine.vision.synchronise import Timing
from simspine.vision.triangulation import usable_confidence

CAMERA_REFINED_CODE = "camera_refined"  # code of the finding that cameras were refined
REFINEMENT_REMOVED_IT = "Refinement removed it."
_CHANGES = ("moved_mm", "turned_deg", "focal_percent", "principal_px")  # of a camera, by refinement
_MOST_NORMALISED, _MOST_PER_CENT = 1.5, 100.0  # largest coordinate of 2D points that are shares of the image, not px
_ONE_PLACE_M = 1e-3  # cameras closer together than this count as one place
WORLD_VERTICAL_CODE = "world_vertical"
NOT_REPAIRED_TEXT = (
    "The error is larger than section `cameras` allows in a calibration: calibrate again, or raise its values."
)


@dataclass(frozen=True)
class JudgedCameras:
    """The cameras to use, as calibrated or refined; the findings about the calibrated ones; checks of those to use."""

    cameras: tuple[Camera, ...]
    findings: tuple[Finding, ...] = ()
    checks: tuple[CameraCheck, ...] = ()


@dataclass(frozen=True)
class ComparedCameras:
    """Cameras compared with one another. checks: of the cameras that saw enough; none where views are mixed up.
    views: indices of these cameras among all views."""

    checks: tuple[CameraCheck, ...]
    findings: tuple[Finding, ...]
    views: tuple[int, ...]


def compare_cameras(seen: Keypoints, cameras: Sequence[Camera], min_confidence: float) -> ComparedCameras:
    """Compare each camera with the others; findings name those that are off. A camera that saw too little of the
    person is left out, with a finding.

    seen: of one person, in the cameras' order and SIMSPINE names. Raises `InputError` where fewer than two cameras saw
    enough, or where cameras agree less than in any usable set-up.
    """
    if seen.views != len(cameras):
        raise InputError(f"{seen.views} views and {len(cameras)} cameras; expected as many.")
    counts = (seen.confidence >= min_confidence).sum((0, 2))
    views = [view for view in range(len(cameras)) if counts[view] >= MIN_OBSERVATIONS_PER_VIEW]
    if len(views) < 2:
        counted = f"(in {MIN_OBSERVATIONS_PER_VIEW} points or more)"
        raise InputError(f"{len(views)} of {len(cameras)} cameras saw the person {counted}; two must, to be compared.")
    unseen, said = [], "points of the person whom the others saw, too few to compare it with them"
    for name, count in ((camera.name, counts[v]) for v, camera in enumerate(cameras) if v not in views):
        unseen.append(warning(assess.CAMERA_UNJUDGED_CODE, f"{name}: saw {count} {said}.", where=name))
    points, chosen = select_views(seen, views), [cameras[view] for view in views]
    comparison = check_cameras(points, chosen, min_confidence, assess.TOLERATED_CAMERA_ERRORS)
    found = assess.check_camera_images(comparison.checks, comparison.mixed_up)
    findings = (*found, *unseen, *assess.check_least_errors(comparison.checks))
    return ComparedCameras(comparison.checks, findings, tuple(views))


def judge_cameras(
    recordings: Mapping[str, tuple[Keypoints, Sequence[Camera]]], options: CameraOptions, min_confidence: float
) -> dict[str, JudgedCameras]:
    """The cameras to use in each recording; recordings of one set-up are judged together.

    recordings: keypoints of the person followed (SIMSPINE names) and cameras in the order of the views. Cameras
    that cannot be judged, as in a recording of a few frames, are used as calibrated.
    """
    rigs: dict[str, list[str]] = {}  # recordings of a set-up, by the first of them
    for name, (_, cameras) in recordings.items():
        first = next((first for first in rigs if same_rig(recordings[first][1], cameras)), name)
        rigs.setdefault(first, []).append(name)
    judged_cameras: dict[str, JudgedCameras] = {}
    for first, rig in rigs.items():
        seen = join_recordings([recordings[name][0] for name in rig])
        judged = _judged_rig(seen, recordings[first][1], options, min_confidence)
        if options.find_vertical:
            judged = _with_vertical(judged, seen, min_confidence)
        judged_cameras |= dict.fromkeys(rig, judged)
    return {name: judged_cameras[name] for name in recordings}


def _with_vertical(judged: JudgedCameras, seen: Keypoints, min_confidence: float) -> JudgedCameras:
    """The cameras in a world with z up, with a finding where the calibration's z axis is not vertical."""
    try:
        points = sample_frames_seen(seen, min_confidence).triangulated(judged.cameras)[0]
        vertical = vertical_of_world(points.names, points.xyz, judged.cameras)
    except InputError:
        return judged  # too little of the person is seen to find the vertical
    if vertical is None:
        return judged
    text = f"the z axis of the calibration's world is {math.degrees(vertical.tilt):.0f}° from the vertical"
    cure = "Calibrate with the board on the floor, or turn the calibration so that z points up."
    if vertical.R is None:
        text += " by the cameras' images. If they leaned, the person does too. Nothing was turned."
        cure += " Angles against the vertical may be wrong."
    else:
        doubt = NORMAL_95 * math.degrees(vertical.tilt_sd)
        axis = int(np.abs(vertical.up).argmax())
        sign = "-" if vertical.up[axis] < 0 else "+"
        evidence = f"as the person stood, ± {doubt:.0f}°" if doubt else f"{sign}{'xyz'[axis]} points up"
        text += f"; the world was turned upright, {evidence}. The person faces OpenSim's x axis when most upright."
        cure += " `cameras.find_vertical: false` keeps it as it is."
        upright = (camera.with_(R=camera.R @ vertical.R.T) for camera in judged.cameras)
        judged = replace(judged, cameras=tuple(upright))
    finding = Finding(WORLD_VERTICAL_CODE, Severity.WARNING, text, cure)
    return replace(judged, findings=(finding, *judged.findings))


def is_refined(findings: Sequence[Finding]) -> bool:
    """Whether one of the findings says that the cameras were refined."""
    return any(finding.code == CAMERA_REFINED_CODE for finding in findings)


def did_not_fit(findings: Sequence[Finding]) -> bool:
    """Whether cameras were refined because the given calibration did not fit, not only because it was asked for."""
    return any(found.code == CAMERA_REFINED_CODE and found.severity is not Severity.INFO for found in findings)


def camera_changes(findings: Sequence[Finding]) -> Mapping[str, Mapping[str, float]]:
    """{camera: `camera_change`, and its median reprojection error as calibrated}; {} without refinement."""
    return _figures_of(findings, CAMERA_REFINED_CODE, _CHANGES)


def camera_delays(findings: Sequence[Finding]) -> Mapping[str, Mapping[str, float]]:
    """{camera: its delay behind the first of them, frames, and the standard deviation}; {} without a comparison."""
    return _figures_of(findings, assess.CAMERA_CLOCKS_CODE, ("delay_frames", "sd_frames"))


def _figures_of(findings: Sequence[Finding], code: str, names: Sequence[str]) -> dict[str, Mapping[str, float]]:
    """The figures of the cameras that have all these names."""
    found = [finding.figures for finding in findings if finding.code == code]
    return {camera: row for figures in found[:1] for camera, row in figures.items() if {*names} <= row.keys()}


def _judged_rig(
    seen: Keypoints, cameras: Sequence[Camera], options: CameraOptions, min_confidence: float
) -> JudgedCameras:
    try:
        compared = compare_cameras(seen, cameras, min_confidence)
        advised = assess.REFINE_HINT in map(attrgetter("suggestion"), compared.findings)
        if not compared.checks or not (advised if options.refine == "auto" else options.refine):
            return JudgedCameras(tuple(cameras), compared.findings, compared.checks)
        points = select_views(seen, compared.views)
        refined = refine_cameras(points, [cameras[view] for view in compared.views], min_confidence=min_confidence)
        left = compare_cameras(points, refined.cameras, min_confidence)
    except InputError as error:
        text = f"the cameras could not be compared: {error}"
        cure = "Nothing was changed. A longer recording, seen by all cameras, would tell."
        return JudgedCameras(tuple(cameras), (Finding(assess.CAMERA_UNJUDGED_CODE, Severity.INFO, text, cure),))
    used = list(cameras)
    for view, camera in zip(compared.views, refined.cameras, strict=True):
        used[view] = camera
    refinement = _refinement_finding(cameras, used, compared, refined)
    return JudgedCameras(
        tuple(used), (refinement, *_downgraded_if_refined(compared.findings, left.findings)), left.checks
    )


def _refinement_finding(
    cameras: Sequence[Camera], used: Sequence[Camera], compared: ComparedCameras, refined: Refined
) -> Finding:
    """What refinement changed; a warning where the given cameras did not fit, with the first reason."""
    changes = {given.name: camera_change(given, camera) for given, camera in zip(cameras, used, strict=True)}
    for view, median in zip(compared.views, refined.given_view_median_px, strict=True):
        changes[cameras[view].name]["calibrated_px"] = float(median)
    (before, after), (p90_before, p90_after) = refined.median_px, refined.p90_px
    text = (
        "cameras were refined by bundle adjustment of the detected points of the person; scale and world axes are the "
        f"given calibration's. Reprojection errors of the detections kept, median and 90th percentile: {before:.1f} "
        f"and {p90_before:.1f} px before, {after:.1f} and {p90_after:.1f} px after. Cameras changed by up to "
        f"{largest_change(changes)}."
    )
    doubted = next((finding for finding in compared.findings if finding.severity is not Severity.INFO), None)
    if doubted is None:
        return Finding(CAMERA_REFINED_CODE, Severity.INFO, text, figures=changes)
    limit = THRESHOLDS.get(doubted.code)
    tolerated = f" (tolerated: {limit.value:g} {limit.unit})" if limit else ""
    text += f" The given cameras did not fit: {doubted.summary}{tolerated}."
    return Finding(CAMERA_REFINED_CODE, Severity.WARNING, text, figures=changes)


def camera_change(given: Camera, refined: Camera) -> dict[str, float]:
    """How far a camera moved and turned, and how its focal length and principal point changed."""
    moved = 1e3 * np.linalg.norm(refined.centre - given.centre)
    turned = np.degrees(rotation_angle(refined.R @ given.R.T))
    longer, shifted = refined.K[0, 0] / given.K[0, 0] - 1, np.linalg.norm(refined.K[:2, 2] - given.K[:2, 2])
    return dict(zip(_CHANGES, map(float, (moved, turned, 100 * longer, shifted)), strict=True))


def largest_change(changes: Mapping[str, Mapping[str, float]]) -> str:
    """'12 mm, 0.4° and 0.3 % of focal length': the largest of the changes of cameras, each on its own."""
    moved, turned, focal, _ = (max(abs(change[name]) for change in changes.values()) for name in _CHANGES)
    return f"{moved:.0f} mm, {turned:.1f}° and {focal:.1f} % of focal length"


def _downgraded_if_refined(findings: Sequence[Finding], left: Sequence[Finding]) -> Iterator[Finding]:
    """Findings about the given cameras, lowered to information where refinement removed them, then those about the
    refined cameras (`left`)."""
    remaining = {(finding.code, finding.where) for finding in left}
    for finding in findings:
        if finding.severity is Severity.INFO:
            yield finding
        elif (finding.code, finding.where) not in remaining:
            yield replace(finding, severity=Severity.INFO, suggestion=REFINEMENT_REMOVED_IT)
    for finding in (one for one in left if one.severity is not Severity.INFO):
        cure = finding.suggestion if finding.code == assess.CAMERA_LATE_CODE else NOT_REPAIRED_TEXT
        yield replace(finding, message=f"after refinement, {finding.message}", suggestion=cure)


def choose_cameras(
    options: CameraOptions, triangulation: TriangulationOptions, *, trials: Mapping[str, Known]
) -> dict[str, dict[str, Any]]:
    """The stage `cameras`: the cameras to use in each trial, and findings about them and about late views.

    trials: for each, keypoints, cameras, timing. Returns for each trial: cameras (z_up, m), findings.
    """
    recordings = {trial: (known["keypoints"], known["cameras"]) for trial, known in trials.items()}
    for keypoints, cameras in recordings.values():
        _require_two_views(keypoints, cameras, triangulation.min_confidence)
    chosen = {}
    for trial, judged in judge_cameras(recordings, options, triangulation.min_confidence).items():
        timing = trials[trial]["timing"]
        delays = [] if timing is None else [assess.check_delays(timing)]
        if timing is None or timing.deviation is None:  # found delays have an interval of their own
            delays += assess.check_remaining_delays(judged.checks)
        keypoints, least = recordings[trial][0], assess.TOLERATED_CAMERA_ERRORS["shift_x_px"]
        bump = find_bump(keypoints, judged.cameras, triangulation.min_confidence, least)
        bumps = () if bump is None else (assess.bump_finding(*bump),)
        chosen[trial] = {"cameras": judged.cameras, "findings": (*bumps, *delays, *judged.findings)}
    return chosen


def _require_two_views(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float) -> None:
    """Raise `InputError` where no frame shows anything of the person, in px, to two cameras in different places."""
    smallest = min((min(camera.size) for camera in cameras), default=0)
    farthest = np.nanmax(np.abs(keypoints.xy), initial=0.0)
    least = _MOST_PER_CENT if smallest > 2 * _MOST_PER_CENT else _MOST_NORMALISED
    if farthest <= least and np.isfinite(keypoints.xy).any():
        raise InputError(f"2D points lie within ±{farthest:.0f}, no pixels. Multiply shares by width and height.")
    if len(cameras) > 1 and np.ptp([camera.centre for camera in cameras], 0).max() < _ONE_PLACE_M:
        raise InputError("all cameras are in one place: the calibration holds lenses alone. Calibrate positions, too.")
    seen = (usable_confidence(keypoints, min_confidence) > 0).any(2)
    if len(cameras) > 1 and not (seen.sum(1) > 1).any():
        counts = ", ".join(f"{camera.name} in {count}" for camera, count in zip(cameras, seen.sum(0), strict=False))
        enough = f"with at least {min_confidence:g} (`triangulation.min_confidence`)"
        seen_by = f"of {keypoints.frames} frames {counts}"
        text = f"no frame shows the person to two cameras at once: {seen_by}, {enough}"
        raise InputError(f"{text}. Is it the right recording, and the person large and whole in its images?")


CAMERAS = Stage("cameras", choose_cameras, gives=("cameras", "findings"), takes=("keypoints", "cameras", "timing"))


def triangulate_person(
    options: TriangulationOptions, *, keypoints: Keypoints, cameras: tuple[Camera, ...], timing: Timing | None
) -> dict[str, Any]:
    """The stage `triangulate`: points in space, and their reprojection errors.

    Returns points (Markers, z_up, m), triangulation (TriangulationReport).
    """
    points, report = locate_points(keypoints, cameras, options, timing)
    return {"points": points, "triangulation": report}


TRIANGULATE = Stage("triangulate", triangulate_person, gives=("points", "triangulation"))


def merge_points(
    filtering: FilterOptions,
    merging: MergeOptions,
    detection: DetectionOptions,
    *,
    points: Markers,
    mocap: Markers | None,
) -> dict[str, Any]:
    """The stage `merge`: points filtered, some replaced by motion capture.

    Returns markers (y_up, m), merging (MergeReport or None).
    """
    pairs = None if mocap is None or merging.correspondence is None else read_correspondence(merging.correspondence)
    markers, report = make_markers(
        points, filtering, merging, mocap=mocap, pairs=pairs, infer_spine=detection.infer_spine
    )
    return {"markers": markers, "merging": report}


MERGE = Stage("merge", merge_points, gives=("markers", "merging"))
