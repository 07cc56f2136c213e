"""The headline figures of a trial, and of a data set from those of its trials."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from simspine.errors import InputError
from simspine.pipeline.cameras import is_refined
from simspine.pipeline.solved_trial import SolvedTrial
from simspine.pipeline.view_fit import LIMBS, limb_distance, view_fits
from simspine.quality.camera_checks import UNJUDGED, remains_open
from simspine.quality.clinical_figures import ClinicalFigure
from simspine.quality.findings import Finding, Severity
from simspine.quality.observability import estimated_of_spine, forced_mask
from simspine.quality.skin_checks import LOST, ORDER
from simspine.report.summary import typical
from simspine.skeletons.inferred_names import base_name
from simspine.skeletons.regions import SPINE_REGIONS
from simspine.skeletons.skin_names import landmark, not_on_skin, of_tape, on_skin
from simspine.spine.lumbopelvic import LumbopelvicRhythm
from simspine.types import Markers, Origin

FEET = tuple(f"{side}{point}" for side in "LR" for point in ("BigToe", "SmallToe", "Heel"))
INFERRED, ESTIMATED = "inferred spine", "estimated spine"
UNSEEN = (INFERRED, ESTIMATED)  # no points that were seen
ON_SKIN = "on the skin"
HEAD = ("Nose", "Head", "LEye", "REye", "LEar", "REar")

# Figures of a data set are means over its trials, weighted by frames; counts are summed.
MEANS = (
    "reprojection_px_median", "reprojection_px_p90", "points_kept_share", "points_contributed_share", "marker_rms_mm",
    "model_reprojection_px_median", "lla_deg_mean", "lla_deg_sd", "tka_deg_mean", "tka_deg_sd",
)  # fmt: skip
CAMERAS = ("cameras_off", "cameras_at_odds", "cameras_off_as_used", "cameras_at_odds_as_used", "cameras_unjudged")
SUMS = ("frames", "frames_rejected", "frames_inferred", "frames_corrected")
BY_NAME = ("marker_rms_mm_by_group", "points_contributed_share_by_camera", "model_reprojection_px_by_camera")


def headline(found: SolvedTrial) -> dict:
    """A trial's figures; lengths and angles in the units their names say.

    Raises `InputError` where the trial did not come from images, or has no verdict.
    """
    unseen = found.markers.names_of(Origin.ESTIMATED)
    points = found.images[1].of(name for name in not_on_skin(found.images[1].names) if name not in unseen)
    summary = points.summary()
    spine, solved, verdict = found.spine, found.result, found.verdict
    if verdict is None:
        raise InputError(f"{found.name}: has no verdict, which its headline needs; run the stage quality first.")
    kept = ~verdict.rejected
    set_by_model = [name for name in ("lla", "tka") if forced_mask([name], spine.forced).any()]
    groups = np.array([ESTIMATED if name in unseen else _group_of(name) for name in solved.marker_names])
    fits = view_fits(found)
    return {
        "frames": spine.frames,
        "views": len(found.cameras),
        **_cameras(verdict.findings),
        "reprojection_px_median": summary["reprojection_px_median"],
        "reprojection_px_p90": summary["reprojection_px_p90"],
        "points_kept_share": summary["points_kept_share"],
        "marker_rms_mm": _rms_mm(solved.marker_error[:, ~np.isin(groups, UNSEEN)]),
        "marker_rms_mm_by_group": {
            str(group): _rms_mm(solved.marker_error[:, groups == group])
            for group in sorted(dict.fromkeys(groups), key=lambda group: group == INFERRED)
        },
        "points_contributed_share": float(points.used.mean()),
        "points_contributed_share_by_camera": {fit.name: fit.contributed for fit in fits},
        "model_reprojection_px_median": typical(limb_distance(found)),
        "model_reprojection_px_by_camera": {fit.name: _known(fit.distance_px) for fit in fits},
        "lla_deg_mean": _mean_degrees(spine.lla[kept]),
        "lla_deg_sd": None if "lla" in set_by_model else _typical_degrees(spine.lla_sd, kept),
        "tka_deg_mean": _mean_degrees(spine.tka[kept]),
        "tka_deg_sd": None if "tka" in set_by_model else _typical_degrees(spine.tka_sd, kept),
        "set_by_model": set_by_model,
        "clinical": {figure.name: _written(figure) for figure in (*found.curvature_figures, *found.clinical_figures)},
        "lumbopelvic_rhythm": None if found.lumbopelvic_rhythm is None else _rhythm(found.lumbopelvic_rhythm),
        "spine_seen_by": spine_seen_by(found.markers),
        "spine_estimated": list(estimated_of_spine(found.markers.names, found.markers.origins)),
        "skin_markers_doubted": [finding.where for finding in verdict.findings if finding.code == ORDER],
        "skin_markers_lost": [finding.where for finding in verdict.findings if finding.code == LOST],
        "frames_rejected": verdict.counts["rejected"],
        "frames_inferred": verdict.counts["inferred"],
        "frames_corrected": verdict.counts["corrected"],
        "rejected_because": verdict.reason_counts["rejected"],
        "observations_dropped_share": summary["observations_dropped_share"],
        "observations_swapped_share": summary["observations_swapped_share"],
        "inferred": list(found.markers.names_of(Origin.INFERRED)),
        "estimated": list(unseen),
    }


def _written(figure: ClinicalFigure) -> dict:
    return {name: value for name, value in asdict(figure).items() if name not in ("name", "label")}


def _rhythm(found: LumbopelvicRhythm) -> dict:
    def degrees(value: float | None) -> float | None:
        return None if value is None else float(np.degrees(value))

    motion = {"lumbar_deg": degrees(found.lumbar), "pelvis_deg": degrees(found.pelvis)}
    return {"ratio": found.ratio, "sd": found.sd, **motion, "reason": found.reason}


def data_set_headline(trials: Mapping[str, dict]) -> dict:
    """The figures of a data set out of those of its trials."""
    entries = list(trials.values())
    weights = [entry["frames"] for entry in entries]
    reasons: dict[str, int] = {}
    for entry in entries:
        for code, count in entry["rejected_because"].items():
            reasons[code] = reasons.get(code, 0) + count
    return {
        **{key: sum(entry[key] for entry in entries) for key in SUMS},
        "views": max(entry["views"] for entry in entries),
        **{key: sorted({name for entry in entries for name in entry[key]}) for key in CAMERAS},
        "cameras_refined": any(entry["cameras_refined"] for entry in entries),
        **{key: _mean([entry[key] for entry in entries], weights) for key in MEANS},
        **{key: _mean_by_name([entry[key] for entry in entries], weights) for key in BY_NAME},
        "spine_seen_by": _merged([entry["spine_seen_by"] for entry in entries]),
        "spine_estimated": list(dict.fromkeys(text for e in entries for text in e["spine_estimated"])),
        "skin_markers_doubted": list(dict.fromkeys(text for e in entries for text in e["skin_markers_doubted"])),
        "skin_markers_lost": list(dict.fromkeys(text for e in entries for text in e["skin_markers_lost"])),
        "set_by_model": sorted({name for entry in entries for name in entry["set_by_model"]}),
        "rejected_because": reasons,
    }


def _cameras(findings: Sequence[Finding]) -> dict:
    """Cameras that lie beside the others as they were calibrated, those that do as they were used, those that could not
    be judged, and whether cameras were refined. At odds: cameras of which it remains open which is off."""
    about = [f for f in findings if f.where and f.code.startswith("camera_") and f.code != UNJUDGED]
    used = [f for f in about if f.severity is not Severity.INFO]
    contradict = {f.where for f in findings if f.code in ("view_unused", "view_off")}
    return {
        "cameras_off": sorted(_off(about)),
        "cameras_at_odds": sorted({finding.where for finding in about} - _off(about)),
        "cameras_off_as_used": sorted(_off(used) | contradict),
        "cameras_at_odds_as_used": sorted({finding.where for finding in used} - _off(used) - contradict),
        "cameras_unjudged": sorted({finding.where or "all" for finding in findings if finding.code == UNJUDGED}),
        "cameras_refined": is_refined(findings),
    }


def _off(findings: Sequence[Finding]) -> set[str]:
    """Cameras that are off beyond doubt."""
    return {finding.where for finding in findings if not remains_open(finding)}


def _merged(entries: Sequence[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    ways = dict.fromkeys(way for entry in entries for way in entry)
    return {way: list(dict.fromkeys(name for entry in entries for name in entry.get(way, ()))) for way in ways}


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _group_of(marker: str) -> str:
    """Group under which a fitted marker's error is reported."""
    if marker != base_name(marker):
        return INFERRED
    if on_skin([marker]):
        return ON_SKIN
    for group, names in (("limbs", LIMBS), ("feet", FEET), ("head", HEAD)):
        if marker in names:
            return group
    return "spine"


def spine_seen_by(markers: Markers) -> dict[str, list[str]]:
    """{how: names}: what is known of the spine beside the limbs; empty where all of it is inferred from them, or
    estimated."""
    own = {name for names in SPINE_REGIONS.values() for name in names} - {"Nose", "Head"}
    seen = dict(zip(markers.names, markers.present.mean(0), strict=True))
    dots = of_tape(markers.names)
    single = [name for name in on_skin(markers.names) if seen[name] and name not in dots]
    ways = {ON_SKIN: [_with_share(landmark(name), seen[name]) for name in single]}
    ways["dots of a tape"] = [_with_share(landmark(name), seen[name]) for name in dots if seen[name]]
    for origin in (Origin.DETECTED, Origin.GIVEN):
        ways[str(origin)] = [name for name in markers.names_of(origin) if name in own]
    return {way: names for way, names in ways.items() if names}


def _with_share(name: str, seen: float) -> str:
    """The name, and in how many of the frames it was seen if not in all."""
    return name if seen == 1 else f"{name} ({100 * seen:.0f} % of the frames)"


def _rms_mm(error: np.ndarray) -> float | None:
    return float(1e3 * np.sqrt(np.nanmean(error**2))) if np.isfinite(error).any() else None


def _typical_degrees(deviation: np.ndarray | None, kept: np.ndarray) -> float | None:
    """Median standard deviation over the kept frames."""
    median = None if deviation is None else typical(deviation[kept])
    return None if median is None else float(np.degrees(median))


def _mean_degrees(angle: np.ndarray) -> float | None:
    return float(np.degrees(np.nanmean(angle))) if np.isfinite(angle).any() else None


def _mean(values: Sequence[float | None], weights: Sequence[int]) -> float | None:
    known = [i for i, value in enumerate(values) if value is not None]
    if not known:
        return None
    return float(np.average([values[i] for i in known], weights=[weights[i] for i in known]))


def _mean_by_name(entries: Sequence[dict], weights: Sequence[int]) -> dict[str, float | None]:
    names = dict.fromkeys(name for entry in entries for name in entry)
    return {name: _mean([entry.get(name) for entry in entries], weights) for name in names}
