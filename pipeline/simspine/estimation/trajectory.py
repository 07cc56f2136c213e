"""The whole trial at once: markers, smoothness, priors and limits in one problem, solved in overlapping windows.

Distant frames hold almost no information about each other, so a long trial is cut into overlapping windows (`Solver`),
of which only the inner parts are kept. Memory is then constant, and threads solve windows independently. A frame's
covariance (102 kB with 113 coordinates) is far larger than the figures published from it. So each window passes its
covariances to `publish` and frees them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.anatomy.body import Body
from simspine.anatomy.person_variation import with_free_lengths
from simspine.anatomy.priors import LinearPrior, SharedError
from simspine.anatomy.tree import IDENTITY_FUNCTION, SLOT_SLIDE, SLOT_SLIDE_IN_GROUND, Tree, slots_of_joints
from simspine.core.arrays import map_on_threads
from simspine.core.errors import InputError, require_known
from simspine.estimation.banded import BandedSystem, Factor, FloatType
from simspine.estimation.frame_engine import MAX_ITERATIONS, Frames, fit_frames, range_middles
from simspine.estimation.levenberg_marquardt import MAX_POLISHING_STEPS, Minimum, minimise
from simspine.estimation.path_basis import path_basis
from simspine.estimation.result import DEFAULT_TOLERANCES, Solver, canonical_branch
from simspine.estimation.terms import LimitTerm, MarkerTerm, Objective

TOO_FEW_MARKERS_REASON = "too few markers in all the frames around: the pose has no standard deviation"
BIAS_TERMS = 3  # of the series in `WindowPosterior.lost_motion`: 98 % of it where 28 % of a motion is lost
PublishedFigures = Callable[[MarkerTerm, "WindowPosterior"], Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """The solution for a window's inner frames, or for the whole trial.

    coordinates: (frames, free). cost: (frames,). derived_figures: what `publish` returned, (frames, …) each. response:
    (free,) measurement response, 1 = measured, 0 = assumed. reason: (frames,) '' where the window converged."""

    coordinates: np.ndarray
    cost: np.ndarray
    derived_figures: Mapping[str, np.ndarray]
    response: np.ndarray | None
    reason: tuple[str, ...]


def solve_trajectory(
    trial: Objective,
    path: np.ndarray,
    solver: Solver,
    *,
    tolerance: float,
    precision: FloatType = float,
    polish: int = MAX_POLISHING_STEPS,
    publish: PublishedFigures | None = None,
    posterior_spacing: int = 1,
) -> Trajectory:
    """Minimise an objective over all frames; its first term is the `MarkerTerm`.

    path: (frames, free) to start from, see `starting_path`. solver: its window and overlap are rounded up to whole
    intervals, so that the knots of all windows lie on the same frames. tolerance, polish: see `minimise`. precision: of
    factors for steps, and of sweeps for the posterior. publish: called for each window with the marker term and the
    posterior of its inner frames; without it no covariance is computed. posterior_spacing: frames between the knots of
    a spline's posterior, if more than between those of the path."""
    frames, spacing = len(path), trial.basis.spacing
    length, overlap = (-(-size // spacing) * spacing for size in (solver.window, solver.overlap))

    def solve_window(begin: int) -> Trajectory:
        end = min(begin + length, frames)
        low, high = max(0, begin - overlap), min(frames, end + overlap + 1)
        window, inner = slice(low, high), slice(begin - low, end - low)
        objective = trial.of_window(window)
        points = objective.basis.fit(path[window])
        minimum = minimise(objective, points, tolerance=tolerance, precision=precision, polish=polish)
        knots = max(spacing, posterior_spacing) if spacing > 1 else 1
        return _solved_window(objective, minimum, inner, precision=precision, publish=publish, posterior_spacing=knots)

    with threadpool_limits(1, "blas"):  # the blocks are small: BLAS threads would only wait for each other
        return _joined_windows(map_on_threads(solve_window, range(0, frames, length), solver.threads))


def _joined_windows(parts: Sequence[Trajectory]) -> Trajectory:
    responses = [part.response for part in parts if part.response is not None]
    lengths = [len(part.coordinates) for part in parts if part.response is not None]
    figures = parts[0].derived_figures
    return Trajectory(
        coordinates=np.concatenate([part.coordinates for part in parts]),
        cost=np.concatenate([part.cost for part in parts]),
        derived_figures={name: np.concatenate([part.derived_figures[name] for part in parts]) for name in figures},
        response=np.average(responses, axis=0, weights=lengths) if responses else None,
        reason=tuple(reason for part in parts for reason in part.reason),
    )


def starting_path(
    body: Body, markers: MarkerTerm, start: np.ndarray, *, ridge: np.ndarray, target: np.ndarray, stride: int = 1
) -> np.ndarray:
    """A rough path (frames, free): every `stride`-th frame with markers is solved alone, others interpolated linearly.

    Coordinates that move no marker keep their rest values.

    start: (free,) pose to start the first frame from. ridge: (free,) 1/sd² that ties coordinates to `target` (free,).
    """
    with_markers = np.flatnonzero(markers.seen)
    chosen = np.union1d(with_markers[::stride], with_markers[-1:])
    z = canonical_branch(body, _frames_alone(body, markers.of_window(chosen), start, ridge=ridge, target=target))
    path = np.column_stack([np.interp(np.arange(len(markers.y)), chosen, column) for column in z.T])
    tree: Tree = markers.tree
    moving = {c for carrier in set(tree.marker_body.tolist()) for c in tree.columns_of(carrier).tolist()}
    unobserved = [i for i in range(z.shape[1]) if i not in moving]
    path[:, unobserved] = tree.rest[tree.free[unobserved]]
    return path


def _frames_alone(body: Body, markers: MarkerTerm, start: np.ndarray, **towards: np.ndarray) -> np.ndarray:
    """(frames, free): each frame solved alone, from two starts; the lower minimum counts.

    From the middle of the joints' ranges, a nearly straight elbow may turn the wrong way. From the solution next to it,
    an elbow that had done so would stay at its limit. towards: ridge and target, as in `starting_path`."""
    scale = float(np.median(markers.w[markers.w > 0]))  # the frame solver expects weights of about 1
    pulls, targets = (np.tile(towards[name], (len(markers.y), 1)) for name in ("ridge", "target"))
    frames = Frames(markers.y, markers.w / scale, pulls / scale, targets)
    end = {"iterations": MAX_ITERATIONS, "tolerance": DEFAULT_TOLERANCES["frames"]}
    middles = range_middles(body)
    middles = np.append(middles, np.full(start.size - middles.size, np.nan))  # NaN: offsets of markers
    first, cost, _ = fit_frames(markers.tree, markers.columns, frames, start, begin=middles, **end)
    second, lower, _ = fit_frames(markers.tree, markers.columns, frames, first[0], begin=np.nan * middles, **end)
    return np.where((lower < cost)[:, None], second, first)


@dataclass(frozen=True, eq=False)
class WindowPosterior:
    """Posterior of a window's inner frames. window: (frames, free) coordinates of the whole window. information:
    (intervals, free, free) of its markers. factor: of its precision, None if that is not positive definite. inner: the
    inner frames within the window."""

    window: np.ndarray
    information: np.ndarray
    factor: Factor | None
    inner: slice

    @property
    def coordinates(self) -> np.ndarray:
        """(frames, free) of the inner frames."""
        return self.window[self.inner]

    def covariances(self) -> np.ndarray:
        """(frames, free, free): of the coordinates in each inner frame; NaN without a factor."""
        frames, n = self.coordinates.shape
        if self.factor is None:
            return np.full((frames, n, n), np.nan)
        return self.factor.covariances(np.arange(self.inner.start, self.inner.stop))

    def share_about_mean(self, gradient: np.ndarray, variance: np.ndarray) -> np.ndarray:
        """(frames, figures): share of each figure's variance that remains after subtracting its mean over the frames.

        An error that lasts for all frames, such as a point that is too high throughout, does not affect changes.
        gradient: (frames, figures, free). variance: (frames, figures). One solve, with the gradient of the mean, gives
        the covariance of all frames with the mean."""
        frames, figures, n = gradient.shape
        if self.factor is None:
            return np.full((frames, figures), np.nan)
        values = self.factor.basis.values[self.inner]
        mean = values.T @ (gradient.transpose(0, 2, 1).reshape(frames, -1) / frames)
        moved = values @ self.factor.solve(mean.reshape(-1, n, figures)).reshape(-1, n * figures)
        with_mean = np.einsum("tkn,tnk->tk", gradient, moved.reshape(frames, n, figures))
        remaining = variance - 2 * with_mean + with_mean.mean(0)
        return np.clip(remaining / np.where(variance > 0, variance, np.nan), 0.0, 1.0)

    def lost_motion(self, columns: np.ndarray) -> np.ndarray:
        """(frames, free): by how much priors make the motion of these columns about its mean smaller than the true one.

        With the response R = H⁻¹ D, a true motion d appears as R d. If the estimate e is R d, the loss is
        (1 − R) e + (1 − R)² e + …: a bootstrap estimate of bias (Efron & Tibshirani 1993, ch. 10), linearised. D has
        the same weights in each interval as in H, so that a motion that markers determine is not lost."""
        if self.factor is None:
            return np.full(self.coordinates.shape, np.nan)
        basis, motion = self.factor.basis, np.zeros(self.window.shape)
        motion[:, columns] = (self.window - self.coordinates.mean(0))[:, columns]
        estimate = basis.fit(motion)  # from here on, of control points
        rows = basis.first[basis.interval_starts][:, None] + np.arange(basis.weights.shape[1])
        lost = np.zeros(estimate.shape)
        for _ in range(BIAS_TERMS):
            true, pull = estimate + lost, np.zeros(estimate.shape)
            np.add.at(pull, rows, basis.interval_shares @ true[rows] @ self.information)
            lost = true - self.factor.solve(pull)
        return (basis.values @ lost)[self.inner]


def _solved_window(
    objective: Objective,
    minimum: Minimum,
    inner: slice,
    precision: FloatType,
    publish: PublishedFigures | None,
    posterior_spacing: int,
) -> Trajectory:
    coordinates = objective.basis.values @ minimum.points
    kept, response, reason = coordinates[inner], None, minimum.reason
    published: Mapping[str, np.ndarray] = {}
    if publish is not None:
        markers = objective.terms[0]
        assert isinstance(markers, MarkerTerm)
        basis = path_basis(objective.basis.frames, posterior_spacing)
        factor, information = _posterior_factor(replace(objective, basis=basis), coordinates, precision)
        if factor is not None:
            response = np.clip(factor.mean_response(information), 0.0, 1.0)
        else:  # the body's place is undetermined, as in a gap as long as a window
            reason = reason or TOO_FEW_MARKERS_REASON
        published = publish(markers.of_window(inner), WindowPosterior(coordinates, information, factor, inner))
    return Trajectory(
        coordinates=kept,
        cost=objective.frame_costs(minimum.points)[inner],
        derived_figures=published,
        response=response,
        reason=(reason,) * len(kept),
    )


def _posterior_factor(
    objective: Objective, coordinates: np.ndarray, precision: FloatType
) -> tuple[Factor | None, np.ndarray]:
    """A factor of the posterior's precision at a minimum, and the information of the markers, see `WindowPosterior`."""
    markers, *others = objective.terms
    assert isinstance(markers, MarkerTerm)
    basis = objective.basis
    # With a spline's knots, far apart, `precision` is enough for the factor too; with unknowns in each frame it is not.
    dtype = precision if basis.spacing > 1 else float
    system = BandedSystem(basis, coordinates.shape[1], dtype)
    information = markers.of_intervals(basis).information(basis.means_of_intervals(coordinates))
    system.add_blocks(information)
    counts = basis.frames_of_intervals
    for term in others:
        if isinstance(term, LimitTerm):
            of_frames = np.diagonal(information, axis1=1, axis2=2) / counts[:, None]
            term = term.where_measured(np.repeat(of_frames, counts, axis=0))
        term.curve(coordinates, system)
    objective.curve_smoothness(system)
    return system.factorise(sweeps=precision), information


# Errors that neighbouring markers share, as unknown coordinates of the body's tree.
#
# If one lumbar point is too high, all of them are. Treated as independent, such errors look like a bent spine: in a
# lumbar spine of 15 cm, 1 cm of depth is about 30° of lordosis. So each group of markers gets its own offset: three
# coordinates along the axes of the bodies that carry the markers, with a prior about zero. Each such body gets a
# massless child in the tree that slides with the markers. All children of a group slide by the same three coordinates,
# or by a share of them. An error that changes along a row of markers is a sum of a few errors, of which each marker
# has its shares.
#
# Vertebrae are rotated against each other. So an error that is equal in space for all points of a region differs along
# their vertebrae's axes: for 15 mm and an L5 rotated by 25° on the sacrum, by 6 mm. Over a lumbar spine, 5 mm is 15° of
# lordosis. Such offsets are along the ground's axes instead.


OFFSET_AXES = "xyz"
MarkerShares = Mapping[int, float]  # index of a marker → its share of an error


def tree_with_marker_offsets(tree: Tree, groups: Sequence[MarkerShares], in_ground_frame: Sequence[bool] = ()) -> Tree:
    """The tree with three more free coordinates (m, after the others) per group of markers.

    in_ground_frame: for each group, whether its offset is along the ground's axes; by default none. If so, all later
    groups with one of its markers must be in the ground frame as well.
    """
    kinds = [tree.slot_kind]
    for group, in_ground in zip(groups, in_ground_frame or [False] * len(groups), strict=True):
        before = tree.bodies
        tree = _with_sliding_children(tree, group)
        kinds.append(np.full(3 * (tree.bodies - before), SLOT_SLIDE_IN_GROUND if in_ground else SLOT_SLIDE))
    slots = slots_of_joints(tree.parent, tree.child, tree.argument, tree.bodies)
    return tree._replace(**slots | {"slot_kind": np.concatenate(kinds)})


def _with_sliding_children(tree: Tree, group: MarkerShares) -> Tree:
    """The tree with a sliding child for each body that carries markers of the group; slots are not numbered yet."""
    children = sorted({(int(tree.marker_body[m]), share) for m, share in group.items()})
    count, coordinates = len(children), len(tree.rest) + np.arange(3)
    marker_body = tree.marker_body.copy()
    for m, share in group.items():
        marker_body[m] = tree.bodies + children.index((int(tree.marker_body[m]), share))
    added = {
        "parent": [carrier for carrier, _ in children],
        "child": tree.bodies + np.arange(count),
        "to_joint": np.tile(np.eye(3, 4), (count, 1, 1)),
        "from_joint": np.tile(np.eye(3, 4), (count, 1, 1)),
        "axes": [np.vstack([np.zeros((3, 3)), share * np.eye(3)]) for _, share in children],
        "function": np.tile([-1] * 3 + [IDENTITY_FUNCTION] * 3, (count, 1)),
        "argument": np.tile([-1, -1, -1, *coordinates], (count, 1)),
    }
    joined: dict[str, Any] = {n: np.concatenate([getattr(tree, n), values]) for n, values in added.items()}
    return with_free_lengths(tree, 3)._replace(**joined, marker_body=marker_body, bodies=tree.bodies + count)


def tree_with_shared_errors(tree: Tree, errors: Sequence[SharedError], markers: Sequence[str]) -> Tree:
    """`tree_with_marker_offsets` for these shared errors, about zero: their means are added to the markers' places on
    their bodies, so that they turn with these."""
    groups = marker_shares_of(errors, markers)
    offset = tree.marker_offset.copy()
    for error, group in zip(errors, groups, strict=True):
        for m, share in group.items():
            offset[m] += share * np.array(error.mean)
    return tree_with_marker_offsets(
        tree._replace(marker_offset=offset), groups, [error.in_ground_frame for error in errors]
    )


def marker_shares_of(errors: Sequence[SharedError], markers: Sequence[str]) -> list[MarkerShares]:
    """For each error, {index in `markers`: share of the error}.

    Raises `InputError` where a marker is in two errors without shares.
    """
    index: Mapping[str, int] = {name: i for i, name in enumerate(markers)}
    taken: dict[str, str] = {}
    for error in errors:
        require_known("marker", error.markers, markers, f"the shared error {error.name!r}")
        for name in error.markers:
            if not error.shares and taken.setdefault(name, error.name) != error.name:
                raise InputError(f"marker {name!r} is in two shared errors, {taken[name]!r} and {error.name!r}.")
    return [{index[name]: share for name, share in error.share_by_marker.items()} for error in errors]


def offset_coordinate_names(errors: Sequence[SharedError]) -> list[str]:
    """Names of the coordinates that `tree_with_marker_offsets` adds."""
    return [f"shared error of {error.name}, {axis}" for error in errors for axis in OFFSET_AXES]


def offset_priors(errors: Sequence[SharedError]) -> list[LinearPrior]:
    """Gaussian priors of the offsets about zero, see `tree_with_shared_errors`."""
    parameters = [(sd, error.correlation_time) for error in errors for sd in error.sd_by_axis]
    named = zip(offset_coordinate_names(errors), parameters, strict=True)
    return [
        LinearPrior(combination={name: 1.0}, mean=0.0, sd=sd, source="shared error", correlation_time=time)
        for name, (sd, time) in named
    ]
