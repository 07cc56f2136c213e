"""Run one stage for one subject or all of them, skipping what is done."""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import partial
from pathlib import Path

from simspine.config import Config
from simspine.errors import InputError
from simspine.workflow.context import Context
from simspine.workflow.inputs import write_config
from simspine.workflow.manifest import Task, run_task
from simspine.workflow.stages import module_of, planner

SLOW_AT_FIRST = dict.fromkeys(("scale", "ik"), "(the first time, compiling the solver takes some 20 s)")


def run_stage(
    stage: str, config: Config, subject: str | None, trial: str | None, *, force: bool = False, quiet: bool = False
) -> None:
    """Run `stage`; a line per subject says what ran and what was up to date.

    Where `export` makes the data set of all subjects, it speaks only of what ran: the data set's line says the rest.
    """
    makes_dataset = stage == "export" and subject is None
    subjects = list(config.subjects) if subject is None else [subject]
    for name in subjects:
        config.trials(name, trial)  # both must exist
    for name in subjects:
        context = Context(config, name, quiet)
        check_writable(context.paths.folder)
        tasks = [task for task in planner(stage)(context) if trial is None or task.whole or task.name == trial]
        do_tasks(context, stage, tasks, force=force, speak_of_idle=not makes_dataset)
    if makes_dataset:
        from simspine.workflow.dataset import export_dataset

        print(export_dataset(config))


def do_tasks(
    context: Context, stage: str, tasks: Sequence[Task], *, force: bool = False, speak_of_idle: bool = True
) -> None:
    """Do those of a stage's tasks that are not done (`force`: all), and print a line that says which ran."""
    # Detection has a bar of its own, and a terminal shows one thing at a time.
    around = nullcontext if stage == "detect" else partial(context.busy, stage, hint=SLOW_AT_FIRST.get(stage, ""))
    ran: list[str] = []
    idle: list[str] = []
    for task in tasks:
        path = context.paths.manifest(stage, None if task.whole else task.name)
        (ran if run_task(path, task, module_of(stage), around, force) else idle).append(task.name)
    done = [f"{', '.join(ran)} done"] if ran else []
    said = [*done, *([f"{', '.join(idle)} up to date"] if idle and speak_of_idle else [])]
    if said:
        print(f"{stage} {context.subject}: " + "; ".join(said))


def check_writable(folder: Path) -> None:
    """`InputError` if results cannot go to `folder`: better now than after an hour of detection."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(f"results cannot be written to {folder}: {there} is a file. Change `results`.")
    if not os.access(there, os.W_OK):
        raise InputError(f"results cannot be written to {folder}: no permission to write in {there}. Change `results`.")


def prepare_results(results: Path, given: Mapping) -> None:
    """Before a run: a copy of the configuration as it was given, for whoever looks at the results; nothing reads it to
    decide. Symbolic links among logs and computing times are removed: whoever writes these would follow them."""
    with suppress(OSError):  # a folder in its place, a full disk: the copy is missing then, and nothing else
        write_config(given, results / "config.yaml")
    for folder in (results / "logs", results / "benchmarks"):
        if folder.is_symlink():
            folder.unlink()
        for path in list(folder.rglob("*")):
            if path.is_symlink():
                path.unlink()
