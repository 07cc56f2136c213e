"""Which prediction belongs to which truth, and the errors of each point in each frame by the papers' measures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError, unknown_name
from simspine.evaluation.points import PointSequence
from simspine.evaluation.protocol import ROOT, action_row, trial_key
from simspine.geometry import change_frame, spread, unit_of_ratio
from simspine.metrics import aligned, distances, scaled
from simspine.types import FRAMES

MEASURES = ("world", "rooted", "scaled", "aligned")


@dataclass(frozen=True)
class PointPair:
    """Predicted and true points of one trial and view, in the truth's frames. action: its row.

    names: points that both have. estimate, truth: (frames, points, 3) m in the same axes; the estimate is NaN where
    the prediction has nothing. deviation: of the estimate, or None.
    """

    subject: str
    trial: str
    action: str
    frames: np.ndarray
    rate: float | None
    names: tuple[str, ...]
    estimate: np.ndarray
    truth: np.ndarray
    deviation: np.ndarray | None = None

    @property
    def found(self) -> float:
        """Share of the true places that have a predicted one; NaN where nothing is true."""
        true = np.isfinite(self.truth).all(-1)
        return float(np.isfinite(self.estimate).all(-1)[true].mean()) if true.any() else float("nan")


def paired_methods(
    predictions: Mapping[str, Iterable[PointSequence]],
    truth: Sequence[PointSequence],
    names: Sequence[str] | None = None,
) -> dict[str, tuple[PointPair, ...]]:
    """{method: its pairs}; what `paired` raises begins with the method's name."""
    found = {}
    for method, own in predictions.items():
        try:
            found[method] = paired(own, truth, names)
        except InputError as error:
            raise InputError(f"{method}: {error}") from None
    return found


def paired(
    predictions: Iterable[PointSequence], truth: Sequence[PointSequence], names: Sequence[str] | None = None
) -> tuple[PointPair, ...]:
    """A pair for each true sequence, in its order; where it was not predicted, the estimate is NaN throughout.

    names: the points wanted; all of the truth's otherwise. Points that no prediction has are left out, so that a
    column of theirs stays empty. Raises `InputError` where nothing agrees, a sequence is predicted twice, axes of a
    camera meet those of the world, or lengths are in another unit.
    """
    of: dict[tuple, PointSequence] = {}
    for sequence in predictions:
        key = _key(sequence)
        if key in of:
            raise InputError(f"{'/'.join(filter(None, sequence.key))} is predicted twice; keep one.")
        of[key] = sequence
    if not any(_key(true) in of for true in truth):
        raise InputError(
            f"no prediction belongs to any of the true trials: predicted are {_some(of.values())}; true are "
            f"{_some(truth)}. Subject, trial and camera must agree."
        )
    wanted = tuple(names or truth[0].names)
    there = tuple(n for n in wanted if any(n in s.names for s in of.values()) and any(n in t.names for t in truth))
    if not there:
        own = dict.fromkeys(name for sequence in of.values() for name in sequence.names)
        raise InputError(
            f"none of the predicted points {_first(own)} is one of the points wanted: {', '.join(wanted)}."
        )
    pairs = tuple(_pair(of.get(_key(true)), true, there) for true in truth)
    _check_common(pairs, of, truth)
    for pair in pairs:
        _check_unit(pair)
    return pairs


def _check_common(pairs: Sequence[PointPair], of: Mapping[tuple, PointSequence], truth: Sequence[PointSequence]):
    """Raise where no place is both predicted and true: the tables would be empty."""
    if any((np.isfinite(pair.estimate) & np.isfinite(pair.truth)).all(-1).any() for pair in pairs):
        return
    true = next(sequence for sequence in truth if _key(sequence) in of)
    raise InputError(
        f"nothing is both predicted and true in the same frame: of {'/'.join(filter(None, true.key))} are predicted "
        f"{_range(of[_key(true)])}; true are {_range(true)}. Frames count from 0, as in the data set; NaN is missing."
    )


def _range(sequence: PointSequence) -> str:
    frames = sequence.frames[np.isfinite(sequence.xyz).all(-1).any(1)]
    return f"{len(frames)} frames from {frames[0]} to {frames[-1]}" if len(frames) else "no frames, only NaN"


def _check_unit(pair: PointPair) -> None:
    """Raise where predicted points are spread as much farther than the true ones as another unit makes them."""
    both = np.isfinite(pair.estimate).all(-1) & np.isfinite(pair.truth).all(-1)
    both &= both.sum(1, keepdims=True) > 1
    frames = both.any(1)
    if not frames.any():
        return
    predicted, true = (spread(xyz[frames], both[frames]) for xyz in (pair.estimate, pair.truth))
    ratio = float(np.median(predicted / np.maximum(true, 1e-3)))
    unit = unit_of_ratio(ratio)
    if unit is not None:
        raise InputError(
            f"the points of {pair.subject}/{pair.trial} are spread over {np.median(predicted):.3g} m (RMS from their "
            f"centre), the true ones over {np.median(true):.3g} m. They seem to be in {unit}; hand them in in metres."
        )


def _key(sequence: PointSequence) -> tuple:
    return sequence.subject, trial_key(sequence.trial), sequence.camera


def _some(sequences: Iterable[PointSequence]) -> str:
    return _first("/".join(filter(None, sequence.key)) for sequence in sequences)


def _first(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "") or "none"


def _pair(found: PointSequence | None, true: PointSequence, names: tuple[str, ...]) -> PointPair:
    estimate = np.full((len(true.frames), len(names), 3), np.nan)
    deviation = None if found is None or found.deviation is None else estimate.copy()
    exact = _columns(true.xyz, true.names, names)
    if found is not None:
        _, rows, own = np.intersect1d(true.frames, found.frames, return_indices=True)
        estimate[rows] = _in_axes(_columns(found.xyz, found.names, names)[own], found, true)
        if deviation is not None:
            deviation[rows] = _columns(found.deviation, found.names, names)[own]
    return PointPair(
        subject=true.subject,
        trial=true.trial,
        action=action_row(true.action),
        frames=true.frames,
        rate=true.rate,
        names=names,
        estimate=estimate,
        truth=exact,
        deviation=deviation,
    )


def _columns(values: np.ndarray | None, there: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Columns of the points wanted; NaN for those that are not there."""
    assert values is not None
    out = np.full((len(values), len(wanted), 3), np.nan)
    for i, name in enumerate(wanted):
        if name in there:
            out[:, i] = values[:, there.index(name)]
    return out


def _in_axes(xyz: np.ndarray, found: PointSequence, true: PointSequence) -> np.ndarray:
    if found.axes == true.axes:
        return xyz
    if not {found.axes, true.axes} <= set(FRAMES):
        raise InputError(
            f"{found.subject}/{found.trial}: predicted in the axes {found.axes!r}, true in {true.axes!r}; give the "
            "truth of the cameras (a data set with cameras), or predict in the world."
        )
    return change_frame(xyz, found.axes, true.axes)


def point_errors(pair: PointPair, names: Sequence[str], measure: str, root: str = ROOT) -> np.ndarray:
    """(frames, points) m: distances of the points of `names`; NaN where either is missing in a frame.

    Without columns where a point of `names` is not among the pair's: a mean over other points would be another figure.
    measure: 'world', as they are; 'rooted', both relative to their `root` point; 'scaled', rooted and after the best
    scale per frame; 'aligned', after the best similarity per frame onto these very points.
    """
    if measure not in MEASURES:
        raise unknown_name("measure", measure, MEASURES)
    if not set(names) <= set(pair.names):
        return np.zeros((len(pair.frames), 0))
    columns = [pair.names.index(name) for name in names]
    estimate, truth = pair.estimate[:, columns], pair.truth[:, columns]
    if measure == "aligned":
        return distances(aligned(estimate, truth), truth)
    if measure != "world":
        if root not in pair.names:
            raise InputError(f"{pair.subject}/{pair.trial}: no point {root!r} that the others are relative to.")
        k = pair.names.index(root)
        estimate, truth = estimate - pair.estimate[:, k, None], truth - pair.truth[:, k, None]
    return distances(scaled(estimate, truth) if measure == "scaled" else estimate, truth)


def column_errors(
    pairs: Sequence[PointPair], columns: Mapping[str, Sequence[str]], measure: str, root: str = ROOT
) -> dict[str, list[np.ndarray]]:
    """{column: (frames, points) m of each pair}."""
    return {name: [point_errors(pair, names, measure, root) for pair in pairs] for name, names in columns.items()}
