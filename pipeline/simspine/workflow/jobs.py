"""The workflow's jobs: some stages of a trial in one process, since starting one takes a second or two.

A job that is through writes the list of all its files with their checksums, in the form that `sha256sum --check` reads.
Snakemake goes by these lists: equal results leave equal lists, and what follows is not done again. Before a run lists
that are not true are removed, whatever made them so: a file that is gone or was changed, another setting or input,
other code. A job finds out by itself which of its stages are done already.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simspine.config import Config, digest
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task, checksum, run_task, why_not_done
from simspine.workflow.paths import Paths, results_checksums, results_manifest
from simspine.workflow.run import check_writable, do_tasks
from simspine.workflow.stages import module_of, planner


@dataclass(frozen=True)
class Job:
    """stages: run one after another. whole: once for all trials of a subject; else for each trial."""

    stages: tuple[str, ...]
    whole: bool = False


JOBS = {
    "detect": Job(("detect",)),
    "cameras": Job(("triangulate",), whole=True),
    "markers": Job(("triangulate", "merge")),
    "scale": Job(("scale", "export"), whole=True),
    "motion": Job(("ik", "vertebrae", "quality", "export")),
}
CAPTURE = "capture"  # a job where the data set is made first
OF_ALL = {"dataset": "simspine.workflow.dataset", "page": "simspine.workflow.reporting"}  # of all subjects together


@dataclass(frozen=True)
class Step:
    """A task with its place in the workflow. subject, trial: None where it is of all of them."""

    job: str
    stage: str
    subject: str | None
    trial: str | None
    manifest: Path
    module: str
    task: Task


def steps_of(
    config: Config, subject: str | None, jobs: Iterable[str], trial: str | None = None, here: bool = True
) -> list[Step]:
    """What these jobs do of a subject (None: of all together), in order; nothing is read.

    trial: plan only this one; not for jobs of all trials. here: whether the recordings must be on this machine: then
    `InputError` is raised where one is missing.
    """
    if subject is None:
        return [step_of_all(config, job, here=here) for job in jobs]
    found = []
    context = Context(config, subject, quiet=True, trial=trial, recordings_here=here)
    for job in jobs:
        for stage in JOBS[job].stages:
            for task in planner(stage)(context):
                if task.whole == JOBS[job].whole:
                    of = None if task.whole else task.name
                    place = context.paths.manifest(stage, of)
                    found.append(Step(job, stage, subject, of, place, module_of(stage), task))
    return found


def step_of_all(config: Config, job: str, cores: int = 1, here: bool = True) -> Step:
    """What a job over all subjects does. cores: for `page`. here: as of `steps_of`."""
    from simspine.workflow.dataset import dataset_task
    from simspine.workflow.reporting import page_task

    task = page_task(config, cores, here) if job == "page" else dataset_task(config)
    return Step(job, job, None, None, results_manifest(config.results, job), OF_ALL[job], task)


def run_job(
    config: Config, job: str, subject: str | None, trial: str | None, cores: int = 1, here: bool = True
) -> None:
    """Do what a job still has to do, and write the list of its files.

    subject: None of jobs over all subjects. trial: None of jobs over all trials. cores: so many processes draw the
    pages of `page`; other jobs take what they need. here: whether all that a trial is made from must be on this
    machine, not only what the job reads. Raises `InputError` if one is wanted
    and not given, or the other way round. What fails is kept beside the list, for `simspine status`.
    """
    wanted = (job not in OF_ALL, job not in OF_ALL and not JOBS[job].whole)
    if wanted != (subject is not None, trial is not None):
        needs = " and ".join(name for name, need in zip(("--subject", "--trial"), wanted, strict=True) if need)
        raise InputError(f"job {job} takes {needs or 'neither --subject nor --trial'}.")
    if subject is not None:
        config.trials(subject, trial)  # both must exist
    path = list_of(config, job, subject, trial)
    check_writable(path.parent)
    failed = path.with_suffix(".failed")
    try:
        of_all = subject is None
        found = [step_of_all(config, job, cores, here)] if of_all else steps_of(config, subject, [job], trial, here)
        _do(config, subject, found)
        _write_list(path, (file for step in found for file in step.task.outputs))
    except Exception as error:
        with suppress(OSError):  # a full disk may be what failed
            write_text(failed, f"{error}\n")
        raise
    failed.unlink(missing_ok=True)


def _do(config: Config, subject: str | None, found: list[Step]) -> None:
    if subject is None:
        for step in found:
            if run_task(step.manifest, step.task, step.module):
                print(step.task.outputs[0])
        return
    context = Context(config, subject)
    for stage in dict.fromkeys(step.stage for step in found):
        do_tasks(context, stage, [step.task for step in found if step.stage == stage])


def list_capture(config: Config, subject: str, files: Iterable[Path]) -> None:
    """Write the list of a subject's files in a virtual capture, headed by what they were made from."""
    path = list_of(config, CAPTURE, subject)
    _write_list(path, files, f"# {_capture_digest(config)}\n")


def _capture_digest(config: Config) -> str:
    assert config.virtual is not None
    return digest(config.virtual.model_dump(mode="json"))


def _write_list(path: Path, files: Iterable[Path], head: str = "") -> None:
    write_text(path, head + "".join(f"{checksum(file)}  {file.as_posix()}\n" for file in sorted(set(files))))


def _capture_holds(config: Config, subject: str) -> bool:
    """Whether a virtual capture's files are as listed, and what is to be made is what was."""
    head, *lines = list_of(config, CAPTURE, subject).read_text(encoding="utf-8").splitlines() or [""]
    entries = [line.split("  ", 1) for line in lines]
    return head == f"# {_capture_digest(config)}" and all(
        len(entry) == 2 and Path(entry[1]).is_file() and checksum(Path(entry[1])) == entry[0] for entry in entries
    )


def list_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The file that lists what a job made."""
    if subject is None:
        return results_checksums(config.results, job)
    return Paths(Path(config.results), subject).checksums(job, trial)


def all_jobs(config: Config) -> Iterator[tuple[str, str | None, str | None]]:
    """(job, subject, trial), subject by subject, in an order in which they can be done."""
    for subject in config.subjects:
        if config.virtual is not None:
            yield CAPTURE, subject, None
        for job, about in JOBS.items():
            for trial in (None,) if about.whole else config.trials(subject):
                yield job, subject, trial
    for job in OF_ALL:
        yield job, None, None


def lists_of(config: Config, *jobs: str, subject: str | None = None) -> list[str]:
    """The lists of these jobs (of all, if none is named), of one subject or of all."""
    return [
        str(list_of(config, job, who, trial))
        for job, who, trial in all_jobs(config)
        if (not jobs or job in jobs) and subject in (None, who)
    ]


def remove_false_lists(config: Config) -> None:
    """Remove the lists of files that are not as listed any more, or would be made otherwise.

    Those whose time lies ahead, as after the clock was set back, get the present one: Snakemake takes a new list that
    is older than what it rests on for a failure.
    """
    for name in (str(Path(config.results) / "config.yaml"), *lists_of(config)):
        if Path(name).is_file() and Path(name).stat().st_mtime > time.time():
            os.utime(name)
    of = cache(checksum)  # each file is read once
    there = [entry for entry in all_jobs(config) if list_of(config, *entry).is_file()]
    for subject in dict.fromkeys(subject for _, subject, _ in there):
        mine = [(job, trial) for job, who, trial in there if who == subject and job != CAPTURE]
        if subject is not None and (CAPTURE, subject, None) in there and not _capture_holds(config, subject):
            list_of(config, CAPTURE, subject).unlink()
        try:
            found = steps_of(config, subject, dict.fromkeys(job for job, _ in mine))
            wrong = {(s.job, s.trial) for s in found if why_not_done(s.manifest, s.task, s.module, of) is not None}
        except (InputError, OSError):  # of an input that is missing: the jobs find out themselves
            wrong = set(mine)
        for job, trial in mine:
            if (job, trial) in wrong:
                list_of(config, job, subject, trial).unlink(missing_ok=True)
