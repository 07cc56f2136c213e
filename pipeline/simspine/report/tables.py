"""Tables of the page: clinical parameters, trials side by side, angles of levels, cameras and points."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

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
from simspine.quality.observability import (
    IMPRECISE,
    NO_LABEL,
    TILT_UNSEEN,
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
from simspine.vision.triangulation import TriangulationReport

CURVATURE_KEYS = ("lla", "tka")
CONSTANT_RANGE = 1e-6  # degrees or mm
# Noise alone has a range of 5 to 6.5 standard deviations in 100 to 1000 independent frames (Tippett 1925, Biometrika
# 17), a difference of two frames 2.8 within 95 %: a range that says something is twice its ±.
LEAST_RANGE_RATIO = 2.0
LARGEST_RANGE_ERROR_DEG = 20.0  # of a 95 % interval: beyond it, angles near a singularity exceed their linear intervals
DOUBT_SIGN = "▲"  # as the sign of warnings
NO_RESULT = " (not a result)"  # in tables that are saved
UNKNOWN_FROM_DEG = 90.0  # angles with a larger ± are not shown
NORM_COLUMN = 4  # of the table of pelvis and spine
MEAN_COLUMN = "Mean (± of a typical frame)"
LIMB_COLUMNS = ("Arms and legs", "Right", "Right, range", "Left", "Left, range", "Left minus right", "Source")
REGION_NOTES = ["zero", "regions", "room"]
MEANS = (MEAN_COLUMN.lower(), "right", "left")  # columns that a movement goes without


def clinical_tables(
    figures: Sequence[ClinicalFigure], rhythm: LumbopelvicRhythm | None, regions: Sequence[ClinicalFigure] = ()
) -> tuple[PageTable, ...]:
    """Tables of pelvis and spine, with its regions, and of the joints of the limbs; folded, of what is no result.

    A table without rows is left out. A movement has ranges without means, and a single frame values without ranges.
    """
    known = (f for f in figures if f.unit != "deg" or f.sd is None or not NORMAL_95 * f.sd > UNKNOWN_FROM_DEG)
    by_name = {figure.name: figure for figure in known}  # without angles such as those of limbs not recorded
    moving, still = any(map(moves, (*figures, *regions))), held_still(figures)
    names = [name for name in (*CURVATURE_KEYS, *SPINAL_DEFINITIONS) if still or name not in STANDING_ALIGNMENT]
    spinal = [*regions, *(by_name[name] for name in names if name in by_name)]
    rows = {_alignment_row(figure, still): is_result(figure, still) for figure in spinal}
    if any(rows.values()) and rhythm is not None:
        rows |= dict.fromkeys(_rhythm_rows(rhythm, rhythm_verdict(figures)), True)
    recorded = any(one.is_decided for one in by_name.values() if one.name.startswith(tuple(JOINT_DEFINITIONS)))
    limbs = dict(row for joint in JOINT_DEFINITIONS for row in _limb_rows(joint, by_name, still)) if recorded else {}
    has_norms = any(row[NORM_COLUMN] != "–" for row in rows)
    unmoved = () if moving else ("from … to", "range")
    unused = (*unmoved, *["norm"] * (not has_norms)) if still else ("norm", *MEANS)
    notes = ["mean"] * (still and moving) + ["range"] * moving + REGION_NOTES * bool(regions) + ["norm"] * has_norms
    tilt = ["tilt"] * any(figure.decided_by.endswith(TILT_UNSEEN) for figure in figures)
    columns = ("Pelvis and spine", MEAN_COLUMN if moving else "Value", "From … to", "Range", "Norm", "Source")
    pairs = (
        _results_and_rest(columns, rows, (notes, ["brackets"]), (unused, unmoved)),
        _results_and_rest(LIMB_COLUMNS, limbs, (["limbs", "sides"], tilt), (unused, unmoved)),
    )
    return tuple(table for tables in zip(*pairs, strict=True) for table in tables if table.rows)


def _results_and_rest(
    columns: Sequence[str],
    rows: Mapping[tuple[str, ...], bool],
    notes: tuple[Sequence[str], Sequence[str]],
    unused: Sequence[Sequence[str]],
) -> tuple[PageTable, PageTable]:
    """The table of the results, and the folded one of other rows. rows: {row: whether it is a result}.

    notes: of the first and of the second. unused: columns that the first goes without, and the second too.
    """
    shown_notes, rest_notes = notes
    results = tuple(row for row, is_shown in rows.items() if is_shown)
    others = tuple(tuple(map(_bracketed, row)) for row in rows if row not in results)
    title = f"{columns[0]}, not to be used"
    rest = PageTable((title, *columns[1:]), others, folded=f"{title}: {len(others)}", notes=named_notes(*rest_notes))
    shown = PageTable(tuple(columns), results, notes=named_notes(*shown_notes))
    hidden = ("norm", "from … to", "left minus right", *unused[1])
    return _without_columns(shown, unused[0]), _without_columns(rest, hidden)


def is_result(figure: ClinicalFigure, still: bool) -> bool:
    """Whether the recording decided the figure and, in a movement, its change: the verdict of tables and curves."""
    if moves(figure) and not still:
        return is_range_shown(figure)
    return figure.is_decided and (moves(figure) or not figure.is_unreadable)


def _bracketed(text: str) -> str:
    """A value with its interval in brackets: not to be used. A mark stays behind them."""
    value, mark, place = text.partition(f" {DOUBT_SIGN}")
    return f"({value}){mark}{place}" if "±" in value and not value.startswith("(") else text


def source_text(figure: ClinicalFigure, still: bool) -> str:
    """What decided the figure; of what was measured, whether that is precise enough for a result."""
    if figure.verdict is not Observability.MEASURED:
        return figure.decided_by
    return str(Observability.MEASURED) if is_result(figure, still) else IMPRECISE


def _without_columns(table: PageTable, unused: Sequence[str]) -> PageTable:
    kept = [i for i, column in enumerate(table.columns) if column.lower().rpartition(", ")[2] not in unused]
    rows = tuple(tuple(row[i] for i in kept) for row in table.rows)
    return replace(table, columns=tuple(table.columns[i] for i in kept), rows=rows)


def moves(figure: ClinicalFigure) -> bool:
    """Whether its value changes in the trial; False for a constant of the body."""
    return figure.minimum is not None and (figure.maximum or 0.0) - figure.minimum >= CONSTANT_RANGE


def _alignment_row(figure: ClinicalFigure, still: bool) -> tuple[str, ...]:
    span = range_cell(figure)
    span = SPAN_OF_PELVIS if span == NOT_SHOWN and figure.name in TURNED_WITH_PELVIS else span
    is_cobb = figure.name == "coronal_cobb"
    mean = "–" if figure.is_assumed else mean_cell(figure)  # other people's value is no finding
    ends = ends_text(figure) if is_range_shown(figure) or not moves(figure) else "–"
    ends = f"{ends}: {mean}" if not still and not moves(figure) else ends
    norm = "–"
    if found := norm_of(figure):
        low, high = (number_text(end, 0) for end in found[:2])
        norm = f"{unbreakable(f'{low} … {high}{UNIT_SIGNS[figure.unit]}')} ({found[2]})"
    source = source_text(figure, still) + "; can neither show nor exclude scoliosis" * is_cobb
    source += _excluded_text([figure], still)
    return (label_with_sign(figure), mean, ends, span if moves(figure) else "–", norm, source)


# They compare people who stand still with the vertical.
STANDING_ALIGNMENT = ("t1_slope", "sagittal_vertical_axis", "coronal_balance", "trunk_inclination")
TURNED_WITH_PELVIS, SPAN_OF_PELVIS = ("pelvic_tilt", "sacral_slope"), "that of Pelvis tilt"  # the sacrum is one with it
NOT_SHOWN = "not measured"  # text for a range that the recording did not show


def mean_cell(figure: ClinicalFigure) -> str:
    """Mean with its interval; in brackets where it is assumed, set by the model, or a change within its ±."""
    text = interval_text(figure.mean, figure.sd, figure.unit)
    is_shown = not figure.is_change or is_beyond(figure.mean or 0.0, figure.sd or 0.0, figure.unit)
    return with_marks(text if figure.is_decided and is_shown else _bracketed(text), figure)


def stated_mean(figure: ClinicalFigure, still: bool) -> str:
    """`mean_cell`, in brackets also where a movement leaves the figure without a result."""
    return mean_cell(figure) if is_result(figure, still) else _bracketed(mean_cell(figure))


def with_marks(text: str, *figures: ClinicalFigure) -> str:
    """The text, followed by the places of the findings on which the figures rest: '59 ± 15° ▲ left forearm'."""
    places = dict.fromkeys(place for figure in figures for place in figure.doubts)
    return text + "".join(f" {DOUBT_SIGN}\u00a0{place}" for place in places)


def is_range_shown(figure: ClinicalFigure) -> bool:
    """Whether the recording shows a change: it decided the quantity, not only in part, and the range exceeds that of
    noise (`LEAST_RANGE_RATIO`), with a ± of at most `LARGEST_RANGE_ERROR_DEG`.

    A finding can say that the angle is not to be read.
    """
    sd = figure.range_sd
    is_larger = sd is None or is_beyond(range_of(figure), LEAST_RANGE_RATIO * sd, figure.unit)
    is_sure = sd is None or figure.unit != "deg" or NORMAL_95 * sd <= LARGEST_RANGE_ERROR_DEG
    is_read = figure.is_decided and not figure.is_unreadable
    return is_read and not str(figure.verdict).startswith("partly") and is_larger and is_sure


def range_text(figure: ClinicalFigure) -> str:
    """The range with its interval: '40.4 ± 9.2°', 'at least 40.4 ± 9.2°' where the trial may cut the movement off."""
    return "at least " * any(figure.cut) + interval_text(range_of(figure), figure.range_sd, figure.unit)


def range_cell(figure: ClinicalFigure) -> str:
    """A range with its interval, in brackets where it is no result; `NOT_SHOWN` where it was not decided."""
    if not figure.is_decided:
        return NOT_SHOWN
    plain = interval_text(range_of(figure), figure.range_sd, figure.unit)
    return with_marks(range_text(figure) if is_range_shown(figure) else _bracketed(plain), figure)


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


def _rhythm_rows(rhythm: LumbopelvicRhythm, verdict: Observability) -> list[tuple[str, ...]]:
    if rhythm.ratio is None or verdict is Observability.ASSUMED:
        return []
    motions = " over ".join(f"{np.degrees(motion or 0):.0f}°" for motion in (rhythm.lumbar, rhythm.pelvis))
    label = f"Lumbopelvic rhythm, lumbar over pelvic motion ({motions})".replace("-", "−")
    return [(label, "–", "–", interval_text(rhythm.ratio, rhythm.sd, "1"), "–", str(verdict) or NO_LABEL)]


def _limb_rows(
    joint: str, by_name: Mapping[str, ClinicalFigure], still: bool
) -> Iterator[tuple[tuple[str, ...], bool]]:
    """A row for each angle of a joint, and whether a side of it is a result."""
    for angle, positive in JOINT_DEFINITIONS[joint][1]:
        sides = [by_name.get(f"{joint}_{angle}_{side}") for side in SIDE_WORDS]
        known = [side for side in sides if side is not None]
        if all(side.verdict is Observability.FORCED for side in known):  # named in the statements
            continue
        cells = [
            text for side in sides for text in (("–", "–") if side is None else (mean_cell(side), _reach_text(side)))
        ]
        words = {side.name[-1]: source_text(side, still).partition(" from ")[0] for side in known}
        source = " / ".join(dict.fromkeys(words.values()))
        if len({*words.values()}) > 1:
            source = ", ".join(f"{SIDE_WORDS[side]} {word}" for side, word in words.items())
        source += _excluded_text(known, still)
        sign = "" if positive.startswith((angle, "never")) else f" (+ {positive.partition(' (')[0]})"
        label = f"{joint.capitalize()}, {angle}{sign}"
        yield (label, *cells, _side_difference(known, still), source), any(is_result(side, still) for side in known)


def _excluded_text(figures: Sequence[ClinicalFigure], still: bool) -> str:
    """'; not in ±: errors of …', behind the source of results; '' where no error is known to be left out."""
    excluded = dict.fromkeys(one.excluded for one in figures if one.excluded and is_result(one, still))
    return "".join(f"; not in ±: {text}" for text in excluded)


def _side_difference(sides: Sequence[ClinicalFigure], still: bool) -> str:
    """Left minus right, of means or in a movement of ranges; '–' unless both are results and neither is cut off."""
    is_cut = not still and any(any(side.cut) for side in sides)
    if len(sides) < len(SIDE_WORDS) or is_cut or not all(is_result(side, still) for side in sides):
        return "–"
    right, left = ((one.mean or 0.0, one.sd) if still else (range_of(one), one.range_sd) for one in sides)
    sd = None if right[1] is None or left[1] is None else float(np.hypot(right[1], left[1]))
    text = interval_text(left[0] - right[0], sd, sides[0].unit, signed=True)
    is_shown = sd is None or is_beyond(left[0] - right[0], sd, sides[0].unit)
    return with_marks(text if is_shown else f"not distinguishable, {text[text.index('±') :]}", *sides)


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
    if not is_range_shown(figure):
        return range_cell(figure)
    return with_marks(f"{range_text(figure)}, {ends_text(figure)}", figure)


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
# Of each segment in the room, of `SpineKinematics.levels`: the names of its angles.
SEGMENT_PLANES = {
    segment: ("tilt (+ forwards)", f"{sideways} (+ right side down)", "rotation (+ to the left)")
    for segment, sideways in (("pelvis", "obliquity"), ("thorax", "bending"))
}
REGION_PLANES = ("flexion", "bending (+ right)", "rotation (+ left)")
ANGLE_TABLE_COLUMNS = ("Level", "Plane", MEAN_COLUMN, "Range", "Response", "Source")


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
    others = {*SEGMENT_PLANES, *(level.name for level in table if not level.coordinates)}
    unmarked = set() if marked is None else {level.name for level in table}.difference(marked)
    words = observability_of(spine.levels, shares, spine.forced, table, estimated=estimated)
    for level in (level for level in spine.levels if level not in others):
        angles = figures_of_level(spine, level, words=words, shares=shares, kept=kept)
        for plane, one in zip(MOTION_PLANES, angles, strict=True):
            if not one.is_decided or (level in unmarked and one.verdict is Observability.PARTLY):
                continue
            span = "–" if one.decided_by == NO_LABEL else range_cell(one)
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
        share = shares[i, k] if is_free else float("nan")
        source = str(word) or NO_LABEL
        yield ClinicalFigure(f"{level} {REGION_PLANES[k]}", plane, "deg", decided_by=source, share=share, **found)


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


def camera_table(
    seen: TriangulationReport,
    sizes: str,
    changes: Mapping[str, Mapping[str, float]],
    delays: Mapping[str, Mapping[str, float]],
    rate: float,
) -> PageTable:
    """A row for each camera: its detections, their errors, the shares used and exchanged. sizes: of the images.
    changes: of each camera by refinement (`camera_changes`); {} without refinement. delays: `camera_delays`. rate: Hz.
    """
    rows, (frames, _, points) = [], seen.used.shape
    for view, camera in enumerate(seen.views):
        observed = np.isfinite(seen.error_px[:, view])
        used = seen.used[:, view][observed]
        errors = seen.error_px[:, view][observed][used]
        quantiles = [number_text(q) for q in np.quantile(errors, (0.5, 0.9))] if errors.size else ["–", "–"]
        kept = f"{_percent_text(used)} of {used.size}" if used.size else number_text(None)
        change = _change_cells(changes.get(camera, {})) if changes else ()
        delay = (_delay_cell(delays.get(camera, {}), rate),) if delays else ()
        rows.append((camera, kept, _percent_text(seen.swapped[:, view][observed]), *quantiles, *change, *delay))
    words = page_words("fit")
    columns = (
        *words["camera_columns"],
        *words["refined_columns"] * bool(changes),
        *(words["delay_column"].format(first=first) for first in [*delays][:1]),
    )
    caption = words["cameras"].format(points=points, frames=frames, sizes=sizes) + words["refined"] * bool(changes)
    return PageTable(columns, tuple(rows), caption)


def _delay_cell(delay: Mapping[str, float], rate: float) -> str:
    """'+4 ± 12' ms; '0' of the camera that delays count from, '–' of one that was not compared."""
    if not delay:
        return number_text(None)
    if not delay["sd_frames"]:
        return "0"
    late, spread = (1e3 / rate * value for value in (delay["delay_frames"], NORMAL_95 * delay["sd_frames"]))
    return f"{late:+.0f} ± {spread:.0f}".replace("-", "−")


def _change_cells(change: Mapping[str, float]) -> tuple[str, ...]:
    """The camera's median residual as calibrated, px, how refinement moved it, and its lens; '–' if unknown."""
    if not change:
        return (number_text(None),) * 3
    moved = f"{change['moved_mm']:.0f} mm, {change['turned_deg']:.1f}°"
    lens = f"{change['focal_percent']:+.1f} %, {change['principal_px']:.0f} px".replace("-", "−")
    return (number_text(change.get("calibrated_px")), moved, lens)


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
        origin = "not used" if at is None else str(markers.origins[at]).replace("detected", "the detector")
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
