"""A standing person, drawn from what is assumed of people, who sways a little: a motion whose truth is known."""

import numpy as np

from simspine.core.types import Motion
from simspine.estimation.fit_person import SizedBody

HIPS = ("hip_flexion_r", "hip_flexion_l")  # straight: the prior says what goes with them, not how they are bent
SWAY, PERIOD = 0.05, 6.0 * np.pi  # rad of the pelvis' tilt; frames


def standing(sized: SizedBody, frames: int, rate: float, rng: np.random.Generator) -> Motion:
    """One posture of all that the body's prior is about, and the pelvis tilting to and fro; the rest as by default."""
    coordinates = sized.body.coordinates
    S, mean, precision, _ = sized.prior.arrays(coordinates.names, rate)
    held = np.setdiff1d(np.flatnonzero(np.abs(S).sum(0) > 0), [coordinates.index(name) for name in HIPS])
    information = (S[:, held] * precision[:, None]).T @ S[:, held] + 1e-3 * np.eye(held.size)
    centre = np.linalg.solve(information, S[:, held].T @ (precision * mean))
    values = np.tile(coordinates.default, (frames, 1))
    values[:, held] = rng.multivariate_normal(centre, np.linalg.inv(information))
    values[:, coordinates.index("pelvis_tilt")] = SWAY * np.sin(2 * np.pi * np.arange(frames) / PERIOD)
    return Motion(coordinates.names, rate, values, coordinates.rotational)
