"""What may be wrong with a calibrated camera, as numbers: how each changes it, and how far off each usually is."""

from dataclasses import dataclass, replace
from math import radians

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.errors import InputError
from simspine.types import Camera

NAMES = (
    "rotation_x", "rotation_y", "rotation_z", "position_x", "position_y", "position_z", "focal", "centre_x", "centre_y",
    "radial", "time", "drift",
)  # fmt: skip
GEOMETRY = 10  # of them are the camera's own; the last two are its clock's


@dataclass(frozen=True)
class CameraPrior:
    """Standard deviations of a calibration's errors about zero. 0 keeps what the calibration says.

    rotation: rad about each of the camera's axes (right, down, forward). position: m along them. focal: relative
    change of both focal lengths. centre_px: of the principal point. radial: of k1. time: frames that the view is
    late. drift: frames that it gets later from the first to the last frame.
    """

    rotation: float = radians(0.5)
    position: float = 0.02
    focal: float = 0.01
    centre_px: float = 10.0
    radial: float = 0.01
    time: float = 0.0
    drift: float = 0.0

    def __post_init__(self):
        values = self.deviations()
        if not np.isfinite(values).all() or (values < 0).any():
            raise InputError(f"standard deviations of cameras must be at least 0 and finite; got {self}.")

    def deviations(self) -> np.ndarray:
        """In the order of `NAMES`."""
        three = [self.rotation] * 3 + [self.position] * 3
        return np.array([*three, self.focal, self.centre_px, self.centre_px, self.radial, self.time, self.drift], float)


def changed(camera: Camera, change: np.ndarray) -> Camera:
    """A camera after a change (in the order of `NAMES`; those of the clock do not matter here).

    It turns and moves along its own axes: right, down, forward.
    """
    change = np.asarray(change, float)
    R = Rotation.from_rotvec(change[:3]).as_matrix() @ camera.R
    centre = camera.centre + camera.R.T @ change[3:6]
    K = camera.K.copy()
    K[:2, :2] *= np.exp(change[6])
    K[:2, 2] += change[7:9]
    distortion = camera.distortion.copy()
    distortion[0] += change[9]
    return replace(camera, K=K, distortion=distortion, R=R, t=-R @ centre)
