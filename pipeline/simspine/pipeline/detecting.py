"""The stage detect: from a recording to the 2D points of the person followed, in views that are in step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from simspine.cameras.clocks import Timing
from simspine.detection.boxes import boxes_of_joints
from simspine.detection.options import DetectionOptions
from simspine.detection.run import Detections
from simspine.pipeline.delays import Delays, follow_in_step, in_step_alone
from simspine.pipeline.points import detect, follow_people, follow_person
from simspine.pipeline.skin_markers import SkinClicks, follow_skin_markers
from simspine.pipeline.stage import Stage
from simspine.skeletons import by_names, translate
from simspine.sources.pose2sim import match_cameras
from simspine.sources.video import check_synchronised, open_videos
from simspine.types import Camera, Keypoints, Markers


@dataclass(frozen=True, eq=False)
class TrialSource:
    """What the 2D points of a trial come from: `keypoints` of one person, `detections` of everybody, or else videos.

    cameras: in the order of the views; with videos in any order. skeleton: of the detections' points. delays: of views
    that are late. mocap: motion capture in the world and time of the cameras: it says where in the videos the person
    is, and for how many frames. skin: clicks on markers on the skin, which are followed in the videos. progress: called
    with (frames done, frames in all).
    """

    cameras: Sequence[Camera]
    keypoints: Keypoints | None = None
    detections: Detections | None = None
    skeleton: str = ""
    videos: tuple[Path, ...] = ()
    delays: Delays | None = None
    mocap: Markers | None = None
    skin: SkinClicks | None = None
    progress: Callable[[int, int], None] | None = None


def detect_person(options: DetectionOptions, *, recording: TrialSource) -> dict[str, Any]:
    """One person's points. Raises `InputError` where nobody is found, or cameras and views do not match."""
    if recording.keypoints is not None:
        skeleton = by_names(recording.keypoints.names).name
        points = translate(recording.keypoints, skeleton)
        keypoints, timing = in_step_alone(points, recording.cameras, recording.delays)
        return _seen(keypoints, timing, recording.cameras, skeleton) | {"people_seen": 1}
    detections, skeleton, cameras = _everybody(options, recording)
    (keypoints,), timing = follow_in_step(
        detections, cameras, recording.delays, lambda seen: [follow_person(seen, cameras, skeleton, options)], skeleton
    )
    if recording.skin is not None:
        clicks, radius, tape = recording.skin
        videos = open_videos(recording.videos)
        keypoints = follow_skin_markers(keypoints, cameras, videos, clicks, radius, timing, tape)
    people_seen = int(np.isfinite(detections.people).any((3, 4)).sum(2).max())
    return _seen(keypoints, timing, cameras, skeleton) | {"people_seen": people_seen}


DETECT = Stage(
    "detect",
    detect_person,
    takes=("recording",),
    gives=("keypoints", "timing", "cameras", "skeleton", "people_seen"),
    sections=("detection",),
)


def detect_people(options: DetectionOptions, *, recording: TrialSource) -> list[dict[str, Any]]:
    """The same of everybody who is there for long enough, who is seen most first."""
    detections, skeleton, cameras = _everybody(options, recording)
    people, timing = follow_in_step(
        detections, cameras, recording.delays, lambda seen: follow_people(seen, cameras, skeleton), skeleton
    )
    return [_seen(keypoints, timing, cameras, skeleton) for keypoints in people]


def _seen(keypoints: Keypoints, timing: Timing | None, cameras: Sequence[Camera], skeleton: str) -> dict[str, Any]:
    return {"keypoints": keypoints, "timing": timing, "cameras": tuple(cameras), "skeleton": skeleton}


def _everybody(options: DetectionOptions, recording: TrialSource) -> tuple[Detections, str, Sequence[Camera]]:
    """Everybody in each view, the name of the points' skeleton, and the cameras in the order of the views."""
    if recording.detections is not None:
        return recording.detections, recording.skeleton, recording.cameras
    videos, known, together = open_videos(recording.videos), recording.mocap, recording.delays is None
    check_synchronised(videos, lengths_agree=known is None and together)
    cameras = match_cameras(videos, recording.cameras)
    boxes = frames = None
    if known is not None:
        frames = min(known.frames, *(video.frames for video in videos))
        boxes = boxes_of_joints(cameras, known.xyz) if options.detector == "spinepose" else None
    seen = detect(videos, options, boxes, frames, recording.progress, together)
    return seen, seen.skeleton, cameras
