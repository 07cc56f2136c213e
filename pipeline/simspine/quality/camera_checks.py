"""What the comparison of cameras amounts to: each fault named, with its size, how sure it is, and the cure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from simspine.cameras.check import SURE, CameraCheck
from simspine.cameras.clocks import DRIFT_PER, Timing
from simspine.cameras.mix_ups import MixUp
from simspine.quality.findings import Finding, Severity, listed
from simspine.quality.thresholds import THRESHOLDS, Thresholds

TOLERATED = {  # errors of a calibration that are no fault, as `check_cameras` takes them
    "shift_x_px": THRESHOLDS["camera_shift"].si,
    "shift_y_px": THRESHOLDS["camera_shift"].si,
    "roll": THRESHOLDS["camera_roll"].si,
    "scale": THRESHOLDS["camera_scale"].si,
}
UNJUDGED = "camera_unjudged"  # code of the finding that cameras, or the one it names, could not be compared
REFINE = "`simspine cameras refine` puts it right as far as the recording shows; better, calibrate again."
OPEN = "Which of the cameras is off remains open: several of those that judge disagree with one another."
LATE = "camera_late"
SYNC = "Set `delays: find` in the trial, or paste there what `simspine cameras sync` prints."


def cameras(
    checks: Sequence[CameraCheck], mixed: Sequence[MixUp], thresholds: Thresholds = THRESHOLDS
) -> Iterator[Finding]:
    """Warnings of cameras whose images lie beside where the others put the points, and of views that are mixed up."""
    for mix in mixed[:1]:
        yield _mixed_up(mix)
    found = {check.camera: list(_faults(check, thresholds)) for check in checks}
    judges = {name for check in checks for name in check.others}
    at_odds = sum(any(finding.code != LATE for finding in found[name]) for name in judges)
    for camera, findings in found.items():
        for finding in findings:
            if finding.code != LATE and camera in judges and at_odds > 1:
                finding = replace(finding, message=f"{finding.message} {OPEN}")
            yield finding


def remains_open(finding: Finding) -> bool:
    """Whether the finding leaves open which of several cameras is off."""
    return OPEN in finding.message


def _faults(check: CameraCheck, thresholds: Thresholds) -> Iterator[Finding]:
    """What is wrong with one camera."""
    others = listed(check.others)
    shift = np.array([check.value["shift_x_px"], check.value["shift_y_px"]])
    spread = np.array([check.deviation["shift_x_px"], check.deviation["shift_y_px"]])
    directions = (("to the right", "to the left"), ("below", "above"))
    sure = (np.abs(shift) > thresholds["camera_shift"].value) & (np.abs(shift) > SURE * spread)
    if sure.any():
        towards = " and ".join(_towards(shift[k], spread[k], *directions[k]) for k in np.flatnonzero(sure))
        of = "" if sure[1] else " of"
        text = f"{check.camera}: shows the person {towards}{of} where {others} put{_s(check)} them."
        yield Finding("camera_shift", Severity.WARNING, text, REFINE, where=check.camera)
    for quantity, code, ways, factor in (
        ("roll", "camera_roll", ("° clockwise", "° counter-clockwise"), np.degrees(1.0)),
        ("scale", "camera_scale", (" % too large", " % too small"), 100.0),
    ):
        value, doubt = factor * check.value[quantity], factor * check.deviation[quantity]
        if abs(value) > thresholds[code].value and abs(value) > SURE * doubt:
            turned = "turned by " if quantity == "roll" else ""
            way = ways[0] if value > 0 else ways[1]
            text = f"{check.camera}: its image is {turned}{abs(value):.1f} ± {doubt:.1f}{way}, beside {others}."
            yield Finding(code, Severity.WARNING, text, REFINE, where=check.camera)
    late, doubt = check.value["late"], check.deviation["late"]
    if abs(late) > thresholds["camera_late"].value and abs(late) > SURE * doubt:
        text = f"{check.camera}: {late:+.1f} ± {doubt:.1f} frames late beside the first camera."
        yield Finding(LATE, Severity.WARNING, text, SYNC, where=check.camera)


def delays(timing: Timing) -> Finding:
    """That views were late, by how much, and which frames are left."""
    doubts = [""] * len(timing.views) if timing.deviation is None else [f" ± {d:.2f}" for d in timing.deviation]
    drifts = [f" and {drift:+.2f} in {DRIFT_PER}" if drift else "" for drift in timing.drift]
    rows = list(zip(timing.views, timing.late, doubts, drifts, strict=True))[1:]
    said = ", ".join(f"{view} {late:+.2f}{doubt}{drift}" for view, late, doubt, drift in rows)
    text = (
        f"delays that were {'given' if timing.deviation is None else 'found'} are undone: {said} frames late beside "
        f"{timing.views[0]}. {timing.frames} frames are shared by all views, from frame {timing.first} of "
        f"{timing.views[0]} on."
    )
    cure = "Nothing to do." if timing.deviation is None else "To keep them, write them down as `delays` of the trial."
    return Finding("camera_delays", Severity.INFO, text, cure)


def unseen(camera: str, points: int) -> Finding:
    """That a camera saw next to nothing of the person, while others did."""
    text = f"{camera}: saw {points} points of the person whom the others saw, too few to compare it with them."
    cure = (
        "If the person is in its images, look whether the video is upside down (`ffmpeg -i IN -vf hflip,vflip OUT`), "
        "mirrored (`-vf hflip`), another camera's, or shows somebody else. Else use a recording in which it sees them."
    )
    return Finding(UNJUDGED, Severity.WARNING, text, cure, where=camera)


def _towards(value: float, deviation: float, ahead: str, behind: str) -> str:
    return f"{abs(value):.0f} ± {deviation:.0f} px {ahead if value >= 0 else behind}"


def _s(check: CameraCheck) -> str:
    return "s" if len(check.others) == 1 else ""


def _mixed_up(mix: MixUp) -> Finding:
    whose = "it" if len(mix.views) == 1 else "they"
    gain = f"then {100 * mix.used_then:.0f} % of what {whose} saw agrees with the others, now {100 * mix.used:.0f} %."
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
