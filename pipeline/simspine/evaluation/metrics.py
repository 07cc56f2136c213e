"""Errors of points, angles and motion, and how well their means are known. Missing values (NaN) count nowhere."""

from collections.abc import Hashable, Iterable, Iterator, Sequence

import numpy as np

from simspine.core.errors import InputError, mean_of_known
from simspine.core.geometry import rigid_fit, wrap_angles

NORMAL_90 = 1.6448536269514722  # standard deviations that hold 90 % of a normal distribution
MIN_MOVEMENT_RANGE = np.radians(3.0)  # least true range in a trial for a correlation with its motion to mean something
BOOTSTRAP_LEVEL, BOOTSTRAP_DRAWS = 0.95, 2000


def finite_values(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """All finite values of some arrays in one row."""
    some = [np.ravel(array) for array in arrays]
    values = np.concatenate(some) if some else np.zeros(0)
    return values[np.isfinite(values)]


def mean_or_nan(values: np.ndarray) -> float:
    """Mean; NaN of no values."""
    return float(values.mean()) if values.size else float("nan")


def rms_or_nan(values: np.ndarray) -> float:
    """Root mean square; NaN of no values."""
    return float(np.sqrt(np.mean(values**2))) if values.size else float("nan")


# Distances between estimated and true points.


def mpjpe(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Mean distance over all points present in both (frames, points, 3), in the unit given. NaN if there is none."""
    return mean_or_nan(finite_values([point_distances(estimate, reference)]))


def p_mpjpe(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Mean distance after each frame of the estimate was moved, turned and scaled onto the reference (Procrustes).

    Both (frames, points, 3). Frames with fewer than three points in common are left out. Umeyama 1991, no reflection.
    """
    return mpjpe(similarity_aligned(estimate, reference), reference)


def scale_aligned(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The estimate (frames, points, 3) after the best scale per frame about the origin; NaN where there is none."""
    estimate, reference = _checked_point_pair(estimate, reference)
    present = (np.isfinite(estimate).all(-1) & np.isfinite(reference).all(-1))[..., None]
    along = np.where(present, estimate * reference, 0).sum((1, 2), keepdims=True)
    size = np.where(present, estimate**2, 0).sum((1, 2), keepdims=True)
    return estimate * (along / np.where(size > 0, size, np.nan))


def similarity_aligned(estimate: np.ndarray, reference: np.ndarray, scaled: bool = True) -> np.ndarray:
    """The estimate (frames, points, 3) after the best similarity per frame onto the reference; NaN where none.

    scaled: False moves and turns only.
    """
    estimate, reference = _checked_point_pair(estimate, reference)
    present = np.isfinite(estimate).all(-1) & np.isfinite(reference).all(-1)
    out = np.full(estimate.shape, np.nan)
    enough = present.sum(1) >= 3
    if not enough.any():
        return out
    present, source, target = present[enough, :, None], estimate[enough], reference[enough]
    count = present.sum(1, keepdims=True)
    source = source - np.where(present, source, 0).sum(1, keepdims=True) / count
    middle = np.where(present, target, 0).sum(1, keepdims=True) / count
    target = target - middle
    rotation, _ = rigid_fit(source, target)
    turned = source @ np.swapaxes(rotation, 1, 2)
    along = np.where(present, turned * target, 0).sum((1, 2), keepdims=True)
    size = np.where(present, source**2, 0).sum((1, 2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        out[enough] = (along / size if scaled else 1.0) * turned + middle
    return out


def point_distances(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distance of each point, (frames, points); NaN where either is missing."""
    estimate, reference = _checked_point_pair(estimate, reference)
    return np.linalg.norm(estimate - reference, axis=-1)


def _checked_point_pair(estimate: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    if estimate.shape != reference.shape or estimate.ndim != 3 or estimate.shape[-1] != 3:
        raise InputError(
            f"points to compare have shapes {estimate.shape} and {reference.shape}, expected (frames, points, 3) twice."
        )
    return estimate, reference


# Errors of angles over time: how large, how much of it stays the same, whether motion and intervals are right.


def angle_figures(
    estimates: Sequence[np.ndarray], references: Sequence[np.ndarray], deviations: Sequence[np.ndarray] | None = None
) -> dict[str, float]:
    """Figures of one angle over trials, rad. All are lists of (frames,) rad, one a trial; NaN = missing.

    `rmse`; `bias`: mean error; `spread`: standard deviation of the error, all trials together; `change_rmse`: of what
    differs from each trial's mean, taken where both are known; `correlation`: mean over the trials whose true range is
    `MIN_MOVEMENT_RANGE` or more; `coverage`: share of errors within the 90 % interval of a normal distribution, NaN
    without deviations; `found`: share of the true values that have an estimate.
    """
    if not len(estimates) == len(references) == len(deviations or references):
        raise InputError(f"{len(estimates)} estimates for {len(references)} references; give one for each trial.")
    errors = [_angle_error(a, b) for a, b in zip(estimates, references, strict=True)]
    pooled, changes = finite_values(errors), finite_values(map(errors_about_mean, errors))
    shares = [np.isfinite(e[np.isfinite(r)]) for e, r in zip(errors, references, strict=True)]
    moving = [_course_correlation(e, r) for e, r in zip(errors, references, strict=True)]
    inside = [] if deviations is None else [abs(e) / np.asarray(d) for e, d in zip(errors, deviations, strict=True)]
    return {
        "rmse": rms_or_nan(pooled),
        "bias": mean_or_nan(pooled),
        "spread": float(pooled.std()) if pooled.size else float("nan"),
        "change_rmse": rms_or_nan(changes),
        "correlation": mean_or_nan(finite_values([np.array(moving)])),
        "coverage": mean_or_nan(finite_values(inside) <= NORMAL_90),
        "found": mean_or_nan(np.concatenate(shares)) if shares else float("nan"),
    }


def errors_about_mean(values: np.ndarray) -> np.ndarray:
    """Values (frames, …) minus their mean over the frames that are known."""
    return values - mean_of_known(values, 0)


def _angle_error(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    if estimate.shape != reference.shape or estimate.ndim != 1:
        raise InputError(f"angles to compare have shapes {estimate.shape} and {reference.shape}, expected (frames,).")
    return wrap_angles(estimate - reference)


def _course_correlation(error: np.ndarray, reference: np.ndarray) -> float:
    """Of an estimate with its reference over a trial; NaN where either is at rest."""
    known = np.isfinite(error)
    true = np.asarray(reference, float)[known]
    found = true + error[known]
    if len(true) < 3 or np.ptp(true) < MIN_MOVEMENT_RANGE or np.ptp(found) < 1e-9:
        return float("nan")
    return float(np.corrcoef(found, true)[0, 1])


# Errors of motion: of the points' velocities and accelerations, from neighbouring frames.


def motion_errors(
    estimate: np.ndarray, reference: np.ndarray, rate: float, order: int, frames: np.ndarray | None = None
) -> np.ndarray:
    """Distance between estimated and true velocities (order 1, m/s) or accelerations (order 2, m/s²).

    Both (frames, points, 3) m at `rate` frames/s; the result is (frames − order, points), NaN where a place is missing.
    frames: their numbers, where some are left out; differences are taken between numbers that follow each other only.
    """
    estimate, reference = _checked_point_pair(estimate, reference)
    if not rate > 0:
        raise InputError(f"the rate is {rate}, expected a positive number of frames per second.")
    if len(estimate) <= order:
        return np.full((0, estimate.shape[1]), np.nan)
    found = np.linalg.norm(np.diff(estimate - reference, n=order, axis=0) * rate**order, axis=-1)
    if frames is not None:
        numbers = np.asarray(frames, int)
        found[numbers[order:] - numbers[:-order] != order] = np.nan
    return found


# Intervals of means whose values come in clusters. Frames of one person err alike: how well a mean is known depends on
# the number of people, not of frames. So whole clusters are drawn with replacement.


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[Hashable],
    weights: Sequence[float] | np.ndarray | None = None,
    level: float = BOOTSTRAP_LEVEL,
    draws: int = BOOTSTRAP_DRAWS,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of the mean of `values` (n,), clusters drawn with replacement; NaN left out.

    clusters: (n,) labels, such as the subject of each value. weights: (n,) ≥ 0, such as how many frames each value is
    the mean of; 1 each by default. With one cluster there is no interval: NaN twice. With two
    it spans from one cluster's mean to the other's at the usual levels, and says no more than that.
    """
    values = np.asarray(values, float)
    weight = np.ones(values.shape) if weights is None else np.asarray(weights, float)
    if values.shape != (len(clusters),) or weight.shape != values.shape or not 0 < level < 1:
        raise InputError(
            f"{values.shape} values, {weight.shape} weights for {len(clusters)} clusters at the level "
            f"{level}; give a label for each value, and a level between 0 and 1."
        )
    names, index = np.unique([str(label) for label in clusters], return_inverse=True)
    known = np.isfinite(values) & (weight > 0)
    sums = np.bincount(index[known], weight[known] * values[known], len(names))
    counts = np.bincount(index[known], weight[known], len(names))
    sums, counts = sums[counts > 0], counts[counts > 0]
    if len(counts) < 2:
        return float("nan"), float("nan")
    chosen = np.random.default_rng(seed).integers(len(counts), size=(draws, len(counts)))
    return percentile_interval(sums[chosen].sum(1) / counts[chosen].sum(1), level)


def drawn_counts(clusters: int, draws: int = BOOTSTRAP_DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """(clusters,) how often each was drawn with replacement, as many draws of as many as there are."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(random.integers(clusters, size=clusters), minlength=clusters)


def percentile_interval(values: Sequence[float] | np.ndarray, level: float = BOOTSTRAP_LEVEL) -> tuple[float, float]:
    """Ends of the central interval that holds the share `level` of resampled figures; NaN twice where one is NaN."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
