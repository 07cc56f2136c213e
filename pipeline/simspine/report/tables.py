"""Tables of the page: clinical parameters, trials side by side, angles of levels, skin markers."""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from simspine.anatomy.alignment import LumbopelvicRhythm
from simspine.anatomy.clinical import (
    JOINT_DEFINITIONS,
    PUBLISHED_ADULTS,
    SIDE_WORDS,
    SPINAL_DEFINITIONS,
    PublishedAdults,
    published_bands,
)
from simspine.anatomy.curvature import MOTION_PLANES, Level
from simspine.anatomy.vertebrae import SpineKinematics, forced_sentence
from simspine.core.arrays import runs_of_frames
from simspine.core.skeletons import base_name, is_skin_marker, is_tape_dot, skin_landmark
from simspine.core.types import Forced, ForcedKind, Markers, Origin
from simspine.evaluation.validation_tables import (
    VALIDATION_NOTES,
    VALIDATION_TITLES,
    curvature_records,
    validation_cells,
    validation_tables_of,
)
from simspine.quality.findings import THRESHOLDS
from simspine.quality.observability import (
    GIVEN_BY_MODEL,
    SET_BY_OTHER_ANGLES,
    ClinicalFigure,
    Observability,
    forced_mask,
    observability_of,
    observed_share_text,
    share_of_curvature,
    spread_of_adults,
)
from simspine.report.page import PageTable, Statement, number_text
from simspine.report.summary import DOUBTED_VERDICTS, NORMAL_95, median_or_none, verdict_on

if TYPE_CHECKING:
    from simspine.estimation.result import Result
    from simspine.vision.triangulation import TriangulationReport


# Clinical parameters of a trial, with what is published of standing adults.


CURVATURE_KEYS = ("lla", "tka")
CONSTANT_RANGE = 1e-6  # degrees or mm
UNIT_SIGNS = {"deg": "°", "mm": " mm"}
ALIGNMENT_NOTE = (
    "Mean ± typical standard deviation over the frames kept, least and greatest value. Adults: standing, mean ± "
    "standard deviation, no limit for other postures. Tilts, slopes and the plumb line count from the vertical. Given "
    "by the model: the body has one value for everybody. Definitions and sources: docs/clinical.md."
)
LIMB_NOTE = (
    "ISB's angles, with the same signs on both sides. Rests on: right / left where they differ. Plane and rotation of "
    "a shoulder mean nothing while the arm hangs, and are left out there. Right − left: of the means; its ± takes the "
    "errors of both sides as having nothing in common."
)


def clinical_tables(figures: Sequence[ClinicalFigure], rhythm: LumbopelvicRhythm | None) -> tuple[PageTable, ...]:
    """Pelvis and spine, and joints of the limbs; none of either where there are no figures of it."""
    by_name = {figure.name: figure for figure in figures}
    alignment = [_alignment_row(by_name[name]) for name in (*CURVATURE_KEYS, *SPINAL_DEFINITIONS) if name in by_name]
    if alignment and rhythm is not None:
        alignment.append(_rhythm_row(rhythm))
    limbs = [row for joint in JOINT_DEFINITIONS for row in _limb_rows(joint, by_name)]
    columns = ("Angle", "Right", "from … to", "Left", "from … to", "Right − left", "Rests on")
    tables = (
        PageTable(("Pelvis and spine", "Mean", "From … to", "Adults", "Rests on"), tuple(alignment), ALIGNMENT_NOTE),
        PageTable(columns, tuple(limbs), LIMB_NOTE),
    )
    return tuple(table for table in tables if table.rows)


def _alignment_row(figure: ClinicalFigure) -> tuple[str, ...]:
    adults = _adults_text(figure.name, UNIT_SIGNS[figure.unit])
    return (figure.label, _mean_text(figure), _range_text(figure), adults, figure.decided_by)


def _rhythm_row(rhythm: LumbopelvicRhythm) -> tuple[str, ...]:
    label, adults = "Lumbopelvic rhythm, lumbar over pelvic motion", _adults_text("lumbopelvic_rhythm", "")
    if rhythm.ratio is None:
        return (label, "–", "–", adults, f"not given: {rhythm.reason}")
    sd = "" if rhythm.sd is None else f" ± {number_text(rhythm.sd)}"
    parts = f"{_clinical_degrees(rhythm.lumbar)} lumbar, {_clinical_degrees(rhythm.pelvis)} pelvis"
    said = "its ± is an upper bound" if sd else "the engine gives no ±"
    return (label, number_text(rhythm.ratio) + sd, parts, adults, f"changes of both during the trial; {said}")


def _limb_rows(joint: str, by_name: Mapping[str, ClinicalFigure]) -> list[tuple[str, ...]]:
    rows = []
    for angle, _ in JOINT_DEFINITIONS[joint][1]:
        sides = [by_name.get(f"{joint}_{angle}_{side}") for side in SIDE_WORDS]
        if not any(sides):
            continue
        cells = [
            text for side in sides for text in (("–", "–") if side is None else (_mean_text(side), _range_text(side)))
        ]
        words = list(dict.fromkeys(side.decided_by for side in sides if side is not None))
        rows.append((f"{joint.capitalize()}, {angle}", *cells, _between_sides(*sides), " / ".join(words)))
    return rows


def _between_sides(right: ClinicalFigure | None, left: ClinicalFigure | None) -> str:
    """The right side's mean less the left one's, ± one standard deviation where both sides have one."""
    if right is None or left is None or right.mean is None or left.mean is None:
        return "–"
    sd = None if right.sd is None or left.sd is None else math.hypot(right.sd, left.sd)
    by = right.mean - left.mean
    texts = [number_text(value) for value in (by, sd) if value is not None]
    return _unbreakable(f"{'+' if by > 0 else ''}{' ± '.join(texts)}{UNIT_SIGNS[right.unit]}")


def _mean_text(figure: ClinicalFigure) -> str:
    sign, digits = UNIT_SIGNS[figure.unit], 0 if figure.unit == "mm" else 1
    if figure.mean is None:
        return "–"
    texts = [number_text(value, digits) for value in (figure.mean, figure.sd) if value is not None]
    return _unbreakable(f"{' ± '.join(texts)}{sign}")


def _range_text(figure: ClinicalFigure) -> str:
    if figure.minimum is None or figure.maximum is None:
        return "–"
    if figure.maximum - figure.minimum < CONSTANT_RANGE:
        return "constant"
    return _unbreakable(f"{number_text(figure.minimum, 0)} … {number_text(figure.maximum, 0)}{UNIT_SIGNS[figure.unit]}")


def _adults_text(name: str, sign: str) -> str:
    if name in CURVATURE_KEYS:
        band = published_bands(name)[0]
        return f"{band.low:g}–{band.high:g}{sign}, {band.span} ({band.source.partition(',')[0]})"
    adults: PublishedAdults | None = PUBLISHED_ADULTS.get(name)
    if adults is None:
        return "–"
    spread = adults.text
    if adults.mean is not None and adults.sd is not None:
        digits = 0 if sign == UNIT_SIGNS["mm"] else 1
        spread = f"{number_text(adults.mean, digits)} ± {number_text(adults.sd, digits)}{sign}".replace("-", "−")
    return f"{spread} ({adults.source.partition(',')[0]})"


def _unbreakable(text: str) -> str:
    """With minus signs, and spaces at which no line ends."""
    return text.replace("-", "−").replace(" ", "\u00a0")


def _clinical_degrees(angle: float | None) -> str:
    return "–" if angle is None else f"{np.degrees(angle):.0f}°".replace("-", "−")


# The data set compared with the literature, as tables of the page.


def validation_text_tables(dataset) -> tuple[PageTable, ...]:
    """The tables of `validation_tables_of`, folded under their titles; empty ones are left out."""
    made = []
    for name, rows in validation_tables_of(curvature_records(dataset)).items():
        if rows:
            header, lines = validation_cells(name, rows)
            made.append(PageTable(header, lines, VALIDATION_NOTES[name], VALIDATION_TITLES[name]))
    return tuple(made)


# Trials or visits of one person side by side: clinical parameters, and which differ beyond their errors.


MAX_TRIALS_COMPARED = 4  # trials side by side; more are for the table of trials
BEYOND_ERROR, WITHIN_ERROR, ERROR_UNKNOWN = "● beyond its error", "within its error", "no ± known"
COMPARISON_NOTE = (
    "Mean over the frames kept ± 95 %, and from … to: trials of the same movement can be compared, others cannot. "
    "Difference: the last trial less the first; its ± takes the errors of both as having nothing in common, which is "
    "too wide where the same cameras and body model were off in the same way. Change of range: by how much the way "
    "from least to greatest grew; errors that last through a trial drop out of it, and no ± of it is known. Angles "
    "that the model sets are left out."
)


def comparison_table(trials: Mapping[str, Sequence[ClinicalFigure]]) -> PageTable | None:
    """A row for each parameter that two trials or more know, a column for each trial; None for one trial, or many.

    trials: {name: its figures}, in the order of the visits.
    """
    if not 2 <= len(trials) <= MAX_TRIALS_COMPARED:
        return None
    by_name = [{figure.name: figure for figure in figures if _is_of_person(figure)} for figures in trials.values()]
    rows = []
    for name in dict.fromkeys(name for figures in by_name for name in figures):
        found = [figures.get(name) for figures in by_name]
        known = [figure for figure in found if figure is not None]
        if len(known) > 1:
            first, last = known[0], known[-1]
            change = (*_difference_and_verdict(first, last), _range_change(first, last))
            rows.append((first.label, *map(_figure_cell, found), *change))
    columns = ("Angle", *trials, "Difference", "Change is", "Change of range")
    return PageTable(columns, tuple(rows), COMPARISON_NOTE) if rows else None


def _is_of_person(figure: ClinicalFigure) -> bool:
    """Whether it says something of the person in this trial."""
    return figure.mean is not None and figure.decided_by not in (GIVEN_BY_MODEL, SET_BY_OTHER_ANGLES)


def _figure_cell(figure: ClinicalFigure | None) -> str:
    if figure is None or figure.mean is None:
        return "–"
    span = f" ({number_text(figure.minimum, 0)} … {number_text(figure.maximum, 0)})"
    return _value_with_interval(figure.mean, figure.sd, figure.unit) + span.replace("-", "−").replace(" ", "\u00a0")


def _difference_and_verdict(first: ClinicalFigure, last: ClinicalFigure) -> tuple[str, str]:
    """How far the last is from the first, and the verdict on it."""
    by = (last.mean or 0.0) - (first.mean or 0.0)
    if first.sd is None or last.sd is None:
        return _value_with_interval(by, None, last.unit, "+" if by > 0 else ""), ERROR_UNKNOWN
    sd = math.hypot(first.sd, last.sd)
    verdict = BEYOND_ERROR if abs(by) > NORMAL_95 * sd else WITHIN_ERROR
    return _value_with_interval(by, sd, last.unit, "+" if by > 0 else ""), verdict


def _range_change(first: ClinicalFigure, last: ClinicalFigure) -> str:
    """By how much the way from the least to the greatest value grew."""
    before, after = ((figure.maximum or 0.0) - (figure.minimum or 0.0) for figure in (first, last))
    return _value_with_interval(after - before, None, last.unit, "+" if after > before else "")


def _value_with_interval(value: float, sd: float | None, unit: str, plus: str = "") -> str:
    """'12.5 ± 14°': value ± 95 %, with minus signs and spaces at which no line ends."""
    digits = 0 if unit == "mm" else 1
    spread = "" if sd is None else f" ± {number_text(NORMAL_95 * sd, digits)}"
    return f"{plus}{number_text(value, digits)}{spread}{UNIT_SIGNS[unit]}".replace("-", "−").replace(" ", "\u00a0")


# Uncertainty of the angles in words: the table of a trial, and what was not measured.


INFERRED_BY = "vertebral centres of real spines (a statistical model) that go with hips, shoulders and ears as detected"
ESTIMATED_BY = "not seen, but estimated by a network from the pose and the outline of the person"
_SUM_MEASURED_TEXT = "the sum follows the images, its distribution over the levels is the model's"
_CURVATURE_TITLES = {"lla": "LLA, lumbar lordosis", "tka": "TKA, thoracic kyphosis"}
ANGLE_TABLE_COLUMNS = ("Level", "Plane", "Mean", "Range", "Typical sd", "Observability", "Verdict")


def angle_table(
    spine: SpineKinematics,
    shares: np.ndarray,
    table: Sequence[Level] = (),
    kept: np.ndarray | None = None,
    estimated: bool = False,
) -> PageTable:
    """Mean, range of motion, typical (median) standard deviation, observability and verdict per level and plane.

    shares: (levels, 3) of `quality.observability.level_shares`. table: levels with their coordinates. kept: (frames,).
    estimated: points of the spine were.
    """
    kept = np.ones(spine.frames, bool) if kept is None else kept
    words = observability_of(spine.levels, shares, spine.forced, table, estimated=estimated)
    rows = []
    for i, level in enumerate(spine.levels):
        for k, plane in enumerate(MOTION_PLANES):
            angle = np.degrees(spine.angles[kept, i, k])
            known = angle[np.isfinite(angle)]
            mean, span = (known.mean(), np.ptp(known)) if known.size else (None, None)
            decision = ("–", "–")
            if words[i][k] is not Observability.FORCED:
                sd = None if spine.angles_sd is None else median_or_none(np.degrees(spine.angles_sd[kept, i, k]))
                decision = (_degrees_text(sd), observed_share_text(shares[i, k]))
            rows.append((level, plane, _degrees_text(mean), _degrees_text(span), *decision, str(words[i][k]) or "–"))
    as_sums = any(word is Observability.SUM for line in words for word in line)
    folded = f"All {len(rows)} angles: mean, range, standard deviation, verdict"
    return PageTable(ANGLE_TABLE_COLUMNS, tuple(rows), _angle_table_caption(estimated, as_sums), folded)


def _angle_table_caption(estimated: bool, as_sums: bool) -> str:
    low, high = (f"{THRESHOLDS[name].value:g} %" for name in ("assumed", "measured"))
    measured = ("Estimated", "partly estimated") if estimated else ("Measured", "partly measured")
    caption = (
        f"{measured[0]}: observability of at least {high}; assumed: less than {low}; between them {measured[1]}. Sums "
        "over levels and segments in space have a standard deviation, but no observability of their own."
    )
    if estimated:
        caption += f" Estimated, because points of the spine were {ESTIMATED_BY}."
    if as_sums:
        caption += (
            " Measured as a sum: one coordinate turns several levels. The data determine their sum, the model its "
            "distribution over the levels."
        )
    return caption


@dataclass(frozen=True, eq=False)
class Caveats:
    """What was not measured in one trial.

    inferred: names of points that a rule placed. estimated: of those that a network placed. forced: what the model
    forces. shares: (levels, 3) that the data decided of each angle; NaN where not known, or forced. sd: {'lla', 'tka':
    typical, rad}; none where forced.
    """

    inferred: tuple[str, ...]
    forced: Mapping[str, Sequence[Forced]]
    levels: tuple[str, ...]
    shares: np.ndarray
    sd: Mapping[str, float]
    estimated: tuple[str, ...] = ()


class NotMeasured(TypedDict):
    """Fields of the same names of `ReportContent`."""

    inferred: tuple[Statement, ...]
    forced: tuple[Statement, ...]
    assumed: tuple[Statement, ...]


def caveats_of_trial(measured: Markers, spine: SpineKinematics, shares: np.ndarray, kept: np.ndarray) -> Caveats:
    """Of one trial. measured: what was fitted, with origin. shares: (levels, 3). kept: (frames,) bool."""
    names, estimated = (
        tuple(base_name(name) for name in measured.names_of(origin)) for origin in (Origin.INFERRED, Origin.ESTIMATED)
    )
    free = np.where(forced_mask(spine.levels, spine.forced), np.nan, shares)
    known = {"lla": spine.lla_sd, "tka": spine.tka_sd}
    sd = {
        name: usual
        for name, values in known.items()
        if values is not None and not forced_mask([name], spine.forced).any()
        if (usual := median_or_none(values[kept])) is not None
    }
    return Caveats(inferred=names, forced=spine.forced, levels=spine.levels, shares=free, sd=sd, estimated=estimated)


def not_measured(trials: Sequence[Caveats], rule: str = INFERRED_BY) -> NotMeasured:
    """Statements for the box 'What is not measured', over all trials. rule: that placed the inferred points."""
    inferred = dict.fromkeys(name for trial in trials for name in trial.inferred)
    estimated = dict.fromkeys(name for trial in trials for name in trial.estimated)
    placed = ((estimated, ESTIMATED_BY), (inferred, rule))
    return {
        "inferred": tuple(Statement(", ".join(names), by) for names, by in placed if names),
        "forced": _forced_statements(trials),
        "assumed": _assumed_statements(trials),
    }


def _forced_statements(trials: Sequence[Caveats]) -> tuple[Statement, ...]:
    """Equal reasons share a line."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, facts in (item for trial in trials for item in trial.forced.items()):
        if facts:
            shared = f"{_SUM_MEASURED_TEXT}: " if any(fact.kind is ForcedKind.SUM for fact in facts) else ""
            reasons[shared + forced_sentence(facts)].append(name.upper() if name in _CURVATURE_TITLES else name)
    return tuple(Statement(", ".join(dict.fromkeys(names)), reason) for reason, names in reasons.items())


def _assumed_statements(trials: Sequence[Caveats]) -> tuple[Statement, ...]:
    """Curvature, then runs of levels for each plane; means over the trials count."""
    statements = []
    for quantity, name in _CURVATURE_TITLES.items():
        found = [trial.sd[quantity] for trial in trials if quantity in trial.sd]
        sd = float(np.degrees(np.mean(found))) if found else None
        verdict = verdict_on(quantity, sd)
        if sd is not None and verdict in DOUBTED_VERDICTS:
            reason = (
                f"{verdict}: known to ± {NORMAL_95 * sd:.0f}° (95 %), while standing adults differ by "
                f"± {NORMAL_95 * spread_of_adults(quantity):.0f}°; the data decided "
                f"{observed_share_text(share_of_curvature(quantity, sd))} of it"
            )
            statements.append(Statement(name, reason))
    by_levels: dict[tuple[str, ...], list[np.ndarray]] = defaultdict(list)
    for trial in trials:
        by_levels[trial.levels].append(trial.shares)
    for levels, some in by_levels.items():
        statements += _level_runs(levels, np.mean(some, axis=0))
    return tuple(statements)


def _level_runs(levels: Sequence[str], shares: np.ndarray) -> list[Statement]:
    limit = THRESHOLDS["assumed"].value_si
    statements = []
    for k, plane in enumerate(MOTION_PLANES):
        parts, total, below = [], int(np.isfinite(shares[:, k]).sum()), 0
        for first, end in runs_of_frames(np.flatnonzero(shares[:, k] < limit)):
            values = shares[first:end, k]
            low, high = observed_share_text(values.min()), observed_share_text(values.max())
            ends = [level.replace("-", "\u2011") for level in levels[first:end]]  # a hyphen that does not break
            name = ends[0] if len(ends) == 1 else f"{ends[0]} … {ends[-1]}"
            parts.append(f"{name}: {low if low == high else f'{low} to {high}'}")
            below += len(ends)
        if parts:
            name = f"{plane.capitalize()} of {below} of {total} levels"
            statements.append(Statement(name, f"observability {'; '.join(parts)}"))
    return statements


def _degrees_text(value: float | None) -> str:
    text = number_text(value)
    return text if text == "–" else f"{text}°".replace("-", "−")


# Markers on the skin: which there were, where each was seen, and how far the body is from it.


SKIN_FOLDED = "Markers on the skin"
SKIN_NOTE = (
    "Frames in space: those in which two views show it at the same place. Reprojection: how far it is in the images "
    "from the place in space, median. Beside the body: how far it is from its place on the fitted body, median and "
    "90th percentile. What of that stays the same throughout is the marker's own place (palpation, depth of the "
    "tissue), which is found with the motion; what changes is skin that moves over the bone."
)


def skin_table(triangulation: "TriangulationReport | None", ik: "Result | None") -> tuple[PageTable, ...]:
    """A folded table with a row for each marker on the skin, the dots of a tape in one; none where there are none."""
    if triangulation is None or not is_skin_marker(triangulation.names):
        return ()
    dots = is_tape_dot(triangulation.names)
    groups: dict[str, tuple[str, ...]] = {
        skin_landmark(name): (name,) for name in is_skin_marker(triangulation.names) if name not in dots
    }
    if dots:
        groups[f"tape, {len(dots)} dots, {skin_landmark(dots[0])} to {skin_landmark(dots[-1])}"] = dots
    columns = ("Over", "Frames in space", "Frames by view", "Reprojection, px", "Beside the body, mm")
    rows = tuple(_skin_row(label, names, triangulation, ik) for label, names in groups.items())
    return (PageTable(columns, rows, SKIN_NOTE, SKIN_FOLDED),)


def _skin_row(
    label: str, names: Sequence[str], triangulation: "TriangulationReport", ik: "Result | None"
) -> tuple[str, ...]:
    """Of a tape the frames are the dots' mean."""
    found = triangulation.of_points(names)
    by_view = np.isfinite(found.error_px).sum(0).mean(1)
    views = ", ".join(f"{view} {count:.0f}" for view, count in zip(found.views, by_view, strict=True) if count)
    error = found.error_px[found.used]
    distance = np.zeros(0)
    if ik is not None:
        columns = [ik.marker_names.index(name) for name in names if name in ik.marker_names]
        distance = 1000 * ik.marker_error[:, columns]
        distance = distance[np.isfinite(distance)]
    distances = (
        f"{number_text(np.median(distance), 0)} ({np.percentile(distance, 90):.0f})"
        if distance.size
        else number_text(None)
    )
    frames = f"{found.kept.sum(0).mean():.0f} of {len(found.kept)}"
    return (label, frames, views or "none", number_text(np.median(error) if error.size else None), distances)
