"""Networks trained with one setting after another, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.evaluation.tables import EvaluationTable
from simspine.formats.atomic import atomic_path
from simspine.report.figures.common import new_figure
from simspine.report.style import BLUE, VERMILLION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_ablation_figure(path: str | Path, tables: Sequence[EvaluationTable], columns: tuple[str, str]) -> None:
    """`ablation_figure` as a picture, PNG, SVG or PDF by its name."""
    with atomic_path(path) as temporary:
        ablation_figure(tables, columns).savefig(temporary, dpi=110)


def ablation_figure(tables: Sequence[EvaluationTable], columns: tuple[str, str]) -> "Figure":
    """A panel a table: two of its columns, of the same unit. Rows that are shares of data ('25 %') are a curve over a
    logarithmic axis, others stand below one another.
    """
    tallest = max(len(table.rows) for table in tables)
    figure = new_figure(0.32 * tallest + 1.3, 3.4 * len(tables))
    panels = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, table in zip(panels, tables, strict=True):
        names = [row.method for row in table.rows]
        draw = _curve if all(name.endswith(" %") for name in names) else _dots
        for column, colour in zip(columns, (VERMILLION, BLUE), strict=True):
            values = np.array([table.value(row.method, row.label, column) for row in table.rows], float)
            draw(axes, names, values, colour, column)
        # In the end only: a limit set before the second column would leave its larger values outside.
        axes.set_ylim(bottom=0) if draw is _curve else axes.set_xlim(left=0)
        axes.set_title(table.title, fontsize="small")
        unit = next(column.unit for column in table.columns if column.name == columns[0])
        (axes.set_ylabel if draw is _curve else axes.set_xlabel)(f"error ({unit})", fontsize="small")
    panels[0].legend(fontsize="x-small")
    return figure


def _dots(axes: "Axes", names: list[str], values: np.ndarray, colour: str, label: str) -> None:
    axes.plot(values, np.arange(len(names)), "o", color=colour, label=label)
    axes.set_yticks(np.arange(len(names)), names, fontsize="x-small")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)


def _curve(axes: "Axes", names: list[str], values: np.ndarray, colour: str, label: str) -> None:
    shares = [float(name.removesuffix(" %")) for name in names]
    axes.plot(shares, values, "o-", color=colour, label=label)
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:g}" for share in shares], fontsize="x-small")
    axes.minorticks_off()
    axes.set_xlabel("share of the people (%)", fontsize="small")
    axes.grid(alpha=0.3)
