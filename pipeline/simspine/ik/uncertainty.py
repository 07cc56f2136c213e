"""From the posterior covariance of the free coordinates to standard deviations of what is published."""

from collections.abc import Callable

import numpy as np

from simspine.body.kernels import expand, markers_and_jacobian
from simspine.body.tree import Tree

CHUNK = 64  # frames whose perturbed copies are evaluated together


def coordinate_deviation(tree: Tree, z: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(frames, coordinates): of all coordinates; driven ones follow their driver, locked ones have none."""
    _, factor = expand(tree, z)
    variance = np.einsum("tii->ti", blocks)
    column = np.where(tree.column >= 0, tree.column, 0)
    return np.abs(factor) * np.sqrt(variance[:, column])


def marker_covariance(tree: Tree, z: np.ndarray, blocks: np.ndarray, markers: list[int]) -> np.ndarray:
    """(frames, markers, 3, 3) m²: of the body's markers `markers` (indices)."""
    covariance = np.empty((len(z), len(markers), 3, 3))
    for t in range(len(z)):
        J = markers_and_jacobian(tree, z[t])[1][markers]  # (markers, free, 3)
        covariance[t] = np.einsum("mic,ij,mjd->mcd", J, blocks[t], J)
    return covariance


def derived_deviation(
    tree: Tree, z: np.ndarray, blocks: np.ndarray, derived: Callable[[np.ndarray], np.ndarray], step: float = 1e-4
) -> np.ndarray:
    """(frames, k): of any `derived` quantities (N, k) of the coordinates (N, coordinates), by central differences."""
    frames, n = z.shape
    deviations = []
    for start in range(0, frames, CHUNK):
        part, cov = z[start : start + CHUNK], blocks[start : start + CHUNK]
        offsets = step * np.concatenate([np.eye(n), -np.eye(n)])
        perturbed = (part[:, None] + offsets).reshape(-1, n)
        values = np.asarray(derived(expand(tree, perturbed)[0])).reshape(len(part), 2, n, -1)
        gradient = (values[:, 0] - values[:, 1]) / (2 * step)  # (frames, free, k)
        deviations.append(np.sqrt(np.einsum("tik,tij,tjk->tk", gradient, cov, gradient)))
    return np.concatenate(deviations)
