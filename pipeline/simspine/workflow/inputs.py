"""Input files of a trial, and the context that every stage gets: configuration, subject, files, progress bar."""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from simspine.core.errors import InputError, Remark, printable, require_path
from simspine.core.settings import data_folder
from simspine.core.types import Camera, Markers
from simspine.io.calibration import calibration_files, read_calibration
from simspine.io.keypoint_json import TABLE_ENDINGS
from simspine.io.text_tables import json_or_empty, warn_assumed
from simspine.io.video import demo_folder, find_project, match_cameras_to_views, matching_camera, open_videos, view_name
from simspine.quality.findings import Finding, Severity
from simspine.vision.follow_skin_markers import check_clicked_images, check_clicks
from simspine.vision.synchronise import Timing
from simspine.workflow.config import Config
from simspine.workflow.config_recordings import HumanCapture, SkinMarkers, Trial
from simspine.workflow.up_to_date import RunPaths, file_checksum

if TYPE_CHECKING:
    from simspine.io.human36m.copy import Copy as HumanCopy


RECORDING_CODE = "recording"  # code of findings: it shows several people, or trials may be of different ones
PACKAGED_PREFIX = "pose2sim:"  # before the name of a packaged project folder
PACKAGED_FILE_PREFIX = "packaged:"  # before the path of a packaged file of markers


@dataclass(frozen=True)
class CaptureSource:
    """Input files of a trial. Without a calibration, `mocap` is the trial's marker file and its only file.

    given: the trial as it is configured. stored: a keypoints file of simspine's. person: subject whose cameras are read
    from a JSON calibration of several. correspondence: table that maps motion-capture markers to points.
    """

    given: Trial
    calibration: Path | None
    videos: tuple[Path, ...] = ()
    keypoints: tuple[Path, ...] = ()
    stored: Path | None = None
    mocap: tuple[Path, ...] = ()
    person: str = ""
    correspondence: str | None = None

    @property
    def detected(self) -> tuple[Path, ...]:
        """Files from which the 2D points are made; a folder of keypoints stands for its files."""
        calibration = () if self.calibration is None else calibration_files(self.calibration)
        return (*calibration, *filter(None, (self.stored,)), *self.videos, *self.keypoints)

    def cameras(self) -> list[Camera]:
        """The cameras as calibrated: those that the names of the keypoints tell, else all in the file's order.

        `InputError` where some keypoints have the name of a camera, and others do not.
        """
        if self.calibration is None:
            raise InputError(f"{self.mocap[0]} is a file of markers, seen by no camera; name videos, or keypoints.")
        of_person = self.calibration.suffix.lower() == ".json" and self.person in json_or_empty(self.calibration)
        cameras = read_calibration(self.calibration, self.person if of_person else None)
        views = [view_name(view) for view in self.keypoints]
        matched = [camera for view in views if (camera := matching_camera(view, cameras)) is not None]
        if views and len({camera.name for camera in matched}) == len(views):
            return matched
        named = {camera.name.lower() for camera in cameras}.intersection(map(str.lower, views))
        if named and len(views) <= len(cameras):
            text = f"only {', '.join(sorted(named))} of the keypoints {', '.join(views)} are named after cameras"
            raise InputError(f"{text} of {self.calibration}. Name all after their cameras, or none.")
        return cameras

    def motion_capture(self) -> Markers | None:
        """The markers of motion capture; None without any."""
        from simspine.io.c3d import read_markers

        if not self.mocap:
            return None
        given = self.given
        markers = read_markers(self.mocap[0], given.mocap_frame, given.mocap_resample)
        return markers if given.mocap_start is None else markers.with_(start=given.mocap_start)


@dataclass(frozen=True, kw_only=True)
class HumanTrial(CaptureSource):
    """A trial of a Human3.6M copy, whose reader gives cameras and motion capture."""

    copy: "HumanCopy"

    def cameras(self) -> list[Camera]:
        return self.copy.cameras(self.person)

    def motion_capture(self) -> Markers | None:
        return self.copy.positions(self.person, str(self.given.capture)) if self.mocap else None


def capture_of_config(trial: Trial, subject: str, config: Config) -> CaptureSource:
    """The trial's files, none of them read; `InputError` names the first that is missing."""
    if trial.capture is not None and config.capture is not None:
        return _trial_of_copy(config.capture, config.detection.detector == "import", subject, trial)
    markers = trial.mocap or trial.markers
    if markers is not None and markers.startswith(PACKAGED_FILE_PREFIX):
        markers = str(data_folder("third_party") / markers.removeprefix(PACKAGED_FILE_PREFIX))
    mocap = () if markers is None else (_existing_path(markers, "mocap file" if trial.mocap else "marker file"),)
    calibration = None if trial.calibration is None else _existing_path(trial.calibration, "calibration")
    videos: tuple[Path, ...] = tuple(_existing_path(video, "video") for video in trial.videos or ())
    if trial.folder is not None:
        packaged = trial.folder.startswith(PACKAGED_PREFIX)
        name = trial.folder.removeprefix(PACKAGED_PREFIX)
        project = find_project(demo_folder(name) if packaged else Path(name))
        calibration, videos = calibration or project.calibration, tuple(project.videos)
    folders = tuple(
        _existing_path(item, "keypoints", folder=not item.lower().endswith(TABLE_ENDINGS))
        for item in trial.keypoints or ()
    )
    return CaptureSource(trial, calibration, videos, folders, mocap=mocap, person=config.recorded_as(subject))


def _trial_of_copy(options: HumanCapture, imported: bool, subject: str, given: Trial) -> HumanTrial:
    """Files of a trial in a Human3.6M copy: videos, or 2D points if they are `imported`; and the motion capture."""
    copy, trial = open_copy_once(options.human36m, options.cameras, options.lens), str(given.capture)
    mocap_file = copy.motion_capture_file(subject, trial)
    calibration = copy.camera_file(subject)
    mocap = () if mocap_file is None else (mocap_file,)
    videos: tuple[Path, ...] = () if imported else tuple(copy.videos(subject, trial))
    stored = None
    if imported:
        if options.detections is None:
            raise InputError("detection.detector is import: name the folder of the points (capture.detections).")
        stored = _existing_path(str(Path(options.detections) / subject / f"{trial}.h5"), "file of 2D points")
    elif not videos:
        advice = "With 2D points of another program, set capture.detections, and detection.detector to import"
        raise InputError(f"{options.human36m}: no videos of {subject} {trial}. {advice}.")
    return HumanTrial(
        given=given, calibration=calibration, videos=videos, stored=stored, mocap=mocap, person=subject,
        correspondence="human36m", copy=copy,
    )  # fmt: skip


def check_clicks_of(markers: SkinMarkers, capture: CaptureSource) -> None:
    """`InputError` unless the recording has the clicked views and frames, and a tape's clicked images show its dots."""
    videos = open_videos(capture.videos)
    cameras = match_cameras_to_views([video.path for video in videos], capture.cameras())
    tape = markers.tape_on_skin()
    check_clicks(markers.by_frame(), cameras, videos, tape)
    for camera, video in zip(cameras, videos, strict=True):
        if tape is not None and camera.name in tape.views:
            check_clicked_images(video, camera.name, tape)


@cache
def open_copy_once(root: str, cameras: str | None, lens: str | None) -> "HumanCopy":
    """The copy of Human3.6M, cached so that its folders are listed once for all trials."""
    from simspine.io.human36m.copy import open_copy

    return open_copy(root, cameras, lens)


def check_inputs(config: Config) -> None:
    """`InputError` unless all input files of a run exist. A warning names recordings that are two trials'."""
    owners: dict[object, str] = {}  # of marker files by content, of videos and keypoints by path
    for subject in config.subjects if config.virtual is None else ():  # a virtual capture is made first
        for trial in config.trials(subject):
            capture, own = Context(config, subject).capture(trial), f"{config.recorded_as(subject)}/{trial}"
            keys = [path.resolve() for path in (*capture.videos, *capture.keypoints)]
            for key in keys or map(file_checksum, capture.mocap):
                if (other := owners.setdefault(key, own)) != own:
                    warn_assumed(f"{other} and {own} are of one recording. Was a file named twice by mistake?")
                    break


def _existing_path(path: str, kind: str, folder: bool = False) -> Path:
    require_path(path)
    existing = Path(path)
    if not existing.exists():
        raise InputError(f"{kind} {existing} does not exist (looked from {Path.cwd()}).")
    if existing.is_dir() != folder:
        raise InputError(f"{kind} {existing} is {'no' if folder else 'a'} folder.")
    return existing


MAX_TRIALS_ON_ONE_PAGE = 3  # trials that share one page of the report


def has_pages_of_trials(config: Config) -> bool:
    """Whether each trial has a page of its own: a browser would open one page of many trials slowly."""
    return sum(len(config.trials(subject)) for subject in config.subjects) > MAX_TRIALS_ON_ONE_PAGE


PROGRESS_LINE_INTERVAL_S = 5.0  # between two lines of progress in a log


def timing_in(stored: Mapping) -> Timing | None:
    """Timing of the views in the content of a keypoints file; None where it was neither given nor estimated."""
    entry = stored.get("timing")
    return None if entry is None else Timing(**entry | {name: tuple(entry[name]) for name in ("views", "native")})


@dataclass(frozen=True)
class Context:
    """A subject of a run, for stages. trial: the only trial to work on; None: all trials of the subject."""

    config: Config
    subject: str
    quiet: bool = False
    trial: str | None = None

    @property
    def paths(self) -> RunPaths:
        return RunPaths(Path(self.config.results), self.subject)

    @property
    def trials(self) -> list[str]:
        return self.config.trials(self.subject, self.trial)

    @property
    def filmed(self) -> list[str]:
        return self.config.filmed_trials(self.subject, self.trial)

    def capture(self, trial: str) -> CaptureSource:
        recorded = self.config.subject(self.subject).trials[trial]
        return capture_of_config(recorded, self.subject, self.config)

    def progress(self, text: str) -> AbstractContextManager[Callable[[int, int], None]]:
        return progress_bar(f"{self.subject} {text}", self.quiet)


@contextmanager
def progress_bar(text: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A callable (done, total) that shows the progress of the work and the time left: on a terminal a bar, elsewhere a
    line at once and every `PROGRESS_LINE_INTERVAL_S` seconds; nothing if `quiet`."""
    if quiet:
        yield lambda done, total: None
        return
    if not sys.stdout.isatty():
        yield _progress_lines(printable(text))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns) as bar:
        task = bar.add_task(printable(text), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _progress_lines(text: str) -> Callable[[int, int], None]:
    print(f"{text}: begun", flush=True)
    start = last = time.monotonic()
    first = 0

    def show(done: int, total: int) -> None:
        nonlocal start, last, first
        if not first:  # time before the first step includes loading, and is not counted
            start, first = time.monotonic(), done
        elif time.monotonic() - last >= PROGRESS_LINE_INTERVAL_S:
            last = time.monotonic()
            left = (last - start) / (done - first) * (total - done) if done > first else float("nan")
            print(f"{text}: {done} of {total}, about {left:.0f} s left", flush=True)

    return show


@contextmanager
def heard_warnings(code: str, files: Sequence[Path] = ()) -> Iterator[list[Finding]]:
    """A list that, after the block, holds its warnings that are no remarks as findings. They are also issued again.

    Files are named without their folders, so that results do not show where they lay."""
    findings: list[Finding] = []
    heard: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always", UserWarning)
            yield findings
    finally:
        for warning in heard:
            warnings.warn(warning.message, warning.category, stacklevel=3)
            if not issubclass(warning.category, Remark):
                text = str(warning.message)
                for path in files:
                    text = text.replace(str(path), path.name)
                findings.append(Finding(code, Severity.WARNING, text))


def findings_json(findings: Sequence[Finding]) -> dict[str, str]:
    """For a file that `stored_findings` reads: {'findings': JSON}, or {} without any."""
    return {"findings": json.dumps([finding.to_dict() for finding in findings])} if findings else {}
