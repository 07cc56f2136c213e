"""The stage detect: from a recording to the 2D points of the person followed, in synchronised views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, NamedTuple

import numpy as np

from simspine.core.arrays import frame_ranges, runs_of_frames
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import at_frames
from simspine.core.skeletons import load_skeleton, skeleton_of_names, translate
from simspine.core.types import Camera, Keypoints, Markers
from simspine.io.text_tables import warn_assumed
from simspine.io.video import check_synchronised, match_cameras_to_views, open_videos
from simspine.reconstruction.stage import Stage
from simspine.vision.detector import Detections, boxes_of_joints
from simspine.vision.follow_skin_markers import SkinClicks, follow_skin_markers
from simspine.vision.options import DetectionOptions
from simspine.vision.points import detect_in_videos, follow_people, follow_person
from simspine.vision.synchronise import (
    DRIFT_UNIT_FRAMES,
    Clocks,
    Timing,
    ValuePerView,
    per_view,
    refined_delays,
    synchronised_rows,
    timing_of,
    whole_frames_of_people,
    whole_rows,
)

DELAY_SEARCH_S = 10.0  # largest delay between views that is searched for
MOST_OUTSIDE = 0.1  # share of the points; more are not a few that a detector lost
MOST_REPEATS = 5  # frames with exactly the points of the frame before; more give a warning
SURE_DRIFT_SD = 3.0  # a smaller drift, in its standard deviations, is not undone


class Delays(NamedTuple):
    """Delays and drift of views, as in `Delayed`. In a mapping, views that are not named have no delay."""

    delays_frames: ValuePerView | Literal["find"]
    drift: ValuePerView | None = None


@dataclass(frozen=True)
class Delayed:
    """A recording whose views are late; for `reconstruct` and `reconstruct_people`.

    Attributes
    ----------
    source : videos or Keypoints
        As for these functions.
    delays : sequence, {camera: float} or 'find'
        Delay of each view in frames, positive where it shows an event at a higher frame number than the first view
        does; 'find': estimated from the person's movement.
    drift : sequence or {camera: float}, optional
        Increase of each view's delay, frames in 1000 frames.
    """

    source: Any
    delays: ValuePerView | Literal["find"] = "find"
    drift: ValuePerView | None = None

    def __post_init__(self):
        if isinstance(self.delays, str):
            require_known("text for delays", (self.delays,), ("find",))


def follow_in_step(
    detections: Detections,
    cameras: Sequence[Camera],
    delays: Delays | None,
    follow: Callable[[Detections], list[Keypoints]],
    skeleton: str | None = None,
) -> tuple[list[Keypoints], Timing | None]:
    """Synchronise the views, then follow people: their points at the instants that all views share, and the timing.

    cameras: in the order of the views. follow: picks people out of all detections; at least one person. skeleton: of
    the first points, where points of another kind follow. Without delays the result of `follow` is unchanged. Raises
    `InputError` for delays of unknown views, that leave too few frames, or that cannot be found.
    """
    native = detections.native
    if delays is None and not native:
        return follow(detections), None
    names = [camera.name for camera in cameras]
    lengths = [len(rows) for rows in native] or detections.lengths or (len(detections.people),) * len(names)
    delays = delays or Delays({})
    rates = np.array(detections.rates or np.ones(len(names)))
    drift = DRIFT_UNIT_FRAMES * (rates / rates[0] - 1)
    if not isinstance(delays.delays_frames, str):
        delays = delays._replace(drift=drift.tolist()) if delays.drift is None else delays
        timing = replace(given_timing(delays, cameras, lengths), native=native)
        return _follow_at_timing(detections, timing, follow), timing
    farthest = round(DELAY_SEARCH_S * detections.rate)
    # Points of outlines differ between views, so only the skeleton's points, which come first, are compared.
    points = len(detections.names if skeleton is None else load_skeleton(skeleton))
    seen = detections.people[..., :points, :]
    if native or drift.any():
        seen = synchronised_rows(seen, replace(timing_of(names, lengths, 0 * drift, drift), native=native))[1:-1]
    whole_delays = whole_frames_of_people(seen, cameras, detections.rate, farthest=farthest)
    rough = replace(timing_of(names, lengths, whole_delays, drift), native=native)
    people = _follow_at_timing(detections, rough, follow)
    if not people:
        return [], rough
    try:
        clocks = refined_delays(people[0], cameras, np.zeros(len(names)))
    except InputError as error:
        delays_text = ", ".join(f"{name} {late:+d}" for name, late in zip(names, whole_delays, strict=True))
        raise InputError(f"the delays were found to whole frames only ({delays_text}): {error}") from None
    timing = _refined_timing(rough, clocks, lengths)
    return _follow_at_timing(detections, timing, follow), timing


def given_timing(delays: Delays, cameras: Sequence[Camera], lengths: Sequence[int]) -> Timing:
    """The timing by given delays. lengths: (views,) frames of each view. Raises as `follow_in_step`."""
    assert not isinstance(delays.delays_frames, str)
    names = [camera.name for camera in cameras]
    drift = None if delays.drift is None else per_view(delays.drift, names, "drift")
    return timing_of(names, lengths, per_view(delays.delays_frames, names), drift)


def synchronise_by_detections(
    keypoints: Keypoints, cameras: Sequence[Camera], delays: Delays | None
) -> tuple[Keypoints, Timing | None]:
    """The points of one person at the instants that all views share, and the timing."""
    if delays is None:
        return keypoints, None
    if keypoints.views != len(cameras):
        raise InputError(f"{keypoints.views} views and {len(cameras)} cameras; expected as many.")
    people = np.concatenate([keypoints.xy, keypoints.confidence[..., None]], -1)[:, :, None]

    def alone(seen: Detections) -> list[Keypoints]:
        xyc = seen.people[:, :, 0]
        return [keypoints.with_(xy=xyc[..., :2], confidence=np.nan_to_num(xyc[..., 2]))]

    (person,), timing = follow_in_step(Detections(keypoints.names, keypoints.rate, people), cameras, delays, alone)
    return person, timing


def _follow_at_timing(
    detections: Detections, timing: Timing, follow: Callable[[Detections], list[Keypoints]]
) -> list[Keypoints]:
    rows = len(detections.people)
    simultaneous = detections._replace(people=synchronised_rows(detections.people, timing), lengths=())
    return [at_frames(one, timing.frame_positions(), whole_rows(timing, rows)) for one in follow(simultaneous)]


def _refined_timing(rough: Timing, clocks: Clocks, lengths: Sequence[int]) -> Timing:
    """Whole frames, refined by `clocks` at the middle of the frames that all views share."""
    sure = np.abs(clocks.drift) > SURE_DRIFT_SD * np.maximum(clocks.drift_deviation, 1e-9)
    drift = np.where(sure, clocks.drift / rough.frames, 0.0)
    late = rough.delays_frames + clocks.delays_frames - drift * (rough.first + rough.frames / 2)
    drift = rough.drift + DRIFT_UNIT_FRAMES * drift
    timing = timing_of(rough.views, lengths, late, drift=drift, deviation=clocks.deviation)
    return replace(timing, native=rough.native)


@dataclass(frozen=True, eq=False)
class TrialSource:
    """The source of a trial's 2D points: `keypoints` of one person, `detections` of everybody, or else videos.

    cameras: in the order of the views; with videos in any order. skeleton: of the detections' points. delays: of views
    that are late. mocap: motion capture in the world and time of the cameras: it shows where in the videos the person
    is, and for how many frames. skin: clicks on skin markers, which are followed in the videos. progress: called with
    (frames done, frames in all).
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
    """The stage `detect`: one person's 2D points.

    Returns keypoints (SIMSPINE names, px), timing, cameras in the order of the views, skeleton. Raises `InputError`
    where nobody is found, or cameras and views do not match.
    """
    if recording.keypoints is not None:
        skeleton = skeleton_of_names(recording.keypoints.names).name
        points = translate(recording.keypoints, skeleton)
        keypoints, timing = synchronise_by_detections(points, recording.cameras, recording.delays)
        return _results(keypoints, timing, recording.cameras, skeleton)
    detections, skeleton, cameras = _detect_everybody(options, recording)

    def follow(seen: Detections) -> list[Keypoints]:
        return [follow_person(seen, cameras, skeleton, options)]

    (keypoints,), timing = follow_in_step(detections, cameras, recording.delays, follow=follow, skeleton=skeleton)
    if recording.skin is not None:
        videos = open_videos(recording.videos)
        keypoints = follow_skin_markers(keypoints, cameras, videos, timing=timing, **recording.skin._asdict())
    return _results(keypoints, timing, cameras, skeleton)


def _without_frozen_points(keypoints: Keypoints, cameras: Sequence[Camera]) -> Keypoints:
    """The keypoints without those of a view that stands still for more than `MOST_REPEATS` frames while others move.

    Warns of a view whose points stay exactly the same from frame to frame, or are exactly those of another view.
    """
    names, xy = [camera.name for camera in cameras][: keypoints.views], np.nan_to_num(keypoints.xy)
    known = np.isfinite(keypoints.xy).any((2, 3))
    repeats, frozen = np.zeros((2, *known.shape), bool)
    repeats[1:] = (xy[1:] == xy[:-1]).all((2, 3)) & known[1:]
    for view, name in enumerate(names):
        rows = np.flatnonzero(repeats[:, view])
        others_move = (~repeats & known)[:, np.arange(keypoints.views) != view].any(1)
        for first, after in runs_of_frames(rows):
            frozen[first:after, view] = after - first > MOST_REPEATS and others_move[first:after].mean() > 0.5
        if len(rows) > MOST_REPEATS:
            frames = shorten(frame_ranges(rows), 60, placeholder=" …")
            text = f"{name}: in {len(rows)} of {keypoints.frames} frames ({frames}) all its points are where they were"
            missing = "; taken as missing" * bool(frozen[:, view].any())
            cure = "Did the video stand still? Else take fewer frames a second."
            warn_assumed(f"{text} in the frame before{missing}. {cure}")
        for other in range(view):
            if (xy[:, view] == xy[:, other]).all() and xy[:, view].any():
                warn_assumed(f"{names[other]} and {name} have exactly the same points. Is one a copy of the other?")
    return keypoints.with_(xy=np.where(frozen[..., None, None], np.nan, keypoints.xy)) if frozen.any() else keypoints


def _without_points_far_outside(keypoints: Keypoints, cameras: Sequence[Camera]) -> Keypoints:
    """The keypoints without those an image's size or more beyond it, if they are few. Many are of another image's size,
    which is found later."""
    if keypoints.views != len(cameras):  # refused by the stages that need one for each
        return keypoints
    size = np.array([camera.size for camera in cameras])[:, None]
    outside = np.any((keypoints.xy <= -size) | (keypoints.xy >= 2 * size), axis=-1)
    if not outside.any() or outside.mean() >= MOST_OUTSIDE:
        return keypoints
    views = ", ".join(camera.name for camera, lost in zip(cameras, outside.any((0, 2)), strict=True) if lost)
    warn_assumed(f"{views}: {outside.sum()} points lie far outside the image; taken as missing. Are these pixels?")
    return keypoints.with_(xy=np.where(outside[..., None], np.nan, keypoints.xy))


DETECT = Stage("detect", detect_person, gives=("keypoints", "timing", "cameras", "skeleton"))


def detect_people(options: DetectionOptions, *, recording: TrialSource) -> list[dict[str, Any]]:
    """`detect_person` of everybody who is seen for long enough, those seen most first."""
    detections, skeleton, cameras = _detect_everybody(options, recording)
    follow = partial(follow_people, cameras=cameras, skeleton=skeleton)
    people, timing = follow_in_step(detections, cameras, recording.delays, follow=follow, skeleton=skeleton)
    return [_results(keypoints, timing, cameras, skeleton) for keypoints in people]


def _results(keypoints: Keypoints, timing: Timing | None, cameras: Sequence[Camera], skeleton: str) -> dict[str, Any]:
    keypoints = _without_frozen_points(_without_points_far_outside(keypoints, cameras), cameras)
    return {"keypoints": keypoints, "timing": timing, "cameras": tuple(cameras), "skeleton": skeleton}


def _detect_everybody(options: DetectionOptions, recording: TrialSource) -> tuple[Detections, str, Sequence[Camera]]:
    """Everybody in each view, the name of the points' skeleton, and the cameras in the order of the views."""
    if recording.detections is not None:
        return recording.detections, recording.skeleton, recording.cameras
    videos, mocap, together = open_videos(recording.videos), recording.mocap, recording.delays is None
    agree = mocap is None and together
    check_synchronised(videos, lengths_agree=agree, resample=options.resample, delayed=not together)
    if mocap is not None and options.resample:
        raise InputError("detection.resample is for videos without motion capture of their own; leave it out.")
    cameras = match_cameras_to_views(videos, recording.cameras)
    boxes = frames = None
    if mocap is not None:
        frames = min(mocap.frames, *(video.frames for video in videos))
        boxes = boxes_of_joints(cameras, mocap.xyz) if options.detector == "spinepose" else None
    seen = detect_in_videos(videos, options, boxes, frames=frames, progress=recording.progress, together=together)
    return seen, seen.skeleton, cameras
