"""Results from points in space as Markdown tables, for people to read."""

from collections.abc import Mapping

from simspine.benchmark.point_study import INTERVALS, OURS, SHOWN, Cell, PointOutcome, losses
from simspine.benchmark.report import aligned

# Heading: figure, digits.
COLUMNS: Mapping[str, tuple[str, int]] = {
    "points mm": ("mpjpe_mm", 1),
    "vertebrae mm": ("vertebrae_mm", 1),
    "aligned mm": ("vertebrae_aligned_mm", 1),
    "LLA °": ("lla_rmse_deg", 1),
    "LLA bias-free": ("lla_sd_deg", 1),
    "LLA motion": ("lla_motion_rmse_deg", 2),
    "LLA r": ("lla_correlation", 2),
    "LLA by person": ("person_lla_rmse_deg", 1),
    "LLA standing": ("standing_lla_rmse_deg", 1),
    "TKA °": ("tka_rmse_deg", 1),
    "TKA bias-free": ("tka_sd_deg", 1),
    "TKA motion": ("tka_motion_rmse_deg", 2),
    "TKA r": ("tka_correlation", 2),
    "TKA by person": ("person_tka_rmse_deg", 1),
    "TKA standing": ("standing_tka_rmse_deg", 1),
    "lumbar motion °": ("lumbar_flexion_motion_rmse_deg", 2),
    "velocity mm/s": ("velocity_mm_s", 0),
    "jitter m/s²": ("jitter_m_s2", 2),
    "failed": ("failed_share", 3),
}
BY_PERSON = (
    *("vertebrae_mm", "vertebrae_aligned_mm", "lla_offset_deg", "lla_motion_rmse_deg", "tka_offset_deg"),
    *("tka_motion_rmse_deg", *(f"coverage_{name}" for name in INTERVALS)),
)


def tables(outcome: PointOutcome) -> str:
    """Errors of all methods, coverage of our intervals, errors in standard deviations, and our figures by person."""
    totals = outcome.totals()
    intervals = (coverage_table(totals), coverage_table(totals, "normalised"))
    return "\n\n".join((error_table(totals), *intervals, person_table(outcome)))


def error_table(totals: Mapping[Cell, Mapping[str, float]]) -> str:
    """A row per family, error and method; `loses` in ours beside what a baseline is better in."""
    lost = {(loss.family, loss.points, loss.figure) for loss in losses(totals)}
    rows = [("family", "points", "method", *COLUMNS), ("---", "---", "---", *("---:" for _ in COLUMNS))]
    for cell, total in totals.items():
        row = []
        for figure, digits in COLUMNS.values():
            text = _number(total.get(figure), digits) if figure in SHOWN[cell.method] else ""
            marked = cell.method == OURS and (cell.family, cell.points, figure) in lost
            row.append(f"{text} loses" if marked else text)
        rows.append((*cell, *row))
    return aligned(rows)


def coverage_table(totals: Mapping[Cell, Mapping[str, float]], kind: str = "coverage") -> str:
    """Share of errors within our 90 % intervals, and the smallest and largest of a person; kind 'normalised': root mean
    square of errors in our standard deviations."""
    rows = [("family", "points", *INTERVALS), ("---", "---", *("---:" for _ in INTERVALS))]
    for cell, total in totals.items():
        if cell.method == OURS:
            keys = [f"{kind}_{name}" for name in INTERVALS]
            shares = [[_number(total.get(key + end), 2) for end in ("", "_min", "_max")] for key in keys]
            rows.append((*cell[:2], *(f"{mean} ({low}–{high})" if mean else "" for mean, low, high in shares)))
    return aligned(rows)


def person_table(outcome: PointOutcome) -> str:
    """Our figures by person."""
    rows = [("family", "points", "person", *BY_PERSON), ("---", "---", "---", *("---:" for _ in BY_PERSON))]
    for cell in outcome.found:
        if cell.method == OURS:
            for subject, own in outcome.people(cell).items():
                rows.append((*cell[:2], subject, *(_number(own.get(name), 2) for name in BY_PERSON)))
    return aligned(rows)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"
