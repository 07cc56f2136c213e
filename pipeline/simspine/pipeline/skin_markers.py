"""Between detection and triangulation: markers on the skin, followed in the videos from a few clicks."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from simspine.body.skin import read_skin_table
from simspine.cameras.clocks import Timing, at_instants
from simspine.cameras.epipolar import essential, sampson
from simspine.detection.crops import Crops
from simspine.detection.skin_markers import TRUNK, Clicks, track_markers
from simspine.errors import InputError, unknown_name
from simspine.geometry import undistort
from simspine.skeletons import with_points
from simspine.skeletons.skin_names import landmark
from simspine.sources.video import Video
from simspine.types import Camera, Keypoints

MARGIN = 0.6  # of the trunk's diagonal, kept around it
APART_PX, APART_DEVIATIONS = 3.0, 5.0  # what two views may differ by, beyond what the calibration makes them differ


def follow_skin_markers(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    videos: Sequence[Video],
    clicks: Mapping[str, Mapping[str, Clicks]],
    radius: float = 6.0,
    timing: Timing | None = None,
) -> Keypoints:
    """The keypoints and, after them, the markers on the skin: `C7_skin`, `LPSIS_skin`, ….

    keypoints: the person followed, SIMSPINE names. cameras, videos: in the order of the views. clicks: {landmark:
    {view: {frame: (x, y) px or None}}}, see `track_markers`; a marker is looked for in views where it was clicked.
    radius: of a marker in the images, px. timing: where views are late, which frames of the videos the keypoints are
    of; clicks are of the videos' frames. Where two views do not agree (beyond what is the same throughout, which is
    the calibration's) the marker is missing. Raises `InputError` for names that do not exist.
    """
    names = tuple(read_skin_table().of(clicks))
    check_clicks(clicks, {camera.name: video.frames for camera, video in zip(cameras, videos, strict=True)})
    frames = keypoints.frames if timing is None else max(video.frames for video in videos)
    found = np.full((frames, keypoints.views, len(names), 3), np.nan)
    for v, (camera, video) in enumerate(zip(cameras, videos, strict=True)):
        own = {name: clicks[landmark(name)].get(camera.name) for name in names}
        seen = {name: at for name, at in own.items() if at}
        if not seen:
            continue
        trunk = np.full((frames, len(TRUNK), 2), np.nan)
        trunk[slice(None) if timing is None else timing.nearest(v)] = keypoints.xy[:, v][:, keypoints.indices(TRUNK)]
        try:
            tracks = _tracked(video, trunk, seen, radius)
        except InputError as error:
            raise InputError(f"{camera.name}: {error}") from None
        for name, track in tracks.items():
            found[: len(track), v, names.index(name)] = track
    tracked = Keypoints(names, keypoints.rate, found[..., :2], np.nan_to_num(found[..., 2]))
    simultaneous = tracked if timing is None else at_instants(tracked, timing)
    return with_points(keypoints, simultaneous.with_(xy=_agreeing(simultaneous.xy, cameras)))


def check_clicks(clicks: Mapping[str, Mapping[str, Clicks]], frames: Mapping[str, int]) -> None:
    """`InputError` for clicks in a view, or at a frame, that there is none of. frames: of each view's video."""
    for name, by_view in clicks.items():
        for view, at in by_view.items():
            if view not in frames:
                raise unknown_name("view", view, frames, f"the clicks of {name}")
            if at and max(at) >= frames[view]:
                raise InputError(
                    f"{name} is clicked at frame {max(at)} of {view}, whose video has {frames[view]} frames, "
                    f"0 to {frames[view] - 1}."
                )


def _tracked(video: Video, trunk: np.ndarray, clicks: Mapping[str, Clicks], radius: float) -> dict[str, np.ndarray]:
    with Crops() as crops:
        for frame, image in enumerate(video):
            if frame == len(trunk):
                break
            crops.add(image, _box(trunk[frame]))
        return track_markers(crops, clicks, trunk, radius, video.rate)


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
        focal = np.sqrt(cameras[a].K[0, 0] * cameras[b].K[0, 0])
        apart = focal * sampson(essential(cameras[a], cameras[b]), rays[:, a], rays[:, b])
        for marker in np.flatnonzero(np.isfinite(apart).any(0)):
            beside = np.abs(apart[:, marker] - np.nanmedian(apart[:, marker]))
            wrong = beside > APART_PX + APART_DEVIATIONS * np.nanmedian(beside)
            xy[wrong, a, marker] = xy[wrong, b, marker] = np.nan
    return xy
