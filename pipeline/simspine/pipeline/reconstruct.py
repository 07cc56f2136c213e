"""The whole way in memory: images or points → reconstructions; and what follows merging, for all trials of a person."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

from simspine.errors import InputError
from simspine.formats.calibration import read_calibration
from simspine.geometry import in_frame
from simspine.pipeline.kinematics import read_spine, solve_kinematics
from simspine.pipeline.options import KinematicsOptions, Options
from simspine.pipeline.points import SKELETONS, detect, follow_person, locate_points, make_markers
from simspine.pipeline.reconstruction import Reconstruction
from simspine.pipeline.sized_body import SizedBody, size_body
from simspine.pipeline.verdict import judge
from simspine.skeletons import by_names, translate
from simspine.skeletons.correspondence import read_correspondence
from simspine.sources.pose2sim import VIDEO_ENDINGS, match_cameras
from simspine.sources.video import check_synchronised, open_videos
from simspine.triangulation import TriangulationReport
from simspine.types import Camera, Keypoints, Markers

PERSON = "person"  # name of the subject
Source = Keypoints | str | PathLike | Sequence[str | PathLike]


@dataclass(frozen=True)
class _Observed:
    """A trial up to its markers."""

    markers: Markers
    cameras: tuple[Camera, ...]
    keypoints: Keypoints
    skeleton: str
    triangulation: TriangulationReport
    points: Markers
    videos: tuple[Path, ...] = ()


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
    or the videos, one a camera. {trial: source} for several trials of a person: one body is fitted to all of them, and
    {trial: Reconstruction} comes back. cameras: of the world z up, or a calibration file. mocap: motion capture that
    takes the place of points of the same name, for each trial where there are several. options: how each stage works
    (default: as a configuration without settings). markers: marker set, which says where the detector's points are on
    the body; by default that of the points' skeleton. height (m), mass (kg) of the person, if known. progress: called
    with (frames done, frames in all) while videos are looked at.

    Raises `InputError` where cameras and views do not match, nobody is found, or no body fits. Equal to what the
    workflow writes for the same input.
    """
    options = options or Options()
    sources = dict(source) if isinstance(source, Mapping) else {"trial": source}
    given = mocap if isinstance(mocap, Mapping) else dict.fromkeys(sources, mocap)
    known = read_calibration(cameras) if isinstance(cameras, str | PathLike) else list(cameras)
    observed = {trial: _observe(item, known, given.get(trial), options, progress) for trial, item in sources.items()}
    markers = markers or options.body.markers or next(iter(observed.values())).skeleton
    trials = {trial: found.markers for trial, found in observed.items()}
    sized, _ = size_body(list(trials.values()), options.body.recipe, markers, options.scaling, height, mass)
    found = {}
    for trial, seen in observed.items():
        solved = _solved(trial, sized, seen.markers, markers, options.ik, seen.triangulation)
        found[trial] = replace(
            solved, cameras=seen.cameras, keypoints=seen.keypoints, points=seen.points, videos=seen.videos
        )
    return found if isinstance(source, Mapping) else found["trial"]


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
    sized, _ = size_body(list(turned.values()), body, markers, options.scaling, height, mass)
    return {trial: _solved(trial, sized, item, markers, options.ik) for trial, item in turned.items()}


def _solved(
    trial: str,
    sized: SizedBody,
    markers: Markers,
    marker_set: str,
    options: KinematicsOptions,
    triangulation: TriangulationReport | None = None,
) -> Reconstruction:
    """The stages ik, vertebrae and quality of one trial."""
    result = solve_kinematics(sized, markers, marker_set, options)
    spine = read_spine(sized, result)
    verdict = judge(sized, result, spine, markers, triangulation).of(PERSON, trial)
    return Reconstruction(PERSON, trial, markers, sized, result, spine, verdict, triangulation=triangulation)


def _observe(
    source: Source,
    cameras: list[Camera],
    mocap: Markers | None,
    options: Options,
    progress: Callable[[int, int], None] | None,
) -> _Observed:
    """The stages detect, triangulate and merge of one trial."""
    videos: tuple[Path, ...] = ()
    if isinstance(source, Keypoints):
        skeleton = by_names(source.names).name
        keypoints = translate(source, skeleton)
    else:
        skeleton = SKELETONS[options.detection.detector]
        videos = _videos(source)
        opened = open_videos(videos)
        check_synchronised(opened)
        cameras = match_cameras(opened, cameras)
        detections = detect(opened, options.detection, progress=progress)
        keypoints = follow_person(detections, cameras, skeleton, options.detection)
    points, report = locate_points(keypoints, cameras, options.triangulation)
    table = options.merge.correspondence
    pairs = None if table is None else read_correspondence(table)
    markers, _ = make_markers(points, options.filter, options.merge, mocap, pairs, options.detection.infer_spine)
    return _Observed(markers, tuple(cameras), keypoints, skeleton, report, points, videos)


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
