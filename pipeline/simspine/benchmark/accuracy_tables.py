"""Figures of `accuracy` side by side: one row per method or change, for people to read."""

from collections.abc import Mapping

from simspine.benchmark.report import aligned

# Heading: the figure, or several joined in one column.
COLUMNS: dict[str, tuple[str, ...]] = {
    "MPJPE mm": ("mpjpe_mm",),
    "aligned": ("p_mpjpe_mm",),
    "vertebrae mm": ("vertebrae_mm",),
    "LLA ° (bias, motion)": ("lla_rmse_deg", "lla_bias_deg", "lla_motion_rmse_deg"),
    "TKA ° (bias, motion)": ("tka_rmse_deg", "tka_bias_deg", "tka_motion_rmse_deg"),
    "lumbar ° (motion)": ("lumbar_flexion_rmse_deg", "lumbar_flexion_motion_rmse_deg"),
    "thoracic ° (motion)": ("thoracic_flexion_rmse_deg", "thoracic_flexion_motion_rmse_deg"),
    "velocity mm/s": ("velocity_mm_s",),
    "jitter m/s²": ("jitter_m_s2",),
    "liveliness": ("liveliness",),
    "coverage LLA, TKA": ("coverage_lla", "coverage_tka"),
    "coverage lumbar, thoracic": ("coverage_lumbar_flexion", "coverage_thoracic_flexion"),
    "coverage points": ("coverage_points",),
    "failed": ("failed_share",),
}


def side_by_side(totals: Mapping[str, Mapping[str, float | None]]) -> str:
    """A Markdown table of {row: {figure: value}}; what a row lacks is left empty. Angles of levels: flexion."""
    rows = [("", *COLUMNS), ("---", *("---:" for _ in COLUMNS))]
    rows += [(name, *(_cell(total, figures) for figures in COLUMNS.values())) for name, total in totals.items()]
    return aligned(rows)


def _cell(total: Mapping[str, float | None], figures: tuple[str, ...]) -> str:
    shown = [_number(total.get(name), name) for name in figures]
    if not any(shown):
        return ""
    first, *rest = (text or "–" for text in shown)
    if figures[0].startswith("coverage"):
        return ", ".join([first, *rest])
    return f"{first} ({', '.join(rest)})" if rest else first


def _number(value: float | None, name: str) -> str:
    if value is None:
        return ""
    digits = 1 if name.endswith(("_mm", "_mm_s")) or name.startswith(("lla_", "tka_")) else 2
    return f"{value:.{digits}f}"
