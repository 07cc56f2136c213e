"""How large the pixel noise is, estimated from what the views disagree by."""

import numpy as np
from scipy.special import gammaincinv

FLOOR = 12**-0.5  # px; rounding to whole pixels alone has this standard deviation
_ENOUGH = 10  # frames a point needs for an estimate of its own
_CLEAN = 0.99  # share of clean observations that a frame's own residuals may not question


def pooled_noise(squares: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Standard deviation (points,) px of one image coordinate, pooled over the frames.

    squares: (frames, points) px², weighted squared residuals summed over the used views; views: (frames, points) their
    number. With noise σ, `squares` is σ² χ² with 2·views − 3 degrees of freedom: its median over the frames, each
    divided by the median of its χ², gives σ² and does not mind outliers in up to half the frames. Points with few
    frames get the value of all points together; never below the rounding to whole pixels.
    """
    known = np.isfinite(squares) & (views >= 2)
    ratio = np.where(known, squares / chi2_quantile(0.5, views), np.nan)
    overall = np.median(ratio[known]) if known.any() else 0.0
    enough = known.sum(0) >= _ENOUGH
    variance = np.full(squares.shape[1], overall)
    if enough.any():
        variance[enough] = np.nanmedian(ratio[:, enough], axis=0)
    return np.maximum(np.sqrt(variance), FLOOR)


def inflation(squares: np.ndarray, views: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Factor ≥ 1 (frames, points) on the variance where a frame's residuals are too large for the pooled noise.

    1 for 99 % of clean observations; beyond, their χ² over its 99 % quantile (the idea of Birge's ratio, 1932).
    """
    return np.maximum(1.0, squares / (chi2_quantile(_CLEAN, views) * noise**2))


def chi2_quantile(share: float, views: np.ndarray) -> np.ndarray:
    """Quantile of χ² with the 2·views − 3 degrees of freedom that a point seen by `views` (≥ 2) views leaves."""
    freedom = np.maximum(2 * np.arange(int(views.max(initial=0)) + 1) - 3, 1)
    return 2 * gammaincinv(freedom / 2, share)[views]
