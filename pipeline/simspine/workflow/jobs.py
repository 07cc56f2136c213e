"""Stages of the workflow in order: which are done, and the running of the others, alone or as jobs of Snakemake."""

import os
import sys
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from glob import escape
from itertools import chain
from pathlib import Path

from simspine.core.errors import InputError, printable
from simspine.core.settings import read_yaml, yaml_files
from simspine.io.atomic import write_text
from simspine.io.calibration import calibration_files
from simspine.io.text_tables import read_text, warn_assumed
from simspine.workflow import up_to_date
from simspine.workflow.config import Config, read_config
from simspine.workflow.config_recordings import SharedSubject
from simspine.workflow.inputs import Context, has_pages_of_trials
from simspine.workflow.up_to_date import CHANGED_BY_HAND, RunPaths, StageTask

CAPTURE_JOB = "capture"  # the job that makes a virtual capture
REPLACED_BY_A_RUN = (
    "config.yaml", "report.html", "manifest.json", "provenance.json", "summary.json", "timings.json", "clinical.csv",
    "quality.csv", "quality.json", "logs/*", "benchmarks/*", ".workflow/*", "export/*/*",
)  # fmt: skip
STAGE_FOLDERS = (
    "keypoints", "cameras", "points", "markers", "model", "kinematics", "vertebrae", "quality", "export", "page",
)  # fmt: skip
MADE_BY_A_RUN = (".lock", "manifests", "*/manifests", "logs/run.log", ".workflow/done/*/**/*.done")
MADE_BY = Path("logs", "configuration.txt")  # in the results: path of the configuration that made them
STATE = ".workflow"  # folder in the results: Snakemake's working state; may be removed while no run is at work


@dataclass(frozen=True)
class Job:
    """Stages that run in one process, since starting one takes a second or two. whole: of all trials of a subject."""

    stages: tuple[str, ...]
    whole: bool = False


STAGES_OF_JOB = {
    "detect": Job(("detect",)),
    "cameras": Job(("triangulate",), whole=True),
    "markers": Job(("triangulate", "merge")),
    "scale": Job(("scale", "export"), whole=True),
    "motion": Job(("ik", "vertebrae", "quality", "export", "page")),
}
JOBS_OF_ALL = ("dataset", "page")  # of all subjects together


def tasks_of_stage(stage: str, context: Context) -> list[StageTask]:
    """Tasks of a stage, none of them begun. Imports are local: detection needs fewer modules than later stages."""
    if stage == "detect":
        from simspine.workflow.detect_stage import plan_detect

        return plan_detect(context)
    if stage == "page":
        if not has_pages_of_trials(context.config):  # drawing takes a second to load
            return []
        from simspine.workflow.reporting import plan_page

        return plan_page(context)
    from simspine.workflow.stage_files import PLANNERS

    return PLANNERS[stage](context)


def run_stage(
    stage: str, config: Config, subject: str | None, trial: str | None, *, force: bool = False, quiet: bool = False
) -> None:
    """Run a stage of one subject or all (None), skipping what is done. `export` without a trial also makes the data
    set: of all subjects or, if one is named, of all that are exported."""
    makes_dataset = stage == "export" and (subject is None or trial is None)
    subjects = list(config.subjects) if subject is None else [subject]
    for name in subjects:
        config.trials(name, trial)  # both must exist
    check_results(config)
    for name in subjects:
        context = Context(config, name, quiet)
        tasks = [task for task in tasks_of_stage(stage, context) if trial is None or task.whole or task.name == trial]
        if stage not in ("detect", "page") and not makes_dataset:  # these two look at all stages at the end
            before = up_to_date.STAGE_NAMES[: up_to_date.STAGE_NAMES.index(stage)]
            steps = [step for step in steps_of_trial(config, name, STAGES_OF_JOB) if step.stage in before]
            if stale := _first_out_of_date(steps, trial):
                _warn_of_earlier_state(stale)
        do_tasks(context, stage, tasks, force=force, speak_of_idle=not makes_dataset)
    if makes_dataset:
        from simspine.workflow.dataset import dataset_files_of_subject, export_dataset

        ready = [
            name
            for name in config.subjects
            if subject is None or all(file.is_file() for file in dataset_files_of_subject(config, name))
        ]
        for name in ready if trial else [name for name in ready if name not in subjects]:  # anew if stale
            context = Context(config, name, quiet)
            do_tasks(context, stage, tasks_of_stage(stage, context), speak_of_idle=False)
        for name in ready:
            for one in config.trials(name):
                Context(config, name, quiet).capture(one)  # its recordings must be there
        if stale := first_stale(config, ready):
            raise InputError(f"{stale}; the data set would state settings that were not used. Run `simspine run`.")
        part = f": {', '.join(ready)} of {len(config.subjects)} subjects" if len(ready) < len(config.subjects) else ""
        print(f"{export_dataset(config, ready)}{part}")


def do_tasks(
    context: Context, stage: str, tasks: Sequence[StageTask], *, force: bool = False, speak_of_idle: bool = True
) -> None:
    """Do those of a stage's tasks that are not done (`force`: all), and print a line that says which ran."""
    ran: list[str] = []
    idle: list[str] = []
    for task in tasks:
        path = context.paths.manifest(stage, None if task.whole else task.name)
        (ran if up_to_date.run_task(path, task, stage, force=force) else idle).append(task.name)
    texts = [f"{', '.join(ran)} done"] if ran else []
    texts += [f"{', '.join(idle)} up to date"] if idle and speak_of_idle else []
    if texts:
        print(f"{stage} {context.subject}: " + "; ".join(texts))


def check_writable(folder: Path) -> None:
    """`InputError` if results cannot be written to `folder`, raised before hours of detection."""
    place = next(parent for parent in (folder, *folder.absolute().parents) if os.path.lexists(parent))
    if not place.is_dir():
        raise InputError(f"results cannot be written to {folder}: {place} is no folder. Change `results`.")
    if not os.access(place, os.W_OK):
        raise InputError(f"results cannot be written to {folder}: no permission to write in {place}. Change `results`.")


def check_subjects(config: Config, subjects: Iterable[str]) -> None:
    """`check_writable` of the subjects' folders; `InputError` also where a stage would replace files of others."""
    for name in subjects:
        folder = RunPaths(Path(config.results), name).folder
        check_writable(folder)
        places = [os.path.realpath(folder / stage) for stage in STAGE_FOLDERS]
        exported = os.path.realpath(folder.parent / "export")
        others = [] if (folder / "manifests").is_dir() else [path for place in places for path in Path(place).glob("*")]
        for trial in config.subject(name).trials.values():
            given = (trial.markers, trial.mocap, trial.calibration, *(trial.videos or ()), *(trial.keypoints or ()))
            others += [Path(path) for path in given if path and os.path.dirname(os.path.realpath(path)) in places]
            own = [path for path in given if path and Path(os.path.realpath(path)).is_relative_to(exported)]
            if own:
                raise InputError(f"{own[0]} is an export of these results, which a run replaces. Copy it elsewhere.")
        if others:
            text = f"{others[0]} is not of simspine, and a run would replace it."
            raise InputError(f"{text} Move it, or change `results`.")


def check_results(config: Config) -> None:
    """`check_writable`, `check_subjects`, and `InputError` where a run would replace files of others."""
    folder = Path(config.results)
    check_writable(folder)
    check_subjects(config, config.subjects)
    there = [path for name in (*REPLACED_BY_A_RUN, escape(f"{config.name}.h5")) for path in folder.glob(name)]
    if there and not any(path for name in MADE_BY_A_RUN for path in folder.glob(name)):
        with suppress(InputError, TypeError):
            if {"name", "results"} <= set(read_yaml(folder / "config.yaml")):  # the copy of a run that was killed
                return
        raise InputError(f"{there[0]} is not of simspine, and a run would replace it. Change `results`.")


def check_same_recordings(config: Config, path: Path) -> None:
    """`InputError` where another configuration, which still exists, made these results of other recordings."""

    def recordings(of: Config) -> dict:
        return {name: person.trials for name, person in of.subjects.items()}

    folder, other = Path(config.results), None
    with suppress(InputError, OSError):
        made_by = Path(read_text(folder / MADE_BY))
        is_another = made_by.is_file() and not made_by.samefile(path)
        if is_another and recordings(read_config(folder / "config.yaml")) != recordings(config):
            other = made_by
    if other is not None:
        raise InputError(
            f"{folder} has the results of {other}, which names other subjects or recordings; a run of {path} would "
            "replace them. Change `results` (and `name`), or add the subjects to that configuration."
        )


# Jobs: manifests alone decide which stages are done (`workflow/up_to_date.py`), and each job checks those of its own.
# Snakemake only orders the jobs: it starts those without a mark, and `mark_done` sets the marks before it plans.


def prepare_results(results: Path, config: Path) -> None:
    """Before a run: copy the configuration; remove locks of killed processes, and links and pipes among the logs."""
    up_to_date.remove_stale_locks(results)
    with suppress(OSError, InputError):  # a full disk or a folder of this name: only the copy is missing
        write_text(results / "config.yaml", config.read_text(encoding="utf-8"))
    for folder in (results / "logs", results / "benchmarks"):
        for path in chain([folder], folder.rglob("*")):  # a folder that is a link is removed, not searched
            if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
                path.unlink()
    if config.resolve().parent != results.resolve():  # not by the results' own copy
        with suppress(OSError, InputError):
            (results / MADE_BY).parent.mkdir(exist_ok=True)
            write_text(results / MADE_BY, str(config.resolve()))


@dataclass(frozen=True)
class StageState:
    """State of a stage of a trial. subject, trial: None for a stage of all of them.

    kind: done, running, failed, stale (made from other inputs, settings or code), waiting (made, but a stage before it
    is not done, and may change it), to do. job: the one that runs it; None where the subject's inputs are missing.
    """

    stage: str
    subject: str | None
    trial: str | None = None
    kind: str = ""
    why: str = ""
    job: str | None = None


@dataclass(frozen=True, kw_only=True)
class Step(StageState):
    """A task with its place in the workflow."""

    results: Path
    job: str
    task: StageTask

    @property
    def manifest(self) -> Path:
        return RunPaths(self.results, self.subject or "").manifest(self.stage, self.trial)


def steps_of_trial(config: Config, subject: str | None, jobs: Iterable[str], trial: str | None = None) -> list[Step]:
    """Steps of these jobs for a subject (None: for all), in order; nothing is read. trial: plan only this one."""
    if subject is None:
        return [step_of_all(config, job) for job in jobs]
    context = Context(config, subject, quiet=True, trial=trial)
    results = Path(config.results)
    return [
        Step(stage, subject, None if task.whole else task.name, results=results, job=job, task=task)
        for job in jobs
        for stage in STAGES_OF_JOB[job].stages
        for task in tasks_of_stage(stage, context)
        if task.whole == STAGES_OF_JOB[job].whole
    ]


def step_of_all(config: Config, job: str) -> Step:
    from simspine.workflow.dataset import dataset_task
    from simspine.workflow.reporting import page_task

    task = page_task(config) if job == "page" else dataset_task(config)
    return Step(job, None, results=Path(config.results), job=job, task=task)


def capture_step(config: Config, subject: str) -> Step:
    """The step for a subject's files in a virtual capture, which `synthesis.virtual_trial` makes; it does nothing."""
    assert config.virtual is not None
    assert config.capture is not None
    folder, rig = Path(config.capture.human36m), config.virtual.cameras
    try:
        names = list(up_to_date.read_json(folder / "truth" / subject / "files.json")["files"])
    except (InputError, KeyError, TypeError, AttributeError):  # not made yet, or damaged
        names = []
    task = StageTask(
        name=subject,
        inputs=(*yaml_files(config.virtual.detections), *(calibration_files(Path(rig)) if rig else ())),
        outputs=(folder / f"Calib_{subject}.toml", *(folder / name for name in names)),
        settings=config.virtual.model_dump(mode="json"),
        work=dict,
        whole=True,
    )
    return Step(CAPTURE_JOB, subject, results=Path(config.results), job=CAPTURE_JOB, task=task)


def run_job(config: Config, job: str, subject: str | None, trial: str | None) -> None:
    """Run the tasks of a job that are not done. A failure's message is kept for `simspine status` (`failure_of`)."""
    if subject is not None:
        config.trials(subject, trial)  # both must exist
    failure_file = failure_of(config, job, subject, trial)
    check_writable(failure_file.parent)
    try:
        if subject is None:
            step = step_of_all(config, job)
            if up_to_date.run_task(step.manifest, step.task, step.stage):
                print(step.task.outputs[0])
        else:
            steps = steps_of_trial(config, subject, [job], trial)
            for stage in STAGES_OF_JOB[job].stages:
                do_tasks(Context(config, subject), stage, [step.task for step in steps if step.stage == stage])
    except Exception as error:
        with suppress(OSError, InputError):  # a full disk may be what failed
            write_text(failure_file, f"{error}\n")
        raise
    failure_file.unlink(missing_ok=True)


def write_job_cost(config: Config, job: str, subject: str | None, trial: str | None, seconds: float) -> None:
    """Write a table of a job's cost, for readers of the results: seconds, processor time, peak memory (MiB)."""
    costs = {"s": seconds, "cpu_time": sum(os.times()[:4])}
    with suppress(ImportError):  # Windows
        from resource import RUSAGE_SELF, getrusage

        costs["max_rss"] = getrusage(RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    place = Path(config.results, "benchmarks", subject or "", "_".join(filter(None, (trial, job))) + ".tsv")
    with suppress(OSError, InputError):  # a full disk: only the table is missing
        write_text(place, "\t".join(costs) + "\n" + "\t".join(f"{cost:.2f}" for cost in costs.values()) + "\n")


def failure_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The file that keeps the error message of a failed job."""
    return RunPaths(Path(config.results), subject or "").manifest(job, trial).with_suffix(".failed")


def mark_of(config: Config, job: str, subject: str | None = None, trial: str | None = None) -> Path:
    """The empty file by which Snakemake knows that a job is done."""
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


STATE_DONE, STATE_RUNNING, STATE_FAILED = "done", "running", "failed"
STATE_STALE, STATE_WAITING, STATE_OPEN = "stale", "waiting", "to do"
LONG_AGO = 1e9  # s, time of all marks: Snakemake compares times of files, and none shall be newer than another


def stage_states(config: Config) -> list[StageState]:
    """States of all stages, trial by trial; all files of the results are read, and nothing is written."""
    states: list[StageState] = []
    unfinished_files: set[Path] = set()  # files of stages that are not done
    for subject in (*config.subjects, None):
        try:
            steps = [capture_step(config, subject)] if config.virtual is not None and subject is not None else []
            for step in steps + steps_of_trial(config, subject, JOBS_OF_ALL if subject is None else STAGES_OF_JOB):
                try:
                    kind, why = _stage_state(config, step, unfinished_files)
                except (InputError, OSError) as error:  # a file that cannot be read spoils its own row only
                    kind, why = STATE_FAILED, f"cannot be read: {error}"
                states.append(replace(step, kind=kind, why=why))
                if kind != STATE_DONE:
                    unfinished_files |= set(step.task.outputs)
        except InputError as error:
            states.append(StageState("inputs", subject, kind=STATE_FAILED, why=str(error)))
    return states


def first_stale(config: Config, subjects: Collection[str | None]) -> str | None:
    """The first stage of these subjects (None: of all) that failed, used other inputs, settings or code than now, is at
    work, or was interrupted; and why. Neither pages nor the files of a virtual capture are part of a data set."""
    for state in stage_states(config):
        counts = state.subject in subjects and state.stage not in ("page", "inputs", CAPTURE_JOB)
        is_interrupted = state.kind == STATE_OPEN and state.why
        if counts and (is_interrupted or state.kind in (STATE_STALE, STATE_FAILED, STATE_RUNNING)):
            what = {STATE_FAILED: "failed", STATE_STALE: "is out of date"}.get(state.kind, "is not done")
            name = " ".join(filter(None, (state.subject, state.trial))) or "all subjects"
            return f"{name}: {state.stage} {what}" + f" ({state.why})" * bool(state.why)
    return None


def warn_of_replaced(states: Sequence[StageState], results: Path) -> None:
    """Warn where a run replaces results of another version of simspine, of other recordings, or changed by hand."""
    stale = [state for state in states if state.kind == STATE_STALE]
    count = sum(state.why.startswith("made by") for state in stale)
    texts = [f"{count} stages of {results} were made by another version of simspine, and are made again"] * bool(count)
    for state in stale:
        is_recording = state.stage in ("detect", "merge") and state.why.endswith(" changed")
        if (is_recording and state.why != "settings changed") or state.why.endswith(CHANGED_BY_HAND):
            name = " ".join(filter(None, (state.subject, state.trial))) or "all subjects"
            texts.append(f"{state.why}; results of {name} in {results} are replaced")
    for text in texts:
        warn_assumed(f"{text}. To keep the earlier results, stop (Ctrl-C) and copy the folder.")


def warn_if_stale(config: Config, *more: None) -> bool:
    """Warn where a stage of a subject is stale (None: also where one of all is); whether that is so."""
    stale = first_stale(config, [*config.subjects, *more])
    if stale:
        _warn_of_earlier_state(stale)
    return stale is not None


def warn_if_trial_is_stale(results: Path, subject: str, trial: str) -> None:
    """As `warn_if_stale`, of a trial and by the folder's copy of the configuration. Results without their recordings,
    as on another computer, give no warning."""
    with suppress(InputError, OSError):
        config = read_config(results / "config.yaml").model_copy(update={"results": str(results)})
        steps = [step for step in steps_of_trial(config, subject, STAGES_OF_JOB) if step.stage != "page"]
        if stale := _first_out_of_date(steps, trial):
            _warn_of_earlier_state(stale)


def _first_out_of_date(steps: Iterable[Step], trial: str | None) -> str | None:
    """The first step of a trial (None: of all) that used other inputs, settings or code than now; and why. Those
    without their inputs, or not made yet, are left out."""
    for step in steps:
        at_hand = step.manifest.is_file() and all(file.exists() for file in step.task.inputs)
        counts = trial is None or step.trial in (None, trial)
        if counts and at_hand and (why := up_to_date.reason_not_done(step.manifest, step.task, step.stage)):
            return f"{step.subject} {step.trial or ''}".strip() + f": {step.stage} is out of date ({why})"
    return None


def _warn_of_earlier_state(stale: str) -> None:
    warnings.warn(f"the results are of an earlier state: {stale}. Run `simspine run` again.", stacklevel=3)


def _stage_state(config: Config, step: Step, unsure: set[Path]) -> tuple[str, str]:
    lock = step.manifest.with_suffix(".lock")
    if up_to_date.is_lock_held(lock):
        return STATE_RUNNING, ""
    made = bool(up_to_date.read_task_manifest(step.manifest))
    if not unsure.isdisjoint(step.task.inputs):
        return (STATE_WAITING if made else STATE_OPEN), ""
    why = up_to_date.reason_not_done(step.manifest, step.task, step.stage)
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


def status_lines(states: list[StageState]) -> list[str]:
    """A line for each subject, trial and state: 'S01 bow: done detect, triangulate'."""
    lines = []
    for subject, trial in dict.fromkeys((state.subject, state.trial) for state in states):
        of_trial = [state for state in states if (state.subject, state.trial) == (subject, trial)]
        name = " ".join(filter(None, (subject, trial))) or "all subjects"
        for kind, why in dict.fromkeys((state.kind, state.why) for state in of_trial):
            stages = ", ".join(state.stage for state in of_trial if (state.kind, state.why) == (kind, why))
            lines.append(f"{name}: {kind} {stages}" + (f" ({printable(why)})" if why else ""))
    return lines
