"""What is assumed about the orientation of the trunk, as a Gaussian over rotations.

    log(R₀ᵀ R) = w ~ exp(−½ wᵀ Λ w),  |w| ≤ π        density with respect to Haar's measure, w about the trunk's axes

With Λ = 0 all rotations are equally likely, and no axis needs a prior for another to have one. A solver that is at R
and may turn it about some axes, R exp(Tᵀ β), has it as a prior on β,

    w(β) ≈ w + U β,  U = J_r⁻¹(w) Tᵀ        (J_r: right Jacobian of SO(3); Solà et al. 2018, A micro Lie theory)
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from simspine.errors import InputError

NARROW = 0.2  # rad: with less about each axis the prior itself is a start, and leaves no room for rivals
LEAST_SD = 1e-5  # rad: stands for 0; half a metre away it moves a point by 5 µm


class Pull(NamedTuple):
    """A prior from rotations (…,) that are free to turn about k axes."""

    precision: np.ndarray  # (…, k, k)
    gradient: np.ndarray  # (…, k) of half the cost
    cost: np.ndarray  # (…,) wᵀ Λ w where the rotation is

    def cost_after(self, beta: np.ndarray) -> np.ndarray:
        """(w + U β)ᵀ Λ (w + U β) (…,) of turns β (…, k)."""
        slope = 2 * self.gradient + np.einsum("...ij,...j->...i", self.precision, beta)
        return self.cost + np.einsum("...i,...i->...", beta, slope)


@dataclass(frozen=True)
class OrientationPrior:
    """rotation (B, 3, 3): trunk (x forward, y up, z right) → frame of the points. precision: (B, 3), 1/rad²."""

    rotation: np.ndarray
    precision: np.ndarray

    def __getitem__(self, frames) -> "OrientationPrior":
        return OrientationPrior(self.rotation[frames], self.precision[frames])

    @property
    def sharp(self) -> bool:
        """Does it leave no axis of any frame free to turn far?"""
        return bool((self.precision > NARROW**-2).all())

    def repeated(self, times: int) -> "OrientationPrior":
        return OrientationPrior(np.repeat(self.rotation, times, 0), np.repeat(self.precision, times, 0))

    def cost(self, R: np.ndarray) -> np.ndarray:
        """wᵀ Λ w (B,) of rotations R (B, 3, 3)."""
        return (self.precision * rotation_vectors(self.rotation.swapaxes(-1, -2) @ R) ** 2).sum(-1)

    def at(self, R: np.ndarray, turns: np.ndarray) -> Pull:
        """The prior from R (B, …, 3, 3), free to turn about the axes in the rows of turns (B or 1, k, 3)."""
        between = (slice(None), *[None] * (R.ndim - 3))
        w = rotation_vectors(self.rotation.swapaxes(-1, -2)[between] @ R)
        U = _inverse_right_jacobians(w) @ turns.swapaxes(-1, -2)[between]
        pull = self.precision[between] * w
        precision = U.swapaxes(-1, -2) @ (self.precision[between][..., None] * U)
        return Pull(precision, np.einsum("...ij,...i->...j", U, pull), (pull * w).sum(-1))


def orientation_prior(orientation, sd, frames: int) -> OrientationPrior | None:
    """The prior of `complete_spine`'s arguments, checked; None where nothing is assumed.

    orientation: (3, 3) or (frames, 3, 3). sd: rad, scalar, (3,) or (frames, 3), from 0 to infinite.
    """
    if orientation is None:
        if sd is not None:
            raise InputError("orientation_sd without orientation: give the rotation that it is about, or neither.")
        return None
    if sd is None:
        raise InputError("orientation without orientation_sd: say how well it is known, in rad (0 = exactly).")
    try:
        R, sd = np.asarray(orientation, float), np.asarray(sd, float)
    except (TypeError, ValueError) as error:
        raise InputError(f"orientation and orientation_sd are to be numbers ({error}).") from error
    if R.shape not in ((3, 3), (frames, 3, 3)):
        raise InputError(f"orientation has shape {R.shape}; expected (3, 3) or ({frames}, 3, 3).")
    if sd.shape not in ((), (3,), (frames, 3)):
        raise InputError(f"orientation_sd has shape {sd.shape}; expected a number, (3,) or ({frames}, 3), in rad.")
    if not (sd >= 0).all():
        raise InputError(f"orientation_sd is {sd.tolist() if sd.ndim < 2 else 'not'} ≥ 0 in all entries, as needed.")
    off = np.abs(R @ R.swapaxes(-1, -2) - np.eye(3)).max()
    if not off < 1e-4 or (np.linalg.det(R) < 0).any():
        raise InputError(
            f"orientation is not a rotation matrix (R Rᵀ is {off:.2g} from 1{', a mirror' if off < 1e-4 else ''}): its "
            "columns are the trunk's forward, up and right in the frame of the points."
        )
    if np.isinf(sd).all():
        return None
    precision = np.broadcast_to(np.maximum(sd, LEAST_SD) ** -2.0, (frames, 3))
    return OrientationPrior(np.broadcast_to(R, (frames, 3, 3)), precision)


def rotation_vectors(R: np.ndarray) -> np.ndarray:
    """Matrices (…, 3, 3) → rotation vectors (…, 3), angles 0…π; ten times as fast as SciPy's, which solvers notice."""
    v = np.stack([R[..., 2, 1] - R[..., 1, 2], R[..., 0, 2] - R[..., 2, 0], R[..., 1, 0] - R[..., 0, 1]], -1) / 2
    sine, cosine = np.linalg.norm(v, axis=-1), (np.trace(R, axis1=-2, axis2=-1) - 1) / 2
    angle = np.arctan2(sine, cosine)
    w = v * (angle / np.maximum(sine, 1e-300))[..., None]
    small = (sine < 1e-5) & (cosine > 0)
    w[small] = v[small]
    half = (sine < 1e-5) & (cosine < 0)  # near half a turn v vanishes, but (R + I) / 2 is the axis times itself
    for i in zip(*np.nonzero(half), strict=True) if R.ndim > 2 else [()] * int(half):
        square = (R[i] + np.eye(3)) / 2
        k = np.diag(square).argmax()
        axis = square[k] / np.sqrt(square[k, k])
        w[i] = angle[i] * axis * (-1.0 if axis @ v[i] < 0 else 1.0)
    return w


def _inverse_right_jacobians(w: np.ndarray) -> np.ndarray:
    """J_r⁻¹ (…, 3, 3): log(exp(w) exp(δ)) ≈ w + J_r⁻¹(w) δ."""
    angle = np.linalg.norm(w, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(angle < 1e-4, 1 / 12, 1 / angle**2 - 1 / (2 * angle * np.tan(angle / 2)))
    k = skew(w)
    return np.eye(3) + 0.5 * k + share[..., None, None] * (k @ k)


def right_jacobians(w: np.ndarray) -> np.ndarray:
    """J_r (…, 3, 3): exp(w + δ) ≈ exp(w) exp(J_r(w) δ)."""
    angle = np.linalg.norm(w, axis=-1)[..., None, None]
    k = skew(w)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(angle < 1e-3, 1 / 6, (1 - np.sinc(angle / np.pi)) / angle**2)
    return np.eye(3) - 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * k + share * (k @ k)


def skew(v: np.ndarray) -> np.ndarray:
    """Matrices (…, 3, 3) of the cross product with v (…, 3) from the left."""
    k = np.zeros((*v.shape[:-1], 3, 3))
    k[..., 0, 1], k[..., 0, 2], k[..., 1, 2] = -v[..., 2], v[..., 1], -v[..., 0]
    return k - k.swapaxes(-1, -2)


def rotations(v: np.ndarray) -> np.ndarray:
    """Rotation vectors (n, 3) → matrices."""
    return Rotation.from_rotvec(v).as_matrix()
