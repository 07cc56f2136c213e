"""Covariance when the markers' errors are correlated in time: a hip that is put too low stays so for many frames.

Two covariances are too wide rather than too narrow then: the trajectory's, times the number of frames that share one
error (as if only every such frame had been seen); and that of a single frame with the priors, smoothness left out
(as if only this one had been seen). Each coordinate gets the narrower of the two, with the correlations of the single
frame.
"""

import numpy as np

from simspine.ik.terms.markers import MarkerTerm
from simspine.ik.terms.prior import PriorTerm

CHUNK = 16  # frames inverted together: what they take stays in the cache


def covariance_of_correlated_errors(
    markers: MarkerTerm, prior: PriorTerm, z: np.ndarray, blocks: np.ndarray, frames: float
) -> np.ndarray:
    """(frames, free, free). blocks: the trajectory's posterior. frames: how many share an error, at least 1."""
    wide = np.empty(blocks.shape)
    assumed = prior.information()
    for start in range(0, len(z), CHUNK):
        part = slice(start, start + CHUNK)
        np.multiply(frames, blocks[part], out=wide[part])
        information = markers.window(part).information(z[part]) + assumed
        try:
            single = np.linalg.inv(information)
        except np.linalg.LinAlgError:
            continue  # a frame without markers says nothing by itself
        ratio = np.einsum("tii->ti", wide[part]) / np.einsum("tii->ti", single)
        shrink = np.sqrt(np.minimum(ratio, 1.0))
        wide[part] = shrink[:, :, None] * single * shrink[:, None, :]
    return wide
