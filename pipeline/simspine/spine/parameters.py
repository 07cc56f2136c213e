"""`ClinicalParameters`: a trial's clinical parameters, frame by frame."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from simspine.arrays import Unchanging
from simspine.errors import InputError, position
from simspine.types import Forced, read_only


@dataclass(frozen=True, eq=False)
class ClinicalParameters(Unchanging):
    """Clinical parameters of a trial, frame by frame: alignment of pelvis and spine, angles of limb joints.

    names: of `simspine.spine.clinical.DEFINITIONS`. units: 'rad' or 'm' of each. values: (frames, parameters), NaN =
    not known. deviation: standard deviations, (frames, parameters); None where the solver gave none. forced: {name:
    what the model forces of it}, () or absent where nothing; `planes` names the angle of a limb joint.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: np.ndarray
    deviation: np.ndarray | None = None
    forced: Mapping[str, tuple[Forced, ...]] = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "names", tuple(map(str, self.names)))
        object.__setattr__(self, "units", tuple(map(str, self.units)))
        if len(self.units) != len(self.names):
            raise InputError(
                f"ClinicalParameters has {len(self.units)} units, expected one for each of {len(self.names)} names."
            )
        for name in ("values", "deviation"):
            if getattr(self, name) is not None:
                shape = (None if name == "values" else len(self.values), len(self.names))
                object.__setattr__(self, name, read_only("ClinicalParameters", name, getattr(self, name), shape))
        object.__setattr__(self, "forced", {str(k): tuple(v) for k, v in self.forced.items()})

    def of(self, name: str) -> np.ndarray:
        """(frames,) of one parameter; raises `InputError` listing those there are."""
        return self.values[:, position(name, self.names, "clinical parameter")]

    def sd(self, name: str) -> np.ndarray | None:
        """(frames,) standard deviations of one parameter, None where the solver gave none."""
        at = position(name, self.names, "clinical parameter")
        return None if self.deviation is None else self.deviation[:, at]
