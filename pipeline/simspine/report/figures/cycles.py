"""Angles over the cycles of a movement, beside the normative bands that a lab brought."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from simspine.errors import InputError
from simspine.formats.band_table import BandTable
from simspine.report import style
from simspine.report.figures.common import legend, line_key, new_figure, patch_key
from simspine.report.style import BLUE, GREEN, INK, VERMILLION
from simspine.spine.clinical import DEFINITIONS
from simspine.spine.cycles import PERCENT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 3
_SPREAD = 3  # cycles from which on their standard deviation is drawn
_STILL = 1e-4  # rad: angles that move less belong to the body, not to the movement
_SIDES = {"r": ("right", BLUE, "-"), "l": ("left", VERMILLION, (0, (5, 2)))}


def cycle_figure(
    angles: Mapping[str, np.ndarray], bands: BandTable | None = None, spread: Mapping[str, float] | None = None
) -> "Figure":
    """A panel for each angle, right and left in one: every cycle thin, their mean thick, from three cycles on with ± 1
    standard deviation of theirs, the normative band behind.

    angles: {clinical parameter: (cycles, 101) rad}, NaN = not known; those that stay the same are left out. bands: mean
    ± 1 standard deviation is drawn. spread: {angle: its ± of 95 %, rad}, told in the titles.
    Raises `InputError` where nothing moves.
    """
    moving = [name for name, values in angles.items() if np.nanmax(values) - np.nanmin(values) > _STILL]
    if not moving:
        raise InputError("no angle is known and moves in these cycles; are the frames between the events rejected?")
    panels: dict[str, list[str]] = {}
    for name in moving:
        panels.setdefault(name[:-2] if name[-2:] in ("_r", "_l") else name, []).append(name)
    rows = -(-len(panels) // _COLUMNS)
    with style.styled():
        figure = new_figure(0.9 + 1.9 * rows)
        grid = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).flat
        for number, (axes, (title, names)) in enumerate(zip(grid, panels.items(), strict=False)):
            _draw_band(axes, names, bands)
            for name in names:
                _draw_cycles(axes, name, np.degrees(angles[name]))
            known = [np.degrees(spread[name]) for name in names if spread and name in spread]
            told = f"± {max(known):.0f}°" if known else "(°)"
            axes.set(title=f"{_label(title, names)} {told}", xlim=(0, 100))
            axes.tick_params(labelbottom=True)
            if number + _COLUMNS >= len(panels):
                axes.set_xlabel("cycle (%)")
        for axes in figure.axes[len(panels) :]:
            axes.set_visible(False)
        keys = [line_key(text, color=colour, linestyle=dashes) for text, colour, dashes in _SIDES.values()]
        keys += [] if bands is None else [patch_key(f"mean ± 1 sd: {bands.source}", facecolor=GREEN, alpha=0.25)]
        legend(figure, keys, 3)
    return figure


def _label(panel: str, names: list[str]) -> str:
    """An angle as the page calls it, without its side and its vertebrae."""
    known = DEFINITIONS.get(names[0])
    return panel.replace("_", " ").capitalize() if known is None else known.label.partition(", ")[0]


def _draw_band(axes: "Axes", names: list[str], bands: BandTable | None) -> None:
    """The band of both sides once; where each side has its own, both."""
    found = [band for name in names if bands is not None and (band := bands.of(name)) is not None]
    for band in {id(band): band for band in found}.values():
        mean, sd = np.degrees(band.mean), np.degrees(band.sd)
        axes.fill_between(band.percent, mean - sd, mean + sd, color=GREEN, alpha=0.25, linewidth=0)


def _draw_cycles(axes: "Axes", name: str, values: np.ndarray) -> None:
    _, colour, dashes = _SIDES.get(name[-1] if name[-2:-1] == "_" else "", ("", INK, "-"))
    axes.plot(PERCENT, values.T, color=colour, linewidth=0.6, alpha=0.45)
    known = np.isfinite(values).all(1)
    if known.sum() >= _SPREAD:
        mean, sd = values[known].mean(0), values[known].std(0, ddof=1)
        axes.fill_between(PERCENT, mean - sd, mean + sd, color=colour, alpha=0.18, linewidth=0)
    if known.any():
        axes.plot(PERCENT, values[known].mean(0), color=colour, linestyle=dashes, linewidth=1.8)
