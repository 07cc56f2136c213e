"""Write pictures as a video that browsers play."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np

from simspine.detection.quiet import quiet
from simspine.errors import InputError
from simspine.formats.atomic import atomic_path

# In order of preference. OpenCV's wheels have no encoder for H.264; where a program `ffmpeg` that has one is installed,
# it writes .mp4. VP9 in MP4 is played by Chromium, Firefox and Safari; MPEG-4 part 2 by players only. VP8 in WebM is
# written five times as fast as VP9, and browsers play it as well. Motion JPEG is written nine times as fast as VP8, for
# players and for programs that go through a video picture by picture.
CODECS = {".mp4": ("avc1", "vp09", "mp4v"), ".webm": ("VP80",), ".avi": ("MJPG",)}
H264 = "avc1"
_FFMPEG_S = 20  # s until a program that does not say what it can write is given up


class Sink(Protocol):
    """What takes the pictures of one video: OpenCV's writer, or `FfmpegPipe`."""

    def write(self, image: np.ndarray, /) -> None: ...

    def release(self) -> None: ...


class FfmpegPipe:
    """H.264 by the program `ffmpeg`, which is given the pictures as they are."""

    def __init__(self, program: str, path: Path, rate: float, size: tuple[int, int]):
        command = [
            program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{size[0]}x{size[1]}",
            "-r", f"{rate:.6f}", "-i", "-", "-an", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20",
            "-pix_fmt", "yuv420p", "-movflags", "+faststart", str(path),
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)

    def write(self, image: np.ndarray) -> None:
        assert self._process.stdin is not None  # a pipe
        try:
            self._process.stdin.write(np.ascontiguousarray(image).data)
        except BrokenPipeError:
            self.release()

    def release(self) -> None:
        """Wait until the file is whole. Raises `InputError` with what the program said where it failed."""
        said = self._process.communicate()[1] if self._process.returncode is None else b""
        if self._process.returncode:
            lines = said.decode(errors="replace").strip().splitlines()
            raise InputError(f"ffmpeg could not write the video: {lines[-1] if lines else 'it gave no reason'}.")


@cache
def h264_program() -> str | None:
    """The program `ffmpeg`, where one is installed that writes H.264."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, timeout=_FFMPEG_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return program if b"libx264" in done.stdout else None


class Writer:
    """An open video; `add` takes pictures (height, width, 3) uint8, BGR, all of one size. codec: the one found."""

    def __init__(self, path: Path, rate: float):
        self._path, self._rate = path, rate
        self._file: Sink | None = None
        self._size = (0, 0)
        self.codec, self.frames = "", 0

    def add(self, image: np.ndarray) -> None:
        image = _even(image)
        size = (image.shape[1], image.shape[0])
        if self._file is None:
            self._file, self._size = self._opened(size), size
        if size != self._size:
            raise InputError(f"{self._path}: frame {self.frames} is {size}, the ones before are {self._size}.")
        self._file.write(image)
        self.frames += 1

    def _opened(self, size: tuple[int, int]) -> Sink:
        import cv2

        codecs = CODECS[self._path.suffix.lower()]
        program = h264_program() if H264 in codecs else None
        if program is not None:
            self.codec = H264
            return FfmpegPipe(program, self._path, self._rate, size)
        for codec in codecs:
            letters = int.from_bytes(codec.encode(), "little")
            with quiet():  # it says that it dislikes the letters of VP8, and writes it
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
    if path.suffix.lower() not in CODECS:
        raise InputError(f"{path}: videos are written as {', '.join(CODECS)}; name the file so.")
    with atomic_path(path) as temporary, _quiet():
        writer = Writer(temporary, rate)
        try:
            yield writer
            writer.close()
        except BaseException:
            with suppress(InputError):  # what went wrong first is what is told
                writer.close()
            raise
        if not writer.frames:
            raise InputError(f"{path}: there are no frames to write.")


@contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV says on the terminal which encoders it lacks; the next one is tried anyway."""
    from cv2.utils import logging

    before = logging.getLogLevel()
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(before)


def _even(image: np.ndarray) -> np.ndarray:
    """Encoders want even widths and heights: a row or column at the edge goes."""
    height, width = image.shape[:2]
    return np.ascontiguousarray(image[: height - height % 2, : width - width % 2])
