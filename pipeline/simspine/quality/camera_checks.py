"""Does each camera contribute, and does the body lie on the person in its images?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simspine.quality.findings import THRESHOLDS, Finding, Severity, names_text, warning
from simspine.vision.camera_check import SURE_DISAGREEMENT_SD, CameraCheck, MixUp
from simspine.vision.synchronise import DRIFT_UNIT_FRAMES, Timing

TOLERATED_CAMERA_ERRORS = {  # errors of a calibration that are no fault, as `check_cameras` takes them
    "shift_x_px": THRESHOLDS["camera_shift"].value_si,
    "shift_y_px": THRESHOLDS["camera_shift"].value_si,
    "roll": THRESHOLDS["camera_roll"].value_si,
    "scale": THRESHOLDS["camera_scale"].value_si,
}
CAMERA_UNJUDGED_CODE = "camera_unjudged"  # code of the finding that cameras, or the one it names, could not be compared
REFINE_HINT = "`simspine cameras refine` puts it right as far as the recording shows; better, calibrate again."
WHICH_CAMERA_OPEN_HINT = (
    "Which of the cameras is off remains open: several of those that judge disagree with one another."
)
CAMERA_LATE_CODE = "camera_late"
SYNC_HINT = "Set `delays: find` in the trial, or paste there what `simspine cameras sync` prints."


def check_camera_images(checks: Sequence[CameraCheck], mixed: Sequence[MixUp]) -> Iterator[Finding]:
    """Warnings of cameras that disagree with where the others put the points, and of views that are mixed up."""
    for mix in mixed[:1]:
        yield _mix_up_finding(mix)
    found = {check.camera: list(_camera_faults(check)) for check in checks}
    judges = {name for check in checks for name in check.judging_views}
    at_odds = sum(any(finding.code != CAMERA_LATE_CODE for finding in found[name]) for name in judges)
    for camera, findings in found.items():
        for finding in findings:
            if finding.code != CAMERA_LATE_CODE and camera in judges and at_odds > 1:
                finding = replace(finding, message=f"{finding.message} {WHICH_CAMERA_OPEN_HINT}")
            yield finding


def which_camera_remains_open(finding: Finding) -> bool:
    """Whether the finding leaves open which of several cameras is off."""
    return WHICH_CAMERA_OPEN_HINT in finding.message


def _camera_faults(check: CameraCheck) -> Iterator[Finding]:
    """What is wrong with one camera."""
    others = names_text(check.judging_views)
    shift = np.array([check.value["shift_x_px"], check.value["shift_y_px"]])
    spread = np.array([check.deviation["shift_x_px"], check.deviation["shift_y_px"]])
    directions = (("to the right", "to the left"), ("below", "above"))
    sure = (np.abs(shift) > THRESHOLDS["camera_shift"].value) & (np.abs(shift) > SURE_DISAGREEMENT_SD * spread)
    if sure.any():
        towards = " and ".join(_direction_text(shift[k], spread[k], *directions[k]) for k in np.flatnonzero(sure))
        of = "" if sure[1] else " of"
        put = "puts" if len(check.judging_views) == 1 else "put"
        text = f"{check.camera}: shows the person {towards}{of} where {others} {put} them."
        yield warning("camera_shift", text, REFINE_HINT, where=check.camera)
    for quantity, code, ways, factor in (
        ("roll", "camera_roll", ("° clockwise", "° counter-clockwise"), np.degrees(1.0)),
        ("scale", "camera_scale", (" % too large", " % too small"), 100.0),
    ):
        value, doubt = factor * check.value[quantity], factor * check.deviation[quantity]
        if abs(value) > THRESHOLDS[code].value and abs(value) > SURE_DISAGREEMENT_SD * doubt:
            turned = "turned by " if quantity == "roll" else ""
            way = ways[0] if value > 0 else ways[1]
            text = f"{check.camera}: its image is {turned}{abs(value):.1f} ± {doubt:.1f}{way}, compared with {others}."
            yield warning(code, text, REFINE_HINT, where=check.camera)
    late, doubt = check.value["late"], check.deviation["late"]
    if abs(late) > THRESHOLDS["camera_late"].value and abs(late) > SURE_DISAGREEMENT_SD * doubt:
        text = f"{check.camera}: {late:+.1f} ± {doubt:.1f} frames later than the first camera."
        yield warning(CAMERA_LATE_CODE, text, SYNC_HINT, where=check.camera)


def check_delays(timing: Timing) -> Finding:
    """That views were late, by how much, and which frames are left."""
    doubts = [""] * len(timing.views) if timing.deviation is None else [f" ± {d:.2f}" for d in timing.deviation]
    drifts = [f" and {drift:+.2f} in {DRIFT_UNIT_FRAMES}" if drift else "" for drift in timing.drift]
    rows = list(zip(timing.views, timing.delays_frames, doubts, drifts, strict=True))[1:]
    said = ", ".join(f"{view} {late:+.2f}{doubt}{drift}" for view, late, doubt, drift in rows)
    text = (
        f"delays that were {'given' if timing.deviation is None else 'found'} are undone: {said} frames later than "
        f"{timing.views[0]}. {timing.frames} frames are shared by all views, from frame {timing.first} of "
        f"{timing.views[0]} on."
    )
    cure = "Nothing to do." if timing.deviation is None else "To keep them, write them down as `delays` of the trial."
    return Finding("camera_delays", Severity.INFO, text, cure)


def check_person_seen(camera: str, points: int) -> Finding:
    """That a camera saw next to nothing of the person, while others did."""
    text = f"{camera}: saw {points} points of the person whom the others saw, too few to compare it with them."
    cure = (
        "If the person is in its images, look whether the video is upside down (`ffmpeg -i IN -vf hflip,vflip OUT`), "
        "mirrored (`-vf hflip`), another camera's, or shows somebody else. Else use a recording in which it sees them."
    )
    return warning(CAMERA_UNJUDGED_CODE, text, cure, where=camera)


def _direction_text(value: float, deviation: float, ahead: str, behind: str) -> str:
    return f"{abs(value):.0f} ± {deviation:.0f} px {ahead if value >= 0 else behind}"


def _mix_up_finding(mix: MixUp) -> Finding:
    whose = "it" if len(mix.views) == 1 else "they"
    then, now = (f"{100 * share:.0f} %" for share in (mix.used_if_exchanged, mix.used))
    gain = f"then {then} of what {whose} saw agrees with the others, now {now}."
    if mix.kind == "mirrored":
        text = f"{mix.views[0]}: its image seems to be mirrored, left with right; {gain}"
        cure = "Film or convert without mirroring (a front camera's setting), or flip it: `ffmpeg -i IN -vf hflip OUT`."
    elif mix.kind == "turned":
        text = f"{mix.views[0]}: its image seems to be upside down; {gain}"
        cure = "Use the video as it was calibrated; turn it back: `ffmpeg -i IN -vf hflip,vflip OUT`."
    else:
        text = f"{mix.views[0]} and {mix.views[1]} seem to be exchanged; {gain}"
        cure = "Exchange the names of the two videos, or of the two cameras in the calibration."
    return Finding(f"camera_{mix.kind}", Severity.ERROR, text, cure, where=", ".join(mix.views))


@dataclass(frozen=True)
class ViewFit:
    """How one camera fits the others over a trial.

    contributed: share of all points, frame by frame, for which triangulation used it. used: the same of those that were
    detected in its images; NaN without any. distance_px: median distance of the body's limb points from the detected
    ones, used or not; NaN without any.
    """

    name: str
    contributed: float
    used: float
    distance_px: float


def check_view_fits(fits: Sequence[ViewFit]) -> Iterator[Finding]:
    """Warnings of cameras that hardly help, mostly contradict the others, or show the body away from the person."""
    share, used, off = (THRESHOLDS[name] for name in ("view_contributed", "view_used", "view_distance"))
    for fit in fits:
        if fit.contributed < share.value_si:
            yield warning(
                "view_absent",
                f"{fit.name}: gives {100 * fit.contributed:.0f} % of the points, expected {share.value:g} % or more.",
                "Is the person in its images? Then the detector missed them, or followed somebody else "
                "(`detection.people`, `detection.person`).",
                where=fit.name,
            )
        if fit.used < used.value_si:
            yield warning(
                "view_unused",
                f"{fit.name}: {100 * fit.used:.0f} % of the points detected in its images were used, expected "
                f"{used.value:g} % or more; the others do not fit the other cameras.",
                "Does it show the same person? Is its calibration its own, its video in time with the others? Look at "
                "`simspine overlay`; the trial may be better without it.",
                where=fit.name,
            )
        if fit.distance_px > off.value:
            yield warning(
                "view_off",
                f"{fit.name}: the body's limbs lie {fit.distance_px:.0f} px (median) from the points detected in its "
                f"images, expected at most {off.value:g} px.",
                "Look at `simspine overlay`: if the body stands beside the person, calibration or timing of the camera "
                "is off, or the detector followed somebody else.",
                where=fit.name,
            )
