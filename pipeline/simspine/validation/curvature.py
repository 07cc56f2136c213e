"""LLA and TKA by action and by subject, laid out as the paper's Table B2, beside the paper's own values."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from simspine.quality.curvature_figures import curvature_verdict, share_of_curvature
from simspine.quality.observability import Observability
from simspine.validation.published import BY_ACTION, BY_SUBJECT, OVER_ACTIONS, OVER_SUBJECTS, Curvature
from simspine.validation.records import Record, records
from simspine.validation.uncertainty import any_estimated, is_forced, typical

NAN = float("nan")


@dataclass(frozen=True)
class CurvatureRow:
    """One line. Degrees; NaN = not known. group: 'action', 'subject' or 'all'.

    mean, sd: over all kept frames of the line (in lines of means: unweighted means of the lines above). uncertainty:
    typical (median) standard deviation of one frame's estimate. share: of the estimate that the data decided, 0…1,
    beside what is known of standing adults (`uncertainty.known_share`). decided: in a word; 'set by the model' is no
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
    some = as_records(dataset)
    rows: list[CurvatureRow] = []
    for group, key, paper, over in (
        ("action", lambda record: record.action, BY_ACTION, OVER_ACTIONS),
        ("subject", lambda record: record.subject, BY_SUBJECT, OVER_SUBJECTS),
    ):
        lines = [_row(group, name, part, paper.get(name)) for name, part in grouped(some, key, paper).items()]
        rows += [*lines, _mean_of(group, lines, over)] if lines else []
    return (*rows, _row("all", "all frames", some, None)) if some else ()


def as_records(dataset) -> Sequence[Record]:
    """Records as they are; of anything else its records."""
    if isinstance(dataset, Sequence) and all(isinstance(part, Record) for part in dataset):
        return dataset
    return records(dataset)


def grouped(some: Iterable[Record], key, first: Mapping[str, object] = {}) -> dict[str, list[Record]]:
    """{name: records}: names known to `first` in its order, then the others by alphabet."""
    found: dict[str, list[Record]] = {}
    for record in some:
        found.setdefault(key(record), []).append(record)
    order = {name: i for i, name in enumerate(first)}
    return {name: found[name] for name in sorted(found, key=lambda name: (order.get(name, len(order)), name))}


def pooled(some: Iterable[Record], quantity: str) -> np.ndarray:
    """All known values (n,) of 'lla' or 'tka' in kept frames, rad."""
    parts = [getattr(record, quantity)[record.kept] for record in some]
    values = np.concatenate(parts) if parts else np.empty(0)
    return values[np.isfinite(values)]


def _row(group: str, name: str, some: Sequence[Record], paper: Curvature | None) -> CurvatureRow:
    kept = sum(int(record.kept.sum()) for record in some)
    rejected = sum(record.frames for record in some) - kept
    subjects = len({record.subject for record in some})
    columns = (*_pooled(some, "lla"), *_pooled(some, "tka"))
    return CurvatureRow(group, name, subjects, len(some), kept, rejected, *columns, *_paper(paper))


def _pooled(some: Sequence[Record], quantity: str) -> tuple[float, float, float, float, str]:
    """Mean, sd, uncertainty, share and verdict of all kept frames together."""
    values = np.degrees(pooled(some, quantity))
    forced = is_forced(some, quantity)
    sd = NAN if forced else typical([sd[r.kept] for r in some if (sd := getattr(r, f"{quantity}_sd")) is not None])
    share = NAN if forced else share_of_curvature(quantity, float(np.degrees(sd)))
    mean, spread = (float(values.mean()), float(values.std())) if values.size else (NAN, NAN)
    return mean, spread, float(np.degrees(sd)), share, str(curvature_verdict(share, forced, any_estimated(some)))


def _mean_of(group: str, lines: Sequence[CurvatureRow], paper: Curvature) -> CurvatureRow:
    """Unweighted means of lines, as the paper averages."""
    subjects = len(lines) if group == "subject" else max(line.subjects for line in lines)
    trials, frames, rejected = (sum(getattr(line, name) for line in lines) for name in ("trials", "frames", "rejected"))
    columns = (*_mean_columns(lines, "lla"), *_mean_columns(lines, "tka"))
    return CurvatureRow(group, f"mean of the {group}s", subjects, trials, frames, rejected, *columns, *_paper(paper))


def _mean_columns(lines: Sequence[CurvatureRow], quantity: str) -> tuple[float, float, float, float, str]:
    mean, sd, uncertainty, share = (
        _mean([getattr(line, f"{quantity}_{column}") for line in lines])
        for column in ("mean_deg", "sd_deg", "uncertainty_deg", "share")
    )
    said = {getattr(line, f"{quantity}_decided") for line in lines}
    estimated = bool(said & {Observability.ESTIMATED, Observability.PARTLY_ESTIMATED})
    return mean, sd, uncertainty, share, str(curvature_verdict(share, Observability.FORCED in said, estimated))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else NAN


def _paper(paper: Curvature | None) -> tuple[float, float, float, float]:
    return (paper.lla_mean, paper.lla_sd, paper.tka_mean, paper.tka_sd) if paper else (NAN, NAN, NAN, NAN)
