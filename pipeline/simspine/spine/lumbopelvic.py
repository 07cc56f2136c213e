"""Lumbopelvic rhythm: how bending forward is shared out between the lumbar spine and the pelvis on the hips."""

from dataclasses import dataclass

import numpy as np

OF = ("lumbar_flexion", "pelvic_tilt")  # parameters whose changes make it
LEAST = np.radians(
    30.0
)  # of trunk flexion: below it, errors of a few degrees change the ratio by more than people differ
LEAST_PELVIS = np.radians(5.0)  # a ratio to less than that is a ratio to noise
ENDS = 0.1  # the postures at both ends: frames within this part of the range from the least and the greatest flexion
MOST = 0.5  # a ratio is not given where its standard deviation is a larger part of it


@dataclass(frozen=True)
class LumbopelvicRhythm:
    """Lumbar over pelvic motion between the straightest and the most bent posture of a trial.

    ratio, sd: None where the trial does not say, for `reason`. lumbar, pelvis: rad of each, None where not
    known. sd is an upper bound, see `lumbopelvic_rhythm`.
    """

    ratio: float | None
    sd: float | None
    lumbar: float | None
    pelvis: float | None
    reason: str = ""


def lumbopelvic_rhythm(
    lumbar: np.ndarray,
    pelvis: np.ndarray,
    lumbar_sd: np.ndarray | None = None,
    pelvis_sd: np.ndarray | None = None,
) -> LumbopelvicRhythm:
    """The rhythm of a trial's frames.

    lumbar: (frames,) rad, flexion of T12 on the sacrum. pelvis: (frames,) rad, forward tilt of the pelvis. Each posture
    is the mean of the frames near its end of the range of trunk flexion, the sum of both. lumbar_sd, pelvis_sd:
    standard deviations of the same frames about the trial's mean. That of the ratio counts errors of both postures as
    independent, and those of lumbar spine and pelvis as opposite: it is at most that.
    """
    known = np.isfinite(lumbar) & np.isfinite(pelvis)
    trunk = np.where(known, lumbar + pelvis, np.nan)
    if not known.any():
        return LumbopelvicRhythm(None, None, None, None, "no frame is known")
    low, high = np.nanmin(trunk), np.nanmax(trunk)
    near = ENDS * (high - low)
    straight, bent = known & (trunk <= low + near), known & (trunk >= high - near)
    by_lumbar, by_pelvis = (float(part[bent].mean() - part[straight].mean()) for part in (lumbar, pelvis))
    if high - low < LEAST:
        reason = f"the trunk bends by {np.degrees(high - low):.0f}° only, {np.degrees(LEAST):.0f}° are wanted"
        return LumbopelvicRhythm(None, None, by_lumbar, by_pelvis, reason)
    if by_pelvis < LEAST_PELVIS:
        reason = (
            f"the pelvis tilts forward by {np.degrees(by_pelvis):.0f}° only, {np.degrees(LEAST_PELVIS):.0f}° are wanted"
        )
        return LumbopelvicRhythm(None, None, by_lumbar, by_pelvis, reason)
    ratio = by_lumbar / by_pelvis
    if lumbar_sd is None or pelvis_sd is None:
        return LumbopelvicRhythm(ratio, None, by_lumbar, by_pelvis)
    own, other = (float(np.hypot(np.median(part[straight]), np.median(part[bent]))) for part in (lumbar_sd, pelvis_sd))
    sd = (own + abs(ratio) * other) / by_pelvis
    if not sd <= MOST * abs(ratio):
        reason = (
            f"it would be {ratio:.1f} ± {sd:.1f}, uncertain by more than half of itself: both motions are too small "
            "for their errors, or too little is seen of them"
        )
        return LumbopelvicRhythm(None, None, by_lumbar, by_pelvis, reason)
    return LumbopelvicRhythm(ratio, sd, by_lumbar, by_pelvis)
