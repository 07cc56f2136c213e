"""Videos of a trial with the body drawn on them, and small pictures from the cameras for a page."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simspine.core.errors import InputError, require_ending
from simspine.core.geometry import change_frame, project_one, project_points
from simspine.core.skeletons import base_name
from simspine.core.types import Camera, Keypoints, Origin
from simspine.io.atomic import atomic_path
from simspine.io.image_streams import encode_jpeg
from simspine.io.video import Video, open_videos
from simspine.quality.findings import Status, Verdict
from simspine.reconstruction.solved_trial import SolvedTrial
from simspine.report import canvas, overlay
from simspine.report.figure_style import VERMILLION, to_bgr
from simspine.report.scene import Film
from simspine.vision.blazepose import quiet_stderr

if TYPE_CHECKING:
    import cv2

# In order of preference. OpenCV's wheels have no encoder for H.264. VP9 in MP4 plays in Chromium, Firefox and Safari;
# MPEG-4 part 2 only in players. Writing VP8 in WebM is five times as fast as VP9, and browsers play it as well. Writing
# Motion JPEG is nine times as fast as VP8, for players and for programs that read single pictures.
CODECS_BY_SUFFIX = {".mp4": ("vp09", "mp4v"), ".webm": ("VP80",), ".avi": ("MJPG",)}


class Writer:
    """An open video; `add` takes pictures (height, width, 3) uint8, BGR, all of one size. codec: the one in use."""

    def __init__(self, path: Path, rate: float):
        self._path, self._rate = path, rate
        self._file: cv2.VideoWriter | None = None
        self._size = (0, 0)
        self.codec, self.frames = "", 0

    def add(self, image: np.ndarray) -> None:
        width, height = size = image.shape[1] // 2 * 2, image.shape[0] // 2 * 2  # encoders need even sides
        if self._file is None:
            self._file, self._size = self._opened(size), size
        if size != self._size:
            raise InputError(f"{self._path}: frame {self.frames} is {size}, the ones before are {self._size}.")
        self._file.write(np.ascontiguousarray(image[:height, :width]))
        self.frames += 1

    def _opened(self, size: tuple[int, int]) -> "cv2.VideoWriter":
        import cv2

        codecs = CODECS_BY_SUFFIX[self._path.suffix.lower()]
        for codec in codecs:
            letters = int.from_bytes(codec.encode(), "little")
            with quiet_stderr():  # OpenCV warns about VP8 though it writes it, and about encoders that are missing
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
        """Finish the file."""
        if self._file is not None:
            self._file.release()


@contextmanager
def video_writer(path: str | os.PathLike, rate: float) -> Iterator[Writer]:
    """A `Writer` whose file becomes `path` when the block succeeds. rate: frames/s."""
    path = Path(path)
    require_ending(path, "a video", CODECS_BY_SUFFIX)
    with atomic_path(path) as temporary:
        with closing(Writer(temporary, rate)) as writer:
            yield writer
        if not writer.frames:
            raise InputError(f"{path}: there are no frames to write.")


OVERLAY_TILE_PX = 540  # px: height of a camera's picture next to others
BORDER_PX = 6  # around pictures of frames that were rejected


@dataclass(frozen=True, eq=False)
class DrawnTrial:
    """Cameras of a trial and the layers drawn on their images.

    videos: one for each camera, or none for a plain background. shown: for each camera (frames,), its video's frame for
    each frame of the trial. layers: function from a frame to a layer for each camera's image.
    """

    cameras: Sequence[Camera]
    videos: Sequence[Path]
    shown: Sequence[np.ndarray]
    rate: float
    layers: Callable[[int], list[overlay.PersonLayer]]
    start: float = 0.0
    verdict: Verdict | None = None

    def boxes_and_signs(self) -> tuple[list[tuple[int, ...]], set[str]]:
        """Boxes around the person over the trial, px of each camera, all of one aspect; signs drawn in any frame."""
        places: list[list[np.ndarray]] = [[] for _ in self.cameras]
        signs: set[str] = set()
        for frame in range(len(self.shown[0])):
            for points, layer in zip(places, self.layers(frame), strict=True):
                points.append(layer.xy)
                signs |= layer.signs
        rooms = [(np.concatenate(points), camera.size) for points, camera in zip(places, self.cameras, strict=True)]
        boxes = [overlay.person_box(*room) for room in rooms]
        widest = max((x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in boxes)
        return [overlay.person_box(*room, aspect=widest) for room in rooms], signs

    def picture(self, frame: int, images: Sequence[np.ndarray], boxes: Sequence[tuple[int, ...]]) -> np.ndarray:
        """One frame: the boxes of the cameras' images side by side, or the whole image of a single camera."""
        verdict, note = self.verdict, ""
        if verdict is not None and verdict.status[frame] is not Status.KEPT:
            note = f" · {verdict.status[frame]}: {', '.join(verdict.reasons[frame]).replace('_', ' ')}"
        text = f"{self.start + frame / self.rate:.2f} s · frame {frame}{note}"
        cells = []
        for camera, image, layer, box in zip(self.cameras, images, self.layers(frame), boxes, strict=True):
            part, height = (box, OVERLAY_TILE_PX) if len(boxes) > 1 else (None, None)
            cells.append(overlay.draw_layers(image, [layer], f"{camera.name} · {text}", box=part, height=height))
            if verdict is not None and verdict.rejected[frame]:
                cells[-1][:BORDER_PX] = cells[-1][-BORDER_PX:] = to_bgr(VERMILLION)
                cells[-1][:, :BORDER_PX] = cells[-1][:, -BORDER_PX:] = to_bgr(VERMILLION)
        tall, wide = (max(cell.shape[axis] for cell in cells) for axis in (0, 1))
        # The pictures are largest, on a screen of 16:9, in so many columns:
        columns = max(range(1, len(cells) + 1), key=lambda n: min(16 / (n * wide), 9 / (-(-len(cells) // n) * tall)))
        return canvas.picture_grid(cells, columns)


def trial_to_draw(trial: SolvedTrial, views: Sequence[int]) -> DrawnTrial:
    """Detections and the fitted body in some views. views: indices of the cameras."""

    def layers(frame: int) -> list[overlay.PersonLayer]:
        seen = shown_in(trial, slice(frame, frame + 1))
        return [layer_of_image(trial, seen, frame, view) for view in views]

    return DrawnTrial(
        cameras=[trial.cameras[view] for view in views],
        videos=[trial.videos[view] for view in views if trial.videos],
        shown=[trial.video_frames(view) for view in views],
        rate=trial.spine.rate,
        layers=layers,
        start=float(trial.spine.time[0]),
        verdict=trial.verdict,
    )


def write_overlay_video(drawn: DrawnTrial, out: Path, progress: Callable[[int, int], None]) -> None:
    """Write a video (.webm, .mp4 or .avi) of a trial with the layers drawn on its images, and a legend below.

    One camera in full size; several side by side, cut to a box around the person over the trial. progress: called with
    (frames done, frames in all).
    """
    boxes, signs = drawn.boxes_and_signs()
    strip = None
    with video_writer(out, drawn.rate) as video:
        for frame, images in enumerate(_view_images(drawn.cameras, drawn.videos, drawn.shown)):
            picture = drawn.picture(frame, images, boxes)
            strip = overlay.legend_below(picture, signs) if strip is None else strip
            video.add(np.vstack([picture, strip]))
            progress(frame + 1, len(drawn.shown[0]))


def _view_images(
    cameras: Sequence[Camera], paths: Sequence[Path], shown: Sequence[np.ndarray]
) -> Iterator[list[np.ndarray]]:
    """The cameras' images of each frame, plain ones without videos. shown: as in `DrawnTrial`."""
    if not paths:
        yield from repeat([canvas.blank_picture(*camera.size) for camera in cameras], len(shown[0]))
        return
    videos = [video.shown_at(frames) for frames, video in zip(shown, open_videos(paths), strict=True)]
    for _ in shown[0]:
        images = [image for video in videos if (image := next(video, None)) is not None]
        if len(images) < len(videos):
            return
        yield images


def shown_in(trial: SolvedTrial, frames: slice) -> Keypoints:
    """Detected points, and projections of the inferred points with confidence 0. Only for trials with
    images."""
    seen, markers = trial.used_keypoints_of(frames), trial.markers
    inferred = markers.names_of(Origin.INFERRED)
    names = [base_name(name) for name in inferred]
    xyz = change_frame(markers.xyz[frames][:, markers.indices(inferred)], markers.frame, "z_up")
    xy = np.moveaxis(project_points(trial.cameras, xyz), 0, 1)
    rest = seen.select([name for name in seen.names if name not in names])
    return Keypoints(
        (*rest.names, *names),
        rest.rate,
        np.concatenate([rest.xy, xy], 2),
        np.concatenate([rest.confidence, np.zeros(xy.shape[:3])], 2),
        origin=(*rest.origins, *[Origin.INFERRED] * len(names)),
    )


def layer_of_image(trial: SolvedTrial, shown: Keypoints, frame: int, view: int) -> overlay.PersonLayer:
    """Detected points on one image, and the fitted body. shown: `shown_in` of this frame alone."""
    report = trial.keypoints_and_triangulation[1]
    swapped, used = report.swapped[frame, view], report.used[frame, view]
    inferred = shown.names_of(Origin.INFERRED)
    body = body_in_image(trial, view, slice(frame, frame + 1))[0]
    return layer_of_points(
        shown,
        (0, view),
        swapped={name for name, swap in zip(report.names, swapped, strict=True) if swap},
        pruned={name for name, keep in zip(report.names, used, strict=True) if not keep}.difference(inferred),
        body=dict(zip(trial.model_points.names, body, strict=True)),
    )


def layer_of_points(seen: Keypoints, at: tuple[int, int], **more: Any) -> overlay.PersonLayer:
    """The points of a (frame, view) as a layer. more: other fields of the layer."""
    return overlay.PersonLayer(
        points=dict(zip(seen.names, seen.xy[at], strict=True)),
        confidence=dict(zip(seen.names, seen.confidence[at], strict=True)),
        estimated={*seen.names_of(Origin.ESTIMATED)},
        inferred={*seen.names_of(Origin.INFERRED)},
        **more,
    )


def body_in_image(trial: SolvedTrial, view: int, frames: slice) -> np.ndarray:
    """(frames, points, 2) px: `SolvedTrial.model_points` projected into a camera's image."""
    model = trial.model_points
    return project_one(trial.cameras[view], change_frame(model.xyz[frames], model.frame, "z_up"))


FILM_HEIGHT_PX, FILM_ASPECT = 480, 3 / 4  # height of a picture, px; width / height
FILM_QUALITY = 45  # JPEG's quality, for about 15 kB a picture
MAX_FILM_VIEWS = 4  # cameras whose pictures a page holds


def films_of_trial(trial: SolvedTrial, step: int, most_bytes: int) -> tuple[Film, ...]:
    """Pictures from up to `MAX_FILM_VIEWS` cameras, cut to a box around the person over the trial; () without videos.

    step: the page holds the first frame and every step-th one after it. most_bytes: limit for all pictures together;
    above it every second picture is dropped, repeatedly if necessary.
    """
    views = range(min(MAX_FILM_VIEWS, len(trial.videos)))
    opened = open_videos([trial.videos[view] for view in views])
    seen = None if trial.keypoints is None else trial.used_keypoints_of(slice(None, None, step))

    def film(view: int) -> Film:
        return _film_of_view(trial, view, opened[view], seen=seen, step=step, most_bytes=most_bytes // len(views))

    with ThreadPoolExecutor() as pool:
        return tuple(pool.map(film, views))


def _film_of_view(
    trial: SolvedTrial, view: int, video: Video, seen: Keypoints | None, step: int, most_bytes: int
) -> Film:
    """seen: detected points in the frames of the page; None where not known."""
    camera, xy, names = trial.cameras[view], body_in_image(trial, view, slice(None)), trial.model_points.names
    box = overlay.person_box(xy.reshape(-1, 2), camera.size, FILM_ASPECT)
    size = (round(FILM_HEIGHT_PX * FILM_ASPECT), FILM_HEIGHT_PX)
    pictures, every = _pictures_within_bytes(video.shown_at(trial.video_frames(view)[::step]), box, size, most_bytes)
    lines, spine = overlay.body_lines(names)
    points = xy[::step, :0] if seen is None else seen.xy[:, view]
    return Film(
        name=camera.name,
        size=size,
        pictures=pictures,
        every=every * step,
        body=_pixels_in_film(xy[::step], box),
        lines=lines,
        spine=spine,
        seen=_pixels_in_film(points, box),
        line_colours=[overlay.line_colour(names[a], names[b]) for a, b in lines],
        seen_colours=[] if seen is None else [overlay.point_colour(name) for name in seen.names],
    )


def _pixels_in_film(xy: np.ndarray, box: tuple[int, ...]) -> np.ndarray:
    """Pixels of the whole image as pixels of a picture; NaN far outside it, such as for points behind a camera."""
    inside = canvas.pixels_in_part(xy, box, FILM_HEIGHT_PX / (box[3] - box[1]))
    return np.where((np.abs(inside) < 4 * FILM_HEIGHT_PX).all(-1, keepdims=True), inside, np.nan)


def _pictures_within_bytes(
    images: Iterable[np.ndarray], box: tuple[int, ...], size: tuple[int, int], most_bytes: int
) -> tuple[list[bytes], int]:
    """Pictures within a number of bytes, and the number of images per picture."""
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
