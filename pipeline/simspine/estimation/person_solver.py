"""One body for all trials of a person: constants of the person, estimated together with every posture.

The constants are variations of the body (`simspine.anatomy.person_variation`), which slide joints, places of points,
and the person's standing curve. The curve moves no marker; it is the mean of the levels' prior. Each trial has offsets
that several markers share. Frames share nothing else (`simspine.estimation.person_system`). The estimate maximises the
posterior of all unknowns, as in AddBiomechanics (Werling et al. 2023). Covariances are Laplace's, marginal ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import scipy

from simspine.anatomy.body import Body
from simspine.anatomy.person_variation import JointMoves, add_variations
from simspine.anatomy.priors import MarkerErrors, Prior
from simspine.anatomy.tree import Tree, all_coordinates, all_poses, markers_and_jacobian
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
from simspine.estimation.uncertainty import along_root_axes, marker_covariance

START_TOLERANCE = 1.0  # squared standard deviations: tolerance of the minimum of each trial by itself
MIN_STANDING_FRAMES = 5  # fewest standing frames that show how the person holds the pelvis
ARM_COORDINATE_PREFIXES = ("arm_", "elbow_", "pro_sup_", "wrist_")
BODY_ERROR_MODES = 60  # the largest ones, which are kept; of 20, knee flexion would have a fifth of its variance


@dataclass(frozen=True, eq=False)
class PersonProblem:
    """What the fit to a person is given.

    body: the sized body. observations: some frames of each trial, y_up, with the same markers and errors. names: the
    constants, in this order: variations, three for each of `points_with_unknown_place`, those that move no marker.
    person_prior: on the constants. posture_prior: of each frame, on coordinates and constants. durations_s: of the
    trials. followed_markers: {marker of the body whose place needs a covariance: () or three of `names` (forward, up,
    right) that are subtracted from the place}. standing_prior: on `standing_frames`, (frames,) bool of each trial.
    hidden_variance: {source of `person_prior`: m², beyond its priors'}, in standard deviations, not in the estimate.
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
        """The error model of the markers; each trial has its own shared errors, about zero."""
        return self.observations[0].errors

    @property
    def precision(self) -> np.ndarray:
        """(frames, markers) m⁻², of all trials one after another; 0 where a marker is no measurement."""
        return np.concatenate([recording.precision for recording in self.observations])

    @property
    def independent(self) -> np.ndarray:
        """(trials,): number of independent errors of a marker in each trial."""
        return 1 + np.array(self.durations_s) / max(self.errors.correlation_time, 1e-9)


@dataclass(frozen=True, eq=False)
class PersonFit:
    """Maximum of the posterior, and covariances about it. solution: the maximum. unconverged_cost: see `PersonMinimum`.
    covariance: (k, k), of the constants. constant_sd: (k,), with hidden variances. prior_precision: (k, k). residual:
    (frames, markers, 3) m, model less measured; NaN where a marker is missing. marker_variance: (frames, markers, 3)
    m², of the fitted places. offset_variance: shaped like `solution.offsets`, m². body_error_modes: (coordinates, r),
    mean change of the postures, `along_root_axes`, with r independent errors of the constants, one deviation each.
    place_covariance: (followed, 3, 3) m², of the followed markers from the same errors, with the postures' change;
    along the axes of the bodies that carry them, mean of the frames.
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
    """The fit to a person.

    start: solution of an earlier fit. It is the mean of the wide priors on coordinates without a prior of their own.
    About the defaults instead, these priors would add up over all frames: raised arms would take 5° from the kyphosis
    of every posture, and bent hips would tilt every pelvis. Their pull vanishes over some fits (proximal point
    algorithm, Rockafellar 1976). With too few standing frames, only arms have this mean: nothing but the legs' defaults
    says how the pelvis is turned on them.
    """
    system = _person_system(problem, start)
    begin = _starting_point(problem, system) if start is None else start
    return _person_posterior(system, *find_person_minimum(system, begin))


def _person_system(problem: PersonProblem, start: Unknowns | None = None) -> PersonSystem:
    errors, first = problem.errors, problem.observations[0].markers
    parts = [usable_observations(problem.body, obs.markers, obs.weights, 3) for obs in problem.observations]
    body_tree = parts[0][0]
    places = [{first.index(name): 1.0} for name in problem.points_with_unknown_place]
    tree = tree_with_marker_offsets(add_variations(body_tree, problem.variations), places)
    tree = tree_with_shared_errors(tree, errors.shared_errors, first.names)
    counts = np.array([obs.markers.frames for obs in problem.observations])
    trial = np.repeat(np.arange(len(counts)), counts)
    # Frames that share an error count as one, and so do their postures: a person who bends to one side throughout a
    # recording has one posture, not one in each frame.
    frames_per_error = np.maximum(1.0, counts / problem.independent)[trial]
    w = np.concatenate([w for _, _, w, _ in parts]) / errors.sd**2
    markers = MarkerTerm(
        tree=tree,
        y=np.concatenate([y for _, y, _, _ in parts]),
        w=w / frames_per_error[:, None],
        loss=errors.loss,
        scale=errors.huber_threshold(w),
    )
    L, _, precision, _ = problem.person_prior.arrays(problem.names, 1.0)
    subtracted = [[problem.names.index(n) for n in names] or [-1] * 3 for names in problem.followed_markers.values()]
    hidden = np.array([problem.hidden_variance.get(prior.source, 0.0) for prior in problem.person_prior.terms])
    return PersonSystem(
        markers=markers,
        limits=LimitTerm(body_tree.lower, body_tree.upper),
        postures=_posture_priors(problem, start, frame_weight=1 / frames_per_error),
        trial=trial,
        constant_precision=(L.T * precision) @ L,
        offset_precision=np.tile(
            [1 / sd**2 for error in errors.shared_errors for sd in error.sd_by_axis], (len(counts), 1)
        ),
        visible_count=len(problem.variations) + 3 * len(places),
        frames_per_error=frames_per_error,
        followed_tree=_tree_of_followed_markers(tree, problem.body, first.names, tuple(problem.followed_markers)),
        subtracted_constants=np.array(subtracted).reshape(-1, 3),
        hidden_pull=(L.T * precision * np.sqrt(hidden))[:, hidden > 0],
    )


def _posture_priors(
    problem: PersonProblem, start: Unknowns | None, frame_weight: np.ndarray
) -> tuple[QuadraticPrior, ...]:
    """Priors of all frames, and of those in which the person stands. start: see `solve_person`."""
    names, terms = problem.body.free_names, problem.posture_prior.terms
    # A coordinate with a prior of its own gets no wide one, whose mean, the neutral pose, would pull in all frames.
    with_prior = {next(iter(prior.combination)) for prior in terms}
    wide = [prior for prior in wide_priors(problem.body, names) if not prior.combination.keys() & with_prior]
    posture = _quadratic_prior(Prior([*terms, *wide]), names, problem.names, frame_weight)
    if start is not None:
        stands = sum(int(frames.sum()) for frames in problem.standing_frames) >= MIN_STANDING_FRAMES
        moved = [
            len(terms) + i
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


def _tree_of_followed_markers(tree: Tree, body: Body, observed: Sequence[str], followed: Sequence[str]) -> Tree:
    """The tree with the followed markers: observed ones where `tree` has them, others where `body` has them."""
    known = {name: (tree.marker_body[i], tree.marker_offset[i]) for i, name in enumerate(observed)}
    indices = {name: body.marker_index(name) for name in followed}
    places = [known.get(name, (body.tree.marker_body[i], body.tree.marker_offset[i])) for name, i in indices.items()]
    return tree._replace(
        marker_body=np.array([carrier for carrier, _ in places], tree.marker_body.dtype),
        marker_offset=np.array([offset for _, offset in places]).reshape(-1, 3),
    )


def _starting_point(problem: PersonProblem, system: PersonSystem) -> Unknowns:
    """The minimum of each trial by itself, with the mean of their constants."""
    posture = system.postures[0]
    n, free = posture.Q.shape[1], system.markers.tree.free.size
    ridge, target = np.full(free, 1.0 / START_OFFSET_SD_M**2), np.zeros(free)
    ridge[:n], target[:n] = single_coordinate_precision_and_target(posture.Q, posture.mean[0], posture.weight)
    zeros = np.zeros(len(problem.names)), np.zeros((1, free - n - system.visible_count))
    minima = []
    for k, recording in enumerate(problem.observations):
        pose = np.append(first_pose(problem.body, recording.markers, recording.weights), np.zeros(free - n))
        alone = system.of_trial(k)
        path = starting_path(problem.body, alone.markers, pose, ridge=ridge, target=target)
        minima.append(find_person_minimum(alone, Unknowns(path[:, :n], *zeros), START_TOLERANCE).unknowns)
    return Unknowns(
        np.concatenate([minimum.q for minimum in minima]),
        np.mean([minimum.constants for minimum in minima], axis=0),
        np.concatenate([minimum.offsets for minimum in minima]),
    )


def _person_posterior(system: PersonSystem, at: Unknowns, unconverged_cost: float) -> PersonFit:
    k, n = at.constants.size, at.q.shape[1]
    factor = factorise_person_system(system, at, np.zeros(len(at.q)))
    covariance = scipy.linalg.cho_solve((factor.corner, True), np.eye(len(factor.corner)))
    subtracted = system.subtracted_constants
    with_hidden = np.flatnonzero(system.hidden_pull.any(1))
    chosen = np.union1d(np.arange(system.visible_count), [*subtracted[subtracted >= 0], *with_hidden]).astype(int)
    blocks, with_chosen = _covariance_blocks(system, at, factor, covariance=covariance, chosen=chosen)
    # Change of constants and offsets with one deviation of each hidden error (consider parameters: Schmidt 1966).
    hidden_change = covariance[:, :k] @ system.hidden_pull
    root = np.linalg.cholesky(covariance[np.ix_(chosen, chosen)])
    # Change of all unknowns of a frame with each independent error of the chosen constants.
    response = np.linalg.solve(root, with_chosen.transpose(0, 2, 1)).transpose(0, 2, 1)
    response = np.concatenate([response, with_chosen @ system.hidden_pull[chosen]], 2)
    root = np.hstack([root, hidden_change[chosen]])
    subtracted_change = np.where(subtracted[:, :, None] >= 0, root[np.searchsorted(chosen, subtracted)], 0.0)
    z, tree = system.columns(at), system.markers.tree
    places = all_poses(tree, all_coordinates(tree, z)[0])[2]
    # The largest modes of the mean change of the postures with each error.
    modes = np.linalg.svd(along_root_axes(tree, z, response)[:, :n].mean(0), full_matrices=False)
    return PersonFit(
        solution=at,
        unconverged_cost=unconverged_cost,
        covariance=covariance[:k, :k],
        constant_sd=np.sqrt(np.diag(covariance) + (hidden_change**2).sum(1))[:k],
        prior_precision=system.constant_precision,
        residual=np.where(system.markers.w[:, :, None] > 0, places - system.markers.y, np.nan),
        # Frames that share an error have their own postures, so their residuals contain less of the fit's variance.
        marker_variance=np.einsum("tmii->tmi", marker_covariance(tree, z, blocks))
        / system.frames_per_error[:, None, None],
        body_error_modes=modes.U[:, :BODY_ERROR_MODES] * modes.S[:BODY_ERROR_MODES],
        place_covariance=_marker_place_covariance(system.followed_tree, z, response, subtracted_change),
        offset_variance=np.diag(covariance)[k:].reshape(at.offsets.shape),
    )


def _covariance_blocks(
    system: PersonSystem, at: Unknowns, factor: BorderedFactor, covariance: np.ndarray, chosen: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(frames, free, free) covariances of each frame's unknowns, and (frames, free, chosen) with some constants.

    covariance: of constants and offsets. chosen: indices of constants.
    """
    (k, m), n = (at.constants.size, at.offsets.shape[1]), at.q.shape[1]
    free = n + system.visible_count + m
    blocks, with_chosen = np.zeros((len(at.q), free, free)), np.zeros((len(at.q), free, len(chosen)))
    inverse = solve_forward(factor.lower, np.broadcast_to(np.eye(n), factor.lower.shape))
    back = inverse.transpose(0, 2, 1) @ factor.half  # A⁻¹ B
    visible = np.r_[0 : system.visible_count, k : k + m]
    for i in range(len(at.offsets)):
        of_trial = np.r_[0:k, k + i * m : k + (i + 1) * m]
        outer = covariance[np.ix_(of_trial, of_trial)]
        for t in np.flatnonzero(system.trial == i):
            cross = -back[t] @ outer
            blocks[t, :n, :n] = inverse[t].T @ inverse[t] + back[t] @ outer @ back[t].T
            blocks[t, :n, n:] = cross[:, visible]
            blocks[t, n:, :n] = cross[:, visible].T
            blocks[t, n:, n:] = outer[np.ix_(visible, visible)]
            with_chosen[t] = np.vstack([cross[:, chosen], outer[np.ix_(visible, chosen)]])
    return blocks, with_chosen


def _marker_place_covariance(tree: Tree, z: np.ndarray, response: np.ndarray, subtracted: np.ndarray) -> np.ndarray:
    """(markers, 3, 3) m², along the axes of the markers' bodies, mean over the frames of z, (frames, free).

    response: (frames, free, r), change of z with each of r errors. subtracted: (markers, 3, r) m, by the same errors.
    """
    rotations = all_poses(tree, all_coordinates(tree, z)[0])[0][:, tree.marker_body]
    total = np.zeros((len(tree.marker_body), 3, 3))
    for pose, axes, changes in zip(z, rotations, response, strict=True):
        jacobian = markers_and_jacobian(tree, pose)[1].transpose(0, 2, 1)
        moves = axes.transpose(0, 2, 1) @ (jacobian @ changes) - subtracted
        total += moves @ moves.transpose(0, 2, 1)
    return total / len(z)
