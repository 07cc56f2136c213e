"""How a person's shoulders move with their arms: up and back as the arm is raised, forward as it reaches forward.

Arm angles are the model's: flexion about the axis to the right, then adduction about the turned forward axis, of an
upper arm that hangs down at 0. The estimator assumes no such rhythm.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simspine.body.girdle import MOTIONS, girdle_angle
from simspine.capture.population import read_population, truncated
from simspine.capture.spines import Stream

SETTING = np.radians(30.0)  # the clavicle hardly moves before the arm is raised this far (Inman 1944; C)
SOFT = np.radians(10.0)  # over which it begins to


@dataclass(frozen=True)
class SyntheticGirdle:
    """A person's shoulders. rest: {motion: rad}, of the clavicles when the arms hang, against the generic body's.
    width: length of the clavicles relative to the rib cage. elevation, retraction: of the clavicle, per angle of the
    upper arm beyond `SETTING`; forward: protraction of an arm that points straight forward, against the retraction.
    unrest: rad, sd of slow motion that has nothing to do with the arm.
    """

    rest: Mapping[str, float]
    width: float
    elevation: float
    retraction: float
    forward: float
    unrest: float

    def follow(self, flexion: np.ndarray, adduction: np.ndarray) -> dict[str, np.ndarray]:
        """{motion: rad, from rest} for arm angles (frames,) of one side; motions as in `simspine.body.girdle`."""
        raised = np.arccos(np.clip(np.cos(flexion) * np.cos(adduction), -1.0, 1.0))
        beyond = SOFT * np.logaddexp(0.0, (raised - SETTING) / SOFT)
        ahead = np.sin(flexion) * np.cos(adduction)  # forward part of the upper arm's direction
        return {"elevation": self.elevation * beyond, "protraction": (self.forward * ahead - self.retraction) * beyond}

    def at(self, side: str, flexion: np.ndarray, adduction: np.ndarray) -> dict[str, np.ndarray]:
        """{coordinate: rad, from rest}, see `follow`. side: 'r' or 'l'."""
        moved = self.follow(flexion, adduction)
        return {girdle_angle(motion, side): moved[motion] for motion in MOTIONS}


def sample_girdle(draw: Stream) -> SyntheticGirdle:
    """draw(quantity) gives the generator of a quantity."""
    table = read_population()["girdle"]

    def drawn(name: str) -> float:
        return float(truncated(draw("girdle", name), *table[name]))

    return SyntheticGirdle(
        rest={motion: float(np.radians(drawn(f"rest_{motion}"))) for motion in MOTIONS},
        width=drawn("width"),
        elevation=drawn("elevation_per_raise"),
        retraction=drawn("retraction_per_raise"),
        forward=drawn("protraction_forward"),
        unrest=float(np.radians(table["unrest_sd"])),
    )
