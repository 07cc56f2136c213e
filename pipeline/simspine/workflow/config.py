"""The configuration of a run: its sections, reading and checking of its file, its JSON schema."""

import hashlib
import json
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

from pydantic import ConfigDict, Field, field_validator, model_validator

from simspine.anatomy.marker_sets import marker_set_path
from simspine.core.errors import InputError, require_distinct_files, require_known
from simspine.core.settings import Section, SettingsError, fault_line, read_yaml, recipe_path, value_text
from simspine.core.skeletons import load_skeleton, read_correspondence
from simspine.reconstruction.stage import Options
from simspine.synthesis.options import Virtual
from simspine.vision.spinepose import known_weights
from simspine.workflow import config_recordings
from simspine.workflow.config_recordings import HumanCapture, SafeName, SharedSubject, Subject, is_spoilt

RESERVED_NAMES = ("metadata", "export", "exchange", "validation", "report", "logs", "benchmarks",
            "manifests", "config.yaml", "report.html", "summary.json", "provenance.json", "manifest.json",
            "quality.csv", "quality.json", "clinical.csv", "timings.json", "notice.txt")  # fmt: skip


class FootContacts(Section):
    """Times at which each foot comes down, from your own analysis; a cycle ends at the same foot's next contact."""

    right: list[float] = Field(default_factory=list)
    """Contacts of the right foot, in the trial's time, s; two or more that ascend."""
    left: list[float] = Field(default_factory=list)
    """Contacts of the left foot, in the same way."""

    @field_validator("right", "left")
    @classmethod
    def _ascend(cls, times: list[float]) -> list[float]:
        if len(times) == 1 or any(not b > a for a, b in pairwise(times)):
            raise ValueError(f"found {', '.join(f'{t:g}' for t in times)}; expected two or more times that ascend")
        return times


class ReportOptions(Section):
    """Pictures and pages of the report."""

    sample_frames: int = Field(3, ge=1, le=12)
    """Frames shown as overlays, per camera and trial."""
    events: dict[str, FootContacts] = Field(default_factory=dict)
    """Contacts of the feet by SUBJECT/TRIAL: angles of that trial are drawn over cycles as well."""


class Config(Options):
    """A run of simspine."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["subjects"]}, {"required": ["capture"]}]})

    name: SafeName
    """Name of the data set."""
    results: str
    """Folder for all results."""
    subjects: dict[SafeName, Subject] = Field(default_factory=dict, min_length=1)
    """People by name; with `capture`, only those with settings of their own, such as their height."""
    capture: HumanCapture | None = None
    """The data set that subjects and trials are from."""
    virtual: Virtual | None = None
    """A virtual capture with known truth, which is made in the folder of `capture` first."""
    report: ReportOptions = ReportOptions()

    @field_validator("results")
    @classmethod
    def _no_pattern(cls, results: str) -> str:
        """Snakemake would read braces as wildcards, programs a hyphen as an option; logs show no control character.

        Returns the path as Snakemake and `pathlib` both write it: without `./`, `//` and a slash at its end.
        """
        if not results.strip() or results.startswith("-"):
            raise ValueError(f"{results!r} cannot be a folder for results; name one that does not begin with a hyphen")
        if wrong := [c for c in results if c in "{}" or not c.isprintable()]:
            raise ValueError(f"{results!r} holds {wrong[0]!r}; name a folder without braces and control characters")
        if (plain := Path(results).as_posix()) == ".":
            raise ValueError(f"{results!r} is the working directory; name a folder for the results alone")
        return plain

    @model_validator(mode="after")
    def _all_subjects(self):
        """Add subjects and trials of the data set to those named, and check them; no file is read."""
        if self.capture is not None:
            self.__dict__["subjects"] = config_recordings.people_of_capture(self.capture, self.virtual, self.subjects)
        elif self.virtual is not None:
            raise ValueError("virtual: needs `capture: {human36m: folder}`, the folder to write to")
        elif not self.subjects:
            raise ValueError("subjects: required, but missing")
        require_distinct_files("subjects", self.subjects)
        for name, person in self.subjects.items():
            require_distinct_files(f"trials of {name}", person.trials)
            if name.lower() in (*RESERVED_NAMES, f"{self.name}.h5".lower()):
                raise ValueError(f"subjects.{name}: {name!r} is the name of something else in the results; rename it")
            if taken := [trial for trial in person.trials if f"{trial}_people" in person.trials]:
                raise ValueError(f"subjects.{name}.trials.{taken[0]}_people: all people in {taken[0]!r}; rename it")
            if "calibration" in person.trials:
                raise ValueError(f"subjects.{name}.trials.calibration: the data set keeps cameras there; rename it")
            if not person.trials:
                who = "" if self.capture is None else f" ({name} is not among the subjects taken from the data set)"
                raise ValueError(f"subjects.{name}.trials: required, but missing{who}")
            if self.capture is None and any(trial.capture for trial in person.trials.values()):
                raise ValueError(f"subjects.{name}: a trial with `capture` needs the section `capture`")
        self._check_several_people()
        self.__dict__["subjects"] = config_recordings.shared_subjects(self.subjects)
        trials = [f"{name}/{trial}" for name, person in self.subjects.items() for trial in person.trials]
        owners = {name.lower(): name for name in self.subjects}  # of files such as report/S_T.html and Calib_S.toml
        for trial in trials:
            if (other := owners.setdefault(trial.replace("/", "_").lower(), trial)) != trial:
                raise ValueError(f"subjects: {other} and {trial} would have files of one name; rename one of them")
        if self.detection.skeleton and not any(t.keypoints for p in self.subjects.values() for t in p.trials.values()):
            raise ValueError("detection.skeleton is that of imported points; no trial has `keypoints`: leave it out")
        for name, contacts in self.report.events.items():
            require_known("trial", (name,), trials, "report.events")
            if not (contacts.right or contacts.left):
                raise ValueError(f"report.events.{name}: no times; expected two or more of `right`, `left` or both")
        return self

    def _check_several_people(self) -> None:
        """`ValueError` where `detection.person` and the subjects disagree about following several people."""
        follow_all, limit = self.detection.person == "all", self.detection.people
        for name, person in self.subjects.items():
            if isinstance(person, SharedSubject):
                continue
            if follow_all and person.people is None:
                raise ValueError(f"detection.person is all: say how many people there are (subjects.{name}.people)")
            if person.people is not None and not follow_all:
                raise ValueError(f"subjects.{name}.people: needs `detection: {{person: all}}`")
            if person.people is not None and person.people > limit and self.detection.detector != "import":
                raise ValueError(f"subjects.{name}.people is {person.people}, but detection.people is {limit}")

    @property
    def captured(self) -> set[tuple[str, str]]:
        """(subject, trial) of each recording of the data set, by the data set's names."""
        return {(name, t.capture) for name, who in self.subjects.items() for t in who.trials.values() if t.capture}

    @property
    def known_faults(self) -> dict[str, str]:
        """{subject/trial: its known faults} of the data set's trials, both those used and those left out."""
        if self.capture is None or self.virtual is not None:
            return {}
        from simspine.io.human36m.names import known_faults_of

        every = config_recordings.chosen_trials(self.capture, None)
        left_out = {(name, trial) for name, trial in every if is_spoilt(name, trial)}
        faults = {f"{name}/{trial}": known_faults_of(name, trial) for name, trial in sorted(self.captured | left_out)}
        return {key: "; ".join(map(str, known)) for key, known in faults.items() if known}

    @property
    def skipped(self) -> dict[str, str]:
        """`known_faults` of the trials that are left out."""
        return {name: why for name, why in self.known_faults.items() if tuple(name.split("/")) not in self.captured}

    def subject(self, name: str) -> Subject:
        require_known("subject", (name,), self.subjects, "the configuration")
        return self.subjects[name]

    def recorded_as(self, subject: str) -> str:
        """The name under which a subject's recordings are configured: their own, unless several people share them."""
        person = self.subject(subject)
        return person.group if isinstance(person, SharedSubject) else subject

    def trials(self, subject: str, only: str | None = None) -> list[str]:
        """Names of the subject's trials, or the one asked for."""
        trials = list(self.subject(subject).trials)
        if only is None:
            return trials
        require_known("trial", (only,), trials, f"subject {subject}")
        return [only]

    def filmed_trials(self, subject: str, only: str | None = None) -> list[str]:
        """Those of `trials` that have cameras; the others are marker files."""
        recordings = self.subject(subject).trials
        return [trial for trial in self.trials(subject, only) if recordings[trial].markers is None]

    @property
    def hash(self) -> str:
        return json_digest(self.model_dump(mode="json"))


def json_digest(value) -> str:
    """sha256 of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def unknown_values(config: Config) -> list[str]:
    """A line for each setting whose value is an unknown name or file, with the nearest known name; [] for no fault.

    Stages check the files of recordings themselves, since a run can be planned without them.
    """
    checks: list[tuple[str, str | None, Callable[[str], object]]] = [
        ("body.recipe", config.body.recipe, recipe_path),
        ("body.markers", config.body.markers, marker_set_path),
        ("detection.skeleton", config.detection.skeleton, load_skeleton),
        ("merge.correspondence", config.merge.correspondence, read_correspondence),
    ]
    if config.detection.detector == "spinepose":
        checks.append(("detection.model", config.detection.network, known_weights))
    if config.virtual is not None:
        from simspine.synthesis.virtual_detector import read_preset

        checks.append(("virtual.detections", config.virtual.detections, read_preset))
    faults = []
    for setting, value, check in checks:
        try:
            if value is not None:
                check(value)
        except InputError as error:
            faults.append(f"{setting}: {error}")
    return faults


def read_config(path: str | Path) -> Config:
    """The configuration in a YAML file. `InputError` gathers all faults, and proposes the right key for a wrong one."""
    return check_config(read_yaml(path), f"configuration {path}")


def check_config(data, where: str = "the configuration") -> Config:
    """A `Config` from plain mappings, as a YAML file holds them; `InputError` as in `read_config`."""
    if not isinstance(data, Mapping):
        raise InputError(f"{where} holds {value_text(data)}; expected sections such as `subjects` (`simspine init`).")
    try:
        config = Config.model_validate(data)
        faults = unknown_values(config)
    except SettingsError as wrong:
        faults = [fault_line(error, Config, "the file's top level") for error in wrong.errors]
    if faults:
        raise InputError(f"{where} does not fit the schema:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return config


def json_schema() -> dict:
    """JSON schema of the configuration, as in configs/schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
