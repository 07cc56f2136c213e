"""What inverse kinematics gives back."""

from dataclasses import dataclass

import numpy as np

from simspine.errors import InputError
from simspine.types import Motion


@dataclass(frozen=True, eq=False)
class Result:
    """Coordinates and how well they explain the markers.

    motion: coordinates; a frame that was not solved is NaN. marker_names: the fitted markers. marker_error: (frames,
    markers) m, distance between the body's marker and the one given, NaN where that is missing. cost: (frames,) value
    of the objective, NaN where not solved. converged: (frames,) bool. reason: (frames,) why a frame was not solved, or
    was only after a restart; '' if all went well.
    """

    motion: Motion
    marker_names: tuple[str, ...]
    marker_error: np.ndarray
    cost: np.ndarray
    converged: np.ndarray
    reason: tuple[str, ...]

    def __post_init__(self):
        frames = self.motion.frames
        shapes = {"marker_error": (frames, len(self.marker_names)), "cost": (frames,), "converged": (frames,)}
        for field, shape in shapes.items():
            array = np.array(getattr(self, field), bool if field == "converged" else float)
            if array.shape != shape:
                raise InputError(f"Result.{field} has shape {array.shape}, expected {shape}.")
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        if len(self.reason) != frames:
            raise InputError(f"Result.reason has {len(self.reason)} entries, expected {frames}.")
        object.__setattr__(self, "reason", tuple(self.reason))

    @property
    def marker_rms(self) -> np.ndarray:
        """(frames,) m: root mean square of the marker errors of each frame; NaN where not solved."""
        present = np.isfinite(self.marker_error)
        squares = np.where(present, self.marker_error, 0.0) ** 2
        with np.errstate(invalid="ignore"):
            return np.sqrt(squares.sum(1) / np.where(present.any(1), present.sum(1), np.nan))
