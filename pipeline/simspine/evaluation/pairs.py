"""Predictions (points or angles) matched with the truth, errors of points, and rows common to tables of distances."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.core.arrays import columns_by_name, mean_of_known
from simspine.core.errors import InputError, index_of_name, names_text, require_known
from simspine.core.geometry import change_frame, kabsch, rms_radius, rotation_angle, unit_of_ratio
from simspine.core.types import MAX_RATE_DIFFERENCE_SHARE, WORLD_FRAMES
from simspine.evaluation import metrics
from simspine.evaluation.point_sources import PointSequence
from simspine.evaluation.tables import ROOT_POINT, TableCell, TableRow, action_row, in_row_order, trial_key
from simspine.io.text_tables import warn_assumed
from simspine.vision.side_swaps import mirror_indices

MIN_POINTS_FOR_AXES = 4  # of a frame
DOUBT_SHARE = 1 / 3  # of the error that remains with other axes or sides
MIN_DOUBT_RAD = np.radians(20.0)  # a smaller turn is an error of the method
DISTANCE_MEASURES = ("world", "rooted", "scaled", "aligned")


@dataclass(frozen=True)
class PointPair:
    """Predicted and true points or angles of one trial and view, in the truth's frames. action: name of its row.

    names: common to both. estimate, truth: (frames, points, 3) m in the same axes, or (frames, angles) rad; the
    estimate is NaN where the prediction has nothing. deviation: standard deviation of the estimate, or None.
    """

    subject: str
    trial: str
    action: str
    frames: np.ndarray
    names: tuple[str, ...]
    estimate: np.ndarray
    truth: np.ndarray
    deviation: np.ndarray | None = None

    @property
    def found(self) -> float:
        """Share of the true points or angles that are predicted; NaN without truth."""
        true = np.isfinite(self.truth).all(-1)
        return float(np.isfinite(self.estimate).all(-1)[true].mean()) if true.any() else float("nan")


def pair_methods_with_truth(
    predictions: Mapping[str, Iterable[PointSequence]],
    truth: Sequence[PointSequence],
    names: Sequence[str] | None = None,
) -> dict[str, tuple[PointPair, ...]]:
    """{method: pairs of `pair_with_truth`}; its error messages begin with the method's name."""
    pairs = {}
    for method, sequences in predictions.items():
        try:
            pairs[method] = pair_with_truth(sequences, truth, names)
        except InputError as error:
            raise InputError(f"{method}: {error}") from None
    return pairs


def pair_with_truth(
    predictions: Iterable[PointSequence], truth: Sequence[PointSequence], names: Sequence[str] | None = None
) -> tuple[PointPair, ...]:
    """A pair for each true sequence, in its order; where it was not predicted, the estimate is NaN throughout.

    names: the points wanted; all of the truth's otherwise. Points that no prediction has are left out, so that
    their columns stay empty. Raises `InputError` where nothing agrees, a sequence is predicted twice, one side is in
    camera axes and the other in world axes, or lengths are in another unit.
    """
    by_key: dict[tuple, PointSequence] = {}
    for sequence in predictions:
        key = _pair_key(sequence)
        if key in by_key:
            raise InputError(f"{'/'.join(filter(None, sequence.key))} is predicted twice; keep one.")
        by_key[key] = sequence
    if not any(_pair_key(true) in by_key for true in truth):
        raise InputError(
            f"no prediction belongs to any of the true trials: predicted are {_examples_text(by_key.values())}; true "
            f"are {_examples_text(truth)}. Subject, trial and camera must agree."
        )
    wanted = tuple(names or truth[0].names)
    both = tuple(n for n in wanted if any(n in s.names for s in by_key.values()) and any(n in t.names for t in truth))
    if not both:
        given = dict.fromkeys(name for sequence in by_key.values() for name in sequence.names)
        raise InputError(
            f"none of the predicted points {names_text(given, 3) or 'none'} is one of the points wanted: "
            f"{', '.join(wanted)}."
        )
    pairs = tuple(_point_pair(by_key.get(_pair_key(true)), true, both) for true in truth)
    _check_common(pairs, by_key, truth)
    for pair in pairs:
        if pair.truth.ndim == 3:
            _check_unit(pair)
    _warn_of_other_axes([pair for pair in pairs if pair.truth.ndim == 3])
    return pairs


def _check_common(pairs: Sequence[PointPair], by_key: Mapping[tuple, PointSequence], truth: Sequence[PointSequence]):
    """Raise where no value is both predicted and true: the tables would be empty."""
    if any((np.isfinite(pair.estimate) & np.isfinite(pair.truth)).any() for pair in pairs):
        return
    true = next(sequence for sequence in truth if _pair_key(sequence) in by_key)
    predicted, whose = by_key[_pair_key(true)], "/".join(filter(None, true.key))
    raise InputError(
        f"nothing is both predicted and true in the same frame: of {whose} are predicted "
        f"{_frame_range_text(predicted)}; true are {_frame_range_text(true)}. Frames count from 0, as in the data "
        "set; NaN is missing."
    )


def _frame_range_text(sequence: PointSequence) -> str:
    frames = sequence.frames[np.isfinite(sequence.values).reshape(len(sequence.frames), -1).any(1)]
    return f"{len(frames)} frames from {frames[0]} to {frames[-1]}" if len(frames) else "no frames, only NaN"


def _check_unit(pair: PointPair) -> None:
    """Raise where the spread of predicted points, relative to the true ones, shows a unit other than metres."""
    both = np.isfinite(pair.estimate).all(-1) & np.isfinite(pair.truth).all(-1)
    both &= both.sum(1, keepdims=True) > 1
    frames = both.any(1)
    if not frames.any():
        return
    predicted, true = (rms_radius(xyz[frames], both[frames]) for xyz in (pair.estimate, pair.truth))
    unit = unit_of_ratio(float(np.median(predicted / np.maximum(true, 1e-3))))
    if unit is not None:
        raise InputError(
            f"the points of {pair.subject}/{pair.trial} are spread over {np.median(predicted):.3g} m (RMS from their "
            f"centre), the true ones over {np.median(true):.3g} m. They seem to be in {unit}; hand them in in metres."
        )


def _warn_of_other_axes(pairs: Sequence[PointPair]) -> None:
    """Warn where one turn of all frames, or exchanging left and right, removes most of the errors."""
    doubts: dict[str, list[str]] = {}
    for pair in pairs:
        if doubt := _doubt_of_axes(pair):
            doubts.setdefault(doubt, []).append(f"{pair.subject}/{pair.trial}")
    for doubt, trials in doubts.items():
        warn_assumed(f"{names_text(trials, 3)}: {doubt}")


def _doubt_of_axes(pair: PointPair) -> str:
    both = np.isfinite(pair.estimate).all(-1) & np.isfinite(pair.truth).all(-1)
    both &= both.sum(1, keepdims=True) >= MIN_POINTS_FOR_AXES
    if not both.any():
        return ""
    estimate, truth = (np.where(both[..., None], xyz, np.nan) for xyz in (pair.estimate, pair.truth))
    estimate, truth = (xyz - mean_of_known(xyz, 1)[:, None] for xyz in (estimate, truth))
    turn = kabsch(truth[both].T @ estimate[both])
    angle = float(rotation_angle(turn))
    exchanged = estimate[:, mirror_indices(pair.names)]
    error, turned_error, exchanged_error = (
        metrics.rms_or_nan(metrics.finite_values([xyz - truth])) for xyz in (estimate, estimate @ turn.T, exchanged)
    )
    if min(turned_error, exchanged_error) > DOUBT_SHARE * error or (
        turned_error < exchanged_error and angle < MIN_DOUBT_RAD
    ):
        return ""
    if exchanged_error < turned_error:
        return "left and right of the predicted points are exchanged."
    return f"predicted points are turned by {np.degrees(angle):.0f}° against the true ones. Are axes and camera right?"


def _pair_key(sequence: PointSequence) -> tuple:
    return sequence.subject, trial_key(sequence.trial), sequence.camera


def _examples_text(sequences: Iterable[PointSequence]) -> str:
    return names_text(("/".join(filter(None, sequence.key)) for sequence in sequences), 3) or "none"


def _point_pair(given: PointSequence | None, true: PointSequence, names: tuple[str, ...]) -> PointPair:
    truth = columns_by_name(true.values, true.names, names)
    estimate = np.full(truth.shape, np.nan)
    deviation = None
    if given is not None:
        _check_rate(given, true)
        _check_first_frame(given, true)
        _, rows, taken = np.intersect1d(true.frames, given.frames, return_indices=True)
        estimate[rows] = _in_axes_of_truth(columns_by_name(given.values, given.names, names)[taken], given, true)
        if given.deviation is not None:
            deviation = np.full(truth.shape, np.nan)
            deviation[rows] = columns_by_name(given.deviation, given.names, names)[taken]
    about = (true.subject, true.trial, action_row(true.action), true.frames)
    return PointPair(*about, names=names, estimate=estimate, truth=truth, deviation=deviation)


def _check_rate(given: PointSequence, true: PointSequence) -> None:
    """Raise where frames of one number are not of one time; rates written in short, such as 29.97 as 30, pass."""
    if given.rate and true.rate and abs(given.rate / true.rate - 1) > MAX_RATE_DIFFERENCE_SHARE:
        raise InputError(
            f"{given.subject}/{given.trial}: predicted at {given.rate:g} frames/s, true at {true.rate:g}, but frames "
            "belong together by number. Predict every frame, or hand in a table with the truth's frame numbers "
            "(docs/benchmarks.md)."
        )


def _check_first_frame(given: PointSequence, true: PointSequence) -> None:
    """Raise where frames were counted from 1: each would be compared with the next."""
    ends = [(int(each.frames.min()), int(each.frames.max())) for each in (given, true) if len(each.frames)]
    if len(ends) == 2 and ends[0] == (ends[1][0] + 1, ends[1][1] + 1):
        raise InputError(
            f"{given.subject}/{given.trial}: predicted are frames {ends[0][0]} to {ends[0][1]}, true are "
            f"{ends[1][0]} to {ends[1][1]}. Subtract 1 from the predictions' frames, which count from 0."
        )


def _in_axes_of_truth(xyz: np.ndarray, given: PointSequence, true: PointSequence) -> np.ndarray:
    if given.axes == true.axes:
        return xyz
    if not {given.axes, true.axes} <= set(WORLD_FRAMES):
        raise InputError(
            f"{given.subject}/{given.trial}: predicted in the axes {given.axes!r}, true in {true.axes!r}; give the "
            "truth of the cameras (a data set with cameras), or predict in the world."
        )
    return change_frame(xyz, given.axes, true.axes)


def point_errors(pair: PointPair, names: Sequence[str], measure: str) -> np.ndarray:
    """(frames, points) m: distances of the points of `names`; NaN where either is missing in a frame.

    (frames, 0) where the pair lacks a point of `names`: means over fewer points could not be compared.
    measure: 'world', unchanged; 'rooted', both relative to their `ROOT_POINT`; 'scaled', rooted and after the best
    scale per frame; 'aligned', after the best similarity per frame onto these very points.
    """
    require_known("measure", (measure,), DISTANCE_MEASURES)
    if not set(names) <= set(pair.names):
        return np.zeros((len(pair.frames), 0))
    columns = [pair.names.index(name) for name in names]
    estimate, truth = pair.estimate[:, columns], pair.truth[:, columns]
    if measure == "aligned":
        return metrics.point_distances(metrics.similarity_aligned(estimate, truth), truth)
    if measure != "world":
        k = index_of_name(ROOT_POINT, pair.names, "point that the others are relative to", pair.trial)
        estimate, truth = estimate - pair.estimate[:, k, None], truth - pair.truth[:, k, None]
    return metrics.point_distances(metrics.scale_aligned(estimate, truth) if measure == "scaled" else estimate, truth)


def column_errors(
    pairs: Sequence[PointPair], columns: Mapping[str, Sequence[str]], measure: str
) -> dict[str, list[np.ndarray]]:
    """{column: (frames, points) m of each pair}."""
    return {name: [point_errors(pair, names, measure) for pair in pairs] for name, names in columns.items()}


MEAN_OVER_FRAMES, MEAN_OVER_ACTIONS = "mean over frames", "mean over actions"
INTERVAL_ROW = "95 % by subject"


def distance_rows(
    method: str, pairs: Sequence[PointPair], errors: Mapping[str, Sequence[np.ndarray]]
) -> tuple[TableRow, ...]:
    """A row per action, both means and the interval, mm. errors: {column: (frames, points) m of each pair}."""
    by_action = {
        action: tuple(
            mean_mm([values[i] for i, pair in enumerate(pairs) if pair.action == action]) for values in errors.values()
        )
        for action in in_row_order(pair.action for pair in pairs)
    }
    means = zip(*by_action.values(), strict=True)
    remark = interval_remark(pair.subject for pair in pairs if pair.found > 0)
    return (
        TableRow(method, MEAN_OVER_FRAMES, tuple(mean_mm(values) for values in errors.values())),
        TableRow(method, MEAN_OVER_ACTIONS, tuple(float(mean_of_known(np.array(values), 0)) for values in means)),
        TableRow(method, INTERVAL_ROW, tuple(_interval_mm(pairs, values) for values in errors.values()), remark=remark),
        *(TableRow(method, action, cells) for action, cells in by_action.items()),
    )


def _interval_mm(pairs: Sequence[PointPair], errors: Sequence[np.ndarray]) -> TableCell:
    """Interval of the mean over frames and points, mm. errors: (frames, points) m of each pair."""
    people, counts = [pair.subject for pair in pairs], [np.isfinite(e).sum() for e in errors]
    return metrics.bootstrap_mean([mean_mm([e]) for e in errors], people, counts)


def interval_remark(people: Iterable[str]) -> str:
    """Why the interval over these predicted people is empty; '' unless they are one person."""
    return "no interval: one subject only" if len(set(people)) == 1 else ""


def mean_mm(errors: Sequence[np.ndarray]) -> float:
    """Mean over all frames and points, m to mm; NaN where there is nothing."""
    return 1e3 * metrics.mean_or_nan(metrics.finite_values(errors))


def found_points_notes(methods: Mapping[str, Sequence[PointPair]], wanted: Sequence[str]) -> tuple[str, ...]:
    """`found_points_note` of each method, methods with the same note together."""
    alike: dict[str, list[str]] = {}
    for method, pairs in methods.items():
        alike.setdefault(found_points_note(pairs, wanted), []).append(method)
    if len(alike) == 1 < len(methods):
        return tuple(f"All methods: {note}" for note in alike)
    return tuple(f"{'; '.join(names)}: {note}" for note, names in alike.items())


def found_points_note(pairs: Sequence[PointPair], wanted: Sequence[str]) -> str:
    """What the means are over: people, sequences, frames, share predicted, and `wanted` points without a prediction."""
    frames = sum(len(pair.frames) for pair in pairs)
    true = sum(int(np.isfinite(pair.truth).all(-1).sum()) for pair in pairs)
    both = sum(int((np.isfinite(pair.truth) & np.isfinite(pair.estimate)).all(-1).sum()) for pair in pairs)
    people = ", ".join(dict.fromkeys(pair.subject for pair in pairs))
    share = f"{100 * both / true:.1f} % of the true places predicted" if true else "nothing is true"
    lacking = ", ".join(name for name in wanted if name not in pairs[0].names)
    without = f" Not predicted at all: {lacking}; columns with these points are empty." if lacking else ""
    size = f"{len(pairs)} sequence{'s' * (len(pairs) != 1)}, {frames} frames"
    return f"{people}; {size}; {share}. What is not predicted counts nowhere.{without}"
