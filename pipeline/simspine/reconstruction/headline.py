"""The headline figures of a trial, and those of a data set: the content of `summary.json`."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

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
from simspine.quality.assess import CAMERA_UNJUDGED_CODE, WHICH_CAMERA_OPEN_HINT
from simspine.quality.findings import Finding, Severity
from simspine.quality.marker_checks import SKIN_LOST_CODE, SKIN_ORDER_CODE
from simspine.quality.observability import Observability, estimated_of_spine, rhythm_verdict
from simspine.reconstruction.cameras import is_refined
from simspine.reconstruction.solved_trial import VIEW_FIT_LIMB_POINTS, SolvedTrial, limb_distance, view_fits
from simspine.vision.triangulation import TriangulationReport

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


def median_or_none(values: np.ndarray | None) -> float | None:
    """Median of the finite values; None without any."""
    return None if values is None or not np.isfinite(values).any() else float(np.nanmedian(values))


def summary_metrics(trial: SolvedTrial) -> dict:
    """A trial's figures, in the units given in their names.

    Raises `InputError` where the trial has no verdict.
    """
    solved, verdict = trial.result, trial.verdict
    if verdict is None:
        raise InputError(f"{trial.name}: has no verdict, which its headline needs; run the stage quality first.")
    groups = _groups_of_markers(trial)
    return {
        "frames": trial.spine.frames,
        "views": len(trial.cameras),
        **_camera_metrics(verdict.findings),
        **_image_metrics(trial),
        "marker_rms_mm": marker_rms_mm(trial),
        "marker_rms_mm_by_group": {
            str(group): _rms_mm(solved.marker_error[:, groups == group])
            for group in sorted(dict.fromkeys(groups), key=lambda group: group == INFERRED_SPINE_GROUP)
        },
        **{
            f"{figure.name}_deg_{key}": getattr(figure, key)
            for figure in trial.curvature_figures
            for key in ("mean", "sd")
        },
        "set_by_model": [one.name for one in trial.curvature_figures if one.verdict is Observability.FORCED],
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
        "estimated": list(trial.markers.names_of(Origin.ESTIMATED)),
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
        "rejected_because": dict(sum((Counter(entry["rejected_because"]) for entry in entries), Counter())),
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
    return {finding.where for finding in findings if WHICH_CAMERA_OPEN_HINT not in finding.message}


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


def _weighted_mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [i for i, value in enumerate(values) if value is not None]
    if not known:
        return None
    return float(np.average([values[i] for i in known], weights=[weights[i] for i in known]))


def _mean_by_name(entries: Sequence[dict], weights: Sequence[int]) -> dict[str, float | None]:
    names = dict.fromkeys(name for entry in entries for name in entry)
    return {name: _weighted_mean([entry.get(name) for entry in entries], weights) for name in names}
