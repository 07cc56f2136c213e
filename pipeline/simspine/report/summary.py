"""The headline figures as lines of text: the table the command line prints and the page shows."""

from collections.abc import Mapping
from typing import Any

from simspine.report.content import Row, number

# key of summary.json, label, unit, digits, what it means, (lowest, highest) that is in order, or None
_LINES = (
    ("frames", "Frames", "", 0, "", None),
    ("views", "Views", "", 0, "cameras", None),
    ("reprojection_px_median", "Reprojection error, median", "px", 1, "of kept observations", None),
    ("reprojection_px_p90", "Reprojection error, 90th percentile", "px", 1, "at most 25 wanted", (0, 25)),
    ("points_kept_share", "Points kept", "%", 1, "of frames × points; at least 97 wanted", (0.97, 1)),
    ("marker_rms_mm", "Marker RMS", "mm", 0, "measured marker to body", None),
    ("model_reprojection_px_median", "Body to detected limb points, median", "px", 1, "at most 30 wanted", (0, 30)),
    ("lla_deg_mean", "Lumbar lordosis (L1–S1), mean", "°", 1, "", None),
    ("tka_deg_mean", "Thoracic kyphosis (T3–T12), mean", "°", 1, "", None),
    ("femur_m", "Femur length", "m", 3, "0.36–0.48 is human", (0.36, 0.48)),
    ("seconds", "Time taken", "s", 0, "", None),
)  # fmt: skip


def summary_rows(summary: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> tuple[Row, ...]:
    """Rows for what `summary.json` holds, in a fixed order; keys it lacks are left out, unknown ones are not shown.

    A value may be a number, None or NaN (shown as '–'), or a mapping {group: number} (one row each). `frames_rejected`
    is a count; its note should say why. notes: {key: text} put in place of the default note. Lights follow the limits
    stated in the notes.
    """
    notes = notes or {}
    rows = []
    for key, label, unit, digits, note, limit in _LINES:
        if key not in summary:
            continue
        value = summary[key]
        for group, one in value.items() if isinstance(value, Mapping) else [("", value)]:
            name = f"{label}, {group}" if group else label
            rows.append(Row(name, _text(one, unit, digits), notes.get(key, note), _light(one, limit)))
    if "frames_rejected" in summary:
        count = int(summary["frames_rejected"])
        total = f" of {int(summary['frames'])}" if "frames" in summary else ""
        why = notes.get("frames_rejected", "" if count else "none")
        rows.insert(min(len(rows), 2), Row("Frames rejected", f"{count}{total}", why, "check" if count else "good"))
    return tuple(rows)


def _text(value: float | None, unit: str, digits: int) -> str:
    if unit == "%" and value is not None:
        value = 100 * value
    text = number(value, digits, "" if unit == "°" else unit)
    return f"{text}°" if unit == "°" and text != "–" else text


def _light(value: float | None, limit: tuple | None) -> str:
    if limit is None or value is None or value != value:
        return ""
    low, high = limit
    return "good" if low <= value <= high else "check"
