"""How much of a pooled figure the data decided."""

from collections.abc import Sequence

import numpy as np

from simspine.quality.observability import Observability, driving, forced_mask, word
from simspine.quality.thresholds import ENVELOPES
from simspine.spine.bands import bands
from simspine.validation.records import Record


def known_share(sd: float, before: float) -> float:
    """Share of an angle that the data decided, where only its standard deviation is known: 1 − (sd / before)².

    sd, before: standard deviations with the data and without (any unit). The share of a Gaussian estimate (Rodgers
    2000, Inverse Methods, ch. 2); 0 where the estimate is no surer than before. NaN = not known.
    """
    return float(np.clip(1 - (sd / before) ** 2, 0, 1)) if np.isfinite(sd) and before > 0 else float("nan")


def spread_of_adults(quantity: str) -> float:
    """How much standing adults differ in 'lla' or 'tka': half the width of the first published band, degrees."""
    band = bands(quantity)[0]
    return (band.high - band.low) / 2


def share_of_curvature(quantity: str, sd: float | None) -> float:
    """`known_share` of 'lla' or 'tka' beside the spread among standing adults. sd: degrees; NaN of None."""
    return known_share(float("nan") if sd is None else sd, spread_of_adults(quantity))


def curvature_verdict(share: float, forced: bool = False, estimated: bool = False) -> Observability:
    """What decided LLA or TKA: the one verdict of summary, figures, player and tables. share: of `share_of_curvature`;
    where nothing is left of it the angle is very uncertain. forced: the model sets it.
    estimated: points of the spine were.
    """
    return Observability.VERY_UNCERTAIN if share <= 0 and not forced else word(share, forced, estimated=estimated)


def spread_in_range(level: str, plane: int) -> float:
    """Standard deviation of an angle that may be anywhere in the level's published range, rad; NaN if there is none."""
    if level not in ENVELOPES:
        return float("nan")
    low, high = ENVELOPES[level].limits()[plane]
    return float((high - low) / np.sqrt(12))  # of a uniform distribution


def typical(values: Sequence[np.ndarray]) -> float:
    """Median over everything known; NaN where nothing is."""
    together = np.concatenate([np.ravel(part) for part in values]) if len(values) else np.empty(0)
    return float(np.nanmedian(together)) if np.isfinite(together).any() else float("nan")


def is_forced(some: Sequence[Record], name: str, plane: int = 0) -> bool:
    """Whether the model sets 'lla', 'tka' or a level's angle in one of the records."""
    return any(bool(forced_mask([name], record.forced)[0, plane]) for record in some)


def any_estimated(some: Sequence[Record]) -> bool:
    """Whether points of the spine were estimated in one of the records."""
    return any(record.estimated for record in some)


def drives_others(some: Sequence[Record], name: str, plane: int) -> bool:
    """Whether the level's own coordinate moves other levels too: the data then decided the sum, not this level."""
    for record in some:
        own = next((level.coordinates[plane] for level in record.table if level.name == name), None)
        if own in driving(record.forced):
            return True
    return False
