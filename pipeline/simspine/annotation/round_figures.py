"""How good a round's proposals were, by what people made of them."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from simspine.annotation.agreement import agreement
from simspine.annotation.labels import Labels, PointStatus
from simspine.annotation.ranking import person_size

MOVED_PX = 0.5  # nearer than this a point was left where it was proposed
PAUSE_S = 60.0  # a longer time between two decisions is no work


def round_figures(
    proposals: Labels,
    labels: Labels,
    frames: Sequence[int],
    control: Sequence[int],
    everyone: Mapping[str, Labels] | None = None,
) -> dict[str, Any]:
    """Plain values, None for what there is not.

    proposals: what a round began with; labels: what an annotator made of it; frames: of its batch, `control` those
    drawn at random. everyone: {annotator: labels}, for their agreement. Errors are distances from the proposal to where
    a person placed or accepted the point: px, and a share of the person's size (root of the area of the box around
    them). Moved: further than 0.5 px, or said absent, or given a place where the proposal had none.
    """
    rows = np.array(sorted(frames), int)
    own = np.isin(labels.status[rows], (PointStatus.ACCEPTED, PointStatus.CORRECTED))
    before, after = proposals.labelled[rows] & own, labels.labelled[rows] & own
    distance = np.where(before & after, np.linalg.norm(proposals.xy[rows] - labels.xy[rows], axis=-1), np.nan)
    size = person_size(np.where(after[..., None], labels.xy[rows], np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = distance / size[..., None]
    judged = before | after
    moved = judged & ((before != after) | (np.nan_to_num(distance) > MOVED_PX))
    random = np.isin(rows, list(control))
    return {
        "images": int(len(rows) * labels.xy.shape[1]),
        "all": _summary(distance, share, judged, moved),
        "control": _summary(distance[random], share[random], judged[random], moved[random]),
        "points": {
            name: _summary(distance[..., i], share[..., i], judged[..., i], moved[..., i])
            for i, name in enumerate(labels.names)
            if judged[..., i].any()
        },
        "agreement": _agreement(everyone or {}, rows),
    }


def minutes_per_image(times: Sequence[tuple[float, int]], frames: Sequence[int], views: int) -> float | None:
    """Time between decisions, pauses left out, given to the frame of the later one; None where nothing was timed.

    times: (s, frame) of each decision in order. The way to the first decision is not in it.
    """
    gaps = [
        later - earlier
        for (earlier, _), (later, frame) in pairwise(times)
        if frame in frames and 0 <= later - earlier <= PAUSE_S
    ]
    return round(sum(gaps) / 60 / (len(frames) * views), 3) if gaps else None


def _summary(distance: np.ndarray, share: np.ndarray, judged: np.ndarray, moved: np.ndarray) -> dict[str, Any]:
    return {
        "count": int(judged.sum()),
        "median_px": _quantile(distance, 0.5),
        "p90_px": _quantile(distance, 0.9),
        "median_share": _quantile(share, 0.5),
        "moved": round(float(moved.sum() / judged.sum()), 4) if judged.any() else None,
    }


def _quantile(values: np.ndarray, q: float) -> float | None:
    known = values[np.isfinite(values)]
    return round(float(np.quantile(known, q)), 5) if known.size else None


def _agreement(everyone: Mapping[str, Labels], rows: np.ndarray) -> dict[str, Any] | None:
    """Between annotators of these frames: who, and the median of all distances as a share of the size."""
    some = {}
    for name, labels in everyone.items():
        arrays = (labels.xy, labels.visibility, labels.status, labels.confidence)
        part = Labels(labels.names, *(array[rows] for array in arrays))
        if np.isin(part.status, (PointStatus.ACCEPTED, PointStatus.CORRECTED)).any():
            some[name] = part
    if len(some) < 2:
        return None
    found = [row for row in agreement(some) if row.count]
    shares = [row.share for row in found if np.isfinite(row.share)]
    return {"annotators": sorted(some), "median_share": round(float(np.median(shares)), 5)} if shares else None
