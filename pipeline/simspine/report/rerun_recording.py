"""A trial as a Rerun recording (.rrd): videos with 2D overlays, the body in 3D, curvature over time.

Rerun (rerun.io, Apache-2.0/MIT) is an optional package. Its pinhole camera has no lens distortion. Overlays on the
images are exact; images in the 3D view are approximate.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from simspine.anatomy.skin import surface_normals
from simspine.core.errors import InputError, needing_extra
from simspine.core.geometry import frame_rotation, smooth_curve
from simspine.core.types import Camera, Keypoints
from simspine.io.atomic import atomic_path
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.report.body_video import body_in_image, shown_in
from simspine.report.figure_style import BLUE, GREEN, GREY, NAMED_COLOURS, POINT_COLOURS, VERMILLION, to_bgr
from simspine.report.overlay import body_lines, line_colour, point_colour
from simspine.report.scene import Scene, tube_radius, unit_quaternions

RERUN_TIMELINE = "time"
_BONE_COLOUR, _VERTEBRA_COLOUR = "#e4dcc8", "#cdb98f"
_VIDEO_CONTAINERS = (".mp4",)  # videos that Rerun plays; others are left out


def write_recording(
    path: str | os.PathLike,
    scene: Scene,
    trial: SolvedTrial | None = None,
    videos: Mapping[int, Path] = MappingProxyType({}),
) -> None:
    """Write `scene` to `path`, with the images of `trial`. videos: {view: file}, those to show.

    Raises `InputError` where the package rerun-sdk is missing.
    """
    with needing_extra("a recording", "rerun"):
        import rerun as rr
    # The same trial gives the same recording_id, so that Rerun replaces an older recording.
    recording = rr.RecordingStream("simspine", recording_id=f"simspine {scene.name}")
    try:
        with atomic_path(path) as temporary, recording as stream:
            stream.save(str(temporary), default_blueprint=_rerun_blueprint(scene, trial))
            log = _Log(rr, stream, scene.spine.time)
            log.still("body", rr.ViewCoordinates.RIGHT_HAND_Y_UP)
            _log_body(log, scene)
            _log_points(log, scene)
            _log_curves(log, scene)
            if trial is not None:
                keypoints = shown_in(trial, slice(None))
                for view in range(len(trial.cameras)):
                    _log_view(log, trial, view, keypoints, file=videos.get(view))
            stream.flush()
            stream.disconnect()
    except RuntimeError as error:  # Rerun's error for any fault of the file system, or of a video
        raise InputError(f"{path} cannot be written: {error}") from None


class _Log:
    """Logs static and changing entities, the latter at the times of the frames."""

    def __init__(self, rr, stream, time: np.ndarray):
        self.rr, self.stream, self.time = rr, stream, time

    def still(self, place: str, *things) -> None:
        self.stream.log(place, *things, static=True)

    def columns(self, place: str, columns, frames: np.ndarray) -> None:
        """Columns with a row for each of these frames."""
        clock = self.rr.TimeColumn(RERUN_TIMELINE, duration=self.time[frames])
        self.stream.send_columns(place, indexes=[clock], columns=columns)

    def each(self, place: str, things: Iterator) -> None:
        """One entity per frame."""
        for time, thing in zip(self.time, things, strict=True):
            self.stream.set_time(RERUN_TIMELINE, duration=time)
            self.stream.log(place, thing)
        self.stream.reset_time()


def _log_body(log: _Log, scene: Scene) -> None:
    rr = log.rr
    for name, pose in scene.poses.items():
        known = np.flatnonzero(np.isfinite(pose).all((1, 2)))
        if known.size:
            turn = unit_quaternions(pose[known, :3, :3])
            columns = rr.Transform3D.columns(translation=pose[known, :3, 3], quaternion=turn)
            log.columns(f"body/bones/{name}", columns, known)
    for bone in scene.bones:
        mesh = rr.Mesh3D(
            vertex_positions=bone.points.astype(np.float32),
            triangle_indices=bone.triangles.astype(np.uint32),
            vertex_normals=surface_normals(bone.points, bone.triangles).astype(np.float32),
            albedo_factor=_rgb_tuple(_VERTEBRA_COLOUR if bone.kind == "vertebra" else _BONE_COLOUR),
        )
        log.still(f"body/bones/{bone.body}/{bone.kind}", mesh)
    radii = tube_radius(scene.spine)
    chain = scene.spine.xyz
    red = _rgb_tuple(VERMILLION)
    log.each("body/spine", (rr.LineStrips3D([_known_points(points)], radii=0.006, colors=[red]) for points in chain))
    if radii is not None:

        def balls(points: np.ndarray, radius: np.ndarray):
            keep = np.isfinite(points).all(-1)
            sizes = np.repeat(radius[keep, None], 3, 1)
            return rr.Ellipsoids3D(centers=points[keep], half_sizes=sizes, colors=[(*red, 60)], fill_mode="solid")

        log.each("body/uncertainty", map(balls, chain, radii))


def _log_points(log: _Log, scene: Scene) -> None:
    if scene.points is None:
        return
    rr, points = log.rr, scene.points
    for origin in dict.fromkeys(points.origins):
        some = points.select(points.names_of(origin))
        colours, names = [_rgb_tuple(NAMED_COLOURS[POINT_COLOURS[origin]])], np.array(some.names)
        log.each(
            f"body/points/{origin}",
            (
                rr.Points3D(xyz[keep], radii=0.012, colors=colours, labels=list(names[keep]), show_labels=False)
                for xyz, keep in zip(some.xyz, some.present, strict=True)
            ),
        )


def _log_curves(log: _Log, scene: Scene) -> None:
    rr = log.rr
    for curve, colour in zip(scene.curves, (BLUE, VERMILLION, GREEN), strict=False):
        known = np.flatnonzero(np.isfinite(curve.values))
        name = f"{curve.label} ({curve.note})" if curve.note else curve.label
        paint = _rgb_tuple(GREY if curve.forced else colour)
        place = f"curves/{rr.escape_entity_path_part(curve.name)}"
        log.still(place, rr.SeriesLines(names=name, widths=2, colors=paint))
        log.columns(place, rr.Scalars.columns(scalars=curve.values[known]), known)
    before = "kept"
    states = zip(log.time, scene.status or (), scene.reasons or scene.status or (), scene.rejected, strict=False)
    for time, status, reason, rejected in states:
        if status != before:
            log.stream.set_time(RERUN_TIMELINE, duration=time)
            text = f"{status}: {reason}" if reason else status
            log.stream.log("quality", rr.TextLog(text, level="WARN" if rejected else "INFO"))
            log.stream.reset_time()
        before = status


def _log_camera(log: _Log, camera: Camera, file: Path | None, shown: np.ndarray) -> str:
    """Log a camera and its video; returns their place. shown: (frames,) int, the video's frame at each of the trial."""
    rr = log.rr
    place = f"body/cameras/{rr.escape_entity_path_part(camera.name)}"
    to_y_up = frame_rotation("z_up", "y_up")
    log.still(place, rr.Transform3D(translation=to_y_up @ camera.centre, mat3x3=to_y_up @ camera.R.T))
    log.still(place, rr.Pinhole(image_from_camera=camera.K, resolution=camera.size, image_plane_distance=0.4))
    if file is not None and file.suffix.lower() in _VIDEO_CONTAINERS:
        video = rr.AssetVideo(path=file)
        log.still(f"{place}/video", video)
        at = np.asarray(video.read_frame_timestamps_nanos())
        frames = np.flatnonzero(shown < len(at))
        log.columns(f"{place}/video", rr.VideoFrameReference.columns_nanos(at[shown[frames]]), frames)
    return place


def _log_view(log: _Log, trial: SolvedTrial, view: int, keypoints: Keypoints, file: Path | None) -> None:
    rr, names, body = log.rr, trial.model_points.names, body_in_image(trial, view, slice(None))
    place = _log_camera(log, trial.cameras[view], file, trial.video_frames(view))
    lines, spine = body_lines(names)
    inks = [_rgb_tuple(line_colour(names[a], names[b])) for a, b in lines]
    strips = ([_known_points(xy[list(line)]) for line in lines] for xy in body)
    log.each(f"{place}/fitted", (rr.LineStrips2D(each, radii=-1.5, colors=inks, draw_order=20) for each in strips))
    curves = (smooth_curve(_known_points(xy[spine])) for xy in body)
    red = _rgb_tuple(VERMILLION)
    log.each(f"{place}/spine", (rr.LineStrips2D([c], radii=-3, colors=[red], draw_order=30) for c in curves))
    named = zip(keypoints.names, keypoints.origins, strict=True)
    colours = np.array([_rgb_tuple(point_colour(name, origin)) for name, origin in named])
    log.each(
        f"{place}/points",
        (
            rr.Points2D(xy[keep], radii=-3, colors=colours[keep], draw_order=40)
            for xy in keypoints.xy[:, view]
            for keep in [np.isfinite(xy).all(-1)]
        ),
    )


def _rerun_blueprint(scene: Scene, trial: SolvedTrial | None):
    import rerun.blueprint as rrb
    from rerun import escape_entity_path_part

    space = rrb.Spatial3DView(origin="body", name=scene.name)
    curves = rrb.TimeSeriesView(origin="curves", name="Curvature, °")
    names = [] if trial is None else [camera.name for camera in trial.cameras]
    places = [f"body/cameras/{escape_entity_path_part(name)}" for name in names]
    images = [rrb.Spatial2DView(origin=place, name=name) for place, name in zip(places, names, strict=True)]
    left = rrb.Vertical(space, curves, row_shares=[3, 1])
    layout = rrb.Horizontal(left, rrb.Grid(*images), column_shares=[1, 1]) if images else left
    return rrb.Blueprint(layout, collapse_panels=True)


def _known_points(points: np.ndarray) -> np.ndarray:
    return points[np.isfinite(points).all(-1)]


def _rgb_tuple(colour: str) -> tuple[int, ...]:
    return to_bgr(colour)[::-1]
