"""Levenberg–Marquardt over a whole stretch of frames, for any objective; and smoothness learnt with it.

How fast a person moves, the trial itself says: empirical Bayes for the standard deviation of accelerations. Each
coordinate has a factor on what was assumed: the likeliest one given the markers, under a weak prior that it is 1. Only
what the markers decide counts: of N accelerations γ = N − V/s² are decided by them, if V is the sum of their posterior
variances and s² the assumed one, and the likeliest s² is the sum of their squares over γ (MacKay 1992, Bayesian
interpolation, Neural Computation 4: 415). So noise is not taken for motion, nor smoothness for stillness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.anatomy.priors import likeliest_variance
from simspine.core.arrays import map_on_threads
from simspine.estimation.banded import BandedSystem, FloatType
from simspine.estimation.terms import Evaluation, Objective

MAX_STEP = 0.7  # rad or m, of any coordinate in one step
NEAR_MINIMUM_COST_SHARE = 0.3  # a step that lowered the cost by less than this share was taken near the minimum
# Of its promise: a step that gains more needs no damping, wherever the cost rose, and no new factor.
GOOD_GAIN_RATIO = 0.5
MAX_ITERATIONS = 100  # steps; 72 to 100 were seen where an arm begins wound up, and trials that end sooner take no more
# Steps of a converged solution, at most, towards the minimum itself, so that its path does not show.
MAX_POLISHING_STEPS = 60
# Of the cost: so little left to gain moves nothing by a ten-thousandth of its standard deviation.
POLISHED_COST_SHARE = 1e-13
# Of the promise before: a chord step that promises more is not taken, its factor is out of date.
CHORD_PROMISE_RATIO = 0.9
# A quarter and a sixteenth of a step that raised the cost: an evaluation costs a tenth of a factor.
MAX_SHORTER_STEPS = 2
MAX_FACTORISATIONS = 20  # tries with more and more damping


@dataclass(frozen=True, eq=False)
class Minimum:
    """points: (points, free). cost: of all terms. reason: '' if converged, else why the steps ended."""

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

    Steps are Gauss–Newton's far away and Newton's near the end, where that has a positive Hessian. A factor is kept for
    further steps while each gains what it promised and promises less than the one before (only gradients are new, which
    cost a tenth), and corrected by what these show (`ChordStep`): mostly a joint enters or leaves its limit in some
    frames.
    Since steps are corrected, factors may be of single `precision`; costs and gradients, which say where the minimum
    is, are in double. Each control point has a damping of its own, so that a few awkward frames do not hold up the
    others. It grows where the cost around it rose and shrinks where it fell; it shrinks everywhere after a step that
    gained what it promised, in which some frames paid for others, and grows everywhere after one that gained nothing.

    Converged when what is left to gain is less than `tolerance` of the cost: of what a step promises that is all, but a
    tenth for Newton's, whose error falls with the square. At most `polish` more steps then lead to the minimum itself,
    which is the same on every processor and from every path, whereas `tolerance` would let angles stop half a standard
    deviation short.
    """
    system = _DampedSystem(objective, points.shape[1], precision)
    here = objective.evaluated(points)
    chord, near, promise = None, False, np.inf
    steps, last, reason = 0, MAX_ITERATIONS, "out of iterations"
    while steps < last:
        if chord is None:
            chord = system.factorise(here.z, near)
            if chord is None:
                reason = reason and "no step lowers the cost any more"
                break
        step = clipped_step(-chord.solve(here.gradient))
        before, promise = promise, -float((here.gradient * step).sum())
        if not chord.fresh and not 0.0 < promise <= CHORD_PROMISE_RATIO * before:
            chord = None
            continue
        steps += 1
        left = abs(promise) * (0.1 if system.newton and chord.fresh else 1.0)
        there = objective.evaluated(here.z + step)
        for _ in range(MAX_SHORTER_STEPS if chord.fresh else 0):
            if there.cost.sum() < here.cost.sum():
                break
            step, promise = 0.25 * step, (1 - 0.75**2) * promise
            there = objective.evaluated(here.z + step)
        gain = here.cost.sum() - there.cost.sum()
        system.learn_from_step(here.cost, there, promise)
        if gain > GOOD_GAIN_RATIO * promise:
            chord.update_from_step(step, there.gradient - here.gradient)
        else:
            chord = None
        if gain > 0.0:
            near = gain < NEAR_MINIMUM_COST_SHARE * here.cost.sum()
            here = there
        exact, enough = (share * here.cost.sum() + 1e-16 * len(points) for share in (POLISHED_COST_SHARE, tolerance))
        if left <= enough and (gain > 0.0 or left <= exact):
            reason, last = "", min(last, steps + polish)
        if left <= min(enough, exact):  # costs are no more exact
            break
    return Minimum(here.z, float(here.cost.sum()), reason)


def clipped_step(step: np.ndarray) -> np.ndarray:
    """(points, free): each coordinate's step, no longer than `MAX_STEP`. One that no marker determines, such as the
    twist of a straight arm, does not shorten the steps of the others."""
    return np.clip(step, -MAX_STEP, MAX_STEP)


class ChordStep:
    """Solves the system of an earlier Hessian, corrected by what steps since then showed of the present one
    (limited-memory BFGS: Nocedal 1980). fresh: no step was taken since then."""

    def __init__(self, solve: Callable[[np.ndarray], np.ndarray]):
        self.fresh = True
        self._solve = solve
        self._pairs: list[tuple[np.ndarray, np.ndarray, float]] = []

    def update_from_step(self, step: np.ndarray, change: np.ndarray) -> None:
        """step changed the gradient by `change`, arrays of one shape; no correction where that shows no curvature."""
        self.fresh = False
        curvature = float((step * change).sum())
        if curvature > 0.0:
            self._pairs.append((step, change, curvature))

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b, about."""
        x, shares = b.copy(), []
        for step, change, curvature in reversed(self._pairs):
            shares.append(float((step * x).sum()) / curvature)
            x -= shares[-1] * change
        x = self._solve(x)
        for (step, change, curvature), share in zip(self._pairs, reversed(shares), strict=True):
            x += (share - float((change * x).sum()) / curvature) * step
        return x


class _DampedSystem:
    """The system of an objective with a damping of its own for each control point. newton: whether the last factor was
    of Newton's Hessian."""

    def __init__(self, objective: Objective, n: int, precision: FloatType):
        self.newton = False
        self._objective, self._system = objective, BandedSystem(objective.basis, n, precision)
        self._damping = np.full(objective.basis.points, 1e-8)

    def factorise(self, points: np.ndarray, newton: bool) -> ChordStep | None:
        """A factor at these points, of Newton's Hessian if asked for and positive, else Gauss–Newton's; None if none is
        positive.

        A system in single precision gives way to one in double where Gauss–Newton's Hessian is not positive to it.
        """
        for _ in range(MAX_FACTORISATIONS):
            self._objective.curve(points, self._system, newton)
            diagonal = self._system.band[0].reshape(points.shape)
            factor = self._system.factorise(self._damping[:, None] * diagonal + 1e-12)
            if factor is not None:
                self.newton = newton
                return ChordStep(factor.solve)
            if newton:
                newton = False
            elif self._system.band.dtype == np.float32:
                self._system = BandedSystem(self._objective.basis, points.shape[1])
            else:
                self._damping = np.maximum(10 * self._damping, 1e-8)
        return None

    def learn_from_step(self, before: np.ndarray, there: Evaluation, promise: float) -> None:
        """Adapt the damping. before: (points,) costs."""
        gain = before.sum() - there.cost.sum()
        rose = _sum_over_neighbours(there.cost - before) > 1e-4 * _sum_over_neighbours(before)
        grows = (rose & (gain < GOOD_GAIN_RATIO * promise)) | (gain <= 0.0)
        self._damping = np.where(grows, np.maximum(10 * self._damping, 1e-5), np.maximum(0.1 * self._damping, 1e-12))


def _sum_over_neighbours(values: np.ndarray, reach: int = 5) -> np.ndarray:
    """Sums over each control point and `reach` of them on either side."""
    if len(values) <= 2 * reach:
        return np.full_like(values, values.sum())
    return np.convolve(values, np.ones(2 * reach + 1), "same")


# Smoothness learnt from the trial.

STRETCH_COUNT = 3  # of a long trial
MIN_STRETCH_FRAMES, MIN_STRETCH_S = 70, 1.4  # of a stretch: longer than smoothing reaches
UPDATE_COUNT = 4  # then factors are within a few percent of where updates lead
MAX_SMOOTHNESS_FACTOR = 10.0  # a coordinate is at most so many times calmer or livelier than assumed
MAX_EXTRAPOLATION = 4.0  # times an update's own step


def learnt_factor(
    stretches: Sequence[Objective], paths: Sequence[np.ndarray], which: np.ndarray, threads: int = 1
) -> np.ndarray:
    """(free,): the likeliest factors on the standard deviations of accelerations of the coordinates `which` (free,)
    bool; 1 for others.

    stretches: objectives of parts of the trial, with the assumed smoothness. paths: their minima, (frames, free) each.
    All is in double precision, so that the factors are the same on every processor.
    """
    factor, log, before = np.ones(len(which)), np.zeros(int(which.sum())), None
    points = [stretch.basis.fit(path) for stretch, path in zip(stretches, paths, strict=True)]
    with threadpool_limits(1, "blas"):
        for _ in range(UPDATE_COUNT):
            factor[which] = np.exp(log)
            update = partial(_updated_stretch, factor, which)
            found = map_on_threads(update, list(zip(stretches, points, strict=True)), threads)
            points, squares, counts = (list(each) for each in zip(*found, strict=True))
            square, decided = np.sum(squares, axis=0), np.sum(counts, axis=0)
            each = zip(np.exp(2 * log), square, decided, strict=True)
            step = 0.5 * np.log([likeliest_variance(v * s / max(d, 1e-9), d, 1.0) for v, s, d in each]) - log
            now = (log, step)
            log = (log + step * _extrapolation_factor(before, now)).clip(
                -np.log(MAX_SMOOTHNESS_FACTOR), np.log(MAX_SMOOTHNESS_FACTOR)
            )
            before = now
    factor[which] = np.exp(log)
    return factor


def sample_stretches(path: np.ndarray, rate: float) -> list[slice]:
    """Parts of a trial that stand for all of it: a short one is all of it, of a long one those in which a rough path
    (frames, free) moves as much as anywhere, and as in the middle of all."""
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
    """How many times an update's own step to take: as far as the line through it and the one before leads to none, for
    updates alone go a part of the way. Each: logarithms of the factors, and steps."""
    if before is None:
        return 1.0
    moved, change = now[0] - before[0], now[1] - before[1]
    times = np.divide(-moved, change, out=np.ones_like(moved), where=change != 0.0)
    return np.where(times > 0.0, times, 1.0).clip(1 / MAX_EXTRAPOLATION, MAX_EXTRAPOLATION)


def _updated_stretch(
    factor: np.ndarray, which: np.ndarray, stretch: tuple[Objective, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Control points (points, free) a step nearer to the minimum; (which,) sum of the squared accelerations, in assumed
    standard deviations; (which,) how many of them the markers decide. factor: (free,) on the assumed standard
    deviations. stretch: an objective, and control points of a path.
    """
    assumed, points = stretch
    objective = replace(assumed, acceleration=assumed.acceleration / factor**2)
    basis, count = objective.basis, int(which.sum())
    system = BandedSystem(basis, points.shape[1])
    objective.curve(points, system, False)
    solved = system.factorise()
    if solved is None or basis.frames < 3:
        return points, np.zeros(count), np.zeros(count)  # nothing is decided
    points = points - clipped_step(solved.solve(objective.evaluated(points).gradient))
    precision = objective.acceleration[which]
    variance = (precision * solved.acceleration_variances()[:, which]).sum(0)
    square = (precision * (basis.accelerations @ points[:, which]) ** 2).sum(0)
    rank = min(basis.accelerations.shape[0], basis.points - 2)
    return points, square, np.maximum(rank - variance, 0.0)
