"""Processor time and memory of each job of a whole run, from the tables that the run left in its results.

    python benchmarks/run_costs.py results/virtual --json benchmarks/workflow_535000.json

`python -m tools.document_figures` fills the table of docs/scale.md from the file.
"""

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tools.bench.figures import machine_description

import simspine
from simspine.workflow.jobs import CAPTURE_JOB, JOBS_OF_ALL, STAGES_OF_JOB


def job_tables(results: Path) -> dict[str, list[dict[str, float]]]:
    """{job: a row of s, cpu_time (s) and max_rss (MiB) for each time it ran}, in the order of the workflow."""
    rows = defaultdict(list)
    for path in sorted(Path(results, "benchmarks").rglob("*.tsv")):
        with open(path, encoding="utf-8", newline="") as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        rows[path.stem.rpartition("_")[2]].append({name: float(value) for name, value in row.items()})
    return {job: rows[job] for job in (CAPTURE_JOB, *STAGES_OF_JOB, *JOBS_OF_ALL) if job in rows}


def run_costs(results: Path) -> dict:
    """Figures of all jobs; `core_minutes` is their sum without the making of the virtual capture."""
    with simspine.open_dataset(results) as data:
        trials, total = len(data.trials()), data.frames
    jobs = {}
    for job, rows in job_tables(results).items():
        cpu = sum(row["cpu_time"] for row in rows)
        jobs[job] = {
            "jobs": len(rows),
            "cpu": cpu,
            "ms_per_frame": 1000 * cpu / total,
            "longest": max(row["s"] for row in rows),
            "memory": max(row["max_rss"] for row in rows),
        }
    measured = [figures["cpu"] for job, figures in jobs.items() if job != CAPTURE_JOB]
    about = {"date": date.today().isoformat(), "machine": machine_description(), "version": simspine.__version__}
    return about | {"trials": trials, "frames": total, "core_minutes": sum(measured) / 60, "jobs": jobs}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="folder of results of a run that has ended")
    parser.add_argument("--json", type=Path, required=True, help="file for the figures")
    chosen = parser.parse_args(arguments)
    costs = run_costs(chosen.results)
    chosen.json.write_text(json.dumps(costs, indent=1) + "\n", encoding="utf-8")
    print(f"{costs['frames']:,} frames of {costs['trials']} trials: {costs['core_minutes']:.1f} core-minutes")


if __name__ == "__main__":
    main()
