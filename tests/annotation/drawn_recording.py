"""A recording whose points are known: a drawn person in photographs of four calibrated cameras."""

from pathlib import Path

import cv2
import numpy as np
from small_project import ring
from stick_person import PARTS, stick_person

from simspine.core.geometry import project_points
from simspine.core.skeletons import load_skeleton
from simspine.core.types import Camera, Keypoints
from simspine.io.calibration import write_calibration
from simspine.io.keypoint_json import write_keypoints

FRAMES, VIEWS, SCALE = 6, 4, 0.4  # of the cameras' size: smaller images are sooner drawn and decoded


def cameras() -> list[Camera]:
    """Four of 768×432 px, with lenses that distort."""
    small = []
    for camera in ring(VIEWS):
        K = camera.K * [[SCALE], [SCALE], [1]]
        size = tuple(round(SCALE * side) for side in camera.size)
        small.append(Camera(camera.name, size, K, camera.distortion, camera.R, camera.t))
    return small


def true_points(frames: int = FRAMES, views: int = VIEWS) -> Keypoints:
    """(frames, views, 37, 2) px, SIMSPINE's names."""
    markers = stick_person(frames)[0]
    xy = np.moveaxis(project_points(cameras()[:views], markers.xyz), 0, 1)
    return Keypoints(markers.names, 50.0, xy, np.ones(xy.shape[:3]))


def write_recording(folder: Path, start: Keypoints | None = None, frames: int = FRAMES) -> Keypoints:
    """Images in `<folder>/cam01` …, calibration, and in `pose` the pseudo-labels `start`; returns the true points."""
    truth, rig = true_points(frames), cameras()
    for v, camera in enumerate(rig):
        (folder / camera.name).mkdir(parents=True)
        for f in range(frames):
            cv2.imwrite(str(folder / camera.name / f"{f:03d}.png"), _drawn(camera, truth, f, v))
    (folder / "calibration").mkdir()
    write_calibration(folder / "calibration" / "Calib.toml", rig)
    if start is not None:
        table = load_skeleton("spinetrack37")
        native = start.select([table.to_simspine[name] for name in table.names])
        write_keypoints(folder / "pose", native, [camera.name for camera in rig])
    return truth


def off_by(truth: Keypoints, px: float, seed: int = 0, confidence: float = 0.8) -> Keypoints:
    """Pseudo-labels a detector could give: noise of `px` on every point."""
    noise = np.random.default_rng(seed).normal(0, px, truth.xy.shape)
    return Keypoints(truth.names, truth.rate, truth.xy + noise, np.full(truth.xy.shape[:3], confidence))


def _drawn(camera: Camera, truth: Keypoints, frame: int, view: int) -> np.ndarray:
    image = np.full((camera.size[1], camera.size[0], 3), (70, 66, 60), np.uint8)
    at = {name: tuple(np.rint(truth.xy[frame, view, i]).astype(int)) for i, name in enumerate(truth.names)}
    for a, b, radius in PARTS:
        cv2.line(image, at[a], at[b], (150, 160, 175), max(2, round(600 * SCALE * radius / 2)), cv2.LINE_AA)
    return image
