"""Tables of angles: lordosis and kyphosis, and the levels of the spine, beside controls that know no frame."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.errors import InputError
from simspine.evaluation.angle_checks import check_radians, unknown_angles
from simspine.evaluation.angles import CURVES, AngleSequence, series
from simspine.evaluation.protocol import trial_key
from simspine.evaluation.rows import INTERVAL_NOTE, INTERVALS, interval_remark
from simspine.evaluation.tables import Cell, EvaluationTable, TableColumn, TableRow
from simspine.geometry import wrap
from simspine.metrics import angle_figures, bootstrap_mean
from simspine.metrics.angles import MOVES
from simspine.spine.levels import PLANES

# Figure of `angle_figures`: heading, factor, unit, digits.
_SHOWN = {
    "rmse": ("RMSE", np.degrees(1), "°", 2),
    "bias": ("bias", np.degrees(1), "°", 2),
    "spread": ("bias-free", np.degrees(1), "°", 2),
    "change_rmse": ("change", np.degrees(1), "°", 2),
    "correlation": ("r", 1.0, "", 2),
    "coverage": ("coverage", 1.0, "", 2),
    "found": ("found", 1.0, "", 3),
}
_BY_LEVEL = ("rmse", "change_rmse", "coverage")
MEAN, CONSTANT = "control: mean of the training people", "control: each trial's own true mean"
_NOTES = (
    "bias-free: standard deviation of the error over all frames. change: root mean square error of what differs from "
    "the trial's mean. r: mean correlation over the trials whose true range is "
    f"{np.degrees(MOVES):g}° or more. coverage: share of errors inside the 90 % interval. found: share of the true "
    "values that were predicted; what is not counts nowhere else.",
    "Controls know no frame: the mean of other people is what an estimate must beat, a trial's own true mean has no "
    "error but that of motion.",
    INTERVAL_NOTE.replace("mean over frames", "root mean square error"),
)


def evaluate_angles(
    predictions: Mapping[str, Sequence[AngleSequence]],
    truth: Sequence[AngleSequence],
    training: Sequence[AngleSequence] = (),
) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: predicted angles}, and of controls: LLA and TKA; rotation of each level.

    training: true angles of other people, for the control that is their mean; left out where there are none. Notes name
    predicted angles that the truth does not hold. Raises `InputError` where a method predicts none of the true trials,
    and for angles in degrees.
    """
    methods = {name: by_key(name, own, truth) for name, own in predictions.items()}
    for name, sequences in methods.items():
        check_radians(name, sequences, truth)
    unknown = unknown_angles(predictions, truth)
    methods |= {name: by_key(name, own, truth) for name, own in controls(truth, training).items()}
    return tuple(replace(made(methods, truth), notes=(*unknown, *_NOTES)) for made in (_curves, _levels))


def by_key(method: str, own: Sequence[AngleSequence], truth: Sequence[AngleSequence]) -> dict[tuple, AngleSequence]:
    """Sequences by subject and trial; `InputError` for one that is there twice, and where none is of the truth."""
    found: dict[tuple, AngleSequence] = {}
    for sequence in own:
        key = sequence.subject, trial_key(sequence.trial)
        if key in found:
            raise InputError(f"{method}: {sequence.subject}/{sequence.trial} is predicted twice; keep one.")
        found[key] = sequence
    if not any((true.subject, trial_key(true.trial)) in found for true in truth):
        there = ", ".join(f"{s.subject}/{s.trial}" for s in own[:3])
        wanted = ", ".join(f"{s.subject}/{s.trial}" for s in truth[:3])
        raise InputError(f"{method}: no prediction belongs to the true trials: predicted {there}; true {wanted}.")
    return found


def controls(truth: Sequence[AngleSequence], training: Sequence[AngleSequence]) -> dict[str, tuple[AngleSequence, ...]]:
    """What needs no measurement: the mean over other people's frames, and each trial's own true mean throughout."""
    found: dict[str, tuple[AngleSequence, ...]] = {}
    if training:
        found[MEAN] = tuple(_held(true, [_mean_of(training, name) for name in true.names]) for true in truth)
    own = [_means(true.angle) for true in truth]
    found[CONSTANT] = tuple(_held(true, means) for true, means in zip(truth, own, strict=True))
    return found


def _held(true: AngleSequence, means: Sequence[float] | np.ndarray) -> AngleSequence:
    return replace(true, angle=np.tile(np.asarray(means, float), (len(true.frames), 1)), deviation=None)


def _mean_of(sequences: Sequence[AngleSequence], name: str) -> float:
    values = [s.angle[:, s.names.index(name)] for s in sequences if name in s.names]
    return float(_means(np.concatenate(values)[:, None])[0]) if values else float("nan")


def _means(values: np.ndarray) -> np.ndarray:
    """Mean over the rows of each column; NaN for one without a value."""
    known = np.isfinite(values)
    count = known.sum(0)
    return np.where(known, values, 0).sum(0) / np.where(count > 0, count, np.nan)


def figures_of(
    sequences: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence], names: Sequence[str]
) -> dict[str, float]:
    """`angle_figures` of one or several angles together, over all trials that have them."""
    estimates, exact, deviations = [], [], []
    for true in truth:
        for name in names:
            if name in true.names:
                found, deviation = series(sequences, true, (true.subject, trial_key(true.trial)), name)
                estimates.append(found)
                exact.append(true.angle[:, true.names.index(name)])
                deviations.append(np.full(len(found), np.nan) if deviation is None else deviation)
    return angle_figures(estimates, exact, deviations)


def rmse_intervals(
    sequences: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence], name: str
) -> dict[str, tuple[float, float] | None]:
    """{of `INTERVALS`: interval of an angle's root mean square error, rad}, None where there is none."""
    trials = [true for true in truth if name in true.names]
    squares, counts = [], []
    for true in trials:
        found, _ = series(sequences, true, (true.subject, trial_key(true.trial)), name)
        square = wrap(found - true.angle[:, true.names.index(name)]) ** 2
        squares.append(_means(square[:, None])[0])
        counts.append(np.isfinite(square).sum())
    out: dict[str, tuple[float, float] | None] = {}
    for label, of in INTERVALS.items():
        low, high = bootstrap_mean(squares, [of(true) for true in trials], counts)
        out[label] = (float(np.sqrt(low)), float(np.sqrt(high))) if np.isfinite([low, high]).all() else None
    return out


def _curves(methods: Mapping[str, Mapping[tuple, AngleSequence]], truth: Sequence[AngleSequence]) -> EvaluationTable:
    columns = [TableColumn(head, unit, digits) for head, _, unit, digits in _SHOWN.values()]
    columns += [TableColumn(f"RMSE, {label}", "°") for label in INTERVALS]
    rows = []
    for method, own in methods.items():
        for name in (curve for curve in CURVES if any(curve in true.names for true in truth)):
            figures = figures_of(own, truth, [name])
            cells: list[Cell] = [factor * figures[key] for key, (_, factor, _, _) in _SHOWN.items()]
            for ends in rmse_intervals(own, truth, name).values():
                cells.append(None if ends is None else (float(np.degrees(ends[0])), float(np.degrees(ends[1]))))
            rows.append(TableRow(method, name, tuple(cells), remark=_why_empty(own, truth, name, figures)))
    return EvaluationTable(
        "angles_curves", "Lumbar lordosis (LLA) and thoracic kyphosis (TKA)", tuple(columns), tuple(rows)
    )


def _levels(methods: Mapping[str, Mapping[tuple, AngleSequence]], truth: Sequence[AngleSequence]) -> EvaluationTable:
    columns = tuple(TableColumn(f"{plane} {_SHOWN[key][0]}", *_SHOWN[key][2:]) for plane in PLANES for key in _BY_LEVEL)
    known = dict.fromkeys(name for true in truth for name in true.names if name not in CURVES)
    levels = list(
        dict.fromkeys(name.removesuffix(f" {plane}") for name in known for plane in PLANES if name.endswith(plane))
    )
    rows = []
    for method, own in methods.items():
        for level in levels:
            names = [f"{level} {plane}" for plane in PLANES]
            found = [figures_of(own, truth, [name]) for name in names]
            cells = tuple(_SHOWN[key][1] * figures[key] for figures in found for key in _BY_LEVEL)
            rows.append(TableRow(method, level, cells, remark=_without_deviations(own, names)))
    return EvaluationTable("angles_levels", "Rotation of each level", columns, tuple(rows))


def _why_empty(
    own: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence], name: str, figures: Mapping[str, float]
) -> str:
    """Why cells of a row of an angle are empty."""
    there = {key for key, sequence in own.items() if name in sequence.names}
    found = [true for true in truth if (true.subject, trial_key(true.trial)) in there]
    if not found:
        return "not predicted"
    reasons = [_without_deviations(own, [name])]
    if not np.isfinite(figures["correlation"]):
        reasons.append("no r: estimate or truth at rest")
    reasons += [interval_remark(found, label) for label in INTERVALS]
    return "; ".join(filter(None, reasons))


def _without_deviations(own: Mapping[tuple, AngleSequence], names: Sequence[str]) -> str:
    """Why there is no coverage of these angles; '' where there is."""
    there = [sequence for sequence in own.values() if set(names) & set(sequence.names)]
    if not there:
        return "not predicted"
    known = any(s.deviation is not None and np.isfinite(s.deviation).any() for s in there)
    return "" if known else "no coverage: no deviations in the predictions"
