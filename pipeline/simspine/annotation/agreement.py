"""How far annotators agree about the same points."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from simspine.annotation.labels import Labels, PointStatus
from simspine.annotation.ranking import person_size
from simspine.errors import InputError


@dataclass(frozen=True)
class PointAgreement:
    """Of one point, over all pairs of annotators and all images that both decided.

    count: pairs of places. median_px, p90_px: px between them. share: median of the distances as a share of the
    person's size (root of the area of the box around all points). same_visibility: share of the pairs of decisions that
    say the same of seen, hidden, absent. NaN where there is no pair.
    """

    point: str
    count: int
    median_px: float
    p90_px: float
    share: float
    same_visibility: float


def agreement(labels: Mapping[str, Labels]) -> list[PointAgreement]:
    """Of each point. labels: {annotator: decisions about the same recording}, two or more.

    Only points that both placed by hand or accepted are compared: those that a curve or the other views moved say
    nothing about a person. Raises `InputError` for fewer than two annotators, or different recordings.
    """
    if len(labels) < 2:
        raise InputError(
            f"agreement needs two annotators; there is {', '.join(labels) or 'none'}. Let another person annotate the "
            "same frames with --annotator NAME."
        )
    everyone = list(labels.values())
    first = everyone[0]
    if any(other.names != first.names or other.xy.shape != first.xy.shape for other in everyone):
        raise InputError(f"{', '.join(labels)} have annotated different recordings or points; they cannot be compared.")
    pairs = [_pair(a, b) for a, b in combinations(everyone, 2)]
    distance = np.concatenate([distance for distance, _, _ in pairs])
    share = np.concatenate([share for _, share, _ in pairs])
    same = np.concatenate([same for _, _, same in pairs])
    return [_of_point(name, distance[..., i], share[..., i], same[..., i]) for i, name in enumerate(first.names)]


def as_text(rows: Sequence[PointAgreement]) -> str:
    """A table of the points that somebody can be compared in."""
    lines = [f"{'point':<14} {'pairs':>6} {'median px':>10} {'90 % px':>9} {'% of size':>10} {'same flag %':>12}"]
    for row in rows:
        if row.count or np.isfinite(row.same_visibility):
            lines.append(
                f"{row.point:<14} {row.count:>6} {row.median_px:>10.1f} {row.p90_px:>9.1f} {100 * row.share:>10.2f} "
                f"{100 * row.same_visibility:>12.0f}"
            )
    if len(lines) == 1:
        return "no point was decided by two annotators in the same image."
    return "\n".join(lines)


def _pair(a: Labels, b: Labels) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(frames, views, points) px, share of the size, and 1 or 0 for the same flag; NaN where it was not decided."""
    both = _own(a) & _own(b)
    placed = both & a.labelled & b.labelled
    middle = np.where((a.labelled & b.labelled)[..., None], (a.xy + b.xy) / 2, np.nan)
    size = person_size(middle)
    distance = np.where(placed, np.linalg.norm(a.xy - b.xy, axis=-1), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = distance / size[..., None]
    return distance, share, np.where(both, a.visibility == b.visibility, np.nan)


def _own(labels: Labels) -> np.ndarray:
    return (labels.status == PointStatus.ACCEPTED) | (labels.status == PointStatus.CORRECTED)


def _of_point(name: str, distance: np.ndarray, share: np.ndarray, same: np.ndarray) -> PointAgreement:
    known = np.isfinite(distance)
    if not known.any():
        median = p90 = of_size = float("nan")
    else:
        median, p90 = (float(np.quantile(distance[known], q)) for q in (0.5, 0.9))
        of_size = float(np.median(share[known]))
    flags = same[np.isfinite(same)]
    return PointAgreement(name, int(known.sum()), median, p90, of_size, float(flags.mean()) if flags.size else np.nan)
