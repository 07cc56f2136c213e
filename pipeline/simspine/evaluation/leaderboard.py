"""A leaderboard: a text file with one JSON object a line, one for each method, data and options."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simspine.errors import InputError
from simspine.evaluation.rows import OVER_FRAMES
from simspine.evaluation.tables import EvaluationTable, TableColumn, TableRow
from simspine.evaluation.wording import settings_in_words
from simspine.formats.atomic import write_text
from simspine.sources.human36m.names import ACTIONS


@dataclass(frozen=True)
class LeaderboardEntry:
    """One method's result. benchmark: which protocol; figures: {'table: row: column': value}; version: of simspine;
    data, predictions: SHA-256 of the truth and of what was compared with it, '' where it was made in memory; date:
    YYYY-MM-DD; options: what the protocol leaves open, and who was tested."""

    benchmark: str
    method: str
    figures: Mapping[str, float]
    version: str
    date: str
    data: str = ""
    predictions: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        for name in ("benchmark", "method", "version", "date", "data", "predictions"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name} is {getattr(self, name)!r}, expected a text")
        for name in ("figures", "options"):
            if not isinstance(getattr(self, name), Mapping):
                raise InputError(f"{name} is {getattr(self, name)!r}, expected names with values")
        for name, value in self.figures.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise InputError(f"the figure {name!r} is {value!r}, expected a number")

    @property
    def identity(self) -> tuple[str, ...]:
        """Equal for a result that was computed again."""
        options = json.dumps(dict(self.options), sort_keys=True)
        return self.benchmark, self.method, self.version, self.data, self.predictions, options


def main_figures(tables: Sequence[EvaluationTable], method: str) -> dict[str, float]:
    """What a leaderboard keeps of a method: its rows over all data, without intervals and single actions."""
    kept = {}
    for table in tables:
        own = [row for row in table.rows if row.method == method and not row.source]
        whole = [row for row in own if row.label in (OVER_FRAMES, "all")] or own
        for row in whole:
            for column, value in zip(table.columns, row.cells, strict=True):
                if isinstance(value, float) and value == value and column.name not in ACTIONS:
                    kept[f"{table.name}: {row.label}: {column.name}"] = round(value, 4)
    return kept


def read_leaderboard(path: str | os.PathLike) -> tuple[LeaderboardEntry, ...]:
    """The entries in the order of the file, none where it does not exist; `InputError` with the line that is wrong."""
    if not Path(path).exists():
        return ()
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError):
        raise InputError(f"{path}: not a leaderboard, which is a text file with one JSON object a line.") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(LeaderboardEntry(**json.loads(line)))
            except (ValueError, TypeError, RecursionError) as error:
                raise InputError(
                    f"{path}, line {number}: not an entry of a leaderboard ({error}). Mend or delete the line, or name "
                    "another file."
                ) from None
    return tuple(found)


def add_entries(path: str | os.PathLike, entries: Sequence[LeaderboardEntry]) -> tuple[LeaderboardEntry, ...]:
    """Add entries; one that was computed again takes the place of the old one. Returns all that the file then holds."""
    new = {entry.identity for entry in entries}
    kept = (*(entry for entry in read_leaderboard(path) if entry.identity not in new), *entries)
    write_text(path, "".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in kept))
    return kept


def board_tables(entries: Sequence[LeaderboardEntry], tables: Sequence[EvaluationTable]) -> tuple[EvaluationTable, ...]:
    """A table of all entries for each of `tables` that they have figures of, with its title, columns and units; tables
    that only entries know, and figures of no table, come last. Entries are numbered from 1, as in `board_sources`.
    """
    known = {table.name: table for table in tables}
    found: dict[str, dict[str, None]] = {name: {} for name in known}
    rows: dict[str, dict[tuple[int, str], dict[str, float]]] = {}
    for number, entry in enumerate(entries, 1):
        for key, value in entry.figures.items():
            name, label, column = parts if len(parts := key.split(": ", 2)) == 3 else ("", "", key)
            found.setdefault(name, {})[column] = None
            rows.setdefault(name, {}).setdefault((number, label), {})[column] = value
    made = []
    for name in (name for name in found if name in rows):
        own = known.get(name)
        columns = [c for c in own.columns if c.name in found[name]] if own else []
        columns += [TableColumn(c, "", 4) for c in found[name] if c not in [column.name for column in columns]]
        lines = tuple(
            TableRow(f"{number}. {entries[number - 1].method}", label, tuple(cells.get(c.name) for c in columns))
            for (number, label), cells in rows[name].items()
        )
        made.append(
            EvaluationTable(
                name, own.title if own else name.replace("_", " ") or "Other figures", tuple(columns), lines
            )
        )
    return tuple(made)


def board_sources(entries: Sequence[LeaderboardEntry]) -> tuple[dict[str, str], list[list[str]]]:
    """Where results are from: settings that all entries have alike, {name: value}, and heading and rows of the rest:
    number and method, date, version, beginnings of the checksums of truth and predictions, settings that differ, which
    are written once."""
    settings = [settings_in_words(entry.options) for entry in entries]
    alike = {
        key: value
        for key, value in (settings[0] if settings else {}).items()
        if all(own.get(key) == value for own in settings)
    }
    said: dict[str, int] = {}
    rows = [["method", "date", "simspine", "truth", "predictions", "settings of its own"]]
    for number, (entry, own) in enumerate(zip(entries, settings, strict=True), 1):
        checksums = [text[:12] or "made in memory" for text in (entry.data, entry.predictions)]
        different = ", ".join(f"{key} {value}" for key, value in own.items() if key not in alike)
        first = said.setdefault(different, number)
        different = different if first == number or not different else f"those of {first}"
        rows.append([f"{number}. {entry.method}", entry.date, entry.version, *checksums, different])
    return alike, rows
