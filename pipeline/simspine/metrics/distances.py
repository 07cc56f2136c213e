"""Distances between estimated and true points. Missing values (NaN) on either side are left out."""

import numpy as np

from simspine.errors import InputError
from simspine.geometry import rigid_fit


def mpjpe(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Mean distance over all points present in both (frames, points, 3), in the unit given. NaN if there is none."""
    return _mean(distances(estimate, reference))


def p_mpjpe(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Mean distance after each frame of the estimate was moved, turned and scaled onto the reference (Procrustes).

    Both (frames, points, 3). Frames with fewer than three points in common are left out. Umeyama 1991, no reflection.
    """
    return _mean(distances(aligned(estimate, reference), reference))


def n_mpjpe(estimate: np.ndarray, reference: np.ndarray) -> float:
    """Mean distance after each frame of the estimate was scaled about the origin, nothing else.

    Both (frames, points, 3), relative to the root point. Rhodin 2018, Eq. 2.
    """
    return _mean(distances(scaled(estimate, reference), reference))


def scaled(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """The estimate (frames, points, 3) after the best scale per frame about the origin; NaN where there is none."""
    estimate, reference = _pair(estimate, reference)
    present = (np.isfinite(estimate).all(-1) & np.isfinite(reference).all(-1))[..., None]
    along = np.where(present, estimate * reference, 0).sum((1, 2), keepdims=True)
    size = np.where(present, estimate**2, 0).sum((1, 2), keepdims=True)
    return estimate * (along / np.where(size > 0, size, np.nan))


def aligned(estimate: np.ndarray, reference: np.ndarray, scaled: bool = True) -> np.ndarray:
    """The estimate (frames, points, 3) after the best similarity per frame onto the reference; NaN where none.

    scaled: False moves and turns only.
    """
    estimate, reference = _pair(estimate, reference)
    present = np.isfinite(estimate).all(-1) & np.isfinite(reference).all(-1)
    out = np.full(estimate.shape, np.nan)
    enough = present.sum(1) >= 3
    if not enough.any():
        return out
    present, source, target = present[enough, :, None], estimate[enough], reference[enough]
    count = present.sum(1, keepdims=True)
    source = source - np.where(present, source, 0).sum(1, keepdims=True) / count
    middle = np.where(present, target, 0).sum(1, keepdims=True) / count
    target = target - middle
    rotation, _ = rigid_fit(source, target)
    turned = source @ np.swapaxes(rotation, 1, 2)
    along = np.where(present, turned * target, 0).sum((1, 2), keepdims=True)
    size = np.where(present, source**2, 0).sum((1, 2), keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        out[enough] = (along / size if scaled else 1.0) * turned + middle
    return out


def distances(estimate: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Distance of each point, (frames, points); NaN where either is missing."""
    estimate, reference = _pair(estimate, reference)
    return np.linalg.norm(estimate - reference, axis=-1)


def _pair(estimate: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    estimate, reference = np.asarray(estimate, float), np.asarray(reference, float)
    if estimate.shape != reference.shape or estimate.ndim != 3 or estimate.shape[-1] != 3:
        raise InputError(
            f"points to compare have shapes {estimate.shape} and {reference.shape}, expected (frames, points, 3) twice."
        )
    return estimate, reference


def _mean(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")
