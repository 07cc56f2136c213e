"""The whole trial at once: markers, smoothness, priors and limits in one problem, solved in overlapping windows.

A frame far away says almost nothing about this one, so a long trial is cut into windows that overlap (`Solver`);
only their inner parts are kept. That makes memory constant and windows independent (threads). The covariance of a frame
is far larger than anything published of it (102 kB with 113 coordinates), so each window hands its own to `publish` and
forgets it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from simspine.anatomy.body import Body
from simspine.anatomy.person_variation import with_free_lengths
from simspine.anatomy.priors import LinearPrior, SharedError
from simspine.anatomy.tree import SLOT_SLIDE, SLOT_SLIDE_IN_GROUND, Tree, slots_of_joints, with_identity_function
from simspine.core.arrays import map_on_threads
from simspine.core.errors import InputError, require_known
from simspine.estimation.banded import BandedSystem, Factor, FloatType
from simspine.estimation.frame_engine import Frames, fit_frames, range_middles
from simspine.estimation.levenberg_marquardt import MAX_POLISHING_STEPS, Minimum, minimise
from simspine.estimation.result import Solver, canonical_branch
from simspine.estimation.terms import LimitTerm, MarkerTerm, Objective

TOO_FEW_MARKERS_REASON = "too few markers in all the frames around: nothing says how sure the pose is"
ROUGH_ITERATIONS, ROUGH_TOLERANCE = 60, 1e-3  # of a frame of a path to begin from
PublishedFigures = Callable[[MarkerTerm, "WindowPosterior"], Mapping[str, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Trajectory:
    """coordinates: (frames, free). cost: (frames,). derived_figures: of the covariance, by `publish`, (frames, …) each.

    response: (free,) how much of a lasting change of a coordinate the estimate would show: 1 = measured, 0 = assumed.
    reason: (frames,) '' where the window converged. Of a window's inner frames, or of the whole trial.
    """

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
) -> Trajectory:
    """Minimise an objective over all frames; its first term is the `MarkerTerm`.

    path: (frames, free) to begin from, see `starting_path`. solver: says how long windows are; knots of all lie on the
    same frames. tolerance, polish: see `minimise`. precision: of factors for steps, and of sweeps for the posterior.
    publish: called for each window with the marker term and the posterior of its inner frames; without it no covariance
    is made.
    """
    frames, spacing = len(path), trial.basis.spacing
    length, overlap = (-(-size // spacing) * spacing for size in (solver.window, solver.overlap))

    def work(begin: int) -> Trajectory:
        end = min(begin + length, frames)
        low, high = max(0, begin - overlap), min(frames, end + overlap + 1)
        part = slice(low, high)
        objective = trial.of_window(part)
        points = objective.basis.fit(path[part])
        found = minimise(objective, points, tolerance=tolerance, precision=precision, polish=polish)
        return _solved_window(objective, found, slice(begin - low, end - low), precision=precision, publish=publish)

    with threadpool_limits(1, "blas"):  # the blocks are small: BLAS threads would only wait for each other
        return _joined_windows(map_on_threads(work, range(0, frames, length), solver.threads))


def _joined_windows(parts: Sequence[Trajectory]) -> Trajectory:
    known = [part.response for part in parts if part.response is not None]
    lengths = [len(part.coordinates) for part in parts if part.response is not None]
    return Trajectory(
        coordinates=np.concatenate([part.coordinates for part in parts]),
        cost=np.concatenate([part.cost for part in parts]),
        derived_figures={
            name: np.concatenate([part.derived_figures[name] for part in parts]) for name in parts[0].derived_figures
        },
        response=np.average(known, axis=0, weights=lengths) if known else None,
        reason=tuple(reason for part in parts for reason in part.reason),
    )


def starting_path(
    body: Body, markers: MarkerTerm, start: np.ndarray, *, ridge: np.ndarray, target: np.ndarray, stride: int = 1
) -> np.ndarray:
    """A rough path (frames, free): every `stride`-th frame with markers by itself, and lines in between.

    Each frame begins in the middle of its joints' ranges: from the frame before, an elbow that came to its limit the
    wrong way round would stay there.

    start: (free,) pose to begin the first frame from. ridge: (free,) 1/sd² that ties coordinates to `target` (free,).
    Scaled so that a marker's weight is about 1, as the frame solver expects.
    """
    scale = float(np.median(markers.w[markers.w > 0]))
    shown = np.flatnonzero(markers.seen)
    chosen = np.union1d(shown[::stride], shown[-1:])
    pulls, targets = np.tile(ridge / scale, (len(chosen), 1)), np.tile(target, (len(chosen), 1))
    frames = Frames(markers.y[chosen], markers.w[chosen] / scale, pulls, targets)
    middles = range_middles(body)
    begin = np.append(middles, np.full(start.size - middles.size, np.nan))  # behind them, offsets of markers
    z = fit_frames(markers.tree, markers.columns, frames, start, begin, ROUGH_ITERATIONS, ROUGH_TOLERANCE)[0]
    return _interpolated_path(markers, chosen, canonical_branch(body, z, continuous=False))


def _interpolated_path(markers: MarkerTerm, chosen: np.ndarray, z: np.ndarray) -> np.ndarray:
    """(frames, free) through z at the chosen frames; coordinates that move no marker stay at rest."""
    tree: Tree = markers.tree
    path = np.column_stack([np.interp(np.arange(len(markers.y)), chosen, column) for column in z.T])
    seen = {c for body in set(tree.marker_body.tolist()) for c in tree.columns_of(body).tolist()}
    unseen = [i for i in range(z.shape[1]) if i not in seen]
    path[:, unseen] = tree.rest[tree.free[unseen]]
    return path


@dataclass(frozen=True, eq=False)
class WindowPosterior:
    """Of a window's inner frames. coordinates: (frames, free). factor: of the whole window's precision, None where that
    leaves something open. inner: which of its frames these are."""

    coordinates: np.ndarray
    factor: Factor | None
    inner: slice

    def covariances(self) -> np.ndarray:
        """(frames, free, free)."""
        frames, n = self.coordinates.shape
        if self.factor is None:
            return np.full((frames, n, n), np.nan)
        return self.factor.covariances(np.arange(self.inner.start, self.inner.stop))

    def covariance_with_mean(self, gradient: np.ndarray) -> np.ndarray:
        """(frames, figures): of each figure with its mean over the frames; gradient: (frames, figures, free).

        One solve with the mean's gradient gives it for all frames.
        """
        frames, figures, n = gradient.shape
        if self.factor is None:
            return np.full((frames, figures), np.nan)
        values = self.factor.basis.values[self.inner]
        mean = values.T @ (gradient.transpose(0, 2, 1).reshape(frames, -1) / frames)
        moved = values @ self.factor.solve(mean.reshape(-1, n, figures)).reshape(-1, n * figures)
        return np.einsum("tkn,tnk->tk", gradient, moved.reshape(frames, n, figures))


def share_about_mean(variance: np.ndarray, with_mean: np.ndarray) -> np.ndarray:
    """(frames, figures): of the variance of a figure, the part that is left when its mean over the frames is taken off.

    with_mean: its covariance with the mean. What lasts as long as the frames do, such as a point that is put too high
    throughout, leaves changes as they are.
    """
    left = variance - 2 * with_mean + with_mean.mean(0)
    return np.clip(left / np.where(variance > 0, variance, np.nan), 0.0, 1.0)


def _solved_window(
    objective: Objective, found: Minimum, inner: slice, precision: FloatType, publish: PublishedFigures | None
) -> Trajectory:
    coordinates = objective.basis.values @ found.points
    kept, response, reason = coordinates[inner], None, found.reason
    published: Mapping[str, np.ndarray] = {}
    if publish is not None:
        markers = objective.terms[0]
        assert isinstance(markers, MarkerTerm)
        factor, response = _posterior_factor(objective, coordinates, precision)
        if factor is None:  # nothing says where the body is, as in a gap as long as a window
            reason = reason or TOO_FEW_MARKERS_REASON
        published = publish(markers.of_window(inner), WindowPosterior(kept, factor, inner))
    return Trajectory(
        coordinates=kept,
        cost=objective.frame_costs(found.points)[inner],
        derived_figures=published,
        response=response,
        reason=(reason,) * len(kept),
    )


def _posterior_factor(
    objective: Objective, coordinates: np.ndarray, precision: FloatType
) -> tuple[Factor | None, np.ndarray | None]:
    """A factor of the posterior's precision at a minimum, and the response (free,): change of the estimate, mean over
    frames, when the truth of one coordinate changes by one for good.

    The estimate changes by H⁻¹ D 1 if the data's part of the precision H is D (the measurement response of retrieval
    theory: Rodgers 2000, Inverse Methods for Atmospheric Sounding, ch. 3).
    """
    markers, *others = objective.terms
    assert isinstance(markers, MarkerTerm)
    # Knots are so far apart that single precision is enough for the factor as well.
    kind = precision if objective.basis.spacing > 1 else float
    system = BandedSystem(objective.basis, coordinates.shape[1], kind)
    seen = markers.information(coordinates)
    system.add_blocks(seen)
    for term in others:
        if isinstance(term, LimitTerm):
            term = term.where_measured(seen)
        term.curve(coordinates, system, newton=False)
    objective.curve_smoothness(system)
    factor = system.factorise(sweeps=precision)
    return factor, None if factor is None else np.clip(factor.mean_response(seen), 0.0, 1.0)


# Errors that neighbouring markers share, as unknown coordinates of the body's tree.
#
# With one lumbar point too high, all of them are. Taken for independent, such errors look like a bent spine: over a
# lumbar spine of 15 cm, 1 cm of depth is some 30° of lordosis. So each group of markers gets an offset of its own,
# three coordinates along the axes of the bodies that carry them, unknown like a joint angle, with a prior about zero.
# A tree with offsets is a tree: each body that carries markers of a group gets a massless child that slides, all
# children of a group by the same three coordinates, or by a share of them: an error that changes along a row of
# markers is a few errors, of which each marker has its shares.
#
# Vertebrae are turned against each other. Points of a region that are all off by the same in space are not by the
# same along the axes of their vertebrae: of 15 mm, L5 turned by 25° on the sacrum makes 6 mm between the two, and
# over a lumbar spine 5 mm is 15° of lordosis. Such offsets are along the ground's axes.


OFFSET_AXES = "xyz"
MarkerShares = Mapping[int, float]  # index of a marker → its share of an error


def tree_with_marker_offsets(tree: Tree, groups: Sequence[MarkerShares], in_ground_frame: Sequence[bool] = ()) -> Tree:
    """The tree with three more free coordinates (m, after the others) per group of markers.

    in_ground_frame: of each group, whether it is moved along the ground's axes; by default none. All groups of a
    marker after such a one must be such as well.
    """
    functions, itself = with_identity_function(tree.functions)
    tree, kinds = tree._replace(functions=functions), [tree.slot_kind]
    for group, in_ground in zip(groups, in_ground_frame or [False] * len(groups), strict=True):
        before = tree.bodies
        tree = _with_sliding_children(tree, group, itself)
        kinds.append(np.full(3 * (tree.bodies - before), SLOT_SLIDE_IN_GROUND if in_ground else SLOT_SLIDE))
    slots = slots_of_joints(tree.parent, tree.child, tree.argument, tree.bodies)
    return tree._replace(**slots | {"slot_kind": np.concatenate(kinds)})


def _with_sliding_children(tree: Tree, group: MarkerShares, itself: int) -> Tree:
    """With a child that slides for each body that carries markers of the group; slots are not numbered yet. itself: the
    function that is its argument."""
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
        "function": np.tile([-1, -1, -1, itself, itself, itself], (count, 1)),
        "argument": np.tile([-1, -1, -1, *coordinates], (count, 1)),
    }
    joined: dict[str, Any] = {n: np.concatenate([getattr(tree, n), values]) for n, values in added.items()}
    return with_free_lengths(tree, 3)._replace(**joined, marker_body=marker_body, bodies=tree.bodies + count)


def tree_with_shared_errors(tree: Tree, errors: Sequence[SharedError], markers: Sequence[str]) -> Tree:
    """`tree_with_marker_offsets` for these errors of the tree's markers. Their mean in space turns with the bodies that
    carry them: it is added to the markers' places."""
    groups = marker_shares_of(errors, markers)
    offset = tree.marker_offset.copy()
    for error, group in zip(errors, groups, strict=True):
        if error.in_ground_frame:
            for m, share in group.items():
                offset[m] += share * np.array(error.mean)
    return tree_with_marker_offsets(
        tree._replace(marker_offset=offset), groups, [error.in_ground_frame for error in errors]
    )


def marker_shares_of(errors: Sequence[SharedError], markers: Sequence[str]) -> list[MarkerShares]:
    """Indices and shares of the markers of each error among `markers`.

    Raises `InputError` where two errors have all of one marker.
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
    """Each offset is its mean, more or less; in space zero, see `tree_with_shared_errors`."""
    about = [(0.0, 0.0, 0.0) if e.in_ground_frame else e.mean for e in errors]
    each = [
        (*of, e.correlation_time)
        for e, m in zip(errors, about, strict=True)
        for of in zip(m, e.sd_by_axis, strict=True)
    ]
    named = zip(offset_coordinate_names(errors), each, strict=True)
    return [
        LinearPrior(combination={name: 1.0}, mean=mean, sd=sd, source="shared error", correlation_time=time)
        for name, (mean, sd, time) in named
    ]
