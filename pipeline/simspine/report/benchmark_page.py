"""A page of benchmark results: tables and bars, in one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from simspine.evaluation.leaderboard import LeaderboardEntry
from simspine.evaluation.tables import EvaluationTable, TableRow, lines
from simspine.report.embed import svg
from simspine.report.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "benchmark.html.j2"
OURS, OTHERS = "#0072b2", "#9aa0a6"
_MOST = 24  # bars in a figure


def benchmark_page(
    title: str,
    tables: Sequence[EvaluationTable],
    about: Mapping[str, str],
    leaderboard: Sequence[LeaderboardEntry] = (),
) -> str:
    """The page as HTML. about: what stands above the tables, {term: text}. leaderboard: entries listed below,
    their figures in the order of the tables."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("simspine.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    parts = []
    for i, table in enumerate(tables):
        heading, *rows = lines(table)
        figure = bars(table)
        picture = "" if figure is None else svg(figure, f"t{i}")
        foreign = [bool(row.source) for row in table.rows]
        parts.append(
            {"table": table, "heading": heading, "rows": list(zip(rows, foreign, strict=True)), "bars": picture}
        )
    keys = [f"{t.name}: {row.label}: {column.name}" for t in tables for row in t.rows for column in t.columns]
    place = {key: i for i, key in reversed(list(enumerate(keys)))}
    known = {name for entry in leaderboard for name in entry.figures}
    figures = sorted(known, key=lambda name: (place.get(name, len(keys)), name))
    return environment.get_template(TEMPLATE).render(
        title=title, about=about, parts=parts, entries=leaderboard, figures=figures
    )


def bars(table: EvaluationTable) -> "Figure | None":
    """The last column that any row over all data has, as bars; None where there are fewer than two of them."""
    whole = [row for row in table.rows if row.label in ("mean over frames", "all")]
    for k in reversed(range(len(table.columns))):
        rows = [row for row in whole if isinstance(row.cells[k], float) and row.cells[k] == row.cells[k]]
        if len(rows) > 1:
            return _drawn(rows[:_MOST], k, table.columns[k].heading)
    return None


def _drawn(rows: Sequence[TableRow], k: int, label: str) -> "Figure":
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=(7.0, 0.8 + 0.28 * len(rows)), layout="constrained")
        axes = figure.subplots()
        colours = [OTHERS if row.source else OURS for row in rows]
        values = [value for row in rows if isinstance(value := row.cells[k], float)]
        axes.barh(range(len(rows)), values, color=colours)
        axes.set_yticks(range(len(rows)), [f"{row.method}{' (published)' if row.source else ''}" for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel(label)
    return figure
