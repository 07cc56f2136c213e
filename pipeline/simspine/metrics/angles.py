"""Errors of angles over time: how large, how much of it stays the same, whether motion and intervals are right."""

from collections.abc import Iterable, Sequence

import numpy as np

from simspine.arrays import rms_of_known
from simspine.errors import InputError
from simspine.geometry import wrap

Z90 = 1.6448536269514722  # standard deviations that hold 90 % of a normal distribution
MOVES = np.radians(3.0)  # least true range in a trial for a correlation with its motion to mean something


def angle_rmse(estimate: np.ndarray, reference: np.ndarray, axis: int = 0) -> np.ndarray:
    """Root mean square difference of angles (rad), whole turns ignored; default per column."""
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    if estimate.shape != reference.shape:
        raise InputError(f"angles to compare have shapes {estimate.shape} and {reference.shape}.")
    return rms_of_known(wrap(estimate - reference), axis)


def angle_figures(
    estimates: Sequence[np.ndarray], references: Sequence[np.ndarray], deviations: Sequence[np.ndarray] | None = None
) -> dict[str, float]:
    """Figures of one angle over trials, rad. All are lists of (frames,) rad, one a trial; NaN = missing.

    `rmse`; `bias`: mean error; `spread`: standard deviation of the error, all trials together; `change_rmse`: of what
    differs from each trial's mean, taken where both are known; `correlation`: mean over the trials whose true range is
    `MOVES` or more; `coverage`: share of errors within the 90 % interval of a normal distribution, NaN without
    deviations; `found`: share of the true values that have an estimate. NaN where there is nothing to tell from.
    """
    if not len(estimates) == len(references) == len(deviations or references):
        raise InputError(f"{len(estimates)} estimates for {len(references)} references; give one for each trial.")
    errors = [_error(a, b) for a, b in zip(estimates, references, strict=True)]
    changes = [about_mean(error) for error in errors]
    pooled, true = _pool(errors), _pool(references)
    shares = [np.isfinite(e[np.isfinite(r)]) for e, r in zip(errors, references, strict=True)]
    moving = [_correlation(e, r) for e, r in zip(errors, references, strict=True)]
    inside = [] if deviations is None else [abs(e) / np.asarray(d) for e, d in zip(errors, deviations, strict=True)]
    return {
        "rmse": _rms(pooled),
        "bias": _mean(pooled),
        "spread": float(pooled.std()) if pooled.size else float("nan"),
        "change_rmse": _rms(_pool(changes)),
        "correlation": _mean(_pool([moving])),
        "coverage": _mean(_pool(inside) <= Z90),
        "found": _mean(np.concatenate(shares)) if true.size else float("nan"),
    }


def about_mean(values: np.ndarray) -> np.ndarray:
    """Values (frames, …) minus their mean over the frames that are known."""
    known = np.isfinite(values)
    count = known.sum(0)
    return values - np.where(known, values, 0.0).sum(0) / np.where(count > 0, count, np.nan)


def _error(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    if estimate.shape != reference.shape or estimate.ndim != 1:
        raise InputError(f"angles to compare have shapes {estimate.shape} and {reference.shape}, expected (frames,).")
    return wrap(estimate - reference)


def _correlation(error: np.ndarray, reference: np.ndarray) -> float:
    """Of an estimate with its reference over a trial; NaN where either is at rest."""
    known = np.isfinite(error)
    true = np.asarray(reference, float)[known]
    found = true + error[known]
    if len(true) < 3 or np.ptp(true) < MOVES or np.ptp(found) < 1e-9:
        return float("nan")
    return float(np.corrcoef(found, true)[0, 1])


def _pool(arrays: Iterable) -> np.ndarray:
    """All finite values in one row."""
    some = [np.ravel(array) for array in arrays]
    values = np.concatenate(some) if some else np.zeros(0)
    return values[np.isfinite(values)]


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")
