"""Benchmark results as files: tables in four forms, a page, and rows of a leaderboard."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from simspine import __version__
from simspine.dataset.manifest import sha256
from simspine.errors import InputError
from simspine.evaluation.leaderboard import LeaderboardEntry, add_entries, main_figures
from simspine.evaluation.tables import EvaluationTable, as_json, joined
from simspine.evaluation.wording import settings_in_words
from simspine.formats.atomic import write_text
from simspine.report.benchmark_page import benchmark_page


@dataclass(frozen=True)
class BenchmarkRun:
    """What was done. name: of the protocol; methods: {name: SHA-256 of its predictions, '' where made in memory};
    data: SHA-256 of the truth, or ''; options: what the protocol leaves open."""

    name: str
    methods: Mapping[str, str]
    data: str
    options: Mapping[str, Any]


def named_files(arguments: Sequence[str]) -> dict[str, Path]:
    """{name: file} of 'name=file' or 'file', which is named after itself; `InputError` for a name given twice."""
    found: dict[str, Path] = {}
    for argument in arguments:
        name, mark, path = argument.partition("=")
        file = Path(path if mark and not Path(argument).exists() else argument)
        label = name if mark and not Path(argument).exists() else file.stem
        if not label or label in found:
            raise InputError(f"two results are called {label!r}; give each a name of its own: NAME=FILE.")
        found[label] = file
    return found


def fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of the names and checksums of all files of a folder."""
    if path.is_file():
        return sha256(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256(file)}\n".encode())
    return digest.hexdigest()


def publish(
    run: BenchmarkRun, tables: Sequence[EvaluationTable], out: Path | None, leaderboard: Path | None
) -> list[Path]:
    """Write `<name>.txt`, `.md`, `.tex`, `.json` and `.html` into `out`, and the methods' rows into the leaderboard.

    Either may be None. Returns the files written.
    """
    today = date.today().isoformat()
    entries = [
        LeaderboardEntry(
            run.name, method, main_figures(tables, method), __version__, today, run.data, predictions, dict(run.options)
        )
        for method, predictions in run.methods.items()
    ]
    board = () if leaderboard is None else add_entries(leaderboard, entries)
    written = [] if leaderboard is None else [leaderboard]
    if out is None:
        return written
    about = {"protocol": f"simspine benchmark {run.name}", "simspine": __version__, "date": today}
    about |= {"truth": f"SHA-256 {run.data}" if run.data else "made in memory by these settings"}
    settings = settings_in_words(run.options)
    whole = about | settings
    entries_of = [entry for entry in board if entry.benchmark == run.name]
    texts = {
        "txt": _headed("", whole, joined("text", tables)),
        "md": _headed("- ", whole, joined("markdown", tables)),
        "tex": _headed("% ", whole, joined("latex", tables)),
        "json": as_json(tables, about=about, settings=dict(run.options), methods=dict(run.methods)),
        "html": benchmark_page(f"simspine benchmark: {run.name}", tables, about, settings, entries_of),
    }
    for ending, text in texts.items():
        written.append(out / f"{run.name}.{ending}")
        write_text(written[-1], text)
    return written


def _headed(mark: str, about: Mapping[str, str], text: str) -> str:
    """Where results are from, a line each that begins with `mark`, above the tables."""
    lines = [f"{mark}{term}: {' '.join(said.split())}" for term, said in about.items()]
    return "\n".join([*lines, "", text])
