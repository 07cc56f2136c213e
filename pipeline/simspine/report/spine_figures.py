"""Figures of angles: all curves over time, the spine of one frame in both planes, changes between trials."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.arrays import require_shape
from simspine.report import figure_style
from simspine.report.figure_style import (
    BLUE,
    GREEN,
    GREY,
    INK_COLOUR,
    ORANGE,
    VERMILLION,
    ArtistStyle,
    figure_legend,
    fill_band,
    line_key,
    new_figure,
    shade_rejected,
    time_axis,
)
from simspine.report.page import NORMAL_95, interval_text
from simspine.report.scene import Curve
from simspine.report.tables import NOT_DECIDED, Change

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


AXIS_TITLES = ("Flexion–extension", "Lateral bending", "Axial rotation")
ASSUMED_DASHES = (0, (5, 2))


# Angles over time, as the 3D player has them.


_CURVE_COLUMNS = 2
_DOTS = 14  # along the curve of a left side, so that it is known without its colour


def curves_figure(time: np.ndarray, curves: Sequence[Curve], status: Sequence[str] | None = None) -> "Figure":
    """A panel for each curve, right and left of a joint in one.

    time: (frames,) s. status: per frame kept, corrected, rejected or inferred (shaded). Bands: 95 % intervals. What is
    assumed is dashed and orange, what the model sets dashed and grey; both say so. Left sides have dots.
    """
    time = np.asarray(time, float)
    panels: dict[str, list[Curve]] = {}
    for curve in curves:
        panels.setdefault(curve.panel or curve.label, []).append(curve)
    rows = -(-len(panels) // _CURVE_COLUMNS)
    with figure_style.matplotlib_style():
        figure = new_figure(0.7 + 1.75 * rows)
        grid = figure.subplots(rows, _CURVE_COLUMNS, sharex=True, squeeze=False).flat
        for number, (axes, (title, own)) in enumerate(zip(grid, panels.items(), strict=False)):
            for curve in own:
                _draw_curve(axes, time, curve)
            shade_rejected(axes, time, status, labelled=False)
            notes = list(dict.fromkeys(curve.note for curve in own if curve.note))
            axes.set_title(f"{title}: {' / '.join(notes)}" if notes else title, fontsize=9.0)
            axes.set_ylabel(own[0].unit.strip())
            time_axis(axes, time, labelled=number + _CURVE_COLUMNS >= len(panels))
        for axes in figure.axes[len(panels) :]:
            axes.set_visible(False)
        figure_legend(figure, _curve_keys(curves), 4)
    return figure


def curve_style(curve: Curve) -> ArtistStyle:
    """Colour and dashes of a curve: by what decided it first, by its side then."""
    if curve.forced:
        return dict(figure_style.FORCED_STYLE)
    if curve.assumed:
        return {"color": ORANGE, "linestyle": ASSUMED_DASHES, "linewidth": 1.5}
    colour = {"right": BLUE, "left": VERMILLION}.get(curve.name, INK_COLOUR)
    return {"color": colour, "linestyle": "-", "linewidth": 1.5}


def _draw_curve(axes: "Axes", time: np.ndarray, curve: Curve) -> None:
    values, style = require_shape(curve.label, curve.values, time.shape), curve_style(curve)
    if curve.sd is not None:
        reach = NORMAL_95 * require_shape(f"{curve.label}, deviation", curve.sd, time.shape)
        fill_band(axes, time, values - reach, values + reach, color=style["color"], alpha=0.16)
    if curve.name == "left":
        style |= {"marker": "o", "markersize": 3, "markevery": max(1, len(time) // _DOTS)}
    axes.plot(time, values, **style)


def _curve_keys(curves: Sequence[Curve]) -> list:
    sides = {curve.name for curve in curves}
    entries = (
        ("right" in sides, line_key("right", color=BLUE)),
        ("left" in sides, line_key("left (dots)", color=VERMILLION, marker="o", markersize=3)),
        (any(curve.assumed for curve in curves), line_key("assumed", color=ORANGE, linestyle=ASSUMED_DASHES)),
        (any(curve.forced for curve in curves), line_key(figure_style.FORCED_LABEL, **figure_style.FORCED_STYLE)),
    )
    return [key for there, key in entries if there]


# The spine of one frame, seen from the right and from behind.


_SPINE_LABELS = ("C7", "T6", "T12", "L3", "S1")


def posture_figure(
    names: Sequence[str], place: np.ndarray, deviation: np.ndarray | None = None, skin: np.ndarray | None = None
) -> "Figure":
    """The centres of the vertebrae in both planes with their 95 % intervals, on one scale.

    place: (levels, 3) mm forwards, upwards and to the right of the lowest level. deviation: the same shape, mm. skin:
    (points, 3) mm, what was measured on the back.
    """
    with figure_style.matplotlib_style():
        figure = new_figure(5.6)
        panels = figure.subplots(1, 2, sharey=True)
        views = ((0, "Seen from the right", "forwards (mm)"), (2, "Seen from behind", "to the right (mm)"))
        for axes, (across, title, label) in zip(panels, views, strict=True):
            if skin is not None:
                axes.plot(skin[:, across], skin[:, 1], "s", color=GREEN, markersize=3)
            if deviation is not None:
                reach = NORMAL_95 * deviation[:, across]
                band = (place[:, across] - reach, place[:, across] + reach)
                axes.fill_betweenx(place[:, 1], *band, color=BLUE, alpha=0.18, linewidth=0)
            axes.plot(place[:, across], place[:, 1], "-o", color=BLUE, markersize=4)
            for name in _SPINE_LABELS:
                if name in names:
                    at = place[names.index(name)]
                    axes.annotate(name, (at[across], at[1]), xytext=(9, -3), textcoords="offset points", fontsize=8.5)
            axes.set(title=title, xlabel=label, aspect="equal", adjustable="datalim")
        panels[0].set_ylabel(f"above {names[-1] if place[-1, 1] < place[0, 1] else names[0]} (mm)")
        keys = [line_key("centres of the vertebrae, band: 95 %", color=BLUE, marker="o", markersize=4)]
        if skin is not None:
            keys.append(line_key("measured on the skin", color=GREEN, marker="s", markersize=3, linestyle="none"))
        figure_legend(figure, keys, 2)
    return figure


# What changed from one trial to another.


def changes_figure(changes: Sequence[Change], which: str, of_ranges: bool = False) -> "Figure":
    """Each difference with its 95 % interval: filled beyond its error, hollow within, dashed where it is assumed.

    which: the title. of_ranges: of the ranges instead of the means. Degrees; lengths are left out.
    """
    shown = [change for change in changes if change.unit == "deg"][::-1]
    with figure_style.matplotlib_style():
        figure = new_figure(1.0 + 0.23 * max(1, len(shown)))
        axes = figure.subplots()
        for height, change in enumerate(shown):
            by, sd = (change.range, change.range_sd) if of_ranges else (change.mean, change.mean_sd)
            verdict = change.verdict(by, sd)
            assumed, beyond = verdict == NOT_DECIDED, verdict.startswith("●")
            colour = ORANGE if assumed else BLUE if beyond else GREY
            if sd is not None:
                ends = [by - NORMAL_95 * sd, by + NORMAL_95 * sd]
                axes.plot(ends, [height] * 2, color=colour, linestyle=ASSUMED_DASHES if assumed else "-")
            axes.plot(by, height, "o", color=colour, markerfacecolor=colour if beyond else "none")
            text = interval_text(by, sd, change.unit, signed=True)
            axes.text(1.01, height, text, transform=axes.get_yaxis_transform(), fontsize=8.5, va="center")
        axes.axvline(0, color=INK_COLOUR, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [change.label for change in shown], fontsize=8.5)
        axes.set(title=which, xlabel="difference (°)", ylim=(-0.7, max(0.7, len(shown) - 0.3)))
    return figure
