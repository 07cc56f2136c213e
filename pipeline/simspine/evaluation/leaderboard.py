"""A leaderboard: a text file with one JSON object a line, one for each method, data and options."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from simspine.errors import InputError
from simspine.evaluation.rows import OVER_FRAMES
from simspine.evaluation.tables import EvaluationTable
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
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a leaderboard, which is a text file with one JSON object a line.") from None
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(LeaderboardEntry(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise InputError(f"{path}, line {number}: not an entry of a leaderboard ({error}).") from None
    return tuple(found)


def add_entries(path: str | os.PathLike, entries: Sequence[LeaderboardEntry]) -> tuple[LeaderboardEntry, ...]:
    """Add entries; one that was computed again takes the place of the old one. Returns all that the file then holds."""
    new = {entry.identity for entry in entries}
    kept = (*(entry for entry in read_leaderboard(path) if entry.identity not in new), *entries)
    write_text(path, "".join(json.dumps(asdict(entry), sort_keys=True) + "\n" for entry in kept))
    return kept
