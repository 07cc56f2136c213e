"""The body and the spine drawn on a trial's videos, frame by frame, as one video."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from simspine.config import Config
from simspine.errors import unknown_name
from simspine.geometry import change_frame, project_one
from simspine.report import canvas
from simspine.report.overlay import Layer, draw_overlay, person_box
from simspine.report.sampling import frame_layer
from simspine.report.style import STATUS_COLOURS, bgr
from simspine.report.video import video_writer
from simspine.sources.video import open_videos
from simspine.spine.levels import CHAIN
from simspine.types import Camera, Markers, Origin
from simspine.workflow.context import Context
from simspine.workflow.results import TrialResults, body_edges, model_points

ALONE, TILE = 1080, 540  # px: greatest height of a camera's picture, alone or one of several


def write_overlay(
    config: Config,
    out: Path,
    subject: str | None = None,
    trial: str | None = None,
    camera: str | None = None,
    *,
    quiet: bool = False,
) -> Path:
    """Write an MP4 of one trial: detections, the fitted body and its spine on each image; returns its path.

    camera: one in full size; if None all of them side by side, cut to where the person is during the trial. Captures
    without videos are drawn on a plain ground.
    """
    subject = _known("subject", subject, list(config.subjects))
    context = Context(config, subject, quiet)
    results = TrialResults(context.paths, _known("trial", trial, context.trials))
    names = [c.name for c in results.cameras]
    views = range(len(names)) if camera is None else [names.index(_known("camera", camera, names))]
    model = model_points(results)
    alone = len(views) == 1
    height = min(ALONE, results.cameras[views[0]].size[1]) if alone else TILE
    rooms = {v: _room(results.cameras[v], model) for v in views}
    aspect = max((x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in rooms.values())
    boxes = {v: False if alone else _room(results.cameras[v], model, aspect) for v in views}
    frames, strip = results.spine.frames, None
    with (
        video_writer(out, results.spine.rate) as video,
        context.progress(f"{results.name}: overlay") as progress,
    ):
        for frame, images in enumerate(_images(context, results, views)):
            drawn = picture(results, model, frame, dict(zip(views, images, strict=True)), height, boxes)
            strip = _legend(results, drawn.shape[1]) if strip is None else strip
            video.add(np.vstack([drawn, strip]))
            progress(frame + 1, frames)
    return out


def _known(kind: str, name: str | None, names: list[str]) -> str:
    if name is None:
        return names[0]
    if name not in names:
        raise unknown_name(kind, name, names)
    return name


def _images(context: Context, results: TrialResults, views) -> Iterator[list[np.ndarray]]:
    """For each frame the images of the views; plain ones where the capture has no videos."""
    paths = context.capture(results.name).videos
    frames = results.spine.frames
    if not paths:
        plain = [canvas.blank(*results.cameras[v].size) for v in views]
        for _ in range(frames):
            yield plain
        return
    videos = [iter(video) for video in open_videos([paths[v] for v in views])]
    for _ in range(frames):
        images = [next(video, None) for video in videos]
        if any(image is None for image in images):
            return
        yield images


def picture(
    results: TrialResults,
    model: Markers,
    frame: int,
    images: dict[int, np.ndarray],
    height: int,
    boxes: Mapping[int, bool | tuple[int, ...]],
) -> np.ndarray:
    """One frame, (height, width, 3) BGR: the views {number: image} in a grid. model: markers of the body.

    boxes: {number: what of the image is shown}, as `draw_overlay` takes it.
    """
    keypoints, report = results.shown, results.report
    status = str(results.verdict.status[frame])
    cells = []
    for view, image in images.items():
        camera: Camera = results.cameras[view]
        layer = frame_layer(
            keypoints, frame, view, camera, model=model, triangulation=report, edges=body_edges(), spine=CHAIN
        )
        text = f"{camera.name} · {results.spine.time[frame]:.2f} s · frame {frame}"
        if status != "kept":
            text += f" · {status}: {', '.join(results.verdict.reasons[frame]).replace('_', ' ')}"
        cells.append(draw_overlay(image, layer, text, height, boxes[view], legend=False))
        if status == "rejected":
            _frame(cells[-1], bgr(STATUS_COLOURS["rejected"]))
    if len(cells) == 1:
        return cells[0]
    width, tall = max(cell.shape[1] for cell in cells), max(cell.shape[0] for cell in cells)
    cells = [canvas.fit(cell, (width, tall)) for cell in cells]
    # The grid that shows the pictures largest on a screen of 16:9.
    columns = max(range(1, len(cells) + 1), key=lambda n: min(16 / (n * width), 9 / (-(-len(cells) // n) * tall)))
    return canvas.grid([cells[i : i + columns] for i in range(0, len(cells), columns)], 4)


def _room(camera: Camera, model: Markers, aspect: float | None = None) -> tuple[int, ...]:
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


def _legend(results: TrialResults, width: int) -> np.ndarray:
    """The strip below every frame: what occurs anywhere in the trial, so that it stays the same."""
    keypoints, report = results.shown, results.report
    observed = np.isfinite(report.error_px)
    entries = [("detected", "detected point")]
    if keypoints.names_of(Origin.INFERRED):
        entries.append(("inferred", "inferred, not detected"))
    if report.swapped.any():
        entries.append(("swapped", "left/right exchanged"))
    if (observed & ~report.used).any():
        entries.append(("pruned", "left out as inconsistent"))
    entries += [("model", "body, reprojected"), ("spine", "spine, reprojected")]
    return canvas.legend(np.zeros((0, width, 3), np.uint8), entries)


def _frame(image: np.ndarray, colour: tuple[int, int, int], width: int = 6) -> None:
    image[:width] = image[-width:] = colour
    image[:, :width] = image[:, -width:] = colour
