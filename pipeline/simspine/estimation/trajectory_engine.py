"""The engine 'trajectory': markers, smoothness, priors and limits over the whole trial, with standard deviations."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.anatomy.body import Body
from simspine.anatomy.priors import LinearPrior, Prior, Smoothness
from simspine.anatomy.tree import all_coordinates
from simspine.core.arrays import map_on_threads
from simspine.core.errors import require_known
from simspine.core.types import Markers
from simspine.estimation.banded import FloatType
from simspine.estimation.frame_engine import usable_observations
from simspine.estimation.levenberg_marquardt import learnt_factor, minimise, sample_stretches
from simspine.estimation.observations import Observations
from simspine.estimation.path_basis import path_basis
from simspine.estimation.result import (
    CHANGE_KEY,
    DEFAULT_TOLERANCES,
    GRADIENT_KEY,
    DerivedFigures,
    Posterior,
    Result,
    Solver,
    canonical_branch,
    first_pose,
    result_of,
    root_joint,
)
from simspine.estimation.terms import (
    LimitTerm,
    MarkerTerm,
    Objective,
    PriorTerm,
    prior_repetition,
    single_coordinate_precision_and_target,
)
from simspine.estimation.trajectory import (
    Trajectory,
    WindowPosterior,
    offset_coordinate_names,
    offset_priors,
    solve_trajectory,
    starting_path,
    tree_with_shared_errors,
)
from simspine.estimation.uncertainty import (
    along_root_axes,
    coordinate_deviation,
    covariance_of_correlated_errors,
    on_lines_between,
    spaced_frames,
)

NO_PRIOR_SD_RAD = 1.5  # rad: standard deviation of an angle without a prior about its default
START_OFFSET_SD_M = 1e-3  # m: keeps offsets of markers near zero in the starting path; the trajectory estimates them
DEVIATION_KEY = "deviation"
FRAMES_PER_COVARIANCE_BATCH = 100  # their covariances stay in the processor's cache
# s: standard deviations are computed every so often and interpolated linearly; knots of their posterior are as far
# apart. They change with the posture, which changes little in that time. The error is within 1 % for the spine, and
# within 2 % for limbs except where a joint reaches its limit (tests/estimation/test_deviation_spacing.py).
DEVIATION_SPACING_S = 0.08
# 1/rad: the squared rate of knots or frames, divided by the smallest standard deviation of an angle's acceleration. Up
# to this, factors and sweeps are in single precision.
MAX_SINGLE_PRECISION_STIFFNESS = 2000.0
# s between knots: the first of these is taken that follows a trial's liveliest parts within `MAX_SPLINE_ERROR_RAD`.
KNOT_SPACINGS_S = (0.08, 0.06, 0.04)
MIN_KNOT_SPACING = 3  # frames; with fewer, a spline is no cheaper than unknowns in each frame
MAX_SPLINE_ERROR_RAD = np.radians(0.02)  # root mean square over all angles of a solved stretch
START_KNOT_SPACING_S = 0.16  # s between the knots of the starting path, and between frames that are solved one by one
ROUGH_START_COST_SHARE = 0.03  # of the cost: the starting path's tolerance, see `minimise`


@dataclass(frozen=True, eq=False)
class _Problem:
    """objective: of the trial; markers and prior are two of its terms. coordinate_count: how many columns are
    coordinates of the body; offsets of markers follow. usable: (frames,) bool, enough markers. frames_per_error: how
    many frames share one error, of a marker or of the body, at least 1. thinning: (markers,) by which each marker's
    weight in `markers` was divided, as its frames share an error; at least 1. misfit_sd: m, of the body's misfit.
    angles: columns that are angles of the body."""

    objective: Objective
    markers: MarkerTerm
    prior: PriorTerm
    coordinate_count: int
    usable: np.ndarray
    frames_per_error: float
    thinning: np.ndarray
    misfit_sd: float
    angles: np.ndarray

    def each_frame(self, markers: MarkerTerm) -> MarkerTerm:
        """The markers without thinning: with the weights of errors that are independent in each frame."""
        return replace(markers, w=markers.w * self.thinning)

    @property
    def precision(self) -> FloatType:
        """Floating-point type of factors and sweeps."""
        acceleration, basis = self.objective.acceleration[self.angles], self.objective.basis
        stiffness = np.sqrt(acceleration.max(initial=0.0)) / basis.spacing**2
        return np.float32 if stiffness <= MAX_SINGLE_PRECISION_STIFFNESS else float


def solve_with_trajectory(
    body: Body,
    observations: Observations,
    smoothness: Smoothness | None,
    prior: Prior | None,
    solver: Solver,
    derive: DerivedFigures | None,
) -> Result:
    """Other arguments as in `inverse_kinematics`."""
    markers = observations.markers
    problem = _trajectory_problem(body, observations, smoothness, prior, min_markers=solver.min_markers)
    path = _starting_path(body, observations, problem, solver=solver)
    if smoothness is not None:
        is_learnt = np.isin(body.free_names, smoothness.learn_from_trial)
        problem = _with_learnt_motion(problem, is_learnt, path, rate=markers.rate, threads=solver.threads)
    modes = (prior or Prior()).body_error_mode_matrix(body.free_names)
    spacing = max(1, int(DEVIATION_SPACING_S * markers.rate))
    publish = _PublishedFigures(body, problem, modes, derive=derive, spacing=spacing) if solver.uncertainty else None
    solved = solve_trajectory(
        problem.objective,
        path,
        solver,
        tolerance=solver.tolerance or DEFAULT_TOLERANCES["trajectory"],
        precision=problem.precision,
        publish=publish,
        posterior_spacing=spacing,
    )
    too_few = f"fewer than {solver.min_markers} markers present"
    reasons = [r if ok else too_few for r, ok in zip(solved.reason, problem.usable, strict=True)]
    z = canonical_branch(body, solved.coordinates[:, : problem.coordinate_count])
    values = all_coordinates(body.tree, z)[0]
    posterior = _trajectory_posterior(body, solved) if solver.uncertainty else None
    result = result_of(
        body, markers, values, weights=observations.weights, reasons=reasons, cost=solved.cost, posterior=posterior
    )
    if posterior is None:
        return result
    return replace(result, motion=result.motion.with_(deviation=solved.derived_figures[DEVIATION_KEY]))


@dataclass(frozen=True, eq=False)
class _PublishedFigures:
    """Figures of a window's inner frames from their covariance: deviations of the coordinates, and those of `derive`.

    body_error_modes: (coordinates, r), see `Prior.body_error_mode_matrix`. spacing: frames between computed figures.
    """

    body: Body
    problem: _Problem
    body_error_modes: np.ndarray
    derive: DerivedFigures | None
    spacing: int

    def __call__(self, observed: MarkerTerm, posterior: WindowPosterior) -> dict[str, np.ndarray]:
        z = posterior.coordinates
        computed = spaced_frames(observed.seen, self.spacing)
        blocks = posterior.covariances()
        batches = np.split(computed, range(FRAMES_PER_COVARIANCE_BATCH, len(computed), FRAMES_PER_COVARIANCE_BATCH))
        parts = [self._figures_of_frames(observed.of_window(some), z[some], blocks[some]) for some in batches]
        derived = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        figures = {name: on_lines_between(computed, values, len(z)) for name, values in derived.items()}
        if GRADIENT_KEY in figures:
            offsets = z.shape[1] - self.problem.coordinate_count
            gradient = np.pad(figures.pop(GRADIENT_KEY), ((0, 0), (0, 0), (0, offsets)))
            variance = ((gradient @ blocks) * gradient).sum(-1)  # in every frame: changes keep little of it
            share = posterior.share_about_mean(gradient, variance)
            root = root_joint(self.body.tree)  # markers determine its angles
            of_root = [] if root is None else self.body.tree.column[self.body.tree.argument[root]]
            lost_motion = posterior.lost_motion(np.setdiff1d(self.problem.angles, of_root))
            lost = (gradient @ lost_motion[..., None])[..., 0]
            lost[~observed.seen] = 0.0  # there, priors interpolate; the covariance says how well
            figures[CHANGE_KEY] = np.sqrt(share * figures[CHANGE_KEY] + (lost - lost.mean(0)) ** 2)
        return figures

    def _figures_of_frames(self, observed: MarkerTerm, z: np.ndarray, blocks: np.ndarray) -> dict[str, np.ndarray]:
        """Figures at coordinates z (frames, free) with the trajectory's covariance `blocks` (frames, free, free)."""
        problem, count = self.problem, self.problem.coordinate_count
        total, of_changes = blocks, blocks
        if problem.frames_per_error > 1.0:
            total, of_changes = covariance_of_correlated_errors(
                problem.each_frame(observed),
                problem.prior,
                z,
                blocks=blocks,
                frames=problem.frames_per_error,
                misfit_sd=problem.misfit_sd,
            )
        # Priors are repeated because markers' errors last. In frames without markers, that must not add precision.
        if not observed.seen.all():
            of_changes = np.where(observed.seen[:, None, None], of_changes, total)
        of_changes = of_changes[:, :count, :count]
        z = z[:, :count]
        modes = along_root_axes(self.body.tree, z, self.body_error_modes, back=True)
        total = total[:, :count, :count] + modes @ modes.swapaxes(1, 2)
        derived = {} if self.derive is None else dict(self.derive(z, total))
        if GRADIENT_KEY in derived:
            gradient = derived[GRADIENT_KEY]
            derived[CHANGE_KEY] = ((gradient @ of_changes) * gradient).sum(-1)
        return {DEVIATION_KEY: coordinate_deviation(self.body.tree, z, total)} | derived


def _trajectory_problem(
    body: Body, observations: Observations, smoothness: Smoothness | None, prior: Prior | None, min_markers: int
) -> _Problem:
    """The objective of a trial, and what its uncertainty needs."""
    markers, errors = observations.markers, observations.errors
    tree, y, w, usable = usable_observations(body, markers, observations.weights, min_markers)
    # With correlated errors, the frames of one correlation time hold the information of a single frame. But thinning
    # the markers of a part that moves faster than the errors change would let smoothness remove its motion, although
    # slow errors do not hide it. So priors are repeated instead; only `errors.slow_markers` are thinned.
    marker_frames, body_frames = (
        min(max(1.0, time * markers.rate), float(markers.frames))
        for time in (errors.correlation_time, errors.body_misfit_time)
    )
    require_known("marker", errors.slow_markers, markers.names, "the markers that are counted once")
    thinning = np.where(np.isin(markers.names, errors.slow_markers), marker_frames, 1.0)
    tree = tree_with_shared_errors(tree, errors.shared_errors, markers.names)
    w = w / errors.sd**2
    observed = MarkerTerm(tree, y, w / thinning, loss=errors.loss, scale=errors.huber_threshold(w))
    priors = Prior(
        [*(prior.terms if prior else ()), *wide_priors(body, body.free_names), *offset_priors(errors.shared_errors)]
    )
    names = [*body.free_names, *offset_coordinate_names(errors.shared_errors)]
    prior_term = _prior_term(priors, names, markers, frames_per_error=max(marker_frames, body_frames))
    rotational, acceleration = body.coordinates.rotational[body.tree.free], np.zeros(len(names))
    if smoothness is not None:  # offsets of markers have no smoothness
        acceleration[: len(rotational)] = smoothness.precisions(body.free_names, rotational) * markers.rate**4
    return _Problem(
        objective=Objective(
            (observed, LimitTerm(tree.lower, tree.upper), prior_term), acceleration, path_basis(markers.frames, 1)
        ),
        markers=observed,
        prior=prior_term,
        coordinate_count=len(body.free_names),
        usable=usable,
        frames_per_error=max(marker_frames, body_frames),
        thinning=thinning,
        misfit_sd=errors.body_misfit_sd,
        angles=np.flatnonzero(rotational),
    )


def _prior_term(priors: Prior, names: Sequence[str], markers: Markers, frames_per_error: float) -> PriorTerm:
    combinations, mean, precision, decay = priors.arrays(names, markers.rate)
    repetition = prior_repetition(decay, markers.frames, frames_per_error)
    return PriorTerm(combinations, mean, precision=precision, decay=decay, repetition=repetition)


def _with_learnt_motion(problem: _Problem, learnt: np.ndarray, path: np.ndarray, rate: float, threads: int) -> _Problem:
    """The problem with smoothness and knot spacing learnt from stretches of the trial; short trials get no spline.

    learnt: (coordinates,) bool, those whose smoothness is learnt. path: (frames, free), the starting path."""
    parts, objective = sample_stretches(path, rate), problem.objective
    spacings = [int(seconds * rate) for seconds in KNOT_SPACINGS_S if len(parts) > 1 and objective.acceleration.any()]
    spacings = [spacing for spacing in spacings if spacing >= MIN_KNOT_SPACING]
    if not spacings and not learnt.any():
        return problem
    stretches = [objective.of_window(part) for part in parts]

    def minimum(i: int) -> np.ndarray:
        tolerance = DEFAULT_TOLERANCES["trajectory"]
        return minimise(stretches[i], path[parts[i]], tolerance, precision=problem.precision, polish=0).points

    with threadpool_limits(1, "blas"):
        minima = map_on_threads(minimum, range(len(parts)), threads)
    spacing = next((frames for frames in spacings if _is_spline(minima, problem.angles, frames)), 1)
    acceleration = objective.acceleration
    if learnt.any():
        which = np.append(learnt, np.zeros(path.shape[1] - problem.coordinate_count, bool))
        splines = [replace(each, basis=path_basis(each.basis.frames, spacing)) for each in stretches]
        acceleration = acceleration / learnt_factor(splines, minima, which, threads=threads) ** 2
    basis = path_basis(len(path), spacing)
    return replace(problem, objective=replace(objective, acceleration=acceleration, basis=basis))


def _is_spline(paths: Sequence[np.ndarray], angles: np.ndarray, spacing: int) -> bool:
    """Whether splines with knots every `spacing` frames follow the angles of these paths (frames, free)."""
    bases = [path_basis(len(path), spacing) for path in paths]
    errors = [(path - basis.values @ basis.fit(path))[:, angles] for path, basis in zip(paths, bases, strict=True)]
    return max(float(np.sqrt((error**2).mean())) for error in errors) <= MAX_SPLINE_ERROR_RAD


def _starting_path(body: Body, observations: Observations, problem: _Problem, solver: Solver) -> np.ndarray:
    """Path (frames, free) to start from: a rough path, refined on a coarse spline where the trial allows one."""
    prior, count, markers = problem.prior, problem.coordinate_count, observations.markers
    pose = np.append(first_pose(body, markers, observations.weights), np.zeros(prior.combinations.shape[1] - count))
    ridge, target = single_coordinate_precision_and_target(prior.combinations, prior.mean, prior.precision)
    ridge[count:], target[count:] = 1.0 / START_OFFSET_SD_M**2, 0.0
    spacing = int(START_KNOT_SPACING_S * markers.rate)
    has_spline = MIN_KNOT_SPACING <= spacing < markers.frames and problem.objective.acceleration.any()
    stride = spacing if has_spline else 1
    rough = starting_path(body, problem.each_frame(problem.markers), pose, stride=stride, ridge=ridge, target=target)
    if not has_spline:
        return rough
    coarse = replace(problem, objective=replace(problem.objective, basis=path_basis(markers.frames, spacing)))
    return solve_trajectory(
        coarse.objective, rough, solver, tolerance=ROUGH_START_COST_SHARE, precision=coarse.precision, polish=0
    ).coordinates


def _trajectory_posterior(body: Body, trajectory: Trajectory) -> Posterior:
    response = np.full(len(body.coordinates), np.nan)
    has_driver = body.tree.column >= 0
    if trajectory.response is not None:
        response[has_driver] = trajectory.response[body.tree.column[has_driver]]
    return Posterior(response, {name: v for name, v in trajectory.derived_figures.items() if name != DEVIATION_KEY})


def wide_priors(body: Body, names: Sequence[str]) -> list[LinearPrior]:
    """A wide prior on every coordinate but the root's: coordinates that no marker observes stay at their defaults."""
    root = root_joint(body.tree)
    of_root = set() if root is None else {body.coordinates.names[c] for c in body.tree.argument[root]}
    c = body.coordinates
    return [
        LinearPrior({name: 1.0}, float(c.default[c.index(name)]), NO_PRIOR_SD_RAD, "wide default")
        for name in names
        if name not in of_root
    ]
