"""`simspine bench accuracy`: the whole pipeline against a spine that is known, beside the published procedure.

Synthetic subjects (`simspine.capture`), whose spines are not the estimators', are recorded by a virtual detector
and motion capture; each method gets the same recordings. What is measured is defined in `spine_errors` and
docs/accuracy.md; how good is good enough are the goals here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from simspine.benchmark.methods import PLACES, Experiment, GroundTruthTrial, our_estimates, reference_estimates
from simspine.benchmark.report import Metric
from simspine.benchmark.spine_errors import SpineErrors, TrialSpine, by_name, errors, figures
from simspine.benchmark.virtual_trials import StudySize, recorded_subjects
from simspine.body.recipes import read_recipe
from simspine.capture.presets import read_preset
from simspine.errors import InputError
from simspine.spine.levels import LUMBAR, THORACIC

REGIONS = {"lumbar": LUMBAR, "thoracic": THORACIC}
LEVELS = (*LUMBAR, *THORACIC)
BODIES = ("coupled", "articulated")  # what is fitted where none are named
PEER = "peer"

# {figure: largest ratio to the published procedure's}, and how far coverage may be from nine in ten.
RATIOS = {
    "mpjpe_mm": 0.5,
    "lla_rmse_deg": 0.5,
    "tka_rmse_deg": 0.5,
    "lumbar_flexion_rmse_deg": 0.7,
    "thoracic_flexion_rmse_deg": 0.7,
    "jitter_m_s2": 0.5,
    "velocity_mm_s": 1.0,
}
BY_TRIAL = (*RATIOS, "p_mpjpe_mm", "vertebrae_mm", "lla_bias_deg", "tka_bias_deg", "failed_share")
BY_TRIAL += ("coverage_lla", "coverage_tka", "coverage_points")
COVERAGE, COVERAGE_WITHIN = 0.9, 0.03
LEAST_FRAMES = 20
EXACT_MPJPE = 3.0  # mm, articulated, from exact 2D points
UNITS = (("_mm_s", "mm/s"), ("_m_s2", "m/s²"), ("_mm", "mm"), ("_deg", "°"), ("_share", "share"))


QUICK = StudySize(1, ("Walking", "Sitting"), 40)

# Subjects one after another: the trials of each, as the detector of a preset sees them.
Capture = Callable[[str, StudySize], Iterable[Sequence[GroundTruthTrial]]]


@dataclass(frozen=True)
class Outcome:
    """Errors by (preset, method), trial by trial: {(subject, trial): errors}. refused: {(preset, method, subject): why
    there is nothing at all}.
    """

    found: Mapping[tuple[str, str], Mapping[tuple[str, str], SpineErrors]]
    refused: Mapping[tuple[str, str, str], str]

    def total(self, preset: str, method: str, as_of: str | None = None) -> dict[str, float]:
        """Figures over all trials, or over those that the method `as_of` has too."""
        trials = self.found[preset, method]
        both = self.found[preset, as_of or method]
        return figures([e for key, e in trials.items() if key in both], REGIONS)

    def rows(self) -> list[dict]:
        """The main figures of each preset, method, subject and trial."""

        def main(e: SpineErrors) -> dict[str, float | None]:
            return rounded({name: v for name, v in figures([e], REGIONS).items() if name in BY_TRIAL})

        return [
            {"preset": preset, "method": method, "subject": subject, "trial": trial} | main(e)
            for (preset, method), trials in self.found.items()
            for (subject, trial), e in trials.items()
        ]

    def as_dict(self) -> dict:
        """Totals, totals by point, vertebra and level, and the rows, for a JSON file."""
        keys = [f"{preset}: {method}" for preset, method in self.found]
        return {
            "totals": {key: rounded(self.total(*which)) for key, which in zip(keys, self.found, strict=True)},
            "by_name": {key: by_name(list(t.values())) for key, t in zip(keys, self.found.values(), strict=True)},
            "rows": self.rows(),
            "refused": {": ".join(which): why for which, why in self.refused.items()},
        }


def run(
    sizes: StudySize,
    presets: Sequence[str],
    settings: Mapping[str, Experiment],
    capture: Capture = recorded_subjects,
    progress: Callable[[str], None] = lambda line: None,
) -> Outcome:
    """Errors of our pipeline with each of the settings, by name, and of the published procedure, on each preset."""
    methods: dict[str, Callable[[Sequence[GroundTruthTrial]], dict[str, list[TrialSpine]]]]
    methods = {PEER: _reference}
    methods |= {name: partial(_ours, name, chosen) for name, chosen in settings.items()}
    found: dict[tuple[str, str], dict[tuple[str, str], SpineErrors]] = {}
    refused: dict[tuple[str, str, str], str] = {}
    for preset in presets:
        for trials in capture(preset, sizes):
            subject = trials[0].observed.subject
            for name, method in methods.items():
                progress(f"{preset}: {subject}: {name}")
                try:
                    estimates = method(trials)
                except InputError as error:
                    refused[preset, name, subject] = str(error)
                    continue
                for label, spines in estimates.items():
                    of_method = found.setdefault((preset, label), {})
                    for trial, spine in zip(trials, spines, strict=True):
                        of_method[subject, trial.observed.trial] = errors(spine, trial.spine, LEVELS)
    return Outcome(found, refused)


def _ours(name: str, settings: Experiment, trials: Sequence[GroundTruthTrial]) -> dict[str, list[TrialSpine]]:
    return {name: our_estimates(trials, settings)}


def _reference(trials: Sequence[GroundTruthTrial]) -> dict[str, list[TrialSpine]]:
    observed = [trial.observed for trial in trials]
    pairs = reference_estimates(observed)
    placed = [released for released, _ in reference_estimates(observed, PLACES)]
    return {PEER: [released for released, _ in pairs], "peer_fk": [model for _, model in pairs], "peer_placed": placed}


def metrics(outcome: Outcome, bodies: Sequence[str] = BODIES) -> list[Metric]:
    """Figures beside their goals, which are ratios to the published procedure's on the same recordings."""
    out = []
    for preset, method in outcome.found:
        total = outcome.total(preset, method)
        key = f"{preset}: {method}: "
        for name in (*RATIOS, "p_mpjpe_mm", "vertebrae_mm", "failed_share", "liveliness"):
            goal = EXACT_MPJPE if (preset, method, name) == ("exact", "articulated", "mpjpe_mm") else None
            out.append(Metric(key + name, total[name], _unit(name), "lower", goal))
        if method not in bodies or preset == "exact":
            continue
        reference = outcome.total(preset, PEER, as_of=method)
        for name, goal in RATIOS.items():
            ratio = total[name] / reference[name] if reference[name] else float("nan")
            out.append(Metric(f"{key}{name} to peer", ratio, "×", "lower", goal))
        for name, share in total.items():
            if name.startswith("coverage_"):
                out.append(Metric(key + name, share, "share", "higher"))
                off = abs(share - COVERAGE)
                out.append(Metric(f"{key}{name} off {COVERAGE:g}", off, "share", "lower", COVERAGE_WITHIN))
    out.append(Metric("people refused", len(outcome.refused), "people", "lower", 0))
    return out


def measure(
    sizes: StudySize,
    presets: Sequence[str],
    progress: Callable[[str], None] = lambda line: None,
    capture: Capture = recorded_subjects,
    bodies: Sequence[str] = BODIES,
) -> tuple[list[Metric], dict]:
    """The benchmark: metrics with goals, and all details for the JSON file.

    bodies: recipes, by name or path.
    """
    for preset in presets:
        read_preset(preset)  # `InputError` before anything is recorded
    for body in bodies:
        read_recipe(body)
    if sizes.subjects < 1 or sizes.frames < LEAST_FRAMES or not sizes.actions:
        raise InputError(
            f"{sizes.subjects} people, {len(sizes.actions)} actions, {sizes.frames} frames: expected at least 1, 1 and "
            f"{LEAST_FRAMES} (the filters need so many)."
        )
    outcome = run(sizes, presets, {name: Experiment(recipe=name) for name in bodies}, capture, progress)
    return metrics(outcome, bodies), outcome.as_dict()


def _unit(name: str) -> str:
    return next((unit for ending, unit in UNITS if name.endswith(ending)), "×")


def rounded(values: Mapping[str, float]) -> dict[str, float | None]:
    """For JSON, which has no NaN."""
    return {name: float(f"{value:.4g}") if np.isfinite(value) else None for name, value in values.items()}
