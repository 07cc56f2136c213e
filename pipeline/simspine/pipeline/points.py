"""Stages from detections to markers: whom to follow, where points are in space, one marker set in the body's frame."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from simspine.cameras.clocks import Timing
from simspine.detection.association import associate, tracks_of_people
from simspine.detection.boxes import whole_image
from simspine.detection.options import DetectionOptions, FilterOptions, MergeOptions, TriangulationOptions
from simspine.detection.protocol import Detector
from simspine.detection.run import Detections, detect_videos
from simspine.errors import InputError
from simspine.filtering import smooth
from simspine.geometry import in_frame
from simspine.merging import MergeReport, merge_with_report
from simspine.silhouettes.spine_points import silhouette_points
from simspine.skeletons import load, translate
from simspine.skeletons.correspondence import Pair
from simspine.skeletons.inferred_names import base_name, label_inferred
from simspine.sources.video import Video
from simspine.spine.shape.from_joints import infer_points
from simspine.triangulation import TriangulationReport, triangulate_with_report
from simspine.types import Camera, Keypoints, Markers, Origin

IMAGE_DETECTORS = ("blazepose", "blazepose_spine", "spinepose")


class Followed(NamedTuple):
    """One person in each view. keypoints: the 37 SIMSPINE points. contours: points of the outline, if looked for."""

    keypoints: Keypoints
    contours: Keypoints | None = None


class Outline(NamedTuple):
    """Contours of a person in each view, and the cameras of the views."""

    contours: Keypoints
    cameras: Sequence[Camera]


def detect(
    videos: Sequence[Video],
    options: DetectionOptions,
    boxes: np.ndarray | None = None,
    frames: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    together: bool = True,
) -> Detections:
    """Everybody in videos; points as their `skeleton` says. boxes, frames, progress, together: as `detect_videos`."""
    return detect_videos(videos, lambda: _detector(options, boxes is not None), progress, boxes, frames, together)


def _detector(options: DetectionOptions, boxes_known: bool) -> Detector:
    """With boxes from motion capture no network looks for people; the whole image serves where a box is missing."""
    from simspine.detection.blazepose import BlazePose

    if options.detector == "spinepose":
        from simspine.detection.spinepose import SpinePose

        boxes = whole_image if boxes_known else None
        return SpinePose(options.model, options.device, boxes=boxes, people=options.people)
    if options.detector == "blazepose_spine":
        from simspine.detection.blazepose_spine import BlazePoseSpine

        return BlazePoseSpine(options.people)
    return BlazePose(options.people, silhouettes=options.silhouettes)


def follow_person(
    detections: Detections, cameras: Sequence[Camera], skeleton: str, options: DetectionOptions
) -> Followed:
    """The one person followed. cameras: in the order of the views."""
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


def follow_people(detections: Detections, cameras: Sequence[Camera], skeleton: str) -> list[Followed]:
    """Everybody who is there for long enough (see `tracks_of_people`), most seen first; else as `follow_person`."""
    tracks = tracks_of_people(detections.people, cameras, skeleton, detections.rate)
    return [_named(points, detections, skeleton) for points in tracks]


def _named(points: np.ndarray, detections: Detections, skeleton: str) -> Followed:
    """Points (frames, views, points, 3) in the 37 SIMSPINE names, and those of the outline."""
    guessed = detections.estimated
    origin = tuple(Origin.ESTIMATED if name in guessed else Origin.DETECTED for name in detections.names)
    native = Keypoints(detections.names, detections.rate, points[..., :2], np.clip(points[..., 2], 0, 1), origin)
    own = len(load(skeleton))
    contours = native.select(native.names[own:]) if len(native.names) > own else None
    return Followed(translate(native.select(native.names[:own]), skeleton), contours)


def locate_points(
    keypoints: Keypoints, cameras: Sequence[Camera], options: TriangulationOptions, timing: Timing | None = None
) -> tuple[Markers, TriangulationReport]:
    """Points in space (z_up) with covariance, of those that any view shows, and what they were made from.

    Time 0 is the first view's frame 0; timing: where the points begin later than that. Estimated points are known in
    space no better than one view states, see `with_shared_errors`.
    """
    observed = np.isfinite(keypoints.xy).any((0, 1, 3))
    names = [name for name, there in zip(keypoints.names, observed, strict=True) if there]
    points, report = triangulate_with_report(keypoints.select(names), cameras, **options.model_dump())
    start = 0.0 if timing is None else timing.first / keypoints.rate
    return with_shared_errors(points.with_(start=start)), report


def with_shared_errors(points: Markers) -> Markers:
    """Points whose covariance allows for errors that all views share: what a network estimates from pose and outline is
    wrong in all views alike, and no number of views averages that away.

    Added along all axes is what the mean variance lacks of the one that the mean confidence of the views stands for.
    """
    at = np.flatnonzero(points.of_origin(Origin.ESTIMATED))
    if not at.size or points.covariance is None or points.weight is None:
        return points
    from simspine.detection.blazepose_spine import stated_deviation

    covariance = points.covariance.copy()
    known = np.trace(covariance[:, at], axis1=-2, axis2=-1) / 3
    with np.errstate(invalid="ignore"):
        lacking = np.maximum(stated_deviation(points.weight[:, at]) ** 2 - known, 0)
    covariance[:, at] += np.where(np.isfinite(known), lacking, 0)[..., None, None] * np.eye(3)
    return points.with_(covariance=covariance)


def make_markers(
    points: Markers,
    filtering: FilterOptions,
    merging: MergeOptions,
    mocap: Markers | None = None,
    pairs: Sequence[Pair] | None = None,
    infer_spine: bool = True,
    outline: Outline | None = None,
) -> tuple[Markers, MergeReport | None]:
    """What inverse kinematics fits (y_up): filtered, gaps filled or left, merged with motion capture, spine inferred.

    mocap: markers that replace points; pairs: which is which (default: equal names). Points of the spine that nobody
    saw are inferred from the joints if asked, and marked in their names; with an outline, those behind it are placed
    by it, and marked as well.
    """
    markers, report = smooth(points, **filtering.model_dump()), None
    if mocap is not None:
        options = merging.model_dump() | {"correspondence": pairs}
        markers, report = merge_with_report(markers, mocap, max_gap_s=filtering.max_gap_s, **options)
    if infer_spine:
        markers = infer_points(markers)
    markers = label_inferred(markers)
    if outline is not None:
        markers = _with_outlined(markers, silhouette_points(*outline, markers))
    return in_frame(markers, "y_up"), report


def _with_outlined(markers: Markers, outlined: Markers | None) -> Markers:
    """The markers with points behind the trunk's outline, in the place of inferred ones; observed ones stay."""
    if outlined is None:
        return markers
    inferred = set(markers.names_of(Origin.INFERRED))
    observed = {base_name(name) for name in markers.names if name not in inferred}
    outlined = outlined.select([name for name in outlined.names if base_name(name) not in observed])
    replaced = {base_name(name) for name in outlined.names}
    rest = markers.select([n for n in markers.names if n not in inferred or base_name(n) not in replaced])
    shape = (rest.frames, len(rest.names))
    weight = np.ones(shape) if rest.weight is None else rest.weight
    covariance = np.full((*shape, 3, 3), np.nan) if rest.covariance is None else rest.covariance
    filled = None
    if rest.filled is not None:
        filled = np.concatenate([rest.filled, np.zeros(outlined.xyz.shape[:2], bool)], 1)
    return rest.with_(
        names=(*rest.names, *outlined.names),
        xyz=np.concatenate([rest.xyz, outlined.xyz], 1),
        weight=np.concatenate([weight, outlined.present.astype(float)], 1),
        covariance=np.concatenate([covariance, outlined.covariance], 1),
        origin=(*rest.origins, *outlined.origins),
        filled=filled,
    )


def detector_of(options: DetectionOptions) -> Detector:
    """The detector that the options name, which finds people by itself."""
    return _detector(options, boxes_known=False)
