"""One body for all trials of a person: what stays the same in all of them, estimated together with every posture.

What stays are variations of the body (`simspine.body.anatomy`), which slide joints, the person's own standing curve,
which moves nothing by itself but is what the levels' postures scatter around, and in each trial what neighbouring
markers are off by together. The frames, some of each trial, far apart, have nothing else in common; so the system is a
block for each of them with a border (bundle adjustment's: Triggs et al. 2000), and the border's Schur complement is the
marginal precision of what stays. The estimate is the maximum of the posterior of all unknowns, as in AddBiomechanics
(Werling et al. 2023); covariances are the marginal ones about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg.blas import dtrsm
from threadpoolctl import threadpool_limits

from simspine.body.anatomy import Moves, with_variations
from simspine.body.kernels import all_poses, expand, markers_and_jacobian
from simspine.body.model import Body
from simspine.body.tree import Tree
from simspine.ik.frame_engine import first_pose, observations
from simspine.ik.minimise import MAX_STEP
from simspine.ik.shared_errors import groups_of, with_offsets
from simspine.ik.terms.limits import LimitTerm
from simspine.ik.terms.markers import MarkerTerm
from simspine.ik.terms.prior import of_one_coordinate
from simspine.ik.trajectory import starting_path
from simspine.ik.trajectory_engine import HOLD, STILL, wide_priors
from simspine.ik.uncertainty import marker_covariance
from simspine.priors.assumptions import MarkerErrors, Prior
from simspine.types import Markers

UNSEEN = 1e-6  # rad⁻², m⁻²: the path of a person in a frame that nobody saw is anything
WAYS = 20  # in which a body may be wrong: the largest ones
STEPS = 40
# Of the cost, some thousands. A step promises more than it gains where markers' loss and limits bend. Against 1e-7 for
# both, in three fits, variations moved by less than 0.1 of their deviations, one by 0.6, at a sixth of the time.
TOLERANCE, NEAR = 1e-5, 1e-3


@dataclass(frozen=True, eq=False)
class PersonProblem:
    """What is fitted. body: as sized. trials: some frames of each, y_up, with the same markers. weights: (frames,
    markers) of each. moves: of the variations. placed: markers whose places on the body are unknown. names: of what
    stays over all trials: variations, three for each of `placed`, and what moves nothing. lasting: priors on it.
    posture: priors of each frame, on coordinates and `names`. seconds: how long each trial is. followed: {marker of the
    body of which is asked how unsure its place in space is for all that stays: () or three of `names`, forward, up,
    right, that are taken off from it}.
    """

    body: Body
    trials: Sequence[Markers]
    weights: Sequence[np.ndarray]
    moves: Sequence[Moves]
    placed: tuple[str, ...]
    names: tuple[str, ...]
    lasting: Prior
    posture: Prior
    errors: MarkerErrors
    seconds: Sequence[float]
    followed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def independent(self) -> np.ndarray:
        """(trials,) how many of a trial's errors are independent of one another."""
        return 1 + np.array(self.seconds) / max(self.errors.correlation_time, 1e-9)


@dataclass(frozen=True, eq=False)
class Unknowns:
    """q: (frames, coordinates) of all trials. stays: (k,). offsets: (trials, 3 × shared errors) m."""

    q: np.ndarray
    stays: np.ndarray
    offsets: np.ndarray

    def moved(self, step: "Unknowns") -> "Unknowns":
        return Unknowns(self.q + step.q, self.stays + step.stays, self.offsets + step.offsets)


@dataclass(frozen=True, eq=False)
class PersonFit:
    """found: the maximum. covariance: (k, k) of what stays; assumed: (k, k), precision of its prior alone. residual,
    spread: (frames, markers, 3) m and m², of the markers and what the fit itself is unsure of; residuals are NaN where
    a marker is missing. offset_variance: like `found.offsets`, m². carried: (coordinates, r), by how much a posture
    changes, on average, with each of r independent ways in which body and places may still be wrong, one sd each.
    unsure: (followed, 3, 3) m², covariance of where the followed markers are for the same reason, postures answering to
    it; along the axes of the bodies that carry them, on average.
    """

    found: Unknowns
    covariance: np.ndarray
    assumed: np.ndarray
    residual: np.ndarray
    spread: np.ndarray
    offset_variance: np.ndarray
    carried: np.ndarray
    unsure: np.ndarray


@dataclass(frozen=True, eq=False)
class _Quadratic:
    """Priors that tie nothing but one frame to what stays: Σ weight (Q q + C s − mean)², weight (frames, priors)."""

    Q: np.ndarray
    C: np.ndarray
    mean: np.ndarray
    weight: np.ndarray

    @cached_property
    def information(self) -> np.ndarray:
        """(frames, coordinates, coordinates + k): Σ weight Qᵀ (Q C). The weights of a trial's frames are the same."""
        weights, which = np.unique(self.weight, axis=0, return_inverse=True)
        both = np.hstack([self.Q, self.C])
        return np.array([(self.Q.T * weight) @ both for weight in weights])[which.ravel()]

    def departure(self, at: Unknowns) -> np.ndarray:
        return at.q @ self.Q.T + at.stays @ self.C.T - self.mean


@dataclass(frozen=True, eq=False)
class _PersonSystem:
    """The problem as arrays. trial: (frames,) of each frame. stay: (k, k), offset: (3 × shared errors,) precisions.
    moved: how many of what stays the markers see. sharing: (frames,) how many frames share one error. followed: the
    tree with the markers that are followed in place of those seen. taken: (followed, 3) index in what stays, −1 for
    none.
    """

    markers: MarkerTerm
    limits: LimitTerm
    posture: _Quadratic
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
        prior = (self.posture.weight * self.posture.departure(at) ** 2).sum(1)
        held = at.stays @ self.stay @ at.stays + (self.offset * at.offsets**2).sum()
        return self.markers.cost(self.columns(at)) + self.limits.cost(at.q) + prior, float(held)


def fit_person(problem: PersonProblem, start: Unknowns | None = None) -> PersonFit:
    """start: an earlier fit's, to begin from."""
    with threadpool_limits(1, "blas"):  # the blocks are small
        system = _system(problem)
        at = _start(problem, system) if start is None else start
        at = _minimise(system, at)
        return _posterior(system, at)


def _system(problem: PersonProblem) -> _PersonSystem:
    body, errors, first = problem.body, problem.errors, problem.trials[0]
    parts = [observations(body, trial, w, 3) for trial, w in zip(problem.trials, problem.weights, strict=True)]
    tree, moved = parts[0][0], len(problem.moves) + 3 * len(problem.placed)
    names = [body.coordinates.names[i] for i in body.tree.free]
    limits = LimitTerm(tree.lower, tree.upper)
    tree = with_offsets(with_variations(tree, problem.moves), [{first.index(name): 1.0} for name in problem.placed])
    tree = with_offsets(tree, groups_of(errors.shared, first.names))
    y = np.concatenate([y for _, y, _, _ in parts])
    w = np.concatenate([w for _, _, w, _ in parts]) / errors.sd**2
    counts = [trial.frames for trial in problem.trials]
    trial = np.repeat(np.arange(len(counts)), counts)
    sharing = np.maximum(1.0, np.array(counts) / problem.independent)
    priors = Prior([*problem.posture.terms, *wide_priors(body, names)])
    S, mean, precision, _ = priors.arrays([*names, *problem.names], 1.0)
    # Each frame's posture is held by the whole prior: without smoothness noise would bend the spine, and lengthen it.
    # Errors that are correlated count for less, so priors are repeated, as in the trajectory engine.
    Q, C = S[:, : len(names)], S[:, len(names) :]
    L, _, lasting, _ = problem.lasting.arrays(problem.names, 1.0)
    return _PersonSystem(
        MarkerTerm(tree, y, w, None, errors.loss, errors.linear_from(w)),
        limits,
        _Quadratic(Q, C, mean, precision * sharing[trial][:, None]),
        trial,
        (L.T * lasting) @ L * float(np.average(sharing, weights=counts)),
        np.array([1 / sd**2 for error in errors.shared for sd in error.by_axis]) * sharing[:, None],
        moved,
        sharing[trial],
        _following(tree, body, first.names, tuple(problem.followed)),
        np.array([[problem.names.index(n) for n in own] or [-1] * 3 for own in problem.followed.values()]).reshape(
            -1, 3
        ),
    )


def _following(tree: Tree, body: Body, seen: Sequence[str], followed: Sequence[str]) -> Tree:
    """Markers that are seen are where they were found to lie; others where the body has them."""
    known = {name: (tree.marker_body[i], tree.marker_offset[i]) for i, name in enumerate(seen)}
    at = {name: body.marker_index(name) for name in followed}
    places = [known.get(n, (body.tree.marker_body[i], body.tree.marker_offset[i])) for n, i in at.items()]
    return tree._replace(
        marker_body=np.array([carrier for carrier, _ in places], tree.marker_body.dtype),
        marker_offset=np.array([offset for _, offset in places]).reshape(-1, 3),
    )


def _start(problem: PersonProblem, system: _PersonSystem) -> Unknowns:
    """A rough path of each trial, by itself."""
    Q, own = system.posture.Q, system.posture.Q.shape[1]
    single = of_one_coordinate(Q)
    held = np.full(system.markers.tree.free.size, 1.0 / STILL**2)
    held[:own] = (Q[single] ** 2).T @ system.posture.weight[0, single]
    paths = []
    for k, (trial, weights) in enumerate(zip(problem.trials, problem.weights, strict=True)):
        pose = np.append(first_pose(problem.body, trial, weights), np.zeros(held.size - own))
        first, end = np.searchsorted(system.trial, [k, k + 1])
        part = system.markers.window(slice(first, end))
        paths.append(starting_path(part, pose, 1.0 / HOLD**2, 1, held, np.zeros(held.size))[:, :own])
    shape = (len(problem.trials), held.size - own - system.moved)
    return Unknowns(np.concatenate(paths), np.zeros(len(problem.names)), np.zeros(shape))


def _minimise(system: _PersonSystem, at: Unknowns) -> Unknowns:
    """Levenberg–Marquardt; each frame has a damping of its own, so that awkward frames do not hold up the rest."""
    cost, held = system.cost(at)
    damping = np.full(len(at.q), 1e-6)
    for _ in range(STEPS):
        step, promise = _step(system, at, damping)
        trial = at.moved(step)
        new, new_held = system.cost(trial)
        total = cost.sum() + held
        gain = total - new.sum() - new_held
        rose = (new > cost * (1 + 1e-3)) & (gain < 0.5 * promise)
        damping = np.clip(np.where(rose | (gain <= 0.0), 10 * damping, damping / 10), 1e-9, 1e3)
        if gain > 0:
            at, cost, held = trial, new, new_held
        if gain < TOLERANCE * total and promise < NEAR * total:
            break
    return at


@dataclass(frozen=True, eq=False)
class _BorderedHessian:
    """Half the Hessian: lower, Cholesky factors (frames, n, n) of the frames' blocks; border (frames, n, k + m), to
    what stays and to the offsets of the frame's trial; corner: of what stays and of all offsets; half the gradient.
    """

    lower: np.ndarray
    border: np.ndarray
    corner: np.ndarray
    gradient: Unknowns


def _bordered(system: _PersonSystem, at: Unknowns, damping: np.ndarray) -> _BorderedHessian:
    own, k, m = at.q.shape[1], at.stays.size, at.offsets.shape[1]
    z, prior = system.columns(at), system.posture
    slope = np.zeros(z.shape)
    system.markers.cost(z, slope)
    H = system.markers.information(z)
    pull = prior.weight * prior.departure(at)
    q_slope = slope[:, :own] + pull @ prior.Q
    system.limits.cost(at.q, q_slope)
    held = prior.information
    A = H[:, :own, :own] + held[:, :, :own]
    excess = system.limits._excess(at.q) != 0.0
    diagonal = np.arange(own)
    A[:, diagonal, diagonal] += excess / system.limits.sd**2 + UNSEEN
    A[:, diagonal, diagonal] *= 1 + damping[:, None]
    border = np.zeros((len(z), own, k + m))
    border[:, :, : system.moved] = H[:, :own, own : own + system.moved]
    border[:, :, :k] += held[:, :, own:]
    border[:, :, k:] = H[:, :own, own + system.moved :]
    corner = np.zeros((k + at.offsets.size,) * 2)
    corner[:k, :k] = system.stay + (prior.C.T * prior.weight.sum(0)) @ prior.C
    seen = H[:, own:, own:]
    corner[: system.moved, : system.moved] += seen[:, : system.moved, : system.moved].sum(0)
    offsets = np.zeros(at.offsets.shape)
    for i in range(len(at.offsets)):
        frames, place = system.trial == i, slice(k + i * m, k + (i + 1) * m)
        corner[: system.moved, place] += seen[frames, : system.moved, system.moved :].sum(0)
        corner[place, : system.moved] = corner[: system.moved, place].T
        corner[place, place] += seen[frames][:, system.moved :, system.moved :].sum(0) + np.diag(system.offset[i])
        offsets[i] = slope[frames, own + system.moved :].sum(0) + system.offset[i] * at.offsets[i]
    stays = system.stay @ at.stays + (pull @ prior.C).sum(0)
    stays[: system.moved] += slope[:, own : own + system.moved].sum(0)
    return _BorderedHessian(np.linalg.cholesky(A), border, corner, Unknowns(q_slope, stays, offsets))


def _forward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L⁻¹ B of each frame: lower (frames, n, n), right (frames, n, k). NumPy would factorise L once more."""
    return np.array([dtrsm(1.0, L.T, B.T, side=1).T for L, B in zip(lower, right, strict=True)])


def _backward(lower: np.ndarray, right: np.ndarray) -> np.ndarray:
    """L⁻ᵀ b of each frame: lower (frames, n, n), right (frames, n)."""
    return np.array([dtrsm(1.0, L.T, b[:, None])[:, 0] for L, b in zip(lower, right, strict=True)])


def _schur(system: _PersonSystem, at: Unknowns, parts: _BorderedHessian) -> tuple[np.ndarray, np.ndarray]:
    """The corner without the frames' unknowns; L⁻¹ border (frames, n, k + m)."""
    k, m = at.stays.size, at.offsets.shape[1]
    half = _forward(parts.lower, parts.border)
    reduced = parts.corner.copy()
    for i in range(len(at.offsets)):
        own = half[system.trial == i]
        inner = np.tensordot(own, own, axes=((0, 1), (0, 1)))
        at_i = np.r_[0:k, k + i * m : k + (i + 1) * m]
        reduced[np.ix_(at_i, at_i)] -= inner
    return reduced, half


def _step(system: _PersonSystem, at: Unknowns, damping: np.ndarray) -> tuple[Unknowns, float]:
    """A step, and twice by how much it should lower the cost."""
    k, m = at.stays.size, at.offsets.shape[1]
    parts = _bordered(system, at, damping)
    reduced, half = _schur(system, at, parts)
    g = parts.gradient
    forward = _forward(parts.lower, g.q[..., None])[..., 0]
    right = np.concatenate([g.stays, g.offsets.ravel()])
    carried = np.einsum("tia,ti->ta", half, forward)
    right[:k] -= carried[:, :k].sum(0)
    for i in range(len(at.offsets)):
        right[k + i * m : k + (i + 1) * m] -= carried[system.trial == i, k:].sum(0)
    shared = -np.linalg.solve(reduced, right)
    stays, offsets = shared[:k], shared[k:].reshape(at.offsets.shape)
    both = np.hstack([np.broadcast_to(stays, (len(at.q), k)), offsets[system.trial]])
    inner = forward + np.einsum("tia,ta->ti", half, both)
    q = -_backward(parts.lower, inner)
    promise = -float((g.q * q).sum() + g.stays @ stays + (g.offsets * offsets).sum())
    largest = np.abs(q).max(1, keepdims=True)
    q = q * np.minimum(1.0, MAX_STEP / np.maximum(largest, 1e-300))
    return Unknowns(q, stays, offsets), promise


def _posterior(system: _PersonSystem, at: Unknowns) -> PersonFit:
    k, m = at.stays.size, at.offsets.shape[1]
    parts = _bordered(system, at, np.zeros(len(at.q)))
    reduced, half = _schur(system, at, parts)
    covariance = np.linalg.inv(reduced)
    mean_sharing = float(system.sharing.mean())
    z, n = system.columns(at), at.q.shape[1]
    blocks = np.zeros((len(z), z.shape[1], z.shape[1]))
    asked = np.union1d(np.arange(system.moved), system.taken[system.taken >= 0]).astype(int)
    root = np.linalg.cholesky(covariance[np.ix_(asked, asked)])
    along = np.zeros((len(z), z.shape[1], len(asked)))
    inverse = _forward(parts.lower, np.broadcast_to(np.eye(n), parts.lower.shape))
    back = inverse.transpose(0, 2, 1) @ half  # A⁻¹ B
    for i in range(len(at.offsets)):
        own = np.r_[0:k, k + i * m : k + (i + 1) * m]
        outer = covariance[np.ix_(own, own)]
        seen = np.r_[0 : system.moved, k : k + m]
        for t in np.flatnonzero(system.trial == i):
            cross = -back[t] @ outer
            blocks[t, :n, :n] = inverse[t].T @ inverse[t] + back[t] @ outer @ back[t].T
            blocks[t, :n, n:] = cross[:, seen]
            blocks[t, n:, :n] = cross[:, seen].T
            blocks[t, n:, n:] = outer[np.ix_(seen, seen)]
            along[t] = np.vstack([cross[:, asked], outer[np.ix_(seen, asked)]])
    tree = system.markers.tree
    places = all_poses(tree, expand(tree, z)[0])[2]
    # Of all unknowns of a frame, what goes along with each independent way in which what stays may be wrong.
    answer = np.linalg.solve(root, along.transpose(0, 2, 1)).transpose(0, 2, 1)
    taken = np.where(system.taken[:, :, None] >= 0, root[np.searchsorted(asked, system.taken)], 0.0)
    return PersonFit(
        found=at,
        covariance=mean_sharing * covariance[:k, :k],
        assumed=system.stay / mean_sharing,
        residual=np.where(system.markers.w[:, :, None] > 0, places - system.markers.y, np.nan),
        spread=np.einsum("tmii->tmi", marker_covariance(tree, z, blocks)),
        carried=np.sqrt(mean_sharing) * _carried(answer[:, :n]),
        unsure=mean_sharing * _unsure(system.followed, z, answer, taken),
        offset_variance=(np.diag(covariance)[k:].reshape(at.offsets.shape)) * mean_sharing,
    )


def _carried(answer: np.ndarray) -> np.ndarray:
    """(n, r): the largest ways, of how postures answer to each way in which what stays is wrong, (frames, n, k)."""
    left, size, _ = np.linalg.svd(answer.mean(0), full_matrices=False)
    return left[:, :WAYS] * size[:WAYS]


def _unsure(tree: Tree, z: np.ndarray, answer: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """(markers, 3, 3) m², along the axes of the bodies that carry them, mean over the frames of z (frames, free).

    taken: (markers, 3, r), what is taken off from each, by the same ways as `answer` (frames, free, r).
    """
    turned = all_poses(tree, expand(tree, z)[0])[0][:, tree.marker_body]
    found = np.zeros((len(tree.marker_body), 3, 3))
    for pose, axes, ways in zip(z, turned, answer, strict=True):
        moves = axes.transpose(0, 2, 1) @ (markers_and_jacobian(tree, pose)[1].transpose(0, 2, 1) @ ways) - taken
        found += moves @ moves.transpose(0, 2, 1)
    return found / len(z)
