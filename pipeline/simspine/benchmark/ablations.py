"""What limits accuracy: our pipeline run again with one thing changed, or one thing told that it cannot know."""

from collections.abc import Callable
from dataclasses import replace

from simspine.benchmark.methods import Settings

Change = Callable[[Settings], Settings]


def _ik(**changes) -> Change:
    return lambda settings: settings.with_ik(**changes)


def _scaling(**changes) -> Change:
    return lambda settings: replace(settings, scaling=settings.scaling.model_copy(update=changes))


def _filter(**changes) -> Change:
    return lambda settings: replace(settings, filter=settings.filter.model_copy(update=changes))


def _told(**changes) -> Change:
    return lambda settings: replace(settings, **changes)


# {name: change}. The first group is told a part of the truth, so it shows where the error comes from.
ABLATIONS: dict[str, Change] = {
    "as it is": lambda settings: settings,
    "told: sizes": _told(true_sizes=True),
    "told: mean posture": _told(true_posture=True),
    "told: slow errors of markers": _told(keep_errors="fast"),
    "told: the sacrum's point": _told(true_points=("Hip",)),
    "told: lumbar points": _told(true_points=("Hip", "Spine_01", "Spine_02", "Spine_03")),
    "told: sizes, posture, slow errors": _told(true_sizes=True, true_posture=True, keep_errors="fast"),
    # Detected limbs mean other places than those of the motion capture, and differ more from left to right.
    "without motion capture": lambda settings: _scaling(max_asymmetry=0.4)(
        replace(settings, use_mocap=False, markers="vertebral")
    ),
    "calibrated": _scaling(calibrate=True),
    "curve: published": _told(curve="published"),
    "curve: scans": _told(curve="scans"),
    "curve: scans, their spread": _told(curve="scans-wide"),
    "curve: scans, lying": _told(curve="scans-lying"),
    "curve: scans, stood up": _told(curve="scans-standing"),
    "beliefs × 0.5": _told(prior_width=0.5),
    "beliefs × 2": _told(prior_width=2.0),
    "errors last 0 s": _ik(error_lasts_s=0.0),
    "errors last 3 s": _ik(error_lasts_s=3.0),
    "acceleration 5 rad/s²": _ik(acceleration_sd=5.0),
    "acceleration 10 rad/s²": _ik(acceleration_sd=10.0),
    "motion capture 5 mm": _ik(given_sd_m=0.005),
    "markers 10 mm": _ik(marker_sd_m=0.01),
    "markers 2 mm": _ik(marker_sd_m=0.002, given_sd_m=0.005),
    "markers 2 mm, calibrated": lambda settings: _scaling(calibrate=True)(
        settings.with_ik(marker_sd_m=0.002, given_sd_m=0.005)
    ),
    "markers 40 mm": _ik(marker_sd_m=0.04),
    "covariance of triangulation": _ik(use_covariance=True),
    "no filter": _filter(cutoff_hz=None),
}


def variants(settings: Settings) -> dict[str, Settings]:
    """{name: settings} of all of them."""
    return {name: change(settings) for name, change in ABLATIONS.items()}
