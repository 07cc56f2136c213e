"""The headline figures as lines of text: the table the command line prints and the page shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simspine.quality.curvature_figures import curvature_verdict, share_of_curvature, spread_of_adults
from simspine.quality.observability import Observability, share_text
from simspine.quality.thresholds import THRESHOLDS
from simspine.report.content import Row, number

_GIVEN, _OFF = THRESHOLDS["view_contributed"], THRESHOLDS["view_distance"]

# key of summary.json, label, unit, digits, what it means, (lowest, highest) that is in order, key of the parts
_LINES = (
    ("frames", "Frames", "", 0, "", None, ""),
    ("views", "Views", "", 0, "cameras", None, ""),
    ("reprojection_px_median", "Reprojection, median", "px", 1, "detected points", None, ""),
    ("reprojection_px_p90", "Reprojection, 90th percentile", "px", 1, "at most 25 wanted", (0, 25), ""),
    ("points_kept_share", "Detected points kept", "%", 1, "at least 97 wanted", (0.97, 1), ""),
    ("points_contributed_share", "Points a camera gives", "%", 1, f"at least {_GIVEN.value:g} of each wanted",
     (_GIVEN.si, 1), "points_contributed_share_by_camera"),
    ("marker_rms_mm", "Marker RMS", "mm", 0, "", None, "marker_rms_mm_by_group"),
    ("model_reprojection_px_median", "Body to detected limb points", "px", 1, f"at most {_OFF.value:g} wanted",
     (0, _OFF.value),
     "model_reprojection_px_by_camera"),
    ("lla_deg_mean", "Lumbar lordosis, L1–S1", "°", 1, "", None, ""),
    ("tka_deg_mean", "Thoracic kyphosis, T3–T12", "°", 1, "", None, ""),
    ("femur_m", "Femur length", "m", 3, "0.36–0.48 is human", (0.36, 0.48), ""),
    ("seconds", "Computing time", "s", 0, "", None, ""),
)  # fmt: skip
_ANGLES = ("lla", "tka")
ESTIMATES = (Observability.ESTIMATED, Observability.PARTLY_ESTIMATED)  # verdicts that rest on points nobody saw
DOUBTED = (Observability.VERY_UNCERTAIN, Observability.ASSUMED)  # verdicts on LLA and TKA that say little of a person


def typical(values: np.ndarray | None) -> float | None:
    """Median of what is known; None where nothing is."""
    return None if values is None or not np.isfinite(values).any() else float(np.nanmedian(values))


def verdict_on(quantity: str, sd: float | None, forced: bool = False, estimated: bool = False) -> Observability:
    """What decided 'lla' or 'tka'. sd: typical standard deviation, degrees. forced: the model sets it. estimated:
    points of the spine were."""
    return curvature_verdict(share_of_curvature(quantity, sd), forced, estimated)


def summary_rows(summary: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> tuple[Row, ...]:
    """Rows for what `summary.json` holds, in a fixed order; keys it lacks are left out, unknown ones are not shown.

    A value may be a number, None or NaN (shown as '–'), or a mapping {part: number}, whose parts share the row. Parts
    beside a value (by group, by camera) go to the note. `frames_rejected` is a count; its note should say why. notes:
    {key: text} put in place of the default note. Lights follow the limits stated in the notes.
    """
    notes = notes or {}
    rows = []
    for key, label, unit, digits, note, limit, parts in _LINES:
        if key not in summary:
            continue
        value, quantity = summary[key], key[:3]
        text = _text(value, unit, digits)
        if quantity in _ANGLES:
            given, estimated = quantity in summary.get("set_by_model", ()), bool(summary.get("spine_estimated"))
            text, note, light = _with_sd(text, quantity, summary.get(f"{quantity}_deg_sd"), given, estimated)
        else:
            note = "; ".join(filter(None, (_parts(summary.get(parts), unit, digits), note)))
            light = _light(summary.get(parts) or value, limit)
        rows.append(Row(label, text, notes.get(key, note), light))
    if "spine_seen_by" in summary:
        at = next((i for i, row in enumerate(rows) if row.label.startswith("Lumbar")), len(rows))
        rows.insert(at, _seen_by(summary["spine_seen_by"], summary.get("skin_markers_doubted", ()),
                                 summary.get("skin_markers_lost", ()), summary.get("spine_estimated", ())))  # fmt: skip
    if "cameras_off" in summary:
        rows.insert(2, _calibration(summary))
    if "frames_rejected" in summary:
        count, inferred = int(summary["frames_rejected"]), int(summary.get("frames_inferred", 0))
        total = f" of {int(summary['frames'])}" if "frames" in summary else ""
        text = f"{count}{total}" + (f", {inferred} inferred" if inferred else "")
        why = notes.get("frames_rejected", "" if count + inferred else "none")
        rows.insert(min(len(rows), 1), Row("Frames rejected", text, why, "check" if count + inferred else "good"))
    return tuple(rows)


def _calibration(summary: Mapping[str, Any]) -> Row:
    """Whether the calibration is in order: only where nothing was found of any camera."""
    refined, unjudged = summary.get("cameras_refined"), summary.get("cameras_unjudged", ())
    value = "refined" if refined else "as given"
    if as_used := _disagreeing(summary, "_as_used", " still" if refined else ""):
        note, light = f"{as_used}; see the findings", "check"
    elif given := _disagreeing(summary, "", " as calibrated"):
        note, light = f"{given}; see the findings", "" if refined else "check"
    elif unjudged:
        which = "the cameras" if "all" in unjudged else ", ".join(unjudged)
        note, light = f"{which} could not be compared; see the findings", ""
    else:
        note, light = "they agree with what they saw", "good"
    return Row("Calibration", value, note, light)


def _disagreeing(summary: Mapping[str, Any], which: str, when: str) -> str:
    """'cam03 off, cam01 and cam02 disagree with one another'; '' where no camera does. which: end of the keys."""
    off, at_odds = (summary.get(f"cameras_{key}{which}", ()) for key in ("off", "at_odds"))
    parts = [f"{', '.join(off)} off{when}"] if off else []
    if at_odds:
        parts.append(f"{', '.join(at_odds)} disagree with one another{when}")
    return "; ".join(parts)


def _seen_by(
    ways: Mapping[str, Sequence[str]], doubted: Sequence[str], lost: Sequence[str], estimated: Sequence[str]
) -> Row:
    """What of the spine was observed, and how.

    doubted: markers on the skin that do not lie where their names say. lost: those that were seen in few frames.
    estimated: points that a network placed without seeing them.
    """
    if estimated:
        text = ", ".join([f"{len(names)} {way}" for way, names in ways.items()] or ["nothing"])
        note = "; ".join([*(", ".join(names) for names in ways.values()), f"not seen: {', '.join(estimated)}"])
        return Row("Spine seen by", f"{text}; {len(estimated)} points estimated", note, "check")
    if not ways:
        return Row("Spine seen by", "nothing", "all of it is inferred from the limbs", "check")
    text = ", ".join(f"{len(names)} {way}" for way, names in ways.items())
    if doubted:
        return Row("Spine seen by", text, f"{doubted[0]} do not lie in this order: see the findings", "check")
    note = "; ".join(", ".join(names) for names in ways.values())
    if lost:
        return Row("Spine seen by", text, f"{note}; {', '.join(lost)} lost for most of the trial", "check")
    return Row("Spine seen by", text, note, "good")


def _with_sd(text: str, quantity: str, sd: float | None, given: bool, estimated: bool) -> tuple[str, str, str]:
    """Value, note and light of an angle with its standard deviation, degrees. given: the model sets it.

    estimated: points of the spine were.
    """
    if given:
        return text, "set by the model, cannot change", ""
    if sd is None or sd != sd or text == "–":
        return text, "", ""
    verdict, spread = (
        verdict_on(quantity, sd, estimated=estimated),
        f"adults differ by ± {spread_of_adults(quantity):.0f}°",
    )
    by = "the data, estimated points among them" if estimated else "the data"
    if verdict is not Observability.VERY_UNCERTAIN:
        spread = f"{share_text(share_of_curvature(quantity, sd))} by {by}; {spread}"
    return f"{text} ± {sd:.1f}°", f"{verdict}: {spread}", "check" if verdict in DOUBTED else ""


def _parts(parts: Mapping[str, float | None] | None, unit: str, digits: int) -> str:
    """'limbs 18, feet 19' for {part: value}; shares in %, whole ones."""
    if unit == "%":
        shares = {name: None if value is None else 100 * value for name, value in (parts or {}).items()}
        parts, digits = shares, 0
    return ", ".join(f"{name} {number(value, digits)}" for name, value in (parts or {}).items())


def _text(value: float | Mapping[str, float | None] | None, unit: str, digits: int) -> str:
    if isinstance(value, Mapping):
        texts = [number(v, digits) for v in value.values()]
        return f"{texts[0] if len(set(texts)) == 1 else ' / '.join(texts)} {unit}".strip() if texts else "–"
    if unit == "%" and value is not None:
        value = 100 * value
    text = number(value, digits, "" if unit == "°" else unit)
    return f"{text}°" if unit == "°" and text != "–" else text


def _light(value: float | Mapping[str, float | None] | None, limit: tuple | None) -> str:
    """Of the worst part."""
    values = list(value.values()) if isinstance(value, Mapping) else [value]
    known = [v for v in values if v is not None and v == v]
    if limit is None or not known:
        return ""
    return "good" if all(limit[0] <= v <= limit[1] for v in known) else "check"
