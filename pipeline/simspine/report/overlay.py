"""A trial as a Rerun recording (.rrd): videos with 2D overlays, the body in 3D, curvature over time.

Rerun (rerun.io, Apache-2.0/MIT) is an optional package. Its pinhole camera has no lens distortion: what is drawn on the
images is where the camera shows it, the images hung into the 3D view are only nearly so.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from simspine.anatomy.skin import surface_normals
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, frame_rotation, project_one, project_points
from simspine.core.skeletons import base_name, is_skin_marker, is_tape_dot, skin_landmark
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.io.atomic import atomic_path
from simspine.report import canvas
from simspine.report.canvas import DARK_GROUND
from simspine.report.figure_style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    ORIGIN_COLOURS,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    to_bgr,
)
from simspine.report.scene import Scene, tube_radius
from simspine.vision.triangulation import TriangulationReport

# Detections and the reprojected body drawn on video frames, so that a person can check the numbers by eye.
# Images are OpenCV's: (height, width, 3) uint8, BGR. Points are pixels of the whole image as the camera gave it,
# distorted.


WHITE_BGR = (255, 255, 255)
PERSON_BOX_MARGIN = 0.1  # left free around a person, of their extent
PERSON_BOX_ASPECT = 3 / 4  # width / height of a cropped picture: a standing person with room for the arms


@dataclass(frozen=True)
class OverlayLayer:
    """What to draw on one frame of one camera.

    detected: {point: (x, y)} px as a detector found them. estimated: names among them that it gave without seeing
    them. inferred, pruned, swapped: names among them that were placed
    by a rule, that triangulation left out, whose left and right were exchanged. model: {marker: (x, y)} px of the
    reprojected body. edges: pairs of marker names. spine: vertebral markers from below upwards. Points
    with NaN are skipped.
    """

    detected: dict[str, np.ndarray] = field(default_factory=dict)
    inferred: frozenset[str] = frozenset()
    pruned: frozenset[str] = frozenset()
    swapped: frozenset[str] = frozenset()
    model: dict[str, np.ndarray] = field(default_factory=dict)
    edges: tuple[tuple[str, str], ...] = ()
    spine: tuple[str, ...] = ()
    estimated: frozenset[str] = frozenset()

    def __post_init__(self):
        for name in ("detected", "model"):
            points = {str(k): np.asarray(v, float) for k, v in getattr(self, name).items()}
            for key, point in points.items():
                if point.shape != (2,):
                    raise InputError(
                        f"Layer.{name}[{key!r}] has shape {point.shape}, expected (2,): x and y in pixels."
                    )
            object.__setattr__(self, name, {k: v for k, v in points.items() if np.isfinite(v).all()})

    def moved(self, scale: float, offset: np.ndarray) -> "OverlayLayer":
        """The same layer in the pixels of a crop: `scale · (x + ½ − offset) − ½` (pixel centres are whole numbers)."""
        detected, model = (
            {name: scale * (point + 0.5 - offset) - 0.5 for name, point in points.items()}
            for points in (self.detected, self.model)
        )
        return replace(self, detected=detected, model=model)


def person_box(layer: OverlayLayer, size: tuple[int, int], aspect: float = PERSON_BOX_ASPECT) -> tuple[int, ...]:
    """(x0, y0, x1, y1) px around the person, `aspect` = width / height; may reach beyond the image of `size` (w, h).

    Around the body, else around the detections that were kept; the whole image where there are neither.
    """
    kept = {k: v for k, v in layer.detected.items() if k not in layer.pruned}
    shown = list((layer.model or kept).values()) or [np.zeros(2), np.array(size)]
    points = np.clip(shown, 0, size)  # a wild reprojection must not shrink the person to a dot
    low, high = points.min(0), points.max(0)
    centre, extent = (low + high) / 2, (high - low) * (1 + 2 * PERSON_BOX_MARGIN)
    height = max(extent[1], extent[0] / aspect, 32.0)
    half = np.array([height * aspect, height]) / 2
    # Shift back into the image where there is room for it.
    centre = np.where(half * 2 <= size, np.clip(centre, half, np.asarray(size) - half), centre)
    x0, y0 = np.floor(centre - half).astype(int)
    return int(x0), int(y0), int(x0 + round(height * aspect)), int(y0 + round(height))


def draw_overlay(
    image: np.ndarray, layer: OverlayLayer, caption: str = "", height: int = 900, crop: bool | tuple[int, ...] = True
) -> np.ndarray:
    """A new picture: the frame, cropped to the person and scaled to `height` px, with layer and caption.

    Line widths follow the size of the picture. The frame handed in is not changed. crop: True, False for the whole
    frame, or a box (x0, y0, x1, y1) px to hold for several frames (`person_box`).
    """
    h, w = canvas.require_image(image).shape[:2]
    x0, y0, x1, y1 = (person_box(layer, (w, h)) if crop else (0, 0, w, h)) if isinstance(crop, bool) else crop
    scale = height / (y1 - y0)
    picture = canvas.cut_out_part(image, (x0, y0, x1, y1), (max(1, round((x1 - x0) * scale)), height))
    layer = layer.moved(scale, np.array([x0, y0], float))
    unit = max(1.0, max(picture.shape[:2]) / 450)  # line width, px
    _draw_model(picture, layer, unit)
    _draw_detections(picture, layer, unit)
    return canvas.add_caption(picture, caption) if caption else picture


def _draw_model(picture: np.ndarray, layer: OverlayLayer, unit: float) -> None:
    """Draw the body into the picture; lines have a shadow, so that they are seen on any ground."""
    if not layer.model:
        return
    lines = [np.array([layer.model[a], layer.model[b]]) for a, b in layer.edges
             if a in layer.model and b in layer.model and not (a in layer.spine and b in layer.spine)]  # fmt: skip
    chain = np.array([layer.model[n] for n in layer.spine if n in layer.model]).reshape(-1, 2)
    curve = smooth_curve(chain)
    about = _region_about(np.concatenate([*lines, curve, chain]), 4 * unit, picture.shape)
    below = picture[about].copy()
    for line in [*lines, curve]:
        canvas.draw_line(picture, line, DARK_GROUND, unit * (4.6 if line is curve else 2.6))
    if below.size:
        picture[about] = canvas.blend_images(below, picture[about], 0.55)
    for a, b in layer.detected.items():
        if a in layer.model and a not in layer.pruned:
            canvas.draw_line(picture, np.array([b, layer.model[a]]), WHITE_BGR, unit * 0.6)
    for line in lines:
        canvas.draw_line(picture, line, WHITE_BGR, unit * 1.2)
    canvas.draw_line(picture, curve, to_bgr(VERMILLION), unit * 2.4)
    for name, point in layer.model.items():
        if name in layer.spine:
            canvas.draw_disc(
                picture, point, unit * 2.3, colour=to_bgr(VERMILLION), edge=WHITE_BGR, edge_width=unit * 0.8
            )
        else:
            canvas.draw_square(picture, point, unit * 1.9, colour=WHITE_BGR, edge=DARK_GROUND, edge_width=unit * 0.6)


def _region_about(points: np.ndarray, reach: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Rows and columns of a picture about points (n, 2) px, `reach` px beyond them; empty where they lie outside."""
    size = np.array(shape[1::-1])
    if not len(points):
        return slice(0, 0), slice(0, 0)
    low = np.clip(np.floor(points.min(0) - reach), 0, size).astype(int)
    high = np.clip(np.ceil(points.max(0) + reach) + 1, 0, size).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _draw_detections(picture: np.ndarray, layer: OverlayLayer, unit: float) -> None:
    skin = is_skin_marker(layer.detected)
    for name, point in layer.detected.items():
        if name in layer.inferred:
            canvas.draw_ring(picture, point, unit * 3.2, colour=DARK_GROUND, width=unit * 1.7)
            canvas.draw_ring(picture, point, unit * 3.2, colour=to_bgr(ORANGE), width=unit * 0.9)
        elif name in layer.estimated:
            canvas.draw_diamond(picture, point, unit * 2.6, colour=DARK_GROUND, edge=to_bgr(SKY), edge_width=unit * 0.9)
        else:
            canvas.draw_disc(
                picture,
                point,
                unit * 2.4,
                colour=to_bgr(YELLOW if name in skin else SKY),
                edge=DARK_GROUND,
                edge_width=unit * 0.8,
            )
        if name in layer.swapped:
            canvas.draw_ring(picture, point, unit * 4.6, colour=DARK_GROUND, width=unit * 2.0)
            canvas.draw_ring(picture, point, unit * 4.6, colour=to_bgr(GREEN), width=unit * 1.1)
        if name in layer.pruned:
            canvas.draw_cross(picture, point, unit * 3.6, colour=DARK_GROUND, width=unit * 2.6)
            canvas.draw_cross(picture, point, unit * 3.6, colour=to_bgr(PURPLE), width=unit * 1.4)
    dots = is_tape_dot(skin)
    for name in [name for name in skin if name not in dots[1:-1]]:
        canvas.draw_tag(
            picture,
            layer.detected[name] + [unit * 9, 0],
            skin_landmark(name),
            size=round(9 * unit),
            colour=to_bgr(YELLOW),
        )


def smooth_curve(points: np.ndarray, per_span: int = 12) -> np.ndarray:
    """(n, 2) points joined by a natural cubic spline over chord length: ((n − 1)·per_span + 1, 2)."""
    points = np.asarray(points, float).reshape(-1, 2)
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    keep = np.concatenate([[True], np.diff(length) > 1e-9])
    points, length = points[keep[: len(points)]], length[keep[: len(length)]]
    if len(points) < 3:
        return points
    from scipy.interpolate import CubicSpline

    at = np.concatenate([np.linspace(a, b, per_span, endpoint=False) for a, b in pairwise(length)])
    return CubicSpline(length, points, bc_type="natural")(np.append(at, length[-1]))


def layer_symbols(layer: OverlayLayer) -> set[str]:
    """Which of `canvas.SYMBOLS` the layer holds."""
    detected, model, spine = set(layer.detected), set(layer.model), set(layer.spine)
    skin = set(is_skin_marker(detected))
    held = {
        "detected": detected - layer.inferred - layer.estimated - skin, "skin": skin,
        "estimated": detected & layer.estimated,
        "inferred": detected & layer.inferred,
        "swapped": detected & layer.swapped, "pruned": detected & layer.pruned,
        "model": model - spine, "spine": model & spine,
    }  # fmt: skip
    return {kind for kind, points in held.items() if points}


def overlay_sheet(
    rows: Sequence[Sequence[tuple[np.ndarray, OverlayLayer] | None]],
    cameras: Sequence[str],
    labels: Sequence[str],
    height: int = 560,
) -> np.ndarray:
    """One picture with a row for each sample frame and a column for each camera, and one legend below.

    rows: (image, layer) per camera, None where a camera has no image. labels: one text per row, such as '0.83 s'.
    """
    if len(labels) != len(rows) or any(len(row) != len(cameras) for row in rows) or not rows:
        raise InputError(
            f"an overlay sheet needs a label for each row and a cell for each camera; found {len(rows)} rows of "
            f"{sorted({len(row) for row in rows})} cells, {len(labels)} labels, {len(cameras)} cameras."
        )
    size = (round(height * PERSON_BOX_ASPECT), height)
    missing = canvas.add_caption(canvas.blank_picture(*size), "no image")
    cells = [
        [
            canvas.fit_into(draw_overlay(*cell, f"{camera} · {label}", height) if cell else missing, size)
            for cell, camera in zip(row, cameras, strict=True)
        ]
        for row, label in zip(rows, labels, strict=True)
    ]
    sheet = canvas.picture_grid(cells, gap=max(2, height // 140))
    return canvas.add_legend(sheet, set().union(*(layer_symbols(cell[1]) for row in rows for cell in row if cell)))


# What to show of a trial: sample frames, and the layer of one frame of one camera out of the stages' results.


def sample_frames(frames: int, count: int = 3, avoid: np.ndarray | None = None) -> tuple[int, ...]:
    """`count` frames spread evenly over a trial, each the nearest one outside `avoid` (frames,) bool, if any is."""
    if frames <= 0:
        return ()
    wanted = np.unique(np.round((np.arange(count) + 0.5) / count * frames - 0.5).astype(int))
    free = np.arange(frames) if avoid is None or np.all(avoid) else np.flatnonzero(~np.asarray(avoid, bool))
    return tuple(sorted({int(free[np.abs(free - frame).argmin()]) for frame in wanted}))


def frame_layer(
    keypoints: Keypoints,
    frame: int,
    view: int,
    camera: Camera,
    *,
    model: Markers,
    triangulation: TriangulationReport,
    edges: Sequence[tuple[str, str]],
    spine: Sequence[str],
) -> OverlayLayer:
    """What to draw on one frame of one camera.

    keypoints: of this frame alone, as triangulation used them (left and right already exchanged), with inferred ones
    besides (`add_inferred_points`).
    model: markers of the body, any frame of reference. triangulation: points that it did not use count as left out.
    """
    detected = dict(zip(keypoints.names, keypoints.xy[0, view], strict=True))
    inferred, estimated = (frozenset(keypoints.names_of(origin)) for origin in (Origin.INFERRED, Origin.ESTIMATED))
    names, used, swapped = triangulation.names, triangulation.used[frame, view], triangulation.swapped[frame, view]
    pruned = frozenset(name for name, keep in zip(names, used, strict=True) if not keep) - inferred
    exchanged = frozenset(name for name, swap in zip(names, swapped, strict=True) if swap)
    xyz = change_frame(model.xyz[frame], model.frame, "z_up")
    projected = dict(zip(model.names, project_one(camera, xyz), strict=True))
    return OverlayLayer(
        detected=detected,
        inferred=inferred,
        pruned=pruned,
        swapped=exchanged,
        model=projected,
        edges=tuple(edges),
        spine=tuple(spine),
        estimated=estimated,
    )


def add_inferred_points(keypoints: Keypoints, cameras: Sequence[Camera], markers: Markers) -> Keypoints:
    """The keypoints and, projected into each camera, the points of `markers` that were not detected: inferred ones,
    for pictures.

    markers: of the same frames, in any frame of reference. These points get confidence 0 and keep their origin.
    """
    inferred = markers.names_of(Origin.INFERRED)
    names = [base_name(name) for name in inferred]
    origins = [markers.origins[markers.index(name)] for name in inferred]
    xyz = change_frame(markers.select(inferred).xyz, markers.frame, "z_up")
    xy = np.moveaxis(project_points(cameras, xyz), 0, 1)
    rest = keypoints.select([name for name in keypoints.names if name not in names])
    return Keypoints(
        (*rest.names, *names),
        keypoints.rate,
        np.concatenate([rest.xy, xy], 2),
        np.concatenate([rest.confidence, np.zeros(xy.shape[:3])], 2),
        (*rest.origins, *origins),
    )


RERUN_TIMELINE = "time"
_BONE_COLOUR, _VERTEBRA_COLOUR = "#e4dcc8", "#f0c56b"
_ON_IMAGES = {"inferred": ORANGE, "estimated": BLUE}  # colours of points by origin; others are SKY
_VIDEO_CONTAINERS = (".mp4",)  # what Rerun plays; other videos are left out


@dataclass(frozen=True, eq=False)
class CameraView:
    """One camera. video: its file, or None. xy: (frames, points, 2) px the body reprojected; lines: runs of its points.

    spine: its points of the spine from below upwards. shown: (frames,) int, the video's frame at each of the trial's.
    """

    camera: Camera
    video: Path | None
    xy: np.ndarray
    lines: Sequence[tuple[int, ...]]
    spine: Sequence[int]
    shown: np.ndarray | None = None


def write_recording(
    path: str | os.PathLike, scene: Scene, views: Sequence[CameraView] = (), keypoints: Keypoints | None = None
) -> None:
    """Write `scene` and its `views` to `path`. keypoints: (frames, views, …) in the order of the cameras.

    Raises `InputError` where the package rerun-sdk is missing.
    """
    try:
        import rerun as rr
    except ModuleNotFoundError:
        raise InputError("recordings need the package rerun-sdk: pip install 'simspine[rerun]'.") from None
    # The same trial gives a recording of the same name, so that Rerun puts new over old.
    recording = rr.RecordingStream("simspine", recording_id=f"simspine {scene.name}")
    with atomic_path(path) as temporary, recording as stream:
        try:
            stream.save(str(temporary), default_blueprint=_rerun_blueprint(scene, views))
        except RuntimeError as error:  # Rerun's, for whatever the file system says
            raise InputError(f"{path} cannot be written: {error}") from None
        log = _Log(rr, stream, scene.spine.time)
        log.still("body", rr.ViewCoordinates.RIGHT_HAND_Y_UP)
        _log_body(log, scene)
        _log_points(log, scene)
        _log_curves(log, scene)
        for number, view in enumerate(views):
            _log_view(log, view, keypoints, number)
        stream.flush()
        stream.disconnect()


class _Log:
    """Logs what stays and what changes, at the times of the frames."""

    def __init__(self, rr, stream, time: np.ndarray):
        self.rr, self.stream, self.time = rr, stream, time

    def still(self, place: str, *things) -> None:
        self.stream.log(place, *things, static=True)

    def columns(self, place: str, columns, frames: np.ndarray) -> None:
        """Columns with a row for each of these frames."""
        clock = self.rr.TimeColumn(RERUN_TIMELINE, duration=self.time[frames])
        self.stream.send_columns(place, indexes=[clock], columns=columns)

    def each(self, place: str, things: Iterator) -> None:
        """One thing a frame."""
        for time, thing in zip(self.time, things, strict=True):
            self.stream.set_time(RERUN_TIMELINE, duration=time)
            self.stream.log(place, thing)
        self.stream.reset_time()


def _log_body(log: _Log, scene: Scene) -> None:
    from simspine.report.scene import unit_quaternions

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
        colours, names = [_rgb_tuple(ORIGIN_COLOURS[origin])], np.array(some.names)
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
    for time, status, reason in zip(log.time, scene.status or (), scene.reasons or scene.status or (), strict=False):
        if status != before:
            log.stream.set_time(RERUN_TIMELINE, duration=time)
            level = "WARN" if status in ("rejected", "inferred") else "INFO"
            log.stream.log("quality", rr.TextLog(f"{status}: {reason}" if reason else status, level=level))
            log.stream.reset_time()
        before = status


def _log_view(log: _Log, view: CameraView, keypoints: Keypoints | None, number: int) -> None:
    rr, camera = log.rr, view.camera
    place = f"body/cameras/{camera.name}"
    ink = (255, 255, 255) if view.video else (130, 138, 146)
    to_y_up = frame_rotation("z_up", "y_up")
    log.still(place, rr.Transform3D(translation=to_y_up @ camera.centre, mat3x3=to_y_up @ camera.R.T))
    log.still(place, rr.Pinhole(image_from_camera=camera.K, resolution=camera.size, image_plane_distance=0.4))
    if view.video is not None and view.video.suffix.lower() in _VIDEO_CONTAINERS:
        video = rr.AssetVideo(path=view.video)
        log.still(f"{place}/video", video)
        at = np.asarray(video.read_frame_timestamps_nanos())
        shown = np.arange(len(log.time)) if view.shown is None else view.shown
        frames = np.flatnonzero(shown < len(at))
        log.columns(f"{place}/video", rr.VideoFrameReference.columns_nanos(at[shown[frames]]), frames)
    log.each(
        f"{place}/fitted",
        (
            rr.LineStrips2D(
                [_known_points(xy[list(line)]) for line in view.lines], radii=-1.5, colors=[ink], draw_order=20
            )
            for xy in view.xy
        ),
    )
    curves = (smooth_curve(_known_points(xy[list(view.spine)])) for xy in view.xy)
    red = _rgb_tuple(VERMILLION)
    log.each(f"{place}/spine", (rr.LineStrips2D([c], radii=-3, colors=[red], draw_order=30) for c in curves))
    if keypoints is None:
        return
    colours = np.array([_rgb_tuple(_ON_IMAGES.get(origin, SKY)) for origin in keypoints.origins])
    log.each(
        f"{place}/points",
        (
            rr.Points2D(xy[keep], radii=-3, colors=colours[keep], draw_order=40)
            for xy in keypoints.xy[:, number]
            for keep in [np.isfinite(xy).all(-1)]
        ),
    )


def _rerun_blueprint(scene: Scene, views: Sequence[CameraView]):
    import rerun.blueprint as rrb

    space = rrb.Spatial3DView(origin="body", name=scene.name)
    curves = rrb.TimeSeriesView(origin="curves", name="Curvature, °")
    images = [rrb.Spatial2DView(origin=f"body/cameras/{view.camera.name}", name=view.camera.name) for view in views]
    left = rrb.Vertical(space, curves, row_shares=[3, 1])
    layout = rrb.Horizontal(left, rrb.Grid(*images), column_shares=[1, 1]) if images else left
    return rrb.Blueprint(layout, collapse_panels=True)


def _known_points(points: np.ndarray) -> np.ndarray:
    return points[np.isfinite(points).all(-1)]


def _rgb_tuple(colour: str) -> tuple[int, ...]:
    return to_bgr(colour)[::-1]
