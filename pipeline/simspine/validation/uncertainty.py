"""How much of a pooled figure the data decided."""

from collections.abc import Sequence

import numpy as np

from simspine.quality.observability import driving, forced_mask
from simspine.quality.thresholds import ENVELOPES
from simspine.validation.records import Record


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
