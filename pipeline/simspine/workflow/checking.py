"""Quality of a whole data set: quality.csv, quality.json, and the table on the terminal."""

import json
from pathlib import Path

from simspine.config import Config
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.quality.findings import Finding, Severity, Status, Verdict
from simspine.quality.overview import Verdicts, as_csv, as_dict
from simspine.workflow.manifest import read_json
from simspine.workflow.paths import Paths

STYLES = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan", None: "green"}
EXAMPLES = 3  # findings of one code that the terminal shows


def read_verdicts(config: Config) -> dict[tuple[str, str], Verdict]:
    """{(subject, trial): verdict} of the stage quality. Raises `InputError` where it has not run."""
    verdicts = {}
    for subject in config.subjects:
        paths = Paths(Path(config.results), subject)
        for trial in config.trials(subject):
            file = paths.quality(trial)
            if not file.exists():
                raise InputError(f"{file}: not there yet; run the stage quality of {subject}/{trial} first.")
            verdicts[subject, trial] = Verdict.from_dict(read_json(file))
    return verdicts


def write_quality(config: Config) -> Verdicts:
    """Write quality.csv and quality.json into the results; returns what they hold."""
    verdicts = read_verdicts(config)
    results = Path(config.results)
    write_text(results / "quality.csv", as_csv(verdicts))
    write_text(results / "quality.json", json.dumps(as_dict(verdicts), indent=1, ensure_ascii=False) + "\n")
    return verdicts


def by_code(verdicts: Verdicts) -> dict[str, list[Finding]]:
    """Findings by code, the gravest codes first, each with whose it is."""
    found: dict[str, list[Finding]] = {}
    for key, verdict in verdicts.items():
        for finding in verdict.of(*key).findings:
            found.setdefault(finding.code, []).append(finding)
    order = tuple(Severity)
    return dict(sorted(found.items(), key=lambda item: -order.index(item[1][0].severity)))


def print_quality(config: Config, verdicts: Verdicts) -> None:
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
        table.add_row(f"{subject}/{trial}", str(verdict.frames), *counts, str(worst or "none"), style=STYLES[worst])
    console.print(table)
    for code, found in by_code(verdicts).items():
        style = STYLES[found[0].severity]
        for f in found[:EXAMPLES]:
            frames = f" · frames {f.span}" if f.frames else ""
            console.print(f"{f.severity} {code} · {f.subject}/{f.trial}{frames}", style=style, highlight=False)
            console.print(f"  {f.message} {f.suggestion}", highlight=False, soft_wrap=True)
        if len(found) > EXAMPLES:
            console.print(f"  … and {len(found) - EXAMPLES} more of {code}", style=style, highlight=False)
    console.print(
        f"all findings: {Path(config.results) / 'quality.csv'}, quality.json", highlight=False, soft_wrap=True
    )
