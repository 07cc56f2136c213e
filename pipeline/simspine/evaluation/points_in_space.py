"""`simspine bench accuracy --families`: spines from points in space: ours, the published procedure and baselines.

Limbs come as motion capture means them, points of the spine with the errors of one of `POINT_ERRORS_BY_NAME`. Spines
and motions are those of a family (`TRUTH_FAMILIES`): synthetic subjects of either kind of spine, or people of another
anatomy. Measures are those of `spine_errors`, of all trials together and of each person.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np

from simspine.anatomy.curvature import SPINE_MARKERS
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import smooth
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import SPINE_REGIONS, load_skeleton
from simspine.core.types import Markers, Origin
from simspine.evaluation.baselines import baseline_estimates, peer_estimates
from simspine.evaluation.bench_accuracy import (
    ACCURACY_LEVELS,
    COVERAGE_TOLERANCE,
    LEVELS_BY_REGION,
    MOTION_FIGURES,
    NOMINAL_COVERAGE,
    PEER_METHOD,
    estimates_from_points,
    points_meant_by_mocap,
    rounded_for_json,
    true_spine,
)
from simspine.evaluation.metrics import finite_values, rms_or_nan
from simspine.evaluation.spine_errors import (
    SpineErrors,
    TrialSpine,
    every_nth_frame,
    spine_error_figures,
    spine_errors_of,
)
from simspine.evaluation.tables import Metric, aligned_markdown
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.foreign_motion import FOREIGN_ACTIONS, make_foreign_subject, make_foreign_trial
from simspine.synthesis.population import SyntheticSubject, make_subject
from simspine.synthesis.signals import correlated_drift, random_stream
from simspine.synthesis.virtual_trial import make_trial, true_human36m_joints, true_points
from simspine.vision.options import FilterOptions

# Trials as points in space: what inverse kinematics gets, and what is true.


TRUTH_FAMILIES = ("published", "scans", "foreign")
LIMB_POINT_SD_M = 0.002  # m, white: motion capture
# Everyday actions of Human3.6M that stand, walk, sit, bend and turn.
CHOSEN_ACTIONS = ("Directions", "Posing", "Purchases", "Sitting", "Walking")


@dataclass(frozen=True)
class PointErrors:
    """How points of the spine are off, per axis. white: m, frame by frame. wander: m, with a memory of `memory` s.
    region: m, an offset that the points of a region share throughout a trial.
    """

    white: float = 0.0
    wander: float = 0.0
    memory: float = 0.3
    region: float = 0.0

    @property
    def scatter(self) -> float:
        """Standard deviation per axis of what changes within a trial, m: what views that disagree would show."""
        return float(np.hypot(self.white, self.wander))


POINT_ERRORS_BY_NAME: Mapping[str, PointErrors] = MappingProxyType(
    {
        "exact": PointErrors(white=0.0001),
        "white": PointErrors(white=0.005),
        "detector": PointErrors(wander=0.010, region=0.015),
    }
)


@dataclass(frozen=True)
class PointStudySize:
    """How much: people, actions of a trial each (None: `CHOSEN_ACTIONS`, or those of the other anatomy; "all": every
    one that the family has), frames of a trial at 50/s, and which frames are scored.

    People differ more from each other than frames do, and errors that last need long trials.
    """

    subjects: int = 7
    frames: int = 500
    every: int = 5
    seed: int = 1
    actions: tuple[str, ...] | Literal["all"] | None = None


QUICK_POINT_STUDY = PointStudySize(subjects=1, frames=100)


@dataclass(frozen=True)
class PointTrial:
    """points: the 37 points without error (y_up), limbs where motion capture means them. truth: the spine."""

    subject: str
    trial: str
    points: Markers
    truth: TrialSpine


def observed_markers(trial: PointTrial, errors: PointErrors, seed: int) -> Markers:
    """Markers as the stages hand them to inverse kinematics (y_up): limbs GIVEN, the spine's points DETECTED.

    The spine's points are low-passed as in the product; their covariance is what changes within a trial, as that of
    triangulation is. Equal arguments give equal markers.
    """

    chance = partial(random_stream, seed, "points", trial.subject, trial.trial)
    limbs = [name for name in trial.points.names if name not in SPINE_MARKERS]
    xyz = np.array(trial.points.select([*SPINE_MARKERS, *limbs]).xyz)
    count = len(SPINE_MARKERS)
    frames, rate = len(xyz), trial.points.rate
    xyz[:, count:] += LIMB_POINT_SD_M * chance("limbs").standard_normal((frames, len(limbs), 3))
    xyz[:, :count] += errors.white * chance("white").standard_normal((frames, count, 3))
    drift = correlated_drift(chance("wander"), frames, (count, 3), rate=rate, correlation_time=errors.memory)
    xyz[:, :count] += errors.wander * drift
    for region, members in SPINE_REGIONS.items():
        xyz[:, [SPINE_MARKERS.index(name) for name in members]] += errors.region * chance(region).standard_normal(3)
    detected = smooth(Markers(SPINE_MARKERS, rate, xyz[:, :count], "y_up"), **FilterOptions().model_dump())
    xyz[:, :count] = detected.xyz
    sd = np.where(np.arange(xyz.shape[1]) < count, errors.scatter, LIMB_POINT_SD_M)
    covariance = np.broadcast_to(sd[:, None, None] ** 2 * np.eye(3), (*xyz.shape, 3))
    origin = (Origin.DETECTED,) * count + (Origin.GIVEN,) * len(limbs)
    return Markers((*SPINE_MARKERS, *limbs), rate, xyz, "y_up", covariance=covariance, origin=origin)


def trials_of_people(family: str, size: PointStudySize) -> Iterator[list[PointTrial]]:
    """All trials of one person after another. Raises `InputError` for a family or an action that does not exist."""
    require_known("family", [family], TRUTH_FAMILIES)
    foreign = family == "foreign"
    known, default = (FOREIGN_ACTIONS, FOREIGN_ACTIONS) if foreign else (ACTION_NAMES, CHOSEN_ACTIONS)
    actions = known if size.actions == "all" else size.actions or default
    require_known("action", actions, known)
    for index in range(size.subjects):
        if foreign:
            yield [_foreign_trial(size, index, action) for action in actions]
        else:  # one subject for all trials: to make the body takes longer than to move it
            subject = make_subject(size.seed, index, family)
            yield [_synthetic_trial(subject, size, action) for action in actions]


def _synthetic_trial(subject: SyntheticSubject, size: PointStudySize, action: str) -> PointTrial:
    trial = make_trial(subject, action, 1, size.frames)
    joints = points_meant_by_mocap(true_points(trial), load_skeleton("human36m32").names, true_human36m_joints(trial))
    return PointTrial(subject.name, trial.trial, markers_in_frame(joints, "y_up"), true_spine(trial))


def _foreign_trial(size: PointStudySize, index: int, action: str) -> PointTrial:
    """Level angles of this anatomy have a zero of their own, so only their changes compare."""
    trial = make_foreign_trial(make_foreign_subject(size.seed, index), action, size.frames)
    truth = TrialSpine(trial.spine, trial.centres, np.zeros(size.frames, bool))
    return PointTrial(trial.subject, trial.trial, trial.points, truth)


# The study: errors by family of truth, errors of the points, method and person.


OUR_METHOD = "articulated"
MIN_STUDY_FRAMES = 20
_CURVATURE_FIGURES = tuple(
    name for key in ("lla", "tka") for name in (f"{key}_rmse_deg", f"{key}_sd_deg", f"person_{key}_rmse_deg")
)
_HIGHER_IS_BETTER = ("lla_correlation", "tka_correlation")
_POINT_FIGURES = ("mpjpe_mm", "vertebrae_mm", "vertebrae_aligned_mm", "velocity_mm_s", "jitter_m_s2")
# What is shown of each method, and so what we may lose to it in. Of `constant`, an oracle, the motion alone.
_MEASURED_FIGURES = (*_POINT_FIGURES, *_CURVATURE_FIGURES, *MOTION_FIGURES, *_HIGHER_IS_BETTER)
FIGURES_BY_METHOD: Mapping[str, tuple[str, ...]] = {
    OUR_METHOD: (*_MEASURED_FIGURES, "failed_share"),
    PEER_METHOD: (*_MEASURED_FIGURES, "failed_share"),
    "curve": _MEASURED_FIGURES,
    "tangents": _CURVATURE_FIGURES,
    "mean": _CURVATURE_FIGURES,
    "constant": MOTION_FIGURES,
}
INTERVAL_FIGURES = ("lla", "tka", "lla_change", "tka_change", "points", "centres")


class StudyCell(NamedTuple):
    """What a total is of: whose spines, how points err, and by which method."""

    family: str
    points: str
    method: str


class LostComparison(NamedTuple):
    """A figure in which a baseline, or the published procedure, is better than ours; of several the best one."""

    family: str
    points: str
    figure: str
    ours: float
    baseline: str
    value: float


@dataclass(frozen=True)
class PointOutcome:
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
            found[f"person_{name}_rmse_deg"] = rms_or_nan(
                finite_values([np.array([person[f"{name}_offset_deg"] for person in by_person])])
            )
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
            "loses": [loss._asdict() for loss in lost_comparisons(totals)],
            "refused": [{**cell._asdict(), "subject": who, "why": why} for (cell, who), why in self.refused.items()],
        }


def lost_comparisons(totals: Mapping[StudyCell, Mapping[str, float]]) -> list[LostComparison]:
    """Where ours is worse than the best other method, of the figures that this method is shown with."""
    found = []
    for cell in (cell for cell in totals if cell.method == OUR_METHOD):
        for figure in FIGURES_BY_METHOD[OUR_METHOD]:
            sign = -1.0 if figure in _HIGHER_IS_BETTER else 1.0
            rivals = _rival_figures(totals, cell, figure)
            best = min(rivals, key=lambda name: sign * rivals[name], default=None)
            ours = totals[cell].get(figure, np.nan)
            if best is not None and not (sign * ours <= sign * rivals[best] or np.isclose(ours, rivals[best])):
                found.append(LostComparison(cell.family, cell.points, figure, ours, baseline=best, value=rivals[best]))
    return found


def _rival_figures(totals: Mapping[StudyCell, Mapping[str, float]], cell: StudyCell, figure: str) -> dict[str, float]:
    """{other method: its value} of a figure, where it is shown and known."""
    shown = [name for name, own in FIGURES_BY_METHOD.items() if name != OUR_METHOD and figure in own]
    values = {name: totals.get(cell._replace(method=name), {}).get(figure, np.nan) for name in shown}
    return {name: value for name, value in values.items() if np.isfinite(value)}


def run_point_study(
    families: Iterable[str],
    points: Sequence[str],
    size: PointStudySize,
    progress: Callable[[str], None] = lambda line: None,
) -> PointOutcome:
    """Errors of ours, of the published procedure and of the baselines."""
    methods = {OUR_METHOD: estimates_from_points, PEER_METHOD: peer_estimates}
    found: dict[StudyCell, dict[tuple[str, str], SpineErrors]] = {}
    refused: dict[tuple[StudyCell, str], str] = {}
    for family in families:
        for trials in trials_of_people(family, size):
            subject = trials[0].subject
            for model in points:
                progress(f"{family}: {model}: {subject}")
                given = [observed_markers(trial, POINT_ERRORS_BY_NAME[model], size.seed) for trial in trials]
                estimates: dict[str, list[TrialSpine]] = {}
                for name, method in methods.items():
                    try:
                        estimates[name] = method(given)
                    except InputError as error:
                        refused[StudyCell(family, model, name), subject] = str(error)
                estimates |= baseline_estimates(given, [trial.truth for trial in trials])
                for name, spines in estimates.items():
                    of_method = found.setdefault(StudyCell(family, model, name), {})
                    for trial, spine in zip(trials, spines, strict=True):
                        errors = spine_errors_of(spine, trial.truth, ACCURACY_LEVELS)
                        of_method[subject, trial.trial] = every_nth_frame(errors, size.every)
    return PointOutcome(found, refused)


def measure_point_study(
    size: PointStudySize,
    families: Sequence[str],
    points: Sequence[str],
    progress: Callable[[str], None] = lambda line: None,
) -> tuple[list[Metric], PointOutcome]:
    """The benchmark: metrics with goals, and all that was found. `InputError` before anything is solved."""
    require_known("family", families, TRUTH_FAMILIES)
    require_known("error of points", points, POINT_ERRORS_BY_NAME)
    if size.subjects < 1 or size.every < 1 or size.frames < MIN_STUDY_FRAMES or not points:
        raise InputError(
            f"{size.subjects} people, {len(points)} errors of points, {size.frames} frames, every {size.every}: "
            f"expected at least 1, 1, {MIN_STUDY_FRAMES} (the filters need so many) and 1."
        )
    outcome = run_point_study(families, points, size, progress=progress)
    return point_study_metrics(outcome), outcome


def point_study_metrics(outcome: PointOutcome) -> list[Metric]:
    """By family and error: how many figures a baseline is better in, and the coverage farthest from nine in ten."""
    totals = outcome.totals()
    lost = lost_comparisons(totals)
    out = []
    for cell, total in totals.items():
        if cell.method != OUR_METHOD:
            continue
        key = f"{cell.family}: {cell.points}: "
        beaten = sum((loss.family, loss.points) == cell[:2] for loss in lost)
        out.append(Metric(key + "figures in which a baseline is better", beaten, "figures", "lower", goal=0))
        off = {name: abs(total.get(f"coverage_{name}", np.nan) - NOMINAL_COVERAGE) for name in INTERVAL_FIGURES}
        worst = max(off, key=lambda name: off[name])
        what = f"{key}coverage farthest from {NOMINAL_COVERAGE:g} ({worst})"
        out.append(Metric(what, off[worst], "share", "lower", goal=COVERAGE_TOLERANCE))
    out.append(Metric("people refused with points in space", len(outcome.refused), "people", "lower", goal=0))
    return out


def _mean_of_means(series: Sequence[np.ndarray]) -> float:
    """Degrees; of the trials that have anything."""
    means = [np.degrees(np.nanmean(values)) for values in series if np.isfinite(values).any()]
    return float(np.mean(means)) if means else float("nan")


# Markdown tables.


# Heading: figure, digits.
POINT_STUDY_COLUMNS: Mapping[str, tuple[str, int]] = {
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


def point_study_tables(outcome: PointOutcome) -> str:
    """Errors of all methods, coverage of our intervals, errors in standard deviations, and our figures by person."""
    totals = outcome.totals()
    intervals = (coverage_table(totals), coverage_table(totals, "normalised"))
    return "\n\n".join((error_table(totals), *intervals, person_table(outcome)))


def error_table(totals: Mapping[StudyCell, Mapping[str, float]]) -> str:
    """A row per family, error and method; `loses` marks figures of ours in which a baseline is better."""
    lost = {(loss.family, loss.points, loss.figure) for loss in lost_comparisons(totals)}
    rows = [
        ("family", "points", "method", *POINT_STUDY_COLUMNS),
        ("---", "---", "---", *("---:" for _ in POINT_STUDY_COLUMNS)),
    ]
    for cell, total in totals.items():
        row = []
        for figure, digits in POINT_STUDY_COLUMNS.values():
            text = _point_study_number(total.get(figure), digits) if figure in FIGURES_BY_METHOD[cell.method] else ""
            marked = cell.method == OUR_METHOD and (cell.family, cell.points, figure) in lost
            row.append(f"{text} loses" if marked else text)
        rows.append((*cell, *row))
    return aligned_markdown(rows)


def coverage_table(totals: Mapping[StudyCell, Mapping[str, float]], kind: str = "coverage") -> str:
    """Share of errors within our 90 % intervals, and the smallest and largest of a person; kind 'normalised': root mean
    square of errors in our standard deviations."""
    rows = [("family", "points", *INTERVAL_FIGURES), ("---", "---", *("---:" for _ in INTERVAL_FIGURES))]
    for cell, total in totals.items():
        if cell.method == OUR_METHOD:
            keys = [f"{kind}_{name}" for name in INTERVAL_FIGURES]
            shares = [[_point_study_number(total.get(key + end), 2) for end in ("", "_min", "_max")] for key in keys]
            rows.append((*cell[:2], *(f"{mean} ({low}–{high})" if mean else "" for mean, low, high in shares)))
    return aligned_markdown(rows)


def person_table(outcome: PointOutcome) -> str:
    """Our figures by person."""
    rows = [("family", "points", "person", *PERSON_COLUMNS), ("---", "---", "---", *("---:" for _ in PERSON_COLUMNS))]
    for cell in outcome.found:
        if cell.method == OUR_METHOD:
            for subject, own in outcome.people(cell).items():
                rows.append((*cell[:2], subject, *(_point_study_number(own.get(name), 2) for name in PERSON_COLUMNS)))
    return aligned_markdown(rows)


def _point_study_number(value: float | None, digits: int) -> str:
    return "" if value is None or value != value else f"{value:.{digits}f}"
