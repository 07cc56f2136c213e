"""What is done of a configuration, by subject and trial, and why the rest is not."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simspine.config import Config
from simspine.errors import InputError
from simspine.workflow.jobs import JOBS, OF_ALL, Step, all_jobs, capture_step, failure_of, mark_of, steps_of
from simspine.workflow.locks import is_held
from simspine.workflow.manifest import checksum, read_manifest, why_not_done

DONE, RUNNING, FAILED, STALE, WAITING, OPEN = "done", "running", "failed", "stale", "waiting", "to do"
LONG_AGO = 1e9  # s, of all marks: whatever Snakemake compares in time, none is newer than another


@dataclass(frozen=True)
class State:
    """Of a stage of a trial.

    kind: done, running, failed, stale (made otherwise than it would be made), waiting (made, but a stage before it is
    not done, and may change it), to do. job: which one does it; None: inputs of all of the subject's are missing.
    """

    stage: str
    subject: str | None
    trial: str | None
    kind: str
    why: str = ""
    job: str | None = None


def states(config: Config) -> list[State]:
    """Of every stage, trial by trial; all files of the results are read, and nothing is written."""
    of, found = cache(checksum), []
    unsure: set[Path] = set()  # files of stages that are not done
    for subject in (*config.subjects, None):
        try:
            for step in _steps(config, subject):
                try:
                    kind, why = _state(config, step, unsure, of)
                except (InputError, OSError) as error:  # a file that cannot be read spoils its own row only
                    kind, why = FAILED, f"cannot be read: {error}"
                found.append(State(step.stage, step.subject, step.trial, kind, why, step.job))
                if kind != DONE:
                    unsure |= set(step.task.outputs)
        except InputError as error:
            found.append(State("inputs", subject, None, FAILED, str(error)))
    return found


def _steps(config: Config, subject: str | None) -> Iterator[Step]:
    if config.virtual is not None and subject is not None:
        yield capture_step(config, subject)
    yield from steps_of(config, subject, OF_ALL if subject is None else JOBS)


def _state(config: Config, step: Step, unsure: set[Path], of: Callable[[Path], str]) -> tuple[str, str]:
    lock = step.manifest.with_suffix(".lock")
    if is_held(lock):
        return RUNNING, ""
    made = bool(read_manifest(step.manifest))
    if not unsure.isdisjoint(step.task.inputs):
        return (WAITING if made else OPEN), ""
    why = why_not_done(step.manifest, step.task, step.module, of)
    if why is None:
        return DONE, ""
    failure = failure_of(config, step.job, step.subject, step.trial)
    if failure.is_file():
        return FAILED, failure.read_text(encoding="utf-8").strip()
    if lock.exists():
        return OPEN, "interrupted"
    return (STALE, why) if made else (OPEN, "")


def mark_done(config: Config) -> None:
    """Set the mark of every job that is done and remove all others: Snakemake starts the jobs without one."""
    unfinished = {(state.job, state.subject, state.trial) for state in states(config) if state.kind != DONE}
    for job, subject, trial in all_jobs(config):
        mark = mark_of(config, job, subject, trial)
        done = unfinished.isdisjoint({(job, subject, trial), (None, subject, None)})
        if mark.is_symlink() or not done:
            mark.unlink(missing_ok=True)
        if done:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            os.utime(mark, (LONG_AGO, LONG_AGO))


def status_lines(found: list[State]) -> list[str]:
    """A line for each subject, trial and state: 'S01 bow: done detect, triangulate'."""
    lines = []
    for subject, trial in dict.fromkeys((state.subject, state.trial) for state in found):
        mine = [state for state in found if (state.subject, state.trial) == (subject, trial)]
        name = " ".join(filter(None, (subject, trial))) or "all subjects"
        for kind, why in dict.fromkeys((state.kind, state.why) for state in mine):
            stages = ", ".join(state.stage for state in mine if (state.kind, state.why) == (kind, why))
            lines.append(f"{name}: {kind} {stages}" + (f" ({why})" if why else ""))
    return lines
