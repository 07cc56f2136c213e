"""Paths of coordinates in time: cubic B-splines with uniform knots, or independent values in each frame.

A path (frames, free) is B c, with control points c (points, free). Splines with knots 80 ms apart have a quarter of the
unknowns of a trial at 50 Hz and lose little of the motion (docs/method.md). Each frame depends on four neighbouring
control points, so Hessians stay banded (de Boor 1978, A practical guide to splines). Integrals of squared accelerations
are exact, by Gauss–Legendre quadrature with two points in each interval between knots.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import scipy

GAUSS_POINTS = 0.5 + np.array([-0.5, 0.5]) / np.sqrt(3.0)  # quadrature points of an interval 0…1, each of weight 1/2
BASES_KEPT = 16  # size of the cache: windows of a trial have few different lengths
# Penalty on third differences of control points in a least-squares fit to a path (P-splines: Eilers & Marx 1996). The
# last control point may have a weight of only 10⁻⁴ in the one frame that depends on it, and must not follow that frame.
FIT_SMOOTHNESS = 3e-5


@dataclass(frozen=True, eq=False)
class Basis:
    """The matrix B of a path B c, and its accelerations.

    spacing: frames from one knot to the next. first: (frames,) first control point that each frame depends on. weights:
    (frames, reach) of that control point and the next ones. accelerations: sparse A (rows, points); the sum of squares
    of A c is that of the path's accelerations, per frame², over all frames. frame_of_row: (rows,) frame to which each
    row of A belongs. lags: the farthest control point coupled to point i is i + lags. diagonal_last_lag: whether over
    that distance each coordinate is coupled only with itself.
    """

    spacing: int
    first: np.ndarray
    weights: np.ndarray
    accelerations: "scipy.sparse.csr_array"  # quoted, so that scipy.sparse is not loaded for an annotation
    frame_of_row: np.ndarray
    lags: int
    diagonal_last_lag: bool

    @property
    def frames(self) -> int:
        return len(self.first)

    @property
    def points(self) -> int:
        return self.accelerations.shape[1]

    @cached_property
    def values(self) -> "scipy.sparse.csr_array":
        """B (frames, points)."""
        return _sparse_rows(self.weights, self.first, self.points)

    @cached_property
    def acceleration_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """First control point (rows,) of each row of `accelerations`, and the row's entries (rows, lags + 1)."""
        shape = self.accelerations.shape[0], self.lags + 1
        first = self.accelerations.indices.reshape(shape)[:, 0].astype(self.first.dtype)
        return first, self.accelerations.data.reshape(shape)

    @cached_property
    def interval_starts(self) -> np.ndarray:
        """(intervals,): first frame of each interval between knots."""
        return np.flatnonzero(np.diff(self.first, prepend=-1))

    @cached_property
    def frames_of_intervals(self) -> np.ndarray:
        """(intervals,): number of frames in each interval."""
        return np.diff(self.interval_starts, append=self.frames)

    def sums_of_intervals(self, values: np.ndarray) -> np.ndarray:
        """(intervals, …): sums of values (frames, …) over the frames of each interval."""
        return np.add.reduceat(values, self.interval_starts)

    def means_of_intervals(self, values: np.ndarray) -> np.ndarray:
        """(intervals, …): means of values (frames, …) over the frames of each interval."""
        sums = self.sums_of_intervals(values)
        return sums / self.frames_of_intervals.reshape(-1, *[1] * (sums.ndim - 1))

    @cached_property
    def interval_shares(self) -> np.ndarray:
        """(intervals, reach, reach): means over an interval's frames of the products of two weights."""
        return self.means_of_intervals(self.weights[:, :, None] * self.weights[:, None, :])

    @cached_property
    def interval_values(self) -> "scipy.sparse.csr_array":
        """(intervals, points): means of B's rows over the frames of each interval."""
        return _sparse_rows(self.means_of_intervals(self.weights), self.first[self.interval_starts], self.points)

    # Quadratic forms of control points, (lags + 1, points): entry [lag, i] couples point i with point i + lag.

    @cached_property
    def value_form(self) -> np.ndarray:
        """Σ_t z_t²."""
        return self._form_of(self.values)

    @cached_property
    def change_form(self) -> np.ndarray:
        """Σ_t (z_t − z_{t−1})²."""
        count = self.frames - 1
        differences = _sparse_rows(np.tile([-1.0, 1.0], (count, 1)), np.arange(count), self.frames)
        return self._form_of(scipy.sparse.csr_array(differences @ self.values))

    @cached_property
    def end_form(self) -> np.ndarray:
        """z² of the first frame plus z² of the last."""
        return self._form_of(scipy.sparse.csr_array(self.values[np.array([0, self.frames - 1])]))

    @cached_property
    def acceleration_form(self) -> np.ndarray:
        """Sum over frames of squared accelerations, per frame²."""
        return self._form_of(self.accelerations)

    def _form_of(self, rows: "scipy.sparse.csr_array") -> np.ndarray:
        square = scipy.sparse.csr_array(rows.T @ rows)
        form = np.zeros((self.lags + 1, self.points))
        for lag in range(min(self.lags + 1, self.points)):
            form[lag, : self.points - lag] = square.diagonal(-lag)
        return form

    def fit(self, path: np.ndarray) -> np.ndarray:
        """Control points (points, free) of a penalised least-squares fit to a path (frames, free)."""
        if self.weights.shape[1] == 1:
            return path
        count = self.points - 3
        differences = _sparse_rows(np.tile([-1.0, 3.0, -3.0, 1.0], (count, 1)), np.arange(count), self.points)
        form = self.value_form + FIT_SMOOTHNESS * self._form_of(differences)
        return scipy.linalg.solveh_banded(form, self.values.T @ path, lower=True)


@lru_cache(maxsize=BASES_KEPT)
def path_basis(frames: int, spacing: int) -> Basis:
    """Basis of cubic splines with a knot every `spacing` frames; 1: each frame has its own unknowns."""
    return _frame_basis(frames) if spacing == 1 else _spline_basis(frames, spacing)


def _frame_basis(frames: int) -> Basis:
    rows = max(frames - 2, 0)
    return Basis(
        spacing=1,
        first=np.arange(frames),
        weights=np.ones((frames, 1)),
        accelerations=_sparse_rows(np.tile([[1.0, -2.0, 1.0]], (rows, 1)), np.arange(rows), frames),
        frame_of_row=np.arange(2, rows + 2),
        lags=2,
        diagonal_last_lag=True,
    )


def _spline_basis(frames: int, spacing: int) -> Basis:
    intervals = max(1, -(-(frames - 1) // spacing))
    first = np.minimum(np.arange(frames) // spacing, intervals - 1)
    u = np.arange(frames) / spacing - first
    weights = np.stack([(1 - u) ** 3, 3 * u**3 - 6 * u**2 + 4, -3 * u**3 + 3 * u**2 + 3 * u + 1, u**3], 1) / 6
    g = GAUSS_POINTS
    second = np.stack([1 - g, 3 * g - 2, 1 - 3 * g, g], 1) * np.sqrt(spacing / len(g)) / spacing**2
    interval = np.repeat(np.arange(intervals), len(g))
    place = np.tile(g, intervals)
    return Basis(
        spacing=spacing,
        first=first,
        weights=weights,
        accelerations=_sparse_rows(np.tile(second, (intervals, 1)), interval, intervals + 3),
        frame_of_row=np.minimum(((interval + place) * spacing).round().astype(int), frames - 1),
        lags=3,
        diagonal_last_lag=False,
    )


def _sparse_rows(rows: np.ndarray, first: np.ndarray, columns: int) -> "scipy.sparse.csr_array":
    """Sparse matrix (rows, columns) with the values `rows` (rows, reach), each row from its column `first` (rows,)."""
    count, reach = rows.shape
    column = first[:, None] + np.arange(reach)
    ends = np.arange(0, count * reach + 1, reach)
    return scipy.sparse.csr_array((rows.reshape(-1), column.reshape(-1), ends), shape=(count, columns))
