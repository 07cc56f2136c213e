"""The cost of one body for all trials of a person, its Hessian and its minimum.

Frames share only the constants and the offsets of their trial. So the Hessian is a block for each frame with a border,
as in bundle adjustment (Triggs et al. 2000). The Schur complement of the blocks is the marginal precision of constants
and offsets. Each step solves all frames at once, by Levenberg–Marquardt and, near the minimum, by Newton's method.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy

from simspine.anatomy.tree import Tree
from simspine.estimation.banded import MATRICES_PER_BATCH
from simspine.estimation.levenberg_marquardt import CHORD_DECREASE_RATIO, GOOD_GAIN_RATIO, MAX_STEP, ChordStep
from simspine.estimation.terms import LimitTerm, MarkerTerm

UNSEEN_FRAME_PRECISION = 1e-6  # rad⁻², m⁻²: keeps the block of a frame without markers positive definite


@dataclass(frozen=True, eq=False)
class Unknowns:
    """The unknowns of all trials. q: (frames, coordinates) rad or m. constants: (k,) rad or m, of the person. offsets:
    (trials, 3 × shared errors) m, the errors that several markers share in a trial.
    """

    q: np.ndarray
    constants: np.ndarray
    offsets: np.ndarray

    @property
    def flat(self) -> np.ndarray:
        """All unknowns in one array: coordinates, constants, offsets."""
        return np.concatenate([self.q.ravel(), self.constants, self.offsets.ravel()])

    def from_flat(self, flat: np.ndarray) -> "Unknowns":
        """Unknowns of the same shapes, from an array as `flat` returns it."""
        q, constants, offsets = np.split(flat, np.cumsum([self.q.size, self.constants.size]))
        return Unknowns(q.reshape(self.q.shape), constants, offsets.reshape(self.offsets.shape))


@dataclass(frozen=True, eq=False)
class QuadraticPrior:
    """Gaussian priors on the coordinates q of a frame and the constants s: frame_weight · Σ weight (Q q + C s − mean)².

    Q: (priors, coordinates). C: (priors, k). mean: (frames, priors). weight: (priors,), precisions. frame_weight:
    (frames,), 0 where the priors do not apply.
    """

    Q: np.ndarray
    C: np.ndarray
    mean: np.ndarray
    weight: np.ndarray
    frame_weight: np.ndarray

    @cached_property
    def information(self) -> np.ndarray:
        """(coordinates + k, coordinates + k), of a frame of weight 1: Σ weight (Q C)ᵀ (Q C)."""
        both = np.hstack([self.Q, self.C])
        return (both.T * self.weight) @ both

    def residual(self, at: Unknowns) -> np.ndarray:
        """(frames, priors): Q q + C s − mean."""
        return at.q @ self.Q.T + at.constants @ self.C.T - self.mean

    def pull(self, at: Unknowns) -> np.ndarray:
        """(frames, priors): residuals times their weights."""
        return self.frame_weight[:, None] * self.weight * self.residual(at)


@dataclass(frozen=True, eq=False)
class PersonSystem:
    """The fit to a person as arrays.

    postures: priors of all frames, and of the standing ones. trial: (frames,), index of each frame's trial.
    constant_precision: (k, k). offset_precision: (trials, 3 × shared errors). visible_count: number of constants that
    move markers; they come first. frames_per_error: (frames,), number of frames that share one error; the weights in
    `markers` are divided by it. followed_tree: `markers.tree` with the followed markers in place of the observed ones.
    subtracted_constants: (followed, 3) indices of constants, −1 for none. hidden_pull: (k, errors), pull at the
    constants of a prior with hidden variance whose mean errs by the root of that variance.
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
    hidden_pull: np.ndarray

    def columns(self, at: Unknowns) -> np.ndarray:
        """(frames, free): the free coordinates of `markers.tree`, which has constants and offsets as joints."""
        constants = np.broadcast_to(at.constants[: self.visible_count], (len(at.q), self.visible_count))
        return np.hstack([at.q, constants, at.offsets[self.trial]])

    def cost(self, at: Unknowns) -> tuple[np.ndarray, float]:
        """(frames,) costs of the frames, and the cost of constants and offsets."""
        prior = sum((posture.pull(at) * posture.residual(at)).sum(1) for posture in self.postures)
        shared = at.constants @ self.constant_precision @ at.constants + (self.offset_precision * at.offsets**2).sum()
        return self.markers.cost(self.columns(at)) + self.limits.cost(at.q) + prior, float(shared)

    def gradient(self, at: Unknowns) -> Unknowns:
        """Half the gradient of the cost."""
        n = at.q.shape[1]
        slope = np.zeros((len(at.q), self.markers.tree.free.size))
        self.markers.cost(self.columns(at), slope)
        q, constants = slope[:, :n].copy(), self.constant_precision @ at.constants
        for posture in self.postures:
            pull = posture.pull(at)
            q += pull @ posture.Q
            constants += (pull @ posture.C).sum(0)
        self.limits.cost(at.q, q)
        constants[: self.visible_count] += slope[:, n : n + self.visible_count].sum(0)
        offsets = self.offset_precision * at.offsets
        np.add.at(offsets, self.trial, slope[:, n + self.visible_count :])
        return Unknowns(q, constants, offsets)


@dataclass(frozen=True, eq=False)
class BorderedFactor:
    """Half the Hessian, factorised at `at`.

    lower: (frames, n, n), Cholesky factors L of the frames' blocks. half: (frames, n, k + m), L⁻¹ B; B is a frame's
    border, between its coordinates and the constants and offsets of its trial. corner: Cholesky factor of the Schur
    complement, for the constants and the offsets of all trials. trial: (frames,), index of each frame's trial.
    """

    lower: np.ndarray
    half: np.ndarray
    corner: np.ndarray
    trial: np.ndarray
    at: Unknowns

    def solve(self, b: np.ndarray) -> np.ndarray:
        """x of H x = b; H is half the Hessian, x and b are as `Unknowns.flat`."""
        right = self.at.from_flat(b)
        k = right.constants.size
        forward = solve_forward(self.lower, right.q[..., None])[..., 0]
        eliminated = np.einsum("tia,ti->ta", self.half, forward)
        offsets = right.offsets.copy()
        np.subtract.at(offsets, self.trial, eliminated[:, k:])
        reduced = np.concatenate([right.constants - eliminated[:, :k].sum(0), offsets.ravel()])
        shared = scipy.linalg.cho_solve((self.corner, True), reduced)
        constants, offsets = shared[:k], shared[k:].reshape(offsets.shape)
        both = np.hstack([np.broadcast_to(constants, (len(forward), k)), offsets[self.trial]])
        remaining = forward - np.einsum("tia,ta->ti", self.half, both)
        dtrsm = scipy.linalg.blas.dtrsm
        q = [dtrsm(1.0, L.T, v[:, None])[:, 0] for L, v in zip(self.lower, remaining, strict=True)]  # L⁻ᵀ
        return Unknowns(np.array(q), constants, offsets).flat


def factorise_person_system(
    system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool = False
) -> BorderedFactor:
    """Factor of half the Gauss–Newton Hessian; with `newton`, of the full one in frames with a positive definite block.

    damping: (frames,), the diagonal of a frame's block is multiplied by 1 + damping. Raises `LinAlgError` if the Schur
    complement is not positive definite; that of the Gauss–Newton Hessian always is.
    """
    frames, n = at.q.shape
    k, m = at.constants.size, at.offsets.shape[1]
    lower, half = np.empty((frames, n, n)), np.empty((frames, n, k + m))
    shared = np.zeros((len(at.offsets), system.visible_count + m, system.visible_count + m))
    for first in range(0, frames, MATRICES_PER_BATCH):
        batch = slice(first, first + MATRICES_PER_BATCH)
        indices = np.arange(frames)[batch]
        lower[batch], blocks = _factorised_blocks(system, at, indices, damping=damping, newton=newton)
        half[batch] = solve_forward(lower[batch], blocks.border)
        for trial, block in zip(system.trial[batch], blocks.shared, strict=True):
            shared[trial] += block
    reduced = _reduced_constants(system, at, half, shared)
    return BorderedFactor(lower, half, corner=np.linalg.cholesky(reduced), trial=system.trial, at=at)


def _reduced_constants(system: PersonSystem, at: Unknowns, half: np.ndarray, shared: np.ndarray) -> np.ndarray:
    """(k + offsets of all trials, the same): the Schur complement. half: see `BorderedFactor`. shared: sums of
    `_FrameBlocks.shared` over the frames of each trial."""
    n, k, m = at.q.shape[1], at.constants.size, at.offsets.shape[1]
    reduced = np.diag(np.concatenate([np.zeros(k), system.offset_precision.ravel()]))
    reduced[:k, :k] = system.constant_precision
    for posture in system.postures:
        reduced[:k, :k] += posture.frame_weight.sum() * posture.information[n:, n:]
    ends = np.searchsorted(system.trial, np.arange(len(at.offsets) + 1))  # trials follow one another
    for i in range(len(at.offsets)):
        offsets = np.arange(k + i * m, k + (i + 1) * m)
        visible, all_of_trial = np.r_[0 : system.visible_count, offsets], np.r_[0:k, offsets]
        reduced[np.ix_(visible, visible)] += shared[i]
        rows = half[ends[i] : ends[i + 1]].reshape(-1, k + m)
        reduced[np.ix_(all_of_trial, all_of_trial)] -= rows.T @ rows
    return reduced


class _FrameBlocks(NamedTuple):
    """Half the Hessian of some frames. own: (frames, n, n), of the coordinates. border: (frames, n, k + m), between
    them and the constants and offsets of the frame's trial. shared: (frames, visible + m, visible + m), the markers'
    part for visible constants and offsets."""

    own: np.ndarray
    border: np.ndarray
    shared: np.ndarray


def _factorised_blocks(
    system: PersonSystem, at: Unknowns, frames: np.ndarray, damping: np.ndarray, newton: bool
) -> tuple[np.ndarray, _FrameBlocks]:
    """(frames, n, n) Cholesky factors of `_FrameBlocks.own`, and the blocks; Newton's where positive definite."""
    blocks = _frame_blocks(system, at, frames, damping=damping, newton=newton)
    try:
        return np.linalg.cholesky(blocks.own), blocks
    except np.linalg.LinAlgError:
        if not newton:
            raise
    if len(frames) == 1:
        return _factorised_blocks(system, at, frames, damping=damping, newton=False)
    each = [_factorised_blocks(system, at, frames[[i]], damping=damping, newton=True) for i in range(len(frames))]
    lower, parts = zip(*each, strict=True)
    return np.concatenate(lower), _FrameBlocks(*map(np.concatenate, zip(*parts, strict=True)))


def _frame_blocks(
    system: PersonSystem, at: Unknowns, frames: np.ndarray, damping: np.ndarray, newton: bool
) -> _FrameBlocks:
    n, k, m = at.q.shape[1], at.constants.size, at.offsets.shape[1]
    first_offset = n + system.visible_count
    information = system.markers.of_window(frames).information(system.columns(at)[frames], newton)
    own, border = information[:, :n, :n], np.zeros((len(frames), n, k + m))
    border[:, :, : system.visible_count] = information[:, :n, n:first_offset]
    border[:, :, k:] = information[:, :n, first_offset:]
    for posture in system.postures:
        weight = posture.frame_weight[frames, None, None]
        own += weight * posture.information[:n, :n]
        border[:, :, :k] += weight * posture.information[:n, n:]
    diagonal = np.arange(n)
    own[:, diagonal, diagonal] += system.limits.curvature(at.q[frames]) + UNSEEN_FRAME_PRECISION
    own[:, diagonal, diagonal] *= 1 + damping[frames, None]
    return _FrameBlocks(own, border, information[:, n:, n:])


def solve_forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L⁻¹ B of each frame. lower: (frames, n, n). right: (frames, n, k). NumPy would factorise the triangular L."""
    solution = np.array(right, order="C")
    for L, B in zip(lower, solution, strict=True):
        scipy.linalg.blas.dtrsm(1.0, L.T, B.T, side=1, overwrite_b=True)
    return solution


MAX_PERSON_STEPS = 200  # 7 to 50 are taken, up to 120 with many outliers
MAX_REMAINING_GAIN = 1e-9  # squared standard deviations: smaller decreases of the cost change no result
NEAR_MINIMUM_DECREASE_SHARE = 0.01  # of the cost: with a smaller predicted decrease, the minimum is near
DAMPING_LIMITS = (1e-9, 1e3)  # smallest, largest
STEP_SHARES = (1.0, 0.5, 0.25, 0.1, 0.03, 0.01, 0.001, 0.0)  # shares of a step that are tried in turn


class PersonMinimum(NamedTuple):
    """unknowns: where the steps ended. unconverged_cost: predicted decrease of the cost by the last step, squared
    standard deviations; above the tolerance if the steps did not suffice. Its root bounds the distance of any result
    from the minimum, in the result's standard deviations.
    """

    unknowns: Unknowns
    unconverged_cost: float


def find_person_minimum(system: PersonSystem, at: Unknowns) -> PersonMinimum:
    """The minimum near `at`: steps end at a predicted decrease below `MAX_REMAINING_GAIN`.

    Steps are Gauss–Newton's far away. Near the minimum they are Newton's in frames with a positive definite block, and
    a factor is kept while steps decrease the cost as predicted (`ChordStep`).
    """
    cost, shared_cost = system.cost(at)
    slope = system.gradient(at)
    damping = np.full(len(at.q), DAMPING_LIMITS[0])
    chord, near, predicted = None, False, np.inf
    for _ in range(MAX_PERSON_STEPS):
        if chord is None:
            chord = _person_chord(system, at, damping, near)
        step = at.from_flat(-chord.solve(slope.flat))
        predicted_before, predicted = predicted, -float(slope.flat @ step.flat)
        if not chord.fresh and predicted > CHORD_DECREASE_RATIO * predicted_before:
            chord = None
            continue
        total = cost.sum() + shared_cost
        if predicted < MAX_REMAINING_GAIN:  # rounding of the costs hides the gain of the very last step
            return PersonMinimum(at.from_flat(at.flat + step.flat), predicted)
        shares, moved, new, new_shared = _step_by_frame(system, at, step, total=total, predicted=predicted)
        gain = total - new.sum() - new_shared
        damping = np.where(shares == 1.0, damping / 10, np.where(shares < 0.5, damping * 10, damping)).clip(
            *DAMPING_LIMITS
        )
        if gain > 0.0:
            near = predicted < NEAR_MINIMUM_DECREASE_SHARE * cost.sum()
            new_slope = system.gradient(moved)
            chord.update_from_step(moved.flat - at.flat, new_slope.flat - slope.flat)
            at, cost, shared_cost, slope = moved, new, new_shared, new_slope
        if not near or gain < GOOD_GAIN_RATIO * predicted:
            chord = None
    return PersonMinimum(at, predicted)


def _person_chord(system: PersonSystem, at: Unknowns, damping: np.ndarray, newton: bool) -> ChordStep:
    try:
        return ChordStep(factorise_person_system(system, at, damping, newton).solve)
    except np.linalg.LinAlgError:
        return ChordStep(factorise_person_system(system, at, damping).solve)


def _step_by_frame(
    system: PersonSystem, at: Unknowns, step: Unknowns, total: float, predicted: float
) -> tuple[np.ndarray, Unknowns, np.ndarray, float]:
    """(frames,) share of the step that each frame takes; the unknowns after it, and both parts of their cost.

    Given the constants, frames are independent: each takes its best share, so that no frame shortens the step of the
    others. If `total`, the cost at `at`, does not decrease, constants and offsets take a smaller share too.
    """
    step_q = step.q * np.minimum(1.0, MAX_STEP / np.maximum(np.abs(step.q).max(1, keepdims=True), 1e-300))
    for shared_share in STEP_SHARES[:-1]:
        constants, offsets = at.constants + shared_share * step.constants, at.offsets + shared_share * step.offsets
        shares, best = np.zeros(len(step_q)), np.full(len(step_q), np.inf)
        for share in STEP_SHARES:
            new, new_shared = system.cost(Unknowns(at.q + share * shared_share * step_q, constants, offsets))
            shares, best = np.where(new < best, share * shared_share, shares), np.minimum(new, best)
            if total - best.sum() - new_shared > GOOD_GAIN_RATIO * predicted:
                break
        if best.sum() + new_shared < total:
            break
    return shares, Unknowns(at.q + shares[:, None] * step_q, constants, offsets), best, new_shared
