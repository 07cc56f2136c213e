"""How an inverse-kinematics problem is solved: which engine, how exactly, how a long trial is cut."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral
from types import MappingProxyType

import numpy as np

from simspine.arrays import Unchanging
from simspine.errors import InputError, unknown_name

TOLERANCES = {"frames": 1e-5, "trajectory": 5e-5, "opensim": 1e-5}  # by engine
STARTS = 5  # rough paths that the trajectory engine may begin from, at the most


@dataclass(frozen=True)
class Solver(Unchanging):
    """How the problem is solved.

    engine: 'trajectory' (the whole trial at once), 'frames' (each by itself: OpenSim's objective) or 'opensim' (its own
    solver, for reference); by default 'frames' where there is neither smoothness nor prior. tolerance: relative
    decrease of the cost at which to stop, by default 1e-5 (trajectory: 5e-5); OpenSim's `accuracy`. min_markers: frames
    with fewer are not solved and say so (trajectory: carried by the frames around).

    Frame-wise engines only. coordinate_tasks: {coordinate: (target in rad or m, weight)}; see docs/body.md for how hard
    they pull.

    Trajectory only. uncertainty: with standard deviations. starts: 1 to 5 rough paths to begin from, of which the one
    that ends lowest counts; more help where no prior holds the posture. threads, window, overlap (frames): how long
    trials are cut; see `simspine.ik.trajectory`.
    """

    engine: str | None = None
    tolerance: float | None = None
    min_markers: int = 3
    coordinate_tasks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    uncertainty: bool = True
    starts: int = 1
    threads: int = 1
    window: int = 600
    overlap: int = 50

    def __post_init__(self):
        if self.engine is not None and self.engine not in TOLERANCES:
            raise unknown_name("engine", self.engine, TOLERANCES)
        if self.tolerance is not None and not (np.isfinite(self.tolerance) and self.tolerance > 0):
            raise InputError(f"tolerance is {self.tolerance}, expected a positive number.")
        if self.starts not in range(1, STARTS + 1):
            raise InputError(f"starts is {self.starts!r}, expected a whole number from 1 to {STARTS}.")
        for name, least in (("min_markers", 0), ("threads", 1), ("window", 1), ("overlap", 0)):
            value = getattr(self, name)
            if not (isinstance(value, Integral) and value >= least):
                raise InputError(f"{name} is {value!r}, expected a whole number from {least} on.")
        for name, task in self.coordinate_tasks.items():
            if not _is_task(task):
                raise InputError(
                    f"the task of {name!r} is {task!r}, expected (target in rad or m, weight of 0 or more)."
                )
        object.__setattr__(self, "coordinate_tasks", MappingProxyType(dict(self.coordinate_tasks)))


def _is_task(task) -> bool:
    """Whether it is a finite target with a weight."""
    try:
        target, weight = (float(value) for value in task)
    except (TypeError, ValueError):
        return False
    return bool(np.isfinite([target, weight]).all()) and weight >= 0
