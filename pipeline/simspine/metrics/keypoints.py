"""Similarity of 2D points to labels: OKS, PCK and its area under the curve, pixels in and shares out."""

from types import MappingProxyType

import numpy as np

from simspine.errors import InputError

# What the area under the curve of PCK runs over. The papers do not say; MMPose's default is the first.
PCK_THRESHOLDS = MappingProxyType({
    "0–0.95": tuple(i / 20 for i in range(20)),
    "0–0.19": tuple(i / 100 for i in range(20)),
})  # fmt: skip


def oks(found: np.ndarray, labels: np.ndarray, area: np.ndarray, sigmas: np.ndarray) -> np.ndarray:
    """(people,) object keypoint similarity: mean over labelled points of exp(−d² / (2 area (2 sigma)²)).

    found: (people, points, 2) px; labels: (people, points, 3) x, y px and v > 0 where labelled; area: (people,) px²;
    sigmas: (points,). A point that was not found counts 0; NaN for people without a labelled point.
    """
    found, labels = _pair(found, labels)
    area, sigmas = np.asarray(area, float), np.asarray(sigmas, float)
    if area.shape != found.shape[:1] or sigmas.shape != found.shape[1:2]:
        raise InputError(f"area {area.shape} and sigmas {sigmas.shape} do not suit points of shape {found.shape}.")
    squared = ((found - labels[..., :2]) ** 2).sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        similar = np.exp(-squared / (2 * (area[:, None] + np.spacing(1)) * (2 * sigmas) ** 2))
    labelled = labels[..., 2] > 0
    count = labelled.sum(1)
    return np.where(labelled & np.isfinite(similar), similar, 0).sum(1) / np.where(count > 0, count, np.nan)


def pck(found: np.ndarray, labels: np.ndarray, size: np.ndarray, threshold: float) -> np.ndarray:
    """(points,) share of a point's labels with a found point nearer than `threshold` times the person's size.

    found, labels: as for `oks`. size: (people,) px, such as the shorter side of the box. A point that was not found is
    wrong; NaN for a point that is nowhere labelled.
    """
    hits, labelled = pck_hits(found, labels, size, (threshold,))
    count = labelled.sum(0)
    return hits[..., 0].sum(0) / np.where(count > 0, count, np.nan)


def pck_auc(found: np.ndarray, labels: np.ndarray, size: np.ndarray, thresholds: tuple[float, ...]) -> float:
    """Mean over the thresholds of the mean over the points of `pck`: MMPose's area under the curve."""
    shares = np.stack([pck(found, labels, size, threshold) for threshold in thresholds])
    known = np.isfinite(shares).all(0)
    return float(shares[:, known].mean()) if known.any() else float("nan")


def pck_hits(
    found: np.ndarray, labels: np.ndarray, size: np.ndarray, thresholds: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """(people, points, thresholds) and (people, points) bool: labels with a found point near enough; labels at all.

    The arguments as for `pck_auc`.
    """
    found, labels = _pair(found, labels)
    distance = np.linalg.norm(found - labels[..., :2], axis=-1) / np.asarray(size, float)[:, None]
    labelled = labels[..., 2] > 0
    return labelled[..., None] & (distance[..., None] < np.asarray(thresholds)), labelled


def _pair(found: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found, labels = np.asarray(found, float), np.asarray(labels, float)
    if found.ndim != 3 or found.shape[-1] != 2 or labels.shape != (*found.shape[:2], 3):
        raise InputError(
            f"points {found.shape} and labels {labels.shape}, expected (people, points, 2) and (people, points, 3)."
        )
    return found, labels
