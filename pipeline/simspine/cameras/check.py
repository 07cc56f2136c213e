"""Whether each camera agrees with the others about what they saw: signed, per camera, with standard deviations."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.cameras.image_errors import ImageErrors
from simspine.cameras.mix_ups import MixUp, mix_ups
from simspine.cameras.parameters import CameraPrior
from simspine.cameras.refine import Refined, refine_cameras, sampled
from simspine.triangulation import triangulate_with_report
from simspine.types import Camera, Keypoints

# Wide enough for a calibration that belongs to the set-up but is off; a camera that was moved shows at its limits.
WIDE = CameraPrior(rotation=np.radians(2.0), position=0.05, focal=0.03, centre_px=20.0, time=3.0, drift=1.0)
SURE = 3.0  # standard deviations from which a camera's disagreement is no accident of the detections
CLEAR = 0.7  # a camera is set aside where the others then agree this much better than without any other
FEWEST_OTHERS = 2  # cameras that must be left to judge one another


@dataclass(frozen=True)
class CameraCheck:
    """One camera beside others.

    value, deviation: by `image_errors.QUANTITIES`: how far right and down the camera shows things, px; turned
    clockwise, rad; too large, relative; how many frames late beside the first camera, and how many later from first to
    last frame. others: the cameras that it is compared with; those that were set aside since they disagree with all
    are not among them. error_px: median of its reprojection errors. used: share of its observations that agree with the
    others. swapped: share with left and right exchanged.
    """

    camera: str
    value: dict[str, float]
    deviation: dict[str, float]
    others: tuple[str, ...]
    error_px: float
    used: float
    swapped: float


@dataclass(frozen=True)
class CameraChecks:
    """How the cameras of a recording agree.

    checks: of each camera, in their order. mixed_up: views that are mirrored, turned or exchanged, likeliest first;
    where there are any nothing else can be told, and there are no checks. refinement: the cameras as they agree best,
    from which the checks are read; None where views are mixed up.
    """

    checks: tuple[CameraCheck, ...]
    mixed_up: tuple[MixUp, ...]
    refinement: Refined | None


def check_cameras(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    min_confidence: float = 0.3,
    tolerated: Mapping[str, float] | None = None,
) -> CameraChecks:
    """How each camera disagrees with the others, and whether views are mixed up.

    keypoints: of one person, in the cameras' order and SIMSPINE names. tolerated: by quantities, errors that are no
    fault (default: none); a camera without which the others agree is set aside, so that its error does not count as
    theirs. Raises `InputError` as `refine_cameras` does.
    """
    if mixed := mix_ups(keypoints, cameras, min_confidence):
        return CameraChecks((), tuple(mixed), None)
    refined = refine_cameras(keypoints, cameras, WIDE, min_confidence)
    sample = sampled(keypoints, min_confidence)[0]
    report = triangulate_with_report(sample, cameras, min_confidence=min_confidence)[1]
    observed, images = np.isfinite(report.error_px), ImageErrors(refined)
    agreeing = _agreeing(images, len(cameras), tolerated or {})
    checks = []
    for view, camera in enumerate(cameras):
        there = observed[:, view]
        count = max(int(there.sum()), 1)
        error = float(np.median(report.error_px[:, view][there])) if there.any() else float("nan")
        used, swapped = report.used[:, view].sum() / count, (report.swapped[:, view] & there).sum() / count
        others = [other for other in agreeing if other != view]
        names = tuple(cameras[other].name for other in others)
        checks.append(CameraCheck(camera.name, *images.beside(view, others), names, error, float(used), float(swapped)))
    return CameraChecks(tuple(checks), (), refined)


def _agreeing(images: ImageErrors, views: int, tolerated: Mapping[str, float]) -> list[int]:
    """Views that judge: all, less those without which the rest agrees clearly better than without any other."""
    left = list(range(views))
    while len(left) > FEWEST_OTHERS and _disagreement(images, left, tolerated) > 1:
        without = [[other for other in left if other != view] for view in left]
        scores = [_disagreement(images, rest, tolerated) for rest in without]
        best, second = np.argsort(scores)[:2]
        if scores[second] <= 1 or scores[best] > CLEAR * scores[second]:
            break
        left = without[best]
    return left


def _disagreement(images: ImageErrors, views: Sequence[int], tolerated: Mapping[str, float]) -> float:
    """The largest error of these views, each beside the others of them; 1: just a fault."""
    worst = 0.0
    for view in views:
        value, deviation = images.beside(view, [other for other in views if other != view])
        for quantity in ("shift_x_px", "shift_y_px", "roll", "scale"):
            limit = max(tolerated.get(quantity, 0.0), SURE * deviation[quantity], 1e-12)
            worst = max(worst, abs(value[quantity]) / limit)
    return worst
