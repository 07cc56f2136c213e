"""Folders of photographs, and single ones, read image by image as a video is."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simspine.errors import InputError
from simspine.sources.video import Video, open_video

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class ImageFiles:
    """Photographs. path: what was named, the folder or the only file."""

    path: Path
    files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """Of the folder, or of the file without its ending."""
        return self.path.name if self.path.is_dir() else self.path.stem

    @property
    def frames(self) -> int:
        return len(self.files)


@dataclass(frozen=True)
class Stills(ImageFiles):
    """Photographs of one camera. size: (width, height) px of all of them."""

    size: tuple[int, int]

    def at(self, rows: Iterable[int]) -> Iterator[np.ndarray]:
        """Images (h, w, 3) uint8 BGR of some of the files."""
        for row in rows:
            yield read_image(self.files[row])


def open_recording(path: str | Path) -> Video | Stills:
    """A video, a folder of photographs in the natural order of their names, or one photograph.

    Raises `InputError` for what cannot be read, and for photographs of several sizes.
    """
    path = Path(path)
    if path.is_dir():
        return _stills(path, images_in(path))
    if path.suffix.lower() in ENDINGS and path.is_file():
        return _stills(path, (path,))
    return open_video(path)


def images_in(folder: Path) -> tuple[Path, ...]:
    """The photographs of a folder in the natural order of their names; `InputError` where there are none."""
    files = [file for file in folder.iterdir() if file.suffix.lower() in ENDINGS and file.name[0] != "."]
    if not files:
        raise InputError(f"no images in the folder {folder}; looked for {', '.join(ENDINGS)}.")
    return tuple(sorted(files, key=lambda file: _natural(file.name)))


def _stills(path: Path, files: tuple[Path, ...]) -> Stills:
    sizes: dict[tuple[int, int], Path] = {}
    for file in files:
        height, width = read_image(file).shape[:2]
        sizes.setdefault((width, height), file)
    if len(sizes) > 1:
        told = ", ".join(f"{w}×{h} ({file.name})" for (w, h), file in sizes.items())
        raise InputError(
            f"the images of {path} have several sizes: {told}. A camera has one; turn or leave out what was taken "
            "otherwise."
        )
    return Stills(path, files, next(iter(sizes)))


def read_image(file: Path) -> np.ndarray:
    """(h, w, 3) uint8 BGR, turned as the file asks; `InputError` for what cannot be read."""
    import cv2

    image = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(f"image {file} cannot be read: it is empty, damaged, or in a format that is not supported.")
    return image


def _natural(name: str) -> list[tuple[int, int | str]]:
    """cam_2 before cam_10."""
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in re.split(r"(\d+)", name.lower())]
