"""A page of benchmark results: tables and bars, in one file that needs nothing else."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from simspine.evaluation.leaderboard import LeaderboardEntry, board_sources, board_tables
from simspine.evaluation.tables import EvaluationTable, TableRow, lines
from simspine.report.embed import svg
from simspine.report.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "benchmark.html.j2"
OURS, OTHERS = "#0072b2", "#9aa0a6"
_MOST = 40  # bars in a figure


def benchmark_page(
    title: str,
    tables: Sequence[EvaluationTable],
    about: Mapping[str, str],
    settings: Mapping[str, str],
    leaderboard: Sequence[LeaderboardEntry] = (),
) -> str:
    """The page as HTML. about: what stands above the tables, settings: what can be unfolded there, {term: text}.
    leaderboard: entries listed below, their figures in the order of the tables."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("simspine.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    parts = [_shown(table, i) for i, table in enumerate(tables)]
    alike, sources = board_sources(leaderboard)
    board = [_shown(table) for table in board_tables(leaderboard, tables)]
    return environment.get_template(TEMPLATE).render(
        title=title, about=about, settings=settings, parts=parts, board=board, alike=alike, sources=sources
    )


def _shown(table: EvaluationTable, number: int | None = None) -> dict[str, Any]:
    """What the template needs of a table. number: of its figure; None for a table without one."""
    heading, *rows = lines(table)
    figure = None if number is None else bars(table)
    remarked = any(row.footnote for row in table.rows)
    shown = slice(None) if remarked else slice(-1)
    return {
        "table": table,
        "heading": heading[shown],
        "rows": [(cells[shown], bool(row.source)) for cells, row in zip(rows, table.rows, strict=True)],
        "remarked": remarked,
        "bars": "" if figure is None else svg(figure, f"t{number}"),
    }


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
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(label)
    return figure
