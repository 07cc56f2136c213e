"""Kinematics of each action at a glance: curvature, lumbar spine and neck over the course of the trials."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.report.figures.common import legend, line_key, new_figure
from simspine.report.style import BLUE, FORCED, FORCED_LABEL, GREEN, ORANGE, PURPLE, SKY, Style, styled
from simspine.validation.curvature import as_records, grouped
from simspine.validation.published import BY_ACTION
from simspine.validation.records import Record
from simspine.validation.uncertainty import is_forced

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PER_PAGE = 6  # actions on one figure
NODES = 101  # the course of a trial in per cent
_PLANES = (("flexion", BLUE, "-"), ("bending to the right", ORANGE, "--"), ("turning to the left", GREEN, "-."))
_CURVES = (("LLA", PURPLE, "-"), ("TKA", SKY, "--"))
COLUMNS = ("Curvature", "Lumbar spine, L1 on sacrum", "Neck")


def kinematics_gallery(dataset) -> "list[Figure]":
    """A row of three panels per action, `PER_PAGE` actions on a figure; each trial stretched to 0–100 % of its time.

    Thick: median over the trials; shaded: from the 10th to the 90th percentile where there are three trials or more,
    else each trial as a thin line. Frames rejected are gaps. dataset: as `simspine.validation.records` takes it.
    """
    groups = list(grouped(as_records(dataset), lambda record: record.action, BY_ACTION).items())
    return [_page(groups[i : i + PER_PAGE]) for i in range(0, len(groups), PER_PAGE)]


def _page(groups: Sequence[tuple[str, list[Record]]]) -> "Figure":
    with styled():
        figure = new_figure(0.9 + 1.35 * len(groups))
        grid = figure.subplots(len(groups), 3, sharex=True, sharey="col", squeeze=False)
        any_forced = False
        for row, (action, some) in zip(grid, groups, strict=True):
            for axes, curves in zip(row, _curves(some), strict=True):
                for courses, colour, dash, forced in curves:
                    any_forced |= forced
                    _draw(axes, courses, (FORCED if forced else {"color": colour}) | {"linestyle": dash})
                if not curves:
                    axes.text(0.5, 0.5, "not in this data set", transform=axes.transAxes, ha="center", fontsize=7.5)
            people = len({record.subject for record in some})
            count = f"{len(some)} trial{'s' * (len(some) > 1)}, {people} {'people' if people > 1 else 'person'}"
            row[0].set_ylabel(f"{action}\n(°)", fontweight="bold")
            row[2].text(1.0, 1.02, count, transform=row[2].transAxes, fontsize=7, ha="right", va="bottom")
        for axes, title in zip(grid[0], COLUMNS, strict=True):
            axes.set_title(title)
        for axes in grid[-1]:
            axes.set(xlabel="course of the trial (%)", xlim=(0, 100))
        keys = [line_key(name, color=c, linestyle=dash, linewidth=1.5) for name, c, dash in (*_CURVES, *_PLANES)]
        if any_forced:
            keys.append(line_key(f"grey: {FORCED_LABEL}", **FORCED | {"linestyle": "-"}))
        legend(figure, keys, len(keys))
    return figure


def _curves(some: Sequence[Record]) -> "list[list[tuple[np.ndarray, str, str, bool]]]":
    """Per panel the curves as (courses (trials, nodes) degrees, colour, dash, whether the model sets it)."""
    curvature = []
    for name, colour, dash in _CURVES:
        key = name.lower()
        if any(np.isfinite(getattr(r, key)).any() for r in some):
            courses = np.stack([course(getattr(r, key), r.kept) for r in some])
            curvature.append((courses, colour, dash, is_forced(some, key)))
    panels = [curvature]
    for level in ("lumbar", "neck"):
        there = [record for record in some if level in record.levels]
        panels.append([])
        for k, (_, colour, dash) in enumerate(_PLANES if there else ()):
            courses = np.stack([course(r.angles[:, r.levels.index(level), k], r.kept) for r in there])
            panels[-1].append((courses, colour, dash, is_forced(there, level, k)))
    return panels


def course(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(nodes,) degrees: the values (frames,) rad at 0, 1, … 100 % of the trial, NaN at rejected or unknown frames."""
    values = np.where(kept, values, np.nan)
    if len(values) < 2:
        return np.full(NODES, np.degrees(values[0]) if len(values) else np.nan)
    return np.degrees(np.interp(np.linspace(0, 1, NODES), np.linspace(0, 1, len(values)), values))


def _draw(axes: "Axes", courses: np.ndarray, style: Style) -> None:
    at = np.linspace(0, 100, NODES)
    known = np.isfinite(courses).any(0)
    if len(courses) < 3:
        for one in courses:
            axes.plot(at, one, **{"linewidth": 1.3, **style})
        return
    middle, low, high = (np.full(NODES, np.nan) for _ in range(3))
    low[known], middle[known], high[known] = np.nanpercentile(courses[:, known], (10, 50, 90), axis=0)
    axes.fill_between(at, low, high, facecolor=style["color"], alpha=0.22, linewidth=0)
    axes.plot(at, middle, **{"linewidth": 1.5, **style})
