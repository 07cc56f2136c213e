"""From detections to markers: choice of the person, points in space, one marker set in the body's frame."""

from collections.abc import Sequence
from functools import partial

import numpy as np

from simspine.anatomy.spine_from_joints import infer_spine_points
from simspine.core.errors import InputError
from simspine.core.filtering import smooth
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import PointCorrespondence, add_inferred_suffix, translate
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.io.video import Video
from simspine.vision.association import associate_person, tracks_of_people
from simspine.vision.detector import Detections, Detector, detect_videos
from simspine.vision.merge_mocap import MergeReport, merge_with_report
from simspine.vision.options import DetectionOptions, FilterOptions, MergeOptions, TriangulationOptions
from simspine.vision.synchronise import Timing
from simspine.vision.triangulation import TriangulationReport, triangulate_with_report, warn_of_sizes

IMAGE_DETECTORS = ("blazepose", "blazepose_spine", "spinepose")


def detect_in_videos(
    videos: Sequence[Video], options: DetectionOptions, boxes: np.ndarray | None = None, **how
) -> Detections:
    """All people in videos, with points of the detector's skeleton. Other parameters as of `detect_videos`."""
    make_detector = partial(detector_of_options, options, boxes_known=boxes is not None)
    return detect_videos(videos, make_detector, boxes=boxes, resample=options.resample, **how)


def detector_of_options(options: DetectionOptions, boxes_known: bool = False) -> Detector:
    """The detector that the options name, with a network that finds people.

    boxes_known: whether boxes come from motion capture. SpinePose then has no network that finds people, and uses the
    whole image where a box is missing."""
    from simspine.vision.blazepose import BlazePose

    if options.detector == "spinepose":
        from simspine.vision.spinepose import SpinePose

        finder = None if boxes_known else BlazePose(options.people)
        return SpinePose(options.network, options.device, finder=finder, people=options.people)
    if options.detector == "blazepose_spine":
        from simspine.vision.blazepose_spine import BlazePoseSpine

        return BlazePoseSpine(options.people)
    return BlazePose(options.people, model=options.network)


def follow_person(
    detections: Detections, cameras: Sequence[Camera], skeleton: str, options: DetectionOptions
) -> Keypoints:
    """Keypoints of the one person chosen by the options. cameras: in the order of the views."""
    check_one_person(options)
    points = associate_person(detections.people, cameras, skeleton, detections.rate, person=options.person)
    return _named_points(points, detections, skeleton)


def check_one_person(options: DetectionOptions) -> None:
    """`InputError` where all people are asked for, but only one can be returned; to be called before long work."""
    if options.person == "all":
        text = "detection.person is all, but one person is wanted here"
        raise InputError(f"{text}. simspine.reconstruct_people, or `people` of the subject, gives everybody.")


def follow_people(detections: Detections, cameras: Sequence[Camera], skeleton: str) -> list[Keypoints]:
    """Keypoints of all people seen for long enough (see `tracks_of_people`), the most seen first."""
    tracks = tracks_of_people(detections.people, cameras, skeleton, detections.rate)
    return [_named_points(points, detections, skeleton) for points in tracks]


def _named_points(points: np.ndarray, detections: Detections, skeleton: str) -> Keypoints:
    """Points (frames, views, points, 3) with the 37 SIMSPINE names."""
    estimated = detections.estimated
    origin = tuple(Origin.ESTIMATED if name in estimated else Origin.DETECTED for name in detections.names)
    native = Keypoints(
        names=detections.names,
        rate=detections.rate,
        xy=points[..., :2],
        confidence=np.clip(points[..., 2], 0, 1),
        origin=origin,
    )
    return translate(native, skeleton)


def locate_points(
    keypoints: Keypoints, cameras: Sequence[Camera], options: TriangulationOptions, timing: Timing | None = None
) -> tuple[Markers, TriangulationReport]:
    """Points in space (z_up) with covariance, of the points that any view shows, and a report.

    Time 0 is the first view's frame 0; timing: for points that begin later than that. Estimated points are as uncertain
    as one view states, see `with_shared_errors`.
    """
    observed = np.isfinite(keypoints.xy).any((0, 1, 3))
    names = [name for name, seen in zip(keypoints.names, observed, strict=True) if seen]
    points, report = triangulate_with_report(keypoints.select(names), cameras, **options.model_dump())
    warn_of_sizes(points)
    start = 0.0 if timing is None else timing.first / keypoints.rate
    return with_shared_errors(points.with_(start=start)), report


def with_shared_errors(points: Markers) -> Markers:
    """Points whose covariance includes errors that all views share: a network that estimates points from pose and
    outline has the same error in all views, and more views do not average it out.

    The mean variance over the axes is raised to the one that the views' mean confidence stands for, if that is larger.
    """
    columns = np.flatnonzero(points.of_origin(Origin.ESTIMATED))
    if not columns.size or points.covariance is None or points.weight is None:
        return points
    from simspine.vision.blazepose_spine import stated_deviation

    covariance = points.covariance.copy()
    variance = np.trace(covariance[:, columns], axis1=-2, axis2=-1) / 3
    with np.errstate(invalid="ignore"):
        missing = np.maximum(stated_deviation(points.weight[:, columns]) ** 2 - variance, 0)
    covariance[:, columns] += np.where(np.isfinite(variance), missing, 0)[..., None, None] * np.eye(3)
    return points.with_(covariance=covariance)


def make_markers(
    points: Markers,
    filtering: FilterOptions,
    merging: MergeOptions,
    mocap: Markers | None = None,
    pairs: Sequence[PointCorrespondence] | None = None,
    infer_spine: bool = True,
) -> tuple[Markers, MergeReport | None]:
    """Markers for inverse kinematics (y_up): filtered, short gaps filled, merged with motion capture, spine inferred.

    mocap: markers that replace points; pairs: their correspondence (default: equal names). infer_spine: infer missing
    points of the spine from the joints. Names of inferred points have a suffix.
    """
    markers, report = smooth(points, **filtering.model_dump()), None
    if mocap is not None:
        options = merging.model_dump() | {"correspondence": pairs}
        markers, report = merge_with_report(markers, mocap, max_gap_s=filtering.max_gap_s, **options)
    if infer_spine:
        markers = infer_spine_points(markers)
    return markers_in_frame(add_inferred_suffix(markers), "y_up"), report
