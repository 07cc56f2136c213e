"""What the papers print, for rows beside ours: other people's data, so only roughly comparable (`published.csv`)."""

import csv
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from simspine.evaluation.tables import TableColumn, TableRow


def published_rows(table: str, columns: Sequence[TableColumn]) -> tuple[TableRow, ...]:
    """The published rows of a table, with the columns that it has; those not printed stay empty."""
    found: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in _rows():
        if row["table"] == table:
            key = row["method"], row["row"], row["source"]
            found.setdefault(key, {})[row["column"]] = float(row["value"])
    return tuple(
        TableRow(method, label, tuple(cells.get(column.name) for column in columns), source)
        for (method, label, source), cells in found.items()
        if any(column.name in cells for column in columns)
    )


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))
