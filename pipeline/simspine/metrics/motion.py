"""Errors of motion: of the points' velocities and accelerations, from neighbouring frames."""

import numpy as np

from simspine.errors import InputError


def velocity_errors(
    estimate: np.ndarray, reference: np.ndarray, rate: float, frames: np.ndarray | None = None
) -> np.ndarray:
    """Distance between estimated and true velocities, (frames − 1, points) m/s; NaN where a place is missing.

    Both (frames, points, 3) m at `rate` frames/s. frames: their numbers, where some are left out; velocities are taken
    between numbers that follow each other only.
    """
    return _difference_errors(estimate, reference, rate, frames, 1)


def acceleration_errors(
    estimate: np.ndarray, reference: np.ndarray, rate: float, frames: np.ndarray | None = None
) -> np.ndarray:
    """The same of accelerations, (frames − 2, points) m/s², from second differences."""
    return _difference_errors(estimate, reference, rate, frames, 2)


def _difference_errors(estimate, reference, rate, frames, order: int) -> np.ndarray:
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    if estimate.shape != reference.shape or estimate.ndim != 3:
        raise InputError(
            f"points to compare have shapes {estimate.shape} and {reference.shape}, expected (frames, points, 3) twice."
        )
    if not rate > 0:
        raise InputError(f"the rate is {rate}, expected a positive number of frames per second.")
    if len(estimate) <= order:
        return np.full((0, estimate.shape[1]), np.nan)
    found = np.linalg.norm(np.diff(estimate - reference, n=order, axis=0) * rate**order, axis=-1)
    if frames is not None:
        numbers = np.asarray(frames, int)
        found[numbers[order:] - numbers[:-order] != order] = np.nan
    return found
