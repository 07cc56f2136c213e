"""Before the first run: write a configuration, compile kernels, check the installation and the input files."""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from simspine.anatomy.body import forward_kinematics
from simspine.anatomy.marker_sets import marker_set_names, read_marker_set
from simspine.anatomy.recipes import build_body, read_recipe
from simspine.core.errors import InputError, names_text, safe_file_name
from simspine.core.geometry import markers_in_frame, points_in_images, project_points
from simspine.core.skeletons import SIMSPINE_SKELETON, SKIN_SUFFIX, load_skeleton, read_correspondence
from simspine.core.types import Camera, Keypoints, Markers, Motion
from simspine.estimation.inverse_kinematics import inverse_kinematics
from simspine.estimation.options import BodyOptions
from simspine.io.atomic import write_text
from simspine.io.c3d import MARKER_FILES, read_markers
from simspine.io.calibration import read_calibration
from simspine.io.keypoint_json import TABLE_ENDINGS
from simspine.io.text_tables import warn_assumed
from simspine.io.trc import without_subject_name, write_trc
from simspine.io.video import (
    TOLERATED_FRAMES,
    check_synchronised,
    check_whole,
    find_project,
    frames_at_rate,
    match_cameras_to_views,
    open_videos,
    rates_differ,
    resampling_rate,
)
from simspine.quality.findings import Severity
from simspine.reconstruction.detection import Delays, given_timing
from simspine.reconstruction.reconstruct import fit_trials, video_files
from simspine.reconstruction.session_files import is_added, read_session
from simspine.reconstruction.sessions import OtherSession, SessionTrial
from simspine.reconstruction.stages import given_markers
from simspine.synthesis.virtual_trial import virtual_rig
from simspine.vision.detector import read_detections
from simspine.vision.spinepose import check_weights
from simspine.vision.triangulation import triangulate
from simspine.workflow.config import Config, check_config
from simspine.workflow.config_recordings import HumanCapture, Trial
from simspine.workflow.detect_stage import read_detection_folders
from simspine.workflow.inputs import capture_of_config, check_clicks_of, open_copy_once
from simspine.workflow.jobs import check_results

SayFinding = Callable[[str, str], None]
OK_MARK, FAULT_MARK, NOTE_MARK = "[green]ok[/]       ", "[red]fault[/]    ", "[dim]note[/]     "


def _passes(check: Callable[[], object], say: SayFinding, place: str = "") -> bool:
    """Say the text that a check returns, or the fault that it raises; False for a fault or if the check returns it."""
    try:
        outcome = check()
    except InputError as fault:
        say(FAULT_MARK, f"{place}{fault}")
        return False
    if isinstance(outcome, str):
        say(OK_MARK, f"{place}{outcome}")
    return outcome is not False


MOST_FAULTS_SHOWN = 3  # trials of a copy of Human3.6M whose faults are written out


def _examine_capture(config: Config, options: HumanCapture, say: SayFinding) -> bool:
    """Say what the configuration's data set holds, and what is wrong with it; True if a run can start."""
    from simspine.io.human36m.copy import examine_copy

    if config.virtual is not None and not (Path(options.human36m) / "capture.json").is_file():
        say(NOTE_MARK, f"virtual capture: not made yet; the workflow makes it in {options.human36m} first")
        return True
    copy, used = open_copy_once(options.human36m, options.cameras, options.lens), config.captured
    subjects = [subject for subject in config.subjects if any(s == subject for s, _ in used)]
    trials, videos = sorted({trial for _, trial in used}), config.detection.detector != "import"
    state = examine_copy(copy, subjects, trials, videos=videos)
    for line in state.lines():
        say(NOTE_MARK, line)
    if config.skipped:
        say(NOTE_MARK, f"  left out for their faults: {', '.join(config.skipped)}")
    good = _trials_of_capture_pass(config, _recorded_trials(config, captured=True), say)
    bad = [f"{t.subject}/{t.trial}" for t in state.trials if (t.subject, t.trial) in used and t.problems]
    unfit = [subject.subject for subject in state.subjects if subject.cameras]
    for things, kind in ((bad, "trials cannot be read"), (unfit, "subjects have no fitting cameras")):
        if things:
            good = False
            say(FAULT_MARK, f"{len(things)} {kind} (see above); first: {things[0]}")
    if good:
        say(OK_MARK, f"{copy.root}: {len(used)} trials of {len(state.subjects)} subjects")
    return good


def _trials_of_capture_pass(config: Config, recorded: list[tuple[str, str, Trial]], say: SayFinding) -> bool:
    """Say the faults of the first trials, and the number of further ones; True if there is none."""
    faults: list[str] = []
    for subject, name, trial in recorded:
        try:
            capture_of_config(trial, subject, config)
        except InputError as fault:
            faults.append(f"{subject}/{name}: {fault}")
    for text in faults[:MOST_FAULTS_SHOWN]:
        say(FAULT_MARK, text)
    if len(faults) > MOST_FAULTS_SHOWN:
        rest = f"{len(faults) - MOST_FAULTS_SHOWN} more trials have such faults"
        say(FAULT_MARK, f"{rest}; name what the copy holds in capture.subjects and capture.actions")
    return not faults


def _recorded_trials(config: Config, captured: bool) -> list[tuple[str, str, Trial]]:
    """Subject, name and trial of each recording. captured: True for those of the data set, False for all others."""
    trials = ((subject, *item) for subject, person in config.subjects.items() for item in person.trials.items())
    return [found for found in trials if (found[2].capture is not None) == captured]


REQUIRED_MODULES = {
    "opensim": "models",
    "ai-edge-litert": "BlazePose detector",
    "opencv-python-headless": "video",
    "snakemake": "workflow",
}
OPENCV_REQUIREMENT = "opencv-python-headless>=4.10,<5"  # as in pyproject.toml
OPTIONAL_MODULES = {"spinepose": "optional, non-commercial", "torch": "optional, for training and SpinePose"}


@dataclass(frozen=True)
class GivenFiles:
    """Files for a new configuration: videos or 2D points of one trial, marker files, or the folder of a session.

    calibration, trial: of videos and 2D points. rate: frames/s of 2D points, or of a session whose files lack it.
    """

    files: Sequence[Path]
    calibration: Path | None = None
    trial: str | None = None
    rate: float | None = None

    def __post_init__(self):
        if missing := [str(file) for file in self.files if not file.exists()]:
            raise InputError(f"{', '.join(missing)} does not exist; name videos, marker files or a session's folder.")
        of_cameras = not (self.is_session or self.are_markers)
        if of_cameras and (texts := [file for file in self.files if file.suffix.lower() == ".json"]):
            cure = "Write a folder for each camera, with a file for each frame (`ss.write_keypoints`); name the folders"
            raise InputError(f"{texts[0]}: 2D points of several images in one file, as COCO's, are not read. {cure}.")
        for option, kind, has_effect in (
            ("rate", "a session's folder or 2D points", self.is_session or self.are_points),
            ("trial", "videos or 2D points", of_cameras),
            ("calibration", "videos or 2D points", of_cameras),
        ):
            if getattr(self, option) is not None and not has_effect:
                raise InputError(f"--{option} goes with {kind}; for {self.files[0]} it has no effect. Leave it out.")

    @property
    def is_session(self) -> bool:
        return len(self.files) == 1 and self.files[0].is_dir() and self.calibration is None

    @property
    def are_markers(self) -> bool:
        return all(file.suffix.lower() in MARKER_FILES for file in self.files)

    @property
    def are_points(self) -> bool:
        return any(f.suffix.lower() in TABLE_ENDINGS or (f.is_dir() and len(self.files) > 1) for f in self.files)


def write_new_config(
    given: GivenFiles,
    out: Path,
    *,
    name: str,
    subject: str,
    marker_set: str | None = None,
    person: Mapping[str, Any] | None = None,
) -> str:
    """Write a configuration for files, or nothing if they do not fit; returns what to do next. person: m, kg."""
    if out.exists():
        raise InputError(f"{out} exists already. Choose another --name, or edit it.")
    subjects: dict[str, dict] = {}
    trials: dict[str, dict] = {}
    rate: int | None = None
    points: dict[Path, Markers] = {}
    if given.is_session:
        session = replace(read_session(given.files[0], given.rate), **(person or {}))
        in_space = [(trial, trial.source) for trial in session.trials if isinstance(trial.source, Markers)]
        points = {_points_file(out, trial): markers for trial, markers in in_space if not trial.files}
        subjects = _session_subjects(session, out, subject)
        marker_set = marker_set or session.trials[0].marker_set
        filmed = [find_project(trial.source).videos for trial in session.trials if isinstance(trial.source, Path)]
        rate = resampling_rate(open_videos([video for videos in filmed for video in videos]))
        said = f" A session of {session.tool}, {len(session.trials)} trial(s)."
        said += "".join(f"\n{trial.name}: {_describe_markers(one, marker_set)}." for trial, one in in_space) + "\n"
    elif given.are_markers:
        trials, said = _marker_trials(given.files, marker_set)
    elif given.calibration is None:
        raise InputError(
            f"{given.files[0]}: videos and 2D points need a calibration (--calibration); markers, a .trc or .c3d file."
        )
    else:
        trial, rate, said = (_points_trial if given.are_points else _video_trial)(given, given.calibration)
        trials = {given.trial or "trial": trial}
    content: dict = {"name": name, "results": f"results/{name}"}
    content["subjects"] = subjects or {subject: {**(person or {}), "trials": trials}}
    if any("markers" not in trial for one in content["subjects"].values() for trial in one["trials"].values()):
        content["cameras"] = {"refine": "auto"}
    content |= {} if rate is None else {"detection": {"resample": rate}}
    content |= {} if marker_set is None else {"body": {"markers": marker_set}}
    check_config(content, "the configuration from these arguments")
    lines = (
        "# Written by `simspine init`. All settings with their defaults: `simspine doctor --schema`.\n"
        "# Height (m) and mass (kg) of the person go under the subject's name, next to `trials`.\n"
    )
    if existing := [path for path in points if path.exists()]:
        raise InputError(f"{existing[0]} exists already, and would be written over. Choose another --out, or move it.")
    for path, markers in points.items():
        write_trc(path, markers)
    write_text(out, lines + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    if any("delays" in one for one in trials.values()):
        said += "The videos differ in length, so their delays will be found (`delays: find`). "
    return f"{out} written.{said}Next: simspine run {out}"


def _marker_trials(files: Sequence[Path], marker_set: str | None) -> tuple[dict[str, dict], str]:
    """A trial for each file, named after it, and a note on their markers."""
    trials: dict[str, dict] = {}
    said = ""
    for file in files:
        if is_added(file):
            raise InputError(f"{file} was written by `simspine add-spine`: it holds a result. Leave it out.")
        said += f"\n{file}: {_describe_markers(read_markers(file), marker_set)}."
        name = config_name(file.stem)
        if name in trials:
            raise InputError(f"two files would be the trial {name!r}, the second is {file}; rename one of them.")
        trials[name] = {"markers": str(file)}
    return trials, said + "\n"


def config_name(text: str) -> str:
    """A text with characters replaced that names in a configuration may not have."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).lstrip("_.-") or "trial"


def _points_file(out: Path, trial: SessionTrial) -> Path:
    """The TRC file for points of a table, which a configuration cannot name; in a folder next to the configuration."""
    return out.with_name(f"{out.stem}_markers") / f"{safe_file_name(trial.name)}.trc"


def _session_subjects(session: OtherSession, out: Path, subject: str) -> dict[str, dict]:
    """People and trials of another program's session. `InputError` where two trials would have one name."""
    size = {key: value for key, value in (("height", session.height), ("mass", session.mass)) if value is not None}
    subjects: dict[str, dict] = {}
    for trial in session.trials:
        files = dict(trial.files) or {"markers": str(_points_file(out, trial))}
        who = subject if trial.person == "person" else trial.person
        trials = subjects.setdefault(who, {**size, "trials": {}})["trials"]
        name = config_name(trial.name)
        if name in trials:
            raise InputError(f"two trials of {who} would be {name!r}, the second is {trial.name!r}; rename its file.")
        trials[name] = files
    return subjects


def _points_trial(given: GivenFiles, calibration: Path) -> tuple[dict, None, str]:
    """The trial of 2D points, None, and a note on the camera of each folder or table."""
    if given.rate is None or len(given.files) < 2:
        text = "2D points need two views or more, and the frame rate of their videos (--rate 60)"
        raise InputError(f"{given.files[0]}: {text}; their files do not hold it.")
    seen, skeleton = read_detections(given.files, given.rate)
    cameras = match_cameras_to_views(given.files, read_calibration(calibration))
    note = "".join(f"\n{file}: camera {camera.name}" for file, camera in zip(given.files, cameras, strict=True))
    note += f"\n{len(seen.people)} frames at {given.rate:.4g} Hz, {len(seen.names)} points, of {skeleton.name}\n"
    return {"keypoints": list(map(str, given.files)), "calibration": str(calibration), "rate": given.rate}, None, note


def _video_trial(given: GivenFiles, calibration: Path) -> tuple[dict, int | None, str]:
    """The trial, frames/s at which to resample its videos, and a note on the camera of each video."""
    videos = video_files(given.files[0]) if given.files[0].is_dir() else given.files
    opened = open_videos(videos)
    if len(videos) < 2:
        raise InputError(f"{len(videos)} video given; at least two cameras are needed to place a point in space.")
    check_whole(opened)
    rate = resampling_rate(opened)
    check_synchronised(opened, lengths_agree=False, resample=rate, delayed=True)
    calibrated = read_calibration(calibration)
    cameras = match_cameras_to_views(opened, calibrated)
    note = ""
    for one, camera in zip(opened, cameras, strict=True):
        note += f"\n{one.path.name}: camera {camera.name}, {one.frames} frames"
        note += f" at {one.rate:.4g} Hz, {one.frames / one.rate:.1f} s"
    if left := [camera.name for camera in calibrated if camera not in cameras]:
        note += f"\nCameras without a video: {', '.join(left)}"
    about: dict = {"videos": [str(video) for video in videos], "calibration": str(calibration)}
    lengths = [video.frames for video in opened] if rate is None else list(map(len, frames_at_rate(opened, rate)))
    differ = max(lengths) - min(lengths) > (0 if rate is None else TOLERATED_FRAMES)
    late = differ or (rate is None and rates_differ(opened))
    return about | ({"delays": "find"} if late else {}), rate, f"{note}\n"


def _examine_opencv(say: SayFinding) -> bool:
    """Say which OpenCV is loaded; False where it is damaged, or packages of several versions write to its folder."""
    found = {name: version(name) for name in sorted(set(packages_distributions().get("cv2", ())))}
    others = " ".join(name for name in found if name != "opencv-python-headless")
    cure = f"pip uninstall {others}; " if others else ""
    cure += f"pip install --force-reinstall --no-deps '{OPENCV_REQUIREMENT}'"
    try:
        from cv2 import __version__ as loaded
    except ImportError as error:
        say(FAULT_MARK, f"OpenCV cannot be loaded: {error}; {cure}")
        return False
    alike = len(set(found.values())) < 2
    packages = " and ".join(f"{name} {number}" for name, number in found.items())
    say(OK_MARK if alike else FAULT_MARK, f"OpenCV {loaded} is loaded, from {packages}")
    if len(found) > 1:
        say(NOTE_MARK, f"these packages share a folder: removing or renewing one damages OpenCV. To keep one: {cure}")
    return alike


def examine_installation(config: Config | None) -> bool:
    """Print what is installed and whether a configuration's inputs fit; True if a run can start."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)

    def say(status: str, text: str) -> None:
        console.print(status + escape(text))

    good = True
    for package, use in (REQUIRED_MODULES | OPTIONAL_MODULES).items():
        try:
            say(OK_MARK, f"{package} {version(package)}: {use}")
        except PackageNotFoundError:
            good = good and package in OPTIONAL_MODULES
            say(NOTE_MARK if package in OPTIONAL_MODULES else "[red]missing[/]  ", f"{package} is not installed: {use}")
    good = _examine_opencv(say) and good
    if config is None:
        say(NOTE_MARK, "no configuration in this folder; `simspine init FILES` writes one")
        return good
    checks: list[tuple[Callable[[], object], str]] = [
        (partial(_describe_video, subject, name, trial, config), f"{subject}/{name}: ")
        for subject, name, trial in _recorded_trials(config, captured=False)
    ]
    checks += [(partial(_describe_body, config), "body: recipe "), (partial(check_results, config), "")]
    if config.capture is not None:
        good = _passes(partial(_examine_capture, config, config.capture, say), say) and good
    return all([_passes(check, say, place) for check, place in checks]) and good


def _describe_body(config: Config) -> str:
    recipe = read_recipe(config.body.recipe)
    if config.body.markers is None:
        return recipe.name
    return f"{recipe.name}, markers {read_marker_set(config.body.markers).name}"


def _check_place(point: Sequence[float], cameras: Sequence[Camera]) -> None:
    """`InputError` unless two cameras look at the point (x, y, z) m near which a person is to be followed."""
    inside = points_in_images(cameras, np.asarray(point, float))
    seeing = [camera.name for camera, sees in zip(cameras, inside, strict=True) if sees]
    if len(seeing) < 2:
        text = f"detection.person is the point {list(point)}; {names_text(seeing) or 'no camera'} sees it, two must"
        raise InputError(f"{text}. Is it in the cameras' world (z up, metres)?")


def _describe_mocap(given: Markers, table: str | None) -> str:
    """A text on how many markers of motion capture will be used; `InputError` where none will."""
    named = [] if table is None else [pair.marker for pair in read_correspondence(table)]
    given = without_subject_name(given, "the motion capture", named)
    known_markers = set(given.names).intersection(named or load_skeleton(SIMSPINE_SKELETON).names)
    if not known_markers:
        text = f"none of the {len(given.names)} markers of motion capture ({names_text(given.names)})"
        raise InputError(f"{text} is one of {table or 'the points'}: rename them, or name a `merge.correspondence`.")
    return f", {len(known_markers)} of {len(given.names)} markers of motion capture"


def _describe_markers(given: Markers, marker_set: str | None) -> str:
    """A text on how many markers of a file are of the marker set; `InputError` where none is."""
    found = given_markers(given, BodyOptions(markers=marker_set))
    seen_ever = np.any(given.present, axis=0)
    if not seen_ever.any():
        raise InputError(f"none of the {len(given.names)} markers is seen in any frame; was an empty trial exported?")
    if not seen_ever.all():
        never = [name for name, seen in zip(given.names, seen_ever, strict=True) if not seen]
        warn_assumed(f"{len(never)} markers are seen in no frame: {names_text(never)}.")
    known, names = read_marker_set(marker_set or found["skeleton"]), found["markers"].names
    used = [name for name in names if name in known.places or name.endswith(SKIN_SUFFIX)]
    if not used:
        text = f"none of the {len(given.names)} markers ({names_text(given.names)}) is of the marker set {known.name!r}"
        advice = f"Name another set (`body.markers`, `--marker-set`: {', '.join(marker_set_names())}), or rename them"
        raise InputError(f"{text} ({names_text(list(known.places))}). {advice}.")
    said = ""
    for finding in found["findings"]:
        if finding.severity == Severity.WARNING:
            warn_assumed(f"{finding.message} {finding.suggestion}")
        else:
            said += f"; {finding.message.rstrip('.')}"
    said = said or f"; marker set {known.name!r}"
    return f"{len(used)} of {len(given.names)} markers are known, {given.frames} frames at {given.rate:.4g} Hz{said}"


def _describe_video(subject: str, name: str, trial: Trial, config: Config) -> str:
    capture = capture_of_config(trial, subject, config)
    given = capture.motion_capture()
    if trial.markers is not None and given is not None:
        return _describe_markers(given, config.body.markers)
    cameras = capture.cameras()
    if isinstance(config.detection.person, list):
        _check_place(config.detection.person, cameras)
    mocap = "" if given is None else _describe_mocap(given, config.merge.correspondence or capture.correspondence)
    if capture.keypoints:
        read_detection_folders(name, trial, capture, cameras=cameras, skeleton=config.detection.skeleton)
        return f"{len(capture.keypoints)} folders of keypoints, {len(cameras)} cameras{mocap}"
    if config.detection.detector == "import":
        raise InputError("detector 'import' reads `keypoints` folders, but the trial gives videos.")
    if trial.skin_markers is not None:
        check_clicks_of(trial.skin_markers, capture)
    if config.detection.detector == "spinepose":
        check_weights(config.detection.network)
    videos = open_videos(capture.videos)
    check_whole(videos)
    late = trial.delays is not None
    check_synchronised(videos, lengths_agree=not late, resample=config.detection.resample, delayed=late)
    cameras, first = match_cameras_to_views(videos, cameras), videos[0]
    if trial.delays not in (None, "find"):
        timing = given_timing(Delays(trial.delays, trial.drift), cameras, [video.frames for video in videos])
        mocap = f", {timing.frames} of them shared by all views{mocap}"
    frames, rate = first.frames, first.rate
    if config.detection.resample:
        frames, rate = len(frames_at_rate([first], config.detection.resample)[0]), config.detection.resample
        mocap = f", resampled by their time stamps{mocap}"
    return f"{len(videos)} videos, {frames} frames at {rate:g} Hz, {frames / rate:.1f} s{mocap}"


WARMUP_RECIPES = ("articulated", "coupled")  # solved in single and double precision; others need no other kernel
WARMUP_FRAMES, WARMUP_RATE_HZ = 12, 60.0


def compile_kernels(say: Callable[[str], None] = lambda _: None) -> float:
    """Triangulate and solve a person who stands still, so that each kernel is called. Returns seconds. Numba keeps
    compiled code in the package's folder, or in the user's cache (`NUMBA_CACHE_DIR`), for this kind of processor."""
    start, cameras = time.perf_counter(), virtual_rig(seed=1, subject="S1")
    for recipe in WARMUP_RECIPES:
        body = build_body(recipe, "centres")
        c = body.coordinates
        still = Motion(c.names, WARMUP_RATE_HZ, np.tile(c.default, (WARMUP_FRAMES, 1)), c.rotational)
        markers = forward_kinematics(body, still)
        inverse_kinematics(body, markers)
        fit_trials({"standing": markers}, recipe)
        triangulate(keypoints_of_markers(markers, cameras), cameras)
        say(f"{recipe}: ready after {time.perf_counter() - start:.0f} s")
    return time.perf_counter() - start


def keypoints_of_markers(markers: Markers, cameras: Sequence[Camera]) -> Keypoints:
    """The markers projected into the cameras' images."""
    xy = np.moveaxis(project_points(cameras, markers_in_frame(markers, "z_up").xyz), 0, 1)
    return Keypoints(markers.names, WARMUP_RATE_HZ, xy, np.ones(xy.shape[:3]))
