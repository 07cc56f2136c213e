"""The minimum of a person's system: Levenberg and Marquardt's steps far away, Newton's near the end."""

from typing import NamedTuple

import numpy as np

from simspine.ik.minimise import FAIR, WORTH, Chord, shortened
from simspine.ik.person_system import PersonSystem, Unknowns, factorised

STEPS = 200  # 7 to 50 are taken, up to 120 with many outliers
LEFT = 1e-9  # of a squared standard deviation: so little left to gain shows in no result
NEAR = 0.01  # a step that promises less than this share of the cost is taken near the minimum
DAMPING = (1e-9, 1e3)  # at least, at most
SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.001, 0.0)  # of a step


class Lowest(NamedTuple):
    """at: where the steps ended. left: squared standard deviations that the last one promised; more than was asked for
    where there were too few steps. Near the minimum no result moves by more than the root of it, of its own deviation.
    """

    at: Unknowns
    left: float


def minimum(system: PersonSystem, at: Unknowns, left: float = LEFT) -> Lowest:
    """The minimum beside `at`, to where steps promise less than `left` squared standard deviations.

    Steps are Gauss and Newton's far away. Near the end they are Newton's where that has a positive Hessian, and a
    factor is kept while steps gain what they promise (`Chord`).
    """
    cost, held = system.cost(at)
    slope = system.gradient(at)
    damping = np.full(len(at.q), DAMPING[0])
    chord, fresh, near, promise = None, True, False, np.inf
    for _ in range(STEPS):
        if chord is None:
            chord, fresh = _chord(system, at, damping, near), True
        step = at.like(-chord.solve(slope.flat))
        before, promise = promise, -float(slope.flat @ step.flat)
        if not fresh and promise > WORTH * before:
            chord = None
            continue
        if promise < left:
            end = at.like(at.flat + step.flat)  # costs are not exact enough to judge the very last by
            return Lowest(end if left <= LEFT or system.total(end) < cost.sum() + held else at, promise)
        shares, trial, new, new_held = _along(system, at, step, cost, held, promise)
        gain = cost.sum() + held - new.sum() - new_held
        damping = np.where(shares == 1.0, damping / 10, np.where(shares < 0.5, damping * 10, damping)).clip(*DAMPING)
        if gain > 0.0:
            near = promise < NEAR * cost.sum()
            turned = system.gradient(trial)
            chord.learn(trial.flat - at.flat, turned.flat - slope.flat)
            at, cost, held, slope = trial, new, new_held, turned
        fresh = False
        if not near or gain < FAIR * promise:
            chord = None
    return Lowest(at, promise)


def _chord(system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool) -> Chord:
    try:
        return Chord(factorised(system, at, damping, newton))
    except np.linalg.LinAlgError:
        return Chord(factorised(system, at, damping))


def _along(
    system: PersonSystem, at: Unknowns, step: Unknowns, cost: np.ndarray, held: float, promise: float
) -> tuple[np.ndarray, Unknowns, np.ndarray, float]:
    """(frames,) which share of its own part of a step each frame takes, and where that leads, with the costs there.

    Given what stays, frames are independent of one another: each takes the share that suits it best, so that an awkward
    one does not hold up the rest. If the sum of all does not fall, what stays takes a smaller share too.
    """
    own = shortened(step.q)
    before = cost.sum() + held
    for part in SHARES[:-1]:
        stays, offsets = at.stays + part * step.stays, at.offsets + part * step.offsets
        shares, best = np.zeros(len(own)), np.full(len(own), np.inf)
        for share in SHARES:
            new, new_held = system.cost(Unknowns(at.q + share * part * own, stays, offsets))
            shares, best = np.where(new < best, share * part, shares), np.minimum(new, best)
            if before - best.sum() - new_held > FAIR * promise:
                break
        if best.sum() + new_held < before:
            break
    return shares, Unknowns(at.q + shares[:, None] * own, stays, offsets), best, new_held
