"""A synthetic walk seen by four cameras whose errors are known."""

from dataclasses import replace
from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.core.filtering import at_frames
from simspine.core.types import Camera, Keypoints, Markers
from simspine.synthesis.population import make_subject
from simspine.synthesis.virtual_detector import read_preset
from simspine.synthesis.virtual_trial import detect_trial, make_trial, true_points, virtual_rig
from simspine.vision.bundle_adjustment import CAMERA_PARAMETER_NAMES

FRAMES = 120


@cache
def walk(preset: str, index: int = 0, frames: int = FRAMES) -> tuple[Keypoints, tuple[Camera, ...], Markers]:
    """2D points as a detector of `preset` gives them, the true cameras, and the true points (z_up)."""
    subject = make_subject(5, index)
    trial = make_trial(subject, "Walking", 1, frames)
    cameras = tuple(virtual_rig(5, subject.name))
    return detect_trial(trial, cameras, read_preset(preset)).keypoints, cameras, true_points(trial)


def undone(camera: Camera, change: np.ndarray) -> Camera:
    """The camera of which `changed(camera, change)` is the given one. Written out anew, so that it judges `changed`."""
    turn, move, (focal, u, v, radial) = change[:3], change[3:6], change[6:10]
    K, distortion = camera.K.copy(), camera.distortion.copy()
    K[0, 2] -= u
    K[1, 2] -= v
    K[:2, :2] /= np.exp(focal)
    distortion[0] -= radial
    R = Rotation.from_rotvec(turn).inv().as_matrix() @ camera.R
    return replace(camera, K=K, distortion=distortion, R=R, t=-R @ (camera.centre - R.T @ move))


def one(**values: float) -> np.ndarray:
    """A change of some parameters."""
    row = np.zeros(len(CAMERA_PARAMETER_NAMES))
    for name, value in values.items():
        row[CAMERA_PARAMETER_NAMES.index(name)] = value
    return row


def shift_views(keypoints: Keypoints, late) -> Keypoints:
    """Keypoints with each view's delay `late` (views,) frames removed; NaN outside the recording."""
    return at_frames(keypoints, np.arange(keypoints.frames)[:, None] + np.asarray(late, float))


def misfit(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Distances (n,) after the best similarity of found points (..., 3) to true ones: the world is nobody's."""
    a, b = found.reshape(-1, 3), true.reshape(-1, 3)
    good = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    a, b = a[good] - a[good].mean(0), b[good] - b[good].mean(0)
    rotation, _ = Rotation.align_vectors(b, a)
    return np.linalg.norm(rotation.apply(a) * (b * rotation.apply(a)).sum() / (a * a).sum() - b, axis=1)
