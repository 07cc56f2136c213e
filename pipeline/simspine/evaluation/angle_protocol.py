"""A protocol of ours for angles: lordosis, kyphosis and the levels of the spine, with controls that know no frame.

A file of angles is a table with a row per frame (`simspine.evaluation.point_sources`) and these columns: `names`,
(angles,) texts: 'LLA', 'TKA', and 'L4-L5 flexion', 'L4-L5 lateral bending', 'L4-L5 axial rotation' of each level;
`angle`, (rows, angles) rad, NaN = missing; `deviation`, standard deviations of the same shape, or left out.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from simspine.anatomy.curvature import MOTION_PLANES, SEGMENT_LEVELS
from simspine.core.arrays import mean_of_known
from simspine.core.errors import InputError, nearest_name
from simspine.core.geometry import wrap_angles
from simspine.dataset.recordings import open_dataset
from simspine.evaluation.metrics import MIN_MOVEMENT_RANGE, angle_figures, bootstrap_mean
from simspine.evaluation.pairs import INTERVAL_NOTE, INTERVAL_ROW, interval_remark
from simspine.evaluation.point_sources import (
    checked_fields,
    kind_of_source,
    sequences_of_table,
)
from simspine.evaluation.tables import EvaluationTable, TableCell, TableColumn, TableRow, trial_key
from simspine.io.hdf5 import read_store

CURVATURE_NAMES = ("LLA", "TKA")


@dataclass(frozen=True, eq=False)
class AngleSequence:
    """Angles of one subject in some frames of one trial.

    subject, trial, action, frames, rate: as of `PointSequence`. names: (angles,), as in a file. angle: (n, angles) rad,
    LLA and TKA within ±2π, NaN = missing. deviation: standard deviations, shape and unit of angle, or None.
    """

    subject: str
    trial: str
    frames: np.ndarray
    names: tuple[str, ...]
    angle: np.ndarray
    action: str = ""
    deviation: np.ndarray | None = None
    rate: float | None = None

    def __post_init__(self):
        where = f"angles of {self.subject}/{self.trial}"
        fields = checked_fields(where, self, "angle", ())
        _check_turn(where, fields["angle"], fields["names"])
        for name, value in fields.items():
            object.__setattr__(self, name, value)


def _check_turn(where: str, angle: np.ndarray, names: Sequence[str]) -> None:
    """`InputError` for LLA or TKA beyond a whole turn; angle: (frames, angles) rad.

    Rotations are not asked: those of a person who walks in circles count the turns.
    """
    curves = np.array([name in CURVATURE_NAMES for name in names], bool)
    beyond = np.argwhere((np.abs(angle) > 2 * np.pi) & curves)
    if len(beyond):
        row, column = beyond[0]
        raise InputError(
            f"{where}: {names[column]} is {angle[row, column]:.4g}, more than a whole turn in radians (2π). Angles in "
            "degrees? Hand them in in radians, within ±2π."
        )


def read_angles(path: str | os.PathLike) -> tuple[AngleSequence, ...]:
    """Angles of all trials of a table, a data set (the frames it keeps) or a virtual capture (what is true).

    Raises `InputError` for anything else, and for files that are damaged.
    """
    path = Path(path)
    kind = kind_of_source(path)
    if kind == "trc":
        raise InputError(f"{path}: TRC files hold no angles. Give a table of angles, a data set or a virtual capture.")
    read = {"table": _of_table, "dataset": _of_dataset, "capture": _of_capture}[kind]
    found = tuple(read(path))
    if not found:
        raise InputError(f"{path}: holds no trial with angles.")
    return found


def _of_table(path: Path) -> Iterable[AngleSequence]:
    return sequences_of_table(path, "angle", (), needed=(), make=AngleSequence)


def _of_dataset(path: Path) -> Iterator[AngleSequence]:
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
            names, rate = angle_names(trial.levels), recording.rate
            yield AngleSequence(
                recording.subject, recording.name, frames, names, angle=angle, deviation=spread, rate=rate
            )


def _of_capture(folder: Path) -> Iterator[AngleSequence]:
    for path in sorted((folder / "truth").glob("*/*.h5")):
        found = read_store(path, ["levels", "angles", "lla", "tka", "motion"])
        subject = path.parent.name
        trial, frames = path.stem.removeprefix(f"{subject}_"), np.arange(len(found["lla"]))
        names, angle = angle_names(found["levels"]), stacked_angles(found["lla"], found["tka"], found["angles"])
        yield AngleSequence(subject, trial, frames, names, angle=angle, rate=found["motion"].rate)


def angle_names(levels: Sequence[str]) -> tuple[str, ...]:
    """Names of LLA, TKA and the three angles of each level, in the order of `stacked_angles`."""
    return (*CURVATURE_NAMES, *(f"{level} {plane}" for level in levels for plane in MOTION_PLANES))


def stacked_angles(lla: np.ndarray, tka: np.ndarray, levels: np.ndarray | None, count: int = 0) -> np.ndarray:
    """(frames, 2 + 3 levels): LLA, TKA and levels (frames, levels, 3); `count` levels of NaN where they are None."""
    own = np.full((len(lla), count, 3), np.nan) if levels is None else np.asarray(levels)
    return np.column_stack([lla, tka, own.reshape(len(lla), -1)])


def angle_course(sequences: Mapping[tuple, AngleSequence], truth: AngleSequence, key: tuple, name: str) -> tuple:
    """(estimate, deviation or None): (frames,) rad of one angle in the truth's frames, NaN where there is none."""
    estimate = np.full(len(truth.frames), np.nan)
    found = sequences.get(key)
    if found is None or name not in found.names:
        return estimate, None
    column = found.names.index(name)
    _, rows, own = np.intersect1d(truth.frames, found.frames, return_indices=True)
    estimate[rows] = found.angle[own, column]
    if found.deviation is None:
        return estimate, None
    deviation = np.full(len(truth.frames), np.nan)
    deviation[rows] = found.deviation[own, column]
    return estimate, deviation


# Predicted angles that are no radians, or that bear names the truth does not know.


DEGREES_RATIO = np.degrees(1.0)  # sizes relative to the truth's of angles in degrees
SIZE_RATIO_TOLERANCE = 1.5  # such sizes may be this many times smaller or larger: predictions err
GROUND_SEGMENT_ANGLES = tuple(
    f"{segment.name} {plane}" for segment in SEGMENT_LEVELS for plane in MOTION_PLANES
)  # these may count turns


def check_radians(method: str, own: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence]) -> None:
    """`InputError` where a method's angles are as much larger than the true ones as degrees are than radians.

    own: the method's sequences by subject and `trial_key`. Compared are root mean squares over all values that are
    both predicted and true, without rotations in space.
    """
    found, exact = [], []
    for true in truth:
        for column, name in enumerate(true.names):
            if name not in GROUND_SEGMENT_ANGLES:
                found.append(angle_course(own, true, (true.subject, trial_key(true.trial)), name)[0])
                exact.append(true.angle[:, column])
    predicted, known = np.concatenate([[], *found]), np.concatenate([[], *exact])
    both = np.isfinite(predicted) & np.isfinite(known)
    if not both.any():
        return
    size, true_size = (float(np.sqrt(np.mean(values[both] ** 2))) for values in (predicted, known))
    if DEGREES_RATIO / SIZE_RATIO_TOLERANCE < size / max(true_size, 1e-6) < DEGREES_RATIO * SIZE_RATIO_TOLERANCE:
        raise InputError(
            f"{method}: the predicted angles are {size:.3g} in size (RMS), the true ones {true_size:.3g} rad. They "
            "seem to be in degrees; hand them in in radians."
        )


def unknown_angles(
    predictions: Mapping[str, Sequence[AngleSequence]], truth: Sequence[AngleSequence]
) -> tuple[str, ...]:
    """A note for each method with angles that the truth does not hold, with the nearest one that it does."""
    known = list(dict.fromkeys(name for true in truth for name in true.names))
    notes = []
    for method, own in predictions.items():
        names = dict.fromkeys(name for sequence in own for name in sequence.names if name not in known)
        if names:
            said = ", ".join(f"{name!r}{_similar_level_name(name, known)}" for name in names)
            notes.append(f"{method}: no angles of the truth, and left out: {said}.")
    return tuple(notes)


def _similar_level_name(name: str, known: Sequence[str]) -> str:
    meant = nearest_name(name, known)
    return "" if meant is None else f" (did you mean {meant!r}?)"


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
_ANGLE_TABLE_NOTES = (
    "bias-free: standard deviation of the error over all frames. change: root mean square error of what differs from "
    "the trial's mean. r: mean correlation over the trials whose true range is "
    f"{np.degrees(MIN_MOVEMENT_RANGE):g}° or more. coverage: share of errors inside the 90 % interval. found: share of "
    "the true values that were predicted; what is not counts nowhere else.",
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
    methods = {name: angles_by_trial(name, own, truth) for name, own in predictions.items()}
    for name, sequences in methods.items():
        check_radians(name, sequences, truth)
    unknown = unknown_angles(predictions, truth)
    methods |= {name: angles_by_trial(name, own, truth) for name, own in angle_controls(truth, training).items()}
    return tuple(
        replace(made(methods, truth), notes=(*unknown, *_ANGLE_TABLE_NOTES))
        for made in (_curvature_table_of, _level_table)
    )


def angles_by_trial(
    method: str, own: Sequence[AngleSequence], truth: Sequence[AngleSequence]
) -> dict[tuple, AngleSequence]:
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


def angle_controls(
    truth: Sequence[AngleSequence], training: Sequence[AngleSequence]
) -> dict[str, tuple[AngleSequence, ...]]:
    """What needs no measurement: the mean over other people's frames, and each trial's own true mean throughout."""
    found: dict[str, tuple[AngleSequence, ...]] = {}
    if training:
        found[MEAN_CONTROL] = tuple(
            _constant_angles(true, [_mean_of(training, name) for name in true.names]) for true in truth
        )
    own = [mean_of_known(true.angle, 0) for true in truth]
    found[CONSTANT_CONTROL] = tuple(_constant_angles(true, means) for true, means in zip(truth, own, strict=True))
    return found


def _constant_angles(true: AngleSequence, means: Sequence[float] | np.ndarray) -> AngleSequence:
    return replace(true, angle=np.tile(np.asarray(means, float), (len(true.frames), 1)), deviation=None)


def _mean_of(sequences: Sequence[AngleSequence], name: str) -> float:
    values = [s.angle[:, s.names.index(name)] for s in sequences if name in s.names]
    return float(mean_of_known(np.concatenate(values), 0)) if values else float("nan")


def angle_figures_of(
    sequences: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence], names: Sequence[str]
) -> dict[str, float]:
    """`angle_figures` of one or several angles together, over all trials that have them."""
    estimates, exact, deviations = [], [], []
    for true in truth:
        for name in names:
            if name in true.names:
                found, deviation = angle_course(sequences, true, (true.subject, trial_key(true.trial)), name)
                estimates.append(found)
                exact.append(true.angle[:, true.names.index(name)])
                deviations.append(np.full(len(found), np.nan) if deviation is None else deviation)
    return angle_figures(estimates, exact, deviations)


def _rmse_interval(sequences: Mapping[tuple, AngleSequence], truth: Sequence[AngleSequence], name: str) -> TableCell:
    """Interval of an angle's root mean square error, degrees; None where there is none."""
    trials = [true for true in truth if name in true.names]
    squares, counts = [], []
    for true in trials:
        found, _ = angle_course(sequences, true, (true.subject, trial_key(true.trial)), name)
        square = wrap_angles(found - true.angle[:, true.names.index(name)]) ** 2
        squares.append(float(mean_of_known(square, 0)))
        counts.append(np.isfinite(square).sum())
    low, high = np.degrees(np.sqrt(bootstrap_mean(squares, [true.subject for true in trials], counts))).tolist()
    return (low, high) if np.isfinite([low, high]).all() else None


def _curvature_table_of(
    methods: Mapping[str, Mapping[tuple, AngleSequence]], truth: Sequence[AngleSequence]
) -> EvaluationTable:
    columns = [TableColumn(head, unit, digits) for head, _, unit, digits in _ANGLE_FIGURE_FORMATS.values()]
    columns.append(TableColumn(f"RMSE, {INTERVAL_ROW}", "°"))
    rows = []
    for method, own in methods.items():
        for name in (curve for curve in CURVATURE_NAMES if any(curve in true.names for true in truth)):
            figures = angle_figures_of(own, truth, [name])
            cells: list[TableCell] = [factor * figures[key] for key, (_, factor, _, _) in _ANGLE_FIGURE_FORMATS.items()]
            cells.append(_rmse_interval(own, truth, name))
            rows.append(TableRow(method, name, tuple(cells), remark=_why_empty(own, truth, name, figures)))
    return EvaluationTable(
        "angles_curves", "Lumbar lordosis (LLA) and thoracic kyphosis (TKA)", tuple(columns), tuple(rows)
    )


def _level_table(
    methods: Mapping[str, Mapping[tuple, AngleSequence]], truth: Sequence[AngleSequence]
) -> EvaluationTable:
    columns = tuple(
        TableColumn(f"{plane} {_ANGLE_FIGURE_FORMATS[key][0]}", *_ANGLE_FIGURE_FORMATS[key][2:])
        for plane in MOTION_PLANES
        for key in _BY_LEVEL
    )
    known = dict.fromkeys(name for true in truth for name in true.names if name not in CURVATURE_NAMES)
    levels = list(
        dict.fromkeys(
            name.removesuffix(f" {plane}") for name in known for plane in MOTION_PLANES if name.endswith(plane)
        )
    )
    rows = []
    for method, own in methods.items():
        for level in levels:
            names = [f"{level} {plane}" for plane in MOTION_PLANES]
            found = [angle_figures_of(own, truth, [name]) for name in names]
            cells = tuple(_ANGLE_FIGURE_FORMATS[key][1] * figures[key] for figures in found for key in _BY_LEVEL)
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
    reasons.append(interval_remark(true.subject for true in found))
    return "; ".join(filter(None, reasons))


def _without_deviations(own: Mapping[tuple, AngleSequence], names: Sequence[str]) -> str:
    """Why there is no coverage of these angles; '' where there is."""
    there = [sequence for sequence in own.values() if set(names) & set(sequence.names)]
    if not there:
        return "not predicted"
    known = any(s.deviation is not None and np.isfinite(s.deviation).any() for s in there)
    return "" if known else "no coverage: no deviations in the predictions"
