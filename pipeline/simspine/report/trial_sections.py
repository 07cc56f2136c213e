"""One trial's part of the page, from a solved trial: its scene in 3D, figures and tables."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from simspine.anatomy.clinical import CLINICAL_DEFINITIONS, SIDE_WORDS
from simspine.anatomy.curvature import SPINE_CHAIN_MARKERS
from simspine.anatomy.vertebrae import SpineKinematics
from simspine.core.arrays import NORMAL_95, frame_ranges, mean_of_known
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import SPINE_REGIONS, skin_landmark
from simspine.core.types import Markers, Origin
from simspine.quality.doubts import with_doubts
from simspine.quality.findings import Finding, Verdict
from simspine.quality.observability import (
    ClinicalFigure,
    Observability,
    counted_from_unseen_tilt,
    observability_of,
    stated_sd,
)
from simspine.reconstruction.cameras import REFINEMENT_REMOVED_IT, camera_changes, camera_delays, did_not_fit
from simspine.reconstruction.headline import SKIN_MARKER_GROUP, detected_points, spine_points_by_source
from simspine.reconstruction.solved_trial import SEEN_SHARE, SolvedTrial
from simspine.report import page, tables
from simspine.report.bones import bones_and_joints
from simspine.report.level_figures import are_results, range_charts
from simspine.report.page import UNIT_SIGNS, number_text
from simspine.report.scene import Curve, Scene, colour_kinds

_SIGN = re.compile(r"\(\+ ([^)]+)\)")  # in a label: which way is positive
_CURVE_OF = {"lla": "lumbar", "tka": "thoracic", "cervical_lordosis": "cervical"}  # in `SPINE_REGIONS`
MOST_MOVED = 4  # panels shown from the start: largest ranges relative to their errors
MOST_USABLE = 5  # ranges at the top of the page
MOST_NAMED = 4  # points of a source
# {parameter: (values, sd)}, (frames,) rad or m
AngleCurves = Mapping[str, tuple[np.ndarray, np.ndarray | None]]


def scene_of_trial(trial: SolvedTrial, step: int = 1) -> Scene:
    """The scene of a trial. step: only every step-th frame has poses, to save memory in long trials."""
    spine, verdict = trial.spine, trial.verdict
    bones, segments = bones_and_joints(trial.body.osim)
    posture = (*trial.curvature_figures, *trial.clinical_figures)
    still = tables.held_still(posture)
    figures = (*most_moved(region_figures(trial)), *posture)
    left_out = () if still else tables.STANDING_ALIGNMENT
    drawn = [figure for figure in figures if figure.is_decided and figure.name not in left_out]
    return Scene(
        name=trial.name,
        spine=chain_of_body(spine.markers),
        points=trial.markers,
        poses=trial.shown_poses(step),
        bones=bones,
        segments=segments,
        cameras=tuple(trial.cameras),
        status=None if verdict is None else tuple(map(str, verdict.status)),
        reasons=None if verdict is None else tuple("; ".join(map(page.cause_of_finding, c)) for c in verdict.reasons),
        curves=curves_of_trial(spine, drawn, still),
        step=step,
        assumed={p for one in figures if one.is_assumed for p in SPINE_REGIONS.get(_CURVE_OF.get(one.name, ""), ())},
    )


def chain_of_body(spine: Markers) -> Markers:
    """Points of the spine that the tube joins; all points if none has a usual name."""
    chain = [point for point in SPINE_CHAIN_MARKERS if point in spine.names]
    return spine.select(chain) if chain else spine


def curves_of_trial(spine: SpineKinematics, figures: Sequence[ClinicalFigure], still: bool = True) -> tuple[Curve, ...]:
    """Curves of regions, lordosis, kyphosis and clinical parameters; none for a single frame."""
    clinical, turned, sd = spine.clinical, turned_about_mean(spine), spine.angles_sd
    angles: dict[str, tuple[np.ndarray, np.ndarray | None]] = {
        key: (getattr(spine, key), getattr(spine, f"{key}_sd")) for key in tables.CURVATURE_KEYS
    }
    for place, level in enumerate(spine.levels):
        for k, plane in enumerate(tables.REGION_PLANES):
            angles[f"{level} {plane}"] = (turned[:, place, k], None if sd is None else sd[:, place, k])
    if clinical is not None:
        angles |= {name: (clinical.of(name), clinical.sd(name)) for name in clinical.names}
    return angle_curves(angles, figures, still) if spine.frames > 1 else ()


def turned_about_mean(spine: SpineKinematics) -> np.ndarray:
    """The spine's angles; rotation of pelvis and thorax in the room counts from its mean over the trial."""
    angles = np.array(spine.angles)
    for segment in (name for name in tables.SEGMENT_PLANES if name in spine.levels):
        turn = angles[:, spine.levels.index(segment), 2]
        turn -= mean_of_known(turn, 0)
    return angles


def angle_curves(angles: AngleCurves, figures: Sequence[ClinicalFigure], still: bool = True) -> tuple[Curve, ...]:
    """A curve of each figure that the model does not set; both sides share a panel. The ranges to use come first."""
    shown = [
        figure
        for figure in figures
        if figure.name in angles
        and (figure.name in tables.CURVATURE_KEYS or (figure.is_of_person and tables.moves(figure)))
    ]
    panels = list(dict.fromkeys(map(panel_of, most_moved(shown) or shown)))[:MOST_MOVED]
    return tuple(
        _angle_curve(figure, *angles[figure.name], chosen=panel_of(figure) in panels, still=still) for figure in shown
    )


def most_moved(figures: Sequence[ClinicalFigure]) -> list[ClinicalFigure]:
    """Figures whose range is larger than its ±: spine and pelvis before limbs, graded angles before others, then by
    range over ±, the largest first."""
    moving = [figure for figure in figures if figure.range_sd and tables.is_range_shown(figure)]
    by_ratio = sorted(moving, key=lambda figure: tables.range_of(figure) / (figure.range_sd or 1.0), reverse=True)
    return sorted(by_ratio, key=lambda figure: (bool(side_of(figure)), figure.verdict is not Observability.MEASURED))


def panel_of(figure: ClinicalFigure) -> str:
    """Title of the figure's panel: its label without the side."""
    return figure.label.rpartition(", ")[0] if side_of(figure) else figure.label


def side_of(figure: ClinicalFigure) -> str:
    """'right', 'left', or '' for what has no side."""
    return SIDE_WORDS.get(figure.name[-1], "") if figure.name[-2:-1] == "_" else ""


def _angle_curve(
    figure: ClinicalFigure, values: np.ndarray, sd: np.ndarray | None, *, chosen: bool, still: bool
) -> Curve:
    factor, forced = (1e3 if figure.unit == "mm" else 180 / np.pi), figure.verdict is Observability.FORCED
    panel, sign = panel_of(figure), tables.label_with_sign(figure).removeprefix(figure.label)
    positive = CLINICAL_DEFINITIONS[figure.name].positive if figure.name in CLINICAL_DEFINITIONS else ""
    is_result, unmarked = tables.is_result(figure, still), replace(figure, doubts=())
    stated = f"mean {tables.mean_cell(unmarked)}" if still else f"range {tables.range_cell(unmarked)}"
    noted = figure.is_assumed or forced or str(figure.verdict).startswith(("partly", "estimated"))
    return Curve(
        name=side_of(figure) or figure.label,
        label=figure.label + sign,
        values=factor * values,
        sd=None if sd is None or forced else stated_sd(figure.name, factor * sd),
        band=tables.norm_of(figure),
        note=(str(figure.verdict) or figure.decided_by) if noted else "",
        forced=forced,
        panel=panel + sign if side_of(figure) else "",
        chosen=chosen,
        unit=UNIT_SIGNS[figure.unit],
        assumed=figure.is_assumed,
        stated=stated * is_result,
        result=is_result,
        doubts=figure.doubts,
        change=figure.is_change,
        least=0.0 if positive.startswith("never negative") else None,
    )


def usable_figures(trial: SolvedTrial) -> list[ClinicalFigure]:
    """The ranges that may be used, in the order of `most_moved`; none in a single frame."""
    left_out = tables.STANDING_ALIGNMENT
    posture = [one for one in (*trial.curvature_figures, *trial.clinical_figures) if one.name not in left_out]
    return [one for one in most_moved((*region_figures(trial), *posture)) if one.unit == "deg"]


def usable_table(trial: SolvedTrial, as_calibrated: SolvedTrial | None = None) -> page.PageTable | None:
    """The first `usable_figures` with the moments of their ends; 'at least' where the recording cuts a movement off.

    as_calibrated: the trial with the calibration as given; a column has its ranges, the caption the largest change."""
    time, rows, figures = trial.spine.time, list[tuple[str, ...]](), usable_figures(trial)
    given = {} if as_calibrated is None else _ranges_by_label(as_calibrated)
    for one in figures[:MOST_USABLE]:
        edges = [" (end)" if 2 * frame > len(time) else " (start)" for frame in one.ends]
        parts = zip(one.ends, edges, one.cut, strict=True)
        moments = " … ".join(number_text(time[frame], 2) + edge * is_cut for frame, edge, is_cut in parts)
        source, before = re.split("[:,]", one.decided_by)[0], (f"{given.get(one.label, np.nan):.0f}°",) * bool(given)
        name = f"{_plain_label(one)}: {source}"
        rows.append((name, ends_in_words(one), f"{moments}\u00a0s", tables.range_cell(one), *before))
    words, misfit = page.page_words("usable"), did_not_fit(trial.findings)
    changes = {one: abs(given[one.label] - tables.range_of(one)) for one in figures if one.label in given}
    caption = words["caption"].format(count=len(figures), shown=len(rows)) + words["misfit"] * misfit
    if changes:
        most, median = max(changes, key=changes.__getitem__), np.median([*changes.values()])
        name = _plain_label(most)
        caption += words["changed"].format(largest=changes[most], name=name[0].lower() + name[1:], median=median)
    caption += words["cut"] * any(any(one.cut) for one in figures[:MOST_USABLE])
    columns = (*words["columns"], *[words["given_column"]] * bool(given))
    return page.PageTable(columns, tuple(rows), caption) if rows else None


def _plain_label(figure: ClinicalFigure) -> str:
    """The label without the sign: 'Left hip adduction', 'Trunk bending, T4 on the pelvis'."""
    return short_name(figure) if side_of(figure) else _SIGN.sub("", figure.label).replace(" ,", ",").strip()


def _ranges_by_label(trial: SolvedTrial) -> dict[str, float]:
    figures = (*region_figures(trial), *trial.curvature_figures, *trial.clinical_figures)
    return {figure.label: tables.range_of(figure) for figure in figures}


def short_name(figure: ClinicalFigure) -> str:
    """The label without the vertebrae and the sign: 'Left hip adduction', 'Thorax bending in the room'."""
    name = panel_of(figure).partition(",")[0].partition(" (")[0]
    return f"{side_of(figure)} {name.lower()}".capitalize() if side_of(figure) else name


def ends_in_words(figure: ClinicalFigure) -> str:
    """'22° left … 17° right' or '2° … 34° flexion'; with numbers alone where the sign has no words."""
    signs, opposites = _SIGN.findall(tables.label_with_sign(figure)), page.page_words("opposites")
    positive = signs[0] if signs else short_name(figure).split()[-1]
    if positive not in opposites or figure.minimum is None or figure.maximum is None:
        return ", ".join([tables.ends_text(figure), *(f"+ {sign}" for sign in signs)])
    ends = (figure.minimum, figure.maximum)
    low, high = (f"{number_text(abs(end), 0)}{UNIT_SIGNS[figure.unit]}" for end in ends)
    of_low, of_high = (positive if round(end) >= 0 else opposites[positive] for end in ends)
    of_mean = page.page_words("usable")["of_mean"] * figure.is_change
    return " … ".join([low + f" {of_low}" * (of_low != of_high), f"{high} {of_high}{of_mean}"])


def levels_between_markers(levels: Iterable[str], markers: Markers) -> list[str]:
    """The levels with a detected or given marker on both of their vertebrae."""
    seen = {skin_landmark(name) for name in markers.names_of(Origin.DETECTED, Origin.GIVEN)}
    return [level for level in levels if set(level.split("-")) <= seen]


def segment_figures(
    spine: SpineKinematics, kept: np.ndarray, sources: Mapping[str, tuple[str, str]]
) -> tuple[ClinicalFigure, ...]:
    """Angles of pelvis and thorax in the room; none without standard deviations. kept: (frames,). sources: as below."""
    unknown = np.full((len(spine.levels), 3), np.nan)
    words, figures = observability_of(spine.levels, unknown), list[ClinicalFigure]()
    spine = replace(spine, angles=turned_about_mean(spine))
    for segment in (name for name in tables.SEGMENT_PLANES if name in spine.levels):
        angles = tables.figures_of_level(spine, segment, words=words, shares=unknown, kept=kept)
        for plane, one in zip(tables.SEGMENT_PLANES[segment], angles, strict=True):
            source = sources.get(segment, (one.decided_by,) * 2)["tilt" not in plane]
            label = f"{segment.capitalize()} {plane}".replace(" (", " in the room (")
            turned = "rotation" in plane
            figures += [replace(one, label=label, decided_by=source, is_change=turned)] * (one.sd is not None)
    return tuple(figures)


def segment_sources(trial: SolvedTrial) -> dict[str, tuple[str, str]]:
    """{'pelvis': (source of its tilt, of its other angles)}: the points that show a segment in half of the frames.

    Points on its left-right axis, hips or shoulders, do not show its tilt: without a lumbar marker that is assumed.
    """
    points, words = trial.markers, page.page_words("room_sources")
    unseen = words["assumed" if lacks_lumbar_marker(trial) else "inferred"]
    carriers, sources = dict(zip(trial.body.marker_names, trial.body.marker_bodies, strict=True)), {}
    kinds = zip(points.names, colour_kinds(points), points.present.mean(0), strict=True)
    seen = [(name, kind) for name, kind, share in kinds if kind != Origin.INFERRED and share >= SEEN_SHARE]
    for segment, said in words["segments"].items():
        names = defaultdict[str, list[str]](list)
        for name, kind in seen:
            if re.match(said["bodies"], carriers.get(name, "")):
                names[words["kinds"][kind]].append(skin_landmark(name))
        cut = {kind: found[:MOST_NAMED] + ["…"] * (len(found) > MOST_NAMED) for kind, found in names.items()}
        text = "; ".join(f"{kind}: {', '.join(found)}" for kind, found in cut.items())
        is_on_axis = all(name in said["axis"] for found in names.values() for name in found)
        sources[segment] = (unseen.format(said["tilt"]) if is_on_axis else text, text or words["none"])
    return sources


def lacks_lumbar_marker(trial: SolvedTrial) -> bool:
    """Whether the spine was seen by single skin markers only, none of them lumbar, and lordosis was not decided."""
    ways = spine_points_by_source(trial.markers)
    lumbar = any(name[0] == "L" and name[1:2].isdigit() for name in ways.get(SKIN_MARKER_GROUP, ()))
    assumed = any(figure.is_assumed for figure in trial.curvature_figures if figure.name == "lla")
    return [*ways] == [SKIN_MARKER_GROUP] and not lumbar and assumed


def region_figures(trial: SolvedTrial) -> tuple[ClinicalFigure, ...]:
    """Angles of the sums of levels, the trunk's first, then of the segments in the room.

    Without lumbar flexion if that is a clinical parameter, and without rotation in the room of a single frame.
    """
    spine, shares, names = trial.spine, trial.observed_shares, page.page_words("regions")
    words = observability_of(spine.levels, shares, spine.forced, estimated=trial.spine_estimated)
    figures = list[ClinicalFigure]()
    for level in reversed([name for name in spine.levels if name in names]):
        region, *vertebrae = names[level].split(", ")
        angles = tables.figures_of_level(spine, level, words=words, shares=shares, kept=~trial.rejected)
        for plane, one in zip(tables.REGION_PLANES, angles, strict=True):
            label = ", ".join([f"{region} {plane}", *vertebrae])
            is_stated = spine.clinical is not None and label.startswith("Lumbar flexion")
            is_shown = one.sd is not None and not is_stated
            figures += [_with_what_it_rests_on(trial, level, replace(one, label=label))] * is_shown
    room = segment_figures(spine, ~trial.rejected, segment_sources(trial))
    shown = (*figures, *(one for one in room if spine.frames > 1 or not one.is_change))
    return with_doubts(_with_excluded(trial, shown), trial.findings)


def _with_excluded(trial: SolvedTrial, figures: Sequence[ClinicalFigure]) -> tuple[ClinicalFigure, ...]:
    """The figures, with the errors of detected points that their ± leaves out."""
    detected = trial.markers.names_of(Origin.DETECTED)
    known = [error for error in page.page_words("excluded") if not {*error["points"]}.isdisjoint(detected)]
    errors = {one.name: [error["errors"] for error in known if re.match(error["of"], one.name)] for one in figures}
    return tuple(replace(one, excluded="; ".join(errors[one.name])) for one in figures)


def _with_what_it_rests_on(trial: SolvedTrial, level: str, figure: ClinicalFigure) -> ClinicalFigure:
    """Without a lumbar marker, shares of the lumbar spine are assumed; the trunk's flexion counts from the pelvis."""
    if level == "lumbar" and figure.is_decided and lacks_lumbar_marker(trial):
        return replace(figure, decided_by=str(Observability.ASSUMED))
    is_on_tilt = level == "thorax-pelvis" and "flexion" in figure.label
    return counted_from_unseen_tilt(figure) if is_on_tilt and not trial.shows_pelvis_tilt else figure


def trial_tables(trial: SolvedTrial) -> tuple[page.PageTable, ...]:
    """Clinical parameters, and angles of the levels."""
    spine, levels = trial.spine, list[page.PageTable | None]()
    if spine.angles_sd is not None:
        marked = levels_between_markers(spine.levels, trial.markers)
        known = (spine, trial.observed_shares, trial.sized.levels)
        levels.append(tables.angle_table(*known, kept=~trial.rejected, estimated=trial.spine_estimated, marked=marked))
    figures = (*trial.curvature_figures, *_with_excluded(trial, trial.clinical_figures))
    still, words = tables.held_still(figures), page.page_words("means")
    first, *others = tables.clinical_tables(figures, trial.lumbopelvic_rhythm, region_figures(trial)) or (None,)
    if first is not None:
        kind = "frame" if spine.frames == 1 else "still" if still else "moving"
        first = replace(first, caption=words[kind])
    return tuple(table for table in (first, *others, *levels) if table is not None)


def curve_pictures(trial: SolvedTrial, curves: Sequence[Curve]) -> Iterator[page.Picture]:
    """Pictures of all angles over time, which the page's script draws from the player's data; none for one frame."""
    estimated = f" Points of the spine were {tables.ESTIMATED_BY}: the curves follow these." * trial.spine_estimated
    shaded, looks = " Shaded in red: rejected frames." * bool(trial.rejected.any()), page.page_words("looks")
    for key, sided, more in (("spinal", False, estimated), ("limbs", True, "")):
        if shown := [curve for curve in curves if bool(curve.panel) is sided]:
            partly = looks["partly"] * any(curve.note.startswith("partly") or not curve.result for curve in shown)
            yield page.named_picture(key, partly + more + shaded, curves=key)


def level_pictures(trial: SolvedTrial) -> tuple[page.Picture, ...]:
    """Ranges of the levels, or their angles in a single frame; none where no level is a result."""
    spine, kept = trial.spine, ~trial.rejected
    joints = [one.name for one in trial.sized.levels if one.coordinates and one.name in spine.levels] or [*spine.levels]
    rows = [spine.levels.index(level) for level in joints]
    angles, shares = spine.angles[kept][:, rows], trial.observed_shares[rows]
    sd = None if spine.angles_sd is None else spine.angles_sd[kept][:, rows]
    marked = levels_between_markers(joints, trial.markers)
    if not are_results(joints, shares, spine.forced, marked).any():
        return ()
    chart = range_charts(joints, angles, sd, shares=shares, forced=spine.forced, marked=marked)
    return (page.named_picture("range" if spine.frames > 1 else "angle", chart=chart),)


def fit_tables(trial: SolvedTrial) -> tuple[page.PageTable, ...]:
    """Tables of the errors of each camera's detections, and of the distance of each point from the fitted body.

    The fit over all frames, which gives a posterior, leaves inferred markers out.
    """
    report, result = trial.triangulation, trial.result
    seen = None if report is None else detected_points(report, trial.markers)
    changes, delays = camera_changes(trial.findings), camera_delays(trial.findings)
    sizes = tables.image_sizes(trial.cameras) + _sizes_at_person(trial, delays)
    cameras = () if seen is None else (tables.camera_table(seen, sizes, changes, delays=delays, rate=trial.spine.rate),)
    unfitted = () if result.posterior is None else trial.markers.names_of(Origin.INFERRED)
    columns = zip(result.marker_names, result.marker_error.T, strict=True)
    fitted = {name: distance for name, distance in columns if name not in unfitted}
    return (*cameras, tables.point_table(report, trial.markers, fitted))


def _sizes_at_person(trial: SolvedTrial, delays: Mapping[str, Mapping[str, float]]) -> str:
    """Sentences on what a pixel and the delays are at the person, mm; '' where nothing is known."""
    if not trial.cameras or trial.spine.frames < 2 or not trial.markers.present.any():
        return ""
    xyz = markers_in_frame(trial.markers, "z_up").xyz
    middle, steps = np.nanmean(xyz, (0, 1)), np.linalg.norm(np.diff(xyz, axis=0), axis=-1)
    pixel = np.median([1e3 * np.linalg.norm(middle - camera.centre) / camera.K[0, 0] for camera in trial.cameras])
    speed = np.nanpercentile(steps, 95) * trial.spine.rate
    longest = max((abs(one["delay_frames"]) + NORMAL_95 * one["sd_frames"] for one in delays.values()), default=0.0)
    delay, words = longest / trial.spine.rate, page.page_words("fit")
    fast = words["fast"].format(delay=1e3 * delay, shift=round(1e3 * delay * speed, -1)) * bool(delays)
    return words["at_person"].format(pixel=pixel) + fast


def page_findings(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Findings of quality control as the page shows them, without misfits that refinement of the cameras removed."""
    for finding in findings:
        if finding.suggestion != REFINEMENT_REMOVED_IT:
            message, advice = (text.replace("`", "") for text in (finding.message, finding.suggestion))
            yield replace(finding, message=message, suggestion=advice)


def rejected_frames(verdict: Verdict) -> tuple[tuple[str, str], ...]:
    """(frames, reasons) of the rejected frames, one row per set of reasons; filled frames are marked as such."""
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for frame in np.flatnonzero(verdict.rejected):
        filled = ("filled in: inferred, not seen",) if verdict.inferred[frame] else ()
        groups[(*map(page.cause_of_finding, verdict.reasons[frame]), *filled)].append(int(frame))
    return tuple((frame_ranges(frames), "; ".join(reasons)) for reasons, frames in groups.items())
