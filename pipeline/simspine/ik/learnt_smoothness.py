"""How fast a person moves, learnt from the trial itself: empirical Bayes for the standard deviation of accelerations.

Each coordinate has a factor on what was assumed: the likeliest one given the markers, under a weak prior that it is 1.
Only what the markers decide counts: of N accelerations γ = N − V/s² are decided by them, if V is the sum of their
posterior variances and s² the assumed one, and the likeliest s² is the sum of their squares over γ (MacKay 1992,
Bayesian interpolation, Neural Computation 4: 415). So noise is not taken for motion, nor smoothness for stillness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.ik.banded import BandedSystem, Precision
from simspine.ik.minimise import assemble, minimise, shortened
from simspine.ik.terms import Term
from simspine.ik.terms.smoothness import SmoothnessTerm
from simspine.priors.likeliest import likeliest
from simspine.threads import map_on_threads

STRETCHES = 3  # of a long trial
LEAST_FRAMES, LEAST_S = 70, 1.4  # of a stretch: longer than smoothing reaches
UPDATES = 4  # then factors are within a few percent of where updates lead
RANGE = 10.0  # a coordinate is at most so many times calmer or livelier than assumed
FURTHEST = 4.0  # times an update's own step
DRAWS = 4  # of signs: γ is then known to a sixth, where it is some fifteen


@dataclass(frozen=True, eq=False)
class _Stretch:
    """z: (frames, free). square: (which,) sum of the squared accelerations, in assumed standard deviations. decided:
    (which,) how many of them the markers decide."""

    z: np.ndarray
    square: np.ndarray
    decided: np.ndarray


def learnt_factor(
    terms: Sequence[Term],
    smoothness: SmoothnessTerm,
    which: np.ndarray,
    path: np.ndarray,
    precision: Precision = float,
    threads: int = 1,
) -> np.ndarray:
    """(free,): the likeliest factors on the standard deviations of accelerations of the coordinates `which` (free,)
    bool; 1 for others.

    terms: all others. path: (frames, free) to begin from. precision: of factors for steps to the first minimum. It is
    gone to as closely as numbers allow, and all that follows is in double precision, so that no processor's habits show
    in the factors.
    """
    parts = stretches(path, smoothness.rate)
    others = [[term.window(part) for term in terms] for part in parts]

    def begun(i: int) -> np.ndarray:
        return minimise([*others[i], smoothness], path[parts[i]], precision=precision).z

    factor, log, before = np.ones(len(which)), np.zeros(int(which.sum())), None
    with threadpool_limits(1, "blas"):
        paths = map_on_threads(begun, range(len(parts)), threads)
        for _ in range(UPDATES):
            factor[which] = np.exp(log)
            update = partial(_updated, scaled(smoothness, factor), which)
            found = map_on_threads(update, list(zip(others, paths, strict=True)), threads)
            paths = [stretch.z for stretch in found]
            square = np.sum([stretch.square for stretch in found], axis=0)
            decided = np.sum([stretch.decided for stretch in found], axis=0)
            each = zip(np.exp(2 * log), square, decided, strict=True)
            step = 0.5 * np.log([likeliest(v * s / max(d, 1e-9), d, 1.0) for v, s, d in each]) - log
            now = (log, step)
            log = (log + step * _further(before, now)).clip(-np.log(RANGE), np.log(RANGE))
            before = now
    factor[which] = np.exp(log)
    return factor


def scaled(smoothness: SmoothnessTerm, factor: np.ndarray) -> SmoothnessTerm:
    """With `factor` (free,) times the standard deviation of each coordinate's accelerations."""
    return replace(smoothness, acceleration=smoothness.acceleration / factor**2)


def stretches(path: np.ndarray, rate: float) -> list[slice]:
    """Parts of a trial that stand for all of it: a short one is all of it, of a long one those in which a rough path
    (frames, free) moves as much as anywhere, and as in the middle of all."""
    length = max(LEAST_FRAMES, round(LEAST_S * rate))
    count = len(path) // length
    if count <= STRETCHES:
        return [slice(0, len(path))]
    begins = np.linspace(0, len(path) - length, count).astype(int)
    moves = [float((np.diff(path[begin : begin + length], 2, axis=0) ** 2).sum()) for begin in begins]
    chosen = np.argsort(moves)[np.linspace(count // 2, count - 1, STRETCHES).astype(int)]
    return [slice(int(begin), int(begin) + length) for begin in np.sort(begins[chosen])]


def _further(before: tuple[np.ndarray, np.ndarray] | None, now: tuple[np.ndarray, np.ndarray]) -> np.ndarray | float:
    """How many times an update's own step to take: as far as the line through it and the one before leads to none, for
    updates alone go a part of the way. Each: logarithms of the factors, and steps."""
    if before is None:
        return 1.0
    moved, change = now[0] - before[0], now[1] - before[1]
    times = np.divide(-moved, change, out=np.ones_like(moved), where=change != 0.0)
    return np.where(times > 0.0, times, 1.0).clip(1 / FURTHEST, FURTHEST)


def _updated(smoothness: SmoothnessTerm, which: np.ndarray, stretch: tuple[Sequence[Term], np.ndarray]) -> _Stretch:
    """A step nearer to the minimum of all terms, and what is known of the accelerations there. stretch: its other
    terms, and its path.

    The sum of their posterior variances is the mean of uᵀ D H⁻¹ Dᵀ u over signs u, D their differences and H half the
    Hessian (Hutchinson 1989, Communications in Statistics 18: 1059).
    """
    others, z = stretch
    terms, count = [*others, smoothness], int(which.sum())
    system = BandedSystem(len(z), z.shape[1])
    assemble(terms, z, system, False)
    factor = system.factorise()
    if factor is None or len(z) < 3:
        return _Stretch(z, np.zeros(count), np.zeros(count))  # nothing is decided
    gradient = np.zeros(z.shape)
    for term in terms:
        term.cost(z, gradient)
    z = z - shortened(factor.solve(gradient))
    size = np.sqrt(smoothness.acceleration[which]) * smoothness.rate**2
    signs = size[:, None] * np.random.default_rng(0).choice([-1.0, 1.0], (len(z) - 2, count, DRAWS))
    probe = np.zeros((*z.shape, DRAWS))
    probe[:, which] = np.diff(np.pad(signs, ((2, 2), (0, 0), (0, 0))), 2, axis=0)
    variance = (signs * np.diff(factor.solve(probe)[:, which], 2, axis=0)).sum((0, 2)) / DRAWS
    square = ((size * np.diff(z[:, which], 2, axis=0)) ** 2).sum(0)
    return _Stretch(z, square, np.maximum(len(signs) - variance, 0.0))
