"""A banded system in full, for small problems."""

import numpy as np

from simspine.estimation.banded import BandedSystem


def dense(system: BandedSystem) -> np.ndarray:
    """H, symmetric, from the lower triangle that its band holds."""
    size = system.basis.points * system.n
    H = np.zeros((size, size))
    for d in range(min(len(system.band), size)):
        H[np.arange(d, size), np.arange(size - d)] = system.band[d, : size - d]
    return H + np.tril(H, -1).T
