"""Standard deviations when the markers' errors last: a detector that puts a hip too low does so for many frames.

Two covariances are too wide rather than too narrow then: the trajectory's, times the number of frames that share one
error (as if only every such frame had been seen); and that of a single frame with the beliefs, smoothness left out
(as if only this one had been seen). Each coordinate gets the narrower of the two, with the correlations of the single
frame.
"""

import numpy as np

from simspine.ik.terms.markers import MarkerTerm
from simspine.ik.terms.prior import PriorTerm

CHUNK = 256  # frames inverted together


def lasting_covariance(
    markers: MarkerTerm, prior: PriorTerm, z: np.ndarray, blocks: np.ndarray, frames: float
) -> np.ndarray:
    """(frames, free, free). blocks: the trajectory's posterior. frames: how many share an error, at least 1."""
    wide = frames * blocks
    beliefs = prior.information()
    for start in range(0, len(z), CHUNK):
        part = slice(start, start + CHUNK)
        information = markers.window(part).information(z[part]) + beliefs
        try:
            single = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            continue  # a frame without markers says nothing by itself
        ratio = np.einsum("tii->ti", wide[part]) / np.einsum("tii->ti", single)
        shrink = np.sqrt(np.minimum(ratio, 1.0))
        wide[part] = shrink[:, :, None] * single * shrink[:, None, :]
    return wide
