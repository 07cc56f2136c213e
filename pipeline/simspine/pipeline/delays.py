"""Between the detector and whom to follow: views that are late are brought in step, by delays given or found."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from simspine.cameras.clocks import DRIFT_PER, Clocks, PerView, Timing, between_frames, in_step, per_view, timing_of
from simspine.cameras.sync import refined_delays, whole_frames_of_people
from simspine.detection.run import Detections
from simspine.errors import InputError
from simspine.skeletons import load
from simspine.types import Camera, Keypoints

SEARCHED_S = 10.0  # s by which views may be apart for their delays to be found
SURE_DRIFT = 3.0  # standard deviations from which a drift that was found is undone


@dataclass(frozen=True)
class Delays:
    """late: frames by which each view shows an event at a higher frame number than the first view does, one value for
    each view or by camera name (0 where left out); or 'find'. drift: frames by which it gets later in 1000 frames.
    """

    late: PerView | Literal["find"]
    drift: PerView | None = None


@dataclass(frozen=True)
class Delayed:
    """A recording whose views are late; for `reconstruct` and `reconstruct_people`.

    source: videos, or `Keypoints` of one person, as these take them. delays: frames of each view, positive where it
    shows an event at a higher frame number than the first view does: a list, or by camera name; or 'find', to find them
    from how the person moves. drift: frames by which each view gets later in 1000 frames.
    """

    source: Any
    delays: PerView | Literal["find"] = "find"
    drift: PerView | None = None

    @property
    def clocks(self) -> Delays:
        return Delays(self.delays, self.drift)


def follow_in_step(
    detections: Detections,
    cameras: Sequence[Camera],
    delays: Delays | None,
    follow: Callable[[Detections], list[Keypoints]],
    skeleton: str | None = None,
) -> tuple[list[Keypoints], Timing | None]:
    """People as `follow` finds them once the views are in step, each at the instants that all views share.

    cameras: in the order of the views. follow: whom to take out of everybody's detections; at least one person.
    skeleton: of the points that come first, where others follow them. Without delays everything is as `follow` has it.
    Raises `InputError` for delays of unknown views, that leave too few frames, or that cannot be found.
    """
    if delays is None:
        return follow(detections), None
    names = [camera.name for camera in cameras]
    lengths = detections.lengths or (len(detections.people),) * len(names)
    if not isinstance(delays.late, str):
        timing = given_timing(delays, cameras, lengths)
        return _at(detections, timing, follow), timing
    farthest = round(SEARCHED_S * detections.rate)
    points = len(detections.names if skeleton is None else load(skeleton))  # an outline shows each view other points
    whole = whole_frames_of_people(detections.people[..., :points, :], cameras, detections.rate, farthest=farthest)
    rough = timing_of(names, lengths, whole)
    people = _at(detections, rough, follow)
    if not people:
        return [], rough
    try:
        clocks = refined_delays(people[0], cameras, np.zeros(len(names)))
    except InputError as error:
        said = ", ".join(f"{name} {late:+d}" for name, late in zip(names, whole, strict=True))
        raise InputError(f"the delays were found to whole frames only ({said}): {error}") from None
    timing = _refined(rough, clocks, lengths)
    return _at(detections, timing, follow), timing


def given_timing(delays: Delays, cameras: Sequence[Camera], lengths: Sequence[int]) -> Timing:
    """Which frames belong together by delays that are given. lengths: (views,) frames of each. Errors as above."""
    assert not isinstance(delays.late, str)
    names = [camera.name for camera in cameras]
    drift = None if delays.drift is None else per_view(delays.drift, names, "drift")
    return timing_of(names, lengths, per_view(delays.late, names), drift)


def in_step_alone(
    keypoints: Keypoints, cameras: Sequence[Camera], delays: Delays | None
) -> tuple[Keypoints, Timing | None]:
    """The same for the points of one person, whom nobody has to be told from."""
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


def _at(detections: Detections, timing: Timing, follow: Callable[[Detections], list[Keypoints]]) -> list[Keypoints]:
    rows = len(detections.people)
    simultaneous = detections._replace(people=in_step(detections.people, timing), lengths=())
    return [between_frames(one, timing, rows) for one in follow(simultaneous)]


def _refined(rough: Timing, clocks: Clocks, lengths: Sequence[int]) -> Timing:
    """Whole frames, and what `clocks` says beside them at the middle of the frames that all views share."""
    sure = np.abs(clocks.drift) > SURE_DRIFT * np.maximum(clocks.drift_deviation, 1e-9)
    drift = np.where(sure, clocks.drift / rough.frames, 0.0)
    late = rough.late + clocks.late - drift * (rough.first + rough.frames / 2)
    return timing_of(rough.views, lengths, late, DRIFT_PER * drift, clocks.deviation)
