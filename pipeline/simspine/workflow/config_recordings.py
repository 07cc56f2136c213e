"""Sections of a configuration about recordings: subjects, trials, clicks on skin markers, data sets."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import hypot
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, StringConstraints
from pydantic.functional_validators import AfterValidator, BeforeValidator, field_validator, model_validator

from simspine.anatomy.marker_sets import Tape, read_skin_table
from simspine.core.errors import require_file_name, require_known
from simspine.core.settings import Section, value_text
from simspine.core.types import MAX_FRAME_RATE_HZ
from simspine.io.human36m.names import HUMAN36M_SUBJECT_NAMES, is_unusable, known_faults_of, select_trials
from simspine.io.text_tables import repeated_names
from simspine.synthesis.options import Virtual

MAX_CLICK_PX = 1e7  # beyond any image


def _require_click(row):
    """`ValueError` unless the row is a frame and a place, or a frame from which the marker is hidden."""
    frame, *place = row if isinstance(row, list | tuple) and len(row) == 3 else (None,)
    valid = [type(value) in (int, float) and abs(value) < MAX_CLICK_PX for value in place if value is not None]
    if type(frame) is not int or frame < 0 or len(valid) == 1 or not all(valid):
        raise ValueError(f"{value_text(row)} is no click; write [frame, x, y], frames from 0; x, y null if hidden")
    return row


SkinClick = Annotated[tuple[int, float | None, float | None], BeforeValidator(_require_click)]


def _require_visible(rows: list[SkinClick]) -> list[SkinClick]:
    """`ValueError` where a frame is clicked twice, or the marker is hidden in all of them."""
    if twice := repeated_names(str(frame) for frame, _, _ in rows):
        raise ValueError(f"frame {twice} is clicked more than once")
    if all(x is None for _, x, _ in rows):
        raise ValueError("the marker is hidden in all of them; leave the view out")
    return rows


ClicksByView = dict[str, Annotated[list[SkinClick], Field(min_length=1), AfterValidator(_require_visible)]]


class SkinTape(Section):
    """A tape with a row of dots along the spine; the first dot is the one nearest to the head."""

    dots: int = Field(ge=4, le=100)
    """Number of dots."""
    spacing_mm: float = Field(ge=5, le=100)
    """Distance between the centres of neighbouring dots, mm."""
    first: str
    """Level over which the first dot is: C7, T1 … L5, S1."""
    last: str
    """Level over which the last dot is."""
    clicks: dict[Annotated[int, Field(ge=1)], ClicksByView] = Field(min_length=1)
    """{number of a dot, from 1 at the top: {view: [[frame, x, y], …]}}; two dots or more in each clicked frame."""
    radius_px: float = Field(4.0, ge=2, le=60)
    """Radius of a dot in the images, px."""

    @model_validator(mode="after")
    def _on_a_spine(self):
        views = list(dict.fromkeys(view for views in self.clicks.values() for view in views))
        if len(views) < 2:
            raise ValueError(f"the tape is clicked in {', '.join(views) or 'no view'}: click it in two views or more")
        if above := [number for number in self.clicks if number > self.dots]:
            raise ValueError(f"clicks of the tape: dot {above[0]} is clicked, but it has {self.dots} (`dots`)")
        hidden = [n for n, views in self.clicks.items() for rows in views.values() for _, x, _ in rows if x is None]
        if hidden:
            raise ValueError(f"clicks of dot {hidden[0]}: leave null out; hidden dots of a tape are recognised")
        _check_apart({f"dot {number}": views for number, views in self.clicks.items()}, self.radius_px)
        _check_rows_of_dots(self.clicks)
        self.on_skin()  # raises where the levels do not fit
        return self

    def on_skin(self) -> Tape:
        """The same tape in the pipeline's type, in metres."""
        spacing, clicks = self.spacing_mm / 1000, _by_frame(self.clicks)
        return Tape(self.dots, spacing, self.first, self.last, clicks=clicks, radius=self.radius_px)


class SkinMarkers(Section):
    """Markers on the skin, clicked in a few images and followed from there (docs/how-to/skin-markers.md)."""

    clicks: dict[str, ClicksByView] = Field(default_factory=dict, min_length=1)
    """{landmark: {view: [[frame, x, y], …]}}: C7, T1 … S1, LPSIS, RPSIS; frames from 0; px; null: hidden from then."""
    radius_px: float = Field(6.0, ge=2, le=60)
    """Radius of a marker in the images, px."""
    tape: SkinTape | None = None
    """A row of dots along the spine, as one object."""

    @model_validator(mode="before")
    @classmethod
    def _require_clicks_or_tape(cls, data):
        if isinstance(data, Mapping) and "clicks" not in data and not data.get("tape"):
            raise ValueError("clicks: required, but missing (or a `tape`)")
        return data

    @model_validator(mode="after")
    def _on_different_markers(self):
        require_known("marker on the skin", self.clicks, read_skin_table().places)
        for landmark, views in self.clicks.items():
            if len(views) < 2:
                seen_in = ", ".join(views) or "no view"
                raise ValueError(f"{landmark} is clicked in {seen_in}: click it in two views or more, or leave it out")
        _check_apart(self.clicks, self.radius_px)
        return self

    def tape_on_skin(self) -> Tape | None:
        """The tape in the pipeline's type, if there is one."""
        return None if self.tape is None else self.tape.on_skin()

    def by_frame(self) -> dict[str, dict[str, dict[int, tuple[float, float] | None]]]:
        """{landmark: {view: {frame: (x, y) or None}}}."""
        return _by_frame(self.clicks)


def _by_frame(clicks: Mapping[Any, Mapping[str, list[SkinClick]]]) -> dict[Any, dict[str, dict]]:
    """{landmark or dot: {view: {frame: (x, y), or None where it is hidden}}}."""
    return {
        key: {view: {frame: None if x is None else (x, y) for frame, x, y in rows} for view, rows in views.items()}
        for key, views in clicks.items()
    }


def _check_apart(clicks: Mapping[str, Mapping[str, list[SkinClick]]], radius: float) -> None:
    """`ValueError` where two markers are clicked closer to each other than the radius of one."""
    places = [
        (landmark, view, frame, x, y)
        for landmark, views in clicks.items()
        for view, rows in views.items()
        for frame, x, y in rows
        if x is not None and y is not None
    ]
    for (first, view, frame, x, y), (second, *where, u, v) in combinations(places, 2):
        if first != second and where == [view, frame] and hypot(x - u, y - v) < radius:
            found = f"{first} and {second} are clicked at one place, {x:g}, {y:g} in frame {frame} of {view}"
            raise ValueError(f"{found}; click each on its own marker")


def _check_rows_of_dots(clicks: Mapping[int, Mapping[str, list[SkinClick]]]) -> None:
    """`ValueError` unless each frame that is clicked has two dots or more, and they follow one another by number."""
    rows: dict[tuple[str, int], dict[int, complex]] = {}
    for number in sorted(clicks):
        for view, places_by_frame in _by_frame(clicks)[number].items():
            for frame, xy in places_by_frame.items():
                rows.setdefault((view, frame), {})[number] = complex(*xy)
    for (view, frame), row in rows.items():
        numbers, places = list(row), list(row.values())
        if len(row) < 2:
            raise ValueError(f"clicks of the tape: only dot {numbers[0]} in frame {frame} of {view}; click two or more")
        direction = places[-1] - places[0]
        along = [((place - places[0]) * direction.conjugate()).real for place in places]
        for k in range(1, len(row)):
            if along[k] <= along[k - 1]:
                where = f"clicks of the tape: in frame {frame} of {view}"
                raise ValueError(f"{where}, dot {numbers[k]} is not beyond dot {numbers[k - 1]}; check their numbers")


SafeName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=80), AfterValidator(require_file_name)
]


class Trial(Section):
    """Where one recording comes from: a Pose2Sim project folder, videos, 2D points made elsewhere, or a marker file."""

    folder: str | None = None
    """Pose2Sim project folder holding videos/ and calibration/; `pose2sim:Demo_SinglePerson` names a packaged one."""
    videos: list[str] | None = None
    """Videos, one per camera; synchronised, unless `delays` are given or to be found."""
    keypoints: list[str] | None = None
    """Folders of OpenPose/Pose2Sim JSON, or tables (DeepLabCut, SLEAP), one per camera; read instead of detecting."""
    markers: str | None = None
    """TRC or C3D file of markers, no cameras; `body.markers` names their set. Example: `packaged:gait/walking.c3d`."""
    calibration: str | None = None
    """Pose2Sim TOML, Qualisys .qca.txt, Vicon .xcp or JSON. Found in `folder` if left out."""
    rate: float | None = Field(None, gt=0, le=MAX_FRAME_RATE_HZ)
    """Frames per second; needed with `keypoints`, read from the videos otherwise."""
    capture: str | None = None
    """A trial of the data set in section `capture`, such as Walking_1; a subject without any trial gets all of them."""
    delays: Literal["find"] | list[FiniteFloat] | dict[str, FiniteFloat] | None = None
    """Frames by which each view shows an event later than the first one does: a list, or by camera name; or `find`."""
    drift: list[FiniteFloat] | dict[str, FiniteFloat] | None = None
    """With given `delays`: frames by which each view gets later in 1000 frames."""
    mocap: str | None = None
    """TRC or C3D file of motion-capture markers that replace the points of the same name."""
    mocap_frame: Literal["y_up", "z_up"] | None = None
    """Vertical axis of `mocap` or `markers`; if left out, that of the C3D file's header, or Y in a TRC file."""
    mocap_start: FiniteFloat | None = None
    """Seconds from the videos' first frame to the start of the `mocap` file; if left out, its own times count."""
    mocap_resample: float | None = Field(None, gt=0, le=MAX_FRAME_RATE_HZ)
    """Frames per second for interpolating a `mocap` file with varying time steps, which is refused otherwise."""

    skin_markers: SkinMarkers | None = None
    """Markers on the skin seen in the videos: their clicks."""

    @field_validator("delays", mode="before")
    @classmethod
    def _kinds_of_delays(cls, delays):
        """Raises one fault; the union of types alone would raise one for each of them."""
        if delays is None or delays == "find":
            return delays
        values = delays.values() if isinstance(delays, Mapping) else delays
        if isinstance(delays, str) or not isinstance(delays, Mapping | Sequence):
            raise ValueError(f"{value_text(delays)} found; expected `find`, a list of frames, or frames by camera name")
        if wrong := [v for v in values if isinstance(v, bool | str) or not isinstance(v, int | float)]:
            raise ValueError(f"{value_text(wrong[0])} is no number of frames")
        return delays

    @model_validator(mode="after")
    def _one_source(self):
        if sum(v is not None for v in (self.folder, self.videos, self.keypoints, self.capture, self.markers)) != 1:
            raise ValueError("give exactly one of folder, videos, keypoints, markers, capture")
        of_cameras = ("calibration", "rate", "mocap", "delays", "skin_markers")
        if self.markers is not None and (wrong := [name for name in of_cameras if getattr(self, name) is not None]):
            raise ValueError(f"a trial of markers has no cameras; leave {wrong[0]} out")
        if self.capture is not None and any((self.calibration, self.rate, self.mocap, self.delays)):
            raise ValueError("calibration, rate, mocap and delays of a trial are the data set's; leave them out")
        if self.drift is not None and (self.delays is None or self.delays == "find"):
            raise ValueError("drift goes with `delays` that are given; leave it out, or give them")
        for name in ("mocap_frame", "mocap_start", "mocap_resample"):
            if getattr(self, name) is not None and self.mocap is None and self.markers is None:
                raise ValueError(f"{name} needs a mocap file or markers")
        if self.mocap_resample is not None and str(self.mocap or self.markers).lower().endswith(".c3d"):
            raise ValueError("mocap_resample is for time steps that vary, and a C3D file has none; leave it out")
        if self.skin_markers is not None and self.keypoints is not None:
            raise ValueError("skin_markers are followed in videos, but the trial gives keypoints")
        if self.rate is not None and self.keypoints is None and self.capture is None:
            raise ValueError("rate is for keypoints; frames of videos count by the videos' own rate: leave it out")
        if (self.videos or self.keypoints) and self.calibration is None:
            raise ValueError("videos or keypoints need a calibration file")
        if self.keypoints is not None and self.rate is None:
            raise ValueError("keypoints need a rate (frames per second)")
        return self


class Subject(Section):
    """One person."""

    trials: dict[SafeName, Trial] = Field(default_factory=dict, min_length=1)
    """Recordings by name. May be left out for a subject of the data set in section `capture`."""
    height: float | None = Field(None, gt=0.5, lt=2.5)
    """Standing height, m. Estimated from the segments if left out."""
    mass: float | None = Field(70.0, gt=5, lt=300)
    """Body mass, kg; null: it grows with the cube of the stature that the markers show. It scales inertia only and does
    not change kinematics."""
    people: int | None = Field(None, ge=1, le=32)
    """With `detection.person: all`: how many are in the trial; they become <name>_1, <name>_2, …, most seen first."""


class SharedSubject(Subject):
    """One of several people of one recording."""

    group: str
    """Name under which the recording is configured."""
    rank: int
    """1 for the person visible in most views and frames."""


def shared_subjects(named: Mapping[str, Subject]) -> dict[str, Subject]:
    """The subjects, each that stands for several people replaced by these; `ValueError` where this is impossible."""
    subjects: dict[str, Subject] = {}
    for name, subject in named.items():
        if subject.people is None:
            subjects[name] = subject
            continue
        if len(subject.trials) != 1 or any(trial.capture or trial.markers for trial in subject.trials.values()):
            advice = "name a subject for each recording"
            raise ValueError(f"subjects.{name}.people: needs exactly one trial, of videos or keypoints; {advice}")
        if any(trial.skin_markers for trial in subject.trials.values()):
            raise ValueError(f"subjects.{name}: unknown which of {subject.people} people wears the skin_markers")
        if subject.height is not None:
            raise ValueError(f"subjects.{name}: one height cannot be that of {subject.people} people; leave it out")
        fields = {key: getattr(subject, key) for key in Subject.model_fields}
        for rank in range(1, subject.people + 1):
            if f"{name}_{rank}" in named:
                raise ValueError(f"subjects.{name}_{rank}: is the name of one of the people of subjects.{name} as well")
            subjects[f"{name}_{rank}"] = SharedSubject(**fields, group=name, rank=rank)
    return subjects


class HumanCapture(Section):
    """A copy of Human3.6M, or a virtual capture in its layout: subjects and trials follow from it."""

    human36m: str
    """Folder of the copy."""
    cameras: str | None = None
    """File or folder of camera parameters; found in the copy if left out."""
    lens: Literal["human36m", "opencv"] | None = None
    """Formula of the tangential distortion; if left out, that of the file's kind."""
    subjects: list[SafeName] | None = Field(None, min_length=1)
    """Subjects by their names in the data set (S1, S5, …); all seven with published motion capture if left out."""
    actions: list[str] | None = Field(None, min_length=1)
    """Actions or single trials (Walking, Walking_1); all fifteen if left out."""
    faults: Literal["skip", "keep"] = "skip"
    """Trials with known faults: left out, or used; named with the reason in the results either way."""
    detections: str | None = None
    """Folder of <subject>/<trial>.h5 with 2D points, which the detector `import` reads."""


def people_of_capture(
    capture: HumanCapture, virtual: Virtual | None, named: Mapping[str, Subject]
) -> dict[str, Subject]:
    """People of the data set who are not left out, with all usable trials, and all others who are named."""
    trials: dict[str, dict[str, Trial]] = {}
    for name, trial in chosen_trials(capture, virtual):
        usable = trials.setdefault(name, {})
        if virtual is not None or capture.faults == "keep" or not is_spoilt(name, trial):
            usable[trial] = Trial(capture=trial)
    people = {}
    for name, usable in trials.items():
        person = named.get(name, Subject())
        if person.trials or usable:
            people[name] = person if person.trials else person.model_copy(update={"trials": usable})
    if not people:
        raise ValueError("capture: all trials chosen have known faults; `faults: keep` uses them nevertheless")
    return people | {n: person for n, person in named.items() if person.trials or n not in HUMAN36M_SUBJECT_NAMES}


def chosen_trials(capture: HumanCapture, virtual: Virtual | None) -> list[tuple[str, str]]:
    """(subject, trial) of all recordings asked for, by the names of the data set."""
    made = Virtual(preset="large").resolved() if virtual is None else virtual.resolved()
    known, made_trials = HUMAN36M_SUBJECT_NAMES[: made.subjects], select_trials(made.actions)
    trials = [trial for trial in select_trials(capture.actions) if trial in made_trials]
    if not trials:
        raise ValueError(f"capture.actions: none of them is made; virtual.actions are {', '.join(made.actions or ())}")
    require_known("subject", capture.subjects or (), known, "capture.subjects")
    return [(name, trial) for name in capture.subjects or known for trial in trials]


def is_spoilt(subject: str, trial: str) -> bool:
    return is_unusable(known_faults_of(subject, trial))
