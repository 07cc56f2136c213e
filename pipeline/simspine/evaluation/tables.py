"""Tables of results, their writers (Markdown, JSON), and the constants of the papers' protocols.

Rows that the papers print come from `published.csv`: other people's data, so only roughly comparable.
"""

import csv
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from simspine.core.errors import InputError, require_known, unknown_name
from simspine.core.settings import read_mapping
from simspine.core.skeletons import POINTS_BY_REGION, SIMSPINE_SKELETON, SPINE_REGIONS, load_skeleton
from simspine.io.human36m.names import canonical_action

OTHER_DATA_MARK = "published, other data: "  # before the source of a row that is not of this data
TableCell = float | tuple[float, float] | None  # a number, an interval, an empty cell


@dataclass(frozen=True)
class TableColumn:
    """A column of figures. digits: number of decimals."""

    name: str
    unit: str = "mm"
    digits: int = 2


@dataclass(frozen=True)
class TableRow:
    """One row. method: name of the method; label: name of the row (an action, a mean); cells: one for each column.

    source: '' for results on this data, else where it was published. remark: why cells are empty, or ''.
    """

    method: str
    label: str
    cells: tuple[TableCell, ...]
    source: str = ""
    remark: str = ""


@dataclass(frozen=True)
class EvaluationTable:
    """A table of a benchmark. name: identifier for programs; title and notes: for readers."""

    name: str
    title: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()

    def value(self, method: str, label: str, column: str) -> TableCell:
        """One cell; `InputError` for a row or a column that does not exist."""
        names = [c.name for c in self.columns]
        require_known("column", (column,), names, f"table {self.name}")
        for row in self.rows:
            if (row.method, row.label) == (method, label):
                return row.cells[names.index(column)]
        raise unknown_name("row", f"{method}: {label}", [f"{r.method}: {r.label}" for r in self.rows], self.name)


def table_words(name: str, **values: object) -> tuple[str, tuple[str, ...]]:
    """Title and notes of a table in `notes.yaml`. values: texts for the placeholders in braces."""
    words = read_mapping(Path(__file__).with_name("notes.yaml"))[name]
    return words["title"], tuple(note.format(**values) for note in words["notes"])


def noted_table(
    name: str, columns: Sequence[TableColumn], rows: Sequence[TableRow], more: Sequence[str] = (), **values: object
) -> EvaluationTable:
    """A table with the title and notes of `table_words`, and further notes (`more`)."""
    title, notes = table_words(name, **values)
    return EvaluationTable(name, title, tuple(columns), rows=tuple(rows), notes=(*notes, *more))


def evaluation_markdown(table: EvaluationTable) -> str:
    """The table in Markdown: a second-level title, the cells, the notes."""
    heading = ["method", "", *(f"{c.name} [{c.unit}]" if c.unit else c.name for c in table.columns), ""]
    rows = [heading, ["---", "---", *("---:" for _ in table.columns), "---"]]
    for row in table.rows:
        footnote = OTHER_DATA_MARK + row.source if row.source else row.remark
        rows.append([row.method, row.label, *map(_cell_text, row.cells, table.columns), footnote])
    return "\n".join([f"## {table.title}", "", aligned_markdown(rows), "", *table.notes]).rstrip() + "\n"


def evaluation_data(table: EvaluationTable) -> dict[str, Any]:
    """The table for JSON: unrounded numbers, None in empty cells."""
    return {
        "name": table.name,
        "title": table.title,
        "columns": [{"name": c.name, "unit": c.unit} for c in table.columns],
        "rows": [
            {"method": row.method, "label": row.label, "source": row.source, "remark": row.remark}
            | {"cells": {c.name: _plain_cell(v) for c, v in zip(table.columns, row.cells, strict=True)}}
            for row in table.rows
        ],
        "notes": list(table.notes),
    }


def evaluation_json(tables: Sequence[EvaluationTable], **more: Any) -> str:
    """All tables as JSON. more: further entries, by name."""
    return json.dumps({**more, "tables": [evaluation_data(table) for table in tables]}, indent=1) + "\n"


def join_tables(tables: Sequence[EvaluationTable]) -> str:
    return "\n".join(map(evaluation_markdown, tables))


def _cell_text(value: TableCell, column: TableColumn) -> str:
    if value is None or not np.isfinite(value).all():
        return ""
    parts = value if isinstance(value, tuple) else (value,)
    return "–".join(f"{round(part, column.digits) + 0.0:.{column.digits}f}" for part in parts)  # + 0.0: no "-0.00"


def _plain_cell(value: TableCell) -> Any:
    if value is None or not np.isfinite(value).all():
        return None
    return [float(v) for v in value] if isinstance(value, tuple) else float(value)


def published_rows(table: str, columns: Sequence[TableColumn]) -> tuple[TableRow, ...]:
    """The published rows of a table in these columns; cells that were not published stay empty."""
    cells_by_row: dict[tuple[str, str, str], dict[str, float]] = {}
    for row in published_values(table):
        cells_by_row.setdefault((row["method"], row["row"], row["source"]), {})[row["column"]] = float(row["value"])
    return tuple(
        TableRow(method, label, tuple(cells.get(column.name) for column in columns), source)
        for (method, label, source), cells in cells_by_row.items()
        if any(column.name in cells for column in columns)
    )


@cache
def published_values(table: str) -> tuple[dict[str, str], ...]:
    """The rows of `published.csv` that belong to a table."""
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(row for row in csv.DictReader(text.splitlines()) if row["table"] == table)


# Constants of the papers' protocols: subjects of training and test, points of each column, rows.

TEST_SUBJECTS = ("S9", "S11")  # training subjects: S1, S5, S6, S7, S8
ROOT_POINT = "Hip"
LIFTING_FRAME_STEP = 50  # frames: 1 Hz of Human3.6M's 50

PROTOCOL_SPINE_POINTS = tuple(name for names in SPINE_REGIONS.values() for name in names)
PROTOCOL_BODY_POINTS = tuple(POINTS_BY_REGION["body"])
SPINE_COLUMNS = MappingProxyType({**SPINE_REGIONS, "spine": PROTOCOL_SPINE_POINTS})
POINT_COLUMNS = MappingProxyType(
    {**SPINE_COLUMNS, "body": PROTOCOL_BODY_POINTS, "all": load_skeleton(SIMSPINE_SKELETON).names}
)


def action_row(action: str) -> str:
    """The row of an action: Human3.6M's spelling where it is one of its fifteen, else as it is."""
    try:
        return canonical_action(action)
    except InputError:
        return action


def in_row_order(actions: Iterable[str]) -> list[str]:
    """Actions in the order of the SIMSPINE paper's tables; others behind them, by name."""
    known = {action_row(action) for action in actions}
    order = [a for a in dict.fromkeys(row["column"] for row in published_values("lifting_actions")) if a in known]
    return order + sorted(known.difference(order))


def trial_key(trial: str) -> str:
    """Equal for spellings of one trial's name: 'Walking 1', 'walking-1' and 'Walking_1'."""
    return re.sub(r"[\s_.-]+", "_", trial).lower()


def aligned_markdown(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table with columns of one width; the second row is the line below the heading."""
    cells = [[cell.replace("|", "/") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells)
