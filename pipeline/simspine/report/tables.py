"""Tables of the page: clinical parameters, trials side by side, angles of levels, cameras and points."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from simspine.anatomy.alignment import LumbopelvicRhythm
from simspine.anatomy.clinical import (
    CLINICAL_DEFINITIONS,
    CURVATURE_OF_ADULTS,
    JOINT_DEFINITIONS,
    PUBLISHED_ADULTS,
    SIDE_WORDS,
    SPINAL_DEFINITIONS,
)
from simspine.anatomy.curvature import MOTION_PLANES, Level
from simspine.anatomy.vertebrae import SpineKinematics, forced_sentence
from simspine.core.arrays import NORMAL_95
from simspine.core.skeletons import base_name, is_skin_marker, skin_landmark
from simspine.core.types import Camera, Forced, ForcedKind, Markers, Origin
from simspine.evaluation.validation_records import TrialRecord
from simspine.quality.findings import THRESHOLDS
from simspine.quality.observability import (
    IMPRECISE,
    NO_LABEL,
    ClinicalFigure,
    Observability,
    angle_statistics,
    observability_of,
    observed_share_text,
    rhythm_verdict,
)
from simspine.report.page import (
    UNIT_SIGNS,
    PageTable,
    Statement,
    interval_text,
    is_beyond,
    named_notes,
    number_text,
    page_words,
    unbreakable,
)

if TYPE_CHECKING:
    from simspine.vision.triangulation import TriangulationReport


CURVATURE_KEYS = ("lla", "tka")
CONSTANT_RANGE = 1e-6  # degrees or mm
UNKNOWN_FROM_DEG = 90.0  # angles with a larger ± are not shown
NORM_COLUMN = 4  # of the table of pelvis and spine
BETWEEN_SIDES = "Right − left"
TURNED_BY_PELVIS = ("hip_adduction", "hip_rotation")  # the ± of a difference of sides is too small
MEAN_COLUMN = "Mean (± of a typical frame)"


def clinical_tables(
    figures: Sequence[ClinicalFigure], rhythm: LumbopelvicRhythm | None, regions: Sequence[ClinicalFigure] = ()
) -> tuple[PageTable, ...]:
    """Tables of pelvis and spine, with its regions, of the joints of the limbs, and, folded, of pelvis and spine where
    they were not measured; without rows it is left out. Without movement, as in a single frame, there are no ranges.
    """
    known = (f for f in figures if f.unit != "deg" or f.sd is None or not NORMAL_95 * f.sd > UNKNOWN_FROM_DEG)
    by_name = {figure.name: figure for figure in known}  # without angles such as those of limbs not recorded
    moving = any(moves(figure) for figure in figures)
    spinal = [by_name[name] for name in (*CURVATURE_KEYS, *SPINAL_DEFINITIONS) if name in by_name]
    others = [_alignment_row(figure) for figure in (*regions, *spinal) if not figure.is_decided]
    alignment = [_alignment_row(figure) for figure in (*regions, *spinal) if figure.is_decided]
    if alignment and rhythm is not None:
        alignment += _rhythm_rows(rhythm, rhythm_verdict(figures))
    recorded = any(one.is_decided for one in by_name.values() if one.name.startswith(tuple(JOINT_DEFINITIONS)))
    limbs = [row for joint in JOINT_DEFINITIONS for row in _limb_rows(joint, by_name)] if recorded else []
    has_norms = any(row[NORM_COLUMN] != "–" for row in alignment)
    mean, label = (MEAN_COLUMN, "Label (of the mean)") if moving else ("Value", "Label")
    columns = ("Pelvis and spine", mean, "From … to", "Range", "Norm", "Recording's weight (rest: published)", label)
    sides = ("Arms and legs", "Right", "Right, range", "Left", "Left, range", BETWEEN_SIDES, label)
    notes = ["brackets", *["mean", "range"] * moving, "weight", *["regions"] * bool(regions), *["norm"] * has_norms]
    unmeasured = PageTable((UNMEASURED, *columns[1:]), tuple(others), folded=f"{UNMEASURED}: {len(others)}")
    tables = (
        PageTable(
            columns, tuple(alignment), page_words("means")["moving" if moving else "still"], notes=named_notes(*notes)
        ),
        PageTable(sides, tuple(limbs), notes=named_notes("limbs", "sides", "response")),
        _without_columns(unmeasured, ("from … to", "norm")),
    )
    unused = (() if has_norms else ("norm",)) + (() if moving else ("from … to", "range"))
    return tuple(_without_columns(table, unused) for table in tables if table.rows)


def _without_columns(table: PageTable, unused: Sequence[str]) -> PageTable:
    kept = [i for i, column in enumerate(table.columns) if column.lower().rpartition(", ")[2] not in unused]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def moves(figure: ClinicalFigure) -> bool:
    """Whether its value changes in the trial; False for a constant of the body."""
    return figure.minimum is not None and (figure.maximum or 0.0) - figure.minimum >= CONSTANT_RANGE


def _alignment_row(figure: ClinicalFigure) -> tuple[str, ...]:
    span = range_cell(figure.is_decided, range_of(figure), figure.range_sd, unit=figure.unit)
    span = SPAN_OF_PELVIS if span == NOT_SHOWN and figure.name in TURNED_WITH_PELVIS else span
    ends = ends_text(figure) if is_range_shown(figure) or not moves(figure) else "–"
    is_cobb = figure.name == "coronal_cobb"
    verdict = figure.decided_by + "; can neither show nor exclude scoliosis" * is_cobb
    mean = "–" if is_cobb and figure.is_assumed else mean_cell(figure)
    cells = (mean, ends, span if moves(figure) else "–", norm_text(figure) or "–")
    return (label_with_sign(figure), *cells, observed_share_text(figure.share), verdict)


UNMEASURED = "Of pelvis and spine, not measured"
TURNED_WITH_PELVIS, SPAN_OF_PELVIS = ("pelvic_tilt", "sacral_slope"), "that of Pelvis tilt"  # the sacrum is one with it
NOT_SHOWN, WITHIN = "not measured", "within its ±"  # text for a range that the recording did not show


def mean_cell(figure: ClinicalFigure) -> str:
    """Mean with its interval; in brackets where it is assumed, or set by the model."""
    text = interval_text(figure.mean, figure.sd, figure.unit)
    return text if figure.is_decided or text == "–" else f"({text})"


def is_range_shown(figure: ClinicalFigure) -> bool:
    """Whether the recording shows a change: it decided the quantity, and the range is larger than its ±."""
    return figure.is_decided and (figure.range_sd is None or is_beyond(range_of(figure), figure.range_sd, figure.unit))


def range_cell(decided: bool, span: float, sd: float | None, *, unit: str) -> str:
    """A range with its interval, in brackets where it is within its ±; `NOT_SHOWN` where it was not decided."""
    if not decided:
        return NOT_SHOWN
    text = interval_text(span, sd, unit)
    return text if sd is None or is_beyond(span, sd, unit) else f"({text}), {WITHIN}"


def label_with_sign(figure: ClinicalFigure) -> str:
    """The parameter's label, with the meaning of a positive value unless the label says it."""
    positive = CLINICAL_DEFINITIONS[figure.name].positive if figure.name in CLINICAL_DEFINITIONS else "always"
    plain = positive.partition(" (")[0]
    if plain == "never negative":
        return f"{figure.label}, to either side"
    named = plain in figure.label.lower() or plain in ("always", "bending forward")
    return figure.label if named else f"{figure.label} (+ {plain})"


def range_of(figure: ClinicalFigure) -> float:
    """Greatest minus least value; 0 where nothing is known."""
    return (figure.maximum or 0.0) - (figure.minimum or 0.0)


def held_still(figures: Sequence[ClinicalFigure]) -> bool:
    """Whether no posture changed by more than its ± and than adults differ (one standard deviation)."""
    adults = CURVATURE_OF_ADULTS | PUBLISHED_ADULTS
    changed = [one for one in figures if one.name in adults and range_of(one) > adults[one.name].sd]
    return not any(is_beyond(range_of(one), one.range_sd or 0.0, one.unit) for one in changed)


def norm_of(figure: ClinicalFigure) -> tuple[float, float, str] | None:
    """(low, high, people and source) of 95 % of people in a parameter; None where no norm fits.

    A norm fits where its definition is simspine's, the recording decided the value, and the person held still: norms
    are of people who stand.
    """
    adults = PUBLISHED_ADULTS.get(figure.name)
    if adults is None or not adults.population or figure.mean is None or range_of(figure) > adults.sd:
        return None
    if figure.is_assumed or figure.verdict in (Observability.UNKNOWN, Observability.FORCED):
        return None
    reach = NORMAL_95 * adults.sd
    return (adults.mean - reach, adults.mean + reach, f"{adults.population}, {adults.short_source}")


def norm_text(figure: ClinicalFigure) -> str:
    """`norm_of` as text, '' where there is none."""
    norm = norm_of(figure)
    if norm is None:
        return ""
    low, high = (number_text(end, 0) for end in norm[:2])
    return f"{unbreakable(f'{low} … {high}{UNIT_SIGNS[figure.unit]}')} ({norm[2]})"


def _rhythm_rows(rhythm: LumbopelvicRhythm, verdict: Observability) -> list[tuple[str, ...]]:
    if rhythm.ratio is None or verdict is Observability.ASSUMED:
        return []
    motions = " over ".join(f"{np.degrees(motion or 0):.0f}°" for motion in (rhythm.lumbar, rhythm.pelvis))
    label = f"Lumbopelvic rhythm, lumbar over pelvic motion ({motions})".replace("-", "−")
    return [(label, interval_text(rhythm.ratio, rhythm.sd, "1"), "–", "–", "–", "–", str(verdict) or NO_LABEL)]


def _limb_rows(joint: str, by_name: Mapping[str, ClinicalFigure]) -> list[tuple[str, ...]]:
    rows = []
    for angle, positive in JOINT_DEFINITIONS[joint][1]:
        sides = [by_name.get(f"{joint}_{angle}_{side}") for side in SIDE_WORDS]
        known = [side for side in sides if side is not None]
        if all(side.verdict is Observability.FORCED for side in known):  # named in the statements
            continue
        cells = [
            text for side in sides for text in (("–", "–") if side is None else (mean_cell(side), _reach_text(side)))
        ]
        words = [side.decided_by.partition(" from ")[0] for side in known]
        sign = "" if positive.startswith((angle, "never")) else f" (+ {positive.partition(' (')[0]})"
        label = f"{joint.capitalize()}, {angle}{sign}"
        rows.append((label, *cells, _between_sides(*sides), " / ".join(dict.fromkeys(words))))
    return rows


def _between_sides(right: ClinicalFigure | None, left: ClinicalFigure | None) -> str:
    """The right mean minus the left one, with an interval where both sides have one; '–' if the model sets it."""
    if right is None or left is None or right.mean is None or left.mean is None or not right.is_of_person:
        return "–"
    sd = None if right.sd is None or left.sd is None else math.hypot(right.sd, left.sd)
    by = right.mean - left.mean
    unsure = right.is_assumed or left.is_assumed or right.name.startswith(TURNED_BY_PELVIS)
    beyond = sd is not None and is_beyond(by, sd, right.unit) and not unsure
    return "●\u00a0" * beyond + interval_text(by, sd, right.unit, signed=True) + " (not judged)" * unsure


def ends_text(figure: ClinicalFigure) -> str:
    """'−22 … 17°': the least and the greatest value."""
    if figure.minimum is None or figure.maximum is None:
        return "–"
    if not moves(figure):
        return "constant"
    return unbreakable(f"{number_text(figure.minimum, 0)} … {number_text(figure.maximum, 0)}{UNIT_SIGNS[figure.unit]}")


def _reach_text(figure: ClinicalFigure) -> str:
    """The range with its interval and its ends."""
    if not moves(figure):
        return ends_text(figure)
    span = range_cell(figure.is_decided, range_of(figure), figure.range_sd, unit=figure.unit)
    return f"{span}, {ends_text(figure)}" if is_range_shown(figure) else span


def validation_text_tables(records: Sequence[TrialRecord]) -> tuple[PageTable, ...]:
    """The tables of `validation_tables_of`, folded under their titles; empty ones are left out."""
    from simspine.evaluation import validation_tables as tables  # here, since it loads pandas

    made = []
    for name, rows in tables.validation_tables_of(records).items():
        if len(rows):
            header, lines = tables.validation_cells(name, rows)
            made.append(PageTable(header, lines, tables.VALIDATION_NOTES[name], tables.VALIDATION_TITLES[name]))
    return tuple(made)


ESTIMATED_BY = "not seen, but estimated by a network from the pose and the outline of the person"
_SUM_MEASURED_TEXT = "the sum follows the images, its distribution over the levels is the model's"
SEGMENTS_IN_ROOM = ("pelvis", "thorax")  # of `SpineKinematics.levels`
SEGMENT_PLANES = ("tilt, as in gait analysis (+ forwards)", "bending (+ right side down)", "rotation (+ to the left)")
REGION_PLANES = ("flexion", "bending (+ right)", "rotation (+ left)")
ANGLE_TABLE_COLUMNS = ("Level", "Plane", MEAN_COLUMN, "Range", "Response", "Label")


def angle_table(
    spine: SpineKinematics,
    shares: np.ndarray,
    table: Sequence[Level] = (),
    kept: np.ndarray | None = None,
    estimated: bool = False,
    marked: Sequence[str] | None = None,
) -> PageTable | None:
    """Mean with its interval, range and label of each angle of a single level that is a result; None without any.

    shares: (levels, 3). table: levels with their coordinates. kept: (frames,).
    estimated: points of the spine were estimated. marked: levels with markers on both vertebrae; None: not known.
    """
    rows: list[tuple[str, ...]] = []
    others = {*SEGMENTS_IN_ROOM, *(level.name for level in table if not level.coordinates)}
    unmarked = set() if marked is None else {level.name for level in table}.difference(marked)
    words = observability_of(spine.levels, shares, spine.forced, table, estimated=estimated)
    for level in (level for level in spine.levels if level not in others):
        angles = figures_of_level(spine, level, words=words, shares=shares, kept=kept)
        for plane, one in zip(MOTION_PLANES, angles, strict=True):
            if not one.is_decided or (level in unmarked and one.verdict is Observability.PARTLY):
                continue
            span = "–" if one.decided_by == NO_LABEL else range_cell(True, range_of(one), one.range_sd, unit="deg")
            rows.append((level, plane, mean_cell(one), span, observed_share_text(one.share), one.decided_by))
    if not rows:
        return None
    said = page_words("levels")
    return PageTable(
        ANGLE_TABLE_COLUMNS,
        tuple(rows),
        said["shares"]
        + said["estimated"].format(by=ESTIMATED_BY) * estimated
        + said["sums"] * any(Observability.SUM in planes for planes in words),
        f"Angles of single levels that are results: {len(rows)}",
        notes=_forced_statements(spine.forced),
    )


def segments_table(figures: Sequence[ClinicalFigure], moving: bool) -> PageTable | None:
    """Mean, least and greatest value, and range of each of `segment_figures`; None without any.

    The mean axial rotation depends on the calibration's axes, and is not shown. Without movement: values only.
    """
    rows = []
    for figure in figures:
        span = range_cell(True, range_of(figure), figure.range_sd, unit=figure.unit)
        of_room = figure.label.endswith(SEGMENT_PLANES[2])
        shown = ("–", "–", span) if of_room else (mean_cell(figure), ends_text(figure), span)
        rows.append((figure.label, *shown[: 3 if moving else 1]))
    columns = ("Pelvis and thorax in the room", *((MEAN_COLUMN, "From … to", "Range") if moving else ("Value",)))
    return PageTable(columns, tuple(rows), page_words("levels")["room"]) if rows else None


def figures_of_level(
    spine: SpineKinematics,
    level: str,
    words: Sequence[Sequence[Observability]],
    shares: np.ndarray,
    kept: np.ndarray | None = None,
) -> Iterator[ClinicalFigure]:
    """The angles of one level, region or segment, by plane. words: of `observability_of`. shares: (levels, 3)."""
    i, kept = spine.levels.index(level), np.ones(spine.frames, bool) if kept is None else kept
    for k, (plane, word) in enumerate(zip(MOTION_PLANES, words[i], strict=True)):
        is_free = word is not Observability.FORCED
        sd = np.degrees(spine.angles_sd[:, i, k]) if is_free and spine.angles_sd is not None else None
        found = angle_statistics(np.degrees(spine.angles[:, i, k]), sd, kept)
        is_wide = word is Observability.MEASURED and (found["sd"] or 0.0) > THRESHOLDS["imprecise"].value
        label = IMPRECISE if is_wide else str(word) or NO_LABEL
        share = shares[i, k] if is_free else float("nan")
        yield ClinicalFigure(f"{level} {REGION_PLANES[k]}", plane, "deg", decided_by=label, share=share, **found)


def _forced_statements(forced: Mapping[str, Sequence[Forced]]) -> tuple[Statement, ...]:
    """Statements on angles that the model forces; angles with equal reasons share one."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, facts in forced.items():
        if facts:
            shared = f"{_SUM_MEASURED_TEXT}: " if any(fact.kind is ForcedKind.SUM for fact in facts) else ""
            reasons[shared + forced_sentence(facts)].append(name.upper() if name in CURVATURE_KEYS else name)
    return tuple(Statement(f"Set by the model: {', '.join(names)}", reason) for reason, names in reasons.items())


def image_sizes(cameras: Iterable[Camera]) -> str:
    """'1088 × 1920 px' of cameras with images of one size."""
    return " and ".join(dict.fromkeys(f"{camera.size[0]} × {camera.size[1]} px" for camera in cameras))


def camera_table(seen: "TriangulationReport", sizes: str) -> PageTable:
    """A row for each camera: its detections, their errors, the shares used and exchanged. sizes: of the images."""
    rows, (frames, _, points) = [], seen.used.shape
    for view, camera in enumerate(seen.views):
        observed = np.isfinite(seen.error_px[:, view])
        used = seen.used[:, view][observed]
        errors = seen.error_px[:, view][observed][used]
        quantiles = [number_text(q) for q in np.quantile(errors, (0.5, 0.9))] if errors.size else ["–", "–"]
        rows.append(
            (camera, str(used.size), *quantiles, _percent_text(used), _percent_text(seen.swapped[:, view][observed]))
        )
    errors_of = ("Median residual of the detections kept, px", "90th percentile, px")
    columns = ("Camera", "Detections", *errors_of, "Kept", "Left and right exchanged")
    caption = page_words("fit")["cameras"].format(points=points, frames=frames, sizes=sizes)
    return PageTable(columns, tuple(rows), caption)


def point_table(report: "TriangulationReport | None", markers: Markers, fitted: Mapping[str, np.ndarray]) -> PageTable:
    """A row for each point: share of known frames, errors in each camera, distance from the body.

    fitted: {marker: (frames,) m}, distances of fitted markers. The points farthest from the body come first. Inferred
    points without an error are left out.
    """
    cameras = () if report is None else report.views
    named = {base_name(name): name for name in markers.names}
    rows = []
    for point in dict.fromkeys((*(() if report is None else report.names), *named)):
        at = markers.index(named[point]) if point in named else None
        origin = "not used" if at is None else str(markers.origins[at])
        known = "–" if at is None else _percent_text(markers.present[:, at])
        errors = [_error_cell(report, point, view) for view in range(len(cameras))]
        distance = fitted.get(named.get(point, point), np.zeros(0))
        distance = 1e3 * distance[np.isfinite(distance)]
        middle = float(np.median(distance)) if distance.size else -1.0
        from_body = f"{middle:.0f} ({np.percentile(distance, 90):.0f})" if distance.size else number_text(None)
        on_skin = bool(is_skin_marker([point]))
        label, origin = (skin_landmark(point), "on the skin") if on_skin else (point, origin)
        if origin != Origin.INFERRED or {*errors, from_body} != {number_text(None)}:
            rows.append((middle, (label, origin, known, *errors, from_body)))
    rows.sort(key=lambda row: -row[0])
    columns = ("Point", "Where from", "Frames known", *(f"{camera}, px" for camera in cameras), "From the body, mm")
    notes = named_notes(*["reprojection"] * bool(cameras), "body")
    return PageTable(columns, tuple(row for _, row in rows), page_words("fit")["points"], notes=notes)


def _error_cell(report: "TriangulationReport | None", point: str, view: int) -> str:
    """'3 (98 %)': median error of used detections, px, and the share used unless it is 100 %."""
    if report is None or point not in report.names:
        return number_text(None)
    errors, used = (values[:, view, report.names.index(point)] for values in (report.error_px, report.used))
    observed = np.isfinite(errors)
    if not observed.any():
        return number_text(None)
    found = errors[observed & used]
    share = f" ({_percent_text(used[observed])})" * bool(found.size < observed.sum())
    return number_text(np.median(found) if found.size else None, 0) + share


def _percent_text(mask: np.ndarray) -> str:
    """Share of true values of a mask, in %."""
    return f"{100 * mask.mean():.0f} %" if mask.size else number_text(None)
