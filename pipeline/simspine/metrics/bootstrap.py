"""Intervals of means whose values come in clusters: people, trials.

Frames of one person err alike, so that the number of frames says nothing about how well a mean is known; the number of
people does. Whole clusters are drawn with replacement.
"""

from collections.abc import Hashable, Iterator, Sequence

import numpy as np

from simspine.errors import InputError

LEVEL, DRAWS = 0.95, 2000


def bootstrap_mean(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[Hashable],
    weights: Sequence[float] | np.ndarray | None = None,
    level: float = LEVEL,
    draws: int = DRAWS,
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


def drawn_counts(clusters: int, draws: int = DRAWS, seed: int = 0) -> Iterator[np.ndarray]:
    """(clusters,) how often each was drawn with replacement, as many draws of as many as there are."""
    random = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(random.integers(clusters, size=clusters), minlength=clusters)


def percentile_interval(values: Sequence[float] | np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """Ends of the central interval that holds the share `level` of resampled figures; NaN twice where one is NaN."""
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
