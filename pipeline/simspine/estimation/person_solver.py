"""One body for all trials of a person: constants of the person, estimated together with every posture.

The constants are variations of the body (`simspine.anatomy.person_variation`), which slide joints, and the person's
standing curve, which moves nothing by itself but is the mean of the levels' postures. Each trial has the errors that
neighbouring markers share. The frames, some of each trial, far apart, have nothing else in common
(`simspine.estimation.person_system`). The estimate is the maximum of the posterior of all unknowns, as in
AddBiomechanics (Werling et al. 2023); covariances are the marginal ones about it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from simspine.anatomy.body import Body
from simspine.anatomy.person_variation import JointMoves, add_variations
from simspine.anatomy.priors import MarkerErrors, Prior
from simspine.anatomy.tree import Tree, all_coordinates, all_poses, markers_and_jacobian
from simspine.core.errors import InputError
from simspine.estimation.frame_engine import usable_observations
from simspine.estimation.observations import Observations
from simspine.estimation.person_system import (
    BorderedFactor,
    PersonSystem,
    QuadraticPrior,
    Unknowns,
    factorise_person_system,
    find_person_minimum,
    solve_forward,
)
from simspine.estimation.result import first_pose
from simspine.estimation.terms import LimitTerm, MarkerTerm, single_coordinate_precision_and_target
from simspine.estimation.trajectory import starting_path, tree_with_marker_offsets, tree_with_shared_errors
from simspine.estimation.trajectory_engine import START_OFFSET_SD_M, wide_priors
from simspine.estimation.uncertainty import marker_covariance

ROUGH_PATH_TOLERANCE = 1.0  # squared standard deviations: what is left to gain from each trial by itself
MIN_STANDING_FRAMES = 5  # frames in which a person is seen to stand, that tell how the pelvis is held
ARM_COORDINATE_PREFIXES = ("arm_", "elbow_", "pro_sup_", "wrist_")  # how the names of their angles begin
BODY_ERROR_MODES = 20  # the largest


@dataclass(frozen=True, eq=False)
class PersonProblem:
    """What is fitted.

    body: as sized. observations: of some frames of each trial, y_up, with the same markers and errors. names: of the
    constants: variations, three for each of `points_with_unknown_place`, and those that move nothing. person_prior: on
    the constants. posture_prior: of each frame, on coordinates and constants; standing_prior: of the `standing_frames`,
    (frames,) bool of each trial. followed_markers: {marker of the body whose place in space is asked for: () or three
    of `names`, forward, up, right, that are subtracted from it}. hidden_variance: {constant: m², beyond its prior's}:
    the estimate ignores it, what is unsure does not.
    """

    body: Body
    observations: Sequence[Observations]
    variations: Sequence[JointMoves]
    points_with_unknown_place: tuple[str, ...]
    names: tuple[str, ...]
    person_prior: Prior
    posture_prior: Prior
    durations_s: Sequence[float]
    followed_markers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    standing_prior: Prior = field(default_factory=Prior)
    standing_frames: Sequence[np.ndarray] = ()
    hidden_variance: Mapping[str, float] = field(default_factory=dict)

    @property
    def errors(self) -> MarkerErrors:
        """Of the markers; shared ones are a trial's own, about zero."""
        return self.observations[0].errors

    @property
    def precision(self) -> np.ndarray:
        """(frames, markers) m⁻², of all trials one after another; 0 where a marker is no measurement."""
        return np.concatenate([seen.precision for seen in self.observations])

    @property
    def independent(self) -> np.ndarray:
        """(trials,) how many of a trial's errors are independent of one another."""
        return 1 + np.array(self.durations_s) / max(self.errors.correlation_time, 1e-9)


@dataclass(frozen=True, eq=False)
class PersonFit:
    """solution: the maximum. unconverged_cost: see `PersonMinimum`. covariance: (k, k) of the constants; constant_sd:
    (k,) of them, hidden variances included. prior_precision: (k, k). residual, marker_variance: (frames, markers, 3) m
    and m², of the markers and of the fit itself; residuals are NaN where a marker is missing. offset_variance: like
    `solution.offsets`, m². body_error_modes: (coordinates, r), the mean change of a posture with each of r independent
    errors that body and places may still have, one standard deviation each. place_covariance: (followed, 3, 3) m², of
    the followed markers for the same reason, with the postures' response; along the axes of the bodies that carry them,
    mean of the frames.
    """

    solution: Unknowns
    unconverged_cost: float
    covariance: np.ndarray
    constant_sd: np.ndarray
    prior_precision: np.ndarray
    residual: np.ndarray
    marker_variance: np.ndarray
    offset_variance: np.ndarray
    body_error_modes: np.ndarray
    place_covariance: np.ndarray


def solve_person(problem: PersonProblem, start: Unknowns | None = None) -> PersonFit:
    """Raises `InputError` where a trial shows no posture.

    start: an earlier fit's solution. Coordinates without a prior of their own are held about their values there, not
    about their defaults: the pull of raised arms, little in one frame, would over all frames of a person take 5° from
    the kyphosis of every posture, and that of bent hips the tilt from every pelvis. (The proximal point algorithm,
    Rockafellar 1976: the pull vanishes over some fits.) Legs of a person who is not seen to stand stay about their
    defaults: nothing else says how the pelvis is turned on them.
    """
    system = _person_system(problem, start)
    at = _starting_point(problem, system) if start is None else start
    return _person_posterior(system, *find_person_minimum(system, at))


def _person_system(problem: PersonProblem, start: Unknowns | None = None) -> PersonSystem:
    errors, first = problem.errors, problem.observations[0].markers
    parts = [usable_observations(problem.body, seen.markers, seen.weights, 3) for seen in problem.observations]
    for k, (_, _, _, usable) in enumerate(parts):
        if not usable.any():
            raise InputError(f"trial {k + 1} of {len(parts)} has no frame with 3 markers or more; leave it out.")
    plain = parts[0][0]
    places = [{first.index(name): 1.0} for name in problem.points_with_unknown_place]
    tree = tree_with_marker_offsets(add_variations(plain, problem.variations), places)
    tree = tree_with_shared_errors(tree, errors.shared_errors, first.names)
    counts = np.array([seen.markers.frames for seen in problem.observations])
    trial = np.repeat(np.arange(len(counts)), counts)
    # Frames that share an error count as one, and so do their postures: a person who bends to one side throughout a
    # recording shows one posture, not one in each frame.
    sharing = np.maximum(1.0, counts / problem.independent)[trial]
    w = np.concatenate([w for _, _, w, _ in parts]) / errors.sd**2
    markers = MarkerTerm(
        tree=tree,
        y=np.concatenate([y for _, y, _, _ in parts]),
        w=w / sharing[:, None],
        loss=errors.loss,
        scale=errors.huber_threshold(w),
    )
    L, _, precision, _ = problem.person_prior.arrays(problem.names, 1.0)
    subtracted = [[problem.names.index(n) for n in own] or [-1] * 3 for own in problem.followed_markers.values()]
    assumed = {next(iter(p.combination)): p.sd for p in problem.person_prior.terms if len(p.combination) == 1}
    hidden = [(problem.names.index(n), v**0.5 / assumed[n] ** 2) for n, v in problem.hidden_variance.items()]
    return PersonSystem(
        markers=markers,
        limits=LimitTerm(plain.lower, plain.upper),
        postures=_posture_priors(problem, start, frame_weight=1 / sharing),
        trial=trial,
        constant_precision=(L.T * precision) @ L,
        offset_precision=np.tile(
            [1 / sd**2 for error in errors.shared_errors for sd in error.sd_by_axis], (len(counts), 1)
        ),
        visible_count=len(problem.variations) + 3 * len(places),
        frames_per_error=sharing,
        followed_tree=_tree_with_found_places(tree, problem.body, first.names, tuple(problem.followed_markers)),
        subtracted_constants=np.array(subtracted).reshape(-1, 3),
        hidden_errors=np.array(hidden).reshape(-1, 2),
    )


def _posture_priors(
    problem: PersonProblem, start: Unknowns | None, frame_weight: np.ndarray
) -> tuple[QuadraticPrior, ...]:
    """Of all frames, and of those in which the person stands. start: see `solve_person`."""
    names, own = problem.body.free_names, problem.posture_prior.terms
    # A coordinate with a prior of its own needs no wide one: about the model's neutral pose, that would pull at the
    # curve over all frames.
    about = {next(iter(prior.combination)) for prior in own}
    wide = [prior for prior in wide_priors(problem.body, names) if not prior.combination.keys() & about]
    posture = _quadratic_prior(Prior([*own, *wide]), names, problem.names, frame_weight)
    if start is not None:
        stands = sum(int(frames.sum()) for frames in problem.standing_frames) >= MIN_STANDING_FRAMES
        moved = [
            len(own) + i
            for i, prior in enumerate(wide)
            if stands or next(iter(prior.combination)).startswith(ARM_COORDINATE_PREFIXES)
        ]
        posture.mean[:, moved] = start.q @ posture.Q[moved].T
    if not problem.standing_prior.terms:
        return (posture,)
    standing = np.concatenate(problem.standing_frames)
    return posture, _quadratic_prior(problem.standing_prior, names, problem.names, frame_weight * standing)


def _quadratic_prior(
    prior: Prior, coordinates: Sequence[str], constants: Sequence[str], frame_weight: np.ndarray
) -> QuadraticPrior:
    S, mean, precision, _ = prior.arrays([*coordinates, *constants], 1.0)
    count = len(coordinates)
    return QuadraticPrior(
        Q=S[:, :count],
        C=S[:, count:],
        mean=np.tile(mean, (len(frame_weight), 1)),
        weight=precision,
        frame_weight=frame_weight,
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


def _starting_point(problem: PersonProblem, system: PersonSystem) -> Unknowns:
    """The minimum of each trial by itself."""
    posture = system.postures[0]
    own, free = posture.Q.shape[1], system.markers.tree.free.size
    ridge, target = np.full(free, 1.0 / START_OFFSET_SD_M**2), np.zeros(free)
    ridge[:own], target[:own] = single_coordinate_precision_and_target(posture.Q, posture.mean[0], posture.weight)
    nothing = np.zeros(len(problem.names)), np.zeros((1, free - own - system.visible_count))
    found = []
    for k, seen in enumerate(problem.observations):
        pose = np.append(first_pose(problem.body, seen.markers, seen.weights), np.zeros(free - own))
        alone = system.of_trial(k)
        path = starting_path(problem.body, alone.markers, pose, ridge=ridge, target=target)
        found.append(find_person_minimum(alone, Unknowns(path[:, :own], *nothing), ROUGH_PATH_TOLERANCE).unknowns)
    return Unknowns(
        np.concatenate([end.q for end in found]),
        np.mean([end.constants for end in found], axis=0),
        np.concatenate([end.offsets for end in found]),
    )


def _person_posterior(system: PersonSystem, at: Unknowns, unconverged_cost: float) -> PersonFit:
    k, n = at.constants.size, at.q.shape[1]
    factor = factorise_person_system(system, at, np.zeros(len(at.q)))
    covariance = scipy.linalg.cho_solve((factor.corner, True), np.eye(len(factor.corner)))
    subtracted = system.subtracted_constants
    hidden, pull = system.hidden_errors[:, 0].astype(int), system.hidden_errors[:, 1]
    asked = np.union1d(np.arange(system.visible_count), [*subtracted[subtracted >= 0], *hidden]).astype(int)
    blocks, with_asked = _covariance_blocks(system, at, factor, covariance=covariance, asked=asked)
    # An error that its prior understates pulls at the estimate: the consider covariance (Schmidt 1966).
    pulled = covariance[:, hidden] * pull
    root = np.linalg.cholesky(covariance[np.ix_(asked, asked)])
    # Of all unknowns of a frame, the change with each independent error that the constants may have.
    response = np.linalg.solve(root, with_asked.transpose(0, 2, 1)).transpose(0, 2, 1)
    response = np.concatenate([response, with_asked[:, :, np.searchsorted(asked, hidden)] * pull], 2)
    root = np.hstack([root, pulled[asked]])
    of_subtracted = np.where(subtracted[:, :, None] >= 0, root[np.searchsorted(asked, subtracted)], 0.0)
    z, tree = system.columns(at), system.markers.tree
    places = all_poses(tree, all_coordinates(tree, z)[0])[2]
    return PersonFit(
        solution=at,
        unconverged_cost=unconverged_cost,
        covariance=covariance[:k, :k],
        constant_sd=np.sqrt(np.diag(covariance) + (pulled**2).sum(1))[:k],
        prior_precision=system.constant_precision,
        residual=np.where(system.markers.w[:, :, None] > 0, places - system.markers.y, np.nan),
        # Of frames that share an error, each follows its own: their residuals have less of the fit's variance.
        marker_variance=np.einsum("tmii->tmi", marker_covariance(tree, z, blocks))
        / system.frames_per_error[:, None, None],
        body_error_modes=_body_error_modes(response[:, :n]),
        place_covariance=_marker_place_covariance(system.followed_tree, z, response, of_subtracted),
        offset_variance=np.diag(covariance)[k:].reshape(at.offsets.shape),
    )


def _covariance_blocks(
    system: PersonSystem, at: Unknowns, factor: BorderedFactor, covariance: np.ndarray, asked: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(frames, free, free) of each frame's unknowns, and (frames, free, asked) of them with some constants.

    covariance: of constants and offsets.
    """
    (k, m), n = (at.constants.size, at.offsets.shape[1]), at.q.shape[1]
    free = n + system.visible_count + m
    blocks, with_asked = np.zeros((len(at.q), free, free)), np.zeros((len(at.q), free, len(asked)))
    inverse = solve_forward(factor.lower, np.broadcast_to(np.eye(n), factor.lower.shape))
    back = inverse.transpose(0, 2, 1) @ factor.half  # A⁻¹ B
    seen = np.r_[0 : system.visible_count, k : k + m]
    for i in range(len(at.offsets)):
        own = np.r_[0:k, k + i * m : k + (i + 1) * m]
        outer = covariance[np.ix_(own, own)]
        for t in np.flatnonzero(system.trial == i):
            cross = -back[t] @ outer
            blocks[t, :n, :n] = inverse[t].T @ inverse[t] + back[t] @ outer @ back[t].T
            blocks[t, :n, n:] = cross[:, seen]
            blocks[t, n:, :n] = cross[:, seen].T
            blocks[t, n:, n:] = outer[np.ix_(seen, seen)]
            with_asked[t] = np.vstack([cross[:, asked], outer[np.ix_(seen, asked)]])
    return blocks, with_asked


def _body_error_modes(response: np.ndarray) -> np.ndarray:
    """(n, r): the largest modes of how postures respond to each error of the constants, (frames, n, k)."""
    left, size, _ = np.linalg.svd(response.mean(0), full_matrices=False)
    return left[:, :BODY_ERROR_MODES] * size[:BODY_ERROR_MODES]


def _marker_place_covariance(tree: Tree, z: np.ndarray, response: np.ndarray, subtracted: np.ndarray) -> np.ndarray:
    """(markers, 3, 3) m², along the axes of the bodies that carry them, mean over the frames of z (frames, free).

    response: (frames, free, r) to each error. subtracted: (markers, 3, r), by the same errors.
    """
    turned = all_poses(tree, all_coordinates(tree, z)[0])[0][:, tree.marker_body]
    found = np.zeros((len(tree.marker_body), 3, 3))
    for pose, axes, changes in zip(z, turned, response, strict=True):
        jacobian = markers_and_jacobian(tree, pose)[1].transpose(0, 2, 1)
        moves = axes.transpose(0, 2, 1) @ (jacobian @ changes) - subtracted
        found += moves @ moves.transpose(0, 2, 1)
    return found / len(z)
