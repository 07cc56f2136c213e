"""Figures of a page: changes between trials, cycles of a movement, the spine of one frame."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.alignment import CYCLE_PERCENT
from simspine.anatomy.clinical import CLINICAL_DEFINITIONS, SIDE_WORDS
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError
from simspine.quality.observability import ClinicalFigure
from simspine.report import figure_style as style
from simspine.report.page import UNIT_SIGNS, PageTable, interval_text, is_beyond, named_notes, number_text, unbreakable
from simspine.report.tables import is_range_shown, label_with_sign, mean_cell, moves, range_of, with_marks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


MAX_TRIALS_COMPARED = 4  # trials side by side; more are only in the table of trials
ERROR_UNKNOWN, NOT_DECIDED = "no ± known", "no result"  # not decided by the recording of one of the trials
MOST_NAMED_CHANGES = 4  # in the sentence at the top


@dataclass(frozen=True)
class Change:
    """Change of the mean or the range of a parameter from one trial to another. what: 'mean' or 'range'. by: difference
    in `unit`, 'deg' or 'mm'. sd: of the difference, None where one trial has none. undecided: in one of the trials it
    is no result."""

    label: str
    what: str
    unit: str
    by: float
    sd: float | None
    undecided: bool

    @property
    def exceeds_error(self) -> bool:
        """False for an undecided parameter, whatever the change, and where its ± is not known."""
        return not self.undecided and self.sd is not None and is_beyond(self.by, self.sd, self.unit)

    def __str__(self) -> str:
        """'+23.0 ± 6.4', in brackets where that is within its error, or its ± is not known."""
        text = _without_unit(self.size, self.unit)
        text = text if self.exceeds_error else f"({text})"
        return NOT_DECIDED if self.undecided else text + f", {ERROR_UNKNOWN}" * (self.sd is None)

    @property
    def size(self) -> str:
        """'+23.0 ± 6.4°'."""
        return interval_text(self.by, self.sd, self.unit, signed=True)


def _without_unit(text: str, unit: str) -> str:
    return text.replace(unbreakable(UNIT_SIGNS[unit]), "")


def changes_between(first: ClinicalFigure, last: ClinicalFigure) -> list[Change]:
    """Changes of mean and range, last minus first; errors of both trials are taken as independent.

    A constant of the body, such as pelvic incidence, has no range. It has no change at all where trials share a body.
    """
    means = ("mean", (last.mean or 0.0) - (first.mean or 0.0), first.sd, last.sd)
    ranges = ("range", range_of(last) - range_of(first), first.range_sd, last.range_sd)
    found, undecided = [], not (first.is_decided and last.is_decided)
    is_partial = any(one.is_unreadable or str(one.verdict).startswith("partly") for one in (first, last))
    compared = [means, ranges] if moves(first) or moves(last) else [means] * bool(means[1])
    for what, by, one, other in compared:
        sd = None if one is None or other is None else math.hypot(one, other)
        unused = undecided or (what == "range" and is_partial)
        found.append(Change(with_marks(first.label, first, last), what, last.unit, by=by, sd=sd, undecided=unused))
    return found


def beyond_error(changes: Iterable[Change]) -> str:
    """The changes that are larger than their errors, in a sentence: how many, and those largest for their errors."""
    known = [change for change in changes if change.exceeds_error]
    beyond = sorted(known, key=lambda change: -abs(change.by) / (change.sd or 1.0))
    found = [f"{change.label}, {change.what} {change.size}" for change in beyond[:MOST_NAMED_CHANGES]]
    rest = [f"and {len(beyond) - len(found)} more, below"] * (len(beyond) > len(found))
    return f"Larger than the measurement error: {'; '.join(found + rest) or 'nothing'}."


def known_in_several(trials: Mapping[str, Sequence[ClinicalFigure]]) -> list[list[ClinicalFigure | None]]:
    """For each parameter known in two or more trials: its figure in each trial."""
    by_name = [{figure.name: figure for figure in figures if figure.is_of_person} for figures in trials.values()]
    names = dict.fromkeys(name for figures in by_name for name in figures)
    rows = [[figures.get(name) for figures in by_name] for name in names]
    return [row for row in rows if sum(figure is not None for figure in row) > 1]


def comparison_table(trials: Mapping[str, Sequence[ClinicalFigure]]) -> PageTable | None:
    """A row for each parameter known in two or more trials, a column for each trial; None for one trial, or many.

    trials: {name: its figures}, in the order of the visits.
    """
    if not 2 <= len(trials) <= MAX_TRIALS_COMPARED:
        return None
    rows = []
    for found in known_in_several(trials):
        known = [figure for figure in found if figure is not None]
        if changes := [with_marks(str(one), known[0], known[-1]) for one in changes_between(known[0], known[-1])]:
            differences = changes if len(changes) > 1 else [*changes, "constant"]
            label = label_with_sign(known[0]) + ", mm" * (known[0].unit == "mm")
            rows.append((label, *map(_figure_cell, found), *differences))
    columns = ("In degrees, unless mm is named", *trials, "Difference of means", "Difference of ranges")
    notes = ["compared_means", "compared_ranges", "difference", "compared_assumed"]
    if all(row[-1] == "constant" for row in rows):  # single frames
        columns, rows = columns[:-1], [row[:-1] for row in rows]
        notes.remove("compared_ranges")
    return PageTable(columns, tuple(rows), notes=named_notes(*notes)) if rows else None


def _figure_cell(figure: ClinicalFigure | None) -> str:
    if figure is None or figure.mean is None:
        return "–"
    span = unbreakable(f", {number_text(figure.minimum, 0)} … {number_text(figure.maximum, 0)}")
    mean = _without_unit(mean_cell(replace(figure, doubts=())), figure.unit)
    return with_marks(mean + span * is_range_shown(figure), figure)


_CYCLE_COLUMNS = 3
_MIN_CYCLES_FOR_SD = 3  # least number of cycles for drawing their standard deviation
_MIN_MOVEMENT_RAD = 1e-4  # rad: angles with a smaller range are constants of the body
_SIDE_STYLES = {"r": ("right", style.VIOLET, ""), "l": ("left (dots)", style.RED, "o")}  # label, colour, marker


def cycle_figure(angles: Mapping[str, np.ndarray], spread: Mapping[str, float], unused: Mapping[str, bool]) -> "Figure":
    """A panel for each angle: cycles thin, their mean thick with ± 1 standard deviation.

    angles: {clinical parameter: (cycles, 101) rad}, NaN = not known; those that stay the same are left out. spread:
    {angle: its ± of 95 %, rad}. unused: {angle that is no result: whether it is assumed}; assumed ones are dashed.
    Raises `InputError` where nothing moves.
    """
    moving = [name for name, values in angles.items() if np.nanmax(values) - np.nanmin(values) > _MIN_MOVEMENT_RAD]
    if not moving:
        raise InputError("no angle is known and moves in these cycles; are the frames between the events rejected?")
    panels: dict[str, list[str]] = {}
    for name in moving:
        panels.setdefault(name[:-2] if name[-2:] in ("_r", "_l") else name, []).append(name)
    rows = -(-len(panels) // _CYCLE_COLUMNS)
    with style.matplotlib_style():
        figure = style.new_figure(0.9 + 1.9 * rows)
        grid = figure.subplots(rows, _CYCLE_COLUMNS, sharex=True, squeeze=False).flat
        for number, (axes, names) in enumerate(zip(grid, panels.values(), strict=False)):
            for name in names:
                _draw_cycles(axes, name, np.degrees(angles[name]), unused.get(name, False))
            without = [name for name in names if name in unused]
            known = [np.degrees(spread[name]) for name in without or names if name in spread]
            reach = f"± {max(known):.0f}°" if known else "(°)"
            reach = f"({reach})" if known and without else reach
            side = ", " + SIDE_WORDS[without[0][-1]] if 0 < len(without) < len(names) else ""
            label = CLINICAL_DEFINITIONS[names[0]].label.partition(", ")[0]
            axes.set(title=f"{label}{side} {reach}", xlim=(0, 100))
            axes.tick_params(labelbottom=True)
            if number + _CYCLE_COLUMNS >= len(panels):
                axes.set_xlabel("cycle (%)")
        for axes in figure.axes[len(panels) :]:
            axes.set_visible(False)
        keys = [style.line_key(text, color=colour, marker=dots) for text, colour, dots in _SIDE_STYLES.values()]
        keys += [style.line_key("assumed", color=style.ORANGE, linestyle="--")] if any(unused.values()) else []
        figure.legend(handles=keys, loc="outside upper left", ncols=3)
    return figure


def _draw_cycles(axes: "Axes", name: str, values: np.ndarray, assumed: bool) -> None:
    _, colour, dots = _SIDE_STYLES.get(name[-1] if name[-2:-1] == "_" else "", ("", style.INK_COLOUR, ""))
    look: style.ArtistStyle = (
        {"color": style.ORANGE, "linestyle": "--"} if assumed else {"color": colour, "linestyle": "-"}
    )
    axes.plot(CYCLE_PERCENT, values.T, linewidth=0.6, alpha=0.45, **look)
    known = np.isfinite(values).all(1)
    if known.sum() >= _MIN_CYCLES_FOR_SD:
        mean, sd = values[known].mean(0), values[known].std(0, ddof=1)
        axes.fill_between(CYCLE_PERCENT, mean - sd, mean + sd, color=look["color"], alpha=0.18, linewidth=0)
    if known.any():
        mean = values[known].mean(0)
        axes.plot(CYCLE_PERCENT, mean, linewidth=1.8, marker=dots, markersize=3, markevery=10, **look)


BEYOND_LINE_MM = 25.0  # above the highest point on the skin: vertical distance of a centre from its spinous process
_SPINE_LABELS = ("C7", "T6", "T12", "L3", "S1")


def posture_figure(
    names: Sequence[str], place: np.ndarray, deviation: np.ndarray | None = None, skin: np.ndarray | None = None
) -> "Figure":
    """The centres of the vertebrae in both planes with their 95 % intervals, on one scale.

    place: (levels, 3) mm forwards, upwards and to the right of the lowest level. deviation: standard deviations, same
    shape, mm. skin: (points, 3) mm, points measured on the back. Levels above all of these are assumed: dashed.
    """
    beyond = np.zeros(len(place), bool) if skin is None else place[:, 1] > skin[:, 1].max() + BEYOND_LINE_MM
    with style.matplotlib_style():
        figure = style.new_figure(5.6)
        panels = figure.subplots(1, 2, sharey=True)
        views = ((0, "Seen from the right", "forwards (mm)"), (2, "Seen from behind", "to the right (mm)"))
        for axes, (across, title, label) in zip(panels, views, strict=True):
            if skin is not None:
                axes.plot(skin[:, across], skin[:, 1], "s", color=style.GREEN, markersize=3)
            own = None if deviation is None else deviation[:, across]
            _draw_plane(axes, names, place[:, [across, 1]], deviation=own, beyond=beyond)
            axes.set(title=title, xlabel=label, aspect="equal", adjustable="datalim")
        panels[0].set_ylabel(f"above {names[-1] if place[-1, 1] < place[0, 1] else names[0]} (mm)")
        keys = [style.line_key("centres of the vertebrae, band: 95 %", color=style.BLUE, marker="o", markersize=4)]
        if beyond.any():
            keys.append(style.line_key("assumed: not measured", color=style.ORANGE, linestyle=style.ASSUMED_DASHES))
        if skin is not None:
            keys.append(
                style.line_key("measured on the skin", color=style.GREEN, marker="s", markersize=3, linestyle="none")
            )
        figure.legend(handles=keys, loc="outside upper left", ncols=3)
    return figure


def _draw_plane(
    axes: "Axes", names: Sequence[str], xy: np.ndarray, deviation: np.ndarray | None, beyond: np.ndarray
) -> None:
    """One view. xy: (levels, 2) mm. deviation: (levels,) mm, across. beyond: (levels,) bool, drawn as assumed."""
    if deviation is not None:
        ends = (xy[:, 0] - NORMAL_95 * deviation, xy[:, 0] + NORMAL_95 * deviation)
        axes.fill_betweenx(xy[:, 1], *ends, color=style.BLUE, alpha=0.18, linewidth=0)
    for shown, dashes, colour in ((beyond, style.ASSUMED_DASHES, style.ORANGE), (~beyond, "-", style.BLUE)):
        axes.plot(*np.where(shown[:, None], xy, np.nan).T, color=colour, linestyle=dashes, marker="o", markersize=4)
    for name in (name for name in _SPINE_LABELS if name in names):
        axes.annotate(name, xy[names.index(name)], xytext=(9, -3), textcoords="offset points", fontsize=8.5)
