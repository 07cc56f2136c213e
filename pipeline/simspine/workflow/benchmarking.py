"""Benchmark results as files: tables in four forms."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from simspine import __version__
from simspine.dataset.manifest import sha256
from simspine.errors import InputError
from simspine.evaluation.tables import EvaluationTable, as_json, joined
from simspine.formats.atomic import write_text


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


def publish(run: BenchmarkRun, tables: Sequence[EvaluationTable], out: Path) -> list[Path]:
    """Write `<name>.txt`, `.md`, `.tex` and `.json` into `out`; returns the files written."""
    about = {"protocol": f"simspine benchmark {run.name}", "simspine": __version__, "date": date.today().isoformat()}
    about |= {"truth": f"SHA-256 {run.data}" if run.data else "made in memory by these settings"}
    settings = dict(run.options)
    whole = about | {"settings": json.dumps(settings)}
    texts = {
        "txt": _headed("", whole, joined("text", tables)),
        "md": _headed("- ", whole, joined("markdown", tables)),
        "tex": _headed("% ", whole, joined("latex", tables)),
        "json": as_json(tables, about=about, settings=settings, methods=dict(run.methods)),
    }
    written = []
    for ending, text in texts.items():
        written.append(out / f"{run.name}.{ending}")
        write_text(written[-1], text)
    return written


def _headed(mark: str, about: Mapping[str, str], text: str) -> str:
    """Where results are from, a line each that begins with `mark`, above the tables."""
    lines = [f"{mark}{term}: {' '.join(said.split())}" for term, said in about.items()]
    return "\n".join([*lines, "", text])
