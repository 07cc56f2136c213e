"""Motion capture in the place of the triangulated points it knows better."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.filtering import fill_gaps
from simspine.geometry import in_frame
from simspine.merging.times import UNKNOWN, Shift, overlap, resample, time_shift
from simspine.merging.world import check_same_world
from simspine.skeletons import TARGET, load
from simspine.skeletons.correspondence import Pair
from simspine.types import Markers, Origin

WEIGHT, SD = 1.0, 0.006  # of a marker of motion capture where no table says otherwise; m, per axis


class MergeReport(NamedTuple):
    """shift: of the clock of the motion capture, as found. corrected: whether it was undone.

    misfit: root mean square distance of markers and points that correspond, m. replaced: points now from the motion
    capture. filled: frames of them, over all markers, that were interpolated; missing: that no position is known for.
    """

    shift: Shift
    corrected: bool
    misfit: float
    replaced: tuple[str, ...]
    filled: int
    missing: int


def merge(points: Markers, mocap: Markers | None = None, **options) -> Markers:
    """Motion-capture markers in the place of the points they correspond to; options as in `merge_with_report`."""
    return points if mocap is None else merge_with_report(points, mocap, **options)[0]


def merge_with_report(
    points: Markers,
    mocap: Markers,
    *,
    correspondence: Mapping[str, str] | Sequence[Pair] | None = None,
    max_gap_s: float = 0.2,
    max_misfit_m: float = 0.15,
    max_shift_s: float = 1.0,
    fix_shift: bool = False,
) -> tuple[Markers, MergeReport]:
    """Motion-capture markers in the place of the points they correspond to, and what was found on the way.

    correspondence: {mocap marker: point}, default: equal names; or a table (`simspine.skeletons.correspondence`), of
    which the rows count whose marker and point are there. The result is in the frame of `points`, at the times
    of `mocap` that `points` covers: points are resampled there, gaps of mocap markers up to `max_gap_s` interpolated
    and marked. A replaced point has origin GIVEN, weight 1 (triangulated points have 0…1) and covariance (6 mm)², or
    those of the table. A covariance that `mocap` brings stays, and its weights multiply those of the table. Where the
    marker is missing or has weight 0 the point is missing, since a marker and a detector's point of the same name lie
    centimetres apart.

    Clocks are compared first (`time_shift`, up to `max_shift_s`): a shift of more than half a frame is a warning, or
    is undone with `fix_shift`. Raises InputError if no marker corresponds, the times do not overlap, or the two
    disagree by more than `max_misfit_m` m (root mean square) and then says whether axes, mirror, sides, unit, origin
    or clock do. Markers of `mocap` that are missing in all frames are left out with a warning; their points stay.
    """
    mocap = mocap.without_zero_weights()
    pairs = _with_data(mocap, _pairs(points, mocap, correspondence))
    names = [pair.point for pair in pairs]
    known = in_frame(mocap, points.frame).select([pair.marker for pair in pairs])
    if known.covariance is None:
        sd = np.array([pair.sd for pair in pairs])
        known = known.with_(covariance=np.broadcast_to(sd[:, None, None] ** 2 * np.eye(3), (*known.xyz.shape, 3)))
    known = fill_gaps(known, max_gap_s)
    overlap(points, known)
    shift = time_shift(points.select(names), known, max_shift_s) if max_shift_s else UNKNOWN
    late = shift.certain(0.5 / mocap.rate)
    if late and fix_shift:
        known = known.with_(start=known.start - shift.seconds)
    first, count = overlap(points, known)
    known = resample(known, known.rate, known.time[first], count)
    points = resample(points, known.rate, known.start, count)
    clock = _clock(shift, mocap.rate) if late and not fix_shift else ""
    corresponding = points.select(names).xyz
    misfit = check_same_world(corresponding, known.xyz, known.names, max_misfit_m, _mirrored(names), clock)
    if clock:
        warnings.warn(f"{clock} Set merge.fix_shift to undo it.", stacklevel=2)
    merged = _replaced(points, known, pairs)
    filled = 0 if known.filled is None else int(known.filled.sum())
    return merged, MergeReport(shift, late and fix_shift, misfit, tuple(names), filled, int((~known.present).sum()))


def _replaced(points: Markers, known: Markers, pairs: Sequence[Pair]) -> Markers:
    """The points of the pairs from `known`, at the same times."""
    columns = points.indices(pair.point for pair in pairs)
    shape = points.xyz.shape[:2]
    xyz, weight = np.array(points.xyz), np.ones(shape) if points.weight is None else np.array(points.weight)
    filled = np.zeros(shape, bool) if points.filled is None else np.array(points.filled)
    xyz[:, columns], filled[:, columns] = known.xyz, known.filled
    own = 1.0 if known.weight is None else known.weight
    weight[:, columns] = np.where(known.present, own * np.array([pair.weight for pair in pairs]), 0.0)
    covariance = None
    if points.covariance is not None and known.covariance is not None:
        covariance = np.array(points.covariance)
        covariance[:, columns] = np.where(known.present[..., None, None], known.covariance, np.nan)
    origin = tuple(Origin.GIVEN if i in columns else origin for i, origin in enumerate(points.origins))
    return points.with_(xyz=xyz, weight=weight, covariance=covariance, origin=origin, filled=filled)


def _clock(shift: Shift, rate: float) -> str:
    late = "late" if shift.seconds > 0 else "early"
    return (
        f"The motion capture's clock runs {abs(shift.seconds):.3f} s ± {shift.deviation:.3f} s {late} "
        f"({abs(shift.seconds) * rate:.1f} frames): its movements are those of the points only after that shift."
    )


def _with_data(mocap: Markers, pairs: list[Pair]) -> list[Pair]:
    """The pairs whose marker is present in at least one frame: one without any data cannot replace a point."""
    seen = {name for name, there in zip(mocap.names, np.any(mocap.present, axis=0), strict=True) if there}
    absent = [pair.marker for pair in pairs if pair.marker not in seen]
    if len(absent) == len(pairs):
        raise InputError(
            f"all {len(absent)} markers of the motion capture that correspond to a point are missing or have weight 0 "
            f"in all {mocap.frames} frames: {', '.join(absent)}. Export the trial again, or leave the motion capture "
            "out."
        )
    if absent:
        warnings.warn(
            f"left out, missing or of weight 0 in every frame of the motion capture: {', '.join(absent)}.", stacklevel=3
        )
    return [pair for pair in pairs if pair.marker in seen]


def _pairs(points: Markers, mocap: Markers, correspondence: Mapping[str, str] | Sequence[Pair] | None) -> list[Pair]:
    """Which marker replaces which point."""
    if not isinstance(correspondence, Mapping):
        table = correspondence or [Pair(name, name, WEIGHT, SD) for name in mocap.names]
        pairs = [pair for pair in table if pair.marker in mocap.names and pair.point in points.names]
        if not pairs:
            raise InputError(
                "no motion-capture marker corresponds to a point: rename them, or say which is which in a table "
                "(`merge.correspondence`). "
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
    return [Pair(marker, point, WEIGHT, SD) for marker, point in correspondence.items()]


def _mirrored(names: list[str]) -> list[int] | None:
    """Index of each name's mirror image; None if one of them has none among the names."""
    table = load(TARGET)
    if any(name not in table.names for name in names):
        return None
    partners = [table.names[table.swaps[table.index(name)]] for name in names]
    return [names.index(partner) for partner in partners] if set(partners) == set(names) else None
