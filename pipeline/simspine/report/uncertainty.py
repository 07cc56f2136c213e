"""Uncertainty of the angles in words: the table of a trial, and the list of what was assumed rather than measured."""

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from simspine.quality.observability import Observability, forced_mask, observability_of
from simspine.quality.thresholds import THRESHOLDS
from simspine.report.content import PageTable, Statement, number
from simspine.report.summary import spread_of_adults, very_uncertain
from simspine.spine.levels import PLANES, Level
from simspine.spine.vertebrae import SpineKinematics

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
            sd = None if spine.angles_sd is None else np.degrees(spine.angles_sd[kept, i, k])
            sd = None if sd is None or not np.isfinite(sd).any() else float(np.nanmedian(sd))
            word = words[i][k]
            free = word is not Observability.FORCED
            rows.append(
                (
                    level,
                    plane,
                    _degrees(known.mean() if known.size else None),
                    _degrees(np.ptp(known) if known.size else None),
                    _degrees(sd) if free else "–",
                    _percent(shares[i, k]) if free else "–",
                    str(word) or "–",
                )
            )
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
            np.degrees(np.nanmedian(sd[use]))
            for spine, use in zip(spines, kept, strict=True)
            if (sd := getattr(spine, f"{quantity}_sd")) is not None
            and np.isfinite(sd[use]).any()
            and not forced_mask([quantity], spine.forced).any()
        ]
        sd = float(np.mean(found)) if found else None
        if sd is not None and very_uncertain(quantity, sd):
            adults = spread_of_adults(quantity)
            statements.append(
                Statement(
                    _NAMES[quantity],
                    f"known to ± {1.96 * sd:.0f}° (95 %), while standing adults differ by ± {1.96 * adults:.0f}°: it "
                    "says little about this person",
                )
            )
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
        for assumed, run in groupby(range(len(levels)), lambda i, k=k: bool(shares[i, k] < limit)):
            if not assumed:
                continue
            run = list(run)
            values = 100 * shares[run, k]
            low, high = f"{values.min():.0f}", f"{values.max():.0f}"
            ends = [levels[i].replace("-", "\u2011") for i in (run[0], run[-1])]  # a hyphen that does not break
            name = ends[0] if len(run) == 1 else f"{ends[0]} … {ends[1]}"
            parts.append(f"{name}: {low if low == high else f'{low}–{high}'} %")
            below += len(run)
        if parts:
            name = f"{plane.capitalize()} of {below} of {total} levels"
            statements.append(Statement(name, f"observability {'; '.join(parts)}"))
    return statements


def _degrees(value: float | None) -> str:
    text = number(value)
    return text if text == "–" else f"{text}°".replace("-", "−")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if np.isfinite(share) else "–"
