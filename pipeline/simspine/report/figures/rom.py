"""Range of motion: lumbar levels about three axes beside the literature, and the neck by action."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from simspine.quality.observability import Observability
from simspine.report.figures.common import legend, line_key, new_figure, patch_key
from simspine.report.figures.curves import TITLES
from simspine.report.figures.observability import face, handles, look
from simspine.report.style import FORCED, INK, SKY, VERMILLION, styled
from simspine.spine.levels import PLANES
from simspine.validation.motion import PERCENTILES, RangeRow, lumbar_rom, neck_rom
from simspine.validation.published import LUMBAR_ROM, NECK_ROM

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEFINITION = f"range: percentile {PERCENTILES[0]:g} to {PERCENTILES[1]:g} of a person's frames"
_MARKS = ("^", "v", "s", "D")


def lumbar_profile(dataset) -> "Figure | None":
    """Range of motion by lumbar level, from above, about three axes; None where the data set has no such levels.

    dataset: as `simspine.validation.lumbar_rom` takes it. The band spans the published values, one mark each. Filled:
    measured; hollow: assumed; dashed grey: set by the model, so no finding.
    """
    rows = [row for row in lumbar_rom(dataset) if row.level != "lumbar"]
    if not rows:
        return None
    levels = list(dict.fromkeys(row.level for row in rows))
    with styled():
        figure = new_figure(4.1)
        panels = figure.subplots(1, 3)
        for k, axes in enumerate(panels):
            some = [row for row in rows if row.plane == PLANES[k]]
            _literature(axes, levels, PLANES[k])
            forced = any(row.decided == Observability.FORCED for row in some)
            line = FORCED if forced else {"color": INK, "linewidth": 0.9}
            axes.plot(range(len(some)), [row.rom_mean_deg for row in some], zorder=3, **line)
            for i, row in enumerate(some):
                _point(axes, i, row)
            axes.set_xticks(range(len(levels)), levels, rotation=40, ha="right")
            top = 1.22 * axes.get_ylim()[1]  # room for the studies' names
            axes.set(title=TITLES[k], ylim=(0, top), ylabel="total range of motion (°)")
            axes.grid(axis="x", visible=False)
        keys = handles({row.decided for row in rows}, marker=True)
        keys.append(patch_key("published, bending as far as one can", facecolor=SKY, alpha=0.25))
        people = "; mean ± SD over people" if any(row.subjects > 1 for row in rows) else ""
        legend(figure, keys, 3, title=DEFINITION + people, title_fontsize=8, alignment="left")
    return figure


def _literature(axes: "Axes", levels: Sequence[str], plane: str) -> None:
    """Band from the smallest to the largest published value, and the values themselves."""
    studies = [study for study in LUMBAR_ROM if study.plane == plane and set(study.totals) & set(levels)]
    table = np.array([[study.totals.get(level, np.nan) for level in levels] for study in studies])
    at = np.arange(len(levels))
    if table.size:
        low, high = np.nanmin(table, 0), np.nanmax(table, 0)
        axes.fill_between(at, low, high, facecolor=SKY, alpha=0.25, linewidth=0, zorder=0)
    for mark, values, study in zip(_MARKS, table, studies, strict=False):
        axes.plot(at, values, mark, color=SKY, markersize=4, markeredgecolor=INK, markeredgewidth=0.4, zorder=2,
                  label=study.source)  # fmt: skip
    axes.legend(loc="upper left", fontsize=7, handletextpad=0.1, borderaxespad=0.1)


def _point(axes: "Axes", at: float, row: RangeRow) -> None:
    shown = look(row.decided)
    spread = None if np.isnan(row.rom_sd_deg) else row.rom_sd_deg
    axes.errorbar(at, row.rom_mean_deg, spread, fmt="o", color=shown.edge, markerfacecolor=face(shown), markersize=6,
                  capsize=3, linewidth=1.1, zorder=4)  # fmt: skip


def neck_by_action(dataset) -> "Figure | None":
    """Range of motion of the neck in each action about three axes; None where the data set has no neck.

    dataset: as `simspine.validation.neck_rom` takes it. Sorted as the table is; the largest published range is written,
    not drawn: daily actions use a small part of it.
    """
    rows = [row for row in neck_rom(dataset) if row.action]
    if not rows:
        return None
    actions = list(dict.fromkeys(row.action for row in rows))
    with styled():
        figure = new_figure(1.5 + 0.24 * len(actions))
        panels = figure.subplots(1, 3, sharey=True)
        for k, axes in enumerate(panels):
            some = {row.action: row for row in rows if row.plane == PLANES[k]}
            for i, action in enumerate(actions):
                _bar(axes, i, some[action])
            limit = max(study.totals["neck"] for study in NECK_ROM if study.plane == PLANES[k])
            axes.set(title=TITLES[k], xlabel=f"range (°); published maximum {limit:g}°")
            axes.set_xlim(left=0)
            axes.margins(x=0.1)
            axes.grid(axis="y", visible=False)
        panels[0].set_yticks(range(len(actions)), actions)
        panels[0].set_ylim(len(actions) - 0.4, -0.6)
        keys = handles({row.decided for row in rows})
        if any(np.isfinite(row.rom_sd_deg) for row in rows):
            keys.append(line_key("± SD over people", color=VERMILLION, linewidth=1))
        legend(figure, keys, len(keys), title=f"{DEFINITION}; mean over people", title_fontsize=8, alignment="left")
    return figure


def _bar(axes: "Axes", at: float, row: RangeRow) -> None:
    shown = look(row.decided)
    axes.barh(at, row.rom_mean_deg, 0.62, facecolor=shown.face, edgecolor=shown.edge, linewidth=1.1,
              linestyle=shown.dash)  # fmt: skip
    if np.isfinite(row.rom_sd_deg):
        axes.errorbar(row.rom_mean_deg, at, xerr=row.rom_sd_deg, color=VERMILLION, capsize=2, linewidth=1)
