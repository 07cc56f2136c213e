"""Rows that every table of distances has: each action, two kinds of mean, and how well the mean is known."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol

import numpy as np

from simspine.evaluation.other_axes import other_axes
from simspine.evaluation.pairs import PointPair
from simspine.evaluation.protocol import in_row_order
from simspine.evaluation.tables import Cell, TableRow
from simspine.metrics import bootstrap_mean

OVER_FRAMES, OVER_ACTIONS = "mean over frames", "mean over actions"


class OfTrial(Protocol):
    """What belongs to a trial of a person."""

    @property
    def subject(self) -> str: ...

    @property
    def trial(self) -> str: ...


def _trial(item: OfTrial) -> Hashable:
    return item.subject, item.trial


def _subject(item: OfTrial) -> Hashable:
    return item.subject


INTERVALS: Mapping[str, Callable[[OfTrial], Hashable]] = {"95 % by trial": _trial, "95 % by subject": _subject}
INTERVAL_NOTE = (
    "95 %: interval of the mean over frames, whole trials or people drawn anew 2000 times; of two people it spans from "
    "one's mean to the other's."
)


def distance_rows(
    method: str, pairs: Sequence[PointPair], errors: Mapping[str, Sequence[np.ndarray]]
) -> tuple[TableRow, ...]:
    """A row per action, both means and their intervals, mm. errors: {column: (frames, points) m of each pair}."""
    rows: list[tuple[str, tuple[Cell, ...]]] = [(OVER_FRAMES, tuple(mean_mm(own) for own in errors.values()))]
    by_action = {
        action: tuple(
            mean_mm([own[i] for i, pair in enumerate(pairs) if pair.action == action]) for own in errors.values()
        )
        for action in in_row_order(pair.action for pair in pairs)
    }
    rows.append((OVER_ACTIONS, tuple(_mean(values) for values in zip(*by_action.values(), strict=True))))
    rows += [(label, interval_cells(pairs, errors, label)) for label in INTERVALS]
    why = {label: interval_remark([pair for pair in pairs if pair.found > 0], label) for label in INTERVALS}
    return tuple(
        TableRow(method, label, cells, remark=why.get(label, "")) for label, cells in (*rows, *by_action.items())
    )


def interval_cells(
    pairs: Sequence[PointPair], errors: Mapping[str, Sequence[np.ndarray]], label: str
) -> tuple[Cell, ...]:
    """The interval `label` of `INTERVALS` of each column's mean over frames and points, mm."""
    cells: list[Cell] = []
    clusters = [INTERVALS[label](pair) for pair in pairs]
    for own in errors.values():
        low, high = bootstrap_mean([mean_mm([e]) for e in own], clusters, [np.isfinite(e).sum() for e in own])
        cells.append((low, high) if np.isfinite([low, high]).all() else None)
    return tuple(cells)


def interval_remark(items: Sequence[OfTrial], label: str) -> str:
    """Why the interval `label` of `INTERVALS` of what was predicted is empty; '' where it is not, or nothing was."""
    one = len({INTERVALS[label](item) for item in items}) == 1
    return no_interval(label) if one else ""


def no_interval(label: str) -> str:
    """Why an interval, '95 % by …', is empty: there is only one of those."""
    return f"no interval: one {label.rpartition(' ')[2]} only"


def mean_mm(errors: Sequence[np.ndarray]) -> float:
    """Mean over all frames and points, m to mm; NaN where there is nothing."""
    return 1e3 * _mean(np.concatenate([np.ravel(error) for error in errors])) if errors else float("nan")


def _mean(values) -> float:
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")


def found_notes(methods: Mapping[str, Sequence[PointPair]], wanted: Sequence[str]) -> tuple[str, ...]:
    """`found_note` of each method, methods of which the same is to be said together."""
    alike: dict[str, list[str]] = {}
    for method, pairs in methods.items():
        alike.setdefault(found_note(pairs, wanted), []).append(method)
    if len(alike) == 1 < len(methods):
        return tuple(f"All methods: {said}" for said in alike)
    return tuple(f"{'; '.join(names)}: {said}" for said, names in alike.items())


def found_note(pairs: Sequence[PointPair], wanted: Sequence[str]) -> str:
    """What the means are over: people, trials, frames, how much was predicted, and which points `wanted` are not; and
    whether the axes look like others.
    """
    frames = sum(len(pair.frames) for pair in pairs)
    true = sum(int(np.isfinite(pair.truth).all(-1).sum()) for pair in pairs)
    both = sum(int((np.isfinite(pair.truth) & np.isfinite(pair.estimate)).all(-1).sum()) for pair in pairs)
    people = ", ".join(dict.fromkeys(pair.subject for pair in pairs))
    share = f"{100 * both / true:.1f} % of the true places predicted" if true else "nothing is true"
    lacking = ", ".join(name for name in wanted if name not in pairs[0].names)
    without = f" Not predicted at all: {lacking}; columns with these points are empty." if lacking else ""
    size = f"{len(pairs)} sequence{'s' * (len(pairs) != 1)}, {frames} frames"
    found = f"{people}; {size}; {share}. What is not predicted counts nowhere.{without}"
    return f"{found} {other_axes(pairs)}".rstrip()
