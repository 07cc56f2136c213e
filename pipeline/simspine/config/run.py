"""The configuration of a run: all sections together."""

import hashlib
import json
from itertools import pairwise

from pydantic import ConfigDict, Field, field_validator, model_validator

from simspine.config.capture import HumanCapture, Virtual, chosen, people_of, spoilt
from simspine.config.people import Name, SharedSubject, Subject, shared_subjects
from simspine.errors import unknown_name
from simspine.pipeline.options import Options
from simspine.settings import Section

# What stands beside the subjects in the results folder and in the data set's file.
RESERVED = ("metadata", "export", "exchange", "validation", "report", "logs", "benchmarks",
            "manifests", "config.yaml", "report.html", "summary.json", "provenance.json", "manifest.json",
            "quality.csv", "quality.json", "clinical.csv")  # fmt: skip


def _optional():
    """A section that may be absent. The schema has no default for it: Snakemake would fill in a null and check that."""

    def absent(schema: dict) -> None:
        schema.pop("default")
        schema.update(schema.pop("anyOf")[0])

    return Field(None, json_schema_extra=absent)


class FootContacts(Section):
    """When each foot comes down, s: from one contact of a foot to the next is a cycle. They are yours."""

    right: list[float] = Field(default_factory=list)
    """Of the right foot, in the trial's time, s; two or more that ascend."""
    left: list[float] = Field(default_factory=list)
    """Of the left foot, the same."""

    @field_validator("right", "left")
    @classmethod
    def _ascend(cls, times: list[float]) -> list[float]:
        if len(times) == 1 or any(not b > a for a, b in pairwise(times)):
            raise ValueError(f"found {', '.join(f'{t:g}' for t in times)}; expected two or more times that ascend")
        return times


class ReportOptions(Section):
    """Pictures and page."""

    sample_frames: int = Field(3, ge=1, le=12)
    """Frames shown as overlays, per camera and trial."""
    events: dict[str, FootContacts] = Field(default_factory=dict)
    """Contacts of the feet by SUBJECT/TRIAL: angles of that trial are drawn over cycles as well."""
    bands: str = ""
    """A laboratory's normative bands (.csv) to draw behind cycles; `docs/how-to/report.md` has the columns."""

    @model_validator(mode="after")
    def _bands_have_cycles(self) -> "ReportOptions":
        if self.bands and not self.events:
            raise ValueError("bands are drawn behind cycles; name the contacts of the feet of a trial in `events`")
        return self


class Config(Options):
    """A run of simspine."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": ["subjects"]}, {"required": ["capture"]}]})

    name: Name
    """Name of the data set."""
    results: str
    """Folder for all results."""
    subjects: dict[Name, Subject] = Field(default_factory=dict, min_length=1)
    """People by name; with `capture`, only those there is something to say about, such as their height."""
    capture: HumanCapture | None = _optional()
    """The data set that subjects and trials are from."""
    virtual: Virtual | None = _optional()
    """Make that data set first, with known truth."""
    report: ReportOptions = ReportOptions()

    @field_validator("results")
    @classmethod
    def _no_pattern(cls, results: str) -> str:
        """Snakemake would read braces as wildcards, programs a hyphen as an option; logs show no control character."""
        if not results.strip() or results.startswith("-"):
            raise ValueError(f"{results!r} cannot be a folder for results; name one that does not begin with a hyphen")
        if found := [c for c in results if c in "{}" or not c.isprintable()]:
            raise ValueError(f"{results!r} holds {found[0]!r}; name a folder without braces and control characters")
        return results

    @model_validator(mode="after")
    def _everybody(self):
        """Subjects and trials of the data set join those named; no file is looked at."""
        if self.capture is not None:
            self.__dict__["subjects"] = people_of(self.capture, self.virtual, self.subjects)
        elif self.virtual is not None:
            raise ValueError("virtual: needs `capture: {human36m: folder}`, the folder to write to")
        elif not self.subjects:
            raise ValueError("subjects: required, but missing")
        for name, person in self.subjects.items():
            if name in RESERVED or name == f"{self.name}.h5":
                raise ValueError(
                    f"subjects.{name}: {name!r} is the name of something else in the results; choose another"
                )
            if "calibration" in person.trials:
                raise ValueError(
                    f"subjects.{name}.trials.calibration: the data set keeps cameras there; choose another"
                )
            if not person.trials:
                who = "" if self.capture is None else f" ({name} is not among the subjects taken from the data set)"
                raise ValueError(f"subjects.{name}.trials: required, but missing{who}")
            if self.capture is None and any(trial.capture for trial in person.trials.values()):
                raise ValueError(f"subjects.{name}: a trial with `capture` needs the section `capture`")
        self._several_people()
        self.__dict__["subjects"] = shared_subjects(self.subjects)
        trials = [f"{name}/{trial}" for name, person in self.subjects.items() for trial in person.trials]
        for name in self.report.events:
            if name not in trials:
                raise unknown_name("trial", name, trials, "report.events")
        return self

    def _several_people(self) -> None:
        """`ValueError` where `detection.person` and the subjects disagree about following several people."""
        all_of_them, most = self.detection.person == "all", self.detection.people
        for name, person in self.subjects.items():
            if isinstance(person, SharedSubject):
                continue
            if all_of_them and person.people is None:
                raise ValueError(f"detection.person is all: say how many people there are (subjects.{name}.people)")
            if person.people is not None and not all_of_them:
                raise ValueError(f"subjects.{name}.people: needs `detection: {{person: all}}`")
            if person.people is not None and person.people > most and self.detection.detector != "import":
                raise ValueError(
                    f"subjects.{name}.people is {person.people}, but detection.people lets the detector find {most}"
                )

    @property
    def captured(self) -> set[tuple[str, str]]:
        """Subject and trial, by the data set's names, of each recording that is from there."""
        return {(name, t.capture) for name, who in self.subjects.items() for t in who.trials.values() if t.capture}

    @property
    def known_faults(self) -> dict[str, str]:
        """{subject/trial: what is known to be wrong with it} for the trials used and those left out."""
        if self.capture is None or self.virtual is not None:
            return {}
        from simspine.sources.human36m.faults import faults_of

        left = {(name, trial) for name, trial in chosen(self.capture, None) if spoilt(name, trial)}
        faults = {f"{name}/{trial}": faults_of(name, trial) for name, trial in sorted(self.captured | left)}
        return {key: "; ".join(map(str, found)) for key, found in faults.items() if found}

    @property
    def skipped(self) -> dict[str, str]:
        """Those of the known faults whose trials are left out."""
        return {name: why for name, why in self.known_faults.items() if tuple(name.split("/")) not in self.captured}

    def subject(self, name: str) -> Subject:
        if name not in self.subjects:
            raise unknown_name("subject", name, self.subjects, "the configuration")
        return self.subjects[name]

    def recorded_as(self, subject: str) -> str:
        """The name under which a subject's recordings are configured: their own, unless several people share them."""
        found = self.subject(subject)
        return found.group if isinstance(found, SharedSubject) else subject

    def trials(self, subject: str, only: str | None = None) -> list[str]:
        """Names of the subject's trials, or the one asked for."""
        trials = list(self.subject(subject).trials)
        if only is None:
            return trials
        if only not in trials:
            raise unknown_name("trial", only, trials, f"subject {subject}")
        return [only]

    @property
    def hash(self) -> str:
        """Digest of everything that is configured."""
        return digest(self.model_dump(mode="json"))


def digest(value) -> str:
    """sha256 of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
