"""The spine as a chain of inter-centroid vectors, between neighbouring vertebral centres, from the head down.

Vector i leads from centre i to centre i + 1. Its shape parameters are the logarithm of its length, its pitch θ
(sagittal direction, positive = leading forward as it goes down) and its tilt φ (to the right as it goes down):

    b = exp(a) · (cos φ sin θ, −cos φ cos θ, sin φ)        frame of the trunk: x forward, y up, z right

Logarithms make size an addition, angles make bending exact however large it is.
"""

import numpy as np

LEVELS = (*(f"C{i}" for i in range(1, 8)), *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1")
VECTORS = len(LEVELS) - 1


def vector_parameters(points: np.ndarray) -> np.ndarray:
    """Log lengths, pitches and tilts (..., 3 · (n − 1)) of a chain of centres (..., n, 3) in the trunk's frame."""
    b = np.diff(points, axis=-2)
    length = np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore"):
        pitch, tilt = np.arctan2(b[..., 0], -b[..., 1]), np.arcsin(b[..., 2] / length)
    return np.concatenate([np.log(length), pitch, tilt], -1)


def positions(z: np.ndarray) -> np.ndarray:
    """Centres (..., n, 3) m with the first at the origin, from shape parameters (..., 3 · (n − 1))."""
    return from_vectors(derivatives(z, kinds=1)[..., 0, :, :])


def from_vectors(vectors: np.ndarray, axis: int = -2) -> np.ndarray:
    """What the vectors add up to at the centres, the first at zero. axis: theirs, n − 1 long; n in the result."""
    return np.cumulative_sum(vectors, axis=axis, include_initial=True)


def derivatives(z: np.ndarray, kinds: int = 3) -> np.ndarray:
    """The vectors, each its derivative by log length, and those by pitch and tilt: (..., kinds 1 or 3, n − 1, 3)."""
    n = z.shape[-1] // 3
    length, pitch, tilt = np.exp(z[..., :n]), z[..., n : 2 * n], z[..., 2 * n :]
    sine, cosine, across = np.sin(pitch), np.cos(pitch), length * np.cos(tilt)
    D = np.zeros((*z.shape[:-1], kinds, n, 3))
    x, y, side = across * sine, -across * cosine, length * np.sin(tilt)
    D[..., 0, :, 0], D[..., 0, :, 1], D[..., 0, :, 2] = x, y, side
    if kinds == 3:
        D[..., 1, :, 0], D[..., 1, :, 1] = -y, x
        D[..., 2, :, 0], D[..., 2, :, 1], D[..., 2, :, 2] = -side * sine, side * cosine, across
    return D


def jacobian(derivatives: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """d positions / d z at `levels` (indices): (..., levels, 3, 3 · (n − 1)), from the vectors' `derivatives`."""
    each = np.ascontiguousarray(np.moveaxis(derivatives, -1, -3))  # (..., xyz, kinds, vectors)
    J = np.zeros((*each.shape[:-3], len(levels), *each.shape[-3:]))
    for i, level in enumerate(levels):  # a centre moves with the vectors above it
        J[..., i, :, :, :level] = each[..., :level]
    return J.reshape(*J.shape[:-2], -1)
