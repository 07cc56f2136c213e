"""The inverse-kinematics objective E(z), z (frames, free coordinates): limits, markers, priors, and smoothness.

A term has `cost(z, gradient)`, which also adds half its gradient (frames, free), and `curve(z, system, newton)`, which
adds half its Hessian to a `BandedSystem`; newton: with the second-order part, where it has one. The halves make the
Gauss–Newton Hessian of Σ w d² simply Σ w JᵀJ; where the weights are inverse variances, E/2 is the negative log
posterior and the system at the minimum is the posterior's precision. `Objective` is their sum, with smoothness, over
the control points of a path.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from simspine.anatomy.tree import Tree
from simspine.core.errors import require_known
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

UNIFORM_VARIANCE_DIVISOR = 12.0  # the variance of a uniform distribution is the square of its range over this


@dataclass(frozen=True, eq=False)
class LimitTerm:
    """Joint limits, soft: Σ_t (how far outside its range)² / sd², nothing inside.

    lower, upper: (free,) rad or m, ±inf for none. sd: of an excess, same units. informative: (frames, free) bool or
    one for all, where being at a limit says how large a coordinate is.
    """

    lower: np.ndarray
    upper: np.ndarray
    sd: float = np.radians(1.0)
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

    def where_measured(self, information: np.ndarray) -> "LimitTerm":
        """For standard deviations: a coordinate that markers do not show is not known because it rests at its limit.

        information: see `MarkerTerm`. Less than a uniform distribution over the range is nothing.
        """
        of_range = UNIFORM_VARIANCE_DIVISOR / (self.upper - self.lower) ** 2
        return replace(self, informative=np.diagonal(information, axis1=1, axis2=2) > of_range)

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        system.add_diagonal(self.curvature(z))


LOSS_CODES = {"square": LOSS_SQUARE, "huber": LOSS_HUBER}
UNUSED_MATRIX, UNUSED_BLOCKS = np.empty((1, 1)), np.empty((1, 1, 1))  # typed like what is used


@dataclass(frozen=True, eq=False)
class MarkerTerm:
    """Σ_tm w_tm ρ(|x_m(q_t) − y_tm|), distances in metres.

    y: (frames, markers, 3) m. w: (frames, markers), 0 if missing. loss: 'square' or 'huber', from `scale` on, m,
    (frames, markers) or one for all. columns: `body_columns(tree)`, made where it is not given.
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
        """(frames,) bool: in which any marker counts."""
        return np.any(self.w > 0.0, axis=1)

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        if gradient is None:
            return self._terms(z, ORDER_VALUE)
        return self._terms(z, ORDER_GRADIENT, gradient=gradient)

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        for part in system.basis.batches():
            system.add_blocks(self.of_window(part).information(z[part], newton), part)

    def information(self, z: np.ndarray, newton: bool = False) -> np.ndarray:
        """(frames, free, free): what the markers say about each frame, Σ w JᵀJ; newton: with the second-order part."""
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


@dataclass(frozen=True, eq=False)
class PriorTerm:
    """Posture and rhythm: |S z_t − μ|²_Λ, Gaussian priors on linear combinations of coordinates.

    A departure d from the mean is correlated in time: a stiff level is stiff in the next frame too. Counting the prior
    anew in each frame would make it surer the more frames there are, so departures are a stationary process (Ornstein
    and Uhlenbeck 1930) with standard deviation s and decay a = exp(−Δt/τ) per frame:
    E = d₀²/s² + Σ_t (d_t − a d_{t−1})² / (s² (1 − a²)). Each frame by itself then has d ~ N(0, s²).

    Where markers' errors are correlated as well, k frames share one error, so of a lasting departure the markers say k
    times less than they seem to. The prior is then repeated in each frame, so often that of a constant departure it
    says k times as much; of how a departure changes neither says more or less than before.

    combinations: S (priors, free). mean, precision 1/s², decay a in 0…1 (0 = anew each frame), repetition: (priors,),
    the share of the precision that is added in each frame, see `prior_repetition`.
    """

    combinations: np.ndarray
    mean: np.ndarray
    precision: np.ndarray
    decay: np.ndarray
    repetition: np.ndarray | float = 0.0

    def cost(self, z: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        departure = z @ self.combinations.T - self.mean
        added = departure.copy()  # what each frame adds to it
        added[1:] -= self.decay * departure[:-1]
        weight = np.tile(self._later, (len(z), 1))
        weight[0] = self.precision
        pull, held = weight * added, self.repetition * self.precision * departure
        cost = (pull * added).sum(1) + (held * departure).sum(1)
        if gradient is not None:
            pull[:-1] -= self.decay * pull[1:]
            gradient += (pull + held) @ self.combinations
        return cost

    def curve(self, z: np.ndarray, system: BandedSystem, newton: bool) -> None:
        basis, (held, changes, ends) = system.basis, self._blocks
        system.add_form(basis.value_form, held)
        system.add_form(basis.change_form, changes)
        system.add_form(basis.end_form, ends)

    @cached_property
    def _blocks(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(free, free) each: by which all frames, changes from one frame to the next, and the two ends are held.

        With these, all weights of E are positive: (d_t − a d_{t−1})² = (1 − a)(d_t² − a d_{t−1}²) + a (d_t − d_{t−1})².
        """
        own = self.precision / (1 + self.decay)
        held = (1 - self.decay) * own + self.repetition * self.precision
        return self._block(held), self._block(self.decay * self._later), self._block(self.decay * own)

    @property
    def _later(self) -> np.ndarray:
        """Precision (priors,) of what a frame adds to the departure of the one before."""
        return self.precision / (1 - self.decay**2)

    def information(self) -> np.ndarray:
        """(free, free): what the priors say about a single frame."""
        return self._block(self.precision)

    def _block(self, weight: np.ndarray) -> np.ndarray:
        return (self.combinations.T * weight) @ self.combinations


def single_coordinate_precision_and_target(
    S: np.ndarray, mean: np.ndarray, precision: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(free,) precision with which priors about one coordinate hold it, and (free,) the value they draw it to.

    S: (priors, free). Of those about one coordinate, others that its posture goes with count for little.
    """
    size = np.abs(S)
    single = size.max(1, initial=0.0) > 0.9 * size.sum(1)
    S, precision = S[single], precision[single]
    held = (S**2).T @ precision
    return held, (S.T @ (precision * mean[single])) / np.where(held > 0.0, held, 1.0)


def prior_repetition(decay: np.ndarray, frames: int, shared: float) -> np.ndarray:
    """How often each frame must repeat priors (priors,) that all together they say `shared` times as much of a
    departure that stays the same over the trial; 0 for errors that are new in each frame (shared 1).
    """
    once = 1 + (frames - 1) * (1 - decay) / (1 + decay)  # what the process says of it, in units of its precision
    return (shared - 1) * once / frames


Term = MarkerTerm | LimitTerm | PriorTerm


class Evaluation(NamedTuple):
    """z: (points, free) control points of the path. cost: (points,) of the frames around each. gradient: half of it,
    (points, free)."""

    z: np.ndarray
    cost: np.ndarray
    gradient: np.ndarray


@dataclass(frozen=True, eq=False)
class Objective:
    """Σ terms + smoothness, Σ_t |Δ²z_t|² with a precision for each coordinate, over the paths of a basis.

    terms: of frames. acceleration: (free,) precision of Δ²z, per frame²; 0 leaves a coordinate free.
    """

    terms: tuple[Term, ...]
    acceleration: np.ndarray
    basis: Basis

    def of_window(self, frames: slice) -> "Objective":
        """Of a part of the frames, on a basis of its own."""
        basis = path_basis(frames.stop - frames.start, self.basis.spacing)
        terms = (term.of_window(frames) if isinstance(term, MarkerTerm) else term for term in self.terms)
        return replace(self, terms=tuple(terms), basis=basis)

    def evaluated(self, points: np.ndarray) -> Evaluation:
        basis = self.basis
        z, a = basis.values @ points, basis.accelerations @ points
        of_frames = np.zeros(z.shape)
        by_frame = self._frame_costs(z, a, of_frames)
        by_point = np.bincount(basis.point_of_frame, by_frame, minlength=basis.points)
        gradient = basis.values.T @ of_frames + basis.accelerations.T @ (self.acceleration * a)
        return Evaluation(points, by_point, gradient)

    def frame_costs(self, points: np.ndarray) -> np.ndarray:
        """(frames,): what each frame adds to the cost; an acceleration counts in the frame where it ends."""
        return self._frame_costs(self.basis.values @ points, self.basis.accelerations @ points)

    def _frame_costs(self, z: np.ndarray, a: np.ndarray, gradient: np.ndarray | None = None) -> np.ndarray:
        of_rows = (self.acceleration * a * a).sum(1)
        smoothness = np.bincount(self.basis.frame_of_row, of_rows, minlength=self.basis.frames)
        return np.sum([term.cost(z, gradient) for term in self.terms], axis=0) + smoothness

    def curve(self, points: np.ndarray, system: BandedSystem, newton: bool) -> None:
        """Fill `system` with half the Hessian; newton: include the second-order parts."""
        system.clear()
        z = self.basis.values @ points
        for term in self.terms:
            term.curve(z, system, newton)
        self.curve_smoothness(system)

    def curve_smoothness(self, system: BandedSystem) -> None:
        system.add_form(self.basis.acceleration_form, np.diag(self.acceleration))
