"""The workflow's jobs: some stages of a trial in one process, since starting one takes a second or two.

Manifests alone say what is done (`workflow/manifest.py`), and a job finds out by itself which of its stages are. So
Snakemake only puts jobs in order: it starts those that have no mark, and `mark_done` (`workflow/status.py`) sets the
marks anew before it plans.
"""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from simspine.config import Config, SharedSubject
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.workflow.context import Context
from simspine.workflow.manifest import Task, read_json, run_task
from simspine.workflow.paths import Paths, results_manifest
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
STATE = ".workflow"  # in the results: working state of Snakemake; may be removed whenever no run is at work
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
    """Do what a job still has to do.

    subject: None of jobs over all subjects. trial: None of jobs over all trials. cores: so many processes draw the
    pages of `page`; other jobs take what they need. here: whether all that a trial is made from must be on this
    machine, not only what the job reads. Raises `InputError` if one is wanted
    and not given, or the other way round. What fails is kept for `simspine status` (`failure_of`).
    """
    wanted = (job not in OF_ALL, job not in OF_ALL and not JOBS[job].whole)
    if wanted != (subject is not None, trial is not None):
        needs = " and ".join(name for name, need in zip(("--subject", "--trial"), wanted, strict=True) if need)
        raise InputError(f"job {job} takes {needs or 'neither --subject nor --trial'}.")
    if subject is not None:
        config.trials(subject, trial)  # both must exist
    failed = failure_of(config, job, subject, trial)
    check_writable(failed.parent)
    try:
        of_all = subject is None
        found = [step_of_all(config, job, cores, here)] if of_all else steps_of(config, subject, [job], trial, here)
        _do(config, subject, found)
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


def capture_step(config: Config, subject: str) -> Step:
    """A subject's files in a virtual capture, once they are made: `simspine.capture.writer` keeps a record of them, and
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
    task = Task(subject, (), outputs, config.virtual.model_dump(mode="json"), work=dict, whole=True)
    place = Paths(Path(config.results), subject).manifest(CAPTURE)
    return Step(CAPTURE, CAPTURE, subject, None, place, "simspine.config.capture", task)


def failure_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The file that keeps a job's message where it failed."""
    if subject is None:
        return results_manifest(config.results, job).with_suffix(".failed")
    return Paths(Path(config.results), subject).manifest(job, trial).with_suffix(".failed")


def mark_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The empty file that tells Snakemake that a job is done."""
    return Path(config.results, STATE, "done", *filter(None, (subject, job, trial))).with_name(f"{trial or job}.done")


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
        return [str(mark_of(config, CAPTURE, subject))]
    return []
