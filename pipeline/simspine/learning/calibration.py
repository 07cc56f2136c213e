"""Are predicted standard deviations right? Scaled on people not learnt from, and counted on people not seen at all."""

import numpy as np

SHARES = (0.5, 0.9, 0.95)


def deviation_factors(error: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """(3,) factors of the standard deviations along x, y and z that make errors as large as they say, on average.

    error, deviation: (samples, points, 3) m. NaN, and points without deviation (the root), are left out; 1 where
    nothing is left.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        squared = np.where(deviation > 0, (error / deviation) ** 2, np.nan)
    present = np.isfinite(squared)
    count = present.sum((0, 1))
    total = np.where(present, squared, 0).sum((0, 1))
    return np.where(count > 0, np.sqrt(total / np.maximum(count, 1)), 1.0)


def coverage(error: np.ndarray, deviation: np.ndarray) -> dict[float, float]:
    """{share: what share of errors lies within the central Gaussian interval of that share}, as in `SHARES`."""
    from scipy.stats import norm

    with np.errstate(invalid="ignore", divide="ignore"):
        far = np.where(deviation > 0, np.abs(error) / deviation, np.nan)
    far = far[np.isfinite(far)]
    return {share: float((far <= norm.ppf(0.5 + share / 2)).mean()) if far.size else float("nan") for share in SHARES}
