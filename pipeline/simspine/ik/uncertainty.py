"""From the posterior covariance of the free coordinates to standard deviations of what is published."""

import numpy as np

from simspine.body.kernels import expand, markers_and_jacobian
from simspine.body.tree import Tree


def coordinate_deviation(tree: Tree, z: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(frames, coordinates): of all coordinates; driven ones follow their driver, locked ones have none."""
    _, factor = expand(tree, z)
    variance = np.einsum("tii->ti", blocks)
    column = np.where(tree.column >= 0, tree.column, 0)
    return np.abs(factor) * np.sqrt(variance[:, column])


def marker_covariance(tree: Tree, z: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(frames, markers, 3, 3) m²: of the tree's markers."""
    covariance = np.empty((len(z), len(tree.marker_body), 3, 3))
    for t in range(len(z)):
        J = markers_and_jacobian(tree, z[t])[1]  # (markers, free, 3)
        rows = J.transpose(0, 2, 1).reshape(-1, J.shape[1])
        covariance[t] = (rows @ blocks[t]).reshape(-1, 3, J.shape[1]) @ J
    return covariance
