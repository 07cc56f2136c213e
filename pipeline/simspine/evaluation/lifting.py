"""Points from one view, by the SIMSPINE paper's protocol: fifteen spine points relative to the root, at 1 Hz."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.evaluation.pairs import PointPair, column_errors, paired_methods
from simspine.evaluation.points import PointSequence
from simspine.evaluation.protocol import LIFTING_STEP, ROOT, SPINE, SPINE_COLUMNS, in_row_order
from simspine.evaluation.published import published_rows
from simspine.evaluation.rows import (
    INTERVAL_NOTE,
    INTERVALS,
    OVER_ACTIONS,
    OVER_FRAMES,
    distance_rows,
    found_notes,
    interval_cells,
    interval_remark,
    mean_mm,
)
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.sources.human36m.names import ACTIONS

ALL = "all"
KINDS = {"P-MPJPE": "aligned", "MPJPE": "rooted", "N-MPJPE": "scaled"}
_NOTES = (
    f"Points relative to {ROOT}. P-MPJPE: after a similarity per frame, fitted to each column's own points. N-MPJPE: "
    "after a scale per frame.",
    "The root is put back with zero error and counts in lumbar and spine, as in the paper; 'no root' leaves it out.",
    INTERVAL_NOTE,
)


def evaluate_lifting(
    predictions: Mapping[str, Sequence[PointSequence]], truth: Sequence[PointSequence], step: int = LIFTING_STEP
) -> tuple[EvaluationTable, ...]:
    """Tables of methods, {name: predicted points}, beside the published ones: by region, and P-MPJPE by action.

    truth: the same trials, and the same cameras where predictions are in a camera's axes. Of it the frames whose number
    is a multiple of `step` count. The fifteen spine points are needed; a prediction without the root has it at zero.
    Raises `InputError` where a method predicts none of the trials.
    """
    thinned = [every(sequence, step) for sequence in truth]
    pairs = paired_methods({m: [_with_root(s) for s in own] for m, own in predictions.items()}, thinned, SPINE)
    found = found_notes(pairs, SPINE)
    used = f"Every {step}th frame of the truth is used." if step > 1 else "Every frame of the truth is used."
    notes = (*_NOTES, used, *found)
    return _by_region(pairs, notes), _by_action(pairs, notes)


def every(sequence: PointSequence, step: int) -> PointSequence:
    """The frames whose number is a multiple of `step`."""
    return sequence.select(sequence.names, sequence.frames[sequence.frames % step == 0])


def _with_root(sequence: PointSequence) -> PointSequence:
    """Networks leave the root out; relative to itself it is zero."""
    if ROOT in sequence.names:
        return sequence
    present = np.isfinite(sequence.xyz).all(-1).any(1)
    root = np.where(present[:, None, None], np.zeros((len(sequence.frames), 1, 3)), np.nan)
    return PointSequence(
        sequence.subject, sequence.trial, sequence.frames, (ROOT, *sequence.names),
        np.concatenate([root, sequence.xyz], 1), sequence.axes, sequence.camera, sequence.action, None, sequence.rate,
    )  # fmt: skip


def _by_region(pairs: Mapping[str, Sequence[PointPair]], notes: tuple[str, ...]) -> EvaluationTable:
    """The paper's Table 6 with N-MPJPE, and without the root."""
    rootless = {f"{name}, no root": [p for p in SPINE_COLUMNS[name] if p != ROOT] for name in ("lumbar", "spine")}
    columns = [TableColumn(f"{kind} {name}") for kind in KINDS for name in SPINE_COLUMNS]
    columns += [TableColumn(f"MPJPE {name}") for name in rootless]
    rows = []
    for method, own in pairs.items():
        errors = {
            f"{kind} {name}": values
            for kind, measure in KINDS.items()
            for name, values in column_errors(own, SPINE_COLUMNS, measure).items()
        }
        errors |= {f"MPJPE {name}": values for name, values in column_errors(own, rootless, "rooted").items()}
        for row in distance_rows(method, own, errors)[: 2 + len(INTERVALS)]:
            rows.append(replace(row, label=ALL if row.label == OVER_FRAMES else row.label))
    rows += published_rows("lifting_regions", columns)
    return EvaluationTable("lifting_regions", "Lifting: errors by region", tuple(columns), tuple(rows), notes)


def _by_action(pairs: Mapping[str, Sequence[PointPair]], notes: tuple[str, ...]) -> EvaluationTable:
    """The paper's Table 5: P-MPJPE of the spine by action, a row a method."""
    there = in_row_order(pair.action for own in pairs.values() for pair in own)
    actions = [*ACTIONS, *(action for action in there if action not in ACTIONS)]
    columns = tuple(TableColumn(name) for name in (*actions, OVER_FRAMES, OVER_ACTIONS))
    rows = []
    for method, own in pairs.items():
        errors = column_errors(own, {"spine": SPINE}, "aligned")["spine"]
        by_action = [mean_mm([e for e, p in zip(errors, own, strict=True) if p.action == a]) for a in actions]
        over = np.array(by_action)[np.isfinite(by_action)]
        cells = (*by_action, mean_mm(errors), float(over.mean()) if over.size else float("nan"))
        rows.append(TableRow(method, ALL, cells))
        for label in INTERVALS:
            (interval,) = interval_cells(own, {"spine": errors}, label)
            remark = interval_remark([pair for pair in own if pair.found > 0], label)
            rows.append(TableRow(method, label, (*(None for _ in actions), interval, None), remark=remark))
    rows += published_rows("lifting_actions", columns)
    return EvaluationTable("lifting_actions", "Lifting: P-MPJPE of the spine by action", columns, tuple(rows), notes)
