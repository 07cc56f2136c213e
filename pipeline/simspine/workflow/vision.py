"""Stages from images to markers: detect, triangulate, merge."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from simspine.config import Trial
from simspine.detection.association import associate
from simspine.detection.boxes import ExtentBoxes, boxes_of_joints, whole_image
from simspine.detection.imported import read_detections
from simspine.detection.run import Detections, detect_videos
from simspine.errors import InputError
from simspine.filtering import smooth
from simspine.formats.store import load, save
from simspine.formats.trc import write_trc
from simspine.geometry import in_frame
from simspine.merging import merge_with_report
from simspine.skeletons import translate
from simspine.skeletons.correspondence import read_correspondence
from simspine.skeletons.inferred_names import label_inferred
from simspine.sources.pose2sim import match_cameras
from simspine.sources.video import check_synchronised, open_videos
from simspine.spine.shape.from_joints import infer_points
from simspine.triangulation import triangulate_with_report
from simspine.types import Camera, Keypoints, Markers
from simspine.workflow.context import Context
from simspine.workflow.inputs import Capture
from simspine.workflow.manifest import Task


def detect(context: Context) -> list[Task]:
    """Images → keypoints/<trial>.h5: 37 points per view of the person followed, and the cameras in view order."""
    options = context.config.detection
    settings = options.model_dump(mode="json", exclude={"infer_spine"})  # that is done by the stage merge
    tasks = []
    for name, trial in context.config.subject(context.subject).trials.items():
        capture, out, fault = context.capture(name), context.paths.keypoints(name), context.known_fault(name)

        def work(name=name, trial=trial, capture=capture, out=out, fault=fault) -> dict:
            detections, skeleton, cameras = _detections(context, name, trial, capture)
            keypoints = capture.seen_by(cameras, _person(context, detections, skeleton, cameras))
            save(out, keypoints=keypoints, cameras=cameras, skeleton=skeleton, **fault)
            return {
                "frames": keypoints.frames,
                "views": keypoints.views,
                "people_seen": int(np.isfinite(detections.people).any((3, 4)).sum(2).max()),
                "seen_share": _share(np.isfinite(keypoints.xy).any((2, 3))),
                **fault,
            }

        tasks.append(Task(name, capture.detected, (out,), settings | {"rate": trial.rate} | fault, work))
    return tasks


def _detections(context: Context, name: str, trial: Trial, capture: Capture) -> tuple[Detections, str, list]:
    """Everybody seen in each view, the name of the points' skeleton, and the cameras in the order of the views."""
    options = context.config.detection
    cameras = capture.cameras()
    if capture.stored:
        return _stored(capture.stored, cameras)
    if capture.keypoints:
        check_folders(name, capture, cameras)
        detections, skeleton = read_detections(capture.keypoints, trial.rate, options.skeleton)
        return detections, skeleton.name, cameras
    if options.detector == "import":
        raise InputError(f"trial {name!r}: detector 'import' reads `keypoints` folders, but the trial gives videos.")
    videos = open_videos(capture.videos)
    known = capture.motion_capture() if trial.capture is not None else None  # in the cameras' world and time
    check_synchronised(videos, lengths_agree=known is None)
    cameras = match_cameras(videos, cameras)
    boxes = frames = None
    if known is not None:
        frames = min(known.frames, *(video.frames for video in videos))
        boxes = boxes_of_joints(cameras, known.xyz) if options.detector == "spinepose" else None
    with context.progress(f"{name}: detecting") as progress:
        detections = detect_videos(videos, lambda: _detector(options, boxes is not None), progress, boxes, frames)
    return detections, _skeleton_of(options.detector), cameras


def _stored(path: Path, cameras: Sequence[Camera]) -> tuple[Detections, str, list[Camera]]:
    """One person's points out of a file of ours; each view gets the camera of the same name."""
    content = load(path)
    for item in ("keypoints", "cameras", "skeleton"):
        if item not in content:
            raise InputError(f"{path}: holds {', '.join(content)}; keypoints, cameras and skeleton are wanted.")
    keypoints, views = content["keypoints"], [camera.name for camera in content["cameras"]]
    by_name = {camera.name: camera for camera in cameras}
    if len(views) != keypoints.views or any(view not in by_name for view in views):
        raise InputError(
            f"{path}: {keypoints.views} views of {', '.join(views)}; the calibration has {', '.join(by_name)}."
        )
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]
    return Detections(keypoints.names, keypoints.rate, people), content["skeleton"], [by_name[view] for view in views]


def check_folders(name: str, capture: Capture, cameras: Sequence[Camera]) -> None:
    """`InputError` unless there are as many folders of keypoints as cameras."""
    if len(cameras) != len(capture.keypoints):
        raise InputError(
            f"trial {name!r} has {len(capture.keypoints)} folders of keypoints, but {capture.calibration} holds "
            f"{len(cameras)} cameras ({', '.join(c.name for c in cameras)}). Give one folder per camera, in order."
        )


def _detector(options, boxes_known: bool):
    """With boxes from motion capture no network looks for people; the whole image serves where a box is missing."""
    from simspine.detection.blazepose import BlazePose

    if options.detector == "spinepose":
        from simspine.detection.spinepose import SpinePose

        boxes = whole_image if boxes_known else ExtentBoxes(BlazePose())
        return SpinePose(options.model, options.device, boxes=boxes)
    return BlazePose(complexity=options.model_complexity)


def _skeleton_of(detector: str) -> str:
    return {"blazepose": "blazepose33", "spinepose": "spinetrack37"}[detector]


def _person(context: Context, detections: Detections, skeleton: str, cameras) -> Keypoints:
    """The person followed, in the 37 names."""
    options = context.config.detection
    points = associate(detections.people, cameras, skeleton, detections.rate, person=options.person)
    native = Keypoints(detections.names, detections.rate, points[..., :2], np.clip(points[..., 2], 0, 1))
    return translate(native, skeleton)


def triangulate(context: Context) -> list[Task]:
    """keypoints/<trial>.h5 → points/<trial>.h5: 3D points with covariance, and what they were made from."""
    options = context.config.triangulation.model_dump(mode="json")
    tasks = []
    for name in context.trials:
        source, out = context.paths.keypoints(name), context.paths.points(name)

        def work(source=source, out=out) -> dict:
            stored = load(source)
            keypoints = stored["keypoints"]
            seen = np.isfinite(keypoints.xy).any((0, 1, 3))
            keypoints = keypoints.select([n for n, s in zip(keypoints.names, seen, strict=True) if s])
            points, report = triangulate_with_report(keypoints, stored["cameras"], **options)
            save(out, points=points, skeleton=stored["skeleton"], report=asdict(report), **_fault_in(stored))
            return report.summary()

        tasks.append(Task(name, (source,), (out,), options, work))
    return tasks


def merge_markers(context: Context) -> list[Task]:
    """points/<trial>.h5 (and mocap) → markers/<trial>.h5, .trc: filtered, gaps filled or left, y_up.

    Spine points that the detector has none of are inferred from the joints if the configuration says so.
    """
    filtering = context.config.filter.model_dump(mode="json")
    merging = context.config.merge.model_dump(mode="json")
    infer_spine = context.config.detection.infer_spine
    tasks = []
    for name in context.trials:
        source, capture = context.paths.points(name), context.capture(name)
        out, trc = context.paths.markers(name), context.paths.markers(name, ".trc")
        table = merging["correspondence"] or capture.correspondence

        def work(source=source, capture=capture, table=table, out=out, trc=trc) -> dict:
            stored = load(source)
            markers, notes = smooth(stored["points"], **filtering), {}
            if capture.mocap:
                markers, notes = _merged(markers, capture, table, merging, filtering["max_gap_s"], source)
            if infer_spine:
                markers = infer_points(markers)
            turned = in_frame(label_inferred(markers), "y_up")
            save(out, markers=turned, skeleton=stored["skeleton"], **_fault_in(stored))
            write_trc(trc, turned)
            missing = {n: int(m) for n, m in zip(turned.names, (~turned.present).sum(0), strict=True) if m}
            filled = int(0 if turned.filled is None else turned.filled.sum())
            return {"missing_frames": missing, "filled": filled} | notes

        own = (Path(table),) if capture.mocap and table and table.endswith(".csv") else ()
        settings = (
            filtering
            | {"infer_spine": infer_spine}
            | ({"merge": merging | {"correspondence": table}} if capture.mocap else {})
        )
        tasks.append(Task(name, (source, *capture.mocap, *own), (out, trc), settings, work))
    return tasks


def _merged(points: Markers, capture: Capture, table: str | None, options: dict, max_gap_s: float, source: Path):
    """The points with motion capture in their places, and notes about clocks and places."""
    pairs = None if table is None else read_correspondence(table)
    try:
        merged, report = merge_with_report(
            points, capture.motion_capture(), max_gap_s=max_gap_s, **options | {"correspondence": pairs}
        )
    except InputError as error:
        raise InputError(f"{capture.mocap[0]} with {source}: {error}") from None
    shift = report.shift
    return merged, {
        "mocap": {
            "replaced": list(report.replaced),
            "misfit_m": _number(report.misfit),
            "clock_late_s": _number(shift.seconds),
            "clock_late_sd_s": _number(shift.deviation),
            "clock_corrected": report.corrected,
            "filled": report.filled,
            "missing": report.missing,
        }
    }


def _fault_in(stored: dict) -> dict[str, str]:
    """What the stage before said about the recording."""
    return {"known_fault": stored["known_fault"]} if "known_fault" in stored else {}


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def _share(mask: np.ndarray) -> float:
    return round(float(mask.mean()), 4)
