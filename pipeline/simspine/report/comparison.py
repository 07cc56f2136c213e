"""Trials or visits of one person beside each other: clinical parameters, and which differ beyond their errors."""

import math
from collections.abc import Mapping, Sequence

from simspine.quality.clinical_figures import FOLLOWS, GIVEN, ClinicalFigure
from simspine.report.content import PageTable, number

MOST = 4  # trials side by side; more are for the table of trials
NORMAL_95 = 1.96  # standard deviations to either side
BEYOND, WITHIN, UNKNOWN = "● beyond its error", "within its error", "no ± known"
NOTE = (
    "Mean over the frames kept ± 95 %, and from … to: trials of the same movement can be compared, others cannot. "
    "Difference: the last trial less the first; its ± takes the errors of both as having nothing in common, which is "
    "too wide where the same cameras and body model were off in the same way. Change of range: by how much the way "
    "from least to greatest grew; errors that last through a trial drop out of it, and no ± of it is known. Angles "
    "that the model sets are left out."
)
_SIGNS = {"deg": "°", "mm": " mm"}


def comparison_table(trials: Mapping[str, Sequence[ClinicalFigure]]) -> PageTable | None:
    """A row for each parameter that two trials or more know, a column for each trial; None for one trial, or many.

    trials: {name: its figures}, in the order of the visits.
    """
    if not 2 <= len(trials) <= MOST:
        return None
    by_name = [{figure.name: figure for figure in figures if _own(figure)} for figures in trials.values()]
    rows = []
    for name in dict.fromkeys(name for figures in by_name for name in figures):
        found = [figures.get(name) for figures in by_name]
        known = [figure for figure in found if figure is not None]
        if len(known) > 1:
            rows.append(
                (
                    known[0].label,
                    *map(_cell, found),
                    *_difference(known[0], known[-1]),
                    _range_change(known[0], known[-1]),
                )
            )
    columns = ("Angle", *trials, "Difference", "Change is", "Change of range")
    return PageTable(columns, tuple(rows), NOTE) if rows else None


def _own(figure: ClinicalFigure) -> bool:
    """Whether it says something of the person in this trial."""
    return figure.mean is not None and figure.decided not in (GIVEN, FOLLOWS)


def _cell(figure: ClinicalFigure | None) -> str:
    if figure is None or figure.mean is None:
        return "–"
    span = f" ({number(figure.low, 0)} … {number(figure.high, 0)})"
    return _text(figure.mean, figure.sd, figure.unit) + span.replace("-", "−").replace(" ", "\u00a0")


def _difference(first: ClinicalFigure, last: ClinicalFigure) -> tuple[str, str]:
    """How far the last is from the first, and the verdict on it."""
    by = (last.mean or 0.0) - (first.mean or 0.0)
    if first.sd is None or last.sd is None:
        return _text(by, None, last.unit, "+" if by > 0 else ""), UNKNOWN
    sd = math.hypot(first.sd, last.sd)
    return _text(by, sd, last.unit, "+" if by > 0 else ""), BEYOND if abs(by) > NORMAL_95 * sd else WITHIN


def _range_change(first: ClinicalFigure, last: ClinicalFigure) -> str:
    """By how much the way from the least to the greatest value grew."""
    before, after = ((figure.high or 0.0) - (figure.low or 0.0) for figure in (first, last))
    return _text(after - before, None, last.unit, "+" if after > before else "")


def _text(value: float, sd: float | None, unit: str, plus: str = "") -> str:
    """'12.5 ± 14°': value ± 95 %, with minus signs and spaces at which no line ends."""
    digits = 0 if unit == "mm" else 1
    spread = "" if sd is None else f" ± {number(NORMAL_95 * sd, digits)}"
    return f"{plus}{number(value, digits)}{spread}{_SIGNS[unit]}".replace("-", "−").replace(" ", "\u00a0")
