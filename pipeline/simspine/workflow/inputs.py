"""Which files a trial starts from, and a resolved configuration for the stages of a workflow."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from simspine.config import Config, HumanCapture, SkinMarkers, Trial, clicks_in_file
from simspine.errors import InputError
from simspine.formats._extra import exchange_package
from simspine.formats.atomic import write_text
from simspine.formats.band_table import read_bands
from simspine.sources.pose2sim import demo_folder, find_project
from simspine.spine.clinical import clinical_angles
from simspine.types import Camera, Markers
from simspine.yaml_files import read_yaml

if TYPE_CHECKING:
    from simspine.sources.human36m.copy import Copy as HumanCopy

PACKAGED = "pose2sim:"


@dataclass(frozen=True)
class Capture:
    """A trial's files: the calibration; videos, folders of keypoints (one per camera) or a file of ours; mocap.

    rig: which one of a JSON calibration that holds several; else that of `person`, if it has one. correspondence: table
    of the motion capture's markers. frame: which way is up in it, where it does not say. start: s,
    of its first frame, where not as it says. resample: frames/s at which to interpolate it.
    """

    calibration: Path
    videos: tuple[Path, ...] = ()
    keypoints: tuple[Path, ...] = ()
    stored: Path | None = None
    mocap: tuple[Path, ...] = ()
    rig: str | None = None
    person: str = ""
    correspondence: str | None = None
    frame: str | None = None
    start: float | None = None
    resample: float | None = None

    @property
    def detected(self) -> tuple[Path, ...]:
        """What the 2D points are made from; a folder of keypoints stands for its files."""
        return (self.calibration, *self.videos, *self.keypoints, *((self.stored,) if self.stored else ()))

    def cameras(self) -> list[Camera]:
        """As calibrated, in the order of the file."""
        from simspine.formats.calibration import read_calibration

        rig = self.rig
        if rig is None and self.calibration.suffix.lower() == ".json" and self.person in _rigs(self.calibration):
            rig = self.person
        return read_calibration(self.calibration, rig)

    def motion_capture(self) -> Markers | None:
        """The markers recorded beside, if there were any."""
        from simspine.formats.marker_file import read_markers

        if not self.mocap:
            return None
        markers = read_markers(self.mocap[0], self.frame, self.resample)
        return markers if self.start is None else markers.with_(start=self.start)


@dataclass(frozen=True, kw_only=True)
class HumanTrial(Capture):
    """A trial of a Human3.6M copy, whose reader knows cameras and motion capture."""

    copy: "HumanCopy"
    trial: str

    def cameras(self) -> list[Camera]:
        return self.copy.cameras(self.person)

    def motion_capture(self) -> Markers | None:
        return self.copy.positions(self.person, self.trial) if self.mocap else None


def capture_of(trial: Trial, subject: str, config: Config, here: bool = True) -> Capture:
    """The trial's files; `InputError` names the first that is missing. None of them is read.

    here: whether they must be on this machine. Absolute paths must be in any case, a project folder and a copy of
    Human3.6M as well: they are listed.
    """
    if trial.capture is not None and config.capture is not None:
        return _of_copy(config.capture, config.detection.detector == "import", subject, trial.capture)

    def named(path: str, kind: str, folder: bool = False) -> Path:
        return _existing(path, kind, folder) if here or Path(path).is_absolute() else Path(path)

    mocap = () if trial.mocap is None else (named(trial.mocap, "mocap file"),)
    calibration = None if trial.calibration is None else named(trial.calibration, "calibration")
    videos: tuple[Path, ...] = tuple(named(video, "video") for video in trial.videos or ())
    if trial.folder is not None:
        packaged = trial.folder.startswith(PACKAGED)
        name = trial.folder.removeprefix(PACKAGED)
        found = find_project(demo_folder(name) if packaged else Path(name))
        calibration, videos = calibration or found.calibration, tuple(found.videos)
    assert calibration is not None  # `Trial` wants one beside videos and keypoints
    folders = tuple(named(folder, "keypoint folder", folder=True) for folder in trial.keypoints or ())
    who = config.recorded_as(subject)
    return Capture(
        calibration, videos, folders, mocap=mocap, rig=trial.rig, person=who, frame=trial.mocap_frame,
        start=trial.mocap_start, resample=trial.mocap_resample,
    )  # fmt: skip


def _of_copy(options: HumanCapture, imported: bool, subject: str, trial: str) -> HumanTrial:
    """Files of a trial in a Human3.6M copy: videos, or 2D points if they are `imported`; and the motion capture."""
    copy = copy_of(options)
    files = copy.files(subject, trial)
    if copy.rigs is None:
        copy.cameras(subject)  # raises, and says where it looked for the cameras
    assert copy.rigs is not None
    calibration = copy.rigs.file(subject)
    mocap = tuple(f for f in files if f != calibration and f.suffix != ".mp4" and "D2_Positions" not in str(f.parent))
    videos: tuple[Path, ...] = () if imported else tuple(copy.videos(subject, trial))
    stored = None
    if imported:
        if options.detections is None:
            raise InputError(
                "detection.detector is import: name the folder of <subject>/<trial>.h5 (capture.detections)."
            )
        stored = _existing(str(Path(options.detections) / subject / f"{trial}.h5"), "file of 2D points")
    elif not videos:
        raise InputError(
            f"{options.human36m}: no videos of {subject} {trial}. With 2D points made elsewhere, name their folder "
            "(capture.detections) and set detection.detector to import."
        )
    return HumanTrial(
        calibration, videos, (), stored, mocap, person=subject, correspondence="human36m", copy=copy, trial=trial
    )


def skin_markers_of(trial: Trial) -> SkinMarkers | None:
    """The clicks of a trial, read from their file if they have one; None if there are none."""
    if not isinstance(trial.skin_markers, str):
        return trial.skin_markers
    path = _existing(trial.skin_markers, "file of clicks")
    return clicks_in_file(read_yaml(path), path)


def check_clicks_of(markers: SkinMarkers, capture: Capture) -> None:
    """`InputError` unless the recording has their views and frames, and a tape's clicked images show its dots."""
    from simspine.pipeline.skin_markers import check_clicks
    from simspine.pipeline.skin_tape import check_clicked_images
    from simspine.sources.pose2sim import match_cameras
    from simspine.sources.video import open_videos

    videos = open_videos(capture.videos)
    cameras = match_cameras([video.path for video in videos], capture.cameras())
    tape = markers.tape_on_skin()
    check_clicks(markers.by_frame(), cameras, videos, tape)
    for camera, video in zip(cameras, videos, strict=True):
        if tape is not None and camera.name in tape.views:
            check_clicked_images(video, camera.name, tape)


def skin_marker_files(trial: Trial) -> tuple[Path, ...]:
    """The file of clicks, if there is one."""
    return (Path(trial.skin_markers),) if isinstance(trial.skin_markers, str) else ()


def copy_of(options: HumanCapture) -> "HumanCopy":
    """The copy, opened once: its folders are listed a single time for all trials."""
    return _opened(options.human36m, options.layout, options.cameras, options.lens)


@cache
def _opened(root: str, layout: str, cameras: str | None, lens: str | None) -> "HumanCopy":
    from simspine.sources.human36m.layouts import open_copy

    return open_copy(root, layout, cameras, lens)


def _rigs(path: Path) -> list[str]:
    """Names of what a JSON calibration holds; none if it is damaged, which its reader says better."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    return list(content) if isinstance(content, dict) else []


def check_inputs(config: Config) -> None:
    """`InputError` unless all that a run starts from is on this machine."""
    check_report(config)
    for subject in config.subjects if config.virtual is None else ():  # a virtual capture is made first
        for trial in config.trials(subject):
            recorded = config.subject(subject).trials[trial]
            capture_of(recorded, subject, config)
            for path in skin_marker_files(recorded):
                _existing(str(path), "file of clicks")


def check_packages(config: Config) -> None:
    """`InputError` where a package is missing that reads a file of motion capture: to be said before hours of work."""
    named = (trial.mocap for subject in config.subjects.values() for trial in subject.trials.values())
    if any(name is not None and name.lower().endswith(".c3d") for name in named):
        exchange_package("ezc3d", "C3D")


def check_report(config: Config) -> None:
    """`InputError` where the report's table of bands cannot be read, or contacts lie outside their trial: to be said
    before hours of work."""
    if config.report.bands:
        read_bands(_existing(config.report.bands, "table of bands"), clinical_angles())
    for name, contacts in config.report.events.items():
        subject, _, trial = name.partition("/")
        length = _length(config.subject(subject).trials[trial], subject, config)
        for side, times in contacts:
            beyond = [] if length is None else [t for t in times if not 0 <= t <= length]
            if beyond:
                raise InputError(
                    f"report.events.{name}: {side}: {beyond[0]:g} s is outside the trial, which lasts from 0 to "
                    f"{length:.3f} s; give times within it, or leave this one out."
                )


def _length(trial: Trial, subject: str, config: Config) -> float | None:
    """Seconds from a trial's first image to its last; None where no file of it is there yet, or none says."""
    from simspine.sources.video import open_videos

    if trial.capture is not None and config.virtual is not None:
        return None
    capture = capture_of(trial, subject, config)
    if capture.videos:
        return max((video.frames - 1) / video.rate for video in open_videos(capture.videos))
    if capture.keypoints and trial.rate:
        return (max(sum(1 for _ in folder.glob("*.json")) for folder in capture.keypoints) - 1) / trial.rate
    return None


def given_options(files: Sequence[str | Path], changes: Mapping, config: Mapping) -> list[str]:
    """For `simspine job`: the configuration as Snakemake was given it, by its file alone where nothing changes that.

    config: what Snakemake made of files and changes.
    """
    words = ["--config", str(files[0])]
    return [*words, "--content", json.dumps(_plain(config))] if changes or len(files) > 1 else words


def write_config(config: Mapping, path: str | Path) -> None:
    """A configuration as YAML."""
    write_text(Path(path), yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True))


def _plain(config: Mapping) -> dict:
    """Without the kinds of mapping that a workflow manager has of its own."""
    return json.loads(json.dumps(config, default=dict))


def _existing(path: str, kind: str, folder: bool = False) -> Path:
    found = Path(path)
    if not found.exists():
        raise InputError(f"{kind} {found} does not exist (looked from {Path.cwd()}).")
    if found.is_dir() != folder:
        raise InputError(f"{kind} {found} is {'no' if folder else 'a'} folder.")
    return found
