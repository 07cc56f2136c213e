"""`simspine bench workflow --of CONFIG`: what the jobs of a run took, out of the files that Snakemake measured them in.

Snakemake looks at a job's processes every half second, and after 31 looks every 30 s. It keeps the processor time of
its last look, so that of a job of 40 s the second half is missing. What is missing is put in as if the job had gone on
to be as busy as before; how long it took on the clock is known.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from simspine.benchmark.report import Metric, aligned
from simspine.benchmark.workflow import GOAL_MIB, GOAL_MS
from simspine.config import Config
from simspine.errors import InputError
from simspine.workflow.jobs import CAPTURE, JOBS, OF_ALL, all_jobs
from simspine.workflow.manifest import read_json, read_manifest
from simspine.workflow.paths import Paths

ORDER = (CAPTURE, *JOBS, *OF_ALL)  # of a subject: none begins before those before it have ended
LOOKS, OFTEN_S, SELDOM_S = 31, 0.5, 30.0  # the first at the begin; a look takes 10 to 20 ms itself
LATE_S = 2.0  # by which files may be younger than what they tell of
NAMED = 3  # files that a message names


@dataclass(frozen=True)
class JobRun:
    """One job. seconds: on the clock; cpu: processor time at Snakemake's last look, s; memory: the highest of all its
    processes together, MiB; both None where Snakemake saw nothing of it. end: s since 1970, by its file's time."""

    job: str
    subject: str | None
    trial: str | None
    seconds: float
    cpu: float | None
    memory: float | None
    end: float

    @property
    def whole_cpu(self) -> float | None:
        """Processor time until its end, s: since the last look as busy as before."""
        return None if self.cpu is None else self.cpu * self.seconds / last_look(self.seconds)


@dataclass(frozen=True)
class JobCost:
    """Of all runs of a job. frames: of their trials, None where not known. seen, cpu: processor time until the last
    looks, and until the ends, s. longest: on the clock, s. memory: highest, MiB. unseen: jobs without these figures."""

    jobs: int
    frames: int | None
    seen: float
    cpu: float
    longest: float
    memory: float | None
    unseen: int

    @property
    def ms(self) -> float | None:
        """Processor time of a frame."""
        return 1e3 * self.cpu / self.frames if self.frames else None


@dataclass(frozen=True)
class FinishedRun:
    """costs: by job, in their order. frames, trials: of the data set; frames None where not known. wall: s from the
    first job's begin to the last one's end, None where the files' times cannot be true. missing: files that are not
    there."""

    costs: Mapping[str, JobCost]
    frames: int | None
    trials: int
    wall: float | None
    missing: tuple[Path, ...]

    @property
    def cpu(self) -> float:
        """Processor time of all jobs, s."""
        return sum(cost.cpu for cost in self.costs.values())

    def ms(self, capture: bool = True) -> float | None:
        """Processor time of a frame in all jobs; None where a job's is not known."""
        found = [cost.ms for job, cost in self.costs.items() if capture or job != CAPTURE]
        return None if None in found else math.fsum(ms for ms in found if ms is not None)


def last_look(seconds: float) -> float:
    """When Snakemake last looked at a job that took so long, s after its begin, as a mean over such jobs."""
    often = LOOKS * OFTEN_S
    if seconds <= often + OFTEN_S:
        return max(seconds - OFTEN_S / 2, seconds / 2)
    return often + SELDOM_S * math.floor((seconds - often) / SELDOM_S)


def read_run(config: Config) -> FinishedRun:
    """Raises `InputError` where no job has ended, and for a file that holds something else."""
    found, missing = [], []
    for job, subject, trial in all_jobs(config):
        path = _file(config, job, subject, trial)
        if path.is_file():
            found.append(_read(path, job, subject, trial))
        else:
            missing.append(path)
    if not found:
        raise InputError(
            f"no job of {config.name} has ended yet: there are none of the files that Snakemake measures jobs in, "
            f"{missing[0]} for one. `simspine run` writes them."
        )
    frames = _frames(config)
    by_job = {job: [run for run in found if run.job == job] for job in ORDER}
    return FinishedRun(
        {job: _cost(runs, frames) for job, runs in by_job.items() if runs},
        _total(frames.values()),
        len(frames),
        _wall(found),
        tuple(missing),
    )


def _file(config: Config, job: str, subject: str | None, trial: str | None) -> Path:
    """Where the Snakefile has a job measured."""
    folder = Path(config.results) / "benchmarks"
    folder = folder if subject is None else folder / subject
    return folder / (f"{job}.tsv" if trial is None else f"{trial}_{job}.tsv")


def _read(path: Path, job: str, subject: str | None, trial: str | None) -> JobRun:
    try:
        row = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter="\t"))[-1]
        seconds, cpu, memory = (None if row[key] == "NA" else float(row[key]) for key in ("s", "cpu_time", "max_rss"))
        if seconds is None or not all(0 <= value < math.inf for value in (seconds, cpu or 0, memory or 0)):
            raise ValueError
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise InputError(
            f"{path} is not what Snakemake measures: names, s, max_rss and cpu_time among them, and a line of figures, "
            "between tabs. Remove it to leave this job out."
        ) from None
    return JobRun(job, subject, trial, seconds, cpu, memory, path.stat().st_mtime)


def _frames(config: Config) -> dict[tuple[str, str], int | None]:
    """Of each trial, by subject and name: out of the summary, or else what `detect` noted; None where neither is."""
    summary = Path(config.results) / "summary.json"
    stated = read_json(summary).get("trials", {}) if summary.is_file() else {}

    def of(subject: str, trial: str) -> int | None:
        noted = read_manifest(Paths(Path(config.results), subject).manifest("detect", trial)).get("notes", {})
        return stated.get(f"{subject}/{trial}", noted).get("frames")

    return {(subject, trial): of(subject, trial) for subject in config.subjects for trial in config.trials(subject)}


def _cost(runs: list[JobRun], frames: Mapping[tuple[str, str], int | None]) -> JobCost:
    memory = [run.memory for run in runs if run.memory is not None]
    return JobCost(
        jobs=len(runs),
        frames=_total(n for run in runs for n in _frames_of(run, frames)),
        seen=math.fsum(run.cpu or 0.0 for run in runs),
        cpu=math.fsum(run.whole_cpu or 0.0 for run in runs),
        longest=max(run.seconds for run in runs),
        memory=max(memory, default=None),
        unseen=sum(run.cpu is None or run.memory is None for run in runs),
    )


def _frames_of(run: JobRun, frames: Mapping[tuple[str, str], int | None]) -> Iterable[int | None]:
    """Of the trials that a job is of."""
    if run.subject is not None and run.trial is not None:
        return [frames[run.subject, run.trial]]
    return [n for (subject, _), n in frames.items() if run.subject in (None, subject)]


def _total(counts: Iterable[int | None]) -> int | None:
    """None where one is not known."""
    total = 0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _wall(runs: list[JobRun]) -> float | None:
    """From the first begin to the last end; None where some job of a subject would have begun too early, as the times
    of copied files have it, and those of jobs that were done again with equal results."""
    for subject in {run.subject for run in runs}:
        own = [[r for r in runs if r.job == job and r.subject in (subject, None)] for job in ORDER]
        steps = [step for step in own if step]
        for before, after in pairwise(steps):
            if min(r.end - r.seconds for r in after) < max(r.end for r in before) - LATE_S:
                return None
    return max(run.end for run in runs) - min(run.end - run.seconds for run in runs)


def table(run: FinishedRun) -> str:
    """A row a job and one of all, what they come to, and what is missing."""
    head = ("job", "jobs", "CPU s, seen", "CPU s", "ms a frame", "longest, s", "MiB")
    rows = [head, ("---", *("---:",) * (len(head) - 1))]
    rows += [_row(job, [cost], cost.ms) for job, cost in run.costs.items()]
    if CAPTURE in run.costs and len(run.costs) > 1:
        rest = [cost for job, cost in run.costs.items() if job != CAPTURE]
        rows.append(_row(f"all but {CAPTURE}", rest, run.ms(capture=False)))
    rows.append(_row("all", list(run.costs.values()), run.ms()))
    return "\n".join([aligned(rows), "", *_lines(run)])


def _row(name: str, costs: list[JobCost], ms: float | None) -> tuple[str, ...]:
    seen, cpu = (sum(getattr(cost, key) for cost in costs) for key in ("seen", "cpu"))
    memory = max((cost.memory for cost in costs if cost.memory is not None), default=None)
    return (
        name,
        f"{sum(cost.jobs for cost in costs):,}",
        f"{seen:,.1f}",
        f"{cpu:,.1f}",
        "–" if ms is None else f"{ms:.3g}",
        f"{max(cost.longest for cost in costs):,.1f}",
        "–" if memory is None else f"{memory:,.0f}",
    )


def _lines(run: FinishedRun) -> Iterator[str]:
    frames = "an unknown number of" if run.frames is None else f"{run.frames:,}"
    yield f"{run.cpu / 3600:.2f} core-hours; {frames} frames in {run.trials} trials."
    if run.wall is None:
        yield "How long the run took on the clock cannot be told: these files were copied, or jobs were done again."
    else:
        yield f"{run.wall / 3600:.2f} h on the clock from the first job's begin to the last one's end."
    yield (
        "CPU s, seen: until Snakemake's last look, up to 30 s before a job's end. CPU s: until its end, if it stayed "
        "as busy. Of a job that was stopped and went on, the last part. MiB: all processes of a job together."
    )
    if unseen := sum(cost.unseen for cost in run.costs.values()):
        yield f"{unseen} jobs ended before Snakemake looked; they count with 0 s."
    if run.missing:
        named = ", ".join(map(str, run.missing[:NAMED])) + (", …" if len(run.missing) > NAMED else "")
        yield f"Not finished, or their files are gone: {len(run.missing)} jobs ({named})."


def as_metrics(run: FinishedRun) -> list[Metric]:
    """For programs; what is not known is left out."""
    found = [
        metric
        for job, cost in run.costs.items()
        for metric in (
            Metric(f"{job}_ms_per_frame", math.nan if cost.ms is None else cost.ms, "ms", "lower"),
            Metric(f"{job}_memory", math.nan if cost.memory is None else cost.memory, "MiB", "lower", _goal(job)),
        )
    ]
    each = run.ms(capture=False)
    found.append(Metric("all_but_capture_ms_per_frame", math.nan if each is None else each, "ms", "lower", GOAL_MS))
    found.append(Metric("core_hours", run.cpu / 3600, "h", "lower"))
    found.append(Metric("wall_hours", math.nan if run.wall is None else run.wall / 3600, "h", "lower"))
    return [metric for metric in found if math.isfinite(metric.value)]


def _goal(job: str) -> float | None:
    """MiB of a process; `page` has several."""
    return None if job == "page" else GOAL_MIB


def as_details(run: FinishedRun) -> dict:
    """All figures, JSON-able."""
    costs = {job: asdict(cost) | {"ms_per_frame": cost.ms} for job, cost in run.costs.items()}
    return {"jobs": costs, "frames": run.frames, "trials": run.trials, "missing": [str(path) for path in run.missing]}
