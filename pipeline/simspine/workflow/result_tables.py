"""Tables out of results: quality of all trials, validation of a data set, benchmarks; on the terminal and as files."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from simspine import __version__
from simspine.core.errors import InputError
from simspine.dataset.description import sha256_of_file
from simspine.dataset.recordings import open_dataset
from simspine.evaluation.tables import EvaluationTable, evaluation_json, join_tables
from simspine.evaluation.validation_records import trial_records
from simspine.evaluation.validation_tables import validation_csv, validation_markdown, validation_tables_of
from simspine.io.atomic import write_text
from simspine.quality.assess import VerdictsByTrial, verdicts_csv, verdicts_dict
from simspine.quality.findings import Finding, Severity, Status, Verdict
from simspine.workflow.config import Config
from simspine.workflow.record import RunPaths, read_json

SEVERITY_STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan", None: "green"}
EXAMPLES_PER_CODE = 3  # findings of one code that the terminal shows


def read_verdicts(config: Config) -> dict[tuple[str, str], Verdict]:
    """{(subject, trial): verdict} of the stage quality. Raises `InputError` where it has not run."""
    verdicts = {}
    for subject in config.subjects:
        paths = RunPaths(Path(config.results), subject)
        for trial in config.trials(subject):
            file = paths.quality(trial)
            if not file.exists():
                raise InputError(f"{file}: not there yet; run the stage quality of {subject}/{trial} first.")
            verdicts[subject, trial] = Verdict.from_dict(read_json(file))
    return verdicts


def write_quality(config: Config) -> VerdictsByTrial:
    """Write quality.csv and quality.json into the results; returns what they hold."""
    verdicts = read_verdicts(config)
    results = Path(config.results)
    write_text(results / "quality.csv", verdicts_csv(verdicts))
    write_text(results / "quality.json", json.dumps(verdicts_dict(verdicts), indent=1, ensure_ascii=False) + "\n")
    return verdicts


def findings_by_code(verdicts: VerdictsByTrial) -> dict[str, list[Finding]]:
    """Findings by code, the gravest codes first, each with whose it is."""
    found: dict[str, list[Finding]] = {}
    for key, verdict in verdicts.items():
        for finding in verdict.of(*key).findings:
            found.setdefault(finding.code, []).append(finding)
    order = tuple(Severity)
    return dict(sorted(found.items(), key=lambda item: -order.index(item[1][0].severity)))


def print_quality(config: Config, verdicts: VerdictsByTrial) -> None:
    """Frames per trial, then findings with what to do, a few of each code."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"simspine · {config.name} · quality", title_justify="left")
    for column in ("trial", "frames", *map(str, Status), "worst finding"):
        table.add_column(column, justify="left" if column in ("trial", "worst finding") else "right")
    for (subject, trial), verdict in verdicts.items():
        counts = [str(verdict.counts[status]) for status in Status]
        worst = verdict.worst
        table.add_row(
            f"{subject}/{trial}", str(verdict.frames), *counts, str(worst or "none"), style=SEVERITY_STYLES[worst]
        )
    console.print(table)
    for code, found in findings_by_code(verdicts).items():
        style = SEVERITY_STYLES[found[0].severity]
        for f in found[:EXAMPLES_PER_CODE]:
            frames = f" · frames {f.span}" if f.frames else ""
            console.print(f"{f.severity} {code} · {f.subject}/{f.trial}{frames}", style=style, highlight=False)
            console.print(f"  {f.message} {f.suggestion}", highlight=False, soft_wrap=True)
        if len(found) > EXAMPLES_PER_CODE:
            console.print(f"  … and {len(found) - EXAMPLES_PER_CODE} more of {code}", style=style, highlight=False)
    console.print(
        f"all findings: {Path(config.results) / 'quality.csv'}, quality.json", highlight=False, soft_wrap=True
    )


# Validation tables of a data set


def write_validation(dataset: Path, out: Path) -> list[Path]:
    """Write <table>.csv, and validation.md with all tables, into `out`.

    dataset: a data set's HDF5 file, ours or a released one, or a folder with exactly one. Returns the files written.
    """
    with open_dataset(dataset) as file:
        some = trial_records(file)
    if not some:
        raise InputError(f"{dataset}: holds no trial, so there is nothing to validate.")
    made, text = [], [f"# Validation of {dataset.stem}", ""]
    for name, rows in validation_tables_of(some).items():
        made.append(out / f"{name}.csv")
        write_text(made[-1], validation_csv(rows))
        text.append(validation_markdown(name, rows))
    made.append(out / "validation.md")
    write_text(made[-1], "\n".join(text))
    return made


# Benchmark results as files: tables in four forms


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


def path_fingerprint(path: Path) -> str:
    """SHA-256 of a file, or of the names and checksums of all files of a folder."""
    if path.is_file():
        return sha256_of_file(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()} {sha256_of_file(file)}\n".encode())
    return digest.hexdigest()


def write_benchmark_results(run: BenchmarkRun, tables: Sequence[EvaluationTable], out: Path) -> list[Path]:
    """Write `<name>.txt`, `.md`, `.tex` and `.json` into `out`; returns the files written."""
    about = {"protocol": f"simspine benchmark {run.name}", "simspine": __version__, "date": date.today().isoformat()}
    about |= {"truth": f"SHA-256 {run.data}" if run.data else "made in memory by these settings"}
    settings = dict(run.options)
    whole = about | {"settings": json.dumps(settings)}
    texts = {
        "txt": _provenance_header("", whole, join_tables("text", tables)),
        "md": _provenance_header("- ", whole, join_tables("markdown", tables)),
        "tex": _provenance_header("% ", whole, join_tables("latex", tables)),
        "json": evaluation_json(tables, about=about, settings=settings, methods=dict(run.methods)),
    }
    written = []
    for ending, text in texts.items():
        written.append(out / f"{run.name}.{ending}")
        write_text(written[-1], text)
    return written


def _provenance_header(mark: str, about: Mapping[str, str], text: str) -> str:
    """Where results are from, a line each that begins with `mark`, above the tables."""
    lines = [f"{mark}{term}: {' '.join(said.split())}" for term, said in about.items()]
    return "\n".join([*lines, "", text])
