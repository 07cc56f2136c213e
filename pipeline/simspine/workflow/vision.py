"""Stages from images to markers: detect, triangulate, merge."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from simspine.config import Trial
from simspine.detection.association import associate
from simspine.detection.imported import read_detections
from simspine.detection.run import Detections, detect_videos
from simspine.detection.spine_inference import infer_missing
from simspine.errors import InputError
from simspine.filtering import smooth
from simspine.formats.calibration import read_calibration
from simspine.formats.store import load, save
from simspine.formats.trc import read_trc, write_trc
from simspine.merging import in_frame, label_inferred, merge
from simspine.skeletons import translate
from simspine.sources.pose2sim import match_cameras
from simspine.sources.video import check_synchronised, open_videos
from simspine.triangulation import triangulate_with_report
from simspine.types import Camera, Keypoints
from simspine.workflow.context import Context
from simspine.workflow.inputs import Capture
from simspine.workflow.manifest import Task


def detect(context: Context) -> list[Task]:
    """Images → keypoints/<trial>.h5: 37 points per view of the person followed, and the cameras in view order."""
    settings = context.config.detection.model_dump(mode="json")
    tasks = []
    for name, trial in context.config.subject(context.subject).trials.items():
        capture, out = context.capture(name), context.paths.keypoints(name)

        def work(name=name, trial=trial, capture=capture, out=out) -> dict:
            detections, skeleton, cameras = _detections(context, name, trial, capture)
            keypoints = _person(context, detections, skeleton, cameras)
            save(out, keypoints=keypoints, cameras=cameras, skeleton=skeleton)
            return {
                "frames": keypoints.frames,
                "views": keypoints.views,
                "people_seen": int(np.isfinite(detections.people).any((3, 4)).sum(2).max()),
                "seen_share": _share(np.isfinite(keypoints.xy).any((2, 3))),
            }

        tasks.append(Task(name, capture.detected, (out,), settings | {"rate": trial.rate}, work))
    return tasks


def _detections(context: Context, name: str, trial: Trial, capture: Capture) -> tuple[Detections, str, list]:
    """Everybody seen in each view, the name of the points' skeleton, and the cameras in the order of the views."""
    options = context.config.detection
    cameras = read_calibration(capture.calibration)
    if capture.keypoints:
        check_folders(name, capture, cameras)
        detections, skeleton = read_detections(capture.keypoints, trial.rate, options.skeleton)
        return detections, skeleton.name, cameras
    if options.detector == "import":
        raise InputError(f"trial {name!r}: detector 'import' reads `keypoints` folders, but the trial gives videos.")
    videos = open_videos(capture.videos)
    check_synchronised(videos)
    cameras = match_cameras(videos, cameras)
    with context.progress(f"{name}: detecting") as progress:
        detections = detect_videos(videos, lambda: _detector(options), progress)
    return detections, _skeleton_of(options.detector), cameras


def check_folders(name: str, capture: Capture, cameras: Sequence[Camera]) -> None:
    """`InputError` unless there are as many folders of keypoints as cameras."""
    if len(cameras) != len(capture.keypoints):
        raise InputError(
            f"trial {name!r} has {len(capture.keypoints)} folders of keypoints, but {capture.calibration} holds "
            f"{len(cameras)} cameras ({', '.join(c.name for c in cameras)}). Give one folder per camera, in order."
        )


def _detector(options):
    if options.detector == "spinepose":
        from simspine.detection.blazepose import BlazePose
        from simspine.detection.boxes import ExtentBoxes
        from simspine.detection.spinepose import SpinePose

        return SpinePose(options.model, options.device, boxes=ExtentBoxes(BlazePose()))
    from simspine.detection.blazepose import BlazePose

    return BlazePose(complexity=options.model_complexity)


def _skeleton_of(detector: str) -> str:
    return {"blazepose": "blazepose33", "spinepose": "spinetrack37"}[detector]


def _person(context: Context, detections: Detections, skeleton: str, cameras) -> Keypoints:
    """The person followed, in the 37 names, with spine points inferred where the detector has none."""
    options = context.config.detection
    points = associate(detections.people, cameras, skeleton, detections.rate, person=options.person)
    native = Keypoints(detections.names, detections.rate, points[..., :2], np.clip(points[..., 2], 0, 1))
    keypoints = translate(native, skeleton)
    return infer_missing(keypoints) if options.infer_spine else keypoints


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
            save(out, points=points, skeleton=stored["skeleton"], report=asdict(report))
            return report.summary()

        tasks.append(Task(name, (source,), (out,), options, work))
    return tasks


def merge_markers(context: Context) -> list[Task]:
    """points/<trial>.h5 (and mocap) → markers/<trial>.h5, .trc: filtered, gaps filled or left, y_up."""
    options = context.config.filter.model_dump(mode="json")
    tasks = []
    for name in context.trials:
        source, mocap = context.paths.points(name), context.capture(name).mocap
        out, trc = context.paths.markers(name), context.paths.markers(name, ".trc")

        def work(source=source, mocap=mocap, out=out, trc=trc) -> dict:
            stored = load(source)
            given = None if mocap is None else read_trc(mocap)
            try:
                markers = label_inferred(merge(smooth(stored["points"], **options), given))
            except InputError as error:
                raise error if mocap is None else InputError(f"{mocap} with {source}: {error}") from None
            turned = in_frame(markers, "y_up").with_(covariance=None)
            save(out, markers=turned, skeleton=stored["skeleton"])
            write_trc(trc, turned)
            missing = {n: int(m) for n, m in zip(turned.names, (~turned.present).sum(0), strict=True) if m}
            return {"missing_frames": missing, "filled": int(0 if turned.filled is None else turned.filled.sum())}

        inputs = (source,) if mocap is None else (source, mocap)
        tasks.append(Task(name, inputs, (out, trc), options, work))
    return tasks


def _share(mask: np.ndarray) -> float:
    return round(float(mask.mean()), 4)
