"""Figures of one trial: all angles over time, the spine of one frame in both planes."""

from collections.abc import Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.arrays import require_shape
from simspine.quality.observability import Observability
from simspine.report import figure_style
from simspine.report.figure_style import (
    ASSUMED_DASHES,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    VERMILLION,
    ArtistStyle,
    figure_legend,
    fill_band,
    line_key,
    new_figure,
    shade_rejected,
    time_axis,
)
from simspine.report.page import NORMAL_95
from simspine.report.scene import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


AXIS_TITLES = ("Flexion–extension", "Lateral bending", "Axial rotation")


# Angles over time, as the 3D player has them.


PARTLY = (str(Observability.PARTLY), str(Observability.PARTLY_ESTIMATED))
_CURVE_COLUMNS = 2
_TITLE_LETTERS = 50  # of a line above a panel; longer titles take two
_DOTS = 14  # along the curve of a left side, so that it is known without its colour


def curves_figure(time: np.ndarray, curves: Sequence[Curve], status: Sequence[str] | None = None) -> "Figure":
    """A panel for each curve, right and left of a joint in one.

    time: (frames,) s. status: per frame kept, corrected, rejected or inferred (shaded). Bands: 95 % intervals. Each
    verdict has its look (`curve_style`), left sides have dots.
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
            shade_rejected(axes, time, status, labelled=number == 0)
            notes = dict.fromkeys(curve.note for curve in own if curve.note)
            heading = f"{title} ({', '.join([own[0].unit.strip(), *notes])})"
            axes.set_title("\n".join(wrap(heading, _TITLE_LETTERS)), fontsize=9.0)
            time_axis(axes, time, labelled=number + _CURVE_COLUMNS >= len(panels))
        for axes in figure.axes[len(panels) :]:
            axes.set_visible(False)
        figure_legend(figure, [*_curve_keys(curves), *figure.axes[0].get_legend_handles_labels()[0]], 4)
    return figure


def curve_style(curve: Curve) -> ArtistStyle:
    """Colour and dashes of a curve: by what decided it first, by its side then."""
    if curve.forced:
        return dict(figure_style.FORCED_STYLE)
    if curve.assumed:
        return {"color": ORANGE, "linestyle": ASSUMED_DASHES, "linewidth": 1.5}
    colour = {"right": BLUE, "left": VERMILLION}.get(curve.name, BLUE)
    return {"color": colour, "linestyle": "-", "linewidth": 1.5, "alpha": PALE if curve.note in PARTLY else 1.0}


def _draw_curve(axes: "Axes", time: np.ndarray, curve: Curve) -> None:
    values, style = require_shape(curve.label, curve.values, time.shape), curve_style(curve)
    if curve.sd is not None:
        reach = NORMAL_95 * require_shape(f"{curve.label}, deviation", curve.sd, time.shape)
        low = values - reach if curve.least is None else np.maximum(values - reach, curve.least)
        fill_band(axes, time, low, values + reach, color=style["color"], alpha=0.16)
    if curve.name == "left":
        style |= {"marker": "o", "markersize": 3, "markevery": max(1, len(time) // _DOTS)}
    axes.plot(time, values, **style)


def _curve_keys(curves: Sequence[Curve]) -> list:
    sides, notes = {curve.name for curve in curves}, {curve.note for curve in curves}
    entries = (
        ("right" in sides, line_key("right", color=BLUE)),
        ("left" in sides, line_key("left (dots)", color=VERMILLION, marker="o", markersize=3)),
        (notes & {*PARTLY}, line_key("partly measured: pale", color=BLUE, alpha=PALE)),
        (any(curve.assumed for curve in curves), line_key("assumed", color=ORANGE, linestyle=ASSUMED_DASHES)),
        (any(curve.forced for curve in curves), line_key(figure_style.FORCED_LABEL, **figure_style.FORCED_STYLE)),
    )
    return [key for there, key in entries if there]


# The spine of one frame, seen from the right and from behind.


BEYOND_LINE_MM = 25.0  # above the highest point on the skin: as far as a centre is from its spinous process
_SPINE_LABELS = ("C7", "T6", "T12", "L3", "S1")


def posture_figure(
    names: Sequence[str], place: np.ndarray, deviation: np.ndarray | None = None, skin: np.ndarray | None = None
) -> "Figure":
    """The centres of the vertebrae in both planes with their 95 % intervals, on one scale.

    place: (levels, 3) mm forwards, upwards and to the right of the lowest level. deviation: the same shape, mm. skin:
    (points, 3) mm, what was measured on the back. Levels above that are assumed: dashed.
    """
    beyond = np.zeros(len(place), bool) if skin is None else place[:, 1] > skin[:, 1].max() + BEYOND_LINE_MM
    with figure_style.matplotlib_style():
        figure = new_figure(5.6)
        panels = figure.subplots(1, 2, sharey=True)
        views = ((0, "Seen from the right", "forwards (mm)"), (2, "Seen from behind", "to the right (mm)"))
        for axes, (across, title, label) in zip(panels, views, strict=True):
            if skin is not None:
                axes.plot(skin[:, across], skin[:, 1], "s", color=GREEN, markersize=3)
            own = None if deviation is None else deviation[:, across]
            _draw_plane(axes, names, place[:, [across, 1]], deviation=own, beyond=beyond)
            axes.set(title=title, xlabel=label, aspect="equal", adjustable="datalim")
        panels[0].set_ylabel(f"above {names[-1] if place[-1, 1] < place[0, 1] else names[0]} (mm)")
        keys = [line_key("centres of the vertebrae, band: 95 %", color=BLUE, marker="o", markersize=4)]
        if beyond.any():
            keys.append(line_key("assumed: not measured", color=ORANGE, linestyle=ASSUMED_DASHES))
        if skin is not None:
            keys.append(line_key("measured on the skin", color=GREEN, marker="s", markersize=3, linestyle="none"))
        figure_legend(figure, keys, 3)
    return figure


def _draw_plane(
    axes: "Axes", names: Sequence[str], xy: np.ndarray, deviation: np.ndarray | None, beyond: np.ndarray
) -> None:
    """One view. xy: (levels, 2) mm. deviation: (levels,) mm, across. beyond: (levels,) bool, drawn as assumed."""
    if deviation is not None:
        ends = (xy[:, 0] - NORMAL_95 * deviation, xy[:, 0] + NORMAL_95 * deviation)
        axes.fill_betweenx(xy[:, 1], *ends, color=BLUE, alpha=0.18, linewidth=0)
    for own, dashes, colour in ((beyond, ASSUMED_DASHES, ORANGE), (~beyond, "-", BLUE)):
        axes.plot(*np.where(own[:, None], xy, np.nan).T, color=colour, linestyle=dashes, marker="o", markersize=4)
    for name in (name for name in _SPINE_LABELS if name in names):
        axes.annotate(name, xy[names.index(name)], xytext=(9, -3), textcoords="offset points", fontsize=8.5)
