"""Videos of a trial with the body drawn on them, and small pictures of what the cameras saw for a page."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.core.errors import InputError
from simspine.core.geometry import change_frame, project_one
from simspine.core.skeletons import is_skin_marker
from simspine.core.types import Camera, Keypoints, Markers, Origin
from simspine.io.atomic import atomic_path
from simspine.io.image_streams import encode_jpeg
from simspine.io.video import Video, open_videos
from simspine.quality.findings import Status
from simspine.reconstruction.solved_trial import SolvedTrial, body_edges
from simspine.report import canvas
from simspine.report.figure_style import STATUS_COLOURS, to_bgr
from simspine.report.overlay import OverlayLayer, add_inferred_points, draw_overlay, frame_layer, person_box
from simspine.report.people_pictures import DrawnPerson, draw_people, with_legend
from simspine.report.scene import Film
from simspine.vision.blazepose import quiet_stderr

if TYPE_CHECKING:
    import cv2

# In order of preference. OpenCV's wheels have no encoder for H.264. VP9 in MP4 is played by Chromium, Firefox and
# Safari; MPEG-4 part 2 by players only. VP8 in WebM is written five times as fast as VP9, and browsers play it as well.
# Motion JPEG is written nine times as fast as VP8, for players and for programs that read single pictures.
CODECS_BY_SUFFIX = {".mp4": ("vp09", "mp4v"), ".webm": ("VP80",), ".avi": ("MJPG",)}


class Writer:
    """An open video; `add` takes pictures (height, width, 3) uint8, BGR, all of one size. codec: the one found."""

    def __init__(self, path: Path, rate: float):
        self._path, self._rate = path, rate
        self._file: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self.codec, self.frames = "", 0

    def add(self, image: np.ndarray) -> None:
        image = _even_size(image)
        size = (image.shape[1], image.shape[0])
        if self._file is None:
            self._file, self._size = self._opened(size), size
        if size != self._size:
            raise InputError(f"{self._path}: frame {self.frames} is {size}, the ones before are {self._size}.")
        self._file.write(image)
        self.frames += 1

    def _opened(self, size: tuple[int, int]) -> "cv2.VideoWriter":
        import cv2

        codecs = CODECS_BY_SUFFIX[self._path.suffix.lower()]
        for codec in codecs:
            letters = int.from_bytes(codec.encode(), "little")
            with quiet_stderr():  # it warns about the code of VP8, but writes it; of missing encoders the next is tried
                file = cv2.VideoWriter(str(self._path), letters, self._rate, size)
            if file.isOpened():
                self.codec = codec
                return file
            file.release()
        raise InputError(
            f"the installed OpenCV can write none of {', '.join(codecs)} there: the folder may not be writable, or "
            "OpenCV lacks its codecs (opencv-python-headless has them)."
        )

    def close(self) -> None:
        """Make the file whole; a second time does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.release()


@contextmanager
def video_writer(path: str | os.PathLike, rate: float) -> Iterator[Writer]:
    """A `Writer` whose file becomes `path` when the block ends well. rate: frames/s."""
    path = Path(path)
    if path.suffix.lower() not in CODECS_BY_SUFFIX:
        raise InputError(f"{path}: videos are written as {', '.join(CODECS_BY_SUFFIX)}; name the file so.")
    with atomic_path(path) as temporary:
        writer = Writer(temporary, rate)
        try:
            yield writer
            writer.close()
        except BaseException:
            with suppress(InputError):  # report the first error
                writer.close()
            raise
        if not writer.frames:
            raise InputError(f"{path}: there are no frames to write.")


def _even_size(image: np.ndarray) -> np.ndarray:
    """The image with even width and height, as encoders need: one row or column at the edge is cut off."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])


# The body drawn on a trial's videos, frame by frame: lines and its spine.


OVERLAY_TILE_PX = 540  # px: height of a camera's picture next to others
ImageBox = bool | tuple[int, ...]  # what of an image is shown, as `draw_overlay` takes it


def write_overlay_video(
    trial: SolvedTrial, out: Path, views: Sequence[int], progress: Callable[[int, int], None]
) -> None:
    """Write a video (.webm, .mp4 or .avi): detections and the fitted body on the images of some views (numbers).

    One view in full size; several side by side, cut to where the person is during the trial. Trials without videos are
    drawn on a plain ground. progress: called with (frames done, frames in all).
    """
    alone = len(views) == 1
    height = trial.cameras[views[0]].size[1] if alone else OVERLAY_TILE_PX
    rooms = {v: person_crop_box(trial.cameras[v], trial.model_points) for v in views}
    aspect = max((x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in rooms.values())
    boxes: dict[int, ImageBox] = {v: False for v in views}
    if not alone:
        boxes = {v: person_crop_box(trial.cameras[v], trial.model_points, aspect) for v in views}
    frames, strip = trial.spine.frames, None
    shown = [trial.video_frames(v) for v in views]
    pictures = _view_images([trial.cameras[v] for v in views], [trial.videos[v] for v in views if trial.videos], shown)
    with video_writer(out, trial.spine.rate) as video:
        for frame, images in enumerate(pictures):
            by_view = dict(zip(views, images, strict=True))
            drawn = camera_grid_picture(trial, frame, by_view, height=height, boxes=boxes)
            strip = _legend_strip(trial, drawn.shape[1]) if strip is None else strip
            video.add(np.vstack([drawn, strip]))
            progress(frame + 1, frames)


def write_points_video(
    seen: Keypoints,
    cameras: Sequence[Camera],
    videos: Sequence[Path],
    shown: Sequence[np.ndarray],
    out: Path,
    progress: Callable[[int, int], None],
) -> None:
    """As `write_overlay_video`, of a trial without a body: the points seen, left and right in their colours.

    videos: of the cameras, or none. shown: of each camera, the frame of its video at each frame of the points.
    """
    with video_writer(out, seen.rate) as video:
        for frame, images in enumerate(_view_images(cameras, videos, shown)):
            cells = []
            for view, image in enumerate(images):
                known = np.column_stack([seen.xy[frame, view], seen.confidence[frame, view]])
                there = {name: point for name, point in zip(seen.names, known, strict=True) if point[2] > 0}
                drawn = draw_people(image, [DrawnPerson(there)], f"{cameras[view].name} · frame {frame}")
                cells.append(canvas.fit_into(drawn, (round(OVERLAY_TILE_PX * 16 / 9), OVERLAY_TILE_PX)))
            video.add(with_legend(_grid(cells), ()))
            progress(frame + 1, seen.frames)


def _view_images(
    cameras: Sequence[Camera], paths: Sequence[Path], shown: Sequence[np.ndarray]
) -> Iterator[list[np.ndarray]]:
    """For each frame the images of the cameras; plain ones where there are no videos. shown: frames of the videos."""
    if not paths:
        yield from repeat([canvas.blank_picture(*camera.size) for camera in cameras], len(shown[0]))
        return
    videos = [video.shown_at(frames) for frames, video in zip(shown, open_videos(paths), strict=True)]
    for _ in shown[0]:
        images = [image for video in videos if (image := next(video, None)) is not None]
        if len(images) < len(videos):
            return
        yield images


def camera_grid_picture(
    trial: SolvedTrial,
    frame: int,
    images: Mapping[int, np.ndarray],
    height: int,
    boxes: Mapping[int, ImageBox],
) -> np.ndarray:
    """One frame, (height, width, 3) BGR: the views {number: image} in a grid. boxes: {number: what is shown}."""
    verdict, note = trial.verdict, ""
    if verdict is not None and verdict.status[frame] is not Status.KEPT:
        note = f" · {verdict.status[frame]}: {', '.join(verdict.reasons[frame]).replace('_', ' ')}"
    cells, shown = [], shown_in(trial, slice(frame, frame + 1))
    for view, image in images.items():
        text = f"{trial.cameras[view].name} · {trial.spine.time[frame]:.2f} s · frame {frame}{note}"
        layer = layer_of_image(trial, shown, frame, view)
        cells.append(draw_overlay(image, layer, text, height=height, crop=boxes[view]))
        if trial.rejected[frame]:
            assert verdict is not None  # a frame was rejected
            _draw_border(cells[-1], to_bgr(STATUS_COLOURS[str(verdict.status[frame])]))
    return _grid(cells)


def _grid(cells: list[np.ndarray]) -> np.ndarray:
    """Pictures in the grid that shows them largest on a screen of 16:9."""
    if len(cells) == 1:
        return cells[0]
    width, tall = max(cell.shape[1] for cell in cells), max(cell.shape[0] for cell in cells)
    cells = [canvas.fit_into(cell, (width, tall)) for cell in cells]
    columns = max(range(1, len(cells) + 1), key=lambda n: min(16 / (n * width), 9 / (-(-len(cells) // n) * tall)))
    return canvas.picture_grid([cells[i : i + columns] for i in range(0, len(cells), columns)], 4)


def shown_in(trial: SolvedTrial, frames: slice) -> Keypoints:
    """What was detected, as pictures show it: with the inferred points as the cameras would see them. Needs images."""
    markers = trial.markers.with_(xyz=trial.markers.xyz[frames], weight=None, covariance=None, filled=None)
    return add_inferred_points(trial.used_keypoints_of(frames), trial.cameras, markers)


def layer_of_image(trial: SolvedTrial, shown: Keypoints, frame: int, view: int) -> OverlayLayer:
    """What to draw on one image: what was detected, and the fitted body with its spine. shown: of this frame alone."""
    return frame_layer(
        shown,
        frame,
        view,
        trial.cameras[view],
        model=trial.model_points,
        triangulation=trial.keypoints_and_triangulation[1],
        edges=body_edges(),
        spine=SPINE_CHAIN_MARKERS,
    )


def person_crop_box(camera: Camera, model: Markers, aspect: float | None = None) -> tuple[int, ...]:
    """The part of a camera's image in which the body is during the trial; aspect: width / height, None as it moves."""
    xy = project_one(camera, change_frame(model.xyz, model.frame, "z_up")).reshape(-1, 2)
    inside = xy[((xy > 0) & (xy < camera.size)).all(1)]  # False where NaN
    if not len(inside):
        return (0, 0, *camera.size)
    low, high = np.percentile(inside, [0.5, 99.5], axis=0)
    corners = OverlayLayer(model={"low": low, "high": high})
    if aspect is None:
        aspect = float(np.clip((high - low)[0] / max((high - low)[1], 1), 3 / 4, 16 / 9))
    return person_box(corners, camera.size, aspect=aspect)


def _legend_strip(trial: SolvedTrial, width: int) -> np.ndarray:
    """The strip below every frame: what occurs anywhere in the trial, so that it stays the same."""
    _, report = trial.keypoints_and_triangulation
    shown = shown_in(trial, slice(1))
    kinds = ["detected", "model", "spine"]
    kinds += ["skin"] * bool(is_skin_marker(shown.names))
    kinds += ["estimated"] * bool(shown.names_of(Origin.ESTIMATED))
    kinds += ["inferred"] * bool(shown.names_of(Origin.INFERRED))
    kinds += ["swapped"] * bool(report.swapped.any())
    kinds += ["pruned"] * bool((np.isfinite(report.error_px) & ~report.used).any())
    return canvas.add_legend(np.zeros((0, width, 3), np.uint8), kinds)


def _draw_border(image: np.ndarray, colour: tuple[int, int, int], width: int = 6) -> None:
    image[:width] = image[-width:] = colour
    image[:, :width] = image[:, -width:] = colour


# Small pictures of a few cameras, with the places of the body and of the detected points in them.


FILM_HEIGHT_PX, FILM_ASPECT = 480, 3 / 4  # of a picture: px, width / height
FILM_QUALITY = 45  # of JPEG: about 15 kB a picture
MAX_FILM_VIEWS = 4  # cameras whose pictures a page holds


def films_of_trial(trial: SolvedTrial, step: int, most_bytes: int) -> tuple[Film, ...]:
    """Pictures of up to `MAX_FILM_VIEWS` cameras, cut to where the person is during the trial; () without videos.

    step: of the frames that the page holds, the first, the step-th … most_bytes: of all pictures together; where more
    would be needed, every second picture goes, as often as it takes.
    """
    views = range(min(MAX_FILM_VIEWS, len(trial.videos)))
    opened = open_videos([trial.videos[view] for view in views])
    at = slice(None, None, step)
    seen = None if trial.keypoints is None else trial.used_keypoints_of(at).xy

    def film(view: int) -> Film:
        points = None if seen is None else seen[:, view]
        return _film_of_view(trial, view, opened[view], seen=points, step=step, most_bytes=most_bytes // len(views))

    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(film, views))


def _film_of_view(
    trial: SolvedTrial, view: int, video: Video, seen: np.ndarray | None, step: int, most_bytes: int
) -> Film:
    """seen: (frames held, points, 2) px, what was detected; None where that is not known."""
    camera, model = trial.cameras[view], trial.model_points
    box = person_crop_box(camera, model, FILM_ASPECT)
    scale, size = FILM_HEIGHT_PX / (box[3] - box[1]), (round(FILM_HEIGHT_PX * FILM_ASPECT), FILM_HEIGHT_PX)
    pictures, every = _pictures_within_bytes(video.shown_at(trial.video_frames(view)[::step]), box, size, most_bytes)
    names = {name: i for i, name in enumerate(model.names)}
    spine = [name for name in SPINE_CHAIN_MARKERS if name in names]
    lines = [(names[a], names[b]) for a, b in body_edges() if {a, b} <= set(names) and not {a, b} <= set(spine)]
    body = _pixels_in_picture(project_one(camera, change_frame(model.xyz[::step], model.frame, "z_up")), box, scale)
    points = np.empty((len(body), 0, 2)) if seen is None else _pixels_in_picture(seen, box, scale)
    numbers = [names[name] for name in spine]
    return Film(
        camera.name, size, pictures, every * step, body=body, lines=lines, spine=numbers, seen=points, step=step
    )


def _pixels_in_picture(xy: np.ndarray, box: tuple[int, ...], scale: float) -> np.ndarray:
    """Pixels of the whole image in those of a picture; NaN where far outside it, as behind a camera."""
    inside = scale * (xy + 0.5 - np.array(box[:2])) - 0.5
    return np.where((np.abs(inside) < 4 * FILM_HEIGHT_PX).all(-1, keepdims=True), inside, np.nan)


def _pictures_within_bytes(
    images: Iterable[np.ndarray], box: tuple[int, ...], size: tuple[int, int], most_bytes: int
) -> tuple[list[bytes], int]:
    """Pictures of some bytes at most, and of how many images each stands for one."""
    pictures: list[bytes] = []
    every, total = 1, 0
    for number, image in enumerate(images):
        if number % every:
            continue
        pictures.append(encode_jpeg(canvas.cut_out_part(image, box, size), FILM_QUALITY))
        total += len(pictures[-1])
        while total > most_bytes and len(pictures) > 1:
            pictures, every = pictures[::2], 2 * every
            total = sum(map(len, pictures))
    return pictures, every
