"""Which frames a person should look at first: where the points are least sure, disagree between views, or jump."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.annotation.labels import Labels, Visibility
from simspine.geometry import project
from simspine.triangulation.solve import triangulate
from simspine.types import Camera, Keypoints

BATCH = 20  # frames handed out at a time
APART_S = 0.1  # between two frames of a batch: neighbours show nearly the same
WORST = 3  # points of a frame that count: few bad ones must show among forty good ones
DISAGREEMENT, JITTER = 0.02, 0.01  # of the person's size: as bad as no confidence at all


@dataclass(frozen=True, eq=False)
class Ranking:
    """Why each frame should be looked at, all (frames,), without unit; 1 is bad.

    uncertainty: 1 − confidence. disagreement: distance of the points from where the other views place them, in 2 % of
    the person's size; 0 without calibrated views. jitter: distance from the mean of the neighbouring frames, in 1 %.
    """

    uncertainty: np.ndarray
    disagreement: np.ndarray
    jitter: np.ndarray

    @property
    def score(self) -> np.ndarray:
        """(frames,): the sum of the three."""
        return self.uncertainty + self.disagreement + self.jitter

    def reason(self, frame: int) -> str:
        """The greatest of the three."""
        parts = {name: getattr(self, name)[frame] for name in ("uncertainty", "disagreement", "jitter")}
        return max(parts, key=lambda name: parts[name])


def rank(labels: Labels, rate: float, cameras: Sequence[Camera] | None = None) -> Ranking:
    """How much each frame needs a person. What was decided already counts as sure; cameras: one per view, or None."""
    xy = np.where(labels.labelled[..., None], labels.xy, np.nan)
    size = _usual(person_size(xy))
    unsure = np.where(labels.decided, 0.0, 1.0 - labels.confidence)
    unsure = np.where(
        (labels.visibility > Visibility.ABSENT) & ~labels.decided, unsure, np.where(labels.decided, 0, np.nan)
    )
    apart = np.full(xy.shape[:3], np.nan)
    if cameras is not None and len(cameras) > 1 and labels.frames:
        apart = disagreement_px(labels, rate, cameras) / size[None, :, None]
    jump = np.full(xy.shape[:3], np.nan)
    if labels.frames > 2:
        jump[1:-1] = np.linalg.norm(xy[1:-1] - (xy[:-2] + xy[2:]) / 2, axis=-1) / size[None, :, None]
    jump = np.where(labels.decided, 0.0, jump)
    return Ranking(_of_frames(unsure), _of_frames(apart / DISAGREEMENT), _of_frames(jump / JITTER))


def disagreement_px(labels: Labels, rate: float, cameras: Sequence[Camera]) -> np.ndarray:
    """(frames, views, points) px between each point and where all views together place it; NaN where they cannot."""
    sure = np.where(labels.decided, 1.0, np.clip(labels.confidence, 0.05, 1.0)) * labels.labelled
    keypoints = Keypoints(labels.names, rate, np.where(labels.labelled[..., None], labels.xy, np.nan), sure)
    largest = float(max(max(camera.size) for camera in cameras))
    placed = triangulate(keypoints, cameras, min_confidence=0.0, max_error_px=largest, fix_swaps=False)
    return np.linalg.norm(np.moveaxis(project(cameras, placed.xyz), 0, 1) - keypoints.xy, axis=-1)


def person_size(xy: np.ndarray) -> np.ndarray:
    """(...,) px: root of the area of the box around points (..., points, 2), as in object keypoint similarity."""
    finite = np.isfinite(xy)
    low = np.where(finite, xy, np.inf).min(-2, initial=np.inf)
    high = np.where(finite, xy, -np.inf).max(-2, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        sides = np.where(np.isfinite(low) & np.isfinite(high), high - low, np.nan)
    return np.sqrt(sides.prod(-1))


def batch(ranking: Ranking, rate: float, size: int = BATCH, done: np.ndarray | None = None) -> list[int]:
    """Up to `size` frames, the worst first, none within `APART_S` of another. done: (frames,) bool, left out."""
    left = np.ones(len(ranking.score), bool) if done is None else ~done
    away = max(1, round(APART_S * rate))
    order: list[int] = []
    for frame in np.argsort(-ranking.score, kind="stable"):
        if left[frame] and all(abs(int(frame) - other) >= away for other in order):
            order.append(int(frame))
            if len(order) == size:
                break
    return order


def finished(labels: Labels) -> np.ndarray:
    """(frames,) bool: frames of which somebody has looked at every point that has a place."""
    open_points = labels.labelled & ~labels.decided
    return labels.decided.any((1, 2)) & ~open_points.any((1, 2))


def _usual(size: np.ndarray) -> np.ndarray:
    """(views,) px: median over the frames; 1 where nothing is labelled."""
    known = np.isfinite(size) & (size > 0)
    return np.array([np.median(size[known[:, v], v]) if known[:, v].any() else 1.0 for v in range(size.shape[1])])


def _of_frames(values: np.ndarray) -> np.ndarray:
    """(frames,): mean of the `WORST` points, each as in its worst view; 0 where nothing is known."""
    known = np.where(np.isfinite(values), values, 0.0).max(1, initial=0.0)
    return np.sort(known, axis=1)[:, -WORST:].mean(1) if known.size else np.zeros(len(values))
