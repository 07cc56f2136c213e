"""What is done of a configuration, by subject and trial, and why the rest is not."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from simspine.config import Config
from simspine.errors import InputError
from simspine.workflow.jobs import JOBS, OF_ALL, Step, list_of, steps_of
from simspine.workflow.locks import is_held
from simspine.workflow.manifest import checksum, read_manifest, why_not_done

DONE, RUNNING, FAILED, STALE, WAITING, OPEN = "done", "running", "failed", "stale", "waiting", "to do"


@dataclass(frozen=True)
class State:
    """Of a stage of a trial.

    kind: done, running, failed, stale (made otherwise than it would be made), waiting (made, but a stage before it is
    not done, and may change it), to do.
    """

    stage: str
    subject: str | None
    trial: str | None
    kind: str
    why: str = ""


def states(config: Config) -> list[State]:
    """Of every stage, trial by trial; all files of the results are read, and nothing is written."""
    of, found = cache(checksum), []
    unsure: set[Path] = set()  # files of stages that are not done
    for subject in (*config.subjects, None):
        try:
            steps = steps_of(config, subject, OF_ALL if subject is None else JOBS)
        except InputError as error:
            found.append(State("inputs", subject, None, FAILED, str(error)))
            continue
        for step in steps:
            try:
                state = _state(config, step, unsure, of)
            except (InputError, OSError) as error:  # a file that cannot be read spoils its own row only
                state = State(step.stage, step.subject, step.trial, FAILED, f"cannot be read: {error}")
            found.append(state)
            if state.kind != DONE:
                unsure |= set(step.task.outputs)
    settings = Path(config.results) / "config.yaml"
    if any(state.kind == DONE and state.subject is None for state in found) and not settings.is_file():
        found.append(State("configuration", None, None, OPEN, f"{settings} is missing; a run writes it"))
    return found


def _state(config: Config, step: Step, unsure: set[Path], of: Callable[[Path], str]) -> State:
    place = (step.stage, step.subject, step.trial)
    if is_held(step.manifest.with_suffix(".lock")):
        return State(*place, RUNNING)
    made = bool(read_manifest(step.manifest))
    if not unsure.isdisjoint(step.task.inputs):
        return State(*place, WAITING if made else OPEN)
    why = why_not_done(step.manifest, step.task, step.module, of)
    if why is None:
        return State(*place, DONE)
    failure = list_of(config, step.job, step.subject, step.trial).with_suffix(".failed")
    if failure.is_file():
        return State(*place, FAILED, failure.read_text(encoding="utf-8").strip())
    if step.manifest.with_suffix(".lock").exists():
        return State(*place, OPEN, "interrupted")
    return State(*place, STALE, why) if made else State(*place, OPEN)


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
