"""Uncertainty of the angles in words: the table of a trial, and the list of what was assumed rather than measured."""

from collections.abc import Sequence

import numpy as np

from simspine.arrays import runs
from simspine.quality.observability import Observability, forced_mask, observability_of
from simspine.quality.thresholds import THRESHOLDS
from simspine.report.content import PageTable, Statement, number
from simspine.report.summary import typical, very_uncertain
from simspine.spine.levels import PLANES, Level
from simspine.spine.vertebrae import SpineKinematics
from simspine.validation.uncertainty import spread_of_adults

_NAMES = {"lla": "LLA, lumbar lordosis", "tka": "TKA, thoracic kyphosis"}
COLUMNS = ("Level", "Plane", "Mean", "Range", "Typical sd", "Observability", "Verdict")


def angle_table(
    spine: SpineKinematics, shares: np.ndarray, table: Sequence[Level] = (), kept: np.ndarray | None = None
) -> PageTable:
    """Mean, range of motion, typical (median) standard deviation, observability and verdict per level and plane.

    shares: (levels, 3) of `quality.observability.level_shares`. table: levels with their coordinates. kept: (frames,).
    """
    kept = np.ones(spine.frames, bool) if kept is None else kept
    words = observability_of(spine.levels, shares, spine.forced, table)
    rows = []
    for i, level in enumerate(spine.levels):
        for k, plane in enumerate(PLANES):
            angle = np.degrees(spine.angles[kept, i, k])
            known = angle[np.isfinite(angle)]
            sd = None if spine.angles_sd is None else typical(np.degrees(spine.angles_sd[kept, i, k]))
            mean, span = (known.mean(), np.ptp(known)) if known.size else (None, None)
            free = words[i][k] is not Observability.FORCED
            decision = (_degrees(sd), number(100 * shares[i, k], 0, "%")) if free else ("–", "–")
            rows.append((level, plane, _degrees(mean), _degrees(span), *decision, str(words[i][k]) or "–"))
    low, high = (f"{THRESHOLDS[name].value:g} %" for name in ("assumed", "measured"))
    caption = (
        f"Measured: observability of at least {high}; assumed: less than {low}; between them partly measured. Sums "
        "over levels and segments in space have a standard deviation, but no observability of their own."
    )
    if any(word is Observability.SUM for line in words for word in line):
        caption += (
            " Measured as a sum: one coordinate turns several levels. The data determine their sum, the model its "
            "distribution over the levels."
        )
    return PageTable(COLUMNS, tuple(rows), caption, f"All {len(rows)} angles: mean, range, standard deviation, verdict")


def assumed_statements(
    spines: Sequence[SpineKinematics], shares: Sequence[np.ndarray], kept: Sequence[np.ndarray]
) -> tuple[Statement, ...]:
    """What was assumed rather than measured, over all trials: curvature, then runs of levels for each plane.

    shares: (levels, 3) per trial; their means over the trials count. kept: (frames,) bool per trial.
    """
    statements = []
    for quantity in ("lla", "tka"):
        found = [
            usual
            for spine, use in zip(spines, kept, strict=True)
            if (sd := getattr(spine, f"{quantity}_sd")) is not None
            and (usual := typical(sd[use])) is not None
            and not forced_mask([quantity], spine.forced).any()
        ]
        mean = float(np.degrees(np.mean(found))) if found else None
        if mean is not None and very_uncertain(quantity, mean):
            reason = (
                f"known to ± {1.96 * mean:.0f}° (95 %), while standing adults differ by "
                f"± {1.96 * spread_of_adults(quantity):.0f}°: it says little about this person"
            )
            statements.append(Statement(_NAMES[quantity], reason))
    by_levels: dict[tuple[str, ...], list[np.ndarray]] = {}
    for spine, share in zip(spines, shares, strict=True):
        own = np.where(forced_mask(spine.levels, spine.forced), np.nan, share)
        by_levels.setdefault(spine.levels, []).append(own)
    for levels, some in by_levels.items():
        statements += _runs(levels, np.mean(some, axis=0))
    return tuple(statements)


def _runs(levels: Sequence[str], shares: np.ndarray) -> list[Statement]:
    limit = THRESHOLDS["assumed"].si
    statements = []
    for k, plane in enumerate(PLANES):
        parts, total, below = [], int(np.isfinite(shares[:, k]).sum()), 0
        for first, end in runs(np.flatnonzero(shares[:, k] < limit)):
            values = 100 * shares[first:end, k]
            low, high = f"{values.min():.0f}", f"{values.max():.0f}"
            ends = [level.replace("-", "\u2011") for level in levels[first:end]]  # a hyphen that does not break
            name = ends[0] if len(ends) == 1 else f"{ends[0]} … {ends[-1]}"
            parts.append(f"{name}: {low if low == high else f'{low}–{high}'} %")
            below += len(ends)
        if parts:
            name = f"{plane.capitalize()} of {below} of {total} levels"
            statements.append(Statement(name, f"observability {'; '.join(parts)}"))
    return statements


def _degrees(value: float | None) -> str:
    text = number(value)
    return text if text == "–" else f"{text}°".replace("-", "−")
