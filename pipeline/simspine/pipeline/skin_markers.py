"""Between detection and triangulation: markers on the skin, followed in the videos from a few clicks."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from simspine.body.skin import read_skin_table
from simspine.body.tape import Tape
from simspine.cameras.clocks import Timing, at_instants
from simspine.cameras.epipolar import apart_px
from simspine.detection.crops import Crops
from simspine.detection.skin_markers import TRUNK, Clicks, track_markers
from simspine.detection.tape import track_tape
from simspine.errors import InputError, unknown_name
from simspine.geometry import undistort
from simspine.pipeline.skin_tape import check_views_of_tape
from simspine.skeletons import with_points
from simspine.skeletons.skin_names import landmark
from simspine.sources.video import Video
from simspine.types import Camera, Keypoints

MARGIN = 0.6  # of the trunk's diagonal, kept around it
APART_PX, APART_DEVIATIONS = 3.0, 5.0  # what two views may differ by, beyond what the calibration makes them differ


class SkinClicks(NamedTuple):
    """Clicks on markers on the skin, as `follow_skin_markers` takes them."""

    clicks: Mapping[str, Mapping[str, Clicks]]
    radius: float = 6.0
    tape: Tape | None = None


def follow_skin_markers(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    videos: Sequence[Video],
    clicks: Mapping[str, Mapping[str, Clicks]],
    radius: float = 6.0,
    timing: Timing | None = None,
    tape: Tape | None = None,
) -> Keypoints:
    """The keypoints and, after them, the markers on the skin: `C7_skin`, `LPSIS_skin`, …, and the dots of a tape.

    keypoints: the person followed, SIMSPINE names. cameras, videos: in the order of the views. clicks: {landmark:
    {view: {frame: (x, y) px or None}}}, see `track_markers`; a marker is looked for in views where it was clicked.
    radius: of a marker in the images, px. timing: where views are late, which frames of the videos the keypoints are
    of; clicks are of the videos' frames. tape: a row of dots along the spine, named by their place between two levels
    (`T7.40_skin`: 40 % of the way from T7 to T8). Where two views do not agree (beyond what is the same throughout,
    which is the calibration's) the marker is missing. Raises `InputError` for names that do not exist, clicks outside
    the images, and a tape on which the views do not agree.
    """
    singles = tuple(read_skin_table().of(clicks))
    names = singles if tape is None else (*singles, *tape.names)
    check_clicks(clicks, cameras, videos, tape)
    frames = keypoints.frames if timing is None else max(video.frames for video in videos)
    found = np.full((frames, keypoints.views, len(names), 3), np.nan)
    for v, (camera, video) in enumerate(zip(cameras, videos, strict=True)):
        own = {name: clicks[landmark(name)].get(camera.name) for name in singles}
        seen = {name: at for name, at in own.items() if at}
        if not seen and (tape is None or camera.name not in tape.views):
            continue
        trunk = np.full((frames, len(TRUNK), 2), np.nan)
        trunk[slice(None) if timing is None else timing.nearest(v)] = keypoints.xy[:, v][:, keypoints.indices(TRUNK)]
        try:
            tracks = _tracked(video, trunk, (seen, radius), (tape, camera.name))
        except InputError as error:
            raise InputError(f"{camera.name}: {error}") from None
        for name, track in tracks.items():
            found[: len(track), v, names.index(name)] = track
    tracked = Keypoints(names, keypoints.rate, found[..., :2], np.nan_to_num(found[..., 2]))
    simultaneous = tracked if timing is None else at_instants(tracked, timing)
    found_in_all = with_points(keypoints, simultaneous)
    if tape is not None:
        check_views_of_tape(found_in_all, cameras, tape)
    return with_points(keypoints, simultaneous.with_(xy=_agreeing(simultaneous.xy, cameras)))


def check_clicks(
    clicks: Mapping[str, Mapping[str, Clicks]],
    cameras: Sequence[Camera],
    videos: Sequence[Video],
    tape: Tape | None = None,
) -> None:
    """`InputError` for clicks in a view, at a frame, or at a place in the image that there is none of.

    cameras, videos: in the order of the views.
    """
    by_view = {camera.name: video for camera, video in zip(cameras, videos, strict=True)}
    dots = {} if tape is None else {f"dot {number} of the tape": views for number, views in tape.clicks.items()}
    for name, views in {**clicks, **dots}.items():
        for view, at in views.items():
            if view not in by_view:
                raise unknown_name("view", view, by_view, f"the clicks of {name}")
            _check_places(name, view, at, by_view[view])


def _check_places(name: str, view: str, at: Clicks, video: Video) -> None:
    if at and max(at) >= video.frames:
        raise InputError(
            f"{name} is clicked at frame {max(at)} of {view}, whose video has {video.frames} frames, "
            f"0 to {video.frames - 1}."
        )
    width, height = video.size
    for frame, xy in at.items():
        if xy is not None and not (0 <= xy[0] < width and 0 <= xy[1] < height):
            raise InputError(
                f"{name} is clicked at {xy[0]:g}, {xy[1]:g} px in frame {frame} of {view}, whose images are "
                f"{width}×{height} px. Clicks are x right, y down from the upper left corner."
            )


def _tracked(
    video: Video, trunk: np.ndarray, singles: tuple[Mapping[str, Clicks], float], tape: tuple[Tape | None, str]
) -> dict[str, np.ndarray]:
    """{marker: (frames, 3)} in one view. singles: their clicks, and radius. tape: it, and the name of the view."""
    with Crops() as crops:
        for frame, image in enumerate(video):
            if frame == len(trunk):
                break
            crops.add(image, _box(trunk[frame]))
        tracks = track_markers(crops, singles[0], trunk, singles[1], video.rate)
        row, view = tape
        if row is None or view not in row.views:
            return tracks
        dots = track_tape(crops, row.clicks_in(view), row.dots, row.radius)
        return tracks | {name: dots[:, k] for k, name in enumerate(row.names)}


def _box(trunk: np.ndarray) -> np.ndarray | None:
    """x0 y0 x1 y1 px around the trunk's points (4, 2); None, the whole image, where they are not all seen."""
    if not np.isfinite(trunk).all():
        return None
    low, high = trunk.min(0), trunk.max(0)
    margin = MARGIN * np.hypot(*(high - low))
    return np.concatenate([low - margin, high + margin])


def _agreeing(xy: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Tracks (frames, views, markers, 2) px without the frames in which two views do not show the same thing."""
    xy = xy.copy()
    rays = np.stack([undistort(camera, xy[:, v]) for v, camera in enumerate(cameras)], 1)
    for a, b in combinations(range(len(cameras)), 2):
        apart = apart_px(cameras[a], cameras[b], rays[:, a], rays[:, b])
        for marker in np.flatnonzero(np.isfinite(apart).any(0)):
            beside = np.abs(apart[:, marker] - np.nanmedian(apart[:, marker]))
            wrong = beside > APART_PX + APART_DEVIATIONS * np.nanmedian(beside)
            xy[wrong, a, marker] = xy[wrong, b, marker] = np.nan
    return xy
