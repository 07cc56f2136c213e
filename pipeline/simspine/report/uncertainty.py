"""Uncertainty of the angles in words: the table of a trial, and what was not measured."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from simspine.arrays import runs
from simspine.quality.curvature_figures import share_of_curvature, spread_of_adults
from simspine.quality.observability import Observability, forced_mask, observability_of, share_text
from simspine.quality.thresholds import THRESHOLDS
from simspine.report.content import PageTable, Statement, number
from simspine.report.summary import DOUBTED, typical, verdict_on
from simspine.skeletons.inferred_names import base_name
from simspine.spine.forced import sentence
from simspine.spine.levels import PLANES, Level
from simspine.spine.vertebrae import SpineKinematics
from simspine.types import Forced, ForcedKind, Markers, Origin

INFERRED_BY = "vertebral centres of real spines (a statistical model) that go with hips, shoulders and ears as detected"
ESTIMATED_BY = "not seen, but estimated by a network from the pose and the outline of the person"
_SUM = "the sum follows the images, its distribution over the levels is the model's"
_NAMES = {"lla": "LLA, lumbar lordosis", "tka": "TKA, thoracic kyphosis"}
COLUMNS = ("Level", "Plane", "Mean", "Range", "Typical sd", "Observability", "Verdict")


def angle_table(
    spine: SpineKinematics,
    shares: np.ndarray,
    table: Sequence[Level] = (),
    kept: np.ndarray | None = None,
    estimated: bool = False,
) -> PageTable:
    """Mean, range of motion, typical (median) standard deviation, observability and verdict per level and plane.

    shares: (levels, 3) of `quality.observability.level_shares`. table: levels with their coordinates. kept: (frames,).
    estimated: points of the spine were.
    """
    kept = np.ones(spine.frames, bool) if kept is None else kept
    words = observability_of(spine.levels, shares, spine.forced, table, estimated=estimated)
    rows = []
    for i, level in enumerate(spine.levels):
        for k, plane in enumerate(PLANES):
            angle = np.degrees(spine.angles[kept, i, k])
            known = angle[np.isfinite(angle)]
            sd = None if spine.angles_sd is None else typical(np.degrees(spine.angles_sd[kept, i, k]))
            mean, span = (known.mean(), np.ptp(known)) if known.size else (None, None)
            free = words[i][k] is not Observability.FORCED
            decision = (_degrees(sd), share_text(shares[i, k])) if free else ("–", "–")
            rows.append((level, plane, _degrees(mean), _degrees(span), *decision, str(words[i][k]) or "–"))
    low, high = (f"{THRESHOLDS[name].value:g} %" for name in ("assumed", "measured"))
    measured = ("Estimated", "partly estimated") if estimated else ("Measured", "partly measured")
    caption = (
        f"{measured[0]}: observability of at least {high}; assumed: less than {low}; between them {measured[1]}. Sums "
        "over levels and segments in space have a standard deviation, but no observability of their own."
    )
    if estimated:
        caption += f" Estimated, because points of the spine were {ESTIMATED_BY}."
    if any(word is Observability.SUM for line in words for word in line):
        caption += (
            " Measured as a sum: one coordinate turns several levels. The data determine their sum, the model its "
            "distribution over the levels."
        )
    return PageTable(COLUMNS, tuple(rows), caption, f"All {len(rows)} angles: mean, range, standard deviation, verdict")


@dataclass(frozen=True, eq=False)
class Caveats:
    """What was not measured in one trial.

    inferred: names of points that a rule placed. estimated: of those
    that a network placed. forced: what the model forces. shares: (levels, 3) that the data decided of each angle; NaN
    where not known, or forced. sd: {'lla', 'tka': typical, rad}; none where forced.
    """

    inferred: tuple[str, ...]
    forced: Mapping[str, Sequence[Forced]]
    levels: tuple[str, ...]
    shares: np.ndarray
    sd: Mapping[str, float]
    estimated: tuple[str, ...] = ()


class NotMeasured(TypedDict):
    """Fields of the same names of `ReportContent`."""

    inferred: tuple[Statement, ...]
    forced: tuple[Statement, ...]
    assumed: tuple[Statement, ...]


def caveats(measured: Markers, spine: SpineKinematics, shares: np.ndarray, kept: np.ndarray) -> Caveats:
    """Of one trial. measured: what was fitted, with origin. shares: (levels, 3). kept: (frames,) bool."""
    names, estimated = (
        tuple(base_name(name) for name in measured.names_of(origin)) for origin in (Origin.INFERRED, Origin.ESTIMATED)
    )
    free = np.where(forced_mask(spine.levels, spine.forced), np.nan, shares)
    known = {"lla": spine.lla_sd, "tka": spine.tka_sd}
    sd = {
        name: usual
        for name, values in known.items()
        if values is not None and not forced_mask([name], spine.forced).any()
        if (usual := typical(values[kept])) is not None
    }
    return Caveats(names, spine.forced, spine.levels, free, sd, estimated)


def not_measured(trials: Sequence[Caveats], rule: str = INFERRED_BY) -> NotMeasured:
    """Statements for the box 'What is not measured', over all trials. rule: that placed the inferred points."""
    inferred = dict.fromkeys(name for trial in trials for name in trial.inferred)
    estimated = dict.fromkeys(name for trial in trials for name in trial.estimated)
    placed = ((estimated, ESTIMATED_BY), (inferred, rule))
    return {
        "inferred": tuple(Statement(", ".join(names), by) for names, by in placed if names),
        "forced": _forced_statements(trials),
        "assumed": _assumed_statements(trials),
    }


def _forced_statements(trials: Sequence[Caveats]) -> tuple[Statement, ...]:
    """Equal reasons share a line."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, facts in (item for trial in trials for item in trial.forced.items()):
        if facts:
            shared = f"{_SUM}: " if any(fact.kind is ForcedKind.SUM for fact in facts) else ""
            reasons[shared + sentence(facts)].append(name.upper() if name in _NAMES else name)
    return tuple(Statement(", ".join(dict.fromkeys(names)), reason) for reason, names in reasons.items())


def _assumed_statements(trials: Sequence[Caveats]) -> tuple[Statement, ...]:
    """Curvature, then runs of levels for each plane; means over the trials count."""
    statements = []
    for quantity, name in _NAMES.items():
        found = [trial.sd[quantity] for trial in trials if quantity in trial.sd]
        sd = float(np.degrees(np.mean(found))) if found else None
        verdict = verdict_on(quantity, sd)
        if sd is not None and verdict in DOUBTED:
            reason = (
                f"{verdict}: known to ± {1.96 * sd:.0f}° (95 %), while standing adults differ by "
                f"± {1.96 * spread_of_adults(quantity):.0f}°; the data decided "
                f"{share_text(share_of_curvature(quantity, sd))} of it"
            )
            statements.append(Statement(name, reason))
    by_levels: dict[tuple[str, ...], list[np.ndarray]] = defaultdict(list)
    for trial in trials:
        by_levels[trial.levels].append(trial.shares)
    for levels, some in by_levels.items():
        statements += _runs(levels, np.mean(some, axis=0))
    return tuple(statements)


def _runs(levels: Sequence[str], shares: np.ndarray) -> list[Statement]:
    limit = THRESHOLDS["assumed"].si
    statements = []
    for k, plane in enumerate(PLANES):
        parts, total, below = [], int(np.isfinite(shares[:, k]).sum()), 0
        for first, end in runs(np.flatnonzero(shares[:, k] < limit)):
            values = shares[first:end, k]
            low, high = share_text(values.min()), share_text(values.max())
            ends = [level.replace("-", "\u2011") for level in levels[first:end]]  # a hyphen that does not break
            name = ends[0] if len(ends) == 1 else f"{ends[0]} … {ends[-1]}"
            parts.append(f"{name}: {low if low == high else f'{low} to {high}'}")
            below += len(ends)
        if parts:
            name = f"{plane.capitalize()} of {below} of {total} levels"
            statements.append(Statement(name, f"observability {'; '.join(parts)}"))
    return statements


def _degrees(value: float | None) -> str:
    text = number(value)
    return text if text == "–" else f"{text}°".replace("-", "−")
