"""Levenberg–Marquardt over a whole stretch of frames, for any sum of terms."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.ik.banded import BandedSystem
from simspine.ik.terms import Term

MAX_STEP = 0.7  # rad or m, of any coordinate in one step


@dataclass(frozen=True, eq=False)
class Minimum:
    """z: (frames, free). cost: (frames,) of all terms. reason: '' if converged, else why the iteration stopped."""

    z: np.ndarray
    cost: np.ndarray
    steps: int
    reason: str


def minimise(terms: Sequence[Term], z: np.ndarray, iterations: int = 50, tolerance: float = 1e-6) -> Minimum:
    """Minimise Σ terms from z (frames, free).

    Converged when a step promises to lower the cost by less than `tolerance` of it, ten times that where it is
    Newton's, whose error falls with the square; that step is still taken. Steps are Gauss–Newton's far away and
    Newton's near the end, where that has a positive Hessian. Each frame has a damping of its own, which grows where the
    cost around it rose and shrinks where it fell, so that a few awkward frames do not hold up the others.
    """
    system = BandedSystem(*z.shape)
    cost = _cost(terms, z)
    damping = np.full(len(z), 1e-8)
    newton, steps, reason = False, 0, "out of iterations"
    while steps < iterations and reason == "out of iterations":
        steps += 1
        gradient = assemble(terms, z, system, newton)
        for _ in range(20):
            factor = system.factorise(damping[:, None] * system.band[0].reshape(z.shape) + 1e-12)
            if factor is None:
                if newton:
                    newton = False
                    gradient = assemble(terms, z, system, newton)
                else:
                    damping = np.maximum(10 * damping, 1e-8)
                continue
            step = -factor.solve(gradient)
            step *= np.minimum(1.0, MAX_STEP / np.maximum(np.abs(step).max(1, keepdims=True), 1e-300))
            promise = -float((gradient * step).sum())
            if promise <= (10.0 if newton else 1.0) * tolerance * cost.sum() + 1e-16 * len(z):
                reason = ""
            trial = z + step
            new = _cost(terms, trial)
            rose = _around(new - cost) > 1e-4 * _around(cost)
            damping = np.where(rose, np.maximum(10 * damping, 1e-5), np.maximum(0.1 * damping, 1e-12))
            if new.sum() < cost.sum():
                newton = cost.sum() - new.sum() < 0.3 * cost.sum()
                z, cost = trial, new
                break
            if reason == "":
                break
        else:
            reason = "no step lowers the cost any more"
    return Minimum(z, cost, steps, reason)


def _around(values: np.ndarray, reach: int = 5) -> np.ndarray:
    """Sums over each frame and `reach` frames on either side."""
    return (
        np.convolve(values, np.ones(2 * reach + 1), "same")
        if len(values) > 2 * reach
        else np.full_like(values, values.sum())
    )


def assemble(terms: Sequence[Term], z: np.ndarray, system: BandedSystem, newton: bool) -> np.ndarray:
    """Fill `system` with half the Hessian of all terms; returns half the gradient (frames, free)."""
    system.clear()
    gradient = np.zeros(z.shape)
    for term in terms:
        term.add(z, system, gradient, newton)
    return gradient


def _cost(terms: Sequence[Term], z: np.ndarray) -> np.ndarray:
    return np.sum([term.cost(z) for term in terms], axis=0)
