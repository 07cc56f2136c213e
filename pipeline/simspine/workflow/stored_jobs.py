"""The workflow's jobs with all the files that each needs and makes, for runs whose files lie in object storage.

There a job finds no file but those that were fetched for it, so that all must be known before. Recordings are named by
the configuration, and need not be on the machine that plans.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from simspine import __version__
from simspine.config import Config, digest
from simspine.errors import InputError
from simspine.workflow.code import code_digest
from simspine.workflow.inputs import PACKAGED
from simspine.workflow.jobs import JOBS, OF_ALL, Step, all_jobs, step_of_all, steps_of


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


def stored_jobs(config: Config) -> list[StoredJob]:
    """All jobs, in an order in which they can be done.

    Raises `InputError` where what a trial is made from is only known by looking into folders or files, for paths that a
    bucket cannot have, and where a file that is given by an absolute path is missing.
    """
    _check(config)
    steps = list(_steps(config))
    made = {str(file) for step in steps for file in step.task.outputs}
    found: list[StoredJob] = []
    for job, subject, trial in all_jobs(config):
        mine = [step for step in steps if (step.job, step.subject, step.trial) == (job, subject, trial)]
        own = [str(file) for step in mine for file in (*step.task.outputs, step.manifest)]
        read = [str(file) for step in mine for file in step.task.inputs]
        given = [_key(file) for file in read if file in made or not Path(file).is_absolute()]
        before = [file for other in found if _needs(job, subject, trial, other) for file in other.outputs]
        inputs = tuple(file for file in dict.fromkeys([*given, *before]) if file not in own)
        outputs = tuple(dict.fromkeys(own))
        made_by = digest([[step.task.settings, __version__, code_digest(step.module)] for step in mine])
        found.append(StoredJob(job, subject, trial, inputs, outputs, made_by))
    return found


def _steps(config: Config) -> Iterator[Step]:
    for subject in config.subjects:
        yield from steps_of(config, subject, JOBS, here=False)
    for job in OF_ALL:
        yield step_of_all(config, job, here=False)


def _needs(job: str, subject: str | None, trial: str | None, earlier: StoredJob) -> bool:
    """Whether a job is given the files of an earlier one: of its subject, and of its trial unless one is of all."""
    return job in OF_ALL or (earlier.subject == subject and (trial is None or earlier.trial in (trial, None)))


def _key(path: str) -> str:
    """`InputError` unless a bucket can have it, and its address."""
    if ".." in Path(path).parts or not set("{}#?").isdisjoint(path):
        raise InputError(f"object storage: {path}; a path below the bucket is wanted, without ..  {{ }} # and ?.")
    return path


def _check(config: Config) -> None:
    """`InputError` for what cannot be planned without the recordings, or cannot lie in a bucket."""
    if config.capture is not None:
        raise InputError(
            f"object storage: {config.capture.human36m} is found by looking into its folders; copy it to this machine "
            "and leave --storage out."
        )
    if Path(config.results).is_absolute():
        raise InputError(f"object storage: results is {config.results}; a path below the bucket is wanted.")
    _key(config.results)
    own = {"body.recipe": config.body.recipe, "body.markers": config.body.markers}
    for key, path in (own | {"merge.correspondence": config.merge.correspondence}).items():
        if path and path.endswith((".yaml", ".yml", ".csv")) and not Path(path).is_absolute():
            raise InputError(f"object storage: {key} is {path}, which the plan reads too; give its absolute path.")
    for subject, person in config.subjects.items():
        for name, trial in person.trials.items():
            place = f"subjects.{subject}.trials.{name}"
            if trial.folder is not None and not trial.folder.startswith(PACKAGED):
                raise InputError(
                    f"object storage: {place}.folder is {trial.folder}, whose files are not known; name them (videos, "
                    "calibration)."
                )
            if isinstance(trial.skin_markers, str):
                raise InputError(f"object storage: {place}.skin_markers is a file; give its clicks there.")
