"""The workflow's jobs with all the files that each needs and makes, for runs whose files lie in object storage.

There a job finds no file but those that were fetched for it, so that all must be known before. Recordings are named by
the configuration, and need not be on the machine that plans.
"""

import importlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from simspine import __version__
from simspine.core.errors import InputError
from simspine.io.atomic import write_text
from simspine.workflow.config import Config, json_digest
from simspine.workflow.config_recordings import SharedSubject
from simspine.workflow.inputs import PACKAGED_PREFIX, Context, write_config
from simspine.workflow.record import (
    RunPaths,
    StageTask,
    code_digest,
    file_checksum,
    is_lock_held,
    read_json,
    read_task_manifest,
    reason_not_done,
    results_manifest,
    run_task,
)

# The stages of the workflow, a page each: what to load, which function of `simspine.reconstruction` to call, what to
# save.
# Each has `plan(context) -> list[Task]`; nothing is read or computed before a task's work is called.


def stage_planner(stage: str) -> Callable[[Context], list[StageTask]]:
    """The function that lists a stage's tasks; imported here, so that each stage loads only what it needs."""
    return getattr(importlib.import_module(stage_module(stage)), f"plan_{stage}")


def stage_module(stage: str) -> str:
    """Name of the stage's module."""
    return f"simspine.workflow.{'detect_stage' if stage == 'detect' else 'stages'}"


# Run one stage for one subject or all of them, skipping what is done.


COMPILATION_NOTE = dict.fromkeys(("scale", "ik"), "(the first time, compiling the solver takes some 20 s)")


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
        tasks = [task for task in stage_planner(stage)(context) if trial is None or task.whole or task.name == trial]
        do_tasks(context, stage, tasks, force=force, speak_of_idle=not makes_dataset)
    if makes_dataset:
        from simspine.workflow.dataset import export_dataset

        print(export_dataset(config))


def do_tasks(
    context: Context, stage: str, tasks: Sequence[StageTask], *, force: bool = False, speak_of_idle: bool = True
) -> None:
    """Do those of a stage's tasks that are not done (`force`: all), and print a line that says which ran."""
    # Detection has a bar of its own, and a terminal shows one thing at a time.
    around = nullcontext if stage == "detect" else partial(context.busy, stage, hint=COMPILATION_NOTE.get(stage, ""))
    ran: list[str] = []
    idle: list[str] = []
    for task in tasks:
        path = context.paths.manifest(stage, None if task.whole else task.name)
        (ran if run_task(path, task, stage_module(stage), around=around, force=force) else idle).append(task.name)
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


# The workflow's jobs: some stages of a trial in one process, since starting one takes a second or two.
# Manifests alone say what is done (`workflow/record.py`), and a job finds out by itself which of its stages
# are. So Snakemake only puts jobs in order: it starts those that have no mark, and `mark_done`
# (`workflow/jobs.py`) sets the marks anew before it plans.


@dataclass(frozen=True)
class Job:
    """stages: run one after another. whole: once for all trials of a subject; else for each trial."""

    stages: tuple[str, ...]
    whole: bool = False


STAGES_OF_JOB = {
    "detect": Job(("detect",)),
    "cameras": Job(("triangulate",), whole=True),
    "markers": Job(("triangulate", "merge")),
    "scale": Job(("scale", "export"), whole=True),
    "motion": Job(("ik", "vertebrae", "quality", "export")),
}
STATE = ".workflow"  # in the results: working state of Snakemake; may be removed whenever no run is at work
CAPTURE_JOB = "capture"  # a job where the data set is made first
JOBS_OF_ALL = {
    "dataset": "simspine.workflow.dataset",
    "page": "simspine.workflow.reporting",
}  # of all subjects together


@dataclass(frozen=True)
class Step:
    """A task with its place in the workflow. subject, trial: None where it is of all of them."""

    job: str
    stage: str
    subject: str | None
    trial: str | None
    manifest: Path
    module: str
    task: StageTask


def steps_of_trial(
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
        for stage in STAGES_OF_JOB[job].stages:
            for task in stage_planner(stage)(context):
                if task.whole == STAGES_OF_JOB[job].whole:
                    of = None if task.whole else task.name
                    place = context.paths.manifest(stage, of)
                    found.append(
                        Step(
                            job=job,
                            stage=stage,
                            subject=subject,
                            trial=of,
                            manifest=place,
                            module=stage_module(stage),
                            task=task,
                        )
                    )
    return found


def step_of_all(config: Config, job: str, cores: int = 1, here: bool = True) -> Step:
    """What a job over all subjects does. cores: for `page`. here: as of `steps_of_trial`."""
    from simspine.workflow.dataset import dataset_task
    from simspine.workflow.reporting import page_task

    task = page_task(config, cores, here) if job == "page" else dataset_task(config)
    return Step(
        job=job,
        stage=job,
        subject=None,
        trial=None,
        manifest=results_manifest(config.results, job),
        module=JOBS_OF_ALL[job],
        task=task,
    )


def run_job(
    config: Config, job: str, subject: str | None, trial: str | None, cores: int = 1, here: bool = True
) -> None:
    """Do what a job still has to do.

    subject: None of jobs over all subjects. trial: None of jobs over all trials. cores: so many processes draw the
    pages of `page`; other jobs take what they need. here: whether all that a trial is made from must be on this
    machine, not only what the job reads. Raises `InputError` if one is wanted
    and not given, or the other way round. What fails is kept for `simspine status` (`failure_of`).
    """
    wanted = (job not in JOBS_OF_ALL, job not in JOBS_OF_ALL and not STAGES_OF_JOB[job].whole)
    if wanted != (subject is not None, trial is not None):
        needs = " and ".join(name for name, need in zip(("--subject", "--trial"), wanted, strict=True) if need)
        raise InputError(f"job {job} takes {needs or 'neither --subject nor --trial'}.")
    if subject is not None:
        config.trials(subject, trial)  # both must exist
    failed = failure_of(config, job, subject, trial)
    check_writable(failed.parent)
    try:
        of_all = subject is None
        found = (
            [step_of_all(config, job, cores, here)]
            if of_all
            else steps_of_trial(config, subject, [job], trial=trial, here=here)
        )
        _do_step(config, subject, found)
    except Exception as error:
        with suppress(OSError):  # a full disk may be what failed
            write_text(failed, f"{error}\n")
        raise
    failed.unlink(missing_ok=True)


def _do_step(config: Config, subject: str | None, found: list[Step]) -> None:
    if subject is None:
        for step in found:
            if run_task(step.manifest, step.task, step.module):
                print(step.task.outputs[0])
        return
    context = Context(config, subject)
    for stage in dict.fromkeys(step.stage for step in found):
        do_tasks(context, stage, [step.task for step in found if step.stage == stage])


def capture_step(config: Config, subject: str) -> Step:
    """A subject's files in a virtual capture, once they are made: `simspine.synthesis.capture_files` keeps a record
    of them, and
    knows itself what is still to do."""
    assert config.virtual is not None
    assert config.capture is not None
    folder = Path(config.capture.human36m)
    try:
        made = read_json(folder / "truth" / subject / "files.json")["made"]
        names = [name for files in made.values() for name in files]
    except (InputError, KeyError, TypeError, AttributeError):  # not made yet, or damaged
        names = []
    outputs = (folder / "metadata.xml", *(folder / name for name in names))
    task = StageTask(subject, (), outputs, config.virtual.model_dump(mode="json"), work=dict, whole=True)
    place = RunPaths(Path(config.results), subject).manifest(CAPTURE_JOB)
    return Step(
        job=CAPTURE_JOB,
        stage=CAPTURE_JOB,
        subject=subject,
        trial=None,
        manifest=place,
        module="simspine.workflow.config_recordings",
        task=task,
    )


def failure_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The file that keeps a job's message where it failed."""
    if subject is None:
        return results_manifest(config.results, job).with_suffix(".failed")
    return RunPaths(Path(config.results), subject).manifest(job, trial).with_suffix(".failed")


def mark_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The empty file that tells Snakemake that a job is done."""
    return Path(config.results, STATE, "done", *filter(None, (subject, job, trial))).with_name(f"{trial or job}.done")


def all_jobs(config: Config) -> Iterator[tuple[str, str | None, str | None]]:
    """(job, subject, trial), subject by subject, in an order in which they can be done."""
    for subject in config.subjects:
        if config.virtual is not None:
            yield CAPTURE_JOB, subject, None
        for job, about in STAGES_OF_JOB.items():
            for trial in (None,) if about.whole else config.trials(subject):
                yield job, subject, trial
    for job in JOBS_OF_ALL:
        yield job, None, None


def marks_of(config: Config, *jobs: str, subject: str | None = None) -> list[str]:
    """The marks of these jobs (of all, if none is named), of one subject or of all."""
    return [
        str(mark_of(config, job, who, trial))
        for job, who, trial in all_jobs(config)
        if (not jobs or job in jobs) and subject in (None, who)
    ]


def marks_before_detect(config: Config, subject: str, trial: str) -> list[str]:
    """The mark of the job that detection in a trial waits for: none where its recordings are given."""
    person = config.subject(subject)
    if isinstance(person, SharedSubject) and person.rank > 1:  # the first of them detects for all
        return [str(mark_of(config, "detect", f"{person.group}_1", trial))]
    if config.virtual is not None and person.trials[trial].capture is not None:
        return [str(mark_of(config, CAPTURE_JOB, subject))]
    return []


# What is done of a configuration, by subject and trial, and why the rest is not.


STATE_DONE, STATE_RUNNING, STATE_FAILED, STATE_STALE, STATE_WAITING, STATE_OPEN = (
    "done",
    "running",
    "failed",
    "stale",
    "waiting",
    "to do",
)
LONG_AGO = 1e9  # s, of all marks: whatever Snakemake compares in time, none is newer than another


@dataclass(frozen=True)
class StageState:
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


def stage_states(config: Config) -> list[StageState]:
    """Of every stage, trial by trial; all files of the results are read, and nothing is written."""
    of, found = cache(file_checksum), []
    unsure: set[Path] = set()  # files of stages that are not done
    for subject in (*config.subjects, None):
        try:
            for step in _steps(config, subject):
                try:
                    kind, why = _stage_state(config, step, unsure, of)
                except (InputError, OSError) as error:  # a file that cannot be read spoils its own row only
                    kind, why = STATE_FAILED, f"cannot be read: {error}"
                found.append(
                    StageState(
                        stage=step.stage, subject=step.subject, trial=step.trial, kind=kind, why=why, job=step.job
                    )
                )
                if kind != STATE_DONE:
                    unsure |= set(step.task.outputs)
        except InputError as error:
            found.append(StageState(stage="inputs", subject=subject, trial=None, kind=STATE_FAILED, why=str(error)))
    return found


def _steps(config: Config, subject: str | None) -> Iterator[Step]:
    if config.virtual is not None and subject is not None:
        yield capture_step(config, subject)
    yield from steps_of_trial(config, subject, JOBS_OF_ALL if subject is None else STAGES_OF_JOB)


def _stage_state(config: Config, step: Step, unsure: set[Path], of: Callable[[Path], str]) -> tuple[str, str]:
    lock = step.manifest.with_suffix(".lock")
    if is_lock_held(lock):
        return STATE_RUNNING, ""
    made = bool(read_task_manifest(step.manifest))
    if not unsure.isdisjoint(step.task.inputs):
        return (STATE_WAITING if made else STATE_OPEN), ""
    why = reason_not_done(step.manifest, step.task, step.module, of)
    if why is None:
        return STATE_DONE, ""
    failure = failure_of(config, step.job, step.subject, step.trial)
    if failure.is_file():
        return STATE_FAILED, failure.read_text(encoding="utf-8").strip()
    if lock.exists():
        return STATE_OPEN, "interrupted"
    return (STATE_STALE, why) if made else (STATE_OPEN, "")


def mark_done(config: Config) -> None:
    """Set the mark of every job that is done and remove all others: Snakemake starts the jobs without one."""
    unfinished = {(state.job, state.subject, state.trial) for state in stage_states(config) if state.kind != STATE_DONE}
    for job, subject, trial in all_jobs(config):
        mark = mark_of(config, job, subject, trial)
        done = unfinished.isdisjoint({(job, subject, trial), (None, subject, None)})
        if mark.is_symlink() or not done:
            mark.unlink(missing_ok=True)
        if done:
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()
            os.utime(mark, (LONG_AGO, LONG_AGO))


def status_lines(found: list[StageState]) -> list[str]:
    """A line for each subject, trial and state: 'S01 bow: done detect, triangulate'."""
    lines = []
    for subject, trial in dict.fromkeys((state.subject, state.trial) for state in found):
        mine = [state for state in found if (state.subject, state.trial) == (subject, trial)]
        name = " ".join(filter(None, (subject, trial))) or "all subjects"
        for kind, why in dict.fromkeys((state.kind, state.why) for state in mine):
            stages = ", ".join(state.stage for state in mine if (state.kind, state.why) == (kind, why))
            lines.append(f"{name}: {kind} {stages}" + (f" ({why})" if why else ""))
    return lines


@dataclass(frozen=True)
class StoredJob:
    """inputs, outputs: relative paths, in normal form; absolute ones are on the machine, and left out.

    made_by: digest of the settings and the code that decide what it makes.
    """

    job: str
    subject: str | None
    trial: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    made_by: str

    @property
    def name(self) -> str:
        """Unique, and a name that Snakemake takes for a rule: 'motion/S1/Walking'."""
        return "/".join(filter(None, (self.job, self.subject, self.trial)))

    @property
    def words(self) -> list[str]:
        """For `simspine job`."""
        about = {"--subject": self.subject, "--trial": self.trial}
        return [self.job, *(word for option, name in about.items() if name is not None for word in (option, name))]

    def folder(self, wildcards, output) -> str:
        """Where Snakemake keeps the bucket's files for the job: a rule's parameter, called by Snakemake.

        output: the job's files there, in the order of `outputs`.
        """
        return output[0].removesuffix(self.outputs[0]) or "."


def list_stored_jobs(config: Config) -> list[StoredJob]:
    """All jobs, in an order in which they can be done.

    Raises `InputError` where what a trial is made from is only known by looking into folders or files, for paths that a
    bucket cannot have, and where a file that is given by an absolute path is missing.
    """
    _check_storable(config)
    steps = list(_steps_of_job(config))
    made = {str(file) for step in steps for file in step.task.outputs}
    found: list[StoredJob] = []
    for job, subject, trial in all_jobs(config):
        mine = [step for step in steps if (step.job, step.subject, step.trial) == (job, subject, trial)]
        own = [str(file) for step in mine for file in (*step.task.outputs, step.manifest)]
        read = [str(file) for step in mine for file in step.task.inputs]
        given = [_storage_key(file) for file in read if file in made or not Path(file).is_absolute()]
        before = [file for other in found if _files_needed(job, subject, trial, other) for file in other.outputs]
        inputs = tuple(file for file in dict.fromkeys([*given, *before]) if file not in own)
        outputs = tuple(dict.fromkeys(own))
        made_by = json_digest([[step.task.settings, __version__, code_digest(step.module)] for step in mine])
        found.append(StoredJob(job=job, subject=subject, trial=trial, inputs=inputs, outputs=outputs, made_by=made_by))
    return found


def _steps_of_job(config: Config) -> Iterator[Step]:
    for subject in config.subjects:
        yield from steps_of_trial(config, subject, STAGES_OF_JOB, here=False)
    for job in JOBS_OF_ALL:
        yield step_of_all(config, job, here=False)


def _files_needed(job: str, subject: str | None, trial: str | None, earlier: StoredJob) -> bool:
    """Whether a job is given the files of an earlier one: of its subject, and of its trial unless one is of all."""
    return job in JOBS_OF_ALL or (earlier.subject == subject and (trial is None or earlier.trial in (trial, None)))


def _storage_key(path: str) -> str:
    """`InputError` unless a bucket can have it, and its address."""
    if ".." in Path(path).parts or not set("{}#?").isdisjoint(path):
        raise InputError(f"object storage: {path}; a path below the bucket is wanted, without ..  {{ }} # and ?.")
    return path


def _check_storable(config: Config) -> None:
    """`InputError` for what cannot be planned without the recordings, or cannot lie in a bucket."""
    if config.capture is not None:
        raise InputError(
            f"object storage: {config.capture.human36m} is found by looking into its folders; copy it to this machine "
            "and leave --storage out."
        )
    if Path(config.results).is_absolute():
        raise InputError(f"object storage: results is {config.results}; a path below the bucket is wanted.")
    _storage_key(config.results)
    own = {"body.recipe": config.body.recipe, "body.markers": config.body.markers}
    for key, path in (own | {"merge.correspondence": config.merge.correspondence}).items():
        if path and path.endswith((".yaml", ".yml", ".csv")) and not Path(path).is_absolute():
            raise InputError(f"object storage: {key} is {path}, which the plan reads too; give its absolute path.")
    for subject, person in config.subjects.items():
        for name, trial in person.trials.items():
            place = f"subjects.{subject}.trials.{name}"
            if trial.folder is not None and not trial.folder.startswith(PACKAGED_PREFIX):
                raise InputError(
                    f"object storage: {place}.folder is {trial.folder}, whose files are not known; name them (videos, "
                    "calibration)."
                )
            if isinstance(trial.skin_markers, str):
                raise InputError(f"object storage: {place}.skin_markers is a file; give its clicks there.")
