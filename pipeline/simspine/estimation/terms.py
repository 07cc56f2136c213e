"""The inverse-kinematics objective E(z), z (frames, free coordinates): limits, markers, priors, and smoothness.

Each term has two methods. `cost(z, gradient)` returns the cost of each frame and adds half the gradient to `gradient`
(frames, free). `curve(z, system)` adds half the Gauss–Newton Hessian to a `BandedSystem`, which for Σ w d² is simply
Σ w JᵀJ. With inverse variances as weights, E/2 is the negative log posterior, and the system at its minimum is the
posterior's precision. `Objective` is the sum of the terms and of smoothness, as a function of a path's control points.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import scipy

from simspine.anatomy.tree import Tree
from simspine.core.errors import require_known
from simspine.core.kernels import ENTRY_KERNEL_OPTIONS, njit
from simspine.estimation.banded import BandedSystem
from simspine.estimation.marker_kernels import (
    LOSS_HUBER,
    LOSS_SQUARE,
    ORDER_GAUSS_NEWTON,
    ORDER_GRADIENT,
    ORDER_NEWTON,
    ORDER_VALUE,
    BodyColumns,
    MarkerData,
    body_columns,
    frames_terms,
)
from simspine.estimation.path_basis import Basis, path_basis

LIMIT_SD_RAD = np.radians(5.0)  # between people, of the ends of joints' ranges: 3–9° (Boone & Azen 1979, 12 motions)
UNIFORM_VARIANCE_DIVISOR = 12.0  # the variance of a uniform distribution is the square of its range divided by this


@dataclass(frozen=True, eq=False)
class LimitTerm:
    """Soft joint limits: Σ_t excess² / sd², where the excess over a coordinate's range is 0 inside it.

    lower, upper: (free,) rad or m, ±inf for none. sd: of the excess, in the same units. informative: (frames, free)
    bool, or one for all: whether a coordinate's limit adds to its precision.
    """

    lower: np.ndarray
    upper: np.ndarray
    sd: float = LIMIT_SD_RAD
    informative: np.ndarray | bool = True

    def _excess(self, z: np.ndarray) -> np.ndarray:
        return np.minimum(z - self.lower, 0.0) + np.maximum(z - self.upper, 0.0)

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        excess = self._excess(z)
        if gradient is not None:
            gradient += excess / self.sd**2
        return (excess**2).sum(1) / self.sd**2

    def curvature(self, z: np.ndarray) -> np.ndarray:
        """(frames, free): half the second derivatives."""
        return (self._excess(z) != 0.0) * self.informative / self.sd**2

    def where_measured(self, precision: np.ndarray) -> "LimitTerm":
        """Limits for standard deviations: they add no precision to coordinates that the markers do not determine.

        precision: (frames, free) of the markers, the diagonal of `MarkerTerm.information`. A coordinate counts as
        determined if it exceeds that of a uniform distribution over its range."""
        of_range = UNIFORM_VARIANCE_DIVISOR / (self.upper - self.lower) ** 2
        return replace(self, informative=precision > of_range)

    def curve(self, z: np.ndarray, system: BandedSystem) -> None:
        system.add_diagonal(self.curvature(z))


INTERVALS_PER_BATCH = 32  # intervals whose Hessian blocks are computed together: so many fit into the processor's cache
LOSS_CODES = {"square": LOSS_SQUARE, "huber": LOSS_HUBER}
UNUSED_MATRIX, UNUSED_BLOCKS = np.empty((0, 0)), np.empty((0, 0, 0))  # of the types that the kernels expect


@dataclass(frozen=True, eq=False)
class MarkerTerm:
    """Σ_tm w_tm ρ(|x_m(q_t) − y_tm|), distances in metres.

    y: (frames, markers, 3) m. w: (frames, markers), 0 if missing. loss: 'square' or 'huber', which is linear beyond the
    distance `scale`, m, (frames, markers) or one for all. columns: by default `body_columns(tree)`.
    """

    tree: Tree
    y: np.ndarray
    w: np.ndarray
    loss: str = "square"
    scale: np.ndarray | float = 1.0
    columns: BodyColumns | None = None

    def __post_init__(self):
        require_known("loss", [self.loss], LOSS_CODES)
        if self.columns is None:
            object.__setattr__(self, "columns", body_columns(self.tree))
        scale = np.broadcast_to(np.asarray(self.scale, float), self.w.shape)
        for name, values in (("y", self.y), ("w", self.w), ("scale", scale)):
            object.__setattr__(self, name, np.require(values, float, ["C", "W"]))  # kernels are compiled for one layout

    @property
    def seen(self) -> np.ndarray:
        """(frames,) bool: whether any marker has a weight above 0."""
        return np.any(self.w > 0.0, axis=1)

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        order = ORDER_VALUE if gradient is None else ORDER_GRADIENT
        return self._terms(z, order, gradient=UNUSED_MATRIX if gradient is None else gradient)

    def curve(self, z: np.ndarray, system: BandedSystem) -> None:
        of_intervals, means = self.of_intervals(system.basis), system.basis.means_of_intervals(z)
        for begin in range(0, len(means), INTERVALS_PER_BATCH):
            part = slice(begin, begin + INTERVALS_PER_BATCH)
            system.add_blocks(of_intervals.of_window(part).information(means[part]), begin)

    def of_intervals(self, basis: Basis) -> "MarkerTerm":
        """One frame in the place of all frames of an interval between knots.

        It has the interval's mean places of the markers and the sums of their weights. At the interval's mean
        coordinates its Hessian is thus nearly the sum of those of the interval's frames.
        """
        if basis.spacing == 1:
            return self
        w = basis.sums_of_intervals(self.w)
        weighted = basis.sums_of_intervals(np.where(self.w[..., None] > 0.0, self.w[..., None] * self.y, 0.0))
        y = weighted / np.where(w > 0.0, w, 1.0)[..., None]
        return replace(self, y=y, w=w, scale=basis.means_of_intervals(np.asarray(self.scale)))

    def information(self, z: np.ndarray, newton: bool = False) -> np.ndarray:
        """(frames, free, free): information of the markers, Σ w JᵀJ; newton: with the second-order part."""
        blocks = np.empty((*z.shape, z.shape[1]))
        self._terms(z, ORDER_NEWTON if newton else ORDER_GAUSS_NEWTON, information=blocks)
        return blocks

    def _terms(
        self, z: np.ndarray, order: int, gradient: np.ndarray = UNUSED_MATRIX, information: np.ndarray = UNUSED_BLOCKS
    ) -> np.ndarray:
        data = MarkerData(self.y, self.w, LOSS_CODES[self.loss], np.asarray(self.scale))
        return frames_terms(self.tree, self.columns, np.ascontiguousarray(z), data, order, gradient, information)

    def of_window(self, frames: slice | np.ndarray) -> "MarkerTerm":
        return replace(self, y=self.y[frames], w=self.w[frames], scale=np.asarray(self.scale)[frames])


@njit(**ENTRY_KERNEL_OPTIONS)
def prior_terms(starts, columns, shares, mean, decay, precision, repeated, z, gradient):
    """Cost (frames,) of priors at z (frames, free); adds half the gradient to `gradient`, unless that is empty.

    starts, columns, shares: the combinations as a sparse matrix by rows. The next four, (priors,): as in `PriorTerm`,
    repeated: the precision that is repeated in each frame."""
    frames, priors = z.shape[0], mean.size
    cost, before, of_innovation = np.zeros(frames), np.zeros(priors), precision / (1 - decay**2)
    for t in range(frames):
        for k in range(priors):
            departure = -mean[k]
            for e in range(starts[k], starts[k + 1]):
                departure += shares[e] * z[t, columns[e]]
            innovation = departure if t == 0 else departure - decay[k] * before[k]
            pull = innovation * (precision[k] if t == 0 else of_innovation[k])
            force = repeated[k] * departure
            cost[t] += pull * innovation + force * departure
            before[k] = departure
            if gradient.size == 0:
                continue
            for e in range(starts[k], starts[k + 1]):
                gradient[t, columns[e]] += shares[e] * (pull + force)
                if t > 0:
                    gradient[t - 1, columns[e]] -= shares[e] * decay[k] * pull
    return cost


@dataclass(frozen=True, eq=False)
class PriorTerm:
    """Posture and rhythm: |S z_t − μ|²_Λ, Gaussian priors on linear combinations of coordinates.

    A departure d from the mean is correlated in time: a stiff level is stiff in the next frame too. Independent priors
    in each frame would get stronger with the number of frames. So departures are a stationary process (Ornstein and
    Uhlenbeck 1930) with standard deviation s and decay a = exp(−Δt/τ) per frame:
    E = d₀²/s² + Σ_t (d_t − a d_{t−1})² / (s² (1 − a²)). In each single frame then d ~ N(0, s²).

    Where markers' errors are correlated as well, k frames share one error, so the markers hold k times less information
    about a lasting departure than their weights say. The prior is then repeated in each frame, so that its precision of
    a constant departure is k times as large. The precision of changes of a departure stays as it is.

    combinations: S (priors, free). The others are (priors,): mean μ, precision 1/s², decay a in 0…1 (0: independent
    frames), and repetition, the share of the precision that is added in each frame, see `prior_repetition`.
    """

    combinations: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    decay: np.ndarray
    repetition: np.ndarray | float = 0.0

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        S, repeated = self._sparse_combinations, self.repetition * self.precision
        factors = (self.mean, self.decay, self.precision, repeated, np.ascontiguousarray(z))
        return prior_terms(S.indptr, S.indices, S.data, *factors, UNUSED_MATRIX if gradient is None else gradient)

    def curve(self, z: np.ndarray, system: BandedSystem) -> None:
        basis = system.basis
        system.add_forms([basis.value_form, basis.change_form, basis.end_form], self._blocks)

    @cached_property
    def _sparse_combinations(self) -> "scipy.sparse.csr_array":
        return scipy.sparse.csr_array(self.combinations)

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Precisions (free, free) of each frame's values, of changes between frames, and of the first and last values.

        By (d_t − a d_{t−1})² = (1 − a)(d_t² − a d_{t−1}²) + a (d_t − d_{t−1})², E is a sum of these with weights ≥ 0.
        """
        end = self.precision / (1 + self.decay)
        value = (1 - self.decay) * end + self.repetition * self.precision
        changes = self._block(self.decay * self.precision / (1 - self.decay**2))
        return self._block(value), changes, self._block(self.decay * end)

    def information(self) -> np.ndarray:
        """(free, free): precision of the priors in a single frame."""
        return self._block(self.precision)

    def _block(self, weight: np.ndarray) -> np.ndarray:
        return (self.combinations.T * weight) @ self.combinations


def single_coordinate_precision_and_target(
    S: np.ndarray, mean: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(free,) precision and (free,) target value of each coordinate, from the priors about a single coordinate.

    S: (priors, free). A prior is about a single coordinate if that has over 0.9 of the sum of absolute factors in S.
    """
    size = np.abs(S)
    single = size.max(1, initial=0.0) > 0.9 * size.sum(1)
    S, precision = S[single], precision[single]
    total = (S**2).T @ precision
    return total, (S.T @ (precision * mean[single])) / np.where(total > 0.0, total, 1.0)


def prior_repetition(decay: np.ndarray, frames: int, shared: float) -> np.ndarray:
    """(priors,): share of each prior's precision to repeat in each frame, for `PriorTerm`.

    It makes the precision of a constant departure `shared` times as large; 0 for shared = 1, independent errors."""
    once = 1 + (frames - 1) * (1 - decay) / (1 + decay)  # precision of a constant departure, in units of `precision`
    return (shared - 1) * once / frames


Term = MarkerTerm | LimitTerm | PriorTerm


class Evaluation(NamedTuple):
    """z: (points, free) control points of the path. cost: its cost. gradient: (points, free) half the gradient."""

    z: np.ndarray
    cost: float
    gradient: np.ndarray


@dataclass(frozen=True, eq=False)
class Objective:
    """Σ terms + smoothness, Σ_t |Δ²z_t|² with a precision for each coordinate, for paths of a basis.

    terms: functions of z (frames, free). acceleration: (free,) precision of Δ²z; 0: no smoothness of that coordinate.
    """

    terms: tuple[Term, ...]
    acceleration: np.ndarray
    basis: Basis

    def of_window(self, frames: slice) -> "Objective":
        """The objective of some consecutive frames, on their own basis."""
        basis = path_basis(frames.stop - frames.start, self.basis.spacing)
        terms = (term.of_window(frames) if isinstance(term, MarkerTerm) else term for term in self.terms)
        return replace(self, terms=tuple(terms), basis=basis)

    def evaluated(self, points: np.ndarray) -> Evaluation:
        basis = self.basis
        z, a = basis.values @ points, basis.accelerations @ points
        frame_gradient = np.zeros(z.shape)
        cost = float(self._frame_costs(z, a, frame_gradient).sum())
        gradient = basis.values.T @ frame_gradient + basis.accelerations.T @ (self.acceleration * a)
        return Evaluation(points, cost, gradient)

    def frame_costs(self, points: np.ndarray) -> np.ndarray:
        """(frames,): each frame's part of the cost; accelerations belong to frames by `Basis.frame_of_row`."""
        return self._frame_costs(self.basis.values @ points, self.basis.accelerations @ points)

    def _frame_costs(self, z: np.ndarray, a: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        row_costs = (self.acceleration * a * a).sum(1)
        smoothness = np.bincount(self.basis.frame_of_row, row_costs, minlength=self.basis.frames)
        return np.sum([term.cost(z, gradient) for term in self.terms], axis=0) + smoothness

    def curve(self, points: np.ndarray, system: BandedSystem) -> None:
        """Set `system` to half the Gauss–Newton Hessian."""
        system.clear()
        z = self.basis.values @ points
        for term in self.terms:
            term.curve(z, system)
        self.curve_smoothness(system)

    def curve_smoothness(self, system: BandedSystem) -> None:
        system.add_forms([self.basis.acceleration_form], [np.diag(self.acceleration)])
