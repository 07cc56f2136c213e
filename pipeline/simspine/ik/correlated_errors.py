"""Covariance when the markers' errors are correlated in time: a hip that is put too low stays so for many frames.

Two covariances are too wide rather than too narrow then: the trajectory's, times the number of frames that share one
error (as if only every such frame had been seen); and that of a single frame with the priors, smoothness left out
(as if only this one had been seen). Either is right where smoothing reaches much further than errors last, or much less
far. In between a coordinate's variance is less than both (`of_single`); it gets the correlations of the single frame.

Weights may say less than what is known: no marker counts as surer than bodies are right in general, also where this
body fits better. Then errors are smaller than the weights say, and the estimate's covariance is that of a weighted mean
whose weights are not the inverse variances (the sandwich of Huber 1967): with A the assumed information and S that of
the errors that last, A⁻¹ S A⁻¹, and the trajectory's own covariance for those that do not.
"""

from dataclasses import dataclass, replace

import numpy as np

from simspine.ik.lapack import inverses
from simspine.ik.terms.markers import MarkerTerm
from simspine.ik.terms.prior import PriorTerm

CHUNK = 16  # frames inverted together: what they take stays in the cache


@dataclass(frozen=True, eq=False)
class LastingErrors:
    """Of what is assumed, the part that is there and lasts: markers (markers,), of their variances; prior (priors,), of
    those of the priors. misfit: (markers,), the part of their variances that the body's misfit makes, which changes as
    the posture does; the trajectory does not know of it. Each 0…1."""

    markers: np.ndarray
    misfit: np.ndarray
    prior: np.ndarray


def covariance_of_correlated_errors(
    markers: MarkerTerm,
    prior: PriorTerm,
    z: np.ndarray,
    blocks: np.ndarray,
    frames: float,
    lasting: LastingErrors | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(frames, free, free), of coordinates and of their changes within a trial.

    blocks: the trajectory's posterior. frames: how many share an error, at least 1. lasting: None where all that is
    assumed lasts; else changes have the covariance of the trajectory and that of the body's misfit, without what is not
    known of the person, which stays.
    """
    wide, n = frames * blocks, z.shape[1]
    changes = wide if lasting is None else blocks.copy()
    assumed = prior.information()
    there = assumed if lasting is None else replace(prior, precision=prior.precision * lasting.prior).information()
    telling = np.flatnonzero(markers.seen)  # a frame without markers says nothing by itself
    for part in np.split(telling, range(CHUNK, len(telling), CHUNK)):
        seen = markers.window(part)
        single = _single(seen.upper_information(z[part])[:, :n] + assumed, wide[part])
        if lasting is not None:
            misfit, left = (
                replace(seen, w=seen.w * part_of).information(z[part]) for part_of in (lasting.misfit, lasting.markers)
            )
            changes[part] += single @ misfit @ single
            single = single @ (left + there) @ single + blocks[part]
        ratio = np.einsum("tii->ti", wide[part]) / np.einsum("tii->ti", single)
        shrink = np.sqrt(of_single(ratio))
        wide[part] = shrink[:, :, None] * single * shrink[:, None, :]
    return wide, changes


def of_single(ratio: np.ndarray) -> np.ndarray:
    """Which part of a single frame's variance is left, 0…1. ratio: of the trajectory's, times the frames that share an
    error, to the single frame's.

    Of errors with the autocorrelation exp(−|t|/τ) a mean weighted by exp(−|t|/T) leaves τ (T + 2 τ) / 2 (T + τ)², and
    of errors that are independent from one 2 τ to the next τ / 2 T, which is `ratio`. Where accelerations are held, not
    rates, it leaves up to a ninth more.
    """
    return ratio * (1 + 4 * ratio) / (1 + 2 * ratio) ** 2


def _single(information: np.ndarray, instead: np.ndarray) -> np.ndarray:
    """Its inverses, (frames, free, free); `instead` for a frame that by itself leaves something open."""
    try:
        return inverses(information)
    except np.linalg.LinAlgError:
        if len(information) == 1:
            return instead
    return np.concatenate([_single(information[[i]], instead[[i]]) for i in range(len(information))])
