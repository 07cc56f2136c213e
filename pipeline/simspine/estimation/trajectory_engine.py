"""The engine 'trajectory': markers, smoothness, priors and limits over the whole trial, with standard deviations."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import scipy

from simspine.anatomy.body import Body
from simspine.anatomy.priors import LinearPrior, MarkerErrors, Prior, Smoothness
from simspine.anatomy.tree import all_coordinates
from simspine.core.errors import require_known
from simspine.core.types import Markers
from simspine.estimation.banded import FloatType
from simspine.estimation.frame_engine import usable_observations
from simspine.estimation.levenberg_marquardt import learnt_factor, with_scaled_acceleration
from simspine.estimation.result import (
    CHANGE_KEY,
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
    PriorTerm,
    SmoothnessTerm,
    Term,
    prior_repetition,
    single_coordinate_precision_and_target,
)
from simspine.estimation.trajectory import (
    STARTING_POINTS,
    DeviationAboutMean,
    Trajectory,
    WindowSize,
    offset_coordinate_names,
    offset_priors,
    sampled_minimum,
    solve_trajectory,
    starting_path,
    tree_with_shared_errors,
)
from simspine.estimation.uncertainty import (
    LastingErrors,
    coordinate_deviation,
    covariance_of_correlated_errors,
    on_lines_between,
    spaced_frames,
)

NO_PRIOR_SD_RAD = 1.5  # rad: how far an angle without a prior may be from its default, one standard deviation
ROUGH_PATH_POSE_SD = 0.2
START_OFFSET_SD_M = 1e-3  # m: offsets of markers are left to the trajectory, its starting path keeps them near zero
DEVIATION_KEY = "deviation"
FRAMES_PER_COVARIANCE_BATCH = 100  # their covariance stays in the cache
# s: standard deviations are computed in frames so far apart, and lie on lines in between. They change with the posture,
# which moves little in that time: of the spine they agree within 1 %, of limbs within 2 % but where a joint just comes
# to its limit (tests/estimation/test_deviation_spacing.py).
DEVIATION_SPACING_S = 0.08
START_SMOOTHING_FRAMES = 3.0  # frames; takes the jitter out of the starting path
# Squared frame rate over the smallest standard deviation of an angle's acceleration, 1/rad: up to this factors and
# sweeps are in single precision (docs/method.md).
MAX_SINGLE_PRECISION_STIFFNESS = 2000.0
LIVELY_MOTION_HZ = 2.0  # the rate of steps
MAX_STARTS_PER_STRETCH = 3  # starting paths of a stretch that does not converge
START_HZ = 20.0  # frames per second from which the rough path is made
SAMPLED_HZ = 12.5  # frames per second of the first minimum: people hardly move faster than half as fast


@dataclass(frozen=True, eq=False)
class _Problem:
    """terms: all of them; markers and prior are two. coordinate_count: how many columns are coordinates of the body;
    offsets of markers follow. usable: (frames,). frames_per_error: how many frames share one error, of a marker or of
    the body, at least 1. thinning: (markers,) by how much less each counts in `markers` since frames share its own
    error; at least 1. lasting: which part of the errors lasts, None where all of it does. stiffness: squared frame rate
    over the smallest standard deviation of an angle's acceleration, 1/rad.
    """

    terms: tuple[Term, ...]
    markers: MarkerTerm
    prior: PriorTerm
    coordinate_count: int
    usable: np.ndarray
    frames_per_error: float
    thinning: np.ndarray
    lasting: LastingErrors | None
    stiffness: float

    def each_frame(self, markers: MarkerTerm) -> MarkerTerm:
        """As if each frame had errors of its own."""
        return replace(markers, w=markers.w * self.thinning)


def solve_with_trajectory(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    smoothness: Smoothness | None,
    prior: Prior | None,
    errors: MarkerErrors,
    solver: Solver,
    derive: DerivedFigures | None,
) -> Result:
    """Arguments as in `inverse_kinematics`; markers y_up, weights (frames, markers), a tolerance in `solver`."""
    problem = _trajectory_problem(
        body, markers, weights, smoothness=smoothness, prior=prior, errors=errors, min_markers=solver.min_markers
    )
    paths = _starting_path(body, markers, weights, problem=problem, solver=solver)
    if smoothness is not None and smoothness.learn_from_trial:
        problem = _with_learnt_smoothness(
            problem, np.isin(body.free_names, smoothness.learn_from_trial), paths[0](), solver
        )
    modes = np.zeros((problem.coordinate_count, 0))
    if prior is not None and prior.body_error_modes:
        modes = prior.body_error_mode_matrix(body.free_names)
    spacing = max(1, int(DEVIATION_SPACING_S * markers.rate))
    publish = _PublishedFigures(body, problem, modes, derive=derive, spacing=spacing) if solver.uncertainty else None
    found = solve_trajectory(problem.terms, paths, publish=publish, **_solve_settings(problem, solver))
    few = f"fewer than {solver.min_markers} markers present"
    reasons = [r if ok else few for r, ok in zip(found.reason, problem.usable, strict=True)]
    z = canonical_branch(body, found.coordinates[:, : problem.coordinate_count])
    values = all_coordinates(body.tree, z)[0]
    posterior = _trajectory_posterior(body, found) if solver.uncertainty else None
    result = result_of(body, markers, values, weights=weights, reasons=reasons, cost=found.cost, posterior=posterior)
    if posterior is None:
        return result
    return result.with_motion(result.motion.with_(deviation=found.derived_figures[DEVIATION_KEY]))


@dataclass(frozen=True, eq=False)
class _PublishedFigures:
    """Figures of a window's inner frames from their covariance: deviations of the coordinates, and those of `derive`.

    body_error_modes: (coordinates, r), see `Prior.body_error_mode_matrix`. spacing: frames from one in which figures
    are computed to the next.
    """

    body: Body
    problem: _Problem
    body_error_modes: np.ndarray
    derive: DerivedFigures | None
    spacing: int

    def __call__(
        self, shown: MarkerTerm, z: np.ndarray, blocks: np.ndarray, about_mean: DeviationAboutMean
    ) -> dict[str, np.ndarray]:
        computed = spaced_frames(shown.seen, self.spacing)
        pieces = np.split(computed, range(FRAMES_PER_COVARIANCE_BATCH, len(computed), FRAMES_PER_COVARIANCE_BATCH))
        parts = [self._of_some_frames(shown.of_window(part), z[part], blocks[part]) for part in pieces]
        derived = {
            name: on_lines_between(computed, np.concatenate([part[name] for part in parts]), len(z))
            for name in parts[0]
        }
        if GRADIENT_KEY in derived:
            offsets = z.shape[1] - self.problem.coordinate_count
            padded = np.pad(derived.pop(GRADIENT_KEY), ((0, 0), (0, 0), (0, offsets)))
            derived[CHANGE_KEY] = np.sqrt(about_mean(padded) * derived[CHANGE_KEY])
        return derived

    def _of_some_frames(self, shown: MarkerTerm, z: np.ndarray, blocks: np.ndarray) -> dict[str, np.ndarray]:
        problem, own = self.problem, self.problem.coordinate_count
        wide, of_trial = blocks, blocks
        if problem.frames_per_error > 1.0:
            wide, of_trial = covariance_of_correlated_errors(
                problem.each_frame(shown),
                problem.prior,
                z,
                blocks=blocks,
                frames=problem.frames_per_error,
                lasting=problem.lasting,
            )
        # Where markers were thinned, the trajectory's own covariance counts their errors as correlated already; the
        # body's misfit, which it does not count, is known of a person only.
        if problem.lasting is None and (problem.thinning > 1.0).any():
            of_trial = blocks
        # Priors are repeated because markers' errors last. Where no marker is seen, that makes nothing surer.
        if not shown.seen.all():
            of_trial = np.where(shown.seen[:, None, None], of_trial, wide)
        of_trial = of_trial[:, :own, :own]
        z, wide = z[:, :own], wide[:, :own, :own] + self.body_error_modes @ self.body_error_modes.T
        derived = {} if self.derive is None else dict(self.derive(z, wide))
        if GRADIENT_KEY in derived:
            gradient = derived[GRADIENT_KEY]
            derived[CHANGE_KEY] = ((gradient @ of_trial) * gradient).sum(-1)
        return {DEVIATION_KEY: coordinate_deviation(self.body.tree, z, wide)} | derived


def _trajectory_problem(
    body: Body,
    markers: Markers,
    weights: np.ndarray,
    smoothness: Smoothness | None,
    prior: Prior | None,
    errors: MarkerErrors,
    min_markers: int,
) -> _Problem:
    """The objective's terms."""
    tree, y, w, usable = usable_observations(body, markers, weights, min_markers)
    # Correlated errors make the frames of one correlation time worth a single one. Where a part moves faster than they
    # change, thinning its markers would give the motion up to smoothness, although such an error does not hide it; so
    # priors are repeated instead.
    own, of_body = (
        min(max(1.0, time * markers.rate), float(markers.frames))
        for time in (errors.correlation_time, errors.body_misfit_time)
    )
    require_known("marker", errors.slow_markers, markers.names, "the markers that are counted once")
    thinning = np.where(np.isin(markers.names, errors.slow_markers), own, 1.0)
    tree = tree_with_shared_errors(tree, errors.shared_errors, markers.names)
    observed = _marker_term(MarkerTerm(tree, y, w), errors, thinning)
    smooth = () if smoothness is None else (_smoothness_term(body, smoothness, markers.rate, len(tree.free)),)
    shared = offset_priors(errors.shared_errors)
    priors = Prior([*(prior.terms if prior else ()), *wide_priors(body, body.free_names), *shared])
    names = [*body.free_names, *offset_coordinate_names(errors.shared_errors)]
    assumed = _prior_term(priors, names, markers, frames_per_error=max(own, of_body))
    return _Problem(
        terms=(observed, LimitTerm(tree.lower, tree.upper), *smooth, assumed),
        markers=observed,
        prior=assumed,
        coordinate_count=len(body.free_names),
        usable=usable,
        frames_per_error=max(own, of_body),
        thinning=thinning,
        lasting=_lasting_errors(errors, markers, len(priors.terms)),
        stiffness=_stiffness(body, smooth),
    )


def _marker_term(plain: MarkerTerm, errors: MarkerErrors, thinning: np.ndarray) -> MarkerTerm:
    """The term with weights by the markers' errors. plain: with weights as given."""
    w = plain.w / errors.sd**2
    return replace(plain, w=w / thinning, loss=errors.loss, scale=errors.huber_threshold(w))


def _prior_term(priors: Prior, names: Sequence[str], markers: Markers, frames_per_error: float) -> PriorTerm:
    combinations, mean, precision, decay = priors.arrays(names, markers.rate)
    repetition = prior_repetition(decay, markers.frames, frames_per_error)
    return PriorTerm(combinations, mean, precision=precision, decay=decay, repetition=repetition)


def _smoothness_term(body: Body, smoothness: Smoothness, rate: float, columns: int) -> SmoothnessTerm:
    """columns: the body's free coordinates, and after them others that are not held."""
    names, rotational = body.free_names, body.coordinates.rotational[body.tree.free]
    velocity, acceleration = np.zeros(columns), np.zeros(columns)
    velocity[: len(names)] = smoothness.weights("velocity", names, rotational)
    acceleration[: len(names)] = smoothness.weights("acceleration", names, rotational)
    return SmoothnessTerm(rate, velocity, acceleration)


def _stiffness(body: Body, smooth: Sequence[SmoothnessTerm]) -> float:
    angles = np.flatnonzero(body.coordinates.rotational[body.tree.free])
    return max(
        (term.rate**2 * float(np.sqrt(term.acceleration[angles].max(initial=0.0))) for term in smooth), default=0.0
    )


def _with_learnt_smoothness(problem: _Problem, learnt: np.ndarray, path: np.ndarray, solver: Solver) -> _Problem:
    """learnt: (coordinates,) bool, those whose accelerations the trial itself shows."""
    (smoothness,) = (term for term in problem.terms if isinstance(term, SmoothnessTerm))
    # Thinned markers say little of slow motion only. Of errors with the correlation time τ, of which the frames of 2 τ
    # share one, the spectrum falls with 1 + (2π f τ)²; bends and steps are faster.
    faster = 1 + (np.pi * LIVELY_MOTION_HZ * problem.thinning / smoothness.rate) ** 2
    markers = replace(problem.markers, w=problem.markers.w * np.minimum(faster, problem.thinning))
    others = [markers, *(term for term in problem.terms if term is not smoothness and term is not problem.markers)]
    which = np.append(learnt, np.zeros(path.shape[1] - problem.coordinate_count, bool))
    factor = learnt_factor(
        others, smoothness, which, path=path, precision=_precision_of(problem), threads=solver.threads
    )
    terms = tuple(with_scaled_acceleration(term, factor) if term is smoothness else term for term in problem.terms)
    return replace(problem, terms=terms, stiffness=problem.stiffness / factor.min())


def _lasting_errors(errors: MarkerErrors, markers: Markers, priors: int) -> LastingErrors | None:
    """priors: how many there are, those of `errors.shared_errors` the last of them."""
    if not errors.lasting_variance_share and errors.shared_error_variance_share == 1.0:
        return None
    of_prior = np.ones(priors)
    of_prior[priors - len(offset_priors(errors.shared_errors)) :] = errors.shared_error_variance_share
    lasting, misfit = (
        np.array([of.get(name, 1.0) for name in markers.names])
        for of in (errors.lasting_variance_share, errors.misfit_variance_share)
    )
    return LastingErrors(lasting, misfit, of_prior)


def _starting_path(
    body: Body, markers: Markers, weights: np.ndarray, problem: _Problem, solver: Solver
) -> list[Callable[[], np.ndarray]]:
    """What makes the path (frames, free) to begin from: the minimum on a few of the frames, from a rough path, or the
    end of the best of several. A single one is followed by others, for stretches in which it leads nowhere: an arm that
    hung straight may be wound up."""
    prior, own = problem.prior, problem.coordinate_count
    pose = np.append(first_pose(body, markers, weights), np.zeros(prior.combinations.shape[1] - own))
    held, drawn = single_coordinate_precision_and_target(prior.combinations, prior.mean, prior.precision)
    held[own:], drawn[own:] = 1.0 / START_OFFSET_SD_M**2, 0.0
    stride, count = (max(1, int(markers.rate / hz)) for hz in (START_HZ, SAMPLED_HZ))

    @cache
    def path(begin: float) -> np.ndarray:
        rough = starting_path(
            problem.each_frame(problem.markers),
            pose,
            1.0 / ROUGH_PATH_POSE_SD**2,
            stride=stride,
            ridge=held,
            target=drawn,
            threads=solver.threads,
            begin=begin,
        )
        rough = canonical_branch(
            body, scipy.ndimage.gaussian_filter1d(rough, START_SMOOTHING_FRAMES, axis=0, mode="nearest")
        )
        return sampled_minimum(problem.terms, rough, count, windows=_window_size(solver), threads=solver.threads)

    if solver.starts == 1:
        return [partial(path, begin) for begin in STARTING_POINTS[:MAX_STARTS_PER_STRETCH]]
    cut = _solve_settings(problem, solver)
    tried = [
        solve_trajectory(problem.terms, [partial(path, begin)], **cut) for begin in STARTING_POINTS[: solver.starts]
    ]
    best = min(tried, key=lambda found: float(found.cost.sum()))
    return [lambda: best.coordinates]


def _solve_settings(problem: _Problem, solver: Solver) -> dict:
    """How `solve_trajectory` cuts the trial, when it stops, and how precisely it factorises."""
    how = {"windows": _window_size(solver), "tolerance": solver.tolerance, "threads": solver.threads}
    return how | {"precision": _precision_of(problem)}


def _window_size(solver: Solver) -> WindowSize:
    return WindowSize(solver.window, solver.overlap)


def _precision_of(problem: _Problem) -> FloatType:
    return np.float32 if problem.stiffness <= MAX_SINGLE_PRECISION_STIFFNESS else float


def _trajectory_posterior(body: Body, found: Trajectory) -> Posterior:
    response = np.full(len(body.coordinates), np.nan)
    driven = body.tree.column >= 0
    if found.response is not None:
        response[driven] = found.response[body.tree.column[driven]]
    return Posterior(response, {name: v for name, v in found.derived_figures.items() if name != DEVIATION_KEY})


def wide_priors(body: Body, names: Sequence[str]) -> list[LinearPrior]:
    """A wide prior on every coordinate but the root's, so that what no marker observes stays at its default."""
    root = root_joint(body.tree)
    placed = set() if root is None else {body.coordinates.names[c] for c in body.tree.argument[root]}
    c = body.coordinates
    return [
        LinearPrior({name: 1.0}, float(c.default[c.index(name)]), NO_PRIOR_SD_RAD, "wide default")
        for name in names
        if name not in placed
    ]
