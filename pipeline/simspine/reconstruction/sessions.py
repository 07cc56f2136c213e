"""Trials of another program's session, and how they are solved; `simspine.reconstruction.session_files` reads them."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from simspine.anatomy.options import ScalingOptions
from simspine.core.errors import InputError, naming_content
from simspine.core.settings import Section
from simspine.core.types import MAX_FRAME_RATE_HZ, MAX_RATE_DIFFERENCE_SHARE, MIN_FRAME_RATE_HZ, Markers
from simspine.io.calibration import read_calibration
from simspine.io.text_tables import list_names, warn_assumed, warn_left_out
from simspine.io.video import VIDEO_ENDINGS, Video, describe_unevenness, find_project, open_videos, resampling_rate
from simspine.reconstruction.detection import DETECT, TrialSource
from simspine.reconstruction.stage import Known, Options, Stage
from simspine.reconstruction.stages import AFTER_DETECTION, AFTER_MERGING, SUBJECT_NAME, UNSEEN, given_markers
from simspine.vision.detector import Detections

PLANE_MAX_ASYMMETRY = 0.3  # of left and right in Sports2D's points: limbs out of the film's plane appear short
TableWriter = Callable[[Path, Sequence[str], np.ndarray], None]  # file or folder, names, xyz (frames, points, 3)
ShowProgress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]  # text: what is called (done, total)


@dataclass(frozen=True)
class SessionTrial:
    """A trial of a session. source: 2D points, points in space (m), or a folder with videos; targets: files to add.

    calibration: of 2D points. marker_set: of points in space, where their names do not show it. person: their name.
    turn: (3, 3) from the session's coordinates to z_up in metres. write_table: writes points in the session's
    coordinates and format. files: the trial's entries in a configuration; empty where a configuration cannot name the
    session's files. start: s, the time at which the session's own tables have the first frame of 2D points.
    """

    name: str
    source: Detections | Markers | Path
    targets: tuple[Path, ...]
    calibration: Path | None = None
    marker_set: str | None = None
    person: str = "person"
    turn: np.ndarray | None = None
    write_table: TableWriter | None = None
    files: Mapping[str, Any] = field(default_factory=dict)
    start: float = 0.0


@dataclass(frozen=True)
class OtherSession:
    """A session. tool: the program's name. height: m, mass: kg, where known. to_see: how to view the added files."""

    tool: str
    trials: tuple[SessionTrial, ...]
    height: float | None = None
    mass: float | None = None
    to_see: str = ""

    def __post_init__(self):
        people = dict.fromkeys(trial.person for trial in self.trials)
        if len(people) > 1 and (self.height or self.mass):
            raise InputError(f"one height or mass for {list_names(people)}: leave it out, or configure each of them.")


def require_points(points: Detections | Markers, where: str) -> None:
    """Raise `InputError` where no point was seen at all, or the frame rate is outside the possible range."""
    if not MIN_FRAME_RATE_HZ <= points.rate <= MAX_FRAME_RATE_HZ:
        raise InputError(f"{where}: {points.rate:.3g} frames/s. Are its times in milliseconds? Expected seconds.")
    places = points.people if isinstance(points, Detections) else points.xyz
    if not np.isfinite(places).any():
        raise InputError(f"{where}: every point is missing or at 0 0 0 in every frame. Was an empty trial exported?")


def file_trials(paths: Sequence[Path], targets: Callable[[Path], tuple[Path, ...]]) -> list[SessionTrial]:
    """A trial of each marker file. Files without markers are left out with a warning; `InputError` if all are."""
    from simspine.io.c3d import read_markers  # here, since every reconstruction would load it

    trials: list[SessionTrial] = []
    faults: list[str] = []
    for path in paths:
        try:
            markers = read_markers(path)
            require_points(markers, str(path))
            trials.append(SessionTrial(path.stem, markers, targets(path), files={"markers": str(path)}))
        except InputError as fault:
            faults.append(str(fault))
    if faults and not trials:
        raise InputError(faults[0])
    if faults:
        warn_assumed(f"left out of the session: {' '.join(faults)}")
    return trials


def rate_of_session(folder: Path, given: float | None, stated: float | None = None, video_of: str = "") -> float:
    """Frames/s: those stated in a file, else the given rate, else that of the first video below the folder.

    A stated rate is compared with the video's. Videos of a calibration do not count, nor unreadable ones. video_of: a
    pattern of names; those of other videos count only if all have one rate.
    """
    video = None if given and not stated else _first_video(folder, video_of)
    if stated and video and abs(video.rate / stated - 1) > MAX_RATE_DIFFERENCE_SHARE:
        text = f"{video.path} has {video.rate:.5g} frames/s, the session's settings say {stated:g}, which is taken"
        warn_assumed(f"{text}. If it is wrong, all times and speeds are.")
    if rate := stated or given:
        return rate
    if video is None:
        raise InputError(f"{folder}: no file and no video says the rate; pass rate= (command line: --rate).")
    if fault := describe_unevenness(video):
        warn_assumed(f"{fault}; the points of {folder} are taken to be at {video.rate:.5g} (rate=…).")
    return video.rate


def in_frame_range(
    seen: Detections, views: Sequence[Path], project: Mapping[str, Any], config: Path
) -> tuple[Detections, float]:
    """2D points of the frames of Pose2Sim's `frame_range`, whose last is not included; the time of the first, s.

    views: their folders. project: settings; without `frame_range`, or with a word such as 'all', all frames are kept.
    """
    from simspine.io.keypoint_json import files_by_frame  # here, since every reconstruction would load it

    first = min(min(files_by_frame(view)) for view in views)
    frames, stated = range(first, first + len(seen.people)), project.get("frame_range")
    if not stated or isinstance(stated, str):
        return seen, first / seen.rate
    with naming_content(config, "a configuration of Pose2Sim"):
        start, stop = stated
        inside = [frame for frame in frames if start <= frame < stop]
    if not inside:
        text = f"frame_range is {stated}, but the 2D points are of frames {first} to {frames[-1]}"
        raise InputError(f"{config}: {text}. Write 'all', or frames among these.")
    if len(inside) < len(frames):
        text = f"frames {inside[0]} to {inside[-1]} of {first} to {frames[-1]} are read, as frame_range says"
        warn_left_out(f"{config}: {text}. A configuration written by `simspine init` has all.")
    return seen._replace(people=seen.people[inside[0] - first :][: len(inside)]), inside[0] / seen.rate


def _first_video(folder: Path, pattern: str) -> Video | None:
    """The first video that can be read, if possible one with such a name."""
    own, others = list[Video](), list[Video]()
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in VIDEO_ENDINGS and "calib" not in str(path.relative_to(folder)).lower():
            with suppress(InputError):
                (own if re.fullmatch(pattern, path.stem) else others).append(open_videos([path])[0])
            if own or (others and not pattern):
                return [*own, *others][0]
    if differing := [one for one in others if abs(one.rate / others[0].rate - 1) > MAX_RATE_DIFFERENCE_SHARE]:
        text = f"{others[0].path} has {others[0].rate:.5g} frames/s, {differing[0].path} {differing[0].rate:.5g}"
        raise InputError(f"{text}, and no name shows whose points are read. Pass rate= (command line: --rate).")
    return others[0] if others else None


def solve_session(session: OtherSession, options: Options, show: ShowProgress) -> dict[str, Known]:
    """What is known of each trial after all stages. options: for what they leave open, those of sessions are taken."""
    people = dict.fromkeys(trial.person for trial in session.trials)
    solved: dict[str, Known] = {}
    for person in people:
        own = [trial for trial in session.trials if trial.person == person]
        solved |= _solve_person(session, own, options, show)
    return {trial.name: solved[trial.name] for trial in session.trials}


def _solve_person(
    session: OtherSession, own: Sequence[SessionTrial], options: Options, show: ShowProgress
) -> dict[str, Known]:
    """Solve the trials of a person. Trials of points in space share one body; those of images have one each."""
    in_plane = session.tool == "Sports2D" and "max_asymmetry" not in options.scaling.model_fields_set
    options = options.model_copy(
        update={
            "cameras": _unless_given(options.cameras, refine="auto"),
            "body": _unless_given(options.body, markers=own[0].marker_set),
            "scaling": _unless_given(options.scaling, **({"max_asymmetry": PLANE_MAX_ASYMMETRY} if in_plane else {})),
        }
    )
    person = UNSEEN | {"subject": SUBJECT_NAME, "height": session.height, "mass": session.mass}
    known: dict[str, Known] = {}
    in_space = {t.name: given_markers(t.source, options.body) for t in own if isinstance(t.source, Markers)}
    if in_space:
        trials = {name: person | {"trial": name} | given for name, given in in_space.items()}
        known = _run_with_bar(trials, options, AFTER_MERGING, show)
    for trial in own:
        if trial.name in in_space:
            continue
        recording, detection = _recording(trial, options)
        about = person | {"trial": trial.name, "videos": recording.videos}
        with show(f"{trial.name}: frames") as progress:
            seen = DETECT.run({trial.name: about | {"recording": replace(recording, progress=progress)}}, detection)
        known |= _run_with_bar(seen, options, AFTER_DETECTION, show)
    for trial in own:
        for factor in known[trial.name]["factors"].factors:
            if (factor.asymmetry or 0.0) > ScalingOptions().max_asymmetry and session.tool == "Sports2D":
                text = f"{factor.segment}: left and right differ by {100 * factor.asymmetry:.0f} %, and were averaged"
                warn_assumed(f"{trial.name}: {text}: limbs outside the plane of the film appear short.")
    return known


def _unless_given(section: Section, **settings: Any) -> Section:
    """A section of the options with settings for what it leaves open."""
    return section.model_copy(update={k: v for k, v in settings.items() if k not in section.model_fields_set})


def _recording(trial: SessionTrial, options: Options) -> tuple[TrialSource, Options]:
    """The source of a trial's 2D points, and options with which videos of uneven frame rates are resampled."""
    if isinstance(trial.source, Detections):
        assert trial.calibration is not None  # of 2D points
        skeleton = trial.source.skeleton
        return TrialSource(read_calibration(trial.calibration), detections=trial.source, skeleton=skeleton), options
    project = find_project(trial.source)  # type: ignore[arg-type]
    rate = resampling_rate(open_videos(project.videos))
    recording = TrialSource(read_calibration(project.calibration), videos=project.videos)
    detection = _unless_given(options.detection, resample=rate)
    return recording, options.model_copy(update={"detection": detection})


def _run_with_bar(
    known: Mapping[str, Known], options: Options, stages: Sequence[Stage], show: ShowProgress
) -> dict[str, Known]:
    """Like `run_stages`, and shows the steps done."""
    found = dict(known)
    steps = [(stage, names) for stage in stages for names in ([list(known)] if stage.of_person else zip(known))]
    with show(f"{next(iter(known))}: steps") as progress:
        for done, (stage, names) in enumerate(steps):
            progress(done, len(steps))
            try:
                found |= stage.run({name: found[name] for name in names}, options)
            except InputError as error:
                raise InputError(f"{list_names(names)}: {error}") from None
        progress(len(steps), len(steps))
    return found
