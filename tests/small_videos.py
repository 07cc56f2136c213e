"""Small synthetic videos, the beginning of the demonstration's, and a calibration with a camera too few."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np

from simspine.io.video import demo_folder

WIDTH, HEIGHT = 96, 54


def write_frames(path: Path, frames: Sequence[np.ndarray], rate: float = 25.0, codec: str = "mp4v") -> Path:
    """A video of some images; without loss by the codec FFV1."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, frames[0].shape[1::-1])
    for image in frames:
        writer.write(image)
    writer.release()
    return path


def greys(size: tuple[int, int], levels: Iterable[int]) -> list[np.ndarray]:
    """Images of one grey each."""
    return [np.full((size[1], size[0], 3), level, np.uint8) for level in levels]


def write_video(path: Path, frames: int = 12, rate: float = 30.0) -> Path:
    rng = np.random.default_rng(0)
    return write_frames(path, [rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8) for _ in range(frames)], rate)


def write_beginning_of_the_demo(folder: Path, frames: int) -> dict:
    """The first frames of the demonstration's four videos; the trial's section of the configuration."""
    source = demo_folder()
    for file in sorted((source / "videos").glob("*.mp4")):
        reader = cv2.VideoCapture(str(file))
        write_frames(folder / file.name, [reader.read()[1] for _ in range(frames)], 60)
    videos = [str(path) for path in sorted(folder.glob("*.mp4"))]
    return {"videos": videos, "calibration": str(next((source / "calibration").glob("*.qca.txt")))}


def drop_camera(project) -> None:
    file = project.folder / "cameras.toml"
    head, _, rest = file.read_text().partition("[cam04]")
    file.write_text(head + rest[rest.index("[metadata]") :])
