"""Delays of views, estimated from keypoints of moving people in several cameras, to a fraction of a frame.

First the epipolar constraint over whole frames, pair by pair (points of the same instant lie in one plane with both
cameras), then bundle adjustment with each view's clock as an unknown (`bundle_adjustment`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy

from simspine.core.arrays import NORMAL_95, evenly_spread, median_of_known, require_numbers
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import WHOLE_FRAME_TOLERANCE, at_frames
from simspine.core.geometry import undistort_pixels
from simspine.core.types import Camera, Keypoints
from simspine.vision.bundle_adjustment import GEOMETRY_PARAMETERS, CameraPrior
from simspine.vision.camera_check import epipolar_distances_px
from simspine.vision.camera_refine import check_refinement_input, refine_cameras

MIN_SHARED_FRAMES = 10  # least number of frames that all views show
DRIFT_UNIT_FRAMES = 1000  # frames over which a drift is stated

ValuePerView = Sequence[float] | Mapping[str, float]


@dataclass(frozen=True)
class Clocks:
    """Delays of the views compared with the first, and their standard deviations, frames. views: names of the cameras.

    drift, drift_deviation: increase of the delay from the first to the last frame, and its standard deviation.
    """

    views: tuple[str, ...]
    delays_frames: np.ndarray
    deviation: np.ndarray
    drift: np.ndarray
    drift_deviation: np.ndarray


@dataclass(frozen=True, eq=False)
class Timing:
    """The frame of each view that belongs to each frame of a result.

    views: names of the cameras. delays_frames: (views,) delay of each view compared with the first, at the first view's
    frame 0. drift: (views,) increase of the delay in 1000 frames. first: the first view's frame that is the result's
    first. frames: number of the result's frames. deviation: (views,) frames, of the delays; None for given delays.
    native: for each view resampled to another rate, the frames of its video, with fractions, at the instants of that
    rate; NaN where the video has a gap.
    """

    views: tuple[str, ...]
    delays_frames: np.ndarray
    drift: np.ndarray
    first: int
    frames: int
    deviation: np.ndarray | None = None
    native: tuple[np.ndarray, ...] = ()

    def frame_positions(self, margin: int = 0) -> np.ndarray:
        """(frames, views): frame numbers of each view, with fractions. margin: additional frames on either side."""
        instant = self.first + np.arange(-margin, self.frames + margin)[:, None]
        positions = instant * (1 + self.drift / DRIFT_UNIT_FRAMES) + self.delays_frames
        if not self.native:
            return positions
        pairs = zip(positions.T, self.native, strict=True)
        return np.stack([np.interp(x, np.arange(len(frames)), frames, np.nan, np.nan) for x, frames in pairs], 1)

    def nearest_frames(self, view: int) -> np.ndarray:
        """(frames,) int: the view's frame nearest to each instant; in a gap of the video, the frame before the gap."""
        near = np.round(self.frame_positions()[:, view])
        return np.maximum.accumulate(np.nan_to_num(near).astype(int))


def per_view(values: ValuePerView, views: Sequence[str], what: str = "delays") -> np.ndarray:
    """Values (views,) from a list, or from a mapping by names of views (0 for views without one).

    Raises `InputError` for an unknown name, a list of another length, and values that are not finite.
    """
    if isinstance(values, Mapping):
        require_known("view", values, views, what)
        values = [values.get(name, 0.0) for name in views]
    found = require_numbers(what, values).ravel()
    if len(found) != len(views):
        raise InputError(f"{what}: {len(found)} values for {len(views)} views ({', '.join(views)}); give one for each.")
    if not np.isfinite(found).all():
        raise InputError(f"{what}: {list(values)} holds a value that is not finite.")
    return found


def timing_of(
    views: Sequence[str],
    lengths: Sequence[int],
    late: np.ndarray,
    drift: np.ndarray | None = None,
    deviation: np.ndarray | None = None,
) -> Timing:
    """The frames that all views share. lengths: (views,) number of frames. late (delays, frames), drift: see `Timing`.

    Times count from the first view's frame 0, whatever its own delay is. Raises `InputError` for fewer than
    `MIN_SHARED_FRAMES` common frames.
    """
    late = np.asarray(late, float) - late[0]
    drift = np.zeros(len(views)) if drift is None else np.asarray(drift, float)
    speed = 1 + drift / DRIFT_UNIT_FRAMES
    if (speed <= 0).any():
        raise InputError(f"a drift of {drift.min():g} frames in {DRIFT_UNIT_FRAMES} would make its time run backwards.")
    starts, ends = -late / speed, (np.asarray(lengths) - 1 - late) / speed
    first = int(np.ceil(starts.max() - WHOLE_FRAME_TOLERANCE))
    count = int(np.floor(ends.min() + WHOLE_FRAME_TOLERANCE)) - first + 1
    if count < MIN_SHARED_FRAMES:
        rows = ", ".join(f"{v}: {n} frames, {d:+g} late" for v, n, d in zip(views, lengths, late, strict=True))
        raise InputError(
            f"with these delays the views share {max(count, 0)} frames, at least {MIN_SHARED_FRAMES} are needed "
            f"({rows}). A view is late (positive) where it shows an event at a higher frame number than the first view "
            "does."
        )
    return Timing(views=tuple(views), delays_frames=late, drift=drift, first=first, frames=count, deviation=deviation)


def whole_rows(timing: Timing, rows: int) -> np.ndarray:
    """(frames + 2, views) int: the nearest frame of each view, with one more instant on either side; -1: none."""
    nearest = np.nan_to_num(np.round(timing.frame_positions(1)), nan=-1).astype(int)
    return np.where((nearest >= 0) & (nearest < rows), nearest, -1)


def synchronised_rows(people: np.ndarray, timing: Timing) -> np.ndarray:
    """Detections (rows, views, …) in the frames of `whole_rows`: simultaneous to half a frame, not interpolated.

    People can be distinguished in them; afterwards, `at_frames` interpolates each person's points.
    """
    rows = whole_rows(timing, len(people))
    found = people[rows, np.arange(people.shape[1])[None]]
    found[rows < 0] = np.nan
    return found


MAX_DELAY_FRAMES = 60  # largest delay tried, early or late
MIN_OVERLAP_FRAMES = 30  # least number of frames that two views share
MIN_SHARED_SHARE = 0.5  # least share of the shorter view's frames that is common: few frames fit well by chance
SYNC_FRAMES = 150  # frames of a view that are compared, of those in which people move most
MIN_MOVING_SHARE = 0.5  # share of a view's frames, those with the fastest motion, from which these are taken
COARSE_STEP_S = 0.05  # s between the shifts tried first, if there are many
MIN_COST_CONTRAST = 0.15  # least excess of the median cost over the least cost, relative to the latter
BASIN_SHARE = 0.5  # of that difference: neighbouring shifts with less additional cost belong to the best one
RIVAL_SHARE = 0.03  # of that difference: least additional cost of any other shift
MAX_DELAY_SD_FRAMES = 1.0  # frames: largest standard deviation of a delay
DELAYS_BY_HAND_HINT = (
    "Give `delays` instead: find the frame at which each view shows the same event, such as a clap, and subtract the "
    "first view's from each."
)


def find_delays(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3) -> Clocks:
    """Delay of each view, from the motion of a person: up to 60 frames early or late.

    Parameters
    ----------
    keypoints : Keypoints
        Of one person, in the cameras' order and SIMSPINE names.
    cameras : sequence of Camera
    min_confidence : float
        Detected points below it are not used.

    Returns
    -------
    Clocks

    Raises
    ------
    InputError
        Where the person moves too little.
    """
    check_refinement_input(keypoints, cameras, min_confidence)
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    coarse = whole_frames_of_people(people, cameras, keypoints.rate, min_confidence=min_confidence)
    return refined_delays(keypoints, cameras, coarse, min_confidence)


def refined_delays(
    keypoints: Keypoints, cameras: Sequence[Camera], late: np.ndarray, min_confidence: float = 0.3
) -> Clocks:
    """Delays to a fraction of a frame. late: (views,) delays in whole frames. The rest as of `find_delays`."""
    on_time = at_frames(keypoints, np.arange(keypoints.frames)[:, None] + np.asarray(late))
    refined = refine_cameras(on_time, cameras, CameraPrior(time=2.0, drift=1.0), min_confidence)
    step, drift = refined.change[:, GEOMETRY_PARAMETERS:].T
    deviation, drift_deviation = refined.deviation[:, GEOMETRY_PARAMETERS:].T
    late = late + step
    names, worst = tuple(camera.name for camera in cameras), int(np.argmax(deviation))
    if deviation[worst] > MAX_DELAY_SD_FRAMES:
        raise InputError(
            f"how late {names[worst]} is cannot be determined from this recording ({late[worst]:+.1f} ± "
            f"{NORMAL_95 * deviation[worst]:.1f} frames): the person moves too little, or is seen too rarely. "
            f"{DELAYS_BY_HAND_HINT}"
        )
    return Clocks(views=names, delays_frames=late, deviation=deviation, drift=drift, drift_deviation=drift_deviation)


def whole_frames_of_people(
    people: np.ndarray,
    cameras: Sequence[Camera],
    rate: float,
    min_confidence: float = 0.3,
    farthest: int = MAX_DELAY_FRAMES,
) -> np.ndarray:
    """(views,) int: delay of each view compared with the first, in whole frames.

    people: (frames, views, people, points, 3) x px, y px, confidence; NaN = nobody; people need not be identified.
    rate: frames/s. farthest: largest delay tried, frames. Two views show the same instant if a person in one fits a
    person in the other by the epipolar constraint; only frames in which people move are used. Raises `InputError` where
    nobody moves, or where several shifts fit equally well.
    """
    frames = len(people)
    farthest = min(farthest, frames - MIN_OVERLAP_FRAMES)
    if farthest < 0:
        raise InputError(f"{frames} frames are too few to compare clocks; at least {MIN_OVERLAP_FRAMES} are needed.")
    step = max(1, round(COARSE_STEP_S * rate)) if farthest > MAX_DELAY_FRAMES else 1
    rays = [_image_rays(camera, people[:, v], min_confidence) for v, camera in enumerate(cameras)]
    cost, shifts = _pairwise_costs(rays, cameras, farthest, step)
    late = _consistent_shifts(cost, shifts)
    _check_certain(cost, shifts, late, [camera.name for camera in cameras])
    if step > 1:
        shifted = [_rays_on_time(rays_in_view, int(delay)) for rays_in_view, delay in zip(rays, late, strict=True)]
        late = late + _consistent_shifts(*_pairwise_costs(shifted, cameras, 2 * step, 1))
    return late


def _pairwise_costs(
    rays: Sequence[np.ndarray], cameras: Sequence[Camera], farthest: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Epipolar distances (views, views, shifts) px of all pairs of views, and the shifts: delays of the second view."""
    views, moving = len(cameras), [_moving_frames(each) for each in rays]
    shifts = np.arange(-(farthest // step) * step, farthest + 1, step)
    cost = np.full((views, views, len(shifts)), np.nan)
    for a, b in combinations(range(views), 2):
        pair = (cameras[a], cameras[b]), (rays[a], rays[b]), (moving[a], moving[b])
        cost[a, b] = [_median_epipolar_distance(*pair, shift) for shift in shifts.tolist()]
        cost[b, a] = cost[a, b, ::-1]
    return cost, shifts


def _rays_on_time(rays: np.ndarray, late: int) -> np.ndarray:
    """The rays of a view with its delay removed; NaN outside the recording."""
    source = np.arange(len(rays)) + late
    inside = (source >= 0) & (source < len(rays))
    return np.where(inside[:, None, None, None], rays[source.clip(0, len(rays) - 1)], np.nan)


def _image_rays(camera: Camera, people: np.ndarray, min_confidence: float) -> np.ndarray:
    """Normalised image points (frames, people, points, 2); NaN below `min_confidence`. Unused padding is removed."""
    confident = people[..., 2] >= min_confidence
    rays = np.where(confident[..., None], undistort_pixels(camera, people[..., :2].astype(float)), np.nan)
    rays = np.take_along_axis(rays, np.argsort(~confident.any(-1), 1, kind="stable")[..., None, None], 1)
    return rays[:, : max(int(confident.any(-1).sum(1).max(initial=0)), 1)]


def _moving_frames(rays: np.ndarray) -> np.ndarray:
    """At most `SYNC_FRAMES` frames, evenly from the half in which people move fastest."""
    distance = np.linalg.norm(rays[1:, :, None] - rays[:-1, None], axis=-1)  # the nearest is taken as the same person
    with np.errstate(invalid="ignore"):
        step = np.where(np.isfinite(distance).any(-1), median_of_known(distance), np.inf).min(1)
    speed = np.r_[0.0, np.where(np.isfinite(step), step, 0.0).max(1)]
    fast = np.flatnonzero((speed > 0) & (speed >= np.quantile(speed, 1 - MIN_MOVING_SHARE)))
    return fast[evenly_spread(len(fast), SYNC_FRAMES)] if len(fast) else fast


def _median_epipolar_distance(
    cameras: tuple[Camera, Camera], rays: Sequence[np.ndarray], moving: Sequence[np.ndarray], shift: int
) -> float:
    """Median epipolar distance, px, of two views, the second `shift` frames late; NaN for too few common frames."""
    a, b = rays
    least = max(MIN_OVERLAP_FRAMES, MIN_SHARED_SHARE * min(len(a), len(b)))
    if min(len(a), len(b) - shift) - max(0, -shift) < least:
        return np.nan
    frames = np.r_[moving[0], moving[1] - shift]
    frames = frames[(frames >= 0) & (frames < len(a)) & (frames + shift >= 0) & (frames + shift < len(b))]
    first, second = a[frames][:, :, None], b[frames + shift][:, None]
    distances = median_of_known(np.abs(epipolar_distances_px(*cameras, first, second)))  # (frames, people, people)
    nearest = np.where(np.isfinite(distances), distances, np.inf).min((1, 2))
    nearest = nearest[np.isfinite(nearest)]
    return float(np.median(nearest)) if len(nearest) >= MIN_OVERLAP_FRAMES / 2 else np.nan


def _total_costs(cost: np.ndarray, shifts: np.ndarray, late: np.ndarray, view: int) -> np.ndarray:
    """Summed cost (shifts,) over all pairs of views with delays `late`, but for one view each shift in turn; infinite
    if the shift of a pair was not tried."""
    delays = np.repeat(late[None], len(shifts), 0)
    delays[:, view] = shifts
    a, b = np.triu_indices(len(late), 1)
    step = shifts[1] - shifts[0] if len(shifts) > 1 else 1
    index = (delays[:, b] - delays[:, a]) // step + len(shifts) // 2
    tried = ((index >= 0) & (index < len(shifts))).all(1)
    known = np.isfinite(cost[a, b]).any(-1)  # two views may share nothing at any shift
    values = cost[a, b, np.clip(index, 0, len(shifts) - 1)][:, known]
    return np.where(tried & known.any() & np.isfinite(values).all(1), values.sum(1), np.inf)


def _consistent_shifts(cost: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Shifts (views,) of least summed cost over all pairs, 0 for the first view: coordinate descents from several
    starts, in each of which all shifts are relative to one view."""
    views = len(cost)
    starts = []
    for reference in range(views):
        known = np.isfinite(cost[reference]).any(-1)
        start = np.array([shifts[np.nanargmin(cost[reference, v])] if known[v] else 0 for v in range(views)])
        starts.append(start - start[0])
    descents = [_descend_shifts(cost, shifts, start) for start in (*starts, np.zeros(views, int))]
    return min(descents, key=lambda descent: descent[0])[1]


def _descend_shifts(cost: np.ndarray, shifts: np.ndarray, start: np.ndarray) -> tuple[float, np.ndarray]:
    """The least summed cost, and its shifts (views,)."""
    late, least, improved = start.copy(), np.inf, True
    while improved:
        improved = False
        for view in range(1, len(cost)):
            costs = _total_costs(cost, shifts, late, view)
            if costs.min() < least - 1e-12:
                late[view], least, improved = shifts[costs.argmin()], costs.min(), True
    return least, late


def _check_certain(cost: np.ndarray, shifts: np.ndarray, late: np.ndarray, views: Sequence[str]) -> None:
    """`InputError` where most shifts of a view fit nearly as well as the best, or a distant other one does."""
    for view in range(1, len(views)):
        curve = _total_costs(cost, shifts, late, view)
        finite = curve[np.isfinite(curve)]
        if not len(finite) or np.median(finite) < (1 + MIN_COST_CONTRAST) * finite.min():
            raise InputError(
                f"how late {views[view]} is cannot be determined: the person moves too little. {DELAYS_BY_HAND_HINT}"
            )
        best, usual = finite.min(), np.median(finite)
        low = curve < best + BASIN_SHARE * (usual - best)
        index = int(np.nanargmin(curve))
        basins, _ = scipy.ndimage.label(low)
        others = np.flatnonzero(basins != basins[index])
        rival = others[np.argmin(curve[others])] if len(others) else index
        if rival != index and curve[rival] < best + RIVAL_SHARE * (usual - best):
            raise InputError(
                f"how late {views[view]} is cannot be determined: {shifts[index]:+d} and {shifts[rival]:+d} frames fit "
                f"about equally well, as with a movement that repeats itself. If one of them is right, give it. "
                f"{DELAYS_BY_HAND_HINT}"
            )
