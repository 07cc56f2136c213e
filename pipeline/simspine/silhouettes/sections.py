"""Trunk sections from lines of sight that touch them.

A section is convex, keeps its shape through a trial and moves. Its outline is described by its support function, the
distance from its centre to the tangent with the outward normal at φ: h(φ) = Σ a_k cos kφ + b_k sin kφ, with k = 0, 2,
3, 4, 5 (k = 1 is the centre). A line of sight that touches it is one linear equation for shape and centre, so least
squares with a prior on shapes is the whole answer, repeated only for outliers. (An ellipse is no model of a trunk:
fitted to cameras off the profile it lies 1 to 4 cm behind the back.) The centres of all frames form a banded system,
which the few lasting unknowns, shape and an error of each view and side, border.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solveh_banded

from simspine.silhouettes.levels import WIDER, TrunkLevel

ORDERS = (2, 3, 4, 5)
# Errors of a tangent, m: lasting ones of a view and side (cameras, the network's idea of the outline) and those that
# change with posture, correlated over about a second. On the demonstration a tangent misses by 3 mm.
LASTING_SD, CHANGING_SD, CORRELATION_S = 0.008, 0.004, 1.0
CENTRE, CENTRE_SD = (0.0, 0.03), (0.03, 0.06)  # m, right and forward of the axis; mean over the trial
ACCELERATION = 3.0  # m/s², of the centre against the axis
FAR = 3.0  # changing standard deviations beyond which a tangent loses its weight
ROUNDS = 5
BAND = 5  # sub-diagonals: two coordinates, two frames on


@dataclass(frozen=True)
class TrunkSection:
    """rear, right: (frames,) m in the section's plane from the axis: the rearmost tangent forward of it, and the
    centre to the right. sd: m, of what is lasting in `rear`'s error. residual: m, median of the tangents'.
    """

    rear: np.ndarray
    right: np.ndarray
    sd: float
    residual: float


def fit_section(level: TrunkLevel, distance: np.ndarray, normal: np.ndarray, rate: float) -> TrunkSection:
    """The section of a level in all frames.

    distance: (frames, tangents) m of each tangent from the axis; NaN = none. normal: (frames, tangents, 2) outward,
    right and forward. rate: frames/s. At least three frames.
    """
    frames, count = distance.shape
    row, column = np.nonzero(np.isfinite(distance))
    n, d = normal[row, column], distance[row, column]
    fixed = np.zeros((len(row), 1 + 2 * len(ORDERS) + count))
    own = 1 + 2 * len(ORDERS)
    fixed[:, :own] = waves(np.arctan2(n[:, 0], n[:, 1]))
    fixed[np.arange(len(row)), own + column] = 1.0
    spread = WIDER * np.array(level.spread)
    sd = np.concatenate([spread, spread[1:] / 2, np.full(count, LASTING_SD)])
    mean = np.concatenate([level.shape, np.zeros(len(ORDERS) + count)])
    calm = _calm(frames, rate)
    start = np.tile(CENTRE, frames)
    shape, centre = mean, start
    bordered = _Bordered(np.zeros((0, 0)), np.zeros((0, 0)))
    for _ in range(ROUNDS):
        miss = d - fixed @ shape - (n * centre.reshape(-1, 2)[row]).sum(1)
        weight = 1.0 / (1.0 + (miss / (FAR * CHANGING_SD)) ** 2) / (CHANGING_SD**2 * max(1.0, rate * CORRELATION_S))
        if bordered.inverse.size == 0:
            weight = np.full_like(miss, weight.max())
        before = d - fixed @ mean - (n * start.reshape(-1, 2)[row]).sum(1)
        shape, centre, bordered = _solved(fixed, n, row, weight, before, sd, calm)
        shape, centre = shape + mean, centre + start
    lasting = bordered.to_lasting(-np.append(waves(np.array([np.pi]))[0], np.zeros(count)))
    sd_rear = float(np.sqrt(np.einsum("ti,ij,tj->t", lasting, bordered.inverse, lasting)).mean())
    rear = centre[1::2] - waves(np.array([np.pi]))[0] @ shape[:own]
    return TrunkSection(rear, centre[::2], sd_rear, float(np.median(np.abs(miss))))


def waves(angle: np.ndarray) -> np.ndarray:
    """(n, 9): 1, cos 2φ … cos 5φ, sin 2φ … sin 5φ of angles (n,) rad."""
    orders = np.outer(angle, ORDERS)
    return np.column_stack([np.ones(len(angle)), np.cos(orders), np.sin(orders)])


@dataclass(frozen=True)
class _Bordered:
    """inverse: covariance of the lasting unknowns. response: (2 × frames, lasting), how centres go along with them."""

    inverse: np.ndarray
    response: np.ndarray

    def to_lasting(self, direct: np.ndarray) -> np.ndarray:
        """(frames, lasting): what a lasting unknown does to the rear, itself and through the centre."""
        return direct - self.response[1::2]


def _solved(fixed, normal, row, weight, d, sd, calm) -> tuple[np.ndarray, np.ndarray, _Bordered]:
    """Lasting unknowns and centres (both as departures from their means)."""
    band = calm.copy()
    frames = band.shape[1] // 2
    for i, j in ((0, 0), (1, 1), (1, 0)):
        total = np.bincount(row, weight * normal[:, i] * normal[:, j], frames)
        band[i - j, j::2] += total
    cross = np.zeros((2 * frames, fixed.shape[1]))
    for axis in (0, 1):
        np.add.at(cross, 2 * row + axis, (weight * normal[:, axis])[:, None] * fixed)
    pull = np.bincount(
        np.concatenate([2 * row, 2 * row + 1]),
        np.concatenate([weight * d * normal[:, 0], weight * d * normal[:, 1]]),
        2 * frames,
    )
    solved = solveh_banded(band, np.column_stack([cross, pull]), lower=True)
    response, alone = solved[:, :-1], solved[:, -1]
    own = fixed.T @ (weight[:, None] * fixed) + np.diag(sd**-2.0)
    inverse = np.linalg.inv(own - cross.T @ response)
    shape = inverse @ (fixed.T @ (weight * d) - cross.T @ alone)
    return shape, alone - response @ shape, _Bordered(inverse, response)


def _calm(frames: int, rate: float) -> np.ndarray:
    """Lower bands (6, 2 × frames) of what the centres' path alone is worth: small accelerations, and where it is."""
    band = np.zeros((BAND + 1, 2 * frames))
    for axis, spread in enumerate(CENTRE_SD):
        band[0, axis::2] = 1.0 / (frames * spread**2)
    stiff = (rate**2 / ACCELERATION) ** 2
    second = (1.0, -2.0, 1.0)
    for a in range(3):
        for b in range(a + 1):
            first = np.arange(frames - 2) + b
            for axis in (0, 1):
                band[2 * (a - b), 2 * first + axis] += stiff * second[a] * second[b]
    return band
