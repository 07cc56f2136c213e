"""Whether each camera agrees with the others about what they saw: signed, per camera, with standard deviations."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from simspine.arrays import evenly_spread
from simspine.cameras.bundle import linearised
from simspine.cameras.parameters import GEOMETRY, CameraPrior
from simspine.cameras.refine import Refined, refine_cameras, sampled
from simspine.errors import InputError
from simspine.triangulation import triangulate_with_report
from simspine.triangulation.swaps import exchange
from simspine.types import Camera, Keypoints

# Wide enough for a calibration that belongs to the set-up but is off; a camera that was moved shows at its limits.
WIDE = CameraPrior(rotation=np.radians(2.0), position=0.05, focal=0.03, centre_px=20.0, time=3.0, drift=1.0)
TRIED = 40  # frames on which mixed-up views are looked for
QUANTITIES = ("shift_x_px", "shift_y_px", "roll", "scale", "late", "drift")


@dataclass(frozen=True)
class CameraCheck:
    """One camera beside the others.

    value, deviation: by `QUANTITIES`: how far right and down the camera shows things, px; turned clockwise, rad; too
    large, relative; how many frames late, and how many later from first to last frame. Relative to where the other
    cameras and the calibrations' prior say. error_px: median of its reprojection errors. used: share of its
    observations that agree with the others. swapped: share with left and right exchanged.
    """

    camera: str
    value: dict[str, float]
    deviation: dict[str, float]
    error_px: float
    used: float
    swapped: float


@dataclass(frozen=True)
class MixUp:
    """Another reading of the views under which more of what they saw agrees.

    kind: 'mirrored' (images of `views` exchanged left with right) or 'exchanged' (two views belong to one another's
    camera). used, used_then: share of observations that agree, as given and so.
    """

    kind: str
    views: tuple[str, ...]
    used: float
    used_then: float


def check_cameras(
    keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3
) -> tuple[list[CameraCheck], list[MixUp], Refined | None]:
    """How each camera disagrees with the others, mixed-up views, and the refinement it is read from.

    keypoints: of one person, in the cameras' order and SIMSPINE names. Where views are mixed up nothing else can be
    told: there is no more than that then. Raises `InputError` as `refine_cameras` does.
    """
    if mixed := mix_ups(keypoints, cameras, min_confidence):
        return [], mixed, None
    refined = refine_cameras(keypoints, cameras, WIDE, min_confidence)
    sample = sampled(keypoints, min_confidence)[0]
    report = triangulate_with_report(sample, cameras, min_confidence=min_confidence)[1]
    observed = np.isfinite(report.error_px)
    still = np.zeros_like(refined.change)
    slopes = linearised(refined.seen, cameras, still, np.nan_to_num(refined.adjustment.xyz), np.ones_like(still))[1:]
    checks = []
    for view, camera in enumerate(cameras):
        there = observed[:, view]
        count = max(int(there.sum()), 1)
        error = float(np.median(report.error_px[:, view][there])) if there.any() else float("nan")
        used, swapped = report.used[:, view].sum() / count, (report.swapped[:, view] & there).sum() / count
        errors = _image_errors(refined, view, slopes)
        checks.append(CameraCheck(camera.name, *errors, error, float(used), float(swapped)))
    return checks, [], refined


def _image_errors(refined: Refined, view: int, slopes: tuple[np.ndarray, np.ndarray]) -> tuple[dict, dict]:
    """`QUANTITIES` of one view, and standard deviations: how its image lies beside where all others put the points.

    slopes: derivatives of what each view shows by all parameters and by the points, as `linearised` gives them. The
    world's frame and scale, which nobody can see, drop out: a motion of all cameras together moves the points with it.
    """
    by_camera, by_point = slopes
    frames, views, points, _, count = by_camera.shape
    there = np.isfinite(refined.seen.xy).all(-1) & np.isfinite(refined.adjustment.xyz).all(-1)[:, None]
    others = there.copy()
    others[:, view] = False
    each = np.where(others[..., None, None], by_point, 0.0)
    normal = np.einsum("fvpxi,fvpxj->fpij", each, each)
    # Where the others, left as calibrated, put a point that the refined cameras show: (f, p, 3, views × parameters)
    pulled = np.einsum("fvpxi,fvpxk->fpivk", each, by_camera).reshape(frames, points, 3, views * count)
    moves = np.linalg.pinv(normal, rcond=1e-6, hermitian=True) @ pulled
    field = np.zeros((frames, points, 2, views, count))
    field[..., view, :] = by_camera[:, view]
    field = field.reshape(frames, points, 2, -1) - by_point[:, view] @ moves
    seen = there[:, view] & (others.sum(1) >= 2)
    if seen.sum() < 2:
        seen = there[:, view] & others.any(1)
    basis, scale = _basis(refined.seen.xy[:, view][seen])
    by = (np.linalg.pinv(basis) @ field[seen].reshape(-1, views * count)) / scale[:, None]
    values = np.r_[by @ refined.change.ravel(), refined.change[view, GEOMETRY:]]
    spread = np.r_[np.sqrt(np.diag(by @ refined.adjustment.covariance @ by.T)), refined.deviation[view, GEOMETRY:]]
    return dict(zip(QUANTITIES, values.tolist(), strict=True)), dict(zip(QUANTITIES, spread.tolist(), strict=True))


def _basis(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Image fields (2 n, 4) at points (n, 2) px: shift right, shift down, turn, growth about their middle."""
    if len(points) < 2:
        raise InputError("a camera saw too few points to be checked.")
    x, y = (points - points.mean(0)).T
    size = max(float(np.hypot(x, y).mean()), 1.0)
    one, none = np.ones_like(x), np.zeros_like(x)
    fields = [(one, none), (none, one), (-y / size, x / size), (x / size, y / size)]
    return np.stack([np.stack(field, -1).ravel() for field in fields], 1), np.array([1.0, 1.0, size, size])


def mix_ups(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3) -> list[MixUp]:
    """Readings of the views under which much more agrees: one image mirrored, or two views exchanged. Best first."""
    rows = evenly_spread(keypoints.frames, TRIED)
    some = keypoints.with_(xy=keypoints.xy[rows], confidence=keypoints.confidence[rows])
    limit = 0.03 * max(max(camera.size) for camera in cameras)

    def used(xy: np.ndarray, confidence: np.ndarray) -> float:
        read = some.with_(xy=xy, confidence=confidence)
        report = triangulate_with_report(read, cameras, min_confidence=min_confidence, max_error_px=limit)[1]
        return float(report.used.sum() / max((confidence >= min_confidence).sum(), 1))

    given, found = used(some.xy, some.confidence), []
    for view, camera in enumerate(cameras):
        mirrored = np.zeros(some.confidence.shape, bool)
        mirrored[:, view] = True
        other = exchange(some, mirrored)  # a detector takes a mirrored person's left for their right
        xy = other.xy.copy()
        xy[:, view, :, 0] = camera.size[0] - 1 - xy[:, view, :, 0]
        found.append(MixUp("mirrored", (camera.name,), given, used(xy, other.confidence)))
    for a, b in combinations(range(len(cameras)), 2):
        order = np.arange(len(cameras))
        order[[a, b]] = b, a
        names = (cameras[a].name, cameras[b].name)
        found.append(MixUp("exchanged", names, given, used(some.xy[:, order], some.confidence[:, order])))
    return sorted((m for m in found if m.used_then > m.used + 0.15), key=lambda m: -m.used_then)
