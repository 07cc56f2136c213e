"""Videos, read frame by frame: memory does not grow with their length."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.sources.foreign_file import what_it_is
from simspine.types import FASTEST

# Containers may announce a frame or two that no decoder delivers (edit lists, B-frames at the end).
TOLERATED_FRAMES = 2
RATE_TOLERANCE = 1e-3
DELAYS = (
    "Say by how many frames each view is late (`delays` of the trial, or `delays: find`; in Python simspine.Delayed), "
    "or trim them to the same instants (ffmpeg -ss, -frames:v)."
)


@dataclass(frozen=True)
class Video:
    """A readable video. Made by `open_video`, which checks it.

    size: (width, height) px of the decoded images, which are turned as the file asks a player to. rate: frames per
    second. frames: as announced by the container.
    """

    path: Path
    size: tuple[int, int]
    rate: float
    frames: int

    @property
    def name(self) -> str:
        """File name without its ending."""
        return self.path.stem

    def __iter__(self) -> Iterator[np.ndarray]:
        """Images (height, width, 3) uint8, BGR, one at a time.

        Raises `InputError` where decoding stops more than two frames early, with both numbers.
        """
        decoded = 0
        with _capture(self.path) as capture:
            while True:
                ok, image = capture.read()
                if not ok:
                    break
                decoded += 1
                yield image
        if decoded < self.frames - TOLERATED_FRAMES:
            raise InputError(
                f"video {self.path} announces {self.frames} frames, but only {decoded} could be decoded: the file is "
                "damaged or was cut short. Copy it again from its source, or convert it with ffmpeg."
            )

    def at(self, rows: Iterable[int]) -> Iterator[np.ndarray]:
        """Images of some frames, as they come; frames between them are passed over without being converted.

        Raises `InputError` where decoding stops before the last of them.
        """
        wanted = set(rows)
        with _capture(self.path) as capture:
            for row in range(max(wanted, default=-1) + 1):
                ok, image = capture.read() if row in wanted else (capture.grab(), None)
                if not ok:
                    raise InputError(
                        f"video {self.path}: frame {row} of {self.frames} cannot be decoded; the file is damaged or "
                        "was cut short. Copy it again from its source, or convert it with ffmpeg."
                    )
                if image is not None:
                    yield image

    def shown_at(self, frames: Iterable[int]) -> Iterator[np.ndarray]:
        """Images of the frames asked for, numbers that never fall; ends where the video does."""
        images, number, image = iter(self), -1, None
        for frame in frames:
            while number < frame:
                image, number = next(images, None), number + 1
                if image is None:
                    return
            if image is not None:
                yield image


def open_video(path: str | Path) -> Video:
    """Metadata of a video, after decoding its first frame. Raises `InputError` for what cannot be read."""
    import cv2

    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder, where a video is wanted; name the file in it.")
    if not path.is_file():
        raise InputError(f"video {path} does not exist.")
    with _capture(path) as capture:
        ok, image = capture.read()
        if not ok:
            raise InputError(
                f"video {path} opens, but no frame of it can be decoded: it is empty or damaged. "
                "Copy it again from its source, or convert it with ffmpeg."
            )
        rate = float(capture.get(cv2.CAP_PROP_FPS))
        frames = round(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    if not (np.isfinite(rate) and 0 < rate <= FASTEST):
        raise InputError(
            f"video {path} does not state a frame rate that a camera has (found {rate:g} frames/s). Convert it with "
            "ffmpeg -r RATE."
        )
    if frames <= 0:
        raise InputError(f"video {path} announces {frames} frames. Convert it with ffmpeg.")
    return Video(path, (image.shape[1], image.shape[0]), rate, frames)


def open_videos(paths: Sequence[str | Path]) -> tuple[Video, ...]:
    """All videos of a capture, or one `InputError` that gathers what is wrong with any of them."""
    videos, faults = [], []
    for path in paths:
        try:
            videos.append(open_video(path))
        except InputError as fault:
            faults.append(str(fault))
    if faults:
        raise InputError("\n".join(faults))
    return tuple(videos)


def check_synchronised(videos: Sequence[Video], lengths_agree: bool = True) -> None:
    """Raise one `InputError`, with a table of all videos, unless lengths agree and rates differ by at most 0.1 %.

    lengths_agree: False where videos are known to start together and only one runs on longer than the other, or where
    it is said or to be found how late each is.

    Frame k of each view is taken to show the same instant otherwise.
    """
    if not videos:
        raise InputError("no videos given.")
    lengths = {video.frames for video in videos}
    rates = [video.rate for video in videos]
    faults, cures = [], []
    if lengths_agree and len(lengths) > 1:
        faults.append(f"their lengths differ ({min(lengths)} to {max(lengths)} frames)")
        cures.append(DELAYS)
    if max(rates) - min(rates) > RATE_TOLERANCE * min(rates):
        faults.append(f"their frame rates differ ({min(rates):g} to {max(rates):g} frames/s)")
        cures.append("Convert them to one rate (ffmpeg -r).")
    if faults:
        width = max(len(video.path.name) for video in videos)
        table = [f"  {'video':<{width}}  frames  frames/s  size"] + [
            f"  {v.path.name:<{width}}  {v.frames:>6}  {v.rate:>8.3f}  {v.size[0]}×{v.size[1]}" for v in videos
        ]
        raise InputError(
            f"the videos are not synchronised: {' and '.join(faults)}.\n" + "\n".join(table) + "\n" + " ".join(cures)
        )


@contextmanager
def _capture(path: Path):
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # our message names the fault; ffmpeg's are per macroblock
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            found = what_it_is(path)
            if found:
                raise InputError(
                    f"{path} cannot be opened as a video: it is {found}. Name a video (.mp4, .mov, .avi, …)."
                )
            raise InputError(
                f"{path} cannot be opened as a video: it is damaged, cut short, or in a format that is not supported. "
                "Copy it again from its source, or convert it with ffmpeg."
            )
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        yield capture
    finally:
        capture.release()
