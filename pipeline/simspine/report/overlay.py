"""Detections and the reprojected body drawn on video frames, so that a person can check the numbers by eye.

Images are OpenCV's: (height, width, 3) uint8, BGR. Points are pixels of the whole image as the camera gave it,
distorted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from simspine.core.geometry import change_frame, project_one, project_points, smooth_curve
from simspine.core.skeletons import base_name, is_skin_marker, is_tape_dot, skin_landmark
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.io.image_streams import require_image
from simspine.report import canvas
from simspine.report.canvas import DARK_GROUND
from simspine.report.figure_style import GREEN, PURPLE, SKY, VERMILLION, YELLOW, to_bgr
from simspine.vision.triangulation import TriangulationReport

WHITE_BGR = (255, 255, 255)
PERSON_BOX_MARGIN = 0.1  # left free around a person, of their extent
PERSON_BOX_ASPECT = 3 / 4  # width / height of a cropped picture: a standing person with room for the arms


@dataclass(frozen=True)
class OverlayLayer:
    """What to draw on one frame of one camera.

    detected: {point: (x, y)} px as a detector found them. estimated: names among them that it gave without seeing
    them. inferred, pruned, swapped: names among them that were placed by a rule, that triangulation left out, whose
    left and right were exchanged. model: {marker: (x, y)} px of the reprojected body. edges: pairs of marker names.
    spine: vertebral markers from below upwards. Points with NaN are skipped.
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
    h, w = require_image(image).shape[:2]
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
            canvas.draw_point(picture, point, unit * 2.3, to_bgr(VERMILLION), edge=WHITE_BGR)
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
        how = "inferred" if name in layer.inferred else "estimated" * (name in layer.estimated)
        canvas.draw_point(picture, point, unit * 2.4, to_bgr(YELLOW if name in skin else SKY), how=how)
        if name in layer.swapped:
            canvas.draw_ring(picture, point, unit * 4.6, colour=DARK_GROUND, width=unit * 2.0)
            canvas.draw_ring(picture, point, unit * 4.6, colour=to_bgr(GREEN), width=unit * 1.1)
        if name in layer.pruned:
            canvas.draw_cross(picture, point, unit * 3.6, colour=DARK_GROUND, width=unit * 2.6)
            canvas.draw_cross(picture, point, unit * 3.6, colour=to_bgr(PURPLE), width=unit * 1.4)
    dots = is_tape_dot(skin)
    for name in [name for name in skin if name not in dots[1:-1]]:
        place, text = layer.detected[name] + [unit * 9, 0], skin_landmark(name)
        canvas.draw_tag(picture, place, text, size=round(9 * unit), colour=to_bgr(YELLOW))


def layer_symbols(layer: OverlayLayer) -> set[str]:
    """Which of `canvas.LEGEND_SYMBOLS` the layer holds."""
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
    as well (`add_inferred_points`). model: markers of the body, any frame of reference. triangulation: points that it
    did not use count as left out.
    """
    detected = dict(zip(keypoints.names, keypoints.xy[0, view], strict=True))
    inferred, estimated = (frozenset(keypoints.names_of(origin)) for origin in (Origin.INFERRED, Origin.ESTIMATED))
    names, used, swapped = triangulation.names, triangulation.used[frame, view], triangulation.swapped[frame, view]
    pruned = frozenset(name for name, keep in zip(names, used, strict=True) if not keep) - inferred
    exchanged = frozenset(name for name, swap in zip(names, swapped, strict=True) if swap)
    xyz = change_frame(model.xyz[frame], model.frame, "z_up")
    projected = dict(zip(model.names, project_one(camera, xyz), strict=True))
    return OverlayLayer(
        detected,
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
    confidence = np.concatenate([rest.confidence, np.zeros(xy.shape[:3])], 2)
    places = np.concatenate([rest.xy, xy], 2)
    return Keypoints((*rest.names, *names), keypoints.rate, places, confidence, origin=(*rest.origins, *origins))
