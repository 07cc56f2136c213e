"""What inverse kinematics gives back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from simspine.arrays import Unchanging
from simspine.body.kinematics import CHUNK, forward_kinematics
from simspine.body.model import Body
from simspine.errors import InputError
from simspine.types import Markers, Motion

NO_TASKS: Mapping[str, tuple[float, float]] = MappingProxyType({})

# From coordinates z (frames, free) and their covariance (frames, free, free) to what is to be kept, (frames, …) each.
Derive = Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]]
# What `derive` returns by the first name, gradients (frames, figures, free) of some figures, is kept by the second as
# (frames, figures): their standard deviations about their mean over a window, without what lasts throughout.
GRADIENT, CHANGE = "gradient", "change"


@dataclass(frozen=True, eq=False)
class Posterior(Unchanging):
    """What the trajectory engine knows about its result, besides `motion.deviation`.

    response: (coordinates,) how much of a lasting change of a coordinate the estimate would show: 1 = measured, 0 =
    assumed; driven coordinates have their driver's, locked ones NaN. derived: what `derive` made of the covariance.
    """

    response: np.ndarray
    derived: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Result(Unchanging):
    """Coordinates and how well they explain the markers.

    motion: coordinates; a frame that was not solved is NaN, or, of the engine 'trajectory', what follows from the
    frames around. marker_names: the fitted markers. marker_error: (frames, markers) m, distance between the body's
    marker and the one given, NaN where that is missing. cost: (frames,) value of the objective, NaN where not solved.
    converged: (frames,) bool. reason: (frames,) why a frame was not solved, or was only after a restart; '' if all went
    well.
    """

    motion: Motion
    marker_names: tuple[str, ...]
    marker_error: np.ndarray
    cost: np.ndarray
    converged: np.ndarray
    reason: tuple[str, ...]
    posterior: Posterior | None = None

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

    def with_motion(self, motion: Motion) -> "Result":
        return replace(self, motion=motion)

    @property
    def marker_rms(self) -> np.ndarray:
        """(frames,) m: root mean square of the marker errors of each frame; NaN where not solved."""
        present = np.isfinite(self.marker_error)
        squares = np.where(present, self.marker_error, 0.0) ** 2
        with np.errstate(invalid="ignore"):
            return np.sqrt(squares.sum(1) / np.where(present.any(1), present.sum(1), np.nan))


def result_of(
    body: Body,
    markers: Markers,
    values: np.ndarray,
    weights: np.ndarray,
    reasons: Sequence[str],
    *,
    tasks: Mapping[str, tuple[float, float]] = NO_TASKS,
    cost: np.ndarray | None = None,
    posterior: Posterior | None = None,
) -> Result:
    """The `Result` for coordinates found: marker errors from forward kinematics, and OpenSim's objective as the cost.

    values: (frames, coordinates), NaN where not solved. A frame converged if it has values and no reason. tasks:
    OpenSim's coordinate tasks. cost: (frames,) of another objective than OpenSim's.
    """
    motion = Motion(body.coordinates.names, markers.rate, values, body.coordinates.rotational, start=markers.start)
    error = _distances(body, motion, markers)
    solved = np.isfinite(values).all(1)
    cost = objective(body, values, error, weights, tasks) if cost is None else cost
    converged = solved & np.array([not reason for reason in reasons], bool)
    return Result(motion, markers.names, error, cost, converged, tuple(reasons), posterior)


def _distances(body: Body, motion: Motion, markers: Markers) -> np.ndarray:
    """(frames, markers) m between the body's markers and the ones given; some frames after another, to save memory."""
    error = np.empty(markers.xyz.shape[:2])
    for start in range(0, motion.frames, CHUNK):
        part = slice(start, start + CHUNK)
        there = forward_kinematics(body, motion.with_(values=motion.values[part])).select(markers.names)
        error[part] = np.linalg.norm(there.xyz - markers.xyz[part], axis=-1)
    return error


def objective(
    body: Body, values: np.ndarray, error: np.ndarray, weights: np.ndarray, tasks: Mapping[str, tuple[float, float]]
) -> np.ndarray:
    """(frames,) Σ w d² + Σ w_c (Σ w) (q − q₀)² over the markers present; error: (frames, markers) m.

    OpenSim divides the markers' part by the sum of their weights, so a task of weight w_c pulls like w_c·Σ w.
    """
    w = np.where(np.isfinite(error), weights, 0.0)
    cost = (w * np.nan_to_num(error) ** 2).sum(1)
    for name, (target, weight) in tasks.items():
        cost = cost + weight * w.sum(1) * (values[:, body.coordinates.index(name)] - target) ** 2
    return np.where(np.isfinite(values).all(1), cost, np.nan)
