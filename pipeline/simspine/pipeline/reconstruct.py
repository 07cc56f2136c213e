"""The whole way in memory: images or points → reconstructions; and what follows merging, for all trials of a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from simspine.cameras.clocks import Timing
from simspine.detection.run import Detections
from simspine.errors import InputError
from simspine.formats.calibration import read_calibration
from simspine.geometry import in_frame
from simspine.pipeline.cameras import JudgedCameras, judge_cameras, with_timing
from simspine.pipeline.delays import Delayed, Delays, follow_in_step, in_step_alone
from simspine.pipeline.fill_gaps import fill_rejected
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import Options
from simspine.pipeline.points import (
    Outline,
    check_one_person,
    detect,
    follow_people,
    follow_person,
    locate_points,
    make_markers,
)
from simspine.pipeline.reconstruction import Reconstruction
from simspine.pipeline.sized_body import SizedBody
from simspine.pipeline.stages import body_of_person
from simspine.pipeline.verdict import judge
from simspine.pipeline.view_fit import view_fits
from simspine.quality.findings import Finding
from simspine.skeletons import by_names, translate
from simspine.skeletons.correspondence import read_correspondence
from simspine.sources.pose2sim import VIDEO_ENDINGS, match_cameras
from simspine.sources.video import check_synchronised, open_videos
from simspine.triangulation import TriangulationReport
from simspine.types import Camera, Keypoints, Markers

PERSON = "person"  # name of the subject
Plain = Keypoints | str | PathLike | Sequence[str | PathLike]
Source = Plain | Delayed


@dataclass(frozen=True)
class _Observed:
    """A trial up to its markers."""

    markers: Markers
    cameras: tuple[Camera, ...] = ()
    keypoints: Keypoints | None = None
    skeleton: str = ""
    triangulation: TriangulationReport | None = None
    points: Markers | None = None
    videos: tuple[Path, ...] = ()
    findings: tuple[Finding, ...] = ()
    timing: Timing | None = None
    contours: Keypoints | None = None


@dataclass(frozen=True)
class _Detected:
    """2D points of the person followed, and where they are from."""

    keypoints: Keypoints
    cameras: tuple[Camera, ...]
    skeleton: str
    videos: tuple[Path, ...] = ()
    contours: Keypoints | None = None
    timing: Timing | None = None


def reconstruct(
    source: Source | Mapping[str, Source],
    cameras: Sequence[Camera] | str | PathLike,
    mocap: Markers | Mapping[str, Markers] | None = None,
    *,
    options: Options | None = None,
    markers: str | None = None,
    height: float | None = None,
    mass: float | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Reconstruction | dict[str, Reconstruction]:
    """From synchronised videos or 2D points of one person to the spine: all stages of the pipeline, in memory.

    source: `Keypoints` of any skeleton we know by its names, views in the order of the cameras; or a folder of videos;
    or the videos, one a camera; or any of these as `Delayed`, where views are late. {trial: source} for several trials
    of a person: one body is fitted to all of them, and {trial: Reconstruction} comes back. cameras: of the world z up,
    or a calibration file. mocap: motion capture that takes the place of points of the same name, for each trial where
    there are several. options: how each stage works (default: as a configuration without settings). markers: marker
    set, which says where the detector's points are on the body; by default that of the points' skeleton. height (m),
    mass (kg) of the person, if known. progress: called with (frames done, frames in all) while videos are looked at.

    Raises `InputError` where cameras and views do not match, nobody is found, or no body fits. Equal to what the
    workflow writes for the same input.
    """
    options = options or Options()
    sources = dict(source) if isinstance(source, Mapping) else {"trial": source}
    given = mocap if isinstance(mocap, Mapping) else dict.fromkeys(sources, mocap)
    known = read_calibration(cameras) if isinstance(cameras, str | PathLike) else list(cameras)
    detected = {trial: _detected(item, known, options, progress) for trial, item in sources.items()}
    rigs = judge_cameras(
        {trial: (item.keypoints, item.cameras) for trial, item in detected.items()}, options.cameras,
        options.triangulation.min_confidence,
    )  # fmt: skip
    observed = {trial: _located(item, rigs[trial], given.get(trial), options) for trial, item in detected.items()}
    markers = markers or options.body.markers or next(iter(observed.values())).skeleton
    trials = {trial: found.markers for trial, found in observed.items()}
    sized, _ = body_of_person(list(trials.values()), options.body.recipe, markers, options, height, mass)
    found = {}
    for trial, seen in observed.items():
        found[trial] = _solved(PERSON, trial, sized, seen, markers, options)
    return found if isinstance(source, Mapping) else found["trial"]


def reconstruct_people(
    videos: str | PathLike | Sequence[str | PathLike] | Delayed,
    cameras: Sequence[Camera] | str | PathLike,
    *,
    options: Options | None = None,
    markers: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Reconstruction]:
    """From synchronised videos to the spines of all people in them, who is seen in most views and frames first.

    videos: a folder of them, or the files, one a camera; as `Delayed` where views are late. Each person gets a body of
    their own; subjects are called 'person_1', 'person_2', …. `options.detection.people` bounds how many are looked for
    in an image; who is seen by two views or more in less than a fifth of the frames is left out. Else as
    `reconstruct`.

    Raises `InputError` where nobody is there for long enough, and as `reconstruct`.
    """
    options = options or Options()
    known = read_calibration(cameras) if isinstance(cameras, str | PathLike) else list(cameras)
    plain, delays = (videos.source, videos.clocks) if isinstance(videos, Delayed) else (videos, None)
    files = _videos(plain)
    detections, skeleton, ordered = _looked_at(files, known, options, progress, delays is None)
    everybody, timing = follow_in_step(
        detections, ordered, delays, lambda seen: follow_people(seen, ordered, skeleton), skeleton
    )
    if not everybody:
        raise InputError("nobody is seen in two views or more for a fifth of the frames.")
    markers, found = markers or options.body.markers or skeleton, []
    for rank, (keypoints, contours) in enumerate(everybody, 1):
        person = _Detected(keypoints, tuple(ordered), skeleton, files, contours, timing)
        rig = judge_cameras({PERSON: (keypoints, ordered)}, options.cameras, options.triangulation.min_confidence)
        seen = _located(person, rig[PERSON], None, options)
        sized, _ = body_of_person([seen.markers], options.body.recipe, markers, options)
        found.append(_solved(f"{PERSON}_{rank}", "trial", sized, seen, markers, options))
    return found


def fit_trials(
    trials: Mapping[str, Markers],
    body: str = "articulated",
    markers: str = "centres",
    height: float | None = None,
    mass: float | None = None,
    *,
    options: Options | None = None,
) -> dict[str, Reconstruction]:
    """Everything after merging, for all trials of one person together: {trial: Reconstruction}.

    trials: markers by SIMSPINE's names, any frame, m. body: recipe ('articulated', 'coupled' or a file's path).
    markers: marker set that says where the points are on the body ('centres': at the vertebral centres). height (m),
    mass (kg) of the person, if known. options: how the stages work; of them sizing and inverse kinematics count.

    Raises `InputError` where there is no trial, no segment can be measured, or no marker is the body's.
    """
    if not trials:
        raise InputError("no trials were given; expected {name: Markers} with at least one.")
    options = options or Options()
    turned = {trial: in_frame(item, "y_up") for trial, item in trials.items()}
    sized, _ = body_of_person(list(turned.values()), body, markers, options, height, mass)
    return {trial: _solved(PERSON, trial, sized, _Observed(item), markers, options) for trial, item in turned.items()}


def _solved(
    subject: str, trial: str, sized: SizedBody, seen: _Observed, marker_set: str, options: Options
) -> Reconstruction:
    """The stages ik, vertebrae and quality of one trial."""
    result = solve_kinematics(sized, seen.markers, marker_set, options.ik)
    spine = read_spine(sized, result)
    found = Reconstruction(
        subject, trial, seen.markers, sized, result, spine, cameras=seen.cameras, keypoints=seen.keypoints,
        triangulation=seen.triangulation, points=seen.points, videos=seen.videos, timing=seen.timing,
        contours=seen.contours,
    )  # fmt: skip
    verdict = judge(sized, result, spine, seen.markers, seen.triangulation, view_fits(found), seen.findings)
    found = replace(found, verdict=verdict.of(subject, trial))
    return fill_rejected(found, marker_set, options) if options.quality.fill_gaps else found


def _detected(
    source: Source, cameras: list[Camera], options: Options, progress: Callable[[int, int], None] | None
) -> _Detected:
    """The stage detect of one trial."""
    plain, delays = _undelayed(source)
    if isinstance(plain, Keypoints):
        skeleton = by_names(plain.names).name
        keypoints, timing = in_step_alone(translate(plain, skeleton), cameras, delays)
        return _Detected(keypoints, tuple(cameras), skeleton, timing=timing)
    check_one_person(options.detection)
    videos = _videos(plain)
    detections, skeleton, cameras = _looked_at(videos, cameras, options, progress, delays is None)
    ((keypoints, contours),), timing = follow_in_step(
        detections, cameras, delays, lambda seen: [follow_person(seen, cameras, skeleton, options.detection)], skeleton
    )
    return _Detected(keypoints, tuple(cameras), skeleton, videos, contours, timing)


def _undelayed(source: Source) -> tuple[Plain, Delays | None]:
    return (source.source, source.clocks) if isinstance(source, Delayed) else (source, None)


def _looked_at(
    videos: Sequence[Path],
    cameras: list[Camera],
    options: Options,
    progress: Callable[[int, int], None] | None,
    together: bool,
) -> tuple[Detections, str, list[Camera]]:
    """Everybody in the videos, the name of the points' skeleton, and the cameras in the order of the videos."""
    opened = open_videos(videos)
    check_synchronised(opened, lengths_agree=together)
    cameras = match_cameras(opened, cameras)
    seen = detect(opened, options.detection, progress=progress, together=together)
    return seen, seen.skeleton, cameras


def _located(seen: _Detected, rig: JudgedCameras, mocap: Markers | None, options: Options) -> _Observed:
    """The stages triangulate and merge."""
    points, report = locate_points(seen.keypoints, rig.cameras, options.triangulation, seen.timing)
    rig = rig if seen.timing is None else with_timing(rig, seen.timing)
    table = options.merge.correspondence
    pairs = None if table is None else read_correspondence(table)
    outline = None if seen.contours is None else Outline(seen.contours, rig.cameras)
    infer = options.detection.infer_spine
    markers, _ = make_markers(points, options.filter, options.merge, mocap, pairs, infer, outline)
    return _Observed(
        markers,
        rig.cameras,
        seen.keypoints,
        seen.skeleton,
        report,
        points,
        seen.videos,
        tuple(rig.findings),
        seen.timing,
        seen.contours,
    )


def _videos(source: str | PathLike | Sequence[str | PathLike]) -> tuple[Path, ...]:
    """The video files named, or those in a folder."""
    if not isinstance(source, str | PathLike):
        return tuple(Path(item) for item in source)
    folder = Path(source)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; hand in a folder of videos, a list of videos, or Keypoints.")
    found = tuple(sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEO_ENDINGS))
    if not found:
        raise InputError(f"{folder} holds no videos; expected one a camera, ending in {', '.join(VIDEO_ENDINGS)}.")
    return found
