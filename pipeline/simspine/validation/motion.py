"""Range of motion: of the lumbar levels about three axes, and of the neck by action."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simspine.quality.curvature_figures import known_share
from simspine.quality.observability import Observability, word
from simspine.spine.forced import sentence
from simspine.spine.levels import PLANES
from simspine.validation.curvature import as_records, grouped
from simspine.validation.published import BY_ACTION, published_range
from simspine.validation.records import LUMBAR, NECK, Record
from simspine.validation.uncertainty import any_estimated, drives_others, is_forced, spread_in_range, typical

# Of all kept frames of a person, so that a hundredth of them at either end cannot make a range.
PERCENTILES = (1.0, 99.0)
_FOUND = {
    Observability.MEASURED, Observability.PARTLY, Observability.ESTIMATED, Observability.PARTLY_ESTIMATED,
    Observability.SUM,
}  # fmt: skip


@dataclass(frozen=True)
class RangeRow:
    """Range of one level in one plane. Degrees; NaN = not known. action: '' for all of them together.

    rom_mean, rom_sd: mean and standard deviation (NaN for one) over the subjects of each one's range, percentile 1 to
    99 of that subject's kept frames. low, high: the percentiles, means over subjects. uncertainty: typical standard
    deviation of the angle. share: of the angle that the data decided; for a sum over levels, beside an angle that may
    be anywhere in the published range. decided: by whom; very uncertain where the angle's deviation is as large as its
    whole range. published: smallest and largest total range in `source`. forced: why the model
    sets the angle, '' if it does not.
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
    some = as_records(dataset)
    return tuple(_row("", some, level, k) for k in range(3) for level in _there(some, LUMBAR))


def neck_rom(dataset) -> tuple[RangeRow, ...]:
    """The head on the trunk in three planes, for each action, and for all of them together where there are several."""
    some = as_records(dataset)
    actions = list(grouped(some, lambda record: record.action, BY_ACTION).items())
    groups = [*actions, *([("", some)] if len(actions) > 1 else [])]
    return tuple(
        _row(action, part, level, k) for action, part in groups for level in _there(part, NECK) for k in range(3)
    )


def _there(some: Sequence[Record], levels: Sequence[str]) -> list[str]:
    return [level for level in levels if any(level in record.levels for record in some)]


def _row(action: str, some: Sequence[Record], level: str, plane: int) -> RangeRow:
    some = [record for record in some if level in record.levels]
    ends, frames = [], 0
    for part in grouped(some, lambda record: record.subject).values():
        values = np.concatenate([_angle(r, r.angles, level, plane) for r in part])
        values = values[np.isfinite(values)]
        frames += values.size
        if values.size:
            ends.append(np.percentile(np.degrees(values), PERCENTILES))
    low, high = np.array(ends).T if ends else (np.array([np.nan]),) * 2
    forced = is_forced(some, level, plane)
    sd = typical([_angle(r, r.angles_sd, level, plane) for r in some if r.angles_sd is not None])
    share = _share(some, level, plane, sd)
    decided = word(share, forced, drives_others(some, level, plane), estimated=any_estimated(some))
    span = float(np.mean(high - low))
    if decided in _FOUND and np.degrees(sd) >= span:
        decided = Observability.VERY_UNCERTAIN
    published_low, published_high, source = published_range(level, PLANES[plane])
    return RangeRow(
        action,
        level,
        PLANES[plane],
        len(ends),
        len(some),
        frames,
        span,
        float(np.std(high - low, ddof=1)) if len(ends) > 1 else float("nan"),
        float(np.mean(low)),
        float(np.mean(high)),
        float("nan") if forced else float(np.degrees(sd)),
        float("nan") if forced else share,
        str(decided),
        published_low,
        published_high,
        source,
        next((sentence(r.forced[level]) for r in some if r.forced.get(level)), "") if forced else "",
    )


def _angle(record: Record, values: np.ndarray, level: str, plane: int) -> np.ndarray:
    return values[record.kept, record.levels.index(level), plane]


def _share(some: Sequence[Record], level: str, plane: int, sd: float) -> float:
    """Mean over the trials, weighted by frames; of sums, from the standard deviation."""
    known = [(r.shares[r.levels.index(level), plane], r.kept.sum()) for r in some]
    known = [(share, weight) for share, weight in known if np.isfinite(share)]
    if known and sum(weight for _, weight in known):
        return float(np.average([share for share, _ in known], weights=[weight for _, weight in known]))
    if "-" in level:  # a joint whose coordinate the solver gave no share for
        return float("nan")
    return known_share(sd, spread_in_range(level, plane))
