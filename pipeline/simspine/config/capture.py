"""A whole data set as the source: its subjects and trials follow from its name, and no file is looked at."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from simspine.config.people import Name, Subject, Trial
from simspine.errors import require_known
from simspine.settings import Section


class HumanCapture(Section):
    """A copy of Human3.6M, or a virtual capture in its layout: subjects and trials follow from it."""

    human36m: str
    """Folder of the copy."""
    layout: Literal["auto", "archives", "fetch", "videopose3d"] = "auto"
    """archives: the official ones, unpacked. fetch: annot.h5 per action. videopose3d: its .npz. auto: look."""
    cameras: str | None = None
    """File or folder of camera parameters; found in the copy if left out."""
    lens: Literal["human36m", "opencv"] | None = None
    """Whose formula the tangential distortion belongs to; told from the file's kind if left out."""
    checksums: str | None = None
    """File of md5sum, sha1sum or sha256sum that `simspine doctor` compares the copy with."""
    subjects: list[Name] | None = Field(None, min_length=1)
    """Subjects by their names in the data set (S1, S5, …); all seven with published motion capture if left out."""
    actions: list[str] | None = Field(None, min_length=1)
    """Actions or single trials (Walking, Walking_1); all fifteen if left out."""
    faults: Literal["skip", "keep"] = "skip"
    """Trials with known faults: left out, or used; named with the reason in the results either way."""
    detections: str | None = None
    """Folder of <subject>/<trial>.h5 with 2D points, which the detector `import` reads."""


SMALL = {"subjects": 2, "actions": ["Greeting", "Phoning", "Sitting", "Walking"], "frames": 300}


class Virtual(Section):
    """What `simspine capture virtual` writes to the folder that `capture.human36m` names."""

    preset: Literal["small", "large"] = "small"
    """small: 2 subjects, 4 actions, 300 frames a trial. large: 7 subjects, 15 actions, as long as in Human3.6M."""
    seed: int = Field(1, ge=0)
    """Decides everything random: the same seed gives the same bytes."""
    subjects: int | None = Field(None, ge=1, le=7)
    """How many people, if not as in the preset."""
    actions: list[str] | None = Field(None, min_length=1)
    """Actions, if not those of the preset; two trials of each."""
    frames: int | None = Field(None, ge=20)
    """Frames of every trial, if not as in the preset."""
    detections: str = "finetuned"
    """How far off the 2D points are: exact, finetuned or zero-shot; or a YAML file with figures of one's own."""
    spines: Literal["published", "scans"] = "published"
    """Where people's vertebral spacing and standing curve are from: published figures, or statistics of CT scans."""
    cameras: str | None = None
    """Calibration file of another rig than four cameras like those of Human3.6M."""

    def resolved(self) -> "Virtual":
        """With the preset's figures where none are given; `frames` None means lengths as in Human3.6M."""
        preset = SMALL if self.preset == "small" else {"subjects": 7}
        return self.model_copy(update={key: value for key, value in preset.items() if getattr(self, key) is None})


def people_of(capture: HumanCapture, virtual: Virtual | None, named: Mapping[str, Subject]) -> dict[str, Subject]:
    """Everybody in the data set with all usable trials, and those named besides."""
    trials: dict[str, dict[str, Trial]] = {}
    for name, trial in chosen(capture, virtual):
        own = trials.setdefault(name, {})
        if virtual is not None or capture.faults == "keep" or not spoilt(name, trial):
            own[trial] = Trial(capture=trial)
    people = {}
    for name, own in trials.items():
        person = named.get(name, Subject())
        if person.trials or own:
            people[name] = person if person.trials else person.model_copy(update={"trials": own})
    if not people:
        raise ValueError("capture: all trials chosen have known faults; `faults: keep` uses them nevertheless")
    return people | {name: person for name, person in named.items() if name not in people}


def chosen(capture: HumanCapture, virtual: Virtual | None) -> list[tuple[str, str]]:
    """Subject and trial of all that is asked for, by the names of the data set."""
    from simspine.sources.human36m.names import SUBJECTS, select_trials

    made = Virtual(preset="large").resolved() if virtual is None else virtual.resolved()
    known, there = SUBJECTS[: made.subjects], select_trials(made.actions)
    trials = [trial for trial in select_trials(capture.actions) if trial in there]
    if not trials:
        raise ValueError(f"capture.actions: none of them is made; virtual.actions are {', '.join(made.actions or ())}")
    require_known("subject", capture.subjects or (), known, "capture.subjects")
    return [(name, trial) for name in capture.subjects or known for trial in trials]


def spoilt(subject: str, trial: str) -> bool:
    from simspine.sources.human36m.faults import faults_of, unusable

    return unusable(faults_of(subject, trial))
