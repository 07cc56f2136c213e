"""Cameras refined by the keypoints of a person in a whole recording: a robust estimate about the calibration."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.core.arrays import evenly_spread, median_of_known
from simspine.core.errors import InputError
from simspine.core.filtering import at_frames
from simspine.core.geometry import project_one
from simspine.core.types import Camera, Keypoints, Markers
from simspine.vision.bundle_adjustment import (
    CAMERA_PARAMETER_NAMES,
    GEOMETRY_PARAMETERS,
    Adjustment,
    CameraPrior,
    SeenImagePoints,
    adjust_bundle,
)
from simspine.vision.person_frame import LIMB_LENGTH_SHARES
from simspine.vision.side_swaps import exchange_sides
from simspine.vision.triangulation import TriangulationReport, triangulate_with_report

# of constant length: limbs, and the widths of hips and shoulders
REFINEMENT_LIMBS = (
    *((f"{side}{a}", f"{side}{b}") for side in "RL" for a, b in LIMB_LENGTH_SHARES),
    ("RHip", "LHip"),
    ("RShoulder", "LShoulder"),
)
MAX_REFINEMENT_FRAMES = 150  # frames used: more add little, since detection errors last for many frames
REFINEMENT_ROUNDS = 3  # each round selects the observations anew with its cameras
MAX_REFINEMENT_ROUNDS = 8  # until delays have converged
# Converged when each changes by less than either; by less than a deviation they change because of other frames' noise.
DELAY_CONVERGED_FRAMES, DELAY_CONVERGED_SD_SHARE = 0.02, 1.0
GENEROUS_ERROR_SHARE = 0.08  # of the longer image side: an error that a wrong calibration may cause
START_SHIFT_SHARE = 0.03  # of the longer image side: triangulation uses no point with a larger error
VELOCITY_REACH_FRAMES = 3  # frames on either side over which velocity is measured
MIN_AGREEING_OBSERVATIONS = 0.6  # least share of observations that agree: half do with two of four views exchanged
MIN_OBSERVATIONS_PER_VIEW = 30  # least number of observations of a view


@dataclass(frozen=True)
class Refined:
    """Refined cameras, the calibration (`original_cameras`), and the observations used.

    prior: standard deviations assumed for the calibration. adjustment, seen: of the last round.
    median_px, p90_px: of the reprojection errors of observations that triangulation uses, before and after.
    given_view_median_px: (views,) the same median of each view, before.
    """

    original_cameras: list[Camera]
    prior: CameraPrior
    adjustment: Adjustment
    seen: SeenImagePoints
    median_px: tuple[float, float]
    p90_px: tuple[float, float]
    given_view_median_px: np.ndarray

    @property
    def cameras(self) -> list[Camera]:
        return self.adjustment.cameras

    @property
    def change(self) -> np.ndarray:
        """(views, parameters) in the order of `CAMERA_PARAMETER_NAMES`."""
        return self.adjustment.parameter_change

    @property
    def deviation(self) -> np.ndarray:
        """Standard deviations (views, parameters) of `change`; the prior's where the recording adds nothing."""
        return np.sqrt(np.maximum(np.diag(self.adjustment.covariance), 0.0)).reshape(self.change.shape)


@threadpool_limits.wrap(limits=1, user_api="blas")  # bits do not depend on BLAS's threads
def refine_cameras(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    prior: CameraPrior | None = None,
    min_confidence: float = 0.3,
    start_turned: bool = False,
) -> Refined:
    """The most probable cameras, given keypoints of a person and the calibration as a prior.

    Bundle adjustment over cameras and points. A parameter that the recording does not determine keeps the calibration's
    value and the prior's standard deviation. Each round shifts the views by the delays found so far.

    Parameters
    ----------
    keypoints : Keypoints
        Of one person, in the cameras' order and SIMSPINE names.
    cameras : sequence of Camera
        The calibration.
    prior : CameraPrior, optional
        Standard deviations of the calibration's errors.
    min_confidence : float
        Detected points below it are not used.
    start_turned : bool
        Start with cameras turned to their points, where these lie far off: to judge cameras, since the result is a
        compromise with the calibration.

    Returns
    -------
    Refined

    Raises
    ------
    InputError
        For fewer than two views, and for a view that saw too little.
    """
    prior = prior or CameraPrior()
    check_refinement_input(keypoints, cameras, min_confidence)
    cameras, clocks = list(cameras), np.zeros((keypoints.views, 2))
    sample = sample_frames_seen(keypoints, min_confidence)
    errors = [_reprojection_errors_used(sample, cameras)]
    current, start = cameras, _turned_to_points(sample, cameras) if start_turned else None
    for rounds in range(1, MAX_REFINEMENT_ROUNDS + 1):
        seen, xyz = used_observations(sample, current)
        refined = adjust_bundle(seen, cameras, xyz, prior=prior, start=start)
        current, start = refined.cameras, refined.parameter_change
        step = start[:, GEOMETRY_PARAMETERS:] - clocks
        variance = np.abs(np.diag(refined.covariance)).reshape(start.shape)[:, GEOMETRY_PARAMETERS:]
        if (np.abs(step) > np.maximum(DELAY_CONVERGED_FRAMES, DELAY_CONVERGED_SD_SHARE * np.sqrt(variance))).any():
            clocks = clocks + step
            sample = sample_frames_seen(keypoints, min_confidence, clocks)
        elif rounds >= REFINEMENT_ROUNDS:
            break
    errors.append(_reprojection_errors_used(sample, current))
    medians, p90s = np.array([np.nanpercentile(each, (50, 90)) for each in errors]).T.tolist()
    return Refined(
        cameras,
        prior,
        refined,
        seen=seen,
        median_px=tuple(medians),
        p90_px=tuple(p90s),
        given_view_median_px=median_of_known(errors[0].swapaxes(0, 1).reshape(len(cameras), -1)),
    )


def _turned_to_points(sample: "SampledFrames", cameras: Sequence[Camera]) -> np.ndarray:
    """Changes (views, parameters) to start from: cameras turned to where most of their points lie, if that is far off.
    From the given pose, the adjustment would take all points of such a camera for outliers."""
    change, xyz = np.zeros((len(cameras), len(CAMERA_PARAMETER_NAMES))), sample.triangulated(cameras)[0].xyz
    for view, camera in enumerate(cameras):
        off = sample.points.xy[:, view] - project_one(camera, xyz)
        right, down = median_of_known(off.reshape(-1, 2).T)
        if np.hypot(right, down) > START_SHIFT_SHARE * max(camera.size):
            change[view, :2] = -down / camera.K[1, 1], right / camera.K[0, 0]
    return change


class SampledFrames(NamedTuple):
    """Evenly spread frames of a recording.

    points: those that any view saw; used from `min_confidence` on. velocity: (frames, views, points, 2) px per frame.
    time: (frames,) position in the recording, from -0.5 to 0.5. late: (frames, views) delays, frames, by which the
    points of each view are of later frames.
    """

    points: Keypoints
    velocity: np.ndarray
    time: np.ndarray
    min_confidence: float
    late: np.ndarray

    def triangulated(self, cameras: Sequence[Camera], **options) -> tuple[Markers, TriangulationReport]:
        """The points in space by these cameras; options as of `triangulate`."""
        return triangulate_with_report(self.points, cameras, min_confidence=self.min_confidence, **options)


def sample_frames_seen(keypoints: Keypoints, min_confidence: float, clocks: np.ndarray | None = None) -> SampledFrames:
    """At most `MAX_REFINEMENT_FRAMES` frames of a recording, less (views, 2) `clocks`: delays and their increases.

    Of each view the nearest frame, since exchanged sides cannot be interpolated.
    """
    time = np.linspace(-0.5, 0.5, keypoints.frames)
    late = np.zeros(keypoints.xy.shape[:2]) if clocks is None else clocks[:, 0] + time[:, None] * clocks[:, 1]
    late = np.round(late)
    names = [keypoints.names[i] for i in np.flatnonzero(np.isfinite(keypoints.xy[..., 0]).any((0, 1)))]
    rows = evenly_spread(keypoints.frames, MAX_REFINEMENT_FRAMES)

    def sample(frames: np.ndarray) -> Keypoints:
        return at_frames(keypoints, frames[:, None] + late[frames]).select(names)

    def confident_xy(frames: np.ndarray) -> np.ndarray:
        seen = sample(frames)
        return np.where((seen.confidence >= min_confidence)[..., None], seen.xy, np.nan)

    points = sample(rows).with_(rate=keypoints.rate * len(rows) / keypoints.frames)
    reach, last = VELOCITY_REACH_FRAMES, keypoints.frames - 1
    inside = (rows >= reach) & (rows <= last - reach)
    before, after = (confident_xy((rows + step).clip(0, last)) for step in (-reach, reach))
    velocity = np.where(inside[:, None, None, None], (after - before) / (2 * reach), np.nan)
    return SampledFrames(points, velocity, time[rows], min_confidence, late=late[rows])


def used_observations(sample: SampledFrames, cameras: Sequence[Camera]) -> tuple[SeenImagePoints, np.ndarray]:
    """Observations used of the recording, and the triangulated points (frames, points, 3) m.

    Exchanged left and right points are exchanged back where triangulation finds them.
    """
    limit = GENEROUS_ERROR_SHARE * max(max(camera.size) for camera in cameras)
    markers, report = sample.triangulated(cameras, max_error_px=limit)
    exchanged = exchange_sides(sample.points, report.swapped)
    xy = np.where(exchanged.confidence[..., None] >= sample.min_confidence, exchanged.xy, np.nan)
    index = {name: i for i, name in enumerate(exchanged.names)}
    limbs = tuple((index[a], index[b]) for a, b in REFINEMENT_LIMBS if a in index and b in index)
    return SeenImagePoints(xy, sample.velocity, sample.time, late=sample.late, limb_pairs=limbs), markers.xyz


def refinement_table(refined: Refined) -> list[dict]:
    """For each camera: its name, then (change, standard deviation) by parameter; SI units, px, frames."""
    rows = []
    for camera, change, deviation in zip(refined.original_cameras, refined.change, refined.deviation, strict=True):
        values = {
            n: (float(c), float(d)) for n, c, d in zip(CAMERA_PARAMETER_NAMES, change, deviation, strict=True) if d > 0
        }
        rows.append({"camera": camera.name, **values})
    return rows


def check_refinement_input(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float) -> None:
    """`InputError` for fewer than two cameras, few frames, or too few observations by a camera or in common."""
    if len(cameras) < 2:
        raise InputError("one camera: two or more are wanted, since cameras are compared with one another.")
    if len(cameras) != keypoints.views:
        raise InputError(f"{keypoints.views} views of keypoints but {len(cameras)} cameras; expected as many.")
    for view, camera in enumerate(cameras):
        found = int((keypoints.confidence[:, view] >= min_confidence).sum())
        if found < MIN_OBSERVATIONS_PER_VIEW:
            raise InputError(
                f"camera {camera.name!r} saw {found} points of the person in the whole recording; at least "
                f"{MIN_OBSERVATIONS_PER_VIEW} are needed to judge it. Leave it out, or use a recording in which it "
                "sees the person."
            )
    together = int(((keypoints.confidence >= min_confidence).sum(1) > 1).sum())
    if together < MIN_OBSERVATIONS_PER_VIEW:
        raise InputError(
            f"two cameras or more saw the same point at the same instant {together} times in the whole recording; at "
            f"least {MIN_OBSERVATIONS_PER_VIEW} times are needed to judge them. Do the videos start together "
            "(`simspine cameras sync`), and do they show the same person?"
        )
    if keypoints.frames <= 2 * VELOCITY_REACH_FRAMES:
        raise InputError(
            f"{keypoints.frames} frames are too few to judge cameras; at least {2 * VELOCITY_REACH_FRAMES + 1}."
        )


def _reprojection_errors_used(sample: SampledFrames, cameras: Sequence[Camera]) -> np.ndarray:
    """Reprojection errors (frames, views, points) px of the observations that triangulation uses; NaN elsewhere."""
    report = sample.triangulated(cameras)[1]
    used = int(report.used.sum())
    if used < MIN_AGREEING_OBSERVATIONS * np.isfinite(report.error_px).sum() or not used:
        raise InputError(
            f"less than {MIN_AGREEING_OBSERVATIONS:.0%} of what the cameras saw agrees. Do videos and cameras belong "
            "together, do the videos start at the same instant (`simspine cameras sync`), and is the "
            "calibration this set-up's?"
        )
    return np.where(report.used, report.error_px, np.nan)
