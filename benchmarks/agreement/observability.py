"""Which coordinates two solvers of the same frame must agree on, decided before either result is looked at.

Around a minimum of E = Σ w d² + Σ ridge (z − target)² the cost rises by δᵀHδ, H = Σ w JᵀJ + ridge (Gauss–Newton;
couplers are in J). With the others following, moving coordinate i by δ costs δ²/(H⁻¹)ᵢᵢ. Ranges of clamped coordinates
count for what they say, and no more: where R is the range's width, a movement over all of it is as unlikely as the
disturbance in question, which adds (disturbance)/R² to H's diagonal. Without that, a forearm whose rotation nothing
shows could turn many times round and make the upper arm, which it hardly moves, look unseen. A coordinate that stands
at a bound counts as free, since in another result it may stand elsewhere.

Where OpenSim may stop: its assembler hands E/(2Σw) to IPOPT, with all tolerances equal to `accuracy` (Simbody's
Assembler.cpp and InteriorPointOptimizer.cpp). So what it leaves of that function's slope is at most `accuracy` by each
coordinate, driven ones included, plus the barrier's, whose product with the distance to the bound is at most that.
"""

from dataclasses import dataclass

import numpy as np

from simspine.anatomy.tree import Tree, all_coordinates, markers_and_jacobian
from simspine.estimation.frame_engine import Frames

UNSEEN = 1e-9  # m²: stiffness of a direction that nothing at all holds


@dataclass(frozen=True, eq=False)
class ObservedCoordinates:
    """(frames, free) each, rad or m. noise: standard deviation that noise of the markers gives the coordinate. shown:
    change that raises the cost by a given share. stop: how far off it OpenSim may stop."""

    noise: np.ndarray
    shown: np.ndarray
    stop: np.ndarray


def observability(
    tree: Tree, z: np.ndarray, frames: Frames, noise: float = 0.005, rise: float = 1e-3, accuracy: float = 1e-6
) -> ObservedCoordinates:
    """What a trial's frames say about each free coordinate, at the solution z (frames, free).

    tree: with the markers of `frames`. noise: m, standard deviation of a marker of weight 1 in each direction; weights
    are taken as inverse variances. rise: share of the cost. accuracy: OpenSim's.
    """
    parts = []
    spread = driven_spread(tree, z)
    width = tree.upper - tree.lower
    for t in range(len(z)):
        H, _, cost = _terms(tree, z[t], _frame(frames, t))
        room = np.minimum(z[t] - tree.lower, tree.upper - z[t])
        stop = stopping_distance(H, width, room, spread[t], accuracy * frames.w[t].sum())
        parts.append((noise_deviation(H, width, noise), change_shown(H, width, rise * cost), stop))
    return ObservedCoordinates(*(np.array(part) for part in zip(*parts, strict=True)))


def noise_deviation(H: np.ndarray, width: np.ndarray, noise: float) -> np.ndarray:
    """(free,) standard deviation by noise. H: (free, free), half the Hessian. width: (free,) of ranges, inf without. A
    range says what a uniform distribution over it says: variance width²/12."""
    return noise * np.sqrt(np.diag(_inverse(H, 12 * noise**2, width)))


def change_shown(H: np.ndarray, width: np.ndarray, rise: float) -> np.ndarray:
    """(free,) change of each coordinate that costs `rise` (m²), the others following."""
    return np.sqrt(rise * np.diag(_inverse(H, rise, width)))


def stopping_distance(
    H: np.ndarray, width: np.ndarray, room: np.ndarray, spread: np.ndarray, left: float
) -> np.ndarray:
    """(free,) how far off each coordinate may be where an interior-point solver stops.

    Each slope that it leaves is taken as large as it may be; they are added as independent ones are, root of the sum of
    squares, since all forty at their largest with the worst of signs do not happen.

    room: (free,) distance to the nearer bound, inf without. spread: (free,) see `driven_spread`. left: what may be left
    of half the slope by one coordinate, and of half the slope times the distance to a bound.
    """
    inverse = _inverse(H, left, width)
    stiffness = 1.0 / np.diag(inverse)
    bounded = np.isfinite(room)
    half = stiffness * np.where(bounded, np.maximum(room, 0.0), 0.0) / 2
    # The barrier pushes a coordinate by d off its bound: h d (room + d) = left. The others go along with it.
    push = np.where(bounded, left / (half + np.sqrt(half**2 + stiffness * left)), 0.0)
    return np.sqrt(inverse**2 @ ((stiffness * push) ** 2 + (left * spread) ** 2))


def driven_spread(tree: Tree, z: np.ndarray) -> np.ndarray:
    """(frames, free): Σ |∂q/∂z| over the coordinates that each free coordinate drives, itself included."""
    factor = np.abs(all_coordinates(tree, np.ascontiguousarray(z))[1])
    spread = np.zeros(z.shape)
    for c, column in enumerate(tree.column):
        if column >= 0:
            spread[:, column] += factor[:, c]
    return spread


def slope_left(tree: Tree, z: np.ndarray, frames: Frames, accuracy: float = 1e-6) -> np.ndarray:
    """(frames,) largest slope that OpenSim left by a coordinate without range, over what its rule lets it leave."""
    spread = driven_spread(tree, z)
    open_ended = np.isinf(tree.upper - tree.lower)
    left = np.array([_terms(tree, z[t], _frame(frames, t))[1] for t in range(len(z))])
    return (np.abs(left) / (accuracy * frames.w.sum(1)[:, None] * spread))[:, open_ended].max(1)


def _frame(frames: Frames, t: int) -> Frames:
    return Frames(*(values[t] for values in frames))


def _terms(tree: Tree, z: np.ndarray, frame: Frames) -> tuple[np.ndarray, np.ndarray, float]:
    """Half the Gauss–Newton Hessian (free, free), half the slope (free,), and the cost of one frame."""
    x, J = markers_and_jacobian(tree, z)
    J = J.transpose(0, 2, 1).reshape(-1, z.size)
    weight, residual, aside = np.repeat(frame.w, 3), (x - frame.y).ravel(), z - frame.target
    H = (J * weight[:, None]).T @ J + np.diag(frame.ridge)
    slope = J.T @ (weight * residual) + frame.ridge * aside
    return H, slope, weight @ residual**2 + frame.ridge @ aside**2


def _inverse(H: np.ndarray, disturbance: float, width: np.ndarray) -> np.ndarray:
    return np.linalg.inv(H + np.diag(disturbance / width**2 + UNSEEN))
