"""Tables of results, and four ways to write one: text, Markdown, LaTeX, JSON."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from simspine.errors import InputError, unknown_name

OTHER_DATA = "published, other data: "  # before the source of a row that is not of this data
TEXT_WIDTH = 100  # characters of a line for the terminal
_HEADING = 8  # characters below which no heading is broken into lines
Cell = float | tuple[float, float] | None  # a figure, an interval, nothing


@dataclass(frozen=True)
class TableColumn:
    """A column of figures. digits: behind the point."""

    name: str
    unit: str = "mm"
    digits: int = 2

    @property
    def heading(self) -> str:
        """Name and unit, as it stands above the column."""
        return f"{self.name} [{self.unit}]" if self.unit else self.name


@dataclass(frozen=True)
class TableRow:
    """One row. method: whose result; label: of what (an action, a mean); cells: one for each column. source: '' for
    results on this data, else where it was published: other data, so only roughly comparable. remark: why cells are
    empty, or ''."""

    method: str
    label: str
    cells: tuple[Cell, ...]
    source: str = ""
    remark: str = ""

    @property
    def footnote(self) -> str:
        """What is to be known of this row alone."""
        return OTHER_DATA + self.source if self.source else self.remark


@dataclass(frozen=True)
class EvaluationTable:
    """A table of a benchmark. name: what programs call it; title and notes: for readers."""

    name: str
    title: str
    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        for row in self.rows:
            if len(row.cells) != len(self.columns):
                raise InputError(
                    f"table {self.name}: row {row.label!r} has {len(row.cells)} cells for {len(self.columns)} columns."
                )

    def value(self, method: str, label: str, column: str) -> Cell:
        """One cell; `InputError` for a row or a column that does not exist."""
        names = [c.name for c in self.columns]
        if column not in names:
            raise unknown_name("column", column, names, f"table {self.name}")
        for row in self.rows:
            if (row.method, row.label) == (method, label):
                return row.cells[names.index(column)]
        raise unknown_name("row", f"{method}: {label}", [f"{r.method}: {r.label}" for r in self.rows], self.name)


def as_text(table: EvaluationTable) -> str:
    """For a terminal of `TEXT_WIDTH` characters: columns that do not fit stand in a block of their own below."""
    footnotes = list(dict.fromkeys(row.footnote for row in table.rows if row.footnote))
    heads = [("method", "")]
    for row in table.rows:
        mark = f" [{1 + footnotes.index(row.footnote)}]" if row.footnote else ""
        heads.append((row.method, row.label + mark))
    method, label = (max(map(len, column)) for column in zip(*heads, strict=True))
    left = [f"{name:<{method}}  {row:<{label}}" for name, row in heads]
    columns = [_text_column(column, [row.cells[i] for row in table.rows]) for i, column in enumerate(table.columns)]
    blocks: list[list[_TextColumn]] = []
    room = 0
    for column in columns:
        if not blocks or column.width + 2 > room:
            blocks.append([])
            room = TEXT_WIDTH - len(left[0])
        blocks[-1].append(column)
        room -= column.width + 2
    notes = [*(f"[{i}] {footnote}" for i, footnote in enumerate(footnotes, 1)), *table.notes]
    wrapped = [line for note in notes for line in textwrap.wrap(note, TEXT_WIDTH)]
    lines = [line for block in blocks for line in (*_text_block(left, block), "")]
    return "\n".join([table.title, "", *lines, *wrapped]).rstrip() + "\n"


@dataclass(frozen=True)
class _TextColumn:
    """A column as texts: lines of its heading, and its cells."""

    heading: list[str]
    cells: list[str]
    width: int


def _text_column(column: TableColumn, values: Sequence[Cell]) -> _TextColumn:
    cells = [_cell(value, column) for value in values]
    heading = textwrap.wrap(column.heading, max(_HEADING, *map(len, (*cells, *column.heading.split()))))
    return _TextColumn(heading, cells, max(map(len, (*heading, *cells))))


def _text_block(left: Sequence[str], columns: Sequence[_TextColumn]) -> list[str]:
    """Heading, line and rows; left: what stands before the columns, of the heading and of each row."""
    depth = max(len(column.heading) for column in columns)
    above = [[""] * (depth - len(column.heading)) + column.heading for column in columns]
    rows = [(" " * len(left[0]) if i < depth - 1 else left[0], [h[i] for h in above]) for i in range(depth)]
    rows += [(head, [column.cells[i] for column in columns]) for i, head in enumerate(left[1:])]
    widths = [column.width for column in columns]
    lines = ["  ".join([head, *(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))]) for head, cells in rows]
    return [line.rstrip() for line in (*lines[:depth], "─" * len(lines[0]), *lines[depth:])]


def as_markdown(table: EvaluationTable) -> str:
    """With a title of the second order, and the notes below."""
    rows = [[cell.replace("|", "/") for cell in row] for row in _lines(table)]
    line = ["---", "---", *("---:" for _ in table.columns), "---"]
    piped = ["| " + " | ".join(row) + " |" for row in (rows[0], line, *rows[1:])]
    return "\n".join([f"## {table.title}", "", *piped, "", *table.notes]).rstrip() + "\n"


def as_latex(table: EvaluationTable) -> str:
    """A `table` with `booktabs` lines; results of other data below a line of their own, in italics."""
    heading, *_ = _lines(table)
    lines = [" & ".join(map(_tex, heading[:-1])) + r" \\", r"\midrule"]
    foreign = False
    for row, cells in zip(table.rows, _lines(table)[1:], strict=True):
        if row.source and not foreign:
            lines.append(r"\midrule")
        foreign = bool(row.source)
        texts = [_tex(cell) for cell in cells[:-1]]
        lines.append(" & ".join(rf"\textit{{{t}}}" if foreign and t else t for t in texts) + r" \\")
    sources = dict.fromkeys(row.footnote for row in table.rows if row.source)
    remarks = dict.fromkeys(f"{row.label or row.method}: {row.remark}." for row in table.rows if row.remark)
    notes = [*table.notes, *remarks, *(("In italics: " + "; ".join(sources) + ".",) if sources else ())]
    caption = " ".join([table.title.rstrip(".") + ".", *notes])
    return "\n".join([
        r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}", r"\toprule", *lines,
        r"\bottomrule", r"\end{tabular}", rf"\caption{{{_tex(caption)}}}", r"\end{table}",
    ]) + "\n"  # fmt: skip


def as_data(table: EvaluationTable) -> dict[str, Any]:
    """For JSON: numbers in full, None where there is none."""
    return {
        "name": table.name,
        "title": table.title,
        "columns": [{"name": c.name, "unit": c.unit} for c in table.columns],
        "rows": [
            {"method": row.method, "label": row.label, "source": row.source, "remark": row.remark}
            | {"cells": {c.name: _plain(v) for c, v in zip(table.columns, row.cells, strict=True)}}
            for row in table.rows
        ],
        "notes": list(table.notes),
    }


def as_json(tables: Sequence[EvaluationTable], **more: Any) -> str:
    """All tables, and what else is to be kept with them, by name."""
    return json.dumps({**more, "tables": [as_data(table) for table in tables]}, indent=1) + "\n"


def joined(write: str, tables: Sequence[EvaluationTable]) -> str:
    """All tables in one of `WRITERS`."""
    if write not in WRITERS:
        raise unknown_name("way to write a table", write, WRITERS)
    return "\n".join(WRITERS[write](table) for table in tables)


WRITERS: Mapping[str, Any] = MappingProxyType({"text": as_text, "markdown": as_markdown, "latex": as_latex})


def lines(table: EvaluationTable) -> list[list[str]]:
    """Heading and rows as texts: method, row, the columns, and what is to be known of a row."""
    return _lines(table)


def _lines(table: EvaluationTable) -> list[list[str]]:
    heading = ["method", "", *(column.heading for column in table.columns), ""]
    return [heading] + [
        [row.method, row.label, *map(_cell, row.cells, table.columns), row.footnote] for row in table.rows
    ]


def _cell(value: Cell, column: TableColumn) -> str:
    if value is None or not np.isfinite(value).all():
        return ""
    parts = value if isinstance(value, tuple) else (value,)
    return "–".join(f"{round(part, column.digits) + 0.0:.{column.digits}f}" for part in parts)  # + 0.0: no "-0.00"


def _plain(value: Cell) -> Any:
    if value is None or not np.isfinite(value).all():
        return None
    return [float(v) for v in value] if isinstance(value, tuple) else float(value)


_TEX = {
    "\\": r"\textbackslash{}",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "°": r"$^\circ$",
    "²": "$^2$",
    "≥": r"$\ge$",
}
_TEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"} | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(sign, sign) for sign in text)
