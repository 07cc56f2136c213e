"""Typed configuration. One YAML file describes a run; its JSON schema is made from these types.

Each section's fields are the keyword arguments of the stage's function, so that the file, the schema and the library
say the same thing. Lengths are metres, times seconds, frequencies hertz, angles degrees only where the name says so.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from simspine.errors import InputError, unknown_name

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Trial(_Section):
    """Where one recording comes from: a Pose2Sim project folder, a list of videos, or 2D points made elsewhere."""

    folder: str | None = None
    """Pose2Sim project folder holding videos/ and calibration/; `pose2sim:Demo_SinglePerson` names a packaged one."""
    videos: list[str] | None = None
    """Synchronised videos, one per camera."""
    keypoints: list[str] | None = None
    """Folders of OpenPose/Pose2Sim JSON, one per camera in the calibration's order; read instead of detecting."""
    calibration: str | None = None
    """Pose2Sim TOML, Qualisys .qca.txt or JSON. Found in `folder` if left out."""
    rate: float | None = Field(None, gt=0)
    """Frames per second; needed with `keypoints`, read from the videos otherwise."""
    capture: str | None = None
    """A trial of the data set that the section `capture` names, such as Walking_1; all of them if none is named."""
    rig: str | None = None
    """Which rig of a JSON calibration that holds several; the subject's if left out."""
    mocap: str | None = None
    """TRC file of motion-capture markers that replace the points of the same name."""

    @model_validator(mode="after")
    def _one_source(self):
        if sum(v is not None for v in (self.folder, self.videos, self.keypoints, self.capture)) != 1:
            raise ValueError("give exactly one of folder, videos, keypoints, capture")
        if self.folder is None and self.capture is None and self.calibration is None:
            raise ValueError("videos or keypoints need a calibration file")
        if self.keypoints is not None and self.rate is None:
            raise ValueError("keypoints need a rate (frames per second)")
        return self


class Subject(_Section):
    """One person."""

    trials: dict[Name, Trial] = Field(default_factory=dict, min_length=1)
    """Recordings by name. May be left out for a subject of the data set in section `capture`."""
    height: float | None = Field(None, gt=0.5, lt=2.5)
    """Standing height, m. Estimated from the segments if left out."""
    mass: float = Field(70.0, gt=5, lt=300)
    """Body mass, kg. It scales inertia only and does not change kinematics."""


class HumanCapture(_Section):
    """A copy of Human3.6M, or a virtual capture in its layout: subjects and trials follow from it."""

    human36m: str
    """Folder of the copy."""
    layout: Literal["auto", "archives", "fetch", "videopose3d"] = "auto"
    """archives: the official ones, unpacked. fetch: annot.h5 per action. videopose3d: its .npz. auto: look."""
    cameras: str | None = None
    """File or folder of camera parameters; found in the copy if left out."""
    subjects: list[Name] | None = Field(None, min_length=1)
    """Subjects by their names in the data set (S1, S5, …); all seven with published motion capture if left out."""
    actions: list[str] | None = Field(None, min_length=1)
    """Actions or single trials (Walking, Walking_1); all fifteen if left out."""
    faults: Literal["skip", "keep"] = "skip"
    """Trials with known faults: left out, or used; named with the reason in the results either way."""
    detections: str | None = None
    """Folder of <subject>/<trial>.h5 with 2D points, which the detector `import` reads."""


SMALL = {"subjects": 2, "actions": ["Greeting", "Phoning", "Sitting", "Walking"], "frames": 300}


class Virtual(_Section):
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
    detections: str = Field("finetuned", pattern=r"^(exact|finetuned|zero-shot|.*\.ya?ml)$")
    """How far off the 2D points are: exact, finetuned or zero-shot; or a YAML file with figures of one's own."""
    cameras: str | None = None
    """Calibration file of another rig than four cameras like those of Human3.6M."""

    def resolved(self) -> "Virtual":
        """With the preset's figures where none are given; `frames` None means lengths as in Human3.6M."""
        preset = SMALL if self.preset == "small" else {"subjects": 7}
        return self.model_copy(update={key: value for key, value in preset.items() if getattr(self, key) is None})


class Detection(_Section):
    """Image → 2D points."""

    detector: Literal["blazepose", "spinepose", "import"] = "blazepose"
    """blazepose works offline; spinepose sees the spine but is for non-commercial use; import reads `keypoints`."""
    model: str = "medium"
    """SpinePose: model id (small, medium, large, xlarge; v1/ or v2/ before it) or a path to an ONNX file."""
    device: Literal["cpu", "cuda"] = "cpu"
    """SpinePose: where the network runs."""
    model_complexity: Literal[0, 1, 2] = 1
    """BlazePose: 0 light, 1 full, 2 heavy. The installed package carries 1."""
    skeleton: str | None = None
    """Names of imported points (spinetrack37, halpe26, …); by their number if left out."""
    person: Literal["most_views", "largest"] | list[float] = "most_views"
    """Whom to follow: seen in the most views, largest in the images, or nearest to a point [x, y, z] m of the world."""
    infer_spine: bool = True
    """Place spine points by rule where the detector has none; they stay marked as inferred."""


class Triangulation(_Section):
    """2D points of several views → 3D points with covariance."""

    min_confidence: float = Field(0.3, ge=0, le=1)
    """Detections below it are not used."""
    huber_px: float | None = Field(None, gt=0)
    """Error from which a view's pull grows linearly instead of quadratically; chosen from the noise if left out."""
    max_error_px: float | None = Field(None, gt=0)
    """A view with a larger error never takes part; 3 % of the longer image side if left out."""
    min_views: int = Field(2, ge=2)
    """Points seen by fewer consistent views are missing."""
    fix_swaps: bool = True
    """Find left and right exchanged in single views, and undo it."""


class Filter(_Section):
    """Zero-phase Butterworth low-pass over each marker's path, and gaps."""

    cutoff_hz: float | None = Field(6.0, gt=0)
    """Frequency at which the net (forward and backward) filter has −3 dB; null leaves the paths unfiltered."""
    order: int = Field(4, ge=2, le=8, multiple_of=2)
    """Order of the net filter."""
    max_gap_s: float = Field(0.2, ge=0)
    """Gaps up to this long are interpolated and marked; longer ones stay missing."""


class Body(_Section):
    """The musculoskeletal model."""

    recipe: str = "articulated"
    """articulated: a joint per vertebra. coupled: the 62 coordinates of the SIMSPINE release. Or a YAML file's path."""
    markers: str | None = None
    """Marker set; the one of the detector's skeleton if left out."""


class Scaling(_Section):
    """Body segments' sizes from marker distances."""

    min_factor: float = Field(0.7, gt=0)
    """Smallest plausible ratio of a segment to the generic model's."""
    max_factor: float = Field(1.4, gt=0)
    """Largest plausible ratio."""
    max_asymmetry: float = Field(0.08, gt=0)
    """Largest plausible difference between left and right, as a share of their mean."""
    trim: float = Field(0.2, ge=0, lt=1)
    """Share of extreme frames left out of each segment's length."""
    calibrate: bool = False
    """Then fit sizes and constant marker offsets together. Needs varied postures: one movement looks like an offset."""


class InverseKinematics(_Section):
    """Markers → joint angles."""

    engine: Literal["trajectory", "frames", "opensim"] = "trajectory"
    """trajectory: the whole trial at once, with standard deviations. frames: each by itself. opensim: its own tool."""
    accuracy: float | None = Field(None, gt=0, lt=1e-1)
    """Relative decrease of the cost at which to stop; by engine if left out."""
    weights: dict[str, float] = Field(default_factory=dict)
    """Weights by marker that replace those of the marker set."""
    marker_sd_m: float = Field(0.02, gt=0, lt=1)
    """Trajectory: how far a marker of weight 1 is off, one standard deviation of a coordinate, m."""
    error_lasts_s: float = Field(1.0, ge=0)
    """Trajectory: for how long a marker's error lasts; lasting errors average out less and widen the intervals."""
    use_covariance: bool = False
    """Trajectory: add each point's triangulation covariance to marker_sd_m²."""
    acceleration_sd: float = Field(20.0, gt=0)
    """Trajectory: how fast angles change their speed, one standard deviation, rad/s²; smaller is calmer."""
    loss: Literal["square", "huber", "geman-mcclure"] = "huber"
    """Trajectory: how markers far off count."""
    loss_from_sd: float = Field(3.0, gt=0)
    """Trajectory: how many standard deviations are far."""


class Report(_Section):
    """Pictures and page."""

    sample_frames: int = Field(3, ge=1, le=12)
    """Frames shown as overlays, per camera and trial."""


class Config(_Section):
    """A run of simspine."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["subjects"]},
                {"required": ["capture"], "properties": {"capture": {"type": "object"}}},
            ]
        }
    )

    name: Name
    """Name of the data set."""
    results: str
    """Folder for all results."""
    subjects: dict[Name, Subject] = Field(default_factory=dict, min_length=1)
    """People by name; with `capture`, only those there is something to say about, such as their height."""
    capture: HumanCapture | None = None
    """The data set that subjects and trials are from."""
    virtual: Virtual | None = None
    """Make that data set first, with known truth."""
    detection: Detection = Detection()
    triangulation: Triangulation = Triangulation()
    filter: Filter = Filter()
    body: Body = Body()
    scaling: Scaling = Scaling()
    ik: InverseKinematics = InverseKinematics()
    report: Report = Report()

    @model_validator(mode="after")
    def _everybody(self):
        """Subjects and trials of the data set join those named; no file is looked at."""
        if self.capture is not None:
            self.__dict__["subjects"] = _people_of(self.capture, self.virtual, self.subjects)
        elif self.virtual is not None:
            raise ValueError("virtual: needs `capture: {human36m: folder}`, the folder to write to")
        elif not self.subjects:
            raise ValueError("subjects: required, but missing")
        for name, person in self.subjects.items():
            if not person.trials:
                raise ValueError(f"subjects.{name}.trials: required, but missing")
            if self.capture is None and any(trial.capture for trial in person.trials.values()):
                raise ValueError(f"subjects.{name}: a trial with `capture` needs the section `capture`")
        return self

    def subject(self, name: str) -> Subject:
        if name not in self.subjects:
            raise unknown_name("subject", name, self.subjects, "the configuration")
        return self.subjects[name]

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


def _people_of(capture: HumanCapture, virtual: Virtual | None, named: Mapping[str, Subject]) -> dict[str, Subject]:
    """Everybody in the data set with all trials, and those named besides."""
    from simspine.sources.human36m.names import SUBJECTS, select_trials

    made = None if virtual is None else virtual.resolved()
    known = SUBJECTS if made is None else SUBJECTS[: made.subjects]
    there = select_trials(None if made is None else made.actions)
    trials = {trial: Trial(capture=trial) for trial in select_trials(capture.actions) if trial in there}
    if not trials:
        raise ValueError(f"capture.actions: none of them is made; virtual.actions are {', '.join(made.actions)}")
    for name in capture.subjects or ():
        if name not in known:
            raise unknown_name("subject", name, known, "capture.subjects")
    people = {}
    for name in capture.subjects or known:
        person = named.get(name, Subject())
        people[name] = person if person.trials else person.model_copy(update={"trials": trials})
    return people | {name: person for name, person in named.items() if name not in people}


def digest(value) -> str:
    """sha256 of a JSON-able value, independent of the order of keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def read_config(path: str | Path) -> Config:
    """The configuration in a YAML file. `InputError` gathers all faults, and proposes the right key for a wrong one."""
    path = Path(path)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"configuration {path} does not exist.") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"configuration {path} cannot be read as YAML: {error}") from None
    return check_config(data, f"configuration {path}")


def check_config(data, where: str = "the configuration") -> Config:
    """A `Config` out of plain mappings, as a YAML file holds them; `InputError` as in `read_config`."""
    if not isinstance(data, Mapping):
        raise InputError(f"{where} is not a mapping of sections; see configs/demo.yaml for the layout.")
    try:
        return Config.model_validate(data)
    except ValidationError as error:
        faults = "\n".join(f"  - {_fault(e)}" for e in error.errors())
        raise InputError(f"{where} does not fit the schema:\n{faults}") from None


def _fault(error) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = list(_section(parents).model_fields)
        return str(unknown_name("key", str(key), known, ".".join(map(str, parents)) or "the file's top level"))
    if error["type"] == "missing":
        return f"{place}: required, but missing."
    if error["type"] == "value_error":  # ours, about several keys: its text says it all
        text = str(error["ctx"]["error"]).rstrip(".")
        return f"{place}: {text}." if place else f"{text}."
    return f"{place}: {error['msg']} (found {error['input']!r})."


def _section(location) -> type[BaseModel]:
    """The type of the section at a location such as ('subjects', 'S01', 'trials', 'walk')."""
    section: type[BaseModel] = Config
    keyed = {"subjects": Subject, "trials": Trial}
    skip = False
    for part in location:
        if skip:
            skip = False
        elif part in keyed:
            section, skip = keyed[part], True
        elif part in section.model_fields:
            kinds = get_args(section.model_fields[part].annotation) or (section.model_fields[part].annotation,)
            section = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), section)
    return section


def json_schema() -> dict:
    """JSON schema of the configuration, as in configs/schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Config.model_json_schema()}
