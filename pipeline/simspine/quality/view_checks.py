"""Does each camera contribute, and does the body lie on the person in its images?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from simspine.quality.findings import Finding, Severity
from simspine.quality.thresholds import THRESHOLDS, Thresholds


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


def views(fits: Sequence[ViewFit], thresholds: Thresholds = THRESHOLDS) -> Iterator[Finding]:
    """Warnings of cameras that hardly help, that mostly contradict the others, or whose images show the body beside the
    person."""
    share, used, off = (thresholds[name] for name in ("view_contributed", "view_used", "view_distance"))
    for fit in fits:
        if fit.contributed < share.si:
            yield Finding(
                "view_absent",
                Severity.WARNING,
                f"{fit.name}: gives {100 * fit.contributed:.0f} % of the points, expected {share.value:g} % or more.",
                "Is the person in its images? Then the detector missed them, or followed somebody else "
                "(`detection.people`, `detection.person`).",
                where=fit.name,
            )
        if fit.used < used.si:
            yield Finding(
                "view_unused",
                Severity.WARNING,
                f"{fit.name}: {100 * fit.used:.0f} % of the points detected in its images were used, expected "
                f"{used.value:g} % or more; the others do not fit the other cameras.",
                "Does it show the same person? Is its calibration its own, its video in time with the others? Look at "
                "`simspine overlay`; the trial may be better without it.",
                where=fit.name,
            )
        if fit.distance_px > off.value:
            yield Finding(
                "view_off",
                Severity.WARNING,
                f"{fit.name}: the body's limbs lie {fit.distance_px:.0f} px (median) from the points detected in its "
                f"images, expected at most {off.value:g} px.",
                "Look at `simspine overlay`: if the body stands beside the person, calibration or timing of the camera "
                "is off, or the detector followed somebody else.",
                where=fit.name,
            )
