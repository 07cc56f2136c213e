"""Who was recorded, and where each recording comes from."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, StringConstraints, field_validator, model_validator

from simspine.config.skin_markers import SkinMarkers, skin_markers_from
from simspine.settings import Section
from simspine.types import FASTEST
from simspine.yaml_files import shown

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80)]


class Trial(Section):
    """Where one recording comes from: a Pose2Sim project folder, a list of videos, or 2D points made elsewhere."""

    folder: str | None = None
    """Pose2Sim project folder holding videos/ and calibration/; `pose2sim:Demo_SinglePerson` names a packaged one."""
    videos: list[str] | None = None
    """Videos, one per camera; synchronised, unless `delays` are given or to be found."""
    keypoints: list[str] | None = None
    """Folders of OpenPose/Pose2Sim JSON, one per camera in the calibration's order; read instead of detecting."""
    calibration: str | None = None
    """Pose2Sim TOML, Qualisys .qca.txt or JSON. Found in `folder` if left out."""
    rate: float | None = Field(None, gt=0, le=FASTEST)
    """Frames per second; needed with `keypoints`, read from the videos otherwise."""
    capture: str | None = None
    """A trial of the data set that the section `capture` names, such as Walking_1; all of them if none is named."""
    rig: str | None = None
    """Which rig of a JSON calibration that holds several; the subject's if left out."""
    delays: Literal["find"] | list[FiniteFloat] | dict[str, FiniteFloat] | None = None
    """Frames by which each view shows an event later than the first one does: a list, or by camera name; or `find`."""
    drift: list[FiniteFloat] | dict[str, FiniteFloat] | None = None
    """With given `delays`: frames by which each view gets later in 1000 frames."""
    mocap: str | None = None
    """TRC or C3D file of motion-capture markers that replace the points of the same name."""
    mocap_frame: Literal["y_up", "z_up"] | None = None
    """Which way is up in the `mocap` file: what a C3D file says itself, and Y in a TRC file, if left out."""
    mocap_start: FiniteFloat | None = None
    """Seconds after the videos' first frame at which the `mocap` file begins, where its own times are others."""
    mocap_resample: float | None = Field(None, gt=0, le=FASTEST)
    """Frames per second to interpolate a `mocap` file at whose time steps vary; without it such a file is refused."""

    skin_markers: SkinMarkers | str | None = None
    """Markers on the skin seen in the videos: their clicks, or a YAML file of them."""

    @field_validator("delays", mode="before")
    @classmethod
    def _kinds_of_delays(cls, delays):
        """One fault in place of one for each kind that was tried."""
        if delays is None or delays == "find":
            return delays
        values = delays.values() if isinstance(delays, Mapping) else delays
        if isinstance(delays, str) or not isinstance(delays, Mapping | Sequence):
            raise ValueError(f"{shown(delays)} is no delays; write find, or frames: a list, or by camera name")
        if wrong := [v for v in values if isinstance(v, bool | str) or not isinstance(v, int | float)]:
            raise ValueError(f"{shown(wrong[0])} is no number of frames")
        return delays

    @field_validator("skin_markers", mode="before")
    @classmethod
    def _clicks(cls, value):
        return skin_markers_from(value)

    @model_validator(mode="after")
    def _one_source(self):
        if sum(v is not None for v in (self.folder, self.videos, self.keypoints, self.capture)) != 1:
            raise ValueError("give exactly one of folder, videos, keypoints, capture")
        if self.capture is not None and any((self.calibration, self.rate, self.rig, self.mocap, self.delays)):
            raise ValueError(
                "a trial of the data set has its calibration, rate and mocap from there, and no delays; leave them out"
            )
        if self.drift is not None and (self.delays is None or self.delays == "find"):
            raise ValueError("drift goes with `delays` that are given; leave it out, or give them")
        for name in ("mocap_frame", "mocap_start", "mocap_resample"):
            if getattr(self, name) is not None and self.mocap is None:
                raise ValueError(f"{name} needs a mocap file")
        if self.mocap_resample is not None and str(self.mocap).lower().endswith(".c3d"):
            raise ValueError("mocap_resample is for time steps that vary, and a C3D file has none; leave it out")
        if self.skin_markers is not None and self.keypoints is not None:
            raise ValueError("skin_markers are followed in videos, but the trial gives keypoints")
        if self.folder is None and self.capture is None and self.calibration is None:
            raise ValueError("videos or keypoints need a calibration file")
        if self.keypoints is not None and self.rate is None:
            raise ValueError("keypoints need a rate (frames per second)")
        return self


class Subject(Section):
    """One person."""

    trials: dict[Name, Trial] = Field(default_factory=dict, min_length=1)
    """Recordings by name. May be left out for a subject of the data set in section `capture`."""
    height: float | None = Field(None, gt=0.5, lt=2.5)
    """Standing height, m. Estimated from the segments if left out."""
    mass: float = Field(70.0, gt=5, lt=300)
    """Body mass, kg. It scales inertia only and does not change kinematics."""
    people: int | None = Field(None, ge=1, le=32)
    """With `detection.person: all`: how many are in the trial; they become <name>_1, <name>_2, …, most seen first."""


class SharedSubject(Subject):
    """One of several people of one recording."""

    group: str
    """Name under which the recording is configured."""
    rank: int
    """1 for who is seen most."""


def shared_subjects(named: Mapping[str, Subject]) -> dict[str, Subject]:
    """The subjects with each that holds several people in its place; `ValueError` for what does not go together."""
    found: dict[str, Subject] = {}
    for name, subject in named.items():
        if subject.people is None:
            found[name] = subject
            continue
        if len(subject.trials) != 1 or any(trial.capture for trial in subject.trials.values()):
            raise ValueError(
                f"subjects.{name}.people: needs exactly one trial of videos or keypoints, because nobody knows who is "
                "who in another one; name a subject for each recording"
            )
        if any(trial.skin_markers for trial in subject.trials.values()):
            raise ValueError(f"subjects.{name}: nobody knows which of {subject.people} people wears the skin_markers")
        if subject.height is not None:
            raise ValueError(f"subjects.{name}: one height cannot be that of {subject.people} people; leave it out")
        fields = {key: getattr(subject, key) for key in Subject.model_fields}
        for rank in range(1, subject.people + 1):
            if f"{name}_{rank}" in named:
                raise ValueError(f"subjects.{name}_{rank}: is the name of one of the people of subjects.{name} as well")
            found[f"{name}_{rank}"] = SharedSubject(**fields, group=name, rank=rank)
    return found
