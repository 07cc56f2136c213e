"""Settings and results of inverse kinematics, `Solver` and `Result`, and the pose from which engines start."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import MappingProxyType

import numpy as np
import scipy

from simspine.anatomy.body import Body, forward_kinematics, neutral_markers, neutral_motion, neutral_poses
from simspine.anatomy.tree import Tree
from simspine.core.arrays import Unchanging
from simspine.core.errors import InputError, require_known
from simspine.core.geometry import nearest_angle_branch, other_angle_branch, rigid_fit
from simspine.core.types import HoldsArrays, Markers, Motion, read_only_array

DEFAULT_TOLERANCES = {"frames": 1e-5, "trajectory": 5e-5}  # by engine


@dataclass(frozen=True)
class Solver(Unchanging):
    """How an inverse-kinematics problem is solved.

    Attributes
    ----------
    engine : str, optional
        'trajectory' (the whole trial at once) or 'frames' (frame by frame, with OpenSim's objective). By default
        'frames' if there is neither smoothness nor prior.
    tolerance : float, optional
        Relative decrease of the cost at which to stop, 1e-5 by default (trajectory: 5e-5).
    min_markers : int
        Frames with fewer markers are not solved; `reason` of the result says so (trajectory: inferred from others).
    coordinate_tasks : {coordinate: (target, weight)}
        Engine 'frames' only: targets in rad or m; for the weights see docs/method.md.
    uncertainty : bool
        Trajectory only: whether to compute standard deviations.
    threads, window, overlap : int
        Trajectory only: number of threads; lengths of windows and of their overlap, in frames.
    """

    engine: str | None = None
    tolerance: float | None = None
    min_markers: int = 3
    coordinate_tasks: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    uncertainty: bool = True
    threads: int = 1
    window: int = 600
    overlap: int = 50

    def __post_init__(self):
        if self.engine is not None:
            require_known("engine", [self.engine], DEFAULT_TOLERANCES)
        if self.tolerance is not None and not (isinstance(self.tolerance, Real) and 0 < self.tolerance < np.inf):
            raise InputError(f"tolerance is {self.tolerance}, expected a positive number.")
        for name, minimum in (("min_markers", 0), ("threads", 1), ("window", 1), ("overlap", 0)):
            value = getattr(self, name)
            if not (isinstance(value, Integral) and value >= minimum):
                raise InputError(f"{name} is {value!r}, expected a whole number from {minimum} on.")
        for name, task in self.coordinate_tasks.items():
            try:
                target, weight = (float(value) for value in task)
            except (TypeError, ValueError):
                target = weight = np.nan
            if not (np.isfinite([target, weight]).all() and weight >= 0):
                raise InputError(
                    f"the task of {name!r} is {task!r}, expected (target in rad or m, weight of 0 or more)."
                )
        self._set(coordinate_tasks=MappingProxyType(dict(self.coordinate_tasks)))


# Function of coordinates z (frames, free) and their covariance (frames, free, free): {name: figures (frames, …)}.
DerivedFigures = Callable[[np.ndarray, np.ndarray], Mapping[str, np.ndarray]]
# `derive` may return gradients (frames, figures, free) of some figures by the first name. The result has, by the second
# name, standard deviations (frames, figures) of these figures' changes: of a value minus its mean over a window.
GRADIENT_KEY, CHANGE_KEY = "gradient", "change"


@dataclass(frozen=True, eq=False)
class Posterior(Unchanging):
    """Figures of the trajectory engine's posterior, apart from `motion.deviation`.

    Attributes
    ----------
    response : (coordinates,) array
        Measurement response: the share of a lasting change of a coordinate that its estimate shows, 1 = measured,
        0 = assumed. Driven coordinates have their driver's, locked ones NaN.
    derived : {str: (frames, …) array}
        What `derive` returned, interpolated to all frames, and the standard deviations of changes.
    """

    response: np.ndarray
    derived: Mapping[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Result(HoldsArrays):
    """Coordinates of a body, and how well they explain the markers.

    Attributes
    ----------
    motion : Motion
        Frames that were not solved are NaN; the engine 'trajectory' infers them from the frames around instead.
    marker_names : tuple of str
        The fitted markers.
    marker_error : (frames, markers) array
        Distance between the body's marker and the one given, m; NaN where that is missing.
    cost : (frames,) array
        Value of the objective; NaN where not solved.
    converged : (frames,) array of bool
    reason : tuple of str
        For each frame why it was not solved, or only after a restart; '' if it was solved.
    posterior : Posterior or None
        With the engine 'trajectory' and uncertainty.
    """

    motion: Motion
    marker_names: tuple[str, ...]
    marker_error: np.ndarray
    cost: np.ndarray
    converged: np.ndarray
    reason: tuple[str, ...]
    posterior: Posterior | None = None

    def __post_init__(self):
        frames = self.motion.frames
        self._set_arrays({"marker_error": (frames, len(self.marker_names)), "cost": (frames,)})
        self._set_arrays({"converged": (frames,)}, bool)
        if self.posterior is not None:
            read_only_array("Posterior", "response", self.posterior.response, shape=(len(self.motion.names),))
        if len(self.reason) != frames:
            raise InputError(f"Result.reason has {len(self.reason)} entries, expected {frames}.")
        self._set(reason=tuple(self.reason))


def result_of(
    body: Body,
    markers: Markers,
    values: np.ndarray,
    weights: np.ndarray,
    reasons: Sequence[str],
    *,
    tasks: Mapping[str, tuple[float, float]] | None = None,
    cost: np.ndarray | None = None,
    posterior: Posterior | None = None,
) -> Result:
    """The `Result` for solved coordinates, with marker errors from forward kinematics.

    values: (frames, coordinates), NaN where not solved. reasons: a frame with values converged if its reason is ''.
    tasks: OpenSim's coordinate tasks. cost: (frames,), by default OpenSim's objective.
    """
    motion = Motion(body.coordinates.names, markers.rate, values, body.coordinates.rotational, start=markers.start)
    error = np.linalg.norm(forward_kinematics(body, motion, names=markers.names).xyz - markers.xyz, axis=-1)
    solved = np.isfinite(values).all(1)
    cost = objective_per_frame(body, values, error, weights=weights, tasks=tasks or {}) if cost is None else cost
    converged = solved & np.array([not reason for reason in reasons], bool)
    return Result(
        motion=motion, marker_names=markers.names, marker_error=error, cost=cost, converged=converged,
        reason=tuple(reasons), posterior=posterior,
    )  # fmt: skip


def objective_per_frame(
    body: Body, values: np.ndarray, error: np.ndarray, weights: np.ndarray, tasks: Mapping[str, tuple[float, float]]
) -> np.ndarray:
    """(frames,) Σ w d² + Σ w_c (Σ w) (q − q₀)² over the markers present; error: (frames, markers) m.

    OpenSim divides the markers' part by the sum of their weights, so a task of weight w_c here has the weight w_c·Σ w.
    """
    w = np.where(np.isfinite(error), weights, 0.0)
    cost = (w * np.nan_to_num(error) ** 2).sum(1)
    for name, (target, weight) in tasks.items():
        cost = cost + weight * w.sum(1) * (values[:, body.coordinates.index(name)] - target) ** 2
    return np.where(np.isfinite(values).all(1), cost, np.nan)


# Rotations about three perpendicular axes reach each orientation by two sets of angles: (a, b, c) and
# (a + π, π − b, c + π). A solver may end at either. Readers expect the angles inside the coordinates' ranges: an arm
# flexed by −1°, not one flexed by 179° with the other two angles changed as well.


def canonical_branch(body: Body, z: np.ndarray) -> np.ndarray:
    """z (frames, free) with each joint's angles continuous in time and nearest to their ranges; poses stay the same.

    Frames that were solved one by one may be on different branches, or whole turns apart. NaN frames stay NaN. For a
    joint to ground only the second angle has a range, since people may face anywhere.
    """
    tree = body.tree
    z = z.copy()
    for joint, columns in _perpendicular_triples(tree):
        lower, upper = body.coordinates.lower[tree.free[columns]], body.coordinates.upper[tree.free[columns]]
        if tree.parent[joint] == 0:
            lower, upper = np.array([-np.inf, -np.pi / 2, -np.inf]), np.array([np.inf, np.pi / 2, np.inf])
        known = np.isfinite(z[:, columns]).all(1)
        angles = np.unwrap(nearest_angle_branch(z[np.ix_(known, columns)]), axis=0)
        branches = [_whole_turns_removed(each, lower, upper) for each in (angles, other_angle_branch(angles))]
        outside = [np.square(np.maximum(each - upper, 0) + np.maximum(lower - each, 0)).sum() for each in branches]
        z[np.ix_(known, columns)] = branches[int(outside[1] < outside[0])]
    return z


def _perpendicular_triples(tree: Tree):
    """(joint, columns) of joints with three perpendicular rotation axes, each driven by its own free coordinate."""
    for j in range(len(tree.parent)):
        columns = [int(tree.column[c]) if c >= 0 else -1 for c in tree.argument[j, :3]]
        if min(columns) < 0 or len(set(columns)) < 3 or not tree.periodic[columns].all():
            continue
        axes = tree.axes[j, :3]
        if np.allclose(axes @ axes.T, np.eye(3)):
            yield j, columns


def _whole_turns_removed(angles: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """Angles (frames, 3) minus the whole turns that bring their medians nearest to the ranges' middle."""
    middle = (np.clip(lower, -np.pi, np.pi) + np.clip(upper, -np.pi, np.pi)) / 2
    turns = np.round((np.median(angles, axis=0) - middle) / (2 * np.pi)) if len(angles) else 0.0
    return angles - 2 * np.pi * turns


# rad. With a straight elbow, the upper arm's rotation about its long axis is undetermined. If a solver starts in the
# wrong direction, the elbow's limit keeps it there. Of 180 arm postures, 39 are missed from straight elbows, 4 from
# bent ones (tests/estimation/test_start.py).
BENT_HINGE_RAD = np.radians(45.0)
TRUNK_BODIES = ("pelvis", "sacrum", "lumbar5", "lumbar4", "lumbar3", "lumbar2", "lumbar1", "torso", "head")


def rigid_start(body: Body, names: Sequence[str], observed: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coordinates (coordinates,) for the observed places (markers, 3) m of these markers, NaN = missing.

    A rigid fit of the trunk's markers gives place and heading, whichever way the person faces; limbs stay neutral.
    With fewer than three trunk markers all markers are fitted; with fewer than three in all, the default pose is
    returned. weights: (markers,); a marker of weight 0 is not used."""
    tree, values, poses = body.tree, neutral_motion(body).values[0].copy(), neutral_poses(body)
    indices, root = [body.marker_index(name) for name in names], root_joint(tree)
    usable = np.isfinite(observed).all(-1) & (weights > 0)
    carriers = [body.marker_bodies[i] for i in indices]
    of_trunk = [name in TRUNK_BODIES or (name[:1] in "TC" and name[1:].isdigit()) for name in carriers]
    trunk = usable & np.array(of_trunk, bool)
    chosen = trunk if trunk.sum() >= 3 else usable
    if root is None or chosen.sum() < 3:
        return values
    child = poses[body.bodies[tree.child[root] - 1]]
    neutral = neutral_markers(body, poses)[indices]
    rotation, translation = rigid_fit(neutral[chosen], observed[chosen], weights[chosen])
    moved = np.column_stack([rotation @ child[:3, :3], rotation @ child[:3, 3] + translation])
    place_root(tree, root, moved, values)
    return values


def with_bent_hinges(body: Body, values: np.ndarray) -> np.ndarray:
    """Values (coordinates,) with elbows, knees and other angles at an end of their range moved inside it by
    `BENT_HINGE_RAD`."""
    c = body.coordinates
    free = np.isin(np.arange(len(c)), body.tree.free) & c.rotational & (c.upper - c.lower > 2 * BENT_HINGE_RAD)
    low, high = (free & (np.abs(values - end) < np.radians(1.0)) for end in (c.lower, c.upper))
    return values + BENT_HINGE_RAD * low - BENT_HINGE_RAD * high


def root_joint(tree: Tree) -> int | None:
    """Index of the joint to ground with three rotations and three translations, each equal to its own coordinate.

    None if the model has no such joint."""
    for j in np.flatnonzero(tree.parent == 0):
        f = tree.function[j]
        single = (tree.argument[j] >= 0).all() and len(set(tree.argument[j])) == 6
        at_zero = tree.functions.coefficients[tree.functions.first[f], 0]
        if single and not at_zero.any() and all(tree.functions.slope(int(i)) == 1.0 for i in f):
            return int(j)
    return None


def place_root(tree: Tree, j: int, pose: np.ndarray, values: np.ndarray) -> None:
    """Set the root's coordinates in `values` (coordinates,) so that its child has the pose (3, 4) in ground."""
    F, M = tree.to_joint[j], tree.from_joint[j]
    turned = F[:, :3].T @ pose[:, :3] @ M[:, :3].T
    moved = F[:, :3].T @ (pose[:, 3] - F[:, 3]) - turned @ M[:, 3]
    axes, directions = tree.axes[j, :3], tree.axes[j, 3:]
    values[tree.argument[j, :3]] = scipy.spatial.transform.Rotation.from_matrix(turned).as_davenport(axes, "intrinsic")
    values[tree.argument[j, 3:]] = np.linalg.solve(directions.T, moved)


def first_pose(body: Body, markers: Markers, weights: np.ndarray) -> np.ndarray:
    """Free coordinates (free,) to start from: a rigid fit of the trunk, with neutral limbs but bent elbows and knees.

    The fit is in the first frame with at least 80 % of the largest number of markers in any frame."""
    usable = np.where(markers.present, weights, 0.0) > 0
    count = usable.sum(1)
    frame = int(np.argmax(count >= max(1, 0.8 * count.max())))
    values = rigid_start(body, markers.names, markers.xyz[frame], np.where(usable[frame], weights[frame], 0.0))
    return with_bent_hinges(body, values)[body.tree.free]
