"""What the comparison of cameras amounts to: each fault named, with its size, how sure it is, and the cure."""

from collections.abc import Iterator, Sequence

import numpy as np

from simspine.cameras.check import CameraCheck, MixUp
from simspine.cameras.clocks import DRIFT_PER, Timing
from simspine.quality.findings import Finding, Severity
from simspine.quality.thresholds import THRESHOLDS, Thresholds

SURE = 3.0  # standard deviations from which a camera's disagreement is no accident of the detections
REFINE = "`simspine cameras refine` puts it right as far as the recording shows; better, calibrate again."
SYNC = "Set `delays: find` in the trial, or paste there what `simspine cameras sync` prints."


def cameras(
    checks: Sequence[CameraCheck], mixed: Sequence[MixUp], thresholds: Thresholds = THRESHOLDS
) -> Iterator[Finding]:
    """Warnings of cameras whose images lie beside where the others put the points, and of views that are mixed up."""
    for mix in mixed[:1]:
        yield _mixed_up(mix)
    for check in checks:
        shift = np.array([check.value["shift_x_px"], check.value["shift_y_px"]])
        spread = np.array([check.deviation["shift_x_px"], check.deviation["shift_y_px"]])
        size, doubt = float(np.hypot(*shift)), float(np.hypot(*spread))
        if size > thresholds["camera_shift"].value and (np.abs(shift) > SURE * spread).any():
            text = f"{check.camera}: shows the person {size:.0f} ± {doubt:.0f} px from where the others put them "
            text += f"({shift[0]:+.0f} right, {shift[1]:+.0f} down)."
            yield Finding("camera_shift", Severity.WARNING, text, REFINE, where=check.camera)
        for quantity, code, unit, factor in (
            ("roll", "camera_roll", "°, turned clockwise", np.degrees(1.0)),
            ("scale", "camera_scale", " % too large", 100.0),
        ):
            value, doubt = factor * check.value[quantity], factor * check.deviation[quantity]
            if abs(value) > thresholds[code].value and abs(value) > SURE * doubt:
                text = f"{check.camera}: its image is {value:+.1f} ± {doubt:.1f}{unit}, beside the others."
                yield Finding(code, Severity.WARNING, text, REFINE, where=check.camera)
        late, doubt = check.value["late"], check.deviation["late"]
        if abs(late) > thresholds["camera_late"].value and abs(late) > SURE * doubt:
            text = f"{check.camera}: {late:+.1f} ± {doubt:.1f} frames late beside the first camera."
            yield Finding("camera_late", Severity.WARNING, text, SYNC, where=check.camera)


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


def _mixed_up(mix: MixUp) -> Finding:
    gain = f"then {100 * mix.used_then:.0f} % of what the cameras saw agrees, now {100 * mix.used:.0f} %."
    if mix.kind == "mirrored":
        text = f"{mix.views[0]}: its image seems to be mirrored, left with right; {gain}"
        cure = "Film or convert without mirroring (a front camera's setting), or flip the video."
    else:
        text = f"{mix.views[0]} and {mix.views[1]} seem to be exchanged; {gain}"
        cure = "Exchange the names of the two videos, or of the two cameras in the calibration."
    return Finding(f"camera_{mix.kind}", Severity.ERROR, text, cure, where=", ".join(mix.views))
