"""Motion-capture markers in place of the triangulated points to which they correspond."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simspine.core.arrays import NORMAL_95, autocorrelation_time, mean_of_known
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import fill_short_gaps, lowpass
from simspine.core.geometry import markers_in_frame, rigid_fit, rotation_angle
from simspine.core.skeletons import PointCorrespondence
from simspine.core.types import MAX_FRAME_RATE_HZ, MIN_FRAME_RATE_HZ, Markers, Origin
from simspine.io.trc import without_subject_name
from simspine.vision.side_swaps import mirror_indices

SPEED_CUTOFF_HZ = 4.0  # of speeds compared: everyday movement is slower, most of a detector's jitter faster


def resample_markers(markers: Markers, rate: float, start: float, frames: int) -> Markers:
    """The markers at times start + k / rate, linear between two frames; NaN where either is missing or outside.

    A time within a thousandth of a frame of a given frame takes that frame's values unchanged. Nothing is smoothed:
    filter first when going to a lower rate.
    """
    position = (start + np.arange(frames) / rate - markers.start) * markers.rate
    nearest = np.round(position)
    position = np.where(np.abs(position - nearest) < 1e-3, nearest, position)
    inside = (position >= 0) & (position <= markers.frames - 1)
    early = np.clip(np.floor(position), 0, markers.frames - 1).astype(int)
    late = np.clip(np.ceil(position), 0, markers.frames - 1).astype(int)
    share = np.where(inside, position - early, 0.0)

    def interpolated(values, missing):
        extra = (1,) * (values.ndim - 1)
        s = share.reshape(-1, *extra)
        mixed = np.where(s == 0, values[early], (1 - s) * values[early] + s * values[late])
        return np.where(inside.reshape(-1, *extra), mixed, missing)

    return markers.with_(
        rate=rate,
        start=start,
        xyz=interpolated(markers.xyz, np.nan),
        weight=None if markers.weight is None else interpolated(markers.weight, 0.0),
        covariance=None if markers.covariance is None else interpolated(markers.covariance, np.nan),
        filled=None if markers.filled is None else inside[:, None] & (markers.filled[early] | markers.filled[late]),
    )


def shared_frames(points: Markers, mocap: Markers, max_gap_s: float) -> tuple[int, int]:
    """First frame and number of frames of `mocap` that lie within the times of `points`.

    Where it lacks more than `max_gap_s` of their beginning or end, that is a warning.
    """
    for each in (points, mocap):
        if not each.frames or not MIN_FRAME_RATE_HZ <= each.rate <= MAX_FRAME_RATE_HZ:
            raise InputError(f"nothing to merge: {each.frames} frames at {each.rate:g} frames/s.")
    slack = 1e-3 / points.rate
    inside = np.flatnonzero((mocap.time >= points.time[0] - slack) & (mocap.time <= points.time[-1] + slack))
    spans = (f"({one.time[0]:.3f}…{one.time[-1]:.3f} s)" for one in (mocap, points))
    text = "motion capture {} and points {}".format(*spans)
    if not len(inside):
        raise InputError(f"{text} share no time. Set the start times (`mocap_start`) so that they do.")
    lost = np.abs(mocap.time[inside[[0, -1]]] - points.time[[0, -1]]) - 1 / points.rate
    if lost.max() > max_gap_s:
        warnings.warn(f"{text} share a part of the recording; the rest of it is left out.", stacklevel=4)
    return int(inside[0]), len(inside)


class TimeShift(NamedTuple):
    """Delay of the clock of `mocap`.

    seconds: the same movement happens at t in `points` and at t + seconds in `mocap`; NaN if unknown.
    deviation: its standard deviation, s. correlation: of the speeds after the shift.
    """

    seconds: float
    deviation: float
    correlation: float

    def is_certain(self, least: float) -> bool:
        """Whether the shift exceeds `least` s, and three standard deviations, with speeds that are correlated."""
        significant = self.correlation > 0.5 and abs(self.seconds) > 3 * self.deviation
        return bool(significant and abs(self.seconds) > least)


UNKNOWN_SHIFT = TimeShift(math.nan, math.nan, math.nan)


def time_shift(points: Markers, mocap: Markers, max_shift_s: float = 1.0) -> TimeShift:
    """The time shift at which the speeds of the markers (both sets in the same order) agree best.

    Cross-correlation of the speeds, all markers together, after a low-pass of 4 Hz. Speeds do not depend on origin and
    axes, so that clocks are compared before positions. Between frames: least squares by the slopes of the speeds. Each
    frame's evidence, summed over markers because they share errors, counts by its autocorrelation time (Newey & West
    1987, Econometrica 55). The shift is unknown without movement, with one that repeats itself, or if the largest shift
    tried agrees best.
    """
    rate = mocap.rate
    start = min(points.start, mocap.start)
    frames = 1 + math.ceil((max(points.time[-1], mocap.time[-1]) - start) * rate - 1e-6)
    offset = (mocap.start - start) * rate  # the grid keeps the frames of `mocap` and interpolates the points
    start += (offset - math.floor(offset)) / rate
    a = _centred_speeds(resample_markers(points, rate, start, frames))
    b = _centred_speeds(resample_markers(mocap, rate, start, frames))
    lags = min(round(max_shift_s * rate), frames // 3)
    padded = np.pad(b, ((lags, lags), (0, 0)), constant_values=np.nan)
    moved = [padded[first : first + frames] for first in range(2 * lags + 1)]  # b(t + lag) for each lag
    curve = np.array([_correlation(a, one) for one in moved])
    best, peaks = int(np.argmax(curve)), 1 + np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] >= curve[2:]))
    rivals = (moved[peak] for peak in peaks if peak != best)
    if lags < 2 or best not in peaks or not all(_excludes(a, moved[best], rival) for rival in rivals):
        return UNKNOWN_SHIFT
    fraction, deviation, correlation = _shift_below_a_frame(a, moved[best])
    return TimeShift((best - lags + fraction) / rate, deviation / rate, correlation)


def _shift_below_a_frame(a: np.ndarray, b: np.ndarray) -> tuple[float, float, float]:
    """Shift of b (frames, at most about one), its standard deviation, and the correlation after it."""
    slopes = [np.gradient(speeds, axis=0) for speeds in (a, b)]
    of_a, of_b = (one - np.gradient(np.gradient(one, axis=0), axis=0) / 6 for one in slopes)  # errors of fourth order
    known = np.isfinite(of_a + of_b)
    a, b, of_a, of_b = (np.where(known, values, 0.0) for values in (a, b, of_a, of_b))
    curvature = (of_a * of_b).sum(1)
    evidence = (of_b * (a - _gain(a, b) * b)).sum(1)
    fraction = evidence.sum() / curvature.sum()
    deviation = _deviation_of_sum(evidence - fraction * curvature) / abs(curvature.sum())
    return fraction, deviation, _correlation(a, b + fraction * of_b)


def _excludes(a: np.ndarray, b: np.ndarray, other: np.ndarray) -> bool:
    """Whether a resembles b rather than `other` by three standard deviations; not so if a movement repeats itself."""
    a, b, other = np.where(np.isfinite(a + b + other), [a, b, other], 0.0)
    gain = _gain(a, b)
    apart = gain * (b - other)
    return bool((apart**2).sum() / 2 > 3 * _deviation_of_sum((apart * (a - gain * b)).sum(1)))


def _gain(a: np.ndarray, b: np.ndarray) -> float:
    return (a * b).sum() / (b * b).sum()


def _deviation_of_sum(evidence: np.ndarray) -> float:
    return math.sqrt((evidence**2).sum() * autocorrelation_time(evidence))


def _centred_speeds(markers: Markers) -> np.ndarray:
    """Speeds (frames, markers) m/s less each marker's mean; NaN next to gaps."""
    filtered = lowpass(markers, cutoff_hz=min(SPEED_CUTOFF_HZ, 0.4 * markers.rate))
    speed = np.linalg.norm(np.gradient(filtered.xyz, 1 / markers.rate, axis=0), axis=-1)
    return speed - mean_of_known(speed, 0)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of centred values; 0 where nothing moves."""
    both = np.isfinite(a) & np.isfinite(b)
    size = math.sqrt((a[both] ** 2).sum() * (b[both] ** 2).sum())
    return float((a[both] * b[both]).sum()) / size if size else 0.0


OTHER_MOTION_M = 0.05  # more than detectors' errors vary over a trial
CLEARLY_BETTER_SHARE = 0.5  # another arrangement is right if the misfit falls below this share

# {actual frame of the motion capture: its axes that are x, y, z of the points}, if it was taken for the other frame.
_UP_INSTEAD = {"z_up": [1, 2, 0], "y_up": [2, 0, 1]}
_MIRRORED_AXES = ([-1, 1, 1], [1, -1, 1])


def check_same_world(
    points: np.ndarray, mocap: np.ndarray, names: Sequence[str], max_misfit: float, swaps: np.ndarray, hint: str = ""
) -> float:
    """Root mean square distance (m) of two sets (frames, markers, 3); `InputError` with a diagnosis above `max_misfit`.

    swaps: index of each marker's mirror image, or its own. Exchanged sides or a mirrored axis are an error also below
    `max_misfit`, if undoing them leaves less than half the distance. hint: added to the message.
    """
    misfit = _rms_distance(points, mocap)
    if not np.isfinite(misfit):  # they share no point in any frame
        return float("nan")
    others = [mocap[:, swaps], *(mocap * signs for signs in _MIRRORED_AXES)]
    better = any(_rms_distance(points, other) < CLEARLY_BETTER_SHARE * misfit for other in others)
    if misfit <= max_misfit and not better:
        return misfit
    fault = _diagnosis_text(points, mocap, names, limit=min(max_misfit, CLEARLY_BETTER_SHARE * misfit), swaps=swaps)
    raise InputError(
        f"motion capture and triangulated points lie {misfit:.3g} m apart (root mean square; limit {max_misfit:g} m): "
        f"{fault} {hint}".rstrip()
    )


def _warn_of_other_motion(points: np.ndarray, mocap: np.ndarray) -> None:
    """Warn where the motion capture explains less than half the variance of the points' movements."""
    shared = np.isfinite(points + mocap)
    seen, moved = (xyz - mean_of_known(np.where(shared, xyz, np.nan), 0) for xyz in (points, mocap))
    apart, movement = _rms_distance(seen, moved), _rms_distance(seen, 0.0 * moved)
    if np.isfinite(apart) and apart > max(OTHER_MOTION_M, movement * 0.5**0.5):
        found = f"points move by {movement:.3g} m about their means, {apart:.3g} m apart from the motion capture"
        warnings.warn(f"{found}: other movements. Are its frame rate, clock and trial right?", stacklevel=3)


def _rms_distance(points: np.ndarray, mocap: np.ndarray) -> float:
    """Root mean square distance over the points that both have, m; infinite if there are none."""
    both = np.isfinite(points).all(-1) & np.isfinite(mocap).all(-1)
    return _rms_of_vectors((mocap - points)[both]) if both.any() else np.inf


def _diagnosis_text(points: np.ndarray, mocap: np.ndarray, names: Sequence[str], limit: float, swaps) -> str:
    """The fault of the motion capture in words: the change that would bring it onto the points."""
    both = np.isfinite(points).all(-1) & np.isfinite(mocap).all(-1)
    a, b = mocap[both], points[both]
    size = _rms_of_vectors(a - a.mean(0)) / max(_rms_of_vectors(b - b.mean(0)), 1e-12)
    if not 0.5 < size < 2:
        return f"the motion capture is {size:.3g} times as large. Is it in another unit? Metres are wanted."
    if _rms_distance(points, mocap[:, swaps]) <= min(
        limit, *(_rms_of_vectors(a * signs - b) for signs in _MIRRORED_AXES)
    ):
        return "left and right are exchanged. Correct the names of the markers."
    for frame, order in _UP_INSTEAD.items():
        if _rms_of_vectors(a[:, order] - b) <= limit:
            return f"it is {frame}: say so (`mocap_frame: {frame}` in a configuration)."
    for mirror in (1, -1):
        R, t = rigid_fit(a * [mirror, 1, 1], b) if len(a) >= 3 else (np.eye(3), (b - a).mean(0))
        if _rms_of_vectors(a * [mirror, 1, 1] @ R.T + t - b) <= limit:
            if mirror < 0:
                return "it is mirrored (left and right, or a left-handed frame)."
            angle = np.degrees(rotation_angle(R))
            return (
                f"a rotation of {angle:.1f}° and a shift of ({t[0]:.3f}, {t[1]:.3f}, {t[2]:.3f}) m would join them. "
                "Calibrate cameras and motion capture in one frame."
            )
    distance = np.sqrt(((mocap - points) ** 2).sum(-1))
    worst = int(np.nanargmax(np.where(np.isfinite(distance).any(0), np.nanmean(distance, 0), -1)))
    return (
        f"no rotation, mirror or shift joins them. The worst marker is {names[worst]!r}. "
        "Check the correspondence of names and the start times."
    )


def _rms_of_vectors(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors**2).sum(-1).mean()))


class MergeReport(NamedTuple):
    """Time shift and fit of a merge. shift: of the clock of the motion capture.

    misfit: root mean square distance of corresponding markers and points, m. replaced_points: names of points from the
    motion capture. filled_points, missing_points: number of their positions, over frames and points, that were
    interpolated or are unknown.
    """

    shift: TimeShift
    misfit: float
    replaced_points: tuple[str, ...]
    filled_points: int
    missing_points: int


def merge(points: Markers, mocap: Markers | None = None, **options) -> Markers:
    """Motion-capture markers in place of the points to which they correspond.

    A replaced point has origin GIVEN, weight 1 and covariance (6 mm)², or those of the table. A covariance of `mocap`
    is kept, and its weights multiply those of the table. Where the marker is missing or has weight 0 the point is
    missing, because a marker and a detector's point of the same name are centimetres apart.
    `simspine.vision.merge_mocap.merge_with_report` also returns time shift, misfit and numbers of points.

    Parameters
    ----------
    points : Markers
    mocap : Markers, optional
        Without it the points are returned unchanged.
    **options
        correspondence: {mocap marker: point}, equal names by default; or a table (`simspine.core.skeletons`). max_gap_s
        (0.2): longest gap of a marker that is interpolated and marked. max_misfit_m (0.15): largest root mean square
        distance of both. max_shift_s (1): largest time shift tried; a certain shift of over half a frame is a warning.

    Returns
    -------
    Markers
        m, in the frame of `points`, at those times of `mocap` that `points` covers.

    Raises
    ------
    InputError
        Where no marker corresponds, the times do not overlap, or the two disagree by more than `max_misfit_m`. The
        message names the cause: axes, mirror, sides, unit, origin or clock.
    """
    return points if mocap is None else merge_with_report(points, mocap, **options)[0]


def merge_with_report(
    points: Markers,
    mocap: Markers,
    *,
    correspondence: Mapping[str, str] | Sequence[PointCorrespondence] | None = None,
    max_gap_s: float = 0.2,
    max_misfit_m: float = 0.15,
    max_shift_s: float = 1.0,
) -> tuple[Markers, MergeReport]:
    """`merge`, and a report on it; options as of `merge`."""
    given = [pair if isinstance(pair, str) else pair.marker for pair in correspondence or ()]
    mocap = without_subject_name(mocap, "the motion capture", given).without_zero_weights()
    pairs = _with_data(mocap, _marker_pairs(points, mocap, correspondence))
    names = [pair.point for pair in pairs]
    known = markers_in_frame(mocap, points.frame).select([pair.marker for pair in pairs])
    if known.covariance is None:
        sd = np.array([pair.sd for pair in pairs])
        known = known.with_(covariance=np.broadcast_to(sd[:, None, None] ** 2 * np.eye(3), (*known.xyz.shape, 3)))
    known = fill_short_gaps(known, max_gap_s)
    first, count = shared_frames(points, known, max_gap_s)
    shift = time_shift(points.select(names), known, max_shift_s) if max_shift_s else UNKNOWN_SHIFT
    late = shift.is_certain(0.5 / min(points.rate, mocap.rate))  # soft tissue, too, lags by some ms
    known = resample_markers(known, known.rate, known.time[first], count)
    points = resample_markers(points, known.rate, known.start, count)
    clock = _clock_text(shift, mocap) if late else ""
    corresponding = points.select(names).xyz
    misfit = check_same_world(
        corresponding, known.xyz, known.names, max_misfit=max_misfit_m, swaps=mirror_indices(names), hint=clock
    )
    if clock:
        warnings.warn(clock, stacklevel=2)
    _warn_of_other_motion(corresponding, known.xyz)
    return _replaced_points(points, known, pairs), MergeReport(
        shift=shift,
        misfit=misfit,
        replaced_points=tuple(names),
        filled_points=0 if known.filled is None else int(known.filled.sum()),
        missing_points=int((~known.present).sum()),
    )


def _replaced_points(points: Markers, known: Markers, pairs: Sequence[PointCorrespondence]) -> Markers:
    """The points of the pairs from `known`, at the same times."""
    columns = points.indices(pair.point for pair in pairs)
    shape = points.xyz.shape[:2]
    xyz, weight = np.array(points.xyz), np.ones(shape) if points.weight is None else np.array(points.weight)
    filled = np.zeros(shape, bool) if points.filled is None else np.array(points.filled)
    xyz[:, columns], filled[:, columns] = known.xyz, known.filled
    marker_weight = 1.0 if known.weight is None else known.weight
    weight[:, columns] = np.where(known.present, marker_weight * np.array([pair.weight for pair in pairs]), 0.0)
    covariance = None
    if points.covariance is not None and known.covariance is not None:
        covariance = np.array(points.covariance)
        covariance[:, columns] = np.where(known.present[..., None, None], known.covariance, np.nan)
    origin = tuple(Origin.GIVEN if i in columns else origin for i, origin in enumerate(points.origins))
    return points.with_(xyz=xyz, weight=weight, covariance=covariance, origin=origin, filled=filled)


def _clock_text(shift: TimeShift, mocap: Markers) -> str:
    late = "late" if shift.seconds > 0 else "early"
    return (
        f"The motion capture's clock runs {abs(shift.seconds):.3f} s ± {NORMAL_95 * shift.deviation:.3f} s {late} "
        f"({abs(shift.seconds) * mocap.rate:.1f} frames): its movements are those of the points only after that shift. "
        f"`mocap_start: {mocap.start - shift.seconds:.3f}` undoes it."
    )


def _with_data(mocap: Markers, pairs: list[PointCorrespondence]) -> list[PointCorrespondence]:
    """The pairs whose marker is present in at least one frame: others cannot replace a point."""
    seen = {name for name, present in zip(mocap.names, np.any(mocap.present, axis=0), strict=True) if present}
    absent = [pair.marker for pair in pairs if pair.marker not in seen]
    if len(absent) == len(pairs):
        text = f"all {len(absent)} markers of the motion capture that are points are missing or have weight 0"
        raise InputError(f"{text} in all {mocap.frames} frames: {', '.join(absent)}. Export the trial again.")
    if absent:
        warnings.warn(
            f"left out, missing or of weight 0 in every frame of the motion capture: {', '.join(absent)}.", stacklevel=3
        )
    return [pair for pair in pairs if pair.marker in seen]


def _marker_pairs(
    points: Markers, mocap: Markers, correspondence: Mapping[str, str] | Sequence[PointCorrespondence] | None
) -> list[PointCorrespondence]:
    if not isinstance(correspondence, Mapping):
        table = correspondence or [PointCorrespondence(name, name) for name in mocap.names]
        pairs = [pair for pair in table if pair.marker in mocap.names and pair.point in points.names]
        if not pairs:
            text = "no motion-capture marker corresponds to a point: rename them, or set `merge.correspondence`"
            raise InputError(f"{text}. Markers: {', '.join(mocap.names)}. Points: {', '.join(points.names)}.")
        return pairs
    for marker, point in correspondence.items():
        require_known("marker", (marker,), mocap.names, "the motion capture")
        require_known("point", (point,), points.names, "the triangulated points")
    twice = sorted({p for p in correspondence.values() if list(correspondence.values()).count(p) > 1})
    if twice or not correspondence:
        raise InputError(f"the correspondence must name each point once; found {', '.join(twice) or 'none at all'}.")
    return [PointCorrespondence(marker, point) for marker, point in correspondence.items()]
