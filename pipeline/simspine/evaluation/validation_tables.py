"""Tables that compare a data set with the paper and the literature: LLA and TKA (Table B2), and ranges of motion.

Each table has rows of numbers, a CSV of all columns, and Markdown of those that a reader compares.
"""

import csv
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from simspine.anatomy.curvature import MOTION_PLANES
from simspine.anatomy.vertebrae import forced_sentence
from simspine.core.arrays import mean_of_known
from simspine.core.errors import unknown_name
from simspine.evaluation.tables import aligned_markdown
from simspine.evaluation.validation_records import (
    LUMBAR_LEVEL_NAMES,
    NECK_LEVEL_NAMES,
    PAPER_CURVATURE_BY_ACTION,
    PAPER_CURVATURE_BY_SUBJECT,
    PAPER_CURVATURE_OVER_ACTIONS,
    PAPER_CURVATURE_OVER_SUBJECTS,
    PublishedCurvature,
    TrialRecord,
    published_range,
    trial_records,
)
from simspine.quality.findings import LEVEL_ENVELOPES
from simspine.quality.observability import (
    Observability,
    curvature_verdict,
    driving_coordinates,
    forced_mask,
    observability_word,
    observed_share_text,
    share_by_deviation,
    share_of_curvature,
)

# How much of a pooled figure the data decided.


def spread_in_range(level: str, plane: int) -> float:
    """Standard deviation of an angle that may be anywhere in the level's published range, rad; NaN if there is none."""
    if level not in LEVEL_ENVELOPES:
        return float("nan")
    low, high = LEVEL_ENVELOPES[level].limits()[plane]
    return float((high - low) / np.sqrt(12))  # of a uniform distribution


def median_or_nan(values: Sequence[np.ndarray]) -> float:
    """Median over everything known; NaN where nothing is."""
    together = np.concatenate([np.ravel(part) for part in values]) if len(values) else np.empty(0)
    return float(np.nanmedian(together)) if np.isfinite(together).any() else float("nan")


def is_forced(some: Sequence[TrialRecord], name: str, plane: int = 0) -> bool:
    """Whether the model sets 'lla', 'tka' or a level's angle in one of the records."""
    return any(bool(forced_mask([name], record.forced)[0, plane]) for record in some)


def any_estimated(some: Sequence[TrialRecord]) -> bool:
    """Whether points of the spine were estimated in one of the records."""
    return any(record.estimated for record in some)


def drives_others(some: Sequence[TrialRecord], name: str, plane: int) -> bool:
    """Whether the level's own coordinate moves other levels too: the data then decided the sum, not this level."""
    for record in some:
        own = next((level.coordinates[plane] for level in record.table if level.name == name), None)
        if own in driving_coordinates(record.forced):
            return True
    return False


# LLA and TKA by action and by subject, laid out as the paper's Table B2, with the paper's own values.


NOT_A_NUMBER = float("nan")
_FIGURE_COLUMNS = ("mean_deg", "sd_deg", "uncertainty_deg", "share")


@dataclass(frozen=True)
class CurvatureRow:
    """One line. Degrees; NaN = not known. group: 'action', 'subject' or 'all'.

    mean, sd: over all kept frames of the line (in lines of means: unweighted means of the lines above). uncertainty:
    typical (median) standard deviation of one frame's estimate. share: of the estimate that the data decided, 0…1,
    given what is known of standing adults (`share_by_deviation`). decided: in a word; 'set by the model' is no
    finding about a person.
    """

    group: str
    name: str
    subjects: int
    trials: int
    frames: int
    rejected: int
    lla_mean_deg: float
    lla_sd_deg: float
    lla_uncertainty_deg: float
    lla_share: float
    lla_decided: str
    tka_mean_deg: float
    tka_sd_deg: float
    tka_uncertainty_deg: float
    tka_share: float
    tka_decided: str
    paper_lla_mean_deg: float
    paper_lla_sd_deg: float
    paper_tka_mean_deg: float
    paper_tka_sd_deg: float


def curvature_table(dataset) -> tuple[CurvatureRow, ...]:
    """Rows per action, their unweighted mean, rows per subject, their unweighted mean, and all frames together.

    dataset: a `Dataset`, an open `DatasetFile`, or the `Record`s of one. Rejected frames are left out and counted; no
    other outlier is removed.
    """
    some = curvature_records(dataset)
    rows: list[CurvatureRow] = []
    for group, key, paper, over in (
        ("action", lambda record: record.action, PAPER_CURVATURE_BY_ACTION, PAPER_CURVATURE_OVER_ACTIONS),
        ("subject", lambda record: record.subject, PAPER_CURVATURE_BY_SUBJECT, PAPER_CURVATURE_OVER_SUBJECTS),
    ):
        lines = [
            _curvature_row(group, name, part, paper.get(name))
            for name, part in records_by_group(some, key, paper).items()
        ]
        rows += [*lines, _mean_of(group, lines, over)] if lines else []
    return (*rows, _curvature_row("all", "all frames", some, None)) if some else ()


def curvature_records(dataset) -> Sequence[TrialRecord]:
    """Records as they are; of anything else its records."""
    if isinstance(dataset, Sequence) and all(isinstance(part, TrialRecord) for part in dataset):
        return dataset
    return trial_records(dataset)


def records_by_group(
    some: Iterable[TrialRecord], key, first: Mapping[str, object] = {}
) -> dict[str, list[TrialRecord]]:
    """{name: records}: names known to `first` in its order, then the others by alphabet."""
    found: dict[str, list[TrialRecord]] = {}
    for record in some:
        found.setdefault(key(record), []).append(record)
    order = {name: i for i, name in enumerate(first)}
    return {name: found[name] for name in sorted(found, key=lambda name: (order.get(name, len(order)), name))}


def pooled_values(some: Iterable[TrialRecord], quantity: str) -> np.ndarray:
    """All known values (n,) of 'lla' or 'tka' in kept frames, rad."""
    parts = [getattr(record, quantity)[record.kept] for record in some]
    values = np.concatenate(parts) if parts else np.empty(0)
    return values[np.isfinite(values)]


def _curvature_row(
    group: str, name: str, some: Sequence[TrialRecord], paper: PublishedCurvature | None
) -> CurvatureRow:
    kept = sum(int(record.kept.sum()) for record in some)
    rejected = sum(record.frames for record in some) - kept
    subjects = len({record.subject for record in some})
    counts: dict[str, Any] = {"subjects": subjects, "trials": len(some), "frames": kept, "rejected": rejected}
    columns = _pooled_statistics(some, "lla") | _pooled_statistics(some, "tka")
    return CurvatureRow(group, name, **counts, **columns, **_paper_values(paper))


def _pooled_statistics(some: Sequence[TrialRecord], quantity: str) -> dict[str, Any]:
    """Columns of 'lla' or 'tka' of all kept frames together."""
    values = np.degrees(pooled_values(some, quantity))
    forced, sd, share = is_forced(some, quantity), NOT_A_NUMBER, NOT_A_NUMBER
    if not forced:
        known = [(record, getattr(record, f"{quantity}_sd")) for record in some]
        sd = float(np.degrees(median_or_nan([values[record.kept] for record, values in known if values is not None])))
        share = share_of_curvature(quantity, sd)
    mean, spread = (float(values.mean()), float(values.std())) if values.size else (NOT_A_NUMBER, NOT_A_NUMBER)
    return _quantity_columns(quantity, (mean, spread, sd, share), curvature_verdict(share, forced, any_estimated(some)))


def _quantity_columns(quantity: str, figures: Sequence[float], decided: Observability) -> dict[str, Any]:
    """figures: in the order of `_FIGURE_COLUMNS`."""
    columns = dict(zip(_FIGURE_COLUMNS, figures, strict=True)) | {"decided": str(decided)}
    return {f"{quantity}_{name}": value for name, value in columns.items()}


def _mean_of(group: str, lines: Sequence[CurvatureRow], paper: PublishedCurvature) -> CurvatureRow:
    """Unweighted means of lines, as the paper averages."""
    subjects = len(lines) if group == "subject" else max(line.subjects for line in lines)
    trials, frames, rejected = (sum(getattr(line, name) for line in lines) for name in ("trials", "frames", "rejected"))
    counts: dict[str, Any] = {"subjects": subjects, "trials": trials, "frames": frames, "rejected": rejected}
    columns = _mean_columns(lines, "lla") | _mean_columns(lines, "tka")
    return CurvatureRow(group, f"mean of the {group}s", **counts, **columns, **_paper_values(paper))


def _mean_columns(lines: Sequence[CurvatureRow], quantity: str) -> dict[str, Any]:
    table = np.array([[getattr(line, f"{quantity}_{column}") for column in _FIGURE_COLUMNS] for line in lines])
    means = mean_of_known(table, 0).tolist()
    said = {getattr(line, f"{quantity}_decided") for line in lines}
    estimated = bool(said & {Observability.ESTIMATED, Observability.PARTLY_ESTIMATED})
    return _quantity_columns(quantity, means, curvature_verdict(means[-1], Observability.FORCED in said, estimated))


def _paper_values(paper: PublishedCurvature | None) -> dict[str, Any]:
    found = asdict(paper) if paper else dict.fromkeys(("lla_mean", "lla_sd", "tka_mean", "tka_sd"), NOT_A_NUMBER)
    return {f"paper_{name}_deg": value for name, value in found.items()}


# Range of motion: of the lumbar levels about three axes, and of the neck by action.


# Of all kept frames of a person, so that a hundredth of them at either end cannot make a range.
RANGE_PERCENTILES = (1.0, 99.0)
_NO_FINDING = {Observability.ASSUMED, Observability.VERY_UNCERTAIN, Observability.FORCED, Observability.UNKNOWN}


@dataclass(frozen=True)
class RangeRow:
    """Range of one level in one plane. Degrees; NaN = not known. action: '' for all of them together.

    rom_mean, rom_sd: mean and standard deviation (NaN for one) over the subjects of each one's range, percentile 1 to
    99 of that subject's kept frames. low, high: the percentiles, means over subjects. uncertainty: typical standard
    deviation of the angle. share: of the angle that the data decided; for a sum over levels, compared with an angle
    that may be anywhere in the published range. decided: by whom; very uncertain where the angle's deviation is as
    large as its whole range. published: smallest and largest total range in `source`. forced: why the model sets
    the angle, '' if it does not.
    """

    action: str
    level: str
    plane: str
    subjects: int
    trials: int
    frames: int
    rom_mean_deg: float
    rom_sd_deg: float
    low_deg: float
    high_deg: float
    uncertainty_deg: float
    share: float
    decided: str
    published_low_deg: float
    published_high_deg: float
    source: str
    forced: str


def lumbar_rom(dataset) -> tuple[RangeRow, ...]:
    """Each lumbar level from above, then L1 on the sacrum as a whole, in three planes; levels there are.

    dataset: a `Dataset`, an open `DatasetFile`, or `Record`s.
    """
    some = curvature_records(dataset)
    return tuple(_range_row("", some, level, k) for k in range(3) for level in _levels_there(some, LUMBAR_LEVEL_NAMES))


def neck_rom(dataset) -> tuple[RangeRow, ...]:
    """The head on the trunk in three planes, for each action, and for all of them together where there are several."""
    some = curvature_records(dataset)
    actions = list(records_by_group(some, lambda record: record.action, PAPER_CURVATURE_BY_ACTION).items())
    groups = [*actions, *([("", some)] if len(actions) > 1 else [])]
    return tuple(
        _range_row(action, part, level, k)
        for action, part in groups
        for level in _levels_there(part, NECK_LEVEL_NAMES)
        for k in range(3)
    )


def _levels_there(some: Sequence[TrialRecord], levels: Sequence[str]) -> list[str]:
    return [level for level in levels if any(level in record.levels for record in some)]


def _range_row(action: str, some: Sequence[TrialRecord], level: str, plane: int) -> RangeRow:
    some = [record for record in some if level in record.levels]
    ends, frames = [], 0
    for part in records_by_group(some, lambda record: record.subject).values():
        values = np.concatenate([_record_angle(r, r.angles, level, plane) for r in part])
        values = values[np.isfinite(values)]
        frames += values.size
        if values.size:
            ends.append(np.percentile(np.degrees(values), RANGE_PERCENTILES))
    low, high = np.array(ends).T if ends else (np.array([np.nan]),) * 2
    forced = is_forced(some, level, plane)
    sd = median_or_nan([_record_angle(r, r.angles_sd, level, plane) for r in some if r.angles_sd is not None])
    share = _known_share(some, level, plane, sd)
    decided = observability_word(share, forced, drives_others(some, level, plane), estimated=any_estimated(some))
    span = float(np.mean(high - low))
    if decided not in _NO_FINDING and np.degrees(sd) >= span:
        decided = Observability.VERY_UNCERTAIN
    published_low, published_high, source = published_range(level, MOTION_PLANES[plane])
    return RangeRow(
        action=action,
        level=level,
        plane=MOTION_PLANES[plane],
        subjects=len(ends),
        trials=len(some),
        frames=frames,
        rom_mean_deg=span,
        rom_sd_deg=float(np.std(high - low, ddof=1)) if len(ends) > 1 else float("nan"),
        low_deg=float(np.mean(low)),
        high_deg=float(np.mean(high)),
        uncertainty_deg=float("nan") if forced else float(np.degrees(sd)),
        share=float("nan") if forced else share,
        decided=str(decided),
        published_low_deg=published_low,
        published_high_deg=published_high,
        source=source,
        forced=next((forced_sentence(r.forced[level]) for r in some if r.forced.get(level)), "") if forced else "",
    )


def _record_angle(record: TrialRecord, values: np.ndarray, level: str, plane: int) -> np.ndarray:
    return values[record.kept, record.levels.index(level), plane]


def _known_share(some: Sequence[TrialRecord], level: str, plane: int, sd: float) -> float:
    """Mean over the trials, weighted by frames; of sums, from the standard deviation."""
    known = [(r.shares[r.levels.index(level), plane], r.kept.sum()) for r in some]
    known = [(share, weight) for share, weight in known if np.isfinite(share)]
    if known and sum(weight for _, weight in known):
        return float(np.average([share for share, _ in known], weights=[weight for _, weight in known]))
    if "-" in level:  # a joint whose coordinate the solver gave no share for
        return float("nan")
    return share_by_deviation(sd, spread_in_range(level, plane))


VALIDATION_TITLES = {
    "lla_tka": "Lumbar lordosis (LLA, L1–S1) and thoracic kyphosis (TKA, T3–T12) by action and subject",
    "lumbar_rom": "Range of motion of the lumbar levels",
    "neck_rom": "Range of motion of the neck by action",
}
_ROM_NOTE = (
    f"Range: percentile {RANGE_PERCENTILES[0]:g} to {RANGE_PERCENTILES[1]:g} of a person's kept frames, mean and "
    "standard deviation over people. ± 95 %: of the angle in one frame. Published: total ranges of people who bend as "
    "far as they can."
)
SPREAD_NOTE = ", mean (sd over frames)"
_NORMAL_95 = 1.96  # standard deviations to either side
_SHARE_NOTE = (
    "Data: share of the angle that the data decided; an angle 'set by the model', 'assumed' or 'very uncertain' is no "
    "finding."
)
VALIDATION_NOTES = {
    "lla_tka": "Degrees. The standard deviation over the kept frames is motion and people, no uncertainty. Paper: "
    "SimSpine (CVPR 2026), Table B2, a model's output as well. ± 95 %: of the angle in one frame. Rejected frames are "
    f"left out. {_SHARE_NOTE}",
    "lumbar_rom": f"{_ROM_NOTE} {_SHARE_NOTE}",
    "neck_rom": f"{_ROM_NOTE} {_SHARE_NOTE}",
}


def validation_tables_of(dataset) -> dict[str, tuple[CurvatureRow | RangeRow, ...]]:
    """All tables of a data set by name: 'lla_tka', 'lumbar_rom', 'neck_rom'."""
    some = curvature_records(dataset)
    return {"lla_tka": curvature_table(some), "lumbar_rom": lumbar_rom(some), "neck_rom": neck_rom(some)}


def validation_csv(rows: Sequence[CurvatureRow | RangeRow]) -> str:
    """One line per row, all columns, numbers in full; empty cells = not known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if rows:
        writer.writerow(asdict(rows[0]))
    writer.writerows([_plain_number(value) for value in asdict(row).values()] for row in rows)
    return out.getvalue()


def validation_markdown(name: str, rows: Sequence[CurvatureRow | RangeRow]) -> str:
    """The table `name` with title, notes and readable columns."""
    header, lines = validation_cells(name, rows)
    table = aligned_markdown([header, ["---"] * len(header), *lines])
    return "\n".join([f"## {VALIDATION_TITLES[name]}", "", table, "", VALIDATION_NOTES[name], ""])


def _plain_number(value):
    """A number to six decimals; nothing for NaN."""
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else round(value, 6)


def validation_cells(
    name: str, rows: Sequence[CurvatureRow | RangeRow]
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and lines of the table `name` as text for people, for Markdown and the report's page."""
    if name not in VALIDATION_TITLES:
        raise unknown_name("table", name, VALIDATION_TITLES)
    columns = _CURVATURE_COLUMNS if name == "lla_tka" else _RANGE_COLUMNS
    used = {title: cell for title, cell in columns.items() if title != "Action" or name != "lumbar_rom"}
    lines = [tuple(cell(row) for cell in used.values()) for row in rows]
    return tuple(used), tuple(lines)


def _number_text(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # no −0


def _mean_and_sd_text(mean: float, sd: float, digits: int = 1) -> str:
    if math.isnan(mean):
        return "–"
    return (
        _number_text(mean, digits) if math.isnan(sd) else f"{_number_text(mean, digits)} ({_number_text(sd, digits)})"
    )


def _span_text(low: float, high: float) -> str:
    ends = list(dict.fromkeys(_number_text(value, 0) for value in (low, high)))
    return "–".join(ends)


def _share_text(share: float, decided: str) -> str:
    if decided == Observability.FORCED:
        return decided
    return " ".join(filter(None, (observed_share_text(share), decided and f"({decided})")))


def _columns_of_quantity(quantity: str) -> dict[str, Callable[[Any], str]]:
    def get(row, what):
        return getattr(row, f"{quantity}_{what}")

    title = quantity.upper()
    return {
        f"{title}{SPREAD_NOTE}": lambda row: _mean_and_sd_text(get(row, "mean_deg"), get(row, "sd_deg")),
        f"SIMSPINE paper, {title} (sd)": lambda row: _mean_and_sd_text(
            getattr(row, f"paper_{quantity}_mean_deg"), getattr(row, f"paper_{quantity}_sd_deg"), 2
        ),
        f"{title}, ± 95 %": lambda row: _number_text(_NORMAL_95 * get(row, "uncertainty_deg")),
        f"{title} data": lambda row: _share_text(get(row, "share"), get(row, "decided")),
    }


_CURVATURE_COLUMNS: Mapping[str, Callable[[Any], str]] = {
    "Action or subject": lambda row: row.name,
    "Subjects": lambda row: str(row.subjects),
    "Trials": lambda row: str(row.trials),
    "Frames": lambda row: str(row.frames),
    "Rejected": lambda row: str(row.rejected),
    **_columns_of_quantity("lla"),
    **_columns_of_quantity("tka"),
}
_RANGE_COLUMNS: Mapping[str, Callable[[Any], str]] = {
    "Action": lambda row: row.action or "all",
    "Level": lambda row: row.level,
    "Plane": lambda row: row.plane,
    "Subjects": lambda row: str(row.subjects),
    "Frames": lambda row: str(row.frames),
    "Range (sd over people), °": lambda row: _mean_and_sd_text(row.rom_mean_deg, row.rom_sd_deg),
    "From … to (°)": lambda row: f"{_number_text(row.low_deg)} … {_number_text(row.high_deg)}",
    "Published (°)": lambda row: _span_text(row.published_low_deg, row.published_high_deg),
    "Angle, ± 95 % (°)": lambda row: _number_text(_NORMAL_95 * row.uncertainty_deg),
    "Data": lambda row: _share_text(row.share, row.decided),
}
