"""`simspine bench accuracy`: ours, the published procedure and trivial baselines compared with known spines.

All get the same trials (`study_trials`), from images or from points in space. `spine_errors` and docs/accuracy.md
define what is measured, of all trials together and of each person.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from tools.bench.baselines import baseline_estimates
from tools.bench.spine_errors import SpineErrors, every_nth_frame, spine_error_figures, spine_errors_of
from tools.bench.study_trials import (
    POINT_ERRORS_BY_NAME,
    TRUTH_FAMILIES,
    Method,
    ObservedTrial,
    StudySize,
    TrueTrial,
    filmed_trial,
    our_estimates,
    published_estimates,
    trial_in_space,
    trials_of_people,
)

from simspine.anatomy.curvature import LUMBAR_LEVELS, THORACIC_LEVELS
from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError, require_known
from simspine.evaluation.metrics import finite_values, mean_or_nan, rms_or_nan
from simspine.evaluation.tables import aligned_markdown
from simspine.synthesis.virtual_detector import read_preset

LEVELS_BY_REGION = {"lumbar": LUMBAR_LEVELS, "thoracic": THORACIC_LEVELS}
ACCURACY_LEVELS = (*LUMBAR_LEVELS, *THORACIC_LEVELS)
PEER_METHOD = "peer"  # the published procedure
INTERVAL_FIGURES = ("lla", "tka", "lla_change", "tka_change", "points", "centres")
HIGHER_IS_BETTER = ("lla_correlation", "tka_correlation")
CURVATURE_FIGURES = tuple(
    name for key in ("lla", "tka") for name in (f"{key}_rmse_deg", f"{key}_sd_deg", f"person_{key}_rmse_deg")
)
MOTION_FIGURES = ("lla_motion_rmse_deg", "tka_motion_rmse_deg", "lumbar_flexion_motion_rmse_deg")
MEASURED_FIGURES = (
    *("mpjpe_mm", "vertebrae_mm", "vertebrae_aligned_mm", "velocity_mm_s", "jitter_m_s2"),
    *(*CURVATURE_FIGURES, *MOTION_FIGURES, *HIGHER_IS_BETTER),
)
OUR_FIGURES = (*MEASURED_FIGURES, "failed_share")
# What is shown of each other method, and so what we may lose to it in. Of `constant`, an oracle, the motion alone.
RIVAL_FIGURES: Mapping[str, tuple[str, ...]] = {
    PEER_METHOD: OUR_FIGURES,
    "curve": MEASURED_FIGURES,
    "tangents": CURVATURE_FIGURES,
    "mean": CURVATURE_FIGURES,
    "constant": MOTION_FIGURES,
}
Progress = Callable[[str], None]


class StudyCell(NamedTuple):
    """What a total is of: whose spines, how their points are seen, and by which method."""

    family: str
    points: str
    method: str

    @property
    def is_ours(self) -> bool:
        """Whether the method is a body of ours."""
        return self.method not in RIVAL_FIGURES


@dataclass(frozen=True)
class StudyOutcome:
    """Errors by cell and (subject, trial). refused: {(cell, subject): why there is nothing at all}."""

    found: Mapping[StudyCell, Mapping[tuple[str, str], SpineErrors]]
    refused: Mapping[tuple[StudyCell, str], str]

    def people(self, cell: StudyCell) -> dict[str, dict[str, float]]:
        """{subject: figures over the subject's trials}. lla_offset_deg, tka_offset_deg: mean over the trials of their
        mean errors."""
        subjects: dict[str, list[SpineErrors]] = {}
        for (subject, _), e in self.found[cell].items():
            subjects.setdefault(subject, []).append(e)
        return {
            subject: spine_error_figures(trials, LEVELS_BY_REGION)
            | {f"{name}_offset_deg": _mean_of_means([getattr(e, name) for e in trials]) for name in ("lla", "tka")}
            for subject, trials in subjects.items()
        }

    def total(self, cell: StudyCell) -> dict[str, float]:
        """Figures over all trials; `person_…_rmse_deg`: root mean square of the errors of people's means;
        `coverage_…_min`, `…_max`, `normalised_…_min`, `…_max`: over people."""
        found = spine_error_figures(list(self.found[cell].values()), LEVELS_BY_REGION)
        by_person = list(self.people(cell).values())
        for name in ("lla", "tka"):
            offsets = np.array([person[f"{name}_offset_deg"] for person in by_person])
            found[f"person_{name}_rmse_deg"] = rms_or_nan(finite_values([offsets]))
        for key in [key for key in found if key.startswith(("coverage_", "normalised_"))]:
            shares = [person[key] for person in by_person if key in person]
            found |= {f"{key}_min": min(shares), f"{key}_max": max(shares)}
        return found

    def totals(self) -> dict[StudyCell, dict[str, float]]:
        """`total` of all cells."""
        return {cell: self.total(cell) for cell in self.found}

    def as_dict(self) -> dict:
        """For a JSON file: totals, rows by person, and losses."""
        totals = self.totals()
        by_person = [
            {**cell._asdict(), "subject": subject, **rounded_for_json(own)}
            for cell in self.found
            for subject, own in self.people(cell).items()
        ]
        return {
            "totals": [{**cell._asdict(), **rounded_for_json(own)} for cell, own in totals.items()],
            "by_person": by_person,
            "loses": lost_comparisons(totals),
            "refused": [{**cell._asdict(), "subject": who, "why": why} for (cell, who), why in self.refused.items()],
        }


def _mean_of_means(series: Sequence[np.ndarray]) -> float:
    """Degrees; of the trials that have anything."""
    means = [np.array(mean_or_nan(finite_values([own]))) for own in series]
    return float(np.degrees(mean_or_nan(finite_values(means))))


def rounded_for_json(values: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN."""
    return {name: float(f"{value:.4g}") if np.isfinite(value) else None for name, value in values.items()}


def lost_comparisons(totals: Mapping[StudyCell, Mapping[str, float]]) -> list[dict]:
    """Where ours is worse than the best other method, of the figures that this method is shown with."""
    found = []
    for cell in (cell for cell in totals if cell.is_ours):
        for figure in OUR_FIGURES:
            sign = -1.0 if figure in HIGHER_IS_BETTER else 1.0
            rivals = {
                name: totals.get(cell._replace(method=name), {}).get(figure, np.nan)
                for name, shown in RIVAL_FIGURES.items()
                if figure in shown
            }
            rivals = {name: value for name, value in rivals.items() if np.isfinite(value)}
            best = min(rivals, key=lambda name: sign * rivals[name], default=None)
            ours = totals[cell].get(figure, np.nan)
            if best is not None and not (sign * ours <= sign * rivals[best] or np.isclose(ours, rivals[best])):
                lost = {"figure": figure, "ours": ours, "baseline": best, "value": rivals[best]}
                found.append({"family": cell.family, "points": cell.points, "method": cell.method} | lost)
    return found


# The study.


def measure_from_images(
    size: StudySize, family: str, presets: Sequence[str], bodies: Sequence[str], progress: Progress = lambda line: None
) -> StudyOutcome:
    """From what virtual detectors see, with each of our bodies (recipes, by name or path)."""
    for preset in presets:
        read_preset(preset)  # `InputError` before anything is recorded
    for body in bodies:
        read_recipe(body)
    methods = {body: partial(our_estimates, recipe=body) for body in bodies}
    return run_study([family], presets, size, filmed_trial, methods=methods, progress=progress)


def measure_from_points(
    size: StudySize, families: Sequence[str], points: Sequence[str], progress: Progress = lambda line: None
) -> StudyOutcome:
    """From points in space with each of these errors."""
    require_known("family", families, TRUTH_FAMILIES)
    require_known("error of points", points, POINT_ERRORS_BY_NAME)
    if not points:
        raise InputError(f"0 errors of points; choose some of {', '.join(POINT_ERRORS_BY_NAME)}.")

    def observe(trial: TrueTrial, name: str) -> ObservedTrial:
        return trial_in_space(trial, POINT_ERRORS_BY_NAME[name], size.seed)

    return run_study(families, points, size, observe, methods={"articulated": our_estimates}, progress=progress)


def run_study(
    families: Iterable[str],
    points: Sequence[str],
    size: StudySize,
    observe: Callable[[TrueTrial, str], ObservedTrial],
    methods: Mapping[str, Method],
    progress: Progress = lambda line: None,
) -> StudyOutcome:
    """Errors of our methods, of the published procedure and of the baselines. observe: a trial, points as named."""
    found: dict[StudyCell, dict[tuple[str, str], SpineErrors]] = {}
    refused: dict[tuple[StudyCell, str], str] = {}
    for family in families:
        for trials in trials_of_people(family, size):
            subject = trials[0].subject
            for name in points:
                given = [observe(trial, name) for trial in trials]
                estimates = baseline_estimates([seen.points for seen in given], [trial.truth for trial in trials])
                for label, method in {**methods, PEER_METHOD: published_estimates}.items():
                    progress(f"{family}: {name}: {subject}: {label}")
                    try:
                        estimates[label] = method(given)
                    except InputError as error:
                        refused[StudyCell(family, name, label), subject] = str(error)
                for label in (label for label in (*methods, *RIVAL_FIGURES) if label in estimates):
                    own = found.setdefault(StudyCell(family, name, label), {})
                    for trial, spine in zip(trials, estimates[label], strict=True):
                        errors = spine_errors_of(spine, trial.truth, ACCURACY_LEVELS)
                        own[subject, trial.trial] = every_nth_frame(errors, size.every)
    return StudyOutcome(found, refused)


# Markdown tables.


# Heading: figure, digits.
STUDY_COLUMNS: Mapping[str, tuple[str, int]] = {
    "points mm": ("mpjpe_mm", 1),
    "vertebrae mm": ("vertebrae_mm", 1),
    "aligned mm": ("vertebrae_aligned_mm", 1),
    "LLA °": ("lla_rmse_deg", 1),
    "LLA bias-free": ("lla_sd_deg", 1),
    "LLA motion": ("lla_motion_rmse_deg", 2),
    "LLA r": ("lla_correlation", 2),
    "LLA by person": ("person_lla_rmse_deg", 1),
    "TKA °": ("tka_rmse_deg", 1),
    "TKA bias-free": ("tka_sd_deg", 1),
    "TKA motion": ("tka_motion_rmse_deg", 2),
    "TKA r": ("tka_correlation", 2),
    "TKA by person": ("person_tka_rmse_deg", 1),
    "lumbar motion °": ("lumbar_flexion_motion_rmse_deg", 2),
    "velocity mm/s": ("velocity_mm_s", 0),
    "jitter m/s²": ("jitter_m_s2", 2),
    "failed": ("failed_share", 3),
}
PERSON_COLUMNS = (
    *("vertebrae_mm", "vertebrae_aligned_mm", "lla_offset_deg", "lla_motion_rmse_deg", "tka_offset_deg"),
    *("tka_motion_rmse_deg", *(f"coverage_{name}" for name in INTERVAL_FIGURES)),
)


def study_tables(outcome: StudyOutcome) -> str:
    """Errors of all methods, coverage of our intervals, errors in standard deviations, our figures by person, and who
    was refused."""
    totals = outcome.totals()
    tables = [error_table(totals), coverage_table(totals), coverage_table(totals, "normalised"), person_table(outcome)]
    tables += [f"refused: {': '.join(cell)}: {who}: {why}" for (cell, who), why in outcome.refused.items()]
    return "\n\n".join(tables)


def error_table(totals: Mapping[StudyCell, Mapping[str, float]]) -> str:
    """A row per family, error and method; `loses` marks figures of ours in which a baseline is better."""
    lost = {(*(loss[key] for key in StudyCell._fields), loss["figure"]) for loss in lost_comparisons(totals)}
    rows = []
    for cell, total in totals.items():
        row, shown = list(cell), RIVAL_FIGURES.get(cell.method, OUR_FIGURES)
        for figure, digits in STUDY_COLUMNS.values():
            text = _figure_text(total.get(figure), digits) if figure in shown else ""
            row.append(f"{text} loses" if (*cell, figure) in lost else text)
        rows.append(row)
    return _study_table(StudyCell._fields, STUDY_COLUMNS, rows)


def coverage_table(totals: Mapping[StudyCell, Mapping[str, float]], kind: str = "coverage") -> str:
    """Share of errors within our 90 % intervals, and the smallest and largest of a person; kind 'normalised': root mean
    square of errors in our standard deviations."""
    rows = []
    for cell, total in totals.items():
        if cell.is_ours:
            keys = [f"{kind}_{name}" for name in INTERVAL_FIGURES]
            shares = [[_figure_text(total.get(key + end), 2) for end in ("", "_min", "_max")] for key in keys]
            rows.append((*cell, *(f"{mean} ({low}–{high})" if mean else "" for mean, low, high in shares)))
    return _study_table(StudyCell._fields, [f"{kind} {name}" for name in INTERVAL_FIGURES], rows)


def person_table(outcome: StudyOutcome) -> str:
    """Our figures by person."""
    rows = [
        (*cell, subject, *(_figure_text(own.get(name), 2) for name in PERSON_COLUMNS))
        for cell in outcome.found
        if cell.is_ours
        for subject, own in outcome.people(cell).items()
    ]
    return _study_table((*StudyCell._fields, "person"), PERSON_COLUMNS, rows)


def _study_table(names: Sequence[str], figures: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    figures = list(figures)
    return aligned_markdown([(*names, *figures), ("---",) * len(names) + ("---:",) * len(figures), *rows])


def _figure_text(value: float | None, digits: int) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"
