"""How well figures of people in images are known: images of one trial or person are alike, so drawn together.

Matches do not depend on what is drawn, so that OKS is computed once.
"""

from collections.abc import Hashable, Sequence

import numpy as np

from simspine.errors import InputError
from simspine.metrics.bootstrap import drawn_counts, percentile_interval
from simspine.metrics.keypoints import pck_hits
from simspine.metrics.precision import MatchedPeople

DRAWS = 1000
_RECALLS = np.linspace(0, 1, 101)  # at which pycocotools reads precision
Interval = tuple[float, float]


def precision_intervals(
    people: MatchedPeople, clusters: Sequence[Hashable], draws: int = DRAWS
) -> dict[str, Interval] | None:
    """{'AP', 'AR': 95 % interval}, whole clusters drawn with replacement; None with fewer than two clusters, and
    where nobody is labelled.

    clusters: of each image of `people`, such as its trial. Raises `InputError` for another number of them.
    """
    index, count = _numbered(clusters, len(people.images))
    if count < 2:
        return None
    found = np.array([drawn_precision(people, drawn[index]) for drawn in drawn_counts(count, draws)])
    known = found[np.isfinite(found).all(1)]
    if not len(known):
        return None
    return {name: percentile_interval(values) for name, values in zip(("AP", "AR"), known.T, strict=True)}


def drawn_precision(people: MatchedPeople, times: np.ndarray) -> Interval:
    """(AP, AR) with each image there so many times, (images,) whole numbers; NaN twice where nobody is labelled.

    As pycocotools has them: precision at 101 recalls, where it is the best at that recall or any above, and the recall
    of all that was found, both as means over the thresholds of OKS.
    """
    labels = int(times @ people.labels)
    if not labels:
        return float("nan"), float("nan")
    weight = times[people.image] * people.counted
    right, wrong = (np.cumsum(weight * hit, 1) for hit in (people.hit, ~people.hit))
    recall = right / labels
    precision = right / np.maximum(right + wrong, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], 1)  # recalls that are never reached
    read = [own[np.searchsorted(r, _RECALLS)] for own, r in zip(best, recall, strict=True)]
    return float(np.mean(read)), float(recall[:, -1].mean()) if recall.size else 0.0


def pck_auc_interval(
    found: np.ndarray,
    labels: np.ndarray,
    size: np.ndarray,
    thresholds: tuple[float, ...],
    clusters: Sequence[Hashable],
    draws: int = DRAWS,
) -> Interval | None:
    """95 % interval of `pck_auc`; None with fewer than two clusters. clusters: of each person. The rest as there."""
    index, count = _numbered(clusters, len(labels))
    if count < 2:
        return None
    hits, labelled = pck_hits(found, labels, size, thresholds)
    right, there = np.zeros((count, hits.shape[1])), np.zeros((count, hits.shape[1]))
    np.add.at(right, index, hits.mean(2))
    np.add.at(there, index, labelled)
    drawn = np.array(list(drawn_counts(count, draws)), float)
    with np.errstate(invalid="ignore"):
        shares = (drawn @ right) / (drawn @ there)
    known = np.isfinite(shares)
    kept = known.any(1)
    means = np.where(known, shares, 0).sum(1)[kept] / known.sum(1)[kept]
    return percentile_interval(means) if means.size else None


def _numbered(clusters: Sequence[Hashable], expected: int) -> tuple[np.ndarray, int]:
    """Number of each item's cluster, and how many clusters there are."""
    if len(clusters) != expected:
        raise InputError(f"{len(clusters)} clusters for {expected} items; give one for each.")
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in clusters], int), len(numbers)
