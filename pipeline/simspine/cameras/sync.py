"""Views that run late: found from what several cameras saw of moving people, to a fraction of a frame.

First the epipolar constraint over whole frames, pair by pair (points of the same instant lie on one plane with both
cameras), then bundle adjustment with each view's clock as an unknown (`cameras.bundle`).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from simspine.arrays import evenly_spread
from simspine.cameras.clocks import Clocks, shifted
from simspine.cameras.epipolar import essential, sampson
from simspine.cameras.parameters import GEOMETRY, CameraPrior
from simspine.cameras.refine import refine_cameras
from simspine.errors import InputError
from simspine.geometry import undistort
from simspine.types import Camera, Keypoints

FARTHEST = 60  # frames looked at on either side
LEAST_OVERLAP = 30  # frames two views must share
LEAST_SHARE = 0.5  # of the shorter view's frames: where little is shared, chance fits well
LOOKED_AT = 150  # frames of a view that are compared, of those in which people move most
MOVING = 0.5  # share of a view's frames in which they do
COARSE_S = 0.05  # s between shifts tried at first, where many are
CONTRAST = 0.15  # by how much the usual cost of a shift must exceed that of the best
BASIN, RIVAL = 0.5, 0.03  # shares of that difference: shifts below belong to the best; no other may be so near to it
ROUNDS, SETTLED, OF_DEVIATION = 10, 0.02, 0.1  # frames; done when no delay moves by more, or by more than this share
UNSURE = 1.0  # frames: a delay with a larger standard deviation is not known
BY_HAND = (
    "Give `delays` instead: find the frame at which each view shows the same event, such as a clap, and hand these to "
    "`simspine cameras sync --event VIEW=FRAME …`."
)


def find_delays(
    keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3, farthest: int = FARTHEST
) -> Clocks:
    """How late each view is. keypoints: of one person, in the cameras' order and SIMSPINE names.

    farthest: frames looked at on either side. Raises `InputError` where the person moves too little for a clock to be
    told, which its standard deviation says.
    """
    coarse = whole_frames(keypoints, cameras, min_confidence, farthest)
    return refined_delays(keypoints, cameras, coarse, min_confidence)


def refined_delays(
    keypoints: Keypoints, cameras: Sequence[Camera], late: np.ndarray, min_confidence: float = 0.3
) -> Clocks:
    """Delays to a fraction of a frame, from whole ones (views,). Else as `find_delays`."""
    prior = replace(CameraPrior(), time=2.0, drift=1.0)
    late, refined = np.array(late, float), None
    for _ in range(ROUNDS):
        refined = refine_cameras(shifted(keypoints, late), cameras, prior, min_confidence)
        more = refined.change[:, GEOMETRY]
        late = late + more
        if (np.abs(more) < np.maximum(SETTLED, OF_DEVIATION * refined.deviation[:, GEOMETRY])).all():
            break
    assert refined is not None
    names = tuple(camera.name for camera in cameras)
    deviation, drift = refined.deviation, refined.change[:, GEOMETRY + 1]
    worst = int(np.argmax(deviation[:, GEOMETRY]))
    if deviation[worst, GEOMETRY] > UNSURE:
        raise InputError(
            f"how late {names[worst]} is cannot be told from this recording ({late[worst]:+.1f} ± "
            f"{deviation[worst, GEOMETRY]:.1f} frames): the person moves too little, or is seen too rarely. {BY_HAND}"
        )
    return Clocks(names, late, deviation[:, GEOMETRY], drift, deviation[:, GEOMETRY + 1])


def whole_frames(
    keypoints: Keypoints, cameras: Sequence[Camera], min_confidence: float = 0.3, farthest: int = FARTHEST
) -> np.ndarray:
    """(views,) int: whole frames each view is behind the first, by epipolar distances of all pairs of views."""
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    return whole_frames_of_people(people, cameras, keypoints.rate, min_confidence, farthest)


def whole_frames_of_people(
    people: np.ndarray, cameras: Sequence[Camera], rate: float, min_confidence: float = 0.3, farthest: int = FARTHEST
) -> np.ndarray:
    """(views,) int: whole frames each view is behind the first.

    people: (frames, views, people, points, 3) x px, y px, confidence; NaN = nobody; in any order, so that nobody needs
    to know who is who. rate: frames/s. Two views show the same instant where somebody in one and somebody in the other
    fit each other; frames in which people move count. Raises `InputError` where nobody moves, or where several shifts
    fit equally well.
    """
    frames = len(people)
    farthest = min(farthest, frames - LEAST_OVERLAP)
    if farthest < 0:
        raise InputError(f"{frames} frames are too few to compare clocks; at least {LEAST_OVERLAP} are needed.")
    step = max(1, round(COARSE_S * rate)) if farthest > FARTHEST else 1
    rays = [_rays(camera, people[:, v], min_confidence) for v, camera in enumerate(cameras)]
    cost, shifts = _costs(rays, cameras, farthest, step)
    late = _consistent(cost, shifts)
    _check_certain(cost, shifts, late, [camera.name for camera in cameras])
    if step > 1:
        fine = [_moved(each, int(delay)) for each, delay in zip(rays, late, strict=True)]
        late = late + _consistent(*_costs(fine, cameras, 2 * step, 1))
    return late


def _costs(
    rays: Sequence[np.ndarray], cameras: Sequence[Camera], farthest: int, step: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distances (views, views, shifts) px of all pairs of views, the second so many frames late; and the shifts."""
    views, moving = len(cameras), [_moving_frames(each) for each in rays]
    shifts = np.arange(-(farthest // step) * step, farthest + 1, step)
    cost = np.full((views, views, len(shifts)), np.nan)
    for a, b in combinations(range(views), 2):
        matrix = essential(cameras[a], cameras[b])
        focal = np.sqrt(cameras[a].K[0, 0] * cameras[b].K[0, 0])
        pair = (rays[a], rays[b]), (moving[a], moving[b])
        cost[a, b] = [focal * _distance(matrix, *pair, shift) for shift in shifts.tolist()]
        cost[b, a] = cost[a, b, ::-1]
    return cost, shifts


def _moved(rays: np.ndarray, late: int) -> np.ndarray:
    """As if the view were not late; NaN where it shows nothing then."""
    source = np.arange(len(rays)) + late
    there = (source >= 0) & (source < len(rays))
    found = np.full_like(rays, np.nan)
    found[there] = rays[source[there]]
    return found


def _rays(camera: Camera, people: np.ndarray, min_confidence: float) -> np.ndarray:
    """(frames, people, points, 2) normalised image points; NaN where a detector was not sure. Empty places go."""
    sure = people[..., 2] >= min_confidence
    rays = np.where(sure[..., None], undistort(camera, people[..., :2].astype(float)), np.nan)
    rays = np.take_along_axis(rays, np.argsort(~sure.any(-1), 1, kind="stable")[..., None, None], 1)
    return rays[:, : max(int(sure.any(-1).sum(1).max(initial=0)), 1)]


def _moving_frames(rays: np.ndarray) -> np.ndarray:
    """Frames, at most `LOOKED_AT`, of the half in which somebody moves most from one to the next."""
    apart = np.linalg.norm(rays[1:, :, None] - rays[:-1, None], axis=-1)  # whoever is nearest is the same one
    with np.errstate(invalid="ignore"):
        step = np.where(np.isfinite(apart).any(-1), _median(apart), np.inf).min(1)
    speed = np.r_[0.0, np.where(np.isfinite(step), step, 0.0).max(1)]
    fast = np.flatnonzero((speed > 0) & (speed >= np.quantile(speed, 1 - MOVING)))
    return fast[evenly_spread(len(fast), LOOKED_AT)] if len(fast) else fast


def _distance(matrix: np.ndarray, rays: Sequence[np.ndarray], moving: Sequence[np.ndarray], shift: int) -> float:
    """Median epipolar distance of two views, the second so many frames late; NaN where they share too little."""
    a, b = rays
    least = max(LEAST_OVERLAP, LEAST_SHARE * min(len(a), len(b)))
    if min(len(a), len(b) - shift) - max(0, -shift) < least:
        return np.nan
    frames = np.r_[moving[0], moving[1] - shift]
    frames = frames[(frames >= 0) & (frames < len(a)) & (frames + shift >= 0) & (frames + shift < len(b))]
    first, second = a[frames][:, :, None], b[frames + shift][:, None]
    both = _median(np.abs(sampson(matrix, first, second)))  # (frames, people, people)
    nearest = np.where(np.isfinite(both), both, np.inf).min((1, 2))
    nearest = nearest[np.isfinite(nearest)]
    return float(np.median(nearest)) if len(nearest) >= LEAST_OVERLAP / 2 else np.nan


def _median(values: np.ndarray) -> np.ndarray:
    """Over the last axis, of what is there; NaN where nothing is."""
    ordered = np.sort(values, -1)  # NaN last
    count = np.isfinite(values).sum(-1)
    low, high = np.maximum((count - 1) // 2, 0), np.minimum(count // 2, values.shape[-1] - 1)
    pick = (np.take_along_axis(ordered, k[..., None], -1)[..., 0] for k in (low, high))
    return np.where(count > 0, sum(pick) / 2, np.nan)


def _total(cost: np.ndarray, shifts: np.ndarray, late: np.ndarray) -> float:
    """Summed cost over all pairs of views that are so late; infinite where a pair has no shift left that was tried."""
    step = shifts[1] - shifts[0] if len(shifts) > 1 else 1
    index = (late[None] - late[:, None]) // step + len(shifts) // 2
    pairs = list(combinations(range(len(late)), 2))
    if any(not 0 <= index[a, b] < len(shifts) for a, b in pairs):
        return np.inf
    values = np.array([cost[a, b, index[a, b]] for a, b in pairs])
    known = np.array([np.isfinite(cost[a, b]).any() for a, b in pairs])  # two views may share nothing at any shift
    return np.inf if not known.any() or np.isnan(values[known]).any() else float(values[known].sum())


def _consistent(cost: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Shifts (views,) of least summed cost over all pairs, the first view's 0: coordinate descent from each view."""
    views = len(cost)
    starts = []
    for reference in range(views):
        known = np.isfinite(cost[reference]).any(-1)
        start = np.array([shifts[np.nanargmin(cost[reference, v])] if known[v] else 0 for v in range(views)])
        starts.append(start - start[0])
    descents = [_descent(cost, shifts, start) for start in (*starts, np.zeros(views, int))]
    return min(descents, key=lambda late: _total(cost, shifts, late))


def _descent(cost: np.ndarray, shifts: np.ndarray, start: np.ndarray) -> np.ndarray:
    best, improved = start, True
    while improved:
        improved = False
        for view in range(1, len(cost)):
            for shift in shifts:
                trial = best.copy()
                trial[view] = shift
                if _total(cost, shifts, trial) < _total(cost, shifts, best) - 1e-12:
                    best, improved = trial, True
    return best


def _check_certain(cost: np.ndarray, shifts: np.ndarray, late: np.ndarray, views: Sequence[str]) -> None:
    """`InputError` where most shifts of a view fit as well as the best, or another one, apart from it, does."""
    for view in range(1, len(views)):
        trials = np.repeat(late[None], len(shifts), 0)
        trials[:, view] = shifts
        curve = np.array([_total(cost, shifts, trial) for trial in trials])
        finite = curve[np.isfinite(curve)]
        if not len(finite) or np.median(finite) < (1 + CONTRAST) * finite.min():
            raise InputError(f"how late {views[view]} is cannot be told: the person moves too little. {BY_HAND}")
        best, usual = finite.min(), np.median(finite)
        low = curve < best + BASIN * (usual - best)
        place = int(np.nanargmin(curve))
        left, right = place, place
        while left > 0 and low[left - 1]:
            left -= 1
        while right < len(low) - 1 and low[right + 1]:
            right += 1
        apart = np.r_[0:left, right + 1 : len(low)]
        rival = apart[np.argmin(curve[apart])] if len(apart) else place
        if rival != place and curve[rival] < best + RIVAL * (usual - best):
            raise InputError(
                f"how late {views[view]} is cannot be told: {shifts[place]:+d} and {shifts[rival]:+d} frames fit about "
                f"equally well, as with a movement that repeats itself. If one of them is right, give it. {BY_HAND}"
            )
