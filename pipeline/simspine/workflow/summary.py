"""summary.json: the headline figures of a data set; timings.json, which differs from run to run; and the table that
the command line prints.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from simspine.config import Config
from simspine.errors import InputError
from simspine.pipeline.headline import data_set_headline, headline
from simspine.report.content import Row
from simspine.report.summary import summary_rows
from simspine.workflow.manifest import read_json
from simspine.workflow.paths import Paths
from simspine.workflow.trials import read_trial, seconds_of

LIGHT_STYLE = {"check": "yellow", "bad": "red"}


def summarise(config: Config) -> dict:
    """All headline figures; needs the results of every stage up to quality."""
    trials: dict[str, dict] = {}
    femurs = []
    for subject in config.subjects:
        paths = Paths(Path(config.results), subject)
        for trial in config.trials(subject):
            trials[f"{subject}/{trial}"] = headline(read_trial(paths, trial))
        femurs.append(read_json(paths.scaling)["femur_m"])
    return {
        "name": config.name,
        **data_set_headline(trials),
        "femur_m": {side: float(np.mean([femur[side] for femur in femurs])) for side in ("left", "right")},
        "trials_left_out": config.skipped,
        "known_faults": config.known_faults,
        "trials": trials,
    }


def timings(config: Config) -> dict:
    """Computing time, s, of all stages together and of each."""
    spent: dict[str, float] = {}
    for subject in config.subjects:
        for stage, value in seconds_of(Paths(Path(config.results), subject), config.trials(subject)).items():
            spent[stage] = round(spent.get(stage, 0.0) + value, 3)
    return {"seconds": round(sum(spent.values()), 3), "seconds_by_stage": spent}


COLUMNS = ("trial", "parameter", "unit", "mean", "sd", "low", "high", "known", "decided")


def clinical_csv(trials: Mapping[str, dict]) -> str:
    """A line per trial and clinical parameter, LLA and TKA first, with `COLUMNS`; empty where nothing is known.

    trials: {'subject/trial': its headline}. The lumbopelvic rhythm is followed by the two motions that it is the ratio
    of, each a row of its own; all three have neither low nor high.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for trial, entry in trials.items():
        for name, figure in entry["clinical"].items():
            writer.writerow((trial, name, *(_cell(figure[column]) for column in COLUMNS[2:])))
        rhythm = entry["lumbopelvic_rhythm"]
        if rhythm is not None:
            ratio, sd, lumbar, pelvis = (_cell(rhythm[key]) for key in ("ratio", "sd", "lumbar_deg", "pelvis_deg"))
            writer.writerow((trial, "lumbopelvic_rhythm", "1", ratio, sd, "", "", "", rhythm["reason"]))
            for part, motion in (("lumbar", lumbar), ("pelvis", pelvis)):
                writer.writerow((trial, f"lumbopelvic_rhythm_{part}", "deg", motion, "", "", "", "", ""))
    return out.getvalue()


def _cell(value: float | str | None) -> str:
    return "" if value is None else value if isinstance(value, str) else f"{value:.4g}"


def read_summary(config: Config) -> dict:
    path = Path(config.results) / "summary.json"
    found = read_json(path)
    if not isinstance(found, dict) or "rejected_because" not in found:
        raise InputError(f"{path} is damaged: it lacks the counts of frames. Run `simspine export` again.")
    return found


def rows(summary: dict) -> tuple[Row, ...]:
    """Lines of the table, for the terminal and the report."""
    why = ", ".join(f"{code.replace('_', ' ')} {count}" for code, count in summary["rejected_because"].items())
    if summary.get("frames_inferred"):
        why += "; inferred: filled in, not seen"
    return summary_rows(summary, {"frames_rejected": why or "none"})


def print_summary(config: Config) -> None:
    """Print the table, and where the results are."""
    from rich.console import Console
    from rich.table import Table

    console, results = Console(), Path(config.results)
    table = Table(title=f"simspine · {config.name}", title_justify="left", show_header=False)
    for row in rows(read_summary(config) | timings(config)):
        table.add_row(row.label, row.value, row.note, style=LIGHT_STYLE.get(row.light))
    console.print(table)
    for what, path in (
        ("report", results / "report.html"),
        ("data set", results / f"{config.name}.h5"),
        ("summary", results / "summary.json"),
        ("files per subject", results / "export"),
    ):
        console.print(f"{what + ':':19}{path}", highlight=False, soft_wrap=True)
