"""Levenberg–Marquardt over a whole stretch of frames, for any sum of terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simspine.ik.banded import BandedSystem, Factor, Precision
from simspine.ik.terms import Term

MAX_STEP = 0.7  # rad or m, of any coordinate in one step
NEAR = 0.3  # a step that lowered the cost by less than this share was taken near the minimum
FAIR = 0.5  # of its promise: a step that gains more needs no damping, wherever the cost rose, and no new factor
ITERATIONS = 100  # steps; 72 to 100 were seen where an arm begins wound up, and trials that end sooner take no more
POLISH = 60  # steps that a converged solution takes at most towards the minimum itself, so that its path does not show
POLISHED = 1e-13  # of the cost: so little left to gain moves nothing by a ten-thousandth of its standard deviation
WORTH = 0.9  # of the promise before: a chord step that promises more is not taken, its factor is out of date


@dataclass(frozen=True, eq=False)
class Minimum:
    """z: (frames, free). cost: (frames,) of all terms. reason: '' if converged, else why the iteration stopped."""

    z: np.ndarray
    cost: np.ndarray
    steps: int
    reason: str


def minimise(
    terms: Sequence[Term],
    z: np.ndarray,
    iterations: int = ITERATIONS,
    tolerance: float = 1e-6,
    precision: Precision = float,
    polish: int = POLISH,
) -> Minimum:
    """Minimise Σ terms from z (frames, free).

    Steps are Gauss–Newton's far away and Newton's near the end, where that has a positive Hessian. A factor is kept for
    further steps while each gains what it promised and promises less than the one before (only gradients are new, which
    cost a tenth), and corrected by what these show (`Chord`): mostly a joint enters or leaves its limit in some frames.
    Since steps are corrected, factors may be of single `precision`; costs and gradients, which say where the minimum
    is, are in double. Each frame has a damping of its own, so that a few awkward frames do not hold up the others. It
    grows where the cost around the frame rose and shrinks where it fell; it shrinks everywhere after a step that gained
    what it promised, in which some frames paid for others, and grows everywhere after one that gained nothing.

    Converged when what is left to gain is less than `tolerance` of the cost: of what a step promises that is all, but a
    tenth for Newton's, whose error falls with the square. At most `polish` more steps then lead to the minimum itself,
    which is the same on every processor and from every path, whereas `tolerance` would let angles stop half a standard
    deviation short.
    """
    system = BandedSystem(len(z), z.shape[1], precision)
    gradient = np.zeros(z.shape)
    cost = _cost(terms, z, gradient)
    damping = np.full(len(z), 1e-8)
    factor: Factor | None = None
    chord, near, promise = None, False, np.inf
    steps, reason = 0, "out of iterations"
    while steps < iterations:
        if factor is None:
            system, factor, newton, damping = _factorise(terms, z, system, near, damping)
            chord = None
            if factor is None:
                reason = reason and "no step lowers the cost any more"
                break
        step = -(chord or factor).solve(gradient)
        step = shortened(step)
        before, promise = promise, -float((gradient * step).sum())
        if chord is not None and promise > WORTH * before:
            factor = None
            continue
        steps += 1
        left = promise * (0.1 if newton and chord is None else 1.0)
        trial, slope = z + step, np.zeros(z.shape)
        new = _cost(terms, trial, slope)
        gain = cost.sum() - new.sum()
        rose = (_around(new - cost) > 1e-4 * _around(cost)) & (gain < FAIR * promise)
        damping = np.where(rose | (gain <= 0.0), np.maximum(10 * damping, 1e-5), np.maximum(0.1 * damping, 1e-12))
        turned = slope - gradient
        if gain > 0.0:
            near = gain < NEAR * cost.sum()
            z, cost, gradient = trial, new, slope
        nothing = 1e-16 * len(z)
        exact = POLISHED * cost.sum() + nothing  # costs are no more so
        if left <= tolerance * cost.sum() + nothing and (gain > 0.0 or left <= exact):
            reason, iterations = "", min(iterations, steps + polish)
        if left <= min(tolerance * cost.sum() + nothing, exact):
            break
        if gain > FAIR * promise:
            chord = chord or Chord(factor)
            chord.learn(step, turned)
        else:
            factor = None
    return Minimum(z, cost, steps, reason)


def shortened(step: np.ndarray) -> np.ndarray:
    """(frames, free): each frame's step, of no coordinate longer than `MAX_STEP`."""
    return step * np.minimum(1.0, MAX_STEP / np.maximum(np.abs(step).max(1, keepdims=True), 1e-300))


class Solvable(Protocol):
    """A factor of a Hessian H."""

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b."""
        ...


class Chord:
    """A factor of an earlier Hessian, corrected by what steps since then showed of the present one (limited-memory
    BFGS: Nocedal 1980)."""

    def __init__(self, factor: Solvable):
        self._factor = factor
        self._pairs: list[tuple[np.ndarray, np.ndarray, float]] = []

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """step changed the gradient by `change`, arrays of one shape; without effect where that shows no curvature."""
        curvature = float((step * change).sum())
        if curvature > 0.0:
            self._pairs.append((step, change, curvature))

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b, about."""
        x, shares = b.copy(), []
        for step, change, curvature in reversed(self._pairs):
            shares.append(float((step * x).sum()) / curvature)
            x -= shares[-1] * change
        x = self._factor.solve(x)
        for (step, change, curvature), share in zip(self._pairs, reversed(shares), strict=True):
            x += (share - float((change * x).sum()) / curvature) * step
        return x


def _factorise(terms, z, system, newton, damping):
    """The system and its factor at z, whether that is Newton's, and with which damping; no factor if none is positive.

    A system in single precision gives way to one in double where Gauss–Newton's Hessian is not positive to it.
    """
    for _ in range(20):
        assemble(terms, z, system, newton)
        factor = system.factorise(damping[:, None] * system.band[0].reshape(z.shape) + 1e-12)
        if factor is not None:
            return system, factor, newton, damping
        if newton:
            newton = False
        elif system.band.dtype == np.float32:
            system = BandedSystem(*z.shape)
        else:
            damping = np.maximum(10 * damping, 1e-8)
    return system, None, newton, damping


def _around(values: np.ndarray, reach: int = 5) -> np.ndarray:
    """Sums over each frame and `reach` frames on either side."""
    return (
        np.convolve(values, np.ones(2 * reach + 1), "same")
        if len(values) > 2 * reach
        else np.full_like(values, values.sum())
    )


def assemble(terms: Sequence[Term], z: np.ndarray, system: BandedSystem, newton: bool) -> None:
    """Fill `system` with half the Hessian of all terms."""
    system.clear()
    for term in terms:
        term.curve(z, system, newton)


def _cost(terms: Sequence[Term], z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """(frames,). Adds half the gradient to `gradient`."""
    return np.sum([term.cost(z, gradient) for term in terms], axis=0)
