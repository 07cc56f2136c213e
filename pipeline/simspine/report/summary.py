"""Rows of text on the headline figures of a trial or a data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from simspine.anatomy.clinical import CURVATURE_OF_ADULTS
from simspine.core.arrays import NORMAL_95
from simspine.quality.findings import THRESHOLDS
from simspine.quality.observability import Observability, narrowing_text, observability_word, share_of_curvature
from simspine.reconstruction.headline import ABOUT_IMAGES
from simspine.report.page import Row, interval_text, number_text, page_words
from simspine.report.tables import CURVATURE_KEYS


def summary_rows(summary: Mapping[str, Any], why_rejected: str = "") -> tuple[Row, ...]:
    """Rows for the content of `summary.json`, in a fixed order; missing keys and unknown ones are left out.

    A value is a number, None or NaN (shown as '–'), or a mapping {part: number}. why_rejected: note of the
    rejected frames. Lights follow the limits stated in the notes. These assume the calibration: where that failed, what
    is within them was not tested.
    """
    if summary.get("views") == 0:  # a file of markers
        summary = {key: value for key, value in summary.items() if key not in ABOUT_IMAGES}
    rows, failed = [], any(_disagreement_text(summary, which) for which in ("", "_as_used"))
    for key, (label, unit, digits, note, limit, parts) in page_words("summary").items():
        if key not in summary:
            continue
        limit = [THRESHOLDS[end].value_si if isinstance(end, str) else end for end in limit]
        note = note.format_map({name: f"{threshold.value:g}" for name, threshold in THRESHOLDS.items()})
        text = _value_text(summary[key], unit, digits)
        light = _light_of_worst(summary.get(parts) or summary[key], limit)
        light = "info" if failed and light == "good" else light
        if (quantity := key[:3]) in CURVATURE_KEYS:
            given, estimated = quantity in summary.get("set_by_model", ()), bool(summary.get("spine_estimated"))
            sd = summary.get(f"{quantity}_deg_sd")
            text = interval_text(summary[key], sd, "deg")
            note, light = _curvature_note(quantity, sd if text != "–" else None, given=given, estimated=estimated)
            text = "not measured" if light else text
        elif key == "detections_used":
            rejected = summary["detections"] - summary["detections_used"]
            note = f"of {summary['detections']} in the images; {rejected} were rejected. Without skin markers"
        else:
            note = "; ".join(filter(None, (_parts_text(summary.get(parts), unit, digits), note)))
        rows.append(Row(label, text, note, light))
    if "spine_seen_by" in summary:
        at = next((i for i, row in enumerate(rows) if row.label.startswith("Lumbar")), len(rows))
        rows.insert(at, _seen_by(summary))
    if "cameras_off" in summary:
        rows.insert(sum(key in summary for key in ("frames", "views")), _calibration_line(summary))
    if "frames_rejected" in summary:
        rows.insert(min(len(rows), 1), _rejected_line(summary, why_rejected))
    return tuple(rows)


def _rejected_line(summary: Mapping[str, Any], why: str) -> Row:
    count, inferred = int(summary["frames_rejected"]), int(summary.get("frames_inferred", 0))
    total = f" of {int(summary['frames'])}" if "frames" in summary else ""
    text = f"{count}{total}" + (f", {inferred} inferred" if inferred else "")
    return Row("Frames rejected", text, why, "check" if count + inferred else "good")


def _calibration_line(summary: Mapping[str, Any]) -> Row:
    """The row on the calibration; its light is 'good' only where no finding is about a camera."""
    refined, unjudged = summary.get("cameras_refined"), summary.get("cameras_unjudged", ())
    value = "refined" if refined else "as given"
    if as_used := _disagreement_text(summary, "_as_used"):
        note, light = f"{'After refinement: ' * bool(refined)}{as_used} See the findings.", "check"
    elif given := _disagreement_text(summary, ""):
        settled = "refined from the same detections, without an independent check"
        note = settled if refined else f"As given: {given} See the findings."
        light = "check"
    elif unjudged:
        which = "the cameras" if "all" in unjudged else ", ".join(unjudged)
        note, light = f"{which} could not be compared; see the findings", ""
    else:
        note, light = "they agree with what they saw", "good"
    return Row("Calibration", value, note, light)


def _disagreement_text(summary: Mapping[str, Any], which: str) -> str:
    """'cam03 is off. cam01, cam02 disagree with one another.'; '' if no camera is off. which: end of the keys."""
    off, at_odds = (summary.get(f"cameras_{key}{which}", ()) for key in ("off", "at_odds"))
    parts = [f"{', '.join(off)} {'is' if len(off) == 1 else 'are'} off."] if off else []
    if at_odds:
        parts.append(f"{', '.join(at_odds)} disagree with one another.")
    return " ".join(parts)


def _seen_by(summary: Mapping[str, Any]) -> Row:
    """The row on observed points of the spine: by which source, skin markers out of order or lost, unseen points."""
    ways, estimated = summary["spine_seen_by"], summary.get("spine_estimated", ())
    doubted, lost = summary.get("skin_markers_doubted", ()), summary.get("skin_markers_lost", ())
    text = ", ".join(f"{len(names)} {way}" for way, names in ways.items()) or "nothing"
    notes = [", ".join(names) for names in ways.values()]
    if estimated:
        notes.append(f"not seen: {', '.join(estimated)}")
        return Row("Seen on the back", f"{text}; {len(estimated)} points estimated", "; ".join(notes), "check")
    if not ways:
        notes = ["all of it is inferred from the limbs"]
    elif doubted:
        notes = [f"{doubted[0]} do not lie in this order: see the findings"]
    elif lost:
        notes.append(f"lost for most of the trial: {', '.join(lost)}")
    return Row("Seen on the back", text, "; ".join(notes), "good" if ways and not doubted and not lost else "check")


def _curvature_note(quantity: str, sd: float | None, given: bool, estimated: bool) -> tuple[str, str]:
    """Note and light of an angle with its standard deviation, degrees. given: the model sets it.

    estimated: points of the spine were estimated.
    """
    if given:
        return "set by the model, cannot change", ""
    if sd is None or sd != sd:
        return "", ""
    share, adults = share_of_curvature(quantity, sd), CURVATURE_OF_ADULTS[quantity]
    verdict = observability_word(share, forced=False, estimated=estimated)
    by = "the recording, estimated points included," if estimated else "the recording"
    spread = f"the spread of people who stand, ± {NORMAL_95 * adults.sd:.0f}° ({adults.short_source})"
    note = f"{verdict}: {by} narrowed {spread}, by {narrowing_text(share)}"
    return note, "check" if verdict is Observability.ASSUMED else ""


def _parts_text(parts: Mapping[str, float | None] | None, unit: str, digits: int) -> str:
    """'limbs 18, feet 19' for {part: value}; shares as whole percentages."""
    if unit == "%":
        shares = {name: None if value is None else 100 * value for name, value in (parts or {}).items()}
        parts, digits = shares, 0
    return ", ".join(f"{name} {number_text(value, digits)}" for name, value in (parts or {}).items())


def _value_text(value: float | Mapping[str, float | None] | None, unit: str, digits: int) -> str:
    if isinstance(value, Mapping):
        texts = [number_text(v, digits) for v in value.values()]
        return f"{texts[0] if len(set(texts)) == 1 else ' / '.join(texts)} {unit}".strip() if texts else "–"
    if unit == "%" and value is not None:
        value = 100 * value
    text = number_text(value, digits, "" if unit == "°" else unit)
    return f"{text}°" if unit == "°" and text != "–" else text


def _light_of_worst(value: float | Mapping[str, float | None] | None, limit: Sequence[float]) -> str:
    """The light of the worst part; '' without a limit or a known value."""
    values = list(value.values()) if isinstance(value, Mapping) else [value]
    known = [v for v in values if v is not None and v == v]
    if not limit or not known:
        return ""
    return "good" if all(limit[0] <= v <= limit[1] for v in known) else "check"
