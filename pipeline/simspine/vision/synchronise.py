"""Views that run late: found from what several cameras saw of moving people, to a fraction of a frame.

First the epipolar constraint over whole frames, pair by pair (points of the same instant lie on one plane with both
cameras), then bundle adjustment with each view's clock as an unknown (`bundle_adjustment`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import scipy

from simspine.core.arrays import evenly_spread, median_of_known, require_numbers
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import undistort_pixels
from simspine.core.types import Camera, Keypoints
from simspine.vision.bundle_adjustment import GEOMETRY_PARAMETERS, CameraPrior
from simspine.vision.camera_check import epipolar_distances_px
from simspine.vision.camera_refine import refine_cameras

# Clocks of views: which frame of each view shows an instant, and what views saw brought to common instants.


MIN_SHARED_FRAMES = 10  # frames that all views must show
WHOLE_FRAME_TOLERANCE = 1e-6  # frames: nearer to a frame than this is that frame
DRIFT_UNIT_FRAMES = 1000  # frames

ValuePerView = Sequence[float] | Mapping[str, float]


@dataclass(frozen=True)
class Clocks:
    """How late each view is compared with the first.

    Attributes
    ----------
    views : tuple of str
        Names of the cameras.
    delays_frames, deviation : (views,) array
        Frames that it is late, and their standard deviations.
    drift, drift_deviation : (views,) array
        Frames that it gets later from the first to the last frame, and their standard deviations.
    """

    views: tuple[str, ...]
    delays_frames: np.ndarray
    deviation: np.ndarray
    drift: np.ndarray
    drift_deviation: np.ndarray


@dataclass(frozen=True, eq=False)
class Timing:
    """Which frame of each view belongs to each frame of a result.

    views: names of the cameras. delays_frames: (views,) by which each shows an event later than the first view does, at
    the first view's frame 0. drift: (views,) frames that it gets later in 1000 frames. first: frame of the first view
    that is the result's first. frames: of the result. deviation: (views,) frames, of the delays; None where given.
    native: of each view the frames of its video, with fractions, where those above count instants of another rate; NaN
    where the video has a gap.
    """

    views: tuple[str, ...]
    delays_frames: np.ndarray
    drift: np.ndarray
    first: int
    frames: int
    deviation: np.ndarray | None = None
    native: tuple[np.ndarray, ...] = ()

    def frame_positions(self, margin: int = 0) -> np.ndarray:
        """(frames, views): frames of each view, with fractions. margin: more frames on either side."""
        instant = self.first + np.arange(-margin, self.frames + margin)[:, None]
        places = instant * (1 + self.drift / DRIFT_UNIT_FRAMES) + self.delays_frames
        if not self.native:
            return places
        own = [np.interp(at, np.arange(len(n)), n, np.nan, np.nan) for at, n in zip(places.T, self.native, strict=True)]
        return np.stack(own, 1)

    def nearest_frames(self, view: int) -> np.ndarray:
        """(frames,) int: the frame of the view nearest to each instant; in a gap of the video the one before it."""
        near = np.round(self.frame_positions()[:, view])
        return np.maximum.accumulate(np.nan_to_num(near).astype(int))


def per_view(values: ValuePerView, views: Sequence[str], what: str = "delays") -> np.ndarray:
    """(views,) out of a list, or of a mapping by names of views, of which those left out are 0.

    Raises `InputError` for a name that is no view's, and for a list of another length.
    """
    if isinstance(values, Mapping):
        require_known("view", values, views, what)
        return np.array([float(values.get(name, 0.0)) for name in views])
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
    """The frames that all views share. lengths: (views,) frames each view has; late (frames), drift: as in `Timing`.

    Times count from the first view's frame 0, whatever its own delay is. Raises `InputError` where fewer
    than `MIN_SHARED_FRAMES` frames are left.
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
    """(frames + 2, views) int: the nearest frame of each view, with one instant more on either side; -1: none."""
    near = np.nan_to_num(np.round(timing.frame_positions(1)), nan=-1).astype(int)
    return np.where((near >= 0) & (near < rows), near, -1)


def synchronised_rows(people: np.ndarray, timing: Timing) -> np.ndarray:
    """Detections (rows, views, …) of the frames `whole_rows` says: simultaneous to half a frame, nothing interpolated.

    So people can be distinguished in them; `between_frames` does the rest for each person.
    """
    rows = whole_rows(timing, len(people))
    found = people[rows, np.arange(people.shape[1])[None]]
    found[rows < 0] = np.nan
    return found


def between_frames(keypoints: Keypoints, timing: Timing, rows: int) -> Keypoints:
    """Points of a person as found in `synchronised_rows`, at the instants themselves. rows: as `synchronised_rows`
    was given."""
    return _interpolated_keypoints(keypoints, whole_rows(timing, rows), timing.frame_positions())


def shift_views(keypoints: Keypoints, late: Sequence[float] | np.ndarray) -> Keypoints:
    """Keypoints as if no view were late (frames): between two frames by linear interpolation; NaN outside."""
    frames = np.arange(keypoints.frames)[:, None]
    return _interpolated_keypoints(keypoints, np.repeat(frames, keypoints.views, 1), frames + np.asarray(late, float))


def at_instants(keypoints: Keypoints, timing: Timing) -> Keypoints:
    """Points of all frames of each view's video, at the instants of the result."""
    frames = np.repeat(np.arange(keypoints.frames)[:, None], keypoints.views, 1)
    return _interpolated_keypoints(keypoints, frames, timing.frame_positions())


def _interpolated_keypoints(keypoints: Keypoints, own: np.ndarray, places: np.ndarray) -> Keypoints:
    """Points at `places` (frames, views). own: (rows, views) int, the frame that each row shows in each view; -1: none.

    Linear between the frames before and after, missing where one of them is.
    """
    shape = (len(places), *keypoints.xy.shape[1:])
    xy, confidence = np.full(shape, np.nan), np.zeros(shape[:-1])
    near = np.round(places)
    places = np.where(np.abs(places - near) < WHOLE_FRAME_TOLERANCE, near, places)
    for view, at in enumerate(places.T):
        known, row = np.unique(own[:, view], return_index=True)
        known, row = known[known >= 0], row[known >= 0]
        before, after = np.searchsorted(known, at, "right") - 1, np.searchsorted(known, at, "left")  # equal if exact
        inside = (before >= 0) & (after < len(known))
        before, after = before[inside], after[inside]
        share = ((at[inside] - known[before]) / np.maximum(known[after] - known[before], 1))[:, None, None]
        early, late = row[before], row[after]
        xy[inside, view] = (1 - share) * keypoints.xy[early, view] + share * keypoints.xy[late, view]
        confidence[inside, view] = np.minimum(keypoints.confidence[early, view], keypoints.confidence[late, view])
    return keypoints.with_(xy=xy, confidence=confidence)


MAX_DELAY_FRAMES = 60  # frames looked at on either side
MIN_OVERLAP_FRAMES = 30  # frames two views must share
MIN_SHARED_SHARE = 0.5  # of the shorter view's frames: where little is shared, chance fits well
SYNC_FRAMES = 150  # frames of a view that are compared, of those in which people move most
MIN_MOVING_SHARE = 0.5  # share of a view's frames in which they do
COARSE_STEP_S = 0.05  # s between shifts tried at first, where many are
MIN_COST_CONTRAST = 0.15  # by how much the usual cost of a shift must exceed that of the best
BASIN_SHARE = 0.5  # of that difference: shifts below belong to the best
RIVAL_SHARE = 0.03  # of that difference: no other shift may be so near to the best
MAX_SYNC_ROUNDS = 10
DELAY_CONVERGED_FRAMES, DELAY_CONVERGED_SD_SHARE = 0.02, 0.1  # done when no delay moves by more than one of the two
MAX_DELAY_SD_FRAMES = 1.0  # frames: a delay with a larger standard deviation is not known
DELAYS_BY_HAND_HINT = (
    "Give `delays` instead: find the frame at which each view shows the same event, such as a clap, and subtract the "
    "first view's from each."
)


def find_delays(keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3) -> Clocks:
    """How late each view is, from how a person moves: up to 60 frames on either side.

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
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    coarse = whole_frames_of_people(people, cameras, keypoints.rate, min_confidence=min_confidence)
    return refined_delays(keypoints, cameras, coarse, min_confidence)


def refined_delays(
    keypoints: Keypoints, cameras: Sequence[Camera], late: np.ndarray, min_confidence: float = 0.3
) -> Clocks:
    """Delays to a fraction of a frame, from whole ones (views,). Else as `find_delays`."""
    prior, late = CameraPrior(time=2.0, drift=1.0), np.array(late, float)
    for _ in range(MAX_SYNC_ROUNDS):
        refined = refine_cameras(shift_views(keypoints, late), cameras, prior, min_confidence)
        more, drift = refined.change[:, GEOMETRY_PARAMETERS:].T
        deviation, drift_deviation = refined.deviation[:, GEOMETRY_PARAMETERS:].T
        late = late + more
        if (np.abs(more) < np.maximum(DELAY_CONVERGED_FRAMES, DELAY_CONVERGED_SD_SHARE * deviation)).all():
            break
    names, worst = tuple(camera.name for camera in cameras), int(np.argmax(deviation))
    if deviation[worst] > MAX_DELAY_SD_FRAMES:
        raise InputError(
            f"how late {names[worst]} is cannot be determined from this recording ({late[worst]:+.1f} ± "
            f"{deviation[worst]:.1f} frames): the person moves too little, or is seen too rarely. {DELAYS_BY_HAND_HINT}"
        )
    return Clocks(views=names, delays_frames=late, deviation=deviation, drift=drift, drift_deviation=drift_deviation)


def whole_frames_of_people(
    people: np.ndarray,
    cameras: Sequence[Camera],
    rate: float,
    min_confidence: float = 0.3,
    farthest: int = MAX_DELAY_FRAMES,
) -> np.ndarray:
    """(views,) int: whole frames each view is behind the first.

    people: (frames, views, people, points, 3) x px, y px, confidence; NaN = nobody; in any order, so that nobody needs
    to know who is who. rate: frames/s. Two views show the same instant where somebody in one and somebody in the other
    fit each other; frames in which people move count. Raises `InputError` where nobody moves, or where several shifts
    fit equally well.
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
        fine = [_rays_on_time(each, int(delay)) for each, delay in zip(rays, late, strict=True)]
        late = late + _consistent_shifts(*_pairwise_costs(fine, cameras, 2 * step, 1))
    return late


def _pairwise_costs(
    rays: Sequence[np.ndarray], cameras: Sequence[Camera], farthest: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (views, views, shifts) px of all pairs of views, the second so many frames late; and the shifts."""
    views, moving = len(cameras), [_moving_frames(each) for each in rays]
    shifts = np.arange(-(farthest // step) * step, farthest + 1, step)
    cost = np.full((views, views, len(shifts)), np.nan)
    for a, b in combinations(range(views), 2):
        pair = (cameras[a], cameras[b]), (rays[a], rays[b]), (moving[a], moving[b])
        cost[a, b] = [_median_epipolar_distance(*pair, shift) for shift in shifts.tolist()]
        cost[b, a] = cost[a, b, ::-1]
    return cost, shifts


def _rays_on_time(rays: np.ndarray, late: int) -> np.ndarray:
    """As if the view were not late; NaN where it shows nothing then."""
    source = np.arange(len(rays)) + late
    there = (source >= 0) & (source < len(rays))
    found = np.full_like(rays, np.nan)
    found[there] = rays[source[there]]
    return found


def _image_rays(camera: Camera, people: np.ndarray, min_confidence: float) -> np.ndarray:
    """(frames, people, points, 2) normalised image points; NaN where a detector was not sure. Empty places go."""
    sure = people[..., 2] >= min_confidence
    rays = np.where(sure[..., None], undistort_pixels(camera, people[..., :2].astype(float)), np.nan)
    rays = np.take_along_axis(rays, np.argsort(~sure.any(-1), 1, kind="stable")[..., None, None], 1)
    return rays[:, : max(int(sure.any(-1).sum(1).max(initial=0)), 1)]


def _moving_frames(rays: np.ndarray) -> np.ndarray:
    """Frames, at most `SYNC_FRAMES`, of the half in which somebody moves most from one to the next."""
    apart = np.linalg.norm(rays[1:, :, None] - rays[:-1, None], axis=-1)  # whoever is nearest is the same one
    with np.errstate(invalid="ignore"):
        step = np.where(np.isfinite(apart).any(-1), median_of_known(apart), np.inf).min(1)
    speed = np.r_[0.0, np.where(np.isfinite(step), step, 0.0).max(1)]
    fast = np.flatnonzero((speed > 0) & (speed >= np.quantile(speed, 1 - MIN_MOVING_SHARE)))
    return fast[evenly_spread(len(fast), SYNC_FRAMES)] if len(fast) else fast


def _median_epipolar_distance(
    cameras: tuple[Camera, Camera], rays: Sequence[np.ndarray], moving: Sequence[np.ndarray], shift: int
) -> float:
    """Median epipolar distance, px, of two views, the second so many frames late; NaN where they share too little."""
    a, b = rays
    least = max(MIN_OVERLAP_FRAMES, MIN_SHARED_SHARE * min(len(a), len(b)))
    if min(len(a), len(b) - shift) - max(0, -shift) < least:
        return np.nan
    frames = np.r_[moving[0], moving[1] - shift]
    frames = frames[(frames >= 0) & (frames < len(a)) & (frames + shift >= 0) & (frames + shift < len(b))]
    first, second = a[frames][:, :, None], b[frames + shift][:, None]
    both = median_of_known(np.abs(epipolar_distances_px(*cameras, first, second)))  # (frames, people, people)
    nearest = np.where(np.isfinite(both), both, np.inf).min((1, 2))
    nearest = nearest[np.isfinite(nearest)]
    return float(np.median(nearest)) if len(nearest) >= MIN_OVERLAP_FRAMES / 2 else np.nan


def _total_cost(cost: np.ndarray, shifts: np.ndarray, late: np.ndarray) -> float:
    """Summed cost over all pairs of views that are so late; infinite where a pair has no shift left that was tried."""
    step = shifts[1] - shifts[0] if len(shifts) > 1 else 1
    index = (late[None] - late[:, None]) // step + len(shifts) // 2
    pairs = list(combinations(range(len(late)), 2))
    if any(not 0 <= index[a, b] < len(shifts) for a, b in pairs):
        return np.inf
    values = np.array([cost[a, b, index[a, b]] for a, b in pairs])
    known = np.array([np.isfinite(cost[a, b]).any() for a, b in pairs])  # two views may share nothing at any shift
    return np.inf if not known.any() or np.isnan(values[known]).any() else float(values[known].sum())


def _consistent_shifts(cost: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Shifts (views,) of least summed cost over all pairs, the first view's 0: coordinate descent from each view."""
    views = len(cost)
    starts = []
    for reference in range(views):
        known = np.isfinite(cost[reference]).any(-1)
        start = np.array([shifts[np.nanargmin(cost[reference, v])] if known[v] else 0 for v in range(views)])
        starts.append(start - start[0])
    descents = [_descend_shifts(cost, shifts, start) for start in (*starts, np.zeros(views, int))]
    return min(descents, key=lambda late: _total_cost(cost, shifts, late))


def _descend_shifts(cost: np.ndarray, shifts: np.ndarray, start: np.ndarray) -> np.ndarray:
    best, improved = start, True
    while improved:
        improved = False
        for view in range(1, len(cost)):
            for shift in shifts:
                trial = best.copy()
                trial[view] = shift
                if _total_cost(cost, shifts, trial) < _total_cost(cost, shifts, best) - 1e-12:
                    best, improved = trial, True
    return best


def _check_certain(cost: np.ndarray, shifts: np.ndarray, late: np.ndarray, views: Sequence[str]) -> None:
    """`InputError` where most shifts of a view fit as well as the best, or another one, apart from it, does."""
    for view in range(1, len(views)):
        trials = np.repeat(late[None], len(shifts), 0)
        trials[:, view] = shifts
        curve = np.array([_total_cost(cost, shifts, trial) for trial in trials])
        finite = curve[np.isfinite(curve)]
        if not len(finite) or np.median(finite) < (1 + MIN_COST_CONTRAST) * finite.min():
            raise InputError(
                f"how late {views[view]} is cannot be determined: the person moves too little. {DELAYS_BY_HAND_HINT}"
            )
        best, usual = finite.min(), np.median(finite)
        low = curve < best + BASIN_SHARE * (usual - best)
        place = int(np.nanargmin(curve))
        basins, _ = scipy.ndimage.label(low)
        apart = np.flatnonzero(basins != basins[place])
        rival = apart[np.argmin(curve[apart])] if len(apart) else place
        if rival != place and curve[rival] < best + RIVAL_SHARE * (usual - best):
            raise InputError(
                f"how late {views[view]} is cannot be determined: {shifts[place]:+d} and {shifts[rival]:+d} frames fit "
                f"about equally well, as with a movement that repeats itself. If one of them is right, give it. "
                f"{DELAYS_BY_HAND_HINT}"
            )
