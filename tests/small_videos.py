"""Small synthetic videos, and a calibration with a camera too few."""

from pathlib import Path

import cv2
import numpy as np

WIDTH, HEIGHT = 96, 54


def write_video(path: Path, frames: int = 12, rate: float = 30.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), rate, (WIDTH, HEIGHT))
    rng = np.random.default_rng(0)
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8))
    writer.release()
    return path


def drop_camera(project) -> None:
    file = project.folder / "cameras.toml"
    head, _, rest = file.read_text().partition("[cam04]")
    file.write_text(head + rest[rest.index("[metadata]") :])
