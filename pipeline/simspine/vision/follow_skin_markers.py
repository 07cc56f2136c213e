"""Skin markers and tapes, followed in the videos from a few clicks, between detection and triangulation."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np

from simspine.anatomy.marker_sets import Tape, read_skin_table
from simspine.core.arrays import map_on_threads, median_of_known
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import at_frames
from simspine.core.geometry import undistort_pixels
from simspine.core.skeletons import skin_landmark, with_points_added
from simspine.core.types import Camera, Keypoints
from simspine.io.video import Video
from simspine.vision.camera_check import epipolar_distances_px
from simspine.vision.detector import Crops
from simspine.vision.skin_markers import TRUNK_POINTS, MarkerClicks, track_markers
from simspine.vision.synchronise import Timing
from simspine.vision.tape import clicked_rows, track_tape
from simspine.vision.triangulation import triangulate

DOT_NUMBER_SHIFTS = (-3, -2, -1, 1, 2, 3)  # errors in numbering, in dots, that are looked for between two views
BETTER_SHIFT_RATIO = 0.5  # largest epipolar distance with the right numbers, relative to that with those clicked
MISNUMBERED_STEP_SHARE = 0.5  # of the distance between dots in the image: views with less disagreement are accepted
SPACING_RATIO_TOLERANCE = 0.25  # largest relative error of the spacing measured
UNLIMITED_DISTANCE_PX = 100.0  # largest reprojection error of a dot, for the spacing: cameras are not refined yet


def check_clicked_images(video: Video, view: str, tape: Tape) -> None:
    """`InputError` unless the clicked images of a view show a row of evenly spaced dots between the clicks.

    Needs the clicked images only, no person in them: wrong clicks are found before any detection.
    """
    clicks = tape.clicks_in(view)
    frames = sorted({frame for by_frame in clicks.values() for frame in by_frame})
    with Crops() as crops:
        for frame, image in zip(frames, video.at(frames), strict=True):
            crops.add(frame, image, None)
        try:
            clicked_rows(crops, clicks, tape.radius)
        except InputError as error:
            raise InputError(f"{view}: {error}") from None


def check_views_of_tape(seen: Keypoints, cameras: Sequence[Camera], tape: Tape) -> None:
    """`InputError` where two views number the dots differently, or the dots do not have the spacing of the tape.

    seen: the person's points and the dots, in simultaneous images. The median epipolar distance of the person's points
    between two views is an error of the calibration, and is subtracted.
    """
    rays = np.stack([undistort_pixels(camera, seen.xy[:, v]) for v, camera in enumerate(cameras)], 1)
    dots = seen.indices(tape.names)
    others = [i for i in range(len(seen.names)) if i not in dots]
    for a, b in combinations(range(len(cameras)), 2):
        pair = cameras[a], cameras[b]
        body = epipolar_distances_px(*pair, rays[:, a, others], rays[:, b, others])
        calibration = np.nanmedian(body) if np.isfinite(body).any() else 0.0
        step = np.linalg.norm(np.diff(seen.xy[:, a, dots], axis=1), axis=-1)
        distances = {}  # infinite where no dot is seen in both views
        for shift in (0, *DOT_NUMBER_SHIFTS):
            off = epipolar_distances_px(*pair, *_dots_with_shift(rays[:, a, dots], rays[:, b, dots], shift))
            distances[shift] = float(np.nan_to_num(median_of_known(np.abs(off - calibration).ravel()), nan=np.inf))
        best = min(distances, key=lambda shift: distances[shift])
        if (
            best
            and distances[0] > MISNUMBERED_STEP_SHARE * np.nanmedian(step)
            and distances[best] < BETTER_SHIFT_RATIO * distances[0]
        ):
            raise InputError(
                f"the dots of the tape in {cameras[a].name} and {cameras[b].name} are {distances[0]:.0f} px apart "
                f"(epipolar distance), and {distances[best]:.0f} px if dot 10 of {cameras[a].name} is dot {10 + best} "
                f"of {cameras[b].name}. The clicks of one of them are on other dots than they say: count again."
            )
    _check_spacing(seen.select(tape.names), cameras, tape)


def _dots_with_shift(a: np.ndarray, b: np.ndarray, shift: int) -> tuple[np.ndarray, np.ndarray]:
    """Dots (frames, dots, 2) of a with those of b whose numbers are `shift` higher."""
    return (a[:, : a.shape[1] - shift], b[:, shift:]) if shift >= 0 else (a[:, -shift:], b[:, :shift])


def _check_spacing(dots: Keypoints, cameras: Sequence[Camera], tape: Tape) -> None:
    placed = triangulate(dots, cameras, max_error_px=UNLIMITED_DISTANCE_PX).xyz
    spacing = np.linalg.norm(np.diff(placed, axis=1), axis=-1)
    measured = float(np.nanmedian(median_of_known(spacing.T))) if np.isfinite(spacing).any() else np.nan
    if np.isnan(measured):
        raise InputError(
            f"no two neighbouring dots of the tape are seen by two views ({', '.join(tape.views)}) at the same time. "
            "Click the tape in a frame and a view where it is in sight."
        )
    if abs(measured / tape.spacing - 1) > SPACING_RATIO_TOLERANCE:
        raise InputError(
            f"the dots of the tape are {1000 * measured:.1f} mm apart by the cameras, and {1000 * tape.spacing:g} mm "
            "by `spacing_mm`. Is it their distance from middle to middle, and is the calibration in metres?"
        )


VIEWS_AT_ONCE = 2  # views processed in parallel, as by BlazePose
TRUNK_BOX_MARGIN = 0.6  # of the trunk's diagonal, kept around it
MIN_VIEW_DISAGREEMENT_PX, MAX_VIEW_DISAGREEMENT_SD = 3.0, 5.0  # px plus median deviations that the views may differ


class SkinClicks(NamedTuple):
    """Clicks on markers on the skin, as `follow_skin_markers` takes them."""

    clicks: Mapping[str, Mapping[str, MarkerClicks]]
    radius: float = 6.0
    tape: Tape | None = None


def follow_skin_markers(
    keypoints: Keypoints,
    cameras: Sequence[Camera],
    videos: Sequence[Video],
    clicks: Mapping[str, Mapping[str, MarkerClicks]],
    radius: float = 6.0,
    timing: Timing | None = None,
    tape: Tape | None = None,
) -> Keypoints:
    """The keypoints and, after them, skin markers that are followed in the videos.

    A marker is missing where two views disagree by more than the calibration's error, which is constant in time.

    Parameters
    ----------
    keypoints : Keypoints
        The person followed, SIMSPINE names.
    cameras : sequence of Camera
    videos : sequence of Video
        In the order of the views (`simspine.io.video.open_videos`).
    clicks : {landmark: {view: {frame: (x, y) or None}}}
        px, by frame of the view's video. A marker is looked for only in views where it was clicked.
    radius : float
        Of a marker in the images, px.
    timing : Timing, optional
        Delays of views, which give the frame of each video that a keypoint is of.
    tape : Tape, optional
        A row of dots along the spine (`simspine.anatomy.marker_sets`).

    Returns
    -------
    Keypoints
        With `C7_skin`, `LPSIS_skin`, …; dots are named by their position between two levels: `T7.40_skin` is 40 % of
        the way from T7 to T8.

    Raises
    ------
    InputError
        For names that do not exist, clicks outside the images, and a tape on which the views do not agree.
    """
    singles = tuple(read_skin_table().of(clicks))
    names = singles if tape is None else (*singles, *tape.names)
    check_clicks(clicks, cameras, videos, tape)
    frames = keypoints.frames if timing is None else max(video.frames for video in videos)

    def tracks_in(view: int) -> dict[str, np.ndarray]:
        camera, video = cameras[view].name, videos[view]
        clicked = {name: by_frame for name in singles if (by_frame := clicks[skin_landmark(name)].get(camera))}
        row = tape if tape is not None and camera in tape.views else None
        if not clicked and row is None:
            return {}
        trunk = _trunk_points(keypoints, view, frames, timing)
        with Crops() as crops:
            for frame, (image, points) in enumerate(zip(video, trunk, strict=False)):
                crops.add(frame, image, _trunk_box(points))
            try:
                tracks = track_markers(crops, clicked, trunk, radius=radius, rate=video.rate)
                if row is not None:
                    dots = track_tape(crops, row.clicks_in(camera), row.dots, row.radius)
                    tracks |= {name: dots[:, k] for k, name in enumerate(row.names)}
            except InputError as error:
                raise InputError(f"{camera}: {error}") from None
        return tracks

    found = np.full((frames, keypoints.views, len(names), 3), np.nan)
    for view, tracks in enumerate(map_on_threads(tracks_in, range(len(cameras)), VIEWS_AT_ONCE)):
        for name, track in tracks.items():
            found[: len(track), view, names.index(name)] = track
    tracked = Keypoints(names, keypoints.rate, found[..., :2], np.nan_to_num(found[..., 2]))
    if timing is not None:
        tracked = at_frames(tracked, timing.frame_positions())
    if tape is not None:
        check_views_of_tape(with_points_added(keypoints, tracked), cameras, tape)
    return with_points_added(keypoints, tracked.with_(xy=_agreeing_tracks(tracked.xy, cameras)))


def _trunk_points(keypoints: Keypoints, view: int, frames: int, timing: Timing | None) -> np.ndarray:
    """Trunk points (frames, points, 2) px in one view's video; NaN in frames that the keypoints do not have."""
    trunk = np.full((frames, len(TRUNK_POINTS), 2), np.nan)
    rows = slice(None) if timing is None else timing.nearest_frames(view)
    trunk[rows] = keypoints.select(TRUNK_POINTS).xy[:, view]
    return trunk


def check_clicks(
    clicks: Mapping[str, Mapping[str, MarkerClicks]],
    cameras: Sequence[Camera],
    videos: Sequence[Video],
    tape: Tape | None = None,
) -> None:
    """`InputError` for clicks in an unknown view, at a frame beyond the video, or outside the image.

    cameras, videos: in the order of the views.
    """
    if len(cameras) != len(videos):
        raise InputError(f"{len(videos)} videos and {len(cameras)} cameras; expected as many, in the same order.")
    by_view = {camera.name: video for camera, video in zip(cameras, videos, strict=True)}
    dots = {} if tape is None else {f"dot {number} of the tape": views for number, views in tape.clicks.items()}
    for name, views in {**clicks, **dots}.items():
        for view, by_frame in views.items():
            require_known("view", (view,), by_view, f"the clicks of {name}")
            last, (width, height) = by_view[view].frames - 1, by_view[view].size
            for frame, xy in by_frame.items():
                if not 0 <= frame <= last:
                    raise InputError(
                        f"{name} is clicked at frame {frame} of {view}, whose video has frames 0 to {last}."
                    )
                if xy is not None and not (0 <= xy[0] < width and 0 <= xy[1] < height):
                    raise InputError(
                        f"{name} is clicked at {xy[0]:g}, {xy[1]:g} px in frame {frame} of {view}, whose images are "
                        f"{width}×{height} px. Clicks are x right, y down from the upper left corner."
                    )


def _trunk_box(trunk: np.ndarray) -> np.ndarray | None:
    """x0 y0 x1 y1 px around the trunk's points (4, 2); None, the whole image, where they are not all seen."""
    if not np.isfinite(trunk).all():
        return None
    low, high = trunk.min(0), trunk.max(0)
    margin = TRUNK_BOX_MARGIN * np.hypot(*(high - low))
    return np.concatenate([low - margin, high + margin])


def _agreeing_tracks(xy: np.ndarray, cameras: Sequence[Camera]) -> np.ndarray:
    """Tracks (frames, views, markers, 2) px, NaN in the frames in which two views disagree."""
    xy = xy.copy()
    rays = np.stack([undistort_pixels(camera, xy[:, v]) for v, camera in enumerate(cameras)], 1)
    for a, b in combinations(range(len(cameras)), 2):
        distances = epipolar_distances_px(cameras[a], cameras[b], rays[:, a], rays[:, b])
        for marker in np.flatnonzero(np.isfinite(distances).any(0)):
            deviation = np.abs(distances[:, marker] - np.nanmedian(distances[:, marker]))
            wrong = deviation > MIN_VIEW_DISAGREEMENT_PX + MAX_VIEW_DISAGREEMENT_SD * np.nanmedian(deviation)
            xy[wrong, a, marker] = xy[wrong, b, marker] = np.nan
    return xy
