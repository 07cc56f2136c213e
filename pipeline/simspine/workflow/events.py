"""Delays by hand: the frames at which the views of a trial show one event."""

from collections.abc import Mapping, Sequence

import numpy as np

from simspine.config import Config
from simspine.errors import InputError, unknown_name
from simspine.sources.pose2sim import match_cameras
from simspine.sources.video import open_videos
from simspine.workflow.inputs import capture_of
from simspine.workflow.stages.detect import read_folders

LARGEST_FRAME = 1_000_000_000  # of any video: eleven days at 1000 Hz


def frames_of_views(config: Config, subject: str | None, trial: str | None) -> dict[str, int]:
    """{camera: frames} of the views of a trial, the first one if none is named. `InputError` for inputs that are not
    there, and for a trial whose points come in a file, whose views begin together."""
    subject = subject or next(iter(config.subjects))
    trial = trial or config.trials(subject)[0]
    config.trials(subject, trial)  # it must exist
    about = config.subject(subject).trials[trial]
    capture = capture_of(about, subject, config)
    if capture.videos:
        videos = open_videos(capture.videos)
        cameras = match_cameras(videos, capture.cameras())
        return {camera.name: video.frames for camera, video in zip(cameras, videos, strict=True)}
    if not capture.keypoints:
        raise InputError(f"{subject}/{trial} has neither videos nor folders of points: its views begin together.")
    cameras = capture.cameras()
    seen, _ = read_folders(trial, about, capture, cameras, config.detection.skeleton)
    lengths = seen.lengths or (len(seen.people),) * len(cameras)
    return {camera.name: frames for camera, frames in zip(cameras, lengths, strict=True)}


def delays_of_events(events: Sequence[str], views: Mapping[str, int] | None = None) -> dict[str, float]:
    """{view: frames it is late beside the first} from 'VIEW=FRAME' of one event that all views show.

    views: frames of each view, where they are known: one event for each is wanted then, within them. One `InputError`
    names all that is wrong.
    """
    frames: dict[str, float] = {}
    faults = []
    for event in events:
        view, equals, frame = event.rpartition("=")
        try:
            number = float(frame)
        except ValueError:
            number = np.nan
        if not (view and equals) or not np.isfinite(number):
            faults.append(f"--event {event!r} is not VIEW=FRAME, such as cam01=132.")
        elif view in frames:
            faults.append(f"--event names {view} twice; give one frame for each view.")
        elif number < 0:
            faults.append(f"--event {event}: frames count from 0.")
        elif number > LARGEST_FRAME:
            faults.append(f"--event {event}: no frame number; at most {LARGEST_FRAME:,}.")
        elif views is not None and view not in views:
            faults.append(f"--event {event}: {unknown_name('view', view, views)}")
        elif views is not None and number > views[view] - 1:
            faults.append(f"--event {event}: {view} has {views[view]} frames, 0 to {views[view] - 1}.")
        else:
            frames[view] = number
    left_out = [view for view in views or () if view not in frames]
    if not faults and views is not None and left_out:
        faults.append(f"--event names no frame of {', '.join(left_out)}; give one for each view.")
    if not faults and len(frames) < 2:
        faults.append("--event names one view; give the frame at which each view shows the same event.")
    if faults:
        raise InputError("\n".join(faults))
    first = frames[next(iter(views or frames))]
    return {view: frames[view] - first for view in views or frames}
