"""The headline figures of a trial, and those of a data set, computed from its trials."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from simspine.anatomy.clinical import CURVATURE_OF_ADULTS
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import InputError
from simspine.core.skeletons import (
    SPINE_REGIONS,
    base_name,
    is_skin_marker,
    is_tape_dot,
    skin_landmark,
    without_skin_markers,
)
from simspine.core.types import Markers, Origin
from simspine.quality.assess import CAMERA_UNJUDGED_CODE, which_camera_remains_open
from simspine.quality.findings import THRESHOLDS, Finding, Severity
from simspine.quality.marker_checks import SKIN_LOST_CODE, SKIN_ORDER_CODE
from simspine.quality.observability import (
    Observability,
    estimated_of_spine,
    forced_mask,
    observability_word,
    observed_share_text,
    rhythm_verdict,
    share_of_curvature,
)
from simspine.reconstruction.cameras import is_refined
from simspine.reconstruction.solved_trial import VIEW_FIT_LIMB_POINTS, SolvedTrial, limb_distance, view_fits
from simspine.report.page import Row, interval_text, number_text, page_words
from simspine.report.tables import CURVATURE_KEYS
from simspine.vision.triangulation import TriangulationReport

# Verdicts that rest on estimated points.
ESTIMATED_VERDICTS = (Observability.ESTIMATED, Observability.PARTLY_ESTIMATED)


def median_or_none(values: np.ndarray | None) -> float | None:
    """Median of the finite values; None without any."""
    return None if values is None or not np.isfinite(values).any() else float(np.nanmedian(values))


def verdict_on(quantity: str, sd: float | None, forced: bool = False, estimated: bool = False) -> Observability:
    """The verdict on 'lla' or 'tka'. sd: typical standard deviation, degrees. forced: the model sets it. estimated:
    points of the spine were estimated."""
    return observability_word(share_of_curvature(quantity, sd), forced, estimated=estimated)


def summary_rows(summary: Mapping[str, Any], notes: Mapping[str, str] | None = None) -> tuple[Row, ...]:
    """Rows for the content of `summary.json`, in a fixed order; missing keys and unknown ones are left out.

    A value is a number, None or NaN (shown as '–'), or a mapping {part: number}. notes: {key: text} instead of the
    default notes. Lights follow the limits stated in the notes.
    """
    notes = notes or {}
    if summary.get("views") == 0:  # a file of markers
        summary = {key: value for key, value in summary.items() if key not in ABOUT_IMAGES}
    rows = []
    for key, (label, unit, digits, note, limit, parts) in page_words("summary").items():
        if key not in summary:
            continue
        limit = [THRESHOLDS[end].value_si if isinstance(end, str) else end for end in limit]
        note = note.format_map({name: f"{threshold.value:g}" for name, threshold in THRESHOLDS.items()})
        text = _value_text(summary[key], unit, digits)
        light = _light_of_worst(summary.get(parts) or summary[key], limit)
        if (quantity := key[:3]) in CURVATURE_KEYS:
            given, estimated = quantity in summary.get("set_by_model", ()), bool(summary.get("spine_estimated"))
            sd = summary.get(f"{quantity}_deg_sd")
            if not given:
                text = interval_text(summary[key], sd, "deg")
            note, light = _curvature_note(quantity, sd if text != "–" else None, given=given, estimated=estimated)
            text = f"({text})" if light else text
        elif key == "detections_used":
            rejected = summary["detections"] - summary["detections_used"]
            note = f"of {summary['detections']} in the images; {rejected} were rejected. Without skin markers"
        else:
            note = "; ".join(filter(None, (_parts_text(summary.get(parts), unit, digits), note)))
        rows.append(Row(label, text, notes.get(key, note), light))
    if "spine_seen_by" in summary:
        at = next((i for i, row in enumerate(rows) if row.label.startswith("Lumbar")), len(rows))
        rows.insert(at, _seen_by(summary))
    if "cameras_off" in summary:
        rows.insert(2, _calibration_line(summary))
    if "frames_rejected" in summary:
        rows.insert(min(len(rows), 1), _rejected_line(summary, notes))
    return tuple(rows)


def _rejected_line(summary: Mapping[str, Any], notes: Mapping[str, str]) -> Row:
    count, inferred = int(summary["frames_rejected"]), int(summary.get("frames_inferred", 0))
    total = f" of {int(summary['frames'])}" if "frames" in summary else ""
    text = f"{count}{total}" + (f", {inferred} inferred" if inferred else "")
    return Row("Frames rejected", text, notes.get("frames_rejected", ""), "check" if count + inferred else "good")


def _calibration_line(summary: Mapping[str, Any]) -> Row:
    """The row on the calibration; its light is 'good' only where no finding is about a camera."""
    refined, unjudged = summary.get("cameras_refined"), summary.get("cameras_unjudged", ())
    value = "refined" if refined else "as given"
    if as_used := _disagreement_text(summary, "_as_used"):
        note, light = f"{'After refinement: ' * bool(refined)}{as_used} See the findings.", "check"
    elif given := _disagreement_text(summary, ""):
        settled = "after refinement no misfit shows in the same detections; this is no independent check"
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
    seen = {way: without_lost(names, lost) for way, names in ways.items()}
    text = ", ".join(f"{len(names)} {way}" for way, names in seen.items()) or "nothing"
    notes = [", ".join(names) for names in seen.values()]
    if estimated:
        notes.append(f"not seen: {', '.join(estimated)}")
        return Row("Seen on the spine", f"{text}; {len(estimated)} points estimated", "; ".join(notes), "check")
    if not ways:
        notes = ["all of it is inferred from the limbs"]
    elif doubted:
        notes = [f"{doubted[0]} do not lie in this order: see the findings"]
    elif lost:
        notes.append(lost_markers_text(ways, lost))
    return Row("Seen on the spine", text, "; ".join(notes), "good" if ways and not doubted and not lost else "check")


def without_lost(names: Sequence[str], lost: Sequence[str]) -> list[str]:
    """Names of `spine_points_by_source` without those lost for most of the trial; all names if none would remain."""
    return [name for name in names if " (" not in name or name.partition(" ")[0] not in lost] or [*names]


def lost_markers_text(ways: Mapping[str, Sequence[str]], lost: Sequence[str]) -> str:
    """'1 of 4 skin markers was lost for most of the trial: LPSIS'. ways: of `spine_points_by_source`."""
    shown = {name.partition(" ")[0]: name for name in ways.get(SKIN_MARKER_GROUP, ())}
    names, count = ", ".join(shown.get(name, name) for name in lost), len({*shown, *lost})
    verb = "was" if len(lost) == 1 else "were"
    return f"{len(lost)} of {count} skin markers {verb} lost for most of the trial: {names}"


def _curvature_note(quantity: str, sd: float | None, given: bool, estimated: bool) -> tuple[str, str]:
    """Note and light of an angle with its standard deviation, degrees. given: the model sets it.

    estimated: points of the spine were estimated.
    """
    if given:
        return "set by the model, cannot change", ""
    if sd is None or sd != sd:
        return "", ""
    verdict = verdict_on(quantity, sd, estimated=estimated)
    adults = CURVATURE_OF_ADULTS[quantity]
    whose = "the weight of the recording, estimated points included," if estimated else "the recording's weight"
    share = f"{whose} is {observed_share_text(share_of_curvature(quantity, sd))}"
    spread = f"people who stand differ by ± {NORMAL_95 * adults.sd:.0f}° ({adults.short_source})"
    return f"{verdict}: {share}; {spread}", "check" if verdict is Observability.ASSUMED else ""


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


# Computation of the figures.


FEET_POINTS = tuple(f"{side}{point}" for side in "LR" for point in ("BigToe", "SmallToe", "Heel"))
INFERRED_SPINE_GROUP, ESTIMATED_SPINE_GROUP = "inferred spine", "estimated spine"
UNSEEN_GROUPS = {Origin.INFERRED: INFERRED_SPINE_GROUP, Origin.ESTIMATED: ESTIMATED_SPINE_GROUP}
SKIN_MARKER_GROUP, DOTS_OF_TAPE = "on the skin", "dots of a tape"
HEAD_GROUP_POINTS = ("Nose", "Head", "LEye", "REye", "LEar", "REar")

# Figures of a data set are means over its trials, weighted by frames; counts are summed.
MEAN_METRICS = (
    "reprojection_px_median", "reprojection_px_p90", "points_kept_share", "points_contributed_share", "marker_rms_mm",
    "model_reprojection_px_median", "lla_deg_mean", "lla_deg_sd", "tka_deg_mean", "tka_deg_sd",
)  # fmt: skip
CAMERA_METRICS = (
    "cameras_off", "cameras_at_odds", "cameras_off_as_used", "cameras_at_odds_as_used", "cameras_unjudged",
)  # fmt: skip
SUM_METRICS = ("frames", "frames_rejected", "frames_inferred", "frames_corrected", "detections", "detections_used")
NAME_METRICS = ("spine_estimated", "skin_markers_doubted", "skin_markers_lost")
METRICS_BY_NAME = ("marker_rms_mm_by_group", "points_contributed_share_by_camera", "model_reprojection_px_by_camera")


def summary_metrics(trial: SolvedTrial) -> dict:
    """A trial's figures, in the units given in their names.

    Raises `InputError` where the trial has no verdict.
    """
    unseen = trial.markers.names_of(Origin.ESTIMATED)
    spine, solved, verdict = trial.spine, trial.result, trial.verdict
    if verdict is None:
        raise InputError(f"{trial.name}: has no verdict, which its headline needs; run the stage quality first.")
    kept = ~verdict.rejected
    set_by_model = [name for name in ("lla", "tka") if forced_mask([name], spine.forced).any()]
    groups = _groups_of_markers(trial)
    return {
        "frames": spine.frames,
        "views": len(trial.cameras),
        **_camera_metrics(verdict.findings),
        **_image_metrics(trial),
        "marker_rms_mm": marker_rms_mm(trial),
        "marker_rms_mm_by_group": {
            str(group): _rms_mm(solved.marker_error[:, groups == group])
            for group in sorted(dict.fromkeys(groups), key=lambda group: group == INFERRED_SPINE_GROUP)
        },
        "lla_deg_mean": _mean_degrees(spine.lla[kept]),
        "lla_deg_sd": None if "lla" in set_by_model else _typical_degrees(spine.lla_sd, kept),
        "tka_deg_mean": _mean_degrees(spine.tka[kept]),
        "tka_deg_sd": None if "tka" in set_by_model else _typical_degrees(spine.tka_sd, kept),
        "set_by_model": set_by_model,
        "clinical": {
            figure.name: {key: getattr(figure, field) for key, field in _CLINICAL_KEYS.items()}
            for figure in (*trial.curvature_figures, *trial.clinical_figures)
        },
        "lumbopelvic_rhythm": _rhythm_entry(trial),
        "spine_seen_by": spine_points_by_source(trial.markers),
        "spine_estimated": list(estimated_of_spine(trial.markers.names, trial.markers.origins)),
        "skin_markers_doubted": [finding.where for finding in verdict.findings if finding.code == SKIN_ORDER_CODE],
        "skin_markers_lost": [finding.where for finding in verdict.findings if finding.code == SKIN_LOST_CODE],
        "frames_rejected": verdict.counts["rejected"],
        "frames_inferred": verdict.counts["inferred"],
        "frames_corrected": verdict.counts["corrected"],
        "rejected_because": verdict.reason_counts["rejected"],
        "inferred": list(trial.markers.names_of(Origin.INFERRED)),
        "estimated": list(unseen),
    }


def _groups_of_markers(trial: SolvedTrial) -> np.ndarray:
    """(markers,) group of each fitted marker."""
    groups = {name: UNSEEN_GROUPS.get(o) for name, o in zip(trial.markers.names, trial.markers.origins, strict=True)}
    return np.array([groups.get(name) or _group_of(name) for name in trial.result.marker_names])


def marker_rms_mm(trial: SolvedTrial) -> float | None:
    """Root mean square distance, mm, of observed points from the fitted body."""
    return _rms_mm(trial.result.marker_error[:, ~np.isin(_groups_of_markers(trial), [*UNSEEN_GROUPS.values()])])


IMAGE_METRICS = (
    "reprojection_px_median", "reprojection_px_p90", "points_kept_share", "observations_dropped_share",
    "observations_swapped_share",
)  # fmt: skip
ABOUT_IMAGES = (
    *IMAGE_METRICS, "views", "cameras_off", "detections_used", "points_contributed_share",
    "model_reprojection_px_median",
)  # fmt: skip


def detected_points(report: TriangulationReport, markers: Markers | None) -> TriangulationReport:
    """The report on points seen by a detector, without skin markers, whose positions are far more exact."""
    unseen = [base_name(name) for name in markers.names_of(Origin.ESTIMATED, Origin.INFERRED)] if markers else ()
    return report.of_points(name for name in without_skin_markers(report.names) if name not in unseen)


def _image_metrics(trial: SolvedTrial) -> dict:
    """Reprojection errors of points and body, and counts of detections; None for errors without images."""
    fits, report = view_fits(trial), trial.triangulation
    by_camera = {
        "points_contributed_share_by_camera": {fit.name: fit.contributed for fit in fits},
        "model_reprojection_px_by_camera": {fit.name: median_or_none(np.array(fit.distance_px)) for fit in fits},
    }
    if report is None:
        names = (*IMAGE_METRICS, "points_contributed_share", "model_reprojection_px_median")
        return dict.fromkeys(names) | by_camera | {"detections": 0, "detections_used": 0}
    points = detected_points(report, trial.markers)
    summary = points.summary()
    return (
        {name: summary[name] for name in IMAGE_METRICS}
        | by_camera
        | {
            "detections": int(np.isfinite(points.error_px).sum()),
            "detections_used": int(points.used.sum()),
            "points_contributed_share": float(points.used.mean()),
            "model_reprojection_px_median": median_or_none(limb_distance(trial)),
        }
    )


_CLINICAL_KEYS = {  # {key of the file: field of `ClinicalFigure`}
    "unit": "unit", "mean": "mean", "sd": "sd", "low": "minimum", "high": "maximum", "known": "known_share",
    "decided": "decided_by",
}  # fmt: skip


def _rhythm_entry(trial: SolvedTrial) -> dict | None:
    """Entry on the lumbopelvic rhythm; None for a trial without one. decided: its verdict, or why no ratio is given."""
    rhythm = trial.lumbopelvic_rhythm
    if rhythm is None:
        return None
    parts = {"lumbar_deg": rhythm.lumbar, "pelvis_deg": rhythm.pelvis}
    motion = {name: None if angle is None else float(np.degrees(angle)) for name, angle in parts.items()}
    decided = rhythm.reason or str(rhythm_verdict(trial.clinical_figures))
    return {"ratio": rhythm.ratio, "sd": rhythm.sd, **motion, "reason": rhythm.reason, "decided": decided}


def dataset_summary_metrics(trials: Mapping[str, dict]) -> dict:
    """The figures of a data set, computed from those of its trials."""
    entries = list(trials.values())
    weights = [entry["frames"] for entry in entries]
    reasons: dict[str, int] = {}
    for entry in entries:
        for code, count in entry["rejected_because"].items():
            reasons[code] = reasons.get(code, 0) + count
    return {
        **{key: sum(entry[key] for entry in entries) for key in SUM_METRICS},
        "views": max(entry["views"] for entry in entries),
        **{key: sorted({name for entry in entries for name in entry[key]}) for key in CAMERA_METRICS},
        "cameras_refined": any(entry["cameras_refined"] for entry in entries),
        **{key: _weighted_mean([entry[key] for entry in entries], weights) for key in MEAN_METRICS},
        **{key: _mean_by_name([entry[key] for entry in entries], weights) for key in METRICS_BY_NAME},
        "spine_seen_by": _merged([names for entry in entries for names in entry["spine_seen_by"].items()]),
        **_merged([(key, entry[key]) for key in NAME_METRICS for entry in entries]),
        "set_by_model": sorted({name for entry in entries for name in entry["set_by_model"]}),
        "rejected_because": reasons,
    }


def _camera_metrics(findings: Sequence[Finding]) -> dict:
    """Cameras that disagree with the others as calibrated, and as used; those that could not be judged; whether cameras
    were refined. At odds: one of these cameras is off, but the recording does not show which.
    """
    about = [f for f in findings if f.where and f.code.startswith("camera_") and f.code != CAMERA_UNJUDGED_CODE]
    used = [f for f in about if f.severity is not Severity.INFO]
    contradict = {f.where for f in findings if f.code in ("view_unused", "view_off")}
    off, off_as_used = _cameras_beyond_doubt(about), _cameras_beyond_doubt(used) | contradict
    return {
        "cameras_off": sorted(off),
        "cameras_at_odds": sorted({f.where for f in about} - off),
        "cameras_off_as_used": sorted(off_as_used),
        "cameras_at_odds_as_used": sorted({f.where for f in used} - off_as_used),
        "cameras_unjudged": sorted({f.where or "all" for f in findings if f.code == CAMERA_UNJUDGED_CODE}),
        "cameras_refined": is_refined(findings),
    }


def _merged(lists: Sequence[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """{key: names of all lists of this key, each once}."""
    merged: dict[str, dict[str, None]] = {}
    for key, names in lists:
        merged.setdefault(key, {}).update(dict.fromkeys(names))
    return {key: [*names] for key, names in merged.items()}


def _cameras_beyond_doubt(findings: Sequence[Finding]) -> set[str]:
    """Cameras that are certainly off."""
    return {finding.where for finding in findings if not which_camera_remains_open(finding)}


def _group_of(marker: str) -> str:
    """Group under which a fitted marker's error is reported."""
    if marker != base_name(marker):
        return INFERRED_SPINE_GROUP
    if is_skin_marker([marker]):
        return SKIN_MARKER_GROUP
    for group, names in (("limbs", VIEW_FIT_LIMB_POINTS), ("feet", FEET_POINTS), ("head", HEAD_GROUP_POINTS)):
        if marker in names:
            return group
    return "spine"


def spine_points_by_source(markers: Markers) -> dict[str, list[str]]:
    """{source: names} of the points of the spine that were observed; {} where all of them are inferred or
    estimated."""
    points = {name for names in SPINE_REGIONS.values() for name in names} - {"Nose", "Head"}
    seen = dict(zip(markers.names, markers.present.mean(0), strict=True))
    dots = is_tape_dot(markers.names)
    single = [name for name in is_skin_marker(markers.names) if seen[name] and name not in dots]
    ways = {SKIN_MARKER_GROUP: [_with_share(skin_landmark(name), seen[name]) for name in single]}
    ways[DOTS_OF_TAPE] = [_with_share(skin_landmark(name), seen[name]) for name in dots if seen[name]]
    for origin in (Origin.DETECTED, Origin.GIVEN):
        ways[str(origin)] = [name for name in markers.names_of(origin) if name in points]
    return {way: names for way, names in ways.items() if names}


def _with_share(name: str, seen: float) -> str:
    """The name, with the share of frames in which it was seen unless that is all."""
    return name if seen == 1 else f"{name} (seen in {100 * seen:.0f} % of the frames)"


def _rms_mm(error: np.ndarray) -> float | None:
    return float(1e3 * np.sqrt(np.nanmean(error**2))) if np.isfinite(error).any() else None


def _typical_degrees(deviation: np.ndarray | None, kept: np.ndarray) -> float | None:
    """Median standard deviation over the kept frames."""
    median = None if deviation is None else median_or_none(deviation[kept])
    return None if median is None else float(np.degrees(median))


def _mean_degrees(angle: np.ndarray) -> float | None:
    return float(np.degrees(np.nanmean(angle))) if np.isfinite(angle).any() else None


def _weighted_mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [i for i, value in enumerate(values) if value is not None]
    if not known:
        return None
    return float(np.average([values[i] for i in known], weights=[weights[i] for i in known]))


def _mean_by_name(entries: Sequence[dict], weights: Sequence[int]) -> dict[str, float | None]:
    names = dict.fromkeys(name for entry in entries for name in entry)
    return {name: _weighted_mean([entry.get(name) for entry in entries], weights) for name in names}
