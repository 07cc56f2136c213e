"""Images of one camera, one by one: from a photograph, a folder of photographs, a video, or a webcam."""

import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from simspine.core.errors import InputError, require_path
from simspine.io.atomic import atomic_path, check_announced_bytes
from simspine.io.text_tables import natural_order_key, repeated_names
from simspine.io.video import Video, check_synchronised, describe_unevenness, open_video


def write_picture(path: Path, picture: np.ndarray, sync: bool = True) -> None:
    """Write a picture (height, width, 3) uint8, BGR, as its ending says. sync: see `atomic_path`."""
    import cv2

    with atomic_path(path, sync) as temporary:
        temporary.write_bytes(cv2.imencode(path.suffix.lower(), picture)[1].tobytes())


IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ImageFiles:
    """Photographs. path: the folder or the only file, as given."""

    path: Path
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Name of the folder, or of the file without its ending."""
        return self.path.name if self.path.is_dir() else self.path.stem

    @property
    def frames(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class Stills(ImageFiles):
    """Photographs of one camera. size: (width, height) px of all of them."""

    size: tuple[int, int]

    def at(self, rows: Iterable[int]) -> Iterator[np.ndarray]:
        """Images (h, w, 3) uint8 BGR of the files with the indices `rows`."""
        for row in rows:
            yield read_image(self.files[row])


def open_recording(path: str | Path) -> Video | Stills:
    """A video, a folder of photographs in the natural order of their names, or one photograph."""
    path = Path(path)
    if path.is_dir():
        return _open_stills(path, images_in(path))
    if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
        return _open_stills(path, (path,))
    return open_video(path)


def open_recordings(paths: Iterable[str | Path]) -> tuple[Video | Stills, ...]:
    """The recordings of several cameras; `InputError` unless their images with one number show the same instant."""
    recordings = tuple(map(open_recording, paths))
    if videos := [recording for recording in recordings if isinstance(recording, Video)]:
        check_synchronised(videos)
    if len({recording.frames for recording in recordings}) > 1:
        listed = ", ".join(f"{recording.name} {recording.frames}" for recording in recordings)
        raise InputError(f"recordings differ in length: {listed}. Their k-th images must be of one instant; trim them.")
    return recordings


def images_in(folder: Path) -> tuple[Path, ...]:
    """The photographs of a folder in the natural order of their names; `InputError` where there are none."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and file.name[0] != "."]
    if not files:
        raise InputError(f"no images in the folder {folder}; looked for {', '.join(IMAGE_SUFFIXES)}.")
    return tuple(sorted(files, key=lambda file: natural_order_key(file.name)))


def _open_stills(path: Path, files: tuple[Path, ...]) -> Stills:
    sizes: dict[tuple[int, int], Path] = {}
    for file in files:
        height, width = read_image(file).shape[:2]
        sizes.setdefault((width, height), file)
    if len(sizes) > 1:
        listed = ", ".join(f"{w}×{h} ({file.name})" for (w, h), file in sizes.items())
        raise InputError(f"the images of {path} have several sizes: {listed}. A camera has one; leave out the others.")
    return Stills(path, files, next(iter(sizes)))


def read_image(file: Path) -> np.ndarray:
    """(h, w, 3) uint8 BGR, rotated as the file states; `InputError` if it is damaged, or far larger than its file."""
    import cv2
    from PIL import Image

    require_path(file)
    unreadable = InputError(f"image {file} cannot be read: it is empty, damaged, or of a format that is not supported.")
    try:
        with Image.open(file) as head:
            announced = 3 * head.width * head.height
            if head.format == "PNG":
                head.verify()  # detects a damaged length of a chunk
        content = file.read_bytes()
        if head.format == "JPEG" and content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):  # a scan without end
            raise EOFError
    except Exception:  # damaged headers end in many ways
        raise unreadable from None
    check_announced_bytes(str(file), announced, file.stat().st_size)
    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise unreadable
    return image


def require_image(image: np.ndarray) -> np.ndarray:
    """The image as an array; `InputError` unless it is (height, width, 3) uint8."""
    array = np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        found = f"image has shape {array.shape} and type {array.dtype}"
        raise InputError(f"{found}, expected (height, width, 3) uint8, BGR; None is of a file that imread cannot read.")
    return array


JPEG_QUALITY = 92  # of 100: edges of clothes and markers stay sharp
MAX_FRAMES_DECODED_FORWARD = 120  # frames ahead up to which decoding is faster than seeking


class ImagesInAnyOrder:
    """Images in any order, for one thread. A video whose decoder reaches another place is decoded from its start."""

    def __init__(self, source: Video | Stills):
        self._source = source
        self._capture: Any = None
        self._next = 0

    def at(self, row: int) -> np.ndarray:
        """An image, (h, w, 3) uint8 BGR; `InputError` where it cannot be decoded."""
        if isinstance(self._source, Stills):
            return read_image(self._source.files[row])
        if self._capture is None or not self._next <= row <= self._next + MAX_FRAMES_DECODED_FORWARD:
            self._go_to(row)
        while self._next < row and self._capture.grab():
            self._next += 1
        ok, image = self._capture.read() if self._next == row else (False, None)
        if not ok or image is None:
            self.close()
            raise InputError(f"video {self._source.path}: frame {row} of {self._source.frames} cannot be decoded.")
        self._next += 1
        return image

    def close(self) -> None:
        """Close the file; the next image opens it again."""
        if self._capture is not None:
            self._capture.release()
        self._capture, self._next = None, 0

    def _go_to(self, row: int) -> None:
        import cv2

        self._open()
        if row > MAX_FRAMES_DECODED_FORWARD and self._capture.set(cv2.CAP_PROP_POS_FRAMES, row):
            if round(self._capture.get(cv2.CAP_PROP_POS_FRAMES)) == row:
                self._next = row
            else:
                self._open()

    def _open(self) -> None:
        import cv2

        self.close()
        self._capture = cv2.VideoCapture(str(self._source.path))
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)


def encode_jpeg(image: np.ndarray, quality: int = JPEG_QUALITY) -> bytes:
    """(height, width, 3) uint8 BGR as JPEG, which is written twenty times as fast as WebP."""
    import cv2

    return cv2.imencode(".jpg", require_image(image), [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


WEBCAM_WORD = "webcam"  # another name of webcam 0
USUAL_WEBCAM_RATE_HZ = 30.0  # frames/s assumed of a webcam that states none
MAX_WEBCAM_NUMBER = 999  # largest number of a webcam that is tried
MAX_FRAMES_LOST = 30  # frames in a row that a webcam may fail to deliver


class CameraImage(NamedTuple):
    """An image with its time (s since the first image), number (from 0), and name, by which files are named."""

    image: np.ndarray
    time: float
    number: int
    name: str


class Photographs(ImageFiles):
    """Separate pictures, of any sizes."""

    def __iter__(self) -> Iterator[CameraImage]:
        for i, file in enumerate(self.files):
            yield CameraImage(read_image(file), 0.0, i, file.stem)


@dataclass(frozen=True)
class Webcam:
    """A camera of this computer. rate: frames/s that it states. frames: None, since it has no end."""

    number: int
    rate: float
    frames: None = None

    @property
    def name(self) -> str:
        return f"{WEBCAM_WORD}{self.number}"

    def __iter__(self) -> Iterator[CameraImage]:
        """Images without end, with times of the clock. `InputError` where the camera stops delivering them."""
        with _open_webcam_number(self.number) as capture:
            start, count, lost = time.monotonic(), 0, 0
            while lost < MAX_FRAMES_LOST:
                ok, image = capture.read()
                lost = 0 if ok else lost + 1
                if ok:
                    yield CameraImage(image, time.monotonic() - start, count, frame_name(count))
                    count += 1
        raise InputError(f"webcam {self.number} gives no images any more. Is it still plugged in?")


OneCameraSource = Photographs | Video | Webcam


def camera_images(camera: OneCameraSource) -> Iterator[CameraImage]:
    if not isinstance(camera, Video):
        yield from camera
        return
    for i, image in enumerate(camera):
        yield CameraImage(image, i / camera.rate, i, frame_name(i))


def frame_name(number: int) -> str:
    """'frame_00000', as SpinePose calls its files."""
    return f"frame_{number:05d}"


def open_camera(source: str) -> OneCameraSource:
    """A photograph, a folder of them, a video, or a webcam by its number ('webcam' is number 0)."""
    require_path(source)
    if source.isdecimal() or source.lower() == WEBCAM_WORD:
        return open_webcam(int(source) if source.isdecimal() else 0)
    path = Path(source)
    if path.is_dir():
        files = images_in(path)
        if twice := repeated_names(file.stem for file in files):  # results are named without the endings
            raise InputError(f"{path} holds several images called {twice}, with different endings; rename one of them.")
        return Photographs(path, files)
    if not path.exists():
        raise InputError(f"{source} does not exist. Name an image, a folder of images, a video, or a webcam (0).")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        read_image(path)
        return Photographs(path, (path,))
    video = open_video(path)
    if uneven := describe_unevenness(video):
        warnings.warn(f"{uneven}; frames are taken as evenly spaced.", stacklevel=2)
    return video


def open_webcam(number: int) -> Webcam:
    """The webcam with this number; `InputError` where there is none, or it gives no image."""
    import cv2

    with _open_webcam_number(number) as capture:
        if not capture.read()[0]:
            raise InputError(f"webcam {number} gives no image. Does another program use it?")
        rate = float(capture.get(cv2.CAP_PROP_FPS))
    return Webcam(number, rate if np.isfinite(rate) and rate > 0 else USUAL_WEBCAM_RATE_HZ)


@contextmanager
def _open_webcam_number(number: int):
    import cv2
    from cv2.utils import logging

    before = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # our message names the fault
    try:
        capture = cv2.VideoCapture(min(number, MAX_WEBCAM_NUMBER))
    finally:
        logging.setLogLevel(before)
    try:
        if number > MAX_WEBCAM_NUMBER or not capture.isOpened():
            raise InputError(f"there is no webcam {number} (from 0), or it may not be used. For a file, name its path.")
        yield capture
    finally:
        capture.release()
