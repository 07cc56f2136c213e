"""What limits accuracy: our pipeline run again with one thing changed, or one thing given that it cannot know."""

from collections.abc import Callable
from dataclasses import replace

from simspine.benchmark.methods import Experiment
from simspine.body.options import ScalingOptions
from simspine.detection.options import FilterOptions

Change = Callable[[Experiment], Experiment]


def _changed(**changes) -> Change:
    return lambda settings: replace(settings, **changes)


def _ik(**changes) -> Change:
    return lambda settings: replace(settings, ik=settings.ik.model_copy(update=changes))


# {name: change}. The first group is given a part of the truth, so it shows where the error comes from.
ABLATIONS: dict[str, Change] = {
    "as it is": lambda settings: settings,
    "oracle: the body": _changed(true_body=True),
    "oracle: mean posture": _changed(true_posture=True),
    "oracle: slow errors of markers": _changed(keep_errors="fast"),
    "oracle: the sacrum's point": _changed(true_points=("Hip",)),
    "oracle: lumbar points": _changed(true_points=("Hip", "Spine_01", "Spine_02", "Spine_03")),
    "oracle: body, posture, slow errors": _changed(true_body=True, true_posture=True, keep_errors="fast"),
    # Detected limbs mean other places than those of the motion capture, and differ more from left to right.
    "without motion capture": _changed(
        use_mocap=False, marker_set="vertebral", scaling=ScalingOptions(max_asymmetry=0.4)
    ),
    "priors × 0.5": _changed(prior_width=0.5),
    "priors × 2": _changed(prior_width=2.0),
    "errors correlated 0 s": _ik(error_correlation_s=0.0),
    "errors correlated 3 s": _ik(error_correlation_s=3.0),
    "acceleration 5 rad/s²": _ik(acceleration_sd=5.0),
    "acceleration 10 rad/s²": _ik(acceleration_sd=10.0),
    "limbs 8 rad/s²": _ik(limb_acceleration_sd=8.0),
    "motion capture 5 mm": _ik(given_sd_m=0.005),
    "markers 10 mm": _ik(marker_sd_m=0.01),
    "markers 2 mm": _ik(marker_sd_m=0.002, given_sd_m=0.005),
    "markers 40 mm": _ik(marker_sd_m=0.04),
    "covariance of triangulation": _ik(use_covariance=True),
    "no filter": _changed(filter=FilterOptions(cutoff_hz=None)),
}


def variants(settings: Experiment) -> dict[str, Experiment]:
    """{name: settings} of all of them."""
    return {name: change(settings) for name, change in ABLATIONS.items()}
