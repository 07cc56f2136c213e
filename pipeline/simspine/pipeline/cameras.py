"""Between the stages detect and triangulate: do the cameras agree with what they saw, and which are used from here?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from simspine.cameras.check import check_cameras
from simspine.cameras.clocks import Timing
from simspine.cameras.parameters import CameraPrior
from simspine.cameras.recordings import joined, same_rig
from simspine.cameras.refine import Refined, refine_cameras
from simspine.errors import InputError
from simspine.pipeline.options import CameraOptions
from simspine.quality import camera_checks
from simspine.quality.findings import Finding, Severity
from simspine.types import Camera, Keypoints

REFINED = "camera_refined"  # code of the finding that says so


@dataclass(frozen=True)
class JudgedCameras:
    """The cameras to use, as calibrated or refined, and what the comparison of the calibrated ones found.

    refinement: where they were refined: what from.
    """

    cameras: tuple[Camera, ...]
    findings: tuple[Finding, ...] = ()
    refinement: Refined | None = None


def judge_cameras(
    recordings: Mapping[str, tuple[Keypoints, Sequence[Camera]]], options: CameraOptions, min_confidence: float
) -> dict[str, JudgedCameras]:
    """For each recording the cameras to use; recordings of one set-up are looked at together.

    recordings: keypoints of the person followed (SIMSPINE names) and cameras in the order of the views. What cannot be
    judged, such as a recording of a few frames, is used as it is calibrated.
    """
    rigs: list[list[str]] = []
    for name, (_, cameras) in recordings.items():
        for rig in rigs:
            if same_rig(recordings[rig[0]][1], cameras):
                rig.append(name)
                break
        else:
            rigs.append([name])
    found: dict[str, JudgedCameras] = {}
    for rig in rigs:
        seen = joined([recordings[name][0] for name in rig])
        found |= dict.fromkeys(rig, _judged(seen, recordings[rig[0]][1], options, min_confidence))
    return {name: found[name] for name in recordings}


def with_timing(judged: JudgedCameras, timing: Timing) -> JudgedCameras:
    """The cameras with what was done about views that were late."""
    return replace(judged, findings=(camera_checks.delays(timing), *judged.findings))


def _judged(seen: Keypoints, cameras: Sequence[Camera], options: CameraOptions, min_confidence: float) -> JudgedCameras:
    given = tuple(cameras)
    try:
        checks, mixed, _ = check_cameras(seen, given, min_confidence)
        findings = tuple(camera_checks.cameras(checks, mixed))
        if mixed or not options.refine:
            return JudgedCameras(given, findings)
        refined = refine_cameras(seen, given, prior_of(options), min_confidence)
    except InputError as error:
        cure = "Nothing was changed. A longer recording, seen by all cameras, would tell."
        unknown = Finding("camera_unjudged", Severity.INFO, f"the cameras could not be compared: {error}", cure)
        return JudgedCameras(given, (unknown,))
    faults = tuple(replace(finding, severity=Severity.INFO, suggestion="Mended by refinement.") for finding in findings)
    (before, after), (p90_before, p90_after) = refined.median_px, refined.p90_px
    text = (
        f"cameras were refined by what they saw: reprojection error {before:.1f} → {after:.1f} px (median), "
        f"{p90_before:.1f} → {p90_after:.1f} px (90th percentile)."
    )
    said = Finding(REFINED, Severity.INFO, text, "The given calibration stays as it is; a new one would be better.")
    return JudgedCameras(tuple(refined.cameras), (said, *faults), refined)


def prior_of(options: CameraOptions) -> CameraPrior:
    """How far the calibration may be off."""
    return CameraPrior(
        math.radians(options.rotation_deg), options.position_m, options.focal_share, options.centre_px, options.radial
    )
