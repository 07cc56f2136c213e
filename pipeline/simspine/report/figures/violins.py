"""Distribution of LLA and TKA in each action, how well they are known, the paper's means, the published range."""

from typing import TYPE_CHECKING

import numpy as np

from simspine.report.figures.common import legend, line_key, new_figure
from simspine.report.figures.curves import CURVATURE_TITLES, shade_band
from simspine.report.figures.observability import handles, look
from simspine.report.style import INK, PURPLE, VERMILLION, styled
from simspine.spine.bands import bands
from simspine.validation.curvature import CurvatureRow, as_records, curvature_table, grouped, pooled
from simspine.validation.published import BY_ACTION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_FRAMES = 4000  # per violin: more change its outline by less than a line's width


def curvature_violins(dataset) -> "Figure":
    """LLA and TKA of the kept frames per action; filled: measured, hollow: mostly assumed, dashed: set.

    dataset: as `simspine.validation.curvature_table` takes it. A violin's width is how often frames had an angle; how
    well the angle is known is the bar to its left, 95 % of one frame's estimate about the mean. The points to the
    right are the paper's mean ± SD.
    """
    some = as_records(dataset)
    groups = grouped(some, lambda record: record.action, BY_ACTION)
    rows = {row.name: row for row in curvature_table(some) if row.group == "action" and row.name in groups}
    with styled():
        figure = new_figure(6.4)
        panels = figure.subplots(2, 1, sharex=True)
        for axes, quantity in zip(panels, CURVATURE_TITLES, strict=True):
            band = bands(quantity)[0]
            shade_band(axes, band)
            for i, (name, part) in enumerate(groups.items()):
                _draw(axes, i, np.degrees(pooled(part, quantity)), rows[name], quantity)
            axes.set(title=CURVATURE_TITLES[quantity], ylabel=f"{quantity.upper()} (°)")
            axes.text(
                0.995, band.high, f"published: {band.low:g}–{band.high:g}° ({band.source.split(',')[0]})",
                transform=axes.get_yaxis_transform(), fontsize=7, ha="right", va="bottom",
            )  # fmt: skip
            axes.margins(y=0.1)
            axes.grid(axis="x", visible=False)
        turned = {"rotation": 40, "ha": "right"} if len(groups) > 6 else {}
        panels[1].set_xticks(range(len(groups)), groups, **turned)
        room = max(0.0, 6 - len(groups)) / 2  # a few violins stay slim
        panels[1].set_xlim(-0.6 - room, len(groups) - 0.4 + room)
        keys = handles({getattr(row, f"{q}_decided") for row in rows.values() for q in CURVATURE_TITLES})
        keys.append(line_key("mean ± SD of the frames", color=INK, marker="o", markersize=3.5, linewidth=1))
        if any(np.isfinite(getattr(row, f"{q}_uncertainty_deg")) for row in rows.values() for q in CURVATURE_TITLES):
            keys.append(line_key("how well a frame is known, 95 %", color=PURPLE, linewidth=4, alpha=0.7))
        if any(np.isfinite(row.paper_lla_mean_deg) for row in rows.values()):
            keys.append(line_key("paper, mean ± SD", color=VERMILLION, marker="D", markersize=3, linewidth=0.9))
        legend(figure, keys, len(keys))
    return figure


def _draw(axes: "Axes", at: float, values: np.ndarray, row: CurvatureRow, quantity: str) -> None:
    """One violin with its mean and standard deviation, and the paper's beside it."""
    shown = look(getattr(row, f"{quantity}_decided"))
    values = values[:: -(-len(values) // MOST_FRAMES)] if len(values) else values
    if len(values) and np.ptp(values) > 1e-6:
        axes.violinplot([values], [at], widths=0.6, showextrema=False)
        axes.collections[-1].set(
            facecolor=shown.face, edgecolor=shown.edge, alpha=1, linewidth=1.1, linestyle=shown.dash
        )
    elif len(values):  # constant: a violin of no height
        axes.plot([at - 0.3, at + 0.3], [values[0]] * 2, color=shown.edge, linewidth=1.4, linestyle=shown.dash)
    mean, sd = getattr(row, f"{quantity}_mean_deg"), getattr(row, f"{quantity}_sd_deg")
    if np.isfinite(mean):
        axes.errorbar(at, mean, sd, fmt="o", color=INK, markersize=3.5, capsize=2.5, linewidth=1, zorder=4)
    half = 1.96 * getattr(row, f"{quantity}_uncertainty_deg")
    if np.isfinite(mean) and np.isfinite(half):
        axes.plot([at - 0.38] * 2, [mean - half, mean + half], color=PURPLE, linewidth=4, alpha=0.7, zorder=3)
    mean, sd = getattr(row, f"paper_{quantity}_mean_deg"), getattr(row, f"paper_{quantity}_sd_deg")
    if np.isfinite(mean):
        axes.errorbar(at + 0.38, mean, sd, fmt="D", color=VERMILLION, markersize=3, capsize=2, linewidth=0.9, zorder=4)
