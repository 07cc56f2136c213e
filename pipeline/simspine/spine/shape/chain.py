"""The spine as a chain of bonds between neighbouring vertebral centres, from the head down.

A bond i leads from centre i to centre i + 1. Its shape parameters are the logarithm of its length, its pitch θ
(sagittal direction, positive = leading forward as it goes down) and its tilt φ (to the right as it goes down):

    b = exp(a) · (cos φ sin θ, −cos φ cos θ, sin φ)        frame of the trunk: x forward, y up, z right

Logarithms make size an addition, angles make bending exact however large it is.
"""

import numpy as np

LEVELS = (*(f"C{i}" for i in range(1, 8)), *(f"T{i}" for i in range(1, 13)), *(f"L{i}" for i in range(1, 6)), "S1")
BONDS = len(LEVELS) - 1


def bond_parameters(points: np.ndarray) -> np.ndarray:
    """Log lengths, pitches and tilts (..., 3 · (n − 1)) of a chain of centres (..., n, 3) in the trunk's frame."""
    b = np.diff(points, axis=-2)
    length = np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore"):
        pitch, tilt = np.arctan2(b[..., 0], -b[..., 1]), np.arcsin(b[..., 2] / length)
    return np.concatenate([np.log(length), pitch, tilt], -1)


def positions(z: np.ndarray) -> np.ndarray:
    """Centres (..., n, 3) m with the first at the origin, from shape parameters (..., 3 · (n − 1))."""
    a, pitch, tilt = np.split(z, 3, axis=-1)
    bonds = _bonds(np.exp(a), pitch, tilt)
    return np.concatenate([np.zeros_like(bonds[..., :1, :]), np.cumsum(bonds, -2)], -2)


def derivatives(z: np.ndarray) -> np.ndarray:
    """Derivative of every bond with respect to its own three parameters: (..., 3 kinds, n − 1, 3)."""
    a, pitch, tilt = np.split(z, 3, axis=-1)
    length = np.exp(a)
    sp, cp, st, ct = np.sin(pitch), np.cos(pitch), np.sin(tilt), np.cos(tilt)
    by_pitch = np.stack([ct * cp, ct * sp, np.zeros_like(sp)], -1)
    by_tilt = np.stack([-st * sp, st * cp, ct], -1)
    return np.stack([_bonds(length, pitch, tilt), length[..., None] * by_pitch, length[..., None] * by_tilt], -3)


def jacobian(z: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """d positions / d z at some levels (indices): (..., len(levels), 3, 3 · (n − 1))."""
    each = np.moveaxis(derivatives(z), -1, -3)  # (..., xyz, kinds, bonds)
    above = np.arange(each.shape[-1]) < np.asarray(levels)[:, None]  # a centre moves with the bonds above it
    J = each[..., None, :, :, :] * above[:, None, None, :]
    return J.reshape(*J.shape[:-2], -1)


def _bonds(length: np.ndarray, pitch: np.ndarray, tilt: np.ndarray) -> np.ndarray:
    direction = np.stack([np.cos(tilt) * np.sin(pitch), -np.cos(tilt) * np.cos(pitch), np.sin(tilt)], -1)
    return length[..., None] * direction
