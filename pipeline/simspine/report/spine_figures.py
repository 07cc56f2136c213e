"""The spine of one frame, seen from the right and from behind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.core.arrays import NORMAL_95
from simspine.report import figure_style
from simspine.report.figure_style import (
    ASSUMED_DASHES,
    BLUE,
    GREEN,
    ORANGE,
    figure_legend,
    line_key,
    new_figure,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
    for shown, dashes, colour in ((beyond, ASSUMED_DASHES, ORANGE), (~beyond, "-", BLUE)):
        axes.plot(*np.where(shown[:, None], xy, np.nan).T, color=colour, linestyle=dashes, marker="o", markersize=4)
    for name in (name for name in _SPINE_LABELS if name in names):
        axes.annotate(name, xy[names.index(name)], xytext=(9, -3), textcoords="offset points", fontsize=8.5)
