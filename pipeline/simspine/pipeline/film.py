"""What the cameras saw of a trial as small pictures for a page, and where the fitted body lies in them."""

from collections.abc import Iterable

import numpy as np

from simspine.geometry import change_frame, project_one
from simspine.pipeline.overlay import room_of
from simspine.pipeline.solved_trial import SolvedTrial, body_edges
from simspine.report import canvas
from simspine.report.embed import webp
from simspine.report.player.film import Film
from simspine.sources.video import Video, open_videos
from simspine.spine.levels import CHAIN

HEIGHT, ASPECT = 600, 3 / 4  # of a picture: px, width / height
QUALITY = 48  # of WebP: about 10 kB a picture
MOST_VIEWS = 4  # cameras whose pictures a page holds


def films_of(found: SolvedTrial, step: int, most_bytes: int) -> tuple[Film, ...]:
    """Pictures of up to `MOST_VIEWS` cameras, cut to where the person is during the trial; () without videos.

    step: of the frames that the page holds, the first, the step-th … most_bytes: of all pictures together; where more
    would be needed, every second picture goes, as often as it takes.
    """
    views = range(min(MOST_VIEWS, len(found.videos)))
    opened = open_videos([found.videos[view] for view in views])
    at = slice(None, None, step)
    seen = None if found.keypoints is None else found.detected_in(at).xy
    return tuple(
        _film(found, view, video, None if seen is None else seen[:, view], step, most_bytes // len(views))
        for view, video in zip(views, opened, strict=True)
    )


def _film(found: SolvedTrial, view: int, video: Video, seen: np.ndarray | None, step: int, most_bytes: int) -> Film:
    """seen: (frames held, points, 2) px, what was detected; None where that is not known."""
    camera, model = found.cameras[view], found.model_points
    box = room_of(camera, model, ASPECT)
    scale, size = HEIGHT / (box[3] - box[1]), (round(HEIGHT * ASPECT), HEIGHT)
    pictures, every = _thinned(video.shown_at(found.video_frames(view)[::step]), box, size, most_bytes)
    names = {name: i for i, name in enumerate(model.names)}
    spine = [name for name in CHAIN if name in names]
    lines = [(names[a], names[b]) for a, b in body_edges() if {a, b} <= set(names) and not {a, b} <= set(spine)]
    body = _within(project_one(camera, change_frame(model.xyz[::step], model.frame, "z_up")), box, scale)
    points = np.empty((len(body), 0, 2)) if seen is None else _within(seen, box, scale)
    return Film(camera.name, size, pictures, every * step, body, lines, [names[name] for name in spine], points, step)


def _within(xy: np.ndarray, box: tuple[int, ...], scale: float) -> np.ndarray:
    """Pixels of the whole image in those of a picture; NaN where far outside it, as behind a camera."""
    inside = scale * (xy + 0.5 - np.array(box[:2])) - 0.5
    return np.where((np.abs(inside) < 4 * HEIGHT).all(-1, keepdims=True), inside, np.nan)


def _thinned(
    images: Iterable[np.ndarray], box: tuple[int, ...], size: tuple[int, int], most_bytes: int
) -> tuple[list[bytes], int]:
    """Pictures of some bytes at most, and of how many images each stands for one."""
    pictures: list[bytes] = []
    every, total = 1, 0
    for number, image in enumerate(images):
        if number % every:
            continue
        pictures.append(webp(canvas.part(image, box, size), QUALITY))
        total += len(pictures[-1])
        while total > most_bytes and len(pictures) > 1:
            pictures, every = pictures[::2], 2 * every
            total = sum(map(len, pictures))
    return pictures, every
