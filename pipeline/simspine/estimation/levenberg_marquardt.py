"""Levenberg–Marquardt for all frames of a path together; and smoothness learnt from a trial by empirical Bayes.

How fast a person moves is estimated from the trial itself. Each coordinate has a factor on the assumed standard
deviation s of its accelerations: the likeliest one given the markers, under a weak prior about 1. Of N accelerations
with posterior variances that add up to V, the markers determine γ = N − V/s². The likeliest s² is the sum of the
squared accelerations divided by γ (MacKay 1992, Bayesian interpolation, Neural Computation 4: 415). So noise is not
taken for motion, nor smoothness for stillness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.anatomy.priors import likeliest_variance
from simspine.core.arrays import map_on_threads
from simspine.estimation.banded import BandedSystem, FloatType
from simspine.estimation.terms import Objective

MAX_STEP = 0.7  # rad or m, of any coordinate in one step
# Gain ratio, actual over predicted decrease of the cost, above which a step needs no more damping and no new factor.
GOOD_GAIN_RATIO = 0.5
MAX_ITERATIONS = 100  # steps; starts with a wound-up arm took 72 to 100
# More steps, at most, after convergence, so that the solution does not depend on the path to it.
MAX_POLISHING_STEPS = 60
# Share of the cost: a smaller predicted decrease moves no coordinate by a thousandth of its standard deviation.
POLISHED_COST_SHARE = 1e-11
# Ratio of decreases predicted by two steps in turn, above which the factor of the second is too old: it is not taken.
CHORD_DECREASE_RATIO = 1.5
MAX_SHORTER_STEPS = 2  # a step that raises the cost is cut to a quarter, a sixteenth: cheaper than a new factor
MAX_FACTORISATIONS = 20  # attempts: single precision, double precision, then more and more damping


@dataclass(frozen=True, eq=False)
class Minimum:
    """points: (points, free) control points. cost: sum of all terms. reason: '' if converged, else why it stopped."""

    points: np.ndarray
    cost: float
    reason: str


def minimise(
    objective: Objective,
    points: np.ndarray,
    tolerance: float = 1e-6,
    precision: FloatType = float,
    polish: int = MAX_POLISHING_STEPS,
) -> Minimum:
    """Minimise an objective from control points (points, free).

    Steps are Gauss–Newton's. A factor serves further steps (`ChordStep`) while each has a good gain ratio and predicts
    no much larger decrease than the one before. Such a step needs only a new gradient, at a fifth of the cost. The
    gradients' changes correct the factor, for curved residuals and for joints that enter or leave their limits; after
    convergence, one poor step does so as well. So factors may be of single `precision`; costs and gradients, which
    define the minimum, are in double.

    The damping shrinks after a step with a good gain ratio, and grows after others.

    Converged when the predicted decrease is less than `tolerance` times the cost. Up to `polish` more steps then lead
    to the minimum itself, which is the same on every processor and from every start. Without them, angles could stop
    half a standard deviation short."""
    system = _DampedSystem(objective, points.shape[1], precision)
    here = objective.evaluated(points)
    chord, predicted = None, np.inf
    steps, last, reason = 0, MAX_ITERATIONS, "out of iterations"
    while steps < last:
        if chord is None:
            chord = system.factorise(here.z)
            if chord is None:
                reason = reason and "no step lowers the cost any more"
                break
        whole = -chord.solve(here.gradient)
        step = clipped_step(whole)
        predicted_before, predicted = predicted, -float((here.gradient * step).sum())
        if not chord.fresh and not 0.0 < predicted <= CHORD_DECREASE_RATIO * predicted_before:
            chord = None
            continue
        if predicted < 0.0:  # clipped, it leads uphill
            step = whole * min(1.0, MAX_STEP / np.abs(whole).max())
            predicted = -float((here.gradient * step).sum())
        steps += 1
        there = objective.evaluated(here.z + step)
        for _ in range(MAX_SHORTER_STEPS if chord.fresh else 0):
            if there.cost < here.cost:
                break
            step *= 0.25
            predicted *= 1 - 0.75**2
            there = objective.evaluated(here.z + step)
        gain = here.cost - there.cost
        is_good = gain > GOOD_GAIN_RATIO * predicted
        system.damping = max(0.1 * system.damping, 1e-12) if is_good else max(10 * system.damping, 1e-5)
        chord.poor_steps = 0 if is_good else chord.poor_steps + 1
        chord.update_from_step(step, there.gradient - here.gradient)
        if chord.poor_steps > (0 if reason else 1):
            chord = None
        if gain > 0.0:
            here = there
        exact, enough = (share * here.cost + 1e-16 * len(points) for share in (POLISHED_COST_SHARE, tolerance))
        if predicted <= enough and (gain > 0.0 or predicted <= exact):
            reason, last = "", min(last, steps + polish)
        if predicted <= min(enough, exact):  # costs are not accurate beyond this
            break
    return Minimum(here.z, here.cost, reason)


def clipped_step(step: np.ndarray) -> np.ndarray:
    """(points, free): the step with each entry limited to ±`MAX_STEP`. A coordinate that no marker determines, such as
    the twist of a straight arm, thus does not shorten the steps of the others."""
    return np.clip(step, -MAX_STEP, MAX_STEP)


class ChordStep:
    """Solves H x = b with the factor of an earlier Hessian, corrected by the steps and changes of the gradient since
    then (limited-memory BFGS: Nocedal 1980). fresh: no step was taken yet. poor_steps: the last ones, of poor gain."""

    def __init__(self, solve: Callable[[np.ndarray], np.ndarray]):
        self.fresh, self.poor_steps = True, 0
        self._solve = solve
        self._pairs: list[tuple[np.ndarray, np.ndarray, float]] = []

    def update_from_step(self, step: np.ndarray, change: np.ndarray) -> None:
        """Store a step and the change of the gradient by it, of the same shape; without positive curvature, ignored."""
        self.fresh = False
        curvature = float((step * change).sum())
        if curvature > 0.0:
            self._pairs.append((step, change, curvature))

    def solve(self, b: np.ndarray) -> np.ndarray:
        """Approximate x of H x = b."""
        x, shares = b.copy(), []
        for step, change, curvature in reversed(self._pairs):
            shares.append(float((step * x).sum()) / curvature)
            x -= shares[-1] * change
        x = self._solve(x)
        for (step, change, curvature), share in zip(self._pairs, reversed(shares), strict=True):
            x += (share - float((change * x).sum()) / curvature) * step
        return x


class _DampedSystem:
    """The Gauss–Newton Hessian of an objective, and its damping."""

    def __init__(self, objective: Objective, n: int, precision: FloatType):
        self._objective, self._system = objective, BandedSystem(objective.basis, n, precision)
        self.damping = 1e-8

    def factorise(self, points: np.ndarray) -> ChordStep | None:
        """A factor at these points. If the Hessian is not positive definite in single precision, the system changes to
        double precision; then its damping grows. None if all attempts fail."""
        for _ in range(MAX_FACTORISATIONS):
            self._objective.curve(points, self._system)
            diagonal = self._system.band[0].reshape(points.shape)
            factor = self._system.factorise(self.damping * diagonal + 1e-12)
            if factor is not None:
                return ChordStep(factor.solve)
            if self._system.band.dtype == np.float32:
                self._system = BandedSystem(self._objective.basis, points.shape[1])
            else:
                self.damping = max(10 * self.damping, 1e-8)
        return None


STRETCH_COUNT = 3  # parts of a long trial from which smoothness is learnt
MIN_STRETCH_FRAMES, MIN_STRETCH_S = 70, 1.4  # length of a stretch: longer than smoothing reaches
UPDATE_COUNT = 4  # after these, factors are within a few percent of their limit
# Lower bound: in walking, each level turns with a third of the assumed accelerations, which a detector's noise hides.
MIN_SMOOTHNESS_FACTOR = 0.33
MAX_EXTRAPOLATION = 4.0  # the longest extrapolated step, in units of the update's step


def learnt_factor(
    stretches: Sequence[Objective], paths: Sequence[np.ndarray], which: np.ndarray, threads: int = 1
) -> np.ndarray:
    """(free,): the likeliest factor on the standard deviation of each coordinate's accelerations; 1 where not learnt.

    stretches: objectives of parts of the trial, with the assumed smoothness. paths: their minima, (frames, free) each.
    which: (free,) bool, coordinates to learn. All in double precision: the same on every processor."""
    factor, log, before = np.ones(len(which)), np.zeros(int(which.sum())), None
    points = [stretch.basis.fit(path) for stretch, path in zip(stretches, paths, strict=True)]
    with threadpool_limits(1, "blas"):
        for _ in range(UPDATE_COUNT):
            factor[which] = np.exp(log)
            update = partial(_updated_stretch, factor, which)
            updated = map_on_threads(update, list(zip(stretches, points, strict=True)), threads)
            points, squares, counts = (list(each) for each in zip(*updated, strict=True))
            square, determined = np.sum(squares, axis=0), np.sum(counts, axis=0)
            mean_square = np.exp(2 * log) * square / np.maximum(determined, 1e-9)
            step = 0.5 * np.log(likeliest_variance(mean_square, determined, 1.0)) - log
            now = (log, step)
            log = np.maximum(log + step * _extrapolation_factor(before, now), np.log(MIN_SMOOTHNESS_FACTOR))
            before = now
    factor[which] = np.exp(log)
    return factor


def sample_stretches(path: np.ndarray, rate: float) -> list[slice]:
    """Parts of a trial that represent it: all of a short trial; of a long one, stretches from median to maximum motion.

    path: rough path (frames, free); its motion in a stretch is the sum of squared accelerations."""
    length = max(MIN_STRETCH_FRAMES, round(MIN_STRETCH_S * rate))
    count = len(path) // length
    if count <= STRETCH_COUNT:
        return [slice(0, len(path))]
    begins = np.linspace(0, len(path) - length, count).astype(int)
    moves = [float((np.diff(path[begin : begin + length], 2, axis=0) ** 2).sum()) for begin in begins]
    chosen = np.argsort(moves)[np.linspace(count // 2, count - 1, STRETCH_COUNT).astype(int)]
    return [slice(int(begin), int(begin) + length) for begin in np.sort(begins[chosen])]


def _extrapolation_factor(
    before: tuple[np.ndarray, np.ndarray] | None, now: tuple[np.ndarray, np.ndarray]
) -> np.ndarray | float:
    """Factor on an update's step, by the secant method: extrapolates the last two steps linearly to a step of zero.

    before, now: logarithms of the factors, and their updates' steps. Updates alone converge slowly."""
    if before is None:
        return 1.0
    moved, change = now[0] - before[0], now[1] - before[1]
    times = np.divide(-moved, change, out=np.ones_like(moved), where=change != 0.0)
    return np.where(times > 0.0, times, 1.0).clip(1 / MAX_EXTRAPOLATION, MAX_EXTRAPOLATION)


def _updated_stretch(
    factor: np.ndarray, which: np.ndarray, stretch: tuple[Objective, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step towards a stretch's minimum, and the statistics of its accelerations.

    factor: (free,) on the assumed standard deviations. which: (free,) bool. stretch: an objective with the assumed
    smoothness, and control points. Returns the new control points (points, free); for each learnt coordinate the sum of
    squared accelerations, in units of the variance with `factor`, and how many accelerations the markers determine."""
    assumed, points = stretch
    objective = replace(assumed, acceleration=assumed.acceleration / factor**2)
    basis, count = objective.basis, int(which.sum())
    system = BandedSystem(basis, points.shape[1])
    objective.curve(points, system)
    solved = system.factorise()
    if solved is None or basis.frames < 3:
        return points, np.zeros(count), np.zeros(count)  # the markers determine nothing
    points = points - clipped_step(solved.solve(objective.evaluated(points).gradient))
    precision = objective.acceleration[which]
    variance = (precision * solved.acceleration_variances()[:, which]).sum(0)
    square = (precision * (basis.accelerations @ points[:, which]) ** 2).sum(0)
    rank = min(basis.accelerations.shape[0], basis.points - 2)
    return points, square, np.maximum(rank - variance, 0.0)
