"""Before the first run: a configuration for one's own videos, and a look at whether everything is in place."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import yaml

from simspine.body.marker_sets import read_marker_set
from simspine.body.recipes import read_recipe
from simspine.config import Config, Subject, Trial, check_config
from simspine.detection.spinepose import check_weights
from simspine.errors import InputError
from simspine.formats.atomic import write_text
from simspine.formats.calibration import read_calibration
from simspine.geometry import project
from simspine.pipeline.delays import Delays, given_timing
from simspine.quality.findings import listed
from simspine.skeletons import TARGET
from simspine.skeletons import load as load_skeleton
from simspine.skeletons.correspondence import read_correspondence
from simspine.sources.pose2sim import match_cameras
from simspine.sources.video import check_synchronised, open_videos
from simspine.types import Camera, Markers
from simspine.workflow.copies import FAULT, OK, examine_capture
from simspine.workflow.inputs import capture_of, check_clicks_of, check_report, skin_markers_of
from simspine.workflow.known_cameras import examine_cameras
from simspine.workflow.run import check_writable
from simspine.workflow.stages.detect import read_folders

NEEDED = {
    "opensim": "reference engine, models",
    "ai-edge-litert": "BlazePose detector",
    "opencv-python-headless": "video",
    "snakemake": "workflow",
}
OPTIONAL = {"spinepose": "SpinePose's weights by name (non-commercial)", "torch": "extras spinepose and learn"}


def write_new_config(videos: Sequence[Path], calibration: Path, out: Path, name: str, subject: str, trial: str) -> str:
    """Write a configuration for synchronised videos; returns what to do next. Nothing is written if they do not fit."""
    if out.exists():
        raise InputError(f"{out} exists already. Choose another --out, or edit it.")
    opened = open_videos(videos)
    if len(videos) < 2:
        raise InputError(f"{len(videos)} video given; at least two cameras are needed to place a point in space.")
    check_synchronised(opened, lengths_agree=False)
    match_cameras(opened, read_calibration(calibration))
    about: dict = {"videos": [str(video) for video in videos], "calibration": str(calibration)}
    apart = len({video.frames for video in opened}) > 1
    trials = {trial: about | ({"delays": "find"} if apart else {})}
    content = {"name": name, "results": f"results/{name}", "subjects": {subject: {"trials": trials}}}
    check_config(content, "the configuration from these arguments")
    lines = (
        "# Written by `simspine init`. All settings with their defaults: `simspine doctor --schema`.\n"
        "# Height (m) and mass (kg) of the person go under the subject's name, beside `trials`.\n"
    )
    write_text(out, lines + yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    said = " The videos differ in length, so their delays will be found (`delays: find`)." if apart else ""
    return f"{out} written.{said} Next: simspine run {out}"


def examine(config: Config) -> bool:
    """Print what is installed and whether the configuration's inputs fit; True if a run can start."""
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)

    def say(status: str, text: str) -> None:
        console.print(status + escape(text))

    good = True
    for package, use in (NEEDED | OPTIONAL).items():
        try:
            say(OK, f"{package} {version(package)}: {use}")
        except PackageNotFoundError:
            good = good and package in OPTIONAL
            say(f"[{'red' if package in NEEDED else 'dim'}]missing[/]  ", f"{package}: {use}")
    if config.capture is not None:
        good = examine_capture(config, config.capture, say) and good
    for subject, person in config.subjects.items():
        for name, trial in person.trials.items():
            if trial.capture is not None:
                continue
            try:
                say(OK, f"{subject}/{name}: {_described(subject, name, trial, config)}")
            except InputError as fault:
                good = False
                say(FAULT, f"{subject}/{name}: {fault}")
    good = examine_cameras(config, say) and good
    try:
        say(OK, f"body: recipe {_body(config)}")
        check_report(config)
        check_writable(Path(config.results))
    except InputError as fault:
        good = False
        say(FAULT, str(fault))
    return good


def _body(config: Config) -> str:
    recipe = read_recipe(config.body.recipe)
    if config.body.markers is None:
        return recipe.name
    return f"{recipe.name}, markers {read_marker_set(config.body.markers).name}"


def _check_place(place: Sequence[float], cameras: Sequence[Camera]) -> None:
    """`InputError` unless two cameras look at the point (x, y, z) m near which a person is to be followed."""
    if len(place) != 3:
        raise InputError(f"detection.person is {list(place)}, expected three coordinates x, y, z in metres.")
    pixels = project(cameras, np.asarray(place, float)[None])[:, 0]
    seeing = [
        camera.name
        for camera, pixel in zip(cameras, pixels, strict=True)
        if np.isfinite(pixel).all() and (pixel >= 0).all() and (pixel < camera.size).all()
    ]
    if len(seeing) < 2:
        raise InputError(
            f"detection.person is the point {list(place)} m, which {listed(seeing) or 'no camera'} has in its image; "
            "two cameras must. Is it in the cameras' world (z up, metres)?"
        )


def _check_people(subject: Subject, people: np.ndarray) -> None:
    """`InputError` where imported points (frames, views, people, points, 3) cannot hold all that are announced."""
    if subject.people is None:
        return
    at_once = np.isfinite(people[..., :2]).all(-1).any(-1).sum(2).max(0)  # in each view
    if np.sort(at_once)[-2:].min() < subject.people:
        raise InputError(
            f"{subject.people} people are announced, but the keypoints hold at most {int(at_once.max())} at once, and "
            "two cameras must see each. Import the points of all people, or set `people`."
        )


def _described_mocap(given: Markers, table: str | None) -> str:
    """How many markers of motion capture will be used; `InputError` where none will."""
    known = set(load_skeleton(TARGET).names if table is None else (pair.marker for pair in read_correspondence(table)))
    used = known & set(given.names)
    if not used:
        raise InputError(
            f"none of the {len(given.names)} markers of motion capture ({listed(given.names)}) is one of "
            f"{table or 'the points'}: rename them, or say which is which in a table (`merge.correspondence`)."
        )
    return f", {len(used)} of {len(given.names)} markers of motion capture"


def _described(subject: str, name: str, trial: Trial, config: Config) -> str:
    capture = capture_of(trial, subject, config)
    cameras = capture.cameras()
    if isinstance(config.detection.person, list):
        _check_place(config.detection.person, cameras)
    given = capture.motion_capture()
    mocap = "" if given is None else _described_mocap(given, config.merge.correspondence or capture.correspondence)
    if capture.keypoints:
        detections, _ = read_folders(name, trial, capture, cameras, config.detection.skeleton)
        _check_people(config.subject(subject), detections.people)
        return f"{len(capture.keypoints)} folders of keypoints, {len(cameras)} cameras{mocap}"
    if config.detection.detector == "import":
        raise InputError("detector 'import' reads `keypoints` folders, but the trial gives videos.")
    clicks = skin_markers_of(trial)
    if clicks is not None:
        check_clicks_of(clicks, capture)
    if config.detection.detector == "spinepose":
        check_weights(config.detection.model)
    videos = open_videos(capture.videos)
    check_synchronised(videos, lengths_agree=trial.delays is None)
    cameras, first = match_cameras(videos, cameras), videos[0]
    if trial.delays not in (None, "find"):
        timing = given_timing(Delays(trial.delays, trial.drift), cameras, [video.frames for video in videos])
        mocap = f", {timing.frames} of them shared by all views{mocap}"
    return f"{len(videos)} videos, {first.frames} frames at {first.rate:g} Hz, {first.frames / first.rate:.1f} s{mocap}"
