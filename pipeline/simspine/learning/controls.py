"""Controls: what any lifter must beat. All are fitted to standardised features and targets (`encoding`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

NEIGHBOURS = 1  # of which the nearest neighbour is the mean
PENALTIES = tuple(10.0 ** np.arange(-4, 3))  # of ridge regression, relative to the number of samples
BLOCK = 2000  # queries compared with all of the training data at once


class Control(Protocol):
    """What is fitted to features (samples, inputs) and targets (samples, outputs)."""

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(samples, outputs)."""
        ...


@dataclass(frozen=True, eq=False)
class MeanPose:
    """Always the mean of the training data: (outputs,)."""

    mean: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "MeanPose":
        return cls(targets.mean(0))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(samples, outputs)."""
        return np.broadcast_to(self.mean, (len(features), len(self.mean)))


@dataclass(frozen=True, eq=False)
class NearestNeighbour:
    """The pose of the training sample whose standardised image points are nearest."""

    features: np.ndarray
    targets: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "NearestNeighbour":
        return cls(features.astype(np.float32), targets)

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(samples, outputs)."""
        known = (self.features**2).sum(1)
        found = []
        for start in range(0, len(features), BLOCK):
            wanted = features[start : start + BLOCK].astype(np.float32)
            distance = known - 2 * wanted @ self.features.T  # squared, less the query's own length
            nearest = np.argpartition(distance, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
            found.append(self.targets[nearest].mean(1))
        return np.concatenate(found) if found else self.targets[:0]


@dataclass(frozen=True, eq=False)
class RidgeRegression:
    """Linear in the features; the penalty is that with the smallest error of held-out fifths of the training data.

    The fifths are blocks of neighbouring samples, since neighbours in time tell of one another.
    """

    weights: np.ndarray
    penalty: float

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray) -> "RidgeRegression":
        x = _with_constant(features)
        parts = np.array_split(np.arange(len(x)), 5)
        squares = [x[part].T @ x[part] for part in parts]
        products = [x[part].T @ targets[part] for part in parts]
        errors = []
        for penalty in PENALTIES:
            held = 0.0
            for k, part in enumerate(parts):
                weights = _solve(sum(squares) - squares[k], sum(products) - products[k], penalty)
                held += float(((x[part] @ weights - targets[part]) ** 2).sum())
            errors.append(held)
        best = PENALTIES[int(np.argmin(errors))]
        return cls(_solve(sum(squares), sum(products), best), float(best))

    def predict(self, features: np.ndarray) -> np.ndarray:
        """(samples, outputs)."""
        return _with_constant(features) @ self.weights


FITTED: Mapping[str, Callable[[np.ndarray, np.ndarray], Control]] = {
    "mean": MeanPose.fit,
    "nearest": NearestNeighbour.fit,
    "ridge": RidgeRegression.fit,
}


def _with_constant(features: np.ndarray) -> np.ndarray:
    return np.concatenate([features, np.ones((len(features), 1))], 1)


def _solve(square: np.ndarray, product: np.ndarray, penalty: float) -> np.ndarray:
    """Ridge weights; the last feature, the constant, goes free. The number of samples is the constant's square."""
    ridge = penalty * square[-1, -1] * np.eye(len(square))
    ridge[-1, -1] = 0.0
    return np.linalg.solve(square + ridge, product)
