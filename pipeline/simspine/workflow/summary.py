"""summary.json: the headline figures of a data set; and the table that the command line prints."""

from pathlib import Path

import numpy as np

from simspine.config import Config
from simspine.report.content import Row
from simspine.report.summary import summary_rows
from simspine.workflow.manifest import read_json
from simspine.workflow.paths import Paths
from simspine.workflow.results import TrialResults, figures, seconds

# Figures of a data set are means over its trials, weighted by frames; counts are summed.
_MEANS = (
    "reprojection_px_median", "reprojection_px_p90", "points_kept_share", "marker_rms_mm",
    "model_reprojection_px_median", "lla_deg_mean", "lla_deg_sd", "tka_deg_mean", "tka_deg_sd",
)  # fmt: skip
LIGHT_STYLE = {"check": "yellow", "bad": "red"}
_SUMS = ("frames", "frames_rejected", "frames_corrected")
_BY_NAME = ("marker_rms_mm_by_group", "model_reprojection_px_by_camera")


def summarise(config: Config) -> dict:
    """All headline figures; needs the results of every stage up to quality."""
    trials, spent, femurs = {}, {}, []
    for subject in config.subjects:
        paths = Paths(Path(config.results), subject)
        for trial in config.trials(subject):
            trials[f"{subject}/{trial}"] = figures(TrialResults(paths, trial))
        for stage, value in seconds(paths).items():
            spent[stage] = round(spent.get(stage, 0.0) + value, 3)
        femurs.append(read_json(paths.scaling)["femur_m"])
    entries = list(trials.values())
    weights = [entry["frames"] for entry in entries]
    reasons: dict[str, int] = {}
    for entry in entries:
        for code, count in entry["rejected_because"].items():
            reasons[code] = reasons.get(code, 0) + count
    return {
        "name": config.name,
        **{key: sum(entry[key] for entry in entries) for key in _SUMS},
        "views": max(entry["views"] for entry in entries),
        **{key: _mean([entry[key] for entry in entries], weights) for key in _MEANS},
        **{key: _mean_by_name([entry[key] for entry in entries], weights) for key in _BY_NAME},
        "set_by_model": sorted({name for entry in entries for name in entry["set_by_model"]}),
        "rejected_because": reasons,
        "femur_m": {side: float(np.mean([femur[side] for femur in femurs])) for side in ("left", "right")},
        "seconds": round(sum(spent.values()), 3),
        "seconds_by_stage": spent,
        "trials_left_out": config.skipped,
        "known_faults": config.known_faults,
        "trials": trials,
    }


def read_summary(config: Config) -> dict:
    return read_json(Path(config.results) / "summary.json")


def rows(summary: dict) -> tuple[Row, ...]:
    """Lines of the table, for the terminal and the report."""
    why = ", ".join(f"{code.replace('_', ' ')} {count}" for code, count in summary["rejected_because"].items())
    return summary_rows(summary, {"frames_rejected": why or "none"})


def print_summary(config: Config) -> None:
    """Print the table, and where the results are."""
    from rich.console import Console
    from rich.table import Table

    console, results = Console(), Path(config.results)
    table = Table(title=f"simspine · {config.name}", title_justify="left", show_header=False)
    for row in rows(read_summary(config)):
        table.add_row(row.label, row.value, row.note, style=LIGHT_STYLE.get(row.light))
    console.print(table)
    for what, path in (
        ("report", results / "report.html"),
        ("data set", results / f"{config.name}.h5"),
        ("summary", results / "summary.json"),
        ("files per subject", results / "export"),
    ):
        console.print(f"{what + ':':19}{path}", highlight=False, soft_wrap=True)


def _mean(values: list, weights: list[int]) -> float | None:
    known = [i for i, value in enumerate(values) if value is not None]
    if not known:
        return None
    return float(np.average([values[i] for i in known], weights=[weights[i] for i in known]))


def _mean_by_name(entries: list[dict], weights: list[int]) -> dict:
    names = dict.fromkeys(name for entry in entries for name in entry)
    return {name: _mean([entry.get(name) for entry in entries], weights) for name in names}
