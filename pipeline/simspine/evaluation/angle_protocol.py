"""simspine's protocol for angles: lordosis, kyphosis and levels of the spine, with controls that measure nothing.

A file of angles is a table with a row per frame (`simspine.evaluation.point_sources`) and these columns: `names`,
(angles,) texts: 'LLA', 'TKA', and 'L4-L5 flexion', 'L4-L5 lateral bending', 'L4-L5 axial rotation' of each level;
`angle`, (rows, angles) rad, NaN = missing; `deviation`, standard deviations of the same shape, or left out.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from simspine.anatomy.curvature import MOTION_PLANES, SEGMENT_LEVELS
from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError, nearest_name
from simspine.core.geometry import wrap_angles
from simspine.dataset.recordings import open_dataset
from simspine.evaluation.metrics import MIN_MOVEMENT_RANGE, angle_figures, bootstrap_mean, finite_values, rms_or_nan
from simspine.evaluation.pairs import INTERVAL_ROW, PointPair, interval_remark, pair_methods_with_truth
from simspine.evaluation.point_sources import (
    ANGLE_AXES,
    CURVATURE_NAMES,
    PointSequence,
    kind_of_source,
    read_point_sequences,
)
from simspine.evaluation.tables import EvaluationTable, TableCell, TableColumn, TableRow, noted_table
from simspine.io.hdf5 import read_store


def read_angles(path: str | os.PathLike) -> tuple[PointSequence, ...]:
    """Angles of all trials of a table, a data set (frames it keeps) or a virtual capture (its true angles).

    Raises `InputError` for anything else, and for files that are damaged.
    """
    path = Path(path)
    kind = kind_of_source(path)
    if kind == "trc":
        raise InputError(f"{path}: TRC files hold no angles. Give a table of angles, a data set or a virtual capture.")
    if kind == "table":
        sequences = read_point_sequences(path, "angle")
    else:
        sequences = tuple(_angles_of_dataset(path) if kind == "dataset" else _angles_of_capture(path))
    if not sequences:
        raise InputError(f"{path}: holds no trial with angles.")
    return sequences


def _angles_of_dataset(path: Path) -> Iterator[PointSequence]:
    with open_dataset(path) as data:
        for recording in data.trials():
            trial = recording.read()
            if trial.lla is None or trial.tka is None:
                raise InputError(f"{path}: {recording.subject}/{recording.name} holds no LLA and TKA.")
            frames = np.flatnonzero(recording.array("valid"))
            angle = stacked_angles(trial.lla, trial.tka, trial.angles)[frames]
            spread = None
            if trial.lla_sd is not None and trial.tka_sd is not None:
                spread = stacked_angles(trial.lla_sd, trial.tka_sd, trial.angles_sd, len(trial.levels))[frames]
            about = (recording.subject, recording.name, frames, angle_names(trial.levels), angle, ANGLE_AXES)
            yield PointSequence(*about, deviation=spread, rate=recording.rate)


def _angles_of_capture(folder: Path) -> Iterator[PointSequence]:
    for path in sorted((folder / "truth").glob("*/*.h5")):
        stored = read_store(path, ["levels", "angles", "lla", "tka"])
        subject = path.parent.name
        trial, frames = path.stem.removeprefix(f"{subject}_"), np.arange(len(stored["lla"]))
        names, angle = angle_names(stored["levels"]), stacked_angles(stored["lla"], stored["tka"], stored["angles"])
        yield PointSequence(subject, trial, frames, names, values=angle, axes=ANGLE_AXES)


def angle_names(levels: Sequence[str]) -> tuple[str, ...]:
    """Names of LLA, TKA and the three angles of each level, in the order of `stacked_angles`."""
    return (*CURVATURE_NAMES, *(f"{level} {plane}" for level in levels for plane in MOTION_PLANES))


def stacked_angles(lla: np.ndarray, tka: np.ndarray, levels: np.ndarray | None, count: int = 0) -> np.ndarray:
    """(frames, 2 + 3 levels): LLA, TKA and levels (frames, levels, 3); `count` levels of NaN where they are None."""
    level_angles = np.full((len(lla), count, 3), np.nan) if levels is None else np.asarray(levels)
    return np.column_stack([lla, tka, level_angles.reshape(len(lla), -1)])


# Predicted angles in degrees, and predicted angles with names that the truth does not have.


DEGREES_RATIO = np.degrees(1.0)  # ratio of sizes of angles in degrees and in radians
SIZE_RATIO_TOLERANCE = 1.5  # factor by which errors of a prediction may change that ratio
# These may count whole turns.
GROUND_SEGMENT_ANGLES = tuple(f"{segment.name} {plane}" for segment in SEGMENT_LEVELS for plane in MOTION_PLANES)


def check_radians(method: str, pairs: Sequence[PointPair]) -> None:
    """Raise `InputError` where a method's angles seem to be in degrees.

    It compares root mean squares over all values that are both predicted and true, without rotations in space.
    """
    predicted, known = [], []
    for pair in pairs:
        columns = [i for i, name in enumerate(pair.names) if name not in GROUND_SEGMENT_ANGLES]
        both = np.isfinite(pair.estimate[:, columns]) & np.isfinite(pair.truth[:, columns])
        predicted.append(pair.estimate[:, columns][both])
        known.append(pair.truth[:, columns][both])
    size, true_size = (rms_or_nan(finite_values(values)) for values in (predicted, known))
    if DEGREES_RATIO / SIZE_RATIO_TOLERANCE < size / max(true_size, 1e-6) < DEGREES_RATIO * SIZE_RATIO_TOLERANCE:
        raise InputError(
            f"{method}: the predicted angles are {size:.3g} in size (RMS), the true ones {true_size:.3g} rad. They "
            "seem to be in degrees; hand them in in radians."
        )


def unknown_angles(predictions: Mapping[str, Sequence[PointSequence]], truth: Sequence[PointSequence]) -> Iterator[str]:
    """A note for each method with angles that the truth lacks, with the nearest name in the truth."""
    known = list(dict.fromkeys(name for true in truth for name in true.names))
    for method, sequences in predictions.items():
        names = dict.fromkeys(name for sequence in sequences for name in sequence.names if name not in known)
        if names:
            meant = {name: nearest_name(name, known) for name in names}
            unknown = ", ".join(
                f"{name!r}" + (f" (did you mean {near!r}?)" if near else "") for name, near in meant.items()
            )
            yield f"{method}: no angles of the truth, and left out: {unknown}."


# Figure of `angle_figures`: heading, factor, unit, digits.
_ANGLE_FIGURE_FORMATS = {
    "rmse": ("RMSE", np.degrees(1), "°", 2),
    "bias": ("bias", np.degrees(1), "°", 2),
    "spread": ("bias-free", np.degrees(1), "°", 2),
    "change_rmse": ("change", np.degrees(1), "°", 2),
    "correlation": ("r", 1.0, "", 2),
    "coverage": ("coverage", 1.0, "", 2),
    "found": ("found", 1.0, "", 3),
}
_BY_LEVEL = ("rmse", "change_rmse", "coverage")
MEAN_CONTROL, CONSTANT_CONTROL = "control: mean of the training people", "control: each trial's own true mean"


def evaluate_angles(
    predictions: Mapping[str, Sequence[PointSequence]],
    truth: Sequence[PointSequence],
    training: Sequence[PointSequence] = (),
) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: predicted angles}, and of controls: LLA and TKA; rotation of each level.

    training: true angles of other people, for the control that is their mean; left out where there are none. Notes name
    predicted angles that the truth does not hold. Raises `InputError` where a method predicts none of the true trials,
    and for angles in degrees.
    """
    names = list(dict.fromkeys(name for true in truth for name in true.names))
    methods = pair_methods_with_truth(predictions, truth, names)
    for name, pairs in methods.items():
        check_radians(name, pairs)
    methods |= pair_methods_with_truth(angle_controls(truth, training), truth, names)
    notes = tuple(unknown_angles(predictions, truth))
    return _curvature_table_of(methods, names, notes), _level_table(methods, names, notes)


def angle_controls(
    truth: Sequence[PointSequence], training: Sequence[PointSequence]
) -> dict[str, tuple[PointSequence, ...]]:
    """Predictions without measurement: the mean of other people's frames, and each trial's true mean in all frames."""
    means = {CONSTANT_CONTROL: [mean_of_known(true.values, 0) for true in truth]}
    if training:
        of_others = [np.array([_mean_of_angle(training, name) for name in true.names]) for true in truth]
        means = {MEAN_CONTROL: of_others, **means}
    return {
        control: tuple(
            replace(true, values=np.tile(mean, (len(true.frames), 1)), deviation=None)
            for true, mean in zip(truth, own, strict=True)
        )
        for control, own in means.items()
    }


def _mean_of_angle(sequences: Sequence[PointSequence], name: str) -> float:
    values = [s.values[:, s.names.index(name)] for s in sequences if name in s.names]
    return float(mean_of_known(np.concatenate(values), 0)) if values else float("nan")


def angle_figures_of(pairs: Sequence[PointPair], name: str) -> dict[str, float]:
    """`angle_figures` of one angle over all trials that have it; NaN where it was not predicted."""
    if name not in pairs[0].names:
        return dict.fromkeys(_ANGLE_FIGURE_FORMATS, float("nan")) | {"found": 0.0}
    column = pairs[0].names.index(name)
    with_truth = [pair for pair in pairs if np.isfinite(pair.truth[:, column]).any()]
    deviations = [np.full_like(p.estimate, np.nan) if p.deviation is None else p.deviation for p in with_truth]
    return angle_figures(
        [pair.estimate[:, column] for pair in with_truth],
        [pair.truth[:, column] for pair in with_truth],
        [deviation[:, column] for deviation in deviations],
    )


def _rmse_interval(pairs: Sequence[PointPair], name: str) -> TableCell:
    """Interval of an angle's root mean square error, degrees; NaN where there is none."""
    if name not in pairs[0].names:
        return None
    column = pairs[0].names.index(name)
    squares = [wrap_angles(pair.estimate[:, column] - pair.truth[:, column]) ** 2 for pair in pairs]
    means = [float(mean_of_known(squared, 0)) for squared in squares]
    counts = [np.isfinite(squared).sum() for squared in squares]
    low, high = np.degrees(np.sqrt(bootstrap_mean(means, [pair.subject for pair in pairs], counts))).tolist()
    return low, high


def _curvature_table_of(
    methods: Mapping[str, Sequence[PointPair]], names: Sequence[str], notes: tuple[str, ...]
) -> EvaluationTable:
    columns = [TableColumn(head, unit, digits) for head, _, unit, digits in _ANGLE_FIGURE_FORMATS.values()]
    columns.append(TableColumn(f"RMSE, {INTERVAL_ROW}", "°"))
    rows = []
    for method, pairs in methods.items():
        for name in (curve for curve in CURVATURE_NAMES if curve in names):
            figures = angle_figures_of(pairs, name)
            cells: list[TableCell] = [factor * figures[key] for key, (_, factor, _, _) in _ANGLE_FIGURE_FORMATS.items()]
            remark = _why_empty(pairs, name, figures)
            rows.append(TableRow(method, name, (*cells, _rmse_interval(pairs, name)), remark=remark))
    return noted_table("angles_curves", columns, rows, notes, movement=np.degrees(MIN_MOVEMENT_RANGE))


def _level_table(
    methods: Mapping[str, Sequence[PointPair]], names: Sequence[str], notes: tuple[str, ...]
) -> EvaluationTable:
    columns = tuple(
        TableColumn(f"{plane} {_ANGLE_FIGURE_FORMATS[key][0]}", *_ANGLE_FIGURE_FORMATS[key][2:])
        for plane in MOTION_PLANES
        for key in _BY_LEVEL
    )
    endings = tuple(f" {plane}" for plane in MOTION_PLANES)
    levels = {name: name.removesuffix(end) for name in names for end in endings if name.endswith(end)}
    rows = []
    for method, pairs in methods.items():
        for level in dict.fromkeys(levels.values()):
            angles = [level + end for end in endings]
            by_plane = [angle_figures_of(pairs, name) for name in angles]
            cells = tuple(_ANGLE_FIGURE_FORMATS[key][1] * figures[key] for figures in by_plane for key in _BY_LEVEL)
            rows.append(TableRow(method, level, cells, remark=_without_deviations(pairs, angles)))
    return noted_table("angles_levels", columns, rows, notes, movement=np.degrees(MIN_MOVEMENT_RANGE))


def _why_empty(pairs: Sequence[PointPair], name: str, figures: Mapping[str, float]) -> str:
    """Why cells of a row of an angle are empty."""
    if not figures["found"] > 0:
        return "not predicted"
    reasons = [_without_deviations(pairs, [name])]
    if not np.isfinite(figures["correlation"]):
        reasons.append("no r: estimate or truth at rest")
    column = pairs[0].names.index(name)
    reasons.append(interval_remark(pair.subject for pair in pairs if np.isfinite(pair.estimate[:, column]).any()))
    return "; ".join(filter(None, reasons))


def _without_deviations(pairs: Sequence[PointPair], names: Sequence[str]) -> str:
    """Why there is no coverage of these angles; '' where there is."""
    columns = [i for i, name in enumerate(pairs[0].names) if name in names]
    if not any(np.isfinite(pair.estimate[:, columns]).any() for pair in pairs):
        return "not predicted"
    known = any(pair.deviation is not None and np.isfinite(pair.deviation[:, columns]).any() for pair in pairs)
    return "" if known else "no coverage: no deviations in the predictions"
