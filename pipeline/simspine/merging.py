"""Triangulated points and motion capture → the one marker set that inverse kinematics fits."""

import warnings
from collections.abc import Mapping
from itertools import permutations, product

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.filtering import fill_gaps
from simspine.geometry import frame_rotation, rigid_fit
from simspine.types import Markers, Origin

SUFFIX = "_inferred"


def label_inferred(markers: Markers) -> Markers:
    """Markers of origin INFERRED get `_inferred` in their name, so that a format without room for origins shows it."""
    origin = markers.origin or (Origin.DETECTED,) * len(markers.names)
    names = [base_name(n) + SUFFIX if o is Origin.INFERRED else n for n, o in zip(markers.names, origin, strict=True)]
    return markers.with_(names=tuple(names))


def base_name(name: str) -> str:
    """The point's name without the mark of an inferred one."""
    return name.removesuffix(SUFFIX)


def in_frame(markers: Markers, frame: str) -> Markers:
    """The markers, covariances included, expressed in another named frame ('z_up', 'y_up')."""
    R = frame_rotation(markers.frame, frame)
    covariance = None if markers.covariance is None else R @ markers.covariance @ R.T
    return markers.with_(xyz=markers.xyz @ R.T, covariance=covariance, frame=frame)


def resample(markers: Markers, rate: float, start: float, frames: int) -> Markers:
    """The markers at times start + k / rate, linear between two frames, NaN where one of the two is missing or outside.

    A time within a thousandth of a frame of a given frame takes that frame's values unchanged. Nothing is smoothed:
    filter first when going to a lower rate.
    """
    place = (start + np.arange(frames) / rate - markers.start) * markers.rate
    near = np.round(place)
    place = np.where(np.abs(place - near) < 1e-3, near, place)
    inside = (place >= 0) & (place <= markers.frames - 1)
    early = np.clip(np.floor(place), 0, markers.frames - 1).astype(int)
    late = np.clip(np.ceil(place), 0, markers.frames - 1).astype(int)
    share = np.where(inside, place - early, 0.0)

    def between(values, missing):
        extra = (1,) * (values.ndim - 1)
        s = share.reshape(-1, *extra)
        mixed = np.where(s == 0, values[early], (1 - s) * values[early] + s * values[late])
        return np.where(inside.reshape(-1, *extra), mixed, missing)

    return markers.with_(
        rate=rate,
        start=start,
        xyz=between(markers.xyz, np.nan),
        weight=None if markers.weight is None else between(markers.weight, 0.0),
        covariance=None if markers.covariance is None else between(markers.covariance, np.nan),
        filled=None if markers.filled is None else inside[:, None] & (markers.filled[early] | markers.filled[late]),
    )


def merge(
    points: Markers,
    mocap: Markers | None = None,
    *,
    correspondence: Mapping[str, str] | None = None,
    mocap_weight: float = 2.0,
    mocap_sd: float = 0.006,
    max_gap_s: float = 0.2,
    max_misfit: float = 0.15,
) -> Markers:
    """Motion-capture markers in the place of the points they correspond to; without motion capture, the points.

    correspondence: {mocap marker: point}; default: equal names. The result is in the frame of `points`, at the times
    of `mocap` that `points` covers: points are resampled there, gaps of mocap markers up to `max_gap_s` interpolated
    and marked. A replaced point has origin GIVEN and weight `mocap_weight` (triangulated points have 0…1), covariance
    `mocap_sd`² m² where mocap brings none; where the marker is missing it is missing, since a marker and a detector's
    point of the same name lie centimetres apart. Raises InputError if no marker corresponds, the times do not overlap,
    or the two disagree by more than `max_misfit` m (root mean square) and then says whether axes, mirror, unit or
    origin do. Markers of `mocap` without data in any frame are left out with a warning.
    """
    if mocap is None:
        return points
    pairs = _with_data(mocap, _pairs(points, mocap, correspondence))
    mocap = in_frame(mocap, points.frame).select(list(pairs))
    if mocap.covariance is None:
        mocap = mocap.with_(covariance=np.tile(mocap_sd**2 * np.eye(3), (*mocap.xyz.shape[:2], 1, 1)))
    mocap = fill_gaps(mocap, max_gap_s)
    first, count = _overlap(points, mocap)
    mocap = resample(mocap, mocap.rate, mocap.time[first], count)
    points = resample(points, mocap.rate, mocap.start, count)
    columns = points.indices(pairs.values())
    check_same_world(points.xyz[:, columns], mocap.xyz, mocap.names, max_misfit)

    shape = points.xyz.shape[:2]
    xyz, weight = np.array(points.xyz), np.ones(shape) if points.weight is None else np.array(points.weight)
    origin = list(points.origin or (Origin.DETECTED,) * len(points.names))
    filled = np.zeros(shape, bool) if points.filled is None else np.array(points.filled)
    xyz[:, columns], filled[:, columns] = mocap.xyz, mocap.filled
    weight[:, columns] = np.where(mocap.present, mocap_weight, 0.0)
    covariance = None if points.covariance is None else np.array(points.covariance)
    if covariance is not None:
        covariance[:, columns] = np.where(mocap.present[..., None, None], mocap.covariance, np.nan)
    for column in columns:
        origin[column] = Origin.GIVEN
    return points.with_(xyz=xyz, weight=weight, covariance=covariance, origin=tuple(origin), filled=filled)


def _with_data(mocap: Markers, pairs: dict[str, str]) -> dict[str, str]:
    """The pairs whose marker is present in at least one frame: one without any data cannot replace a point."""
    seen = dict(zip(mocap.names, mocap.present.any(0), strict=True))
    absent = [name for name in pairs if not seen[name]]
    if len(absent) == len(pairs):
        raise InputError(
            f"all {len(absent)} markers of the motion capture that correspond to a point are missing in all "
            f"{mocap.frames} frames: {', '.join(absent)}. Export the trial again, or leave the motion capture out."
        )
    if absent:
        warnings.warn(f"left out, without data in any frame of the motion capture: {', '.join(absent)}.", stacklevel=3)
    return {marker: point for marker, point in pairs.items() if seen[marker]}


def _pairs(points: Markers, mocap: Markers, correspondence: Mapping[str, str] | None) -> dict[str, str]:
    if correspondence is None:
        pairs = {name: name for name in mocap.names if name in points.names}
        if not pairs:
            raise InputError(
                "no motion-capture marker has the name of a point. Give a correspondence {marker: point}. "
                f"Markers: {', '.join(mocap.names)}. Points: {', '.join(points.names)}."
            )
        return pairs
    for marker, point in correspondence.items():
        if marker not in mocap.names:
            raise unknown_name("marker", marker, mocap.names, "the motion capture")
        if point not in points.names:
            raise unknown_name("point", point, points.names, "the triangulated points")
    twice = sorted({p for p in correspondence.values() if list(correspondence.values()).count(p) > 1})
    if twice or not correspondence:
        raise InputError(f"the correspondence must name each point once; found {', '.join(twice) or 'none at all'}.")
    return dict(correspondence)


def _overlap(points: Markers, mocap: Markers) -> tuple[int, int]:
    """First frame and number of frames of `mocap` that lie within the times of `points`."""
    slack = 1e-3 / points.rate
    inside = np.flatnonzero((mocap.time >= points.time[0] - slack) & (mocap.time <= points.time[-1] + slack))
    if not len(inside):
        raise InputError(
            f"motion capture ({mocap.time[0]:.3f}…{mocap.time[-1]:.3f} s) and points ({points.time[0]:.3f}…"
            f"{points.time[-1]:.3f} s) share no time. Set the start times so that the same moment has the same time."
        )
    return int(inside[0]), len(inside)


def check_same_world(points: np.ndarray, mocap: np.ndarray, names, max_misfit: float) -> float:
    """Root mean square distance (m) of two sets (frames, markers, 3); InputError with a diagnosis beyond the limit."""
    both = np.isfinite(points).all(-1) & np.isfinite(mocap).all(-1)
    if not both.any():
        return float("nan")
    a, b = mocap[both], points[both]
    misfit = _rms(a - b)
    if misfit <= max_misfit:
        return misfit
    raise InputError(
        f"motion capture and triangulated points lie {misfit:.3g} m apart (root mean square; limit {max_misfit:g} m): "
        + _diagnosis(a, b, np.sqrt(((mocap - points) ** 2).sum(-1)), names, max_misfit)
    )


def _diagnosis(a: np.ndarray, b: np.ndarray, distance: np.ndarray, names, limit: float) -> str:
    """What would bring a (n, 3) onto b (n, 3), in words."""
    size = _rms(a - a.mean(0)) / max(_rms(b - b.mean(0)), 1e-12)
    if not 0.5 < size < 2:
        return f"the motion capture is {size:.3g} times as large. Is it in another unit? Metres are wanted."
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        if _rms(a[:, order] * signs - b) <= limit:
            axes = ", ".join(("" if s > 0 else "−") + "xyz"[o] for o, s in zip(order, signs, strict=True))
            kind = "mirrored" if np.linalg.det(np.eye(3)[list(order)] * np.array(signs)[:, None]) < 0 else "turned"
            return f"its axes are {kind}; ({axes}) of the motion capture is (x, y, z) of the points. Set its frame."
    for mirror in (1, -1):
        R, t = rigid_fit(a * [mirror, 1, 1], b) if len(a) >= 3 else (np.eye(3), (b - a).mean(0))
        if _rms(a * [mirror, 1, 1] @ R.T + t - b) <= limit:
            angle = np.degrees(np.arccos(np.clip((np.trace(R) - 1) / 2, -1, 1)))
            if mirror < 0:
                return "it is mirrored (left and right, or a left-handed frame)."
            return (
                f"a rotation of {angle:.1f}° and a shift of ({t[0]:.3f}, {t[1]:.3f}, {t[2]:.3f}) m would join them. "
                "Calibrate cameras and motion capture in one frame."
            )
    worst = int(np.nanargmax(np.where(np.isfinite(distance).any(0), np.nanmean(distance, 0), -1)))
    return (
        f"no rotation, mirror or shift joins them. The worst marker is {names[worst]!r}. "
        "Check the correspondence of names and the start times."
    )


def _rms(vectors: np.ndarray) -> float:
    return float(np.sqrt((vectors**2).sum(-1).mean()))
