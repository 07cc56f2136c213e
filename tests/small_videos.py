"""Small synthetic videos, the beginning of the demonstration's, and a calibration with a camera too few."""

from pathlib import Path

import cv2
import numpy as np

from simspine.io.video import demo_folder

WIDTH, HEIGHT = 96, 54


def write_video(path: Path, frames: int = 12, rate: float = 30.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    return path


def write_beginning_of_the_demo(folder: Path, frames: int) -> dict:
    """The first frames of the demonstration's four videos; the trial's section of the configuration."""
    source = demo_folder()
    for file in sorted((source / "videos").glob("*.mp4")):
        reader = cv2.VideoCapture(str(file))
        size = int(reader.get(cv2.CAP_PROP_FRAME_WIDTH)), int(reader.get(cv2.CAP_PROP_FRAME_HEIGHT))
        writer = cv2.VideoWriter(str(folder / file.name), cv2.VideoWriter_fourcc(*"mp4v"), 60, size)
        for _ in range(frames):
            writer.write(reader.read()[1])
        writer.release()
    videos = [str(path) for path in sorted(folder.glob("*.mp4"))]
    return {"videos": videos, "calibration": str(next((source / "calibration").glob("*.qca.txt")))}


def drop_camera(project) -> None:
    file = project.folder / "cameras.toml"
    head, _, rest = file.read_text().partition("[cam04]")
    file.write_text(head + rest[rest.index("[metadata]") :])
