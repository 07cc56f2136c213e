"""Our spine from points in space beside the baselines: by family of truth, error of the points, and person.

Measures are those of `spine_errors`; what is added is who is judged: all trials together, each person, and the mean of
each person (how far off a figure is that describes the person).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simspine.benchmark.accuracy import COVERAGE, COVERAGE_WITHIN, LEVELS, REGIONS, rounded
from simspine.benchmark.baselines import baselines, standing
from simspine.benchmark.methods import Experiment, estimates_from_points
from simspine.benchmark.point_trials import ERRORS, FAMILIES, PointStudySize, PointTrial, observed, people
from simspine.benchmark.report import Metric
from simspine.benchmark.spine_errors import SpineErrors, errors, figures, thinned
from simspine.errors import InputError, require_known

OURS = "articulated"
LEAST_FRAMES = 20
_LLA = ("lla_rmse_deg", "lla_sd_deg", "person_lla_rmse_deg", "standing_lla_rmse_deg")
_CURVE = (*_LLA, *(name.replace("lla", "tka") for name in _LLA))
_MOTION = ("lla_motion_rmse_deg", "tka_motion_rmse_deg", "lumbar_flexion_motion_rmse_deg")
_HIGHER = ("lla_correlation", "tka_correlation")
_POINTS = ("mpjpe_mm", "vertebrae_mm", "vertebrae_aligned_mm", "velocity_mm_s", "jitter_m_s2")
# What is shown of each method, and so what we may lose to it in. Of `constant`, an oracle, the motion alone.
SHOWN: Mapping[str, tuple[str, ...]] = {
    OURS: (*_POINTS, *_CURVE, *_MOTION, *_HIGHER, "failed_share"),
    "curve": (*_POINTS, *_CURVE, *_MOTION, *_HIGHER),
    "tangents": _CURVE,
    "hips_line": (*_LLA, "lla_motion_rmse_deg", "lla_correlation"),
    "mean": _CURVE,
    "standing_curve_mean": _CURVE,
    "constant": _MOTION,
}
INTERVALS = ("lla", "tka", "lla_change", "tka_change", "points", "centres")


class Cell(NamedTuple):
    """What a total is of: whose spines, how points err, and by which method."""

    family: str
    points: str
    method: str


class Loss(NamedTuple):
    """A figure in which a baseline is better than ours; of several the best one."""

    family: str
    points: str
    figure: str
    ours: float
    baseline: str
    value: float


@dataclass(frozen=True)
class PointOutcome:
    """Errors by cell and (subject, trial). upright: {(family, subject, trial): (frames,) bool, who stands in truth}.
    refused: {(cell, subject): why there is nothing at all}.
    """

    found: Mapping[Cell, Mapping[tuple[str, str], SpineErrors]]
    upright: Mapping[tuple[str, str, str], np.ndarray]
    refused: Mapping[tuple[Cell, str], str]

    def people(self, cell: Cell) -> dict[str, dict[str, float]]:
        """{subject: figures over the subject's trials}. lla_offset_deg, tka_offset_deg: mean over the trials of their
        mean errors; standing_lla_deg, …: the same of the frames in which the person stands, absent where none are."""
        subjects: dict[str, list[tuple[str, SpineErrors]]] = {}
        for (subject, trial), e in self.found[cell].items():
            subjects.setdefault(subject, []).append((trial, e))
        out = {}
        for subject, trials in subjects.items():
            masks = [self.upright[cell.family, subject, trial] for trial, _ in trials]
            own = figures([e for _, e in trials], REGIONS)
            for name in ("lla", "tka"):
                series = [getattr(e, name) for _, e in trials]
                own[f"{name}_offset_deg"] = _mean_of_means(series)
                stood = [values[mask] for values, mask in zip(series, masks, strict=True)]
                own[f"standing_{name}_deg"] = _mean_of_means(stood)
            out[subject] = own
        return out

    def total(self, cell: Cell) -> dict[str, float]:
        """Figures over all trials; `person_…_rmse_deg`, `standing_…_rmse_deg`: root mean square of what each person's
        mean is off; `coverage_…_min`, `…_max`, `normalised_…_min`, `…_max`: over people."""
        found = figures(list(self.found[cell].values()), REGIONS)
        by_person = list(self.people(cell).values())
        for name in ("lla", "tka"):
            found[f"person_{name}_rmse_deg"] = _rms([person[f"{name}_offset_deg"] for person in by_person])
            found[f"standing_{name}_rmse_deg"] = _rms([person[f"standing_{name}_deg"] for person in by_person])
        for key in [key for key in found if key.startswith(("coverage_", "normalised_"))]:
            shares = [person[key] for person in by_person if key in person]
            found |= {f"{key}_min": min(shares), f"{key}_max": max(shares)}
        return found

    def totals(self) -> dict[Cell, dict[str, float]]:
        """`total` of all cells."""
        return {cell: self.total(cell) for cell in self.found}

    def as_dict(self) -> dict:
        """For a JSON file: totals, rows by person, our rows by trial, and losses."""
        totals = self.totals()
        by_person = [
            {**cell._asdict(), "subject": subject, **rounded(own)}
            for cell in self.found
            for subject, own in self.people(cell).items()
        ]
        by_trial = [
            {**cell._asdict(), "subject": subject, "trial": trial, **rounded(figures([e], REGIONS))}
            for cell, trials in self.found.items()
            for (subject, trial), e in trials.items()
            if cell.method == OURS
        ]
        return {
            "totals": [{**cell._asdict(), **rounded(own)} for cell, own in totals.items()],
            "by_person": by_person,
            "by_trial": by_trial,
            "loses": [loss._asdict() for loss in losses(totals)],
            "refused": [{**cell._asdict(), "subject": who, "why": why} for (cell, who), why in self.refused.items()],
        }


def losses(totals: Mapping[Cell, Mapping[str, float]]) -> list[Loss]:
    """Where ours is worse than a baseline in what that is shown with."""
    found = []
    for cell, ours in totals.items():
        if cell.method != OURS:
            continue
        for figure in SHOWN[OURS]:
            sign = -1.0 if figure in _HIGHER else 1.0
            rivals = {
                name: totals[other].get(figure, np.nan)
                for name in SHOWN
                if name != OURS and figure in SHOWN[name] and (other := cell._replace(method=name)) in totals
            }
            rivals = {name: value for name, value in rivals.items() if np.isfinite(value)}
            best = min(rivals, key=lambda name: sign * rivals[name], default=None)
            mine = ours.get(figure, np.nan)
            if best is not None and not (sign * mine <= sign * rivals[best] or np.isclose(mine, rivals[best])):
                found.append(Loss(cell.family, cell.points, figure, mine, best, rivals[best]))
    return found


def run(
    families: Iterable[str],
    points: Sequence[str],
    size: PointStudySize,
    settings: Experiment | None = None,
    progress: Callable[[str], None] = lambda line: None,
) -> PointOutcome:
    """Errors of ours and of the baselines. Points have the same errors whatever the settings are."""
    found: dict[Cell, dict[tuple[str, str], SpineErrors]] = {}
    upright: dict[tuple[str, str, str], np.ndarray] = {}
    refused: dict[tuple[Cell, str], str] = {}
    for family in families:
        for trials in people(family, size):
            subject = trials[0].subject
            for trial in trials:
                upright[family, subject, trial.trial] = standing(trial.points)[:: size.every]
            for model in points:
                progress(f"{family}: {model}: {subject}")
                given = [observed(trial, ERRORS[model], size.seed) for trial in trials]
                estimates = baselines(given, [trial.truth for trial in trials])
                try:
                    estimates = {OURS: estimates_from_points(given, settings or Experiment())} | estimates
                except InputError as error:
                    refused[Cell(family, model, OURS), subject] = str(error)
                for method, spines in estimates.items():
                    of_method = found.setdefault(Cell(family, model, method), {})
                    for trial, spine in zip(trials, spines, strict=True):
                        of_method[subject, trial.trial] = _scored(spine, trial, size.every)
    return PointOutcome(found, upright, refused)


def _scored(spine, trial: PointTrial, every: int) -> SpineErrors:
    return thinned(errors(spine, trial.truth, LEVELS), every)


def measure(
    size: PointStudySize,
    families: Sequence[str],
    points: Sequence[str],
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[list[Metric], PointOutcome]:
    """The benchmark: metrics with goals, and all that was found. `InputError` before anything is solved."""
    for kind, chosen, known in (("family", families, FAMILIES), ("error of points", points, ERRORS)):
        require_known(kind, chosen, known)
    if size.subjects < 1 or size.every < 1 or size.frames < LEAST_FRAMES or not points:
        raise InputError(
            f"{size.subjects} people, {len(points)} errors of points, {size.frames} frames, every {size.every}: "
            f"expected at least 1, 1, {LEAST_FRAMES} (the filters need so many) and 1."
        )
    outcome = run(families, points, size, progress=progress)
    return metrics(outcome), outcome


def metrics(outcome: PointOutcome) -> list[Metric]:
    """By family and error: how many figures a baseline is better in, and the coverage farthest from nine in ten."""
    totals = outcome.totals()
    lost = losses(totals)
    out = []
    for cell, total in totals.items():
        if cell.method != OURS:
            continue
        key = f"{cell.family}: {cell.points}: "
        beaten = sum((loss.family, loss.points) == cell[:2] for loss in lost)
        out.append(Metric(key + "figures in which a baseline is better", beaten, "figures", "lower", 0))
        off = {name: abs(total.get(f"coverage_{name}", np.nan) - COVERAGE) for name in INTERVALS}
        worst = max(off, key=lambda name: off[name])
        what = f"{key}coverage farthest from {COVERAGE:g} ({worst})"
        out.append(Metric(what, off[worst], "share", "lower", COVERAGE_WITHIN))
    out.append(Metric("people refused with points in space", len(outcome.refused), "people", "lower", 0))
    return out


def _mean_of_means(series: Sequence[np.ndarray]) -> float:
    """Degrees; of the trials that have anything."""
    means = [np.degrees(np.nanmean(values)) for values in series if np.isfinite(values).any()]
    return float(np.mean(means)) if means else float("nan")


def _rms(values: Sequence[float]) -> float:
    known = np.array(values)[np.isfinite(values)]
    return float(np.sqrt(np.mean(known**2))) if known.size else float("nan")
