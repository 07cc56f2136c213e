"""Stages from detections to markers: whom to follow, where points are in space, one marker set in the body's frame."""

from collections.abc import Callable, Sequence

import numpy as np

from simspine.detection.association import associate, tracks_of_people
from simspine.detection.boxes import whole_image
from simspine.detection.protocol import Detector
from simspine.detection.run import Detections, detect_videos
from simspine.errors import InputError
from simspine.filtering import smooth
from simspine.geometry import in_frame
from simspine.merging import MergeReport, merge_with_report
from simspine.pipeline.options import DetectionOptions, FilterOptions, MergeOptions, TriangulationOptions
from simspine.skeletons import translate
from simspine.skeletons.correspondence import Pair
from simspine.skeletons.inferred_names import label_inferred
from simspine.sources.video import Video
from simspine.spine.shape.from_joints import infer_points
from simspine.triangulation import TriangulationReport, triangulate_with_report
from simspine.types import Camera, Keypoints, Markers

SKELETONS = {"blazepose": "blazepose33", "spinepose": "spinetrack37"}  # of the detectors' points


def detect(
    videos: Sequence[Video],
    options: DetectionOptions,
    boxes: np.ndarray | None = None,
    frames: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Detections:
    """Everybody in synchronised videos; points as `SKELETONS` says. boxes, frames, progress: as `detect_videos`."""
    return detect_videos(videos, lambda: _detector(options, boxes is not None), progress, boxes, frames)


def _detector(options: DetectionOptions, boxes_known: bool) -> Detector:
    """With boxes from motion capture no network looks for people; the whole image serves where a box is missing."""
    from simspine.detection.blazepose import BlazePose

    if options.detector == "spinepose":
        from simspine.detection.spinepose import SpinePose

        boxes = whole_image if boxes_known else None
        return SpinePose(options.model, options.device, boxes=boxes, people=options.people)
    return BlazePose(options.people)


def follow_person(
    detections: Detections, cameras: Sequence[Camera], skeleton: str, options: DetectionOptions
) -> Keypoints:
    """The one person followed, in the 37 SIMSPINE names. cameras: in the order of the views."""
    check_one_person(options)
    points = associate(detections.people, cameras, skeleton, detections.rate, person=options.person)
    return _named(points, detections, skeleton)


def check_one_person(options: DetectionOptions) -> None:
    """`InputError` where everybody is asked for and only one person can be given: to be said before hours of work."""
    if options.person == "all":
        raise InputError(
            "detection.person is all, but one person is wanted here. simspine.reconstruct_people gives everybody; in a "
            "configuration say how many there are (`people` of the subject)."
        )


def follow_people(detections: Detections, cameras: Sequence[Camera], skeleton: str) -> list[Keypoints]:
    """Everybody who is there for long enough (see `tracks_of_people`), most seen first; else as `follow_person`."""
    tracks = tracks_of_people(detections.people, cameras, skeleton, detections.rate)
    return [_named(points, detections, skeleton) for points in tracks]


def _named(points: np.ndarray, detections: Detections, skeleton: str) -> Keypoints:
    """Points (frames, views, points, 3) in the 37 SIMSPINE names."""
    native = Keypoints(detections.names, detections.rate, points[..., :2], np.clip(points[..., 2], 0, 1))
    return translate(native, skeleton)


def locate_points(
    keypoints: Keypoints, cameras: Sequence[Camera], options: TriangulationOptions
) -> tuple[Markers, TriangulationReport]:
    """Points in space (z_up) with covariance, of those that any view shows, and what they were made from."""
    observed = np.isfinite(keypoints.xy).any((0, 1, 3))
    names = [name for name, there in zip(keypoints.names, observed, strict=True) if there]
    return triangulate_with_report(keypoints.select(names), cameras, **options.model_dump())


def make_markers(
    points: Markers,
    filtering: FilterOptions,
    merging: MergeOptions,
    mocap: Markers | None = None,
    pairs: Sequence[Pair] | None = None,
    infer_spine: bool = True,
) -> tuple[Markers, MergeReport | None]:
    """What inverse kinematics fits (y_up): filtered, gaps filled or left, merged with motion capture, spine inferred.

    mocap: markers that replace points; pairs: which is which (default: equal names). Points of the spine that nobody
    saw are inferred from the joints if asked, and marked in their names.
    """
    markers, report = smooth(points, **filtering.model_dump()), None
    if mocap is not None:
        options = merging.model_dump() | {"correspondence": pairs}
        markers, report = merge_with_report(markers, mocap, max_gap_s=filtering.max_gap_s, **options)
    if infer_spine:
        markers = infer_points(markers)
    return in_frame(label_inferred(markers), "y_up"), report
