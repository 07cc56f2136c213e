"""The body drawn on a trial's videos, frame by frame, as one video: as lines with its spine, as bones or with skin."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from simspine.geometry import change_frame, project_one
from simspine.pipeline.scene import anatomy
from simspine.pipeline.solved_trial import SolvedTrial, body_edges
from simspine.quality.findings import Status
from simspine.report import canvas
from simspine.report.overlay import Layer, draw_overlay, person_box
from simspine.report.sampling import frame_layer, with_inferred
from simspine.report.solid import Solid, average_skin, solid_bones, solid_skin
from simspine.report.style import STATUS_COLOURS, bgr
from simspine.report.video import video_writer
from simspine.skeletons.skin_names import on_skin
from simspine.sources.video import open_videos
from simspine.spine.levels import CHAIN
from simspine.types import Camera, Keypoints, Markers, Origin

TILE = 540  # px: height of a camera's picture beside others
SKIN_OPACITY = 0.6  # the person stays visible below
SHOWN = ("lines", "bones", "skin")
Box = bool | tuple[int, ...]  # what of an image is shown, as `draw_overlay` takes it


def write_overlay(
    found: SolvedTrial, out: Path, views: Sequence[int], progress: Callable[[int, int], None], show: str = "lines"
) -> None:
    """Write a video (.webm, .mp4 or .avi): detections and the fitted body on the images of some views (numbers).

    One view in full size; several side by side, cut to where the person is during the trial. Trials without videos are
    drawn on a plain ground. progress: called with (frames done, frames in all). show: one of `SHOWN`. Raises
    `InputError` for a body without bones or skin where these are to be shown.
    """
    solid = solid_of(found, show)
    alone = len(views) == 1
    height = found.cameras[views[0]].size[1] if alone else TILE
    rooms = {v: room_of(found.cameras[v], found.model_points) for v in views}
    aspect = max((x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in rooms.values())
    boxes: dict[int, Box] = {v: False for v in views}
    if not alone:
        boxes = {v: room_of(found.cameras[v], found.model_points, aspect) for v in views}
    frames, strip = found.spine.frames, None
    with video_writer(out, found.spine.rate) as video:
        for frame, images in enumerate(_images(found, views)):
            drawn = picture(found, frame, dict(zip(views, images, strict=True)), height, boxes, solid)
            strip = _legend(found, drawn.shape[1], show) if strip is None else strip
            video.add(np.vstack([drawn, strip]))
            progress(frame + 1, frames)


def solid_of(found: SolvedTrial, show: str) -> Solid | None:
    """The body's bones or its skin, as `show` says; None for lines."""
    if show == "bones":
        return solid_bones(anatomy(found.body.osim)[0], found.poses)
    return solid_skin(average_skin(found.body, anatomy(found.body.osim)[0]), found.poses) if show == "skin" else None


def _images(found: SolvedTrial, views: Sequence[int]) -> Iterator[list[np.ndarray]]:
    """For each frame the images of the views; plain ones where the trial has no videos."""
    frames = found.spine.frames
    if not found.videos:
        plain = [canvas.blank(*found.cameras[v].size) for v in views]
        for _ in range(frames):
            yield plain
        return
    opened = open_videos([found.videos[v] for v in views])
    videos = [video.shown_at(found.video_frames(v)) for v, video in zip(views, opened, strict=True)]
    for _ in range(frames):
        images = [image for video in videos if (image := next(video, None)) is not None]
        if len(images) < len(videos):
            return
        yield images


def picture(
    found: SolvedTrial,
    frame: int,
    images: Mapping[int, np.ndarray],
    height: int,
    boxes: Mapping[int, Box],
    solid: Solid | None = None,
) -> np.ndarray:
    """One frame, (height, width, 3) BGR: the views {number: image} in a grid. boxes: {number: what is shown}.

    solid: the body's bones or skin, drawn in place of lines.
    """
    verdict, note = found.verdict, ""
    if verdict is not None and verdict.status[frame] is not Status.KEPT:
        note = f" · {verdict.status[frame]}: {', '.join(verdict.reasons[frame]).replace('_', ' ')}"
    cells, shown = [], shown_in(found, slice(frame, frame + 1))
    for view, image in images.items():
        text = f"{found.cameras[view].name} · {found.spine.time[frame]:.2f} s · frame {frame}{note}"
        layer = layer_of(found, shown, frame, view)
        if solid is not None:
            image, layer = image.copy(), _seen_only(layer)
            solid.draw(image, found.cameras[view], frame, SKIN_OPACITY if solid.skin else 1.0)
        cells.append(draw_overlay(image, layer, text, height, boxes[view]))
        if found.rejected[frame]:
            assert verdict is not None  # who rejected
            _frame(cells[-1], bgr(STATUS_COLOURS[str(verdict.status[frame])]))
    if len(cells) == 1:
        return cells[0]
    width, tall = max(cell.shape[1] for cell in cells), max(cell.shape[0] for cell in cells)
    cells = [canvas.fit(cell, (width, tall)) for cell in cells]
    # The grid that shows the pictures largest on a screen of 16:9.
    columns = max(range(1, len(cells) + 1), key=lambda n: min(16 / (n * width), 9 / (-(-len(cells) // n) * tall)))
    return canvas.grid([cells[i : i + columns] for i in range(0, len(cells), columns)], 4)


def _seen_only(layer: Layer) -> Layer:
    """What was detected: lines and inferred points would hide the bones that they stand for."""
    seen = {name: point for name, point in layer.detected.items() if name not in layer.inferred}
    return replace(layer, detected=seen, model={})


def shown_in(found: SolvedTrial, frames: slice) -> Keypoints:
    """`detected_in` as pictures show them: with the inferred points as the cameras would see them. Needs images."""
    markers = found.markers.with_(xyz=found.markers.xyz[frames], weight=None, covariance=None, filled=None)
    return with_inferred(found.detected_in(frames), found.cameras, markers)


def layer_of(found: SolvedTrial, shown: Keypoints, frame: int, view: int) -> Layer:
    """What to draw on one image: what was detected, and the fitted body with its spine. shown: of this frame alone."""
    return frame_layer(
        shown, frame, view, found.cameras[view],
        model=found.model_points, triangulation=found.images[1], edges=body_edges(), spine=CHAIN,
    )  # fmt: skip


def room_of(camera: Camera, model: Markers, aspect: float | None = None) -> tuple[int, ...]:
    """The part of a camera's image in which the body is during the trial; aspect: width / height, None as it moves."""
    xy = project_one(camera, change_frame(model.xyz, model.frame, "z_up")).reshape(-1, 2)
    inside = xy[((xy > 0) & (xy < camera.size)).all(1)]  # False where NaN
    if not len(inside):
        return (0, 0, *camera.size)
    low, high = np.percentile(inside, [0.5, 99.5], axis=0)
    corners = Layer(model={"low": low, "high": high})
    if aspect is None:
        aspect = float(np.clip((high - low)[0] / max((high - low)[1], 1), 3 / 4, 16 / 9))
    return person_box(corners, camera.size, aspect=aspect)


def _legend(found: SolvedTrial, width: int, show: str) -> np.ndarray:
    """The strip below every frame: what occurs anywhere in the trial, so that it stays the same."""
    _, report = found.images
    shown = shown_in(found, slice(1))
    kinds = ["detected"] + ["model", "spine"] * (show == "lines")
    kinds += ["skin"] * bool(on_skin(shown.names))
    kinds += ["estimated"] * bool(shown.names_of(Origin.ESTIMATED))
    kinds += ["inferred"] * bool(show == "lines" and shown.names_of(Origin.INFERRED))
    kinds += ["swapped"] * bool(report.swapped.any())
    kinds += ["pruned"] * bool((np.isfinite(report.error_px) & ~report.used).any())
    return canvas.legend(np.zeros((0, width, 3), np.uint8), kinds)


def _frame(image: np.ndarray, colour: tuple[int, int, int], width: int = 6) -> None:
    image[:width] = image[-width:] = colour
    image[:, :width] = image[:, -width:] = colour
