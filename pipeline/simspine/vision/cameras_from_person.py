"""Where cameras stand, from nothing but the person they saw: lenses known or guessed, places not.

Pairs of views give essential matrices (USAC over all frames); the best pair is triangulated, the other cameras are
added by resection from its points, and bundle adjustment (`bundle_adjustment`) with next to no prior makes all agree.
Images alone give places up to a similarity: the scale comes from the person's size, the vertical from posture and feet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from simspine.core.errors import InputError
from simspine.core.geometry import undistort_pixels
from simspine.core.types import Camera, Keypoints
from simspine.vision.bundle_adjustment import Adjustment, CameraPrior, adjust_bundle
from simspine.vision.camera_check import select_views
from simspine.vision.camera_refine import (
    MIN_OBSERVATIONS_PER_VIEW,
    SampledFrames,
    check_seen,
    sample_frames_seen,
    used_observations,
)
from simspine.vision.person_frame import MEAN_STATURE_M, PersonFrame, check_height, limb_stature, person_frame

# Next to nothing is known of places; the lens is kept, unless its focal length was guessed.
LOOSE_CAMERA_PRIOR = CameraPrior(rotation=0.2, position=0.5, focal=0.0, centre_px=0.0, radial=0.0)
GUESSED_FOCAL_SD = 0.15  # relative standard deviation of a guessed focal length
RANSAC_TOLERANCE = 0.01  # of the focal length: an error in a pair of views that RANSAC takes for none
MAX_PLANAR_SHARE = 0.9  # share of a pair's agreeing points that a plane explains as well: then depth is not known
MIN_MOVEMENT_SHARE = 0.15  # of the person's size in the image: how far most points must move over the recording
MIN_AGREEING_SHARE = 0.6  # share of observations that must agree in the end
FIRST_PAIRS = 6  # pairs of views begun with, most agreeing points first
MAX_ADJUSTMENT_ROUNDS = 8
ADJUSTMENT_CONVERGED_SHARE = 0.02  # done when no parameter moves by more than this share of its deviation
MAX_PLACE_SD = (np.radians(5.0), 0.3)  # rad, m: larger standard deviations are no calibration


@dataclass(frozen=True)
class FromPerson:
    """Cameras placed by a person, and how sure each place is.

    Attributes
    ----------
    cameras : list of Camera
        World z up, m; origin on the floor between the feet, x to where the person faces when most upright.
    rotation_sd, position_sd : (views, 3) array
        rad, m, about and along each camera's axes (right, down, forward), relative to each other: without scale and
        frame.
    focal_sd : (views,) array
        Relative; 0 where the lens was given.
    frame : PersonFrame
        Scale, vertical and floor, with their deviations and where they come from.
    error_px : float
        Median reprojection error, px.
    used : float
        Share of what a camera saw that agrees, of the camera with the least.
    """

    cameras: list[Camera]
    rotation_sd: np.ndarray
    position_sd: np.ndarray
    focal_sd: np.ndarray
    frame: PersonFrame
    error_px: float
    used: float


def cameras_from_person(
    keypoints: Keypoints,
    lenses: Sequence[Camera],
    height: float | None = None,
    guessed: bool = False,
    min_confidence: float = 0.3,
) -> FromPerson:
    """Cameras from what they saw of one moving person.

    Parameters
    ----------
    keypoints : Keypoints
        Synchronised, in the cameras' order and SIMSPINE names.
    lenses : sequence of Camera
        Name, size, K and distortion count; R and t do not.
    height : float, optional
        Of the person, m. Without it mean adults' height makes all lengths as uncertain as its spread.
    guessed : bool
        Focal lengths are guesses (15 %) and estimated as well.
    min_confidence : float
        Detected points below it are not used.

    Returns
    -------
    FromPerson

    Raises
    ------
    InputError
        For fewer than two views, a view that saw too little or has nothing in common with the others, a person who
        stands still or moves in one plane, and places that come out too uncertain.
    """
    check_height(height)
    check_seen(keypoints, lenses, min_confidence, "place")
    sample = sample_frames_seen(keypoints, min_confidence)
    _check_moves(sample)
    prior = replace(LOOSE_CAMERA_PRIOR, focal=GUESSED_FOCAL_SD) if guessed else LOOSE_CAMERA_PRIOR
    found = _adjusted_cameras(sample, _roughly_placed_cameras(sample, lenses), prior)
    report = sample.triangulated(found.cameras)[1]
    used = report.used.sum((0, 2)) / np.maximum(np.isfinite(report.error_px).sum((0, 2)), 1)
    worst = int(np.argmin(used))
    if used[worst] < MIN_AGREEING_SHARE:
        raise InputError(
            f"only {used[worst]:.0%} of what camera {lenses[worst].name!r} saw agrees with the best places found for "
            "all. Check that the videos start at the same instant, that each has its own lens, and that all show one "
            "person."
        )
    covariance = _relative_covariance(found)
    deviation = np.sqrt(np.maximum(np.diag(covariance), 0.0)).reshape(len(lenses), -1)
    _check_sure(deviation, lenses)
    frame = person_frame(sample.points.names, found.xyz, height)
    cameras = [frame.applied_to(camera) for camera in found.cameras]
    return FromPerson(
        cameras=cameras,
        rotation_sd=deviation[:, :3],
        position_sd=frame.scale * deviation[:, 3:6],
        focal_sd=deviation[:, 6],
        frame=frame,
        error_px=float(np.median(report.error_px[report.used])),
        used=float(used.min()),
    )


def _adjusted_cameras(sample: SampledFrames, start: Sequence[Camera], prior: CameraPrior) -> Adjustment:
    """Cameras and points that agree best. The prior moves along, so that it holds only what no image tells."""
    current, found = list(start), None
    for _ in range(MAX_ADJUSTMENT_ROUNDS):
        seen, xyz = used_observations(sample, current)
        found = adjust_bundle(seen, current, xyz, prior=prior, fixed=range(len(start)))
        current = found.cameras
        spread = np.sqrt(np.maximum(np.diag(_relative_covariance(found)), 1e-18)).reshape(len(start), -1)
        if (np.abs(found.parameter_change[:, :7]) < ADJUSTMENT_CONVERGED_SHARE * np.maximum(spread[:, :7], 1e-6)).all():
            break
    assert found is not None
    return found


def _relative_covariance(found: Adjustment) -> np.ndarray:
    """Covariance (views × 10 parameters) of cameras relative to one another: after the best similarity of all of them.

    Moving, turning and growing the world changes no image; what the prior says of that is taken out (S-transformation,
    Baarda 1973). Best: least squares of places, and of directions at the distance of the person.
    """
    views = len(found.cameras)
    centres = np.array([camera.centre for camera in found.cameras])
    middle = np.nanmedian(found.xyz.reshape(-1, 3), 0)
    reach = float(np.linalg.norm(centres - middle, axis=1).mean())
    count = len(found.covariance) // views
    moves = np.zeros((views, count, 7))
    for move, camera, arm in zip(moves, found.cameras, centres - middle, strict=True):
        move[:3, :3], move[3:6, 3:6] = -camera.R, camera.R
        move[3:6, :3] = camera.R @ np.cross(np.eye(3), arm).T
        move[3:6, 6] = camera.R @ arm
    weight = np.zeros((views, count))
    weight[:, :3], weight[:, 3:6] = reach**2, 1.0
    flat, scaled = moves.reshape(-1, 7), (weight[..., None] * moves).reshape(-1, 7)
    keep = np.eye(len(flat)) - flat @ np.linalg.solve(flat.T @ scaled, scaled.T)
    return keep @ found.covariance @ keep.T


def _roughly_placed_cameras(sample: SampledFrames, lenses: Sequence[Camera]) -> list[Camera]:
    """Cameras roughly, m: of several pairs to begin with, the one whose cameras agree with most of what they saw."""
    rays = np.stack([undistort_pixels(lens, sample.points.xy[:, v]) for v, lens in enumerate(lenses)], 1)
    rays[sample.points.confidence < sample.min_confidence] = np.nan
    pairs = {
        pair: _two_view_geometry(rays[:, pair[0]], rays[:, pair[1]]) for pair in combinations(range(len(lenses)), 2)
    }
    usable = sorted(
        (pair for pair in pairs if pairs[pair].count >= MIN_OBSERVATIONS_PER_VIEW), key=lambda pair: -pairs[pair].count
    )
    if not usable:
        raise InputError("no two views have enough in common. Do they show the same person at the same time?")
    deep = [pair for pair in usable if not pairs[pair].planar]
    if not deep:
        raise InputError(
            "what the views have in common lies in one plane, so depth is unknown. Let the person walk about and turn."
        )
    found = []
    for pair in deep[:FIRST_PAIRS]:
        cameras = _cameras_from_pair(sample, rays, lenses, pair=pair, between=pairs[pair])
        if cameras is not None:
            found.append((int(sample.triangulated(cameras)[1].used.sum()), cameras))
    if not found:
        raise InputError(
            "not all cameras could be placed: some share too little with the others. Film the person where most "
            "cameras see them, or leave cameras out."
        )
    return max(found, key=lambda entry: entry[0])[1]


@dataclass(frozen=True)
class _Pair:
    """Two views: rotation and unit translation from the first to the second, how many points agree, and whether a plane
    explains them."""

    R: np.ndarray
    t: np.ndarray
    count: int
    planar: bool


def _two_view_geometry(a: np.ndarray, b: np.ndarray) -> _Pair:
    """From normalised points (frames, points, 2) of two views."""
    import cv2

    both = np.isfinite(a).all(-1) & np.isfinite(b).all(-1)
    first, second = np.ascontiguousarray(a[both]), np.ascontiguousarray(b[both])
    if len(first) < MIN_OBSERVATIONS_PER_VIEW:
        return _Pair(np.eye(3), np.zeros(3), 0, False)
    cv2.setRNGSeed(0)
    E, agree = cv2.findEssentialMat(first, second, np.eye(3), cv2.USAC_MAGSAC, 0.999, RANSAC_TOLERANCE)
    if E is None or E.shape != (3, 3):
        return _Pair(np.eye(3), np.zeros(3), 0, False)
    count, R, t, _ = cv2.recoverPose(E, first, second, np.eye(3), mask=agree.copy())
    chosen = agree.ravel() > 0
    plane = (
        cv2.findHomography(first[chosen], second[chosen], cv2.RANSAC, RANSAC_TOLERANCE)[1]
        if chosen.sum() >= 4
        else None
    )
    share = 0.0 if plane is None else float(plane.mean())
    return _Pair(R, t.ravel(), int(count), share > MAX_PLANAR_SHARE)


def _cameras_from_pair(
    sample: SampledFrames, rays: np.ndarray, lenses: Sequence[Camera], pair: tuple[int, int], between: _Pair
) -> list[Camera] | None:
    """All cameras, one after the other, from the points that those before place; None where one cannot be placed."""
    known = {
        pair[0]: replace(lenses[pair[0]], R=np.eye(3), t=np.zeros(3)),
        pair[1]: replace(lenses[pair[1]], R=between.R, t=between.t),
    }
    while True:
        views = sorted(known)
        part = sample._replace(points=select_views(sample.points, views))
        xyz = part.triangulated([known[v] for v in views], fix_swaps=False)[0].xyz
        size = limb_stature(part.points.names, xyz)
        if size is None:
            return None
        scale = MEAN_STATURE_M / size
        known = {v: camera.with_(t=scale * camera.t) for v, camera in known.items()}
        if len(known) == len(lenses):
            return [known[v] for v in range(len(lenses))]
        placed = _best_resected_view(rays, scale * xyz, [v for v in range(len(lenses)) if v not in known])
        if placed is None:
            return None
        view, R, t = placed
        known[view] = replace(lenses[view], R=R, t=t)


def _best_resected_view(
    rays: np.ndarray, xyz: np.ndarray, views: Sequence[int]
) -> tuple[int, np.ndarray, np.ndarray] | None:
    """The view that sees most of the points (frames, points, 3) from one place, and that place."""
    import cv2

    best: tuple[int, int, np.ndarray, np.ndarray] | None = None
    for view in views:
        both = np.isfinite(rays[:, view]).all(-1) & np.isfinite(xyz).all(-1)
        if both.sum() < MIN_OBSERVATIONS_PER_VIEW:
            continue
        cv2.setRNGSeed(0)
        found, turn, t, agree = cv2.solvePnPRansac(
            np.ascontiguousarray(xyz[both]), np.ascontiguousarray(rays[:, view][both]), np.eye(3), None,
            iterationsCount=1000, reprojectionError=2 * RANSAC_TOLERANCE, flags=cv2.SOLVEPNP_SQPNP,
        )  # fmt: skip
        if (
            found
            and agree is not None
            and len(agree) >= MIN_OBSERVATIONS_PER_VIEW
            and (best is None or len(agree) > best[0])
        ):
            best = (len(agree), view, cv2.Rodrigues(turn)[0], t.ravel())
    return None if best is None else best[1:]


def _check_moves(sample: SampledFrames) -> None:
    """`InputError` where most points stay where they are in the views: one posture in one place."""
    sure = sample.points.confidence >= sample.min_confidence
    moved = []
    for xy in np.where(sure[..., None], sample.points.xy, np.nan).swapaxes(0, 1):
        there = np.isfinite(xy[..., 0]).sum(0) >= 2
        low, high = np.nanpercentile(xy[:, there], [10, 90], axis=0)
        across = np.fmax.reduce(xy, 1) - np.fmin.reduce(xy, 1)
        size = float(np.nanmedian(np.linalg.norm(across, axis=-1)))
        moved.append(float(np.median(np.linalg.norm(high - low, axis=-1))) / max(size, 1.0))
    if np.median(moved) < MIN_MOVEMENT_SHARE:
        raise InputError(
            f"the person hardly moves: most points by {np.median(moved):.0%} of the person's size in the images, at "
            f"least {MIN_MOVEMENT_SHARE:.0%} are needed. Let them walk about, turn, and move arms and legs."
        )


def _check_sure(deviation: np.ndarray, lenses: Sequence[Camera]) -> None:
    turn, move = deviation[:, :3].max(1), deviation[:, 3:6].max(1)
    worst = int(np.argmax(np.maximum(turn / MAX_PLACE_SD[0], move / MAX_PLACE_SD[1])))
    if turn[worst] > MAX_PLACE_SD[0] or move[worst] > MAX_PLACE_SD[1]:
        raise InputError(
            f"the place of camera {lenses[worst].name!r} comes out as ± {1000 * move[worst]:.0f} mm, ± "
            f"{np.degrees(turn[worst]):.1f}°, which is no calibration. Record for longer, with the person walking "
            "through the whole room and turning; or calibrate with a board."
        )
