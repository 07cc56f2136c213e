"""Cameras, frames, angles and rigid fits. Pure functions on arrays; lengths in metres, image points in pixels."""

from collections.abc import Sequence

import numpy as np

from simspine.errors import InputError
from simspine.lenses import distort, straighten
from simspine.types import FRAMES, Camera, Markers

# OpenSim (x, y, z) = world (Y, Z, X): a cyclic permutation, determinant +1 (Pose2Sim's zup2yup).
_FROM_Z_UP = {"z_up": [0, 1, 2], "y_up": [1, 2, 0]}
_TO_Z_UP = {"z_up": [0, 1, 2], "y_up": [2, 0, 1]}


def frame_rotation(source: str, target: str) -> np.ndarray:
    """(3, 3) rotation taking vectors of the frame `source` to the frame `target`."""
    for frame in (source, target):
        if frame not in FRAMES:
            raise InputError(f"unknown frame {frame!r}; expected one of {', '.join(FRAMES)}.")
    return np.eye(3)[_TO_Z_UP[source]][_FROM_Z_UP[target]]


def change_frame(xyz: np.ndarray, source: str, target: str) -> np.ndarray:
    """Vectors (..., 3) of the frame `source`, expressed in `target`."""
    return np.asarray(xyz) @ frame_rotation(source, target).T


def in_frame(markers: Markers, frame: str) -> Markers:
    """The markers, covariances included, expressed in another named frame ('z_up', 'y_up')."""
    R = frame_rotation(markers.frame, frame)
    covariance = None if markers.covariance is None else R @ markers.covariance @ R.T
    return markers.with_(xyz=markers.xyz @ R.T, covariance=covariance, frame=frame)


def project(cameras: Sequence[Camera], xyz: np.ndarray) -> np.ndarray:
    """World points (..., 3) m in each camera's image, with distortion: (views, ..., 2) px; NaN behind a camera.

    Models of the lens: `simspine.lenses`.
    """
    xyz = np.asarray(xyz, float)
    return np.stack([project_one(camera, xyz) for camera in cameras])


def project_one(camera: Camera, xyz: np.ndarray) -> np.ndarray:
    """World points (..., 3) m in one camera's image: (..., 2) px; NaN behind the camera."""
    local = xyz @ camera.R.T + camera.t
    with np.errstate(divide="ignore", invalid="ignore"):
        normal = np.where(local[..., 2:] > 1e-9, local[..., :2] / local[..., 2:], np.nan)
    return to_pixels(camera, distort(camera, normal))


def to_pixels(camera: Camera, normal: np.ndarray) -> np.ndarray:
    """Normalised image coordinates (..., 2) → pixels, skew included."""
    return normal @ camera.K[:2, :2].T + camera.K[:2, 2]


def undistort(camera: Camera, pixels: np.ndarray, iterations: int = 50) -> np.ndarray:
    """Pixels (..., 2) → ideal normalised coordinates (..., 2), undoing K and the lens.

    Newton's method; NaN where it does not converge: a point far outside the image, where the lens model folds.
    """
    inverse = np.linalg.inv(camera.K[:2, :2])
    return straighten(camera, (np.asarray(pixels, float) - camera.K[:2, 2]) @ inverse.T, iterations)


def wrap(angles: np.ndarray) -> np.ndarray:
    """Angles (rad) by the shorter way round: in [−π, π)."""
    return (np.asarray(angles, float) + np.pi) % (2 * np.pi) - np.pi


def kabsch(covariance: np.ndarray) -> np.ndarray:
    """Rotation (..., 3, 3) R with the largest trace(Rᵀ covariance): Kabsch 1976, with the reflection excluded.

    covariance: (..., 3, 3) Σ w target sourceᵀ of centred points.
    """
    u, _, vt = np.linalg.svd(covariance)
    u[..., -1] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return u @ vt


def rigid_fit(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rotation (..., 3, 3) and translation (..., 3) with `R @ source + t ≈ target` in weighted least squares.

    source, target: (..., points, 3); points with NaN in either are left out.
    """
    source, target = np.broadcast_arrays(np.asarray(source, float), np.asarray(target, float))
    present = np.isfinite(source).all(-1) & np.isfinite(target).all(-1)
    w = present.astype(float) if weights is None else np.where(present, weights, 0.0)
    if (np.count_nonzero(w, axis=-1) < 3).any():
        raise InputError("a rigid fit needs at least three points present in both sets.")
    source, target = np.where(present[..., None], source, 0.0), np.where(present[..., None], target, 0.0)
    total = w.sum(-1)[..., None]
    a = (w[..., None] * source).sum(-2) / total
    b = (w[..., None] * target).sum(-2) / total
    covariance = np.einsum("...p,...pi,...pj->...ij", w, target - b[..., None, :], source - a[..., None, :])
    rotation = kabsch(covariance)
    return rotation, b - np.einsum("...ij,...j->...i", rotation, a)


_UNITS = (("centimetres", 30.0, 300.0), ("millimetres", 300.0, 3000.0))  # by how much larger numbers are than in metres


def off_vertical(markers: Markers, lower: str, upper: str) -> np.ndarray:
    """(frames,) rad: how far the line from one marker to another that should be above it leans. markers: y_up."""
    up = markers.xyz[:, markers.index(upper)] - markers.xyz[:, markers.index(lower)]
    return np.arccos(np.clip(up[:, 1] / np.linalg.norm(up, axis=-1), -1, 1))


def unit_of_ratio(ratio: float) -> str | None:
    """The unit in which lengths seem to be that are so many times those in metres; None where none is likely."""
    return next((name for name, low, high in _UNITS if low < ratio < high), None)


def spread(xyz: np.ndarray, present: np.ndarray) -> np.ndarray:
    """(frames,) m: RMS distance of the points (frames, points, 3) that are there (frames, points) from their centre."""
    xyz, count = np.where(present[..., None], xyz, 0.0), present.sum(1)[:, None]
    centre = xyz.sum(1) / count
    off = np.where(present, np.linalg.norm(xyz - centre[:, None], axis=-1), 0.0)
    return np.sqrt((off**2).sum(1) / count[:, 0])
