"""The equations of one body for all trials of a person, and their minimum.

The frames have nothing in common but the constants; so the Hessian is a block for each of them with a border (bundle
adjustment's: Triggs et al. 2000), and the border's Schur complement is the marginal precision of the constants. One
step solves all frames at once: Levenberg and Marquardt's steps far away, Newton's near the end.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy

from simspine.anatomy.tree import Tree
from simspine.estimation.levenberg_marquardt import CHORD_PROMISE_RATIO, GOOD_GAIN_RATIO, MAX_STEP, ChordStep
from simspine.estimation.terms import LimitTerm, MarkerTerm

FRAMES_PER_BATCH = 16  # whose blocks are made and factorised together; more do not fit into the processor's caches
UNSEEN_FRAME_PRECISION = 1e-6  # rad⁻², m⁻²: where no marker is seen, the path is unknown


@dataclass(frozen=True, eq=False)
class Unknowns:
    """q: (frames, coordinates) rad or m, of all trials. constants: (k,) rad or m, the same in all of them. offsets:
    (trials, 3 × shared errors) m, the errors that neighbouring markers share in a trial.
    """

    q: np.ndarray
    constants: np.ndarray
    offsets: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """All of them, in this order."""
        return np.concatenate([self.q.ravel(), self.constants, self.offsets.ravel()])

    def from_flat(self, flat: np.ndarray) -> "Unknowns":
        """Unknowns of the same shapes."""
        q, constants, offsets = np.split(flat, np.cumsum([self.q.size, self.constants.size]))
        return Unknowns(q.reshape(self.q.shape), constants, offsets.reshape(self.offsets.shape))


@dataclass(frozen=True, eq=False)
class QuadraticPrior:
    """Priors that tie nothing but one frame to the constants: frame_weight · Σ weight (Q q + C s − mean)².

    Q: (priors, coordinates). C: (priors, k). mean: (frames, priors). weight: (priors,). frame_weight: (frames,), 0
    where they do not apply.
    """

    Q: np.ndarray
    C: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    frame_weight: np.ndarray

    @cached_property
    def information(self) -> np.ndarray:
        """(coordinates + k, coordinates + k) of a frame: Σ weight (Q C)ᵀ (Q C)."""
        both = np.hstack([self.Q, self.C])
        return (both.T * self.weight) @ both

    def residual(self, at: Unknowns) -> np.ndarray:
        """(frames, priors)."""
        return at.q @ self.Q.T + at.constants @ self.C.T - self.mean

    def pull(self, at: Unknowns) -> np.ndarray:
        """(frames, priors): residuals times their weights."""
        return self.frame_weight[:, None] * self.weight * self.residual(at)

    def of_frames(self, frames: np.ndarray) -> "QuadraticPrior":
        """The priors of some frames."""
        return replace(self, mean=self.mean[frames], frame_weight=self.frame_weight[frames])


@dataclass(frozen=True, eq=False)
class PersonSystem:
    """The problem as arrays.

    postures: priors of all frames, and of some. trial: (frames,) of each frame. constant_precision: (k, k).
    offset_precision: (trials, 3 × shared errors). visible_count: how many of the constants move markers, the first
    ones. frames_per_error: (frames,) how many share one error of a marker: `markers` count by so much less.
    followed_tree: with the markers that are followed in place of those seen. subtracted_constants: (followed, 3)
    indices, −1 for none. hidden_errors: (errors, 2), index of a constant whose prior leaves variance out, and the root
    of that over the prior's own variance.
    """

    markers: MarkerTerm
    limits: LimitTerm
    postures: tuple[QuadraticPrior, ...]
    trial: np.ndarray
    constant_precision: np.ndarray
    offset_precision: np.ndarray
    visible_count: int
    frames_per_error: np.ndarray
    followed_tree: Tree
    subtracted_constants: np.ndarray
    hidden_errors: np.ndarray

    def columns(self, at: Unknowns) -> np.ndarray:
        """(frames, free) of the tree with variations and offsets."""
        same = np.broadcast_to(at.constants[: self.visible_count], (len(at.q), self.visible_count))
        return np.hstack([at.q, same, at.offsets[self.trial]])

    def cost(self, at: Unknowns) -> tuple[np.ndarray, float]:
        """(frames,) of each frame, and of constants and offsets."""
        prior = sum((posture.pull(at) * posture.residual(at)).sum(1) for posture in self.postures)
        held = at.constants @ self.constant_precision @ at.constants + (self.offset_precision * at.offsets**2).sum()
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
        q, constants = slope[:, :own].copy(), self.constant_precision @ at.constants
        for posture in self.postures:
            pull = posture.pull(at)
            q += pull @ posture.Q
            constants += (pull @ posture.C).sum(0)
        self.limits.cost(at.q, q)
        constants[: self.visible_count] += slope[:, own : own + self.visible_count].sum(0)
        offsets = self.offset_precision * at.offsets
        np.add.at(offsets, self.trial, slope[:, own + self.visible_count :])
        return Unknowns(q, constants, offsets)

    def of_trial(self, trial: int) -> "PersonSystem":
        """The system of one trial alone."""
        own = self.trial == trial
        return replace(
            self,
            markers=self.markers.of_window(own),
            postures=tuple(posture.of_frames(own) for posture in self.postures),
            trial=np.zeros(own.sum(), int),
            offset_precision=self.offset_precision[[trial]],
            frames_per_error=self.frames_per_error[own],
        )


@dataclass(frozen=True, eq=False)
class BorderedFactor:
    """Half the Hessian, factorised at `at`.

    lower: (frames, n, n), Cholesky factors L of the frames' blocks. half: (frames, n, k + m), L⁻¹ of their border, to
    the constants and to the offsets of the frame's trial. corner: Cholesky factor of the block of the constants and all
    offsets without the frames' unknowns (Schur's complement). trial: (frames,).
    """

    lower: np.ndarray
    half: np.ndarray
    corner: np.ndarray
    trial: np.ndarray
    at: Unknowns

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b; both as `Unknowns.flat`."""
        right = self.at.from_flat(b)
        k = right.constants.size
        forward = solve_forward(self.lower, right.q[..., None])[..., 0]
        carried = np.einsum("tia,ti->ta", self.half, forward)
        offsets = right.offsets.copy()
        np.subtract.at(offsets, self.trial, carried[:, k:])
        left = np.concatenate([right.constants - carried[:, :k].sum(0), offsets.ravel()])
        shared = scipy.linalg.cho_solve((self.corner, True), left)
        constants, offsets = shared[:k], shared[k:].reshape(offsets.shape)
        both = np.hstack([np.broadcast_to(constants, (len(forward), k)), offsets[self.trial]])
        inner = forward - np.einsum("tia,ta->ti", self.half, both)
        dtrsm = scipy.linalg.blas.dtrsm
        q = [dtrsm(1.0, L.T, v[:, None])[:, 0] for L, v in zip(self.lower, inner, strict=True)]  # L⁻ᵀ
        return Unknowns(np.array(q), constants, offsets).flat


def factorise_person_system(
    system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool = False
) -> BorderedFactor:
    """Of Gauss and Newton's Hessian, or of Newton's in the frames where that is positive definite.

    damping: (frames,), shares by which a frame's own diagonal is raised. Raises `LinAlgError` if the whole is not
    positive definite, which Gauss and Newton's always is.
    """
    frames, n = at.q.shape
    k, m = at.constants.size, at.offsets.shape[1]
    lower, half = np.empty((frames, n, n)), np.empty((frames, n, k + m))
    shared = np.zeros((len(at.offsets), system.visible_count + m, system.visible_count + m))
    for first in range(0, frames, FRAMES_PER_BATCH):
        batch = slice(first, first + FRAMES_PER_BATCH)
        which = np.arange(frames)[batch]
        lower[batch], blocks = _factorised_blocks(system, at, which, damping=damping, newton=newton)
        half[batch] = solve_forward(lower[batch], blocks.border)
        for trial, block in zip(system.trial[batch], blocks.shared, strict=True):
            shared[trial] += block
    reduced = _reduced_constants(system, at, half, shared)
    return BorderedFactor(lower, half, corner=np.linalg.cholesky(reduced), trial=system.trial, at=at)


def _reduced_constants(system: PersonSystem, at: Unknowns, half: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """(k + offsets of all trials, the same): Schur's complement. half: as of `BorderedFactor`; shared: of
    `_FrameBlocks`, the sum over the frames of each trial."""
    n, k, m = at.q.shape[1], at.constants.size, at.offsets.shape[1]
    reduced = np.diag(np.concatenate([np.zeros(k), system.offset_precision.ravel()]))
    reduced[:k, :k] = system.constant_precision
    for posture in system.postures:
        reduced[:k, :k] += posture.frame_weight.sum() * posture.information[n:, n:]
    ends = np.searchsorted(system.trial, np.arange(len(at.offsets) + 1))  # trials follow one another
    for i in range(len(at.offsets)):
        offsets = np.arange(k + i * m, k + (i + 1) * m)
        seen, all_of_trial = np.r_[0 : system.visible_count, offsets], np.r_[0:k, offsets]
        reduced[np.ix_(seen, seen)] += shared[i]
        rows = half[ends[i] : ends[i + 1]].reshape(-1, k + m)
        reduced[np.ix_(all_of_trial, all_of_trial)] -= rows.T @ rows
    return reduced


class _FrameBlocks(NamedTuple):
    """Half the Hessian of some frames: own (frames, n, n); border (frames, n, k + m), to the constants and to offsets
    of the frame's trial; shared (frames, visible + m, visible + m), the markers' part of the constants that move them
    and of offsets."""

    own: np.ndarray
    border: np.ndarray
    shared: np.ndarray


def _factorised_blocks(
    system: PersonSystem, at: Unknowns, which: np.ndarray, damping: np.ndarray, newton: bool
) -> tuple[np.ndarray, _FrameBlocks]:
    """Cholesky factors (frames, n, n) of some frames' own blocks, and the blocks; Newton's where that is possible."""
    blocks = _frame_blocks(system, at, which, damping=damping, newton=newton)
    try:
        return np.linalg.cholesky(blocks.own), blocks
    except np.linalg.LinAlgError:
        if not newton:
            raise
    if len(which) == 1:
        return _factorised_blocks(system, at, which, damping=damping, newton=False)
    each = [_factorised_blocks(system, at, which[[i]], damping=damping, newton=True) for i in range(len(which))]
    lower, parts = zip(*each, strict=True)
    return np.concatenate(lower), _FrameBlocks(*map(np.concatenate, zip(*parts, strict=True)))


def _frame_blocks(
    system: PersonSystem, at: Unknowns, which: np.ndarray, damping: np.ndarray, newton: bool
) -> _FrameBlocks:
    n, k, m = at.q.shape[1], at.constants.size, at.offsets.shape[1]
    seen = n + system.visible_count
    information = system.markers.of_window(which).information(system.columns(at)[which], newton)
    own, border = information[:, :n, :n], np.zeros((len(which), n, k + m))
    border[:, :, : system.visible_count] = information[:, :n, n:seen]
    border[:, :, k:] = information[:, :n, seen:]
    for posture in system.postures:
        weight = posture.frame_weight[which, None, None]
        own += weight * posture.information[:n, :n]
        border[:, :, :k] += weight * posture.information[:n, n:]
    diagonal = np.arange(n)
    own[:, diagonal, diagonal] += system.limits.curvature(at.q[which]) + UNSEEN_FRAME_PRECISION
    own[:, diagonal, diagonal] *= 1 + damping[which, None]
    return _FrameBlocks(own, border, information[:, n:, n:])


def solve_forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L⁻¹ B of each frame: lower (frames, n, n), right (frames, n, k); NumPy would factorise L once more."""
    found = np.array(right, order="C")
    for L, B in zip(lower, found, strict=True):
        scipy.linalg.blas.dtrsm(1.0, L.T, B.T, side=1, overwrite_b=True)
    return found


MAX_PERSON_STEPS = 200  # 7 to 50 are taken, up to 120 with many outliers
MAX_REMAINING_GAIN = 1e-9  # of a squared standard deviation: so little left to gain shows in no result
NEAR_MINIMUM_PROMISE_SHARE = 0.01  # a step that promises less than this share of the cost is taken near the minimum
DAMPING_LIMITS = (1e-9, 1e3)  # at least, at most
STEP_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.001, 0.0)  # of a step


class PersonMinimum(NamedTuple):
    """unknowns: where the steps ended. unconverged_cost: squared standard deviations that the last step promised; more
    than was asked for where there were too few steps. No result is further from the minimum than the root of it, in
    units of its own deviation.
    """

    unknowns: Unknowns
    unconverged_cost: float


def find_person_minimum(system: PersonSystem, at: Unknowns, left: float = MAX_REMAINING_GAIN) -> PersonMinimum:
    """The minimum near `at`, to where steps promise less than `left` squared standard deviations.

    Steps are Gauss and Newton's far away. Near the end they are Newton's where that has a positive Hessian, and a
    factor is kept while steps gain what they promise (`ChordStep`).
    """
    cost, held = system.cost(at)
    slope = system.gradient(at)
    damping = np.full(len(at.q), DAMPING_LIMITS[0])
    chord, fresh, near, promise = None, True, False, np.inf
    for _ in range(MAX_PERSON_STEPS):
        if chord is None:
            chord, fresh = _person_chord(system, at, damping, near), True
        step = at.from_flat(-chord.solve(slope.flat))
        before, promise = promise, -float(slope.flat @ step.flat)
        if not fresh and promise > CHORD_PROMISE_RATIO * before:
            chord = None
            continue
        if promise < left:
            end = at.from_flat(at.flat + step.flat)  # costs are not exact enough to judge the very last by
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
            chord.update_from_step(trial.flat - at.flat, turned.flat - slope.flat)
            at, cost, held, slope = trial, new, new_held, turned
        fresh = False
        if not near or gain < GOOD_GAIN_RATIO * promise:
            chord = None
    return PersonMinimum(at, promise)


def _person_chord(system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool) -> ChordStep:
    try:
        return ChordStep(factorise_person_system(system, at, damping, newton).solve)
    except np.linalg.LinAlgError:
        return ChordStep(factorise_person_system(system, at, damping).solve)


def _share_of_step_by_frame(
    system: PersonSystem, at: Unknowns, step: Unknowns, cost: np.ndarray, held: float, promise: float
) -> tuple[np.ndarray, Unknowns, np.ndarray, float]:
    """(frames,) which share of its own part of a step each frame takes, and where that leads, with the costs there.

    Given the constants, frames are independent of one another: each takes the best share, so that an awkward one
    does not hold up the rest. If the sum of all does not fall, the constants take a smaller share too.
    """
    own = step.q * np.minimum(1.0, MAX_STEP / np.maximum(np.abs(step.q).max(1, keepdims=True), 1e-300))
    before = cost.sum() + held
    for part in STEP_SHARES[:-1]:
        constants, offsets = at.constants + part * step.constants, at.offsets + part * step.offsets
        shares, best = np.zeros(len(own)), np.full(len(own), np.inf)
        for share in STEP_SHARES:
            new, new_held = system.cost(Unknowns(at.q + share * part * own, constants, offsets))
            shares, best = np.where(new < best, share * part, shares), np.minimum(new, best)
            if before - best.sum() - new_held > GOOD_GAIN_RATIO * promise:
                break
        if best.sum() + new_held < before:
            break
    return shares, Unknowns(at.q + shares[:, None] * own, constants, offsets), best, new_held
