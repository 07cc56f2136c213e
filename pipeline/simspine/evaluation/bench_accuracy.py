"""`simspine bench accuracy`: the whole pipeline compared with known spines.

Synthetic subjects (`simspine.synthesis`), whose spines are not the estimators', are recorded by a virtual detector and
motion capture. The published procedure and trivial baselines get the same recordings. `spine_errors` and
docs/accuracy.md define what is measured.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from simspine.anatomy.curvature import LUMBAR_LEVELS, SPINE_MARKERS, THORACIC_LEVELS
from simspine.anatomy.recipes import read_recipe
from simspine.core.errors import InputError, require_known
from simspine.core.filtering import smooth
from simspine.core.geometry import markers_in_frame
from simspine.core.skeletons import load_skeleton, read_correspondence
from simspine.core.types import Camera, Keypoints, Markers
from simspine.estimation.options import BodyOptions
from simspine.evaluation.baselines import (
    BASELINE_NAMES,
    TRUE_POINT_MARKER_SET,
    baseline_estimates,
    peer_estimates,
    peer_markers,
)
from simspine.evaluation.spine_errors import (
    OWN_SPINE_MARKERS,
    SpineErrors,
    TrialSpine,
    spine_error_figures,
    spine_errors_of,
)
from simspine.evaluation.tables import Metric, aligned_markdown
from simspine.reconstruction.reconstruct import AFTER_DETECTION, AFTER_MERGING, UNSEEN
from simspine.reconstruction.stage import Known, Options
from simspine.reconstruction.stages import run_stages
from simspine.synthesis.actions import ACTION_NAMES
from simspine.synthesis.population import SyntheticSubject, make_subject
from simspine.synthesis.postures import MOTION_RATE_HZ
from simspine.synthesis.virtual_detector import read_preset, simulate_detections
from simspine.synthesis.virtual_trial import (
    TruthTrial,
    body_capsules,
    make_trial,
    simulate_mocap,
    spine_truth,
    true_human36m_joints,
    true_points,
    true_vertebra_centres,
    virtual_rig,
)
from simspine.vision.options import FilterOptions, MergeOptions
from simspine.vision.triangulation import triangulate_with_report

# What an estimate is given, and our way from it to a spine.


BEFORE = UNSEEN | {"spine_markers": OWN_SPINE_MARKERS}


@dataclass(frozen=True)
class ObservedTrial:
    """What a method is given of one trial. mocap: Human3.6M joints by their names, z_up, at the keypoints' rate."""

    subject: str
    trial: str
    keypoints: Keypoints
    cameras: tuple[Camera, ...]
    mocap: Markers | None = None


@dataclass(frozen=True)
class GroundTruthTrial:
    """An observed trial and what was true.

    points: the 37 points, y_up: limbs where the motion capture means them, the others where the detector is asked to.
    """

    observed: ObservedTrial
    spine: TrialSpine
    points: Markers


def our_estimates(trials: Sequence[GroundTruthTrial], recipe: str = "articulated") -> list[TrialSpine]:
    """Our estimate of each trial's spine, by the stages that `simspine.reconstruct` runs. recipe: the body's."""
    known = {}
    for number, seen in enumerate(trial.observed for trial in trials):
        of_trial = {"keypoints": seen.keypoints, "cameras": seen.cameras, "skeleton": TRUE_POINT_MARKER_SET}
        known[str(number)] = BEFORE | of_trial | {"subject": seen.subject, "trial": seen.trial, "mocap": seen.mocap}
    return [_found(trial) for trial in run_stages(known, _options(recipe), AFTER_DETECTION).values()]


def estimates_from_points(trials: Sequence[Markers]) -> list[TrialSpine]:
    """Our estimate of each trial of a person from markers (y_up) as the stages hand them to inverse kinematics."""
    known = {
        str(number): BEFORE | {"subject": "", "trial": "", "markers": markers, "skeleton": TRUE_POINT_MARKER_SET}
        for number, markers in enumerate(trials)
    }
    return [_found(trial) for trial in run_stages(known, _options("articulated"), AFTER_MERGING).values()]


def _options(recipe: str) -> Options:
    body = BodyOptions(recipe=recipe, markers=TRUE_POINT_MARKER_SET)
    return Options(merge=MergeOptions(correspondence="human36m"), body=body)


def _found(trial: Known) -> TrialSpine:
    return TrialSpine(trial["spine"], trial["spine"].centres, trial["verdict"].rejected)


# Synthetic subjects recorded by a virtual detector and motion capture, and what was true.


@dataclass(frozen=True)
class StudySize:
    """How much is recorded: subjects, actions (one trial of each), frames of a trial. spines: where the subjects' are
    from, see `simspine.synthesis.population.SPINE_FAMILIES`.

    Subjects differ more from each other than frames do: rather more of them than longer trials.
    """

    subjects: int = 7
    actions: tuple[str, ...] = ("Walking", "Sitting")
    frames: int = 80
    seed: int = 1
    spines: str = "published"


def recorded_subjects(preset: str, sizes: StudySize) -> Iterator[list[GroundTruthTrial]]:
    """The trials of each subject as the detector of `preset` sees them. `InputError` names the actions there are."""
    require_known("action", sizes.actions, ACTION_NAMES)
    for index in range(sizes.subjects):
        subject = make_subject(sizes.seed, index, sizes.spines)
        trials = (make_trial(subject, action, 1, sizes.frames) for action in sizes.actions)
        yield [record_virtual_trial(subject, trial, preset, sizes.seed) for trial in trials]


def record_virtual_trial(subject: SyntheticSubject, trial: TruthTrial, preset: str, seed: int) -> GroundTruthTrial:
    """A trial as recorded by the subject's own four cameras, and its truth."""
    exact, cameras, parts = true_points(trial), tuple(virtual_rig(seed, subject.name)), body_capsules(trial)
    seen = simulate_detections(
        exact,
        cameras,
        parts.ends,
        radii=parts.radii,
        preset=read_preset(preset),
        seed=seed,
        subject=subject.name,
        trial=trial.trial,
    )
    joints = simulate_mocap(true_human36m_joints(trial), MOTION_RATE_HZ, seed, subject=subject.name, trial=trial.trial)
    mocap = Markers(load_skeleton("human36m32").names, MOTION_RATE_HZ, joints, "z_up")
    observed = ObservedTrial(subject.name, trial.trial, seen.keypoints, cameras, mocap=mocap)
    targets = markers_in_frame(points_meant_by_mocap(exact, mocap.names, true_human36m_joints(trial)), "y_up")
    return GroundTruthTrial(observed, true_spine(trial), targets)


def points_meant_by_mocap(points: Markers, joints: Sequence[str], xyz: np.ndarray) -> Markers:
    """The true points with the limbs' at the joint centres (frames, joints, 3) that the motion capture means."""
    moved = np.array(points.xyz)
    for joint, point in ((pair.marker, pair.point) for pair in read_correspondence("human36m")):
        moved[:, points.index(point)] = xyz[:, joints.index(joint)]
    return points.with_(xyz=moved)


def true_spine(trial: TruthTrial) -> TrialSpine:
    """The true spine; its points are where a detector is asked to mark them, at the vertebral centroids."""
    marked = markers_in_frame(true_points(trial).select(SPINE_MARKERS), "y_up")
    kinematics = replace(spine_truth(trial), markers=marked)
    return TrialSpine(kinematics, markers_in_frame(true_vertebra_centres(trial), "y_up"), np.zeros(trial.frames, bool))


LEVELS_BY_REGION = {"lumbar": LUMBAR_LEVELS, "thoracic": THORACIC_LEVELS}
ACCURACY_LEVELS = (*LUMBAR_LEVELS, *THORACIC_LEVELS)
FITTED_BODIES = ("coupled", "articulated")  # what is fitted where none are named
PEER_METHOD = "peer"  # the published procedure
# {figure: largest ratio to the published procedure's}.
MAX_ERROR_RATIOS = {
    "mpjpe_mm": 0.5,
    "lla_rmse_deg": 0.5,
    "tka_rmse_deg": 0.5,
    "lumbar_flexion_rmse_deg": 0.7,
    "thoracic_flexion_rmse_deg": 0.7,
    "jitter_m_s2": 0.5,
    "velocity_mm_s": 1.0,
}
MOTION_FIGURES = ("lla_motion_rmse_deg", "tka_motion_rmse_deg", "lumbar_flexion_motion_rmse_deg")
MAIN_FIGURES = (*MAX_ERROR_RATIOS, "p_mpjpe_mm", "vertebrae_mm", "failed_share")
METRICS_BY_TRIAL = (*MAIN_FIGURES, "lla_bias_deg", "tka_bias_deg", "coverage_lla", "coverage_tka", "coverage_points")
NOMINAL_COVERAGE, COVERAGE_TOLERANCE = 0.9, 0.03
MIN_FRAMES_PER_TRIAL = 20
EXACT_MPJPE = 3.0  # mm, articulated, from exact 2D points
UNITS_BY_SUFFIX = (("_mm_s", "mm/s"), ("_m_s2", "m/s²"), ("_mm", "mm"), ("_deg", "°"), ("_share", "share"))


QUICK_STUDY = StudySize(1, ("Walking", "Sitting"), 40)


@dataclass(frozen=True)
class AccuracyOutcome:
    """Errors by (preset, method), trial by trial: {(subject, trial): errors}. refused: {(preset, method, subject): why
    there is nothing at all}.
    """

    found: Mapping[tuple[str, str], Mapping[tuple[str, str], SpineErrors]]
    refused: Mapping[tuple[str, str, str], str]

    def total(self, preset: str, method: str, as_of: str | None = None) -> dict[str, float]:
        """Figures over all trials, or over those that the method `as_of` has too; nothing where there are none."""
        both = self.found[preset, as_of or method]
        return _shown_figures(method, [e for key, e in self.found.get((preset, method), {}).items() if key in both])

    def rows(self) -> list[dict]:
        """The main figures of each preset, method, subject and trial."""

        def main(method: str, e: SpineErrors) -> dict[str, float | None]:
            figures = _shown_figures(method, [e])
            return rounded_for_json({name: figures[name] for name in METRICS_BY_TRIAL if name in figures})

        return [
            {"preset": preset, "method": method, "subject": subject, "trial": trial} | main(method, e)
            for (preset, method), trials in self.found.items()
            for (subject, trial), e in trials.items()
        ]

    def as_dict(self) -> dict:
        """Totals and the rows, for a JSON file."""
        return {
            "totals": {": ".join(which): rounded_for_json(self.total(*which)) for which in self.found},
            "rows": self.rows(),
            "refused": {": ".join(which): why for which, why in self.refused.items()},
        }


def _shown_figures(method: str, trials: Sequence[SpineErrors]) -> dict[str, float]:
    """Figures of a method; of the baseline `constant`, which knows the true means, those of motion alone."""
    figures = spine_error_figures(trials, LEVELS_BY_REGION) if trials else {}
    if method in BASELINE_NAMES:
        figures.pop("failed_share", None)  # they have no points, or give up no frame
    return {name: figures[name] for name in MOTION_FIGURES if name in figures} if method == "constant" else figures


def run_accuracy_study(
    sizes: StudySize,
    presets: Sequence[str],
    bodies: Sequence[str],
    progress: Callable[[str], None] = lambda line: None,
) -> AccuracyOutcome:
    """Errors of our pipeline with each of the bodies, of the published procedure and of the baselines."""
    methods: dict[str, Callable[[Sequence[GroundTruthTrial]], list[TrialSpine]]] = {PEER_METHOD: _peer_estimates}
    methods |= {body: partial(our_estimates, recipe=body) for body in bodies}
    found: dict[tuple[str, str], dict[tuple[str, str], SpineErrors]] = {}
    refused: dict[tuple[str, str, str], str] = {}
    for preset in presets:
        for trials in recorded_subjects(preset, sizes):
            subject = trials[0].observed.subject
            estimates: dict[str, list[TrialSpine]] = {}
            for name, method in methods.items():
                progress(f"{preset}: {subject}: {name}")
                try:
                    estimates[name] = method(trials)
                except InputError as error:
                    refused[preset, name, subject] = str(error)
            points = [_filtered_points(trial.observed) for trial in trials]
            estimates |= baseline_estimates(points, [trial.spine for trial in trials])
            for name, spines in estimates.items():
                of_method = found.setdefault((preset, name), {})
                for trial, spine in zip(trials, spines, strict=True):
                    of_method[subject, trial.observed.trial] = spine_errors_of(spine, trial.spine, ACCURACY_LEVELS)
    return AccuracyOutcome(found, refused)


def _peer_estimates(trials: Sequence[GroundTruthTrial]) -> list[TrialSpine]:
    observed = [trial.observed for trial in trials]
    return peer_estimates([peer_markers(seen.keypoints, seen.cameras, seen.mocap) for seen in observed])


def _filtered_points(seen: ObservedTrial) -> Markers:
    """The points (y_up) that our pipeline triangulates and filters, with covariance."""
    points, _ = triangulate_with_report(seen.keypoints, seen.cameras)
    return markers_in_frame(smooth(points, **FilterOptions().model_dump()), "y_up")


def accuracy_metrics(outcome: AccuracyOutcome) -> list[Metric]:
    """Figures of all methods, and goals of ours."""
    out = []
    for preset, method in outcome.found:
        total = outcome.total(preset, method)
        key = f"{preset}: {method}: "
        for name in (*MAIN_FIGURES, "liveliness"):
            if name in total:
                goal = EXACT_MPJPE if (preset, method, name) == ("exact", "articulated", "mpjpe_mm") else None
                unit = next((unit for ending, unit in UNITS_BY_SUFFIX if name.endswith(ending)), "×")
                out.append(Metric(key + name, total[name], unit, "lower", goal=goal))
        if method not in (PEER_METHOD, *BASELINE_NAMES):
            out += _compared_with_others(outcome, preset, method)
    out.append(Metric("people refused", len(outcome.refused), "people", "lower", goal=0))
    return out


def _compared_with_others(outcome: AccuracyOutcome, preset: str, body: str) -> list[Metric]:
    """Goals of ours against the baselines; from a detector that errs, also against the published procedure and of
    coverage.
    """
    key, total = f"{preset}: {body}: ", outcome.total(preset, body)
    rivals = [outcome.total(preset, name, body) for name in BASELINE_NAMES]
    better = sum(
        any(rival.get(name, np.nan) < total[name] and not np.isclose(rival[name], total[name]) for rival in rivals)
        for name in (*MAIN_FIGURES, *MOTION_FIGURES)
    )
    out = [Metric(f"{key}figures in which a baseline is better", better, "figures", "lower", goal=0)]
    if preset == "exact":
        return out
    peer = outcome.total(preset, PEER_METHOD, body)
    for name, goal in MAX_ERROR_RATIOS.items():
        ratio = total[name] / peer[name] if peer.get(name) else float("nan")
        out.append(Metric(f"{key}{name} to peer", ratio, "×", "lower", goal=goal))
    for name, share in total.items():
        if name.startswith("coverage_"):
            out.append(Metric(key + name, share, "share", "higher"))
            label, off = f"{key}{name} off {NOMINAL_COVERAGE:g}", abs(share - NOMINAL_COVERAGE)
            out.append(Metric(label, off, "share", "lower", goal=COVERAGE_TOLERANCE))
    return out


def measure_accuracy(
    sizes: StudySize,
    presets: Sequence[str],
    progress: Callable[[str], None] = lambda line: None,
    bodies: Sequence[str] = FITTED_BODIES,
) -> tuple[list[Metric], dict]:
    """The benchmark: metrics, and all details for the JSON file.

    bodies: recipes, by name or path.
    """
    for preset in presets:
        read_preset(preset)  # `InputError` before anything is recorded
    for body in bodies:
        read_recipe(body)
    if sizes.subjects < 1 or sizes.frames < MIN_FRAMES_PER_TRIAL or not sizes.actions:
        raise InputError(
            f"{sizes.subjects} people, {len(sizes.actions)} actions, {sizes.frames} frames: expected at least 1, 1 and "
            f"{MIN_FRAMES_PER_TRIAL} (the filters need so many)."
        )
    outcome = run_accuracy_study(sizes, presets, bodies, progress)
    return accuracy_metrics(outcome), outcome.as_dict()


def rounded_for_json(values: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN."""
    return {name: float(f"{value:.4g}") if np.isfinite(value) else None for name, value in values.items()}


# Heading: the figure, or several joined in one column.
ACCURACY_COLUMNS: dict[str, tuple[str, ...]] = {
    "MPJPE mm": ("mpjpe_mm",),
    "aligned": ("p_mpjpe_mm",),
    "vertebrae mm": ("vertebrae_mm",),
    "LLA ° (bias, motion)": ("lla_rmse_deg", "lla_bias_deg", "lla_motion_rmse_deg"),
    "TKA ° (bias, motion)": ("tka_rmse_deg", "tka_bias_deg", "tka_motion_rmse_deg"),
    "lumbar ° (motion)": ("lumbar_flexion_rmse_deg", "lumbar_flexion_motion_rmse_deg"),
    "thoracic ° (motion)": ("thoracic_flexion_rmse_deg", "thoracic_flexion_motion_rmse_deg"),
    "velocity mm/s": ("velocity_mm_s",),
    "jitter m/s²": ("jitter_m_s2",),
    "liveliness": ("liveliness",),
    "coverage LLA, TKA": ("coverage_lla", "coverage_tka"),
    "coverage lumbar, thoracic": ("coverage_lumbar_flexion", "coverage_thoracic_flexion"),
    "coverage points": ("coverage_points",),
    "failed": ("failed_share",),
}


def accuracy_table(totals: Mapping[str, Mapping[str, float | None]]) -> str:
    """A Markdown table of {row: {figure: value}}; what a row lacks is left empty. Angles of levels: flexion."""
    rows = [("", *ACCURACY_COLUMNS), ("---", *("---:" for _ in ACCURACY_COLUMNS))]
    rows += [
        (name, *(_accuracy_cell(total, figures) for figures in ACCURACY_COLUMNS.values()))
        for name, total in totals.items()
    ]
    return aligned_markdown(rows)


def _accuracy_cell(total: Mapping[str, float | None], figures: tuple[str, ...]) -> str:
    shown = [_accuracy_number(total.get(name), name) for name in figures]
    if not any(shown):
        return ""
    first, *rest = (text or "–" for text in shown)
    if figures[0].startswith("coverage"):
        return ", ".join([first, *rest])
    return f"{first} ({', '.join(rest)})" if rest else first


def _accuracy_number(value: float | None, name: str) -> str:
    if value is None:
        return ""
    digits = 1 if name.endswith(("_mm", "_mm_s")) or name.startswith(("lla_", "tka_")) else 2
    return f"{value:.{digits}f}"
