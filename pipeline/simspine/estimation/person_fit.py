"""One body for all trials of a person: what stays the same in all of them, estimated together with every posture.

What stays are variations of the body (`simspine.anatomy.person_variation`), which slide joints, the person's own
standing curve,
which moves nothing by itself but is what the levels' postures scatter around, and in each trial what neighbouring
markers are off by together. The frames, some of each trial, far apart, have nothing else in common
(`simspine.estimation.person_system`). The estimate is the maximum of the posterior of all unknowns, as in
AddBiomechanics
(Werling et al. 2023); covariances are the marginal ones about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy.linalg import cho_solve
from threadpoolctl import threadpool_limits

from simspine.anatomy.body import Body
from simspine.anatomy.person_variation import JointMoves, add_variations
from simspine.anatomy.priors import MarkerErrors, Prior
from simspine.anatomy.tree import Tree, all_coordinates, all_poses, markers_and_jacobian
from simspine.core.errors import InputError
from simspine.core.types import Markers
from simspine.estimation.frame_engine import first_pose, usable_observations
from simspine.estimation.person_system import (
    PersonSystem,
    QuadraticPrior,
    Unknowns,
    factorise_person_system,
    find_person_minimum,
    solve_forward,
)
from simspine.estimation.terms import LimitTerm, MarkerTerm, single_coordinate_precision_and_target
from simspine.estimation.trajectory import STARTING_POINTS, starting_path
from simspine.estimation.trajectory_engine import ROUGH_PATH_POSE_SD, START_OFFSET_SD_M, wide_priors
from simspine.estimation.uncertainty import marker_covariance, tree_with_marker_offsets, tree_with_shared_errors

ROUGH_PATHS = 3  # rough ones, to begin from
ROUGH_PATH_TOLERANCE = 1.0  # squared standard deviations: enough to tell which minimum a path leads to
MIN_STANDING_FRAMES = 5  # frames in which a person is seen to stand, that tell how the pelvis is held
ARM_COORDINATE_PREFIXES = ("arm_", "elbow_", "pro_sup_", "wrist_")  # how the names of their angles begin
BODY_ERROR_MODES = 20  # in which a body may be wrong: the largest ones


@dataclass(frozen=True, eq=False)
class PersonProblem:
    """What is fitted. body: as sized. trials: some frames of each, y_up, with the same markers. weights: (frames,
    markers) of each. moves: of the variations. placed: markers whose places on the body are unknown. names: of what
    stays over all trials: variations, three for each of `placed`, and what moves nothing. lasting: priors on it.
    posture: priors of each frame, on coordinates and `names`; upright: of those in which the person stands, standing:
    (frames,) bool of each trial, which these are. errors: of the markers; those that are shared are a
    trial's own, about zero. seconds: how long each trial is. followed: {marker of the body of which is asked how unsure
    its place in space is for all that stays: () or three of `names`, forward, up, right, that are taken off from it}.
    """

    body: Body
    trials: Sequence[Markers]
    weights: Sequence[np.ndarray]
    moves: Sequence[JointMoves]
    placed: tuple[str, ...]
    names: tuple[str, ...]
    lasting: Prior
    posture: Prior
    errors: MarkerErrors
    seconds: Sequence[float]
    followed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    upright: Prior = field(default_factory=Prior)
    standing: Sequence[np.ndarray] = ()

    @property
    def independent(self) -> np.ndarray:
        """(trials,) how many of a trial's errors are independent of one another."""
        return 1 + np.array(self.seconds) / max(self.errors.correlation_time, 1e-9)


@dataclass(frozen=True, eq=False)
class PersonFit:
    """found: the maximum. left: see `Lowest`. covariance: (k, k) of what stays; assumed: (k, k), precision of its prior
    alone. residual, spread: (frames, markers, 3) m and m², of the markers and what the fit itself is unsure of;
    residuals are NaN where a marker is missing. offset_variance: like `found.offsets`, m². carried: (coordinates, r),
    by how much a posture changes, on average, with each of r independent ways in which body and places may still be
    wrong, one sd each. unsure: (followed, 3, 3) m², covariance of where the followed markers are for the same reason,
    postures answering to it; along the axes of the bodies that carry them, on average.
    """

    found: Unknowns
    left: float
    covariance: np.ndarray
    assumed: np.ndarray
    residual: np.ndarray
    spread: np.ndarray
    offset_variance: np.ndarray
    carried: np.ndarray
    unsure: np.ndarray


def solve_person(problem: PersonProblem, start: Unknowns | None = None) -> PersonFit:
    """Raises `InputError` where a trial shows no posture.

    start: an earlier fit's, to begin from. What no prior of the posture is about is held about where that put it, not
    about its default: the pull of raised arms, little in one frame, in all of a person's took 5° from the kyphosis of
    every posture, that of bent hips the tilt from every pelvis. (The proximal point algorithm, Rockafellar 1976: after
    some fits nothing is left of it.) Legs of a person who is not seen to stand stay about their defaults: nothing else
    says how the pelvis is turned on them.
    """
    with threadpool_limits(1, "blas"):  # the blocks are small
        system = _person_system(problem, start)
        at = _lowest_start(problem, system) if start is None else start
        return _person_posterior(system, *find_person_minimum(system, at))


def _person_system(problem: PersonProblem, start: Unknowns | None = None) -> PersonSystem:
    body, errors, first = problem.body, problem.errors, problem.trials[0]
    parts = [usable_observations(body, trial, w, 3) for trial, w in zip(problem.trials, problem.weights, strict=True)]
    for k, (_, _, _, usable) in enumerate(parts):
        if not usable.any():
            raise InputError(f"trial {k + 1} of {len(parts)} has no frame with 3 markers or more; leave it out.")
    tree, moved = parts[0][0], len(problem.moves) + 3 * len(problem.placed)
    names = body.free_names
    limits = LimitTerm(tree.lower, tree.upper)
    tree = tree_with_marker_offsets(
        add_variations(tree, problem.moves), [{first.index(name): 1.0} for name in problem.placed]
    )
    tree = tree_with_shared_errors(tree, errors.shared_errors, first.names)
    y = np.concatenate([y for _, y, _, _ in parts])
    w = np.concatenate([w for _, _, w, _ in parts]) / errors.sd**2
    counts = [trial.frames for trial in problem.trials]
    trial = np.repeat(np.arange(len(counts)), counts)
    # Frames that share an error count as one. Each frame's posture is held by the whole prior: without smoothness noise
    # would bend the spine, and lengthen it.
    sharing = np.maximum(1.0, np.array(counts) / problem.independent)[trial]
    # What a prior is about needs no other: about the model's neutral pose it would pull, over all frames, at the curve.
    about = {next(iter(prior.combination)) for prior in problem.posture.terms}
    wide = [prior for prior in wide_priors(body, names) if not prior.combination.keys() & about]
    everywhere = Prior([*problem.posture.terms, *wide])
    posture = _quadratic_prior(everywhere, names, problem.names, np.ones(len(trial), bool))
    if start is not None:
        told = sum(int(stands.sum()) for stands in problem.standing) >= MIN_STANDING_FRAMES
        own = len(problem.posture.terms)
        led = [
            own + i for i, p in enumerate(wide) if told or next(iter(p.combination)).startswith(ARM_COORDINATE_PREFIXES)
        ]
        posture.mean[:, led] = start.q @ posture.Q[led].T
    postures: tuple[QuadraticPrior, ...] = (posture,)
    if problem.upright.terms:
        postures += (_quadratic_prior(problem.upright, names, problem.names, np.concatenate(problem.standing)),)
    L, _, lasting, _ = problem.lasting.arrays(problem.names, 1.0)
    return PersonSystem(
        markers=MarkerTerm(
            tree=tree, y=y, w=w / sharing[:, None], precision=None, loss=errors.loss, scale=errors.huber_threshold(w)
        ),
        limits=limits,
        postures=postures,
        trial=trial,
        stay=(L.T * lasting) @ L,
        offset=np.tile([1 / sd**2 for error in errors.shared_errors for sd in error.sd_by_axis], (len(counts), 1)),
        moved=moved,
        sharing=sharing,
        followed=_tree_with_found_places(tree, body, first.names, tuple(problem.followed)),
        taken=np.array(
            [[problem.names.index(n) for n in own] or [-1] * 3 for own in problem.followed.values()]
        ).reshape(-1, 3),
    )


def _quadratic_prior(
    prior: Prior, coordinates: Sequence[str], stays: Sequence[str], holds: np.ndarray
) -> QuadraticPrior:
    S, mean, precision, _ = prior.arrays([*coordinates, *stays], 1.0)
    count = len(coordinates)
    return QuadraticPrior(
        Q=S[:, :count], C=S[:, count:], mean=np.tile(mean, (len(holds), 1)), weight=precision, holds=holds
    )


def _tree_with_found_places(tree: Tree, body: Body, seen: Sequence[str], followed: Sequence[str]) -> Tree:
    """Markers that are seen are where they were found to lie; others where the body has them."""
    known = {name: (tree.marker_body[i], tree.marker_offset[i]) for i, name in enumerate(seen)}
    at = {name: body.marker_index(name) for name in followed}
    places = [known.get(n, (body.tree.marker_body[i], body.tree.marker_offset[i])) for n, i in at.items()]
    return tree._replace(
        marker_body=np.array([carrier for carrier, _ in places], tree.marker_body.dtype),
        marker_offset=np.array([offset for _, offset in places]).reshape(-1, 3),
    )


def _lowest_start(problem: PersonProblem, system: PersonSystem) -> Unknowns:
    """Of each trial by itself, the lowest minimum of those beside several rough paths.

    A path may wind an arm up, from which no step of all trials leads back.
    """
    posture = system.postures[0]
    own = posture.Q.shape[1]
    held, drawn = (
        np.full(system.markers.tree.free.size, 1.0 / START_OFFSET_SD_M**2),
        np.zeros(system.markers.tree.free.size),
    )
    held[:own], drawn[:own] = single_coordinate_precision_and_target(posture.Q, posture.mean[0], posture.weight)
    found = []
    for k, (trial, weights) in enumerate(zip(problem.trials, problem.weights, strict=True)):
        pose = np.append(first_pose(problem.body, trial, weights), np.zeros(held.size - own))
        alone, ends = system.only(k), []
        for begin in STARTING_POINTS[:ROUGH_PATHS]:
            path = starting_path(
                alone.markers, pose, 1.0 / ROUGH_PATH_POSE_SD**2, stride=1, ridge=held, target=drawn, begin=begin
            )
            start = Unknowns(path[:, :own], np.zeros(len(problem.names)), np.zeros((1, held.size - own - system.moved)))
            ends.append(find_person_minimum(alone, start, ROUGH_PATH_TOLERANCE).at)
        found.append(min(ends, key=alone.total))
    return Unknowns(
        np.concatenate([end.q for end in found]),
        np.mean([end.stays for end in found], axis=0),
        np.concatenate([end.offsets for end in found]),
    )


def _person_posterior(system: PersonSystem, at: Unknowns, left: float) -> PersonFit:
    k, m = at.stays.size, at.offsets.shape[1]
    factor = factorise_person_system(system, at, np.zeros(len(at.q)))
    covariance = cho_solve((factor.corner, True), np.eye(len(factor.corner)))
    z, n = system.columns(at), at.q.shape[1]
    blocks = np.zeros((len(z), z.shape[1], z.shape[1]))
    asked = np.union1d(np.arange(system.moved), system.taken[system.taken >= 0]).astype(int)
    root = np.linalg.cholesky(covariance[np.ix_(asked, asked)])
    along = np.zeros((len(z), z.shape[1], len(asked)))
    inverse = solve_forward(factor.lower, np.broadcast_to(np.eye(n), factor.lower.shape))
    back = inverse.transpose(0, 2, 1) @ factor.half  # A⁻¹ B
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
    places = all_poses(tree, all_coordinates(tree, z)[0])[2]
    # Of all unknowns of a frame, what goes along with each independent way in which what stays may be wrong.
    answer = np.linalg.solve(root, along.transpose(0, 2, 1)).transpose(0, 2, 1)
    taken = np.where(system.taken[:, :, None] >= 0, root[np.searchsorted(asked, system.taken)], 0.0)
    return PersonFit(
        found=at,
        left=left,
        covariance=covariance[:k, :k],
        assumed=system.stay,
        residual=np.where(system.markers.w[:, :, None] > 0, places - system.markers.y, np.nan),
        # Of frames that share an error, each follows its own: of those residuals the fit is less unsure.
        spread=np.einsum("tmii->tmi", marker_covariance(tree, z, blocks)) / system.sharing[:, None, None],
        carried=_body_error_modes(answer[:, :n]),
        unsure=_marker_place_covariance(system.followed, z, answer, taken),
        offset_variance=np.diag(covariance)[k:].reshape(at.offsets.shape),
    )


def _body_error_modes(answer: np.ndarray) -> np.ndarray:
    """(n, r): the largest ways, of how postures answer to each way in which what stays is wrong, (frames, n, k)."""
    left, size, _ = np.linalg.svd(answer.mean(0), full_matrices=False)
    return left[:, :BODY_ERROR_MODES] * size[:BODY_ERROR_MODES]


def _marker_place_covariance(tree: Tree, z: np.ndarray, answer: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """(markers, 3, 3) m², along the axes of the bodies that carry them, mean over the frames of z (frames, free).

    taken: (markers, 3, r), what is taken off from each, by the same ways as `answer` (frames, free, r).
    """
    turned = all_poses(tree, all_coordinates(tree, z)[0])[0][:, tree.marker_body]
    found = np.zeros((len(tree.marker_body), 3, 3))
    for pose, axes, ways in zip(z, turned, answer, strict=True):
        moves = axes.transpose(0, 2, 1) @ (markers_and_jacobian(tree, pose)[1].transpose(0, 2, 1) @ ways) - taken
        found += moves @ moves.transpose(0, 2, 1)
    return found / len(z)
