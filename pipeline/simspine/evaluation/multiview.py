"""Points in the world from several views, by the SIMSPINE paper's protocol: distances in mm by region and action."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.evaluation.pairs import PointPair, column_errors, paired_methods
from simspine.evaluation.points import PointSequence
from simspine.evaluation.protocol import COLUMNS
from simspine.evaluation.published import published_rows
from simspine.evaluation.rows import INTERVAL_NOTE, distance_rows, found_notes
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.metrics import acceleration_errors, velocity_errors

TITLES = {"multiview_mpjpe": "World MPJPE by region", "multiview_p_mpjpe": "P-MPJPE by region"}
_SIZES = ", ".join(f"{name} {len(points)}" for name, points in COLUMNS.items())
_NOTES = {
    "multiview_mpjpe": (f"Mean distance in the world. Points of each column: {_SIZES}.", INTERVAL_NOTE),
    "multiview_p_mpjpe": ("After a similarity per frame, fitted to each column's own points.", INTERVAL_NOTE),
}


def evaluate_multiview(
    predictions: Mapping[str, Sequence[PointSequence]], truth: Sequence[PointSequence]
) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: predicted points}, beside the published one: MPJPE, P-MPJPE, and motion.

    truth: the same trials in the world, m. Raises `InputError` where a method predicts none of them.
    """
    pairs = paired_methods(predictions, truth)
    columns = tuple(TableColumn(name) for name in COLUMNS)
    tables = []
    for (name, title), measure in zip(TITLES.items(), ("world", "aligned"), strict=True):
        rows: list[TableRow] = []
        for method, own in pairs.items():
            rows += distance_rows(method, own, column_errors(own, COLUMNS, measure))
        found = found_notes(pairs, truth[0].names)
        rows += published_rows(name, columns)
        tables.append(EvaluationTable(name, title, columns, tuple(rows), (*_NOTES[name], *found)))
    return (*tables, motion_table(pairs))


def motion_table(pairs: Mapping[str, Sequence[PointPair]]) -> EvaluationTable:
    """Errors of velocity and acceleration by region, mean over neighbouring frames; empty where none are neighbours."""
    columns = tuple(
        TableColumn(f"{kind} {name}", unit, digits)
        for kind, unit, digits in (("velocity", "mm/s", 1), ("acceleration", "m/s²", 2))
        for name in COLUMNS
    )
    rows = []
    for method, own in pairs.items():
        cells = [
            factor * _mean([_motion(measure, pair, names) for pair in own])
            for measure, factor in ((velocity_errors, 1e3), (acceleration_errors, 1.0))
            for names in COLUMNS.values()
        ]
        remark = "" if np.isfinite(cells).any() else _why_still(own)
        rows.append(TableRow(method, "mean over frames", tuple(cells), remark=remark))
    notes = ("Mean length of the difference between estimated and true velocities and accelerations, by differences.",)
    return EvaluationTable("multiview_motion", "Errors of motion by region", columns, tuple(rows), notes)


def _why_still(pairs: Sequence[PointPair]) -> str:
    """Why nothing is known of motion."""
    if all(pair.rate is None for pair in pairs):
        return "no velocities: the truth has no rate"
    return "no velocities: no two frames that follow one another are predicted"


def _motion(measure, pair: PointPair, names: Sequence[str]) -> np.ndarray:
    if pair.rate is None or not set(names) <= set(pair.names):
        return np.zeros(0)
    columns = [pair.names.index(name) for name in names]
    return measure(pair.estimate[:, columns], pair.truth[:, columns], pair.rate, pair.frames)


def _mean(arrays: Sequence[np.ndarray]) -> float:
    values = np.concatenate([np.ravel(array) for array in arrays])
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")
