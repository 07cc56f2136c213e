"""Tables that compare a data set with the paper and the literature: LLA and TKA (Table B2), and ranges of motion.

Each table is a data frame with all figures in degrees, NaN = not known; `validation_markdown` shows those that a reader
compares.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from simspine.anatomy.curvature import MOTION_PLANES
from simspine.anatomy.vertebrae import forced_sentence
from simspine.core.arrays import NORMAL_95
from simspine.core.errors import require_known, without_formula
from simspine.evaluation.metrics import finite_values, mean_or_nan
from simspine.evaluation.tables import aligned_markdown, published_values, table_words
from simspine.evaluation.validation_records import LUMBAR_LEVEL_NAMES, NECK_LEVEL_NAMES, TrialRecord, published_range
from simspine.quality.observability import (
    Observability,
    driving_coordinates,
    forced_mask,
    observability_word,
    observed_share_text,
    share_of_curvature,
    stated_sd,
)


def records_by_group(
    some: Iterable[TrialRecord], group: str, first: Iterable[str] = ()
) -> dict[str, list[TrialRecord]]:
    """{name: records} of each 'action' or 'subject': names of `first` in its order, then the others by alphabet."""
    groups: dict[str, list[TrialRecord]] = {}
    for record in some:
        groups.setdefault(getattr(record, group), []).append(record)
    order = {name: i for i, name in enumerate(first)}
    return {name: groups[name] for name in sorted(groups, key=lambda name: (order.get(name, len(order)), name))}


def _median_deg(parts: Iterable[np.ndarray]) -> float:
    """Median of all finite values, rad to degrees; NaN without any."""
    known = finite_values(parts)
    return float(np.degrees(np.median(known))) if known.size else math.nan


def _is_forced(records: Sequence[TrialRecord], name: str, plane: int = 0) -> bool:
    """Whether the model sets 'lla', 'tka' or a level's angle in one of the records."""
    return any(bool(forced_mask([name], record.forced)[0, plane]) for record in records)


def _drives_others(records: Sequence[TrialRecord], name: str, plane: int) -> bool:
    """Whether the level's own coordinate moves other levels too: the data then decided the sum, not this level."""
    return any(
        level.coordinates[plane] in driving_coordinates(record.forced)
        for record in records
        for level in record.table
        if level.name == name
    )


_FIGURE_COLUMNS = ("mean_deg", "sd_deg", "uncertainty_deg", "share")


@cache
def paper_curvature(group: str) -> pd.DataFrame:
    """A row per 'action' or 'subject' of SimSpine (CVPR 2026), Table B2, and 'mean', the unweighted mean of the rows.

    Columns lla_mean, lla_sd, tka_mean, tka_sd: of LLA (L1–S1) and TKA (T3–T12) over all frames, degrees. It is what the
    paper reports of its own data, a model's output. Two actions have two spellings; each row holds the subjects whose
    files are named so.
    """
    table = pd.DataFrame(published_values(f"curvature_by_{group}")).astype({"value": float})
    return table.pivot(index="row", columns="column", values="value").loc[table["row"].unique()]


def curvature_table(some: Sequence[TrialRecord]) -> pd.DataFrame:
    """Rows per action, their unweighted mean, rows per subject, their unweighted mean, and all frames together.

    some: `trial_records` of a data set. Rejected frames are left out and counted; no other outlier is removed.
    Columns: group ('action', 'subject' or 'all') and name; subjects, trials, frames, rejected. Of lla and tka:
    `…_mean_deg`, `…_sd_deg` over all kept frames (in lines of means: unweighted means of the lines above);
    `…_uncertainty_deg`, the median standard deviation of one frame's estimate; `…_share` of the estimate that the data
    decided, 0…1, given what is known of standing adults; `…_decided`, in a word ('set by the model' is no
    finding about a person); `paper_…`.
    """
    lines = []
    for group in ("action", "subject"):
        paper = paper_curvature(group)
        rows = [
            _curvature_row(group, name, part) | _paper_values(paper, name)
            for name, part in records_by_group(some, group, paper.index).items()
        ]
        if rows:
            lines += [*rows, _mean_of(group, pd.DataFrame(rows)) | _paper_values(paper, "mean")]
    return pd.DataFrame([*lines, _curvature_row("all", "all frames", some)] if lines else [])


def _paper_values(paper: pd.DataFrame, name: str) -> dict[str, float]:
    return {f"paper_{column}_deg": float(paper[column].get(name, math.nan)) for column in paper.columns}


def _curvature_row(group: str, name: str, records: Sequence[TrialRecord]) -> dict[str, Any]:
    kept = sum(int(record.kept.sum()) for record in records)
    rejected = sum(record.frames for record in records) - kept
    subjects = len({record.subject for record in records})
    row = {"group": group, "name": name, "subjects": subjects, "trials": len(records), "frames": kept}
    row |= {"rejected": rejected}
    for quantity in ("lla", "tka"):
        values = np.degrees(finite_values(getattr(record, quantity)[record.kept] for record in records))
        forced, sd, share = _is_forced(records, quantity), math.nan, math.nan
        if not forced:
            known = [(record, getattr(record, f"{quantity}_sd")) for record in records]
            sd = stated_sd(quantity, _median_deg(each[record.kept] for record, each in known if each is not None))
            share = share_of_curvature(quantity, sd)
        spread = float(values.std()) if values.size else math.nan
        decided = observability_word(share, forced, estimated=any(record.estimated for record in records))
        row |= _quantity_columns(quantity, (mean_or_nan(values), spread, sd, share), decided)
    return row


def _quantity_columns(quantity: str, figures: Sequence[float], decided: Observability) -> dict[str, Any]:
    """figures: in the order of `_FIGURE_COLUMNS`."""
    columns = dict(zip(_FIGURE_COLUMNS, figures, strict=True)) | {"decided": str(decided)}
    return {f"{quantity}_{name}": value for name, value in columns.items()}


def _mean_of(group: str, lines: pd.DataFrame) -> dict[str, Any]:
    """Unweighted means of lines, as the paper averages."""
    row: dict[str, Any] = {"group": group, "name": f"mean of the {group}s"}
    row |= {"subjects": len(lines) if group == "subject" else int(lines["subjects"].max())}
    row |= {name: int(lines[name].sum()) for name in ("trials", "frames", "rejected")}
    for quantity in ("lla", "tka"):
        means = lines[[f"{quantity}_{column}" for column in _FIGURE_COLUMNS]].mean().tolist()
        words = set(lines[f"{quantity}_decided"])
        estimated = bool(words & {Observability.ESTIMATED, Observability.PARTLY_ESTIMATED})
        decided = observability_word(means[-1], Observability.FORCED in words, estimated=estimated)
        row |= _quantity_columns(quantity, means, decided)
    return row


# Of a person's kept frames, so that outliers (1 % at either end) do not widen the range.
RANGE_PERCENTILES = (1.0, 99.0)
_NO_FINDING = {Observability.ASSUMED, Observability.FORCED, Observability.UNKNOWN}


def lumbar_rom(some: Sequence[TrialRecord]) -> pd.DataFrame:
    """Each lumbar level from above, then L1 on the sacrum as a whole, in three planes; see `_range_row`."""
    return pd.DataFrame(
        [_range_row("", some, level, k) for k in range(3) for level in _levels_there(some, LUMBAR_LEVEL_NAMES)]
    )


def neck_rom(some: Sequence[TrialRecord]) -> pd.DataFrame:
    """The head on the trunk in three planes, for each action, and for all of them together where there are several."""
    actions = list(records_by_group(some, "action", paper_curvature("action").index).items())
    return pd.DataFrame(
        [
            _range_row(action, part, level, k)
            for action, part in [*actions, *([("", some)] if len(actions) > 1 else [])]
            for level in _levels_there(part, NECK_LEVEL_NAMES)
            for k in range(3)
        ]
    )


def _levels_there(records: Sequence[TrialRecord], levels: Sequence[str]) -> list[str]:
    return [level for level in levels if any(level in record.levels for record in records)]


def _range_row(action: str, group: Sequence[TrialRecord], level: str, plane: int) -> dict[str, Any]:
    """Range of one level in one plane, degrees. action: '' for all of them together.

    rom_mean_deg, rom_sd_deg: mean and standard deviation (NaN for one) over the subjects of each one's range,
    percentile 1 to 99 of that subject's kept frames; low_deg, high_deg: the percentiles, means over subjects.
    uncertainty_deg: typical standard deviation of the angle. share: of the angle that the data decided. decided: by
    what; assumed where the angle's deviation is as large as its whole range. published: smallest and largest total
    range in `source`. forced: why the model sets the angle, '' if it does not.
    """
    group = [record for record in group if level in record.levels]
    by_person = [
        finite_values(_record_angle(record, record.angles, level, plane) for record in part)
        for part in records_by_group(group, "subject").values()
    ]
    ends = [np.percentile(np.degrees(values), RANGE_PERCENTILES) for values in by_person if values.size]
    low, high = np.array(ends).T if ends else np.full((2, 1), math.nan)
    forced, span = _is_forced(group, level, plane), float(np.mean(high - low))
    sd = _median_deg(_record_angle(r, r.angles_sd, level, plane) for r in group if r.angles_sd is not None)
    # The share is the mean over trials, weighted by frames; NaN where no trial has one.
    shares = np.array([record.shares[record.levels.index(level), plane] for record in group])
    weights = np.array([record.kept.sum() for record in group])
    known = np.isfinite(shares)
    share = float(np.average(shares[known], weights=weights[known])) if weights[known].sum() else math.nan
    estimated = any(record.estimated for record in group)
    decided = observability_word(share, forced, _drives_others(group, level, plane), estimated=estimated)
    if decided not in _NO_FINDING and sd >= span:
        decided = Observability.ASSUMED
    published = published_range(level, MOTION_PLANES[plane])
    return {
        "action": action,
        "level": level,
        "plane": MOTION_PLANES[plane],
        "subjects": len(ends),
        "trials": len(group),
        "frames": sum(values.size for values in by_person),
        "rom_mean_deg": span,
        "rom_sd_deg": float(np.std(high - low, ddof=1)) if len(ends) > 1 else math.nan,
        "low_deg": float(np.mean(low)),
        "high_deg": float(np.mean(high)),
        "uncertainty_deg": math.nan if forced else sd,
        "share": math.nan if forced else share,
        "decided": str(decided),
        **dict(zip(("published_low_deg", "published_high_deg", "source"), published, strict=True)),
        "forced": next((forced_sentence(r.forced[level]) for r in group if r.forced.get(level)), "") if forced else "",
    }


def _record_angle(record: TrialRecord, values: np.ndarray, level: str, plane: int) -> np.ndarray:
    return values[record.kept, record.levels.index(level), plane]


_VALIDATION_NAMES = ("lla_tka", "lumbar_rom", "neck_rom")
_WORDS = {name: table_words(name, low=RANGE_PERCENTILES[0], high=RANGE_PERCENTILES[1]) for name in _VALIDATION_NAMES}
VALIDATION_TITLES = {name: title for name, (title, _) in _WORDS.items()}
VALIDATION_NOTES = {name: " ".join(notes) for name, (_, notes) in _WORDS.items()}
SPREAD_NOTE = ", mean (sd over frames)"


def validation_tables_of(some: Sequence[TrialRecord]) -> dict[str, pd.DataFrame]:
    """All tables of a data set's `trial_records` by name: 'lla_tka', 'lumbar_rom', 'neck_rom'."""
    return {"lla_tka": curvature_table(some), "lumbar_rom": lumbar_rom(some), "neck_rom": neck_rom(some)}


def validation_csv(rows: pd.DataFrame) -> str:
    """One line per row, all columns, numbers to six decimals; empty cells = not known."""
    plain = rows.round(6).map(lambda cell: without_formula(cell) if isinstance(cell, str) else cell)
    return plain.to_csv(index=False, lineterminator="\n") if len(rows) else ""


def validation_markdown(name: str, rows: pd.DataFrame) -> str:
    """The table `name` with title, notes and readable columns."""
    header, lines = validation_cells(name, rows)
    table = aligned_markdown([header, ["---"] * len(header), *lines])
    return "\n".join([f"## {VALIDATION_TITLES[name]}", "", table, "", VALIDATION_NOTES[name], ""])


def validation_cells(name: str, rows: pd.DataFrame) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Header and lines of the table `name` as text for people, for Markdown and the report's page."""
    require_known("table", (name,), VALIDATION_TITLES)
    columns = _CURVATURE_COLUMNS if name == "lla_tka" else _RANGE_COLUMNS
    used = {title: cell for title, cell in columns.items() if title != "Action" or name != "lumbar_rom"}
    lines = [tuple(cell(row) for cell in used.values()) for row in rows.itertuples()]
    return tuple(used), tuple(lines)


def _number_text(value: float, digits: int = 1) -> str:
    return "–" if math.isnan(value) else f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")  # no −0


def _mean_and_sd_text(mean: float, sd: float, digits: int = 1) -> str:
    text = _number_text(mean, digits)
    return text if math.isnan(mean + sd) else f"{text} ({_number_text(sd, digits)})"


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
        f"{title}, ± 95 %": lambda row: _number_text(NORMAL_95 * get(row, "uncertainty_deg")),
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
    "Published (°)": lambda row: "–".join(
        dict.fromkeys(_number_text(value, 0) for value in (row.published_low_deg, row.published_high_deg))
    ),
    "Angle, ± 95 % (°)": lambda row: _number_text(NORMAL_95 * row.uncertainty_deg),
    "Data": lambda row: _share_text(row.share, row.decided),
}
