"""The likeliest variance of numbers of which few are known: empirical Bayes with a weak prior."""

import numpy as np

WITHIN = np.e  # of a standard deviation, one standard deviation of its logarithm
LEAST = 1e-9  # of the assumed variance


def likeliest(mean_square: float, count: float, assumed: float) -> float:
    """The variance that is likeliest after `count` normal numbers of this mean square; log-normal about `assumed`, with
    a standard deviation right within a factor `WITHIN`."""
    from scipy.optimize import brentq  # here, since every stage would load it, and one needs it

    def slope(log: float) -> float:
        return count * (1 - mean_square / np.exp(log)) + (log - np.log(assumed)) / (2 * np.log(WITHIN) ** 2)

    low, high = np.log(sorted((max(mean_square, LEAST * assumed), assumed)))
    low, high = low - 1e-9, high + 1e-9
    return float(np.exp(brentq(slope, low, high) if slope(low) < 0.0 else low))
