"""The minimum of a person's system: Levenberg and Marquardt's steps far away, Newton's near the end."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_solve
from scipy.linalg.blas import dtrsm

from simspine.anatomy.tree import Tree
from simspine.estimation.minimise import CHORD_PROMISE_RATIO, GOOD_GAIN_RATIO, ChordStep, clipped_step
from simspine.estimation.terms import LimitTerm, MarkerTerm

# The equations of one body for all trials of a person: cost, gradient, and a step that solves all frames at once.
# The frames have nothing in common but what stays the same; so the Hessian is a block for each of them with a
# border (bundle adjustment's: Triggs et al. 2000), and the border's Schur complement is the marginal precision of
# what stays.


UNSEEN_FRAME_PRECISION = 1e-6  # rad⁻², m⁻²: the path of a person in a frame that nobody saw is anything


@dataclass(frozen=True, eq=False)
class Unknowns:
    """q: (frames, coordinates) rad or m, of all trials. stays: (k,) rad or m, what is the same in all of them. offsets:
    (trials, 3 × shared errors) m, what neighbouring markers are off by in a trial.
    """

    q: np.ndarray
    stays: np.ndarray
    offsets: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """All of them, in this order."""
        return np.concatenate([self.q.ravel(), self.stays, self.offsets.ravel()])

    def like(self, flat: np.ndarray) -> "Unknowns":
        """Unknowns of the same shapes."""
        q, stays, offsets = np.split(flat, np.cumsum([self.q.size, self.stays.size]))
        return Unknowns(q.reshape(self.q.shape), stays, offsets.reshape(self.offsets.shape))


@dataclass(frozen=True, eq=False)
class QuadraticPrior:
    """Priors that tie nothing but one frame to what stays: Σ weight (Q q + C s − mean)².

    Q: (priors, coordinates). C: (priors, k). mean: (frames, priors). weight: (priors,). holds: (frames,) bool, whether
    they hold in a frame.
    """

    Q: np.ndarray
    C: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    holds: np.ndarray

    @cached_property
    def information(self) -> np.ndarray:
        """(coordinates + k, coordinates + k) of a frame: Σ weight (Q C)ᵀ (Q C)."""
        both = np.hstack([self.Q, self.C])
        return (both.T * self.weight) @ both

    def departure(self, at: Unknowns) -> np.ndarray:
        """(frames, priors), 0 where they do not hold."""
        return (at.q @ self.Q.T + at.stays @ self.C.T - self.mean) * self.holds[:, None]

    def of(self, frames: np.ndarray) -> "QuadraticPrior":
        """The same of some frames."""
        return replace(self, mean=self.mean[frames], holds=self.holds[frames])


@dataclass(frozen=True, eq=False)
class PersonSystem:
    """The problem as arrays. postures: of all frames, and of some. trial: (frames,) of each frame. stay: (k, k),
    offset: (trials, 3 × shared errors) precisions. moved: how many of what stays the markers see. sharing: (frames,)
    how many frames share one error of a marker: `markers` count by so much less. followed: the tree with the markers
    that are followed in place of those seen. taken: (followed, 3) index in what stays, −1 for none.
    """

    markers: MarkerTerm
    limits: LimitTerm
    postures: tuple[QuadraticPrior, ...]
    trial: np.ndarray
    stay: np.ndarray
    offset: np.ndarray
    moved: int
    sharing: np.ndarray
    followed: Tree
    taken: np.ndarray

    def columns(self, at: Unknowns) -> np.ndarray:
        """(frames, free) of the tree with variations and offsets."""
        same = np.broadcast_to(at.stays[: self.moved], (len(at.q), self.moved))
        return np.hstack([at.q, same, at.offsets[self.trial]])

    def cost(self, at: Unknowns) -> tuple[np.ndarray, float]:
        """(frames,) of each frame, and of what stays and the offsets."""
        prior = sum((posture.weight * posture.departure(at) ** 2).sum(1) for posture in self.postures)
        held = at.stays @ self.stay @ at.stays + (self.offset * at.offsets**2).sum()
        return self.markers.cost(self.columns(at)) + self.limits.cost(at.q) + prior, float(held)

    def total(self, at: Unknowns) -> float:
        """The cost of all."""
        frames, held = self.cost(at)
        return float(frames.sum()) + held

    def gradient(self, at: Unknowns) -> Unknowns:
        """Half the gradient of the cost."""
        own = at.q.shape[1]
        slope = np.zeros((len(at.q), self.markers.tree.free.size))
        self.markers.cost(self.columns(at), slope)
        q, stays = slope[:, :own].copy(), self.stay @ at.stays
        for posture in self.postures:
            pull = posture.weight * posture.departure(at)
            q += pull @ posture.Q
            stays += (pull @ posture.C).sum(0)
        self.limits.cost(at.q, q)
        stays[: self.moved] += slope[:, own : own + self.moved].sum(0)
        offsets = self.offset * at.offsets
        np.add.at(offsets, self.trial, slope[:, own + self.moved :])
        return Unknowns(q, stays, offsets)

    def only(self, trial: int) -> "PersonSystem":
        """The same of one trial alone."""
        own = self.trial == trial
        postures = tuple(posture.of(own) for posture in self.postures)
        return PersonSystem(
            markers=self.markers.window(own),
            limits=self.limits,
            postures=postures,
            trial=np.zeros(own.sum(), int),
            stay=self.stay,
            offset=self.offset[[trial]],
            moved=self.moved,
            sharing=self.sharing[own],
            followed=self.followed,
            taken=self.taken,
        )


@dataclass(frozen=True, eq=False)
class BorderedFactor:
    """Half the Hessian, factorised. lower: (frames, n, n), Cholesky factors L of the frames' blocks. half: (frames, n,
    k + m), L⁻¹ of their border, to what stays and to the offsets of the frame's trial. corner: Cholesky factor of
    the block of what stays and of all offsets, without the frames' unknowns (Schur's complement). trial: (frames,). at:
    where it was made.
    """

    lower: np.ndarray
    half: np.ndarray
    corner: np.ndarray
    trial: np.ndarray
    at: Unknowns

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b; both as `Unknowns.flat`."""
        right = self.at.like(b)
        k = right.stays.size
        forward = solve_forward(self.lower, right.q[..., None])[..., 0]
        carried = np.einsum("tia,ti->ta", self.half, forward)
        offsets = right.offsets.copy()
        np.subtract.at(offsets, self.trial, carried[:, k:])
        left = np.concatenate([right.stays - carried[:, :k].sum(0), offsets.ravel()])
        shared = cho_solve((self.corner, True), left)
        stays, offsets = shared[:k], shared[k:].reshape(offsets.shape)
        both = np.hstack([np.broadcast_to(stays, (len(forward), k)), offsets[self.trial]])
        inner = forward - np.einsum("tia,ta->ti", self.half, both)
        q = [dtrsm(1.0, L.T, v[:, None])[:, 0] for L, v in zip(self.lower, inner, strict=True)]  # L⁻ᵀ
        return Unknowns(np.array(q), stays, offsets).flat


def factorise_person_system(
    system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool = False
) -> BorderedFactor:
    """Of Gauss and Newton's Hessian, or of Newton's in the frames where that is positive definite.

    damping: (frames,), shares by which a frame's own diagonal is raised. Raises `LinAlgError` if the whole is not
    positive definite, which Gauss and Newton's always is.
    """
    frames, n = at.q.shape
    k, m = at.stays.size, at.offsets.shape[1]
    H = _frame_blocks(system, at, np.arange(frames), damping=damping, newton=newton)
    if newton:
        bent = np.array([t for t in range(frames) if not _is_positive_definite(H[t, :n, :n])], int)
        H[bent] = _frame_blocks(system, at, bent, damping=damping, newton=False)
    lower = np.linalg.cholesky(H[:, :n, :n])
    half = solve_forward(lower, H[:, :n, n:])
    reduced = np.zeros((k + at.offsets.size,) * 2)
    reduced[:k, :k] = system.stay
    reduced[np.arange(k, len(reduced)), np.arange(k, len(reduced))] = system.offset.ravel()
    for i in range(len(at.offsets)):
        own = system.trial == i
        place = np.r_[0:k, k + i * m : k + (i + 1) * m]
        inner = np.tensordot(half[own], half[own], axes=((0, 1), (0, 1)))
        reduced[np.ix_(place, place)] += H[own, n:, n:].sum(0) - inner
    return BorderedFactor(lower=lower, half=half, corner=np.linalg.cholesky(reduced), trial=system.trial, at=at)


def _frame_blocks(
    system: PersonSystem, at: Unknowns, which: np.ndarray, damping: np.ndarray, newton: bool
) -> np.ndarray:
    """(which, n + k + m, n + k + m): half the Hessian of some frames, to what stays and the offsets of their trial."""
    n, k, m = at.q.shape[1], at.stays.size, at.offsets.shape[1]
    seen, H = n + system.moved, np.zeros((len(which), n + k + m, n + k + m))
    markers = system.markers.window(which).information(system.columns(at)[which], newton)
    H[:, :seen, :seen] = markers[:, :seen, :seen]
    H[:, :seen, n + k :] = markers[:, :seen, seen:]
    H[:, n + k :, :seen] = markers[:, seen:, :seen]
    H[:, n + k :, n + k :] = markers[:, seen:, seen:]
    for posture in system.postures:
        H[posture.holds[which], : n + k, : n + k] += posture.information
    own = np.arange(n)
    H[:, own, own] += system.limits.curvature(at.q[which]) + UNSEEN_FRAME_PRECISION
    H[:, own, own] *= 1 + damping[which, None]
    return H


def _is_positive_definite(matrix: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def solve_forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L⁻¹ B of each frame: lower (frames, n, n), right (frames, n, k). NumPy would factorise L once more."""
    return np.array([dtrsm(1.0, L.T, B.T, side=1).T for L, B in zip(lower, right, strict=True)])


MAX_PERSON_STEPS = 200  # 7 to 50 are taken, up to 120 with many outliers
MAX_REMAINING_GAIN = 1e-9  # of a squared standard deviation: so little left to gain shows in no result
NEAR_MINIMUM_PROMISE_SHARE = 0.01  # a step that promises less than this share of the cost is taken near the minimum
DAMPING_LIMITS = (1e-9, 1e3)  # at least, at most
STEP_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.001, 0.0)  # of a step


class PersonMinimum(NamedTuple):
    """at: where the steps ended. left: squared standard deviations that the last one promised; more than was asked for
    where there were too few steps. Near the minimum no result moves by more than the root of it, of its own deviation.
    """

    at: Unknowns
    left: float


def find_person_minimum(system: PersonSystem, at: Unknowns, left: float = MAX_REMAINING_GAIN) -> PersonMinimum:
    """The minimum beside `at`, to where steps promise less than `left` squared standard deviations.

    Steps are Gauss and Newton's far away. Near the end they are Newton's where that has a positive Hessian, and a
    factor is kept while steps gain what they promise (`Chord`).
    """
    cost, held = system.cost(at)
    slope = system.gradient(at)
    damping = np.full(len(at.q), DAMPING_LIMITS[0])
    chord, fresh, near, promise = None, True, False, np.inf
    for _ in range(MAX_PERSON_STEPS):
        if chord is None:
            chord, fresh = _person_chord(system, at, damping, near), True
        step = at.like(-chord.solve(slope.flat))
        before, promise = promise, -float(slope.flat @ step.flat)
        if not fresh and promise > CHORD_PROMISE_RATIO * before:
            chord = None
            continue
        if promise < left:
            end = at.like(at.flat + step.flat)  # costs are not exact enough to judge the very last by
            return PersonMinimum(
                end if left <= MAX_REMAINING_GAIN or system.total(end) < cost.sum() + held else at, promise
            )
        shares, trial, new, new_held = _share_of_step_by_frame(system, at, step, cost=cost, held=held, promise=promise)
        gain = cost.sum() + held - new.sum() - new_held
        damping = np.where(shares == 1.0, damping / 10, np.where(shares < 0.5, damping * 10, damping)).clip(
            *DAMPING_LIMITS
        )
        if gain > 0.0:
            near = promise < NEAR_MINIMUM_PROMISE_SHARE * cost.sum()
            turned = system.gradient(trial)
            chord.learn(trial.flat - at.flat, turned.flat - slope.flat)
            at, cost, held, slope = trial, new, new_held, turned
        fresh = False
        if not near or gain < GOOD_GAIN_RATIO * promise:
            chord = None
    return PersonMinimum(at, promise)


def _person_chord(system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool) -> ChordStep:
    try:
        return ChordStep(factorise_person_system(system, at, damping, newton))
    except np.linalg.LinAlgError:
        return ChordStep(factorise_person_system(system, at, damping))


def _share_of_step_by_frame(
    system: PersonSystem, at: Unknowns, step: Unknowns, cost: np.ndarray, held: float, promise: float
) -> tuple[np.ndarray, Unknowns, np.ndarray, float]:
    """(frames,) which share of its own part of a step each frame takes, and where that leads, with the costs there.

    Given what stays, frames are independent of one another: each takes the share that suits it best, so that an awkward
    one does not hold up the rest. If the sum of all does not fall, what stays takes a smaller share too.
    """
    own = clipped_step(step.q)
    before = cost.sum() + held
    for part in STEP_SHARES[:-1]:
        stays, offsets = at.stays + part * step.stays, at.offsets + part * step.offsets
        shares, best = np.zeros(len(own)), np.full(len(own), np.inf)
        for share in STEP_SHARES:
            new, new_held = system.cost(Unknowns(at.q + share * part * own, stays, offsets))
            shares, best = np.where(new < best, share * part, shares), np.minimum(new, best)
            if before - best.sum() - new_held > GOOD_GAIN_RATIO * promise:
                break
        if best.sum() + new_held < before:
            break
    return shares, Unknowns(at.q + shares[:, None] * own, stays, offsets), best, new_held
